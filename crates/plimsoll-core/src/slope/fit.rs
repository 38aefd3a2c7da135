//! Weighs every candidate model against the floor: one pass of dot products per column, then a scalar (or
//! two by two) regression per model.

use super::floor::Floor;
use super::linalg::{Chol, MAX, dot, dots, inner, moments};
use super::models::{Design, Family, Model, Onset, Term, WARM};
use super::noise::{self, Noise};

/// Standard deviation of the floor that no fit is believed to go below, as a share of the scale.
const FINEST: f64 = 0.0008;
/// Standard deviation of a floor that is expected before any is seen, as a share of the scale.
const EXPECTED: f64 = 0.002;
/// Something may have begun where step and ramp explain so many times what one independent point would by chance.
const BEGUN: f64 = 4.0;
/// Rounds of fitting: plain, then with robust weights.
const ROUNDS: usize = 2;
/// Logarithm of what is left of the prior of a shape that should rise and falls: 0.05.
const FALLING: f64 = -2.995_732_273_553_991;
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
    /// Factor of the base.
    base: Chol,
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
    /// Variance of that mean, which no other run tells of.
    pub(super) origin_variance: f64,
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
    /// The part that it does, in the coordinates of the base's factor.
    base: [f64; MAX],
}

/// What is left of floor and columns when the base has explained its part.
#[derive(Default)]
struct Rests {
    /// Factor of the base.
    base: Chol,
    nb: usize,
    /// What draws coefficients towards zero.
    ridge: f64,
    yy: f64,
    /// The floor's part that the base explains, in the coordinates of its factor.
    floor: [f64; MAX],
    columns: Vec<Rest>,
}

/// Fits all models: plain first, then with robust weights, adopting a warm-up when one shows.
pub(super) fn fit(floor: &Floor, mut design: Design, scale: f64) -> Option<Fit> {
    let n = floor.points.len();
    let y: Vec<f64> = floor.points.iter().map(|p| p.v / scale).collect();
    let mut weights = vec![1.0; n];
    let mut residuals = vec![0.0; n];
    let mut scratch = Vec::with_capacity(n);
    let mut sums = Sums::new(floor, &design);
    let mut noise = Noise {
        scale: FINEST,
        rho: 0.6,
        n_eff: (n as f64 / 4.0).max(3.0),
        inflation: 4.0,
        alone: 4.0,
        wander: 0.0,
    };
    let mut rests = Rests::default();
    for round in 0..ROUNDS {
        sums.compute(floor, &design, (&y, &weights));
        rests = Rests::new(&design, &sums, &noise)?;
        // The first round is only to show which points stand out: there a plateau is nearly a step and a ramp.
        if round + 1 == ROUNDS {
            for onset in begun(&design, &sums, &rests, &noise) {
                design.add_plateaus(floor, onset);
            }
            sums.extend(floor, &design, &weights);
            rests.extend(&sums);
        }
        if round == 0
            && let Some(c) = warm_up(&design, &sums, &rests, &noise)
        {
            design.adopt(c);
            sums.extend_base(floor, &design, &weights);
            rests = Rests::new(&design, &sums, &noise)?;
        }
        let best = best(&design, &sums, &rests, &noise)?;
        let coefficients = coefficients(&design, &sums, &rests.base, &noise, &best)?;
        residuals_of(floor, &design, &sums, &coefficients, &best.model, &y, &mut residuals);
        let spread = noise::scale(&residuals, &mut scratch, FINEST);
        if round + 1 < ROUNDS {
            noise::weigh(&residuals, spread, &mut weights);
        }
        noise = noise::measure(floor, &residuals, &weights, spread);
    }
    // What the base explains hardly depends on the noise: only what draws the other columns does.
    let rests = Rests { ridge: ridge(&noise), ..rests };
    let scored = score(&design, &sums, &rests, &noise);
    let tail = residuals.len().saturating_sub(3);
    let mut newest = residuals[tail..].to_vec();
    let residual = super::linalg::median(&mut newest);
    Some(Fit { design, scored, noise, scale, residual, residuals, sums, base: rests.base })
}

impl Fit {
    /// Coefficients of one scored model.
    pub(super) fn coefficients(&self, s: &Scored) -> Option<Coefficients> {
        coefficients(&self.design, &self.sums, &self.base, &self.noise, s)
    }
}

impl Sums {
    fn new(floor: &Floor, design: &Design) -> Sums {
        let groups = floor.runs.max(1);
        Sums {
            groups,
            live: groups - 1,
            mass: vec![0.0; groups],
            y_mean: vec![0.0; groups],
            warm: vec![0.0; design.warm.len() * design.aged],
            ..Sums::default()
        }
    }

    /// Sums of all columns that there are.
    fn compute(&mut self, floor: &Floor, design: &Design, (y, weights): (&[f64], &[f64])) {
        self.wy.clear();
        for (run, bound) in floor.bounds.windows(2).enumerate() {
            let (weights, y) = (&weights[bound[0]..bound[1]], &y[bound[0]..bound[1]]);
            let (mass, sum) =
                weights.iter().zip(y).fold((0.0, 0.0), |(mass, sum), (w, v)| (mass + w, sum + w * v));
            let mean = sum / mass.max(1e-12);
            (self.mass[run], self.y_mean[run]) = (mass, mean);
            self.wy.extend(weights.iter().zip(y).map(|(w, v)| w * (v - mean)));
        }
        self.yy = self.wy.iter().zip(weights).map(|(a, w)| a * a / w).sum();
        self.base(floor, design, weights, 0);
        self.xx.clear();
        self.extend(floor, design, weights);
        self.warm_pairs(design, weights);
    }

    /// Takes in columns that were added since.
    fn extend(&mut self, floor: &Floor, design: &Design, weights: &[f64]) {
        let (first, last) = (self.xx.len(), design.terms.len());
        self.col_mean.resize(last * self.groups, 0.0);
        self.xx.resize(last, 0.0);
        self.xy.resize(last, 0.0);
        self.xb.resize(last, [0.0; MAX]);
        for c in first..last {
            let from = design.from[c];
            let (x, w) = (&design.column(c)[from..], &weights[from..]);
            let [sum, xx, xy] = moments(w, &self.wy[from..], x);
            let centre = self.centre(floor, (w, x, sum), from, c);
            (self.xx[c], self.xy[c]) = (xx - centre, xy);
        }
        self.base_cross(design, 0, first..last);
    }

    /// Takes in base columns that were added since the last pass.
    fn extend_base(&mut self, floor: &Floor, design: &Design, weights: &[f64]) {
        let before = self.weighted_base.len() / design.n;
        self.base(floor, design, weights, before);
        self.base_cross(design, before, 0..design.terms.len());
    }

    /// Cross products of columns with the base columns from the given one on.
    fn base_cross(&mut self, design: &Design, first: usize, columns: std::ops::Range<usize>) {
        let n = design.n;
        let last = design.base.len();
        for c in columns {
            let from = design.from[c];
            let x = &design.column(c)[from..];
            let base = |b: usize| &self.weighted_base[b * n + from..(b + 1) * n];
            let mut b = first;
            if b + 4 <= last {
                let four = dots([base(b), base(b + 1), base(b + 2), base(b + 3)], x);
                self.xb[c][b..b + 4].copy_from_slice(&four);
                b += 4;
            }
            for b in b..last {
                self.xb[c][b] = dot(base(b), x);
            }
        }
    }

    /// Means of a column per run, given weights, values and weighted sum from one point on; returns what centring takes
    /// from its square sum.
    fn centre(
        &mut self,
        floor: &Floor,
        (weights, x, sum): (&[f64], &[f64], f64),
        from: usize,
        c: usize,
    ) -> f64 {
        let is_one = self.groups == 1;
        let means = &mut self.col_mean[c * self.groups..(c + 1) * self.groups];
        let mut taken = 0.0;
        for ((m, w), bound) in means.iter_mut().zip(&self.mass).zip(floor.bounds.windows(2)) {
            let (a, b) = (bound[0].max(from) - from, bound[1].max(from) - from);
            let sum = if is_one { sum } else { dot(&weights[a..b], &x[a..b]) };
            *m = sum / w.max(1e-12);
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
            let out = &mut self.weighted_base[b * n..(b + 1) * n];
            for ((mean, mass), bound) in means.iter_mut().zip(&self.mass).zip(floor.bounds.windows(2)) {
                let of = bound[0]..bound[1];
                let (weights, x) = (&weights[of.clone()], &x[of.clone()]);
                *mean = weights.iter().zip(x).fold(0.0, |sum, (w, v)| sum + w * v / mass);
                for ((o, w), v) in out[of].iter_mut().zip(weights).zip(x) {
                    *o = w * (v - *mean);
                }
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
    fn warm_pairs(&mut self, design: &Design, weights: &[f64]) {
        let g = self.groups;
        let weighted = |w: &usize| design.column(*w).iter().zip(weights).map(|(x, w)| x * w).collect();
        let warm: Vec<Vec<f64>> = design.warm.iter().map(weighted).collect();
        for c in 0..design.aged {
            let x = design.column(c);
            let mut products = [0.0; WARM];
            if let [a, b, c] = &warm[..] {
                products = dots([a, b, c], x);
            } else {
                products.iter_mut().zip(&warm).for_each(|(p, w)| *p = dot(w, x));
            }
            for (k, (&w, product)) in design.warm.iter().zip(products).enumerate() {
                let (mw, mc) = (&self.col_mean[w * g..(w + 1) * g], &self.col_mean[c * g..(c + 1) * g]);
                let centre: f64 = mw.iter().zip(mc).zip(&self.mass).map(|((x, z), m)| x * z * m).sum();
                self.warm[k * design.aged + c] = product - centre;
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

impl Rests {
    /// Takes out the base under the given noise; nothing where the base itself is not determined.
    fn new(design: &Design, sums: &Sums, noise: &Noise) -> Option<Rests> {
        let nb = design.base.len();
        let ridge = ridge(noise);
        let base = base_factor(sums, nb, ridge)?;
        let zy = base.forward(&sums.by);
        let yy = (sums.yy - inner(&zy, &zy, nb)).max(0.0);
        let columns = Vec::with_capacity(design.terms.len());
        let mut rests = Rests { base, nb, ridge, yy, floor: zy, columns };
        rests.extend(sums);
        Some(rests)
    }

    /// Takes in columns that were added since.
    fn extend(&mut self, sums: &Sums) {
        let nb = self.nb;
        for c in self.columns.len()..sums.xx.len() {
            let z = self.base.forward(&sums.xb[c]);
            let (xx, xy) = (inner(&z, &z, nb), inner(&z, &self.floor, nb));
            self.columns.push(Rest { xx: sums.xx[c] - xx, xy: sums.xy[c] - xy, base: z });
        }
    }

    /// What two columns share beyond the base, given what they share with it.
    fn cross(&self, shared: f64, a: &Rest, b: &Rest) -> f64 {
        shared - inner(&a.base, &b.base, self.nb)
    }
}

/// What a model gains over the base.
struct Gain {
    /// The drop of the residual square sum.
    sse: f64,
    columns: usize,
    /// Whether what should rise falls.
    negative: bool,
}

/// Gain of one model; nothing where its columns are not determined.
fn gain(design: &Design, sums: &Sums, rests: &Rests, model: &Model) -> Option<Gain> {
    match (model.level, model.main) {
        (_, None) => Some(Gain { sse: 0.0, columns: 0, negative: false }),
        (None, Some(c)) => {
            let r = &rests.columns[c];
            if r.xx <= 1e-9 * (sums.xx[c].abs() + 1e-12) || r.xx < 1e-9 {
                return None;
            }
            Some(Gain { sse: r.xy * r.xy / (r.xx + rests.ridge), columns: 1, negative: r.xy < 0.0 })
        }
        (Some(a), Some(c)) => {
            let (ra, rc) = (&rests.columns[a], &rests.columns[c]);
            let cross = rests.cross(sums.pair(design, a, c), ra, rc);
            let (xa, xc) = (ra.xx + rests.ridge, rc.xx + rests.ridge);
            let det = xa * xc - cross * cross;
            if ra.xx < 1e-9 || rc.xx < 1e-9 || det <= 1e-9 * xa * xc {
                return None;
            }
            // Both coefficients, times the determinant.
            let (ba, bc) = (ra.xy * xc - rc.xy * cross, rc.xy * xa - ra.xy * cross);
            let negative = bc < 0.0 || (ba < 0.0 && a < design.aged);
            Some(Gain { sse: (ba * ra.xy + bc * rc.xy) / det, columns: 2, negative })
        }
    }
}

/// Onsets whose plateaus are not among the candidates yet and should be: what lies between a step and a ramp explains
/// something only where these two together do, or the step where the two cannot be told apart.
fn begun(design: &Design, sums: &Sums, rests: &Rests, noise: &Noise) -> Vec<usize> {
    let least = BEGUN / noise.n_eff * (rests.yy + design.n as f64 * FINEST * FINEST);
    let explains = |o: &Onset| {
        let both = Model { level: Some(o.step), main: Some(o.ramp), family: Family::Onset, prior: 0.0 };
        let step = Model { level: None, main: Some(o.step), family: Family::Step, prior: 0.0 };
        let gain = |model| gain(design, sums, rests, model);
        gain(&both).or_else(|| gain(&step)).is_some_and(|g| g.sse > least)
    };
    let asked = design.onsets.iter().enumerate().filter(|(_, o)| !o.with_plateaus);
    asked.filter(|(_, o)| explains(o)).map(|(k, _)| k).collect()
}

/// What a model's weight follows from.
struct Evidence {
    sse: f64,
    parameters: f64,
    /// Logarithm of the prior weight.
    prior: f64,
}

/// Models with what their weights follow from; those that the floor determines.
fn weighed<'a>(
    design: &'a Design,
    sums: &'a Sums,
    rests: &'a Rests,
) -> impl Iterator<Item = (&'a Model, Evidence)> {
    let n = design.n as f64;
    design.models.iter().filter_map(move |model| {
        let gain = gain(design, sums, rests, model)?;
        let sse = (rests.yy - gain.sse).max(0.0) + n * FINEST * FINEST;
        let parameters = (rests.nb + gain.columns) as f64;
        let rising = matches!(model.family, Family::Saturating | Family::Plateau)
            || model.level.is_some_and(|c| c < design.aged);
        let prior = if gain.negative && rising { model.prior + FALLING } else { model.prior };
        (parameters + 2.0 <= n).then_some((model, Evidence { sse, parameters, prior }))
    })
}

/// From evidence to the logarithm of a posterior weight, up to a constant.
struct Scale {
    /// Independent points, those of the expectation among them.
    points: f64,
    /// Variance by residual square sum: what it adds for each unit, and what is expected before.
    spread: (f64, f64),
    /// What a parameter costs.
    free: f64,
}

impl Scale {
    fn new(design: &Design, noise: &Noise) -> Scale {
        let points = noise.n_eff + EXPECTED_WEIGHT;
        let spread = (noise.n_eff / design.n as f64 / points, EXPECTED_WEIGHT * EXPECTED * EXPECTED / points);
        Scale { points, spread, free: (noise.n_eff + 1.0).ln() }
    }

    fn weight(&self, e: &Evidence) -> f64 {
        let (by_square, expected) = self.spread;
        let bic = self.points * (by_square * e.sse + expected).ln() + e.parameters * self.free;
        -0.5 * bic + e.prior
    }
}

/// Posterior weights of all models under the given noise.
fn score(design: &Design, sums: &Sums, rests: &Rests, noise: &Noise) -> Vec<Scored> {
    let scale = Scale::new(design, noise);
    let mut out = Vec::with_capacity(design.models.len());
    out.extend(weighed(design, sums, rests).map(|(model, e)| Scored {
        model: *model,
        weight: scale.weight(&e),
        sse: e.sse,
    }));
    normalise(&mut out);
    out
}

/// The model of the highest weight alone. What explains less with no fewer parameters and no higher prior than the best so far
/// cannot be it: its logarithm is not taken.
fn best(design: &Design, sums: &Sums, rests: &Rests, noise: &Noise) -> Option<Scored> {
    let scale = Scale::new(design, noise);
    let mut best: Option<(Scored, Evidence)> = None;
    for (model, e) in weighed(design, sums, rests) {
        let beaten = best
            .as_ref()
            .is_some_and(|(_, b)| e.sse > b.sse && e.parameters >= b.parameters && e.prior <= b.prior);
        if beaten {
            continue;
        }
        let weight = scale.weight(&e);
        if best.as_ref().is_none_or(|(b, _)| weight.total_cmp(&b.weight).is_ge()) {
            best = Some((Scored { model: *model, weight, sse: e.sse }, e));
        }
    }
    best.map(|(scored, _)| scored)
}

/// From logarithms of weights to weights that sum to one.
fn normalise(scored: &mut [Scored]) {
    let top = scored.iter().fold(f64::NEG_INFINITY, |m, s| m.max(s.weight));
    let mut sum = 0.0;
    for s in scored.iter_mut() {
        s.weight = (s.weight - top).exp();
        sum += s.weight;
    }
    scored.iter_mut().for_each(|s| s.weight /= sum);
}

/// What draws coefficients towards zero.
fn ridge(noise: &Noise) -> f64 {
    (noise.scale * noise.scale).max(FINEST * FINEST)
}

fn base_factor(sums: &Sums, nb: usize, ridge: f64) -> Option<Chol> {
    let mut m = sums.bb;
    for (b, row) in m.iter_mut().enumerate().take(nb) {
        row[b] += ridge + 1e-9;
    }
    Chol::new(&m, nb)
}

/// The warm-up that helps the most beside any slower movement, when it is worth its parameter.
fn warm_up(design: &Design, sums: &Sums, rests: &Rests, noise: &Noise) -> Option<usize> {
    let drawn = |c: usize| Rest { xx: rests.columns[c].xx + rests.ridge, ..rests.columns[c] };
    let alone = design.models.iter().filter_map(|m| m.main.filter(|_| m.level.is_none()));
    let best = alone
        .map(|c| {
            let r = drawn(c);
            r.xy * r.xy / r.xx
        })
        .fold(0.0, f64::max);
    let n = design.n as f64;
    let left = |gain: f64| ((rests.yy - gain).max(0.0) + n * FINEST * FINEST) / n;
    let cost = |left: f64| noise.n_eff * left.ln();
    let mut found = (cost(left(best)) - (noise.n_eff + 1.0).ln(), None);
    // A logarithm is taken only where less is left than by any pair before.
    let mut least = f64::INFINITY;
    let partners: Vec<usize> = partners(design);
    for &w in &design.warm {
        let rw = drawn(w);
        for &c in partners.iter().filter(|c| !design.warm.contains(c)) {
            let rc = drawn(c);
            let cross = rests.cross(sums.warm_cross(design, w, c), &rw, &rc);
            let det = rw.xx * rc.xx - cross * cross;
            if det <= 1e-6 * rw.xx * rc.xx {
                continue;
            }
            let bw = (rw.xy * rc.xx - rc.xy * cross) / det;
            let bc = (rc.xy * rw.xx - rw.xy * cross) / det;
            let left = left(bw * rw.xy + bc * rc.xy);
            if bw <= 0.0 || left >= least {
                continue;
            }
            least = left;
            let total = cost(left);
            if total < found.0 {
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

fn coefficients(
    design: &Design,
    sums: &Sums,
    base: &Chol,
    noise: &Noise,
    s: &Scored,
) -> Option<Coefficients> {
    let (nb, g) = (design.base.len(), sums.groups);
    let (mut chol, mut rhs, mut centre) = (*base, sums.by, [0.0; MAX]);
    for (b, c) in centre.iter_mut().enumerate().take(nb) {
        *c = sums.base_mean[b * g + sums.live];
    }
    let mut count = nb;
    for c in own_columns(&s.model) {
        let mut common = sums.xb[c];
        if count > nb
            && let Some(step) = s.model.level
        {
            common[nb] = sums.pair(design, step, c);
        }
        chol.widen(&common, sums.xx[c] + (ridge(noise) + 1e-9))?;
        rhs[count] = sums.xy[c];
        centre[count] = sums.col_mean[c * g + sums.live];
        count += 1;
    }
    let freedom = (noise.n_eff - count as f64).max(1.0);
    let of_one = s.sse / (design.n as f64) * (noise.n_eff / freedom);
    Some(Coefficients {
        mean: chol.solve(&rhs),
        chol,
        count,
        variance: of_one * noise.inflation,
        origin: sums.y_mean[sums.live],
        centre,
        origin_variance: of_one * noise.alone / sums.mass[sums.live].max(1.0),
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
    let runs = || floor.bounds.windows(2).map(|bound| bound[0]..bound[1]);
    for (of, mean) in runs().zip(&sums.y_mean) {
        out[of.clone()].iter_mut().zip(&y[of]).for_each(|(o, v)| *o = v - mean);
    }
    let mut subtract = |x: &[f64], means: &[f64], beta: f64| {
        for (of, mean) in runs().zip(means) {
            out[of.clone()].iter_mut().zip(&x[of]).for_each(|(o, v)| *o -= beta * (v - mean));
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
