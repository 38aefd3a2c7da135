//! How long a canary must run to show a slope: a level shows at once, a slope only with the time to the power of three halves.

/// Standard normal quantiles: 5 % of false alarms, 90 % of slopes seen.
const ALARM: f64 = 1.645;
const SEEN: f64 = 1.282;

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
    let is_known = [s.noise, s.alike_for, s.replicas, s.difference].iter().all(|v| v.is_finite());
    if !is_known || s.difference <= 0.0 || s.replicas <= 0.0 {
        return None;
    }
    // Two slopes, each with the variance 12 σ² · 2τ / (r · T³).
    let needed = ((ALARM + SEEN) / s.difference).powi(2);
    Some((24.0 * s.noise * s.noise * 2.0 * s.alike_for / s.replicas * needed).cbrt())
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
        assert_eq!(length(&Setting { noise: 1.0, alike_for: 1.0, replicas: 1.0, difference: 0.0 }), None);
    }
}
