//! Reports of native memory tracking among the other artifacts.

use std::io::Read;

use super::conclude::conclude;
use super::{NmtReport, Reports, Tracking, text};
use crate::formats::{Kind, Reading};
use crate::reading::Context;

impl Reports {
    /// What it concludes: of one report by itself, of several what changed.
    pub fn report(&self, context: &Context) -> NmtReport {
        let all: Vec<&Tracking> = self.all.iter().collect();
        conclude(&all, self, context)
    }

    /// What changed over several, oldest first.
    pub fn change(series: &[&Reports], context: &Context) -> Option<NmtReport> {
        let last = series.last()?;
        let all: Vec<&Tracking> = series.iter().flat_map(|r| &r.all).collect();
        let mut report = (all.len() > 1).then(|| conclude(&all, last, context))?;
        if let Some(why) = series.iter().rev().skip(1).find_map(|r| r.truncated.as_ref()) {
            report.head.warnings.push(format!("an earlier one is not whole: {why}"));
        }
        Some(report)
    }
}

fn told(report: &NmtReport) -> Reading {
    Reading::new(&report.head, report, report.tables())
}

impl Kind for Reports {
    const NAME: &'static str = "nmt";
    const IS_IN_LOGS: bool = true;

    fn looks_like(head: &[u8]) -> bool {
        let starts = |line: &[u8]| {
            let line = line.trim_ascii();
            line == b"Native Memory Tracking:"
                || line.starts_with(b"Native memory tracking is not enabled")
                || line.starts_with(b"Total: reserved=")
        };
        head.split(|b| *b == b'\n').any(starts)
    }

    fn parse(from: &mut dyn Read) -> Option<Self> {
        text::read(from)
    }

    fn reading(&self, context: &Context) -> Reading {
        told(&self.report(context))
    }

    fn change(series: &[&Self], context: &Context) -> Option<Reading> {
        Reports::change(series, context).as_ref().map(told)
    }
}
