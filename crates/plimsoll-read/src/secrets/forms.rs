//! Secrets that can be told by their form alone. One walk over the text: only where a word begins, and at a few signs,
//! is anything looked at closer.

use super::cards;
use super::named::{bits_per_byte, is_no_value};
use super::names::announces_secret;
use super::{Confidence, Kind, Match};

/// Most bytes of a name before an equals sign, of a user, of a password.
const NAME: usize = 64;
const PASSWORD: usize = 256;
/// Base64 of a private key behind its head, bytes; fewer are an example in a text about keys.
const KEY_BODY: usize = 48;

/// A token of a service: what it begins with, whose it is, and how many characters follow.
struct Prefix {
    text: &'static [u8],
    service: &'static str,
    least: usize,
    most: usize,
}

const fn prefix(text: &'static str, service: &'static str, least: usize, most: usize) -> Prefix {
    Prefix { text: text.as_bytes(), service, least, most }
}

const PREFIXES: &[Prefix] = &[
    prefix("AKIA", "AWS", 16, 16),
    prefix("ASIA", "AWS", 16, 16),
    prefix("AIza", "Google", 35, 35),
    prefix("ya29.", "Google", 20, 512),
    prefix("ghp_", "GitHub", 36, 255),
    prefix("gho_", "GitHub", 36, 255),
    prefix("ghu_", "GitHub", 36, 255),
    prefix("ghs_", "GitHub", 36, 255),
    prefix("ghr_", "GitHub", 36, 255),
    prefix("github_pat_", "GitHub", 40, 255),
    prefix("glpat-", "GitLab", 20, 64),
    prefix("xoxa-", "Slack", 20, 255),
    prefix("xoxb-", "Slack", 20, 255),
    prefix("xoxp-", "Slack", 20, 255),
    prefix("xoxr-", "Slack", 20, 255),
    prefix("xoxs-", "Slack", 20, 255),
    prefix("sk_live_", "Stripe", 16, 255),
    prefix("rk_live_", "Stripe", 16, 255),
    prefix("sk_test_", "Stripe (test)", 16, 255),
    prefix("SG.", "SendGrid", 60, 70),
    prefix("npm_", "npm", 36, 36),
    prefix("hvs.", "Vault", 24, 255),
    prefix("dop_v1_", "DigitalOcean", 64, 64),
    prefix("sk-ant-", "Anthropic", 32, 255),
    prefix("sk-proj-", "OpenAI", 32, 255),
    prefix("hf_", "Hugging Face", 34, 40),
];

/// What a byte may be the begin of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sign {
    None,
    /// A token, when no letter or digit stands before.
    Word,
    Digit,
    Dash,
    Colon,
    Equals,
}

/// `Word` is the first letter of any of [`PREFIXES`], of a web token, and of an authorization.
fn sign(byte: u8) -> Sign {
    match byte {
        b'A' | b'S' | b'd' | b'g' | b'h' | b'n' | b'r' | b's' | b'x' | b'y' | b'e' | b'B' | b'b' => {
            Sign::Word
        }
        b'2'..=b'6' => Sign::Digit,
        b'-' => Sign::Dash,
        b':' => Sign::Colon,
        b'=' => Sign::Equals,
        _ => Sign::None,
    }
}

/// Calls `found` with each secret, from the first to the last, none within another.
pub(super) fn scan(text: &[u8], mut found: impl FnMut(Match)) {
    let (mut before, mut skip) = (b' ', 0);
    for (at, byte) in text.iter().enumerate() {
        let previous = std::mem::replace(&mut before, *byte);
        let sign = sign(*byte);
        if sign == Sign::None || at < skip {
            continue;
        }
        let starts = !(previous.is_ascii_alphanumeric() || previous == b'_' || previous >= 0x80);
        let rest = text.get(at..).unwrap_or_default();
        let one = match sign {
            // No token begins within another, however many of them follow each other.
            Sign::Word if starts && (previous != b'-' || *byte != b'e') => word(rest),
            Sign::Digit if starts => number(text, at),
            Sign::Dash if previous != b'-' => private_key(rest),
            Sign::Colon => password_in_url(rest),
            Sign::Equals => assignment(text, at),
            _ => None,
        };
        if let Some(one) = one {
            skip = at + one.end;
            found(Match { start: at + one.start, end: at + one.end, ..one });
        }
    }
}

fn matched(kind: Kind, confidence: Confidence, start: usize, end: usize) -> Option<Match> {
    Some(Match { kind, confidence, start, end })
}

/// How many bytes at the front are of a kind.
fn run(text: &[u8], most: usize, is: impl Fn(u8) -> bool) -> usize {
    text.iter().take(most).take_while(|b| is(**b)).count()
}

fn is_base64url(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'-' || b == b'_'
}

fn is_token(b: u8) -> bool {
    is_base64url(b) || matches!(b, b'.' | b'~' | b'+' | b'/' | b'=')
}

fn word(text: &[u8]) -> Option<Match> {
    match text.first()? {
        b'e' => web_token(text),
        b'B' | b'b' => authorization(text),
        _ => service_token(text),
    }
}

fn service_token(text: &[u8]) -> Option<Match> {
    let prefix = PREFIXES.iter().find(|p| text.starts_with(p.text))?;
    let body = text.get(prefix.text.len()..)?;
    let is_aws = prefix.service == "AWS";
    let is_part = |b: u8| {
        if is_aws { b.is_ascii_uppercase() || b.is_ascii_digit() } else { is_base64url(b) || b == b'.' }
    };
    let length = run(body, prefix.most + 1, is_part);
    let goes_on = is_aws && body.get(length).is_some_and(|b| b.is_ascii_alphanumeric());
    let value = body.get(..length)?;
    let mixed = value.iter().any(u8::is_ascii_digit) && value.iter().any(u8::is_ascii_alphabetic);
    let fits =
        (prefix.least..=prefix.most).contains(&length) && mixed && !goes_on && bits_per_byte(value) > 2.5;
    let confidence =
        if prefix.service.ends_with("(test)") { Confidence::Possible } else { Confidence::Certain };
    if !fits {
        return None;
    }
    matched(Kind::ServiceToken(prefix.service), confidence, 0, prefix.text.len() + length)
}

/// Two objects in JSON, packed, and a signature.
fn web_token(text: &[u8]) -> Option<Match> {
    const PART: usize = 16 * 1024;
    if !text.starts_with(b"eyJ") {
        return None;
    }
    let head = run(text, PART, is_base64url);
    let rest = text.get(head..)?.strip_prefix(b".")?;
    let body = run(rest, PART, is_base64url);
    let signature = rest.get(body..)?.strip_prefix(b".")?;
    let length = run(signature, PART, is_base64url);
    if head < 12 || body < 12 || !rest.starts_with(b"eyJ") {
        return None;
    }
    matched(Kind::WebToken, Confidence::Certain, 0, head + 1 + body + 1 + length)
}

fn authorization(text: &[u8]) -> Option<Match> {
    let after = |word: &[u8]| {
        let (first, rest) = text.split_at_checked(word.len())?;
        first.eq_ignore_ascii_case(word).then_some(rest)
    };
    if let Some(token) = after(b"bearer ") {
        let length = run(token, 4096, is_token);
        let value = token.get(..length)?;
        let mixed = value.iter().any(u8::is_ascii_digit) && value.iter().any(u8::is_ascii_alphabetic);
        if length >= 16 && mixed && bits_per_byte(value) >= 3.0 {
            return matched(Kind::Authorization, Confidence::Likely, 7, 7 + length);
        }
    }
    let token = after(b"basic ")?;
    let length = run(token, 1024, |b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'='));
    if length < 8 || !is_user_and_password(token.get(..length)?) {
        return None;
    }
    matched(Kind::Authorization, Confidence::Certain, 6, 6 + length)
}

/// Whether it is base64 of printable text with a colon in it.
fn is_user_and_password(packed: &[u8]) -> bool {
    let (mut bits, mut held, mut colon) = (0_u32, 0, false);
    for byte in packed.iter().filter(|b| **b != b'=') {
        let Some(value) = sextet(*byte) else { return false };
        bits = bits << 6 | value;
        held += 6;
        if held >= 8 {
            held -= 8;
            let one = (bits >> held & 0xff) as u8;
            colon |= one == b':';
            if one < 0x20 || one == 0x7f {
                return false;
            }
        }
    }
    colon
}

fn sextet(byte: u8) -> Option<u32> {
    Some(u32::from(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    }))
}

/// One in ten numbers of the right length has the right check digit: identifiers are no cards for that.
fn number(text: &[u8], at: usize) -> Option<Match> {
    let (before, rest) = text.split_at_checked(at)?;
    let card = cards::card(rest)?;
    let is_free = match before.last() {
        None | Some(b' ' | b'"' | b'\'' | b',' | b';' | b'(' | b'[' | b'>' | b'\n' | b'\t' | b'|') => true,
        Some(b'=' | b':') => card.grouped || announces_secret(name_before(text, at - 1)?),
        _ => false,
    };
    let confidence = if card.grouped { Confidence::Likely } else { Confidence::Possible };
    if !is_free {
        return None;
    }
    matched(Kind::CardNumber, confidence, 0, card.end)
}

/// The name that ends where an equals sign stands.
fn name_before(text: &[u8], at: usize) -> Option<&str> {
    let (before, _) = text.split_at_checked(at)?;
    let is_name = |b: &&u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    let length = before.iter().rev().take(NAME).take_while(is_name).count();
    std::str::from_utf8(before.get(before.len() - length..)?).ok()
}

/// The head of a private key, and enough of its body.
fn private_key(text: &[u8]) -> Option<Match> {
    let rest = text.strip_prefix(b"-----BEGIN ")?;
    let label = run(rest, 40, |b| b.is_ascii_uppercase() || b == b' ' || b.is_ascii_digit());
    let body = rest.get(label..)?.strip_prefix(b"-----")?;
    if !rest.get(..label)?.ends_with(b"PRIVATE KEY") {
        return None;
    }
    // Line ends may be written as signs of their own, as in JSON.
    let is_body = |b: u8| is_token(b) || b.is_ascii_whitespace() || b == b'\\';
    let length = run(body, 16 * 1024, |b| is_body(b) && b != b'-');
    let packed = body.get(..length)?.iter().filter(|b| b.is_ascii_alphanumeric()).count();
    if packed < KEY_BODY {
        return None;
    }
    let head = 11 + label + 5;
    matched(Kind::PrivateKey, Confidence::Certain, head, head + length)
}

/// From the colon on: `://user:password@host`.
fn password_in_url(text: &[u8]) -> Option<Match> {
    let rest = text.strip_prefix(b"://")?;
    let is_part = |b: u8| {
        b > 0x20 && b != 0x7f && !matches!(b, b'/' | b'?' | b'#' | b'@' | b':' | b'"' | b'\'' | b'<' | b'>')
    };
    let user = run(rest, NAME, is_part);
    let password = rest.get(user..)?.strip_prefix(b":")?;
    let length = run(password, PASSWORD, |b| is_part(b) || b == b':');
    let value = password.get(..length)?;
    let host = password.get(length..)?.strip_prefix(b"@")?.first()?;
    if value.is_empty() || is_no_value(value) || !(host.is_ascii_alphanumeric() || *host == b'[') {
        return None;
    }
    let start = 3 + user + 1;
    matched(Kind::PasswordInUrl, Confidence::Certain, start, start + length)
}

/// At an equals sign: a name before it that announces a secret, a value behind.
fn assignment(text: &[u8], at: usize) -> Option<Match> {
    let name = name_before(text, at)?;
    if !announces_secret(name) {
        return None;
    }
    let value = text.get(at + 1..)?;
    let is_value = |b: u8| {
        b > 0x20
            && b != 0x7f
            && !matches!(b, b'&' | b';' | b',' | b'"' | b'\'' | b'<' | b'>' | b')' | b']' | b'}')
    };
    let length = run(value, PASSWORD, is_value);
    let confidence = super::named::judge(name, value.get(..length)?)?;
    matched(Kind::Assignment, confidence, 1, 1 + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_prefix_is_looked_for() {
        assert!(PREFIXES.iter().all(|p| sign(p.text[0]) == Sign::Word));
    }
}
