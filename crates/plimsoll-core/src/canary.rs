//! How long a canary must run to show a slope: a level shows at once, a slope only with the time to the power of three halves.

use crate::slope::normal_cdf;

/// Wrong answers that are borne.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Errors {
    /// Share of canaries without an effect that are said to have one.
    pub false_alarms: f64,
    /// Share of canaries with the effect of which it is seen.
    pub seen: f64,
}

impl Default for Errors {
    fn default() -> Errors {
        Errors { false_alarms: 0.05, seen: 0.9 }
    }
}

impl Errors {
    /// Errors by which a slope must be off zero to be told apart in one planned look.
    fn apart(&self) -> f64 {
        quantile(1.0 - self.false_alarms) + self.beyond()
    }

    /// Errors beyond what is told apart, so that it is seen as often as that.
    pub(crate) fn beyond(&self) -> f64 {
        quantile(self.seen)
    }
}

/// Quantile of the standard normal distribution, by halves: it is asked for a few times only.
fn quantile(share: f64) -> f64 {
    let (mut low, mut high) = (-8.0, 8.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if normal_cdf(middle) < share {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

/// What a canary is up against.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Setting {
    /// Deviation of a floor from its line, bytes.
    pub noise: f64,
    /// For how long neighbours go along, seconds.
    pub alike_for: f64,
    /// Replicas of the canary.
    pub replicas: f64,
    /// Replicas of what it is compared with.
    pub baseline: f64,
    /// Difference of slopes that is to be seen, bytes per second.
    pub difference: f64,
    /// Wrong answers that are borne.
    pub errors: Errors,
}

/// Seconds that both sides must run, warm-up not counted, to tell the difference with those errors; `None` when there is nothing to
/// tell.
pub fn length(s: &Setting) -> Option<f64> {
    let seconds = (spread(s)? / s.difference.powi(2)).cbrt();
    (s.difference > 0.0 && s.difference.is_finite() && seconds.is_finite()).then_some(seconds)
}

/// The smallest difference that is told after so many seconds; that of the setting is not looked at.
pub fn smallest(s: &Setting, seconds: f64) -> Option<f64> {
    let difference = (spread(s)? / seconds.powi(3)).sqrt();
    (seconds > 0.0 && difference.is_finite()).then_some(difference)
}

/// Difference squared times length cubed: two slopes, each with the variance 12 σ² · 2τ / (r · T³).
fn spread(s: &Setting) -> Option<f64> {
    let is_fair =
        s.errors.false_alarms > 0.0 && s.errors.false_alarms < 0.5 && (0.5..1.0).contains(&s.errors.seen);
    let is_known = [s.noise, s.alike_for, s.replicas, s.baseline].iter().all(|v| v.is_finite() && *v > 0.0);
    let replicas = 1.0 / s.replicas + 1.0 / s.baseline;
    let of = || 12.0 * s.noise * s.noise * 2.0 * s.alike_for * replicas * s.errors.apart().powi(2);
    (is_known && is_fair).then(of)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(noise: f64, replicas: f64, difference: f64) -> Setting {
        let errors = Errors::default();
        Setting { noise, alike_for: 1800.0, replicas, baseline: replicas, difference, errors }
    }

    #[test]
    fn lengths_are_those_that_were_measured_to_suffice() {
        // Shares of a limit; 60 % of it in so many hours; neighbours go along for half an hour.
        let hours = |noise: f64, replicas: f64, to_oom: f64| {
            let difference = 0.6 / (to_oom * 3600.0);
            length(&setting(noise, replicas, difference)).expect("known") / 3600.0
        };
        for (noise, replicas, to_oom, want) in [
            (0.003, 1.0, 6.0, 0.6),
            (0.003, 10.0, 24.0, 0.7),
            (0.01, 1.0, 72.0, 6.7),
            (0.01, 10.0, 240.0, 6.9),
        ] {
            let hours = hours(noise, replicas, to_oom);
            assert!((hours - want).abs() < 0.06, "{hours} and not {want}");
        }
        let setting = setting(5e6, 3.0, 2e3);
        let seconds = length(&setting).expect("known");
        assert!((smallest(&setting, seconds).expect("known") / 2e3 - 1.0).abs() < 1e-9);
        assert_eq!(smallest(&setting, 0.0), None);
        assert_eq!(length(&Setting { difference: 0.0, ..setting }), None);
    }

    #[test]
    fn fewer_wrong_answers_take_longer_and_a_larger_baseline_less() {
        let one = setting(5e6, 1.0, 2e3);
        let seconds = |s: &Setting| length(s).expect("known");
        // Variances add: one replica beside many is as good as two beside two.
        let beside_many = Setting { baseline: 1e9, ..one };
        assert!((seconds(&beside_many) / seconds(&setting(5e6, 2.0, 2e3)) - 1.0).abs() < 1e-6);
        // 2.326 + 1.645 errors for 1.645 + 1.282, to the power of two thirds.
        let strict = Setting { errors: Errors { false_alarms: 0.01, seen: 0.95 }, ..one };
        let ratio = seconds(&strict) / seconds(&one);
        assert!((ratio - (3.971_f64 / 2.927).powf(2.0 / 3.0)).abs() < 1e-3, "{ratio}");
        for wrong in [0.0, 0.5, 1.0, f64::NAN] {
            let errors = Errors { false_alarms: wrong, seen: 0.9 };
            assert_eq!(length(&Setting { errors, ..one }), None, "{wrong}");
        }
    }
}
