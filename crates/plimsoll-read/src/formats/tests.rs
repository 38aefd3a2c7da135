//! What is told apart, found within logs, compared and cut.

use super::*;
use crate::heap_dump::Source;
use crate::reading::Finding;

fn found(bytes: &[u8]) -> Option<Found> {
    match read(bytes).unwrap() {
        Recognised::Artifact(found) => Some(found),
        _ => None,
    }
}

fn kind(bytes: &[u8]) -> Option<&'static str> {
    found(bytes).map(|f| f.format)
}

const STACK: &str = "goroutine 7 [chan receive, 5 minutes]:\nmain.wait()\n\t/src/a.go:3 +0x1\ncreated by main.main in goroutine 1\n\t/src/a.go:9 +0x2\n\n";
const THREADS: &str = "Full thread dump OpenJDK 64-Bit Server VM (17.0.1+12 mixed mode):\n\n\"main\" #1 prio=5 os_prio=0 cpu=1.0ms elapsed=1.0s tid=0x1 nid=0x2 runnable  [0x3]\n   java.lang.Thread.State: RUNNABLE\n\tat a.B.c(B.java:1)\n\nJNI global refs: 1, weak refs: 0\n";

#[test]
fn each_is_told_apart() {
    assert_eq!(kind(STACK.as_bytes()), Some("goroutines"));
    assert_eq!(
        kind(b"goroutine profile: total 1\n1 @ 0x1\n#\t0x1\tmain.f+0x1\t/a.go:1\n\n"),
        Some("goroutines")
    );
    assert_eq!(kind(THREADS.as_bytes()), Some("threads"));
    assert_eq!(kind(b"heap profile: 1: 2 [3: 4] @ heap/1048576\n1: 2 [3: 4] @ 0x1\n"), Some("profile"));
    let of_few_sites = "heap profile: 1: 2 [1: 2] @ heapprofile\n 1: 2 [1: 2] @ 0x56\n\nMAPPED_LIBRARIES:\n55d0-55d1 r-xp 00000000 00:00 1   /srv/app\n";
    assert_eq!(kind(of_few_sites.as_bytes()), Some("profile"));
    assert_eq!(kind(b"main;f;g 12\nmain;h 3\n"), Some("profile"));
    assert_eq!(kind(b"hello world\n"), None);
    assert_eq!(kind(b"started 12\nlistening on 8080\n"), None);
    assert_eq!(kind(b""), None);
    assert_eq!(kind(&[0; 100]), None);
}

#[test]
fn what_stands_deep_within_a_log_is_found() {
    let chatter = "2026-05-01 10:00:00 INFO request served in 3 ms\n".repeat(60_000);
    let log = format!("{chatter}{STACK}{chatter}");
    let reading = found(log.as_bytes()).unwrap().reading(&Context::default()).unwrap();
    assert_eq!(reading.head.groups.len(), 1);
    let wrapped: String =
        log.lines().map(|l| format!("{}\n", serde_json::json!({"log": format!("{l}\n")}))).collect();
    let reading = found(wrapped.as_bytes()).unwrap().reading(&Context::default()).unwrap();
    assert_eq!(reading.head.groups.first().unwrap().top, "main.wait (a.go:3)");
    assert!(reading.head.warnings.contains(&"taken out of a container's log".to_owned()));
    assert_eq!(reading.value["groups"][0]["count"], 1);
    assert_eq!(reading.value["artifact"]["kind"], "goroutines");
}

const GC: &str = "[0.004s][info][gc] Using Parallel\n[1.0s][info][gc] GC(0) Pause Full (Ergonomics) 9M->5M(20M) 2.5ms\n[1.1s][info][gc,cpu] GC(0) User=0.00s\n[2.0s][info][gc] GC(1) Pause Full (Ergonomics) 9M->5M(20M) 2.5ms\n";
const HISTOGRAM: &str = " num     #instances         #bytes  class name (module)\n-------------------------------------------------------\n   1:         53440        5216968  [B (java.base@17.0.1)\nTotal         53440        5216968\n";

#[test]
fn what_stands_before_each_line_is_taken_off() {
    let wraps: [&dyn Fn(&str) -> String; 7] = [
        &|l| format!("2026-05-01T10:00:00.123456789Z {l}\n"),
        &|l| format!("May 01 10:00:00 node1 app[4711]: {l}\n"),
        &|l| format!("\u{1b}[36mapp-1  | \u{1b}[0m{l}\n"),
        &|l| format!("[pod/web-1/app] 2026-05-01T10:00:00.1Z {l}\n"),
        &|l| format!("{}\n", serde_json::json!({"ts": 1, "msg": l})),
        &|l| format!("web-1 app {l}\r\n"),
        &|l| format!("<14>May  1 10:00:00 node1 app: {l}\n"),
    ];
    let filler = "INFO request served\nWARN it was slow\n".repeat(10);
    for (text, kind_of) in
        [(STACK, "goroutines"), (THREADS, "threads"), (GC, "gc-log"), (HISTOGRAM, "class-histogram")]
    {
        let expected = found(text.as_bytes()).and_then(|f| f.reading(&Context::default()));
        let expected = expected.unwrap_or_else(|| panic!("{kind_of} is not read"));
        for wrap in wraps {
            for text in [text.to_owned(), format!("{filler}{text}"), format!("{}{text}", filler.repeat(400))]
            {
                let wrapped: String = text.lines().map(wrap).collect();
                let found = found(wrapped.as_bytes()).unwrap_or_else(|| panic!("{kind_of}: {}", wrap("")));
                assert_eq!(found.format, kind_of, "{}", wrap(""));
                let reading = found.reading(&Context::default());
                let reading =
                    reading.unwrap_or_else(|| panic!("{kind_of}, {} bytes: {}", text.len(), wrap("")));
                assert_eq!(reading.head.summary, expected.head.summary, "{}", wrap(""));
            }
        }
    }
}

#[test]
fn what_a_command_says_before_its_output_is_passed_over() {
    let before = "$ kubectl exec web-1 -- curl -s localhost:6060/debug/pprof/goroutine?debug=1\n\
                  Defaulted container \"app\" out of: app, sidecar\n";
    let goroutines = "goroutine profile: total 1\n1 @ 0x1\n#\t0x1\tmain.f+0x1\t/a.go:1\n\n";
    let heap = "heap profile: 1: 2 [3: 4] @ heap/1048576\n1: 2 [3: 4] @ 0x1\n";
    for (text, expected) in [(goroutines, "goroutines"), (heap, "profile")] {
        assert_eq!(kind(format!("{before}{text}").as_bytes()), Some(expected));
    }
    assert_eq!(kind(before.as_bytes()), None);
}

#[test]
fn a_series_of_one_kind_is_compared_and_of_two_kinds_is_not() {
    let dumps: Vec<Found> = [10, 60, 200].map(|n| found(STACK.repeat(n).as_bytes()).unwrap()).into();
    let [a, b, c] = dumps.as_slice() else { panic!("three") };
    let reading = c.change(&[a, b], &Context::default()).unwrap();
    assert!(
        reading.head.summary.starts_with("from 10 to 200 goroutines over 3 dumps; 190 more"),
        "{}",
        reading.head.summary
    );
    assert_eq!(reading.value["changes"][0]["counts"], serde_json::json!([10, 60, 200]));
    assert_eq!(reading.tables.first().unwrap().rows.first().unwrap()[1], "10 → 60 → 200");
    let threads = found(THREADS.as_bytes()).unwrap();
    assert!(threads.change(&[a], &Context::default()).is_none());
}

#[test]
fn a_failure_of_the_source_is_a_cut() {
    struct Breaks;
    impl Source for Breaks {
        fn open(&self) -> io::Result<Box<dyn Read + Send + '_>> {
            struct Fails;
            impl Read for Fails {
                fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                    Err(io::Error::other("the disk is gone"))
                }
            }
            Ok(Box::new(STACK.as_bytes().chain(Fails)))
        }
    }
    let Recognised::Artifact(found) = read(&Breaks).unwrap() else { panic!("a dump") };
    let reading = found.reading(&Context::default()).unwrap();
    assert_eq!(
        reading.head.artifact.truncated.as_deref(),
        Some("it could not be read further: the disk is gone")
    );
    assert_eq!(reading.value["artifact"]["truncatedWhy"], "it could not be read further: the disk is gone");
}

/// An artifact of each kind in which `n` of something are there, which leak when they get more.
fn with(kind: &str, n: u64) -> Vec<u8> {
    let mib = n << 20;
    match kind {
        "goroutines" => STACK.repeat(n as usize).into_bytes(),
        "threads" => {
            let thread = |i: u64| format!("\"pool-1-thread-{i}\" #9 prio=5 tid=0x1 nid=0x2 x\n   java.lang.Thread.State: WAITING\n\tat a.B.c(B.java:1)\n\n");
            format!(
                "Full thread dump OpenJDK 64-Bit Server VM (17.0.1+12 mixed mode):\n\n{}JNI global refs: 1\n",
                (0..n).map(thread).collect::<String>()
            )
            .into_bytes()
        }
        "nmt" => format!(
            "Native Memory Tracking:\n\nTotal: reserved=9000000KB, committed={}KB\n-                     Other (reserved={}KB, committed={}KB)\n                            (malloc={}KB #9)\n\n",
            100_000 + n * 1024, n * 1024, n * 1024, n * 1024
        )
        .into_bytes(),
        "class-histogram" => format!(
            " num     #instances         #bytes  class name (module)\n-------\n   1:  {}  {mib}  com.shop.Order\nTotal  {}  {mib}\n",
            n * 1000, n * 1000
        )
        .into_bytes(),
        "mappings" => format!(
            "55a000000000-{:x} rw-p 00000000 00:00 0    [heap]\nSize: {} kB\nRss: {} kB\nAnonymous: {} kB\nVmFlags: rd\n",
            0x55a0_0000_0000 + mib, n * 1024, n * 1024, n * 1024
        )
        .into_bytes(),
        "malloc-info" => format!(
            "<malloc version=\"1\">\n<heap nr=\"0\">\n<sizes>\n</sizes>\n<total type=\"fast\" count=\"0\" size=\"0\"/>\n<total type=\"rest\" count=\"1\" size=\"1000\"/>\n<system type=\"current\" size=\"{mib}\"/>\n<system type=\"max\" size=\"{mib}\"/>\n</heap>\n<total type=\"fast\" count=\"0\" size=\"0\"/>\n<total type=\"rest\" count=\"1\" size=\"1000\"/>\n<total type=\"mmap\" count=\"0\" size=\"0\"/>\n<system type=\"current\" size=\"{mib}\"/>\n<system type=\"max\" size=\"{mib}\"/>\n</malloc>\n"
        )
        .into_bytes(),
        "jemalloc-stats" => format!(
            "___ Begin jemalloc statistics ___\nVersion: \"5.3.0\"\nAllocated: {mib}, active: {mib}, metadata: 100 (n_thp 0), resident: {}, mapped: 99999999, retained: 5\n--- End jemalloc statistics ---\n",
            mib + 1000
        )
        .into_bytes(),
        "profile" => format!(
            "heap profile: {n}: {mib} [{n}: {mib}] @ heap_v2/1024\n{n}: {mib} [{n}: {mib}] @ 0x11\n#\t0x10\tmain.keep+0x9\t/src/x.go:17\n\n# runtime.MemStats\n"
        )
        .into_bytes(),
        "folded" => format!("main;keep {n}\nmain;work 500\n").into_bytes(),
        "gc-log" => {
            let full = |i: u64| format!("[{i}.0s][info][gc] GC({i}) Pause Full (Ergonomics) 90M->{}M(900M) 2.5ms\n", 50 + n * i / 100);
            format!("[0.004s][info][gc] Using Parallel\n{}", (1..60).map(full).collect::<String>()).into_bytes()
        }
        _ => panic!("{kind} has no artifact here"),
    }
}

/// What several of a kind come to: the first finding that says something grew.
fn compared(kind: &str, counts: &[u64]) -> Reading {
    let all: Vec<Found> =
        counts.iter().map(|n| found(&with(kind, *n)).unwrap_or_else(|| panic!("{kind}"))).collect();
    let (last, earlier) = all.split_last().unwrap();
    let earlier: Vec<&Found> = earlier.iter().collect();
    last.change(&earlier, &Context::default()).unwrap_or_else(|| panic!("{kind} does not compare"))
}

#[test]
fn what_grew_at_every_step_is_told_and_chance_is_not() {
    let kinds = [
        "goroutines",
        "threads",
        "nmt",
        "class-histogram",
        "mappings",
        "malloc-info",
        "jemalloc-stats",
        "profile",
    ];
    let grew = |r: &Reading| {
        r.head.findings.iter().find(|f| f.text.contains("grew") || f.text.contains("more wait")).cloned()
    };
    for kind in kinds {
        let steady = grew(&compared(kind, &[100, 200, 300, 400])).unwrap_or_else(|| panic!("{kind}"));
        assert!(steady.accuses(), "{kind}: {steady:?}");
        assert!(
            steady.pro.iter().any(|p| p.contains("at every step") || p.contains("at each of 3 steps")),
            "{kind}: {steady:?}"
        );
        let up_and_down = grew(&compared(kind, &[100, 300, 200, 400])).unwrap_or_else(|| panic!("{kind}"));
        assert!(!up_and_down.accuses(), "{kind}: {up_and_down:?}");
        assert!(up_and_down.contra.iter().any(|c| c.contains("step")), "{kind}: {up_and_down:?}");
        let two = grew(&compared(kind, &[100, 200])).unwrap_or_else(|| panic!("{kind}"));
        assert!(
            two.contra.iter().any(|c| c.contains("two ") || c.contains("between the dumps")),
            "{kind}: {two:?}"
        );
        for chance in [[100, 101, 103], [100, 99, 103], [100, 100, 100]] {
            let reading = compared(kind, &chance);
            assert!(
                !reading.head.findings.iter().any(Finding::accuses),
                "{kind} {chance:?}: {:?}",
                reading.head.findings
            );
        }
    }
    let other = compared("folded", &[100, 400, 900]);
    assert_eq!(other.head.findings[0].text, "keep has more than before: 100 → 400 → 900");
    assert!(!compared("folded", &[100, 103]).head.findings[0].text.contains("more than before"));
}

#[test]
fn a_collection_log_that_was_copied_twice_is_one_life() {
    let whole = with("gc-log", 100);
    let early = &whole[..whole.len() / 3];
    let early = &early[..=early.iter().rposition(|b| *b == b'\n').unwrap()];
    let (a, b) = (found(early).unwrap(), found(&whole).unwrap());
    let reading = b.change(&[&a], &Context::default()).unwrap();
    assert_eq!(reading.value["lives"].as_array().unwrap().len(), 1);
    assert_eq!(reading.head.summary, b.reading(&Context::default()).unwrap().head.summary);
    let other = found(&with("gc-log", 7)).unwrap();
    let two = other.change(&[&b], &Context::default()).unwrap();
    assert_eq!(two.value["lives"].as_array().unwrap().len(), 2);
}

#[test]
fn a_log_that_holds_several_artifacts_tells_each() {
    let oom =
        "Exception in thread \"main\" java.lang.OutOfMemoryError: Java heap space\n\tat a.B.c(B.java:1)\n";
    let mut kinds = Vec::new();
    let chatter = "2026-05-01 10:00:00 INFO request served in 3 ms\n".repeat(50);
    let logs = [
        format!("{GC}{HISTOGRAM}{THREADS}{oom}"),
        format!("{THREADS}{chatter}{GC}{chatter}{oom}{HISTOGRAM}"),
        format!("{chatter}{oom}{chatter}{HISTOGRAM}{THREADS}{GC}"),
    ];
    for log in logs {
        let wrapped: String = log.lines().map(|l| format!("2026-05-01T10:00:00.123456789Z {l}\n")).collect();
        for text in [log, wrapped] {
            let found = found(text.as_bytes()).unwrap();
            let mut all: Vec<&str> = found.beside.iter().map(|f| f.format).collect();
            assert!(found.beside.iter().all(|f| f.reading(&Context::default()).is_some()));
            all.push(found.format);
            all.sort_unstable();
            kinds.push(all);
        }
    }
    for all in kinds {
        assert_eq!(all, ["class-histogram", "deaths", "gc-log", "threads"]);
    }
    let panic = format!("{chatter}fatal error: runtime: out of memory\n\n{STACK}{chatter}");
    let first = found(panic.as_bytes()).unwrap();
    assert_eq!((first.format, first.beside[0].format, first.beside.len()), ("goroutines", "deaths", 1));
    for alone in [STACK, THREADS, GC, HISTOGRAM, &chatter] {
        assert!(found(alone.as_bytes()).is_none_or(|f| f.beside.is_empty()), "{alone}");
    }
}
