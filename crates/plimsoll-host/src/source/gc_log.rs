//! The collection log that a JVM writes (`-Xlog:gc*:file=…`), followed at its end: the floor where the
//! counters do not tell it (ZGC, Shenandoah, `-XX:-UsePerfData`).

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;

use plimsoll_core::fact::{Fact, Reading};
use plimsoll_core::recording::Observation;
use plimsoll_core::target::RuntimeKind;
use plimsoll_read::gc_log;
use rustix::fs::OFlags;

use super::hsperf::inner_pid;
use super::text::why;
use super::{Pace, Source, SourceKind};
use crate::step::inside;
use crate::world::World;

/// The entry of the registry.
pub(super) const KIND: SourceKind = SourceKind {
    name: "gc-log",
    facts: &[Fact::JvmLive, Fact::JvmYoungGcs, Fact::JvmFullGcs],
    pace: Pace::EveryTick,
    open: |world, target| {
        let path = target.flag("gcLog").filter(|_| target.runtime == RuntimeKind::Jvm)?;
        Some(Box::new(GcLog::new(world, target.pid, path)))
    },
};

/// Read at most this much per tick, bytes; the rest follows at the next ones.
const CHUNK: usize = 256 * 1024;
/// A line that is longer is no line of a collection log, bytes.
const LONGEST_LINE: usize = 64 * 1024;
/// Seconds between two looks at whether the log was rotated or has appeared.
const LOOK_EVERY: f64 = 5.0;

struct GcLog {
    folder: PathBuf,
    path: Result<String, String>,
    file: Result<File, String>,
    offset: u64,
    /// The beginning of a line whose end is not written yet.
    begun: Vec<u8>,
    next_look: f64,
    /// Collections of the whole heap, and others, since we came.
    full: f64,
    other: f64,
}

impl GcLog {
    fn new(world: &World, pid: i32, path: &str) -> Self {
        let path = path.replace("%p", &inner_pid(world, pid).to_string());
        let dated = path.contains("%t");
        let path = if dated {
            Err(format!("the collection log's name {path:?} holds the start time: name it without %t"))
        } else {
            Ok(path)
        };
        let folder = world.proc_root.join(pid.to_string());
        let mut log = GcLog {
            folder,
            file: Err("the collection log is not open yet".to_owned()),
            path,
            offset: 0,
            begun: Vec::new(),
            next_look: 0.0,
            full: 0.0,
            other: 0.0,
        };
        // What was collected before we came is no floor point of now.
        log.look();
        log.offset = log.file.as_ref().ok().and_then(|f| f.metadata().ok()).map_or(0, |m| m.len());
        log
    }

    /// Opens the log; again when it was rotated, cut or has appeared.
    fn look(&mut self) {
        let found = self.path.as_ref().map_err(Clone::clone).and_then(|path| open(&self.folder, path));
        let same = |a: &File, b: &File| match (a.metadata(), b.metadata()) {
            (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()) && b.len() >= self.offset,
            _ => false,
        };
        if let (Ok(old), Ok(new)) = (&self.file, &found)
            && same(old, new)
        {
            return;
        }
        self.file = found;
        self.offset = 0;
        self.begun.clear();
    }

    /// The heap after the newest collection that was logged since the last call, bytes.
    fn newest(&mut self) -> Result<Option<f64>, String> {
        let file = self.file.as_ref().map_err(Clone::clone)?;
        let mut chunk = vec![0; CHUNK];
        let n = file
            .read_at(&mut chunk, self.offset)
            .map_err(|e| format!("failed to read the collection log: {e}"))?;
        self.offset += n as u64;
        self.begun.extend_from_slice(&chunk[..n]);
        let Some(end) = self.begun.iter().rposition(|b| *b == b'\n') else {
            if self.begun.len() > LONGEST_LINE {
                self.begun.clear();
            }
            return Ok(None);
        };
        let rest = self.begun.split_off(end + 1);
        let lines = std::mem::replace(&mut self.begun, rest);
        let mut after = None;
        for c in gc_log::collections(&String::from_utf8_lossy(&lines)) {
            match c.kind {
                k if k.is_full() => self.full += 1.0,
                _ => self.other += 1.0,
            }
            after = Some(c.after);
        }
        Ok(after)
    }
}

/// Opens a path as the process sees it. Links are followed inside its own root only, and what is no plain
/// file is not opened.
fn open(folder: &std::path::Path, path: &str) -> Result<File, String> {
    let shown = PathBuf::from(path);
    let file = inside::open(folder, path, OFlags::empty()).map_err(|e| why(&shown, &e))?;
    let plain = file.metadata().is_ok_and(|m: fs::Metadata| m.is_file());
    plain.then_some(file).ok_or_else(|| format!("the collection log {path} is no plain file"))
}

impl Source for GcLog {
    fn sample(&mut self, out: &mut Observation) {
        if out.t >= self.next_look {
            self.next_look = out.t + LOOK_EVERY;
            self.look();
        }
        let newest = self.newest();
        // Where the counters tell the floor they tell it better: the old generation alone.
        let Some(why) = out.unknown.get(&Fact::JvmLive).cloned() else { return };
        if newest.is_ok() {
            out.known(Fact::JvmFullGcs, self.full);
            out.known(Fact::JvmYoungGcs, self.other);
        }
        match newest {
            Ok(Some(after)) => out.known(Fact::JvmLive, after),
            Ok(None) => {}
            Err(e) => out.put(Fact::JvmLive, Reading::Unknown(format!("{why}; and {e}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write};

    use plimsoll_core::target::Target;

    use super::*;

    const MIB: f64 = 1_048_576.0;

    struct Fake {
        world: World,
        log: PathBuf,
        _keep: tempfile::TempDir,
    }

    fn fake() -> Fake {
        let keep = tempfile::tempdir().expect("a folder");
        let proc_root = keep.path().join("proc");
        fs::create_dir_all(proc_root.join("7/root/logs")).expect("a folder");
        let log = proc_root.join("7/root/logs/gc.log");
        Fake { world: World { proc_root, ..World::default() }, log, _keep: keep }
    }

    fn source(fake: &Fake, path: &str) -> Box<dyn Source> {
        let flags = vec![format!("gcLog={path}")];
        let target = Target { runtime: RuntimeKind::Jvm, flags, ..crate::identify::bare(7) };
        (KIND.open)(&fake.world, &target).expect("applies")
    }

    fn append(fake: &Fake, text: &str) {
        let mut file = fs::OpenOptions::new().create(true).append(true).open(&fake.log).expect("a log");
        file.write_all(text.as_bytes()).expect("written");
    }

    /// One tick in which the counters do (not) tell the floor.
    fn tick(source: &mut dyn Source, t: f64, counters: bool) -> Observation {
        let mut out = Observation::at(t);
        if !counters {
            out.put(Fact::JvmLive, Reading::unknown("no counters"));
        }
        source.sample(&mut out);
        out
    }

    fn line(after: u32) -> String {
        format!("[1.0s][info][gc] GC(1) Garbage Collection (Warmup) 208M(20%)->{after}M(16%)\n")
    }

    #[test]
    fn the_end_is_followed_and_half_lines_are_waited_for() {
        let fake = fake();
        append(&fake, &line(99));
        let mut s = source(&fake, "/logs/gc.log");
        assert!(!tick(&mut *s, 1.0, false).facts.contains_key(&Fact::JvmLive), "that was before");
        let (head, tail) = (line(40), line(50));
        append(&fake, &format!("{head}{}", &tail[..60]));
        assert_eq!(tick(&mut *s, 2.0, false).facts[&Fact::JvmLive], 40.0 * MIB);
        assert!(!tick(&mut *s, 3.0, false).facts.contains_key(&Fact::JvmLive));
        append(&fake, &tail[60..]);
        assert_eq!(tick(&mut *s, 4.0, false).facts[&Fact::JvmLive], 50.0 * MIB);
    }

    /// The log grows by pieces that end anywhere; the file is read at once. Both go through one parser.
    #[test]
    fn a_log_that_grows_tells_what_its_file_tells() {
        use plimsoll_read::formats::unpacked;
        for case in ["parallel-leak", "serial-leak", "g1-none"] {
            let path =
                std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus/gc-log").join(case);
            let packed = fs::read(path.join("input.gz")).expect("a case of the corpus");
            let mut text = String::new();
            unpacked(packed.as_slice()).expect("bytes").read_to_string(&mut text).expect("text");
            let file = gc_log::parse(text.as_bytes()).expect("a log");
            let (counts, last) =
                (file.lives[0].counts, file.lives[0].marks.last().expect("a collection").after);
            for size in [97, 1009, 50_021] {
                let fake = fake();
                append(&fake, "");
                let mut s = source(&fake, "/logs/gc.log");
                let mut newest = None;
                let mut seen = Observation::at(0.0);
                for (i, piece) in text.as_bytes().chunks(size).enumerate() {
                    append(&fake, std::str::from_utf8(piece).expect("ASCII"));
                    seen = tick(&mut *s, i as f64, false);
                    newest = seen.facts.get(&Fact::JvmLive).copied().or(newest);
                }
                let full = (counts.full + counts.degenerated) as f64;
                assert_eq!(seen.facts[&Fact::JvmFullGcs], full, "{case} by {size}");
                assert_eq!(seen.facts[&Fact::JvmYoungGcs], counts.all() as f64 - full, "{case} by {size}");
                assert_eq!(newest, Some(last), "{case} by {size}");
            }
        }
    }

    #[test]
    fn where_the_counters_tell_it_the_log_is_silent() {
        let fake = fake();
        append(&fake, "");
        let mut s = source(&fake, "/logs/gc.log");
        append(&fake, &line(40));
        assert!(tick(&mut *s, 1.0, true).facts.is_empty());
    }

    #[test]
    fn a_rotated_log_is_read_from_its_start() {
        let fake = fake();
        append(&fake, &line(10));
        let mut s = source(&fake, "/logs/gc.log");
        fs::rename(&fake.log, fake.log.with_extension("log.0")).expect("rotated");
        append(&fake, &line(30));
        assert_eq!(tick(&mut *s, 10.0, false).facts[&Fact::JvmLive], 30.0 * MIB);
    }

    #[test]
    fn links_stay_in_the_container_and_absence_is_told() {
        let fake = fake();
        append(&fake, &line(10));
        std::os::unix::fs::symlink("/logs/gc.log", fake.log.with_file_name("link")).expect("a link");
        let mut s = source(&fake, "/logs/link");
        append(&fake, &line(20));
        assert_eq!(tick(&mut *s, 1.0, false).facts[&Fact::JvmLive], 20.0 * MIB);
        let o = tick(&mut *source(&fake, "/logs/none"), 1.0, false);
        assert!(o.unknown[&Fact::JvmLive].contains("no counters; and /logs/none"), "{o:?}");
        let o = tick(&mut *source(&fake, "/logs/gc-%t.log"), 1.0, false);
        assert!(o.unknown[&Fact::JvmLive].contains("%t"), "{o:?}");
        let o = tick(&mut *source(&fake, "/logs"), 1.0, false);
        assert!(o.unknown[&Fact::JvmLive].contains("no plain file"), "{o:?}");
    }
}
