//! Node.js through its inspector, when the process already listens on one. It is never opened from here: that
//! would let anybody on the machine run code in the target.

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use plimsoll_core::fact::{Fact, Reading};
use plimsoll_core::recording::Observation;
use plimsoll_core::target::{RuntimeKind, Target};
use serde_json::{Value, json};
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Message, WebSocket};

use super::ports::Ports;
use super::room::{FOR_AN_ANSWER, Room};
use super::{Pace, Source, SourceKind};
use crate::world::World;

/// The entry of the registry.
pub(super) const KIND: SourceKind = SourceKind {
    name: "v8 inspector",
    facts: &[Fact::V8HeapUsed, Fact::V8HeapTotal, Fact::V8External, Fact::V8HeapLimit],
    pace: Pace::Slow(Duration::from_secs(1)),
    open: |world, target| {
        (target.runtime == RuntimeKind::Node).then(|| Box::new(Inspector::new(world, target)) as _)
    },
};

/// The port that SIGUSR1 opens, and `--inspect` without a number.
const USUAL: u16 = 9229;
/// Longest wait for an answer.
const DEADLINE: Duration = Duration::from_secs(2);
/// Largest answer: these are a few hundred bytes.
const LARGEST: usize = 256 * 1024;
/// Messages of the inspector's own that may come before an answer.
const MOST_EVENTS: usize = 50;

/// What is asked: two reads of counters that V8 keeps anyway.
const QUESTION: &str = "JSON.stringify({m: process.memoryUsage(), h: (typeof require === 'function' ? require('v8') \
                        : process.getBuiltinModule('v8')).getHeapStatistics()})";

struct Inspector {
    ports: Ports,
    /// Asked for on the command line, at any port; else only the port is looked at that SIGUSR1 opens.
    at_start: bool,
    socket: Option<WebSocket<TcpStream>>,
    asked: u64,
    room: Room,
}

impl Inspector {
    fn new(world: &World, target: &Target) -> Self {
        Inspector {
            ports: Ports::of(world, target.pid),
            at_start: target
                .flags
                .iter()
                .any(|f| f.starts_with("--inspect") && !f.starts_with("--inspect-port")),
            socket: None,
            asked: 0,
            room: Room::of(world, target),
        }
    }

    fn connect(&mut self) -> Result<WebSocket<TcpStream>, String> {
        let mut due = self.ports.due(Instant::now());
        due.retain(|at| self.at_start || at.port() == USUAL);
        let found = due.iter().find_map(|at| Some((*at, self.debugger(*at)?)));
        let (at, url) = found.ok_or("no port of the process answers as an inspector")?;
        let stream = TcpStream::connect_timeout(&at, DEADLINE).map_err(|e| e.to_string())?;
        stream.set_read_timeout(Some(DEADLINE)).map_err(|e| e.to_string())?;
        stream.set_write_timeout(Some(DEADLINE)).map_err(|e| e.to_string())?;
        let config = WebSocketConfig::default().max_message_size(Some(LARGEST)).max_frame_size(Some(LARGEST));
        let (socket, _) =
            tungstenite::client::client_with_config(url, stream, Some(config)).map_err(|e| e.to_string())?;
        Ok(socket)
    }

    fn debugger(&self, at: SocketAddr) -> Option<String> {
        let list: Value = serde_json::from_str(&self.ports.get(at, "/json/list").ok()?).ok()?;
        Some(list.get(0)?.get("webSocketDebuggerUrl")?.as_str()?.to_owned())
    }

    /// Asks once; the answer is the object of [`QUESTION`].
    fn ask(&mut self) -> Result<Value, String> {
        if self.socket.is_none() {
            self.socket = Some(self.connect()?);
        }
        self.asked += 1;
        let id = self.asked;
        let socket = self.socket.as_mut().ok_or("not connected")?;
        let question = json!({
            "id": id, "method": "Runtime.evaluate",
            "params": {"expression": QUESTION, "includeCommandLineAPI": true, "returnByValue": true},
        });
        socket.send(Message::text(question.to_string())).map_err(|e| e.to_string())?;
        for _ in 0..MOST_EVENTS {
            let Message::Text(text) = socket.read().map_err(|e| e.to_string())? else { continue };
            let answer: Value = serde_json::from_str(&text).map_err(|e| e.to_string())?;
            if answer.get("id").and_then(Value::as_u64) == Some(id) {
                let value = answer.pointer("/result/result/value").and_then(Value::as_str);
                return serde_json::from_str(value.ok_or("the inspector refuses")?)
                    .map_err(|e| e.to_string());
            }
        }
        Err("the inspector talks, but does not answer".to_owned())
    }
}

impl Source for Inspector {
    fn sample(&mut self, out: &mut Observation) {
        // The answer is worked out in its heap.
        let answer = match self.room.refuses(out.t, FOR_AN_ANSWER) {
            Some(why) => Err(why),
            None => self.ports.enter().and_then(|()| self.ask()),
        };
        if answer.is_err() && self.socket.take().is_some() {
            self.ports.search_anew();
        }
        // Nobody asked for an inspector: that there is none is no lack.
        if !self.at_start && answer.is_err() {
            return;
        }
        for (fact, path) in [
            (Fact::V8HeapUsed, "/m/heapUsed"),
            (Fact::V8HeapTotal, "/m/heapTotal"),
            (Fact::V8External, "/m/external"),
            (Fact::V8HeapLimit, "/h/heap_size_limit"),
        ] {
            let value = answer.as_ref().map(|v| v.pointer(path).and_then(Value::as_f64));
            out.put(
                fact,
                match value {
                    Ok(Some(v)) => Reading::Known(v),
                    Ok(None) => Reading::unknown("the inspector does not say it"),
                    Err(why) => Reading::unknown(why.clone()),
                },
            );
        }
    }
}
