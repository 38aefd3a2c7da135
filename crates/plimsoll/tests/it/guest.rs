//! Control groups of version 2 for real: a small machine under emulation runs the binary on a program that leaks.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::skipped;

/// The first process of the machine. It has no compiler: what was compiled outside stands in for one.
const INIT: &str = r#"#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin HOME=/ TMPDIR=/tmp NO_COLOR=1
mount -t proc proc /proc
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
mount -t sysfs sysfs /sys
mount -t cgroup2 none /sys/fs/cgroup
dmesg -n 1

plimsoll drill native-leak:c --limit 32MiB --rate 1024 --for 14s --record /tmp/drill.jsonl -o json >/tmp/drill.json 2>/tmp/drill.err
ls /sys/fs/cgroup >/tmp/groups

mkdir /sys/fs/cgroup/throttled
echo 24M >/sys/fs/cgroup/throttled/memory.high
echo 64M >/sys/fs/cgroup/throttled/memory.max
sh -c 'echo $$ >/sys/fs/cgroup/throttled/cgroup.procs; exec /leak rate=6144' &
until [ "$(cat /sys/fs/cgroup/throttled/memory.current)" -gt 25000000 ]; do usleep 100000; done
plimsoll triage "$(cat /sys/fs/cgroup/throttled/cgroup.procs)" --for 10s --whole -o json >/tmp/throttled.json 2>/tmp/throttled.err

for f in drill.json drill.err drill.jsonl groups throttled.json throttled.err; do
    echo "@@$f"
    cat "/tmp/$f"
done
echo "@@end"
poweroff -f
"#;

/// Says where to, among the arguments of a compiler.
const COMPILER: &str = "#!/bin/sh\nwhile [ \"$1\" != -o ]; do shift; done\ncp /leak \"$2\"\n";

/// The root of the machine; `None` without a C compiler.
fn root(folder: &Path) -> Option<()> {
    for sub in ["bin", "proc", "sys", "dev", "tmp"] {
        fs::create_dir_all(folder.join(sub)).expect("a folder");
    }
    let leak = folder.join("leak");
    let source = workspace().join("drills/c/native_leak.c");
    let built = Command::new("cc").args(["-O1", "-fno-builtin", "-o"]).arg(&leak).arg(source).status();
    built.ok().filter(std::process::ExitStatus::success)?;
    for (name, text) in [("init", INIT), ("bin/cc", COMPILER)] {
        fs::write(folder.join(name), text).expect("written");
        fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o755)).expect("ours");
    }
    let binary = Path::new(env!("CARGO_BIN_EXE_plimsoll"));
    let stripped = folder.join("bin/plimsoll");
    let strip = Command::new("strip").arg("-o").arg(&stripped).arg(binary).status();
    if !strip.is_ok_and(|s| s.success()) {
        fs::copy(binary, stripped).expect("copied");
    }
    for library in libraries(binary).into_iter().chain(libraries(&leak)) {
        let to = folder.join(library.strip_prefix("/").expect("absolute"));
        fs::create_dir_all(to.parent().expect("a folder")).expect("made");
        fs::copy(&library, to).expect("copied");
    }
    Some(())
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What a program is linked with, the loader among it.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let out = Command::new("ldd").arg(program).output().expect("ldd runs");
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    text.split_whitespace().filter(|w| w.starts_with('/')).map(PathBuf::from).collect()
}

/// What stands under a mark of the machine's console.
fn part<'a>(console: &'a str, mark: &str) -> &'a str {
    let from = console.find(&format!("@@{mark}")).unwrap_or_else(|| panic!("no {mark} in {console}"));
    let rest = &console[from + 2 + mark.len()..];
    rest.split("@@").next().unwrap_or(rest).trim()
}

fn json(console: &str, mark: &str) -> Value {
    let text = part(console, mark);
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e} in {mark}: {text}"))
}

#[test]
fn a_leak_in_a_group_of_version_2_is_clocked_throttled_and_its_end_told() {
    const TEST: &str = "control groups of version 2";
    let folder = tempfile::tempdir().expect("a folder");
    if root(folder.path()).is_none() {
        return skipped(TEST, "there is no C compiler");
    }
    let out = Command::new(workspace().join("scripts/guest")).arg(folder.path()).output().expect("it runs");
    if out.status.code() == Some(77) {
        return skipped(TEST, String::from_utf8_lossy(&out.stderr).trim());
    }
    let console = String::from_utf8_lossy(&out.stdout).replace('\r', "");
    drill(&console);
    throttled(&console);
}

/// A drill makes its cage, watches, waits for the real end and cleans up.
fn drill(console: &str) {
    let drill = json(console, "drill.json");
    assert_eq!(drill["cause"], "retention", "{drill}\n{}", part(console, "drill.err"));
    assert_eq!(drill["found"], true, "{drill}");
    let ended = drill["ended"].as_str().expect("it ended");
    assert!(ended.contains("was at its limit of 32.0 MiB and out of memory"), "{ended}");
    let clock = &drill["clock"];
    let (low, real) = (clock["predictedSeconds"]["p10"].as_f64(), clock["realSeconds"].as_f64());
    assert!(low < real && real < Some(3.0 * low.expect("told")), "{clock}");
    assert!(!part(console, "groups").contains("plimsoll-drill"), "the cage is left");

    let recording: Vec<Value> =
        part(console, "drill.jsonl").lines().map(|l| serde_json::from_str(l).expect("JSON")).collect();
    let ever =
        |fact: &str| recording.iter().filter_map(|o| o["facts"][fact].as_f64()).fold(f64::NAN, f64::max);
    assert_eq!(ever("cgroup.limit"), f64::from(32 << 20));
    for fact in ["cgroup.unreclaimable", "cgroup.anon"] {
        assert!(ever(fact) > f64::from(20 << 20), "{fact}: {}", ever(fact));
    }
    // The slow machine seldom walks a large heap before it has changed.
    assert!(ever("malloc.inUse") > f64::from(1 << 20), "{}", ever("malloc.inUse"));
    assert!(ever("cgroup.psiSome") >= 0.0, "pressure of the group");
    assert_eq!(recording[0]["target"]["name"], "drill");
}

/// Above `memory.high` the kernel puts the group to sleep: it hardly climbs any more, and serves nobody.
fn throttled(console: &str) {
    let triage = &json(console, "throttled.json")["targets"][0];
    let bounds = triage["bounds"].as_array().expect("a list");
    let line =
        bounds.iter().find(|b| b["limitBytes"] == f64::from(24 << 20)).expect("memory.high is a bound");
    assert_eq!(line["degradesOnly"], true, "{line}");
    assert_eq!(triage["clock"]["decision"], "already-unresponsive", "{triage:#}");
    let reason = triage["clock"]["reason"].as_str().expect("words");
    assert!(reason.contains("throttling line (memory.high)"), "{reason}");
    let zone = &triage["clock"]["deadZone"];
    assert!(zone["stallShare"].as_f64() > Some(0.1), "{zone}");
}
