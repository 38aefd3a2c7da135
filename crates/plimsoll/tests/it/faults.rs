//! What goes wrong on a machine while the agent watches it or evidence is taken: each is told in clear words, leaves the
//! target as it was and nothing half-written.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use plimsoll_core::agent::What;
use plimsoll_host::store::Store;

use crate::rig::{Agent, Cage, Climber, MIB, Target, cage, until};
use crate::{plimsoll_command, skipped, stderr, stdout};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder")
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0)
}

fn signal(name: &str, pid: u32) {
    let sent = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status();
    assert!(sent.is_ok_and(|s| s.success()), "{name} to {pid}");
}

/// A capture that is under way.
fn capture(folder: &Path, to: &Path, pid: u32, args: &[&str]) -> Child {
    let (pid, to) = (pid.to_string(), to.display().to_string());
    let all = [&["capture", &pid, "--to", &to, "--for", "1s", "--go"], args].concat();
    let mut command = plimsoll_command(&all);
    command.env("PLIMSOLL_STATE", folder.join("state")).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("it runs")
}

fn captured(folder: &Path, to: &Path, pid: u32, args: &[&str]) -> Output {
    capture(folder, to, pid, args).wait_with_output().expect("it ends")
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path());
    entries.flat_map(|p| if p.is_dir() { files(&p) } else { vec![p] }).collect()
}

fn named(folder: &Path, name: &str) -> Option<PathBuf> {
    files(folder).into_iter().find(|f| f.file_name().is_some_and(|n| n == name))
}

fn nothing_half_written(folder: &Path) {
    let parts: Vec<_> =
        files(folder).into_iter().filter(|f| f.extension().is_some_and(|e| e == "partial")).collect();
    assert!(parts.is_empty(), "{parts:?}");
}

/// How many files of captures of a process are in `/tmp`.
fn left_of(pid: u32) -> usize {
    let head = format!(".plimsoll-{pid}-");
    let all = fs::read_dir("/tmp").expect("a folder").flatten();
    all.filter(|e| e.file_name().to_string_lossy().starts_with(&head)).count()
}

/// A JVM of one test, in a cage that does not bind.
fn java(test: &str, folder: &Path, name: &str) -> Option<(Cage, Target)> {
    let cage = cage(test, name, 1500 * MIB)?;
    let java = Target::java(folder, &cage, (name, 1));
    if java.is_none() {
        skipped(test, "there is no JDK");
    }
    Some((cage, java?))
}

#[test]
fn a_target_that_exits_while_a_pair_is_taken_leaves_the_first_of_it() {
    let test = "faults::a_target_that_exits";
    let (folder, to) = (folder(), folder());
    let Some((_cage, mut java)) = java(test, folder.path(), "Leaver") else { return };
    let taking =
        capture(folder.path(), to.path(), java.0.id(), &["--artifact", "histogram", "--window", "30m"]);
    until("the first is taken", || named(to.path(), "histogram-1.txt").is_some());
    java.0.kill().expect("killed");
    java.0.wait().expect("reaped");
    let out = taking.wait_with_output().expect("it ends");
    assert_eq!(out.status.code(), Some(5), "{}", stderr(&out));
    assert!(stdout(&out).contains("it has ended"), "{}", stdout(&out));
    assert!(named(to.path(), "manifest.json").is_some());
    nothing_half_written(to.path());
}

#[test]
fn a_jvm_that_is_killed_half_way_leaves_what_came_and_it_is_read_as_cut() {
    let test = "faults::a_jvm_that_is_killed_half_way";
    let (folder, to) = (folder(), folder());
    let Some(cage) = cage(test, "Halved", 3000 * MIB) else { return };
    let Some(mut java) = Target::java(folder.path(), &cage, ("Halved", 100)) else {
        return skipped(test, "there is no JDK");
    };
    // Enough that its dump takes a while.
    java.go();
    let used = || cage.text("memory.usage_in_bytes").parse::<u64>().expect("a number");
    until("it holds enough", || used() > 300 * MIB);
    let taking = capture(folder.path(), to.path(), java.0.id(), &["--artifact", "heap", "--force"]);
    let size =
        || named(to.path(), "heap.hprof.partial").and_then(|f| fs::metadata(f).ok()).map_or(0, |m| m.len());
    until("a part has come", || size() > 1 << 20);
    // It writes on only as far as it is read.
    signal("STOP", taking.id());
    java.0.kill().expect("killed");
    java.0.wait().expect("reaped");
    signal("CONT", taking.id());
    let out = taking.wait_with_output().expect("it ends");
    assert_eq!(out.status.code(), Some(5), "{}{}", stdout(&out), stderr(&out));
    nothing_half_written(to.path());
    let kept = named(to.path(), "cut-heap.hprof").expect("what came is kept");
    let manifest = named(to.path(), "manifest.json").map(|f| fs::read_to_string(f).expect("text"));
    let manifest: serde_json::Value = serde_json::from_str(&manifest.expect("there")).expect("JSON");
    let piece = &manifest["artifacts"][0];
    assert_eq!((&piece["complete"], piece["file"].as_str()), (&false.into(), Some("cut-heap.hprof")));
    assert!(piece["cutBecause"].as_str().is_some_and(|why| !why.is_empty()), "{manifest:#}");
    assert_eq!(left_of(java.0.id()), 0, "though its namespace is gone");
    assert_eq!(piece["bytes"].as_u64(), fs::metadata(&kept).ok().map(|m| m.len()));
    // Alone, and in its folder.
    for what in [kept.as_path(), kept.parent().expect("a folder")] {
        let read = plimsoll_command(&["read", &what.display().to_string()]).output().expect("it runs");
        assert!(stdout(&read).to_lowercase().contains("cut"), "{}{}", stdout(&read), stderr(&read));
    }
}

#[test]
fn a_capture_that_is_killed_itself_leaves_a_living_jvm_and_the_next_one_cleans_up() {
    let test = "faults::a_capture_that_is_killed_itself";
    let (folder, to) = (folder(), folder());
    let Some((_cage, mut java)) = java(test, folder.path(), "Bereft") else { return };
    java.go();
    let mut taking = capture(folder.path(), to.path(), java.0.id(), &["--artifact", "heap", "--force"]);
    until("it has begun", || named(to.path(), "heap.hprof.partial").is_some());
    taking.kill().expect("killed");
    taking.wait().expect("reaped");
    assert_eq!(left_of(java.0.id()), 1, "the pipe");
    let again = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let out = captured(folder.path(), again.path(), java.0.id(), &["--artifact", "threads", "--force"]);
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    assert!(java.0.try_wait().expect("asked").is_none(), "it lives");
    assert_eq!(left_of(java.0.id()), 0, "the pipe is removed");
}

/// A capture asked for a dump and was killed before the JVM opened the pipe: without a reader it would wait there for ever.
#[test]
fn a_jvm_that_waits_at_the_pipe_of_a_killed_capture_is_let_go_and_makes_no_file_of_it() {
    let test = "faults::a_jvm_that_waits_at_the_pipe";
    let (folder, to) = (folder(), folder());
    let Some((_cage, mut java)) = java(test, folder.path(), "Waiting") else { return };
    let pid = java.0.id();
    let threads = || captured(folder.path(), to.path(), pid, &["--artifact", "threads", "--force"]);
    let out = threads();
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    let mut gone = Command::new("true").spawn().expect("it runs");
    gone.wait().expect("reaped");
    let pipe = format!("/tmp/.plimsoll-{pid}-{}-1.fifo", gone.id());
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("it runs").success());
    let mut asks = UnixStream::connect(format!("/tmp/.java_pid{pid}")).expect("it listens");
    let request = format!("1\0jcmd\0GC.heap_dump -all -overwrite {pipe}\0\0\0");
    asks.set_read_timeout(Some(crate::rig::PATIENCE)).expect("set");
    asks.write_all(request.as_bytes()).expect("written");
    let out = threads();
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    let mut said = String::new();
    asks.read_to_string(&mut said).expect("answered");
    assert!(!said.contains("Heap dump file created"), "{said}");
    assert!(java.0.try_wait().expect("asked").is_none(), "it lives");
    assert_eq!(left_of(pid), 0);
}

#[test]
fn two_agents_on_one_host_leave_the_limit_as_it_was() {
    let test = "faults::two_agents_on_one_host";
    let folder = folder();
    let Some(cage) = cage(test, "two", 200 * MIB) else { return };
    let mut climber = Climber::start(folder.path(), &[&cage.0], "Shared");
    let rules = "mode: capture\nevery: 300ms\nonly: [Shared.py]\nheavyBelow: 60s\nlightBelow: 2m\nbrake:\n  use: raise\n  for: 1s\n";
    let stores = ["one", "other"].map(|name| folder.path().join(name));
    let [mut one, mut other] = stores.each_ref().map(|store| Agent::start(store, rules));
    climber.tell("climb 20 190");
    for agent in [&mut one, &mut other] {
        agent.of(&cage, What::Stored);
    }
    assert_eq!(climber.answer(), "done", "it lives");
    climber.does("free");
    until("the limit is as it was", || cage.limit() == 200 * MIB);
    assert!(climber.lives());
    one.stop();
    other.stop();
    assert_eq!(cage.limit(), 200 * MIB);
    for store in &stores {
        nothing_half_written(store);
    }
}

#[test]
fn a_destination_that_is_removed_is_told_and_the_target_lives() {
    let test = "faults::a_destination_that_is_removed";
    let (folder, to) = (folder(), folder());
    let Some((_cage, mut java)) = java(test, folder.path(), "Mover") else { return };
    let taking =
        capture(folder.path(), to.path(), java.0.id(), &["--artifact", "histogram", "--window", "3s"]);
    until("the first is taken", || named(to.path(), "histogram-1.txt").is_some());
    let place = named(to.path(), "histogram-1.txt").expect("there");
    fs::remove_dir_all(place.parent().expect("a folder")).expect("removed");
    let out = taking.wait_with_output().expect("it ends");
    assert_eq!(out.status.code(), Some(3), "{}", stderr(&out));
    assert!(stderr(&out).contains("No such file"), "{}", stderr(&out));
    assert!(java.0.try_wait().expect("asked").is_none(), "it lives");
}

#[test]
fn a_disk_that_is_full_half_way_keeps_what_came_and_says_so() {
    let test = "faults::a_disk_that_is_full";
    let folder = folder();
    if !is_root() {
        return skipped(test, "only root mounts here");
    }
    let small = folder.path().join("small");
    fs::create_dir(&small).expect("made");
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=16m", "none"]).arg(&small).status();
    if !mounted.is_ok_and(|s| s.success()) {
        return skipped(test, "nothing can be mounted here");
    }
    let mut climber = Climber::start(folder.path(), &[], "Fuller");
    climber.does("climb 1000 40");
    let out = captured(folder.path(), &small, climber.child.id(), &["--artifact", "core", "--force"]);
    let kept = named(&small, "cut-core").map(|f| fs::metadata(f).expect("there").len());
    let manifest = named(&small, "manifest.json").map(|f| fs::read_to_string(f).expect("text"));
    nothing_half_written(&small);
    assert!(Command::new("umount").arg(&small).status().expect("it runs").success());
    assert_eq!(out.status.code(), Some(5), "{}", stderr(&out));
    assert!(kept.is_some_and(|bytes| bytes > 10 << 20), "{kept:?}");
    assert!(manifest.as_ref().is_some_and(|m| m.contains("No space left on device")), "{manifest:?}");
    climber.does("free");
}

#[test]
fn a_target_of_another_user_is_refused_with_the_reason() {
    let test = "faults::a_target_of_another_user";
    let (folder, to) = (folder(), folder());
    if !is_root() {
        return skipped(test, "only root becomes somebody else");
    }
    fs::set_permissions(to.path(), fs::Permissions::from_mode(0o777)).expect("changed");
    let climber = Climber::start(folder.path(), &[], "Foreign");
    let pid = climber.child.id().to_string();
    for id in ["smaps", "core"] {
        let out = Command::new("setpriv")
            .args(["--reuid", "65534", "--regid", "65534", "--clear-groups", env!("CARGO_BIN_EXE_plimsoll")])
            .args(["capture", &pid, "--artifact", id, "--for", "1s", "--go", "--force", "--to"])
            .arg(to.path())
            .env("PLIMSOLL_STATE", to.path().join("state"))
            .env("NO_COLOR", "1")
            .output()
            .expect("it runs");
        if out.status.code() == Some(126) {
            return skipped(test, "another user cannot reach the build");
        }
        assert_eq!(out.status.code(), Some(3), "{id}: {}", stderr(&out));
        assert!(stderr(&out).contains("Permission denied"), "{id}: {}", stderr(&out));
    }
    nothing_half_written(to.path());
}

#[test]
fn a_jvm_that_ignores_attach_is_given_up_and_lives() {
    let test = "faults::a_jvm_that_ignores_attach";
    let folder = folder();
    let Some((cage, mut java)) = java(test, folder.path(), "Deaf") else { return };
    signal("STOP", java.0.id());
    let mut agent = Agent::start(&folder.path().join("store"), "mode: capture\nevery: 300ms\nonly: [Deaf]\n");
    let failed = agent.of(&cage, What::Failed);
    signal("CONT", java.0.id());
    assert!(failed.text.contains("cannot be prepared"), "{}", failed.text);
    assert!(java.0.try_wait().expect("asked").is_none(), "it lives");
}

#[test]
fn a_read_only_tmp_is_named() {
    let test = "faults::a_read_only_tmp";
    let (folder, to) = (folder(), folder());
    if !is_root() {
        return skipped(test, "only root makes namespaces here");
    }
    let Some((_cage, outer)) = java(test, folder.path(), "Sealed") else { return };
    drop(outer);
    let script = "mount -t tmpfs -o ro none /tmp && cd / && exec java -Xmx200m -cp \"$0\" Sealed 1";
    let mut sealed = Command::new("unshare")
        .args(["--mount", "sh", "-c", script])
        .arg(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("unshare runs");
    let mut ready = String::new();
    let out = sealed.stdout.take().expect("a pipe");
    std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut ready).expect("a line");
    let out = captured(folder.path(), to.path(), sealed.id(), &["--artifact", "heap", "--force"]);
    assert!(sealed.try_wait().expect("asked").is_none(), "it lives");
    sealed.kill().expect("it lived");
    sealed.wait().expect("reaped");
    assert_eq!(out.status.code(), Some(3), "{}", stderr(&out));
    assert!(stderr(&out).contains("Read-only file system"), "{}", stderr(&out));
    nothing_half_written(to.path());
}

#[test]
fn a_limit_that_is_lowered_meanwhile_is_the_one_that_counts() {
    let test = "faults::a_limit_that_is_lowered";
    let folder = folder();
    let Some(cage) = cage(test, "lowered", 900 * MIB) else { return };
    let mut climber = Climber::start(folder.path(), &[&cage.0], "Lowered");
    let rules =
        "mode: capture\nevery: 300ms\nonly: [Lowered.py]\nheavyBelow: 60s\nlightBelow: 2m\nbrake: raise\n";
    // Before the agent looks: on a slow machine the climb to here would be alarm enough.
    climber.does("climb 200 60");
    let mut agent = Agent::start(&folder.path().join("store"), rules);
    fs::write(cage.0.join("memory.limit_in_bytes"), (200 * MIB).to_string()).expect("lowered");
    climber.tell("climb 30 190");
    let braked = agent.of(&cage, What::Braked);
    assert!(braked.text.contains("200 MiB → 250 MiB"), "{}", braked.text);
    agent.of(&cage, What::Stored);
}

#[test]
fn a_group_that_vanishes_is_forgotten_and_the_next_one_is_watched() {
    let test = "faults::a_group_that_vanishes";
    let folder = folder();
    let rules = "mode: observe\nevery: 300ms\nonly: [First.py, Second.py]\nheavyBelow: 60s\nlightBelow: 2m\n";
    let mut agent = Agent::start(&folder.path().join("store"), rules);
    for name in ["First", "Second"] {
        let Some(cage) = cage(test, &format!("gone-{name}"), 200 * MIB) else { return };
        let mut climber = Climber::start(folder.path(), &[&cage.0], name);
        climber.tell("climb 40 190");
        agent.of(&cage, What::Refused);
        drop(climber);
        // Its group goes with the cage, in the middle of everything.
    }
    assert!(agent.child.try_wait().expect("asked").is_none(), "the agent runs");
}

#[test]
fn a_store_full_of_rubbish_is_told_and_used_on() {
    let folder = folder();
    let path = folder.path().join("store");
    drop(Store::open(&path).expect("opens"));
    let mut rubbish: Vec<u8> =
        (0..200_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    rubbish.extend(b"\n0123abcd {\"time\": 1}\n\n\0\0\0\0\ntorn");
    fs::write(path.join("events.log"), &rubbish).expect("written");
    fs::write(path.join("captures/a file"), b"x").expect("written");
    fs::create_dir_all(path.join("requests")).expect("made");
    fs::write(path.join("requests/1.json"), &rubbish).expect("written");
    std::os::unix::fs::symlink("/", path.join("captures/link")).expect("made");
    let agent = Agent::start(&path, "mode: observe\nevery: 300ms\nonly: [nobody]\nkeepBytes: 1\n");
    let up = agent.seen.first().expect("it came up");
    assert!(up.text.contains("damaged lines of its log are left out"), "{}", up.text);
    until("the request that is none is removed", || !path.join("requests/1.json").exists());
    drop(agent);
    assert!(path.join("captures/link").exists() && Path::new("/proc").exists());
    let (_, open) = Store::open(&path).expect("opens");
    assert_eq!(open, plimsoll_core::agent::Open::default());
}

#[test]
fn a_hostile_name_is_neither_a_path_nor_a_command_of_the_terminal() {
    let test = "faults::a_hostile_name";
    let folder = folder();
    let Some(cage) = cage(test, "hostile", 200 * MIB) else { return };
    let name = format!("..\n\u{1b}[31m; $(reboot)` {}", "x".repeat(150));
    let inner = Cage::within(&cage, "\u{1b}[2J..;$(reboot)", 200 * MIB);
    let mut climber = Climber::start(folder.path(), &[&inner.0], &name);
    let store = folder.path().join("store");
    let config = folder.path().join("rules.yaml");
    fs::write(&config, "mode: capture\nevery: 300ms\nonly: ['*reboot*']\nheavyBelow: 60s\nlightBelow: 2m\n")
        .expect("written");
    let said = folder.path().join("said");
    let mut agent = plimsoll_command(&["watch", "--config"])
        .arg(&config)
        .arg("--store")
        .arg(&store)
        .stdout(fs::File::create(&said).expect("made"))
        .stderr(Stdio::null())
        .spawn()
        .expect("it runs");
    climber.tell("climb 40 190");
    until("stored", || named(&store.join("captures"), "manifest.json").is_some());
    until("told", || fs::read_to_string(&said).is_ok_and(|t| t.contains("stored")));
    agent.kill().expect("it runs");
    agent.wait().expect("reaped");
    let said = fs::read_to_string(&said).expect("text");
    assert!(!said.contains('\u{1b}'), "{said:?}");
    assert!(said.lines().all(|l| l.as_bytes().get(2) == Some(&b':')), "each line is one event: {said:?}");
    let made: Vec<String> = fs::read_dir(store.join("captures"))
        .expect("listed")
        .flatten()
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .collect();
    assert!(made.iter().all(|n| n.len() < 80 && !n.contains(['\n', '\u{1b}', '$', '/'])), "{made:?}");
}
