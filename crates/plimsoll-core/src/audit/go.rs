//! Go's net: a profile that can be asked for, and a collector that knows the limit.

use super::{Check, Fix, Outcome, Severity, Subject, known};
use crate::units::{bytes, parse_bytes, percent};

/// Part of the limit above which GOMEMLIMIT leaves no room for what it does not count.
const MOST: f64 = 0.95;

pub(super) const CHECKS: &[Check] = &[
    Check { id: "go/pprof", title: "profiles can be asked for", run: pprof },
    Check { id: "go/memory-profile", title: "the profile of memory is linked in", run: memory_profile },
    Check { id: "go/memory-limit", title: "the collector knows the limit", run: memory_limit },
    Check { id: "go/traceback", title: "a fatal error tells of every goroutine", run: traceback },
];

fn pprof(s: &Subject) -> Option<Outcome> {
    Some(if *known!(&s.endpoint) {
        Outcome::Holds("/debug/pprof answers".to_owned())
    } else {
        Outcome::Fails(
            Severity::Error,
            "no port of the process answers as pprof: neither goroutines nor the heap profile can be taken"
                .to_owned(),
            Fix::new("serve net/http/pprof on a port of its own, on loopback")
                .patch("import _ \"net/http/pprof\"; go http.ListenAndServe(\"localhost:6060\", nil)"),
        )
    })
}

fn memory_profile(s: &Subject) -> Option<Outcome> {
    Some(if *known!(&s.memory_profile) {
        Outcome::Holds("runtime.MemProfile is in the program".to_owned())
    } else {
        Outcome::Fails(
            Severity::Error,
            "runtime.MemProfile is not reachable, so the linker switched memory profiling off: no heap profile exists in any way".to_owned(),
            Fix::new("import net/http/pprof or runtime/pprof and use it"),
        )
    })
}

fn memory_limit(s: &Subject) -> Option<Outcome> {
    let limit = (*known!(&s.limit))?;
    let set = s.variables.get("GOMEMLIMIT").filter(|v| v.as_str() != "off");
    let fix = || {
        let mib = limit * 0.9 / 1_048_576.0;
        Fix::new("set it to about 90 % of the limit: the collector works harder before the kernel kills; it does not cure a leak")
            .patch(format!("GOMEMLIMIT={mib:.0}MiB"))
    };
    let Some(value) = set else {
        let why =
            "GOMEMLIMIT is not set: with GOGC the heap may double over what lives, up to the kill".to_owned();
        return Some(Outcome::Fails(Severity::Warning, why, fix()));
    };
    let Some(soft) = parse_bytes(value) else {
        return Some(Outcome::Unknown(format!("GOMEMLIMIT={value} is no amount")));
    };
    let said =
        format!("GOMEMLIMIT {} of a limit of {} ({})", bytes(soft), bytes(limit), percent(soft / limit));
    Some(if soft <= limit * MOST {
        Outcome::Holds(said)
    } else {
        Outcome::Fails(Severity::Warning, said, fix())
    })
}

fn traceback(s: &Subject) -> Option<Outcome> {
    let set = s.variables.get("GOTRACEBACK").map(String::as_str);
    Some(match set {
        Some(value @ ("all" | "system" | "crash" | "wer" | "2" | "1")) => {
            Outcome::Holds(format!("GOTRACEBACK={value}"))
        }
        _ => Outcome::Fails(
            Severity::Info,
            "GOTRACEBACK is not set: \"out of memory\" prints one goroutine, not who piles up".to_owned(),
            Fix::new("print all of them").patch("GOTRACEBACK=all"),
        ),
    })
}
