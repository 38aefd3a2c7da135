//! Cores among the other artifacts: what one tells by itself, and the next command to run.

use std::io::Read;

use plimsoll_core::classify::{Cause, Certainty};
use plimsoll_core::units::bytes;
use serde::Serialize;

use super::{Core, Segment, Signal, is_core, read};
use crate::formats::{Kind, Reading};
use crate::reading::{Context, Finding, Report, Source, Table, count, grew, numbers};

/// Rows of the table.
const ROWS: usize = 12;

/// What a core says.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CoreReport {
    /// What every reading says.
    #[serde(flatten)]
    pub head: Report,
    /// The program, as the kernel names it.
    pub program: Option<String>,
    /// The process.
    pub pid: Option<u32>,
    /// The signal's number.
    pub signal: Option<u32>,
    /// Threads.
    pub threads: u64,
    /// Memory that was mapped, bytes.
    pub memory_bytes: u64,
    /// Memory of it that is in the file, bytes.
    pub kept_bytes: u64,
    /// Memory in the file that is of no mapped file, bytes.
    pub anonymous_bytes: u64,
    /// Bytes that a whole file would have.
    pub expected_file_bytes: u64,
    /// Pieces of memory, the largest in the file first.
    pub largest: Vec<Piece>,
}

/// A piece of memory.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Piece {
    /// First address, in hexadecimal.
    pub address: String,
    /// Bytes in memory.
    pub bytes: u64,
    /// Bytes in the file.
    pub kept_bytes: u64,
    /// The file that it is of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

fn size(n: u64) -> String {
    bytes(n as f64)
}

impl Core {
    /// The file at an address.
    fn path(&self, at: u64) -> Option<&str> {
        let next = self.files.partition_point(|f| f.start <= at);
        let file = self.files.get(next.checked_sub(1)?).filter(|f| at < f.end)?;
        Some(&file.path)
    }

    fn has_file(&self, name: &str) -> bool {
        self.files.iter().any(|f| f.path.rsplit('/').next().is_some_and(|base| base.starts_with(name)))
    }

    /// The program's own file: the one that is called like it, else the first.
    fn executable(&self) -> Option<&str> {
        let program = self.program.as_deref().unwrap_or("\0");
        let own = self
            .files
            .iter()
            .find(|f| f.path.rsplit('/').next().is_some_and(|base| base.starts_with(program)));
        own.or(self.files.first()).map(|f| f.path.as_str())
    }

    /// Memory in the file that is of no mapped file, bytes.
    fn anonymous(&self) -> u64 {
        let of_none = self.segments.iter().filter(|s| self.path(s.start).is_none());
        of_none.fold(0, |sum, s| sum.saturating_add(s.kept))
    }

    /// What it concludes.
    pub fn report(&self) -> CoreReport {
        let sum = |of: &dyn Fn(&Segment) -> u64| self.segments.iter().map(of).fold(0u64, u64::saturating_add);
        let (memory, kept) = (sum(&|s| s.size), sum(&|s| s.kept));
        let anonymous = self.anonymous();
        let mut findings = vec![self.next()];
        findings.extend(self.signal.map(died));
        if let Some(why) = self.lacks() {
            let f = Finding::new(Certainty::Certain, format!("the core is cut: {why}")).of(Cause::None);
            findings.insert(0, f.hint("look at the limit (ulimit -c), the disk, and the handler in /proc/sys/kernel/core_pattern"));
        }
        let mut warnings = self.warnings.clone();
        warnings.say("what is in the memory is not read here");
        if kept < memory {
            warnings.say(format!(
                "{} of what was mapped is not in it: reserved addresses, unmodified files, what /proc/PID/coredump_filter leaves out",
                size(memory - kept)
            ));
        }
        let head = Report {
            artifact: Source {
                kind: "core of a process (ELF)".to_owned(),
                bytes: self.bytes,
                truncated: self.lacks(),
            },
            summary: self.summary(memory, anonymous),
            findings,
            groups: Vec::new(),
            warnings: warnings.list(),
        };
        CoreReport {
            head,
            program: self.program.clone(),
            pid: self.pid,
            signal: self.signal.map(|s| s.number),
            threads: self.threads,
            memory_bytes: memory,
            kept_bytes: kept,
            anonymous_bytes: anonymous,
            expected_file_bytes: self.expected,
            largest: self.largest(),
        }
    }

    fn summary(&self, memory: u64, anonymous: u64) -> String {
        let program = self.program.as_deref().unwrap_or("a program that it does not name");
        let why = match self.signal {
            Some(s) if s.number > 0 => format!(" left a core at SIG{} with", s.name()),
            Some(_) => " was living, with".to_owned(),
            None => " with".to_owned(),
        };
        let (memory, anonymous) = (size(memory), size(anonymous));
        format!(
            "{program}{why} {}, {memory} mapped; {anonymous} of anonymous memory are in the file.",
            count(self.threads, "thread")
        )
    }

    fn largest(&self) -> Vec<Piece> {
        let mut all: Vec<&Segment> = self.segments.iter().collect();
        all.sort_by_key(|s| std::cmp::Reverse((s.kept, s.size, s.start)));
        let piece = |s: &&Segment| Piece {
            address: format!("{:x}", s.start),
            bytes: s.size,
            kept_bytes: s.kept,
            path: self.path(s.start).map(str::to_owned),
        };
        all.iter().take(ROWS).map(piece).collect()
    }

    /// The command that reads what is in it.
    fn next(&self) -> Finding {
        let exe = self.executable().unwrap_or("PROGRAM");
        let f = Finding::new(
            Certainty::CannotTell,
            "a core shows what is there at one moment; who holds it, a debugger of the runtime tells",
        );
        let f = f.of(Cause::Undecided);
        if self.has_file("libjvm.so") {
            return f.because("libjvm.so was mapped: a JVM").hint(format!(
                "jhsdb jmap --binaryheap --dumpfile heap.hprof --exe {exe} --core FILE (of the same JDK), then plimsoll read heap.hprof; \
                 threads: jhsdb jstack --exe {exe} --core FILE"
            ));
        }
        if self.has_file("libpython") || self.program.as_deref().is_some_and(|p| p.starts_with("python")) {
            return f
                .because("a Python interpreter")
                .hint(format!("gdb {exe} FILE, then py-bt and info threads (with python3-dbg)"));
        }
        if self.program.as_deref() == Some("node") {
            return f
                .because("it is called node")
                .hint(format!("llnode {exe} -c FILE, then v8 findjsobjects"));
        }
        f.hint(format!("gdb -batch -ex 'thread apply all bt' {exe} FILE; a Go program: dlv core {exe} FILE, then goroutines -group"))
    }
}

fn died(signal: Signal) -> Finding {
    if signal.number == 0 {
        return Finding::new(Certainty::Likely, "it was taken from a living process: no signal is told")
            .of(Cause::None);
    }
    let name = signal.name();
    let from = match (signal.code, signal.sender) {
        (Some(-6), Some(pid)) => format!(", sent by process {pid} to one of its threads or another's"),
        (Some(_), Some(pid)) if pid > 0 => format!(", sent by process {pid}"),
        _ => String::new(),
    };
    let what = match name {
        "SEGV" => {
            "an access to memory that is not mapped, or not so; a failed allocation that nobody checked is one way to it"
        }
        "BUS" => {
            "an access to a mapped file behind its end, or to memory that could not be had (a full /dev/shm or tmpfs)"
        }
        "ABRT" => {
            "the program gave up: an assertion, a broken heap, or its runtime's own out-of-memory handling"
        }
        "QUIT" | "TRAP" => "asked for, or a runtime that gave up; gcore may leave TRAP too",
        _ => "see the program's last lines of log",
    };
    Finding::new(Certainty::Certain, format!("signal {} (SIG{name}){from}", signal.number))
        .of(Cause::None)
        .because(what)
        .because("an OOM kill by the kernel is SIGKILL and leaves no core: this was none")
}

impl CoreReport {
    /// The largest pieces of memory.
    pub fn tables(&self) -> Vec<Table> {
        let row = |p: &Piece| {
            vec![size(p.kept_bytes), size(p.bytes), p.address.clone(), p.path.clone().unwrap_or_default()]
        };
        let rows: Vec<_> = self.largest.iter().map(row).collect();
        let head = vec!["#in file", "#in memory", "#address", "file"];
        if rows.is_empty() {
            Vec::new()
        } else {
            vec![Table { title: "Largest pieces of memory".to_owned(), head, rows }]
        }
    }
}

impl Kind for Core {
    const NAME: &'static str = "core";
    const IS_IN_LOGS: bool = false;

    fn looks_like(head: &[u8]) -> bool {
        is_core(head)
    }

    fn parse(from: &mut dyn Read) -> Option<Self> {
        read(from)
    }

    fn reading(&self, _: &Context) -> Reading {
        let report = self.report();
        Reading::new(&report.head, &report, report.tables())
    }

    fn change(series: &[&Self], _: &Context) -> Option<Reading> {
        let (last, earlier) = series.split_last()?;
        let alike = earlier.iter().all(|c| c.program == last.program);
        let mut report = last.report();
        let numbers = numbers(series, Core::anonymous);
        let grown = grew("anonymous memory in the core", Cause::Undecided, &numbers);
        report.head.summary = format!(
            "{} of anonymous memory in {} cores; {}.",
            numbers.iter().map(|n| size(*n)).collect::<Vec<_>>().join(" → "),
            series.len(),
            grown.as_ref().map_or("it did not grow by more than a tenth", |f| &f.text)
        );
        let whose = "whose memory it is, a debugger of the runtime tells";
        report.head.findings.splice(0..0, grown.map(|f| f.but(whose)));
        if !alike {
            report.head.warnings.insert(0, "the cores are of programs with different names".to_owned());
        }
        if series.iter().any(|c| c.lacks().is_some()) {
            report.head.warnings.insert(0, "one of the cores is cut: sizes are as its head says".to_owned());
        }
        Some(Reading::new(&report.head, &report, report.tables()))
    }
}
