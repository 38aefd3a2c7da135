//! Names of fields, keys and parameters that announce a secret.

/// Most words of a name that are looked at.
const WORDS: usize = 16;

/// Last words by which a name announces a secret.
const SECRET: &[&str] = &[
    "password",
    "passwords",
    "passwd",
    "passphrase",
    "passcode",
    "pwd",
    "secret",
    "secrets",
    "credential",
    "credentials",
    "token",
    "tokens",
    "apikey",
    "authtoken",
    "secretkey",
    "accesskey",
    "privatekey",
    "pin",
    "cvv",
    "cvc",
    "ssn",
    "iban",
    "otp",
    "totp",
    "bearer",
    "authorization",
    "jwt",
    "pw",
    "cardnumber",
    "creditcard",
    "sessionid",
    "jsessionid",
    "csrf",
    "xsrf",
    "cookie",
];

/// First words that make a secret of a `key`, an `id`, a `number` behind them.
const PAIRS: &[(&str, &[&str])] = &[
    (
        "key",
        &[
            "api",
            "access",
            "private",
            "secret",
            "encryption",
            "signing",
            "master",
            "client",
            "account",
            "storage",
        ],
    ),
    ("id", &["session"]),
    ("number", &["card", "security", "iban", "account"]),
    ("hash", &["password", "passwd"]),
    ("salt", &["password"]),
    ("string", &["connection"]),
    ("card", &["credit"]),
];

/// Whether a name such as `db.password`, `apiKey` or `X-Auth-Token` announces a secret; `tokenCount` does not.
pub fn announces_secret(name: &str) -> bool {
    let mut words = [""; WORDS];
    let count = words.iter_mut().zip(split(name)).map(|(slot, word)| *slot = word).count();
    let mut last = words.iter().take(count).rev();
    let (Some(word), before) = (last.next(), last.next()) else { return false };
    let is = |word: &str, other: &str| word.eq_ignore_ascii_case(other);
    if SECRET.iter().any(|secret| is(word, secret)) {
        return true;
    }
    let Some(before) = before else { return false };
    PAIRS.iter().any(|(second, firsts)| is(word, second) && firsts.iter().any(|first| is(before, first)))
}

/// The words of a name in any of the usual spellings. A trailing number is no word.
fn split(name: &str) -> impl Iterator<Item = &str> {
    name.split(|c: char| !c.is_ascii_alphabetic()).flat_map(humps).filter(|word| !word.is_empty())
}

/// The words of `camelCase`, `HTTPProxy` and `PLAIN`.
fn humps(part: &str) -> impl Iterator<Item = &str> {
    let mut rest = part;
    std::iter::from_fn(move || {
        let bytes = rest.as_bytes();
        if bytes.is_empty() {
            return None;
        }
        let upper = bytes.iter().take_while(|b| b.is_ascii_uppercase()).count();
        let lower = bytes.iter().skip(upper).take_while(|b| b.is_ascii_lowercase()).count();
        // In `HTTPProxy` the last capital begins the next word.
        let end = if upper > 1 && lower > 0 { upper - 1 } else { upper + lower };
        let (word, next) = rest.split_at_checked(end)?;
        rest = next;
        Some(word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_announce_a_secret() {
        for name in [
            "password",
            "dbPassword",
            "db.password",
            "DB_PASSWORD",
            "passwd",
            "secret",
            "clientSecret",
            "apiKey",
            "APIKey",
            "api-key",
            "aws_secret_access_key",
            "X-Auth-Token",
            "accessToken",
            "refresh_token",
            "privateKey",
            "pin",
            "cardNumber",
            "sessionId",
            "Authorization",
            "password2",
            "spring.datasource.password",
            "userPassword",
        ] {
            assert!(announces_secret(name), "{name}");
        }
    }

    #[test]
    fn names_that_do_not() {
        for name in [
            "",
            "tokenCount",
            "tokenizer",
            "passwordLength",
            "key",
            "hash",
            "author",
            "opinion",
            "pinned",
            "panel",
            "secretName",
            "keyId",
            "accountId",
            "cardinality",
            "PrivateKeyEntry",
            "cookieStore",
            "compass",
            "bypass",
            "spinning",
            "java.security.KeyStore",
            "42",
            "ключ",
        ] {
            assert!(!announces_secret(name), "{name}");
        }
    }
}
