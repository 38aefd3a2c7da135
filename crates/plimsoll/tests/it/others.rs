//! Runtimes that give less: what is taken of Python programs, and what is refused of .NET's, each in clear words.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

use crate::{on_path, plimsoll_command, skipped, stderr, stdout, tools};

/// Two threads, one of them in a function with a name, and a secret on the command line.
const PYTHON: &str = "import threading, time
def brood(): time.sleep(1000)
threading.Thread(target=brood, name='brooder', daemon=True).start()
print('ready', flush=True)
time.sleep(1000)
# password=hunter2
";

struct Program(Child);

impl Program {
    fn start(command: &mut Command) -> Program {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it runs");
        let mut ready = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut ready).expect("a line");
        assert_eq!(ready.trim(), "ready");
        Program(child)
    }

    fn pid(&self) -> String {
        self.0.id().to_string()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder")
}

fn run(state: &Path, args: &[&str]) -> Output {
    plimsoll_command(args).env("PLIMSOLL_STATE", state).output().expect("it runs")
}

fn captured(folder: &Path, pid: &str, id: &str) -> Output {
    let to = folder.display().to_string();
    run(folder, &["capture", pid, "--artifact", id, "--for", "1s", "--to", &to, "--go"])
}

fn taken(folder: &Path, name: &str) -> Option<PathBuf> {
    let made = fs::read_dir(folder).expect("listed").flatten();
    made.map(|e| e.path().join(name)).find(|p| p.exists())
}

#[test]
fn stacks_of_a_python_program_are_read_from_outside_without_its_command_line() {
    let test = "others::stacks_of_a_python_program";
    if !on_path("python3") || !(on_path("py-spy") || tools().join("bin/py-spy").exists()) {
        return skipped(test, "there is no Python, or no py-spy");
    }
    let folder = folder();
    let mut program = Program::start(Command::new("python3").args(["-c", PYTHON]));
    let out = captured(folder.path(), &program.pid(), "stacks");
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    let text = fs::read_to_string(taken(folder.path(), "stacks.txt").expect("stored")).expect("text");
    assert!(text.contains("brooder") && text.contains("brood (") && text.contains("Python v3."), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
    assert!(program.0.try_wait().expect("asked").is_none(), "it lives");
    let file = taken(folder.path(), "stacks.txt").expect("stored").display().to_string();
    let read = run(folder.path(), &["read", &file]);
    assert!(
        stdout(&read).contains("2 threads") && stdout(&read).contains("py-spy"),
        "{}{}",
        stdout(&read),
        stderr(&read)
    );
}

#[test]
fn a_census_of_an_older_python_is_refused_with_the_version_that_could() {
    let test = "others::a_census_of_an_older_python";
    if !on_path("python3") {
        return skipped(test, "there is no Python");
    }
    let version = Command::new("python3").args(["-c", "import sys; print(sys.version_info[1])"]).output();
    let minor = version.map_or(0, |v| stdout(&v).trim().parse::<u32>().expect("a number"));
    if minor >= 14 {
        return skipped(test, "its Python is younger");
    }
    let folder = folder();
    let program = Program::start(Command::new("python3").args(["-c", PYTHON]));
    let out = captured(folder.path(), &program.pid(), "census");
    assert_eq!(out.status.code(), Some(4), "{}", stderr(&out));
    let wanted = format!("CPython 3.{minor} runs no script for others: 3.14 is the first");
    assert!(stderr(&out).contains(&wanted), "{}", stderr(&out));
    let shown = run(folder.path(), &["capture", &program.pid(), "--artifact", "census", "--for", "1s"]);
    assert!(stdout(&shown).replace(['\n', ' '], "").contains(&wanted.replace(' ', "")), "{}", stdout(&shown));
    assert!(taken(folder.path(), "manifest.json").is_none());
}

/// Keeps sessions, in a thread beside the main one, which waits.
const KEEPER: &str = "import threading, time
class Session:
    def __init__(self, n): self.user, self.data = 'user-%d' % n, bytes(200)
SESSIONS = {n: Session(n) for n in range(20000)}
def keep():
    while True:
        for _ in range(500): SESSIONS[len(SESSIONS)] = Session(len(SESSIONS))
        time.sleep(0.02)
threading.Thread(target=keep, daemon=True).start()
print('ready', flush=True)
time.sleep(1000)
";

/// CPython 3.14 in the root that it needs, where the folder is its /tmp; none where that cannot be.
fn young_python(test: &str, folder: &Path, options: &str) -> Option<Program> {
    let root = tools().join("unstable/root");
    if !root.join("usr/bin/python3.14").exists() || !crate::capture::is_root() {
        skipped(test, "there is no CPython 3.14 (scripts/setup gets it), or not root to run it in its root");
        return None;
    }
    fs::write(folder.join("keeper.py"), KEEPER).expect("written");
    let script = format!(
        "mount --bind /proc \"$0/proc\" && mount --bind \"$1\" \"$0/tmp\" && exec chroot \"$0\" /usr/bin/python3.14 {options} /tmp/keeper.py"
    );
    let mut command = Command::new("unshare");
    Some(Program::start(command.args(["--mount", "sh", "-c", &script]).arg(root).arg(folder)))
}

#[test]
fn a_census_of_a_python_program_tells_the_type_that_grows() {
    let test = "others::a_census_of_a_python_program";
    let (folder, tmp) = (folder(), folder());
    let Some(mut program) = young_python(test, tmp.path(), "") else { return };
    let pid = program.pid();
    for turn in 0..2 {
        let to = folder.path().join(turn.to_string());
        fs::create_dir(&to).expect("made");
        let to = to.display().to_string();
        let out = run(
            folder.path(),
            &[
                "capture",
                &pid,
                "--artifact",
                "census",
                "--for",
                "1s",
                "--window",
                "1s",
                "--to",
                &to,
                "--go",
                "-o",
                "json",
            ],
        );
        assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
        let said: Value = serde_json::from_str(&stdout(&out)).expect("JSON");
        assert_eq!(crate::capture::pieces(&said), ["census-1.txt", "census-2.txt"]);
        let read = crate::capture::read(said["folder"].as_str().expect("a folder"));
        assert!(read.to_string().contains("__main__.Session grew by"), "{read:#}");
    }
    crate::capture::nothing_is_left(&pid);
    assert!(program.0.try_wait().expect("asked").is_none(), "it lives");
}

#[test]
fn a_python_program_that_takes_no_scripts_is_refused_with_the_reason() {
    let test = "others::a_python_program_that_takes_no_scripts";
    let (folder, tmp) = (folder(), folder());
    let Some(mut program) = young_python(test, tmp.path(), "-X disable-remote-debug") else { return };
    let out = captured(folder.path(), &program.pid(), "census");
    assert_eq!(out.status.code(), Some(3), "{}", stderr(&out));
    assert!(stderr(&out).contains("remote debugging off"), "{}", stderr(&out));
    crate::capture::nothing_is_left(&program.pid());
    assert!(program.0.try_wait().expect("asked").is_none(), "it lives");
}

/// Stands in for a .NET program: it has what such a one shows, and nothing else of it.
const STAND_IN: &str = "import mmap, sys
if len(sys.argv) > 1:
    f = open(sys.argv[1], 'r+b')
    m = mmap.mmap(f.fileno(), 4096)
print('ready', flush=True)
sys.stdin.read()
";

#[test]
fn a_dotnet_program_is_recognised_and_its_dumps_are_refused_with_their_command() {
    let test = "others::a_dotnet_program";
    if !on_path("python3") {
        return skipped(test, "there is no Python");
    }
    let folder = folder();
    let library = folder.path().join("libcoreclr.so");
    fs::write(&library, [0; 4096]).expect("written");
    let mapped =
        Program::start(Command::new("python3").args(["-c", STAND_IN]).arg(&library).stdin(Stdio::piped()));
    // A program in one file maps nothing that tells: its socket does.
    let single = Program::start(Command::new("python3").args(["-c", STAND_IN]).stdin(Stdio::piped()));
    let stat = fs::read_to_string(format!("/proc/{}/stat", single.pid())).expect("readable");
    let started = stat.rsplit(')').next().and_then(|s| s.split_ascii_whitespace().nth(19)).expect("a field");
    let before = format!("/tmp/dotnet-diagnostic-{}-1-socket", single.pid());
    let socket = format!("/tmp/dotnet-diagnostic-{}-{started}-socket", single.pid());
    let runtime = |pid: &str| {
        let out = run(folder.path(), &["capture", pid, "--artifact", "smaps", "--for", "1s", "-o", "json"]);
        let plan: Value =
            serde_json::from_str(&stdout(&out)).unwrap_or_else(|e| panic!("{e}: {}", stderr(&out)));
        plan["target"]["runtime"].as_str().map(str::to_owned)
    };
    let earlier = UnixListener::bind(&before);
    let other = runtime(&single.pid());
    fs::remove_file(&before).expect("removed");
    drop(earlier);
    let listener = UnixListener::bind(&socket).expect("bound");
    let seen = [runtime(&mapped.pid()), runtime(&single.pid())];
    fs::remove_file(&socket).expect("removed");
    drop(listener);
    assert_eq!(other.as_deref(), Some("python"), "an earlier process's socket");
    assert_eq!(seen.map(|s| s.unwrap_or_default()), ["dotnet", "dotnet"]);
    for (id, tool) in [("dump", "dotnet-dump collect -p"), ("gcdump", "dotnet-gcdump collect -p")] {
        let out = captured(folder.path(), &mapped.pid(), id);
        assert_eq!(out.status.code(), Some(4), "{}", stderr(&out));
        assert!(stderr(&out).contains("plimsoll cannot take it"), "{}", stderr(&out));
        assert!(stderr(&out).contains(tool), "{}", stderr(&out));
    }
    assert!(taken(folder.path(), "manifest.json").is_none(), "nothing is left");
}

/// Holds 64 MiB that one function has taken, in small pieces.
const HOARDER: &str = "
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static void *kept[65536];
__attribute__((noinline)) void hoard(int n) { kept[n] = malloc(1024); memset(kept[n], 1, 1024); }
int main(void) { for (int n = 0; n < 65536; n++) hoard(n); puts(\"ready\"); fflush(stdout); for (;;) pause(); }
";

fn hoarder(test: &str, folder: &Path) -> Option<PathBuf> {
    let (source, program) = (folder.join("hoarder.c"), folder.join("hoarder"));
    fs::write(&source, HOARDER).expect("written");
    let built =
        Command::new("cc").args(["-O1", "-g", "-fno-builtin", "-o"]).arg(&program).arg(&source).status();
    if !built.is_ok_and(|s| s.success()) {
        skipped(test, "there is no C compiler");
        return None;
    }
    Some(program)
}

/// What a capture has stored beside its manifest, the profile first.
fn profile(folder: &Path) -> Option<PathBuf> {
    let captures = fs::read_dir(folder).expect("listed").flatten().filter(|e| e.path().is_dir());
    let files = captures.flat_map(|e| fs::read_dir(e.path()).expect("listed").flatten());
    files.map(|e| e.path()).find(|p| p.extension().is_some_and(|e| e == "heap"))
}

#[test]
fn the_newest_profile_that_jemalloc_has_written_is_taken_with_its_age() {
    let test = "others::the_newest_profile_that_jemalloc";
    let library =
        ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu"].map(|d| format!("{d}/libjemalloc.so.2"));
    let Some(library) = library.iter().find(|l| Path::new(l).exists()) else {
        return skipped(test, "there is no jemalloc");
    };
    let folder = folder();
    let Some(program) = hoarder(test, folder.path()) else { return };
    let start = |conf: &str| {
        let conf = format!("prof:true,lg_prof_sample:16,prof_prefix:{}/shop{conf}", folder.path().display());
        Program::start(Command::new(&program).env("LD_PRELOAD", library).env("MALLOC_CONF", conf))
    };
    let silent = start("");
    let out = captured(folder.path(), &silent.pid(), "profile");
    assert_eq!(out.status.code(), Some(3), "{}{}", stdout(&out), stderr(&out));
    assert!(stderr(&out).contains("jemalloc has written no profile yet"), "{}", stderr(&out));
    // One at every 4 MiB.
    let writes = start(",lg_prof_interval:22");
    let out = captured(folder.path(), &writes.pid(), "profile");
    assert_eq!(out.status.code(), Some(0), "{}{}", stdout(&out), stderr(&out));
    let file = profile(folder.path()).expect("a profile");
    let named = file.file_name().expect("a name").to_string_lossy().into_owned();
    assert!(named.starts_with(&format!("shop.{}.", writes.pid())), "{named}");
    assert!(
        fs::read_to_string(file.with_file_name("age.txt"))
            .expect("its age")
            .contains("by the program itself")
    );
    let out = run(folder.path(), &["read", &file.display().to_string()]);
    assert!(
        stdout(&out).contains("hoard") || stdout(&out).contains("MiB"),
        "{}{}",
        stdout(&out),
        stderr(&out)
    );
}

#[test]
fn gperftools_writes_a_profile_on_its_signal_which_is_sent_only_where_it_is_caught() {
    let test = "others::gperftools_writes_a_profile";
    let place = tools().join("gperftools").display().to_string();
    let folder = folder();
    let Some(program) = hoarder(test, folder.path()) else { return };
    let start = |library: &str| {
        let mut command = Command::new(&program);
        command.env("HEAPPROFILE", folder.path().join("gp")).env("HEAPPROFILESIGNAL", "12");
        Program::start(command.env("LD_PRELOAD", library).env("LD_LIBRARY_PATH", &place))
    };
    // The signal would end it.
    let mut without = start("");
    let out = captured(folder.path(), &without.pid(), "profile");
    assert_eq!(out.status.code(), Some(3), "{}{}", stdout(&out), stderr(&out));
    assert!(stderr(&out).contains("would end the program"), "{}", stderr(&out));
    assert!(without.0.try_wait().expect("asked").is_none(), "it lives");
    let library = format!("{place}/libtcmalloc.so.4");
    if !Path::new(&library).exists() {
        return skipped(test, "there are no gperftools: scripts/setup unpacks them on Debian, as root");
    }
    let mut with = start(&library);
    let out = captured(folder.path(), &with.pid(), "profile");
    assert_eq!(out.status.code(), Some(0), "{}{}", stdout(&out), stderr(&out));
    let file = profile(folder.path()).expect("a profile");
    assert!(fs::read_to_string(&file).expect("a text").starts_with("heap profile:"));
    assert!(with.0.try_wait().expect("asked").is_none(), "it lives");
    let out = run(folder.path(), &["read", &file.display().to_string()]);
    assert!(
        stdout(&out).contains("64.0 MiB") && !stdout(&out).contains("mappings of"),
        "{}{}",
        stdout(&out),
        stderr(&out)
    );
}
