//! Node.js from outside: the output of `--trace-gc` where it goes to a file. No signal is sent and no
//! inspector is opened.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};

use plimsoll_core::fact::{Fact, Reading};
use plimsoll_core::recording::Observation;
use plimsoll_core::target::{RuntimeKind, Target};
use plimsoll_read::v8_trace_gc::{self, Kind};

use super::{Absent, Pace, Source, SourceKind};
use crate::world::World;

/// The entry of the registry.
pub(super) const KIND: SourceKind = SourceKind {
    name: "v8 --trace-gc",
    facts: FACTS,
    pace: Pace::EveryTick,
    open: |world, target| (target.runtime == RuntimeKind::Node).then(|| open(world, target)),
};

const FACTS: &[Fact] = &[
    Fact::V8Live,
    Fact::V8HeapUsed,
    Fact::V8HeapTotal,
    Fact::V8MarkCompacts,
    Fact::V8Scavenges,
    Fact::V8HeapLimit,
];

/// Bytes read per tick at most: a chatty log must not hold up the sampling.
const LARGEST: u64 = 1024 * 1024;
const MIB: f64 = 1024.0 * 1024.0;

struct TraceGc {
    log: File,
    /// A line that is not complete yet.
    rest: Vec<u8>,
    mark_compacts: f64,
    scavenges: f64,
    limit: Option<f64>,
}

fn open(world: &World, target: &Target) -> Box<dyn Source> {
    let why = if target.flags.iter().any(|f| f.starts_with("--trace-gc")) {
        "--trace-gc does not write to a file that can be followed"
    } else {
        "run with --trace-gc to a file, or export nodejs_heap metrics"
    };
    let path = world.proc_root.join(target.pid.to_string()).join("fd/1");
    let traced = target.flags.iter().any(|f| f.starts_with("--trace-gc"));
    let regular = std::fs::metadata(&path).is_ok_and(|m| m.is_file());
    match File::open(&path) {
        Ok(log) if traced && regular => Box::new(TraceGc {
            log,
            rest: Vec::new(),
            mark_compacts: 0.0,
            scavenges: 0.0,
            limit: limit(target),
        }),
        _ => Absent::boxed(FACTS, why),
    }
}

/// `--max-old-space-size` in MiB.
fn limit(target: &Target) -> Option<f64> {
    let flag = |f: &String| {
        f.strip_prefix("--max-old-space-size=").or(f.strip_prefix("--max_old_space_size="))?.parse().ok()
    };
    target.flags.iter().find_map(flag).map(|mib: f64| mib * MIB)
}

impl TraceGc {
    fn read(&mut self) -> io::Result<()> {
        // The file was cut (rotated in place): start again.
        if self.log.metadata()?.len() < self.log.stream_position()? {
            self.log.seek(SeekFrom::Start(0))?;
        }
        self.log.by_ref().take(LARGEST).read_to_end(&mut self.rest)?;
        Ok(())
    }

    fn lines(&mut self, out: &mut Observation) {
        let end = self.rest.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
        let complete: Vec<u8> = self.rest.drain(..end).collect();
        // A line without an end is no line of ours.
        self.rest.truncate(LARGEST as usize);
        for c in
            complete.split(|b| *b == b'\n').filter_map(|l| v8_trace_gc::line(std::str::from_utf8(l).ok()?))
        {
            match c.kind {
                Kind::MarkCompact => {
                    self.mark_compacts += 1.0;
                    out.known(Fact::V8Live, c.after);
                }
                Kind::Scavenge => self.scavenges += 1.0,
            }
            out.known(Fact::V8HeapUsed, c.after);
            out.known(Fact::V8HeapTotal, c.committed);
        }
    }
}

impl Source for TraceGc {
    fn sample(&mut self, out: &mut Observation) {
        if let Err(e) = self.read() {
            return out.put(Fact::V8HeapUsed, Reading::unknown(format!("failed to follow --trace-gc: {e}")));
        }
        self.lines(out);
        out.known(Fact::V8MarkCompacts, self.mark_compacts);
        out.known(Fact::V8Scavenges, self.scavenges);
        match self.limit {
            Some(limit) => out.known(Fact::V8HeapLimit, limit),
            None => out
                .put(Fact::V8HeapLimit, Reading::unknown("no --max-old-space-size: V8 chose the cap itself")),
        }
    }
}
