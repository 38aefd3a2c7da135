//! Where in the dump an object lies, closely enough to read it alone: a run of records by the numbers of its objects.
//!
//! Records mostly come in address order, so runs of a few KiB have few numbers each and a search finds one or two of
//! them. A dump that is out of order (ZGC) would have every object in every run: it gets no places, and is read whole.

/// Bytes of a run.
const RUN: u64 = 4096;
/// Bytes read of a run at most: the last array of a run may be huge.
const READ: u64 = 64 << 10;
/// Runs that one number may lie in, on average, for places to be of use.
const OVERLAP: u64 = 4;

/// Records from one offset to the next.
#[derive(Debug, Clone, Copy)]
struct Run {
    at: u64,
    /// Lowest and highest number of its objects.
    low: u32,
    high: u32,
}

/// Collects runs while a dump is read.
#[derive(Debug, Default)]
pub(super) struct Collector {
    runs: Vec<Run>,
    next: u64,
}

impl Collector {
    /// A segment begins: what comes before is no neighbour.
    pub(super) fn segment(&mut self) {
        self.next = 0;
    }

    /// An object whose record begins at this offset.
    #[inline(always)]
    pub(super) fn object(&mut self, at: u64, object: u32) {
        if at >= self.next {
            self.runs.push(Run { at, low: object, high: object });
            self.next = at.saturating_add(RUN);
        } else if let Some(run) = self.runs.last_mut() {
            run.low = run.low.min(object);
            run.high = run.high.max(object);
        }
    }

    /// Takes the runs that follow these in the dump.
    pub(super) fn join(&mut self, next: Collector) {
        self.runs.extend(next.runs);
        self.next = 0;
    }

    /// The places, if the dump is in order enough for them.
    pub(super) fn finish(mut self, objects: u32, end: u64) -> Option<Places> {
        let spans: u64 = self.runs.iter().map(|run| u64::from(run.high - run.low) + 1).sum();
        if spans > OVERLAP * u64::from(objects) {
            return None;
        }
        // A run ends where the next one begins; the last one at the end.
        let ends = self.runs.iter().skip(1).map(|run| run.at).chain(std::iter::once(end));
        let mut runs: Vec<(Run, u64)> = self.runs.iter().copied().zip(ends).collect();
        runs.sort_unstable_by_key(|(run, _)| (run.low, run.at));
        self.runs.clear();
        let mut reach = 0;
        let placed = runs.into_iter().map(|(run, end)| {
            reach = reach.max(run.high);
            let length = end.saturating_sub(run.at).min(READ) as u32;
            Place { at: run.at, length, low: run.low, high: run.high, reach }
        });
        Some(Places(placed.collect()))
    }
}

#[derive(Debug, Clone, Copy)]
struct Place {
    at: u64,
    length: u32,
    low: u32,
    high: u32,
    /// The highest number in this run and all before it.
    reach: u32,
}

/// Runs of records, by the numbers of their objects.
#[derive(Debug)]
pub(super) struct Places(Vec<Place>);

impl Places {
    /// The runs that an object may lie in: offset and length in bytes.
    pub(super) fn of(&self, object: u32) -> impl Iterator<Item = (u64, u32)> {
        let end = self.0.partition_point(|place| place.low <= object);
        let before = self.0.get(..end).unwrap_or_default().iter().rev();
        before
            .take_while(move |place| place.reach >= object)
            .filter(move |place| place.high >= object)
            .map(|place| (place.at, place.length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_found_in_its_run() {
        let mut runs = Collector::default();
        for object in 0..1000u32 {
            // Every tenth is out of order by a few.
            let number = if object % 10 == 0 { object + 3 } else { object };
            runs.object(u64::from(object) * 100, number);
        }
        let places = runs.finish(1000, 100_000).expect("in order");
        for object in (0..1000u32).filter(|o| o % 10 != 3) {
            let number = if object % 10 == 0 { object + 3 } else { object };
            let at = u64::from(object) * 100;
            let found: Vec<_> = places.of(number).collect();
            assert!(found.iter().any(|(from, length)| (*from..from + u64::from(*length)).contains(&at)));
            assert!(found.len() <= 3, "{found:?}");
        }
        assert_eq!(places.of(5000).count(), 0);
    }

    #[test]
    fn a_dump_out_of_order_has_no_places() {
        let mut runs = Collector::default();
        (0..10_000u32).for_each(|i| runs.object(u64::from(i) * 100, i.wrapping_mul(2_654_435_761) % 10_000));
        assert!(runs.finish(10_000, 1_000_000).is_none());
    }
}
