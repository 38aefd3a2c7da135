//! `kind: Guard`.

use plimsoll_core::fact::Unit;
use plimsoll_core::guard::{Judged, KeyMode};
use plimsoll_core::recording::API_VERSION;
use serde_json::{Value, json};

use super::{Phase, Tested, words};

/// The whole document.
pub(crate) fn json(tested: &Tested) -> Value {
    let last = tested.phases.last();
    let target = last.and_then(|p| p.target.as_ref());
    json!({
        "apiVersion": API_VERSION,
        "kind": "Guard",
        "outcome": tested.outcome().name(),
        "target": target.map(|t| json!({"pid": t.pid, "name": t.name, "runtime": t.runtime})),
        "phases": tested.phases.iter().map(phase).collect::<Vec<_>>(),
        "metrics": last.map(metrics),
        "keys": tested.keys().map(|k| json!({"finding": k.name(), "text": k.in_words()})),
        "howLong": words::how_long(tested),
        "next": words::next(tested),
        "notes": tested.phases.iter().flat_map(|p| &p.notes).collect::<Vec<_>>(),
    })
}

fn phase(p: &Phase) -> Value {
    let (keys, pool) = match p.keys {
        KeyMode::Distinct => ("distinct", None),
        KeyMode::Pool(n) => ("pool", Some(n)),
    };
    json!({
        "keys": keys,
        "poolSize": pool,
        "outcome": p.course.outcome().name(),
        "rounds": p.course.rounds().len(),
        "iterations": p.course.iterations(),
        "failed": p.course.rounds().iter().map(|r| r.failed).sum::<u64>(),
        "seconds": p.seconds,
        "culprits": p.culprits().iter().map(|(name, r)| json!({"artifact": name, "reading": r.value})).collect::<Vec<_>>(),
        "withdrawn": p.course.withdrawn().iter().map(ToString::to_string).collect::<Vec<_>>(),
        "metrics": metrics(p),
    })
}

fn metrics(p: &Phase) -> Vec<Value> {
    p.course.judged().iter().map(metric).collect()
}

/// A bound that is not there is null.
fn number(v: f64) -> Value {
    if v.is_finite() { json!(v) } else { Value::Null }
}

fn metric(j: &Judged) -> Value {
    let mut out = json!({
        "name": j.metric.name(),
        "unit": if j.metric.unit() == Unit::Bytes { "bytes" } else { "count" },
        "tolerance": j.tolerance,
        "levels": j.levels.iter().map(|l| json!([l.work, l.value])).collect::<Vec<_>>(),
    });
    match &j.growth {
        Err(why) => {
            out["verdict"] = Value::Null;
            out["verdictUnknown"] = json!(why);
        }
        Ok(g) => {
            out["verdict"] = json!(g.verdict.name());
            out["slopePerIteration"] =
                json!({"value": g.trend.slope, "low": number(g.trend.low), "high": number(g.trend.high)});
            out["smallestSeen"] = number(g.smallest_seen);
            out["warmUpRounds"] = json!(g.warm_up);
            out["iterationsNeeded"] = g.needs.map_or(Value::Null, number);
        }
    }
    out
}
