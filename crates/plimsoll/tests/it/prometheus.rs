//! The metrics of `plimsoll watch`, checked by a real Prometheus: linted, scraped as OpenMetrics, and taken by remote write.

use std::fs;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::rig::{Agent, cage, get};
use crate::series::Leak;
use crate::{on_path, skipped};

const MIB: u64 = 1 << 20;

/// A server of our own, ended with the test.
pub(crate) struct Prometheus {
    child: Child,
    pub(crate) address: String,
}

impl Prometheus {
    /// Scrapes `target` every second, and takes remote writes.
    fn scraping(folder: &Path, target: &str) -> Prometheus {
        let scrapes = format!(
            "scrape_configs:\n- job_name: scraped\n  scrape_interval: 1s\n  static_configs:\n  - targets: ['{target}']\n"
        );
        Prometheus::start(folder, &scrapes, "")
    }

    /// With the series that are in the folder already, its pages below `prefix`.
    pub(crate) fn start(folder: &Path, scrapes: &str, prefix: &str) -> Prometheus {
        let server = Prometheus::start_with(folder, scrapes, prefix, None);
        let ready = format!("{prefix}/-/ready");
        server.until(|| get(&server.address, &ready, "").filter(|page| page.starts_with("HTTP/1.1 200")));
        server
    }

    /// The same with a configuration of its pages, and ready when it listens.
    pub(crate) fn start_with(folder: &Path, scrapes: &str, prefix: &str, web: Option<&str>) -> Prometheus {
        let config = folder.join("prometheus.yml");
        fs::write(&config, scrapes).expect("written");
        // Free now; nobody else on this machine asks for it before the server does.
        let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
        let address = format!("127.0.0.1:{port}");
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("tsdb").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--web.enable-remote-write-receiver")
            .arg(format!("--web.route-prefix={prefix}/"))
            .args(web.map(|file| format!("--web.config.file={}", folder.join(file).display())))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it runs");
        let server = Prometheus { child, address };
        server.until(|| TcpStream::connect(&server.address).ok());
        server
    }

    pub(crate) fn until<T>(&self, mut look: impl FnMut() -> Option<T>) -> T {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(Instant::now() < end, "Prometheus does not say what is waited for");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// The results of an instant query; none while there are none.
    fn query(&self, words: &str) -> Option<Vec<Value>> {
        self.results(&format!("/api/v1/query?query={}", encoded(words)))
    }

    /// The results of a query over a time, from and to, at steps in seconds.
    pub(crate) fn range(&self, words: &str, (from, to): (f64, f64), step: f64) -> Option<Vec<Value>> {
        let words = encoded(words);
        self.results(&format!("/api/v1/query_range?query={words}&start={from}&end={to}&step={step}"))
    }

    fn results(&self, path: &str) -> Option<Vec<Value>> {
        let answer = self.answer(path)?;
        let results = answer["data"]["result"].as_array()?.clone();
        (!results.is_empty()).then_some(results)
    }

    /// A document of its API.
    pub(crate) fn answer(&self, path: &str) -> Option<Value> {
        let page = get(&self.address, path, "")?;
        let (_, body) = page.split_once("\r\n\r\n")?;
        // It may come in chunks: the document is between the first and the last brace.
        let document = body.get(body.find('{')?..=body.rfind('}')?)?;
        let answer: Value = serde_json::from_str(document).ok()?;
        assert_eq!(answer["status"], "success", "{path}: {answer:#}");
        Some(answer)
    }
}

fn encoded(words: &str) -> String {
    words.bytes().map(|b| format!("%{b:02X}")).collect()
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

#[test]
fn a_real_prometheus_lints_scrapes_and_takes_what_the_agent_says() {
    let test = "prometheus::a_real_prometheus_lints_scrapes_and_takes_what_the_agent_says";
    if !on_path("prometheus") || !on_path("promtool") {
        return skipped(test, "there is no Prometheus (scripts/setup gets one)");
    }
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let Some(cage) = cage(test, "metrics", 700 * MIB) else { return };
    let Some(_leak) = Leak::start(folder.path(), &cage, "metered") else {
        return skipped(test, "there is no python3");
    };
    let (first, address) = Agent::serving(&folder.path().join("first"), "every: 500ms\nonly: ['metered*']\n");
    let server = Prometheus::scraping(folder.path(), &address);
    linted(&address);
    let workload = format!("workload=\"{}\"", cage.workload());
    // Scraped: the target is up only if the whole page could be read.
    let up = server.until(|| server.query("up{job=\"scraped\"} == 1"));
    assert_eq!(up.len(), 1);
    let clock = server
        .until(|| server.query(&format!("plimsoll_time_to_oom_seconds{{{workload},quantile=\"0.5\"}}")));
    let seconds: f64 = clock[0]["value"][1].as_str().expect("a number").parse().expect("a number");
    assert!(seconds > 0.0 && seconds < 600.0, "{seconds}");
    for words in [
        format!("plimsoll_floor_bytes{{{workload}}} > 0"),
        format!("plimsoll_floor_slope_bytes_per_second{{{workload},quantile=\"0.1\"}}"),
        format!("plimsoll_tasks{{{workload},kind=\"thread\"}} >= 1"),
        format!("plimsoll_net_ready{{{workload}}}"),
        format!("plimsoll_workload_info{{{workload},runtime=\"python\"}}"),
        "plimsoll_agent_resident_bytes > 0".to_owned(),
        "plimsoll_agent_looks_total > 0".to_owned(),
    ] {
        server.until(|| server.query(&words));
    }
    drop(first);
    written(&server, folder.path(), &workload);
}

/// The older text is what promtool reads.
fn linted(address: &str) {
    let page = get(address, "/metrics", "").expect("a page");
    let (head, body) = page.split_once("\r\n\r\n").expect("a body");
    assert!(head.contains("text/plain; version=0.0.4"), "{head}");
    let mut lint = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool runs");
    lint.stdin.take().expect("a pipe").write_all(body.as_bytes()).expect("written");
    let out = lint.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && said.trim().is_empty(), "{said}\n{body}");
}

/// What was sent by remote write is there, under a job of its own.
fn written(server: &Prometheus, folder: &Path, workload: &str) {
    let url = format!("http://{}/api/v1/write", server.address);
    let store = folder.join("second");
    let mut agent =
        Agent::run(&store, "every: 500ms\nonly: ['metered*']\n", &["--remote-write", &url, "--for", "40s"]).0;
    let used = server.until(|| server.query(&format!("plimsoll_used_bytes{{job=\"plimsoll\",{workload}}}")));
    assert_eq!(used[0]["metric"]["process"], "metered.py", "{used:#?}");
    let counted = server.until(|| server.query("plimsoll_agent_remote_samples_total{job=\"plimsoll\"} > 0"));
    assert_eq!(counted.len(), 1);
    let lost = server.query("plimsoll_agent_remote_samples_lost_total{job=\"plimsoll\"} > 0");
    assert!(lost.is_none(), "{lost:?}");
    agent.stop();
}
