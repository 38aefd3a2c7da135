//! Deaths as one or several sources tell them.

use super::*;

const MIB: u64 = 1 << 20;

fn kill(pid: i32, name: &str) -> Kill {
    let id = "0123456789abcdef".repeat(4);
    let group = format!("/kubepods/pod11111111-2222-3333-4444-555555555555/{id}");
    Kill {
        pid,
        name: name.to_owned(),
        at: Some(f64::from(pid)),
        scope: Some(Scope::Group),
        limit_group: Some(group.clone()),
        victim_group: Some(group),
        usage: Some(512 * MIB),
        limit: Some(512 * MIB),
        anon: Some(500 * MIB),
        page: 4096,
        ..Kill::default()
    }
}

fn task(pid: i32, name: &str, mib: u64, score_adj: i32) -> Task {
    Task { pid, name: name.to_owned(), resident_pages: mib * 256, score_adj, ..Task::default() }
}

fn only(traces: &[Trace]) -> Death {
    let mut all = deaths(traces);
    assert_eq!(all.len(), 1, "{all:#?}");
    all.remove(0)
}

fn of(kill: Kill) -> Death {
    only(&[Trace::Kernel(Box::new(kill))])
}

#[test]
fn a_kill_at_the_own_limit_is_certain() {
    let d = of(kill(7, "java"));
    assert_eq!((d.manner, d.certainty), (Manner::ContainerLimit, Certainty::Certain));
    assert!(
        d.text.ends_with("which held 500 MiB, because its own limit of 512 MiB was reached"),
        "{}",
        d.text
    );
    assert!(d.contra.is_empty(), "{d:?}");
}

#[test]
fn a_limit_above_is_the_pods_or_the_nodes() {
    let mut k = kill(7, "java");
    k.limit_group = Some("/kubepods/pod11111111-2222-3333-4444-555555555555".to_owned());
    let d = of(k.clone());
    assert_eq!(d.manner, Manner::AncestorLimit);
    assert!(d.text.contains("the limit of the whole pod"), "{}", d.text);
    k.limit_group = Some("/kubepods".to_owned());
    assert!(of(k).text.contains("allocatable"));
}

#[test]
fn the_line_of_a_kill_alone_does_not_name_the_limit() {
    let d = of(Kill { limit_group: None, victim_group: None, limit: None, ..kill(7, "java") });
    assert_eq!((d.manner, d.certainty), (Manner::ContainerLimit, Certainty::Likely));
    assert!(d.text.ends_with("its own limit, or one above it, was reached"), "{}", d.text);
    assert!(d.contra[0].contains("may be one above its own"), "{d:?}");
}

#[test]
fn what_the_kubelet_heard_of_a_kill_is_no_second_one() {
    let heard = Kill { pid: 7, name: "java".to_owned(), ..Kill::default() };
    let other = Kill { pid: 8, ..heard.clone() };
    let of = |kills: &[&Kill]| -> u64 {
        let traces: Vec<Trace> = kills.iter().map(|k| Trace::Kernel(Box::new((*k).clone()))).collect();
        deaths(&traces).iter().map(|d| d.count).sum()
    };
    assert_eq!(of(&[&heard, &kill(7, "java")]), 1);
    assert_eq!(of(&[&heard]), 1);
    assert_eq!(of(&[&other, &kill(7, "java")]), 2);
}

#[test]
fn a_child_is_told_from_the_container_and_a_group_that_dies_whole_is_not() {
    let tasks = vec![task(100, "sh", 1, 0), task(107, "worker", 400, 0)];
    let child = Kill { tasks: tasks.clone(), ..kill(107, "worker") };
    assert_eq!(of(child.clone()).manner, Manner::ChildOnly);
    let all =
        deaths(&[Trace::Kernel(Box::new(child)), Trace::Kernel(Box::new(Kill { tasks, ..kill(100, "sh") }))]);
    assert!(all.iter().all(|d| d.manner == Manner::ContainerLimit), "{all:#?}");
}

#[test]
fn a_victim_that_is_not_to_blame_is_told() {
    let mut k = kill(7, "sidecar");
    k.scope = Some(Scope::Machine);
    k.tasks = vec![task(3, "leaker", 900, -998), task(7, "sidecar", 20, 1000)];
    let d = of(k);
    assert_eq!(d.manner, Manner::Machine);
    assert!(
        d.contra[0].contains("leaker (pid 3) held 900 MiB: its oom_score_adj of -998 spared it"),
        "{d:?}"
    );
}

#[test]
fn files_in_memory_are_told_from_processes() {
    let mut k = kill(7, "java");
    k.held.shmem = Some(300 * MIB);
    assert!(of(k.clone()).contra[0].starts_with("59 % of the usage (300 MiB) was files in memory"));
    k.held.shmem = None;
    k.tasks = vec![task(7, "java", 100, 0)];
    assert!(of(k).contra[0].starts_with("the processes held only 100 MiB of the 512 MiB"));
}

#[test]
fn the_same_death_again_is_counted_and_has_an_interval() {
    let traces: Vec<Trace> =
        [100, 3700, 7300].iter().map(|pid| Trace::Kernel(Box::new(kill(*pid, "java")))).collect();
    let d = only(&traces);
    assert_eq!((d.count, d.interval()), (3, Some(3600.0)));
}

#[test]
fn a_status_joins_its_kill_and_alone_is_only_likely() {
    let ended = Ended {
        pod: "shop/api".to_owned(),
        container: "app".to_owned(),
        id: Some("0123456789abcdef".repeat(4)),
        reason: Some("OOMKilled".to_owned()),
        exit_code: Some(137),
        ..Ended::default()
    };
    let status = Trace::Ended(Box::new(ended.clone()));
    let both = only(&[Trace::Kernel(Box::new(kill(7, "java"))), status.clone()]);
    assert_eq!(
        (both.certainty, both.who.as_str()),
        (Certainty::Certain, "java in container app of shop/api")
    );
    assert_eq!(only(&[status]).certainty, Certainty::Likely);
    let sigterm = Ended { exit_code: Some(143), ..ended.clone() };
    let d = only(&[Trace::Ended(Box::new(sigterm))]);
    assert_eq!((d.manner, d.certainty), (Manner::ChildOnly, Certainty::CannotTell));
    let other = Ended { reason: Some("Error".to_owned()), ..ended.clone() };
    let d = only(&[Trace::Ended(Box::new(other))]);
    assert_eq!((d.manner, d.certainty), (Manner::Unclear, Certainty::CannotTell));
    let fine = Ended { reason: Some("Completed".to_owned()), exit_code: Some(0), ..ended };
    assert!(deaths(&[Trace::Ended(Box::new(fine))]).is_empty());
}

#[test]
fn what_is_given_twice_is_counted_once() {
    let when = |said: &str| Some(Moment { said: said.to_owned(), seconds: None });
    let status = |restarts, at: &str| {
        Trace::Ended(Box::new(Ended {
            pod: "shop/api".to_owned(),
            container: "app".to_owned(),
            reason: Some("OOMKilled".to_owned()),
            exit_code: Some(137),
            restarts: Some(restarts),
            when: when(at),
            ..Ended::default()
        }))
    };
    assert_eq!(only(&[status(7, "12:00"), status(7, "12:00")]).count, 7);
    assert_eq!(only(&[status(7, "12:00"), status(9, "13:00")]).count, 9);
    assert_eq!(only(&[status(9, "13:00"), status(7, "12:00")]).count, 9);
    let mut stamped = kill(7, "java");
    stamped.at = Some(5.0);
    let stamped = Trace::Kernel(Box::new(stamped));
    assert_eq!(only(&[stamped.clone(), stamped]).count, 1);
    let evicted =
        |at: &str| Trace::Evicted { pod: "a/b".to_owned(), message: "low".to_owned(), when: when(at) };
    assert_eq!(only(&[evicted("1"), evicted("1"), evicted("2")]).count, 2);
}

#[test]
fn a_counter_says_only_what_the_log_does_not() {
    let counter = |kills| Trace::Counter {
        group: kill(1, "x").victim_group.expect("has one"),
        kills,
        limit: None,
        alive: 2,
    };
    let log = Trace::Kernel(Box::new(kill(7, "java")));
    assert_eq!(deaths(&[log.clone(), counter(1)]).len(), 1);
    let more = deaths(&[log, counter(3)]);
    assert_eq!((more.len(), more[1].count), (2, 2));
}

#[test]
fn units_evictions_and_runtimes_have_their_own_word() {
    let mut k = kill(7, "worker");
    k.victim_group = Some("/system.slice/worker.service".to_owned());
    k.limit_group = k.victim_group.clone();
    let unit = Trace::Unit { unit: "worker.service".to_owned(), when: None };
    let d = only(&[Trace::Kernel(Box::new(k)), unit.clone()]);
    assert!(d.pro.iter().any(|p| p.starts_with("the service manager says")), "{d:?}");
    let d = only(&[unit.clone(), unit]);
    assert_eq!((d.count, d.manner), (2, Manner::Unclear));
    let evicted = Trace::Evicted { pod: "a/b".to_owned(), message: "low on memory".to_owned(), when: None };
    assert_eq!(only(&[evicted]).manner, Manner::Eviction);
    let gave_up = GaveUp { runtime: "the JVM", what: "Java heap space", count: 4, ..GaveUp::default() };
    let d = only(&[Trace::GaveUp(Box::new(gave_up))]);
    assert_eq!((d.count, d.certainty), (4, Certainty::Likely));
}
