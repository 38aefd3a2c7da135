//! Goroutine dumps, thread dumps and profiles of other people's systems: what they say, what each concludes, and
//! what a cut file says.

#![expect(clippy::disallowed_methods, reason = "the corpus lies outside the repository")]
#![expect(clippy::print_stderr, reason = "a skipped test says so")]

use std::path::{Path, PathBuf};

use plimsoll_read::goroutines::{self, Goroutines, Wait};
use plimsoll_read::pprof::{self, Profile};
use plimsoll_read::thread_dump::{self, ThreadDumps};

/// A file of the corpus; none, loudly, where there is no corpus.
fn corpus(name: &str) -> Option<Vec<u8>> {
    let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus");
    if !folder.is_dir() {
        eprintln!("SKIPPED: no corpus at {}", folder.display());
        return None;
    }
    let path = folder.join(name);
    Some(std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())))
}

/// Ten places to cut a file, none of them its end.
fn cuts(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    (1..=10).map(|i| &bytes[..bytes.len() * i / 11])
}

fn goroutines_of(name: &str) -> Option<Goroutines> {
    let bytes = corpus(&format!("goroutine/{name}"))?;
    for head in cuts(&bytes) {
        if let Some(g) = goroutines::parse(head) {
            let told = g.truncated.is_some() || !g.warnings.list().is_empty();
            assert!(told, "{name} cut at {} says nothing", head.len());
        }
    }
    let whole = goroutines::parse(&bytes).unwrap_or_else(|| panic!("{name} is not read"));
    assert_eq!(whole.truncated, None, "{name}");
    Some(whole)
}

#[test]
fn stacks_of_one_process_say_what_its_profile_says() {
    let Some(stacks) = goroutines_of("1.net.http.pprof.goroutine.debug2.txt") else { return };
    let Some(grouped) = goroutines_of("1.net.http.pprof.goroutine.debug1.txt") else { return };
    let Some(profile) = goroutines_of("1.net.http.pprof.goroutine.debug0.pb.gz") else { return };
    assert_eq!((stacks.counted, grouped.counted, grouped.said), (10, 10, Some(10)));
    assert_eq!(profile.counted, 10);
    let recovered = |w: Wait| profile.groups.iter().filter(|g| g.wait == w).map(|g| g.count).sum::<u64>();
    assert_eq!([Wait::Io, Wait::Sleep, Wait::Select, Wait::Receive].map(recovered), [3, 3, 2, 1]);
    assert!(stacks.warnings.list().is_empty(), "{:?}", stacks.warnings);
    let report = stacks.report();
    assert_eq!(report.findings, []);
    let waits = |w: Wait| stacks.groups.iter().filter(|g| g.wait == w).map(|g| g.count).sum::<u64>();
    assert_eq!(
        [Wait::Io, Wait::Sleep, Wait::Select, Wait::Receive, Wait::Running].map(waits),
        [3, 3, 2, 1, 1]
    );
    assert!(report.summary.starts_with("10 goroutines; "), "{}", report.summary);
}

#[test]
fn printed_stacks_are_read_too() {
    for name in ["2.runtime.stack.txt", "2.net.http.pprof.goroutine.debug2.txt"] {
        let Some(g) = goroutines_of(name) else { return };
        assert!(g.groups.iter().any(|p| p.wait == Wait::Sleep || p.wait == Wait::Receive), "{:?}", g.groups);
        assert!(g.groups.iter().all(|p| p.wait != Wait::Other), "{:?}", g.groups);
        assert!(g.groups.iter().any(|p| p.minutes.is_some()), "no wait of {name} is dated");
    }
}

fn threads_of(name: &str) -> Option<ThreadDumps> {
    let bytes = corpus(&format!("threads/{name}"))?;
    let whole = thread_dump::parse(&bytes).unwrap_or_else(|| panic!("{name} is not read"));
    for head in cuts(&bytes) {
        if let Some(d) = thread_dump::parse(head) {
            let fewer = d.dumps.len() < whole.dumps.len();
            let told = d.truncated.is_some() || fewer || d.last() == whole.last();
            assert!(told, "{name} cut at {} says nothing", head.len());
        }
    }
    Some(whole)
}

#[test]
fn thread_dumps_of_every_version_are_counted() {
    // Threads as `grep -c` of the lines that start with a name and hold `prio=` or `nid=` counts them.
    for (name, jvm, total, deadlocks) in [
        ("tda_java8dump.log", Some(8), 21, 0),
        ("tda_java11dump.log", Some(11), 14, 0),
        ("tda_java21dump.log", Some(21), 18, 0),
        ("tda_java21dump_utf16.log", Some(21), 18, 0),
        ("tda_carrier_stuck.log", Some(21), 4, 0),
        ("jthreaddump_deadlock.txt", Some(25), 33, 1),
        ("jthreaddump_gc-over-time-4.txt", Some(25), 59, 2),
        ("jthreaddump_many-virtual-threads.txt", Some(25), 54, 3),
        ("jthreaddump_thread-pool-load-0.txt", Some(25), 38, 1),
        ("jthreaddump_thread-pool-load-4.txt", Some(25), 53, 1),
        ("jthreaddump_gc-over-time-0.txt", Some(25), 51, 2),
        ("jthreaddump_thread-dump-jcmd.txt", None, 4, 0),
        ("tda_testwithhistogram.log", Some(5), 14, 0),
    ] {
        let Some(d) = threads_of(name) else { return };
        let last = d.last().unwrap();
        assert_eq!((last.jvm, last.total, last.deadlocks.len()), (jvm, total, deadlocks), "{name}");
    }
}

fn profile_of(name: &str) -> Option<Profile> {
    let bytes = corpus(&format!("pprof/{name}"))?;
    for head in cuts(&bytes) {
        if let Some(p) = pprof::parse(head) {
            assert!(p.truncated.is_some(), "{name} cut at {} says nothing", head.len());
            let _report = p.heap_report(Some(1 << 30));
        }
    }
    let whole = pprof::parse(&bytes).unwrap_or_else(|| panic!("{name} is not read"));
    assert_eq!(whole.truncated, None, "{name}");
    Some(whole)
}

#[test]
fn ten_seconds_of_a_starting_server_grow_by_its_arena() {
    let Some(first) = profile_of("parca_many_1644509272337470000.pb.gz") else { return };
    let Some(last) = profile_of("parca_many_1644509299337903000.pb.gz") else { return };
    let report = last.heap_change(&first, None).unwrap();
    let arena = &report.changes[0];
    assert!(arena.site.contains("skl.newArena (arena.go:48)"), "{arena:?}");
    // The arena is one object of 83 MiB, which no sampling can miss.
    assert_eq!((arena.delta_bytes, arena.low), (87_244_800.0, 87_244_800.0));
    assert!(report.head.findings[0].text.contains("newArena"), "{:?}", report.head.findings);
    let bloom = report.changes.iter().find(|c| c.site.contains("newCmRow")).unwrap();
    assert!(!bloom.is_growth(), "two samples are no growth: {bloom:?}");
}

#[test]
fn a_profiler_that_profiles_itself_churns() {
    let Some(p) = profile_of("parca_alloc_objects.pb.gz") else { return };
    assert_eq!(p.len(), 4661);
    let report = p.heap_report(Some(64 << 20)).unwrap();
    let texts: Vec<&str> = report.head.findings.iter().map(|f| f.text.as_str()).collect();
    assert!(texts.iter().any(|t| t.contains("compress/flate.NewWriter") && t.contains("churn")), "{texts:?}");
    assert!(texts.iter().any(|t| t.ends_with("most of it is elsewhere")), "{texts:?}");
    assert!(!texts.iter().any(|t| t.contains("keeps what it allocates")), "{texts:?}");
}
