//! What a thread dump means: deadlocks, queues at locks, pools that multiply or grow.

use plimsoll_core::classify::{Cause, Certainty};
use plimsoll_core::units;

use super::build::{Dump, Kind, Locker, Pool, Queue};
use super::{Form, ThreadDumps, names};
use crate::reading::{Finding, GROUPS_KEPT, Group, Report, Source, Tally, Warnings, count, share, steps};

/// Frames of a stack that a report shows.
const SHOWN: usize = 16;
/// Executors of one name, with few threads each, that were hardly meant.
const EXECUTORS: u64 = 20;
/// Threads waiting for one lock, that are worth a finding.
const QUEUE: u64 = 5;
/// Threads of one pool that are worth a finding, whatever the share.
const CROWD: u64 = 500;
/// Or from this count and this share on.
const PART: (u64, f64) = (100, 0.5);
/// Findings of one kind.
const MOST: usize = 5;
/// From this version on a JVM has virtual threads.
const VIRTUAL_SINCE: u32 = 21;

impl ThreadDumps {
    /// What the last dump concludes, with the growth since the first when there are several.
    pub fn report(&self) -> Report {
        let artifact = Source { kind: self.kind(), bytes: self.bytes, truncated: self.truncated.clone() };
        let Some(dump) = self.last() else { return Report { artifact, ..Report::default() } };
        let mut findings: Vec<Finding> = dump.deadlocks.iter().take(MOST).map(|d| deadlock(d)).collect();
        findings.extend(dump.pools.iter().filter_map(|p| self.executors(p)).take(MOST));
        findings.extend(self.growth(dump));
        let queues = dump.queues.iter().filter(|q| q.waiting >= QUEUE).take(MOST);
        findings.extend(queues.map(|q| self.queue(q, dump)));
        findings.extend(dump.pools.iter().filter_map(|p| self.crowd(p, dump)).take(MOST));
        findings.sort_by_key(|f| std::cmp::Reverse(f.certainty));
        let mut warnings = self.warnings.clone();
        self.hazards(dump, &mut warnings);
        Report {
            artifact,
            summary: self.summary(dump, &findings),
            groups: dump.pools.iter().take(GROUPS_KEPT).map(|p| group(p, dump.total)).collect(),
            findings,
            warnings: warnings.list(),
        }
    }

    fn kind(&self) -> String {
        let form = match self.form {
            Form::PySpy => return "stacks of a Python program (py-spy)".to_owned(),
            Form::Hotspot => "Thread.print",
            Form::ToFileText => "Thread.dump_to_file, text",
            Form::ToFileJson => "Thread.dump_to_file, JSON",
        };
        format!("Java thread dump ({form})")
    }

    fn hazards(&self, dump: &Dump, warnings: &mut Warnings) {
        let may = dump.jvm.is_none_or(|v| v >= VIRTUAL_SINCE) || dump.carriers > 0;
        if self.form == Form::Hotspot && may && dump.virtuals == 0 {
            let seen = match dump.carriers {
                0 => String::new(),
                n => format!("; mounted at this moment: {n}"),
            };
            warnings.say(format!(
                "virtual threads are not in this form{seen}: `jcmd PID Thread.dump_to_file -format=json FILE` lists them"
            ));
        }
        if self.form != Form::Hotspot && dump.pools.iter().all(|(_, _, p)| p.states.is_empty()) {
            warnings.say("this JVM's form has no states: deadlocks and queues at locks cannot be told");
        }
    }

    fn summary(&self, dump: &Dump, findings: &[Finding]) -> String {
        let virtuals = match dump.virtuals {
            0 => String::new(),
            n => format!(" ({n} virtual)"),
        };
        let several = if self.dumps.len() > 1 {
            format!("{} dumps; the last: ", self.dumps.len())
        } else {
            String::new()
        };
        let told = match (findings.first(), dump.pools.first()) {
            (Some(f), _) => f.text.clone(),
            (None, Some((name, _, pool))) => {
                let locks = if self.form == Form::PySpy { "locks are not in it" } else { "no deadlock seen" };
                let at = names::own(&pool.stack).map_or_else(String::new, |at| format!(", at {at}"));
                format!("{locks}, no pool stands out, the largest: {} in {name}{at}", pool.count)
            }
            (None, None) => "none told".to_owned(),
        };
        format!("{several}{}{virtuals}; {told}.", count(dump.total, "thread"))
    }

    fn queue(&self, q: &Queue, dump: &Dump) -> Finding {
        let text = format!("{} wait for the lock {} at {}", count(q.waiting, "thread"), q.lock, q.at);
        let holder = q.holder.as_ref().map(|h| h.name.as_str());
        let same = |d: &&Dump| {
            d.queues.iter().any(|o| o.lock == q.lock && o.holder.as_ref().map(|h| h.name.as_str()) == holder)
        };
        let before = self.dumps.iter().filter(|d| !std::ptr::eq(*d, dump)).filter(same).count() as u64;
        let certainty =
            if before > 0 && holder.is_some() { Certainty::Likely } else { Certainty::CannotTell };
        let mut f = Finding::new(certainty, text);
        f = match &q.holder {
            Some(h) => f.because(format!("held by \"{}\" at {}", h.name, h.at)),
            None if q.lock.contains("java.util.concurrent") => f.but(
                "who holds a lock of java.util.concurrent is told only by jstack -l or jcmd PID Thread.print -l",
            ),
            None => f.but("no thread in the dump holds it: it may be passed on just now"),
        };
        f = match before {
            0 => f.but("one dump does not show whether the queue lasts"),
            n => f.because(format!("the same holder keeps it in {}", count(n, "earlier dump"))),
        };
        f.hint("hold the lock for less, or not over input, output and other locks")
    }

    /// Pools that grew by more than counting noise; likely only when they did so at every step of three dumps or more.
    fn growth(&self, last: &Dump) -> Vec<Finding> {
        if self.dumps.len() < 2 {
            return Vec::new();
        }
        let whole = self.truncated.is_none();
        let grown = last.pools.iter().filter_map(|(name, kind, pool)| {
            let counts = self.counts(name, *kind);
            let was = counts.first().copied().unwrap_or(0);
            let more = pool.count.saturating_sub(was);
            let is_growth = more as f64 > 3.0 * ((was + pool.count) as f64).sqrt().max(3.0);
            is_growth.then(|| (more, grew(name, pool, &counts, whole)))
        });
        let mut out: Vec<(u64, Finding)> = grown.collect();
        out.sort_by_key(|(more, _)| std::cmp::Reverse(*more));
        out.truncate(MOST);
        out.into_iter().map(|(_, f)| f).collect()
    }

    /// Many executors of one name, each of a few threads.
    fn executors(&self, (name, _, pool): &(String, Kind, Pool)) -> Option<Finding> {
        let numbered = name.contains("pool-N-thread-N") || name.matches('N').count() > 1;
        if !numbered || pool.executors < EXECUTORS || pool.count > pool.executors * 3 {
            return None;
        }
        let text = format!("{} threads of {name} belong to {} executors", pool.count, pool.executors);
        let f = Finding::new(Certainty::Likely, text)
        .of(Cause::Accumulation)
        .because("each executor has but a few threads: they are made again and again, and not shut down")
        .but("a program that is built of many small executors looks the same: see whether the number grows")
        .hint(match self.form {
            Form::PySpy => "share one executor, or use each in a `with` block",
            _ => "share one executor, or shut each down (close() since JDK 19) where it was made",
        });
        Some(stack(f, pool))
    }

    /// A pool of very many.
    fn crowd(&self, (name, kind, pool): &(String, Kind, Pool), dump: &Dump) -> Option<Finding> {
        let part = share(pool.count, dump.total);
        if *kind == Kind::Jvm || !(pool.count >= CROWD || pool.count >= PART.0 && part >= PART.1) {
            return None;
        }
        let what = if *kind == Kind::Virtual { "virtual threads" } else { "threads" };
        let text = format!("{} {what} of {} are {name}", pool.count, dump.total);
        let mut f = Finding::new(Certainty::CannotTell, text)
            .of(Cause::Accumulation)
            .because(format!("{} of all threads", units::percent(part)));
        f = match self.dumps.len() {
            1 => f.but("one dump does not show growth: a pool of this size may be meant"),
            _ => f.but(format!(
                "a pool of this size may be meant: {} over the dumps",
                steps(&self.counts(name, *kind))
            )),
        };
        if *kind == Kind::Platform {
            let (stacks, hint) = match self.form {
                Form::PySpy => (
                    "outside the heap",
                    "bound the pool (ThreadPoolExecutor with max_workers), and join what is started",
                ),
                _ => (
                    "outside the heap (-Xss; what it touched counts)",
                    "bound the pool (no newCachedThreadPool under load), with a queue that refuses",
                ),
            };
            f = f.because(format!("each holds a stack of its own {stacks}")).hint(hint);
        }
        Some(stack(f, pool))
    }

    /// Threads of a pool in each dump.
    fn counts(&self, name: &str, kind: Kind) -> Vec<u64> {
        let of = |d: &Dump| d.pools.iter().find(|(n, k, _)| n == name && *k == kind).map_or(0, |p| p.2.count);
        self.dumps.iter().map(of).collect()
    }
}

fn grew(name: &str, pool: &Pool, counts: &[u64], whole: bool) -> Finding {
    let steady = counts.is_sorted_by(|a, b| a < b);
    let certainty =
        if counts.len() > 2 && steady && whole { Certainty::Likely } else { Certainty::CannotTell };
    let was = counts.first().copied().unwrap_or(0);
    let text = format!("{name} grew from {was} to {} threads over {} dumps", pool.count, counts.len());
    let f = Finding::new(certainty, text).of(Cause::Accumulation).because("more than chance explains");
    let f = match counts.len() {
        0..3 => f.but("two dumps show no trend: load that rose between them looks the same"),
        _ if steady => f.because(format!("it grew at every step: {}", steps(counts))),
        _ => f.but(format!("not at every step: {}", steps(counts))),
    };
    let f = if whole { f } else { f.but("a dump that is not whole has fewer threads than there were") };
    stack(f.but("a pool that follows the load shrinks again"), pool)
}

fn deadlock(circle: &[Locker]) -> Finding {
    let names: Vec<String> = circle.iter().map(|l| format!("\"{}\"", l.name)).collect();
    let text = format!("deadlock of {}: {}", count(circle.len() as u64, "thread"), names.join(" waits for "));
    let mut f = Finding::new(Certainty::Certain, text);
    for l in circle {
        f = f.because(format!("\"{}\" waits at {}, for a lock that the next one holds", l.name, l.at));
    }
    f.hint("take these locks in one order everywhere, or with a timeout (tryLock)")
}

fn stack(f: Finding, pool: &Pool) -> Finding {
    match names::own(&pool.stack) {
        Some(at) => f.because(format!("{} of {} stand in one stack, at {at}", pool.stack_count, pool.count)),
        None => f,
    }
}

fn group((name, kind, pool): &(String, Kind, Pool), total: u64) -> Group {
    let mut states: Vec<Tally> =
        pool.states.iter().map(|(name, &count)| Tally { name: name.clone(), count }).collect();
    states.sort_by_key(|s| std::cmp::Reverse(s.count));
    let kind = match kind {
        Kind::Platform => "",
        Kind::Virtual => " (virtual)",
        Kind::Jvm => " (of the JVM)",
    };
    Group {
        count: pool.count,
        share: share(pool.count, total),
        name: Some(format!("{name}{kind}")),
        state: states.first().map(|s| s.name.clone()),
        top: names::own(&pool.stack).cloned().unwrap_or_else(|| name.clone()),
        stack: pool.stack.iter().take(SHOWN).cloned().collect(),
        states,
        ..Group::default()
    }
}
