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
}

/// Decides by the strongest sign first: a mapped runtime library, then the binary's own marks, then names.
pub fn detect(e: &Evidence) -> RuntimeKind {
    let mapped = |prefix: &str| e.mapped.iter().any(|m| m.starts_with(prefix));
    // A launcher that has just begun has not mapped its runtime yet.
    if mapped("libjvm.so") || e.exe == "java" {
        RuntimeKind::Jvm
    } else if mapped("libcoreclr.so") {
        RuntimeKind::Dotnet
    } else if e.go_binary {
        RuntimeKind::Go
    } else if e.exe == "node" || e.exe == "nodejs" || mapped("libnode.so") {
        RuntimeKind::Node
    } else if mapped("libpython") || interpreter(&e.exe, "python") {
        RuntimeKind::Python
    } else {
        RuntimeKind::Native
    }
}

/// `python`, `python3`, `python3.11`: the name with a version behind it.
fn interpreter(exe: &str, name: &str) -> bool {
    exe.strip_prefix(name).is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || c == '.'))
}

/// The name a person would call it by: main class, jar or script rather than the interpreter.
pub fn name(kind: RuntimeKind, comm: &str, argv: &[String]) -> String {
    let args = argv.get(1..).unwrap_or_default();
    let said = match kind {
        RuntimeKind::Jvm => java_main(args),
        RuntimeKind::Node | RuntimeKind::Python => script(args),
        _ => None,
    };
    said.unwrap_or_else(|| comm.to_owned())
}

/// The jar behind `-jar`, or the first argument that is no option and no option's value.
fn java_main(args: &[String]) -> Option<String> {
    let with_value =
        ["-cp", "-classpath", "--class-path", "-p", "--module-path", "--add-opens", "--add-exports"];
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        if arg == "-jar" {
            return rest.next().map(|jar| base(jar));
        } else if with_value.contains(&arg.as_str()) {
            rest.next();
        } else if !arg.starts_with('-') {
            return Some(arg.rsplit('.').next().unwrap_or(arg).to_owned()).filter(|n| !n.is_empty());
        }
    }
    None
}

fn script(args: &[String]) -> Option<String> {
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

fn base(path: &str) -> String {
    path.rsplit('/').next().unwrap_or(path).to_owned()
}

/// Flags that judgement reads, out of a command line: never the whole line, it may hold secrets.
pub fn flags(kind: RuntimeKind, argv: &[String]) -> Vec<String> {
    let known: &[&str] = match kind {
        RuntimeKind::Jvm => &[
            "-Xmx",
            "-Xms",
            "-Xlog:gc",
            "-Xloggc:",
            "-XX:MaxDirectMemorySize=",
            "-XX:MaxMetaspaceSize=",
            "-XX:MaxRAMPercentage=",
            "-XX:NativeMemoryTracking=",
            "-XX:+HeapDumpOnOutOfMemoryError",
            "-XX:HeapDumpPath=",
            "-XX:+Use",
            "-XX:-Use",
            "-XX:+PerfDisableSharedMem",
        ],
        RuntimeKind::Node => &["--max-old-space-size", "--trace-gc", "--inspect", "--heapsnapshot"],
        _ => &[],
    };
    argv.iter().filter(|a| known.iter().any(|k| a.starts_with(k))).cloned().collect()
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
            detect(&Evidence { exe: exe.to_owned(), argv: Vec::new(), mapped: words(mapped), go_binary: go })
        };
        assert_eq!(seen("java", "libc.so.6 libjvm.so", false), RuntimeKind::Jvm);
        assert_eq!(seen("app", "libjvm.so", false), RuntimeKind::Jvm);
        assert_eq!(seen("server", "", true), RuntimeKind::Go);
        assert_eq!(seen("python3.11", "libc.so.6", false), RuntimeKind::Python);
        assert_eq!(seen("gunicorn", "libpython3.11.so.1.0", false), RuntimeKind::Python);
        assert_eq!(seen("pythonic", "", false), RuntimeKind::Native);
        assert_eq!(seen("nodejs", "", false), RuntimeKind::Node);
        assert_eq!(seen("api", "libcoreclr.so", false), RuntimeKind::Dotnet);
        assert_eq!(seen("nginx", "libc.so.6", false), RuntimeKind::Native);
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
    }

    #[test]
    fn only_known_flags_are_kept() {
        let kept =
            flags(RuntimeKind::Jvm, &words("java -Xmx1g -Dpassword=secret -XX:+UseG1GC Main --token x"));
        assert_eq!(kept, ["-Xmx1g", "-XX:+UseG1GC"]);
    }
}
