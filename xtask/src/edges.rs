//! Who may depend on whom: core < read < host < plimsoll, source < plimsoll, and nothing that waits or prints in core.

use std::collections::BTreeMap;

use crate::{Finding, Tree};

/// Every allowed dependency of a crate. Adding one here is a decision; say why in ARCHITECTURE.md.
const ALLOWED: &[(&str, &[&str])] = &[
    // Goes into programs of others: it brings nothing along.
    ("crates/plimsoll-guard", &[]),
    ("crates/plimsoll-core", &["rand", "rand_chacha", "serde", "serde_json", "thiserror"]),
    (
        "crates/plimsoll-read",
        &[
            "csv",
            "flate2",
            "jiff",
            "memchr",
            "plimsoll-core",
            "ruzstd",
            "serde",
            "serde-saphyr",
            "serde_json",
            "thiserror",
        ],
    ),
    (
        "crates/plimsoll-host",
        &[
            "object_store",
            "plimsoll-core",
            "plimsoll-read",
            "reqwest",
            "rustix",
            "rustls",
            "serde_json",
            "sha2",
            "snap",
            "tempfile",
            "thiserror",
            "tokio",
            "tungstenite",
            "ureq",
        ],
    ),
    (
        "crates/plimsoll-source",
        &[
            "serde",
            "tree-sitter",
            "tree-sitter-c",
            "tree-sitter-c-sharp",
            "tree-sitter-cpp",
            "tree-sitter-go",
            "tree-sitter-java",
            "tree-sitter-kotlin-ng",
            "tree-sitter-python",
            "tree-sitter-rust",
            "tree-sitter-typescript",
        ],
    ),
    (
        "crates/plimsoll",
        &[
            "clap",
            "clap_complete",
            "flate2",
            "jiff",
            "plimsoll-core",
            "plimsoll-host",
            "plimsoll-read",
            "plimsoll-source",
            "ratatui",
            "rustix",
            "serde",
            "serde_json",
            "signal-hook",
            "tar",
            "tempfile",
            "thiserror",
            "zip",
        ],
    ),
];

#[derive(serde::Deserialize)]
struct Manifest {
    #[serde(default)]
    dependencies: BTreeMap<String, toml::Value>,
}

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (folder, allowed) in ALLOWED {
        let path = tree.root.join(folder).join("Cargo.toml");
        let manifest = std::fs::read_to_string(&path).map_err(|e| e.to_string());
        match manifest.and_then(|text| toml::from_str::<Manifest>(&text).map_err(|e| e.to_string())) {
            Err(e) => findings.push(Finding { place: tree.shown(&path), rule: e }),
            Ok(m) => {
                findings.extend(m.dependencies.keys().filter(|d| !allowed.contains(&d.as_str())).map(|d| {
                    Finding {
                        place: tree.shown(&path),
                        rule: format!("{d} is not on the allow-list of xtask/src/edges.rs"),
                    }
                }));
            }
        }
    }
    findings
}
