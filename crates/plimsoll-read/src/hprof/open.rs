//! The first bytes of a dump: is it one, how is it packed, how wide are its identifiers.

use std::io::{BufReader, Cursor, ErrorKind, Read};

use super::window::{Stop, Window};
use crate::zstd::Frames;

/// Bytes held at once by default.
pub const BUFFER: usize = 4 << 20;
/// Bytes looked at to tell what a file is.
const SNIFFED: usize = 512;
/// Packed bytes read at once, and unpacked bytes asked for at once: decoders clear what they are lent.
const PACKED_CHUNK: usize = 64 * 1024;
const MAGIC: &[u8] = b"JAVA PROFILE ";

/// How the dump is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// Not at all.
    Plain,
    /// One or many gzip members.
    Gzip,
    /// One or many zstd frames.
    Zstd,
}

/// Format version, as the dump says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// One heap record.
    V1_0_1,
    /// Heap record in segments.
    V1_0_2,
    /// Android's.
    V1_0_3,
}

/// Width of an identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdSize {
    /// Four bytes.
    Four,
    /// Eight bytes.
    Eight,
}

impl IdSize {
    /// Bytes.
    pub fn bytes(self) -> usize {
        match self {
            IdSize::Four => 4,
            IdSize::Eight => 8,
        }
    }
}

/// What the header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Format version.
    pub version: Version,
    /// Width of identifiers.
    pub id_size: IdSize,
    /// When the dump was begun, milliseconds of Unix time.
    pub started_ms: u64,
}

/// Why something is not read as a heap dump.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No byte at all.
    #[error("failed to read a heap dump: it is empty")]
    Empty,
    /// Something else.
    #[error("failed to read a heap dump: this looks like {0}")]
    Other(&'static str),
    /// A version that is not known.
    #[error("failed to read a heap dump: unknown format version {0:?}")]
    Version(String),
    /// Identifiers of an impossible width.
    #[error("failed to read a heap dump: identifiers of {0} bytes (4 or 8 are known)")]
    IdSize(u32),
    /// It ends before its first record.
    #[error("failed to read a heap dump: it ends in its header, after {0} bytes")]
    Cut(u64),
    /// The stream could not be read or unpacked.
    #[error("failed to read a heap dump's header")]
    Read(#[source] std::io::Error),
}

/// A dump whose header was read.
#[derive(Debug)]
pub struct Dump<'r> {
    pub(super) window: Window<'r>,
    header: Header,
    packing: Packing,
}

impl Dump<'_> {
    /// What the header says.
    pub fn header(&self) -> Header {
        self.header
    }

    /// How it is packed.
    pub fn packing(&self) -> Packing {
        self.packing
    }

    /// Offset of what comes next.
    pub(crate) fn at(&self) -> u64 {
        self.window.at()
    }
}

impl<'r> Dump<'r> {
    /// A part of a plain dump with this header: `reader` gives it from a record at offset `at` on.
    pub(crate) fn part(header: Header, at: u64, reader: impl Read + Send + 'r) -> Dump<'r> {
        Dump { window: Window::from(at, Box::new(reader), BUFFER), header, packing: Packing::Plain }
    }
}

/// Opens a dump with the default buffer of [`BUFFER`] bytes.
pub fn open<'r>(reader: impl Read + Send + 'r) -> Result<Dump<'r>, OpenError> {
    open_with(reader, BUFFER)
}

/// Opens a dump with a buffer of `buffer` bytes. Single records larger than it make it grow, to 4 MiB at most;
/// arrays never do.
pub fn open_with<'r>(mut reader: impl Read + Send + 'r, buffer: usize) -> Result<Dump<'r>, OpenError> {
    let mut first = Vec::with_capacity(SNIFFED);
    reader.by_ref().take(SNIFFED as u64).read_to_end(&mut first).map_err(OpenError::Read)?;
    let packing = sniff(&first)?;
    let whole = Cursor::new(first).chain(reader);
    let (inner, chunk): (Box<dyn Read + Send + 'r>, usize) = match packing {
        Packing::Plain => (Box::new(whole), usize::MAX),
        Packing::Gzip => {
            let packed = BufReader::with_capacity(PACKED_CHUNK, whole);
            (Box::new(flate2::bufread::MultiGzDecoder::new(packed)), PACKED_CHUNK)
        }
        Packing::Zstd => {
            let packed = BufReader::with_capacity(PACKED_CHUNK, whole);
            (Box::new(Frames::new(packed)), PACKED_CHUNK)
        }
    };
    let mut window = Window::new(inner, buffer, chunk);
    let header = read_header(&mut window)?;
    Ok(Dump { window, header, packing })
}

fn sniff(first: &[u8]) -> Result<Packing, OpenError> {
    match first {
        [] => Err(OpenError::Empty),
        [0x1f, 0x8b, ..] => Ok(Packing::Gzip),
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Ok(Packing::Zstd),
        _ => Ok(Packing::Plain),
    }
}

/// What bytes that are no heap dump look like.
pub fn looks_like(first: &[u8]) -> &'static str {
    match first {
        [] => "an empty file",
        [0x7f, b'E', b'L', b'F', ..] => "an ELF file (a core dump or a program)",
        [b'P', b'K', 3, 4, ..] => "a zip archive: plimsoll read takes it as a bundle",
        [0xfd, b'7', b'z', b'X', b'Z', ..] => "an xz file: unpack it first",
        [b'B', b'Z', b'h', ..] => "a bzip2 file: unpack it first",
        [4, 0x22, 0x4d, 0x18, ..] => "an lz4 file: unpack it first",
        [0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd, ..] => "a file that was packed twice: unpack it once",
        [b'F', b'L', b'R', 0, ..] => "a flight recording (JFR)",
        [b'{', ..] if contains(first, b"\"snapshot\"") => "a V8 heap snapshot",
        [b'{', ..] if is_jsc(first) => {
            "a heap snapshot of JavaScriptCore (Bun, Safari): open it in Safari's Web Inspector, or let Bun write V8's \
             format by generateHeapSnapshot(\"v8\")"
        }
        [b'{' | b'[', ..] => "JSON",
        _ if contains(first, b"portable heap dump") => "an OpenJ9 portable heap dump (PHD)",
        _ if contains(first, b"Full thread dump") => "a thread dump",
        _ if contains(first, b"#instances") => "a class histogram",
        _ if first.iter().all(|b| *b == 0) => "zeros: the file was allocated, but never written",
        _ if first.iter().all(|b| matches!(b, b'\t' | b'\n' | b'\r' | 0x20..=0x7e | 0x80..)) => "text",
        _ => "something else (a heap dump begins with \"JAVA PROFILE\")",
    }
}

/// `{"version":2,"type":"Inspector","nodes":[…`, as JavaScriptCore writes it.
fn is_jsc(first: &[u8]) -> bool {
    let head: Vec<u8> = first.iter().copied().filter(|b| !b.is_ascii_whitespace()).take(64).collect();
    head.starts_with(b"{\"version\":")
        && (contains(&head, b"\"Inspector\"") || contains(&head, b"\"GCDebugging\""))
}

fn contains(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|w| w == word)
}

fn read_header(window: &mut Window<'_>) -> Result<Header, OpenError> {
    // The longest header that is known; what follows it is never shorter than nothing.
    let whole = window.fill(SNIFFED) || window.fill(MAGIC.len() + 18);
    let bytes = window.bytes();
    let shared = bytes.iter().zip(MAGIC).take_while(|(a, b)| a == b).count();
    let held = bytes.len();
    if shared < MAGIC.len().min(held.max(1)) {
        return Err(if held == 0 { ended(window) } else { OpenError::Other(looks_like(bytes)) });
    }
    if !whole {
        return Err(ended(window));
    }
    let rest = bytes.get(MAGIC.len()..).unwrap_or_default();
    let Some(length) = rest.iter().take(32).position(|b| *b == 0) else {
        return Err(OpenError::Version(String::from_utf8_lossy(rest.get(..32).unwrap_or(rest)).into_owned()));
    };
    let (name, numbers) = rest.split_at_checked(length).unwrap_or_default();
    let version = match name {
        b"1.0.1" => Version::V1_0_1,
        b"1.0.2" => Version::V1_0_2,
        b"1.0.3" => Version::V1_0_3,
        _ => return Err(OpenError::Version(String::from_utf8_lossy(name).into_owned())),
    };
    let Some((width, started_ms)) = numbers_of(numbers) else { return Err(OpenError::Cut(held as u64)) };
    let id_size = match width {
        4 => IdSize::Four,
        8 => IdSize::Eight,
        other => return Err(OpenError::IdSize(other)),
    };
    window.consume(MAGIC.len() + length + 13);
    Ok(Header { version, id_size, started_ms })
}

/// Identifier width and time, behind the zero byte that ends the version.
fn numbers_of(bytes: &[u8]) -> Option<(u32, u64)> {
    let (_, rest) = bytes.split_first()?;
    let (width, rest) = rest.split_first_chunk::<4>()?;
    let (time, _) = rest.split_first_chunk::<8>()?;
    Some((u32::from_be_bytes(*width), u64::from_be_bytes(*time)))
}

fn ended(window: &mut Window<'_>) -> OpenError {
    let held = window.bytes().len() as u64;
    match window.stop() {
        Some(Stop::Failed(e)) if e.kind() != ErrorKind::UnexpectedEof => OpenError::Read(e),
        _ => OpenError::Cut(held),
    }
}
