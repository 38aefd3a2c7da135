//! The sentences of the growth test.

use plimsoll_core::guard::growth::{Growth, Verdict};
use plimsoll_core::guard::{Judged, KeyFinding, Metric, Outcome};
use plimsoll_core::target::RuntimeKind;
use plimsoll_core::units;

use super::Tested;

/// Who was tested, and how much.
pub(super) fn title(tested: &Tested) -> String {
    let last = tested.phases.last();
    let target = last.and_then(|p| p.target.as_ref());
    let name = target.map_or(tested.command.as_str(), |t| t.name.as_str());
    let runtime = target.map_or_else(String::new, |t| match t.runtime {
        RuntimeKind::Native => String::new(),
        kind => format!(" · {kind:?}"),
    });
    let rounds: usize = tested.phases.iter().map(|p| p.course.rounds().len()).sum();
    let iterations: u64 = tested.phases.iter().map(|p| p.course.iterations()).sum();
    let seconds: f64 = tested.phases.iter().map(|p| p.seconds).sum();
    let name = crate::output::plain(name);
    format!(
        "{name}{runtime} · {} iterations in {rounds} rounds, {}",
        units::thousands(iterations),
        units::duration(seconds)
    )
}

/// `16.2 B per iteration (15.9 B to 16.5 B)`.
pub(super) fn slope(j: &Judged, g: &Growth) -> String {
    format!("{} per iteration ({})", j.metric.per_iteration(g.trend.slope), between(j, g))
}

/// The interval of the slope.
pub(super) fn between(j: &Judged, g: &Growth) -> String {
    format!("{} to {}", j.metric.per_iteration(g.trend.low), j.metric.per_iteration(g.trend.high))
}

/// A number of iterations, as exact as it is known.
fn iterations(n: f64) -> String {
    match n {
        n if n >= 9.95e9 => "over 10 billion iterations".to_owned(),
        n if n >= 9.95e5 => format!("{:.1} million iterations", n / 1e6),
        n => format!("{} iterations", units::thousands((n / 100.0).round() as u64 * 100)),
    }
}

/// What is borne of a metric.
pub(super) fn borne(j: &Judged) -> String {
    j.metric.per_iteration(j.tolerance)
}

/// What the run could have seen, and what is missing to a verdict.
pub(super) fn smallest(j: &Judged, g: &Growth) -> String {
    let seen =
        format!("the smallest leak that this run could see: {}", j.metric.per_iteration(g.smallest_seen));
    match (g.verdict, g.needs) {
        (Verdict::Undecided, Some(n)) => {
            format!("{seen}; some {} would decide", iterations(n))
        }
        (Verdict::Undecided, None) => format!("{seen}; it grows about as fast as is borne"),
        _ => seen,
    }
}

/// Every metric of every phase that has that verdict.
pub(super) fn with(tested: &Tested, verdict: Verdict) -> Vec<Judged> {
    let last = tested.phases.iter().rev().find(|p| p.course.outcome() != Outcome::Withdrawn);
    let judged = last.map_or_else(Vec::new, |p| p.course.judged());
    judged.into_iter().filter(|j| j.verdict() == Some(verdict)).collect()
}

/// How long the memory lasts at this growth.
pub(super) fn how_long(tested: &Tested) -> String {
    let grown: f64 = with(tested, Verdict::Growing)
        .iter()
        .filter(|j| matches!(j.metric, Metric::Heap | Metric::Native | Metric::Rss))
        .filter_map(|j| j.growth.as_ref().ok())
        .map(|g| g.trend.slope)
        .sum();
    if grown <= 0.0 {
        return match tested.outcome() {
            Outcome::Flat => "nothing runs out at this work".to_owned(),
            Outcome::Growing => {
                "memory does not run out at this work; what grows has other bounds".to_owned()
            }
            _ => "cannot be told by this run".to_owned(),
        };
    }
    let room = tested.headroom.unwrap_or(1_073_741_824.0);
    let last = room / grown;
    let time = tested
        .rps
        .map_or_else(String::new, |rps| format!(", at {rps} per second in {}", units::duration(last / rps)));
    format!("{} are gone after {}{time}", units::bytes(room), iterations(last))
}

/// What to do now.
pub(super) fn next(tested: &Tested) -> String {
    match tested.outcome() {
        Outcome::Growing => growing(tested),
        Outcome::Flat => "keep it as a test: the same command in CI".to_owned(),
        Outcome::Saturating => {
            "a cache that fills or a late warm-up looks like that: run it longer (--rounds, or a larger --round) until it is flat"
                .to_owned()
        }
        Outcome::Undecided => undecided(tested),
        Outcome::Withdrawn => "remove what is said above, and run it again".to_owned(),
    }
}

fn growing(tested: &Tested) -> String {
    let grows: Vec<Metric> = with(tested, Verdict::Growing).iter().map(|j| j.metric).collect();
    let flat: Vec<Metric> = with(tested, Verdict::Flat).iter().map(|j| j.metric).collect();
    let has = |m| grows.contains(&m);
    if tested.keys() == Some(KeyFinding::UnboundedKeys) {
        "bound the map whose keys come from the requests: a size, a time to live, or fewer different keys"
            .to_owned()
    } else if has(Metric::Goroutines) || has(Metric::Threads) {
        "threads or goroutines pile up: plimsoll capture PID --artifact stacks, then plimsoll read".to_owned()
    } else if has(Metric::Fds) && grows.len() == 1 {
        "descriptors pile up: something that is opened at each iteration is not closed".to_owned()
    } else if (has(Metric::Native) || has(Metric::Rss))
        && flat.iter().any(|m| matches!(m, Metric::Heap | Metric::Blocks))
    {
        "the heap is flat and resident memory grows: native memory or fragmentation, not retention; plimsoll triage PID under the same load".to_owned()
    } else if tested.phases.iter().any(|p| !p.culprits().is_empty()) {
        "the heap keeps something of each iteration: look at what WHO names, and keep this command as the test of the fix"
            .to_owned()
    } else if !has(Metric::Heap) && !has(Metric::Blocks) {
        "resident memory grows, and the heap's part in it is not known: plimsoll triage PID under the same load".to_owned()
    } else {
        "the heap keeps something of each iteration: compare plimsoll capture PID before and after with plimsoll read diff"
            .to_owned()
    }
}

fn undecided(tested: &Tested) -> String {
    let open = with(tested, Verdict::Undecided);
    if open.is_empty() {
        return "no memory could be judged: print heap= in the marker's line, or test a process that can be read"
            .to_owned();
    }
    let needs = open.iter().filter_map(|j| j.growth.as_ref().ok()?.needs).fold(0.0, f64::max);
    if needs > 0.0 {
        return format!("run about {}: more rounds, or more iterations in each", iterations(needs));
    }
    "it grows about as fast as is borne: no number of iterations tells; say with --tolerance what you mean"
        .to_owned()
}

/// What the answer rests on.
pub(super) fn how_sure(tested: &Tested) -> String {
    if tested.outcome() == Outcome::Withdrawn {
        return "not at all: the verdict is withdrawn".to_owned();
    }
    let judged: Vec<Judged> = tested.phases.last().map_or_else(Vec::new, |p| p.course.judged());
    let warm = judged.iter().filter_map(|j| j.growth.as_ref().ok()).map(|g| g.warm_up).max().unwrap_or(0);
    let warm = match warm {
        1 => "the first round is warm-up".to_owned(),
        n => format!("up to {n} rounds are warm-up"),
    };
    format!(
        "intervals hold for all looks together, with one false alarm per metric in 1,000 runs; {warm} and left out; more would show under keys, times or loads that this run did not have"
    )
}
