//! The cause: each rule weighs what speaks for it, what speaks against it and what it could not see.
//!
//! Weights are natural-log odds, rounded: 1 is a hint, 3 is strong, 4 against is a refutation. A cause needs
//! both its own evidence and a climb that the estimator believes; without the second it stays "cannot tell".

mod accumulation;
mod churn;
mod fragmentation;
mod off_heap;
mod over_budget;
mod retention;

use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::recording::Recording;
use crate::runtime::{self, rules::Rules};
use crate::signals::{Rising, Signals, Trend};
use crate::slope::Shape;
use crate::units;

/// Why memory climbs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// Reachable objects (or blocks never freed) pile up.
    Retention,
    /// Free memory is held but not returned: by the allocator or by the collector.
    Fragmentation,
    /// Memory outside the managed heap grows.
    OffHeap,
    /// Garbage is made so fast that collection is the load; the floor is flat.
    Churn,
    /// Goroutines, threads or descriptors pile up.
    Accumulation,
    /// Heap bound plus native memory do not fit the limit: no leak, a budget.
    OverBudget,
    /// Nothing climbs.
    None,
    /// Cannot tell yet.
    Undecided,
}

impl Cause {
    /// True for the causes that are a climb.
    fn climbs(self) -> bool {
        !matches!(self, Cause::Churn | Cause::OverBudget | Cause::None | Cause::Undecided)
    }

    /// The name used in JSON and on screen.
    pub fn name(self) -> &'static str {
        match self {
            Cause::Retention => "retention",
            Cause::Fragmentation => "fragmentation",
            Cause::OffHeap => "off-heap",
            Cause::Churn => "churn",
            Cause::Accumulation => "accumulation",
            Cause::OverBudget => "over-budget",
            Cause::None => "none",
            Cause::Undecided => "undecided",
        }
    }
}

/// How sure the verdict is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Certainty {
    /// The evidence does not decide.
    CannotTell,
    /// More for than against, something missing.
    Likely,
    /// Strong evidence, nothing against, and the climb itself is beyond doubt.
    Certain,
}

impl Certainty {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Certainty::Certain => "certain",
            Certainty::Likely => "likely",
            Certainty::CannotTell => "cannot tell yet",
        }
    }
}

/// One piece of evidence in words, with its weight.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// What was seen, with the number.
    pub text: String,
    /// Natural-log odds, positive.
    pub weight: f64,
}

/// What one rule says.
#[derive(Debug, Clone, PartialEq)]
pub struct Assessment {
    /// The cause it judges.
    pub cause: Cause,
    /// Evidence for it.
    pub pro: Vec<Finding>,
    /// Evidence against it.
    pub contra: Vec<Finding>,
    /// What it could not see, with the reason.
    pub missing: Vec<String>,
    /// Probability that the number it rests on climbs without a plateau, 0 to 1.
    pub p_climb: f64,
    /// What would refute it.
    pub refuted_by: &'static str,
}

impl Assessment {
    fn new(cause: Cause, refuted_by: &'static str) -> Self {
        Assessment {
            cause,
            pro: Vec::new(),
            contra: Vec::new(),
            missing: Vec::new(),
            p_climb: 0.0,
            refuted_by,
        }
    }

    fn pro(&mut self, weight: f64, text: String) {
        self.pro.push(Finding { text, weight });
    }

    fn contra(&mut self, weight: f64, text: String) {
        self.contra.push(Finding { text, weight });
    }

    /// Evidence for minus evidence against.
    pub fn score(&self) -> f64 {
        let sum = |f: &[Finding]| f.iter().map(|x| x.weight).sum::<f64>();
        sum(&self.pro) - sum(&self.contra)
    }
}

/// What a rule looks at.
pub struct Case<'a> {
    /// The observations.
    pub recording: &'a Recording,
    /// Trends of them.
    pub signals: &'a Signals,
    /// The limits.
    pub clock: &'a Clock,
    /// What is known of the runtime.
    pub rules: &'static Rules,
}

/// A cause with the function that assesses it: `None` where the cause cannot exist for this runtime.
struct CauseRule {
    assess: fn(&Case<'_>) -> Option<Assessment>,
}

/// Every cause, one line each.
static CAUSES: &[CauseRule] = &[
    CauseRule { assess: retention::assess },
    CauseRule { assess: fragmentation::assess },
    CauseRule { assess: off_heap::assess },
    CauseRule { assess: churn::assess },
    CauseRule { assess: accumulation::assess },
    CauseRule { assess: over_budget::assess },
];

/// The named cause with its evidence.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// The leading cause.
    pub cause: Cause,
    /// How sure.
    pub certainty: Certainty,
    /// Evidence for it.
    pub pro: Vec<Finding>,
    /// Evidence against it.
    pub contra: Vec<Finding>,
    /// What could not be seen.
    pub missing: Vec<String>,
    /// What would refute it.
    pub refuted_by: &'static str,
    /// Other causes that hold too.
    pub also: Vec<Cause>,
    /// The conclusion that saves hours, when there is one ("the heap is clean: stop reading heap dumps…").
    pub advice: Option<String>,
}

/// Score from which a cause is named at all.
const NAMED: f64 = 1.5;
/// Score from which it may be certain.
const CERTAIN: f64 = 4.0;
/// Probability of the climb from which a cause may be named, and from which it may be certain.
const P_NAMED: f64 = 0.5;
const P_CERTAIN: f64 = 0.95;
/// Share of the way to the limit that must have been watched for certainty.
const FAR: f64 = 0.35;
/// Probability of a climb towards some limit that a certain verdict needs beside its own evidence.
const P_THREATENS: f64 = 0.7;
/// What a cause loses in rank when the clock doubts its climb.
const DOUBT: f64 = 1.5;
/// Below this probability nothing climbs.
const P_NOTHING: f64 = 0.25;

/// Weighs all causes of a recording.
pub fn classify(recording: &Recording, signals: &Signals, clock: &Clock) -> Verdict {
    let case = Case { recording, signals, clock, rules: runtime::rules(recording.target.runtime) };
    let mut all: Vec<Assessment> = CAUSES.iter().filter_map(|rule| (rule.assess)(&case)).collect();
    // A climb in which the clock does not believe yields to what is read rather than extrapolated.
    let doubted = |a: &Assessment| if a.cause.climbs() && clock.p_leak() < P_NAMED { DOUBT } else { 0.0 };
    let rank = |a: &Assessment| a.score() - doubted(a);
    all.sort_by(|a, b| rank(b).total_cmp(&rank(a)));
    let named = |a: &&Assessment| a.score() >= NAMED && a.p_climb >= P_NAMED;
    let mut verdict = match all.iter().find(named) {
        Some(lead) => lead_verdict(&case, lead, &all),
        None => nothing_or_undecided(&case, &all),
    };
    verdict.advice = advice(&case, verdict.cause);
    verdict
}

fn lead_verdict(case: &Case<'_>, lead: &Assessment, all: &[Assessment]) -> Verdict {
    // A climb that threatens no limit as far as the clock can tell is no certain finding.
    let threatens = !lead.cause.climbs() || far_enough(case.clock);
    let beyond_doubt = threatens && lead.p_climb >= P_CERTAIN && lead.contra.iter().all(|f| f.weight < 1.0);
    let certainty =
        if lead.score() >= CERTAIN && beyond_doubt { Certainty::Certain } else { Certainty::Likely };
    let also = all
        .iter()
        .filter(|a| a.cause != lead.cause && a.score() >= NAMED + 0.5 && a.p_climb >= P_NAMED)
        .map(|a| a.cause)
        .collect();
    Verdict {
        cause: lead.cause,
        certainty,
        pro: lead.pro.clone(),
        contra: lead.contra.clone(),
        missing: lead.missing.clone(),
        refuted_by: lead.refuted_by,
        also,
        advice: None,
    }
}

/// A bounded cache that fills is a leak until it stops: only a climb that is believed, and that was watched over
/// a good part of its way to the limit, can be certain. A dead zone is the end of the way.
fn far_enough(clock: &Clock) -> bool {
    let watched = clock
        .bounds
        .iter()
        .filter_map(|b| b.posterior.as_ref().ok())
        .any(|p| p.p_leak >= P_THREATENS && p.span >= FAR * (p.span + p.time_to_limit.mid));
    watched || clock.dead_zone.is_some()
}

/// Nothing could be named: either nothing climbs, or it cannot be told yet.
fn nothing_or_undecided(case: &Case<'_>, all: &[Assessment]) -> Verdict {
    let s = case.signals;
    let counts = s.counts.iter().map(|c| &c.trend);
    let trends: Vec<&Trend> = s.total.iter().chain(&s.live).chain(counts).collect();
    let p = trends.iter().map(|t| t.p_climb).fold(case.clock.p_leak(), f64::max);
    let judged = s.total.is_some() || case.clock.bounds.iter().any(|b| b.posterior.is_ok());
    let mut verdict = Verdict {
        cause: Cause::Undecided,
        certainty: Certainty::CannotTell,
        pro: Vec::new(),
        contra: Vec::new(),
        missing: Vec::new(),
        refuted_by: "a longer watch",
        also: Vec::new(),
        advice: None,
    };
    let blind = case.rules.collects() && s.live.is_none();
    // A collector that is about to take over is no "nothing", even where the floor has stopped.
    let pressed = case.clock.to_degradation.is_some_and(|t| t < crate::clock::DRAIN_BELOW);
    if judged && p < P_NOTHING && !blind && !pressed {
        verdict.cause = Cause::None;
        verdict.certainty = Certainty::Likely;
        verdict.refuted_by = "a floor that climbs over a longer watch or under other load";
        verdict.pro = trends.iter().filter(|t| t.rising != Rising::Yes).map(|t| quiet(t)).collect();
        verdict.contra = trends.iter().filter(|t| t.rising == Rising::Yes).map(|t| moving(t)).collect();
        return verdict;
    }
    verdict.pro = trends.iter().filter(|t| t.rising == Rising::Yes).map(|t| moving(t)).collect();
    verdict.contra = trends.iter().filter(|t| t.rising == Rising::No).map(|t| quiet(t)).collect();
    verdict.missing = missing(case, all);
    if blind {
        verdict.missing.retain(|m| !m.starts_with("no live heap"));
        verdict.missing.insert(0, format!("no floor of the live heap: {}", case.rules.live_hint));
    }
    verdict
}

fn missing(case: &Case<'_>, all: &[Assessment]) -> Vec<String> {
    let mut out = Vec::new();
    for b in &case.clock.bounds {
        match &b.posterior {
            Err(n) => out.push(n.why.clone()),
            Ok(p) => out.extend(p.undecided_for.map(|s| {
                format!(
                    "a climb and a plateau of {} look alike for another {}",
                    b.usage_name,
                    units::duration(s)
                )
            })),
        }
    }
    out.extend(all.iter().flat_map(|a| a.missing.iter().cloned()));
    out.dedup();
    out.truncate(4);
    out
}

fn quiet(t: &Trend) -> Finding {
    Finding {
        text: format!("{} {} flat at {}", t.name, if t.is_count() { "are" } else { "is" }, t.level_words()),
        weight: 1.0,
    }
}

fn moving(t: &Trend) -> Finding {
    let bend = match t.shape {
        _ if t.bends() => ", bending towards a plateau",
        Shape::Step => ", in one step",
        _ => "",
    };
    Finding { text: format!("{} climbs {}{bend}", t.name, t.growth_words()), weight: 1.0 }
}

/// A clean heap is evidence, not failure.
fn advice(case: &Case<'_>, cause: Cause) -> Option<String> {
    let live = case.signals.live.as_ref()?;
    let look = match cause {
        Cause::OffHeap => "native accounting (NMT, smaps, buffers)",
        Cause::Fragmentation => "what the collector or allocator keeps (committed against live)",
        Cause::Accumulation => "the stacks that pile up",
        _ => return None,
    };
    (live.rising == Rising::No && case.rules.held_of(case.recording).is_some()).then(|| {
        format!(
            "the heap is clean (flat at {}): stop reading heap dumps, look at {look}",
            units::bytes(live.level)
        )
    })
}

impl Trend {
    /// The level in words: bytes, or a plain count.
    pub fn level_words(&self) -> String {
        if self.is_count() { format!("{:.0}", self.level) } else { units::bytes(self.level) }
    }

    /// The slope in words.
    pub fn growth_words(&self) -> String {
        if self.is_count() {
            format!("{:.1} per second, to {:.0}", self.slope.mid, self.level)
        } else {
            format!("{}, to {}", units::rate(self.slope.mid), units::bytes(self.level))
        }
    }

    fn is_count(&self) -> bool {
        self.counts
    }

    fn is_rising(&self) -> bool {
        self.rising == Rising::Yes
    }
}

fn rises(t: Option<&Trend>) -> bool {
    t.is_some_and(Trend::is_rising)
}

fn flat(t: Option<&Trend>) -> bool {
    t.is_some_and(|t| t.rising == Rising::No)
}

/// A bend towards a plateau speaks against every leak.
fn plateau(a: &mut Assessment, t: &Trend) {
    match t.shape {
        _ if t.bends() => a.contra(2.0, format!("{} bends towards a plateau", t.name)),
        Shape::Step => a.contra(1.0, format!("{} rose in one step and has been flat since", t.name)),
        _ => {}
    }
}

/// Weight of a climb by how sure the estimator is of it.
fn climb_weight(t: &Trend) -> f64 {
    if t.p_climb >= 0.95 {
        3.0
    } else if t.p_climb >= 0.8 {
        2.2
    } else if t.p_climb >= P_NAMED {
        1.6
    } else {
        0.8
    }
}

/// The count that moves with the memory, when one explains it.
fn lockstep_count<'a>(case: &'a Case<'_>) -> Option<&'a crate::signals::CountTrend> {
    case.signals.counts.iter().find(|c| accumulation::explains(c, case.signals.total.as_ref()))
}
