//! `plimsoll upload`: a capture to object storage, verified; one that broke off goes on.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use plimsoll_core::recording::API_VERSION;
use plimsoll_core::units::bytes;
use plimsoll_host::export::object::{self, UploadError, Uploaded};
use serde_json::{Value, json};

use super::triage;
use crate::error::{CliError, Kind};
use crate::exit_code;
use crate::output::{self, Format};
use crate::render;

/// A capture to object storage, read back and summed; one that broke off goes on where it was
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  plimsoll upload plimsoll-api-4711-20261127T040000Z s3://evidence/incidents
  AWS_ENDPOINT=http://minio:9000 AWS_ALLOW_HTTP=true plimsoll upload FOLDER s3://evidence

URL is s3://BUCKET/PATH, gs://BUCKET/PATH or az://CONTAINER/PATH. Credentials come from the environment: AWS_*, \
GOOGLE_*, AZURE_*, or a machine's own role.
Exit codes: 0 everything is there, 2 usage, 3 not everything (the same again goes on).")]
pub(crate) struct Args {
    /// Folder of a capture.
    folder: PathBuf,

    /// Where to; a folder of the same name is made there.
    url: String,
}

pub(crate) fn run(args: &Args, format: Format) -> Result<u8, CliError> {
    let stop = triage::stop_flag()?;
    if !object::is_object_url(&args.url) {
        return Err(
            CliError::usage(format!("{} is no object storage", args.url)).hint("say s3://BUCKET/PATH")
        );
    }
    let folder = args
        .folder
        .canonicalize()
        .map_err(|e| CliError::usage(format!("cannot use {}", args.folder.display())).because(e))?;
    let uploaded = upload(&args.url, &folder, &stop)?;
    let text = match format {
        Format::Table => table(&uploaded),
        _ => render::json::text(
            &json!({"apiVersion": API_VERSION, "kind": "Upload", "objects": objects(&uploaded)}),
            format,
        ),
    };
    output::result(&text)?;
    Ok(exit_code::FINE)
}

/// Uploads a folder, with what to do when it fails.
pub(super) fn upload(url: &str, folder: &Path, stop: &AtomicBool) -> Result<Vec<Uploaded>, CliError> {
    object::upload(url, folder, stop).map_err(|e| {
        let kind = match e {
            UploadError::Absent | UploadError::Place { .. } => Kind::Usage,
            _ => Kind::CannotJudge,
        };
        CliError::new(kind, format!("{} is not in {url}", folder.display()))
            .because(e)
            .hint(format!("plimsoll upload {} {url} goes on where this ended", folder.display()))
    })
}

pub(super) fn objects(uploaded: &[Uploaded]) -> Value {
    let object = |u: &Uploaded| json!({"url": u.url, "bytes": u.bytes, "sha256": u.sha256, "resumedParts": u.resumed, "verified": true});
    uploaded.iter().map(object).collect()
}

pub(super) fn table(uploaded: &[Uploaded]) -> String {
    let row = |u: &Uploaded| {
        let resumed =
            if u.resumed > 0 { format!(", {} parts from before", u.resumed) } else { String::new() };
        format!("{}  {}, read back whole{resumed}\n", u.url, bytes(u.bytes as f64))
    };
    uploaded.iter().map(row).collect()
}
