//! Where an artifact comes from: a file, or a stream that is kept in one.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use plimsoll_read::heap_dump::Source;

use crate::error::CliError;

/// An artifact in a file; what comes through a pipe is kept in one, as it is read more than once.
pub(in crate::cli) struct Input {
    file: File,
}

impl Input {
    pub(in crate::cli) fn open(path: &Path) -> Result<Input, CliError> {
        let failed = |e: io::Error| CliError::usage(format!("cannot open {}", path.display())).because(e);
        if path == Path::new("-") {
            return Input::keep(&mut io::stdin().lock(), path);
        }
        let mut file = File::open(path).map_err(failed)?;
        let kind = file.metadata().map_err(failed)?.file_type();
        // A folder can be opened, and fails oddly when it is read.
        if kind.is_dir() {
            return Err(CliError::usage(format!("{} is a folder", path.display())));
        }
        if kind.is_file() { Ok(Input { file }) } else { Input::keep(&mut file, path) }
    }

    /// Keeps a stream in a file without a name, which goes when this program does.
    pub(super) fn keep(stream: &mut impl io::Read, path: &Path) -> Result<Input, CliError> {
        let folder = std::env::temp_dir();
        let failed = |e: io::Error| {
            CliError::usage(format!("cannot keep {} in {}", path.display(), folder.display()))
                .because(e)
                .hint("a stream is read more than once: TMPDIR names a folder with room for all of it")
        };
        let mut file = tempfile::tempfile_in(&folder).map_err(failed)?;
        io::copy(stream, &mut file).map_err(failed)?;
        Ok(Input { file })
    }
}

/// Reads a file from its begin, without moving the place where others read it.
pub(super) struct FromBegin<'f> {
    file: &'f File,
    at: u64,
}

impl io::Read for FromBegin<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Input {
    /// Bytes; 0 where it cannot be told.
    pub(super) fn len(&self) -> u64 {
        self.file.metadata().map_or(0, |m| m.len())
    }

    pub(super) fn whole(&self) -> FromBegin<'_> {
        FromBegin { file: &self.file, at: 0 }
    }
}

impl Source for Input {
    fn open(&self) -> io::Result<Box<dyn io::Read + Send + '_>> {
        Ok(Box::new(self.whole()))
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, offset + done as u64) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(done)
    }

    fn size(&self) -> Option<u64> {
        Some(self.len()).filter(|len| *len > 0)
    }
}
