//! Series out of metrics text with a time on every line: OpenMetrics (seconds) and the older text form (milliseconds), as
//! `promtool tsdb dump-openmetrics` and others write them.
//!
//! Read line by line. Lines that are no sample, or have no time, are left out and counted; samples out of order are sorted.

use std::collections::HashMap;
use std::io::Read;

use plimsoll_core::series::Point;

use crate::lines::Lines;
use crate::prometheus_api::{Answer, Labelled, Labels};

/// The label of a metric's name.
const NAME: &str = "__name__";
/// Most series, and most samples of all.
const SERIES: usize = 1_000_000;
const SAMPLES: usize = 400_000_000;
/// Times above this are no seconds: the year 5138.
const MILLISECONDS: f64 = 1e11;

/// Reads a page of samples; the name of the metric is the label `__name__`.
pub fn read(input: impl Read) -> Answer {
    let mut places: HashMap<Box<str>, usize> = HashMap::new();
    let mut answer = Answer::default();
    let (mut untimed, mut samples, mut cut) = (0, 0, false);
    for line in Lines::new(input) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let Some((head, value, time)) = parts(&line) else {
            answer.left_out += 1;
            continue;
        };
        let Some(t) = time else {
            untimed += 1;
            continue;
        };
        let at = match places.get(head) {
            Some(at) => *at,
            None if places.len() >= SERIES => {
                cut = true;
                continue;
            }
            None => {
                let Some(labels) = named(head) else {
                    answer.left_out += 1;
                    continue;
                };
                places.insert(head.into(), answer.series.len());
                answer.series.push(Labelled { labels, points: Vec::new() });
                answer.series.len() - 1
            }
        };
        samples += 1;
        if samples > SAMPLES {
            cut = true;
            break;
        }
        match answer.series.get_mut(at) {
            Some(series) if value.is_finite() => series.points.push(Point { t, v: value }),
            _ => answer.left_out += 1,
        }
    }
    for series in &mut answer.series {
        series.points.sort_by(|a, b| a.t.total_cmp(&b.t));
        let all = series.points.len();
        series.points.dedup_by(|later, first| later.t == first.t);
        answer.left_out += all - series.points.len();
    }
    answer.series.retain(|s| !s.points.is_empty());
    if untimed > 0 {
        answer.warnings.push(format!("{untimed} samples have no time, and were left out"));
    }
    if cut {
        answer
            .warnings
            .push(format!("more than {SERIES} series or {SAMPLES} samples: the rest was left out"));
    }
    answer
}

/// Name with labels, value, and time in seconds.
fn parts(line: &str) -> Option<(&str, f64, Option<f64>)> {
    let end = match line.find('{') {
        Some(open) => closing(line, open)? + 1,
        None => line.find(' ')?,
    };
    let (head, rest) = line.split_at_checked(end)?;
    let mut words = rest.split_ascii_whitespace();
    let value = words.next()?;
    let value = match value {
        "+Inf" | "Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        number => number.parse().ok()?,
    };
    let time = words.next().filter(|w| *w != "#").and_then(|w| w.parse::<f64>().ok());
    let seconds = time.filter(|t| t.is_finite()).map(|t| if t.abs() > MILLISECONDS { t / 1e3 } else { t });
    Some((head, value, seconds))
}

/// The brace that closes the labels: none within quotes.
fn closing(line: &str, open: usize) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, b) in line.bytes().enumerate().skip(open) {
        match b {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'}' if !quoted => return Some(at),
            _ => {}
        }
    }
    None
}

/// Name and labels of `name{a="b",c="d"}`.
fn named(head: &str) -> Option<Labels> {
    let name = head.split('{').next().unwrap_or_default().trim();
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '.');
    if name.is_empty() || !name.chars().all(is_name) {
        return None;
    }
    let mut labels = labels(head)?;
    labels.insert(NAME.to_owned(), name.to_owned());
    Some(labels)
}

/// Labels alone, whatever stands before them.
pub(crate) fn labels(head: &str) -> Option<Labels> {
    let inside = match head.split_once('{') {
        Some((_, rest)) => rest.strip_suffix('}')?,
        None => "",
    };
    let mut labels = Labels::new();
    let mut rest = inside.trim();
    while !rest.is_empty() {
        let (label, after) = rest.split_once('=')?;
        let after = after.trim_start().strip_prefix('"')?;
        let (value, more) = quoted(after)?;
        labels.insert(label.trim().to_owned(), value);
        rest = more.trim_start();
        rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
    }
    Some(labels)
}

/// A text up to its quote, and what stands behind it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, text.get(at + 1..)?)),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# TYPE a gauge\na{x=\"1\",y=\"q\\\"}\\n\"} 5 100.5\na{x=\"1\",y=\"q\\\"}\\n\"} 4 90\nb 7 1700000000000\na{x=\"1\",y=\"q\\\"}\\n\"} 9 90\nc 1\nb NaN 1700000001000\nwhat{ 1 2\nb +Inf 3\n# EOF\n";

    #[test]
    fn samples_are_gathered_by_name_and_labels_and_sorted() {
        let answer = read(PAGE.as_bytes());
        assert_eq!(answer.series.len(), 2);
        let a = &answer.series[0];
        assert_eq!((a.labels[NAME].as_str(), a.labels["y"].as_str()), ("a", "q\"}\n"));
        assert_eq!(a.points, [Point { t: 90.0, v: 4.0 }, Point { t: 100.5, v: 5.0 }]);
        assert_eq!(answer.series[1].points, [Point { t: 1_700_000_000.0, v: 7.0 }]);
        // Twice at one time, no number, an infinite one, and what is no line.
        assert_eq!(answer.left_out, 4);
        assert_eq!(answer.warnings, ["1 samples have no time, and were left out"]);
    }

    #[test]
    fn every_cut_and_every_changed_byte_is_survived() {
        for i in 0..PAGE.len() {
            let _cut = read(PAGE.as_bytes().get(..i).expect("within"));
            let mut changed = PAGE.as_bytes().to_vec();
            changed[i] ^= 0x15;
            let _read = read(changed.as_slice());
        }
    }
}
