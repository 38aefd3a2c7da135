//! glibc's arenas of a threaded program, read from outside: heaps that spill over, merge for the kernel, and shrink.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use plimsoll_core::fact::Fact;
use plimsoll_core::recording::Recording;
use plimsoll_host::sampler::Sampler;
use plimsoll_host::world::World;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// One thread, hence one arena beside the main one. It takes a number of MiB in blocks of 1 KiB, or frees the
/// newest of them, whenever a line says so, and answers when it has.
const PROGRAM: &str = r#"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#define MOST 400000
static char *kept[MOST];
static void *work(void *unused) {
    long have = 0, mib;
    while (scanf("%ld", &mib) == 1) {
        for (long want = have + mib * 1024; have < want && have < MOST; have++) memset(kept[have] = malloc(1000), 1, 1000);
        for (long want = have + mib * 1024; have > want && have > 0; have--) free(kept[have - 1]);
        printf("ready %ld\n", have);
        fflush(stdout);
    }
    return unused;
}
int main(void) {
    pthread_t t;
    if (pthread_create(&t, 0, work, 0)) return 1;
    pthread_join(t, 0);
    return 0;
}
"#;

struct Program {
    child: Child,
    answers: BufReader<ChildStdout>,
    sampler: Sampler,
    seen: Recording,
    /// Why the newest look has no answer.
    unknown: Option<String>,
}

impl Program {
    /// `None`, loudly, where there is no compiler and the checks do not run here.
    fn start() -> Option<Program> {
        let folder = tempfile::tempdir().expect("a folder");
        let (source, binary) = (folder.path().join("arenas.c"), folder.path().join("arenas"));
        std::fs::write(&source, PROGRAM).expect("written");
        let built = Command::new("cc").args(["-O1", "-pthread", "-o"]).arg(&binary).arg(&source).status();
        if !built.is_ok_and(|s| s.success()) {
            assert!(std::env::var_os("CI").is_none(), "a C compiler must be here");
            let _unreported = writeln!(std::io::stderr(), "SKIPPED: no C compiler");
            return None;
        }
        let mut child =
            Command::new(&binary).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
        let answers = BufReader::new(child.stdout.take().expect("piped"));
        let sampler =
            Sampler::open(&World::default(), child.id() as i32, Duration::from_millis(100)).expect("it runs");
        let seen = Recording::new(sampler.target().clone());
        Some(Program { child, answers, sampler, seen, unknown: None })
    }

    /// Has it take (or free) so many MiB, and gives each fact as the next look at its mappings tells it, in MiB.
    fn take(&mut self, mib: i64) -> impl Fn(Fact) -> f64 + use<> {
        let stdin = self.child.stdin.as_mut().expect("piped");
        writeln!(stdin, "{mib}").expect("it reads");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("it answers");
        assert!(line.starts_with("ready"), "{line}");
        // A look that began before the answer is still under way at most once.
        let looks = self.seen.series(Fact::MallocFree).points().len() + 2;
        let stop = AtomicBool::new(false);
        let deadline = Instant::now() + PATIENCE;
        while self.seen.series(Fact::MallocFree).points().len() < looks {
            let why = self.unknown.as_deref().unwrap_or("not asked");
            assert!(Instant::now() < deadline, "the chunks after {mib} MiB are unknown: {why}");
            let next = self.sampler.next(&stop).expect("it still runs");
            self.unknown = next.unknown.get(&Fact::MallocFree).cloned().or(self.unknown.take());
            self.seen.add(next);
        }
        let seen = self.seen.clone();
        move |fact| {
            seen.series(fact).last().unwrap_or_else(|| panic!("{fact:?} unknown: {:?}", seen.unknown)).v
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

const MIB: f64 = 1048576.0;

#[test]
fn an_arena_is_walked_through_all_its_heaps_and_when_it_has_shrunk() {
    let Some(mut program) = Program::start() else { return };
    let near = |a: f64, mib: f64| (a / MIB - mib).abs() < 0.04 * mib + 1.0;

    let small = program.take(10);
    assert!(near(small(Fact::MallocInUse), 10.0), "in use {}", small(Fact::MallocInUse) / MIB);
    assert_eq!(small(Fact::ArenaCount), 1.0);

    // More than two heaps of 64 MiB: neighbours are one mapping for the kernel.
    let large = program.take(190);
    assert!(near(large(Fact::MallocInUse), 200.0), "in use {}", large(Fact::MallocInUse) / MIB);
    assert!(near(large(Fact::SmapsArenas), 200.0), "arenas {}", large(Fact::SmapsArenas) / MIB);
    assert!(large(Fact::SmapsAnonOther) < 4.0 * MIB, "other {}", large(Fact::SmapsAnonOther) / MIB);
    assert_eq!(large(Fact::ArenaCount), 1.0, "heaps of one arena are one arena");

    // A few freed blocks stay in the thread's cache and hold the heaps behind them: free, not given back.
    let holes = program.take(-180);
    assert!(near(holes(Fact::MallocInUse), 20.0), "in use {}", holes(Fact::MallocInUse) / MIB);
    assert!(holes(Fact::MallocFree) > 100.0 * MIB, "free {}", holes(Fact::MallocFree) / MIB);

    let shrunk = program.take(-20);
    assert!(shrunk(Fact::MallocInUse) < MIB, "in use {}", shrunk(Fact::MallocInUse) / MIB);
}
