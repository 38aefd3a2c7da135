//! A real JVM that leaks: the floor from outside, and what its attach listener tells.
#![expect(clippy::print_stderr, reason = "a skipped test says so")]

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use plimsoll_core::artifact::Artifact;
use plimsoll_core::fact::Fact;
use plimsoll_core::recording::{Observation, Recording};
use plimsoll_host::drill::{self, Running, Settings};
use plimsoll_host::sampler::Sampler;
use plimsoll_host::step::jvm_attach;
use plimsoll_host::world::World;

/// Whether the machine can run this; where it must (CI) a missing tool is a failure.
fn has_java() -> bool {
    let runs = |tool: &str| Command::new(tool).arg("-version").output().is_ok_and(|o| o.status.success());
    let has = runs("java") && runs("javac");
    assert!(has || std::env::var_os("CI").is_none(), "CI has no java and javac");
    if !has {
        eprintln!("SKIPPED: java and javac are not installed: the JVM sources are not tested against a JVM");
    }
    has
}

fn start(args: &[&str], rate: u64) -> Running {
    let drill = drill::catalog::DRILLS
        .iter()
        .find(|d| d.name == "unbounded-cache" && d.variant == "jvm")
        .expect("the drill exists");
    let settings = Settings {
        rate,
        limit: 512 << 20,
        seed: 1,
        runtime_args: args.iter().map(|a| (*a).to_owned()).collect(),
    };
    drill::start(drill, &settings).expect("it starts")
}

/// Waits until the program has become a JVM that shares its counters.
fn identified(running: &mut Running) -> World {
    let world = World::default();
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        assert!(running.ended().is_none(), "the drill ended early");
        let target = plimsoll_host::identify::identify(&world, running.pid()).expect("it lives");
        if target.runtime_version.is_some() {
            return world;
        }
        assert!(Instant::now() < until, "no counters within 30 s: {target:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Samples until `done`, at most for `patience`.
fn watch(running: &mut Running, patience: Duration, done: impl Fn(&Recording) -> bool) -> Recording {
    let world = identified(running);
    let mut sampler = Sampler::open(&world, running.pid(), Duration::from_millis(200)).expect("opens");
    let mut recording = Recording::new(sampler.target().clone());
    let stop = AtomicBool::new(false);
    let until = Instant::now() + patience;
    while Instant::now() < until && !done(&recording) {
        let o: Observation = sampler.next(&stop).expect("not stopped");
        assert_eq!(o.ended, None, "the drill died: {:?}", recording.notes);
        recording.add(o);
    }
    recording
}

fn rises(r: &Recording, fact: Fact, points: usize) -> bool {
    let p = r.series(fact).points();
    p.len() >= points && p[p.len() - 1].v > p[0].v + 4e6
}

#[test]
fn the_floor_rises_with_every_stopping_collector() {
    if !has_java() {
        return;
    }
    for gc in ["G1", "Serial", "Parallel"] {
        // A small young generation: collections come often enough for a short test.
        let mut running = start(&[&format!("-XX:+Use{gc}GC"), "-Xmn8m"], 12_000);
        let r = watch(&mut running, Duration::from_secs(60), |r| rises(r, Fact::JvmLive, 3));
        assert!(rises(&r, Fact::JvmLive, 3), "{gc}: {:?} {:?}", r.series(Fact::JvmLive), r.unknown);
        assert_eq!(r.target.flag("gc"), Some(gc));
        assert_eq!(r.target.flag("nmt"), Some("summary"));
        assert_eq!(r.target.flag("heapDumpOnOom"), Some("false"));
        assert_eq!(r.last(Fact::JvmHeapMax), Some(160.0 * 1048576.0), "{gc}");
        let [used, held, live] = [Fact::JvmHeapUsed, Fact::JvmHeapCommitted, Fact::JvmLive]
            .map(|f| r.last(f).unwrap_or_else(|| panic!("{gc}: no {f}")));
        assert!(
            live <= used && used <= held * 1.001 && held <= 160.0 * 1048576.0 * 1.001,
            "{gc}: {live} {used} {held}"
        );
        assert!(r.last(Fact::JvmYoungGcs) >= Some(3.0) && r.last(Fact::JvmGcSeconds) > Some(0.0), "{gc}");
        assert!(r.last(Fact::JvmAllocated) > Some(4e6), "{gc}: {:?}", r.last(Fact::JvmAllocated));
        assert!(r.last(Fact::JvmClasses) > Some(300.0) && r.last(Fact::JvmThreads) > Some(1.0), "{gc}");
    }
}

#[test]
fn a_collector_without_stops_tells_its_floor_by_its_log() {
    if !has_java() {
        return;
    }
    let mut running = start(&["-XX:+UseZGC", "-Xlog:gc*:file=gc-%p.log"], 8_000);
    let r = watch(&mut running, Duration::from_secs(60), |r| rises(r, Fact::JvmLive, 3));
    assert_eq!((r.target.flag("gc"), r.target.flag("gcLog")), (Some("Z"), Some("gc-%p.log")));
    assert!(rises(&r, Fact::JvmLive, 3), "{:?} {:?}", r.series(Fact::JvmLive), r.unknown);
    assert_eq!(r.last(Fact::JvmHeapMax), Some(160.0 * 1048576.0));
}

#[test]
fn native_memory_and_histograms_arrive() {
    if !has_java() {
        return;
    }
    let mut running = start(&[], 4_000);
    let histograms = |r: &Recording| {
        r.artifacts.iter().filter(|(_, a)| matches!(a, Artifact::ClassHistogram { .. })).count()
    };
    let done = |r: &Recording| histograms(r) >= 2 && r.series(Fact::JvmNmtTotal).points().len() >= 2;
    let r = watch(&mut running, Duration::from_secs(90), done);
    assert!(done(&r), "{} histograms, {:?} {:?}", histograms(&r), r.unknown, r.notes);
    let nmt = |fact| r.last(fact).unwrap_or_else(|| panic!("no {fact}: {:?}", r.unknown));
    let parts = [Fact::JvmNmtHeap, Fact::JvmNmtThread, Fact::JvmNmtClass, Fact::JvmNmtCode, Fact::JvmNmtGc];
    assert!(parts.iter().all(|f| nmt(*f) > 0.0));
    assert!(parts.iter().map(|f| nmt(*f)).sum::<f64>() + nmt(Fact::JvmNmtOther) <= nmt(Fact::JvmNmtTotal));
    let bytes_of = |class: &str| -> Vec<u64> {
        let rows = r.artifacts.iter().filter_map(|(_, a)| match a {
            Artifact::ClassHistogram { rows, .. } => Some(rows.iter().find(|c| c.class == class)?.bytes),
            _ => None,
        });
        rows.collect()
    };
    let grown = bytes_of("byte[]");
    assert!(grown[grown.len() - 1] > grown[0] + (10 << 20), "what leaks is seen to grow: {grown:?}");
}

#[test]
fn the_attach_listener_answers_and_leaves_nothing_behind() {
    if !has_java() {
        return;
    }
    let mut running = start(&[], 100);
    let world = identified(&mut running);
    let pid = running.pid();
    let ask = |command: &str| jvm_attach::jcmd(&world, pid, command, Duration::from_secs(20));
    let version = ask("VM.version").expect("answers");
    assert!(version.contains("JDK"), "{version}");
    let began = Instant::now();
    assert!(ask("Thread.print").expect("answers again").contains("\"main\""));
    assert!(began.elapsed() < Duration::from_secs(5), "a warm listener took {:?}", began.elapsed());
    let refused = ask("No.such_command").expect_err("there is none");
    assert!(matches!(refused, jvm_attach::AttachError::Refused { .. }), "{refused}");
    let wish = format!(".attach_pid{pid}");
    for folder in [std::env::temp_dir(), running.folder().to_owned()] {
        assert!(!folder.join(&wish).exists(), "{wish} stays in {}", folder.display());
    }
}

#[test]
fn a_jvm_that_would_die_of_the_signal_is_not_sent_it() {
    if !has_java() {
        return;
    }
    // With -Xrs alone the listener runs from the start, and no signal is needed.
    let mut running = start(&["-Xrs", "-XX:+DisableAttachMechanism"], 100);
    let world = identified(&mut running);
    let e =
        jvm_attach::jcmd(&world, running.pid(), "VM.version", Duration::from_secs(5)).expect_err("refused");
    assert!(matches!(e, jvm_attach::AttachError::NoHandler(_)), "{e}");
    assert!(running.ended().is_none(), "it lives on");
}

/// Runs a JVM as another user in pid and mount namespaces of its own, with its own /tmp: a container's view.
const CONTAINER: &str = "exec 3<\"$1\"; mount -t tmpfs -o mode=1777 none /tmp && cat <&3 >/tmp/UnboundedCache.class \
    && cd / && exec setpriv --reuid 65534 --regid 65534 --clear-groups java -Xmx64m -cp /tmp UnboundedCache rate=100";

/// The namespaces' first process with what it starts; killed when dropped.
struct Contained {
    outer: Child,
}

impl Contained {
    fn start(class: &Path) -> Contained {
        let outer = Command::new("unshare")
            .args(["--pid", "--fork", "--kill-child", "--mount", "sh", "-c", CONTAINER, "sh"])
            .arg(class)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("unshare exists");
        Contained { outer }
    }

    /// Our pid of the JVM, once it shares its counters.
    fn jvm(&mut self, world: &World) -> i32 {
        let own = self.outer.id();
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            let text =
                std::fs::read_to_string(format!("/proc/{own}/task/{own}/children")).unwrap_or_default();
            let child = text.split_ascii_whitespace().next().and_then(|w| w.parse().ok());
            let known = |pid: &i32| {
                plimsoll_host::identify::identify(world, *pid).is_ok_and(|t| t.runtime_version.is_some())
            };
            if let Some(pid) = child.filter(known) {
                return pid;
            }
            assert!(self.outer.try_wait().expect("ours").is_none(), "the container ended");
            assert!(Instant::now() < until, "no JVM with counters within 30 s");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Contained {
    fn drop(&mut self) {
        // `--kill-child` does not reach a program that has changed its user: its own pid does.
        let own = self.outer.id();
        let children =
            std::fs::read_to_string(format!("/proc/{own}/task/{own}/children")).unwrap_or_default();
        let _gone = Command::new("kill").arg("-9").args(children.split_ascii_whitespace()).status();
        let _gone_too = self.outer.kill();
        let _reaped = self.outer.wait();
    }
}

#[test]
fn a_jvm_of_another_user_in_namespaces_of_its_own() {
    if !has_java() {
        return;
    }
    let may = Command::new("unshare")
        .args(["--pid", "--fork", "--mount", "sh", "-c", "mount -t tmpfs none /tmp && setpriv --version"])
        .output()
        .is_ok_and(|o| o.status.success());
    if !may {
        eprintln!("SKIPPED: no namespaces can be made here: attaching into a container is not tested");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let source = folder.path().join("UnboundedCache.java");
    let drill =
        drill::catalog::DRILLS.iter().find(|d| d.file == "UnboundedCache.java").expect("the drill exists");
    std::fs::write(&source, drill.source).expect("written");
    let built = Command::new("javac").arg("-d").arg(folder.path()).arg(&source).status().expect("javac runs");
    assert!(built.success());
    let world = World::default();
    let mut contained = Contained::start(&folder.path().join("UnboundedCache.class"));
    let pid = contained.jvm(&world);
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
    assert!(
        status.lines().any(|l| l.starts_with("NSpid:") && l.ends_with("\t1")),
        "it is pid 1 there: {status}"
    );
    assert!(status.lines().any(|l| l.starts_with("Uid:\t65534")), "{status}");
    let version = jvm_attach::jcmd(&world, pid, "VM.version", Duration::from_secs(20)).expect("answers");
    assert!(version.contains("JDK"), "{version}");
    let left = std::fs::read_dir(format!("/proc/{pid}/root/tmp")).expect("readable").flatten();
    let names: Vec<String> = left.filter_map(|e| e.file_name().into_string().ok()).collect();
    assert!(names.iter().any(|n| n == ".java_pid1"), "{names:?}");
    assert!(!names.iter().any(|n| n.starts_with(".attach_pid")), "{names:?}");
}
