//! Recognising .NET: its core library is mapped.

use crate::runtime::detect::{Recognition, own_name};
use crate::target::RuntimeKind;

/// How it is recognised.
pub(in crate::runtime) static RECOGNITION: Recognition = Recognition {
    kind: RuntimeKind::Dotnet,
    detect: |e| e.maps("libcoreclr.so"),
    name: own_name,
    flags: &[],
    variables: &[],
};
