//! Does a flag bring the slope? It is switched on and off on a canary, again and again, while a control stays as it is.
//!
//! What is looked at is the canary's floor less the control's: what both do alike (traffic, a deploy, the day) is gone. Each phase has a
//! level of its own, so that a step when the flag is switched proves nothing; the slope of the phases with the flag is compared with
//! that of those without. It may be looked at as often as one likes: the bound is that of a mixture of normal alternatives (a test
//! martingale), whose chance to be crossed ever, where the flag does nothing, is no more than the error that was asked for.

use serde::Serialize;

use crate::series::Point;
use crate::slope::Interval;

/// Share of a phase at its begin that is not looked at: what was switched settles.
const SETTLES: f64 = 0.2;
/// Fewest floors of a phase that count.
const FEWEST: usize = 4;
/// Correlation of neighbours: taken to be this with the weight of so many floors, and never more.
const ALIKE: (f64, f64) = (0.5, 12.0);
const MOST_ALIKE: f64 = 0.9;
/// Alternatives are about this many errors large, as the error stands after the first two phases.
const ALTERNATIVE: f64 = 3.0;
/// What memory is told in, bytes: nothing is known more finely.
const GRAIN: f64 = 4096.0;
/// More evidence than this is not told.
const MOST: f64 = 1e12;
/// Standard normal quantile of 90 %.
const TENTH: f64 = 1.2816;

/// One stretch with the flag on or off.
#[derive(Debug, Clone, PartialEq)]
pub struct Phase {
    /// Whether the flag was on.
    pub on: bool,
    /// Canary's memory less the control's, at times in seconds.
    pub points: Vec<Point>,
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Setting {
    /// Chance of blaming a flag that does nothing, and of missing one that matters.
    pub error: f64,
    /// The slope that would matter, bytes per second; without one it is only told what is shown.
    pub matters: Option<f64>,
    /// Seconds of one floor.
    pub block: f64,
    /// Seconds of one phase as it is planned; what is left out of it at its begin is a share of that.
    pub phase: f64,
}

/// The answer so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// The flag brings a slope.
    Brings,
    /// It brings less than what would matter.
    DoesNot,
    /// Neither is shown.
    Open,
}

/// What is known so far.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// The answer.
    pub answer: Answer,
    /// What the flag adds, bytes per second: 80 %.
    pub adds: Interval,
    /// Ends of what it may add, whenever one looked: at the error that was asked for.
    pub always: (f64, f64),
    /// How much likelier the data are with an effect: against that it does nothing.
    pub evidence: f64,
}

struct Sums {
    tt: [f64; 2],
    tv: [f64; 2],
    squares: f64,
    count: f64,
    alike: f64,
    phases: f64,
}

/// Judges all phases so far; nothing before there is one of each kind.
pub fn judge(phases: &[Phase], setting: &Setting) -> Option<State> {
    let sums = sums(phases, setting)?;
    let [off, on] = [0, 1].map(|k| sums.tv[k] / sums.tt[k]);
    let adds = on - off;
    let free = (sums.count - sums.phases - 2.0).max(1.0);
    let effective = (free * (1.0 - sums.alike) / (1.0 + sums.alike)).max(1.0);
    // What is learned of the noise from few floors is allowed for.
    let variance = (sums.squares / free).max(GRAIN * GRAIN / 12.0) * (1.0 + sums.alike) / (1.0 - sums.alike)
        * (1.0 + 2.0 / effective);
    let error = (variance * (1.0 / sums.tt[0] + 1.0 / sums.tt[1])).sqrt().max(f64::MIN_POSITIVE);
    let spread = alternative(phases, setting, variance);
    let ratio = (spread / error).powi(2);
    // One side: half of the mixture lies on either.
    let evidence =
        (-0.5 * (1.0 + ratio).ln() + 0.5 * (adds / error).powi(2) * ratio / (1.0 + ratio)).exp().min(MOST);
    let width = error * ((1.0 + 1.0 / ratio) * ((1.0 + ratio).ln() - 2.0 * setting.error.ln())).sqrt();
    let always = (adds - width, adds + width);
    let answer = match setting.matters {
        _ if always.0 > 0.0 => Answer::Brings,
        Some(matters) if always.1 < matters => Answer::DoesNot,
        _ => Answer::Open,
    };
    let adds = Interval { low: adds - TENTH * error, mid: adds, high: adds + TENTH * error };
    Some(State { answer, adds, always, evidence })
}

/// How large effects are that are reckoned with: fixed beforehand, by what matters or by the plan of two phases.
fn alternative(phases: &[Phase], setting: &Setting, variance: f64) -> f64 {
    if let Some(matters) = setting.matters {
        return matters;
    }
    let seconds = setting.phase * (1.0 - SETTLES);
    let floors = (seconds / setting.block).max(FEWEST as f64);
    let of_two = variance * 2.0 * 12.0 / (floors * seconds * seconds);
    debug_assert!(!phases.is_empty());
    ALTERNATIVE * of_two.sqrt()
}

fn sums(phases: &[Phase], setting: &Setting) -> Option<Sums> {
    let mut sums = Sums { tt: [0.0; 2], tv: [0.0; 2], squares: 0.0, count: 0.0, alike: 0.0, phases: 0.0 };
    let mut rows: Vec<(usize, Vec<(f64, f64)>)> = Vec::new();
    for phase in phases {
        let floors = floors(&phase.points, setting);
        if floors.len() < FEWEST {
            continue;
        }
        let n = floors.len() as f64;
        let [t, v] = [0, 1].map(|i| floors.iter().map(|f| [f.0, f.1][i]).sum::<f64>() / n);
        let centred: Vec<(f64, f64)> = floors.iter().map(|f| (f.0 - t, f.1 - v)).collect();
        let k = usize::from(phase.on);
        sums.tt[k] += centred.iter().map(|(t, _)| t * t).sum::<f64>();
        sums.tv[k] += centred.iter().map(|(t, v)| t * v).sum::<f64>();
        sums.count += n;
        sums.phases += 1.0;
        rows.push((k, centred));
    }
    if sums.tt.iter().any(|tt| *tt <= 0.0) {
        return None;
    }
    let (mut products, mut pairs) = (0.0, 0.0);
    for (k, row) in &rows {
        let slope = sums.tv[*k] / sums.tt[*k];
        let rest: Vec<f64> = row.iter().map(|(t, v)| v - slope * t).collect();
        sums.squares += rest.iter().map(|r| r * r).sum::<f64>();
        products += rest.windows(2).map(|w| w[0] * w[1]).sum::<f64>();
        pairs += rest.len() as f64 - 1.0;
    }
    let raw = if sums.squares > 0.0 { products / sums.squares * sums.count / pairs } else { 0.0 };
    sums.alike = ((raw * pairs + ALIKE.0 * ALIKE.1) / (pairs + ALIKE.1)).clamp(0.0, MOST_ALIKE);
    Some(sums)
}

/// Middles of blocks, behind what settles. Differences have no floor: both sides' teeth are in them.
fn floors(points: &[Point], setting: &Setting) -> Vec<(f64, f64)> {
    let Some(begin) = points.first().map(|p| p.t + SETTLES * setting.phase) else { return Vec::new() };
    let mut blocks: Vec<(f64, Vec<Point>)> = Vec::new();
    for p in points.iter().filter(|p| p.t >= begin && p.v.is_finite()) {
        let this = ((p.t - begin) / setting.block).floor();
        match blocks.last_mut() {
            Some((block, of)) if *block == this => of.push(*p),
            _ => blocks.push((this, vec![*p])),
        }
    }
    let middle = |of: &[Point]| {
        let mut values: Vec<f64> = of.iter().map(|p| p.v).collect();
        values.sort_by(f64::total_cmp);
        (of.iter().map(|p| p.t).sum::<f64>() / of.len() as f64, values[values.len() / 2])
    };
    blocks.iter().map(|(_, of)| middle(of)).collect()
}

#[cfg(test)]
mod tests {
    use rand::{RngExt as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    const MIB: f64 = 1_048_576.0;
    const SETTING: Setting = Setting { error: 0.05, matters: None, block: 60.0, phase: 1800.0 };

    /// Looks after every block, at most six phases: the answer, and the phases that it took.
    fn run(seed: u64, adds: f64, step: f64, setting: &Setting) -> (Answer, usize) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (mut phases, mut noise, mut level) = (Vec::new(), 0.0, 0.0);
        let mut drift = || {
            noise = 0.9 * noise + rng.random_range(-1.0..1.0) * MIB;
            noise
        };
        for at in 0..6 {
            let on = at % 2 == 0;
            phases.push(Phase { on, points: Vec::new() });
            for i in 0..180 {
                let t = f64::from(at) * 1800.0 + f64::from(i) * 10.0;
                // Both differ by a slope of their own, too.
                level += 10.0 * (if on { adds } else { 0.0 } + 500.0);
                let v = level + drift() + if on { step } else { 0.0 };
                phases[at as usize].points.push(Point { t, v });
                let looks = i % 6 == 5;
                if let Some(state) = judge(&phases, setting).filter(|s| looks && s.answer != Answer::Open) {
                    return (state.answer, phases.len());
                }
            }
        }
        (Answer::Open, phases.len())
    }

    #[test]
    fn a_flag_that_does_nothing_is_seldom_blamed_however_often_one_looks() {
        let wrong = (0..200).filter(|seed| run(*seed, 0.0, 0.0, &SETTING).0 == Answer::Brings).count();
        assert!(wrong <= 10, "{wrong} of 200");
        // A step is no slope.
        let wrong = (0..200).filter(|seed| run(*seed, 0.0, 80.0 * MIB, &SETTING).0 == Answer::Brings).count();
        assert!(wrong <= 10, "{wrong} of 200 with a step");
    }

    #[test]
    fn one_that_leaks_is_found_early_and_one_that_does_not_is_let_off() {
        let rate = 30.0 * MIB / 3600.0;
        let runs: Vec<(Answer, usize)> = (0..100).map(|seed| run(seed, rate, 0.0, &SETTING)).collect();
        let found = runs.iter().filter(|(a, _)| *a == Answer::Brings).count();
        assert!(found >= 95, "{found} of 100");
        let early = runs.iter().filter(|(_, phases)| *phases <= 3).count();
        assert!(early >= 80, "{early} of 100 in three phases");
        let setting = Setting { matters: Some(rate), ..SETTING };
        let let_off = (0..100).filter(|seed| run(*seed, 0.0, 0.0, &setting).0 == Answer::DoesNot).count();
        assert!(let_off >= 80, "{let_off} of 100");
    }

    #[test]
    fn nothing_is_said_before_both_were_seen() {
        assert_eq!(judge(&[], &SETTING), None);
        let still = |on: bool| {
            let at = if on { 0 } else { 1800 };
            let points = (0..180).map(|i| Point { t: f64::from(at + i * 10), v: 1.0 }).collect();
            Phase { on, points }
        };
        assert_eq!(judge(&[still(true)], &SETTING), None);
        // What does not move at all lets the flag off.
        let setting = Setting { matters: Some(1000.0), ..SETTING };
        let state = judge(&[still(true), still(false)], &setting).expect("both were seen");
        assert_eq!(state.answer, Answer::DoesNot, "{state:?}");
    }
}
