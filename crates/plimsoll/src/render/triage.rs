//! The screen of one target: how long have I got, what is it, what do I do next, and how sure are you.

use std::fmt::Write as _;

use plimsoll_core::advice::{self, Hypothesis};
use plimsoll_core::classify::{Cause, Finding};
use plimsoll_core::clock::{Bound, Decision};
use plimsoll_core::fact::Fact;
use plimsoll_core::judge::{Judgement, TwoByTwo};
use plimsoll_core::plan::Step;
use plimsoll_core::recording::Recording;
use plimsoll_core::signals::{Rising, total_series};
use plimsoll_core::slope::{Interval, Posterior};
use plimsoll_core::target::RuntimeKind;
use plimsoll_core::units;
use plimsoll_host::capture::is_taken;

use super::chart::{gauge, sparkline};
use super::paint::Paint;

/// Width of the column of labels.
const LABEL: usize = 11;
/// Width of a sparkline.
const SPARK: usize = 40;

/// The screen as text, with a line end.
pub(crate) fn screen(r: &Recording, j: &Judgement, paint: Paint) -> String {
    let mut s = Screen { out: String::new(), paint };
    s.title(r);
    s.how_long(j);
    s.what(j);
    s.picture(r, j);
    s.next(r, j);
    s.net(j);
    s.limits(j);
    s.warnings(r);
    s.out
}

struct Screen {
    out: String,
    paint: Paint,
}

impl Screen {
    /// One line: a label in its column, then the text.
    fn row(&mut self, label: &str, text: &str) {
        let label = self.paint.bold(&format!("{label:<LABEL$}"));
        let line = format!("{label}{text}");
        self.out.push_str(line.trim_end());
        self.out.push('\n');
    }

    fn more(&mut self, text: &str) {
        self.row("", text);
    }

    fn title(&mut self, r: &Recording) {
        let t = &r.target;
        let mut parts = vec![self.paint.bold(&t.name)];
        if t.pid > 0 {
            parts.push(format!("pid {}", t.pid));
        }
        parts.push(format!(
            "{}{}",
            runtime_name(t.runtime),
            t.runtime_version.as_deref().map_or_else(String::new, |v| format!(" {v}"))
        ));
        parts.extend(t.container.as_ref().map(|c| format!("{} {}", c.engine, c.id)));
        let _infallible = writeln!(self.out, "{}", parts.join(" · "));
        let now = r.now().unwrap_or(t.started);
        let watched = now - r.from().unwrap_or(now);
        let age = if t.started > 0.0 {
            format!(", running for {}", units::duration(now - t.started))
        } else {
            String::new()
        };
        let _infallible =
            writeln!(self.out, "{}\n", self.paint.dim(&format!("watched {}{age}", units::duration(watched))));
    }

    fn how_long(&mut self, j: &Judgement) {
        let Some(b) = j.clock.binding() else {
            self.row("HOW LONG", &j.clock.reason.clone());
            return;
        };
        match &b.posterior {
            Ok(p) => self.time(b, p),
            Err(n) => self.row("HOW LONG", &format!("cannot tell yet: {}", n.why)),
        }
        if let Some(t) = j.clock.to_degradation {
            self.more(&format!("the collector takes over (time to degradation) in {}", units::duration(t)));
        }
        let decision = match j.clock.decision {
            Decision::AlreadyUnresponsive => self.paint.red("ALREADY UNRESPONSIVE"),
            Decision::DrainAndCapture => self.paint.red("DRAIN AND CAPTURE NOW"),
            Decision::InvestigateLive => self.paint.yellow("INVESTIGATE LIVE"),
            Decision::NothingToDo => self.paint.green("NOTHING TO DO"),
            Decision::KeepWatching => self.paint.yellow("KEEP WATCHING"),
        };
        let reason = j.clock.reason.clone();
        self.more(&format!("{decision}: {reason}"));
    }

    fn time(&mut self, b: &Bound, p: &Posterior) {
        let t = p.time_to_limit;
        let headline = if t.mid.is_infinite() && t.low.is_infinite() {
            format!("no end in sight against the {} of {}", b.name, units::bytes(b.limit))
        } else {
            format!(
                "{} (80 %: {}) until the {} of {}",
                self.paint.bold(&units::duration(t.mid)),
                range(t),
                b.name,
                units::bytes(b.limit)
            )
        };
        self.row("HOW LONG", &headline);
        self.more(&format!(
            "floor {} · headroom {} · slope {} (80 %: {} to {}) · P(leak) {:.2}",
            units::bytes(p.floor),
            units::bytes(b.headroom()),
            units::rate(p.slope.mid),
            units::rate(p.slope.low),
            units::rate(p.slope.high),
            p.p_leak,
        ));
        if let Some(s) = p.undecided_for {
            self.more(&format!(
                "a leak and a plateau cannot be told apart for another {}",
                units::duration(s)
            ));
        }
    }

    fn what(&mut self, j: &Judgement) {
        let v = &j.verdict;
        let sure = v.certainty.words();
        let also = if v.also.is_empty() {
            String::new()
        } else {
            format!(" (also: {})", v.also.iter().map(|c| c.name()).collect::<Vec<_>>().join(", "))
        };
        self.out.push('\n');
        let name = match v.cause {
            Cause::None => "no leak",
            Cause::OverBudget => "not a leak: heap and native budget exceed the limit",
            c => c.name(),
        };
        self.row("WHAT", &format!("{}, {sure}{also}", self.paint.bold(name)));
        self.findings("+", &v.pro);
        self.findings("−", &v.contra);
        for m in &v.missing {
            self.more(&self.paint.dim(&format!("? {m}")));
        }
        self.more(&self.paint.dim(&format!("would be refuted by {}", v.refuted_by)));
        if let Some(a) = &v.advice {
            let a = self.paint.yellow(a);
            self.more(&a);
        }
    }

    fn findings(&mut self, sign: &str, findings: &[Finding]) {
        for f in findings {
            self.more(&format!("{sign} {}", f.text));
        }
    }

    /// The 2×2 with the sparklines beside it.
    fn picture(&mut self, r: &Recording, j: &Judgement) {
        let total = total_series(r);
        let live = j.signals.live.as_ref().map(|t| (t.name.clone(), live_points(r)));
        self.out.push('\n');
        let grid = two_by_two(j.two_by_two);
        self.row("PICTURE", &format!("{}   process {}", grid[0], sparkline(total.points(), SPARK)));
        let second = live.map_or_else(
            || self.paint.dim("live heap unknown"),
            |(_, p)| format!("live    {}", sparkline(&p, SPARK)),
        );
        self.more(&format!("{}   {second}", grid[1]));
        self.more(&grid[2]);
    }

    fn next(&mut self, r: &Recording, j: &Judgement) {
        self.out.push('\n');
        self.row("NEXT", &self.paint.bold(&j.plan.advice));
        if let Some(step) = &j.plan.next {
            self.step(r, step);
        }
        for step in &j.plan.others {
            let safe = verdict_word(step);
            self.more(&self.paint.dim(&format!("also: {} ({safe})", step.artifact)));
        }
        for (number, h) in hypotheses(r, j).iter().enumerate() {
            self.row(
                if number == 0 { "TRY" } else { "" },
                &format!("{}: {} (a hypothesis)", h.setting, h.why),
            );
            self.more(&self.paint.dim(&format!("$ {}", h.proof())));
        }
    }

    fn step(&mut self, r: &Recording, step: &Step) {
        self.more(&format!("{}: {}", step.artifact, step.shows));
        self.more(&format!("{}: {}", verdict_word(step), step.why));
        let live = r.target.pid > 0 && r.ended.is_none();
        if live && is_taken(&r.target, step.id) {
            let command = format!("plimsoll capture {} --artifact {} --go", r.target.pid, step.id);
            self.more(&self.paint.dim(&format!("$ {command}")));
        } else {
            self.more(&self.paint.dim(&format!("$ {}", step.command)));
        }
    }

    fn net(&mut self, j: &Judgement) {
        let state = match j.net.on {
            Some(true) => "on",
            Some(false) => "off",
            None => "unknown",
        };
        self.row("NET", &format!("{state}: {}", j.net.why));
    }

    fn limits(&mut self, j: &Judgement) {
        let mut label = "LIMITS";
        for b in &j.clock.bounds {
            let time = match &b.posterior {
                Ok(p) => units::duration(p.time_to_limit.mid),
                Err(_) => "cannot tell yet".to_owned(),
            };
            let share = if b.share() > 10.0 { "over 1000 %".to_owned() } else { units::percent(b.share()) };
            self.row(
                label,
                &format!(
                    "{} {:>5} of {:>8}  {:<38} {time}",
                    gauge(b.share(), 12),
                    share,
                    units::bytes(b.limit),
                    b.name
                ),
            );
            label = "";
        }
    }

    fn warnings(&mut self, r: &Recording) {
        for (t, note) in &r.notes {
            let at = t - r.from().unwrap_or(*t);
            self.row("NOTE", &format!("after {}: {note}", units::duration(at)));
        }
        let mut warnings = r.warnings.clone();
        if r.disorder() > 0 {
            warnings.push(format!("{} samples were out of order or no number, and left out", r.disorder()));
        }
        for w in &warnings {
            self.row("WARNING", &self.paint.yellow(w));
        }
    }
}

/// Settings to try, with the limit of the container in view.
pub(crate) fn hypotheses(r: &Recording, j: &Judgement) -> Vec<Hypothesis> {
    advice::hypotheses(j.verdict.cause, &r.target, r.last(Fact::CgroupLimit))
}

fn verdict_word(step: &Step) -> &'static str {
    match (step.taken, step.safe) {
        (true, _) => "taken while watching",
        (_, Some(true)) => "safe now",
        (_, Some(false)) => "not safe now",
        (_, None) => "cannot tell whether it is safe",
    }
}

fn live_points(r: &Recording) -> Vec<plimsoll_core::series::Point> {
    let rules = plimsoll_core::runtime::rules(r.target.runtime);
    rules.live_of(r).map_or_else(Vec::new, |l| l.points(r).to_vec())
}

fn range(t: Interval) -> String {
    if t.high.is_infinite() {
        format!("{} to maybe never", units::duration(t.low))
    } else {
        format!("{} to {}", units::duration(t.low), units::duration(t.high))
    }
}

/// Three lines of equal width: the manual's 2×2 with the dot where this process stands.
fn two_by_two(t: TwoByTwo) -> [String; 3] {
    let dot = |resident: Rising, live: Rising| match (t.resident, t.live) {
        (Some(r), Some(l)) if r == resident && l == live => "●",
        (Some(r), None) if r == resident => "?",
        _ => "·",
    };
    let cell = |r, l, name: &str| format!("{} {name:<20}", dot(r, l));
    [
        format!("{:<16}{:<22}{:<22}", "", "live heap flat", "live heap climbs"),
        format!(
            "{:<16}{}{}",
            "process climbs",
            cell(Rising::Yes, Rising::No, "outside, or held"),
            cell(Rising::Yes, Rising::Yes, "retention")
        ),
        format!(
            "{:<16}{}{}",
            "process flat",
            cell(Rising::No, Rising::No, "calm, or churn"),
            cell(Rising::No, Rising::Yes, "retention inside")
        ),
    ]
}

fn runtime_name(kind: RuntimeKind) -> &'static str {
    match kind {
        RuntimeKind::Jvm => "JVM",
        RuntimeKind::Go => "Go",
        RuntimeKind::Node => "Node.js",
        RuntimeKind::Python => "Python",
        RuntimeKind::Dotnet => ".NET",
        RuntimeKind::Native => "native",
    }
}
