//! The line of the project that the readers accuse, so that CI can show it there.

use std::fs;
use std::path::{Path, PathBuf};

use crate::render::guard::{Phase, Place};

/// Entries of folders that are looked at, at most.
const MOST: usize = 50_000;
/// Folders that hold no source of the project.
const FOREIGN: [&str; 6] = ["node_modules", "target", "vendor", "build", "dist", "__pycache__"];

/// The first accused line whose file is in this folder, and only once.
pub(super) fn find(phases: &[Phase], root: &Path) -> Option<Place> {
    let culprits: Vec<_> = phases.iter().flat_map(Phase::culprits).collect();
    let accused = culprits.iter().flat_map(|(_, r)| r.head.findings.iter().filter(|f| f.accuses()));
    let mut named = accused.filter_map(|f| named(&f.text)).peekable();
    named.peek()?;
    let files = files(root);
    named.find_map(|(name, line)| {
        let mut found = files.iter().filter(|f| f.file_name().is_some_and(|n| n == name));
        let file = found.next().filter(|_| found.next().is_none())?;
        Some(Place { file: file.strip_prefix(root).ok()?.to_str()?.to_owned(), line })
    })
}

/// `cache.go` and 41 of `main.keep (cache.go:41) keeps more`.
fn named(text: &str) -> Option<(&str, u64)> {
    text.split(['(', ')']).find_map(|part| {
        let (file, line) = part.rsplit_once(':')?;
        let name = file.rsplit('/').next().filter(|n| n.contains('.') && !n.contains(' '))?;
        line.parse().ok().filter(|l| *l > 0).map(|line| (name, line))
    })
}

/// The files of a project; links are not followed.
fn files(root: &Path) -> Vec<PathBuf> {
    let (mut open, mut files, mut seen) = (vec![root.to_owned()], Vec::new(), 0);
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            seen += 1;
            if seen > MOST {
                return files;
            }
            let name = entry.file_name();
            let name = name.to_string_lossy();
            match entry.file_type() {
                Ok(t) if t.is_file() => files.push(entry.path()),
                Ok(t) if t.is_dir() && !name.starts_with('.') && !FOREIGN.contains(&name.as_ref()) => {
                    open.push(entry.path());
                }
                _ => {}
            }
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_out_of_a_finding() {
        assert_eq!(named("main.keep (cache.go:41) grew: 12 MiB"), Some(("cache.go", 41)));
        assert_eq!(named("keep (lib/cache.js:5) grew (12:30)"), Some(("cache.js", 5)));
        for none in ["Shop$Entry grew (12 MiB)", "at (a b.go:1)", "(x.go:0)", ""] {
            assert_eq!(named(none), None, "{none}");
        }
    }
}
