//! Node's net: V8's bound within the limit, and evidence near it that fits.

use super::{Check, Fix, Outcome, Severity, Subject, Survival, known};
use crate::units::{bytes, percent};

/// Memory that a heap snapshot takes beside the heap, times the heap (measured: 12 with small objects).
const SNAPSHOT: f64 = 12.0;
/// Part of the limit that V8's bound may take: buffers, code and threads need the rest.
const MOST: f64 = 0.8;

pub(super) const CHECKS: &[Check] = &[
    Check { id: "node/heap-bound", title: "V8 reaches its bound before the kernel kills", run: bound },
    Check { id: "node/near-limit", title: "something is kept near V8's bound, and fits", run: near_limit },
    Check { id: "node/report", title: "a fatal error leaves a report", run: report },
    Check { id: "node/place", title: "snapshots and reports go to a place that lasts", run: place },
];

fn bound(s: &Subject) -> Option<Outcome> {
    let limit = (*known!(&s.limit))?;
    let heap = match &s.heap_max {
        Ok(heap) => *heap,
        Err(why) => {
            let set = known!(s.flag("--max-old-space-size")).is_some();
            let why = if set { why.clone() } else { format!("--max-old-space-size is not set, and {why}") };
            return Some(Outcome::Unknown(why));
        }
    };
    let mib = limit * 0.75 / 1_048_576.0;
    let fix = Fix::new("bound the old space to three quarters of the limit")
        .patch(format!("--max-old-space-size={mib:.0}"));
    let said = format!("V8 may take {} of {} ({})", bytes(heap), bytes(limit), percent(heap / limit));
    Some(match heap / limit {
        x if x >= 1.0 => Outcome::Fails(
            Severity::Error,
            format!("{said}: the kernel kills first, and nothing is kept"),
            fix,
        ),
        x if x > MOST => Outcome::Fails(
            Severity::Warning,
            format!("{said}: buffers, code and threads must fit the rest"),
            fix,
        ),
        _ => Outcome::Holds(said),
    })
}

fn near_limit(s: &Subject) -> Option<Outcome> {
    let set = known!(s.flag("--heapsnapshot-near-heap-limit"));
    let Some(_) = set else {
        let why = "--heapsnapshot-near-heap-limit is not set: a full heap ends the process without evidence";
        let fix = Fix::new(
            "set it only where twelve times the heap fits the limit; else let a sampling profile run",
        )
        .patch("--heapsnapshot-near-heap-limit=1");
        return Some(Outcome::Fails(Severity::Warning, why.to_owned(), fix));
    };
    let Some(limit) = *known!(&s.limit) else {
        return Some(Outcome::Holds("it is set, and there is no limit".to_owned()));
    };
    let heap = *known!(&s.heap_max);
    let needed = heap * (1.0 + SNAPSHOT);
    let said = format!(
        "a snapshot near the bound needs up to {} beside the heap, limit {}",
        bytes(heap * SNAPSHOT),
        bytes(limit)
    );
    Some(if needed <= limit {
        Outcome::Holds(said)
    } else {
        let fix = Fix::new(
            "lower the bound, raise the limit, or take sampling profiles (plimsoll capture --artifact sampling)",
        );
        Outcome::Fails(
            Severity::Error,
            format!("{said}: the kernel kills while it is written, and leaves an empty file"),
            fix,
        )
    })
}

fn report(s: &Subject) -> Option<Outcome> {
    Some(match known!(s.flag("--report-on-fatalerror")) {
        Some(_) => Outcome::Holds("--report-on-fatalerror is set".to_owned()),
        None => Outcome::Fails(
            Severity::Info,
            "a fatal error leaves only its message".to_owned(),
            Fix::new("a report costs nothing until then").patch("--report-on-fatalerror"),
        ),
    })
}

fn place(s: &Subject) -> Option<Outcome> {
    let Some(room) = known!(&s.dump) else {
        let fix =
            Fix::new("name a folder on a volume that outlives the pod").patch("--diagnostic-dir=/dumps");
        let why = "--diagnostic-dir is not set: files go to the working directory";
        return Some(Outcome::Fails(Severity::Info, why.to_owned(), fix));
    };
    let path = &room.path;
    let fails = |why: String| {
        Some(Outcome::Fails(
            Severity::Warning,
            why,
            Fix::new("name a folder on a volume that outlives the pod"),
        ))
    };
    match (room.in_memory, room.survives) {
        (Some(true), _) => fails(format!("{path} is memory (tmpfs): its files count against the limit")),
        (_, Some(Survival::Nothing)) => fails(format!("{path} goes when the container restarts")),
        (_, Some(_)) => Some(Outcome::Holds(path.clone())),
        (_, None) => Some(Outcome::Unknown(format!("whether {path} outlives the container cannot be told"))),
    }
}
