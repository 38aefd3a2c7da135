//! `plimsoll oom`: logs and statuses that were brought along, and a real kill on this machine.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{plimsoll, plimsoll_command, skipped, stderr, stdout};

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn dmesg() -> String {
    let group = format!("/kubepods/pod11111111-2222-3333-4444-555555555555/{ID}");
    format!(
        "[Mon Nov 23 11:00:00 2026] java invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0\n\
         [Mon Nov 23 11:00:00 2026] memory: usage 524288kB, limit 524288kB, failcnt 97\n\
         [Mon Nov 23 11:00:00 2026] oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg={group},task_memcg={group},task=java,pid=77,uid=0\n\
         [Mon Nov 23 11:00:00 2026] Memory cgroup out of memory: Killed process 77 (java) total-vm:524288kB, anon-rss:517120kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:448kB oom_score_adj:0\n"
    )
}

fn pod() -> String {
    serde_json::json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "api", "namespace": "shop"},
        "spec": {"containers": [{"name": "app", "resources": {"limits": {"memory": "512Mi"}}}]},
        "status": {"containerStatuses": [{"name": "app", "restartCount": 1, "state": {"running": {}},
            "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137,
                "containerID": format!("containerd://{ID}"), "finishedAt": "2026-11-23T11:00:01Z"}}}]}
    })
    .to_string()
}

fn file(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, text).expect("a file");
    path.display().to_string()
}

fn json(args: &[&str]) -> (Value, Option<i32>) {
    let out = plimsoll(args);
    let text = stdout(&out);
    (serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}{}", stderr(&out))), out.status.code())
}

#[test]
fn a_log_and_a_status_of_the_same_death_are_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let (log, status) = (file(folder.path(), "dmesg.txt", &dmesg()), file(folder.path(), "pod.json", &pod()));
    let (r, code) = json(&["oom", &log, &status, "-o", "json"]);
    assert_eq!((code, r["kind"].as_str()), (Some(1), Some("Deaths")));
    let deaths = r["deaths"].as_array().expect("a list");
    assert_eq!(deaths.len(), 1, "{r:#}");
    assert_eq!(deaths[0]["who"], "java in container app of shop/api");
    assert_eq!(
        (&deaths[0]["manner"], &deaths[0]["certainty"]),
        (&"container-limit".into(), &"certain".into())
    );
    let alone = json(&["oom", &status, "-o", "json"]).0;
    assert_eq!(alone["deaths"][0]["certainty"], "likely", "a status alone is no proof");
    let screen = stdout(&plimsoll(&["oom", &log, &status]));
    assert!(screen.contains("CERTAIN") && screen.contains("shop/api: its own limit (512 MiB)"), "{screen}");
    let (r, code) = json(&["read", &log, "-o", "json"]);
    assert_eq!((code, r["artifact"]["kind"].as_str()), (Some(1), Some("deaths")));
}

#[test]
fn a_calm_log_and_a_missing_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let calm = file(folder.path(), "app.log", "2026-11-23 10:00:00 INFO all is well\n");
    let (r, code) = json(&["oom", &calm, "-o", "json"]);
    assert_eq!((code, r["deaths"].as_array().map(Vec::len)), (Some(0), Some(0)));
    let out = plimsoll(&["oom", "/no/such/file"]);
    assert_eq!(out.status.code(), Some(2));
    assert!(stderr(&out).contains("cannot open /no/such/file"));
}

#[test]
fn what_is_cut_says_so_and_ends_as_a_part() {
    let folder = tempfile::tempdir().expect("a folder");
    let whole = dmesg();
    let cut = file(folder.path(), "cut.txt", &whole[..whole.len() - 20]);
    let (r, code) = json(&["oom", &cut, "-o", "json"]);
    assert_eq!((code, &r["artifact"]["truncated"]), (Some(5), &Value::Bool(true)));
    assert!(stdout(&plimsoll(&["oom", &cut])).contains("CUT"));
    // Calm as far as it goes is not calm.
    let calm = file(folder.path(), "app.log", "2026-11-23 10:00:00 INFO all is well\n2026-11-23 10:0");
    assert_eq!(json(&["oom", &calm, "-o", "json"]).1, Some(5));
    // The other files do not make it whole.
    let log = file(folder.path(), "dmesg.txt", &whole);
    assert_eq!(json(&["oom", &cut, &log, "-o", "json"]).1, Some(5));
    assert_eq!(json(&["oom", &log, "-o", "json"]).1, Some(1));
}

#[test]
fn a_pipe_is_read() {
    let mut child = plimsoll_command(&["oom", "-", "-o", "json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("runs");
    child.stdin.take().expect("a pipe").write_all(dmesg().as_bytes()).expect("written");
    let out = child.wait_with_output().expect("ends");
    let r: Value = serde_json::from_slice(&out.stdout).expect("JSON");
    assert_eq!(r["deaths"][0]["times"][0], "Mon Nov 23 11:00:00 2026");
}

/// A control group that is removed again.
struct Cage(PathBuf);

impl Cage {
    fn make(limit: u64) -> std::io::Result<Cage> {
        let path = PathBuf::from(format!("/sys/fs/cgroup/memory/plimsoll-oom-{}", std::process::id()));
        fs::create_dir(&path)?;
        let cage = Cage(path);
        fs::write(cage.0.join("memory.limit_in_bytes"), limit.to_string())?;
        Ok(cage)
    }
}

impl Drop for Cage {
    fn drop(&mut self) {
        let _gone = fs::remove_dir(&self.0);
    }
}

#[test]
fn a_real_kill_is_found_by_the_log_and_by_the_count() {
    let test = "oom::a_real_kill_is_found_by_the_log_and_by_the_count";
    let cage = match Cage::make(16 << 20) {
        Ok(cage) => cage,
        Err(e) => return skipped(test, &format!("no control group of version 1 can be made: {e}")),
    };
    // A shell that fills a variable: its child-free memory is all its own.
    let fill =
        format!("echo $$ > {}/cgroup.procs; x=0123456789abcdef; while :; do x=$x$x; done", cage.0.display());
    let end = Command::new("bash").args(["-c", &fill]).stderr(Stdio::null()).status().expect("bash runs");
    assert!(!end.success(), "the kernel must have killed it");
    let (r, code) = json(&["oom", "-o", "json"]);
    assert_eq!(code, Some(1), "{r:#}");
    let group = format!("/{}", cage.0.file_name().expect("a name").to_string_lossy());
    let deaths = r["deaths"].as_array().expect("a list");
    let ours: Vec<&Value> = deaths.iter().filter(|d| d["controlGroup"] == group.as_str()).collect();
    assert_eq!(ours.len(), 1, "told once, by the log or by the count: {r:#}");
    if r["sources"][0]["says"].is_null() {
        assert_eq!(ours[0]["certainty"], "likely");
        return skipped(test, "the kernel's log cannot be read here: only the count was tested");
    }
    assert_eq!(
        (ours[0]["who"].as_str(), ours[0]["manner"].as_str()),
        (Some("bash"), Some("container-limit"))
    );
    assert_eq!(ours[0]["limitBytes"], 16 << 20);
    assert!(ours[0]["times"].to_string().contains(" ago)"), "{r:#}");
}
