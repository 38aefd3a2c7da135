//! Collection logs among the other artifacts.

use std::io::Read;

use super::GcLog;
use crate::formats::{Kind, Reading};
use crate::reading::Context;

impl Kind for GcLog {
    const NAME: &'static str = "gc-log";
    const IS_IN_LOGS: bool = true;

    fn looks_like(head: &[u8]) -> bool {
        super::looks_like(head)
    }

    fn parse(from: &mut dyn Read) -> Option<Self> {
        super::parse(from)
    }

    fn reading(&self, context: &Context) -> Reading {
        let report = self.report(context);
        Reading::new(&report.head, &report, report.tables())
    }

    fn change(series: &[&Self], context: &Context) -> Option<Reading> {
        let joined = GcLog::joined(series)?;
        let report = joined.report(context);
        Some(Reading::new(&report.head, &report, report.tables()))
    }
}
