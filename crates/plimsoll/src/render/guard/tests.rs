//! What the user reads of a growth test.

use std::collections::BTreeMap;

use plimsoll_core::fact::Reading;
use plimsoll_core::guard::{Metric, Round, Tolerance, Withdrawn};

use super::*;

fn phase(keys: KeyMode, bytes: f64) -> Phase {
    let mut course = Course::new(Tolerance::default(), 128);
    let mut n = 0.0;
    while course.goes_on() {
        n += 1.0;
        let readings = [
            (Metric::Heap, Reading::Known(5e6 + bytes * n * 1000.0)),
            (Metric::Fds, Reading::Known(9.0)),
            (Metric::Anon, Reading::unknown("no group <of> its own")),
        ];
        course.push(Round { iterations: 1000, failed: 0, readings: BTreeMap::from(readings) });
    }
    Phase { keys, course, target: None, culprits: Vec::new(), notes: Vec::new(), seconds: 12.0 }
}

fn tested(phases: Vec<Phase>) -> Tested {
    Tested {
        command: "./a<b>".to_owned(),
        phases,
        rps: Some(200.0),
        headroom: Some(1_073_741_824.0),
        place: None,
    }
}

#[test]
fn a_leak_says_how_long_what_next_and_how_sure() {
    let t = tested(vec![phase(KeyMode::Distinct, 16.0)]);
    let text = screen(&t, Paint::new(false));
    for said in [
        "GROWING",
        "16,000 iterations",
        "heap        growing           16.0 B  16.0 B to 16.0 B       8.00 B",
        "1.00 GiB are gone after 67.1 million iterations",
        "at 200 per second in 3.9 days",
        "NEXT",
        "one false alarm per metric in 1,000 runs",
        "cgroup-anon: no group",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
    assert!(text.lines().all(|l| l.chars().count() <= 130), "{text}");
}

#[test]
fn keys_that_never_come_again_are_named() {
    let t = tested(vec![phase(KeyMode::Pool(1000), 0.0), phase(KeyMode::Distinct, 100.0)]);
    assert_eq!((t.outcome(), t.keys()), (Outcome::Growing, Some(KeyFinding::UnboundedKeys)));
    assert!(screen(&t, Paint::new(false)).contains("unbounded key cardinality"));
    assert_eq!(json(&t)["keys"]["finding"], "unbounded-keys");
}

#[test]
fn what_is_withdrawn_is_no_verdict_anywhere() {
    let mut p = phase(KeyMode::Distinct, 16.0);
    p.course.withdraw(Withdrawn::Restarted);
    let t = tested(vec![p]);
    let text = screen(&t, Paint::new(false));
    assert!(text.starts_with("WITHDRAWN") && text.contains("restarted within the run"), "{text}");
    assert!(junit(&t).contains("<error type=\"withdrawn\""));
    assert!(annotations(&t)[0].starts_with("::warning title=plimsoll guard: withdrawn::the process"));
}

#[test]
fn the_forms_of_ci_are_well_formed() {
    let t = tested(vec![phase(KeyMode::Distinct, 16.0)]);
    let xml = junit(&t);
    assert!(xml.contains("failures=\"1\" errors=\"0\" skipped=\"1\""), "{xml}");
    assert!(xml.contains("no group &lt;of&gt; its own") && !xml.contains("a<b>"), "{xml}");
    assert!(annotations(&t)[0].contains("%0A"), "lines of an annotation are escaped");
    assert!(summary(&t).contains("| heap | growing |"));
    let picture = picture(&t).svg();
    assert_eq!(picture.matches("<circle").count(), 32, "a dot for each round of each metric");
    assert!(picture.contains("./a&lt;b&gt;"));
    assert!(annotations(&tested(vec![phase(KeyMode::Distinct, 0.0)])).is_empty());
}

#[test]
fn what_grows_is_shown_at_its_line_and_what_is_withdrawn_accuses_nobody() {
    let mut t = tested(vec![phase(KeyMode::Distinct, 16.0)]);
    t.place = Some(Place { file: "src/a,b.go".to_owned(), line: 41 });
    assert!(
        annotations(&t)[0].starts_with("::error file=src/a%2Cb.go,line=41,title=plimsoll guard: growing::")
    );
    let log: serde_json::Value = serde_json::from_str(&sarif(&t)).expect("a document");
    let results = log["runs"][0]["results"].as_array().expect("results");
    assert_eq!((results.len(), &results[0]["ruleId"]), (1, &"guard/heap".into()), "{log:#}");
    let place = &results[0]["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "src/a,b.go");
    assert_eq!(place["region"]["startLine"], 41);
    let mut p = phase(KeyMode::Distinct, 16.0);
    p.course.withdraw(Withdrawn::Restarted);
    let log: serde_json::Value = serde_json::from_str(&sarif(&tested(vec![p]))).expect("a document");
    assert_eq!(log["runs"][0]["results"][0]["ruleId"], "guard/withdrawn", "{log:#}");
    let flat: serde_json::Value =
        serde_json::from_str(&sarif(&tested(vec![phase(KeyMode::Distinct, 0.0)]))).expect("a document");
    assert_eq!(flat["runs"][0]["results"], serde_json::json!([]));
}

#[test]
fn what_grows_is_drawn_on_the_screen() {
    let text = screen(&tested(vec![phase(KeyMode::Distinct, 16.0)]), Paint::new(false));
    let rows: Vec<&str> = text.lines().filter(|l| l.contains('│')).collect();
    assert_eq!(rows.len(), 7, "the heap alone: {text}");
    assert!(rows[0].ends_with('●') && rows.iter().any(|r| r.contains('─') && r.contains('·')), "{text}");
    assert!(!screen(&tested(vec![phase(KeyMode::Distinct, 0.0)]), Paint::new(false)).contains('│'));
}
