//! Real programs of each runtime, sampled as a user would: what each source must supply.

use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use plimsoll_core::artifact::Artifact;
use plimsoll_core::fact::Fact;
use plimsoll_core::recording::Recording;
use plimsoll_core::target::RuntimeKind;
use plimsoll_host::drill::{self, Running, Settings, catalog};
use plimsoll_host::sampler::Sampler;
use plimsoll_host::world::World;

/// Longest wait for what a test looks for.
const PATIENCE: Duration = Duration::from_secs(120);

/// Starts a war story; `None`, loudly, where its tool is missing and the checks do not run here.
fn start(name: &str) -> Option<Running> {
    let drill = catalog::find(name).expect("in the catalog");
    let settings =
        Settings { rate: drill.rate, limit: drill.limit_mib << 20, seed: 2, runtime_args: Vec::new() };
    match drill::start(drill, &settings) {
        Ok(running) => Some(running),
        Err(e) => {
            let why = std::error::Error::source(&e).map_or_else(String::new, ToString::to_string);
            assert!(std::env::var_os("CI").is_none(), "{name} must run here: {e}: {why}");
            let _unreported = writeln!(std::io::stderr(), "SKIPPED {name}: {e}: {why}");
            None
        }
    }
}

/// Samples until `enough` holds; fails with what was missing.
fn sample(running: &Running, enough: impl Fn(&Recording) -> bool) -> Recording {
    sample_pid(running.pid(), enough)
}

fn sample_pid(pid: i32, enough: impl Fn(&Recording) -> bool) -> Recording {
    let mut sampler = Sampler::open(&World::default(), pid, Duration::from_millis(250)).expect("it runs");
    let mut seen = Recording::new(sampler.target().clone());
    let stop = AtomicBool::new(false);
    let deadline = Instant::now() + PATIENCE;
    while !enough(&seen) {
        assert!(Instant::now() < deadline, "not seen: {:#?}", seen.unknown);
        seen.add(sampler.next(&stop).expect("it still runs"));
    }
    seen
}

/// Growth of a fact over the recording.
fn grown(r: &Recording, fact: Fact) -> f64 {
    let s = r.series(fact);
    s.first().zip(s.last()).map_or(0.0, |(a, b)| b.v - a.v)
}

const MIB: f64 = 1048576.0;

#[test]
fn a_go_program_tells_goroutines_stacks_and_its_live_heap() {
    let Some(running) = start("goroutine-leak:go") else { return };
    let leaked = |r: &Recording| {
        grown(r, Fact::Goroutines) > 1000.0
            && grown(r, Fact::GoStackInuse) > MIB
            && r.last(Fact::GoLive).is_some()
            && r.artifacts
                .iter()
                .any(|(_, a)| matches!(a, Artifact::Goroutines { total, .. } if *total > 1000))
    };
    let r = sample(&running, leaked);
    assert_eq!(r.target.runtime, RuntimeKind::Go);
    let Some((_, Artifact::Goroutines { groups, total, .. })) = r.artifacts.last() else {
        panic!("no goroutines")
    };
    assert!(groups[0].top.starts_with("main.await (goroutine_leak.go:"), "{:?}", groups[0]);
    assert!(groups[0].count * 10 > total * 9, "{} of {total}", groups[0].count);
    // Hardly anything of this program's heap is garbage: what a collection found is nearly all that was in use at
    // the same instant, at most a second later.
    let found = r.series(Fact::GoLive).last().expect("seen");
    let (live, alloc) = (found.v, r.series(Fact::GoHeapAlloc).at(found.t).expect("of the same reading"));
    assert!(live > 0.75 * alloc && live <= alloc, "live {live} of {alloc} in use");
}

#[test]
fn node_tells_what_stays_after_mark_compact_by_its_trace() {
    let Some(running) = start("closures:node") else { return };
    let r = sample(&running, |r| {
        r.series(Fact::V8Live).points().len() >= 3 && grown(r, Fact::V8Live) > 4.0 * MIB
    });
    assert_eq!(r.target.runtime, RuntimeKind::Node);
    assert_eq!(r.last(Fact::V8HeapLimit), Some(160.0 * MIB));
    assert!(r.last(Fact::V8HeapTotal) >= r.last(Fact::V8Live));
}

/// A process that ends with the test.
struct Ending(Child);

impl Drop for Ending {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

#[test]
fn node_tells_its_heap_through_an_inspector_that_its_environment_opened() {
    let mut node = Command::new("node");
    node.args(["-e", "setInterval(() => {}, 1000)"]).env("NODE_OPTIONS", "--inspect=127.0.0.1:0");
    let Ok(child) = node.stderr(Stdio::null()).spawn() else {
        assert!(std::env::var_os("CI").is_none(), "node must run here");
        let _unreported = writeln!(std::io::stderr(), "SKIPPED: no node");
        return;
    };
    let node = Ending(child);
    let r = sample_pid(node.0.id() as i32, |r| r.last(Fact::V8HeapLimit).is_some());
    let used = r.last(Fact::V8HeapUsed).expect("with the limit");
    assert!(r.target.flags.iter().any(|f| f == "--inspect=127.0.0.1:0"), "{:?}", r.target.flags);
    assert!(
        used > MIB && r.last(Fact::V8HeapTotal) >= Some(used),
        "{used} of {:?}",
        r.last(Fact::V8HeapTotal)
    );
    assert!(r.last(Fact::V8HeapLimit) > Some(100.0 * MIB));
}

#[test]
fn chunks_of_glibcs_heap_tell_fragmentation_from_a_leak() {
    let Some(running) = start("fragmentation:glibc") else { return };
    let r = sample(&running, |r| grown(r, Fact::MallocFree) > 8.0 * MIB);
    assert!(grown(&r, Fact::MallocInUse) < 0.2 * grown(&r, Fact::MallocFree), "what is allocated stands");
    drop(running);
    let Some(running) = start("native-leak:c") else { return };
    let r = sample(&running, |r| grown(r, Fact::MallocInUse) > 8.0 * MIB);
    assert!(grown(&r, Fact::MallocFree) < 0.2 * grown(&r, Fact::MallocInUse), "what is free stands");
}

#[test]
fn a_python_program_is_named_by_its_script_and_judged_by_its_memory() {
    let Some(running) = start("global-list:python") else { return };
    let r =
        sample(&running, |r| grown(r, Fact::RssAnon) > 4.0 * MIB && r.unknown.contains_key(&Fact::PyBlocks));
    assert_eq!((r.target.runtime, r.target.name.as_str()), (RuntimeKind::Python, "global_list.py"));
    assert!(r.unknown[&Fact::PyBlocks].contains("no port"), "{}", r.unknown[&Fact::PyBlocks]);
}
