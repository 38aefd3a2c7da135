//! Histories with a culprit: versions, flags, replicas and restarts.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::canary::Errors;
use crate::cluster::{Limits, Replica};
use crate::series::Point;
use crate::slope::{Death, Samples};

const HOUR: f64 = 3600.0;
const MIB: f64 = 1_048_576.0;
const BEGIN: f64 = 1_760_000_000.0;

/// Noise of a floor, the same each time.
fn noise(seed: f64, t: f64) -> f64 {
    ((t * 0.0017 + seed).sin() + (t * 0.0131 + 2.0 * seed).cos()) * 1.5 * MIB
}

/// Lives of one replica: hours of start and end, and the version; `slope` is MiB an hour at an hour.
fn replica(seed: f64, lives: &[(f64, f64, &str)], slope: impl Fn(&str, f64) -> f64) -> Replica {
    let life = |(from, to, version): &(f64, f64, &str)| {
        let (mut level, mut points) = (200.0 * MIB, Vec::new());
        for k in 0..((to - from) * 12.0) as usize {
            let hour = from + k as f64 / 12.0;
            level += slope(version, hour) * MIB / 12.0;
            let t = BEGIN + hour * HOUR;
            points.push(Point { t, v: level + noise(seed, t) });
        }
        Life { start: BEGIN + from * HOUR, version: Some((*version).to_owned()), points }
    };
    Replica {
        pod: format!("api-{seed}"),
        lives: lives.iter().map(life).collect(),
        limits: Limits::always(2048.0 * MIB),
        ..Replica::default()
    }
}

fn workload(replicas: Vec<Replica>) -> Workload {
    Workload {
        cluster: String::new(),
        namespace: "shop".into(),
        name: "api".into(),
        container: "api".into(),
        number: "memory".into(),
        is_heap: false,
        samples: Samples::Raw,
        death: Death::AtUsage,
        replicas,
        kills: None,
    }
}

fn flag(name: &str, hour: f64, off: bool) -> Mark {
    Mark { unix_seconds: BEGIN + hour * HOUR, kind: MarkKind::Flag, name: name.into(), off, workload: None }
}

const THREE: [(f64, f64, &str); 3] = [(0.0, 48.0, "v1"), (48.0, 96.0, "v2"), (96.0, 144.0, "v3")];

#[test]
fn the_version_that_climbs_is_blamed_with_its_slope() {
    let slope = |version: &str, _| if version == "v1" { 0.1 } else { 3.0 };
    let all = workload((0..3).map(|n| replica(f64::from(n), &THREE, slope)).collect());
    let blame = blame(&all, &[flag("other", 70.0, false)]).expect("told");
    let first = &blame.causes[0];
    assert_eq!(first.cause, Cause::Version("v2".into()), "{:#?}", blame.causes);
    assert!(first.p > 0.9, "{first:?}");
    let per_hour = first.adds.mid * HOUR / MIB;
    assert!((2.5..3.3).contains(&per_hour), "{per_hour}");
    let slopes: Vec<f64> = blame.versions.iter().map(|v| v.slope.expect("long").mid * HOUR / MIB).collect();
    assert!(
        (slopes[0] - 0.1).abs() < 0.2 && (slopes[1] - 3.0).abs() < 0.3 && (slopes[2] - 3.0).abs() < 0.3,
        "{slopes:?}"
    );
    assert_eq!((blame.versions[0].replicas, blame.versions[0].lives), (3, 3));
    assert!(blame.tied.is_empty(), "{:?}", blame.tied);
}

#[test]
fn a_flag_is_told_from_the_version_that_came_before_it() {
    // v2 came at 48 h; the flag was switched on at 60 h, off at 100 h.
    let slope = |_: &str, hour: f64| if (60.0..100.0).contains(&hour) { 3.0 } else { 0.0 };
    let all = workload((0..2).map(|n| replica(f64::from(n), &THREE, slope)).collect());
    let marks = [flag("new-cache", 60.0, false), flag("new-cache", 100.0, true)];
    let blame = blame(&all, &marks).expect("told");
    assert_eq!(
        blame.causes[0].cause,
        Cause::Switched(MarkKind::Flag, "new-cache".into()),
        "{:#?}",
        blame.causes
    );
    assert!(blame.causes[0].p > 0.9);
}

#[test]
fn a_version_and_a_flag_that_came_at_different_times_each_have_their_own_effect() {
    let slope = |version: &str, hour: f64| {
        let of_version = if version == "v1" { 0.0 } else { 3.0 };
        of_version + if hour >= 72.0 { 4.0 } else { 0.0 }
    };
    let all = workload((0..2).map(|n| replica(f64::from(n), &THREE, slope)).collect());
    let told = blame(&all, &[flag("new-cache", 72.0, false), flag("other", 30.0, false)]).expect("told");
    let of = |cause: &Cause| told.causes.iter().find(|c| c.cause == *cause).expect("named");
    for (cause, adds) in
        [(Cause::Version("v2".into()), 3.0), (Cause::Switched(MarkKind::Flag, "new-cache".into()), 4.0)]
    {
        let found = of(&cause);
        let per_hour = found.adds.mid * HOUR / MIB;
        assert!(found.is_told(0.9) && (per_hour - adds).abs() < 0.4, "{:#?}", told.causes);
    }
    assert!(of(&Cause::Switched(MarkKind::Flag, "other".into())).p < 0.1, "{:#?}", told.causes);
    assert_eq!(told.credible(0.9).len(), 2, "{:#?}", told.causes);
    assert!(told.mended.is_empty() && told.tied.is_empty(), "{told:#?}");
}

/// Flags that were switched before the history began, or after it, say nothing; and flat memory has no menders.
#[test]
fn marks_of_other_times_do_not_drown_a_cause() {
    let slope = |_: &str, hour: f64| if hour >= 72.0 { 3.0 } else { 0.0 };
    let all = workload((0..2).map(|n| replica(f64::from(n), &THREE, slope)).collect());
    let told = |more: usize| {
        let old = (0..more).map(|n| flag(&format!("old-{n}"), -500.0 - n as f64, false));
        let marks: Vec<Mark> = old.chain([flag("new-cache", 72.0, false)]).collect();
        blame(&all, &marks).expect("told").causes.remove(0)
    };
    let (alone, among) = (told(0), told(300));
    assert!(alone.is_told(0.9) && alone == among, "{alone:?} {among:?}");
    let flat = workload((0..2).map(|n| replica(f64::from(n), &THREE, |_, _| 0.0)).collect());
    let told = blame(&flat, &[flag("a", 30.0, false), flag("b", 100.0, false)]).expect("told");
    assert!(told.mended.is_empty() && told.causes[0].cause == Cause::Never, "{told:#?}");
    let sum: f64 = told.causes.iter().map(|c| c.p).sum();
    assert!(sum < 1.1, "{told:#?}");
    // Among very many that were all active, one that leaks and a later one that mends are still found together.
    let slope = |_: &str, hour: f64| if (48.0..96.0).contains(&hour) { 3.0 } else { 0.0 };
    let mended = workload((0..2).map(|n| replica(f64::from(n), &[(0.0, 144.0, "v1")], slope)).collect());
    let others = (0..95).map(|n| flag(&format!("f{n}"), 1.5 * f64::from(n), false));
    let marks: Vec<Mark> = others.chain([flag("leaks", 48.0, false), flag("mends", 96.0, false)]).collect();
    let told = blame(&mended, &marks).expect("told");
    let found = |list: &[Blamed], at: f64| -> f64 {
        let near = |c: &&Blamed| c.since.is_some_and(|t| (t - BEGIN - at * HOUR).abs() < 4.0 * HOUR);
        list.iter().filter(near).map(|c| c.p).sum()
    };
    assert!(found(&told.causes, 48.0) > 0.9, "{:#?}", told.causes);
    let climb = told.causes.iter().find(|c| c.p > 0.1).expect("a cause").adds.mid * HOUR / MIB;
    assert!((climb - 3.0).abs() < 0.4, "{climb}");
    // Very many that were all active are looked at, too.
    let many: Vec<Mark> = (0..200).map(|n| flag(&format!("f{n}"), f64::from(n) * 0.7, false)).collect();
    let found = blame(&all, &many).expect("told").causes.remove(0);
    assert!((found.since.expect("a time") - BEGIN - 72.0 * HOUR).abs() < 5.0 * HOUR, "{found:?}");
}

#[test]
fn a_version_that_mends_is_told_from_the_one_that_leaked() {
    let slope = |version: &str, _| if version == "v2" { 3.0 } else { 0.0 };
    let all = workload((0..2).map(|n| replica(f64::from(n), &THREE, slope)).collect());
    let told = blame(&all, &[flag("other", 120.0, false)]).expect("told");
    let first = &told.causes[0];
    let per_hour = first.adds.mid * HOUR / MIB;
    assert!(first.cause == Cause::Version("v2".into()) && first.is_told(0.9), "{told:#?}");
    assert!((per_hour - 3.0).abs() < 0.3, "{per_hour}");
    let [mended] = told.mended.as_slice() else { panic!("{told:#?}") };
    let less = mended.adds.mid * HOUR / MIB;
    assert!(mended.cause == Cause::Version("v3".into()) && mended.p > 0.9, "{mended:?}");
    assert!((less + 3.0).abs() < 0.3, "{less}");
    // What was there from the begin was brought by nothing that was seen, and yet mended.
    let slope = |version: &str, _| if version == "v3" { 0.0 } else { 3.0 };
    let all = workload((0..2).map(|n| replica(f64::from(n), &THREE, slope)).collect());
    let told = blame(&all, &[]).expect("told");
    assert!(told.causes[0].cause == Cause::Never && told.mended[0].p > 0.9, "{told:#?}");
}

#[test]
fn what_moved_together_is_said_to_be_tied_with_what_would_tell() {
    let slope = |version: &str, _| if version == "v1" { 0.0 } else { 3.0 };
    let all = workload(vec![replica(1.0, &[(0.0, 60.0, "v1"), (60.0, 120.0, "v2")], slope)]);
    let blame = blame(&all, &[flag("new-cache", 60.0, false)]).expect("told");
    let [tied] = blame.tied.as_slice() else { panic!("{blame:#?}") };
    assert_eq!(tied.a, Cause::Version("v2".into()));
    let hours = tied.seconds.expect("known") / HOUR;
    assert!((0.5..24.0).contains(&hours), "{hours}");
    assert!(blame.causes[0].p < 0.6 && blame.causes[1].p > 0.3, "{:?}", blame.causes);
}

#[test]
fn nothing_is_blamed_for_a_slope_that_was_always_there_or_began_between_the_marks() {
    let always = workload((0..2).map(|n| replica(f64::from(n), &THREE, |_, _| 3.0)).collect());
    let told = blame(&always, &[flag("other", 70.0, false)]).expect("told");
    assert_eq!(told.causes[0].cause, Cause::Never, "{:#?}", told.causes);
    // What would tell: three replicas sooner than one, each by the formula of a canary.
    let [one, three] = told.canaries.as_slice() else { panic!("{:?}", told.canaries) };
    assert_eq!((one.replicas, three.replicas), (1, 3));
    let ratio = one.seconds / three.seconds;
    assert!((ratio - 3.0_f64.cbrt()).abs() < 1e-9 && (1800.0..86_400.0).contains(&one.seconds), "{one:?}");
    let between = workload(
        (0..2).map(|n| replica(f64::from(n), &THREE, |_, h| if h > 72.0 { 3.0 } else { 0.0 })).collect(),
    );
    let told = blame(&between, &[]).expect("told");
    let Cause::Unmarked(time) = told.causes[0].cause else { panic!("{:#?}", told.causes) };
    assert!(((time - BEGIN) / HOUR - 72.0).abs() < 5.0 && told.causes[0].p > 0.9, "{:#?}", told.causes);
    // Too short for any slope.
    let short = workload(vec![replica(0.0, &[(0.0, 0.5, "v1")], |_, _| 0.0)]);
    assert!(blame(&short, &[]).expect_err("too short").contains("too little history"));
}

/// Replicas that run for three days, the noise of whose floors goes along for half an hour; `slope` is MiB an hour.
fn random(rng: &mut ChaCha8Rng, replicas: usize, slope: f64) -> Workload {
    let one = |n: usize, rng: &mut ChaCha8Rng| {
        let (keeps, mut off) = ((-1.0_f64 / 6.0).exp(), 0.0);
        let point = |k: usize| {
            let hit: f64 = (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0;
            off = keeps * off + (1.0 - keeps * keeps).sqrt() * hit;
            let hour = k as f64 / 12.0;
            Point { t: BEGIN + hour * HOUR, v: (200.0 + slope * hour + 2.0 * off) * MIB }
        };
        let points = (0..72 * 12).map(point).collect();
        let life = Life { start: BEGIN, version: None, points };
        Replica { pod: format!("api-{n}"), lives: vec![life], ..Replica::default() }
    };
    workload((0..replicas).map(|n| one(n, rng)).collect())
}

/// Looked at every two hours: when it is first said to climb more.
fn told_after(canary: &Workload, baseline: &Workload) -> Option<f64> {
    (1..=36).map(|k| f64::from(2 * k)).find(|hours| {
        let until = |w: &Workload| {
            let mut w = w.clone();
            let lives = w.replicas.iter_mut().flat_map(|r| &mut r.lives);
            lives.for_each(|l| l.points.retain(|p| p.t <= BEGIN + hours * HOUR));
            w
        };
        compare(&until(canary), &until(baseline), Errors::default()).is_some_and(|c| c.is_more)
    })
}

#[test]
fn a_canary_may_be_looked_at_as_often_as_one_likes() {
    let mut rng = ChaCha8Rng::seed_from_u64(21);
    let mut told = |slope: f64| -> Vec<f64> {
        let pair = |_| (random(&mut rng, 1, slope), random(&mut rng, 3, 0.0));
        let pairs: Vec<_> = (0..100).map(pair).collect();
        pairs.iter().filter_map(|(canary, baseline)| told_after(canary, baseline)).collect()
    };
    let blamed = told(0.0);
    assert!(blamed.len() <= 5, "{} of 100 canaries without an effect were blamed", blamed.len());
    let mut found = told(1.0);
    found.sort_by(f64::total_cmp);
    assert!(found.len() >= 98 && found[found.len() / 2] <= 14.0, "{found:?}");
}

/// A workload whose second version took the place of the first one, two days after it; both fill the same cache at first, and the second
/// one climbs by so many MiB an hour besides.
fn rolled(rng: &mut ChaCha8Rng, slope: f64, first_from: f64) -> Workload {
    let one = |n: usize, rng: &mut ChaCha8Rng| {
        let (keeps, mut off) = ((-1.0_f64 / 6.0).exp(), 0.0);
        let mut life = |version: &str, from: f64, seen_from: f64, slope: f64| {
            let mut point = |k: usize| {
                let hit: f64 = (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0;
                off = keeps * off + (1.0 - keeps * keeps).sqrt() * hit;
                let age = k as f64 / 12.0;
                let level = 300.0 - 150.0 * (-age / 8.0).exp() + slope * age + 2.0 * off;
                Point { t: BEGIN + (from + age) * HOUR, v: level * MIB }
            };
            let points = (((seen_from - from) * 12.0) as usize..48 * 12).map(&mut point).collect();
            Life { start: BEGIN + from * HOUR, version: Some(version.to_owned()), points }
        };
        let lives = vec![life("v1", 0.0, first_from, 0.0), life("v2", 48.0, 48.0, slope)];
        Replica { pod: format!("api-{n}"), lives, ..Replica::default() }
    };
    workload((0..2).map(|n| one(n, rng)).collect())
}

#[test]
fn each_rollout_is_judged_against_what_ran_before_it_at_the_same_age() {
    let mut rng = ChaCha8Rng::seed_from_u64(31);
    let mut blamed = |slope: f64| {
        let of = |_| rollouts(&rolled(&mut rng, slope, 0.0), 1).remove(0);
        (0..100).map(of).filter(|r| r.compared.is_some_and(|c| c.is_more && c.same_age)).count()
    };
    let (none, some) = (blamed(0.0), blamed(2.0));
    assert!(none <= 5 && some >= 98, "{none} of 100 without an effect, {some} of 100 with one");
    // The first version was only seen when its cache was full: what is told then says so.
    let late = rollouts(&rolled(&mut rng, 0.0, 40.0), 1).remove(0);
    assert!(late.compared.is_some_and(|c| !c.same_age), "{late:?}");
    assert_eq!((late.from.as_str(), late.to.as_str(), late.at), ("v1", "v2", BEGIN + 48.0 * HOUR));
    // One of many must be surer.
    let one = rolled(&mut rng, 2.0, 0.0);
    let told_from = |among: usize| rollouts(&one, among)[0].compared.expect("long").told_from;
    assert!(told_from(1000) > 1.2 * told_from(1));
    // Just rolled out.
    let mut young = rolled(&mut rng, 0.0, 0.0);
    young.replicas.iter_mut().for_each(|r| r.lives[1].points.truncate(6));
    assert_eq!(rollouts(&young, 1)[0].compared, None);
}

#[test]
fn a_cache_that_fills_after_each_rollout_is_no_versions_fault() {
    let mut rng = ChaCha8Rng::seed_from_u64(41);
    let mut accused = |slope: f64| {
        let of = |_| blame(&rolled(&mut rng, slope, 0.0), &[]).expect("told").causes.remove(0);
        (0..50).map(of).filter(|first| first.is_told(0.9)).count()
    };
    let (none, some) = (accused(0.0), accused(2.0));
    assert!(none <= 2 && some >= 48, "{none} of 50 without an effect, {some} of 50 with one");
}

#[test]
fn a_young_canary_that_fills_its_cache_is_no_leak_beside_an_old_baseline() {
    let mut rng = ChaCha8Rng::seed_from_u64(43);
    // The baseline began two days before the canary, and was seen from then on; or only when its cache was full.
    let mut pair = |slope: f64, seen_from: f64| {
        let mut both = rolled(&mut rng, slope, seen_from);
        let mut canary = both.clone();
        canary.replicas.iter_mut().for_each(|r| drop(r.lives.remove(0)));
        both.replicas.iter_mut().for_each(|r| {
            let (level, end) = (r.lives[0].points.last().expect("long").v, r.lives[1].points.clone());
            r.lives.truncate(1);
            r.lives[0].points.extend(end.iter().map(|p| Point { t: p.t, v: level }));
        });
        compare(&canary, &both, Errors::default()).expect("long")
    };
    for _ in 0..20 {
        let calm = pair(0.0, 0.0);
        assert!(calm.same_age && !calm.is_more, "{calm:?}");
        let leak = pair(2.0, 0.0);
        assert!(leak.same_age && leak.is_more, "{leak:?}");
    }
    assert!(!pair(0.0, 40.0).same_age);
}
