//! Which runtime is inside a process, from what can be seen of it without touching it.

use crate::target::RuntimeKind;

/// What can be seen of a process.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// Base name of the executable (of the link's target), ` (deleted)` removed.
    pub exe: String,
    /// Command line.
    pub argv: Vec<String>,
    /// Base names of the files that are mapped.
    pub mapped: Vec<String>,
    /// The executable carries Go's build information or line table.
    pub go_binary: bool,
    /// It listens on the socket that .NET's tools talk to.
    pub dotnet_socket: bool,
}

impl Evidence {
    /// A file is mapped whose base name begins with `prefix`.
    pub(super) fn maps(&self, prefix: &str) -> bool {
        self.mapped.iter().any(|m| m.starts_with(prefix))
    }
}

/// How a runtime is recognised and what it is called.
pub(super) struct Recognition {
    pub(super) kind: RuntimeKind,
    /// True when the process is surely of this runtime, unless an earlier one in [`RECOGNITIONS`] claims it.
    pub(super) detect: fn(&Evidence) -> bool,
    /// The name a person would call it by, out of the arguments behind the program; `None` for the process's own.
    pub(super) name: fn(&[String]) -> Option<String>,
    /// Beginnings of the flags that judgement reads.
    pub(super) flags: &'static [&'static str],
    /// Environment variables that hold more flags.
    pub(super) variables: &'static [&'static str],
}

/// Every runtime, the strongest sign first: a mapped runtime library, the binary's own marks, then names. A
/// launcher that embeds a JVM is a JVM whatever else it is.
static RECOGNITIONS: &[&Recognition] = &[
    &super::jvm::RECOGNITION,
    &super::dotnet::RECOGNITION,
    &super::go::RECOGNITION,
    &super::node::RECOGNITION,
    &super::python::RECOGNITION,
    &super::native::RECOGNITION,
];

/// The runtime of a process.
pub fn detect(e: &Evidence) -> RuntimeKind {
    RECOGNITIONS.iter().find(|r| (r.detect)(e)).map_or(RuntimeKind::Native, |r| r.kind)
}

fn recognition(kind: RuntimeKind) -> Option<&'static Recognition> {
    RECOGNITIONS.iter().find(|r| r.kind == kind).copied()
}

/// The version of the runtime, where its files tell.
pub fn version(kind: RuntimeKind, e: &Evidence) -> Option<String> {
    match kind {
        RuntimeKind::Python => super::python::version(e),
        _ => None,
    }
}

/// The name a person would call it by: main class, jar or script rather than the interpreter.
pub fn name(kind: RuntimeKind, comm: &str, argv: &[String]) -> String {
    let args = argv.get(1..).unwrap_or_default();
    let name = recognition(kind).and_then(|r| (r.name)(args)).unwrap_or_else(|| comm.to_owned());
    // It is shown and written down: no line of its own, no command of a terminal, no page of text.
    name.chars().map(|c| if c.is_control() { '·' } else { c }).take(LONGEST_NAME).collect()
}

/// Characters of a name at most.
const LONGEST_NAME: usize = 200;

/// Flags that judgement reads, out of a command line: never the whole line, it may hold secrets.
pub fn flags(kind: RuntimeKind, argv: &[String]) -> Vec<String> {
    let known = recognition(kind).map_or(&[][..], |r| r.flags);
    argv.iter().filter(|a| known.iter().any(|k| a.starts_with(k))).cloned().collect()
}

/// Environment variables whose words are flags like those of the command line, which wins over them. No other
/// variable is to be looked at.
pub fn variables(kind: RuntimeKind) -> &'static [&'static str] {
    recognition(kind).map_or(&[], |r| r.variables)
}

/// No name but the process's own.
pub(super) fn own_name(_: &[String]) -> Option<String> {
    None
}

/// The script or module that an interpreter runs; `None` for code given on the command line.
pub(super) fn script(args: &[String]) -> Option<String> {
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        if arg == "-m" {
            return rest.next().cloned();
        } else if arg == "-c" || arg == "-e" {
            return None;
        } else if !arg.starts_with('-') {
            return Some(base(arg));
        }
    }
    None
}

/// The last part of a path.
pub(super) fn base(path: &str) -> String {
    path.rsplit('/').next().unwrap_or(path).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn runtimes_by_library_binary_and_name() {
        let seen = |exe: &str, mapped: &str, go: bool| {
            detect(&Evidence {
                exe: exe.to_owned(),
                mapped: words(mapped),
                go_binary: go,
                ..Evidence::default()
            })
        };
        assert_eq!(seen("java", "libc.so.6 libjvm.so", false), RuntimeKind::Jvm);
        assert_eq!(seen("app", "libjvm.so", false), RuntimeKind::Jvm);
        assert_eq!(seen("server", "", true), RuntimeKind::Go);
        assert_eq!(seen("python3.11", "libc.so.6", false), RuntimeKind::Python);
        assert_eq!(seen("gunicorn", "libpython3.11.so.1.0", false), RuntimeKind::Python);
        assert_eq!(seen("pythonic", "", false), RuntimeKind::Native);
        let python = |exe: &str, mapped: &str| {
            let e = Evidence { exe: exe.to_owned(), mapped: words(mapped), ..Evidence::default() };
            version(RuntimeKind::Python, &e)
        };
        assert_eq!(python("python3.11", ""), Some("3.11".to_owned()));
        assert_eq!(python("uwsgi", "libpython3.14.so.1.0"), Some("3.14".to_owned()));
        assert_eq!(python("python3", "libpython3.so"), None, "which one is not told");
        assert_eq!(seen("nodejs", "", false), RuntimeKind::Node);
        assert_eq!(seen("api", "libcoreclr.so", false), RuntimeKind::Dotnet);
        assert_eq!(seen("nginx", "libc.so.6", false), RuntimeKind::Native);
        // In one file with its runtime, it maps no library that tells.
        let single = Evidence { exe: "api".to_owned(), dotnet_socket: true, ..Evidence::default() };
        assert_eq!(detect(&single), RuntimeKind::Dotnet);
    }

    #[test]
    fn names_that_say_more_than_java() {
        let jvm = |line: &str| name(RuntimeKind::Jvm, "java", &words(line));
        assert_eq!(jvm("java -Xmx1g -cp a:b com.example.Gateway --port 1"), "Gateway");
        assert_eq!(jvm("java -jar /srv/api.jar"), "api.jar");
        assert_eq!(jvm("java -version"), "java");
        assert_eq!(name(RuntimeKind::Python, "python3", &words("python3 -u /srv/app.py")), "app.py");
        assert_eq!(name(RuntimeKind::Python, "python3", &words("python3 -m http.server")), "http.server");
        assert_eq!(name(RuntimeKind::Python, "python3", &words("python3 -c pass")), "python3");
        assert_eq!(name(RuntimeKind::Native, "a\n\u{1b}[31m", &[]), "a··[31m");
        assert_eq!(name(RuntimeKind::Native, &"x".repeat(4096), &[]).len(), LONGEST_NAME);
    }

    #[test]
    fn only_known_flags_are_kept() {
        let kept =
            flags(RuntimeKind::Jvm, &words("java -Xmx1g -Dpassword=secret -XX:+UseG1GC Main --token x"));
        assert_eq!(kept, ["-Xmx1g", "-XX:+UseG1GC"]);
    }

    #[test]
    fn every_runtime_is_recognised_once() {
        use RuntimeKind::{Dotnet, Go, Jvm, Native, Node, Python};
        for kind in [Jvm, Go, Node, Python, Dotnet, Native] {
            assert_eq!(RECOGNITIONS.iter().filter(|r| r.kind == kind).count(), 1, "{kind:?}");
        }
        assert_eq!(detect(&Evidence::default()), Native, "the last one takes what is left");
    }
}
