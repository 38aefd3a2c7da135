//! Alert rules that an incident leaves behind: they watch the floor's slope against the limit, not a percentage.
//!
//! What is recorded first ([`names`]) has the same names and labels whoever exports it; every rule speaks of these. The rules
//! are data ([`Expr`]): they are written for a server, and walked over a recording ([`walk`]) with the same meaning.

mod expr;
mod names;
pub mod shapes;
#[cfg(test)]
mod tests;
mod walk;

pub use expr::{Expr, Op, Over};
use expr::{ago, now, over};
pub use names::Source;
pub use walk::{Firing, Silent, Walk, too_long, walk};

/// The floor of what runs against the limit: the lowest of [`FLOOR_WINDOW`].
pub const FLOOR: &str = "plimsoll:floor:bytes";
/// The limit.
pub const LIMIT: &str = "plimsoll:limit:bytes";
/// Start of the process, Unix seconds.
pub const START: &str = "plimsoll:start:seconds";
/// Slope of the floor over three hours, bytes a second.
pub const SLOPE: &str = "plimsoll:floor:slope";
/// The same, where it goes on: both halves, and above the same hour of yesterday.
pub const CLIMB: &str = "plimsoll:floor:climb";
/// Seconds to the limit, where it climbs.
pub const CLOCK: &str = "plimsoll:clock:seconds";
/// The same, where it is no warm-up, no batch and no day like the last.
pub const STEADY: &str = "plimsoll:floor:steady_climb";
const DAY_RISE: &str = "plimsoll:floor:day_rise";
const SLOW: &str = "plimsoll:floor:slow_climb";
const LIFE_SLOPE: &str = "plimsoll:floor:life_slope";
const NEWEST_START: &str = "plimsoll:start:newest";
/// Floors of counts and of memory beside the heap.
pub const GOROUTINES: &str = "plimsoll:goroutines:floor";
/// Threads.
pub const THREADS: &str = "plimsoll:threads:floor";
/// Descriptors.
pub const FDS: &str = "plimsoll:fds:floor";
/// Their limit.
pub const FDS_LIMIT: &str = "plimsoll:fds:limit";
/// Resident memory beside the heap.
pub const NATIVE_NOW: &str = "plimsoll:native:bytes";
const NATIVE: &str = "plimsoll:native:floor";
/// The heap after a collection.
pub const HEAP: &str = "plimsoll:heap:floor";
/// The heap's own bound.
pub const HEAP_LIMIT: &str = "plimsoll:heap:limit";
const OOM: &str = "plimsoll:oom_kills:1h";
const NO_LIMIT: &str = "plimsoll:limit:missing";

/// Window of the floor, seconds: longer than two collections.
const FLOOR_WINDOW: f64 = 900.0;
const MINUTE: f64 = 60.0;
const HOUR: f64 = 3600.0;
const DAY: f64 = 24.0 * HOUR;
const MIB: f64 = 1_048_576.0;
/// A half of the window must climb by this share of the whole, else the climb comes to rest.
const KEEPS: f64 = 0.6;
/// Share of a climb by which the floor must lie above the same hour of yesterday, or above all of the day before.
const ABOVE_YESTERDAY: f64 = 0.5;
/// Share of what the day before ranged over that is to be added to it: where much moves, little is no news.
const OF_RANGE: f64 = 0.12;
/// The same hours of yesterday must have climbed by less than this share: else it is what the day does.
const LIKE_YESTERDAY: f64 = 0.4;
/// A climb that has lasted for a day lies above yesterday by more than this share of a day's climb.
const A_DAY_LONG: f64 = 0.5;
/// A life so young may still warm up or fill a cache: its climb must have kept on for [`YOUNG_WINDOW`], by [`YOUNG_KEEPS`].
const YOUNG: f64 = 12.0 * HOUR;
const YOUNG_WINDOW: f64 = 6.0 * HOUR;
const YOUNG_KEEPS: f64 = 0.8;
/// Every hour of this window must lie above the same hour of yesterday for a slow climb.
const EVERY_HOUR: f64 = 12.0 * HOUR;
/// Share of the horizon that counts where there is no yesterday.
const FIRST_DAY: f64 = 0.25;
/// Window of a slope.
const WINDOW: f64 = 3.0 * HOUR;
/// Window in which one life's slope is taken, and how long such slopes must have been seen within a day.
const LIFE: f64 = 2.0 * HOUR;
const LIVES_SEEN: f64 = 6.0 * HOUR;
/// Seconds between two evaluations of what is slow.
const SLOWLY: f64 = 300.0;

/// How near is near, and how steep is steep.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    /// Time to the limit at which somebody is woken, seconds.
    pub page: f64,
    /// Time to the limit at which somebody is told.
    pub ticket: f64,
    /// The same of a slow climb.
    pub slow: f64,
    /// Bytes a second that are borne where the limit is not what ends it: lives that restarts cut short, native memory.
    pub borne: f64,
    /// Goroutines or threads that are added in three hours before they are told of.
    pub counts: f64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Thresholds { page: 2.0 * HOUR, ticket: DAY, slow: 7.0 * DAY, borne: 30.0 * MIB / HOUR, counts: 30.0 }
    }
}

/// What becomes of a rule.
#[derive(Debug, Clone, PartialEq)]
pub enum Makes {
    /// A recorded series, out of what is exported: whose, and the PromQL.
    Exported(Source, String),
    /// A recorded series, out of others.
    Record(Expr),
    /// An alert.
    Alert(Alert),
}

/// What an alert says.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    /// When it holds.
    pub when: Expr,
    /// For how long it must hold, seconds.
    pub lasting: f64,
    /// `page`, `ticket` or `info`.
    pub severity: &'static str,
    /// What is wrong, with `{{ $value }}`.
    pub summary: &'static str,
    /// What to do.
    pub next: &'static str,
    /// Seconds of history without which it cannot tell.
    pub needs: f64,
}

/// One rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Its name: of the series, or of the alert.
    pub name: &'static str,
    /// What it makes.
    pub makes: Makes,
}

/// Rules that are evaluated one after the other.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Its name.
    pub name: &'static str,
    /// Seconds between two evaluations.
    pub every: f64,
    /// In order.
    pub rules: Vec<Rule>,
}

/// All rules for what these sources export.
pub fn groups(sources: &[Source], t: &Thresholds) -> Vec<Group> {
    let wanted = |raw: &&names::Raw| sources.contains(&raw.source);
    let mut quick: Vec<Rule> = names::RAW
        .iter()
        .filter(wanted)
        .map(|raw| {
            let makes = Makes::Exported(raw.source, raw.promql(&expr::span(FLOOR_WINDOW)));
            Rule { name: raw.record, makes }
        })
        .collect();
    let has = |series: &str| quick.iter().any(|rule| rule.name == series);
    let of_memory = has(FLOOR) && has(LIMIT);
    let mut more = if of_memory { memory(t) } else { Vec::new() };
    more.extend(BESIDE.iter().filter(|b| has(b.needs)).flat_map(|b| b.rules(t)));
    quick.extend(more);
    let mut groups = vec![Group { name: "plimsoll", every: MINUTE, rules: quick }];
    if of_memory {
        groups.push(Group { name: "plimsoll-slow", every: SLOWLY, rules: slow(t) });
    }
    if sources.contains(&Source::Agent) {
        groups.push(Group { name: "plimsoll-agent", every: MINUTE, rules: agent(t) });
    }
    groups
}

fn record(name: &'static str, expr: Expr) -> Rule {
    Rule { name, makes: Makes::Record(expr) }
}

/// The slope of a window that ended so long ago.
fn slope(series: &'static str, window: f64, ago: f64) -> Expr {
    Expr::Over { over: Over::Deriv, series, window, ago }
}

/// The slope of a window, where it goes on: it climbs, in both halves by this share of the whole, within one life.
fn goes_on(series: &'static str, window: f64, keeps: f64) -> Expr {
    let half = window / 2.0;
    let share = || slope(series, window, 0.0).times(keeps);
    slope(series, window, 0.0)
        .above(0.0)
        .and(slope(series, half, 0.0).above(share()))
        .and(slope(series, half, half).above(share()))
        .and(age().above(window + FLOOR_WINDOW))
}

/// Seconds since the process began.
fn age() -> Expr {
    Expr::Now.minus(now(START))
}

/// The same, above the same hour of yesterday.
fn climb(series: &'static str, window: f64) -> Expr {
    let grown = slope(series, window, 0.0).times(ABOVE_YESTERDAY * window);
    let above_yesterday = now(series).minus(ago(series, DAY)).above(grown);
    goes_on(series, window, KEEPS).and(above_yesterday.or(now(series).unless(ago(series, DAY))))
}

/// A climb of which nothing that comes to rest by itself is known: a young life must have climbed for long, as it may warm up; an
/// older one must be higher than all of the day before, as a batch is not; and yesterday did not climb at this hour.
fn steady(series: &'static str) -> Expr {
    let before = |over| Expr::Over { over, series, window: DAY, ago: WINDOW };
    let grown = slope(series, WINDOW, 0.0).times(ABOVE_YESTERDAY * WINDOW);
    let ranged = before(Over::Max).minus(before(Over::Min)).times(OF_RANGE);
    let higher = now(series).minus(before(Over::Max)).above(grown.plus(ranged));
    let old = goes_on(series, WINDOW, KEEPS)
        .and(age().above(YOUNG))
        .and(higher.and(unlike_yesterday(series, WINDOW)).or(since_yesterday(series, WINDOW)));
    let young = goes_on(series, YOUNG_WINDOW, YOUNG_KEEPS)
        .and(age().below(DAY + WINDOW))
        .and(unlike_yesterday(series, YOUNG_WINDOW).or(since_yesterday(series, YOUNG_WINDOW)));
    old.or(young)
}

/// The same hours of yesterday did not climb like this, or there is no yesterday.
fn unlike_yesterday(series: &'static str, window: f64) -> Expr {
    let share = slope(series, window, 0.0).times(LIKE_YESTERDAY);
    slope(series, window, DAY).below(share).or(now(series).unless(ago(series, DAY)))
}

/// It lies so far above yesterday that it has climbed like this since then.
fn since_yesterday(series: &'static str, window: f64) -> Expr {
    let since = slope(series, window, 0.0).times(A_DAY_LONG * DAY);
    now(series).minus(ago(series, DAY)).above(since)
}

fn memory(t: &Thresholds) -> Vec<Rule> {
    let alert = |name, (clock, needs): (fn() -> Expr, f64), horizon: f64, severity, summary, next| {
        // On a first day nobody knows what the day does to it: then only what is nearer counts.
        let first_day = clock().below(horizon * FIRST_DAY);
        let when = clock().below(horizon).and(ago(FLOOR, DAY).or(first_day));
        let lasting = 5.0 * MINUTE;
        Rule { name, makes: Makes::Alert(Alert { when, lasting, severity, summary, next, needs }) }
    };
    let flag = |name, series, lasting, severity, (summary, next)| {
        let when = now(series).above(0.0);
        Rule { name, makes: Makes::Alert(Alert { when, lasting, severity, summary, next, needs: 0.0 }) }
    };
    vec![
        record(SLOPE, slope(FLOOR, WINDOW, 0.0)),
        record(CLIMB, climb(FLOOR, WINDOW)),
        record(CLOCK, now(LIMIT).minus(now(FLOOR)).per(now(CLIMB))),
        record(STEADY, steady(FLOOR)),
        alert(
            "PlimsollMemoryEndsSoon",
            (|| now(CLOCK), WINDOW / 2.0 + FLOOR_WINDOW),
            t.page,
            "page",
            "at this slope its memory is at the limit in {{ $value | humanizeDuration }}",
            "take the evidence before the kill: plimsoll capture",
        ),
        alert(
            "PlimsollMemoryClimbs",
            (|| now(LIMIT).minus(now(FLOOR)).per(now(STEADY)), WINDOW + FLOOR_WINDOW),
            t.ticket,
            "ticket",
            "its memory climbs, and is at the limit in {{ $value | humanizeDuration }}",
            "what is it, and since when: plimsoll triage",
        ),
        flag(
            "PlimsollOomKill",
            OOM,
            0.0,
            "ticket",
            (
                "it was killed for want of memory within the last hour",
                "who died, by which limit: plimsoll oom",
            ),
        ),
        flag(
            "PlimsollNoLimit",
            NO_LIMIT,
            HOUR,
            "info",
            (
                "it has no memory limit: no time can be told, and it may take its neighbours along",
                "set a limit for it",
            ),
        ),
    ]
}

/// Slow climbs, and those that restarts hide.
fn slow(t: &Thresholds) -> Vec<Rule> {
    let long_enough = age().above(LIFE + FLOOR_WINDOW);
    let of_life = Expr::OfWorkload("avg", Box::new(slope(FLOOR, LIFE, 0.0).and(long_enough)));
    let newest = Expr::OfWorkload("max", Box::new(now(START)));
    let masked = over(Over::Avg, LIFE_SLOPE, DAY)
        .above(t.borne)
        .and(over(Over::Min, LIFE_SLOPE, DAY).above(0.0))
        .and(over(Over::Count, LIFE_SLOPE, DAY).above(LIVES_SEEN / SLOWLY - 1.0))
        .and(over(Over::Changes, NEWEST_START, DAY).above(0.0));
    let slow = now(LIMIT).minus(now(FLOOR)).per(now(SLOW)).below(t.slow);
    // What every hour of half a day rose by since yesterday: the slope of a day would be that of its hours, too.
    let risen = over(Over::Min, DAY_RISE, EVERY_HOUR).per(DAY).above(0.0);
    vec![
        record(DAY_RISE, now(FLOOR).minus(ago(FLOOR, DAY))),
        record(SLOW, risen.and(climb(FLOOR, DAY))),
        record(LIFE_SLOPE, of_life),
        record(NEWEST_START, newest),
        Rule {
            name: "PlimsollSlowClimb",
            makes: Makes::Alert(Alert {
                when: slow,
                lasting: HOUR,
                severity: "ticket",
                summary: "its memory has climbed for a day, and is at the limit in {{ $value | humanizeDuration }}",
                next: "what is it, and since which version: plimsoll triage",
                needs: DAY / 2.0 + FLOOR_WINDOW,
            }),
        },
        Rule {
            name: "PlimsollRestartsHideLeak",
            makes: Makes::Alert(Alert {
                when: masked,
                lasting: 15.0 * MINUTE,
                severity: "ticket",
                summary: "each of its lives climbs, by {{ $value | humanize1024 }}B a second in the mean of a day: restarts hide a leak",
                next: "find it before the restarts no longer suffice: plimsoll triage",
                needs: LIVES_SEEN + LIFE + FLOOR_WINDOW,
            }),
        },
    ]
}

/// Something that climbs beside the memory that a limit is set for.
struct Beside {
    /// The series that it cannot do without.
    needs: &'static str,
    /// Its floor, and where that climbs.
    floor: &'static str,
    climb: &'static str,
    alert: &'static str,
    when: fn(&Beside, &Thresholds) -> Expr,
    summary: &'static str,
    next: &'static str,
}

/// It would double within a day, and not only from two to four.
fn doubles(b: &Beside, t: &Thresholds) -> Expr {
    let much = now(b.climb).times(WINDOW).above(t.counts);
    now(b.climb).and(now(b.climb).times(DAY).above(now(b.floor))).and(much)
}

/// It reaches a limit of its own.
fn reaches(limit: &'static str, b: &Beside, t: &Thresholds) -> Expr {
    now(limit).minus(now(b.floor)).per(now(b.climb)).below(t.ticket)
}

const BESIDE: &[Beside] = &[
    Beside {
        needs: GOROUTINES,
        floor: GOROUTINES,
        climb: "plimsoll:goroutines:climb",
        alert: "PlimsollGoroutines",
        when: doubles,
        summary: "its goroutines climb, by {{ $value }} a second",
        next: "who blocks where: plimsoll capture --artifact stacks",
    },
    Beside {
        needs: THREADS,
        floor: THREADS,
        climb: "plimsoll:threads:climb",
        alert: "PlimsollThreads",
        when: doubles,
        summary: "its threads climb, by {{ $value }} a second",
        next: "which pool: plimsoll capture --artifact threads",
    },
    Beside {
        needs: FDS,
        floor: FDS,
        climb: "plimsoll:fds:climb",
        alert: "PlimsollDescriptors",
        when: |b, t| reaches(FDS_LIMIT, b, t),
        summary: "its open descriptors reach their limit in {{ $value | humanizeDuration }}",
        next: "what is open: ls -l /proc/PID/fd",
    },
    Beside {
        needs: NATIVE_NOW,
        floor: NATIVE,
        climb: "plimsoll:native:climb",
        alert: "PlimsollNativeGap",
        when: |b, t| now(b.climb).above(t.borne),
        summary: "its memory beside the heap climbs, by {{ $value | humanize1024 }}B a second: no heap dump shows it",
        next: "native or fragmentation: plimsoll triage",
    },
    Beside {
        needs: HEAP,
        floor: HEAP,
        climb: "plimsoll:heap:climb",
        alert: "PlimsollHeapClimbs",
        when: |b, t| reaches(HEAP_LIMIT, b, t),
        summary: "what stays of its heap after collections reaches the heap's bound in {{ $value | humanizeDuration }}",
        next: "who holds it: plimsoll capture",
    },
];

impl Beside {
    fn rules(&self, t: &Thresholds) -> Vec<Rule> {
        let alert = Alert {
            when: (self.when)(self, t),
            lasting: 5.0 * MINUTE,
            severity: "ticket",
            summary: self.summary,
            next: self.next,
            needs: WINDOW + FLOOR_WINDOW,
        };
        let climbing = record(self.climb, steady(self.floor));
        let floor =
            (self.floor != self.needs).then(|| record(self.floor, over(Over::Min, self.needs, FLOOR_WINDOW)));
        let alert = Rule { name: self.alert, makes: Makes::Alert(alert) };
        floor.into_iter().chain([climbing, alert]).collect()
    }
}

/// What the agent knows better than a rule: its own clock, whether the net would fire, what is owed.
fn agent(t: &Thresholds) -> Vec<Rule> {
    const LATEST: &str = "plimsoll:agent:latest_seconds";
    const NET: &str = "plimsoll:agent:net";
    const DEBT: &str = "plimsoll:agent:debt_seconds";
    const DEBT_AGE: f64 = 14.0 * DAY;
    let alert = |name, when, lasting, (summary, next)| Rule {
        name,
        makes: Makes::Alert(Alert { when, lasting, severity: "ticket", summary, next, needs: 0.0 }),
    };
    let exported = |name, text: &str| Rule { name, makes: Makes::Exported(Source::Agent, text.to_owned()) };
    vec![
        exported(LATEST, r#"sum without (quantile) (plimsoll_time_to_oom_seconds{quantile="0.9"})"#),
        exported(NET, "plimsoll_net_ready"),
        exported(DEBT, "plimsoll_debt_age_seconds"),
        alert(
            "PlimsollAgentClock",
            now(LATEST).below(t.ticket),
            5.0 * MINUTE,
            (
                "nine times in ten it is at its limit within {{ $value | humanizeDuration }}",
                "plimsoll triage",
            ),
        ),
        alert(
            "PlimsollNetOff",
            now(NET).below(1.0),
            HOUR,
            ("a kill would leave no evidence at this limit", "plimsoll audit says what to set"),
        ),
        alert(
            "PlimsollDebt",
            now(DEBT).above(DEBT_AGE),
            HOUR,
            (
                "what bought time is {{ $value | humanizeDuration }} old, and no fix and no guard has closed it",
                "plimsoll incident list",
            ),
        ),
    ]
}
