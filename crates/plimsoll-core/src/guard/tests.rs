//! The test of growth on simulated runs with the noise that was measured on real runtimes.

use std::collections::BTreeMap;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::growth::{Growth, Verdict, judge};
use super::trend::Level;
use super::{Course, Metric, Outcome, Round, Tolerance, Withdrawn};
use crate::fact::Reading;

/// A simulated metric: noise of one reading, its correlation, and what it does.
#[derive(Clone, Copy)]
struct Simulated {
    metric: Metric,
    noise: f64,
    correlation: f64,
    slope: f64,
    /// Height and time, in rounds, of a warm-up.
    warm_up: (f64, f64),
}

const PER_ROUND: f64 = 1000.0;

fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let uniform = |rng: &mut ChaCha8Rng| (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
    (0..12).map(|_| uniform(rng)).sum::<f64>() - 6.0
}

impl Simulated {
    fn levels(&self, rounds: usize, seed: u64) -> Vec<Level> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut drift = 0.0;
        let fresh = (1.0 - self.correlation * self.correlation).sqrt();
        let level = |k: usize| {
            drift = self.correlation * drift + fresh * normal(&mut rng);
            let work = (k + 1) as f64 * PER_ROUND;
            let warm = self.warm_up.0 * (1.0 - (-(k as f64) / self.warm_up.1).exp());
            Level { work, value: 50e6 + self.slope * work + warm + self.noise * drift }
        };
        (0..rounds).map(level).collect()
    }

    /// The whole run, with its early ends.
    fn run(&self, seed: u64) -> (usize, Growth) {
        let tolerance = Tolerance::default().of(self.metric);
        let levels = self.levels(128, seed);
        let looks = super::growth::LOOKS;
        let at = |n: usize| (n, judge(&levels[..n], tolerance, self.metric.grain()).expect("enough rounds"));
        looks.into_iter().map(at).find(|(_, g)| g.is_settled).unwrap_or_else(|| at(128))
    }
}

/// Heap of a Go program, of a JVM, of Node.js; resident memory of Go and of Node.js.
const CLEAN: [(Metric, f64); 5] = [
    (Metric::Heap, 4.2e3),
    (Metric::Heap, 109e3),
    (Metric::Heap, 25e3),
    (Metric::Native, 145e3),
    (Metric::Native, 800e3),
];

fn clean(metric: Metric, noise: f64) -> Simulated {
    Simulated { metric, noise, correlation: 0.3, slope: 0.0, warm_up: (0.0, 1.0) }
}

#[test]
fn clean_runs_raise_no_alarm_and_most_are_proved_flat() {
    for (metric, noise) in CLEAN {
        let mut flat = 0;
        for seed in 0..300 {
            let (rounds, g) = clean(metric, noise).run(seed);
            assert_ne!(g.verdict, Verdict::Growing, "{metric:?} {noise} {seed}: {rounds} {g:?}");
            flat += u32::from(g.verdict == Verdict::Flat);
        }
        assert!(flat >= 285, "{metric:?} {noise}: {flat} of 300 flat");
    }
}

#[test]
fn leaks_above_the_tolerance_are_caught_and_their_slope_is_inside_the_interval() {
    for (metric, noise, slope, rounds) in [
        (Metric::Heap, 4.2e3, 16.0, 32),
        (Metric::Heap, 25e3, 16.0, 48),
        (Metric::Heap, 109e3, 24.0, 96),
        (Metric::Native, 145e3, 128.0, 48),
        (Metric::Threads, 0.0, 0.01, 24),
    ] {
        for seed in 0..100 {
            let (taken, g) = Simulated { slope, ..clean(metric, noise) }.run(seed);
            assert_eq!(g.verdict, Verdict::Growing, "{metric:?} {slope} {seed}: {taken} {g:?}");
            assert!(taken <= rounds, "{metric:?} {slope} {seed}: caught after {taken} rounds");
            assert!(g.trend.low <= slope && slope <= g.trend.high, "{metric:?} {slope} {seed}: {g:?}");
        }
    }
}

#[test]
fn a_warm_up_is_found_and_a_slow_one_is_no_alarm() {
    let fast = Simulated { warm_up: (3e6, 1.5), ..clean(Metric::Heap, 4.2e3) };
    let slow = Simulated { warm_up: (1e6, 8.0), ..clean(Metric::Heap, 25e3) };
    for seed in 0..200 {
        let (_, g) = fast.run(seed);
        assert!(g.verdict == Verdict::Flat && g.warm_up >= 5, "{seed}: {g:?}");
        let (_, g) = slow.run(seed);
        assert_ne!(g.verdict, Verdict::Growing, "{seed}: {g:?}");
    }
}

#[test]
fn a_cache_that_fills_saturates_or_is_flat_and_a_leak_that_begins_late_is_not_flat() {
    let filling = Simulated { warm_up: (40e6, 60.0), ..clean(Metric::Heap, 4.2e3) };
    let late: Vec<Level> = clean(Metric::Heap, 4.2e3)
        .levels(64, 1)
        .into_iter()
        .map(|l| Level { value: l.value + 200.0 * (l.work - 50e3).max(0.0), ..l })
        .collect();
    assert_eq!(filling.run(1).1.verdict, Verdict::Saturating);
    assert_ne!(judge(&late, 8.0, 16.0).expect("enough").verdict, Verdict::Flat);
}

#[test]
fn a_map_that_doubles_now_and_then_is_a_leak() {
    // 26 B of each key, and at 30, 60 and 120 thousand keys the tables are split over some rounds, as Go does it.
    let split = |k: f64| {
        [28.0, 58.0, 116.0]
            .iter()
            .map(|at| 250e3 * (at / 28.0) * ((k - at) / 8.0).clamp(0.0, 1.0))
            .sum::<f64>()
    };
    for seed in 0..50 {
        let noise = Simulated { slope: 26.0, ..clean(Metric::Heap, 2e3) }.levels(128, seed);
        let levels: Vec<Level> =
            noise.into_iter().map(|l| Level { value: l.value + split(l.work / 1000.0), ..l }).collect();
        let g = judge(&levels, 8.0, 16.0).expect("enough rounds");
        assert_eq!(g.verdict, Verdict::Growing, "{seed}: {g:?}");
    }
}

#[test]
fn the_smallest_leak_that_is_said_to_be_seen_is_seen() {
    let noise = clean(Metric::Heap, 5e3);
    for rounds in [32, 64, 96] {
        let said: f64 = (0..50)
            .map(|s| judge(&noise.levels(rounds, s), 8.0, 16.0).expect("enough").smallest_seen)
            .sum::<f64>()
            / 50.0;
        let leaking = Simulated { slope: said, ..noise };
        let grows = |s: &u64| {
            judge(&leaking.levels(rounds, 1000 + s), 8.0, 16.0).is_some_and(|g| g.verdict == Verdict::Growing)
        };
        let seen = (0..200).filter(grows).count();
        assert!(seen >= 180, "{rounds} rounds: a leak of {said} B was seen in {seen} of 200 runs");
    }
}

#[test]
fn a_few_large_steps_do_not_hide_a_steady_climb_and_make_none() {
    // As V8 lays out feedback and code within the run: 16 B an iteration, and 6 to 25 KB now and then.
    let jumps = [(10, 24e3), (11, 8.7e3), (17, 1.3e3), (22, 6.2e3), (24, 18.5e3), (41, 6.4e3)];
    let levels = |slope: f64| -> Vec<Level> {
        let level = |k: usize| {
            let jumped: f64 = jumps.iter().filter(|(at, _)| k >= *at).map(|(_, by)| by).sum();
            Level { work: k as f64 * 1000.0, value: 4e6 + slope * k as f64 * 1000.0 + jumped }
        };
        (1..=48).map(level).collect()
    };
    let g = judge(&levels(16.0), 8.0, 16.0).expect("enough");
    assert!(g.verdict == Verdict::Growing && g.trend.low > 15.5 && g.trend.low <= g.trend.slope, "{g:?}");
    assert_ne!(judge(&levels(0.0), 8.0, 16.0).expect("enough").verdict, Verdict::Growing);
    // A saw climbs at nearly every step, and not at all.
    for period in 5..24 {
        let saw = |k: usize| Level { work: k as f64 * 1000.0, value: 4e6 + (k % period) as f64 * 16e3 };
        let g = judge(&(1..=48).map(saw).collect::<Vec<_>>(), 8.0, 16.0).expect("enough");
        assert_ne!(g.verdict, Verdict::Growing, "period {period}: {g:?}");
    }
}

#[test]
fn undecided_runs_say_how_many_iterations_would_do() {
    let noisy = Simulated { slope: 40.0, ..clean(Metric::Native, 800e3) };
    let g = judge(&noisy.levels(24, 5), 64.0, Metric::Native.grain()).expect("enough");
    assert_eq!(g.verdict, Verdict::Undecided);
    let needs = g.needs.expect("a number");
    assert!(needs > 24e3 && needs < 10e6, "{needs}");
    let quiet = judge(&clean(Metric::Fds, 0.0).levels(16, 1), 0.001, 1.0).expect("enough");
    assert_eq!((quiet.verdict, quiet.needs), (Verdict::Flat, None));
}

fn round(n: u64, failed: u64) -> Round {
    let readings = [
        (Metric::Heap, Reading::Known(1e6 + 16.0 * (n * 1000) as f64)),
        (Metric::Threads, Reading::Known(7.0)),
        (Metric::Anon, Reading::unknown("no control group of its own")),
    ];
    Round { iterations: 1000, failed, readings: BTreeMap::from(readings) }
}

fn course(failed: u64) -> Course {
    let mut course = Course::new(Tolerance::default(), 128);
    let mut n = 0;
    while course.goes_on() {
        course.push(round(n, failed));
        n += 1;
    }
    course
}

#[test]
fn a_run_ends_at_the_first_look_that_tells() {
    let c = course(0);
    assert_eq!((c.rounds().len(), c.outcome()), (16, Outcome::Growing));
    let verdicts: Vec<_> = c.judged().iter().map(|j| (j.metric.name(), j.verdict())).collect();
    assert_eq!(
        verdicts,
        [("heap", Some(Verdict::Growing)), ("cgroup-anon", None), ("threads", Some(Verdict::Flat))]
    );
}

#[test]
fn a_run_that_shall_be_longer_is_looked_at_later() {
    let mut course = Course::new(Tolerance::default(), 128).at_least(40);
    while course.goes_on() {
        course.push(round(course.rounds().len() as u64, 0));
    }
    assert_eq!(course.rounds().len(), 48, "the first look after 40 rounds");
}

#[test]
fn what_proves_nothing_is_withdrawn() {
    let c = course(20);
    assert_eq!(c.outcome(), Outcome::Withdrawn);
    assert!(c.withdrawn()[0].to_string().contains("320 of 16,000 iterations failed"));
    let mut c = course(0);
    c.withdraw(Withdrawn::Restarted);
    assert_eq!((c.goes_on(), c.outcome()), (false, Outcome::Withdrawn));
    let nothing = Course::new(Tolerance::default(), 128);
    assert_eq!((nothing.goes_on(), nothing.outcome()), (true, Outcome::Undecided));
}
