//! A V8 inspector as a client: the one that is open, or one that SIGUSR1 opens and that is closed afterwards, as
//! anybody on the machine who reaches it can run code in the target.

use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use serde_json::{Value, json};
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Message, WebSocket};

use super::http;
use crate::step::signals;
use crate::world::World;

/// Why an inspector could not be used.
#[derive(Debug, thiserror::Error)]
pub enum InspectorError {
    /// There is none, and none can be opened.
    #[error("{0}")]
    NoDoor(String),
    /// It said no, or nothing.
    #[error("the inspector did not do it: {0}")]
    Failed(String),
}

/// Longest wait for one message: a collection may come before it.
const DEADLINE: Duration = Duration::from_secs(60);
/// How long the inspector may take to listen after the signal.
const OPENS: Duration = Duration::from_secs(5);
/// How long it may go on listening when it is told to close.
const CLOSES: Duration = Duration::from_secs(2);
/// Largest message: a sampling profile comes in one.
const LARGEST: usize = 256 << 20;

/// The port that the signal opens, unless the program was told another.
const USUAL: u16 = 9229;

/// Later than the answer to it, else the connection goes before.
const CLOSE: &str = "setTimeout(() => (process.getBuiltinModule ? process.getBuiltinModule('inspector') : require('inspector')).close(), 50); 'ok'";

/// A session with an inspector.
pub(crate) struct Session {
    world: World,
    pid: i32,
    socket: WebSocket<TcpStream>,
    at: SocketAddr,
    asked: u64,
    /// Whether the inspector was opened from here.
    ours: bool,
}

impl Session {
    /// Opens one, from within the target's network.
    pub(crate) fn open(world: &World, pid: i32) -> Result<Session, InspectorError> {
        if let Some(found) = debugger(world, pid) {
            return Session::connect(world, pid, found, false);
        }
        signal(world, pid)?;
        let began = Instant::now();
        while began.elapsed() < OPENS {
            if let Some(found) = debugger(world, pid) {
                return Session::connect(world, pid, found, true);
            }
            thread::sleep(Duration::from_millis(20));
        }
        // Its own port would have answered.
        if http::is_taken(world, pid, USUAL) {
            return Err(InspectorError::NoDoor(format!(
                "port {USUAL}, which SIGUSR1 opens, is another process's: start this one with --inspect-port=0, or take it when the other inspector is closed"
            )));
        }
        Err(InspectorError::NoDoor(
            "no inspector listens 5 s after SIGUSR1: the program handles the signal itself, or is stuck"
                .to_owned(),
        ))
    }

    fn connect(
        world: &World,
        pid: i32,
        (at, url): (SocketAddr, String),
        ours: bool,
    ) -> Result<Session, InspectorError> {
        let failed = |e: &dyn std::fmt::Display| InspectorError::Failed(e.to_string());
        let stream = TcpStream::connect_timeout(&at, DEADLINE).map_err(|e| failed(&e))?;
        stream.set_read_timeout(Some(DEADLINE)).map_err(|e| failed(&e))?;
        let config = WebSocketConfig::default().max_message_size(Some(LARGEST)).max_frame_size(Some(LARGEST));
        let (socket, _) =
            tungstenite::client::client_with_config(url, stream, Some(config)).map_err(|e| failed(&e))?;
        Ok(Session { world: world.clone(), pid, socket, at, asked: 0, ours })
    }

    /// Asks, and hands every message before the answer to `event`.
    pub(crate) fn ask<E: From<InspectorError>>(
        &mut self,
        method: &str,
        params: &Value,
        mut event: impl FnMut(&Value) -> Result<(), E>,
    ) -> Result<Value, E> {
        let failed = |e: tungstenite::Error| InspectorError::Failed(e.to_string());
        self.asked += 1;
        let question = json!({"id": self.asked, "method": method, "params": params});
        self.socket.send(Message::text(question.to_string())).map_err(failed)?;
        loop {
            let Message::Text(text) = self.socket.read().map_err(failed)? else { continue };
            let mut message: Value =
                serde_json::from_str(&text).map_err(|e| InspectorError::Failed(e.to_string()))?;
            if message.get("id").and_then(Value::as_u64) != Some(self.asked) {
                event(&message)?;
            } else if let Some(error) = message.get("error") {
                let why = error["message"].as_str().unwrap_or("it refuses");
                return Err(InspectorError::Failed(why.to_owned()).into());
            } else {
                return Ok(message["result"].take());
            }
        }
    }

    /// Asks where what comes before the answer does not matter.
    pub(crate) fn tell(&mut self, method: &str, params: &Value) -> Result<Value, InspectorError> {
        self.ask(method, params, |_| Ok(()))
    }

    /// The text that an expression gives.
    pub(crate) fn evaluate(&mut self, expression: &str) -> Result<String, InspectorError> {
        let params = json!({"expression": expression, "includeCommandLineAPI": true, "returnByValue": true});
        let answer = self.tell("Runtime.evaluate", &params)?;
        let value = answer.pointer("/result/value").and_then(Value::as_str);
        value.map(str::to_owned).ok_or_else(|| InspectorError::Failed("it gives no value".to_owned()))
    }

    /// Closes the inspector when it was opened from here, and waits until it is: else who comes next would take it for
    /// one that somebody else has open, and lose it.
    pub(crate) fn close(mut self) {
        if self.ours {
            // It may be gone with the process; nothing else can be done about it.
            let _unheard = self.evaluate(CLOSE);
        }
        let _unheard = self.socket.close(None);
        let began = Instant::now();
        let listens = || http::listening(&self.world, self.pid).is_ok_and(|ports| ports.contains(&self.at));
        while self.ours && listens() && began.elapsed() < CLOSES {
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// The port that answers as an inspector, and where to connect.
fn debugger(world: &World, pid: i32) -> Option<(SocketAddr, String)> {
    let quick = http::agent();
    http::listening(world, pid).ok()?.into_iter().find_map(|at| {
        let list: Value = serde_json::from_str(&http::get(&quick, at, "/json/list").ok()?).ok()?;
        let url = list.get(0)?.get("webSocketDebuggerUrl")?.as_str()?.to_owned();
        Some((at, url))
    })
}

/// SIGUSR1 ends a process that does not handle it: Node always does, unless it was told not to.
fn signal(world: &World, pid: i32) -> Result<(), InspectorError> {
    let path = world.proc_root.join(pid.to_string()).join("status");
    let unread = |e: std::io::Error| InspectorError::NoDoor(format!("failed to use {}: {e}", path.display()));
    let status = std::fs::read_to_string(&path).map_err(unread)?;
    if !signals::catches(&status, Signal::USR1) {
        return Err(InspectorError::NoDoor(
            "the process does not handle SIGUSR1, which would end it: start it with --inspect".to_owned(),
        ));
    }
    let sent = Pid::from_raw(pid)
        .map_or(Err(rustix::io::Errno::SRCH), |pid| rustix::process::kill_process(pid, Signal::USR1));
    sent.map_err(|e| unread(e.into()))
}
