//! Buying time for a capture: which brake fits, what it writes, how each write is taken back, and which artifacts can
//! still be taken under it.
//!
//! Nothing is touched here: [`choose`] gets what was found on the machine and gives the acts in their order, or the
//! reason against every brake. What works under which brake was measured.

use serde::{Deserialize, Serialize};

use super::rules::{Brake, Wish};
use crate::target::RuntimeKind;
use crate::units::bytes;

/// How time is bought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Means {
    /// The limit is raised: the program runs on.
    Raise,
    /// Whoever would be killed at the limit waits there (version 1), or is held where it is now (version 2).
    Park,
    /// It runs on, and climbs more slowly.
    Throttle,
    /// It stands still.
    Freeze,
}

impl Means {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Means::Raise => "raise",
            Means::Park => "park",
            Means::Throttle => "throttle",
            Means::Freeze => "freeze",
        }
    }

    /// Whether the program suffers from it: then it comes off as soon as the evidence is there.
    pub fn hurts(self) -> bool {
        self != Means::Raise
    }
}

/// Version of the control groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// Each controller by itself.
    One,
    /// All in one hierarchy.
    Two,
}

/// A brake with everything that it changes: the log has it before it is put on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Held {
    /// How time is bought.
    pub means: Means,
    /// The group.
    pub group: String,
    /// What is done, in this order; it is taken back the other way round.
    pub acts: Vec<Act>,
    /// Until when, Unix seconds.
    pub until: f64,
    /// Bytes that may be used in addition.
    #[serde(default)]
    pub gained: f64,
}

/// One act of a brake.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Act {
    /// A file of the kernel's is written.
    Write {
        /// The file.
        file: String,
        /// What it was.
        from: String,
        /// What is written.
        to: String,
        /// What the file's first line is while the brake is on: anything else is not ours to take back.
        shown: String,
        /// When it can be taken back; at once when there is no such line.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        below: Option<Below>,
    },
    /// A process is moved into a group of its own below the one that it is in, which stands still.
    Freeze {
        /// The process.
        pid: i32,
        /// The group that it is in.
        own: String,
        /// The group that is made.
        group: String,
    },
}

/// A limit is never set below what is in use: that would kill what it was raised to save.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Below {
    /// The file of the usage.
    pub usage: String,
    /// The most that may be in use.
    pub bytes: u64,
}

/// A file that can be written, with its first line; or why it cannot.
pub type Door = Result<(String, String), String>;

/// One group with a limit.
#[derive(Debug, Clone, PartialEq)]
pub struct Bound {
    /// Its name.
    pub group: String,
    /// Its limit, bytes.
    pub limit: f64,
    /// What is in use, bytes.
    pub usage: f64,
    /// The file of what is in use.
    pub usage_file: String,
    /// The file of the limit.
    pub door: Door,
    /// With version 1: the file of the limit of memory and swap together, and that limit, when there is one.
    pub with_swap: Option<(Door, f64)>,
}

impl Bound {
    fn room(&self) -> f64 {
        (self.limit - self.usage).max(0.0)
    }
}

/// Where a process can be made to stand still.
#[derive(Debug, Clone, PartialEq)]
pub enum Stand {
    /// The whole group, by a file.
    Group(String, String),
    /// The process alone: the group that it is in, and the one that would be made.
    Process(i32, String, String),
}

/// What was found on the machine.
#[derive(Debug, Clone, PartialEq)]
pub struct Scene {
    /// Version of the hierarchy that counts memory.
    pub version: Version,
    /// The group whose limit binds, then the others that hold for it and have one, from the inside out.
    pub bounds: Vec<Bound>,
    /// What the machine could still hand out, bytes.
    pub available: Option<f64>,
    /// Version 1's switch of the OOM killer.
    pub killer: Door,
    /// Version 2's line from which who allocates is held up.
    pub high: Door,
    /// The quota of processor time: its file with its text, and the length of a period, microseconds.
    pub quota: Result<(String, String, f64), String>,
    /// How it can be made to stand still.
    pub stand: Result<Stand, String>,
    /// Whether this program is in the group: it would hold up itself.
    pub holds_us: bool,
    /// Bytes of a page.
    pub page: u64,
}

/// What is put on, and why nothing else is.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// The brake.
    pub held: Option<Held>,
    /// Every one that was looked at and does not fit.
    pub refused: Vec<(Means, String)>,
}

impl Choice {
    /// The reasons against all that were refused.
    pub fn reasons(&self) -> String {
        let each: Vec<String> = self.refused.iter().map(|(m, why)| format!("{}: {why}", m.name())).collect();
        each.join("; ")
    }
}

/// Part of the old limit that usage must be below before it is set back; of another group, which others use too.
const ROOM: f64 = 0.95;
const ROOM_OF_OTHERS: f64 = 0.99;
/// Part of what the machine has left that a raised limit may take.
const OF_MACHINE: f64 = 0.5;
/// A gain smaller than this, as a share of the limit, buys no time.
const WORTH: f64 = 0.01;
/// Part of the processor time that is left to what is throttled.
const QUOTA: f64 = 0.1;
/// Least quota that the kernel takes, microseconds.
const LEAST_QUOTA: f64 = 1000.0;

/// Whether an artifact can be taken under a brake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Works {
    /// As well as without.
    Yes,
    /// It is worth trying, with a limit in time.
    Perhaps(&'static str),
    /// It is not asked for.
    No(&'static str),
}

/// What works under what. An artifact is asked of the program itself, or read from outside.
pub fn works(means: Means, version: Version, runtime: RuntimeKind, artifact: &str) -> Works {
    let outside = matches!(artifact, "smaps" | "core")
        || runtime == RuntimeKind::Go && matches!(artifact, "stacks" | "sites");
    match (means, version) {
        (Means::Raise, _) => Works::Yes,
        // Who waits at the limit sleeps where the freezer does not reach.
        (Means::Park, Version::One) if artifact == "core" => {
            Works::Perhaps("it cannot be frozen any more once it is parked")
        }
        _ if outside => Works::Yes,
        (Means::Park, Version::One) => {
            Works::Perhaps("it answers until it is parked, and then when its limit is raised")
        }
        (Means::Park, Version::Two) => Works::No("the thread that answers would be held up, too"),
        (Means::Throttle, _) => Works::Perhaps("it answers slowly"),
        (Means::Freeze, _) => Works::No("what stands still answers nobody"),
    }
}

/// The artifacts of a level that can be taken under a brake; from outside, where none of them can.
pub fn rungs_under(means: Means, version: Version, runtime: RuntimeKind, rungs: Vec<String>) -> Vec<String> {
    let can = |id: &String| !matches!(works(means, version, runtime, id), Works::No(_));
    let some = !rungs.is_empty();
    let left: Vec<String> = rungs.into_iter().filter(can).collect();
    if left.is_empty() && some { vec!["smaps".to_owned(), "core".to_owned()] } else { left }
}

/// The brake that fits: what the rules name, or the first of all under which the most telling artifact can be taken.
pub fn choose(rule: &Brake, scene: &Scene, runtime: RuntimeKind, rungs: &[&'static str], now: f64) -> Choice {
    let order: Vec<Means> = match rule.means {
        Wish::Only(means) => vec![means],
        Wish::Auto => in_order(scene.version, runtime, rungs.first().copied()),
    };
    let mut refused = Vec::new();
    for means in order {
        match plan(means, rule, scene, now) {
            Ok(held) => return Choice { held: Some(held), refused },
            Err(why) => refused.push((means, why)),
        }
    }
    Choice { held: None, refused }
}

/// The one that hurts least first; those under which the artifact cannot be taken last.
fn in_order(version: Version, runtime: RuntimeKind, artifact: Option<&str>) -> Vec<Means> {
    let mut all = match version {
        // Nothing is held up before the limit is reached.
        Version::One => vec![Means::Raise, Means::Park, Means::Throttle, Means::Freeze],
        Version::Two => vec![Means::Raise, Means::Throttle, Means::Park, Means::Freeze],
    };
    let last = |m: &Means| artifact.is_some_and(|id| matches!(works(*m, version, runtime, id), Works::No(_)));
    // The order is kept within both halves.
    all.sort_by_key(last);
    all
}

fn plan(means: Means, rule: &Brake, scene: &Scene, now: f64) -> Result<Held, String> {
    if scene.holds_us && means != Means::Raise {
        return Err("this program is in the group, and would hold up itself".to_owned());
    }
    let own = scene.bounds.first().ok_or("no group of it has a limit")?;
    let (acts, gained) = match means {
        Means::Raise => raise(rule, scene, own)?,
        Means::Park => (vec![park(scene, own)?], 0.0),
        Means::Throttle => (vec![throttle(scene, own)?], 0.0),
        Means::Freeze => (vec![freeze(scene)?], 0.0),
    };
    let long = if means.hurts() { rule.for_seconds.min(rule.stand_still) } else { rule.for_seconds };
    Ok(Held { means, group: own.group.clone(), acts, until: now + long, gained })
}

/// Its limit, and the others that would be reached first then: the outermost first.
fn raise(rule: &Brake, scene: &Scene, own: &Bound) -> Result<(Vec<Act>, f64), String> {
    let wanted = (own.limit * rule.raise_share).min(rule.never_above - own.limit);
    if wanted < scene.page as f64 {
        return Err(format!("the rules allow no limit above {}", bytes(rule.never_above.min(own.limit))));
    }
    let gain = scene.available.map_or(wanted, |left| wanted.min(left * OF_MACHINE));
    if gain < own.limit * WORTH && gain < wanted {
        let left = bytes(scene.available.unwrap_or(0.0));
        return Err(format!("the machine itself has only {left} left"));
    }
    let to = whole_pages(own.limit + gain, scene.page);
    let gain = to as f64 - own.limit;
    let mut acts = Vec::new();
    for other in scene.bounds.iter().skip(1).rev() {
        let missing = own.room() + gain - other.room();
        if missing <= 0.0 {
            continue;
        }
        if !rule.ancestors {
            let name = &other.group;
            return Err(format!("the limit of {name} is as tight, and the rules let it be"));
        }
        let to = whole_pages(other.limit + missing + scene.page as f64, scene.page);
        acts.extend(limit(other, to, ROOM_OF_OTHERS)?);
    }
    acts.extend(limit(own, to, ROOM)?);
    Ok((acts, gain))
}

/// With version 1 memory may be no more than memory and swap together.
fn limit(bound: &Bound, to: u64, room: f64) -> Result<Vec<Act>, String> {
    let below = || Some(Below { usage: bound.usage_file.clone(), bytes: (bound.limit * room) as u64 });
    let act = |door: &Door, from: f64| -> Result<Act, String> {
        let (file, _) = door.as_ref().map_err(|why| format!("the limit of {}: {why}", bound.group))?.clone();
        let (from, to) = (format!("{from:.0}"), to.to_string());
        Ok(Act::Write { file, from, shown: to.clone(), to, below: below() })
    };
    let swap = bound.with_swap.as_ref().filter(|(_, limit)| *limit < to as f64);
    let swap = swap.map(|(door, from)| act(door, *from)).transpose()?;
    Ok(swap.into_iter().chain([act(&bound.door, bound.limit)?]).collect())
}

fn park(scene: &Scene, own: &Bound) -> Result<Act, String> {
    match scene.version {
        Version::One => {
            let (file, now) = scene.killer.clone()?;
            if let Some(other) = scene.bounds.iter().skip(1).find(|b| b.room() < own.room()) {
                return Err(format!("the limit of {} is reached first, and kills", other.group));
            }
            if now.ends_with('1') {
                return Err("the OOM killer is off already: it parks by itself".to_owned());
            }
            let shown = "oom_kill_disable 1".to_owned();
            Ok(Act::Write { file, from: "0".to_owned(), to: "1".to_owned(), shown, below: None })
        }
        Version::Two => high(scene, own, own.usage),
    }
}

fn throttle(scene: &Scene, own: &Bound) -> Result<Act, String> {
    let line = match scene.version {
        Version::One => Err("version 1 has no line that holds up".to_owned()),
        Version::Two => high(scene, own, own.usage + own.room() / 2.0),
    };
    line.or_else(|why| quota(scene).map_err(|also| format!("{why}; {also}")))
}

/// Whoever allocates beyond the line is held up, the longer the further.
fn high(scene: &Scene, own: &Bound, line: f64) -> Result<Act, String> {
    let (file, now) = scene.high.clone()?;
    let to = whole_pages(line + scene.page as f64, scene.page);
    if let Ok(line) = now.parse::<u64>()
        && line <= to
    {
        return Err(format!("it is held up from {} on already", bytes(line as f64)));
    }
    if to as f64 >= own.limit {
        return Err("it is at its limit".to_owned());
    }
    let to = to.to_string();
    Ok(Act::Write { file, from: now, shown: to.clone(), to, below: None })
}

/// A part of the processor time: of the quota that it has, or of one processor.
fn quota(scene: &Scene) -> Result<Act, String> {
    let (file, now, period) = scene.quota.clone()?;
    let has: f64 = now.split(' ').next().and_then(|w| w.parse().ok()).filter(|q| *q > 0.0).unwrap_or(period);
    let to = (has * QUOTA).max(LEAST_QUOTA).min(has);
    let to = match scene.version {
        Version::One => format!("{to:.0}"),
        Version::Two => format!("{to:.0} {period:.0}"),
    };
    Ok(Act::Write { file, from: now, shown: to.clone(), to, below: None })
}

fn freeze(scene: &Scene) -> Result<Act, String> {
    match scene.stand.clone()? {
        Stand::Group(_, now) if now == "1" => Err("it stands still already".to_owned()),
        Stand::Group(file, from) => {
            let to = "1".to_owned();
            Ok(Act::Write { file, from, shown: to.clone(), to, below: None })
        }
        Stand::Process(pid, own, group) => Ok(Act::Freeze { pid, own, group }),
    }
}

/// The kernel rounds anything else, and what is read back must be what was written.
fn whole_pages(amount: f64, page: u64) -> u64 {
    amount as u64 / page.max(1) * page.max(1)
}

impl Held {
    /// That it is off again, in words.
    pub fn end(&self) -> String {
        let group = &self.group;
        match self.means {
            Means::Raise => format!("the limit of {group} is as it was"),
            Means::Park => format!("{group} is not parked any more"),
            Means::Throttle => format!("{group} is not throttled any more"),
            Means::Freeze => format!("{group} is not frozen any more"),
        }
    }

    /// What is done, in words.
    pub fn words(&self) -> String {
        let group = &self.group;
        let change = |act: &Act| match act {
            Act::Write { from, to, below: Some(_), file, .. } => {
                let amount = |text: &str| text.parse().map_or_else(|_| text.to_owned(), bytes);
                let whose = file.rsplit('/').nth(1).unwrap_or(file);
                format!("{whose} {} → {}", amount(from), amount(to))
            }
            Act::Write { file, from, to, .. } => format!("{file} {from} → {to}"),
            Act::Freeze { pid, .. } => format!("pid {pid}"),
        };
        let changes: Vec<String> = self.acts.iter().map(change).collect();
        let changes = changes.join(", ");
        match self.means {
            Means::Raise => format!("the limit of {group} is raised: {changes}"),
            Means::Park => format!("{group} is parked where it would be killed: {changes}"),
            Means::Throttle => format!("{group} is throttled: {changes}"),
            Means::Freeze => format!("{group} is frozen: {changes}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: f64 = 1_048_576.0;
    const PAGE: u64 = 4096;

    fn door(file: &str, now: &str) -> Door {
        Ok((file.to_owned(), now.to_owned()))
    }

    fn bound(group: &str, limit: f64, usage: f64) -> Bound {
        let usage_file = format!("{group}/usage");
        let door = door(&format!("{group}/limit"), &format!("{:.0}", limit * MIB));
        let group = group.to_owned();
        Bound { group, limit: limit * MIB, usage: usage * MIB, usage_file, door, with_swap: None }
    }

    fn scene(version: Version) -> Scene {
        Scene {
            version,
            bounds: vec![bound("/a/b", 100.0, 90.0), bound("/a", 1000.0, 500.0)],
            available: Some(8000.0 * MIB),
            killer: door("/a/b/oom", "oom_kill_disable 0"),
            high: door("/a/b/high", "max"),
            quota: Ok(("/a/b/quota".to_owned(), "-1".to_owned(), 100_000.0)),
            stand: Ok(Stand::Process(7, "/f".to_owned(), "/f/plimsoll-7-1".to_owned())),
            holds_us: false,
            page: PAGE,
        }
    }

    fn rule(means: Wish) -> Brake {
        Brake { means, ..Brake::default() }
    }

    fn put(wish: Wish, scene: &Scene, runtime: RuntimeKind, rungs: &[&'static str]) -> Choice {
        choose(&rule(wish), scene, runtime, rungs, 1000.0)
    }

    fn writes(held: &Held) -> Vec<(&str, &str)> {
        fn text(act: &Act) -> (&str, &str) {
            match act {
                Act::Write { file, to, .. } => (file.as_str(), to.as_str()),
                Act::Freeze { .. } => panic!("{act:?} writes nothing"),
            }
        }
        held.acts.iter().map(text).collect()
    }

    fn pages(mib: f64) -> String {
        whole_pages(mib * MIB, PAGE).to_string()
    }

    #[test]
    fn a_raise_comes_first_and_leaves_an_ancestor_with_room_alone() {
        let held = put(Wish::Auto, &scene(Version::One), RuntimeKind::Jvm, &["heap"]).held.expect("one");
        assert_eq!(held.means, Means::Raise);
        assert_eq!(writes(&held), [("/a/b/limit", &*pages(125.0))]);
        assert_eq!((held.until, held.gained), (1600.0, 25.0 * MIB));
    }

    #[test]
    fn an_ancestor_that_is_as_tight_is_raised_before_by_what_is_missing() {
        let mut s = scene(Version::One);
        s.bounds[1] = bound("/a", 200.0, 180.0);
        s.bounds.push(bound("/", 10_000.0, 200.0));
        s.bounds[0].with_swap = Some((door("/a/b/both", ""), 100.0 * MIB));
        let held = put(Wish::Auto, &s, RuntimeKind::Go, &["stacks"]).held.expect("one");
        // 10 MiB of room and 25 more need 35; 20 are there.
        let above = (215.0 * MIB) as u64 / PAGE * PAGE + PAGE;
        let (own, above) = (pages(125.0), above.to_string());
        assert_eq!(writes(&held), [("/a/limit", &*above), ("/a/b/both", &*own), ("/a/b/limit", &*own)]);
        let back: Vec<u64> = held
            .acts
            .iter()
            .filter_map(|a| if let Act::Write { below: Some(b), .. } = a { Some(b.bytes) } else { None })
            .collect();
        assert_eq!(back, [(198.0 * MIB) as u64, (95.0 * MIB) as u64, (95.0 * MIB) as u64]);
        let mut alone = rule(Wish::Only(Means::Raise));
        alone.ancestors = false;
        let choice = choose(&alone, &s, RuntimeKind::Go, &["stacks"], 0.0);
        assert!(
            choice.held.is_none() && choice.reasons().contains("the limit of /a is as tight"),
            "{choice:?}"
        );
        s.bounds[1].door = Err("it cannot be written".to_owned());
        let choice = put(Wish::Only(Means::Raise), &s, RuntimeKind::Go, &["stacks"]);
        assert_eq!(choice.reasons(), "raise: the limit of /a: it cannot be written");
    }

    #[test]
    fn the_machine_and_the_rules_bound_a_raise() {
        let mut s = scene(Version::Two);
        s.available = Some(20.0 * MIB);
        let held = put(Wish::Only(Means::Raise), &s, RuntimeKind::Go, &[]).held.expect("less");
        assert_eq!(held.gained, 10.0 * MIB, "half of what the machine has");
        s.available = Some(MIB);
        let choice = put(Wish::Only(Means::Raise), &s, RuntimeKind::Go, &[]);
        assert!(choice.reasons().contains("only 1.00 MiB left"), "{choice:?}");
        let never = Brake { never_above: 100.0 * MIB, ..Brake::default() };
        let choice = choose(&never, &scene(Version::Two), RuntimeKind::Go, &[], 0.0);
        assert!(choice.reasons().contains("no limit above 100 MiB"), "{choice:?}");
    }

    #[test]
    fn without_a_raise_the_artifact_decides() {
        let without = |version| {
            let mut s = scene(version);
            s.bounds[0].door = Err("no right to write".to_owned());
            s
        };
        let means = |version, runtime, id| {
            let choice = put(Wish::Auto, &without(version), runtime, &[id]);
            assert_eq!(choice.refused[0].0, Means::Raise);
            choice.held.expect("one").means
        };
        // Version 1 parks nobody before the limit; version 2 holds up at once, and then nobody answers.
        assert_eq!(means(Version::One, RuntimeKind::Jvm, "heap"), Means::Park);
        assert_eq!(means(Version::Two, RuntimeKind::Jvm, "heap"), Means::Throttle);
        assert_eq!(means(Version::Two, RuntimeKind::Go, "stacks"), Means::Throttle);
        let mut s = without(Version::Two);
        s.high = door("/a/b/high", "1");
        s.quota = Err("there is no controller".to_owned());
        let choice = put(Wish::Auto, &s, RuntimeKind::Jvm, &["heap", "threads"]);
        assert_eq!(choice.held.as_ref().expect("one").means, Means::Freeze);
        assert_eq!(
            choice.refused.iter().map(|r| r.0).collect::<Vec<_>>(),
            [Means::Raise, Means::Throttle, Means::Park]
        );
        let under = |means, version, rungs: &[&str]| {
            let rungs = rungs.iter().map(|id| (*id).to_owned()).collect();
            rungs_under(means, version, RuntimeKind::Jvm, rungs)
        };
        assert_eq!(under(Means::Freeze, Version::Two, &["heap", "threads"]), ["smaps", "core"]);
        assert_eq!(under(Means::Park, Version::One, &["heap", "threads"]), ["heap", "threads"]);
        assert!(under(Means::Freeze, Version::One, &[]).is_empty());
    }

    #[test]
    fn each_means_writes_what_takes_it_back() {
        let one = |version, means| {
            let held = put(Wish::Only(means), &scene(version), RuntimeKind::Go, &[]).held.expect("one");
            assert_eq!(held.until, 1030.0, "it stands still for a short time only");
            held.acts[0].clone()
        };
        let write = |file: &str, from: &str, to: &str, shown: &str| Act::Write {
            file: file.to_owned(),
            from: from.to_owned(),
            to: to.to_owned(),
            shown: shown.to_owned(),
            below: None,
        };
        assert_eq!(one(Version::One, Means::Park), write("/a/b/oom", "0", "1", "oom_kill_disable 1"));
        let at = |mib: f64| (whole_pages(mib * MIB, PAGE) + PAGE).to_string();
        assert_eq!(one(Version::Two, Means::Park), write("/a/b/high", "max", &at(90.0), &at(90.0)));
        assert_eq!(one(Version::Two, Means::Throttle), write("/a/b/high", "max", &at(95.0), &at(95.0)));
        assert_eq!(one(Version::One, Means::Throttle), write("/a/b/quota", "-1", "10000", "10000"));
        assert!(matches!(one(Version::One, Means::Freeze), Act::Freeze { pid: 7, .. }));
        let mut s = scene(Version::Two);
        s.stand = Ok(Stand::Group("/a/b/freeze".to_owned(), "0".to_owned()));
        let held = put(Wish::Only(Means::Freeze), &s, RuntimeKind::Go, &[]).held.expect("one");
        assert_eq!(held.acts, [write("/a/b/freeze", "0", "1", "1")]);
        let text = serde_json::to_string(&held).expect("written");
        assert_eq!(serde_json::from_str::<Held>(&text).expect("read"), held);
    }

    #[test]
    fn it_holds_up_neither_itself_nor_what_is_held_up_already() {
        let why = |change: fn(&mut Scene), version, means| {
            let mut s = scene(version);
            change(&mut s);
            put(Wish::Only(means), &s, RuntimeKind::Go, &[]).reasons()
        };
        let ours: fn(&mut Scene) = |s| s.holds_us = true;
        assert!(why(ours, Version::One, Means::Freeze).contains("would hold up itself"));
        assert!(
            why(|s| s.killer = door("x", "oom_kill_disable 1"), Version::One, Means::Park)
                .contains("off already")
        );
        assert!(
            why(|s| s.bounds[1].usage = 999.0 * MIB, Version::One, Means::Park).contains("reached first")
        );
        assert!(why(|s| s.bounds[0].usage = 100.0 * MIB, Version::Two, Means::Park).contains("at its limit"));
        assert!(why(|s| s.bounds.clear(), Version::Two, Means::Raise).contains("no group of it has a limit"));
        // A quota that is there already is cut further, never raised.
        let mut s = scene(Version::One);
        s.quota = Ok(("q".to_owned(), "5000".to_owned(), 100_000.0));
        let held = put(Wish::Only(Means::Throttle), &s, RuntimeKind::Go, &[]).held.expect("one");
        assert_eq!(writes(&held), [("q", "1000")]);
    }
}
