//! The folder of one capture: files that are there only when they are whole, with their checksums in a manifest.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FallocateFlags, OFlags};
use rustix::io::Errno;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::CaptureError;

/// Name of the file that says what the others are.
const MANIFEST: &str = "manifest.json";
/// What a file's name ends with while it is written.
const PARTIAL: &str = ".partial";
/// Bytes that are set aside for the manifest.
const ROOM: u64 = 64 << 10;
/// Last bytes of a file that are kept to check its end.
const TAIL: usize = 9;

/// One file that was taken.
#[derive(Debug, Clone, PartialEq)]
pub struct Piece {
    /// Its name in the folder.
    pub file: String,
    /// Bytes.
    pub bytes: u64,
    /// SHA-256, hexadecimal.
    pub sha256: String,
    /// Why it is not whole; none when it is.
    pub cut: Option<String>,
    /// How long it took.
    pub took: Duration,
}

impl Piece {
    /// As the manifest has it.
    pub fn json(&self) -> Value {
        json!({
            "file": self.file,
            "bytes": self.bytes,
            "sha256": self.sha256,
            "complete": self.cut.is_none(),
            "cutBecause": self.cut,
            "seconds": self.took.as_secs_f64(),
        })
    }
}

/// A folder that a capture fills, or a pipe that somebody reads: one file goes through it, and nothing is kept here.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    is_pipe: bool,
    /// What was taken so far.
    pub pieces: Vec<Piece>,
}

/// How long whoever reads a pipe may stand still: a JVM stands still as long.
const STALL: Duration = Duration::from_secs(10);

impl Folder {
    /// Makes the folder `name` within `parent`, for its owner only; another one of the name is left alone.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn make(parent: &Path, name: &str) -> Result<Folder, CaptureError> {
        let mut path = parent.join(name);
        for attempt in 2.. {
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => break,
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists && attempt < 100 => {
                    path = parent.join(format!("{name}-{attempt}"));
                }
                Err(e) => return Err(CaptureError::file(&path, e)),
            }
        }
        let folder = Folder { path, is_pipe: false, pieces: Vec::new() };
        folder.set_aside();
        Ok(folder)
    }

    /// A pipe with a name, made by whoever reads it.
    pub fn pipe(path: &Path) -> Folder {
        Folder { path: path.to_owned(), is_pipe: true, pieces: Vec::new() }
    }

    /// Whether it is a pipe.
    pub fn is_pipe(&self) -> bool {
        self.is_pipe
    }

    /// Takes room for the manifest while there is some: a disk that is full in the end must not cost the word of what
    /// is there.
    fn set_aside(&self) {
        let room = OpenOptions::new().write(true).create_new(true).mode(0o600).open(self.draft_of_manifest());
        // A file system that cannot do it may still have room in the end.
        let _none = room.map(|file| rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, ROOM));
    }

    fn draft_of_manifest(&self) -> PathBuf {
        self.path.join(format!("{MANIFEST}{PARTIAL}"))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Begins a file.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn begin(&self, name: &str) -> Result<Draft, CaptureError> {
        if self.is_pipe {
            return self.begin_pipe(name);
        }
        let path = self.path.join(format!("{name}{PARTIAL}"));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let file = file.map_err(|e| CaptureError::file(&path, e))?;
        crate::fault::point("piece-begun");
        let (began, sum) = (Instant::now(), Sha256::new());
        Ok(Draft {
            file,
            path,
            is_pipe: false,
            name: name.to_owned(),
            began,
            sum,
            bytes: 0,
            tail: Vec::new(),
        })
    }

    fn begin_pipe(&self, name: &str) -> Result<Draft, CaptureError> {
        let failed = |e| CaptureError::file(&self.path, e);
        if !self.pieces.is_empty() {
            return Err(failed(io::Error::other(
                "one file goes through a pipe, and this artifact has more: name a folder",
            )));
        }
        // Without a reader it would be waited for: that nobody reads is an error here.
        let flags = (OFlags::NONBLOCK | OFlags::NOFOLLOW).bits().cast_signed();
        let opened = OpenOptions::new().write(true).custom_flags(flags).open(&self.path);
        let file = opened.map_err(|e| match e.raw_os_error() {
            Some(code) if code == Errno::NXIO.raw_os_error() => {
                failed(io::Error::other("nobody reads from the pipe"))
            }
            _ => failed(e),
        })?;
        let (began, sum, path) = (Instant::now(), Sha256::new(), self.path.clone());
        Ok(Draft { file, path, is_pipe: true, name: name.to_owned(), began, sum, bytes: 0, tail: Vec::new() })
    }

    /// Stores a whole text or document at once.
    ///
    /// # Errors
    /// When it cannot be written; nothing is left of it then.
    pub(super) fn keep(&mut self, name: &str, began: Instant, bytes: &[u8]) -> Result<(), CaptureError> {
        self.keep_as(name, began, bytes, None)
    }

    /// The same of what may be cut.
    ///
    /// # Errors
    /// When it cannot be written; nothing is left of it then.
    pub(super) fn keep_as(
        &mut self,
        name: &str,
        began: Instant,
        bytes: &[u8],
        cut: Option<String>,
    ) -> Result<(), CaptureError> {
        let mut draft = self.begin(name)?;
        draft.began = began;
        draft.write(bytes)?;
        self.end(draft, cut)
    }

    /// Gives a file its name: it is on the disk then. What is cut is named as such, and kept: it is evidence too.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub(super) fn end(&mut self, draft: Draft, cut: Option<String>) -> Result<(), CaptureError> {
        let name = if cut.is_some() { format!("cut-{}", draft.name) } else { draft.name.clone() };
        let path = self.path.join(&name);
        if !self.is_pipe {
            draft.file.sync_all().map_err(|e| CaptureError::file(&draft.path, e))?;
            fs::rename(&draft.path, &path).map_err(|e| CaptureError::file(&path, e))?;
        }
        let sha256 = draft.sum.finalize().iter().map(|b| format!("{b:02x}")).collect();
        let took = draft.began.elapsed();
        crate::fault::point("piece-whole");
        self.pieces.push(Piece { file: name, bytes: draft.bytes, sha256, cut, took });
        Ok(())
    }

    /// Writes the manifest, `head` with the files beside it, and has the disk keep the folder.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn close(&self, mut head: Value) -> Result<PathBuf, CaptureError> {
        if self.is_pipe {
            // Whoever reads has the file; what is known of it is told by whoever took it.
            return Ok(self.path.clone());
        }
        if let Value::Object(head) = &mut head {
            head.insert("artifacts".to_owned(), self.pieces.iter().map(Piece::json).collect());
        }
        let (path, draft) = (self.path.join(MANIFEST), self.draft_of_manifest());
        let write = || -> io::Result<()> {
            // Written over what was set aside, then cut to its length.
            let mut file =
                OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&draft)?;
            let text = format!("{head:#}\n");
            file.write_all(text.as_bytes())?;
            file.set_len(text.len() as u64)?;
            file.sync_all()?;
            fs::rename(&draft, &path)?;
            File::open(&self.path)?.sync_all()
        };
        write().map_err(|e| CaptureError::file(&path, e))?;
        Ok(path)
    }

    /// Removes the folder when nothing was taken.
    pub fn discard_if_empty(&self) {
        if self.pieces.is_empty() && !self.is_pipe {
            // What cannot be removed is an empty folder or a part of a file: nothing is lost by it.
            let _left_behind = fs::remove_dir_all(&self.path);
        }
    }
}

/// A file that is being written.
pub(super) struct Draft {
    file: File,
    path: PathBuf,
    is_pipe: bool,
    name: String,
    began: Instant,
    sum: Sha256,
    bytes: u64,
    tail: Vec<u8>,
}

impl Draft {
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), CaptureError> {
        let written = if self.is_pipe { self.through(bytes) } else { self.file.write_all(bytes) };
        written.map_err(|e| CaptureError::file(&self.path, e))?;
        self.sum.update(bytes);
        self.bytes += bytes.len() as u64;
        let last = &bytes[bytes.len().saturating_sub(TAIL)..];
        self.tail.extend_from_slice(last);
        self.tail.drain(..self.tail.len().saturating_sub(TAIL));
        Ok(())
    }

    /// Writes into a pipe, and gives up when its reader stands still.
    fn through(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let patience = Timespec::try_from(STALL).map_err(io::Error::other)?;
        while !bytes.is_empty() {
            match self.file.write(bytes) {
                Ok(n) => bytes = bytes.get(n..).unwrap_or_default(),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    let mut ready = [PollFd::new(&self.file, PollFlags::OUT)];
                    if poll(&mut ready, Some(&patience))? == 0 {
                        return Err(io::Error::other("whoever reads the pipe stands still"));
                    }
                }
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Bytes so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The last bytes, at most nine.
    pub(super) fn tail(&self) -> &[u8] {
        &self.tail
    }

    /// Removes what was written.
    pub(super) fn discard(self) {
        if self.is_pipe {
            return;
        }
        // Nothing refers to it: a part of a file that cannot be removed does no harm.
        let _left_behind = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_file_has_its_name_when_it_is_whole_and_is_for_its_owner_only() {
        let parent = tempfile::tempdir().expect("a folder");
        let mut folder = Folder::make(parent.path(), "x").expect("made");
        let mut draft = folder.begin("a.txt").expect("begun");
        draft.write(b"hello ").expect("written");
        assert!(!folder.path().join("a.txt").exists());
        draft.write(b"world").expect("written");
        assert_eq!(draft.tail(), b"llo world");
        folder.end(draft, None).expect("ended");
        let mode = |p: &Path| fs::metadata(p).expect("there").permissions().mode() & 0o777;
        assert_eq!((mode(folder.path()), mode(&folder.path().join("a.txt"))), (0o700, 0o600));
        let piece = folder.pieces.first().expect("one");
        assert_eq!(piece.sha256, "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9");
        let manifest = folder.close(json!({"kind": "CaptureResult"})).expect("closed");
        let document: Value =
            serde_json::from_str(&fs::read_to_string(manifest).expect("text")).expect("JSON");
        assert_eq!(
            (&document["artifacts"][0]["bytes"], &document["artifacts"][0]["complete"]),
            (&11.into(), &true.into())
        );
    }

    #[test]
    fn a_second_folder_of_the_name_gets_another() {
        let parent = tempfile::tempdir().expect("a folder");
        let first = Folder::make(parent.path(), "x").expect("made");
        let second = Folder::make(parent.path(), "x").expect("made");
        assert_eq!(second.path(), parent.path().join("x-2"));
        first.discard_if_empty();
        assert!(!first.path().exists() && second.path().exists());
    }
}
