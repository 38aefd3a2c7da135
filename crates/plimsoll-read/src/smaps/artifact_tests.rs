//! Lists of every form: what is concluded, growth, cuts and hostile text.

use plimsoll_core::classify::{Cause, Certainty};
use proptest::prelude::*;

use super::*;
use crate::formats::Kind as _;
use crate::reading::Context;

const MIB: u64 = 1 << 20;

fn one(range: &str, access: &str, name: &str, numbers: &[(&str, u64)]) -> String {
    let mut text = format!("{range} {access} 00000000 00:00 0 {name}\n");
    for (name, mib) in numbers {
        text += &format!("{name}: {:>20} kB\n", mib << 10);
    }
    text + "THPeligible:    0\nVmFlags: rd wr mr\n"
}

/// A process of glibc with `arenas` arenas of 20 MiB each, a file, and what is given beside.
fn process(arenas: u64, rest: &str) -> String {
    let mut text = one("400000-500000", "r-xp", "/usr/bin/app", &[("Rss", 1)]);
    text += rest;
    for i in 0..arenas {
        let at = 0x7f00_0000_0000 + i * HEAP_MAX * 2;
        let (middle, end) = (at + 20 * MIB, at + HEAP_MAX);
        text += &one(&format!("{at:x}-{middle:x}"), "rw-p", "", &[("Rss", 20), ("Anonymous", 20)]);
        text += &one(&format!("{middle:x}-{end:x}"), "---p", "", &[]);
    }
    text + &one("7fff00000000-7fff00100000", "r-xp", "/usr/lib/libc.so.6", &[("Rss", 1)])
}

fn of(text: &str) -> Survey {
    survey(text.as_bytes()).unwrap()
}

fn report(text: &str) -> MapsReport {
    of(text).report(&Context::default()).unwrap()
}

#[test]
fn arenas_are_counted_and_not_called_a_leak() {
    let s = of(&process(10, ""));
    assert_eq!((s.of(Use::Arenas).count, s.of(Use::Arenas).resident), (10, 200 * MIB));
    assert_eq!((s.form, s.total.resident, s.truncated.clone()), (Form::Smaps, 202 * MIB, None));
    let r = report(&process(10, ""));
    let f = &r.head.findings[0];
    assert_eq!((f.certainty, f.cause), (Certainty::CannotTell, Some(Cause::Fragmentation)));
    assert!(
        f.text == "10 glibc arena heaps hold 200 MiB"
            && f.hint.as_ref().unwrap().contains("MALLOC_ARENA_MAX")
    );
    assert_eq!(s.known().rss, Some(202 * MIB));
    let musl = process(10, "").replace("/usr/lib/libc.so.6", "/lib/ld-musl-x86_64.so.1");
    assert_eq!(of(&musl).of(Use::Arenas).count, 0, "no glibc, no arenas of it");
    assert_eq!(of(&musl).of(Use::Anonymous).resident, 200 * MIB);
}

#[test]
fn a_go_heap_is_no_arena() {
    let go = one("c000000000-c004000000", "rw-p", "", &[("Rss", 60)]);
    let s = of(&process(0, &go));
    assert_eq!((s.of(Use::GoHeap).resident, s.of(Use::Arenas).count), (60 * MIB, 0));
    let named = one("7e0000000000-7e0004000000", "rw-p", "[anon: Go: heap]", &[("Rss", 60)]);
    assert_eq!(of(&process(0, &named)).of(Use::GoHeap).resident, 60 * MIB);
}

#[test]
fn swap_huge_pages_shared_memory_and_deleted_files_are_told() {
    let rest = [
        one(
            "600000000-620000000",
            "rw-p",
            "",
            &[("Rss", 400), ("Anonymous", 400), ("AnonHugePages", 300), ("Swap", 100)],
        ),
        one("700000000-710000000", "rw-s", "/memfd:buffers (deleted)", &[("Rss", 100)]),
        one("720000000-730000000", "r--s", "/tmp/old index (deleted)", &[("Rss", 90)]),
        one("740000000-750000000", "rw-p", "", &[("Rss", 80), ("LazyFree", 70), ("Private_Hugetlb", 12)]),
    ];
    let r = report(&process(0, &rest.concat()));
    let texts: Vec<&str> = r.head.findings.iter().map(|f| f.text.as_str()).collect();
    for part in [
        "100 MiB are in swap",
        "huge pages hold 300 MiB, 45 %",
        "1 mapping hold 100 MiB of shared memory",
        "256 MiB of deleted files are mapped, 90.0 MiB resident",
        "70.0 MiB of what is resident are free for the kernel",
    ] {
        assert!(texts.iter().any(|t| t.contains(part)), "{part}: {texts:?}");
    }
    assert!(r.head.findings.iter().all(|f| !f.accuses()), "one list accuses nobody");
    assert!(r.head.warnings.iter().any(|w| w.contains("hugetlb")), "{:?}", r.head.warnings);
    assert!(r.files.iter().any(|f| f.name == "/tmp/old index (deleted)"), "{:?}", r.files);
}

#[test]
fn growth_is_likely_only_when_it_goes_on() {
    let texts = [4, 6, 9].map(|n| of(&process(n, "")));
    let [a, b, c] = &texts;
    let change = |series: &[&Survey]| Survey::change(series, &Context::default()).unwrap();
    let r = change(&[a, b, c]);
    let f = &r.head.findings[0];
    assert_eq!((f.certainty, f.cause), (Certainty::Likely, Some(Cause::OffHeap)), "{f:?}");
    assert!(f.text.starts_with("glibc arenas grew by 100 MiB: 80.0 MiB → 180 MiB"), "{}", f.text);
    assert_eq!(
        (r.uses[0].more, r.uses[0].series_bytes.as_slice()),
        (Some(5), [80 * MIB, 120 * MIB, 180 * MIB].as_slice())
    );
    assert!(change(&[a, c]).head.findings.iter().all(|f| !f.accuses()), "two points");
    assert!(change(&[a, c, b]).head.findings.iter().all(|f| !f.accuses()), "back again");
    let maps = of("400000-500000 r-xp 00000000 00:00 0 /usr/bin/app\n");
    assert_eq!(Survey::change(&[&maps, a], &Context::default()), None, "no resident memory to compare");
}

const PMAP_X: &str = "\
512:   java -cp x L
Address           Kbytes     RSS   Dirty Mode  Mapping
0000555ab9b72000     284     108     108 rw---   [ anon ]
00007fc0b4000000     132       8       8 rw---   [ anon ]
00007fc0b4021000   65404       0       0 -----   [ anon ]
00007fc0c0000000     464     464     464 r-x-- libc.so.6
00007fff00000000     132      12      12 rw---   [ stack ]
---------------- ------- ------- -------
total kB           66416     592     592
";
const PMAP_XX: &str = "\
512:   java -cp x L
         Address Perm   Offset Device    Inode    Size   Rss Anonymous Swap VmFlags Mapping
    7fc0b4000000 rw-p 00000000  00:00        0     132     8         8    4 rd wr mr mw me ac
    7fc0b4021000 ---p 00000000  00:00        0   65404     0         0    0 mr mw me
    7fc0c0000000 r-xp 00000000  fe:00   315157     464   464         0    0 rd ex mr mw libc.so.6
                                               ======= ===== ========= ====
                                                 66000   472         8    4 KB
";

#[test]
fn every_form_of_pmap() {
    let x = of(PMAP_X);
    assert_eq!((x.form, x.total.count, x.total.resident), (Form::Pmap(true), 5, 592 << 10));
    assert_eq!((x.of(Use::Arenas).count, x.of(Use::Stacks).resident), (1, 12 << 10));
    assert_eq!(x.truncated, None);
    let named = of(PMAP_XX);
    assert_eq!((named.total.count, named.total.resident, named.total.swap), (3, 472 << 10, 4096));
    assert_eq!(named.of(Use::Arenas).resident, 8 << 10);
    assert_eq!(named.report(&Context::default()).unwrap().files[0].name, "libc.so.6");
    let plain = of(
        "9:   app\n0000555ab9b72000    284K rw---   [ anon ]\n0000555abab72000   1000K r-x-- app\n total  1284K\n",
    );
    assert_eq!((plain.form, plain.total.size, plain.known().rss), (Form::Pmap(false), 1284 << 10, None));
    assert_eq!(plain.truncated, None);
}

#[test]
fn a_rollup_has_sums_only() {
    let s = of(
        "f0000000-7fff556e9000 ---p 00000000 00:00 0      [rollup]\nRss:  78400 kB\nAnonymous: 56808 kB\nSwap: 16 kB\n",
    );
    assert_eq!((s.form, s.total.resident, s.total.swap), (Form::Rollup, 78_400 << 10, 16 << 10));
    let r = s.report(&Context { limit: Some(156_800 << 10), ..Context::default() }).unwrap();
    assert_eq!(
        r.head.summary,
        "76.6 MiB resident, 72 % of it anonymous, and 16.0 KiB in swap; 50 % of the limit."
    );
    assert!(r.uses.is_empty());
}

#[test]
fn a_cut_is_told() {
    let whole = process(3, "");
    for text in [whole.as_str(), PMAP_X, PMAP_XX] {
        let all = of(text);
        let told = |cut: usize| survey(&text.as_bytes()[..cut]).is_none_or(|s| s.truncated.is_some());
        for cut in (1..10).map(|i| text.len() * i / 10) {
            let Some(s) = survey(&text.as_bytes()[..cut]) else { continue };
            assert!(
                s.total.resident <= all.total.resident
                    && !s.report(&Context::default()).unwrap().head.summary.is_empty()
            );
            // Between two mappings of smaps nothing is missing, as far as anybody can tell.
            assert!(told(cut) || text[..cut].ends_with("VmFlags: rd wr mr\n"), "{cut} of {text}");
        }
    }
}

#[test]
fn it_is_recognised_by_its_first_lines() {
    assert!(Survey::looks_like(process(1, "").as_bytes()) && Survey::looks_like(PMAP_X.as_bytes()));
    assert!(Survey::looks_like(PMAP_XX.as_bytes()));
    assert!(Survey::looks_like(b"9:   app\n0000555ab9b72000    284K rw---   [ anon ]\n"));
    assert!(!Survey::looks_like(b"5000-6000 items in 3 ms\nRss: 12 kB\n"));
    assert!(!Survey::looks_like(b"cafe 12K lattes sold today\n"));
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(
        lines in prop::collection::vec("([0-9a-f]{1,16}-[0-9a-f]{1,16} (rw-p|---p|r-xs) 0 0:0 0 ?(\\[heap\\]|/x|/memfd:a)?|(Rss|Swap|LazyFree|AnonHugePages): [0-9]{1,20} kB|[0-9a-f]{1,16} +[0-9]{1,20}K? +[0-9]{0,20} +[0-9]{0,20} rw--- .{0,9}|Address Kbytes RSS Dirty Mode Mapping|Address Perm Offset Device Inode Size Rss|.{0,20})", 0..60),
    ) {
        let text = lines.join("\n") + "\n";
        if let Some(s) = survey(text.as_bytes()) {
            prop_assert!(s.largest.len() <= 12);
            let r = s.report(&Context { rss: Some(1), limit: Some(0), ..Context::default() }).unwrap();
            prop_assert!(!r.head.summary.is_empty());
            let _tables = r.tables();
            prop_assert!(Survey::change(&[&s, &s, &s], &Context::default()).is_some());
        }
    }
}

#[test]
fn sums_that_end_early_say_so() {
    let whole = "5590a000-7fff00000000 ---p 00000000 00:00 0 [rollup]\nRss: 2048 kB\nPss: 1024 kB\nAnonymous: 512 kB\nSwap: 0 kB\nLocked: 0 kB\n";
    let cut = |text: &str| survey(text.as_bytes()).unwrap().truncated;
    assert_eq!(cut(whole), None);
    assert_eq!(
        cut(whole.trim_end_matches("Locked: 0 kB\n")).as_deref(),
        Some("the last of its sums is missing")
    );
}
