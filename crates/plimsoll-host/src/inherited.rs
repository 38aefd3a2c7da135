//! Descriptors that whoever started this program left open in it: locks, pipes, sockets. A guard may outlive us by far and
//! would hold them, so that a lock stays taken and a pipe never ends. No program that we start gets them.
#![expect(
    unsafe_code,
    reason = "a descriptor that is known by its number only can be borrowed in no other way"
)]

use std::fs;
use std::os::fd::{BorrowedFd, RawFd};

use rustix::io::FdFlags;

/// Keeps what was inherited, but for the three standard ones, from every program that is started later. Called once, before
/// there is another thread.
pub fn keep_from_children() {
    // Without procfs they are handed on, as ever.
    for entry in fs::read_dir("/proc/self/fd").into_iter().flatten().flatten() {
        let number = entry.file_name().to_str().and_then(|name| name.parse::<RawFd>().ok());
        let Some(number) = number.filter(|number| *number > 2) else { continue };
        // SAFETY: it was just listed as open, the folder that lists it is open as well, and there is no other thread that
        // could close it before it is used, once, here.
        let fd = unsafe { BorrowedFd::borrow_raw(number) };
        // One that cannot be changed is handed on, as ever.
        let _handed_on = rustix::io::fcntl_setfd(fd, FdFlags::CLOEXEC);
    }
}
