//! The further views of a heap dump, as tables and as JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use plimsoll_core::recording::API_VERSION;
use plimsoll_core::units::{self, thousands};
use plimsoll_read::heap_dump::ClassInside;
use plimsoll_read::heap_dump::growth::Growth;
use plimsoll_read::heap_dump::paths::{Way, Ways};
use plimsoll_read::heap_dump::report::Report;
use plimsoll_read::heap_dump::strings::Strings;
use plimsoll_read::heap_dump::threads::ThreadHolding;
use plimsoll_read::heap_dump::tree::Branch;
use plimsoll_read::heap_dump::usage::Usage;
use plimsoll_read::heap_snapshot as snapshot;
use serde_json::{Value, json};

use super::heap::path_lines;
use super::paint::Paint;

/// Rows of a table, unless JSON is asked for.
const ROWS: usize = 40;
/// Classes shown of what an object holds beside what is shown one by one.
const GROUPS: usize = 3;
/// New templates shown of what grew.
const FRESH: usize = 5;
/// Frames shown of a thread.
const FRAMES: usize = 12;

/// What a view comes to: a name for JSON, the table, the value.
pub(crate) struct View {
    pub(crate) name: &'static str,
    pub(crate) table: String,
    pub(crate) value: Value,
}

/// Bytes in a column.
fn bytes(n: u64) -> String {
    format!("{:>10}", units::bytes(n as f64))
}

fn table(head: &str, rows: impl Iterator<Item = String>) -> String {
    let mut out = format!("{head}\n");
    for row in rows {
        let _infallible = writeln!(out, "{}", row.trim_end());
    }
    out
}

/// Objects by class.
pub(crate) fn histogram(rows: &[ClassInside]) -> View {
    let row =
        |r: &ClassInside| format!("{:>14} {:>17}  {}", thousands(r.objects), thousands(r.bytes), r.class);
    let value = |r: &ClassInside| json!({"class": r.class, "objects": r.objects, "bytes": r.bytes});
    View {
        name: "histogram",
        table: table("       objects             bytes  class", rows.iter().map(row)),
        value: rows.iter().map(value).collect(),
    }
}

/// The dominator tree.
pub(crate) fn dominators(branches: &[Branch], total: u64) -> View {
    let mut out = String::from("  retained   share    shallow  object\n");
    branches.iter().for_each(|branch| branch_lines(branch, 0, total, &mut out));
    View { name: "dominators", table: out, value: branches.iter().map(branch_value).collect() }
}

fn branch_lines(branch: &Branch, depth: usize, total: u64, out: &mut String) {
    let _infallible = writeln!(
        out,
        "{} {:>7} {}  {}{}",
        bytes(branch.retained),
        units::percent(branch.retained as f64 / total.max(1) as f64),
        bytes(branch.shallow),
        "  ".repeat(depth),
        branch.label,
    );
    branch.held.iter().for_each(|held| branch_lines(held, depth + 1, total, out));
    for others in branch.others.iter().take(GROUPS) {
        let _infallible = writeln!(
            out,
            "{} {:>7} {:>10}  {}{} × {}",
            bytes(others.retained),
            units::percent(others.retained as f64 / total.max(1) as f64),
            "",
            "  ".repeat(depth + 1),
            thousands(others.objects),
            others.class,
        );
    }
}

fn branch_value(branch: &Branch) -> Value {
    let held: Vec<Value> = branch.held.iter().map(branch_value).collect();
    let others = branch.others.iter();
    let others = others.map(|o| json!({"class": o.class, "objects": o.objects, "retainedBytes": o.retained}));
    json!({
        "label": branch.label,
        "shallowBytes": branch.shallow,
        "retainedBytes": branch.retained,
        "held": held,
        "others": others.collect::<Vec<_>>(),
    })
}

/// Ways from owners to objects.
pub(crate) fn ways(found: &Ways) -> View {
    let Ways { ways, looked_at, objects } = found;
    let mut out = match objects {
        0 => "no such object is reachable: a class is named as --histogram names it\n".to_owned(),
        objects if *objects > *looked_at as u64 => {
            format!("the {looked_at} largest of {} objects:\n", thousands(*objects))
        }
        _ => String::new(),
    };
    for way in ways {
        let alike = if way.alike > 1 { format!(", and {} more alike", way.alike - 1) } else { String::new() };
        let retained = units::bytes(way.retained as f64);
        let _infallible = writeln!(out, "{} ({retained}{alike})", way.path.owner);
        path_lines(&way.path).into_iter().for_each(|line| out.push_str(&format!("  {line}\n")));
    }
    let value = |way: &Way| {
        let steps = way.path.steps.iter().map(|step| json!({"label": step.label, "via": step.via}));
        json!({
            "owner": way.path.owner.to_string(),
            "retainedBytes": way.retained,
            "alike": way.alike,
            "path": steps.collect::<Vec<_>>(),
        })
    };
    View { name: "paths", table: out, value: ways.iter().map(value).collect() }
}

/// Ways from the root to nodes of a V8 snapshot.
pub(crate) fn snapshot_ways(ways: &[snapshot::Way]) -> View {
    let mut out = String::new();
    for way in ways {
        let alike = if way.alike > 1 { format!(", and {} more alike", way.alike - 1) } else { String::new() };
        let retained = units::bytes(way.retained as f64);
        let _infallible = writeln!(out, "{} @{} ({retained}{alike})", way.label, way.id);
        for step in &way.path {
            let via = if step.via.is_empty() { String::new() } else { format!(" by {}", step.via) };
            let _infallible = writeln!(out, "  {}{via}", step.label);
        }
    }
    let value = |way: &snapshot::Way| {
        let steps = way.path.iter().map(|step| json!({"label": step.label, "via": step.via}));
        json!({
            "object": way.label,
            "id": way.id,
            "retainedBytes": way.retained,
            "alike": way.alike,
            "path": steps.collect::<Vec<_>>(),
        })
    };
    View { name: "paths", table: out, value: ways.iter().map(value).collect() }
}

/// Threads with their stacks.
pub(crate) fn threads(threads: &[ThreadHolding]) -> View {
    let mut out = String::new();
    for thread in threads {
        let _infallible =
            writeln!(out, "\"{}\" retains {}", thread.name, units::bytes(thread.retained as f64));
        for frame in thread.frames.iter().take(FRAMES) {
            let _infallible = writeln!(out, "    at {}", frame.name);
            for (label, retained) in &frame.locals {
                let _infallible = writeln!(out, "       {} {label}", bytes(*retained));
            }
        }
        if thread.frames.len() > FRAMES {
            let _infallible = writeln!(out, "    … {} more frames", thread.frames.len() - FRAMES);
        }
    }
    let value = |thread: &ThreadHolding| {
        let frames = thread.frames.iter().map(|frame| {
            let locals = frame.locals.iter().map(|(l, b)| json!({"label": l, "retainedBytes": b}));
            json!({"frame": frame.name, "locals": locals.collect::<Vec<_>>()})
        });
        json!({
            "name": thread.name,
            "retainedBytes": thread.retained,
            "frames": frames.collect::<Vec<_>>(),
        })
    };
    View { name: "threads", table: out, value: threads.iter().map(value).collect() }
}

/// Strings that are there more than once.
pub(crate) fn strings(strings: &Strings) -> View {
    let estimated = if strings.looked_at < 1.0 { " (estimated)" } else { "" };
    let head = format!(
        "{} strings in {}; duplicates waste {}{estimated}\n    copies     wasted  text",
        thousands(strings.arrays),
        units::bytes(strings.bytes as f64),
        units::bytes(strings.wasted as f64),
    );
    let rows = strings.duplicates.iter().map(|d| {
        let text: String = d.text.chars().map(|c| if c.is_control() { '·' } else { c }).take(80).collect();
        format!("{:>10} {}  {text}", thousands(d.arrays), bytes(d.wasted))
    });
    let duplicates = strings.duplicates.iter();
    let duplicates = duplicates.map(|d| json!({"text": d.text, "copies": d.arrays, "wastedBytes": d.wasted}));
    View {
        name: "strings",
        table: table(&head, rows),
        value: json!({
            "strings": strings.arrays,
            "bytes": strings.bytes,
            "wastedBytes": strings.wasted,
            "lookedAtShare": strings.looked_at,
            "duplicates": duplicates.collect::<Vec<_>>(),
        }),
    }
}

/// How well collections are used.
pub(crate) fn collections(rows: &[Usage]) -> View {
    let row = |r: &Usage| {
        let fill =
            if r.slots > 0 { units::percent(r.entries as f64 / r.slots as f64) } else { String::new() };
        format!(
            "{:>12} {:>12} {:>14} {:>7} {:>14} {}  {}",
            thousands(r.collections),
            thousands(r.empty),
            thousands(r.entries),
            fill,
            thousands(r.largest),
            bytes(r.wasted),
            r.class
        )
    };
    let value = |r: &Usage| {
        json!({
            "class": r.class,
            "collections": r.collections,
            "empty": r.empty,
            "entries": r.entries,
            "slots": r.slots,
            "largest": r.largest,
            "wastedBytes": r.wasted,
        })
    };
    let head = " collections        empty        entries    full        largest free slots  class";
    View {
        name: "collections",
        table: table(head, rows.iter().take(ROWS).map(row)),
        value: rows.iter().map(value).collect(),
    }
}

/// Templates of keys by who owns the map.
pub(crate) type Templates = BTreeMap<String, BTreeSet<String>>;

/// Those that a dump's suspects have.
pub(crate) fn templates(said: &Report) -> Templates {
    let mut all = Templates::new();
    for suspect in &said.suspects {
        let texts = suspect.keys.iter().flat_map(|keys| keys.templates.iter().map(|t| t.text.clone()));
        all.entry(suspect.path.owner.to_string()).or_default().extend(texts);
    }
    all
}

/// Those of the last dump that the first does not have.
pub(crate) fn fresh_templates(all: &[Templates]) -> Templates {
    let (Some(first), Some(last)) = (all.first(), all.last()) else { return Templates::new() };
    let none = BTreeSet::new();
    let fresh = |(owner, texts): (&String, &BTreeSet<String>)| {
        let known = first.get(owner).unwrap_or(&none);
        (owner.clone(), texts.difference(known).cloned().collect())
    };
    last.iter().map(fresh).collect()
}

/// What grew, as a screen.
pub(crate) fn growth(files: &[String], grown: &[Growth], fresh: &Templates, paint: Paint) -> String {
    let mut out = format!("{}\n\n", files.join(" → "));
    if grown.is_empty() {
        out.push_str(&paint.green("nothing grew"));
        out.push('\n');
    }
    for growth in grown {
        let gained = units::bytes(growth.gained() as f64);
        let steps: Vec<String> = growth.retained.iter().map(|b| units::bytes(*b as f64)).collect();
        let always = if files.len() > 2 && growth.every_step { ", at every step" } else { "" };
        let head = paint.bold(&format!("{} grew by {gained}{always}", growth.owner));
        let _infallible = writeln!(out, "{head}: {}", steps.join(" → "));
        let _infallible = writeln!(out, "  {}", paint.dim(&growth.labels.join(" › ")));
        let objects: Vec<String> = growth.objects.iter().map(|n| thousands(*n)).collect();
        if growth.objects.iter().any(|n| *n > 1) {
            let _infallible = writeln!(out, "  {} objects", objects.join(" → "));
        }
        for template in fresh.get(&growth.owner.to_string()).into_iter().flatten().take(FRESH) {
            let _infallible = writeln!(out, "  new keys: {template}");
        }
    }
    out
}

/// The same as JSON.
pub(crate) fn growth_json(files: &[String], grown: &[Growth], fresh: &Templates) -> Value {
    let grown = grown.iter().map(|g| {
        json!({
            "owner": g.owner.to_string(),
            "path": g.labels,
            "retainedBytes": g.retained,
            "objects": g.objects,
            "gainedBytes": g.gained(),
            "everyStep": g.every_step,
            "newTemplates": fresh.get(&g.owner.to_string()),
        })
    });
    json!({
        "apiVersion": API_VERSION,
        "kind": "ReadingDiff",
        "artifacts": files,
        "grown": grown.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_templates_that_were_not_there_are_new() {
        let of = |rows: &[(&str, &[&str])]| -> Templates {
            let set = |texts: &[&str]| texts.iter().map(|t| (*t).to_owned()).collect();
            rows.iter().map(|(owner, texts)| ((*owner).to_owned(), set(texts))).collect()
        };
        let all = [of(&[("A.m", &["/a", "/b"])]), of(&[("A.m", &["/b", "/c"]), ("B.n", &["x:{number}"])])];
        assert_eq!(fresh_templates(&all), of(&[("A.m", &["/c"]), ("B.n", &["x:{number}"])]));
        assert_eq!(fresh_templates(&[]), Templates::new());
    }
}
