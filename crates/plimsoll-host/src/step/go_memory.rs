//! A Go program's memory, read from outside through `/proc`: whatever mount namespace it is in, and whether or not its
//! file was replaced since. It goes on meanwhile, and nothing in it changes.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use plimsoll_read::go_runtime::{self, Bytes, Program, ReadAt, Refusal};
use rustix::time::{ClockId, clock_gettime};

use crate::world::World;

/// Where the program headers are, in the auxiliary vector (getauxval(3)).
const HEADERS: u64 = 3;
pub(crate) const LARGEST_VECTOR: usize = 4096;

/// Why a program cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum GoMemoryError {
    /// A file of the process may not be read.
    #[error("failed to read {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// It is no Go program that is known.
    #[error("{0}")]
    Refused(#[from] Refusal),
}

/// A file, or the memory of a process.
struct Opened(File);

impl ReadAt for Opened {
    fn read_at(&self, at: u64, to: &mut [u8]) -> usize {
        let mut have = 0;
        while let Some(rest) = to.get_mut(have..).filter(|rest| !rest.is_empty()) {
            match self.0.read_at(rest, at.saturating_add(have as u64)) {
                Ok(n) if n > 0 => have += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                // The end of a file, or of what is mapped.
                _ => break,
            }
        }
        have
    }
}

/// Opens the program of a process, its runtime found.
///
/// # Errors
/// When it may not be read, or is no program of a Go that is known, for amd64.
pub fn open(world: &World, pid: i32) -> Result<Program, GoMemoryError> {
    let folder = world.proc_root.join(pid.to_string());
    let (executable, memory) = (bytes(&folder.join("exe"))?, bytes(&folder.join("mem"))?);
    let vector = folder.join("auxv");
    let words = fs::read(&vector).map_err(|source| GoMemoryError::File { path: vector, source })?;
    let bias = headers(&words).and_then(|at| go_runtime::bias(&executable, at));
    let bias = bias.ok_or(Refusal::Machine("its program headers are not in memory"))?;
    Ok(Program::open(&executable, &memory, bias)?)
}

/// The version of Go that built the program of a process; none when it is not told.
pub(crate) fn version(world: &World, pid: i32) -> Option<String> {
    let exe = world.proc_root.join(pid.to_string()).join("exe");
    go_runtime::version(&bytes(&exe).ok()?)
}

/// The time that waits are measured in, nanoseconds.
pub(crate) fn now() -> Option<u64> {
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).ok()?.checked_mul(1_000_000_000)?;
    seconds.checked_add(u64::try_from(now.tv_nsec).ok()?)
}

/// A file, or the memory of a process, as readers take it.
pub(crate) fn shared(file: File) -> Bytes {
    Arc::new(Opened(file))
}

fn bytes(path: &Path) -> Result<Bytes, GoMemoryError> {
    let file = File::open(path).map_err(|source| GoMemoryError::File { path: path.to_owned(), source })?;
    Ok(shared(file))
}

/// Where the program headers are in memory.
fn headers(vector: &[u8]) -> Option<u64> {
    let word = |b: &[u8]| Some(u64::from_le_bytes(b.get(..8)?.try_into().ok()?));
    let pairs = vector.get(..vector.len().min(LARGEST_VECTOR))?.chunks_exact(16);
    let mut pairs = pairs.filter_map(|p| Some((word(p)?, word(p.get(8..)?)?)));
    pairs.find(|(kind, _)| *kind == HEADERS).map(|(_, at)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vector_tells_where_the_headers_are() {
        let pair = |kind: u64, value: u64| [kind.to_le_bytes(), value.to_le_bytes()].concat();
        let vector = [pair(6, 4096), pair(3, 0x40_0040), pair(0, 0)].concat();
        assert_eq!(headers(&vector), Some(0x40_0040));
        assert_eq!(headers(&vector[..20]), None, "cut");
    }

    #[test]
    fn this_test_is_no_go_program() {
        let own = i32::try_from(std::process::id()).expect("a pid");
        let refused = open(&World::default(), own).err();
        assert!(matches!(refused, Some(GoMemoryError::Refused(Refusal::NotGo))), "{refused:?}");
        assert_eq!(version(&World::default(), own), None);
    }
}
