//! Artifacts of Node.js, through its inspector.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::Instant;

use serde_json::{Value, json};

use super::store::Draft;
use super::{CaptureError, Folder, Order};
use crate::step::http;
use crate::step::inspector::Session;

/// Bytes between two samples of a sampling profile.
const SAMPLED: u64 = 32 << 10;

const STATISTICS: &str = "JSON.stringify({memoryUsage: process.memoryUsage(), resourceUsage: process.resourceUsage(), \
    heapStatistics: process.getBuiltinModule ? process.getBuiltinModule('v8').getHeapStatistics() : require('v8').getHeapStatistics(), \
    heapSpaces: process.getBuiltinModule ? process.getBuiltinModule('v8').getHeapSpaceStatistics() : require('v8').getHeapSpaceStatistics()}, null, 1)";
/// Takes it on a thread of its own, which may move into the target's network.
pub(super) fn take(order: &Order<'_>, folder: &mut Folder) -> Result<(), CaptureError> {
    thread::scope(|scope| {
        let work = scope.spawn(|| {
            http::enter_network(order.world, order.target.pid).map_err(CaptureError::Http)?;
            let mut taker = Taker(Session::open(order.world, order.target.pid)?);
            let taken = match order.id {
                "statistics" => taker.statistics(folder),
                "sampling" => taker.sampling(order, folder),
                _ => taker.snapshot(order, folder),
            };
            taker.0.close();
            taken
        });
        work.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Takes artifacts over a session.
struct Taker(Session);

impl Taker {
    fn statistics(&mut self, folder: &mut Folder) -> Result<(), CaptureError> {
        let began = Instant::now();
        let text = self.0.evaluate(STATISTICS)?;
        folder.keep("statistics.json", began, text.as_bytes())
    }

    fn sampling(&mut self, order: &Order<'_>, folder: &mut Folder) -> Result<(), CaptureError> {
        let began = Instant::now();
        self.0.tell("HeapProfiler.enable", &json!({}))?;
        self.0.tell("HeapProfiler.startSampling", &json!({"samplingInterval": SAMPLED}))?;
        let waited = super::wait(order);
        let answer = self.0.tell("HeapProfiler.stopSampling", &json!({}))?;
        waited?;
        let profile =
            answer.get("profile").ok_or_else(|| CaptureError::Inspector("it gives no profile".to_owned()))?;
        folder.keep("sampling.heapprofile", began, profile.to_string().as_bytes())
    }

    fn snapshot(&mut self, order: &Order<'_>, folder: &mut Folder) -> Result<(), CaptureError> {
        self.0.tell("HeapProfiler.enable", &json!({}))?;
        let mut draft = folder.begin("heap.heapsnapshot")?;
        let written =
            self.0.ask("HeapProfiler.takeHeapSnapshot", &json!({"reportProgress": false}), |event| {
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
}

fn chunk(event: &Value, draft: &mut Draft) -> Result<(), CaptureError> {
    if event.get("method").and_then(Value::as_str) == Some("HeapProfiler.addHeapSnapshotChunk")
        && let Some(text) = event.pointer("/params/chunk").and_then(Value::as_str)
    {
        return draft.write(text.as_bytes());
    }
    Ok(())
}
