//! All goroutines of a running program. They move while they are read: each is read before and after its stack, and
//! counts only when both say the same.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::batch::{self, Wanted};
use super::layout::{PC, RECORD, SP, STACK_HIGH, STACK_LOW};
use super::unwind::Chain;
use super::{Program, Refusal};
use crate::core_file::{u32_at, u64_at};
use crate::goroutines::{Frame, Goroutines, One, Parked, Table, Wait};
use crate::reading::{Warnings, count};

/// Goroutines that are read together.
const BATCH: u64 = 4096;
/// Times that what moved is read again, and how many are.
const TRIES: usize = 3;
const MOVING: usize = 1 << 16;
/// More records are no list of goroutines.
const MOST: u64 = 1 << 28;
/// Bytes of a stack that are read: deeper ones are recursions.
const STACK: u64 = 64 << 10;
/// Largest stack that Go allows.
const LARGEST_STACK: u64 = 1 << 30;
/// States of a goroutine, and the mark that the collector looks at it.
const RUNNABLE: u32 = 1;
const RUNNING: u32 = 2;
const SYSCALL: u32 = 3;
const WAITING: u32 = 4;
const DEAD: u32 = 6;
const PREEMPTED: u32 = 9;
const LEAKED: u32 = 10;
const DEAD_EXTRA: u32 = 11;
const SCANNED: u32 = 0x1000;
const MINUTE: u64 = 60_000_000_000;
/// Functions of the runtime that run what the program gave them.
const OF_THE_PROGRAM: &[&str] = &["runtime.main", "runtime.corostart", "runtime.handleAsyncEvent"];
/// Those of the runtime that do so at times: not while they wait for the next.
const AT_TIMES: &[&str] = &["runtime.runfinq", "runtime.runFinalizers", "runtime.runCleanups"];
const RESTS: &[&str] = &["finalizer wait", "cleanup wait"];

/// How many goroutines there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Census {
    /// The program's own, living.
    pub living: u64,
    /// The runtime's own.
    pub system: u64,
    /// Ended: their records wait to be used again.
    pub dead: u64,
}

/// What is read of a goroutine's record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Record {
    status: u32,
    id: u64,
    reason: u8,
    since: u64,
    sp: u64,
    pc: u64,
    low: u64,
    high: u64,
    creator: u64,
    start: u64,
}

impl Record {
    /// Whether it says the same of where it stands.
    fn stands_as(&self, other: &Record) -> bool {
        // The collector writes since when it waits.
        Record { since: 0, ..*self } == Record { since: 0, ..*other }
    }

    /// Whether the words can be a goroutine's.
    fn is_sane(&self, marks_leaks: bool) -> bool {
        let known = match self.status {
            LEAKED | DEAD_EXTRA => marks_leaks,
            status => status <= PREEMPTED,
        };
        let dead = matches!(self.status, 0 | DEAD | DEAD_EXTRA);
        let stack = self.low < self.high && self.high - self.low <= LARGEST_STACK;
        known && (dead || self.id > 0 && stack)
    }

    /// Whether its stack stands still and can be followed.
    fn can_be_followed(&self) -> bool {
        let stands = matches!(self.status, RUNNABLE | SYSCALL | WAITING | PREEMPTED | LEAKED);
        stands && self.sp >= self.low && self.sp < self.high && self.sp.is_multiple_of(8)
    }
}

impl Program {
    /// Counts goroutines without a look at their stacks.
    ///
    /// # Errors
    /// When its memory cannot be read, or holds no goroutines of this version.
    pub fn census(&mut self) -> Result<Census, Refusal> {
        let mut walk = Walk::new(self, None);
        walk.all(|walk, pointers| {
            let records = walk.records(pointers);
            walk.sorted_out(&records);
            true
        })?;
        Ok(walk.census)
    }

    /// Groups all goroutines. `now` is the machine's monotonic time, nanoseconds, from which the waits are told;
    /// `goes_on` is asked from time to time.
    ///
    /// # Errors
    /// When its memory cannot be read, or holds no goroutines of this version.
    pub fn goroutines(
        &mut self,
        now: Option<u64>,
        mut goes_on: impl FnMut() -> bool,
    ) -> Result<Goroutines, Refusal> {
        let mut walk = Walk::new(self, now);
        let mut moving = Vec::new();
        walk.all(|walk, pointers| {
            moving.extend(walk.read(pointers, true));
            if moving.len() > MOVING {
                walk.moved(moving.split_off(MOVING));
            }
            goes_on()
        })?;
        for _ in 0..TRIES {
            let tried: Vec<u64> = moving.iter().map(|(at, _)| *at).collect();
            moving = tried.chunks(BATCH as usize).flat_map(|c| walk.read(c, false)).collect();
        }
        walk.moved(moving);
        Ok(walk.finish())
    }
}

/// A record's address, and what it last said.
type Moving = (u64, Record);

/// A walk over all goroutines.
struct Walk<'p> {
    program: &'p mut Program,
    now: Option<u64>,
    table: Table,
    census: Census,
    seen: u64,
    bad: u64,
    moved: u64,
    cut: u64,
    stopped: bool,
}

impl<'p> Walk<'p> {
    fn new(program: &'p mut Program, now: Option<u64>) -> Self {
        let (table, census) = (Table::default(), Census::default());
        Walk { program, now, table, census, seen: 0, bad: 0, moved: 0, cut: 0, stopped: false }
    }

    /// Hands out the addresses of all records in batches, until one says that it is enough.
    fn all(&mut self, mut each: impl FnMut(&mut Self, &[u64]) -> bool) -> Result<(), Refusal> {
        let mut from = 0;
        loop {
            // The list only grows, and moves when it does.
            let records = self.program.records()?.min(MOST);
            let list = self.program.word(self.program.globals.list).filter(|list| *list > 0);
            let (Some(list), true) = (list, from < records) else { break };
            let size = 8 * BATCH.min(records - from);
            let bytes = super::elf::bytes(self.program.memory.as_ref(), list.saturating_add(8 * from), size);
            if bytes.is_empty() {
                return Err(Refusal::Memory("the list of goroutines"));
            }
            let pointers: Vec<u64> =
                bytes.chunks_exact(8).filter_map(|w| u64_at(w, 0)).filter(|p| *p > 0).collect();
            if !each(self, &pointers) {
                self.stopped = true;
                break;
            }
            if self.bad * 10 > self.seen {
                let (bad, seen, version) = (self.bad, self.seen, self.program.version.clone());
                return Err(Refusal::Layout { bad, seen, version });
            }
            from += BATCH;
        }
        // The first goroutine of a program lives as long as it does.
        (self.seen > 0).then_some(()).ok_or(Refusal::Missing("a goroutine"))
    }

    fn records(&self, pointers: &[u64]) -> Vec<Option<Record>> {
        let mut out = vec![None; pointers.len()];
        let wanted = |(number, at): (usize, &u64)| Wanted { at: *at, size: RECORD as u64, number };
        let layout = self.program.layout;
        batch::read(
            self.program.memory.as_ref(),
            pointers.iter().enumerate().map(wanted).collect(),
            |number, bytes| {
                if let Some(slot) = out.get_mut(number) {
                    *slot = record(bytes, layout);
                }
            },
        );
        out
    }

    /// Counts what needs no stack; what is left are the program's own living goroutines.
    fn sorted_out(&mut self, records: &[Option<Record>]) -> Vec<Option<Record>> {
        let mut out = vec![None; records.len()];
        for (slot, record) in out.iter_mut().zip(records) {
            self.seen += 1;
            match record.filter(|r| r.is_sane(self.program.layout.marks_leaks)) {
                None => self.bad += 1,
                Some(r) if self.is_counted_only(&r) => {}
                Some(r) => {
                    self.census.living += 1;
                    *slot = Some(r);
                }
            }
        }
        out
    }

    fn is_counted_only(&mut self, r: &Record) -> bool {
        if matches!(r.status, 0 | DEAD | DEAD_EXTRA) {
            self.census.dead += 1;
            return true;
        }
        let reason = self.program.layout.reason(r.reason).unwrap_or("");
        let start = self.program.unwinder.start(r.start);
        let busy = AT_TIMES.contains(&start) && !(r.status == WAITING && RESTS.contains(&reason));
        let system = start.starts_with("runtime.") && !OF_THE_PROGRAM.contains(&start) && !busy;
        self.census.system += u64::from(system);
        system
    }

    /// Reads goroutines with their stacks; what moved meanwhile is handed back.
    fn read(&mut self, pointers: &[u64], first: bool) -> Vec<Moving> {
        let records = self.records(pointers);
        let before = if first { self.sorted_out(&records) } else { records };
        let mut wanted = Vec::new();
        for (number, r) in before.iter().enumerate() {
            if let Some(r) = r.filter(Record::can_be_followed) {
                wanted.push(Wanted { at: r.sp, size: (r.high - r.sp).min(STACK), number });
            }
        }
        let mut chains: Vec<Option<Chain>> = vec![None; pointers.len()];
        let unwinder = &mut self.program.unwinder;
        batch::read(self.program.memory.as_ref(), wanted, |number, bytes| {
            if let (Some(Some(r)), Some(slot)) = (before.get(number), chains.get_mut(number)) {
                *slot = Some(unwinder.chain(r.pc, bytes));
            }
        });
        let after = self.records(pointers);
        let mut moving = Vec::new();
        for (((at, before), after), chain) in pointers.iter().zip(before).zip(after).zip(chains) {
            let Some(was) = before else { continue };
            match (after, chain) {
                // It runs: what it does now is nowhere in memory.
                (Some(is), None) if is.status == RUNNING => self.add(&is, None),
                (Some(is), Some(chain)) if is.stands_as(&was) => self.add(&is, Some(&chain)),
                (after, _) => moving.push((*at, after.unwrap_or(was))),
            }
        }
        moving
    }

    /// Adds what never stood still: it runs, or did so in between.
    fn moved(&mut self, moving: Vec<Moving>) {
        for (_, r) in moving {
            if matches!(r.status, DEAD | DEAD_EXTRA) {
                self.census.living = self.census.living.saturating_sub(1);
                continue;
            }
            self.moved += 1;
            self.add(&Record { status: RUNNING, ..r }, None);
        }
    }

    fn add(&mut self, r: &Record, chain: Option<&Chain>) {
        let state = self.state(r);
        let since = self.now.filter(|_| r.since > 0 && matches!(r.status, WAITING | SYSCALL | LEAKED));
        let minutes = since.map(|now| now.saturating_sub(r.since) / MINUTE).filter(|m| *m > 0);
        let unwinder = &mut self.program.unwinder;
        // Nobody started the first one.
        let creator = if r.id > 1 { unwinder.creator(r.creator) } else { None };
        let mut hash = DefaultHasher::new();
        (state, &creator, r.status == LEAKED).hash(&mut hash);
        hash.write_u64(chain.map_or(0, |c| unwinder.hash(c)));
        self.cut += u64::from(chain.is_some_and(|c| !c.whole));
        let one = One { count: 1, leaked: r.status == LEAKED, minutes, labels: &[] };
        self.table.add(hash.finish(), one, || {
            let frames: Vec<Frame> = chain.map(|c| unwinder.frames(c)).unwrap_or_default();
            Parked::new(Wait::of_words(state, &frames), Some(state.to_owned()), frames, creator)
        });
    }

    /// As a dump has it.
    fn state(&self, r: &Record) -> &'static str {
        let reason = self.program.layout.reason(r.reason).filter(|r| !r.is_empty());
        match r.status {
            WAITING | LEAKED => reason.map_or("waiting", |r| r.strip_suffix(" (durable)").unwrap_or(r)),
            RUNNABLE => "runnable",
            SYSCALL => "syscall",
            PREEMPTED => "preempted",
            _ => "running",
        }
    }

    fn finish(self) -> Goroutines {
        let mut warnings = Warnings::default();
        if self.moved > 0 {
            let n = count(self.moved, "goroutine");
            warnings.say(format!(
                "{n} never stood still while they were read: they run, their stacks are unknown"
            ));
        }
        if self.cut > 0 {
            let n = count(self.cut, "stack");
            warnings.say(format!("{n} could not be followed to the end: deep recursions, or calls from C"));
        }
        if self.bad > 0 {
            warnings.say(format!("{} could not be read", count(self.bad, "record of a goroutine")));
        }
        let stopped = self.stopped.then(|| "reading was stopped before all goroutines were seen".to_owned());
        let said = (!self.stopped).then_some(self.census.living);
        Goroutines::outside(said, self.table, stopped, &warnings)
    }
}

fn record(bytes: &[u8], l: &super::layout::Layout) -> Option<Record> {
    let word = |at| u64_at(bytes, at);
    let syscall = word(l.syscall_sp)?;
    // A call of the system has left the scheduler's own note behind.
    let (sp, pc) = if syscall > 0 { (syscall, word(l.syscall_pc)?) } else { (word(SP)?, word(PC)?) };
    Some(Record {
        status: u32_at(bytes, l.status)? & !SCANNED,
        id: word(l.id)?,
        reason: *bytes.get(l.reason)?,
        since: word(l.since)?,
        sp,
        pc,
        low: word(STACK_LOW)?,
        high: word(STACK_HIGH)?,
        creator: word(l.creator)?,
        start: word(l.start)?,
    })
}
