//! What no other runtime claims.

use crate::runtime::detect::{Recognition, own_name};
use crate::target::RuntimeKind;

/// How it is recognised.
pub(in crate::runtime) static RECOGNITION: Recognition =
    Recognition { kind: RuntimeKind::Native, detect: |_| true, name: own_name, flags: &[], variables: &[] };
