//! Buying time: what the machine offers, a brake put on as one transaction, and taken off again.
//!
//! The change is in the log before it is made, so an agent that comes up again knows what it owes; and guards take it
//! back when there is no agent any more, or when the time is over. A limit is never set below what is in use: that
//! would kill what it was raised to save.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use plimsoll_core::agent::brake::{Act, Below, Bound, Door, Held, Scene, Stand, Version};
use rustix::fs::FlockOperation;
use rustix::io::Errno;

use crate::capture::core::freeze::{self, Frozen};
use crate::guard::Guards;
use crate::source::cgroup::Group;
use crate::source::host_memory;
use crate::world::World;

/// After its time, before a guard takes a brake off: the agent comes first.
const GRACE: Duration = Duration::from_secs(5);
/// Takes back the writes in `$@`, five words each: file, what it was, what it shows while it is ours, and where it
/// must wait for it the file of the usage and the most that may be in use. It ends when all are taken back, are
/// somebody else's, or are gone.
const UNDO: &str = r#"
undo() {
    [ -e "$1" ] && read -r now <"$1" || return 0
    [ "$now" = "$3" ] || return 0
    if [ -n "$4" ]; then read -r used <"$4" || return 0; [ "$used" -le "$5" ] || return 1; fi
    echo "$2" >"$1" || [ ! -e "$1" ]
}
all() {
    open=0
    while [ "$#" -ge 5 ]; do undo "$1" "$2" "$3" "$4" "$5" || open=1; shift 5; done
    [ "$open" = 0 ]
}
until all "$@"; do sleep 1; done
"#;

fn first_line(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok()?.lines().next().map(|l| l.trim().to_owned())
}

fn number(path: &Path) -> Option<f64> {
    first_line(path)?.parse().ok()
}

/// A brake that this agent has put on.
#[derive(Debug)]
struct On {
    held: Held,
    guards: Option<Guards>,
    frozen: Option<Frozen>,
    /// The files that it has changed, each locked against other agents until it is off.
    _locks: Vec<File>,
}

/// Every brake that this agent has put on.
#[derive(Debug, Default)]
pub(super) struct Brakes(Mutex<Vec<On>>);

impl Brakes {
    /// What the machine offers for a process; why there is nothing to choose from.
    pub(super) fn scene(&self, world: &World, pid: i32) -> Result<Scene, String> {
        let own = Group::of(world, pid)?;
        let groups = own.bounds(host_memory::total(world));
        let binding = groups.first().ok_or("no group of it has a limit")?;
        let two = binding.is_version_2();
        let us = Group::of(world, std::process::id().cast_signed());
        let at = |name: &str| self.door(&binding.folder().join(name));
        let none = |what: &str| Err(format!("version {} has no {what}", if two { 2 } else { 1 }));
        Ok(Scene {
            version: if two { Version::Two } else { Version::One },
            bounds: groups.iter().filter_map(|group| self.bound(group)).collect(),
            available: host_memory::available(world),
            killer: if two { none("switch of the OOM killer") } else { at("memory.oom_control") },
            high: if two { at("memory.high") } else { none("memory.high") },
            quota: self.quota(world, pid, binding),
            stand: if two {
                at("cgroup.freeze").map(|(file, now)| Stand::Group(file, now))
            } else {
                let shown = |p: &Path| p.display().to_string();
                freeze::groups(world, pid).map(|(own, group)| Stand::Process(pid, shown(&own), shown(&group)))
            },
            holds_us: us.is_ok_and(|us| us.folder().starts_with(binding.folder())),
            page: rustix::param::page_size() as u64,
        })
    }

    fn bound(&self, group: &Group) -> Option<Bound> {
        let (usage, _) = group.usage_file();
        let with_swap = group.folder().join("memory.memsw.limit_in_bytes");
        Some(Bound {
            group: group.shown(),
            limit: group.limit()?,
            usage: number(&usage)?,
            usage_file: usage.display().to_string(),
            door: self.door(&group.limit_file()),
            with_swap: number(&with_swap).map(|limit| (self.door(&with_swap), limit)),
        })
    }

    /// The quota of processor time: of the same group, as only that holds the same processes.
    fn quota(&self, world: &World, pid: i32, binding: &Group) -> Result<(String, String, f64), String> {
        if binding.is_version_2() {
            let (file, now) = self.door(&binding.folder().join("cpu.max"))?;
            let period = now.split(' ').nth(1).and_then(|w| w.parse().ok()).ok_or("cpu.max has no period")?;
            return Ok((file, now, period));
        }
        let folder = Group::of_processor_time(world, pid, &binding.shown())?;
        let (file, now) = self.door(&folder.join("cpu.cfs_quota_us"))?;
        let period = number(&folder.join("cpu.cfs_period_us")).ok_or("its period cannot be read")?;
        Ok((file, now, period))
    }

    /// A file of the kernel's that we may write, with its first line. One that a brake has changed is left alone until
    /// that is off: of two on one file, the first could never be taken back.
    fn door(&self, path: &Path) -> Door {
        let shown = path.display().to_string();
        if self.has_changed(&shown) {
            return Err(format!("a brake is on {shown} already"));
        }
        // Opened, not written: whether it may be written is not told by its mode.
        drop(lock(path)?);
        let line = first_line(path).ok_or_else(|| format!("{shown} cannot be read"))?;
        Ok((shown, line))
    }

    fn has_changed(&self, path: &str) -> bool {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let acts = all.iter().flat_map(|on| &on.held.acts);
        acts.into_iter().any(|act| matches!(act, Act::Write { file, .. } if file == path))
    }

    /// Puts a brake on, whole or not at all.
    pub(super) fn put_on(&self, world: &World, held: &Held, now: f64) -> Result<(), String> {
        let longest = Duration::try_from_secs_f64(held.until - now).unwrap_or_default();
        let written = held.acts.iter().filter_map(|act| match act {
            Act::Write { file, .. } => Some(Path::new(file)),
            Act::Freeze { .. } => None,
        });
        let locks = written.map(lock).collect::<Result<_, _>>()?;
        let guards = guards(held, longest + GRACE).map_err(|e| format!("no guard can be started: {e}"))?;
        let mut on = On { held: held.clone(), guards, frozen: None, _locks: locks };
        for act in &held.acts {
            crate::fault::point("brake-half");
            let done = match act {
                Act::Write { file, to, .. } => {
                    write(Path::new(file), to).map_err(|e| format!("{file} does not take {to}: {e}"))
                }
                Act::Freeze { pid, .. } => {
                    Frozen::freeze(world, *pid, longest).map(|frozen| on.frozen = Some(frozen))
                }
            };
            if let Err(why) = done {
                return match on.take_off() {
                    Ok(()) => Err(why),
                    // Nothing else could be done about it: the guard tries again.
                    Err(also) => Err(format!("{why}; and what was done cannot be taken back yet: {also}")),
                };
            }
        }
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(on);
        Ok(())
    }

    /// Whether it was taken off, or is no longer ours; why not, while usage is above the old limit.
    pub(super) fn take_off(&self, held: &Held) -> Result<(), String> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(at) = all.iter().position(|on| on.held == *held) else { return take_back(held) };
        all.get_mut(at).map_or(Ok(()), On::take_off)?;
        all.remove(at);
        Ok(())
    }
}

/// A file of the kernel's, kept from the brakes of other agents on this machine for as long as it is open: of two on one file,
/// the first could never be taken back. The kernel lets go of it when the agent ends.
fn lock(path: &Path) -> Result<File, String> {
    let shown = path.display();
    let file = OpenOptions::new().write(true).open(path);
    let file = file.map_err(|e| format!("{shown} cannot be written: {e}"))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => Err(format!("another agent's brake is on {shown}")),
        // Where nothing can be locked, there is nobody to be told apart from.
        _ => Ok(file),
    }
}

impl On {
    fn take_off(&mut self) -> Result<(), String> {
        if let Some(frozen) = self.frozen.take() {
            frozen.thaw()?;
        }
        take_back(&self.held)?;
        if let Some(guards) = &mut self.guards {
            guards.dismiss();
        }
        Ok(())
    }
}

/// Takes everything back, the last act first; each that can be, whatever becomes of the others.
fn take_back(held: &Held) -> Result<(), String> {
    let each = held.acts.iter().rev().map(|act| match act {
        Act::Write { file, from, shown, below, .. } => restore(Path::new(file), from, shown, below.as_ref()),
        Act::Freeze { own, group, .. } => {
            freeze::take_back(Path::new(group), Path::new(own)).map_err(|e| format!("{group}: {e}"))
        }
    });
    let failed: Vec<String> = each.filter_map(Result::err).collect();
    if failed.is_empty() { Ok(()) } else { Err(failed.join("; ")) }
}

fn restore(file: &Path, from: &str, shown: &str, below: Option<&Below>) -> Result<(), String> {
    // Somebody else has set it since, or the group is gone: it is no longer ours.
    if first_line(file).is_none_or(|now| now != shown) {
        return Ok(());
    }
    if let Some(below) = below {
        let usage = number(Path::new(&below.usage)).ok_or("its usage cannot be read")?;
        if usage > below.bytes as f64 {
            return Err(format!("{usage:.0} bytes are in use, {from} is the old limit"));
        }
    }
    match write(file, from) {
        Err(_) if !file.exists() => Ok(()),
        other => other.map_err(|e| format!("{}: {e}", file.display())),
    }
}

/// Writes into a file that is there: a group that has vanished is not made again as a file.
fn write(file: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new().write(true).truncate(true).open(file)?.write_all(text.as_bytes())
}

/// The guards of what is written; what is frozen has its own.
fn guards(held: &Held, longest: Duration) -> io::Result<Option<Guards>> {
    let mut words: Vec<String> = Vec::new();
    for act in held.acts.iter().rev() {
        if let Act::Write { file, from, shown, below, .. } = act {
            let (usage, most) = below
                .as_ref()
                .map_or((String::new(), String::new()), |b| (b.usage.clone(), b.bytes.to_string()));
            words.extend([file.clone(), from.clone(), shown.clone(), usage, most]);
        }
    }
    let args: Vec<&OsStr> = words.iter().map(OsStr::new).collect();
    (!args.is_empty()).then(|| Guards::start(UNDO, &args, longest)).transpose()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Instant;

    use plimsoll_core::agent::Wish;
    use plimsoll_core::agent::brake::{Means, choose};
    use plimsoll_core::target::RuntimeKind;
    use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};

    use super::*;

    struct Folder(tempfile::TempDir);

    impl Folder {
        /// A group of files: a limit of 1000 raised to 1250, and what is in use.
        fn make(usage: u32) -> (Folder, Held) {
            let folder = Folder(tempfile::tempdir().expect("a folder"));
            folder.write("memory.max", "1000");
            folder.write("memory.current", &usage.to_string());
            let file = |name: &str| folder.at(name).display().to_string();
            let act = Act::Write {
                file: file("memory.max"),
                from: "1000".to_owned(),
                to: "1250".to_owned(),
                shown: "1250".to_owned(),
                below: Some(Below { usage: file("memory.current"), bytes: 950 }),
            };
            let held = Held {
                means: Means::Raise,
                group: "/g".to_owned(),
                acts: vec![act],
                until: 60.0,
                gained: 250.0,
            };
            (folder, held)
        }

        fn at(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn write(&self, name: &str, text: &str) {
            fs::write(self.at(name), format!("{text}\n")).expect("written");
        }

        /// Makes a pipe of the file of the usage: whoever looks at it waits for an answer.
        fn ask(&self) {
            fs::remove_file(self.at("memory.current")).expect("removed");
            let mode = Mode::RUSR | Mode::WUSR;
            mknodat(CWD, self.at("memory.current"), FileType::Fifo, mode, 0).expect("a pipe");
        }

        /// Waits for the next look at the usage; the one after it finds another pipe.
        fn look(&self) -> File {
            let mut file = None;
            until(|| {
                let opened = rustix::fs::open(
                    self.at("memory.current"),
                    OFlags::WRONLY | OFlags::NONBLOCK,
                    Mode::empty(),
                );
                file = opened.ok();
                file.is_some()
            });
            self.ask();
            file.expect("opened").into()
        }

        fn limit(&self) -> Option<String> {
            first_line(&self.at("memory.max"))
        }
    }

    fn until(mut is_it: impl FnMut() -> bool) {
        let end = Instant::now() + Duration::from_secs(20);
        while !is_it() {
            assert!(Instant::now() < end, "it never came");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_limit_is_set_back_only_when_usage_is_below_it_and_it_is_still_ours() {
        let (folder, held) = Folder::make(1100);
        let brakes = Brakes::default();
        brakes.put_on(&World::default(), &held, 0.0).expect("on");
        assert_eq!(folder.limit().as_deref(), Some("1250"));
        assert!(brakes.take_off(&held).expect_err("in use").contains("1100 bytes are in use"));
        folder.write("memory.current", "500");
        brakes.take_off(&held).expect("off");
        assert_eq!(folder.limit().as_deref(), Some("1000"));
        folder.write("memory.max", "9999");
        brakes.take_off(&held).expect("no longer ours");
        assert_eq!(folder.limit().as_deref(), Some("9999"));
        fs::remove_file(folder.at("memory.max")).expect("vanished");
        brakes.take_off(&held).expect("nothing is left to be done");
        assert!(!folder.at("memory.max").exists(), "a group that is gone is not made again");
    }

    #[test]
    fn what_fails_half_way_is_taken_back() {
        let (folder, mut held) = Folder::make(500);
        let strict = folder.at("strict");
        let file = strict.display().to_string();
        let now = first_line(Path::new("/proc/self/oom_score_adj")).expect("readable");
        let to = || "no number".to_owned();
        held.acts.push(Act::Write { file, from: now, to: to(), shown: to(), below: None });
        let put_on = || Brakes::default().put_on(&World::default(), &held, 0.0);
        let why = put_on().expect_err("there is no such file");
        assert!(why.contains("strict cannot be written"), "{why}");
        assert_eq!(folder.limit().as_deref(), Some("1000"));
        // One of the kernel's, which takes numbers only.
        std::os::unix::fs::symlink("/proc/self/oom_score_adj", strict).expect("a link");
        let why = put_on().expect_err("it takes no words");
        assert!(why.contains("strict does not take no number"), "{why}");
        assert_eq!(folder.limit().as_deref(), Some("1000"));
    }

    #[test]
    fn a_guard_waits_for_usage_and_takes_it_back_without_an_agent() {
        let (folder, held) = Folder::make(1100);
        folder.ask();
        let mut guards =
            guards(&held, Duration::from_secs(600)).expect("started").expect("something to guard");
        folder.write("memory.max", "1250");
        // As if this process were gone.
        let waiting = std::thread::spawn(move || guards.call());
        folder.look().write_all(b"1100\n").expect("answered");
        let mut second = folder.look();
        assert_eq!(folder.limit().as_deref(), Some("1250"), "it was in use at the first look");
        second.write_all(b"500\n").expect("answered");
        drop(second);
        until(|| folder.limit().as_deref() == Some("1000"));
        waiting.join().expect("the guard ends");
    }

    #[test]
    fn a_guard_takes_it_back_when_the_time_is_over() {
        let (folder, held) = Folder::make(500);
        let mut guards = guards(&held, Duration::ZERO).expect("started").expect("something to guard");
        until(|| {
            folder.write("memory.max", "1250");
            std::thread::sleep(Duration::from_millis(50));
            folder.limit().as_deref() == Some("1000")
        });
        guards.dismiss();
    }

    /// A group of version 1 within another, with limits; removed again.
    struct Groups(PathBuf);

    impl Groups {
        fn make() -> Option<Groups> {
            let outer =
                Path::new("/sys/fs/cgroup/memory").join(format!("plimsoll-brakes-{}", std::process::id()));
            fs::create_dir_all(outer.join("inner")).ok()?;
            let groups = Groups(outer);
            groups.set("", 64 << 20);
            groups.set("inner", 64 << 20);
            Some(groups)
        }

        fn set(&self, group: &str, limit: u64) {
            fs::write(self.0.join(group).join("memory.limit_in_bytes"), limit.to_string()).expect("written");
        }

        fn limit(&self, group: &str) -> Option<f64> {
            number(&self.0.join(group).join("memory.limit_in_bytes"))
        }
    }

    impl Drop for Groups {
        fn drop(&mut self) {
            until(|| fs::remove_dir(self.0.join("inner")).is_ok() && fs::remove_dir(&self.0).is_ok());
        }
    }

    #[test]
    fn real_groups_are_raised_together_and_set_back_together() {
        let Some(groups) = Groups::make() else {
            let _unreported = writeln!(io::stderr(), "SKIPPED: no control groups of version 1 can be made");
            return;
        };
        let mut sleeper = std::process::Command::new("sleep").arg("60").spawn().expect("it starts");
        fs::write(groups.0.join("inner/cgroup.procs"), sleeper.id().to_string()).expect("moved");
        let (world, rule) = (World::default(), plimsoll_core::agent::Brake::default());
        let (brakes, pid) = (Brakes::default(), sleeper.id().cast_signed());
        let scene = brakes.scene(&world, pid).expect("a scene");
        let choice = choose(&rule, &scene, RuntimeKind::Native, &["smaps"], 0.0);
        let held = choice.held.as_ref().unwrap_or_else(|| panic!("{choice:?}"));
        brakes.put_on(&world, held, 0.0).expect("on");
        assert_eq!(groups.limit("inner"), Some(f64::from(80 << 20)));
        assert!(groups.limit("").is_some_and(|limit| limit >= f64::from(80 << 20)), "{:?}", groups.limit(""));
        // Not raised upon what is raised: the first could not be taken back then.
        let again = brakes.scene(&world, pid).expect("a scene");
        let only = plimsoll_core::agent::Brake { means: Wish::Only(Means::Raise), ..rule };
        let again = choose(&only, &again, RuntimeKind::Native, &["smaps"], 0.0);
        assert!(again.held.is_none() && again.reasons().contains("a brake is on"), "{again:?}");
        brakes.take_off(held).expect("off");
        assert_eq!(
            (groups.limit(""), groups.limit("inner")),
            (Some(f64::from(64 << 20)), Some(f64::from(64 << 20)))
        );
        sleeper.kill().expect("it lived");
        sleeper.wait().expect("reaped");
    }
}
