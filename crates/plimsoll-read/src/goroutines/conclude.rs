//! What a goroutine dump means: who piles up where, for how long, why, and how sure that is.

use std::collections::HashMap;

use plimsoll_core::classify::{Cause, Certainty};
use plimsoll_core::units;

use super::frames::{self, Frame};
use super::patterns::{self, Pattern};
use super::series::over;
use super::table::Parked;
use super::wait::Wait;
use super::{Form, Goroutines};
use crate::reading::{Finding, GROUPS_KEPT, Group, Report, Source, Span, Tally, count, share};

/// What a dump by itself leaves open.
pub(super) const ONE_DUMP: &str =
    "one dump does not show growth: take another some minutes later and compare";
/// A crowd at one place is worth a finding from this count on.
const CROWD: u64 = 1000;
/// Or from this count and this share on.
const PART: (u64, f64) = (50, 0.25);
/// Or from this count on when all have waited this many minutes as printed.
const OLD: (u64, u64) = (10, 10);
/// The printed wait starts at the previous collection; the runtime forces one after two minutes at the latest.
const BACKDATED: u64 = 2;
/// Findings of one kind.
pub(super) const MOST: usize = 5;
/// Frames of a stack that a report shows.
const SHOWN: usize = 16;
/// Labels of a group that a report shows.
const LABELS: usize = 5;
/// The runtime's record of a goroutine and its wait, and the closure that it was started with, bytes.
const RECORD: u64 = 512;

/// How the counts of groups are to be read.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Seen {
    All,
    /// A part of a known whole: this many times as many.
    Part(f64),
    /// A part of who knows how many.
    Least,
}

impl Goroutines {
    /// Tells how many goroutines the process has, from another source: a cut dump then says which part it holds.
    #[must_use]
    pub fn with_total(mut self, total: u64) -> Self {
        if total > self.counted {
            self.said = Some(total);
            self.truncated.get_or_insert_with(|| {
                format!("the process has {total} goroutines, the dump holds {}", self.counted)
            });
        }
        self
    }

    /// Whether counts are those of a part: stacks that were cut. Groups that the runtime made are whole each.
    pub(super) fn is_part(&self) -> bool {
        self.form == Form::Stacks && self.truncated.is_some()
    }

    fn seen(&self) -> Seen {
        match self.said {
            _ if !self.is_part() => Seen::All,
            Some(all) if all > self.counted && self.counted > 0 => {
                Seen::Part(all as f64 / self.counted as f64)
            }
            _ => Seen::Least,
        }
    }

    /// How many there are by reckoning, to three digits; none where the count is all that is known.
    fn scaled(&self, n: u64) -> Option<u64> {
        let Seen::Part(by) = self.seen() else { return None };
        let all = n as f64 * by;
        let step = 10f64.powf(all.max(1.0).log10().floor() - 2.0).max(1.0);
        Some(((all / step).round() * step) as u64)
    }

    /// So many goroutines and their share, with how much of that is known.
    fn amount(&self, n: u64) -> String {
        let part = units::percent(share(n, self.counted));
        match (self.seen(), self.scaled(n)) {
            (_, Some(about)) => {
                let about = count(about, "goroutine");
                format!("about {about} ({part}; {n} of {} seen)", self.counted)
            }
            (Seen::Least, None) => format!("at least {} ({part} of those seen)", count(n, "goroutine")),
            (_, None) => format!("{} ({part})", count(n, "goroutine")),
        }
    }

    /// The same of what is certain of those that are seen.
    fn proven_amount(&self, n: u64) -> String {
        let seen = count(n, "goroutine");
        match (self.seen(), self.scaled(n)) {
            (_, Some(about)) => format!("at least {seen} (about {about} by the total)"),
            (Seen::Least, None) => format!("at least {seen}"),
            (_, None) => seen,
        }
    }

    /// What it concludes.
    pub fn report(&self) -> Report {
        let mut findings = self.proven();
        findings.extend(self.crowds());
        findings.extend(self.spawner());
        findings.sort_by_key(|f| std::cmp::Reverse(f.certainty));
        let groups: Vec<Group> = self.groups.iter().take(GROUPS_KEPT).map(|g| self.group(g)).collect();
        let mut warnings = self.warnings.clone();
        self.hazards(&mut warnings);
        Report {
            artifact: Source { kind: self.kind(), bytes: self.bytes, truncated: self.truncated.clone() },
            summary: self.summary(&findings),
            findings,
            groups,
            warnings: warnings.list(),
        }
    }

    /// What it concludes when an earlier dump of the same process is known: who grew comes first.
    pub fn report_since(&self, before: &Goroutines) -> Report {
        over(&[before, self]).head
    }

    fn kind(&self) -> String {
        let form = match self.form {
            Form::Stacks => "stacks",
            Form::Grouped => "profile, text",
            Form::Profile => "profile",
            Form::Outside => "stacks, read from outside",
        };
        format!("{} {form}", if self.leaks_only { "leaked goroutine" } else { "goroutine" })
    }

    fn hazards(&self, warnings: &mut crate::reading::Warnings) {
        if self.groups.iter().any(|g| g.minutes.is_some()) {
            warnings.say(
                "printed minutes count from the collection before the wait: up to 2 min too long, and below 1 min unsaid",
            );
        }
        match self.seen() {
            Seen::All => {}
            Seen::Part(_) => warnings.say(format!(
                "the dump holds {} of {} goroutines: counts are scaled as if the others were like them; the oldest are \
                 listed first, so what came last may be missing",
                self.counted,
                self.total()
            )),
            Seen::Least => warnings.say(
                "counts are lower bounds: how many goroutines there were is not known. `goroutine?debug=1` of the same \
                 process says it: read both together",
            ),
        }
        if self.leaks_only {
            warnings.say("a leak that a global variable, a timer or a live context can still reach is not in this profile");
        }
        if !self.groups.is_empty() {
            warnings.say(
                "memory per goroutine is estimated: 512 B of record, wait and closure, and the power of two above \
                 640 B + 128 B per frame for the stack (2 KiB at least); what the stack points at is not counted",
            );
        }
    }

    fn summary(&self, findings: &[Finding]) -> String {
        let all = count(self.total(), "goroutine");
        let all = if self.seen() == Seen::Least { format!("at least {all}") } else { all };
        let Some(first) = self.groups.first() else { return format!("{all}, none listed.") };
        let proven: u64 = self.groups.iter().map(|g| g.leaked).sum();
        let proof = if proven > 0 { format!(", {proven} proven leaked") } else { String::new() };
        let told = match findings.first() {
            Some(f) => {
                let verdict = match f.certainty {
                    Certainty::Certain => "certain",
                    Certainty::Likely => "likely a leak",
                    Certainty::CannotTell => "whether that grows, one dump cannot tell",
                };
                format!("{} ({verdict})", f.text)
            }
            None => {
                let part = units::percent(share(first.count, self.counted));
                let of = if self.seen() == Seen::All { "" } else { " of those seen" };
                format!("no group stands out, the largest: {} ({part}{of}) {}", first.count, doing(first))
            }
        };
        format!("{all}{proof}; {told}.")
    }

    fn group(&self, g: &Parked) -> Group {
        let mut labels: Vec<Tally> =
            g.labels.iter().map(|(name, &count)| Tally { name: name.clone(), count }).collect();
        labels.sort_by_key(|l| std::cmp::Reverse(l.count));
        labels.truncate(LABELS);
        Group {
            count: g.count,
            estimated_count: self.scaled(g.count),
            share: share(g.count, self.counted),
            name: None,
            state: g.state.clone(),
            states: Vec::new(),
            top: place(g),
            creator: g.creator.as_ref().map(Frame::place),
            stack: g.frames.iter().take(SHOWN).map(Frame::place).collect(),
            minutes: g.minutes.map(age),
            proven_leaked: g.leaked,
            labels,
            estimated_bytes: Some(estimate(g)),
        }
    }

    /// Goroutines that can never go on, by the runtime's own word.
    fn proven(&self) -> Vec<Finding> {
        let mut out = Vec::new();
        // A single `select {}` keeps many a program alive.
        let lost = |g: &&Parked| g.leaked > 0 || never(g) && (g.count > 1 || g.wait == Wait::NilChannel);
        for g in self.groups.iter().filter(lost).take(MOST) {
            let n = if g.leaked > 0 { g.leaked } else { g.count };
            let text = format!("{} can never go on: {}", self.proven_amount(n), doing(g));
            let mut f = Finding::new(Certainty::Certain, text).of(Cause::Accumulation);
            f = match g.leaked {
                0 => f.because(format!(
                    "`{}` never ends, whatever the program does",
                    g.state.as_deref().unwrap_or("")
                )),
                _ => f.because("the runtime marks them (leaked): nothing reachable can wake them"),
            };
            if g.leaked == 0 && g.wait == Wait::SelectForever {
                f = f.but("some programs park goroutines this way on purpose: then their number stays");
            }
            out.push(explain(f, g, patterns::of(g)));
        }
        out
    }

    /// Many at one place.
    fn crowds(&self) -> Vec<Finding> {
        let crowd = |g: &&Parked| g.leaked == 0 && !never(g) && self.stands_out(g);
        let groups = self.groups.iter().filter(crowd).take(MOST);
        groups.filter_map(|g| Some(self.crowd(g, patterns::of(g)?))).collect()
    }

    fn stands_out(&self, g: &Parked) -> bool {
        let old = g.minutes.is_some_and(|(least, _)| least >= OLD.1) && g.dated == g.count;
        g.count >= CROWD
            || (g.count >= PART.0 && share(g.count, self.counted) >= PART.1)
            || (g.count >= OLD.0 && old)
    }

    fn crowd(&self, g: &Parked, pattern: Pattern) -> Finding {
        let steady = arrivals(g);
        let sure = pattern.specific && g.count >= PART.0 || g.count >= CROWD && steady.is_some();
        let certainty = if sure { Certainty::Likely } else { Certainty::CannotTell };
        let part = units::percent(share(g.count, self.counted));
        let scale = if let Seen::Part(by) = self.seen() { by } else { 1.0 };
        let bytes = units::bytes(estimate(g) as f64 * scale);
        let (of, about) = match self.seen() {
            Seen::All => ("all goroutines", "about"),
            Seen::Part(_) => ("the goroutines seen", "about"),
            Seen::Least => ("the goroutines seen", "at least"),
        };
        let mut f = Finding::new(certainty, format!("{} {}", self.amount(g.count), doing(g)))
            .of(Cause::Accumulation)
            .because(format!("{part} of {of} stand at this one line and hold {about} {bytes}"));
        if let Some((low, high)) = g.minutes {
            let span = age((low, high));
            f = f.because(format!(
                "the longest has waited {:.0} to {:.0} min",
                high.saturating_sub(BACKDATED),
                span.high
            ));
        }
        f = match steady {
            Some(per_minute) => f.because(format!(
                "their ages are spread: {about} {:.0} more each minute",
                per_minute * scale
            )),
            None => f.but(ONE_DUMP),
        };
        if g.minutes.is_some_and(|(low, high)| low >= OLD.1 && low * 2 > high) {
            f = f.but("none is young: a burst or a fixed number, not a steady growth");
        }
        f = self.holders(g, f);
        explain(f.but(pattern.innocent), g, Some(pattern))
    }

    /// Who may hold the lock that a group waits for: goroutines within methods of the same type that do not.
    fn holders(&self, g: &Parked, f: Finding) -> Finding {
        let receiver = frames::own(&g.frames).and_then(|o| receiver(&o.function));
        let (Wait::Mutex, Some(receiver)) = (g.wait, receiver) else { return f };
        let holds = |o: &&Parked| {
            o.wait != Wait::Mutex && o.frames.iter().any(|x| self::receiver(&x.function) == Some(receiver))
        };
        match self.groups.iter().find(holds) {
            Some(o) => f.because(format!("perhaps held by: {} {}", count(o.count, "goroutine"), doing(o))),
            None => f,
        }
    }

    /// One line that starts most of all goroutines, wherever they stand.
    fn spawner(&self) -> Option<Finding> {
        let mut by_creator: HashMap<String, (u64, u64)> = HashMap::new();
        for g in self.groups.iter().filter(|g| g.wait != Wait::Housekeeping) {
            if let Some(c) = &g.creator {
                let slot = by_creator.entry(c.place()).or_default();
                *slot = (slot.0.saturating_add(g.count), slot.1 + 1);
            }
        }
        let (place, (n, groups)) = by_creator.into_iter().max_by(|a, b| (a.1, &b.0).cmp(&(b.1, &a.0)))?;
        // One group is told as a crowd already.
        if n < CROWD || groups < 2 || share(n, self.counted) < 0.5 {
            return None;
        }
        Some(
            Finding::new(Certainty::CannotTell, format!("{} were started by {place}", self.amount(n)))
                .of(Cause::Accumulation)
                .because(format!(
                    "they stand at {groups} different places: the number is what they share, not the wait"
                ))
                .but("a server that is busy starts one per request: compare with the load")
                .hint(format!(
                    "bound how many run at once at {place}: a worker pool, a semaphore, or errgroup.SetLimit"
                )),
        )
    }
}

fn explain(mut f: Finding, g: &Parked, pattern: Option<Pattern>) -> Finding {
    if let Some(creator) = &g.creator {
        f = f.because(format!("started by {}", creator.place()));
    }
    if let Some(p) = pattern {
        f = f.hint(format!("usual cause: {}; at {}: {}", p.cause, repair(g), p.hint));
    }
    f
}

/// Where the program itself can be changed.
fn repair(g: &Parked) -> String {
    let own = frames::own(&g.frames).or(g.creator.as_ref()).or_else(|| g.frames.first());
    own.map_or_else(
        || "an unknown line".to_owned(),
        |f| if f.location.is_empty() { f.place() } else { format!("{} ({})", f.function, f.location) },
    )
}

fn place(g: &Parked) -> String {
    let frame = frames::own(&g.frames).or_else(|| frames::top(&g.frames)).or_else(|| g.frames.first());
    frame.map_or_else(|| "(no frame of the program)".to_owned(), Frame::place)
}

pub(super) fn doing(g: &Parked) -> String {
    let place = place(g);
    match (g.wait, &g.state) {
        (Wait::Running, _) => format!("run at {place}"),
        (_, Some(state)) => format!("wait in `{state}` at {place}"),
        (_, None) => format!("stand at {place}"),
    }
}

/// Waits that nothing can end.
fn never(g: &Parked) -> bool {
    matches!(g.wait, Wait::NilChannel | Wait::SelectForever)
}

/// The true wait, given what is printed.
fn age((low, high): (u64, u64)) -> Span {
    Span { low: low.saturating_sub(BACKDATED) as f64, high: high as f64 + 1.0 }
}

/// How many join per minute, when young and old are there: then they come steadily rather than at once.
fn arrivals(g: &Parked) -> Option<f64> {
    let (low, high) = g.minutes?;
    let young = low * 4 <= high || g.dated < g.count;
    (high >= OLD.1 && young).then(|| g.count as f64 / (high as f64 + 1.0))
}

/// `main.(*Cache)` of `main.(*Cache).Get`.
fn receiver(function: &str) -> Option<&str> {
    function.split_once(").").map(|(r, _)| r).filter(|r| r.contains("(*"))
}

/// Bytes that a group holds at least; the report says how they are reckoned.
fn estimate(g: &Parked) -> u64 {
    let used = 640 + 128 * g.frames.len() as u64;
    let stack = used.next_power_of_two().max(2048);
    g.count.saturating_mul(stack + RECORD)
}
