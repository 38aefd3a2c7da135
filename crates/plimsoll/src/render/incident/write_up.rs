//! The write-up that writes itself: sections out of the events and the judgement, then as Markdown or as one page of HTML.

use plimsoll_core::agent::What;
use plimsoll_core::signals::Rising;
use plimsoll_core::units::{duration, rate};

use super::{Seen, Words, chart, debt_words, mark_words, state, warned, what, when};
use crate::render::ci::escape;

/// Part of a section.
enum Block {
    List(Vec<String>),
    Table(Vec<&'static str>, Vec<Vec<String>>),
    /// A picture; text has none.
    Picture(String),
}

struct Section {
    title: &'static str,
    blocks: Vec<Block>,
}

fn sections(seen: &Seen<'_>) -> Vec<Section> {
    let all = [
        ("Summary", summary(seen)),
        ("Memory", memory(seen)),
        ("Evidence", evidence(seen)),
        ("Time line", time_line(seen)),
        ("Mitigations", mitigations(seen)),
        ("What went well", well(seen)),
        ("What did not", badly(seen)),
        ("Follow-ups", follow_ups(seen)),
    ];
    all.into_iter().filter(|(_, b)| !b.is_empty()).map(|(title, blocks)| Section { title, blocks }).collect()
}

fn summary(seen: &Seen<'_>) -> Vec<Block> {
    let i = seen.incident;
    let mut rows = vec![
        vec!["Workload".to_owned(), i.workload.clone()],
        vec!["State".to_owned(), state(i).to_owned()],
        vec!["From".to_owned(), when(i.from)],
        vec!["To".to_owned(), format!("{} ({})", when(i.to), duration(i.to - i.from))],
        vec!["Nearest to its end".to_owned(), i.level.name().to_owned()],
        vec!["Kills".to_owned(), i.kills.to_string()],
        vec!["Captures".to_owned(), i.captures.len().to_string()],
    ];
    let cause = match (&seen.judgement, &i.fingerprint) {
        (Some(j), _) => format!("{} ({})", j.verdict.cause.name(), j.verdict.certainty.words()),
        (None, Some(print)) => print.clone(),
        (None, None) => "unknown: nobody has judged it, and the store has no series of it".to_owned(),
    };
    rows.push(vec!["Cause".to_owned(), cause]);
    if let Some(slope) = slope(seen) {
        rows.push(vec!["Slope of the floor".to_owned(), slope]);
    }
    if let Some(last) = seen.earlier.last() {
        let again = format!("{} times before, last in {} ({})", seen.earlier.len(), last.id, when(last.from));
        rows.push(vec!["Seen before".to_owned(), again]);
    }
    vec![Block::Table(vec!["", ""], rows)]
}

fn slope(seen: &Seen<'_>) -> Option<String> {
    let bound = seen.judgement.as_ref()?.clock.binding()?;
    let slope = bound.posterior.as_ref().ok()?.slope;
    Some(format!(
        "{} ({} to {}), against the {}",
        rate(slope.mid),
        rate(slope.low),
        rate(slope.high),
        bound.name
    ))
}

fn memory(seen: &Seen<'_>) -> Vec<Block> {
    let mut blocks: Vec<Block> = chart::memory(seen).map(Block::Picture).into_iter().collect();
    if let Some(j) = &seen.judgement {
        let said = |r: Option<Rising>| match r {
            Some(Rising::Yes) => "climbs",
            Some(Rising::No) => "does not climb",
            Some(Rising::Unclear) => "cannot be told",
            None => "was not seen",
        };
        let (resident, live) = (j.two_by_two.resident, j.two_by_two.live);
        let means = match (resident, live) {
            (Some(Rising::Yes), Some(Rising::Yes)) => "the heap leaks",
            (Some(Rising::Yes), Some(Rising::No)) => {
                "native memory or fragmentation: a heap dump does not show it"
            }
            (Some(Rising::No), Some(Rising::Yes)) => "the heap fills room that it already had",
            (Some(Rising::No), Some(Rising::No)) => "no leak",
            _ => "not enough was seen to tell heap from native memory",
        };
        blocks.push(Block::Table(
            vec!["Resident memory", "Heap after collection", "Means"],
            vec![vec![said(resident).to_owned(), said(live).to_owned(), means.to_owned()]],
        ));
    }
    blocks
}

fn evidence(seen: &Seen<'_>) -> Vec<Block> {
    let Some(j) = &seen.judgement else { return Vec::new() };
    let v = &j.verdict;
    let row = |side: &str, text: &str| vec![side.to_owned(), text.to_owned()];
    let rows = v.pro.iter().map(|f| row("for", &f.text));
    let rows = rows.chain(v.contra.iter().map(|f| row("against", &f.text)));
    let rows: Vec<Vec<String>> = rows
        .chain(v.missing.iter().map(|m| row("not seen", m)))
        .chain([row("would be refuted by", v.refuted_by)])
        .collect();
    vec![Block::Table(vec!["", ""], rows)]
}

fn time_line(seen: &Seen<'_>) -> Vec<Block> {
    let events = seen.incident.events.iter().map(|e| (e.time, what(e), e.text.clone()));
    let marks = seen.marks.iter().map(|m| (m.unix_seconds, "mark".to_owned(), mark_words(m)));
    let mut all: Vec<(f64, String, String)> = events.chain(marks).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let rows = all.into_iter().map(|(t, what, text)| vec![when(t), what, text]);
    vec![Block::Table(vec!["Time (UTC)", "Event", ""], rows.collect())]
}

fn mitigations(seen: &Seen<'_>) -> Vec<Block> {
    let i = seen.incident;
    let line = |d: &plimsoll_core::incident::Debt| {
        let state = if d.paid.is_some() { "paid" } else { "**owed**" };
        format!("{state}: {}", debt_words(d, i, seen.now))
    };
    let lines: Vec<String> = i.debts.iter().map(line).collect();
    if lines.is_empty() { Vec::new() } else { vec![Block::List(lines)] }
}

fn well(seen: &Seen<'_>) -> Vec<Block> {
    let i = seen.incident;
    let mut lines = Vec::new();
    if let Some(seconds) = warned(i) {
        lines.push(format!("it was known {} before the kill", duration(seconds)));
    }
    if !i.captures.is_empty() {
        lines.push(format!("{} captures are stored: {}", i.captures.len(), i.captures.join(", ")));
    }
    if i.kills == 0 && i.events.iter().any(|e| e.what == What::Level) {
        lines.push("it was not killed".to_owned());
    }
    if let Some(guard) = guard(seen) {
        lines.push(format!("a guard was left behind: {guard}"));
    }
    if lines.is_empty() { Vec::new() } else { vec![Block::List(lines)] }
}

fn guard<'s>(seen: &'s Seen<'_>) -> Option<&'s str> {
    seen.incident.events.iter().rev().find_map(|e| e.about.as_ref()?.guard.as_deref())
}

fn badly(seen: &Seen<'_>) -> Vec<Block> {
    let i = seen.incident;
    let mut lines = Vec::new();
    if i.kills > 0 && warned(i).is_none() {
        lines.push("nothing warned before the kill".to_owned());
    }
    if i.kills > 0 && i.captures.is_empty() {
        lines.push("it was killed, and no evidence is stored".to_owned());
    }
    let failed = |e: &&plimsoll_core::agent::Event| matches!(e.what, What::Failed | What::Refused);
    lines.extend(i.events.iter().filter(failed).map(|e| format!("{}: {}", what(e), e.text)));
    if !seen.earlier.is_empty() {
        lines.push("it is the same leak as before: what was done then did not hold".to_owned());
    }
    if lines.is_empty() { Vec::new() } else { vec![Block::List(lines)] }
}

fn follow_ups(seen: &Seen<'_>) -> Vec<Block> {
    let i = seen.incident;
    let mut lines: Vec<String> =
        i.owed().map(|d| format!("[ ] replace the {} by a fix: {}", d.kind, d.text)).collect();
    if guard(seen).is_none() {
        lines.push(
            "[ ] leave a guard: plimsoll guard rules --from RECORDING, proved by plimsoll guard replay"
                .to_owned(),
        );
    }
    if i.captures.is_empty() {
        lines.push("[ ] arm the net, so that evidence is kept the next time: plimsoll audit".to_owned());
    }
    if let Some(j) = &seen.judgement {
        lines.extend(j.verdict.missing.iter().map(|m| format!("[ ] make visible what was not seen: {m}")));
    }
    if i.closed.is_none() {
        lines.push(format!("[ ] close it: plimsoll incident close {} --fix WHAT --guard FILE", i.id));
    }
    if lines.is_empty() { Vec::new() } else { vec![Block::List(lines)] }
}

fn title(seen: &Seen<'_>, words: Words) -> String {
    format!("Incident {}: {}", seen.incident.id, words.of(&seen.incident.workload))
}

/// The basis of it all, said at the end.
fn note(words: Words) -> &'static str {
    match words {
        Words::Raw => "Written by plimsoll incident report from the store's events and series.",
        Words::Redacted => {
            "Written by plimsoll incident report from the store's events and series. Paths, addresses and what looks like a secret are masked (--raw keeps them)."
        }
    }
}

/// As Markdown; pictures are in the page only.
pub(crate) fn markdown(seen: &Seen<'_>, words: Words) -> String {
    let mut out = format!("# {}\n", cell(&title(seen, words)));
    let text = |t: &str| cell(&words.of(t));
    for section in sections(seen) {
        out.push_str(&format!("\n## {}\n\n", section.title));
        for block in &section.blocks {
            match block {
                Block::List(lines) => lines.iter().for_each(|l| out.push_str(&format!("- {}\n", text(l)))),
                Block::Table(head, rows) => {
                    out.push_str(&format!("| {} |\n|{}\n", head.join(" | "), "---|".repeat(head.len())));
                    for row in rows {
                        let row: Vec<String> = row.iter().map(|t| text(t)).collect();
                        out.push_str(&format!("| {} |\n", row.join(" | ")));
                    }
                }
                Block::Picture(_) => {}
            }
        }
    }
    out.push_str(&format!("\n{}\n", note(words)));
    out
}

/// A text that stays within its cell, and is no HTML.
fn cell(text: &str) -> String {
    let one_line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    one_line.replace('|', "\\|").replace('<', "&lt;")
}

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#222}\
    h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2rem;border-bottom:1px solid #ddd}\
    table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;padding:.25rem .6rem;border-bottom:1px solid #eee}\
    td:first-child{white-space:nowrap;color:#555}svg{width:100%;height:auto}footer{margin-top:2rem;color:#777;font-size:.85rem}\
    @media(prefers-color-scheme:dark){body{background:#16191d;color:#ddd}td,th{border-color:#333}h2{border-color:#444}td:first-child{color:#aaa}svg{background:#fff}}";

/// As one page that needs nothing else.
pub(crate) fn html(seen: &Seen<'_>, words: Words) -> String {
    let text = |t: &str| escape(&words.of(t)).replace("**owed**", "<b>owed</b>");
    let heading = escape(&title(seen, words));
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>{heading}</title><style>{STYLE}</style></head><body>\n<h1>{heading}</h1>\n"
    );
    for section in sections(seen) {
        out.push_str(&format!("<h2>{}</h2>\n", section.title));
        for block in &section.blocks {
            match block {
                Block::List(lines) => {
                    let items: String = lines.iter().map(|l| format!("<li>{}</li>", text(l))).collect();
                    out.push_str(&format!("<ul>{items}</ul>\n"));
                }
                Block::Table(head, rows) => out.push_str(&table(head, rows, &text)),
                Block::Picture(svg) => out.push_str(svg),
            }
        }
    }
    out.push_str(&format!("<footer>{}</footer>\n</body></html>\n", escape(note(words))));
    out
}

fn table(head: &[&str], rows: &[Vec<String>], text: &dyn Fn(&str) -> String) -> String {
    let row = |tag: &str, cells: &mut dyn Iterator<Item = String>| {
        let cells: String = cells.map(|c| format!("<{tag}>{c}</{tag}>")).collect();
        format!("<tr>{cells}</tr>\n")
    };
    let mut out = "<table>\n".to_owned();
    if head.iter().any(|h| !h.is_empty()) {
        out.push_str(&row("th", &mut head.iter().map(|h| text(h))));
    }
    rows.iter().for_each(|r| out.push_str(&row("td", &mut r.iter().map(|c| text(c)))));
    out + "</table>\n"
}
