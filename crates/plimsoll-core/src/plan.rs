//! The next step: which artifact fits the verdict, and whether it is safe to take now.
//!
//! The check is apart from the choice: it knows only numbers (headroom, burn rate, predicted cost) and names
//! the term that failed with the lever that would fix it. Source of the formula: the measured preflight,
//! `H ≥ A + b·(s + w) + margin`.

use serde::Serialize;

use crate::calibration::Calibration;
use crate::classify::{Cause, Certainty, Verdict};
use crate::clock::{Clock, Decision};
use crate::fact::Fact;
use crate::preflight;
use crate::recording::Recording;
use crate::runtime;
use crate::runtime::price::{Line, Price};
use crate::runtime::rules::{ArtifactRule, Cost};
use crate::target::RuntimeKind;

/// One artifact with its check.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Name on the command line.
    pub id: &'static str,
    /// Name in the user's terms.
    pub artifact: String,
    /// What it shows.
    pub shows: &'static str,
    /// Whether it is safe now: `None` when it cannot be told.
    pub safe: Option<bool>,
    /// The numbers behind the answer, and the lever when it is refused.
    pub why: String,
    /// The command that takes it by hand.
    pub command: String,
    /// True when it was taken while sampling.
    pub taken: bool,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The step to take, when there is one.
    pub next: Option<Step>,
    /// The other artifacts that fit the verdict, cheap to heavy.
    pub others: Vec<Step>,
    /// What to do in one sentence, the clock included.
    pub advice: String,
}

/// Chooses the artifact that fits the verdict and checks it against the clock's headroom.
pub fn plan(r: &Recording, clock: &Clock, verdict: &Verdict) -> Plan {
    let (rules, shipped) = (runtime::rules(r.target.runtime), Calibration::default());
    let wanted = match verdict.cause {
        Cause::Undecided => strongest_suspicion(clock),
        cause => Some(cause),
    };
    let mut steps: Vec<Step> = rules
        .ladder
        .iter()
        .filter(|rule| wanted.is_some_and(|c| rule.proves.contains(&c)))
        .filter(|rule| rule.id != runtime::PROFILE.id || r.target.flag("allocatorProfile").is_some())
        .map(|rule| check(rule, r, clock, &shipped))
        .collect();
    let untaken = steps.iter().position(|s| !s.taken && s.safe == Some(true));
    let choice = untaken.or_else(|| steps.iter().position(|s| !s.taken)).or((!steps.is_empty()).then_some(0));
    let next = choice.map(|i| steps.remove(i));
    Plan { advice: advice(clock, verdict, next.as_ref()), next, others: steps }
}

/// Every artifact that the runtime can give, cheap to heavy, each with its check by what was measured here; its mappings
/// and a raw copy in any case.
pub fn ladder(r: &Recording, clock: &Clock, here: &Calibration) -> Vec<Step> {
    // Few programs have an allocator that profiles: of the others only native ones are told so.
    let profiles = r.target.runtime == RuntimeKind::Native || r.target.flag("allocatorProfile").is_some();
    let told = rungs(r.target.runtime).filter(|rule| profiles || rule.id != runtime::PROFILE.id);
    told.map(|rule| check(rule, r, clock, here)).collect()
}

/// The predicted cost of an artifact of the ladder; why it cannot be predicted; none when it is not on it.
pub fn cost(r: &Recording, id: &str, here: &Calibration) -> Option<Result<Cost, String>> {
    rungs(r.target.runtime).find(|rule| rule.id == id).map(|rule| rule.cost(r, here))
}

/// The ladder of a runtime, with what every process can give.
pub fn rungs(runtime: RuntimeKind) -> impl Iterator<Item = &'static ArtifactRule> {
    let ladder = runtime::rules(runtime).ladder;
    let common = [&SMAPS, &runtime::RAW_COPY, &runtime::PROFILE].into_iter();
    ladder.iter().chain(common.filter(|rule| !ladder.iter().any(|own| own.id == rule.id)))
}

/// Mappings cost the target nothing but the time in which its lock is held.
pub(crate) const SMAPS: ArtifactRule = ArtifactRule {
    id: "smaps",
    name: "smaps of the process",
    proves: &[],
    shows: "which mappings are resident",
    price: |_| {
        Ok(Price {
            disk: Line::flat(48.0 * 1024.0 * 1024.0),
            pause: Line::flat(0.7),
            basis: "30,000 mappings: 43 MB, 0.7 s under the lock on them",
            ..Price::FREE
        })
    },
    command: |t| format!("cat /proc/{}/smaps > smaps.txt", t.pid_shown()),
    taken_here: false,
};

/// While the cause is open but the floor climbs, the artifact for retention is the one to prepare.
fn strongest_suspicion(clock: &Clock) -> Option<Cause> {
    (clock.p_leak() >= 0.5).then_some(Cause::Retention)
}

fn check(rule: &ArtifactRule, r: &Recording, clock: &Clock, here: &Calibration) -> Step {
    let (safe, why) = match rule.cost(r, here) {
        Err(why) => (None, why),
        Ok(cost) => admit(&cost, clock, r),
    };
    Step {
        id: rule.id,
        artifact: rule.name.to_owned(),
        shows: rule.shows,
        safe,
        why,
        command: (rule.command)(&r.target),
        taken: rule.taken_here && was_taken(r),
    }
}

/// An artifact counts as taken when one of the kind, or the numbers it holds, stand in the recording.
fn was_taken(r: &Recording) -> bool {
    !r.artifacts.is_empty() || r.last(Fact::JvmNmtTotal).is_some() || r.last(Fact::SmapsAnonOther).is_some()
}

/// Headroom, burn rate and pause against the cost. Names the term that fails and the lever.
fn admit(cost: &Cost, clock: &Clock, r: &Recording) -> (Option<bool>, String) {
    let prediction = preflight::in_words(cost);
    if let Some(dead) = preflight::life(r, clock, cost) {
        let lever = dead.lever.map_or_else(String::new, |lever| format!(": {lever}"));
        return (Some(false), format!("{prediction}; {}{lever}", dead.text));
    }
    let memory = preflight::memory(cost, clock);
    let lever = memory.lever.map_or_else(String::new, |lever| format!(": {lever}"));
    (memory.ok, format!("{prediction}; {}{lever}", memory.text))
}

fn advice(clock: &Clock, verdict: &Verdict, next: Option<&Step>) -> String {
    let step = next.map_or_else(String::new, |s| {
        let verb = if s.taken { "read" } else { "take" };
        format!("{verb} the {}", s.artifact)
    });
    match (clock.decision, verdict.cause) {
        (Decision::AlreadyUnresponsive, _) if clock.dead_zone.as_ref().is_some_and(|z| z.in_heap()) => {
            format!("take traffic off, then {}", or(step, "capture"))
        }
        (Decision::AlreadyUnresponsive, _) => {
            "raise the limit or freeze the group now; then capture".to_owned()
        }
        (_, Cause::None) => "nothing to capture; watch on, or come back under load".to_owned(),
        (Decision::DrainAndCapture, Cause::Undecided) => {
            format!(
                "drain a replica and capture now, although the cause is open: {}",
                or(step, "take what is cheap")
            )
        }
        (Decision::DrainAndCapture, _) => format!("drain a replica now, then {}", or(step, "capture")),
        (Decision::InvestigateLive, _) => format!("there is time: {}", or(step, "look at it live")),
        (_, Cause::OverBudget) => "lower the heap's bound or raise the limit so that both fit".to_owned(),
        (_, Cause::Undecided) => "keep watching: no artifact is worth its risk yet".to_owned(),
        _ if verdict.certainty == Certainty::CannotTell => "keep watching".to_owned(),
        _ => or(step, "keep watching"),
    }
}

fn or(text: String, otherwise: &str) -> String {
    if text.is_empty() { otherwise.to_owned() } else { text }
}

/// The step as the JSON contract has it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NextJson<'a> {
    id: &'static str,
    artifact: &'a str,
    safe: Option<bool>,
    why: &'a str,
    shows: &'a str,
    command: &'a str,
    taken: bool,
}

impl Step {
    /// The step as the JSON contract has it.
    pub fn json(&self) -> NextJson<'_> {
        NextJson {
            id: self.id,
            artifact: &self.artifact,
            safe: self.safe,
            why: &self.why,
            shows: self.shows,
            command: &self.command,
            taken: self.taken,
        }
    }
}
