//! The sources of facts: one file or folder per source, one line in [`SOURCES`] each.
//!
//! A source is opened for one process; one that does not apply (a JVM source for a Go program) is not
//! opened. Each call of [`Source::sample`] adds what it could read to an [`Observation`]; what it could not
//! read is added as unknown, with the reason. Slow sources (HTTP, attach) run on a thread of their own, so
//! a port that never answers cannot delay the kernel's numbers.

mod allocator;
pub(crate) mod cgroup;
mod gc_log;
mod go_http;
mod go_outside;
pub(crate) mod host_memory;
pub(crate) mod hsperf;
mod inspector;
mod jvm_attach;
pub mod kernel_log;
mod metrics;
mod node;
mod ports;
mod procfs;
pub(crate) mod room;
pub(crate) mod text;

use std::time::Duration;

use plimsoll_core::fact::Fact;
use plimsoll_core::recording::Observation;
use plimsoll_core::target::Target;

use crate::world::World;

/// How a source is driven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Cheap reads, on the sampling thread, at every tick.
    EveryTick,
    /// Reads that may block or cost something: own thread, at most once per this interval.
    Slow(Duration),
}

/// An opened source of one process.
pub trait Source: Send {
    /// Reads once, adding numbers and unknowns to `out`. Must return within a few seconds whatever the
    /// other side does.
    fn sample(&mut self, out: &mut Observation);
}

/// What to know of a source before it is opened.
pub struct SourceKind {
    /// Short name, as `--help` and the docs show it.
    pub name: &'static str,
    /// Facts that it can supply; none for a source that tells in notes.
    pub facts: &'static [Fact],
    /// How it is driven.
    pub pace: Pace,
    /// Opens it for a process: `None` when it does not apply to this runtime, otherwise the source. A source
    /// that applies but cannot be had opens as one that says why ([`Absent`]).
    pub open: fn(&World, &Target) -> Option<Box<dyn Source>>,
}

/// A source that applies but cannot be had: it reports its facts as unknown, with the reason.
pub struct Absent {
    facts: &'static [Fact],
    why: String,
}

impl Absent {
    /// Reports `facts` as unknown because of `why`.
    pub fn boxed(facts: &'static [Fact], why: impl Into<String>) -> Box<dyn Source> {
        Box::new(Absent { facts, why: why.into() })
    }
}

impl Source for Absent {
    fn sample(&mut self, out: &mut Observation) {
        for fact in self.facts {
            out.put(*fact, plimsoll_core::fact::Reading::unknown(self.why.clone()));
        }
    }
}

/// Adds a note behind those that are there.
pub(crate) fn note(out: &mut Observation, text: impl Into<String>) {
    let text = text.into();
    out.note = Some(match out.note.take() {
        Some(before) => format!("{before}; {text}"),
        None => text,
    });
}

/// Every source, in the order in which they are asked.
pub static SOURCES: &[SourceKind] = &[
    procfs::KIND,
    cgroup::KIND,
    host_memory::KIND,
    kernel_log::KIND,
    hsperf::KIND,
    jvm_attach::KIND,
    gc_log::KIND,
    go_http::KIND,
    node::KIND,
    inspector::KIND,
    metrics::KIND,
    allocator::KIND,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_is_complete_and_a_process_without_any_file_never_breaks_one() {
        let root = tempfile::tempdir().expect("a folder");
        let world = World::under(root.path());
        for (i, kind) in SOURCES.iter().enumerate() {
            assert!(!kind.name.is_empty());
            assert!(SOURCES.iter().skip(i + 1).all(|k| k.name != kind.name), "{} stands twice", kind.name);
            let Some(mut source) = (kind.open)(&world, &crate::identify::bare(7)) else { continue };
            let mut out = Observation::at(1.0);
            source.sample(&mut out);
            assert_eq!(out.facts.keys().collect::<Vec<_>>(), [&Fact::Rss; 0], "{}: from nothing", kind.name);
            let foreign = out.unknown.keys().find(|f| !kind.facts.contains(f));
            assert_eq!(foreign, None, "{} tells of a fact that it does not announce", kind.name);
        }
    }

    #[test]
    fn notes_follow_each_other() {
        let mut out = Observation::at(1.0);
        note(&mut out, "first");
        note(&mut out, "second");
        assert_eq!(out.note.as_deref(), Some("first; second"));
    }
}
