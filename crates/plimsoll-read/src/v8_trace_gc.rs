//! Lines of `node --trace-gc`: `[pid:0x…] 1234 ms: Mark-Compact 12.3 (20.1) -> 8.9 (19.0) MB, 1.2 / 0.0 ms …`.
//!
//! Node 16 to 24 differ in what stands around the sizes (isolate number, pooled size, reasons), not in them.

/// What a collection was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Young generation only: what it leaves holds old garbage.
    Scavenge,
    /// The whole heap: what it leaves is live.
    MarkCompact,
}

/// One collection; sizes in bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Collection {
    /// Milliseconds since the isolate's start.
    pub at_ms: f64,
    /// What it was.
    pub kind: Kind,
    /// In use before.
    pub before: f64,
    /// In use after.
    pub after: f64,
    /// Committed after.
    pub committed: f64,
}

const MB: f64 = 1024.0 * 1024.0;

/// Reads one line; `None` when it is no collection.
pub fn line(text: &str) -> Option<Collection> {
    let (head, rest) = text.split_once(" ms: ")?;
    let at_ms = amount(head.split_ascii_whitespace().next_back()?)?;
    let kind = if rest.starts_with("Scavenge") {
        Kind::Scavenge
    } else if rest.starts_with("Mark-") || rest.starts_with("Mark Compact") {
        Kind::MarkCompact
    } else {
        return None;
    };
    let (before, after) = rest.split_once(" -> ")?;
    let (before, _) = sizes(before.get(before.find(|c: char| c.is_ascii_digit())?..)?)?;
    let (after, committed) = sizes(after)?;
    Some(Collection { at_ms, kind, before, after, committed })
}

/// `12.3 (20.1) …` as bytes.
fn sizes(text: &str) -> Option<(f64, f64)> {
    let (used, rest) = text.split_once(" (")?;
    let (committed, _) = rest.split_once(')')?;
    let bytes = |t: &str| amount(t.trim()).map(|v| v * MB).filter(|v| v.is_finite());
    Some((bytes(used)?, bytes(committed)?))
}

/// A number that can be meant: finite and not negative.
fn amount(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().filter(|v| v.is_finite() && *v >= 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_of_several_versions() {
        for (text, kind, after) in [
            (
                "[95:0x7f] 28 ms: Scavenge 2.0 (2.3) -> 1.6 (3.3) MB, 0.6 / 0.0 ms  (average mu = 1.000) allocation failure;",
                Kind::Scavenge,
                1.6,
            ),
            (
                "[95:0x7f]      712 ms: Mark-sweep (reduce) 65.1 (81.5) -> 60.2 (78.0) MB, 8.1 / 0.0 ms",
                Kind::MarkCompact,
                60.2,
            ),
            (
                "[1:0x55] 9001 ms: Mark-Compact 12.3 (20.1) -> 8.9 (19.0) MB, pooled: 0 MB, 1.2 / 0.0 ms",
                Kind::MarkCompact,
                8.9,
            ),
            ("[1:0x55] 90 ms: Mark-Compact (reduce) 4.5 (6.4) -> 3.9 (7.1) MB, 2 ms", Kind::MarkCompact, 3.9),
        ] {
            let c = line(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((c.kind, c.after), (kind, after * MB), "{text}");
            assert!(c.committed > c.after);
        }
        assert_eq!(line("listening on 3000"), None);
        assert_eq!(line("x ms: Scavenge"), None);
    }

    #[test]
    fn numbers_that_cannot_be_meant_are_no_collection() {
        // Found by fuzzing: a time that is no number or negative, sizes that overflow only as bytes.
        for head in ["nan", "inf", "-5", "1e999"] {
            assert_eq!(
                line(&format!("[1:0x5] {head} ms: Scavenge 2.0 (2.3) -> 1.6 (3.3) MB")),
                None,
                "{head}"
            );
        }
        let huge = format!("1{}", "0".repeat(308));
        assert_eq!(line(&format!("[1:0x5] 5 ms: Scavenge {huge} (2.3) -> 1.6 (3.3) MB")), None);
    }

    #[test]
    fn every_cut_is_survived() {
        let text = "[95:0x7f] 28 ms: Scavenge 2.0 (2.3) -> 1.6 (3.3) MB, 0.6 / 0.0 ms";
        for i in 0..text.len() {
            let _read = line(&text[..i]);
        }
    }
}
