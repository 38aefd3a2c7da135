//! Several files of one process: rotation sets, and logs of one life after another.

use super::GcLog;
use super::life::Life;

impl GcLog {
    /// When the first line with a time was written: Unix time where there is one, else uptime.
    fn begins(&self) -> Option<(bool, f64)> {
        let life = self.lives.first()?;
        let (first, last) = life.span?;
        Some(match life.unix {
            Some(unix) if life.uptime => (true, unix - (last - first)),
            _ => (!life.uptime, first),
        })
    }

    /// The logs in the order of time, where all of them tell Unix time; else as they are given.
    pub fn in_order<'a>(series: &[&'a GcLog]) -> Vec<&'a GcLog> {
        let mut out = series.to_vec();
        if out.iter().all(|l| l.begins().is_some_and(|(unix, _)| unix)) {
            let at = |l: &GcLog| l.begins().map_or(0.0, |(_, t)| t);
            out.sort_by(|a, b| at(a).total_cmp(&at(b)));
        }
        out
    }

    /// All logs as one: a file that goes on where the one before ended belongs to the same life.
    pub fn joined(series: &[&GcLog]) -> Option<GcLog> {
        let ordered = GcLog::in_order(series);
        let (first, rest) = ordered.split_first()?;
        let mut out = (*first).clone();
        for log in rest {
            if log.form != out.form {
                return None;
            }
            let mut lives = log.lives.iter();
            if let (Some(last), Some(next)) = (out.lives.last_mut(), log.lives.first()) {
                if next.holds(last) {
                    // The same file, copied again later: what it said before is in it.
                    out.lives.pop();
                } else if last.goes_on(next) {
                    last.append(next);
                    lives.next();
                }
            }
            lives.for_each(|l| out.begin(l.clone()));
            out.bytes += log.bytes;
            out.truncated = log.truncated.clone();
        }
        Some(out)
    }
}

impl Life {
    /// Whether this is `earlier`, read when its log had become longer.
    fn holds(&self, earlier: &Life) -> bool {
        let (Some((began, ended)), Some((first, last))) = (self.span, earlier.span) else { return false };
        let same = self.process == earlier.process && !earlier.opening.is_empty();
        // Two programs may begin at the same time of their own clocks, and not collect alike.
        same && self.opening.starts_with(&earlier.opening) && began == first && ended >= last
    }

    /// Whether `next` is of the same life.
    fn goes_on(&self, next: &Life) -> bool {
        let later = match (self.span, next.span) {
            (Some((_, end)), Some((begin, _))) => self.uptime == next.uptime && begin >= end - 2.0,
            _ => false,
        };
        let anew = next.first_id == Some(0) || next.collector.is_some_and(|(_, named)| named);
        later && !anew && self.process == next.process
    }
}
