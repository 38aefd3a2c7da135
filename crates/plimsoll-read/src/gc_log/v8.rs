//! What Node.js prints with `--trace-gc`: one life per isolate of each process. What a mark-compact leaves is alive.

use super::event::{Collection, Collector, Event, Kind, Stamp};
use crate::v8_trace_gc::{self, Kind as Of};

/// The isolate of a line, as the line names it, with what the line tells.
pub(super) fn line(text: &str, mut tell: impl FnMut(&str, Stamp, Event)) {
    let text = text.trim_ascii();
    let Some(c) = v8_trace_gc::line(text) else { return };
    let isolate = text.strip_prefix('[').and_then(|t| t.split_once(']')).map_or("", |(i, _)| i);
    let at = Stamp { uptime: Some(c.at_ms / 1e3), unix: None };
    let whole = c.kind == Of::MarkCompact;
    let collection = Collection {
        id: None,
        uptime: at.uptime,
        unix: None,
        kind: if whole { Kind::Concurrent } else { Kind::Young },
        by: Some(Collector::V8),
        explicit: text.contains("gc forced by") || text.contains("testing"),
        failed: false,
        before: c.before,
        after: c.after,
        capacity: Some(c.committed),
        pause_seconds: pause(text),
    };
    tell(isolate, at, Event::Collection(collection));
    if whole {
        tell(isolate, at, Event::Live { id: 0, bytes: c.after, young: None });
    }
}

/// Milliseconds after the sizes, as seconds: `… MB, 1.2 / 0.0 ms`, also after `pooled: 0 MB`.
fn pause(text: &str) -> Option<f64> {
    let (_, rest) = text.split_once(" -> ")?;
    let (_, rest) = rest.split_once(") MB, ")?;
    let rest = rest.strip_prefix("pooled: ").and_then(|r| r.split_once(" MB, ")).map_or(rest, |(_, r)| r);
    super::unified::number(rest.split(' ').next()?).map(|ms| ms / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn isolates_and_pauses() {
        let mut seen = Vec::new();
        for text in [
            "[95:0x7f]      712 ms: Mark-Compact 65.1 (81.5) -> 60.0 (78.0) MB, pooled: 0 MB, 8.5 / 0.0 ms",
            "[96:0x7e] 28 ms: Scavenge 2.0 (2.3) -> 1.5 (3.3) MB, 0.5 / 0.0 ms  (average mu = 1.000) allocation failure;",
        ] {
            line(text, |isolate, at, e| seen.push((isolate.to_owned(), at.uptime, e)));
        }
        let [
            (a, _, Event::Collection(whole)),
            (_, at, Event::Live { bytes, .. }),
            (b, _, Event::Collection(young)),
        ] = seen.as_slice()
        else {
            panic!("{seen:?}")
        };
        assert_eq!((a.as_str(), b.as_str(), *at), ("95:0x7f", "96:0x7e", Some(0.712)));
        assert_eq!((whole.pause_seconds, young.pause_seconds), (Some(0.0085), Some(0.0005)));
        assert_eq!((*bytes, whole.kind, young.kind), (60.0 * 1_048_576.0, Kind::Concurrent, Kind::Young));
    }
}
