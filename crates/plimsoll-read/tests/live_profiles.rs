//! Dumps of real programs whose defects are known: a Go program's goroutines and heap, a JVM's deadlock and pools.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the test runs the programs whose dumps the crate reads"
)]
#![expect(clippy::print_stderr, reason = "a skipped test says so")]

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use plimsoll_core::classify::Certainty;
use plimsoll_read::goroutines::{self, Goroutines, Wait};
use plimsoll_read::{pprof, thread_dump};

/// A folder of the test's own, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("plimsoll-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder");
        Folder(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).expect("a file");
        path
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.0.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

fn skipped<T>(what: &str) -> Option<T> {
    assert!(std::env::var_os("CI").is_none(), "CI has no {what}");
    eprintln!("SKIPPED: this machine has no {what}");
    None
}

fn run(command: &mut Command) -> String {
    let out = command.output().expect("the program starts");
    assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// Go on `PATH`, or where `scripts/setup` puts what tests need.
fn go() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let home = std::env::var_os("HOME").map(|h| PathBuf::from(h).join(".cache/plimsoll-tools/bin"));
    let found = std::env::split_paths(&path).chain(home).map(|d| d.join("go")).find(|p| p.is_file());
    found.or_else(|| skipped("Go"))
}

const N: u64 = 20;

const GO: &str = r#"package main

import (
	"context"
	"os"
	"runtime"
	"runtime/pprof"
	"strconv"
	"sync"
	"time"
)

var channels []chan int
var keep [][]byte
var sink []byte

//go:noinline
func hold(n int) { keep = append(keep, make([]byte, n)) }

//go:noinline
func pass(n int) { sink = make([]byte, n) }

func receive(c chan int) { <-c }
func send(c chan int)    { c <- 1 }

func main() {
	var mutex sync.Mutex
	mutex.Lock()
	var group sync.WaitGroup
	group.Add(1)
	var none chan int
	for i := 0; i < 20; i++ {
		c := make(chan int)
		channels = append(channels, c)
		go receive(c)
		go send(make(chan int))
		go func() { mutex.Lock() }()
		go func() { group.Wait() }()
		go func() { <-none }()
		go func() { select {} }()
		go func() { time.Sleep(time.Hour) }()
		pprof.Do(context.Background(), pprof.Labels("route", "/users/{id}"), func(context.Context) {
			go func() {
				select {
				case <-channels[0]:
				case <-time.After(time.Hour):
				}
			}()
		})
	}
	for i := 0; i < 3000; i++ {
		hold(16384)
	}
	for i := 0; i < 100000; i++ {
		pass(4096)
	}
	for deadline := time.Now().Add(20 * time.Second); waiting() < 8*20 && time.Now().Before(deadline); {
		runtime.Gosched()
	}
	runtime.GC()
	for _, name := range []string{"goroutine", "goroutineleak", "heap"} {
		for debug := 0; debug < 3; debug++ {
			profile := pprof.Lookup(name)
			if profile == nil {
				continue
			}
			file, err := os.Create(os.Args[1] + "/" + name + strconv.Itoa(debug))
			if err != nil {
				panic(err)
			}
			if err := profile.WriteTo(file, debug); err != nil {
				panic(err)
			}
			file.Close()
		}
	}
	panic("the end")
}

// How many goroutines are parked: all but those that are still to run.
func waiting() int {
	buf := make([]byte, 1<<20)
	text := string(buf[:runtime.Stack(buf, true)])
	n := 0
	for i := 0; i+2 < len(text); i++ {
		if text[i:i+2] == " [" && i > 10 && text[i+2] != 'r' {
			n++
		}
	}
	return n
}
"#;

fn waits(g: &Goroutines, wait: Wait) -> u64 {
    g.groups.iter().filter(|p| p.wait == wait && p.count >= N).map(|p| p.count).sum()
}

#[test]
fn a_go_programs_own_dumps_conclude_what_it_does() {
    let Some(go) = go() else { return };
    let folder = Folder::new("go");
    let source = folder.write("main.go", GO);
    let program = folder.0.join("program");
    run(Command::new(go).arg("build").arg("-o").arg(&program).arg(&source).env("GO111MODULE", "off"));
    let mut command = Command::new(&program);
    let out = command.arg(&folder.0).env("GOTRACEBACK", "all").output().expect("the program starts");
    let expected = [Wait::Receive, Wait::Send, Wait::Mutex, Wait::WaitGroup, Wait::Select, Wait::Sleep];
    let dump = goroutines::parse(&folder.read("goroutine2")).expect("stacks");
    let died = goroutines::parse(&out.stderr).expect("the panic's stacks");
    let profile = goroutines::parse(&folder.read("goroutine0")).expect("a profile");
    for wait in expected {
        assert_eq!([waits(&dump, wait), waits(&died, wait)], [N, N], "{wait:?}");
    }
    // A profile does not tell a nil channel from another.
    assert_eq!([waits(&profile, Wait::Receive), waits(&profile, Wait::Send)], [2 * N, N]);
    assert_eq!([waits(&dump, Wait::NilChannel), waits(&dump, Wait::SelectForever)], [N, N]);
    assert_eq!((dump.truncated.as_deref(), died.truncated.as_deref()), (None, None));
    let grouped = goroutines::parse(&folder.read("goroutine1")).expect("groups");
    assert_eq!((grouped.said, grouped.truncated.as_deref()), (Some(profile.counted), None));
    let labelled = |g: &Goroutines| g.groups.iter().any(|p| p.labels.get("route: /users/{id}") == Some(&N));
    assert!(labelled(&profile) && labelled(&grouped), "{:?}", grouped.groups);
    assert!(dump.report().findings.iter().filter(|f| f.certainty == Certainty::Certain).count() >= 2);
    proven(&folder);
    heap(&folder);
}

/// Since Go 1.26 the runtime itself proves leaks.
fn proven(folder: &Folder) {
    if !folder.0.join("goroutineleak0").is_file() {
        eprintln!("SKIPPED: this Go has no goroutineleak profile");
        return;
    }
    for form in ["goroutineleak0", "goroutineleak1"] {
        let leaks = goroutines::parse(&folder.read(form)).expect("leaks");
        assert!(leaks.leaks_only && leaks.groups.iter().all(|g| g.leaked == g.count), "{leaks:?}");
        assert_eq!(waits(&leaks, Wait::Sleep), 0, "a timer ends it: {leaks:?}");
    }
    let leaks = goroutines::parse(&folder.read("goroutineleak0")).expect("leaks");
    assert_eq!(waits(&leaks, Wait::Send), N);
    let tagged = goroutines::parse(&folder.read("goroutineleak2")).expect("stacks");
    let send = tagged.groups.iter().find(|g| g.wait == Wait::Send).expect("senders");
    assert_eq!((send.count, send.leaked), (N, N));
}

fn heap(folder: &Folder) {
    for form in ["heap0", "heap1"] {
        let profile = pprof::parse(&folder.read(form)).expect("a heap profile");
        assert_eq!(profile.truncated, None, "{form}");
        let report = profile.heap_report(None).expect("memory");
        let site = &report.sites[0];
        assert!(site.site.starts_with("main.hold"), "{form}: {site:?}");
        let held = site.in_use.expect("what is in use");
        let truth = 3000.0 * 16384.0;
        // Three standard deviations, as this runs again and again.
        let spread = 1.6 * held.relative_error() * held.bytes;
        assert!((held.bytes - truth).abs() < spread, "{form}: {held:?} is not {truth}");
        let churn = report.head.findings.iter().find(|f| f.text.contains("churn")).expect("churn");
        assert!(churn.text.starts_with("main.pass"), "{form}: {churn:?}");
    }
}

const JAVA: &str = r#"import java.util.concurrent.*;
public class Stuck {
    static final Object A = new Object(), B = new Object();
    static void both(Object first, Object second, CyclicBarrier barrier) {
        synchronized (first) {
            try { barrier.await(); } catch (Exception e) { throw new RuntimeException(e); }
            synchronized (second) { }
        }
    }
    public static void main(String[] args) throws Exception {
        CyclicBarrier barrier = new CyclicBarrier(2);
        Thread left = new Thread(() -> both(A, B, barrier), "left");
        Thread right = new Thread(() -> both(B, A, barrier), "right");
        left.start();
        right.start();
        for (int i = 0; i < 30; i++) {
            ExecutorService one = Executors.newFixedThreadPool(1);
            one.submit(() -> { });
        }
        try {
            var start = Thread.class.getMethod("startVirtualThread", Runnable.class);
            for (int i = 0; i < 100; i++) {
                start.invoke(null, (Runnable) () -> { try { Thread.sleep(600_000); } catch (InterruptedException e) { } });
            }
        } catch (NoSuchMethodException old) { }
        while (left.getState() != Thread.State.BLOCKED || right.getState() != Thread.State.BLOCKED) Thread.onSpinWait();
        System.out.print("ready");
        System.out.flush();
        System.in.read();
        Runtime.getRuntime().halt(0);
    }
}
"#;

struct Jvm(Child);

impl Drop for Jvm {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Every JDK of this machine.
fn jdks() -> Vec<PathBuf> {
    let installed = std::fs::read_dir("/usr/lib/jvm").into_iter().flatten().flatten();
    let mut homes: Vec<PathBuf> = installed.filter_map(|e| e.path().canonicalize().ok()).collect();
    homes.extend(std::env::var_os("JAVA_HOME").map(PathBuf::from));
    homes.retain(|h| ["java", "jcmd", "javac"].iter().all(|tool| h.join("bin").join(tool).is_file()));
    homes.sort();
    homes.dedup();
    homes
}

#[test]
fn every_jvm_here_tells_its_deadlock_and_its_executors() {
    let found = jdks();
    if found.is_empty() {
        skipped::<()>("JDK");
    }
    for home in found {
        let folder = Folder::new("jvm");
        let source = folder.write("Stuck.java", JAVA);
        let mut java = Command::new(home.join("bin/java"));
        java.arg(&source).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut jvm = Jvm(java.spawn().expect("java starts"));
        let mut ready = [0; 5];
        jvm.0
            .stdout
            .as_mut()
            .expect("a pipe")
            .read_exact(&mut ready)
            .expect("the program says that it is ready");
        dumps_of(&home, jvm.0.id(), &folder);
    }
}

fn dumps_of(home: &Path, pid: u32, folder: &Folder) {
    let jcmd = |args: &[&str]| run(Command::new(home.join("bin/jcmd")).arg(pid.to_string()).args(args));
    let print = thread_dump::parse(jcmd(&["Thread.print", "-l"]).as_bytes()).expect("a dump");
    let last = print.last().expect("a dump");
    assert_eq!((print.truncated.as_deref(), last.deadlocks.len(), last.virtuals), (None, 1, 0));
    let texts: Vec<String> = print.report().findings.into_iter().map(|f| f.text).collect();
    assert_eq!(texts[0], "deadlock of 2 threads: \"left\" waits for \"right\"");
    assert!(texts.iter().any(|t| t == "30 threads of pool-N-thread-N belong to 30 executors"), "{texts:?}");
    let Some(version @ 21..) = last.jvm else { return };
    assert!(print.report().warnings.iter().any(|w| w.starts_with("virtual threads are not in this form")));
    for format in ["json", "text"] {
        let file = folder.0.join(format);
        jcmd(&["Thread.dump_to_file", &format!("-format={format}"), &file.display().to_string()]);
        let all = thread_dump::parse(&folder.read(format)).expect("a dump");
        let last = all.last().expect("a dump");
        assert_eq!((all.truncated.as_deref(), last.virtuals), (None, 100), "{format} of {version}");
        // Since JDK 25 the form names states and locks.
        assert_eq!(last.deadlocks.len(), usize::from(version >= 25), "{format} of {version}");
    }
}
