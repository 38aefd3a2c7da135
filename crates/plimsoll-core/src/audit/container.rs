//! What holds for every container: its limit, its probes, its end.

use super::{Check, Fix, Outcome, Severity, Subject, known};
use crate::target::RuntimeKind;
use crate::units::{bytes, duration};

/// Seconds that a heap dump stops a JVM per GiB of heap, on a quiet disk, at most.
const PAUSE: f64 = 3.0;
const GIB: f64 = 1_073_741_824.0;
/// Seconds that a capture needs at least between SIGTERM and SIGKILL.
const GRACE: f64 = 30.0;

pub(super) const CHECKS: &[Check] = &[
    Check { id: "container/limit", title: "a memory limit is set", run: limit },
    Check { id: "container/probe", title: "a dump does not trip the liveness probe", run: probe },
    Check { id: "container/grace", title: "there is time to keep evidence at the end", run: grace },
    Check { id: "container/oom-group", title: "the container dies as a whole or not at all", run: oom_group },
];

fn limit(s: &Subject) -> Option<Outcome> {
    Some(match known!(&s.limit) {
        Some(limit) => Outcome::Holds(bytes(*limit)),
        None => Outcome::Fails(
            Severity::Warning,
            "no memory limit: a leak takes its neighbours along before the kernel picks somebody".to_owned(),
            Fix::new("set one from the working set that was seen")
                .patch("resources: {limits: {memory: 512Mi}}"),
        ),
    })
}

fn probe(s: &Subject) -> Option<Outcome> {
    // Only a dump of the heap stops a process for long.
    if !matches!(s.runtime, Some(RuntimeKind::Jvm | RuntimeKind::Node)) {
        return None;
    }
    let Some(budget) = *known!(&s.probe_budget) else {
        return Some(Outcome::Holds("there is no liveness probe".to_owned()));
    };
    let pause = PAUSE * known!(&s.heap_max) / GIB;
    let said = format!(
        "a dump of the full heap stops it for up to {}, its probe gives {}",
        duration(pause),
        duration(budget)
    );
    Some(if pause <= budget {
        Outcome::Holds(said)
    } else {
        Outcome::Fails(
            Severity::Warning,
            format!("{said}: it is restarted in the middle, and the dump is cut"),
            Fix::new("raise failureThreshold, or drain the replica and relax its probe before a dump").patch(
                format!(
                    "livenessProbe: {{failureThreshold: {:.0}, periodSeconds: 10}}",
                    (pause / 10.0).ceil() + 1.0
                ),
            ),
        )
    })
}

fn grace(s: &Subject) -> Option<Outcome> {
    let Ok(grace) = s.grace else { return None };
    Some(if grace >= GRACE {
        Outcome::Holds(format!("{} between SIGTERM and SIGKILL", duration(grace)))
    } else {
        Outcome::Fails(
            Severity::Info,
            format!("only {} between SIGTERM and SIGKILL", duration(grace)),
            Fix::new("give a capture in preStop its time").patch("terminationGracePeriodSeconds: 60"),
        )
    })
}

fn oom_group(s: &Subject) -> Option<Outcome> {
    // Without a limit of its own it is no container, but whatever runs beside it.
    s.limit.as_ref().ok().copied().flatten()?;
    let Ok(whole) = s.whole_group else { return None };
    let processes = s.processes.as_ref().copied().unwrap_or(0);
    Some(match (whole, processes) {
        (true, _) => Outcome::Holds("memory.oom.group is set".to_owned()),
        (false, 0..=1) => return None,
        (false, n) => Outcome::Fails(
            Severity::Info,
            format!(
                "the kernel kills one of {n} processes: the container may go on without it, and no restart shows it"
            ),
            Fix::new("let the container die as a whole").patch("memory.oom.group=1"),
        ),
    })
}
