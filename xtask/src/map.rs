//! ARCHITECTURE.md is a map: every path that it names exists, and every crate and top module is named.

use crate::{Finding, Tree};

const MAP: &str = "ARCHITECTURE.md";

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let Ok(text) = std::fs::read_to_string(tree.root.join(MAP)) else {
        return vec![Finding { place: MAP.to_owned(), rule: "the map is missing".to_owned() }];
    };
    let mut findings = named_but_absent(tree, &text);
    findings.extend(present_but_unnamed(tree, &text));
    findings
}

/// A path in backticks that begins with one of the tree's folders must exist.
fn named_but_absent(tree: &Tree, text: &str) -> Vec<Finding> {
    let roots = ["crates/", "xtask/", "bench/", "fuzz/", "docs/", "drills/", "scripts/"];
    let named = text.split('`').skip(1).step_by(2).filter(|p| roots.iter().any(|r| p.starts_with(r)));
    named
        .filter(|p| !p.contains(['*', '<', ' ']) && !tree.root.join(p).exists())
        .map(|p| Finding { place: MAP.to_owned(), rule: format!("names `{p}`, which is not in the tree") })
        .collect()
}

/// Each file or folder right below a crate's `src` is a module a newcomer meets: the map names it.
fn present_but_unnamed(tree: &Tree, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (krate, src) in ["plimsoll-core", "plimsoll-read", "plimsoll-host", "plimsoll"]
        .map(|c| (c, tree.root.join("crates").join(c).join("src")))
    {
        let Ok(entries) = std::fs::read_dir(&src) else { continue };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = format!("crates/{krate}/src/{name}");
            let skip = name == "lib.rs" || name == "main.rs";
            if !skip && !text.contains(&format!("`{path}`")) {
                findings.push(Finding { place: path, rule: format!("is not named in {MAP}") });
            }
        }
    }
    findings
}
