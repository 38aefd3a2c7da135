//! Goroutine dumps among the other artifacts.

use std::io::Read;

use super::{Form, Goroutines, grouped, header, over, parse_stacks, profile};
use crate::formats::{Kind, Reading};
use crate::pprof::Profile;
use crate::reading::{Context, Table, steps};

/// Rows of a table.
const ROWS: usize = 12;

impl Goroutines {
    /// The goroutines of a profile; none when it counts something else.
    pub fn of(profile: &Profile) -> Option<Goroutines> {
        profile::read(profile)
    }
}

impl Kind for Goroutines {
    const NAME: &'static str = "goroutines";
    const IS_IN_LOGS: bool = true;

    fn looks_like(head: &[u8]) -> bool {
        grouped::is(head)
            || head
                .split(|b| *b == b'\n')
                .any(|l| l.first() != Some(&b'\t') && header::header(l.trim_ascii_end()).is_some())
    }

    fn parse(from: &mut dyn Read) -> Option<Self> {
        let mut head = Vec::new();
        from.take(64).read_to_end(&mut head).ok()?;
        if grouped::is(&head) {
            return grouped(head.chain(from));
        }
        parse_stacks(head.chain(from))
    }

    fn reading(&self, context: &Context) -> Reading {
        match context.goroutines.filter(|n| self.is_part() && self.said.is_none() && *n > self.counted) {
            Some(total) => self.clone().with_total(total).report().into(),
            None => self.report().into(),
        }
    }

    fn known(&self) -> Context {
        let whole =
            self.said.or((self.form == Form::Profile && self.truncated.is_none()).then_some(self.counted));
        let goroutines = whole.filter(|_| self.form != Form::Stacks && !self.leaks_only);
        Context { goroutines, ..Context::default() }
    }

    fn is_alone(&self) -> bool {
        self.strangers == 0
    }

    fn change(series: &[&Self], _: &Context) -> Option<Reading> {
        let growth = over(series);
        let rows = growth.changes.iter().filter(|c| c.delta() > 0).take(ROWS).map(|c| {
            vec![
                format!("{:+}", c.delta()),
                steps(&c.counts),
                c.what.clone(),
                c.creator.clone().unwrap_or_default(),
            ]
        });
        let table = Table {
            title: "More than before".to_owned(),
            head: vec!["#more", "counts", "what and where", "started by"],
            rows: rows.collect(),
        };
        Some(Reading::new(&growth.head, &growth, vec![table]))
    }
}
