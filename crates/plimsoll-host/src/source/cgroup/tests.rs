//! The control group source on fake trees.

use std::fs;
use std::path::PathBuf;

use super::*;

const MIB: f64 = 1048576.0;

/// A fake machine: a folder with /proc and the control groups.
fn world(cgroup_line: &str, files: &[(&str, &str)]) -> (tempfile::TempDir, World) {
    let root = tempfile::tempdir().expect("a folder");
    let world = World::under(root.path());
    let write = |path: PathBuf, text: &str| {
        fs::create_dir_all(path.parent().expect("has one")).expect("a folder");
        fs::write(path, text).expect("a file");
    };
    write(world.proc_root.join("7/cgroup"), cgroup_line);
    write(world.proc_root.join("meminfo"), "MemTotal: 8388608 kB\nMemAvailable: 4194304 kB\n");
    for (path, text) in files {
        write(world.cgroup_root.join(path), text);
    }
    (root, world)
}

fn sample(world: &World) -> Observation {
    let target = crate::identify::bare(7);
    let mut out = Observation::at(1.0);
    (KIND.open)(world, &target).expect("applies").sample(&mut out);
    out
}

#[test]
fn version_2_takes_the_tightest_ancestor_and_leaves_the_cache_out() {
    let stat = "anon 104857600\nfile 52428800\nkernel 10485760\nshmem 20971520\nslab_reclaimable 5242880\nworkingset_refault_anon 1\nworkingset_refault_file 2\n";
    let (_keep, world) = world(
        "0::/kubepods/pod1/c1\n",
        &[
            ("cgroup.controllers", "memory\n"),
            ("kubepods/memory.max", "max\n"),
            ("kubepods/pod1/memory.max", "268435456\n"),
            ("kubepods/pod1/memory.stat", stat),
            ("kubepods/pod1/memory.current", "188743680\n"),
            ("kubepods/pod1/memory.events", "low 0\nhigh 0\nmax 35\noom 1\noom_kill 2\noom_group_kill 1\n"),
            ("kubepods/pod1/memory.pressure", "some avg10=0 total=2000000\nfull avg10=0 total=1000000\n"),
            ("kubepods/pod1/c1/memory.max", "536870912\n"),
        ],
    );
    let o = sample(&world);
    assert_eq!(o.facts[&Fact::CgroupLimit], 256.0 * MIB);
    assert_eq!(o.facts[&Fact::CgroupUnreclaimable], 125.0 * MIB);
    assert_eq!(o.facts[&Fact::CgroupFile], 30.0 * MIB);
    assert_eq!(o.facts[&Fact::CgroupOomKills], 2.0);
    assert_eq!(o.facts[&Fact::CgroupLimitHits], 35.0);
    assert_eq!(o.facts[&Fact::CgroupRefaults], 3.0);
    assert_eq!(o.facts[&Fact::CgroupPsiFull], 1.0);
}

#[test]
fn version_1_with_a_limit_above_the_machine_has_no_limit() {
    let stat = "rss 1\ntotal_rss 1048576\ntotal_shmem 0\ntotal_inactive_file 3145728\ntotal_active_file 1048576\ntotal_workingset_refault_file 9\n";
    let (_keep, world) = world(
        "4:memory:/app\n0::/\n",
        &[
            ("memory/app/memory.limit_in_bytes", "68719476736\n"),
            ("memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("memory/app/memory.usage_in_bytes", "6291456\n"),
            ("memory/app/memory.stat", stat),
            ("memory/app/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"),
        ],
    );
    let o = sample(&world);
    assert!(o.unknown.contains_key(&Fact::CgroupLimit));
    assert_eq!(o.facts[&Fact::CgroupUnreclaimable], 2.0 * MIB);
    assert_eq!(o.facts[&Fact::CgroupOomKills], 3.0);
}

#[test]
fn the_root_group_and_a_missing_hierarchy_say_so() {
    let (_keep, w) = world("0::/\n", &[("cgroup.controllers", "memory\n")]);
    assert!(sample(&w).unknown[&Fact::CgroupLimit].contains("root control group"));
    let (_keep, w) = world("3:memory:/x\n", &[]);
    assert!(sample(&w).unknown[&Fact::CgroupLimit].contains("not mounted"));
    let (_keep, w) = world("", &[]);
    assert!(sample(&w).unknown[&Fact::CgroupLimit].contains("no memory control group"));
}

/// Version 1 on a machine with both hierarchies, as systemd mounts them.
const HYBRID: &str = "4:memory:/system.slice/app.service\n0::/system.slice/app.service\n";

fn v1_group(folder: &str, limit: &str, kills: u32) -> Vec<(String, String)> {
    [
        ("memory.limit_in_bytes", limit.to_owned()),
        ("memory.usage_in_bytes", "6291456\n".to_owned()),
        ("memory.kmem.usage_in_bytes", "524288\n".to_owned()),
        ("memory.failcnt", "12\n".to_owned()),
        ("memory.stat", "total_rss 1048576\ntotal_inactive_file 3145728\ntotal_active_file 0\n".to_owned()),
        ("memory.oom_control", format!("oom_kill_disable 0\nunder_oom 0\noom_kill {kills}\n")),
        ("cgroup.procs", "7\n8\n".to_owned()),
    ]
    .map(|(name, text)| (format!("{folder}/{name}"), text))
    .to_vec()
}

fn tree(line: &str, files: &[(String, String)]) -> (tempfile::TempDir, World) {
    let files: Vec<(&str, &str)> = files.iter().map(|(p, t)| (p.as_str(), t.as_str())).collect();
    world(line, &files)
}

const NONE_V1: &str = "9223372036854771712\n";

#[test]
fn hybrid_reads_the_limiting_slice_and_the_pressure_of_the_unified_group() {
    let mut files = v1_group("memory/system.slice/app.service", NONE_V1, 2);
    files.extend(v1_group("memory/system.slice", "67108864\n", 1));
    files.push((
        "unified/system.slice/app.service/memory.pressure".to_owned(),
        "some avg10=0 total=3000000\nfull avg10=0 total=500000\n".to_owned(),
    ));
    files.push(("unified/cgroup.controllers".to_owned(), String::new()));
    let (_keep, w) = tree(HYBRID, &files);
    let o = sample(&w);
    assert_eq!(o.facts[&Fact::CgroupLimit], 64.0 * MIB);
    assert_eq!(o.facts[&Fact::CgroupLimitHits], 12.0);
    assert_eq!(o.facts[&Fact::CgroupKernel], 0.5 * MIB);
    assert_eq!(o.facts[&Fact::CgroupOomKills], 3.0, "the slice's own and the service's");
    assert_eq!(o.facts[&Fact::CgroupProcesses], 4.0, "with those of the service below");
    assert_eq!((o.facts[&Fact::CgroupPsiSome], o.facts[&Fact::CgroupPsiFull]), (3.0, 0.5));
    assert!(o.unknown[&Fact::CgroupHigh].contains("version 1"));
    let group = Group::of(&w, 7).expect("found");
    assert_eq!(group.binding(None).1.shown(), "/system.slice");
    assert_eq!(group.oom_kills(), Some(2.0));
}

#[test]
fn a_limit_above_the_machine_does_not_move_the_reading_to_the_group_that_sets_it() {
    let mut files = v1_group("memory/a/b", NONE_V1, 0);
    files.extend(v1_group("memory/a", "68719476736\n", 0));
    let (_keep, w) = tree("4:memory:/a/b\n", &files);
    let group = Group::of(&w, 7).expect("found");
    let machine = super::super::host_memory::total(&w);
    assert_eq!(group.binding(machine).0, None);
    assert_eq!(group.binding(machine).1.shown(), "/a/b");
}

#[test]
fn a_flat_parent_of_old_does_not_bind() {
    let mut files = v1_group("memory/a/b", "67108864\n", 0);
    files.extend(v1_group("memory/a", "1048576\n", 0));
    files.push(("memory/a/memory.use_hierarchy".to_owned(), "0\n".to_owned()));
    let (_keep, w) = tree("4:memory:/a/b\n", &files);
    assert_eq!(Group::of(&w, 7).expect("found").binding(None).0, Some(64.0 * MIB));
}

/// A mount table line for a fake hierarchy.
fn mount_line(w: &World, point: &str, top: &str, kind: &str) {
    let at = w.cgroup_root.join(point);
    fs::create_dir_all(w.proc_root.join("self")).expect("a folder");
    let line = format!("35 31 0:32 {top} {} rw,relatime shared:9 - {kind}\n", at.display());
    fs::write(w.proc_root.join("self/mountinfo"), line).expect("a file");
}

#[test]
fn in_a_container_the_mount_shows_the_own_group_and_a_hidden_limit_counts() {
    let mut files = v1_group("memory", NONE_V1, 0);
    files.extend(v1_group("memory/sub", NONE_V1, 0));
    let stat = "hierarchical_memory_limit 33554432\ntotal_rss 1048576\n";
    files.push(("memory/sub/memory.stat".to_owned(), stat.to_owned()));
    let (_keep, w) = tree("4:memory:/docker/3f2a/sub\n", &files);
    mount_line(&w, "memory", "/docker/3f2a", "cgroup cgroup rw,memory");
    let group = Group::of(&w, 7).expect("found");
    assert_eq!(group.shown(), "/sub");
    assert_eq!(group.binding(None).0, Some(32.0 * MIB), "the pod's limit, above what is mounted");
    assert!(!group.is_machine());
}

#[test]
fn a_group_of_another_namespace_is_not_taken_for_the_root() {
    for inner in ["/../x", "/elsewhere"] {
        let (_keep, w) = world(&format!("0::{inner}\n"), &[("cgroup.controllers", "memory\n")]);
        let o = sample(&w);
        assert!(o.unknown[&Fact::CgroupLimit].contains("another namespace"), "{:?}", o.unknown);
    }
}

#[test]
fn version_2_counts_further_up_where_the_controller_is_off() {
    let (_keep, w) = world(
        "0::/user.slice/app/leaf\n",
        &[
            ("cgroup.controllers", "memory\n"),
            ("user.slice/app/memory.current", "1048576\n"),
            ("user.slice/app/memory.max", "max\n"),
            ("user.slice/app/memory.high", "2097152\n"),
            ("user.slice/app/memory.stat", "anon 1048576\nfile 0\nshmem 0\nslab 4096\nkernel_stack 4096\n"),
            ("user.slice/app/cgroup.procs", ""),
            ("user.slice/app/leaf/cgroup.procs", "7\n"),
        ],
    );
    let o = sample(&w);
    assert_eq!(o.facts[&Fact::CgroupUsage], MIB);
    assert_eq!(o.facts[&Fact::CgroupHigh], 2.0 * MIB);
    assert_eq!(o.facts[&Fact::CgroupKernel], 8192.0, "a kernel before 5.18: the sum of its parts");
    assert_eq!(o.facts[&Fact::CgroupProcesses], 1.0);
    assert!(o.unknown[&Fact::CgroupLimit].contains("no group above"));
    assert!(o.unknown[&Fact::CgroupPsiFull].contains("/user.slice/app"));
}

#[test]
fn a_raised_limit_and_a_vanished_group_are_seen() {
    let (_keep, w) = tree("4:memory:/a\n", &v1_group("memory/a", "67108864\n", 0));
    let mut source = (KIND.open)(&w, &crate::identify::bare(7)).expect("applies");
    let mut out = Observation::at(1.0);
    source.sample(&mut out);
    assert_eq!(out.facts[&Fact::CgroupLimit], 64.0 * MIB);
    fs::write(w.cgroup_root.join("memory/a/memory.limit_in_bytes"), "134217728\n").expect("a file");
    let mut out = Observation::at(1.0 + LIMITS_EVERY);
    source.sample(&mut out);
    assert_eq!(out.facts[&Fact::CgroupLimit], 128.0 * MIB);
    fs::write(w.cgroup_root.join("memory/a/memory.usage_in_bytes"), "").expect("a file");
    let mut out = Observation::at(2.0 + LIMITS_EVERY);
    source.sample(&mut out);
    assert!(out.unknown[&Fact::CgroupUsage].contains("any more"));
}
