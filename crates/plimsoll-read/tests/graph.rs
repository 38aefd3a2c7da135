//! The heap graph against oracles: dominators by removal on small graphs, by iteration on large ones; the
//! memory of each structure; and a timing of 20 million objects, run by hand.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail loudly")]

use std::cell::Cell;
use std::ops::ControlFlow;

use plimsoll_read::graph::GraphError;
use plimsoll_read::graph::address::AddressSet;
use plimsoll_read::graph::dominators::{Dominators, Holder, dominators};
use plimsoll_read::graph::edges::{Graph, GraphBuilder};
use plimsoll_read::graph::path::shortest_paths;
use plimsoll_read::graph::verify::{verify, verify_by_removal};
use plimsoll_read::graph::walk::Walk;
use plimsoll_read::graph::watch::{Phase, Unwatched};
use proptest::prelude::*;

/// A small generator of numbers (splitmix64): the same graphs on every run.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: u32) -> u32 {
        (self.next() % u64::from(limit)) as u32
    }
}

fn build(lists: &[Vec<u32>], hubs: &[u32]) -> Graph {
    let mut builder = GraphBuilder::new(lists.len() as u32, hubs).unwrap();
    for (source, list) in (0u32..).zip(lists) {
        assert!(builder.append(source, list).unwrap());
    }
    builder.finish().unwrap()
}

/// What the roots reach without one object.
fn reach(lists: &[Vec<u32>], roots: &[u32], without: Option<u32>) -> Vec<bool> {
    let mut seen = vec![false; lists.len()];
    let mut stack: Vec<u32> = roots.to_vec();
    while let Some(object) = stack.pop() {
        if Some(object) != without && !seen[object as usize] {
            seen[object as usize] = true;
            stack.extend(&lists[object as usize]);
        }
    }
    seen
}

/// Holders and retained counts by the definition: what is lost when an object is removed.
fn by_removal(lists: &[Vec<u32>], roots: &[u32]) -> (Vec<Holder>, Vec<u64>) {
    let objects = lists.len();
    let all = reach(lists, roots, None);
    let lost: Vec<Vec<bool>> = (0..objects as u32)
        .map(|gone| {
            let left = reach(lists, roots, Some(gone));
            all.iter().zip(left).map(|(&before, after)| before && !after).collect()
        })
        .collect();
    let retained = |object: usize| lost[object].iter().filter(|&&lost| lost).count() as u64;
    let holders = (0..objects).map(|object| {
        if !all[object] {
            return Holder::Nothing;
        }
        let above = (0..objects).filter(|&other| other != object && lost[other][object]);
        // Of the dominators, a chain, the nearest loses the least.
        above.min_by_key(|&other| retained(other)).map_or(Holder::Roots, |other| Holder::Object(other as u32))
    });
    let sizes = (0..objects).map(|object| if all[object] { retained(object) } else { 1 });
    (holders.collect(), sizes.collect())
}

fn agrees_with_removal(lists: &[Vec<u32>], roots: &[u32], hubs: &[u32]) {
    let graph = build(lists, hubs);
    let tree = dominators(&graph, roots, &Unwatched).unwrap();
    let retained = tree.retained(|_| 1, &Unwatched).unwrap();
    let (holders, sizes) = by_removal(lists, roots);
    for (object, holder) in (0u32..).zip(&holders) {
        assert_eq!(tree.holder(object), *holder, "holder of {object} in {lists:?} from {roots:?}");
        assert_eq!(retained.of(object), sizes[object as usize], "retained by {object}");
    }
    for holder in [Holder::Roots, Holder::Nothing].into_iter().chain((0..5).map(Holder::Object)) {
        let mut expected: Vec<(u32, u64)> = (0u32..)
            .zip(&holders)
            .filter(|&(_, &found)| found == holder)
            .map(|(object, _)| (object, sizes[object as usize]))
            .collect();
        expected.sort_by_key(|&(object, bytes)| (std::cmp::Reverse(bytes), object));
        let held = tree.held_by(holder, &retained, 3);
        assert_eq!(held.objects as usize, expected.len());
        assert_eq!(held.bytes, expected.iter().map(|&(_, bytes)| bytes).sum::<u64>());
        expected.truncate(3);
        assert_eq!(held.biggest, expected, "held by {holder:?}");
    }
}

fn small_graph(draw: &mut Draw) -> (Vec<Vec<u32>>, Vec<u32>) {
    let objects = 1 + draw.below(24);
    let density = 1 + draw.below(4);
    let near = draw.below(3) == 0;
    let lists = (0..objects)
        .map(|source| {
            let target = |draw: &mut Draw| {
                if near { (source + draw.below(5) + 2 * objects - 2) % objects } else { draw.below(objects) }
            };
            (0..draw.below(density + 1)).map(|_| target(draw)).collect()
        })
        .collect();
    let roots = (0..draw.below(4)).map(|_| draw.below(objects)).collect();
    (lists, roots)
}

#[test]
fn thousands_of_small_graphs_agree_with_removal() {
    let mut draw = Draw(42);
    for _ in 0..6_000 {
        let (lists, roots) = small_graph(&mut draw);
        let hubs: Vec<u32> = (0..draw.below(3)).map(|_| draw.below(lists.len() as u32)).collect();
        agrees_with_removal(&lists, &roots, &hubs);
    }
}

proptest! {
    #[test]
    fn any_graph_agrees_with_removal(
        lists in prop::collection::vec(prop::collection::vec(0u32..16, 0..4), 16),
        roots in prop::collection::vec(0u32..16, 0..20),
    ) {
        agrees_with_removal(&lists, &roots, &[]);
    }
}

/// Objects in the order in which a depth-first walk leaves them; the root of roots has the last index.
fn postorder(lists: &[Vec<u32>], roots: &[u32]) -> Vec<u32> {
    let top = lists.len() as u32;
    let mut left = Vec::new();
    let mut seen = vec![false; lists.len() + 1];
    let mut stack = vec![(top, roots.iter())];
    while let Some((object, targets)) = stack.last_mut() {
        match targets.next() {
            Some(&target) if std::mem::replace(&mut seen[target as usize], true) => {}
            Some(&target) => stack.push((target, lists[target as usize].iter())),
            None => {
                left.push(*object);
                stack.pop();
            }
        }
    }
    left
}

/// Immediate dominators by iteration to a fixed point (Cooper, Harvey, Kennedy).
fn by_iteration(lists: &[Vec<u32>], roots: &[u32]) -> Vec<Holder> {
    let post = postorder(lists, roots);
    let top = post.len() as u32 - 1;
    let mut rank = vec![u32::MAX; lists.len() + 1];
    (0u32..).zip(&post).for_each(|(at, &object)| rank[object as usize] = at);
    let mut referrers = vec![Vec::new(); post.len()];
    for (at, &object) in (0u32..).zip(&post) {
        let targets = if at == top { roots } else { &lists[object as usize] };
        targets.iter().for_each(|&target| referrers[rank[target as usize] as usize].push(at));
    }
    let mut idom = vec![u32::MAX; post.len()];
    idom[top as usize] = top;
    let mut changed = true;
    while changed {
        changed = false;
        for at in (0..top).rev() {
            let known =
                referrers[at as usize].iter().copied().filter(|&from| idom[from as usize] != u32::MAX);
            let meet = known.reduce(|mut a, mut b| {
                while a != b {
                    let low = if a < b { &mut a } else { &mut b };
                    *low = idom[*low as usize];
                }
                a
            });
            changed |= std::mem::replace(&mut idom[at as usize], meet.unwrap()) != meet.unwrap();
        }
    }
    let holder = |object: usize| match rank[object] {
        u32::MAX => Holder::Nothing,
        at if idom[at as usize] == top => Holder::Roots,
        at => Holder::Object(post[idom[at as usize] as usize]),
    };
    (0..lists.len()).map(holder).collect()
}

fn agrees_with_iteration(lists: &[Vec<u32>], roots: &[u32]) -> Dominators {
    let graph = build(lists, &[]);
    let tree = dominators(&graph, roots, &Unwatched).unwrap();
    assert_eq!(verify(&graph, roots, &tree, &Unwatched), Ok(()));
    for (object, holder) in (0u32..).zip(by_iteration(lists, roots)) {
        assert_eq!(tree.holder(object), holder, "holder of {object}");
    }
    tree
}

#[test]
fn large_graphs_agree_with_iteration() {
    let mut draw = Draw(7);
    for (objects, average, roots) in [(400_000, 2, 3), (400_000, 1, 20_000), (70_000, 4, 1)] {
        let lists: Vec<Vec<u32>> = (0..objects)
            .map(|source| {
                let near = |draw: &mut Draw| (source + draw.below(200) + objects - 60) % objects;
                (0..draw.below(2 * average + 1))
                    .map(|_| if draw.below(8) == 0 { draw.below(objects) } else { near(&mut draw) })
                    .collect()
            })
            .collect();
        let roots: Vec<u32> = (0..roots).map(|_| draw.below(objects)).collect();
        agrees_with_iteration(&lists, &roots);
    }
}

#[test]
fn a_heap_agrees_with_iteration() {
    const OBJECTS: u32 = 500_000;
    let mut lists = vec![Vec::new(); OBJECTS as usize];
    (0u32..).zip(&mut lists).for_each(|(object, list)| heap(object, OBJECTS, list));
    agrees_with_iteration(&lists, &heap_roots());
}

#[test]
fn a_list_of_ten_million_needs_no_deep_stack() {
    const LENGTH: u32 = 10_000_000;
    let mut builder = GraphBuilder::new(LENGTH, &[]).unwrap();
    for object in 0..LENGTH {
        let list = [(object + 1).min(LENGTH - 1), object.saturating_sub(1), 0];
        assert!(builder.append(object, &list).unwrap());
    }
    let tree = dominators(&builder.finish().unwrap(), &[0], &Unwatched).unwrap();
    let retained = tree.retained(|_| 1 << 20, &Unwatched).unwrap();
    assert_eq!(retained.of(0), u64::from(LENGTH) << 20);
    assert_eq!(retained.of(LENGTH - 1), 1 << 20);
    assert_eq!(tree.holder(LENGTH - 1), Holder::Object(LENGTH - 2));
    assert_eq!(tree.holders_of(LENGTH - 1).count() as u32, LENGTH - 1);
}

#[test]
fn a_wide_star_and_a_deep_comb() {
    const WIDTH: u32 = 1_000_000;
    let mut star = vec![Vec::new(); WIDTH as usize];
    star[0] = (1..WIDTH).rev().collect();
    let tree = agrees_with_iteration(&star, &[0]);
    let retained = tree.retained(u64::from, &Unwatched).unwrap();
    let held = tree.held_by(Holder::Object(0), &retained, 2);
    assert_eq!((held.objects, held.biggest), (WIDTH - 1, vec![(WIDTH - 1, 999_999), (WIDTH - 2, 999_998)]));
    let tooth = |object: u32| object + 2 < WIDTH && object.is_multiple_of(2);
    let comb: Vec<Vec<u32>> =
        (0..WIDTH).map(|at| if tooth(at) { vec![at + 1, at + 2] } else { vec![] }).collect();
    agrees_with_iteration(&comb, &[0]);
}

#[test]
fn roots_hold_themselves_even_below_other_objects() {
    let lists = vec![vec![1, 2], vec![2, 3], vec![3], vec![], vec![0]];
    let tree = dominators(&build(&lists, &[]), &[0, 2, 0], &Unwatched).unwrap();
    let holders: Vec<Holder> = (0..6).map(|object| tree.holder(object)).collect();
    let (roots, nothing) = (Holder::Roots, Holder::Nothing);
    assert_eq!(holders, [roots, Holder::Object(0), roots, roots, nothing, nothing]);
    assert_eq!(tree.reached().collect::<Vec<_>>(), [0, 1, 2, 3], "leaves come last");
    let wrong = dominators(&build(&lists, &[]), &[5], &Unwatched).err();
    assert_eq!(wrong, Some(GraphError::NoSuchObject { index: 5, objects: 5 }));
}

#[test]
fn sizes_end_at_their_limit() {
    let lists = vec![vec![1, 2], vec![], vec![]];
    let tree = dominators(&build(&lists, &[]), &[0], &Unwatched).unwrap();
    let retained = tree.retained(|object| if object == 0 { 5 } else { u64::MAX }, &Unwatched).unwrap();
    assert_eq!((retained.of(0), retained.of(1)), ((1 << 48) - 1, (1 << 48) - 1));
    let retained = tree.retained(|object| [1 << 32, (1 << 32) - 1, 3][object as usize], &Unwatched).unwrap();
    assert_eq!(retained.of(0), (2 << 32) + 2);
}

#[test]
fn every_phase_can_be_stopped() {
    let lists: Vec<Vec<u32>> = (0..600_000u32).map(|i| vec![(i + 1) % 600_000, i / 2]).collect();
    let graph = build(&lists, &[]);
    for phase in [Phase::Walk, Phase::Semidominators, Phase::Dominators, Phase::Retained] {
        let calls = Cell::new(0);
        let watch = |now: Phase, done: u64, total: u64| {
            assert!(done <= total, "{now} {done} of {total}");
            if now != phase {
                return ControlFlow::Continue(());
            }
            calls.set(calls.get() + 1);
            if calls.get() == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let result = dominators(&graph, &[0], &watch)
            .and_then(|tree| tree.retained(|_| 1, &watch).map(|retained| retained.of(0)));
        assert_eq!(result, Err(GraphError::Stopped { phase }));
    }
}

const CLASSES: u32 = 256;

/// Class objects are roots, apart from a few as an application's loader would hold them.
fn heap_roots() -> Vec<u32> {
    (0..CLASSES).filter(|class| class % 32 != 5).collect()
}

/// The references of one object of a made-up heap: class objects, tables, map nodes with keys and values, a
/// tree with parent links, a list that runs through everything, leaves, and some dead objects.
fn heap(object: u32, objects: u32, list: &mut Vec<u32>) {
    let mut draw = Draw(u64::from(object));
    let tables = objects / 4096;
    let first = (CLASSES + tables).next_multiple_of(8);
    let groups = (objects - first) / 8;
    let at = |group: u32, part: u32| first + group % groups * 8 + part;
    list.clear();
    if object < CLASSES {
        list.extend((object..tables).step_by(CLASSES as usize).map(|table| CLASSES + table));
        list.push(at(draw.below(groups), 3));
        list.push(if object == 7 { at(0, 5) } else { at(0, 4) });
        return;
    }
    if object < CLASSES + tables {
        let table = object - CLASSES;
        list.extend((table..groups).step_by(tables as usize).map(|group| at(group, 0)));
        return;
    }
    let (group, part) = (object.saturating_sub(first) / 8, object.saturating_sub(first) % 8);
    if object < first || group >= groups {
        return;
    }
    let node = |group: u32| (group < groups).then(|| at(group, 4));
    match part {
        0 => {
            list.extend([5 + 32 * (group % 3), object + 1, object + 3]);
            if draw.below(4) == 0 {
                list.push(at(draw.below(groups), 0));
            }
        }
        1 => list.extend([9, object + 1]),
        3 => list.extend([37, object + 1, object - 3]),
        4 => list.extend([group * 2 + 1, group * 2 + 2, group / 2].into_iter().filter_map(node)),
        5 => list.extend([at(group + 1, 5), at(group + groups - 1, 5), object + 1]),
        6 if draw.below(2) == 0 => list.push(at(draw.below(groups), draw.below(8))),
        6 if draw.below(2) == 0 => list.push(object + 1),
        _ => {}
    }
}

fn heap_graph(objects: u32) -> Graph {
    let mut builder = GraphBuilder::new(objects, &[5, 37, 69, 9]).unwrap();
    let mut list = Vec::new();
    for object in 0..objects {
        heap(object, objects, &mut list);
        assert!(builder.append(object, &list).unwrap());
    }
    builder.finish().unwrap()
}

#[test]
fn memory_stays_below_its_figures() {
    const OBJECTS: u32 = 1_000_000;
    let per_object = |bytes: usize| bytes as f64 / f64::from(OBJECTS);
    let mut addresses = AddressSet::new();
    for object in 0..u64::from(OBJECTS) {
        addresses.insert(0x6_0000_0000 + object * 32 + object % 3 * 8).unwrap();
    }
    let addresses = addresses.freeze();
    let graph = heap_graph(OBJECTS);
    assert!(graph.references() > 16 * u64::from(OBJECTS) / 10, "{} references", graph.references());
    let walk = Walk::new(&graph, &heap_roots(), &Unwatched).unwrap();
    let (address, edges, walked) =
        (per_object(addresses.bytes()), per_object(graph.bytes()), per_object(walk.bytes()));
    let tree = Dominators::new(walk, &Unwatched).unwrap();
    let (peak, kept) = (per_object(tree.peak_bytes()), per_object(tree.bytes()));
    let retained = per_object(tree.retained(|_| 16, &Unwatched).unwrap().bytes());
    let figures = [address, edges, walked, peak, kept, retained];
    let limits = [0.6, 4.5, 8.5, 16.0, 8.1, 6.0];
    let all = figures.iter().zip(limits).all(|(figure, limit)| *figure <= limit);
    assert!(all, "bytes an object {figures:.2?}, limits {limits:?}");
}

/// User and system CPU seconds of this process so far, its resident memory and the highest so far in bytes.
fn usage() -> (f64, f64, f64) {
    #[expect(clippy::disallowed_methods, reason = "measures itself, reads no artifact")]
    let (stat, status) = ["/proc/self/stat", "/proc/self/status"].map(std::fs::read_to_string).into();
    let stat = stat.unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or(f64::NAN);
    let status = status.unwrap_or_default();
    let line = |name: &str| {
        let kib = status.lines().find_map(|line| line.strip_prefix(name)?.trim().strip_suffix("kB"));
        kib.and_then(|kib| kib.trim().parse::<f64>().ok()).map_or(f64::NAN, |kib| kib * 1024.0)
    };
    ((ticks(11) + ticks(12)) / 100.0, line("VmRSS:"), line("VmHWM:"))
}

/// Runs one phase and prints its cost.
#[expect(clippy::print_stderr, reason = "a measurement run by hand")]
fn measured<T>(what: &str, objects: u32, work: impl FnOnce() -> T) -> T {
    #[expect(clippy::disallowed_methods, reason = "measures itself")]
    let (before, started) = (usage().0, std::time::Instant::now());
    let result = work();
    let (cpu, now, peak) = usage();
    eprintln!(
        "{what:<12} cpu {:6.2} s  wall {:6.2} s  {:6.1} ns/object  resident {:5.1}, highest {:5.1} bytes/object",
        cpu - before,
        started.elapsed().as_secs_f64(),
        (cpu - before) * 1e9 / f64::from(objects),
        now / f64::from(objects),
        peak / f64::from(objects),
    );
    result
}

#[test]
#[ignore = "a measurement, needs 1 GiB: cargo test --release -p plimsoll-read --test graph -- --ignored --nocapture"]
#[expect(clippy::print_stderr, reason = "a measurement run by hand")]
fn time_twenty_million_objects() {
    const OBJECTS: u32 = 20_000_000;
    let per_object = |bytes: usize| bytes as f64 / f64::from(OBJECTS);
    let address = |object: u32| 0x6_0000_0000 + u64::from(object) * 32 + u64::from(object % 3) * 8;
    measured("(generator)", OBJECTS, || {
        let mut list = Vec::new();
        let total: usize = (0..OBJECTS).map(|object| (heap(object, OBJECTS, &mut list), list.len()).1).sum();
        assert!(total > 16 * OBJECTS as usize / 10);
    });
    let addresses = measured("addresses", OBJECTS, || {
        let mut addresses = AddressSet::new();
        (0..OBJECTS).for_each(|object| assert!(addresses.insert(address(object)).unwrap()));
        addresses.freeze()
    });
    let graph = measured("edges + gen", OBJECTS, || {
        let mut builder = GraphBuilder::new(OBJECTS, &[5, 37, 69, 9]).unwrap();
        let (mut list, mut indices) = (Vec::new(), Vec::new());
        for object in 0..OBJECTS {
            heap(object, OBJECTS, &mut list);
            indices.clear();
            indices.extend(list.iter().filter_map(|&target| addresses.index_of(address(target))));
            assert!(builder.append(object, &indices).unwrap());
        }
        builder.finish().unwrap()
    });
    let (edges, references) = (graph.bytes(), graph.references());
    let walk = measured("walk", OBJECTS, || Walk::new(&graph, &heap_roots(), &Unwatched).unwrap());
    let (walked, reached) = (walk.bytes(), walk.reached());
    measured("drop graph", OBJECTS, || drop(graph));
    let tree = measured("dominators", OBJECTS, || Dominators::new(walk, &Unwatched).unwrap());
    let retained = measured("retained", OBJECTS, || tree.retained(|_| 32, &Unwatched).unwrap());
    let held = measured("held_by", OBJECTS, || tree.held_by(Holder::Roots, &retained, 20));
    eprintln!("{references} references, {reached} reached, {} held by the roots, {held:.0?}", held.objects);
    eprintln!(
        "bytes an object: addresses {:.2}, edges {:.2}, walk {:.2}, dominators' peak {:.2}, tree {:.2}, sizes {:.2}",
        per_object(addresses.bytes()),
        per_object(edges),
        per_object(walked),
        per_object(tree.peak_bytes()),
        per_object(tree.bytes()),
        per_object(retained.bytes()),
    );
    assert!(per_object(addresses.bytes() + edges + walked) < 16.0, "the walk's peak");
    assert!(per_object(addresses.bytes() + tree.peak_bytes()) < 17.0, "the dominators' peak");
}

#[test]
#[ignore = "a measurement: cargo test --release -p plimsoll-read --test graph -- --ignored --nocapture"]
fn time_the_checks_on_five_million_objects() {
    const OBJECTS: u32 = 5_000_000;
    let graph = heap_graph(OBJECTS);
    let roots = heap_roots();
    let tree = measured("dominators", OBJECTS, || dominators(&graph, &roots, &Unwatched).unwrap());
    let whole = measured("verify", OBJECTS, || verify(&graph, &roots, &tree, &Unwatched));
    assert_eq!(whole, Ok(()));
    let one = measured("by removal", OBJECTS, || verify_by_removal(&graph, &roots, &tree, 7, &Unwatched));
    assert_eq!(one, Ok(()));
    let last = tree.reached().last();
    let paths = measured("path", OBJECTS, || {
        shortest_paths(&graph, &roots, &Vec::from_iter(last), OBJECTS, &Unwatched).unwrap()
    });
    assert!(paths.iter().all(|path| path.as_ref().is_some_and(|path| path.last() == last.as_ref())));
}
