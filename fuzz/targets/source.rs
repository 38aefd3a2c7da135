//! Source code: any bytes as any of the languages, and as what git prints of commits; constructs lie within the text.
#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use plimsoll_source::{Language, Reader, parse};

thread_local! {
    // Queries take a while to be compiled.
    static READER: RefCell<Reader> = RefCell::default();
}

fuzz_target!(|data: &[u8]| {
    let Some((which, data)) = data.split_first() else { return };
    let text = String::from_utf8_lossy(data);
    let lines = text.lines().count();
    for diff in parse(&text) {
        assert!(diff.files.iter().map(|f| f.lines.len()).sum::<usize>() <= lines, "{diff:?}");
    }
    let language = Language::all().nth(usize::from(*which) % Language::all().count()).expect("it is one of them");
    READER.with_borrow_mut(|reader| {
        for found in reader.constructs(language, &text).unwrap_or_default() {
            assert!(found.lines.start >= 1 && found.lines.end <= lines + 2, "{found:?} of {lines}");
            assert!(found.weight > 0.0 && found.text.chars().count() <= 100, "{found:?}");
        }
        let _any = reader.word_at(language, &text, &[(1, 0), (lines, 3), (lines + 9, 9)], 4);
    });
});
