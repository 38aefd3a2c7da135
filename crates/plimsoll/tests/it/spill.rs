//! `plimsoll read --memory`: what does not fit into memory lies on a disk, the answer is the same, and nothing is left.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

use super::read::story::Story;
use super::{plimsoll_command, skipped};

/// Entries of the map: four objects each.
const ENTRIES: u32 = 500_000;
/// A ceiling below what that needs (about 86 MiB) and above what cannot lie on a disk (about 59 MiB).
const CEILING: u64 = 64 << 20;
/// What may become resident between two looks of the watcher on a busy machine.
const SLACK: u64 = 8 << 20;

/// A folder on a disk: a temporary folder may be memory.
fn folder() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("spill-").tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder")
}

/// The dump of all tests here, made once.
fn dump() -> &'static Path {
    static DUMP: OnceLock<PathBuf> = OnceLock::new();
    DUMP.get_or_init(|| made("spill.hprof", ENTRIES))
}

/// A dump of a map with so many entries.
fn made(name: &str, entries: u32) -> PathBuf {
    let mut story = Story::new();
    let pairs: Vec<(u64, u64)> = (0..entries)
        .map(|i| (story.text(&format!("/users/{i}?trace={i:08x}")), story.bytes(&[1; 16])))
        .collect();
    let map = story.map_of(story.map, &pairs, &[]);
    story.app_class("shop/Metrics", &[("BY_URL", map)], &[]);
    story.main();
    // Written beside and moved: another run may be reading the one of the last.
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (path, fresh) = (folder.join(name), tempfile::NamedTempFile::new_in(folder).expect("a file"));
    fs::write(fresh.path(), story.end()).expect("a dump");
    fresh.persist(&path).expect("moved");
    path
}

/// What a run left behind.
struct Run {
    said: Value,
    code: Option<i32>,
    told: String,
    /// The highest resident memory, bytes.
    peak: u64,
}

/// Runs to the end, and keeps an eye on what is resident.
fn run(command: &mut Command) -> Run {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let (mut out, mut err) = (child.stdout.take().expect("a pipe"), child.stderr.take().expect("a pipe"));
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let said = std::thread::spawn(move || {
        let mut text = String::new();
        out.read_to_string(&mut text).map(|_| text)
    });
    let mut peak = 0;
    let ended = loop {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let highest = text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        peak = highest.map_or(peak, |kib| kib.trim().parse::<u64>().expect("a number") * 1024);
        if let Some(ended) = child.try_wait().expect("ours") {
            break ended;
        }
        std::thread::yield_now();
    };
    let mut told = String::new();
    err.read_to_string(&mut told).expect("text");
    let said = said.join().expect("it ends").expect("text");
    let said = serde_json::from_str(&said).unwrap_or_else(|e| panic!("{e}: {said}{told}"));
    Run { said, code: ended.code(), told, peak }
}

fn read(more: &[&str]) -> Command {
    let mut command = plimsoll_command(&["read", dump().to_str().expect("text"), "-o", "json"]);
    command.args(more);
    command
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).expect("a folder").next().is_none()
}

/// The document without what says that it was spilled.
fn without_note(mut said: Value) -> Value {
    said.as_object_mut().expect("an object").remove("spilled").expect("always there");
    said
}

#[test]
fn a_ceiling_is_kept_by_a_disk_and_the_answer_is_the_same() {
    let folder = folder();
    let views = ["--histogram", "--dominators", "--verify"];
    let free = run(read(&views).args(["--memory", "8GiB"]));
    assert_eq!((free.code, &free.said["spilled"]), (Some(1), &Value::Null), "{}", free.told);
    assert_eq!(free.said["suspects"][0]["owner"], "shop.Metrics.BY_URL");
    let ceiling = CEILING.to_string();
    let tmp = folder.path().to_str().expect("text");
    let kept = run(read(&views).args(["--memory", &ceiling, "--tmp", tmp]));
    assert_eq!(kept.code, Some(1), "{}", kept.told);
    assert!(kept.told.contains("memory does not suffice") && kept.told.contains(tmp), "{}", kept.told);
    let spilled = &kept.said["spilled"];
    assert!(spilled["bytes"].as_u64() > Some(8 << 20) && spilled["folder"] == tmp, "{spilled}");
    assert!(free.peak > CEILING + SLACK, "{} would be no test of a ceiling of {CEILING}", free.peak);
    assert!(kept.peak <= CEILING + SLACK, "{} resident with a ceiling of {CEILING}", kept.peak);
    assert_eq!(without_note(kept.said), without_note(free.said));
    assert!(is_empty(folder.path()));
}

/// Each of several dumps by itself: the graph of one is gone before that of the next is there.
#[test]
fn a_comparison_keeps_the_ceiling_and_says_the_same() {
    let folder = folder();
    let (later, tmp) = (made("later.hprof", ENTRIES / 5 * 9), folder.path().to_str().expect("text"));
    let ceiling = CEILING + SLACK;
    let diff = |more: &[&str]| {
        let mut command = plimsoll_command(&["read", "diff", "-o", "json"]);
        command.arg(dump()).arg(&later).args(more);
        run(&mut command)
    };
    let free = diff(&["--memory", "8GiB"]);
    assert_eq!((free.code, free.told.as_str()), (Some(1), ""));
    assert_eq!(free.said["grown"][0]["owner"], "shop.Metrics.BY_URL");
    let kept = diff(&["--memory", &ceiling.to_string(), "--tmp", tmp]);
    assert!(kept.told.contains("memory does not suffice"), "{}", kept.told);
    assert!(free.peak > ceiling + SLACK, "{} would be no test of a ceiling of {ceiling}", free.peak);
    assert!(kept.peak <= ceiling + SLACK, "{} resident with a ceiling of {ceiling}", kept.peak);
    assert_eq!((kept.code, kept.said), (free.code, free.said));
    assert!(is_empty(folder.path()));
}

#[test]
fn the_screen_says_that_it_was_spilled() {
    let folder = folder();
    let mut command = plimsoll_command(&["read", dump().to_str().expect("text"), "--memory"]);
    let out = command.arg(CEILING.to_string()).env("TMPDIR", folder.path()).output().expect("it runs");
    let screen = super::stdout(&out);
    assert!(screen.contains("memory did not suffice: ") && screen.contains("BY_URL retains"), "{screen}");
    assert!(screen.contains(folder.path().to_str().expect("text")), "{screen}");
}

#[test]
fn a_kill_leaves_nothing_behind() {
    let folder = folder();
    let mut command =
        read(&["--tmp", folder.path().to_str().expect("text"), "--memory", &CEILING.to_string()]);
    let mut child: Child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
    let told = lines.next().expect("a line before it ends").expect("text");
    assert!(told.contains("memory does not suffice"), "{told}");
    child.kill().expect("ours");
    let ended = child.wait().expect("ours");
    assert_eq!(ended.code(), None, "it was killed while it spilled");
    assert!(is_empty(folder.path()));
}

/// What is said where the disk cannot help.
fn assert_not_spilled(run: &Run, words: &[&str]) {
    assert_eq!((run.code, &run.said["suspects"]), (Some(5), &Value::Null), "{}", run.said);
    let why = run.said["notSpilled"].as_str().expect("a reason");
    assert!(words.iter().all(|word| why.contains(word)), "{why}");
    let largest = &run.said["largestCollections"][0];
    assert_eq!((&largest["owner"], &largest["entries"]), (&"shop.Metrics.BY_URL".into(), &ENTRIES.into()));
}

#[test]
fn memory_is_no_disk() {
    // Every Linux has it: shm_open(3) needs it.
    let out = run(read(&["--tmp", "/dev/shm", "--memory"]).arg(CEILING.to_string()));
    assert_not_spilled(&out, &["/dev/shm is memory (tmpfs)", "--tmp"]);
    let out = run(read(&["--tmp", "/no/such/folder", "--memory"]).arg(CEILING.to_string()));
    assert_not_spilled(&out, &["/no/such/folder"]);
}

#[test]
fn a_disk_without_room_is_told_before_it_is_used() {
    let folder = folder();
    let program = env!("CARGO_BIN_EXE_plimsoll");
    // A file may not grow beyond a megabyte; who tries is ended by a signal.
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -f 2048; exec \"$0\" \"$@\"", program, "read"]).arg(dump());
    command.args(["-o", "json", "--memory"]).arg(CEILING.to_string()).arg("--tmp").arg(folder.path());
    let out = run(&mut command);
    assert_not_spilled(&out, &["raise the limit (ulimit -f)", "--tmp"]);
    assert!(is_empty(folder.path()));
}

/// A group with a limit, of which the kernel kills whoever goes beyond.
struct Cage(PathBuf);

impl Cage {
    fn new(limit: u64) -> std::io::Result<Cage> {
        let path = PathBuf::from(format!("/sys/fs/cgroup/memory/plimsoll-spill-{}", std::process::id()));
        fs::create_dir(&path)?;
        let cage = Cage(path);
        fs::write(cage.0.join("memory.limit_in_bytes"), limit.to_string())?;
        Ok(cage)
    }
}

impl Drop for Cage {
    fn drop(&mut self) {
        let _left = fs::remove_dir(&self.0);
    }
}

#[test]
fn the_kernel_does_not_kill_it_in_a_group_with_little_memory() {
    // Four fifths of it are the ceiling.
    let limit = CEILING / 4 * 5;
    let cage = match Cage::new(limit) {
        Ok(cage) => cage,
        Err(e) => {
            let test = "the_kernel_does_not_kill_it_in_a_group_with_little_memory";
            return skipped(test, &format!("no group of version 1 can be made: {e}"));
        }
    };
    let folder = folder();
    let mut command = Command::new("sh");
    command.args(["-c", "echo $$ > \"$1/cgroup.procs\"; shift; exec \"$0\" \"$@\""]);
    command.arg(env!("CARGO_BIN_EXE_plimsoll")).arg(&cage.0);
    command.arg("read").arg(dump()).args(["-o", "json", "--tmp"]).arg(folder.path());
    let out = run(&mut command);
    assert_eq!(out.code, Some(1), "{}", out.told);
    assert_eq!(out.said["suspects"][0]["owner"], "shop.Metrics.BY_URL");
    assert!(out.said["spilled"]["bytes"].as_u64() > Some(8 << 20), "{}", out.said["spilled"]);
    assert!(out.peak <= CEILING + SLACK, "{} resident", out.peak);
    let events = fs::read_to_string(cage.0.join("memory.oom_control")).expect("readable");
    assert!(!events.lines().any(|line| line.starts_with("oom_kill ") && line != "oom_kill 0"), "{events}");
}
