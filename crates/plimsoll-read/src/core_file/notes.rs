//! Notes of a core: threads, the signal, the program's name, mapped files. The command line is there too, and is not
//! read: it may hold secrets.

use super::{Core, u16_at, u32_at, u64_at};
use crate::reading::clip;

/// Kinds of notes.
const PRSTATUS: u32 = 1;
const PRPSINFO: u32 = 3;
const SIGINFO: u32 = 0x5349_4749;
const FILES: u32 = 0x4649_4c45;
/// Files that are kept, and bytes of a name.
const MOST: usize = 100_000;
const NAME: usize = 300;

/// Why a process died.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Signal {
    /// Its number.
    pub number: u32,
    /// What the kernel says of its cause (`si_code`), where it is told.
    pub code: Option<i32>,
    /// Who sent it, when a process did.
    pub sender: Option<u32>,
}

/// A mapped file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct File {
    /// First address.
    pub start: u64,
    /// Address behind the last.
    pub end: u64,
    /// Its path.
    pub path: String,
}

impl Signal {
    /// Its name on Linux (x86-64 and ARM), without `SIG`.
    pub fn name(self) -> &'static str {
        const NAMES: [&str; 32] = [
            "none", "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV",
            "USR2", "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",
            "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
        ];
        usize::try_from(self.number).ok().and_then(|n| NAMES.get(n)).copied().unwrap_or("of real time")
    }
}

impl Core {
    /// Reads a segment of notes, as far as it goes.
    pub(super) fn notes(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some((kind, body, after)) = note(rest) {
            self.note(kind, body);
            rest = after;
        }
    }

    fn note(&mut self, kind: u32, body: &[u8]) {
        match kind {
            PRSTATUS => {
                // The first thread is the one that died.
                if self.threads == 0 {
                    self.pid = self.pid.or(u32_at(body, 32));
                    let number = u16_at(body, 12).map(u32::from);
                    self.signal = self.signal.or(number.map(|number| Signal { number, ..Signal::default() }));
                }
                self.threads = self.threads.saturating_add(1);
            }
            PRPSINFO => {
                self.pid = u32_at(body, 24).or(self.pid);
                let name = body.get(40..56).unwrap_or_default().split(|b| *b == 0).next().unwrap_or_default();
                self.program = (!name.is_empty()).then(|| String::from_utf8_lossy(name).into_owned());
            }
            SIGINFO if self.threads <= 1 => self.siginfo(body),
            FILES => self.mapped(body),
            _ => {}
        }
    }

    fn siginfo(&mut self, body: &[u8]) {
        let (Some(number), Some(code)) = (u32_at(body, 0), u32_at(body, 8)) else { return };
        let code = i32::from_le_bytes(code.to_le_bytes());
        // Codes up to 0 mean that a process sent it, and the kernel then says which.
        let sender = if code <= 0 { u32_at(body, 16) } else { None };
        if number != 0 {
            self.signal = Some(Signal { number, code: Some(code), sender });
        }
    }

    /// `count page_size (start end offset)… name\0…`
    fn mapped(&mut self, body: &[u8]) {
        let Some(count) = u64_at(body, 0).and_then(|n| usize::try_from(n).ok()) else { return };
        let Some(places) = count.checked_mul(24).and_then(|n| body.get(16..)?.get(..n)) else { return };
        let names = body.get(16 + places.len()..).unwrap_or_default().split(|b| *b == 0);
        for (place, name) in places.chunks_exact(24).zip(names).take(MOST) {
            let (Some(start), Some(end)) = (u64_at(place, 0), u64_at(place, 8)) else { return };
            self.files.push(File { start, end, path: clip(&String::from_utf8_lossy(name), NAME) });
        }
    }
}

/// The first note, and what follows it.
fn note(bytes: &[u8]) -> Option<(u32, &[u8], &[u8])> {
    let [name, size] = [u32_at(bytes, 0)?, u32_at(bytes, 4)?].map(|n| usize::try_from(n).ok());
    let rest = bytes.get(12..)?.get(name?.checked_next_multiple_of(4)?..)?;
    let size = size?;
    let body = rest.get(..size)?;
    Some((u32_at(bytes, 8)?, body, rest.get(size.checked_next_multiple_of(4)?..).unwrap_or_default()))
}
