//! Artifacts of Node.js, through its inspector: the one that is open, or one that SIGUSR1 opens and that is closed
//! afterwards, as anybody on the machine who reaches it can run code in the target.

use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use serde_json::{Value, json};
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Message, WebSocket};

use super::store::Draft;
use super::{CaptureError, Folder, Order};
use crate::step::http;

/// Longest wait for one message: a collection may come before it.
const DEADLINE: Duration = Duration::from_secs(60);
/// How long the inspector may take to listen after the signal.
const OPENS: Duration = Duration::from_secs(5);
/// How long it may go on listening when it is told to close.
const CLOSES: Duration = Duration::from_secs(2);
/// Largest message: a sampling profile comes in one.
const LARGEST: usize = 256 << 20;
/// Bytes between two samples of a sampling profile.
const SAMPLED: u64 = 32 << 10;

const STATISTICS: &str = "JSON.stringify({memoryUsage: process.memoryUsage(), resourceUsage: process.resourceUsage(), \
    heapStatistics: process.getBuiltinModule ? process.getBuiltinModule('v8').getHeapStatistics() : require('v8').getHeapStatistics(), \
    heapSpaces: process.getBuiltinModule ? process.getBuiltinModule('v8').getHeapSpaceStatistics() : require('v8').getHeapSpaceStatistics()}, null, 1)";
/// Later than the answer to it, else the connection goes before.
const CLOSE: &str = "setTimeout(() => (process.getBuiltinModule ? process.getBuiltinModule('inspector') : require('inspector')).close(), 50); 'ok'";

/// Takes it on a thread of its own, which may move into the target's network.
pub(super) fn take(order: &Order<'_>, folder: &mut Folder) -> Result<(), CaptureError> {
    thread::scope(|scope| {
        let work = scope.spawn(|| {
            http::enter_network(order.world, order.target.pid).map_err(CaptureError::Http)?;
            let mut session = Session::open(order)?;
            let taken = match order.id {
                "statistics" => session.statistics(folder),
                "sampling" => session.sampling(order, folder),
                _ => session.snapshot(order, folder),
            };
            session.close(order);
            taken
        });
        work.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

struct Session {
    socket: WebSocket<TcpStream>,
    at: SocketAddr,
    asked: u64,
    /// Whether the inspector was opened from here.
    ours: bool,
}

impl Session {
    fn open(order: &Order<'_>) -> Result<Session, CaptureError> {
        if let Some(found) = debugger(order) {
            return Session::connect(found, false);
        }
        signal(order)?;
        let began = Instant::now();
        while began.elapsed() < OPENS {
            if let Some(found) = debugger(order) {
                return Session::connect(found, true);
            }
            thread::sleep(Duration::from_millis(20));
        }
        Err(CaptureError::NoDoor(
            "no inspector listens 5 s after SIGUSR1: the program handles the signal itself, or is stuck"
                .to_owned(),
        ))
    }

    fn connect((at, url): (SocketAddr, String), ours: bool) -> Result<Session, CaptureError> {
        let failed = |e: &dyn std::fmt::Display| CaptureError::Inspector(e.to_string());
        let stream = TcpStream::connect_timeout(&at, DEADLINE).map_err(|e| failed(&e))?;
        stream.set_read_timeout(Some(DEADLINE)).map_err(|e| failed(&e))?;
        let config = WebSocketConfig::default().max_message_size(Some(LARGEST)).max_frame_size(Some(LARGEST));
        let (socket, _) =
            tungstenite::client::client_with_config(url, stream, Some(config)).map_err(|e| failed(&e))?;
        Ok(Session { socket, at, asked: 0, ours })
    }

    /// Asks, and hands every message before the answer to `event`.
    fn ask(
        &mut self,
        method: &str,
        params: &Value,
        mut event: impl FnMut(&Value) -> Result<(), CaptureError>,
    ) -> Result<Value, CaptureError> {
        let failed = |e: tungstenite::Error| CaptureError::Inspector(e.to_string());
        self.asked += 1;
        let question = json!({"id": self.asked, "method": method, "params": params});
        self.socket.send(Message::text(question.to_string())).map_err(failed)?;
        loop {
            let Message::Text(text) = self.socket.read().map_err(failed)? else { continue };
            let mut message: Value =
                serde_json::from_str(&text).map_err(|e| CaptureError::Inspector(e.to_string()))?;
            if message.get("id").and_then(Value::as_u64) != Some(self.asked) {
                event(&message)?;
            } else if let Some(error) = message.get("error") {
                return Err(CaptureError::Inspector(
                    error["message"].as_str().unwrap_or("it refuses").to_owned(),
                ));
            } else {
                return Ok(message["result"].take());
            }
        }
    }

    fn evaluate(&mut self, expression: &str) -> Result<String, CaptureError> {
        let params = json!({"expression": expression, "includeCommandLineAPI": true, "returnByValue": true});
        let answer = self.ask("Runtime.evaluate", &params, |_| Ok(()))?;
        let value = answer.pointer("/result/value").and_then(Value::as_str);
        value.map(str::to_owned).ok_or_else(|| CaptureError::Inspector("it gives no value".to_owned()))
    }

    fn statistics(&mut self, folder: &mut Folder) -> Result<(), CaptureError> {
        let began = Instant::now();
        let text = self.evaluate(STATISTICS)?;
        folder.keep("statistics.json", began, text.as_bytes())
    }

    fn sampling(&mut self, order: &Order<'_>, folder: &mut Folder) -> Result<(), CaptureError> {
        let began = Instant::now();
        self.ask("HeapProfiler.enable", &json!({}), |_| Ok(()))?;
        self.ask("HeapProfiler.startSampling", &json!({"samplingInterval": SAMPLED}), |_| Ok(()))?;
        let waited = super::wait(order);
        let answer = self.ask("HeapProfiler.stopSampling", &json!({}), |_| Ok(()))?;
        waited?;
        let profile =
            answer.get("profile").ok_or_else(|| CaptureError::Inspector("it gives no profile".to_owned()))?;
        folder.keep("sampling.heapprofile", began, profile.to_string().as_bytes())
    }

    fn snapshot(&mut self, order: &Order<'_>, folder: &mut Folder) -> Result<(), CaptureError> {
        self.ask("HeapProfiler.enable", &json!({}), |_| Ok(()))?;
        let mut draft = folder.begin("heap.heapsnapshot")?;
        let written = self.ask("HeapProfiler.takeHeapSnapshot", &json!({"reportProgress": false}), |event| {
            if order.stop.load(Ordering::Relaxed) {
                return Err(CaptureError::Stopped);
            }
            chunk(event, &mut draft)
        });
        let cut = match written {
            Err(e) if draft.bytes() == 0 => {
                draft.discard();
                return Err(e);
            }
            Err(e) => Some(e.to_string()),
            Ok(_) if !draft.tail().trim_ascii_end().ends_with(b"}") => {
                Some("it ends without its closing brace".to_owned())
            }
            Ok(_) => None,
        };
        folder.end(draft, cut)
    }

    /// Closes the inspector when it was opened from here, and waits until it is: else who comes next would take it for
    /// one that somebody else has open, and lose it.
    fn close(mut self, order: &Order<'_>) {
        if self.ours {
            // It may be gone with the process; nothing else can be done about it.
            let _unheard = self.evaluate(CLOSE);
        }
        let _unheard = self.socket.close(None);
        let began = Instant::now();
        let listens =
            || http::listening(order.world, order.target.pid).is_ok_and(|ports| ports.contains(&self.at));
        while self.ours && listens() && began.elapsed() < CLOSES {
            thread::sleep(Duration::from_millis(5));
        }
    }
}

fn chunk(event: &Value, draft: &mut Draft) -> Result<(), CaptureError> {
    if event.get("method").and_then(Value::as_str) == Some("HeapProfiler.addHeapSnapshotChunk")
        && let Some(text) = event.pointer("/params/chunk").and_then(Value::as_str)
    {
        return draft.write(text.as_bytes());
    }
    Ok(())
}

/// The port that answers as an inspector, and where to connect.
fn debugger(order: &Order<'_>) -> Option<(SocketAddr, String)> {
    let quick = http::agent();
    http::listening(order.world, order.target.pid).ok()?.into_iter().find_map(|at| {
        let list: Value = serde_json::from_str(&http::get(&quick, at, "/json/list").ok()?).ok()?;
        let url = list.get(0)?.get("webSocketDebuggerUrl")?.as_str()?.to_owned();
        Some((at, url))
    })
}

/// SIGUSR1 ends a process that does not handle it: Node always does, unless it was told not to.
fn signal(order: &Order<'_>) -> Result<(), CaptureError> {
    let path = order.world.proc_root.join(order.target.pid.to_string()).join("status");
    let status = std::fs::read_to_string(&path).map_err(|e| CaptureError::file(&path, e))?;
    let mask = status.lines().find_map(|l| l.strip_prefix("SigCgt:"));
    let mask = mask.and_then(|m| u64::from_str_radix(m.trim(), 16).ok()).unwrap_or(0);
    if mask & (1 << (Signal::USR1.as_raw() - 1)) == 0 {
        return Err(CaptureError::NoDoor(
            "the process does not handle SIGUSR1, which would end it: start it with --inspect".to_owned(),
        ));
    }
    let sent = Pid::from_raw(order.target.pid)
        .map_or(Err(rustix::io::Errno::SRCH), |pid| rustix::process::kill_process(pid, Signal::USR1));
    sent.map_err(|e| CaptureError::file(&path, e.into()))
}
