//! What was observed of one target, and its form as JSON lines.
//!
//! Live judgement and judgement from a file go through this one type, so the same observations always
//! give the same verdict. The format is described in `docs/recording.md`:
//! a head line (`kind: Recording`), then one line per observation.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};

use serde::{Deserialize, Serialize};

use crate::artifact::Artifact;
use crate::fact::{Fact, Reading};
use crate::series::Series;
use crate::target::Target;

/// One observation: what one or more sources said at one instant. One line of a recording.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Observation {
    /// Unix time, seconds.
    pub t: f64,
    /// Numbers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<Fact, f64>,
    /// Facts that could not be had, with the reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unknown: BTreeMap<Fact, String>,
    /// The target's process was (re)started at this Unix time: a new epoch begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<f64>,
    /// Version that runs from here on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Small artifacts taken at this instant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<Artifact>,
    /// Flags of the target (`key=value`) that only became known now; they replace older ones of the key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub learned: Vec<String>,
    /// Something that the observer wants the reader to know (a source fell silent, a kernel line).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The process was gone at this instant, with what is known of its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
}

impl Observation {
    /// An empty observation at `t` (Unix seconds).
    pub fn at(t: f64) -> Self {
        Observation { t, ..Observation::default() }
    }

    /// Adds a reading of one fact.
    pub fn put(&mut self, fact: Fact, reading: Reading) {
        match reading {
            Reading::Known(v) if v.is_finite() && v >= 0.0 => {
                self.unknown.remove(&fact);
                self.facts.insert(fact, v);
            }
            Reading::Known(v) => {
                self.unknown.insert(fact, format!("the source said {v}, which is no amount"));
            }
            Reading::Unknown(why) => {
                if !self.facts.contains_key(&fact) {
                    self.unknown.insert(fact, why);
                }
            }
        }
    }

    /// Adds a known number.
    pub fn known(&mut self, fact: Fact, v: f64) {
        self.put(fact, Reading::Known(v));
    }

    /// True when there is nothing in it.
    pub fn is_empty(&self) -> bool {
        *self == Observation::at(self.t)
    }
}

/// One run of the target's process within a recording.
#[derive(Debug, Clone, PartialEq)]
pub struct EpochMark {
    /// First instant observed in it, Unix seconds.
    pub from: f64,
    /// Start of the process, Unix seconds.
    pub start: f64,
    /// Version, when the recording says it.
    pub version: Option<String>,
}

/// Everything observed of one target.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    /// Who was watched.
    pub target: Target,
    /// Samples per fact.
    pub series: BTreeMap<Fact, Series>,
    /// Facts that were asked for and never had, with the newest reason.
    pub unknown: BTreeMap<Fact, String>,
    /// Runs of the process, oldest first; at least one.
    pub epochs: Vec<EpochMark>,
    /// Small artifacts with the time they were taken, oldest first.
    pub artifacts: Vec<(f64, Artifact)>,
    /// Notes with their time.
    pub notes: Vec<(f64, String)>,
    /// End of the process, when it was seen: time and what is known.
    pub ended: Option<(f64, String)>,
    /// What was wrong with the input, in words: lines skipped, samples out of order.
    pub warnings: Vec<String>,
    disorder: usize,
}

/// Why a recording could not be read at all.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The bytes could not be read.
    #[error("failed to read the recording")]
    Io(#[source] io::Error),
    /// The first line is not the head of a recording.
    #[error("the first line is not the head of a plimsoll recording")]
    Head(#[source] serde_json::Error),
    /// The head's version is not one that this program reads.
    #[error("the recording is of version {0:?}; this program reads {API_VERSION}")]
    Version(String),
}

/// Version of every document that Plimsoll writes.
pub const API_VERSION: &str = "plimsoll/v1";

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    api_version: String,
    kind: String,
    target: Target,
}

/// The head line of a recording, without its line end.
pub fn head_line(target: &Target) -> String {
    let head =
        Head { api_version: API_VERSION.to_owned(), kind: "Recording".to_owned(), target: target.clone() };
    serde_json::to_string(&head).unwrap_or_default()
}

/// One observation as a line of a recording, without its line end.
pub fn observation_line(o: &Observation) -> String {
    serde_json::to_string(o).unwrap_or_default()
}

impl Recording {
    /// A recording with nothing observed yet.
    pub fn new(target: Target) -> Self {
        let first = EpochMark { from: f64::NEG_INFINITY, start: target.started, version: None };
        Recording {
            target,
            series: BTreeMap::new(),
            unknown: BTreeMap::new(),
            epochs: vec![first],
            artifacts: Vec::new(),
            notes: Vec::new(),
            ended: None,
            warnings: Vec::new(),
            disorder: 0,
        }
    }

    /// Takes in one observation.
    pub fn add(&mut self, o: Observation) {
        if o.start.is_some() || o.version.is_some() {
            self.add_epoch(o.t, o.start, o.version);
        }
        for (fact, v) in o.facts {
            if !self.series.entry(fact).or_default().push(o.t, v) {
                self.disorder += 1;
            }
            self.unknown.remove(&fact);
        }
        for (fact, why) in o.unknown {
            if !self.series.contains_key(&fact) {
                self.unknown.insert(fact, why);
            }
        }
        o.learned.into_iter().for_each(|flag| self.target.learn(flag));
        self.artifacts.extend(o.artifacts.into_iter().map(|a| (o.t, a)));
        self.notes.extend(o.note.map(|n| (o.t, n)));
        if let Some(how) = o.ended {
            self.ended = Some((o.t, how));
        }
    }

    fn add_epoch(&mut self, t: f64, start: Option<f64>, version: Option<String>) {
        let last = self.epochs.last().cloned();
        let start = start.or(last.as_ref().map(|e| e.start)).unwrap_or(t);
        let version = version.or(last.as_ref().and_then(|e| e.version.clone()));
        let same = last.as_ref().is_some_and(|e| e.start == start && e.version == version);
        if same {
            return;
        }
        let nothing_before = self.series.values().all(|s| s.first().is_none_or(|p| p.t >= t));
        if nothing_before {
            self.epochs.clear();
        }
        let from = if self.epochs.is_empty() { f64::NEG_INFINITY } else { t };
        self.epochs.push(EpochMark { from, start, version });
    }

    /// Samples of one fact; empty when it was never had.
    pub fn series(&self, fact: Fact) -> &Series {
        static EMPTY: Series = Series::EMPTY;
        self.series.get(&fact).unwrap_or(&EMPTY)
    }

    /// The newest number of one fact.
    pub fn last(&self, fact: Fact) -> Option<f64> {
        self.series(fact).last().map(|p| p.v)
    }

    /// The newest number of one fact, or why there is none.
    pub fn reading(&self, fact: Fact) -> Reading {
        match self.last(fact) {
            Some(v) => Reading::Known(v),
            None => Reading::Unknown(
                self.unknown.get(&fact).cloned().unwrap_or_else(|| "no source supplied it".to_owned()),
            ),
        }
    }

    /// The newest instant observed, Unix seconds.
    pub fn now(&self) -> Option<f64> {
        let series = self.series.values().filter_map(|s| s.last()).map(|p| p.t);
        let end = self.ended.as_ref().map(|e| e.0);
        series.chain(end).max_by(f64::total_cmp)
    }

    /// The first instant observed, Unix seconds.
    pub fn from(&self) -> Option<f64> {
        self.series.values().filter_map(|s| s.first()).map(|p| p.t).min_by(f64::total_cmp)
    }

    /// Seconds between two samples of the fullest series, on the mean.
    pub fn step(&self) -> Option<f64> {
        let fullest = self.series.values().max_by_key(|s| s.points().len())?;
        (fullest.span() > 0.0).then(|| fullest.span() / (fullest.points().len() - 1) as f64)
    }

    /// What was known at `t` (Unix seconds) and not later: for replays that never look ahead.
    pub fn until(&self, t: f64) -> Recording {
        let mut out = Recording::new(self.target.clone());
        out.epochs = self.epochs.iter().filter(|e| e.from <= t).cloned().collect();
        if out.epochs.is_empty() {
            out.epochs.extend(self.epochs.first().cloned());
        }
        out.series = self
            .series
            .iter()
            .filter(|(_, s)| !s.until(t).is_empty())
            .map(|(f, s)| (*f, Series::from_ordered(s.until(t))))
            .collect();
        out.unknown.clone_from(&self.unknown);
        out.artifacts = self.artifacts.iter().filter(|a| a.0 <= t).cloned().collect();
        out.notes = self.notes.iter().filter(|n| n.0 <= t).cloned().collect();
        out.ended = self.ended.clone().filter(|e| e.0 <= t);
        out
    }

    /// Samples that were refused because they were not later than the one before, or no number.
    pub fn disorder(&self) -> usize {
        self.disorder
    }

    /// Reads JSON lines. Damaged lines are skipped with a warning; a cut last line is normal.
    pub fn read(input: impl BufRead) -> Result<Recording, RecordingError> {
        let mut lines = input.split(b'\n');
        let first = lines.next().transpose().map_err(RecordingError::Io)?.unwrap_or_default();
        let head: Head = serde_json::from_slice(&first).map_err(RecordingError::Head)?;
        if head.api_version != API_VERSION {
            return Err(RecordingError::Version(head.api_version));
        }
        let mut recording = Recording::new(head.target);
        let mut observations = Vec::new();
        for (i, line) in lines.enumerate() {
            let line = line.map_err(RecordingError::Io)?;
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            match serde_json::from_slice::<Observation>(&line) {
                Ok(o) if o.t.is_finite() => observations.push(o),
                Ok(_) => recording.warnings.push(format!("line {}: its time is not a number", i + 2)),
                Err(e) => recording.warnings.push(format!("line {}: {e}; skipped", i + 2)),
            }
        }
        if !observations.is_sorted_by(|a, b| a.t <= b.t) {
            recording.warnings.push("the lines are not in order of time; sorted".to_owned());
            observations.sort_by(|a, b| a.t.total_cmp(&b.t));
        }
        for o in observations {
            recording.add(o.checked());
        }
        Ok(recording)
    }

    /// Writes JSON lines that [`Recording::read`] reads back: the head, then every sample by time.
    pub fn write(&self, mut out: impl Write) -> io::Result<()> {
        writeln!(out, "{}", head_line(&self.target))?;
        for o in self.observations() {
            writeln!(out, "{}", observation_line(&o))?;
        }
        Ok(())
    }

    /// Every observation by time, as [`Recording::add`] took them in (samples of one instant together).
    pub fn observations(&self) -> Vec<Observation> {
        let mut at: BTreeMap<u64, Observation> = BTreeMap::new();
        // The bit pattern of a non-negative double sorts as its number does.
        fn slot(at: &mut BTreeMap<u64, Observation>, t: f64) -> &mut Observation {
            at.entry(t.max(0.0).to_bits()).or_insert_with(|| Observation::at(t))
        }
        let from = self.from().unwrap_or(self.target.started);
        for e in &self.epochs {
            let o = slot(&mut at, e.from.max(from));
            o.start = Some(e.start);
            o.version.clone_from(&e.version);
        }
        for (fact, why) in &self.unknown {
            slot(&mut at, from).unknown.insert(*fact, why.clone());
        }
        for (fact, series) in &self.series {
            for p in series.points() {
                slot(&mut at, p.t).facts.insert(*fact, p.v);
            }
        }
        let mut all: Vec<Observation> = at.into_values().collect();
        all.extend(
            self.artifacts
                .iter()
                .map(|(t, a)| Observation { artifacts: vec![a.clone()], ..Observation::at(*t) }),
        );
        all.extend(
            self.notes.iter().map(|(t, n)| Observation { note: Some(n.clone()), ..Observation::at(*t) }),
        );
        all.extend(
            self.ended.iter().map(|(t, how)| Observation { ended: Some(how.clone()), ..Observation::at(*t) }),
        );
        all.sort_by(|a, b| a.t.total_cmp(&b.t));
        all
    }
}

impl Observation {
    /// Turns numbers that no source can have meant (negative, not finite) into unknowns.
    fn checked(mut self) -> Self {
        for (fact, v) in std::mem::take(&mut self.facts) {
            self.put(fact, Reading::Known(v));
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_step_is_that_of_the_series_with_most_samples() {
        let target = r#"{"pid":1,"name":"api","runtime":"native","started":0.0,"flags":[]}"#;
        let mut r = Recording::new(serde_json::from_str(target).expect("a target"));
        assert_eq!(r.step(), None);
        for k in 0..5 {
            let mut o = Observation::at(f64::from(k) * 10.0);
            o.known(Fact::RecordedUsage, 1e6);
            if k % 4 == 0 {
                o.known(Fact::RecordedLimit, 1e9);
            }
            r.add(o);
            assert_eq!(r.step(), (k > 0).then_some(10.0), "{k}");
        }
    }
}
