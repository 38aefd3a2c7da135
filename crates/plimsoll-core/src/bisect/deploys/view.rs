//! The floors as columns, beside what all processes do as they get older or without that.

use super::fit::{Floors, centred, dot};
use super::products::{LEAST_OWN, Products};

/// Times in which caches fill, seconds.
const FILLS: [f64; 3] = [2.0 * 3600.0, 8.0 * 3600.0, 30.0 * 3600.0];

/// What each process does as it gets older, the same in all lives: it warms up, and its caches fill. Columns over all floors, at right
/// angles to each other.
#[derive(Default)]
pub(super) struct Aging(Vec<Vec<Vec<f64>>>);

impl Aging {
    /// Nothing where no life was seen young.
    pub(super) fn of(floors: &[Floors]) -> Option<Aging> {
        let mut aging = Aging::default();
        for time in FILLS {
            let of = |f: &Floors| centred(f.at.iter().map(|t| (-(t - f.start) / time).exp()).collect());
            let mut column: Vec<Vec<f64>> = floors.iter().map(of).collect();
            let before = total(&column, &column);
            aging.take_out(&mut column);
            let own = total(&column, &column);
            // All lives are older than that, or it goes along with the columns before.
            if own > LEAST_OWN * before && before > LEAST_OWN {
                column.iter_mut().flatten().for_each(|v| *v /= own.sqrt());
                aging.0.push(column);
            }
        }
        (!aging.0.is_empty()).then_some(aging)
    }

    /// Takes what goes with the age out of a column.
    fn take_out(&self, column: &mut [Vec<f64>]) {
        for own in &self.0 {
            let along = total(column, own);
            for (of, own) in column.iter_mut().zip(own) {
                of.iter_mut().zip(own).for_each(|(v, own)| *v -= along * own);
            }
        }
    }
}

/// The product of two columns over all floors.
fn total(a: &[Vec<f64>], b: &[Vec<f64>]) -> f64 {
    a.iter().zip(b).map(|(a, b)| dot(a, b)).sum()
}

/// The floors as columns.
pub(super) struct View {
    aging: Aging,
    time: Vec<Vec<f64>>,
    value: Vec<Vec<f64>>,
    count: f64,
    effective: f64,
}

impl View {
    /// The floors without what goes with the age; so many of them are independent.
    pub(super) fn of(floors: &[Floors], aging: Aging, effective: f64) -> View {
        let mut time: Vec<Vec<f64>> = floors.iter().map(|f| f.time.clone()).collect();
        let mut value: Vec<Vec<f64>> = floors.iter().map(|f| f.value.clone()).collect();
        aging.take_out(&mut time);
        aging.take_out(&mut value);
        let count = floors.iter().map(|f| f.at.len()).sum::<usize>() as f64;
        View { aging, time, value, count, effective }
    }

    /// What of the floors the columns of some causes go along with; `together` says which two are looked at together.
    pub(super) fn products(
        &self,
        mut columns: Vec<Vec<Vec<f64>>>,
        together: impl Fn(usize, usize) -> bool,
    ) -> Products {
        columns.iter_mut().for_each(|column| self.aging.take_out(column));
        let with_all = |of: &Vec<Vec<f64>>| columns.iter().map(|c| total(of, c)).collect::<Vec<f64>>();
        let before = |a: usize| {
            let with = |b: usize| if together(a, b) { total(&columns[a], &columns[b]) } else { f64::NAN };
            (0..a).map(with).collect()
        };
        Products {
            time: total(&self.time, &self.time),
            time_value: total(&self.time, &self.value),
            value: total(&self.value, &self.value),
            active_time: with_all(&self.time),
            active_value: with_all(&self.value),
            active: columns.iter().map(|c| total(c, c)).collect(),
            both: (0..columns.len()).map(before).collect(),
            columns: self.aging.0.len(),
            count: self.count,
            effective: self.effective,
        }
    }

    /// How alike the columns of two causes are beside the slope that all share.
    pub(super) fn likeness(&self, a: &[Vec<f64>], b: &[Vec<f64>]) -> f64 {
        let tt = total(&self.time, &self.time);
        let own =
            |x: &[Vec<f64>], y: &[Vec<f64>]| total(x, y) - total(&self.time, x) * total(&self.time, y) / tt;
        own(a, b) / (own(a, a) * own(b, b)).sqrt()
    }
}
