//! What jemalloc's statistics prove, in every form; cuts and hostile text.

use plimsoll_core::classify::{Cause, Certainty};
use proptest::prelude::*;

use super::*;
use crate::formats::Kind as _;
use crate::reading::Context;

const MIB: u64 = 1 << 20;

/// As version 5 prints it.
fn text(allocated: u64, active: u64, resident: u64) -> String {
    let [allocated, active, resident] = [allocated, active, resident].map(|n| n * MIB);
    format!(
        "___ Begin jemalloc statistics ___\nVersion: \"5.3.0-0-g54eaed1d8b56b1aa528be3bdd1877e59c56fa90c\"\nRun-time option settings\n  \
         opt.background_thread: false\n  opt.dirty_decay_ms: 10000 (arenas.dirty_decay_ms: 10000)\nArenas: 32\n\
         Allocated: {allocated}, active: {active}, metadata: 2097152 (n_thp 0), resident: {resident}, mapped: 999, retained: 4096\n\
         Background threads: 0, num_runs: 0, run_interval: 0 ns\n--- End jemalloc statistics ---\n"
    )
}

fn of(text: &str) -> AllStats {
    read(&mut text.as_bytes()).unwrap()
}

fn report(text: &str) -> JemallocReport {
    of(text).report(&Context::default()).unwrap()
}

#[test]
fn version_5_as_text() {
    let all = of(&text(60, 100, 150));
    let s = &all.all[0];
    assert_eq!(
        (s.allocated, s.active, s.metadata, s.resident),
        (60 * MIB, 100 * MIB, Some(2 * MIB), Some(150 * MIB))
    );
    assert_eq!(
        (s.version.as_deref(), s.dirty_decay, s.arenas, s.background),
        (Some("5.3.0"), Some(10_000), Some(32), Some(false))
    );
    assert_eq!((s.retained, s.is_whole, all.truncated), (Some(4096), true, None));
}

#[test]
fn holes_and_unreturned_pages_are_told_apart() {
    let r = report(&text(60, 100, 150));
    assert!(
        r.head
            .findings
            .iter()
            .all(|f| f.cause == Some(Cause::Fragmentation) && f.certainty == Certainty::Likely)
    );
    assert!(r.head.findings[0].text.starts_with("40 % of active memory, 40.0 MiB"), "{:?}", r.head.findings);
    assert!(
        r.head.findings[1].text.starts_with("48.0 MiB, 32 % of what is resident"),
        "{:?}",
        r.head.findings
    );
    assert!(r.head.findings[1].pro.iter().any(|p| p.contains("no background thread")));
    let used = report(&text(98, 100, 104));
    assert_eq!((used.head.findings.len(), used.head.findings[0].cause), (1, Some(Cause::None)));
    assert_eq!(used.head.findings[0].certainty, Certainty::Likely);
    let between = report(&text(80, 100, 104));
    assert_eq!(between.head.findings[0].certainty, Certainty::CannotTell);
}

#[test]
fn older_versions_and_json() {
    let old = "___ Begin jemalloc statistics ___\nVersion: 3.6.0-0-g46c0af68bd248b04df75e4f92d5fb804c3d75340\nAllocated: 100, active: 4096, mapped: 4194304\n--- End jemalloc statistics ---\n";
    let r = report(old);
    assert_eq!((r.allocated_bytes, r.resident_bytes, r.unreturned_bytes), (100, None, None));
    assert!(r.head.warnings.iter().any(|w| w.contains("not told by this version")));
    assert_eq!(r.head.findings[0].certainty, Certainty::CannotTell);
    let json = r#"{"jemalloc":{"version":"5.2.1-0-gea6b3e9","opt":{"dirty_decay_ms":-1,"background_thread":true},"arenas":{"narenas":8},"stats":{"allocated":104857600,"active":110100480,"metadata":1048576,"resident":209715200,"mapped":1,"retained":2}}}"#;
    assert!(AllStats::looks_like(json.as_bytes()));
    let r = report(json);
    assert_eq!(r.unreturned_bytes, Some(94 * MIB));
    assert!(r.head.findings[0].pro.iter().any(|p| p.contains("never returned")), "{:?}", r.head.findings);
    for cut in 0..json.len() {
        assert!(read(&mut &json.as_bytes()[..cut]).is_none(), "{cut}: no sum of a cut document is trusted");
    }
}

#[test]
fn a_series_in_one_file_or_in_several() {
    let texts = [50, 100, 150].map(|n| text(n, n + 5, n + 8));
    let r = report(&texts.concat());
    let f = &r.head.findings[0];
    assert_eq!((f.certainty, f.cause), (Certainty::Likely, Some(Cause::OffHeap)), "{f:?}");
    assert_eq!(r.series_allocated_bytes, [50 * MIB, 100 * MIB, 150 * MIB]);
    let apart: Vec<AllStats> = texts.iter().map(|t| of(t)).collect();
    let two = AllStats::change(&[&apart[0], &apart[2]], &Context::default()).unwrap();
    assert!(two.head.findings.iter().all(|f| !f.accuses()), "two points");
    assert!(AllStats::change(&[&apart[0]], &Context::default()).is_none());
}

#[test]
fn a_cut_is_told_and_gives_no_wrong_number() {
    let whole = text(60, 100, 150);
    let sums = of(&whole).all[0].clone();
    for cut in 0..whole.len() - 1 {
        let Some(s) = read(&mut &whole.as_bytes()[..cut]) else { continue };
        assert!(s.truncated.is_some(), "{cut}");
        assert_eq!((s.all[0].allocated, s.all[0].resident), (sums.allocated, sums.resident), "{cut}");
    }
    assert!(AllStats::looks_like(b"12 INFO stats:\n___ Begin jemalloc statistics ___\n"));
    assert!(!AllStats::looks_like(b"{\"jemallocs\": 1}") && !AllStats::looks_like(b"jemalloc is linked\n"));
}

proptest! {
    #[test]
    fn hostile_text_never_panics(
        lines in prop::collection::vec("(___ Begin jemalloc statistics ___|Allocated: [0-9]{1,20}, active: [0-9]{1,20}, metadata: [0-9]{1,20} \\(n_thp 0\\), resident: [0-9]{1,20}|Arenas: [0-9]{1,20}|opt.dirty_decay_ms: -?[0-9]{1,20}|--- End jemalloc statistics ---|.{0,20})", 0..30),
        rss in prop::option::of(any::<u64>()),
    ) {
        let text = lines.join("\n") + "\n";
        if let Some(s) = read(&mut text.as_bytes()) {
            let r = s.report(&Context { rss, ..Context::default() }).unwrap();
            prop_assert!((0.0..=1.0).contains(&r.fragmentation_share));
            let _tables = r.tables();
        }
    }
}

#[test]
fn two_that_are_alike_say_that_nothing_grew() {
    let (a, b) = (of(&text(60, 100, 150)), of(&text(61, 100, 150)));
    let change = AllStats::change(&[&a, &b], &Context::default()).unwrap();
    assert!(change.head.summary.contains("in use (1.00 MiB more than at first)"), "{}", change.head.summary);
    assert!(
        change.head.findings.iter().any(|f| f.text.contains("grew beyond noise")),
        "{:?}",
        change.head.findings
    );
    let c = of(&text(160, 200, 250));
    let change = AllStats::change(&[&a, &c], &Context::default()).unwrap();
    assert!(
        !change.head.findings.iter().any(|f| f.text.contains("grew beyond noise")),
        "{:?}",
        change.head.findings
    );
}
