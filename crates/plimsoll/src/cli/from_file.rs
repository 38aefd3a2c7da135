//! Opening a recording: JSON lines that `--record` wrote, or a CSV table.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use plimsoll_core::recording::Recording;
use plimsoll_read::csv_series;

use crate::error::{CliError, Kind};

/// Reads a recording from `path` (`-` is stdin). `unit` is the bytes per unit of a CSV value.
pub(crate) fn open(path: &Path, unit: f64, limit: Option<f64>) -> Result<Recording, CliError> {
    let shown = path.display();
    let mut input: Box<dyn BufRead> = if path == Path::new("-") {
        Box::new(BufReader::new(io::stdin()))
    } else {
        let file =
            File::open(path).map_err(|e| CliError::usage(format!("failed to open {shown}")).because(e))?;
        Box::new(BufReader::new(file))
    };
    let first = input
        .fill_buf()
        .map_err(|e| CliError::new(Kind::CannotJudge, format!("failed to read {shown}")).because(e))?
        .first()
        .copied();
    match first {
        None => Err(CliError::cannot_judge(format!("{shown} is empty"))),
        Some(b'{') => Recording::read(input)
            .map_err(|e| CliError::cannot_judge(format!("failed to read the recording {shown}")).because(e)),
        Some(_) => {
            let name =
                path.file_stem().map_or_else(|| "recording".into(), |s| s.to_string_lossy().into_owned());
            csv_series::read(input, &csv_series::Options { unit, limit, name }).map_err(|e| {
                CliError::cannot_judge(format!("failed to read the table {shown}")).because(e).hint(
                    "a recording is JSON lines (plimsoll triage --record) or CSV with the header time,value",
                )
            })
        }
    }
}
