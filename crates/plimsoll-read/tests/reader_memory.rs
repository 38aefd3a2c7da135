//! Readers of one pass take memory by what they tell apart, not by the size of the file: one ten times as long, of the
//! same groups, takes as much.
//!
//! One test for all of it: the counts are those of the whole process.
#![expect(clippy::print_stderr, reason = "what was measured is shown beside the limit")]

#[path = "common/allocator.rs"]
mod allocator;

use plimsoll_read::formats::{self, Recognised};
use plimsoll_read::reading::Context;

/// How many times as much the longer file may take at the highest, and bytes that do not matter.
const MOST: f64 = 1.5;
const SMALL: usize = 64 << 10;
/// How many times its own size a profile may take: its samples are what it tells apart.
const PROFILE: f64 = 6.0;

/// Bytes at the highest while a text is read and concluded from.
fn highest(kind: &str, text: &str) -> usize {
    let read = || {
        let Recognised::Artifact(found) = formats::read(text.as_bytes()).expect("bytes can be opened") else {
            panic!("{kind} is not recognised: {}", text.get(..300).unwrap_or(text))
        };
        assert_eq!(found.format, kind);
        assert!(found.reading(&Context::default()).is_some(), "{kind} is not read");
    };
    allocator::highest(read).1
}

/// What stands before and after, and what is there `n` times.
struct Shape {
    kind: &'static str,
    name: &'static str,
    before: &'static str,
    unit: fn(u64) -> String,
    after: &'static str,
}

impl Shape {
    fn text(&self, n: u64) -> String {
        let units: String = (0..n).map(self.unit).collect();
        format!("{}{units}{}", self.before, self.after)
    }
}

fn goroutine(i: u64) -> String {
    format!(
        "goroutine {i} [chan receive, {} minutes]:\nmain.wait(0x{i:x})\n\t/src/a.go:3 +0x1\ncreated by main.main in goroutine 1\n\t/src/a.go:9 +0x2\n\n",
        i % 50
    )
}

fn labelled(i: u64) -> String {
    format!("1 @ 0x1 0x2 0x41\n# labels: {{\"request\":\"{i}\"}}\n#\t0x40\tmain.wait+0x1\t/src/a.go:3\n\n")
}

fn thread(i: u64) -> String {
    format!(
        "\"worker-{i}\" #{i} prio=5 os_prio=0 tid=0x{i:x} nid=0x{i:x} waiting for monitor entry [0x3]\n   java.lang.Thread.State: BLOCKED (on object monitor)\n\tat a.Q.get(Q.java:1)\n\t- waiting to lock <0x7> (a a.Q)\n\tat a.Q.run(Q.java:{})\n\n",
        i % 7
    )
}

fn virtual_thread(i: u64) -> String {
    format!(
        "{}{{\"tid\": \"{i}\", \"name\": \"v-{i}\", \"virtual\": true, \"state\": \"WAITING\", \"stack\": [\"a.B.c(B.java:1)\", \"a.B.d(B.java:2)\"]}}",
        if i == 0 { "" } else { ",\n" }
    )
}

fn listed_thread(i: u64) -> String {
    format!(
        "#{i} \"v-{i}\" virtual WAITING 2026-11-23T18:13:00Z\n    at a.B.c(B.java:1)\n    at a.B.d(B.java:2)\n\n"
    )
}

fn pause(i: u64) -> String {
    let t = i as f64 / 10.0;
    format!(
        "[{t:.3}s][info][gc,start] GC({i}) Pause Full (Ergonomics)\n[{t:.3}s][info][gc] GC({i}) Pause Full (Ergonomics) 90M->{}M(200M) 2.5ms\n",
        50 + i % 3
    )
}

fn mapping(i: u64) -> String {
    let at = 0x7f00_0000_0000 + i * 0x3000;
    format!(
        "{at:x}-{:x} rw-p 00000000 00:00 0 \nSize:                  8 kB\nRss:                   4 kB\nAnonymous:             4 kB\nVmFlags: rd wr\n",
        at + 0x2000
    )
}

fn arena(i: u64) -> String {
    format!(
        "<heap nr=\"{i}\">\n<sizes>\n</sizes>\n<total type=\"fast\" count=\"0\" size=\"0\"/>\n<total type=\"rest\" count=\"1\" size=\"100\"/>\n<system type=\"current\" size=\"135168\"/>\n<system type=\"max\" size=\"135168\"/>\n</heap>\n"
    )
}

fn kill(i: u64) -> String {
    format!(
        "[{i}.000001] oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=a,mems_allowed=0,oom_memcg=/pod/a,task_memcg=/pod/a,task=java,pid={i},uid=0\n[{i}.000002] Memory cgroup out of memory: Killed process {i} (java) total-vm:1000kB, anon-rss:900kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:1kB oom_score_adj:0\n"
    )
}

fn collected(i: u64) -> String {
    format!(
        "gc {i} @{i}.5s 2%: 0.026+0.39+0.10 ms clock, 0.21+0.88/0.52/0+0.80 ms cpu, 4->5->{} MB, 5 MB goal, 8 P\n",
        1 + i % 3
    )
}

fn marked(i: u64) -> String {
    format!(
        "[95:0x7f]    {} ms: Mark-Compact {}.1 (81.5) -> 60.0 (78.0) MB, 8.5 / 0.0 ms  (average mu = 1.000) allocation failure;\n",
        i * 100,
        65 + i % 3
    )
}

fn class(i: u64) -> String {
    format!("{:4}:  {:>10}  {:>10}  a.B$$Lambda/0x{i:016x}\n", i + 1, 10, 240)
}

const SHAPES: &[Shape] = &[
    Shape { kind: "goroutines", name: "stacks", before: "", unit: goroutine, after: "" },
    Shape {
        kind: "goroutines",
        name: "a profile in text, a label each",
        before: "goroutine profile: total 9\n",
        unit: labelled,
        after: "",
    },
    Shape {
        kind: "threads",
        name: "Thread.print",
        before: "Full thread dump OpenJDK 64-Bit Server VM (21.0.2+13 mixed mode):\n\n",
        unit: thread,
        after: "JNI global refs: 1\n",
    },
    Shape {
        kind: "threads",
        name: "JSON",
        before: "{\"threadDump\": {\"processId\": \"1\", \"threadContainers\": [{\"container\": \"<root>\", \"threads\": [\n",
        unit: virtual_thread,
        after: "]}]}}\n",
    },
    Shape {
        kind: "threads",
        name: "text",
        before: "6240\n2026-11-23T18:13:00Z\n25.0.3+9\n\n",
        unit: listed_thread,
        after: "",
    },
    Shape {
        kind: "gc-log",
        name: "unified",
        before: "[0.004s][info][gc] Using Parallel\n",
        unit: pause,
        after: "",
    },
    Shape { kind: "gc-log", name: "gctrace", before: "", unit: collected, after: "" },
    Shape { kind: "gc-log", name: "V8", before: "", unit: marked, after: "" },
    Shape { kind: "mappings", name: "smaps", before: "", unit: mapping, after: "" },
    Shape {
        kind: "malloc-info",
        name: "arenas",
        before: "<malloc version=\"1\">\n",
        unit: arena,
        after: "<total type=\"fast\" count=\"0\" size=\"0\"/>\n<total type=\"rest\" count=\"1\" size=\"100\"/>\n<system type=\"current\" size=\"135168\"/>\n</malloc>\n",
    },
    Shape { kind: "deaths", name: "kernel", before: "", unit: kill, after: "" },
    Shape {
        kind: "class-histogram",
        name: "hidden classes",
        before: " num     #instances         #bytes  class name (module)\n-------------------------------------------------------\n",
        unit: class,
        after: "Total         53440        5216968\n",
    },
];

/// A file that holds ever more of the same reports.
fn reports() -> Vec<(&'static str, String)> {
    let nmt = |n: u64| {
        format!(
            "Native Memory Tracking:\n\nTotal: reserved=1000KB, committed={}KB\n-                 Java Heap (reserved=500KB, committed={n}KB)\n                            (mmap: reserved=500KB, committed={n}KB)\n\n",
            100 + n
        )
    };
    let jemalloc = |n: u64| {
        format!(
            "___ Begin jemalloc statistics ___\nVersion: \"5.3.0\"\nAllocated: {n}, active: 9000000, metadata: 100 (n_thp 0), resident: 9999999, mapped: 99999999, retained: 5\n--- End jemalloc statistics ---\n"
        )
    };
    vec![("nmt", (0..20_000).map(nmt).collect()), ("jemalloc-stats", (0..20_000).map(jemalloc).collect())]
}

#[test]
fn ten_times_as_long_takes_as_much() {
    let mut wrong = Vec::new();
    // More than what each keeps at most has to be in the shorter one already.
    for shape in SHAPES {
        let [once, ten] = [9_000, 90_000].map(|n| highest(shape.kind, &shape.text(n)));
        eprintln!("{:16} {:32} {once:9} {ten:9}", shape.kind, shape.name);
        if ten as f64 > MOST * once as f64 + SMALL as f64 {
            wrong.push(format!("{} {}: {once} bytes, and ten times as long {ten}", shape.kind, shape.name));
        }
    }
    for (kind, text) in reports() {
        let tenth = text.get(..text.len() / 10).expect("ASCII");
        let [once, ten] = [highest(kind, tenth), highest(kind, &text)];
        eprintln!("{kind:16} {:32} {once:9} {ten:9}", "many reports");
        if ten as f64 > MOST * once as f64 + SMALL as f64 {
            wrong.push(format!("{kind}: {once} bytes, and ten times as long {ten}"));
        }
    }
    let folded: String = (0..100_000).map(|i| format!("main;f{};g{} 12\n", i % 900, i % 7)).collect();
    let took = highest("profile", &folded);
    eprintln!("{:16} {:32} {took:9} of {}", "profile", "folded", folded.len());
    if took as f64 > PROFILE * folded.len() as f64 {
        wrong.push(format!("profile: {took} bytes for {}", folded.len()));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
