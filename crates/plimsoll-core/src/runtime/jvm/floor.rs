//! Floor, bounds and accounts of HotSpot.

use crate::fact::Fact;
use crate::recording::Recording;
use crate::runtime::rules::{BoundRule, LiveRule, OffHeapRule, UnitRule, envelope, live};
use crate::slope::{Death, Samples};

/// Old generation after each collection; the heap's envelope where the collector does not say.
pub(super) const LIVE: &[LiveRule] = &[
    live(Fact::JvmLive, Samples::PostCollection, "heap after collection"),
    envelope(Fact::JvmHeapUsed, "heap in use, lower envelope", Fact::JvmYoungGcs),
];

/// Bounds that end or hurt a JVM before its container does.
pub(super) const BOUNDS: &[BoundRule] = &[
    BoundRule {
        name: "Java heap (-Xmx)",
        usage: LIVE,
        limit: Fact::JvmHeapMax,
        death: Death::AtFloor,
        degrades: false,
        before: Some(("Java heap (-Xmx) before Parallel collects without end", parallel_gives_up)),
    },
    BoundRule {
        name: "metaspace (-XX:MaxMetaspaceSize)",
        usage: &[live(Fact::JvmMetaspaceUsed, Samples::Raw, "metaspace in use")],
        limit: Fact::JvmMetaspaceMax,
        death: Death::AtUsage,
        degrades: false,
        before: None,
    },
    BoundRule {
        name: "direct memory (-XX:MaxDirectMemorySize)",
        usage: &[live(Fact::JvmNmtOther, Samples::Raw, "direct and Unsafe memory (NMT Other)")],
        limit: Fact::JvmDirectMax,
        death: Death::AtUsage,
        degrades: false,
        before: None,
    },
];

/// Share of the young space that live data fills before the Parallel collector gives up. With the old generation
/// full it collects the whole heap for each piece of young space that it wins: measured ends lie between a
/// quarter (large arrays) and nine tenths (small objects) of the young space, all inside that spiral.
const YOUNG_FILLED: f64 = 0.25;

fn parallel_gives_up(r: &Recording, max: f64) -> Option<f64> {
    let old = r.last(Fact::JvmOldMax).filter(|old| *old < max && r.target.flag("gc") == Some("Parallel"))?;
    Some(old + YOUNG_FILLED * (max - old))
}

/// Java threads: a platform thread costs its touched stack, its native structures and what it pins.
pub(super) const UNITS: &[UnitRule] = &[
    UnitRule {
        fact: Fact::Threads,
        noun: "thread",
        own_bytes: Some(Fact::JvmNmtThread),
        least: 20.0,
        most_bytes_each: 2.0 * 1024.0 * 1024.0,
    },
    super::super::FD_UNIT,
];

/// Native accounts that grow on their own.
pub(super) const OFF_HEAP: &[OffHeapRule] = &[
    OffHeapRule { fact: Fact::JvmNmtOther, name: "direct buffers and Unsafe memory (NMT Other)" },
    OffHeapRule { fact: Fact::JvmNmtClass, name: "classes and metaspace (NMT Class)" },
    OffHeapRule { fact: Fact::JvmMetaspaceUsed, name: "metaspace" },
    OffHeapRule { fact: Fact::JvmNmtCode, name: "compiled code (NMT Code)" },
];
