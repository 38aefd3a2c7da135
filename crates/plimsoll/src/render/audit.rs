//! The screen and the document of an audit.

use plimsoll_core::audit::{Finding, Severity, State, ready};
use plimsoll_core::recording::API_VERSION;
use serde_json::{Value, json};

use super::paint::Paint;
use super::reading::Screen;
use crate::cli::audit::Audited;

/// The screen as text, with a line end. One subject shows every check, several only what does not hold.
pub(crate) fn screen(all: &[Audited], paint: Paint) -> String {
    let mut s = Screen { out: String::new(), paint };
    if all.is_empty() {
        s.line("no process with a managed runtime is here");
    }
    for (number, audited) in all.iter().enumerate() {
        if number > 0 {
            s.line("");
        }
        one(&mut s, audited, all.len() == 1);
    }
    s.out
}

fn one(s: &mut Screen, audited: &Audited, whole: bool) {
    let paint = s.paint;
    let runtime = audited.subject.runtime.map_or_else(String::new, |r| format!(" · {r:?}"));
    let version = audited.subject.version.as_deref().map_or_else(String::new, |v| format!(" {v}"));
    let source =
        audited.subject.source.as_ref().map_or_else(String::new, |(file, line)| format!(" · {file}:{line}"));
    s.line(&format!("{}{}{version}{source}", paint.bold(&audited.subject.name), runtime));
    s.row("NET", &net(&audited.findings), |l| match ready(&audited.findings) {
        Some(true) => paint.green(l),
        Some(false) => paint.red(l),
        None => paint.yellow(l),
    });
    let mut failing: Vec<&Finding> = audited.findings.iter().filter(|f| f.state == State::Fails).collect();
    failing.sort_by_key(|f| std::cmp::Reverse(f.severity));
    for f in failing.iter().filter(|f| whole || f.severity > Some(Severity::Info)) {
        fails(s, f);
    }
    for f in audited.findings.iter().filter(|f| f.state == State::Unknown && whole) {
        s.row("UNKNOWN", &format!("{}: {}", f.title, f.evidence), |l| paint.dim(l));
    }
    for f in audited.findings.iter().filter(|f| f.state == State::Holds && whole) {
        s.row("OK", &format!("{}: {}", f.title, f.evidence), |l| paint.green(l));
    }
    let hidden = failing.iter().filter(|f| f.severity == Some(Severity::Info)).count();
    if !whole && hidden > 0 {
        s.row("", &format!("and {hidden} remarks: audit it alone to see them"), |l| paint.dim(l));
    }
}

fn net(findings: &[Finding]) -> String {
    let count = |severity| findings.iter().filter(|f| f.severity == Some(severity)).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let unknown = findings.iter().filter(|f| f.state == State::Unknown).count();
    let many = |n: usize, thing: &str| if n == 1 { format!("1 {thing}") } else { format!("{n} {thing}s") };
    let warnings_said = many(warnings, "warning");
    match ready(findings) {
        Some(true) if warnings == 0 => "ready: it fires at this limit".to_owned(),
        Some(true) => format!("ready, with {warnings_said}"),
        Some(false) => format!("NOT ready: {}, {warnings_said}", many(errors, "error")),
        None => format!("cannot tell: {} could not be made, {warnings_said}", many(unknown, "check")),
    }
}

fn fails(s: &mut Screen, f: &Finding) {
    let paint = s.paint;
    let label = match f.severity {
        Some(Severity::Error) => "ERROR",
        Some(Severity::Warning) => "WARNING",
        _ => "REMARK",
    };
    s.row(label, &f.evidence, |l| match f.severity {
        Some(Severity::Error) => paint.red(l),
        Some(Severity::Warning) => paint.yellow(l),
        _ => l.to_owned(),
    });
    let Some(fix) = &f.fix else { return };
    let live = if fix.live.is_empty() { "" } else { " (live: --fix --go)" };
    s.row("  FIX", &format!("{}{live}", fix.text), str::to_owned);
    if let Some(patch) = &fix.patch {
        s.row("", patch, |l| paint.bold(l));
    }
}

/// The `Audit` document.
pub(crate) fn json(all: &[Audited]) -> Value {
    let subject = |a: &Audited| {
        json!({
            "name": a.subject.name,
            "pid": a.subject.pid,
            "runtime": a.subject.runtime,
            "file": a.subject.source.as_ref().map(|(file, _)| file),
            "line": a.subject.source.as_ref().map(|(_, line)| line),
            "ready": ready(&a.findings),
            "findings": a.findings,
        })
    };
    json!({"apiVersion": API_VERSION, "kind": "Audit", "subjects": all.iter().map(subject).collect::<Vec<_>>()})
}
