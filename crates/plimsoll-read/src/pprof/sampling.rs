//! How much a sampled number can be believed.
//!
//! A profiler that samples every R bytes sees an object of size s with the chance p = 1 - e^(-s/R), and counts
//! each seen one 1/p times. n objects that are counted so have the variance n (1 - p) / p: small objects are
//! seen rarely and stand for many; objects of several R are seen almost surely and are almost exact.

/// Two standard deviations, roughly: 95 of 100.
const SURE: f64 = 1.96;

/// An amount with its interval.
#[derive(Debug, Clone, Copy, PartialEq, Default, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Amount {
    /// Bytes, scaled for sampling.
    pub bytes: f64,
    /// Lower end of the 95 % interval, bytes.
    pub low: f64,
    /// Upper end of the 95 % interval, bytes.
    pub high: f64,
    /// Objects, scaled for sampling.
    pub objects: f64,
    /// Objects that were really seen.
    pub samples: f64,
    /// Variance of the bytes.
    #[serde(skip)]
    pub(super) variance: f64,
}

impl Amount {
    /// Adds one sample's scaled objects and bytes, taken `interval` bytes apart; `size` of each object when known.
    pub(super) fn add(&mut self, objects: f64, bytes: f64, size: f64, interval: f64) {
        if bytes <= 0.0 && objects <= 0.0 {
            return;
        }
        self.bytes += bytes;
        self.objects += objects;
        if interval <= 1.0 {
            self.samples += objects;
            return;
        }
        let each = if size > 0.0 { size } else { bytes / objects.max(1.0) };
        let objects = if objects > 0.0 { objects } else { bytes / each.max(1.0) };
        let chance = -(-each / interval).exp_m1();
        self.samples += objects * chance;
        if chance > 0.0 {
            self.variance += each * each * objects * (1.0 - chance) / chance;
        }
    }

    /// Adds all of another amount.
    pub(super) fn join(&mut self, other: &Amount) {
        self.bytes += other.bytes;
        self.objects += other.objects;
        self.samples += other.samples;
        self.variance += other.variance;
    }

    /// Sets the interval from the variance: that of a Poisson count with the same relative spread.
    pub(super) fn close(&mut self) {
        let (low, high) = self.interval();
        (self.low, self.high) = (low, high);
    }

    fn interval(&self) -> (f64, f64) {
        if self.variance <= 0.0 || self.bytes <= 0.0 {
            return (self.bytes, self.bytes);
        }
        let k = self.bytes * self.bytes / self.variance;
        // Wilson and Hilferty's cube root, close to the exact interval from one event on.
        let low = (1.0 - 1.0 / (9.0 * k) - SURE / (3.0 * k.sqrt())).max(0.0).powi(3);
        let k1 = k + 1.0;
        let high = k1 / k * (1.0 - 1.0 / (9.0 * k1) + SURE / (3.0 * k1.sqrt())).powi(3);
        (self.bytes * low, self.bytes * high)
    }

    /// Half the interval as a part of the amount; 0 when exact.
    pub fn relative_error(&self) -> f64 {
        if self.bytes > 0.0 { (self.high - self.low) / (2.0 * self.bytes) } else { 0.0 }
    }

    /// The change to a later amount, with the ends of its 95 % interval, bytes. Where one of them saw nothing, it
    /// may have missed one sample's worth of what the other saw.
    pub(super) fn change_to(&self, after: &Amount) -> (f64, f64, f64) {
        let missed = |this: &Amount, other: &Amount| match other.bytes {
            b if b > 0.0 && this.bytes <= 0.0 => (other.variance / b).powi(2),
            _ => this.variance,
        };
        let delta = after.bytes - self.bytes;
        let spread = SURE * (missed(self, after) + missed(after, self)).sqrt();
        (delta, delta - spread, delta + spread)
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};

    use super::*;

    const R: f64 = 524_288.0;

    fn of(objects: f64, size: f64) -> Amount {
        let mut a = Amount::default();
        a.add(objects, objects * size, size, R);
        a.close();
        a
    }

    #[test]
    fn sixty_four_megabytes_of_small_objects_are_known_to_a_sixth() {
        let a = of(1_048_576.0, 64.0);
        assert!((a.samples - 128.0).abs() < 0.1, "{a:?}");
        assert!((a.relative_error() - SURE / 128f64.sqrt()).abs() < 0.01, "{}", a.relative_error());
        assert!(of(4.0, 16_777_216.0).relative_error() < 1e-3);
        let one = of(8192.0, 64.0);
        assert!(one.low < 0.03 * one.bytes && one.high > 5.0 * one.bytes, "one sample means little: {one:?}");
    }

    #[test]
    fn exact_profiles_have_no_interval() {
        let mut a = Amount::default();
        a.add(10.0, 640.0, 64.0, 1.0);
        a.close();
        assert_eq!((a.low, a.high, a.samples), (640.0, 640.0, 10.0));
    }

    #[test]
    fn the_interval_covers_the_truth_as_often_as_it_says() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(7);
        for (objects, size) in [(20_000u32, 4096.0), (40, 300_000.0), (300, 65_536.0)] {
            let chance = -(-size / R).exp_m1();
            let mut covered = 0;
            for _ in 0..400 {
                let seen = (0..objects).filter(|_| rng.random::<f64>() < chance).count() as f64;
                let a = of(seen / chance, size);
                let truth = f64::from(objects) * size;
                covered += u32::from(a.low <= truth && truth <= a.high);
            }
            assert!((370..=400).contains(&covered), "{objects} of {size}: {covered} of 400");
        }
    }
}
