//! What the agent costs, counted: reads, bytes and memory for a thousand processes in a hundred groups, over one of its
//! periods of ten seconds. Counts do not depend on how busy the machine is.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use plimsoll_core::agent::Rules;
use plimsoll_host::agent::Agent;
use plimsoll_host::world::World;

const PROCESSES: u32 = 1000;
const GROUPS: u32 = 100;
/// 1 % of a core are 100 ms in ten seconds. A read of a file of the kernel's costs some 2 µs (procfs) to 10 µs
/// (`memory.stat`), and a tenth of them is of the dear kind. Measured are 10,350 reads and 173 KB; eight of them for each
/// group ask its largest process what its runtime says of itself. What is kept of it all is one write: nothing changes here.
const MOST_READS: u64 = 12_000;
const MOST_WRITES: u64 = 100;
const MOST_BYTES: u64 = 1 << 20;
const MOST_RESIDENT: u64 = 40 << 20;

/// A machine with control groups of version 2, as files.
fn machine(root: &Path) -> World {
    let world = World::under(root);
    let write = |path: &Path, text: &str| {
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    };
    write(&world.cgroup_root.join("cgroup.controllers"), "memory\n");
    write(&world.proc_root.join("meminfo"), "MemTotal: 64000000 kB\nMemAvailable: 32000000 kB\n");
    write(&world.proc_root.join("stat"), "btime 1700000000\n");
    for group in 0..GROUPS {
        let folder = world.cgroup_root.join(format!("app-{group}"));
        for (file, text) in [
            ("memory.max", "1073741824\n"),
            ("memory.current", "300000000\n"),
            ("memory.stat", "anon 250000000\nfile 50000000\nshmem 0\nkernel 1000000\nslab_reclaimable 0\n"),
            ("memory.events", "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\n"),
            ("memory.high", "max\n"),
            ("memory.pressure", "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"),
            ("cgroup.procs", ""),
        ] {
            write(&folder.join(file), text);
        }
    }
    for pid in 100..100 + PROCESSES {
        let folder = world.proc_root.join(pid.to_string());
        let stat = format!("{pid} (app) S 1 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 12345 1000 1");
        write(&folder.join("stat"), &stat);
        write(&folder.join("statm"), "10000 8000 300 1 0 900 0\n");
        write(&folder.join("cgroup"), &format!("0::/app-{}\n", pid % GROUPS));
        write(&folder.join("comm"), "app\n");
        write(&folder.join("cmdline"), "/srv/app\0--port\08080\0");
        // A large program has some hundred mappings.
        let maps =
            "7f0000000000-7f0000001000 r-xp 00000000 08:01 1234      /usr/lib/libfoo.so.1\n".repeat(300);
        write(&folder.join("maps"), &maps);
    }
    world
}

fn field(file: &str, name: &str) -> u64 {
    let text = fs::read_to_string(file).expect("procfs");
    let line =
        text.lines().find_map(|l| l.strip_prefix(name)).unwrap_or_else(|| panic!("no {name} in {text}"));
    line.split_whitespace().next().and_then(|w| w.parse().ok()).expect("a number")
}

#[test]
fn a_thousand_processes_cost_a_bounded_number_of_reads_and_little_memory() {
    let root = tempfile::tempdir().expect("a folder");
    let world = machine(root.path());
    let stop = AtomicBool::new(false);
    let mut agent = Agent::open(&world, Rules::default(), &root.path().join("store")).expect("opens");
    let count = |name| field("/proc/self/io", name);
    let counted = || ["syscr: ", "rchar: ", "syscw: ", "wchar: "].map(count);
    let mut looks = Vec::new();
    agent.run(&stop, &mut |agent| {
        // The first look finds everything; then a whole period passes, with all that is done between two looks.
        if agent.looks() > looks.len() as u64 {
            looks.push(counted());
        }
        if looks.len() == 3 {
            stop.store(true, Ordering::Relaxed);
        }
    });
    assert_eq!(agent.rows().len(), GROUPS as usize, "every group is watched");
    let [_, before, after] = looks[..] else { panic!("{looks:?}") };
    let in_period: Vec<u64> = before.iter().zip(after).map(|(before, after)| after - before).collect();
    let [reads, bytes, writes, written] = in_period[..] else { panic!("{in_period:?}") };
    let resident = field("/proc/self/status", "VmHWM:") * 1024;
    let _unheard = std::io::Write::write_all(
        &mut std::io::stderr(),
        format!(
            "{reads} reads of {bytes} bytes and {writes} writes of {written} bytes in a period, \
             {resident} bytes resident at most\n"
        )
        .as_bytes(),
    );
    assert!(reads <= MOST_READS, "{reads} reads in a period");
    assert!(writes <= MOST_WRITES, "{writes} writes in a period");
    assert!(bytes <= MOST_BYTES, "{bytes} bytes in a period");
    assert!(resident <= MOST_RESIDENT, "{resident} bytes resident");
}
