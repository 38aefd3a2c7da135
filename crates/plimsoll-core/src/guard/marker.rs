//! The marker protocol: how a program that does its own work tells of its rounds.
//!
//! After each round the program collects, and prints one line,
//!
//! ```text
//! PLIMSOLL ROUND iterations=1000 heap=1234567 held=8388608 failed=0 collected=yes
//! ```
//!
//! Only `iterations` must be there. Then it reads one line of its standard input: [`GO_ON`] asks for another round,
//! [`STOP`] or the end of the input ends the run. While it waits, its resident memory is read from outside.

use std::collections::BTreeMap;

use super::metric::Metric;
use crate::fact::Reading;

/// What the program is told for another round.
pub const GO_ON: &str = "next";
/// What it is told at the end.
pub const STOP: &str = "stop";
/// What a line of the protocol begins with.
const HEAD: &str = "PLIMSOLL";

/// What a round's line says.
#[derive(Debug, Clone, PartialEq)]
pub struct Marker {
    /// Iterations of this round.
    pub iterations: u64,
    /// Those that failed.
    pub failed: u64,
    /// Bytes that the runtime's heap holds of the system, garbage and free room included.
    pub held: Option<f64>,
    /// The process that tells, where a wrapper was started.
    pub pid: Option<i32>,
    /// Whether the program proved that its collection did something; `None` when it does not say.
    pub collected: Option<bool>,
    /// Metrics that it read itself.
    pub readings: BTreeMap<Metric, Reading>,
}

/// A line of what a program prints: `None` when it is not of the protocol, an error in words when it is a wrong one.
pub fn parse(line: &str) -> Option<Result<Marker, String>> {
    let mut words = line.trim().strip_prefix(HEAD)?.split_ascii_whitespace();
    if words.next()? != "ROUND" {
        return None;
    }
    Some(marker(words))
}

fn marker<'a>(words: impl Iterator<Item = &'a str>) -> Result<Marker, String> {
    let mut m = Marker {
        iterations: 0,
        failed: 0,
        held: None,
        pid: None,
        collected: None,
        readings: BTreeMap::new(),
    };
    for word in words {
        let (key, value) = word.split_once('=').ok_or_else(|| format!("{word:?} is no key=value"))?;
        match key {
            "iterations" => m.iterations = count(key, value)?,
            "failed" => m.failed = count(key, value)?,
            "collected" => m.collected = Some(value == "yes"),
            "pid" => m.pid = value.parse().ok(),
            "held" => m.held = number(value),
            // Keys of a later version of the protocol are no mistake.
            _ => {
                if let Some(metric) = Metric::ALL.iter().find(|m| m.name() == key) {
                    let unread = || Reading::unknown(format!("the program said {key}={value}"));
                    m.readings.insert(*metric, number(value).map_or_else(unread, Reading::Known));
                }
            }
        }
    }
    match m.iterations {
        0 => Err("a round of no iterations: say iterations=N".to_owned()),
        n if m.failed > n => Err(format!("{} of {n} iterations failed", m.failed)),
        _ => Ok(m),
    }
}

fn count(key: &str, value: &str) -> Result<u64, String> {
    value.parse().map_err(|_| format!("{key}={value} is no count"))
}

fn number(value: &str) -> Option<f64> {
    value.parse::<f64>().ok().filter(|v| v.is_finite() && *v >= 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_and_what_is_none() {
        let m = parse("PLIMSOLL ROUND iterations=10 heap=77 threads=x new=1 collected=yes failed=2");
        let m = m.expect("of the protocol").expect("a round");
        assert_eq!((m.iterations, m.failed, m.held, m.collected), (10, 2, None, Some(true)));
        assert_eq!(m.readings[&Metric::Heap], Reading::Known(77.0));
        assert!(matches!(&m.readings[&Metric::Threads], Reading::Unknown(why) if why.contains("threads=x")));
        for other in ["", "ready", "PLIMSOLL", "PLIMSOLL HELLO 2", "xPLIMSOLL ROUND iterations=1"] {
            assert_eq!(parse(other), None, "{other}");
        }
        for wrong in ["", "iterations=0", "iterations=-1", "iterations=1 failed=2", "iterations=9 heap"] {
            assert!(parse(&format!("PLIMSOLL ROUND {wrong}")).expect("of it").is_err(), "{wrong}");
        }
        let hostile =
            parse("PLIMSOLL ROUND iterations=1 heap=-1 rss=NaN held=inf").expect("of it").expect("a round");
        assert_eq!(hostile.held, None);
        assert!(hostile.readings.values().all(|r| matches!(r, Reading::Unknown(_))));
    }
}
