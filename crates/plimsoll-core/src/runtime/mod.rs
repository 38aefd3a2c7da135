//! Runtime knowledge: one folder per runtime, one line in the registry each.

pub mod detect;
pub mod price;
pub mod rules;

mod dotnet;
mod go;
mod jvm;
mod native;
mod node;
pub mod python;

use crate::fact::Fact;
use crate::target::RuntimeKind;
pub use go::version::{FROM_OUTSIDE as GO_FROM_OUTSIDE, minor as go_minor};
pub use go::{profile_bytes as go_profile_bytes, stacks_bytes as go_stacks_bytes};
pub use jvm::marks as jvm_marks;
use rules::{Rules, UnitRule};

/// Open descriptors: every runtime can leak them.
const FD_UNIT: UnitRule = UnitRule {
    fact: Fact::Fds,
    noun: "open file",
    own_bytes: None,
    least: 50.0,
    most_bytes_each: 1024.0 * 1024.0,
};

/// Threads of programs without an account for their stacks: the mappings show them.
const THREAD_UNIT: UnitRule = UnitRule {
    fact: Fact::Threads,
    noun: "thread",
    own_bytes: Some(Fact::SmapsStacks),
    least: 20.0,
    most_bytes_each: 2.0 * 1024.0 * 1024.0,
};

/// What every process can give in the end: its own memory, copied while it stands still.
pub(crate) use native::{PROFILE, RAW_COPY};

/// What judgement knows of a runtime.
pub fn rules(kind: RuntimeKind) -> &'static Rules {
    match kind {
        RuntimeKind::Jvm => &jvm::RULES,
        RuntimeKind::Go => &go::RULES,
        RuntimeKind::Node => &node::RULES,
        RuntimeKind::Python => &python::RULES,
        RuntimeKind::Dotnet => &dotnet::RULES,
        RuntimeKind::Native => &native::RULES,
    }
}
