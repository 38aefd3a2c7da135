//! Scores alarm flags against the labels.

use crate::services::{HEALTHY, Service};

/// What one detector did on one service.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    /// Class of the service.
    pub class: usize,
    /// Alarm while the leak was on and the process alive.
    pub hit: bool,
    /// Hit with at least 30 minutes and a quarter of the life left.
    pub useful: bool,
    /// Alarm on a healthy service, or before the onset.
    pub wrong: bool,
    /// Separate false alarms.
    pub wrong_count: usize,
    /// Healthy days watched.
    pub healthy_days: f64,
    /// Minutes from onset to alarm, and as a share of the life.
    pub delay: Option<(f64, f64)>,
}

/// Scores minute flags of one detector on one service.
pub fn score(service: &Service, alarm: &[bool]) -> Outcome {
    let n = alarm.len();
    let onset = service.onset.unwrap_or(n);
    let end = service.kill.map_or(n, |k| k.min(n).saturating_sub(1));
    let wrong_count = risings(&alarm[..onset.min(n)]).len();
    let first = (onset < end).then(|| (onset..end).find(|i| alarm[*i])).flatten();
    let life = service.life().unwrap_or(f64::INFINITY);
    let useful = first.is_some_and(|i| {
        let left = service.kill.map_or_else(|| service.time_left(i).unwrap_or(0.0), |k| (k - i) as f64);
        left >= 30.0_f64.max(0.25 * life)
    });
    Outcome {
        class: service.class,
        hit: first.is_some(),
        useful,
        wrong: wrong_count > 0,
        wrong_count,
        healthy_days: onset.min(n) as f64 / 1440.0,
        delay: first.map(|i| ((i - onset) as f64, (i - onset) as f64 / life)),
    }
}

/// Separate alarms: rising edges at least an hour after the last flag.
pub fn risings(alarm: &[bool]) -> Vec<usize> {
    let mut last: Option<usize> = None;
    let mut out = Vec::new();
    for (i, _) in alarm.iter().enumerate().filter(|(_, a)| **a) {
        if last.is_none_or(|l| i - l > 60) {
            out.push(i);
        }
        last = Some(i);
    }
    out
}

/// Figures of one detector over all services.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// Right alarms among all alarmed services.
    pub precision: f64,
    /// Leaks found.
    pub recall: f64,
    /// Leaks found with time left.
    pub useful: f64,
    /// Healthy services with at least one alarm.
    pub false_rate: f64,
    /// The same without the cache fill class.
    pub false_rate_no_fill: f64,
    /// Precision if two services in a hundred leak.
    pub precision_at_2: f64,
    /// False alarms per healthy series and day.
    pub per_day: f64,
    /// Median delay, share of the life.
    pub delay_share: f64,
    /// Median delay, hours.
    pub delay_hours: f64,
    /// Alarm rate per class: any alarm when healthy, hits when leaking.
    pub by_class: Vec<f64>,
}

/// Sums outcomes up.
pub fn summarise(outcomes: &[Outcome], classes: usize) -> Summary {
    let share = |of: &[&Outcome], f: &dyn Fn(&Outcome) -> bool| {
        of.iter().filter(|o| f(o)).count() as f64 / of.len().max(1) as f64
    };
    let healthy: Vec<&Outcome> = outcomes.iter().filter(|o| o.class < HEALTHY).collect();
    let leaking: Vec<&Outcome> = outcomes.iter().filter(|o| o.class >= HEALTHY).collect();
    let no_fill: Vec<&Outcome> = healthy.iter().copied().filter(|o| o.class != 4).collect();
    let hits = leaking.iter().filter(|o| o.hit).count() as f64;
    let wrong = outcomes.iter().filter(|o| o.wrong).count() as f64;
    let (recall, false_rate) = (share(&leaking, &|o| o.hit), share(&healthy, &|o| o.wrong));
    let delays =
        |f: &dyn Fn((f64, f64)) -> f64| median(leaking.iter().filter_map(|o| o.delay).map(f).collect());
    Summary {
        precision: hits / (hits + wrong).max(1.0),
        recall,
        useful: share(&leaking, &|o| o.useful),
        false_rate,
        false_rate_no_fill: share(&no_fill, &|o| o.wrong),
        precision_at_2: 0.02 * recall / (0.02 * recall + 0.98 * false_rate).max(1e-12),
        per_day: outcomes.iter().map(|o| o.wrong_count as f64).sum::<f64>()
            / outcomes.iter().map(|o| o.healthy_days).sum::<f64>().max(1e-9),
        delay_share: delays(&|d| d.1),
        delay_hours: delays(&|d| d.0 / 60.0),
        by_class: (0..classes)
            .map(|c| {
                let of: Vec<&Outcome> = outcomes.iter().filter(|o| o.class == c).collect();
                share(&of, &|o| if c < HEALTHY { o.wrong } else { o.hit })
            })
            .collect(),
    }
}

/// Median of a list; NaN when empty.
pub fn median(mut v: Vec<f64>) -> f64 {
    v.sort_by(f64::total_cmp);
    if v.is_empty() { f64::NAN } else { v[v.len() / 2] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::generate;

    #[test]
    fn flags_before_the_onset_are_wrong_and_after_it_right() {
        let s = generate(3, 12, 0);
        let onset = s.onset.expect("a leak");
        let mut alarm = vec![false; s.rss.len()];
        alarm[onset - 5] = true;
        let o = score(&s, &alarm);
        assert!(o.wrong && !o.hit && o.wrong_count == 1);
        alarm[onset - 5] = false;
        alarm[onset + 10] = true;
        let o = score(&s, &alarm);
        assert!(o.hit && o.useful && !o.wrong, "{o:?}");
    }
}
