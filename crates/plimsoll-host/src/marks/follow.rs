//! Flags that are followed: a file of flagd, which is looked at again and again, or flagd itself, which says when something
//! changed and then is asked what. Events that were missed show by the state, so that a lost connection loses the moment only.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use plimsoll_core::mark::Mark;
use plimsoll_read::marks::flagd::{self, Change, Message};

use super::{LARGEST, Site};

/// Time between two looks at a file, and the longest that one who follows waits before it looks whether to end.
const LOOK: Duration = Duration::from_millis(500);
/// Pause before flagd is connected to again.
const PAUSE: Duration = Duration::from_secs(2);
/// A longer message of the stream is none.
const MESSAGE: u32 = 1 << 20;

/// What is followed.
pub trait Flags {
    /// Waits a moment; what was switched in it, or what keeps it from being known.
    ///
    /// # Errors
    /// In words; it may be asked again.
    fn next(&mut self) -> Result<Vec<Mark>, String>;
}

fn now() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64())
}

/// A file of flags.
#[derive(Debug)]
pub struct File {
    path: PathBuf,
    changed: Option<SystemTime>,
    flags: flagd::Flags,
}

impl File {
    /// Follows a file from its state now on.
    ///
    /// # Errors
    /// When it cannot be read, or is none of flagd's.
    pub fn follow(path: &Path) -> Result<File, String> {
        let mut file = File { path: path.to_owned(), changed: None, flags: flagd::Flags::new() };
        file.changed = file.changed_at();
        file.flags = file.read()?;
        Ok(file)
    }

    fn changed_at(&self) -> Option<SystemTime> {
        fs::metadata(&self.path).and_then(|m| m.modified()).ok()
    }

    fn read(&self) -> Result<flagd::Flags, String> {
        let told = |e: io::Error| format!("{}: {e}", self.path.display());
        let mut bytes = Vec::new();
        fs::File::open(&self.path).map_err(told)?.take(LARGEST).read_to_end(&mut bytes).map_err(told)?;
        flagd::flags(&bytes).map_err(|why| format!("{}: {why}", self.path.display()))
    }
}

impl Flags for File {
    fn next(&mut self) -> Result<Vec<Mark>, String> {
        thread::sleep(LOOK);
        let changed = self.changed_at();
        if changed.is_none() || changed == self.changed {
            return Ok(Vec::new());
        }
        // A file that is being written reads badly now, and well at the next look.
        let flags = self.read()?;
        self.changed = changed;
        let at = changed
            .and_then(|t| t.duration_since(SystemTime::UNIX_EPOCH).ok())
            .map_or_else(now, |d| d.as_secs_f64());
        let marks = flagd::changes(&self.flags, &flags, at);
        self.flags = flags;
        Ok(marks)
    }
}

/// What was changed, of which nothing is known where a connection began; or what keeps it from being known.
type News = Result<Vec<Change>, String>;

/// flagd, over the Connect protocol at its port of evaluations (8013).
#[derive(Debug)]
pub struct Flagd {
    site: Site,
    flags: flagd::Flags,
    /// What was named since the last answer.
    changed: Vec<Change>,
    come: Receiver<News>,
}

impl Flagd {
    /// Follows it from its state now on.
    ///
    /// # Errors
    /// When it does not answer, or is none.
    pub fn follow(site: Site) -> Result<Flagd, String> {
        let flags = resolve(&site)?;
        let (news, come) = sync_channel(64);
        let listener = site.clone();
        // It ends with the first news that nobody takes.
        let listen = move || while listen(&listener, &news).is_some() {};
        thread::Builder::new().name("flags".to_owned()).spawn(listen).map_err(|e| e.to_string())?;
        Ok(Flagd { site, flags, changed: Vec::new(), come })
    }
}

impl Flags for Flagd {
    fn next(&mut self) -> Result<Vec<Mark>, String> {
        let changed = match self.come.recv_timeout(LOOK) {
            Err(RecvTimeoutError::Timeout) => return Ok(Vec::new()),
            Err(RecvTimeoutError::Disconnected) => return Err("nobody listens any more".to_owned()),
            Ok(news) => news?,
        };
        self.changed.extend(changed);
        // One answer is the state after all that has come.
        while let Ok(news) = self.come.try_recv() {
            self.changed.extend(news?);
        }
        let mut flags = resolve(&self.site)?;
        let marks = flagd::followed(&self.flags, &mut flags, &std::mem::take(&mut self.changed), now());
        self.flags = flags;
        Ok(marks)
    }
}

fn resolve(site: &Site) -> Result<flagd::Flags, String> {
    let answer = site.post("/flagd.evaluation.v1.Service/ResolveAll", "{\"context\":{}}");
    flagd::resolved(&answer.map_err(|e| told(&e))?)
}

/// An error with its causes.
fn told(e: &dyn std::error::Error) -> String {
    e.source().map_or_else(|| e.to_string(), |cause| format!("{e}: {cause}"))
}

/// One connection: news where the state may have changed, which it may whenever a connection begins. None when nobody
/// takes them any more.
fn listen(site: &Site, news: &SyncSender<News>) -> Option<()> {
    let begun = Instant::now();
    let kind = "application/connect+json";
    let sent = site.sent(
        "/flagd.evaluation.v1.Service/EventStream",
        kind,
        &[("Connect-Protocol-Version", "1")],
        &request(),
    );
    match sent {
        Err(e) => news.send(Err(told(&e))).ok()?,
        Ok(response) if response.status() != 200 => {
            news.send(Err(format!("its stream of events answers {}", response.status()))).ok()?;
        }
        Ok(response) => {
            let mut stream = response.into_body().into_reader();
            news.send(Ok(Vec::new())).ok()?;
            // A stream that ends, or is silent for too long, is opened again.
            while let Some(message) = message(&mut stream) {
                if let Ok(Message::Changed(changed)) = flagd::message(&message) {
                    news.send(Ok(changed)).ok()?;
                }
            }
        }
    }
    thread::sleep(PAUSE.saturating_sub(begun.elapsed()));
    Some(())
}

/// A message of the stream has a byte of flags, its length, and JSON.
fn request() -> Vec<u8> {
    let body = b"{}";
    [&[0][..], &(body.len() as u32).to_be_bytes(), body].concat()
}

/// The next message; none at the end, which is a message of its own.
fn message(stream: &mut impl Read) -> Option<Vec<u8>> {
    let mut head = [0_u8; 5];
    stream.read_exact(&mut head).ok()?;
    let [flags, length @ ..] = head;
    let length = u32::from_be_bytes(length);
    if flags & 2 != 0 || length > MESSAGE {
        return None;
    }
    let mut body = vec![0; length as usize];
    stream.read_exact(&mut body).ok()?;
    Some(body)
}
