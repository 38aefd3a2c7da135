//! Queries: paged by time, repeated with a pause where the server may do better, bounded in time and size.

use std::io::Read as _;
use std::thread;
use std::time::Duration;

use plimsoll_read::prometheus_api::{self, Answer, AnswerError};

use super::tls::{self, Trust, TrustError};
use crate::step::http::patient_agent_with;

/// Points of a series that one query may ask for; the server refuses more than 11,000.
const MOST_POINTS: f64 = 10_000.0;
/// Largest answer that is read, bytes.
const LARGEST: u64 = 2 << 30;
/// Characters of a refusal that are told.
const TOLD: usize = 400;
/// Times that a query is asked, and the pause before it is asked again.
const TIMES: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// Where to ask, and as whom.
#[derive(Clone, Default)]
pub struct Server {
    /// Address with a prefix of the path, if there is one: `http://mimir:8080/prometheus`.
    pub url: String,
    /// Headers for each query: authentication, a tenant.
    pub headers: Vec<(String, String)>,
    /// Longest time for one answer, seconds.
    pub patience: f64,
    /// Certificates for https.
    pub trust: Trust,
}

// Headers hold secrets: they are never shown.
impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("url", &self.url).finish_non_exhaustive()
    }
}

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// No connection, or no answer in time.
    #[error("{url} does not answer")]
    Silent {
        /// What was asked.
        url: String,
        /// The cause.
        #[source]
        source: Box<ureq::Error>,
    },
    /// It says no.
    #[error("{url} answers {status}{}", why(text))]
    Status {
        /// What was asked.
        url: String,
        /// The status.
        status: u16,
        /// What else it said.
        text: String,
    },
    /// What came is no answer.
    #[error("{url}")]
    Answer {
        /// What was asked.
        url: String,
        /// The cause.
        #[source]
        source: AnswerError,
    },
}

fn why(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(": {text}") }
}

fn is_about_trust(e: &ureq::Error) -> bool {
    let of_tls = |e: &std::io::Error| e.get_ref().is_some_and(|inner| inner.is::<rustls::Error>());
    match e {
        ureq::Error::Rustls(_) | ureq::Error::Tls(_) => true,
        ureq::Error::Io(e) => of_tls(e),
        _ => false,
    }
}

impl QueryError {
    /// Whether it is about certificates: theirs or ours.
    pub fn is_about_trust(&self) -> bool {
        matches!(self, QueryError::Silent { source, .. } if is_about_trust(source))
    }

    /// Whether asking again may help.
    fn may_pass(&self) -> bool {
        match self {
            QueryError::Silent { source, .. } => !is_about_trust(source),
            QueryError::Status { status, .. } => matches!(status, 429 | 500 | 502 | 503 | 504),
            QueryError::Answer { source, .. } => matches!(source, AnswerError::Cut(_)),
        }
    }
}

/// Asks one server.
pub struct Client {
    server: Server,
    agent: ureq::Agent,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("server", &self.server).finish_non_exhaustive()
    }
}

impl Client {
    /// Nothing is asked yet.
    ///
    /// # Errors
    /// When the certificates for https cannot be used.
    pub fn new(mut server: Server) -> Result<Client, TrustError> {
        server.url.truncate(server.url.trim_end_matches('/').len());
        let tls = if server.url.starts_with("https:") { Some(tls::config(&server.trust)?) } else { None };
        let agent = patient_agent_with(Duration::from_secs_f64(server.patience.max(1.0)), tls);
        Ok(Client { server, agent })
    }

    /// The value of each series at an instant (Unix seconds).
    pub fn instant(&self, query: &str, at: f64) -> Result<Answer, QueryError> {
        self.ask("query", &[("query", query), ("time", &at.to_string())])
    }

    /// What time it is for the server (Unix seconds), where it says so: what is asked for until now must end at its now.
    pub fn time(&self) -> Option<f64> {
        let answer = self.ask_once("query", &[("query", "vector(time())")]).ok()?;
        answer.series.first()?.points.first().map(|p| p.v)
    }

    /// The values of each series from `from` to `to` (Unix seconds), `step` seconds apart, in as many queries as it takes.
    pub fn range(&self, query: &str, (from, to): (f64, f64), step: f64) -> Result<Answer, QueryError> {
        let mut parts = Vec::new();
        let mut begin = from;
        while begin <= to {
            let end = (begin + step * (MOST_POINTS - 1.0)).min(to);
            let times = [begin, end, step].map(|t| t.to_string());
            let form = [("query", query), ("start", &times[0]), ("end", &times[1]), ("step", &times[2])];
            parts.push(self.ask("query_range", &form)?);
            begin = end + step;
        }
        Ok(prometheus_api::join(parts))
    }

    /// The values that a label has in the series of a selector that have samples between two times (Unix seconds).
    pub fn values(&self, label: &str, of: &str, (from, to): (f64, f64)) -> Result<Vec<String>, QueryError> {
        let times = [from, to].map(|t| t.to_string());
        let form = [("match[]", of), ("start", &times[0]), ("end", &times[1])].map(pair);
        let url = format!("{}/api/v1/label/{label}/values", self.server.url);
        repeated(|| {
            let request = self.agent.get(format!("{url}?{}", form.join("&")));
            let request = self.server.headers.iter().fold(request, |r, (name, value)| r.header(name, value));
            told(&url, request.call(), prometheus_api::read_values)
        })
    }

    fn ask(&self, what: &str, form: &[(&str, &str)]) -> Result<Answer, QueryError> {
        repeated(|| self.ask_once(what, form))
    }

    fn ask_once(&self, what: &str, form: &[(&str, &str)]) -> Result<Answer, QueryError> {
        let url = format!("{}/api/v1/{what}", self.server.url);
        // Long queries do not fit an address: they go as a form.
        let request = self.agent.post(&url).header("content-type", "application/x-www-form-urlencoded");
        let request = self.server.headers.iter().fold(request, |r, (name, value)| r.header(name, value));
        let body: Vec<String> = form.iter().copied().map(pair).collect();
        told(&url, request.send(body.join("&")), prometheus_api::read)
    }
}

/// Asks again, after a pause, while that may help.
fn repeated<T>(ask: impl Fn() -> Result<T, QueryError>) -> Result<T, QueryError> {
    let mut pause = FIRST_PAUSE;
    let mut times = 1;
    loop {
        match ask() {
            Err(e) if e.may_pass() && times < TIMES => thread::sleep(pause),
            done => return done,
        }
        pause *= 2;
        times += 1;
    }
}

/// What a server said, as it is read; or why there is nothing.
fn told<T>(
    url: &str,
    response: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    read: impl Fn(std::io::Take<ureq::BodyReader<'static>>) -> Result<T, AnswerError>,
) -> Result<T, QueryError> {
    let url = url.to_owned();
    let response = response.map_err(|e| QueryError::Silent { url: url.clone(), source: Box::new(e) })?;
    let status = response.status().as_u16();
    match read(response.into_body().into_reader().take(LARGEST)) {
        Ok(answer) => Ok(answer),
        Err(AnswerError::Refused { kind, text }) => {
            // Some repeat the question, however long it is.
            let text = format!("{kind}: {text}").chars().take(TOLD).collect();
            Err(QueryError::Status { url, status, text })
        }
        Err(_) if status >= 300 => Err(QueryError::Status { url, status, text: String::new() }),
        Err(source) => Err(QueryError::Answer { url, source }),
    }
}

/// A field of a form.
fn pair((key, value): (&str, &str)) -> String {
    format!("{}={}", encoded(key), encoded(value))
}

/// The header's value by which a user says who he is.
pub fn basic(user: &str, password: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = "Basic ".to_owned();
    for three in format!("{user}:{password}").as_bytes().chunks(3) {
        let bits = three.iter().fold(0_u32, |sum, b| sum << 8 | u32::from(*b)) << (8 * (3 - three.len()));
        let digit = |at: usize| match at <= three.len() {
            true => char::from(DIGITS[(bits >> (18 - 6 * at) & 63) as usize]),
            false => '=',
        };
        out.extend((0..4).map(digit));
    }
    out
}

/// A value of a form.
fn encoded(value: &str) -> String {
    let mut out = String::with_capacity(value.len() * 2);
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => out.push(char::from(byte)),
            _ => out += &format!("%{byte:02X}"),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Read, Write as _};
    use std::net::TcpListener;

    use super::*;

    const EMPTY: &str = r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#;

    /// A server that gives these answers, one a query, and hands back what it was asked.
    fn server(answers: Vec<(u16, &'static str)>) -> (Client, thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/prefix/", listener.local_addr().expect("an address"));
        let asked = thread::spawn(move || {
            let mut asked = Vec::new();
            for (status, body) in answers {
                let (stream, _) = listener.accept().expect("asked");
                let mut reader = BufReader::new(stream);
                let (mut head, mut length) = (String::new(), 0);
                loop {
                    let mut line = String::new();
                    reader.read_line(&mut line).expect("a line");
                    if let Some(number) = line.to_lowercase().strip_prefix("content-length:") {
                        length = number.trim().parse().expect("a number");
                    }
                    if line.trim().is_empty() {
                        break;
                    }
                    head += &line;
                }
                let mut form = vec![0; length];
                reader.read_exact(&mut form).expect("a form");
                asked.push(format!("{head}{}", String::from_utf8(form).expect("text")));
                let answer = format!(
                    "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
                reader.get_mut().write_all(answer.as_bytes()).expect("written");
            }
            asked
        });
        let headers = vec![("X-Scope-OrgID".to_owned(), "shop".to_owned())];
        let server = Server { url, headers, patience: 10.0, trust: Trust::default() };
        (Client::new(server).expect("no certificates are needed"), asked)
    }

    #[test]
    fn a_long_time_is_asked_for_page_by_page() {
        let (client, asked) = server(vec![(200, EMPTY), (200, EMPTY), (200, EMPTY)]);
        let answer = client.range("up{a=\"b\"}", (0.0, 25_000.0 * 60.0), 60.0).expect("answered");
        assert!(answer.series.is_empty());
        let asked = asked.join().expect("served");
        assert!(asked[0].starts_with("POST /prefix/api/v1/query_range"), "{}", asked[0]);
        assert!(asked[0].to_lowercase().contains("x-scope-orgid: shop"));
        assert!(asked[0].ends_with("query=up%7Ba%3D%22b%22%7D&start=0&end=599940&step=60"), "{}", asked[0]);
        assert!(asked[2].ends_with("start=1200000&end=1500000&step=60"), "{}", asked[2]);
    }

    #[test]
    fn a_user_says_who_he_is() {
        for (user, password, said) in [
            ("a", "", "YTo="),
            ("Aladdin", "open sesame", "QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
            ("ab", "c", "YWI6Yw=="),
        ] {
            assert_eq!(basic(user, password), format!("Basic {said}"));
        }
        assert_eq!(basic("é", "x1"), "Basic w6k6eDE=");
    }

    #[test]
    fn what_may_pass_is_asked_again_and_what_may_not_is_told_at_once() {
        let (client, asked) = server(vec![(503, "busy"), (200, EMPTY)]);
        client.instant("up", 1.0).expect("answered in the end");
        assert_eq!(asked.join().expect("served").len(), 2);
        let refusal = r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#;
        let (client, asked) = server(vec![(400, refusal)]);
        let said = client.instant("up{", 1.0).expect_err("refused").to_string();
        assert!(said.ends_with("answers 400: bad_data: parse error"), "{said}");
        assert_eq!(asked.join().expect("served").len(), 1);
        let (client, _asked) = server(vec![(401, "<html>")]);
        assert!(client.instant("up", 1.0).expect_err("refused").to_string().ends_with("answers 401"));
        let (client, _asked) = server(vec![(200, "<html>login")]);
        assert!(matches!(client.instant("up", 1.0), Err(QueryError::Answer { .. })));
    }
}
