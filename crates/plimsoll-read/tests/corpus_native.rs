//! The mappings of this very process, and the tracking of a real JVM: what the kernel and the JVM print is read.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the kernel and a JVM give the input"
)]
#![expect(clippy::print_stderr, reason = "a skipped test says so")]

use std::process::Command;

use plimsoll_read::nmt;
use plimsoll_read::reading::Context;
use plimsoll_read::smaps::{Form, Use, survey};

#[test]
fn the_mappings_of_this_process_agree_in_every_form() {
    let file =
        |name: &str| std::fs::read(format!("/proc/self/{name}")).ok().and_then(|b| survey(b.as_slice()));
    let (Some(smaps), Some(maps)) = (file("smaps"), file("maps")) else {
        eprintln!("SKIPPED: no /proc/self/smaps here");
        return;
    };
    assert_eq!((smaps.form, maps.form, smaps.truncated.as_ref()), (Form::Smaps, Form::Maps, None));
    assert!(smaps.total.resident > 1 << 20 && smaps.of(Use::Files).resident > 0, "{:?}", smaps.total);
    assert!(smaps.total.resident <= smaps.total.size && maps.total.resident == 0);
    let report = smaps.report(&Context::default()).expect("mappings");
    assert!(report.files.iter().any(|f| f.name.contains("corpus_native")), "{:?}", report.files);
    if let Some(rollup) = file("smaps_rollup") {
        let apart = rollup.total.resident.abs_diff(smaps.total.resident);
        assert!(apart < 8 << 20, "{} and {}", rollup.total.resident, smaps.total.resident);
    }
}

#[test]
fn the_tracking_of_a_real_jvm_adds_up() {
    let flags = [
        "-XX:+UnlockDiagnosticVMOptions",
        "-XX:NativeMemoryTracking=detail",
        "-XX:+PrintNMTStatistics",
        "-version",
    ];
    let Ok(out) = Command::new("java").args(flags).output() else {
        assert!(std::env::var("CI").is_err(), "no java, and CI must have one");
        eprintln!("SKIPPED: no java here");
        return;
    };
    let reports = nmt::read(out.stdout.as_slice()).expect("the JVM prints its tracking at the end");
    assert_eq!(reports.truncated, None);
    let last = reports.all.last().expect("one");
    assert!(last.is_detail && last.of("Java Heap").is_some_and(|h| h.committed.bytes > 0));
    let sum: u64 = last.categories.iter().map(|c| c.committed.bytes).sum();
    assert!(sum.abs_diff(last.total.committed.bytes) <= 40 << 10, "{sum} of {:?}", last.total);
}
