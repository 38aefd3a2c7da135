//! Recognising Node.js: by its name, or by its library where it is embedded.

use crate::runtime::detect::{Recognition, script};
use crate::target::RuntimeKind;

/// How it is recognised.
pub(in crate::runtime) static RECOGNITION: Recognition = Recognition {
    kind: RuntimeKind::Node,
    detect: |e| e.exe == "node" || e.exe == "nodejs" || e.maps("libnode.so"),
    name: script,
    flags: &[
        "--max-old-space-size",
        "--trace-gc",
        "--inspect",
        "--heapsnapshot",
        "--diagnostic-dir",
        "--report-on-fatalerror",
    ],
    variables: &["NODE_OPTIONS"],
};
