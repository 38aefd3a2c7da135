//! Go programs that are read from outside, stripped and loaded anywhere, against what the runtime itself says of them.
//!
//! `PLIMSOLL_GO_VERSIONS` names other toolchains than the one on `PATH`, apart by colons (`scripts/go-versions` sets it).

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;

use plimsoll_host::step::go_memory;
use plimsoll_host::world::World;
use plimsoll_read::go_runtime::{Bytes, Program, ReadAt, Refusal};
use plimsoll_read::goroutines::{self, Form, Goroutines};
use plimsoll_read::pprof;

/// Every way to wait, deep and shallow stacks, inlined entries, methods, generics, closures that pass a call on, code
/// in a loop. A line on its standard input makes it write what it knows of itself.
const PROGRAM: &str = r#"package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"runtime"
	"runtime/pprof"
	"sync"
	"syscall"
	"time"
)

var kept [][]byte

//go:noinline
func retain(n int) {
	for i := 0; i < n; i++ {
		kept = append(kept, make([]byte, 64<<10))
	}
}

var known map[int][64]byte

// A map grows in a package of the runtime that is not called runtime.
//
//go:noinline
func remember(n int) {
	known = make(map[int][64]byte)
	for i := 0; i < n; i++ {
		known[i] = [64]byte{}
	}
}

func await(c chan int)      { <-c }
func inlined(c chan int)    { await(c) }
func send(c chan int)       { c <- 1 }
func generic[T any](c chan T) { <-c }

//go:noinline
func choose(a, b chan int) {
	select {
	case <-a:
	case <-b:
	}
}

type worker struct{ mu *sync.Mutex }

func (w *worker) lock() { w.mu.Lock() }

type waiter interface{ wait() }
type both struct{ *sync.WaitGroup }

func (b both) wait() { b.Wait() }

//go:noinline
func recurse(n int, c chan int) int {
	var pad [64]byte
	if n == 0 {
		return <-c
	}
	pad[n%64] = 1
	return recurse(n-1, c) + int(pad[3])
}

func finish(c chan int) {
	defer func() { <-c }()
	panic("on purpose")
}

func dump() {
	runtime.GC()
	runtime.GC()
	stacks, _ := os.Create(os.Args[1] + ".stacks")
	pprof.Lookup("goroutine").WriteTo(stacks, 2)
	stacks.Close()
	heap, _ := os.Create(os.Args[1] + ".heap")
	pprof.Lookup("heap").WriteTo(heap, 1)
	heap.Close()
	fmt.Println("dumped")
}

func main() {
	retain(256)
	remember(100_000)
	a, b := make(chan int), make(chan int)
	for i := 0; i < 300; i++ {
		go inlined(a)
	}
	for i := 0; i < 150; i++ {
		go choose(a, b)
	}
	mu := &sync.Mutex{}
	mu.Lock()
	w := &worker{mu}
	var group sync.WaitGroup
	group.Add(1)
	var each waiter = both{&group}
	rw := &sync.RWMutex{}
	rw.Lock()
	cond := sync.NewCond(&sync.Mutex{})
	var none chan int
	for i := 0; i < 5; i++ {
		go w.lock()
		go each.wait()
		go send(b)
		go generic(a)
		go generic(make(chan string))
		go rw.RLock()
		go func() { cond.L.Lock(); cond.Wait() }()
		go func() { time.Sleep(time.Hour) }()
		go func() { select {} }()
		go func() { none <- 1 }()
		go func() { recurse(40, a) }()
		go finish(a)
		go func() { func() { func() { choose(b, a) }() }() }()
		go sync.OnceFunc(func() { await(a) })()
	}
	go func() { recurse(400, a) }()
	go func() {
		runtime.LockOSThread()
		var p [2]int
		syscall.Pipe(p[:])
		syscall.Read(p[0], make([]byte, 1))
	}()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go func() {
		for {
			l.Accept()
		}
	}()
	if len(os.Args) > 2 {
		go func() {
			for i := 0; ; i++ {
				kept[0][i%64] = byte(i)
			}
		}()
		// Some come and go all the time.
		for i := 0; i < 4; i++ {
			go func() {
				for {
					done := make(chan int)
					go func() { time.Sleep(time.Millisecond); close(done) }()
					<-done
				}
			}()
		}
	}
	time.Sleep(100 * time.Millisecond)
	fmt.Println("ready")
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		dump()
	}
}
"#;

/// A folder of the test's own, removed at its end.
fn folder() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("plimsoll-go-").tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder")
}

/// The toolchains to try; none, loudly, where there is none and the checks do not run here.
fn toolchains(test: &str) -> Vec<PathBuf> {
    if let Some(named) = std::env::var_os("PLIMSOLL_GO_VERSIONS") {
        return std::env::split_paths(&named).collect();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let home = std::env::var_os("HOME").map(|h| PathBuf::from(h).join(".cache/plimsoll-tools/bin"));
    let found = std::env::split_paths(&path).chain(home).map(|d| d.join("go")).find(|p| p.is_file());
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "{test} must run here: there is no Go");
        let _unreported = writeln!(std::io::stderr(), "SKIPPED {test}: there is no Go");
    }
    found.into_iter().collect()
}

fn build(go: &Path, folder: &Path, name: &str, flags: &[&str], cgo: bool) -> PathBuf {
    let source = folder.join("main.go");
    fs::write(&source, PROGRAM).expect("written");
    fs::write(folder.join("go.mod"), "module parked\ngo 1.21\n").expect("written");
    if cgo {
        let c = "package main\n\n// static int one(void) { return 1; }\nimport \"C\"\n\nvar One = C.one()\n";
        fs::write(folder.join("c.go"), c).expect("written");
    }
    let program = folder.join(name);
    let mut command = Command::new(go);
    command.arg("build").args(flags).arg("-o").arg(&program).arg(".").current_dir(folder);
    command
        .env("GOTOOLCHAIN", "local")
        .env("GOFLAGS", "-mod=mod")
        .env("CGO_ENABLED", if cgo { "1" } else { "0" });
    let built = command.output().expect("go runs");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    program
}

/// The running program, killed at the end.
struct Parked {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    dump: PathBuf,
}

impl Parked {
    fn start(program: &Path, args: &[&str]) -> Parked {
        let dump = program.with_extension("dump");
        let mut command = Command::new(program);
        command.arg(&dump).args(args).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let to = child.stdin.take().expect("a pipe");
        let from = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut parked = Parked { child, to, from, dump };
        parked.says("ready");
        parked
    }

    fn says(&mut self, what: &str) {
        let mut line = String::new();
        self.from.read_line(&mut line).expect("a line");
        assert_eq!(line.trim(), what);
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a pid")
    }

    /// What its own runtime says: stacks, and the heap profile.
    fn dump(&mut self) -> (Goroutines, String) {
        writeln!(self.to, "dump").expect("it listens");
        self.says("dumped");
        let stacks = fs::read(self.dump.with_extension("dump.stacks")).expect("written");
        let heap = fs::read_to_string(self.dump.with_extension("dump.heap")).expect("written");
        (goroutines::parse(&stacks).expect("a dump"), heap)
    }

    fn outside(&self, later: u64) -> (Goroutines, String) {
        let mut program = go_memory::open(&World::default(), self.pid()).expect("a Go program that is known");
        let seen = program.goroutines(Some(monotonic() + later), || true).expect("it can be read");
        let text = seen.to_text(program.version());
        let census = program.census().expect("counted");
        assert!(census.living.abs_diff(seen.total()) < 20, "{census:?} of {}", seen.total());
        (goroutines::parse(text.as_bytes()).expect("a text"), program.memory_profile().expect("a profile"))
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// The machine's monotonic time, nanoseconds.
fn monotonic() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    (now.tv_sec * 1_000_000_000 + now.tv_nsec).cast_unsigned()
}

/// Groups as text, with their counts; without the one goroutine that wrote the dump, and with paths cut to the file.
fn groups(g: &Goroutines) -> BTreeMap<String, u64> {
    let place = |f: &goroutines::Frame| f.place();
    let text = |p: &goroutines::Parked| {
        let frames: Vec<String> = p.frames.iter().map(place).collect();
        format!("{:?} {} <- {:?}", p.state, frames.join(" < "), p.creator.as_ref().map(place))
    };
    let own = |p: &&goroutines::Parked| p.frames.iter().any(|f| f.function == "main.main");
    let mut out = BTreeMap::new();
    for p in g.groups.iter().filter(|p| !own(p)) {
        *out.entry(text(p)).or_default() += p.count;
    }
    out
}

fn same(inside: &Goroutines, outside: &Goroutines, what: &str) {
    let (inside, outside) = (groups(inside), groups(outside));
    let missing: Vec<_> = inside.iter().filter(|(k, n)| outside.get(*k) != Some(n)).collect();
    let more: Vec<_> = outside.iter().filter(|(k, n)| inside.get(*k) != Some(n)).collect();
    assert!(
        missing.is_empty() && more.is_empty(),
        "{what}: only inside {missing:#?}\nonly outside {more:#?}"
    );
}

/// Bytes in use by place, as the profile's reader has them.
fn in_use(text: &str) -> BTreeMap<String, i64> {
    let profile = pprof::parse(text.as_bytes()).expect("a profile");
    let of = |t: &pprof::ValueType| t.name == "inuse_space";
    let value = profile.types.iter().position(of).expect("in use");
    let mut out = BTreeMap::new();
    for sample in profile.samples() {
        let stack: Vec<String> = profile.frames_of(sample).map(|f| f.function.clone()).collect();
        if stack.iter().any(|f| f.starts_with("main.")) {
            *out.entry(stack.join(" < ")).or_default() += sample.values[value];
        }
    }
    // What the dump itself has allocated is not in use any more, or not published yet.
    out.retain(|_, bytes| *bytes > 0);
    out
}

#[test]
fn a_stripped_program_says_the_same_from_outside_as_from_inside() {
    const HOUR: u64 = 3_600_000_000_000;
    for go in toolchains("a_stripped_program") {
        let folder = folder();
        let ways: &[(&str, &[&str], bool)] = &[
            ("stripped", &["-ldflags", "-s -w"], false),
            ("anywhere", &["-ldflags", "-s -w", "-buildmode=pie"], false),
            ("with-c", &["-ldflags", "-s -w"], true),
        ];
        for (name, flags, cgo) in ways {
            let what = format!("{} {name}", go.display());
            let program = build(&go, folder.path(), name, flags, *cgo);
            let mut parked = Parked::start(&program, &[]);
            let (inside, heap) = parked.dump();
            let (outside, sites) = parked.outside(HOUR);
            assert_eq!(outside.form, Form::Outside);
            same(&inside, &outside, &what);
            assert_eq!(in_use(&sites), in_use(&heap), "{what}");
            assert!(
                in_use(&sites).keys().any(|stack| stack.starts_with("main.remember < ")),
                "{what}: {sites}"
            );
            // Two collections have seen nearly all of them wait: an hour later, they have waited for one.
            let waited = outside
                .groups
                .iter()
                .filter(|g| g.minutes.is_some_and(|(low, high)| low >= 60 && high <= 61));
            let waited: u64 = waited.map(|g| g.dated).sum();
            assert!(waited * 10 > outside.total() * 9, "{what}: {waited} of {}", outside.total());
        }
    }
}

/// A file as it is.
struct Held(Vec<u8>);

impl ReadAt for Held {
    fn read_at(&self, at: u64, into: &mut [u8]) -> usize {
        let from = usize::try_from(at).ok().and_then(|at| self.0.get(at..)).unwrap_or_default();
        let count = from.len().min(into.len());
        into[..count].copy_from_slice(&from[..count]);
        count
    }
}

#[test]
fn the_version_is_known_where_the_build_information_was_removed() {
    for go in toolchains("the_version_is_known_where_the_build_information_was_removed") {
        let folder = folder();
        let program = build(&go, folder.path(), "stripped", &["-ldflags=-s -w"], false);
        let mut file = fs::read(program).expect("read");
        let version = |file: &[u8]| {
            let file: Bytes = Arc::new(Held(file.to_vec()));
            plimsoll_read::go_runtime::version(&file)
        };
        let told = version(&file);
        let magic = b"\xff Go buildinf:";
        let at: Vec<usize> =
            (0..file.len() - magic.len()).filter(|at| file[*at..].starts_with(magic)).collect();
        // The magic itself may stand among the constants too, as part of a package that reads it.
        at.into_iter().for_each(|at| file[at..at + magic.len()].fill(0));
        assert!(told.as_ref().is_some_and(|version| version.starts_with("go1.")), "{told:?}");
        assert_eq!(version(&file), told);
    }
}

/// Bytes of which some are wrong, always the same ones.
struct Torn {
    file: fs::File,
    /// Addresses from here on.
    from: u64,
    seed: u64,
    /// One piece of 64 bytes in so many.
    rare: u64,
}

impl ReadAt for Torn {
    fn read_at(&self, at: u64, to: &mut [u8]) -> usize {
        let have = std::os::unix::fs::FileExt::read_at(&self.file, to, at).unwrap_or(0);
        for (i, byte) in to[..have].iter_mut().enumerate() {
            let here = at + i as u64;
            let noise = (here / 64).wrapping_add(self.seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            if here >= self.from && (noise >> 40).is_multiple_of(self.rare) {
                *byte ^= (noise >> (8 * (here % 8))) as u8;
            }
        }
        have
    }
}

/// Where Go's heap begins on amd64.
const HEAP: u64 = 0xc0_0000_0000;

#[test]
fn torn_and_hostile_memory_is_refused_or_read_but_never_trusted_blindly() {
    let Some(go) = toolchains("torn_and_hostile_memory").into_iter().next() else { return };
    let folder = folder();
    let program = build(&go, folder.path(), "torn", &["-ldflags", "-s -w"], false);
    let parked = Parked::start(&program, &[]);
    let torn = |what: &str, from: u64, seed: u64, rare: u64| -> Bytes {
        let file = fs::File::open(format!("/proc/{}/{what}", parked.pid())).expect("it may be read");
        Arc::new(Torn { file, from, seed, rare })
    };
    // Nothing in the heap is what it was: no goroutines.
    let mut all = Program::open(&torn("exe", u64::MAX, 0, 1), &torn("mem", HEAP, 7, 1), 0).expect("opened");
    assert!(matches!(all.goroutines(None, || true), Err(Refusal::Layout { .. })));
    let mut read = 0;
    for seed in 0..60 {
        // Every seventh, something is wrong everywhere, in the tables of the program too.
        let (exe, rare) = if seed % 7 == 0 { (4096, 40) } else { (u64::MAX, 200 + 50 * seed) };
        let opened = Program::open(&torn("exe", exe, seed, 4000), &torn("mem", HEAP, seed, rare), 0);
        let Ok(mut program) = opened else { continue };
        if let Ok(seen) = program.goroutines(None, || true) {
            read += 1;
            assert!(seen.total() < 2000, "{}", seen.total());
        }
        let _refused_or_not = program.memory_profile();
    }
    assert!(read > 20, "only {read} of 60 could be read at all");
    // Who has had enough gets what there was until then.
    let mut whole = go_memory::open(&World::default(), parked.pid()).expect("opened");
    let seen = whole.goroutines(None, || false).expect("read");
    assert!(seen.truncated.is_some() && seen.total() > 0);
}

#[test]
fn a_program_that_runs_is_read_without_being_stopped() {
    for go in toolchains("a_program_that_runs") {
        let folder = folder();
        let program = build(&go, folder.path(), "busy", &["-ldflags", "-s -w"], false);
        let mut parked = Parked::start(&program, &["busy"]);
        let (inside, _) = parked.dump();
        let is_still = |p: &goroutines::Parked| {
            p.creator.is_some()
                && p.frames
                    .iter()
                    .any(|f| ["main.await", "main.choose", "main.recurse"].contains(&f.function.as_str()))
        };
        let still =
            |g: &Goroutines| -> u64 { g.groups.iter().filter(|p| is_still(p)).map(|p| p.count).sum() };
        let has = |g: &Goroutines, states: &[&str]| {
            g.groups.iter().any(|p| p.state.as_deref().is_some_and(|state| states.contains(&state)))
        };
        let mut running = 0;
        for _ in 0..20 {
            let (outside, _) = parked.outside(0);
            assert_eq!(still(&outside), still(&inside), "what stands still is seen each time");
            // It is made to step aside now and then, and waits for its next turn.
            assert!(has(&outside, &["running", "runnable"]), "what is busy is told to be");
            running += u32::from(has(&outside, &["running"]));
        }
        assert!(running > 0, "what runs is told to run");
    }
}
