//! What is known for what it is and not read here, with the tool that reads it.

/// A format that another tool reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unread {
    /// What it is.
    pub what: &'static str,
    /// The command that reads it, or makes of it what is read here.
    pub next: &'static str,
}

/// Where something of a format stands.
enum Place {
    /// At the begin.
    Begin,
    /// Among the first bytes.
    Early,
}

use Place::{Begin, Early};

/// Bytes that are looked at for what stands early.
const EARLY: usize = 4096;

/// The stricter ones first.
const KNOWN: &[(Place, &[u8], &str, &str)] = &[
    (
        Begin,
        b"FLR\0",
        "a flight recording (JFR)",
        "jfr summary FILE; jfr view memory-leaks-by-class FILE (JDK 21 on); or JDK Mission Control",
    ),
    (Begin, b"memray", "a recording of memray (Python)", "memray stats FILE; memray flamegraph --leaks FILE"),
    (
        Begin,
        b"PERFILE2",
        "a recording of perf",
        "perf report -i FILE; folded stacks of it (perf script, stackcollapse) are read here",
    ),
    (Begin, b"Nettrace", "a trace of .NET", "dotnet-trace report FILE topN"),
    (Early, b"!FastSerialization.1", "a trace or heap graph of .NET (gcdump)", "dotnet-gcdump report FILE"),
    (Begin, b"MDMP", "a minidump of Windows or .NET", "dotnet-dump analyze FILE, then dumpheap -stat"),
    (Begin, b"PAGEDU", "a crash dump of Windows", "WinDbg"),
    (
        Early,
        b"0SECTION       TITLE",
        "a javacore of OpenJ9",
        "look at its MEMUSER and THREADS sections; IBM Thread and Monitor Dump Analyzer",
    ),
    (
        Early,
        b"portable heap dump",
        "an OpenJ9 portable heap dump (PHD)",
        "Eclipse MAT with the DTFJ plug-in; or take an HPROF: jcmd PID GC.heap_dump FILE",
    ),
    (Begin, b"desc: ", "a profile of valgrind's massif", "ms_print FILE"),
    (
        Begin,
        b"{\"dhatFileVersion\"",
        "a profile of DHAT",
        "open it in dh_view.html, which comes with valgrind",
    ),
    (Begin, b"{\"dhat", "a profile of DHAT", "open it in dh_view.html, which comes with valgrind"),
    (
        Early,
        b"speedscope.app/file-format-schema",
        "a profile of speedscope",
        "open it on speedscope.app; py-spy record -f raw writes folded stacks, which are read here",
    ),
    (
        Early,
        b"\"javascriptHeap\"",
        "a diagnostic report of Node.js",
        "look at javascriptHeap and resourceUsage in it; a heap snapshot tells who holds it",
    ),
    (Early, b"\"traceEvents\"", "a trace of Chrome or V8", "open it in ui.perfetto.dev"),
    (
        Early,
        b"\"startTime\":",
        "a profile of V8's processor time",
        "open it in Chrome's DevTools; for memory take a .heapprofile or a heap snapshot",
    ),
    (
        Early,
        b"tracemalloc",
        "a snapshot of Python's tracemalloc, as Snapshot.dump writes it",
        "tracemalloc.Snapshot.load(FILE).statistics('lineno'); those lines are read here",
    ),
    (
        Begin,
        b"Name:\t",
        "the status of a process (/proc/PID/status)",
        "grep -E 'VmHWM|VmRSS|RssAnon|VmSwap|Threads' FILE; smaps of the same process are read here",
    ),
    (
        Begin,
        b"Limit                     Soft Limit",
        "the limits of a process (/proc/PID/limits)",
        "grep -E 'open files|processes|address space' FILE; what counts against memory is its control group's limit",
    ),
    (
        Begin,
        b"MemTotal:",
        "the memory of a machine (/proc/meminfo)",
        "grep -E 'MemAvailable|SwapFree|Slab|Committed_AS' FILE",
    ),
    (Begin, b"\xd0\xcf\x11\xe0", "a file of an office program", "it is no artifact of a program"),
    (Begin, b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it: 7z x FILE"),
    (Begin, b"Rar!", "a rar archive", "unpack it"),
    (Begin, b"\xfd7zXZ", "an xz file", "unpack it: xz -dc FILE | plimsoll read -"),
    (Begin, b"BZh", "a bzip2 file", "unpack it: bzip2 -dc FILE | plimsoll read -"),
    (Begin, b"\x04\x22\x4d\x18", "an lz4 file", "unpack it: lz4 -dc FILE | plimsoll read -"),
];

/// What begins like this, when another tool reads it. Heaptrack's records have no name in them, but a first line of their own.
pub fn unread(head: &[u8]) -> Option<Unread> {
    let early = head.get(..head.len().min(EARLY)).unwrap_or_default();
    let is_there = |place: &Place, word: &[u8]| match place {
        Begin => early.starts_with(word),
        Early => memchr::memmem::find(early, word).is_some(),
    };
    if is_heaptrack(early) {
        return Some(Unread { what: "a recording of heaptrack", next: "heaptrack_print -f FILE" });
    }
    let known = KNOWN.iter().find(|(place, word, ..)| is_there(place, word));
    known.map(|(_, _, what, next)| Unread { what, next })
}

/// `v 10300 2` and, on the next line, `X program`.
fn is_heaptrack(head: &[u8]) -> bool {
    let mut lines = head.split(|b| *b == b'\n');
    let version = lines.next().and_then(|l| l.strip_prefix(b"v "));
    let is_version =
        version.is_some_and(|v| !v.is_empty() && v.iter().all(|b| b.is_ascii_hexdigit() || *b == b' '));
    is_version && lines.next().is_some_and(|l| l.starts_with(b"X ") || l.starts_with(b"x "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_read_is_named_with_its_tool() {
        for (head, next) in [
            (&b"FLR\0\0\x02"[..], "jfr "),
            (b"memray\x0b\0", "memray "),
            (b"v 10300 2\nX /srv/app\n", "heaptrack_print"),
            (b"{\"exporter\": \"py-spy\", \"$schema\": \"https://www.speedscope.app/file-format-schema.json\"}", "speedscope"),
            (b"\x80\x04\x95\x10\0\x8c\x0btracemalloc\x94", "tracemalloc.Snapshot"),
            (b"desc: --massif\ncmd: app\n", "ms_print"),
            (b"PERFILE2\x68", "perf report"),
            (b"\x14\0\0\0!FastSerialization.1", "dotnet-gcdump"),
            (b"Name:\tjava\nUmask:\t0022\n", "VmRSS"),
            (b"Limit                     Soft Limit           Hard Limit           Units     \n", "open files"),
            (b"MemTotal:       24683940 kB\n", "MemAvailable"),
        ] {
            let named = unread(head).unwrap_or_else(|| panic!("{head:?}"));
            assert!(named.next.contains(next), "{named:?}");
        }
        for head in [&b"hello world\n"[..], b"", b"v 1", b"{\"a\": 1}", b"v 1\nvoila\n"] {
            assert_eq!(unread(head), None);
        }
    }
}
