//! Control groups of version 2 for real: a small machine under emulation runs the binary on a program that leaks.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use plimsoll_core::agent::brake::Means;
use plimsoll_core::agent::{Event, What};
use serde_json::Value;

use crate::skipped;

/// What the first process of each machine begins with.
const BEGIN: &str = r#"#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin HOME=/ TMPDIR=/tmp NO_COLOR=1
mount -t proc proc /proc
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
mount -t sysfs sysfs /sys
mount -t cgroup2 none /sys/fs/cgroup
dmesg -n 1
"#;

/// The first process of the machine. It has no compiler: what was compiled outside stands in for one.
const INIT: &str = r#"
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

/// The first process of a machine whose agent brakes: each brake by itself, an agent that is killed while one is on, and
/// one that looks once an hour, so that only the tripwire wakes it.
const BRAKES: &str = r#"exec 2>/dev/null
echo +memory >/sys/fs/cgroup/cgroup.subtree_control

run() { # name, brake, rate in KiB a second, time between looks, step at which the agent is killed
    group=/sys/fs/cgroup/$1
    mkdir "$group"
    echo 64M >"$group/memory.max"
    cp /leak "/bin/leak-$1"
    echo "{mode: capture, every: $4, only: [leak-$1], heavyBelow: 9s, brake: {use: $2, for: 4s, standStill: 4s}}" >"/tmp/$1.yaml"
    sh -c 'echo $$ >"$0/cgroup.procs"; exec "/bin/leak-$1" "rate=$2"' "$group" "$1" "$3" &
    leak=$!
    until [ -n "$(cat "$group/cgroup.procs")" ]; do usleep 10000; done
    PLIMSOLL_DIES_AT="$5" plimsoll watch --config "/tmp/$1.yaml" --store "/tmp/store-$1" --for 45s -o jsonl >"/tmp/$1.jsonl" 2>"/tmp/$1.err" &
    agent=$!
    tries=0
    until [ "$tries" -ge 400 ] || grep -q '"restored"' "/tmp/$1.jsonl" || ! kill -0 "$agent"; do tries=$((tries + 1)); usleep 100000; done
    kill "$agent"
    wait "$agent"
    if [ -n "$5" ]; then
        tries=0
        until [ "$tries" -ge 200 ] || [ "$(cat "$group/memory.high")" = max ]; do tries=$((tries + 1)); usleep 100000; done
    fi
    for f in memory.max memory.high cgroup.freeze; do echo "$f $(cat "$group/$f")"; done >"/tmp/$1.after"
    cut -d ' ' -f 2- "/tmp/store-$1/events.log" >"/tmp/$1.log"
    for f in jsonl err after log; do echo "@@$1.$f"; cat "/tmp/$1.$f"; done
    kill -9 "$leak"
}

run raise raise 4096 500ms ''
run throttle throttle 4096 500ms ''
run park park 4096 500ms ''
run freeze freeze 4096 500ms ''
run orphan park 4096 500ms braked
run trip raise 6144 1h ''
echo "@@end"
poweroff -f
"#;

/// The first process of a machine whose wall clock is set while an agent watches: two days ahead, then four back, and back
/// once more before another agent takes over its store.
const CLOCK: &str = r#"exec 2>/dev/null
echo +memory >/sys/fs/cgroup/cgroup.subtree_control
group=/sys/fs/cgroup/clock
mkdir "$group"
echo 64M >"$group/memory.max"
echo "{mode: capture, every: 500ms, only: [leak-*], heavyBelow: 9s, lightEvery: 1s, heavyEvery: 1s}" >/tmp/rules.yaml
watch() {
    plimsoll watch --config /tmp/rules.yaml --store /tmp/store --for 200s -o jsonl >"/tmp/$1.jsonl" 2>"/tmp/$1.err" &
    agent=$!
    until [ -s "/tmp/$1.jsonl" ]; do usleep 50000; done
}
set_by() { date -s "@$(($(date +%s) + $1))" >/dev/null; }
leak() { # name, rate in KiB a second
    cp /leak "/bin/leak-$1"
    sh -c 'echo $$ >"$0/cgroup.procs"; exec "/bin/leak-$1" "rate=$2"' "$group" "$1" "$2" &
    leak=$!
}
stored() { # lines that say so at least, or the program is gone
    until [ "$(grep -c '"stored"' /tmp/first.jsonl)" -ge "$1" ] || ! kill -0 "$leak"; do usleep 100000; done
    kill -9 "$leak"
    wait "$leak"
    until [ -z "$(cat "$group/cgroup.procs")" ]; do usleep 10000; done
}

watch first
set_by 172800
leak ahead 4096
stored 1
set_by -345600
leak back 4096
stored 2
leak held 10
until plimsoll restart "$leak" --store /tmp/store --go --wait 60s --signal KILL >/tmp/restart.txt 2>/tmp/restart.err || ! kill -0 "$leak"; do sleep 1; done
kill "$agent"
wait "$agent"
set_by -86400
leak after 4096
watch second
until grep -q '"stored"' /tmp/second.jsonl || ! kill -0 "$leak"; do usleep 100000; done
kill "$agent"
wait "$agent"
echo $? >/tmp/second.code
plimsoll incident list --store /tmp/store -o json >/tmp/incidents.json 2>/tmp/incidents.err
ls /tmp/store/captures >/tmp/captures
for f in first.jsonl first.err restart.txt restart.err second.jsonl second.code second.err incidents.json incidents.err captures; do
    echo "@@$f"
    cat "/tmp/$f"
done
echo "@@end"
poweroff -f
"#;

/// The root of the machine; `None` without a C compiler.
fn root(folder: &Path, init: &str) -> Option<()> {
    for sub in ["bin", "proc", "sys", "dev", "tmp"] {
        fs::create_dir_all(folder.join(sub)).expect("a folder");
    }
    let leak = folder.join("leak");
    let source = workspace().join("drills/c/native_leak.c");
    let built = Command::new("cc").args(["-O1", "-fno-builtin", "-o"]).arg(&leak).arg(source).status();
    built.ok().filter(std::process::ExitStatus::success)?;
    let init = format!("{BEGIN}{init}");
    for (name, text) in [("init", init.as_str()), ("bin/cc", COMPILER)] {
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
    let Some(console) = console(TEST, INIT) else { return };
    drill(&console);
    throttled(&console);
}

/// What a machine says; none where it cannot run.
fn console(test: &str, init: &str) -> Option<String> {
    let folder = tempfile::tempdir().expect("a folder");
    if root(folder.path(), init).is_none() {
        skipped(test, "there is no C compiler");
        return None;
    }
    let out = Command::new(workspace().join("scripts/guest")).arg(folder.path()).output().expect("it runs");
    if out.status.code() == Some(77) {
        skipped(test, String::from_utf8_lossy(&out.stderr).trim());
        return None;
    }
    Some(String::from_utf8_lossy(&out.stdout).replace('\r', ""))
}

#[test]
fn the_brakes_of_version_2_come_on_and_off_and_the_tripwire_wakes() {
    let Some(console) = console("brakes of version 2", BRAKES) else { return };
    let events = |name: &str| -> Vec<Event> {
        let lines = part(&console, &format!("{name}.jsonl")).lines();
        lines.map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}"))).collect()
    };
    for (name, means) in [
        ("raise", Means::Raise),
        ("throttle", Means::Throttle),
        ("park", Means::Park),
        ("freeze", Means::Freeze),
        ("trip", Means::Raise),
    ] {
        let events = events(name);
        let at = |what| events.iter().position(|e| e.what == what);
        let said = || format!("{events:#?}\n{}", part(&console, &format!("{name}.err")));
        let braked =
            events.iter().find(|e| e.what == What::Braked).unwrap_or_else(|| panic!("{name}: {}", said()));
        assert_eq!(braked.brake.as_ref().map(|held| held.means), Some(means), "{name}");
        // While it is on; under a slow machine, another level may come after it is off.
        let on = at(What::Braked).unwrap_or_default();
        let stored = events[on..].iter().position(|e| e.what == What::Stored).map(|n| on + n);
        assert!(stored.is_some(), "{name}: {}", said());
        assert!(at(What::Killed).is_none_or(|killed| stored < Some(killed)), "{name}: {}", said());
        if name != "raise" && name != "trip" {
            // A limit that is raised stays while it is in use. On a slow machine the first brake may come on when the first artifact is there already.
            let kinds: Vec<What> = events.iter().map(|e| e.what).collect();
            let taken_under = |on: &[What]| {
                let off = on.iter().position(|what| *what == What::Restored);
                off.is_some_and(|off| on[..off].contains(&What::Stored))
            };
            let mut brakes = kinds.split(|what| *what == What::Braked).skip(1);
            assert!(brakes.any(taken_under), "{name}: {}", said());
            let after = part(&console, &format!("{name}.after"));
            assert_eq!(after, "memory.max 67108864\nmemory.high max\ncgroup.freeze 0", "{name}");
        }
    }
    // It did not come to say so, but its log has it.
    let log = part(&console, "orphan.log");
    let last: Event = serde_json::from_str(log.lines().last().unwrap_or_default()).expect("an event");
    assert_eq!(last.what, What::Braked, "it was killed while the brake was on: {log}");
    assert!(part(&console, "orphan.after").contains("memory.high max"), "{}", part(&console, "orphan.after"));
}

#[test]
fn a_wall_clock_that_is_set_holds_up_no_capture_and_takes_none_away() {
    let Some(console) = console("a wall clock that is set", CLOCK) else { return };
    let events = |name: &str| -> Vec<Event> {
        let lines = part(&console, name).lines();
        lines.map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}"))).collect()
    };
    let (first, second) = (events("first.jsonl"), events("second.jsonl"));
    let said = || {
        format!("{first:#?}\n{second:#?}\n{}{}", part(&console, "first.err"), part(&console, "restart.err"))
    };
    let by = |e: &Event| e.text.strip_prefix("the wall clock was set by ")?.split_once(' ')?.0.parse().ok();
    let set: Vec<f64> = first.iter().filter_map(by).collect();
    assert!(
        matches!(set[..], [ahead, back] if (ahead - 172_800.0).abs() < 2.0 && (back + 345_600.0).abs() < 2.0),
        "{}",
        said()
    );
    // Its own times neither jump nor turn back; two threads may tell a moment in either order.
    assert!(
        first.iter().zip(&first[1..]).all(|(a, b)| (-1.0..100.0).contains(&(b.time - a.time))),
        "{}",
        said()
    );
    let folders: Vec<&str> = first
        .iter()
        .chain(&second)
        .filter(|e| e.what == What::Stored)
        .filter_map(|e| e.folder.as_deref())
        .collect();
    for name in ["leak-ahead", "leak-back", "leak-held", "leak-after"] {
        assert!(folders.iter().any(|f| f.contains(name)), "{name}: {}", said());
    }
    assert!(part(&console, "restart.txt").contains("it has ended"), "{}", said());
    assert_eq!(part(&console, "second.code"), "0", "{}", said());
    // Whatever was stored before is there, and is told in the end.
    let kept: Vec<&str> = part(&console, "captures").lines().collect();
    assert!(folders.iter().all(|f| kept.contains(f)), "{kept:?}");
    let incidents = json(&console, "incidents.json");
    assert!(incidents["incidents"].as_array().is_some_and(|all| !all.is_empty()), "{incidents}");
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
