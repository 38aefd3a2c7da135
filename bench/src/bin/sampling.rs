//! What it costs to sample every process of a machine once a second, beside readings of the same processes.
//!
//! `cargo run --release -p plimsoll-bench --bin sampling -- [--processes 1000] [--seconds 30] [--rounds 3]`
//!
//! The processes are this program again, asleep, each holding a mebibyte. Each reader runs as a process of its
//! own, so that its processor time and its peak memory are its own.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use plimsoll_host::fleet::Fleet;
use plimsoll_host::world::World;

const TICK: Duration = Duration::from_secs(1);

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |name: &str, otherwise: u64| {
        let at = args.iter().position(|a| a == name);
        at.and_then(|i| args.get(i + 1)).and_then(|v| v.parse().ok()).unwrap_or(otherwise)
    };
    let seconds = number("--seconds", 30);
    match args.first().map(String::as_str) {
        Some("sleep") => sleep(),
        Some("fleet") => fleet(seconds),
        Some("exporter") => exporter(seconds),
        _ => compare(number("--processes", 1000), seconds, number("--rounds", 3)),
    }
}

/// Holds a mebibyte until the parent is gone: its end of the pipe closes.
fn sleep() {
    let held = vec![1u8; 1 << 20];
    let mut end = [0u8; 1];
    // Nothing is ever written; the end of the pipe is the only answer.
    let _closed = std::io::stdin().read(&mut end);
    assert!(held.first() == Some(&1));
}

/// Ticks once a second until `seconds` have passed.
fn every_second(seconds: u64, mut tick: impl FnMut()) {
    let began = Instant::now();
    for i in 0..seconds {
        tick();
        let due = began + TICK * (i as u32 + 1);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
}

fn fleet(seconds: u64) {
    let mut fleet = Fleet::open(&World::default());
    every_second(seconds, || fleet.tick());
    report(fleet.pids().count());
}

/// What process exporters read of each process at each scrape.
fn exporter(seconds: u64) {
    let mut seen = 0;
    every_second(seconds, || seen = scrape());
    report(seen);
}

fn scrape() -> usize {
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids: Vec<i32> = pids.filter_map(|e| e.file_name().to_str()?.parse().ok()).collect();
    let mut total = 0usize;
    for pid in &pids {
        for file in ["stat", "status", "io", "cmdline"] {
            total += fs::read_to_string(format!("/proc/{pid}/{file}")).map_or(0, |t| t.len());
        }
        total += fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
    }
    std::hint::black_box(total);
    pids.len()
}

/// Says its own cost: processes seen, processor seconds, peak resident bytes.
#[expect(clippy::print_stdout, reason = "the parent reads it")]
fn report(seen: usize) {
    let usage = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    println!("{seen} {} {}", ticks(&usage), peak("self"));
}

/// User and system time of a stat line, seconds.
fn ticks(stat: &str) -> f64 {
    let after = stat.rsplit_once(')').map_or("", |x| x.1);
    let word =
        |i: usize| after.split_whitespace().nth(i).and_then(|w| w.parse::<f64>().ok()).unwrap_or(f64::NAN);
    // Clock ticks are hundredths of a second on every Linux that Rust's standard library runs on.
    (word(11) + word(12)) / 100.0
}

fn peak(pid: &str) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|w| w.parse::<f64>().ok()).map_or(f64::NAN, |k| k * 1024.0)
}

/// One reader's cost: share of a core, peak bytes, processes seen.
#[derive(Clone, Copy)]
struct Cost {
    share: f64,
    peak: f64,
    seen: f64,
}

fn compare(processes: u64, seconds: u64, rounds: u64) {
    let me = std::env::current_exe().unwrap_or_default();
    let start = |_| Command::new(&me).arg("sleep").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().ok();
    let mut children: Vec<Child> = (0..processes).filter_map(start).collect();
    let reader = |name: &str| {
        let out = Command::new(&me).args([name, "--seconds", &seconds.to_string()]).output().ok()?;
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let mut words = text.split_whitespace().filter_map(|w| w.parse::<f64>().ok());
        let (seen, busy, peak) = (words.next()?, words.next()?, words.next()?);
        Some(Cost { share: busy / seconds as f64, peak, seen })
    };
    let mut rows: [Vec<Cost>; 3] = Default::default();
    for _ in 0..rounds {
        rows[0].extend(reader("fleet"));
        rows[1].extend(reader("exporter"));
        rows[2].extend(node_exporter(seconds));
    }
    for child in &mut children {
        // It may be gone already.
        let _gone = child.kill();
        let _reaped = child.wait();
    }
    table(&rows, processes, seconds, rounds);
}

/// The real exporter of the machine's numbers (it reads no single processes), scraped once a second.
fn node_exporter(seconds: u64) -> Option<Cost> {
    let port = "127.0.0.1:9177";
    let mut child = Command::new("prometheus-node-exporter")
        .arg(format!("--web.listen-address={port}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let deadline = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(port).is_err() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    every_second(seconds, || {
        if let Ok(mut stream) = TcpStream::connect(port) {
            let ask = b"GET /metrics HTTP/1.0\r\n\r\n";
            let mut answer = Vec::new();
            let _scraped = stream.write_all(ask).and_then(|()| stream.read_to_end(&mut answer));
        }
    });
    let pid = child.id().to_string();
    let busy = ticks(&fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default());
    let cost = Cost { share: busy / seconds as f64, peak: peak(&pid), seen: 0.0 };
    let _gone = child.kill();
    let _reaped = child.wait();
    Some(cost)
}

#[expect(clippy::print_stdout, reason = "the table is this program's result")]
fn table(rows: &[Vec<Cost>; 3], processes: u64, seconds: u64, rounds: u64) {
    let median = |costs: &[Cost], f: fn(&Cost) -> f64| {
        let mut all: Vec<f64> = costs.iter().map(f).collect();
        all.sort_by(f64::total_cmp);
        all.get(all.len() / 2).copied()
    };
    println!("{processes} processes, once a second for {seconds} s, medians of {rounds} rounds\n");
    println!(
        "| reader | share of one core | peak RSS | processes seen | against Plimsoll |\n|---|---|---|---|---|"
    );
    let names =
        ["Plimsoll (`Fleet`)", "as process exporters read", "prometheus-node-exporter (no processes)"];
    let ours = median(&rows[0], |c| c.share).unwrap_or(f64::NAN);
    for (name, costs) in names.iter().zip(rows) {
        match median(costs, |c| c.share) {
            None => println!("| {name} | not installed here | | | |"),
            Some(share) => println!(
                "| {name} | {:.2} % | {:.1} MiB | {:.0} | {:.1} × |",
                100.0 * share,
                median(costs, |c| c.peak).unwrap_or(f64::NAN) / 1048576.0,
                median(costs, |c| c.seen).unwrap_or(0.0),
                share / ours
            ),
        }
    }
}
