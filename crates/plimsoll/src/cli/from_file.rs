//! Opening what history comes in: recordings that `--record` wrote, tables and JSON rows of one target or many, metrics text,
//! answers of the Prometheus API, and lines of judged workloads.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use plimsoll_core::recording::Recording;
use plimsoll_read::prometheus_api::{self, Answer};
use plimsoll_read::{csv_series, openmetrics, table};

use crate::error::{CliError, Kind};

/// What was in a file.
pub(crate) enum Opened {
    /// One target.
    Recording(Box<Recording>),
    /// Series of many.
    Series(Answer),
    /// Workloads that were judged already, a line each.
    Judged(Vec<String>),
}

/// Bytes at the begin by which it is told what comes.
const LOOKED_AT: usize = 64 << 10;

/// Reads a recording from `path` (`-` is stdin). `unit` is the bytes per unit of a CSV value.
pub(crate) fn open(path: &Path, unit: f64, limit: Option<f64>) -> Result<Recording, CliError> {
    match read(path, unit, limit)? {
        Opened::Recording(recording) => Ok(*recording),
        Opened::Series(_) | Opened::Judged(_) => {
            Err(CliError::cannot_judge(format!("{} tells of many targets, and not of one", path.display()))
                .hint("plimsoll triage --from ranks them"))
        }
    }
}

/// Reads whatever of these is in `path` (`-` is stdin).
pub(crate) fn read(path: &Path, unit: f64, limit: Option<f64>) -> Result<Opened, CliError> {
    let shown = path.display();
    let mut input: Box<dyn BufRead> = if path == Path::new("-") {
        Box::new(BufReader::with_capacity(LOOKED_AT, io::stdin()))
    } else {
        let file =
            File::open(path).map_err(|e| CliError::usage(format!("failed to open {shown}")).because(e))?;
        Box::new(BufReader::with_capacity(LOOKED_AT, file))
    };
    let unreadable =
        |e: io::Error| CliError::new(Kind::CannotJudge, format!("failed to read {shown}")).because(e);
    let name = || path.file_stem().map_or_else(|| "recording".into(), |s| s.to_string_lossy().into_owned());
    let form = kind(input.fill_buf().map_err(unreadable)?);
    match form {
        Form::Nothing => Err(CliError::cannot_judge(format!("{shown} is empty"))),
        Form::Answer => prometheus_api::read(input).map(Opened::Series).map_err(|e| {
            CliError::cannot_judge(format!("failed to read the answer of a server in {shown}")).because(e)
        }),
        Form::Judged => {
            let lines: io::Result<Vec<String>> = input.lines().collect();
            lines.map(Opened::Judged).map_err(unreadable)
        }
        Form::Recording => {
            let read = Recording::read(input).map(|r| Opened::Recording(Box::new(r)));
            read.map_err(|e| {
                CliError::cannot_judge(format!("failed to read the recording {shown}")).because(e)
            })
        }
        Form::Metrics => Ok(Opened::Series(openmetrics::read(input))),
        Form::Many | Form::Rows => {
            let options = table::Options { unit, name: name() };
            let read = match form {
                Form::Rows => table::read_json(input, &options),
                _ => table::read_csv(input, &options),
            };
            read.map(Opened::Series).map_err(|e| {
                CliError::cannot_judge(format!("failed to read the table {shown}")).because(e).hint(
                    "one row a sample: time, value and whose it is (pod, workload, namespace, container); or a column for each target",
                )
            })
        }
        Form::Table => {
            let name = name();
            let read = csv_series::read(input, &csv_series::Options { unit, limit, name });
            read.map(|r| Opened::Recording(Box::new(r))).map_err(|e| {
                CliError::cannot_judge(format!("failed to read the table {shown}")).because(e).hint(
                    "a recording is JSON lines (plimsoll triage --record) or CSV with the header time,value",
                )
            })
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Nothing,
    Answer,
    Judged,
    Recording,
    Metrics,
    /// A table of one target.
    Table,
    /// A table of many.
    Many,
    /// Rows as JSON.
    Rows,
}

/// What comes, by its first bytes.
fn kind(first: &[u8]) -> Form {
    let text = String::from_utf8_lossy(first);
    let line = text.trim_start().lines().next().unwrap_or_default();
    if line.is_empty() {
        Form::Nothing
    } else if line.starts_with('{') {
        if text.contains("\"resultType\"") || text.contains("\"errorType\"") {
            Form::Answer
        } else if line.contains("\"kind\":\"ClusterRow\"") {
            Form::Judged
        } else if is_row(line) {
            Form::Rows
        } else {
            Form::Recording
        }
    } else if line.starts_with('[') {
        Form::Rows
    } else if table::is_of_many(line) {
        Form::Many
    } else if line.starts_with("# ")
        || line.contains("{")
        || line.split(' ').count() == 3 && !line.contains(',')
    {
        Form::Metrics
    } else {
        Form::Table
    }
}

/// Whether a line is an object with a time and an amount, and no head of a recording.
fn is_row(line: &str) -> bool {
    let line = line.to_lowercase();
    let has = |names: &[&str]| names.iter().any(|n| line.contains(&format!("\"{n}\"")));
    has(&["time", "timestamp"]) && has(&["value", "usage", "rss", "bytes"]) && !has(&["apiversion"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_is_told_by_its_first_bytes() {
        for (first, form) in [
            ("", Form::Nothing),
            (" \n", Form::Nothing),
            (r#"{"status":"success","data":{"resultType":"matrix""#, Form::Answer),
            (r#"{"apiVersion":"plimsoll/v1","kind":"Recording"}"#, Form::Recording),
            (r#"{"container":"a","kind":"ClusterRow","name":"b"}"#, Form::Judged),
            ("# HELP a b\n", Form::Metrics),
            ("a{b=\"c\"} 1 2\n", Form::Metrics),
            ("a 1 2\n", Form::Metrics),
            ("time,value\n1,2\n", Form::Table),
            ("time, value, limit\n", Form::Table),
            ("time,pod,value\n", Form::Many),
            ("Time,\"{pod=\"\"a\"\"}\",\"{pod=\"\"b\"\"}\"\n", Form::Many),
            ("{\"time\":1,\"pod\":\"a\",\"value\":2}\n", Form::Rows),
            ("[\n{\"time\":1", Form::Rows),
        ] {
            assert_eq!(kind(first.as_bytes()), form, "{first}");
        }
    }
}
