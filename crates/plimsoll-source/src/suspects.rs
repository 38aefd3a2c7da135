//! Ranks commits by what they add that can hold memory.

use std::collections::HashMap;
use std::rc::Rc;

use serde::Serialize;

use crate::construct::{Construct, Reader};
use crate::diff::{Diff, File};
use crate::kind::{GROWS, RELEASE, STATIC};
use crate::language::Language;

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
/// Bytes of source that are parsed at most.
const MOST_BYTES: usize = 512 << 20;

/// Where the files of commits come from.
pub trait Texts {
    /// The text of a blob; `None` where it cannot be had.
    fn text(&mut self, blob: &str) -> Option<String>;
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

/// Commits, the one to look at first at the head.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ranking {
    /// Those that do something of the kind.
    pub suspects: Vec<Suspect>,
    /// Files that could not be read or parsed.
    pub unread: usize,
}

/// Ranks commits, the one to look at first at the head; those that do nothing of the kind are left out. `names` are classes or functions
/// that an artifact showed.
pub fn rank(diffs: &[Diff], names: &[String], texts: &mut dyn Texts) -> Ranking {
    let names: Vec<&str> = names.iter().map(|n| last_part(n)).filter(|n| n.len() > 2).collect();
    let mut blobs = Blobs { texts, reader: Reader::default(), read: HashMap::new(), unread: 0, bytes: 0 };
    let mut suspects: Vec<Suspect> =
        diffs.iter().map(|d| suspect(d, &names, &mut blobs)).filter(|s| s.score > 0.0).collect();
    suspects.sort_by(|a, b| b.score.total_cmp(&a.score));
    Ranking { suspects, unread: blobs.unread }
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

/// Blobs that were read: one commit's file is the next one's file before.
struct Blobs<'a> {
    texts: &'a mut dyn Texts,
    reader: Reader,
    read: HashMap<String, Rc<Vec<Construct>>>,
    unread: usize,
    bytes: usize,
}

impl Blobs<'_> {
    /// What a blob does. Nothing where there is none or it cannot be read, which is counted.
    fn constructs(&mut self, blob: Option<&String>, language: &'static Language) -> Rc<Vec<Construct>> {
        let Some(blob) = blob else { return Rc::default() };
        if let Some(known) = self.read.get(blob) {
            return known.clone();
        }
        let text = if self.bytes < MOST_BYTES { self.texts.text(blob) } else { None };
        self.bytes += text.as_ref().map_or(0, String::len);
        let found = text.and_then(|text| self.reader.constructs(language, &text));
        self.unread += usize::from(found.is_none());
        let found = Rc::new(found.unwrap_or_default());
        self.read.insert(blob.clone(), found.clone());
        found
    }
}

/// What one file does before and after a commit, less what is the same.
struct Changed<'a> {
    file: &'a File,
    gone: Vec<Construct>,
    come: Vec<Construct>,
}

fn suspect(diff: &Diff, names: &[&str], blobs: &mut Blobs<'_>) -> Suspect {
    let mut files: Vec<Changed<'_>> = Vec::new();
    let mut findings: Vec<Finding> = Vec::new();
    for file in &diff.files {
        if let Some(language) = Language::of(&file.path) {
            let gone = blobs.constructs(file.before.as_ref(), language);
            let come = blobs.constructs(file.after.as_ref(), language);
            files.push(Changed { file, gone: gone.to_vec(), come: come.to_vec() });
            findings.extend(named(file, language, names, blobs));
        }
        findings.extend(named_file(file, names));
    }
    cancel(&mut files);
    for changed in &mut files {
        changed.net();
        findings.extend(changed.findings());
    }
    findings.sort_by(|a, b| b.weight.total_cmp(&a.weight));
    let score = score(&findings);
    findings.truncate(KEPT);
    Suspect { id: diff.id.clone(), title: diff.title.clone(), score, findings }
}

/// Takes out what the commit leaves as it was, in the same file or moved to another one.
fn cancel(files: &mut [Changed<'_>]) {
    type Counts = HashMap<(&'static str, String), usize>;
    let key = |c: &Construct| (c.kind.capture, c.key.clone());
    let take_one = |from: &mut Counts, c: &Construct| {
        from.get_mut(&key(c)).filter(|n| **n > 0).map(|n| *n -= 1).is_some()
    };
    let (mut there, mut same) = (Counts::new(), Counts::new());
    files.iter().flat_map(|f| &f.gone).for_each(|c| *there.entry(key(c)).or_default() += 1);
    for file in &mut *files {
        file.come.retain(|c| {
            let stayed = take_one(&mut there, c);
            if stayed {
                *same.entry(key(c)).or_default() += 1;
            }
            !stayed
        });
    }
    for file in files {
        file.gone.retain(|c| !take_one(&mut same, c));
    }
}

impl Changed<'_> {
    /// Takes out what a file has changed: of each kind, as many as are gone are there again in another form.
    fn net(&mut self) {
        let file = self.file;
        // Those that the diff touches are the new ones.
        let is_touched = |c: &Construct| file.lines.iter().any(|l| l.added && c.lines.contains(&l.number));
        self.come.sort_by_key(|c| is_touched(c));
        let mut kept = Vec::new();
        for one in std::mem::take(&mut self.come) {
            match self.gone.iter().position(|g| g.kind == one.kind) {
                Some(at) => drop(self.gone.remove(at)),
                None => kept.push(one),
            }
        }
        self.come = kept;
    }

    fn findings(&self) -> Vec<Finding> {
        let new = |name: &Option<String>| self.come.iter().any(|c| *c.kind == STATIC && c.name == *name);
        let added = self.come.iter().filter(|c| *c.kind != RELEASE && !(*c.kind == GROWS && new(&c.name)));
        let taken = self.gone.iter().filter(|c| *c.kind == RELEASE);
        let share = if is_test(&self.file.path) { IN_TESTS } else { 1.0 };
        let finding = |c: &Construct| Finding {
            what: c.kind.what,
            path: self.file.path.clone(),
            line: c.lines.start,
            text: c.text.clone(),
            weight: c.weight * share,
        };
        added.chain(taken).map(finding).collect()
    }
}

/// Names out of an artifact that the file's added lines have in their code.
fn named(file: &File, language: &'static Language, names: &[&str], blobs: &mut Blobs<'_>) -> Vec<Finding> {
    let share = if is_test(&file.path) { IN_TESTS } else { 1.0 };
    let mut findings = Vec::new();
    for name in names {
        let added = file.lines.iter().filter(|l| l.added);
        let places: Vec<(usize, usize)> =
            added.filter_map(|l| Some((l.number, word_in(&l.text, name)?))).collect();
        let Some(blob) = file.after.as_ref().filter(|_| !places.is_empty()) else { continue };
        let Some(text) = blobs.texts.text(blob) else { continue };
        if let Some(line) = blobs.reader.word_at(language, &text, &places, name.len()) {
            let said = file.lines.iter().find(|l| l.added && l.number == line);
            findings.push(Finding {
                what: "a name that the artifact shows",
                path: file.path.clone(),
                line,
                text: said.map_or_else(String::new, |l| l.text.trim().chars().take(100).collect()),
                weight: NAMED * share,
            });
        }
    }
    findings
}

fn named_file(file: &File, names: &[&str]) -> Option<Finding> {
    let line = file.lines.first()?;
    names.contains(&file_stem(&file.path)).then(|| Finding {
        what: "the file of a name that the artifact shows",
        path: file.path.clone(),
        line: line.number,
        text: String::new(),
        weight: NAMED_FILE,
    })
}

/// Each further finding of a kind counts half: a large commit is no culprit for its size.
fn score(findings: &[Finding]) -> f64 {
    let mut seen: HashMap<&str, i32> = HashMap::new();
    let mut sum = 0.0;
    for f in findings {
        let times = seen.entry(f.what).or_default();
        if *times < HALVES {
            sum += f.weight * 0.5_f64.powi(*times);
        }
        *times += 1;
    }
    sum
}

/// Where a word stands in a line, in bytes.
fn word_in(code: &str, word: &str) -> Option<usize> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let is_whole =
        |at: &usize| !code[..*at].ends_with(is_part) && !code[*at + word.len()..].starts_with(is_part);
    code.match_indices(word).map(|(at, _)| at).find(is_whole)
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
