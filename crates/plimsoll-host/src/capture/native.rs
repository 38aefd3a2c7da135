//! What the kernel tells of any process: its mappings.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Instant;

use rustix::fs::OFlags;

use super::{CaptureError, Folder, Order};

/// Bytes of a file that are kept: 30,000 mappings take 43 MB.
const LARGEST: u64 = 512 << 20;

/// Copies what there is of the mappings. The kernel holds the target's lock on them while it prints.
pub(super) fn take(order: &Order<'_>, folder: &mut Folder) -> Result<(), CaptureError> {
    let process = order.world.proc_root.join(order.target.pid.to_string());
    for name in ["smaps_rollup", "smaps"] {
        let (path, began) = (process.join(name), Instant::now());
        let mut text = Vec::new();
        let read = File::open(&path).and_then(|f| f.take(LARGEST).read_to_end(&mut text));
        read.map_err(|e| CaptureError::file(&path, e))?;
        if text.is_empty() {
            return Err(CaptureError::NoDoor(format!(
                "{} is empty: a kernel thread, or a process at its end",
                path.display()
            )));
        }
        folder.keep(&format!("{name}.txt"), began, &text)?;
    }
    Ok(())
}

/// Opens a file that a target has made: a plain one, no link that it may have put there, no pipe that would block.
pub(super) fn open_plain(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no plain file")) }
}
