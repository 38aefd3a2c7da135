//! The kernel's log, live: kills that concern the process become notes; who was killed is told for sure.
//!
//! Without the right to read the log the count of kills in the control group is all there is.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;

use plimsoll_core::recording::Observation;
use plimsoll_core::target::Target;
use plimsoll_core::units;
use plimsoll_read::kernel_log::{KernelLog, OomKill, Reader, Scope};

use super::text::why;
use super::{Pace, Source, SourceKind};
use crate::world::{self, World};

/// The entry of the registry. It tells in notes, not in numbers.
pub(super) const KIND: SourceKind = SourceKind {
    name: "kernel log",
    facts: &[],
    pace: Pace::EveryTick,
    open: |world, target| Some(Box::new(Notes::open(world, target))),
};

/// A record of `/dev/kmsg` is never longer.
const RECORD: usize = 8192;
/// Bytes read of one log at most: the kernel's ring is smaller.
const LARGEST: usize = 16 << 20;
/// Kills named in one note.
const NAMED: usize = 3;

/// Everything that the log still holds of kills.
pub fn kills(world: &World) -> Result<KernelLog, String> {
    let mut tail = Tail::open(world, SeekFrom::Start(0))?;
    let mut bytes = Vec::new();
    tail.drain(|piece| bytes.extend_from_slice(piece));
    Ok(plimsoll_read::kernel_log::read(&bytes))
}

/// A log that is read on from where it was left.
struct Tail {
    file: File,
    buffer: Vec<u8>,
}

impl Tail {
    fn open(world: &World, from: SeekFrom) -> Result<Tail, String> {
        let path = &world.kernel_log;
        let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let mut file =
            OpenOptions::new().read(true).custom_flags(nonblocking).open(path).map_err(|e| why(path, &e))?;
        file.seek(from).map_err(|e| why(path, &e))?;
        Ok(Tail { file, buffer: vec![0; RECORD] })
    }

    /// Hands on what has come since the last time, at most [`LARGEST`] bytes.
    fn drain(&mut self, mut take: impl FnMut(&[u8])) {
        let mut left = LARGEST;
        while left > 0 {
            match self.file.read(&mut self.buffer) {
                Ok(0) => return,
                Ok(n) => {
                    take(self.buffer.get(..n).unwrap_or_default());
                    left = left.saturating_sub(n);
                }
                // Records were overwritten before we came: the next read goes on with the oldest one left.
                Err(e) if e.kind() == io::ErrorKind::BrokenPipe => left = left.saturating_sub(RECORD),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }
}

/// The kill of this very process in the log: same pid, not before its start. The log counts pids of the
/// kernel's first namespace; from within another one no pid can be matched.
pub(crate) fn kill_of(world: &World, pid: i32, started: f64) -> Option<OomKill> {
    if !first_pid_namespace(world) {
        return None;
    }
    // A process starts on the clock that counts sleep, the log's clock does not.
    let earliest = started - slept() - 1.0;
    let log = kills(world).ok()?;
    log.kills.into_iter().rev().find(|k| k.pid == pid && k.at.is_none_or(|at| at >= earliest))
}

/// Inode of the first pid namespace, fixed in the kernel's source (`PROC_PID_INIT_INO`).
const FIRST_PID_NAMESPACE: &str = "pid:[4026531836]";

fn first_pid_namespace(world: &World) -> bool {
    std::fs::read_link(world.proc_root.join("self/ns/pid"))
        .is_ok_and(|l| l.as_os_str() == FIRST_PID_NAMESPACE)
}

/// Seconds that the machine has slept since boot.
fn slept() -> f64 {
    world::since_boot() - world::reading(rustix::time::ClockId::Monotonic)
}

/// A kill in one sentence.
pub(crate) fn sentence(k: &OomKill) -> String {
    let held = k.anon.map_or_else(String::new, |a| {
        let shared = k.shmem.filter(|s| *s > 0);
        let shared = shared.map_or_else(String::new, |s| format!(" + {} shared", units::bytes(s as f64)));
        format!(", which held {} anonymous{shared}", units::bytes(a as f64))
    });
    let at_limit =
        k.limit.map_or_else(String::new, |l| format!(" at its limit of {}", units::bytes(l as f64)));
    let cause = match (k.scope, &k.limit_group) {
        (Some(Scope::Group), Some(group)) => format!("control group {group} was{at_limit} and out of memory"),
        (Some(Scope::Group), None) => "its control group ran out of memory".to_owned(),
        (Some(Scope::Machine), _) => "the machine ran out of memory".to_owned(),
        (Some(Scope::Nodes), _) => "the memory nodes allowed to it were full".to_owned(),
        (None, _) => "out of memory".to_owned(),
    };
    format!("the kernel killed {} (pid {}){held}: {cause}", k.name, k.pid)
}

/// Kills that happen from now on.
pub(crate) struct Kills {
    tail: Result<Tail, String>,
    reader: Reader,
    carry: Vec<u8>,
}

impl Kills {
    pub(crate) fn open(world: &World) -> Kills {
        Kills { tail: Tail::open(world, SeekFrom::End(0)), reader: Reader::default(), carry: Vec::new() }
    }

    /// Kills since the last look.
    pub(crate) fn next(&mut self) -> Vec<OomKill> {
        let Ok(tail) = &mut self.tail else { return Vec::new() };
        let carry = &mut self.carry;
        tail.drain(|piece| carry.extend_from_slice(piece));
        let whole = self.carry.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
        let lines: Vec<u8> = self.carry.drain(..whole).collect();
        if self.carry.len() > RECORD {
            self.carry.clear();
        }
        let reader = &mut self.reader;
        lines.split(|b| *b == b'\n').filter_map(|line| reader.line(line)).collect()
    }
}

/// Tells kills that happen while we watch.
struct Notes {
    kills: Kills,
    pid: i32,
    group: Option<String>,
    told_why: bool,
}

impl Notes {
    fn open(world: &World, target: &Target) -> Notes {
        Notes {
            kills: Kills::open(world),
            pid: target.pid,
            group: target.limit_cgroup.clone().filter(|g| g != "/"),
            told_why: false,
        }
    }

    /// Kills since the last look that touch the process: itself, its group, or the whole machine.
    fn news(&mut self) -> Vec<OomKill> {
        let mut kills = self.kills.next();
        kills.retain(|k| concerns(k, self.pid, self.group.as_deref()));
        kills
    }
}

fn concerns(k: &OomKill, pid: i32, group: Option<&str>) -> bool {
    let within = |inner: &Option<String>| {
        let (Some(inner), Some(group)) = (inner, group) else { return false };
        inner.strip_prefix(group).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    k.pid == pid || k.scope == Some(Scope::Machine) || within(&k.limit_group) || within(&k.victim_group)
}

impl Source for Notes {
    fn sample(&mut self, out: &mut Observation) {
        if let Err(why) = &self.kills.tail {
            if !self.told_why {
                self.told_why = true;
                super::note(out, format!("the kernel's log stays unread: {why}"));
            }
            return;
        }
        let kills = self.news();
        for k in kills.iter().take(NAMED) {
            super::note(out, sentence(k));
        }
        if let Some(more) = kills.len().checked_sub(NAMED + 1) {
            super::note(out, format!("the kernel killed {} more", more + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn world(log: &str) -> (tempfile::TempDir, World) {
        let root = tempfile::tempdir().expect("a folder");
        let world = World::under(root.path());
        std::fs::write(&world.kernel_log, log).expect("a file");
        std::fs::create_dir_all(world.proc_root.join("self/ns")).expect("a folder");
        (root, world)
    }

    fn kill(pid: i32, at: u64, group: &str) -> String {
        format!(
            "6,1,{at}000000,-;memory: usage 65536kB, limit 65536kB, failcnt 1\n\
             6,2,{at}000000,-;oom-kill:constraint=CONSTRAINT_MEMCG,oom_memcg={group},task_memcg={group},task=app,pid={pid},uid=0\n\
             3,3,{at}000000,-;Memory cgroup out of memory: Killed process {pid} (app) total-vm:9kB, anon-rss:65000kB, file-rss:1kB, shmem-rss:1024kB\n"
        )
    }

    #[test]
    fn kills_of_the_group_become_notes_and_others_do_not() {
        let (_keep, world) = world(&kill(5, 1, "/app"));
        let target = Target { limit_cgroup: Some("/app".to_owned()), ..crate::identify::bare(7) };
        let mut source = Notes::open(&world, &target);
        let mut out = Observation::at(1.0);
        source.sample(&mut out);
        assert_eq!(out.note, None, "what was there before is history");
        let mut file = OpenOptions::new().append(true).open(&world.kernel_log).expect("opens");
        let text = kill(8, 2, "/application") + &kill(9, 3, "/app/worker");
        let (first, second) = text.split_at(text.len() - 20);
        file.write_all(first.as_bytes()).expect("written");
        source.sample(&mut out);
        assert_eq!(out.note, None, "the line is not whole yet");
        file.write_all(second.as_bytes()).expect("written");
        source.sample(&mut out);
        let note = out.note.expect("a note");
        assert!(
            note.contains("pid 9") && note.contains("/app/worker") && note.contains("64.0 MiB"),
            "{note}"
        );
        assert!(!note.contains("pid 8"), "{note}");
    }

    #[test]
    fn an_unreadable_log_is_told_once() {
        let (_keep, mut world) = world("");
        world.kernel_log = world.kernel_log.with_file_name("nowhere");
        let mut source = Notes::open(&world, &crate::identify::bare(7));
        let mut out = Observation::at(1.0);
        source.sample(&mut out);
        assert!(out.note.take().is_some_and(|n| n.contains("does not exist")));
        source.sample(&mut out);
        assert_eq!(out.note, None);
    }

    #[test]
    fn a_kill_before_the_process_began_or_in_another_namespace_is_not_its_own() {
        let (_keep, world) = world(&kill(7, 100, "/app"));
        assert_eq!(kill_of(&world, 7, 50.0), None, "the namespace is not known");
        std::os::unix::fs::symlink(FIRST_PID_NAMESPACE, world.proc_root.join("self/ns/pid")).expect("a link");
        assert_eq!(kill_of(&world, 7, 50.0).map(|k| k.pid), Some(7));
        assert_eq!(kill_of(&world, 7, 5000.0), None, "an earlier process of that pid");
        assert_eq!(kill_of(&world, 8, 50.0), None);
    }
}
