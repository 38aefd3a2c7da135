//! The machine's memory: total, available, pressure, OOM kills.

use plimsoll_core::fact::{Fact, Reading};
use plimsoll_core::recording::Observation;

use super::text::{Reread, field, pressure, why};
use super::{Pace, Source, SourceKind};
use crate::world::World;

/// The entry of the registry.
pub(super) const KIND: SourceKind = SourceKind {
    name: "host memory",
    facts: &[
        Fact::HostTotal,
        Fact::HostAvailable,
        Fact::HostSwapFree,
        Fact::HostPsiSome,
        Fact::HostPsiFull,
        Fact::HostOomKills,
    ],
    pace: Pace::EveryTick,
    open: |world, _| Some(Box::new(HostMemory::new(world))),
};

/// Memory of the machine, bytes.
pub(crate) fn total(world: &World) -> Option<f64> {
    field(&std::fs::read_to_string(world.proc_root.join("meminfo")).ok()?, "MemTotal")
}

/// Memory that the machine can still hand out, bytes.
pub(crate) fn available(world: &World) -> Option<f64> {
    field(&std::fs::read_to_string(world.proc_root.join("meminfo")).ok()?, "MemAvailable")
}

struct HostMemory {
    meminfo: Result<Reread, String>,
    pressure: Option<Reread>,
    vmstat: Option<Reread>,
}

impl HostMemory {
    fn new(world: &World) -> Self {
        let meminfo = world.proc_root.join("meminfo");
        HostMemory {
            meminfo: Reread::open(&meminfo).map_err(|e| why(&meminfo, &e)),
            pressure: Reread::open(&world.proc_root.join("pressure/memory")).ok(),
            vmstat: Reread::open(&world.proc_root.join("vmstat")).ok(),
        }
    }
}

impl Source for HostMemory {
    fn sample(&mut self, out: &mut Observation) {
        let text = match &mut self.meminfo {
            Ok(file) => file.text().map_err(|e| e.to_string()),
            Err(why) => Err(why.clone()),
        };
        match text {
            Err(why) => out.put(Fact::HostAvailable, Reading::Unknown(why)),
            Ok(text) => {
                for (key, fact) in [
                    ("MemTotal", Fact::HostTotal),
                    ("MemAvailable", Fact::HostAvailable),
                    ("SwapFree", Fact::HostSwapFree),
                ] {
                    out.put(fact, field(text, key).map_or_else(|| missing(key), Reading::Known));
                }
            }
        }
        if let Some(text) = self.pressure.as_mut().and_then(|f| f.text().ok()) {
            for (kind, fact) in [("some", Fact::HostPsiSome), ("full", Fact::HostPsiFull)] {
                out.put(fact, pressure(text, kind).map_or_else(|| missing(kind), Reading::Known));
            }
        }
        if let Some(text) = self.vmstat.as_mut().and_then(|f| f.text().ok()) {
            out.put(
                Fact::HostOomKills,
                field(text, "oom_kill").map_or_else(|| missing("oom_kill"), Reading::Known),
            );
        }
    }
}

fn missing(key: &str) -> Reading {
    Reading::unknown(format!("the kernel does not export {key}"))
}
