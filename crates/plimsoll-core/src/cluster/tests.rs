//! Workloads with a truth: what leaks is told, with its time; what does not is not.

use super::*;
use crate::mark::MarkKind;

const HOUR: f64 = 3600.0;
const DAY: f64 = 24.0 * HOUR;
const MIB: f64 = 1_048_576.0;
const STEP: f64 = 300.0;
const NOW: f64 = 1_760_000_000.0;

/// A little noise, the same each time.
fn noise(t: f64) -> f64 {
    ((t * 0.017).sin() + (t * 0.0031).cos()) * 0.4 * MIB
}

/// A life from `start` to `end` (seconds before now) by a level at each age.
fn life(start: f64, end: f64, version: &str, level: impl Fn(f64) -> f64) -> Life {
    let count = ((start - end) / STEP) as usize;
    let point = |i: usize| {
        let age = i as f64 * STEP;
        Point { t: NOW - start + age, v: level(age) + noise(NOW - start + age) }
    };
    Life { start: NOW - start, version: Some(version.to_owned()), points: (0..count).map(point).collect() }
}

fn replica(pod: &str, lives: Vec<Life>) -> Replica {
    Replica { pod: pod.to_owned(), lives, limits: Limits::always(1024.0 * MIB), ..Replica::default() }
}

fn workload(replicas: Vec<Replica>) -> Workload {
    Workload {
        cluster: String::new(),
        namespace: "shop".to_owned(),
        name: "api".to_owned(),
        container: "api".to_owned(),
        number: "anonymous memory".to_owned(),
        is_heap: false,
        samples: Samples::Raw,
        death: Death::AtUsage,
        replicas,
        kills: None,
    }
}

/// 4 MiB an hour from 300.
fn climb(age: f64) -> f64 {
    (300.0 + 4.0 * age / HOUR) * MIB
}

#[test]
fn a_leak_has_a_clock_and_a_flat_one_a_smaller_limit() {
    let leak = workload(vec![replica("api-1", vec![life(4.0 * DAY, 0.0, "v1", climb)])]);
    let row = judge(&leak, NOW, STEP);
    let v = row.verdict.as_ref().expect("judged");
    assert_eq!(v.movement, Movement::Leak);
    // 300 + 4 * 96 = 684 MiB now: 340 are left, 85 hours.
    let hours = v.time_to_limit.mid / HOUR;
    assert!((70.0..100.0).contains(&hours), "{hours} h");
    assert!(v.time_to_limit.low < 85.0 * HOUR && v.time_to_limit.high > 85.0 * HOUR, "{v:?}");
    assert!(row.is_finding() && v.enough.is_none());

    let flat = workload(vec![replica("api-1", vec![life(4.0 * DAY, 0.0, "v1", |_| 200.0 * MIB)])]);
    let row = judge(&flat, NOW, STEP);
    let v = row.verdict.as_ref().expect("judged");
    assert_eq!(v.movement, Movement::Flat);
    assert!(!row.is_finding());
    let enough = v.enough.expect("far too large") / MIB;
    assert!((255.0..270.0).contains(&enough), "{enough}");
}

#[test]
fn restarts_do_not_hide_a_leak() {
    let lives = (0..8).rev().map(|n| {
        let end = f64::from(n) * 12.0 * HOUR;
        life(end + 12.0 * HOUR, end, "v1", |age| (300.0 + 12.0 * age / HOUR) * MIB)
    });
    let row = judge(&workload(vec![replica("api-1", lives.collect())]), NOW, STEP);
    let v = row.verdict.as_ref().expect("judged");
    assert_eq!((v.movement, row.restarts), (Movement::RestartMasked, 7));
    assert!(v.slope.low < 12.0 * MIB / HOUR && v.slope.high > 8.0 * MIB / HOUR, "{v:?}");
}

#[test]
fn replicas_that_were_born_together_die_together() {
    let born = |age: f64| life(age, 0.0, "v1", climb);
    let together = [72.0, 72.5, 73.0, 71.5];
    let all = together.iter().enumerate().map(|(i, h)| replica(&format!("api-{i}"), vec![born(h * HOUR)]));
    let row = judge(&workload(all.collect()), NOW, STEP);
    let v = row.verdict.as_ref().expect("judged");
    assert_eq!(v.pod, "api-2", "the oldest is the fullest");
    let wave = v.wave.expect("a wave");
    assert_eq!(wave.replicas, 4);
    assert!(wave.within < 4.0 * HOUR && wave.stagger > 10.0 * HOUR, "{wave:?}");
    // Born days apart, they die days apart.
    let apart = [100.0, 60.0, 30.0, 20.0];
    let all = apart.iter().enumerate().map(|(i, h)| replica(&format!("api-{i}"), vec![born(h * HOUR)]));
    let v = judge(&workload(all.collect()), NOW, STEP).verdict.expect("judged");
    assert_eq!((v.pod.as_str(), v.wave), ("api-0", None));
}

#[test]
fn the_version_that_brought_the_slope_is_named() {
    let before = life(6.0 * DAY, 2.0 * DAY, "v1.41", |_| 300.0 * MIB);
    let after = life(2.0 * DAY, 0.0, "v1.42", |age| (300.0 + 6.0 * age / HOUR) * MIB);
    let row = judge(&workload(vec![replica("api-1", vec![before, after])]), NOW, STEP);
    let v = row.verdict.as_ref().expect("judged");
    assert!(row.is_finding(), "{v:?}");
    assert_eq!(v.since.as_deref(), Some("v1.42"), "{v:?}");
}

#[test]
fn what_cannot_be_judged_says_why_and_ranks_between() {
    let young = workload(vec![replica("api-1", vec![life(HOUR, 0.0, "v1", climb)])]);
    let row = judge(&young, NOW, STEP);
    let (why, more) = row.verdict.as_ref().expect_err("too young");
    assert!(why.contains("of history") && more.is_some_and(|s| s < 2.0 * HOUR), "{why} {more:?}");
    let gone = workload(vec![replica("api-1", vec![life(DAY, HOUR, "v1", climb)])]);
    let dead = judge(&gone, NOW, STEP);
    assert_eq!(dead.verdict.as_ref().expect_err("gone").0, "no replica is alive");
    let leak = judge(&workload(vec![replica("api-1", vec![life(4.0 * DAY, 0.0, "v1", climb)])]), NOW, STEP);
    let flat = workload(vec![replica("api-1", vec![life(4.0 * DAY, 0.0, "v1", |_| 200.0 * MIB)])]);
    let mut rows = vec![judge(&flat, NOW, STEP), row, leak];
    rank(&mut rows);
    let order: Vec<bool> = rows.iter().map(Row::is_finding).collect();
    assert_eq!(order, [true, false, false]);
    assert!(rows[1].verdict.is_err());
}

/// Requests per second: more by day.
fn requests(t: f64) -> f64 {
    50.0 * (1.5 + (t / DAY * std::f64::consts::TAU).sin())
}

#[test]
fn a_climb_by_requests_is_told_from_one_by_time() {
    let work = |by_request: f64, by_hour: f64, in_flight: f64| {
        let count = (6.0 * DAY / STEP) as usize;
        let (mut served, mut points, mut load) = (0.0, Vec::new(), Vec::new());
        for i in 0..count {
            let t = NOW - 6.0 * DAY + i as f64 * STEP;
            let level = 200.0 * MIB
                + by_request * served
                + by_hour * i as f64 * STEP / HOUR
                + in_flight * requests(t);
            points.push(Point { t, v: level + noise(t) });
            load.push(Point { t, v: requests(t) });
            served += requests(t) * STEP;
        }
        let life = Life { start: NOW - 6.0 * DAY, version: None, points };
        let one = Replica { load, ..replica("api-1", vec![life]) };
        judge(&workload(vec![one]), NOW, STEP).verdict.expect("judged")
    };
    let found = work(8.0, 0.0, 0.0).work.expect("told");
    assert!(found.per_request.low < 8.0 && 8.0 < found.per_request.high && found.share > 0.9, "{found:?}");
    let found = work(0.0, 2.0 * MIB, 0.0).work.expect("told");
    let an_hour = |v: f64| v * HOUR / MIB;
    assert!(an_hour(found.per_second.low) < 2.0 && 2.0 < an_hour(found.per_second.high), "{found:?}");
    assert!(found.share < 0.2, "{found:?}");
    // What is only held while requests are served is no leak, however busy the days.
    let busy = work(0.0, 0.0, 500_000.0);
    assert_eq!(busy.movement, Movement::Daily, "{busy:?}");
}

#[test]
fn requests_that_come_evenly_tell_nothing() {
    let life = life(4.0 * DAY, 0.0, "v1", climb);
    let load = life.points.iter().map(|p| Point { t: p.t, v: 7.0 }).collect();
    let one = Replica { load, ..replica("api-1", vec![life]) };
    let v = judge(&workload(vec![one]), NOW, STEP).verdict.expect("judged");
    assert_eq!((v.movement, v.work), (Movement::Leak, None));
}

#[test]
fn of_several_numbers_the_one_that_kills_first_is_shown() {
    let of = |is_heap: bool, level: &dyn Fn(f64) -> f64| {
        let one = workload(vec![replica("api-1", vec![life(4.0 * DAY, 0.0, "v1", level)])]);
        judge(&Workload { is_heap, ..one }, NOW, STEP)
    };
    let flat = |_: f64| 300.0 * MIB;
    let faster = |age: f64| (300.0 + 6.0 * age / HOUR) * MIB;
    for (whole, heap, is_heap) in [
        (of(false, &climb), of(true, &flat), false),
        (of(false, &flat), of(true, &climb), true),
        (of(false, &climb), of(true, &faster), true),
        (of(false, &flat), of(true, &flat), false),
    ] {
        for both in [[whole.clone(), heap.clone()], [heap.clone(), whole.clone()]] {
            let bound = bind(both.to_vec());
            assert_eq!(bound.len(), 1);
            assert_eq!(bound[0].is_heap, is_heap);
            assert_eq!(bound[0].other.as_ref().map(|o| o.is_heap), Some(!is_heap));
        }
    }
}

#[test]
fn an_onset_is_set_against_the_marks_that_concern_it() {
    let mark = |ago: f64, kind, name: &str, workload: Option<&str>| Mark {
        unix_seconds: NOW - ago,
        kind,
        name: name.to_owned(),
        off: false,
        workload: workload.map(str::to_owned),
    };
    let bent = |age: f64| (300.0 + 6.0 * ((age - 2.0 * DAY).max(0.0)) / HOUR) * MIB;
    let leak = workload(vec![replica("api-1", vec![life(4.0 * DAY, 0.0, "v1", bent)])]);
    let set = |marks: &[Mark]| {
        let mut rows = vec![judge(&leak, NOW, STEP)];
        set_against(&mut rows, marks);
        rows.remove(0).verdict.expect("judged").since_mark
    };
    let flag = mark(2.0 * DAY, MarkKind::Flag, "new-cache", Some("shop/*"));
    let others = [
        mark(2.0 * DAY, MarkKind::Deploy, "elsewhere", Some("pay/api")),
        mark(3.5 * DAY, MarkKind::Config, "long ago", None),
        mark(0.1 * DAY, MarkKind::Config, "later", None),
    ];
    assert_eq!(set(&others), None);
    let all = [&others[..], std::slice::from_ref(&flag)].concat();
    assert_eq!(set(&all), Some((flag, 0)));
}

#[test]
fn what_goes_with_the_day_is_told_from_a_warm_up_and_from_a_cache_that_fills() {
    let movement = |days: f64, level: &dyn Fn(f64) -> f64| {
        let row =
            judge(&workload(vec![replica("api-1", vec![life(days * DAY, 0.0, "v1", level)])]), NOW, STEP);
        row.verdict.expect("judged").movement
    };
    let day = |age: f64| (300.0 + 60.0 * (age / DAY * std::f64::consts::TAU).sin()) * MIB;
    assert_eq!(movement(6.0, &day), Movement::Daily);
    // The same in bursts that keep to no hour, and too little of it to matter.
    let bursts = |age: f64| (300.0 + 60.0 * (age / (17.3 * HOUR) * std::f64::consts::TAU).sin()) * MIB;
    assert_ne!(movement(6.0, &bursts), Movement::Daily);
    let faint = |age: f64| (300.0 + 3.0 * (age / DAY * std::f64::consts::TAU).sin()) * MIB;
    assert_eq!(movement(6.0, &faint), Movement::Flat);
    let towards = |hours: f64| move |age: f64| (300.0 - 200.0 * (-age / (hours * HOUR)).exp()) * MIB;
    assert_eq!(movement(2.0, &towards(0.5)), Movement::WarmUp);
    assert_eq!(movement(4.0, &towards(10.0)), Movement::Saturating);
}

#[test]
fn what_would_be_left_is_what_an_agent_says_or_what_the_kind_of_death_leaves() {
    let of = |death: Death, limit: Option<f64>, net: Option<bool>| {
        let one = Replica {
            limits: limit.map_or_else(Limits::default, Limits::always),
            net,
            ..replica("api-1", vec![life(DAY, 0.0, "v1", climb)])
        };
        judge(&Workload { death, ..workload(vec![one]) }, NOW, STEP).net
    };
    let limit = Some(1024.0 * MIB);
    assert_eq!(of(Death::AtUsage, limit, Some(true)), Net::Ready);
    assert_eq!(of(Death::AtFloor, limit, Some(false)), Net::NotReady);
    assert_eq!(of(Death::AtUsage, limit, None), Net::NoneSeen);
    assert_eq!(of(Death::AtFloor, limit, None), Net::Own);
    assert_eq!(of(Death::AtUsage, None, None), Net::Unknown);
}

#[test]
fn the_pod_that_waits_the_most_is_told_and_names_may_be_short_where_they_are_one() {
    let waits =
        |pod: &str, waits| Replica { waits, ..replica(pod, vec![life(DAY, 0.0, "v1", |_| 200.0 * MIB)]) };
    let all = [waits("api-1", Some(0.1)), waits("api-2", Some(0.3)), waits("api-3", None)];
    let mut one = workload(all.to_vec());
    assert_eq!(judge(&one, NOW, STEP).waits, Some(("api-2".to_owned(), 0.3)));
    one.cluster = "eu".to_owned();
    for (words, is_it) in [
        ("api", true),
        ("shop/api", true),
        ("eu/shop/api", true),
        ("us/shop/api", false),
        ("store/api", false),
    ] {
        assert_eq!(one.is_called(words), is_it, "{words}");
    }
    // The same name in another cluster is another row.
    let rows = ["eu", "us"].map(|cluster| {
        let cluster = cluster.to_owned();
        judge(&Workload { cluster, ..one.clone() }, NOW, STEP)
    });
    assert_eq!(bind(rows.to_vec()).len(), 2);
}

/// One shard in ten leaks: what the others do must not hide it.
#[test]
fn a_replica_that_leaks_among_calm_ones_is_found() {
    for (leaking, count) in [(1, 2), (1, 5), (1, 10), (5, 10)] {
        for days in [1.0, 4.0] {
            let of = |k: usize| {
                let level = move |age: f64| {
                    let climb = if k < leaking { 4.0 * age / HOUR } else { 0.0 };
                    (300.0 + 2.0 * k as f64 + climb) * MIB
                };
                replica(&format!("api-{k}"), vec![life(days * DAY, 0.0, "v1", level)])
            };
            let row = judge(&workload((0..count).map(of).collect()), NOW, STEP);
            let v = row.verdict.as_ref().expect("judged");
            assert_eq!(v.movement, Movement::Leak, "{leaking} of {count}, {days} d: {v:?}");
            assert_eq!(v.unlike, Some(Unlike { replicas: count - leaking, of: count - 1 }));
            let truth = (724.0 - 2.0 * leaking as f64 + 2.0) / 4.0 - 24.0 * days;
            let told = v.time_to_limit.mid / HOUR;
            assert!((told / truth).ln().abs() < 0.2, "{told} h for {truth} h");
        }
    }
}

#[test]
fn replicas_that_climb_alike_are_one_question_whatever_their_age() {
    let warm = |age: f64| 150.0 * (1.0 - (-age / (2.0 * HOUR)).exp());
    // All leak, one a fifth faster; and one that is new warms up as the others did before.
    for (rates, ages) in [
        ([4.0, 4.8, 4.2], [4.0, 4.0, 3.0]),
        ([4.0, 2.6, 2.6], [4.0, 4.0, 4.0]),
        ([0.0, 0.0, 0.0], [4.0, 4.0, 0.2]),
    ] {
        let of = |k: usize| {
            let level = move |age: f64| (300.0 + warm(age) + rates[k] * age / HOUR) * MIB;
            replica(&format!("api-{k}"), vec![life(ages[k] * DAY, 0.0, "v1", level)])
        };
        let row = judge(&workload((0..3).map(of).collect()), NOW, STEP);
        let v = row.verdict.as_ref().expect("judged");
        assert_eq!(v.unlike, None, "{v:?}");
        assert_eq!(v.movement == Movement::Leak, rates[0] > 0.0, "{v:?}");
    }
}

#[test]
fn a_shard_that_leaks_since_it_was_rolled_out_anew_is_found_behind_a_cache_and_with_its_own_version() {
    // All are calm with the version before; in the new one a cache fills in the first, and the last leaks.
    let of = |k: usize| {
        let level = move |age: f64| {
            let cache = if k == 0 { 500.0 * (1.0 - (-age / (8.0 * HOUR)).exp()) } else { 0.0 };
            let leak = if k == 5 { 4.0 * age / HOUR } else { 0.0 };
            (300.0 + cache + leak) * MIB
        };
        let before = life(7.0 * DAY, 3.0 * DAY + HOUR, "v1", |_| 300.0 * MIB);
        // The one that leaks was never given the newest.
        let version = if k == 5 { "v2" } else { "v3" };
        replica(&format!("api-{k}"), vec![before, life(3.0 * DAY, 0.0, version, level)])
    };
    let row = judge(&workload((0..6).map(of).collect()), NOW, STEP);
    let v = row.verdict.as_ref().expect("judged");
    assert_eq!((v.movement, v.pod.as_str()), (Movement::Leak, "api-5"), "{v:?}");
    assert!(v.since.as_deref() != Some("v3"), "{v:?}");
}
