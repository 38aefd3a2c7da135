//! What Go prints with `GODEBUG=gctrace=1`: `gc 1 @0.012s 2%: 0.026+0.39+0.10 ms clock, … ms cpu, 4->4->1 MB, 5 MB
//! goal, … 8 P`. The third size is what marking found alive.

use super::event::{Collection, Collector, Event, Kind, Stamp};
use super::unified::number;

const MIB: f64 = 1_048_576.0;

/// One line: the collection, what it found alive, and its work beside the program.
pub(super) fn line(text: &str, mut tell: impl FnMut(Stamp, Event)) {
    let Some((at, events)) = read(text.trim_ascii()) else { return };
    events.into_iter().for_each(|e| tell(at, e));
}

fn read(text: &str) -> Option<(Stamp, [Event; 3])> {
    // A log may put its own words before it.
    let start = if text.starts_with("gc ") { 0 } else { text.find(" gc ")? + 1 };
    let (id, rest) = text.get(start + 3..)?.split_once(" @")?;
    let id = id.parse().ok()?;
    let (uptime, rest) = rest.split_once("s ")?;
    let at = Stamp { uptime: Some(number(uptime)?), unix: None };
    let (_, rest) = rest.split_once("%: ")?;
    let (clock, rest) = rest.split_once(" ms clock, ")?;
    let mut phases = clock.split('+').map(|p| number(p).map(|ms| ms / 1e3));
    let (stop, beside, end) = (phases.next()??, phases.next()??, phases.next()??);
    let (_, rest) = rest.split_once(" ms cpu, ")?;
    let (sizes, rest) = rest.split_once(" MB")?;
    let mut sizes = sizes.split("->").map(|s| number(s).map(|v| v * MIB));
    let (before, _, live) = (sizes.next()??, sizes.next()??, sizes.next()??);
    let collection = Collection {
        id: Some(id),
        uptime: at.uptime,
        unix: None,
        kind: Kind::Concurrent,
        by: Some(Collector::Go),
        explicit: rest.contains("(forced)"),
        failed: false,
        before,
        after: live,
        // The goal is no room that was taken.
        capacity: None,
        pause_seconds: Some(stop + end),
    };
    let marked = Event::Live { id, bytes: live, young: None };
    Some((at, [Event::Collection(collection), marked, Event::Concurrent { length: beside, whole: false }]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_each_version() {
        for text in [
            "gc 7 @0.512s 2%: 0.026+0.39+0.10 ms clock, 0.21+0.88/0.52/0+0.80 ms cpu, 4->5->1 MB, 5 MB goal, 8 P",
            "2026/01/01 10:00:00 app: gc 7 @0.512s 2%: 0.026+0.39+0.10 ms clock, 0.21+0.88/0.52/0+0.80 ms cpu, 4->5->1 MB, 5 MB goal, 0 MB stacks, 0 MB globals, 2 P (forced)",
        ] {
            let (at, [collection, marked, _]) = read(text).unwrap();
            let Event::Collection(c) = collection else { panic!("{collection:?}") };
            assert_eq!((at.uptime, c.id, c.before, c.after), (Some(0.512), Some(7), 4.0 * MIB, MIB));
            assert_eq!((c.capacity, c.explicit), (None, text.ends_with("(forced)")));
            assert!((c.pause_seconds.unwrap() - 126e-6).abs() < 1e-12);
            assert_eq!(marked, Event::Live { id: 7, bytes: MIB, young: None });
        }
        for text in
            ["", "gc ", "gc 7 @", "gc x @1s 2%: 1+2+3 ms clock, 1 ms cpu, 1->2->3 MB", " gc 1 @-1s 1%:"]
        {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
