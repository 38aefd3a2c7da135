//! A heap dump of a JDK before 17, which writes into no pipe: into a file of its own `/tmp`, taken out and removed. It
//! cannot be broken off: a dump that nobody waits for any more is written to its end, and its file is gone with it.

use std::io::Read as _;
use std::sync::atomic::Ordering;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use super::its_tmp::Inside;
use super::jvm::{self, END};
use super::{CaptureError, Folder, Order};

/// Between two looks at whether to go on.
const GLANCE: Duration = Duration::from_millis(100);

pub(super) fn take(order: &Order<'_>, folder: &mut Folder) -> Result<(), CaptureError> {
    let file = Inside::new(order, "hprof")?;
    let mut draft = folder.begin("heap.hprof")?;
    let said = dump(order, &file);
    // A target that was killed meanwhile leaves what it had written.
    let mut from = match file.open() {
        Ok(from) => from,
        Err(e) => {
            draft.discard();
            return Err(said.err().unwrap_or(e));
        }
    };
    let mut buffer = vec![0; 1 << 20];
    loop {
        if order.stop.load(Ordering::Relaxed) {
            draft.discard();
            return Err(CaptureError::Stopped);
        }
        match from.read(&mut buffer).map_err(|e| CaptureError::file(&file.path, e))? {
            0 => break,
            n => draft.write(buffer.get(..n).unwrap_or_default())?,
        }
    }
    if draft.bytes() == 0 {
        draft.discard();
        return Err(said.err().unwrap_or_else(|| CaptureError::Jvm("it wrote nothing".to_owned())));
    }
    let cut = match said {
        Err(e) => Some(super::chain(&e)),
        Ok(()) if draft.tail() != END => Some("it ends without the record that ends a heap dump".to_owned()),
        Ok(()) => None,
    };
    folder.end(draft, cut)
}

/// Has it written, and waits for the word that it is.
fn dump(order: &Order<'_>, file: &Inside) -> Result<(), CaptureError> {
    let command = format!("GC.heap_dump -all {}", file.inside);
    let answer = jvm::have_dumped(order, command).map_err(|e| CaptureError::file(&file.path, e))?;
    loop {
        if order.stop.load(Ordering::Relaxed) {
            return Err(CaptureError::Stopped);
        }
        match answer.recv_timeout(GLANCE) {
            Ok(Ok(text)) if text.contains("Heap dump file created") => return Ok(()),
            Ok(Ok(text)) => {
                return Err(CaptureError::Jvm(text.lines().next().unwrap_or("no word").to_owned()));
            }
            Ok(Err(e)) => return Err(CaptureError::Attach(e)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(CaptureError::Jvm("it never said that it is done".to_owned()));
            }
        }
    }
}
