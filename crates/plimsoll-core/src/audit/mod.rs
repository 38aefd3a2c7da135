//! Would the safety net fire at this limit? Each check says what it saw, whether it holds, and the fix.
//!
//! A net that is set is no net when the kernel kills before it fires, or when its file goes with the container. So the
//! checks ask about this process with this limit, never whether a flag is there. A check is one constant in the file
//! of its runtime, and one entry of its list.

mod container;
mod dotnet;
mod go;
mod jvm;
mod native;
mod node;
mod python;
mod variables;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::target::RuntimeKind;
pub use variables::VARIABLES;

/// A value, or the reason why there is none.
pub type Known<T> = Result<T, String>;

/// What a file written there outlives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Survival {
    /// Nothing: the container's own layer.
    Nothing,
    /// A restart of the container, not the pod.
    Restart,
    /// The pod.
    Pod,
    /// The machine's disk: there is no container.
    Machine,
}

/// Where a dump would go.
#[derive(Debug, Clone, PartialEq)]
pub struct Room {
    /// The path as it is set.
    pub path: String,
    /// Whether it is a folder; none when that cannot be told from here.
    pub folder: Option<bool>,
    /// Whether its files are memory.
    pub in_memory: Option<bool>,
    /// Bytes free.
    pub free: Option<f64>,
    /// What it outlives.
    pub survives: Option<Survival>,
    /// Whether the process may write there.
    pub writable: Option<bool>,
}

/// Who is audited: a live process, or a container of a manifest.
#[derive(Debug, Clone, PartialEq)]
pub struct Subject {
    /// In words.
    pub name: String,
    /// File and line of the manifest.
    pub source: Option<(String, usize)>,
    /// The live process.
    pub pid: Option<i32>,
    /// The runtime; none when a manifest does not tell.
    pub runtime: Option<RuntimeKind>,
    /// Its version.
    pub version: Option<String>,
    /// Flags of the runtime, from every origin, later ones win.
    pub flags: Known<Vec<String>>,
    /// Variables of the environment that the checks read.
    pub variables: BTreeMap<String, String>,
    /// The memory limit, bytes; `Ok(None)` when there is none.
    pub limit: Known<Option<f64>>,
    /// Bound of the managed heap, bytes.
    pub heap_max: Known<f64>,
    /// Resident memory outside the managed heap, bytes, as measured.
    pub outside: Known<f64>,
    /// Where a dump would go; `Ok(None)` when no place is set.
    pub dump: Known<Option<Room>>,
    /// How long it may stand still before its liveness probe restarts it, seconds; `Ok(None)` without a probe.
    pub probe_budget: Known<Option<f64>>,
    /// Time between SIGTERM and SIGKILL, seconds.
    pub grace: Known<f64>,
    /// Whether the kernel kills the whole container.
    pub whole_group: Known<bool>,
    /// Processes in the container.
    pub processes: Known<usize>,
    /// Whether a profile endpoint answers.
    pub endpoint: Known<bool>,
    /// Whether the profile of memory is linked in.
    pub memory_profile: Known<bool>,
    /// Where cores go, as the kernel's pattern says, and the soft limit of their size, bytes.
    pub core: Known<(String, f64)>,
}

impl Subject {
    /// One of whom nothing but the name is known, and why.
    pub fn unknown(name: &str, why: &str) -> Self {
        fn no<T>(why: &str) -> Known<T> {
            Err(why.to_owned())
        }
        Subject {
            name: name.to_owned(),
            source: None,
            pid: None,
            runtime: None,
            version: None,
            flags: no(why),
            variables: BTreeMap::new(),
            limit: no(why),
            heap_max: no(why),
            outside: no(why),
            dump: no(why),
            probe_budget: no(why),
            grace: no(why),
            whole_group: no(why),
            processes: no(why),
            endpoint: no(why),
            memory_profile: no(why),
            core: no(why),
        }
    }

    /// What follows `prefix` in the last flag that begins with it.
    fn flag(&self, prefix: &str) -> Known<Option<&str>> {
        let flags = self.flags.as_ref().map_err(Clone::clone)?;
        Ok(flags.iter().rev().find_map(|f| f.strip_prefix(prefix)))
    }

    /// A switch such as `-XX:+Name` or `-XX:-Name`: the last one wins.
    fn switch(&self, name: &str) -> Known<Option<bool>> {
        let flags = self.flags.as_ref().map_err(Clone::clone)?;
        Ok(flags.iter().rev().find_map(|f| match f.strip_prefix("-XX:")?.split_at_checked(1)? {
            ("+", rest) if rest == name => Some(true),
            ("-", rest) if rest == name => Some(false),
            _ => None,
        }))
    }

    fn pid(&self) -> String {
        self.pid.map_or_else(|| "PID".to_owned(), |p| p.to_string())
    }
}

/// How bad it is when a check does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Evidence will be thinner than it could be.
    Warning,
    /// The net does not fire, or its evidence is lost.
    Error,
}

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It holds.
    Holds,
    /// It does not.
    Fails,
    /// It cannot be told.
    Unknown,
}

/// What would make it hold.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fix {
    /// In words.
    pub text: String,
    /// A flag, a variable or a piece of a manifest to add.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patch: Option<String>,
    /// Manageable flags of a live JVM that arm it without a restart.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub live: Vec<(String, String)>,
}

impl Fix {
    fn new(text: impl Into<String>) -> Self {
        Fix { text: text.into(), patch: None, live: Vec::new() }
    }

    fn patch(mut self, patch: impl Into<String>) -> Self {
        self.patch = Some(patch.into());
        self
    }

    fn live(mut self, flag: &str, value: impl Into<String>) -> Self {
        self.live.push((flag.to_owned(), value.into()));
        self
    }
}

/// What a check saw.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It holds, and by what.
    Holds(String),
    /// It does not: how bad, what was seen, what to do.
    Fails(Severity, String, Fix),
    /// Why it cannot be told.
    Unknown(String),
}

/// A check.
pub struct Check {
    /// Its name in reports: `runtime/what`.
    pub id: &'static str,
    /// What holds when it holds.
    pub title: &'static str,
    /// Looks at a subject; none when it does not apply.
    run: fn(&Subject) -> Option<Outcome>,
}

/// What came of one check of one subject.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The check.
    pub id: &'static str,
    /// What holds when it holds.
    pub title: &'static str,
    /// How it came out.
    pub state: State,
    /// How bad, when it does not hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// What was seen, or why nothing could be.
    pub evidence: String,
    /// What would make it hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<Fix>,
}

/// Every check there is, for whichever runtime.
pub fn all() -> impl Iterator<Item = &'static Check> {
    let of = |kind: RuntimeKind| checks(kind).iter();
    let kinds = [
        RuntimeKind::Jvm,
        RuntimeKind::Go,
        RuntimeKind::Node,
        RuntimeKind::Python,
        RuntimeKind::Dotnet,
        RuntimeKind::Native,
    ];
    kinds.into_iter().flat_map(of).chain(container::CHECKS)
}

fn checks(kind: RuntimeKind) -> &'static [Check] {
    match kind {
        RuntimeKind::Jvm => jvm::CHECKS,
        RuntimeKind::Go => go::CHECKS,
        RuntimeKind::Node => node::CHECKS,
        RuntimeKind::Python => python::CHECKS,
        RuntimeKind::Dotnet => dotnet::CHECKS,
        RuntimeKind::Native => native::CHECKS,
    }
}

/// Audits one subject: its runtime first, then its container; within each in the order of the lists.
pub fn audit(subject: &Subject) -> Vec<Finding> {
    let runtime = subject.runtime.map_or(&[][..], checks);
    let mut out: Vec<Finding> =
        runtime.iter().chain(container::CHECKS).filter_map(|c| finding(c, subject)).collect();
    if subject.runtime.is_none() {
        out.insert(
            0,
            Finding {
                id: "runtime/known",
                title: "the runtime is known",
                state: State::Unknown,
                severity: None,
                evidence: "neither the image, nor the command, nor the environment tells the runtime: only the container was checked".to_owned(),
                fix: None,
            },
        );
    }
    out
}

fn finding(check: &Check, subject: &Subject) -> Option<Finding> {
    let (state, severity, evidence, fix) = match (check.run)(subject)? {
        Outcome::Holds(evidence) => (State::Holds, None, evidence, None),
        Outcome::Fails(severity, evidence, fix) => (State::Fails, Some(severity), evidence, Some(fix)),
        Outcome::Unknown(why) => (State::Unknown, None, why, None),
    };
    Some(Finding { id: check.id, title: check.title, state, severity, evidence, fix })
}

/// Whether the net is ready: no error, and nothing that decides is unknown.
pub fn ready(findings: &[Finding]) -> Option<bool> {
    if findings.iter().any(|f| f.severity == Some(Severity::Error)) {
        return Some(false);
    }
    findings.iter().all(|f| f.state != State::Unknown).then_some(true)
}

/// A value that decides, or the outcome that it cannot be told.
macro_rules! known {
    ($value:expr) => {
        match $value {
            Ok(value) => value,
            Err(why) => return Some(Outcome::Unknown(why.clone())),
        }
    };
}
use known;

#[cfg(test)]
mod tests;
