//! What the screen of a cluster says of simulated services whose truth is known, by how many replicas they have: single looks, without
//! any memory between them.

use std::fmt::Write as _;

use plimsoll_core::cluster::{Life, Limits, Movement, Replica, Workload, judge};
use plimsoll_core::series::Point;
use plimsoll_core::slope::{Death, Samples};

use crate::replay::LIMIT;
use crate::run::in_parallel;
use crate::services::{CLASSES, HEALTHY, LENGTH, Service, replicas};

/// Minutes between samples, of which each is the least of them.
const STEP: usize = 5;
/// The same in seconds.
pub const SECONDS: f64 = STEP as f64 * 60.0;
/// Minutes between looks at what is healthy.
const EVERY: usize = 360;
/// Shares of a life at which one looks at what leaks.
const SHARES: [f64; 4] = [0.125, 0.375, 0.625, 0.875];
/// Numbers of replicas.
const REPLICAS: [usize; 4] = [1, 3, 5, 10];

/// What was said of one workload.
struct Said {
    class: usize,
    /// At each look whether it was called a leak; `None` where there was none.
    leak: Vec<Option<bool>>,
}

/// The table of all numbers of replicas, and of the classes.
pub fn table(seed: u64, per_class: usize) -> String {
    let mut out = String::from(
        "| replicas | healthy: looks called a leak; workloads ever | … without cache fill | leaks: found by quarter of life |\n|---:|---|---|---|\n",
    );
    let jobs: Vec<(usize, usize)> =
        (0..CLASSES.len()).flat_map(|class| (0..per_class).map(move |index| (class, index))).collect();
    let mut by_class = String::new();
    for count in REPLICAS {
        let all = in_parallel(&jobs, |(class, index)| look(&replicas(seed, class, index, count), class));
        let healthy: Vec<&Said> = all.iter().filter(|s| s.class < HEALTHY).collect();
        let no_fill: Vec<&Said> =
            healthy.iter().copied().filter(|s| CLASSES[s.class] != "cache fill").collect();
        let quarter = |k: usize| {
            let asked = all.iter().filter(|s| s.class >= HEALTHY).filter_map(|s| s.leak[k]);
            let (found, of) = asked.fold((0, 0), |(found, of), leak| (found + usize::from(leak), of + 1));
            format!("{:.2}", f64::from(found as u32) / f64::from(of.max(1)))
        };
        let quarters: Vec<String> = (0..SHARES.len()).map(quarter).collect();
        let _written = writeln!(
            out,
            "| {count} | {} | {} | {} |",
            false_ones(&healthy),
            false_ones(&no_fill),
            quarters.join(", ")
        );
        let _written = write!(by_class, "\n| {count} |");
        for class in 0..CLASSES.len() {
            let own: Vec<&Said> = all.iter().filter(|s| s.class == class).collect();
            let _written = write!(by_class, " {:.2} |", ever(&own));
        }
    }
    let names = CLASSES.join(" | ");
    out + &format!(
        "\n| replicas, ever called a leak | {names} |\n|---|{}{by_class}\n",
        "---|".repeat(CLASSES.len())
    )
}

fn false_ones(of: &[&Said]) -> String {
    let looks = of.iter().flat_map(|s| &s.leak).filter(|l| l.is_some()).count();
    let called = of.iter().flat_map(|s| &s.leak).filter(|l| **l == Some(true)).count();
    let workloads = of.iter().filter(|s| s.leak.contains(&Some(true))).count();
    format!(
        "{:.4} ({called} of {looks}); {:.3} ({workloads} of {})",
        called as f64 / looks.max(1) as f64,
        ever(of),
        of.len()
    )
}

/// Share of workloads that were called a leak at any look.
fn ever(of: &[&Said]) -> f64 {
    of.iter().filter(|s| s.leak.contains(&Some(true))).count() as f64 / of.len().max(1) as f64
}

fn look(services: &[Service], class: usize) -> Said {
    let workload = workload(services);
    let of = &services[0];
    // When the first of several is killed the others are about to be: looks end there.
    let end = services.iter().map(|s| s.kill.unwrap_or(LENGTH)).min().unwrap_or(LENGTH);
    let minutes: Vec<Option<usize>> = match (of.onset, of.life()) {
        (Some(onset), Some(life)) => {
            SHARES.iter().map(|share| Some(onset + (share * life) as usize).filter(|m| *m < end)).collect()
        }
        _ => (EVERY..=LENGTH).step_by(EVERY).map(Some).collect(),
    };
    let leak = |minute: usize| {
        let now = minute as f64 * 60.0;
        let row = judge(&workload.until(now), now, SECONDS);
        row.verdict.is_ok_and(|v| matches!(v.movement, Movement::Leak | Movement::RestartMasked))
    };
    Said { class, leak: minutes.into_iter().map(|m| m.map(leak)).collect() }
}

/// As a server would tell of it: floors of five minutes, and no load.
pub fn workload(services: &[Service]) -> Workload {
    let replica = |(at, service): (usize, &Service)| Replica {
        pod: format!("pod-{at}"),
        lives: lives(service),
        limits: Limits::always(LIMIT),
        ..Replica::default()
    };
    Workload {
        cluster: String::new(),
        namespace: "bench".to_owned(),
        name: "service".to_owned(),
        container: "main".to_owned(),
        number: "anonymous memory".to_owned(),
        is_heap: false,
        samples: Samples::Raw,
        death: Death::AtUsage,
        replicas: services.iter().enumerate().map(replica).collect(),
        kills: None,
    }
}

fn lives(service: &Service) -> Vec<Life> {
    let runs = &service.runs;
    let life = |k: usize| {
        let end = runs.get(k + 1).map_or(service.rss.len(), |next| next.first.min(service.rss.len()));
        let minutes: Vec<usize> = (runs[k].first.min(end)..end).collect();
        let point = |of: &[usize]| Point {
            t: (of[of.len() - 1] + 1) as f64 * 60.0,
            v: of.iter().fold(f64::INFINITY, |low, i| low.min(service.rss[*i])) * LIMIT,
        };
        Life {
            start: runs[k].start * 60.0,
            version: Some(format!("v{}", runs[k].version)),
            points: minutes.chunks(STEP).map(point).collect(),
        }
    };
    (0..runs.len()).map(life).filter(|l| !l.points.is_empty()).collect()
}
