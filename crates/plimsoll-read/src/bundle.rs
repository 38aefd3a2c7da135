//! The artifacts of one incident together: which cause they agree on, what speaks against it, what each adds.
//!
//! Nothing becomes surer by being repeated: a cause is as sure as the surest artifact that speaks for it, and less so
//! where another one says that nothing climbs.

use plimsoll_core::classify::{Cause, Certainty};

use crate::reading::{Finding, Report, Source, Warnings, count};

/// Reasons that a combined finding keeps.
const REASONS: usize = 6;
/// Warnings of one artifact that are handed on.
const WARNINGS: usize = 2;

/// One artifact of several.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// The file's name.
    pub name: &'a str,
    /// The kind of artifact: several of one kind are one witness.
    pub kind: &'a str,
    /// What it says.
    pub report: &'a Report,
}

/// A finding and where it is from.
#[derive(Clone, Copy)]
struct Said<'a> {
    part: Part<'a>,
    finding: &'a Finding,
}

impl Said<'_> {
    fn words(&self) -> String {
        format!("{}: {}", self.part.name, self.finding.text)
    }
}

/// The causes that findings speak for, in the order in which they are preferred where all else is equal.
const CAUSES: [Option<Cause>; 7] = [
    Some(Cause::Retention),
    Some(Cause::Accumulation),
    Some(Cause::OffHeap),
    Some(Cause::Fragmentation),
    Some(Cause::Churn),
    Some(Cause::OverBudget),
    None,
];

/// What the artifacts say together.
pub fn conclude(parts: &[Part<'_>]) -> Report {
    let said: Vec<Said<'_>> = parts
        .iter()
        .flat_map(|&part| part.report.findings.iter().map(move |finding| Said { part, finding }))
        .collect();
    let mut findings: Vec<Finding> =
        CAUSES.iter().filter_map(|cause| combined(*cause, &said, parts)).collect();
    findings.sort_by_key(|f| std::cmp::Reverse((f.certainty, f.cause.is_some(), f.pro.len())));
    findings.extend(calm(&said));
    let warnings = warnings(parts);
    let cut = parts.iter().filter(|p| p.report.artifact.truncated.is_some());
    let cut: Vec<&str> = cut.map(|p| p.name).collect();
    Report {
        artifact: Source {
            kind: count(parts.len() as u64, "artifact"),
            bytes: parts.iter().map(|p| p.report.artifact.bytes).sum(),
            truncated: (!cut.is_empty()).then(|| format!("not whole: {}", cut.join(", "))),
        },
        summary: summary(&findings, parts),
        findings,
        groups: Vec::new(),
        warnings,
    }
}

/// What readers must know before believing each, said once for all that it is true of.
fn warnings(parts: &[Part<'_>]) -> Vec<String> {
    let mut said: Vec<(&str, Vec<&str>)> = Vec::new();
    for part in parts {
        for text in part.report.warnings.iter().take(WARNINGS) {
            match said.iter_mut().find(|(t, _)| t == text) {
                Some((_, names)) => names.push(part.name),
                None => said.push((text, vec![part.name])),
            }
        }
    }
    let mut out = Warnings::default();
    for (text, names) in said {
        let more = if names.len() > 1 { format!(" and {} more", names.len() - 1) } else { String::new() };
        out.say(format!("{text} ({}{more})", names.first().unwrap_or(&"")));
    }
    out.list()
}

fn combined(cause: Option<Cause>, said: &[Said<'_>], parts: &[Part<'_>]) -> Option<Finding> {
    let mut of_it: Vec<&Said<'_>> = said.iter().filter(|s| s.finding.cause == cause).collect();
    of_it.sort_by_key(|s| std::cmp::Reverse(s.finding.certainty));
    let first = of_it.first()?;
    let mut kinds: Vec<&str> = of_it.iter().filter(|s| s.finding.accuses()).map(|s| s.part.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let mut against: Vec<String> = first.finding.contra.clone();
    let mut certainty = first.finding.certainty;
    if cause.is_some_and(is_climb) {
        let denied: Vec<String> = said.iter().filter(|s| denies(s, first)).map(Said::words).collect();
        if !denied.is_empty() {
            certainty = certainty.min(Certainty::Likely);
        }
        against.splice(0..0, denied);
    }
    let text = match cause {
        Some(cause) if kinds.is_empty() => format!("{}, perhaps: {}", cause.name(), first.words()),
        Some(cause) if kinds.len() == 1 => format!("{}: {}", cause.name(), first.words()),
        Some(cause) => {
            format!("{}, by {} of {}: {}", cause.name(), kinds.len(), kinds_of(parts), first.words())
        }
        None => first.words(),
    };
    let mut finding = Finding::new(certainty, text);
    finding.cause = cause;
    finding.pro = first.finding.pro.clone();
    finding.pro.extend(of_it.iter().skip(1).map(|s| s.words()));
    finding.pro.truncate(REASONS);
    finding.contra = against;
    finding.contra.truncate(REASONS);
    finding.hint = of_it.iter().find_map(|s| s.finding.hint.clone());
    Some(finding)
}

/// Whether a finding says that nothing climbs, from another kind of artifact than the one that says it does.
fn denies(other: &Said<'_>, first: &Said<'_>) -> bool {
    other.finding.cause == Some(Cause::None)
        && other.finding.certainty >= Certainty::Likely
        && other.part.kind != first.part.kind
}

fn is_climb(cause: Cause) -> bool {
    matches!(cause, Cause::Retention | Cause::Accumulation | Cause::OffHeap | Cause::Fragmentation)
}

fn kinds_of(parts: &[Part<'_>]) -> String {
    let mut kinds: Vec<&str> = parts.iter().map(|p| p.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    if kinds.len() == 1 {
        "1 kind of artifact".to_owned()
    } else {
        format!("{} kinds of artifact", kinds.len())
    }
}

/// Where artifacts say that nothing is wrong.
fn calm(said: &[Said<'_>]) -> Option<Finding> {
    let calm: Vec<&Said<'_>> = said.iter().filter(|s| s.finding.cause == Some(Cause::None)).collect();
    let first = calm.first()?;
    let mut finding = Finding::new(first.finding.certainty, first.words()).of(Cause::None);
    finding.pro = calm.iter().skip(1).map(|s| s.words()).take(REASONS).collect();
    finding.contra = first.finding.contra.clone();
    Some(finding)
}

fn summary(findings: &[Finding], parts: &[Part<'_>]) -> String {
    let read = kinds_of(parts);
    let mut accused = findings.iter().filter(|f| f.accuses());
    let Some(first) = accused.next() else {
        return match findings.first() {
            Some(f) => format!("nothing is proven by {read}; first to look at: {}.", f.text),
            None => format!("nothing to accuse in {read}."),
        };
    };
    let sure = match first.certainty {
        Certainty::Certain => "certain",
        Certainty::Likely => "likely",
        Certainty::CannotTell => "not decided",
    };
    let also: Vec<&str> = accused.filter_map(|f| f.cause).map(Cause::name).collect();
    let also = if also.is_empty() { String::new() } else { format!("; also {}", also.join(", ")) };
    format!("{}, {sure}{also}.", first.text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(findings: Vec<Finding>) -> Report {
        Report { findings, ..Report::default() }
    }

    fn part<'a>(name: &'a str, report: &'a Report) -> Part<'a> {
        Part { name, kind: name, report }
    }

    #[test]
    fn two_kinds_agree_and_a_third_speaks_against() {
        let heap = report(vec![
            Finding::new(Certainty::Likely, "Cache.MAP holds 60 %").of(Cause::Retention).hint("bound it"),
        ]);
        let log = report(vec![Finding::new(Certainty::Certain, "the floor climbs").of(Cause::Retention)]);
        let calm = report(vec![Finding::new(Certainty::Likely, "no pool grew").of(Cause::None)]);
        let all = conclude(&[part("heap", &heap), part("log", &log), part("threads", &calm)]);
        let first = all.findings.first().unwrap();
        assert_eq!((first.certainty, first.cause), (Certainty::Likely, Some(Cause::Retention)));
        assert_eq!(first.text, "retention, by 2 of 3 kinds of artifact: log: the floor climbs");
        assert_eq!(first.pro, ["heap: Cache.MAP holds 60 %"]);
        assert_eq!(first.contra, ["threads: no pool grew"]);
        assert_eq!(first.hint.as_deref(), Some("bound it"));
        assert!(all.summary.ends_with(", likely."), "{}", all.summary);
    }

    #[test]
    fn nothing_is_made_of_nothing_and_doubt_stays_doubt() {
        assert_eq!(conclude(&[]).findings, []);
        let doubt = report(vec![Finding::new(Certainty::CannotTell, "a crowd").of(Cause::Accumulation)]);
        let all = conclude(&[part("a", &doubt), part("b", &doubt)]);
        let first = all.findings.first().unwrap();
        assert_eq!(first.certainty, Certainty::CannotTell, "said twice is not surer");
        assert!(all.summary.starts_with("nothing is proven by 2 kinds of artifact"), "{}", all.summary);
    }

    #[test]
    fn a_cut_artifact_is_named() {
        let mut cut = report(Vec::new());
        cut.artifact.truncated = Some("it ends early".to_owned());
        let all = conclude(&[part("a.txt", &cut)]);
        assert_eq!(all.artifact.truncated.as_deref(), Some("not whole: a.txt"));
        assert_eq!(all.summary, "nothing to accuse in 1 kind of artifact.");
    }
}
