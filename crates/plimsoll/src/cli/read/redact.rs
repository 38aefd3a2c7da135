//! `plimsoll read redact` and `plimsoll read secrets`: a dump that can be shown to others, and what must not be.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use plimsoll_core::recording::API_VERSION;
use plimsoll_core::units::{self, thousands};
use plimsoll_read::hprof::model::Limits;
use plimsoll_read::redact::policy::{FieldRule, Numbers, Policy, Texts};
use plimsoll_read::redact::report::RedactReport;
use plimsoll_read::redact::{RedactError, redact};
use plimsoll_read::secrets::dump::{SecretsError, SecretsReport, secrets_in_dump};
use serde_json::{Value, json};

use super::input::Input;
use crate::error::{CliError, Kind};
use crate::exit_code;
use crate::output::{self, Format};

/// What to replace.
#[derive(Debug, clap::Args)]
pub(super) struct RedactArgs {
    /// The dump: a file, a pipe, or - for standard input.
    input: PathBuf,

    /// The copy, for its owner's eyes only; - for standard output.
    copy: PathBuf,

    /// Make all text zero, rather than words and numbers of the same shape.
    #[arg(long)]
    zero: bool,

    /// Keep words that are names in the program's code readable.
    #[arg(long)]
    keep_words: bool,

    /// Keep arrays of numbers.
    #[arg(long)]
    keep_numbers: bool,

    /// Replace this field of numbers too: package.Class.field, or *.field; can be given again.
    #[arg(long = "field", value_name = "FIELD", value_parser = FieldRule::parse)]
    fields: Vec<FieldRule>,
}

pub(super) fn run(args: &RedactArgs, format: Format) -> Result<u8, CliError> {
    let policy = Policy {
        texts: if args.zero { Texts::Zero } else { Texts::Tokens },
        numbers: if args.keep_numbers { Numbers::Keep } else { Numbers::Zero },
        fields: args.fields.clone(),
        keep_words: args.keep_words,
        ..Policy::default()
    };
    let key = random_key()?;
    let report = if args.copy == Path::new("-") {
        copy(args, io::stdout().lock(), &policy, &key)?
    } else {
        to_file(args, &policy, &key)?
    };
    let said = match format {
        Format::Table => screen(args, &report),
        Format::Json => format!("{:#}\n", value(args, &report)),
        Format::Jsonl => format!("{}\n", value(args, &report)),
    };
    // The copy itself may be on stdout.
    if args.copy == Path::new("-") {
        output::tell(said.trim_end());
    } else {
        output::result(&said)?;
    }
    Ok(if report.is_faithful() && report.summary.is_complete() {
        exit_code::FINE
    } else {
        exit_code::PARTIAL
    })
}

/// Another key each time, that nobody keeps: what stands for a word cannot be found by trying words.
fn random_key() -> Result<[u8; 32], CliError> {
    let mut key = [0; 32];
    File::open("/dev/urandom")
        .and_then(|mut random| random.read_exact(&mut key))
        .map_err(|e| CliError::new(Kind::Internal, "failed to make a random key").because(e))?;
    Ok(key)
}

/// Beside first, then in place: a copy is whole or not there. The file is its owner's alone.
fn to_file(args: &RedactArgs, policy: &Policy, key: &[u8; 32]) -> Result<RedactReport, CliError> {
    let folder = args.copy.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let failed = |e: io::Error| CliError::usage(format!("cannot write {}", args.copy.display())).because(e);
    let same = |a: &Path, b: &Path| a.canonicalize().ok().is_some_and(|a| b.canonicalize().ok() == Some(a));
    if same(&args.input, &args.copy) {
        return Err(CliError::usage("the copy would take the place of the dump").hint("name another file"));
    }
    let file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    let report = copy(args, file.as_file(), policy, key)?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(&args.copy).map_err(|e| failed(e.error))?;
    Ok(report)
}

fn copy(
    args: &RedactArgs,
    output: impl io::Write,
    policy: &Policy,
    key: &[u8; 32],
) -> Result<RedactReport, CliError> {
    let name = args.input.display();
    let done = if args.input == Path::new("-") {
        redact(io::stdin(), output, policy, key)
    } else {
        let file = File::open(&args.input);
        let file = file.map_err(|e| CliError::usage(format!("cannot open {name}")).because(e))?;
        redact(file, output, policy, key)
    };
    done.map_err(|e| match e {
        RedactError::Open(e) => CliError::usage(format!("cannot read {name}")).because(e),
        e @ RedactError::Write(_) => {
            CliError::usage(format!("cannot write {}", args.copy.display())).because(e)
        }
    })
}

fn screen(args: &RedactArgs, report: &RedactReport) -> String {
    let amount = |n: u64, bytes: u64| format!("{} ({})", thousands(n), units::bytes(bytes as f64));
    let mut lines = vec![
        format!("{} → {}", args.input.display(), args.copy.display()),
        format!("texts replaced      {}", amount(report.texts.count, report.texts.bytes)),
        format!("arrays made zero    {}", amount(report.zeroed.count, report.zeroed.bytes)),
        format!("fields replaced     {}", amount(report.fields.count, report.fields.bytes)),
        format!("names kept          {}", amount(report.names.count, report.names.bytes)),
        "sizes, references and the shapes of keys are those of the original".to_owned(),
    ];
    if report.kept_arrays.count > 0 {
        let kept = amount(report.kept_arrays.count, report.kept_arrays.bytes);
        lines.push(format!("arrays kept         {kept}: look through them before you hand this on"));
    }
    if report.not_understood.all.bytes > 0 {
        let zeroed = units::bytes(report.not_understood.all.bytes as f64);
        lines.push(format!("{zeroed} were not understood and are zero in the copy"));
    }
    if report.unknown_objects.count > 0 || report.names_lost > 0 {
        lines.push("the fields of objects whose class was not known are zero in the copy".to_owned());
    }
    if let Some(cut) = report.summary.truncation() {
        lines.push(format!("the {cut}"));
    }
    lines.join("\n") + "\n"
}

fn value(args: &RedactArgs, report: &RedactReport) -> Value {
    json!({
        "apiVersion": API_VERSION,
        "kind": "Redaction",
        "input": args.input.display().to_string(),
        "output": args.copy.display().to_string(),
        "faithful": report.is_faithful(),
        "truncated": !report.summary.is_complete(),
        "texts": report.texts.count,
        "arraysZeroed": report.zeroed.count,
        "arraysKept": report.kept_arrays.count,
        "fields": report.fields.count,
        "notUnderstoodBytes": report.not_understood.all.bytes,
    })
}

/// A dump to search.
#[derive(Debug, clap::Args)]
pub(super) struct SecretsArgs {
    /// The dump: a file, a pipe, or - for standard input.
    file: PathBuf,
}

pub(super) fn run_secrets(args: &SecretsArgs, format: Format) -> Result<u8, CliError> {
    let source = Input::open(&args.file)?;
    let found = secrets_in_dump(|| Ok(source.whole()), Limits::default());
    let report = found.map_err(|e| match e {
        SecretsError::Io(e) => CliError::usage(format!("cannot open {}", args.file.display())).because(e),
        e => CliError::usage(format!("cannot read {}", args.file.display())).because(e),
    })?;
    let text = match format {
        Format::Table => secrets_screen(&report),
        Format::Json => format!("{:#}\n", secrets_value(&report)),
        Format::Jsonl => format!("{}\n", secrets_value(&report)),
    };
    output::result(&text)?;
    Ok(match (report.summary.is_complete(), report.findings.is_empty()) {
        (false, _) => exit_code::PARTIAL,
        (true, true) => exit_code::FINE,
        (true, false) => exit_code::FINDINGS,
    })
}

fn secrets_screen(report: &SecretsReport) -> String {
    if report.findings.is_empty() {
        return "nothing that looks like a secret was found\n".to_owned();
    }
    let line = |f: &plimsoll_read::secrets::Finding| {
        let kind = f.kind.words();
        format!("{:>8} × {kind}, {:?}: {} in {}", thousands(f.count), f.confidence, f.example, f.place)
    };
    let lines: Vec<String> = report.findings.iter().map(line).collect();
    lines.join("\n") + "\n"
}

fn secrets_value(report: &SecretsReport) -> Value {
    let findings = report.findings.iter().map(|f| {
        json!({
            "secret": f.kind.words(),
            "confidence": format!("{:?}", f.confidence).to_lowercase(),
            "place": f.place,
            "count": f.count,
            "masked": f.example,
        })
    });
    json!({
        "apiVersion": API_VERSION,
        "kind": "Secrets",
        "truncated": !report.summary.is_complete(),
        "findings": findings.collect::<Vec<_>>(),
    })
}
