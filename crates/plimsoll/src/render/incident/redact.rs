//! What does not leave in a write-up unless it is asked for: paths, addresses, and what looks like a secret.

use plimsoll_read::secrets;

/// How texts go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Words {
    /// As they are.
    Raw,
    /// Without what tells of the machine.
    Redacted,
}

impl Words {
    pub(crate) fn of(self, text: &str) -> String {
        match self {
            Words::Raw => text.to_owned(),
            Words::Redacted => without_secrets(text).split(' ').map(word).collect::<Vec<_>>().join(" "),
        }
    }
}

fn without_secrets(text: &str) -> String {
    let mut found: Vec<(usize, usize)> = Vec::new();
    secrets::scan(text.as_bytes(), None, |m| found.push((m.start, m.end)));
    found.sort_unstable();
    let (mut out, mut at) = (String::new(), 0);
    for (start, end) in found {
        if start >= at && text.is_char_boundary(start) && text.is_char_boundary(end) {
            out.push_str(text.get(at..start).unwrap_or_default());
            out.push_str("(secret)");
            at = end;
        }
    }
    out + text.get(at..).unwrap_or_default()
}

/// One word: of a path the last part stays, of an address nothing.
fn word(word: &str) -> String {
    let core = word.trim_matches(|c: char| matches!(c, ',' | ';' | ':' | '.' | '(' | ')' | '"' | '\''));
    let masked = if core.starts_with('/') && core.trim_end_matches('/').matches('/').count() > 1 {
        let last = core.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        format!("…/{last}")
    } else if is_address(core) {
        "(address)".to_owned()
    } else {
        return word.to_owned();
    };
    word.replacen(core, &masked, 1)
}

/// IP addresses with or without a port, hosts of URLs, mail.
fn is_address(word: &str) -> bool {
    let host = word
        .rsplit_once(':')
        .map_or(word, |(host, port)| if port.bytes().all(|b| b.is_ascii_digit()) { host } else { word });
    let mail = || word.split_once('@').is_some_and(|(who, host)| !who.is_empty() && host.contains('.'));
    let host = host.trim_matches(|c| c == '[' || c == ']');
    host.parse::<std::net::IpAddr>().is_ok() || word.contains("://") || mail()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tells_of_the_machine_is_masked_and_the_rest_stays() {
        for (text, told) in [
            ("stored in /var/lib/plimsoll/captures/7-heap.", "stored in …/7-heap."),
            ("control group /shop", "control group /shop"),
            ("asked 10.1.2.3:8080, no answer", "asked (address), no answer"),
            ("see https://ci.example.org/job/7", "see (address)"),
            ("by ann@example.org: 3 min left", "by (address): 3 min left"),
            ("12 MiB/s at 60 % (light → heavy)", "12 MiB/s at 60 % (light → heavy)"),
            ("key AKIAIOSFODNN7EXAMPLE was in it", "key (secret) was in it"),
        ] {
            assert_eq!(Words::Redacted.of(text), told);
            assert_eq!(Words::Raw.of(text), text);
        }
    }
}
