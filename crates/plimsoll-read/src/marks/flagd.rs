//! flagd: its files of flags, of which two that follow one another tell what was switched, and the messages of its stream of
//! events, which tell only that something was.

use std::collections::BTreeMap;

use plimsoll_core::mark::{Mark, MarkKind};
use serde_json::Value;

use super::{clean, text};

/// Flags that are kept of a file.
const FLAGS: usize = 10_000;

/// What a flag gives without a context.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// Its default variant; none where the flag is disabled.
    variant: Option<String>,
    /// The value of that variant, where it is yes or no.
    on: Option<bool>,
    /// Its rules, as they stand.
    targeting: Value,
    /// It cannot be evaluated: its clients go by defaults of their own.
    in_error: bool,
}

/// Flags by their keys.
pub type Flags = BTreeMap<String, State>;

/// The flags of a file.
///
/// # Errors
/// When it is none of flagd's.
pub fn flags(bytes: &[u8]) -> Result<Flags, String> {
    let document: Value = serde_json::from_slice(bytes).map_err(|e| format!("no JSON: {e}"))?;
    let flags =
        document.get("flags").and_then(Value::as_object).ok_or("no file of flagd: it has no flags")?;
    Ok(flags.iter().take(FLAGS).map(|(key, flag)| (clean(key), state(flag))).collect())
}

fn state(flag: &Value) -> State {
    let is_enabled = text(flag, &["state"]).is_none_or(|s| s.eq_ignore_ascii_case("enabled"));
    let variant = text(flag, &["defaultVariant"]).filter(|_| is_enabled);
    let value = variant.as_ref().and_then(|v| flag.get("variants")?.get(v));
    let on = if is_enabled { value.and_then(Value::as_bool) } else { Some(false) };
    let targeting = flag.get("targeting").cloned().filter(|_| is_enabled).unwrap_or(Value::Null);
    State { variant, on, targeting, in_error: false }
}

/// What was changed from one file to the next, at a time (Unix seconds). A flag whose variants are no yes or no is one for each variant.
pub fn changes(before: &Flags, after: &Flags, unix_seconds: f64) -> Vec<Mark> {
    let mark = |kind, name: String, off| Mark { unix_seconds, kind, name, off, workload: None };
    let mut marks = Vec::new();
    for (key, now) in after {
        let was = before.get(key);
        let is_yes_or_no = now.on.is_some() && was.is_none_or(|w| w.on.is_some());
        let was_variant = was.and_then(|w| w.variant.clone());
        if is_yes_or_no {
            let was_on = was.and_then(|w| w.on).unwrap_or(false);
            if now.on != Some(was_on) {
                marks.push(mark(MarkKind::Flag, key.clone(), was_on));
            }
        } else if now.variant != was_variant {
            let named = |v: String| format!("{key}={v}");
            marks.extend(was_variant.map(|v| mark(MarkKind::Flag, named(v), true)));
            marks.extend(now.variant.clone().map(|v| mark(MarkKind::Flag, named(v), false)));
        }
        if was.is_some_and(|w| w.targeting != now.targeting) {
            marks.push(mark(MarkKind::Config, format!("{key} (targeting)"), false));
        }
    }
    for (key, was) in before.iter().filter(|(key, _)| !after.contains_key(*key)) {
        match (was.on, &was.variant) {
            (Some(true), _) => marks.push(mark(MarkKind::Flag, key.clone(), true)),
            (None, Some(v)) => marks.push(mark(MarkKind::Flag, format!("{key}={v}"), true)),
            _ => {}
        }
    }
    marks
}

/// The same from one answer of flagd to the next, of which its stream named what was changed; `after` becomes what is known then. Answers do
/// not show rules: a flag that was changed and answers as before has others, or another definition.
pub fn followed(before: &Flags, after: &mut Flags, changed: &[Change], unix_seconds: f64) -> Vec<Mark> {
    // What cannot be evaluated, or was changed and is not answered, is not switched off: clients go by their own defaults.
    let is_kept = |key: &str| changed.iter().rev().find(|c| c.key == key).is_some_and(|c| !c.deleted);
    for (key, was) in before {
        let is_silent = after.get(key).map_or_else(|| is_kept(key), |now| now.in_error);
        if is_silent {
            after.insert(key.clone(), was.clone());
        }
    }
    after.retain(|_, now| !now.in_error);
    let mut marks = changes(before, after, unix_seconds);
    let is_same = |key: &str| before.get(key).is_some_and(|was| after.get(key) == Some(was));
    let mut keys: Vec<&str> = changed.iter().map(|c| c.key.as_str()).filter(|key| is_same(key)).collect();
    keys.sort_unstable();
    keys.dedup();
    marks.extend(keys.into_iter().map(|key| Mark {
        unix_seconds,
        kind: MarkKind::Config,
        name: format!("{key} (definition)"),
        off: false,
        workload: None,
    }));
    marks
}

/// A flag that was changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Its key.
    pub key: String,
    /// Whether it is gone.
    pub deleted: bool,
}

/// What a message of the stream says.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// These flags were changed; the message does not say to what.
    Changed(Vec<Change>),
    /// Anything else: it is ready, or it still lives.
    Other,
}

/// Reads one message of `flagd.evaluation.v1.Service/EventStream`.
///
/// # Errors
/// When it is no such message.
pub fn message(bytes: &[u8]) -> Result<Message, String> {
    let message: Value = serde_json::from_slice(bytes).map_err(|e| format!("no JSON: {e}"))?;
    match text(&message, &["type"]).as_deref() {
        Some("configuration_change") => {
            let flags = message.pointer("/data/flags").and_then(Value::as_object).into_iter().flatten();
            let deleted = |change: &Value| text(change, &["type"]).as_deref() == Some("delete");
            let change =
                |(key, change): (&String, &Value)| Change { key: clean(key), deleted: deleted(change) };
            Ok(Message::Changed(flags.map(change).take(FLAGS).collect()))
        }
        Some(_) => Ok(Message::Other),
        None => Err("no event of flagd: it has no type".to_owned()),
    }
}

/// The state of flags that `ResolveAll` answers.
///
/// # Errors
/// When it is no such answer.
pub fn resolved(bytes: &[u8]) -> Result<Flags, String> {
    let answer: Value = serde_json::from_slice(bytes).map_err(|e| format!("no JSON: {e}"))?;
    let flags =
        answer.get("flags").and_then(Value::as_object).ok_or("no answer of flagd: it has no flags")?;
    let state = |flag: &Value| State {
        variant: text(flag, &["variant"]),
        on: flag.get("boolValue").and_then(Value::as_bool),
        targeting: Value::Null,
        in_error: text(flag, &["reason"]).as_deref() == Some("ERROR"),
    };
    Ok(flags.iter().take(FLAGS).map(|(key, flag)| (clean(key), state(flag))).collect())
}
