//! The `plimsoll` binary; everything else is in the library.

/// A heap dump that does not fit into memory may lie on a disk.
#[global_allocator]
static ALLOCATOR: plimsoll_host::spill::SpillingAllocator = plimsoll_host::spill::SpillingAllocator;

fn main() -> std::process::ExitCode {
    plimsoll_host::inherited::keep_from_children();
    plimsoll::run(std::env::args_os())
}
