//! What the agent does as a clock runs down: which rung of the ladder is due, and what the rules still allow.
//!
//! Everything is decided by time to the limit, not by a percentage: a service that idles at 95 % of its limit is calm,
//! one that burns 50 MiB/s at 60 % is not. A share of the limit only counts together with a climb.

pub mod brake;
pub mod hold;
pub mod profiles;
mod rules;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::series::Point;
use crate::target::RuntimeKind;
use brake::Held;
pub use rules::{Brake, Mode, Profiles, Rules, Wish};

/// How near the end is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Nothing climbs towards the limit.
    Calm,
    /// Within the hour: what costs nothing is prepared, so that the rest is quick.
    Armed,
    /// Within minutes: what is cheap is taken.
    Light,
    /// The last moment for what is heavy.
    Heavy,
}

impl Level {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Level::Calm => "calm",
            Level::Armed => "armed",
            Level::Light => "light",
            Level::Heavy => "heavy",
        }
    }
}

/// Seconds over which a burn rate is taken: the short one sees what is fast, the long one what is steady.
const WINDOWS: [f64; 2] = [60.0, 600.0];
/// A climb is believed to go on for so many times as long as it was seen: a start is steep too, and ends.
const TRUST: f64 = 3.0;
/// Least seconds between the ends of a window that tells a rate.
const SHORTEST: f64 = 0.05;
/// Share of the limit from which the last seconds count, and how many of them.
const CLOSE: f64 = 0.8;
const SPRINT: f64 = 3.0;
/// Growth that is noise, as a share of the limit.
const NOISE: f64 = 0.002;

/// How fast a limit is run against, and how far it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Danger {
    /// Bytes to the limit.
    pub headroom: f64,
    /// Share of the limit in use.
    pub share: f64,
    /// Bytes per second; 0 when nothing climbs that is believed to go on to the limit.
    pub burn: f64,
    /// Lower end of the estimator's interval of the time to the limit, seconds, when it has one.
    pub estimate: Option<f64>,
    /// The same of the limit that binds, which may be another, such as the heap's own: no brake on the group moves that.
    pub binding: Option<f64>,
}

impl Danger {
    /// From the numbers of the group against its limit, oldest first.
    pub fn of(usage: &[Point], limit: f64, estimate: Option<f64>) -> Option<Danger> {
        let last = usage.last()?;
        let headroom = (limit - last.v).max(0.0);
        let within =
            |window: f64| usage.get(usage.partition_point(|p| p.t < last.t - window)..).unwrap_or_default();
        let burns = WINDOWS.map(|window| believed(within(window), limit, headroom));
        let share = last.v / limit;
        // Near the limit the last seconds count: there is no time to wait for an envelope.
        let sprint = if share >= CLOSE { sprint(within(SPRINT), limit) } else { 0.0 };
        let burn = burns.into_iter().fold(sprint, f64::max);
        Some(Danger { headroom, share, burn, estimate, binding: None })
    }

    /// Seconds to the end: at the limit, or at another that is reached first.
    pub fn seconds(&self) -> f64 {
        self.to_limit().min(self.binding.unwrap_or(f64::INFINITY))
    }

    /// Seconds to the limit: by the burn rate, or by the estimator, whichever is sooner.
    pub fn to_limit(&self) -> f64 {
        let short = if self.burn > 0.0 { self.headroom / self.burn } else { f64::INFINITY };
        short.min(self.estimate.unwrap_or(f64::INFINITY))
    }
}

/// Growth per second over the last few seconds.
fn sprint(points: &[Point], limit: f64) -> f64 {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return 0.0 };
    let (grown, took) = (last.v - first.v, last.t - first.t);
    if took < SHORTEST / 2.0 || grown < NOISE * limit { 0.0 } else { grown / took }
}

/// The burn rate of a window, if it was seen for long enough to reach the limit by it.
fn believed(points: &[Point], limit: f64, headroom: f64) -> f64 {
    let burn = burn(points, limit);
    let seen = points.first().zip(points.last()).map_or(0.0, |(a, b)| b.t - a.t);
    if burn > 0.0 && headroom / burn <= TRUST * seen { burn } else { 0.0 }
}

/// Growth per second of the lower envelope: between the lowest of the first half and the lowest of the second. A
/// saw-tooth has none.
fn burn(points: &[Point], limit: f64) -> f64 {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return 0.0 };
    let middle = points.partition_point(|p| p.t <= (first.t + last.t) / 2.0);
    let lowest = |half: &[Point]| half.iter().copied().min_by(|a, b| a.v.total_cmp(&b.v));
    let (Some(a), Some(b)) = (points.get(..middle).and_then(lowest), points.get(middle..).and_then(lowest))
    else {
        return 0.0;
    };
    let (grown, took) = (b.v - a.v, b.t - a.t);
    if took < SHORTEST || grown < NOISE * limit { 0.0 } else { grown / took }
}

/// Seconds that a heavy capture needs to begin, and its rate: bytes a second of the memory in use.
const BEGIN: f64 = 1.0;
const RATE: f64 = 1_073_741_824.0 / 3.0;

/// Seconds that the heavy artifact of a group would need, by what is in use, bytes.
pub fn heavy_seconds(used: f64) -> f64 {
    BEGIN + used / RATE
}

/// The level of a danger. `heavy` is how long the heavy artifact would need from now, seconds.
pub fn level(danger: &Danger, heavy: f64, rules: &Rules) -> Level {
    let seconds = danger.seconds();
    let last_moment = (rules.heavy_reserve * (heavy + 1.0)).max(rules.heavy_below);
    if seconds <= last_moment || danger.share >= rules.heavy_share && seconds <= rules.light_below {
        Level::Heavy
    } else if seconds <= rules.light_below {
        Level::Light
    } else if seconds <= rules.armed_below {
        Level::Armed
    } else {
        Level::Calm
    }
}

/// The artifacts that are taken at a level, the most telling first: at the last moment there may be time for one only.
pub fn rungs(level: Level, runtime: RuntimeKind) -> &'static [&'static str] {
    match (level, runtime) {
        (Level::Calm | Level::Armed, _) => &[],
        (Level::Light, RuntimeKind::Jvm) => &["threads", "histogram"],
        (Level::Heavy, RuntimeKind::Jvm) => &["heap", "threads"],
        // From outside first: it costs nothing and needs no answer.
        (_, RuntimeKind::Go) => &["stacks", "sites", "goroutines", "heap"],
        (Level::Light, RuntimeKind::Node) => &["statistics"],
        (Level::Heavy, RuntimeKind::Node) => &["snapshot", "statistics", "smaps"],
        (Level::Light, RuntimeKind::Python) => &["stacks", "census", "smaps"],
        // The copy freezes it while it is taken, so it does not reach its limit meanwhile.
        (Level::Heavy, RuntimeKind::Native) => &["core", "profile", "smaps"],
        (Level::Light, RuntimeKind::Native) => &["profile", "smaps"],
        (Level::Heavy, RuntimeKind::Python) => &["core", "stacks", "smaps"],
        (_, RuntimeKind::Dotnet) => &["smaps"],
    }
}

/// Whether what was taken already tells what this one would: an endpoint need not be asked then.
pub fn is_covered(runtime: RuntimeKind, id: &str, taken: &[&str]) -> bool {
    match (runtime, id) {
        (RuntimeKind::Go, "goroutines") => taken.contains(&"stacks"),
        (RuntimeKind::Go, "heap") => taken.contains(&"sites"),
        _ => false,
    }
}

/// What was done for one workload, so that rules can bound it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Past {
    /// When each level was acted on last, Unix seconds.
    pub acted: BTreeMap<Level, f64>,
    /// Processes that were prepared, by pid and start.
    pub armed: Vec<(i32, i64)>,
}

impl Past {
    /// Whether the rules allow to act on a level now.
    pub fn allows(&self, level: Level, now: f64, rules: &Rules) -> Result<(), String> {
        let (least, what) = match level {
            Level::Calm | Level::Armed => return Ok(()),
            Level::Light => (rules.light_every, "cheap capture"),
            Level::Heavy => (rules.heavy_every, "heavy capture"),
        };
        match self.acted.get(&level) {
            // A clock that was set back must not hold everything up.
            Some(at) if (0.0..least).contains(&(now - at)) => Err(format!(
                "the last {what} of this workload is {} ago, the rules allow one in {}",
                crate::units::duration(now - at),
                crate::units::duration(least)
            )),
            _ => Ok(()),
        }
    }

    /// Remembers an act; a heavy one counts as a light one too.
    pub fn act(&mut self, level: Level, now: f64) {
        self.acted.insert(level, now);
        if level == Level::Heavy {
            self.acted.insert(Level::Light, now);
        }
    }
}

/// What the agent did or saw, for the log of incidents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Unix seconds.
    pub time: f64,
    /// What it is about.
    pub workload: String,
    /// What happened.
    pub what: What,
    /// In words.
    pub text: String,
    /// The level that was acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
    /// The folder of a capture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// The brake that was put on or taken off, with everything that it changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brake: Option<Held>,
    /// Whether what was stored is whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whole: Option<bool>,
    /// The planned restart that asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// What somebody said of an incident.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<About>,
}

/// What is said of an incident, by a person or by a judgement.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct About {
    /// The incident that is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incident: Option<String>,
    /// The leak that it was found to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// What bought time: `restart`, `limit`, `flag`, `bound`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mitigation: Option<String>,
    /// What that costs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<String>,
    /// What cured it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
    /// The guard that was proved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guard: Option<String>,
    /// Whether an alert fires, or is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fires: Option<bool>,
}

impl Event {
    /// An event without details.
    pub fn new(time: f64, workload: &str, what: What, text: impl Into<String>) -> Self {
        let (workload, text) = (workload.to_owned(), text.into());
        Event {
            time,
            workload,
            what,
            text,
            level: None,
            folder: None,
            brake: None,
            whole: None,
            request: None,
            about: None,
        }
    }
}

/// What a log of events says is still open, so that an agent that comes up again goes on where the last one ended.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Open {
    /// What was done for each workload.
    pub past: BTreeMap<String, Past>,
    /// Brakes that are on.
    pub brakes: Vec<Held>,
    /// Folders of captures that began and did not end, with their workload.
    pub captures: Vec<(String, String)>,
    /// Every capture by its folder, with its workload.
    pub folders: BTreeMap<String, String>,
    /// Workloads whose incident is open: their level is not calm.
    pub incidents: BTreeMap<String, Level>,
}

impl Open {
    /// Replays a log, oldest first.
    pub fn replay<'e>(events: impl IntoIterator<Item = &'e Event>) -> Open {
        let mut open = Open::default();
        events.into_iter().for_each(|e| open.take(e));
        open
    }

    /// Whether a capture is evidence of an incident that is still open.
    pub fn is_evidence(&self, folder: &str) -> bool {
        self.folders.get(folder).is_some_and(|workload| self.incidents.contains_key(workload))
    }

    /// Takes in one more event.
    pub fn take(&mut self, e: &Event) {
        let same_folder = |c: &(String, String)| e.folder.as_ref() == Some(&c.1);
        match e.what {
            What::Level => match e.level {
                Some(level) if level > Level::Calm => {
                    self.incidents.insert(e.workload.clone(), level);
                }
                _ => {
                    self.incidents.remove(&e.workload);
                }
            },
            What::Began => {
                if let Some(level) = e.level {
                    self.past.entry(e.workload.clone()).or_default().act(level, e.time);
                }
                self.captures.extend(e.folder.clone().map(|folder| (e.workload.clone(), folder)));
                self.folders.extend(e.folder.clone().map(|folder| (folder, e.workload.clone())));
            }
            What::Stored | What::Failed => self.captures.retain(|c| !same_folder(c)),
            What::Braked => self.brakes.extend(e.brake.clone()),
            What::Restored => self.brakes.retain(|held| e.brake.as_ref() != Some(held)),
            What::Agent
            | What::Armed
            | What::Refused
            | What::Killed
            | What::Asked
            | What::Answered
            | What::Found
            | What::Noted
            | What::Alerted
            | What::Mitigated
            | What::Closed => {}
        }
    }
}

/// Kinds of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// The agent came up or went down.
    Agent,
    /// A level was reached, or left.
    Level,
    /// Something was prepared in a process.
    Armed,
    /// A capture began.
    Began,
    /// A capture is stored.
    Stored,
    /// Something was not done, and why.
    Refused,
    /// Something failed.
    Failed,
    /// A brake was put on.
    Braked,
    /// What a brake had changed is as it was.
    Restored,
    /// The kernel killed.
    Killed,
    /// A planned restart asks for evidence.
    Asked,
    /// All that could be done for a planned restart is done.
    Answered,
    /// What it was found to be.
    Found,
    /// Somebody noted something.
    Noted,
    /// An alert of a monitoring system came in.
    Alerted,
    /// Something was done that buys time and cures nothing.
    Mitigated,
    /// Somebody closed an incident.
    Closed,
}

#[cfg(test)]
mod tests {
    use super::brake::{Act, Means};
    use super::*;

    const MIB: f64 = 1_048_576.0;

    fn climb(rate: f64, from: f64, seconds: usize) -> Vec<Point> {
        (0..=seconds).map(|t| Point { t: t as f64, v: from + rate * t as f64 }).collect()
    }

    #[test]
    fn time_decides_not_the_share() {
        let rules = Rules::default();
        let at =
            |points: &[Point], limit| level(&Danger::of(points, limit, None).expect("points"), 1.0, &rules);
        let limit = 1000.0 * MIB;
        assert_eq!(at(&climb(0.0, 950.0 * MIB, 60), limit), Level::Calm, "idle at 95 %");
        assert_eq!(at(&climb(50.0 * MIB, 100.0 * MIB, 10), limit), Level::Heavy, "8 s at 60 %");
        assert_eq!(at(&climb(MIB, 300.0 * MIB, 300), limit), Level::Light, "7 min");
        assert_eq!(at(&climb(0.3 * MIB, 500.0 * MIB, 600), limit), Level::Armed, "18 min");
        assert_eq!(at(&climb(8.0 * MIB, 0.0, 3), limit), Level::Calm, "a start");
        assert_eq!(at(&climb(MIB, 880.0 * MIB, 60), limit), Level::Heavy, "94 % and climbing");
    }

    #[test]
    fn a_saw_tooth_does_not_burn() {
        let tooth = |t: usize| Point { t: t as f64, v: (100 + t % 10 * 10) as f64 * MIB };
        let points: Vec<Point> = (0..60).map(tooth).collect();
        assert_eq!(Danger::of(&points, 300.0 * MIB, None).expect("points").burn, 0.0);
    }

    #[test]
    fn the_estimator_counts_where_the_minute_shows_nothing() {
        let d = Danger::of(&climb(0.0, 100.0, 60), 1000.0, Some(600.0)).expect("points");
        assert_eq!(d.seconds(), 600.0);
        assert!(Danger::of(&[], 1.0, None).is_none());
    }

    #[test]
    fn another_limit_makes_a_level_and_leaves_the_time_to_this_one_as_it_is() {
        let calm = Danger::of(&climb(0.0, 100.0, 60), 1000.0, None).expect("points");
        let d = Danger { binding: Some(5.0), ..calm };
        assert_eq!((d.seconds(), d.to_limit()), (5.0, f64::INFINITY));
        assert_eq!(level(&d, 1.0, &Rules::default()), Level::Heavy);
    }

    #[test]
    fn a_burst_near_the_limit_is_seen_at_once() {
        let mut points = climb(0.0, 800.0 * MIB, 60);
        points.push(Point { t: 60.03, v: 930.0 * MIB });
        points.push(Point { t: 60.06, v: 935.0 * MIB });
        let d = Danger::of(&points, 1000.0 * MIB, None).expect("points");
        assert!(d.seconds() < 2.0, "{d:?}");
        assert_eq!(level(&d, 1.0, &Rules::default()), Level::Heavy);
    }

    #[test]
    fn a_log_replayed_tells_what_is_open() {
        let acts = vec![Act::Freeze { pid: 7, own: "/g".to_owned(), group: "/g/h".to_owned() }];
        let held = Held { means: Means::Freeze, group: "/g".to_owned(), acts, until: 9.0, gained: 0.0 };
        let events = [
            Event { level: Some(Level::Heavy), ..Event::new(1.0, "w", What::Level, "") },
            Event {
                level: Some(Level::Heavy),
                folder: Some("f".to_owned()),
                ..Event::new(2.0, "w", What::Began, "")
            },
            Event { brake: Some(held.clone()), ..Event::new(3.0, "w", What::Braked, "") },
        ];
        let open = Open::replay(&events);
        assert_eq!(open.captures, [("w".to_owned(), "f".to_owned())]);
        assert_eq!(
            (open.brakes.as_slice(), open.incidents.get("w")),
            (&[held.clone()][..], Some(&Level::Heavy))
        );
        assert!(open.is_evidence("f") && !open.is_evidence("g"));
        assert!(open.past["w"].allows(Level::Heavy, 3.0, &Rules::default()).is_err());
        let ends = [
            Event { folder: Some("f".to_owned()), ..Event::new(4.0, "w", What::Stored, "") },
            Event { brake: Some(held), ..Event::new(5.0, "w", What::Restored, "") },
            Event { level: Some(Level::Calm), ..Event::new(6.0, "w", What::Level, "") },
        ];
        let open = Open::replay(events.iter().chain(&ends));
        assert!(open.captures.is_empty() && open.brakes.is_empty() && open.incidents.is_empty(), "{open:?}");
    }

    #[test]
    fn rules_bound_how_often_and_a_clock_that_was_set_back_does_not_hold_up() {
        let (rules, mut past) = (Rules::default(), Past::default());
        assert!(past.allows(Level::Heavy, 1000.0, &rules).is_ok());
        past.act(Level::Heavy, 1000.0);
        let why = past.allows(Level::Heavy, 1060.0, &rules).expect_err("too soon");
        assert!(why.contains("the rules allow one in"), "{why}");
        assert!(past.allows(Level::Light, 1060.0, &rules).is_err());
        assert!(past.allows(Level::Heavy, 1000.0 + rules.heavy_every, &rules).is_ok());
        assert!(past.allows(Level::Heavy, 500.0, &rules).is_ok());
    }
}
