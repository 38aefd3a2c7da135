//! The growth test for CI systems: JUnit XML, SARIF, annotations and the step's summary of GitHub.

use std::fmt::Write as _;

use plimsoll_core::guard::growth::Verdict;
use plimsoll_core::guard::{Judged, Metric, Outcome};
use serde_json::{Value, json};

use super::words::{borne, how_long, next, slope, smallest, title};
use super::{Phase, Tested};
use crate::render::ci::{escape, sarif_log};

/// A case for each metric: growing fails, undecided and saturating are errors of the test, unknown is skipped.
pub(crate) fn junit(tested: &Tested) -> String {
    let mut out =
        String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"plimsoll guard\">\n");
    for (number, phase) in tested.phases.iter().enumerate() {
        let name = escape(&format!("{}#{}", title(tested), number + 1));
        let cases: Vec<String> = cases(phase);
        let count = |tag: &str| cases.iter().filter(|c| c.contains(tag)).count();
        // Writing to a string cannot fail.
        let _always = writeln!(
            out,
            "  <testsuite name=\"{name}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" time=\"{:.3}\">",
            cases.len(),
            count("<failure"),
            count("<error"),
            count("<skipped"),
            phase.seconds
        );
        cases.iter().for_each(|c| out.push_str(c));
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

fn cases(phase: &Phase) -> Vec<String> {
    let withdrawn: Vec<String> = phase.course.withdrawn().iter().map(ToString::to_string).collect();
    if !withdrawn.is_empty() {
        let why = escape(&withdrawn.join("; "));
        return vec![case("run", &format!("<error type=\"withdrawn\" message=\"{why}\"/>"))];
    }
    phase.course.judged().iter().map(|j| case(j.metric.name(), &verdict(j))).collect()
}

fn case(name: &str, inside: &str) -> String {
    format!("    <testcase classname=\"plimsoll.guard\" name=\"{name}\">{inside}</testcase>\n")
}

fn verdict(j: &Judged) -> String {
    match &j.growth {
        Err(why) => format!("<skipped message=\"{}\"/>", escape(why)),
        Ok(g) => {
            let text = escape(&format!("{}, borne {}; {}", slope(j, g), borne(j), smallest(j, g)));
            match g.verdict {
                Verdict::Growing => format!("<failure type=\"growing\" message=\"{text}\"/>"),
                Verdict::Flat => format!("<system-out>{text}</system-out>"),
                other => format!("<error type=\"{}\" message=\"{text}\"/>", other.name()),
            }
        }
    }
}

/// One annotation for what is not flat.
pub(crate) fn annotations(tested: &Tested) -> Vec<String> {
    let outcome = tested.outcome();
    if outcome == Outcome::Flat {
        return Vec::new();
    }
    let level = if outcome == Outcome::Growing { "error" } else { "warning" };
    let mut said: Vec<String> = Vec::new();
    for phase in &tested.phases {
        said.extend(phase.course.withdrawn().iter().map(ToString::to_string));
        for j in phase.course.judged() {
            if let Ok(g) = j.growth.as_ref().map(|g| *g)
                && g.verdict != Verdict::Flat
            {
                said.push(format!("{} {}: {}", j.metric.name(), g.verdict.name(), slope(&j, &g)));
            }
        }
    }
    said.push(next(tested));
    let data = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let place = tested.place.as_ref().map_or_else(String::new, |p| {
        let file = data(&p.file).replace(':', "%3A").replace(',', "%2C");
        format!("file={file},line={},", p.line)
    });
    vec![format!("::{level} {place}title=plimsoll guard: {}::{}", outcome.name(), data(&said.join("\n")))]
}

/// The step's summary, as Markdown.
pub(crate) fn summary(tested: &Tested) -> String {
    let plain = |text: &str| text.replace('|', "\\|").replace('<', "&lt;");
    let mut out = format!("### plimsoll guard: {}\n\n{}\n\n", tested.outcome().name(), plain(&title(tested)));
    for phase in &tested.phases {
        for why in phase.course.withdrawn() {
            let _always = writeln!(out, "> {}\n", plain(&why.to_string()));
        }
        out.push_str("| metric | verdict | growth | borne |\n|---|---|---|---|\n");
        for j in phase.course.judged() {
            let (verdict, grown) = match &j.growth {
                Ok(g) => (g.verdict.name(), slope(&j, g)),
                Err(why) => ("not seen", plain(why)),
            };
            let _always = writeln!(out, "| {} | {verdict} | {grown} | {} |", j.metric.name(), borne(&j));
        }
        out.push('\n');
    }
    let keys = tested.keys().map_or_else(String::new, |k| format!("{}\n\n", k.in_words()));
    let _always = writeln!(out, "{keys}{}. {}.", how_long(tested), next(tested));
    out
}

/// A result for each metric that is not flat, at the line that the readers accuse, where that is in the project.
pub(crate) fn sarif(tested: &Tested) -> String {
    let id = |m: Metric| format!("guard/{}", m.name());
    let text = |m: Metric| format!("{} grows with the work", m.what());
    let mut rules: Vec<Value> =
        Metric::ALL.iter().map(|m| json!({"id": id(*m), "shortDescription": {"text": text(*m)}})).collect();
    rules.push(json!({"id": "guard/withdrawn", "shortDescription": {"text": "the run proves nothing"}}));
    let mut location = json!({"logicalLocations": [{"fullyQualifiedName": tested.command}]});
    if let Some(place) = &tested.place {
        location["physicalLocation"] =
            json!({"artifactLocation": {"uri": place.file}, "region": {"startLine": place.line}});
    }
    let result = |id: String, level: &str, text: String| json!({"ruleId": id, "level": level, "message": {"text": text}, "locations": [location]});
    let mut results = Vec::new();
    for phase in &tested.phases {
        let withdrawn = phase.course.withdrawn();
        if !withdrawn.is_empty() {
            let why = withdrawn.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
            results.push(result("guard/withdrawn".to_owned(), "warning", why));
            continue;
        }
        for j in phase.course.judged() {
            let Some(g) = j.growth.as_ref().ok().filter(|g| g.verdict != Verdict::Flat) else { continue };
            let level = if g.verdict == Verdict::Growing { "error" } else { "warning" };
            let text =
                format!("{} {}: {}, borne {}", j.metric.what(), g.verdict.name(), slope(&j, g), borne(&j));
            results.push(result(id(j.metric), level, text));
        }
    }
    sarif_log(&rules, &results)
}
