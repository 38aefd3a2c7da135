//! Artifacts of HotSpot that take a while: a collection log that is switched on for a window, and a flight recording. The
//! JVM writes both into a small file in its own `/tmp`, which is taken out and removed.

use std::time::{Duration, Instant};

use super::its_tmp::Inside;
use super::{CaptureError, Folder, Order};
use crate::step::jvm_attach::jcmd;

/// How long an answer may take: a recording starts in some seconds on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// A recording that nobody ends, ends itself so much later.
const OVERTIME: Duration = Duration::from_secs(60);
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
    let file = Inside::new(order, "log")?;
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
    let file = Inside::new(order, "jfr")?;
    let began = Instant::now();
    let (name, seconds) = (file.name(), (order.window + OVERTIME).as_secs());
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
