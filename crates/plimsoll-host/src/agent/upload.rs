//! Captures that leave the machine as soon as they are stored, from a thread of its own: what fails is tried again, also by
//! the next agent.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::export::object::{self, UploadError, Uploaded};

/// Between two tries of what failed.
const AGAIN: Duration = Duration::from_secs(60);
/// Longest wait before a stop is noticed.
const GLANCE: Duration = Duration::from_millis(200);

/// What became of one folder.
pub(super) struct Outcome {
    pub(super) folder: PathBuf,
    pub(super) uploaded: Result<Vec<Uploaded>, UploadError>,
}

/// Uploads one folder after the other.
pub(super) struct Uploads {
    orders: Option<Sender<PathBuf>>,
    outcomes: Receiver<Outcome>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Uploads {
    /// To a place in object storage.
    pub(super) fn start(url: String) -> std::io::Result<Uploads> {
        let (orders, waiting) = channel();
        let (tell, outcomes) = channel();
        let stop: Arc<AtomicBool> = Arc::default();
        let stopped = Arc::clone(&stop);
        let work = move || upload_all(&url, &waiting, &tell, &stopped);
        let thread = std::thread::Builder::new().name("upload".to_owned()).spawn(work)?;
        Ok(Uploads { orders: Some(orders), outcomes, stop, thread: Some(thread) })
    }

    pub(super) fn add(&self, folder: PathBuf) {
        // The thread ends with this.
        let _sent = self.orders.as_ref().map(|orders| orders.send(folder));
    }

    /// What ended since the last call.
    pub(super) fn outcomes(&self) -> Vec<Outcome> {
        self.outcomes.try_iter().collect()
    }
}

impl Drop for Uploads {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // What is half sent goes on with the next agent.
            let _ended = thread.join();
        }
    }
}

fn upload_all(url: &str, orders: &Receiver<PathBuf>, tell: &Sender<Outcome>, stop: &AtomicBool) {
    let mut waiting: VecDeque<PathBuf> = VecDeque::new();
    let mut again = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        match orders.recv_timeout(GLANCE) {
            Ok(folder) => waiting.push_back(folder),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        waiting.extend(orders.try_iter());
        if Instant::now() < again {
            continue;
        }
        let Some(folder) = waiting.pop_front() else { continue };
        // It may have been removed since: it was old.
        if !folder.exists() {
            continue;
        }
        let uploaded = object::upload(url, &folder, stop);
        if uploaded.is_err() {
            waiting.push_back(folder.clone());
            again = Instant::now() + AGAIN;
        }
        if tell.send(Outcome { folder, uploaded }).is_err() {
            return;
        }
    }
}
