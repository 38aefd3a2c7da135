//! Files of ours in the `/tmp` of a target, as it sees it: for what has to pass through there.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, CWD, Gid, OFlags, Uid};

use super::{CaptureError, Order};
use crate::world::World;

/// Largest file that is read at once.
const LARGEST: u64 = 256 << 20;

/// What names of our files in a target's `/tmp` begin with.
pub(super) fn ours(pid: i32) -> String {
    format!(".plimsoll-{pid}-")
}

/// Removes files that a capture left in the target's `/tmp` when it was killed itself, and bars its pipes. Returns all bars
/// there: a runtime that answers one question after the other comes to none of them once it has answered a later one.
pub(super) fn sweep(world: &World, pid: i32) -> Vec<PathBuf> {
    let mut bars = Vec::new();
    for (entry, owner) in left(world, pid) {
        let (path, Ok(kind)) = (entry.path(), entry.file_type()) else { continue };
        let is_alive = world.proc_root.join(owner.to_string()).exists();
        if kind.is_symlink() {
            bars.push(path);
        } else if kind.is_fifo() && !is_alive {
            if bar(&path).is_ok() {
                bars.push(path);
            }
        } else if kind.is_file() && !is_alive {
            // It is ours, and nobody reads it any more.
            let _left_behind = fs::remove_file(path);
        }
    }
    bars
}

/// What of ours is in the target's `/tmp`, and the process that made it.
fn left(world: &World, pid: i32) -> Vec<(fs::DirEntry, u32)> {
    let tmp = world.proc_root.join(pid.to_string()).join("root/tmp");
    let head = ours(pid);
    let own = |entry: fs::DirEntry| {
        let owner = entry.file_name().to_str()?.strip_prefix(&head)?.split('-').next()?.parse().ok()?;
        Some((entry, owner))
    };
    // Listed to the end before anything is changed: what is renamed meanwhile may come twice.
    fs::read_dir(tmp).into_iter().flatten().flatten().filter_map(own).collect()
}

/// Closes a pipe to a writer that may still come. One that waits for a reader is let go, and its writes fail; one that
/// opens the name later is refused, for a link to itself leads nowhere. Had the name only been removed, the first would
/// wait for ever, and the second would make a file of it and fill the target's disk.
pub(super) fn bar(pipe: &Path) -> io::Result<()> {
    let open = |path: &Path, flags: OFlags| {
        fs::OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)
    };
    // What is in its place by now is looked at before it is opened: opening a device may do something.
    let there = open(pipe, OFlags::PATH | OFlags::NOFOLLOW)?;
    if !there.metadata()?.file_type().is_fifo() {
        return Err(io::Error::other("no pipe any more"));
    }
    let reader = open(Path::new(&format!("/proc/self/fd/{}", there.as_raw_fd())), OFlags::NONBLOCK)?;
    let mut beside = pipe.as_os_str().to_owned();
    beside.push(".bar");
    // Of one that was killed here.
    let _most_often_none = fs::remove_file(&beside);
    symlink(pipe.file_name().unwrap_or_default(), &beside)?;
    fs::rename(&beside, pipe).inspect_err(|_| drop(fs::remove_file(&beside)))?;
    drop(reader);
    Ok(())
}

/// The target's `/tmp`, held open. It needs not be listed, and what is no folder is not waited for.
pub(super) fn folder(order: &Order<'_>) -> Result<(PathBuf, File), CaptureError> {
    let place = order.world.proc_root.join(order.target.pid.to_string()).join("root/tmp");
    let flags = (OFlags::PATH | OFlags::DIRECTORY).bits().cast_signed();
    let tmp = fs::OpenOptions::new().read(true).custom_flags(flags).open(&place);
    tmp.map(|tmp| (place.clone(), tmp)).map_err(|e| CaptureError::file(&place, e))
}

/// Gives a file to the target's user, who must be able to open it.
pub(super) fn give(process: &Path, path: &Path) -> io::Result<()> {
    let owner = fs::metadata(process)?;
    if rustix::process::geteuid().as_raw() == owner.uid() {
        return Ok(());
    }
    let (uid, gid) = (Uid::from_raw(owner.uid()), Gid::from_raw(owner.gid()));
    // Whoever may write there may have put a link in its place: it must not lead to a file of ours.
    rustix::fs::chownat(CWD, path, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW).map_err(Into::into)
}

/// A file that a target makes in its own `/tmp`, or that is made there for it; removed when dropped.
pub(super) struct Inside {
    name: String,
    /// As the target sees it.
    pub(super) inside: String,
    /// As this process sees it, through the folder that it holds open: so it stays when the target and its namespace are gone.
    pub(super) path: PathBuf,
    _tmp: File,
}

impl Inside {
    pub(super) fn new(order: &Order<'_>, ends: &str) -> Result<Inside, CaptureError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos());
        let name = format!("{}{}-{now}", ours(order.target.pid), std::process::id());
        let (_, tmp) = folder(order)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}/{name}.{ends}", tmp.as_raw_fd()));
        Ok(Inside { inside: format!("/tmp/{name}.{ends}"), name, path, _tmp: tmp })
    }

    /// The file's name, without what it ends in.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is there.
    pub(super) fn is_there(&self) -> bool {
        fs::symlink_metadata(&self.path).is_ok()
    }

    /// Whether it is being written, under its other name.
    pub(super) fn is_begun(&self) -> bool {
        fs::symlink_metadata(self.partial()).is_ok()
    }

    /// Removes what was begun and is of no use.
    pub(super) fn forget_partial(&self) {
        // Most often there is none.
        let _none = fs::remove_file(self.partial());
    }

    fn partial(&self) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(".partial");
        name.into()
    }

    /// What the target wrote, to be read.
    pub(super) fn open(&self) -> Result<File, CaptureError> {
        super::native::open_plain(&self.path).map_err(|e| CaptureError::file(&self.path, e))
    }

    /// What it wrote; what was turned over comes first.
    pub(super) fn read(&self) -> Result<Vec<u8>, CaptureError> {
        let mut out = Vec::new();
        for path in [self.turned_over(), self.path.clone()] {
            match super::native::open_plain(&path) {
                Ok(f) => f.take(LARGEST).read_to_end(&mut out).map_err(|e| CaptureError::file(&path, e))?,
                Err(e) if e.kind() == ErrorKind::NotFound && path != self.path => 0,
                Err(e) => return Err(CaptureError::file(&path, e)),
            };
        }
        Ok(out)
    }

    fn turned_over(&self) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(".0");
        name.into()
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        for path in [self.turned_over(), self.path.clone()] {
            // The target may be gone, and its file system with it.
            let _left_behind: io::Result<()> = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use rustix::fs::{FileType, Mode};

    use super::*;

    /// A world of one process whose `/tmp` holds a pipe of a capture that is gone.
    fn left_behind() -> (tempfile::TempDir, World, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let tmp = folder.path().join("7/root/tmp");
        fs::create_dir_all(&tmp).expect("made");
        let pipe = tmp.join(format!("{}8-1.fifo", ours(7)));
        rustix::fs::mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("made");
        let world = World { proc_root: folder.path().to_owned(), ..World::under(folder.path()) };
        (folder, world, pipe)
    }

    #[test]
    fn a_writer_that_waits_for_a_reader_who_was_killed_is_let_go() {
        let (_folder, world, pipe) = left_behind();
        let (send, told) = channel();
        let path = pipe.clone();
        let writer = std::thread::spawn(move || {
            send.send(fs::read_link("/proc/thread-self").expect("it runs")).expect("heard");
            let mut file = fs::OpenOptions::new().write(true).open(path).expect("opened");
            file.write_all(&[0; 1 << 20]).map_err(|e| e.kind())
        });
        let thread = told.recv_timeout(Duration::from_secs(10)).expect("it runs");
        let stat = Path::new("/proc").join(thread).join("stat");
        while !fs::read_to_string(&stat).expect("it runs").contains(") S ") {
            std::thread::yield_now();
        }
        assert_eq!(sweep(&world, 7), [pipe.as_path()]);
        assert_eq!(writer.join().expect("it ends"), Err(ErrorKind::BrokenPipe));
        // Barred until it has answered.
        let late = File::create(&pipe).expect_err("refused");
        assert_eq!(late.raw_os_error(), Some(rustix::io::Errno::LOOP.raw_os_error()), "{late}");
        assert_eq!(sweep(&world, 7), [pipe.as_path()], "it is told of until it is lifted");
        assert_eq!(fs::read_dir(pipe.parent().expect("a folder")).expect("listed").count(), 1);
    }

    #[test]
    fn a_pipe_of_a_living_capture_is_left_alone() {
        let (folder, world, pipe) = left_behind();
        fs::create_dir(folder.path().join("8")).expect("made");
        assert!(sweep(&world, 7).is_empty());
        assert!(fs::symlink_metadata(&pipe).expect("there").file_type().is_fifo());
    }

    #[test]
    fn a_link_in_the_place_of_our_file_is_given_and_not_what_it_leads_to() {
        if !rustix::process::geteuid().is_root() {
            assert!(std::env::var_os("CI").is_none(), "the checks run as root");
            let _unreported = writeln!(io::stderr(), "SKIPPED its_tmp: only root gives files away");
            return;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let (process, ours, link) =
            (folder.path().join("7"), folder.path().join("ours"), folder.path().join("link"));
        fs::create_dir(&process).expect("made");
        rustix::fs::chown(&process, Some(Uid::from_raw(65534)), Some(Gid::from_raw(65534))).expect("changed");
        fs::write(&ours, "secret").expect("written");
        symlink(&ours, &link).expect("made");
        give(&process, &link).expect("given");
        assert_eq!(fs::metadata(&ours).expect("there").uid(), 0);
        assert_eq!(fs::symlink_metadata(&link).expect("there").uid(), 65534);
    }
}
