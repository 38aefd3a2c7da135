//! What diffs are said to do, and what not.

use std::collections::HashMap;

use super::*;

const STATIC: &str = "a collection in static scope";
const GROWS: &str = "a collection in static scope gets more";
const CACHE: &str = "a cache without a bound";
const CONTEXT: &str = "a context that nobody cancels";
const TASK: &str = "a thread or task that is started";
const RELEASE: &str = "what let go of memory is taken away";

/// Blobs by their names.
#[derive(Default)]
struct Blobs(HashMap<String, String>);

impl Texts for Blobs {
    fn text(&mut self, blob: &str) -> Option<String> {
        self.0.get(blob).cloned()
    }
}

impl Blobs {
    /// A commit that changes files: lines begin with `+`, `-` or a blank, as in a diff with its whole context.
    fn commit(&mut self, id: &str, files: &[(&str, &[&str])]) -> Diff {
        let files = files.iter().map(|(path, lines)| self.file(id, path, lines)).collect();
        Diff { id: id.into(), title: id.into(), files }
    }

    fn file(&mut self, id: &str, path: &str, lines: &[&str]) -> File {
        let mut side = |without: char| {
            let of: Vec<&str> = lines.iter().filter(|l| !l.starts_with(without)).map(|l| &l[1..]).collect();
            let name = format!("{id}{path}{without}");
            let is_there = !of.is_empty();
            is_there.then(|| {
                self.0.insert(name.clone(), of.join("\n") + "\n");
                name
            })
        };
        let (before, after) = (side('+'), side('-'));
        let (mut old, mut new, mut changed) = (0, 0, Vec::new());
        for line in lines {
            let (is_old, is_new) = (!line.starts_with('+'), !line.starts_with('-'));
            (old, new) = (old + usize::from(is_old), new + usize::from(is_new));
            if is_old != is_new {
                let number = if is_new { new } else { old };
                changed.push(Line { number, added: is_new, text: line[1..].to_owned() });
            }
        }
        File { path: (*path).to_owned(), before, after, lines: changed }
    }
}

fn found(path: &str, lines: &[&str]) -> Vec<Finding> {
    let mut blobs = Blobs::default();
    let diff = blobs.commit("x", &[(path, lines)]);
    let ranking = rank(&[diff], &[], &mut blobs);
    assert_eq!(ranking.unread, 0, "{lines:?}");
    ranking.suspects.into_iter().flat_map(|s| s.findings).collect()
}

fn all(path: &str, lines: &[&str]) -> Vec<&'static str> {
    found(path, lines).iter().map(|f| f.what).collect()
}

#[test]
fn every_query_is_one_of_its_language() {
    let mut reader = Reader::default();
    for language in Language::all() {
        assert!(reader.constructs(language, "").is_some(), "{}", language.name);
    }
}

#[test]
fn what_holds_memory_is_known_in_each_language() {
    let queue = "a queue without a bound";
    let local = "something for each thread";
    for (path, lines, what) in [
        (
            "A.java",
            &[" class A {", "+  private static final Map<String, User> SEEN = new HashMap<>();", " }"][..],
            STATIC,
        ),
        ("A.java", &[" class A { void f() {", "+  var c = Caffeine.newBuilder().build();", " } }"], CACHE),
        ("A.java", &[" class A {", "+  Queue<X> q = new LinkedBlockingQueue<>();", " }"], queue),
        (
            "A.java",
            &[" class A {", "+  ThreadLocal<Buf> b = ThreadLocal.withInitial(Buf::new);", " }"],
            local,
        ),
        ("A.kt", &[" object A {", "+  val seen = mutableMapOf<String, User>()", " }"], STATIC),
        ("A.kt", &[" fun f() {", "+  GlobalScope.launch { g() }", " }"], TASK),
        ("a.go", &["+var seen = map[string]int{}"], STATIC),
        ("a.go", &[" func f() {", "+\tgo worker(ch)", " }"], TASK),
        ("a.go", &[" func f() {", "+\tctx, _ := context.WithCancel(parent)", " }"], CONTEXT),
        ("a.go", &[" func f() {", "+\tr, err := client.Do(q)", " }"], "an answer whose body is not closed"),
        ("a.ts", &["+const cache = new Map<string, User>()"], STATIC),
        ("a.tsx", &["+export const seen: User[] = []"], STATIC),
        ("a.js", &["+  emitter.on('data', handle)"], "a listener that is added"),
        ("a.js", &["+setInterval(() => f(), 5)"], "a timer that is not stopped"),
        ("a.py", &["+SEEN = {}"], STATIC),
        (
            "a.py",
            &["+def add(user, seen: list[str] = []):", "+    seen.append(user)"],
            "a default that all calls share",
        ),
        ("a.py", &["+@lru_cache(maxsize=None)", " def f(a): pass"], CACHE),
        ("a.cs", &[" class A {", "+  static readonly Dictionary<string, int> Seen = new();", " }"], STATIC),
        (
            "a.cs",
            &[" class A { void F() {", "+  bus.Changed += OnChanged;", " } }"],
            "a listener that is added",
        ),
        ("a.rs", &["+static SEEN: Mutex<Vec<User>> = Mutex::new(Vec::new());"], STATIC),
        ("a.rs", &[" fn f() {", "+    Box::leak(value);", " }"], "memory that is given up"),
        ("a.cpp", &["+static std::unordered_map<int, User> seen;"], STATIC),
        ("a.c", &[" void f() {", "+  x->y = malloc(5);", " }"], "memory that is taken"),
        ("a.go", &[" func f() {", "-\tdefer ticker.Stop()", " }"], RELEASE),
    ] {
        assert_eq!(all(path, lines), [what], "{lines:?}");
    }
}

#[test]
fn declarations_over_several_lines_are_known_in_those_of_the_jvm() {
    for (path, lines, what, line) in [
        (
            "A.java",
            &[
                " class A {",
                "+  private static final Map<String,",
                "+      List<User>>",
                "+      SEEN =",
                "+      load();",
                " }",
            ][..],
            STATIC,
            2,
        ),
        (
            "A.java",
            &[
                " class A {",
                "+  private final Cache<String, User> users =",
                "+      Caffeine",
                "+          .newBuilder()",
                "+          .build();",
                " }",
            ],
            CACHE,
            3,
        ),
        (
            "A.kt",
            &[
                " class A { companion object {",
                "+    const val LIMIT = 5",
                "+    val seen: MutableMap<String,",
                "+      User> = load()",
                " } }",
            ],
            STATIC,
            3,
        ),
    ] {
        assert_one(path, lines, what, line);
    }
}

#[test]
fn declarations_over_several_lines_are_known_in_other_languages() {
    for (path, lines, what, line) in [
        ("a.go", &["+var (", "+\tlimit = 5", "+\tseen = map[string]*User{}", "+)"][..], STATIC, 3),
        (
            "a.go",
            &[" func f() {", "+\tctx, _ :=", "+\t\tcontext.WithTimeout(parent, time.Second)", " }"],
            CONTEXT,
            3,
        ),
        ("a.ts", &["+export const users: Record<", "+  string, User", "+> =", "+  {}"], STATIC, 1),
        ("a.py", &["+@lru_cache(", "+    maxsize=None,", "+)", "+def user(id): pass"], CACHE, 1),
        ("a.py", &["+SEEN: dict[", "+    str, User", "+] = {}"], STATIC, 1),
        (
            "a.cs",
            &[
                " class A {",
                "+  private static readonly ConcurrentDictionary<",
                "+    string, User> Seen",
                "+    = new();",
                " }",
            ],
            STATIC,
            2,
        ),
        (
            "a.rs",
            &["+static SEEN: LazyLock<", "+    Mutex<HashMap<u64, User>>,", "+> = LazyLock::new(load);"],
            STATIC,
            1,
        ),
        ("a.cpp", &["+static", "+std::unordered_map<int, User> seen;"], STATIC, 1),
    ] {
        assert_one(path, lines, what, line);
    }
}

fn assert_one(path: &str, lines: &[&str], what: &str, line: usize) {
    let found = found(path, lines);
    assert_eq!(found.iter().map(|f| (f.what, f.line)).collect::<Vec<_>>(), [(what, line)], "{lines:?}");
}

#[test]
fn a_line_in_a_block_that_was_there_is_read_within_it() {
    for (path, lines, what) in [
        ("a.go", &[" var (", " \tlimit = 5", "+\tseen = map[string]*User{}", " )"][..], STATIC),
        (
            "A.kt",
            &[" class A {", "   companion object {", "+    val seen = HashMap<String, User>()", " } }"],
            STATIC,
        ),
        ("a.py", &[" class A:", "     limit = 5", "+    seen = []"], STATIC),
        ("a.ts", &[" class A {", "   a = 5;", "+  static seen = new Map();", " }"], STATIC),
        // What was there gets more.
        (
            "A.java",
            &[
                " class A {",
                "   static final Map<String, User> SEEN = new HashMap<>();",
                "   void f() {",
                "+    SEEN.put(a, b);",
                " } }",
            ],
            GROWS,
        ),
        ("a.go", &[" var seen = map[string]int{}", " func f(a string) {", "+\tseen[a] = 1", " }"], GROWS),
        ("a.py", &[" SEEN = {}", " def f(a):", "+    SEEN[a] = 1"], GROWS),
        ("a.ts", &[" const seen = new Map()", " function f(a) {", "+  seen.set(a, 1)", " }"], GROWS),
        // Its bound is gone.
        (
            "A.java",
            &[
                " class A {",
                "   Object c = Caffeine.newBuilder()",
                "-      .maximumSize(100)",
                "       .build();",
                " }",
            ],
            CACHE,
        ),
    ] {
        assert_eq!(all(path, lines).first(), Some(&what), "{lines:?}");
    }
}

#[test]
fn what_is_bounded_or_only_said_is_none() {
    for (path, lines) in [
        (
            "A.java",
            &[" class A {", "+  Object c = Caffeine.newBuilder()", "+    .maximumSize(100).build();", " }"][..],
        ),
        ("A.java", &[" class A {", "+  // static final Map<String, User> SEEN = new HashMap<>();", " }"]),
        (
            "A.java",
            &[" class A {", "+  /*", "+    static Map<String, User> SEEN = new HashMap<>();", "+  */", " }"],
        ),
        (
            "A.java",
            &[" class A {", "+  static int size(Map<String, User> users) { return users.size(); }", " }"],
        ),
        ("A.java", &[" class A {", "+  static final List<String> NAMES = List.of(\"a\");", " }"]),
        (
            "A.java",
            &[" class A {", "+  static void a() {", "+    Map<String, User> users = find();", "+  }", " }"],
        ),
        ("A.kt", &[" object A {", "+  fun size(users: MutableMap<String, User>) = users.size", " }"]),
        ("a.go", &[" func f() {", "+\tx := \"go func(\"", " }"]),
        ("a.go", &[" func f() {", "+\tvar local = map[string]int{}", " }"]),
        ("a.go", &["+var names = []string{\"a\", \"b\"}"]),
        (
            "a.go",
            &["+var (", "+\tload = func() {", "+\t\tseen := map[string]int{}", "+\t\t_ = seen", "+\t}", "+)"],
        ),
        ("a.go", &[" func f() {", "+\tt := time.NewTicker(5)", "+\tdefer t.Stop()", " }"]),
        ("a.go", &[" func f() {", "+\tr, _ := http.Get(u)", "+\tdefer func() { r.Body.Close() }()", " }"]),
        ("a.go", &[" func f() {", "+\tonce.Do(load)", " }"]),
        ("a.py", &[" def f():", "+    local = {}", "+    local[1] = 2"]),
        ("a.py", &["+def add(", "+    user,", "+):", "+    seen = {}"]),
        ("a.py", &["+@lru_cache(", "+    maxsize=100,", "+)", " def f(a): pass"]),
        ("a.py", &[" def f():", "+    with ThreadPoolExecutor() as pool:", "+        pool.map(g, h)"]),
        ("a.py", &[" class A:", "+    seen = []", "+    def __init__(self):", "+        self.seen = []"]),
        ("a.js", &["+a.on('x', f)", "+a.off('x', f)"]),
        ("a.ts", &[" function f() {", "+  const seen =", "+    new Map()", " }"]),
        ("a.js", &["+const TABLE = { a: 1, b: 2 }"]),
        ("a.cs", &[" class A { void F() {", "+  count += 5;", " } }"]),
        ("a.rs", &["+fn size(users: &'static HashMap<u64, User>) -> usize { users.len() }"]),
        ("a.cpp", &["+static std::string name(std::vector<int> a) { return \"\"; }"]),
        ("a.c", &[" void f() {", "+  char *p = malloc(5);", "+  free(p);", " }"]),
        ("a.md", &["+var seen = map[string]int{}"]),
        // A program wrote it.
        ("a.pb.go", &["+// Code generated by protoc-gen-go. DO NOT EDIT.", "+var seen = map[string]int{}"]),
        // Moved, indented, renamed.
        ("a.go", &[" func f() {", "-\tdefer t.Stop()", "+\tif a {", "+\t\tdefer t.Stop()", "+\t}", " }"]),
        ("a.go", &["-var seen = map[string]int{}", "+var users = map[string]int{}"]),
    ] {
        assert_eq!(all(path, lines), [""; 0], "{lines:?}");
    }
}

#[test]
fn a_collection_that_nothing_adds_to_counts_half() {
    let weight = |lines: &[&str]| found("a.py", lines).iter().map(|f| f.weight).sum::<f64>();
    let (idle, grown) =
        (weight(&["+SEEN = []"]), weight(&["+SEEN = []", "+def f(a):", "+    SEEN.append(a)"]));
    assert_eq!((idle, grown), (1.5, 3.0));
}

#[test]
fn what_moves_between_files_adds_nothing() {
    let mut blobs = Blobs::default();
    let moved = blobs.commit(
        "x",
        &[("a.go", &["-var seen = map[string]int{}"][..]), ("b.go", &["+var seen = map[string]int{}"])],
    );
    assert_eq!(rank(&[moved], &[], &mut blobs), Ranking::default());
}

#[test]
fn a_name_out_of_an_artifact_goes_before_patterns_and_tests_behind() {
    let mut blobs = Blobs::default();
    let diffs = [
        blobs.commit(
            "other",
            &[("A.java", &[" class A {", "+  static Map<String, String> m = new HashMap<>();", " }"])],
        ),
        blobs.commit(
            "culprit",
            &[("Sessions.java", &[" class Sessions {", "+    void f() { sessions.put(key, value); }", " }"])],
        ),
        blobs.commit("said", &[("B.java", &[" class B {", "+    // Sessions are kept", " }"])]),
        blobs.commit(
            "test",
            &[(
                "src/test/ATest.java",
                &[" class A {", "+  static List<String> l = new ArrayList<>();", " }"],
            )],
        ),
        blobs.commit("docs", &[("README.md", &["+ nothing"])]),
    ];
    let mut order = |names: &[String]| -> Vec<String> {
        rank(&diffs, names, &mut blobs).suspects.into_iter().map(|s| s.id).collect()
    };
    assert_eq!(order(&[]), ["other", "test"]);
    let named = ["com.shop.Sessions.sessions".to_owned(), "com.shop.Sessions".to_owned()];
    assert_eq!(order(&named), ["culprit", "other", "test"]);
}

#[test]
fn what_cannot_be_read_is_counted() {
    let mut blobs = Blobs::default();
    let gone = blobs.commit("gone", &[("a.go", &["+var seen = map[string]int{}"])]);
    let large = blobs.commit("large", &[("b.go", &["+var seen = map[string]int{}"])]);
    blobs.0.remove("gonea.go-");
    blobs.0.insert("largeb.go-".into(), "a\n".repeat(1 << 20));
    assert_eq!(rank(&[gone, large], &[], &mut blobs), Ranking { suspects: Vec::new(), unread: 2 });
}

#[test]
fn a_log_of_git_is_read_with_its_files_and_lines() {
    let log = "abc\0first\n\ndiff --git a/a.go b/a.go\nindex 11..22 100644\n--- a/a.go\n+++ b/a.go\n@@ -3,1 +5,2 @@ func x\n--- old\n+new\n++++ two\ndiff --git a/b b/b\nindex 33..00\n--- a/b\n+++ /dev/null\n@@ -1 +0,0 @@\n-gone\n\0def\0second\n";
    let diffs = parse(log);
    assert_eq!(diffs.len(), 2);
    let [first, second] = &diffs[0].files[..] else { panic!("two files: {diffs:?}") };
    let lines = |f: &File| f.lines.iter().map(|l| (l.number, l.added, l.text.clone())).collect::<Vec<_>>();
    assert_eq!(
        lines(first),
        [(3, false, "-- old".into()), (5, true, "new".into()), (6, true, "+++ two".into())]
    );
    assert_eq!((first.before.as_deref(), first.after.as_deref()), (Some("11"), Some("22")));
    assert_eq!(
        (second.path.as_str(), second.before.as_deref(), second.after.as_deref()),
        ("b", Some("33"), None)
    );
    assert_eq!((diffs[0].title.as_str(), diffs[1].id.as_str()), ("first", "def"));
}
#[test]
fn hostile_text_is_read_or_refused_within_bounds() {
    let mut reader = Reader::default();
    let deep = |what: &str| format!("{what}\n").repeat(30_000 / what.len());
    let statements = format!("{};\n", "a<".repeat(150)).repeat(100);
    for language in Language::all() {
        for text in ["(", "{[", "a<", "f(a<", "(a)", "class ", "\u{0}\"'`\\", "=>", "@a("]
            .map(deep)
            .iter()
            .chain([&statements])
        {
            let found = reader.constructs(language, text);
            assert!(found.is_none_or(|f| f.len() < text.len()), "{}", language.name);
        }
    }
}
