//! Workloads of a cluster on one screen, the next to die first.

use plimsoll_core::cluster::{Movement, Net, Row, Unlike, Verdict, Work};
use plimsoll_core::recording::API_VERSION;
use plimsoll_core::slope::Interval;
use plimsoll_core::units;
use serde_json::{Value, json};

use super::columns::Columns;
use super::json::{interval, number};
use super::overview::cut;
use super::paint::Paint;
use crate::cli::prometheus::Asked;
use crate::output::plain;

/// Time below which there is no time to look at it in calm, seconds.
const SOON: f64 = 24.0 * 3600.0;
/// What stands above the cells of a row, and which cells are set to the right.
const HEAD: [&str; 9] =
    ["WORKLOAD", "FLOOR", "SLOPE [80 %]", "LIMIT", "TIME LEFT [80 %]", "WHAT", "SINCE", "NET", "RESTARTS"];
const RIGHT: [bool; 9] = [false, true, false, true, false, false, false, false, false];
/// Characters of a workload's name that are shown.
const LONGEST: usize = 44;
/// Share of an hour from which on waiting for memory is told.
const WAITS: f64 = 0.02;
/// Lines on waves and on limits that are too large, of each.
const BESIDE: usize = 5;

/// The screen as text.
pub(crate) fn screen(rows: &[Row], asked: &Asked, most: usize, paint: Paint) -> String {
    let mut out = paint.dim(&head(rows, asked));
    let clusters = has_clusters(rows);
    let shown = rows.iter().take(most);
    let lines: Vec<[String; 9]> = shown.clone().map(|row| cells(row, clusters)).collect();
    let head = HEAD.map(str::to_owned);
    let columns = Columns::of(lines.iter().chain([&head]), RIGHT);
    out += &paint.bold(&columns.line(&head));
    for (row, cells) in shown.zip(&lines) {
        out += &match &row.verdict {
            Err((why, more)) => paint.dim(&columns.words(&cells[0], &unknown(why, *more))),
            Ok(v) => coloured(v, &columns.line(cells), paint),
        };
    }
    if rows.len() > most {
        out += &paint.dim(&format!("and {} more (--rows)\n", rows.len() - most));
    }
    out += &beside(rows, asked);
    for warning in &asked.warnings {
        out += &paint.yellow(&format!("WARNING  {}\n", plain(warning)));
    }
    out + &next(rows)
}

fn head(rows: &[Row], asked: &Asked) -> String {
    let (workloads, from) = (rows.len(), &asked.from);
    // What others judged does not say when.
    if asked.step <= 0.0 {
        return format!("{workloads} workloads, judged before, from {from}\n");
    }
    format!(
        "{workloads} workloads, {} series from {from}: {} until {}, a floor every {}\n",
        asked.containers,
        units::duration(asked.past),
        jiff::Timestamp::from_second(asked.now as i64).map_or_else(|_| String::new(), |t| t.to_string()),
        units::duration(asked.step),
    )
}

/// Whether the cluster must be told to know which workload is meant.
fn has_clusters(rows: &[Row]) -> bool {
    rows.iter().any(|row| row.cluster != rows[0].cluster)
}

fn name(row: &Row, clusters: bool) -> String {
    let cluster = if clusters { row.cluster.as_str() } else { "" };
    full_name(cluster, &row.namespace, &row.name, &row.container)
}

/// A workload's name as it is shown.
pub(crate) fn full_name(cluster: &str, namespace: &str, name: &str, container: &str) -> String {
    let above =
        [cluster, namespace].map(|part| if part.is_empty() { String::new() } else { format!("{part}/") });
    let is_told = container != name && !container.is_empty();
    let container = if is_told { format!(":{container}") } else { String::new() };
    plain(&format!("{}{name}{container}", above.concat()))
}

/// What is shown of a row; only its name where it cannot be judged.
fn cells(row: &Row, clusters: bool) -> [String; 9] {
    let name = cut(&name(row, clusters), LONGEST);
    let Ok(v) = &row.verdict else {
        return std::array::from_fn(|at| if at == 0 { name.clone() } else { String::new() });
    };
    let restarts = match row.kills {
        Some(kills) if kills > 0 => format!("{}, {kills} for memory", row.restarts),
        _ => row.restarts.to_string(),
    };
    [
        name,
        units::bytes(v.floor),
        slope(v.slope),
        row.limit.map_or_else(|| "none known".to_owned(), units::bytes),
        time(v, row.limit),
        v.movement.name().to_owned(),
        cut(&plain(&since(v)), 14),
        row.net.name().to_owned(),
        restarts,
    ]
}

fn unknown(why: &str, more: Option<f64>) -> String {
    let more = more.map_or_else(String::new, |s| format!("; ask again in {}", units::duration(s)));
    format!("cannot be judged yet: {}{more}", plain(why))
}

fn coloured(v: &Verdict, line: &str, paint: Paint) -> String {
    match v.movement {
        Movement::Leak | Movement::RestartMasked if v.time_to_limit.low < SOON => paint.red(line),
        Movement::Leak | Movement::RestartMasked => paint.yellow(line),
        _ => line.to_owned(),
    }
}

pub(crate) fn slope(i: Interval) -> String {
    spread([i.mid, i.low, i.high].map(units::rate))
}

/// A number with its interval; the unit is said once where it is the same.
fn spread([mid, low, high]: [String; 3]) -> String {
    let unit = |text: &str| text.rsplit_once(' ').map(|(number, unit)| (number.to_owned(), unit.to_owned()));
    match (unit(&mid), unit(&low), unit(&high)) {
        (Some((_, a)), Some((low, b)), Some((high, c))) if a == b && b == c => {
            format!("{mid} [{low} .. {high}]")
        }
        _ => format!("{mid} [{low} .. {high}]"),
    }
}

fn time(v: &Verdict, limit: Option<f64>) -> String {
    let t = v.time_to_limit;
    if limit.is_none() {
        "?".to_owned()
    } else if t.low.is_infinite() {
        "–".to_owned()
    } else if t.mid.is_infinite() {
        format!("maybe {}", units::duration(t.low))
    } else {
        spread([t.mid, t.low, t.high].map(units::duration))
    }
}

/// What tells an image from others of its name.
pub(crate) fn tag(version: &str) -> &str {
    let last = version.rsplit('/').next().unwrap_or(version);
    last.rsplit_once(':').map_or(last, |(_, tag)| tag)
}

/// The version that the climb came with, else when it began. Of an image, what tells it from others.
fn since(v: &Verdict) -> String {
    match (&v.since, v.onset) {
        (Some(version), _) => tag(version).to_owned(),
        (None, Some(_)) if v.since_mark.is_some() => marked(v).unwrap_or_default(),
        (None, Some(onset)) => jiff::Timestamp::from_second(onset.mid as i64)
            .map_or_else(|_| String::new(), |t| t.strftime("%m-%d %H:%M").to_string()),
        (None, None) => String::new(),
    }
}

/// The mark that the climb came with.
fn marked(v: &Verdict) -> Option<String> {
    let (mark, _) = v.since_mark.as_ref()?;
    let off = if mark.off { " off" } else { "" };
    Some(format!("{} {}{off}", mark.kind.name(), mark.name))
}

/// What concerns several replicas, and what has room to give.
fn beside(rows: &[Row], asked: &Asked) -> String {
    let mut out = String::new();
    let clusters = has_clusters(rows);
    let name = |row: &Row| name(row, clusters);
    let known = || rows.iter().filter_map(|row| Some((row, row.verdict.as_ref().ok()?)));
    let waves = known().filter_map(|(row, v)| Some((row, v.wave?)));
    for (row, wave) in waves.take(BESIDE) {
        out += &format!(
            "WAVE  {}: {} replicas reach the limit within {} of each other: restart one every {}\n",
            name(row),
            wave.replicas,
            // What lies between two floors is not known.
            units::duration(wave.within.max(asked.step)),
            units::duration(wave.stagger),
        );
    }
    for (row, v) in known().filter(|(row, _)| row.is_finding()).take(2 * BESIDE) {
        out += &notes(&name(row), row, v);
    }
    out += &without_net(rows);
    let mut waiting: Vec<_> = rows.iter().filter_map(|row| Some((row, row.waits.as_ref()?))).collect();
    waiting.retain(|(_, (_, share))| *share >= WAITS);
    waiting.sort_by(|a, b| b.1.1.total_cmp(&a.1.1));
    for (row, (pod, share)) in waiting.iter().take(BESIDE) {
        out += &format!(
            "WAITS {}: in {:.0} % of the last hour something in {} waited for memory: it is slow before it dies\n",
            name(row),
            100.0 * share,
            plain(pod),
        );
    }
    let mut roomy: Vec<_> = known().filter_map(|(row, v)| Some((row, row.limit?, v.enough?))).collect();
    roomy.sort_by(|a, b| (b.1 - b.2).total_cmp(&(a.1 - a.2)));
    for (row, limit, enough) in roomy.iter().take(BESIDE) {
        out += &format!(
            "ROOM  {}: flat, and far below its limit: {} would do in place of {}\n",
            name(row),
            units::bytes(*enough),
            units::bytes(*limit),
        );
    }
    if out.is_empty() { out } else { format!("\n{out}") }
}

/// Which number it is that climbs, and what the others and the requests say of it.
fn notes(name: &str, row: &Row, v: &Verdict) -> String {
    let mut out = String::new();
    if let Some(Unlike { replicas, of }) = v.unlike {
        let others =
            if replicas == of { format!("the other {of}") } else { format!("{replicas} of the other {of}") };
        let unlike = match replicas {
            0 => format!("climbs faster than the other {of}"),
            1 => format!("climbs as {others} does not"),
            _ => format!("climbs as {others} do not"),
        };
        let pod = plain(&v.pod);
        out += &format!(
            "ALONE {name}: {pod} {unlike}: look for what it alone has (a shard, a tenant, a node, a version)\n"
        );
    }
    if let (Some((mark, more)), Some(words)) = (&v.since_mark, marked(v)) {
        let at = jiff::Timestamp::from_second(mark.unix_seconds as i64)
            .map_or_else(|_| String::new(), |t| t.strftime("%m-%d %H:%M").to_string());
        let more =
            if *more > 0 { format!(", and {more} more marks within the same time") } else { String::new() };
        out += &format!(
            "MARK  {name}: it began about when {} was marked ({at}){more}: plimsoll bisect deploys\n",
            plain(&words)
        );
    }
    let calm = |m: Movement| !matches!(m, Movement::Leak | Movement::RestartMasked | Movement::Undecided);
    match &row.other {
        Some(o) if row.is_heap && calm(o.movement) => {
            out += &format!("HEAP  {name}: {} climbs; the whole does not show it yet\n", row.number);
        }
        Some(_) if row.is_heap => {
            out += &format!("HEAP  {name}: {} climbs, towards its own limit\n", row.number);
        }
        Some(o) if calm(o.movement) => {
            out += &format!(
                "HEAP  {name}: {} is calm ({}): what grows is outside of the heap, or garbage that no collection was needed for\n",
                o.number,
                o.movement.name()
            );
        }
        Some(o) => out += &format!("HEAP  {name}: {} climbs too\n", o.number),
        None if row.is_heap => out += &format!("HEAP  {name}: {} was judged\n", row.number),
        None => {}
    }
    out += &net(name, row);
    if let Some(w) = &v.work {
        out += &format!(
            "LOAD  {name}: {} a request, and {} without any ({:.0} % of the climb goes with requests)\n",
            spread([w.per_request.mid, w.per_request.low, w.per_request.high].map(bytes)),
            slope(w.per_second),
            100.0 * w.share,
        );
    }
    out
}

/// What its net means for who looks at it now.
fn net(name: &str, row: &Row) -> String {
    match row.net {
        Net::Ready | Net::NoneSeen | Net::Unknown => String::new(),
        Net::NotReady => {
            format!(
                "NET   {name}: its agent says that nothing would be left of it: plimsoll audit says why\n"
            )
        }
        Net::Own => format!(
            "NET   {name}: its heap is full before the kernel kills, so its runtime may leave a dump, if it was told to: plimsoll audit\n"
        ),
    }
}

/// Of how many that climb nothing would be left.
fn without_net(rows: &[Row]) -> String {
    match rows.iter().filter(|row| row.is_finding() && row.net == Net::NoneSeen).count() {
        0 => String::new(),
        count => format!(
            "NET   nothing would be left of {count} that climb{}: the kernel's kill lets nothing be written, and no agent that writes before it is known here: plimsoll watch\n",
            if count == 1 { "s" } else { "" }
        ),
    }
}

/// An amount that may be below one byte.
fn bytes(v: f64) -> String {
    if v.abs() < 10.0 {
        format!("{v:.1} B")
    } else if v < 0.0 {
        format!("-{}", units::bytes(-v))
    } else {
        units::bytes(v)
    }
}

fn next(rows: &[Row]) -> String {
    let name = |row: &Row| name(row, has_clusters(rows));
    // What climbs stands first, and what may climb behind it.
    let first = rows.first().and_then(|row| Some((row, row.verdict.as_ref().ok()?)));
    match first {
        Some((row, v)) if row.is_finding() => format!(
            "\nNEXT  look at pod {} of {} first: plimsoll triage on its node, then plimsoll capture\n",
            plain(&v.pod),
            name(row)
        ),
        Some((row, v)) if v.movement == Movement::Undecided => {
            let after =
                v.undecided_for.map_or_else(|| "later".to_owned(), |s| format!("in {}", units::duration(s)));
            format!("\nNEXT  nothing climbs for sure; {} may: look again {after}\n", name(row))
        }
        _ if rows.iter().any(|row| row.verdict.is_ok()) => {
            "\nnothing that could be judged climbs towards a limit\n".to_owned()
        }
        _ => "\nnothing can be judged yet\n".to_owned(),
    }
}

/// The document (`docs/json.md`).
pub(crate) fn document(rows: &[Row], asked: &Asked) -> Value {
    json!({
        "apiVersion": API_VERSION, "kind": "ClusterTriage", "pastSeconds": asked.past, "stepSeconds": asked.step,
        "unixSeconds": asked.now, "workloads": rows.iter().map(row).collect::<Vec<_>>(), "warnings": asked.warnings,
    })
}

/// One workload.
pub(crate) fn row(row: &Row) -> Value {
    let mut out = json!({
        "kind": "ClusterRow", "cluster": row.cluster, "net": row.net, "waits": waits(row), "isHeap": row.is_heap, "other": row.other, "namespace": row.namespace, "name": row.name, "container": row.container, "number": row.number,
        "replicas": row.replicas, "restarts": row.restarts, "oomKills": row.kills, "limitBytes": row.limit,
    });
    match &row.verdict {
        Err((why, more)) => {
            out["unknown"] = json!(why);
            out["moreSeconds"] = json!(more);
        }
        Ok(v) => {
            out["pod"] = json!(v.pod);
            out["floorBytes"] = number(v.floor);
            out["slopeBytesPerSecond"] = interval(v.slope);
            out["timeToLimitSeconds"] = interval(v.time_to_limit);
            out["pLeak"] = number(v.p_leak);
            out["movement"] = json!(v.movement);
            out["shape"] = json!(v.shape);
            out["onsetUnixSeconds"] = v.onset.map_or(Value::Null, interval);
            out["sinceVersion"] = json!(v.since);
            out["sinceMark"] = json!(v.since_mark.as_ref().map(|(mark, _)| mark));
            out["sinceMarksMore"] = json!(v.since_mark.as_ref().map(|(_, more)| more));
            out["undecidedForSeconds"] = v.undecided_for.map_or(Value::Null, number);
            out["wave"] = json!(v.wave);
            out["unlike"] = json!(v.unlike);
            out["enoughBytes"] = v.enough.map_or(Value::Null, number);
            out["work"] = v.work.as_ref().map_or(Value::Null, work);
        }
    }
    out
}

fn waits(row: &Row) -> Value {
    row.waits.as_ref().map_or(Value::Null, |(pod, share)| json!({"pod": pod, "share": number(*share)}))
}

fn work(w: &Work) -> Value {
    json!({
        "bytesPerSecond": interval(w.per_second), "bytesPerRequest": interval(w.per_request),
        "requestsPerSecond": number(w.requests_per_second), "share": number(w.share),
    })
}

/// A row out of what [`row`] made of it.
pub(crate) fn parse(v: &Value) -> Option<Row> {
    let text = |name: &str| v[name].as_str().map(str::to_owned);
    let count = |name: &str| v[name].as_u64().and_then(|n| usize::try_from(n).ok());
    let verdict = match text("unknown") {
        Some(why) => Err((why, v["moreSeconds"].as_f64())),
        None => Ok(Verdict {
            pod: text("pod")?,
            floor: v["floorBytes"].as_f64()?,
            slope: read_interval(&v["slopeBytesPerSecond"])?,
            time_to_limit: read_interval(&v["timeToLimitSeconds"])?,
            p_leak: v["pLeak"].as_f64()?,
            movement: serde_json::from_value(v["movement"].clone()).ok()?,
            shape: serde_json::from_value(v["shape"].clone()).ok()?,
            onset: read_interval(&v["onsetUnixSeconds"]),
            since: text("sinceVersion"),
            since_mark: serde_json::from_value(v["sinceMark"].clone()).ok().map(|mark| {
                (mark, v["sinceMarksMore"].as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or(0))
            }),
            undecided_for: v["undecidedForSeconds"].as_f64(),
            wave: serde_json::from_value(v["wave"].clone()).ok()?,
            unlike: serde_json::from_value(v["unlike"].clone()).ok().flatten(),
            enough: v["enoughBytes"].as_f64(),
            work: read_work(&v["work"]),
        }),
    };
    Some(Row {
        cluster: text("cluster").unwrap_or_default(),
        net: serde_json::from_value(v["net"].clone()).unwrap_or(Net::Unknown),
        waits: v["waits"]["pod"].as_str().map(str::to_owned).zip(v["waits"]["share"].as_f64()),
        namespace: text("namespace")?,
        name: text("name")?,
        container: text("container")?,
        number: text("number")?,
        is_heap: v["isHeap"].as_bool().unwrap_or(false),
        other: serde_json::from_value(v["other"].clone()).ok()?,
        replicas: count("replicas")?,
        restarts: count("restarts")?,
        kills: v["oomKills"].as_u64(),
        limit: v["limitBytes"].as_f64(),
        verdict,
    })
}

/// What is null has no end.
fn read_interval(v: &Value) -> Option<Interval> {
    let of = |q: &str| if v[q].is_null() { Some(f64::INFINITY) } else { v[q].as_f64() };
    v.is_object().then_some(())?;
    Some(Interval { low: of("p10")?, mid: of("p50")?, high: of("p90")? })
}

fn read_work(v: &Value) -> Option<Work> {
    Some(Work {
        per_second: read_interval(&v["bytesPerSecond"])?,
        per_request: read_interval(&v["bytesPerRequest"])?,
        requests_per_second: v["requestsPerSecond"].as_f64()?,
        share: v["share"].as_f64()?,
    })
}
