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
    /// xUnit: GrowthTest.cs. No .NET was at hand: it was run under Mono only.
    Dotnet,
    /// The testing package: growth_test.go.
    Go,
    /// JUnit 5: GrowthTest.java.
    Java,
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
            Language::Dotnet => (
                "GrowthTest.cs",
                include_str!("templates/GrowthTest.cs"),
                "dotnet test --filter GrowthTest (the template was run by us under Mono only: no .NET was at hand)",
            ),
            Language::Java => (
                "GrowthTest.java",
                include_str!("templates/GrowthTest.java"),
                "run it as every test of JUnit (mvn test, gradle test, the console launcher)",
            ),
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

#[cfg(test)]
mod tests {
    use plimsoll_core::guard::marker;

    use super::*;

    /// All that can be said of it without a compiler.
    #[test]
    fn the_template_of_dotnet_prints_a_line_that_is_read() {
        let (_, text, _) = Language::Dotnet.template();
        assert!(text.contains("NEVER RUN UNDER .NET BY ITS AUTHORS"));
        for (open, close) in [('{', '}'), ('(', ')'), ('[', ']')] {
            assert_eq!(text.matches(open).count(), text.matches(close).count());
        }
        let line = text.lines().find_map(|l| l.split_once("$\"")?.1.split_once('"')).expect("a line").0;
        let line = line.replace("{Round}", "1000").replace("{heap}", "5").replace("{held}", "9");
        let told = marker::parse(&line).expect("a marker").expect("read");
        assert_eq!((told.iterations, told.held), (1000, Some(9.0)));
        assert_eq!(told.readings.len(), 1, "{told:?}");
    }
}
