//! What leaves the machine: metrics to a remote server, profiles to a profiler's server, files to object storage. Each has
//! a thread of its own and a queue with an end: a server that is slow or gone costs what is sent, never a sample. An
//! incident is posted by whoever says so, and waited for.

#[cfg(feature = "object-store")]
mod cloud;
pub mod object;
pub mod post;
pub(crate) mod pyroscope;
pub mod remote_write;
mod wire;
