//! What a guard would have said of recordings: how much earlier than the end, and how many false alarms.

use plimsoll_core::fact::Fact;
use plimsoll_core::guard::rules::{Firing, Walk};
use plimsoll_core::recording::{API_VERSION, Recording};
use plimsoll_core::units::duration;
use serde_json::{Value, json};

use crate::render::paint::Paint;

/// Share of the limit from which an end is taken for a kill.
const AT_LIMIT: f64 = 0.9;

/// One recording with what the guard said of it.
pub(crate) struct Replayed {
    pub(crate) file: String,
    /// An incident, that must be caught; else a clean time, in which nothing may fire.
    pub(crate) is_incident: bool,
    pub(crate) end: End,
    pub(crate) walk: Walk,
}

/// What "earlier" is counted from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct End {
    pub(crate) at: f64,
    pub(crate) what: String,
}

impl End {
    /// When it was noticed, if that is said; else how the recording ended.
    pub(crate) fn of(recording: &Recording, noticed: Option<f64>) -> End {
        if let Some(at) = noticed {
            return End { at, what: "it was noticed".to_owned() };
        }
        if let Some((at, _)) = &recording.ended {
            return End { at: *at, what: "the process ended".to_owned() };
        }
        if let Some(at) = killed(recording) {
            return End { at, what: "it was at its limit and began anew".to_owned() };
        }
        End { at: recording.now().unwrap_or(0.0), what: "the recording ends".to_owned() }
    }
}

/// The last sample before the first restart that came at the limit.
fn killed(recording: &Recording) -> Option<f64> {
    let of = |facts: [Fact; 2]| facts.map(|f| recording.series(f)).into_iter().find(|s| s.first().is_some());
    let (usage, limits) = (
        of([Fact::CgroupUnreclaimable, Fact::RecordedUsage])?,
        of([Fact::CgroupLimit, Fact::RecordedLimit])?,
    );
    recording.epochs.iter().skip(1).find_map(|epoch| {
        let last = *usage.points().get(..usage.points().partition_point(|p| p.t < epoch.from))?.last()?;
        (last.v >= AT_LIMIT * limits.at(last.t)?).then_some(last.t)
    })
}

impl Replayed {
    /// What fired first, if it came before the end.
    fn first(&self) -> Option<&Firing> {
        self.walk.firings.iter().find(|f| f.from < self.end.at)
    }

    /// Caught, or without a false alarm; nothing where no rule could be decided.
    pub(crate) fn is_good(&self) -> Option<bool> {
        if self.walk.decided.is_empty() {
            return None;
        }
        Some(if self.is_incident { self.first().is_some() } else { self.walk.firings.is_empty() })
    }

    fn seconds(&self) -> f64 {
        self.walk.span.1 - self.walk.span.0
    }

    fn words(&self) -> String {
        let mut alerts: Vec<&Firing> = Vec::new();
        for firing in self.walk.firings.iter().filter(|f| !self.is_incident || f.from < self.end.at) {
            if alerts.iter().all(|f| f.alert != firing.alert) {
                alerts.push(firing);
            }
        }
        if self.is_incident {
            let Some((first, more)) = alerts.split_first() else {
                return format!("nothing fired before {}", self.end.what);
            };
            let earlier = |f: &Firing| duration(self.end.at - f.from);
            let more: String = more.iter().map(|f| format!("; {} {} before", f.alert, earlier(f))).collect();
            return format!(
                "{} would have fired {} before {}{more}",
                first.alert,
                earlier(first),
                self.end.what
            );
        }
        let count = self.walk.firings.len();
        let names: Vec<&str> = alerts.iter().map(|f| f.alert).collect();
        let which = if names.is_empty() { String::new() } else { format!(": {}", names.join(", ")) };
        let plural = if count == 1 { "" } else { "s" };
        format!("{count} false alarm{plural} in {}{which}", duration(self.seconds()))
    }
}

/// All together: caught everywhere, no false alarm anywhere; nothing where one could not be decided.
pub(crate) fn proved(all: &[Replayed]) -> Option<bool> {
    let goods: Vec<Option<bool>> = all.iter().map(Replayed::is_good).collect();
    if goods.contains(&Some(false)) {
        return Some(false);
    }
    goods.iter().all(Option::is_some).then_some(true)
}

/// One line, for who made rules from an incident.
pub(crate) fn line(recording: &Recording, walk: &Walk) -> String {
    let end = End::of(recording, None);
    let replayed = Replayed { file: String::new(), is_incident: true, end, walk: walk.clone() };
    format!("INCIDENT   {}\n", replayed.words())
}

pub(crate) fn screen(guard: &str, all: &[Replayed], paint: Paint) -> String {
    let mut out = String::new();
    let proved = proved(all);
    let incidents = all.iter().filter(|r| r.is_incident).count();
    let clean: f64 = all.iter().filter(|r| !r.is_incident).map(Replayed::seconds).sum();
    let on = match (incidents, clean > 0.0) {
        (n, true) => format!("{n} incident{}, {} clean", if n == 1 { "" } else { "s" }, duration(clean)),
        (n, false) => format!("{n} incident{}, no clean time", if n == 1 { "" } else { "s" }),
    };
    let verdict = match proved {
        Some(true) if clean > 0.0 && incidents > 0 => paint.green("proved"),
        Some(true) => paint.yellow("good so far"),
        Some(false) => paint.red("not good enough"),
        None => paint.yellow("cannot be told"),
    };
    out.push_str(&format!("{guard} · {verdict} · {on}\n\n"));
    for replayed in all {
        let what = match (replayed.is_good(), replayed.is_incident) {
            (None, _) => paint.yellow("UNKNOWN"),
            (Some(true), true) => paint.green("CAUGHT "),
            (Some(false), true) => paint.red("MISSED "),
            (Some(true), false) => paint.green("QUIET  "),
            (Some(false), false) => paint.red("ALARMS "),
        };
        let words = if replayed.is_good().is_none() { not_told(replayed) } else { replayed.words() };
        out.push_str(&format!("{what}    {}: {words}\n", replayed.file));
    }
    for why in silent(all) {
        out.push_str(&format!("NOT TOLD   {why}\n"));
    }
    out.push_str(&format!("NEXT       {}\n", next(proved, incidents, clean)));
    out
}

fn not_told(replayed: &Replayed) -> String {
    replayed.walk.silent.first().map_or_else(|| "there is nothing in it".to_owned(), |s| s.why.clone())
}

/// Alerts that none of the recordings could decide: what is missing stands in one line.
fn silent(all: &[Replayed]) -> Vec<String> {
    const MISSING: &str = "the recording has no ";
    let decided = |alert: &str| all.iter().any(|r| r.walk.decided.contains(&alert));
    let silent = all.first().map(|r| r.walk.silent.as_slice()).unwrap_or_default();
    let (mut missing, mut others) = (Vec::new(), Vec::new());
    for s in silent.iter().filter(|s| !decided(s.alert)) {
        match s.why.strip_prefix(MISSING) {
            Some(what) => missing.push(format!("{what} ({})", s.alert)),
            None => others.push(format!("{}: {}", s.alert, s.why)),
        }
    }
    if !missing.is_empty() {
        others.push(format!("{MISSING}{}", missing.join(", ")));
    }
    others
}

fn next(proved: Option<bool>, incidents: usize, clean: f64) -> &'static str {
    match proved {
        None => "record what is missing: plimsoll watch keeps it, plimsoll series exports it",
        Some(false) => {
            "make it for this incident: plimsoll guard rules --from RECORDING, or other thresholds"
        }
        Some(true) if incidents == 0 => "replay it on the incident, too",
        Some(true) if clean == 0.0 => "replay it on a clean month, too: --clean RECORDING",
        Some(true) => "name the rules under rule_files of your server; the proof lies beside them",
    }
}

pub(crate) fn document(guard: &str, all: &[Replayed]) -> Value {
    let firing = |r: &Replayed, f: &Firing| {
        json!({
            "alert": f.alert, "severity": f.severity, "fromSeconds": f.from, "untilSeconds": f.until, "value": f.value,
            "earlierSeconds": r.is_incident.then_some(r.end.at - f.from),
        })
    };
    let one = |r: &Replayed| {
        json!({
            "file": r.file,
            "as": if r.is_incident { "incident" } else { "clean" },
            "good": r.is_good(),
            "text": r.words(),
            "spanSeconds": r.seconds(),
            "endSeconds": r.is_incident.then_some(r.end.at),
            "end": r.is_incident.then(|| r.end.what.clone()),
            "firings": r.walk.firings.iter().map(|f| firing(r, f)).collect::<Vec<_>>(),
            "decided": r.walk.decided,
            "notDecided": r.walk.silent.iter().map(|s| json!({ "alert": s.alert, "why": s.why })).collect::<Vec<_>>(),
        })
    };
    json!({
        "apiVersion": API_VERSION, "kind": "GuardReplay", "guard": guard, "proved": proved(all),
        "recordings": all.iter().map(one).collect::<Vec<_>>(),
    })
}
