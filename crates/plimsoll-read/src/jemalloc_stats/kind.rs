//! jemalloc's statistics among the other artifacts.

use std::io::Read;

use super::conclude::{JemallocReport, conclude};
use super::{AllStats, Stats, read};
use crate::formats::{Kind, Reading};
use crate::reading::{Context, Report};

impl AllStats {
    /// What it concludes.
    pub fn report(&self, context: &Context) -> Option<JemallocReport> {
        conclude(&self.all.iter().collect::<Vec<_>>(), self, context)
    }

    /// What changed over several, oldest first.
    pub fn change(series: &[&AllStats], context: &Context) -> Option<JemallocReport> {
        let last = series.last()?;
        let all: Vec<&Stats> = series.iter().flat_map(|s| &s.all).collect();
        (all.len() > 1).then(|| conclude(&all, last, context))?
    }
}

fn told(report: &JemallocReport) -> Reading {
    Reading::new(&report.head, report, report.tables())
}

impl Kind for AllStats {
    const NAME: &'static str = "jemalloc-stats";
    const IS_IN_LOGS: bool = true;

    fn looks_like(head: &[u8]) -> bool {
        let json = head.trim_ascii_start().strip_prefix(b"{").map(<[u8]>::trim_ascii_start);
        json.is_some_and(|j| j.starts_with(b"\"jemalloc\":"))
            || head
                .split(|b| *b == b'\n')
                .any(|l| l.trim_ascii().ends_with(b"___ Begin jemalloc statistics ___"))
    }

    fn parse(from: &mut dyn Read) -> Option<Self> {
        read(from)
    }

    fn reading(&self, context: &Context) -> Reading {
        self.report(context).as_ref().map_or_else(|| Report::default().into(), told)
    }

    fn change(series: &[&Self], context: &Context) -> Option<Reading> {
        AllStats::change(series, context).as_ref().map(told)
    }
}
