//! How well the runs fit when some of them hold the change and the others do not.
//!
//! Verdicts: how often a version without the change is called bad, and one with it good, is not known; both rates have a
//! beta distribution beforehand. Slopes: each side has a level that is not known, and runs of one version differ by more than
//! their error says, by an amount that is not known either; what does not leak mostly does not grow at all, so the level
//! without the change is none, or it is like any other. All is integrated out over grids: those of the levels lie where a
//! first pass, run by run, says that the levels are. A run may be a stray that tells nothing: that bounds what one run
//! alone can claim.

use super::{Evidence, Run};
use crate::slope::linalg::median;

/// How firmly the usual error of a verdict is believed beforehand, in runs.
const FIRM: f64 = 30.0;
/// Share of runs that are strays: half of them look like the other side (another version was run, the load did not come),
/// half like nothing.
const STRAYS: f64 = 0.02;
/// A level lies about this many spans of what was measured from their middle, beforehand.
const WIDE: f64 = 1.0;
/// Or, without the change, so many errors of a run from none: mostly what does not leak does not grow at all. How likely
/// that is beforehand.
const STILL: f64 = 1.0 / 3.0;
const STANDS: f64 = 0.5;
/// Differences between runs of one version, in spans of all that was measured.
const SPREADS: [f64; 6] = [0.0, 1.0 / 32.0, 1.0 / 16.0, 1.0 / 8.0, 1.0 / 4.0, 1.0 / 2.0];
/// How likely each of them is beforehand: errors are told by who measured.
const LIKELY: [f64; 6] = [0.85, 0.05, 0.04, 0.03, 0.02, 0.01];
/// Where and how heavily a normal distribution is looked at, in its deviations.
const NODES: [(f64, f64); 3] = [(-1.732_050_8, 1.0 / 6.0), (0.0, 2.0 / 3.0), (1.732_050_8, 1.0 / 6.0)];
/// Places at which a level is looked at, and how far apart they stand, in deviations of what the first pass says.
const PLACES: usize = 11;
const APART: f64 = 0.75;
/// So many runs are taken in before what they leave is scaled: their product must not vanish.
const SCALED: usize = 8;
/// Ways to explain the slopes with less than this share of what is believed take no part in what is foreseen.
const FAINT: f64 = 0.01;

/// Whether a run holds the change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Without,
    With,
    /// There is no difference between the two.
    Same,
}

/// The level of one side as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Level {
    pub(super) mean: f64,
    /// Square of its error.
    variance: f64,
}

impl Level {
    pub(super) fn error(self) -> f64 {
        self.variance.sqrt()
    }

    /// How likely a run with this deviation is to give this value.
    fn density(self, value: f64, own: f64) -> f64 {
        normal(value - self.mean, self.variance + own * own)
    }

    /// As far as a run is no stray, it tells of the level.
    fn take(&mut self, value: f64, own: f64, stray: f64) {
        let usual = (1.0 - STRAYS) * self.density(value, own);
        let told = usual / (usual + stray) / (own * own);
        let precision = self.variance.recip() + told;
        self.mean = (self.mean / self.variance + value * told) / precision;
        self.variance = precision.recip();
    }

    /// Where it is looked at.
    fn places(self) -> [f64; PLACES] {
        let step = APART * self.error();
        std::array::from_fn(|k| self.mean + (k as f64 - (PLACES / 2) as f64) * step)
    }
}

fn normal(off: f64, variance: f64) -> f64 {
    (-off * off / (2.0 * variance)).exp() / (std::f64::consts::TAU * variance).sqrt()
}

/// What all runs have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    /// Usual error of a verdict beforehand.
    wrong: f64,
    middle: f64,
    span: f64,
    /// Usual error of a slope; `None` where none was measured.
    error: Option<f64>,
}

impl Scale {
    pub(super) fn of(runs: &[Run], wrong: f64) -> Scale {
        let slope = |r: &Run| match r.evidence {
            Evidence::Slope { value, error } => Some((value, error)),
            Evidence::Verdict { .. } | Evidence::Nothing => None,
        };
        let (values, mut errors): (Vec<f64>, Vec<f64>) = runs.iter().filter_map(slope).unzip();
        if values.is_empty() {
            return Scale { wrong, middle: 0.0, span: 1.0, error: None };
        }
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let error = median(&mut errors);
        let span = (high - low).max(error).max(1e-9 * high.abs().max(low.abs())).max(1e-100);
        Scale { wrong, middle: f64::midpoint(low, high), span, error: Some(error) }
    }

    /// What is thought of both levels beforehand, with how likely that is: the one without the change is none, or like the other.
    fn priors(&self) -> [([Level; 2], f64); 2] {
        let any = Level { mean: self.middle, variance: (WIDE * self.span).powi(2) };
        let still = (STILL * self.error.unwrap_or(self.span)).max(1e-9 * self.span);
        let none = Level { mean: 0.0, variance: still.powi(2) };
        [([any; 2], 1.0 - STANDS), ([none, any], STANDS)]
    }

    /// How likely a stray that looks like nothing is to give a value.
    fn anywhere(&self) -> f64 {
        1.0 / (2.0 * self.span)
    }
}

/// One way to explain the slopes.
#[derive(Debug, Clone, Copy)]
struct Way {
    /// Difference between runs of one version, in spans.
    spread: f64,
    levels: [Level; 2],
    /// Its share of what is believed; before that, the logarithm of how well it fits.
    share: f64,
}

/// How well runs fit, for one way to take sides.
#[derive(Debug, Clone)]
pub(super) struct Fit {
    /// Bad and good verdicts: without the change, with it, and where there is no difference.
    verdicts: [[f64; 2]; 3],
    ways: Vec<Way>,
    log: f64,
}

/// One measured run on its side.
struct Told {
    value: f64,
    error: f64,
    side: Side,
}

impl Fit {
    pub(super) fn of(scale: &Scale, runs: &[Run], side: &dyn Fn(&Run) -> Side) -> Fit {
        let (wrong, right) = (FIRM * scale.wrong, FIRM * (1.0 - scale.wrong));
        let verdicts = [[wrong, right], [right, wrong], [1.0, 1.0]];
        let mut fit = Fit { verdicts, ways: Vec::new(), log: 0.0 };
        let mut told = Vec::with_capacity(runs.len());
        for run in runs {
            let side = side(run);
            match run.evidence {
                Evidence::Verdict { bad } => {
                    fit.log += fit.p_verdict(bad, side).ln();
                    fit.verdicts[side as usize][usize::from(!bad)] += 1.0;
                }
                Evidence::Slope { value, error } => told.push(Told { value, error, side }),
                Evidence::Nothing => {}
            }
        }
        if !told.is_empty() {
            fit.explain(scale, &told);
        }
        fit
    }

    /// Every spread with every prior of the levels.
    fn explain(&mut self, scale: &Scale, told: &[Told]) {
        let way = |spread: f64, likely: f64, (prior, share): ([Level; 2], f64)| {
            let (log, levels) = integrate(scale, told, spread, prior);
            Way { spread, levels, share: (likely * share).ln() + log }
        };
        let spreads = SPREADS.into_iter().zip(LIKELY);
        let priors = scale.priors();
        self.ways =
            spreads.flat_map(|(spread, likely)| priors.map(|prior| way(spread, likely, prior))).collect();
        let best = self.ways.iter().map(|w| w.share).fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = self.ways.iter().map(|w| (w.share - best).exp()).sum();
        self.ways.iter_mut().for_each(|w| w.share = (w.share - best).exp() / sum);
        self.log += best + sum.ln();
    }

    fn p_verdict(&self, bad: bool, side: Side) -> f64 {
        let [bads, goods] = self.verdicts[side as usize];
        (if bad { bads } else { goods }) / (bads + goods)
    }

    /// The logarithm of how well all runs fit.
    pub(super) fn log(&self) -> f64 {
        self.log
    }

    fn best(&self) -> Option<&Way> {
        self.ways.iter().max_by(|a, b| a.share.total_cmp(&b.share))
    }

    /// Both levels, by what explains the slopes best; `None` where none was measured.
    pub(super) fn levels(&self) -> Option<[Level; 2]> {
        self.best().map(|way| way.levels)
    }

    /// How likely one more run on this side is to tell this.
    pub(super) fn foresees(&self, scale: &Scale, evidence: Evidence, side: Side) -> f64 {
        let Evidence::Slope { value, error } = evidence else {
            let Evidence::Verdict { bad } = evidence else { return 1.0 };
            return self.p_verdict(bad, side);
        };
        let (at, other) = sides(side);
        let by = |way: &Way| {
            let own = own(scale, error, way.spread);
            let [usual, stray] = [at, other].map(|k| way.levels[k].density(value, own));
            way.share * ((1.0 - STRAYS) * usual + 0.5 * STRAYS * (stray + scale.anywhere()))
        };
        self.ways.iter().filter(|way| way.share > FAINT).map(by).sum()
    }

    /// What one more run may tell on this side, and how likely.
    pub(super) fn outcomes(&self, scale: &Scale, side: Side) -> Vec<(Evidence, f64)> {
        let (Some(error), Some(way)) = (scale.error, self.best()) else {
            return [true, false].map(|bad| (Evidence::Verdict { bad }, self.p_verdict(bad, side))).to_vec();
        };
        let level = way.levels[sides(side).0];
        let wide = level.error().hypot(own(scale, error, way.spread));
        NODES.map(|(at, weight)| (Evidence::Slope { value: level.mean + at * wide, error }, weight)).to_vec()
    }
}

/// Which level a run on this side shows, and which one it shows as a stray.
fn sides(side: Side) -> (usize, usize) {
    match side {
        Side::Without => (0, 1),
        Side::With => (1, 0),
        Side::Same => (0, 0),
    }
}

/// The deviation of one run from its level: nothing is measured without any error.
fn own(scale: &Scale, error: f64, spread: f64) -> f64 {
    error.hypot(spread * scale.span).max(1e-6 * scale.span)
}

/// About where the levels are, run by run.
fn first_pass(scale: &Scale, told: &[Told], spread: f64, prior: [Level; 2]) -> [Level; 2] {
    let mut levels = prior;
    for run in told {
        let (at, other) = sides(run.side);
        let own = own(scale, run.error, spread);
        let stray = 0.5 * STRAYS * (levels[other].density(run.value, own) + scale.anywhere());
        levels[at].take(run.value, own, stray);
    }
    levels
}

/// What is believed of both levels, at the places where each is looked at.
struct Grid {
    places: [[f64; PLACES]; 2],
    cells: [[f64; PLACES]; PLACES],
    log: f64,
}

impl Grid {
    /// What was thought beforehand, about the places of the first pass.
    fn new(about: [Level; 2], prior: [Level; 2], is_same: bool) -> Grid {
        let places = about.map(Level::places);
        let [wide, high] = about.map(|level| APART * level.error());
        let before = |k: usize| places[k].map(|p| normal(p - prior[k].mean, prior[k].variance));
        let (without, with) = (before(0), before(1));
        let cell = |i: usize, j: usize| {
            // The change makes the number larger; the other half of what was thought goes to those that do.
            let above = (0.5 + (places[1][j] - places[0][i]) / (wide + high)).clamp(0.0, 1.0);
            without[i] * with[j] * wide * high * if is_same { 1.0 } else { 2.0 * above }
        };
        let cells = std::array::from_fn(|i| std::array::from_fn(|j| cell(i, j)));
        Grid { places, cells, log: 0.0 }
    }

    fn take(&mut self, scale: &Scale, run: &Told, own: f64) {
        // By the span, which is the same for all: no amount is too small or too large for a product of several.
        let likely = |p: f64| scale.span * normal(run.value - p, own * own);
        let [a, b] = self.places.map(|places| places.map(likely));
        let (usual, stray) = (1.0 - STRAYS, 0.5 * STRAYS);
        let [without, with] = match run.side {
            Side::Without => [usual, stray],
            Side::With => [stray, usual],
            Side::Same => [usual + stray, 0.0],
        };
        for (row, a) in self.cells.iter_mut().zip(a) {
            let first = without * a + stray * scale.span * scale.anywhere();
            row.iter_mut().zip(b).for_each(|(cell, b)| *cell *= first + with * b);
        }
    }

    fn rescale(&mut self) {
        let most = self.cells.iter().flatten().copied().fold(f64::MIN_POSITIVE, f64::max);
        self.log += most.ln();
        self.cells.iter_mut().flatten().for_each(|cell| *cell /= most);
    }

    /// The logarithm of all that is left, and both levels.
    fn told(&self, scale: &Scale) -> (f64, [Level; 2]) {
        let rows: [f64; PLACES] = std::array::from_fn(|k| self.cells[k].iter().sum());
        let columns: [f64; PLACES] = std::array::from_fn(|k| self.cells.iter().map(|row| row[k]).sum());
        let total = rows.iter().sum::<f64>().max(f64::MIN_POSITIVE);
        let level = |weights: [f64; PLACES], places: [f64; PLACES]| {
            let mean = weights.iter().zip(places).map(|(w, p)| w * p).sum::<f64>() / total;
            let square = weights.iter().zip(places).map(|(w, p)| w * (p - mean).powi(2)).sum::<f64>() / total;
            Level { mean, variance: square.max((1e-9 * scale.span).powi(2)) }
        };
        (self.log + total.ln(), [level(rows, self.places[0]), level(columns, self.places[1])])
    }
}

/// The logarithm of how likely all that was measured is with this spread, and both levels after it.
fn integrate(scale: &Scale, told: &[Told], spread: f64, prior: [Level; 2]) -> (f64, [Level; 2]) {
    let is_same = told.iter().any(|run| run.side == Side::Same);
    let mut grid = Grid::new(first_pass(scale, told, spread, prior), prior, is_same);
    for some in told.chunks(SCALED) {
        some.iter().for_each(|run| grid.take(scale, run, own(scale, run.error, spread)));
        grid.rescale();
    }
    grid.told(scale)
}
