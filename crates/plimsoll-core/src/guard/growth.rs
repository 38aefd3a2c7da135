//! What one metric does over the rounds of a run: four verdicts, and the smallest leak that could have been seen.

use super::trend::{Level, Trend, residuals, trend};
use crate::slope::linalg::median;

/// Rounds after which the run is looked at.
pub const LOOKS: [usize; 7] = [16, 24, 32, 48, 64, 96, 128];
/// Bound in standard errors: one false alarm in 1,000 runs, shared by the [`LOOKS`].
pub const Z: f64 = 3.63;
/// The later half alone must agree, though with less: that only rules out what came to rest meanwhile.
const Z_HALF: f64 = 0.84;
/// The chance that goes with [`Z`], for what is counted.
const CHANCE: f64 = 1.4e-4;
/// A leak of this many standard errors above the bound is seen 95 times in 100.
const POWER: f64 = 1.645;
/// The error is an estimate itself: some runs have a larger one.
const ERROR_OF_ERROR: f64 = 1.1;
/// The error of the later half's slope, in errors of the whole: two to the three halves.
const HALF_ERROR: f64 = 2.83;
/// The newest slope must be this share of the early one, else the growth is coming to rest.
const KEEPS: f64 = 0.6;
/// The later half below this share of the earlier one, by so many errors, makes us look longer.
const SLOWS: f64 = 0.95;
const SLOWS_ERRORS: f64 = 2.5;
/// Share of the rounds that is never looked at: code is loaded and pools are filled.
const START_UP: usize = 8;
/// How far a round may lie off the settled line, in standard deviations.
const OFF: f64 = 4.0;
/// Share of the tolerance within which a slope is as large as it.
const AT_TOLERANCE: f64 = 0.03;

/// What a metric does with the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It grows by more than is borne, and goes on.
    Growing,
    /// It grows by less than is borne: proved, not merely unseen.
    Flat,
    /// It grew by more than is borne, but ever more slowly: a cache that fills, a late warm-up.
    Saturating,
    /// The rounds do not tell.
    Undecided,
}

impl Verdict {
    /// Its stable name.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Growing => "growing",
            Verdict::Flat => "flat",
            Verdict::Saturating => "saturating",
            Verdict::Undecided => "undecided",
        }
    }
}

/// What the rounds say of one metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Growth {
    /// The verdict.
    pub verdict: Verdict,
    /// Whether further rounds would hardly change it: not while growth slows down, be it ever so little.
    pub is_settled: bool,
    /// Slope per iteration with its interval.
    pub trend: Trend,
    /// Rounds at the begin that were warm-up.
    pub warm_up: usize,
    /// The smallest leak per iteration that this run would have called growing, 95 times in 100.
    pub smallest_seen: f64,
    /// Iterations after which it can probably be told, counted from the start; only when undecided, and `None` when the
    /// slope is as large as the tolerance.
    pub needs: Option<f64>,
    /// Level after the warm-up and now, on the fitted line.
    pub levels: (f64, f64),
}

/// Judges the levels of one metric against what is borne per iteration; `None` for too few.
pub fn judge(levels: &[Level], tolerance: f64, grain: f64) -> Option<Growth> {
    let warm_up = warm_up(levels, grain);
    let tail = &levels[warm_up..];
    let mut whole = trend(tail, Z, grain)?;
    let late = trend(&tail[tail.len() / 2..], Z_HALF, 0.0)?;
    let (slopes, steps) = (Halves::of_slopes(tail)?, Halves::of_steps(tail));
    let by_steps = steps.filter(Halves::is_straight).and_then(|_| least_step(tail, tolerance));
    let by_steps = by_steps.map(|low| low.min(whole.slope));
    whole.low = by_steps.map_or(whole.low, |low| whole.low.max(low - grain_over(tail, grain)));
    let keeps_on = slopes.keep_on() || steps.is_some_and(|s| s.keep_on() && s.late_exceeds(tolerance));
    let verdict = if whole.low > tolerance && late.low > tolerance && keeps_on {
        Verdict::Growing
    } else if whole.high < tolerance && late.low <= tolerance {
        Verdict::Flat
    } else if comes_to_rest(levels, tolerance) {
        Verdict::Saturating
    } else {
        Verdict::Undecided
    };
    let (first, last) = (tail.first()?, tail.last()?);
    let step = grain_over(tail, grain);
    let late_error = late.error.max(HALF_ERROR * whole.error);
    let keeps = steps.map_or(slopes.reach(), |s| slopes.reach().min(s.reach())) - tolerance;
    let reach = by_steps.map_or((Z + POWER) * whole.error, |low| {
        ((Z + POWER) * whole.error).min((Z + POWER) / Z * (whole.slope - low))
    });
    let reach = reach.max((Z_HALF + POWER) * late_error).max(keeps);
    let base = median(&mut tail.iter().map(|l| l.value - whole.slope * l.work).collect::<Vec<_>>());
    let needs = (verdict == Verdict::Undecided).then(|| needs(&whole, tolerance, step, last.work)).flatten();
    let is_settled = match verdict {
        Verdict::Flat => true,
        Verdict::Growing => !(slopes.slow_down() && steps.is_none_or(|s| s.slow_down())),
        Verdict::Saturating | Verdict::Undecided => false,
    };
    Some(Growth {
        verdict,
        is_settled,
        trend: whole,
        warm_up,
        smallest_seen: tolerance + reach * ERROR_OF_ERROR + step,
        needs,
        levels: (base + whole.slope * first.work, base + whole.slope * last.work),
    })
}

/// How fast two halves of the rounds climb, each with its error.
#[derive(Debug, Clone, Copy)]
struct Halves {
    early: (f64, f64),
    late: (f64, f64),
}

impl Halves {
    /// By the slopes of the halves.
    fn of_slopes(levels: &[Level]) -> Option<Halves> {
        let (early, late) = levels.split_at(levels.len() / 2);
        let rate = |part| trend(part, 1.0, 0.0).map(|t| (t.slope, t.error));
        Some(Halves { early: rate(early)?, late: rate(late)? })
    }

    /// By the usual climb from one round to the next: a table that doubles now and then climbs in steps, and slowly between
    /// them, but does not slow down.
    fn of_steps(levels: &[Level]) -> Option<Halves> {
        let (early, late) = levels.split_at(levels.len() / 2);
        Some(Halves { early: usual_step(early)?, late: usual_step(late)? })
    }

    /// The later half climbs about as fast as the earlier one did: proved, not merely unrefuted.
    fn keep_on(&self) -> bool {
        let error = self.late.1.hypot(KEEPS * self.early.1);
        self.late.0 - POWER * error >= KEEPS * self.early.0
    }

    /// The later half climbs as fast as the earlier one: proved.
    fn is_straight(&self) -> bool {
        self.late.0 - POWER * self.late.1.hypot(self.early.1) >= SLOWS * self.early.0
    }

    /// The later half climbs by more than is borne.
    fn late_exceeds(&self, tolerance: f64) -> bool {
        self.late.0 - POWER * self.late.1 > tolerance
    }

    /// The later half climbs more slowly for certain: a cache that fills looks like that at first.
    fn slow_down(&self) -> bool {
        self.late.0 + SLOWS_ERRORS * self.late.1.hypot(self.early.1) < SLOWS * self.early.0
    }

    /// The smallest slope of which it would be proved that it keeps on.
    fn reach(&self) -> f64 {
        2.0 * POWER * self.late.1.max(self.early.1) * 1.0_f64.hypot(KEEPS) / (1.0 - KEEPS)
    }
}

/// The step below which two levels are not told apart, per iteration.
fn grain_over(levels: &[Level], grain: f64) -> f64 {
    let span = levels.first().zip(levels.last()).map_or(0.0, |(first, last)| last.work - first.work);
    if span > 0.0 { grain / span } else { f64::INFINITY }
}

/// A climb per iteration that the usual step from one level to the next surely exceeds: were half of the steps smaller, chance
/// would hardly leave so few below it. A few large steps (code that is compiled late, tables that are laid out) do not widen it, as
/// they do the interval of the slope. Only where both halves as a whole have climbed by more than is borne: many small
/// steps up and a large one down are no climb.
fn least_step(levels: &[Level], tolerance: f64) -> Option<f64> {
    let net = |part: &[Level]| {
        let (first, last) = (part.first()?, part.last()?);
        (last.work > first.work).then(|| (last.value - first.value) / (last.work - first.work))
    };
    let half = levels.len() / 2;
    let climbs = |part| net(part).is_some_and(|slope| slope > tolerance);
    if !climbs(&levels[..=half]) || !climbs(&levels[half..]) {
        return None;
    }
    let mut steps = steps(levels);
    steps.sort_unstable_by(f64::total_cmp);
    let n = steps.len() as f64;
    // As many steps as chance leaves below the middle, one by one.
    let (mut one, mut below, mut k) = (0.5_f64.powf(n), 0.0, 0_usize);
    while below + one <= CHANCE {
        below += one;
        one *= (n - k as f64) / (k as f64 + 1.0);
        k += 1;
    }
    steps.get(k.checked_sub(1)?).copied()
}

/// The climbs per iteration from one level to the next.
fn steps(levels: &[Level]) -> Vec<f64> {
    levels
        .windows(2)
        .filter(|w| w[1].work > w[0].work)
        .map(|w| (w[1].value - w[0].value) / (w[1].work - w[0].work))
        .collect()
}

/// The median climb per iteration from one level to the next, and its error.
fn usual_step(levels: &[Level]) -> Option<(f64, f64)> {
    let mut steps = steps(levels);
    let n = steps.len() as f64;
    if steps.len() < super::trend::FEWEST {
        return None;
    }
    let usual = median(&mut steps);
    steps.iter_mut().for_each(|s| *s = (*s - usual).abs());
    // The median's error is a quarter larger than that of the mean.
    Some((usual, 1.25 * 1.4826 * median(&mut steps) / n.sqrt()))
}

/// The first half of all rounds grew for certain, the second far less.
fn comes_to_rest(levels: &[Level], tolerance: f64) -> bool {
    let start = levels.len() / START_UP;
    Halves::of_slopes(&levels[start..])
        .is_some_and(|h| h.early.0 - POWER * h.early.1 > tolerance && h.late.0 < KEEPS * h.early.0)
}

/// Work after which the interval leaves the tolerance: its width shrinks with the work to the power of three halves,
/// what the grain adds to it with the work.
fn needs(trend: &Trend, tolerance: f64, step: f64, work: f64) -> Option<f64> {
    let distance = (trend.slope - tolerance).abs();
    if distance < AT_TOLERANCE * tolerance || !trend.error.is_finite() {
        return None;
    }
    let by_noise = (Z * trend.error / distance).powf(2.0 / 3.0);
    let by_grain = step / distance;
    // The later half must agree too, and the estimate of the noise is one itself.
    Some(work * (by_noise + by_grain).max(1.0) * 1.25)
}

/// Rounds before the level settled: what lies off the line of the later half, two rounds in a row. Never more than half.
fn warm_up(levels: &[Level], grain: f64) -> usize {
    let least = levels.len() / START_UP;
    let half = levels.len() / 2;
    let settled = &levels[half..];
    let Some(line) = trend(settled, 1.0, 0.0) else { return least };
    let mut rest = residuals(settled, line.slope);
    rest.iter_mut().for_each(|r| *r = r.abs());
    let spread = (1.4826 * median(&mut rest)).max(grain / 2.0);
    let base = median(&mut settled.iter().map(|l| l.value - line.slope * l.work).collect::<Vec<_>>());
    let centre = (settled[0].work + settled[settled.len() - 1].work) / 2.0;
    let off = |l: &Level| {
        let allowed = OFF * (spread + line.error * (centre - l.work));
        let away = l.value - base - line.slope * l.work;
        if away.abs() > allowed { away.signum() } else { 0.0 }
    };
    let last_off = (0..half)
        .rev()
        .find(|k| off(&levels[*k]) != 0.0 && (*k == 0 || off(&levels[*k]) == off(&levels[*k - 1])));
    last_off.map_or(0, |k| k + 1).max(least)
}
