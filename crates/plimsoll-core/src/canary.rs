//! How long a canary must run to show a slope: a level shows at once, a slope only with the time to the power of three halves.

/// Standard normal quantiles: 5 % of false alarms, 90 % of slopes seen.
pub(crate) const ALARM: f64 = 1.645;
pub(crate) const SEEN: f64 = 1.282;

/// What a canary is up against.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Setting {
    /// Deviation of a floor from its line, bytes.
    pub noise: f64,
    /// For how long neighbours go along, seconds.
    pub alike_for: f64,
    /// Replicas of each side.
    pub replicas: f64,
    /// Difference of slopes that is to be seen, bytes per second.
    pub difference: f64,
}

/// Seconds that both sides must run, warm-up not counted, to tell the difference at 5 % false alarms, 90 times in 100; `None` when
/// there is nothing to tell.
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
    let is_known = [s.noise, s.alike_for, s.replicas].iter().all(|v| v.is_finite() && *v > 0.0);
    is_known.then(|| 24.0 * s.noise * s.noise * 2.0 * s.alike_for / s.replicas * (ALARM + SEEN).powi(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_those_that_were_measured_to_suffice() {
        // Shares of a limit; 60 % of it in so many hours; neighbours go along for half an hour.
        let hours = |noise: f64, replicas: f64, to_oom: f64| {
            let difference = 0.6 / (to_oom * 3600.0);
            length(&Setting { noise, alike_for: 1800.0, replicas, difference }).expect("known") / 3600.0
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
        let setting = Setting { noise: 5e6, alike_for: 1800.0, replicas: 3.0, difference: 2e3 };
        let seconds = length(&setting).expect("known");
        assert!((smallest(&setting, seconds).expect("known") / 2e3 - 1.0).abs() < 1e-9);
        assert_eq!(smallest(&setting, 0.0), None);
        assert_eq!(length(&Setting { noise: 1.0, alike_for: 1.0, replicas: 1.0, difference: 0.0 }), None);
    }
}
