//! Answers of the Prometheus HTTP API to queries: vectors and matrices, errors and warnings.
//!
//! Read in one pass from the stream. Values that are no number are left out and counted, samples out of order too; a page
//! that is no such answer at all (a proxy's login, a wrong path) is told by its first words.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};

use plimsoll_core::series::Point;
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, SeqAccess, Visitor};

/// Labels of a series.
pub type Labels = BTreeMap<String, String>;

/// One series of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Labelled {
    /// Its labels.
    pub labels: Labels,
    /// Its samples, in order of time; one for a vector.
    pub points: Vec<Point>,
}

/// What the server said.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Answer {
    /// Series.
    pub series: Vec<Labelled>,
    /// What the server warned of: partial results first of all.
    pub warnings: Vec<String>,
    /// Samples left out: no number, or not later than the one before.
    pub left_out: usize,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// The server refused or could not do it.
    #[error("the server says {kind}: {text}")]
    Refused {
        /// Its kind of error.
        kind: String,
        /// Its words.
        text: String,
    },
    /// Something else than an answer of this API.
    #[error("no answer of the Prometheus API, but {0:?}")]
    Other(String),
    /// A result of another type than asked for.
    #[error("a result of type {0:?}, where series were asked for")]
    Type(String),
    /// The stream broke off, or is longer than may be.
    #[error("the answer breaks off")]
    Cut(#[source] serde_json::Error),
}

/// Most bytes of a strange page that are told.
const TOLD: usize = 80;
/// Most series, and points of one, of an answer.
const SERIES: usize = 1_000_000;

#[derive(Deserialize)]
struct Envelope<D = Data> {
    status: String,
    data: Option<D>,
    #[serde(rename = "errorType", default)]
    error_type: String,
    #[serde(default)]
    error: String,
    #[serde(default)]
    warnings: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    result_type: String,
    #[serde(default)]
    result: Vec<One>,
}

#[derive(Deserialize)]
struct One {
    #[serde(default)]
    metric: Labels,
    value: Option<Sample>,
    #[serde(default)]
    values: Samples,
}

/// A pair of time and number in quotes; none where it is no number.
struct Sample(Option<Point>);

#[derive(Default)]
struct Samples {
    points: Vec<Point>,
    left_out: usize,
}

impl Samples {
    fn push(&mut self, point: Option<Point>) {
        match point {
            Some(p) if self.points.last().is_none_or(|last| p.t > last.t) => self.points.push(p),
            _ => self.left_out += 1,
        }
    }
}

impl<'de> Deserialize<'de> for Sample {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let (t, text): (f64, String) = Deserialize::deserialize(from)?;
        let v = text.parse::<f64>().ok().filter(|v| v.is_finite());
        Ok(Sample(v.filter(|_| t.is_finite()).map(|v| Point { t, v })))
    }
}

impl<'de> Deserialize<'de> for Samples {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Samples;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("samples")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Samples, A::Error> {
                let mut samples = Samples::default();
                while let Some(Sample(point)) = seq.next_element()? {
                    samples.push(point);
                }
                Ok(samples)
            }
        }
        from.deserialize_seq(Each)
    }
}

/// Reads an answer.
///
/// # Errors
/// [`AnswerError`]: the server's own words, or what came instead of an answer.
pub fn read(input: impl Read) -> Result<Answer, AnswerError> {
    let (data, warnings) = opened::<Data>(input)?;
    answer(data, warnings)
}

/// Reads the values of a label.
///
/// # Errors
/// As of [`read`].
pub fn read_values(input: impl Read) -> Result<Vec<String>, AnswerError> {
    opened(input).map(|(values, _)| values)
}

/// What is in an envelope, and what the server warned of.
fn opened<D: DeserializeOwned>(mut input: impl Read) -> Result<(D, Vec<String>), AnswerError> {
    let mut first = Vec::new();
    let looked = input.by_ref().take(TOLD as u64).read_to_end(&mut first);
    let cut = |e: io::Error| AnswerError::Cut(serde_json::Error::io(e));
    looked.map_err(cut)?;
    let starts = first.iter().find(|b| !b.is_ascii_whitespace());
    if starts != Some(&b'{') {
        return Err(AnswerError::Other(printable(&first)));
    }
    let whole = io::BufReader::with_capacity(1 << 16, first.as_slice().chain(input));
    let envelope: Envelope<D> = serde_json::from_reader(whole).map_err(|e| match e.classify() {
        serde_json::error::Category::Io | serde_json::error::Category::Eof => AnswerError::Cut(e),
        _ => AnswerError::Other(printable(&first)),
    })?;
    let Envelope { status, data, error_type, error, warnings } = envelope;
    match data.filter(|_| status == "success") {
        Some(data) => Ok((data, warnings)),
        None => Err(AnswerError::Refused { kind: error_type, text: error }),
    }
}

fn answer(data: Data, warnings: Vec<String>) -> Result<Answer, AnswerError> {
    if !matches!(data.result_type.as_str(), "vector" | "matrix") {
        return Err(AnswerError::Type(data.result_type));
    }
    let mut answer = Answer { warnings, ..Answer::default() };
    for One { metric, value, values } in data.result.into_iter().take(SERIES) {
        let mut samples = values;
        if let Some(Sample(point)) = value {
            samples.push(point);
        }
        answer.left_out += samples.left_out;
        answer.series.push(Labelled { labels: metric, points: samples.points });
    }
    Ok(answer)
}

/// The first words of a page, without what a terminal would obey.
fn printable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Joins answers to the same question over stretches of time that follow one another.
pub fn join(parts: Vec<Answer>) -> Answer {
    let mut all: BTreeMap<Labels, Samples> = BTreeMap::new();
    let mut joined = Answer::default();
    for part in parts {
        joined.left_out += part.left_out;
        for warning in part.warnings {
            if !joined.warnings.contains(&warning) {
                joined.warnings.push(warning);
            }
        }
        for Labelled { labels, points } in part.series {
            let samples = all.entry(labels).or_default();
            points.into_iter().for_each(|p| samples.push(Some(p)));
        }
    }
    for (labels, samples) in all {
        joined.left_out += samples.left_out;
        joined.series.push(Labelled { labels, points: samples.points });
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Answer, AnswerError> {
        read(text.as_bytes())
    }

    #[test]
    fn a_matrix_and_a_vector_are_read_and_what_is_no_number_is_counted() {
        let matrix = r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"pod":"a"},
            "values":[[100,"1.5"],[160,"NaN"],[220.5,"3e6"],[200,"4"],[300,"+Inf"]]}]},
            "warnings":["PromQL warning: partial"],"infos":["x"]}"#;
        let answer = read_text(matrix).unwrap();
        assert_eq!(answer.series[0].labels["pod"], "a");
        assert_eq!(answer.series[0].points, [Point { t: 100.0, v: 1.5 }, Point { t: 220.5, v: 3e6 }]);
        assert_eq!((answer.left_out, answer.warnings.len()), (3, 1));
        let vector = r#"{"status":"success","data":{"resultType":"vector","result":[
            {"metric":{},"value":[1,"7"]},{"metric":{"a":"b"},"value":[1,"-Inf"]}]}}"#;
        let answer = read_text(vector).unwrap();
        assert_eq!(answer.series.len(), 2);
        assert_eq!((answer.series[0].points[0].v, answer.left_out), (7.0, 1));
    }

    #[test]
    fn the_values_of_a_label_are_read() {
        let read = |text: &str| read_values(text.as_bytes());
        assert_eq!(read(r#"{"status":"success","data":["a","b-0"]}"#).unwrap(), ["a", "b-0"]);
        assert!(read(r#"{"status":"success","data":[]}"#).unwrap().is_empty());
        assert!(matches!(read("<html>"), Err(AnswerError::Other(_))));
        assert!(matches!(read(r#"{"status":"success","data":["a","#), Err(AnswerError::Cut(_))));
        let refused = r#"{"status":"error","errorType":"bad_data","error":"no"}"#;
        assert!(matches!(read(refused), Err(AnswerError::Refused { .. })));
    }

    #[test]
    fn what_is_no_answer_is_told_by_its_words() {
        let refused = r#"{"status":"error","errorType":"bad_data","error":"invalid parameter"}"#;
        let said = read_text(refused).unwrap_err().to_string();
        assert_eq!(said, "the server says bad_data: invalid parameter");
        let said = read_text("<html>\x1b[2JLog in").unwrap_err().to_string();
        assert!(said.contains("<html> [2JLog in") && !said.contains('\u{1b}'), "{said}");
        assert!(matches!(read_text(""), Err(AnswerError::Other(_))));
        assert!(matches!(read_text(r#"{"a":1}"#), Err(AnswerError::Other(_))));
        let scalar = r#"{"status":"success","data":{"resultType":"scalar","result":[]}}"#;
        assert!(matches!(read_text(scalar), Err(AnswerError::Type(t)) if t == "scalar"));
        let cut = r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"#;
        assert!(matches!(read_text(cut), Err(AnswerError::Cut(_))));
    }

    #[test]
    fn pages_of_time_are_joined_by_their_labels() {
        let part = |label: &str, t: f64| Answer {
            series: vec![Labelled {
                labels: Labels::from([("pod".to_owned(), label.to_owned())]),
                points: vec![Point { t, v: t }],
            }],
            warnings: vec!["w".to_owned()],
            left_out: 1,
        };
        let joined = join(vec![part("a", 1.0), part("a", 2.0), part("b", 2.0), part("a", 2.0)]);
        assert_eq!(joined.series.len(), 2);
        assert_eq!(joined.series[0].points.len(), 2);
        assert_eq!((joined.left_out, joined.warnings.len()), (5, 1));
    }
}
