//! Function and file length: a ratchet, so that nothing grows past what fits a screen.

use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use crate::{Finding, Tree};

/// Lines of a function, signature to closing brace.
const LONGEST: usize = 70;
/// Lines of a file.
const LONGEST_FILE: usize = 800;

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in &tree.files {
        let place = tree.shown(path);
        let lines = text.lines().count();
        if lines > LONGEST_FILE {
            findings.push(Finding {
                place: place.clone(),
                rule: format!("{lines} lines; a file has {LONGEST_FILE} at most, split it"),
            });
        }
        match syn::parse_file(text) {
            Err(e) => findings.push(Finding { place, rule: format!("does not parse: {e}") }),
            Ok(file) => {
                let mut walk = Walk { place, findings: &mut findings };
                walk.visit_file(&file);
            }
        }
    }
    findings
}

struct Walk<'a> {
    place: String,
    findings: &'a mut Vec<Finding>,
}

impl Walk<'_> {
    fn measure(&mut self, name: &syn::Ident, whole: proc_macro2::Span) {
        let lines = whole.end().line + 1 - whole.start().line;
        if lines > LONGEST {
            self.findings.push(Finding {
                place: format!("{}:{}", self.place, name.span().start().line),
                rule: format!("fn {name} has {lines} lines; {LONGEST} at most"),
            });
        }
    }
}

impl<'ast> Visit<'ast> for Walk<'_> {
    fn visit_item_fn(&mut self, f: &'ast syn::ItemFn) {
        self.measure(&f.sig.ident, f.sig.span().join(f.block.span()).unwrap_or_else(|| f.span()));
        visit::visit_item_fn(self, f);
    }

    fn visit_impl_item_fn(&mut self, f: &'ast syn::ImplItemFn) {
        self.measure(&f.sig.ident, f.sig.span().join(f.block.span()).unwrap_or_else(|| f.span()));
        visit::visit_impl_item_fn(self, f);
    }
}
