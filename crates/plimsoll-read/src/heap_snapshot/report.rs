//! What a heap snapshot says: who holds what, how many, and whether anything bounds it.

use plimsoll_core::classify::{Cause, Certainty};
use plimsoll_core::units::{bytes, percent, thousands};
use serde::Serialize;

use super::bound::Bound;
use super::climb::text;
use super::count::{ClassRow, Counts};
use super::names::DETACHED;
use super::suspects::{PILE, Suspect, suspects};
use super::{HeapSnapshot, advice};
use crate::reading::{Context, Finding, Report, Source, Table, Warnings, clip, share};

/// Share of the reachable bytes from which on a place is accused.
const ACCUSED: f64 = 0.2;
/// Bytes from which on a place is accused: what a runtime holds by itself is of this size.
const LARGE: u64 = 1 << 20;
/// Rows of a table.
const ROWS: usize = 12;
/// Share of the whole from which on duplicates, native memory or what is detached are told of.
const NOTABLE: f64 = 0.2;

/// Detached nodes that are told of however small they are: a page that leaks holds ever more of them.
const MANY_DETACHED: u64 = 500;

/// A place where bytes pile up, as it is told.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// The engine's id (`@123`).
    pub id: u32,
    /// What it is.
    pub what: String,
    /// The way from a root.
    pub path: String,
    /// Bytes that go with it.
    pub retained_bytes: u64,
    /// Share of the reachable bytes, 0 to 1.
    pub share: f64,
    /// Entries or elements.
    pub entries: u64,
    /// What they are.
    pub entry: String,
    /// The shape of most keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<String>,
    /// Whether it is named as what is wrong.
    pub accused: bool,
}

/// What a snapshot says.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotReport {
    /// What every reading says.
    #[serde(flatten)]
    pub head: Report,
    /// Nodes.
    pub nodes: u32,
    /// References, weak ones included.
    pub references: u64,
    /// Bytes that the root reaches; none where references are missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reachable_bytes: Option<u64>,
    /// What was counted.
    #[serde(flatten)]
    pub counts: Counts,
    /// Constructors, by their own bytes, most first.
    pub classes: Vec<ClassRow>,
    /// Where bytes pile up, most first.
    pub places: Vec<Place>,
}

impl HeapSnapshot {
    /// What it says.
    pub fn report(&self, context: &Context) -> SnapshotReport {
        let counts = self.counts();
        let knows_holders = !self.missing.edges;
        let found = if knows_holders { suspects(self) } else { Vec::new() };
        let places: Vec<Place> = found.iter().map(place).collect();
        let mut findings: Vec<Finding> = found.iter().filter(|s| is_pile(s)).map(accusation).collect();
        findings.sort_by_key(|finding| !finding.accuses());
        findings
            .extend(found.iter().filter(|s| !is_pile(s) && s.is_programs && s.retained >= LARGE).map(remark));
        findings.extend(self.remarks(&counts, &found, context));
        if !knows_holders {
            findings.insert(0, without_references());
        } else if !findings.iter().any(Finding::accuses) {
            findings.push(if found.iter().any(unexplained) { undecided() } else { calm(self, &places) });
        }
        let reachable = knows_holders.then(|| self.retained.reached_bytes());
        let mut classes = self.histogram(knows_holders);
        classes.truncate(40);
        let head = Report {
            artifact: self.source(),
            summary: summary(self, &counts, &found, reachable),
            findings,
            groups: Vec::new(),
            warnings: self.warnings(),
        };
        let (nodes, references) = (self.nodes(), self.references());
        SnapshotReport { head, nodes, references, reachable_bytes: reachable, counts, classes, places }
    }

    pub(super) fn source(&self) -> Source {
        Source {
            kind: "V8 heap snapshot".to_owned(),
            bytes: self.bytes,
            truncated: self.truncated().map(str::to_owned),
        }
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = Warnings::default();
        if self.missing.names {
            warnings.say("names are missing: objects are told by what names are left, else by kind");
        }
        if self.strings.dropped > 0 {
            warnings.say(format!("{} strings were not kept for want of room", self.strings.dropped));
        }
        warnings.list()
    }

    /// What is large beside the places.
    fn remarks(&self, counts: &Counts, found: &[Suspect], context: &Context) -> Vec<Finding> {
        let total = counts.total_bytes;
        let is_notable = |part| part >= LARGE && share(part, total) >= NOTABLE;
        let mut remarks = Vec::new();
        if is_notable(counts.detached_bytes) || counts.detached_nodes >= MANY_DETACHED {
            remarks.push(detached(counts, found, is_notable(counts.detached_bytes)));
        }
        if is_notable(counts.native_bytes.saturating_sub(counts.detached_bytes)) {
            remarks.push(self.native(counts, found));
        }
        if is_notable(counts.duplicate_string_bytes) {
            let (n, size) = (counts.duplicate_strings, bytes(counts.duplicate_string_bytes as f64));
            let text = format!("{size} are {n} strings that are there already");
            remarks.push(
                Finding::new(Certainty::CannotTell, text)
                    .but("a snapshot keeps the first 1,024 characters of a text: longer ones may differ behind")
                    .hint("keep one copy of each text that repeats"),
            );
        }
        if let Some(rss) = context.rss.filter(|rss| *rss > 2 * total) {
            let text = format!(
                "the snapshot explains {} of {} resident bytes",
                bytes(total as f64),
                bytes(rss as f64)
            );
            remarks.push(Finding::new(Certainty::CannotTell, text).hint("look outside the JavaScript heap"));
        }
        remarks
    }

    /// Memory outside the JavaScript heap: what it is, and who holds the largest part that one place has.
    fn native(&self, counts: &Counts, found: &[Suspect]) -> Finding {
        let all = bytes(counts.native_bytes as f64);
        let text = format!("{all} of {} are native memory", bytes(counts.total_bytes as f64));
        let mut finding = Finding::new(Certainty::CannotTell, text).of(Cause::OffHeap);
        let is_native = |row: &&ClassRow| row.class.starts_with("system / JSArrayBufferData");
        if let Some(row) = self.histogram(true).iter().find(is_native) {
            finding = finding.because(format!(
                "{} are the contents of {} array buffers, as Buffers have them",
                bytes(row.bytes as f64),
                row.objects
            ));
        }
        if let Some(place) = found.iter().find(|place| place.retained >= counts.native_bytes / 2) {
            finding = finding.because(format!(
                "{} of the reachable bytes are held by {}",
                percent(place.share),
                self::text(&place.path)
            ));
        }
        finding.but(
            "texts that the engine keeps outside its heap (external strings) are not counted in a snapshot",
        )
    }
}

/// Nodes that no document has any more, and who keeps the most of them.
fn detached(counts: &Counts, found: &[Suspect], is_much: bool) -> Finding {
    let (n, size) = (counts.detached_nodes, bytes(counts.detached_bytes as f64));
    let text = format!("{n} nodes are detached from their document and kept: {size} go with them");
    let certainty = if is_much { Certainty::Likely } else { Certainty::CannotTell };
    let mut finding = Finding::new(certainty, text).of(Cause::Retention);
    let is_of_them =
        |place: &&Suspect| [&place.label, &place.entry].iter().any(|name| name.starts_with(DETACHED));
    if let Some(place) = found.iter().find(is_of_them) {
        finding = finding.because(format!("{} held by {}", holding(place), self::text(&place.path)));
    }
    if !is_much {
        finding = finding.but("they are a small part of the heap; a page may keep nodes to show them again");
    }
    finding.hint("drop what refers to them from scripts: variables, listeners, caches of elements")
}

/// Whether a place is named as what is wrong: entries have piled up, and nothing hints that they are meant to.
fn accused(suspect: &Suspect) -> bool {
    is_pile(suspect)
        && match suspect.bound {
            // A bound that is known to be none outweighs a round number.
            Some(Bound::Open { .. }) => true,
            Some(_) => false,
            None => !stands_at_a_round_number(suspect),
        }
}

/// Whether entries have piled up in what is the program's, much of the heap, and not bounded by a number that was seen.
fn is_pile(suspect: &Suspect) -> bool {
    unexplained(suspect) && suspect.entries >= PILE
}

/// Whether so much is held at a place that nothing can be said to be clean.
fn unexplained(suspect: &Suspect) -> bool {
    let is_bounded = matches!(suspect.bound, Some(Bound::Seen { .. }));
    suspect.share >= ACCUSED && suspect.retained >= LARGE && suspect.is_programs && !is_bounded
}

/// Whether people would choose the number of entries as a bound.
fn stands_at_a_round_number(suspect: &Suspect) -> bool {
    let n = suspect.entries;
    !suspect.is_chain && (n >= 256 && n.is_power_of_two() || n >= 500 && n.is_multiple_of(500))
}

fn undecided() -> Finding {
    Finding::new(Certainty::CannotTell, "whether what is held at the places above is meant to be")
        .hint("compare two snapshots taken some time apart: plimsoll read diff")
}

fn place(suspect: &Suspect) -> Place {
    Place {
        id: suspect.id,
        what: suspect.label.clone(),
        path: text(&suspect.path),
        retained_bytes: suspect.retained,
        share: suspect.share,
        entries: suspect.entries,
        entry: suspect.entry.clone(),
        keys: suspect.keys.as_ref().and_then(|keys| keys.templates.first()).map(|t| clip(&t.text, 120)),
        accused: accused(suspect),
    }
}

fn holding(suspect: &Suspect) -> String {
    format!(
        "{} @{} holds {} ({} of what is reachable)",
        suspect.label,
        suspect.id,
        bytes(suspect.retained as f64),
        percent(suspect.share)
    )
}

fn accusation(suspect: &Suspect) -> Finding {
    let each = suspect.entries_retained / suspect.entries.max(1);
    let text = format!("{} in {} × {}", holding(suspect), suspect.entries, suspect.entry);
    let certainty = if accused(suspect) { Certainty::Likely } else { Certainty::CannotTell };
    let mut finding = Finding::new(certainty, text)
        .of(Cause::Retention)
        .because(format!("held by {}", self::text(&suspect.path)))
        .because(format!("each entry retains {} on average", bytes(each as f64)));
    if suspect.is_chain {
        finding = finding.because("they are a chain: each holds the next");
    }
    if let Some(detail) = &suspect.detail {
        finding = finding.because(detail.clone());
    }
    if let Some(keys) = &suspect.keys {
        finding = finding.because(shape(keys));
    }
    if let Some(named) = named_like_a_cache(suspect) {
        finding = finding
            .but(format!("{named} is named like a cache: one that is full and stays so looks the same"));
    }
    finding = match &suspect.bound {
        Some(Bound::Open { field, value }) => finding.because(format!("{field} is {value}: no bound")),
        Some(Bound::Named(field)) => finding.but(format!(
            "{field} seems to bound it; the snapshot does not tell to how many (with exposeNumericValues it would)"
        )),
        Some(Bound::Seen { .. }) | None => finding,
    };
    if stands_at_a_round_number(suspect) {
        finding = finding.but(format!(
            "exactly {} entries, a round number: a bound in the code may keep it there",
            suspect.entries
        ));
    }
    finding
        .but("one snapshot does not show growth: what is meant to be this large looks the same")
        .hint(format!("{}; then compare two snapshots: plimsoll read diff", advice::advice(suspect)))
}

/// A step of the way that is named as things are that stay full.
fn named_like_a_cache(suspect: &Suspect) -> Option<&str> {
    const NAMES: [&str; 6] = ["cache", "lru", "recent", "ring", "pool", "memo"];
    let is_one = |word: &str| {
        let word = word.to_ascii_lowercase();
        NAMES
            .iter()
            .any(|name| word == *name || word.ends_with(name) || name.len() > 4 && word.contains(name))
    };
    let steps = suspect.path.iter().rev().take(3);
    steps.flat_map(|step| [step.via.as_str(), step.label.as_str()]).find(|word| is_one(word))
}

/// What the keys are made from.
fn shape(keys: &plimsoll_core::keys::KeyReport) -> String {
    let first = keys.templates.first().map(|t| clip(&t.text, 120)).unwrap_or_default();
    let carrier = keys.carrier.as_ref().map(|c| {
        format!("; {} makes them so many: without it {} would be left", c.in_words(), c.normal_keys)
    });
    format!("keys like {first} ({} different of {}){}", keys.distinct, keys.keys, carrier.unwrap_or_default())
}

/// A large place where nothing piles up without a bound, and why that is so.
fn remark(suspect: &Suspect) -> Finding {
    let held = format!("held by {}", text(&suspect.path));
    if let Some(bounded) = bounded(suspect) {
        let text = format!("{}, {bounded}", holding(suspect));
        return Finding::new(Certainty::Likely, text).of(Cause::None).because(held).but(
            "a bound that is too high for the memory limit kills as a leak does: bytes per entry × the bound",
        );
    }
    let mut finding = Finding::new(Certainty::CannotTell, holding(suspect)).because(held);
    if let Some(Bound::Named(field)) = &suspect.bound {
        finding = finding.but(format!("{field} seems to bound it; the snapshot does not tell to how many"));
    } else if suspect.entries < PILE {
        finding = finding.but(format!("nothing piles up in it: {} entries", suspect.entries));
    }
    finding
}

/// `bounded: 5,000 of 5,000 (Recent.max)`, where the bound was seen.
fn bounded(suspect: &Suspect) -> Option<String> {
    let Some(Bound::Seen { field, most }) = &suspect.bound else { return None };
    Some(format!("bounded: {} of {} ({field})", thousands(suspect.entries), thousands(*most)))
}

fn calm(heap: &HeapSnapshot, places: &[Place]) -> Finding {
    let most = places.first().map_or(0.0, |place| place.share);
    let text = if most > 0.0 {
        format!("nothing of the program piles up without a bound; the largest place holds {}", percent(most))
    } else {
        "nothing piles up: no place holds a tenth of what is reachable".to_owned()
    };
    let reachable = bytes(heap.retained.reached_bytes() as f64);
    Finding::new(Certainty::Likely, text)
        .of(Cause::None)
        .because(format!("{reachable} are reachable in {} nodes", heap.nodes()))
        .but("a leak that has only begun looks like this: compare snapshots taken some time apart")
        .but("texts and memory outside the JavaScript heap are not counted in a snapshot: --rss tells if they matter")
}

fn without_references() -> Finding {
    Finding::new(Certainty::CannotTell, "who holds what cannot be told: references are missing")
        .because("a snapshot has its references behind its nodes, and its names last; this one ends before")
        .hint("take it again with room on the disk and time to finish; near the heap's limit it may not")
}

fn summary(heap: &HeapSnapshot, counts: &Counts, found: &[Suspect], reachable: Option<u64>) -> String {
    let total = bytes(counts.total_bytes as f64);
    let Some(reachable) = reachable else {
        return format!("{total} in {} nodes; who holds them is not in the file", heap.nodes());
    };
    match found.iter().find(|s| accused(s)) {
        Some(suspect) => format!(
            "{} in {} × {}, of {} reachable ({total} in all)",
            holding(suspect).split(" of what").next().unwrap_or_default().to_owned() + ")",
            suspect.entries,
            suspect.entry,
            bytes(reachable as f64)
        ),
        None => match found.iter().find(|s| unexplained(s)) {
            Some(suspect) => {
                format!("{} reachable of {total}; {}", bytes(reachable as f64), holding(suspect))
            }
            None if counts.detached_bytes >= LARGE
                && share(counts.detached_bytes, counts.total_bytes) >= NOTABLE =>
            {
                let gone = bytes(counts.detached_bytes as f64);
                format!("{} reachable of {total}; {gone} go with detached nodes", bytes(reachable as f64))
            }
            None => {
                format!("{} reachable of {total}; nothing piles up without a bound", bytes(reachable as f64))
            }
        },
    }
}

impl SnapshotReport {
    /// Tables of the screen.
    pub fn tables(&self) -> Vec<Table> {
        let rows = self.places.iter().map(|place| {
            vec![
                bytes(place.retained_bytes as f64),
                percent(place.share),
                place.entries.to_string(),
                format!("{} @{}", place.what, place.id),
                place.entry.clone(),
            ]
        });
        let places = Table {
            title: "Where bytes pile up".to_owned(),
            head: vec!["#retained", "#share", "#entries", "what", "entries are"],
            rows: rows.collect(),
        };
        let classes = table("Constructors, by their own bytes", &self.classes, ROWS);
        [places, classes].into_iter().filter(|table| !table.rows.is_empty()).collect()
    }
}

/// Constructors as a table.
pub fn table(title: &str, classes: &[ClassRow], most: usize) -> Table {
    let rows = classes.iter().take(most);
    let rows = rows.map(|row| vec![bytes(row.bytes as f64), row.objects.to_string(), row.class.clone()]);
    Table { title: title.to_owned(), head: vec!["#bytes", "#objects", "constructor"], rows: rows.collect() }
}
