//! Histograms as artifacts: what one and several conclude, cuts and hostile text.

use plimsoll_core::classify::{Cause, Certainty};
use proptest::prelude::*;

use super::*;
use crate::formats::Kind as _;
use crate::reading::Context;

fn text(rows: &[(&str, u64, u64)]) -> String {
    let mut out = "512:\n num     #instances         #bytes  class name (module)\n-------\n".to_owned();
    for (i, (class, instances, bytes)) in rows.iter().enumerate() {
        out += &format!("{:4}: {instances:>13} {bytes:>14}  {class} (java.base@17.0.15)\n", i + 1);
    }
    let sum = |f: fn(&(&str, u64, u64)) -> u64| rows.iter().map(f).sum::<u64>();
    out + &format!("Total {:>13} {:>14}\n", sum(|r| r.1), sum(|r| r.2))
}

/// A program with `n` sessions, each with an entry and a string, and a fixed heap beside.
fn sessions(n: u64) -> String {
    text(&[
        ("[B", 20_000 + n, 4_000_000 + n * 1000),
        ("java.lang.String", 20_000 + n, 480_000 + n * 24),
        ("java.util.HashMap$Node", 5000 + n, 160_000 + n * 32),
        ("com.example.Session", n, n * 64),
        ("com.example.Config", 12, 480),
    ])
}

fn of(text: &str) -> Histograms {
    read(text.as_bytes()).unwrap()
}

#[test]
fn one_histogram_shows_sizes_and_accuses_nobody() {
    let r = of(&sessions(1000)).report(&Context { rss: Some(10_000_000), ..Context::default() }).unwrap();
    assert_eq!(r.head.findings.len(), 1);
    let f = &r.head.findings[0];
    assert_eq!(f.certainty, Certainty::CannotTell);
    assert!(f.pro[0].starts_with("byte[] and char[] have 4.77 MiB, 87 %"), "{f:?}");
    assert!(
        f.pro[1].contains("21000 strings to 21000") && f.pro[2].contains("com.example.Session, 62.5 KiB"),
        "{f:?}"
    );
    assert!(
        r.head.summary.contains("the largest class is byte[], 87 %; 58 % of resident"),
        "{}",
        r.head.summary
    );
    assert_eq!(r.classes[0].class, "byte[]");
}

#[test]
fn several_say_what_grew_and_which_class_of_the_program_grew_along() {
    let all = [1000, 21_000, 41_000].map(|n| of(&sessions(n)));
    let [a, b, c] = &all;
    let change = |series: &[&Histograms]| Histograms::change(series, &Context::default()).unwrap();
    let r = change(&[a, b, c]);
    let f = &r.head.findings[0];
    assert_eq!((f.certainty, f.cause), (Certainty::Likely, Some(Cause::Retention)), "{f:?}");
    assert!(
        f.pro.iter().any(|p| p.starts_with("com.example.Session grew by 40000 instances, 2.44 MiB, more at every step; as many more byte[], java.util.HashMap$Node, java.lang.String")),
        "{f:?}"
    );
    assert_eq!((r.classes[0].class.as_str(), r.classes[0].more_instances), ("byte[]", Some(40_000)));
    assert_eq!(r.classes[0].series_bytes.len(), 3);
    let two = change(&[a, c]);
    assert!(two.head.findings.iter().all(|f| !f.accuses()), "two points: {:?}", two.head.findings);
    let back = change(&[a, c, b]);
    assert!(back.head.findings.iter().all(|f| !f.accuses()), "{:?}", back.head.findings);
    let same = change(&[a, a]);
    assert_eq!(same.head.findings[0].cause, Some(Cause::None));
    assert!(same.tables().is_empty() && same.more_bytes == Some(0));
    let joined = of(&[sessions(1000), sessions(21_000), sessions(41_000)].concat());
    assert_eq!(
        joined.report(&Context::default()).unwrap().head.findings,
        r.head.findings,
        "one file, or three"
    );
}

#[test]
fn buffers_and_threads_are_named_for_what_they_mean() {
    let with =
        |n: u64| of(&text(&[("java.nio.DirectByteBuffer", n, n * 64), ("java.lang.Thread", 20, 2000)]));
    let r = Histograms::change(&[&with(10), &with(5000)], &Context::default()).unwrap();
    let f = r.head.findings.iter().find(|f| f.text.contains("DirectByteBuffer")).unwrap();
    assert_eq!((f.certainty, f.cause), (Certainty::CannotTell, Some(Cause::OffHeap)));
}

#[test]
fn java_8_has_no_modules_and_a_cut_is_told() {
    let old = " num     #instances         #bytes  class name\n----------------------------------------------\n   1:           300          90000  [C\n   2:             7            168  [Ljava.lang.String;\nTotal           307          90168\n";
    let h = of(old);
    assert_eq!((h.all[0].of("char[]").instances, h.all[0].of("java.lang.String[]").bytes), (300, 168));
    assert_eq!(h.truncated, None);
    for cut in 0..old.len() {
        let Some(h) = read(&old.as_bytes()[..cut]) else { continue };
        assert!(h.truncated.is_some(), "{cut}");
        assert!(h.all[0].of("char[]").bytes <= 90_000 && h.report(&Context::default()).is_some());
    }
}

#[test]
fn it_is_recognised_by_its_head() {
    assert!(Histograms::looks_like(sessions(1).as_bytes()));
    assert!(!Histograms::looks_like(b"1: 2 3 x\nnum instances\n"));
}

proptest! {
    #[test]
    fn hostile_rows_never_panic(rows in prop::collection::vec("( num #instances #bytes class name|[0-9]{1,3}: [0-9]{1,20} [0-9]{1,20} \\[{0,3}[BCL]?[a-z.]{1,9};?|Total [0-9]{1,20} [0-9]{1,20}|.{0,20})", 0..50)) {
        let text = rows.join("\n") + "\n";
        if let Some(h) = read(text.as_bytes()) {
            let r = h.report(&Context { rss: Some(0), ..Context::default() }).unwrap();
            prop_assert!(!r.head.summary.is_empty() && r.classes.len() <= 40);
            let _tables = r.tables();
            prop_assert!(Histograms::change(&[&h, &h, &h], &Context::default()).is_some());
        }
    }
}

#[test]
fn histograms_within_a_unified_log_are_those_after_full_collections() {
    let of = |id: u32, when: &str, bytes: u32| {
        let lines = [
            format!("Class Histogram ({when} full gc)"),
            " num     #instances         #bytes  class name (module)".to_owned(),
            "-------------------------------------------------------".to_owned(),
            format!("   1:            42         {bytes}  [B (java.base@25.0.3)"),
            format!("Total            42         {bytes}"),
        ];
        let decorated = lines.map(|l| format!("[{id}.755s][trace][gc,classhisto      ] GC({id}) {l}\n"));
        decorated.concat()
    };
    let log: String =
        (0..3).map(|id| of(id, "before", 9_000_000) + &of(id, "after", 1000 * (id + 1))).collect();
    assert!(Histograms::looks_like(log.as_bytes()));
    let histograms = read(log.as_bytes()).unwrap();
    let totals: Vec<u64> = histograms.all.iter().map(|h| h.total.bytes).collect();
    assert_eq!((totals, &histograms.truncated), (vec![1000, 2000, 3000], &None));
    assert_eq!(histograms.all[0].of("byte[]").instances, 42);
}
