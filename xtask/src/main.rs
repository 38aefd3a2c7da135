//! `cargo xtask tidy`: the house rules that no compiler checks, each with the reason it exists.

mod edges;
mod functions;
mod map;
mod modules;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// One broken rule.
struct Finding {
    place: String,
    rule: String,
}

/// The sources that the rules look at.
struct Tree {
    root: PathBuf,
    files: Vec<(PathBuf, String)>,
}

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("tidy") => tidy(),
        _ => {
            say("usage: cargo xtask tidy");
            ExitCode::from(2)
        }
    }
}

fn tidy() -> ExitCode {
    let tree = match Tree::read() {
        Ok(tree) => tree,
        Err(e) => {
            say(&format!("failed to read the tree: {e}"));
            return ExitCode::from(70);
        }
    };
    let mut findings = Vec::new();
    findings.extend(edges::check(&tree));
    findings.extend(functions::check(&tree));
    findings.extend(modules::check(&tree));
    findings.extend(map::check(&tree));
    for f in &findings {
        say(&format!("{}: {}", f.place, f.rule));
    }
    say(&format!("tidy: {} files, {} findings", tree.files.len(), findings.len()));
    if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[expect(clippy::print_stderr, reason = "this program's only output")]
fn say(text: &str) {
    eprintln!("{text}");
}

impl Tree {
    /// Every Rust file of the workspace but the build output, the drills and the fuzz corpus.
    fn read() -> std::io::Result<Tree> {
        let root = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| "xtask".into()))
            .join("..")
            .canonicalize()?;
        let mut files = Vec::new();
        for dir in ["crates", "xtask", "bench", "fuzz"] {
            collect(&root.join(dir), &mut files)?;
        }
        files.sort();
        Ok(Tree { root, files })
    }

    /// A path as findings show it.
    fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).display().to_string()
    }
}

fn collect(dir: &Path, files: &mut Vec<(PathBuf, String)>) -> std::io::Result<()> {
    if !dir.is_dir() {
        return Ok(());
    }
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() && path.file_name().is_some_and(|n| n != "target" && n != "drills") {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = std::fs::read_to_string(&path)?;
            files.push((path, text));
        }
    }
    Ok(())
}
