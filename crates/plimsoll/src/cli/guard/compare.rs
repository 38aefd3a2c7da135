//! `plimsoll guard compare`: does another setting or version grow less, under the same work.

use plimsoll_core::guard::difference::Change;

use super::run::{self, Options, Test};
use crate::cli::triage;
use crate::error::CliError;
use crate::exit_code;
use crate::output::{self, Format};
use crate::render;
use crate::render::guard::difference::{self, Both};
use crate::render::paint::Paint;

/// Does another setting or version grow less, under the same work?
///
/// Advice about collectors and allocators is a hypothesis: this runs the growth test with the one and with the other, and
/// tells the difference of what both grow by, with its interval.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  plimsoll guard compare --a ./growth-test --b 'MALLOC_ARENA_MAX=2 ./growth-test'
  plimsoll guard compare --a 'java -jar shop-1.3.jar' --b 'java -jar shop-1.4.jar' --http 'http://127.0.0.1:8080/u/{i}'

Exit codes: 0 B grows by no more than A, 1 it grows by more, 2 usage, 3 it cannot be told.")]
pub(crate) struct Args {
    /// The first, as a line of the shell; variables may stand before it.
    #[arg(long, value_name = "COMMAND")]
    a: String,

    /// The second.
    #[arg(long, value_name = "COMMAND")]
    b: String,

    #[command(flatten)]
    options: Options,
}

pub(crate) fn run(args: &Args, format: Format) -> Result<u8, CliError> {
    let stop = triage::stop_flag()?;
    let tolerance = run::tolerance(&args.options)?;
    let one = |line: &String| {
        // The shell and env become the program: its memory is read, not theirs.
        let program = ["sh".to_owned(), "-c".to_owned(), format!("exec env {line}")];
        let test = Test { options: &args.options, program: &program, target: None };
        run::test(&test, tolerance, &stop).map(|tested| (output::plain(line), tested))
    };
    let both = Both { a: one(&args.a)?, b: one(&args.b)? };
    let text = match format {
        Format::Table => difference::screen(&both, Paint::new(output::colour())),
        _ => render::json::text(&difference::json(&both), format),
    };
    output::result(&text)?;
    let all = both.differences();
    let has = |change| all.iter().any(|d| d.change == change);
    Ok(if has(Change::More) {
        exit_code::FINDINGS
    } else if all.is_empty() || has(Change::Unclear) {
        exit_code::CANNOT_JUDGE
    } else {
        exit_code::FINE
    })
}
