//! `plimsoll audit`: manifests with their forms for CI, and a live JVM that is armed and disarmed.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{plimsoll, plimsoll_command, skipped, stderr, stdout};

const DEPLOYMENT: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop}
spec:
  template:
    spec:
      containers:
      - name: api
        image: eclipse-temurin:21-jre
        env:
        - {name: JAVA_TOOL_OPTIONS, value: -Xmx2g}
        resources: {limits: {memory: 1Gi}}
      - {name: side, image: shop-side}
";

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

fn finding<'v>(subject: &'v Value, id: &str) -> &'v Value {
    let findings = subject["findings"].as_array().expect("a list");
    findings.iter().find(|f| f["id"] == id).unwrap_or_else(|| panic!("no {id} in {subject:#}"))
}

#[test]
fn a_manifest_is_audited_offline_and_told_to_ci() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (file, sarif, junit) = (at("shop.yaml"), at("out.sarif"), at("out.xml"));
    fs::write(&file, DEPLOYMENT).expect("written");
    let out = plimsoll(&["audit", &file, "--sarif", &sarif, "--junit", &junit, "-o", "json"]);
    assert_eq!(out.status.code(), Some(1), "{}", stderr(&out));
    let subject = &json(&stdout(&out))["subjects"][0];
    assert_eq!((&subject["ready"], &subject["line"]), (&false.into(), &8.into()));
    let fires = finding(subject, "jvm/fires-at-this-limit");
    assert_eq!((&fires["state"], &fires["severity"]), (&"fails".into(), &"error".into()));
    let sarif = json(&fs::read_to_string(sarif).expect("written"));
    let results = sarif["runs"][0]["results"].as_array().expect("a list");
    let one = results.iter().find(|r| r["ruleId"] == "jvm/fires-at-this-limit").expect("is told");
    assert_eq!(one["locations"][0]["physicalLocation"]["region"]["startLine"], 8);
    let rules = sarif["runs"][0]["tool"]["driver"]["rules"].as_array().expect("a list");
    assert!(results.iter().all(|r| rules.iter().any(|rule| rule["id"] == r["ruleId"])), "{sarif:#}");
    let junit = fs::read_to_string(junit).expect("written");
    assert!(junit.contains("<failure type=\"error\"") && junit.contains("<skipped "), "{junit}");
    let parsed = Command::new("python3")
        .args(["-c", "import sys,xml.dom.minidom as m; m.parseString(sys.stdin.buffer.read())"])
        .stdin(Stdio::piped())
        .spawn()
        .and_then(|mut c| {
            use std::io::Write as _;
            c.stdin.take().expect("a pipe").write_all(junit.as_bytes())?;
            c.wait()
        });
    assert!(parsed.is_ok_and(|s| s.success()), "it is XML: {junit}");
}

#[test]
fn what_is_no_manifest_is_said_with_its_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("x.yaml").display().to_string();
    fs::write(&file, "kind: Pod\nspec: [\n").expect("written");
    let out = plimsoll(&["audit", &file]);
    assert_eq!(out.status.code(), Some(2));
    assert!(stderr(&out).contains("line"), "{}", stderr(&out));
    fs::write(&file, "kind: Service\n").expect("written");
    assert!(stderr(&plimsoll(&["audit", &file])).contains("no workload"));
}

/// A JVM that does nothing, and ends with the test.
struct Idle(std::process::Child);

impl Drop for Idle {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

#[test]
fn a_live_jvm_is_armed_and_disarmed() {
    let test = "audit::a_live_jvm_is_armed_and_disarmed";
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(
        folder.path().join("Idle.java"),
        "public class Idle { public static void main(String[] a) throws Exception { System.out.println(\"ready\"); System.in.read(); } }",
    )
    .expect("written");
    let idle = Command::new("java")
        .args(["-Xmx64m", "Idle.java"])
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut idle) = idle.map(Idle) else { return skipped(test, "there is no JDK") };
    // By then it handles the signal that wakes its attach listener.
    let mut ready = String::new();
    BufReader::new(idle.0.stdout.take().expect("a pipe")).read_line(&mut ready).expect("a line");
    let pid = idle.0.id().to_string();
    let state = folder.path().join("state");
    let run = |args: &[&str]| {
        let all: Vec<&str> = ["audit", &pid].iter().chain(args).copied().collect();
        plimsoll_command(&all).env("PLIMSOLL_STATE", &state).output().expect("runs")
    };
    let on = || {
        let out = run(&["-o", "json"]);
        finding(&json(&stdout(&out))["subjects"][0], "jvm/heap-dump-on-oom")["state"].clone()
    };
    assert_eq!(on(), "fails");
    let place = folder.path().display().to_string();
    let dry = run(&["--fix", "--dump-path", &place]);
    assert!(
        stdout(&dry).contains("would set HeapDumpOnOutOfMemoryError"),
        "{}{}",
        stdout(&dry),
        stderr(&dry)
    );
    assert_eq!(on(), "fails", "a dry run sets nothing");
    let done = run(&["--fix", "--dump-path", &place, "--go"]);
    assert_eq!(done.status.code(), Some(0), "{}", stderr(&done));
    assert_eq!(on(), "holds");
    let trail = fs::read_to_string(state.join("audit.jsonl")).expect("a trail");
    assert_eq!(trail.lines().count(), 2, "{trail}");
    let back = run(&["--undo", "--go"]);
    assert!(stdout(&back).contains("set HeapDumpOnOutOfMemoryError"), "{}", stderr(&back));
    assert_eq!(on(), "fails");
    assert!(stdout(&run(&["--undo", "--go"])).contains("nothing was armed"));
}
