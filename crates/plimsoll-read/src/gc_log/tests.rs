//! Whole logs, made here with a known floor: what is concluded, joined, and survived.

use std::fmt::Write as _;

use plimsoll_core::classify::{Cause, Certainty};
use proptest::prelude::*;

use super::*;
use crate::formats::{self, Recognised};
use crate::reading::Context;

const MIB: f64 = 1_048_576.0;

/// Minutes of a log of Parallel: a young collection every 10 s, a full one every `full` s, and a floor that climbs by
/// `slope` MiB per second. Garbage of the old generation piles up between the full ones.
fn log(from: u32, to: u32, full: u32, slope: f64, seed: u32) -> String {
    let mut out = String::new();
    if from == 0 {
        out.push_str("[0.004s][info][gc] Using Parallel\n[0.005s][info][gc,init] Heap Max Capacity: 4096M\n");
    }
    for t in (from..to).filter(|t| t % 10 == 0 && *t > 0) {
        let noise = f64::from(t.wrapping_mul(2_654_435_761).wrapping_add(seed) >> 24) / 256.0;
        let floor = 100.0 + f64::from(t) * slope + 2.0 * noise;
        let (what, after) = match t % full {
            0 => ("Pause Full (Ergonomics)", floor),
            since => ("Pause Young (Allocation Failure)", floor + f64::from(since)),
        };
        let (id, before) = (t / 10, after + 300.0);
        let _ok = writeln!(
            out,
            "[{t}.000s][info][gc] GC({id}) {what} {:.0}K->{:.0}K(2048M) 12.5ms",
            before * 1024.0,
            after * 1024.0
        );
    }
    out
}

fn report(text: &str) -> GcReport {
    parse(text.as_bytes()).expect("a log").report(&Context { limit: Some(8 << 30), ..Context::default() })
}

fn first_cause(text: &str) -> (Option<Cause>, Certainty) {
    let report = report(text);
    let first = report.head.findings.first().expect("a finding");
    (first.cause, first.certainty)
}

#[test]
fn a_leak_is_told_with_its_time_to_the_heap_and_to_the_limit() {
    let report = report(&log(0, 3600, 120, 0.1, 1));
    let slope = report.lives[0].floor_slope_bytes_per_second.unwrap();
    assert!((slope.mid / MIB - 0.1).abs() < 0.005, "{slope:?}");
    assert!(slope.low <= 0.1 * MIB && 0.1 * MIB <= slope.high, "{slope:?}");
    assert_eq!(report.head.findings[0].cause, Some(Cause::Retention));
    // 100 + 360 MiB are alive at the end.
    let expected = (4096.0 - 460.0) / 0.1;
    let times = report.seconds_to_heap_max.unwrap();
    assert!((times.likely / expected - 1.0).abs() < 0.1, "{times:?} against {expected}");
    assert!(report.seconds_to_limit.unwrap().likely > times.likely);
    assert_eq!(report.lives[0].full_collections, 29);
}

#[test]
fn a_flat_floor_under_climbing_young_collections_is_no_leak() {
    assert_eq!(first_cause(&log(0, 3600, 120, 0.0, 2)), (Some(Cause::None), Certainty::Likely));
    // Without a full collection the same climb of garbage proves nothing.
    let young: String = log(0, 3600, 7200, 0.0, 2).lines().fold(String::new(), |o, l| o + l + "\n");
    let report = report(&young);
    assert!(report.lives[0].slope_is_upper_bound && report.lives[0].floor_points >= 5);
    assert_eq!(report.head.findings[0].certainty, Certainty::CannotTell);
    assert!(
        report.head.findings[0].hint.as_deref().unwrap().contains("GC.run"),
        "{:?}",
        report.head.findings
    );
}

#[test]
fn a_floor_that_climbed_only_at_first_is_no_leak() {
    let mut text = "[0.01s][info][gc] Using Parallel\n".to_owned();
    for t in 1..200_u32 {
        let after = 100 * 1024 + t.min(140) * 1024;
        let _ok = writeln!(
            text,
            "[{t}.0s][info][gc] GC({t}) Pause Full (Ergonomics) 900000K->{after}K(2048M) 9.0ms"
        );
    }
    let report = report(&text);
    let first = &report.head.findings[0];
    assert_eq!(first.certainty, Certainty::CannotTell, "{first:?}");
    assert!(first.contra.iter().any(|c| c.contains("at first")), "{first:?}");
}

#[test]
fn restarts_within_a_file_are_lives_and_the_climb_is_told_in_each() {
    let text = [1, 2, 3].map(|seed| log(0, 1800, 120, 0.2, seed)).concat();
    let report = report(&text);
    assert_eq!(report.lives.len(), 3);
    let lives = report.head.findings.iter().find(|f| f.text.starts_with("3 lives")).expect("a finding");
    assert_eq!((lives.cause, lives.certainty), (Some(Cause::Retention), Certainty::Certain));
}

#[test]
fn a_rotated_log_is_one_life_in_whatever_order_its_files_come() {
    let dated = |from, to| -> String {
        let stamp = |l: &str| {
            let t: f64 = l[1..].split('.').next().unwrap().parse().unwrap();
            format!(
                "[2026-01-01T{:02}:{:02}:{:02}.000+0000]{l}\n",
                t as u32 / 3600,
                t as u32 / 60 % 60,
                t as u32 % 60
            )
        };
        log(from, to, 120, 0.1, 4).lines().map(stamp).collect()
    };
    let parts = [dated(0, 1200), dated(1200, 2400), dated(2400, 3600)];
    let [a, b, c] = parts.each_ref().map(|p| parse(p.as_bytes()).unwrap());
    let joined = GcLog::joined(&[&c, &a, &b]).unwrap();
    assert_eq!(joined.lives.len(), 1);
    let whole = parse(parts.concat().as_bytes()).unwrap();
    assert_eq!(joined.lives[0].counts, whole.lives[0].counts);
    let slopes =
        [&joined, &whole].map(|l| l.report(&Context::default()).lives[0].floor_slope_bytes_per_second);
    assert_eq!(slopes[0], slopes[1]);
    let later = c.report(&Context::default());
    assert!(later.head.warnings.iter().any(|w| w.contains("begins with collection 240")), "{:?}", later.head);
}

#[test]
fn a_log_within_a_containers_log_and_among_other_lines_is_found() {
    let chatter = "2026-01-01 10:00:00 INFO request served in 3 ms\n".repeat(30_000);
    let text = format!("{chatter}{}{chatter}", log(0, 1200, 120, 0.1, 5));
    let wrapped: String =
        text.lines().map(|l| format!("{}\n", serde_json::json!({"log": format!("{l}\n")}))).collect();
    for text in [text, wrapped] {
        let Ok(Recognised::Artifact(found)) = formats::read(text.as_bytes()) else { panic!("not found") };
        assert_eq!(found.format, "gc-log");
        let reading = found.reading(&Context::default()).unwrap();
        assert_eq!(reading.value["lives"][0]["collections"], 119);
        assert_eq!(reading.value["lives"][0]["collector"], "parallel");
    }
}

#[test]
fn a_heap_that_is_full_of_what_lives_is_too_small() {
    let mut text =
        "[0.01s][info][gc] Using Parallel\n[0.01s][info][gc,init] Heap Max Capacity: 256M\n".to_owned();
    for t in 1..400 {
        let _ok = writeln!(
            text,
            "[{t}.0s][info][gc] GC({t}) Pause Full (Ergonomics) 255M->24{}M(256M) 400.0ms",
            t % 3
        );
    }
    let report = report(&text);
    let first = &report.head.findings[0];
    assert_eq!((first.cause, first.certainty), (Some(Cause::OverBudget), Certainty::Certain), "{first:?}");
}

/// A stream that gives so many bytes at a time.
struct Pieces<'a>(&'a [u8], usize);

impl Read for Pieces<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let most = self.1.min(into.len());
        self.0.read(into.get_mut(..most).unwrap_or_default())
    }
}

#[test]
fn bytes_in_pieces_of_any_size_tell_the_same() {
    let text = log(0, 300, 120, 1.0, 3);
    let whole = parse(text.as_bytes());
    for size in [1, 2, 3, 7, 64, 1000, 65_537] {
        assert_eq!(parse(Pieces(text.as_bytes(), size)), whole, "pieces of {size}");
    }
    // What follows a growing log takes whole lines of it, and sees what the reader of a file sees.
    let counts = whole.unwrap().newest().unwrap().counts;
    assert_eq!(collections(&text).count() as u64, counts.all());
}

proptest! {
    #[test]
    fn the_slope_is_right_on_any_seed(seed: u32, slope in 0.05_f64..2.0) {
        let report = report(&log(0, 2400, 120, slope, seed));
        let read = report.lives[0].floor_slope_bytes_per_second.unwrap();
        prop_assert!((read.mid / MIB / slope - 1.0).abs() < 0.15, "{read:?} against {slope}");
    }

    #[test]
    fn pieces_of_logs_in_any_order_never_panic(
        pieces in proptest::collection::vec(
            prop_oneof![
                Just("[GC "), Just("[Full GC "), Just("(System.gc()) "), Just("[PSYoungGen: 5K->1K(9K)] "),
                Just("50K->10K(90K)"), Just(", 0.01 secs]"), Just("\n"), Just("1.5: "), Just("[1.0s][gc] GC(1) "),
                Just("Pause Young (x) "), Just("1M->2M(3M) 1ms"), Just("O:   Live:  -  3M (1%)"), Just("gc 1 @1.0s 2%: "),
                Just("1+2+3 ms clock, "), Just("1+2 ms cpu, "), Just("4->4->1 MB, 5 MB goal"), Just("[1:0x5] 9 ms: "),
                Just("Mark-Compact 2.0 (2.3) -> 1.6 (3.3) MB, 0.6 / 0.0 ms"), Just("Using G1"), Just("99999999999999999999"),
                Just("\u{e9}["), Just("]"), Just("[2026-01-01T00:00:00.000+0000]"), Just("Concurrent cleanup "),
            ],
            0..60,
        )
    ) {
        let text = pieces.concat();
        if let Some(log) = parse(text.as_bytes()) {
            let report = log.report(&Context { rss: Some(1 << 30), limit: Some(1), ..Context::default() });
            prop_assert!(!report.head.summary.is_empty() && !report.tables().is_empty());
        }
    }
}

#[test]
fn a_few_seconds_of_a_start_are_no_leak() {
    let mut text = String::from("[0.004s][info][gc] Using Serial\n");
    for i in 1..9_u32 {
        let (t, after) = (f64::from(i) / 4.0, 10 * i);
        let _ok =
            writeln!(text, "[{t:.3}s][info][gc] GC({i}) Pause Full (Ergonomics) 200M->{after}M(256M) 2.5ms");
    }
    let report = report(&text);
    let climbs = |f: &crate::reading::Finding| f.cause == Some(Cause::Retention);
    assert!(!report.head.findings.iter().any(climbs), "{:?}", report.head.findings);
}

/// What is said of committed heap: by lines of JDK 17 and 25, with a burst at first and nothing to do after.
#[test]
fn what_was_given_back_is_told_and_so_is_what_was_not() {
    let about = |log: &str, words: &str| {
        let report = report(log);
        let found = report.head.findings.iter().find(|f| f.text.contains(words));
        (
            report.lives[0].given_back_bytes.unwrap_or(0.0) / MIB,
            found.map(|f| (f.text.clone(), f.hint.clone())),
        )
    };
    let burst = |name: &str, line: fn(u32, u32, u32) -> String, end: &str| {
        let busy = (1..40).map(|t| line(t, 700, 800));
        let idle = (40..120).map(|t| line(t, 60, 800));
        format!("[0.004s][info][gc] Using {name}\n{}{end}", busy.chain(idle).collect::<String>())
    };
    let serial = |t: u32, used: u32, committed: u32| {
        format!("[{t}.000s][info][gc] GC({t}) Pause Full (System.gc()) {used}M->40M({committed}M) 9.006ms\n")
    };
    let (back, told) = about(&burst("Serial", serial, ""), "are committed");
    let (text, hint) = told.expect("told");
    assert_eq!(back, 0.0);
    assert_eq!(
        text,
        "800 MiB are committed, of which no more than 60.0 MiB were in use in the last quarter of the log"
    );
    assert!(hint.is_some_and(|hint| hint.contains("MaxHeapFreeRatio")));
    let shrunk = serial(120, 60, 80);
    let (back, told) = about(&burst("Serial", serial, &shrunk), "given back");
    assert_eq!(back, 720.0);
    assert_eq!(
        told.expect("told").0,
        "720 MiB of committed heap were given back to the system, 80.0 MiB are left"
    );

    let cleanup = |t: u32, used: u32, committed: u32| {
        format!("[{t}.000s][info][gc] GC({t}) Concurrent cleanup {used}M->40M({committed}M) 0.070ms\n")
    };
    let end = "[121.613s][info][gc,start    ] Concurrent uncommit\n\
               [121.685s][info][gc          ] Concurrent uncommit 40M->40M(61M) 71.246ms\n";
    assert_eq!(about(&burst("Shenandoah", cleanup, end), "given back").0, 739.0);

    let major = |t: u32, used: u32, _: u32| {
        format!("[{t}.000s][info][gc] GC({t}) Major Collection (Proactive) {used}M(90%)->40M(4%) 0.07s\n")
    };
    let end = "[0.043s][info][gc,init] Uncommit: Enabled\n\
               [126.187s][info][gc,heap     ] Uncommitter (0) Uncommitted: 10M(1%) in 1.066ms\n\
               [127.304s][info][gc,heap     ] Uncommitted: 456M(45%)\n";
    let (back, told) = about(&burst("The Z Garbage Collector", major, end), "given back");
    assert_eq!(back, 466.0);
    assert_eq!(told.expect("told").0, "466 MiB of committed heap were given back to the system");
    // A heap at work has nothing to tell.
    let at_work = (1..120).map(|t| serial(t, 700, 800)).collect::<String>();
    let at_work = format!("[0.004s][info][gc] Using Serial\n{at_work}");
    assert!(about(&at_work, "committed").1.is_none());
}

#[test]
fn a_floor_that_falls_is_not_called_flat() {
    let line = |t: u32| {
        format!("[{t}.000s][info][gc] GC({t}) Pause Full (System.gc()) 900M->{}M(1000M) 9ms\n", 500 - t)
    };
    let falls = format!("[0.004s][info][gc] Using Serial\n{}", (1..300).map(line).collect::<String>());
    let text = &report(&falls).head.findings[0].text;
    assert!(text.contains("the floor falls, and is at 20"), "{text}");
}
