//! Who is watched: process, container, runtime.

use serde::{Deserialize, Serialize};

/// The language runtime inside a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RuntimeKind {
    /// HotSpot.
    Jvm,
    /// Go.
    Go,
    /// Node.js (V8).
    Node,
    /// CPython.
    Python,
    /// .NET: recognised, not read yet.
    Dotnet,
    /// No managed runtime recognised: C, C++, Rust.
    Native,
}

/// The container a process lives in, as far as its control group's name tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Container {
    /// `docker`, `containerd`, `cri-o`, `podman`, `systemd` or `cgroup`.
    pub engine: String,
    /// Container id (shortened to 12 characters) or unit name.
    pub id: String,
    /// Pod UID, when the group's path holds one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_uid: Option<String>,
}

/// One watched process. Serialised as the head of a recording.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// Process id in our pid namespace; 0 for a recording that names none.
    pub pid: i32,
    /// Short name (comm, or the main class or script where that says more).
    pub name: String,
    /// Runtime, recognised from executable, maps and command line.
    pub runtime: RuntimeKind,
    /// Runtime version where cheap to know, such as `17.0.15` or `go1.27.3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime_version: Option<String>,
    /// Container, when one is recognised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<Container>,
    /// Path of the memory control group, relative to the hierarchy's root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<String>,
    /// The control group whose limit is the tightest, among the own one and its ancestors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_cgroup: Option<String>,
    /// Unix time of the process's start, seconds.
    pub started: f64,
    /// Flags of the runtime that judgement reads, such as `-Xmx256m`, `gc=G1`, `nmt=summary`, `GOGC=100`,
    /// `GOMEMLIMIT=…`. Never the whole command line: it may hold secrets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
}

impl Target {
    /// The pid as commands show it: `PID` for a recording that names none.
    pub fn pid_shown(&self) -> String {
        if self.pid > 0 { self.pid.to_string() } else { "PID".to_owned() }
    }

    /// Takes in a `key=value` flag in place of an older one; `version=…` sets the runtime's version.
    pub fn learn(&mut self, flag: String) {
        let Some((key, value)) = flag.split_once('=') else { return };
        if key == "version" {
            self.runtime_version = Some(value.to_owned());
            return;
        }
        let prefix = format!("{key}=");
        self.flags.retain(|f| !f.starts_with(&prefix));
        self.flags.push(flag);
    }

    /// The value of a `key=value` flag.
    pub fn flag(&self, key: &str) -> Option<&str> {
        self.flags.iter().find_map(|f| f.strip_prefix(key)?.strip_prefix('='))
    }
}

/// Whether a name matches a pattern with `*` and `?`.
pub fn glob(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == '?' || Some(c) == name.get(n) => {
                p += 1;
                n += 1;
            }
            _ => {
                let Some((at, taken)) = star else { return false };
                star = Some((at, taken + 1));
                p = at + 1;
                n = taken + 1;
            }
        }
    }
    pattern.get(p..).unwrap_or_default().iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_whole_names() {
        for (pattern, name, is) in [
            ("java", "java", true),
            ("java", "javac", false),
            ("j*", "java", true),
            ("*a", "java", true),
            ("j?v?", "java", true),
            ("*", "", true),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxbyy", false),
        ] {
            assert_eq!(glob(pattern, name), is, "{pattern} {name}");
        }
    }

    #[test]
    fn what_is_learned_replaces_what_was_thought() {
        let mut t = Target {
            pid: 1,
            name: String::new(),
            runtime: RuntimeKind::Jvm,
            runtime_version: None,
            container: None,
            cgroup: None,
            limit_cgroup: None,
            started: 0.0,
            flags: vec!["-Xmx1g".to_owned(), "gc=Serial".to_owned()],
        };
        t.learn("gc=G1".to_owned());
        t.learn("version=17.0.15".to_owned());
        t.learn("nonsense".to_owned());
        assert_eq!(t.flag("gc"), Some("G1"));
        assert_eq!(t.flags.len(), 2);
        assert_eq!(t.runtime_version.as_deref(), Some("17.0.15"));
    }
}
