//! Manifests of Kubernetes as subjects of an audit: every container of every workload, with the limit, flags and
//! volumes that it would run with.

use std::collections::BTreeMap;

use plimsoll_core::audit::{Room, Subject, Survival, VARIABLES};
use plimsoll_core::runtime::detect;
use plimsoll_core::target::RuntimeKind;
use plimsoll_core::units::{parse_bytes, parse_quantity};
use serde_json::Value;

/// Bytes of a manifest that are read at most.
pub const LARGEST: usize = 32 << 20;
/// Containers taken of one file.
const CONTAINERS: usize = 10_000;
/// Part of the container's memory that a JVM takes for its heap when nothing is said.
const DEFAULT_SHARE: f64 = 25.0;

/// Why a manifest is not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// It is no YAML and no JSON.
    #[error("it is no YAML: {0}")]
    Syntax(String),
    /// Nothing in it runs.
    #[error("it holds no workload: no Pod, Deployment, StatefulSet, DaemonSet, ReplicaSet, Job or CronJob")]
    NoWorkload,
}

/// The containers of a manifest, in its order. `file` is its name, for the places of findings.
///
/// # Errors
/// When it cannot be parsed, or holds no workload.
pub fn subjects(text: &str, file: &str) -> Result<Vec<Subject>, ManifestError> {
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(text).map_err(|e| ManifestError::Syntax(e.to_string()))?;
    let mut out = Vec::new();
    let mut lines = Lines { text, file, from: 0 };
    documents.iter().for_each(|d| object(d, &mut lines, &mut out));
    if out.is_empty() { Err(ManifestError::NoWorkload) } else { Ok(out) }
}

fn object(value: &Value, lines: &mut Lines<'_>, out: &mut Vec<Subject>) {
    let kind = value.get("kind").and_then(Value::as_str).unwrap_or_default();
    if let Some(items) = value.get("items").and_then(Value::as_array).filter(|_| kind.ends_with("List")) {
        items.iter().for_each(|item| object(item, lines, out));
        return;
    }
    let spec = match kind {
        "Pod" => "/spec",
        "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "Job" | "ReplicationController" => {
            "/spec/template/spec"
        }
        "CronJob" => "/spec/jobTemplate/spec/template/spec",
        _ => return,
    };
    let Some(spec) = value.pointer(spec) else { return };
    let name = value.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("without a name");
    for list in ["initContainers", "containers"] {
        for container in list_of(spec, list).iter().take(CONTAINERS.saturating_sub(out.len())) {
            // One that runs once before the others is no service, unless it stays beside them.
            let stays = list == "containers" || text(container, "restartPolicy") == Some("Always");
            if stays {
                let source = lines.find(text(container, "name").unwrap_or_default());
                out.push(subject(&format!("{kind} {name}"), spec, container, source));
            }
        }
    }
}

fn list_of<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text<'v>(value: &'v Value, key: &str) -> Option<&'v str> {
    value.get(key).and_then(Value::as_str)
}

/// Finds the lines of containers, one behind the other.
struct Lines<'a> {
    text: &'a str,
    file: &'a str,
    from: usize,
}

impl Lines<'_> {
    fn find(&mut self, name: &str) -> Option<(String, usize)> {
        let is_it = |line: &str| {
            let line = line.trim_start().trim_start_matches("- ").trim();
            let value = line.strip_prefix("name:").or_else(|| line.strip_prefix("\"name\":"));
            value.is_some_and(|v| v.trim().trim_matches([',', '"', '\'']) == name)
        };
        let found = self.text.lines().enumerate().skip(self.from).find(|(_, line)| is_it(line));
        let (at, _) = found?;
        self.from = at + 1;
        Some((self.file.to_owned(), at + 1))
    }
}

fn subject(workload: &str, spec: &Value, container: &Value, source: Option<(String, usize)>) -> Subject {
    const WHY: &str = "a manifest does not tell";
    let mut s = Subject::unknown(
        &format!("container {} of {workload}", text(container, "name").unwrap_or("without a name")),
        WHY,
    );
    let env = environment(container);
    let words = words(container);
    s.source = source;
    s.runtime = runtime(container, &words, &env);
    s.variables = env
        .iter()
        .filter(|(k, _)| VARIABLES.contains(&k.as_str()))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    let limit = container.pointer("/resources/limits/memory");
    s.limit = match limit {
        None => Ok(None),
        Some(Value::String(q)) => {
            parse_quantity(q).map(|b| Some(b as f64)).ok_or_else(|| format!("{q:?} is no amount of memory"))
        }
        Some(n) => n.as_f64().map(Some).ok_or_else(|| "the limit is no amount".to_owned()),
    };
    if let Some(runtime) = s.runtime {
        let flags = flags(runtime, &words, &env);
        s.heap_max = heap_max(runtime, &flags, s.limit.as_ref().ok().copied().flatten());
        s.dump = dump(runtime, &flags).map(|path| path.map(|p| room(&p, spec, container)));
        s.flags = Ok(flags);
    }
    s.probe_budget = Ok(container.get("livenessProbe").map(probe_budget));
    s.grace = Ok(spec.get("terminationGracePeriodSeconds").and_then(Value::as_f64).unwrap_or(30.0));
    s
}

/// The variables whose values stand in the manifest.
fn environment(container: &Value) -> BTreeMap<String, String> {
    let pair = |v: &Value| Some((text(v, "name")?.to_owned(), text(v, "value")?.to_owned()));
    list_of(container, "env").iter().filter_map(pair).collect()
}

/// Command and arguments, a shell's script taken apart.
fn words(container: &Value) -> Vec<String> {
    let lists = [list_of(container, "command"), list_of(container, "args")];
    let words = lists.into_iter().flatten().filter_map(Value::as_str);
    words.flat_map(str::split_whitespace).map(|w| w.trim_matches(['"', '\'', ';']).to_owned()).collect()
}

/// The runtime by command, variables and image; none when they do not agree on one or tell nothing.
fn runtime(container: &Value, words: &[String], env: &BTreeMap<String, String>) -> Option<RuntimeKind> {
    const PROGRAMS: &[(&str, RuntimeKind)] = &[
        ("java", RuntimeKind::Jvm),
        ("node", RuntimeKind::Node),
        ("nodejs", RuntimeKind::Node),
        ("python", RuntimeKind::Python),
        ("python3", RuntimeKind::Python),
        ("gunicorn", RuntimeKind::Python),
        ("uvicorn", RuntimeKind::Python),
        ("celery", RuntimeKind::Python),
        ("dotnet", RuntimeKind::Dotnet),
    ];
    const VARIABLE: &[(&str, RuntimeKind)] = &[
        ("JAVA_TOOL_OPTIONS", RuntimeKind::Jvm),
        ("JDK_JAVA_OPTIONS", RuntimeKind::Jvm),
        ("JAVA_OPTS", RuntimeKind::Jvm),
        ("NODE_OPTIONS", RuntimeKind::Node),
        ("GOMEMLIMIT", RuntimeKind::Go),
        ("GOGC", RuntimeKind::Go),
        ("GOTRACEBACK", RuntimeKind::Go),
        ("PYTHONTRACEMALLOC", RuntimeKind::Python),
        ("PYTHONUNBUFFERED", RuntimeKind::Python),
        ("DOTNET_gcServer", RuntimeKind::Dotnet),
        ("ASPNETCORE_URLS", RuntimeKind::Dotnet),
    ];
    const IMAGES: &[(&str, RuntimeKind)] = &[
        ("openjdk", RuntimeKind::Jvm),
        ("temurin", RuntimeKind::Jvm),
        ("corretto", RuntimeKind::Jvm),
        ("jre", RuntimeKind::Jvm),
        ("jdk", RuntimeKind::Jvm),
        ("java", RuntimeKind::Jvm),
        ("golang", RuntimeKind::Go),
        ("node", RuntimeKind::Node),
        ("python", RuntimeKind::Python),
        ("dotnet", RuntimeKind::Dotnet),
        ("aspnet", RuntimeKind::Dotnet),
    ];
    let base = |w: &String| w.rsplit('/').next().unwrap_or_default().to_owned();
    let program = words.iter().map(base).find_map(|w| PROGRAMS.iter().find(|(p, _)| *p == w));
    let variable = || VARIABLE.iter().find(|(name, _)| env.contains_key(*name));
    let image = text(container, "image").unwrap_or_default().rsplit('/').next().unwrap_or_default();
    // Words of the image's name and tag: `21-jre`, `node:20`, not a name that only holds the letters.
    let parts: Vec<&str> = image.split(['-', ':', '_', '.', '@']).collect();
    let image = || {
        IMAGES
            .iter()
            .find(|(name, _)| parts.iter().any(|p| p.trim_end_matches(|c: char| c.is_ascii_digit()) == *name))
    };
    program.or_else(variable).or_else(image).map(|(_, kind)| *kind)
}

/// Flags of the runtime: variables first, as the command line wins.
fn flags(runtime: RuntimeKind, words: &[String], env: &BTreeMap<String, String>) -> Vec<String> {
    // By convention many images hand JAVA_OPTS on.
    let handed_on = if runtime == RuntimeKind::Jvm { &["JAVA_OPTS"][..] } else { &[] };
    let names = detect::variables(runtime).iter().chain(handed_on);
    let from_env =
        names.filter_map(|name| env.get(*name)).flat_map(|v| v.split_whitespace()).map(str::to_owned);
    let all: Vec<String> = from_env.chain(words.iter().cloned()).collect();
    detect::flags(runtime, &all)
}

fn heap_max(runtime: RuntimeKind, flags: &[String], limit: Option<f64>) -> Result<f64, String> {
    let last = |prefix: &str| flags.iter().rev().find_map(|f| f.strip_prefix(prefix));
    match runtime {
        RuntimeKind::Jvm => {
            if let Some(max) = last("-Xmx").and_then(|v| parse_bytes(&v.to_ascii_lowercase())) {
                return Ok(max);
            }
            let share = last("-XX:MaxRAMPercentage=").and_then(|v| v.parse().ok()).unwrap_or(DEFAULT_SHARE);
            let limit = limit.ok_or("neither -Xmx nor a limit is set: it depends on the machine")?;
            Ok(limit * share / 100.0)
        }
        RuntimeKind::Node => last("--max-old-space-size=")
            .and_then(|v| v.parse::<f64>().ok())
            .map(|mib| mib * 1_048_576.0)
            .ok_or_else(|| "V8's own bound depends on its version and the machine".to_owned()),
        _ => Err("this runtime has no bound of its own".to_owned()),
    }
}

fn dump(runtime: RuntimeKind, flags: &[String]) -> Result<Option<String>, String> {
    let prefix = match runtime {
        RuntimeKind::Jvm => "-XX:HeapDumpPath=",
        RuntimeKind::Node => "--diagnostic-dir=",
        _ => return Err("this runtime has no such place".to_owned()),
    };
    Ok(flags.iter().rev().find_map(|f| f.strip_prefix(prefix)).map(str::to_owned))
}

/// What a path of the container is, by the volume that is mounted there.
fn room(path: &str, spec: &Value, container: &Value) -> Room {
    let holds = |m: &&Value| {
        text(m, "mountPath").is_some_and(|point| {
            let point = point.trim_end_matches('/');
            path.strip_prefix(point).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    };
    let mount = list_of(container, "volumeMounts")
        .iter()
        .filter(holds)
        .max_by_key(|m| text(m, "mountPath").map_or(0, str::len));
    let volume = mount.and_then(|m| {
        let name = text(m, "name")?;
        list_of(spec, "volumes").iter().find(|v| text(v, "name") == Some(name))
    });
    let empty = volume.and_then(|v| v.get("emptyDir"));
    let memory = empty.is_some_and(|e| text(e, "medium") == Some("Memory"));
    let read_only = mount.and_then(|m| m.get("readOnly")).and_then(Value::as_bool) == Some(true)
        || volume.is_some_and(|v| v.get("configMap").is_some() || v.get("secret").is_some());
    Room {
        path: path.to_owned(),
        // A folder is a mount itself, or says so by its end.
        folder: match () {
            () if path.ends_with('/') || mount.is_some_and(|m| is_mount(m, path)) => Some(true),
            () if is_file(path) => Some(false),
            () => None,
        },
        in_memory: Some(memory),
        free: empty.and_then(|e| text(e, "sizeLimit")).and_then(parse_quantity).map(|b| b as f64),
        survives: Some(match (mount, empty) {
            (None, _) => Survival::Nothing,
            (Some(_), Some(_)) => Survival::Restart,
            (Some(_), None) => Survival::Pod,
        }),
        writable: read_only.then_some(false),
    }
}

fn is_mount(mount: &Value, path: &str) -> bool {
    text(mount, "mountPath").is_some_and(|p| p.trim_end_matches('/') == path.trim_end_matches('/'))
}

fn is_file(path: &str) -> bool {
    path.rsplit('/').next().is_some_and(|name| name.contains('.') || name.contains('%'))
}

/// How long a container may stand still: all probes but the last may fail.
fn probe_budget(probe: &Value) -> f64 {
    let number = |key: &str, default: f64| probe.get(key).and_then(Value::as_f64).unwrap_or(default);
    (number("failureThreshold", 3.0) - 1.0).max(0.0) * number("periodSeconds", 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use plimsoll_core::audit::{Severity, State, audit};

    const DEPLOYMENT: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: shop
spec:
  template:
    spec:
      terminationGracePeriodSeconds: 10
      initContainers:
      - name: migrate
        image: shop-db
      containers:
      - name: api
        image: registry.example/team/api:21-jre
        env:
        - name: JAVA_TOOL_OPTIONS
          value: -XX:+HeapDumpOnOutOfMemoryError -XX:HeapDumpPath=/dumps -Xmx2g
        resources:
          limits: {memory: 2Gi}
        livenessProbe: {periodSeconds: 5, failureThreshold: 2}
        volumeMounts:
        - {name: scratch, mountPath: /dumps}
      - name: front
        image: node:20-slim
        command: [node, --max-old-space-size=400, server.js]
        resources:
          limits: {memory: 512Mi}
      volumes:
      - name: scratch
        emptyDir: {medium: Memory}
";

    fn state(s: &Subject, id: &str) -> (State, Option<Severity>) {
        let findings = audit(s);
        let f = findings.iter().find(|f| f.id == id).unwrap_or_else(|| panic!("no {id} in {findings:#?}"));
        (f.state, f.severity)
    }

    #[test]
    fn a_deployment_gives_each_container_that_stays() {
        let all = subjects(DEPLOYMENT, "shop.yaml").unwrap();
        let names: Vec<_> = all.iter().map(|s| (s.name.as_str(), s.runtime)).collect();
        assert_eq!(
            names,
            [
                ("container api of Deployment shop", Some(RuntimeKind::Jvm)),
                ("container front of Deployment shop", Some(RuntimeKind::Node))
            ]
        );
        assert_eq!(all[0].source, Some(("shop.yaml".to_owned(), 13)));
        assert_eq!(all[0].limit, Ok(Some(2.0 * 1_073_741_824.0)));
        assert_eq!(state(&all[0], "jvm/fires-at-this-limit"), (State::Fails, Some(Severity::Error)));
        assert_eq!(state(&all[0], "jvm/dump-path"), (State::Fails, Some(Severity::Error)));
        assert_eq!(state(&all[0], "container/probe"), (State::Fails, Some(Severity::Warning)));
        assert_eq!(state(&all[1], "node/heap-bound").0, State::Holds);
    }

    #[test]
    fn volumes_decide_what_a_dump_outlives() {
        let with = |volume: &str| {
            let text = DEPLOYMENT.replace("emptyDir: {medium: Memory}", volume);
            let s = subjects(&text, "x").unwrap().remove(0);
            s.dump.unwrap().unwrap()
        };
        let claim = with("persistentVolumeClaim: {claimName: dumps}");
        assert_eq!(
            (claim.survives, claim.in_memory, claim.folder),
            (Some(Survival::Pod), Some(false), Some(true))
        );
        let empty = with("emptyDir: {sizeLimit: 1Gi}");
        assert_eq!((empty.survives, empty.free), (Some(Survival::Restart), Some(1_073_741_824.0)));
        assert_eq!(with("configMap: {name: x}").writable, Some(false));
    }

    #[test]
    fn a_percentage_and_the_default_are_of_the_limit() {
        let heap = |flags: &[&str], limit| {
            let flags: Vec<String> = flags.iter().map(|f| (*f).to_owned()).collect();
            heap_max(RuntimeKind::Jvm, &flags, limit)
        };
        assert_eq!(heap(&["-XX:MaxRAMPercentage=80.0"], Some(1000.0)), Ok(800.0));
        assert_eq!(heap(&[], Some(1000.0)), Ok(250.0));
        assert!(heap(&[], None).is_err());
        assert_eq!(heap(&["-Xmx1G", "-Xmx64M"], None), Ok(67_108_864.0));
    }

    #[test]
    fn what_is_no_manifest_is_said_with_its_line() {
        assert_eq!(subjects("kind: Service\n", "x"), Err(ManifestError::NoWorkload));
        assert_eq!(subjects("", "x"), Err(ManifestError::NoWorkload));
        let Err(ManifestError::Syntax(said)) = subjects("kind: Pod\nspec: [1\n", "x") else {
            panic!("no error")
        };
        assert!(said.contains("line"), "{said}");
    }

    #[test]
    fn every_cut_and_odd_value_is_survived() {
        for end in 0..DEPLOYMENT.len() {
            let _either = subjects(&DEPLOYMENT[..end], "x");
        }
        let odd = "kind: Pod\nspec: {containers: [7, {name: [], image: 3, env: {}, resources: {limits: {memory: x}}}]}\n";
        let all = subjects(odd, "x").unwrap();
        assert!(all[1].limit.is_err());
    }
}
