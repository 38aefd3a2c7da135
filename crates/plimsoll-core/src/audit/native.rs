//! Programs without a managed runtime: cores, and what their allocator can tell.

use super::{Check, Fix, Outcome, Severity, Subject, known};

pub(super) const CHECKS: &[Check] = &[
    Check { id: "native/core", title: "a crash leaves a core", run: core },
    Check { id: "native/profile", title: "the allocator can say who allocates", run: profile },
];

fn core(s: &Subject) -> Option<Outcome> {
    let (pattern, limit) = known!(&s.core);
    let fix = Fix::new("raise the limit of cores, and give them a folder on a disk; a kernel kill (SIGKILL) leaves none in any case")
        .patch("ulimit -c unlimited");
    Some(if pattern.starts_with('|') {
        // A program takes cores whatever the limit is, but for 1.
        Outcome::Holds(format!(
            "cores go to {}",
            pattern.trim_start_matches('|').split(' ').next().unwrap_or_default()
        ))
    } else if *limit == 0.0 {
        Outcome::Fails(Severity::Info, "cores are limited to 0 bytes".to_owned(), fix)
    } else if pattern.starts_with('/') {
        Outcome::Holds(format!("cores go to {pattern}"))
    } else {
        Outcome::Fails(Severity::Info, format!("cores go to the working directory ({pattern})"), fix)
    })
}

fn profile(s: &Subject) -> Option<Outcome> {
    let on = |name: &str, word: &str| s.variables.get(name).is_some_and(|v| v.contains(word));
    if on("MALLOC_CONF", "prof:true") || on("_RJEM_MALLOC_CONF", "prof:true") {
        return Some(Outcome::Holds("jemalloc profiles (prof:true)".to_owned()));
    }
    if let Some(path) = s.variables.get("HEAPPROFILE") {
        return Some(Outcome::Holds(format!("tcmalloc profiles to {path}")));
    }
    Some(Outcome::Fails(
        Severity::Info,
        "no allocation profile: plimsoll reads mappings and glibc's free chunks from outside, not who allocates".to_owned(),
        Fix::new("link jemalloc with profiling and start with it").patch("MALLOC_CONF=prof:true,lg_prof_sample:19"),
    ))
}
