//! An interpreter made by hand, whole and damaged.

use std::sync::Arc;

use super::*;

/// Memory from an address on.
struct Piece(u64, Vec<u8>);

impl ReadAt for Piece {
    fn read_at(&self, at: u64, to: &mut [u8]) -> usize {
        let from = at.checked_sub(self.0).and_then(|at| self.1.get(usize::try_from(at).ok()?..));
        let n = from.map_or(0, |from| from.len().min(to.len()));
        to[..n].copy_from_slice(&from.unwrap_or_default()[..n]);
        n
    }
}

const START: u64 = 0x40_0000;
const RUNTIME: u64 = 0x40_1000;

/// An ELF file with one mapped piece and the section; its state is at 0x1000 in it.
fn file() -> Vec<u8> {
    let mut out = vec![0_u8; 0x1000];
    let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"\x7fELF\x02\x01");
    put(18, &62_u16.to_le_bytes());
    for (at, v) in [(32, 64_u64), (40, 0x200)] {
        put(at, &v.to_le_bytes());
    }
    for (at, v) in [(56, 1_u16), (60, 2), (62, 1)] {
        put(at, &v.to_le_bytes());
    }
    // The mapped piece: kind, offset, address, size.
    put(64, &1_u32.to_le_bytes());
    put(64 + 16, &START.to_le_bytes());
    put(64 + 32, &0x4000_u64.to_le_bytes());
    // The section, and that of the names.
    put(0x200, &1_u32.to_le_bytes());
    for (at, v) in [(0x210, RUNTIME), (0x218, 0x1000), (0x220, 0x2000), (0x258, 0x300), (0x260, 16)] {
        put(at, &v.to_le_bytes());
    }
    put(0x301, b".PyRuntime\0");
    out
}

/// The state, an interpreter at +0x400, and two threads at +0x800 and +0xc00.
fn memory(edit: impl Fn(&mut dyn FnMut(u64, u64))) -> Vec<u8> {
    let mut out = vec![0_u8; 0x1000];
    let mut put = |at: u64, v: u64| {
        let at = at as usize;
        out[at..at + 8].copy_from_slice(&v.to_le_bytes());
    };
    put(0, u64::from_le_bytes(*b"xdebugpy"));
    let words = [
        (VERSION, 0x030e_0af0),
        (INTERPRETERS, 0x380),
        (INTERPRETER_SIZE, 0x300),
        (THREADS, 0x10),
        (MAIN_THREAD, 0x18),
        (THREAD_SIZE, 0x300),
        (NEXT_THREAD, 0x8),
        (NATIVE_ID, 0x20),
        (EVAL_BREAKER, 0x28),
        (SUPPORT, 0x40),
        (ENABLED, 0x20),
        (PENDING, 0),
        (PATH, 4),
        (PATH_SIZE, 512),
    ];
    for (at, v) in words {
        put(8 * at as u64, v);
    }
    put(0x380, RUNTIME + 0x400);
    put(0x400 + 0x10, RUNTIME + 0xc00);
    put(0x400 + 0x18, RUNTIME + 0x800);
    put(0x400 + 0x20, 1);
    put(0x800 + 0x20, 7);
    put(0xc00 + 0x8, RUNTIME + 0x800);
    put(0xc00 + 0x20, 8);
    edit(&mut put);
    out
}

fn found(memory: Vec<u8>) -> Result<Vec<Door>, Refusal> {
    let file: Bytes = Arc::new(Piece(0, file()));
    assert!(is_interpreter(&file));
    let memory: Bytes = Arc::new(Piece(RUNTIME, memory));
    doors(&file, &memory, START)
}

#[test]
fn every_thread_has_its_door_and_the_main_one_comes_first() {
    let doors = found(memory(|_| {})).expect("found");
    assert_eq!(doors.iter().map(|d| d.thread).collect::<Vec<_>>(), [7, 8]);
    let thread = RUNTIME + 0x800;
    let main = Door {
        thread: 7,
        eval_breaker: thread + 0x28,
        pending: thread + 0x40,
        path: thread + 0x44,
        path_size: 512,
    };
    assert_eq!(doors[0], main);
}

#[test]
fn what_is_not_known_or_switched_off_is_refused_with_the_reason() {
    let with = |at: usize, v: u64| found(memory(|put| put(8 * at as u64, v)));
    assert_eq!(with(0, 1), Err(Refusal::NoDoor));
    assert_eq!(with(VERSION, 0x030f_00a1), Err(Refusal::Unknown { major: 3, minor: 15 }));
    assert_eq!(with(FREE_THREADED, 1), Err(Refusal::FreeThreaded));
    assert_eq!(found(memory(|put| put(0x420, 0))), Err(Refusal::Off));
    let none: Bytes = Arc::new(Piece(0, b"\x7fELF".to_vec()));
    assert!(!is_interpreter(&none));
}

#[test]
fn nothing_is_written_beside_a_thread_and_a_ring_ends() {
    for (at, v) in
        [(PATH, 0x290), (PATH_SIZE, 1 << 20), (PENDING, u64::MAX), (SUPPORT, 0x300), (THREAD_SIZE, 1 << 40)]
    {
        let refused = found(memory(|put| put(8 * at as u64, v)));
        assert_eq!(refused, Err(Refusal::Broken("its table of offsets")), "{at}");
    }
    // A list of threads that leads back to itself.
    let doors = found(memory(|put| put(0xc08, RUNTIME + 0xc00))).expect("found");
    assert!(doors.len() <= MOST_THREADS + 1);
}

#[test]
fn memory_that_is_cut_anywhere_is_refused_or_read_but_never_a_panic() {
    let whole = memory(|_| {});
    for n in (0..whole.len()).step_by(7) {
        let _refused_or_read = found(whole[..n].to_vec());
    }
}
