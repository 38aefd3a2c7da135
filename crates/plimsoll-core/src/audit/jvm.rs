//! The JVM's net: a heap dump on OutOfMemoryError that can fire, to a place that lasts.

use super::{Check, Fix, Outcome, Severity, Subject, Survival, known};
use crate::units::{bytes, parse_bytes};

/// Bytes of a dump per byte of heap, at most.
const DUMP: f64 = 1.3;
/// Part of the limit above which what is outside the heap has no room to grow.
const TIGHT: f64 = 0.95;
/// Part of the limit that a heap may be bounded to when nothing outside of it is measured.
const BLIND_SHARE: f64 = 0.75;

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "jvm/heap-dump-on-oom",
        title: "a heap dump is written when the heap is full",
        run: dump_on_oom,
    },
    Check { id: "jvm/fires-at-this-limit", title: "the heap can fill before the kernel kills", run: fires },
    Check {
        id: "jvm/dump-path",
        title: "the dump goes to a folder that outlives the container and has room",
        run: path,
    },
    Check { id: "jvm/gc-log", title: "collections are logged", run: gc_log },
    Check { id: "jvm/nmt", title: "native memory is tracked", run: nmt },
    Check { id: "jvm/direct", title: "direct buffers are bounded within the limit", run: direct },
    Check { id: "jvm/exit-on-oom", title: "the process ends after an OutOfMemoryError", run: exit },
    Check { id: "jvm/attach", title: "evidence can be asked for live", run: attach },
];

fn dump_on_oom(s: &Subject) -> Option<Outcome> {
    Some(match known!(s.switch("HeapDumpOnOutOfMemoryError")) {
        Some(true) => Outcome::Holds("HeapDumpOnOutOfMemoryError is set".to_owned()),
        _ => Outcome::Fails(
            Severity::Error,
            "HeapDumpOnOutOfMemoryError is off: when the heap is full nothing is kept".to_owned(),
            Fix::new("set it; a live JVM takes it without a restart")
                .patch("-XX:+HeapDumpOnOutOfMemoryError")
                .live("HeapDumpOnOutOfMemoryError", "true"),
        ),
    })
}

fn fires(s: &Subject) -> Option<Outcome> {
    let Some(limit) = *known!(&s.limit) else {
        return Some(Outcome::Holds("there is no limit that the kernel would kill at".to_owned()));
    };
    let heap = *known!(&s.heap_max);
    let fix = |fits: f64| {
        let mib = (fits / 1_048_576.0).floor().max(0.0);
        Fix::new(format!(
            "bound the heap to {} or less, or raise the limit to {}",
            bytes(fits),
            bytes(heap / fits.max(1.0) * limit)
        ))
        .patch(format!("-Xmx{mib:.0}m"))
    };
    let Ok(outside) = s.outside else {
        // Without a measurement only the clear cases are told.
        let share = heap / limit;
        let said = format!("the heap may grow to {} of {}", bytes(heap), bytes(limit));
        return Some(match share {
            x if x >= 1.0 => Outcome::Fails(
                Severity::Error,
                format!("{said}: the kernel kills first, and leaves no dump"),
                fix(limit * BLIND_SHARE),
            ),
            x if x > BLIND_SHARE => Outcome::Fails(
                Severity::Warning,
                format!("{said}: metaspace, threads, code and buffers must fit the rest, and usually do not"),
                fix(limit * BLIND_SHARE),
            ),
            _ => Outcome::Holds(format!("{said}; memory outside the heap is not measured yet")),
        });
    };
    let needed = heap + outside;
    let said = format!(
        "heap bound {} + {} measured outside the heap = {}, limit {}",
        bytes(heap),
        bytes(outside),
        bytes(needed),
        bytes(limit)
    );
    Some(if needed <= limit * TIGHT {
        Outcome::Holds(said)
    } else if needed <= limit {
        let why = format!("{said}: a few threads or buffers more, and the kernel kills first");
        Outcome::Fails(Severity::Warning, why, fix((limit * TIGHT - outside).max(0.0)))
    } else {
        let why = format!(
            "{said}: the kernel kills first, and HeapDumpOnOutOfMemoryError does not fire on its kill"
        );
        Outcome::Fails(Severity::Error, why, fix((limit - outside).max(0.0)))
    })
}

fn path(s: &Subject) -> Option<Outcome> {
    let fix = || {
        Fix::new("name a folder on a volume that outlives the pod: then every dump gets a name of its own")
    };
    let Some(room) = known!(&s.dump) else {
        let fix = fix().patch("-XX:HeapDumpPath=/dumps/");
        let why = "no HeapDumpPath is set: the dump goes to the working directory, which usually goes with the container";
        return Some(Outcome::Fails(Severity::Warning, why.to_owned(), fix));
    };
    let fails = |severity, why: String| Some(Outcome::Fails(severity, why, fix()));
    let path = &room.path;
    if room.folder == Some(false) {
        let why = if path.contains("%p") {
            format!(
                "{path} is one file name for every process with the same pid, which in a container is every one"
            )
        } else {
            format!(
                "{path} is one file: the second dump fails with \"File exists\"; a missing folder is noticed only then"
            )
        };
        return fails(Severity::Error, why);
    }
    if room.writable == Some(false) {
        return fails(Severity::Error, format!("the process may not write to {path}"));
    }
    if room.in_memory == Some(true) {
        return fails(
            Severity::Error,
            format!(
                "{path} is memory (tmpfs): the dump counts against the limit and gets the process killed"
            ),
        );
    }
    let needed = s.heap_max.as_ref().map(|heap| heap * DUMP);
    if let (Some(free), Ok(needed)) = (room.free, &needed)
        && free < *needed
    {
        let why = format!(
            "{path} has {} free, a dump of the full heap takes up to {}",
            bytes(free),
            bytes(*needed)
        );
        return fails(Severity::Error, why);
    }
    match room.survives {
        Some(Survival::Nothing) => fails(
            Severity::Error,
            format!("{path} is in the container's own layer: it goes when the container restarts"),
        ),
        Some(Survival::Restart) => {
            fails(Severity::Warning, format!("{path} outlives a restart, not the pod"))
        }
        None => Some(Outcome::Unknown(format!("whether {path} outlives the container cannot be told"))),
        Some(Survival::Pod | Survival::Machine) => {
            let free = room.free.map_or_else(String::new, |f| format!(", {} free", bytes(f)));
            Some(Outcome::Holds(format!("{path}{free}")))
        }
    }
}

fn gc_log(s: &Subject) -> Option<Outcome> {
    let flags = known!(&s.flags);
    let log = flags
        .iter()
        .rev()
        .find(|f| f.starts_with("-Xlog:gc") || f.starts_with("-Xloggc:") || f.starts_with("-Xlog:all"));
    Some(match log {
        Some(flag) => Outcome::Holds(flag.clone()),
        None => {
            let old = s.version.as_deref().is_some_and(|v| v.starts_with("1.8") || v.starts_with("8."));
            let fix = if old {
                // Its logs cannot be switched on live.
                Fix::new("log collections with rotation, from the next start on").patch(
                    "-Xloggc:/logs/gc-%p.log -XX:+PrintGCDetails -XX:+PrintGCDateStamps -XX:+UseGCLogFileRotation -XX:NumberOfGCLogFiles=5 -XX:GCLogFileSize=20M",
                )
            } else {
                let live = format!("jcmd {} VM.log output=/logs/gc.log what=gc*", s.pid());
                Fix::new(format!("log collections with rotation; live: {live}"))
                    .patch("-Xlog:gc*:file=/logs/gc-%p.log:time,uptime,level,tags:filecount=5,filesize=20m")
            };
            let why = "no GC log: the floor of the past cannot be read after a restart";
            Outcome::Fails(Severity::Warning, why.to_owned(), fix)
        }
    })
}

fn nmt(s: &Subject) -> Option<Outcome> {
    Some(match known!(s.flag("-XX:NativeMemoryTracking=")) {
        Some(level @ ("summary" | "detail")) => Outcome::Holds(format!("NativeMemoryTracking={level}")),
        _ => Outcome::Fails(
            Severity::Warning,
            "native memory is not tracked: when RSS climbs and the heap does not, nothing says where"
                .to_owned(),
            Fix::new("it needs a restart, and costs a few percent").patch("-XX:NativeMemoryTracking=summary"),
        ),
    })
}

fn direct(s: &Subject) -> Option<Outcome> {
    let set = known!(s.flag("-XX:MaxDirectMemorySize=")).and_then(parse_bytes);
    let limit = (*known!(&s.limit))?;
    let heap = *known!(&s.heap_max);
    // Unset, it is as much again as the heap.
    let direct = set.unwrap_or(heap);
    let said = format!(
        "direct buffers may take {}{}, the heap {}, limit {}",
        bytes(direct),
        if set.is_some() { "" } else { " (unset: as much as the heap)" },
        bytes(heap),
        bytes(limit)
    );
    Some(if heap + direct <= limit {
        Outcome::Holds(said)
    } else {
        let rest = ((limit - heap) / 2.0).max(0.0) / 1_048_576.0;
        let fix = Fix::new("bound them: then they fail with an error that has a stack, not with a kill")
            .patch(format!("-XX:MaxDirectMemorySize={rest:.0}m"));
        Outcome::Fails(Severity::Info, said, fix)
    })
}

fn exit(s: &Subject) -> Option<Outcome> {
    for name in ["ExitOnOutOfMemoryError", "CrashOnOutOfMemoryError"] {
        if known!(s.switch(name)) == Some(true) {
            return Some(Outcome::Holds(format!("{name} is set")));
        }
    }
    if let Some(command) = known!(s.flag("-XX:OnOutOfMemoryError=")) {
        return Some(Outcome::Holds(format!("OnOutOfMemoryError={command}")));
    }
    let why =
        "after an OutOfMemoryError the process goes on with threads missing, and its probes may still pass";
    let fix = Fix::new("end it: the dump is written before").patch("-XX:+ExitOnOutOfMemoryError");
    Some(Outcome::Fails(Severity::Info, why.to_owned(), fix))
}

fn attach(s: &Subject) -> Option<Outcome> {
    let fails = |why: &str, patch: &str| {
        Some(Outcome::Fails(Severity::Warning, why.to_owned(), Fix::new("take the flag away").patch(patch)))
    };
    if known!(s.switch("DisableAttachMechanism")) == Some(true) {
        return fails(
            "DisableAttachMechanism: no thread dump, no histogram, no heap dump on request",
            "-XX:-DisableAttachMechanism",
        );
    }
    if known!(s.switch("UsePerfData")) == Some(false)
        || known!(s.switch("PerfDisableSharedMem")) == Some(true)
    {
        return fails(
            "the performance counters are off or private: the floor cannot be read without a GC log",
            "-XX:+UsePerfData",
        );
    }
    Some(Outcome::Holds("attach and performance counters are on".to_owned()))
}
