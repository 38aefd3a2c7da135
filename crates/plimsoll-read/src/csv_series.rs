//! A recording from a spreadsheet or a metrics export: CSV with the header
//! `time,value[,live][,limit][,load][,start][,version]`.
//!
//! `time` is Unix seconds, Unix milliseconds or RFC 3339; `value` and `live` are in the unit that the caller
//! names. Rows that cannot be meant (no number, negative, absurd) are skipped and counted in the warnings;
//! rows out of order are sorted.

use std::io::Read;

use plimsoll_core::fact::Fact;
use plimsoll_core::recording::{Observation, Recording};
use plimsoll_core::target::{RuntimeKind, Target};

/// What the caller knows of the table.
#[derive(Debug, Clone)]
pub struct Options {
    /// Bytes per unit of `value`, `live` and `limit`.
    pub unit: f64,
    /// Limit in bytes, where the table has no such column.
    pub limit: Option<f64>,
    /// Name shown for the target.
    pub name: String,
}

/// Why a table could not be read at all.
#[derive(Debug, thiserror::Error)]
pub enum CsvError {
    /// The header lacks a column that is needed.
    #[error(
        "the table has no column {0:?}; the header is time,value[,live][,limit][,load][,start][,version]"
    )]
    Column(&'static str),
    /// The bytes could not be read.
    #[error("failed to read the table")]
    Io(#[source] csv::Error),
    /// Not one row could be used.
    #[error("no row of the table could be used ({0} skipped)")]
    Empty(usize),
}

/// Amounts above this are no memory of any machine.
pub(crate) const ABSURD: f64 = 1e18;
/// A drop below this share of the level may be a restart, where the table does not say.
const RESTART_DROP: f64 = 0.5;
/// Rows that must lie between two such drops: the teeth of a collector are closer together.
const RESTART_APART: usize = 30;

#[derive(Default)]
struct Columns {
    time: usize,
    value: usize,
    live: Option<usize>,
    limit: Option<usize>,
    load: Option<usize>,
    start: Option<usize>,
    version: Option<usize>,
}

/// Reads a table into a recording; what was skipped stands in its warnings.
pub fn read(input: impl Read, options: &Options) -> Result<Recording, CsvError> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(input);
    let columns = columns(reader.headers().map_err(CsvError::Io)?)?;
    let mut rows = Vec::new();
    let mut skipped = 0;
    for row in reader.records() {
        match row {
            Ok(row) => match observation(&row, &columns, options) {
                Some(o) => rows.push(o),
                None => skipped += 1,
            },
            Err(e) if e.is_io_error() => return Err(CsvError::Io(e)),
            Err(_) => skipped += 1,
        }
    }
    if rows.is_empty() {
        return Err(CsvError::Empty(skipped));
    }
    Ok(assemble(rows, skipped, &columns, options))
}

fn columns(header: &csv::StringRecord) -> Result<Columns, CsvError> {
    let find =
        |name: &str| header.iter().position(|h| h.trim_start_matches('\u{feff}').eq_ignore_ascii_case(name));
    Ok(Columns {
        time: find("time").ok_or(CsvError::Column("time"))?,
        value: find("value").ok_or(CsvError::Column("value"))?,
        live: find("live"),
        limit: find("limit"),
        load: find("load"),
        start: find("start"),
        version: find("version"),
    })
}

fn observation(row: &csv::StringRecord, c: &Columns, options: &Options) -> Option<Observation> {
    let number = |column: Option<usize>| -> Option<f64> { row.get(column?)?.parse().ok() };
    let amount = |column: Option<usize>| {
        number(column).map(|v| v * options.unit).filter(|v| v.is_finite() && (0.0..ABSURD).contains(v))
    };
    let mut o = Observation::at(time(row.get(c.time)?)?);
    o.known(Fact::RecordedUsage, amount(Some(c.value))?);
    for (fact, v) in [
        (Fact::RecordedLive, amount(c.live)),
        (Fact::RecordedLimit, amount(c.limit).or(options.limit)),
        (Fact::Load, number(c.load)),
    ] {
        if let Some(v) = v {
            o.known(fact, v);
        }
    }
    o.start = c.start.and_then(|i| row.get(i)).and_then(time);
    o.version = c.version.and_then(|i| row.get(i)).filter(|v| !v.is_empty()).map(str::to_owned);
    Some(o)
}

/// Unix seconds, Unix milliseconds, RFC 3339, or date and time without a zone, taken as UTC; as Unix seconds.
pub(crate) fn time(text: &str) -> Option<f64> {
    if let Ok(t) = text.parse::<f64>() {
        let seconds = if t > 1e11 { t / 1000.0 } else { t };
        return (seconds.is_finite() && seconds >= 0.0).then_some(seconds);
    }
    let zoned = || text.parse::<jiff::Timestamp>().ok();
    let t = zoned().or_else(|| {
        let at: jiff::civil::DateTime = text.parse().ok()?;
        at.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|z| z.timestamp())
    })?;
    Some(t.as_millisecond() as f64 / 1000.0).filter(|t| *t >= 0.0)
}

fn assemble(mut rows: Vec<Observation>, skipped: usize, c: &Columns, options: &Options) -> Recording {
    let mut warnings = Vec::new();
    if skipped > 0 {
        warnings.push(format!("{skipped} rows skipped: no time, no number, negative or absurd"));
    }
    if !rows.is_sorted_by(|a, b| a.t <= b.t) {
        warnings.push("the rows are not in order of time; sorted".to_owned());
        rows.sort_by(|a, b| a.t.total_cmp(&b.t));
    }
    if c.start.is_none() {
        warnings.extend(guess_restarts(&mut rows));
    }
    let started = rows.first().map_or(0.0, |o| o.start.unwrap_or(o.t));
    let mut recording = Recording::new(Target {
        pid: 0,
        name: options.name.clone(),
        runtime: RuntimeKind::Native,
        runtime_version: None,
        container: None,
        cgroup: None,
        limit_cgroup: None,
        started,
        flags: Vec::new(),
    });
    let before = rows.len();
    for o in rows {
        recording.add(o);
    }
    let kept = recording.series(Fact::RecordedUsage).points().len();
    if kept < before {
        warnings.push(format!("{} rows skipped: the same instant twice", before - kept));
    }
    recording.warnings = warnings;
    recording
}

/// Without a `start` column a deep drop after a long stretch is taken as a restart, and said.
fn guess_restarts(rows: &mut [Observation]) -> Option<String> {
    let usage = |o: &Observation| o.facts.get(&Fact::RecordedUsage).copied().unwrap_or(0.0);
    let guessed = restarts(rows.iter().map(usage));
    for i in &guessed {
        if let Some(row) = rows.get_mut(*i) {
            row.start = Some(row.t);
        }
    }
    (!guessed.is_empty()).then(|| format!("no start column: {} deep drops taken as restarts", guessed.len()))
}

/// Deep drops after long stretches, by their places.
pub(crate) fn restarts(usage: impl Iterator<Item = f64>) -> Vec<usize> {
    let (mut found, mut last, mut before) = (Vec::new(), 0, 0.0);
    for (i, now) in usage.enumerate() {
        if now < RESTART_DROP * before && i - last >= RESTART_APART {
            last = i;
            found.push(i);
        }
        before = now;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Recording {
        let options = Options { unit: 1024.0, limit: Some(4096.0), name: "t".to_owned() };
        read(text.as_bytes(), &options).expect("readable")
    }

    #[test]
    fn columns_by_name_units_and_epochs() {
        let r = parse("version,time,value,load,start\nv1,100,1,5,90\nv1,160,2,5,90\nv2,220,0.5,6,215\n");
        assert_eq!(r.last(Fact::RecordedUsage), Some(512.0));
        assert_eq!(r.last(Fact::RecordedLimit), Some(4096.0));
        assert_eq!(r.last(Fact::Load), Some(6.0));
        let starts: Vec<f64> = r.epochs.iter().map(|e| e.start).collect();
        assert_eq!(starts, [90.0, 215.0]);
        assert!(r.warnings.is_empty(), "{:?}", r.warnings);
    }

    #[test]
    fn nonsense_is_skipped_counted_and_sorted() {
        let r = parse("time,value\n200,2\n100,1\n300,NaN\n400,-4\n500,1e30\nsoon,3\n600\n200,9\n");
        assert_eq!(r.series(Fact::RecordedUsage).points().len(), 2);
        assert_eq!(
            r.warnings,
            [
                "5 rows skipped: no time, no number, negative or absurd",
                "the rows are not in order of time; sorted",
                "1 rows skipped: the same instant twice"
            ]
        );
    }

    #[test]
    fn milliseconds_and_rfc3339() {
        assert_eq!(time("1700000000000"), Some(1_700_000_000.0));
        assert_eq!(time("2023-11-14T22:13:20Z"), Some(1_700_000_000.0));
        assert_eq!(time("2023-11-14 22:13:20"), Some(1_700_000_000.0));
        assert_eq!(time("tomorrow"), None);
        assert_eq!(time("1900-01-01 00:00:00"), None);
    }

    #[test]
    fn a_table_without_the_columns_or_rows_says_so() {
        let options = Options { unit: 1.0, limit: None, name: String::new() };
        let e = read("a,b\n1,2\n".as_bytes(), &options).unwrap_err();
        assert!(e.to_string().contains("\"time\""), "{e}");
        let e = read("time,value\nx,y\n".as_bytes(), &options).unwrap_err();
        assert!(e.to_string().contains("1 skipped"), "{e}");
    }

    #[test]
    fn deep_drops_far_apart_are_restarts() {
        let mut text = "time,value\n".to_owned();
        for i in 0..100 {
            text += &format!("{i},{}\n", 1 + (i % 50));
        }
        let r = parse(&text);
        assert_eq!(r.epochs.len(), 2);
        assert!(r.warnings[0].contains("1 deep drops"));
    }
}
