//! What runtimes print when they run out of memory by themselves.

/// A message, whose it is, what ran out, whether it is the end, and where to go on.
pub(super) struct Message {
    /// Text within the line.
    text: &'static str,
    pub(super) runtime: &'static str,
    pub(super) what: &'static str,
    pub(super) fatal: bool,
    pub(super) next: &'static str,
}

const HEAP: &str = "read the heap dump if HeapDumpOnOutOfMemoryError left one (plimsoll read FILE); else plimsoll capture while it climbs again";
const NATIVE: &str =
    "the heap is not it: look at native memory (jcmd PID VM.native_memory, plimsoll triage PID)";
const THREADS: &str =
    "count threads by pool: jcmd PID Thread.print, then plimsoll read FILE; check pids.max and ulimit -u too";

const fn message(
    text: &'static str,
    (runtime, what): (&'static str, &'static str),
    fatal: bool,
    next: &'static str,
) -> Message {
    Message { text, runtime, what, fatal, next }
}

/// The more special ones first.
const MESSAGES: &[Message] = &[
    message("OutOfMemoryError: Java heap space", ("the JVM", "Java heap (-Xmx)"), false, HEAP),
    message(
        "OutOfMemoryError: GC overhead limit exceeded",
        ("the JVM", "Java heap (all time went into collections)"),
        false,
        HEAP,
    ),
    message(
        "OutOfMemoryError: Metaspace",
        ("the JVM", "metaspace"),
        false,
        "look for class loaders that pile up: jcmd PID VM.classloader_stats; -XX:MaxMetaspaceSize is the bound",
    ),
    message(
        "OutOfMemoryError: Compressed class space",
        ("the JVM", "compressed class space"),
        false,
        "look for class loaders that pile up; -XX:CompressedClassSpaceSize is the bound",
    ),
    message(
        "OutOfMemoryError: PermGen space",
        ("the JVM", "permanent generation"),
        false,
        "look for class loaders that pile up; -XX:MaxPermSize is the bound",
    ),
    message(
        "OutOfMemoryError: Direct buffer memory",
        ("the JVM", "direct buffers"),
        false,
        "direct buffers are bounded by -XX:MaxDirectMemorySize, not by the heap: look for buffers that are held (a heap dump shows java.nio.DirectByteBuffer)",
    ),
    message(
        "of direct buffer memory (allocated",
        ("the JVM", "direct buffers"),
        false,
        "direct buffers are bounded by -XX:MaxDirectMemorySize, not by the heap: look for buffers that are held (a heap dump shows java.nio.DirectByteBuffer)",
    ),
    message(
        "OutOfMemoryError: unable to create",
        ("the JVM", "threads (or what the system allows of them)"),
        false,
        THREADS,
    ),
    message(
        "OutOfMemoryError: Requested array size",
        ("the JVM", "array size"),
        false,
        "one array was asked for that cannot be: look at the stack under the message, not at the heap",
    ),
    message(
        "OutOfMemoryError: Map failed",
        ("the JVM", "mappings"),
        false,
        "file mappings pile up or vm.max_map_count is reached: plimsoll triage PID shows them",
    ),
    message(
        "insufficient memory for the Java Runtime Environment",
        ("the JVM", "native memory"),
        true,
        NATIVE,
    ),
    message("to java.lang.OutOfMemoryError", ("the JVM", "Java heap (it ended itself)"), true, HEAP),
    message("java.lang.OutOfMemoryError", ("the JVM", "memory (the kind is not said)"), false, HEAP),
    message(
        "fatal error: runtime: out of memory",
        ("Go", "memory (the kernel gave no more)"),
        true,
        "GOTRACEBACK=crash keeps a core; plimsoll capture takes the heap profile while it climbs",
    ),
    message(
        "fatal error: runtime: cannot allocate memory",
        ("Go", "memory (the kernel gave no more)"),
        true,
        "GOTRACEBACK=crash keeps a core; plimsoll capture takes the heap profile while it climbs",
    ),
    message(
        "JavaScript heap out of memory",
        ("Node.js", "V8's heap (--max-old-space-size)"),
        true,
        "--heapsnapshot-near-heap-limit=1 leaves a snapshot the next time, if there is memory for it; plimsoll triage PID tells",
    ),
    message(
        "Ineffective mark-compacts near heap limit",
        ("Node.js", "V8's heap (--max-old-space-size)"),
        true,
        "--heapsnapshot-near-heap-limit=1 leaves a snapshot the next time, if there is memory for it; plimsoll triage PID tells",
    ),
    message(
        "ERR_WORKER_OUT_OF_MEMORY",
        ("Node.js", "heap of a worker (resourceLimits)"),
        true,
        "the worker's resourceLimits bound it, not the main heap",
    ),
    message(
        "Array buffer allocation failed",
        ("Node.js", "memory for buffers"),
        false,
        "buffers live outside of V8's heap: plimsoll triage PID shows external memory",
    ),
    message(
        "Fatal Python error: _PyErr_NoMemory",
        ("Python", "memory"),
        true,
        "plimsoll capture PID takes the stacks; tracemalloc tells who allocates",
    ),
    message("NoMemoryError", ("Ruby", "memory"), false, "ObjectSpace.dump_all while it climbs"),
    message(
        "MemoryError",
        ("Python", "memory (ulimit, or one huge request)"),
        false,
        "look at the line under it: one huge request is no leak; RLIMIT_AS bounds it too",
    ),
    message(
        "System.OutOfMemoryException",
        (".NET", "memory (GC heap limit or one huge request)"),
        false,
        "DOTNET_GCHeapHardLimit bounds it; dotnet-gcdump while it climbs",
    ),
    message(
        "std::bad_alloc",
        ("a C++ program", "memory"),
        true,
        "ulimit -v and overcommit refuse allocations before the kernel kills: check both",
    ),
    message(
        "Allowed memory size of",
        ("PHP", "memory_limit of one request"),
        true,
        "one request hit memory_limit; the process goes on",
    ),
];

/// What a line says of memory that ran out.
pub(super) fn find(line: &str) -> Option<&'static Message> {
    // Every message has one of these: most lines have none.
    let may = line.contains("emory")
        || line.contains("_alloc")
        || line.contains("buffer")
        || line.contains("MEMORY")
        || line.contains("mark-compacts");
    if !may {
        return None;
    }
    if is_rust(line) {
        return Some(&RUST);
    }
    MESSAGES.iter().find(|m| line.contains(m.text)).filter(|m| m.text != "MemoryError" || is_python(line))
}

const RUST: Message = message(
    "memory allocation of",
    ("a Rust program", "memory"),
    true,
    "one request failed: ulimit -v and overcommit refuse before the kernel kills",
);

/// `memory allocation of 123 bytes failed`.
fn is_rust(line: &str) -> bool {
    line.split_once("memory allocation of ").is_some_and(|(_, rest)| {
        rest.split_once(" bytes failed").is_some_and(|(n, _)| n.bytes().all(|b| b.is_ascii_digit()))
    })
}

/// The word is also part of other names: an exception stands at the begin of its line, or behind its module.
fn is_python(line: &str) -> bool {
    line.split_once("MemoryError").is_some_and(|(before, after)| {
        let (before, after) = (before.trim_start(), after.trim_end());
        (before.is_empty() || before.ends_with('.') || before.ends_with(": ") || before.ends_with("_Array"))
            && (after.is_empty() || after.starts_with(':'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_is_found_by_its_own_entry() {
        for m in MESSAGES {
            assert_eq!(find(m.text).map(|f| f.text), Some(m.text), "{}", m.text);
        }
        assert_eq!(find("memory allocation of 64 bytes failed").unwrap().runtime, "a Rust program");
        let what = |line: &str| find(line).map(|m| m.what);
        assert_eq!(
            what("Exception in thread \"main\" java.lang.OutOfMemoryError: Java heap space"),
            Some("Java heap (-Xmx)")
        );
        assert_eq!(
            what("Terminating due to java.lang.OutOfMemoryError: Java heap space"),
            Some("Java heap (-Xmx)")
        );
        assert_eq!(what("numpy.core._exceptions._ArrayMemoryError: Unable to allocate"), what("MemoryError"));
        assert_eq!(what("  MemoryError"), Some("memory (ulimit, or one huge request)"));
    }

    #[test]
    fn talk_of_memory_is_no_death() {
        for line in [
            "memory usage 512 MB",
            "OutOfMemory guard on",
            "NotMemoryErrorAtAll()",
            "buffer memory allocated",
            "",
        ] {
            assert!(find(line).is_none(), "{line}");
        }
    }
}
