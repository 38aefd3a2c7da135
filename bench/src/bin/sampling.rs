//! What it costs to watch every process of a machine: CPU and memory of our fleet sampling, beside a plain
//! reading of the same processes and beside the node exporter where it is installed.
//!
//! `cargo run --release -p plimsoll-bench --bin sampling -- [--processes 1000] [--seconds 30] [--rounds 3] [--groups N]`
//!
//! All contestants look once a second at the same sleeping children, at the same time, each in a process of its
//! own, so that neither CPU nor memory mix. `--groups` spreads the children over memory control groups
//! with a limit each, as containers do. Markdown on stdout; exit code 1 when our budget is exceeded.
#![expect(clippy::print_stdout, reason = "a benchmark prints its tables")]
#![expect(clippy::print_stderr, reason = "what was left out is said beside the table")]

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use plimsoll_bench::run::{number, only};
use plimsoll_host::fleet::Fleet;
use plimsoll_host::world::World;
use serde_json::{Value, json};

/// Our budget for a thousand processes at one look a second: share of one core, and resident bytes.
const CPU_BUDGET: f64 = 0.03;
const MEMORY_BUDGET: f64 = 40.0 * MIB;
const MIB: f64 = 1024.0 * 1024.0;
/// Bytes that each child holds.
const HELD: usize = 256 << 10;
/// The budget is promised for this many processes.
const PROMISED: usize = 1000;

/// A way to watch all processes.
struct Contestant {
    key: &'static str,
    shown: &'static str,
    run: fn(usize) -> Measured,
}

const CONTESTANTS: &[Contestant] = &[
    Contestant { key: "fleet", shown: "**Plimsoll** fleet sampling", run: fleet },
    Contestant {
        key: "plain",
        shown: "process-exporter-like: `stat`, `status`, `io`, `cmdline`, count of `fd`",
        run: |seconds| plain(seconds, &["stat", "status", "io", "cmdline"]),
    },
    Contestant {
        key: "rollup",
        shown: "the same with `smaps_rollup`",
        run: |seconds| plain(seconds, &["stat", "status", "io", "cmdline", "smaps_rollup"]),
    },
];

/// What one contestant used in one round.
#[derive(Clone, Copy)]
struct Measured {
    cpu_per_look: f64,
    peak: f64,
    seen: f64,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some("--child") => return child(args.get(1)),
        Some("--contestant") => return contestant(&args),
        _ => {}
    }
    only(&["--processes", "--seconds", "--rounds", "--groups"]);
    let processes = number("--processes").unwrap_or(1000) as usize;
    let seconds = number("--seconds").unwrap_or(30) as usize;
    let rounds = number("--rounds").unwrap_or(3).max(1) as usize;
    let groups = number("--groups").unwrap_or(0) as usize;
    match measure(processes, groups, seconds, rounds) {
        Ok(within) => ExitCode::from(u8::from(!within)),
        Err(e) => {
            eprintln!("failed to measure: {e}");
            ExitCode::from(2)
        }
    }
}

/// A child joins its group, holds a little memory and sleeps until its parent is gone.
fn child(group: Option<&String>) -> ExitCode {
    if let Some(Err(e)) = group.map(|g| fs::write(format!("{g}/cgroup.procs"), "0")) {
        eprintln!("failed to join a group: {e}");
        return ExitCode::FAILURE;
    }
    let held = vec![1u8; HELD];
    let mut byte = [0u8; 1];
    let _end = io::stdin().read(&mut byte);
    ExitCode::from(u8::from(std::hint::black_box(&held).is_empty()))
}

/// Runs one contestant and prints its figures for the parent.
fn contestant(args: &[String]) -> ExitCode {
    let found = args.get(1).and_then(|key| CONTESTANTS.iter().find(|c| c.key == key));
    let seconds = args.get(2).and_then(|n| n.parse().ok());
    let Some((c, seconds)) = found.zip(seconds) else { return ExitCode::from(2) };
    let m = (c.run)(seconds);
    println!("{}", json!({ "cpu": m.cpu_per_look, "peak": m.peak, "seen": m.seen }));
    ExitCode::SUCCESS
}

/// Looks once a second; the first look (files are opened, the runtime warms up) is not counted.
fn looks(seconds: usize, mut look: impl FnMut() -> usize) -> Measured {
    let mut seen = look();
    let (cpu, mut next) = (own_cpu(), Instant::now());
    for _ in 0..seconds {
        next += Duration::from_secs(1);
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
        seen = look();
    }
    Measured {
        cpu_per_look: (own_cpu() - cpu) / seconds.max(1) as f64,
        peak: peak("self").unwrap_or(f64::NAN),
        seen: seen as f64,
    }
}

fn fleet(seconds: usize) -> Measured {
    let mut fleet = Fleet::open(&World::default());
    looks(seconds, || {
        fleet.tick();
        fleet.pids().count()
    })
}

/// What a simple exporter does at each scrape: open, read and close text files of every process, and keep one
/// number of each file.
fn plain(seconds: usize, files: &[&str]) -> Measured {
    looks(seconds, || {
        let mut sum = 0u64;
        let mut seen = 0;
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            if !entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit) {
                continue;
            }
            seen += 1;
            let files_open = fs::read_dir(entry.path().join("fd")).map_or(0, Iterator::count);
            sum = sum.wrapping_add(files_open as u64);
            for file in files {
                let text = fs::read_to_string(entry.path().join(file)).unwrap_or_default();
                let words = text.split_ascii_whitespace();
                sum = words.filter_map(|w| w.parse::<u64>().ok()).fold(sum, u64::wrapping_add);
            }
        }
        std::hint::black_box(sum);
        seen
    })
}

/// CPU seconds of this process.
fn own_cpu() -> f64 {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    t.tv_sec as f64 + t.tv_nsec as f64 / 1e9
}

/// Resident bytes of a process at its peak.
fn peak(pid: &str) -> Option<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let kib = text.lines().find_map(|l| l.strip_prefix("VmHWM:"))?.trim().strip_suffix(" kB")?;
    Some(kib.trim().parse::<f64>().ok()? * 1024.0)
}

/// Memory control groups with a limit, removed when dropped.
struct Groups(Vec<PathBuf>);

impl Groups {
    fn make(n: usize) -> io::Result<Groups> {
        let v2 = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
        let (root, file) = if v2 {
            ("/sys/fs/cgroup", "memory.max")
        } else {
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
        };
        let mut groups = Groups(Vec::new());
        for i in 0..n {
            let folder = Path::new(root).join(format!("plimsoll-bench-{}-{i}", std::process::id()));
            fs::create_dir(&folder)?;
            groups.0.push(folder.clone());
            fs::write(folder.join(file), (1u64 << 30).to_string())?;
        }
        Ok(groups)
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        // The kernel lets go of the last process a moment after it was reaped.
        let end = Instant::now() + Duration::from_secs(10);
        for folder in &self.0 {
            while fs::remove_dir(folder).is_err() && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    }
}

/// Children that end with us: their standard input is a pipe whose other end we hold.
struct Children {
    all: Vec<Child>,
    hold: Option<io::PipeWriter>,
    /// Dropped last.
    groups: Groups,
}

impl Children {
    fn start(n: usize, groups: Groups) -> io::Result<Children> {
        let (reader, writer) = io::pipe()?;
        let mut children = Children { all: Vec::with_capacity(n), hold: Some(writer), groups };
        let me = std::env::current_exe()?;
        for i in 0..n {
            let group = children.groups.0.get(i % children.groups.0.len().max(1));
            let child = Command::new(&me).arg("--child").args(group).stdin(reader.try_clone()?).spawn()?;
            children.all.push(child);
        }
        Ok(children)
    }

    /// Waits until every child holds what it should.
    fn settle(&self) -> io::Result<()> {
        let end = Instant::now() + Duration::from_secs(60);
        for child in &self.all {
            while peak(&child.id().to_string()).unwrap_or(0.0) < HELD as f64 {
                if Instant::now() > end {
                    return Err(io::Error::other("the children do not come up"));
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        Ok(())
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        drop(self.hold.take());
        for child in &mut self.all {
            let _reaped = child.wait();
        }
    }
}

/// The node exporter, scraped once a second. It counts processes by state, it does not tell them apart.
struct Exporter {
    child: Child,
    address: String,
}

impl Exporter {
    fn start() -> io::Result<Exporter> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let child = Command::new("prometheus-node-exporter")
            .args([&format!("--web.listen-address={address}"), "--collector.processes"])
            .stderr(Stdio::null())
            .spawn()?;
        let exporter = Exporter { child, address };
        let end = Instant::now() + Duration::from_secs(10);
        while exporter.scrape().is_err() {
            if Instant::now() > end {
                return Err(io::Error::other("it does not answer"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(exporter)
    }

    fn scrape(&self) -> io::Result<usize> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
        let mut text = Vec::new();
        stream.read_to_end(&mut text)
    }

    /// CPU seconds so far, in the kernel's ticks of 10 ms.
    fn cpu(&self) -> f64 {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        let after = text.rsplit(')').next().unwrap_or_default();
        let ticks = after.split_ascii_whitespace().skip(11).take(2).filter_map(|w| w.parse::<f64>().ok());
        ticks.sum::<f64>() / rustix::param::clock_ticks_per_second() as f64
    }

    fn round(&self, seconds: usize) -> Measured {
        let (cpu, mut next) = (self.cpu(), Instant::now());
        for _ in 0..seconds {
            next += Duration::from_secs(1);
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
            let _answer = self.scrape();
        }
        Measured {
            cpu_per_look: (self.cpu() - cpu) / seconds.max(1) as f64,
            peak: peak(&self.child.id().to_string()).unwrap_or(f64::NAN),
            seen: f64::NAN,
        }
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Rounds of every contestant at the same time; true when ours is within its budget.
fn measure(processes: usize, groups: usize, seconds: usize, rounds: usize) -> io::Result<bool> {
    let children = Children::start(processes, Groups::make(groups)?)?;
    children.settle()?;
    let exporter = Exporter::start();
    let me = std::env::current_exe()?;
    let mut results: Vec<Vec<Measured>> = vec![Vec::new(); CONTESTANTS.len()];
    let mut beside = Vec::new();
    for _ in 0..rounds {
        let started: io::Result<Vec<Child>> =
            CONTESTANTS.iter().map(|c| start_contestant(&me, c.key, seconds)).collect();
        if let Ok(e) = &exporter {
            beside.push(e.round(seconds));
        }
        for (child, into) in started?.into_iter().zip(&mut results) {
            into.push(figures(child)?);
        }
    }
    drop(children);
    let mut rows: Vec<(&str, &[Measured])> =
        CONTESTANTS.iter().map(|c| c.shown).zip(results.iter().map(Vec::as_slice)).collect();
    match &exporter {
        Ok(_) => rows.push(("node exporter with `--collector.processes` (machine totals only)", &beside)),
        Err(e) => eprintln!("SKIPPED: prometheus-node-exporter: {e}"),
    }
    let setting = format!(
        "{processes} children in {}, one look a second, {rounds} rounds of {seconds} s; medians.",
        if groups == 0 { "one group".to_owned() } else { format!("{groups} groups with a limit") }
    );
    Ok(print(&setting, processes, &rows))
}

fn start_contestant(me: &Path, key: &str, seconds: usize) -> io::Result<Child> {
    Command::new(me)
        .args(["--contestant", key, &seconds.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
}

fn figures(child: Child) -> io::Result<Measured> {
    let said = child.wait_with_output()?;
    let value: Value = serde_json::from_slice(&said.stdout)?;
    let get = |key: &str| value[key].as_f64().unwrap_or(f64::NAN);
    Ok(Measured { cpu_per_look: get("cpu"), peak: get("peak"), seen: get("seen") })
}

fn median(rounds: &[Measured], of: fn(&Measured) -> f64) -> f64 {
    let mut values: Vec<f64> = rounds.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn print(setting: &str, processes: usize, rows: &[(&str, &[Measured])]) -> bool {
    println!("{setting}\n");
    println!("| what | CPU per look | share of one core | × ours | peak resident | processes seen |");
    println!("|---|---|---|---|---|---|");
    let cpu = |r: &[Measured]| median(r, |m| m.cpu_per_look);
    let ours = rows.first().map_or(f64::NAN, |(_, r)| cpu(r));
    for (shown, r) in rows {
        let seen = median(r, |m| m.seen);
        println!(
            "| {shown} | {:.2} ms | {:.2} % | {:.1} | {:.1} MiB | {} |",
            cpu(r) * 1000.0,
            cpu(r) * 100.0,
            cpu(r) / ours,
            median(r, |m| m.peak) / MIB,
            if seen.is_finite() { format!("{seen:.0}") } else { "–".to_owned() },
        );
    }
    let memory = rows.first().map_or(f64::NAN, |(_, r)| median(r, |m| m.peak));
    let share = CPU_BUDGET * processes.max(PROMISED) as f64 / PROMISED as f64;
    let within = ours <= share && memory <= MEMORY_BUDGET;
    println!(
        "\nBudget: {:.1} % of one core and {:.0} MiB: {}.",
        share * 100.0,
        MEMORY_BUDGET / MIB,
        if within { "kept" } else { "exceeded" }
    );
    within
}
