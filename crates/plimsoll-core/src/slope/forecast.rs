//! From weighted models to the question asked: which of them reach the death level, when, and how fast the
//! floor climbs now.

use std::cell::LazyCell;

use super::Interval;
use super::burst::Bursts;
use super::fit::{Coefficients, Fit, Scored};
use super::floor::Floor;
use super::linalg::{MAX, inner, spread_of};
use super::load::{Daily, Load, SLOT, SLOTS};
use super::models::{DEADLY_PLATEAU, Family, Place, Term, base_at, phase};
use super::quasi::{BURST, DRIFT, LEVEL, PACE, Quasi, normal_cdf, normal_quantile};

/// Draws of the posterior.
pub(super) const DRAWS: usize = 128;
const DAY: f64 = 86_400.0;
/// Models below this weight are left out of the draws.
const NEGLIGIBLE: f64 = 2e-3;

/// What is forecast against. Levels in scaled units.
pub(super) struct Outlook<'a> {
    /// The floor.
    pub(super) floor: &'a Floor,
    /// Its fit.
    pub(super) fit: &'a Fit,
    /// The load, when known.
    pub(super) load: Option<&'a Load<'a>>,
    /// The instant of the question, Unix seconds.
    pub(super) now: f64,
    /// The level that kills; infinite without a limit.
    pub(super) death: f64,
    /// What rises above the fitted floor.
    pub(super) bursts: Bursts,
    /// Standard deviation of the load between blocks, relative to its mean.
    pub(super) load_spread: f64,
    /// Expected load of the coming days.
    pub(super) daily: Option<Daily>,
}

/// Results in scaled units per second and seconds.
pub(super) struct Forecast {
    /// Probability of a climb without a plateau below the death level.
    pub(super) p_leak: f64,
    /// Sorted times to the death level, seconds.
    pub(super) draws: Vec<f64>,
    /// The slope now, scaled units per second.
    pub(super) slope: Interval,
    /// The floor now.
    pub(super) level: f64,
    /// Sum of the weights by family.
    pub(super) families: Vec<(Family, f64)>,
    /// Share of the climbing models that climb with the work done.
    pub(super) work_share: f64,
    /// Onset instants with the weight of their climbing models.
    pub(super) onsets: Vec<(f64, f64)>,
}

/// One model prepared for drawing.
struct Prospect {
    weight: f64,
    deadly: f64,
    scored: Scored,
    coefficients: Coefficients,
    /// Fitted level now, and its functional over the coefficients.
    level: f64,
    at_now: [f64; MAX],
    slope: f64,
    slope_sd: f64,
    /// Onset of the climb, Unix seconds; negative infinity when from the start.
    onset: f64,
}

/// Computes the forecast.
pub(super) fn forecast(o: &Outlook<'_>, seed: u64) -> Forecast {
    let place = o.place();
    let now = base_at(&o.fit.design.base, &place, o.fit.design.unit);
    let weighty = || o.fit.scored.iter().filter(|s| s.weight > NEGLIGIBLE);
    let mut prospects = Vec::with_capacity(weighty().count());
    prospects.extend(weighty().filter_map(|s| o.prospect(s, &place, &now)));
    let total: f64 = prospects.iter().map(|p| p.weight).sum::<f64>().max(1e-300);
    prospects.iter_mut().for_each(|p| p.weight /= total);
    let p_leak: f64 = prospects.iter().map(|p| p.weight * p.deadly).sum();
    let mut quasi = Quasi::new(seed);
    let draws = o.hits(&prospects, &place, &mut quasi);
    let level = prospects.iter().map(|p| p.weight * p.level).sum::<f64>() + o.fit.residual;
    Forecast {
        p_leak: p_leak.clamp(0.0, 1.0),
        draws,
        slope: slope(&prospects),
        level,
        families: families(&prospects),
        work_share: o.work_share(&prospects) / p_leak.max(1e-9),
        onsets: onsets(&prospects),
    }
}

impl Outlook<'_> {
    /// The live process at the instant of the question.
    fn place(&self) -> Place {
        let start = self.floor.live_start;
        let recent = self.load.map_or(1.0, |l| l.between(self.now - self.floor.block, self.now));
        let work = self.load.map_or(self.now - start, |l| l.work(self.now) - l.work(start));
        Place { t: self.now, age: (self.now - start).max(0.0), load: recent, work: work.max(0.0), live: true }
    }

    /// Prepares one model; `base` are the values of the base at the place.
    fn prospect(&self, s: &Scored, place: &Place, base: &[f64; MAX]) -> Option<Prospect> {
        let c = self.fit.coefficients(s)?;
        let (design, nb) = (&self.fit.design, self.fit.design.base.len());
        let mut onset = f64::NEG_INFINITY;
        let mut at_now = [0.0; MAX];
        let mut pace = [0.0; MAX];
        let mut rest = [0.0; MAX];
        for k in 0..c.count {
            let term = if k < nb { design.base[k] } else { design.terms[own_column(s, k - nb)] };
            if let Term::Ramp { at } | Term::LiveLinear { since: at } = term {
                onset = at;
            }
            at_now[k] = if k < nb { base[k] } else { term.at(place, design.unit) } - c.centre[k];
            pace[k] = term.slope(place, design.unit);
            rest[k] = term.remaining(place, design.unit);
        }
        let level = c.origin + inner(&c.mean, &at_now, c.count);
        let slope = inner(&c.mean, &pace, c.count);
        let slope_sd = c.deviation(&pace);
        let deadly = self.deadly(s, &c, level, &at_now, &rest) / (1.0 + self.floor.garbage);
        let is_plateau = matches!(s.model.family, Family::Saturating | Family::Plateau);
        let (weight, deadly) = if is_plateau {
            let kept = (1.0 - deadly) + DEADLY_PLATEAU * deadly;
            (s.weight * kept, DEADLY_PLATEAU * deadly / kept.max(1e-12))
        } else {
            (s.weight, deadly)
        };
        Some(Prospect { weight, deadly, scored: *s, coefficients: c, level, at_now, slope, slope_sd, onset })
    }

    fn work_share(&self, prospects: &[Prospect]) -> f64 {
        let terms = &self.fit.design.terms;
        let work = prospects.iter().filter(|p| p.scored.model.main.is_some_and(|c| terms[c] == Term::Work));
        work.map(|p| p.weight * p.deadly).sum()
    }

    /// Probability that this model climbs past the death level.
    fn deadly(
        &self,
        s: &Scored,
        c: &Coefficients,
        level: f64,
        at_now: &[f64; MAX],
        rest: &[f64; MAX],
    ) -> f64 {
        match s.model.family {
            Family::Flat | Family::Step => 0.0,
            Family::Linear | Family::Sublinear | Family::Onset => {
                let mut main = [0.0; MAX];
                main[c.count - 1] = 1.0;
                normal_cdf(c.mean[c.count - 1] / c.deviation(&main).max(1e-300))
            }
            Family::Saturating | Family::Plateau if self.death.is_finite() => {
                let mut end = *at_now;
                end.iter_mut().zip(rest).for_each(|(e, r)| *e += r);
                let plateau = level + inner(&c.mean, rest, c.count);
                let sd =
                    (c.deviation(&end).powi(2) + c.origin_variance + self.fit.noise.scale.powi(2)).sqrt();
                normal_cdf((plateau - self.death) / sd)
            }
            Family::Saturating | Family::Plateau => 0.0,
        }
    }

    /// Sorted hitting times; models take draws in proportion to their deadly weight.
    fn hits(&self, prospects: &[Prospect], place: &Place, quasi: &mut Quasi) -> Vec<f64> {
        let mut draws = Vec::with_capacity(DRAWS);
        if self.death.is_finite() {
            // Most of what is judged is flat, and nothing of it is drawn.
            let day = LazyCell::new(|| self.day());
            let mut sum = 0.0;
            for p in prospects {
                let before = (sum * DRAWS as f64).round();
                sum += p.weight * p.deadly;
                let count = ((sum * DRAWS as f64).round() - before) as usize;
                if count > 0 {
                    self.draw(p, (place, &day), count, quasi, &mut draws);
                }
            }
        }
        draws.sort_unstable_by(f64::total_cmp);
        draws.resize(DRAWS, f64::INFINITY);
        draws
    }

    fn draw(
        &self,
        p: &Prospect,
        (place, day): (&Place, &[[f64; MAX]]),
        count: usize,
        quasi: &mut Quasi,
        out: &mut Vec<f64>,
    ) {
        let swing = self.swing(p, day);
        let level_sd = p.coefficients.origin_variance.sqrt();
        let memory = -self.floor.block / self.fit.noise.rho.clamp(0.05, 0.98).ln();
        for _ in 0..count.min(DRAWS - out.len()) {
            let mut time = f64::INFINITY;
            // Only draws that are deadly count here: a few tries find one.
            for _ in 0..5 {
                quasi.advance();
                let beta = p.coefficients.sample(quasi);
                let level = p.coefficients.origin
                    + inner(&beta, &p.at_now, p.coefficients.count)
                    + level_sd * quasi.normal(LEVEL);
                let luck = Luck {
                    drift: quasi.normal(DRIFT),
                    chance: -quasi.uniform(BURST).max(1e-9).ln(),
                    pace: self.pace(quasi.normal(PACE)),
                };
                let hit = Path {
                    outlook: self,
                    prospect: p,
                    beta,
                    level,
                    place,
                    swing: swing.as_ref(),
                    luck,
                    memory,
                }
                .hit();
                if hit.is_finite() {
                    time = hit;
                    break;
                }
            }
            out.push(time);
        }
    }

    /// Spread of the logarithm of the time that comes from a wandering floor: the past rate is known from a
    /// finite way, and so is the way to come.
    pub(super) fn wander(&self, headroom: f64, time: f64) -> f64 {
        let floor = self.floor;
        let ahead = (time / floor.block).max(1.0);
        let behind = floor.points.len() as f64 / floor.runs as f64;
        let pace = headroom.max(1e-3) / ahead;
        (self.fit.noise.wander / pace * (1.0 / behind + 1.0 / ahead).sqrt()).min(1.0)
    }

    /// Factor of the future load. Before a day has been seen it may differ from the past by as much as the
    /// past varied.
    fn pace(&self, z: f64) -> f64 {
        let known = self.load.map_or(DAY, |l| l.span());
        let share = if known < 0.95 * DAY { 1.0 } else { 0.15 };
        (share * self.load_spread.min(0.6) * z).exp()
    }

    /// Values of what comes back daily in the slots of the coming day; empty when nothing in the base does.
    fn day(&self) -> Vec<[f64; MAX]> {
        let base = &self.fit.design.base;
        let mut day = Vec::new();
        for (k, term) in base.iter().enumerate().filter(|(_, t)| comes_back(t)) {
            day.resize(SLOTS, [0.0; MAX]);
            let slots = day.iter_mut().map(|values| &mut values[k]);
            match *term {
                Term::Wave { cycles, sine } => {
                    slots.zip(wave(cycles, sine, self.now + 0.5 * SLOT)).for_each(|(x, v)| *x = v);
                }
                _ => slots.zip(self.daily.iter().flat_map(|d| d.rate)).for_each(|(x, rate)| *x = rate - 1.0),
            }
        }
        day
    }

    /// Daily swing of the floor over the coming day, when the base has one.
    fn swing(&self, p: &Prospect, day: &[[f64; MAX]]) -> Option<Swing> {
        let c = &p.coefficients;
        let mut slots = [0.0; SLOTS];
        for (slot, values) in slots.iter_mut().zip(day) {
            let terms = self.fit.design.base.iter().enumerate().filter(|(_, t)| comes_back(t));
            *slot = terms.map(|(k, _)| c.mean[k] * (values[k] - p.at_now[k] - c.centre[k])).sum();
        }
        let peak = slots.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let deep = slots.iter().copied().fold(f64::INFINITY, f64::min);
        // A swing within the noise only costs time.
        (peak - deep > 2.0 * self.fit.noise.scale).then_some(Swing { slots, peak })
    }
}

/// A daily wave slot by slot from an instant on: each is the one before, turned.
fn wave(cycles: f64, sine: bool, from: f64) -> impl Iterator<Item = f64> {
    let (turn_sine, turn_cosine) = (phase(SLOT) * cycles).sin_cos();
    let turn =
        move |&(s, c): &(f64, f64)| Some((s * turn_cosine + c * turn_sine, c * turn_cosine - s * turn_sine));
    let first = (phase(from) * cycles).sin_cos();
    std::iter::successors(Some(first), turn).map(move |(s, c)| if sine { s } else { c })
}

/// Whether a term of the base comes back every day.
pub(super) fn comes_back(term: &Term) -> bool {
    matches!(term, Term::Load | Term::Wave { .. })
}

fn own_column(s: &Scored, k: usize) -> usize {
    let columns = [s.model.level, s.model.main];
    columns.into_iter().flatten().nth(k).unwrap_or(0)
}

impl Coefficients {
    /// Standard deviation of a linear functional of the coefficients.
    fn deviation(&self, functional: &[f64; MAX]) -> f64 {
        let z = self.chol.forward(functional);
        (self.variance * inner(&z, &z, self.count)).sqrt()
    }

    /// A draw of the coefficients.
    fn sample(&self, quasi: &Quasi) -> [f64; MAX] {
        let sd = self.variance.sqrt();
        let mut b = [0.0; MAX];
        b.iter_mut().enumerate().take(self.count).for_each(|(k, b)| *b = quasi.normal(k) * sd);
        let mut out = self.chol.backward(&b);
        out.iter_mut().zip(&self.mean).for_each(|(o, m)| *o += m);
        out
    }
}

/// Expected floor of the coming day relative to now.
struct Swing {
    slots: [f64; SLOTS],
    peak: f64,
}

impl Swing {
    /// Value `g` seconds from now, between the middles of the slots.
    fn at(&self, g: f64) -> f64 {
        // A day is added so that truncation rounds down.
        let x = g.clamp(0.0, 1e12) / SLOT - 0.5 + SLOTS as f64;
        let whole = x as usize;
        let slot = |k: usize| self.slots[k % SLOTS];
        slot(whole) + (slot(whole + 1) - slot(whole)) * (x - whole as f64)
    }
}

/// What chance adds to a path.
#[derive(Debug, Clone, Copy)]
struct Luck {
    /// Standard normal number: whether the jumps to come are more or larger than the usual.
    drift: f64,
    /// Standard exponential number: how much burst hazard this path survives.
    chance: f64,
    /// Factor of the future load.
    pace: f64,
}

/// One drawn path.
struct Path<'a> {
    outlook: &'a Outlook<'a>,
    prospect: &'a Prospect,
    beta: [f64; MAX],
    level: f64,
    place: &'a Place,
    swing: Option<&'a Swing>,
    luck: Luck,
    /// How long the present residual lasts, seconds.
    memory: f64,
}

impl Path<'_> {
    /// Seconds until something above the floor touches the level that kills; infinite when never. How high
    /// the burst is that kills depends on how long the climb lingers below.
    fn hit(&self) -> f64 {
        let bursts = &self.outlook.bursts;
        let headroom = self.outlook.death - self.level;
        let usual = headroom - bursts.usual();
        let first = self.trend_hit(usual);
        if !first.is_finite() {
            return first;
        }
        let block = self.outlook.floor.block;
        let climb = if usual > 0.0 { usual / first.max(block) * block } else { self.trend_gain(block) };
        let time = self.floor_hit(headroom - bursts.reach(climb.max(1e-6) * self.luck.chance, headroom));
        time * (self.outlook.wander(headroom, time) * self.luck.drift).exp()
    }

    /// Seconds until the floor with its daily swing gains `headroom`.
    fn floor_hit(&self, headroom: f64) -> f64 {
        let Some(swing) = self.swing else { return self.trend_hit(headroom) };
        let first = self.trend_hit(headroom - swing.peak);
        if !first.is_finite() {
            return first;
        }
        // Within the day after the trend alone could reach it, the swing decides the hour.
        let reached = |t: f64| self.trend_gain(t) + swing.at(t) >= headroom;
        let (mut low, mut high) = (first, first);
        for _ in 0..=SLOTS / 2 {
            if reached(high) {
                break;
            }
            low = high;
            high += 2.0 * SLOT;
        }
        for _ in 0..if high > low { 7 } else { 0 } {
            let middle = 0.5 * (low + high);
            if reached(middle) { high = middle } else { low = middle }
        }
        high
    }

    /// Gain of the trend after `g` seconds.
    fn trend_gain(&self, g: f64) -> f64 {
        let design = &self.outlook.fit.design;
        if let Some((Term::Linear | Term::LiveLinear { .. } | Term::Ramp { .. }, beta)) = self.main()
            && self.fading_terms().next().is_none()
        {
            return beta * g / design.unit;
        }
        let work = self.outlook.daily.as_ref().map_or(g, |d| d.after(g)) * self.luck.pace;
        let then = Place {
            t: self.place.t + g,
            age: self.place.age + g,
            work: self.place.work + work,
            ..*self.place
        };
        let mut gain = 0.0;
        for (term, beta) in self.fading_terms() {
            gain += beta * (term.at(&then, design.unit) - term.at(self.place, design.unit));
        }
        if let Some((term, beta)) = self.main() {
            gain += beta * (term.at(&then, design.unit) - term.at(self.place, design.unit));
        }
        gain
    }

    fn main(&self) -> Option<(Term, f64)> {
        let c = self.prospect.scored.model.main?;
        Some((self.outlook.fit.design.terms[c], self.beta[self.prospect.coefficients.count - 1]))
    }

    /// Warm-ups, in the base or beside the main term, with their drawn amplitudes.
    fn fading_terms(&self) -> impl Iterator<Item = (Term, f64)> {
        let design = &self.outlook.fit.design;
        let level = self.prospect.scored.model.level.map(|c| (design.terms[c], self.beta[design.base.len()]));
        let base = design.base.iter().copied().zip(self.beta.iter().copied());
        base.chain(level).filter(|(t, _)| matches!(t, Term::Saturating { .. }))
    }

    /// Seconds until the trend alone gains `headroom`.
    fn trend_hit(&self, headroom: f64) -> f64 {
        let Some((term, beta)) = self.main() else { return f64::INFINITY };
        let now = term.at(self.place, self.outlook.fit.design.unit);
        let mut time = self.invert(&term, beta, headroom, now);
        // Warm-up and the present residual fade; two rounds are enough as both are small.
        for _ in 0..2 {
            if !time.is_finite() || time <= 0.0 {
                break;
            }
            let fading = self.fading(time);
            if fading.abs() < 1e-5 {
                break;
            }
            time = self.invert(&term, beta, headroom - fading, now);
        }
        time
    }

    fn invert(&self, term: &Term, beta: f64, rise: f64, now: f64) -> f64 {
        let unit = self.outlook.fit.design.unit;
        let time = invert(term, beta, rise, now, self.place, unit);
        match (&self.outlook.daily, term) {
            (Some(daily), Term::Work) if time.is_finite() => daily.time_for(time / self.luck.pace),
            _ => time,
        }
    }

    fn fading(&self, g: f64) -> f64 {
        let fit = self.outlook.fit;
        let mut sum = fit.residual * (-g / self.memory).exp();
        for (k, term) in fit.design.base.iter().enumerate() {
            if let Term::Saturating { .. } = term {
                let then = Place { age: self.place.age + g, ..*self.place };
                sum +=
                    self.beta[k] * (term.at(&then, fit.design.unit) - term.at(self.place, fit.design.unit));
            }
        }
        sum
    }
}

/// Seconds until `beta` times the term has gained `rise` over its present value `now`.
fn invert(term: &Term, beta: f64, rise: f64, now: f64, place: &Place, unit: f64) -> f64 {
    if rise <= 0.0 {
        return 0.0;
    }
    if beta <= 0.0 {
        return f64::INFINITY;
    }
    let gain = rise / beta;
    match *term {
        Term::Linear | Term::LiveLinear { .. } | Term::Work | Term::Ramp { .. } => gain * unit,
        Term::Power(e) => unit * (now + gain).powf(1.0 / e) - place.age,
        Term::Saturating { tau } | Term::LiveSaturating { tau } | Term::Plateau { tau, .. } => {
            let left = term.remaining(place, unit);
            if gain >= left { f64::INFINITY } else { -tau * (1.0 - gain / left).ln() }
        }
        Term::Load | Term::Wave { .. } | Term::Step { .. } | Term::OlderLinear => f64::INFINITY,
    }
}

/// The present slope over all models, by draws of it.
fn slope(prospects: &[Prospect]) -> Interval {
    let mut out = Vec::with_capacity(DRAWS);
    let mut sum = 0.0;
    for p in prospects {
        let before = (sum * DRAWS as f64).round();
        sum += p.weight;
        let count = ((sum * DRAWS as f64).round() - before).max(0.0) as usize;
        out.extend(
            (0..count).map(|k| p.slope + p.slope_sd * normal_quantile((k as f64 + 0.5) / count as f64)),
        );
    }
    let [low, mid, high] = spread_of(&mut out);
    Interval { low, mid, high }
}

fn families(prospects: &[Prospect]) -> Vec<(Family, f64)> {
    let mut out: Vec<(Family, f64)> = Vec::with_capacity(8);
    for p in prospects {
        match out.iter_mut().find(|(f, _)| *f == p.scored.model.family) {
            Some((_, w)) => *w += p.weight,
            None => out.push((p.scored.model.family, p.weight)),
        }
    }
    out
}

fn onsets(prospects: &[Prospect]) -> Vec<(f64, f64)> {
    let climbing = prospects.iter().filter(|p| p.scored.model.family == Family::Onset);
    climbing.map(|p| (p.onset, p.weight)).collect()
}
