//! The findings of a collection log, the weightiest first.

use plimsoll_core::classify::{Cause, Certainty};
use plimsoll_core::units::{bytes, duration, percent, rate};

use super::conclude::{BRIEF, Judged, Motion, Times, cause, had, is_heavy, is_tight, slope};
use super::event::{Collector, Mishap};
use super::floor::Floor;
use crate::reading::{Context, Finding, count};

/// How to get exact points where there are too few.
const ASK: &str = "take one replica out of traffic, run `jcmd PID GC.run` on it three times some minutes apart, and \
                   read the log again: each is one exact floor point";
/// A steeper rise of the share of pauses than this is a trend.
const WORSE: f64 = 2.0;
/// Seconds of a life that may be all start.
const STARTING: f64 = 30.0;
/// A heap that was committed and is not used: the part above which it is told.
const IDLE: f64 = 0.5;
/// The part of what was committed that was given back from which on it is told.
const GIVEN_BACK: f64 = 0.1;
/// A floor that fell by this part of where it is now is not called flat.
const FELL: f64 = 0.1;
/// Bytes per second above which garbage is made fast.
const FAST: f64 = 256.0 * 1_048_576.0;
/// Metaspace that grew by this part and by so many bytes grew.
const META: (f64, f64) = (0.15, 8.0 * 1_048_576.0);
/// The part of the heap in humongous objects that is told.
const HUMONGOUS: f64 = 0.2;

/// Everything that is concluded of the newest life, and over all.
pub(super) fn all(
    now: &Judged<'_>,
    lives: &[Judged<'_>],
    to_max: Option<Times>,
    to_limit: Option<Times>,
    context: &Context,
) -> Vec<Finding> {
    let mut out = Vec::new();
    out.extend(too_small(now));
    // When collecting is what the program does, that comes first.
    let (first, then) = if is_heavy(now) { (load(now), None) } else { (None, load(now)) };
    out.extend(first);
    out.push(floor(now, to_max, to_limit, context));
    out.extend(over_lives(lives));
    out.extend(then);
    out.extend(mishaps(now));
    out.extend(explicit(now));
    out.extend(metaspace(now));
    out.extend(humongous(now));
    out.extend(committed(now));
    out
}

/// The floor: what it does, and what follows.
fn floor(now: &Judged<'_>, to_max: Option<Times>, to_limit: Option<Times>, context: &Context) -> Finding {
    let f = match &now.floor {
        Ok(f) => f,
        Err(why) => {
            return Finding::new(
                Certainty::CannotTell,
                format!("cannot tell yet whether the floor climbs: {why}"),
            )
            .of(Cause::Undecided)
            .hint(more(now));
        }
    };
    let motion = now.motion().unwrap_or(Motion::Unclear);
    let (of, certainty) = cause(motion);
    let basis = format!("{} points over {}: {}", f.points, duration(f.span), f.basis.name());
    let finding = match motion {
        Motion::Climbs => climbs(now, f, to_max, to_limit),
        Motion::Perhaps | Motion::Unclear => unclear(now, f, motion),
        Motion::SoFar => so_far(f),
        Motion::Still => still(now, f, context),
    };
    let mut finding = Finding { certainty, ..finding }.of(of);
    finding.pro.insert(0, basis);
    finding
}

fn climbs(now: &Judged<'_>, f: &Floor, to_max: Option<Times>, to_limit: Option<Times>) -> Finding {
    let mut text = format!("the floor climbs by {}", slope(f.slope));
    if let (Some(t), Some((bound, said))) = (to_max, now.bound()) {
        let what = if said { "the heap's bound" } else { "what was committed so far" };
        text += &format!("; {what} of {} is reached in {}", bytes(bound), times(t));
    }
    if let Some(t) = to_limit {
        text += &format!("; the container's limit by the heap alone in {}", times(t));
    }
    let mut out = Finding::new(Certainty::Likely, text)
        .because(format!(
            "the floor is at {} and the whole interval of its slope is above zero",
            bytes(f.level)
        ))
        .hint(format!(
            "take a {} now and one later, and let `plimsoll read diff` name what grew",
            picture(now)
        ));
    if f.points < 8 {
        out = out.but(format!("only {} points", f.points));
    }
    out.but("a cache that still fills climbs the same way until it is full")
}

/// What shows who holds the memory.
fn picture(now: &Judged<'_>) -> &'static str {
    match now.life.collector {
        Some((Collector::Go, _)) => "heap profile",
        Some((Collector::V8, _)) => "heap snapshot",
        _ => "heap dump",
    }
}

fn unclear(now: &Judged<'_>, f: &Floor, motion: Motion) -> Finding {
    let text = if f.basis.is_bound() && motion == Motion::Perhaps {
        format!(
            "cannot tell whether the floor climbs: by at most {}, and garbage explains that too",
            slope(f.slope)
        )
    } else {
        format!("cannot tell whether the floor climbs: {}", slope(f.slope))
    };
    let out = Finding::new(Certainty::CannotTell, text).hint(more(now));
    if f.basis.is_bound() {
        out.but("what young collections leave holds garbage of the old generation: an upper bound only")
    } else if f.slope.low > 0.0 && !f.goes_on {
        out.but("it climbed at first and hardly since, as in a start or while a cache fills")
    } else if f.slope.low > 0.0 && f.span < BRIEF {
        out.but("within so short a time any program fills its heap: it starts")
    } else if f.slope.low > 0.0 {
        out.but("few points, or a climb that is small beside how far they may be off")
    } else {
        out.but("the interval of the slope is too wide for the time that the log covers")
    }
}

fn so_far(f: &Floor) -> Finding {
    let most = rate(f.slope.high.max(0.0));
    let text = format!(
        "no climb of the floor to be seen in {}; one of up to {most} would not show yet",
        duration(f.span)
    );
    Finding::new(Certainty::CannotTell, text)
        .because(format!("the floor is at {} and its slope {}", bytes(f.level), slope(f.slope)))
        .hint("let it run longer and read the log again: the bound falls with the time")
}

fn still(now: &Judged<'_>, f: &Floor, context: &Context) -> Finding {
    let churns = now.numbers.allocation_bytes_per_second.filter(|r| *r > FAST);
    let fell = f.slope.high < 0.0 && -f.slope.mid * f.span > FELL * f.level;
    let how = if fell { "falls, and is" } else { "is flat" };
    let mut text = format!("the floor {how} at {}", bytes(f.level));
    if let Some(r) = churns {
        text += &format!("; the program makes garbage at {}", rate(r));
    }
    text += "; if the resident memory climbs, look outside the heap";
    let mut out = Finding::new(Certainty::Likely, text).because(format!("its slope is {}", slope(f.slope)));
    if let (Some(rss), Some([_, _, committed])) = (context.rss, now.numbers.committed_bytes)
        && rss as f64 > 1.5 * committed
    {
        out = out.because(format!(
            "{} are resident and only {} committed",
            bytes(rss as f64),
            bytes(committed)
        ));
    }
    if f.slope.high > 0.0 {
        out = out.but(format!("a climb slower than {} would not be seen", rate(f.slope.high)));
    }
    out
}

fn times(t: Times) -> String {
    let latest = t.latest.map_or_else(|| "never".to_owned(), duration);
    format!("{} ({} to {latest})", duration(t.likely), duration(t.soonest))
}

/// How to get more points.
fn more(now: &Judged<'_>) -> String {
    match now.life.collector.map(|(c, _)| c) {
        Some(Collector::V8 | Collector::Go) => "let it run longer and read the log again".to_owned(),
        Some(
            Collector::Z
            | Collector::GenerationalZ
            | Collector::Shenandoah
            | Collector::GenerationalShenandoah,
        ) => "let it run longer, with -Xlog:gc* instead of -Xlog:gc, and read the log again".to_owned(),
        Some(Collector::Epsilon) => "Epsilon never collects: the heap only fills".to_owned(),
        _ => ASK.to_owned(),
    }
}

/// A floor that leaves no room, or collections that gain nothing.
fn too_small(now: &Judged<'_>) -> Option<Finding> {
    let (f, (bound, _)) = (now.floor.as_ref().ok()?, now.bound()?);
    if !is_tight(now) {
        return None;
    }
    let heavy = is_heavy(now);
    let certainty = if heavy { Certainty::Certain } else { Certainty::Likely };
    let climbs = now.motion() == Some(Motion::Climbs);
    let (of, why) = if climbs {
        (Cause::Retention, "the floor has climbed to the heap's bound")
    } else {
        (Cause::OverBudget, "the heap is too small for what lives in it")
    };
    let mut out = Finding::new(certainty, format!("{why}: {} of {} are alive", bytes(f.level), bytes(bound)))
        .of(of)
        .because(format!("{} points: {}", f.points, f.basis.name()));
    if heavy {
        let share = now.numbers.pause_share_by_half.map_or(0.0, |[_, b]| b);
        out = out.because(format!("{} of the time went into pauses in the second half", percent(share)));
    }
    Some(out.hint("raise -Xmx if the container has room, else find what holds it by a heap dump"))
}

/// The floor at the same uptime, over the lives.
fn over_lives(lives: &[Judged<'_>]) -> Option<Finding> {
    let process = &lives.last()?.life.process;
    let lives: Vec<&Judged<'_>> = lives.iter().filter(|j| j.life.process == *process).collect();
    let climbing = lives.iter().filter(|j| j.motion() == Some(Motion::Climbs)).count();
    if lives.len() < 2 || climbing == 0 {
        return None;
    }
    let text = format!("{}: the floor climbs in {climbing} of them", count(lives.len() as u64, "life"));
    let text = text.replace("lifes", "lives");
    let certain = climbing >= 3 && climbing == lives.len();
    let certainty = if certain { Certainty::Certain } else { Certainty::Likely };
    let out = Finding::new(certainty, text).of(Cause::Retention);
    Some(out.because("each restart takes the level back, not the slope"))
}

/// The share of time in pauses, and whether it rises.
fn load(now: &Judged<'_>) -> Option<Finding> {
    let [a, b] = now.numbers.pause_share_by_half?;
    if b < 0.02 {
        return None;
    }
    let rises = b > WORSE * a;
    let words = if rises { "and rising" } else { "about as before" };
    let text =
        format!("{} of the time goes into pauses, {words} ({} in the first half)", percent(b), percent(a));
    let still = now.motion() == Some(Motion::Still);
    let (full, all) = (now.numbers.full_collections, now.numbers.collections);
    let gains_little = 2 * full > all;
    let (certainty, of) = match (is_heavy(now), still) {
        (true, _) if now.life.seconds() < STARTING => (Certainty::CannotTell, Cause::Undecided),
        (true, _) if gains_little => (Certainty::Likely, Cause::OverBudget),
        (true, true) => (Certainty::Likely, Cause::Churn),
        (true, false) => (Certainty::Likely, Cause::Undecided),
        _ => (Certainty::CannotTell, Cause::None),
    };
    let mut out = Finding::new(certainty, text).of(of).because(format!(
        "{} in all, the longest {}",
        seconds(now.numbers.pause_seconds),
        seconds(now.numbers.longest_pause_seconds)
    ));
    if let Some(r) = now.numbers.allocation_bytes_per_second {
        out = out.because(format!("the program allocates {}", rate(r)));
    }
    if now.life.seconds() < STARTING {
        out = out.but("the log covers no more than a start, which collects much");
    }
    if gains_little {
        out =
            out.because(format!("{full} of {all} collections were of the whole heap: they gain too little"));
    }
    Some(out)
}

/// Short times keep their milliseconds.
fn seconds(s: f64) -> String {
    if s < 10.0 { format!("{:.0} ms", s * 1e3) } else { duration(s) }
}

fn mishaps(now: &Judged<'_>) -> Vec<Finding> {
    let mut out: Vec<Finding> = now
        .life
        .mishaps
        .iter()
        .map(|m| {
            let took =
                if m.seconds > 0.0 { format!(", {} of waiting", seconds(m.seconds)) } else { String::new() };
            let last = m.last.map_or_else(String::new, |t| format!(", last at {t:.0} s"));
            let of = if m.what == Mishap::Stall { Cause::OverBudget } else { Cause::Undecided };
            Finding::new(
                Certainty::Likely,
                format!("{}: {}{took}{last}", m.what.name(), count(m.count, "time")),
            )
            .of(of)
            .because("the collector had no room to work in")
            .hint("more heap, or less allocation; it is a retention only when the floor climbs")
        })
        .collect();
    let full = now.life.counts.full - now.life.counts.explicit.min(now.life.counts.full);
    let quiet =
        matches!(now.life.collector, Some((Collector::Serial | Collector::Parallel | Collector::V8, _)));
    if full > 0 && !quiet && had(now.life, Mishap::ConcurrentMode).is_none() {
        let last = now.life.last_full.map_or_else(String::new, |t| format!(", the last at {t:.0} s"));
        let text = format!("{} that nobody asked for{last}", count(full, "full collection"));
        out.push(Finding::new(Certainty::Likely, text).of(Cause::Undecided).because(
            "this collector falls back to a full collection only when it cannot keep up or has no room",
        ));
    }
    if now.life.counts.degenerated > 0 {
        let text = count(now.life.counts.degenerated, "degenerated collection");
        out.push(
            Finding::new(Certainty::Likely, text)
                .of(Cause::Undecided)
                .because("allocation was faster than the cycle beside the program"),
        );
    }
    out
}

fn explicit(now: &Judged<'_>) -> Option<Finding> {
    let n = now.life.counts.explicit;
    (n > 0).then(|| {
        let text =
            format!("{} asked for by the program or a person (System.gc(), jcmd)", count(n, "collection"));
        Finding::new(Certainty::CannotTell, text).of(Cause::None)
    })
}

fn metaspace(now: &Judged<'_>) -> Option<Finding> {
    let (first, last) = now.numbers.metaspace_bytes?;
    (last > first * (1.0 + META.0) && last - first > META.1).then(|| {
        let text = format!("metaspace grew from {} to {}", bytes(first), bytes(last));
        Finding::new(Certainty::CannotTell, text)
            .of(Cause::Undecided)
            .because("classes are loaded and not unloaded")
            .but("classes are loaded for as long as a program starts")
    })
}

fn humongous(now: &Judged<'_>) -> Option<Finding> {
    let (most, (bound, _)) = (now.numbers.humongous_bytes?, now.bound()?);
    (most > HUMONGOUS * bound).then(|| {
        let text = format!(
            "objects of half a region or more held up to {}, {} of the heap",
            bytes(most),
            percent(most / bound)
        );
        Finding::new(Certainty::CannotTell, text)
            .of(Cause::Undecided)
            .because("G1 gives each of them whole regions and moves them never or late")
            .hint("a larger -XX:G1HeapRegionSize, or smaller buffers")
    })
}

/// Whether what is committed is in use, or given back.
fn committed(now: &Judged<'_>) -> Option<Finding> {
    let n = &now.numbers;
    let most = n.committed_bytes.map_or(n.heap_peak_bytes, |[_, most, _]| most);
    if let Some(back) = n.given_back_bytes.filter(|back| *back > GIVEN_BACK * most) {
        let now =
            n.committed_bytes.map_or_else(String::new, |[_, _, last]| format!(", {} are left", bytes(last)));
        let text = format!("{} of committed heap were given back to the system{now}", bytes(back));
        return Some(Finding::new(Certainty::CannotTell, text).of(Cause::None));
    }
    let ([_, _, last], used) = (n.committed_bytes?, n.lately_used_bytes?);
    (last - used > IDLE * last).then(|| {
        let text = format!(
            "{} are committed, of which no more than {} were in use in the last quarter of the log",
            bytes(last),
            bytes(used)
        );
        let finding = Finding::new(Certainty::CannotTell, text).of(Cause::None);
        let finding = if n.heap_peak_bytes - used > IDLE * used {
            let most = bytes(n.heap_peak_bytes);
            let finding =
                finding.because(format!("{most} were in use before: it is resident until it is given back"));
            match keeps(now.life.collector.map(|(collector, _)| collector)) {
                Some(hint) => finding.hint(hint),
                None => finding,
            }
        } else {
            finding.because("it was never needed: -Xms, or what the collector began with")
        };
        finding.but("only touched pages are resident")
    })
}

/// What has a collector give back memory while the program is idle.
fn keeps(collector: Option<Collector>) -> Option<&'static str> {
    match collector? {
        Collector::G1 => Some("-XX:G1PeriodicGCInterval=60000 has G1 give it back while the program is idle"),
        Collector::Serial | Collector::Parallel | Collector::Cms => Some(
            "a lower -XX:MaxHeapFreeRatio gives some back after full collections, a lower -Xmx all of it",
        ),
        _ => None,
    }
}

/// What to know before the numbers are believed.
pub(super) fn warnings(now: &Judged<'_>) -> Vec<String> {
    let life = now.life;
    let mut out = Vec::new();
    let jvm = life.collector.is_none_or(|(c, _)| c.is_jvm());
    if let Some(id) = life.first_id.filter(|id| *id > u64::from(!jvm)) {
        out.push(format!("the log begins with collection {id}: what was before was rotated away or cut"));
    }
    if jvm && life.step >= 1_048_576.0 {
        out.push("sizes are rounded to 1 MiB (-Xlog:gc* tells more than -Xlog:gc)".to_owned());
    }
    if jvm && life.collector.is_some_and(|(_, named)| !named) {
        out.push("the collector is not named: told by the wording of its lines".to_owned());
    }
    if jvm && let Some((v, false)) = now.bound() {
        out.push(format!("the heap's bound is not in the log: {} is the most that was committed", bytes(v)));
    }
    if life.span.is_none() {
        out.push("no line has a time: no slope and no shares".to_owned());
    }
    out
}
