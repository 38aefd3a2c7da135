//! `plimsoll triage` without a target: everything on this machine, ranked by clock, on one screen.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use plimsoll_core::clock::Decision;
use plimsoll_core::judge::{Judgement, judge};
use plimsoll_core::recording::Recording;
use plimsoll_core::units;
use plimsoll_host::fleet::Fleet;
use plimsoll_host::world::World;

use super::triage::FailOn;
use crate::error::CliError;
use crate::exit_code;
use crate::output::{self, Format, Progress};
use crate::render;

/// How to look.
pub(crate) struct Options {
    /// Seconds to watch.
    pub(crate) watch: f64,
    /// Rows shown.
    pub(crate) rows: usize,
    /// What makes the exit code 1.
    pub(crate) fail_on: FailOn,
    /// Form of the result.
    pub(crate) format: Format,
}

/// Time between two ticks.
const TICK: Duration = Duration::from_secs(1);
/// Longest wait before Ctrl-C is looked at.
const GLANCE: Duration = Duration::from_millis(50);
/// Processes that did not grow by this much are only judged when they are large, bytes.
const GREW: f64 = 256.0 * 1024.0;
/// The largest processes are judged whether they grew or not.
const LARGEST: usize = 40;

pub(crate) fn run(options: &Options, stop: &AtomicBool) -> Result<u8, CliError> {
    let mut fleet = Fleet::open(&World::default());
    watch(&mut fleet, options.watch, stop);
    let mut judged = judge_all(&fleet);
    rank(&mut judged);
    judged.truncate(options.rows);
    let finding = judged.iter().any(|(_, j)| options.fail_on.holds(j));
    show(&fleet, &judged, options)?;
    Ok(if finding { exit_code::FINDINGS } else { exit_code::FINE })
}

/// Ticks once a second for `seconds`, or until Ctrl-C.
fn watch(fleet: &mut Fleet, seconds: f64, stop: &AtomicBool) {
    let progress = Progress::new();
    let end = Instant::now() + Duration::from_secs_f64(seconds.max(1.0));
    let mut next = Instant::now();
    while next <= end && !stop.load(Ordering::Relaxed) {
        fleet.tick();
        next += TICK;
        let left = end.saturating_duration_since(Instant::now()).as_secs_f64();
        progress.show(&format!(
            "watching {} processes, {} left",
            fleet.pids().count(),
            units::duration(left)
        ));
        wait_until(next.min(end + TICK), stop);
    }
}

pub(crate) fn wait_until(instant: Instant, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let left = instant.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        std::thread::sleep(left.min(GLANCE));
    }
}

/// Judges what grew and what is large; the rest cannot be what a memory incident is about.
pub(crate) fn judge_all(fleet: &Fleet) -> Vec<(Recording, Judgement)> {
    let me = std::process::id().cast_signed();
    let mut pids: Vec<i32> = fleet.pids().filter(|p| *p != me).collect();
    pids.sort_by(|a, b| fleet.resident(*b).unwrap_or(0.0).total_cmp(&fleet.resident(*a).unwrap_or(0.0)));
    let worth = pids.iter().enumerate().filter(|(i, pid)| *i < LARGEST || fleet.growth(**pid) >= GREW);
    worth
        .filter_map(|(_, pid)| fleet.recording(*pid))
        .map(|r| {
            let j = judge(&r, None);
            (r, j)
        })
        .collect()
}

/// The next to die first; then what is largest.
pub(crate) fn rank(judged: &mut [(Recording, Judgement)]) {
    let key = |(r, j): &(Recording, Judgement)| {
        let urgent = match j.clock.decision {
            Decision::AlreadyUnresponsive => 0,
            Decision::DrainAndCapture => 1,
            Decision::InvestigateLive => 2,
            Decision::KeepWatching | Decision::NothingToDo if j.finding() => 3,
            Decision::KeepWatching | Decision::NothingToDo => 4,
        };
        let time = j
            .clock
            .binding()
            .and_then(|b| b.posterior.as_ref().ok())
            .map_or(f64::INFINITY, |p| p.time_to_limit.mid);
        (urgent, time, -r.last(plimsoll_core::fact::Fact::Rss).unwrap_or(0.0))
    };
    judged.sort_by(|a, b| {
        let (a, b) = (key(a), key(b));
        a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.total_cmp(&b.2))
    });
}

fn show(fleet: &Fleet, judged: &[(Recording, Judgement)], options: &Options) -> Result<(), CliError> {
    let warnings: Vec<String> = (fleet.unreadable() > 0)
        .then(|| format!("{} processes could not be read", fleet.unreadable()))
        .into_iter()
        .collect();
    match options.format {
        Format::Table => {
            let paint = render::paint::Paint::new(output::colour());
            let (seen, watched) = (fleet.pids().count(), units::duration(options.watch));
            let head = format!("{seen} processes watched for {watched}");
            let said = render::overview::Said { head, command: "plimsoll triage ".to_owned() };
            output::result(&render::overview::screen(judged, &said, paint))
        }
        format => {
            let targets: Vec<_> = judged.iter().map(|(r, j)| render::json::target(r, j)).collect();
            output::result(&render::json::text(&render::json::triage(&targets, &warnings), format))
        }
    }
}
