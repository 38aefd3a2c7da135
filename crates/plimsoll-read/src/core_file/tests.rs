//! Cores made here byte by byte, cuts at every place, and hostile bytes.

use plimsoll_core::classify::Certainty;
use proptest::prelude::*;

use super::*;
use crate::formats::Kind as _;

fn note(kind: u32, body: &[u8]) -> Vec<u8> {
    let mut out = [5u32, u32::try_from(body.len()).unwrap(), kind].map(u32::to_le_bytes).concat();
    out.extend(b"CORE\0\0\0\0");
    out.extend(body);
    out.resize(out.len().next_multiple_of(4), 0);
    out
}

fn put(to: &mut [u8], at: usize, bytes: &[u8]) {
    to[at..at + bytes.len()].copy_from_slice(bytes);
}

/// A core of `java`, killed by signal 6, with three threads, one file and two pieces of memory.
fn core() -> Vec<u8> {
    let mut status = vec![0; 336];
    put(&mut status, 12, &6u16.to_le_bytes());
    put(&mut status, 32, &42u32.to_le_bytes());
    let mut info = vec![0; 136];
    put(&mut info, 24, &42u32.to_le_bytes());
    put(&mut info, 40, b"java\0");
    put(&mut info, 56, b"java -Dpassword=hunter2\0");
    let mut signal = vec![0; 128];
    put(&mut signal, 0, &6u32.to_le_bytes());
    put(&mut signal, 8, &(-6i32).to_le_bytes());
    put(&mut signal, 16, &42u32.to_le_bytes());
    let mut files = [2u64, 4096, 0x1000, 0x2000, 0, 0x5000, 0x6000, 0].map(u64::to_le_bytes).concat();
    files.extend(b"/opt/jdk/bin/java\0/opt/jdk/lib/server/libjvm.so\0");
    let notes = [
        note(1, &status),
        note(3, &info),
        note(0x5349_4749, &signal),
        note(0x4649_4c45, &files),
        note(1, &status),
        note(1, &status),
    ]
    .concat();
    let mut out = vec![0; 64];
    put(&mut out, 0, b"\x7fELF\x02\x01\x01");
    put(&mut out, 16, &[4u16, 62].map(u16::to_le_bytes).concat());
    put(&mut out, 32, &64u64.to_le_bytes());
    put(&mut out, 56, &3u16.to_le_bytes());
    let begin = 64 + 3 * 56;
    let after = begin + notes.len() as u64;
    let mut header = |kind: u32, flags: u32, rest: [u64; 6]| {
        out.extend([kind, flags].map(u32::to_le_bytes).concat());
        out.extend(rest.map(u64::to_le_bytes).concat());
    };
    header(4, 0, [begin, 0, 0, notes.len() as u64, 0, 4]);
    header(1, 5, [after, 0x1000, 0, 0, 0x1000, 4096]);
    header(1, 6, [after, 0x10_0000, 0, 8192, 8192, 4096]);
    out.extend(notes);
    out.resize(out.len() + 8192, 7);
    out
}

#[test]
fn a_core_tells_who_died_and_how() {
    let core = read(&mut core().as_slice()).unwrap();
    assert_eq!((core.program.as_deref(), core.pid, core.threads), (Some("java"), Some(42), 3));
    assert_eq!(core.signal, Some(Signal { number: 6, code: Some(-6), sender: Some(42) }));
    assert_eq!((core.files.len(), core.lacks()), (2, None));
    let r = core.report();
    assert_eq!(
        r.head.summary,
        "java left a core at SIGABRT with 3 threads, 12.0 KiB mapped; 8.00 KiB of anonymous memory are in the file."
    );
    assert_eq!((r.memory_bytes, r.kept_bytes, r.anonymous_bytes), (12_288, 8192, 8192));
    let hint = r.head.findings[0].hint.as_ref().unwrap();
    assert!(
        hint.contains("jhsdb jmap --binaryheap --dumpfile heap.hprof --exe /opt/jdk/bin/java --core FILE"),
        "{hint}"
    );
    assert!(r.head.findings.iter().any(|f| f.pro.iter().any(|c| c.contains("leaves no core"))));
    let json = serde_json::to_string(&r).unwrap();
    assert!(!json.contains("hunter2"), "the command line is not told");
}

#[test]
fn a_cut_anywhere_is_told() {
    let whole = core();
    for cut in (18..whole.len()).step_by(7) {
        let core = read(&mut &whole[..cut]).unwrap();
        assert!(core.lacks().is_some(), "{cut}");
        let r = core.report();
        assert!(r.threads <= 3 && r.head.artifact.truncated.is_some(), "{cut}");
        assert_eq!(r.head.findings[0].certainty, Certainty::Certain);
    }
}

#[test]
fn other_files_are_not_cores() {
    let mut program = core();
    put(&mut program, 16, &2u16.to_le_bytes());
    assert!(!Core::looks_like(&program) && read(&mut program.as_slice()).is_none());
    assert!(Core::looks_like(&core()) && !Core::looks_like(b"\x7fELF"));
    let mut small = core();
    put(&mut small, 4, &[1]);
    let small = read(&mut small.as_slice()).unwrap();
    assert!(small.segments.is_empty() && small.warnings.list()[0].contains("32 bits"));
}

proptest! {
    #[test]
    fn hostile_bytes_never_panic(changes in prop::collection::vec((18usize..1400, any::<u8>()), 0..40), end in 18usize..1400) {
        let mut bytes = core();
        changes.iter().for_each(|(at, b)| bytes[*at] = *b);
        let core = read(&mut &bytes[..end]).unwrap();
        let r = core.report();
        prop_assert!(!r.head.summary.is_empty() && r.largest.len() <= ROWS_OF_TABLE);
        let _tables = r.tables();
    }
}

/// What the table holds at most.
const ROWS_OF_TABLE: usize = 12;
