//! Where keys of a load come from: the lines of an access log (common, combined and what begins like them, and JSON), or the
//! templates of keys that a reading of a heap has (`plimsoll read heap.hprof -o json`).
//!
//! What is kept are templates, which have no key in them; memory is bounded however long a log is.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};

use plimsoll_core::guard::generate::{Varies, generator};
use plimsoll_core::keys::{Keys, SlotKind};
use serde_json::Value;

use crate::lines::Lines;
use crate::secrets::names::announces_secret;

/// Methods of requests.
const METHODS: [&str; 8] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "PROPFIND"];
/// A larger document is none of ours.
const LARGEST: u64 = 256 << 20;

/// What makes keys like those that were seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Generator {
    /// The method of requests, where they are.
    pub method: Option<String>,
    /// A template of the growth test's load.
    pub text: String,
    /// Its part of all keys, 0 to 1.
    pub share: f64,
    /// Where a heap holds them.
    pub owner: Option<String>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Found {
    /// What was read.
    pub what: &'static str,
    /// Keys that were seen, and lines that hold none.
    pub keys: u64,
    /// Lines that are no request.
    pub others: u64,
    /// Most keys first.
    pub generators: Vec<Generator>,
}

/// Reads a log or a reading.
///
/// # Errors
/// Why there are no keys in it.
pub fn read(from: impl Read) -> Result<Found, String> {
    let mut from = BufReader::with_capacity(64 << 10, from);
    let head = from.fill_buf().map_err(|e| e.to_string())?;
    let start: &[u8] = head.get(..head.len().min(4096)).unwrap_or_default();
    let text = String::from_utf8_lossy(start);
    // A document begins with a line that is no whole value; a log of JSON has a value in each line.
    let first = text.lines().next().unwrap_or_default();
    let is_document = text.trim_start().starts_with('{')
        && (serde_json::from_str::<Value>(first).is_err() || first.contains("\"suspects\""));
    if is_document { document(from) } else { log(from) }
}

fn document(from: impl Read) -> Result<Found, String> {
    let document: Value = serde_json::from_reader(from.take(LARGEST))
        .map_err(|e| format!("neither an access log nor a whole document: {e}"))?;
    let mut found = Found { what: "reading of a heap", ..Found::default() };
    held(&document, None, &mut found);
    if found.generators.is_empty() {
        return Err("the document has no templates of keys: plimsoll read HEAP -o json has, where a map's keys are texts".to_owned());
    }
    Ok(found)
}

/// Templates anywhere in a document; its depth is bounded by its parser.
fn held(value: &Value, owner: Option<&str>, found: &mut Found) {
    match value {
        Value::Array(all) => all.iter().for_each(|v| held(v, owner, found)),
        Value::Object(fields) => {
            let owner = fields.get("owner").and_then(Value::as_str).or(owner);
            let sampled = fields.get("sampled").and_then(Value::as_u64).unwrap_or(0);
            let templates = fields.get("templates").and_then(Value::as_array);
            let made = templates.into_iter().flatten().filter_map(|t| template(t, sampled, owner));
            let before = found.generators.len();
            found.generators.extend(made);
            if found.generators.len() > before {
                found.keys = found.keys.saturating_add(sampled);
            }
            fields.values().for_each(|v| held(v, owner, found));
        }
        _ => {}
    }
}

fn template(value: &Value, sampled: u64, owner: Option<&str>) -> Option<Generator> {
    let text = value.get("template")?.as_str()?;
    let share = value.get("share").and_then(Value::as_f64).unwrap_or(0.0).clamp(0.0, 1.0);
    let slots: Vec<Varies> = value
        .get("slots")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|slot| Varies {
            kind: slot.get("kind").and_then(Value::as_str).map_or(SlotKind::Token, kind),
            distinct: slot.get("distinct").and_then(Value::as_u64).unwrap_or(u64::MAX),
        })
        .collect();
    let text = generator(text, &slots, (share * sampled as f64) as u64);
    Some(Generator { method: None, text, share, owner: owner.map(str::to_owned) })
}

fn kind(name: &str) -> SlotKind {
    let all = [SlotKind::Number, SlotKind::Word, SlotKind::Hex, SlotKind::Uuid];
    all.into_iter().find(|k| k.name() == name).unwrap_or(SlotKind::Token)
}

fn log(from: impl Read) -> Result<Found, String> {
    let mut by_method: BTreeMap<&'static str, Keys> = BTreeMap::new();
    let mut found = Found { what: "access log", ..Found::default() };
    for line in Lines::new(from) {
        match request(&line) {
            Some((method, target)) => {
                found.keys += 1;
                by_method.entry(method).or_insert_with(|| Keys::hiding(announces_secret)).push(&target);
            }
            None => found.others += u64::from(!line.trim().is_empty()),
        }
    }
    if found.keys == 0 {
        return Err("no line of it is a request: an access log (common, combined, JSON with a path or a request) is read, or plimsoll read HEAP -o json".to_owned());
    }
    for (method, keys) in by_method {
        for t in keys.finish().templates {
            let slots: Vec<Varies> =
                t.slots.iter().map(|s| Varies { kind: s.kind, distinct: s.distinct }).collect();
            let text = generator(&t.text, &slots, t.count);
            let share = t.count as f64 / found.keys as f64;
            found.generators.push(Generator { method: Some(method.to_owned()), text, share, owner: None });
        }
    }
    found.generators.sort_by(|a, b| b.share.total_cmp(&a.share).then_with(|| a.text.cmp(&b.text)));
    Ok(found)
}

/// Method and target of a line.
fn request(line: &str) -> Option<(&'static str, String)> {
    if line.trim_start().starts_with('{') {
        let value: Value = serde_json::from_str(line).ok()?;
        let text = |names: &[&str]| names.iter().find_map(|n| value.get(*n)?.as_str());
        if let Some(found) = text(&["request", "requestLine", "request_line"]).and_then(quoted) {
            return Some(found);
        }
        let target =
            text(&["request_uri", "requestUri", "uri", "path", "url", "RequestPath", "request_path"])?;
        let method =
            text(&["method", "request_method", "requestMethod", "RequestMethod", "verb"]).unwrap_or("GET");
        return Some((known(method)?, of_target(target)?));
    }
    line.split('"').skip(1).step_by(2).find_map(quoted)
}

/// `GET /users/7 HTTP/1.1`.
fn quoted(text: &str) -> Option<(&'static str, String)> {
    let mut words = text.split(' ');
    let method = known(words.next()?)?;
    Some((method, of_target(words.next()?)?))
}

fn known(method: &str) -> Option<&'static str> {
    METHODS.into_iter().find(|m| m.eq_ignore_ascii_case(method))
}

/// Path and query of a target, also of a whole URL.
fn of_target(target: &str) -> Option<String> {
    let path = match target.split_once("://") {
        Some((_, rest)) => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/"),
        None => target,
    };
    path.starts_with('/').then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_out_of_every_usual_log() {
        for (line, method, target) in [
            (
                r#"10.0.0.1 - - [27/Nov/2026:10:00:00 +0000] "GET /u/7?q=a HTTP/1.1" 200 5 "https://h/x" "curl""#,
                "GET",
                "/u/7?q=a",
            ),
            (r#"[2026-11-27T10:00:00.000Z] "POST /pay HTTP/2" 200 - 0"#, "POST", "/pay"),
            (r#"{"time":"x","method":"put","path":"/a/1","status":200}"#, "PUT", "/a/1"),
            (r#"{"request":"DELETE /a/1 HTTP/1.1"}"#, "DELETE", "/a/1"),
            (r#"{"request_uri":"http://h:8/a?b=1"}"#, "GET", "/a?b=1"),
        ] {
            assert_eq!(request(line), Some((method, target.to_owned())), "{line}");
        }
        for none in
            ["", "GET /a", r#""CONNECT h:443 HTTP/1.1""#, "{", r#"{"path":"a"}"#, "\"\"\"", r#"{"path":5}"#]
        {
            assert_eq!(request(none), None, "{none}");
        }
    }

    #[test]
    fn a_log_becomes_the_templates_of_a_load_without_a_key_of_it() {
        let line = |n: u32| {
            let method = if n.is_multiple_of(4) { "POST" } else { "GET" };
            format!(
                "10.0.0.1 - - [t] \"{method} /users/{}?page={}&token=s3cret{n} HTTP/1.1\" 200 5\n",
                900_000 + n,
                n % 20
            )
        };
        let text: String = (0..2000).map(line).collect::<String>() + "no request\n";
        let found = read(text.as_bytes()).expect("requests");
        assert_eq!((found.keys, found.others), (2000, 1));
        let told: Vec<(&str, &str)> =
            found.generators.iter().map(|g| (g.method.as_deref().expect("one"), g.text.as_str())).collect();
        assert_eq!(told.len(), 2, "{told:?}");
        assert_eq!(told[0].0, "GET");
        assert!(told[0].1.starts_with("/users/{i}?page={n%15}&token="), "{told:?}");
        assert!(!told[0].1.contains("s3cret"), "{told:?}");
        assert!((found.generators[0].share - 0.75).abs() < 1e-9);
        assert!(read(&b"nothing\n"[..]).is_err() && read(&b""[..]).is_err() && read(&b"{\n"[..]).is_err());
    }

    #[test]
    fn the_templates_of_a_heap_become_those_of_a_load() {
        let document = r#"{
          "kind": "Reading",
          "suspects": [{"owner": "UrlCache.ROUTES", "keys": {"sampled": 1000, "templates": [
            {"template": "/users/{number}?trace={hex16}", "share": 1.0,
             "slots": [{"name": "a", "kind": "number", "distinct": 990}, {"name": "trace", "kind": "hex", "distinct": 1000}]}]}}]}"#;
        let found = read(document.as_bytes()).expect("templates");
        assert_eq!(
            found.generators,
            [Generator {
                method: None,
                text: "/users/{i}?trace={hex16}".to_owned(),
                share: 1.0,
                owner: Some("UrlCache.ROUTES".to_owned()),
            }]
        );
        assert!(read(&b"{\n\"kind\": \"Reading\"}"[..]).is_err());
    }
}
