//! CPython keeps nothing when it is killed: what can be asked for before.

use super::{Check, Fix, Outcome, Severity, Subject};

pub(super) const CHECKS: &[Check] = &[
    Check { id: "python/tracemalloc", title: "allocations are traced", run: tracemalloc },
    Check { id: "python/remote-debug", title: "a census can be run inside", run: remote },
    Check { id: "python/arenas", title: "freed memory can go back", run: arenas },
];

fn tracemalloc(s: &Subject) -> Option<Outcome> {
    Some(match s.variables.get("PYTHONTRACEMALLOC").filter(|v| *v != "0" && !v.is_empty()) {
        Some(frames) => Outcome::Holds(format!("PYTHONTRACEMALLOC={frames}")),
        None => Outcome::Fails(
            Severity::Info,
            "tracemalloc is off: who allocates can only be sampled from outside (stacks), not read back"
                .to_owned(),
            Fix::new("switch it on for one replica: it takes memory and time").patch("PYTHONTRACEMALLOC=1"),
        ),
    })
}

fn remote(s: &Subject) -> Option<Outcome> {
    let version = s.version.as_deref()?;
    let minor: u32 = version.strip_prefix("3.")?.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?;
    if minor < 14 {
        return None;
    }
    let off = s.variables.get("PYTHON_DISABLE_REMOTE_DEBUG").is_some_and(|v| !v.is_empty());
    Some(if off {
        Outcome::Fails(
            Severity::Warning,
            "PYTHON_DISABLE_REMOTE_DEBUG is set: no census of live objects can be run".to_owned(),
            Fix::new("take the variable away"),
        )
    } else {
        Outcome::Holds("sys.remote_exec is allowed".to_owned())
    })
}

fn arenas(s: &Subject) -> Option<Outcome> {
    let set = s.variables.get("MALLOC_ARENA_MAX");
    Some(match set {
        Some(n) => Outcome::Holds(format!("MALLOC_ARENA_MAX={n}")),
        None => Outcome::Fails(
            Severity::Info,
            "MALLOC_ARENA_MAX is not set: with many threads glibc keeps freed memory in up to 8 arenas a core".to_owned(),
            Fix::new("bound it where threads allocate much").patch("MALLOC_ARENA_MAX=2"),
        ),
    })
}
