//! What a JVM tells when asked: native memory tracking, class histograms, threads per pool.
//!
//! Asking costs: a histogram stops the JVM for 0.3 to 0.5 s per GiB of heap and takes memory near the limit.
//! So it is left out where room or heap forbid it, and repeated only as often as its measured cost allows.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use plimsoll_core::artifact::Artifact;
use plimsoll_core::fact::{Fact, Reading};
use plimsoll_core::recording::Observation;
use plimsoll_core::runtime::jvm_marks;
use plimsoll_core::target::{RuntimeKind, Target};
use plimsoll_core::units;
use plimsoll_read::{class_histogram, nmt, thread_dump};

use super::hsperf::size_flag;
use super::room::{FOR_A_COMMAND, Room};
use super::text::field;
use super::{Pace, Source, SourceKind};
use crate::step::jvm_attach::{AttachError, jcmd};
use crate::world::World;

/// The entry of the registry.
pub(super) const KIND: SourceKind = SourceKind {
    name: "jvm-attach",
    facts: FACTS,
    pace: Pace::Slow(Duration::from_secs(5)),
    open: |world, target| {
        (target.runtime == RuntimeKind::Jvm)
            .then(|| Box::new(JvmAttach::new(world, target)) as Box<dyn Source>)
    },
};

const FACTS: &[Fact] = &[
    Fact::JvmDirectMax,
    Fact::JvmNmtTotal,
    Fact::JvmNmtHeap,
    Fact::JvmNmtThread,
    Fact::JvmNmtClass,
    Fact::JvmNmtCode,
    Fact::JvmNmtGc,
    Fact::JvmNmtOther,
];

/// The accounts of native memory.
const NMT_FACTS: &[Fact] = FACTS.split_at(1).1;

const MIB: f64 = 1024.0 * 1024.0;
/// Room that a thread dump needs for each thread, bytes: the text is made in the JVM before it is sent.
const THREAD_ROOM: f64 = 16.0 * 1024.0;
/// Room that a histogram needs, bytes, beside what its collector takes for each byte of the heap: 23 MiB were the most that was
/// seen of a busy JVM. It can wait.
const HISTOGRAM_ROOM: f64 = 32.0 * MIB;
/// Resident memory above which a histogram would stop the JVM for too long (about 2 s), bytes.
const HISTOGRAM_LARGEST: f64 = 4096.0 * MIB;
/// A histogram may take at most this share of the time.
const HISTOGRAM_SHARE: f64 = 0.01;
/// The dear artifacts are taken at the first of this many rounds.
const DEAR_EVERY: u64 = 3;
/// Threads from which their pools are worth a dump.
const MANY_THREADS: f64 = 50.0;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a histogram may take.
const HISTOGRAM_PATIENCE: Duration = Duration::from_secs(10);
/// Seconds before a JVM that failed us is asked again.
const RETREAT: f64 = 60.0;
/// The same for a launcher without a JVM yet.
const YOUNG_RETREAT: f64 = 2.0;

struct JvmAttach {
    world: World,
    pid: i32,
    room: Room,
    /// JDK 8 books direct buffers as "Internal".
    other: &'static str,
    direct_max: Option<f64>,
    /// Bytes that a walk over the heap takes for each of it.
    marks: f64,
    /// Why native memory is not asked for.
    no_nmt: Option<String>,
    /// Why nothing is asked, and until when (Unix seconds).
    retreat: Option<(f64, String)>,
    round: u64,
    next_histogram: f64,
    noted: Vec<&'static str>,
}

/// Why a round ends early.
struct Failed(AttachError);

impl JvmAttach {
    fn new(world: &World, target: &Target) -> Self {
        let off = target.flag("nmt") == Some("off");
        let deaf = target.flag("attach") == Some("off");
        let old = target.runtime_version.as_deref().is_some_and(|v| v.starts_with("1."));
        JvmAttach {
            world: world.clone(),
            pid: target.pid,
            room: Room::of(world, target),
            other: if old { "Internal" } else { "Other" },
            marks: jvm_marks(target.flag("gc")),
            direct_max: size_flag(target, "-XX:MaxDirectMemorySize"),
            no_nmt: off.then(|| nmt::NmtError::Off.to_string()),
            retreat: deaf.then(|| {
                (f64::INFINITY, "attaching is off: restart without -XX:+DisableAttachMechanism".to_owned())
            }),
            round: 0,
            next_histogram: 0.0,
            noted: Vec::new(),
        }
    }

    fn ask(&self, command: &str, patience: Duration) -> Result<String, Failed> {
        jcmd(&self.world, self.pid, command, patience).map_err(Failed)
    }

    fn status(&self, key: &str) -> Option<f64> {
        let path: PathBuf = self.world.proc_root.join(self.pid.to_string()).join("status");
        field(&std::fs::read_to_string(path).ok()?, key)
    }

    /// Says something once per process.
    fn note_once(&mut self, key: &'static str, text: &str, out: &mut Observation) {
        if !self.noted.contains(&key) {
            self.noted.push(key);
            out.note = Some(out.note.take().map_or_else(|| text.to_owned(), |n| format!("{n}; {text}")));
        }
    }

    fn round(&mut self, out: &mut Observation) -> Result<(), Failed> {
        let dear = self.round.is_multiple_of(DEAR_EVERY);
        self.round += 1;
        let room = self.room.left(out.t);
        if room < FOR_A_COMMAND {
            unknown_nmt(out, &format!("only {} are left: the JVM is not disturbed", units::bytes(room)));
            return Ok(());
        }
        self.native_memory(dear, out)?;
        if !dear {
            return Ok(());
        }
        if self.threads_are_worth_it(room, out) {
            let text = self.ask("Thread.print", PATIENCE)?;
            out.artifacts.extend(thread_dump::read(&text));
        }
        self.histogram(room, out)
    }

    /// Whether there are enough of them, and room for their text.
    fn threads_are_worth_it(&mut self, room: f64, out: &mut Observation) -> bool {
        let threads = self.status("Threads").unwrap_or(0.0);
        let needed = FOR_A_COMMAND + THREAD_ROOM * threads;
        if threads > MANY_THREADS && room < needed {
            let (room, needed) = (units::bytes(room), units::bytes(needed));
            let text = format!(
                "no thread dump: {room} are left, and the text of {threads:.0} threads needs up to {needed}"
            );
            self.note_once("threads", &text, out);
            return false;
        }
        threads > MANY_THREADS
    }

    fn native_memory(&mut self, keep: bool, out: &mut Observation) -> Result<(), Failed> {
        if let Some(why) = &self.no_nmt {
            unknown_nmt(out, why);
            return Ok(());
        }
        let text = self.ask("VM.native_memory summary", PATIENCE)?;
        match nmt::parse(&text) {
            Ok(n) => {
                self.accounts(&n, out);
                if keep {
                    out.artifacts.push(Artifact::NativeMemory { categories: n.categories });
                }
            }
            Err(e) => {
                unknown_nmt(out, &e.to_string());
                // It cannot be switched on in a running JVM.
                self.no_nmt = (e == nmt::NmtError::Off).then(|| e.to_string());
            }
        }
        Ok(())
    }

    fn accounts(&self, n: &nmt::NativeMemory, out: &mut Observation) {
        let of = |names: &[&str]| names.iter().map(|name| n.committed_in(name)).sum::<u64>() as f64;
        out.known(Fact::JvmNmtTotal, n.committed as f64);
        for (fact, names) in [
            (Fact::JvmNmtHeap, &["Java Heap"][..]),
            (Fact::JvmNmtThread, &["Thread"]),
            (Fact::JvmNmtClass, &["Class", "Metaspace"]),
            (Fact::JvmNmtCode, &["Code"]),
            (Fact::JvmNmtGc, &["GC"]),
            (Fact::JvmNmtOther, &[self.other]),
        ] {
            out.known(fact, of(names));
        }
    }

    fn histogram(&mut self, room: f64, out: &mut Observation) -> Result<(), Failed> {
        if out.t < self.next_histogram {
            return Ok(());
        }
        if let Some((key, why)) = self.forbids_histogram(room) {
            self.note_once(key, &format!("no class histogram: {why}"), out);
            return Ok(());
        }
        let began = Instant::now();
        // Without -all a full collection is forced, which can be what kills.
        let answer = self.ask("GC.class_histogram -all", HISTOGRAM_PATIENCE);
        self.next_histogram = out.t + began.elapsed().as_secs_f64() / HISTOGRAM_SHARE;
        match class_histogram::parse(&answer?).filter(|h| h.complete) {
            Some(h) => out.artifacts.push(Artifact::ClassHistogram {
                rows: h.rows,
                total_bytes: h.total_bytes,
                live: false,
            }),
            None => self.note_once("cut", "the JVM's class histogram was not complete", out),
        }
        Ok(())
    }

    fn forbids_histogram(&self, room: f64) -> Option<(&'static str, String)> {
        let resident = self.status("VmRSS").unwrap_or(0.0);
        let needed = HISTOGRAM_ROOM + self.marks * resident;
        if room < needed {
            let (room, need) = (units::bytes(room), units::bytes(needed));
            return Some(("room", format!("{room} are left below the limit, it needs up to {need}")));
        }
        (resident > HISTOGRAM_LARGEST).then(|| {
            let why = format!(
                "it would stop the JVM for about {:.0} s; take it by hand when that is acceptable: jcmd {} GC.class_histogram -all",
                (resident / HISTOGRAM_LARGEST * 2.0).ceil(),
                self.pid
            );
            ("size", why)
        })
    }
}

fn unknown_nmt(out: &mut Observation, why: &str) {
    for fact in NMT_FACTS {
        out.put(*fact, Reading::unknown(why));
    }
}

impl Source for JvmAttach {
    fn sample(&mut self, out: &mut Observation) {
        match self.direct_max {
            Some(max) => out.known(Fact::JvmDirectMax, max),
            None => out.put(
                Fact::JvmDirectMax,
                Reading::unknown("no bound is set (-XX:MaxDirectMemorySize): by default it is the heap's"),
            ),
        }
        if let Some((until, why)) = &self.retreat {
            if out.t < *until {
                unknown_nmt(out, self.no_nmt.as_ref().unwrap_or(why));
                return;
            }
            self.retreat = None;
        }
        if let Err(Failed(e)) = self.round(out) {
            let why = self.no_nmt.clone().unwrap_or_else(|| e.to_string());
            unknown_nmt(out, &why);
            self.note_once("failed", &format!("the JVM could not be asked: {e}"), out);
            if !e.may_pass() {
                let pause = match e {
                    // Without a listener each signal makes the JVM print its threads: never again.
                    AttachError::NoListener { .. } => f64::INFINITY,
                    // A launcher that has just begun has not mapped its JVM yet. Nothing is sent to find out.
                    AttachError::NotJvm(_) => YOUNG_RETREAT,
                    _ => RETREAT,
                };
                self.retreat = Some((out.t + pause, e.to_string()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A machine with a group of limit and usage (bytes), and a process 7 that is no JVM.
    fn world(limit: u64, used: u64, rss_kib: u64) -> (tempfile::TempDir, World) {
        let root = tempfile::tempdir().expect("a folder");
        let world = World::under(root.path());
        let write = |path: PathBuf, text: &str| {
            fs::create_dir_all(path.parent().expect("has one")).expect("a folder");
            fs::write(path, text).expect("a file");
        };
        write(world.proc_root.join("7/cgroup"), "0::/app\n");
        write(world.proc_root.join("7/maps"), "");
        write(world.proc_root.join("7/status"), &format!("VmRSS:\t{rss_kib} kB\nThreads:\t9\n"));
        write(world.cgroup_root.join("cgroup.controllers"), "memory\n");
        write(world.cgroup_root.join("app/memory.max"), &limit.to_string());
        write(
            world.cgroup_root.join("app/memory.stat"),
            &format!("anon {used}\nfile 0\nshmem 0\nkernel 0\n"),
        );
        (root, world)
    }

    fn source(world: &World, flags: &[&str]) -> JvmAttach {
        let flags = flags.iter().map(|f| (*f).to_owned()).collect();
        let target = Target { runtime: RuntimeKind::Jvm, flags, ..crate::identify::bare(7) };
        JvmAttach::new(world, &target)
    }

    fn sample(source: &mut JvmAttach, t: f64) -> Observation {
        let mut out = Observation::at(t);
        source.sample(&mut out);
        out
    }

    #[test]
    fn a_histogram_needs_room_and_a_heap_of_reasonable_size() {
        let (_keep, w) = world(100 << 20, 60 << 20, 1024);
        let mut s = source(&w, &[]);
        let room = s.room.left(1.0);
        assert_eq!((room, s.room.left(2.0)), (40.0 * MIB, 40.0 * MIB));
        assert_eq!(s.forbids_histogram(room), None);
        assert_eq!(s.forbids_histogram(HISTOGRAM_ROOM - 1.0).map(|f| f.0), Some("room"));
        // Of 100 MiB, Shenandoah's marks take 16.
        let (_keep, w) = world(200 << 20, 160 << 20, 100 << 10);
        assert_eq!(source(&w, &["gc=Shenandoah"]).forbids_histogram(room).map(|f| f.0), Some("room"));
        assert_eq!(source(&w, &["gc=G1"]).forbids_histogram(room), None);
        let (_keep, w) = world(100 << 30, 60 << 20, 5 << 20);
        let (key, why) = source(&w, &[]).forbids_histogram(f64::INFINITY).expect("too large");
        assert!(key == "size" && why.contains("about 3 s"), "{why}");
    }

    #[test]
    fn at_the_limit_nothing_is_asked() {
        let (_keep, w) = world(100 << 20, 99 << 20, 1024);
        let o = sample(&mut source(&w, &["nmt=summary"]), 1.0);
        assert!(o.unknown[&Fact::JvmNmtTotal].contains("not disturbed"), "{o:?}");
        assert_eq!(o.note, None);
    }

    #[test]
    fn off_is_told_with_its_lever_and_a_refusal_once() {
        let (_keep, w) = world(1 << 30, 1 << 20, 1024);
        let mut s = source(&w, &["nmt=off", "-XX:MaxDirectMemorySize=1g"]);
        let o = sample(&mut s, 1.0);
        assert!(o.unknown[&Fact::JvmNmtOther].contains("-XX:NativeMemoryTracking=summary"), "{o:?}");
        assert_eq!(o.facts[&Fact::JvmDirectMax], 1024.0 * MIB);
        assert!(o.note.is_some_and(|n| n.contains("no JVM")));
        let o = sample(&mut s, 2.0);
        assert_eq!((s.round, o.note), (1, None), "it retreats");
        sample(&mut s, 1.0 + RETREAT);
        assert_eq!(s.round, 2);
    }

    #[test]
    fn a_jvm_that_forbids_attaching_is_left_alone() {
        let (_keep, w) = world(1 << 30, 1 << 20, 1024);
        let mut s = source(&w, &["attach=off"]);
        assert!(sample(&mut s, 1.0).unknown[&Fact::JvmNmtTotal].contains("DisableAttachMechanism"));
        assert_eq!(s.round, 0);
    }
}
