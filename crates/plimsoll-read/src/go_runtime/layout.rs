//! Where things lie in the records of Go's runtime on amd64, by minor version.
//!
//! Read off the debug information of programs that each version built (`scripts/go-layouts` does it again and compares),
//! and proved on stripped ones. Within a minor version nothing of this has ever moved.

use plimsoll_core::runtime::go_minor;

/// One version's records. Offsets in bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Layout {
    minor: u32,
    /// Of a `g`: what a call of the system interrupted, and its own state.
    pub(super) syscall_sp: usize,
    pub(super) syscall_pc: usize,
    pub(super) status: usize,
    pub(super) id: usize,
    pub(super) since: usize,
    pub(super) reason: usize,
    pub(super) creator: usize,
    pub(super) start: usize,
    /// Of the `moduledata`: where what functions refer to begins.
    pub(super) function_data: usize,
    /// Of a memory profile's bucket: one cycle's numbers. The record is the published cycle and three to come.
    pub(super) cycle: usize,
    /// The number that marks functions which only pass a call on.
    pub(super) wrapper: u8,
    /// Whether a goroutine can be marked as leaked (and dead ones may wait for calls from C).
    pub(super) marks_leaks: bool,
    /// What goroutines wait for, by number, apart by bars.
    reasons: &'static str,
}

/// The same in every version of the table, of a `g`: the bounds of its stack, and where it stopped.
pub(super) const STACK_LOW: usize = 0;
pub(super) const STACK_HIGH: usize = 8;
pub(super) const SP: usize = 56;
pub(super) const PC: usize = 64;
/// Bytes of a `g` that are read.
pub(super) const RECORD: usize = 320;

const TO_23: &str = "|GC assist marking|IO wait|chan receive (nil chan)|chan send (nil chan)|dumping heap|garbage collection|\
    garbage collection scan|panicwait|select|select (no cases)|GC assist wait|GC sweep wait|GC scavenge wait|chan receive|\
    chan send|finalizer wait|force gc (idle)|semacquire|sleep|sync.Cond.Wait|sync.Mutex.Lock|sync.RWMutex.RLock|\
    sync.RWMutex.Lock|trace reader (blocked)|wait for GC cycle|GC worker (idle)|GC worker (active)|preempted|debug call|\
    GC mark termination|stopping the world|flushing proc caches|trace goroutine status|trace proc status|page trace flush|\
    coroutine|GC weak to strong wait";
const OF_24: &str = "|GC assist marking|IO wait|chan receive (nil chan)|chan send (nil chan)|dumping heap|garbage collection|\
    garbage collection scan|panicwait|select|select (no cases)|GC assist wait|GC sweep wait|GC scavenge wait|chan receive|\
    chan send|finalizer wait|force gc (idle)|semacquire|sleep|sync.Cond.Wait|sync.Mutex.Lock|sync.RWMutex.RLock|\
    sync.RWMutex.Lock|sync.WaitGroup.Wait|trace reader (blocked)|wait for GC cycle|GC worker (idle)|GC worker (active)|\
    preempted|debug call|GC mark termination|stopping the world|flushing proc caches|trace goroutine status|\
    trace proc status|page trace flush|coroutine|GC weak to strong wait|synctest.Run|synctest.Wait|\
    chan receive (synctest)|chan send (synctest)|select (synctest)";
const OF_25: &str = "|GC assist marking|IO wait|chan receive (nil chan)|chan send (nil chan)|dumping heap|garbage collection|\
    garbage collection scan|panicwait|select|select (no cases)|GC assist wait|GC sweep wait|GC scavenge wait|chan receive|\
    chan send|finalizer wait|force gc (idle)|GOMAXPROCS updater (idle)|semacquire|sleep|sync.Cond.Wait|sync.Mutex.Lock|\
    sync.RWMutex.RLock|sync.RWMutex.Lock|sync.WaitGroup.Wait|trace reader (blocked)|wait for GC cycle|GC worker (idle)|\
    GC worker (active)|preempted|debug call|GC mark termination|stopping the world|flushing proc caches|\
    trace goroutine status|trace proc status|page trace flush|coroutine|GC weak to strong wait|synctest.Run|synctest.Wait|\
    chan receive (durable)|chan send (durable)|select (durable)|sync.WaitGroup.Wait (durable)|cleanup wait";
const FROM_26: &str = "|GC assist marking|IO wait|dumping heap|garbage collection|garbage collection scan|panicwait|\
    GC assist wait|GC sweep wait|GC scavenge wait|finalizer wait|force gc (idle)|GOMAXPROCS updater (idle)|semacquire|sleep|\
    chan receive (nil chan)|chan send (nil chan)|select (no cases)|select|chan receive|chan send|sync.Cond.Wait|\
    sync.Mutex.Lock|sync.RWMutex.RLock|sync.RWMutex.Lock|sync.WaitGroup.Wait|trace reader (blocked)|wait for GC cycle|\
    GC worker (idle)|GC worker (active)|preempted|debug call|GC mark termination|stopping the world|flushing proc caches|\
    trace goroutine status|trace proc status|page trace flush|coroutine|GC weak to strong wait|synctest.Run|synctest.Wait|\
    chan receive (durable)|chan send (durable)|select (durable)|sync.WaitGroup.Wait (durable)|cleanup wait";

const OF_21: Layout = Layout {
    minor: 21,
    syscall_sp: 112,
    syscall_pc: 120,
    status: 144,
    id: 152,
    since: 168,
    reason: 176,
    creator: 280,
    start: 296,
    function_data: 320,
    cycle: 32,
    wrapper: 21,
    marks_leaks: false,
    reasons: TO_23,
};
const OF_23: Layout = Layout {
    minor: 23,
    status: 152,
    id: 160,
    since: 176,
    reason: 184,
    creator: 288,
    start: 304,
    wrapper: 22,
    ..OF_21
};
const OF_25_: Layout =
    Layout { minor: 25, syscall_sp: 104, syscall_pc: 112, wrapper: 23, reasons: OF_25, ..OF_21 };
const OF_26: Layout =
    Layout { minor: 26, creator: 288, start: 304, marks_leaks: true, reasons: FROM_26, ..OF_25_ };

/// Every version that is known, in order.
static LAYOUTS: &[Layout] = &[
    OF_21,
    Layout { minor: 22, wrapper: 22, ..OF_21 },
    OF_23,
    Layout { minor: 24, reasons: OF_24, ..OF_23 },
    OF_25_,
    OF_26,
    Layout { minor: 27, function_data: 344, cycle: 16, ..OF_26 },
];

/// The layout of a version as the program tells it, such as `go1.27.3`; none when it is not known.
pub(super) fn of(version: &str) -> Option<&'static Layout> {
    let minor = go_minor(version)?;
    LAYOUTS.iter().find(|l| l.minor == minor)
}

/// The first and the last version of the table, in words.
pub(super) fn first() -> String {
    LAYOUTS.first().map_or_else(String::new, |l| format!("1.{}", l.minor))
}

pub(super) fn last() -> String {
    LAYOUTS.last().map_or_else(String::new, |l| format!("1.{}", l.minor))
}

impl Layout {
    /// What a goroutine waits for, in the words of a dump; none for a number that the version does not have.
    pub(super) fn reason(&self, number: u8) -> Option<&'static str> {
        self.reasons.split('|').nth(usize::from(number))
    }

    /// Bytes of a memory profile's record.
    pub(super) fn profile(&self) -> usize {
        4 * self.cycle
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_as_programs_tell_them() {
        let minor = |v: &str| of(v).map(|l| l.minor);
        assert_eq!(minor("go1.27.3"), Some(27));
        assert_eq!(minor("go1.24.3 X:boringcrypto"), Some(24));
        assert_eq!(minor("go1.21"), Some(21));
        assert_eq!([minor("go1.20.14"), minor("go1.28.0"), minor("devel +abc"), minor("")], [None; 4]);
        assert_eq!((first().as_str(), last().as_str()), ("1.21", "1.27"));
    }

    #[test]
    fn the_table_holds_what_the_plan_promises() {
        let minors: Vec<u32> = LAYOUTS.iter().map(|l| l.minor).collect();
        assert_eq!(minors, plimsoll_core::runtime::GO_FROM_OUTSIDE.collect::<Vec<_>>());
    }

    #[test]
    fn reasons_by_number() {
        let of = |v: &str, n| of(v).unwrap().reason(n);
        assert_eq!(of("go1.21.13", 14), Some("chan receive"));
        assert_eq!(of("go1.25.5", 46), Some("cleanup wait"));
        assert_eq!(of("go1.27.3", 19), Some("chan receive"));
        assert_eq!(of("go1.27.3", 18), Some("select"));
        assert_eq!(of("go1.27.3", 47), None);
        assert!(LAYOUTS.iter().all(|l| l.start + 8 <= RECORD && l.reason(0) == Some("")));
    }
}
