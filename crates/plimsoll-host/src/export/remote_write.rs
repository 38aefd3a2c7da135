//! Metrics sent to a server that takes Prometheus's remote write (version 1: protocol buffers, snappy).
//!
//! Requests wait in memory, so many at most; the oldest goes when one more comes. A server that fails is tried again ever
//! more rarely, one that says that a request is wrong is believed.

use std::collections::VecDeque;
use std::fs;
use std::io::Read as _;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::wire;

/// Requests that wait at most: an hour at one every ten seconds.
const WAITING: usize = 360;
/// Bytes of all that wait at most.
const WAITING_BYTES: usize = 16 << 20;
/// First and longest pause after a failure.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How long a server may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long the last requests may take when the agent goes down.
const LAST: Duration = Duration::from_secs(3);
/// Bytes of an answer that are looked at.
const ANSWER: u64 = 512;

/// Where to, and how to be known there.
#[derive(Debug, Clone)]
pub struct Remote {
    /// Such as `http://prometheus:9090/api/v1/write`.
    pub url: String,
    /// File of a bearer token, read at each request, so that it may be renewed.
    pub token_file: Option<PathBuf>,
}

/// One number of one series.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Labels with `__name__`, in the order of their names.
    pub labels: Vec<(String, String)>,
    /// The number.
    pub value: f64,
}

/// What became of what was sent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fate {
    /// Samples that the server took.
    pub sent: u64,
    /// Samples that were given up.
    pub lost: u64,
    /// What went wrong last, when it was not told yet.
    pub trouble: Option<String>,
}

/// A request that waits.
struct Request {
    body: Vec<u8>,
    samples: u64,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Request>,
    bytes: usize,
    fate: Fate,
    ended: bool,
    /// The last trouble that was told: one that goes on is told once.
    told: Option<String>,
}

/// Sends from a thread of its own.
pub struct RemoteWrite {
    queue: Arc<(Mutex<Queue>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl RemoteWrite {
    /// Starts the thread.
    ///
    /// # Errors
    /// When none can be started.
    pub fn start(remote: Remote) -> std::io::Result<RemoteWrite> {
        let queue: Arc<(Mutex<Queue>, Condvar)> = Arc::default();
        let heard = Arc::clone(&queue);
        let work = move || send_all(&remote, &heard);
        let thread = std::thread::Builder::new().name("remote write".to_owned()).spawn(work)?;
        Ok(RemoteWrite { queue, thread: Some(thread) })
    }

    /// Has the samples of one instant (Unix seconds) sent; never waits.
    pub fn send(&self, t: f64, samples: &[Sample]) {
        let request = Request { body: snappy(&request(t, samples)), samples: samples.len() as u64 };
        let mut queue = self.queue.0.lock().unwrap_or_else(PoisonError::into_inner);
        queue.bytes += request.body.len();
        queue.waiting.push_back(request);
        while queue.waiting.len() > WAITING || queue.bytes > WAITING_BYTES {
            let Some(oldest) = queue.waiting.pop_front() else { break };
            queue.bytes -= oldest.body.len();
            queue.fate.lost += oldest.samples;
        }
        self.queue.1.notify_one();
    }

    /// What became of what was sent; trouble is told once.
    pub fn fate(&self) -> Fate {
        let mut queue = self.queue.0.lock().unwrap_or_else(PoisonError::into_inner);
        let trouble = queue.fate.trouble.take();
        Fate { trouble, ..queue.fate.clone() }
    }
}

impl Drop for RemoteWrite {
    fn drop(&mut self) {
        self.queue.0.lock().unwrap_or_else(PoisonError::into_inner).ended = true;
        self.queue.1.notify_one();
        if let Some(thread) = self.thread.take() {
            // What it could not send is lost with it.
            let _ended = thread.join();
        }
    }
}

/// A `WriteRequest`: one series with one sample for each.
fn request(t: f64, samples: &[Sample]) -> Vec<u8> {
    let millis = (t * 1e3).round() as i64;
    let mut out = Vec::new();
    for sample in samples {
        let mut series = Vec::new();
        for (name, value) in &sample.labels {
            let mut label = Vec::new();
            wire::bytes(&mut label, 1, name.as_bytes());
            wire::bytes(&mut label, 2, value.as_bytes());
            wire::bytes(&mut series, 1, &label);
        }
        let mut point = Vec::new();
        wire::double(&mut point, 1, sample.value);
        wire::whole(&mut point, 2, millis);
        wire::bytes(&mut series, 2, &point);
        wire::bytes(&mut out, 1, &series);
    }
    out
}

fn snappy(bytes: &[u8]) -> Vec<u8> {
    // Only an input of more than 4 GiB is refused.
    snap::raw::Encoder::new().compress_vec(bytes).unwrap_or_default()
}

/// What a server made of a request.
enum Answer {
    Taken,
    /// The request is wrong, and would be the next time.
    Refused(String),
    /// Later, perhaps.
    Failed(String),
}

fn send_all(remote: &Remote, shared: &(Mutex<Queue>, Condvar)) {
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(PATIENCE))
        .max_redirects(0)
        .http_status_as_error(false)
        .build();
    let agent: ureq::Agent = config.into();
    let mut pause = FIRST_PAUSE;
    let mut give_up = None;
    while let Some(request) = next(shared, &mut give_up) {
        let answer = post(&agent, remote, &request.body);
        let mut queue = shared.0.lock().unwrap_or_else(PoisonError::into_inner);
        match answer {
            Answer::Taken => {
                queue.fate.sent += request.samples;
                queue.told = None;
                pause = FIRST_PAUSE;
            }
            Answer::Refused(why) => {
                queue.fate.lost += request.samples;
                tell(&mut queue, why);
            }
            Answer::Failed(why) => {
                tell(&mut queue, why);
                queue.bytes += request.body.len();
                queue.waiting.push_front(request);
                rest(queue, &shared.1, pause, give_up);
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

/// The next request, when there is one; none when it is over.
fn next(shared: &(Mutex<Queue>, Condvar), give_up: &mut Option<Instant>) -> Option<Request> {
    let mut queue = shared.0.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        if queue.ended {
            let end = *give_up.get_or_insert_with(|| Instant::now() + LAST);
            if Instant::now() >= end {
                queue.waiting.clear();
            }
        }
        if let Some(request) = queue.waiting.pop_front() {
            queue.bytes -= request.body.len();
            return Some(request);
        }
        if queue.ended {
            return None;
        }
        queue = shared.1.wait(queue).unwrap_or_else(PoisonError::into_inner);
    }
}

/// Waits after a failure, no longer than until the end.
fn rest(
    queue: std::sync::MutexGuard<'_, Queue>,
    changed: &Condvar,
    pause: Duration,
    give_up: Option<Instant>,
) {
    let until = Instant::now() + pause;
    let mut queue = queue;
    loop {
        let over = queue.ended && give_up.is_none();
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || over {
            return;
        }
        queue = changed.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
    }
}

fn tell(queue: &mut Queue, why: String) {
    if queue.told.as_ref() != Some(&why) {
        queue.told = Some(why.clone());
        queue.fate.trouble = Some(why);
    }
}

fn post(agent: &ureq::Agent, remote: &Remote, body: &[u8]) -> Answer {
    let mut ask = agent
        .post(&remote.url)
        .header("Content-Type", "application/x-protobuf")
        .header("Content-Encoding", "snappy")
        .header("X-Prometheus-Remote-Write-Version", "0.1.0")
        .header("User-Agent", concat!("plimsoll/", env!("CARGO_PKG_VERSION")));
    if let Some(path) = &remote.token_file {
        match fs::read_to_string(path) {
            // It is never in a message.
            Ok(token) => ask = ask.header("Authorization", format!("Bearer {}", token.trim())),
            Err(e) => return Answer::Failed(format!("cannot read the token in {}: {e}", path.display())),
        }
    }
    let response = match ask.send(body) {
        Ok(response) => response,
        Err(e) => return Answer::Failed(format!("the remote server does not answer: {e}")),
    };
    let status = response.status().as_u16();
    if (200..300).contains(&status) {
        return Answer::Taken;
    }
    let mut said = String::new();
    // What it says helps; that it says nothing is no failure of ours.
    let _unread = response.into_body().into_reader().take(ANSWER).read_to_string(&mut said);
    let why = format!("the remote server answers {status}: {}", said.lines().next().unwrap_or_default());
    // Too many requests and its own failures pass; everything else would be the same the next time.
    if status == 429 || status >= 500 { Answer::Failed(why) } else { Answer::Refused(why) }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    fn sample(name: &str, value: f64) -> Sample {
        Sample { labels: vec![("__name__".to_owned(), name.to_owned())], value }
    }

    /// Answers one request; gives its body.
    fn answer(stream: TcpStream, status: &str) -> Vec<u8> {
        let mut reader = BufReader::new(stream.try_clone().expect("a stream"));
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).expect("a line");
            if let Some(n) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = n.trim().parse().expect("a number");
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).expect("a body");
        let mut stream = stream;
        write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            .expect("answered");
        body
    }

    fn fate_when(remote: &RemoteWrite, holds: impl Fn(&Fate) -> bool) -> Fate {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            let fate = remote.fate();
            if holds(&fate) {
                return fate;
            }
            assert!(Instant::now() < end, "{fate:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn start(listener: &TcpListener) -> RemoteWrite {
        let url = format!("http://{}/api/v1/write", listener.local_addr().expect("bound"));
        RemoteWrite::start(Remote { url, token_file: None }).expect("starts")
    }

    #[test]
    fn what_fails_is_sent_again_and_what_is_refused_is_not() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let remote = start(&listener);
        remote.send(1.0, &[sample("a", 1.0), sample("b", 2.0)]);
        let first = answer(listener.accept().expect("a caller").0, "503 Service Unavailable");
        let failed = fate_when(&remote, |f| f.trouble.is_some());
        assert!(failed.trouble.expect("told").contains("503") && failed.lost == 0);
        let again = answer(listener.accept().expect("a caller").0, "204 No Content");
        assert_eq!(first, again);
        fate_when(&remote, |f| f.sent == 2);
        remote.send(2.0, &[sample("a", 1.0)]);
        answer(listener.accept().expect("a caller").0, "400 Bad Request");
        let fate = fate_when(&remote, |f| f.lost == 1);
        assert_eq!(fate.sent, 2);
    }

    #[test]
    fn nobody_waits_for_a_server_that_is_gone_and_the_queue_has_an_end() {
        let url = {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
            format!("http://{}/", listener.local_addr().expect("bound"))
        };
        let remote = RemoteWrite::start(Remote { url, token_file: None }).expect("starts");
        let began = Instant::now();
        for i in 0..WAITING + 50 {
            remote.send(i as f64, &[sample("a", 1.0)]);
        }
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        let fate = fate_when(&remote, |f| f.trouble.is_some());
        assert!(fate.lost >= 49 && fate.sent == 0, "{fate:?}");
        let began = Instant::now();
        drop(remote);
        assert!(began.elapsed() < LAST + PATIENCE, "{:?}", began.elapsed());
    }
}
