//! Steps: what touches a target beyond reading the kernel's files.

pub mod http;
