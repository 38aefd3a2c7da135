//! Each rollout against what ran before it, on one screen and as a document.

use plimsoll_core::bisect::deploys::Compared;
use plimsoll_core::recording::API_VERSION;
use plimsoll_core::units;
use serde_json::{Value, json};

use super::cluster::{full_name, slope, tag};
use super::columns::Columns;
use super::json::{interval, number};
use super::overview::cut;
use super::paint::Paint;
use crate::cli::bisect::Audited;
use crate::output::plain;

/// The screen as text.
pub(crate) fn screen(all: &[Audited<'_>], most: usize, warnings: &[String], paint: Paint) -> String {
    let more = all.iter().filter(|a| a.is_more()).count();
    let mut out = paint.dim(&format!(
        "{} rollouts, {more} of which climb more than what ran before; 5 % false alarms for all together, however often one looks\n",
        all.len()
    ));
    let lines: Vec<[String; 6]> = all.iter().take(most).map(cells).collect();
    let head = ["WORKLOAD", "SINCE", "VERSIONS", "BEFORE [80 %]", "NOW [80 %]", "WHAT"].map(str::to_owned);
    let columns = Columns::of(lines.iter().chain([&head]), [false; 6]);
    out += &paint.bold(&columns.line(&head));
    for (audited, cells) in all.iter().zip(&lines) {
        let line = columns.line(cells);
        out += &if audited.is_more() { paint.red(&line) } else { line };
    }
    if all.len() > most {
        out += &paint.dim(&format!("and {} more (--rows)\n", all.len() - most));
    }
    for warning in warnings {
        out += &paint.yellow(&format!("WARNING  {}\n", plain(warning)));
    }
    out + &next(all)
}

fn name(a: &Audited<'_>) -> String {
    let w = a.workload;
    let heap = if w.is_heap { " (heap)" } else { "" };
    full_name(&w.cluster, &w.namespace, &w.name, &w.container) + heap
}

fn cells(a: &Audited<'_>) -> [String; 6] {
    let r = &a.rollout;
    let since = jiff::Timestamp::from_second(r.at as i64)
        .map_or_else(|_| String::new(), |t| t.strftime("%m-%d %H:%M").to_string());
    let of = |slope: Option<String>| slope.unwrap_or_else(|| "?".to_owned());
    [
        cut(&name(a), 44),
        since,
        cut(&plain(&format!("{} → {}", tag(&r.from), tag(&r.to))), 40),
        of(r.compared.map(|c| slope(c.baseline))),
        of(r.compared.map(|c| slope(c.canary))),
        r.compared.map_or_else(|| "too short for a slope yet".to_owned(), |c| what(&c)),
    ]
}

fn what(c: &Compared) -> String {
    let youth = if c.same_age {
        ""
    } else {
        "; the one before was not seen that young: a warm-up is not told from a climb"
    };
    if c.is_more {
        format!("climbs more, by {}{youth}", slope(c.adds))
    } else {
        format!("not shown to climb more; {} would have been seen{youth}", units::rate(c.told_from))
    }
}

fn next(all: &[Audited<'_>]) -> String {
    match all.first().filter(|a| a.is_more()) {
        Some(a) => format!(
            "\nNEXT  what {} brought: plimsoll bisect suspects --good {} --bad {}, in its repository\n",
            plain(tag(&a.rollout.to)),
            plain(tag(&a.rollout.from)),
            plain(tag(&a.rollout.to))
        ),
        None if all.is_empty() => "\nno workload had two versions in this time: a longer --past\n".to_owned(),
        None => "\nno rollout is shown to climb more than what ran before it\n".to_owned(),
    }
}

/// The document (`docs/json.md`).
pub(crate) fn document(all: &[Audited<'_>], warnings: &[String]) -> Value {
    json!({
        "apiVersion": API_VERSION, "kind": "RolloutAudit", "rollouts": all.iter().map(entry).collect::<Vec<_>>(),
        "warnings": warnings,
    })
}

fn entry(a: &Audited<'_>) -> Value {
    let (w, r) = (a.workload, &a.rollout);
    let of = |get: fn(&Compared) -> Value| r.compared.as_ref().map_or(Value::Null, get);
    json!({
        "cluster": w.cluster, "namespace": w.namespace, "name": w.name, "container": w.container, "number": w.number,
        "from": r.from, "to": r.to, "sinceUnixSeconds": number(r.at), "sameAge": of(|c| json!(c.same_age)),
        "climbsMore": of(|c| json!(c.is_more)), "beforeBytesPerSecond": of(|c| interval(c.baseline)),
        "nowBytesPerSecond": of(|c| interval(c.canary)), "addsBytesPerSecond": of(|c| interval(c.adds)),
        "smallestBytesPerSecond": of(|c| number(c.told_from)),
    })
}
