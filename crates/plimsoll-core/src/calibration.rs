//! Costs of artifacts as they were measured on this machine, in place of the shipped constants where their conditions hold.
//!
//! Memory, disk and pause are taken from a measurement; how long the target runs on meanwhile is a property of the artifact
//! and stays as shipped. A measurement holds for the same runtime of the same major version with the same collector,
//! and not far beyond the sizes that were measured.

use serde::{Deserialize, Serialize};

use crate::fact::Fact;
use crate::plan;
use crate::recording::{Observation, Recording};
use crate::runtime::price::{Line, Per, Price};
use crate::runtime::rules::Cost;
use crate::target::{RuntimeKind, Target};

/// How far beyond the largest size measured a line is believed.
const FAR: f64 = 8.0;
/// The larger of two sizes is so many times the smaller one, or they say nothing of what a larger one costs.
const APART: f64 = 1.5;
/// What is added to measured memory: a real program is not the one that was measured.
const SPARE: f64 = 1.25;
/// Memory of a machine may differ by so much without being another machine's: the kernel keeps a part.
const SAME_MEMORY: f64 = 0.1;

/// What was measured, and where.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Calibration {
    /// Where.
    pub machine: Machine,
    /// One for each artifact under its conditions.
    pub rows: Vec<Row>,
}

/// A machine, as far as costs depend on it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Machine {
    /// Its processor's name.
    pub processor: String,
    /// How many there are.
    pub processors: u32,
    /// Memory, bytes.
    pub memory_bytes: f64,
    /// Its kernel.
    pub kernel: String,
}

impl Machine {
    /// Whether what was measured on one holds for the other.
    pub fn is_like(&self, other: &Machine) -> bool {
        let memory = (self.memory_bytes - other.memory_bytes).abs();
        self.processor == other.processor
            && self.processors == other.processors
            && memory <= SAME_MEMORY * self.memory_bytes
    }
}

/// What one artifact costs under its conditions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// The runtime.
    pub runtime: RuntimeKind,
    /// Its version, where it has one.
    pub version: Option<String>,
    /// Its collector, where it can have several.
    pub collector: Option<String>,
    /// The artifact.
    pub artifact: String,
    /// When, as a date.
    pub date: String,
    /// What made the machine busy then: figures of such a time are too high rather than too low.
    pub busy: Option<String>,
    /// What the sizes count.
    pub per: Per,
    /// The smallest and the largest size measured.
    pub sizes: [f64; 2],
    /// Captures that it rests on.
    pub runs: usize,
    /// Memory inside the target at its peak, bytes: of several captures the worst.
    #[serde(rename = "memoryBytes")]
    pub memory: Line,
    /// Disk, bytes.
    #[serde(rename = "diskBytes")]
    pub disk: Line,
    /// Pause, seconds: of several captures the middle one.
    #[serde(rename = "pauseSeconds")]
    pub pause: Line,
    /// The whole capture, seconds: the middle one.
    #[serde(rename = "takenSeconds")]
    pub seconds: Line,
}

/// One capture that was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Run {
    /// The size of the target.
    pub size: f64,
    /// Memory in it at its peak beyond what it had, bytes.
    pub memory: f64,
    /// Bytes stored.
    pub disk: f64,
    /// Longest time that it stood still, seconds.
    pub pause: f64,
    /// The whole capture, seconds.
    pub seconds: f64,
}

/// The lines through captures at the smallest and the largest size: memory, disk, pause, seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lines {
    /// The smallest and the largest size.
    pub sizes: [f64; 2],
    /// See [`Row::memory`].
    pub memory: Line,
    /// See [`Row::disk`].
    pub disk: Line,
    /// See [`Row::pause`].
    pub pause: Line,
    /// See [`Row::seconds`].
    pub seconds: Line,
}

/// Lays lines through what was measured; none when nothing was.
pub fn lines(runs: &[Run]) -> Option<Lines> {
    let sizes = runs.iter().map(|run| run.size);
    let (low, high) = (sizes.clone().min_by(f64::total_cmp)?, sizes.max_by(f64::total_cmp)?);
    // Sizes are what a program says it holds, and vary a little from one start to the next.
    let middle = (low + high) / 2.0;
    let (small, large): (Vec<&Run>, Vec<&Run>) = runs.iter().partition(|run| run.size <= middle);
    let large = if large.is_empty() { small.clone() } else { large };
    let line = |of: fn(&Run) -> f64, best: fn(Vec<f64>) -> f64| {
        let ends = [&small, &large].map(|some| best(some.iter().map(|run| of(run)).collect()));
        through([low, high], ends)
    };
    Some(Lines {
        sizes: [low, high],
        memory: line(|run| run.memory, worst),
        disk: line(|run| run.disk, worst),
        pause: line(|run| run.pause, median),
        seconds: line(|run| run.seconds, median),
    })
}

fn worst(values: Vec<f64>) -> f64 {
    values.into_iter().fold(0.0, f64::max)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// The line through two points; flat through the higher one where it would fall, or start below nothing.
fn through([low, high]: [f64; 2], [at_low, at_high]: [f64; 2]) -> Line {
    let each = if high > low { (at_high - at_low) / (high - low) } else { 0.0 };
    if each <= 0.0 {
        return Line::flat(at_low.max(at_high));
    }
    let base = at_low - each * low;
    // More than in proportion: what is between and beyond is not told less than in proportion.
    if base < 0.0 { Line::of(at_high / high) } else { Line { base, each } }
}

impl Calibration {
    /// Takes in new rows in place of older ones of the same conditions.
    pub fn learn(&mut self, rows: Vec<Row>) {
        self.rows.retain(|old| !rows.iter().any(|new| new.is_of_the_same(old)));
        self.rows.extend(rows);
    }

    /// What an artifact of a target costs by what was measured, `shipped` otherwise; says which.
    pub fn cost(&self, r: &Recording, artifact: &str, shipped: &Price, size: f64) -> Cost {
        let cost = shipped.at(size);
        let Some(row) = self.rows.iter().find(|row| row.artifact == artifact && row.holds_for(&r.target))
        else {
            return cost;
        };
        if size > FAR * row.sizes[1] && row.per != Per::Nothing {
            let basis = format!("{}; measured here only up to {}", cost.basis, row.per.shown(row.sizes[1]));
            return Cost { basis: basis.into(), ..cost };
        }
        let measured = Cost {
            // What takes nothing by its nature is not charged with what the program did meanwhile.
            memory: if shipped.memory == Line::NONE { 0.0 } else { SPARE * row.memory.at(size) },
            disk: row.disk.at(size),
            inside: cost.inside,
            pause: row.pause.at(size),
            running: cost.running,
            basis: match row.is_of_version(&r.target) {
                None if row.version.is_some() => {
                    format!("{}; the version of this one is unknown", row.basis()).into()
                }
                _ => row.basis().into(),
            },
        };
        if row.per != Per::Nothing && row.sizes[1] > APART * row.sizes[0] {
            return measured;
        }
        // What it does grow with, nobody counts: the program that was measured may have had little of it.
        Cost {
            memory: measured.memory.max(cost.memory),
            disk: measured.disk.max(cost.disk),
            pause: measured.pause.max(cost.pause),
            ..measured
        }
    }
}

impl Row {
    fn is_of_the_same(&self, other: &Row) -> bool {
        self.runtime == other.runtime
            && self.artifact == other.artifact
            && self.collector == other.collector
            && major(self.version.as_deref()) == major(other.version.as_deref())
    }

    /// Whether it was measured on a program like this one.
    fn holds_for(&self, target: &Target) -> bool {
        self.runtime == target.runtime
            && self.is_of_version(target).unwrap_or(true)
            && self.collector.as_deref() == target.flag("gc")
    }

    /// Whether the versions agree; none where one of them is unknown.
    fn is_of_version(&self, target: &Target) -> Option<bool> {
        Some(major(self.version.as_deref())? == major(target.runtime_version.as_deref())?)
    }

    /// What the shipped constants say of the largest size measured; none where they do not know the artifact.
    pub fn shipped(&self) -> Option<Cost> {
        let target = Target {
            pid: 0,
            name: String::new(),
            runtime: self.runtime,
            runtime_version: self.version.clone(),
            container: None,
            cgroup: None,
            limit_cgroup: None,
            started: 0.0,
            flags: self.collector.iter().map(|gc| format!("gc={gc}")).collect(),
        };
        let mut r = Recording::new(target);
        let mut seen = Observation::at(0.0);
        // By these a program is known to answer.
        seen.known(Fact::GoHeapAlloc, 0.0);
        seen.known(Fact::Goroutines, self.sizes[1]);
        r.add(seen);
        let rule = plan::rungs(self.runtime).find(|rule| rule.id == self.artifact)?;
        Some((rule.price)(&r).ok()?.at(self.sizes[1]))
    }

    /// Where the figures come from, in words.
    pub fn basis(&self) -> String {
        let [low, high] = self.sizes.map(|size| self.per.shown(size));
        let sizes = if self.per == Per::Nothing { String::new() } else { format!(", {low} to {high}") };
        let busy = self.busy.as_ref().map_or_else(String::new, |why| format!(", while {why}"));
        format!("measured here on {}: {}{sizes}, {} captures{busy}", self.date, self.program(), self.runs)
    }

    /// The runtime with its version and collector.
    pub fn program(&self) -> String {
        let runtime = format!("{:?}", self.runtime);
        let parts = [Some(runtime.as_str()), self.version.as_deref(), self.collector.as_deref()];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }
}

/// The part of a version that costs depend on: `17` of `17.0.15`, `8` of `1.8.0_392`, `go1.27` of `go1.27.3`, `3.11` of `3.11.7`.
fn major(version: Option<&str>) -> Option<String> {
    let version = version?;
    let mut parts = version.split(['.', '_', '+', '-']);
    let first = parts.next().unwrap_or_default();
    match first.trim_start_matches(|c: char| !c.is_ascii_digit()) {
        "1" | "2" | "3" => Some(format!("{first}.{}", parts.next().unwrap_or_default())),
        _ => Some(first.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: f64 = 1_048_576.0;

    fn run(size: f64, memory: f64, pause: f64) -> Run {
        Run { size, memory, disk: 1.3 * size, pause, seconds: pause + 0.1 }
    }

    fn row(artifact: &str, runs: &[Run]) -> Row {
        let lines = lines(runs).expect("lines");
        Row {
            runtime: RuntimeKind::Jvm,
            version: Some("17.0.15".to_owned()),
            collector: Some("G1".to_owned()),
            artifact: artifact.to_owned(),
            date: "2026-11-27".to_owned(),
            busy: None,
            per: Per::JavaHeap,
            sizes: lines.sizes,
            runs: runs.len(),
            memory: lines.memory,
            disk: lines.disk,
            pause: lines.pause,
            seconds: lines.seconds,
        }
    }

    fn jvm(version: &str, gc: &str, used: f64) -> Recording {
        let target = Target {
            pid: 7,
            name: "x".to_owned(),
            runtime: RuntimeKind::Jvm,
            runtime_version: Some(version.to_owned()),
            container: None,
            cgroup: None,
            limit_cgroup: None,
            started: 0.0,
            flags: vec![format!("gc={gc}")],
        };
        let mut r = Recording::new(target);
        let mut seen = Observation::at(1.0);
        seen.known(Fact::JvmHeapUsed, used);
        seen.known(Fact::Threads, 100.0);
        r.add(seen);
        r
    }

    #[test]
    fn lines_go_through_the_worst_memory_and_the_middle_pause() {
        let runs = [
            run(100.0, 10.0, 1.0),
            run(100.0, 12.0, 9.0),
            run(101.0, 8.0, 1.1),
            run(300.0, 20.0, 3.0),
            run(302.0, 22.0, 3.2),
        ];
        let lines = lines(&runs).expect("lines");
        assert_eq!(lines.sizes, [100.0, 302.0]);
        assert!((lines.memory.at(100.0) - 12.0).abs() < 1e-9 && (lines.memory.at(302.0) - 22.0).abs() < 1e-9);
        assert!((lines.pause.at(100.0) - 1.1).abs() < 1e-9, "{:?}", lines.pause);
        assert!(super::lines(&[]).is_none());
    }

    #[test]
    fn no_line_falls_or_begins_below_nothing() {
        assert_eq!(through([1.0, 2.0], [5.0, 3.0]), Line::flat(5.0));
        assert_eq!(through([1.0, 1.0], [5.0, 3.0]), Line::flat(5.0));
        assert_eq!(through([1.0, 2.0], [1.0, 4.0]), Line::of(2.0));
        assert_eq!(through([1.0, 2.0], [3.0, 4.0]), Line { base: 2.0, each: 1.0 });
    }

    #[test]
    fn a_plan_uses_what_was_measured_and_names_it() {
        let heap = row("heap", &[run(64.0 * MIB, 4.0 * MIB, 0.1), run(256.0 * MIB, 4.0 * MIB, 0.4)]);
        let here = Calibration { rows: vec![heap], ..Calibration::default() };
        let cost = |r: &Recording| plan::cost(r, "heap", &here).expect("a rung").expect("a cost");
        let measured = cost(&jvm("17.0.9", "G1", 128.0 * MIB));
        assert!(measured.basis.starts_with("measured here on 2026-11-27: Jvm 17.0.15 G1"), "{measured:?}");
        assert_eq!(measured.memory, 5.0 * MIB);
        assert_eq!(here.rows[0].shipped().map(|cost| cost.memory), Some(4.0 * MIB));
        assert!((measured.pause - 0.2).abs() < 1e-6, "{measured:?}");
        // Nobody tells the heap's size: as if all that is resident were heap.
        let mut mute = Recording::new(jvm("17.0.9", "G1", 0.0).target);
        let mut seen = Observation::at(1.0);
        seen.known(Fact::Rss, 128.0 * MIB);
        mute.add(seen);
        assert_eq!(cost(&mute).memory, measured.memory);
        assert!(cost(&mute).basis.contains("no hsperfdata"), "{:?}", cost(&mute));
        let elsewhere = plan::cost(&jvm("17.0.9", "G1", MIB), "heap", &Calibration::default());
        let shipped = elsewhere.expect("a rung").expect("a cost").basis;
        // Another collector, another version, an artifact that was not measured.
        assert_eq!(cost(&jvm("17.0.9", "Z", 128.0 * MIB)).basis, shipped);
        assert_eq!(cost(&jvm("21.0.1", "G1", 128.0 * MIB)).basis, shipped);
        let threads =
            plan::cost(&jvm("17.0.9", "G1", MIB), "threads", &here).expect("a rung").expect("a cost");
        assert!(!threads.basis.contains("here"), "{threads:?}");
        // Nobody counts what it grows with, or it was measured at one size only: it is never told less than shipped.
        for (id, per, shipped) in
            [("nmt", Per::Nothing, 1.5 * MIB), ("threads", Per::Threads, MIB + 100.0 * 12.0 * 1024.0)]
        {
            let row = Row { per, ..row(id, &[run(20.0, MIB, 2.0), run(21.0, MIB, 2.0)]) };
            let here = Calibration { rows: vec![row], ..Calibration::default() };
            let cost = plan::cost(&jvm("17.0.9", "G1", MIB), id, &here).expect("a rung").expect("a cost");
            assert_eq!((cost.memory, cost.pause), (shipped, 2.0), "{id}");
        }
        let copy = Row { per: Per::Resident, ..row("core", &[run(MIB, MIB, 1.0), run(9.0 * MIB, MIB, 1.0)]) };
        let here = Calibration { rows: vec![copy], ..here };
        let mut copied = jvm("17.0.9", "G1", MIB);
        let mut seen = Observation::at(2.0);
        seen.known(Fact::RssAnon, 4.0 * MIB);
        copied.add(seen);
        let cost = plan::cost(&copied, "core", &here).expect("a rung").expect("a cost");
        assert_eq!((cost.memory, cost.pause), (0.0, 1.0), "it is copied from outside");
        let here = Calibration { rows: vec![row("heap", &[run(256.0 * MIB, MIB, 1.0)])], ..here };
        let cost = |r: &Recording| plan::cost(r, "heap", &here).expect("a rung").expect("a cost");
        // Too far beyond what was measured.
        let far = cost(&jvm("17.0.9", "G1", 4096.0 * MIB));
        assert!(far.basis.ends_with("measured here only up to 256 MiB of heap"), "{far:?}");
        assert_eq!(far.memory, 4.0 * MIB);
    }

    #[test]
    fn a_new_measurement_takes_the_place_of_the_old_one() {
        let mut here = Calibration::default();
        here.learn(vec![row("heap", &[run(1.0, 1.0, 1.0)]), row("threads", &[run(1.0, 1.0, 1.0)])]);
        let newer = Row { version: Some("17.0.99".to_owned()), ..row("heap", &[run(1.0, 2.0, 1.0)]) };
        here.learn(vec![newer.clone()]);
        assert_eq!(here.rows.len(), 2);
        assert!(here.rows.contains(&newer));
    }

    #[test]
    fn versions_and_machines_are_told_apart_by_what_costs_depend_on() {
        let of = |v| major(Some(v)).expect("one");
        for (version, is) in [
            ("17.0.15+6", "17"),
            ("1.8.0_392", "1.8"),
            ("go1.27.3", "go1.27"),
            ("3.11.7", "3.11"),
            ("20.1.0", "20"),
        ] {
            assert_eq!(of(version), is);
        }
        assert_eq!(major(None), None);
        let one = Machine {
            processor: "a".to_owned(),
            processors: 2,
            memory_bytes: 1e10,
            kernel: "6.1".to_owned(),
        };
        assert!(one.is_like(&Machine { kernel: "6.2".to_owned(), memory_bytes: 1.05e10, ..one.clone() }));
        assert!(!one.is_like(&Machine { processors: 4, ..one.clone() }));
        assert!(!one.is_like(&Machine { memory_bytes: 2e10, ..one.clone() }));
    }
}
