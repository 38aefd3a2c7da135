//! Writing out and building a drill's source, with the tools that the machine has.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::catalog::{Drill, Language};

/// Why a drill could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A tool is missing.
    #[error("{tool} is not installed ({hint})")]
    Missing {
        /// The tool.
        tool: &'static str,
        /// How to get it.
        hint: &'static str,
    },
    /// A file could not be written.
    #[error("failed to write {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The compiler refused.
    #[error("{tool} failed: {message}")]
    Compiler {
        /// The tool.
        tool: &'static str,
        /// What it said, last line.
        message: String,
    },
}

/// Builds `drill` in `folder`; returns the command line that runs it.
pub(super) fn build(drill: &Drill, folder: &Path, extra: &[String]) -> Result<Vec<String>, BuildError> {
    let own = drill.runtime_args.iter().map(|a| (*a).to_owned());
    program(drill.language, (drill.file, drill.source), folder, own.chain(extra.iter().cloned()).collect())
}

/// Builds a program of one file in `folder`; returns the command line that runs it, with `args` for its runtime.
pub(crate) fn program(
    language: Language,
    (file, source): (&str, &str),
    folder: &Path,
    args: Vec<String>,
) -> Result<Vec<String>, BuildError> {
    let path = folder.join(file);
    fs::write(&path, source).map_err(|e| BuildError::Write { path: path.clone(), source: e })?;
    let program = folder.join("drill").display().to_string();
    let (path, folder) = (path.display().to_string(), folder.display().to_string());
    let tool = tool(language);
    let compiled: &[&str] = match language {
        Language::Java => {
            compile(tool, &["-d", &folder, &path])?;
            let class = file.trim_end_matches(".java").to_owned();
            let tail = vec!["-cp".to_owned(), folder, class];
            return Ok(["java".to_owned()].into_iter().chain(args).chain(tail).collect());
        }
        Language::Node | Language::Python => {
            return Ok([find(tool)?].into_iter().chain(args).chain([path]).collect());
        }
        Language::Go => &["build", "-o", &program, &path],
        Language::C => &["-O1", "-fno-builtin", "-o", &program, &path],
        Language::Rust => &["--edition", "2024", "-O", "-o", &program, &path],
    };
    compile(tool, compiled)?;
    Ok([program].into_iter().chain(args).collect())
}

/// A tool, and how to get it.
pub(crate) type Tool = (&'static str, &'static str);

/// What builds, or runs, programs of a language.
pub(crate) fn tool(language: Language) -> Tool {
    match language {
        Language::Java => ("javac", "install a JDK"),
        Language::Go => ("go", "install Go, or run scripts/setup"),
        Language::Node => ("node", "install Node.js"),
        Language::Python => ("python3", "install Python 3"),
        Language::C => ("cc", "install a C compiler"),
        Language::Rust => ("rustc", "install Rust"),
    }
}

/// The tool's path: on `PATH`, or where `scripts/setup` puts what tests need.
pub(crate) fn find((tool, hint): Tool) -> Result<String, BuildError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|h| PathBuf::from(h).join(".cache")));
    let own = cache.map(|c| c.join("plimsoll-tools").join("bin"));
    std::env::split_paths(&path)
        .chain(own)
        .map(|dir| dir.join(tool))
        .find(|p| p.is_file())
        .map(|p| p.display().to_string())
        .ok_or(BuildError::Missing { tool, hint })
}

fn compile((tool, hint): Tool, args: &[&str]) -> Result<(), BuildError> {
    let program = find((tool, hint))?;
    let out = Command::new(program)
        .args(args)
        .env("GO111MODULE", "off")
        .output()
        .map_err(|e| BuildError::Compiler { tool, message: e.to_string() })?;
    if out.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&out.stderr);
    let message = text.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or("no message").to_owned();
    Err(BuildError::Compiler { tool, message })
}
