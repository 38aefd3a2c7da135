//! TEMP
use crate::error::CliError;
pub(crate) struct Watch<'a> { pub(crate) seconds: f64, pub(crate) every: f64, pub(crate) whole: bool, pub(crate) record: Option<&'a std::path::Path>, pub(crate) limit: Option<f64> }
pub(crate) fn watch(_t: &str, _w: &Watch<'_>, _s: &std::sync::Arc<std::sync::atomic::AtomicBool>) -> Result<plimsoll_core::recording::Recording, CliError> { Err(CliError::usage("x")) }
