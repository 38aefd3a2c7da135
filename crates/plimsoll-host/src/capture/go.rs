//! Artifacts of a Go program, from its pprof endpoint.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use plimsoll_core::runtime::{go_profile_bytes, go_stacks_bytes};
use plimsoll_read::goroutines;

use super::{CaptureError, Folder, Order};
use crate::source::room::{FOR_AN_ANSWER, Room};
use crate::step::http::{self, HttpError};
use crate::world::World;

/// The full stacks stop the program again and again: only up to this many goroutines.
const FULL_STACKS: u64 = 20_000;
/// How long a profile may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Largest profile that is kept.
const LARGEST: u64 = 256 << 20;
/// Largest of those that are taken all the time.
const LARGEST_CONTINUOUS: u64 = 16 << 20;

/// Takes it on a thread of its own, which may move into the target's network.
pub(super) fn take(order: &Order<'_>, folder: &mut Folder) -> Result<(), CaptureError> {
    thread::scope(|scope| {
        let work = scope.spawn(|| {
            http::enter_network(order.world, order.target.pid).map_err(CaptureError::Http)?;
            let door = Door::find(order.world, order.target.pid)?;
            match order.id {
                "goroutines" => door.goroutines(order, folder),
                _ => door.heap(order, folder),
            }
        });
        work.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// The heap and, where there are not too many, the goroutines as profiles; by their names.
pub(super) fn profiles(
    world: &World,
    pid: i32,
    goroutines: bool,
) -> Result<Vec<(&'static str, Vec<u8>)>, CaptureError> {
    thread::scope(|scope| {
        let work = scope.spawn(|| {
            http::enter_network(world, pid).map_err(CaptureError::Http)?;
            let door = Door::find(world, pid)?;
            let get = |path| {
                http::get_bytes(&door.agent, door.at, path, LARGEST_CONTINUOUS).map_err(CaptureError::Http)
            };
            let mut all = vec![("heap", get("/debug/pprof/heap")?)];
            if goroutines {
                all.push(("goroutines", get("/debug/pprof/goroutine?debug=0")?));
            }
            Ok(all)
        });
        work.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// The port that answers as pprof.
pub(crate) struct Door {
    agent: ureq::Agent,
    at: SocketAddr,
}

/// Whether a port of the process answers as pprof.
pub(super) fn answers(world: &World, pid: i32) -> Result<bool, CaptureError> {
    thread::scope(|scope| {
        let work = scope.spawn(|| {
            http::enter_network(world, pid).map_err(CaptureError::Http)?;
            match Door::find(world, pid) {
                Ok(_) => Ok(true),
                Err(CaptureError::NoDoor(_)) => Ok(false),
                Err(e) => Err(e),
            }
        });
        work.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

impl Door {
    /// Finds it, from within the target's network.
    pub(crate) fn find(world: &World, pid: i32) -> Result<Door, CaptureError> {
        let folder = world.proc_root.join(pid.to_string());
        let listening = http::listening(world, pid).map_err(|e| CaptureError::file(&folder, e))?;
        let quick = http::agent();
        let is_pprof = |at: &SocketAddr| {
            http::get(&quick, *at, "/debug/pprof/").is_ok_and(|text| text.contains("goroutine"))
        };
        let at = listening.into_iter().find(is_pprof).ok_or_else(|| {
            CaptureError::NoDoor("no port of the process answers as pprof: import net/http/pprof".to_owned())
        })?;
        Ok(Door { agent: http::patient_agent(PATIENCE), at })
    }

    /// What the port says to `path`.
    pub(crate) fn fetch(&self, path: &str) -> Result<Vec<u8>, HttpError> {
        http::get_bytes(&self.agent, self.at, path, LARGEST)
    }

    fn keep(&self, path: &str, name: &str, folder: &mut Folder) -> Result<Vec<u8>, CaptureError> {
        let began = Instant::now();
        let body = self.fetch(path).map_err(CaptureError::Http)?;
        folder.keep(name, began, &body)?;
        Ok(body)
    }

    /// The groups first: they are whole however many there are. Then, as far as there is room for each in the program, what the
    /// runtime has proved to leak, the profile, and the full stacks of a few.
    fn goroutines(&self, order: &Order<'_>, folder: &mut Folder) -> Result<(), CaptureError> {
        let text = self.keep("/debug/pprof/goroutine?debug=1", "goroutines.txt", folder)?;
        let seen = goroutines::parse(&text);
        let count = seen.as_ref().map_or_else(|| total(&text), |seen| Some(seen.total()));
        let frames = seen.and_then(|seen| seen.frames());
        let Some(count) = count else { return Ok(()) };
        let mut room = Room::of(order.world, order.target);
        let mut fits = |each: f64| room.refuses(0.0, FOR_AN_ANSWER + each * count as f64).is_none();
        // Absent before Go 1.27: that is no failure.
        if fits(go_profile_bytes(frames))
            && let Ok(leaks) = self.fetch("/debug/pprof/goroutineleak?debug=1")
        {
            folder.keep("goroutineleak.txt", Instant::now(), &leaks)?;
        }
        if fits(go_profile_bytes(frames)) {
            self.keep("/debug/pprof/goroutine?debug=0", "goroutines.pb.gz", folder)?;
        }
        if count <= FULL_STACKS && fits(go_stacks_bytes(frames)) {
            self.keep("/debug/pprof/goroutine?debug=2", "goroutine-stacks.txt", folder)?;
        }
        Ok(())
    }

    fn heap(&self, order: &Order<'_>, folder: &mut Folder) -> Result<(), CaptureError> {
        self.keep("/debug/pprof/heap", "heap-1.pb.gz", folder)?;
        super::second(order, || self.keep("/debug/pprof/heap", "heap-2.pb.gz", folder).map(|_| ()))
    }
}

/// 12 of `goroutine profile: total 12`.
pub(crate) fn total(text: &[u8]) -> Option<u64> {
    let line = text.split(|b| *b == b'\n').next()?;
    std::str::from_utf8(line).ok()?.strip_prefix("goroutine profile: total ")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_goroutines_is_in_the_first_line() {
        assert_eq!(total(b"goroutine profile: total 12\n1 @ 0x1\n"), Some(12));
        assert_eq!(total(b"unknown profile\n"), None);
    }
}
