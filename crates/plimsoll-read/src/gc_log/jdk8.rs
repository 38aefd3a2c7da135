//! The logs of JDK 6 to 8 (`-XX:+PrintGC`, `-XX:+PrintGCDetails`): a collection may take several lines, and lines of
//! concurrent phases may stand within it.

use super::event::{Collection, Collector, Event, Kind, Mishap, Stamp, is_asked_for};
use super::unified::{Instant, instant, max_heap, number, size};

/// Reads line after line.
#[derive(Debug, Clone, Default)]
pub(super) struct Reader {
    begun: Option<Begun>,
}

/// A collection whose sizes are not there yet.
#[derive(Debug, Clone, Copy)]
struct Begun {
    at: Stamp,
    kind: Kind,
    by: Option<Collector>,
    explicit: bool,
    pause: Option<f64>,
}

/// One `A->B(C)` of a line, with the word before it.
struct Change<'a> {
    name: &'a str,
    before: f64,
    after: f64,
    capacity: Option<f64>,
}

impl Reader {
    /// Hands on what a line tells.
    pub(super) fn line(&mut self, line: &str, mut tell: impl FnMut(Stamp, Event)) {
        if line.starts_with("CommandLine flags:") {
            if let Some(v) = max_heap(line) {
                tell(Stamp::default(), Event::HeapMax(v));
            }
            return;
        }
        if !line.contains(['[', '>', ']']) {
            return;
        }
        self.begin(line, &mut tell);
        let at = self.begun.map_or_else(|| stamp(line), |b| b.at);
        mishaps(line, at, &mut tell);
        concurrent(line, at, &mut tell);
        let Some(begun) = &mut self.begun else { return };
        begun.pause = last_seconds(line).or(begun.pause);
        begun.by = begun.by.or_else(|| wording(line));
        let begun = *begun;
        if ended(line, begun, &mut tell) {
            self.begun = None;
        }
    }

    /// Begins a collection, where the line does.
    fn begin(&mut self, line: &str, tell: &mut impl FnMut(Stamp, Event)) {
        let full = line.find("[Full GC");
        let Some(start) = full.or_else(|| line.find("[GC")) else { return };
        let (head, text) = line.split_at(start);
        // `[GC Worker Start (ms): …`: what a collection consists of.
        if text.starts_with("[GC Worker") {
            return;
        }
        let at = stamp(head);
        let says = |word: &str| text.contains(word);
        let only_pause = [
            "[GC remark",
            "[GC cleanup",
            "CMS-initial-mark",
            "CMS-remark",
            "CMS Initial Mark",
            "CMS Final Remark",
        ];
        if full.is_none() && only_pause.iter().any(|w| says(w)) {
            if let Some(s) = last_seconds(text) {
                // `[GC cleanup 1634M->1602M(4096M), 0.0104 secs]` freed regions.
                let freed = says("[GC cleanup") && changes(text).any(|c| c.after < c.before);
                tell(at, if freed { Event::Freed(s) } else { Event::Pause(s) });
            }
            return;
        }
        if text.starts_with("[GC concurrent-") {
            return;
        }
        let kind = match (full, says("(mixed)")) {
            (Some(_), _) => Kind::Full,
            (None, true) => Kind::Mixed,
            (None, false) => Kind::Young,
        };
        let by = says("[GC pause").then_some(Collector::G1);
        let explicit = is_asked_for(text);
        self.begun = Some(Begun { at, kind, by, explicit, pause: None });
    }
}

/// The sizes of a collection, when they are in the line.
fn ended(line: &str, begun: Begun, tell: &mut impl FnMut(Stamp, Event)) -> bool {
    let mut young = None;
    let mut heap = None;
    for change in changes(line) {
        match change.name {
            "[PSYoungGen:" | "[DefNew:" | "[ParNew:" | ":" => young = young.or(Some(change)),
            "[Metaspace:" | "[PSPermGen:" | "[Perm:" => tell(begun.at, Event::Metaspace(change.after)),
            name if name.ends_with("Heap:") || !name.ends_with(':') => heap = heap.or(Some(change)),
            _ => {}
        }
    }
    let Some(heap) = heap else { return false };
    if let (Some(young), Some(by)) = (young, begun.by.filter(|_| begun.kind == Kind::Young)) {
        let [before, after] = [heap.before - young.before, heap.after - young.after];
        tell(begun.at, Event::Old { before, after, by });
    }
    let collection = Collection {
        id: None,
        uptime: begun.at.uptime,
        unix: begun.at.unix,
        kind: begun.kind,
        by: begun.by,
        explicit: begun.explicit,
        failed: false,
        before: heap.before,
        after: heap.after,
        capacity: heap.capacity,
        pause_seconds: begun.pause,
    };
    tell(begun.at, Event::Collection(collection));
    true
}

/// Every `A->B(C)` and `A(C)->B(C)`.
fn changes(line: &str) -> impl Iterator<Item = Change<'_>> {
    let mut before = "";
    let mut earlier = "";
    line.split_ascii_whitespace().filter_map(move |word| {
        // `[Perm :` and `[CMS Perm :` are written apart.
        let name = if before == ":" && earlier.ends_with("Perm") { "[Perm:" } else { before };
        earlier = before;
        before = word;
        let (a, b) = word.split_once("->")?;
        let a = a.rsplit('[').next()?.split('(').next()?;
        let (b, rest) = b.split_once('(').unwrap_or((b, ""));
        let capacity = rest.split(')').next().and_then(amount);
        Some(Change { name, before: amount(a)?, after: amount(b)?, capacity })
    })
}

fn mishaps(line: &str, at: Stamp, tell: &mut impl FnMut(Stamp, Event)) {
    for (words, what) in [
        ("(promotion failed", Mishap::PromotionFailed),
        ("(concurrent mode failure", Mishap::ConcurrentMode),
        ("(to-space exhausted)", Mishap::ToSpace),
        ("(to-space overflow)", Mishap::ToSpace),
    ] {
        if line.contains(words) {
            tell(at, Event::Mishap(what, 0.0));
        }
    }
}

/// `[CMS-concurrent-mark: 0.013/0.020 secs]`, `[GC concurrent-mark-end, 0.0123 secs]`.
fn concurrent(line: &str, at: Stamp, tell: &mut impl FnMut(Stamp, Event)) {
    let cms = || line.split_once("[CMS-concurrent-")?.1.split_once('/')?.1.split(' ').next();
    let g1 = || line.split_once("[GC concurrent-")?.1.split_once("-end, ")?.1.split(' ').next();
    if let Some(length) = cms().or_else(g1).and_then(decimal) {
        let swept = line.contains("[CMS-concurrent-sweep:");
        tell(at, if swept { Event::Swept(length) } else { Event::Concurrent { length, whole: false } });
    }
}

fn wording(line: &str) -> Option<Collector> {
    [
        ("[PSYoungGen", Collector::Parallel),
        ("[DefNew", Collector::Serial),
        ("[ParNew", Collector::Cms),
        ("[CMS", Collector::Cms),
        ("[Tenured", Collector::Serial),
    ]
    .into_iter()
    .find_map(|(word, by)| line.contains(word).then_some(by))
}

/// The last `0.0587810 secs]` of a line, not `real=0.06 secs`.
fn last_seconds(line: &str) -> Option<f64> {
    let line = line.split("[Times:").next()?;
    let (head, _) = line.rsplit_once(" secs]")?;
    decimal(head.rsplit([' ', ',']).next()?).or_else(|| decimal(head.rsplit(' ').next()?))
}

/// `2016-03-22T10:12:22.006-0100: 9.998: `, each part optional.
fn stamp(head: &str) -> Stamp {
    let mut out = Stamp::default();
    for word in head.split_ascii_whitespace().filter_map(|w| w.strip_suffix(':')).take(4) {
        match instant(word) {
            Some(Instant::Unix(t)) => out.unix = out.unix.or(Some(t)),
            Some(Instant::Uptime(t)) => out.uptime = out.uptime.or(Some(t)),
            None => out.uptime = out.uptime.or_else(|| decimal(word)),
        }
    }
    out
}

/// A number whose decimal sign follows the locale.
fn decimal(text: &str) -> Option<f64> {
    number(&text.trim().replacen(',', ".", 1))
}

/// `33.6M`, `33,6M`, `0.0B`.
fn amount(text: &str) -> Option<f64> {
    size(&text.replacen(',', ".", 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(Stamp, Event)> {
        let (mut out, mut reader) = (Vec::new(), Reader::default());
        text.lines().for_each(|l| reader.line(l, |at, event| out.push((at, event))));
        out
    }

    fn one(text: &str) -> Collection {
        let all: Vec<_> = read(text)
            .into_iter()
            .filter_map(|(_, e)| if let Event::Collection(c) = e { Some(c) } else { None })
            .collect();
        let [c] = all.as_slice() else { panic!("{} collections in {text}", all.len()) };
        *c
    }

    const K: f64 = 1024.0;

    #[test]
    fn parallel_with_dates_and_causes() {
        let c = one(
            "2011-08-07T18:30:12.100+0100: 10.362: [GC [PSYoungGen: 524160K->0K(524224K)] 2621312K->2125296K(20971456K), 0.0587810 secs] [Times: user=0.31 sys=0.01, real=0.06 secs] ",
        );
        assert_eq!((c.by, c.kind, c.uptime), (Some(Collector::Parallel), Kind::Young, Some(10.362)));
        assert_eq!(
            (c.before, c.after, c.capacity),
            (2_621_312.0 * K, 2_125_296.0 * K, Some(20_971_456.0 * K))
        );
        assert_eq!((c.pause_seconds, c.unix), (Some(0.058_781), Some(1_312_738_212.1)));
        let c = one(
            "0.221: [Full GC (Ergonomics) [PSYoungGen: 10736K->0K(76288K)] [ParOldGen: 120258K->115108K(175104K)] 130995K->115108K(251392K), [Metaspace: 4209K->4207K(1056768K)], 0.0235254 secs]",
        );
        assert_eq!((c.kind, c.after, c.explicit), (Kind::Full, 115_108.0 * K, false));
        assert_eq!(c.pause_seconds, Some(0.023_525_4));
    }

    #[test]
    fn a_collection_over_several_lines() {
        let c = one(
            "0.265: [GC (Allocation Failure) 0.265: [DefNew\nDesired survivor size 557056 bytes, new threshold 1 (max 15)\n- age   1:    1114112 bytes,    1114112 total\n: 8704K->1088K(9792K), 0.0039555 secs] 8704K->1634K(31680K), 0.0041700 secs] [Times: user=0.00 sys=0.00, real=0.00 secs] \n",
        );
        assert_eq!((c.by, c.after, c.uptime), (Some(Collector::Serial), 1634.0 * K, Some(0.265)));
        assert_eq!(c.pause_seconds, Some(0.004_17));
        let g1 = "24.263: [GC pause (G1 Evacuation Pause) (mixed), 0.0053 secs]\n   [Parallel Time: 4.4 ms, GC Workers: 8]\n      [GC Worker Total (ms): Min: 2.7, Avg: 3.9]\n   [Eden: 24.0M(24.0M)->0.0B(30.0M) Survivors: 0.0B->3072.0K Heap: 33.5M(256.0M)->13,5M(256.0M)]\n [Times: user=0.03 sys=0.00, real=0.00 secs] \n";
        let c = one(g1);
        assert_eq!((c.by, c.kind, c.after), (Some(Collector::G1), Kind::Mixed, 13.5 * K * K));
        assert_eq!((c.capacity, c.pause_seconds), (Some(256.0 * K * K), Some(0.0053)));
    }

    #[test]
    fn cms_with_failures() {
        let text = "88.1: [GC 88.1: [ParNew (promotion failed): 100K->90K(110K), 0.1 secs]88.2: [CMS88.3: [CMS-concurrent-mark: 0.9/1.5 secs]\n (concurrent mode failure): 900K->500K(1000K), 2.5 secs] 990K->500K(1110K), [CMS Perm : 10K->10K(20K)], 2.7 secs]\n";
        let c = one(text);
        assert_eq!((c.after, c.before, c.by), (500.0 * K, 990.0 * K, Some(Collector::Cms)));
        let events = read(text);
        let has = |e: &Event| events.iter().any(|(_, x)| x == e);
        assert!(has(&Event::Mishap(Mishap::PromotionFailed, 0.0)));
        assert!(has(&Event::Mishap(Mishap::ConcurrentMode, 0.0)));
        assert!(has(&Event::Concurrent { length: 1.5, whole: false }));
    }

    #[test]
    fn marks_pause_and_collect_nothing() {
        for line in [
            "1.855: [GC 29798K(58752K), 0.0031310 secs]",
            "9.1: [GC (CMS Initial Mark) [1 CMS-initial-mark: 38K(60K)] 70K(90K), 0.005 secs]",
            "7.0: [GC remark, 0.003 secs]",
            "1.028: Application time: 0.9606750 seconds",
            "{Heap before GC invocations=1 (full 0):",
        ] {
            assert!(!read(line).iter().any(|(_, e)| matches!(e, Event::Collection(_))), "{line}");
        }
        assert_eq!(one("0.915: [GC 16256K->8645K(58752K), 0.0890850 secs]").after, 8645.0 * K);
    }
}
