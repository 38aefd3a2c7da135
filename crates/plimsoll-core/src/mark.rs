//! Marks on the time line: what was changed, and when, as somebody or something said.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// What was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MarkKind {
    /// Another version was rolled out.
    Deploy,
    /// A flag was switched.
    Flag,
    /// A setting was changed.
    Config,
}

impl MarkKind {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            MarkKind::Deploy => "deploy",
            MarkKind::Flag => "flag",
            MarkKind::Config => "config",
        }
    }
}

/// One mark: a line of a file of marks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mark {
    /// When, Unix seconds.
    pub unix_seconds: f64,
    /// What.
    pub kind: MarkKind,
    /// Name of the version, flag or setting.
    pub name: String,
    /// Whether it was switched off, or taken back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub off: bool,
    /// The workload that it concerns, `namespace/name`, or all of a namespace, `namespace/*`; all where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<String>,
}

impl Mark {
    /// Whether it concerns a workload.
    pub fn concerns(&self, namespace: &str, name: &str) -> bool {
        let is_it = |w: &String| match w.split_once('/') {
            Some((of, "*")) => of == namespace,
            Some(both) => both == (namespace, name),
            None => w == name,
        };
        self.workload.as_ref().is_none_or(is_it)
    }
}

/// Marks in order of time, without those that say what was so before: systems that reconcile say it again and again.
pub fn changes(mut marks: Vec<Mark>) -> Vec<Mark> {
    marks.sort_by(|a, b| a.unix_seconds.total_cmp(&b.unix_seconds));
    // A deploy takes the place of the one before, whatever it is called.
    let thing = |m: &Mark| {
        let name = if m.kind == MarkKind::Deploy { String::new() } else { m.name.clone() };
        (m.kind, name, m.workload.clone())
    };
    let mut last: HashMap<_, (String, bool)> = HashMap::new();
    marks.retain(|m| {
        let state = (m.name.clone(), m.off);
        // A setting that is said again was set again.
        last.insert(thing(m), state.clone()).is_none_or(|was| was != state) || m.kind == MarkKind::Config
    });
    marks
}

/// Reads a file of marks, a line each; lines that are none are counted, and the first is told.
pub fn parse(text: &str) -> (Vec<Mark>, Option<String>) {
    let (mut marks, mut wrong, mut first) = (Vec::new(), 0_usize, None);
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        match serde_json::from_str::<Mark>(line) {
            Ok(mark) if mark.unix_seconds.is_finite() => marks.push(mark),
            Ok(_) | Err(_) => {
                wrong += 1;
                first.get_or_insert(at + 1);
            }
        }
    }
    marks.sort_by(|a: &Mark, b| a.unix_seconds.total_cmp(&b.unix_seconds));
    (marks, first.map(|line| format!("{wrong} lines are no marks, line {line} the first")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_read_in_order_and_what_is_none_is_told() {
        let later = Mark {
            unix_seconds: 2.0,
            kind: MarkKind::Flag,
            name: "f".into(),
            off: true,
            workload: Some("shop/api".into()),
        };
        let text = format!(
            "{}\n\nnothing\n{{\"unixSeconds\":1,\"kind\":\"config\",\"name\":\"c\"}}\n{{\"unixSeconds\":1,\"kind\":\"what\",\"name\":\"c\"}}\n",
            serde_json::to_string(&later).expect("text")
        );
        let (marks, wrong) = parse(&text);
        assert_eq!(marks.iter().map(|m| m.name.as_str()).collect::<Vec<_>>(), ["c", "f"]);
        assert_eq!(wrong.as_deref(), Some("2 lines are no marks, line 3 the first"));
        assert_eq!(marks[1], later);
        assert!(
            later.concerns("shop", "api") && !later.concerns("shop", "db") && !later.concerns("other", "api")
        );
        assert!(marks[0].concerns("any", "thing"));
    }

    #[test]
    fn what_is_said_again_is_no_change() {
        let mark = |at: f64, kind, name: &str, off| Mark {
            unix_seconds: at,
            kind,
            name: name.into(),
            off,
            workload: Some("shop/*".into()),
        };
        let said = vec![
            mark(5.0, MarkKind::Deploy, "b", false),
            mark(1.0, MarkKind::Deploy, "a", false),
            mark(2.0, MarkKind::Deploy, "a", false),
            mark(6.0, MarkKind::Deploy, "a", false),
            mark(1.0, MarkKind::Flag, "f", false),
            mark(3.0, MarkKind::Flag, "f", false),
            mark(4.0, MarkKind::Flag, "f", true),
            mark(2.0, MarkKind::Config, "c", false),
            mark(3.0, MarkKind::Config, "c", false),
        ];
        let told = changes(said);
        let told: Vec<(f64, &str)> = told.iter().map(|m| (m.unix_seconds, m.name.as_str())).collect();
        assert_eq!(
            told,
            [(1.0, "a"), (1.0, "f"), (2.0, "c"), (3.0, "c"), (4.0, "f"), (5.0, "b"), (6.0, "a")]
        );
        let all = mark(1.0, MarkKind::Deploy, "a", false);
        assert!(all.concerns("shop", "api") && !all.concerns("pay", "api"));
    }
}
