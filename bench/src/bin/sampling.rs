//! What watching every process of a machine costs, beside the reading that a per-process exporter makes.
//!
//! `cargo run --release -p plimsoll-bench --bin sampling -- [--processes 1000] [--seconds 30] [--rounds 3]`
//! starts that many sleeping processes and lets each reader, a process of its own, look at them once per
//! second. All readers run at the same time, so they see the same machine; each one's CPU time counts alone.
//! Everything that is started dies with this program, however it ends.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use plimsoll_host::fleet::Fleet;
use plimsoll_host::world::World;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;
use rustix::time::{ClockId, clock_gettime};

/// Memory that each sleeping process touches, bytes.
const TOUCHED: usize = 1 << 20;
/// Ticks after which the history is full: an hour at one per second.
const FULL_HISTORY: u64 = 3600;
/// How long starting all processes may take.
const START_DEADLINE: Duration = Duration::from_secs(120);
/// The exporter of the machine's numbers, where it is installed.
const NODE_EXPORTER: &str = "prometheus-node-exporter";
/// What is aimed at: share of one core, and MiB.
const TARGET: (f64, f64) = (0.03, 40.0);

/// What one reader cost in one round.
#[derive(Clone, Copy)]
struct Cost {
    /// CPU seconds, the first look included.
    cpu: f64,
    /// Of these, until the first look was done.
    first: f64,
    /// Peak resident set at the end of the seconds, MiB.
    rss: f64,
    /// Peak resident set once an hour of history is held, MiB; readers without history keep none.
    rss_hour: Option<f64>,
    /// Processes seen.
    seen: usize,
}

struct Options {
    processes: usize,
    seconds: u64,
    rounds: usize,
}

/// One line of the table.
struct Row {
    name: &'static str,
    costs: Vec<Cost>,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["__under", parent, program, rest @ ..] => under(parent, program, rest),
        ["__sleep"] => sleep_for_ever(),
        ["__read", kind, seconds] => reader(kind, seconds.parse().unwrap_or(30)),
        _ => compare(&options(&args)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            say(&format!("failed to measure: {e}"));
            ExitCode::FAILURE
        }
    }
}

fn options(args: &[String]) -> Options {
    let value = |name: &str| args.iter().position(|a| a == name).and_then(|i| args.get(i + 1));
    Options {
        processes: value("--processes").and_then(|v| v.parse().ok()).unwrap_or(1000),
        seconds: value("--seconds").and_then(|v| v.parse().ok()).unwrap_or(30),
        rounds: value("--rounds").and_then(|v| v.parse().ok()).unwrap_or(3),
    }
}

#[expect(clippy::print_stdout, reason = "the table is this program's result")]
fn print(text: &str) {
    println!("{text}");
}

#[expect(clippy::print_stderr, reason = "progress")]
fn say(text: &str) {
    eprintln!("{text}");
}

/// Processes that are killed when this is dropped; they also die with the program.
struct Herd(Vec<Child>);

impl Drop for Herd {
    fn drop(&mut self) {
        // What has ended already needs no kill.
        self.0.iter_mut().for_each(|c| drop(c.kill()));
        self.0.iter_mut().for_each(|c| drop(c.wait()));
    }
}

/// A command that is killed when this program's main thread ends: it goes through a step that asks for that.
fn bound_to_us(program: &Path, args: &[&str]) -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("__under").arg(std::process::id().to_string()).arg(program).args(args).stdin(Stdio::null());
    Ok(command)
}

/// That step: asks the kernel to be killed with the parent, then becomes the program.
fn under(parent: &str, program: &str, args: &[&str]) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // The parent may have ended before the request.
    let now = rustix::process::getppid().map(|p| p.as_raw_nonzero().to_string());
    if now.as_deref() != Some(parent) {
        return Ok(());
    }
    Err(Command::new(program).args(args).exec())
}

/// One of the processes that are looked at.
fn sleep_for_ever() -> io::Result<()> {
    let held = std::hint::black_box(vec![1_u8; TOUCHED]);
    io::stdout().write_all(&held[..1])?;
    io::stdout().flush()?;
    loop {
        std::thread::park();
    }
}

/// Starts the processes and returns when all of them hold their memory.
fn start(processes: usize) -> io::Result<Herd> {
    let (mut ready, writer) = io::pipe()?;
    let me = std::env::current_exe()?;
    let mut herd = Herd(Vec::with_capacity(processes));
    for _ in 0..processes {
        herd.0.push(bound_to_us(&me, &["__sleep"])?.stdout(writer.try_clone()?).spawn()?);
    }
    drop(writer);
    let deadline = Instant::now() + START_DEADLINE;
    let (mut up, mut buffer) = (0, [0_u8; 4096]);
    while up < processes {
        let left = deadline.saturating_duration_since(Instant::now());
        let wait = Timespec::try_from(left).map_err(io::Error::other)?;
        if poll(&mut [PollFd::new(&ready, PollFlags::IN)], Some(&wait))? == 0 {
            return Err(io::Error::other(format!("only {up} of {processes} processes run")));
        }
        match ready.read(&mut buffer)? {
            0 => return Err(io::Error::other(format!("only {up} of {processes} processes live"))),
            n => up += n,
        }
    }
    Ok(herd)
}

fn compare(options: &Options) -> io::Result<()> {
    let herd = start(options.processes)?;
    say(&format!("{} processes run", herd.0.len()));
    let mut rows = vec![
        Row { name: "Plimsoll, all processes (`Fleet`)", costs: Vec::new() },
        Row { name: "per-process exporter's files, read only", costs: Vec::new() },
        Row { name: "the same with `smaps_rollup`", costs: Vec::new() },
        Row { name: "prometheus-node-exporter, scraped (machine only)", costs: Vec::new() },
    ];
    for round in 1..=options.rounds {
        for (row, cost) in rows.iter_mut().zip(measure(options.seconds)?) {
            row.costs.extend(cost);
        }
        say(&format!("round {round} of {}", options.rounds));
    }
    drop(herd);
    print(&table(&rows, options));
    Ok(())
}

/// One round: all readers at once, for that many seconds.
fn measure(seconds: u64) -> io::Result<Vec<Option<Cost>>> {
    let me = std::env::current_exe()?;
    let mut readers = Herd(Vec::new());
    for kind in ["fleet", "files", "rollup"] {
        let child = bound_to_us(&me, &["__read", kind, &seconds.to_string()])?.stdout(Stdio::piped()).spawn();
        readers.0.push(child?);
    }
    let exporter = scrape(seconds)?;
    let mut out = Vec::new();
    for child in &mut readers.0 {
        let mut line = String::new();
        let pipe = child.stdout.take().ok_or_else(|| io::Error::other("a reader has no output"))?;
        BufReader::new(pipe).read_line(&mut line)?;
        out.push(Some(Cost::parse(&line).ok_or_else(|| io::Error::other("a reader ended early"))?));
    }
    out.push(exporter);
    Ok(out)
}

/// A reader's process: looks once per second, then tells what it cost.
fn reader(kind: &str, seconds: u64) -> io::Result<()> {
    let mut fleet = Fleet::open(&World::default());
    let mut seen = 0;
    let mut first = 0.0;
    let began = Instant::now();
    for i in 0..seconds {
        match kind {
            "fleet" => {
                fleet.tick();
                seen = fleet.pids().count();
            }
            _ => seen = read_files(kind == "rollup")?,
        }
        if i == 0 {
            first = cpu_seconds();
        }
        // The pace of the measurement itself.
        std::thread::sleep((began + Duration::from_secs(i + 1)).saturating_duration_since(Instant::now()));
    }
    let mut cost = Cost { cpu: cpu_seconds(), first, rss: peak_mib("self")?, rss_hour: None, seen };
    if kind == "fleet" {
        // The rest of an hour without its pauses: memory is judged with the history full.
        (seconds..=FULL_HISTORY).for_each(|_| fleet.tick());
        cost.rss_hour = Some(peak_mib("self")?);
    }
    io::stdout().write_all(cost.line().as_bytes())
}

/// CPU time of this process, user and system, seconds.
fn cpu_seconds() -> f64 {
    let t = clock_gettime(ClockId::ProcessCPUTime);
    t.tv_sec as f64 + t.tv_nsec as f64 / 1e9
}

/// Peak resident set of a process, MiB.
fn peak_mib(pid: &str) -> io::Result<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kib = text.lines().find_map(|l| l.strip_prefix("VmHWM:")?.split_ascii_whitespace().next());
    kib.and_then(|v| v.parse::<f64>().ok())
        .map(|v| v / 1024.0)
        .ok_or_else(|| io::Error::other(format!("failed to find VmHWM of process {pid}")))
}

/// What an exporter of per-process numbers reads at each scrape, without parsing or keeping any of it.
fn read_files(rollup: bool) -> io::Result<usize> {
    let mut seen = 0;
    for entry in fs::read_dir("/proc")?.flatten() {
        if entry.file_name().to_str().is_none_or(|n| n.parse::<i32>().is_err()) {
            continue;
        }
        let folder = entry.path();
        let mut bytes = 0;
        for file in ["stat", "status", "io", "cmdline"] {
            bytes += fs::read_to_string(folder.join(file)).map_or(0, |t| t.len());
        }
        if rollup {
            bytes += fs::read_to_string(folder.join("smaps_rollup")).map_or(0, |t| t.len());
        }
        let open = fs::read_dir(folder.join("fd")).map_or(0, Iterator::count);
        seen += usize::from(std::hint::black_box(bytes + open) > 0);
    }
    Ok(seen)
}

/// Scrapes the exporter of the machine's numbers once per second; `None` when it is not installed.
fn scrape(seconds: u64) -> io::Result<Option<Cost>> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let Some(program) = std::env::split_paths(&path).map(|d| d.join(NODE_EXPORTER)).find(|p| p.is_file())
    else {
        pause(seconds);
        return Ok(None);
    };
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let listen = format!("--web.listen-address=127.0.0.1:{port}");
    let mut command = bound_to_us(&program, &[&listen, "--log.level=error"])?;
    let herd = Herd(vec![command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?]);
    let pid = herd.0.first().map(Child::id).unwrap_or_default().to_string();
    await_port(port)?;
    let began = Instant::now();
    let (mut first, mut seen) = (0.0, 0);
    for i in 0..seconds {
        seen = usize::from(get(port)? > 0);
        if i == 0 {
            first = ticks_seconds(&pid)?;
        }
        std::thread::sleep((began + Duration::from_secs(i + 1)).saturating_duration_since(Instant::now()));
    }
    Ok(Some(Cost { cpu: ticks_seconds(&pid)?, first, rss: peak_mib(&pid)?, rss_hour: None, seen }))
}

/// Lets the other readers work.
fn pause(seconds: u64) {
    std::thread::sleep(Duration::from_secs(seconds));
}

fn await_port(port: u16) -> io::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
            Ok(_) => return Ok(()),
            Err(e) if Instant::now() > deadline => return Err(e),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// One scrape; bytes of the answer.
fn get(port: u16) -> io::Result<usize> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut page = Vec::new();
    stream.read_to_end(&mut page)
}

/// CPU time of another process, in the kernel's hundredths.
fn ticks_seconds(pid: &str) -> io::Result<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let after = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = after.split_ascii_whitespace().skip(11).take(2).filter_map(|w| w.parse::<f64>().ok());
    Ok(ticks.sum::<f64>() / rustix::param::clock_ticks_per_second() as f64)
}

impl Cost {
    fn line(&self) -> String {
        let hour = self.rss_hour.unwrap_or(-1.0);
        format!("{} {} {} {hour} {}\n", self.cpu, self.first, self.rss, self.seen)
    }

    fn parse(line: &str) -> Option<Cost> {
        let v: Vec<f64> = line.split_ascii_whitespace().filter_map(|w| w.parse().ok()).collect();
        let [cpu, first, rss, hour, seen] = v.as_slice() else { return None };
        let rss_hour = (*hour >= 0.0).then_some(*hour);
        Some(Cost { cpu: *cpu, first: *first, rss: *rss, rss_hour, seen: *seen as usize })
    }
}

/// The middle one; none of nothing.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

fn table(rows: &[Row], options: &Options) -> String {
    let of = |row: &Row, get: fn(&Cost) -> f64| median(row.costs.iter().map(get).collect());
    let ours = rows.first().and_then(|r| of(r, |c| c.cpu)).unwrap_or(f64::NAN);
    let mut out = format!(
        "{} sleeping processes of {} MiB, one look per second for {} s, medians of {} rounds.\n\n",
        options.processes,
        TOUCHED >> 20,
        options.seconds,
        options.rounds
    );
    out += "| reader | processes seen | CPU, s | of it the first look, s | share of one core | peak RSS, MiB | with an hour kept, MiB | CPU, times Plimsoll's |\n";
    out += "|---|---:|---:|---:|---:|---:|---:|---:|\n";
    for row in rows {
        let Some(cpu) = of(row, |c| c.cpu) else {
            out += &format!("| {} | not installed | | | | | | |\n", row.name);
            continue;
        };
        let cell = |get: fn(&Cost) -> f64| of(row, get).unwrap_or(f64::NAN);
        let hour = median(row.costs.iter().filter_map(|c| c.rss_hour).collect());
        out += &format!(
            "| {} | {} | {cpu:.3} | {:.3} | {:.2} % | {:.1} | {} | {:.1} |\n",
            row.name,
            if row.name.contains("machine") { "–".to_owned() } else { cell(|c| c.seen as f64).to_string() },
            cell(|c| c.first),
            100.0 * cpu / options.seconds as f64,
            cell(|c| c.rss),
            hour.map_or("–".to_owned(), |h| format!("{h:.1}")),
            cpu / ours,
        );
    }
    let peak = rows.first().and_then(|r| median(r.costs.iter().filter_map(|c| c.rss_hour).collect()));
    let met = ours / options.seconds as f64 <= TARGET.0 && peak.is_some_and(|p| p <= TARGET.1);
    let word = if met { "met" } else { "missed" };
    out + &format!("\nTarget of {:.0} % of one core and {} MiB: {word}.", 100.0 * TARGET.0, TARGET.1)
}
