//! The kernel log from now on: OOM kills of the process or in its control group become notes.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;

use plimsoll_core::recording::Observation;
use plimsoll_core::target::Target;
use plimsoll_read::kernel_log::{self, OomKill};

use super::text::why;
use super::{Pace, Source, SourceKind};
use crate::world::World;

/// The entry of the registry.
pub(super) const KIND: SourceKind = SourceKind {
    name: "kernel log",
    facts: &[],
    pace: Pace::EveryTick,
    open: |world, target| Some(Box::new(KernelLog::new(world, target))),
};

/// Records read per tick at most: a flood must not hold up the sampling.
const MOST: usize = 500;
/// The kernel gives one record per read, never longer than this.
const RECORD: usize = 8192;

struct KernelLog {
    file: Result<File, String>,
    pid: i32,
    group: Option<String>,
    told: bool,
}

impl KernelLog {
    fn new(world: &World, target: &Target) -> Self {
        let open = || {
            let mut options = OpenOptions::new();
            let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
            let mut file = options.read(true).custom_flags(flags).open(&world.kernel_log)?;
            // What lies in the past is another command's business.
            file.seek(SeekFrom::End(0))?;
            Ok(file)
        };
        KernelLog {
            file: open().map_err(|e| why(&world.kernel_log, &e)),
            pid: target.pid,
            group: target.limit_cgroup.clone().filter(|g| g != "/"),
            told: false,
        }
    }

    fn concerns(&self, kill: &OomKill) -> bool {
        let group = self.group.as_deref();
        kill.pid == self.pid
            || (group.is_some()
                && [&kill.limit_group, &kill.task_group].iter().any(|g| g.as_deref() == group))
    }
}

impl Source for KernelLog {
    fn sample(&mut self, out: &mut Observation) {
        let file = match &mut self.file {
            Ok(file) => file,
            Err(why) => {
                if !self.told {
                    self.told = true;
                    out.note = Some(format!("OOM kills are not seen: {why}"));
                }
                return;
            }
        };
        let mut record = [0u8; RECORD];
        let mut kills = Vec::new();
        for _ in 0..MOST {
            match file.read(&mut record) {
                Ok(0) => break,
                Ok(n) => {
                    kills.extend(record.get(..n).and_then(|r| kernel_log::line(&String::from_utf8_lossy(r))));
                }
                // Records were overwritten before they were read: go on with what is there.
                Err(e) if e.kind() == ErrorKind::BrokenPipe => {}
                Err(_) => break,
            }
        }
        let ours: Vec<String> = kills.iter().filter(|k| self.concerns(k)).map(OomKill::in_words).collect();
        if !ours.is_empty() {
            out.note = Some(ours.join("; "));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kill_in_the_group_is_noted_and_others_are_not() {
        use std::io::Write as _;
        let mut log = tempfile::NamedTempFile::new().expect("a file");
        let world = World { kernel_log: log.path().to_owned(), ..World::default() };
        let mut target = crate::identify::bare(7);
        target.limit_cgroup = Some("/a".to_owned());
        let mut source = KernelLog::new(&world, &target);
        let record = |group: &str, pid: i32| {
            format!(
                "6,1,1,-;oom-kill:constraint=CONSTRAINT_MEMCG,oom_memcg={group},task_memcg={group},task=x,pid={pid},uid=0\n"
            )
        };
        log.write_all(record("/b", 9).as_bytes()).expect("written");
        let mut out = Observation::at(1.0);
        source.sample(&mut out);
        assert_eq!(out.note, None);
        log.write_all(record("/a", 8).as_bytes()).expect("written");
        source.sample(&mut out);
        assert!(out.note.is_some_and(|n| n.contains("control group /a")));
    }

    #[test]
    fn a_log_that_may_not_be_read_is_said_once() {
        let world = World { kernel_log: "/no/such/log".into(), ..World::default() };
        let mut source = KernelLog::new(&world, &crate::identify::bare(7));
        let mut out = Observation::at(1.0);
        source.sample(&mut out);
        assert!(out.note.take().is_some_and(|n| n.contains("does not exist")));
        source.sample(&mut out);
        assert_eq!(out.note, None);
    }
}
