//! Whether a text is a secret because of the name it stands under. Names lie often (`token` is a word of a parser,
//! `password` a label), so the value must look like one.

use super::Confidence;
use super::names::announces_secret;

/// Shorter and longer values are not judged.
const LENGTH: std::ops::RangeInclusive<usize> = 4..=8192;
/// From here on a value with letters and digits is hardly a word.
const LONG: usize = 16;
/// Bits per character from which characters are as good as random.
const RANDOM: f64 = 3.0;

/// How likely the value of a field or key of this name is a secret; nothing when it is none.
pub(super) fn judge(name: &str, value: &[u8]) -> Option<Confidence> {
    if !LENGTH.contains(&value.len()) || !announces_secret(name) || is_no_value(value) {
        return None;
    }
    let letters = value.iter().any(u8::is_ascii_alphabetic);
    let digits = value.iter().any(u8::is_ascii_digit);
    let other = value.iter().any(|b| !b.is_ascii_alphanumeric());
    let blank = value.iter().any(|b| b.is_ascii_whitespace());
    if value.len() >= LONG && letters && digits && !blank && bits_per_byte(value) >= RANDOM {
        return Some(Confidence::Likely);
    }
    if !is_password(name) {
        return None;
    }
    match (letters && digits, other) {
        (true, _) if !blank => Some(Confidence::Likely),
        _ if digits || other || value.len() >= 6 => Some(Confidence::Possible),
        _ => None,
    }
}

/// Names that are used for passwords only, which may look like any word.
fn is_password(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    ["passw", "passphrase", "passcode", "secret", "pwd", "credential"].iter().any(|word| lower.contains(word))
}

/// Values that stand for another, or for none, and what refers to something else.
pub(super) fn is_no_value(value: &[u8]) -> bool {
    const WORDS: [&str; 18] = [
        "null",
        "none",
        "true",
        "false",
        "undefined",
        "password",
        "passwd",
        "secret",
        "token",
        "string",
        "changeit",
        "prompt",
        "default",
        "unknown",
        "empty",
        "optional",
        "required",
        "pwd",
    ];
    let first = value.first().copied().unwrap_or_default();
    let same = value.iter().all(|b| *b == first);
    let placeholder = [&b"${"[..], b"#{", b"{{", b"<", b"%", b"ENC("].iter().any(|p| value.starts_with(p));
    let reference =
        [&b"/"[..], b"./", b"file:", b"classpath:", b"arn:", b"vault:"].iter().any(|p| value.starts_with(p));
    same || placeholder
        || reference
        || is_code(value)
        || WORDS.iter().any(|w| value.eq_ignore_ascii_case(w.as_bytes()))
}

/// Names of classes and keys of properties: words with points between them, without a digit.
fn is_code(value: &[u8]) -> bool {
    let word = |part: &[u8]| {
        !part.is_empty() && part.iter().all(|b| b.is_ascii_alphabetic() || *b == b'_' || *b == b'$')
    };
    value.contains(&b'.') && value.split(|b| *b == b'.').all(word)
}

/// Entropy of the bytes as they occur here, bits.
pub(super) fn bits_per_byte(value: &[u8]) -> f64 {
    let mut counts = [0_u32; 256];
    for byte in value {
        if let Some(count) = counts.get_mut(usize::from(*byte)) {
            *count += 1;
        }
    }
    let all = value.len() as f64;
    let of_one = |count: &u32| {
        let share = f64::from(*count) / all;
        -share * share.log2()
    };
    counts.iter().filter(|c| **c > 0).map(of_one).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_under_names() {
        use Confidence::{Likely, Possible};
        for (name, value, wanted) in [
            ("db.password", "hunter2-not-real", Some(Likely)),
            ("password", "correct horse battery", Some(Possible)),
            ("password", "hunter2", Some(Likely)),
            ("password", "Sommer", Some(Possible)),
            ("token", "identifier", None),
            ("token", "9f31c0deab12d00d4711", Some(Likely)),
            ("apiKey", "Zm9vYmFyYmF6cXV4MTIz", Some(Likely)),
            ("password", "${DB_PASSWORD}", None),
            ("password", "********", None),
            ("password", "null", None),
            ("secret", "/run/secrets/db", None),
            ("password", "javax.net.ssl.trustStorePassword", None),
            ("tokenCount", "9f31c0deab12d00d4711", None),
            ("name", "9f31c0deab12d00d4711", None),
            ("pin", "123", None),
        ] {
            assert_eq!(judge(name, value.as_bytes()), wanted, "{name}: {value}");
        }
    }

    #[test]
    fn entropy() {
        assert!(bits_per_byte(b"aaaa").abs() < 1e-9);
        assert!((bits_per_byte(b"abcdabcd") - 2.0).abs() < 1e-9);
    }
}
