//! What source code can do to memory, as data: a capture of the queries, words for it, and what it counts.

/// One kind of construct.
#[derive(Debug, PartialEq)]
pub struct Kind {
    /// The name of its capture in the queries.
    pub capture: &'static str,
    /// What it is, in words.
    pub what: &'static str,
    /// What one counts.
    pub weight: f64,
}

const fn kind(capture: &'static str, what: &'static str, weight: f64) -> Kind {
    Kind { capture, what, weight }
}

/// A collection that lives as long as the program.
pub(crate) const STATIC: Kind = kind("static", "a collection in static scope", 3.0);
/// A default of a parameter that all calls share.
pub(crate) const SHARED: Kind = kind("shared", "a default that all calls share", 2.0);
/// An entry that such a collection gets.
pub(crate) const GROWS: Kind = kind("grows", "a collection in static scope gets more", 2.5);
/// What lets go of memory: a commit that takes it away is as suspect as one that adds to it.
pub(crate) const RELEASE: Kind = kind("release", "what let go of memory is taken away", 2.0);

/// All kinds that a query may capture.
pub(crate) static KINDS: [Kind; 17] = [
    STATIC,
    SHARED,
    GROWS,
    RELEASE,
    kind("cache", "a cache without a bound", 2.5),
    kind("queue", "a queue without a bound", 1.5),
    kind("listener", "a listener that is added", 1.5),
    kind("task", "a thread or task that is started", 1.5),
    kind("local", "something for each thread", 2.0),
    kind("timer", "a timer that is not stopped", 1.5),
    kind("lost", "a context that nobody cancels", 2.5),
    kind("context", "a context that nobody cancels", 1.5),
    kind("body", "an answer whose body is not closed", 2.0),
    kind("channel", "a channel without a buffer", 1.0),
    kind("given", "memory that is given up", 3.0),
    kind("taken", "memory that is taken", 1.0),
    kind("outside", "memory outside of the heap", 1.5),
];

pub(crate) fn by_capture(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|k| k.capture == name)
}
