//! What makes a leak the same one when it recurs: the program, the cause, and what grew most; never a version, a pid or an
//! address. It is readable, so that nobody has to trust it.

use std::collections::BTreeMap;

use crate::artifact::Artifact;
use crate::classify::Cause;
use crate::judge::Judgement;
use crate::recording::Recording;

/// Characters of a part at most.
const LONGEST: usize = 120;

/// `java/retention/UrlCache$RouteMetric`; nothing where no cause is known.
pub fn fingerprint(recording: &Recording, judgement: &Judgement) -> Option<String> {
    let cause = judgement.verdict.cause;
    if matches!(cause, Cause::None | Cause::Undecided) {
        return None;
    }
    let mut parts = vec![stem(&recording.target.name), cause.name().to_owned()];
    parts.extend(most_grown(recording));
    Some(parts.iter().map(|p| p.chars().take(LONGEST).collect::<String>()).collect::<Vec<_>>().join("/"))
}

/// What grew most between the first and the last artifact of a kind that were taken; none where none were.
fn most_grown(recording: &Recording) -> Option<String> {
    let mut first: BTreeMap<u8, &Artifact> = BTreeMap::new();
    let mut grown: Option<(u64, String)> = None;
    for (_, artifact) in &recording.artifacts {
        let (kind, sizes) = sizes(artifact);
        let Some(before) = first.get(&kind) else {
            first.insert(kind, artifact);
            continue;
        };
        let before: BTreeMap<String, u64> = self::sizes(before).1.into_iter().collect();
        for (name, size) in sizes {
            let growth = size.saturating_sub(before.get(&name).copied().unwrap_or(0));
            if growth > grown.as_ref().map_or(0, |g| g.0) {
                grown = Some((growth, name));
            }
        }
    }
    grown.map(|g| g.1)
}

/// Names with their sizes; of classes only the program's own, which tell leaks apart.
fn sizes(artifact: &Artifact) -> (u8, Vec<(String, u64)>) {
    let own = |class: &str| {
        let foreign = ["java.", "javax.", "jdk.", "sun.", "com.sun."];
        class.contains(|c: char| c.is_ascii_uppercase()) && !foreign.iter().any(|p| class.starts_with(p))
    };
    match artifact {
        Artifact::ClassHistogram { rows, .. } => {
            let rows = rows.iter().filter(|r| own(&r.class));
            (0, rows.map(|r| (stem(&r.class), r.bytes)).collect())
        }
        Artifact::Goroutines { groups, .. } => (1, groups.iter().map(|g| (stem(&g.top), g.count)).collect()),
        Artifact::Threads { groups, .. } => (2, groups.iter().map(|g| (stem(&g.top), g.count)).collect()),
        Artifact::NativeMemory { .. } => (3, Vec::new()),
        Artifact::HeapSites { sites } => (4, sites.iter().map(|s| (stem(&s.site), s.in_use_bytes)).collect()),
    }
}

/// A name without what changes from build to build: lines of files, numbers of lambdas, addresses.
fn stem(name: &str) -> String {
    let name = name.split(" (").next().unwrap_or_default();
    let name = name.split("$$Lambda").next().unwrap_or_default();
    name.split(" 0x").next().unwrap_or_default().trim().replace('/', ".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_what_a_build_changes() {
        assert_eq!(stem("main.(*pool).get (/src/pool.go:41)"), "main.(*pool).get");
        assert_eq!(stem("shop.Cache$$Lambda/0x00007f1"), "shop.Cache");
        assert_eq!(stem("java"), "java");
    }
}
