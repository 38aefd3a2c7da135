//! Plimsoll reads here: bytes of an artifact in, what it says and warnings out. Nothing in this crate opens
//! a file, and no outside byte may make it panic.
#![warn(missing_docs)]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
