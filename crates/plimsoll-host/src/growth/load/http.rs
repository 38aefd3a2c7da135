//! A request for each iteration, over a bounded number of connections that are closed before memory is read.

use std::io::{self, Read as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use plimsoll_core::guard::{KeyMode, Template};
use ureq::http::{self, Uri};

use super::{Done, Halt, Keys, Load, Subject, in_parallel};
use crate::growth::GrowthError;
use crate::growth::probe::descends;
use crate::identify;
use crate::step;
use crate::world::World;

/// Longest wait for one answer.
const DEADLINE: Duration = Duration::from_secs(30);
/// Longest answer that is read to its end.
const LARGEST: u64 = 64 << 20;
/// How long a program may take to listen.
const LISTENS: Duration = Duration::from_secs(120);

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Request {
    method: String,
    url: Template,
    headers: Vec<(String, Template)>,
    body: Option<Template>,
    host: String,
    port: u16,
}

impl Request {
    /// Reads `POST http://127.0.0.1:8080/users/{i}` with `Name: value` headers and a body; GET when no method is said.
    pub fn parse(line: &str, headers: &[String], body: Option<&str>) -> Result<Request, GrowthError> {
        let wrong = |why: String| GrowthError::Load(why);
        let (method, url) = match line.trim().split_once(char::is_whitespace) {
            Some((method, url)) => (method.to_ascii_uppercase(), url.trim()),
            None => ("GET".to_owned(), line.trim()),
        };
        let template = |text: &str| Template::parse(text).map_err(|e| wrong(format!("{text}: {e}")));
        let url_template = template(url)?;
        let filled = url_template.expand(0, KeyMode::Distinct, 0);
        let uri: Uri = filled.parse().map_err(|e| wrong(format!("{url} is no URL: {e}")))?;
        if uri.scheme_str() != Some("http") {
            return Err(wrong(format!("{url}: only http:// is spoken, without TLS")));
        }
        let host = uri.host().ok_or_else(|| wrong(format!("{url} names no host")))?.to_owned();
        let said = uri.authority().and_then(|a| a.as_str().strip_prefix(&host).map(str::to_owned));
        let port = match (uri.port_u16(), said.as_deref()) {
            (Some(port), _) => port,
            (None, Some("") | None) => 80,
            (None, Some(other)) => return Err(wrong(format!("{url}: {other} is no port"))),
        };
        let header = |line: &String| {
            let (name, value) = line
                .split_once(':')
                .ok_or_else(|| wrong(format!("{line:?} is no header: say Name: value")))?;
            Ok((name.trim().to_owned(), template(value.trim())?))
        };
        Ok(Request {
            method,
            url: url_template,
            headers: headers.iter().map(header).collect::<Result<_, GrowthError>>()?,
            body: body.map(template).transpose()?,
            host,
            port,
        })
    }

    fn send(&self, agent: &ureq::Agent, fill: impl Fn(&Template) -> String) -> Result<(), String> {
        let url = fill(&self.url);
        let mut request = http::Request::builder().method(self.method.as_str()).uri(&url);
        for (name, value) in &self.headers {
            request = request.header(name, fill(value));
        }
        let body = self.body.as_ref().map_or_else(String::new, &fill);
        let said = |e: String| format!("{} {url}: {e}", self.method);
        let request = request.body(body).map_err(|e| said(e.to_string()))?;
        let response = agent.run(request).map_err(|e| said(e.to_string()))?;
        let status = response.status();
        let read = io::copy(&mut response.into_body().into_reader().take(LARGEST), &mut io::sink());
        read.map_err(|e| said(e.to_string()))?;
        if status.is_client_error() || status.is_server_error() {
            return Err(said(format!("the answer is {status}")));
        }
        Ok(())
    }

    fn answers(&self) -> bool {
        let addresses = (self.host.trim_matches(['[', ']']), self.port).to_socket_addrs();
        addresses.is_ok_and(|mut all| {
            all.any(|at| TcpStream::connect_timeout(&at, Duration::from_secs(2)).is_ok())
        })
    }
}

/// Sends requests.
pub struct HttpLoad {
    /// Whose memory is looked at; when none is said, that of who listens at the port.
    pub subject: Option<Subject>,
    /// What is asked for.
    pub request: Request,
    /// Which keys.
    pub keys: Keys,
    /// Connections at a time.
    pub workers: usize,
    /// Whether the port has answered once.
    ready: bool,
}

impl HttpLoad {
    /// A load that has not begun.
    pub fn new(subject: Option<Subject>, request: Request, keys: Keys, workers: usize) -> HttpLoad {
        HttpLoad { subject, request, keys, workers, ready: false }
    }

    fn await_port(&mut self, stop: &AtomicBool) -> Result<(), Halt> {
        let until = Instant::now() + LISTENS;
        while !self.request.answers() {
            self.subject.as_mut().map_or(Ok(()), Subject::lives)?;
            let nobody_starts = !matches!(self.subject, Some(Subject::Started(_)));
            if stop.load(Ordering::Relaxed) {
                return Err(Halt::Stopped);
            }
            if nobody_starts || Instant::now() >= until {
                let (host, port) = (&self.request.host, self.request.port);
                return Err(Halt::Broken(format!("nobody listens at {host}:{port}")));
            }
            thread::sleep(Duration::from_millis(20));
        }
        self.ready = true;
        Ok(())
    }
}

/// Connections are kept within a round, for each worker one.
fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .timeout_global(Some(DEADLINE))
        .proxy(None)
        .max_redirects(0)
        .max_idle_connections_per_host(1)
        .http_status_as_error(false)
        .allow_non_standard_methods(true)
        .build()
        .into()
}

impl Load for HttpLoad {
    fn round(&mut self, count: u64, mode: KeyMode, stop: &AtomicBool) -> Result<Done, Halt> {
        if !self.ready {
            self.await_port(stop)?;
        }
        let done = in_parallel(count, self.workers, stop, agent, |agent, n| {
            self.request.send(agent, |template| self.keys.expand(template, n, mode))
        });
        self.subject.as_mut().map_or(Ok(()), Subject::lives)?;
        self.keys.next += count;
        done
    }

    /// A wrapper that was started is not who listens.
    fn pid(&self, world: &World, _said: Option<i32>) -> i32 {
        let listens = |pid: &i32| {
            step::http::listening(world, *pid)
                .is_ok_and(|all| all.iter().any(|at| at.port() == self.request.port))
        };
        let found = |own: Option<i32>| {
            let related = |pid: &i32| own.is_none_or(|own| descends(world, *pid, own));
            identify::processes(world).into_iter().find(|pid| related(pid) && listens(pid))
        };
        match &self.subject {
            Some(Subject::Running(pid)) => *pid,
            Some(started) => found(Some(started.pid())).unwrap_or_else(|| started.pid()),
            None => found(None).unwrap_or(-1),
        }
    }

    fn end(&mut self) {
        if let Some(subject) = &mut self.subject {
            subject.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_and_wrong_ones_say_why() {
        let r = Request::parse("post http://h:81/a/{i}", &["X-Key: {uuid}".to_owned()], Some("{n%9}"))
            .expect("one");
        assert_eq!((r.method.as_str(), r.host.as_str(), r.port), ("POST", "h", 81));
        for (line, why) in [
            ("https://h/", "without TLS"),
            ("http://h/{x}", "no placeholder"),
            ("/users/{i}", "only http://"),
            ("http://h:99999/", "no port"),
        ] {
            let e = Request::parse(line, &[], None).expect_err(line).to_string();
            assert!(e.contains(why), "{line}: {e}");
        }
        assert!(Request::parse("http://h/", &["x".to_owned()], None).is_err());
    }
}
