//! Profiles taken all the time of watched programs that offer them, kept in the store and pushed where the rules say: one
//! at a time, on a thread of its own, and rarely or not at all while memory is short.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use plimsoll_core::agent::profiles::Pace;
use plimsoll_core::agent::{Level, Profiles as Rules};
use plimsoll_core::fact::Fact;
use plimsoll_core::runtime::go_profile_bytes;
use plimsoll_core::target::{RuntimeKind, Target};

use super::Row;
use super::climb::plain;
use crate::capture;
use crate::export::pyroscope::{self, Push};
use crate::identify;
use crate::source::room::{FOR_AN_ANSWER, Room};
use crate::world::World;

/// Goroutines up to which their profile is cheap.
const FEW: f64 = 20_000.0;
/// Share of the last ten seconds, in percent, in which something waited for memory: from here on it is short.
const SHORT: f64 = 1.0;

/// Takes profiles.
pub(super) struct Profiles {
    folder: PathBuf,
    paces: BTreeMap<String, Pace>,
    working: Option<JoinHandle<Result<(), String>>>,
    /// What was told: trouble that goes on is told once.
    told: BTreeSet<String>,
}

impl Profiles {
    pub(super) fn of(store: &Path) -> Profiles {
        let (paces, told) = (BTreeMap::new(), BTreeSet::new());
        Profiles { folder: store.join("profiles"), paces, working: None, told }
    }

    /// Begins the next profile that is due; gives what went wrong with the last one.
    pub(super) fn look(&mut self, rows: &[Row], world: &World, rules: &Rules, now: f64) -> Option<String> {
        let ended = self.working.take_if(|thread| thread.is_finished());
        let trouble = ended.and_then(|thread| match thread.join() {
            Ok(outcome) => outcome.err(),
            Err(_) => Some("a profile broke off".to_owned()),
        });
        self.paces.retain(|workload, _| rows.iter().any(|r| r.workload == *workload));
        if self.working.is_none() {
            let short = is_short(world);
            let offers = rows.iter().filter(|r| r.runtime == RuntimeKind::Go);
            let mut due = |r: &&Row| {
                let pace = self.paces.entry(r.workload.clone()).or_default();
                pace.due(now, rules, short || r.level > Level::Calm)
            };
            let next = offers.into_iter().find(|r| due(r));
            self.working = next.and_then(|row| begin(row, world, rules, &self.folder, now));
        }
        trouble.filter(|why| self.told.insert(why.clone()))
    }

    /// Removes what is old, and the oldest while all are too large.
    pub(super) fn prune(&self, rules: &Rules, now: f64) {
        let mut all: Vec<(f64, u64, PathBuf)> = fs::read_dir(&self.folder)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|e| {
                let taken = e.file_name().to_str()?.split('-').next()?.parse().ok()?;
                Some((taken, e.metadata().ok()?.len(), e.path()))
            })
            .collect();
        all.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut total: f64 = all.iter().map(|(_, bytes, _)| *bytes as f64).sum();
        for (taken, bytes, path) in all {
            if now - taken <= rules.keep_for && total <= rules.keep_bytes {
                return;
            }
            // What cannot be removed is tried again the next time.
            let _tried = fs::remove_file(path);
            total -= bytes as f64;
        }
    }
}

/// Whether something waits for memory on this machine, as far as it tells.
fn is_short(world: &World) -> bool {
    let text = fs::read_to_string(world.proc_root.join("pressure/memory")).unwrap_or_default();
    let some = text.lines().find_map(|l| l.strip_prefix("some avg10="));
    some.and_then(|l| l.split(' ').next()?.parse::<f64>().ok()).is_some_and(|share| share >= SHORT)
}

fn begin(
    row: &Row,
    world: &World,
    rules: &Rules,
    folder: &Path,
    now: f64,
) -> Option<JoinHandle<Result<(), String>>> {
    let goroutines = row.inner.get(&Fact::Goroutines).is_none_or(|n| *n <= FEW);
    let target = Target { runtime: row.runtime, ..identify::bare(row.pid) };
    // A profile is made in its memory, and a program can stand still right below its limit.
    let mut room = Room::of(world, &target);
    if room.refuses(now, FOR_AN_ANSWER).is_some() {
        return None;
    }
    let of_each = FEW.min(row.inner.get(&Fact::Goroutines).copied().unwrap_or(FEW)) * go_profile_bytes(None);
    let goroutines = goroutines && room.refuses(now, FOR_AN_ANSWER + of_each).is_none();
    let (world, rules, folder) = (world.clone(), rules.clone(), folder.to_owned());
    let (pid, workload) = (row.pid, row.workload.clone());
    let work = move || {
        let target = identify::identify(&world, pid).map_err(|e| e.to_string())?;
        let taken = capture::cheap_profiles(&world, &target, goroutines)
            .map_err(|e| format!("no profile of {}: {e}", target.name))?;
        let mut failed = None;
        for (kind, bytes) in taken {
            let name = format!("{now:.0}-{}-{pid}-{kind}.pb.gz", plain(&target.name));
            keep(&folder, &name, &bytes).map_err(|e| format!("a profile is not kept: {e}"))?;
            if let Some(server) = &rules.push_to {
                let (name, from) = (format!("{}.{kind}", target.name), now - rules.every);
                let push =
                    Push { server, name: &name, workload: &workload, from, until: now, profile: &bytes };
                failed = pyroscope::push(&push).err().or(failed);
            }
        }
        failed.map_or(Ok(()), Err)
    };
    // Where no thread can be had, the next one is tried.
    std::thread::Builder::new().name("profile".to_owned()).spawn(work).ok()
}

/// A file is there only when it is whole.
fn keep(folder: &Path, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let draft = folder.join(format!("{name}.partial"));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    fs::rename(draft, folder.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_profiles_go_and_the_oldest_first() {
        let root = tempfile::tempdir().expect("a folder");
        let profiles = Profiles::of(root.path());
        for t in [100, 200, 300] {
            keep(&profiles.folder, &format!("{t}-api-7-heap.pb.gz"), &[0; 1000]).expect("kept");
        }
        let left = || fs::read_dir(&profiles.folder).expect("a folder").count();
        let rules = Rules { keep_bytes: 2500.0, keep_for: 1e6, ..Rules::default() };
        profiles.prune(&rules, 400.0);
        assert_eq!(left(), 2);
        assert!(!profiles.folder.join("100-api-7-heap.pb.gz").exists());
        profiles.prune(&Rules { keep_for: 150.0, ..rules }, 400.0);
        assert_eq!(left(), 1);
    }
}
