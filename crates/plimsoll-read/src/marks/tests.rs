//! Payloads after the published schemas of those who post them, and what is made of them.

use serde_json::json;

use super::*;

const NOW: f64 = 1_795_000_000.0;

fn known() -> Known {
    Known { now: NOW, ..Known::default() }
}

fn read_value(value: &Value) -> Found {
    read(value.to_string().as_bytes(), &known()).expect("read")
}

/// Kind, name, off, workload.
fn told(found: &Found) -> Vec<(MarkKind, &str, bool, Option<&str>)> {
    found.marks.iter().map(|m| (m.kind, m.name.as_str(), m.off, m.workload.as_deref())).collect()
}

use MarkKind::{Config, Deploy, Flag};

#[test]
fn annotations_say_by_their_tags_what_they_mark() {
    let annotation = |time: u64, text: &str, tags: &[&str], state: &str| {
        json!({"id": 1, "dashboardUID": "u", "panelId": 2, "newState": state, "prevState": "", "time": time,
            "timeEnd": time, "text": text, "tags": tags, "login": "", "data": {}})
    };
    let answer = json!([
        annotation(
            1_795_000_002_500,
            "<b>v1.42</b> by <a href=\"x\">ci</a>\nmore",
            &["Deploy", "service:api", "namespace=shop"],
            ""
        ),
        annotation(1_795_000_001_000, "x", &["feature-flag:new-cache", "off"], ""),
        annotation(1_795_000_003_000, "High memory", &["deploy"], "alerting"),
        annotation(1_795_000_004_000, "lunch", &["team"], ""),
        annotation(1_795_000_005_000, "pool of 50", &["config"], ""),
    ]);
    let found = read_value(&answer);
    assert_eq!(
        told(&found),
        [
            (Flag, "new-cache", true, None),
            (Deploy, "v1.42 by ci", false, Some("shop/api")),
            (Config, "pool of 50", false, None)
        ]
    );
    assert_eq!((found.marks[1].unix_seconds, found.left_out), (1_795_000_002.5, 2));
    assert_eq!(found.shapes, ["annotations of Grafana"]);
    let all = Known { kind: Some(Deploy), ..known() };
    let found = read(answer.to_string().as_bytes(), &all).expect("read");
    assert_eq!((found.marks.len(), found.left_out), (4, 1), "an alert's is none whatever is said");
}

#[test]
fn what_is_written_as_an_annotation_reads_back() {
    for (kind, off, workload) in
        [(Deploy, false, Some("shop/api")), (Flag, true, None), (Config, false, Some("shop/*"))]
    {
        let workload = workload.map(str::to_owned);
        let mark = Mark { unix_seconds: 1_795_000_000.125, kind, name: "a:b=c d".to_owned(), off, workload };
        assert_eq!(read_value(&annotation(&mark)).marks, [mark]);
    }
}

#[test]
fn each_sync_of_an_application_is_a_deploy_of_its_workloads() {
    let commit = "33cb5f6a1b2c3d4e5f60718293a4b5c6d7e8f901";
    let mut app = json!({
        "metadata": {"name": "shop", "namespace": "argocd"},
        "spec": {"destination": {"namespace": "shop", "server": "https://kubernetes.default.svc"}},
        "status": {
            "resources": [{"kind": "Deployment", "group": "apps", "namespace": "shop", "name": "api"},
                {"kind": "StatefulSet", "name": "db"}, {"kind": "Service", "name": "api"}],
            "history": [{"id": 0, "revision": commit, "deployedAt": "2026-11-20T10:00:00Z"},
                {"id": 1, "revisions": ["1.2.3", commit], "deployedAt": "2026-11-21T10:00:00Z"}, {"id": 2, "revision": "x"}],
        },
    });
    let found = read_value(&json!({"metadata": {}, "items": [app]}));
    assert_eq!(
        told(&found),
        [
            (Deploy, "shop@33cb5f6a1b2c", false, Some("shop/api")),
            (Deploy, "shop@33cb5f6a1b2c", false, Some("shop/db")),
            (Deploy, "shop@1.2.3+33cb5f6a1b2c", false, Some("shop/api")),
            (Deploy, "shop@1.2.3+33cb5f6a1b2c", false, Some("shop/db")),
        ]
    );
    assert_eq!(found.marks[0].unix_seconds, 1_795_168_800.0);
    app["status"]["resources"] = json!([]);
    let found = read_value(&json!({"app": app, "context": {}}));
    assert_eq!(found.marks[0].workload.as_deref(), Some("shop/*"));
}

#[test]
fn events_of_flux_are_deploys_and_settings_where_something_changed() {
    let event = |controller: &str, reason: &str, message: &str, severity: &str| {
        json!({"involvedObject": {"kind": "Kustomization", "namespace": "flux-system", "name": "webapp"},
            "severity": severity, "timestamp": "2026-11-20T10:00:00Z", "message": message, "reason": reason,
            "metadata": {"kustomize.toolkit.fluxcd.io/revision": "main@sha1:33cb5f6a1b2c3d4e5f60718293a4b5c6d7e8f901"},
            "reportingController": controller, "reportingInstance": "x"})
    };
    let changed = "Deployment/shop/api configured\nConfigMap/shop/pool created\nService/shop/api configured\nDeployment/shop/old deleted";
    let found = read_value(&event("kustomize-controller", "Progressing", changed, "info"));
    assert_eq!(
        told(&found),
        [
            (Deploy, "webapp@33cb5f6a1b2c", false, Some("shop/api")),
            (Config, "ConfigMap pool", false, Some("shop/*"))
        ]
    );
    let done = "Reconciliation finished in 1.2s, next run in 10m0s";
    let found = read_value(&event("kustomize-controller", "ReconciliationSucceeded", done, "info"));
    assert_eq!((found.marks.len(), found.left_out), (0, 1));
    assert!(read_value(&event("kustomize-controller", "Progressing", changed, "error")).marks.is_empty());
    let helm = "Helm upgrade succeeded for release shop/api.v7 with chart api@1.4.2";
    let found = read_value(&event("helm-controller", "UpgradeSucceeded", helm, "info"));
    assert_eq!(told(&found), [(Deploy, "api@1.4.2", false, Some("shop/*"))]);
}

#[test]
fn events_of_kubernetes_tell_of_new_replica_sets_and_syncs() {
    let event = |kind: &str, by: &str, reason: &str, message: &str, at: &str| {
        json!({"kind": "Event", "metadata": {"name": "e", "namespace": "shop"}, "type": "Normal", "reason": reason,
            "involvedObject": {"kind": kind, "namespace": "shop", "name": "api"}, "message": message,
            "firstTimestamp": at, "lastTimestamp": "2026-11-29T10:00:00Z", "source": {"component": by}})
    };
    let scaled = |message: &str, at: &str| {
        event("Deployment", "deployment-controller", "ScalingReplicaSet", message, at)
    };
    let list = json!({"kind": "List", "items": [
        scaled("Scaled up replica set api-2 from 0 to 1", "2026-11-20T11:00:00Z"),
        scaled("Scaled up replica set api-1 to 3", "2026-11-20T10:00:00Z"),
        scaled("Scaled up replica set api-2 from 1 to 2", "2026-11-20T11:01:00Z"),
        scaled("Scaled down replica set api-1 from 3 to 0", "2026-11-20T11:02:00Z"),
        event("Application", "argocd-application-controller", "OperationCompleted", "Sync operation to v1.42 succeeded", "2026-11-20T12:00:00Z"),
        event("Pod", "kubelet", "Killing", "x", "2026-11-20T12:00:00Z"),
    ]});
    let found = read_value(&list);
    assert_eq!(
        told(&found),
        [
            (Deploy, "api-1", false, Some("shop/api")),
            (Deploy, "api-2", false, Some("shop/api")),
            (Deploy, "api@v1.42", false, None)
        ]
    );
    assert_eq!(found.left_out, 3);
}

#[test]
fn an_audit_log_tells_of_switches_and_rules_by_environment() {
    let entry = |date: u64, action: &str, environment: &str, verb: &str, on: Value| {
        json!({"_links": {}, "_id": "5f", "date": date, "kind": "flag", "name": "New cache", "titleVerb": verb,
            "accesses": [{"action": action, "resource": format!("proj/shop:env/{environment}:flag/new-cache;web")}],
            "currentVersion": {"key": "new-cache", "environments": {environment: {"on": on}}}})
    };
    let log = json!({"items": [
        entry(1_795_000_003_000, "updateOn", "production", "turned off the flag", Value::Null),
        entry(1_795_000_001_000, "updateOn", "production", "updated", json!(true)),
        entry(1_795_000_002_000, "updateOn", "staging", "turned on the flag", Value::Null),
        entry(1_795_000_002_000, "updateRules", "production", "updated rules", json!(true)),
        entry(1_795_000_004_000, "updateOn", "production", "did something to", Value::Null),
        entry(1_795_000_004_000, "updateName", "production", "renamed", json!(true)),
    ]});
    let production = Known { environment: Some("production".to_owned()), ..known() };
    let found = read(log.to_string().as_bytes(), &production).expect("read");
    assert_eq!(
        told(&found),
        [
            (Flag, "new-cache", false, None),
            (Config, "new-cache (rules)", false, None),
            (Flag, "new-cache", true, None)
        ]
    );
    assert_eq!((found.left_out, found.environments.len()), (3, 2), "a state that nobody tells is no mark");
}

#[test]
fn our_own_marks_may_come_from_a_template_and_what_is_nothing_known_is_refused() {
    let lines = "{\"kind\":\"deploy\",\"name\":\"v1\",\"at\":\"2026-11-10T10:00:00Z\",\"workload\":\"shop/api\"}\n{\"kind\":\"flag\",\"name\":\"\\u001b[2Jf\",\"unixSeconds\":1795000000,\"off\":true}\n{\"kind\":\"config\",\"name\":\"c\"}";
    let found = read(lines.as_bytes(), &known()).expect("read");
    assert_eq!(
        told(&found),
        [(Deploy, "v1", false, Some("shop/api")), (Flag, "[2Jf", true, None), (Config, "c", false, None)]
    );
    assert_eq!(found.marks[2].unix_seconds, NOW);
    let late = r#"{"kind":"deploy","name":"v1","at":"yesterday"}"#;
    assert_eq!(read(late.as_bytes(), &known()).expect("read").left_out, 1);
    for wrong in ["<html>", "{\"a\":1}", "[[]]", "{\"kind\":\"deploy\"", "7"] {
        assert!(read(wrong.as_bytes(), &known()).is_err(), "{wrong}");
    }
    assert_eq!(read(b"", &known()), Ok(Found::default()));
    let many = vec![json!({"kind": "config", "name": "x".repeat(5000)}); MOST + 5];
    let found = read_value(&Value::from(many));
    assert_eq!((found.marks.len(), found.left_out), (MOST, 5));
    assert_eq!(found.marks[0].name.len(), CHARACTERS);
}

#[test]
fn two_files_of_flagd_tell_what_was_switched() {
    let file = |cache: &str, state: &str, size: &str, rules: Value| {
        let value = json!({"$schema": "x", "flags": {
            "new-cache": {"state": state, "variants": {"on": true, "off": false}, "defaultVariant": cache, "targeting": rules},
            "size": {"state": "ENABLED", "variants": {"small": 1, "large": 9}, "defaultVariant": size}}});
        flagd::flags(value.to_string().as_bytes()).expect("a file of flagd")
    };
    let changed = |before: &flagd::Flags, after: &flagd::Flags| -> Vec<(MarkKind, String, bool)> {
        flagd::changes(before, after, NOW).into_iter().map(|m| (m.kind, m.name, m.off)).collect()
    };
    let off = file("off", "ENABLED", "small", json!({}));
    let on = file("on", "ENABLED", "small", json!({}));
    assert_eq!(changed(&off, &on), [(Flag, "new-cache".to_owned(), false)]);
    let disabled = file("on", "DISABLED", "small", json!({}));
    assert_eq!(changed(&on, &disabled)[0], (Flag, "new-cache".to_owned(), true));
    assert_eq!(changed(&off, &off), []);
    let large = file("off", "ENABLED", "large", json!({"if": [true, "on"]}));
    assert_eq!(
        changed(&off, &large),
        [
            (Config, "new-cache (targeting)".to_owned(), false),
            (Flag, "size=small".to_owned(), true),
            (Flag, "size=large".to_owned(), false)
        ]
    );
    assert_eq!(
        changed(&on, &flagd::Flags::new()),
        [(Flag, "new-cache".to_owned(), true), (Flag, "size=small".to_owned(), true)]
    );
    for wrong in ["", "[]", "{\"flags\":[]}", "<html>"] {
        assert!(flagd::flags(wrong.as_bytes()).is_err(), "{wrong}");
    }
}

#[test]
fn the_stream_of_flagd_names_flags_and_an_answer_their_states() {
    let event = br#"{"type":"configuration_change","data":{"flags":{"new-cache":{"type":"update","source":"flags.json","flagKey":"new-cache"}}}}"#;
    let change = |deleted| flagd::Change { key: "new-cache".to_owned(), deleted };
    assert_eq!(flagd::message(event), Ok(flagd::Message::Changed(vec![change(false)])));
    let gone = br#"{"type":"configuration_change","data":{"flags":{"new-cache":{"type":"delete"}}}}"#;
    assert_eq!(flagd::message(gone), Ok(flagd::Message::Changed(vec![change(true)])));
    for other in [&br#"{"type":"provider_ready","data":{}}"#[..], br#"{"type":"keep_alive","data":null}"#] {
        assert_eq!(flagd::message(other), Ok(flagd::Message::Other));
    }
    assert!(flagd::message(b"{}").is_err() && flagd::message(b"\0").is_err());
    let answer = |on: bool| {
        let text = json!({"flags": {"new-cache": {"reason": "STATIC", "variant": if on {"on"} else {"off"}, "boolValue": on}}});
        flagd::resolved(text.to_string().as_bytes()).expect("an answer")
    };
    let marks = flagd::changes(&answer(false), &answer(true), NOW);
    assert_eq!((marks[0].name.as_str(), marks[0].off, marks.len()), ("new-cache", false, 1));
    // As flagd answers where rules name a variant that there is not: no client sees the flag off.
    let of = |flags: Value| flagd::resolved(json!({"flags": flags, "metadata": {}}).to_string().as_bytes());
    let in_error =
        json!({"new-cache": {"reason": "ERROR", "variant": "", "boolValue": false, "metadata": {}}});
    for (mut after, changed, want) in [
        (of(in_error).expect("an answer"), change(false), vec![("new-cache (definition)", false)]),
        // Without a default variant it is not answered any more.
        (of(json!({})).expect("an answer"), change(false), vec![("new-cache (definition)", false)]),
        (of(json!({})).expect("an answer"), change(true), vec![("new-cache", true)]),
        // Other rules, and the same answer to who says nothing of himself.
        (answer(true), change(false), vec![("new-cache (definition)", false)]),
        (answer(false), change(false), vec![("new-cache", true)]),
    ] {
        let marks = flagd::followed(&answer(true), &mut after, &[changed], NOW);
        let told: Vec<(&str, bool)> = marks.iter().map(|m| (m.name.as_str(), m.off)).collect();
        assert_eq!(told, want);
    }
    let text =
        of(json!({"size": {"reason": "STATIC", "variant": "large", "stringValue": "9"}})).expect("an answer");
    let marks = flagd::changes(&text, &flagd::Flags::new(), NOW);
    assert_eq!((marks[0].name.as_str(), marks[0].off, marks.len()), ("size=large", true, 1));
    // A stream that was opened anew names nothing: what is in error then stays as it was.
    let mut after = of(json!({"new-cache": {"reason": "ERROR", "boolValue": false}})).expect("an answer");
    assert!(flagd::followed(&answer(true), &mut after, &[], NOW).is_empty() && after == answer(true));
}
