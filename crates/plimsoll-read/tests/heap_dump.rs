//! Heap dumps that tell a story each: who is named, and who is not.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail loudly")]

mod common;

use common::{Parts, Story};
use plimsoll_read::graph::dominators::Holder;
use plimsoll_read::graph::watch::Unwatched;
use plimsoll_read::heap_dump::report::{Report, report};
use plimsoll_read::heap_dump::{
    HeapDump, Options, Owner, Roots, SizeChoice, growth, paths, read, strings, threads, tree, usage,
};
use plimsoll_read::hprof::visitor::{RootKind, Type};

fn told(dump: &[u8]) -> (HeapDump, Report) {
    let heap = read(dump, Options { verify: true, ..Options::default() }, &Unwatched).unwrap();
    let said = report(&heap, dump, &Unwatched).unwrap();
    (heap, said)
}

/// A field that holds a map of URLs, with values that nothing else holds.
fn url_map(story: &mut Story, entries: u32) -> u64 {
    let metric = story.class("shop/Metric", &Parts { fields: &[("count", Type::Long)], ..Parts::default() });
    let entries: Vec<(u64, u64)> = (0..entries)
        .map(|i| {
            let key = story.text(&format!("/users/{i}/orders?trace={:016x}", u64::from(i) * 0x9E37_79B9));
            (key, story.instance(metric, &[(Type::Long, u64::from(i))]))
        })
        .collect();
    story.map_of(story.map, &entries, &[])
}

/// A JVM's class holds its protection domain; the reference analyser, whose figures `--sizes formula` gives, does not follow that.
#[test]
fn a_class_holds_its_domain_but_for_parity() {
    let mut story = Story::new();
    let plain = story.class("shop/Domain", &Parts::default());
    let domain = story.instance(plain, &[]);
    let class = story.class("shop/Cart", &Parts { domain, ..Parts::default() });
    story.root(class, RootKind::StickyClass);
    story.main();
    let dump = story.end();
    for (sizes, held) in [(SizeChoice::Measured, true), (SizeChoice::Formula, false)] {
        let heap = read(dump.as_slice(), Options { sizes, ..Options::default() }, &Unwatched).unwrap();
        let [class, domain] = [class, domain].map(|address| heap.object_at(address).unwrap());
        assert_eq!(heap.tree().holder(domain) == Holder::Object(class), held, "{sizes:?}");
        assert_eq!(heap.tree().is_reached(domain), held, "{sizes:?}");
    }
}

#[test]
fn a_static_map_is_named_by_its_field_with_its_entries_and_keys() {
    let mut story = Story::new();
    let map = url_map(&mut story, 3000);
    story.app_class("shop/Metrics", &[("OTHER", 0), ("BY_URL", map)], &[]);
    story.main();
    let (heap, said) = told(&story.end());
    assert!(heap.is_whole());
    let first = &said.suspects[0];
    assert_eq!(first.path.owner, Owner::Static("shop.Metrics".into(), "BY_URL".into()));
    assert!(first.accused && first.share > 0.9, "{first:?}");
    assert_eq!((first.entries(), first.units), (3000, 3000));
    let collection = first.collection.as_ref().unwrap();
    assert_eq!((collection.capacity, collection.bound.as_ref()), (Some(8192), None));
    assert_eq!(first.unit_class, "shop.Metric");
    let keys = first.keys.as_ref().unwrap();
    assert_eq!((keys.keys, keys.templates[0].count), (3000, 3000));
    assert_eq!(keys.templates[0].text, "/users/{number}/orders?trace={hex16}");
    assert_eq!(keys.carrier.as_ref().unwrap().slot, "trace");
    assert_eq!(said.suspects.iter().filter(|s| s.accused).count(), 1);
}

#[test]
fn a_map_with_a_limit_of_its_own_is_not_accused() {
    let mut story = Story::new();
    let cache = Parts { superclass: story.linked_map, fields: &[("cap", Type::Int)], ..Parts::default() };
    let cache = story.class("shop/SessionCache", &cache);
    let entries: Vec<(u64, u64)> =
        (0..2000).map(|i| (story.text(&format!("s-{i}")), story.bytes(&[7; 64]))).collect();
    let map = story.map_of(cache, &entries, &[(Type::Int, 2500)]);
    story.app_class("shop/Service", &[("SESSIONS", map)], &[]);
    story.main();
    let (_, said) = told(&story.end());
    let first = &said.suspects[0];
    assert_eq!(first.path.owner.to_string(), "shop.Service.SESSIONS");
    assert!(first.is_bounded() && !first.accused);
    let bound = first.collection.as_ref().unwrap().bound.clone().unwrap();
    assert_eq!((bound.field.as_str(), bound.entries), ("shop.SessionCache.cap", 2500));
}

#[test]
fn a_hand_linked_chain_is_one_suspect_with_its_head_named() {
    let mut story = Story::new();
    let link = story.app_class("shop/Link", &[], &[("next", Type::Object), ("load", Type::Object)]);
    let mut head = 0;
    for _ in 0..5000 {
        let load = story.bytes(&[1; 32]);
        head = story.instance(link, &[(Type::Object, head), (Type::Object, load)]);
    }
    story.app_class("shop/Journal", &[("HEAD", head)], &[]);
    story.main();
    let (_, said) = told(&story.end());
    assert_eq!(said.suspects[0].path.owner.to_string(), "shop.Journal.HEAD");
    assert!(said.suspects[0].is_chain && said.suspects[0].accused);
}

#[test]
fn what_two_maps_hold_together_is_found_as_a_group() {
    let mut story = Story::new();
    let order = story.app_class("shop/Order", &[], &[("lines", Type::Object)]);
    let values: Vec<u64> = (0..1500)
        .map(|_| {
            let lines = story.bytes(&[3; 400]);
            story.instance(order, &[(Type::Object, lines)])
        })
        .collect();
    let entries: Vec<(u64, u64)> = values.iter().map(|value| (0, *value)).collect();
    let by_id = story.map_of(story.map, &entries, &[]);
    let by_user = story.map_of(story.map, &entries, &[]);
    story.app_class("shop/ById", &[("ORDERS", by_id)], &[]);
    story.app_class("shop/ByUser", &[("ORDERS", by_user)], &[]);
    story.main();
    let (_, said) = told(&story.end());
    let group = said.suspects.iter().find(|s| s.count > 1).unwrap();
    assert_eq!((group.label.as_str(), group.count, group.accused), ("shop.Order", 1500, true));
    let owner = group.path.owner.to_string();
    assert!(owner == "shop.ById.ORDERS" || owner == "shop.ByUser.ORDERS", "{owner}");
}

#[test]
fn a_thread_is_named_with_the_frame_whose_local_holds_on() {
    let mut story = Story::new();
    let map = url_map(&mut story, 1000);
    let class = story.thread_class();
    let name = story.text("worker-7");
    let thread = story.instance(class, &[(Type::Object, name), (Type::Object, 0)]);
    story.trace(5, 5, "shop/Batch", "collect");
    story.root_of(thread, RootKind::ThreadObject, 5, 5);
    story.root_of(map, RootKind::JavaFrame, 5, 0);
    let dump = story.end();
    let (heap, said) = told(&dump);
    let owner = said.suspects[0].path.owner.to_string();
    assert_eq!(owner, "thread \"worker-7\", local variable in shop.Batch.collect(Source.java:42)");
    let threads = threads::threads(&heap, dump.as_slice(), &Unwatched).unwrap();
    assert_eq!(threads[0].name, "worker-7");
    let frame = &threads[0].frames[0];
    assert_eq!(frame.name, "shop.Batch.collect(Source.java:42)");
    assert_eq!(frame.locals[0].0, "java.util.HashMap");
    assert!(threads[0].retained > frame.locals[0].1 && frame.locals[0].1 > 50_000);
}

#[test]
fn what_holds_a_class_is_not_blamed_for_what_the_class_holds() {
    let mut story = Story::new();
    let metric = story.class("shop/Metric", &Parts { fields: &[("count", Type::Long)], ..Parts::default() });
    let metrics: Vec<u64> = (0..3000).map(|i| story.instance(metric, &[(Type::Long, i)])).collect();
    let table = story.array(story.nodes, &metrics);
    let statics = [("TABLE", Type::Object, table)];
    let class = story.class("shop/Metrics", &Parts { statics: &statics, ..Parts::default() });
    let classes = story.map_of(story.map, &[(0, class)], &[]);
    story.app_class("app/Loaders", &[("LOADED", classes)], &[]);
    story.main();
    let (_, said) = told(&story.end());
    let first = &said.suspects[0];
    assert_eq!(first.path.owner.to_string(), "shop.Metrics.TABLE");
    assert!(first.accused, "{first:?}");
    assert!(said.suspects.iter().all(|s| s.path.owner.to_string() != "app.Loaders.LOADED"), "{said:?}");
}

#[test]
fn a_heap_where_nothing_piles_up_is_clean() {
    let mut story = Story::new();
    let mut fields = Vec::new();
    for i in 0..40 {
        let entries: Vec<(u64, u64)> =
            (0..20).map(|k| (story.text(&format!("k{i}-{k}")), story.bytes(&[1; 40]))).collect();
        fields.push(story.map_of(story.map, &entries, &[]));
    }
    for (i, map) in fields.iter().enumerate() {
        story.app_class(&format!("shop/Config{i}"), &[("VALUES", *map)], &[]);
    }
    story.main();
    let (_, said) = told(&story.end());
    assert!(said.suspects.iter().all(|s| !s.accused), "{:?}", said.suspects);
}

/// Wherever a dump is cut, the name that it gives is right, or it gives none; and it never seems whole.
#[test]
fn a_cut_dump_never_names_the_wrong_one() {
    let mut story = Story::new();
    let entries: Vec<(u64, u64)> =
        (0..300).map(|i| (story.text(&format!("flag.{i}")), story.text("on"))).collect();
    let config = story.map_of(story.map, &entries, &[]);
    story.app_class("shop/Config", &[("FLAGS", config)], &[]);
    let map = url_map(&mut story, 4000);
    story.app_class("shop/Metrics", &[("BY_URL", map)], &[]);
    for i in 0..500 {
        let text = story.text(&format!("held by native code {i}"));
        story.root(text, RootKind::JniGlobal);
    }
    story.main();
    let dump = story.end();
    let mut named = 0;
    for percent in 1..100 {
        let cut = &dump[..dump.len() * percent / 100];
        let Ok(heap) = read(cut, Options::default(), &Unwatched) else { continue };
        let said = report(&heap, cut, &Unwatched).unwrap();
        assert!(!heap.is_whole() && heap.summary.truncation().is_some(), "{percent} %");
        for suspect in said.suspects.iter().filter(|s| s.accused) {
            assert_eq!(suspect.path.owner.to_string(), "shop.Metrics.BY_URL", "{percent} %");
            named += 1;
        }
        if heap.roots == Roots::Guessed {
            assert!(said.suspects.iter().all(|s| !matches!(s.path.owner, Owner::Thread(..))));
        }
    }
    assert!(named >= 2, "named in {named} of 99 cuts");
}

#[test]
fn views_of_a_small_heap_are_exact() {
    let mut story = Story::new();
    let twins: Vec<u64> = (0..10).map(|_| story.text("the same text, ten times over")).collect();
    let entries: Vec<(u64, u64)> = twins.iter().map(|text| (*text, *text)).collect();
    let map = story.map_of(story.map, &entries, &[]);
    story.app_class("shop/Twins", &[("ALL", map)], &[]);
    story.main();
    let dump = story.end();
    let (heap, _) = told(&dump);

    let found = strings::strings(&heap, dump.as_slice(), &Unwatched).unwrap();
    assert_eq!((found.arrays, found.looked_at), (11, 1.0));
    let twin = &found.duplicates[0];
    assert_eq!((twin.text.as_str(), twin.arrays), ("the same text, ten times over", 10));
    assert_eq!(twin.wasted, 9 * 48);
    assert_eq!(found.wasted, twin.wasted);

    let rows = usage::usage(&heap, dump.as_slice(), &Unwatched).unwrap();
    assert_eq!(rows[0].class, "java.util.HashMap");
    assert_eq!((rows[0].collections, rows[0].entries, rows[0].slots, rows[0].largest), (1, 10, 32, 10));
    assert_eq!(rows[0].wasted, 22 * 4);

    let top = tree::tree(&heap, dump.as_slice(), 5, 4, &Unwatched).unwrap();
    let class = top.iter().find(|b| b.label == "class shop.Twins").unwrap();
    let map = &class.held[0];
    assert_eq!((map.label.as_str(), map.held[0].held.len()), ("java.util.HashMap", 5));

    let way = paths::ways(&heap, dump.as_slice(), &"java.util.HashMap$Node".parse().unwrap(), &Unwatched);
    let mut found = way.unwrap();
    assert_eq!((found.looked_at, found.objects), (10, 10));
    let way = found.ways.remove(0);
    let steps: Vec<&str> = way.path.steps.iter().map(|step| step.via.as_str()).collect();
    assert_eq!(way.alike, 10);
    assert_eq!(&steps[..3], ["", "shop.Twins.ALL", "java.util.HashMap.table"]);
    assert!(
        paths::ways(&heap, dump.as_slice(), &"0x10".parse().unwrap(), &Unwatched).unwrap().ways.is_empty()
    );
}

#[test]
fn growth_is_told_by_the_way_down_and_not_by_class_alone() {
    let dump = |urls: u32, flags: u32| {
        let mut story = Story::new();
        let map = url_map(&mut story, urls);
        story.app_class("shop/Metrics", &[("BY_URL", map)], &[]);
        let entries: Vec<(u64, u64)> =
            (0..flags).map(|i| (story.text(&format!("flag.{i}")), story.text("on"))).collect();
        let flags = story.map_of(story.map, &entries, &[]);
        story.app_class("shop/Config", &[("FLAGS", flags)], &[]);
        story.main();
        story.end()
    };
    let dumps = [dump(500, 300), dump(900, 300), dump(2000, 301)];
    let heaps: Vec<HeapDump> = dumps.iter().map(|dump| told(dump).0).collect();
    let ways: Vec<_> = heaps.iter().map(growth::ways).collect();
    let grown = growth::grown(&ways, &heaps[2], dumps[2].as_slice(), &Unwatched).unwrap();
    assert_eq!(grown.len(), 1, "one more flag is not worth a word: {grown:?}");
    assert_eq!(grown[0].owner.to_string(), "shop.Metrics.BY_URL");
    assert!(grown[0].every_step && grown[0].gained() > 100_000);
    // The same two the other way round: nothing grew.
    let back = [growth::ways(&heaps[2]), growth::ways(&heaps[0])];
    assert!(growth::grown(&back, &heaps[0], dumps[0].as_slice(), &Unwatched).unwrap().is_empty());
}
