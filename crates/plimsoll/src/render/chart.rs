//! Small charts of text.

use plimsoll_core::series::Point;

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Smallest range that fills the height, as a share of the highest value.
const LEAST_RANGE: f64 = 0.1;

/// A sparkline of `width` characters: the mean of each equal stretch of time, from zero or from the
/// smallest value when the series moves little.
pub(crate) fn sparkline(points: &[Point], width: usize) -> String {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return String::new() };
    let span = (last.t - first.t).max(f64::MIN_POSITIVE);
    let mut sums = vec![(0.0, 0u32); width.max(1)];
    for p in points {
        let i = (((p.t - first.t) / span) * width as f64) as usize;
        if let Some(slot) = sums.get_mut(i.min(width.saturating_sub(1))) {
            *slot = (slot.0 + p.v, slot.1 + 1);
        }
    }
    let low = points.iter().map(|p| p.v).fold(f64::INFINITY, f64::min);
    // Noise of a few percent is drawn flat: a line that fills the height would look like a climb.
    let high = points.iter().map(|p| p.v).fold(low * (1.0 + LEAST_RANGE), f64::max);
    let mut held = first.v;
    sums.iter()
        .map(|(sum, n)| {
            if *n > 0 {
                held = sum / f64::from(*n);
            }
            bar(held, low, high)
        })
        .collect()
}

fn bar(v: f64, low: f64, high: f64) -> char {
    let share = if high > low { (v - low) / (high - low) } else { 0.0 };
    BARS[((share * 7.0).round() as usize).min(7)]
}

/// A bar of `width` characters that is filled by `share`.
pub(crate) fn gauge(share: f64, width: usize) -> String {
    let full = (share.clamp(0.0, 1.0) * width as f64).round() as usize;
    format!("{}{}", "█".repeat(full), "░".repeat(width - full))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_climb_climbs_and_gaps_hold_the_last_value() {
        let p: Vec<Point> = [0.0, 1.0, 2.0, 7.0].iter().map(|t| Point { t: *t, v: *t }).collect();
        assert_eq!(sparkline(&p, 8), "▁▂▃▃▃▃▃█");
        assert_eq!(sparkline(&[], 8), "");
        assert_eq!(sparkline(&p[..1], 3), "▁▁▁");
        let noise: Vec<Point> = [100.0, 100.4, 99.8, 100.1].map(|v| Point { t: v, v }).to_vec();
        assert!(sparkline(&noise[..2], 8).chars().all(|c| c <= '▂'), "half a percent is flat");
    }

    #[test]
    fn gauges_fill() {
        assert_eq!(gauge(0.5, 4), "██░░");
        assert_eq!(gauge(7.0, 2), "██");
    }
}
