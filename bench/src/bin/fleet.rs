//! A cluster's history: how fast it is judged, a week of it as metrics text, and a server that says it has very much of it.
//!
//!     cargo run --release -p plimsoll-bench --bin fleet -- judge [--series 4000] [--replicas 1] [--passes 5]
//!     cargo run --release -p plimsoll-bench --bin fleet -- looks [--seed 8] [--per-class 30]
//!     cargo run --release -p plimsoll-bench --bin fleet -- week --containers 1000 --every 60 > week.om
//!     cargo run --release -p plimsoll-bench --bin fleet -- serve --series 100000 --namespaces 200
//!
//! `judge` measures one thread, the best of five passes, with series of 2,016 points (7 days, a floor every 5 minutes), by the number of replicas that
//! a workload has. `looks` judges simulated services side by side, of which it is known whether they leak. `serve` speaks as much of the Prometheus HTTP API as `plimsoll triage --prometheus` asks, and makes up what it
//! answers: it shows what 100,000 series take of ours. One container in twenty leaks. `bench/detect/first-screen` drives the other two.
#![expect(clippy::print_stdout, reason = "a benchmark prints its tables")]
#![expect(clippy::print_stderr, reason = "where it listens is said beside the result")]

use std::io::{self, BufRead as _, BufReader, BufWriter, Read as _, Write};
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use plimsoll_bench::looks::table;
use plimsoll_bench::run::{number, only};
use plimsoll_core::cluster::{Life, Limits, Movement, Replica, Workload, judge};
use plimsoll_core::series::Point;
use plimsoll_core::slope::{Death, Samples};

const MIB: f64 = 1_048_576.0;
const DAY: f64 = 86_400.0;
const WEEK: f64 = 7.0 * DAY;
const STEP: f64 = 300.0;
/// Replicas of the workloads that are written and served.
const REPLICAS: usize = 5;
const LIMIT: f64 = 1024.0 * MIB;
/// Times that everything is judged; the shortest counts, as the machine may be shared.
const PASSES: usize = 5;
/// One workload in so many leaks.
const LEAKS: usize = 20;

/// Anonymous memory of a container at an age: a level, a day, noise, and a leak of 2 to 5 MiB an hour in some.
fn memory(container: usize, age: f64) -> f64 {
    let workload = container / REPLICAS;
    let mixed = |n: u64| {
        let x = (container as u64 ^ n.rotate_left(17)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        ((x ^ x >> 31).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40) as f64 / f64::from(1 << 24)
    };
    let level = 150.0 + 200.0 * mixed(1);
    let day = 8.0 * mixed(2) * (age / DAY * std::f64::consts::TAU).sin();
    let garbage = 30.0 * mixed(3) * (age % (600.0 + 3000.0 * mixed(4))) / 3600.0;
    let noise = 4.0 * (mixed(5 + (age / STEP) as u64) - 0.5);
    let leak = if workload.is_multiple_of(LEAKS) { (1.5 + 2.0 * mixed(6)) * age / 3600.0 } else { 0.0 };
    (level + day + garbage + noise + leak) * MIB
}

fn main() -> ExitCode {
    only(&[
        "--series",
        "--replicas",
        "--passes",
        "--containers",
        "--every",
        "--seed",
        "--per-class",
        "--namespaces",
        "--port",
    ]);
    let mode = std::env::args().nth(1).unwrap_or_default();
    let given = |name: &str, default: usize| number(name).map_or(default, |n| n as usize);
    match mode.as_str() {
        "judge" => {
            let replicas = number("--replicas").map_or(vec![1, 3, 5, 10], |n| vec![(n as usize).max(1)]);
            judged(given("--series", 4000), &replicas, given("--passes", PASSES).max(1));
        }
        "week" => {
            let written = week(given("--containers", 1000), given("--every", 60) as f64);
            if let Err(e) = written {
                eprintln!("{e}");
                return ExitCode::FAILURE;
            }
        }
        "looks" => print!("{}", table(number("--seed").unwrap_or(8), given("--per-class", 30))),
        "serve" => {
            let world = World { series: given("--series", 100_000), namespaces: given("--namespaces", 200) };
            if let Err(e) = serve(world, given("--port", 0) as u16) {
                eprintln!("{e}");
                return ExitCode::FAILURE;
            }
        }
        _ => {
            eprintln!("judge, looks, week or serve?");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

fn workload(first: usize, replicas: usize, now: f64) -> Workload {
    let replica = |at: usize| {
        let container = first + at;
        let count = (WEEK / STEP) as usize;
        let point = |i: usize| {
            let age = i as f64 * STEP;
            Point { t: now - WEEK + age, v: memory(container, age) }
        };
        let points = (0..count).map(point).collect();
        let life = Life { start: now - WEEK, version: Some("v1".to_owned()), points };
        Replica {
            pod: format!("pod-{container}"),
            lives: vec![life],
            limits: Limits::always(LIMIT),
            ..Replica::default()
        }
    };
    Workload {
        cluster: String::new(),
        namespace: "bench".to_owned(),
        name: format!("workload-{first}"),
        container: "main".to_owned(),
        number: "anonymous memory".to_owned(),
        is_heap: false,
        samples: Samples::Raw,
        death: Death::AtUsage,
        replicas: (0..replicas).map(replica).collect(),
        kills: None,
    }
}

/// Series a second that one thread judges, by the number of replicas.
fn judged(series: usize, replicas: &[usize], passes: usize) {
    println!(
        "| replicas of a workload | series | series per second and core | workloads per second | leaks found |"
    );
    println!("|---:|---:|---:|---:|---:|");
    for &replicas in replicas {
        let now = 1_795_000_000.0;
        let count = series / replicas;
        // Made before anything is timed: a server would have sent it.
        let workloads: Vec<Workload> = (0..count).map(|at| workload(at * replicas, replicas, now)).collect();
        let (mut best, mut leaks) = (f64::INFINITY, 0);
        for _ in 0..passes {
            let begun = Instant::now();
            let movement = |w: &Workload| judge(w, now, STEP).verdict.ok().map(|v| v.movement);
            leaks = workloads.iter().filter(|w| movement(w) == Some(Movement::Leak)).count();
            best = begun.elapsed().as_secs_f64().min(best);
        }
        let seconds = best;
        let all = count * replicas;
        println!(
            "| {replicas} | {all} | {:.0} | {:.0} | {leaks} of {count} |",
            all as f64 / seconds,
            count as f64 / seconds
        );
    }
}

fn names(container: usize, namespaces: usize) -> (String, String) {
    let workload = container / REPLICAS;
    (
        format!("team-{}", workload % namespaces),
        format!("app-{workload}-5d9c7b{:04}-{:05}", workload % 997, container),
    )
}

fn labels(container: usize, namespaces: usize) -> String {
    let (namespace, pod) = names(container, namespaces);
    format!(
        r#"namespace="{namespace}",pod="{pod}",container="main",id="/kubepods/{pod}",image="registry/app-{}:1""#,
        container / REPLICAS
    )
}

/// A week as OpenMetrics: all samples of a metric together, as promtool wants it.
fn week(containers: usize, every: f64) -> io::Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64().floor());
    let mut out = BufWriter::with_capacity(1 << 20, io::stdout().lock());
    for container in 0..containers {
        let labels = labels(container, 20);
        let mut age = 0.0;
        while age <= WEEK {
            let (bytes, t) = (memory(container, age).round(), now - WEEK + age);
            writeln!(out, "container_memory_rss{{{labels}}} {bytes} {t}")?;
            age += every;
        }
    }
    for container in 0..containers {
        let (namespace, pod) = names(container, 20);
        // As often as a scrape would look back for it.
        let mut age = 0.0;
        while age <= WEEK {
            let t = now - WEEK + age;
            writeln!(
                out,
                r#"kube_pod_container_resource_limits{{namespace="{namespace}",pod="{pod}",container="main",resource="memory",unit="byte"}} {LIMIT} {t}"#
            )?;
            age += 3600.0;
        }
    }
    for container in 0..containers {
        let (namespace, pod) = names(container, 20);
        let owner = format!("app-{}", container / REPLICAS);
        writeln!(
            out,
            r#"kube_pod_owner{{namespace="{namespace}",pod="{pod}",owner_kind="StatefulSet",owner_name="{owner}"}} 1 {}"#,
            now - STEP
        )?;
    }
    writeln!(out, "# EOF")?;
    out.flush()
}

/// What the server says it has.
#[derive(Clone, Copy)]
struct World {
    series: usize,
    namespaces: usize,
}

fn serve(world: World, port: u16) -> io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    eprintln!("http://{}", listener.local_addr()?);
    for stream in listener.incoming() {
        // Who hangs up costs his own answer.
        let _gone = answer(stream?, world);
    }
    Ok(())
}

fn answer(stream: TcpStream, world: World) -> io::Result<()> {
    let mut input = BufReader::new(stream.try_clone()?);
    let (mut length, mut first) = (0, String::new());
    input.read_line(&mut first)?;
    loop {
        let mut line = String::new();
        input.read_line(&mut line)?;
        if let Some(given) = line.to_lowercase().strip_prefix("content-length:") {
            length = given.trim().parse().unwrap_or(0);
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    input.read_exact(&mut body)?;
    let form = String::from_utf8_lossy(&body).into_owned();
    let field =
        |name: &str| form.split('&').find_map(|f| f.strip_prefix(name)?.strip_prefix('=')).map(decoded);
    let query = field("query").unwrap_or_default();
    let time = |name: &str| field(name).and_then(|t| t.parse::<f64>().ok()).unwrap_or(0.0);
    let mut out = BufWriter::with_capacity(1 << 18, stream);
    write!(out, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n")?;
    if let Some(address) = first.strip_prefix("GET ") {
        let of = decoded(address);
        Asked { query: &of, from: 0.0, to: 0.0, step: 0.0 }.pods(world, &mut out)?;
        return out.flush();
    }
    let asked =
        Asked { query: &query, from: time("start"), to: time("end").max(time("time")), step: time("step") };
    asked.answer(world, &mut out)?;
    out.flush()
}

fn decoded(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let hex = |b: Option<u8>| b.and_then(|b| char::from(b).to_digit(16)).unwrap_or(0) as u8;
        out.push(if byte == b'%' { hex(bytes.next()) << 4 | hex(bytes.next()) } else { byte });
    }
    String::from_utf8_lossy(&out).into_owned()
}

struct Asked<'a> {
    query: &'a str,
    from: f64,
    to: f64,
    step: f64,
}

impl Asked<'_> {
    fn answer(&self, world: World, out: &mut impl Write) -> io::Result<()> {
        let kind = if self.step > 0.0 { "matrix" } else { "vector" };
        write!(out, r#"{{"status":"success","data":{{"resultType":"{kind}","result":["#)?;
        let is_about = |name: &str| self.query.contains(&format!("{name}{{"));
        if self.query.starts_with("count") && is_about("container_memory_rss") {
            self.counts(world, out)?;
        } else if self.query.starts_with("min_over_time(container_memory_rss{") {
            self.floors(world, out)?;
        } else if is_about("kube_pod_container_resource_limits") && !self.query.starts_with("count") {
            self.limits(world, out)?;
        }
        write!(out, "]}}}}")
    }

    fn counts(&self, world: World, out: &mut impl Write) -> io::Result<()> {
        if !self.query.contains("by(namespace)") {
            return write!(out, r#"{{"metric":{{}},"value":[{},"{}"]}}"#, self.to, world.series);
        }
        for namespace in 0..world.namespaces {
            let comma = if namespace > 0 { "," } else { "" };
            let count = world.series / world.namespaces;
            write!(
                out,
                r#"{comma}{{"metric":{{"namespace":"team-{namespace}"}},"values":[[{},"{count}"]]}}"#,
                self.to
            )?;
        }
        Ok(())
    }

    /// The names of the pods in the namespaces that are named.
    fn pods(&self, world: World, out: &mut impl Write) -> io::Result<()> {
        write!(out, r#"{{"status":"success","data":["#)?;
        for (at, container) in self.containers(world).enumerate() {
            let comma = if at > 0 { "," } else { "" };
            write!(out, r#"{comma}"{}""#, names(container, world.namespaces).1)?;
        }
        write!(out, "]}}")
    }

    /// Containers of the namespaces and pods that the query names.
    fn containers(&self, world: World) -> impl Iterator<Item = usize> {
        let named = self.query.split_once("namespace=~\"").or_else(|| self.query.split_once("namespace=\""));
        let named = named.and_then(|(_, rest)| rest.split('"').next()).map(|all| {
            let mut one = vec![false; world.namespaces];
            for at in all.split('|').filter_map(|n| n.strip_prefix("team-")?.parse::<usize>().ok()) {
                one[at] = true;
            }
            one
        });
        let pods = self.query.split_once("pod=~\"").or_else(|| self.query.split_once("pod=\""));
        let pods = pods.and_then(|(_, rest)| rest.split('"').next()).map(|all| {
            let container = |pod: &str| pod.rsplit_once('-')?.1.parse::<usize>().ok();
            all.split('|').filter_map(container).collect::<std::collections::HashSet<_>>()
        });
        (0..world.series).filter(move |c| {
            named.as_ref().is_none_or(|n| n[c / REPLICAS % world.namespaces])
                && pods.as_ref().is_none_or(|pods| pods.contains(c))
        })
    }

    fn floors(&self, world: World, out: &mut impl Write) -> io::Result<()> {
        for (at, container) in self.containers(world).enumerate() {
            let comma = if at > 0 { "," } else { "" };
            let labels = labels(container, world.namespaces)
                .replace('=', ":")
                .replace(",", ",\"")
                .replace(":\"", "\":\"");
            write!(out, r#"{comma}{{"metric":{{"{labels}}},"values":["#)?;
            let mut t = self.from;
            while t <= self.to {
                let comma = if t > self.from { "," } else { "" };
                write!(out, r#"{comma}[{t},"{}"]"#, memory(container, t - self.from).round())?;
                t += self.step;
            }
            write!(out, "]}}")?;
        }
        Ok(())
    }

    fn limits(&self, world: World, out: &mut impl Write) -> io::Result<()> {
        for (at, container) in self.containers(world).enumerate() {
            let comma = if at > 0 { "," } else { "" };
            let (namespace, pod) = names(container, world.namespaces);
            write!(
                out,
                r#"{comma}{{"metric":{{"namespace":"{namespace}","pod":"{pod}","container":"main"}},"value":[{},"{LIMIT}"]}}"#,
                self.to
            )?;
        }
        Ok(())
    }
}
