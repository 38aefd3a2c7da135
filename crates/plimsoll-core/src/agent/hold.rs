//! A planned restart that waits until the evidence is stored: what is asked for, and when it is enough.

use serde::{Deserialize, Serialize};

use super::{Event, Level, What, rungs};
use crate::target::RuntimeKind;

/// What somebody who wants to restart asks the agent for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// Names it in the log.
    pub id: String,
    /// When it was asked, seconds since boot: a wall clock that is set meanwhile makes no request old.
    pub time: f64,
    /// The process.
    pub pid: i32,
    /// Its start, seconds after boot: with the pid it names the process for good.
    pub started: f64,
    /// What is asked for; when it is empty, what is taken at the last moment.
    pub artifacts: Vec<String>,
}

/// Seconds after which nobody waits for an answer any more.
const OLD: f64 = 900.0;
/// Seconds for which evidence of the same process stands for a new one.
const FRESH: f64 = 600.0;

impl Request {
    /// What is taken for it.
    pub fn ids(&self, runtime: RuntimeKind) -> Vec<String> {
        if self.artifacts.is_empty() { wanted(runtime) } else { self.artifacts.clone() }
    }

    /// Why it is not done, when it must not be.
    pub fn refusal(&self, now: f64, same_process: bool) -> Option<String> {
        // A clock that was set back must not keep it for ever.
        if !(-OLD..OLD).contains(&(now - self.time)) {
            return Some("it was asked for too long ago".to_owned());
        }
        (!same_process).then(|| format!("pid {} has ended", self.pid))
    }
}

/// What is taken of a program that is about to be restarted, the most telling first.
pub fn wanted(runtime: RuntimeKind) -> Vec<String> {
    rungs(Level::Heavy, runtime).iter().map(|id| (*id).to_owned()).collect()
}

/// How far a hold is.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Progress {
    /// What was stored: the artifact, its folder, and whether it is whole.
    pub stored: Vec<(String, String, bool)>,
    /// What was not taken, and why.
    pub missing: Vec<String>,
    /// Nothing more will come.
    pub over: bool,
}

impl Progress {
    /// Takes in an event; true when it is about this request.
    pub fn take(&mut self, request: &str, e: &Event) -> bool {
        if e.request.as_deref() != Some(request) {
            return false;
        }
        match e.what {
            What::Stored => {
                let folder = e.folder.clone().unwrap_or_default();
                self.stored.push((artifact(&folder).to_owned(), folder, e.whole == Some(true)));
            }
            What::Refused | What::Failed => self.missing.push(e.text.clone()),
            What::Answered => self.over = true,
            _ => {}
        }
        true
    }

    /// Whether it is enough: what was asked for by name, all of it; else the most telling. Why not, otherwise.
    pub fn enough(&self, asked: &[String], runtime: RuntimeKind) -> Result<(), String> {
        let all =
            if asked.is_empty() { wanted(runtime).into_iter().take(1).collect() } else { asked.to_vec() };
        let whole = |id: &&String| self.stored.iter().any(|(have, _, whole)| have == *id && *whole);
        let absent: Vec<&str> = all.iter().filter(|id| !whole(id)).map(String::as_str).collect();
        if absent.is_empty() {
            return Ok(());
        }
        let why = if self.missing.is_empty() && !self.over {
            "no answer came in time".to_owned()
        } else {
            self.missing.join("; ")
        };
        Err(format!("{} is not stored whole: {why}", absent.join(", ")))
    }
}

/// What was stored of the same process lately: then it need not be taken again.
pub fn stored_already<'e>(
    events: impl IntoIterator<Item = &'e Event>,
    (pid, started): (i32, f64),
    now: f64,
) -> Vec<(String, String, bool)> {
    let since = started.max(now - FRESH);
    let pid = pid.to_string();
    let ours = |e: &&Event| {
        // `TIME-NAME-PID-ARTIFACT`
        let folder = e.folder.as_deref().unwrap_or_default();
        let of = folder.rsplit('-').nth(1) == Some(&pid);
        e.what == What::Stored && e.whole == Some(true) && of && (since..=now).contains(&e.time)
    };
    let stored = events.into_iter().filter(ours).filter_map(|e| e.folder.clone());
    stored.map(|folder| (artifact(&folder).to_owned(), folder, true)).collect()
}

fn artifact(folder: &str) -> &str {
    folder.rsplit('-').next().unwrap_or(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(what: What, folder: &str, whole: bool) -> Event {
        Event {
            folder: Some(folder.to_owned()),
            whole: Some(whole),
            request: Some("r".to_owned()),
            ..Event::new(100.0, "w", what, "the reason")
        }
    }

    #[test]
    fn it_is_enough_when_what_tells_most_is_whole() {
        let mut p = Progress::default();
        assert!(p.enough(&[], RuntimeKind::Jvm).is_err_and(|why| why.contains("no answer came in time")));
        assert!(p.take("r", &event(What::Stored, "1-x-7-threads", true)));
        assert!(!p.take("other", &event(What::Stored, "1-x-7-heap", true)), "it is of another request");
        p.take("r", &event(What::Stored, "1-x-7-heap", false));
        p.take("r", &event(What::Failed, "", false));
        let why = p.enough(&[], RuntimeKind::Jvm).expect_err("the heap is cut");
        assert_eq!(why, "heap is not stored whole: the reason");
        assert_eq!(p.enough(&["threads".to_owned()], RuntimeKind::Jvm), Ok(()));
        let both = ["threads".to_owned(), "heap".to_owned()];
        assert!(p.enough(&both, RuntimeKind::Jvm).is_err());
        p.take("r", &event(What::Stored, "2-x-7-heap", true));
        assert_eq!(p.enough(&both, RuntimeKind::Jvm), Ok(()));
        p.take("r", &event(What::Answered, "", false));
        assert!(p.over);
    }

    #[test]
    fn what_was_stored_lately_of_the_same_life_counts() {
        let events = [
            event(What::Stored, "1-x-y-7-heap", true),
            event(What::Stored, "1-x-8-threads", true),
            event(What::Stored, "1-x-7-smaps", false),
        ];
        let found = |started, now| stored_already(&events, (7, started), now);
        assert_eq!(found(90.0, 200.0), [("heap".to_owned(), "1-x-y-7-heap".to_owned(), true)]);
        assert!(found(90.0, 2000.0).is_empty(), "too old");
        assert!(found(150.0, 200.0).is_empty(), "of an earlier life of the pid");
    }

    #[test]
    fn a_request_of_an_earlier_life_or_time_is_refused() {
        let r = Request { id: "r".to_owned(), time: 100.0, pid: 7, started: 1.0, artifacts: Vec::new() };
        assert_eq!(r.refusal(110.0, true), None);
        assert!(r.refusal(110.0, false).is_some_and(|why| why.contains("pid 7 has ended")));
        assert!(r.refusal(5000.0, true).is_some() && r.refusal(-5000.0, true).is_some());
        assert_eq!(r.ids(RuntimeKind::Jvm), ["heap", "threads"]);
    }
}
