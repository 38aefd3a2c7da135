//! The runtime of a Go program, read from outside: goroutines with their stacks, what they wait for and who started
//! them, and the sites of the memory profile. Nothing runs in the program, nothing in it is stopped.
//!
//! What stays in every binary, stripped or not, leads there: the build information says which Go it is, `.gopclntab`
//! names functions and lines, and the code of some of the runtime's own functions holds the addresses of its
//! variables. Where things lie within a record stands in a table by version ([`layout`]); another version is refused.
//! A running program changes while it is read: what moved is read again, and what moves on is counted, not guessed.
//!
//! All of it is read through [`ReadAt`], so whatever holds the bytes of an executable and of a memory can be read.

mod batch;
mod buckets;
pub(crate) mod elf;
mod globals;
mod layout;
mod line_table;
#[cfg(test)]
mod tests;
mod unwind;
mod walk;

use std::sync::Arc;

use crate::core_file::u64_at;
use elf::Executable;
use globals::Globals;
use layout::Layout;
use line_table::LineTable;
use unwind::Unwinder;
pub use walk::Census;

/// Bytes by their place: a file by offset, the memory of a process by address.
pub trait ReadAt: Send + Sync {
    /// Reads from `at` on; how many bytes could be read in one piece, 0 when not even the first.
    fn read_at(&self, at: u64, to: &mut [u8]) -> usize;
}

/// An executable or a memory that its reader shares.
pub type Bytes = Arc<dyn ReadAt>;

/// Why a program cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Another format or processor.
    #[error("{0}: only 64-bit programs for amd64 are read from outside")]
    Machine(&'static str),
    /// No line table of Go's.
    #[error("it has no line table of Go's (.gopclntab): no Go program, or a packer took it away")]
    NotGo,
    /// A line table of another form.
    #[error("its line table has the form of {0}; Go {first} to {last} are read from outside", first = layout::first(), last = layout::last())]
    Table(&'static str),
    /// No version.
    #[error("its build information does not say which Go built it")]
    NoVersion,
    /// A version whose records are not known.
    #[error("it was built by {0}; Go {first} to {last} are read from outside", first = layout::first(), last = layout::last())]
    Version(String),
    /// Something of the runtime was not where it should be.
    #[error("{0} was not found in it: this runtime was built in another way")]
    Missing(&'static str),
    /// Memory that must be there cannot be read.
    #[error("its memory cannot be read at {0}")]
    Memory(&'static str),
    /// What is there does not look like goroutines.
    #[error("{bad} of {seen} records do not look like goroutines of {version}: its layout is another one")]
    Layout {
        /// Records that do not.
        bad: u64,
        /// Records looked at.
        seen: u64,
        /// The version that the program tells.
        version: String,
    },
}

/// How far a program was loaded from where it was linked to, given where its program headers are in memory (`AT_PHDR`
/// of the auxiliary vector); none when it is no such program.
pub fn bias(executable: &Bytes, headers: u64) -> Option<u64> {
    Some(headers.wrapping_sub(Executable::open(executable).ok()?.headers?))
}

/// The version of Go that built a program, such as `go1.27.3`; none when it does not say.
pub fn version(executable: &Bytes) -> Option<String> {
    Executable::open(executable).ok()?.go_version()
}

/// A Go program that can be read.
pub struct Program {
    version: String,
    layout: &'static Layout,
    memory: Bytes,
    globals: Globals,
    unwinder: Unwinder,
}

impl Program {
    /// Finds the runtime's variables. `bias` is how far the program was loaded from where it was linked to.
    ///
    /// # Errors
    /// When it is none that can be read, with the reason.
    pub fn open(executable: &Bytes, memory: &Bytes, bias: u64) -> Result<Program, Refusal> {
        let executable = Executable::open(executable)?;
        let lines = LineTable::open(&executable)?;
        let version = executable.go_version().ok_or(Refusal::NoVersion)?;
        let layout = layout::of(&version).ok_or_else(|| Refusal::Version(version.clone()))?;
        let module = globals::module(&executable, memory.as_ref(), &lines, bias, layout)?;
        let globals = Globals::find(&executable, &lines, &module, bias)?;
        let unwinder = Unwinder::new(executable, lines, module, bias, layout);
        Ok(Program { version, layout, memory: Arc::clone(memory), globals, unwinder })
    }

    /// The version of Go that built it.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Records of goroutines that it has, the dead ones, which are used again, included.
    ///
    /// # Errors
    /// When its memory cannot be read.
    pub fn records(&self) -> Result<u64, Refusal> {
        self.word(self.globals.count).ok_or(Refusal::Memory("the number of goroutines"))
    }

    fn word(&self, at: u64) -> Option<u64> {
        let mut word = [0; 8];
        (self.memory.read_at(at, &mut word) == word.len()).then(|| u64_at(&word, 0)).flatten()
    }
}
