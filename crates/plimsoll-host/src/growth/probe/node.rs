//! Node.js through its inspector: it collects when it is asked to, and proves it with a weak reference that is empty
//! afterwards.

use std::thread;

use plimsoll_core::fact::Reading;
use plimsoll_core::target::Target;
use serde_json::{Value, json};

use super::{Collector, Heap, Piece, lowest, refused};
use crate::step::http;
use crate::step::inspector::{InspectorError, Session};
use crate::world::World;

/// Leaves behind an object that only a weak reference knows.
const LITTER: &str = "globalThis[Symbol.for('plimsoll')] = new WeakRef({}), 'ok'";
/// What is left of it, and the memory.
const READ: &str = "JSON.stringify({gone: globalThis[Symbol.for('plimsoll')].deref() === undefined, m: process.memoryUsage()})";
/// Takes the reference away.
const TIDY: &str = "delete globalThis[Symbol.for('plimsoll')], 'ok'";
/// Bytes between two samples of the profile that tells who got what is still held.
const SAMPLED: u64 = 32 << 10;

struct Inspector {
    /// `None` once it was closed.
    session: Option<Session>,
    samples: bool,
}

pub(super) fn open(world: &World, target: &Target) -> Box<dyn Collector> {
    let opened = thread::scope(|scope| {
        let work = scope.spawn(|| {
            http::enter_network(world, target.pid).map_err(|e| e.to_string())?;
            Session::open(world, target.pid).map_err(|e| e.to_string())
        });
        work.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    match opened {
        Ok(session) => Box::new(Inspector { session: Some(session), samples: false }),
        Err(why) => refused(why),
    }
}

fn collected(session: &mut Session) -> Result<(f64, Value), InspectorError> {
    session.evaluate(LITTER)?;
    session.tell("HeapProfiler.collectGarbage", &json!({}))?;
    let failed = |why: &str| InspectorError::Failed(why.to_owned());
    let said: Value =
        serde_json::from_str(&session.evaluate(READ)?).map_err(|_| failed("its answer is no JSON"))?;
    if said["gone"] != true {
        return Err(failed("the forced collection had no effect: what nobody held is still there"));
    }
    let used = said.pointer("/m/heapUsed").and_then(Value::as_f64);
    let used = used.ok_or_else(|| failed("it does not tell the heap"))?;
    // What buffers hold is outside V8's heap, and held by its objects.
    let external = said.pointer("/m/external").and_then(Value::as_f64).unwrap_or(0.0);
    Ok((used + external, said))
}

impl Collector for Inspector {
    fn collect(&mut self) -> Heap {
        let Some(session) = &mut self.session else { return Heap::default() };
        match lowest(|| collected(session).map_err(|e| e.to_string())) {
            Ok((level, said)) => {
                let part = |name: &str| said.pointer(name).and_then(Value::as_f64);
                let held = part("/m/heapTotal").zip(part("/m/external")).map(|(a, b)| a + b);
                Heap { level: Some(Reading::Known(level)), held, goroutines: None }
            }
            Err(why) => Heap { level: Some(Reading::Unknown(why)), ..Heap::default() },
        }
    }

    /// The first call begins to sample; the next one tells who got what is still held of it.
    fn evidence(&mut self) -> Vec<Piece> {
        let Some(session) = &mut self.session else { return Vec::new() };
        if !self.samples {
            let began = session.tell("HeapProfiler.startSampling", &json!({"samplingInterval": SAMPLED}));
            self.samples = began.is_ok();
            return Vec::new();
        }
        self.samples = false;
        let taken = session.tell("HeapProfiler.stopSampling", &json!({}));
        let profile = taken.ok().and_then(|answer| answer.get("profile").map(Value::to_string));
        profile.map(|p| Piece { name: "held.heapprofile", bytes: p.into_bytes() }).into_iter().collect()
    }

    fn close(mut self: Box<Self>) {
        let Some(mut session) = self.session.take() else { return };
        // The process may be gone: then there is nothing to leave as it was.
        if self.samples {
            let _gone = session.tell("HeapProfiler.stopSampling", &json!({}));
        }
        let _gone = session.evaluate(TIDY);
        session.close();
    }
}
