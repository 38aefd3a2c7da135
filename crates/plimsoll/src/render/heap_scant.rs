//! What is said of a heap dump whose graph would not fit into memory.

use std::fmt::Write as _;
use std::path::Path;

use plimsoll_core::recording::API_VERSION;
use plimsoll_core::units::{self, thousands};
use plimsoll_read::heap_dump::scant::{Large, Scant};
use serde_json::{Value, json};

use super::heap::gap;
use crate::output::{Format, plain};

/// Classes shown.
const CLASSES: usize = 10;

/// What the graph wants, and why it cannot have it.
pub(crate) struct Want {
    pub(crate) needed: u64,
    pub(crate) ceiling: u64,
    /// Why a disk does not take what is beyond.
    pub(crate) unspilled: Option<String>,
}

/// The answer, in the form asked for.
pub(crate) fn text(file: &Path, said: &Scant, want: &Want, format: Format) -> String {
    match format {
        Format::Table => table(file, said, want),
        Format::Json => format!("{:#}\n", value(file, said, want)),
        Format::Jsonl => format!("{}\n", value(file, said, want)),
    }
}

fn table(file: &Path, said: &Scant, want: &Want) -> String {
    let mut out =
        format!("{} · Java heap dump, {}\n\n", file.display(), units::bytes(said.summary.bytes as f64));
    let _infallible = writeln!(
        out,
        "WHAT       cannot tell who holds how much: that takes {} of memory or more, and {} may be used",
        units::bytes(want.needed as f64),
        units::bytes(want.ceiling as f64),
    );
    if let Some(why) = &want.unspilled {
        let _infallible = writeln!(out, "           and a disk cannot take the rest: {why}");
    }
    out.push_str(
        "           below is what little memory allows: no retained sizes, garbage is counted too\n",
    );
    if let Some(cut) = said.summary.truncation() {
        let _infallible = writeln!(out, "{:<11}the {cut}", gap(&said.summary));
    }
    for (number, large) in said.largest.iter().enumerate() {
        let label = if number == 0 { "LARGEST" } else { "" };
        let _infallible = writeln!(out, "{label:<11}{}", line(large));
    }
    for (number, row) in said.histogram.iter().take(CLASSES).enumerate() {
        let label = if number == 0 { "CLASSES" } else { "" };
        let bytes = units::bytes(row.bytes as f64);
        let _infallible =
            writeln!(out, "{label:<11}{bytes:>10} in {:>13} {}", thousands(row.instances), plain(&row.class));
    }
    out.push_str(
        "NEXT       give it more memory (--memory), or take a class histogram from the live process\n",
    );
    out
}

fn line(large: &Large) -> String {
    let owner = large.held_by.last().map_or("held by nothing that was found", String::as_str);
    plain(&format!("{:>13} entries in {} ({})", thousands(large.entries), owner, large.class))
}

fn value(file: &Path, said: &Scant, want: &Want) -> Value {
    let largest = said.largest.iter().map(|large| {
        json!({"owner": large.held_by.last(), "class": large.class, "entries": large.entries, "heldBy": large.held_by})
    });
    let classes = said.histogram.iter();
    let classes =
        classes.map(|row| json!({"class": row.class, "objects": row.instances, "bytes": row.bytes}));
    json!({
        "apiVersion": API_VERSION,
        "kind": "Reading",
        "artifact": {
            "kind": "hprof",
            "file": file.display().to_string(),
            "bytes": said.summary.bytes,
            "truncated": !said.summary.is_complete(),
        },
        "suspects": null,
        "suspectsUnknown": "the graph does not fit into memory",
        "neededBytes": want.needed,
        "ceilingBytes": want.ceiling,
        "notSpilled": want.unspilled,
        "largestCollections": largest.collect::<Vec<_>>(),
        "histogram": classes.collect::<Vec<_>>(),
    })
}

/// The document of a histogram alone.
pub(crate) fn histogram_value(file: &Path, is_whole: bool, histogram: &Value) -> Value {
    json!({
        "apiVersion": API_VERSION,
        "kind": "Reading",
        "artifact": {"kind": "hprof", "file": file.display().to_string(), "truncated": !is_whole},
        "histogram": histogram,
    })
}
