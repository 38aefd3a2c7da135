//! Artifacts of HotSpot that take a while: a collection log that is switched on for a window, and a flight recording. The
//! JVM writes both into a small file in its own `/tmp`, which is taken out and removed.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::{CaptureError, Folder, Order};
use crate::step::jvm_attach::jcmd;

/// How long an answer may take: a recording starts in some seconds on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// A recording that nobody ends, ends itself so much later.
const OVERTIME: Duration = Duration::from_secs(60);
/// Largest file that is taken out.
const LARGEST: u64 = 256 << 20;
/// The first version whose logs can be switched on.
const UNIFIED_LOG: u32 = 9;
/// What a flight recording begins with.
const RECORDING: &[u8] = b"FLR\0";

pub(super) fn take(order: &Order<'_>, folder: &mut Folder) -> Result<(), CaptureError> {
    match order.id {
        "gclog" => collection_log(order, folder),
        _ => recording(order, folder),
    }
}

fn collection_log(order: &Order<'_>, folder: &mut Folder) -> Result<(), CaptureError> {
    let version = order.target.runtime_version.as_deref().map_or(0, super::jvm::major);
    if version != 0 && version < UNIFIED_LOG {
        return Err(CaptureError::Jvm(format!(
            "JDK {version} cannot switch its collection log on: restart it with -Xloggc:FILE -XX:+PrintGCDetails"
        )));
    }
    let file = Inside::new(order, "log");
    let began = Instant::now();
    // It turns over by itself: a log that nobody switches off any more stays small.
    let on = format!(
        "VM.log output=\"file={}\" output_options=\"filecount=1,filesize=4M\" what=\"gc*=info,safepoint=info\" decorators=\"time,uptime,level,tags\"",
        file.inside
    );
    let off = format!("VM.log output=\"file={}\" what=\"all=off\"", file.inside);
    ask(order, &on)?;
    let waited = super::wait(order);
    let switched_off = ask(order, &off);
    waited?;
    switched_off?;
    let text = file.read()?;
    if !text.windows(4).any(|w| w == b" GC(") {
        return Err(CaptureError::Jvm(format!(
            "it collected nothing within {} s: --window names a longer time",
            order.window.as_secs()
        )));
    }
    folder.keep("gc.log", began, &text)
}

fn recording(order: &Order<'_>, folder: &mut Folder) -> Result<(), CaptureError> {
    let file = Inside::new(order, "jfr");
    let began = Instant::now();
    let (name, seconds) = (&file.name, (order.window + OVERTIME).as_secs());
    let start =
        format!("JFR.start name={name} settings=profile duration={seconds}s filename={}", file.inside);
    let said = ask(order, &start)?;
    if !said.contains("Started recording") {
        let why = said.lines().find(|l| !l.trim().is_empty()).unwrap_or("no word");
        return Err(CaptureError::Jvm(format!("no recording was started: {why}")));
    }
    let waited = super::wait(order);
    let stopped = ask(order, &format!("JFR.stop name={name}"));
    waited?;
    stopped?;
    let bytes = file.read()?;
    let cut = (!bytes.starts_with(RECORDING)).then(|| "it does not begin like a flight recording".to_owned());
    folder.keep_as("recording.jfr", began, &bytes, cut)
}

fn ask(order: &Order<'_>, command: &str) -> Result<String, CaptureError> {
    jcmd(order.world, order.target.pid, command, PATIENCE).map_err(CaptureError::Attach)
}

/// A file that the JVM makes in its own `/tmp`; removed when dropped.
struct Inside {
    name: String,
    /// As the JVM sees it.
    inside: String,
    /// As this process sees it.
    path: PathBuf,
}

impl Inside {
    fn new(order: &Order<'_>, ends: &str) -> Inside {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos());
        let name = format!("{}{}-{now}", super::jvm::ours(order.target.pid), std::process::id());
        let inside = format!("/tmp/{name}.{ends}");
        let process = order.world.proc_root.join(order.target.pid.to_string());
        Inside { name, path: process.join("root").join(inside.trim_start_matches('/')), inside }
    }

    /// What the JVM wrote; what was turned over comes first.
    fn read(&self) -> Result<Vec<u8>, CaptureError> {
        use std::io::Read as _;
        let mut out = Vec::new();
        for path in [self.turned_over(), self.path.clone()] {
            match super::native::open_plain(&path) {
                Ok(f) => f.take(LARGEST).read_to_end(&mut out).map_err(|e| CaptureError::file(&path, e))?,
                Err(e) if e.kind() == ErrorKind::NotFound && path != self.path => 0,
                Err(e) => return Err(CaptureError::file(&path, e)),
            };
        }
        Ok(out)
    }

    fn turned_over(&self) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(".0");
        name.into()
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        for path in [self.turned_over(), self.path.clone()] {
            // The target may be gone, and its file system with it.
            let _left_behind: io::Result<()> = fs::remove_file(path);
        }
    }
}
