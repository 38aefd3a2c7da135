//! Cholesky of the very small systems that the floor models need (a handful of columns), on the stack.

/// Most columns that one model may have.
pub(crate) const MAX: usize = 10;

/// Lower factor `L` of a symmetric positive definite matrix `L·Lᵀ`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chol {
    l: [[f64; MAX]; MAX],
    n: usize,
}

impl Chol {
    /// Factor of the leading `n`×`n` part of `m`; `None` when it is not positive definite.
    pub(crate) fn new(m: &[[f64; MAX]; MAX], n: usize) -> Option<Chol> {
        let mut l = [[0.0; MAX]; MAX];
        for i in 0..n {
            for j in 0..=i {
                let dot: f64 = (0..j).map(|k| l[i][k] * l[j][k]).sum();
                let rest = m[i][j] - dot;
                if i != j {
                    l[i][j] = rest / l[j][j];
                } else if rest > 1e-12 * m[i][i].abs() && rest.is_finite() {
                    l[i][i] = rest.sqrt();
                } else {
                    return None;
                }
            }
        }
        Some(Chol { l, n })
    }

    /// `L⁻¹·b`.
    pub(super) fn forward(&self, b: &[f64; MAX]) -> [f64; MAX] {
        let mut x = [0.0; MAX];
        for i in 0..self.n {
            let dot: f64 = (0..i).map(|k| self.l[i][k] * x[k]).sum();
            x[i] = (b[i] - dot) / self.l[i][i];
        }
        x
    }

    /// `L⁻ᵀ·b`.
    pub(super) fn backward(&self, b: &[f64; MAX]) -> [f64; MAX] {
        let mut x = [0.0; MAX];
        for i in (0..self.n).rev() {
            let dot: f64 = (i + 1..self.n).map(|k| self.l[k][i] * x[k]).sum();
            x[i] = (b[i] - dot) / self.l[i][i];
        }
        x
    }

    /// Solution of `(L·Lᵀ)·x = b`.
    pub(crate) fn solve(&self, b: &[f64; MAX]) -> [f64; MAX] {
        self.backward(&self.forward(b))
    }
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

/// Sum with four running sums, for the same reason.
pub(super) fn sum(a: &[f64]) -> f64 {
    let mut sums = [0.0_f64; 4];
    let chunks = a.chunks_exact(4);
    let rest: f64 = chunks.remainder().iter().sum();
    for x in chunks {
        for k in 0..4 {
            sums[k] += x[k];
        }
    }
    (sums[0] + sums[1]) + (sums[2] + sums[3]) + rest
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

#[cfg(test)]
mod tests {
    use super::*;

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
    fn quantiles_by_selection() {
        let mut v = vec![5.0, 1.0, 3.0, 2.0, 4.0];
        assert_eq!(median(&mut v), 3.0);
        assert_eq!(quantile(&mut v, 1.0), 5.0);
        assert_eq!(quantile(&mut [], 0.5), 0.0);
    }
}
