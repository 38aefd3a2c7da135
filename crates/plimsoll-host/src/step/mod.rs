//! The steps: what asks something of the target, each with its conditions checked first.

pub mod jvm_attach;
