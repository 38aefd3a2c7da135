//! The growth test as screen, JSON, chart, and in the forms of CI systems.

mod chart;
mod ci;
pub(crate) mod dashboard;
pub(crate) mod difference;
mod document;
pub(crate) mod replay;
pub(crate) mod rules;
mod words;

use plimsoll_core::guard::growth::Growth;
use plimsoll_core::guard::{Course, Judged, KeyFinding, KeyMode, Metric, Outcome, Verdict, compare};
use plimsoll_core::series::Point;
use plimsoll_core::target::Target;
use plimsoll_core::units;

use super::chart::sparkline;
use super::paint::Paint;
use super::reading::Screen;
use plimsoll_read::formats::Reading;

pub(crate) use chart::picture;
pub(crate) use ci::{annotations, junit, sarif, summary};
pub(crate) use document::json;
use words::{between, how_long, how_sure, next, title};

/// Rounds with one kind of keys.
pub(crate) struct Phase {
    pub(crate) keys: KeyMode,
    pub(crate) course: Course,
    pub(crate) target: Option<Target>,
    /// What the readers say of who grew.
    pub(crate) culprits: Vec<(&'static str, Reading)>,
    pub(crate) notes: Vec<String>,
    pub(crate) seconds: f64,
}

impl Phase {
    /// What the readers say of what grew; an artifact of what is flat says nothing of it.
    pub(crate) fn culprits(&self) -> Vec<&(&'static str, Reading)> {
        let judged = self.course.judged();
        let moves = |metric| {
            let of = judged.iter().find(|j| j.metric == metric).and_then(Judged::verdict);
            of.is_some_and(|v| v != Verdict::Flat)
        };
        let tells = |name: &str| {
            let counted = name.starts_with("goroutines");
            moves(if counted { Metric::Goroutines } else { Metric::Heap })
        };
        self.culprits.iter().filter(|(name, _)| tells(name)).collect()
    }
}

/// A line of the project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) file: String,
    pub(crate) line: u64,
}

/// A program that was tested.
pub(crate) struct Tested {
    pub(crate) command: String,
    /// One, or a bounded pool of keys and then distinct ones.
    pub(crate) phases: Vec<Phase>,
    pub(crate) rps: Option<f64>,
    pub(crate) headroom: Option<f64>,
    /// Where the readers say that it grows.
    pub(crate) place: Option<Place>,
}

impl Tested {
    /// What became of it all: the worst of the phases.
    pub(crate) fn outcome(&self) -> Outcome {
        let all: Vec<Outcome> = self.phases.iter().map(|p| p.course.outcome()).collect();
        let worst =
            [Outcome::Growing, Outcome::Withdrawn, Outcome::Saturating, Outcome::Undecided, Outcome::Flat];
        worst.into_iter().find(|o| all.contains(o)).unwrap_or(Outcome::Undecided)
    }

    /// What the key experiment says, where one was made.
    pub(crate) fn keys(&self) -> Option<KeyFinding> {
        match self.phases.as_slice() {
            [pool, distinct] => Some(compare(&pool.course.judged(), &distinct.course.judged())),
            _ => None,
        }
    }
}

/// Width of the charts in the table, characters.
const CHART: usize = 16;
/// Findings of an artifact that are shown.
const FINDINGS: usize = 3;

/// The screen as text, with a line end.
pub(crate) fn screen(tested: &Tested, paint: Paint) -> String {
    let mut s = Screen { out: String::new(), paint };
    let outcome = tested.outcome();
    let head = outcome.name().to_uppercase();
    let head = match outcome {
        Outcome::Growing => paint.red(&head),
        Outcome::Flat => paint.green(&head),
        _ => paint.yellow(&head),
    };
    s.line(&format!("{head}  {}", paint.bold(&title(tested))));
    for phase in &tested.phases {
        rows(&mut s, phase, tested.phases.len() > 1);
    }
    if let Some(finding) = tested.keys() {
        s.row("KEYS", finding.in_words(), |l| {
            if finding == KeyFinding::UnboundedKeys { paint.red(l) } else { l.to_owned() }
        });
    }
    for phase in &tested.phases {
        for (name, reading) in phase.culprits() {
            who(&mut s, name, reading);
        }
    }
    s.row("HOW LONG", &how_long(tested), |l| l.to_owned());
    s.row("NEXT", &next(tested), |l| paint.bold(l));
    s.row("HOW SURE", &how_sure(tested), |l| l.to_owned());
    for note in tested.phases.iter().flat_map(|p| &p.notes) {
        s.row("NOTE", note, |l| paint.dim(l));
    }
    s.out
}

/// What an artifact says in one sentence, and what it found.
fn who(s: &mut Screen, name: &str, reading: &Reading) {
    let paint = s.paint;
    s.row("WHO", &format!("{} ({name})", reading.head.summary), |l| l.to_owned());
    for finding in reading.head.findings.iter().filter(|f| f.accuses()).take(FINDINGS) {
        s.row("", &finding.text, |l| paint.bold(l));
    }
}

fn rows(s: &mut Screen, phase: &Phase, is_one_of_two: bool) {
    let paint = s.paint;
    if is_one_of_two {
        let keys = match phase.keys {
            KeyMode::Distinct => "every key is new".to_owned(),
            KeyMode::Pool(n) => format!("keys out of a pool of {}", units::thousands(n)),
        };
        let done = units::thousands(phase.course.iterations());
        s.line(&paint.bold(&format!("{keys}: {} after {done} iterations", phase.course.outcome().name())));
    }
    for why in phase.course.withdrawn() {
        s.row("WITHDRAWN", &why.to_string(), |l| paint.yellow(l));
    }
    let judged = phase.course.judged();
    if judged.iter().any(|j| j.growth.is_ok()) {
        let head = format!(
            "{:<12}{:<11}{:>13}  {:<20} {:>8}  {:>9}  {:<CHART$}  now",
            "metric", "verdict", "per iteration", "interval", "borne", "would see", "rounds"
        );
        s.line(&paint.dim(&head));
    }
    for j in &judged {
        metric(s, j);
    }
    for (j, g) in
        judged.iter().filter_map(|j| Some((j, j.growth.as_ref().ok()?))).filter(|(_, g)| is_drawn(g))
    {
        s.line("");
        s.line(&format!("{} after each round: ● read, ─ fitted, · borne", j.metric.what()));
        chart::text(j, g).iter().for_each(|l| s.line(&paint.dim(l)));
    }
    let (unknown, what): (Vec<_>, Vec<_>) = judged
        .iter()
        .filter_map(|j| Some((j.metric.name(), j.growth.as_ref().err()?)))
        .map(|(name, why)| (name, format!("{name}: {why}")))
        .unzip();
    if !unknown.is_empty() {
        s.row("NOT SEEN", &what.join("; "), |l| paint.dim(l));
    }
}

/// What is flat needs no picture.
fn is_drawn(g: &Growth) -> bool {
    g.verdict != Verdict::Flat
}

/// One line: verdict, slope, what is borne, what could have been seen, the rounds as a chart, the level now.
fn metric(s: &mut Screen, j: &Judged) {
    let Ok(growth) = &j.growth else { return };
    let paint = s.paint;
    let verdict = format!("{:<11}", growth.verdict.name());
    let verdict = match growth.verdict {
        Verdict::Growing => paint.red(&verdict),
        Verdict::Flat => paint.green(&verdict),
        Verdict::Saturating | Verdict::Undecided => paint.yellow(&verdict),
    };
    let points: Vec<Point> = j.levels.iter().map(|l| Point { t: l.work, v: l.value }).collect();
    let say = |v: f64| j.metric.per_iteration(v);
    s.line(&format!(
        "{:<12}{verdict}{:>13}  {:<20} {:>8}  {:>9}  {}  {}",
        j.metric.name(),
        say(growth.trend.slope),
        between(j, growth),
        say(j.tolerance),
        say(growth.smallest_seen),
        sparkline(&points, CHART),
        j.metric.level(growth.levels.1)
    ));
}

#[cfg(test)]
mod tests;
