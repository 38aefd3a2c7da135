//! The further views of a heap dump, as tables and as JSON.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;

use plimsoll_core::recording::API_VERSION;
use plimsoll_core::units::{self, thousands};
use plimsoll_read::heap_dump::ClassInside;
use plimsoll_read::heap_dump::growth::Growth;
use plimsoll_read::heap_dump::paths::{Way, Ways};
use plimsoll_read::heap_dump::report::Report;
use plimsoll_read::heap_dump::strings::Strings;
use plimsoll_read::heap_dump::threads::{FrameHolding, ThreadHolding};
use plimsoll_read::heap_dump::tree::{Branch, Others};
use plimsoll_read::heap_dump::usage::Usage;
use plimsoll_read::heap_snapshot as snapshot;
use serde_json::{Value, json};

use super::heap::path_lines;
use super::paint::Paint;
use crate::output::plain;

/// Rows of a table, unless JSON is asked for.
const ROWS: usize = 40;
/// Classes shown of what an object holds beside what is shown one by one.
const GROUPS: usize = 3;
/// New templates shown of what grew.
const FRESH: usize = 5;
/// Frames shown of a thread.
const FRAMES: usize = 12;
/// Threads named of those with the same stack.
const NAMES: usize = 3;

/// What a view comes to: a name for JSON, the table, the value.
pub(crate) struct View {
    pub(crate) name: &'static str,
    pub(crate) table: String,
    pub(crate) value: Value,
    /// What else stands in the document.
    pub(crate) beside: Option<(&'static str, Value)>,
}

impl View {
    fn new(name: &'static str, table: String, value: Value) -> View {
        View { name, table, value, beside: None }
    }
}

/// Bytes in a column.
fn bytes(n: u64) -> String {
    format!("{:>10}", units::bytes(n as f64))
}

fn table(head: &str, rows: impl Iterator<Item = String>) -> String {
    let mut out = format!("{head}\n");
    for row in rows {
        let _infallible = writeln!(out, "{}", plain(row.trim_end()));
    }
    out
}

/// Objects by class.
pub(crate) fn histogram(rows: &[ClassInside]) -> View {
    let row =
        |r: &ClassInside| format!("{:>14} {:>17}  {}", thousands(r.objects), thousands(r.bytes), r.class);
    let value = |r: &ClassInside| json!({"class": r.class, "objects": r.objects, "bytes": r.bytes});
    let table = table("       objects             bytes  class", rows.iter().map(row));
    View::new("histogram", table, rows.iter().map(value).collect())
}

/// The dominator tree.
pub(crate) fn dominators(branches: &[Branch], total: u64) -> View {
    let mut out = String::from("  retained   share    shallow  object\n");
    branches.iter().for_each(|branch| branch_lines(branch, 0, total, &mut out));
    View::new("dominators", out, branches.iter().map(branch_value).collect())
}

fn branch_lines(branch: &Branch, depth: usize, total: u64, out: &mut String) {
    let _infallible = writeln!(
        out,
        "{} {:>7} {}  {}{}",
        bytes(branch.retained),
        units::percent(branch.retained as f64 / total.max(1) as f64),
        bytes(branch.shallow),
        "  ".repeat(depth),
        plain(&branch.label),
    );
    branch.held.iter().for_each(|held| branch_lines(held, depth + 1, total, out));
    for others in branch.others.iter().take(GROUPS) {
        let _infallible = writeln!(
            out,
            "{} {:>7} {:>10}  {}{}",
            bytes(others.retained),
            units::percent(others.retained as f64 / total.max(1) as f64),
            "",
            "  ".repeat(depth + 1),
            plain(&others_in_words(others)),
        );
    }
}

/// Objects that are told of together, with the names of the largest where they have names.
pub(crate) fn others_in_words(others: &Others) -> String {
    let more = if others.objects > others.largest.len() as u64 { ", …" } else { "" };
    let names = match others.largest.as_slice() {
        [] => String::new(),
        names => format!(": {}{more}", names.join(", ")),
    };
    format!("{} × {}{names}", thousands(others.objects), others.class)
}

fn branch_value(branch: &Branch) -> Value {
    let held: Vec<Value> = branch.held.iter().map(branch_value).collect();
    let others = branch.others.iter();
    let others = others.map(|o| {
        json!({"class": o.class, "largest": o.largest, "objects": o.objects, "retainedBytes": o.retained})
    });
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
        let _infallible = writeln!(out, "{} ({retained}{alike})", plain(&way.path.owner.to_string()));
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
    let looked_at = json!({"objects": objects, "lookedAt": looked_at});
    let view = View::new("paths", out, ways.iter().map(value).collect());
    View { beside: Some(("pathsOf", looked_at)), ..view }
}

/// Ways from the root to nodes of a V8 snapshot.
pub(crate) fn snapshot_ways(ways: &[snapshot::Way]) -> View {
    let mut out = String::new();
    for way in ways {
        let alike = if way.alike > 1 { format!(", and {} more alike", way.alike - 1) } else { String::new() };
        let retained = units::bytes(way.retained as f64);
        let _infallible = writeln!(out, "{} @{} ({retained}{alike})", plain(&way.label), way.id);
        for step in &way.path {
            let via = if step.via.is_empty() { String::new() } else { format!(" by {}", step.via) };
            let _infallible = writeln!(out, "  {}", plain(&format!("{}{via}", step.label)));
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
    View::new("paths", out, ways.iter().map(value).collect())
}

/// Threads of equal stacks together: the group of the thread that holds most first, as the threads are.
fn alike(threads: &[ThreadHolding]) -> Vec<Vec<&ThreadHolding>> {
    let mut groups: Vec<Vec<&ThreadHolding>> = Vec::new();
    let mut places: HashMap<Vec<&str>, usize> = HashMap::new();
    for thread in threads {
        let stack = thread.frames.iter().map(|frame| frame.name.as_str()).collect();
        let place = *places.entry(stack).or_insert(groups.len());
        match groups.get_mut(place) {
            Some(group) => group.push(thread),
            None => groups.push(vec![thread]),
        }
    }
    groups
}

/// Threads of one stack: who they are, the stack, and what its locals hold.
fn stack_lines(group: &[&ThreadHolding]) -> String {
    let Some(first) = group.first() else { return String::new() };
    let retained = units::bytes(group.iter().map(|thread| thread.retained as f64).sum());
    let names: Vec<String> = group.iter().take(NAMES).map(|thread| format!("\"{}\"", thread.name)).collect();
    let names = plain(&names.join(", "));
    let mut out = match (group.len(), group.len().saturating_sub(NAMES)) {
        (1, _) => format!("{names} retains {retained}\n"),
        (all, 0) => format!("{all} threads with this stack retain {retained}: {names}\n"),
        (all, more) => format!("{all} threads with this stack retain {retained}: {names} and {more} more\n"),
    };
    if first.frames.is_empty() {
        out.push_str("    no stack\n");
    }
    for (number, frame) in first.frames.iter().take(FRAMES).enumerate() {
        let _infallible = writeln!(out, "    at {}", plain(&frame.name));
        let same = group.iter().filter_map(|thread| thread.frames.get(number));
        for (label, count, retained) in locals(same) {
            let of = if count > 1 { format!(", the largest of {}", thousands(count)) } else { String::new() };
            let _infallible = writeln!(out, "       {} {}{of}", bytes(retained), plain(label));
        }
    }
    if first.frames.len() > FRAMES {
        let _infallible = writeln!(out, "    … {} more frames", first.frames.len() - FRAMES);
    }
    out
}

/// What the locals of the same frame of several threads hold: how many there are of each, and what goes with the largest.
/// That of all is not known, as threads may share an object.
fn locals<'t>(frames: impl Iterator<Item = &'t FrameHolding>) -> Vec<(&'t str, u64, u64)> {
    let mut all: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for (label, retained) in frames.flat_map(|frame| &frame.locals) {
        let (count, largest) = all.entry(label).or_default();
        *count += 1;
        *largest = (*largest).max(*retained);
    }
    let mut all: Vec<_> = all.into_iter().map(|(label, (count, largest))| (label, count, largest)).collect();
    all.sort_by(|a, b| b.2.cmp(&a.2).then(a.0.cmp(b.0)));
    all
}

/// Threads with their stacks, those of equal ones together.
pub(crate) fn threads(threads: &[ThreadHolding]) -> View {
    let out = alike(threads).iter().map(|group| stack_lines(group)).collect();
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
    View::new("threads", out, threads.iter().map(value).collect())
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
        let text: String = d.text.chars().take(80).collect();
        format!("{:>10} {}  {text}", thousands(d.arrays), bytes(d.wasted))
    });
    let duplicates = strings.duplicates.iter();
    let duplicates = duplicates.map(|d| json!({"text": d.text, "copies": d.arrays, "wastedBytes": d.wasted}));
    let value = json!({
        "strings": strings.arrays,
        "bytes": strings.bytes,
        "wastedBytes": strings.wasted,
        "lookedAtShare": strings.looked_at,
        "duplicates": duplicates.collect::<Vec<_>>(),
    });
    View::new("strings", table(&head, rows), value)
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
    let table = table(head, rows.iter().take(ROWS).map(row));
    View::new("collections", table, rows.iter().map(value).collect())
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
        let head = paint.bold(&plain(&format!("{} grew by {gained}{always}", growth.owner)));
        let _infallible = writeln!(out, "{head}: {}", steps.join(" → "));
        let _infallible = writeln!(out, "  {}", paint.dim(&plain(&growth.labels.join(" › "))));
        let objects: Vec<String> = growth.objects.iter().map(|n| thousands(*n)).collect();
        if growth.objects.iter().any(|n| *n > 1) {
            let _infallible = writeln!(out, "  {} objects", objects.join(" → "));
        }
        for template in fresh.get(&growth.owner.to_string()).into_iter().flatten().take(FRESH) {
            let _infallible = writeln!(out, "  new keys: {}", plain(template));
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
    fn threads_with_one_stack_are_shown_once() {
        let frame = |name: &str, locals: &[(&str, u64)]| FrameHolding {
            name: name.to_owned(),
            locals: locals.iter().map(|(label, bytes)| ((*label).to_owned(), *bytes)).collect(),
        };
        let thread = |name: &str, retained, frames: &[FrameHolding]| ThreadHolding {
            name: name.to_owned(),
            object: None,
            retained,
            frames: frames.to_vec(),
        };
        let idle = |local| [frame("Pool.take", &[("Task", local)]), frame("Pool.run", &[])];
        let threads: Vec<ThreadHolding> = (0..5)
            .map(|n| thread(&format!("pool-{n}"), 1024, &idle(100 + n)))
            .chain([thread("main", 10, &[frame("Main.main", &[])]), thread("gone", 0, &[])])
            .collect();
        let view = super::threads(&threads);
        let said = "5 threads with this stack retain 5.00 KiB: \"pool-0\", \"pool-1\", \"pool-2\" and 2 more\n    \
                    at Pool.take\n            104 B Task, the largest of 5\n    at Pool.run\n\
                    \"main\" retains 10 B\n    at Main.main\n\"gone\" retains 0 B\n    no stack\n";
        assert_eq!(view.table, said);
        assert_eq!(view.value.as_array().map(Vec::len), Some(7), "JSON tells of each");
    }

    #[test]
    fn objects_told_of_together_have_names_where_classes_do() {
        let others = |objects, largest: &[&str]| Others {
            class: "java.lang.Class".to_owned(),
            largest: largest.iter().map(|name| (*name).to_owned()).collect(),
            objects,
            retained: 1,
        };
        assert_eq!(others_in_words(&others(1200, &[])), "1,200 × java.lang.Class");
        assert_eq!(
            others_in_words(&others(2, &["class A", "class B"])),
            "2 × java.lang.Class: class A, class B"
        );
        assert_eq!(others_in_words(&others(9, &["class A"])), "9 × java.lang.Class: class A, …");
    }

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
