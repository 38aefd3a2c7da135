//! The `plimsoll` binary; everything else is in the library.

fn main() -> std::process::ExitCode {
    plimsoll::run(std::env::args_os())
}
