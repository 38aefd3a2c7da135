//! Floor, bounds and accounts of HotSpot.

use crate::fact::Fact;
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
    },
    BoundRule {
        name: "metaspace (-XX:MaxMetaspaceSize)",
        usage: &[live(Fact::JvmMetaspaceUsed, Samples::Raw, "metaspace in use")],
        limit: Fact::JvmMetaspaceMax,
        death: Death::AtUsage,
        degrades: false,
    },
    BoundRule {
        name: "direct memory (-XX:MaxDirectMemorySize)",
        usage: &[live(Fact::JvmNmtOther, Samples::Raw, "direct and Unsafe memory (NMT Other)")],
        limit: Fact::JvmDirectMax,
        death: Death::AtUsage,
        degrades: false,
    },
];

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
