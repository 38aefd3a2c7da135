//! Every module opens with a doc that says what it is for.

use crate::{Finding, Tree};

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let missing = tree.files.iter().filter(|(path, text)| {
        let test = path.components().any(|c| c.as_os_str() == "fixtures");
        !test && !text.trim_start().starts_with("//!")
    });
    missing
        .map(|(path, _)| Finding {
            place: tree.shown(path),
            rule: "no //! line at the top: say what the module is for".to_owned(),
        })
        .collect()
}
