//! One page of a heap that a person can click through: no file beside it, nothing from elsewhere.

use plimsoll_read::heap_dump::HeapDump;
use plimsoll_read::heap_dump::report::Report;
use plimsoll_read::heap_dump::tree::{Branch, Others};
use serde_json::{Value, json};

use super::heap::{self, Context};

const PAGE: &str = include_str!("treemap.html");
/// Objects of less than this share of the heap are not drawn.
const SMALLEST: f64 = 0.0004;

/// The page.
pub(crate) fn page(heap: &HeapDump, said: &Report, context: &Context, tree: &[Branch]) -> String {
    let total = heap.retained().reached_bytes();
    let least = (total as f64 * SMALLEST) as u64;
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
    let data = json!({
        "headline": headline,
        "about": format!("{} · {}", context.file, heap::about(heap)),
        "banners": heap::gaps(heap),
        "of": heap::of_what(heap),
        "suspects": suspects.collect::<Vec<_>>(),
        "total": total.max(1),
        "root": {
            "n": "all reachable",
            "r": total,
            "c": tree.iter().filter(|b| b.retained >= least).map(|b| branch(b, least)).collect::<Vec<_>>(),
        },
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
    let group =
        |o: &Others| json!({"n": format!("{} × {}", heap::thousands(o.objects), o.class), "r": o.retained});
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
