//! Replicas that die together.

use super::{Replica, Wave};
use crate::slope::Posterior;

/// Fewest replicas of a wave, and the share of all that they are.
const FEWEST: usize = 3;
const SHARE: f64 = 0.5;
/// A wave is no longer than this share of the time to it.
const SHORT: f64 = 0.25;

/// Foresees a wave: every replica climbs from where it is by the slope of them all.
pub(super) fn wave(posterior: &Posterior, nearest: &Replica, alive: &[&Replica]) -> Option<Wave> {
    let (first, slope) = (posterior.time_to_limit.mid, posterior.slope.mid);
    if !first.is_finite() || slope <= 0.0 || posterior.p_climbs_on() < 0.5 {
        return None;
    }
    let headroom = |r: &Replica| Some(r.limit()? - r.last()?.v);
    let own = headroom(nearest)?;
    let within = |r: &&&Replica| headroom(r).is_some_and(|room| (room - own) / slope <= SHORT * first);
    let close: Vec<&&Replica> = alive.iter().filter(within).collect();
    let is_wave = close.len() >= FEWEST && close.len() as f64 >= SHARE * alive.len() as f64;
    let last = close.iter().filter_map(|r| headroom(r)).fold(0.0, f64::max);
    is_wave.then_some(Wave {
        replicas: close.len(),
        within: ((last - own) / slope).max(0.0),
        stagger: first / (close.len() + 1) as f64,
    })
}
