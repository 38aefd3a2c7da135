//! Thread dumps of every form, whole, cut, damaged.

use plimsoll_core::classify::Certainty;
use proptest::prelude::*;

use super::*;

const TEXT: &str = "\
2026-01-02 03:04:05
Full thread dump OpenJDK 64-Bit Server VM (17.0.15+6 mixed mode):

\"main\" #1 prio=5 os_prio=0 cpu=1.0ms elapsed=1.0s tid=0x1 nid=0x2 runnable  [0x3]
   java.lang.Thread.State: RUNNABLE
\tat App.main(App.java:1)

\"pool-1-thread-1\" #12 prio=5 os_prio=0 tid=0x1 nid=0x2 waiting on condition  [0x3]
   java.lang.Thread.State: TIMED_WAITING (sleeping)

\"pool-2-thread-17\" #13 prio=5 os_prio=0 tid=0x1 nid=0x2 waiting on condition  [0x3]
   java.lang.Thread.State: TIMED_WAITING (parking)

\"say \"hi\" 7\" #14 daemon prio=5 os_prio=0 tid=0x1 nid=0x2 waiting  [0x3]
   java.lang.Thread.State: WAITING (on object monitor)

\"VM Thread\" os_prio=0 cpu=1ms tid=0x1 nid=0x2 runnable

JNI global refs: 15, weak refs: 0
";

fn thread(name: &str, state: &str, lines: &str) -> String {
    format!("\"{name}\" #9 prio=5 tid=0x1 nid=0x2 x\n   java.lang.Thread.State: {state}\n{lines}\n")
}

fn dump(threads: &str) -> String {
    format!(
        "Full thread dump OpenJDK 64-Bit Server VM (21.0.2+13 mixed mode):\n\n{threads}JNI global refs: 1\n"
    )
}

#[test]
fn pools_are_counted_by_normalised_name_and_state() {
    let d = parse(TEXT.as_bytes()).unwrap();
    let last = d.last().unwrap();
    assert_eq!((last.total, last.jvm, last.time.as_deref()), (5, Some(17), Some("2026-01-02 03:04:05")));
    assert_eq!(d.truncated, None);
    let Some(Artifact::Threads { groups, total }) = d.artifact() else { panic!("no artifact") };
    let shown: Vec<_> = groups.iter().map(|g| (g.count, g.top.as_str(), g.state.as_deref())).collect();
    assert_eq!(total, 5);
    assert_eq!(
        shown,
        [
            (2, "pool-N-thread-N", Some("TIMED_WAITING")),
            (1, "VM Thread", None),
            (1, "main", Some("RUNNABLE")),
            (1, "say \"hi\" N", Some("WAITING")),
        ]
    );
    assert!(parse(b"nothing").is_none());
    assert!(d.report().warnings.is_empty() && d.report().findings.is_empty());
}

#[test]
fn a_deadlock_is_found_from_the_locks_alone() {
    let left = thread(
        "left",
        "BLOCKED",
        "\tat a.B.left(B.java:5)\n\t- waiting to lock <0x2> (a X)\n\t- locked <0x1> (a X)\n",
    );
    let right = thread(
        "right",
        "BLOCKED",
        "\tat a.B.right(B.java:9)\n\t- waiting to lock <0x1> (a X)\n\t- locked <0x2> (a X)\n",
    );
    let report = parse(dump(&(left + &right)).as_bytes()).unwrap().report();
    assert_eq!(report.findings[0].certainty, Certainty::Certain);
    assert_eq!(report.findings[0].text, "deadlock of 2 threads: \"left\" waits for \"right\"");
    assert!(report.findings[0].pro[0].contains("a.B.left (B.java:5)"));
    let waits = thread(
        "w",
        "WAITING",
        "\tat java.lang.Object.wait(Native Method)\n\t- waiting on <0x1> (a X)\n\t- locked <0x1> (a X)\n",
    );
    assert!(parse(dump(&waits).as_bytes()).unwrap().last().unwrap().deadlocks.is_empty());
}

#[test]
fn a_deadlock_that_only_the_jvm_reports_is_told() {
    let both = thread("a", "WAITING", "") + &thread("b", "WAITING", "");
    let report = "Found one Java-level deadlock:\n=====\n\"a\":\n  waiting for ownable synchronizer 0x1,\n  which is held by \"b\"\n\n\"b\":\n  waiting for ownable synchronizer 0x2,\n  which is held by \"a\"\n\nFound 1 deadlock.\n";
    let d = parse(format!("{}{report}", dump(&both)).as_bytes()).unwrap();
    assert_eq!(d.last().unwrap().deadlocks.len(), 1);
    assert_eq!((d.last().unwrap().total, &d.truncated), (2, &None));
    let cut = format!("{}{}", dump(&both), &report[..80]);
    assert!(parse(cut.as_bytes()).unwrap().truncated.unwrap().contains("deadlocks"));
}

#[test]
fn a_queue_names_its_holder_and_lasts_over_dumps() {
    let waiters: String = (0..8)
        .map(|i| {
            thread(
                &format!("w-{i}"),
                "BLOCKED",
                "\tat a.Q.get(Q.java:1)\n\t- waiting to lock <0x7> (a a.Q)\n",
            )
        })
        .collect();
    let one = dump(
        &(waiters + &thread("holder", "RUNNABLE", "\tat a.Q.fill(Q.java:50)\n\t- locked <0x7> (a a.Q)\n")),
    );
    let first = parse(one.as_bytes()).unwrap().report();
    assert_eq!(first.findings[0].certainty, Certainty::CannotTell);
    assert!(first.findings[0].pro[0].contains("\"holder\" at a.Q.fill (Q.java:50)"), "{first:?}");
    let twice = parse(format!("{one}\n{one}").as_bytes()).unwrap();
    assert_eq!((twice.dumps.len(), twice.report().findings[0].certainty), (2, Certainty::Likely));
}

#[test]
fn executors_made_again_and_again_are_likely_a_leak() {
    let many = |n: u64| {
        (0..n)
            .map(|i| thread(&format!("pool-{i}-thread-1"), "WAITING", "\tat a.B.c(B.java:1)\n"))
            .collect::<String>()
    };
    let report = parse(dump(&many(60)).as_bytes()).unwrap().report();
    assert!(report.findings[0].text.contains("60 threads of pool-N-thread-N belong to 60 executors"));
    assert!(report.warnings[0].contains("virtual threads are not in this form"));
    let series = [10, 40, 90].map(|n| dump(&many(n))).join("\n");
    let report = parse(series.as_bytes()).unwrap().report();
    assert!(
        report
            .findings
            .iter()
            .any(|f| f.text.contains("grew from 10 to 90") && f.certainty == Certainty::Likely)
    );
}

const JSON: &str = r#"{"threadDump": {"processId": "1", "time": "t", "runtimeVersion": "25.0.3+9", "threadContainers": [
 {"container": "<root>", "parent": null, "owner": null, "threads": [
  {"tid": "3", "name": "left", "state": "BLOCKED", "blockedOn": "X@1", "stack": ["T.a(T.java:5)"], "monitorsOwned": [{"depth": 0, "locks": ["X@2"]}]},
  {"tid": 4, "name": "right", "state": "BLOCKED", "blockedOn": "X@2", "stack": ["T.b(T.java:6)"], "monitorsOwned": [{"depth": 0, "locks": ["X@1"]}]}],
  "threadCount": "2"},
 {"container": "pool", "threads": [
  {"tid": "5", "name": "", "virtual": true, "state": "WAITING", "stack": ["java.base\/java.lang.VirtualThread.park(VirtualThread.java:1)", "a.B.c(B.java:1)"]},
  {"tid": "6", "name": "", "stack": ["java.base/java.lang.VirtualThread.run(VirtualThread.java:1)"]}]}]}}"#;

#[test]
fn virtual_threads_are_in_the_json_form() {
    let d = parse(JSON.as_bytes()).unwrap();
    let last = d.last().unwrap();
    assert_eq!(
        (d.form, last.total, last.virtuals, last.jvm, &d.truncated),
        (Form::ToFileJson, 4, 2, Some(25), &None)
    );
    assert_eq!(last.deadlocks.len(), 1);
    assert!(
        d.report().groups.iter().any(|g| g.name.as_deref() == Some("(unnamed virtual threads) (virtual)"))
    );
    for cut in JSON.find("right").unwrap()..JSON.len() - 1 {
        let d = parse(&JSON.as_bytes()[..cut]).unwrap();
        assert!(d.truncated.is_some() && d.last().unwrap().total <= 4, "{cut}");
    }
}

#[test]
fn virtual_threads_are_in_the_text_form() {
    let text = "6240\n2026-11-23T18:13:00Z\n25.0.3+9\n\n#3 \"main\" TIMED_WAITING 2026-11-23T18:13:00Z\n    at java.base/java.lang.Thread.sleep(Thread.java:540)\n    at T.main(T.java:9)\n\n#27 \"v-1\" virtual WAITING 2026-11-23T18:13:00Z\n    at T.s(T.java:1)\n\n";
    let d = parse(text.as_bytes()).unwrap();
    let last = d.last().unwrap();
    assert_eq!((d.form, last.total, last.virtuals, &d.truncated), (Form::ToFileText, 2, 1, &None));
    assert_eq!(last.pools[0].2.states.len(), 1);
    assert!(parse(&text.as_bytes()[..text.len() - 5]).unwrap().truncated.is_some());
}

#[test]
fn utf_16_of_either_order_says_the_same() {
    let units = |f: fn(u16) -> [u8; 2]| TEXT.encode_utf16().flat_map(f).collect::<Vec<u8>>();
    let whole = parse(TEXT.as_bytes()).unwrap().dumps;
    for bytes in [
        units(u16::to_le_bytes),
        units(u16::to_be_bytes),
        [vec![0xff, 0xfe], units(u16::to_le_bytes)].concat(),
    ] {
        assert_eq!(parse(&bytes).unwrap().dumps, whole);
    }
}

#[test]
fn a_dump_in_a_containers_log_is_read() {
    let cri: String = TEXT.lines().map(|l| format!("2024-05-01T10:00:00.5Z stdout F {l}\n")).collect();
    assert_eq!(parse(cri.as_bytes()).unwrap().dumps, parse(TEXT.as_bytes()).unwrap().dumps);
}

#[test]
fn a_text_cut_anywhere_is_told() {
    for cut in 0..TEXT.find("JNI").unwrap() + 3 {
        let d = parse(&TEXT.as_bytes()[..cut]);
        assert!(d.as_ref().is_none_or(|d| d.truncated.is_some() && d.last().unwrap().total <= 5), "{cut}");
    }
}

proptest! {
    #[test]
    fn hostile_text_never_panics(a in "\\PC{0,80}", b in "\\PC{0,80}") {
        let text = format!("\"{a}\" prio=1\n   java.lang.Thread.State:{b}\n{a}\n- locked <{b}> {a}\n- waiting to lock <{a}\n");
        let d = parse(text.as_bytes()).unwrap();
        prop_assert!(d.last().unwrap().total >= 1);
        prop_assert!(!d.report().summary.is_empty());
    }

    #[test]
    fn hostile_json_never_panics(text in "\\{\"threadDump\": ?\\{\"threadContainers\": ?\\[[\\[\\]{}\"a-z:, 0-9]{0,80}") {
        let _read = parse(text.as_bytes());
    }
}

#[test]
fn who_holds_a_lock_of_java_util_concurrent_takes_another_option_to_see() {
    let parked = "\tat a.Q.get(Q.java:1)\n\t- parking to wait for  <0x7> (a java.util.concurrent.locks.ReentrantLock$NonfairSync)\n";
    let waiters: String = (0..8).map(|i| thread(&format!("w-{i}"), "WAITING", parked)).collect();
    let without = parse(dump(&waiters).as_bytes()).unwrap().report();
    assert!(without.findings[0].contra[0].contains("jstack -l"), "{without:?}");
    let owner = "\tat a.Q.fill(Q.java:50)\n\n   Locked ownable synchronizers:\n\t- <0x7> (a java.util.concurrent.locks.ReentrantLock$NonfairSync)\n";
    let with = parse(dump(&(waiters + &thread("holder", "RUNNABLE", owner))).as_bytes()).unwrap().report();
    assert!(with.findings[0].pro[0].contains("\"holder\""), "{with:?}");
}

#[test]
fn several_dumps_do_not_say_that_one_is_not_enough() {
    let many: String =
        (0..600).map(|i| thread(&format!("w-{i}"), "RUNNABLE", "\tat a.Q.get(Q.java:1)\n")).collect();
    let one = dump(&many);
    let twice = parse(format!("{one}\n{one}").as_bytes()).unwrap().report();
    assert!(twice.findings[0].contra[0].ends_with("600 → 600 over the dumps"), "{twice:?}");
}

const PYTHON: &str = "Process 3624: pp.py\nPython v3.11.7 (/usr/bin/python3.11)\n\nThread 3624 (idle): \"MainThread\"\n    <module> (pp.py:4)\n";

#[test]
fn threads_of_python_are_grouped_by_their_pools() {
    let mut text = PYTHON.to_owned();
    for n in 0..600 {
        text += &format!(
            "Thread {} (active+gil): \"brooder-{n}\"\n    wait (threading.py:320)\n        Arguments:\n            self: <Event (1)>\n    brood (pp.py:2)\n    run (threading.py:982)\n",
            4000 + n
        );
    }
    text += "Thread 0x7F12AB (idle)\n    spin (lib/native.py:9)\n";
    let dumps = parse(text.as_bytes()).expect("threads");
    assert_eq!((dumps.form, dumps.truncated.as_deref()), (Form::PySpy, None));
    let dump = dumps.last().expect("one");
    assert_eq!(dump.total, 602);
    let (name, _, pool) = &dump.pools[0];
    assert_eq!((name.as_str(), pool.count, pool.states["active+gil"]), ("brooder-N", 600, 600));
    assert_eq!(pool.stack, ["wait (threading.py:320)", "brood (pp.py:2)", "run (threading.py:982)"]);
    let report = dumps.report();
    assert_eq!(report.artifact.kind, "stacks of a Python program (py-spy)");
    let said = format!("{:?}", report.findings);
    assert!(said.contains("brood (pp.py:2)") && !said.contains("Xss") && !said.contains("JDK"), "{said}");
    // Cut anywhere, it tells what is there.
    for end in 0..text.len().min(400) {
        let _some = parse(text.as_bytes().get(..end).unwrap_or_default());
    }
}
