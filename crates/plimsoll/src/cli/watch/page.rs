//! The agent's door: a page of metrics, and slots for alerts and marks.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use plimsoll_host::marks::is_signed;
use plimsoll_host::store::marks;
use plimsoll_read::alertmanager::{self, Notification};
use plimsoll_read::marks::{Known, read};

use crate::error::CliError;
use crate::output::tell;
use crate::render::openmetrics::Form;

/// How long one who asks may take, for a piece and in all.
const PATIENCE: Duration = Duration::from_secs(2);
const WHOLE: Duration = Duration::from_secs(10);
/// Longest head and body of a request.
const HEAD: u64 = 8192;
const BODY: u64 = 1 << 20;
/// Notifications that may wait for the agent.
const WAITING: usize = 16;

/// The page of metrics in both forms.
#[derive(Debug, Clone, Default)]
pub(super) struct Pages {
    pub(super) open: String,
    pub(super) plain: String,
}

/// What is behind the door.
pub(super) struct Door {
    pub(super) pages: Arc<Mutex<Pages>>,
    /// None: neither alerts nor marks are taken.
    token: Option<String>,
    alerts: SyncSender<Notification>,
    /// The file of marks.
    marks: PathBuf,
}

impl Door {
    pub(super) fn new(token: Option<String>, marks: PathBuf) -> (Door, Receiver<Notification>) {
        let (alerts, come) = sync_channel(WAITING);
        (Door { pages: Arc::default(), token, alerts, marks }, come)
    }
}

/// Serves from a thread of its own.
pub(super) fn serve(address: SocketAddr, door: Door, stop: Arc<AtomicBool>) -> Result<(), CliError> {
    let failed = |e| CliError::usage(format!("cannot listen on {address}")).because(e);
    let listener = TcpListener::bind(address).map_err(failed)?;
    let place = listener.local_addr().map_err(failed)?;
    tell(&format!("plimsoll: metrics are at http://{place}/metrics"));
    if door.token.is_some() {
        tell(&format!("plimsoll: marks are taken at http://{place}/marks"));
        tell(&format!("plimsoll: alerts are taken at http://{place}/alerts"));
    }
    std::thread::Builder::new()
        .name("metrics".to_owned())
        .spawn(move || {
            for stream in listener.incoming().flatten() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                // A reader that goes away or says nothing costs only its own answer.
                let _unheard = answer(stream, &door);
            }
        })
        .map_err(failed)?;
    Ok(())
}

/// A stream that ends when its time is over, however slowly it comes.
struct Timed {
    stream: TcpStream,
    until: Instant,
}

impl io::Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if Instant::now() >= self.until {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.stream.read(buffer)
    }
}

/// What the head of a request says that matters here.
#[derive(Debug, Default)]
struct Head {
    request: String,
    accept: String,
    authorization: String,
    /// Of who cannot say a token: LaunchDarkly, and Flux where it is told to sign.
    signature: Option<String>,
    length: Option<u64>,
}

fn head(lines: &mut impl Iterator<Item = io::Result<String>>) -> io::Result<Head> {
    let mut head = Head { request: lines.next().transpose()?.unwrap_or_default(), ..Head::default() };
    // The rest of the head is read: closing before would reset the connection.
    while let Some(line) = lines.next().transpose()?.filter(|line| !line.is_empty()) {
        let Some((name, value)) = line.split_once(':') else { continue };
        match name.to_ascii_lowercase().as_str() {
            "accept" => head.accept.push_str(value),
            "authorization" => value.trim().clone_into(&mut head.authorization),
            "x-ld-signature" | "x-signature" => head.signature = Some(value.trim().to_owned()),
            "content-length" => head.length = value.trim().parse().ok(),
            _ => {}
        }
    }
    Ok(head)
}

/// One request, one answer.
fn answer(stream: TcpStream, door: &Door) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let timed = Timed { stream: stream.try_clone()?, until: Instant::now() + WHOLE };
    let mut input = BufReader::new(timed.take(HEAD));
    let head = head(&mut input.by_ref().lines())?;
    let mut words = head.request.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let form = Form::accepted(&head.accept);
    let (status, kind, body) = match (method, path) {
        ("GET", "/metrics") => {
            let pages = door.pages.lock().unwrap_or_else(PoisonError::into_inner).clone();
            ("200 OK", form.media_type(), if form == Form::Open { pages.open } else { pages.plain })
        }
        ("POST", "/alerts" | "/marks") => {
            let is_mark = path == "/marks";
            let (status, said) = match may(door, &head, is_mark) {
                Err(refusal) => {
                    // What is not read would reset the connection, and the answer with it.
                    let _gone = io::copy(&mut input.take(head.length.unwrap_or(0)), &mut io::sink());
                    refusal
                }
                Ok(length) => {
                    // What stands in the buffer already belongs to the body.
                    input.get_mut().set_limit(length);
                    let mut body = Vec::new();
                    input.take(length).read_to_end(&mut body)?;
                    match (body.len() as u64) < length {
                        true => ("400 Bad Request", "it breaks off".to_owned()),
                        false if is_mark => take_marks(door, &head, &body),
                        false => take(door, &body),
                    }
                }
            };
            (status, "text/plain", format!("{said}\n"))
        }
        (_, "/alerts" | "/marks") => {
            ("405 Method Not Allowed", "text/plain", "alerts and marks are posted\n".to_owned())
        }
        _ => ("404 Not Found", "text/plain", "metrics are at /metrics\n".to_owned()),
    };
    write(stream, status, kind, &body)
}

type Refusal = (&'static str, String);

/// Whether what this request brings is taken, and how long it is. Of marks, a signature is looked at with the body.
fn may(door: &Door, head: &Head, is_mark: bool) -> Result<u64, Refusal> {
    if door.token.is_none() {
        return Err(("403 Forbidden", "nothing is taken here: --alerts-token".to_owned()));
    }
    let may_be_signed = is_mark && head.signature.is_some();
    if !says_token(door, head) && !may_be_signed {
        return Err(unauthorized());
    }
    match head.length {
        None => Err(("411 Length Required", "say Content-Length".to_owned())),
        Some(length) if length > BODY => {
            Err(("413 Content Too Large", format!("{BODY} bytes are taken at most")))
        }
        Some(length) => Ok(length),
    }
}

fn unauthorized() -> Refusal {
    ("401 Unauthorized", "say Authorization: Bearer TOKEN".to_owned())
}

fn says_token(door: &Door, head: &Head) -> bool {
    let said = head.authorization.split_once(' ').filter(|(how, _)| how.eq_ignore_ascii_case("bearer"));
    said.zip(door.token.as_ref()).is_some_and(|((_, said), token)| is_same(said.trim(), token))
}

/// Takes as long for a wrong token as for the right one.
fn is_same(said: &str, token: &str) -> bool {
    let differ = said.bytes().zip(token.bytes()).fold(0, |all, (a, b)| all | (a ^ b));
    said.len() == token.len() && differ == 0
}

/// Hands alerts to the agent; it judges them at its next turn.
fn take(door: &Door, body: &[u8]) -> Refusal {
    match alertmanager::parse(body) {
        Err(why) => ("400 Bad Request", why),
        Ok(posted) => {
            let count = posted.alerts.len();
            match door.alerts.try_send(posted) {
                Ok(()) => ("202 Accepted", format!("{count} alerts are taken")),
                Err(_) => ("503 Service Unavailable", "too many wait: send it again".to_owned()),
            }
        }
    }
}

/// Puts marks on the time line; the answer says that they are on the disk.
fn take_marks(door: &Door, head: &Head, body: &[u8]) -> Refusal {
    let secret = door.token.as_deref().unwrap_or_default().as_bytes();
    let signed = || head.signature.as_ref().is_some_and(|s| is_signed(secret, body, s));
    if !says_token(door, head) && !signed() {
        return unauthorized();
    }
    let known = Known { now: Timestamp::now().as_millisecond() as f64 / 1e3, ..Known::default() };
    match read(body, &known) {
        Err(why) => ("400 Bad Request", why),
        Ok(found) => match marks::add(&door.marks, found.marks) {
            Ok(new) => {
                ("200 OK", format!("{} marks are new, {} entries are none", new.len(), found.left_out))
            }
            Err(why) => ("507 Insufficient Storage", format!("marks cannot be kept: {why}")),
        },
    }
}

fn write(mut stream: TcpStream, status: &str, kind: &str, body: &str) -> io::Result<()> {
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef";
    const ALERT: &str = r#"[{"labels":{"alertname":"High"}}]"#;

    /// What a door answers to these bytes, and what came in.
    fn said(door: &Door, request: &str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let mut client = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
        let (stream, _) = listener.accept().expect("accepted");
        client.write_all(request.as_bytes()).expect("sent");
        client.shutdown(std::net::Shutdown::Write).expect("ended");
        answer(stream, door).expect("answered");
        let mut out = String::new();
        client.read_to_string(&mut out).expect("an answer");
        out.lines().next().unwrap_or_default().to_owned()
    }

    fn post(token: &str, length: &str, body: &str) -> String {
        format!("POST /alerts HTTP/1.1\r\nAuthorization: Bearer {token}\r\n{length}\r\n\r\n{body}")
    }

    #[test]
    fn only_who_knows_the_token_may_post_and_only_so_much() {
        let folder = tempfile::tempdir().expect("a folder");
        let marks = folder.path().join("marks.jsonl");
        let (closed, _) = Door::new(None, marks.clone());
        let length = format!("Content-Length: {}", ALERT.len());
        assert!(said(&closed, &post(TOKEN, &length, ALERT)).contains("403"));
        let (door, come) = Door::new(Some(TOKEN.to_owned()), marks);
        for (request, status) in [
            (post("0123456789abcdeg", &length, ALERT), "401"),
            (post("", &length, ALERT), "401"),
            ("POST /alerts HTTP/1.1\r\n\r\n".to_owned(), "401"),
            (post(TOKEN, "X: y", ALERT), "411"),
            (post(TOKEN, "Content-Length: 1048577", ALERT), "413"),
            (post(TOKEN, "Content-Length: 999", ALERT), "400"),
            (post(TOKEN, "Content-Length: 2", "{}"), "400"),
            ("GET /alerts HTTP/1.1\r\n\r\n".to_owned(), "405"),
            ("GET /metrics HTTP/1.1\r\n\r\n".to_owned(), "200"),
            ("GET / HTTP/1.1\r\n\r\n".to_owned(), "404"),
        ] {
            assert!(said(&door, &request).contains(status), "{request}: {}", said(&door, &request));
        }
        assert!(come.try_recv().is_err(), "nothing came in so far");
        for _ in 0..WAITING {
            assert!(said(&door, &post(TOKEN, &length, ALERT)).contains("202"));
        }
        assert!(said(&door, &post(TOKEN, &length, ALERT)).contains("503"));
        assert_eq!(come.try_iter().map(|n| n.alerts.len()).sum::<usize>(), WAITING);
        // A long body, beyond what a head may take.
        let long = format!("{ALERT}{}", " ".repeat(100_000));
        let length = format!("Content-Length: {}", long.len());
        assert!(said(&door, &post(TOKEN, &length, &long)).contains("202"));
    }

    #[test]
    fn marks_come_from_who_knows_the_token_or_signs_with_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("store").join("marks.jsonl");
        let (door, _come) = Door::new(Some(TOKEN.to_owned()), path.clone());
        let body = r#"{"kind":"deploy","name":"v1.42","workload":"shop/api","at":"2026-11-20T10:00:00Z"}"#;
        let ask = |header: &str, body: &str| {
            let length = body.len();
            said(
                &door,
                &format!("POST /marks HTTP/1.1\r\n{header}\r\nContent-Length: {length}\r\n\r\n{body}"),
            )
        };
        let bearer = format!("Authorization: Bearer {TOKEN}");
        for (header, body, status) in [
            ("X: y", body, "401"),
            ("X-LD-Signature: 00", body, "401"),
            (bearer.as_str(), "{}", "400"),
            (bearer.as_str(), "<html>", "400"),
        ] {
            assert!(ask(header, body).contains(status), "{header}: {}", ask(header, body));
        }
        assert!(marks::read(&path).is_err(), "nothing was kept so far");
        assert!(ask(&bearer, body).contains("200"));
        // printf BODY | openssl dgst -sha256 -hmac 0123456789abcdef
        let signed = "X-Signature: sha256=c488234b418dfd767f40c6ab938f8c8d095428167a9620f5972bb60eeca0f918";
        assert!(ask(signed, body).contains("200"), "{}", ask(signed, body));
        let (kept, wrong) = marks::read(&path).expect("marks");
        assert_eq!((kept.len(), wrong), (1, None), "what came twice is there once");
        assert_eq!(kept[0].name, "v1.42");
        // An alert cannot be signed.
        let alert = format!("POST /alerts HTTP/1.1\r\n{signed}\r\nContent-Length: 2\r\n\r\n[]");
        assert!(said(&door, &alert).contains("401"));
        assert!(said(&door, "GET /marks HTTP/1.1\r\n\r\n").contains("405"));
    }
}
