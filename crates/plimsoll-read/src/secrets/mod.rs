//! Likely secrets in texts: what they look like, and the names that announce them.

pub mod names;
