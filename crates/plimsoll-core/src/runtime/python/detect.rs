//! Recognising CPython: its library is mapped, or the executable is an interpreter with that built in.

use crate::runtime::detect::{Recognition, script};
use crate::target::RuntimeKind;

/// How it is recognised.
pub(in crate::runtime) static RECOGNITION: Recognition = Recognition {
    kind: RuntimeKind::Python,
    detect: |e| e.maps("libpython") || interpreter(&e.exe),
    name: script,
    flags: &[],
    variables: &[],
};

/// `python`, `python3`, `python3.11`: the name with a version behind it.
fn interpreter(exe: &str) -> bool {
    exe.strip_prefix("python").is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || c == '.'))
}
