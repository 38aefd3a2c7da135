//! The screen of a reading: what it proves, what speaks for and against it, who is behind it, what to do next.

use std::path::Path;

use plimsoll_core::classify::{Cause, Certainty};
use plimsoll_core::recording::API_VERSION;
use plimsoll_core::units;
use plimsoll_read::formats::Reading;
use plimsoll_read::reading::{Finding, Group, Report, Table};
use serde_json::{Value, json};

use super::paint::Paint;

/// Width of the column of labels.
const LABEL: usize = 11;
/// Columns of a line; longer text goes on in the next.
const WIDTH: usize = 110;
/// Findings, groups, frames and warnings that are shown; JSON has all.
const FINDINGS: usize = 6;
const GROUPS: usize = 10;
const FRAMES: usize = 6;
const WARNINGS: usize = 6;
/// Characters of a cell.
const CELL: usize = 60;

/// The screen as text, with a line end.
pub(crate) fn screen(file: &Path, reading: &Reading, paint: Paint) -> String {
    let mut s = Screen { out: String::new(), paint };
    let head = &reading.head;
    let name = paint.bold(&file.display().to_string());
    let size = Some(head.artifact.bytes).filter(|b| *b > 0);
    let size = size.map_or_else(String::new, |b| format!(", {}", units::bytes(b as f64)));
    s.line(&format!("{name} · {}{size}", head.artifact.kind));
    s.line("");
    s.body(reading);
    s.out
}

/// The screen of several artifacts: what they say together, and each by itself.
pub(crate) fn bundle(title: &str, together: &Report, parts: &[(&str, &Report)], paint: Paint) -> String {
    let mut s = Screen { out: String::new(), paint };
    let bytes = units::bytes(together.artifact.bytes as f64);
    s.line(&format!("{} · {}, {bytes}", paint.bold(title), together.artifact.kind));
    s.line("");
    s.conclusion(together);
    s.line("");
    s.line(&paint.bold("ARTIFACTS"));
    for (name, report) in parts {
        s.line(&format!("{name} · {}", paint.dim(&report.artifact.kind)));
        s.row("", &report.summary, |l| colour(report, paint, l));
    }
    s.notes(&together.warnings);
    s.out
}

/// A screen while it is written.
pub(crate) struct Screen {
    pub(crate) out: String,
    pub(crate) paint: Paint,
}

impl Screen {
    pub(crate) fn line(&mut self, text: &str) {
        self.out.push_str(text.trim_end());
        self.out.push('\n');
    }

    /// Text beside a label, painted line by line.
    pub(crate) fn row(&mut self, label: &str, text: &str, paint: impl Fn(&str) -> String) {
        let mut label = self.paint.bold(&format!("{label:<LABEL$}"));
        for line in wrap(text, WIDTH - LABEL) {
            let line = format!("{label}{}", paint(&line));
            self.line(&line);
            label = " ".repeat(LABEL);
        }
    }

    /// Everything but the title.
    fn body(&mut self, reading: &Reading) {
        self.conclusion(&reading.head);
        self.groups(&reading.head.groups);
        reading.tables.iter().for_each(|t| self.table(t));
        self.notes(&reading.head.warnings);
    }

    /// What it comes to, and what speaks for and against it.
    fn conclusion(&mut self, head: &Report) {
        let paint = self.paint;
        if let Some(why) = &head.artifact.truncated {
            self.row("CUT", why, |l| paint.red(l));
        }
        self.row("WHAT", &head.summary, |l| colour(head, paint, l));
        head.findings.iter().take(FINDINGS).for_each(|f| self.finding(f));
    }

    fn finding(&mut self, f: &Finding) {
        let paint = self.paint;
        let label = match (f.certainty, f.cause) {
            (Certainty::Certain, _) => "CERTAIN",
            (Certainty::Likely, _) => "LIKELY",
            (Certainty::CannotTell, _) => "MAYBE",
        };
        self.line("");
        self.row(label, &f.text, |l| match f.certainty {
            Certainty::CannotTell => l.to_owned(),
            _ if !f.accuses() => paint.green(l),
            Certainty::Certain => paint.red(l),
            Certainty::Likely => paint.yellow(l),
        });
        f.pro.iter().for_each(|r| self.point("+ ", r));
        f.contra.iter().for_each(|r| self.point("- ", r));
        if let Some(hint) = &f.hint {
            self.row("  NEXT", hint, |l| paint.bold(l));
        }
    }

    fn point(&mut self, mark: &str, text: &str) {
        let paint = self.paint;
        for (number, line) in wrap(text, WIDTH - LABEL - mark.len()).iter().enumerate() {
            let mark = if number == 0 { mark } else { "  " };
            self.line(&format!("{:LABEL$}{}", "", paint.dim(&format!("{mark}{line}"))));
        }
    }

    fn groups(&mut self, groups: &[Group]) {
        let table = Table { title: "GROUPS".to_owned(), head: heads(groups), rows: Vec::new() };
        let rows = groups.iter().take(GROUPS).map(|g| cells(g, &table.head)).collect();
        if groups.is_empty() {
            return;
        }
        self.table(&Table { rows, ..table });
        if let Some(first) = groups.first().filter(|g| g.count > 1 && g.stack.len() > 1) {
            self.line("");
            self.row("STACK", &format!("of the largest group, {} of them", first.count), str::to_owned);
            first.stack.iter().take(FRAMES).for_each(|frame| self.point("  ", frame));
        }
        if groups.len() > GROUPS {
            self.point("", &format!("and {} more groups: -o json has them", groups.len() - GROUPS));
        }
    }

    /// A table under its title: columns as wide as their cells.
    pub(crate) fn table(&mut self, table: &Table) {
        if table.rows.is_empty() {
            return;
        }
        let paint = self.paint;
        self.line("");
        self.line(&paint.bold(&table.title));
        let clip = |text: &str| clip(text, CELL);
        let rows: Vec<Vec<String>> = table.rows.iter().map(|r| r.iter().map(|c| clip(c)).collect()).collect();
        let width = |column: usize| {
            let cells = rows.iter().filter_map(|r| r.get(column)).map(|c| c.chars().count());
            cells
                .chain(table.head.get(column).map(|h| h.trim_start_matches('#').chars().count()))
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..table.head.len()).map(width).collect();
        let print = |cells: &[String]| {
            let cells = cells.iter().zip(&table.head).zip(&widths).map(|((cell, head), &width)| {
                if head.starts_with('#') { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
            });
            cells.collect::<Vec<_>>().join("  ")
        };
        let heads: Vec<String> = table.head.iter().map(|h| h.trim_start_matches('#').to_owned()).collect();
        self.line(&paint.dim(&print(&heads)));
        rows.iter().for_each(|row| self.line(&print(row)));
    }

    fn notes(&mut self, warnings: &[String]) {
        let paint = self.paint;
        if !warnings.is_empty() {
            self.line("");
        }
        for (number, warning) in warnings.iter().take(WARNINGS).enumerate() {
            self.row(if number == 0 { "MIND" } else { "" }, warning, |l| paint.dim(l));
        }
    }
}

/// How bad it is, by colour.
fn colour(head: &Report, paint: Paint, line: &str) -> String {
    match head.findings.iter().filter(|f| f.accuses()).map(|f| f.certainty).max() {
        Some(Certainty::Certain | Certainty::Likely) => paint.red(line),
        Some(Certainty::CannotTell) => paint.yellow(line),
        None if head.findings.iter().any(|f| f.cause == Some(Cause::None)) => paint.green(line),
        None => paint.yellow(line),
    }
}

/// Columns of the groups: those that any of them fills.
fn heads(groups: &[Group]) -> Vec<&'static str> {
    let mut heads = vec!["#count", "#share"];
    let mut when = |is: bool, head| heads.extend(is.then_some(head));
    when(groups.iter().any(|g| g.estimated_count.is_some()), "#in all");
    when(groups.iter().any(|g| g.minutes.is_some()), "#minutes");
    when(groups.iter().any(|g| g.proven_leaked > 0), "#proven");
    when(groups.iter().any(|g| g.estimated_bytes.is_some()), "#holds");
    when(groups.iter().any(|g| g.name.is_some()), "name");
    when(groups.iter().any(|g| g.state.is_some() || !g.states.is_empty()), "state");
    when(true, "at");
    when(groups.iter().any(|g| g.creator.is_some()), "started by");
    when(groups.iter().any(|g| !g.labels.is_empty()), "labels");
    heads
}

fn cells(g: &Group, heads: &[&'static str]) -> Vec<String> {
    let states =
        || g.states.iter().take(3).map(|s| format!("{} {}", s.count, s.name)).collect::<Vec<_>>().join(", ");
    let labels = || {
        g.labels.iter().take(2).map(|l| format!("{} × {}", l.count, l.name)).collect::<Vec<_>>().join(", ")
    };
    let cell = |head: &&str| match *head {
        "#count" => g.count.to_string(),
        "#in all" => g.estimated_count.map_or_else(String::new, |n| format!("~{n}")),
        "#share" => units::percent(g.share),
        "#minutes" => g.minutes.map_or_else(String::new, |m| format!("{:.0} to {:.0}", m.low, m.high)),
        "#proven" => g.proven_leaked.to_string(),
        "#holds" => g.estimated_bytes.map_or_else(String::new, |b| format!("~{}", units::bytes(b as f64))),
        "name" => g.name.clone().unwrap_or_default(),
        "state" => g.state.clone().filter(|_| g.states.len() < 2).unwrap_or_else(states),
        "at" => g.top.clone(),
        "started by" => g.creator.clone().unwrap_or_default(),
        _ => labels(),
    };
    heads.iter().map(cell).collect()
}

/// A text of at most `most` characters, its end kept: of paths and names, the end tells more.
fn clip(text: &str, most: usize) -> String {
    let count = text.chars().count();
    if count <= most {
        return text.to_owned();
    }
    let half = most / 2;
    let head: String = text.chars().take(half).collect();
    let tail: String = text.chars().skip(count - (most - half - 1)).collect();
    format!("{head}…{tail}")
}

/// The lines of a text, broken between words; a word that is longer than a line stays whole.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

/// The `Reading` document.
pub(crate) fn json(file: &Path, reading: &Reading) -> Value {
    let mut document = json!({"apiVersion": API_VERSION, "kind": "Reading"});
    if let (Value::Object(out), Value::Object(whole)) = (&mut document, &reading.value) {
        out.extend(whole.clone());
        if let Some(Value::Object(artifact)) = out.get_mut("artifact") {
            artifact.insert("file".to_owned(), file.display().to_string().into());
        }
    }
    document
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words_and_cells_in_the_middle() {
        assert_eq!(wrap("a bc def", 4), ["a bc", "def"]);
        assert_eq!(wrap("abcdefgh i", 4), ["abcdefgh", "i"]);
        assert_eq!(wrap("", 4), [""]);
        assert_eq!(clip("com.example.LongName", 9), "com.…Name");
        assert_eq!(clip("äöü", 3), "äöü");
    }

    #[test]
    fn a_screen_has_the_cut_the_evidence_and_the_next_step() {
        let finding =
            Finding::new(Certainty::Likely, "x climbs").because("seen").but("once").hint("look at y");
        let groups = vec![Group { count: 3, share: 0.5, top: "f (a.go:1)".to_owned(), ..Group::default() }];
        let mut report =
            Report { summary: "it climbs".to_owned(), findings: vec![finding], groups, ..Report::default() };
        report.artifact.truncated = Some("it ends early".to_owned());
        let text = screen(Path::new("a.txt"), &report.into(), Paint::new(false));
        for part in [
            "CUT        it ends early",
            "LIKELY     x climbs",
            "+ seen",
            "- once",
            "  NEXT     look at y",
            "f (a.go:1)",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
    }
}
