//! Reading small kernel files: one buffer, no allocation per read, no surprise on a missing line.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// A kernel file that is kept open and read again from its start.
#[derive(Debug)]
pub(crate) struct Reread {
    file: File,
    buffer: Vec<u8>,
}

/// Most of the files hold one number; the buffer grows for those that hold more.
const FIRST: usize = 256;
/// No kernel file that we keep open is larger.
const LARGEST: usize = 64 * 1024;

impl Reread {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Reread { file: File::open(path)?, buffer: vec![0; FIRST] })
    }

    /// The file's text now. Bytes that are no UTF-8 end it.
    pub(crate) fn text(&mut self) -> io::Result<&str> {
        let mut used = 0;
        loop {
            let n = self.file.read_at(&mut self.buffer[used..], used as u64)?;
            used += n;
            if n == 0 || used >= LARGEST {
                break;
            }
            if used == self.buffer.len() {
                self.buffer.resize((2 * used).min(LARGEST), 0);
            }
        }
        let bytes = &self.buffer[..used];
        Ok(std::str::from_utf8(bytes)
            .unwrap_or_else(|e| std::str::from_utf8(&bytes[..e.valid_up_to()]).unwrap_or_default()))
    }
}

/// The number behind `key` on a line of its own: `key 12`, `key: 12 kB`.
pub(crate) fn field(text: &str, key: &str) -> Option<f64> {
    let line = text.lines().find_map(|l| {
        let rest = l.strip_prefix(key)?;
        rest.starts_with([':', ' ', '\t']).then(|| rest.trim_start_matches(':').trim())
    })?;
    let mut words = line.split_ascii_whitespace();
    let value: f64 = words.next()?.parse().ok()?;
    Some(if words.next() == Some("kB") { value * 1024.0 } else { value })
}

/// `total=` of the `some` or `full` line of a pressure file, in seconds.
pub(crate) fn pressure(text: &str, kind: &str) -> Option<f64> {
    let line = text.lines().find(|l| l.starts_with(kind))?;
    let micros: f64 = line.split_ascii_whitespace().find_map(|w| w.strip_prefix("total="))?.parse().ok()?;
    Some(micros / 1e6)
}

/// Why a kernel file could not be read, in words with a lever.
pub(crate) fn why(path: &Path, e: &io::Error) -> String {
    let path = path.display();
    match e.kind() {
        io::ErrorKind::NotFound => format!("{path} does not exist"),
        io::ErrorKind::PermissionDenied => {
            format!("no permission to read {path}: run as the same user or as root")
        }
        _ => format!("failed to read {path}: {e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_in_the_kernels_grammars() {
        assert_eq!(field("VmRSS:\t  12 kB\nThreads:\t7\n", "VmRSS"), Some(12.0 * 1024.0));
        assert_eq!(field("total_rss 5\nrss 4\n", "rss"), Some(4.0));
        assert_eq!(field("rss_huge 5\n", "rss"), None);
        assert_eq!(field("max\n", "max"), None);
        let psi = "some avg10=0.00 avg60=0.00 avg300=0.00 total=1500000\nfull avg10=0 total=250000\n";
        assert_eq!(pressure(psi, "some"), Some(1.5));
        assert_eq!(pressure(psi, "full"), Some(0.25));
        assert_eq!(pressure("", "full"), None);
    }
}
