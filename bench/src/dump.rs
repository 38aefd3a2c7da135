//! What the posteriors of a run said, tick by tick, as a text file: alarm policies can be tried on it without asking again.
//!
//! A line `S` opens a series: set, name, class, seed of the leak (0 without one), its minutes, and onset and death in minutes (empty
//! without a leak). The lines `T` behind it are its ticks: minute, probability of death within 1, 3, 7 and 10 days, of a leak,
//! time left (low, middle, high; hours), floor, level that kills, slope per hour (low, middle, high), hours seen, onset (minute, or
//! empty), floor points, the same if they were independent, shape, and how often such climbs go on (or empty). Amounts are shares of the limit.

use std::fs::File;
use std::io::{BufWriter, Error, Write};
use std::path::Path;

use plimsoll_core::slope::{Interval, Posterior};

use crate::replay::LIMIT;

const DAY: f64 = 86_400.0;

/// One series of a dump.
#[derive(Debug, Clone, Copy)]
pub struct Series<'a> {
    /// Where it comes from.
    pub set: &'a str,
    /// Its name there.
    pub name: &'a str,
    /// Its class, where there are classes.
    pub class: usize,
    /// Seed of the leak that was added; 0 for none.
    pub seed: u64,
    /// Its length.
    pub minutes: usize,
    /// Onset and death of the leak, minutes.
    pub leak: Option<(f64, f64)>,
}

/// A dump that is being written.
pub struct Dump(BufWriter<File>);

impl Dump {
    /// A new file.
    pub fn create(path: &Path) -> Result<Dump, Error> {
        Ok(Dump(BufWriter::new(File::create(path)?)))
    }

    /// Writes what [`lines`] made of some series.
    pub fn write(&mut self, lines: &str) -> Result<(), Error> {
        self.0.write_all(lines.as_bytes())
    }
}

/// The lines of one series.
pub fn lines(series: Series<'_>, ticks: &[(usize, Option<Posterior>)]) -> String {
    let leak = series.leak.map_or(",".to_owned(), |(onset, death)| format!("{onset:.0},{death:.0}"));
    let Series { set, name, class, seed, minutes, .. } = series;
    let mut out = format!("S,{set},{name},{class},{seed},{minutes},{leak}\n");
    for (minute, posterior) in ticks {
        match posterior {
            Some(p) => out += &tick(*minute, p),
            None => out += &format!("T,{minute}\n"),
        }
    }
    out
}

fn tick(minute: usize, p: &Posterior) -> String {
    let within = [1.0, 3.0, 7.0, 10.0].map(|days| format!("{:.3}", p.p_within(days * DAY))).join(",");
    let interval =
        |i: Interval, unit: f64| [i.low, i.mid, i.high].map(|x| format!("{:.5}", x / unit)).join(",");
    let goes_on = p.goes_on.map_or(String::new(), |g| format!("{g:.4}"));
    let onset = p.onset.map_or(String::new(), |o| format!("{:.0}", o.mid / 60.0));
    format!(
        "T,{minute},{within},{:.3},{},{:.5},{:.5},{},{:.2},{onset},{},{:.1},{:?},{goes_on}\n",
        p.p_leak,
        interval(p.time_to_limit, 3600.0),
        p.floor / LIMIT,
        p.death_level / LIMIT,
        interval(p.slope, LIMIT / 3600.0),
        p.span / 3600.0,
        p.floor_points,
        p.effective_points,
        p.shape
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::Seen;
    use crate::services::generate;

    #[test]
    fn every_tick_is_a_line_of_as_many_fields() {
        let service = generate(1, 8, 0);
        let ticks = Seen::new(&service, true).ticks();
        let series =
            Series { set: "x", name: "y", class: 8, seed: 0, minutes: 4320, leak: Some((100.0, 200.4)) };
        let text = lines(series, &ticks);
        assert_eq!(text.lines().count(), ticks.len() + 1);
        assert!(text.starts_with("S,x,y,8,0,4320,100,200\n"), "{text}");
        let fields: Vec<usize> = text.lines().skip(1).map(|l| l.split(',').count()).collect();
        assert!(fields.iter().all(|n| *n == 21 || *n == 2) && fields.contains(&21), "{fields:?}");
    }
}
