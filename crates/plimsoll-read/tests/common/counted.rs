//! A dump that counts what is read of it.

use std::io::{self, Read};
use std::sync::atomic::{AtomicU64, Ordering};

use plimsoll_read::heap_dump::Source;

/// A dump that counts what is read of it.
pub(crate) struct Counted<'a> {
    bytes: &'a [u8],
    streamed: AtomicU64,
    in_pieces: AtomicU64,
    is_sized: bool,
}

impl<'a> Counted<'a> {
    /// One thread reads it.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Counted { bytes, streamed: AtomicU64::new(0), in_pieces: AtomicU64::new(0), is_sized: false }
    }

    /// Its size is told: two threads may read it.
    pub(crate) fn sized(bytes: &'a [u8]) -> Self {
        Counted { is_sized: true, ..Counted::new(bytes) }
    }

    /// Bytes read from the begin on, as times the whole, and those read in pieces.
    pub(crate) fn read(&self) -> (f64, u64) {
        let streamed = self.streamed.load(Ordering::Relaxed);
        (streamed as f64 / self.bytes.len() as f64, self.in_pieces.load(Ordering::Relaxed))
    }
}

struct Stream<'a, 'b>(&'a Counted<'b>, &'a [u8]);

impl Read for Stream<'_, '_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.1.read(into)?;
        self.0.streamed.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

impl Source for Counted<'_> {
    fn open(&self) -> io::Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(Stream(self, self.bytes)))
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.bytes.read_at(offset, buffer)?;
        self.in_pieces.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }

    fn size(&self) -> Option<u64> {
        self.is_sized.then_some(self.bytes.len() as u64)
    }
}
