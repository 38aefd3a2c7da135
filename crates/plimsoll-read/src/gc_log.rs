//! HotSpot's unified collection log (`-Xlog:gc*`, JDK 9 and later): heap before and after each collection.
//!
//! Only lines that end a collection count; a mark, a remark or a cleanup pause collects nothing.

use jiff::fmt::strtime;

/// What kind of collection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A young or mixed pause: what survives may hold garbage of the old generation.
    Young,
    /// A pause that collects the whole heap.
    Full,
    /// A cycle beside the program (ZGC, Shenandoah).
    Concurrent,
}

/// One collection, as its log line tells it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Collection {
    /// Seconds since the JVM's start, when the line is decorated with it.
    pub uptime: Option<f64>,
    /// Unix time in seconds, when the line is decorated with it.
    pub unix: Option<f64>,
    /// Kind.
    pub kind: Kind,
    /// Heap in use before, bytes.
    pub before: f64,
    /// Heap in use after, bytes.
    pub after: f64,
    /// Heap committed after, bytes; ZGC says shares instead.
    pub capacity: Option<f64>,
    /// Length of the pause, seconds; none for what runs beside the program.
    pub pause_seconds: Option<f64>,
}

impl Collection {
    /// Uptime in seconds, else Unix time in seconds, else none.
    pub fn seconds(&self) -> Option<f64> {
        self.uptime.or(self.unix)
    }
}

/// The collections of a log, in its order. Lines that tell none are passed over.
pub fn collections(text: &str) -> impl Iterator<Item = Collection> + '_ {
    text.lines().filter_map(collection)
}

/// Milliseconds above this are no uptime but Unix time (1973; an uptime of three years).
const UNIX_MILLIS: f64 = 1e11;

fn collection(line: &str) -> Option<Collection> {
    let (mut uptime, mut unix) = (None, None);
    let mut rest = line.trim_start();
    while let Some((decorator, tail)) = rest.strip_prefix('[').and_then(|r| r.split_once(']')) {
        match instant(decorator.trim()) {
            Some(Instant::Uptime(s)) => uptime = uptime.or(Some(s)),
            Some(Instant::Unix(s)) => unix = unix.or(Some(s)),
            None => {}
        }
        rest = tail.trim_start();
    }
    let (_, event) = rest.strip_prefix("GC(")?.split_once(") ")?;
    let kind = kind(event.trim_start())?;
    let mut words = event.split_ascii_whitespace().skip_while(|w| !w.contains("->"));
    let (before, after) = words.next()?.split_once("->")?;
    let (after, bracket) = after.split_once('(')?;
    let before = before.split('(').next()?;
    let duration = words.next().and_then(seconds);
    Some(Collection {
        uptime,
        unix,
        kind,
        before: size(before)?,
        after: size(after)?,
        // A line that was cut within the bracket has no closing one.
        capacity: size(bracket.strip_suffix(')')?),
        pause_seconds: duration.filter(|_| kind != Kind::Concurrent),
    })
}

fn kind(event: &str) -> Option<Kind> {
    let is = |prefix: &str| event.starts_with(prefix);
    // JDK 9 and 10 call G1's young pause that also starts a cycle by the mark; CMS's mark collects nothing.
    if is("Pause Young") || is("Pause Mixed") || is("Pause Initial Mark (G1") {
        return Some(Kind::Young);
    }
    if is("Pause Full") || is("Pause Degenerated GC") {
        return Some(Kind::Full);
    }
    // The words of ZGC, of generational ZGC, and of Shenandoah's last phase.
    let cycle = ["Garbage Collection", "Major Collection", "Minor Collection", "Concurrent cleanup"];
    cycle.iter().any(|c| is(c)).then_some(Kind::Concurrent)
}

enum Instant {
    Uptime(f64),
    Unix(f64),
}

/// `2.720s`, `2,048s`, `245ms`, `245000000ns`, `2022-11-10T03:37:32.146-0800`.
fn instant(text: &str) -> Option<Instant> {
    if let Some(s) = seconds(text) {
        return Some(if s > UNIX_MILLIS / 1000.0 { Instant::Unix(s) } else { Instant::Uptime(s) });
    }
    let text = text.replacen(',', ".", 1);
    let time = strtime::parse("%Y-%m-%dT%H:%M:%S%.f%z", text).ok()?.to_timestamp().ok()?;
    Some(Instant::Unix(time.as_millisecond() as f64 / 1000.0))
}

/// A duration with its unit; the decimal sign follows the JVM's locale.
fn seconds(text: &str) -> Option<f64> {
    let units = [("ms", 1e3), ("us", 1e6), ("ns", 1e9), ("s", 1.0)];
    let (digits, parts) = units.iter().find_map(|(unit, parts)| Some((text.strip_suffix(unit)?, parts)))?;
    number(&digits.replacen(',', ".", 1)).map(|v| v / parts)
}

/// `123M`.
fn size(text: &str) -> Option<f64> {
    let units = [('B', 0), ('K', 10), ('M', 20), ('G', 30), ('T', 40)];
    let (digits, shift) = units.iter().find_map(|(unit, shift)| Some((text.strip_suffix(*unit)?, *shift)))?;
    number(digits).map(|v| v * (1_u64 << shift) as f64)
}

/// A plain decimal number: no sign, no exponent, no word such as `inf`.
fn number(text: &str) -> Option<f64> {
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
