//! What is looked for in each language, as data.

use super::statement::{begins_word, is_function};

/// Languages, by the ends of their files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
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
pub(super) struct Rule {
    pub(super) of: Language,
    pub(super) what: &'static str,
    pub(super) weight: f64,
    /// One word of each group must be there.
    all: &'static [&'static [&'static str]],
    /// Nothing of this may be in what the commit adds to the file: it bounds or lets go.
    pub(super) unless: &'static [&'static str],
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

pub(super) const STATIC: &str = "a collection in static scope";
pub(super) const CACHE: &str = "a cache without a bound";
pub(super) const LISTENER: &str = "a listener that is added";
pub(super) const THREAD: &str = "a thread or task that is started";
const LOCAL: &str = "something for each thread";
const TIMER: &str = "a timer that is not stopped";
pub(super) const CONTEXT: &str = "a context that nobody cancels";
const OUTSIDE: &str = "memory outside of the heap";

pub(super) const RULES: &[Rule] = &[
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
pub(super) const LETS_GO: &[&str] = &[
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

impl Rule {
    pub(super) fn fits(&self, code: &str) -> bool {
        let is_outermost = !self.outermost || !code.starts_with([' ', '\t']);
        // A static function that takes or gives a collection holds none.
        let is_function = self.what == STATIC && is_function(code, self.of);
        is_outermost
            && !is_function
            && self.all.iter().all(|group| group.iter().any(|w| begins_word(code, w)))
    }
}

pub(super) fn language(path: &str) -> Option<Language> {
    let (_, ending) = path.rsplit_once('.')?;
    ENDINGS.iter().find(|(e, _)| *e == ending).map(|(_, l)| *l)
}
