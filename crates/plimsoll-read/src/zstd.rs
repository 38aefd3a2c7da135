//! Unpacks zstd as a stream: one frame or many, with frames that are to be stepped over between them.

use std::io::{Error, ErrorKind, Read, Result};

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// A frame may ask for as much memory as this, bytes; a hostile one asks for more.
const LARGEST_WINDOW: u64 = 128 << 20;

/// The packed bytes, which remember whether they were at their end.
struct Packed<R> {
    inner: R,
    ended: bool,
}

impl<R: Read> Read for Packed<R> {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        let n = self.inner.read(into)?;
        self.ended |= n == 0 && !into.is_empty();
        Ok(n)
    }
}

/// Unpacked bytes of zstd frames.
pub(crate) struct Frames<R> {
    packed: Packed<R>,
    decoder: FrameDecoder,
    in_frame: bool,
}

impl<R: Read> Frames<R> {
    pub(crate) fn new(inner: R) -> Frames<R> {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(LARGEST_WINDOW);
        Frames { packed: Packed { inner, ended: false }, decoder, in_frame: false }
    }

    /// Goes on to the next frame; false when there is none.
    fn next_frame(&mut self) -> Result<bool> {
        loop {
            let mut first = [0];
            if self.packed.read(&mut first)? == 0 {
                return Ok(false);
            }
            match self.decoder.reset(first.as_slice().chain(&mut self.packed)) {
                Ok(()) => {
                    self.in_frame = true;
                    return Ok(true);
                }
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let length = u64::from(length);
                    let skipped = std::io::copy(&mut (&mut self.packed).take(length), &mut std::io::sink())?;
                    if skipped < length {
                        return Err(ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(e) => return Err(self.error(e)),
            }
        }
    }

    /// What is missing is told apart from what is wrong.
    fn error(&self, error: FrameDecoderError) -> Error {
        let kind = if self.packed.ended { ErrorKind::UnexpectedEof } else { ErrorKind::InvalidData };
        Error::new(kind, error)
    }

    /// The frame's checksum, where it has one.
    fn check(&self) -> Result<()> {
        match self.decoder.get_checksum_from_data() {
            Some(told) if self.decoder.get_calculated_checksum() != Some(told) => {
                Err(Error::new(ErrorKind::InvalidData, "a zstd frame has a wrong checksum"))
            }
            _ => Ok(()),
        }
    }
}

impl<R: Read> Read for Frames<R> {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        loop {
            if !self.in_frame && !self.next_frame()? {
                return Ok(0);
            }
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                let some = BlockDecodingStrategy::UptoBlocks(1);
                let decoded = self.decoder.decode_blocks(&mut self.packed, some);
                decoded.map_err(|e| self.error(e))?;
            }
            let n = self.decoder.read(into)?;
            if n > 0 || into.is_empty() {
                return Ok(n);
            }
            self.in_frame = false;
            self.check()?;
        }
    }
}
