//! May an artifact be taken now? Each term of the answer by itself, with the number that fails and the lever that
//! would change it.
//!
//! The check knows only numbers (headroom, burn rate, predicted cost, the destination), never why the artifact was
//! chosen. Source of the formula: the measured preflight, `H ≥ A + b·(s + w) + margin`.

use serde::Serialize;

use crate::clock::Clock;
use crate::recording::Recording;
use crate::runtime::rules::Cost;
use crate::units;

/// Smallest reserve that a capture must leave, bytes, and as a share of the limit. What a target takes meanwhile is reckoned
/// by its rate and by its highest of the last minute: this is for what nobody foresees.
const MARGIN: f64 = 1024.0 * 1024.0;
const MARGIN_SHARE: f64 = 0.005;
/// A file of up to so many bytes may lie in memory.
const SMALL: f64 = 16.0 * 1024.0 * 1024.0;
/// Seconds until a capture starts on a target that was never attached to.
pub const ATTACH: f64 = 0.2;
/// Part of a file system that stays free, and inodes that a capture may need.
const SPARE: f64 = 0.05;
const INODES: f64 = 16.0;

/// What a check is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Term {
    /// Memory within the target's limit, bytes.
    Memory,
    /// Room at the destination, bytes.
    Disk,
    /// Files that the destination can still hold.
    Inodes,
    /// Time that the target stands still, seconds.
    Pause,
    /// Whether the target is there and answers.
    Life,
}

/// One term of the answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// What it is about; its numbers are bytes, files or seconds.
    pub term: Term,
    /// Whether it holds; none when it cannot be told.
    pub ok: Option<bool>,
    /// What is needed.
    pub needed: Option<f64>,
    /// What is there.
    pub have: Option<f64>,
    /// Both in words.
    pub text: String,
    /// What would make it hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lever: Option<String>,
}

/// Where an artifact is to be stored.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// The folder.
    pub path: String,
    /// Its kind of file system, such as `ext4`.
    pub file_system: String,
    /// Whether its files are memory (tmpfs, ramfs), which counts against the limit of whoever writes them.
    pub in_memory: bool,
    /// Bytes that an ordinary user may still write.
    pub free_bytes: f64,
    /// Files that may still be made; none where the file system has no such bound.
    pub free_inodes: Option<f64>,
}

/// Where an artifact goes, and what it may have to pass through.
#[derive(Debug, Clone, PartialEq)]
pub struct Places {
    /// The destination.
    pub to: Place,
    /// The target's own `/tmp`, where that can be looked at.
    pub inside: Option<Place>,
}

/// Every term for an artifact of this cost, stored there. `probe_budget` is how long the target may stand still,
/// seconds, where something watches it.
pub fn checks(
    cost: &Cost,
    clock: &Clock,
    r: &Recording,
    places: &Places,
    probe_budget: Option<f64>,
) -> Vec<Check> {
    let mut out: Vec<Check> = life(r, clock, cost).into_iter().collect();
    out.push(memory(cost, clock));
    if cost.inside > 0.0 {
        out.extend(inside(cost.inside, places.inside.as_ref()));
    }
    out.extend(disk(cost.disk, &places.to, "--to names another folder", "--to names a folder on a disk"));
    out.extend(probe_budget.map(|budget| pause(cost, budget)));
    out
}

/// The answer of all terms together.
pub fn allowed(checks: &[Check]) -> Option<bool> {
    if checks.iter().any(|c| c.ok == Some(false)) {
        return Some(false);
    }
    checks.iter().all(|c| c.ok == Some(true)).then_some(true)
}

/// A target that is gone, or that stalls at its limit and would not answer.
pub(crate) fn life(r: &Recording, clock: &Clock, cost: &Cost) -> Option<Check> {
    let failed = |text: &str, lever: Option<&str>| Check {
        term: Term::Life,
        ok: Some(false),
        needed: None,
        have: None,
        text: text.to_owned(),
        lever: lever.map(str::to_owned),
    };
    if r.ended.is_some() {
        return Some(failed("the process is gone", None));
    }
    let hangs = clock.dead_zone.as_ref().is_some_and(|z| !z.in_heap()) && cost.memory > 0.0;
    hangs.then(|| failed("it stalls at its limit and would not answer", Some("raise the limit first")))
}

/// Headroom and burn rate against what the artifact takes inside the target.
pub(crate) fn memory(cost: &Cost, clock: &Clock) -> Check {
    let check =
        Check { term: Term::Memory, ok: None, needed: None, have: None, text: String::new(), lever: None };
    if cost.memory <= 0.0 {
        // However little is left, and however fast it goes: that it is looked at changes nothing.
        return Check { ok: Some(true), text: "takes nothing of the target's memory".to_owned(), ..check };
    }
    let Some(bound) = clock.bounds.iter().find(|b| kills_by_memory(&b.name)) else {
        return Check { text: "no container limit could be read".to_owned(), ..check };
    };
    let burn = bound.posterior.as_ref().map_or(0.0, |p| p.slope.high.max(0.0));
    let margin = MARGIN.max(MARGIN_SHARE * bound.limit);
    let need = cost.memory + burn * (ATTACH + cost.running) + margin;
    let have = bound.room();
    let fits = have >= need;
    let lever = (!fits).then(|| {
        format!(
            "raise the limit by {} first, or drain a replica and take it there",
            units::bytes(need - have)
        )
    });
    let swings = bound.headroom() - have > need / 8.0;
    let below = if swings { " below its highest of the last minute" } else { " headroom" };
    let text = format!("needs {} of {}{below} ({})", units::bytes(need), units::bytes(have), bound.name);
    Check { ok: Some(fits), needed: Some(need), have: Some(have), text, lever, ..check }
}

/// Room in the target's own `/tmp`, and that it is no memory: there it would count against its limit.
fn inside(need: f64, place: Option<&Place>) -> Vec<Check> {
    const LEVER: &str =
        "mount a disk with room at its /tmp, or take it by hand to a folder of its own that has room";
    match place {
        Some(place) => disk(need, place, LEVER, LEVER),
        None => vec![Check {
            term: Term::Disk,
            ok: None,
            needed: Some(need),
            have: None,
            text: "it is written into the target's own /tmp first, which cannot be looked at".to_owned(),
            lever: None,
        }],
    }
}

/// Room in a place, and that it is no memory.
fn disk(bytes: f64, place: &Place, other: &str, no_memory: &str) -> Vec<Check> {
    let need = bytes * (1.0 + SPARE);
    if place.free_bytes.is_infinite() {
        let text = format!("goes through {} ({}): no disk is needed here", place.path, place.file_system);
        return vec![Check {
            term: Term::Disk,
            ok: Some(true),
            needed: Some(need),
            have: None,
            text,
            lever: None,
        }];
    }
    let fits = place.free_bytes >= need;
    let have = units::bytes(place.free_bytes);
    let mut room = Check {
        term: Term::Disk,
        ok: Some(fits),
        needed: Some(need),
        have: Some(place.free_bytes),
        text: format!(
            "needs {} of {have} free on {} ({})",
            units::bytes(need),
            place.path,
            place.file_system
        ),
        lever: (!fits).then(|| other.to_owned()),
    };
    // A small file does no harm there; a dump is memory of the machine twice.
    if place.in_memory && bytes > SMALL {
        room.ok = Some(false);
        room.text = format!("{}: that is memory, not a disk", room.text);
        room.lever = Some(no_memory.to_owned());
    }
    let mut out = vec![room];
    if let Some(free) = place.free_inodes {
        let ok = free >= INODES;
        out.push(Check {
            term: Term::Inodes,
            ok: Some(ok),
            needed: Some(INODES),
            have: Some(free),
            text: format!("{free:.0} files can still be made"),
            lever: (!ok).then(|| other.to_owned()),
        });
    }
    out
}

fn pause(cost: &Cost, budget: f64) -> Check {
    let ok = cost.pause <= budget;
    Check {
        term: Term::Pause,
        ok: Some(ok),
        needed: Some(cost.pause),
        have: Some(budget),
        text: format!("stands still for {:.1} s of {:.1} s that its probe allows", cost.pause, budget),
        lever: (!ok).then(|| "drain the replica and relax its liveness probe first".to_owned()),
    }
}

/// The limits at which extra memory of a capture kills: all but the heap's own.
fn kills_by_memory(name: &str) -> bool {
    name.starts_with("container limit")
        || name.starts_with("memory of the machine")
        || name.starts_with("recorded")
        || name.starts_with("limit given")
}

/// A predicted cost in words.
pub fn in_words(c: &Cost) -> String {
    let mut parts = vec![format!("{} in the target", units::bytes(c.memory))];
    if c.disk > 0.0 {
        parts.push(format!("{} on disk", units::bytes(c.disk)));
    }
    if c.inside > 0.0 {
        parts.push(format!("{} in the target's /tmp meanwhile", units::bytes(c.inside)));
    }
    parts.push(if c.pause >= 0.01 {
        format!("pause {:.1} s", c.pause)
    } else {
        "no pause to speak of".to_owned()
    });
    format!("predicted {} ({})", parts.join(", "), c.basis)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: f64 = 1024.0 * 1024.0 * 1024.0;

    fn cost(disk: f64, pause: f64) -> Cost {
        Cost { memory: 0.0, disk, inside: 0.0, pause, running: 0.0, basis: "a test".into() }
    }

    fn recording() -> Recording {
        Recording::new(crate::target::Target {
            pid: 7,
            name: String::new(),
            runtime: crate::target::RuntimeKind::Native,
            runtime_version: None,
            container: None,
            cgroup: None,
            limit_cgroup: None,
            started: 0.0,
            flags: Vec::new(),
        })
    }

    fn place(in_memory: bool, free_bytes: f64) -> Place {
        let file_system = if in_memory { "tmpfs" } else { "ext4" }.to_owned();
        Place { path: "/x".to_owned(), file_system, in_memory, free_bytes, free_inodes: Some(1e6) }
    }

    #[test]
    fn a_dump_needs_room_on_something_that_is_no_memory() {
        let ok = |bytes: f64, place: &Place| allowed(&disk(bytes, place, "another", "a disk"));
        assert_eq!(ok(GIB, &place(false, 2.0 * GIB)), Some(true));
        assert_eq!(ok(GIB, &place(false, GIB)), Some(false), "a part stays free");
        assert_eq!(ok(GIB, &place(true, 9.0 * GIB)), Some(false));
        assert_eq!(ok(1e6, &place(true, 9.0 * GIB)), Some(true), "a small file may");
        let full = Place { free_inodes: Some(2.0), ..place(false, 2.0 * GIB) };
        assert_eq!(ok(1.0, &full), Some(false));
    }

    #[test]
    fn what_passes_through_the_targets_own_tmp_needs_room_there_too() {
        let clock = crate::judge::judge(&recording(), None).clock;
        let terms = |within: Option<Place>| {
            let places = Places { to: place(false, 9.0 * GIB), inside: within };
            let cost = Cost { inside: GIB, ..cost(GIB, 0.0) };
            checks(&cost, &clock, &recording(), &places, None)
        };
        assert_eq!(allowed(&terms(Some(place(false, 2.0 * GIB)))), Some(true));
        let refused = terms(Some(place(true, 9.0 * GIB)));
        assert_eq!(allowed(&refused), Some(false));
        let lever = refused.iter().find(|c| c.ok == Some(false)).and_then(|c| c.lever.as_deref());
        assert!(lever.is_some_and(|l| l.contains("its /tmp")), "{lever:?}");
        assert_eq!(allowed(&terms(None)), None, "it cannot be told");
    }

    #[test]
    fn what_swings_counts_at_its_highest_of_the_last_minute() {
        const MIB: f64 = 1024.0 * 1024.0;
        let bound = |lately: f64| crate::clock::Bound {
            name: "container limit".to_owned(),
            usage_name: String::new(),
            limit: 100.0 * MIB,
            usage: 50.0 * MIB,
            lately,
            degrades: false,
            posterior: Err(crate::slope::NotYet { why: String::new(), more_seconds: None }),
        };
        let r = crate::judge::judge(&recording(), None);
        let with = |lately: f64| Clock { bounds: vec![bound(lately)], ..r.clock.clone() };
        let cost = Cost {
            memory: 20.0 * MIB,
            disk: 0.0,
            inside: 0.0,
            pause: 0.0,
            running: 0.0,
            basis: "a test".into(),
        };
        assert_eq!(memory(&cost, &with(50.0 * MIB)).ok, Some(true));
        let refused = memory(&cost, &with(90.0 * MIB));
        assert_eq!((refused.ok, refused.have), (Some(false), Some(10.0 * MIB)));
        assert!(refused.text.contains("below its highest of the last minute"), "{}", refused.text);
    }

    #[test]
    fn what_takes_nothing_of_the_target_needs_no_room_in_it() {
        let r = recording();
        let clock = crate::judge::judge(&r, None).clock;
        assert_eq!(memory(&cost(GIB, 1.0), &clock).ok, Some(true));
        assert_eq!(memory(&Cost { memory: 1.0, ..cost(GIB, 1.0) }, &clock).ok, None, "no limit is known");
    }

    #[test]
    fn a_pause_must_fit_the_probe_and_the_lever_is_named() {
        assert_eq!(pause(&cost(0.0, 2.0), 20.0).ok, Some(true));
        let refused = pause(&cost(0.0, 30.0), 20.0);
        assert_eq!(refused.ok, Some(false));
        assert!(refused.lever.is_some_and(|l| l.contains("probe")));
    }

    #[test]
    fn what_cannot_be_told_is_not_allowed_and_not_refused() {
        let unknown = Check {
            term: Term::Memory,
            ok: None,
            needed: None,
            have: None,
            text: String::new(),
            lever: None,
        };
        assert_eq!(allowed(std::slice::from_ref(&unknown)), None);
        assert_eq!(allowed(&[unknown, pause(&cost(0.0, 3.0), 1.0)]), Some(false));
        assert_eq!(allowed(&[]), Some(true));
    }
}
