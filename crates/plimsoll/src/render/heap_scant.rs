//! What is said of a heap dump whose graph would not fit into memory.

use std::fmt::Write as _;
use std::path::Path;

use plimsoll_core::recording::API_VERSION;
use plimsoll_core::units;
use plimsoll_read::heap_dump::scant::{Large, Scant};
use serde_json::{Value, json};

use super::heap::{gap, thousands};
use crate::output::Format;

/// Classes shown.
const CLASSES: usize = 10;

/// The answer, in the form asked for.
pub(crate) fn text(file: &Path, said: &Scant, needed: u64, ceiling: u64, format: Format) -> String {
    match format {
        Format::Table => table(file, said, needed, ceiling),
        Format::Json => format!("{:#}\n", value(file, said, needed, ceiling)),
        Format::Jsonl => format!("{}\n", value(file, said, needed, ceiling)),
    }
}

fn table(file: &Path, said: &Scant, needed: u64, ceiling: u64) -> String {
    let mut out =
        format!("{} · Java heap dump, {}\n\n", file.display(), units::bytes(said.summary.bytes as f64));
    let _infallible = writeln!(
        out,
        "WHAT       cannot tell who holds how much: that takes {} of memory, and {} may be used",
        units::bytes(needed as f64),
        units::bytes(ceiling as f64),
    );
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
            writeln!(out, "{label:<11}{bytes:>10} in {:>13} {}", thousands(row.instances), row.class);
    }
    out.push_str(
        "NEXT       read it where there is more memory, or take a class histogram from the live process\n",
    );
    out
}

fn line(large: &Large) -> String {
    let owner = large.held_by.last().map_or("held by nothing that was found", String::as_str);
    format!("{:>13} entries in {} ({})", thousands(large.entries), owner, large.class)
}

fn value(file: &Path, said: &Scant, needed: u64, ceiling: u64) -> Value {
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
        "neededBytes": needed,
        "ceilingBytes": ceiling,
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
