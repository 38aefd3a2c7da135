//! What an audit must know of a live process: its flags and variables, its limit, where its dumps would go.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use plimsoll_core::audit::{Known, Room, Subject, Survival, VARIABLES};
use plimsoll_core::fact::{Fact, Reading};
use plimsoll_core::recording::Recording;
use plimsoll_core::target::{RuntimeKind, Target};

use crate::capture::{self, place};
use crate::identify;
use crate::source::cgroup::Group;
use crate::source::room::{self, FOR_A_COMMAND, FOR_AN_ANSWER};
use crate::source::text::why;
use crate::step::jvm_attach;
use crate::world::World;

/// Bytes of a program that are searched for the names of its functions.
const PROGRAM: u64 = 1 << 30;
const PIECE: usize = 1 << 20;
/// How long a JVM may take to tell a flag.
const PATIENCE: Duration = Duration::from_secs(2);

/// Looks at the process that was recorded.
pub fn subject(world: &World, r: &Recording) -> Subject {
    let target = &with_live_flags(world, &r.target);
    let folder = world.proc_root.join(target.pid.to_string());
    let group = Group::of(world, target.pid);
    let machine = crate::source::host_memory::total(world);
    let mut s =
        Subject::unknown(&format!("{} (pid {})", target.name, target.pid), "it is not seen from outside");
    s.pid = Some(target.pid);
    s.runtime = Some(target.runtime);
    s.version.clone_from(&target.runtime_version);
    s.flags = Ok(target.flags.clone());
    s.variables = variables(&folder);
    s.limit = group.as_ref().map(|g| g.binding(machine).0).map_err(Clone::clone);
    s.heap_max = heap_max(r);
    s.outside = outside(r);
    s.dump = dump(&folder, target);
    s.probe_budget = Err("probes are not seen from here: --probe-budget tells".to_owned());
    s.whole_group = group.as_ref().map(|g| g.dies_whole()).map_err(Clone::clone);
    s.processes = group.and_then(|g| g.processes().ok_or_else(|| "too many groups".to_owned()));
    if target.runtime == RuntimeKind::Go {
        s.endpoint = match room::Room::of(world, target).refuses(0.0, FOR_AN_ANSWER) {
            Some(why) => Err(why),
            None => capture::profiles_answer(world, target.pid),
        };
        s.memory_profile = memory_profile(&folder.join("exe"));
    }
    s.core = core(world, &folder);
    s
}

/// With the flags that may have been set since the start, where asking the JVM for them needs no signal.
fn with_live_flags(world: &World, target: &Target) -> Target {
    let mut target = target.clone();
    let can_be_asked = target.runtime == RuntimeKind::Jvm && why_not_asked(world, target.pid).is_none();
    if !can_be_asked || !jvm_attach::is_warm(world, target.pid) {
        return target;
    }
    let mut ask = |name: &str, word: fn(&str) -> String| {
        let value = jvm_attach::flag(world, target.pid, name, PATIENCE).ok().flatten();
        target.flags.extend(value.filter(|v| !v.is_empty()).map(|v| word(&v)));
    };
    ask("HeapDumpOnOutOfMemoryError", |on| {
        format!("-XX:{}HeapDumpOnOutOfMemoryError", if on == "true" { '+' } else { '-' })
    });
    ask("HeapDumpPath", |path| format!("-XX:HeapDumpPath={path}"));
    target
}

/// Why a JVM is not to be asked for a flag or to set one: it would take memory that is not there.
pub fn why_not_asked(world: &World, pid: i32) -> Option<String> {
    room::Room::of(world, &identify::bare(pid)).refuses(0.0, FOR_A_COMMAND)
}

fn variables(folder: &Path) -> BTreeMap<String, String> {
    let of = |name: &&str| Some(((*name).to_owned(), identify::variable(folder, name)?));
    VARIABLES.iter().filter_map(of).collect()
}

fn known(reading: Reading) -> Known<f64> {
    match reading {
        Reading::Known(v) => Ok(v),
        Reading::Unknown(why) => Err(why),
    }
}

/// The bound of the managed heap.
fn heap_max(r: &Recording) -> Known<f64> {
    match r.target.runtime {
        RuntimeKind::Jvm => known(r.reading(Fact::JvmHeapMax)),
        RuntimeKind::Node => known(r.reading(Fact::V8HeapLimit)).or_else(|why| {
            let mib = r.target.flag("--max-old-space-size").and_then(|v| v.parse::<f64>().ok());
            mib.map(|mib| mib * 1_048_576.0).ok_or(why)
        }),
        _ => Err("this runtime has no bound of its own".to_owned()),
    }
}

/// Resident memory outside the managed heap.
fn outside(r: &Recording) -> Known<f64> {
    if r.target.runtime != RuntimeKind::Jvm {
        return Err("it is told apart for the JVM only".to_owned());
    }
    let (rss, heap) = (known(r.reading(Fact::Rss))?, known(r.reading(Fact::JvmHeapCommitted))?);
    Ok((rss - heap).max(0.0))
}

/// Where a dump goes, by the flag of its runtime.
fn dump(folder: &Path, target: &Target) -> Known<Option<Room>> {
    let prefix = match target.runtime {
        RuntimeKind::Jvm => "-XX:HeapDumpPath=",
        RuntimeKind::Node => "--diagnostic-dir=",
        _ => return Err("this runtime has no such place".to_owned()),
    };
    let set = target.flags.iter().rev().find_map(|f| f.strip_prefix(prefix));
    Ok(set.map(|path| room(folder, target, path)))
}

/// What is at a path as the process sees it.
fn room(folder: &Path, target: &Target, path: &str) -> Room {
    let mut room = Room {
        path: path.to_owned(),
        folder: None,
        in_memory: None,
        free: None,
        survives: None,
        writable: None,
    };
    // A path that climbs out of the process's root is followed by the kernel there, and by nobody here.
    let wanted = PathBuf::from(path);
    if wanted.components().any(|c| c == Component::ParentDir) {
        return room;
    }
    let within = match wanted.strip_prefix("/") {
        Ok(rest) => folder.join("root").join(rest),
        Err(_) => folder.join("cwd").join(&wanted),
    };
    room.folder = match fs::metadata(&within) {
        Ok(meta) => Some(meta.is_dir()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Some(false),
        Err(_) => None,
    };
    let home = if room.folder == Some(true) { Some(within.as_path()) } else { within.parent() };
    if let Some(place) = home.and_then(|h| place::of(h).ok()) {
        room.in_memory = Some(place.in_memory);
        room.free = Some(place.free_bytes);
    }
    room.writable = home.and_then(|h| writable(h, folder));
    room.survives = survival(folder, target, &wanted);
    room
}

/// Whether the process's user may make files there, by owner and mode.
fn writable(home: &Path, folder: &Path) -> Option<bool> {
    const OTHERS: u32 = 0o003;
    let meta = fs::metadata(home).ok()?;
    let status = fs::read_to_string(folder.join("status")).ok()?;
    let words = |key: &str| status.lines().find_map(|l| l.strip_prefix(key)).map(str::split_ascii_whitespace);
    let id = |key: &str| words(key)?.nth(1)?.parse::<u32>().ok();
    let (uid, gid) = (id("Uid:")?, id("Gid:")?);
    let mut groups = words("Groups:")?.filter_map(|g| g.parse::<u32>().ok());
    let allows = |shift: u32| (meta.mode() >> shift) & OTHERS == OTHERS;
    Some(if uid == 0 {
        true
    } else if meta.uid() == uid {
        allows(6)
    } else if meta.gid() == gid || groups.any(|g| g == meta.gid()) {
        allows(3)
    } else {
        allows(0)
    })
}

/// What a file there outlives, by the mount that it is on.
fn survival(folder: &Path, target: &Target, wanted: &Path) -> Option<Survival> {
    let own = fs::read_link("/proc/self/ns/mnt").ok();
    if own.is_some() && own == fs::read_link(folder.join("ns/mnt")).ok() {
        return Some(Survival::Machine);
    }
    target.container.as_ref()?;
    let wanted = if wanted.is_absolute() {
        wanted.to_owned()
    } else {
        fs::read_link(folder.join("cwd")).ok()?.join(wanted)
    };
    let table = fs::read_to_string(folder.join("mountinfo")).ok()?;
    let mounts = table.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(3);
        Some((words.next()?, words.next()?))
    });
    let (top, point) =
        mounts.filter(|(_, point)| wanted.starts_with(point)).max_by_key(|(_, point)| point.len())?;
    Some(match () {
        () if point == "/" => Survival::Nothing,
        () if top.contains("kubernetes.io~empty-dir") => Survival::Restart,
        () => Survival::Pod,
    })
}

/// Whether Go's linker kept the profile of memory: the names of functions survive stripping.
fn memory_profile(exe: &Path) -> Known<bool> {
    let names: [&[u8]; 2] = [b"\0runtime.MemProfile\0", b"\0runtime.memProfileInternal\0"];
    let longest = names.iter().map(|n| n.len()).max().unwrap_or(0);
    let mut file = fs::File::open(exe).map_err(|e| why(exe, &e))?.take(PROGRAM);
    let mut piece = Vec::with_capacity(PIECE + longest);
    loop {
        let held = piece.len();
        let read = file.by_ref().take(PIECE as u64).read_to_end(&mut piece).map_err(|e| why(exe, &e))?;
        if names.iter().any(|name| contains(&piece, name)) {
            return Ok(true);
        }
        if read == 0 && piece.len() == held {
            return Ok(false);
        }
        piece.drain(..piece.len().saturating_sub(longest));
    }
}

/// Whether the bytes hold the name; its first letter is looked for first.
fn contains(bytes: &[u8], name: &[u8]) -> bool {
    let mut rest = bytes;
    let probe = b"\0runtime.";
    while let Some(at) = rest.windows(probe.len()).position(|w| w == probe) {
        let from = rest.get(at..).unwrap_or_default();
        if from.starts_with(name) {
            return true;
        }
        rest = from.get(1..).unwrap_or_default();
    }
    false
}

fn core(world: &World, folder: &Path) -> Known<(String, f64)> {
    let path = world.proc_root.join("sys/kernel/core_pattern");
    let pattern = fs::read_to_string(&path).map_err(|e| why(&path, &e))?;
    let limits = folder.join("limits");
    let text = fs::read_to_string(&limits).map_err(|e| why(&limits, &e))?;
    let soft =
        text.lines().find_map(|l| l.strip_prefix("Max core file size")?.split_ascii_whitespace().next());
    let soft = match soft {
        Some("unlimited") => f64::INFINITY,
        Some(n) => n.parse().map_err(|_| format!("{} is not understood", limits.display()))?,
        None => return Err(format!("{} does not tell", limits.display())),
    };
    Ok((pattern.trim().to_owned(), soft))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_functions_are_found_across_pieces() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("program");
        let mut bytes = vec![0u8; PIECE - 7];
        bytes.extend_from_slice(b"\0runtime.MemProfile\0");
        fs::write(&path, &bytes).expect("written");
        assert_eq!(memory_profile(&path), Ok(true));
        fs::write(&path, b"\0runtime.MemProfileRate\0").expect("written");
        assert_eq!(memory_profile(&path), Ok(false));
        assert!(memory_profile(Path::new("/no/such/file")).is_err());
    }

    #[test]
    fn rooms_are_seen_as_the_process_sees_them() {
        let world = World::default();
        let me = identify::identify(&world, std::process::id().cast_signed()).expect("it is us");
        let folder = world.proc_root.join("self");
        let place = tempfile::tempdir().expect("a folder");
        let r = room(&folder, &me, &place.path().display().to_string());
        assert_eq!((r.folder, r.writable, r.survives), (Some(true), Some(true), Some(Survival::Machine)));
        assert!(r.free.is_some_and(|f| f > 0.0));
        assert_eq!(room(&folder, &me, "/no/such/folder/x").folder, Some(false));
        assert_eq!(room(&folder, &me, "/a/../b").folder, None);
        assert_eq!(room(&folder, &me, "/dev/shm").in_memory, Some(true));
    }
}
