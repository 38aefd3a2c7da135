//! What the alarm's evidence is learnt from: ticks of the generator's services and of public traces, as they are and with leaks
//! added, and whether a leak was under way.

use std::ops::Range;

use plimsoll_core::cluster::with_question;
use plimsoll_core::series::Point;
use plimsoll_core::slope::{Epoch, Features, Question, estimate_raw};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::evidence_net::Example;
use crate::layers::unit;
use crate::looks::{SECONDS, workload};
use crate::replay::{Seen, TICK};
use crate::run::{in_parallel, jobs};
use crate::services::{LENGTH, Service, generate, replicas};
use crate::traces::{Trace, question};

/// Seeds of the generator's services that the alarm's table is learnt from (the intervals are from these and others); the last ones are kept back.
const SEEDS: Range<u64> = 8_952..9_016;
const KEPT_BACK: u64 = 9_008;
/// Services of a class and seed.
const PER_CLASS: usize = 110;
/// One tick in so many is asked; in the first of so many minutes so many times as many, each of which counts for as much less: there is little to
/// know then, and many healthy climbs.
const EVERY: u64 = 24;
const EARLY: (usize, u64) = (360, 4);
const _: () = assert!(EVERY.is_multiple_of(EARLY.1));
/// What a tick counts, by the way in which a service is seen: with load, without, after collections.
const WAYS: [f64; 3] = [1.0, 0.5, 0.5];
/// One trace in so many is not learnt from.
const KEPT_BACK_TRACES: usize = 4;
/// Of each source of [`crate::traces::CALIBRATION`]: seeds of the leaks, and of how many ticks one is asked. There are few pods.
const TRACES: [(Range<u64>, u64); 2] = [(100..104, 24), (100..120, 3)];
/// Usage from which on a trace that nothing was added to is not known to be well.
const FULL: f64 = 0.95;
/// What all healthy ticks count together, and all of leaks: of the generator, of each source of traces, and of replicas. A false alarm costs more
/// than a late one; of real series there are too few to be more than a part.
const COUNTS: [(f64, f64); 4] = [(3.0, 1.0), (0.3, 0.3), (0.3, 0.3), (1.5, 0.5)];

/// Of services but caches that fill (they do already) one in so many fills so much more of its limit after each start, within so many minutes,
/// but before a leak never more than so much in all: what starts up takes two fifths in the generator at most, in real pods four fifths.
const FILL_UP: usize = 4;
const FILLS: (f64, f64) = (0.1, 0.6);
const FILLS_IN: (f64, f64) = (10.0, 150.0);
const FULL_UP: f64 = 0.93;
/// Usage that a managed heap is held below by its collector, and the floor at which it fails.
const SQUEEZED: f64 = 0.995;
const FULL_FLOOR: f64 = 0.97;
/// The class of caches that fill.
const CACHE_FILL: usize = 4;

/// Names of the groups of examples, for the report.
pub const GROUPS: [&str; 4] = ["services", "machines", "pods", "replicas"];
/// The last of them.
const REPLICAS: usize = 3;
/// One service in so many is also seen as replicas side by side.
const SIDE_BY_SIDE: usize = 4;

/// Ticks of the generator.
pub fn of_generator() -> Vec<Example> {
    let of_seed =
        |seed: u64| in_parallel(&jobs(PER_CLASS, PER_CLASS), |(class, index)| of_service(seed, class, index));
    SEEDS.flat_map(of_seed).flatten().collect()
}

fn of_service(seed: u64, class: usize, index: usize) -> Vec<Example> {
    let mut service = generate(seed, class, index);
    let mut chance = Chance::new(seed ^ ((class * 1_000 + index) as u64) << 20);
    if class != CACHE_FILL && index % FILL_UP == 1 {
        fill_up(&mut service, &mut chance);
    }
    let mut out = Vec::new();
    for (way, weight) in WAYS.into_iter().enumerate() {
        let seen = match way {
            2 if !service.managed => continue,
            2 => Seen::after_collections(&service, true),
            _ => Seen::new(&service, way == 0),
        };
        for (minute, count) in taken(service.rss.len(), &mut chance) {
            let leaks = service.onset.is_some_and(|onset| minute >= onset);
            let numbers = seen.with_question(minute, ask);
            let kept_back = seed >= KEPT_BACK;
            out.extend(numbers.map(|x| Example { x, leaks, weight: weight * count, group: 0, kept_back }));
        }
    }
    out
}

/// Has a service fill more of its limit after each start; one that leaks is dead where it then touches the level that kills.
fn fill_up(service: &mut Service, chance: &mut Chance) {
    let well = service.onset.unwrap_or(service.rss.len()).min(service.rss.len());
    let room = FULL_UP - service.rss[..well].iter().fold(0.0_f64, |m, v| m.max(*v));
    let more = (FILLS.0 + (FILLS.1 - FILLS.0) * unit(&mut chance.0)).min(room.max(0.0));
    let time = FILLS_IN.0 + (FILLS_IN.1 - FILLS_IN.0) * unit(&mut chance.0);
    let Service { rss, floor, runs, managed, .. } = service;
    for minute in 0..rss.len() {
        let start = runs[runs.partition_point(|r| r.first <= minute).saturating_sub(1)].start;
        let add = more * (1.0 - (-(minute as f64 - start).max(0.0) / time).exp());
        floor[minute] += add;
        // Garbage is squeezed where there is no room for it.
        rss[minute] =
            if *managed { (rss[minute] + add).min(SQUEEZED.max(floor[minute])) } else { rss[minute] + add };
        let dies = if *managed { floor[minute] >= FULL_FLOOR } else { rss[minute] >= 1.0 };
        if dies {
            rss.truncate(minute);
            floor.truncate(minute);
            break;
        }
    }
}

/// Ticks of services of the generator of which several run side by side, as a cluster's history tells of them.
pub fn of_replicas() -> Vec<Example> {
    let all = jobs(PER_CLASS / SIDE_BY_SIDE, PER_CLASS / SIDE_BY_SIDE);
    let of_seed = |seed: u64| in_parallel(&all, |(class, index)| side_by_side(seed, class, index));
    SEEDS.flat_map(of_seed).flatten().collect()
}

fn side_by_side(seed: u64, class: usize, index: usize) -> Vec<Example> {
    let services = replicas(seed, class, index, 2 + index % 7);
    let mut chance = Chance::new(seed ^ ((class * 1_000 + index) as u64) << 24);
    let end = first_kill(&services);
    let all = workload(&services);
    let example = |(minute, weight): (usize, f64)| {
        let now = minute as f64 * 60.0;
        let x = with_question(&all.until(now), now, SECONDS, ask)??;
        let leaks = services[0].onset.is_some_and(|onset| minute >= onset);
        Some(Example { x, leaks, weight, group: REPLICAS, kept_back: seed >= KEPT_BACK })
    };
    taken(end, &mut chance).filter_map(example).collect()
}

/// Ticks of a service that are asked, and what each counts.
fn taken(end: usize, chance: &mut Chance) -> impl Iterator<Item = (usize, f64)> {
    let (early, more) = EARLY;
    let one = move |minute| {
        let more = if minute < early { more } else { 1 };
        chance.takes(EVERY / more).then_some((minute, 1.0 / more as f64))
    };
    (TICK..end).step_by(TICK).filter_map(one)
}

/// Minute at which the first of them is killed: it has told then, and the others do not tell anything new.
fn first_kill(services: &[Service]) -> usize {
    services.iter().map(|s| s.kill.unwrap_or(LENGTH)).min().unwrap_or(LENGTH)
}

/// Ticks of the traces of one source of [`crate::traces::CALIBRATION`].
pub fn of_traces(traces: &[Trace], source: usize) -> Vec<Example> {
    let (leaks, every) = &TRACES[source];
    let all: Vec<(usize, usize)> = (0..traces.len()).map(|index| (0, index)).collect();
    let of_trace = |(_, index): (usize, usize)| {
        let untouched = (&traces[index], 0, -1.0);
        let twins: Vec<(Trace, u64)> =
            leaks.clone().map(|seed| (traces[index].with_leak(seed, index), seed)).collect();
        let twins = twins.iter().map(|(t, seed)| (t, *seed, t.leak.map_or(0.0, |l| l.onset)));
        let mut out = Vec::new();
        for (trace, seed, from) in [untouched].into_iter().chain(twins) {
            let mut chance = Chance::new(seed * 100_000 + index as u64);
            let mut takes = || chance.takes(*every);
            out.extend(of_one(trace, &trace.load, from, &mut takes));
            if !trace.load.is_empty() {
                out.extend(of_one(trace, &[], from, &mut takes));
            }
        }
        let kept_back = index % KEPT_BACK_TRACES == KEPT_BACK_TRACES - 1;
        out.iter_mut().for_each(|e: &mut Example| (e.group, e.kept_back) = (1 + source, kept_back));
        out
    };
    in_parallel(&all, of_trace).into_iter().flatten().collect()
}

/// Ticks of one trace after `from`: before its onset a twin is the untouched trace.
fn of_one(trace: &Trace, load: &[Point], from: f64, mut takes: impl FnMut() -> bool) -> Vec<Example> {
    let bytes = trace.in_bytes();
    let epochs = [Epoch { start: 0.0, version: 0, replica: 0, points: &bytes }];
    let leaks = trace.leak.is_some();
    let last_full = trace.points.iter().rfind(|p| p.v >= FULL).map_or(f64::NEG_INFINITY, |p| p.t);
    let ticks = (TICK..(trace.span() / 60.0) as usize + 1).step_by(TICK).map(|minute| minute as f64 * 60.0);
    let known = ticks.filter(|now| *now > from && (leaks || *now > last_full));
    let taken = known.filter(|_| takes());
    let numbers = taken.filter_map(|now| ask(&question(&epochs, load, now)));
    numbers.map(|x| Example { x, leaks, weight: 1.0, group: 0, kept_back: false }).collect()
}

/// The numbers of a question, where some draws reach the limit.
fn ask(q: &Question<'_>) -> Option<Features> {
    Some(estimate_raw(q).ok()?.1?.features)
}

/// Takes one of so many, at random.
struct Chance(ChaCha8Rng);

impl Chance {
    fn new(seed: u64) -> Chance {
        Chance(ChaCha8Rng::seed_from_u64(seed))
    }

    fn takes(&mut self, every: u64) -> bool {
        self.0.next_u64().is_multiple_of(every)
    }
}

/// Gives every group and side its share of the whole.
pub fn weigh(examples: &mut [Example]) {
    for (group, (healthy, leaking)) in COUNTS.into_iter().enumerate() {
        for (leaks, count) in [(false, healthy), (true, leaking)] {
            let is_own = |e: &Example| e.group == group && e.leaks == leaks;
            let sum: f64 = examples.iter().filter(|e| is_own(e)).map(|e| e.weight).sum();
            let own = examples.iter_mut().filter(|e| is_own(e));
            own.for_each(|e| e.weight *= count / sum.max(1e-9));
        }
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_core::slope::NUMBERS;

    use super::*;

    #[test]
    fn a_service_leaks_from_its_onset_on_and_a_healthy_one_never() {
        let leaking = of_service(9_000, 8, 0);
        assert!(leaking.iter().any(|e| e.leaks) && !leaking.is_empty());
        assert!(of_service(9_000, 4, 0).iter().all(|e| !e.leaks));
    }

    #[test]
    fn what_fills_up_stays_well_and_what_leaks_dies_the_sooner() {
        let filled = |class: usize, index: usize| {
            let (before, mut after) = (generate(9_000, class, index), generate(9_000, class, index));
            fill_up(&mut after, &mut Chance::new(1));
            (before, after)
        };
        let mut fuller = 0;
        for index in 0..20 {
            let (before, after) = filled(1, index);
            assert_eq!(before.rss.len(), after.rss.len(), "{index} lives on");
            let more: Vec<f64> = before.rss.iter().zip(&after.rss).map(|(b, a)| a - b).collect();
            assert!(more.iter().all(|m| (0.0..=FILLS.1).contains(m)), "{index}");
            assert!(after.rss.iter().all(|v| *v <= FULL_UP + 1e-9), "{index}");
            fuller += usize::from(more.iter().any(|m| *m > 0.05));
            let (before, after) = filled(8, index);
            let onset = before.onset.expect("it leaks");
            assert!(after.rss.len() <= before.rss.len() && after.rss.len() > onset, "{index}");
            assert!(after.rss.iter().all(|v| *v < 1.0) && after.rss.len() == after.floor.len(), "{index}");
        }
        assert!(fuller > 10, "{fuller} of 20 have room");
        assert!((0..20).any(|index| filled(8, index).1.rss.len() < filled(8, index).0.rss.len()));
    }

    #[test]
    fn replicas_are_looked_at_until_the_first_of_them_is_killed() {
        let all = side_by_side(9_000, 8, 1);
        assert!(all.iter().any(|e| e.leaks) && all.iter().all(|e| e.group == REPLICAS));
        assert!(side_by_side(9_000, 4, 1).iter().all(|e| !e.leaks));
        // A service lives on for the others' sake when its own end is the later one.
        let mut three: Vec<Service> = (0..3).map(|_| generate(9_000, 8, 1)).collect();
        three.iter_mut().zip([None, Some(700), Some(400)]).for_each(|(s, kill)| s.kill = kill);
        assert_eq!((first_kill(&three), first_kill(&three[..1])), (400, LENGTH));
    }

    #[test]
    fn the_last_seeds_are_kept_back() {
        for (seed, kept_back) in [(KEPT_BACK - 1, false), (KEPT_BACK, true)] {
            let all = [of_service(seed, 8, 0), side_by_side(seed, 8, 1)];
            assert!(all.iter().all(|own| !own.is_empty() && own.iter().all(|e| e.kept_back == kept_back)));
        }
    }

    #[test]
    fn early_ticks_are_asked_more_often_and_count_as_much() {
        let (mut early, mut late) = ((0.0, 0.0), (0.0, 0.0));
        for seed in 0..400 {
            for (minute, count) in taken(2 * EARLY.0, &mut Chance::new(seed)) {
                let (number, sum) = if minute < EARLY.0 { &mut early } else { &mut late };
                (*number, *sum) = (*number + 1.0, *sum + count);
            }
        }
        let (often, much) = (early.0 / late.0, early.1 / late.1);
        assert!((often / EARLY.1 as f64 - 1.0).abs() < 0.2, "{often} times as often");
        assert!((much - 1.0).abs() < 0.2, "{much} times as much in all");
    }

    #[test]
    fn sides_count_what_they_are_to_count_however_many_they_are() {
        let one = |k: usize| Example {
            x: [0.0; NUMBERS],
            leaks: k.is_multiple_of(5),
            weight: 1.0 + k as f64,
            group: 1,
            kept_back: false,
        };
        let mut all: Vec<Example> = (0..50).map(one).collect();
        weigh(&mut all);
        let sum = |leaks| all.iter().filter(|e| e.leaks == leaks).map(|e| e.weight).sum::<f64>();
        assert!((sum(true) - COUNTS[1].1).abs() < 1e-9 && (sum(false) - COUNTS[1].0).abs() < 1e-9);
    }
}
