//! `plimsoll guard init`: a growth test in the idiom of a language, which leaves verdict and statistics to us.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use crate::error::{CliError, Kind};
use crate::exit_code;
use crate::output;

/// Write a growth test for a project
///
/// The test does an iteration of yours over and over, tells of its rounds by the marker protocol, and fails when
/// plimsoll guard run finds growth. Put your work where the file says "your work here".
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  plimsoll guard init --lang python --folder tests
  plimsoll guard init --lang go --stdout")]
pub(crate) struct Args {
    /// Language of the project.
    #[arg(long, value_enum)]
    lang: Language,

    /// Folder in which the test is written.
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    folder: PathBuf,

    /// Print it instead.
    #[arg(long)]
    stdout: bool,
}

/// Languages with a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Language {
    /// The testing package: growth_test.go.
    Go,
    /// node:test: growth.test.js.
    Node,
    /// pytest: test_growth.py.
    Python,
    /// cargo test, for the folder tests: growth.rs.
    Rust,
}

impl Language {
    /// Name and text of the template, and how the test is run.
    fn template(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Language::Go => {
                ("growth_test.go", include_str!("templates/growth_test.go"), "go test -run TestGrowth")
            }
            Language::Node => {
                ("growth.test.js", include_str!("templates/growth.test.js"), "node --test growth.test.js")
            }
            Language::Python => {
                ("test_growth.py", include_str!("templates/test_growth.py"), "pytest test_growth.py")
            }
            Language::Rust => ("growth.rs", include_str!("templates/growth.rs"), "cargo test --test growth"),
        }
    }
}

pub(crate) fn run(args: &Args) -> Result<u8, CliError> {
    let (name, text, test) = args.lang.template();
    if args.stdout {
        output::result(text)?;
        return Ok(exit_code::FINE);
    }
    let path = args.folder.join(name);
    let written = fs::OpenOptions::new().write(true).create_new(true).open(&path);
    match written.and_then(|mut file| file.write_all(text.as_bytes())) {
        Ok(()) => {
            output::result(&format!(
                "{} is written: put your work where it says so, then {test}\n",
                path.display()
            ))?;
            Ok(exit_code::FINE)
        }
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
            Err(CliError::usage(format!("{} is there already", path.display()))
                .hint("--stdout prints the template"))
        }
        Err(e) => Err(CliError::new(Kind::Usage, format!("failed to write {}", path.display())).because(e)),
    }
}
