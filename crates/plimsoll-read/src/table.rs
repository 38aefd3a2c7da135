//! Many targets in one table, as series: CSV in long form (a column names the target of a row) and in wide form (a column for
//! each target), and JSON rows.
//!
//! Read line by line in bounded memory. The series that come out have the names and labels that a monitoring system gives
//! (limits, owners, starts), so that whoever judges a cluster judges them too. Rows that cannot be meant are skipped, counted
//! and told by the line of the first; rows out of order are sorted.

use std::collections::HashMap;
use std::io::Read;

use plimsoll_core::series::Point;
use serde_json::{Map, Value};

use crate::csv_series::{ABSURD, restarts, time};
use crate::lines::Lines;
use crate::openmetrics;
use crate::prometheus_api::{Answer, Labelled, Labels};

/// Name of the usage in what comes out.
pub const USAGE: &str = "plimsoll_table_bytes";
const NAME: &str = "__name__";
/// Bytes of a line that are read: a wide table has a name for each target.
const LINE: usize = 1 << 20;
/// Most targets, and most samples of all.
const TARGETS: usize = 100_000;
const SAMPLES: usize = 100_000_000;

/// Columns by their names, and what they mean. Upper and lower case are one.
const COLUMNS: &[(Column, &[&str])] = &[
    (Column::Time, &["time", "timestamp"]),
    (Column::Value, &["value", "usage", "rss", "bytes"]),
    (Column::Cluster, &["cluster"]),
    (Column::Namespace, &["namespace"]),
    (Column::Workload, &["workload", "deployment", "statefulset", "service"]),
    (Column::Pod, &["pod", "target", "instance", "host"]),
    (Column::Container, &["container"]),
    (Column::Limit, &["limit"]),
    (Column::Load, &["load"]),
    (Column::Start, &["start"]),
    (Column::Version, &["version", "image"]),
    (Column::Live, &["live"]),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Time,
    Value,
    Cluster,
    Namespace,
    Workload,
    Pod,
    Container,
    Limit,
    Load,
    Start,
    Version,
    /// Known of tables of one target; not read here.
    Live,
}

impl Column {
    fn of(name: &str) -> Option<Column> {
        let name = name.trim_start_matches('\u{feff}').trim();
        let known = COLUMNS.iter().find(|(_, names)| names.iter().any(|n| n.eq_ignore_ascii_case(name)));
        known.map(|(column, _)| *column)
    }

    fn names_target(self) -> bool {
        matches!(self, Column::Namespace | Column::Workload | Column::Pod | Column::Container)
    }
}

/// What the caller knows of the table.
#[derive(Debug, Clone)]
pub struct Options {
    /// Bytes per unit of values and limits.
    pub unit: f64,
    /// The target of rows that name none.
    pub name: String,
}

/// Why a table could not be read at all.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The header lacks what is needed.
    #[error("line 1: no column {0:?}")]
    Column(&'static str),
    /// Two columns mean the same.
    #[error("line 1: two columns tell the same: {0:?} and {1:?}")]
    Twice(String, String),
    /// The header is longer than any that is meant.
    #[error("line 1: the header is longer than {LINE} bytes")]
    Long,
    /// Not one row could be used.
    #[error("no row of the table could be used: {0}")]
    Empty(String),
}

/// Whether a CSV header tells of many targets.
pub fn is_of_many(header: &str) -> bool {
    let cells = cells(header, delimiter(header));
    let columns: Vec<Option<Column>> = cells.iter().map(|c| Column::of(c)).collect();
    let has = |c: Column| columns.contains(&Some(c));
    let named = columns.iter().flatten().any(|c| c.names_target());
    let wide = !has(Column::Value) && columns.iter().filter(|c| c.is_none()).count() >= 2;
    has(Column::Time) && (named || wide)
}

/// Reads a CSV table; its header says which form it has.
///
/// # Errors
/// [`TableError`]
pub fn read_csv(input: impl Read, options: &Options) -> Result<Answer, TableError> {
    let mut lines = Lines::up_to(input, LINE);
    let header = lines.next().unwrap_or_default();
    if header.len() >= LINE {
        return Err(TableError::Long);
    }
    let delimiter = delimiter(&header);
    let header = Header::of(&cells(&header, delimiter))?;
    let mut table = Table::new(options);
    for (at, line) in lines.enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let row = cells(&line, delimiter);
        let is_decimal_comma = delimiter == ';';
        let number = |text: &str| match is_decimal_comma {
            true => text.replace(',', ".").parse().ok(),
            false => text.parse().ok(),
        };
        match &header {
            Header::Long(columns) => {
                let cell = |c: Column| {
                    let at = columns.iter().position(|x| *x == Some(c))?;
                    row.get(at).map(|v| v.trim()).filter(|v| !v.is_empty()).map(str::to_owned)
                };
                table.row(at + 2, cell, number);
            }
            Header::Wide(targets) => table.wide(at + 2, &row, targets, number),
        }
        if table.is_full() {
            break;
        }
    }
    table.finish()
}

/// Reads JSON rows: an object a line with the names of the columns, or an array with an object a line.
///
/// # Errors
/// [`TableError`]
pub fn read_json(input: impl Read, options: &Options) -> Result<Answer, TableError> {
    let mut table = Table::new(options);
    for (at, line) in Lines::up_to(input, LINE).enumerate() {
        let line = line.trim();
        let whole: Option<Vec<Map<String, Value>>> =
            line.starts_with('[').then(|| serde_json::from_str(line).ok()).flatten();
        let object = || line.trim_start_matches('[').trim_end_matches(']').trim().trim_end_matches(',');
        let rows = match whole {
            Some(rows) => rows,
            None if object().is_empty() => continue,
            None => match serde_json::from_str(object()) {
                Ok(row) => vec![row],
                Err(_) => {
                    table.skip(at + 1);
                    continue;
                }
            },
        };
        for row in rows {
            let cell = |c: Column| {
                row.iter().find(|(name, _)| Column::of(name) == Some(c)).and_then(|(_, v)| match v {
                    Value::String(s) => Some(s.trim().to_owned()).filter(|s| !s.is_empty()),
                    Value::Number(n) => Some(n.to_string()),
                    _ => None,
                })
            };
            table.row(at + 1, cell, |text| text.parse().ok());
        }
        if table.is_full() {
            break;
        }
    }
    table.finish()
}

/// What separates cells: whichever of these the header has most of.
fn delimiter(header: &str) -> char {
    let count = |d: &char| cells(header, *d).len();
    [',', ';', '\t'].into_iter().rev().max_by_key(count).unwrap_or(',')
}

/// Cells of a line. In one that begins with a quote everything is text up to the next, and a quote is written twice.
fn cells(line: &str, delimiter: char) -> Vec<String> {
    let (mut out, mut cell, mut quoted) = (Vec::new(), String::new(), false);
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                cell.push('"');
            }
            '"' if quoted => quoted = false,
            '"' if cell.trim().is_empty() => quoted = true,
            c if c == delimiter && !quoted => out.push(std::mem::take(&mut cell).trim().to_owned()),
            c => cell.push(c),
        }
    }
    out.push(cell.trim().to_owned());
    out
}

enum Header {
    /// What each column is.
    Long(Vec<Option<Column>>),
    /// The target of each column; none where it is the time.
    Wide(Vec<Option<Labels>>),
}

impl Header {
    fn of(cells: &[String]) -> Result<Header, TableError> {
        let columns: Vec<Option<Column>> = cells.iter().map(|c| Column::of(c)).collect();
        for (at, column) in columns.iter().enumerate().filter(|(_, c)| c.is_some()) {
            if let Some(first) = columns.iter().take(at).position(|c| c == column) {
                let name = |at: usize| cells.get(at).cloned().unwrap_or_default();
                return Err(TableError::Twice(name(first), name(at)));
            }
        }
        if !columns.contains(&Some(Column::Time)) {
            return Err(TableError::Column("time"));
        }
        if columns.contains(&Some(Column::Value)) {
            return Ok(Header::Long(columns));
        }
        if columns.iter().flatten().any(|c| *c != Column::Time) {
            return Err(TableError::Column("value"));
        }
        let target = |(cell, column): (&String, &Option<Column>)| match column {
            None if !cell.is_empty() => Some(target(cell)),
            _ => None,
        };
        Ok(Header::Wide(cells.iter().zip(&columns).map(target).collect()))
    }
}

/// Labels of a column's target: `{pod="…"}` as dashboards export them, `namespace/pod`, `namespace/pod/container`, or a name.
fn target(cell: &str) -> Labels {
    if let Some(labels) = cell.find('{').and_then(|_| openmetrics::labels(cell)) {
        let kept = ["cluster", "namespace", "pod", "container", "job", "instance"];
        let kept: Labels = labels.into_iter().filter(|(name, _)| kept.contains(&name.as_str())).collect();
        if kept.keys().any(|name| !["cluster", "namespace"].contains(&name.as_str())) {
            return kept;
        }
    }
    let parts: Vec<&str> = cell.splitn(3, '/').collect();
    let named: &[&str] = match parts.len() {
        1 => &["pod"],
        2 => &["namespace", "pod"],
        _ => &["namespace", "pod", "container"],
    };
    named.iter().zip(parts).map(|(name, value)| ((*name).to_owned(), value.to_owned())).collect()
}

/// Rows of one target in one version.
struct Rows {
    labels: Labels,
    workload: Option<String>,
    version: Option<String>,
    /// The newest limit.
    limit: Option<Point>,
    points: Vec<Point>,
    load: Vec<Point>,
    /// When the process that ran then began; nothing where no row tells.
    starts: Vec<Point>,
}

/// What is read, target by target.
struct Table<'a> {
    options: &'a Options,
    places: HashMap<String, usize>,
    targets: Vec<Rows>,
    skipped: usize,
    /// Line of the first row that was skipped.
    first_skipped: usize,
    samples: usize,
    /// Lines of targets that are too many.
    cut: usize,
}

impl<'a> Table<'a> {
    fn new(options: &'a Options) -> Table<'a> {
        Table {
            options,
            places: HashMap::new(),
            targets: Vec::new(),
            skipped: 0,
            first_skipped: 0,
            samples: 0,
            cut: 0,
        }
    }

    fn is_full(&self) -> bool {
        self.samples >= SAMPLES
    }

    fn skip(&mut self, line: usize) {
        if self.skipped == 0 {
            self.first_skipped = line;
        }
        self.skipped += 1;
    }

    fn amount(&self, number: Option<f64>) -> Option<f64> {
        number.map(|v| v * self.options.unit).filter(|v| v.is_finite() && (0.0..ABSURD).contains(v))
    }

    fn row(
        &mut self,
        line: usize,
        cell: impl Fn(Column) -> Option<String>,
        number: impl Fn(&str) -> Option<f64>,
    ) {
        let of = |c: Column| cell(c).and_then(|v| number(&v));
        let t = cell(Column::Time).as_deref().and_then(time);
        let Some((t, v)) = t.zip(self.amount(of(Column::Value))) else { return self.skip(line) };
        let names = [Column::Pod, Column::Workload, Column::Container].into_iter();
        let pod = names.filter_map(&cell).next().unwrap_or_else(|| self.options.name.clone());
        let mut labels = Labels::from([("pod".to_owned(), pod)]);
        for (name, column) in
            [("cluster", Column::Cluster), ("namespace", Column::Namespace), ("container", Column::Container)]
        {
            labels.extend(cell(column).map(|v| (name.to_owned(), v)));
        }
        let version = cell(Column::Version);
        let limit = self.amount(of(Column::Limit));
        let Some(rows) = self.of(labels, version) else { return self.cut += 1 };
        rows.workload = cell(Column::Workload).or(rows.workload.take());
        rows.points.push(Point { t, v });
        if let Some(v) = limit.filter(|_| rows.limit.is_none_or(|l| l.t <= t)) {
            rows.limit = Some(Point { t, v });
        }
        if let Some(v) = of(Column::Load).filter(|v| v.is_finite() && *v >= 0.0) {
            rows.load.push(Point { t, v });
        }
        if let Some(v) = cell(Column::Start).as_deref().and_then(time) {
            rows.starts.push(Point { t, v });
        }
        self.samples += 1;
    }

    fn wide(
        &mut self,
        line: usize,
        row: &[String],
        targets: &[Option<Labels>],
        number: impl Fn(&str) -> Option<f64>,
    ) {
        let at = targets.iter().position(Option::is_none).unwrap_or(0);
        let Some(t) = row.get(at).map(String::as_str).and_then(time) else { return self.skip(line) };
        for (labels, cell) in targets.iter().zip(row) {
            // A target that was not there then has an empty cell.
            let Some(labels) = labels.as_ref().filter(|_| !cell.is_empty() && cell != "null") else {
                continue;
            };
            match self.amount(number(cell)) {
                Some(v) => match self.of(labels.clone(), None) {
                    Some(rows) => {
                        rows.points.push(Point { t, v });
                        self.samples += 1;
                    }
                    None => self.cut += 1,
                },
                None => self.skip(line),
            }
        }
    }

    /// The rows of a target; nothing where there are too many targets.
    fn of(&mut self, labels: Labels, version: Option<String>) -> Option<&mut Rows> {
        let mut key = String::new();
        for part in labels.iter().flat_map(|(k, v)| [k, v]).chain(&version) {
            key.push_str(part);
            key.push('\u{1f}');
        }
        let at = match self.places.get(&key) {
            Some(at) => *at,
            None if self.targets.len() >= TARGETS => return None,
            None => {
                self.places.insert(key, self.targets.len());
                let (points, load, starts) = (Vec::new(), Vec::new(), Vec::new());
                let rows = Rows { labels, workload: None, version, limit: None, points, load, starts };
                self.targets.push(rows);
                self.targets.len() - 1
            }
        };
        self.targets.get_mut(at)
    }

    fn finish(self) -> Result<Answer, TableError> {
        let mut warnings = Vec::new();
        let skipped = format!(
            "{} rows or cells skipped: no time, no number, negative or absurd; the first in line {}",
            self.skipped, self.first_skipped
        );
        if self.samples == 0 {
            let why = if self.skipped > 0 { skipped } else { "it has none".to_owned() };
            return Err(TableError::Empty(why));
        }
        if self.skipped > 0 {
            warnings.push(skipped);
        }
        if self.is_full() || self.cut > 0 {
            let what = format!("more than {TARGETS} targets or {SAMPLES} samples: the rest was left out");
            warnings.push(what);
        }
        let mut series = Vec::new();
        let (mut guessed, mut twice) = (0, 0);
        for mut rows in self.targets {
            twice += rows.sort();
            guessed += rows.guess_restarts();
            rows.tell(&mut series);
        }
        if guessed > 0 {
            warnings.push(format!("no start column: {guessed} deep drops taken as restarts"));
        }
        Ok(Answer { series, warnings, left_out: twice })
    }
}

impl Rows {
    /// Puts samples in order of time; returns how many came twice.
    fn sort(&mut self) -> usize {
        let all = self.points.len();
        for points in [&mut self.points, &mut self.load, &mut self.starts] {
            points.sort_by(|a, b| a.t.total_cmp(&b.t));
            points.dedup_by(|later, first| later.t == first.t);
        }
        all - self.points.len()
    }

    /// Where no row says when its process began, deep drops do; until the first nothing is known.
    fn guess_restarts(&mut self) -> usize {
        if !self.starts.is_empty() {
            return 0;
        }
        let at = restarts(self.points.iter().map(|p| p.v));
        if at.is_empty() {
            return 0;
        }
        let mut start = 0.0;
        for (k, p) in self.points.iter().enumerate() {
            start = if at.contains(&k) { p.t } else { start };
            self.starts.push(Point { t: p.t, v: start });
        }
        at.len()
    }

    /// As the series of a monitoring system.
    fn tell(self, out: &mut Vec<Labelled>) {
        let last = self.points.last().map_or(0.0, |p| p.t);
        let labelled = |name: &str, more: &[(&str, &str)], points: Vec<Point>| {
            let mut labels = self.labels.clone();
            labels.insert(NAME.to_owned(), name.to_owned());
            labels.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
            Labelled { labels, points }
        };
        if let Some(limit) = self.limit {
            let more = [("resource", "memory")];
            out.push(labelled("kube_pod_container_resource_limits", &more, vec![Point { t: last, ..limit }]));
        }
        if let Some(owner) = &self.workload {
            out.push(labelled("kube_pod_owner", &[("owner_name", owner)], vec![Point { t: last, v: 1.0 }]));
        }
        if !self.load.is_empty() {
            out.push(labelled("http_requests_total", &[], counted(&self.load)));
        }
        if !self.starts.is_empty() {
            out.push(labelled("process_start_time_seconds", &[], self.starts));
        }
        let version = self.version.as_deref().map(|v| [("version", v), ("id", v)]);
        out.push(labelled(USAGE, version.as_ref().map_or(&[], |v| &v[..]), self.points));
    }
}

/// A counter that rises at these rates.
fn counted(rates: &[Point]) -> Vec<Point> {
    let mut sum = 0.0;
    let mut before = rates.first().map_or(0.0, |p| p.t);
    let count = |p: &Point| {
        sum += p.v * (p.t - before);
        before = p.t;
        Point { t: p.t, v: sum }
    };
    rates.iter().map(count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Options {
        Options { unit: 1024.0, name: "file".to_owned() }
    }

    fn of<'a>(answer: &'a Answer, name: &str, pod: &str) -> Vec<&'a Labelled> {
        let is = |s: &&Labelled| s.labels[NAME] == name && s.labels.get("pod").is_some_and(|p| p == pod);
        answer.series.iter().filter(is).collect()
    }

    #[test]
    fn rows_are_gathered_by_the_target_that_they_name() {
        let text = "Timestamp;namespace;workload;pod;container;usage;limit;load;start;version;cluster\n\
            200;shop;api;api-1;main;2,5;8;3;90;v1;eu\n\
            100;shop;api;api-1;main;1;8;3;90;v1;eu\n\
            300;shop;api;api-1;main;1;9;;290;v2;eu\n\
            100;shop;api;api-1;main;3;9;;;v1;us\n\
            100;shop;api;\"api;2\";main;7;;;;\n";
        let answer = read_csv(text.as_bytes(), &options()).expect("readable");
        let usage = of(&answer, USAGE, "api-1");
        assert_eq!(usage.len(), 3, "a version, a series; and a cluster");
        assert_eq!(usage.iter().filter(|s| s.labels["cluster"] == "us").count(), 1);
        assert_eq!(usage[0].points, [Point { t: 100.0, v: 1024.0 }, Point { t: 200.0, v: 2560.0 }]);
        let labels = &usage[1].labels;
        assert_eq!((labels["namespace"].as_str(), labels["version"].as_str()), ("shop", "v2"));
        assert_eq!(of(&answer, "kube_pod_container_resource_limits", "api-1")[1].points[0].v, 9.0 * 1024.0);
        assert_eq!(of(&answer, "kube_pod_owner", "api-1")[0].labels["owner_name"], "api");
        assert_eq!(
            of(&answer, "process_start_time_seconds", "api-1")[1].points,
            [Point { t: 300.0, v: 290.0 }]
        );
        assert_eq!(of(&answer, "http_requests_total", "api-1")[0].points[1], Point { t: 200.0, v: 300.0 });
        assert_eq!(of(&answer, USAGE, "api;2").len(), 1, "quotes hold a delimiter");
        assert!(answer.warnings.is_empty(), "{:?}", answer.warnings);
    }

    #[test]
    fn a_column_may_be_a_target() {
        assert_eq!(
            cells("a;{b=\"c\", d=\"e\"}; \"x;\"\"y\" ;", ';'),
            ["a", "{b=\"c\", d=\"e\"}", "x;\"y", ""]
        );
        let text = "Time,\"{namespace=\"\"shop\"\", pod=\"\"api-0\"\"}\",shop/db-0,shop/db-0/side,plain\n\
            2026-01-01 00:00:00,1,2,3,4\n2026-01-01 00:01:00,2,,x,null\n";
        assert!(is_of_many(text.lines().next().expect("a header")));
        let answer = read_csv(text.as_bytes(), &options()).expect("readable");
        let names: Vec<String> = answer
            .series
            .iter()
            .map(|s| ["namespace", "pod", "container"].map(|l| s.labels.get(l).map_or("-", |v| v)).join("/"))
            .collect();
        assert_eq!(names, ["shop/api-0/-", "shop/db-0/-", "shop/db-0/side", "-/plain/-"]);
        assert_eq!(answer.series[0].points.len(), 2);
        assert_eq!(answer.series[0].points[0].t, 1_767_225_600.0);
        assert_eq!(
            answer.warnings,
            ["1 rows or cells skipped: no time, no number, negative or absurd; the first in line 3"]
        );
    }

    #[test]
    fn json_rows_are_rows() {
        let lines = "{\"time\":100,\"pod\":\"a\",\"value\":1}\n{\"time\":\"1970-01-01T00:03:20Z\",\"pod\":\"a\",\"value\":\"2\"}\nnonsense\n";
        let array =
            "[\n{\"time\":100,\"pod\":\"a\",\"value\":1},\n{\"time\":200,\"pod\":\"a\",\"value\":2}\n]\n";
        let one = "[{\"time\":100,\"pod\":\"a\",\"value\":1},{\"time\":200,\"pod\":\"a\",\"value\":2}]";
        for text in [lines, array, one] {
            let answer = read_json(text.as_bytes(), &options()).expect("readable");
            assert_eq!(
                of(&answer, USAGE, "a")[0].points.iter().map(|p| p.t).collect::<Vec<_>>(),
                [100.0, 200.0]
            );
            assert_eq!(answer.warnings.len(), usize::from(text == lines), "{:?}", answer.warnings);
        }
        let unnamed = read_json(&b"{\"time\":1,\"value\":1}"[..], &options()).expect("readable");
        assert_eq!(of(&unnamed, USAGE, "file").len(), 1);
    }

    #[test]
    fn deep_drops_are_restarts_where_no_row_tells_of_any() {
        let mut text = "time,target,value\n".to_owned();
        for i in 0..100 {
            text += &format!("{i},a,{}\n{i},b,5\n", 1 + (i % 50));
        }
        let answer = read_csv(text.as_bytes(), &options()).expect("readable");
        let starts = &of(&answer, "process_start_time_seconds", "a")[0].points;
        assert_eq!((starts[49].v, starts[50].v, starts[99].v), (0.0, 50.0, 50.0));
        assert!(of(&answer, "process_start_time_seconds", "b").is_empty());
        assert!(answer.warnings[0].contains("1 deep drops"), "{:?}", answer.warnings);
    }

    #[test]
    fn what_is_wrong_with_a_header_is_said() {
        let error = |text: &str| read_csv(text.as_bytes(), &options()).expect_err("no table").to_string();
        assert_eq!(error("pod,value\na,1\n"), "line 1: no column \"time\"");
        assert_eq!(error("time,pod\n1,a\n"), "line 1: no column \"value\"");
        assert_eq!(error("time,pod,host,value\n"), "line 1: two columns tell the same: \"pod\" and \"host\"");
        assert!(error("time,pod,value\nx,a,1\n").contains("the first in line 2"));
        assert!(error("time,pod,value\n").contains("it has none"));
        assert!(error(&format!("time,{}", "x,".repeat(LINE))).contains("longer"));
        for one in ["time,value", "time,value,limit,load", "time,usage", "when,a,b", "time,value,extra"] {
            assert!(!is_of_many(one), "{one}");
        }
    }

    #[test]
    fn every_cut_and_every_changed_byte_is_survived() {
        let csv = "time,ns/a,b,\"{pod=\"\"c\"\"}\"\n1,2,3,4\n2,,x,5\n";
        let json = "[{\"time\":1,\"pod\":\"a\",\"value\":2},\n{\"time\":2,\"pod\":\"b\"}]\n";
        for i in 0..csv.len().min(json.len()) {
            let _cut =
                (read_csv(&csv.as_bytes()[..i], &options()), read_json(&json.as_bytes()[..i], &options()));
            for text in [csv, json] {
                let mut changed = text.as_bytes().to_vec();
                changed[i] ^= 0x15;
                let _read = (read_csv(&*changed, &options()), read_json(&*changed, &options()));
            }
        }
    }
}
