//! Real control groups with a limit: what the sampler says of them, and of a kill by the kernel.
#![expect(clippy::print_stderr, reason = "a skipped test says so")]

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use plimsoll_core::fact::Fact;
use plimsoll_core::recording::Observation;
use plimsoll_host::sampler::Sampler;
use plimsoll_host::world::World;

const MIB: f64 = 1048576.0;
const LIMIT: u64 = 48 << 20;
/// Longest wait for anything that must happen.
const DEADLINE: Duration = Duration::from_secs(60);

/// A group with a limit and one inside it without; removed when dropped.
struct Groups {
    outer: PathBuf,
    inner: PathBuf,
    name: String,
}

impl Groups {
    /// None where no group can be made (told on stderr).
    fn make(test: &str) -> Option<Groups> {
        let v2 = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
        let root = Path::new(if v2 { "/sys/fs/cgroup" } else { "/sys/fs/cgroup/memory" });
        let name = format!("plimsoll-test-{test}-{}", std::process::id());
        let outer = root.join(&name);
        let groups = Groups { inner: outer.join("inner"), outer, name: format!("/{name}") };
        let made = fs::create_dir(&groups.outer)
            .and_then(|()| {
                let file = if v2 { "memory.max" } else { "memory.limit_in_bytes" };
                fs::write(groups.outer.join(file), LIMIT.to_string())
            })
            .and_then(|()| {
                if v2 {
                    fs::write(groups.outer.join("memory.swap.max"), "0").ok();
                    fs::write(groups.outer.join("cgroup.subtree_control"), "+memory")?;
                }
                fs::create_dir(&groups.inner)
            });
        match made {
            Ok(()) => Some(groups),
            Err(e) => {
                let must = std::env::var_os("CI").is_some() && rustix::process::geteuid().is_root();
                assert!(!must || !root.join("memory.stat").exists(), "no group can be made in {root:?}: {e}");
                eprintln!("SKIPPED: no memory control group can be made here: {e}");
                None
            }
        }
    }

    /// A shell in the inner group that waits for a line and then runs `command`.
    fn spawn(&self, command: &str) -> Process {
        let procs = self.inner.join("cgroup.procs");
        let script = format!("echo $$ > '{}' && echo ready && read line && {command}", procs.display());
        let mut child = Command::new("sh")
            .args(["-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("sh runs");
        let mut ready = [0u8; 6];
        let out = child.stdout.as_mut().expect("piped");
        std::io::Read::read_exact(out, &mut ready).expect("the shell has moved");
        Process(child)
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        // The kernel lets go of the last process a moment after it was reaped.
        let end = Instant::now() + Duration::from_secs(5);
        for group in [&self.inner, &self.outer] {
            while group.exists() && fs::remove_dir(group).is_err() && Instant::now() < end {
                std::thread::yield_now();
            }
        }
    }
}

struct Process(Child);

impl Process {
    fn pid(&self) -> i32 {
        self.0.id().cast_signed()
    }

    fn go(&mut self) {
        self.0.stdin.as_mut().expect("piped").write_all(b"go\n").expect("told");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

fn open(p: &Process) -> Sampler {
    Sampler::open(&World::default(), p.pid(), Duration::from_millis(20)).expect("alive")
}

/// Samples until `done`, and gives everything seen.
fn watch(sampler: &mut Sampler, done: impl Fn(&Observation) -> bool) -> Vec<Observation> {
    let (never, end) = (AtomicBool::new(false), Instant::now() + DEADLINE);
    let mut seen = Vec::new();
    while Instant::now() < end {
        let o = sampler.next(&never).expect("goes on");
        let last = done(&o);
        seen.push(o);
        if last {
            return seen;
        }
    }
    panic!("did not come in {DEADLINE:?}; last: {:?}", seen.last());
}

fn log_is_readable() -> bool {
    plimsoll_host::source::kernel_log::kills(&World::default()).is_ok()
}

/// `tail` keeps all of a file without line ends.
const GROW: &str = "exec tail /dev/zero";

#[test]
fn the_limit_above_binds_and_the_kernels_kill_is_proved() {
    let Some(groups) = Groups::make("kill") else { return };
    let mut victim = groups.spawn(GROW);
    let mut sampler = open(&victim);
    assert_eq!(sampler.target().limit_cgroup.as_deref(), Some(groups.name.as_str()));
    assert_eq!(sampler.target().cgroup, Some(format!("{}/inner", groups.name)));
    let first = watch(&mut sampler, |o| o.facts.contains_key(&Fact::CgroupLimit)).remove(0);
    assert_eq!(first.facts[&Fact::CgroupLimit], LIMIT as f64);
    assert_eq!(first.facts[&Fact::CgroupProcesses], 1.0);
    assert!(first.facts[&Fact::CgroupUnreclaimable] < 8.0 * MIB, "{first:?}");
    victim.go();
    let seen = watch(&mut sampler, |o| o.ended.is_some());
    let end = seen.last().and_then(|o| o.ended.clone()).expect("an end");
    if log_is_readable() {
        let told = [format!("(pid {})", victim.pid()), groups.name.clone(), "48.0 MiB".to_owned()];
        assert!(told.iter().all(|t| end.contains(t)), "{end}");
    } else {
        eprintln!("SKIPPED: the kernel log may not be read here; only the group's counter is checked");
        assert!(end.contains("probably killed by the kernel"), "{end}");
    }
}

#[test]
fn a_neighbours_death_is_noted_and_not_taken_for_ones_own() {
    let Some(groups) = Groups::make("neighbour") else { return };
    let (mut victim, mut watched) = (groups.spawn(GROW), groups.spawn("exit 0"));
    let mut sampler = open(&watched);
    watch(&mut sampler, |o| o.facts.contains_key(&Fact::CgroupLimit));
    victim.go();
    let seen = watch(&mut sampler, |o| o.facts.get(&Fact::CgroupOomKills).is_some_and(|k| *k >= 1.0));
    let mut notes: Vec<String> = seen.into_iter().filter_map(|o| o.note).collect();
    let more = watch(&mut sampler, |o| o.facts.contains_key(&Fact::CgroupLimit));
    notes.extend(more.into_iter().filter_map(|o| o.note));
    if log_is_readable() {
        assert!(notes.iter().any(|n| n.contains(&format!("(pid {})", victim.pid()))), "{notes:?}");
    }
    watched.go();
    let end = watch(&mut sampler, |o| o.ended.is_some()).pop().and_then(|o| o.ended);
    assert_eq!(end.as_deref(), Some("the process ended"));
}

#[test]
fn page_cache_is_usage_and_not_unreclaimable() {
    let Some(groups) = Groups::make("cache") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("data");
    let write = format!("head -c {} /dev/zero > '{}' && echo done && read line", 24 << 20, file.display());
    let mut writer = groups.spawn(&write);
    let mut sampler = open(&writer);
    writer.go();
    let cached = |o: &Observation| o.facts.get(&Fact::CgroupFile).is_some_and(|f| *f > 20.0 * MIB);
    if on_memory(folder.path()) {
        eprintln!("SKIPPED: the temporary folder lives in memory, so nothing is cached");
        return;
    }
    let o = watch(&mut sampler, cached).pop().expect("seen");
    assert!(o.facts[&Fact::CgroupUsage] > 20.0 * MIB, "{o:?}");
    assert!(o.facts[&Fact::CgroupUnreclaimable] < 12.0 * MIB, "{o:?}");
    assert!(o.facts[&Fact::CgroupAnon] < 4.0 * MIB, "{o:?}");
}

/// True for a folder on tmpfs.
fn on_memory(folder: &Path) -> bool {
    let said = Command::new("stat").args(["-f", "-c", "%T"]).arg(folder).output().expect("stat runs");
    String::from_utf8_lossy(&said.stdout).trim() == "tmpfs"
}
