//! Heap profiles that a program's allocator writes where it was started so: gperftools on its signal, jemalloc at its own times.
//!
//! jemalloc cannot be told from outside: the newest profile that it has written by itself is taken, with its age.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::process::{Pid, Signal};

use super::{CaptureError, Folder, Order};
use crate::identify::{self, variable, variable_bytes};
use crate::source::hsperf::inner_pid;
use crate::source::room::Room;
use crate::step::{inside, signals};
use crate::world::World;

/// How long a profile may take that was asked for.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks at whether it is there.
const GLANCE: Duration = Duration::from_millis(50);
/// Bytes of a profile that are kept.
const LARGEST: u64 = 64 << 20;
/// Files of a folder that are looked at.
const MOST_FILES: usize = 100_000;
/// Room below which a program is asked for none, bytes: gperftools makes it in a buffer of one MiB.
const ROOM: f64 = 3.0 * 1024.0 * 1024.0;
/// What follows the stacks: without it a profile is not whole.
const END: &[u8] = b"MAPPED_LIBRARIES:";

/// The allocator's way.
#[derive(Debug, PartialEq, Eq)]
struct Way {
    /// What its files begin with, as the process knows them.
    prefix: String,
    /// jemalloc puts the number of the process behind it.
    numbered: bool,
    /// By which it is asked.
    signal: Option<Signal>,
}

/// What is said of a target whose allocator profiles: `jemalloc`, `gperftools`, or `gperftools-signal` where it can be asked.
pub(crate) fn kind(process: &Path) -> Option<&'static str> {
    Way::of(process).map(|way| match (way.numbered, way.signal) {
        (true, _) => "jemalloc",
        (false, None) => "gperftools",
        (false, Some(_)) => "gperftools-signal",
    })
}

impl Way {
    fn of(process: &Path) -> Option<Way> {
        let of = |name| variable(process, name);
        let confs = [of("MALLOC_CONF"), of("_RJEM_MALLOC_CONF")];
        Way::by(variable_bytes(process, "HEAPPROFILE").and_then(plain), of("HEAPPROFILESIGNAL"), confs)
    }

    fn by(prefix: Option<String>, signal: Option<String>, confs: [Option<String>; 2]) -> Option<Way> {
        if let Some(prefix) = prefix.filter(|p| !p.is_empty()) {
            let signal = signal.and_then(|s| Signal::from_named_raw(s.trim().parse().ok()?));
            return Some(Way { prefix, numbered: false, signal });
        }
        let conf = confs.into_iter().flatten().find(|c| c.split(',').any(|o| o.trim() == "prof:true"))?;
        let prefix = conf.split(',').find_map(|o| o.trim().strip_prefix("prof_prefix:")).unwrap_or("jeprof");
        Some(Way { prefix: prefix.to_owned(), numbered: true, signal: None })
    }
}

/// gperftools marks the first letter once it has read it, so that a child takes another name.
fn plain(mut prefix: Vec<u8>) -> Option<String> {
    if let Some(first) = prefix.first_mut() {
        *first &= 0x7f;
    }
    String::from_utf8(prefix).ok()
}

/// A profile in the process's files.
#[derive(Debug, PartialEq, Eq)]
struct Written {
    name: String,
    at: SystemTime,
    bytes: u64,
}

pub(super) fn take(order: &Order<'_>, folder: &mut Folder) -> Result<(), CaptureError> {
    let process = order.world.proc_root.join(order.target.pid.to_string());
    let way = Way::of(&process).ok_or_else(|| {
        CaptureError::NoDoor(
            "its allocator keeps no profile: start it with MALLOC_CONF=prof:true (jemalloc) or HEAPPROFILE (gperftools)".to_owned(),
        )
    })?;
    let began = Instant::now();
    let place = Place::open(order.world, order.target.pid, &way)
        .map_err(|e| CaptureError::file(Path::new(&way.prefix), e))?;
    let newest = match way.signal {
        Some(signal) => asked(order, &process, &place, signal)?,
        None => place.newest().ok_or_else(|| CaptureError::NoDoor(none_yet(&way)))?,
    };
    let bytes = place.read(&newest).map_err(|e| CaptureError::file(Path::new(&newest.name), e))?;
    let cut = (!is_whole(&bytes)).then(|| "it ends before its list of mappings".to_owned());
    folder.keep_as(&newest.name, began, &bytes, cut)?;
    let age = SystemTime::now().duration_since(newest.at).unwrap_or_default();
    if way.signal.is_none() {
        let text = format!(
            "{} was written by the program itself, {} s before it was taken\n",
            newest.name,
            age.as_secs()
        );
        folder.keep("age.txt", began, text.as_bytes())?;
    }
    Ok(())
}

fn none_yet(way: &Way) -> String {
    if way.numbered {
        "jemalloc has written no profile yet, and cannot be told to from outside: start it with lg_prof_interval or prof_gdump, too".to_owned()
    } else {
        "gperftools has written no profile yet: start it with HEAPPROFILESIGNAL=12, and it can be asked"
            .to_owned()
    }
}

/// The one that is written when it is asked; the signal is sent only where it is caught, as it would end the program otherwise.
fn asked(order: &Order<'_>, process: &Path, place: &Place, signal: Signal) -> Result<Written, CaptureError> {
    let number = signal.as_raw();
    let status =
        std::fs::read_to_string(process.join("status")).map_err(|e| CaptureError::file(process, e))?;
    if !signals::catches(&status, signal) {
        return Err(CaptureError::NoDoor(format!(
            "signal {number} (HEAPPROFILESIGNAL) is not caught and would end the program: is gperftools in it?"
        )));
    }
    if let Some(why) = Room::of(order.world, order.target).refuses(0.0, ROOM) {
        return Err(CaptureError::NoDoor(why));
    }
    let before = place.newest();
    let sent = Pid::from_raw(order.target.pid)
        .map_or(Err(rustix::io::Errno::SRCH), |pid| rustix::process::kill_process(pid, signal));
    sent.map_err(|e| CaptureError::file(process, e.into()))?;
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        if order.stop.load(Ordering::Relaxed) {
            return Err(CaptureError::Stopped);
        }
        if !identify::is_same(order.world, order.target) {
            return Err(CaptureError::Gone(order.target.pid));
        }
        let now = place.newest().filter(|now| before.as_ref() != Some(now));
        if let Some(now) = now
            && place.read(&now).is_ok_and(|bytes| is_whole(&bytes))
        {
            thread::sleep(GLANCE);
            // Nothing is added any more.
            if place.newest().as_ref() == Some(&now) {
                return Ok(now);
            }
        }
        thread::sleep(GLANCE);
    }
    Err(CaptureError::NoDoor(format!(
        "signal {number} was sent, and no whole profile came within {} s",
        PATIENCE.as_secs()
    )))
}

fn is_whole(bytes: &[u8]) -> bool {
    bytes.windows(END.len()).any(|w| w == END)
}

/// The folder into which it writes, and what the names begin with.
struct Place {
    folder: File,
    stem: String,
}

impl Place {
    fn open(world: &World, pid: i32, way: &Way) -> io::Result<Place> {
        let (folder, stem) = way.prefix.rsplit_once('/').unwrap_or((".", &way.prefix));
        let folder = if folder.is_empty() { "/" } else { folder };
        let stem =
            if way.numbered { format!("{stem}.{}.", inner_pid(world, pid)) } else { format!("{stem}.") };
        Ok(Place {
            folder: inside::open(&world.proc_root.join(pid.to_string()), folder, OFlags::DIRECTORY)?,
            stem,
        })
    }

    /// The one that was written last.
    fn newest(&self) -> Option<Written> {
        let all = Dir::read_from(&self.folder).ok()?.flatten().take(MOST_FILES);
        let names = all.filter_map(|e| e.file_name().to_str().ok().map(str::to_owned));
        let ours = names.filter(|n| n.starts_with(&self.stem) && n.ends_with(".heap"));
        ours.filter_map(|name| self.written(name)).max_by(|a, b| (a.at, &a.name).cmp(&(b.at, &b.name)))
    }

    fn written(&self, name: String) -> Option<Written> {
        let stat = rustix::fs::statat(&self.folder, &name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return None;
        }
        let since =
            Duration::new(u64::try_from(stat.st_mtime).ok()?, u32::try_from(stat.st_mtime_nsec).ok()?);
        Some(Written { name, at: SystemTime::UNIX_EPOCH + since, bytes: u64::try_from(stat.st_size).ok()? })
    }

    fn read(&self, written: &Written) -> io::Result<Vec<u8>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::openat(&self.folder, &written.name, flags, Mode::empty())?);
        let mut bytes = Vec::new();
        file.take(LARGEST).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_is_told_by_four_variables() {
        let text = |t: &str| Some(t.to_owned());
        let jemalloc =
            Way::by(None, None, [text("lg_prof_sample:19, prof:true,prof_prefix:/var/dumps/shop"), None]);
        assert_eq!(
            jemalloc,
            Some(Way { prefix: "/var/dumps/shop".to_owned(), numbered: true, signal: None })
        );
        let rust = Way::by(None, None, [None, text("prof:true")]).expect("a way");
        assert_eq!(rust.prefix, "jeprof");
        assert_eq!(Way::by(None, None, [text("prof:false,prof_active:true"), None]), None);
        let gperf = Way::by(text("/tmp/x"), text("12"), [None, None]).expect("a way");
        assert_eq!((gperf.signal, gperf.numbered), (Some(Signal::USR2), false));
        assert_eq!(plain(vec![b'/' | 0x80, b't']), text("/t"));
        assert_eq!(Way::by(text("/tmp/x"), text("nonsense"), [None, None]).expect("a way").signal, None);
    }
}
