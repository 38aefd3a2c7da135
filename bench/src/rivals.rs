//! The rules that others ship, re-implemented in our own words from their descriptions, with default
//! settings. Each answers minute flags; none looks ahead. The limit is 1.

use crate::change_point;
use crate::replay::TICK;
use crate::services::Service;

/// A rule: its name and what it flags.
pub struct Rival {
    /// Name for the table.
    pub name: &'static str,
    /// The rule.
    pub rule: fn(&Service) -> Vec<bool>,
}

/// Horizon of materiality for the slope tests: the limit within 240 h, minutes.
const HORIZON: f64 = 240.0 * 60.0;

/// All rules, in the order of the table.
pub static RIVALS: [Rival; 17] = [
    Rival { name: "predict_linear 1h→4h, 15 m, working set", rule: |s| predict(&s.ws, 60, 240.0, 15, 0.0) },
    Rival { name: "… RSS", rule: |s| predict(&s.rss, 60, 240.0, 15, 0.0) },
    Rival {
        name: "predict_linear 6h→24h, 60 m, working set",
        rule: |s| predict(&s.ws, 360, 1440.0, 60, 0.0),
    },
    Rival { name: "… + usage > 70 %", rule: |s| predict(&s.ws, 360, 1440.0, 60, 0.7) },
    Rival { name: "… RSS", rule: |s| predict(&s.rss, 360, 1440.0, 60, 0.0) },
    Rival { name: "predict_linear 6h→96h, RSS", rule: |s| predict(&s.rss, 360, 5760.0, 60, 0.0) },
    Rival { name: "Coroot rule", rule: coroot },
    Rival { name: "r² sentinel 6 h", rule: sentinel },
    Rival { name: "Precog, untrained, RSS", rule: precog },
    Rival { name: "Theil–Sen + MK 6 h, p < .01", rule: |s| trend_test(&s.rss, 360, false) },
    Rival { name: "Theil–Sen + MK 24 h", rule: |s| trend_test(&s.rss, 1440, false) },
    Rival { name: "… Hamed–Rao variance", rule: |s| trend_test(&s.rss, 1440, true) },
    Rival {
        name: "Floor + Theil–Sen + block bootstrap 24 h",
        rule: |s| floor_bootstrap(&s.rss, Floor { decelerates: false, strict: false }),
    },
    Rival {
        name: "… + deceleration test",
        rule: |s| floor_bootstrap(&s.rss, Floor { decelerates: true, strict: false }),
    },
    Rival {
        name: "… strict (q .005, growth ≥ 5 %, 4 h persistence)",
        rule: |s| floor_bootstrap(&s.rss, Floor { decelerates: true, strict: true }),
    },
    Rival {
        name: "Change point (piecewise linear) + HAC slope 24 h",
        rule: |s| change_point::flags(&s.rss, HORIZON),
    },
    Rival { name: "Static RSS > 90 %", rule: |s| held(s.rss.iter().map(|x| *x > 0.9), 5) },
];

/// Flags that have held for `minutes` in a row.
fn held(raw: impl Iterator<Item = bool>, minutes: usize) -> Vec<bool> {
    let mut streak = 0;
    raw.map(|x| {
        streak = if x { streak + 1 } else { 0 };
        streak > minutes
    })
    .collect()
}

/// Least squares over equally spaced values: value at the newest point, slope per step, r².
pub fn least_squares(y: &[f64]) -> (f64, f64, f64) {
    let n = y.len() as f64;
    let (mx, my) = ((n - 1.0) / 2.0, y.iter().sum::<f64>() / n);
    let (mut xy, mut yy) = (0.0, 0.0);
    for (i, v) in y.iter().enumerate() {
        xy += (i as f64 - mx) * (v - my);
        yy += (v - my) * (v - my);
    }
    let xx = n * (n * n - 1.0) / 12.0;
    let slope = xy / xx;
    (my + slope * mx, slope, if yy > 0.0 { xy * xy / (xx * yy) } else { 0.0 })
}

/// `predict_linear(v[window], ahead) > limit` for a while, with an optional guard on present usage.
fn predict(v: &[f64], window: usize, ahead: f64, hold: usize, guard: f64) -> Vec<bool> {
    let raw = (0..v.len()).map(|i| {
        // The range selector takes what is there; a rule cannot fire on a handful of points.
        let from = (i + 1).saturating_sub(window);
        if i < window / 4 || v[i] <= guard {
            return false;
        }
        let (now, slope, _) = least_squares(&v[from..=i]);
        now + slope * ahead > 1.0
    });
    held(raw, hold)
}

/// Start of the run that is live at a minute.
fn run_start(s: &Service, i: usize) -> usize {
    s.run_at(i).first
}

/// One hour of RSS per process: longest piece between halvings, positive slope that holds in the last
/// quarter, growth of at least 5 % of the limit per hour; alarm above 10 %/h for 15 minutes.
fn coroot(s: &Service) -> Vec<bool> {
    let mut out = vec![false; s.rss.len()];
    let mut streak = 0;
    for i in (0..s.rss.len()).step_by(5) {
        let from = (i + 1).saturating_sub(60).max(run_start(s, i));
        let fires = i + 1 - from >= 48 && coroot_growth(&s.rss[from..=i]).is_some_and(|g| g > 10.0);
        streak = if fires { streak + 5 } else { 0 };
        if streak > 15 {
            out.iter_mut().skip(i).take(5).for_each(|x| *x = true);
        }
    }
    out
}

/// Growth in percent per hour of the longest piece without a halving.
fn coroot_growth(v: &[f64]) -> Option<f64> {
    let mut pieces = vec![0];
    pieces.extend((1..v.len()).filter(|i| v[*i] < 0.5 * v[*i - 1]));
    pieces.push(v.len());
    let longest = pieces.windows(2).map(|p| &v[p[0]..p[1]]).max_by_key(|p| p.len())?;
    if longest.len() < 10 || longest.len() * 3 < v.len() {
        return None;
    }
    let (_, slope, _) = least_squares(longest);
    let tail = &longest[longest.len() - (longest.len() / 4).max(15).min(longest.len())..];
    let (_, tail_slope, _) = least_squares(tail);
    let per_hour = slope * 60.0;
    let material = slope > 0.0 && tail_slope >= 0.3 * slope && per_hour >= 0.05;
    material.then(|| 100.0 * per_hour / longest[0].max(1e-6))
}

/// Straight line over up to six hours with r² ≥ 0.8 that is material and grew by 3 % of the limit.
fn sentinel(s: &Service) -> Vec<bool> {
    let mut out = vec![false; s.rss.len()];
    for i in (0..s.rss.len()).step_by(5) {
        let from = (i + 1).saturating_sub(360).max(run_start(s, i) + 30);
        if i < from + 180 {
            continue;
        }
        let (now, slope, r2) = least_squares(&s.rss[from..=i]);
        if r2 >= 0.8 && slope * (i - from) as f64 >= 0.03 && now + slope * HORIZON > 1.0 {
            out.iter_mut().skip(i).take(5).for_each(|x| *x = true);
        }
    }
    out
}

/// Five-minute medians, hourly rolling median, longest window first with r² > 0.88; limit within 7 days and
/// at least 40 % used.
fn precog(s: &Service) -> Vec<bool> {
    let five: Vec<f64> = s.rss.chunks_exact(5).map(|c| middle(c.to_vec())).collect();
    let smooth: Vec<f64> = (0..five.len()).map(|i| middle(five[i.saturating_sub(11)..=i].to_vec())).collect();
    let mut out = vec![false; s.rss.len()];
    for i in (72..smooth.len()).step_by(TICK / 5) {
        let longest = i + 1;
        let step = ((longest - 72) / 100).max(1);
        let fit = (72..=longest).rev().step_by(step).find_map(|n| {
            let (_, slope, r2) = least_squares(&smooth[i + 1 - n..=i]);
            (r2 > 0.88).then_some(slope)
        });
        let fires =
            fit.is_some_and(|slope| five[i] >= 0.4 && slope > 0.0 && (1.0 - five[i]) / slope <= 2016.0);
        if fires {
            out.iter_mut().skip((i + 1) * 5 - 1).take(TICK).for_each(|x| *x = true);
        }
    }
    out
}

fn middle(mut v: Vec<f64>) -> f64 {
    v.sort_by(f64::total_cmp);
    v[v.len() / 2]
}

/// Theil–Sen slope and Mann–Kendall test on up to 72 means of the window, or of what there is of it after six
/// hours, at every tick.
fn trend_test(v: &[f64], window: usize, hamed_rao: bool) -> Vec<bool> {
    let mut out = vec![false; v.len()];
    let width = window / 72;
    for end in (window.min(360)..v.len()).step_by(TICK) {
        let means: Vec<f64> = v[end.saturating_sub(window)..end]
            .chunks_exact(width)
            .map(|c| c.iter().sum::<f64>() / width as f64)
            .collect();
        let slope = theil_sen(&means);
        let last = middle(means[means.len() - 5..].to_vec());
        let material = slope > 0.0 && last + slope / width as f64 * HORIZON > 1.0;
        if material && mann_kendall(&means, slope, hamed_rao) > 2.326 {
            out.iter_mut().skip(end).take(TICK).for_each(|x| *x = true);
        }
    }
    out
}

/// Median of all pairwise slopes, per step.
pub fn theil_sen(y: &[f64]) -> f64 {
    let mut slopes = Vec::with_capacity(y.len() * y.len() / 2);
    for i in 0..y.len() {
        slopes.extend((i + 1..y.len()).map(|j| (y[j] - y[i]) / (j - i) as f64));
    }
    let k = slopes.len() / 2;
    *slopes.select_nth_unstable_by(k, f64::total_cmp).1
}

/// Normal score of the Mann–Kendall statistic, optionally with the variance corrected for correlation.
fn mann_kendall(y: &[f64], slope: f64, hamed_rao: bool) -> f64 {
    let n = y.len() as f64;
    let mut s = 0.0;
    for i in 0..y.len() {
        s += y[i + 1..]
            .iter()
            .map(|v| (v - y[i]).partial_cmp(&0.0).map_or(0.0, |o| f64::from(o as i8)))
            .sum::<f64>();
    }
    let plain = n * (n - 1.0) * (2.0 * n + 5.0) / 18.0;
    let variance = if hamed_rao { plain * correction(y, slope) } else { plain };
    (s - s.signum()) / variance.sqrt()
}

/// Hamed and Rao: inflation from the significant autocorrelations of the ranks of the detrended series.
fn correction(y: &[f64], slope: f64) -> f64 {
    let n = y.len();
    let flat: Vec<f64> = y.iter().enumerate().map(|(i, v)| v - slope * i as f64).collect();
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|a, b| flat[*a].total_cmp(&flat[*b]));
    let mut rank = vec![0.0; n];
    order.iter().enumerate().for_each(|(r, i)| rank[*i] = r as f64 - (n as f64 - 1.0) / 2.0);
    let square: f64 = rank.iter().map(|r| r * r).sum();
    let nf = n as f64;
    let sum: f64 = (1..n - 2)
        .map(|k| {
            let rho = rank[k..].iter().zip(&rank).map(|(a, b)| a * b).sum::<f64>() / square;
            let kf = k as f64;
            let weight = (nf - kf) * (nf - kf - 1.0) * (nf - kf - 2.0);
            if rho.abs() > 1.96 / nf.sqrt() { weight * rho } else { 0.0 }
        })
        .sum();
    (1.0 + 2.0 * sum / (nf * (nf - 1.0) * (nf - 2.0))).max(0.1)
}

/// What else is asked of a floor that climbs.
#[derive(Clone, Copy)]
struct Floor {
    /// That its later half climbs with three tenths of the slope of its earlier half at least.
    decelerates: bool,
    /// That the least of 200 slopes still reaches the limit, for four hours in a row, and that it grew by 5 % of the limit.
    strict: bool,
}

/// Half-hour minima of a day, Theil–Sen, and a block bootstrap of its residuals, once an hour: fires when the
/// 2.5 % quantile of the slope still reaches the limit within the horizon.
fn floor_bootstrap(v: &[f64], asked: Floor) -> Vec<bool> {
    let mut out = vec![false; v.len()];
    let mut random = 0x1234_5678_9ABC_DEF0_u64;
    for end in (360..v.len()).step_by(60) {
        let from = end.saturating_sub(1440);
        let floor: Vec<f64> = v[from..end]
            .rchunks_exact(30)
            .rev()
            .map(|c| c.iter().copied().fold(f64::INFINITY, f64::min))
            .collect();
        let slope = theil_sen(&floor);
        let last = middle(floor[floor.len() - 3..].to_vec());
        let needed = (1.0 - last) / (HORIZON / 30.0);
        let fires = slope > needed
            && !(asked.decelerates && has_slowed(&floor))
            && !(asked.strict && slope * (floor.len() as f64) < 0.05)
            && bootstrap_low(&floor, slope, 40, &mut random) > needed
            && !(asked.strict && bootstrap_low(&floor, slope, 200, &mut random) <= needed);
        if fires {
            out.iter_mut().skip(end).take(60).for_each(|x| *x = true);
        }
    }
    if asked.strict { held(out.into_iter(), 240) } else { out }
}

fn has_slowed(floor: &[f64]) -> bool {
    let (early, late) = floor.split_at(floor.len() / 2);
    theil_sen(late) < 0.3 * theil_sen(early)
}

/// The slope below which one in forty of so many draws lies; of 200, the least.
fn bootstrap_low(floor: &[f64], slope: f64, draws: usize, random: &mut u64) -> f64 {
    let n = floor.len();
    let residual: Vec<f64> = floor.iter().enumerate().map(|(i, v)| v - slope * i as f64).collect();
    let mut slopes: Vec<f64> = (0..draws)
        .map(|_| {
            let mut y = Vec::with_capacity(n + 4);
            while y.len() < n {
                *random =
                    random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let start = (*random >> 33) as usize % (n - 3);
                y.extend((0..4).map(|k| residual[start + k]));
            }
            y.truncate(n);
            y.iter_mut().enumerate().for_each(|(i, v)| *v += slope * i as f64);
            theil_sen(&y)
        })
        .collect();
    slopes.sort_by(f64::total_cmp);
    slopes[if draws > 100 { 0 } else { 1 }]
}

/// Time to the limit by a straight line through the last `window` minutes: low, middle and high of the
/// textbook 80 % interval, minutes.
pub fn line_interval(v: &[f64], minute: usize, window: usize) -> Option<(f64, f64, f64)> {
    let from = (minute + 1).checked_sub(window)?;
    let y = &v[from..=minute];
    let (now, slope, r2) = least_squares(y);
    let n = y.len() as f64;
    let mean = y.iter().sum::<f64>() / n;
    let total: f64 = y.iter().map(|x| (x - mean).powi(2)).sum();
    let error = (total * (1.0 - r2) / (n - 2.0) / (n * (n * n - 1.0) / 12.0)).sqrt();
    let time = |b: f64| if b > 0.0 { ((1.0 - now) / b).max(0.0) } else { f64::INFINITY };
    Some((time(slope + 1.2816 * error), time(slope), time(slope - 1.2816 * error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_recovered() {
        let y: Vec<f64> = (0..50).map(|i| 0.1 + 0.01 * f64::from(i)).collect();
        let (now, slope, r2) = least_squares(&y);
        assert!((now - 0.59).abs() < 1e-12 && (slope - 0.01).abs() < 1e-12 && (r2 - 1.0).abs() < 1e-9);
        assert!((theil_sen(&y) - 0.01).abs() < 1e-12);
        assert!(mann_kendall(&y, 0.0, false) > 5.0);
    }

    #[test]
    fn a_guard_silences_low_usage() {
        let y: Vec<f64> = (0..600).map(|i| 0.1 + 0.0008 * f64::from(i)).collect();
        assert!(predict(&y, 360, 1440.0, 60, 0.0).iter().any(|x| *x));
        assert!(!predict(&y, 360, 1440.0, 60, 0.7).iter().any(|x| *x));
    }

    #[test]
    fn a_floor_that_slows_down_is_silenced_and_a_strict_rule_waits() {
        let fires = |y: &[f64], decelerates, strict| {
            floor_bootstrap(y, Floor { decelerates, strict }).iter().position(|x| *x)
        };
        let line: Vec<f64> = (0..3000).map(|i| 0.2 + 0.0001 * f64::from(i)).collect();
        let (plain, strict) = (fires(&line, true, false), fires(&line, true, true));
        assert_eq!(plain, fires(&line, false, false));
        assert!(strict.expect("it climbs on") >= plain.expect("it climbs") + 240);
        let fills: Vec<f64> = (0..1440).map(|i| 0.5 - 0.3 * (-f64::from(i) / 200.0).exp()).collect();
        let all = |decelerates| floor_bootstrap(&fills, Floor { decelerates, strict: false });
        let count = |flags: Vec<bool>| flags.iter().filter(|x| **x).count();
        assert!(count(all(true)) < count(all(false)));
    }

    #[test]
    fn every_rule_answers_for_every_minute() {
        let s = crate::services::generate(1, 9, 1);
        for r in &RIVALS {
            assert_eq!((r.rule)(&s).len(), s.rss.len(), "{}", r.name);
        }
    }
}
