//! The alert rules on courses that nobody adjusted: eight kinds with random sizes, times and noise, three days each.
//!
//!     cargo run --release -p plimsoll-bench --bin rules [-- COURSES [SEED [first-day]]]
//!
//! With `first-day` everything begins at the deploy or onset, as in a new pod: there is no yesterday until then.
//! For each kind: how many courses fired which alert, and how long after its begin a leak was told.

use std::collections::BTreeMap;
use std::io::Write as _;

use plimsoll_core::fact::Fact;
use plimsoll_core::guard::rules::{Source, Thresholds, groups, walk};
use plimsoll_core::recording::{Observation, Recording};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const HOUR: f64 = 3600.0;
const MIB: f64 = 1_048_576.0;
const HOURS: f64 = 72.0;
/// Midnight of some day.
const BEGIN: f64 = 1_699_920_000.0;

/// Kinds of courses; of the last three the rules must speak. A fresh leak begins with its process, by a deploy.
const KINDS: [&str; 8] = ["flat", "daily", "deploy", "batch", "cache", "leak", "recycled", "fresh"];

/// The numbers of one course.
struct Course {
    kind: &'static str,
    level: f64,
    limit: f64,
    /// Height of what moves, as a share of the level.
    height: f64,
    /// Hours: of a period or a time constant.
    time: f64,
    /// The hour of a deploy, of an onset, of the day's peak.
    at: f64,
    /// MiB an hour.
    rate: f64,
    /// Noise of the floor, share of the level.
    noise: f64,
    /// Process and history begin at `at`.
    is_new: bool,
}

fn between(rng: &mut ChaCha8Rng, low: f64, high: f64) -> f64 {
    low + (high - low) * (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

impl Course {
    fn draw(kind: &'static str, is_new: bool, rng: &mut ChaCha8Rng) -> Course {
        let level = between(rng, 200.0, 1500.0);
        let height = match kind {
            "daily" => between(rng, 0.1, 0.4),
            "flat" => 0.0,
            _ => between(rng, 0.2, 0.8),
        };
        let time = match kind {
            "batch" => between(rng, 2.0, 8.0),
            "recycled" => between(rng, 4.0, 12.0),
            "cache" => between(rng, 1.0, 4.0),
            _ => between(rng, 0.3, 2.0),
        };
        let rate = between(rng, 60.0, 240.0);
        let limit = match kind {
            "leak" | "fresh" => level + rate * between(rng, 10.0, 22.0),
            "recycled" => level + rate * time * between(rng, 1.1, 2.0),
            _ => level * (1.0 + height) * between(rng, 1.15, 2.0),
        };
        let at = between(rng, 26.0, 50.0);
        Course { kind, level, limit, height, time, at, rate, noise: between(rng, 0.001, 0.01), is_new }
    }

    /// The start of the life that runs, hours.
    fn start(&self, hour: f64) -> f64 {
        match self.kind {
            "deploy" | "cache" if hour >= self.at => self.at,
            "recycled" => (hour / self.time).floor() * self.time,
            "leak" | "fresh" if hour >= self.killed() => self.killed(),
            "fresh" if hour >= self.at => self.at,
            _ if self.is_new => self.at,
            _ => -100.0,
        }
    }

    fn killed(&self) -> f64 {
        self.at + (self.limit - self.level) / self.rate
    }

    /// The floor in MiB without noise.
    fn floor(&self, hour: f64) -> f64 {
        let age = hour - self.start(hour);
        let fills = |time: f64| 1.0 - (-age / time).exp();
        let wave = |phase: f64| (1.0 + ((hour - phase) / 24.0 * std::f64::consts::TAU).cos()) / 2.0;
        let moves = self.level * self.height;
        self.level
            + match self.kind {
                // Each day is a little higher than the last.
                "daily" => moves * wave(self.at) * (1.0 + 0.1 * ((hour / 24.0).floor() - 1.0)),
                "deploy" | "cache" if hour >= self.at => moves * (fills(self.time) - 0.5),
                "batch" if hour % self.time < self.time / 4.0 => {
                    moves * (hour % self.time) / (self.time / 4.0)
                }
                "leak" | "fresh" if hour < self.killed() => self.rate * (hour - self.at).max(0.0),
                "leak" | "fresh" | "recycled" => self.rate * age,
                _ => 0.0,
            }
    }

    fn recording(&self, rng: &mut ChaCha8Rng) -> Result<Recording, serde_json::Error> {
        let target = r#"{"pid":1,"name":"course","runtime":"native","started":0.0,"flags":[]}"#;
        let mut r = Recording::new(serde_json::from_str(target)?);
        let (mut drift, mut last) = (0.0, f64::NAN);
        for k in 0..=(HOURS * 60.0) as u32 {
            let hour = f64::from(k) / 60.0;
            drift = 0.98 * drift + 0.2 * between(rng, -1.7, 1.7);
            if self.is_new && hour < self.at {
                continue;
            }
            let garbage = between(rng, 0.0, 0.1);
            let used = self.floor(hour) + self.level * (self.noise * drift + garbage);
            let mut o = Observation::at(BEGIN + hour * HOUR);
            o.known(Fact::RecordedUsage, (used * MIB).min(self.limit * MIB));
            o.known(Fact::RecordedLimit, self.limit * MIB);
            let start = BEGIN + self.start(hour) * HOUR;
            if start != last {
                o.start = Some(start);
                last = start;
            }
            r.add(o);
        }
        Ok(r)
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let number = |n: usize, usual: u64| std::env::args().nth(n).and_then(|a| a.parse().ok()).unwrap_or(usual);
    let (courses, seed) = (number(1, 100), number(2, 1));
    let is_new = std::env::args().nth(3).is_some_and(|a| a == "first-day");
    let rules = groups(Source::ALL, &Thresholds::default());
    let mut out = format!(
        "{courses} courses of each kind, seed {seed}.\n\n| kind | any alert fired | after the first day | alerts (courses) | told after, hours: median, 90 %, most |\n|---|---|---|---|---|\n"
    );
    for kind in KINDS {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (mut fired, mut any, mut later, mut after) = (BTreeMap::<&str, u64>::new(), 0, 0, Vec::new());
        for _ in 0..courses {
            let course = Course::draw(kind, is_new, &mut rng);
            let walk = walk(&course.recording(&mut rng)?, &rules, None);
            let mut alerts: Vec<&str> = walk.firings.iter().map(|f| f.alert).collect();
            alerts.sort_unstable();
            alerts.dedup();
            any += u64::from(!alerts.is_empty());
            later += u64::from(walk.firings.iter().any(|f| f.from > BEGIN + 24.0 * HOUR));
            alerts.into_iter().for_each(|a| *fired.entry(a).or_default() += 1);
            let onset = if is_new || kind == "leak" || kind == "fresh" { course.at } else { 0.0 };
            let told = walk.firings.iter().map(|f| (f.from - BEGIN) / HOUR - onset).filter(|h| *h >= 0.0);
            after.extend(told.reduce(f64::min));
        }
        after.sort_by(f64::total_cmp);
        let at = |share: f64| after.get((after.len() as f64 * share) as usize).or(after.last());
        let told = match (at(0.5), at(0.9), after.last()) {
            (Some(a), Some(b), Some(c)) if ["leak", "recycled", "fresh"].contains(&kind) => {
                format!("{a:.1}, {b:.1}, {c:.1}")
            }
            _ => String::new(),
        };
        let alerts: Vec<String> = fired.iter().map(|(a, n)| format!("{a} {n}")).collect();
        out += &format!("| {kind} | {any} | {later} | {} | {told} |\n", alerts.join(", "));
    }
    std::io::stdout().write_all(out.as_bytes())?;
    Ok(())
}
