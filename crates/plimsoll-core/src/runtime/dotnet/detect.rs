//! Recognising .NET: its core library is mapped, or it listens on the socket that its tools talk to, as a program does that
//! is one file with its runtime.

use crate::runtime::detect::{Recognition, own_name};
use crate::target::RuntimeKind;

/// How it is recognised.
pub(in crate::runtime) static RECOGNITION: Recognition = Recognition {
    kind: RuntimeKind::Dotnet,
    detect: |e| e.maps("libcoreclr.so") || e.dotnet_socket,
    name: own_name,
    flags: &[],
    variables: &[],
};
