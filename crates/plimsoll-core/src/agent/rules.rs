//! The rules of the agent, as its configuration has them.

use std::fmt;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

use super::brake::Means;
use crate::target::glob;
use crate::units::{parse_bytes, parse_duration};

/// Longest time for which a program may be held up, seconds.
const STAND_STILL_MOST: f64 = 600.0;

/// What the agent may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Sample, judge, tell; touch nothing.
    #[default]
    Observe,
    /// Take artifacts, too.
    Capture,
}

/// Which brake may be put on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// The one that fits.
    Auto,
    /// This one, or none.
    Only(Means),
}

impl<'de> Deserialize<'de> for Wish {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let word = String::deserialize(from)?;
        wish(&word).ok_or_else(|| D::Error::custom(format!("expected {WISHES}, not {word}")))
    }
}

const WISHES: &str = "auto, raise, park, throttle or freeze";

fn wish(word: &str) -> Option<Wish> {
    let all = [Means::Raise, Means::Park, Means::Throttle, Means::Freeze];
    let named = all.into_iter().find(|m| m.name() == word).map(Wish::Only);
    named.or_else(|| (word == "auto").then_some(Wish::Auto))
}

/// Buying time, so that a capture can end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Brake {
    /// Which one.
    pub means: Wish,
    /// By how much of the limit it is raised.
    pub raise_share: f64,
    /// Never above this limit, bytes.
    pub never_above: f64,
    /// Whether limits of groups above or below that are as tight are raised, too.
    pub ancestors: bool,
    /// For how long, seconds; then the limit is set back, if usage is below it again.
    pub for_seconds: f64,
    /// For how long it may be parked, throttled or frozen, seconds.
    pub stand_still: f64,
}

impl Default for Brake {
    fn default() -> Self {
        Brake {
            means: Wish::Only(Means::Raise),
            raise_share: 0.25,
            never_above: f64::INFINITY,
            ancestors: true,
            for_seconds: 600.0,
            stand_still: 30.0,
        }
    }
}

/// A word, or a table of what is set: a mistake in the table is told with its line, which a choice between two forms
/// would lose.
impl<'de> Deserialize<'de> for Brake {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(BrakeForm)
    }
}

struct BrakeForm;

impl<'de> Visitor<'de> for BrakeForm {
    type Value = Brake;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{WISHES}, or a table such as {{use: auto, for: 10m}}")
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<Brake, E> {
        let means = wish(word).ok_or_else(|| E::custom(format!("expected {WISHES}, not {word}")))?;
        Ok(Brake { means, ..Brake::default() })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Brake, A::Error> {
        let t = BrakeTable::deserialize(MapAccessDeserializer::new(map))?;
        Ok(Brake {
            means: t.means,
            raise_share: t.raise_share,
            never_above: t.never_above,
            ancestors: t.ancestors,
            for_seconds: t.for_seconds,
            stand_still: t.stand_still,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
struct BrakeTable {
    #[serde(rename = "use")]
    means: Wish,
    raise_share: f64,
    #[serde(deserialize_with = "bytes")]
    never_above: f64,
    ancestors: bool,
    #[serde(rename = "for", deserialize_with = "seconds")]
    for_seconds: f64,
    #[serde(deserialize_with = "seconds")]
    stand_still: f64,
}

impl Default for BrakeTable {
    fn default() -> Self {
        let Brake { means, raise_share, never_above, ancestors, for_seconds, stand_still } = Brake::default();
        BrakeTable { means, raise_share, never_above, ancestors, for_seconds, stand_still }
    }
}

/// Profiles taken all the time, of programs that offer them.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct Profiles {
    /// Seconds between two of a workload.
    #[serde(deserialize_with = "seconds")]
    pub every: f64,
    /// Bytes that are kept; the oldest go first.
    #[serde(deserialize_with = "bytes")]
    pub keep_bytes: f64,
    /// Age up to which they are kept, seconds.
    #[serde(deserialize_with = "seconds")]
    pub keep_for: f64,
    /// A server that takes Pyroscope's `/ingest`; none when it is missing.
    pub push_to: Option<String>,
}

impl Default for Profiles {
    fn default() -> Self {
        Profiles { every: 600.0, keep_bytes: 256.0 * 1_048_576.0, keep_for: 7.0 * 86_400.0, push_to: None }
    }
}

/// Everything that may be set.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct Rules {
    /// What may be done.
    pub mode: Mode,
    /// Seconds between two looks at everything.
    #[serde(deserialize_with = "seconds")]
    pub every: f64,
    /// Names of programs that are watched, as globs; all when empty.
    pub only: Vec<String>,
    /// Names that are left alone.
    pub except: Vec<String>,
    /// Time to the limit from which processes are prepared, seconds.
    #[serde(deserialize_with = "seconds")]
    pub armed_below: f64,
    /// Time to the limit from which cheap artifacts are taken, seconds.
    #[serde(deserialize_with = "seconds")]
    pub light_below: f64,
    /// Time to the limit from which the heavy artifact is taken, seconds.
    #[serde(deserialize_with = "seconds")]
    pub heavy_below: f64,
    /// The heavy artifact is taken when the time left is this many times what it needs.
    pub heavy_reserve: f64,
    /// Share of the limit from which the heavy artifact is taken while the climb is one of minutes.
    pub heavy_share: f64,
    /// Least time between two cheap captures of a workload, seconds.
    #[serde(deserialize_with = "seconds")]
    pub light_every: f64,
    /// Least time between two heavy captures of a workload, seconds.
    #[serde(deserialize_with = "seconds")]
    pub heavy_every: f64,
    /// Whether JVMs are attached to once when they are seen first: the first time takes long, and may fail later.
    pub prepare: bool,
    /// Whether JVMs get their safety net switched on when they are armed.
    pub arm_net: bool,
    /// Whether and how time is bought; not at all when it is missing.
    pub brake: Option<Brake>,
    /// Bytes of evidence that are kept; the oldest go first, never those of an open incident.
    #[serde(deserialize_with = "bytes")]
    pub keep_bytes: f64,
    /// Age up to which evidence is kept, seconds.
    #[serde(deserialize_with = "seconds")]
    pub keep_for: f64,
    /// Whether and how profiles are taken all the time; not at all when it is missing.
    pub profiles: Option<Profiles>,
    /// Where in object storage captures are uploaded as soon as they are stored; nowhere when it is missing.
    pub upload: Option<String>,
    /// Bytes of series that are kept; the oldest go first.
    #[serde(deserialize_with = "bytes")]
    pub keep_series_bytes: f64,
    /// Age up to which series are kept, seconds.
    #[serde(deserialize_with = "seconds")]
    pub keep_series_for: f64,
}

impl Default for Rules {
    fn default() -> Self {
        Rules {
            mode: Mode::Observe,
            every: 10.0,
            only: Vec::new(),
            except: Vec::new(),
            armed_below: 3600.0,
            light_below: 900.0,
            heavy_below: 20.0,
            heavy_reserve: 3.0,
            heavy_share: 0.92,
            light_every: 900.0,
            heavy_every: 3600.0,
            prepare: true,
            arm_net: false,
            brake: None,
            keep_bytes: 20.0 * 1_073_741_824.0,
            keep_for: 14.0 * 86_400.0,
            profiles: None,
            upload: None,
            keep_series_bytes: 1_073_741_824.0,
            keep_series_for: 60.0 * 86_400.0,
        }
    }
}

impl Rules {
    /// What is wrong with them, in words; none when they make sense.
    pub fn wrong(&self) -> Option<String> {
        let order = [
            ("armedBelow", self.armed_below),
            ("lightBelow", self.light_below),
            ("heavyBelow", self.heavy_below),
        ];
        for pair in order.windows(2) {
            if let [(a, longer), (b, shorter)] = pair
                && longer < shorter
            {
                return Some(format!("{a} ({longer} s) must not be shorter than {b} ({shorter} s)"));
            }
        }
        if !(0.05..=3600.0).contains(&self.every) {
            return Some(format!("every ({} s) must be between 50ms and 1h", self.every));
        }
        if !(0.1..=1.0).contains(&self.heavy_share) {
            return Some(format!("heavyShare ({}) must be between 0.1 and 1", self.heavy_share));
        }
        if let Some(profiles) = &self.profiles {
            if !(1.0..=86_400.0).contains(&profiles.every) {
                return Some(format!("profiles.every ({} s) must be between 1s and 24h", profiles.every));
            }
            if profiles.push_to.as_ref().is_some_and(|url| !url.starts_with("http://")) {
                return Some("profiles.pushTo must be a URL such as http://pyroscope:4040".to_owned());
            }
        }
        let brake = self.brake?;
        if !(0.01..=4.0).contains(&brake.raise_share) {
            return Some(format!("brake.raiseShare ({}) must be between 0.01 and 4", brake.raise_share));
        }
        (brake.stand_still > STAND_STILL_MOST)
            .then(|| format!("brake.standStill ({} s) must not be longer than 10m", brake.stand_still))
    }

    /// Whether a program of this name is watched.
    pub fn watches(&self, name: &str) -> bool {
        let matches = |globs: &[String]| globs.iter().any(|g| glob(g, name));
        (self.only.is_empty() || matches(&self.only)) && !matches(&self.except)
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Amount {
    Number(f64),
    Text(String),
}

/// `10s`, `5m`, `1h`, or plain seconds.
fn seconds<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    amount(from, parse_duration, "a time such as 10s, 5m or 1h")
}

/// `512MiB`, `20Gi`, or plain bytes.
fn bytes<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    amount(from, parse_bytes, "an amount such as 512MiB or 20Gi")
}

fn amount<'de, D: Deserializer<'de>>(
    from: D,
    parse: fn(&str) -> Option<f64>,
    wanted: &str,
) -> Result<f64, D::Error> {
    let value = match Amount::deserialize(from)? {
        Amount::Number(n) => Some(n),
        Amount::Text(text) => parse(&text),
    };
    value.filter(|v| v.is_finite() && *v >= 0.0).ok_or_else(|| D::Error::custom(format!("expected {wanted}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_and_checked() {
        let rules: Rules =
            serde_json::from_str(r#"{"mode": "capture", "every": "5s", "brake": {"for": "2m", "neverAbove": "1Gi"}, "keepBytes": 5}"#)
                .expect("rules");
        assert_eq!((rules.mode, rules.every, rules.keep_bytes), (Mode::Capture, 5.0, 5.0));
        let brake = rules.brake.expect("one");
        assert_eq!((brake.for_seconds, brake.never_above, brake.raise_share), (120.0, 1_073_741_824.0, 0.25));
        assert_eq!(rules.wrong(), None);
        let brake = |text: &str| serde_json::from_str::<Brake>(text);
        let word = brake(r#""park""#).expect("a word");
        assert_eq!((word.means, word.stand_still), (Wish::Only(Means::Park), 30.0));
        assert_eq!(brake(r#"{"use": "auto", "standStill": "5s"}"#).expect("a table").means, Wish::Auto);
        assert!(brake(r#""brak""#).expect_err("a typo").to_string().contains("expected auto, raise, park"));
        assert!(brake(r#"{"use": "stop"}"#).expect_err("a typo").to_string().contains("not stop"));
        assert!(brake(r#"{"fro": 5}"#).expect_err("a typo").to_string().contains("fro"));
        let typo = serde_json::from_str::<Rules>(r#"{"evry": 5}"#).expect_err("a typo");
        assert!(typo.to_string().contains("evry"), "{typo}");
        assert!(serde_json::from_str::<Rules>(r#"{"every": "soon"}"#).is_err());
        let wrong = Rules { light_below: 5.0, ..Rules::default() };
        assert!(wrong.wrong().is_some_and(|w| w.contains("lightBelow")));
        let only =
            Rules { only: vec!["java".to_owned()], except: vec!["j*x".to_owned()], ..Rules::default() };
        assert!(only.watches("java") && !only.watches("go"));
    }
}
