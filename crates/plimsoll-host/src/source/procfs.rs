//! The process's own numbers from procfs: statm at every tick, the dearer files rarely.

use std::path::PathBuf;
use std::time::Instant;

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
/// After a dear `smaps_rollup` the rest is this many times as long as the read: a process of many GiB must not
/// be held up by being watched.
const ROLLUP_REST: f64 = 100.0;

/// Lines of `status`.
const STATUS: [(&str, Fact); 6] = [
    ("RssAnon", Fact::RssAnon),
    ("RssFile", Fact::RssFile),
    ("RssShmem", Fact::RssShmem),
    ("VmData", Fact::VmData),
    ("VmSwap", Fact::Swap),
    ("Threads", Fact::Threads),
];

struct Procfs {
    folder: PathBuf,
    page: f64,
    statm: Result<Reread, String>,
    status: Result<Reread, String>,
    stat: Option<Reread>,
    next_fds: f64,
    next_rollup: f64,
}

impl Procfs {
    fn new(world: &World, target: &Target) -> Self {
        let folder = world.proc_root.join(target.pid.to_string());
        let open = |name: &str| {
            let path = folder.join(name);
            Reread::open(&path).map_err(|e| why(&path, &e))
        };
        Procfs {
            statm: open("statm"),
            status: open("status"),
            stat: Reread::open(&folder.join("stat")).ok(),
            folder,
            page: rustix::param::page_size() as f64,
            next_fds: 0.0,
            next_rollup: 0.0,
        }
    }

    fn statm(&mut self, out: &mut Observation) {
        let text = match text(&mut self.statm) {
            Ok(text) => text,
            Err(why) => return unknown(out, &[Fact::Rss, Fact::VmSize], &why),
        };
        let mut words = text.split_ascii_whitespace().map(|w| w.parse::<f64>().ok());
        match (words.next().flatten(), words.next().flatten()) {
            // No process runs without memory: it has given it back and is about to be gone.
            (Some(0.0), _) => unknown(out, &[Fact::Rss, Fact::VmSize], "the process is ending"),
            (Some(size), Some(resident)) => {
                out.known(Fact::VmSize, size * self.page);
                out.known(Fact::Rss, resident * self.page);
            }
            _ => unknown(out, &[Fact::Rss, Fact::VmSize], "statm is not what the kernel writes"),
        }
    }

    fn status(&mut self, out: &mut Observation) {
        let text = match text(&mut self.status) {
            Ok(text) => text,
            Err(why) => return unknown(out, &STATUS.map(|(_, fact)| fact), &why),
        };
        for (key, fact) in STATUS {
            match field(text, key) {
                Some(v) => out.known(fact, v),
                // Formatted at the first tick only: most old kernels lack a line for good.
                None if self.next_rollup == 0.0 => out.put(fact, no_line(key)),
                None => {}
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
                    out.put(fact, field(&text, key).map_or_else(|| no_line(key), Reading::Known));
                }
            }
            Err(e) => unknown(out, &[Fact::Pss, Fact::PssAnon], &why(&path, &e)),
        }
    }

    fn limits(&self, out: &mut Observation) {
        let path = self.folder.join("limits");
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) => return unknown(out, &[Fact::RlimitData, Fact::RlimitAs], &why(&path, &e)),
        };
        for (name, fact) in [("Max data size", Fact::RlimitData), ("Max address space", Fact::RlimitAs)] {
            let soft = text.lines().find_map(|l| l.strip_prefix(name)?.split_ascii_whitespace().next());
            match soft.map(str::parse) {
                Some(Ok(bytes)) => out.known(fact, bytes),
                // `unlimited`.
                _ => out.put(fact, Reading::unknown("no resource limit is set")),
            }
        }
    }
}

/// The file's text, or why there is none.
fn text(file: &mut Result<Reread, String>) -> Result<&str, String> {
    match file {
        Ok(file) => file.text().map_err(|e| match e.raw_os_error() {
            // ESRCH: the file outlives its process.
            Some(3) => "the process is gone".to_owned(),
            _ => format!("failed to read procfs: {e}"),
        }),
        Err(why) => Err(why.clone()),
    }
}

fn unknown(out: &mut Observation, facts: &[Fact], why: &str) {
    facts.iter().for_each(|fact| out.put(*fact, Reading::unknown(why)));
}

fn no_line(key: &str) -> Reading {
    Reading::unknown(format!("the kernel does not export {key}"))
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
            let began = Instant::now();
            self.rollup(out);
            let rest = began.elapsed().as_secs_f64() * ROLLUP_REST;
            self.next_rollup = out.t + rest.max(ROLLUP_EVERY);
            self.limits(out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: f64 = 1048576.0;

    fn world(files: &[(&str, &str)]) -> (tempfile::TempDir, World) {
        let root = tempfile::tempdir().expect("a folder");
        let folder = root.path().join("proc/7");
        std::fs::create_dir_all(folder.join("fd")).expect("a folder");
        for (name, text) in files {
            std::fs::write(folder.join(name), text).expect("a file");
        }
        let world = World { proc_root: root.path().join("proc"), ..World::default() };
        (root, world)
    }

    fn sample(world: &World) -> Observation {
        let mut out = Observation::at(1.0);
        Procfs::new(world, &crate::identify::bare(7)).sample(&mut out);
        out
    }

    #[test]
    fn all_files_of_a_process() {
        let (_keep, w) = world(&[
            ("statm", "2560 256 64 1 0 900 0\n"),
            (
                "status",
                "Name:\ta) b\nVmData:\t 2048 kB\nRssAnon:\t 1024 kB\nRssFile:\t 8 kB\nRssShmem:\t 0 kB\nVmSwap:\t 0 kB\nThreads:\t3\n",
            ),
            ("stat", "7 (a) b) S 1 1 1 0 -1 4194560 10 11 12 13 0 0 0 0 20 0 1 0 12345 1000 1\n"),
            ("smaps_rollup", "55-7f ---p 0 00:00 0 [rollup]\nRss: 1 kB\nPss:  512 kB\nPss_Anon: 256 kB\n"),
            (
                "limits",
                "Limit  Soft  Hard  Units\nMax data size             1048576              unlimited            bytes\nMax address space         unlimited            unlimited            bytes\n",
            ),
        ]);
        let o = sample(&w);
        let page = rustix::param::page_size() as f64;
        assert_eq!((o.facts[&Fact::Rss], o.facts[&Fact::VmSize]), (256.0 * page, 2560.0 * page));
        assert_eq!((o.facts[&Fact::RssAnon], o.facts[&Fact::VmData]), (MIB, 2.0 * MIB));
        assert_eq!((o.facts[&Fact::Threads], o.facts[&Fact::MajorFaults]), (3.0, 12.0));
        assert_eq!((o.facts[&Fact::Pss], o.facts[&Fact::PssAnon]), (0.5 * MIB, 0.25 * MIB));
        assert_eq!((o.facts[&Fact::RlimitData], o.facts[&Fact::Fds]), (MIB, 0.0));
        assert!(o.unknown[&Fact::RlimitAs].contains("no resource limit"));
    }

    #[test]
    fn an_ending_process_has_no_memory_of_zero() {
        let (_keep, w) = world(&[("statm", "0 0 0 0 0 0 0\n"), ("status", "Threads:\t1\n")]);
        let o = sample(&w);
        assert!(!o.facts.contains_key(&Fact::Rss));
        assert!(o.unknown[&Fact::Rss].contains("ending"));
        assert!(o.unknown[&Fact::RssAnon].contains("does not export RssAnon"));
    }

    #[test]
    fn what_is_missing_or_spoilt_is_unknown_and_why() {
        let (_keep, w) = world(&[("statm", "x y\n"), ("stat", "cut"), ("smaps_rollup", "Pss: 1 kB\n")]);
        let o = sample(&w);
        assert!(o.unknown[&Fact::Rss].contains("not what the kernel writes"));
        assert!(o.unknown[&Fact::Threads].contains("status does not exist"));
        assert!(o.unknown[&Fact::PssAnon].contains("Pss_Anon"), "a kernel before 5.2");
        assert!(o.unknown[&Fact::RlimitData].contains("limits does not exist"));
        assert!(!o.facts.contains_key(&Fact::MajorFaults));
    }

    #[test]
    fn the_dear_files_are_left_alone_between_two_looks() {
        let (_keep, w) =
            world(&[("statm", "2 1 0 0 0 0 0"), ("smaps_rollup", "Pss: 1 kB\nPss_Anon: 1 kB\n")]);
        let mut source = Procfs::new(&w, &crate::identify::bare(7));
        let mut had = |t| {
            let mut out = Observation::at(t);
            source.sample(&mut out);
            (out.facts.contains_key(&Fact::Pss), out.facts.contains_key(&Fact::Fds))
        };
        assert_eq!(
            [had(1.0), had(2.0), had(6.0), had(60.0)],
            [(true, true), (false, false), (false, true), (true, true)]
        );
    }
}
