//! Logs and documents as they come, and cut.

use super::*;
use crate::formats::{self, Kind as _, Recognised};
use crate::reading::Context;
use plimsoll_core::classify::Certainty;
use plimsoll_core::death::Manner;

const KERNEL: &str = "\
Nov 23 11:00:00 host kernel: java invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0
Nov 23 11:00:00 host kernel: memory: usage 524288kB, limit 524288kB, failcnt 97
Nov 23 11:00:00 host kernel: oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/a,task_memcg=/a,task=java,pid=PID,uid=0
Nov 23 11:00:00 host kernel: Memory cgroup out of memory: Killed process PID (java) total-vm:524288kB, anon-rss:307200kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:448kB oom_score_adj:5
";

fn read(text: &str) -> Deaths {
    parse(&mut text.as_bytes())
}

fn reading(text: &str) -> formats::Reading {
    match formats::read(text.as_bytes()).unwrap() {
        Recognised::Artifact(found) => {
            assert_eq!(found.format, Deaths::NAME);
            found.reading(&Context::default()).unwrap()
        }
        _ => panic!("not recognised"),
    }
}

fn kernel(hour: u32, pid: u32) -> String {
    KERNEL.replace("PID", &pid.to_string()).replace("11:00:00", &format!("{hour:02}:00:00"))
}

#[test]
fn deaths_in_a_row_are_one_story_with_an_interval() {
    let text: String = (1..5).map(|h| kernel(h, h * 100)).collect();
    let r = reading(&text);
    assert!(r.head.summary.ends_with("(4 times, every 60 min)"), "{}", r.head.summary);
    assert_eq!(r.value["deaths"][0]["manner"], "container-limit");
    assert_eq!(r.value["deaths"][0]["intervalSeconds"], 3600.0);
    assert_eq!(r.value["deaths"][0]["limitBytes"], 512 << 20);
}

#[test]
fn a_journal_as_json_says_the_same_and_a_program_cannot_forge_a_kill() {
    let record = |l: &str, transport: &str| {
        format!(
            "{}\n",
            serde_json::json!({"__CURSOR": "x", "__REALTIME_TIMESTAMP": "1795431600000000", "MESSAGE": l, "_TRANSPORT": transport})
        )
    };
    let message = |l: &str| l.split_once("kernel: ").unwrap().1.to_owned();
    let journal =
        |transport| kernel(11, 7).lines().map(|l| record(&message(l), transport)).collect::<String>();
    let d = read(&journal("kernel")).list();
    assert_eq!(
        (d.len(), d[0].manner, d[0].times[0].seconds),
        (1, Manner::ContainerLimit, Some(1_795_431_600.0))
    );
    assert!(read(&journal("stdout")).list().is_empty());
    let export: String =
        kernel(11, 7).lines().map(|l| format!("PRIORITY=4\nMESSAGE={}\n\n", message(l))).collect();
    assert_eq!(read(&export).list().len(), 1);
}

#[test]
fn every_form_of_a_journal_as_json_says_the_same() {
    let journal = |transport: &str, form: &dyn Fn(Value) -> String| -> String {
        let message = |l: &str| l.split_once("kernel: ").expect("of the kernel").1.to_owned();
        let record = |l: &str| {
            form(serde_json::json!({"__CURSOR": "x", "_TRANSPORT": transport, "_HOSTNAME": "n".repeat(500),
                "__REALTIME_TIMESTAMP": "1795431600000000", "MESSAGE": message(l)}))
        };
        kernel(11, 7).lines().map(record).collect()
    };
    let as_bytes = |mut record: Value| {
        let message = record["MESSAGE"].as_str().expect("text").as_bytes().to_vec();
        record["MESSAGE"] = message.into();
        record
    };
    let forms: [&dyn Fn(Value) -> String; 5] = [
        &|r| format!("{r}\n"),
        &|r| format!("{r:#}\n"),
        &|r| format!("data: {r}\n\n"),
        &|r| format!("\u{1e}{r}\n"),
        &|r| format!("{}\n", as_bytes(r)),
    ];
    let wanted = reading(&journal("kernel", forms[0])).value["deaths"].clone();
    assert_eq!(
        (&wanted[0]["manner"], &wanted[0]["certainty"]),
        (&"container-limit".into(), &"certain".into())
    );
    for form in forms {
        let text = journal("kernel", form);
        assert_eq!(reading(&text).value["deaths"], wanted, "{text}");
        assert!(read(&journal("stdout", form)).list().is_empty(), "a program may not forge a kill");
        for end in (0..text.len()).step_by(37) {
            assert!(parse(&mut &text.as_bytes()[..end]).list().len() <= 1);
        }
    }
    let braces: String = kernel(11, 7).lines().map(|l| format!("{l}\n")).collect();
    for log in [format!("{{\n{braces}}}\n"), format!("{{\n{braces}")] {
        assert_eq!(read(&log).list().len(), 1, "{log}");
    }
    let empty = "{\"__CURSOR\":\"x\",\"MESSAGE\":null,\"_TRANSPORT\":\"kernel\"}\n";
    assert!(reading(empty).head.summary.starts_with("nobody died"));
}

#[test]
fn events_of_a_node_say_who_died_and_how_sure_that_is() {
    let kill =
        "Memory cgroup out of memory: Killed process 4711 (java) total-vm:8kB, anon-rss:4kB, file-rss:0kB";
    let heard = "System OOM encountered, victim process: java, pid: 4711";
    let table =
        format!("5m  Warning  OOMKilling  node/n1  {kill}\n7m  Warning  SystemOOM  node/n1  {heard}\n");
    let event = |reason: &str, message: &str| serde_json::json!({"kind": "Event", "reason": reason, "message": message});
    let list = serde_json::json!({"apiVersion": "v1", "kind": "List",
        "items": [event("SystemOOM", heard), event("OOMKilling", kill)]});
    for text in [table, list.to_string()] {
        let r = reading(&text);
        let deaths = &r.value["deaths"];
        assert_eq!(
            (deaths.as_array().map(Vec::len), &deaths[0]["certainty"]),
            (Some(1), &"likely".into()),
            "{deaths}"
        );
        assert!(r.head.summary.contains("likely its own limit"), "{}", r.head.summary);
    }
}

#[test]
fn a_programs_log_tells_of_its_own_end_deep_within() {
    let chatter = "2026-11-23 10:00:00 INFO request served in 3 ms\n".repeat(50_000);
    let end = "2026-11-23 11:00:00 ERROR java.lang.OutOfMemoryError: Java heap space\n\tat a.B.c(B.java:1)\n";
    let r = reading(&format!("{chatter}{end}{chatter}{end}"));
    assert_eq!(r.value["deaths"][0]["count"], 2);
    assert_eq!(r.head.findings[0].certainty, Certainty::Likely);
    assert_eq!(r.value["deaths"][0]["times"][0], "2026-11-23 11:00:00");
    assert!(matches!(formats::read(chatter.as_bytes()).unwrap(), Recognised::Unknown(_)));
}

#[test]
fn yaml_and_json_of_a_pod_say_the_same() {
    let yaml = "\
apiVersion: v1
kind: Pod
metadata:
  name: api
  namespace: shop
spec:
  containers:
  - name: app
    resources:
      limits:
        memory: 512Mi
status:
  containerStatuses:
  - name: app
    restartCount: 3
    lastState:
      terminated:
        reason: OOMKilled
        exitCode: 137
        finishedAt: \"2026-11-23T11:00:00Z\"
";
    let value: Value = serde_saphyr::from_str(yaml).unwrap();
    let (a, b) = (reading(yaml), reading(&serde_json::to_string_pretty(&value).unwrap()));
    assert_eq!(a.value["deaths"], b.value["deaths"]);
    assert_eq!(a.value["deaths"][0]["who"], "container app of shop/api");
    assert_eq!(read(&format!("---\n{yaml}---\n{yaml}")).traces.len(), 2);
}

#[test]
fn a_calm_log_is_an_answer() {
    let r = reading("[    0.000000] Linux version 6.1.0 (a@b)\n[    1.000000] hello\n");
    assert!(r.head.summary.starts_with("nobody died"), "{}", r.head.summary);
    assert!(!r.head.findings[0].accuses());
}

#[test]
fn every_cut_and_every_flood_is_read() {
    let text = kernel(11, 7);
    for end in 0..text.len() {
        assert!(read(&text[..end]).list().len() <= 1);
    }
    let flood: String = (0..TRACES_KEPT + 5)
        .map(|i| format!("Out of memory: Killed process {} (x) total-vm:1kB, anon-rss:1kB\n", i + 1))
        .collect();
    let d = read(&flood);
    assert_eq!((d.traces.len(), d.warnings.list().len()), (TRACES_KEPT, 1));
    assert_eq!(d.list()[0].count, TRACES_KEPT as u64);
}

#[test]
fn sources_are_joined() {
    let mut all = read(&kernel(11, 7));
    all.and(read("FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory\n"));
    let r = told(&all, "two sources");
    assert!(r.head.summary.starts_with("2 deaths, of 2 kinds"), "{}", r.head.summary);
}

#[test]
fn a_pod_that_was_described_without_its_end_says_so() {
    let pod = "Name:  a\nNamespace:  b\nContainers:\n  c:\n    State:  Running\n    Last State:  Terminated\n      Reason:  OOMKilled\n      Exit Code:  137\nConditions:\n  Ready True\n";
    let of = |text: &str| parse(&mut text.as_bytes()).truncated;
    assert_eq!(of(pod).as_deref(), Some(NO_END));
    assert_eq!(of(&format!("{pod}Events:  <none>\n")), None);
    // kubectl describe --show-events=false: nothing speaks for a cut.
    let last = "Tolerations:  a op=Exists for 300s\n              b op=Exists for 300s\n";
    assert_eq!(of(&format!("{pod}QoS Class:  Burstable\n{last}")), None);
    assert_eq!(of(&format!("{pod}QoS Class:  Burstable\n")).as_deref(), Some(NO_END));
    assert_eq!(of(&format!("{pod}{}", last.trim_end())).as_deref(), Some(OPEN));
    assert_eq!(of("Name: x\n2026-01-01 a log\n"), None);
}
