//! Recognising CPython: its library is mapped, or the executable is an interpreter with that built in.

use crate::runtime::detect::{Evidence, Recognition, script};
use crate::target::RuntimeKind;

/// How it is recognised.
pub(in crate::runtime) static RECOGNITION: Recognition = Recognition {
    kind: RuntimeKind::Python,
    detect: |e| e.maps("libpython") || interpreter(&e.exe),
    name: script,
    flags: &[],
    variables: &[],
};

/// 3.11 of `python3.11` or `libpython3.11.so.1.0`: none where the names tell no minor version.
pub(in crate::runtime) fn version(e: &Evidence) -> Option<String> {
    let library = e.mapped.iter().find_map(|m| m.strip_prefix("libpython"));
    let names = [e.exe.strip_prefix("python"), library];
    names.into_iter().flatten().find_map(|rest| {
        let (major, rest) = rest.split_once('.')?;
        let minor = rest.split(|c: char| !c.is_ascii_digit()).next()?;
        let is_one = major.parse::<u32>().is_ok() && minor.parse::<u32>().is_ok();
        is_one.then(|| format!("{major}.{minor}"))
    })
}

/// `python`, `python3`, `python3.11`: the name with a version behind it.
fn interpreter(exe: &str) -> bool {
    exe.strip_prefix("python").is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || c == '.'))
}
