//! The trail of acts: one line of JSON for each, with how to undo it, where the user's state is kept.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::PathBuf;

use jiff::Timestamp;
use serde_json::Value;

use crate::error::{CliError, Kind};

const FILE: &str = "audit.jsonl";

/// Writes one act, with its time. An act that cannot be written down is not done.
pub(super) fn write(act: &Value) -> Result<(), CliError> {
    let Some(state) = folder() else { return Ok(()) };
    let path = state.join(FILE);
    let failed = |e: std::io::Error| {
        CliError::new(Kind::Internal, format!("failed to write {}", path.display())).because(e)
    };
    let mut line = serde_json::json!({"time": Timestamp::now().to_string()});
    if let (Value::Object(line), Value::Object(act)) = (&mut line, act) {
        line.extend(act.clone());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(&state).map_err(failed)?;
    let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path).map_err(failed)?;
    file.write_all(format!("{line}\n").as_bytes()).map_err(failed)
}

/// Every act, oldest first; lines that are cut or of another form are left out.
pub(super) fn read() -> Vec<Value> {
    let text = folder().and_then(|f| fs::read_to_string(f.join(FILE)).ok()).unwrap_or_default();
    text.lines().filter_map(|l| serde_json::from_str(l).ok()).collect()
}

/// `PLIMSOLL_STATE`, else where the user's state is kept by convention.
pub(super) fn folder() -> Option<PathBuf> {
    let var = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    var("PLIMSOLL_STATE")
        .or_else(|| Some(var("XDG_STATE_HOME")?.join("plimsoll")))
        .or_else(|| Some(var("HOME")?.join(".local/state/plimsoll")))
}
