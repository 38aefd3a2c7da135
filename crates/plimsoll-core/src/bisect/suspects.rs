//! Which commits between two versions are worth looking at first: by what their diffs add that can hold memory, and by what they
//! take away that let go of it.
//!
//! Lines are read as their language's lexer would: without comments and texts. It is a hint and no measurement: no commit is accused, and
//! what grows may have been there before. Names that an artifact showed (a class, a function) count for more than any pattern.

use serde::Serialize;

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

/// Languages, by the ends of their files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Language {
    Jvm,
    Go,
    Script,
    Python,
    Net,
    Native,
}

const ENDINGS: &[(&str, Language)] = &[
    ("java", Language::Jvm),
    ("kt", Language::Jvm),
    ("scala", Language::Jvm),
    ("groovy", Language::Jvm),
    ("go", Language::Go),
    ("js", Language::Script),
    ("mjs", Language::Script),
    ("cjs", Language::Script),
    ("ts", Language::Script),
    ("tsx", Language::Script),
    ("jsx", Language::Script),
    ("py", Language::Python),
    ("cs", Language::Net),
    ("rs", Language::Native),
    ("c", Language::Native),
    ("cc", Language::Native),
    ("cpp", Language::Native),
    ("h", Language::Native),
    ("hpp", Language::Native),
];

/// A rule: a line that has one of each group, at the begin of the line where it must be outermost.
struct Rule {
    of: Language,
    what: &'static str,
    weight: f64,
    /// One word of each group must be there.
    all: &'static [&'static [&'static str]],
    /// Nothing of this may be in what the commit adds to the file: it bounds or lets go.
    unless: &'static [&'static str],
    /// It counts at the outermost level only.
    outermost: bool,
}

const fn rule(
    of: Language,
    what: &'static str,
    weight: f64,
    all: &'static [&'static [&'static str]],
    unless: &'static [&'static str],
) -> Rule {
    Rule { of, what, weight, all, unless, outermost: false }
}

const fn outermost(of: Language, what: &'static str, all: &'static [&'static [&'static str]]) -> Rule {
    Rule { of, what, weight: 3.0, all, unless: &[], outermost: true }
}

const STATIC: &str = "a collection in static scope";
const CACHE: &str = "a cache without a bound";
const LISTENER: &str = "a listener that is added";
const THREAD: &str = "a thread or task that is started";
const LOCAL: &str = "something for each thread";
const TIMER: &str = "a timer that is not stopped";
const CONTEXT: &str = "a context that nobody cancels";
const OUTSIDE: &str = "memory outside of the heap";

const RULES: &[Rule] = &[
    rule(
        Language::Jvm,
        STATIC,
        3.0,
        &[&["static ", "object ", "companion "], &["Map", "List", "Set", "Queue", "Deque"], &["=", "{"]],
        &[],
    ),
    rule(
        Language::Jvm,
        CACHE,
        2.5,
        &[&["Caffeine.newBuilder", "CacheBuilder.newBuilder", "ConcurrentMapCacheManager"]],
        &["maximumSize", "maximumWeight", "expireAfter", "weakKeys", "weakValues", "softValues"],
    ),
    rule(
        Language::Jvm,
        LISTENER,
        1.5,
        &[&[
            ".addListener(",
            ".addObserver(",
            ".subscribe(",
            "addPropertyChangeListener(",
            "addShutdownHook(",
        ]],
        &["removeListener", "removeObserver", "unsubscribe", "dispose("],
    ),
    rule(
        Language::Jvm,
        THREAD,
        1.5,
        &[&[
            "new Thread(",
            "newCachedThreadPool",
            "newFixedThreadPool",
            "newScheduledThreadPool",
            "ThreadPoolExecutor(",
        ]],
        &["shutdown("],
    ),
    rule(Language::Jvm, LOCAL, 2.0, &[&["ThreadLocal"]], &[".remove()"]),
    rule(Language::Jvm, OUTSIDE, 1.5, &[&["allocateDirect(", "Unsafe", "directBuffer("]], &["release("]),
    outermost(Language::Go, STATIC, &[&["var "], &["map[", "[]", "sync.Map", "list.New"]]),
    rule(Language::Go, THREAD, 2.0, &[&["go func", "go "], &["("]], &[]),
    rule(
        Language::Go,
        CONTEXT,
        2.5,
        &[&["context.WithCancel(", "context.WithTimeout(", "context.WithDeadline("], &[", _ "]],
        &[],
    ),
    rule(Language::Go, CONTEXT, 1.5, &[&["context.Background()", "context.TODO()"]], &["cancel()"]),
    rule(Language::Go, TIMER, 1.5, &[&["time.NewTicker(", "time.Tick("]], &[".Stop()"]),
    rule(
        Language::Go,
        "an answer whose body is not closed",
        2.0,
        &[&["http.Get(", "http.Post(", ".Do("]],
        &["Body.Close"],
    ),
    rule(Language::Go, "a channel without a buffer", 1.0, &[&["make(chan "]], &[]),
    outermost(
        Language::Script,
        STATIC,
        &[
            &["const ", "let ", "var ", "export const "],
            &["new Map(", "new Set(", "= {}", "= []", "={}", "=[]"],
        ],
    ),
    rule(Language::Script, STATIC, 3.0, &[&["static "], &["new Map(", "new Set(", "= {}", "= []"]], &[]),
    rule(
        Language::Script,
        LISTENER,
        1.5,
        &[&[".on(", ".addEventListener(", ".addListener(", ".subscribe("]],
        &[".off(", "removeListener", "removeEventListener", "unsubscribe"],
    ),
    rule(Language::Script, TIMER, 2.0, &[&["setInterval("]], &["clearInterval"]),
    rule(Language::Script, CACHE, 1.5, &[&["memoize(", "new NodeCache("]], &["max", "maxKeys"]),
    outermost(
        Language::Python,
        STATIC,
        &[&["= {}", "= []", "= dict(", "= set(", "= list(", "defaultdict(", "OrderedDict(", "= deque()"]],
    ),
    rule(
        Language::Python,
        CACHE,
        2.5,
        &[&["lru_cache(maxsize=None", "lru_cache(None", "@functools.cache", "@cache"]],
        &["cache_clear"],
    ),
    rule(
        Language::Python,
        "a default that all calls share",
        2.0,
        &[&["def "], &["=[]", "={}", "= []", "= {}"]],
        &[],
    ),
    rule(
        Language::Python,
        THREAD,
        1.5,
        &[&["threading.Thread(", "create_task(", "ThreadPoolExecutor("]],
        &["shutdown(", "cancel("],
    ),
    rule(Language::Python, LOCAL, 1.5, &[&["threading.local("]], &[]),
    rule(
        Language::Net,
        STATIC,
        3.0,
        &[&["static "], &["Dictionary<", "List<", "HashSet<", "ConcurrentBag<", "Queue<"], &["=", "{"]],
        &[],
    ),
    rule(Language::Net, LISTENER, 1.5, &[&["+= "], &["On", "Handler", "=>", "Event"]], &["-= "]),
    rule(Language::Net, CACHE, 2.0, &[&["new MemoryCache("]], &["SizeLimit"]),
    rule(Language::Net, THREAD, 1.0, &[&["Task.Run(", "new Thread(", "Task.Factory.StartNew("]], &[]),
    rule(Language::Net, LOCAL, 1.5, &[&["ThreadLocal<", "AsyncLocal<", "[ThreadStatic]"]], &[]),
    rule(Language::Net, TIMER, 1.5, &[&["new Timer("]], &["Dispose("]),
    rule(
        Language::Native,
        STATIC,
        3.0,
        &[&["static "], &["Map", "Vec<", "map<", "vector<", "unordered_", "deque<"]],
        &[],
    ),
    rule(
        Language::Native,
        "memory that is given up",
        3.0,
        &[&["Box::leak(", "mem::forget(", "ManuallyDrop"]],
        &[],
    ),
    rule(
        Language::Native,
        "memory that is taken",
        1.0,
        &[&["malloc(", "calloc(", "strdup(", "= new "]],
        &["free(", "delete "],
    ),
    rule(
        Language::Native,
        THREAD,
        1.0,
        &[&["thread::spawn(", "std::thread(", "pthread_create("]],
        &["join("],
    ),
];

/// What lets go of memory: a commit that takes it away is as suspect as one that adds to it.
const LETS_GO: &[&str] = &[
    "maximumSize",
    "maximumWeight",
    "expireAfter",
    ".evict",
    "removeListener",
    "removeEventListener",
    "unsubscribe",
    "clearInterval",
    ".Stop()",
    "Body.Close",
    "cancel()",
    ".close()",
    ".Close()",
    "Dispose()",
    "free(",
    "delete ",
    ".clear()",
    ".remove(",
    "cache_clear",
    "shutdown(",
    "maxsize=",
    "SizeLimit",
    ".off(",
];
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
    for line in &diff.lines {
        let Some(language) = language(&line.path) else { continue };
        let code = code(&line.text, language);
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
            let fits = RULES.iter().find(|r| r.of == language && r.fits(&code) && !bounded(diff, line, r));
            fits.iter().for_each(|r| found(r.what, r.weight));
            if names.iter().any(|n| has_word(&code, n)) {
                found("a name that the artifact shows", NAMED);
            }
        } else if LETS_GO.iter().any(|w| code.contains(w)) && !moved(diff, line) {
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

impl Rule {
    fn fits(&self, code: &str) -> bool {
        let is_outermost = !self.outermost || !code.starts_with([' ', '\t']);
        is_outermost && self.all.iter().all(|group| group.iter().any(|w| begins_word(code, w)))
    }
}

/// Whether the same commit adds to the file what bounds it or lets go.
fn bounded(diff: &Diff, line: &Line, rule: &Rule) -> bool {
    let lines = diff.lines.iter().filter(|l| l.added && l.path == line.path);
    !rule.unless.is_empty()
        && lines.map(|l| code(&l.text, rule.of)).any(|c| rule.unless.iter().any(|w| c.contains(w)))
}

/// Whether a line that is taken away is added elsewhere.
fn moved(diff: &Diff, line: &Line) -> bool {
    diff.lines.iter().any(|l| l.added && l.text.trim() == line.text.trim())
}

/// A word of a rule, not in the middle of another one.
fn begins_word(code: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let starts = word.starts_with(|c: char| c.is_lowercase());
    code.match_indices(word).any(|(at, _)| !starts || !code[..at].ends_with(is_part))
}

fn has_word(code: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word)
        .any(|(at, _)| !code[..at].ends_with(is_part) && !code[at + word.len()..].starts_with(is_part))
}

fn language(path: &str) -> Option<Language> {
    let (_, ending) = path.rsplit_once('.')?;
    ENDINGS.iter().find(|(e, _)| *e == ending).map(|(_, l)| *l)
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

/// A line without its comments, and with empty texts.
fn code(line: &str, language: Language) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    // A line within a comment of several.
    if language != Language::Python && line.trim_start().starts_with("* ") {
        return out;
    }
    while let Some(c) = rest.chars().next() {
        let is_comment = match language {
            Language::Python => c == '#',
            _ => rest.starts_with("//"),
        };
        if is_comment {
            break;
        }
        if language != Language::Python && rest.starts_with("/*") {
            rest = rest.find("*/").map_or("", |end| &rest[end + 2..]);
        } else if c == '"' || c == '`' || c == '\'' && language != Language::Native {
            out.push_str("\"\"");
            rest = behind_text(&rest[1..], c);
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}

fn behind_text(text: &str, quote: char) -> &str {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return &text[at + 1..],
            _ => {}
        }
    }
    ""
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

#[cfg(test)]
mod tests {
    use super::*;

    fn diff(id: &str, path: &str, lines: &[&str]) -> Diff {
        let line = |(at, text): (usize, &&str)| Line {
            path: path.to_owned(),
            number: at + 1,
            added: text.starts_with('+'),
            text: text[1..].to_owned(),
        };
        Diff { id: id.into(), title: id.into(), lines: lines.iter().enumerate().map(line).collect() }
    }

    fn first(path: &str, lines: &[&str]) -> Option<&'static str> {
        let suspects = rank(&[diff("x", path, lines)], &[]);
        suspects.first().and_then(|s| s.findings.first()).map(|f| f.what)
    }

    #[test]
    fn what_holds_memory_is_known_in_each_language() {
        for (path, line, what) in [
            ("A.java", "+    private static final Map<String, User> SEEN = new HashMap<>();", STATIC),
            ("A.java", "+  var c = Caffeine.newBuilder().build();", CACHE),
            ("a.go", "+var seen = map[string]int{}", STATIC),
            ("a.go", "+\tgo worker(ch)", THREAD),
            ("a.go", "+\tctx, _ := context.WithCancel(parent)", CONTEXT),
            ("a.ts", "+const cache = new Map()", STATIC),
            ("a.js", "+  emitter.on('data', handle)", LISTENER),
            ("a.py", "+SEEN = {}", STATIC),
            ("a.py", "+@lru_cache(maxsize=None)", CACHE),
            ("a.cs", "+  static readonly Dictionary<string, int> Seen = new();", STATIC),
            ("a.rs", "+    Box::leak(value);", "memory that is given up"),
            ("a.go", "-\tdefer ticker.Stop()", "what let go of memory is taken away"),
        ] {
            assert_eq!(first(path, &[line]), Some(what), "{line}");
        }
    }

    #[test]
    fn what_is_bounded_or_only_said_is_none() {
        for (path, lines) in [
            ("A.java", &["+  Caffeine.newBuilder()", "+    .maximumSize(100)"][..]),
            ("A.java", &["+  // private static final Map<String, User> SEEN = new HashMap<>();"]),
            ("a.go", &["+\tx := \"go func(\""]),
            ("a.go", &["+\tvar local = map[string]int{}"]),
            ("a.go", &["+\tcargo (1)"]),
            ("a.py", &["+    local = {}"]),
            ("a.js", &["+  a.on('x', f)", "+  a.off('x', f)"]),
            ("a.md", &["+var seen = map[string]int{}"]),
            ("a.go", &["-\tdefer t.Stop()", "+\tdefer t.Stop()"]),
        ] {
            assert_eq!(first(path, lines), None, "{lines:?}");
        }
    }

    #[test]
    fn a_name_out_of_an_artifact_goes_before_patterns_and_tests_behind() {
        let diffs = [
            diff("other", "A.java", &["+  static Map<String, String> m = new HashMap<>();"]),
            diff("culprit", "Sessions.java", &["+    sessions.put(key, value);"]),
            diff("test", "src/test/ATest.java", &["+  static List<String> l = new ArrayList<>();"]),
            diff("docs", "README.md", &["+ nothing"]),
        ];
        let order = |names: &[String]| rank(&diffs, names).iter().map(|s| s.id.clone()).collect::<Vec<_>>();
        assert_eq!(order(&[]), ["other", "test"]);
        let named = ["com.shop.Sessions.sessions".to_owned(), "com.shop.Sessions".to_owned()];
        assert_eq!(order(&named), ["culprit", "other", "test"]);
    }

    #[test]
    fn a_log_of_git_is_read_with_its_files_and_lines() {
        let log = "\0abc\0first\n\ndiff --git a/a.go b/a.go\n--- a/a.go\n+++ b/a.go\n@@ -3,1 +5,2 @@ func x\n--- old\n+new\n++++ two\n\0def\0second\n";
        // The id stands behind the first zero: what is before it is empty.
        let diffs = parse(log.strip_prefix('\0').expect("it begins so"));
        assert_eq!(diffs.len(), 2);
        let lines: Vec<(usize, bool, &str)> =
            diffs[0].lines.iter().map(|l| (l.number, l.added, l.text.as_str())).collect();
        assert_eq!(lines, [(3, false, "-- old"), (5, true, "new"), (6, true, "+++ two")]);
        assert_eq!((diffs[0].title.as_str(), diffs[1].id.as_str()), ("first", "def"));
    }
}
