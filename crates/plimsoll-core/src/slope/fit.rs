//! Weighs every candidate model against the floor: one pass of dot products per column, then a scalar (or
//! two by two) regression per model.

use super::floor::Floor;
use super::linalg::{Chol, MAX, dot, sum};
use super::models::{Design, Family, Model, Term};
use super::noise::{self, Noise};

/// Standard deviation of the floor that no fit is believed to go below, as a share of the scale.
const FINEST: f64 = 0.0008;
/// Standard deviation of a floor that is expected before any is seen, as a share of the scale.
const EXPECTED: f64 = 0.002;
/// Rounds of fitting: plain, then with robust weights.
const ROUNDS: usize = 2;
/// Weight of that expectation, in independent points.
const EXPECTED_WEIGHT: f64 = 1.0;

/// A model with its posterior weight.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scored {
    /// The model.
    pub(super) model: Model,
    /// Posterior weight; all sum to one.
    pub(super) weight: f64,
    /// Residual sum of squares, scaled units.
    pub(super) sse: f64,
}

/// The fitted models of one floor. Levels are in units of `scale`.
pub(super) struct Fit {
    /// Columns and base.
    pub(super) design: Design,
    /// Models with their weights, in order of the design.
    pub(super) scored: Vec<Scored>,
    /// Noise around the best model.
    pub(super) noise: Noise,
    /// Bytes per unit of level.
    pub(super) scale: f64,
    /// Residual of the newest points against the best model.
    pub(super) residual: f64,
    /// Residuals of all points against the best model.
    pub(super) residuals: Vec<f64>,
    sums: Sums,
}

/// Coefficients of one model: mean and factor of the precision matrix.
pub(super) struct Coefficients {
    /// Means: base terms, then level, then main.
    pub(super) mean: [f64; MAX],
    /// Factor of the Gram matrix.
    pub(super) chol: Chol,
    /// Number of coefficients.
    pub(super) count: usize,
    /// Variance of one observation, inflated by correlation.
    pub(super) variance: f64,
    /// Mean of the live run's floor.
    pub(super) origin: f64,
    /// Means of the columns over the live run.
    pub(super) centre: [f64; MAX],
    /// Sum of the weights of the live run.
    pub(super) mass: f64,
}

/// Weighted sums of the columns, centred within each run.
#[derive(Default)]
struct Sums {
    groups: usize,
    live: usize,
    mass: Vec<f64>,
    y_mean: Vec<f64>,
    yy: f64,
    base_mean: Vec<f64>,
    bb: [[f64; MAX]; MAX],
    by: [f64; MAX],
    col_mean: Vec<f64>,
    xx: Vec<f64>,
    xy: Vec<f64>,
    xb: Vec<[f64; MAX]>,
    weighted_base: Vec<f64>,
    wy: Vec<f64>,
    /// Cross products of the warm-ups with the columns of age, warm-up by warm-up.
    warm: Vec<f64>,
}

/// The part of a column that the base does not explain.
#[derive(Debug, Clone, Copy)]
struct Rest {
    xx: f64,
    xy: f64,
}

/// Fits all models: plain first, then with robust weights, adopting a warm-up when one shows.
pub(super) fn fit(floor: &Floor, mut design: Design, scale: f64) -> Option<Fit> {
    let n = floor.points.len();
    let y: Vec<f64> = floor.points.iter().map(|p| p.v / scale).collect();
    let mut weights = vec![1.0; n];
    let mut residuals = vec![0.0; n];
    let mut scratch = Vec::with_capacity(n);
    let mut sums = Sums::new(floor, &design);
    let mut noise =
        Noise { scale: FINEST, rho: 0.6, n_eff: (n as f64 / 4.0).max(3.0), inflation: 4.0, wander: 0.0 };
    for round in 0..ROUNDS {
        sums.compute(floor, &design, &y, &weights);
        if round == 0
            && let Some(c) = warm_up(&design, &sums, &noise)
        {
            design.adopt(c);
            sums.extend_base(floor, &design, &weights);
        }
        let scored = score(&design, &sums, &noise);
        let best = *scored.iter().max_by(|a, b| a.weight.total_cmp(&b.weight))?;
        let coefficients = coefficients(&design, &sums, &noise, &best)?;
        residuals_of(floor, &design, &sums, &coefficients, &best.model, &y, &mut residuals);
        let spread = noise::scale(&residuals, &mut scratch, FINEST);
        if round + 1 < ROUNDS {
            noise::weigh(&residuals, spread, &mut weights);
        }
        noise = noise::measure(floor, &residuals, &weights, spread);
    }
    let scored = score(&design, &sums, &noise);
    let tail = residuals.len().saturating_sub(3);
    let mut newest = residuals[tail..].to_vec();
    let residual = super::linalg::median(&mut newest);
    Some(Fit { design, scored, noise, scale, residual, residuals, sums })
}

impl Fit {
    /// Coefficients of one scored model.
    pub(super) fn coefficients(&self, s: &Scored) -> Option<Coefficients> {
        coefficients(&self.design, &self.sums, &self.noise, s)
    }
}

impl Sums {
    fn new(floor: &Floor, design: &Design) -> Sums {
        let (groups, columns) = (floor.runs.max(1), design.terms.len());
        Sums {
            groups,
            live: groups - 1,
            mass: vec![0.0; groups],
            y_mean: vec![0.0; groups],
            col_mean: vec![0.0; groups * columns],
            xx: vec![0.0; columns],
            xy: vec![0.0; columns],
            xb: vec![[0.0; MAX]; columns],
            warm: vec![0.0; design.warm.len() * design.aged],
            ..Sums::default()
        }
    }

    fn compute(&mut self, floor: &Floor, design: &Design, y: &[f64], weights: &[f64]) {
        let n = design.n;
        self.mass.fill(0.0);
        self.y_mean.fill(0.0);
        for ((p, w), v) in floor.points.iter().zip(weights).zip(y) {
            self.mass[p.run] += w;
            self.y_mean[p.run] += w * v;
        }
        self.y_mean.iter_mut().zip(&self.mass).for_each(|(m, w)| *m /= w.max(1e-12));
        self.wy.clear();
        let centred = floor.points.iter().zip(weights).zip(y);
        self.wy.extend(centred.map(|((p, w), v)| w * (v - self.y_mean[p.run])));
        self.yy = self.wy.iter().zip(weights).map(|(a, w)| a * a / w).sum();
        self.base(floor, design, weights, 0);
        let mut wx = vec![0.0; n];
        for c in 0..design.terms.len() {
            let from = design.from[c];
            let (x, w, wx) = (&design.column(c)[from..], &weights[from..], &mut wx[from..]);
            wx.iter_mut().zip(x).zip(w).for_each(|((o, x), w)| *o = x * w);
            let centre = self.centre(floor, wx, from, c);
            self.xx[c] = dot(wx, x) - centre;
            self.xy[c] = dot(&self.wy[from..], x);
        }
        self.base_cross(design, 0);
        self.warm_pairs(design, weights, &mut wx);
    }

    /// Takes in base columns that were added since the last pass.
    fn extend_base(&mut self, floor: &Floor, design: &Design, weights: &[f64]) {
        let before = self.weighted_base.len() / design.n;
        self.base(floor, design, weights, before);
        self.base_cross(design, before);
    }

    /// Cross products of all columns with the base columns from the given one on.
    fn base_cross(&mut self, design: &Design, first: usize) {
        let n = design.n;
        for c in 0..design.terms.len() {
            let from = design.from[c];
            let x = &design.column(c)[from..];
            for b in first..design.base.len() {
                self.xb[c][b] = dot(&self.weighted_base[b * n + from..(b + 1) * n], x);
            }
        }
    }

    /// Means of a column per run, given its weighted values from one point on; returns what centring takes
    /// from its square sum.
    fn centre(&mut self, floor: &Floor, wx: &[f64], from: usize, c: usize) -> f64 {
        let means = &mut self.col_mean[c * self.groups..(c + 1) * self.groups];
        let mut taken = 0.0;
        for ((m, w), bound) in means.iter_mut().zip(&self.mass).zip(floor.bounds.windows(2)) {
            let (a, b) = (bound[0].max(from) - from, bound[1].max(from) - from);
            *m = sum(&wx[a..b]) / w.max(1e-12);
            taken += *m * *m * w;
        }
        taken
    }

    fn base(&mut self, floor: &Floor, design: &Design, weights: &[f64], first: usize) {
        let (n, nb) = (design.n, design.base.len());
        self.weighted_base.resize(nb * n, 0.0);
        self.base_mean.resize(nb * self.groups, 0.0);
        for b in first..nb {
            let x = design.base_column(b);
            let means = &mut self.base_mean[b * self.groups..(b + 1) * self.groups];
            means.fill(0.0);
            for ((p, w), v) in floor.points.iter().zip(weights).zip(x) {
                means[p.run] += w * v / self.mass[p.run];
            }
            let out = &mut self.weighted_base[b * n..(b + 1) * n];
            for (((o, p), w), v) in out.iter_mut().zip(&floor.points).zip(weights).zip(x) {
                *o = w * (v - means[p.run]);
            }
        }
        for b in first..nb {
            let wb = &self.weighted_base[b * n..(b + 1) * n];
            self.by[b] = dot(&self.wy, design.base_column(b));
            for a in 0..=b {
                self.bb[b][a] = dot(wb, design.base_column(a));
                self.bb[a][b] = self.bb[b][a];
            }
        }
    }

    /// Cross products of the warm-ups with the slower movements.
    fn warm_pairs(&mut self, design: &Design, weights: &[f64], wx: &mut [f64]) {
        let g = self.groups;
        for (k, &w) in design.warm.iter().enumerate() {
            wx.iter_mut().zip(design.column(w)).zip(weights).for_each(|((o, x), w)| *o = x * w);
            for c in 0..design.aged {
                let (mw, mc) = (&self.col_mean[w * g..(w + 1) * g], &self.col_mean[c * g..(c + 1) * g]);
                let centre: f64 = mw.iter().zip(mc).zip(&self.mass).map(|((x, z), m)| x * z * m).sum();
                self.warm[k * design.aged + c] = dot(wx, design.column(c)) - centre;
            }
        }
    }

    fn warm_cross(&self, design: &Design, warm: usize, c: usize) -> f64 {
        let k = design.warm.iter().position(|w| *w == warm).unwrap_or(0);
        self.warm[k * design.aged + c]
    }

    /// Cross product of the two columns of a model. What begins with a step vanishes before it; columns of different
    /// versions never meet.
    fn pair(&self, design: &Design, level: usize, main: usize) -> f64 {
        match design.terms[level] {
            Term::Step { .. } => {}
            Term::Saturating { .. } => return self.warm_cross(design, level, main),
            _ => return 0.0,
        }
        let g = self.groups;
        let (ms, mr) = (&self.col_mean[level * g..(level + 1) * g], &self.col_mean[main * g..(main + 1) * g]);
        ms.iter().zip(mr).zip(&self.mass).map(|((s, r), w)| r * w * (1.0 - s)).sum()
    }
}

/// Posterior weights of all models under the given noise.
fn score(design: &Design, sums: &Sums, noise: &Noise) -> Vec<Scored> {
    let nb = design.base.len();
    let n = design.n as f64;
    let ridge = (noise.scale * noise.scale).max(FINEST * FINEST);
    let Some(chol) = base_factor(sums, nb, ridge) else { return Vec::new() };
    let zy = chol.forward(&sums.by);
    let yy = (sums.yy - dot(&zy[..nb], &zy[..nb])).max(0.0);
    let rests: Vec<(Rest, [f64; MAX])> = (0..design.terms.len())
        .map(|c| {
            let z = chol.forward(&sums.xb[c]);
            (Rest { xx: sums.xx[c] - dot(&z[..nb], &z[..nb]), xy: sums.xy[c] - dot(&z[..nb], &zy[..nb]) }, z)
        })
        .collect();
    let mut out = Vec::with_capacity(design.models.len());
    for model in &design.models {
        let (gain, count, negative) = match (model.level, model.main) {
            (_, None) => (0.0, 0, false),
            (None, Some(c)) => {
                let r = &rests[c].0;
                if r.xx <= 1e-9 * (sums.xx[c].abs() + 1e-12) || r.xx < 1e-9 {
                    continue;
                }
                (r.xy * r.xy / (r.xx + ridge), 1, r.xy < 0.0)
            }
            (Some(a), Some(c)) => {
                let ((ra, za), (rc, zc)) = (&rests[a], &rests[c]);
                let cross = sums.pair(design, a, c) - dot(&za[..nb], &zc[..nb]);
                let (xa, xc) = (ra.xx + ridge, rc.xx + ridge);
                let det = xa * xc - cross * cross;
                if ra.xx < 1e-9 || rc.xx < 1e-9 || det <= 1e-9 * xa * xc {
                    continue;
                }
                let (ba, bc) = ((ra.xy * xc - rc.xy * cross) / det, (rc.xy * xa - ra.xy * cross) / det);
                (ba * ra.xy + bc * rc.xy, 2, bc < 0.0 || (ba < 0.0 && a < design.aged))
            }
        };
        let sse = (yy - gain).max(0.0) + n * FINEST * FINEST;
        let parameters = (nb + count) as f64;
        if parameters + 2.0 > n {
            continue;
        }
        let spread =
            (noise.n_eff * sse / n + EXPECTED_WEIGHT * EXPECTED * EXPECTED) / (noise.n_eff + EXPECTED_WEIGHT);
        let bic = (noise.n_eff + EXPECTED_WEIGHT) * spread.ln() + parameters * (noise.n_eff + 1.0).ln();
        let rising = matches!(model.family, Family::Saturating | Family::Plateau)
            || model.level.is_some_and(|c| c < design.aged);
        let sign = if negative && rising { 0.05 } else { 1.0 };
        out.push(Scored { model: *model, weight: -0.5 * bic + (model.prior * sign).max(1e-300).ln(), sse });
    }
    normalise(&mut out);
    out
}

fn normalise(scored: &mut [Scored]) {
    let top = scored.iter().fold(f64::NEG_INFINITY, |m, s| m.max(s.weight));
    let mut sum = 0.0;
    for s in scored.iter_mut() {
        s.weight = (s.weight - top).exp();
        sum += s.weight;
    }
    scored.iter_mut().for_each(|s| s.weight /= sum);
}

fn base_factor(sums: &Sums, nb: usize, ridge: f64) -> Option<Chol> {
    let mut m = sums.bb;
    for (b, row) in m.iter_mut().enumerate().take(nb) {
        row[b] += ridge + 1e-9;
    }
    Chol::new(&m, nb)
}

/// The warm-up that helps the most beside any slower movement, when it is worth its parameter.
fn warm_up(design: &Design, sums: &Sums, noise: &Noise) -> Option<usize> {
    let nb = design.base.len();
    let ridge = FINEST * FINEST;
    let chol = base_factor(sums, nb, ridge)?;
    let zy = chol.forward(&sums.by);
    let z: Vec<[f64; MAX]> = sums.xb.iter().map(|x| chol.forward(x)).collect();
    let rest = |c: usize| Rest {
        xx: sums.xx[c] - dot(&z[c][..nb], &z[c][..nb]) + ridge,
        xy: sums.xy[c] - dot(&z[c][..nb], &zy[..nb]),
    };
    let yy = (sums.yy - dot(&zy[..nb], &zy[..nb])).max(0.0);
    let alone = design.models.iter().filter_map(|m| m.main.filter(|_| m.level.is_none()));
    let best = alone
        .map(|c| {
            let r = rest(c);
            r.xy * r.xy / r.xx
        })
        .fold(0.0, f64::max);
    let n = design.n as f64;
    let cost = |gain: f64| noise.n_eff * (((yy - gain).max(0.0) + n * FINEST * FINEST) / n).ln();
    let mut found = (cost(best) - (noise.n_eff + 1.0).ln(), None);
    let partners: Vec<usize> = partners(design);
    for &w in &design.warm {
        let rw = rest(w);
        for &c in partners.iter().filter(|c| !design.warm.contains(c)) {
            let rc = rest(c);
            let cross = sums.warm_cross(design, w, c) - dot(&z[w][..nb], &z[c][..nb]);
            let det = rw.xx * rc.xx - cross * cross;
            if det <= 1e-6 * rw.xx * rc.xx {
                continue;
            }
            let bw = (rw.xy * rc.xx - rc.xy * cross) / det;
            let bc = (rc.xy * rw.xx - rw.xy * cross) / det;
            let total = cost(bw * rw.xy + bc * rc.xy);
            if bw > 0.0 && total < found.0 {
                found = (total, Some(w));
            }
        }
    }
    found.1
}

/// Slow movements beside which a warm-up is sought.
fn partners(design: &Design) -> Vec<usize> {
    let alone = design.models.iter().filter(|m| m.level.is_none());
    alone.filter_map(|m| m.main).filter(|c| *c < design.aged).collect()
}

/// Columns of a model in the order of its coefficients, beyond the base.
fn own_columns(model: &Model) -> impl Iterator<Item = usize> {
    model.level.into_iter().chain(model.main)
}

fn coefficients(design: &Design, sums: &Sums, noise: &Noise, s: &Scored) -> Option<Coefficients> {
    let (nb, g) = (design.base.len(), sums.groups);
    let ridge = (noise.scale * noise.scale).max(FINEST * FINEST);
    let (mut m, mut rhs, mut centre) = (sums.bb, sums.by, [0.0; MAX]);
    for (b, c) in centre.iter_mut().enumerate().take(nb) {
        *c = sums.base_mean[b * g + sums.live];
    }
    let mut count = nb;
    for c in own_columns(&s.model) {
        m[count][..nb].copy_from_slice(&sums.xb[c][..nb]);
        for (row, x) in m.iter_mut().zip(&sums.xb[c][..nb]) {
            row[count] = *x;
        }
        if count > nb
            && let Some(step) = s.model.level
        {
            m[count][nb] = sums.pair(design, step, c);
            m[nb][count] = m[count][nb];
        }
        m[count][count] = sums.xx[c];
        rhs[count] = sums.xy[c];
        centre[count] = sums.col_mean[c * g + sums.live];
        count += 1;
    }
    for (k, row) in m.iter_mut().enumerate().take(count) {
        row[k] += ridge + 1e-9;
    }
    let chol = Chol::new(&m, count)?;
    let freedom = (noise.n_eff - count as f64).max(1.0);
    let variance = s.sse / (design.n as f64) * noise.inflation * (noise.n_eff / freedom);
    Some(Coefficients {
        mean: chol.solve(&rhs),
        chol,
        count,
        variance,
        origin: sums.y_mean[sums.live],
        centre,
        mass: sums.mass[sums.live].max(1.0),
    })
}

fn residuals_of(
    floor: &Floor,
    design: &Design,
    sums: &Sums,
    c: &Coefficients,
    model: &Model,
    y: &[f64],
    out: &mut [f64],
) {
    let g = sums.groups;
    for ((o, p), v) in out.iter_mut().zip(&floor.points).zip(y) {
        *o = v - sums.y_mean[p.run];
    }
    let mut subtract = |x: &[f64], means: &[f64], beta: f64| {
        for ((o, p), v) in out.iter_mut().zip(&floor.points).zip(x) {
            *o -= beta * (v - means[p.run]);
        }
    };
    for b in 0..design.base.len() {
        subtract(design.base_column(b), &sums.base_mean[b * g..(b + 1) * g], c.mean[b]);
    }
    for (k, col) in own_columns(model).enumerate() {
        let means = &sums.col_mean[col * g..(col + 1) * g];
        subtract(design.column(col), means, c.mean[design.base.len() + k]);
    }
}
