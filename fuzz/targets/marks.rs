//! What others say of changes: any bytes; marks are bounded, have times and names, and what is written of them reads back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_core::mark::Mark;
use plimsoll_read::marks::{Known, annotation, flagd, read};

fn check(marks: &[Mark]) {
    for mark in marks {
        assert!(mark.unix_seconds.is_finite() && mark.name.chars().count() <= 500, "{mark:?}");
        assert!(!mark.name.contains(char::is_control), "{mark:?}");
    }
}

fuzz_target!(|data: &[u8]| {
    let known = Known { now: 1.0, ..Known::default() };
    if let Ok(found) = read(data, &known) {
        assert!(
            found.marks.len() <= 20_000 && found.marks.is_sorted_by(|a, b| a.unix_seconds <= b.unix_seconds)
        );
        check(&found.marks);
        for mark in &found.marks {
            let again = read(annotation(mark).to_string().as_bytes(), &known).expect("it is an annotation");
            assert_eq!(again.marks.len(), 1, "{mark:?}");
        }
    }
    let flags = [flagd::flags(data), flagd::resolved(data)].map(Result::unwrap_or_default);
    for after in &flags {
        assert!(flagd::changes(after, after, 1.0).is_empty());
        check(&flagd::changes(&flagd::Flags::new(), after, 1.0));
        check(&flagd::changes(after, &flagd::Flags::new(), 1.0));
    }
    let _any = flagd::message(data);
});
