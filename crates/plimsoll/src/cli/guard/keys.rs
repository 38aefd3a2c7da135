//! `plimsoll guard keys`: which load has keys like those that were seen.

use std::fs::File;
use std::path::PathBuf;

use plimsoll_core::units;
use plimsoll_read::key_source::{self, Found, Generator};
use serde_json::{Value, json};

use crate::error::CliError;
use crate::exit_code;
use crate::output::{self, Format, plain};
use crate::render::json as render_json;
use crate::render::paint::Paint;
use crate::render::reading::Screen;

/// Templates that are shown.
const SHOWN: usize = 12;

/// Which load has keys like those that were seen: from an access log, or from the reading of a heap
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  plimsoll guard keys access.log
  plimsoll read heap.hprof -o json >heap.json && plimsoll guard keys heap.json
  zcat access.log.gz | plimsoll guard keys -

What varies with nearly every key becomes a new value for each iteration, what has few values stays among as many. No key
of the file is repeated.")]
pub(crate) struct Args {
    /// An access log (common, combined, JSON lines), the JSON of plimsoll read, or - for standard input.
    file: PathBuf,

    /// Where the program under test listens.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    base: String,
}

pub(crate) fn run(args: &Args, format: Format) -> Result<u8, CliError> {
    let name = args.file.display();
    let found = if args.file.as_os_str() == "-" {
        key_source::read(std::io::stdin().lock())
    } else {
        let file =
            File::open(&args.file).map_err(|e| CliError::usage(format!("cannot read {name}")).because(e))?;
        key_source::read(file)
    };
    let found =
        found.map_err(|why| CliError::cannot_judge(format!("there are no keys in {name}")).because(why))?;
    let text = match format {
        Format::Table => screen(&found, args, Paint::new(output::colour())),
        _ => render_json::text(&document(&found, args), format),
    };
    output::result(&text)?;
    Ok(exit_code::FINE)
}

/// The options of guard run that drive this.
fn load(g: &Generator, base: &str) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "'\\''"));
    let base = base.trim_end_matches('/');
    match &g.method {
        Some(method) => format!("--http {}", quoted(&format!("{method} {base}{}", g.text))),
        None if g.text.starts_with('/') => format!("--http {}", quoted(&format!("GET {base}{}", g.text))),
        None => format!(
            "--http {} --header {}",
            quoted(&format!("GET {base}/")),
            quoted(&format!("X-Key: {}", g.text))
        ),
    }
}

fn screen(found: &Found, args: &Args, paint: Paint) -> String {
    let mut s = Screen { out: String::new(), paint };
    let name = plain(&args.file.display().to_string());
    let others = if found.others > 0 {
        format!(", {} lines are no request", units::thousands(found.others))
    } else {
        String::new()
    };
    s.line(&format!("{} · {}, {} keys{others}", paint.bold(&name), found.what, units::thousands(found.keys)));
    for g in found.generators.iter().take(SHOWN) {
        let method = g.method.as_ref().map_or_else(String::new, |m| format!("{m} "));
        let owner = g.owner.as_ref().map_or_else(String::new, |o| format!("   held by {o}"));
        s.line(&format!(
            "{:>6}  {method}{}{}",
            units::percent(g.share),
            plain(&g.text),
            paint.dim(&plain(&owner))
        ));
    }
    let more = found.generators.len().saturating_sub(SHOWN);
    if more > 0 {
        s.line(&format!("        and {more} more (-o json)"));
    }
    if let Some(first) = found.generators.first() {
        // A command is one line, to be copied.
        s.line(&format!(
            "{}       plimsoll guard run {} --keys both",
            paint.bold("NEXT"),
            plain(&load(first, &args.base))
        ));
        if first.method.is_none() && !first.text.starts_with('/') {
            s.row("", "the key is no path: say which header, parameter or body it comes from", |l| {
                paint.dim(l)
            });
        }
    }
    s.row(
        "HOW SURE",
        "made of what the keys have in common: order, rates and what belongs together are not kept; a slot that hides a secret gets a made-up word",
        |l| l.to_owned(),
    );
    s.out
}

fn document(found: &Found, args: &Args) -> Value {
    let one = |g: &Generator| {
        json!({
            "method": g.method, "template": g.text, "share": g.share, "owner": g.owner, "load": load(g, &args.base),
        })
    };
    json!({
        "apiVersion": plimsoll_core::recording::API_VERSION, "kind": "GuardKeys", "source": found.what, "keys": found.keys,
        "otherLines": found.others, "generators": found.generators.iter().map(one).collect::<Vec<_>>(),
    })
}
