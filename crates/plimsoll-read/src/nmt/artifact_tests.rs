//! Reports of every form and version: their numbers, what is concluded, cuts and hostile text.

use plimsoll_core::classify::{Cause, Certainty};
use proptest::prelude::*;

use super::*;
use crate::formats::Kind;
use crate::reading::Context;

const MIB: u64 = 1 << 20;

fn report(total: u64, categories: &[(&str, u64)]) -> String {
    let mut text =
        format!("7:\n\nNative Memory Tracking:\n\nTotal: reserved={total}KB, committed={total}KB\n\n");
    for (name, kib) in categories {
        text += &format!("-{name:>26} (reserved={kib}KB, committed={kib}KB)\n\n");
    }
    text
}

fn of(text: &str) -> Reports {
    read(text.as_bytes()).unwrap()
}

/// As JDK 8 prints it: `thread #`, no peaks, blank lines with a blank.
const DIFF_8: &str = "\
3210:

Native Memory Tracking:

Total: reserved=2000000KB +70000KB, committed=400000KB +60000KB

-                 Java Heap (reserved=262144KB, committed=262144KB -4096KB)
                            (mmap: reserved=262144KB, committed=262144KB -4096KB)
 
-                    Thread (reserved=71880KB +52373KB, committed=71880KB +52373KB)
                            (thread #70 +51)
                            (stack: reserved=71680KB +52224KB, committed=71680KB +52224KB)
                            (malloc=119KB +89KB #424 +306)
                            (arena=80KB +60 #138 +102)
 
-                  Internal (reserved=65976KB +11723KB, committed=65976KB +11723KB)
                            (malloc=65976KB +11723KB #1987 +418)
 
[0x00007f37abecc472]
[0x00007fc1596d0c9c] Unsafe_AllocateMemory+0x7c
                             (malloc=93952KB type=Internal +11000KB #5872 +4000)

[0x00007fc15971a27c]ReservedSpace::reserve(unsigned long)+0xac
                             (mmap: reserved=70656KB +52224KB, committed=5944KB +5264KB Type=Thread Stack)

[0x00007fc15971a27d]Nameless(int)+0x1
                            ((3KB +3KB #53 +50))

";

#[test]
fn differences_follow_their_numbers() {
    let reports = of(DIFF_8);
    let [t] = reports.all.as_slice() else { panic!("{reports:?}") };
    let more = |name: &str| t.of(name).unwrap().committed.more;
    assert_eq!((t.total.committed.bytes, t.total.committed.more), (400_000 << 10, Some(60_000 << 10)));
    assert_eq!(more("Thread"), Some(52_373 << 10));
    assert_eq!(more("Java Heap"), Some(-4096 << 10));
    assert_eq!(t.of("Thread").unwrap().count, Some(Amount { bytes: 70, more: Some(51) }));
    assert!(t.is_diff && t.is_detail && reports.truncated.is_none());
    let sites: Vec<_> = t.sites.iter().map(|s| (s.category.as_deref(), s.amount.more, s.blocks)).collect();
    let kib = |n: i64| Some(n << 10);
    assert_eq!(
        sites,
        [(Some("Internal"), kib(11_000), 5872), (Some("Thread Stack"), kib(5264), 0), (None, kib(3), 53)]
    );
    assert_eq!(t.sites[0].stack.last().unwrap(), "Unsafe_AllocateMemory");
}

#[test]
fn a_comparison_names_what_grew_and_where() {
    let r = of(DIFF_8).report(&Context::default());
    let first = &r.head.findings[0];
    assert_eq!((first.certainty, first.cause), (Certainty::Likely, Some(Cause::Accumulation)), "{first:?}");
    assert!(first.text.starts_with("Thread grew by 51.1 MiB: 19.0 MiB → 70.2 MiB"), "{}", first.text);
    assert!(first.pro.iter().any(|p| p.contains("ReservedSpace::reserve")), "{first:?}");
    let second = &r.head.findings[1];
    assert_eq!((second.certainty, second.cause), (Certainty::CannotTell, Some(Cause::OffHeap)));
    assert_eq!(r.more_bytes, Some(60_000 << 10));
    assert_eq!(r.tables().len(), 2);
}

#[test]
fn one_report_never_accuses_a_category() {
    let text = report(900 << 10, &[("Java Heap", 200 << 10), ("Other", 700 << 10)]);
    let r = of(&text).report(&Context::default());
    assert!(r.head.findings.iter().all(|f| !f.accuses()), "{:?}", r.head.findings);
    assert!(r.head.summary.contains("most of it is Other, 78 %"), "{}", r.head.summary);
    assert!(r.head.findings.iter().any(|f| f.hint.as_ref().is_some_and(|h| h.contains("summary.diff"))));
}

#[test]
fn what_is_resident_beyond_all_is_unexplained() {
    let text = report(500 << 10, &[("Java Heap", 500 << 10)]);
    let seen =
        |rss: u64, limit| of(&text).report(&Context { rss: Some(rss * MIB), limit, ..Context::default() });
    let r = seen(900, None);
    assert_eq!(r.unexplained_bytes, Some(400 * MIB));
    assert!(r.head.findings[0].accuses() && r.head.findings[0].cause == Some(Cause::OffHeap));
    assert!(r.head.summary.contains("at least 400 MiB of the resident 900 MiB"), "{}", r.head.summary);
    let calm = seen(520, None);
    assert!(calm.head.findings.iter().all(|f| !f.accuses()));
    assert_eq!(seen(400, None).unexplained_bytes, None, "untouched memory is committed, not resident");
    let tight = seen(400, Some(450 * MIB));
    assert_eq!(tight.head.findings[0].cause, Some(Cause::OverBudget));
}

#[test]
fn three_reports_in_one_file_or_in_three_say_whether_it_goes_on() {
    let texts = [100u64, 140, 190]
        .map(|mib| report((mib + 50) << 10, &[("Java Heap", 50 << 10), ("Other", mib << 10)]));
    let check = |r: &NmtReport| {
        let f = &r.head.findings[0];
        assert!(f.accuses() && f.text.starts_with("Other grew by 90.0 MiB"), "{f:?}");
        assert!(f.pro.contains(&"it grew at each of 2 steps".to_owned()), "{f:?}");
        assert_eq!(r.categories[0].series_bytes, [100 * MIB, 140 * MIB, 190 * MIB]);
    };
    check(&of(&texts.concat()).report(&Context::default()));
    let apart: Vec<Reports> = texts.iter().map(|t| of(t)).collect();
    check(&Reports::change(&apart.iter().collect::<Vec<_>>(), &Context::default()).unwrap());
    let back: Vec<&Reports> = [&apart[0], &apart[2], &apart[1]].into();
    let r = Reports::change(&back, &Context::default()).unwrap();
    assert!(r.head.findings.iter().all(|f| !f.accuses()), "{:?}", r.head.findings);
}

#[test]
fn tracking_that_is_off_and_other_units() {
    let r = of("7:\nNative memory tracking is not enabled\n").report(&Context::default());
    assert_eq!((r.committed_bytes, r.head.findings.len()), (None, 1));
    assert!(r.head.findings[0].hint.as_ref().unwrap().contains("-XX:NativeMemoryTracking=summary"));
    let bytes = of("Total: reserved=1907348547 +123683895, committed=189531203 -184306633\n\n");
    assert_eq!(bytes.all[0].total.committed, Amount { bytes: 189_531_203, more: Some(-184_306_633) });
    let mb = of("Total: reserved=3GB, committed=5MB\n-   GC (reserved=5MB, committed=5MB)\n");
    assert_eq!((mb.all[0].unit, mb.all[0].of("GC").unwrap().committed.bytes), (MIB, 5 * MIB));
}

#[test]
fn a_cut_is_told_and_gives_no_wrong_number() {
    let whole = of(DIFF_8);
    let text = report(900 << 10, &[("Java Heap", 200 << 10), ("Other", 700 << 10)]);
    assert!(of(&text[..text.len() - 60]).truncated.is_some(), "a category is missing");
    for cut in (0..DIFF_8.len()).filter(|i| DIFF_8.is_char_boundary(*i)) {
        let Some(r) = read(&DIFF_8.as_bytes()[..cut]) else { continue };
        assert_eq!(r.all[0].total.committed, whole.all[0].total.committed, "{cut}");
        assert!(whole.all[0].categories.starts_with(&r.all[0].categories) || r.all[0].of("Thread").is_some());
        assert!(!r.report(&Context::default()).head.summary.is_empty());
    }
}

#[test]
fn it_is_recognised_within_a_log_only_by_its_own_lines() {
    assert!(Reports::looks_like(DIFF_8.as_bytes()));
    assert!(Reports::looks_like(b"12 INFO up\nNative memory tracking is not enabled\n"));
    assert!(!Reports::looks_like(b"Total: 17 requests\n- done (reserved)\n"));
}

proptest! {
    #[test]
    fn hostile_text_never_panics(
        lines in prop::collection::vec("(Total: reserved=[0-9]{1,20}KB, committed=[0-9]{1,20}(KB)?( [+-][0-9]{1,20}KB)?|-  GC \\(reserved=[0-9]{1,19}KB, committed=[0-9]{1,19}KB( -[0-9]{1,19}KB)?\\)|\\[0x1\\].{0,9}|\\((malloc=)?[0-9]{1,19}KB( type=GC)? \\+[0-9]{1,19}KB #[0-9]{1,20}\\)|.{0,30})", 0..40),
        rss in prop::option::of(any::<u64>()),
    ) {
        let text = format!("Total: reserved=1KB, committed=1KB\n{}\n", lines.join("\n"));
        let r = of(&text).report(&Context { rss, limit: rss, ..Context::default() });
        prop_assert!(!r.head.summary.is_empty() && r.call_sites.len() <= 40);
        let _tables = r.tables();
    }
}

#[test]
fn reports_that_are_alike_say_so_and_coarse_ones_warn() {
    let alike = of(&report(1000, &[("Java Heap", 600), ("Thread", 400)]));
    let head = Reports::change(&[&alike, &alike], &Context::default()).unwrap().head;
    assert!(head.findings[0].text.starts_with("no category grew"), "{:?}", head.findings);
    assert!(!head.warnings.iter().any(|w| w.contains("whole")), "{:?}", head.warnings);
    let coarse = of(&report(1000, &[("Java Heap", 600), ("Thread", 400)]).replace("KB", "MB"));
    let warnings = coarse.report(&Context::default()).head.warnings;
    assert!(warnings.iter().any(|w| w.contains("cut to whole 1.00 MiB")), "{warnings:?}");
}
