//! `malloc_info` among the other artifacts.

use std::io::Read;

use super::conclude::{MallocReport, conclude};
use super::{Info, Infos, read};
use crate::formats::{Kind, Reading};
use crate::reading::{Context, Report};

impl Infos {
    /// What it concludes.
    pub fn report(&self, context: &Context) -> Option<MallocReport> {
        conclude(&self.all.iter().collect::<Vec<_>>(), self, context)
    }

    /// What changed over several, oldest first.
    pub fn change(series: &[&Infos], context: &Context) -> Option<MallocReport> {
        let last = series.last()?;
        let all: Vec<&Info> = series.iter().flat_map(|i| &i.all).collect();
        (all.len() > 1).then(|| conclude(&all, last, context))?
    }
}

fn told(report: &MallocReport) -> Reading {
    Reading::new(&report.head, report, report.tables())
}

impl Kind for Infos {
    const NAME: &'static str = "malloc-info";
    const IS_IN_LOGS: bool = true;

    fn looks_like(head: &[u8]) -> bool {
        head.split(|b| *b == b'\n').any(|l| l.trim_ascii_start().starts_with(b"<malloc version=\""))
    }

    fn parse(from: &mut dyn Read) -> Option<Self> {
        read(from)
    }

    fn reading(&self, context: &Context) -> Reading {
        self.report(context).as_ref().map_or_else(|| Report::default().into(), told)
    }

    fn change(series: &[&Self], context: &Context) -> Option<Reading> {
        Infos::change(series, context).as_ref().map(told)
    }
}
