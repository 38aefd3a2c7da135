//! Collection logs of other people's systems: the collector, how many collections, what is concluded, what a cut says.

#![expect(clippy::disallowed_methods, reason = "the corpus lies outside the repository")]
#![expect(clippy::print_stderr, reason = "a skipped test says so")]

use std::path::Path;

use plimsoll_core::classify::{Cause, Certainty};
use plimsoll_read::gc_log::{self, Collector, Form, GcLog, Mishap};
use plimsoll_read::reading::Context;

/// A file of the corpus; none, loudly, where there is no corpus.
fn corpus(name: &str) -> Option<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus/gclog");
    if !folder.is_dir() {
        eprintln!("SKIPPED: no corpus of collection logs at {}", folder.display());
        return None;
    }
    let path = folder.join(name);
    Some(std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())))
}

/// A log that was read, after ten cuts of it were.
fn log(name: &str) -> Option<GcLog> {
    let bytes = corpus(name)?;
    for i in 1..=10 {
        let head = &bytes[..bytes.len() * i / 11];
        let Some(cut) = gc_log::parse(head) else { continue };
        let told = cut.report(&Context::default());
        assert!(!told.head.summary.is_empty(), "{name}");
        if head.last() != Some(&b'\n') {
            assert!(told.head.artifact.truncated.is_some(), "{name} cut at {} says nothing", head.len());
        }
    }
    Some(gc_log::parse(bytes.as_slice()).unwrap_or_else(|| panic!("{name} is not read")))
}

/// Collections and full ones, over all lives.
fn counts(log: &GcLog) -> (u64, u64) {
    log.lives
        .iter()
        .fold((0, 0), |(all, full), l| (all + l.counts.all(), full + l.counts.full + l.counts.degenerated))
}

/// Numbers by `grep -c` over the corpus, not by this reader.
#[test]
fn collectors_and_counts() {
    use Collector::{Cms, G1, Parallel, Serial, Shenandoah, Z};
    let logs = [
        ("gcviewer_Sample-ujl-shenandoah-jdk11-PauseDegeneratedGc.txt", Some(Shenandoah), (1, 1)),
        ("gcviewer_Sample-ujl-shenandoah-jdk11-beginning.txt", Some(Shenandoah), (0, 0)),
        ("gcviewer_Sample-ujl-shenandoah-jdk11.txt", Some(Shenandoah), (1, 0)),
        ("gcviewer_Sample-ujl-shenandoah-jdk17.txt", Some(Shenandoah), (1, 0)),
        ("gcviewer_SampleShenandoahAllocationFailure.txt", Some(Shenandoah), (1, 1)),
        ("gcviewer_SampleShenandoahSingleSystemGC.txt", None, (1, 1)),
        ("gcviewer_sample-ujl-cms-gc-all,safepoint,os+cpu.txt", Some(Cms), (9, 2)),
        ("gcviewer_sample-ujl-cms-gc-defaults.txt", Some(Cms), (4, 1)),
        ("gcviewer_sample-ujl-g1-gc-all,safepoint,os+cpu-to-space-exhausted.txt", Some(G1), (1, 0)),
        ("gcviewer_sample-ujl-g1-gc-all,safepoint,os+cpu.txt", Some(G1), (11, 0)),
        ("gcviewer_sample-ujl-g1-gc-defaults.txt", Some(G1), (8, 1)),
        ("gcviewer_sample-ujl-jdk17-full-concurrent-cycle-g1-gc-all-safepont,os-cpu.txt", Some(G1), (7, 0)),
        ("gcviewer_sample-ujl-parallel-gc-all,safepoint,os+cpu.txt", Some(Parallel), (8, 4)),
        ("gcviewer_sample-ujl-parallel-gc-defaults.txt", Some(Parallel), (11, 6)),
        ("gcviewer_sample-ujl-serial-gc-all,safepoint,os+cpu.txt", Some(Serial), (4, 1)),
        ("gcviewer_sample-ujl-serial-gc-defaults.txt", Some(Serial), (11, 3)),
        ("gcviewer_sample-ujl-zgc-gc-all.txt", Some(Z), (1, 0)),
        ("gcviewer_sample-ujl-zgc-gc-default.txt", Some(Z), (5, 0)),
        ("gcviewer_sample-ujl-zgc-gc-other.txt", Some(Z), (1, 0)),
        ("jdk14_short_restart_4.log.1", Some(G1), (45, 1)),
        ("jdk14_short_restart_4.log.2", Some(G1), (3, 3)),
        ("preunified_cms_parnew_details_gccause_170_1.7.0_cms.log", Some(Cms), (603, 0)),
        ("preunified_cms_parnew_details_tenuring_180_scavangeBeforeRemark.log", Some(Cms), (14, 0)),
        ("preunified_g1gc_corrupted_full_concurrent_mark_failure.log", Some(G1), (2, 1)),
        ("preunified_g1gc_details_tenuring_180_g1gc.log", Some(G1), (99, 0)),
        ("preunified_generated_leakerNoDetails.log", None, (186, 0)),
        ("preunified_ps_details_gccause_180_ps.negative.recovery80.log", Some(Parallel), (1942, 1940)),
        ("preunified_ps_details_memoryleak2.log", Some(Parallel), (863, 8)),
        ("preunified_ps_details_tenuring_gccause_180_parold1.log", Some(Parallel), (910, 153)),
        ("preunified_serial_defnew_details_tenuring_180_serial180.log", Some(Serial), (47, 12)),
        ("unified_cms_gc_trace.log", Some(Cms), (595, 3)),
        ("unified_g1gc_gc-no-age-timestamp.log", Some(G1), (2, 0)),
        ("unified_g1gc_jvm-gc-10Nov2022.log", Some(G1), (6, 0)),
        ("unified_g1gc_minimal.log", Some(G1), (3433, 1)),
        ("unified_serial_factorization-serialgc-tip.log", Some(Serial), (17, 4)),
    ];
    for (name, collector, expected) in logs {
        let Some(log) = log(name) else { return };
        let life = log.newest().expect("a life");
        assert_eq!(life.collector.map(|(c, _)| c), collector, "{name}");
        assert_eq!(counts(&log), expected, "{name}");
        assert_eq!(log.lives.len(), 1, "{name}");
        let old = name.starts_with("preunified");
        assert_eq!(log.form, if old { Form::Jdk8 } else { Form::Unified }, "{name}");
    }
}

#[test]
fn what_holds_no_collection_is_not_read() {
    for name in ["preunified_ps_empty.log", "preunified_g1gc_corrupted_rollsbackclock.log"] {
        let Some(bytes) = corpus(name) else { return };
        assert!(gc_log::parse(bytes.as_slice()).is_none(), "{name}");
        assert!(!gc_log::looks_like(&bytes), "{name}");
    }
}

#[test]
fn a_leak_over_days_is_told_by_its_few_full_collections() {
    let Some(log) = log("preunified_ps_details_memoryleak2.log") else { return };
    let report = log.report(&Context::default());
    let first = report.head.findings.first().expect("a finding");
    assert_eq!((first.cause, first.certainty), (Some(Cause::Retention), Certainty::Likely), "{first:?}");
    // By hand, from the lowest of each night's pair: 2,451,709 K at 105,598 s to 3,878,036 K at 364,798 s.
    let by_hand = f64::from(3_878_036 - 2_451_709) * 1024.0 / (364_798.0 - 105_598.0);
    let slope = report.lives[0].floor_slope_bytes_per_second.expect("a slope");
    assert!((slope.mid / by_hand - 1.0).abs() < 0.1, "{} against {by_hand}", slope.mid);
    assert!(slope.low <= by_hand && by_hand <= slope.high);
    assert!(report.seconds_to_heap_max.is_some());
}

#[test]
fn a_log_that_climbs_without_exact_points_is_no_leak() {
    for name in ["unified_g1gc_minimal.log", "unified_cms_gc_trace.log", "jdk14_short_restart_4.log.1"] {
        let Some(log) = log(name) else { return };
        let report = log.report(&Context::default());
        let blamed = report.head.findings.iter().find(|f| f.cause == Some(Cause::Retention));
        assert_eq!(blamed, None, "{name}");
    }
}

#[test]
fn what_went_wrong_is_counted() {
    let had = |name: &str, what: Mishap| {
        let log = log(name)?;
        let life = log.newest()?;
        Some(life.mishaps.iter().find(|m| m.what == what).map(|m| m.count))
    };
    let Some(count) = had("gcviewer_sample-ujl-g1-gc-defaults.txt", Mishap::ToSpace) else { return };
    assert_eq!(count, Some(3));
    assert_eq!(had("gcviewer_sample-ujl-zgc-gc-other.txt", Mishap::Stall).flatten(), Some(7));
}

#[test]
fn two_files_are_two_lives() {
    let (Some(a), Some(b)) = (log("jdk14_short_restart_4.log.1"), log("jdk14_short_restart_4.log.2")) else {
        return;
    };
    let joined = GcLog::joined(&[&a, &b]).expect("of one form");
    assert_eq!((joined.lives.len(), joined.bytes), (2, a.bytes + b.bytes));
    let report = joined.report(&Context::default());
    assert!(report.head.summary.contains("newest of 2 lives"), "{}", report.head.summary);
}
