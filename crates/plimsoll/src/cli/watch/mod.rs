//! `plimsoll watch`: the agent of a machine, in the foreground; a service manager keeps it running.

mod page;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use plimsoll_core::agent::{Event, Mode, Rules, What};
use plimsoll_core::incident::{self, Debt, Incident};
use plimsoll_host::agent::{Agent, Row};
use plimsoll_host::export::object;
use plimsoll_host::export::remote_write::{self, Remote, RemoteWrite};
use plimsoll_host::store;
use plimsoll_host::world::World;
use plimsoll_read::config;

use self::page::{Door, Pages};
use super::{calibrate, series, triage};
use crate::error::{CliError, Kind};
use crate::exit_code;
use crate::output::{self, Format, tell};
use crate::render::openmetrics::{self, Form, Owed, Own};
use crate::render::paint::Paint;

/// A shorter token is guessed.
const SHORTEST_TOKEN: usize = 16;

/// The agent: watches every group with a limit, and captures before the kernel kills
///
/// Without `mode: capture` in the configuration (or --go) it observes: it tells what it would do, and touches nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  plimsoll watch                            observe, and say what would be done
  plimsoll watch --go --store /var/lib/plimsoll --listen 127.0.0.1:9464
  plimsoll watch --config plimsoll.yaml     rules, with what is not said at its default:
      mode: capture            # observe
      every: 10s
      only: [java, 'api-*']    # every process of a group with a limit
      armedBelow: 1h           # prepared from this time to the limit
      lightBelow: 15m          # cheap artifacts
      heavyBelow: 20s          # the heavy one, or 3 times what it needs
      heavyEvery: 1h           # at most one per workload in this time
      brake: auto              # raise, park, throttle or freeze; no time is bought without it. In full:
      # brake: {use: auto, raiseShare: 0.25, neverAbove: 4Gi, ancestors: true, for: 10m, standStill: 30s}
      keepBytes: 20Gi
      keepFor: 14d
      keepSeriesBytes: 1Gi     # every sample of every watched process, in STORE/series
      keepSeriesFor: 60d
      profiles: {every: 10m, keepFor: 7d, pushTo: 'http://pyroscope:4040'}   # of Go programs that offer them
      upload: s3://bucket/host # each capture as soon as it is stored
  plimsoll watch --remote-write http://prometheus:9090/api/v1/write
A brake buys the time that a capture needs: it raises the limit (with those of other groups that are as tight), parks the \
program where it would be killed, throttles or freezes it. It is in the log before it is put on. A raised limit stays for \
`for`, the others come off after the capture; if the agent dies, a guard takes them off. `auto` takes the first that fits and says what speaks against the others.
Metrics are at http://ADDRESS/metrics; with --alerts-token, Alertmanager's webhook may post to http://ADDRESS/alerts, \
and webhooks of Argo CD, Flux, LaunchDarkly or your own to http://ADDRESS/marks.")]
pub(crate) struct Args {
    /// Rules, as YAML.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Folder of the agent's log and evidence; of one agent at a time.
    #[arg(long, value_name = "FOLDER")]
    store: Option<PathBuf>,

    /// Take artifacts, too, whatever the configuration says.
    #[arg(long)]
    go: bool,

    /// Serve metrics there.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,

    /// Take alerts at POST /alerts, which open incidents, and marks at POST /marks, from whoever knows the token in this file.
    #[arg(long, value_name = "FILE", requires = "listen")]
    alerts_token: Option<PathBuf>,

    /// Send metrics to a server that takes Prometheus's remote write, such as http://prometheus:9090/api/v1/write.
    #[arg(long, value_name = "URL", value_parser = remote_url)]
    remote_write: Option<String>,

    /// File of a bearer token for it.
    #[arg(long, value_name = "FILE", requires = "remote_write")]
    remote_write_token: Option<PathBuf>,

    /// Stop after this time.
    #[arg(long = "for", value_name = "TIME", value_parser = triage::duration)]
    seconds: Option<f64>,
}

fn remote_url(text: &str) -> Result<String, String> {
    match text.split_once("://") {
        Some(("http", rest)) if !rest.is_empty() => Ok(text.to_owned()),
        Some(("https", _)) => Err(
            "TLS is not spoken here: send to an agent or a proxy on this machine, or let /metrics be scraped"
                .to_owned(),
        ),
        _ => Err("a URL such as http://prometheus:9090/api/v1/write is needed".to_owned()),
    }
}

pub(crate) fn run(args: &Args, format: Format) -> Result<u8, CliError> {
    let rules = rules(args)?;
    let stop = triage::stop_flag()?;
    let store = series::store(args.store.as_deref())?;
    let (door, alerts) = Door::new(token(args.alerts_token.as_deref())?, store::marks::path(&store));
    let page = Arc::clone(&door.pages);
    if let Some(address) = args.listen {
        page::serve(address, door, Arc::clone(&stop))?;
    }
    let world = World::default();
    let mut agent = Agent::open(&world, rules, &store)
        .map_err(|e| CliError::new(Kind::CannotJudge, "the agent cannot run").because(e))?
        .calibrated(calibrate::here(&world));
    tell(&format!("plimsoll: the store is {}", store.display()));
    let end = args.seconds.map(|s| Instant::now() + Duration::from_secs_f64(s));
    let mut own = Own::default();
    let mut books = Books::default();
    let remote = remote(args)?;
    agent.run(&stop, &mut |agent| {
        if end.is_some_and(|end| Instant::now() >= end) {
            stop.store(true, Ordering::Relaxed);
        }
        alerts.try_iter().for_each(|posted| agent.alerted(&posted));
        let news = agent.news();
        let open = news.iter().all(|event| say(event, format));
        if !open {
            stop.store(true, Ordering::Relaxed);
        }
        news.iter().for_each(|event| count(&mut own, event.what));
        let looked = own.looks != agent.looks();
        if !looked && news.is_empty() {
            return;
        }
        own.looks = agent.looks();
        (own.resident, own.cpu) = footprint();
        own.series_bytes = agent.series_bytes();
        own.owed = books.owed(&store);
        if let Some(remote) = remote.as_ref().filter(|_| looked) {
            remote.write(agent.rows(), &mut own);
        }
        if args.listen.is_some() {
            let text = |form| openmetrics::text(agent.rows(), &own, form);
            *page.lock().unwrap_or_else(PoisonError::into_inner) =
                Pages { open: text(Form::Open), plain: text(Form::Plain) };
        }
    });
    Ok(exit_code::FINE)
}

/// The secret that who sends alerts must know.
fn token(path: Option<&Path>) -> Result<Option<String>, CliError> {
    let Some(path) = path else { return Ok(None) };
    let name = path.display();
    let text =
        fs::read_to_string(path).map_err(|e| CliError::usage(format!("cannot read {name}")).because(e))?;
    let token = text.trim();
    if token.len() < SHORTEST_TOKEN {
        return Err(CliError::usage(format!("{name} holds no token of {SHORTEST_TOKEN} characters or more"))
            .hint("openssl rand -hex 16 makes one"));
    }
    Ok(Some(token.to_owned()))
}

/// What is owed by the store's log, read again only when somebody has added to it.
#[derive(Default)]
struct Books {
    size: u64,
    debts: Vec<(String, Debt)>,
}

impl Books {
    fn owed(&mut self, folder: &Path) -> Vec<Owed> {
        let size = store::log_size(folder);
        if size != self.size {
            // What cannot be read now is read at the next look.
            let Ok(events) = store::events(folder) else { return Vec::new() };
            let all = incident::incidents(&events);
            let of = |i: &Incident| i.owed().map(|d| (i.workload.clone(), d.clone())).collect::<Vec<_>>();
            self.debts = all.iter().flat_map(of).collect();
            self.size = size;
        }
        let now = Timestamp::now().as_millisecond() as f64 / 1e3;
        let owed = |(workload, debt): &(String, Debt)| Owed {
            workload: workload.clone(),
            kind: debt.kind.clone(),
            age: (now - debt.since).max(0.0),
        };
        self.debts.iter().map(owed).collect()
    }
}

/// Where metrics are sent, with what names this machine there.
struct Sending {
    remote: RemoteWrite,
    instance: String,
}

fn remote(args: &Args) -> Result<Option<Sending>, CliError> {
    let Some(url) = args.remote_write.clone() else { return Ok(None) };
    let remote = RemoteWrite::start(Remote { url, token_file: args.remote_write_token.clone() })
        .map_err(|e| CliError::new(Kind::Internal, "failed to start a thread").because(e))?;
    let instance = rustix::system::uname().nodename().to_string_lossy().into_owned();
    Ok(Some(Sending { remote, instance }))
}

impl Sending {
    /// Has everything sent that the page says; never waits.
    fn write(&self, rows: &[Row], own: &mut Own) {
        let fate = self.remote.fate();
        (own.sent, own.unsent) = (fate.sent, fate.lost);
        if let Some(trouble) = fate.trouble {
            tell(&format!("plimsoll: {trouble}"));
        }
        let sample = |s: openmetrics::Sample| {
            let mut labels = vec![
                ("__name__".to_owned(), s.name),
                ("instance".to_owned(), self.instance.clone()),
                ("job".to_owned(), "plimsoll".to_owned()),
            ];
            labels.extend(s.labels.into_iter().map(|(name, text)| (name.to_owned(), text)));
            labels.sort();
            remote_write::Sample { labels, value: s.value }
        };
        let now = Timestamp::now().as_millisecond() as f64 / 1e3;
        let samples: Vec<remote_write::Sample> =
            openmetrics::samples(rows, own).into_iter().map(sample).collect();
        self.remote.send(now, &samples);
    }
}

fn rules(args: &Args) -> Result<Rules, CliError> {
    let mut rules = match &args.config {
        None => Rules::default(),
        Some(path) => {
            let name = path.display();
            let text = fs::read_to_string(path)
                .map_err(|e| CliError::usage(format!("cannot read {name}")).because(e))?;
            config::rules(&text).map_err(|e| CliError::usage(format!("{name}: {e}")))?
        }
    };
    if rules.upload.is_some() && !object::AVAILABLE {
        return Err(CliError::usage("this build has no object storage, and the rules upload to it")
            .hint("build it with --features object-store"));
    }
    if let Some(url) = rules.upload.as_ref().filter(|url| !object::is_object_url(url)) {
        return Err(
            CliError::usage(format!("upload: {url} is no object storage")).hint("say s3://BUCKET/PATH")
        );
    }
    if args.go {
        rules.mode = Mode::Capture;
    }
    Ok(rules)
}

/// Prints an event; false when nobody reads any more.
fn say(event: &Event, format: Format) -> bool {
    if format != Format::Table {
        return serde_json::to_string(event).is_ok_and(|text| output::line(&text));
    }
    let paint = Paint::new(output::colour());
    let at = Timestamp::from_second(event.time as i64).unwrap_or_default().to_zoned(TimeZone::system());
    let what = format!("{:?}", event.what).to_lowercase();
    let what = match event.what {
        What::Killed | What::Failed => paint.red(&format!("{what:8}")),
        What::Refused | What::Level | What::Found => paint.yellow(&format!("{what:8}")),
        What::Stored | What::Restored => paint.green(&format!("{what:8}")),
        _ => format!("{what:8}"),
    };
    // Names of groups and programs are anybody's.
    let (workload, text) = (output::plain(&event.workload), output::plain(&event.text));
    output::line(&format!("{} {what} {}: {text}", at.strftime("%H:%M:%S"), paint.bold(&workload)))
}

fn count(own: &mut Own, what: What) {
    match what {
        What::Stored => own.stored += 1,
        What::Failed => own.failed += 1,
        What::Killed => own.killed += 1,
        _ => {}
    }
}

/// Resident bytes and seconds of processor time of this program.
fn footprint() -> (f64, f64) {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|w| w.parse::<f64>().ok()).unwrap_or(0.0);
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    (pages * rustix::param::page_size() as f64, time.tv_sec as f64 + time.tv_nsec as f64 / 1e9)
}
