//! Alerts of a monitoring system: each is written down, and the workload that it means is judged at once.

use std::collections::VecDeque;

use plimsoll_core::agent::{About, Event, What};
use plimsoll_core::incident::alert::{Alert, Known};
use plimsoll_core::incident::fingerprint;
use plimsoll_read::alertmanager::Notification;

use super::{Agent, outlook};

/// Alerts that are remembered, so that a repetition is no news.
const REMEMBERED: usize = 1024;

/// What has come in before.
#[derive(Debug, Default)]
pub(super) struct Heard(VecDeque<(String, bool)>);

impl Heard {
    /// Whether an alert says something new: it is unknown, or fires no more, or again.
    fn is_news(&mut self, alert: &Alert) -> bool {
        let last = self.0.iter_mut().find(|(identity, _)| *identity == alert.identity);
        match last {
            Some((_, fires)) => std::mem::replace(fires, alert.fires) != alert.fires,
            None => {
                self.0.truncate(REMEMBERED - 1);
                self.0.push_front((alert.identity.clone(), alert.fires));
                true
            }
        }
    }
}

impl Agent {
    /// Takes in alerts: each opens an incident, or adds to one.
    pub fn alerted(&mut self, posted: &Notification) {
        for alert in &posted.alerts {
            if self.heard.is_news(alert) {
                self.take_alert(alert);
            }
        }
        if posted.left_out > 0 {
            let text = format!("{} alerts of one notification were left out", posted.left_out);
            self.write(self.journal.event("agent", What::Refused, text));
        }
    }

    fn take_alert(&mut self, alert: &Alert) {
        let known: Vec<Known<'_>> =
            self.rows.iter().map(|r| Known { workload: &r.workload, pid: r.pid, name: &r.name }).collect();
        let meant = alert.means(&known).map(|k| (k.workload.to_owned(), k.pid));
        let (workload, pid) = match meant {
            Some((workload, pid)) => (workload, Some(pid)),
            None => (alert.subject(), None),
        };
        let about = About { fires: Some(alert.fires), ..About::default() };
        let event = self.journal.event(&workload, What::Alerted, alert.in_words());
        self.write(Event { about: Some(about.clone()), ..event });
        if !alert.fires {
            return;
        }
        let Some((recording, judgement)) = pid.and_then(|pid| self.view(pid)) else {
            let text = "no triage: none of its labels (workload, id, pid, process, container) names one process that is watched here";
            let event = self.journal.event(&workload, What::Alerted, text);
            self.write(Event { about: Some(about), ..event });
            return;
        };
        let text = format!("triage: {}", outlook::finding(&judgement));
        // Only what has a cause is known again.
        let event = match fingerprint(&recording, &judgement) {
            Some(found) => Event {
                about: Some(About { fingerprint: Some(found), ..About::default() }),
                ..self.journal.event(&workload, What::Found, text)
            },
            None => Event { about: Some(about), ..self.journal.event(&workload, What::Alerted, text) },
        };
        self.write(event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repetition_is_no_news_and_what_is_remembered_is_bounded() {
        let mut heard = Heard::default();
        let alert = |n: usize, fires| Alert { fires, identity: n.to_string(), ..Alert::default() };
        let told: Vec<bool> =
            [true, true, false, false, true].map(|fires| heard.is_news(&alert(0, fires))).to_vec();
        assert_eq!(told, [true, false, true, false, true]);
        (1..=REMEMBERED).for_each(|n| assert!(heard.is_news(&alert(n, true))));
        assert_eq!(heard.0.len(), REMEMBERED);
        assert!(heard.is_news(&alert(0, true)), "the oldest is forgotten");
    }
}
