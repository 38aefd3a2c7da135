//! The JSON contract (`docs/json.md`): stable names, units in the names, unknown is null beside its reason.

use plimsoll_core::classify::Finding;
use plimsoll_core::clock::{Bound, Clock};
use plimsoll_core::fact::{Fact, Reading};
use plimsoll_core::judge::Judgement;
use plimsoll_core::recording::{API_VERSION, Recording};
use plimsoll_core::slope::Interval;
use serde_json::{Map, Value, json};

/// The `Triage` document over its targets.
pub(crate) fn triage(targets: &[Value], warnings: &[String]) -> Value {
    json!({"apiVersion": API_VERSION, "kind": "Triage", "targets": targets, "warnings": warnings})
}

/// One entry of `targets[]`.
pub(crate) fn target(r: &Recording, j: &Judgement) -> Value {
    let binding = j.clock.binding();
    let posterior = binding.and_then(|b| b.posterior.as_ref().ok());
    let mut out = Map::new();
    let mut set = |key: &str, value: Value| {
        out.insert(key.to_owned(), value);
    };
    set("target", head(r));
    set("limit", binding.map_or(Value::Null, |b| json!({"bytes": number(b.limit), "source": b.name})));
    set("usage", binding.map_or(Value::Null, |b| json!({"bytes": number(b.usage), "source": b.usage_name})));
    set("headroomBytes", binding.map_or(Value::Null, |b| number(b.headroom())));
    set(
        "floor",
        posterior.map_or(
            Value::Null,
            |p| json!({"bytes": number(p.floor), "source": binding.map(|b| &b.usage_name)}),
        ),
    );
    set("slope", posterior.map_or(Value::Null, |p| slope(p.slope)));
    if let Some(Err(n)) = binding.map(|b| &b.posterior) {
        set("slopeUnknown", json!(n.why));
    }
    set("pLeak", posterior.map_or(Value::Null, |p| number(p.p_leak)));
    set("shape", posterior.map_or(Value::Null, |p| json!(p.shape)));
    set("onsetUnixSeconds", posterior.and_then(|p| p.onset).map_or(Value::Null, interval));
    set("undecidedForSeconds", posterior.and_then(|p| p.undecided_for).map_or(Value::Null, number));
    set("clock", clock(&j.clock));
    set("bounds", j.clock.bounds.iter().map(bound).collect());
    set("verdict", verdict(j));
    set("twoByTwo", json!(j.two_by_two));
    set("next", j.plan.next.as_ref().map_or(Value::Null, |s| json!(s.json())));
    set("alternatives", j.plan.others.iter().map(|s| json!(s.json())).collect());
    set("advice", json!(j.plan.advice));
    let hypotheses = super::triage::hypotheses(r, j);
    let hypotheses =
        hypotheses.iter().map(|h| json!({"setting": h.setting, "why": h.why, "proof": h.proof()}));
    set("hypotheses", hypotheses.collect());
    set("net", json!(j.net));
    set("facts", facts(r));
    set("watchedSeconds", number(watched(r)));
    set("ended", r.ended.as_ref().map_or(Value::Null, |e| json!(e.1)));
    set("notes", r.notes.iter().map(|(t, n)| json!({"unixSeconds": t, "text": n})).collect());
    Value::Object(out)
}

fn watched(r: &Recording) -> f64 {
    r.now().zip(r.from()).map_or(0.0, |(now, from)| now - from)
}

fn head(r: &Recording) -> Value {
    let t = &r.target;
    json!({
        "pid": t.pid, "name": t.name, "runtime": t.runtime, "runtimeVersion": t.runtime_version,
        "container": t.container, "cgroup": t.cgroup, "startedUnixSeconds": t.started,
    })
}

/// JSON has no infinity: "never" is null, and the reader knows it from the field.
pub(super) fn number(v: f64) -> Value {
    if v.is_finite() { json!(v) } else { Value::Null }
}

fn slope(i: Interval) -> Value {
    json!({"bytesPerSecond": number(i.mid), "low": number(i.low), "high": number(i.high)})
}

pub(super) fn interval(i: Interval) -> Value {
    json!({"p10": number(i.low), "p50": number(i.mid), "p90": number(i.high)})
}

fn clock(c: &Clock) -> Value {
    let time = c.binding().and_then(|b| b.posterior.as_ref().ok()).map(|p| interval(p.time_to_limit));
    json!({
        "timeToOomSeconds": time,
        "timeToDegradationSeconds": c.to_degradation.map_or(Value::Null, number),
        "decision": c.decision,
        "reason": c.reason,
        "deadZone": c.dead_zone,
    })
}

fn bound(b: &Bound) -> Value {
    let mut out = json!({
        "name": b.name, "usageName": b.usage_name, "limitBytes": number(b.limit), "usageBytes": number(b.usage),
        "degradesOnly": b.degrades,
    });
    match &b.posterior {
        Ok(p) => {
            out["timeToLimitSeconds"] = interval(p.time_to_limit);
            out["pLeak"] = number(p.p_leak);
            out["slope"] = slope(p.slope);
            out["shape"] = json!(p.shape);
        }
        Err(n) => {
            out["timeToLimitSeconds"] = Value::Null;
            out["timeToLimitUnknown"] = json!(n.why);
        }
    }
    out
}

fn verdict(j: &Judgement) -> Value {
    let v = &j.verdict;
    let texts =
        |f: &[Finding]| f.iter().map(|x| json!({"text": x.text, "weight": x.weight})).collect::<Vec<_>>();
    json!({
        "cause": v.cause, "certainty": v.certainty, "for": texts(&v.pro), "against": texts(&v.contra),
        "notSeen": v.missing, "refutedBy": v.refuted_by, "alsoCauses": v.also, "advice": v.advice,
    })
}

/// The newest number of every fact that was had, and the reason of every one that was not.
fn facts(r: &Recording) -> Value {
    let mut out = Map::new();
    for fact in Fact::ALL {
        match r.reading(*fact) {
            Reading::Known(v) => {
                out.insert(fact.key().to_owned(), number(v));
            }
            Reading::Unknown(why) if r.unknown.contains_key(fact) => {
                out.insert(fact.key().to_owned(), Value::Null);
                out.insert(format!("{}Unknown", fact.key()), json!(why));
            }
            Reading::Unknown(_) => {}
        }
    }
    Value::Object(out)
}

/// A document as text: spread out for people, on one line for `jsonl`.
pub(crate) fn text(document: &Value, format: crate::output::Format) -> String {
    match format {
        crate::output::Format::Jsonl => format!("{document}\n"),
        _ => format!("{document:#}\n"),
    }
}
