//! The screen of a heap dump: who holds it, how many, what bounds it, what to do.

use std::fmt::Write as _;

use plimsoll_core::classify::{Cause, Certainty};
use plimsoll_core::keys::KeyReport;
use plimsoll_core::recording::API_VERSION;
use plimsoll_core::units::{self, thousands};
use plimsoll_host::spill::Spilled;
use plimsoll_read::heap_dump::report::{Report, Suspect};
use plimsoll_read::heap_dump::{HeapDump, Owner, Path, Roots, Step};
use plimsoll_read::hprof::records::{Ending, Summary};
use plimsoll_read::reading::{self, Finding};
use serde_json::{Value, json};

use super::heap_views::View;
use super::paint::Paint;
use crate::output::plain;

/// Width of the column of labels.
const LABEL: usize = 11;
/// Share of resident memory from which on the heap explains the process.
const EXPLAINS: f64 = 0.5;
/// Templates of keys that are shown.
const TEMPLATES: usize = 5;
/// Steps of a path that are shown.
const STEPS: usize = 8;

/// Said of a dump without roots.
const GUESSED: &str = "no roots in what is left: classes, and what nobody refers to, stand in for them";

/// What the caller knows beside the dump.
pub(crate) struct Context {
    /// Name of the file.
    pub(crate) file: String,
    /// Resident memory of the process, bytes.
    pub(crate) rss: Option<f64>,
    /// What lay on a disk while it was read.
    pub(crate) spilled: Option<Spilled>,
    /// Whether keys may be shown as they are.
    pub(crate) raw_keys: bool,
}

/// The screen as text, with a line end.
pub(crate) fn screen(heap: &HeapDump, said: &Report, context: &Context, paint: Paint) -> String {
    let mut s = Screen { out: String::new(), paint };
    s.title(heap, context);
    s.banner(heap);
    s.what(heap, said, context.raw_keys);
    s.resident(heap, context);
    s.classes(said);
    s.next(said);
    s.warnings(heap);
    s.out
}

struct Screen {
    out: String,
    paint: Paint,
}

impl Screen {
    fn row(&mut self, label: &str, text: &str) {
        let label = self.paint.bold(&format!("{label:<LABEL$}"));
        let line = format!("{label}{text}");
        self.out.push_str(line.trim_end());
        self.out.push('\n');
    }

    fn more(&mut self, text: &str) {
        self.row("", text);
    }

    fn title(&mut self, heap: &HeapDump, context: &Context) {
        let name = self.paint.bold(&context.file);
        let read = units::bytes(heap.summary.bytes as f64);
        let _infallible = writeln!(self.out, "{name} · Java heap dump, {read}");
        let line = about(heap);
        let line = self.paint.dim(&line);
        let _infallible = writeln!(self.out, "{line}");
        let line = self.paint.dim(&sizes(heap));
        let _infallible = writeln!(self.out, "{line}");
        if let Some(Spilled { bytes, folder }) = &context.spilled {
            let (bytes, folder) = (units::bytes(*bytes as f64), folder.display());
            let line = format!("memory did not suffice: {bytes} lay in {folder} meanwhile, which is slower");
            let _infallible = writeln!(self.out, "{}", self.paint.dim(&line));
        }
        self.out.push('\n');
    }

    /// What is missing of a cut or damaged dump comes before anything else.
    fn banner(&mut self, heap: &HeapDump) {
        if let Some(what) = heap.summary.truncation() {
            let text = self.paint.red(&format!("the {what}"));
            self.row(gap(&heap.summary), &text);
            let all = (heap.references + heap.dangling).max(1);
            let gone = units::percent(heap.dangling as f64 / all as f64);
            self.more(&format!(
                "{gone} of the references lead to objects that are gone: sizes are those of the rest"
            ));
        }
        if let Some(what) = contradicts(heap) {
            let text = self.paint.red(&what);
            self.row("DAMAGED", &text);
        }
        if heap.roots == Roots::Guessed {
            let text = self.paint.yellow(GUESSED);
            self.row("GUESSED", &text);
        }
    }

    fn what(&mut self, heap: &HeapDump, said: &Report, raw_keys: bool) {
        let accused: Vec<&Suspect> = said.suspects.iter().filter(|s| s.accused).collect();
        if accused.is_empty() {
            self.clean(heap, said);
        }
        for (number, suspect) in accused.iter().enumerate() {
            self.suspect(if number == 0 { "WHAT" } else { "ALSO" }, heap, suspect);
            if let Some(keys) = &suspect.keys {
                self.keys(suspect, keys, raw_keys);
            }
        }
        let rest: Vec<&Suspect> = said.suspects.iter().filter(|s| !s.accused).collect();
        for (number, suspect) in rest.iter().enumerate() {
            self.beside(if number == 0 { "BESIDE" } else { "" }, suspect);
        }
    }

    fn clean(&mut self, heap: &HeapDump, said: &Report) {
        if cannot_tell(heap, said) {
            let text = "cannot tell: what holds the objects below is not in what is left of the dump";
            let text = self.paint.yellow(text);
            self.row("WHAT", &text);
            return;
        }
        let largest = said.suspects.first().map_or(0.0, |s| s.share);
        let text = if largest > 0.0 {
            format!(
                "nothing to accuse: nothing without a bound holds {} {}",
                units::percent(0.2),
                of_what(heap)
            )
        } else {
            format!("nothing to accuse: no object, and no class of objects, holds 10 % {}", of_what(heap))
        };
        let text = if heap.is_whole() {
            self.paint.green(&text)
        } else {
            self.paint.yellow(&format!("in what is left, {text}"))
        };
        self.row("WHAT", &text);
    }

    /// Whether the heap explains the process.
    fn resident(&mut self, heap: &HeapDump, context: &Context) {
        let Some(rss) = context.rss else { return };
        let share = heap_share(heap, rss);
        let verdict = if share < EXPLAINS {
            "stop reading it: look at native memory (NMT, smaps)"
        } else {
            "the heap is most of the process"
        };
        let text = format!(
            "the live heap is {} of the resident {}: {verdict}",
            units::percent(share),
            units::bytes(rss)
        );
        let text = if share < EXPLAINS { self.paint.yellow(&text) } else { text };
        self.row("RSS", &text);
    }

    fn suspect(&mut self, label: &str, heap: &HeapDump, suspect: &Suspect) {
        let head = headline(heap, suspect);
        let head = self.paint.red(&head);
        self.row(label, &head);
        self.more(&content(suspect));
        for line in path_lines(&suspect.path).into_iter().skip(1) {
            self.more(&self.paint.dim(&line));
        }
    }

    /// What the keys are made from, and which part of them makes them so many.
    fn keys(&mut self, suspect: &Suspect, keys: &KeyReport, raw_keys: bool) {
        for (number, template) in keys.templates.iter().take(TEMPLATES).enumerate() {
            let share = template.count as f64 / keys.keys.max(1) as f64;
            let (all, about) = scaled(suspect, keys, template.count);
            let text = format!(
                "{:>6} {about}{:>11}  {}",
                units::percent(share),
                thousands(all),
                plain(&template.text)
            );
            self.row(if number == 0 { "KEYS" } else { "" }, &text);
            if raw_keys {
                self.more(&format!("{:>20}such as {}", "", plain(&template.example)));
            }
        }
        let more = keys.templates.len().saturating_sub(TEMPLATES);
        if more > 0 {
            let shown = keys.templates.iter().take(TEMPLATES).map(|t| t.count).sum::<u64>();
            let share = keys.keys.saturating_sub(shown) as f64 / keys.keys.max(1) as f64;
            self.more(&format!("{:>6}  {more} more templates (all with -o json)", units::percent(share)));
        }
        if let Some(carrier) = &keys.carrier {
            let text = format!(
                "{} makes them so many: as good as every key has its own, in {} of them",
                plain(&carrier.in_words()),
                units::percent(carrier.share)
            );
            let text = self.paint.yellow(&text);
            self.more(&text);
        }
    }

    fn beside(&mut self, label: &str, suspect: &Suspect) {
        let bound = suspect.collection.as_ref().and_then(|c| c.bound.as_ref());
        let why = bound.map_or_else(
            || if suspect.lost { "its table is gone".to_owned() } else { "no bound is known".to_owned() },
            |b| format!("bounded: {} = {}", b.field, thousands(b.entries)),
        );
        self.row(
            label,
            &format!(
                "{} retains {}, {}: {}; {why}",
                holder(suspect),
                units::bytes(suspect.retained as f64),
                units::percent(suspect.share),
                content(suspect)
            ),
        );
    }

    fn classes(&mut self, said: &Report) {
        for (number, row) in said.classes.iter().take(4).enumerate() {
            let text = format!(
                "{:>12} in {:>11} {}",
                units::bytes(row.bytes as f64),
                thousands(row.objects),
                plain(&row.class)
            );
            self.row(if number == 0 { "CLASSES" } else { "" }, &text);
        }
    }

    fn next(&mut self, said: &Report) {
        let Some(suspect) = said.suspects.iter().find(|s| s.accused) else { return };
        let field = &suspect.path.owner;
        let text = match field {
            Owner::Static(..) => {
                format!("bound {}: a size or an age at which entries go", plain(&field.to_string()))
            }
            Owner::Thread(..) => "see what this thread works on: plimsoll read --threads".to_owned(),
            _ => "follow the path above to the code that fills it".to_owned(),
        };
        self.row("NEXT", &text);
        if let Some(setting) = suspect.setting() {
            self.more(&format!("the setting for it: {setting}"));
        }
        let keys = suspect.keys.as_ref().filter(|keys| keys.carrier.is_some());
        if let Some((keys, template)) = keys.and_then(|keys| Some((keys, keys.templates.first()?))) {
            let left = keys.carrier.as_ref().map_or(0, |carrier| carrier.normal_keys);
            let text = format!(
                "and key it by {} and the like: {} keys would be left",
                plain(&template.normal),
                thousands(left)
            );
            self.more(&text);
        }
    }

    fn warnings(&mut self, heap: &HeapDump) {
        for (number, warning) in heap.warnings().iter().take(3).enumerate() {
            self.row(if number == 0 { "WARNING" } else { "" }, &plain(warning));
        }
    }
}

/// What is wrong with a dump, a sentence each.
pub(super) fn gaps(heap: &HeapDump) -> Vec<String> {
    let cut = heap.summary.truncation().map(|what| format!("the {what}"));
    let guessed = (heap.roots == Roots::Guessed).then(|| GUESSED.to_owned());
    cut.into_iter().chain(contradicts(heap)).chain(guessed).collect()
}

/// What is missing of a dump, in one word.
pub(super) fn gap(summary: &Summary) -> &'static str {
    if matches!(summary.ending, Ending::Complete) { "DAMAGED" } else { "CUT" }
}

/// What is wrong with a dump that is there to its end.
fn contradicts(heap: &HeapDump) -> Option<String> {
    let count = heap.contradictions();
    (count > 0).then(|| format!("the dump contradicts itself at {}: see the warnings", places(count)))
}

fn places(count: u64) -> String {
    if count == 1 { "one place".to_owned() } else { format!("{} places", thousands(count)) }
}

/// Whether what is missing may hold what would be accused.
fn cannot_tell(heap: &HeapDump, said: &Report) -> bool {
    let without_owner = said.suspects.iter().any(|s| matches!(s.path.owner, Owner::Unknown(_)));
    !heap.summary.is_complete() && (!heap.is_nearly_whole() || without_owner)
}

/// The live heap as a share of resident memory.
fn heap_share(heap: &HeapDump, rss: f64) -> f64 {
    heap.retained().reached_bytes() as f64 / rss.max(1.0)
}

/// Where the sizes came from, in words.
fn sizes(heap: &HeapDump) -> String {
    let report = heap.size_report;
    if report.measured == 0.0 {
        return "sizes by the layout formula".to_owned();
    }
    let measured = format!("sizes measured for {} of the objects", units::percent(report.measured));
    if report.corrected < 0.001 {
        format!("{measured}; the layout formula agrees")
    } else {
        format!("{measured}; the layout formula would be wrong for {}", units::percent(report.corrected))
    }
}

/// How much there is, in one line.
pub(crate) fn about(heap: &HeapDump) -> String {
    format!(
        "{} objects, {} reachable from {}; {} not reachable",
        thousands(u64::from(heap.objects())),
        units::bytes(heap.retained().reached_bytes() as f64),
        match heap.roots {
            Roots::Told { .. } => "the roots",
            Roots::Guessed => "guessed roots",
        },
        units::bytes(heap.retained().unreached_bytes() as f64),
    )
}

/// Who holds how much.
pub(crate) fn headline(heap: &HeapDump, suspect: &Suspect) -> String {
    let name = holder(suspect);
    if suspect.lost {
        return format!("{name}, likely: its table is in the part that is gone");
    }
    let (bytes, share) = (units::bytes(suspect.retained as f64), units::percent(suspect.share));
    format!("{name} retains {bytes}, {share} {}", of_what(heap))
}

/// What a share is one of: nobody knows how large a heap was whose dump is cut or damaged.
pub(crate) fn of_what(heap: &HeapDump) -> &'static str {
    if heap.is_whole() { "of the heap" } else { "of what was read" }
}

/// The owner, and the field that refers to the suspect itself where that is another one.
fn holder(suspect: &Suspect) -> String {
    let owner = suspect.path.owner.to_string();
    let field = suspect.path.steps.iter().rev().map(|step| step.via.as_str()).find(|via| via.contains('.'));
    plain(&match field {
        Some(field) if field != owner => {
            format!("{owner} → {}", field.rsplit('.').next().unwrap_or(field))
        }
        _ => owner,
    })
}

/// Keys of all entries, from those of a sample: the number, and a sign when it is scaled.
fn scaled(suspect: &Suspect, keys: &KeyReport, count: u64) -> (u64, &'static str) {
    let entries = suspect.entries().max(keys.keys);
    if entries == keys.keys {
        return (count, " ");
    }
    ((count as f64 * entries as f64 / keys.keys.max(1) as f64).round() as u64, "~")
}

/// What piles up, in one line.
pub(crate) fn content(suspect: &Suspect) -> String {
    let mut parts = vec![suspect.label.clone()];
    if suspect.count > 1 {
        parts = vec![format!("{} × {}, each held by several", thousands(suspect.count), suspect.label)];
    }
    if suspect.is_chain {
        parts.push("a chain, each holding the next".to_owned());
    }
    let entries = suspect.entries();
    if entries > 1 && suspect.count == 1 {
        let each = suspect.retained as f64 / entries as f64;
        parts.push(format!("{} entries of {} each", thousands(entries), units::bytes(each)));
        if !suspect.unit_class.is_empty() {
            parts.push(suspect.unit_class.clone());
        }
    }
    let capacity = suspect.collection.as_ref().and_then(|c| c.capacity).filter(|c| *c > 0);
    if let Some(capacity) = capacity {
        parts.push(format!("table {} full", units::percent(entries as f64 / capacity as f64)));
    }
    plain(&parts.join(" · "))
}

/// The way from an owner, a line for each step; a long one without its middle.
pub(crate) fn path_lines(path: &Path) -> Vec<String> {
    let line = |step: &Step| match step.via.as_str() {
        "" => plain(&step.label),
        via => plain(&format!("{via} → {}", step.label)),
    };
    let steps = &path.steps;
    if steps.len() <= STEPS {
        return steps.iter().map(line).collect();
    }
    let (first, last) = (STEPS / 2, steps.len() - STEPS / 2);
    let mut lines: Vec<String> = steps.iter().take(first).map(line).collect();
    lines.push(format!("… {} more", last - first));
    lines.extend(steps.iter().skip(last).map(line));
    lines
}

/// What the dump concludes, as every reading does.
pub(crate) fn report(heap: &HeapDump, said: &Report, context: &Context) -> reading::Report {
    let findings: Vec<Finding> =
        said.suspects.iter().filter(|s| s.accused).map(|s| finding(heap, s)).collect();
    let native = context.rss.filter(|rss| heap_share(heap, *rss) < EXPLAINS).map(|rss| {
        let share = units::percent(heap_share(heap, rss));
        Finding::new(
            Certainty::Likely,
            format!("the live heap is {share} of the resident {}", units::bytes(rss)),
        )
        .of(Cause::OffHeap)
        .but("garbage that waits for a collection is resident, and not in the live heap")
        .hint("stop reading the heap: look at native memory (NMT, smaps)")
    });
    let summary = match findings.first() {
        Some(first) => first.text.clone(),
        None if heap.is_whole() => {
            "the heap has nothing to accuse: nothing without a bound is large".to_owned()
        }
        None if !cannot_tell(heap, said) => {
            "what is left of the heap has nothing to accuse: nothing without a bound is large".to_owned()
        }
        None => "cannot tell: what holds the objects is not in what is left of the dump".to_owned(),
    };
    reading::Report {
        artifact: reading::Source {
            kind: "Java heap dump".to_owned(),
            bytes: heap.summary.bytes,
            truncated: (!heap.is_whole()).then(|| {
                let cut = heap.summary.truncation().map(|t| format!("the {t}"));
                cut.or_else(|| contradicts(heap)).unwrap_or_else(|| "no roots are left".to_owned())
            }),
        },
        summary,
        findings: findings.into_iter().chain(native).collect(),
        groups: Vec::new(),
        warnings: heap.warnings(),
    }
}

fn finding(heap: &HeapDump, s: &Suspect) -> Finding {
    let mut f = Finding::new(Certainty::Likely, headline(heap, s))
        .of(Cause::Retention)
        .because(content(s))
        .but("one dump shows no growth: a cache that is meant to be this large looks the same");
    if let Some(carrier) = s.keys.as_ref().and_then(|k| k.carrier.as_ref()) {
        let share = units::percent(carrier.share);
        f = f.because(format!("`{}` makes its keys so many, in {share} of them", carrier.slot));
    }
    if s.lost {
        f = f.but("its table is in the part of the dump that is gone");
    }
    f.hint("bound it, by number and by time, where it is filled")
}

/// The `Reading` document.
pub(crate) fn json(heap: &HeapDump, said: &Report, context: &Context, views: &[View]) -> Value {
    let mut document = reading(heap, said, context);
    for view in views {
        if let Some(document) = document.as_object_mut() {
            let own = (view.name, view.value.clone());
            let all = std::iter::once(own).chain(view.beside.clone());
            document.extend(all.map(|(name, value)| (name.to_owned(), value)));
        }
    }
    document
}

fn reading(heap: &HeapDump, said: &Report, context: &Context) -> Value {
    let head = report(heap, said, context);
    json!({
        "summary": head.summary,
        "findings": head.findings,
        "apiVersion": API_VERSION,
        "kind": "Reading",
        "artifact": {
            "kind": "hprof",
            "file": context.file,
            "bytes": heap.summary.bytes,
            "truncated": !heap.is_whole(),
            "truncatedWhy": head.artifact.truncated,
        },
        "objects": heap.objects(),
        "sizes": {"measuredShare": heap.size_report.measured, "correctedShare": heap.size_report.corrected},
        "residentBytes": context.rss,
        "heapShareOfResident": context.rss.map(|rss| heap_share(heap, rss)),
        "reachableBytes": heap.retained().reached_bytes(),
        "unreachableBytes": heap.retained().unreached_bytes(),
        "spilled": context.spilled.as_ref().map(|s| json!({"bytes": s.bytes, "folder": s.folder.display().to_string()})),
        "suspects": said.suspects.iter().map(|s| suspect(s, context.raw_keys)).collect::<Vec<_>>(),
        "classes": said.classes.iter().map(|c| json!({"class": c.class, "objects": c.objects, "bytes": c.bytes})).collect::<Vec<_>>(),
        "warnings": heap.warnings(),
    })
}

fn suspect(s: &Suspect, raw_keys: bool) -> Value {
    let path = s.path.steps.iter().map(|step| json!({"label": step.label, "via": step.via}));
    json!({
        "owner": s.path.owner.to_string(),
        "accused": s.accused,
        "class": s.label,
        "objects": s.count,
        "retainedBytes": s.retained,
        "share": s.share,
        "entries": s.entries(),
        "capacity": s.collection.as_ref().and_then(|c| c.capacity),
        "bound": s.collection.as_ref().and_then(|c| c.bound.as_ref()).map(|b| json!({"field": b.field, "entries": b.entries})),
        "unitClass": s.unit_class,
        "setting": s.setting(),
        "keys": s.keys.as_ref().map(|keys| key_value(s, keys, raw_keys)),
        "path": path.collect::<Vec<_>>(),
    })
}

fn key_value(suspect: &Suspect, keys: &KeyReport, raw_keys: bool) -> Value {
    let templates = keys.templates.iter().map(|t| {
        let slots = t
            .slots
            .iter()
            .map(|slot| json!({"name": slot.name, "kind": slot.kind.name(), "distinct": slot.distinct}));
        let mut template = json!({
            "template": t.text,
            "count": scaled(suspect, keys, t.count).0,
            "share": t.count as f64 / keys.keys.max(1) as f64,
            "normal": t.normal,
            "slots": slots.collect::<Vec<_>>(),
        });
        if let Some(template) = template.as_object_mut().filter(|_| raw_keys) {
            template.insert("example".to_owned(), t.example.clone().into());
        }
        template
    });
    let carrier = keys.carrier.as_ref();
    json!({
        "sampled": keys.keys,
        "templates": templates.collect::<Vec<_>>(),
        "slot": carrier.map(|c| &c.slot),
        "slotShare": carrier.map(|c| c.share),
        "normalKeys": carrier.map(|c| c.normal_keys),
    })
}
