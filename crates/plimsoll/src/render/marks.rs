//! Marks as lines, the newest last, and what an import brought.

use std::path::Path;

use plimsoll_core::mark::Mark;
use plimsoll_core::recording::API_VERSION;
use plimsoll_read::marks::Found;
use serde_json::{Value, json};

use super::overview::cut;
use super::paint::Paint;
use crate::output::plain;

/// Marks of an import that are shown.
const SHOWN: usize = 20;

/// What an import brought.
pub(crate) struct Imported<'a> {
    pub(crate) new: &'a [Mark],
    pub(crate) known: usize,
    pub(crate) found: &'a Found,
    pub(crate) dry: bool,
}

/// One mark.
pub(crate) fn line(mark: &Mark) -> String {
    let at = jiff::Timestamp::from_second(mark.unix_seconds as i64)
        .map_or_else(|_| String::new(), |t| t.strftime("%Y-%m-%d %H:%M:%S").to_string());
    let off = if mark.off { " off" } else { "" };
    format!(
        "{at:<19}  {:<7} {:<40} {}",
        mark.kind.name(),
        cut(&plain(&format!("{}{off}", mark.name)), 40),
        plain(mark.workload.as_deref().unwrap_or("any workload"))
    )
}

fn table(marks: &[Mark], paint: Paint) -> String {
    let mut out = paint.bold(&format!("{:<19}  {:<7} {:<40} {}\n", "WHEN (UTC)", "WHAT", "NAME", "OF"));
    for mark in marks {
        out += line(mark).trim_end();
        out.push('\n');
    }
    out
}

/// The time line.
pub(crate) fn list(marks: &[Mark], more: usize, path: &Path, paint: Paint) -> String {
    if marks.is_empty() {
        return format!(
            "no marks in {} for this time\nNEXT  plimsoll mark import --help says where they can come from\n",
            path.display()
        );
    }
    let more = if more > 0 { format!("and {more} before these (--rows)\n") } else { String::new() };
    format!("{}{}", table(marks, paint), paint.dim(&more))
}

/// What came in.
pub(crate) fn imported(i: &Imported<'_>, path: &Path, paint: Paint) -> String {
    let shapes = if i.found.shapes.is_empty() { "nothing".to_owned() } else { i.found.shapes.join("; ") };
    let done = if i.dry { "found, and none kept".to_owned() } else { format!("new in {}", path.display()) };
    let mut out =
        format!("{} marks {done}; {} were there already; read were {shapes}\n", i.new.len(), i.known);
    if i.found.left_out > 0 {
        out +=
            &format!("{} entries are no change, or do not say which, and were left out\n", i.found.left_out);
    }
    if i.found.environments.len() > 1 {
        let names = plain(&i.found.environments.join(", "));
        out += &paint
            .yellow(&format!("WARNING  several environments are in it: {names} (--environment takes one)\n"));
    }
    if !i.new.is_empty() {
        let before = i.new.len().saturating_sub(SHOWN);
        out.push('\n');
        out += &table(i.new.get(before..).unwrap_or_default(), paint);
        if before > 0 {
            out += &paint.dim(&format!("and {before} before these: plimsoll mark list\n"));
        }
        out += "\nNEXT  plimsoll bisect deploys --prometheus URL says which of them brought a slope\n";
    }
    out
}

/// What was told to others.
pub(crate) fn exported(marks: &[Mark], go: bool, paint: Paint) -> String {
    if marks.is_empty() {
        return "there is nothing that Grafana does not have already\n".to_owned();
    }
    let done = if go { "are annotations now" } else { "would be annotations" };
    format!("{} marks {done}\n\n{}", marks.len(), table(marks, paint))
}

/// The document (`docs/json.md`).
pub(crate) fn document(marks: &[Mark]) -> Value {
    json!({"apiVersion": API_VERSION, "kind": "Marks", "marks": marks})
}

/// The same of an import.
pub(crate) fn imported_document(i: &Imported<'_>) -> Value {
    json!({
        "apiVersion": API_VERSION, "kind": "Marks", "marks": i.new, "known": i.known, "leftOut": i.found.left_out,
        "sources": i.found.shapes, "environments": i.found.environments, "kept": !i.dry,
    })
}
