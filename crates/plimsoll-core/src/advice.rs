//! Settings of collectors and allocators that may help with what was found. Each is a hypothesis: it names the command that
//! tries it, and nothing is said to be cured by it.

use crate::classify::Cause;
use crate::target::{RuntimeKind, Target};

const MIB: f64 = 1_048_576.0;
/// Hypotheses that are named at most.
const MOST: usize = 3;

/// One setting to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hypothesis {
    /// Variables before the command.
    pub setting: String,
    /// What it would do, if it is that.
    pub why: &'static str,
}

impl Hypothesis {
    fn new(setting: impl Into<String>, why: &'static str) -> Hypothesis {
        Hypothesis { setting: setting.into(), why }
    }

    /// The command that proves or refutes it.
    pub fn proof(&self) -> String {
        format!("plimsoll guard compare --a COMMAND --b '{} COMMAND'", self.setting)
    }

    /// The variable or flag that it sets, by which one that is set already is known.
    fn name(&self) -> &str {
        let word = match self.setting.split_once("\"-") {
            Some((_, flag)) => flag.trim_start_matches("XX:"),
            None => &self.setting,
        };
        word.split(['=', ' ', '"']).next().unwrap_or(word)
    }
}

/// What to try for a cause, without what is set already.
pub fn hypotheses(cause: Cause, target: &Target, limit: Option<f64>) -> Vec<Hypothesis> {
    let mut all = match (cause, target.runtime) {
        (Cause::Fragmentation, RuntimeKind::Jvm) => {
            collector(target).into_iter().chain(allocator()).collect()
        }
        (Cause::Fragmentation | Cause::OffHeap, RuntimeKind::Go) => Vec::new(),
        (Cause::Fragmentation, _) | (Cause::OffHeap, RuntimeKind::Jvm | RuntimeKind::Native) => allocator(),
        (Cause::Churn | Cause::OverBudget, RuntimeKind::Go) => go(limit),
        (Cause::OverBudget, RuntimeKind::Jvm) => vec![Hypothesis::new(
            "JAVA_TOOL_OPTIONS=\"-XX:MaxRAMPercentage=60\"",
            "leaves room beside the heap, where 60 % of the limit hold what lives",
        )],
        _ => Vec::new(),
    };
    all.retain(|h| !target.flags.iter().any(|f| f.contains(h.name())));
    all.truncate(MOST);
    all
}

/// Has the collector give back what it committed and does not need.
fn collector(target: &Target) -> Option<Hypothesis> {
    let uses = |flag: &str| target.flags.iter().any(|f| f.contains(flag));
    if uses("UseZGC") || uses("UseShenandoahGC") {
        // They give it back by themselves.
        return None;
    }
    Some(if uses("UseSerialGC") || uses("UseParallelGC") {
        Hypothesis::new(
            "JAVA_TOOL_OPTIONS=\"-XX:MinHeapFreeRatio=10 -XX:MaxHeapFreeRatio=30\"",
            "the heap shrinks sooner after a full collection",
        )
    } else {
        Hypothesis::new(
            "JAVA_TOOL_OPTIONS=\"-XX:G1PeriodicGCInterval=60000\"",
            "G1 collects while the program is idle, and gives committed heap back",
        )
    })
}

fn allocator() -> Vec<Hypothesis> {
    vec![
        Hypothesis::new("MALLOC_ARENA_MAX=2", "fewer arenas of glibc keep freed memory for threads"),
        Hypothesis::new(
            "LD_PRELOAD=libjemalloc.so.2",
            "jemalloc gives freed pages back where glibc keeps holes",
        ),
        Hypothesis::new("MALLOC_TRIM_THRESHOLD_=131072", "glibc trims the top of its heap sooner"),
    ]
}

fn go(limit: Option<f64>) -> Vec<Hypothesis> {
    // Whole MiB, below the limit by what the runtime does not count.
    let soft = limit.map(|l| {
        Hypothesis::new(
            format!("GOMEMLIMIT={:.0}MiB", (l * 0.9 / MIB).floor()),
            "the collector works harder near the limit instead of letting the heap double",
        )
    });
    soft.into_iter()
        .chain([Hypothesis::new("GOGC=50", "the heap grows by half over what lives, at more processor time")])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(runtime: &str, flags: &[&str]) -> Target {
        let flags = serde_json::to_string(flags).expect("text");
        let text = format!(r#"{{"pid":1,"name":"x","runtime":"{runtime}","started":0.0,"flags":{flags}}}"#);
        serde_json::from_str(&text).expect("a target")
    }

    fn settings(cause: Cause, runtime: &str, flags: &[&str]) -> Vec<String> {
        hypotheses(cause, &target(runtime, flags), Some(1_073_741_824.0))
            .into_iter()
            .map(|h| h.setting)
            .collect()
    }

    #[test]
    fn settings_fit_the_runtime_and_what_is_set_is_not_advised() {
        let jvm = settings(Cause::Fragmentation, "jvm", &[]);
        assert!(
            jvm.len() == 3 && jvm[0].contains("G1PeriodicGCInterval") && jvm[1] == "MALLOC_ARENA_MAX=2",
            "{jvm:?}"
        );
        assert!(settings(Cause::Fragmentation, "jvm", &["-XX:+UseSerialGC"])[0].contains("MaxHeapFreeRatio"));
        assert_eq!(settings(Cause::Fragmentation, "jvm", &["-XX:+UseZGC"])[0], "MALLOC_ARENA_MAX=2");
        assert_eq!(
            settings(Cause::Fragmentation, "jvm", &["-XX:G1PeriodicGCInterval=5"])[0],
            "MALLOC_ARENA_MAX=2"
        );
        assert!(
            !settings(Cause::Fragmentation, "native", &["MALLOC_ARENA_MAX=1"])
                .contains(&"MALLOC_ARENA_MAX=2".to_owned())
        );
        assert_eq!(settings(Cause::Churn, "go", &[]), ["GOMEMLIMIT=921MiB", "GOGC=50"]);
        assert_eq!(settings(Cause::Churn, "go", &["GOMEMLIMIT=1GiB"]), ["GOGC=50"]);
        for none in [Cause::Retention, Cause::Accumulation, Cause::None, Cause::Undecided] {
            assert!(settings(none, "jvm", &[]).is_empty(), "{none:?}: no setting cures it");
        }
    }

    #[test]
    fn each_names_its_proof() {
        let h = &hypotheses(Cause::Fragmentation, &target("native", &[]), None)[0];
        assert_eq!(h.proof(), "plimsoll guard compare --a COMMAND --b 'MALLOC_ARENA_MAX=2 COMMAND'");
    }
}
