//! Profiles of every form, whole, cut, hostile; what they conclude.

use std::io::Write;

use plimsoll_core::classify::Certainty;
use proptest::prelude::*;

use super::*;

const R: u64 = 524_288;

fn number(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn field(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    number(out, field << 3 | 2);
    number(out, bytes.len() as u64);
    out.extend(bytes);
}

fn message(numbers: &[(u64, u64)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (field, n) in numbers {
        number(&mut out, field << 3);
        number(&mut out, *n);
    }
    out
}

/// One sample: frames innermost first, size of an object, then allocated and in-use objects as sampled and scaled.
type Row<'a> = (&'a [&'a str], u64, u64, u64);

/// A profile as Go writes it: samples first, names last.
fn go_heap(rows: &[Row<'_>]) -> Vec<u8> {
    let mut names =
        vec!["", "alloc_objects", "count", "alloc_space", "bytes", "inuse_objects", "inuse_space", "x.go"];
    let mut out = Vec::new();
    for (name, unit) in [(1, 2), (3, 4), (5, 2), (6, 4)] {
        field(&mut out, 1, &message(&[(1, name), (2, unit)]));
    }
    let mut rest = Vec::new();
    for (frames, size, allocated, in_use) in rows {
        let mut ids = Vec::new();
        for frame in *frames {
            let id = names.iter().position(|n| n == frame).unwrap_or_else(|| {
                names.push(frame);
                let id = names.len() as u64 - 1;
                field(&mut rest, 5, &message(&[(1, id), (2, id), (4, 7)]));
                let line = message(&[(1, id), (2, 10)]);
                let mut location = message(&[(1, id), (3, 0x1000 + id)]);
                field(&mut location, 4, &line);
                field(&mut rest, 4, &location);
                names.len() - 1
            });
            number(&mut ids, id as u64);
        }
        let mut values = Vec::new();
        [*allocated, allocated * size, *in_use, in_use * size].iter().for_each(|v| number(&mut values, *v));
        let mut sample = Vec::new();
        field(&mut sample, 1, &ids);
        field(&mut sample, 2, &values);
        field(&mut sample, 3, &message(&[(1, 4), (3, *size)]));
        field(&mut out, 2, &sample);
    }
    out.extend(rest);
    names.iter().for_each(|n| field(&mut out, 6, n.as_bytes()));
    out.extend(message(&[(9, 1_700_000_000), (12, R)]));
    out
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

const ROWS: &[Row<'_>] = &[
    (&["runtime.mallocgc", "internal/runtime/maps.newarray", "main.keep", "main.main"], 4096, 30_000, 30_000),
    (&["runtime.mallocgc", "main.churn", "main.main"], 4096, 300_000, 10),
    (&["main.small", "main.main"], 64, 9000, 9000),
];

fn report(bytes: &[u8], rss: Option<u64>) -> HeapReport {
    parse(bytes).unwrap().heap_report(rss).unwrap()
}

#[test]
fn retention_and_churn_are_told_apart_with_their_intervals() {
    for bytes in [go_heap(ROWS), gzip(&go_heap(ROWS))] {
        let r = report(&bytes, None);
        assert_eq!((r.head.artifact.truncated.clone(), r.sampling_interval_bytes), (None, R));
        assert_eq!(r.sites[0].site, "main.keep (x.go:10)");
        let kept = r.sites[0].in_use.unwrap();
        assert_eq!((kept.bytes, kept.objects), (30_000.0 * 4096.0, 30_000.0));
        assert!((kept.samples - 233.5).abs() < 1.0 && kept.low < 0.9 * kept.bytes, "{kept:?}");
        let texts: Vec<&str> = r.head.findings.iter().map(|f| f.text.as_str()).collect();
        assert!(
            texts[0].starts_with("main.keep (x.go:10) keeps what it allocates: 117 MiB, 100 %"),
            "{texts:?}"
        );
        assert!(texts[1].starts_with("main.churn (x.go:10) is churn, not a leak: 91 %"), "{texts:?}");
        assert_eq!(r.head.findings[0].certainty, Certainty::Likely);
        assert_eq!(r.sites[0].stack, ["main.keep (x.go:10)", "main.main (x.go:10)"]);
    }
}

#[test]
fn few_samples_are_called_noise() {
    let r = report(&go_heap(&[(&["main.small"], 64, 16_000, 16_000)]), None);
    let f = &r.head.findings[0];
    assert_eq!(f.certainty, Certainty::CannotTell);
    assert!(f.contra.iter().any(|c| c == "2 samples only: that is noise"), "{f:?}");
}

#[test]
fn the_rest_of_the_process_is_pointed_at() {
    let small = report(&go_heap(ROWS), Some(2 << 30));
    let f = small.head.findings.iter().find(|f| f.text.contains("elsewhere")).unwrap();
    assert_eq!(f.certainty, Certainty::Likely);
    assert!(f.text.starts_with("heap in use explains 5.8 % of 2.00 GiB resident"), "{}", f.text);
    let most = report(&go_heap(ROWS), Some(200 << 20));
    assert!(most.head.findings.iter().any(|f| f.text.starts_with("heap in use explains 59 %")));
    let more = report(&go_heap(ROWS), Some(20 << 20));
    assert!(more.head.findings.iter().any(|f| f.text.ends_with("more than all")));
}

#[test]
fn growth_beyond_sampling_is_told_and_noise_is_not() {
    let of =
        |keep, small| go_heap(&[(&["main.keep"], 4096, keep, keep), (&["main.small"], 64, small, small)]);
    let (before, after) = (parse(&of(30_000, 16_000)).unwrap(), parse(&of(90_000, 32_000)).unwrap());
    let r = after.heap_change(&before, None).unwrap();
    assert_eq!(r.changes.iter().map(Change::is_growth).collect::<Vec<_>>(), [true, false]);
    assert!(
        r.head.findings[0].text.starts_with("main.keep (x.go:10) grew by 234 MiB in use"),
        "{:?}",
        r.head.findings
    );
    assert!(r.head.summary.starts_with("from 118 MiB to 354 MiB"), "{}", r.head.summary);
    let same = before.heap_change(&before, None).unwrap();
    assert!(
        same.changes.is_empty()
            && same.head.summary.ends_with("no site grew by more than sampling explains.")
    );
}

#[test]
fn a_cut_profile_is_told_and_gives_what_it_holds() {
    let plain = go_heap(ROWS);
    let whole = parse(&plain).unwrap();
    for cut in 1..plain.len() {
        if let Some(p) = parse(&plain[..cut]) {
            assert!(p.len() <= whole.len());
            let told = p.truncated.is_some() || !p.warnings.list().is_empty() || p.period == 0;
            assert!(told || p.len() == whole.len(), "cut at {cut} says nothing");
            let _report = p.heap_report(Some(1));
        }
    }
    let packed = gzip(&plain);
    for cut in 30..packed.len() {
        assert!(parse(&packed[..cut]).is_none_or(|p| p.truncated.is_some()), "cut at {cut} says nothing");
    }
}

const GO_TEXT: &str = "heap profile: 3: 12288 [30: 122880] @ heap/1048576\n\
    2: 8192 [2: 8192] @ 0x11 0x21 0x31\n#\t0x20\tmain.keep+0x9\t/src/x.go:17\n#\t0x30\tmain.main+0x9\t\t/src/x.go:45\n\n\
    1: 4096 [28: 114688] @ 0x11 0x41 0x31\n#\t0x40\tmain.churn+0x9\t/src/x.go:18\n#\t0x30\tmain.main+0x9\t\t/src/x.go:45\n\n\
    # runtime.MemStats\n# Alloc = 1\n";

#[test]
fn gos_text_is_scaled_as_its_binary_form_is() {
    let r = report(GO_TEXT.as_bytes(), None);
    assert_eq!(r.head.artifact.truncated, None);
    assert_eq!(
        r.sites.iter().map(|s| s.site.as_str()).collect::<Vec<_>>(),
        ["main.keep (x.go:17)", "main.churn (x.go:18)"]
    );
    let kept = r.sites[0].in_use.unwrap();
    let chance = 1.0 - (-4096.0 / R as f64).exp();
    assert!((kept.samples - 2.0).abs() < 0.01 && (kept.bytes - 8192.0 / chance).abs() < 1.0, "{kept:?}");
    for cut in 60..GO_TEXT.find("# runtime").unwrap() {
        let p = parse(&GO_TEXT.as_bytes()[..cut]).unwrap();
        assert!(p.truncated.is_some() || !p.warnings.list().is_empty(), "{}", &GO_TEXT[..cut]);
    }
}

const JEMALLOC: &str = "heap_v2/524288\n  t*: 3: 786432 [0: 0]\n  t0: 3: 786432 [0: 0]\n\
    @ 0x7f0000001010 0x560000002020\n  t*: 2: 524288 [0: 0]\n  t0: 2: 524288 [0: 0]\n\
    @ 0x7f0000001010 0x560000003030 0x99\n  t*: 1: 262144 [0: 0]\n\nMAPPED_LIBRARIES:\n\
    560000000000-560000100000 r-xp 00001000 08:01 1   /srv/app\n\
    7f0000000000-7f0000100000 r-xp 00000000 08:01 2   /usr/lib/libjemalloc.so.2\n";

#[test]
fn jemalloc_and_tcmalloc_name_object_and_offset() {
    let r = report(JEMALLOC.as_bytes(), None);
    assert_eq!((&r.head.artifact.truncated, r.sampling_interval_bytes), (&None, R));
    assert_eq!(r.sites[0].site, "app+0x3020");
    let chance = 1.0 - (-0.5f64).exp();
    assert!((r.sites[0].in_use.unwrap().bytes - 524_288.0 / chance).abs() < 2.0);
    let tc = "heap profile:      1:     4096 [     2:     8192] @ heapprofile\n     1:     4096 [     2:     8192] @ 0x560000002020\n\nMAPPED_LIBRARIES:\n560000000000-560000100000 r-xp 00000000 08:01 1   /srv/app\n";
    let exact = report(tc.as_bytes(), None);
    assert_eq!((exact.sites[0].in_use.unwrap().bytes, exact.allocated.unwrap().high), (4096.0, 8192.0));
    let lost = JEMALLOC.replace("  t*: 1: 262144 [0: 0]\n", "");
    assert!(parse(lost.as_bytes()).unwrap().truncated.unwrap().contains("786432"));
}

#[test]
fn folded_stacks_are_read_and_are_no_heap() {
    let p = parse(b"main;handle;await 12\nmain;handle;send 3\n").unwrap();
    assert_eq!((p.len(), p.truncated.as_deref(), p.heap_report(None)), (2, None, None));
    let first = p.samples().next().unwrap();
    let stack: Vec<String> = p.frames_of(first).map(Frame::place).collect();
    assert_eq!((stack.join(" "), first.values), ("await handle main".to_owned(), &[12i64][..]));
    assert!(parse(b"<html>\nhello world\n").is_none());
}

#[test]
fn what_is_no_profile_is_refused() {
    let packed = gzip(&vec![0x52; 2 << 20]);
    assert!(parse(&packed).is_none());
    assert!(parse(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]).is_none());
}

proptest! {
    #[test]
    fn what_is_written_is_read(rows in proptest::collection::vec((1u64..1 << 20, 0u64..1000, 0u64..1000), 1..20)) {
        let rows: Vec<Row<'_>> = rows.iter().map(|(s, a, u)| (&["main.f", "main.main"][..], *s, a + u, *u)).collect();
        let profile = parse(&go_heap(&rows)).unwrap();
        prop_assert_eq!(profile.len(), rows.len());
        let r = profile.heap_report(None).unwrap();
        let total: u64 = rows.iter().map(|r| r.1 * r.3).sum();
        let in_use = r.in_use.unwrap();
        prop_assert_eq!(in_use.bytes, total as f64);
        prop_assert!(in_use.low <= in_use.bytes && in_use.bytes <= in_use.high);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), at in 0usize..300, by in any::<u8>()) {
        let _any = parse(&bytes);
        let mut profile = go_heap(ROWS);
        if let Some(b) = profile.get_mut(at) {
            *b = by;
        }
        if let Some(p) = parse(&profile) {
            let _report = p.heap_report(Some(1 << 20));
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "(heap profile: |heap_v2/|[0-9 :@\\[\\]\n]|0x[0-9a-f]{1,4}|t\\*:|MAPPED_LIBRARIES:|#\t|;|a){0,80}") {
        if let Some(p) = parse(text.as_bytes()) {
            let _report = p.heap_report(None);
        }
    }
}
