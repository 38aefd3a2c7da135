//! The estimator on small simulated services.

use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

const MIB: f64 = 1_048_576.0;
const LIMIT: f64 = 1024.0 * MIB;

/// Independent standard normal numbers from a seed (sum of twelve uniforms).
struct Noise(ChaCha8Rng);

impl Noise {
    fn new(seed: u64) -> Noise {
        Noise(ChaCha8Rng::seed_from_u64(seed))
    }

    fn next(&mut self) -> f64 {
        (0..12).map(|_| (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64).sum::<f64>() - 6.0
    }
}

/// Samples of `shape(age seconds)` MiB with independent noise.
fn simulate(n: usize, step: f64, seed: u64, noise: f64, shape: impl Fn(f64) -> f64) -> Vec<Point> {
    let mut normal = Noise::new(seed);
    (0..n)
        .map(|i| {
            let t = i as f64 * step;
            Point { t, v: (shape(t) + noise * normal.next()) * MIB }
        })
        .collect()
}

/// Seconds from sample `i` to the first sample at the limit.
fn death_after(all: &[Point], i: usize) -> f64 {
    all.iter().find(|p| p.v >= LIMIT).map_or(f64::INFINITY, |p| p.t - all[i - 1].t)
}

fn ask<'a>(epochs: &'a [Epoch<'a>], samples: Samples, limit: f64) -> Question<'a> {
    let now = epochs.last().and_then(|e| e.points.last()).map_or(0.0, |p| p.t);
    Question { epochs, load: &[], samples, death: Death::AtUsage, limit, now, garbage: false, seed: 1 }
}

fn one(points: &[Point]) -> Epoch<'_> {
    Epoch { start: points.first().map_or(0.0, |p| p.t), version: 0, replica: 0, points }
}

fn judge(points: &[Point], samples: Samples) -> Posterior {
    estimate(&ask(&[one(points)], samples, LIMIT)).expect("enough data")
}

#[test]
fn too_little_data_says_how_much_more() {
    let points = simulate(5, 60.0, 1, 1.0, |_| 100.0);
    let not_yet = estimate(&ask(&[one(&points)], Samples::Raw, LIMIT)).expect_err("five samples");
    assert!(not_yet.more_seconds.is_some_and(|s| s > 0.0), "{not_yet:?}");
    assert!(estimate(&ask(&[], Samples::Raw, LIMIT)).is_err());
}

#[test]
fn a_linear_climb_of_hours_is_a_leak_with_the_right_time() {
    // 100 MiB + 20 MiB/h towards 1024 MiB: dies at 46.2 h; judged at 15 h.
    let all = simulate(3000, 60.0, 2, 3.0, |t| 100.0 + 20.0 * t / 3600.0);
    let points = &all[..900];
    let p = judge(points, Samples::Raw);
    assert!(p.p_leak > 0.9, "{p:?}");
    let truth = death_after(&all, 900);
    assert!((p.time_to_limit.mid / truth - 1.0).abs() < 0.05, "{} {truth}", p.time_to_limit.mid);
    assert!((p.slope.mid / (20.0 * MIB / 3600.0) - 1.0).abs() < 0.1, "{:?}", p.slope);
}

#[test]
fn a_fast_leak_of_minutes_is_seen_before_two_fifths_of_its_life() {
    // 50 MiB + 2 MiB/s: dies after 487 s; judged at 180 s of one-second samples.
    let points = simulate(180, 1.0, 3, 2.0, |t| 50.0 + 2.0 * t);
    let p = judge(&points, Samples::PostCollection);
    assert!(p.p_leak >= 0.9, "{p:?}");
    let truth = 487.0 - 179.0;
    assert!(p.time_to_limit.low < truth && truth < p.time_to_limit.high, "{:?}", p.time_to_limit);
    // Raw usage may still be the first tooth of garbage: a little later, but not much.
    let raw = judge(&simulate(200, 1.0, 3, 2.0, |t| 50.0 + 2.0 * t), Samples::Raw);
    assert!(raw.p_leak >= 0.9, "{raw:?}");
}

#[test]
fn a_process_of_thirty_seconds_is_not_certain() {
    let points = simulate(30, 1.0, 4, 2.0, |t| 50.0 + 0.5 * t);
    let p = judge(&points, Samples::PostCollection);
    assert!(p.p_leak < 0.9, "{p:?}");
    assert!(p.undecided_for.is_some() || p.p_climbs_on() < 0.1, "{p:?}");
}

#[test]
fn what_is_decided_does_not_ask_for_more_time() {
    let climb = simulate(1500, 60.0, 5, 3.0, |t| 100.0 + 20.0 * t / 3600.0);
    let asked = |n: &usize| judge(&climb[..*n], Samples::Raw);
    let all: Vec<Posterior> = [60, 90, 120, 180, 240, 400, 800, 1500].iter().map(asked).collect();
    let is_open = |p: &Posterior| (0.1..=0.9).contains(&p.p_climbs_on());
    assert!(all.iter().all(|p| p.undecided_for.is_some() == is_open(p)), "{all:?}");
    assert!(all.iter().any(is_open) && !all.iter().all(is_open), "both were looked at");
}

#[test]
fn flat_noise_is_no_leak() {
    for seed in 0..20 {
        let points = simulate(1440, 60.0, seed, 5.0, |_| 300.0);
        let p = judge(&points, Samples::Raw);
        assert!(p.p_leak < 0.5, "seed {seed}: {}", p.p_leak);
        assert_eq!(p.time_to_limit.mid, f64::INFINITY);
    }
}

#[test]
fn a_warm_up_is_not_a_leak() {
    let points = simulate(1440, 60.0, 5, 3.0, |t| 200.0 + 250.0 * (1.0 - (-t / 5400.0).exp()));
    let p = judge(&points, Samples::Raw);
    assert!(p.p_leak < 0.2, "{p:?}");
    assert_eq!(p.shape, Shape::Saturating);
}

#[test]
fn an_onset_is_found() {
    let points = simulate(2880, 60.0, 6, 3.0, |t| 200.0 + 15.0 * (t / 3600.0 - 30.0).max(0.0));
    let p = judge(&points, Samples::Raw);
    assert!(p.p_leak > 0.9, "{p:?}");
    assert_eq!(p.shape, Shape::Onset);
    let onset = p.onset.expect("onset").mid / 3600.0;
    assert!((onset - 30.0).abs() < 3.0, "{onset}");
}

#[test]
fn constant_and_quantised_series_do_not_blow_up() {
    let constant = simulate(600, 60.0, 7, 0.0, |_| 256.0);
    let p = judge(&constant, Samples::Raw);
    assert!(p.p_leak < 0.2 && p.slope.mid == 0.0, "{p:?}");
    let pages = simulate(600, 60.0, 7, 0.0, |t| (100.0 + 30.0 * t / 3600.0).round());
    assert!(judge(&pages, Samples::Raw).p_leak > 0.9);
}

#[test]
fn without_a_limit_there_is_a_slope_but_no_clock() {
    let points = simulate(900, 60.0, 8, 2.0, |t| 100.0 + 20.0 * t / 3600.0);
    let p = estimate(&ask(&[one(&points)], Samples::Raw, f64::INFINITY)).expect("posterior");
    assert!(p.p_leak > 0.8, "{p:?}");
    assert_eq!(p.time_to_limit.low, f64::INFINITY);
    assert!(p.slope.low > 0.0);
}

#[test]
fn above_the_limit_the_time_is_zero() {
    let points = simulate(600, 60.0, 9, 1.0, |t| 900.0 + 20.0 * t / 3600.0);
    let p = judge(&points, Samples::Raw);
    assert_eq!((p.time_to_limit.low, p.time_to_limit.high), (0.0, 0.0));
}

#[test]
fn weeks_of_coarse_samples_work() {
    let leak = simulate(6048, 300.0, 11, 3.0, |t| 100.0 + 1.2 * t / 3600.0);
    let p = judge(&leak, Samples::Raw);
    assert!(p.p_leak > 0.9 && (p.slope.mid / (1.2 * MIB / 3600.0) - 1.0).abs() < 0.1, "{p:?}");
    let flat = simulate(6048, 300.0, 12, 3.0, |_| 400.0);
    assert!(judge(&flat, Samples::Raw).p_leak < 0.5);
}

#[test]
fn gaps_and_irregular_samples_change_little() {
    let all = simulate(1200, 60.0, 13, 3.0, |t| 100.0 + 20.0 * t / 3600.0);
    let kept = |i: usize| !(300..480).contains(&i) && i % 7 != 3 && i % 5 != 1;
    let holes: Vec<Point> = all.iter().enumerate().filter(|(i, _)| kept(*i)).map(|(_, p)| *p).collect();
    let (a, b) = (judge(&all, Samples::Raw), judge(&holes, Samples::Raw));
    assert!(b.p_leak > 0.9, "{b:?}");
    assert!((b.slope.mid / a.slope.mid - 1.0).abs() < 0.08, "{:?} {:?}", a.slope, b.slope);
}

#[test]
fn bouncing_values_after_collections_are_read_by_their_envelope() {
    // Young collections count live bursts: most values lie far above what really stays.
    let mut points = simulate(2400, 30.0, 14, 1.0, |_| 60.0);
    let mut normal = Noise::new(15);
    points.iter_mut().enumerate().filter(|(i, _)| i % 4 != 0).for_each(|(i, p)| {
        p.v += (40.0 + 0.1 * i as f64 + 20.0 * normal.next().abs()) * MIB;
    });
    let p = judge(&points, Samples::PostCollection);
    assert!(p.p_leak < 0.5 && (p.floor / MIB - 60.0).abs() < 10.0, "{p:?}");
}

#[test]
fn restarts_do_not_hide_a_leak() {
    // 12 MiB/h, restarted every 6 h.
    let runs: Vec<Vec<Point>> = (0..8)
        .map(|k| {
            let start = f64::from(k) * 6.0 * 3600.0;
            let mut run = simulate(359, 60.0, 20 + k as u64, 2.0, |t| 200.0 + 12.0 * t / 3600.0);
            run.iter_mut().for_each(|p| p.t += start);
            run
        })
        .collect();
    let epochs: Vec<Epoch<'_>> = runs.iter().map(|r| one(r)).collect();
    let p = estimate(&ask(&epochs, Samples::Raw, LIMIT)).expect("posterior");
    assert!(p.p_leak > 0.9, "{p:?}");
    let slope = 12.0 * MIB / 3600.0;
    assert!(p.slope.low < slope && slope < p.slope.high, "{:?} {slope}", p.slope);
}

#[test]
fn replicas_that_do_the_same_prove_no_more_than_one_of_them() {
    for (seed, rate) in [(1, 0.5), (2, 1.0), (3, 1.5), (4, 2.0), (5, 3.0)] {
        let points = simulate(720, 60.0, seed, 6.0, |t| 300.0 + rate * t / 3600.0);
        let of = |count: u32| {
            let epochs: Vec<Epoch<'_>> =
                (0..count).map(|replica| Epoch { replica, ..one(&points) }).collect();
            estimate(&ask(&epochs, Samples::Raw, LIMIT)).expect("posterior")
        };
        let (alone, five) = (of(1), of(5));
        let width = |p: &Posterior| p.slope.high - p.slope.low;
        assert!((five.p_leak - alone.p_leak).abs() < 0.15, "{rate}: {} {}", alone.p_leak, five.p_leak);
        assert!(width(&five) > 0.6 * width(&alone), "{rate}: {:?} {:?}", alone.slope, five.slope);
    }
}

#[test]
fn the_interval_covers_about_as_often_as_it_says() {
    let mut covered = 0;
    let runs = 60;
    for seed in 0..runs {
        let rate = 8.0 + (seed % 10) as f64 * 3.0;
        let all = simulate(7000, 60.0, 100 + seed, 6.0, |t| 150.0 + rate * t / 3600.0);
        let p = judge(&all[..1200], Samples::Raw);
        let truth = death_after(&all, 1200);
        covered += usize::from(p.time_to_limit.low <= truth && truth <= p.time_to_limit.high);
    }
    assert!(covered >= 40, "{covered} of {runs}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn same_question_same_answer_and_time_shift_changes_nothing(seed in 0_u64..1000, rate in 0.0..40.0_f64) {
        let points = simulate(600, 60.0, seed, 3.0, |t| 150.0 + rate * t / 3600.0);
        let a = judge(&points, Samples::Raw);
        prop_assert_eq!(&a, &judge(&points, Samples::Raw));
        let moved: Vec<Point> = points.iter().map(|p| Point { t: p.t + 86_400.0 * 8192.0, v: p.v }).collect();
        let b = judge(&moved, Samples::Raw);
        prop_assert!((a.p_leak - b.p_leak).abs() < 1e-3, "{} {}", a.p_leak, b.p_leak);
    }

    #[test]
    fn the_unit_of_memory_does_not_matter(seed in 0_u64..1000, rate in 0.0..40.0_f64) {
        let points = simulate(600, 60.0, seed, 3.0, |t| 150.0 + rate * t / 3600.0);
        let a = judge(&points, Samples::Raw);
        let scaled: Vec<Point> = points.iter().map(|p| Point { t: p.t, v: p.v * 8.0 }).collect();
        let b = estimate(&ask(&[one(&scaled)], Samples::Raw, LIMIT * 8.0)).expect("posterior");
        prop_assert!((a.p_leak - b.p_leak).abs() < 1e-6);
        prop_assert!((a.slope.mid * 8.0 - b.slope.mid).abs() <= 1e-6 * b.slope.mid.abs() + 1e-9);
    }

    #[test]
    fn the_unit_of_time_matters_only_through_prior_knowledge(seed in 0_u64..200) {
        // A leak with the same shape over 2 minutes or over 2 days: found in both.
        for step in [0.4, 600.0] {
            let points = simulate(300, step, seed, 2.0, |t| 100.0 + 1.5 * t / step);
            let p = judge(&points, Samples::PostCollection);
            prop_assert!(p.p_leak > 0.85, "step {}: {:?}", step, p.p_leak);
        }
    }

    #[test]
    fn a_restart_never_lowers_the_slope(seed in 0_u64..200, rate in 10.0..40.0_f64) {
        let mut whole = simulate(900, 60.0, seed, 2.0, |t| 150.0 + rate * t / 3600.0);
        let before = judge(&whole, Samples::Raw);
        // Restart at 15 h, then three more hours of the same leak from the bottom.
        let mut again = simulate(180, 60.0, seed + 1, 2.0, |t| 150.0 + rate * t / 3600.0);
        again.iter_mut().for_each(|p| p.t += 900.0 * 60.0);
        let epochs = [one(&whole), one(&again)];
        let after = estimate(&ask(&epochs, Samples::Raw, LIMIT)).expect("posterior");
        prop_assert!(after.slope.mid > 0.85 * before.slope.mid, "{:?} {:?}", before.slope, after.slope);
        whole.clear();
    }

    #[test]
    fn hostile_input_neither_panics_nor_yields_nan(
        values in proptest::collection::vec((0.0..1e6_f64, prop_oneof![
            Just(0.0), Just(1e300), Just(-1e18), Just(f64::NAN), Just(f64::INFINITY), 0.0..1e12_f64
        ]), 0..200),
        limit in prop_oneof![Just(0.0), Just(-5.0), Just(f64::INFINITY), 1.0..1e13_f64],
        post in any::<bool>(),
        start in -1e6..1e6_f64,
    ) {
        let mut points: Vec<Point> = values.iter().map(|(t, v)| Point { t: *t, v: *v }).collect();
        points.sort_by(|a, b| a.t.total_cmp(&b.t));
        let epoch = Epoch { start, version: 0, replica: 0, points: &points };
        let samples = if post { Samples::PostCollection } else { Samples::Raw };
        let mut q = ask(std::slice::from_ref(&epoch), samples, limit);
        q.load = &points;
        if let Ok(p) = estimate(&q) {
            prop_assert!(p.p_leak.is_finite() && (0.0..=1.0).contains(&p.p_leak));
            prop_assert!(p.draws.iter().all(|d| !d.is_nan()));
            prop_assert!(!p.time_to_limit.mid.is_nan() && !p.slope.mid.is_nan() && p.effective_points > 0.0);
        }
    }
}

/// When an alarm first stands, asked every `every` samples; seconds from the first sample.
fn alarmed_at(points: &[Point], samples: Samples, every: usize) -> Option<f64> {
    let mut alarm = Alarm::new(AlarmPolicy::default());
    let seen = (every..=points.len()).step_by(every);
    let mut stands = seen.filter(|n| {
        let known = &points[..*n];
        let now = known[n - 1].t;
        let epochs = [one(known)];
        alarm.tick(estimate(&ask(&epochs, samples, LIMIT)).ok().as_ref(), now)
    });
    stands.next().map(|n| points[n - 1].t)
}

#[test]
fn a_leak_of_minutes_alarms_well_before_its_end_and_noise_does_not() {
    // 50 MiB + 2 MiB/s: dies after 487 s.
    let leak = simulate(480, 1.0, 3, 2.0, |t| 50.0 + 2.0 * t);
    for samples in [Samples::PostCollection, Samples::Raw] {
        let at = alarmed_at(&leak, samples, 5);
        assert!(at.is_some_and(|t| t < 0.6 * 487.0), "{samples:?}: {at:?}");
        assert_eq!(alarmed_at(&simulate(480, 1.0, 4, 5.0, |_| 300.0), samples, 5), None, "{samples:?}");
    }
}

#[test]
fn a_leak_of_weeks_alarms_when_its_end_is_within_the_horizon() {
    // 200 MiB + 2 MiB/h at five minutes: dies after 412 h, of which 240 h are the horizon.
    let leak = simulate(12 * 400, 300.0, 6, 3.0, |t| 200.0 + 2.0 * t / 3600.0);
    let at = alarmed_at(&leak, Samples::Raw, 24).map(|t| t / 3600.0);
    assert!(at.is_some_and(|h| (100.0..300.0).contains(&h)), "{at:?}");
    let warm = simulate(12 * 400, 300.0, 7, 3.0, |t| 200.0 + 400.0 * (1.0 - (-t / 90_000.0).exp()));
    assert_eq!(alarmed_at(&warm, Samples::Raw, 24), None);
}

/// The fitted models of one run.
fn fitted(points: &[Point]) -> Fit {
    let epochs = [one(points)];
    let q = ask(&epochs, Samples::Raw, LIMIT);
    let floor = floor::collect(&q, None).unwrap_or_else(|not_yet| panic!("{}", not_yet.why));
    let design = Design::new(&floor, Setting { load: false, now: q.now });
    let scale = scale_of(&q, &floor);
    fit::fit(&floor, design, scale).expect("it determines a model")
}

#[test]
fn plateaus_are_asked_only_where_something_began() {
    let hours = |t: f64| t / 3_600.0;
    let asked = |shape: &dyn Fn(f64) -> f64| {
        let fit = fitted(&simulate(24 * 60, 60.0, 3, 4.0, shape));
        let onsets = &fit.design.onsets;
        let with = onsets.iter().filter(|o| o.with_plateaus).count() as f64 / onsets.len() as f64;
        let plateaus = fit.scored.iter().filter(|s| s.model.family == Family::Plateau);
        (with, plateaus.map(|s| s.weight).sum::<f64>(), onsets.len())
    };
    let (flat, _, count) = asked(&|_| 300.0);
    assert!(count > 5 && flat < 0.3, "{flat} of {count}");
    // A cache that fills from the twelfth hour on: neither a step nor a ramp.
    let fills = |t: f64| 300.0 + 150.0 * (1.0 - (-(hours(t) - 12.0).max(0.0) / 3.0).exp());
    let (with, weight, _) = asked(&fills);
    assert!(with >= 0.4, "{with}");
    assert!(weight > 0.5, "what began is what is believed: {weight}");
}
