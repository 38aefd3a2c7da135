//! Recognising Go: the linker's sections are in the binary, stripped or not.

use crate::runtime::detect::{Recognition, own_name};
use crate::target::RuntimeKind;

/// How it is recognised.
pub(in crate::runtime) static RECOGNITION: Recognition = Recognition {
    kind: RuntimeKind::Go,
    detect: |e| e.go_binary,
    name: own_name,
    flags: &[],
    variables: &[],
};
