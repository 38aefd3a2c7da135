//! What `git log --patch` prints, as commits, files and lines.

/// A commit's diff.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Diff {
    /// The commit.
    pub id: String,
    /// Its title.
    pub title: String,
    /// The files that it changes.
    pub files: Vec<File>,
}

/// A file of a diff.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct File {
    /// Its path.
    pub path: String,
    /// The blob before the commit; `None` where there was none.
    pub before: Option<String>,
    /// The blob after it; `None` where it is removed.
    pub after: Option<String>,
    /// Lines that are added or taken away.
    pub lines: Vec<Line>,
}

/// A line of a diff.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Its number, in the file that it is in.
    pub number: usize,
    /// Whether it was added.
    pub added: bool,
    /// What it says.
    pub text: String,
}

/// Reads what `git log --patch --unified=0 --full-index` printed with `%x00%H%x00%s` before each diff.
pub fn parse(log: &str) -> Vec<Diff> {
    let parts: Vec<&str> = log.split('\0').collect();
    let diff = |part: &[&str]| match part {
        [id, body] if !id.trim().is_empty() => {
            let (title, patch) = body.split_once('\n').unwrap_or((body, ""));
            Some(Diff { id: id.trim().to_owned(), title: title.to_owned(), files: files(patch) })
        }
        _ => None,
    };
    parts.chunks(2).filter_map(diff).collect()
}

/// Lines of a hunk that are still to come, and the numbers of the next ones.
#[derive(Default)]
struct Hunk {
    old: usize,
    new: usize,
    old_left: usize,
    new_left: usize,
}

impl Hunk {
    /// `-3,1 +5,2 @@ func x`
    fn of(header: &str) -> Hunk {
        let count = |words: Option<&str>| {
            let words = words.unwrap_or_default();
            let (at, count) = words.split_once(',').unwrap_or((words, "1"));
            (at.parse().unwrap_or(0), count.parse().unwrap_or(0))
        };
        let mut words = header.split(' ');
        let (old, old_left) = count(words.next().and_then(|w| w.strip_prefix('-')));
        let (new, new_left) = count(words.next().and_then(|w| w.strip_prefix('+')));
        Hunk { old, new, old_left, new_left }
    }

    fn is_open(&self) -> bool {
        self.old_left > 0 || self.new_left > 0
    }

    /// The next line; `None` for what is no line of a hunk.
    fn line(&mut self, line: &str) -> Option<Line> {
        if let (true, Some(text)) = (self.new_left > 0, line.strip_prefix('+')) {
            let number = self.new;
            (self.new, self.new_left) = (number.saturating_add(1), self.new_left - 1);
            return Some(Line { number, added: true, text: text.to_owned() });
        }
        let text = line.strip_prefix('-').filter(|_| self.old_left > 0)?;
        let number = self.old;
        (self.old, self.old_left) = (number.saturating_add(1), self.old_left - 1);
        Some(Line { number, added: false, text: text.to_owned() })
    }
}

fn files(patch: &str) -> Vec<File> {
    let mut all: Vec<File> = Vec::new();
    let (mut blobs, mut old_path) = ((None, None), String::new());
    let mut hunk = Hunk::default();
    for line in patch.lines() {
        // Within a hunk, `--- ` is a line that was taken away.
        if hunk.is_open() {
            if let (Some(line), Some(file)) = (hunk.line(line), all.last_mut()) {
                file.lines.push(line);
            }
        } else if let Some(ids) = line.strip_prefix("index ") {
            blobs = both(ids);
        } else if let Some(name) = line.strip_prefix("--- ") {
            old_path = path(name, "a/");
        } else if let Some(name) = line.strip_prefix("+++ ") {
            let path = if name == "/dev/null" { std::mem::take(&mut old_path) } else { path(name, "b/") };
            let (before, after) = std::mem::take(&mut blobs);
            all.push(File { path, before, after, lines: Vec::new() });
        } else if let Some(header) = line.strip_prefix("@@ ") {
            hunk = Hunk::of(header);
        }
    }
    all
}

/// `1f..2e 100644`; a blob of nothing but zeros is none.
fn both(ids: &str) -> (Option<String>, Option<String>) {
    let ids = ids.split(' ').next().unwrap_or_default();
    let blob = |id: &str| id.bytes().any(|b| b != b'0').then(|| id.to_owned());
    ids.split_once("..").map_or((None, None), |(before, after)| (blob(before), blob(after)))
}

/// Names with bytes that git quotes stand in quotation marks.
fn path(name: &str, prefix: &str) -> String {
    let name = name.trim_end_matches('\t').trim_matches('"');
    name.strip_prefix(prefix).unwrap_or(name).to_owned()
}
