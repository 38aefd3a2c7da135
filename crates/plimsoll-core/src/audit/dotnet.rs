//! .NET's net: a dump on a crash, and a bound of the heap within the limit.

use super::{Check, Fix, Outcome, Severity, Subject};

pub(super) const CHECKS: &[Check] = &[
    Check { id: "dotnet/dump", title: "a crash leaves a dump", run: dump },
    Check { id: "dotnet/heap-bound", title: "the heap is bounded within the limit", run: bound },
    Check { id: "dotnet/diagnostics", title: "evidence can be asked for live", run: diagnostics },
];

fn variable<'s>(s: &'s Subject, name: &str) -> Option<&'s str> {
    let of = |prefix: &str| s.variables.get(&format!("{prefix}_{name}")).map(String::as_str);
    of("DOTNET").or_else(|| of("COMPlus"))
}

fn dump(s: &Subject) -> Option<Outcome> {
    Some(match (variable(s, "DbgEnableMiniDump"), variable(s, "DbgMiniDumpName")) {
        (Some("1"), Some(name)) => Outcome::Holds(format!("a crash writes {name}")),
        (Some("1"), None) => Outcome::Fails(
            Severity::Warning,
            "a crash writes its dump to /tmp, which goes with the container".to_owned(),
            Fix::new("name a place on a volume").patch("DOTNET_DbgMiniDumpName=/dumps/core.%p"),
        ),
        _ => Outcome::Fails(
            Severity::Warning,
            "no dump on a crash; a kernel kill leaves none in any case".to_owned(),
            Fix::new("switch it on").patch(
                "DOTNET_DbgEnableMiniDump=1 DOTNET_DbgMiniDumpType=2 DOTNET_DbgMiniDumpName=/dumps/core.%p",
            ),
        ),
    })
}

fn bound(s: &Subject) -> Option<Outcome> {
    for name in ["GCHeapHardLimit", "GCHeapHardLimitPercent"] {
        if let Some(value) = variable(s, name) {
            return Some(Outcome::Holds(format!("{name}={value}")));
        }
    }
    match &s.limit {
        Ok(Some(_)) => Some(Outcome::Holds("unset: 75 % of the container's limit".to_owned())),
        Ok(None) => None,
        Err(why) => Some(Outcome::Unknown(why.clone())),
    }
}

fn diagnostics(s: &Subject) -> Option<Outcome> {
    let off = variable(s, "EnableDiagnostics") == Some("0");
    Some(if off {
        Outcome::Fails(
            Severity::Warning,
            "DOTNET_EnableDiagnostics=0: no dump, no trace, no counters on request".to_owned(),
            Fix::new("take the variable away"),
        )
    } else {
        Outcome::Holds("the diagnostics port is open".to_owned())
    })
}
