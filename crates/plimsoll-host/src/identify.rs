//! Who a process is: runtime, name, container, start. And which processes a target expression means.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use plimsoll_core::death::pod_uid;
use plimsoll_core::runtime::detect::{self, Evidence};
use plimsoll_core::target::{Container, RuntimeKind, Target, glob};

use crate::source::cgroup::Group;
use crate::world::World;

/// Why a process cannot be a target.
#[derive(Debug, thiserror::Error)]
pub enum IdentifyError {
    /// There is none.
    #[error("no process has pid {0}")]
    Absent(i32),
    /// It is a thread of the kernel.
    #[error("pid {0} is a thread of the kernel: it has no memory of its own")]
    Kernel(i32),
    /// It has exited and waits to be reaped.
    #[error("pid {0} is a zombie: it has exited and its memory is gone")]
    Zombie(i32),
    /// It may not be read.
    #[error("failed to read process {pid}")]
    Read {
        /// The process.
        pid: i32,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

/// A target of which only the pid is known.
pub fn bare(pid: i32) -> Target {
    Target {
        pid,
        name: String::new(),
        runtime: RuntimeKind::Native,
        runtime_version: None,
        container: None,
        cgroup: None,
        limit_cgroup: None,
        started: 0.0,
        flags: Vec::new(),
    }
}

/// What `/proc/PID/stat` says of a process's life.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Life {
    pub(crate) state: char,
    /// Start after boot, in clock ticks: with the pid it names the process for good.
    pub(crate) start_ticks: u64,
    pub(crate) kernel: bool,
}

/// Flag of a kernel thread in the ninth field (`PF_KTHREAD`).
const KERNEL_THREAD: u64 = 0x0020_0000;

/// Reads the life of a process; `None` when there is none.
pub(crate) fn life(world: &World, pid: i32) -> io::Result<Option<Life>> {
    match fs::read_to_string(world.proc_root.join(pid.to_string()).join("stat")) {
        Ok(text) => Ok(parse_life(&text)),
        Err(e) if e.kind() == io::ErrorKind::NotFound || e.raw_os_error() == Some(3) => Ok(None),
        Err(e) => Err(e),
    }
}

fn parse_life(text: &str) -> Option<Life> {
    let words: Vec<&str> = text.get(text.rfind(')')? + 1..)?.split_ascii_whitespace().collect();
    Some(Life {
        state: words.first()?.chars().next()?,
        start_ticks: words.get(19)?.parse().ok()?,
        kernel: words.get(6)?.parse::<u64>().ok()? & KERNEL_THREAD != 0,
    })
}

/// Seconds between two readings of one start: the machine's own start is told in whole seconds.
pub(crate) const SAME_START: f64 = 1.5;

/// Whether the process of a target's pid is still that one, and not a later one with its number.
pub(crate) fn is_same(world: &World, target: &Target) -> bool {
    identify(world, target.pid).is_ok_and(|now| (now.started - target.started).abs() < SAME_START)
}

/// Identifies a process.
pub fn identify(world: &World, pid: i32) -> Result<Target, IdentifyError> {
    let life = life(world, pid)
        .map_err(|source| IdentifyError::Read { pid, source })?
        .ok_or(IdentifyError::Absent(pid))?;
    if life.kernel {
        return Err(IdentifyError::Kernel(pid));
    }
    if matches!(life.state, 'Z' | 'X') {
        return Err(IdentifyError::Zombie(pid));
    }
    let folder = world.proc_root.join(pid.to_string());
    let argv = settled_argv(world, &folder, &life);
    let comm = fs::read_to_string(folder.join("comm")).unwrap_or_default().trim().to_owned();
    let evidence = evidence(world, pid, &argv, life.start_ticks);
    let runtime = detect::detect(&evidence);
    let group = Group::of(world, pid).ok();
    let machine = crate::source::host_memory::total(world);
    let cgroup = group.as_ref().map(Group::shown);
    let mut target = Target {
        pid,
        name: detect::name(runtime, &comm, &argv),
        runtime,
        runtime_version: None,
        container: containers(&folder).or_else(|| cgroup.as_deref().and_then(container)),
        limit_cgroup: group.as_ref().map(|g| g.binding(machine).1.shown()),
        cgroup,
        started: world.booted() + seconds(life.start_ticks),
        flags: flags(&folder, runtime, &argv),
    };
    match runtime {
        RuntimeKind::Jvm => crate::source::hsperf::enrich(world, &mut target),
        RuntimeKind::Go => target.runtime_version = crate::step::go_memory::version(world, pid),
        kind => target.runtime_version = detect::version(kind, &evidence),
    }
    Ok(target)
}

/// Flags of the command line, then those that the environment adds.
fn flags(folder: &Path, runtime: RuntimeKind, argv: &[String]) -> Vec<String> {
    let mut flags = detect::flags(runtime, argv);
    for name in detect::variables(runtime) {
        let words = variable(folder, name).unwrap_or_default();
        let words: Vec<String> = words.split_ascii_whitespace().map(str::to_owned).collect();
        flags.extend(detect::flags(runtime, &words));
    }
    flags.extend(
        crate::capture::allocator_profile::kind(folder).map(|kind| format!("allocatorProfile={kind}")),
    );
    flags
}

/// One variable of the environment that a process was started with; nothing else of it is kept.
pub(crate) fn variable(folder: &Path, name: &str) -> Option<String> {
    String::from_utf8(variable_bytes(folder, name)?).ok()
}

/// The same of a variable that is no text.
pub(crate) fn variable_bytes(folder: &Path, name: &str) -> Option<Vec<u8>> {
    let bytes = fs::read(folder.join("environ")).ok()?;
    let of = |v: &[u8]| Some(v.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?.to_vec());
    bytes.split(|b| *b == 0).find_map(of)
}

/// Clock ticks as seconds.
pub(crate) fn seconds(ticks: u64) -> f64 {
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

/// When a process started, Unix seconds; `None` when there is none, or it has ended.
pub(crate) fn started(world: &World, pid: i32) -> Option<f64> {
    let life = life(world, pid).ok()??;
    (!matches!(life.state, 'Z' | 'X')).then(|| world.booted() + seconds(life.start_ticks))
}

/// Bytes of a command line that are looked at.
const LARGEST_COMMAND: u64 = 1 << 20;
/// Different files that a process may map before the rest is left out.
const MOST_FILES: usize = 4096;

fn argv(folder: &Path) -> Vec<String> {
    let mut bytes = Vec::new();
    // What could be read before a failure is good enough.
    let _partly =
        fs::File::open(folder.join("cmdline")).and_then(|f| f.take(LARGEST_COMMAND).read_to_end(&mut bytes));
    let words = bytes.split(|b| *b == 0).filter(|w| !w.is_empty());
    words.map(|w| String::from_utf8_lossy(w).into_owned()).collect()
}

/// Age below which a process may still be inside its exec, seconds.
const YOUNG: f64 = 1.0;
/// Looks at a young process, and the pause between two.
const LOOKS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(5);

/// The command line; for a moment during an exec it is empty, and the environment with it.
fn settled_argv(world: &World, folder: &Path, life: &Life) -> Vec<String> {
    let uptime = fs::read_to_string(world.proc_root.join("uptime")).unwrap_or_default();
    let uptime: f64 = uptime.split(' ').next().and_then(|s| s.parse().ok()).unwrap_or(f64::INFINITY);
    let looks = if uptime - seconds(life.start_ticks) < YOUNG { LOOKS } else { 1 };
    for _ in 1..looks {
        let argv = argv(folder);
        if !argv.is_empty() {
            return argv;
        }
        std::thread::sleep(PAUSE);
    }
    argv(folder)
}

/// The program that a process runs, whether or not its file was replaced since; `None` when it may not be read.
pub(crate) fn program(world: &World, pid: i32) -> Option<PathBuf> {
    let link = fs::read_link(world.proc_root.join(pid.to_string()).join("exe")).ok()?;
    Some(link.to_str().and_then(|l| l.strip_suffix(" (deleted)")).map(PathBuf::from).unwrap_or(link))
}

fn evidence(world: &World, pid: i32, argv: &[String], start_ticks: u64) -> Evidence {
    let folder = world.proc_root.join(pid.to_string());
    let program = program(world, pid).unwrap_or_default();
    let exe = program.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let mapped = mapped(&folder.join("maps"));
    let dotnet_socket = has_dotnet_socket(world, pid, start_ticks);
    Evidence { exe, argv: argv.to_vec(), mapped, go_binary: is_go(&folder.join("exe")), dotnet_socket }
}

/// Whether it listens where .NET's tools look for it: a socket in its temporary folder, named by its number there and the time
/// it started, so that one of an earlier process is not taken for its own.
fn has_dotnet_socket(world: &World, pid: i32, start_ticks: u64) -> bool {
    let folder = world.proc_root.join(pid.to_string());
    let inner = crate::source::hsperf::inner_pid(world, pid);
    let name = format!("root/tmp/dotnet-diagnostic-{inner}-{start_ticks}-socket");
    fs::symlink_metadata(folder.join(name)).is_ok_and(|m| m.file_type().is_socket())
}

/// Base names of the files mapped. The table may have hundreds of thousands of lines: it is read piece by piece.
fn mapped(maps: &Path) -> Vec<String> {
    let Ok(file) = fs::File::open(maps) else { return Vec::new() };
    let (mut reader, mut line) = (BufReader::new(file), Vec::new());
    let mut names: BTreeSet<String> = BTreeSet::new();
    while names.len() < MOST_FILES && reader.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
        let path = line.iter().position(|b| *b == b'/').and_then(|at| line.get(at..)).unwrap_or_default();
        let base = path.rsplit(|b| *b == b'/').next().unwrap_or_default().trim_ascii();
        let base = String::from_utf8_lossy(base);
        if !base.is_empty() && !names.contains(base.as_ref()) {
            names.insert(base.into_owned());
        }
        line.clear();
    }
    names.into_iter().collect()
}

/// Section names are a few hundred bytes; a file that claims more is not read.
const LARGEST_NAMES: u64 = 64 * 1024;

/// Go's linker leaves sections of its own, and they survive stripping.
fn is_go(exe: &Path) -> bool {
    let names = section_names(exe).unwrap_or_default();
    let go: [&[u8]; 3] = [b".gopclntab", b".go.buildinfo", b".data.rel.ro.gopclntab"];
    names.split(|b| *b == 0).any(|name| go.contains(&name))
}

/// The section name table of a 64-bit little-endian ELF file.
fn section_names(exe: &Path) -> Option<Vec<u8>> {
    use std::os::unix::fs::FileExt;
    let file = fs::File::open(exe).ok()?;
    let mut head = [0u8; 64];
    file.read_exact_at(&mut head, 0).ok()?;
    if head.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let word = |bytes: &[u8], at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    let half = |at: usize| Some(u64::from(u16::from_le_bytes(head.get(at..at + 2)?.try_into().ok()?)));
    let (table, size, index) = (word(&head, 0x28)?, half(0x3a)?, half(0x3e)?);
    let mut entry = [0u8; 64];
    file.read_exact_at(&mut entry, table.checked_add(size * index)?).ok()?;
    let (offset, length) = (word(&entry, 0x18)?, word(&entry, 0x20)?);
    let mut names = vec![0u8; usize::try_from(length.min(LARGEST_NAMES)).ok()?];
    file.read_exact_at(&mut names, offset).ok()?;
    Some(names)
}

/// The container by any of the process's groups: with version 1 the names may differ between controllers.
fn containers(folder: &Path) -> Option<Container> {
    let text = fs::read_to_string(folder.join("cgroup")).ok()?;
    let paths = text.lines().filter_map(|l| l.splitn(3, ':').nth(2));
    let mut found: Vec<Container> = paths.filter_map(container).collect();
    found.sort_by_key(|c| matches!(c.engine.as_str(), "systemd" | "cgroup"));
    found.into_iter().next()
}

/// Recognises the engine by the shape of the group's name.
pub(crate) fn container(path: &str) -> Option<Container> {
    let leaf = path.rsplit('/').find(|part| !part.is_empty())?;
    let pod_uid = path.split('/').find_map(pod_uid);
    let scope = leaf.strip_suffix(".scope").unwrap_or(leaf);
    let known =
        [("docker-", "docker"), ("cri-containerd-", "containerd"), ("crio-", "cri-o"), ("libpod-", "podman")];
    let by_prefix =
        known.iter().find_map(|(p, engine)| Some((*engine, scope.strip_prefix(p).filter(|id| is_id(id))?)));
    let by_parent = || {
        let parent = path.trim_end_matches('/').rsplit('/').nth(1)?;
        let engine = match parent {
            "docker" => "docker",
            // Amazon's agent: `/ecs/TASK/CONTAINER`.
            _ if path.starts_with("/ecs/") => "docker",
            _ if pod_uid.is_some() => "containerd",
            _ => return None,
        };
        is_id(leaf).then_some((engine, leaf))
    };
    let by_name = || named(path, scope);
    let by_unit = || {
        let unit = leaf.ends_with(".service") || leaf.ends_with(".scope");
        (unit && !leaf.starts_with("session-") && !leaf.starts_with("user@")).then_some(("systemd", leaf))
    };
    let (engine, id) = by_prefix.or_else(by_parent).or_else(by_name).or_else(by_unit)?;
    let id = if matches!(engine, "systemd" | "lxc" | "nomad") {
        id.to_owned()
    } else {
        id.chars().take(12).collect()
    };
    Some(Container { engine: engine.to_owned(), id, pod_uid })
}

/// Engines whose containers have names: LXC (`/lxc/NAME`, `/lxc.payload.NAME/…`), Nomad (`ALLOCATION.TASK`).
fn named<'a>(path: &'a str, leaf: &'a str) -> Option<(&'static str, &'a str)> {
    let mut parts = path.split('/').filter(|p| !p.is_empty());
    let lxc = parts.clone().find_map(|p| p.strip_prefix("lxc.payload."));
    let lxc = lxc.or_else(|| parts.clone().skip_while(|p| *p != "lxc").nth(1));
    if let Some(name) = lxc.filter(|n| !n.is_empty()) {
        return Some(("lxc", name));
    }
    let nomad = parts.any(|p| p == "nomad" || p == "nomad.slice");
    let allocation =
        leaf.split_once('.').is_some_and(|(id, task)| id.len() == 36 && is_id(id) && !task.is_empty());
    (nomad && allocation).then_some(("nomad", leaf))
}

fn is_id(text: &str) -> bool {
    text.len() >= 12 && text.chars().all(|c| c.is_ascii_hexdigit() || c == '-')
}

/// Every process that is neither a kernel thread nor a zombie.
pub fn processes(world: &World) -> Vec<i32> {
    let entries = fs::read_dir(&world.proc_root).into_iter().flatten().flatten();
    let mut pids: Vec<i32> = entries.filter_map(|e| e.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    pids.retain(|pid| {
        life(world, *pid).ok().flatten().is_some_and(|l| !l.kernel && !matches!(l.state, 'Z' | 'X'))
    });
    pids
}

/// Processes whose name, comm or executable's base name matches a glob of `*` and `?`.
pub fn by_name(world: &World, pattern: &str) -> Vec<i32> {
    let matches = |pid: &i32| {
        let folder = world.proc_root.join(pid.to_string());
        let comm = fs::read_to_string(folder.join("comm")).unwrap_or_default();
        let argv = argv(&folder);
        let zero = argv.first().map_or("", |a| a.rsplit('/').next().unwrap_or(a));
        glob(pattern, comm.trim())
            || glob(pattern, zero)
            || identify(world, *pid).is_ok_and(|t| glob(pattern, &t.name))
    };
    processes(world).into_iter().filter(matches).collect()
}

/// Processes of a container, by its id (or the first six digits of it, or more) or its name where its engine has names; no
/// engine is asked.
pub fn by_container(world: &World, wanted: &str) -> Vec<i32> {
    const SHORTEST: usize = 6;
    let start: String = wanted.chars().take(12).collect::<String>().to_ascii_lowercase();
    let is_start = start.len() >= SHORTEST && start.chars().all(|c| c.is_ascii_hexdigit());
    let is_it = |c: Container| c.id == wanted || (is_start && c.id.starts_with(&start));
    let inside = |pid: &i32| containers(&world.proc_root.join(pid.to_string())).is_some_and(is_it);
    processes(world).into_iter().filter(inside).collect()
}

/// Processes of a control group and those below it.
pub fn by_cgroup(world: &World, path: &str) -> Vec<i32> {
    let wanted = format!("/{}", path.trim_matches('/'));
    let inside =
        |shown: String| shown == wanted || shown.starts_with(&format!("{}/", wanted.trim_end_matches('/')));
    processes(world).into_iter().filter(|p| Group::of(world, *p).is_ok_and(|g| inside(g.shown()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_by_the_shape_of_their_groups() {
        let id = "3f2a9c0d11aa22bb33cc44dd55ee66ff77889900aabbccddeeff001122334455";
        let uid = "1b4e28ba-2fa1-11d2-883f-0016d3cca427";
        let slice = uid.replace('-', "_");
        for (path, engine, pod) in [
            (format!("/system.slice/docker-{id}.scope"), "docker", false),
            (format!("/docker/{id}"), "docker", false),
            (
                format!(
                    "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{slice}.slice/cri-containerd-{id}.scope"
                ),
                "containerd",
                true,
            ),
            (format!("/kubepods/burstable/pod{uid}/{id}"), "containerd", true),
            (format!("/kubepods.slice/kubepods-pod{slice}.slice/crio-{id}.scope"), "cri-o", true),
            (format!("/machine.slice/libpod-{id}.scope"), "podman", false),
        ] {
            let c = container(&path).unwrap_or_else(|| panic!("{path}"));
            assert_eq!(
                (c.engine.as_str(), c.id.as_str(), c.pod_uid.is_some()),
                (engine, &id[..12], pod),
                "{path}"
            );
        }
        for (path, engine, id) in [
            (format!("/ecs/0f1e2d3c4b5a69788796a5b4c3d2e1f0/{id}"), "docker", &id[..12]),
            ("/lxc/web-1".to_owned(), "lxc", "web-1"),
            ("/lxc.payload.db/system.slice/mysql.service".to_owned(), "lxc", "db"),
            (format!("/nomad.slice/share.slice/{uid}.api.scope"), "nomad", &format!("{uid}.api")),
        ] {
            let c = container(&path).unwrap_or_else(|| panic!("{path}"));
            assert_eq!((c.engine.as_str(), c.id.as_str()), (engine, id), "{path}");
        }
        assert_eq!(container("/system.slice/nginx.service").map(|c| c.id), Some("nginx.service".to_owned()));
        assert_eq!(container("/"), None);
        assert_eq!(container("/user.slice/user-0.slice/session-1.scope"), None);
    }

    /// A fake machine with one process.
    fn machine(stat: &str, files: &[(&str, &str)]) -> (tempfile::TempDir, World) {
        let root = tempfile::tempdir().expect("a folder");
        let world = World::under(root.path());
        fs::create_dir_all(world.proc_root.join("7")).expect("a folder");
        fs::create_dir_all(&world.cgroup_root).expect("a folder");
        fs::write(world.proc_root.join("stat"), "cpu 1 2 3\nbtime 1700000000\n").expect("a file");
        for (name, text) in [("stat", stat)].iter().chain(files) {
            fs::write(world.proc_root.join("7").join(name), text).expect("a file");
        }
        (root, world)
    }

    const TAIL: &str = "S 1 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 12345 1000 1";

    #[test]
    fn the_environment_adds_flags_and_nothing_else_of_it_is_kept() {
        let (_keep, world) = machine(
            &format!("7 (node) {TAIL}"),
            &[
                ("comm", "node\n"),
                ("cmdline", "node\0--max-old-space-size=200\0/srv/app.js\0"),
                (
                    "environ",
                    "TOKEN=--inspect=secret\0NODE_OPTIONS=--max-old-space-size=300 --title=x --inspect\0",
                ),
            ],
        );
        std::os::unix::fs::symlink("/usr/bin/node", world.proc_root.join("7/exe")).expect("a link");
        let t = identify(&world, 7).expect("it lives");
        assert_eq!(t.flags, ["--max-old-space-size=200", "--max-old-space-size=300", "--inspect"]);
    }

    #[test]
    fn a_java_service_in_a_container_by_its_files_alone() {
        let line = "java\0-Xmx256m\0-Dpassword=secret\0-cp\0/a.jar\0com.example.Shop\0--token=x\0";
        let id = "3f2a9c0d11aa22bb33cc44dd55ee66ff77889900aabbccddeeff001122334455";
        let (_keep, world) = machine(
            &format!("7 (java) {TAIL}"),
            &[
                ("comm", "java\n"),
                ("cmdline", line),
                ("maps", "7f00-7f08 r-xp 00000000 08:01 99 /usr/lib/jvm/lib/server/libjvm.so (deleted)\n"),
                ("cgroup", &format!("0::/system.slice/docker-{id}.scope\n")),
            ],
        );
        std::os::unix::fs::symlink("/usr/bin/java (deleted)", world.proc_root.join("7/exe")).expect("a link");
        assert_eq!(program(&world, 7).as_deref(), Some(Path::new("/usr/bin/java")));
        let t = identify(&world, 7).expect("alive");
        assert_eq!((t.runtime, t.name.as_str()), (RuntimeKind::Jvm, "Shop"));
        assert_eq!(t.container.map(|c| c.engine).as_deref(), Some("docker"));
        assert!(t.flags.contains(&"-Xmx256m".to_owned()), "{:?}", t.flags);
        assert!(t.flags.iter().all(|f| !f.contains("secret") && !f.contains("token")), "{:?}", t.flags);
        assert_eq!(t.started, 1_700_000_000.0 + seconds(12345));
        assert_eq!((t.cgroup, t.limit_cgroup), (None, None), "the group cannot be seen from here");
        assert_eq!(by_name(&world, "Sho?"), [7]);
        assert_eq!(by_name(&world, "shop"), [0i32; 0]);
    }

    #[test]
    fn the_dead_and_the_kernel_are_no_targets() {
        let (_keep, world) = machine(&format!("7 (x) {}", TAIL.replacen('S', "Z", 1)), &[]);
        assert!(matches!(identify(&world, 7), Err(IdentifyError::Zombie(7))));
        assert!(processes(&world).is_empty());
        let (_keep, world) = machine(&format!("7 (kworker) {}", TAIL.replace("4194560", "2129984")), &[]);
        assert!(matches!(identify(&world, 7), Err(IdentifyError::Kernel(7))));
        assert!(matches!(identify(&world, 8), Err(IdentifyError::Absent(8))));
    }

    #[test]
    fn a_name_with_brackets_and_blanks_does_not_confuse_stat() {
        let tail = "S 1 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 12345 1000 1";
        let l = parse_life(&format!("7 (a) (b) c) {tail}")).expect("parses");
        assert_eq!(l, Life { state: 'S', start_ticks: 12345, kernel: false });
        assert!(
            parse_life(&format!("2 (kthreadd) {}", tail.replace("4194560", "2129984")))
                .expect("parses")
                .kernel
        );
        assert_eq!(parse_life("cut"), None);
    }

    #[test]
    fn this_process_is_native_and_absent_ones_are_said() {
        let world = World::default();
        let me = identify(&world, std::process::id().cast_signed()).expect("I am here");
        assert_eq!(me.runtime, RuntimeKind::Native);
        assert!(me.started > 1.6e9);
        assert!(matches!(identify(&world, i32::MAX - 1), Err(IdentifyError::Absent(_))));
        assert!(matches!(
            identify(&world, 2),
            Err(IdentifyError::Kernel(2) | IdentifyError::Absent(2) | IdentifyError::Read { .. })
        ));
    }
}
