//! What the growth test printed, out of all that a command printed.

use plimsoll_core::bisect::Measured;
use serde_json::Value;

/// Places where a document may begin that are looked at.
const TRIES: usize = 1000;

/// The growth test's answer.
#[derive(Debug, Clone, PartialEq)]
pub struct GuardDocument {
    /// Its outcome: `growing`, `flat`, `saturating`, `undecided`, `withdrawn`.
    pub outcome: String,
    /// Why it was withdrawn.
    pub withdrawn: Vec<String>,
    /// The slopes that have an interval.
    pub metrics: Vec<Measured>,
}

/// The last document of the growth test (`kind: Guard`) within what a command printed: each begins with a line of its own.
pub fn last(text: &str) -> Option<GuardDocument> {
    let mut found = None;
    let mut from = 0;
    for _ in 0..TRIES {
        let Some(rest) = text.get(from..).filter(|rest| !rest.is_empty()) else { break };
        let at = if rest.starts_with('{') { Some(0) } else { rest.find("\n{").map(|at| at + 1) };
        let Some((at, document)) = at.and_then(|at| Some((at, rest.get(at..)?))) else { break };
        let mut stream = serde_json::Deserializer::from_str(document).into_iter::<Value>();
        let value = stream.next();
        from += at + if matches!(value, Some(Ok(_))) { stream.byte_offset().max(1) } else { 1 };
        if let Some(Ok(value)) = value {
            found = read(&value).or(found);
        }
    }
    found
}

fn read(value: &Value) -> Option<GuardDocument> {
    if value.get("kind")?.as_str()? != "Guard" {
        return None;
    }
    let metrics = value.get("metrics").and_then(Value::as_array).into_iter().flatten();
    let phases = value.get("phases").and_then(Value::as_array).into_iter().flatten();
    let withdrawn = phases.filter_map(|p| p.get("withdrawn")?.as_array()).flatten();
    Some(GuardDocument {
        outcome: value.get("outcome")?.as_str()?.to_owned(),
        withdrawn: withdrawn.filter_map(|w| w.as_str().map(str::to_owned)).collect(),
        metrics: metrics.filter_map(metric).collect(),
    })
}

fn metric(value: &Value) -> Option<Measured> {
    let slope = value.get("slopePerIteration")?;
    let number = |key: &str| slope.get(key)?.as_f64();
    Some(Measured {
        name: value.get("name")?.as_str()?.to_owned(),
        value: number("value")?,
        low: number("low")?,
        high: number("high")?,
        tolerance: value.get("tolerance")?.as_f64()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUARD: &str = r#"{
  "apiVersion": "plimsoll/v1", "kind": "Guard", "outcome": "growing",
  "phases": [{"withdrawn": []}],
  "metrics": [
    {"name": "heap", "tolerance": 8.0, "verdict": "growing", "slopePerIteration": {"value": 48.0, "low": 47.0, "high": 49.0}},
    {"name": "native", "tolerance": 64.0, "verdict": null},
    {"name": "rss", "tolerance": 64.0, "slopePerIteration": {"value": 48.0, "low": null, "high": null}}
  ]
}"#;

    #[test]
    fn the_last_document_is_found_among_other_lines() {
        let text = format!("building\n{{ not json\n{{\"kind\": \"Other\"}}\n{GUARD}\ndone\n");
        let found = last(&text).expect("found");
        assert_eq!((found.outcome.as_str(), found.metrics.len()), ("growing", 1));
        assert_eq!((found.metrics[0].low, found.metrics[0].tolerance), (47.0, 8.0));
        let later = text + &GUARD.replace("growing", "flat");
        assert_eq!(last(&later).expect("found").outcome, "flat");
    }

    #[test]
    fn no_document_and_hostile_text_are_none() {
        for text in
            ["", "\n", "{", "{}", "{\"kind\": 1}", "{\"kind\": \"Guard\"}", &"{\n".repeat(5000), "é\n{\"é"]
        {
            assert_eq!(last(text), None, "{text:.20}");
        }
        // Deep nesting is refused by the parser, not by the stack.
        assert_eq!(last(&"{\"a\":".repeat(100_000)), None);
    }
}
