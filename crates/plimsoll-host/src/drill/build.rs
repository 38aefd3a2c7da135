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
    let source = folder.join(drill.file);
    fs::write(&source, drill.source).map_err(|e| BuildError::Write { path: source.clone(), source: e })?;
    let program = folder.join("drill").display().to_string();
    let path = source.display().to_string();
    let own = drill.runtime_args.iter().map(|a| (*a).to_owned());
    let mut command = match drill.language {
        Language::Java => {
            compile("javac", "install a JDK", &["-d", &folder.display().to_string(), &path])?;
            let class = drill.file.trim_end_matches(".java").to_owned();
            let tail = vec!["-cp".to_owned(), folder.display().to_string(), class];
            return Ok(["java".to_owned()]
                .into_iter()
                .chain(own)
                .chain(extra.iter().cloned())
                .chain(tail)
                .collect());
        }
        Language::Node => {
            let node = find("node", "install Node.js")?;
            return Ok([node].into_iter().chain(own).chain(extra.iter().cloned()).chain([path]).collect());
        }
        Language::Python => return Ok(vec![find("python3", "install Python 3")?, path]),
        Language::Go => {
            compile("go", "install Go, or run scripts/setup", &["build", "-o", &program, &path])?;
            vec![program]
        }
        Language::C => {
            compile("cc", "install a C compiler", &["-O1", "-fno-builtin", "-o", &program, &path])?;
            vec![program]
        }
        Language::Rust => {
            compile("rustc", "install Rust", &["--edition", "2024", "-O", "-o", &program, &path])?;
            vec![program]
        }
    };
    command.extend(extra.iter().cloned());
    Ok(command)
}

/// The tool's path: on `PATH`, or where `scripts/setup` puts what tests need.
pub(super) fn find(tool: &'static str, hint: &'static str) -> Result<String, BuildError> {
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

fn compile(tool: &'static str, hint: &'static str, args: &[&str]) -> Result<(), BuildError> {
    let program = find(tool, hint)?;
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
