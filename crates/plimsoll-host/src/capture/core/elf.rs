//! The head of a core: ELF for amd64, notes of threads, program, mapped files and the auxiliary vector. Never the
//! command line: it may hold secrets.

use std::fs;
use std::path::Path;

use super::pages::{Area, Run};
use crate::step::go_memory::LARGEST_VECTOR;

/// Segments that a header can count, without the notes.
pub(super) const MOST: usize = 65_000;
const HEAD: u64 = 64;
const SEGMENT: u64 = 56;
const PAGE: u64 = 4096;
const AMD64: u16 = 62;
/// Kinds of notes, and sizes of the kernel's records on amd64.
const THREAD: u32 = 1;
const PROGRAM: u32 = 3;
const VECTOR: u32 = 6;
const FILES: u32 = 0x4649_4c45;
const THREAD_SIZE: usize = 336;
const PROGRAM_SIZE: usize = 136;
/// Where the registers are in a thread's record, and their numbers.
const REGISTERS: usize = 112;
const RIP: usize = 16;
const RSP: usize = 19;
/// Of a call of the system: its number and its arguments.
const CALL: [usize; 7] = [15, 14, 13, 12, 7, 9, 8];
/// Selectors of a program of 64 bits.
const SELECTORS: [(usize, u64); 2] = [(17, 0x33), (20, 0x2b)];
const MOST_FILES: usize = 65_000;

/// Whether a core of the process can be written, or why not.
pub(super) fn is_known(process: &Path) -> Result<(), String> {
    let mut head = [0; 20];
    let exe = process.join("exe");
    let read = fs::File::open(&exe).and_then(|f| std::os::unix::fs::FileExt::read_exact_at(&f, &mut head, 0));
    read.map_err(|e| format!("failed to read {}: {e}", exe.display()))?;
    let is = head.starts_with(b"\x7fELF\x02\x01") && u16::from_le_bytes([head[18], head[19]]) == AMD64;
    if is { Ok(()) } else { Err("a raw copy is made of 64-bit programs for amd64 only".to_owned()) }
}

/// Everything before the memory.
pub(super) fn head(process: &Path, pid: i32, areas: &[Area], runs: &[Run]) -> Vec<u8> {
    let notes = notes(process, pid, areas);
    let count = runs.len() + 1;
    let notes_at = HEAD + count as u64 * SEGMENT;
    let memory_at = (notes_at + notes.len() as u64).next_multiple_of(PAGE);
    let mut out = Vec::new();
    out.extend(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    // A core (4), for amd64, version 1, without entry.
    out.extend([4_u16.to_le_bytes(), AMD64.to_le_bytes()].concat());
    out.extend(1_u32.to_le_bytes());
    [0, HEAD, 0].iter().for_each(|n: &u64| out.extend(n.to_le_bytes()));
    out.extend(0_u32.to_le_bytes());
    let count = u16::try_from(count).unwrap_or(u16::MAX);
    [HEAD as u16, SEGMENT as u16, count, 0, 0, 0].iter().for_each(|n| out.extend(n.to_le_bytes()));
    segment(&mut out, [4, 0], [notes_at, 0, notes.len() as u64, 4]);
    let mut at = memory_at;
    for run in runs {
        segment(&mut out, [1, run.rights], [at, run.start, run.end - run.start, PAGE]);
        at += run.end - run.start;
    }
    out.extend(notes);
    out.resize(usize::try_from(memory_at).unwrap_or(out.len()), 0);
    out
}

fn segment(out: &mut Vec<u8>, [kind, rights]: [u32; 2], [offset, address, size, align]: [u64; 4]) {
    out.extend([kind.to_le_bytes(), rights.to_le_bytes()].concat());
    let in_memory = if kind == 1 { size } else { 0 };
    [offset, address, 0, size, in_memory, align].iter().for_each(|n| out.extend(n.to_le_bytes()));
}

fn notes(process: &Path, pid: i32, areas: &[Area]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut threads: Vec<i32> = fs::read_dir(process.join("task"))
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|e| e.file_name().to_str()?.parse().ok())
        .collect();
    // The first one is taken for the process.
    threads.sort_unstable_by_key(|t| (*t != pid, *t));
    for (number, thread) in threads.iter().enumerate() {
        note(&mut out, THREAD, &thread_record(process, *thread));
        if number == 0 {
            note(&mut out, PROGRAM, &program_record(process, pid));
            let vector = fs::read(process.join("auxv")).unwrap_or_default();
            note(&mut out, VECTOR, &vector[..vector.len().min(LARGEST_VECTOR)]);
            note(&mut out, FILES, &files(areas));
        }
    }
    out
}

fn note(out: &mut Vec<u8>, kind: u32, body: &[u8]) {
    let name = b"CORE\0\0\0\0";
    [5, u32::try_from(body.len()).unwrap_or(0), kind].iter().for_each(|n| out.extend(n.to_le_bytes()));
    out.extend(name);
    out.extend(body);
    out.resize(out.len().next_multiple_of(4), 0);
}

/// Where a thread stands, as far as the kernel tells it without a debugger: instruction, stack, and the call of the
/// system that it is in.
fn thread_record(process: &Path, thread: i32) -> Vec<u8> {
    let mut out = vec![0; THREAD_SIZE];
    let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
    put(32, &thread.to_le_bytes());
    let path = process.join("task").join(thread.to_string()).join("syscall");
    let text = fs::read_to_string(path).unwrap_or_default();
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let hex = |w: &&str| u64::from_str_radix(w.strip_prefix("0x").unwrap_or(w), 16).unwrap_or(0);
    let mut register = |number: usize, value: u64| put(REGISTERS + 8 * number, &value.to_le_bytes());
    // `NUMBER six arguments SP PC`, `-1 SP PC` outside of a call, or `running`.
    if let [call @ .., sp, pc] = words.as_slice() {
        register(RSP, hex(sp));
        register(RIP, hex(pc));
        SELECTORS.iter().for_each(|(number, value)| register(*number, *value));
        let number = call.first().and_then(|n| n.parse::<i64>().ok()).unwrap_or(-1);
        register(CALL[0], number.cast_unsigned());
        for (slot, argument) in CALL.iter().skip(1).zip(call.iter().skip(1)) {
            register(*slot, hex(argument));
        }
    }
    out
}

fn program_record(process: &Path, pid: i32) -> Vec<u8> {
    let mut out = vec![0; PROGRAM_SIZE];
    out[24..28].copy_from_slice(&pid.to_le_bytes());
    let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
    let name = name.trim_end().as_bytes();
    let length = name.len().min(15);
    out[40..40 + length].copy_from_slice(&name[..length]);
    out
}

fn files(areas: &[Area]) -> Vec<u8> {
    let mapped: Vec<&Area> = areas.iter().filter(|a| !a.path.is_empty()).take(MOST_FILES).collect();
    let mut out = [(mapped.len() as u64).to_le_bytes(), PAGE.to_le_bytes()].concat();
    for a in &mapped {
        [a.start, a.end, a.offset / PAGE].iter().for_each(|n| out.extend(n.to_le_bytes()));
    }
    for a in &mapped {
        out.extend(a.path.bytes());
        out.push(0);
    }
    out
}
