//! Lists of mappings among the other artifacts.

use std::io::Read;

use super::area::{Area, Columns};
use super::conclude::{MapsReport, conclude};
use super::{Survey, survey};
use crate::formats::{Kind, Reading};
use crate::reading::Context;

/// Lines that may stand before the first mapping: a command's echo, the process.
const LINES: usize = 8;

impl Survey {
    /// What it concludes.
    pub fn report(&self, context: &Context) -> Option<MapsReport> {
        conclude(&[self], context)
    }

    /// What changed over several, oldest first; none when some have resident memory and others do not.
    pub fn change(series: &[&Survey], context: &Context) -> Option<MapsReport> {
        let first = series.first()?;
        let alike = |s: &&Survey| {
            s.has_resident() == first.has_resident() && s.uses.is_empty() == first.uses.is_empty()
        };
        series.iter().all(alike).then(|| conclude(series, context))?
    }
}

fn told(report: &MapsReport) -> Reading {
    Reading::new(&report.head, report, report.tables())
}

impl Kind for Survey {
    const NAME: &'static str = "mappings";
    const IS_IN_LOGS: bool = false;

    fn looks_like(head: &[u8]) -> bool {
        let text = String::from_utf8_lossy(head.get(..head.len().min(8 << 10)).unwrap_or_default());
        let plain = |line: &str| {
            let mut words = line.split_ascii_whitespace().skip(2);
            let access = words.next().filter(|a| a.len() == 5 && a.bytes().all(|b| b"rwxsR-".contains(&b)));
            access.is_some() && Columns::Plain.row(line).is_some()
        };
        // What follows in a heap profile is the profile's.
        let mut own = text.lines().take(LINES).take_while(|l| *l != "MAPPED_LIBRARIES:");
        own.any(|l| Area::header(l).is_some() || Columns::of(l).is_some() || plain(l))
    }

    fn parse(from: &mut dyn Read) -> Option<Self> {
        survey(from)
    }

    fn reading(&self, context: &Context) -> Reading {
        match self.report(context) {
            Some(report) => told(&report),
            None => Reading::from(crate::reading::Report::default()),
        }
    }

    fn known(&self) -> Context {
        let rss = (self.has_resident() && self.truncated.is_none()).then_some(self.total.resident);
        Context { rss, ..Context::default() }
    }

    fn change(series: &[&Self], context: &Context) -> Option<Reading> {
        Survey::change(series, context).as_ref().map(told)
    }
}
