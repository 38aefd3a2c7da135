//! Cholesky of the very small systems that the floor models need (a handful of columns), on the stack.

/// Most columns that one model may have: four waves of the day or the load, a warm-up, and two of its own.
pub(crate) const MAX: usize = 8;

/// Exponential of what is not positive, to eleven digits: without a table and without a jump, so that a column takes two or four at once.
pub(super) fn decay(x: f64) -> f64 {
    /// Adding it leaves a number rounded to an integer, which then stands in its lowest bits.
    const ROUND: f64 = 6_755_399_441_055_744.0;
    /// One over the factorials from two on.
    const TAYLOR: [f64; 8] = [
        0.5,
        1.0 / 6.0,
        1.0 / 24.0,
        1.0 / 120.0,
        1.0 / 720.0,
        1.0 / 5_040.0,
        1.0 / 40_320.0,
        1.0 / 362_880.0,
    ];
    let x = if x > -700.0 { x } else { -700.0 };
    let rounded = x * std::f64::consts::LOG2_E + ROUND;
    let rest = x - (rounded - ROUND) * std::f64::consts::LN_2;
    let series = TAYLOR.iter().rev().fold(0.0, |sum, c| sum * rest + c);
    let power = f64::from_bits((rounded.to_bits() << 52).wrapping_add(1_023 << 52));
    (1.0 + rest * (1.0 + rest * series)) * power
}

/// Lower factor `L` of a symmetric positive definite matrix `L·Lᵀ`.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Chol {
    /// Its diagonal holds the reciprocals: solving multiplies, which is quicker than to divide.
    l: [[f64; MAX]; MAX],
    n: usize,
}

impl Chol {
    /// Takes in one more row and column: what it has in common with the rows before, and its own square. Nothing, and
    /// no change, when nothing of its own is left.
    pub(super) fn widen(&mut self, common: &[f64; MAX], square: f64) -> Option<()> {
        let n = self.n;
        let row = self.forward(common);
        let dot: f64 = row[..n].iter().map(|x| x * x).sum();
        let rest = square - dot;
        if !(rest > 1e-12 * square.abs() && rest.is_finite()) {
            return None;
        }
        self.l[n][..n].copy_from_slice(&row[..n]);
        self.l[n][n] = 1.0 / rest.sqrt();
        self.n = n + 1;
        Some(())
    }

    /// Factor of the leading `n`×`n` part of `m`; `None` when it is not positive definite.
    pub(crate) fn new(m: &[[f64; MAX]; MAX], n: usize) -> Option<Chol> {
        let mut l = [[0.0; MAX]; MAX];
        for i in 0..n {
            for j in 0..=i {
                let dot: f64 = (0..j).map(|k| l[i][k] * l[j][k]).sum();
                let rest = m[i][j] - dot;
                if i != j {
                    l[i][j] = rest * l[j][j];
                } else if rest > 1e-12 * m[i][i].abs() && rest.is_finite() {
                    l[i][i] = 1.0 / rest.sqrt();
                } else {
                    return None;
                }
            }
        }
        Some(Chol { l, n })
    }

    /// `L⁻¹·b`.
    #[inline]
    pub(super) fn forward(&self, b: &[f64; MAX]) -> [f64; MAX] {
        let mut x = [0.0; MAX];
        for i in 0..self.n {
            let dot: f64 = (0..i).map(|k| self.l[i][k] * x[k]).sum();
            x[i] = (b[i] - dot) * self.l[i][i];
        }
        x
    }

    /// `L⁻ᵀ·b`.
    pub(super) fn backward(&self, b: &[f64; MAX]) -> [f64; MAX] {
        let mut x = [0.0; MAX];
        for i in (0..self.n).rev() {
            let dot: f64 = (i + 1..self.n).map(|k| self.l[k][i] * x[k]).sum();
            x[i] = (b[i] - dot) * self.l[i][i];
        }
        x
    }

    /// Solution of `(L·Lᵀ)·x = b`.
    pub(crate) fn solve(&self, b: &[f64; MAX]) -> [f64; MAX] {
        self.backward(&self.forward(b))
    }
}

/// Dot product of the first `n` numbers of two short rows, in the order of [`dot`]; what lies beyond `n` is zero.
#[inline]
pub(super) fn inner(a: &[f64; MAX], b: &[f64; MAX], n: usize) -> f64 {
    let first = (a[0] * b[0] + a[1] * b[1]) + (a[2] * b[2] + a[3] * b[3]);
    first + a[..n].iter().zip(b).skip(4).map(|(x, y)| x * y).sum::<f64>()
}

/// Dot product with four running sums, so that the compiler can use vector registers.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0_f64; 4];
    let (ca, cb) = (a.chunks_exact(4), b.chunks_exact(4));
    let rest: f64 = ca.remainder().iter().zip(cb.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in ca.zip(cb) {
        for k in 0..4 {
            sums[k] += x[k] * y[k];
        }
    }
    (sums[0] + sums[1]) + (sums[2] + sums[3]) + rest
}

/// [`dot`] of several rows with the same column, which is loaded once; the sums of all rows run side by side.
#[inline]
pub(super) fn dots<const K: usize>(rows: [&[f64]; K], x: &[f64]) -> [f64; K] {
    let (columns, last) = x.as_chunks::<4>();
    let parts = rows.map(|row| row[..x.len()].as_chunks::<4>());
    let mut sums = [[0.0_f64; 4]; K];
    for (i, x) in columns.iter().enumerate() {
        for (sum, (row, _)) in sums.iter_mut().zip(&parts) {
            let row = &row[i];
            for k in 0..4 {
                sum[k] += row[k] * x[k];
            }
        }
    }
    std::array::from_fn(|k| {
        let rest: f64 = parts[k].1.iter().zip(last).map(|(a, b)| a * b).sum();
        (sums[k][0] + sums[k][1]) + (sums[k][2] + sums[k][3]) + rest
    })
}

/// For a column: its weighted sum, its weighted square, and its product with a row; the weights come first.
#[inline]
pub(super) fn moments(w: &[f64], row: &[f64], x: &[f64]) -> [f64; 3] {
    let (columns, last) = x.as_chunks::<4>();
    let (weights, last_weights) = w[..x.len()].as_chunks::<4>();
    let (rows, last_row) = row[..x.len()].as_chunks::<4>();
    let mut sums = [[0.0_f64; 4]; 3];
    for ((x, w), row) in columns.iter().zip(weights).zip(rows) {
        for k in 0..4 {
            let weighted = x[k] * w[k];
            sums[0][k] += weighted;
            sums[1][k] += weighted * x[k];
            sums[2][k] += row[k] * x[k];
        }
    }
    let mut rest = [0.0; 3];
    for ((x, w), row) in last.iter().zip(last_weights).zip(last_row) {
        rest = [rest[0] + x * w, rest[1] + x * w * x, rest[2] + row * x];
    }
    std::array::from_fn(|k| (sums[k][0] + sums[k][1]) + (sums[k][2] + sums[k][3]) + rest[k])
}

/// Median by selection; reorders `v`. Zero when empty.
pub(crate) fn median(v: &mut [f64]) -> f64 {
    quantile(v, 0.5)
}

/// Nearest-rank quantile by selection; reorders `v`. Zero when empty.
pub(crate) fn quantile(v: &mut [f64], q: f64) -> f64 {
    if v.is_empty() {
        return 0.0;
    }
    let k = ((v.len() - 1) as f64 * q).round() as usize;
    *v.select_nth_unstable_by(k, f64::total_cmp).1
}

/// Quantiles of 10, 50 and 90 %, each as by [`quantile`]: the outer two are sought in their halves alone.
pub(crate) fn spread_of(v: &mut [f64]) -> [f64; 3] {
    if v.len() < 3 {
        return [0.1, 0.5, 0.9].map(|q| quantile(v, q));
    }
    let place = |q: f64| ((v.len() - 1) as f64 * q).round() as usize;
    let (low, mid, high) = (place(0.1), place(0.5), place(0.9));
    let (below, middle, above) = v.select_nth_unstable_by(mid, f64::total_cmp);
    let middle = *middle;
    let pick = |half: &mut [f64], k: usize| *half.select_nth_unstable_by(k, f64::total_cmp).1;
    [pick(below, low), middle, pick(above, high - mid - 1)]
}

/// The largest whole number that is not above, of a number whose whole part a 64-bit integer holds. Where the target has no instruction
/// for it, the library's is a call.
pub(crate) fn whole(x: f64) -> f64 {
    let towards_zero = x as i64 as f64;
    if towards_zero > x { towards_zero - 1.0 } else { towards_zero }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decay_is_the_exponential() {
        for k in 0..=70_000 {
            let x = -f64::from(k) * 0.01;
            assert!((decay(x) / x.exp() - 1.0).abs() < 1e-11, "{x}: {} {}", decay(x), x.exp());
        }
        assert_eq!(decay(0.0), 1.0);
        assert!((0.0..1e-300).contains(&decay(f64::NEG_INFINITY)));
    }

    #[test]
    fn solves_a_small_system() {
        let mut m = [[0.0; MAX]; MAX];
        m[0][0] = 4.0;
        m[0][1] = 2.0;
        m[1][0] = 2.0;
        m[1][1] = 3.0;
        let mut b = [0.0; MAX];
        b[0] = 8.0;
        b[1] = 8.0;
        let x = Chol::new(&m, 2).expect("positive definite").solve(&b);
        assert!((x[0] - 1.0).abs() < 1e-12 && (x[1] - 2.0).abs() < 1e-12);
    }

    #[test]
    fn refuses_a_singular_system() {
        let mut m = [[0.0; MAX]; MAX];
        for row in m.iter_mut().take(2) {
            row[0] = 1.0;
            row[1] = 1.0;
        }
        assert!(Chol::new(&m, 2).is_none());
    }

    #[test]
    fn dot_equals_the_plain_sum() {
        let a: Vec<f64> = (0..11).map(f64::from).collect();
        let plain: f64 = a.iter().map(|x| x * x).sum();
        assert_eq!(dot(&a, &a), plain);
    }

    #[test]
    fn dots_are_the_same_as_one_by_one() {
        let column = |a: f64| (0..23).map(|i| (f64::from(i) * a).sin()).collect::<Vec<f64>>();
        let (a, b, c, x) = (column(0.3), column(1.7), column(2.9), column(0.11));
        for n in 0..x.len() {
            assert_eq!(
                dots([&a, &b, &c], &x[..n]),
                [dot(&a[..n], &x[..n]), dot(&b[..n], &x[..n]), dot(&c[..n], &x[..n])]
            );
        }
    }

    #[test]
    fn moments_and_short_rows_add_up_as_long_ones_do() {
        let column = |a: f64| (0..23).map(|i| (f64::from(i) * a).sin()).collect::<Vec<f64>>();
        let (w, row, x) = (column(0.3), column(1.7), column(0.11));
        for n in 0..x.len() {
            let weighted: Vec<f64> = x[..n].iter().zip(&w).map(|(x, w)| x * w).collect();
            let one_by_one = [dot(&w[..n], &x[..n]), dot(&weighted, &x[..n]), dot(&row[..n], &x[..n])];
            assert_eq!(moments(&w, &row, &x[..n]), one_by_one);
        }
        for n in 0..MAX {
            let short = |v: &[f64]| std::array::from_fn(|k| if k < n { v[k] } else { 0.0 });
            assert_eq!(inner(&short(&row), &short(&x), n), dot(&row[..n], &x[..n]));
        }
    }

    #[test]
    fn a_wider_factor_is_that_of_the_wider_system() {
        let mut m = [[0.0; MAX]; MAX];
        for (i, row) in m.iter_mut().enumerate() {
            for (j, x) in row.iter_mut().enumerate() {
                *x = if i == j { 3.0 } else { 1.0 / (1.0 + i as f64 + j as f64) };
            }
        }
        let whole = Chol::new(&m, 4).expect("positive definite");
        let mut wider = Chol::new(&m, 3).expect("positive definite");
        wider.widen(&m[3], m[3][3]).expect("positive definite");
        let b = [1.0, -2.0, 0.5, 4.0, 0.0, 0.0, 0.0, 0.0];
        assert_eq!(whole.solve(&b), wider.solve(&b));
        assert!(wider.widen(&m[4], 0.0).is_none(), "nothing of its own is left");
        assert_eq!(whole.solve(&b), wider.solve(&b));
    }

    #[test]
    fn quantiles_by_selection() {
        let mut v = vec![5.0, 1.0, 3.0, 2.0, 4.0];
        assert_eq!(median(&mut v), 3.0);
        assert_eq!(quantile(&mut v, 1.0), 5.0);
        assert_eq!(quantile(&mut [], 0.5), 0.0);
        for n in 0..40 {
            let v: Vec<f64> = (0..n).map(|k| (f64::from(k) * 1.7).sin()).collect();
            let one_by_one = [0.1, 0.5, 0.9].map(|q| quantile(&mut v.clone(), q));
            assert_eq!(spread_of(&mut v.clone()), one_by_one, "{n}");
        }
    }

    #[test]
    fn whole_numbers_are_those_of_the_library() {
        for x in [0.0, 0.5, 1.0, -0.5, -1.0, -1.5, 1e15 + 0.5, -1e15 - 0.5, 123_456_789.999] {
            assert_eq!(whole(x), x.floor(), "{x}");
        }
    }
}
