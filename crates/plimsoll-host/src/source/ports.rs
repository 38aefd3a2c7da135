//! The ports of one process, asked in its own network namespace and sparingly: a port that answered as nothing
//! known is asked again only when the listeners change, or after a pause that grows.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::step::http::{self, HttpError};
use crate::world::World;

/// Between two looks at the listeners, which cost a read of every socket of the namespace.
const GLANCE: Duration = Duration::from_secs(5);
/// Longest pause between two rounds of questions to the same listeners.
const LONGEST: Duration = Duration::from_secs(320);

/// The ports of one process.
pub(super) struct Ports {
    world: World,
    pid: i32,
    agent: ureq::Agent,
    entered: Option<Result<(), String>>,
    search: Option<Search>,
}

/// The last round of questions.
struct Search {
    listeners: Vec<SocketAddr>,
    looked: Instant,
    asked: Instant,
    pause: Duration,
}

impl Ports {
    pub(super) fn of(world: &World, pid: i32) -> Self {
        Ports { world: world.clone(), pid, agent: http::agent(), entered: None, search: None }
    }

    /// Enters the process's network namespace with the thread of the first call, which all later calls must
    /// run on; an error stays.
    pub(super) fn enter(&mut self) -> Result<(), String> {
        let enter = || http::enter_network(&self.world, self.pid).map_err(|e| e.to_string());
        self.entered.get_or_insert_with(enter).clone()
    }

    /// Asks one port.
    pub(super) fn get(&self, at: SocketAddr, path: &str) -> Result<String, HttpError> {
        http::get(&self.agent, at, path)
    }

    /// The listeners that are worth asking now; empty while nothing new can be expected of them.
    pub(super) fn due(&mut self, now: Instant) -> Vec<SocketAddr> {
        let looked = self.search.as_ref().map(|s| s.looked);
        if looked.is_some_and(|at| now.duration_since(at) < GLANCE) {
            return Vec::new();
        }
        let listeners = http::listening(&self.world, self.pid).unwrap_or_default();
        self.weigh(listeners, now)
    }

    /// Whether these listeners are to be asked, with the pause kept.
    fn weigh(&mut self, listeners: Vec<SocketAddr>, now: Instant) -> Vec<SocketAddr> {
        let pause = match &mut self.search {
            Some(s) if s.listeners == listeners => {
                s.looked = now;
                if now.duration_since(s.asked) < s.pause {
                    return Vec::new();
                }
                (s.pause * 2).min(LONGEST)
            }
            _ => GLANCE,
        };
        self.search = Some(Search { listeners: listeners.clone(), looked: now, asked: now, pause });
        listeners
    }

    /// Forgets what was asked: the port that answered has fallen silent.
    pub(super) fn search_anew(&mut self) {
        self.search = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_listeners_are_asked_ever_more_rarely_and_new_ones_at_once() {
        let mut ports = Ports::of(&World::default(), 1);
        let (a, b): (SocketAddr, SocketAddr) =
            ("127.0.0.1:80".parse().unwrap(), "127.0.0.1:81".parse().unwrap());
        let began = Instant::now();
        let asked: Vec<u64> =
            (0..2000).filter(|s| !ports.weigh(vec![a], began + Duration::from_secs(*s)).is_empty()).collect();
        assert_eq!(asked, [0, 5, 15, 35, 75, 155, 315, 635, 955, 1275, 1595, 1915]);
        assert_eq!(ports.weigh(vec![a, b], began + Duration::from_secs(2001)), [a, b]);
        ports.search_anew();
        assert_eq!(ports.weigh(vec![a, b], began + Duration::from_secs(2002)), [a, b]);
    }
}
