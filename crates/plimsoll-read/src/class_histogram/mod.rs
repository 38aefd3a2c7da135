//! HotSpot's class histogram (`GC.class_histogram`): instances and shallow bytes per class; of a running JVM ([`parse`]),
//! and as an artifact that concludes ([`Histograms`]).

#[cfg(test)]
mod artifact_tests;
mod conclude;
mod kind;
mod whole;

use std::collections::HashMap;

use plimsoll_core::artifact::{ClassCount, ROWS_KEPT};

pub use conclude::{HistogramReport, Row};
pub use whole::{Histogram, Histograms, Language, read};

/// What a histogram says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClassHistogram {
    /// The largest classes by bytes, at most [`ROWS_KEPT`]; one loaded several times stands once.
    pub rows: Vec<ClassCount>,
    /// Bytes of all classes.
    pub total_bytes: u64,
    /// False when the closing line is missing: the text was cut, and `total_bytes` is a lower bound.
    pub complete: bool,
}

/// Reads a histogram; none when there is not one row.
pub fn parse(text: &str) -> Option<ClassHistogram> {
    let mut classes: HashMap<String, ClassCount> = HashMap::new();
    let (mut total, mut sum) = (None, 0_u64);
    // Without its newline the last line may be cut within a number or a name.
    let whole = text.rfind('\n').and_then(|i| text.get(..i)).unwrap_or_default();
    for line in whole.lines() {
        if let Some(row) = row(line) {
            sum = sum.saturating_add(row.bytes);
            let known = classes.entry(row.class.clone());
            let known = known.or_insert(ClassCount { class: row.class, instances: 0, bytes: 0 });
            known.instances = known.instances.saturating_add(row.instances);
            known.bytes = known.bytes.saturating_add(row.bytes);
        } else if let Some(rest) = line.trim().strip_prefix("Total") {
            total = rest.split_ascii_whitespace().nth(1).and_then(|w| w.parse().ok());
        }
    }
    let mut rows: Vec<ClassCount> = classes.into_values().collect();
    rows.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.class.cmp(&b.class)));
    rows.truncate(ROWS_KEPT);
    let found = !rows.is_empty();
    found.then(|| ClassHistogram { rows, total_bytes: total.unwrap_or(sum), complete: total.is_some() })
}

/// `   1:        217375       98655720  [B (java.base@17.0.15)`
fn row(line: &str) -> Option<ClassCount> {
    let (number, rest) = line.trim_start().split_once(':')?;
    number.parse::<u64>().ok()?;
    let mut words = rest.split_ascii_whitespace();
    let (instances, bytes) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    Some(ClassCount { class: source_form(words.next()?), instances, bytes })
}

/// The name as Java source writes it: `[B` is `byte[]`, `[Ljava.lang.String;` is `java.lang.String[]`. The
/// address of a hidden class is left out, since it differs from run to run.
fn source_form(name: &str) -> String {
    let element = name.trim_start_matches('[');
    let dimensions = name.len() - element.len();
    let base = match element {
        _ if dimensions == 0 => element,
        "B" => "byte",
        "C" => "char",
        "D" => "double",
        "F" => "float",
        "I" => "int",
        "J" => "long",
        "S" => "short",
        "Z" => "boolean",
        _ => element.strip_prefix('L').and_then(|e| e.strip_suffix(';')).unwrap_or(element),
    };
    let base = base.split_once("/0x").or_else(|| base.split_once("+0x")).map_or(base, |(name, _)| name);
    // A class file allows 255 dimensions.
    base.to_owned() + &"[]".repeat(dimensions.min(255))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = " num     #instances         #bytes  class name (module)
-------------------------------------------------------
   1:        217375       98655720  [B (java.base@17.0.15)
   2:        119497        3823904  java.util.concurrent.ConcurrentHashMap$Node (java.base@17.0.15)
   3:            23        1596016  [Ljava.lang.String; (java.base@17.0.15)
   4:           540        1404800  [[I (java.base@17.0.15)
   5:             2             48  com.example.App$$Lambda$14/0x0000000800c03000
   6:             1             16  com.example.App
   7:             1             16  com.example.App
Total        468462      116003488
";

    #[test]
    fn names_are_in_source_form_and_totals_are_the_jvms() {
        let h = parse(TEXT).unwrap();
        let names: Vec<&str> = h.rows.iter().map(|r| r.class.as_str()).collect();
        assert_eq!(
            names,
            [
                "byte[]",
                "java.util.concurrent.ConcurrentHashMap$Node",
                "java.lang.String[]",
                "int[][]",
                "com.example.App$$Lambda$14",
                "com.example.App"
            ]
        );
        assert_eq!((h.rows[0].instances, h.rows[0].bytes), (217_375, 98_655_720));
        assert_eq!((h.rows[5].instances, h.rows[5].bytes), (2, 32), "two loaders, one row");
        assert_eq!((h.total_bytes, h.complete), (116_003_488, true));
    }

    #[test]
    fn a_text_cut_anywhere_is_told_and_gives_no_wrong_row() {
        let whole = parse(TEXT).unwrap();
        for cut in 0..TEXT.len() {
            let Some(h) = parse(&TEXT[..cut]) else { continue };
            assert!(!h.complete, "{cut}");
            for row in &h.rows {
                let full = whole.rows.iter().find(|r| r.class == row.class).unwrap();
                assert!(row.bytes <= full.bytes && row.instances <= full.instances, "{cut}: {row:?}");
            }
        }
    }

    #[test]
    fn no_more_rows_than_are_kept() {
        let text: String = (0..500).map(|i| format!("{i}: 1 {i} C{i}\n")).collect();
        let h = parse(&text).unwrap();
        assert_eq!((h.rows.len(), h.rows[0].class.as_str()), (ROWS_KEPT, "C499"));
        assert_eq!((h.total_bytes, h.complete), (499 * 250, false));
        assert_eq!(parse("nothing\n"), None);
    }

    proptest! {
        #[test]
        fn hostile_text_never_panics(name in "\\PC{1,80}", n in any::<u64>(), m in any::<u64>()) {
            let text = format!("1: {n} {m} {name}\n2: {n} {m} {name}\nTotal {n} {m}\n");
            if let Some(h) = parse(&text) {
                prop_assert!(h.rows.len() <= 2);
                prop_assert_eq!(h.total_bytes, m);
            }
        }
    }
}
