//! The languages that are read: the ends of their files, their grammar, and their query.

/// A language. Adding one is a row of [`LANGUAGES`] and a query.
#[derive(Debug)]
pub struct Language {
    /// Its name.
    pub name: &'static str,
    endings: &'static [&'static str],
    grammar: fn() -> tree_sitter::Language,
    /// What holds memory in it.
    query: &'static [&'static str],
}

const C: &str = include_str!("../queries/c.scm");
const TYPESCRIPT: &str = include_str!("../queries/typescript.scm");

static LANGUAGES: [Language; 10] = [
    Language {
        name: "Java",
        endings: &["java"],
        grammar: || tree_sitter_java::LANGUAGE.into(),
        query: &[include_str!("../queries/java.scm")],
    },
    Language {
        name: "Kotlin",
        endings: &["kt", "kts"],
        grammar: || tree_sitter_kotlin_ng::LANGUAGE.into(),
        query: &[include_str!("../queries/kotlin.scm")],
    },
    Language {
        name: "Go",
        endings: &["go"],
        grammar: || tree_sitter_go::LANGUAGE.into(),
        query: &[include_str!("../queries/go.scm")],
    },
    Language {
        name: "TypeScript",
        endings: &["ts", "mts", "cts"],
        grammar: || tree_sitter_typescript::LANGUAGE_TYPESCRIPT.into(),
        query: &[TYPESCRIPT],
    },
    // What is not of JavaScript in it does not disturb JavaScript.
    Language {
        name: "JavaScript",
        endings: &["js", "mjs", "cjs", "jsx", "tsx"],
        grammar: || tree_sitter_typescript::LANGUAGE_TSX.into(),
        query: &[TYPESCRIPT],
    },
    Language {
        name: "Python",
        endings: &["py"],
        grammar: || tree_sitter_python::LANGUAGE.into(),
        query: &[include_str!("../queries/python.scm")],
    },
    Language {
        name: "C#",
        endings: &["cs"],
        grammar: || tree_sitter_c_sharp::LANGUAGE.into(),
        query: &[include_str!("../queries/c_sharp.scm")],
    },
    Language {
        name: "Rust",
        endings: &["rs"],
        grammar: || tree_sitter_rust::LANGUAGE.into(),
        query: &[include_str!("../queries/rust.scm")],
    },
    Language { name: "C", endings: &["c"], grammar: || tree_sitter_c::LANGUAGE.into(), query: &[C] },
    Language {
        name: "C++",
        endings: &["cc", "cpp", "cxx", "h", "hh", "hpp", "hxx"],
        grammar: || tree_sitter_cpp::LANGUAGE.into(),
        query: &[C, include_str!("../queries/cpp.scm")],
    },
];

impl Language {
    /// The language of a file, by the end of its name.
    pub fn of(path: &str) -> Option<&'static Language> {
        let (_, ending) = path.rsplit_once('.')?;
        LANGUAGES.iter().find(|l| l.endings.contains(&ending))
    }

    /// All languages.
    pub fn all() -> impl Iterator<Item = &'static Language> {
        LANGUAGES.iter()
    }

    pub(crate) fn grammar(&self) -> tree_sitter::Language {
        (self.grammar)()
    }

    pub(crate) fn query(&self) -> String {
        self.query.concat()
    }
}
