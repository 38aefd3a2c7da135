//! Files of a process, opened by the path by which it knows them: links lead nowhere outside its own root.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// Opens a path as the process of this folder of `/proc` sees it, from its root or from where it stands.
///
/// # Errors
/// What the kernel says; also when a link leads outside.
pub(crate) fn open(process: &Path, path: &str, more: OFlags) -> io::Result<File> {
    let (base, inner, resolve) = match path.strip_prefix('/') {
        Some(inner) => ("root", inner, ResolveFlags::IN_ROOT),
        None => ("cwd", path, ResolveFlags::NO_SYMLINKS),
    };
    let inner = if inner.is_empty() { "." } else { inner };
    let place = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let base = rustix::fs::openat(CWD, process.join(base), place, Mode::empty())?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | more;
    let opened = match rustix::fs::openat2(&base, inner, flags, Mode::empty(), resolve) {
        // Kernels before 5.6, and filters that know no openat2.
        Err(Errno::NOSYS | Errno::PERM) => {
            rustix::fs::openat(&base, inner, flags | OFlags::NOFOLLOW, Mode::empty())
        }
        other => other,
    };
    Ok(File::from(opened?))
}
