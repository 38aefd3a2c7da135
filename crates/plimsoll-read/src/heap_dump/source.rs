//! Where the bytes of a dump come from: they are read more than once.

use std::io::{self, Read};

/// A dump that can be read again, whole or in part.
pub trait Source: Sync {
    /// From its begin.
    ///
    /// # Errors
    /// When it cannot be opened.
    fn open(&self) -> io::Result<Box<dyn Read + Send + '_>>;

    /// Some bytes at an offset; how many were read, 0 at the end.
    ///
    /// # Errors
    /// [`io::ErrorKind::Unsupported`] from a source that can only be read from its begin: it is read whole then.
    fn read_at(&self, _offset: u64, _buffer: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Bytes there are, if that is known and [`Source::read_at`] reads them all: two threads may then read at once.
    fn size(&self) -> Option<u64> {
        None
    }
}

/// Bytes in memory.
impl Source for [u8] {
    fn open(&self) -> io::Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(self))
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let from = usize::try_from(offset).ok().and_then(|from| self.get(from..)).unwrap_or_default();
        let count = from.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), from.get(..count)) {
            to.copy_from_slice(from);
        }
        Ok(count)
    }

    fn size(&self) -> Option<u64> {
        Some(self.len() as u64)
    }
}
