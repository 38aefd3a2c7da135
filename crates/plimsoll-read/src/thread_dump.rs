//! HotSpot's thread dump (`Thread.print`, `jstack`): threads counted per pool and state.
//!
//! A pool is what the names have in common: `pool-3-thread-17` is one of `pool-#-thread-#`.

use std::collections::HashMap;

use plimsoll_core::artifact::{ROWS_KEPT, StackGroup};

/// What a dump says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ThreadDump {
    /// Pools, largest first, at most [`ROWS_KEPT`]; `top` is the pool's name.
    pub groups: Vec<StackGroup>,
    /// All platform threads of the dump, the JVM's own included.
    pub total: u64,
}

/// What stands before a Java thread's state, on the line after its name.
const STATE: &str = "java.lang.Thread.State:";
/// Names are cut here, characters: a hostile program can make them long.
const LONGEST_NAME: usize = 120;

/// Counts the threads of a dump; none when there is not one.
pub fn parse(text: &str) -> Option<ThreadDump> {
    let mut pools: HashMap<(String, Option<String>), u64> = HashMap::new();
    let mut total = 0;
    let mut pending: Option<String> = None;
    let mut count = |pool: String, state: Option<String>| {
        *pools.entry((pool, state)).or_insert(0) += 1;
        total += 1;
    };
    for line in text.lines() {
        if let Some(name) = name(line) {
            if let Some(pool) = pending.replace(pool(name)) {
                count(pool, None);
            }
        } else if let Some(state) = line.trim_start().strip_prefix(STATE)
            && let Some(pool) = pending.take()
        {
            count(pool, state.split_ascii_whitespace().next().map(str::to_owned));
        }
    }
    if let Some(pool) = pending {
        count(pool, None);
    }
    let mut groups: Vec<StackGroup> = pools
        .into_iter()
        .map(|((top, state), count)| StackGroup { count, state, top, creator: None })
        .collect();
    groups.sort_by(|a, b| (b.count, &a.top, &a.state).cmp(&(a.count, &b.top, &b.state)));
    groups.truncate(ROWS_KEPT);
    (total > 0).then_some(ThreadDump { groups, total })
}

/// The name in `"name" #12 daemon prio=5 … nid=…`; names may hold quotation marks.
fn name(line: &str) -> Option<&str> {
    let (name, rest) = line.strip_prefix('"')?.rsplit_once('"')?;
    (rest.contains("prio=") || rest.contains("tid=") || rest.contains("nid=")).then_some(name)
}

/// The name with every run of digits as `#`.
fn pool(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars().take(LONGEST_NAME) {
        match c {
            '0'..='9' if out.ends_with('#') => {}
            '0'..='9' => out.push('#'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "\
Full thread dump OpenJDK 64-Bit Server VM (17.0.15+6 mixed mode):

\"main\" #1 prio=5 os_prio=0 cpu=1.0ms elapsed=1.0s tid=0x1 nid=0x2 runnable  [0x3]
   java.lang.Thread.State: RUNNABLE
\tat App.main(App.java:1)

\"pool-1-thread-1\" #12 prio=5 os_prio=0 tid=0x1 nid=0x2 waiting on condition  [0x3]
   java.lang.Thread.State: TIMED_WAITING (sleeping)

\"pool-2-thread-17\" #13 prio=5 os_prio=0 tid=0x1 nid=0x2 waiting on condition  [0x3]
   java.lang.Thread.State: TIMED_WAITING (parking)

\"say \"hi\" 7\" #14 daemon prio=5 os_prio=0 tid=0x1 nid=0x2 waiting  [0x3]
   java.lang.Thread.State: WAITING (on object monitor)

\"VM Thread\" os_prio=0 cpu=1ms tid=0x1 nid=0x2 runnable
";

    fn shown(d: &ThreadDump) -> Vec<(u64, &str, Option<&str>)> {
        d.groups.iter().map(|g| (g.count, g.top.as_str(), g.state.as_deref())).collect()
    }

    #[test]
    fn pools_are_counted_by_normalised_name_and_state() {
        let d = parse(TEXT).unwrap();
        assert_eq!(d.total, 5);
        assert_eq!(
            shown(&d),
            [
                (2, "pool-#-thread-#", Some("TIMED_WAITING")),
                (1, "VM Thread", None),
                (1, "main", Some("RUNNABLE")),
                (1, "say \"hi\" #", Some("WAITING")),
            ]
        );
        assert_eq!(parse("nothing"), None);
    }

    #[test]
    fn a_text_cut_anywhere_counts_no_more_than_the_whole() {
        for cut in 0..TEXT.len() {
            let total = parse(&TEXT[..cut]).map_or(0, |d| d.total);
            assert!(total <= 5, "{cut}");
        }
    }

    #[test]
    #[expect(clippy::print_stderr, reason = "a skipped test says so")]
    #[expect(clippy::disallowed_methods, reason = "the corpus lies outside the repository")]
    fn dumps_of_other_peoples_systems() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus/threads");
        if !folder.is_dir() {
            eprintln!("SKIPPED: no corpus of thread dumps at {}", folder.display());
            return;
        }
        let mut seen = 0;
        for entry in std::fs::read_dir(&folder).unwrap().flatten() {
            let bytes = std::fs::read(entry.path()).unwrap();
            // One of them is UTF-16, which no JVM answers: it must only not be misread.
            let text = String::from_utf8_lossy(&bytes);
            let starts = text.lines().filter(|l| l.starts_with('"') && l.contains("nid=")).count() as u64;
            let d = parse(&text).unwrap_or_default();
            assert!(d.total >= starts, "{}: {} < {starts}", entry.path().display(), d.total);
            assert!(d.groups.iter().map(|g| g.count).sum::<u64>() <= d.total);
            seen += u64::from(d.total > 0);
        }
        assert!(seen >= 8, "only {seen} dumps had threads");
    }

    proptest! {
        #[test]
        fn hostile_text_never_panics(a in "\\PC{0,80}", b in "\\PC{0,80}") {
            let text = format!("\"{a}\" prio=1\n   java.lang.Thread.State:{b}\n{a}\n");
            prop_assert!(parse(&text).is_some_and(|d| d.total >= 1));
        }
    }
}
