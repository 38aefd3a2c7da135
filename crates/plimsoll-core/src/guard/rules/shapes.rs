//! Eight courses of memory over three days, each with what the rules must say of it: written as unit tests beside the rules,
//! and walked by our own.

use super::{HOUR, MIB};

/// Hours of every course.
pub const HOURS: f64 = 72.0;

/// One course.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Its name.
    pub name: &'static str,
    /// What it is, in words.
    pub what: &'static str,
    /// The limit, bytes.
    pub limit: f64,
    /// The alerts that must fire; no others may.
    pub fires: &'static [&'static str],
    /// The first of them must fire between these hours.
    pub between: (f64, f64),
    /// Hours between two restarts; the first at 0, those before are not seen.
    lives: fn(f64) -> f64,
    /// The floor in MiB, by the hour and the hours since the start.
    level: fn(f64, f64) -> f64,
}

/// When the fast leak begins.
pub const ONSET: f64 = 50.0;
/// It is killed here and begins anew, hours.
const KILLED: f64 = 62.0;

/// The start of the life that runs, for one that began long before.
fn ever(_: f64) -> f64 {
    -100.0
}

/// A deploy at the 48th hour.
fn deployed(hour: f64) -> f64 {
    if hour < 48.0 { -100.0 } else { 48.0 }
}

fn exp(age: f64, time: f64) -> f64 {
    1.0 - (-age.max(0.0) / time).exp()
}

/// All of them.
pub const SHAPES: &[Shape] = &[
    Shape {
        name: "leak",
        what: "120 MiB an hour from the 50th hour on, killed at the 62nd",
        limit: 2048.0 * MIB,
        fires: &["PlimsollMemoryClimbs", "PlimsollMemoryEndsSoon"],
        between: (ONSET, ONSET + 3.0),
        lives: |hour| if hour < KILLED { -100.0 } else { KILLED },
        level: |hour, age| {
            let since = if hour < KILLED { hour - ONSET } else { age };
            600.0 + 120.0 * since.max(0.0)
        },
    },
    Shape {
        name: "slow",
        what: "8 MiB an hour from the 24th hour on",
        limit: 1024.0 * MIB,
        fires: &["PlimsollSlowClimb"],
        between: (36.0, 50.0),
        lives: ever,
        level: |hour, _| 400.0 + 8.0 * (hour - 24.0).max(0.0),
    },
    Shape {
        name: "recycled",
        what: "100 MiB an hour, restarted every six hours",
        limit: 1792.0 * MIB,
        fires: &["PlimsollRestartsHideLeak"],
        between: (0.0, 48.0),
        lives: |hour| (hour / 6.0).floor() * 6.0,
        level: |_, age| 400.0 + 100.0 * age,
    },
    Shape {
        name: "flat",
        what: "no change",
        limit: 1024.0 * MIB,
        fires: &[],
        between: (0.0, 0.0),
        lives: ever,
        level: |_, _| 600.0,
    },
    Shape {
        name: "daily",
        what: "200 MiB up and down with the day",
        limit: 1280.0 * MIB,
        fires: &[],
        between: (0.0, 0.0),
        lives: ever,
        level: |hour, _| 600.0 + 200.0 * (hour / 24.0 * std::f64::consts::TAU).sin(),
    },
    Shape {
        name: "deploy",
        what: "a new version at the 48th hour that warms up",
        limit: 1024.0 * MIB,
        fires: &[],
        between: (0.0, 0.0),
        lives: deployed,
        level: |hour, age| if hour < 48.0 { 600.0 } else { 300.0 + 350.0 * exp(age, 1.0) },
    },
    Shape {
        name: "batch",
        what: "a batch of an hour every four",
        limit: 1024.0 * MIB,
        fires: &[],
        between: (0.0, 0.0),
        lives: ever,
        level: |hour, _| {
            let into = hour % 4.0;
            400.0 + if into < 1.0 { 400.0 * into } else { (400.0 - 1600.0 * (into - 1.0)).max(0.0) }
        },
    },
    Shape {
        name: "cache",
        what: "a cache of 400 MiB that fills after a deploy, half of it in two hours",
        limit: 1024.0 * MIB,
        fires: &[],
        between: (0.0, 0.0),
        lives: deployed,
        level: |hour, age| if hour < 48.0 { 800.0 } else { 400.0 + 400.0 * exp(age, 2.5) },
    },
];

impl Shape {
    /// The hour in which the life that runs began.
    pub fn start(&self, hour: f64) -> f64 {
        (self.lives)(hour)
    }

    /// The floor, bytes, with a little noise.
    pub fn floor(&self, hour: f64) -> f64 {
        let noise = (hour * 61.0).sin() + (hour * 17.3).cos();
        ((self.level)(hour, hour - self.start(hour)) + noise) * MIB
    }

    /// What is in use: garbage on top of the floor, collected every seven minutes.
    pub fn usage(&self, hour: f64) -> f64 {
        let since = (hour * HOUR / 420.0).fract();
        (self.floor(hour) + 60.0 * MIB * since).min(self.limit)
    }
}
