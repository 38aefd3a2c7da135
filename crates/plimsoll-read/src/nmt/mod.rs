//! HotSpot's native memory tracking (`VM.native_memory`): the summary of a running JVM ([`parse`]), and reports of every
//! form as artifacts that conclude ([`Reports`]).

#[cfg(test)]
mod artifact_tests;
mod conclude;
mod kind;
mod text;

use plimsoll_core::artifact::NmtCategory;

pub use conclude::NmtReport;
pub use text::{Amount, Category, Reports, Site, Tracking, read};

/// What a summary says, bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NativeMemory {
    /// Committed in all categories.
    pub committed: u64,
    /// Reserved in all categories.
    pub reserved: u64,
    /// The categories, in the JVM's order. Those below one unit of the summary (1 KiB) are left out by it.
    pub categories: Vec<NmtCategory>,
}

impl NativeMemory {
    /// Committed bytes of a category; 0 where the JVM left it out as too small.
    pub fn committed_in(&self, name: &str) -> u64 {
        self.categories.iter().filter(|c| c.name == name).map(|c| c.committed).sum()
    }
}

/// Why a text is no summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NmtError {
    /// The JVM does not track.
    #[error("native memory tracking is off: restart with -XX:NativeMemoryTracking=summary")]
    Off,
    /// There is no total line.
    #[error("no summary of native memory (the line \"Total: reserved=…\" is missing)")]
    NoTotal,
}

/// Categories number some twenty five; a text with more is cut here.
const MOST: usize = 200;

/// Reads a summary, in whatever unit it was printed.
pub fn parse(text: &str) -> Result<NativeMemory, NmtError> {
    let total = text.lines().find_map(|l| amounts(l.trim().strip_prefix("Total:")?));
    let Some((reserved, committed)) = total else {
        let off = text.to_ascii_lowercase().contains("native memory tracking is not enabled");
        return Err(if off { NmtError::Off } else { NmtError::NoTotal });
    };
    let categories = text.lines().filter_map(category).take(MOST).collect();
    Ok(NativeMemory { committed, reserved, categories })
}

/// `-          Java Heap (reserved=163840KB, committed=163840KB)`
fn category(line: &str) -> Option<NmtCategory> {
    let (name, rest) = line.strip_prefix('-')?.split_once('(')?;
    let name = name.trim();
    let (reserved, committed) = amounts(rest)?;
    (!name.is_empty()).then(|| NmtCategory { name: name.to_owned(), reserved, committed })
}

/// `reserved=1KB, committed=1KB`
fn amounts(text: &str) -> Option<(u64, u64)> {
    let mut parts = text.trim().trim_end_matches(')').split(", ");
    let reserved = amount(parts.next()?.strip_prefix("reserved=")?)?;
    Some((reserved, amount(parts.next()?.strip_prefix("committed=")?)?))
}

/// `12KB`, with the units that the command knows; a number that was cut off has none.
fn amount(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = match text.strip_prefix(digits)? {
        "B" => 1,
        "KB" => 1 << 10,
        "MB" => 1 << 20,
        "GB" => 1 << 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "\
18573:

Native Memory Tracking:

(Omitting categories weighting less than 1KB)

Total: reserved=1613830KB, committed=235062KB
       malloc: 11386KB #6521
       mmap:   reserved=1602444KB, committed=223676KB

-                 Java Heap (reserved=163840KB, committed=163840KB)
                            (mmap: reserved=163840KB, committed=163840KB)

-                     Class (reserved=1048667KB, committed=219KB)
                            (  Metadata:   )
                            (    reserved=65536KB, committed=320KB)
-                    Thread (reserved=21559KB, committed=919KB)
                            (thread #21)
-    Native Memory Tracking (reserved=120KB, committed=120KB)
";

    #[test]
    fn a_summary_of_jdk_17() {
        let n = parse(TEXT).unwrap();
        assert_eq!((n.reserved, n.committed), (1_613_830 * 1024, 235_062 * 1024));
        let names: Vec<&str> = n.categories.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names, ["Java Heap", "Class", "Thread", "Native Memory Tracking"]);
        assert_eq!((n.committed_in("Thread"), n.committed_in("Other")), (919 * 1024, 0));
    }

    #[test]
    fn off_and_other_units() {
        assert_eq!(parse("1:\nNative memory tracking is not enabled\n"), Err(NmtError::Off));
        assert_eq!(parse("x"), Err(NmtError::NoTotal));
        let n = parse("Total: reserved=3GB, committed=2MB\n- GC (reserved=1B, committed=1B)\n").unwrap();
        assert_eq!((n.reserved, n.committed, n.committed_in("GC")), (3 << 30, 2 << 20, 1));
    }

    #[test]
    fn a_text_cut_anywhere_gives_no_wrong_number() {
        let whole = parse(TEXT).unwrap();
        for cut in 0..TEXT.len() {
            let Ok(n) = parse(&TEXT[..cut]) else { continue };
            assert_eq!(n.committed, whole.committed, "{cut}");
            assert!(whole.categories.starts_with(&n.categories), "{cut}: {n:?}");
        }
    }

    proptest! {
        #[test]
        fn hostile_text_never_panics(tail in ".{0,200}", n in any::<u64>()) {
            let headless = format!("-{tail}");
            prop_assert!(parse(&headless).is_err());
            if let Ok(m) = parse(&format!("Total: reserved={n}GB, committed=1KB\n-{tail}")) {
                prop_assert_eq!(m.committed, 1024);
            }
        }
    }
}
