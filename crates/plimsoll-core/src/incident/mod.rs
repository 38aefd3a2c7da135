//! Incidents and what is still owed for them, as views of the agent's log of events: there is no second record.
//!
//! An incident begins when a workload's clock runs down, when it is killed, or when somebody says so. It goes on until it was
//! calm for [`QUIET`], or is closed. A mitigation is a debt until a fix and a guard that is proved close it.

pub mod alert;
mod fingerprint;

use std::collections::BTreeMap;

pub use fingerprint::fingerprint;

use crate::agent::{Event, Level, What};

/// Seconds of calm after which what comes next is another incident.
pub const QUIET: f64 = 6.0 * 3600.0;

/// What bought time and cures nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Debt {
    /// `restart`, `limit`, `flag`, `bound`.
    pub kind: String,
    /// What was done.
    pub text: String,
    /// Since when, Unix seconds.
    pub since: f64,
    /// What it costs, in the words of who noted it.
    pub cost: Option<String>,
    /// When a fix and a proved guard closed it.
    pub paid: Option<f64>,
}

/// One incident.
#[derive(Debug, Clone, PartialEq)]
pub struct Incident {
    /// Six hex digits, from the workload and the time.
    pub id: String,
    /// Whose.
    pub workload: String,
    /// First and last event, Unix seconds.
    pub from: f64,
    /// Last event.
    pub to: f64,
    /// How near its end it was.
    pub level: Level,
    /// Whether it is calm now.
    pub is_calm: bool,
    /// When it was closed.
    pub closed: Option<f64>,
    /// Kills of the kernel.
    pub kills: usize,
    /// Folders of captures that are stored.
    pub captures: Vec<String>,
    /// What it was found to be: the same words for the same leak.
    pub fingerprint: Option<String>,
    /// What was done and is owed.
    pub debts: Vec<Debt>,
    /// Everything, in order of time.
    pub events: Vec<Event>,
}

/// Artifacts by what they tell of who holds memory, the most first.
const TELLING: [&str; 11] = [
    "heap",
    "snapshot",
    "census",
    "sites",
    "histogram",
    "core",
    "profile",
    "goroutines",
    "stacks",
    "threads",
    "statistics",
];

impl Incident {
    fn begin(e: &Event) -> Incident {
        Incident {
            id: id(&e.workload, e.time),
            workload: e.workload.clone(),
            from: e.time,
            to: e.time,
            level: Level::Calm,
            is_calm: true,
            closed: None,
            kills: 0,
            captures: Vec::new(),
            fingerprint: None,
            debts: Vec::new(),
            events: Vec::new(),
        }
    }

    /// Debts that nobody has paid.
    pub fn owed(&self) -> impl Iterator<Item = &Debt> {
        self.debts.iter().filter(|d| d.paid.is_none())
    }

    /// The folder of the capture that tells most of what holds memory: the newest of its kind.
    pub fn telling(&self) -> Option<&str> {
        let rank = |folder: &str| {
            let artifact = folder.rsplit('-').next().unwrap_or_default();
            TELLING.iter().rev().position(|known| *known == artifact)
        };
        self.captures.iter().map(String::as_str).max_by_key(|folder| rank(folder))
    }

    /// Whether it still has to be looked at.
    pub fn is_open(&self) -> bool {
        self.closed.is_none() || self.owed().next().is_some()
    }

    fn take(&mut self, e: &Event) {
        self.to = self.to.max(e.time);
        match e.what {
            What::Level => {
                let level = e.level.unwrap_or(Level::Calm);
                self.is_calm = level == Level::Calm;
                self.level = self.level.max(level);
            }
            What::Killed => {
                self.kills += 1;
                // What comes up again tells its own level.
                self.is_calm = true;
            }
            What::Stored => self.captures.extend(e.folder.clone()),
            What::Found => self.fingerprint = e.about.as_ref().and_then(|a| a.fingerprint.clone()),
            What::Mitigated => self.owe(e),
            What::Closed => self.close(e),
            _ => {}
        }
        self.events.push(e.clone());
    }

    fn owe(&mut self, e: &Event) {
        let about = e.about.clone().unwrap_or_default();
        self.debts.push(Debt {
            kind: about.mitigation.unwrap_or_else(|| "restart".to_owned()),
            text: e.text.clone(),
            since: e.time,
            cost: about.cost,
            paid: None,
        });
    }

    /// Without a guard what was owed stays owed.
    fn close(&mut self, e: &Event) {
        self.closed = Some(e.time);
        if e.about.as_ref().is_some_and(|a| a.guard.is_some() && a.fix.is_some()) {
            self.debts.iter_mut().filter(|d| d.paid.is_none()).for_each(|d| d.paid = Some(e.time));
        }
    }
}

/// The incidents of a log, oldest first.
pub fn incidents<'e>(events: impl IntoIterator<Item = &'e Event>) -> Vec<Incident> {
    let mut all: Vec<Incident> = Vec::new();
    let mut newest: BTreeMap<&str, usize> = BTreeMap::new();
    for e in events {
        // Whoever names an incident means it, however old it is.
        let named = e.about.as_ref().and_then(|a| a.incident.as_deref());
        let at = match named.and_then(|id| all.iter().position(|i| i.id == id)) {
            Some(at) => Some(at),
            None => newest.get(e.workload.as_str()).copied().filter(|at| goes_on(all.get(*at), e.time)),
        };
        let at = match at {
            Some(at) => at,
            None if begins(e) => {
                newest.insert(&e.workload, all.len());
                all.push(Incident::begin(e));
                all.len() - 1
            }
            None => continue,
        };
        if let Some(incident) = all.get_mut(at) {
            incident.take(e);
        }
    }
    all
}

fn goes_on(incident: Option<&Incident>, now: f64) -> bool {
    incident.is_some_and(|i| i.closed.is_none() && (!i.is_calm || now - i.to < QUIET))
}

fn begins(e: &Event) -> bool {
    match e.what {
        What::Level => e.level.is_some_and(|l| l > Level::Calm),
        What::Killed | What::Noted | What::Mitigated | What::Found => true,
        What::Alerted => e.about.as_ref().is_some_and(|a| a.fires == Some(true)),
        _ => false,
    }
}

/// Earlier incidents of the same leak: of whichever workload, version or process.
pub fn earlier<'i>(all: &'i [Incident], incident: &Incident) -> Vec<&'i Incident> {
    let same = |i: &&Incident| {
        i.from < incident.from && i.fingerprint.is_some() && i.fingerprint == incident.fingerprint
    };
    all.iter().filter(same).collect()
}

/// The same for the same begin (FNV-1a).
fn id(workload: &str, time: f64) -> String {
    let bytes = workload.bytes().chain((time as i64).to_le_bytes());
    let hash =
        bytes.fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    format!("{:06x}", (hash ^ (hash >> 32)) & 0xff_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::About;

    fn level(time: f64, workload: &str, level: Level) -> Event {
        Event { level: Some(level), ..Event::new(time, workload, What::Level, "") }
    }

    fn about(time: f64, what: What, about: About) -> Event {
        Event { about: Some(about), ..Event::new(time, "w", what, "text") }
    }

    #[test]
    fn the_newest_capture_of_the_most_telling_kind_is_read_first() {
        let stored = |time: f64, artifact: &str| Event {
            folder: Some(format!("{time}-app-7-{artifact}")),
            ..Event::new(time, "w", What::Stored, "")
        };
        let read_first = |stored: &[Event]| {
            let all = [&[level(0.0, "w", Level::Light)], stored].concat();
            incidents(&all).pop().and_then(|i| i.telling().map(str::to_owned))
        };
        let all = [stored(1.0, "census"), stored(2.0, "core"), stored(3.0, "census"), stored(4.0, "smaps")];
        assert_eq!(read_first(&all).as_deref(), Some("3-app-7-census"));
        assert_eq!(read_first(&all[..2]).as_deref(), Some("1-app-7-census"));
        assert_eq!(read_first(&all[3..]).as_deref(), Some("4-app-7-smaps"));
        assert_eq!(read_first(&[]), None);
    }

    #[test]
    fn an_incident_goes_on_until_it_was_calm_for_hours() {
        let events = [
            Event::new(0.0, "w", What::Armed, "before anything"),
            level(10.0, "w", Level::Armed),
            level(20.0, "w", Level::Heavy),
            level(30.0, "w", Level::Calm),
            level(40.0, "other", Level::Light),
            level(50.0, "w", Level::Light),
            level(60.0, "w", Level::Calm),
            level(60.0 + QUIET, "w", Level::Armed),
        ];
        let all = incidents(&events);
        let told: Vec<(&str, usize, Level)> =
            all.iter().map(|i| (i.workload.as_str(), i.events.len(), i.level)).collect();
        assert_eq!(told, [("w", 5, Level::Heavy), ("other", 1, Level::Light), ("w", 1, Level::Armed)]);
        assert!(all[0].id != all[2].id && all[0].id.len() == 6);
    }

    #[test]
    fn a_debt_is_paid_by_a_fix_and_a_guard_only() {
        let owe =
            |t| about(t, What::Mitigated, About { mitigation: Some("limit".to_owned()), ..About::default() });
        let mut events = vec![Event::new(1.0, "w", What::Killed, "killed"), owe(2.0)];
        let id = incidents(&events)[0].id.clone();
        let named = About { incident: Some(id), fix: Some("1.4.2".to_owned()), ..About::default() };
        events.push(about(3.0, What::Closed, named.clone()));
        let all = incidents(&events);
        assert!(all.len() == 1 && all[0].closed == Some(3.0) && all[0].is_open(), "{all:#?}");
        // What comes after belongs to another one, unless it names this.
        events.push(Event::new(4.0, "w", What::Killed, "again"));
        events.push(about(5.0, What::Closed, About { guard: Some("rules".to_owned()), ..named }));
        let all = incidents(&events);
        assert_eq!(all.len(), 2);
        assert!(!all[0].is_open() && all[0].debts[0].paid == Some(5.0) && all[1].kills == 1, "{all:#?}");
    }

    #[test]
    fn the_same_leak_is_known_again() {
        let found = |t: f64, workload: &str, print: &str| Event {
            about: Some(About { fingerprint: Some(print.to_owned()), ..About::default() }),
            ..Event::new(t, workload, What::Found, "retention")
        };
        let events = [
            found(1.0, "a", "java/retention"),
            found(2.0, "b", "java/churn"),
            found(3.0, "c", "java/retention"),
        ];
        let all = incidents(&events);
        assert_eq!(earlier(&all, &all[2]).iter().map(|i| i.workload.as_str()).collect::<Vec<_>>(), ["a"]);
        assert!(earlier(&all, &all[1]).is_empty());
    }
}
