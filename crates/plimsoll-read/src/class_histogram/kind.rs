//! Class histograms among the other artifacts.

use std::io::Read;

use super::conclude::{HistogramReport, conclude};
use super::whole::{self, Histogram, Histograms};
use crate::formats::{Kind, Reading};
use crate::reading::{Context, Report};

impl Histograms {
    /// What it concludes: of one by itself, of several what changed.
    pub fn report(&self, context: &Context) -> Option<HistogramReport> {
        conclude(&self.all.iter().collect::<Vec<_>>(), self, context)
    }

    /// What changed over several, oldest first.
    pub fn change(series: &[&Histograms], context: &Context) -> Option<HistogramReport> {
        let last = series.last()?;
        let all: Vec<&Histogram> = series.iter().flat_map(|h| &h.all).collect();
        (all.len() > 1).then(|| conclude(&all, last, context))?
    }
}

fn told(report: &HistogramReport) -> Reading {
    Reading::new(&report.head, report, report.tables())
}

impl Kind for Histograms {
    const NAME: &'static str = "class-histogram";
    const IS_IN_LOGS: bool = true;

    fn looks_like(head: &[u8]) -> bool {
        head.split(|b| *b == b'\n')
            .any(|l| l.len() < 200 && whole::head(&String::from_utf8_lossy(l)).is_some())
    }

    fn parse(from: &mut dyn Read) -> Option<Self> {
        whole::read(from)
    }

    fn reading(&self, context: &Context) -> Reading {
        self.report(context).as_ref().map_or_else(|| Report::default().into(), told)
    }

    fn change(series: &[&Self], context: &Context) -> Option<Reading> {
        Histograms::change(series, context).as_ref().map(told)
    }
}
