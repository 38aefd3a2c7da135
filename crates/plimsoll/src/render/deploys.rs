//! Which deploy, flag or setting it was, on one screen and as a document.

use plimsoll_core::bisect::deploys::{Blame, Blamed, Canary, Cause, OfVersion, Tied};
use plimsoll_core::cluster::Row;
use plimsoll_core::recording::API_VERSION;
use plimsoll_core::slope::Interval;
use plimsoll_core::units;
use serde_json::{Value, json};

use super::cluster::{full_name, tag};
use super::json::{interval, number};
use super::paint::Paint;
use crate::cli::bisect::Told;
use crate::output::plain;

/// What is less likely is not shown.
const FAINT: f64 = 0.005;
/// Share by which what mends may differ from what it undoes.
const ALIKE: f64 = 0.25;
/// Causes, versions and ties that are shown of a workload.
const SHOWN: usize = 6;

/// The screen as text.
pub(crate) fn screen(told: &[Told], marks: usize, warnings: &[String], paint: Paint) -> String {
    let mut out = paint.dim(&format!("{} workloads that climb or may; {marks} marks\n", told.len()));
    for Told { row, blame } in told {
        out += &workload(row, blame.as_ref(), paint);
    }
    for warning in warnings {
        out += &paint.yellow(&format!("WARNING  {}\n", plain(warning)));
    }
    if told.is_empty() { out + "\nnothing that could be judged climbs\n" } else { out }
}

fn workload(row: &Row, blame: Result<&Blame, &String>, paint: Paint) -> String {
    let name = full_name(&row.cluster, &row.namespace, &row.name, &row.container);
    let mut out = paint.bold(&format!("\n{name}"));
    match &row.verdict {
        Ok(v) => {
            let onset = v.onset.map_or_else(String::new, |o| {
                format!(", since {} ({} to {})", day(o.mid), day(o.low), day(o.high))
            });
            out += &format!("  {}: {}{onset}\n", v.movement.name(), slope(v.slope));
        }
        Err((why, _)) => out += &format!("  cannot be judged yet: {}\n", plain(why)),
    }
    let blame = match blame {
        Err(why) => return out + &paint.dim(&format!("  the cause cannot be told: {}\n", plain(why))),
        Ok(blame) => blame,
    };
    for cause in blame.causes.iter().take_while(|c| c.p >= FAINT).take(SHOWN) {
        let line = self::cause(cause);
        out += &if cause.is_told(0.5) { paint.red(&line) } else { line };
    }
    out.extend(blame.mended.iter().take(SHOWN).map(mended));
    out.extend(blame.versions.iter().rev().take(SHOWN).rev().map(version));
    out.extend(blame.tied.iter().take(SHOWN).map(|t| paint.yellow(&tied(t))));
    let more = blame.tied.len().saturating_sub(SHOWN);
    if more > 0 {
        out += &paint.yellow(&format!("  TIED  and {more} more pairs\n"));
    }
    if !is_told(blame) {
        out += &canaries(blame);
    }
    out + &format!("  NEXT  {}\n", next(blame, row.is_finding()))
}

/// Whether the history says what it was.
fn is_told(blame: &Blame) -> bool {
    blame.tied.is_empty() && blame.causes.iter().any(|c| c.is_told(0.5))
}

/// The experiment that would tell where the history does not.
fn canaries(blame: &Blame) -> String {
    let of = |c: &Canary| format!("{} for {}", c.replicas, units::duration(c.seconds));
    match blame.canaries.iter().map(of).collect::<Vec<_>>() {
        of if of.is_empty() => String::new(),
        of => format!(
            "  TRY   another version or setting on a canary: replicas {}, behind the warm-up, show whether this slope goes with it\n",
            of.join(", or ")
        ),
    }
}

fn day(t: f64) -> String {
    jiff::Timestamp::from_second(t as i64)
        .map_or_else(|_| "?".to_owned(), |t| t.strftime("%m-%d %H:%M").to_string())
}

fn slope(i: Interval) -> String {
    format!("{} ({} to {})", units::rate(i.mid), units::rate(i.low), units::rate(i.high))
}

fn name(cause: &Cause) -> String {
    match cause {
        Cause::Version(version) => format!("version {}", plain(version)),
        Cause::Switched(kind, name) => format!("{} {}", kind.name(), plain(name)),
        Cause::Unmarked(time) => format!("something that is not marked, about {}", day(*time)),
        Cause::Never => "nothing that changed in this time".to_owned(),
    }
}

fn cause(c: &Blamed) -> String {
    let since = match (&c.cause, c.since) {
        (Cause::Version(_) | Cause::Switched(..), Some(t)) => format!(", since {}", day(t)),
        _ => String::new(),
    };
    let adds = if c.cause == Cause::Never { String::new() } else { format!(", adds {}", slope(c.adds)) };
    format!("  {:.2}  {}{since}{adds}\n", c.p, name(&c.cause))
}

/// What mended a climb, and by how much.
fn mended(c: &Blamed) -> String {
    let less = Interval { low: -c.adds.high, mid: -c.adds.mid, high: -c.adds.low };
    let since = c.since.map_or_else(String::new, |t| format!(", since {}", day(t)));
    format!("  {:.2}  {} mended a climb{since}, takes away {}\n", c.p, name(&c.cause), slope(less))
}

fn version(v: &OfVersion) -> String {
    let slope = v.slope.map_or_else(|| "too short for a slope".to_owned(), slope);
    format!(
        "  SLOPE {}: {slope}; {} replicas, {} lives, {}\n",
        plain(&v.version),
        v.replicas,
        v.lives,
        units::duration(v.seconds)
    )
}

fn tied(t: &Tied) -> String {
    let long = t
        .seconds
        .map_or_else(|| "for a time that is not known".to_owned(), |s| format!("for {}", units::duration(s)));
    format!(
        "  TIED  {} and {} were active at the same times: this history cannot tell them apart\n        one replica with only one of the two, beside one without both, {long} after its warm-up would\n",
        name(&t.a),
        name(&t.b)
    )
}

/// What to do next; `climbs` says whether the workload is one that climbs.
fn next(blame: &Blame, climbs: bool) -> String {
    let Some(first) = blame.causes.first() else { return "look at it again later".to_owned() };
    if !blame.tied.is_empty() {
        return "the experiment above, on one replica".to_owned();
    }
    let told: Vec<&Blamed> = blame.causes.iter().filter(|c| c.is_told(0.5)).collect();
    let left = told.iter().filter(|c| !is_mended(blame, &told, c));
    let mut looks: Vec<String> = left.filter_map(|c| look(blame, &c.cause)).collect();
    if blame.causes.iter().any(|c| matches!(c.cause, Cause::Unmarked(_)) && c.p >= 0.5) {
        looks.push(
            "what changed then that nobody marked: traffic, a dependency, a node? plimsoll mark records it"
                .to_owned(),
        );
    }
    match first.cause {
        _ if !looks.is_empty() => looks.join("; and "),
        _ if !told.is_empty() && climbs => {
            "keep what mended it; it climbs on, and a longer --past may tell why".to_owned()
        }
        _ if !told.is_empty() => "keep what mended it".to_owned(),
        Cause::Never if first.p >= 0.5 => "a longer --past: it climbed from the begin on".to_owned(),
        _ => "a longer --past, or more marks: nothing is likely enough".to_owned(),
    }
}

/// Whether something that came later took away about what a cause had brought, and about what no other one had.
fn is_mended(blame: &Blame, told: &[&Blamed], cause: &Blamed) -> bool {
    let undoes =
        |m: &Blamed, c: &Blamed| m.since > c.since && (m.adds.mid + c.adds.mid).abs() <= ALIKE * c.adds.mid;
    let only = |m: &&Blamed| told.iter().filter(|c| undoes(m, c)).count() == 1;
    blame.mended.iter().filter(only).any(|m| undoes(m, cause))
}

/// What to do about a cause that has a name.
fn look(blame: &Blame, cause: &Cause) -> Option<String> {
    match cause {
        Cause::Version(v) => {
            let at = blame.versions.iter().position(|of| of.version == *v);
            let before = at.and_then(|at| blame.versions.get(at.checked_sub(1)?));
            let [good, bad] = [before.map_or("?", |of| tag(&of.version)), tag(v)].map(plain);
            Some(format!(
                "plimsoll bisect suspects --good {good} --bad {bad} in its repository, then plimsoll bisect commits"
            ))
        }
        Cause::Switched(_, name) => {
            Some(format!("switch {} back on one replica and watch its slope", plain(name)))
        }
        Cause::Unmarked(_) | Cause::Never => None,
    }
}

/// The document (`docs/json.md`).
pub(crate) fn document(told: &[Told], marks: usize, warnings: &[String]) -> Value {
    json!({
        "apiVersion": API_VERSION, "kind": "DeployBisection", "marks": marks,
        "workloads": told.iter().map(entry).collect::<Vec<_>>(), "warnings": warnings,
    })
}

fn entry(t: &Told) -> Value {
    let mut out = super::cluster::row(&t.row);
    match &t.blame {
        Err(why) => {
            out["causes"] = Value::Null;
            out["causesUnknown"] = json!(why);
        }
        Ok(blame) => {
            let credible = blame.credible(0.9).len();
            let causes = blame.causes.iter().enumerate();
            out["causes"] = causes.map(|(at, c)| of_cause(c, at < credible)).collect();
            out["mended"] = blame.mended.iter().map(of_mended).collect();
            out["versions"] = blame.versions.iter().map(of_version).collect();
            let tied = |t: &Tied| json!({"causes": [name(&t.a), name(&t.b)], "replicaSeconds": t.seconds});
            out["tied"] = blame.tied.iter().map(tied).collect();
            let canary = |c: &Canary| json!({"replicas": c.replicas, "seconds": c.seconds});
            out["canaries"] = blame.canaries.iter().map(canary).collect();
            out["next"] = json!(next(blame, t.row.is_finding()));
        }
    }
    out
}

fn of_cause(c: &Blamed, credible: bool) -> Value {
    let (kind, name) = match &c.cause {
        Cause::Version(v) => ("version", Some(v)),
        Cause::Switched(kind, name) => (kind.name(), Some(name)),
        Cause::Unmarked(_) => ("unmarked", None),
        Cause::Never => ("never", None),
    };
    json!({
        "kind": kind, "name": name, "p": number(c.p), "inCredibleSet": credible,
        "sinceUnixSeconds": c.since.map_or(Value::Null, number), "addsBytesPerSecond": interval(c.adds),
    })
}

fn of_mended(c: &Blamed) -> Value {
    let mut of = of_cause(c, false);
    of.as_object_mut().map(|fields| fields.remove("inCredibleSet"));
    of
}

fn of_version(v: &OfVersion) -> Value {
    json!({
        "version": v.version, "replicas": v.replicas, "lives": v.lives, "seconds": number(v.seconds),
        "slopeBytesPerSecond": v.slope.map_or(Value::Null, interval),
    })
}
