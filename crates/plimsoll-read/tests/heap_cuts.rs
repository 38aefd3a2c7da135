//! Dumps cut at ten places, as by a full disk or a killed JVM: none seems whole, none panics, and whoever is named is to
//! blame; where that cannot be told, nobody is named.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail loudly")]
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stderr,
    reason = "the test runs the JVM whose dump the crate reads; a skipped test says so"
)]

#[expect(dead_code, reason = "shared with other tests")]
mod common;
mod jvm;

use std::path::Path;

use common::{Parts, Story};
use jvm::{Folder, jdks};
use plimsoll_read::graph::watch::Unwatched;
use plimsoll_read::heap_dump::report::report;
use plimsoll_read::heap_dump::{HeapDumpError, Options, Roots, read};
use plimsoll_read::hprof::visitor::Type;

const PLACES: [usize; 10] = [5, 15, 25, 35, 45, 55, 65, 75, 85, 95];

/// Cuts a dump at ten places, and tells where somebody was named. Only `culprits` may be.
fn named(what: &str, dump: &[u8], culprits: &[&str]) -> Vec<usize> {
    let accused = |dump: &[u8]| -> Result<(Vec<String>, bool), HeapDumpError> {
        let heap = read(dump, Options::default(), &Unwatched)?;
        let said = report(&heap, dump, &Unwatched)?;
        assert_eq!(heap.summary.is_complete(), heap.summary.truncation().is_none(), "{what}");
        assert!(heap.summary.is_complete() || !heap.is_whole(), "{what}");
        assert!(said.suspects.iter().all(|s| (0.0..=1.0).contains(&s.share)), "{what}: {:?}", said.suspects);
        let accused = said.suspects.iter().filter(|s| s.accused).map(|s| s.path.owner.to_string());
        Ok((accused.collect(), heap.is_whole() && heap.roots != Roots::Guessed))
    };
    let (whole, is_whole) = accused(dump).unwrap();
    assert!(is_whole, "{what}");
    assert!(culprits.is_empty() == whole.is_empty(), "{what}: {whole:?}");
    let right = |name: &String| culprits.contains(&name.as_str());
    assert!(whole.iter().all(right), "{what}: {whole:?}");
    let is_named = |percent: &usize| {
        let cut = &dump[..dump.len() * percent / 100];
        let (names, is_whole) = accused(cut).unwrap_or_else(|e| panic!("{what} cut at {percent} %: {e}"));
        assert!(!is_whole, "{what} cut at {percent} % seems whole");
        assert!(names.iter().all(right) && names.len() <= 1, "{what} cut at {percent} % names {names:?}");
        !names.is_empty()
    };
    PLACES.into_iter().filter(is_named).collect()
}

/// A map of texts, with what each holds.
fn map(story: &mut Story, prefix: &str, entries: u32, size: usize) -> u64 {
    let pairs: Vec<(u64, u64)> =
        (0..entries).map(|i| (story.text(&format!("{prefix}{i}")), story.bytes(&vec![7; size]))).collect();
    story.map_of(story.map, &pairs, &[])
}

#[test]
fn stories_cut_at_ten_places_name_the_right_one_or_none() {
    let mut leak = Story::new();
    let urls = map(&mut leak, "/users/", 4000, 60);
    leak.app_class("shop/Metrics", &[("BY_URL", urls)], &[]);
    let flags = map(&mut leak, "flag.", 300, 20);
    leak.app_class("shop/Config", &[("FLAGS", flags)], &[]);
    leak.main();
    named("a leak", &leak.end(), &["shop.Metrics.BY_URL"]);

    // What lies first, and whole, would seem to be most of what is left.
    let mut late = Story::new();
    let flags = map(&mut late, "flag.", 900, 200);
    late.app_class("shop/Config", &[("FLAGS", flags)], &[]);
    let urls = map(&mut late, "/users/", 8000, 100);
    late.app_class("shop/Metrics", &[("BY_URL", urls)], &[]);
    late.main();
    named("a late leak", &late.end(), &["shop.Metrics.BY_URL"]);

    let mut chain = Story::new();
    let link = chain.app_class("shop/Link", &[], &[("next", Type::Object), ("load", Type::Object)]);
    let mut head = 0;
    for _ in 0..5000 {
        let load = chain.bytes(&[1; 32]);
        head = chain.instance(link, &[(Type::Object, head), (Type::Object, load)]);
    }
    chain.app_class("shop/Journal", &[("HEAD", head)], &[]);
    chain.main();
    named("a chain", &chain.end(), &["shop.Journal.HEAD"]);

    let mut bounded = Story::new();
    let cache = Parts { superclass: bounded.linked_map, fields: &[("cap", Type::Int)], ..Parts::default() };
    let cache = bounded.class("shop/SessionCache", &cache);
    let entries: Vec<(u64, u64)> =
        (0..2000).map(|i| (bounded.text(&format!("s-{i}")), bounded.bytes(&[7; 64]))).collect();
    let sessions = bounded.map_of(cache, &entries, &[(Type::Int, 2500)]);
    bounded.app_class("shop/Service", &[("SESSIONS", sessions)], &[]);
    bounded.main();
    assert!(named("a cache with a bound", &bounded.end(), &[]).is_empty());

    let mut clean = Story::new();
    for i in 0..40 {
        let values = map(&mut clean, &format!("k{i}-"), 20, 40);
        clean.app_class(&format!("shop/Config{i}"), &[("VALUES", values)], &[]);
    }
    clean.main();
    assert!(named("a clean heap", &clean.end(), &[]).is_empty());
}

#[test]
fn dumps_of_every_jvm_here_cut_at_ten_places_name_the_leak_or_nobody() {
    for jdk in jdks() {
        let folder = Folder::new(&format!("cuts-{}", jdk.version));
        for collector in ["Serial", "G1", "Z"] {
            let Some(dump) = jdk.leak(&folder, collector, 4000) else { continue };
            let what = format!("JDK {} with {collector}", jdk.version);
            let at = named(&what, &dump, &["Leak$Registry.BY_URL"]);
            eprintln!("{what}: the leak is named in cuts at {at:?} %");
            assert!(at.contains(&95), "{what}: named at {at:?} % only");
        }
    }
}

#[test]
fn the_reference_programs_cut_at_ten_places_name_the_leak_or_nobody() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/oracles/gen");
    let jdk = jdks().into_iter().find(|jdk| jdk.version == 17);
    let (true, Some(jdk)) = (sources.is_dir(), jdk) else {
        eprintln!(
            "SKIPPED: needs JDK 17, and the reference programs beside the repository ({})",
            sources.display()
        );
        return;
    };
    let folder = Folder::new("cuts-reference");
    let common = sources.join("Common.java");
    let flags = ["-Xmx1g", "-XX:+UseSerialGC"];
    let tiny = jdk.dump(&folder, &[sources.join("Tiny.java"), common.clone()], "Tiny", &flags, |to| vec![to]);
    assert!(named("the tiny program", &tiny.unwrap(), &[]).is_empty());

    let arguments = |to| vec!["50000".to_owned(), to, "42".to_owned()];
    let url = jdk.dump(&folder, &[sources.join("UrlCache.java"), common], "UrlCache", &flags, arguments);
    let at = named("the URL cache", &url.unwrap(), &["UrlCache$MetricsRegistry.BY_URL"]);
    assert_eq!(at, [65, 75, 85, 95], "below 60 % the map itself is gone");
}
