//! Audits in the forms that CI systems read: SARIF 2.1.0 and JUnit XML.

use std::fmt::Write as _;

use plimsoll_core::audit::{self, Finding, Severity, State};
use serde_json::{Value, json};

use crate::cli::audit::Audited;

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "note",
    }
}

fn message(f: &Finding) -> String {
    let fix = f.fix.as_ref().map_or_else(String::new, |fix| {
        let patch = fix.patch.as_deref().map_or_else(String::new, |p| format!(": {p}"));
        format!(" Fix: {}{patch}", fix.text)
    });
    format!("{}.{fix}", f.evidence)
}

/// One run with a result for each check that does not hold.
pub(crate) fn sarif(all: &[Audited]) -> String {
    let rules: Vec<Value> =
        audit::all().map(|c| json!({"id": c.id, "shortDescription": {"text": c.title}})).collect();
    let result = |a: &Audited, f: &Finding, severity| {
        let mut location = json!({"logicalLocations": [{"fullyQualifiedName": a.subject.name}]});
        if let Some((file, line)) = &a.subject.source {
            location["physicalLocation"] =
                json!({"artifactLocation": {"uri": file}, "region": {"startLine": line}});
        }
        let text = format!("{}: {}", a.subject.name, message(f));
        json!({"ruleId": f.id, "level": level(severity), "message": {"text": text}, "locations": [location]})
    };
    let results: Vec<Value> = all
        .iter()
        .flat_map(|a| a.findings.iter().filter_map(move |f| Some(result(a, f, f.severity?))))
        .collect();
    sarif_log(&rules, &results)
}

/// A log of SARIF with one run of ours.
pub(crate) fn sarif_log(rules: &[Value], results: &[Value]) -> String {
    let driver = json!({"name": "plimsoll", "version": env!("CARGO_PKG_VERSION"), "rules": rules});
    let document = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": results}],
    });
    format!("{document:#}\n")
}

/// A suite for each subject, a case for each check; what cannot be told is skipped, remarks pass.
pub(crate) fn junit(all: &[Audited]) -> String {
    let mut out =
        String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"plimsoll audit\">\n");
    let fails = |f: &&Finding| f.severity > Some(Severity::Info);
    for a in all {
        let failures = a.findings.iter().filter(fails).count();
        let skipped = a.findings.iter().filter(|f| f.state == State::Unknown).count();
        let name = escape(&a.subject.name);
        // Writing to a string cannot fail.
        let _always = writeln!(
            out,
            "  <testsuite name=\"{name}\" tests=\"{}\" failures=\"{failures}\" skipped=\"{skipped}\">",
            a.findings.len()
        );
        for f in &a.findings {
            let _always =
                writeln!(out, "    <testcase classname=\"{name}\" name=\"{}\">{}</testcase>", f.id, case(f));
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

fn case(f: &Finding) -> String {
    match (f.state, f.severity) {
        (State::Fails, Some(severity)) if severity > Severity::Info => {
            format!("<failure type=\"{}\" message=\"{}\"/>", level(severity), escape(&message(f)))
        }
        (State::Unknown, _) => format!("<skipped message=\"{}\"/>", escape(&f.evidence)),
        _ => String::new(),
    }
}

/// Text as an attribute of XML; what XML cannot hold is replaced.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' | '\r' => out.push(' '),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_stay_within_their_attribute() {
        assert_eq!(escape("a\"<b>&\u{1}\n"), "a&quot;&lt;b&gt;&amp;\u{fffd} ");
    }
}
