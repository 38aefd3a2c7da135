//! TEMP
use crate::error::CliError;
pub(crate) struct Options {
    pub(crate) watch: f64,
    pub(crate) rows: usize,
    pub(crate) format: crate::output::Format,
}
pub(crate) fn run(_o: &Options, _s: &std::sync::Arc<std::sync::atomic::AtomicBool>) -> Result<u8, CliError> {
    Err(CliError::usage("x"))
}
