//! Go's memory statistics: the trailer of a heap profile with `debug=1`, or the `memstats` of expvar.

/// The numbers of `runtime.MemStats` that judgement uses; bytes unless said.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct MemStats {
    /// Objects in use, garbage included.
    pub heap_alloc: f64,
    /// Spans in use.
    pub heap_inuse: f64,
    /// Heap address space obtained.
    pub heap_sys: f64,
    /// Heap returned to the system.
    pub heap_released: f64,
    /// Stacks in use.
    pub stack_inuse: f64,
    /// All memory obtained from the system.
    pub sys: f64,
    /// Heap size at which the next collection begins.
    pub next_gc: f64,
    /// Collections.
    pub num_gc: f64,
    /// Share of CPU that collection took.
    pub gc_cpu: f64,
    /// Bytes allocated since the start.
    pub total_alloc: f64,
}

/// Smallest goal of the collector at `GOGC=100`.
const SMALLEST_GOAL: f64 = 4.0 * 1024.0 * 1024.0;

impl MemStats {
    /// Heap that the last mark found live, from the goal that the runtime set then: `goal = live · (1 + GOGC/100)`.
    /// The goal also counts scanned stack and globals, which are small beside a heap that matters (stack *in use*
    /// is not what is scanned: subtracting it halved the figure), so this is a little high; what is in use now
    /// bounds it.
    ///
    /// `None` while the goal is at its smallest (then the live heap is anything below it) or when GOGC is off.
    pub fn live(&self, gogc: f64) -> Option<f64> {
        let g = gogc / 100.0;
        if g <= 0.0 || self.num_gc < 1.0 || self.next_gc <= SMALLEST_GOAL * g * 1.02 {
            return None;
        }
        let live = (self.next_gc / (1.0 + g)).min(self.heap_alloc);
        (live > 0.0).then_some(live)
    }
}

/// Reads the `# runtime.MemStats` trailer of a heap profile in text form.
pub fn from_profile(text: &str) -> Option<MemStats> {
    let trailer = text.rsplit_once("# runtime.MemStats")?.1;
    let get = |key: &str| {
        trailer.lines().find_map(|l| {
            let (name, value) = l.strip_prefix("# ")?.split_once(" = ")?;
            (name == key).then(|| value.split([' ', '/']).next())??.trim().parse::<f64>().ok()
        })
    };
    collect(get, "Stack")
}

/// Reads expvar's JSON (`/debug/vars`).
pub fn from_expvar(text: &str) -> Option<MemStats> {
    let value: serde_json::Value = serde_json::from_str(text).ok()?;
    let stats = value.get("memstats")?.clone();
    collect(|key| stats.get(key)?.as_f64(), "StackInuse")
}

fn collect(get: impl Fn(&str) -> Option<f64>, stack: &str) -> Option<MemStats> {
    let number = |key: &str| get(key).filter(|v| v.is_finite() && *v >= 0.0);
    Some(MemStats {
        heap_alloc: number("HeapAlloc")?,
        heap_inuse: number("HeapInuse")?,
        heap_sys: number("HeapSys")?,
        heap_released: number("HeapReleased")?,
        stack_inuse: number(stack)?,
        sys: number("Sys")?,
        next_gc: number("NextGC")?,
        num_gc: number("NumGC")?,
        gc_cpu: number("GCCPUFraction").unwrap_or(0.0),
        total_alloc: number("TotalAlloc")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRAILER: &str = "heap profile: 1: 2\n\n# runtime.MemStats\n# Alloc = 3765304\n# TotalAlloc = 3887056\n# Sys = 16816392\n# HeapAlloc = 3765304\n# HeapSys = 9437184\n# HeapIdle = 5070848\n# HeapInuse = 4366336\n# HeapReleased = 5038080\n# Stack = 3145728 / 3145728\n# NextGC = 6980906\n# NumGC = 1\n# GCCPUFraction = 2.6e-05\n";

    #[test]
    fn the_trailer_of_a_profile() {
        let m = from_profile(TRAILER).expect("reads");
        assert_eq!((m.heap_inuse, m.stack_inuse, m.num_gc), (4366336.0, 3145728.0, 1.0));
        assert_eq!(m.live(100.0), Some(6980906.0 / 2.0));
        assert_eq!(MemStats { heap_alloc: 3e6, ..m }.live(100.0), Some(3e6), "never more than is in use");
        assert_eq!(m.live(0.0), None);
        assert_eq!(
            MemStats { next_gc: SMALLEST_GOAL, ..m }.live(100.0),
            None,
            "the smallest goal says nothing"
        );
    }

    #[test]
    fn expvar_says_the_same() {
        let json = r#"{"cmdline":["x"],"memstats":{"HeapAlloc":1,"HeapInuse":2,"HeapSys":3,"HeapReleased":1,"StackInuse":5,"Sys":6,"NextGC":7,"NumGC":8,"GCCPUFraction":0.1,"TotalAlloc":9}}"#;
        assert_eq!(from_expvar(json).map(|m| (m.stack_inuse, m.num_gc)), Some((5.0, 8.0)));
        assert_eq!(from_expvar("{}"), None);
        assert_eq!(from_expvar("<html>"), None);
    }

    #[test]
    fn every_cut_is_survived() {
        for i in 0..TRAILER.len() {
            let _read = from_profile(&TRAILER[..i]);
        }
        assert_eq!(from_profile(&TRAILER[..TRAILER.len() - 60]), None, "a number that is needed is gone");
    }
}
