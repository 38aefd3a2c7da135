//! Which commits between two versions are worth looking at first: by what their diffs add that can hold memory, and by what they
//! take away that let go of it.
//!
//! Lines are read as their language's lexer would: without comments and texts, and put together where a declaration goes over several
//! of them. It is a hint and no measurement: no commit is accused, and what grows may have been there before. Names that an artifact showed (a class, a function) count for more than any pattern.

mod rules;
mod statement;
#[cfg(test)]
mod tests;

use serde::Serialize;

use self::rules::{LETS_GO, RULES, Rule, language};
use self::statement::{Statements, code};

/// Files whose path has one of these parts are run by tests only.
const TESTS: &[&str] = &["test", "tests", "spec", "__tests__", "testdata", "mock", "mocks"];
/// What a finding in a test counts.
const IN_TESTS: f64 = 0.1;
/// What a name out of an artifact counts where it is added, and where only its file is touched.
const NAMED: f64 = 4.0;
const NAMED_FILE: f64 = 2.0;
/// Findings of one kind in one commit that count: the first ones, each half of the one before.
const HALVES: i32 = 4;
/// Findings of a commit that are kept to be shown.
const KEPT: usize = 20;
/// A commit weighs so many times as much beforehand, at most: what patterns say is worth a run or two, and no verdict.
const HEAVIEST: f64 = 6.0;

/// A commit's diff.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Diff {
    /// The commit.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Lines that it adds or takes away.
    pub lines: Vec<Line>,
}

/// A line of a diff.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Its file.
    pub path: String,
    /// Its number, in the file that it is in.
    pub number: usize,
    /// Whether it was added.
    pub added: bool,
    /// What it says.
    pub text: String,
}

/// Something that a diff does.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// What, in words.
    pub what: &'static str,
    /// Where.
    pub path: String,
    /// Line in that file.
    pub line: usize,
    /// The line, cut.
    pub text: String,
    /// What it counts.
    pub weight: f64,
}

/// A commit with what speaks for looking at it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Suspect {
    /// The commit.
    pub id: String,
    /// Its title.
    pub title: String,
    /// The sum of what it does.
    pub score: f64,
    /// What it does, the weightiest first.
    pub findings: Vec<Finding>,
}

const LET_GO: f64 = 2.0;

/// Ranks commits, the one to look at first at the head; those that do nothing of the kind are left out. `names` are classes or functions
/// that an artifact showed.
pub fn rank(diffs: &[Diff], names: &[String]) -> Vec<Suspect> {
    let names: Vec<&str> = names.iter().map(|n| last_part(n)).filter(|n| n.len() > 2).collect();
    let mut all: Vec<Suspect> = diffs.iter().map(|d| suspect(d, &names)).filter(|s| s.score > 0.0).collect();
    all.sort_by(|a, b| b.score.total_cmp(&a.score));
    all
}

/// What a commit with this score weighs beforehand in a search, beside 1 of those without any.
pub fn prior(score: f64) -> f64 {
    (1.0 + score.max(0.0)).min(HEAVIEST)
}

/// `com.shop.Cache.entries` is known in a diff as `Cache` and `entries`; of a path of packages, the last name.
fn last_part(name: &str) -> &str {
    let name = name.trim().trim_end_matches("[]").trim_end_matches("()");
    name.rsplit(['.', '/', '$', ':']).next().unwrap_or(name)
}

fn suspect(diff: &Diff, names: &[&str]) -> Suspect {
    let mut findings: Vec<Finding> = Vec::new();
    let mut statements = Statements::default();
    for (at, line) in diff.lines.iter().enumerate() {
        let Some(language) = language(&line.path) else { continue };
        let code = statements.scoped(line, code(&line.text, language), language);
        let share = if is_test(&line.path) { IN_TESTS } else { 1.0 };
        let mut found = |what, weight: f64| {
            findings.push(Finding {
                what,
                path: line.path.clone(),
                line: line.number,
                text: line.text.trim().chars().take(100).collect(),
                weight: weight * share,
            });
        };
        if line.added {
            let rule = |code: &str| RULES.iter().find(|r| r.of == language && r.fits(code));
            let whole = statements.whole(&diff.lines, (at, &code), language, &|code| rule(code).is_some());
            let fits = rule(&code).or_else(|| whole.as_deref().and_then(rule));
            let fits = fits.filter(|r| !bounded(diff, line, r));
            fits.iter().for_each(|r| found(r.what, r.weight));
            if names.iter().any(|n| has_word(&code, n)) {
                found("a name that the artifact shows", NAMED);
            }
        } else if lets_go(&code) && !moved(diff, line) {
            found("what let go of memory is taken away", LET_GO);
        }
    }
    for name in names {
        let of = |l: &&Line| file_stem(&l.path) == *name;
        if let Some(line) = diff.lines.iter().find(of) {
            findings.push(Finding {
                what: "the file of a name that the artifact shows",
                path: line.path.clone(),
                line: line.number,
                text: String::new(),
                weight: NAMED_FILE,
            });
        }
    }
    findings.sort_by(|a, b| b.weight.total_cmp(&a.weight));
    let score = score(&findings);
    findings.truncate(KEPT);
    Suspect { id: diff.id.clone(), title: diff.title.clone(), score, findings }
}

/// Each further finding of a kind counts half: a large commit is no culprit for its size.
fn score(findings: &[Finding]) -> f64 {
    let mut seen: Vec<(&str, i32)> = Vec::new();
    let mut sum = 0.0;
    for f in findings {
        let times = match seen.iter_mut().find(|(what, _)| *what == f.what) {
            Some((_, times)) => {
                *times += 1;
                *times
            }
            None => {
                seen.push((f.what, 0));
                0
            }
        };
        if times < HALVES {
            sum += f.weight * 0.5_f64.powi(times);
        }
    }
    sum
}

/// Whether the same commit adds to the file what bounds it or lets go.
fn bounded(diff: &Diff, line: &Line, rule: &Rule) -> bool {
    let lines = diff.lines.iter().filter(|l| l.added && l.path == line.path);
    !rule.unless.is_empty()
        && lines.map(|l| code(&l.text, rule.of)).any(|c| rule.unless.iter().any(|w| c.contains(w)))
}

/// Whether a line bounds or lets go; a size of none is no bound.
fn lets_go(code: &str) -> bool {
    LETS_GO.iter().any(|w| code.contains(w)) && !code.contains("maxsize=None")
}

/// Whether a line that is taken away is added elsewhere.
fn moved(diff: &Diff, line: &Line) -> bool {
    diff.lines.iter().any(|l| l.added && l.text.trim() == line.text.trim())
}

fn has_word(code: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word)
        .any(|(at, _)| !code[..at].ends_with(is_part) && !code[at + word.len()..].starts_with(is_part))
}

fn is_test(path: &str) -> bool {
    let stem = file_stem(path);
    path.split('/').any(|part| TESTS.contains(&part))
        || stem.ends_with("_test")
        || stem.starts_with("test_")
        || stem.ends_with("Test")
        || stem.ends_with(".test")
        || stem.ends_with(".spec")
}

fn file_stem(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

/// Reads what `git log -p -U0` printed with `%x00%H%x00%s` before each diff.
pub fn parse(log: &str) -> Vec<Diff> {
    let mut diffs = Vec::new();
    for part in log.split('\0').collect::<Vec<_>>().chunks(2) {
        if let [id, body] = part {
            let id = id.trim();
            if id.is_empty() {
                continue;
            }
            let (title, patch) = body.split_once('\n').unwrap_or((body, ""));
            diffs.push(Diff { id: id.to_owned(), title: title.to_owned(), lines: lines(patch) });
        }
    }
    diffs
}

fn lines(patch: &str) -> Vec<Line> {
    let (mut all, mut path, mut old_path) = (Vec::new(), String::new(), String::new());
    let (mut old, mut new) = (0, 0);
    // Lines of a hunk that are still to come: within it, `--- ` is a line that was taken away.
    let (mut old_left, mut new_left) = (0_usize, 0_usize);
    for line in patch.lines() {
        let within = old_left > 0 || new_left > 0;
        if !within && line.starts_with("--- ") {
            old_path = line[4..].trim_start_matches("a/").to_owned();
        } else if !within && line.starts_with("+++ ") {
            let named = line[4..].trim_start_matches("b/");
            path = if named == "/dev/null" { old_path.clone() } else { named.to_owned() };
        } else if let (false, Some(hunk)) = (within, line.strip_prefix("@@ -")) {
            let count = |words: Option<&str>| {
                let words = words.unwrap_or_default();
                let (at, count) = words.split_once(',').unwrap_or((words, "1"));
                (at.parse().unwrap_or(0), count.parse().unwrap_or(0))
            };
            let mut words = hunk.split(' ');
            (old, old_left) = count(words.next());
            (new, new_left) = count(words.next().and_then(|w| w.strip_prefix('+')));
        } else if let (true, Some(text)) = (new_left > 0, line.strip_prefix('+')) {
            all.push(Line { path: path.clone(), number: new, added: true, text: text.to_owned() });
            new += 1;
            new_left -= 1;
        } else if let (true, Some(text)) = (old_left > 0, line.strip_prefix('-')) {
            all.push(Line { path: path.clone(), number: old, added: false, text: text.to_owned() });
            old += 1;
            old_left -= 1;
        }
    }
    all
}
