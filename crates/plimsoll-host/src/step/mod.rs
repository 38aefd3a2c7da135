//! The steps: what asks something of the target, each with its conditions checked first.

pub mod go_memory;
pub mod http;
pub(crate) mod inside;
pub mod inspector;
pub mod jvm_attach;
pub(crate) mod signals;
