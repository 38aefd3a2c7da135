//! What malloc's books prove, cuts and hostile text.

use plimsoll_core::classify::{Cause, Certainty};
use proptest::prelude::*;

use super::*;
use crate::formats::Kind as _;
use crate::reading::Context;

const MIB: u64 = 1 << 20;

/// A report of arenas with so many MiB held and free.
fn text(arenas: &[(u64, u64)], mapped: u64) -> String {
    let amounts = |held: u64, free: u64| {
        format!(
            "<total type=\"fast\" count=\"0\" size=\"0\"/>\n<total type=\"rest\" count=\"{free}\" size=\"{}\"/>\n",
            free * MIB
        ) + &format!(
            "<system type=\"current\" size=\"{0}\"/>\n<system type=\"max\" size=\"{0}\"/>\n",
            held * MIB
        )
    };
    let mut out = "<malloc version=\"1\">\n".to_owned();
    for (i, (held, free)) in arenas.iter().enumerate() {
        out += &format!(
            "<heap nr=\"{i}\">\n<sizes>\n  <size from=\"33\" to=\"48\" total=\"480\" count=\"10\"/>\n</sizes>\n"
        );
        out += &amounts(*held, *free);
        out += "<aspace type=\"total\" size=\"1\"/>\n</heap>\n";
    }
    let sum = |f: fn(&(u64, u64)) -> u64| arenas.iter().map(f).sum();
    out += &amounts(sum(|a| a.0), sum(|a| a.1));
    out + &format!(
        "<total type=\"mmap\" count=\"1\" size=\"{}\"/>\n<aspace type=\"total\" size=\"9\"/>\n</malloc>\n",
        mapped * MIB
    )
}

fn report(text: &str, rss: Option<u64>) -> MallocReport {
    read(text.as_bytes()).unwrap().report(&Context { rss, ..Context::default() }).unwrap()
}

#[test]
fn free_memory_inside_is_fragmentation() {
    let r = report(&text(&[(10, 1), (64, 50), (64, 40)], 12), None);
    assert_eq!((r.held_bytes, r.free_bytes, r.in_use_bytes), (150 * MIB, 91 * MIB, 59 * MIB));
    let f = &r.head.findings[0];
    assert_eq!((f.certainty, f.cause), (Certainty::Likely, Some(Cause::Fragmentation)));
    assert!(f.hint.as_ref().unwrap().contains("MALLOC_ARENA_MAX=2"), "{f:?}");
    assert_eq!(
        r.head.summary,
        "malloc holds 150 MiB in 3 arenas: 59.0 MiB in use, 91.0 MiB free inside (61 %)."
    );
    assert_eq!((r.arenas[0].number, r.arenas[0].free_bytes), (1, 50 * MIB));
    let trimmed = report(&text(&[(10, 1), (64, 50), (64, 40)], 12), Some(70 * MIB));
    assert!(trimmed.head.findings[0].contra.iter().any(|c| c.contains("too small for all of it")));
}

#[test]
fn what_is_in_use_is_not() {
    let r = report(&text(&[(100, 2), (64, 3)], 0), None);
    assert_eq!(r.head.findings[0].cause, Some(Cause::None));
    assert!(!r.head.findings[0].accuses());
    let some = report(&text(&[(100, 30)], 0), None);
    assert_eq!(some.head.findings[0].certainty, Certainty::CannotTell, "30 % is neither");
}

#[test]
fn a_series_tells_a_leak_from_fragmentation() {
    let of = |held, free| read(text(&[(held, free)], 0).as_bytes()).unwrap();
    let change =
        |series: &[Infos]| Infos::change(&series.iter().collect::<Vec<_>>(), &Context::default()).unwrap();
    let leak = change(&[of(50, 5), of(100, 6), of(150, 5)]);
    assert_eq!(leak.head.findings[0].cause, Some(Cause::OffHeap));
    assert!(leak.head.findings[0].accuses() && leak.head.findings[0].text.contains("45.0 MiB → 145 MiB"));
    assert_eq!(leak.series_in_use_bytes, [45 * MIB, 94 * MIB, 145 * MIB]);
    let kept = change(&[of(50, 5), of(100, 55), of(150, 105)]);
    assert_eq!(kept.head.findings[0].cause, Some(Cause::Fragmentation));
    assert!(change(&[of(50, 5), of(150, 5)]).head.findings.iter().all(|f| !f.accuses()), "two points");
}

#[test]
fn a_cut_is_told_and_summed_from_what_is_there() {
    let whole = text(&[(10, 1), (64, 50), (64, 40)], 12);
    assert_eq!(read(whole.as_bytes()).unwrap().truncated, None);
    for cut in 0..whole.len() - "</malloc>\n".len() {
        let Some(i) = read(&whole.as_bytes()[..cut]) else { continue };
        assert!(i.truncated.is_some(), "{cut}");
        assert!(i.all[0].held() <= 150 * MIB && i.all[0].total.free() <= 91 * MIB, "{cut}: {i:?}");
        assert!(i.report(&Context::default()).unwrap().head.findings.iter().all(|f| !f.accuses()), "{cut}");
    }
}

#[test]
fn it_is_recognised_within_a_log() {
    assert!(Infos::looks_like(b"12 INFO dumping\n<malloc version=\"1\">\n"));
    assert!(!Infos::looks_like(b"<html>malloc version=\"1\"</html>"));
}

proptest! {
    #[test]
    fn hostile_tags_never_panic(tags in prop::collection::vec("<(malloc version=\"1\"|/malloc|heap nr=\"1\"|/heap|(total|system) type=\"(fast|rest|mmap|current|max)\" count=\"[0-9]{1,20}\" size=\"[0-9]{1,20}\"/|.{0,12})>", 0..40), rss in prop::option::of(any::<u64>())) {
        let text = format!("<malloc version=\"1\">{}", tags.join("\n"));
        if let Some(i) = read(text.as_bytes()) {
            let r = i.report(&Context { rss, ..Context::default() }).unwrap();
            prop_assert!((0.0..=1.0).contains(&r.free_share) || r.free_bytes > r.held_bytes);
            let _tables = r.tables();
        }
    }
}
