//! The series that `plimsoll watch` keeps: an agent that is killed is not blind when it comes up again, what it kept is
//! judged as a recording, and damage costs what is damaged.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::rig::{Agent, Cage, cage, page};
use crate::{plimsoll, skipped, stderr, stdout};

const MIB: u64 = 1 << 20;
/// Keeps a MiB every twentieth of a second.
const LEAK: &str = "
import time
kept = []
while True:
    kept.append(b'x' * (1 << 20))
    time.sleep(0.05)
";

/// A program that leaks in a cage, killed in the end.
pub(crate) struct Leak(Child);

impl Leak {
    pub(crate) fn start(folder: &Path, cage: &Cage, name: &str) -> Option<Leak> {
        let script = folder.join(format!("{name}.py"));
        fs::write(&script, LEAK).expect("written");
        let line = format!("echo $$ > {}/cgroup.procs; exec python3 {}", cage.0.display(), script.display());
        let python = Command::new("python3").arg("-V").stdout(Stdio::null()).status();
        python.is_ok_and(|s| s.success()).then_some(())?;
        let child = Command::new("sh").args(["-c", &line]).stderr(Stdio::null()).spawn().expect("sh runs");
        Some(Leak(child))
    }
}

impl Drop for Leak {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

fn files(store: &Path) -> Vec<PathBuf> {
    let all = fs::read_dir(store.join("series")).into_iter().flatten().flatten();
    let mut all: Vec<PathBuf> = all.map(|e| e.path()).collect();
    all.sort();
    all
}

fn list(store: &str) -> Value {
    let out = plimsoll(&["series", "--store", store, "-o", "json"]);
    serde_json::from_str(&stdout(&out)).unwrap_or_else(|e| panic!("{e}: {}{}", stdout(&out), stderr(&out)))
}

#[test]
fn a_killed_agent_is_not_blind_when_it_comes_up_again() {
    let test = "series::a_killed_agent_is_not_blind_when_it_comes_up_again";
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let Some(cage) = cage(test, "series", 700 * MIB) else { return };
    let store = folder.path().join("store");
    let rules = "every: 250ms\nonly: ['leaky*']\n";
    let Some(_leak) = Leak::start(folder.path(), &cage, "leaky") else {
        return skipped(test, "there is no python3");
    };
    let mut agent = Agent::start(&store, rules);
    // It is certain enough of the climb to say that the end is near.
    agent.until(|e| e.workload == cage.workload() && e.level.is_some());
    agent.kill();
    let (mut agent, address) = Agent::serving(&store, rules);
    let up = agent.seen.first().expect("an event").text.clone();
    assert!(up.contains("known from before"), "{up}");
    // The first page already has a clock: four samples of its own would not tell one.
    let page = page(&address, |page| page.contains("plimsoll_limit_bytes{"));
    let looks = page.lines().find_map(|l| l.strip_prefix("plimsoll_agent_looks_total "));
    let looks: u32 = looks.expect("counted").parse().expect("a number");
    assert!(looks <= 4, "the page is too late to prove anything: {looks} looks");
    for family in
        ["plimsoll_time_to_oom_seconds", "plimsoll_floor_slope_bytes_per_second", "plimsoll_floor_bytes"]
    {
        let named = |l: &&str| l.starts_with(family) && l.contains(&cage.workload());
        assert!(page.lines().any(|l| named(&l)), "{family} after {looks} looks in\n{page}");
    }
    agent.until(|e| e.workload == cage.workload() && e.level.is_some());
    agent.kill();
    let name = store.display().to_string();
    let kept = list(&name);
    let live = &kept["targets"].as_array().expect("targets")[0];
    assert_eq!(
        (kept["kind"].as_str(), live["name"].as_str()),
        (Some("SeriesList"), Some("leaky.py")),
        "{kept:#}"
    );
    judged_alike(folder.path(), &name);
    damaged(&store, &name);
}

/// What was exported is judged as what is judged in the store.
fn judged_alike(folder: &Path, store: &str) {
    let exported = folder.join("leaky.jsonl");
    let to = exported.display().to_string();
    let out = plimsoll(&["series", "leaky.py", "--store", store, "--to", &to]);
    assert!(out.status.success(), "{}", stderr(&out));
    let there = plimsoll(&["triage", "--from", store, "--target", "leaky.py", "-o", "json"]);
    let here = plimsoll(&["triage", "--from", &to, "-o", "json"]);
    assert_eq!(stdout(&there), stdout(&here), "{}{}", stderr(&there), stderr(&here));
    let judged: Value = serde_json::from_str(&stdout(&here)).expect("JSON");
    let median = &judged["targets"][0]["clock"]["timeToOomSeconds"]["p50"];
    assert!(median.as_f64().is_some_and(|s| s > 0.0 && s < 300.0), "{judged:#}");
    // Everybody who is kept, ranked: the same clock, and where to go on.
    let whole = plimsoll(&["triage", "--from", store, "-o", "json"]);
    assert_eq!(whole.status.code(), Some(1), "{}", stderr(&whole));
    let all: Value = serde_json::from_str(&stdout(&whole)).expect("JSON");
    let leaky =
        all["targets"].as_array().expect("targets").iter().find(|t| t["target"]["name"] == "leaky.py");
    let leaky = leaky.unwrap_or_else(|| panic!("{all:#}"));
    assert_eq!(leaky["clock"]["timeToOomSeconds"], judged["targets"][0]["clock"]["timeToOomSeconds"]);
    let screen = stdout(&plimsoll(&["triage", "--from", store]));
    let next = format!("plimsoll triage --from {store} --target pid:");
    assert!(screen.contains("leaky.py") && screen.contains(&next), "{screen}");
    assert_eq!(plimsoll(&["triage", "--from", store, "--replay"]).status.code(), Some(2));
    // Nobody else is kept, and who is not is named.
    let nobody = plimsoll(&["triage", "--from", store, "--target", "nobody"]);
    assert_eq!(nobody.status.code(), Some(3), "{}", stderr(&nobody));
}

/// A damaged file costs what is damaged, and that is told.
fn damaged(store: &Path, name: &str) {
    let whole = list(name)["samples"].as_u64().expect("a number");
    let all = files(store);
    let [first, second] = all.as_slice() else { panic!("{all:?}") };
    let mut bytes = fs::read(first).expect("read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x40;
    fs::write(first, &bytes).expect("written");
    let out = plimsoll(&["series", "--store", name, "-o", "json"]);
    let kept: Value = serde_json::from_str(&stdout(&out)).expect("JSON");
    assert_eq!(out.status.code(), Some(5), "{}", stderr(&out));
    let warning = kept["warnings"][0].as_str().expect("a warning");
    assert!(warning.contains("checksum") && warning.contains(".series"), "{warning}");
    let left = kept["samples"].as_u64().expect("a number");
    assert!(left < whole && left > whole / 4, "{left} of {whole}");
    // A torn end is no damage: it is what a crash leaves.
    let bytes = fs::read(second).expect("read");
    fs::write(second, &bytes[..bytes.len() - 3]).expect("written");
    fs::remove_file(first).expect("removed");
    let out = plimsoll(&["series", "--store", name]);
    assert!(out.status.success(), "{}{}", stdout(&out), stderr(&out));
}
