//! When to raise the alarm: two judgements in a row that the limit is near enough and the climb sure enough.

use super::Posterior;

/// Probability of reaching the limit within [`HORIZON`] from which a judgement counts.
const SURE: f64 = 0.9;
/// Horizon, seconds: ten days.
const HORIZON: f64 = 240.0 * 3600.0;
/// Judgements in a row.
const IN_A_ROW: u32 = 2;

/// Fed with one posterior per tick, says whether the alarm is on.
#[derive(Debug, Clone, Default)]
pub struct Alarm {
    run: u32,
}

impl Alarm {
    /// Takes in the judgement of one tick (`None`: not yet).
    pub fn tick(&mut self, posterior: Option<&Posterior>, _now: f64) -> bool {
        let sure = posterior.is_some_and(|p| p.p_within(HORIZON) >= SURE);
        self.run = if sure { self.run + 1 } else { 0 };
        self.run >= IN_A_ROW
    }
}
