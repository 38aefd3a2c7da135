//! Heap snapshots: the graph against a brute force, and what is said of snapshots that are cut.

use std::collections::HashSet;

use plimsoll_read::graph::watch::Unwatched;
use plimsoll_read::heap_snapshot::{HeapSnapshot, Options, looks_like, read};
use plimsoll_read::reading::Context;
use proptest::prelude::*;

const META: &str = r#"{"node_fields":["type","name","id","self_size","edge_count","detachedness"],
"node_types":[["hidden","array","string","object","code","closure","regexp","number","native","synthetic"],
"string","number","number","number","number"],"edge_fields":["type","name_or_index","to_node"],
"edge_types":[["context","element","property","internal","hidden","shortcut","weak"],"string_or_number","node"],
"location_fields":["object_index","script_id","line","column"]}"#;
const WEAK: u32 = 6;
const SHORTCUT: u32 = 5;

/// A snapshot of objects, each with its size and edges (kind and target).
fn written(nodes: &[(u32, Vec<(u32, usize)>)]) -> String {
    let (mut rows, mut edges) = (Vec::new(), Vec::new());
    for (number, (size, to)) in nodes.iter().enumerate() {
        let kind = if number == 0 { 9 } else { 3 };
        rows.push(format!("{kind},{},{},{size},{},0", number.min(1), 2 * number + 1, to.len()));
        edges.extend(to.iter().map(|(kind, to)| format!("{kind},1,{}", to * 6)));
    }
    format!(
        "{{\"snapshot\":{{\"meta\":{META},\"node_count\":{},\"edge_count\":{}}},\n\"nodes\":[{}],\n\"edges\":[{}],\n\
         \"trace_tree\":[],\"locations\":[],\n\"strings\":[\"\",\n\"Thing\"]}}",
        nodes.len(),
        edges.len(),
        rows.join("\n,"),
        edges.join("\n,")
    )
}

fn parsed(text: &str) -> HeapSnapshot {
    read(text.as_bytes(), Options { verify: true }, &Unwatched).expect("a snapshot")
}

/// Nodes reached from the root when one of them is taken away.
fn reached(nodes: &[(u32, Vec<(u32, usize)>)], without: Option<usize>) -> HashSet<usize> {
    let (mut seen, mut todo) = (HashSet::new(), vec![0]);
    while let Some(at) = todo.pop() {
        if Some(at) == without || !seen.insert(at) {
            continue;
        }
        let holds = |kind: u32| kind != WEAK && (kind != SHORTCUT || at == 0);
        todo.extend(nodes[at].1.iter().filter(|(kind, _)| holds(*kind)).map(|(_, to)| *to));
    }
    seen
}

proptest! {
    /// What a node retains is what is no longer reached without it.
    #[test]
    fn retained_sizes_are_those_of_a_brute_force(
        nodes in (1usize..24).prop_flat_map(|count| {
            prop::collection::vec((0u32..1000, prop::collection::vec((0u32..7, 0..count), 0..5)), count)
        })
    ) {
        let heap = parsed(&written(&nodes));
        prop_assert_eq!(heap.truncated(), None);
        let all = reached(&nodes, None);
        for (number, node) in nodes.iter().enumerate() {
            let mut bytes = u64::from(node.0);
            if all.contains(&number) {
                let left = reached(&nodes, Some(number));
                bytes = all.difference(&left).map(|n| u64::from(nodes[*n].0)).sum();
                prop_assert_eq!(heap.retained().of(number as u32), bytes);
            }
            prop_assert_eq!(heap.tree().is_reached(number as u32), all.contains(&number));
            prop_assert!(bytes >= heap.shallow(number as u32));
        }
    }

    #[test]
    fn no_bytes_make_it_panic(text in prop::collection::vec(any::<u8>(), 0..200), at in 0usize..900) {
        let mut bytes = written(&[(1, vec![(2, 1)]), (5, vec![])]).into_bytes();
        let at = at.min(bytes.len());
        bytes.splice(at..(at + text.len()).min(bytes.len()), text);
        let read = read(bytes.as_slice(), Options::default(), &Unwatched);
        prop_assert!(read.is_err() || read.is_ok_and(|heap| heap.nodes() > 0));
    }
}

#[test]
fn a_cut_file_says_what_it_lacks() {
    let text = written(&[(1, vec![(2, 1)]), (5, vec![(1, 2)]), (7, vec![])]);
    assert!(looks_like(text.as_bytes()));
    let cut = |marker: &str, more: usize| {
        let at = text.find(marker).expect("the marker") + more;
        let heap = parsed(&text[..at]);
        (heap.nodes(), heap.references(), heap.truncated().expect("cut").to_owned())
    };
    let (nodes, _, why) = cut("\"nodes\"", 22);
    assert!(nodes == 1 && why.contains("1 of 3 nodes"), "{why}");
    let (nodes, edges, why) = cut("\"edges\"", 17);
    assert!(nodes == 3 && edges == 1 && why.contains("1 of 2 references"), "{why}");
    let (.., why) = cut("\"Thing\"", 3);
    assert!(why.contains("first 1 names"), "{why}");
    let (.., why) = cut("\"Thing\"", 7);
    assert!(why.contains("first 2 names"), "{why}");
}

#[test]
fn a_cut_at_any_byte_is_told() {
    let text = written(&[(1, vec![(2, 1)]), (5, vec![(1, 2)]), (7, vec![])]);
    let mut read_some = 0;
    for at in 0..text.len() {
        if let Ok(heap) = read(&text.as_bytes()[..at], Options::default(), &Unwatched) {
            assert!(heap.truncated().is_some(), "cut at {at}");
            read_some += 1;
        }
    }
    assert!(read_some > 50);
    assert!(!looks_like(br#"{"nodes":[]}"#) && !looks_like(b"hello"));
}

#[test]
fn spaces_make_no_difference() {
    let text = written(&[(1, vec![(2, 1)]), (5, vec![])]);
    let heap = parsed(&text.replace(',', " ,\r\n\t ").replace('[', "[ ").replace(']', "\n]"));
    assert_eq!((heap.nodes(), heap.references(), heap.truncated()), (2, 1, None));
    assert_eq!(heap.retained().of(0), 6);
}

/// Three hundred objects of which each holds the next, below one that the root holds.
fn chained() -> HeapSnapshot {
    let mut nodes = vec![(0, vec![(2, 1)])];
    nodes.extend((1..=300usize).map(|n| (10_000, if n < 300 { vec![(2, n + 1)] } else { Vec::new() })));
    parsed(&written(&nodes))
}

#[test]
fn a_chain_is_named_by_its_head_and_how_many_it_has() {
    let report = chained().report(&Context::default());
    let place = report.places.first().expect("a place");
    assert!(place.accused, "{report:#?}");
    assert_eq!((place.entries, place.retained_bytes, place.id), (300, 3_000_000, 3));
    let text = format!("{:?}", report.head.findings);
    assert!(text.contains("each holds the next"), "{text}");
}

#[test]
fn the_tree_and_the_ways_are_those_of_the_graph() {
    let heap = chained();
    let tree = heap.branches(5, 2);
    let [top] = tree.as_slice() else { panic!("{tree:?}") };
    assert_eq!((top.retained, top.shallow, top.label.as_str()), (3_000_000, 10_000, "Thing @3"));
    assert_eq!(top.held.iter().map(|b| b.retained).collect::<Vec<_>>(), [2_990_000]);
    let by_id = heap.ways(&"@5".parse().expect("any text is a wish"));
    let [way] = by_id.as_slice() else { panic!("{by_id:?}") };
    assert_eq!((way.id, way.retained, way.path.len()), (5, 2_990_000, 2));
    assert!(!heap.ways(&"Thing".parse().expect("any text is a wish")).is_empty());
    assert!(heap.ways(&"Other".parse().expect("any text is a wish")).is_empty());
    assert!(heap.ways(&"@99999".parse().expect("any text is a wish")).is_empty());
}

#[test]
fn strings_that_repeat_are_counted_with_what_they_waste() {
    let text = written(&[(0, vec![(2, 1), (2, 2), (2, 3)]), (40, vec![]), (40, vec![]), (40, vec![])]);
    // Kind 2 is a string: the three nodes have one text.
    let strings = parsed(&text.replace("3,1,", "2,1,")).duplicates();
    assert_eq!((strings.arrays, strings.bytes, strings.wasted), (3, 120, 80));
    let copies: Vec<_> = strings.duplicates.iter().map(|d| (d.text.as_str(), d.arrays)).collect();
    assert_eq!(copies, [("Thing", 3)]);
}

#[test]
fn references_to_nowhere_and_impossible_sizes_are_told() {
    let text = written(&[(1, vec![(2, 1)]), (5, vec![])]);
    for (from, to) in [("2,1,6]", "2,1,600]"), ("2,1,6]", "2,1,7]")] {
        let heap = parsed(&text.replace(from, to));
        assert!(
            heap.truncated().is_some_and(|why| why.contains("1 of 1 references lead to no node")),
            "{to}"
        );
    }
    let heap = parsed(&text.replace("3,1,3,5,", "3,1,3,18446744073709551615,"));
    assert!(heap.truncated().is_some_and(|why| why.contains("damaged")), "{:?}", heap.truncated());
}

#[test]
fn a_title_in_front_of_the_fields_is_no_hindrance() {
    let text = written(&[(1, vec![(2, 1)]), (5, vec![])]);
    let titled = text.replace("{\"meta\"", "{\"title\":\"Profile 1\",\"uid\":1,\"meta\"");
    assert!(looks_like(titled.as_bytes()) && parsed(&titled).truncated().is_none());
    assert!(!looks_like(br#"{"snapshot":{"title":"of a disk","meta":{}}}"#));
}

/// Newer engines keep the mark of a detached node beside its name, which developer tools put before it.
#[test]
fn many_detached_nodes_are_told_of_though_they_are_small() {
    let of = |detached: usize| {
        let (mut rows, mut edges) = (vec![format!("9,0,1,0,{},0", 1 + detached)], vec!["1,0,6".to_owned()]);
        rows.push("3,1,3,9000000,0,0".to_owned());
        for n in 0..detached {
            rows.push(format!("8,2,{},100,0,2", 5 + 2 * n));
            edges.push(format!("1,{},{}", n + 1, 12 + 6 * n));
        }
        let (nodes, count) = (rows.len(), edges.len());
        parsed(&format!(
            "{{\"snapshot\":{{\"meta\":{META},\"node_count\":{nodes},\"edge_count\":{count}}},\n\"nodes\":[{}],\n\"edges\":[{}],\n\
             \"trace_tree\":[],\"locations\":[],\n\"strings\":[\"\",\n\"Thing\",\n\"<div>\"]}}",
            rows.join("\n,"),
            edges.join("\n,")
        ))
    };
    let many = of(600);
    assert_eq!(many.class(2), "Detached <div>");
    let told = |h: &HeapSnapshot| {
        let head = h.report(&Context::default()).head;
        head.findings.iter().find(|f| f.text.contains("nodes are detached")).map(|f| f.accuses())
    };
    assert_eq!((told(&many), told(&of(20))), (Some(false), None));
}

/// Older engines write what their tables of strings have as if the tables held it.
#[test]
fn a_large_text_is_held_by_the_program_and_not_by_the_engines_table() {
    let rows = "9,0,1,0,2,0,9,1,3,0,1,0,3,2,5,16,1,0,2,3,7,9000000,0,0";
    let edges = "1,0,6,1,1,12,3,3,18,2,0,18";
    let heap = parsed(&format!(
        "{{\"snapshot\":{{\"meta\":{META},\"node_count\":4,\"edge_count\":4}},\n\"nodes\":[{rows}],\n\"edges\":[{edges}],\n\
         \"trace_tree\":[],\"locations\":[],\n\"strings\":[\"\",\n\"(External strings)\",\n\"Held\",\n\"zzz\"]}}"
    ));
    assert_eq!((heap.retained().of(1), heap.retained().of(2)), (0, 9_000_016));
    let head = heap.report(&Context::default()).head;
    assert!(!head.findings.iter().any(|f| f.text.contains("nothing piles up: no place")), "{head:?}");
    // A text may be a secret: it is told by its size, in the views too.
    let told = format!("{head:?}{:?}", heap.branches(10, 10));
    assert!(told.contains("string") && !told.contains("zzz"), "{told}");
}
