//! One life of a process, summed up from its collection log in bounded memory.

use plimsoll_core::series::Point;

use super::event::{Collection, Collector, Event, Kind, Mishap, Stamp};

/// Points that are kept of each kind before neighbours are merged.
const KEPT: usize = 8192;
/// Lines of several threads may stand in the log this much out of order, seconds.
const DISORDER: f64 = 2.0;
/// Values of the pacer that still hold its first guess.
const GUESSES: u32 = 6;
const MIB: f64 = 1_048_576.0;
const KIB: f64 = 1024.0;
/// Bytes of a G1 region before the log says otherwise: HotSpot's smallest.
const NO_REGION: f64 = 0.0;

/// A point with what was merged into it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mark {
    /// Seconds on the life's clock.
    pub t: f64,
    /// Lowest heap after a collection, bytes.
    pub after: f64,
    /// Highest heap before one, bytes.
    pub before: f64,
    /// Heap committed, bytes; the highest.
    pub capacity: Option<f64>,
    /// Seconds of pause.
    pub pause: f64,
    /// Bytes allocated since the point before.
    pub allocated: f64,
}

/// How often collections of each kind ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Young pauses.
    pub young: u64,
    /// Mixed pauses.
    pub mixed: u64,
    /// Pauses over the whole heap.
    pub full: u64,
    /// Cycles that had to be finished in a pause.
    pub degenerated: u64,
    /// Cycles beside the program.
    pub concurrent: u64,
    /// Cycles beside the program, young generation only.
    pub minor: u64,
    /// Of all these: asked for by the program or a person.
    pub explicit: u64,
}

impl Counts {
    /// All collections.
    pub fn all(&self) -> u64 {
        self.young + self.mixed + self.full + self.degenerated + self.concurrent + self.minor
    }

    fn add(&mut self, more: &Counts) {
        self.young += more.young;
        self.mixed += more.mixed;
        self.full += more.full;
        self.degenerated += more.degenerated;
        self.concurrent += more.concurrent;
        self.minor += more.minor;
        self.explicit += more.explicit;
    }
}

/// Something that went wrong, summed up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mishaps {
    /// What.
    pub what: Mishap,
    /// How often.
    pub count: u64,
    /// Seconds that it took in all, where the log says it.
    pub seconds: f64,
    /// The last time, on the life's clock.
    pub last: Option<f64>,
}

/// One life of a process.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Life {
    /// Which process, where the log tells several apart.
    pub process: Option<String>,
    /// The collector, and whether the log names it (else its words gave it away).
    pub collector: Option<(Collector, bool)>,
    /// First and last instant, seconds on the life's clock: uptime, else Unix time.
    pub span: Option<(f64, f64)>,
    /// Whether the clock is uptime.
    pub uptime: bool,
    /// Unix time of the last line that had one, seconds.
    pub unix: Option<f64>,
    /// Number of the first collection.
    pub first_id: Option<u64>,
    /// When the first collections were, and what they left: what tells one process from another.
    pub(super) opening: Vec<(f64, f64)>,
    /// Collections.
    pub counts: Counts,
    /// Heap's bound, bytes, when the log says it.
    pub heap_max: Option<f64>,
    /// Heap after collections of any kind, in order of time.
    pub marks: Vec<Mark>,
    /// Heap after collections of the whole heap.
    pub full: Vec<Point>,
    /// Lowest heap of each row of mixed pauses.
    pub mixed: Vec<Point>,
    /// What marking found alive, bytes.
    pub live: Vec<Point>,
    /// Heap in use less the garbage that marking found, bytes (Shenandoah).
    pub marked: Vec<Point>,
    /// What the pacer expected alive, bytes, without its first guesses.
    pub expected: Vec<Point>,
    /// Heap after the first collection that followed a sweep of the old generation (CMS), bytes.
    pub swept: Vec<Point>,
    /// When something collected the old generation, or a part of it, and what was in use then.
    pub old_collected: Vec<Point>,
    /// The old generation when a cycle ended, bytes.
    pub old: Vec<Point>,
    /// Bytes that the old generation gained at young collections; none when the log does not tell.
    pub promoted: Option<f64>,
    /// Last full collection on the life's clock.
    pub last_full: Option<f64>,
    /// What went wrong.
    pub mishaps: Vec<Mishaps>,
    /// Heap committed last, bytes.
    pub committed: Option<f64>,
    /// Bytes of it that lines of their own say were given back.
    pub given_back: f64,
    /// Metaspace first and last, bytes.
    pub metaspace: Option<(f64, f64)>,
    /// Most regions of humongous objects, and how many there were last.
    pub humongous: Option<(f64, f64)>,
    /// Bytes of a region.
    pub region: f64,
    /// Seconds that the program stood still, and the longest pause.
    pub paused: (f64, f64),
    /// Seconds of work beside the program: lines that sum up, and their parts.
    pub beside: (f64, f64),
    /// Coarsest step of the sizes, bytes.
    pub step: f64,
    last: Option<Collection>,
    young: Option<(u64, f64)>,
    guesses: u32,
    old_marked: Option<f64>,
    marking: Marking,
    was_swept: bool,
}

/// Collections by which a process is known again.
const OPENING: usize = 8;

/// What a marking of Shenandoah told so far.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Marking {
    id: u64,
    /// Bytes free when it began and when it had ended.
    free: (Option<f64>, Option<f64>),
    /// Garbage, bytes and hundredths of all garbage; of it, what is free at once.
    garbage: (f64, f64),
    immediate: f64,
}

impl Marking {
    /// What was alive when it ended, of so many bytes in use; what was allocated meanwhile counts as alive there, and
    /// is no floor.
    fn alive(&self, used: f64) -> Option<f64> {
        let (bytes, percent) = self.garbage;
        // Hundredths are told without their fraction.
        let share = if percent >= 100.0 { 1.0 } else { (percent + 0.5) / 100.0 };
        let garbage = bytes / share;
        let meanwhile = match self.free {
            (Some(began), Some(ended)) => (began - (ended - self.immediate)).max(0.0),
            _ => 0.0,
        };
        (percent >= 1.0).then_some(used - garbage - meanwhile).filter(|v| *v >= 0.0)
    }
}

impl Life {
    /// A life of a process, of which nothing is known yet.
    pub(super) fn of(process: Option<String>) -> Self {
        Life { process, ..Life::default() }
    }

    /// Seconds from the first to the last line with a time.
    pub fn seconds(&self) -> f64 {
        self.span.map_or(0.0, |(a, b)| b - a)
    }

    /// Whether an event at `at` cannot be of this life any more.
    pub(super) fn is_over(&self, at: Stamp, event: &Event) -> bool {
        let fell = match (self.uptime, at.uptime, self.span) {
            (true, Some(t), Some((_, last))) => t < last - DISORDER,
            _ => false,
        };
        let again = matches!(event, Event::Using(_)) && self.counts.all() > 0;
        let counted = match (event, self.last.and_then(|c| c.id)) {
            (Event::Collection(c), Some(last)) if at.uptime.is_none() => {
                c.id.is_some_and(|id| id == 0 && last > 2)
            }
            _ => false,
        };
        fell || again || counted
    }

    fn clock(&mut self, at: Stamp) -> Option<f64> {
        self.unix = at.unix.or(self.unix);
        if self.span.is_none() {
            self.uptime = at.uptime.is_some();
        }
        let t = if self.uptime { at.uptime } else { at.unix }?;
        let (first, last) = self.span.unwrap_or((t, t));
        self.span = Some((first.min(t), last.max(t)));
        Some(t)
    }

    /// Takes what one line tells.
    pub(super) fn take(&mut self, at: Stamp, event: Event) {
        let t = self.clock(at);
        match event {
            Event::Using(c) => self.collector = Some((c, true)),
            Event::HeapMax(v) => self.heap_max = Some(v),
            Event::Region(v) => self.region = v,
            Event::GivenBack(bytes) => self.given_back += bytes,
            Event::Committed(bytes) => self.committed = Some(bytes),
            Event::Collection(c) => {
                if let Some(by) = c.by {
                    self.worded(by);
                }
                self.collect(t, c);
            }
            Event::Live { id, bytes, young } => self.marked(t, id, bytes, young),
            Event::Marks { expected, free } => {
                self.marking = Marking { free: (free, None), ..Marking::default() };
                self.expect(t, expected);
            }
            Event::Evacuates { free } => self.marking.free.1 = Some(free),
            Event::Garbage { id, bytes, percent, immediate } => {
                let m = &mut self.marking;
                m.id = id;
                m.garbage = (m.garbage.0 + bytes, m.garbage.1 + percent);
                m.immediate += immediate;
            }
            Event::OldMarked(s) => {
                self.pause(s);
                self.old_marked = t;
            }
            Event::OldWas(v) => {
                if let Some(at) = self.old_marked.take() {
                    keep(&mut self.live, Some(at), v);
                }
            }
            Event::OldLive(v) => {
                self.worded(Collector::GenerationalShenandoah);
                keep(&mut self.old, t, v);
            }
            Event::Old { before, after, by } => {
                self.worded(by);
                self.promote(after - before);
            }
            Event::OldRegions { before, after } => {
                if self.region > NO_REGION {
                    self.promote((after - before) * self.region);
                }
            }
            Event::Humongous(n) => {
                let most = self.humongous.map_or(n, |(most, _)| most.max(n));
                self.humongous = Some((most, n));
            }
            Event::Metaspace(v) => self.metaspace = Some((self.metaspace.map_or(v, |(first, _)| first), v)),
            Event::Pause(s) => self.pause(s),
            Event::Freed(s) => {
                self.pause(s);
                keep(&mut self.old_collected, t, self.last.map_or(0.0, |c| c.after));
            }
            Event::Swept(length) => {
                self.beside.1 += length;
                self.was_swept = true;
            }
            Event::Concurrent { length, whole } => {
                *(if whole { &mut self.beside.0 } else { &mut self.beside.1 }) += length;
            }
            Event::Mishap(what, seconds) => self.mishap(what, seconds, t),
        }
    }

    /// What the wording of a line says of the collector: it may tell two generations, which the name does not.
    fn worded(&mut self, by: Collector) {
        let two = [Collector::GenerationalZ, Collector::GenerationalShenandoah].contains(&by);
        self.collector = match self.collector {
            None => Some((by, false)),
            Some((Collector::Z | Collector::Shenandoah, named)) if two => Some((by, named)),
            known => known,
        };
    }

    /// Adds what came after: the next file of the same life.
    pub(super) fn append(&mut self, next: &Life) {
        let (first, _) = self.span.or(next.span).unwrap_or_default();
        self.span = next.span.map_or(self.span, |(_, last)| Some((first, last)));
        self.unix = next.unix.or(self.unix);
        self.heap_max = next.heap_max.or(self.heap_max);
        self.counts.add(&next.counts);
        self.marks.extend_from_slice(&next.marks);
        for (all, more) in [
            (&mut self.full, &next.full),
            (&mut self.mixed, &next.mixed),
            (&mut self.live, &next.live),
            (&mut self.old, &next.old),
            (&mut self.marked, &next.marked),
            (&mut self.expected, &next.expected),
            (&mut self.swept, &next.swept),
            (&mut self.old_collected, &next.old_collected),
        ] {
            more.iter().for_each(|p| keep(all, Some(p.t), p.v));
        }
        if let Some(bytes) = next.promoted {
            self.promote(bytes);
        }
        for m in &next.mishaps {
            self.mishap(m.what, m.seconds, m.last);
            if let Some(sum) = self.mishaps.iter_mut().find(|s| s.what == m.what) {
                sum.count += m.count - 1;
            }
        }
        self.metaspace = match (self.metaspace, next.metaspace) {
            (Some((first, _)), Some((_, last))) => Some((first, last)),
            (a, b) => a.or(b),
        };
        self.last_full = next.last_full.or(self.last_full);
        self.paused = (self.paused.0 + next.paused.0, self.paused.1.max(next.paused.1));
        self.beside = (self.beside.0 + next.beside.0, self.beside.1 + next.beside.1);
        self.step = self.step.min(next.step);
        self.last = next.last;
        self.thin();
    }

    fn pause(&mut self, seconds: f64) {
        self.paused = (self.paused.0 + seconds, self.paused.1.max(seconds));
        if let Some(mark) = self.marks.last_mut() {
            mark.pause += seconds;
        }
    }

    fn promote(&mut self, bytes: f64) {
        self.promoted = Some(self.promoted.unwrap_or(0.0) + bytes.max(0.0));
    }

    /// What is alive is the sum of both generations, where there are two: of one cycle, the young one first.
    fn marked(&mut self, t: Option<f64>, id: u64, bytes: f64, young: Option<bool>) {
        match young {
            None => keep(&mut self.live, t, bytes),
            Some(true) => self.young = Some((id, bytes)),
            Some(false) => {
                if let Some((_, more)) = self.young.take().filter(|(of, _)| *of == id) {
                    keep(&mut self.live, t, bytes + more);
                }
            }
        }
    }

    /// The first values hold the pacer's guess of the beginning.
    fn expect(&mut self, t: Option<f64>, bytes: f64) {
        self.guesses += 1;
        if self.guesses > GUESSES {
            keep(&mut self.expected, t, bytes);
        }
    }

    pub(super) fn mishap(&mut self, what: Mishap, seconds: f64, t: Option<f64>) {
        match self.mishaps.iter_mut().find(|m| m.what == what) {
            Some(m) => {
                m.count += 1;
                m.seconds += seconds;
                m.last = t.or(m.last);
            }
            None => self.mishaps.push(Mishaps { what, count: 1, seconds, last: t }),
        }
    }

    /// Whether `c` only says more of the cycle that the last line ended (Shenandoah cleans up twice).
    fn continues(&self, c: &Collection) -> bool {
        let beside = matches!(c.kind, Kind::Concurrent | Kind::Minor);
        beside && c.id.is_some() && self.last.is_some_and(|l| l.id == c.id && l.kind == c.kind)
    }

    fn collect(&mut self, t: Option<f64>, c: Collection) {
        self.first_id = self.first_id.or(c.id);
        let more = self.continues(&c);
        if !more {
            self.count(&c);
            self.reckon(t, &c);
        }
        if c.failed {
            self.mishap(Mishap::ToSpace, 0.0, t);
        }
        let coarse = [c.after, c.before].iter().all(|v| (*v as u64).is_multiple_of(MIB as u64));
        self.step = if coarse && (self.step == 0.0 || self.step == MIB) { MIB } else { KIB };
        let since = self.last.map_or(0.0, |l| l.after);
        let allocated = (c.before - since).max(0.0);
        let in_row = self.last.is_some_and(|l| l.kind == Kind::Mixed);
        let t = t.or_else(|| self.last.is_none().then_some(0.0)).unwrap_or(f64::NAN);
        if self.opening.len() < OPENING && t.is_finite() {
            self.opening.push((t, c.after));
        }
        self.last = Some(c);
        self.committed = c.capacity.or(self.committed);
        let pause = c.pause_seconds.unwrap_or(0.0);
        self.paused = (self.paused.0 + pause, self.paused.1.max(pause));
        let mark = Mark { t, after: c.after, before: c.before, capacity: c.capacity, pause, allocated };
        match self.marks.last_mut() {
            Some(last) if more || t.is_nan() || t <= last.t => last.merge(&mark, more),
            _ => self.marks.push(mark),
        }
        let list = match c.kind {
            Kind::Full | Kind::Degenerated => &mut self.full,
            Kind::Mixed => {
                if let (true, Some(low)) = (in_row, self.mixed.last_mut()) {
                    if c.after <= low.v {
                        *low = Point { t, v: c.after };
                    }
                    return self.thin();
                }
                &mut self.mixed
            }
            _ => return self.thin(),
        };
        keep(list, Some(t), c.after);
        self.thin();
    }

    /// The floor points that a collection is by what came before it.
    fn reckon(&mut self, t: Option<f64>, c: &Collection) {
        let marking = std::mem::take(&mut self.marking);
        if c.id == Some(marking.id)
            && matches!(c.kind, Kind::Concurrent | Kind::Minor)
            && let Some(alive) = marking.alive(c.before)
        {
            keep(&mut self.marked, t, alive);
        }
        let swept = std::mem::take(&mut self.was_swept);
        if swept {
            keep(&mut self.swept, t, c.after);
        }
        if swept || matches!(c.kind, Kind::Mixed | Kind::Full | Kind::Degenerated) {
            keep(&mut self.old_collected, t, c.after);
        }
    }

    /// The lowest heap of each row of mixed pauses that came to its end, as far as there are enough of them.
    pub(super) fn finished_mixed(&self) -> &[Point] {
        let goes_on = self.last.is_some_and(|c| c.kind == Kind::Mixed);
        match self.mixed.split_last() {
            Some((_, ended)) if goes_on && ended.len() > 1 => ended,
            _ => &self.mixed,
        }
    }

    fn count(&mut self, c: &Collection) {
        let n = &mut self.counts;
        *match c.kind {
            Kind::Young => &mut n.young,
            Kind::Mixed => &mut n.mixed,
            Kind::Full => &mut n.full,
            Kind::Degenerated => &mut n.degenerated,
            Kind::Concurrent => &mut n.concurrent,
            Kind::Minor => &mut n.minor,
        } += 1;
        n.explicit += u64::from(c.explicit);
        if c.kind.is_full() {
            self.last_full = c.seconds().or(self.last_full);
        }
    }

    fn thin(&mut self) {
        if self.marks.len() < KEPT {
            return;
        }
        let merged = self.marks.chunks(2).filter_map(|pair| {
            let mut first = *pair.first()?;
            if let Some(second) = pair.get(1) {
                first.merge(second, false);
            }
            Some(first)
        });
        self.marks = merged.collect();
    }
}

impl Mark {
    fn merge(&mut self, later: &Mark, same_cycle: bool) {
        if later.after <= self.after {
            self.after = later.after;
            if later.t.is_finite() {
                self.t = self.t.max(later.t);
            }
        }
        self.before = self.before.max(later.before);
        self.capacity = match (self.capacity, later.capacity) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (a, b) => a.or(b),
        };
        self.pause += later.pause;
        if !same_cycle {
            self.allocated += later.allocated;
        }
    }
}

/// Adds a point; every other one goes when there are too many.
fn keep(list: &mut Vec<Point>, t: Option<f64>, v: f64) {
    let Some(t) = t.filter(|t| t.is_finite() && list.last().is_none_or(|p| *t > p.t)) else { return };
    list.push(Point { t, v });
    if list.len() >= KEPT {
        let mut odd = false;
        list.retain(|_| {
            odd = !odd;
            odd
        });
    }
}
