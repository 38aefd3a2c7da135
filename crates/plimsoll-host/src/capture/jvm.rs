//! Artifacts of HotSpot, by its own attach protocol: no JDK in the target's image is needed.
//!
//! A heap dump of JDK 17 and later is streamed out through a FIFO in the target's `/tmp`: it takes no disk and no page cache in the
//! container, and closing our end stops it.

use std::fs;
use std::io::{self, ErrorKind, Read as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, FileType, Mode, OFlags};

use super::its_tmp::{self, give};
use super::store::Draft;
use super::{CaptureError, Folder, Order};
use crate::step::jvm_attach::{AttachError, jcmd};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a heap dump may take: a hundred GiB at the slowest rate that was measured.
const DUMP_PATIENCE: Duration = Duration::from_secs(600);
/// How long the JVM may take to begin to write: it must reach a safepoint first.
const BEGIN: Duration = Duration::from_secs(60);
/// Between two looks at whether to go on.
const GLANCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
/// Bytes that the pipe holds, where the system allows it.
const PIPE: usize = 1 << 20;
/// The first version whose heap dumps may overwrite, and so go into a FIFO.
const OVERWRITES: u32 = 17;
/// From this version on several threads write segments beside the file, unless told otherwise.
const SEGMENTS: u32 = 22;
/// The record that ends a heap dump: its tag, then time and length, both 0.
pub(super) const END: [u8; 9] = [0x2c, 0, 0, 0, 0, 0, 0, 0, 0];

/// The word of a JVM that is waited for.
pub(super) type Answer = Receiver<Result<String, AttachError>>;

pub(super) fn take(order: &Order<'_>, folder: &mut Folder) -> Result<(), CaptureError> {
    match order.id {
        "threads" => ask(order, folder, "Thread.print -l", "threads.txt"),
        "nmt" => ask(order, folder, "VM.native_memory summary", "nmt.txt"),
        "histogram" => {
            ask(order, folder, "GC.class_histogram -all", "histogram-1.txt")?;
            super::second(order, || ask(order, folder, "GC.class_histogram -all", "histogram-2.txt"))
        }
        _ => heap(order, folder),
    }
}

fn ask(order: &Order<'_>, folder: &mut Folder, command: &str, name: &str) -> Result<(), CaptureError> {
    let began = Instant::now();
    let answer = jcmd(order.world, order.target.pid, command, PATIENCE).map_err(CaptureError::Attach)?;
    if answer.contains("Native memory tracking is not enabled") {
        return Err(CaptureError::Jvm(
            "native memory tracking is off: restart with -XX:NativeMemoryTracking=summary".to_owned(),
        ));
    }
    folder.keep(name, began, answer.as_bytes())
}

fn heap(order: &Order<'_>, folder: &mut Folder) -> Result<(), CaptureError> {
    let version = order.target.runtime_version.as_deref().map_or(0, major);
    if version != 0 && version < OVERWRITES {
        return super::jvm_dump_file::take(order, folder);
    }
    let mut fifo = Fifo::make(order)?;
    let one_thread = if version >= SEGMENTS { " -parallel=1" } else { "" };
    let command = format!("GC.heap_dump -all -overwrite{one_thread} {}", fifo.inside);
    let mut draft = folder.begin("heap.hprof")?;
    let answer = have_dumped(order, command).map_err(|e| CaptureError::file(&fifo.path, e))?;
    fifo.may_come = true;
    let read = copy(order, &mut fifo, &mut draft, &answer);
    // Closing our end stops a dump that is under way; the JVM goes on.
    drop(fifo);
    let said = match read {
        Err(e) if draft.bytes() == 0 => {
            draft.discard();
            return Err(e);
        }
        Err(e) => Some(super::chain(&e)),
        Ok(()) => settle(&answer),
    };
    let cut = match said {
        Some(why) => Some(why),
        None if draft.tail() != END => Some("it ends without the record that ends a heap dump".to_owned()),
        None => None,
    };
    if draft.bytes() == 0 {
        draft.discard();
        return Err(CaptureError::Jvm(cut.unwrap_or_else(|| "it wrote nothing".to_owned())));
    }
    folder.end(draft, cut)
}

/// Has a dump written beside; the JVM's word comes when it is done.
pub(super) fn have_dumped(order: &Order<'_>, command: String) -> io::Result<Answer> {
    let (send, answer) = channel();
    let (world, pid) = (order.world.clone(), order.target.pid);
    thread::Builder::new().spawn(move || {
        // Nobody listens any more when the reader gave up: then nothing is to be told.
        let _unheard = send.send(jcmd(&world, pid, &command, DUMP_PATIENCE));
    })?;
    Ok(answer)
}

/// What the JVM says in the end, when that is not success.
fn settle(answer: &Answer) -> Option<String> {
    match answer.recv_timeout(PATIENCE) {
        Ok(Ok(text)) if text.contains("Heap dump file created") => None,
        Ok(Ok(text)) => Some(format!("the JVM says: {}", text.lines().next().unwrap_or("nothing"))),
        Ok(Err(e)) => Some(super::chain(&e)),
        Err(_) => Some("the JVM never said that it is done".to_owned()),
    }
}

/// Copies until the JVM closes its end.
fn copy(order: &Order<'_>, fifo: &mut Fifo, draft: &mut Draft, answer: &Answer) -> Result<(), CaptureError> {
    let mut buffer = vec![0; 1 << 20];
    let began = Instant::now();
    loop {
        if order.stop.load(Ordering::Relaxed) {
            return Err(CaptureError::Stopped);
        }
        let mut ready = [PollFd::new(&fifo.reader, PollFlags::IN)];
        poll(&mut ready, Some(&GLANCE)).map_err(|e| CaptureError::file(&fifo.path, e.into()))?;
        match (&fifo.reader).read(&mut buffer) {
            Ok(0) if draft.bytes() > 0 => return Ok(()),
            // Nobody has opened the other end yet.
            Ok(0) => {
                refused(answer).inspect_err(|_| fifo.may_come = false)?;
                in_time(began)?;
                thread::sleep(Duration::from_millis(1));
            }
            Ok(n) => {
                fifo.may_come = false;
                draft.write(&buffer[..n])?;
            }
            // It is open there, and nothing is written now.
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                fifo.may_come = false;
                if draft.bytes() == 0 {
                    in_time(began)?;
                }
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(CaptureError::file(&fifo.path, e)),
        }
    }
}

/// Whether the first byte may still come.
fn in_time(began: Instant) -> Result<(), CaptureError> {
    if began.elapsed() <= BEGIN {
        return Ok(());
    }
    let why = "it did not begin to write within 60 s: is it stuck before a safepoint?";
    Err(CaptureError::Jvm(why.to_owned()))
}

/// An answer before the first byte is a refusal.
fn refused(answer: &Answer) -> Result<(), CaptureError> {
    match answer.try_recv() {
        Ok(Ok(text)) => Err(CaptureError::Jvm(text.lines().next().unwrap_or("no word").to_owned())),
        Ok(Err(e)) => Err(CaptureError::Attach(e)),
        Err(TryRecvError::Empty | TryRecvError::Disconnected) => Ok(()),
    }
}

/// A pipe with a name in the target's `/tmp`, for its user; removed when dropped, or barred while the JVM may still come.
struct Fifo {
    /// As this process sees it, for words.
    path: PathBuf,
    /// The same through the folder that it holds open: so it stays when the target is gone.
    held: PathBuf,
    _tmp: fs::File,
    /// As the target sees it.
    inside: String,
    reader: fs::File,
    /// Whether the JVM was asked to and has neither opened it nor said that it will not.
    may_come: bool,
}

impl Fifo {
    fn make(order: &Order<'_>) -> Result<Fifo, CaptureError> {
        let process = order.world.proc_root.join(order.target.pid.to_string());
        let unique = format!(
            "{}{}-{}.fifo",
            its_tmp::ours(order.target.pid),
            std::process::id(),
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_nanos())
        );
        let inside = format!("/tmp/{unique}");
        let (place, tmp) = its_tmp::folder(order)?;
        let path = place.join(&unique);
        let held = PathBuf::from(format!("/proc/self/fd/{}/{unique}", tmp.as_raw_fd()));
        let failed = |e: io::Error| CaptureError::file(&path, e);
        rustix::fs::mknodat(CWD, &held, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)
            .map_err(|e| failed(e.into()))?;
        let made = give(&process, &held).and_then(|()| {
            // Opened without waiting for the writer: else the first of the two would wait for ever.
            let flags = (OFlags::NONBLOCK | OFlags::NOFOLLOW).bits().cast_signed();
            fs::OpenOptions::new().read(true).custom_flags(flags).open(&held)
        });
        match made {
            Ok(reader) => {
                // A larger pipe wakes the two ends less often; the usual one does as well.
                let _as_it_is = rustix::pipe::fcntl_setpipe_size(&reader, PIPE);
                Ok(Fifo { path, held, _tmp: tmp, inside, reader, may_come: false })
            }
            Err(e) => {
                // The pipe is ours alone and empty.
                let _left_behind = fs::remove_file(&held);
                Err(failed(e))
            }
        }
    }
}

impl Drop for Fifo {
    fn drop(&mut self) {
        // What cannot be removed is swept by the next capture.
        let _left_behind = if self.may_come { its_tmp::bar(&self.held) } else { fs::remove_file(&self.held) };
    }
}

/// 8 of `1.8.0_392`, 17 of `17.0.15+6`.
pub(super) fn major(version: &str) -> u32 {
    let v = version.strip_prefix("1.").unwrap_or(version);
    v.split(|c: char| !c.is_ascii_digit()).next().and_then(|d| d.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_to_which_the_jvm_may_still_come_is_barred_and_one_that_it_came_to_is_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("pipe");
        for may_come in [false, true] {
            rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("made");
            let nonblock = OFlags::NONBLOCK.bits().cast_signed();
            let reader =
                fs::OpenOptions::new().read(true).custom_flags(nonblock).open(&path).expect("opened");
            let (held, _tmp) = (path.clone(), fs::File::open(folder.path()).expect("opened"));
            drop(Fifo { path: path.clone(), held, _tmp, inside: String::new(), reader, may_come });
            assert_eq!(fs::symlink_metadata(&path).is_ok(), may_come);
        }
        assert!(path.is_symlink());
        assert!(fs::File::create(&path).is_err(), "no file is made of it");
    }
}
