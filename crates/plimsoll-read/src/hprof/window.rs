//! A sliding window over a stream: records are parsed where they were read, without a copy of each.

use std::io::{ErrorKind, Read};

/// No single read into less room than this, unless the buffer itself is smaller.
const ROOM: usize = 64 * 1024;

/// Why no more bytes come.
#[derive(Debug)]
pub(super) enum Stop {
    /// The stream is at its end.
    End,
    /// Reading or unpacking failed.
    Failed(std::io::Error),
}

/// The bytes at hand and where they lie in the unpacked stream.
pub(super) struct Window<'r> {
    reader: Box<dyn Read + Send + 'r>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    at: u64,
    /// Most bytes asked of the reader at once.
    chunk: usize,
    stop: Option<Stop>,
}

impl<'r> Window<'r> {
    pub(super) fn new(reader: Box<dyn Read + Send + 'r>, capacity: usize, chunk: usize) -> Window<'r> {
        Window { reader, buffer: vec![0; capacity.max(64)], start: 0, end: 0, at: 0, chunk, stop: None }
    }

    /// The same for a stream that begins at this offset.
    pub(super) fn from(at: u64, reader: Box<dyn Read + Send + 'r>, capacity: usize) -> Window<'r> {
        Window { at, ..Window::new(reader, capacity, usize::MAX) }
    }

    /// What is held, from the current offset on.
    pub(super) fn bytes(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Offset of the first byte held.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// Bytes that the window holds without growing.
    pub(super) fn capacity(&self) -> usize {
        self.buffer.len()
    }

    pub(super) fn stop(&mut self) -> Option<Stop> {
        self.stop.take()
    }

    fn held(&self) -> usize {
        self.end.saturating_sub(self.start)
    }

    /// Steps over `count` bytes that are held.
    pub(super) fn consume(&mut self, count: usize) {
        let count = count.min(self.held());
        self.start += count;
        self.at = self.at.saturating_add(count as u64);
    }

    /// Reads until `need` bytes are held; false when the stream ends before. The caller bounds `need`: the
    /// window grows to it.
    pub(super) fn fill(&mut self, need: usize) -> bool {
        while self.held() < need && self.stop.is_none() {
            self.make_room(need);
            self.read_once();
        }
        self.held() >= need
    }

    /// Steps over `count` bytes, held or still to come; tells how many there were.
    pub(super) fn skip(&mut self, count: u64) -> u64 {
        let mut left = count;
        while left > 0 && self.fill(1) {
            let step = usize::try_from(left).unwrap_or(usize::MAX).min(self.held());
            self.consume(step);
            left -= step as u64;
        }
        count - left
    }

    fn make_room(&mut self, need: usize) {
        let room = self.buffer.len().saturating_sub(self.end);
        let missing = need.saturating_sub(self.held());
        if room >= missing.max(ROOM.min(self.buffer.len() / 4)) {
            return;
        }
        self.buffer.copy_within(self.start..self.end, 0);
        self.end = self.held();
        self.start = 0;
        if self.buffer.len() < need {
            self.buffer.resize(need, 0);
        }
    }

    fn read_once(&mut self) {
        let limit = self.end.saturating_add(self.chunk).min(self.buffer.len());
        let Some(room) = self.buffer.get_mut(self.end..limit) else { return };
        match self.reader.read(room) {
            Ok(0) => self.stop = Some(Stop::End),
            Ok(n) => self.end += n.min(room.len()),
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => self.stop = Some(Stop::Failed(e)),
        }
    }
}

impl std::fmt::Debug for Window<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Window").field("at", &self.at).field("held", &self.held()).finish_non_exhaustive()
    }
}
