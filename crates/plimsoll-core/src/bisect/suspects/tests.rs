//! What diffs are said to do, and what not.

use super::rules::*;
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
        ("a.py", "+def add(user, seen: list[str] = []):", "a default that all calls share"),
        ("a.py", "+@lru_cache(maxsize=None)", CACHE),
        ("a.cs", "+  static readonly Dictionary<string, int> Seen = new();", STATIC),
        ("a.rs", "+    Box::leak(value);", "memory that is given up"),
        ("a.go", "-\tdefer ticker.Stop()", "what let go of memory is taken away"),
    ] {
        assert_eq!(first(path, &[line]), Some(what), "{line}");
    }
}

#[test]
fn declarations_over_several_lines_are_known_in_each_language() {
    for (path, lines, what) in [
        (
            "A.java",
            &["+  private static final Map<String,", "+      List<User>>", "+      SEEN =", "+      load();"]
                [..],
            STATIC,
        ),
        (
            "A.java",
            &[
                "+  private final Cache<String, User> users =",
                "+      Caffeine",
                "+          .newBuilder()",
                "+          .build();",
            ],
            CACHE,
        ),
        (
            "A.kt",
            &[
                "+  companion object {",
                "+    const val LIMIT = 5",
                "+    val seen = mutableMapOf<String, User>()",
                "+  }",
            ],
            STATIC,
        ),
        ("a.go", &["+var (", "+\tlimit = 5", "+\tseen = map[string]*User{}", "+)"], STATIC),
        ("a.go", &["+\tctx, _ :=", "+\t\tcontext.WithTimeout(parent, time.Second)"], CONTEXT),
        ("a.ts", &["+export const users: Record<", "+  string, User", "+> =", "+  new Map()"], STATIC),
        ("a.js", &["+const seen =", "+  new Map()"], STATIC),
        ("a.py", &["+@lru_cache(", "+    maxsize=None,", "+)", "+def user(id):"], CACHE),
        ("a.py", &["+SEEN: dict[", "+    str, User", "+] = {}"], STATIC),
        ("a.py", &["+def add(", "+    user,", "+    seen=[],", "+):"], "a default that all calls share"),
        (
            "a.cs",
            &["+  private static readonly ConcurrentDictionary<", "+    string, User> Seen", "+    = new();"],
            STATIC,
        ),
        (
            "a.rs",
            &["+static SEEN: LazyLock<", "+    Mutex<HashMap<u64, User>>,", "+> = LazyLock::new(load);"],
            STATIC,
        ),
        ("a.cpp", &["+static", "+std::unordered_map<int, User> seen;"], STATIC),
    ] {
        assert_eq!(first(path, lines), Some(what), "{lines:?}");
    }
}

#[test]
fn several_lines_are_no_more_than_one_declaration() {
    for (path, lines) in [
        // A method, not a field; a builder with its bound; a block of constants; what a function holds for itself.
        (
            "A.java",
            &["+  static int size(", "+      Map<String, User> users) {", "+    return users.size();"][..],
        ),
        ("A.java", &["+  Caffeine", "+      .newBuilder()", "+      .maximumSize(100)", "+      .build();"]),
        ("A.java", &["+  static void a();", "+  Map<String, User> users = find();"]),
        ("A.kt", &["+  companion object {", "+    fun size(users: Map<String, User>) = users.size", "+  }"]),
        ("a.go", &["+var (", "+\tlimit = 5", "+)", "+\tseen := map[string]int{}"]),
        ("a.go", &["+var (", "+\tload = func() {", "+\t\tseen = map[string]int{}", "+\t}", "+)"]),
        ("a.py", &["+@lru_cache(", "+    maxsize=100,", "+)"]),
        ("a.py", &["+def add(", "+    user,", "+):", "+    seen = {}"]),
        ("a.ts", &["+  const seen =", "+    new Map()"]),
    ] {
        assert_eq!(first(path, lines), None, "{lines:?}");
    }
    // One finding, at the line where it begins, whether a line of it says enough alone or not.
    let java = [
        "+  static final Map<String, User> SEEN =",
        "+      new HashMap<>();",
        "+  static final Map<A,",
        "+      B> OTHER =",
        "+      load();",
    ];
    let suspects = rank(&[diff("x", "A.java", &java)], &[]);
    assert_eq!(suspects[0].findings.iter().map(|f| f.line).collect::<Vec<_>>(), [1, 3]);
}

#[test]
fn what_is_bounded_or_only_said_is_none() {
    for (path, lines) in [
        ("A.java", &["+  Caffeine.newBuilder()", "+    .maximumSize(100)"][..]),
        ("A.java", &["+  // private static final Map<String, User> SEEN = new HashMap<>();"]),
        ("a.go", &["+\tx := \"go func(\""]),
        ("a.go", &["+\tvar local = map[string]int{}"]),
        ("a.go", &["+\tcargo (1)"]),
        ("A.java", &["+  static int size(Map<String, User> users) {"]),
        ("a.py", &["-    f = lru_cache(maxsize=None)(g)"]),
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
