//! A Go program with pprof: its heap profile collects when it is asked to.

use std::thread;

use plimsoll_core::fact::Reading;
use plimsoll_core::target::Target;
use plimsoll_read::go_memstats::{self, MemStats};

use super::{Collector, Heap, Piece, lowest, refused};
use crate::capture::go::{Door, total};
use crate::step::http;
use crate::world::World;

struct Pprof {
    world: World,
    pid: i32,
    door: Door,
}

pub(super) fn open(world: &World, target: &Target) -> Box<dyn Collector> {
    let pid = target.pid;
    match inside(world, pid, || Door::find(world, pid).map_err(|e| e.to_string())) {
        Ok(door) => Box::new(Pprof { world: world.clone(), pid, door }),
        Err(why) => refused(why),
    }
}

/// Does it on a thread of its own, in the target's network.
fn inside<T: Send>(
    world: &World,
    pid: i32,
    work: impl FnOnce() -> Result<T, String> + Send,
) -> Result<T, String> {
    thread::scope(|scope| {
        let work = scope.spawn(|| {
            http::enter_network(world, pid).map_err(|e| e.to_string())?;
            work()
        });
        work.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

impl Pprof {
    fn collected(&self) -> Result<MemStats, String> {
        let text = self.door.fetch("/debug/pprof/heap?gc=1&debug=1").map_err(|e| e.to_string())?;
        go_memstats::from_profile(&String::from_utf8_lossy(&text))
            .ok_or_else(|| "the heap profile has no memory statistics".to_owned())
    }

    fn read(&self) -> Result<(MemStats, Option<u64>), String> {
        let before = self.collected()?.num_gc;
        let (_, stats) = lowest(|| self.collected().map(|s| (s.heap_alloc, s)))?;
        if stats.num_gc <= before {
            return Err("the forced collection had no effect: the program counted none".to_owned());
        }
        let text = self.door.fetch("/debug/pprof/goroutine?debug=1").map_err(|e| e.to_string())?;
        Ok((stats, total(&text)))
    }
}

impl Collector for Pprof {
    fn collect(&mut self) -> Heap {
        match inside(&self.world, self.pid, || self.read()) {
            Ok((stats, goroutines)) => Heap {
                level: Some(Reading::Known(stats.heap_alloc)),
                held: Some((stats.heap_sys - stats.heap_released).max(0.0)),
                goroutines: Some(goroutines.map_or_else(
                    || Reading::unknown("the port answers with no goroutine profile"),
                    |n| Reading::Known(n as f64),
                )),
            },
            Err(why) => Heap { level: Some(Reading::Unknown(why)), ..Heap::default() },
        }
    }

    fn evidence(&mut self) -> Vec<Piece> {
        let fetch = |path| inside(&self.world, self.pid, || self.door.fetch(path).map_err(|e| e.to_string()));
        [("heap.pb.gz", "/debug/pprof/heap?gc=1"), ("goroutines.txt", "/debug/pprof/goroutine?debug=1")]
            .into_iter()
            .filter_map(|(name, path)| Some(Piece { name, bytes: fetch(path).ok()? }))
            .collect()
    }
}
