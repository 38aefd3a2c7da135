//! Every check in each of its states, and the net as a whole.

use super::*;

const GIB: f64 = 1_073_741_824.0;

fn jvm(flags: &[&str]) -> Subject {
    Subject {
        runtime: Some(RuntimeKind::Jvm),
        flags: Ok(flags.iter().map(|f| (*f).to_owned()).collect()),
        limit: Ok(Some(2.0 * GIB)),
        heap_max: Ok(GIB),
        outside: Ok(0.5 * GIB),
        dump: Ok(Some(Room {
            path: "/dumps/".to_owned(),
            folder: Some(true),
            in_memory: Some(false),
            free: Some(10.0 * GIB),
            survives: Some(Survival::Pod),
            writable: Some(true),
        })),
        probe_budget: Ok(Some(20.0)),
        ..Subject::unknown("java", "not looked at")
    }
}

const GOOD: &[&str] = &[
    "-XX:+HeapDumpOnOutOfMemoryError",
    "-XX:+ExitOnOutOfMemoryError",
    "-XX:NativeMemoryTracking=summary",
    "-Xlog:gc*:file=/logs/gc.log",
    "-XX:MaxDirectMemorySize=256m",
];

fn of<'f>(findings: &'f [Finding], id: &str) -> &'f Finding {
    findings.iter().find(|f| f.id == id).unwrap_or_else(|| panic!("no {id}"))
}

fn state(s: &Subject, id: &str) -> (State, Option<Severity>) {
    let findings = audit(s);
    let f = of(&findings, id);
    (f.state, f.severity)
}

#[test]
fn ids_are_unique_and_a_good_net_is_ready() {
    let ids: Vec<&str> = all().map(|c| c.id).collect();
    assert!(ids.iter().enumerate().all(|(i, id)| !ids[i + 1..].contains(id)), "{ids:?}");
    let findings = audit(&jvm(GOOD));
    assert!(findings.iter().all(|f| f.state == State::Holds), "{findings:#?}");
    assert_eq!(ready(&findings), Some(true));
}

#[test]
fn a_net_that_is_set_is_none_when_the_kernel_kills_first() {
    let tight = Subject { outside: Ok(1.1 * GIB), ..jvm(GOOD) };
    let findings = audit(&tight);
    let fires = of(&findings, "jvm/fires-at-this-limit");
    assert_eq!((fires.state, fires.severity), (State::Fails, Some(Severity::Error)));
    assert!(fires.evidence.contains("does not fire on its kill"), "{fires:?}");
    assert_eq!(fires.fix.as_ref().expect("one").patch.as_deref(), Some("-Xmx921m"));
    assert_eq!(ready(&findings), Some(false));
    let blind =
        |heap: f64| Subject { outside: Err("a manifest".to_owned()), heap_max: Ok(heap * GIB), ..jvm(GOOD) };
    assert_eq!(state(&blind(2.5), "jvm/fires-at-this-limit").1, Some(Severity::Error));
    assert_eq!(state(&blind(1.8), "jvm/fires-at-this-limit").1, Some(Severity::Warning));
    assert_eq!(state(&blind(1.0), "jvm/fires-at-this-limit").0, State::Holds);
}

#[test]
fn the_last_flag_wins_and_the_fix_arms_it_live() {
    let off = jvm(&["-XX:+HeapDumpOnOutOfMemoryError", "-XX:-HeapDumpOnOutOfMemoryError"]);
    let findings = audit(&off);
    let f = of(&findings, "jvm/heap-dump-on-oom");
    let live = &f.fix.as_ref().expect("one").live;
    assert_eq!(live, &[("HeapDumpOnOutOfMemoryError".to_owned(), "true".to_owned())]);
}

#[test]
fn places_that_lose_the_dump_are_told_apart() {
    let room = jvm(GOOD).dump.expect("known").expect("set");
    let with = |change: fn(&mut Room)| {
        let mut room = room.clone();
        change(&mut room);
        state(&Subject { dump: Ok(Some(room)), ..jvm(GOOD) }, "jvm/dump-path")
    };
    let error = (State::Fails, Some(Severity::Error));
    assert_eq!(with(|r| r.folder = Some(false)), error);
    assert_eq!(with(|r| r.in_memory = Some(true)), error);
    assert_eq!(with(|r| r.free = Some(GIB)), error);
    assert_eq!(with(|r| r.writable = Some(false)), error);
    assert_eq!(with(|r| r.survives = Some(Survival::Nothing)), error);
    assert_eq!(with(|r| r.survives = Some(Survival::Restart)), (State::Fails, Some(Severity::Warning)));
    assert_eq!(with(|r| r.survives = None).0, State::Unknown);
    assert_eq!(state(&Subject { dump: Ok(None), ..jvm(GOOD) }, "jvm/dump-path").1, Some(Severity::Warning));
}

#[test]
fn a_probe_that_a_dump_outlasts_is_told() {
    let s = Subject { heap_max: Ok(10.0 * GIB), limit: Ok(Some(20.0 * GIB)), ..jvm(GOOD) };
    assert_eq!(state(&s, "container/probe"), (State::Fails, Some(Severity::Warning)));
    assert_eq!(state(&jvm(GOOD), "container/probe").0, State::Holds);
}

#[test]
fn go_node_python_dotnet_and_native_have_their_own() {
    let of = |runtime| Subject {
        runtime: Some(runtime),
        flags: Ok(Vec::new()),
        limit: Ok(Some(GIB)),
        heap_max: Ok(0.5 * GIB),
        endpoint: Ok(false),
        memory_profile: Ok(false),
        core: Ok(("core".to_owned(), 0.0)),
        dump: Ok(None),
        ..Subject::unknown("x", "not looked at")
    };
    let go = of(RuntimeKind::Go);
    assert_eq!(state(&go, "go/pprof").1, Some(Severity::Error));
    assert_eq!(state(&go, "go/memory-limit").1, Some(Severity::Warning));
    let set = |value: &str| {
        let variables = BTreeMap::from([("GOMEMLIMIT".to_owned(), value.to_owned())]);
        state(&Subject { variables, ..of(RuntimeKind::Go) }, "go/memory-limit").0
    };
    assert_eq!([set("900MiB"), set("2GiB"), set("much")], [State::Holds, State::Fails, State::Unknown]);
    let node =
        Subject { flags: Ok(vec!["--heapsnapshot-near-heap-limit=1".to_owned()]), ..of(RuntimeKind::Node) };
    assert_eq!(
        state(&node, "node/near-limit").1,
        Some(Severity::Error),
        "twelve times the heap does not fit"
    );
    assert_eq!(state(&node, "node/heap-bound").0, State::Holds);
    assert_eq!(state(&of(RuntimeKind::Python), "python/tracemalloc").0, State::Fails);
    assert_eq!(state(&of(RuntimeKind::Dotnet), "dotnet/heap-bound").0, State::Holds);
    assert_eq!(state(&of(RuntimeKind::Native), "native/core").0, State::Fails);
}

#[test]
fn what_is_not_known_is_said_and_never_holds() {
    let s = Subject { runtime: Some(RuntimeKind::Jvm), ..Subject::unknown("x", "no permission") };
    let findings = audit(&s);
    assert!(
        findings.iter().all(|f| f.state == State::Unknown && f.evidence.contains("no permission")),
        "{findings:#?}"
    );
    assert_eq!(ready(&findings), None);
    assert_eq!(audit(&Subject::unknown("x", "y"))[0].id, "runtime/known");
}
