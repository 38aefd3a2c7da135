//! The process's own numbers from procfs: statm at every tick, the dearer files rarely.

use std::path::PathBuf;

use plimsoll_core::fact::{Fact, Reading};
use plimsoll_core::recording::Observation;
use plimsoll_core::target::Target;

use super::text::{Reread, field, why};
use super::{Pace, Source, SourceKind};
use crate::world::World;

/// The entry of the registry.
pub(super) const KIND: SourceKind = SourceKind {
    name: "procfs",
    facts: &[
        Fact::Rss,
        Fact::VmSize,
        Fact::RssAnon,
        Fact::RssFile,
        Fact::RssShmem,
        Fact::VmData,
        Fact::Swap,
        Fact::Threads,
        Fact::Fds,
        Fact::MajorFaults,
        Fact::Pss,
        Fact::PssAnon,
        Fact::RlimitData,
        Fact::RlimitAs,
    ],
    pace: Pace::EveryTick,
    open: |world, target| Some(Box::new(Procfs::new(world, target))),
};

/// Seconds between two counts of the descriptors: the kernel walks the table.
const FDS_EVERY: f64 = 4.0;
/// Seconds between two reads of `smaps_rollup`: the kernel walks the page tables under a lock.
const ROLLUP_EVERY: f64 = 10.0;

struct Procfs {
    folder: PathBuf,
    page: f64,
    statm: Result<Reread, String>,
    status: Option<Reread>,
    stat: Option<Reread>,
    next_fds: f64,
    next_rollup: f64,
}

impl Procfs {
    fn new(world: &World, target: &Target) -> Self {
        let folder = world.proc_root.join(target.pid.to_string());
        let statm = folder.join("statm");
        Procfs {
            statm: Reread::open(&statm).map_err(|e| why(&statm, &e)),
            status: Reread::open(&folder.join("status")).ok(),
            stat: Reread::open(&folder.join("stat")).ok(),
            folder,
            page: rustix::param::page_size() as f64,
            next_fds: 0.0,
            next_rollup: 0.0,
        }
    }

    fn statm(&mut self, out: &mut Observation) {
        let read = match &mut self.statm {
            Ok(file) => file.text().map_err(|e| e.to_string()),
            Err(why) => Err(why.clone()),
        };
        let mut words = match read {
            Ok(text) => text.split_ascii_whitespace().map(|w| w.parse::<f64>().ok()),
            Err(why) => return out.put(Fact::Rss, Reading::Unknown(why)),
        };
        if let (Some(Some(size)), Some(Some(resident))) = (words.next(), words.next()) {
            out.known(Fact::VmSize, size * self.page);
            out.known(Fact::Rss, resident * self.page);
        }
    }

    fn status(&mut self, out: &mut Observation) {
        let Some(text) = self.status.as_mut().and_then(|f| f.text().ok()) else { return };
        for (key, fact) in [
            ("RssAnon", Fact::RssAnon),
            ("RssFile", Fact::RssFile),
            ("RssShmem", Fact::RssShmem),
            ("VmData", Fact::VmData),
            ("VmSwap", Fact::Swap),
            ("Threads", Fact::Threads),
        ] {
            if let Some(v) = field(text, key) {
                out.known(fact, v);
            }
        }
    }

    fn stat(&mut self, out: &mut Observation) {
        let Some(text) = self.stat.as_mut().and_then(|f| f.text().ok()) else { return };
        // Fields count from the closing bracket of the name, which may hold anything.
        let after = text.rfind(')').and_then(|i| text.get(i + 1..)).unwrap_or_default();
        if let Some(faults) = after.split_ascii_whitespace().nth(9).and_then(|w| w.parse().ok()) {
            out.known(Fact::MajorFaults, faults);
        }
    }

    fn fds(&self, out: &mut Observation) {
        let path = self.folder.join("fd");
        match std::fs::read_dir(&path) {
            Ok(entries) => out.known(Fact::Fds, entries.count() as f64),
            Err(e) => out.put(Fact::Fds, Reading::Unknown(why(&path, &e))),
        }
    }

    fn rollup(&self, out: &mut Observation) {
        let path = self.folder.join("smaps_rollup");
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                for (key, fact) in [("Pss", Fact::Pss), ("Pss_Anon", Fact::PssAnon)] {
                    if let Some(v) = field(&text, key) {
                        out.known(fact, v);
                    }
                }
            }
            Err(e) => out.put(Fact::Pss, Reading::Unknown(why(&path, &e))),
        }
    }

    fn limits(&self, out: &mut Observation) {
        let Ok(text) = std::fs::read_to_string(self.folder.join("limits")) else { return };
        for (name, fact) in [("Max data size", Fact::RlimitData), ("Max address space", Fact::RlimitAs)] {
            let soft = text.lines().find_map(|l| l.strip_prefix(name)?.split_ascii_whitespace().next());
            if let Some(bytes) = soft.and_then(|w| w.parse().ok()) {
                out.known(fact, bytes);
            }
        }
    }
}

impl Source for Procfs {
    fn sample(&mut self, out: &mut Observation) {
        self.statm(out);
        self.status(out);
        self.stat(out);
        if out.t >= self.next_fds {
            self.next_fds = out.t + FDS_EVERY;
            self.fds(out);
        }
        if out.t >= self.next_rollup {
            self.next_rollup = out.t + ROLLUP_EVERY;
            self.rollup(out);
            self.limits(out);
        }
    }
}
