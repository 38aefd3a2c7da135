//! HotSpot's unified collection log (`-Xlog:gc*`, JDK 9 and later), one line at a time.
//!
//! Only lines that end a collection count as one; a mark, a remark or a cleanup pause collects nothing.

use jiff::fmt::strtime;

use super::event::{Collection, Collector, Event, Kind, Mishap, Stamp, is_asked_for};

/// The collections of a log, in its order. Lines that tell none are passed over.
pub fn collections(text: &str) -> impl Iterator<Item = Collection> + '_ {
    text.lines().filter_map(collection)
}

/// A time with its date is at least that long, bytes.
const DATED: usize = 20;
/// Milliseconds above this are no uptime but Unix time (1973; an uptime of three years).
const UNIX_MILLIS: f64 = 1e11;

/// The decorators of a line, and its message. Most lines end here, so it goes byte by byte.
fn split(line: &str) -> (&str, &str) {
    let line = line.trim_ascii();
    let bytes = line.as_bytes();
    let mut at = 0;
    while bytes.get(at) == Some(&b'[') {
        let Some(length) = bytes.iter().skip(at).position(|b| *b == b']') else { break };
        at += length + 1;
        at += bytes.iter().skip(at).take_while(|b| **b == b' ').count();
    }
    line.split_at_checked(at).unwrap_or(("", line))
}

/// The number of a collection and what is said of it: `7) Pause …`.
fn numbered(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (id, rest) = text.split_at_checked(digits)?;
    Some((id.parse().ok()?, rest.strip_prefix(')')?.trim_ascii_start()))
}

fn stamp(decorators: &str) -> Stamp {
    let mut out = Stamp::default();
    for decorator in decorators.split(['[', ']']) {
        match instant(decorator.trim_ascii()) {
            Some(Instant::Uptime(s)) => out.uptime = out.uptime.or(Some(s)),
            Some(Instant::Unix(s)) => out.unix = out.unix.or(Some(s)),
            None => {}
        }
    }
    out
}

/// What a line tells, and when.
pub(super) fn event(line: &str) -> Option<(Stamp, Event)> {
    let (decorators, message) = split(line);
    let event = match message.strip_prefix("GC(") {
        Some(rest) => {
            let (id, rest) = numbered(rest)?;
            of_cycle(id, rest)?
        }
        None => beside(message)?,
    };
    Some((stamp(decorators), event))
}

/// Lines that belong to no one collection.
fn beside(message: &str) -> Option<Event> {
    let after = |prefix: &str| message.strip_prefix(prefix).map(str::trim_ascii);
    match message.as_bytes().first()? {
        b'U' if message.starts_with("Uncommit") => given_back(message),
        b'U' => after("Using ").and_then(Collector::named).map(Event::Using),
        b'H' => {
            if let Some(v) = after("Heap Max Capacity:") {
                return size(v).map(Event::HeapMax);
            }
            let region = after("Heap Region Size:").or_else(|| after("Heap region size:"));
            if let Some(v) = region {
                return size(v).map(Event::Region);
            }
            let (megabytes, _) =
                message.strip_prefix("Heap address:")?.split_once("size: ")?.1.split_once(" MB")?;
            number(megabytes).map(|v| Event::HeapMax(v * 1_048_576.0))
        }
        b'M' => after("Max Capacity:").and_then(size).map(Event::HeapMax),
        b'A' => {
            let text = after("Allocation Stall (")?;
            let length = text.rsplit(' ').next().and_then(seconds)?;
            Some(Event::Mishap(Mishap::Stall, length))
        }
        b'T' => {
            let (_, live) = after("Trigger (Old):")?.split_once("live at end of previous OLD marking: ")?;
            size(live.split(',').next()?).map(Event::OldWas)
        }
        b'C' if message.starts_with("CommandLine flags:") => max_heap(message).map(Event::HeapMax),
        b'C' => {
            let (_, committed) = after("Concurrent uncommit")?.split_once('(')?;
            size(committed.split_once(')')?.0).map(Event::Committed)
        }
        _ => None,
    }
}

/// `Uncommitted: 10M(1%)`, `Uncommitter (0) Uncommitted: 10M(1%) in 1.066ms`.
fn given_back(message: &str) -> Option<Event> {
    let (_, bytes) = message.split_once("Uncommitted: ")?;
    size_of_share(bytes).map(Event::GivenBack)
}

/// `-XX:MaxHeapSize=1073741824` among the flags of a command line.
pub(super) fn max_heap(flags: &str) -> Option<f64> {
    let (_, value) = flags.split_once("-XX:MaxHeapSize=")?;
    number(value.split(' ').next()?)
}

/// A line of collection `id`.
fn of_cycle(id: u64, text: &str) -> Option<Event> {
    let (generation, text) = match text.as_bytes() {
        [b'O', b':', ..] => (Some('O'), text.get(2..)?.trim_ascii_start()),
        [b'Y' | b'y', b':', ..] => (Some('Y'), text.get(2..)?.trim_ascii_start()),
        _ => (None, text),
    };
    match text.as_bytes().first()? {
        b'P' => paused(id, text),
        b'G' | b'M' => {
            if let Some(rest) = text.strip_prefix("Metaspace:") {
                return metaspace(rest).map(Event::Metaspace);
            }
            ended(id, text).map(Event::Collection)
        }
        b'C' if text.starts_with("Collectable Garbage:") => garbage(id, text),
        b'I' => garbage(id, text),
        b'C' => concurrent(id, text),
        b'L' => {
            let mut marked = text.strip_prefix("Live:")?.split_ascii_whitespace().skip(1);
            let bytes = marked.next().and_then(size_of_share)?;
            Some(Event::Live { id, bytes, young: generation.map(|g| g == 'Y') })
        }
        b'O' => old(text),
        b'A' => {
            let (_, used) = text.strip_prefix("At end of ")?.split_once("Old generation used: ")?;
            size(used.split([' ', ',']).next()?).map(Event::OldLive)
        }
        b'T' => {
            if text.starts_with("To-space exhausted") {
                return Some(Event::Mishap(Mishap::ToSpace, 0.0));
            }
            amounts(text.strip_prefix("Tenured:")?, Collector::Serial)
        }
        b'H' => {
            let (_, after) = text.strip_prefix("Humongous regions:")?.split_once("->")?;
            number(after.split('(').next()?.trim()).map(Event::Humongous)
        }
        _ => None,
    }
}

fn paused(id: u64, text: &str) -> Option<Event> {
    // `Pre Evacuate Collection Set`, `Post …`: of each pause several such lines, of which none says more.
    if !matches!(text.as_bytes(), [_, b'a' | b'S', ..] | [_, b'r' | b'R', b'o' | b'O', ..]) {
        return None;
    }
    if let Some(rest) = text.strip_prefix("ParOldGen:").or_else(|| text.strip_prefix("PSOldGen:")) {
        return amounts(rest, Collector::Parallel);
    }
    // Shenandoah says more on such a line: there it is an object that stays young.
    if text.eq_ignore_ascii_case("promotion failed") {
        return Some(Event::Mishap(Mishap::PromotionFailed, 0.0));
    }
    if let Some(pacer) = text.strip_prefix("Pacer for ") {
        return paced(pacer);
    }
    let pause = text.strip_prefix("Pause ")?;
    if let Some(rest) = pause.strip_prefix("Final Mark (Old) ") {
        return seconds(rest).map(Event::OldMarked);
    }
    match ended(id, text) {
        Some(c) => Some(Event::Collection(c)),
        // What starts is said without a length.
        None => {
            let length = pause.rsplit(' ').next().and_then(seconds)?;
            Some(if frees(pause) { Event::Freed(length) } else { Event::Pause(length) })
        }
    }
}

/// `Remark 134M->112M(256M) 0.459ms`: whether less is in use after it.
fn frees(pause: &str) -> bool {
    let mut words = pause.split_ascii_whitespace();
    let is_g1 = matches!(words.next(), Some("Remark" | "Cleanup"));
    let change = words.next().and_then(|w| w.split_once("->"));
    let sizes = change.and_then(|(before, after)| Some((size(before)?, size(after.split('(').next()?)?)));
    is_g1 && sizes.is_some_and(|(before, after)| after < before)
}

/// `Mark. Expected Live: 24M, Free: 30M, …`, `Evacuation. Used CSet: 6M, Free: 58M, …`.
fn paced(pacer: &str) -> Option<Event> {
    let after = |name: &str| size(pacer.split_once(name)?.1.split(',').next()?);
    let free = after(", Free: ");
    if pacer.starts_with("Mark.") {
        return Some(Event::Marks { expected: after(" Expected Live: ")?, free });
    }
    pacer.starts_with("Evacuation.").then_some(Event::Evacuates { free: free? })
}

/// `Collectable Garbage: 478M (100%), Immediate: 316M (66%), …`; JDK 11 has two lines, `Collectable Garbage: 5M (8% of
/// total), …` and `Immediate Garbage: 57M (84% of total), …`, of which neither holds the other.
fn garbage(id: u64, text: &str) -> Option<Event> {
    let at_once = text.strip_prefix("Immediate Garbage:");
    let (bytes, rest) =
        at_once.or_else(|| text.strip_prefix("Collectable Garbage:"))?.trim().split_once(" (")?;
    let (percent, rest) = rest.split_once('%')?;
    let bytes = size(bytes)?;
    let within = rest.split_once("Immediate: ").and_then(|(_, v)| size(v.split(' ').next()?));
    let immediate = if at_once.is_some() { bytes } else { within.unwrap_or(0.0) };
    Some(Event::Garbage { id, bytes, percent: number(percent)?, immediate })
}

fn concurrent(id: u64, text: &str) -> Option<Event> {
    if let Some(rest) = text.strip_prefix("CMS:") {
        return amounts(rest, Collector::Cms);
    }
    let rest = text.strip_prefix("Concurrent ")?;
    if rest.get(..12).is_some_and(|words| words.eq_ignore_ascii_case("mode failure")) {
        return Some(Event::Mishap(Mishap::ConcurrentMode, 0.0));
    }
    if let Some(c) = ended(id, text) {
        return Some(Event::Collection(c));
    }
    if let Some(length) = rest.strip_prefix("Sweep ") {
        return seconds(length).map(Event::Swept);
    }
    let whole = ["Mark Cycle", "Cycle", "Undo Cycle"].iter().any(|w| rest.starts_with(w));
    rest.rsplit(' ').next().and_then(seconds).map(|length| Event::Concurrent { length, whole })
}

fn old(text: &str) -> Option<Event> {
    let (before, after) = text.strip_prefix("Old regions:")?.split_once("->")?;
    let [before, after] = [before, after.split('(').next()?].map(|t| number(t.trim()));
    Some(Event::OldRegions { before: before?, after: after? })
}

/// `1166K(174784K)->1170K(174784K)` or `0K->33624K(106496K)` of the old generation.
fn amounts(text: &str, by: Collector) -> Option<Event> {
    let (before, after) = text.trim().split_once("->")?;
    let [before, after] = [before, after].map(|t| t.split('(').next().and_then(size));
    Some(Event::Old { before: before?, after: after?, by })
}

/// `3648K->3648K(1056768K)`, `10053K(10304K)->10053K(10304K) …`, `17M used, …`: what is in use after.
fn metaspace(text: &str) -> Option<f64> {
    let text = text.trim();
    match text.split_once("->") {
        Some((_, after)) => size(after.split('(').next()?),
        None => size(text.strip_suffix("reserved").and(text.split(' ').next())?),
    }
}

/// `14M` of `14M (1%)`.
fn size_of_share(text: &str) -> Option<f64> {
    size(text.split('(').next()?)
}

fn collection(line: &str) -> Option<Collection> {
    match event(line)? {
        (at, Event::Collection(c)) => Some(Collection { uptime: at.uptime, unix: at.unix, ..c }),
        _ => None,
    }
}

/// The collection that a line ends.
fn ended(id: u64, event: &str) -> Option<Collection> {
    let kind = kind(event)?;
    let mut words = event.split_ascii_whitespace().skip_while(|w| !w.contains("->"));
    let (before, after) = words.next()?.split_once("->")?;
    let (after, bracket) = after.split_once('(')?;
    let before = before.split('(').next()?;
    let length = words.next().and_then(seconds);
    let beside = matches!(kind, Kind::Concurrent | Kind::Minor);
    Some(Collection {
        id: Some(id),
        uptime: None,
        unix: None,
        kind,
        by: wording(event),
        explicit: is_asked_for(event),
        failed: event.contains("(Evacuation Failure"),
        before: size(before)?,
        after: size(after)?,
        // A line that was cut within the bracket has no closing one.
        capacity: size(bracket.strip_suffix(')')?),
        pause_seconds: length.filter(|_| !beside),
    })
}

/// The collector that words a collection so.
fn wording(event: &str) -> Option<Collector> {
    let is = |prefix: &str| event.starts_with(prefix);
    if is("Major Collection") || is("Minor Collection") {
        return Some(Collector::GenerationalZ);
    }
    if is("Garbage Collection") {
        return Some(Collector::Z);
    }
    if is("Concurrent cleanup") || is("Pause Degenerated GC") {
        let generations = ["(Young)", "(Old)", "(Global)"].iter().any(|w| event.contains(w));
        return Some(if generations { Collector::GenerationalShenandoah } else { Collector::Shenandoah });
    }
    event.contains("(G1 ").then_some(Collector::G1)
}

fn kind(event: &str) -> Option<Kind> {
    let is = |prefix: &str| event.starts_with(prefix);
    if is("Pause Young (Mixed)") || is("Pause Mixed") {
        return Some(Kind::Mixed);
    }
    // JDK 9 and 10 call G1's young pause that also starts a cycle by the mark; CMS's mark collects nothing.
    if is("Pause Young") || is("Pause Initial Mark (G1") {
        return Some(Kind::Young);
    }
    if is("Pause Full") {
        return Some(Kind::Full);
    }
    if is("Pause Degenerated GC") {
        return Some(Kind::Degenerated);
    }
    if is("Minor Collection") || is("Concurrent cleanup (Young)") {
        return Some(Kind::Minor);
    }
    // The words of ZGC, of generational ZGC, and of Shenandoah's last phase.
    let cycle = ["Garbage Collection", "Major Collection", "Concurrent cleanup"];
    cycle.iter().any(|c| is(c)).then_some(Kind::Concurrent)
}

pub(super) enum Instant {
    Uptime(f64),
    Unix(f64),
}

/// `2.720s`, `2,048s`, `245ms`, `245000000ns`, `2022-11-10T03:37:32.146-0800`.
pub(super) fn instant(text: &str) -> Option<Instant> {
    if !text.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    if let Some(s) = seconds(text) {
        return Some(if s > UNIX_MILLIS / 1000.0 { Instant::Unix(s) } else { Instant::Uptime(s) });
    }
    if text.len() < DATED {
        return None;
    }
    let text = text.replacen(',', ".", 1);
    let text = text.strip_suffix('Z').map_or_else(|| text.clone(), |t| format!("{t}+0000"));
    let time = strtime::parse("%Y-%m-%dT%H:%M:%S%.f%z", text).ok()?.to_timestamp().ok()?;
    Some(Instant::Unix(time.as_millisecond() as f64 / 1000.0))
}

/// A duration with its unit; the decimal sign follows the JVM's locale.
pub(super) fn seconds(text: &str) -> Option<f64> {
    let units = [("ms", 1e3), ("us", 1e6), ("ns", 1e9), ("s", 1.0)];
    let (digits, parts) = units.iter().find_map(|(unit, parts)| Some((text.strip_suffix(unit)?, parts)))?;
    let value = if digits.contains(',') { number(&digits.replacen(',', ".", 1)) } else { number(digits) };
    value.map(|v| v / parts)
}

/// `123M`.
pub(super) fn size(text: &str) -> Option<f64> {
    let units = [('B', 0), ('K', 10), ('M', 20), ('G', 30), ('T', 40)];
    let (digits, shift) = units.iter().find_map(|(unit, shift)| Some((text.strip_suffix(*unit)?, *shift)))?;
    number(digits).map(|v| v * (1_u64 << shift) as f64)
}

/// A plain decimal number: no sign, no exponent, no word such as `inf`.
pub(super) fn number(text: &str) -> Option<f64> {
    let plain = text.starts_with(|c: char| c.is_ascii_digit())
        && text.len() <= 20
        && text.chars().all(|c| c.is_ascii_digit() || c == '.');
    plain.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;

    const MIB: f64 = 1_048_576.0;

    fn one(line: &str) -> Collection {
        collection(line).unwrap_or_else(|| unreachable!("no collection in {line}"))
    }

    #[test]
    fn every_collector_and_decorator() {
        let c = one(
            "[2022-11-10T03:37:32.146-0800][2.720s][info ][gc           ] GC(0) Pause Young (Normal) (G1 Evacuation Pause) 116M->40M(2048M) 21.861ms",
        );
        assert_eq!((c.uptime, c.unix), (Some(2.72), Some(1_668_080_252.146)));
        assert_eq!((c.before, c.after, c.capacity), (116.0 * MIB, 40.0 * MIB, Some(2048.0 * MIB)));
        assert_eq!((c.kind, c.pause_seconds), (Kind::Young, Some(21.861 / 1e3)));
        let full = one("[1.572s][info][gc] GC(1) Pause Full (System.gc()) 2M->2M(1G) 0,797s");
        assert_eq!(
            (full.kind, full.pause_seconds, full.capacity),
            (Kind::Full, Some(0.797), Some(1024.0 * MIB))
        );
        let asked =
            one("[8.4s][info][gc] GC(0) Pause Full (Heap Inspection Initiated GC) 6M->5M(27M) 17.283ms");
        assert!(full.explicit && asked.explicit && !c.explicit);
        let z = one("[2,048s][info][gc] GC(1) Garbage Collection (Warmup) 208M(20%)->164M(16%)");
        assert_eq!(
            (z.kind, z.after, z.capacity, z.uptime),
            (Kind::Concurrent, 164.0 * MIB, None, Some(2.048))
        );
        let z = one("[9.1s][info][gc] GC(4) Major Collection (Proactive) 64M(40%)->32M(20%) 0.110s");
        assert_eq!((z.kind, z.pause_seconds), (Kind::Concurrent, None));
        let s = one("[245ms][info][gc] GC(0) Concurrent cleanup 1593M->1282M(1606M) 0.199ms");
        assert_eq!((s.kind, s.seconds()), (Kind::Concurrent, Some(245.0 / 1e3)));
        let bare = one("GC(7) Pause Young (Allocation Failure) 16384K->6144K(61M) 1ms");
        assert_eq!((bare.seconds(), bare.after), (None, 6.0 * MIB));
        assert_eq!(
            one("[1668080252146ms] GC(7) Pause Full (x) 1M->1M(1M) 1ms").unix,
            Some(1_668_080_252.146)
        );
    }

    #[test]
    fn what_collects_nothing_is_passed_over() {
        for line in [
            "[4.581s][info][gc] GC(2) Pause Remark 43M->43M(2048M) 3.931ms",
            "[4.585s][info][gc] GC(2) Pause Cleanup 43M->43M(2048M) 0.186ms",
            "[0.310s][info][gc] GC(3) Pause Initial Mark 91M->91M(150M) 0.165ms",
            "[0.310s][info][gc,start] GC(3) Pause Young (Normal) (G1 Evacuation Pause)",
            "[0.310s][info][gc,heap] GC(0) Eden regions: 51->0(44)",
            "[0.021s][info][gc] Using G1",
            "GC(1) Pause Young (x) -1M->2M(3M) 1ms",
            "GC(1) Pause Young (x) 1M->infM(3M) 1ms",
            "",
            "[[[[",
        ] {
            assert_eq!(collection(line), None, "{line}");
        }
        assert!(
            collection("[0.3s] GC(5) Pause Initial Mark (G1 Evacuation Pause) 80M->80M(128M) 6ms").is_some()
        );
    }

    #[test]
    fn a_line_cut_anywhere_gives_no_wrong_size() {
        let line = "[31.249s][info][gc] GC(0) Pause Young (G1 Evacuation Pause) 24M->11M(256M) 7.965ms";
        let whole = one(line);
        for cut in 0..line.len() {
            let Some(c) = collection(&line[..cut]) else { continue };
            assert_eq!((c.before, c.after, c.capacity), (whole.before, whole.after, whole.capacity), "{cut}");
        }
    }

    #[test]
    #[expect(clippy::print_stderr, reason = "a skipped test says so")]
    #[expect(clippy::disallowed_methods, reason = "the corpus lies outside the repository")]
    fn logs_of_other_peoples_systems() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus/gclog");
        if !folder.is_dir() {
            eprintln!("SKIPPED: no corpus of collection logs at {}", folder.display());
            return;
        }
        let (mut logs, mut total) = (0, 0);
        for entry in std::fs::read_dir(&folder).unwrap().flatten() {
            let text = String::from_utf8_lossy(&std::fs::read(entry.path()).unwrap()).into_owned();
            let all: Vec<Collection> = collections(&text).collect();
            let name = entry.file_name().into_string().unwrap();
            // By the words of the line alone: how many pauses ended.
            let pauses = text
                .lines()
                .filter(|l| (l.contains(") Pause Young") || l.contains(") Pause Full")) && l.contains("M->"))
                .count();
            if name.starts_with("preunified") {
                assert!(all.is_empty(), "{name}: not a unified log");
                continue;
            }
            assert!(all.len() >= pauses, "{name}: {} < {pauses}", all.len());
            assert!(all.iter().all(|c| c.seconds().is_some() && c.after < 1e12), "{name}");
            logs += usize::from(!all.is_empty());
            total += all.len();
        }
        assert!(logs >= 15 && total >= 1500, "{total} collections in {logs} logs");
    }

    proptest! {
        #[test]
        fn hostile_lines_never_panic(text in "\\PC{0,120}", tail in "[0-9MGK.,()>%-]{0,40}") {
            let parsed = [
                collection(&text),
                collection(&format!("[{text}] GC(1) Pause Full {tail}")),
                collection(&format!("[1s] GC(1) Garbage Collection ({text}) {tail}")),
            ];
            for c in parsed.into_iter().flatten() {
                prop_assert!(c.after >= 0.0 && c.before >= 0.0 && c.after.is_finite());
            }
        }
    }
}
