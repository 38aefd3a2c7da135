//! Simulated services with a known truth: each cause is found, and refuted when its evidence is turned.

use plimsoll_core::artifact::{Artifact, ClassCount, StackGroup};
use plimsoll_core::classify::{Cause, Certainty};
use plimsoll_core::clock::Decision;
use plimsoll_core::fact::Fact;
use plimsoll_core::judge::{Judgement, judge};
use plimsoll_core::recording::{Observation, Recording};
use plimsoll_core::signals::Rising;
use plimsoll_core::target::{RuntimeKind, Target};

const MIB: f64 = 1048576.0;

/// A number as a function of the second.
type Curve = Box<dyn Fn(f64) -> f64>;

/// A service sampled once a second for `seconds`: each fact is a function of the second, in MiB (or counts).
struct Service {
    runtime: RuntimeKind,
    seconds: u32,
    facts: Vec<(Fact, Curve)>,
    artifacts: Vec<(u32, Artifact)>,
}

fn service(runtime: RuntimeKind) -> Service {
    Service { runtime, seconds: 60, facts: Vec::new(), artifacts: Vec::new() }
        .with(Fact::CgroupLimit, |_| 512.0)
        .with(Fact::Fds, |_| 12.0)
}

impl Service {
    fn with(mut self, fact: Fact, f: impl Fn(f64) -> f64 + 'static) -> Self {
        self.facts.retain(|(g, _)| *g != fact);
        self.facts.push((fact, Box::new(f)));
        self
    }

    /// Private memory of process and group alike.
    fn memory(self, f: impl Fn(f64) -> f64 + Copy + 'static) -> Self {
        self.with(Fact::RssAnon, f).with(Fact::Rss, move |s| f(s) + 20.0).with(Fact::CgroupUnreclaimable, f)
    }

    fn artifact(mut self, second: u32, artifact: Artifact) -> Self {
        self.artifacts.push((second, artifact));
        self
    }

    fn seconds(mut self, seconds: u32) -> Self {
        self.seconds = seconds;
        self
    }

    fn recording(&self) -> Recording {
        let mut r = Recording::new(Target {
            pid: 7,
            name: "service".to_owned(),
            runtime: self.runtime,
            runtime_version: None,
            container: None,
            cgroup: None,
            limit_cgroup: None,
            started: 1000.0,
            flags: Vec::new(),
        });
        for second in 0..self.seconds {
            let mut o = Observation::at(1005.0 + f64::from(second));
            for (i, (fact, f)) in self.facts.iter().enumerate() {
                // Half a page to a few pages of repeatable noise.
                let noise = f64::from((second * 37 + i as u32 * 11) % 17) / 17.0 * 0.02;
                let unit = if fact.unit() == plimsoll_core::fact::Unit::Bytes { MIB } else { 1.0 };
                let v = f(f64::from(second));
                if v.is_finite() {
                    o.known(*fact, if unit > 1.0 { (v + noise) * unit } else { v.round() });
                }
            }
            o.artifacts.extend(self.artifacts.iter().filter(|a| a.0 == second).map(|a| a.1.clone()));
            r.add(o);
        }
        r
    }

    fn judge(&self) -> Judgement {
        judge(&self.recording(), None)
    }
}

fn says(j: &Judgement, cause: Cause) {
    let v = &j.verdict;
    assert_eq!(v.cause, cause, "for {:#?}\nagainst {:#?}\nmissing {:#?}", v.pro, v.contra, v.missing);
}

/// Post-collection points every fifth second.
fn fifth(f: impl Fn(f64) -> f64) -> impl Fn(f64) -> f64 {
    move |s| if (s as u32).is_multiple_of(5) { f(s) } else { f64::NAN }
}

fn jvm() -> Service {
    service(RuntimeKind::Jvm)
        .with(Fact::JvmHeapMax, |_| 256.0)
        .with(Fact::JvmHeapCommitted, |_| 128.0)
        .with(Fact::JvmHeapUsed, |s| 40.0 + (s * 7.0) % 50.0)
        .with(Fact::JvmLive, fifth(|_| 40.0))
        .with(Fact::JvmYoungGcs, |s| s / 5.0)
        .with(Fact::Threads, |_| 30.0)
        .memory(|_| 160.0)
}

fn histogram(map_mib: u64) -> Artifact {
    let rows = vec![
        ClassCount { class: "byte[]".to_owned(), instances: 1000, bytes: 20 << 20 },
        ClassCount { class: "Entry".to_owned(), instances: 1000, bytes: map_mib << 20 },
    ];
    Artifact::ClassHistogram { rows, total_bytes: (20 + map_mib) << 20, live: false }
}

#[test]
fn a_quiet_jvm_is_no_leak() {
    let j = jvm().judge();
    says(&j, Cause::None);
    assert_eq!(j.clock.decision, Decision::NothingToDo);
    assert_eq!(j.two_by_two.resident, Some(Rising::No));
}

#[test]
fn a_climbing_floor_is_retention_even_while_the_process_stands_still() {
    let leak = || {
        jvm().with(Fact::JvmLive, fifth(|s| 20.0 + s)).artifact(1, histogram(5)).artifact(50, histogram(40))
    };
    let j = leak().judge();
    says(&j, Cause::Retention);
    assert!(j.verdict.pro.iter().any(|f| f.text.contains("Entry +35.0 MiB")), "{:?}", j.verdict.pro);
    assert!(j.clock.binding().is_some_and(|b| b.name.contains("-Xmx")), "{:?}", j.clock.reason);
    assert_eq!(j.clock.decision, Decision::DrainAndCapture);
    assert!(j.clock.to_degradation.is_some());
}

#[test]
fn a_flat_floor_under_a_growing_held_heap_is_fragmentation_and_forbids_heap_dumps() {
    let j = jvm()
        .with(Fact::JvmHeapMax, |_| 1024.0)
        .with(Fact::JvmHeapCommitted, |s| 128.0 + 4.0 * s)
        .memory(|s| 160.0 + 4.0 * s)
        .judge();
    says(&j, Cause::Fragmentation);
    assert!(j.verdict.advice.as_deref().is_some_and(|a| a.contains("stop reading heap dumps")));
    assert!(j.plan.next.as_ref().is_none_or(|s| !s.artifact.contains("heap dump")));
}

#[test]
fn growth_outside_the_heap_is_off_heap_and_names_the_account() {
    let j = jvm().memory(|s| 160.0 + 2.0 * s).with(Fact::JvmNmtOther, |s| 5.0 + 2.0 * s).judge();
    says(&j, Cause::OffHeap);
    assert!(j.verdict.pro.iter().any(|f| f.text.contains("direct buffers")), "{:?}", j.verdict.pro);
}

#[test]
fn threads_in_lockstep_are_accumulation() {
    let pile = |each: f64| {
        jvm().with(Fact::Threads, |s| 30.0 + 12.0 * s).memory(move |s| 160.0 + 12.0 * s * each).judge()
    };
    let j = pile(0.09);
    says(&j, Cause::Accumulation);
    assert!(j.verdict.pro.iter().any(|f| f.text.contains("per thread")), "{:?}", j.verdict.pro);
    // At 6 MiB each no thread can be what fills the memory.
    assert!(
        pile(6.0).verdict.cause != Cause::Accumulation || pile(6.0).verdict.certainty < Certainty::Certain
    );
}

#[test]
fn goroutines_parked_at_one_line_are_certain() {
    let groups = vec![StackGroup {
        count: 30_000,
        state: Some("select".to_owned()),
        top: "main.await (gateway.go:42)".to_owned(),
        creator: Some("main.handle (gateway.go:30)".to_owned()),
    }];
    let j = service(RuntimeKind::Go)
        .with(Fact::Goroutines, |s| 20.0 + 500.0 * s)
        .with(Fact::GoGcs, |s| s / 4.0)
        .with(Fact::Threads, |_| 6.0)
        .with(Fact::GoStackInuse, |s| 1.0 + s)
        .with(Fact::GoHeapAlloc, |s| 5.0 + s + (s * 3.0) % 4.0)
        .with(Fact::GoHeapHeld, |s| 10.0 + 1.2 * s)
        .with(Fact::GoSys, |s| 15.0 + 2.4 * s)
        .memory(|s| 20.0 + 2.4 * s)
        .artifact(50, Artifact::Goroutines { groups, total: 30_020, frames: None })
        .seconds(90)
        .judge();
    says(&j, Cause::Accumulation);
    assert_eq!(j.verdict.certainty, Certainty::Certain);
    assert!(j.verdict.pro.iter().any(|f| f.text.contains("gateway.go:42")), "{:?}", j.verdict.pro);
}

#[test]
fn many_collections_over_a_flat_floor_are_churn() {
    let j = jvm().with(Fact::JvmYoungGcs, |s| 20.0 * s).judge();
    says(&j, Cause::Churn);
    let climbing =
        jvm().with(Fact::JvmYoungGcs, |s| 20.0 * s).with(Fact::JvmLive, fifth(|s| 20.0 + s)).judge();
    says(&climbing, Cause::Retention);
}

#[test]
fn a_heap_that_cannot_fit_is_a_budget_not_a_leak() {
    let j = jvm().with(Fact::JvmHeapMax, |_| 480.0).memory(|_| 280.0).judge();
    says(&j, Cause::OverBudget);
    assert!(
        j.verdict.pro.iter().any(|f| f.text.contains("against a limit of 512 MiB")),
        "{:?}",
        j.verdict.pro
    );
}

#[test]
fn free_chunks_tell_fragmentation_from_a_native_leak() {
    let native = |used: fn(f64) -> f64, free: fn(f64) -> f64| {
        service(RuntimeKind::Native)
            .memory(|s| 20.0 + 2.0 * s)
            .with(Fact::Threads, |_| 1.0)
            .with(Fact::MallocInUse, used)
            .with(Fact::MallocFree, free)
            .judge()
    };
    says(&native(|_| 15.0, |s| 2.0 + 2.0 * s), Cause::Fragmentation);
    says(&native(|s| 15.0 + 2.0 * s, |_| 2.0), Cause::Retention);
}

#[test]
fn blocks_that_are_mapped_one_by_one_are_retention_too() {
    let j = service(RuntimeKind::Native)
        .memory(|s| 20.0 + 2.0 * s)
        .with(Fact::Threads, |_| 1.0)
        .with(Fact::MallocInUse, |_| 3.0)
        .with(Fact::MallocFree, |_| 1.0)
        .with(Fact::SmapsAnonOther, |s| 5.0 + 2.0 * s)
        .judge();
    says(&j, Cause::Retention);
}

#[test]
fn a_plateau_is_never_named_with_certainty() {
    for seconds in [15, 30, 60, 120] {
        let j = service(RuntimeKind::Native)
            .memory(|s| 20.0 + 60.0 * (1.0 - (-s / 12.0).exp()))
            .with(Fact::Threads, |_| 1.0)
            .seconds(seconds)
            .judge();
        let named = !matches!(j.verdict.cause, Cause::None | Cause::Undecided);
        assert!(!named || j.verdict.certainty < Certainty::Certain, "after {seconds} s: {:?}", j.verdict);
    }
}

#[test]
fn the_dead_zone_at_the_limit_comes_before_the_slope() {
    let j = service(RuntimeKind::Go)
        .memory(|_| 509.0)
        .with(Fact::CgroupUsage, |_| 511.0)
        .with(Fact::CgroupRefaults, |s| 118_000.0 * s)
        .judge();
    assert_eq!(j.clock.decision, Decision::AlreadyUnresponsive);
    assert!(j.clock.reason.contains("118000 pages per second"), "{}", j.clock.reason);
    let calm = service(RuntimeKind::Go).memory(|_| 509.0).with(Fact::CgroupUsage, |_| 511.0).judge();
    assert_ne!(calm.clock.decision, Decision::AlreadyUnresponsive, "full of what it needs, but not stalled");
}

#[test]
fn a_group_that_is_put_to_sleep_at_its_throttling_line_is_already_unresponsive() {
    let throttled = |asleep: f64| {
        service(RuntimeKind::Native)
            .with(Fact::CgroupHigh, |_| 256.0)
            .with(Fact::CgroupUsage, |s| 258.0 + 0.2 * s)
            .with(Fact::CgroupPsiFull, move |s| asleep * s)
            .memory(|s| 257.0 + 0.2 * s)
            .judge()
            .clock
    };
    let clock = throttled(1.0);
    assert_eq!(clock.decision, Decision::AlreadyUnresponsive);
    assert!(clock.reason.contains("throttling line (memory.high)"), "{}", clock.reason);
    assert_ne!(throttled(0.0).decision, Decision::AlreadyUnresponsive, "above the line, but awake");
}

#[test]
fn a_floor_at_its_ceiling_is_retention_and_already_unresponsive() {
    let spiral = |full_per_second: f64| {
        jvm()
            .with(Fact::JvmLive, fifth(|s| 245.0 + 0.01 * s))
            .with(Fact::JvmFullGcs, move |s| full_per_second * s)
            .with(Fact::JvmHeapCommitted, |_| 256.0)
            .memory(|_| 300.0)
            .judge()
    };
    let j = spiral(4.0);
    assert_eq!(j.clock.decision, Decision::AlreadyUnresponsive);
    assert!(j.clock.reason.contains("4.0 full collections per second"), "{}", j.clock.reason);
    says(&j, Cause::Retention);
    assert_ne!(spiral(0.0).clock.decision, Decision::AlreadyUnresponsive, "full, but at rest");
}

#[test]
fn a_heap_that_fills_between_two_collections_is_not_called_a_leak() {
    // A start collects often; then the heap fills with what may be garbage, and one more collection is seen.
    let j = jvm()
        .seconds(33)
        .with(Fact::JvmHeapMax, |_| 160.0)
        .with(Fact::JvmHeapUsed, |s| if s < 9.0 { 36.0 + 0.3 * s } else { 36.0 + 4.2 * (s - 9.0).min(20.0) })
        .with(Fact::JvmHeapCommitted, |_| 160.0)
        .with(Fact::JvmLive, |_| f64::NAN)
        .with(Fact::JvmYoungGcs, |s| {
            if s < 6.0 { 0.0 } else { (2.0 * (s - 5.0)).min(10.0) + f64::from(s > 30.0) }
        })
        .memory(|s| 80.0 + 3.0 * s)
        .judge();
    assert!(j.verdict.certainty < Certainty::Likely, "{:#?}", j.verdict);
}

#[test]
fn the_parallel_collectors_end_comes_before_xmx() {
    let of = |gc: &str| {
        let mut r = jvm()
            .with(Fact::JvmLive, fifth(|s| 60.0 + s))
            .with(Fact::JvmOldMax, |_| 176.0)
            .memory(|_| 300.0)
            .recording();
        r.target.learn(format!("gc={gc}"));
        let clock = judge(&r, None).clock;
        let heap = clock.bounds.into_iter().find(|b| b.name.starts_with("Java heap")).expect("judged");
        (heap.name, (heap.limit / MIB).round())
    };
    assert_eq!(of("Serial"), ("Java heap (-Xmx)".to_owned(), 256.0));
    let (name, limit) = of("Parallel");
    assert!(name.contains("before Parallel collects without end"), "{name}");
    assert_eq!(limit, 176.0 + 80.0 / 4.0);
}

#[test]
fn too_little_is_cannot_tell_and_says_what_is_missing() {
    let j = jvm().seconds(3).judge();
    says(&j, Cause::Undecided);
    assert_eq!(j.verdict.certainty, Certainty::CannotTell);
    assert!(!j.verdict.missing.is_empty());
    assert_eq!(j.clock.decision, Decision::KeepWatching);
}

#[test]
fn a_recording_reads_back_to_the_same_judgement() {
    let r = jvm().with(Fact::JvmLive, fifth(|s| 20.0 + s)).artifact(3, histogram(5)).recording();
    let mut text = Vec::new();
    r.write(&mut text).expect("memory");
    let back = Recording::read(text.as_slice()).expect("readable");
    assert_eq!(format!("{:?}", judge(&r, None)), format!("{:?}", judge(&back, None)));
    // Cut in the middle of a line: the rest is judged, the cut is said.
    let cut = Recording::read(&text[..text.len() / 2 + 7]).expect("readable");
    assert_eq!(cut.warnings.len(), 1, "{:?}", cut.warnings);
    judge(&cut, None);
}

#[test]
fn a_limit_below_the_usage_leaves_no_time() {
    let j = judge(&service(RuntimeKind::Native).memory(|s| 100.0 + s).recording(), Some(50.0 * MIB));
    let b = j.clock.binding().expect("a bound");
    assert_eq!(b.posterior.as_ref().map(|p| p.time_to_limit.high), Ok(0.0));
}
