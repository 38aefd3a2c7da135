//! The shapes that a floor can take: terms over process age and time, their columns, and the models built
//! from them with their prior weights.

use std::f64::consts::SQRT_2;

use super::floor::{Floor, FloorPoint};
use super::linalg::{MAX, decay};

const HOUR: f64 = 3_600.0;
/// Longest time constant that is told apart from a straight climb, seconds.
const TAU_MAX: f64 = 128.0 * HOUR;
/// Time constants of services are about equally likely per octave up to here, rarer beyond. Seconds.
const TAU_KNEE: f64 = 24.0 * HOUR;
/// Below this they are rarer too (a process warms up for minutes, not milliseconds). Seconds.
const TAU_LOW: f64 = 300.0;
/// Prior mass of all time constants in nats of log tau, so that grids of any length are comparable.
const TAU_MASS: f64 = 7.8;
/// Prior probability of a leak.
pub(super) const P_LEAK: f64 = 0.15;
/// A plateau above the death level kills as surely as a straight climb, but caches are rarely sized so.
pub(super) const DEADLY_PLATEAU: f64 = 0.1;
/// Powers of age below one: the least, the step to the next, and how many.
const LEAST_POWER: f64 = 0.55;
const POWER_STEP: f64 = 0.1;
const POWERS: u8 = 4;
/// Onset candidates at most.
const HINGES: usize = 10;
/// Time constants at most that may serve as warm-up.
pub(super) const WARM: usize = 3;
/// Prior mass of a step within the run.
const STEP: f64 = 0.15;
/// Prior mass of a new plateau that begins within the run, without and with a jump, and its time constants, in times since,
/// with their shares: what fills up is mostly full by now.
const NEW_PLATEAU: f64 = 0.06;
const JUMP_PLATEAU: f64 = 0.05;
const PLATEAUS: [(f64, f64); 3] = [(1.5, 0.17), (0.5, 0.38), (1.0 / 6.0, 0.45)];
/// Floor points needed on both sides of an onset.
const HINGE_SIDE: usize = 4;

/// One regressor as a function of process age and time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Term {
    /// Load relative to its mean.
    Load,
    /// Daily wave: cosine (or sine) of the given multiple of a day.
    Wave {
        /// Cycles a day.
        cycles: f64,
        /// Sine instead of cosine.
        sine: bool,
    },
    /// Age.
    Linear,
    /// Age to a power below one.
    Power(f64),
    /// Work done since the start.
    Work,
    /// Rise from the start towards a plateau.
    Saturating {
        /// Time constant, seconds.
        tau: f64,
    },
    /// Jump at a wall-clock instant.
    Step {
        /// The instant, Unix seconds.
        at: f64,
    },
    /// Straight climb since an instant.
    Ramp {
        /// The instant, Unix seconds.
        at: f64,
    },
    /// Age in runs of the live version, zero in older ones: what began with a deploy.
    LiveLinear {
        /// First start of the live version, Unix seconds.
        since: f64,
    },
    /// Age in runs of older versions: what ended with a deploy.
    OlderLinear,
    /// Rise towards a plateau that only the live version shows.
    LiveSaturating {
        /// Time constant, seconds.
        tau: f64,
    },
    /// Rise since an instant towards a plateau.
    Plateau {
        /// The instant, Unix seconds.
        at: f64,
        /// Time constant, seconds.
        tau: f64,
    },
}

/// Where a term is evaluated.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// Unix time, seconds.
    pub(super) t: f64,
    /// Process age, seconds.
    pub(super) age: f64,
    /// Relative load.
    pub(super) load: f64,
    /// Work since the start, seconds at mean load.
    pub(super) work: f64,
    /// Whether the live version runs.
    pub(super) live: bool,
}

impl From<&FloorPoint> for Place {
    fn from(p: &FloorPoint) -> Place {
        Place { t: p.t, age: p.age, load: p.load, work: p.work, live: p.live }
    }
}

fn rise(age: f64, tau: f64) -> f64 {
    let x = -age.max(0.0) / tau;
    // The plain form is quicker and loses nothing but near zero.
    if x < -1e-3 { 1.0 - x.exp() } else { -x.exp_m1() }
}

/// Logarithm of an age beside the oldest one.
fn logarithm(age: f64, unit: f64) -> f64 {
    (age / unit).max(1e-12).ln()
}

/// An age beside the oldest one to the least power, and to the step between powers.
fn powers(age: f64, unit: f64) -> [f64; 2] {
    let ln = logarithm(age, unit);
    [decay(LEAST_POWER * ln), decay(POWER_STEP * ln)]
}

impl Term {
    /// Value at a place; `unit` (the oldest age seen) makes it of order one.
    pub(super) fn at(&self, p: &Place, unit: f64) -> f64 {
        match *self {
            Term::Load => p.load - 1.0,
            Term::Wave { cycles, sine } => {
                let phase = phase(p.t) * cycles;
                if sine { phase.sin() } else { phase.cos() }
            }
            Term::Linear => p.age / unit,
            Term::Power(e) => (e * logarithm(p.age, unit)).exp(),
            Term::Work => p.work / unit,
            Term::Saturating { tau } => rise(p.age, tau) / rise(unit, tau),
            Term::Step { at } => f64::from(p.t >= at),
            Term::Ramp { at } => (p.t - at).max(0.0) / unit,
            Term::LiveLinear { .. } => {
                if p.live {
                    p.age / unit
                } else {
                    0.0
                }
            }
            Term::OlderLinear => {
                if p.live {
                    0.0
                } else {
                    p.age / unit
                }
            }
            Term::LiveSaturating { tau } => {
                if p.live {
                    rise(p.age, tau)
                } else {
                    0.0
                }
            }
            Term::Plateau { at, tau } => rise(p.t - at, tau),
        }
    }

    /// Slope per second at a place.
    pub(super) fn slope(&self, p: &Place, unit: f64) -> f64 {
        match *self {
            Term::Linear | Term::LiveLinear { .. } => 1.0 / unit,
            Term::Work => p.load / unit,
            Term::Power(e) => e * (p.age.max(1e-3 * unit) / unit).powf(e - 1.0) / unit,
            Term::Saturating { tau } => (-p.age / tau).exp() / tau / rise(unit, tau),
            Term::LiveSaturating { tau } => (-p.age / tau).exp() / tau,
            Term::Ramp { at } => f64::from(p.t >= at) / unit,
            Term::Plateau { at, tau } => (-(p.t - at).max(0.0) / tau).exp() / tau,
            Term::Load | Term::Wave { .. } | Term::Step { .. } | Term::OlderLinear => 0.0,
        }
    }

    /// What the term still gains from a place to the end of time; infinite when it has no plateau.
    pub(super) fn remaining(&self, p: &Place, unit: f64) -> f64 {
        match *self {
            Term::Linear | Term::LiveLinear { .. } | Term::Work | Term::Power(_) | Term::Ramp { .. } => {
                f64::INFINITY
            }
            Term::LiveSaturating { tau } => (-p.age / tau).exp(),
            Term::Saturating { tau } => (-p.age / tau).exp() / rise(unit, tau),
            Term::Plateau { at, tau } => (-(p.t - at).max(0.0) / tau).exp(),
            Term::Load | Term::Wave { .. } | Term::Step { .. } | Term::OlderLinear => 0.0,
        }
    }
}

/// What a model says about the future.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// No movement.
    Flat,
    /// Plateau from the start of the process.
    Saturating,
    /// Straight climb in age or in work.
    Linear,
    /// Power below one.
    Sublinear,
    /// One jump.
    Step,
    /// Climb since an onset.
    Onset,
    /// New plateau since an onset.
    Plateau,
}

/// One candidate: up to two columns beyond the common base; the last one is what goes on growing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Model {
    /// Column that is constant from now on (a step), if any.
    pub(super) level: Option<usize>,
    /// Column that goes on growing, if any.
    pub(super) main: Option<usize>,
    /// Family.
    pub(super) family: Family,
    /// Logarithm of the prior weight.
    pub(super) prior: f64,
}

/// A candidate onset.
#[derive(Debug, Clone, Copy)]
pub(super) struct Onset {
    /// Seconds before now, and the instant.
    ago: f64,
    at: f64,
    /// First point since, and columns of its step and its ramp.
    from: usize,
    pub(super) step: usize,
    pub(super) ramp: usize,
    /// The model of the step alone.
    model: usize,
    /// Whether its plateaus are among the candidates. As long as they are not, the step stands for all that stops again.
    pub(super) with_plateaus: bool,
}

/// Logarithms of prior weights of what begins at one onset.
#[derive(Debug, Clone, Copy)]
struct OnsetPriors {
    step: f64,
    /// Of the step when it stands for the plateaus too.
    stops: f64,
    ramp: f64,
    both: f64,
    /// Time constants in times since, with the weights of a plateau alone and of one with a jump.
    plateaus: [(f64, f64, f64); PLATEAUS.len()],
}

impl OnsetPriors {
    /// When there are so many onsets.
    fn of(count: usize) -> OnsetPriors {
        let share = 1.0 / count.max(1) as f64;
        let calm = (1.0 - P_LEAK) * share;
        let plateaus = PLATEAUS.map(|(tau, weight)| {
            (tau, (calm * weight * NEW_PLATEAU).ln(), (calm * weight * JUMP_PLATEAU).ln())
        });
        OnsetPriors {
            step: (calm * STEP).ln(),
            stops: (calm * (STEP + NEW_PLATEAU + JUMP_PLATEAU)).ln(),
            ramp: (P_LEAK * 0.25 * share).ln(),
            both: (P_LEAK * 0.1 * share).ln(),
            plateaus,
        }
    }
}

/// Columns and models for one floor.
pub(super) struct Design {
    /// Common base of all models: load or daily waves; a warm-up may be added.
    pub(super) base: Vec<Term>,
    /// Terms of the columns.
    pub(super) terms: Vec<Term>,
    /// First point at which each column is not zero.
    pub(super) from: Vec<usize>,
    /// Column values, term by term, `points` long each.
    pub(super) values: Vec<f64>,
    /// Values of the base terms, the same way.
    pub(super) base_values: Vec<f64>,
    /// Candidates.
    pub(super) models: Vec<Model>,
    /// Columns that may serve as warm-up.
    pub(super) warm: Vec<usize>,
    /// Number of columns, the first ones, that are functions of age alone.
    pub(super) aged: usize,
    /// Where something may have begun.
    pub(super) onsets: Vec<Onset>,
    /// Scale of age, seconds.
    pub(super) unit: f64,
    /// Number of floor points.
    pub(super) n: usize,
}

/// What the design has to know beyond the floor.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setting {
    /// A load channel that varies exists.
    pub(super) load: bool,
    /// The instant of the question, Unix seconds.
    pub(super) now: f64,
}

impl Design {
    /// Builds the candidates that the floor can tell apart.
    pub(super) fn new(floor: &Floor, setting: Setting) -> Design {
        let unit = floor.oldest();
        let mut d = Design {
            base: base_terms(floor, setting),
            terms: Vec::with_capacity(80),
            from: Vec::new(),
            values: Vec::new(),
            base_values: Vec::new(),
            models: Vec::with_capacity(144),
            warm: Vec::new(),
            aged: 0,
            onsets: Vec::new(),
            unit,
            n: floor.points.len(),
        };
        let prior = (0.5 * (1.0 - P_LEAK)).ln();
        d.models.push(Model { level: None, main: None, family: Family::Flat, prior });
        d.climbs(setting.load);
        d.saturations(floor);
        if floor.older {
            d.versions(floor);
        }
        d.aged = d.terms.len();
        d.warmed();
        d.onsets(floor, setting.now);
        d.fill(floor);
        d
    }

    fn add(&mut self, term: Term) -> usize {
        self.terms.push(term);
        self.terms.len() - 1
    }

    fn model(&mut self, level: Option<usize>, main: usize, family: Family, prior: f64) {
        self.models.push(Model { level, main: Some(main), family, prior });
    }

    fn climbs(&mut self, load: bool) {
        let linear = self.add(Term::Linear);
        self.model(None, linear, Family::Linear, (P_LEAK * 0.45).ln());
        for k in 0..POWERS {
            let c = self.add(Term::Power(LEAST_POWER + POWER_STEP * f64::from(k)));
            self.model(None, c, Family::Sublinear, (P_LEAK * 0.04).ln());
        }
        if load {
            let c = self.add(Term::Work);
            self.model(None, c, Family::Linear, (P_LEAK * 0.2).ln());
        }
    }

    /// Time constants in octaves below [`TAU_MAX`], down to what the blocks can resolve.
    fn saturations(&mut self, floor: &Floor) {
        let finest = floor.block.max(self.unit / 100.0);
        let hidden = floor.hidden();
        // Two interleaved chains of octaves: half octaves matter where runs of different ages meet.
        for (longest, shortest, warms) in
            [(TAU_MAX, finest, true), (TAU_MAX / SQRT_2, self.unit / 16.0, false)]
        {
            let mut tau = longest;
            while tau >= shortest.max(finest) {
                let c = self.add(Term::Saturating { tau });
                // Restarts that never let the process grow older hide any later plateau: the answer is then
                // "if it goes on as it does", so such plateaus do not speak against a leak.
                let seen = if hidden && tau > 0.7 * self.unit { DEADLY_PLATEAU } else { 1.0 };
                let share = if tau >= self.unit / 16.0 { 0.5 } else { 1.0 };
                let prior = (1.0 - P_LEAK) * 0.5 * tau_mass(tau) * seen * share;
                self.model(None, c, Family::Saturating, prior.ln());
                if warms && tau <= (2.5 * HOUR).min(self.unit / 4.0) && self.warm.len() < WARM {
                    self.warm.push(c);
                }
                tau *= 0.5;
            }
        }
    }

    /// Pairs of a warm-up and something slower: the sum of two plateaus looks like a climb without end when
    /// only one is allowed for.
    fn warmed(&mut self) {
        let alone = |m: &&Model| m.main.is_some() && m.level.is_none();
        let single: Vec<Model> = self.models.iter().filter(alone).copied().collect();
        let share = (1.0 / self.warm.len().max(1) as f64).ln();
        for &w in &self.warm.clone() {
            let Term::Saturating { tau: fast } = self.terms[w] else { continue };
            for m in &single {
                let slower = m.main.is_some_and(|c| match self.terms[c] {
                    Term::Saturating { tau } | Term::LiveSaturating { tau } => tau >= 3.9 * fast,
                    Term::Linear | Term::LiveLinear { .. } | Term::Work | Term::Power(_) => true,
                    _ => false,
                });
                if slower {
                    self.models.push(Model { level: Some(w), prior: m.prior + share, ..*m });
                }
            }
        }
    }

    fn onsets(&mut self, floor: &Floor, now: f64) {
        let onsets = onset_grid(floor, now);
        let priors = OnsetPriors::of(onsets.len());
        for ago in onsets {
            let at = now - ago;
            let (step, ramp) = (self.add(Term::Step { at }), self.add(Term::Ramp { at }));
            let from = floor.points.iter().position(|p| p.t >= at).unwrap_or(self.n);
            let model = self.models.len();
            self.onsets.push(Onset { ago, at, from, step, ramp, model, with_plateaus: false });
            self.model(None, step, Family::Step, priors.stops);
            self.model(None, ramp, Family::Onset, priors.ramp);
            self.model(Some(step), ramp, Family::Onset, priors.both);
        }
    }

    /// Takes the plateaus of one onset among the candidates.
    pub(super) fn add_plateaus(&mut self, floor: &Floor, onset: usize) {
        let priors = OnsetPriors::of(self.onsets.len());
        self.onsets[onset].with_plateaus = true;
        let Onset { ago, at, from, step, model, .. } = self.onsets[onset];
        self.models[model].prior = priors.step;
        let points = &floor.points[from..];
        let mut chain = vec![0.0; points.len()];
        for (k, (tau, alone, with_jump)) in priors.plateaus.into_iter().enumerate() {
            let tau = tau * ago;
            let c = self.add(Term::Plateau { at, tau });
            self.from.push(from);
            self.values.resize((c + 1) * self.n, 0.0);
            since_onset(&mut self.values[c * self.n + from..], &mut chain, points, (at, tau), k == 0);
            self.model(None, c, Family::Plateau, alone);
            self.model(Some(step), c, Family::Plateau, with_jump);
        }
    }

    /// What a deploy may have brought or ended, when runs of older versions are known.
    fn versions(&mut self, floor: &Floor) {
        let since = floor.points.iter().filter(|p| p.live).fold(f64::INFINITY, |m, p| m.min(p.t - p.age));
        let older = self.add(Term::OlderLinear);
        let live = self.add(Term::LiveLinear { since });
        self.model(None, older, Family::Flat, ((1.0 - P_LEAK) * 0.03).ln());
        self.model(None, live, Family::Onset, (P_LEAK * 0.2).ln());
        self.model(Some(older), live, Family::Onset, (P_LEAK * 0.1).ln());
        let mut tau = TAU_MAX;
        while tau >= 2.0 * floor.block {
            let c = self.add(Term::LiveSaturating { tau });
            self.model(None, c, Family::Saturating, ((1.0 - P_LEAK) * 0.1 * tau_mass(tau)).ln());
            tau *= 0.5;
        }
    }

    /// Evaluates all columns. Time constants fall in octaves, so that one exponential per point is
    /// enough for all of them; powers rise in steps, so that two are.
    fn fill(&mut self, floor: &Floor) {
        let (n, unit) = (self.n, self.unit);
        self.values.resize(self.terms.len() * n, 0.0);
        self.base_values.resize(self.base.len() * n, 0.0);
        for (at, p) in floor.points.iter().enumerate() {
            let values = base_at(&self.base, &Place::from(p), unit);
            self.base_values.iter_mut().skip(at).step_by(n).zip(values).for_each(|(x, v)| *x = v);
        }
        let powers: Vec<[f64; 2]> = floor.points.iter().map(|p| powers(p.age, unit)).collect();
        let mut chain: Vec<f64> = vec![0.0; n];
        self.from.resize(self.aged, 0);
        self.from.extend(self.onsets.iter().flat_map(|o| [o.from; 2]));
        let columns = self.values.chunks_exact_mut(n).zip(&self.from);
        for (term, (column, &from)) in self.terms.iter().zip(columns) {
            let (column, points) = (&mut column[from..], &floor.points[from..]);
            match *term {
                Term::Saturating { tau } => octave(column, &mut chain, points, tau, unit),
                Term::Power(e) => {
                    let steps = ((e - LEAST_POWER) / POWER_STEP).round() as usize;
                    for (x, [least, step]) in column.iter_mut().zip(&powers) {
                        *x = (0..steps).fold(*least, |x, _| x * step);
                    }
                }
                _ => column.iter_mut().zip(points).for_each(|(x, p)| *x = term.at(&Place::from(p), unit)),
            }
        }
    }

    /// Values of one column.
    pub(super) fn column(&self, c: usize) -> &[f64] {
        &self.values[c * self.n..(c + 1) * self.n]
    }

    /// Values of one base column.
    pub(super) fn base_column(&self, c: usize) -> &[f64] {
        &self.base_values[c * self.n..(c + 1) * self.n]
    }

    /// Makes a column part of the base of all models.
    pub(super) fn adopt(&mut self, c: usize) {
        self.base.push(self.terms[c]);
        let column = self.column(c).to_vec();
        self.base_values.extend(column);
    }
}

/// Saturating columns come in falling octaves: the first takes an exponential, each later one a square.
fn octave(column: &mut [f64], chain: &mut [f64], points: &[FloorPoint], tau: f64, unit: f64) {
    let first = tau > 0.6 * TAU_MAX;
    let norm = 1.0 / rise(unit, tau);
    for ((x, e), p) in column.iter_mut().zip(chain).zip(points) {
        *e = if first { decay(-p.age / tau) } else { *e * *e };
        *x = (1.0 - *e) * norm;
    }
}

/// Plateau columns of one onset come in falling thirds, the longest first: again one exponential.
fn since_onset(
    column: &mut [f64],
    chain: &mut [f64],
    points: &[FloorPoint],
    plateau: (f64, f64),
    longest: bool,
) {
    let (at, tau) = plateau;
    for ((x, e), p) in column.iter_mut().zip(chain).zip(points) {
        *e = if longest { decay(-(p.t - at).max(0.0) / tau) } else { *e * *e * *e };
        *x = 1.0 - *e;
    }
}

/// Values of the terms of a base at one place. Cosine and sine of a wave stand together and are taken together; those of a wave twice as
/// quick as the one before follow from it.
pub(super) fn base_at(base: &[Term], place: &Place, unit: f64) -> [f64; MAX] {
    let (mut out, mut taken) = ([0.0; MAX], (f64::NAN, (0.0, 0.0)));
    for (x, term) in out.iter_mut().zip(base) {
        *x = match *term {
            Term::Wave { cycles, sine } => {
                if taken.0 == 0.5 * cycles {
                    let (s, c) = taken.1;
                    taken = (cycles, (2.0 * s * c, 1.0 - 2.0 * s * s));
                } else if taken.0 != cycles {
                    taken = (cycles, (phase(place.t) * cycles).sin_cos());
                }
                if sine { taken.1.0 } else { taken.1.1 }
            }
            _ => term.at(place, unit),
        }
    }
    out
}

/// Phase of the day, radians.
pub(super) fn phase(t: f64) -> f64 {
    t / 86_400.0 * std::f64::consts::TAU
}

/// Prior mass of one octave of time constants.
fn tau_mass(tau: f64) -> f64 {
    let density = if tau > TAU_KNEE {
        (TAU_KNEE / tau).powf(0.85)
    } else if tau < TAU_LOW {
        0.5
    } else {
        1.0
    };
    density * std::f64::consts::LN_2 / TAU_MASS
}

fn base_terms(floor: &Floor, setting: Setting) -> Vec<Term> {
    let first = floor.points.iter().fold(f64::INFINITY, |m, p| m.min(p.t));
    let days = (setting.now - first) / 86_400.0;
    if setting.load {
        vec![Term::Load]
    } else if days >= 2.0 && floor.block <= 3.0 * HOUR {
        let wave = |cycles, sine| Term::Wave { cycles, sine };
        vec![wave(1.0, false), wave(1.0, true), wave(2.0, false), wave(2.0, true)]
    } else {
        Vec::new()
    }
}

/// Candidate onsets in the live run, seconds before now, denser towards now.
pub(super) fn onset_grid(floor: &Floor, now: f64) -> Vec<f64> {
    let own = floor.bounds[floor.runs - 1]..;
    let live: Vec<f64> =
        floor.points[own].iter().rev().take_while(|p| p.t >= floor.live_first).map(|p| now - p.t).collect();
    if live.len() < 2 * HINGE_SIDE + 1 {
        return Vec::new();
    }
    let nearest = live[HINGE_SIDE - 1] + 0.5 * floor.block;
    let farthest = live[live.len() - HINGE_SIDE] - 0.5 * floor.block;
    if farthest <= nearest {
        return Vec::new();
    }
    let ratio = (farthest / nearest).ln();
    let count = ((ratio / 1.3_f64.ln()).ceil() as usize + 1).clamp(1, HINGES);
    let step = ratio / (count - 1).max(1) as f64;
    (0..count).map(|k| nearest * (step * k as f64).exp()).collect()
}
