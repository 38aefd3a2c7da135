//! `plimsoll triage --from FILE --replay`: what would have been said at each tick, one JSON line each.

use plimsoll_core::recording::Recording;
use plimsoll_core::replay::replay;

use crate::error::{CliError, Kind};
use crate::exit_code;
use crate::output;

/// Ticks that a replay without `--every` aims at.
const TICKS: f64 = 200.0;

/// Writes a line per tick; the exit code says whether the alarm was ever on.
pub(crate) fn run(r: &Recording, every: Option<f64>, limit: Option<f64>) -> Result<u8, CliError> {
    let span = r.now().zip(r.from()).map_or(0.0, |(now, from)| now - from);
    let every = every.unwrap_or((span / TICKS).max(1.0));
    let mut alarmed = false;
    for tick in replay(r, every, limit) {
        alarmed |= tick.alarm;
        let text = serde_json::to_string(&tick)
            .map_err(|e| CliError::new(Kind::Internal, "failed to write a tick").because(e))?;
        if !output::line(&text) {
            break;
        }
    }
    Ok(if alarmed { exit_code::FINDINGS } else { exit_code::FINE })
}
