//! One page of a heap that a person can click through: no file beside it, nothing from elsewhere.

use std::path::Path;

use plimsoll_core::units;
use plimsoll_read::heap_dump::HeapDump;
use plimsoll_read::heap_dump::report::Report;
use plimsoll_read::heap_dump::tree::{Branch, Others};
use plimsoll_read::heap_snapshot::HeapSnapshot;
use plimsoll_read::heap_snapshot::report::SnapshotReport;
use serde_json::{Value, json};

use super::heap::{self, Context};
use super::heap_views;

const PAGE: &str = include_str!("treemap.html");
/// Objects shown below another one, and steps of the tree.
pub(crate) const PAGE_WIDTH: usize = 60;
pub(crate) const PAGE_DEPTH: usize = 16;
/// Objects of less than this share of the heap are not drawn.
const SMALLEST: f64 = 0.0004;

/// The page.
pub(crate) fn page(heap: &HeapDump, said: &Report, context: &Context, tree: &[Branch]) -> String {
    let accused = said.suspects.iter().find(|suspect| suspect.accused);
    let headline = match accused {
        Some(suspect) => heap::headline(heap, suspect),
        None if heap.is_whole() => "Nothing to accuse in this heap".to_owned(),
        None => heap::report(heap, said, context).summary,
    };
    let suspects = said.suspects.iter().map(|suspect| {
        json!({
            "accused": suspect.accused,
            "head": heap::headline(heap, suspect),
            "content": heap::content(suspect),
            "path": heap::path_lines(&suspect.path),
        })
    });
    filled(&Page {
        headline,
        about: format!("{} · {}", context.file, heap::about(heap)),
        banners: heap::gaps(heap),
        of: heap::of_what(heap),
        suspects: suspects.collect(),
        total: heap.retained().reached_bytes(),
        tree,
    })
}

/// The page of a V8 snapshot.
pub(crate) fn snapshot_page(file: &Path, heap: &HeapSnapshot, said: &SnapshotReport) -> String {
    let total = heap.retained().reached_bytes();
    let suspects = said.places.iter().map(|place| {
        json!({
            "accused": place.accused,
            "head": format!("{} @{}: {}", place.what, place.id, units::bytes(place.retained_bytes as f64)),
            "content": format!("{} × {}", units::thousands(place.entries), place.entry),
            "path": [place.path],
        })
    });
    filled(&Page {
        headline: said.head.summary.clone(),
        about: format!("{} · V8 heap snapshot, {} reachable", file.display(), units::bytes(total as f64)),
        banners: heap.truncated().into_iter().map(str::to_owned).collect(),
        of: if heap.truncated().is_some() { "of what was read" } else { "of the heap" },
        suspects: suspects.collect(),
        total,
        tree: &heap.branches(PAGE_WIDTH, PAGE_DEPTH),
    })
}

/// What stands on a page, of whichever format.
struct Page<'a> {
    headline: String,
    about: String,
    banners: Vec<String>,
    /// What shares are of.
    of: &'static str,
    suspects: Vec<Value>,
    total: u64,
    tree: &'a [Branch],
}

fn filled(page: &Page<'_>) -> String {
    let least = (page.total as f64 * SMALLEST) as u64;
    let drawn = page.tree.iter().filter(|b| b.retained >= least).map(|b| branch(b, least));
    let data = json!({
        "headline": page.headline,
        "about": page.about,
        "banners": page.banners,
        "of": page.of,
        "suspects": page.suspects,
        "total": page.total.max(1),
        "root": {"n": "all reachable", "r": page.total, "c": drawn.collect::<Vec<_>>()},
    });
    // Names come out of the dump: none of them may end the script that they stand in.
    PAGE.replacen("/*DATA*/", &data.to_string().replace('<', "\\u003c"), 1)
}

/// Share of an object's bytes at which what it holds is drawn in its place: the way is in the name.
const ALL_BUT: f64 = 0.98;

fn branch(of: &Branch, least: u64) -> Value {
    let mut names = vec![of.label.clone()];
    let mut at = of;
    while let [only, ..] = at.held.as_slice()
        && only.retained as f64 >= ALL_BUT * of.retained as f64
        && !only.held.is_empty()
    {
        names.push(only.label.clone());
        at = only;
    }
    let least = least.max(1);
    let held = at.held.iter().filter(|b| b.retained >= least).map(|b| branch(b, least));
    let group = |o: &Others| json!({"n": heap_views::others_in_words(o), "r": o.retained});
    let others = at.others.iter().filter(|o| o.retained >= least).map(group);
    let mut held: Vec<Value> = held.chain(others).collect();
    held.sort_by_key(|value| std::cmp::Reverse(value["r"].as_u64()));
    let mut value = json!({"n": names.join(" › "), "r": of.retained});
    if !held.is_empty()
        && let Some(object) = value.as_object_mut()
    {
        object.insert("c".to_owned(), held.into());
    }
    value
}
