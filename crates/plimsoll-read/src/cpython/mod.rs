//! The door by which a running CPython takes a script from outside (PEP 768): where in its memory the path of the script and
//! the wish to run it are put down. Read from what the interpreter itself tells of its layout in the section `.PyRuntime`.

#[cfg(test)]
mod tests;

use crate::core_file::u64_at;
use crate::go_runtime::elf::{Executable, bytes};
use crate::go_runtime::{Bytes, ReadAt};

/// The section of the interpreter's state.
const SECTION: &str = ".PyRuntime";
const COOKIE: &[u8] = b"xdebugpy";
/// The releases whose layout is known: what `PY_VERSION_HEX` of them begins with.
const KNOWN: u64 = 0x030e;
/// Places of what is read in the table of offsets, in words of eight bytes; CPython 3.14.
const VERSION: usize = 1;
const FREE_THREADED: usize = 2;
const INTERPRETERS: usize = 5;
const INTERPRETER_SIZE: usize = 6;
const THREADS: usize = 9;
const MAIN_THREAD: usize = 10;
const THREAD_SIZE: usize = 22;
const NEXT_THREAD: usize = 24;
const NATIVE_ID: usize = 28;
const EVAL_BREAKER: usize = 89;
const SUPPORT: usize = 90;
const ENABLED: usize = 91;
const PENDING: usize = 92;
const PATH: usize = 93;
const PATH_SIZE: usize = 94;
const WORDS: usize = 95;
/// No structure of the interpreter is larger, bytes.
const LARGEST: u64 = 16 << 20;
/// Bytes of a path that are believed.
const LONGEST_PATH: u64 = 1 << 16;
/// Threads that are looked at.
const MOST_THREADS: usize = 4096;

/// Why it takes no script.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The file is of no interpreter with a door.
    #[error("it has no section .PyRuntime: no CPython of 3.14 or later, or another processor")]
    NoDoor,
    /// Another release than those that are known.
    #[error("its layout is that of CPython {major}.{minor}; that of 3.14 is known")]
    Unknown {
        /// 3.
        major: u64,
        /// The release.
        minor: u64,
    },
    /// Built without the lock of the interpreter.
    #[error("it is built without the interpreter's lock: other threads would change what is counted")]
    FreeThreaded,
    /// Switched off by whoever started it.
    #[error(
        "it was started with remote debugging off (PYTHON_DISABLE_REMOTE_DEBUG, or -X disable-remote-debug)"
    )]
    Off,
    /// Its memory does not hold together.
    #[error("its memory cannot be read at {0}")]
    Broken(&'static str),
}

/// Where a thread takes a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Door {
    /// The thread, as the kernel numbers it.
    pub thread: u64,
    /// A word of eight bytes in which the bit [`STOP`] makes it look.
    pub eval_breaker: u64,
    /// A word of four bytes: 1 while a script is wished for.
    pub pending: u64,
    /// The path of the script, with a 0 at its end.
    pub path: u64,
    /// Bytes of the path at most, the 0 among them.
    pub path_size: u64,
}

/// Makes a thread of the interpreter look at what is wished for.
pub const STOP: u64 = 1 << 5;

/// Whether a file is of an interpreter with a door.
pub fn is_interpreter(file: &Bytes) -> bool {
    Executable::open(file).is_ok_and(|e| e.section(&[SECTION]).is_some())
}

/// Every thread's door, that of the main thread first. `start` is where the file's first byte is mapped.
///
/// # Errors
/// [`Refusal`]
pub fn doors(file: &Bytes, memory: &Bytes, start: u64) -> Result<Vec<Door>, Refusal> {
    let executable = Executable::open(file).map_err(|_| Refusal::NoDoor)?;
    let section = executable.section(&[SECTION]).ok_or(Refusal::NoDoor)?;
    let first = executable.address_of_offset(0).ok_or(Refusal::NoDoor)?;
    let runtime = start.wrapping_sub(first).wrapping_add(section.address);
    let offsets = Offsets::read(memory.as_ref(), runtime)?;
    let interpreter = offsets.pointer(memory.as_ref(), runtime, INTERPRETERS, "its interpreters")?;
    let enabled = interpreter.wrapping_add(offsets.within(ENABLED, INTERPRETER_SIZE)?);
    if number(memory.as_ref(), enabled).ok_or(Refusal::Broken("its settings"))? as u32 == 0 {
        return Err(Refusal::Off);
    }
    let main = offsets.pointer(memory.as_ref(), interpreter, MAIN_THREAD, "its main thread")?;
    let mut out = vec![offsets.door(memory.as_ref(), main)?];
    let mut next = offsets.pointer(memory.as_ref(), interpreter, THREADS, "its threads").ok();
    for _ in 0..MOST_THREADS {
        let Some(thread) = next.filter(|at| *at != 0) else { break };
        if thread != main {
            // Threads come and go meanwhile: one that is gone is left out.
            out.extend(offsets.door(memory.as_ref(), thread));
        }
        next = offsets.pointer(memory.as_ref(), thread, NEXT_THREAD, "a thread").ok();
    }
    Ok(out)
}

/// The table of offsets with which the interpreter's state begins.
struct Offsets(Vec<u8>);

impl Offsets {
    fn read(memory: &dyn ReadAt, at: u64) -> Result<Offsets, Refusal> {
        let table = Offsets(bytes(memory, at, 8 * WORDS as u64));
        if !table.0.starts_with(COOKIE) {
            return Err(Refusal::NoDoor);
        }
        let version = table.word(VERSION)?;
        if version >> 16 != KNOWN {
            return Err(Refusal::Unknown { major: version >> 24, minor: version >> 16 & 0xff });
        }
        if table.word(FREE_THREADED)? != 0 {
            return Err(Refusal::FreeThreaded);
        }
        Ok(table)
    }

    fn word(&self, at: usize) -> Result<u64, Refusal> {
        u64_at(&self.0, 8 * at).ok_or(Refusal::Broken("its table of offsets"))
    }

    /// An offset that lies within its structure: what is written to must not be beside it.
    fn within(&self, offset: usize, size: usize) -> Result<u64, Refusal> {
        let (offset, size) = (self.word(offset)?, self.word(size)?);
        (size <= LARGEST && offset < size).then_some(offset).ok_or(Refusal::Broken("its table of offsets"))
    }

    fn pointer(
        &self,
        memory: &dyn ReadAt,
        base: u64,
        offset: usize,
        what: &'static str,
    ) -> Result<u64, Refusal> {
        let at = base.wrapping_add(self.word(offset)?);
        number(memory, at).ok_or(Refusal::Broken(what))
    }

    fn door(&self, memory: &dyn ReadAt, thread: u64) -> Result<Door, Refusal> {
        let size = self.word(THREAD_SIZE)?;
        let support = self.within(SUPPORT, THREAD_SIZE)?;
        let (pending, path, path_size) = (self.word(PENDING)?, self.word(PATH)?, self.word(PATH_SIZE)?);
        let ends = |offset: u64, bytes: u64| {
            support.checked_add(offset)?.checked_add(bytes).filter(|end| *end <= size)
        };
        if path_size > LONGEST_PATH || ends(pending, 4).is_none() || ends(path, path_size).is_none() {
            return Err(Refusal::Broken("its table of offsets"));
        }
        let support = thread.wrapping_add(support);
        Ok(Door {
            thread: self.pointer(memory, thread, NATIVE_ID, "a thread")?,
            eval_breaker: thread.wrapping_add(self.within(EVAL_BREAKER, THREAD_SIZE)?),
            pending: support.wrapping_add(pending),
            path: support.wrapping_add(path),
            path_size,
        })
    }
}

fn number(memory: &dyn ReadAt, at: u64) -> Option<u64> {
    u64_at(&bytes(memory, at, 8), 0)
}
