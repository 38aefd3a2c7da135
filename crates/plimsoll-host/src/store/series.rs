//! Every sample of every watched process, appended to files of a few megabytes; each begins with a time and goes when it
//! is old.
//!
//! Who samples only encodes: a thread of its own writes and has the disk keep it, and a disk that does not keep up costs
//! samples, never time.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use plimsoll_core::death::Workload;
use plimsoll_core::fact::{Fact, Reading};
use plimsoll_core::recording::{Observation, Recording};
use plimsoll_core::target::Target;
use plimsoll_read::series_file::{self, Look, Report, Sink, Writer};
use serde_json::{Value, json};

/// Name of the folder in the store, and the end of a file's name.
const FOLDER: &str = "series";
const ENDING: &str = "series";
/// Bytes and seconds after which another file is begun.
const FILE_BYTES: u64 = 4 << 20;
const FILE_SECONDS: f64 = 3600.0;
/// Longest time after which the disk is told to keep what was written.
const SYNC_AFTER: Duration = Duration::from_secs(5);
/// Rows that may wait for a disk.
const WAITING: usize = 256;
/// Largest file that is read.
const LARGEST: u64 = 64 << 20;

/// Who a subject of a file is.
#[derive(Debug, Clone)]
pub(crate) enum Subject {
    /// A process, and the group whose limit binds it.
    Process(Box<Target>, String),
    /// A control group.
    Group(String),
    /// The machine.
    Machine,
}

/// The class of each kind of subject: what is sampled at the same instants.
pub(crate) const PROCESSES: u8 = 0;
pub(crate) const GROUPS: u8 = 1;

impl Subject {
    pub(crate) fn text(&self) -> String {
        match self {
            Subject::Process(target, group) => json!({"process": target, "group": group}).to_string(),
            Subject::Group(path) => json!({"group": path}).to_string(),
            Subject::Machine => "{}".to_owned(),
        }
    }

    fn parse(text: &str) -> Option<Subject> {
        let mut value: Value = serde_json::from_str(text).ok()?;
        let group = value.get("group").and_then(Value::as_str).map(str::to_owned);
        match (value.get_mut("process").map(Value::take), group) {
            (Some(target), group) => {
                Some(Subject::Process(serde_json::from_value(target).ok()?, group.unwrap_or_default()))
            }
            (None, Some(group)) => Some(Subject::Group(group)),
            (None, None) => Some(Subject::Machine),
        }
    }
}

/// What the thread that writes has to say.
#[derive(Debug, Default)]
struct Told {
    /// Bytes were lost: the next row begins a file of its own.
    broken: AtomicBool,
    bytes: AtomicU64,
    why: Mutex<Option<String>>,
}

enum Order {
    Begin(PathBuf),
    Append(Vec<u8>),
}

/// The series of a store, open to be written.
pub(crate) struct Series {
    folder: PathBuf,
    writer: Writer,
    orders: Option<SyncSender<Order>>,
    thread: Option<JoinHandle<()>>,
    told: Arc<Told>,
    began: f64,
    bytes: u64,
}

impl Series {
    /// Opens the series of a store; nothing is written until the first row.
    pub(crate) fn open(store: &Path) -> io::Result<Series> {
        let folder = store.join(FOLDER);
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        let (orders, waiting) = sync_channel(WAITING);
        let told: Arc<Told> = Arc::default();
        let heard = Arc::clone(&told);
        let thread = std::thread::Builder::new()
            .name("series".to_owned())
            .spawn(move || write_all(&waiting, &heard))?;
        let (orders, thread) = (Some(orders), Some(thread));
        Ok(Series {
            folder,
            writer: Writer::default(),
            orders,
            thread,
            told,
            began: f64::NEG_INFINITY,
            bytes: 0,
        })
    }

    /// Appends one instant.
    pub(crate) fn row(&mut self, t: f64, classes: u8, looks: &[Look<'_>]) {
        let broken = self.told.broken.swap(false, Ordering::Relaxed);
        let mut out = Vec::new();
        if broken || self.bytes >= FILE_BYTES || !(0.0..FILE_SECONDS).contains(&(t - self.began)) {
            self.writer.restart();
            (self.began, self.bytes) = (t, 0);
            self.send(Order::Begin(self.folder.join(format!("{:013}.{ENDING}", (t * 1e3).max(0.0) as u64))));
        }
        self.writer.row(t, classes, looks, &mut out);
        self.bytes += out.len() as u64;
        self.send(Order::Append(out));
    }

    fn send(&self, order: Order) {
        let sent = self.orders.as_ref().map(|orders| orders.try_send(order));
        if let Some(Err(TrySendError::Full(_))) = sent {
            self.told.fail("the disk does not keep up: samples are left out".to_owned());
        }
    }

    /// What went wrong since the last call.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.told.why.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Bytes written since the start.
    pub(crate) fn written(&self) -> u64 {
        self.told.bytes.load(Ordering::Relaxed)
    }

    /// Removes files that are older than `age` (seconds), and the oldest while all are larger than `most` bytes; never
    /// the one that is written. Gives how many.
    pub(crate) fn prune(&self, most: f64, age: f64, now: f64) -> usize {
        let files = files(&self.folder);
        let size = |f: &SeriesFile| fs::metadata(&f.path).map_or(0.0, |m| m.len() as f64);
        let mut total: f64 = files.iter().map(size).sum();
        let mut gone = 0;
        for (file, next) in files.iter().zip(files.iter().skip(1)) {
            // Its newest sample is older than the next file's first one.
            if total <= most && now - next.began <= age {
                break;
            }
            let bytes = size(file);
            // What cannot be removed is tried again the next time.
            if fs::remove_file(&file.path).is_ok() {
                total -= bytes;
                gone += 1;
            }
        }
        gone
    }
}

impl Drop for Series {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // It has told what it could not write.
            let _ended = thread.join();
        }
    }
}

impl Told {
    fn fail(&self, why: String) {
        self.broken.store(true, Ordering::Relaxed);
        *self.why.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
    }
}

/// The thread that writes.
fn write_all(orders: &Receiver<Order>, told: &Told) {
    let mut file: Option<(File, PathBuf)> = None;
    let mut unkept: Option<Instant> = None;
    loop {
        let order = orders.recv_timeout(SYNC_AFTER);
        let ended = matches!(order, Err(RecvTimeoutError::Disconnected));
        if ended || unkept.is_some_and(|since| since.elapsed() >= SYNC_AFTER) {
            if let Some((file, path)) = &file
                && let Err(e) = file.sync_data()
            {
                told.fail(format!("the disk does not keep {}: {e}", path.display()));
            }
            unkept = None;
        }
        match order {
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {}
            Ok(Order::Begin(path)) => {
                if let Some((file, _)) = file.take() {
                    // A failure costs the last seconds of it, as a crash would.
                    let _kept = file.sync_data();
                }
                match OpenOptions::new().append(true).create(true).mode(0o600).open(&path) {
                    Ok(opened) => file = Some((opened, path)),
                    Err(e) => told.fail(format!("no series can be kept in {}: {e}", path.display())),
                }
            }
            Ok(Order::Append(bytes)) => {
                let Some((to, path)) = &mut file else { continue };
                if let Err(e) = to.write_all(&bytes) {
                    told.fail(format!("samples are lost: {}: {e}", path.display()));
                    // What is behind a part of a row could not be read.
                    file = None;
                    continue;
                }
                told.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                unkept.get_or_insert_with(Instant::now);
            }
        }
    }
}

struct SeriesFile {
    path: PathBuf,
    /// Time of its first row, Unix seconds.
    began: f64,
}

/// Files of series, oldest first.
fn files(folder: &Path) -> Vec<SeriesFile> {
    let file = |entry: fs::DirEntry| {
        let path = entry.path();
        let millis: u64 = path.file_stem()?.to_str()?.parse().ok()?;
        let fits = path.extension()? == ENDING && entry.file_type().ok()?.is_file();
        fits.then_some(SeriesFile { path, began: millis as f64 / 1e3 })
    };
    let mut all: Vec<SeriesFile> =
        fs::read_dir(folder).into_iter().flatten().flatten().filter_map(file).collect();
    all.sort_by(|a, b| a.began.total_cmp(&b.began));
    all
}

/// What was wrong with the files, in words.
fn warnings(path: &Path, report: &Report, out: &mut Vec<String>) {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    for lost in &report.lost {
        out.push(format!("{name}: {} bytes at {} are left out: {}", lost.bytes, lost.offset, lost.why));
    }
}

/// Listens to whole rows.
pub(crate) trait Rows {
    /// One instant: its time, the classes sampled, and for each subject what is known.
    fn row(&mut self, t: f64, classes: u8, seen: &[(Arc<Subject>, BTreeMap<Fact, f64>)]);
    /// Why a fact of a subject is not known.
    fn unknown(&mut self, _subject: &Arc<Subject>, _fact: Fact, _why: &str) {}
}

/// Makes rows of samples.
struct Gather<'r> {
    rows: &'r mut dyn Rows,
    from: f64,
    subjects: BTreeMap<u64, Arc<Subject>>,
    now: Option<(f64, u8)>,
    seen: Vec<(u64, BTreeMap<Fact, f64>)>,
}

impl Gather<'_> {
    fn flush(&mut self) {
        let Some((t, classes)) = self.now.take() else { return };
        let subject = |(number, facts)| Some((Arc::clone(self.subjects.get(&number)?), facts));
        let seen: Vec<_> = self.seen.drain(..).filter_map(subject).collect();
        if t >= self.from {
            self.rows.row(t, classes, &seen);
        }
    }
}

impl Sink for Gather<'_> {
    fn block(&mut self) {
        self.flush();
        self.subjects.clear();
    }

    fn subject(&mut self, number: u64, text: &str) {
        self.flush();
        if let Some(subject) = Subject::parse(text) {
            self.subjects.insert(number, Arc::new(subject));
        }
    }

    fn unknown(&mut self, number: u64, fact: Fact, why: &str) {
        self.flush();
        if let Some(subject) = self.subjects.get(&number) {
            self.rows.unknown(subject, fact, why);
        }
    }

    fn gone(&mut self, number: u64) {
        self.flush();
        self.subjects.remove(&number);
    }

    fn instant(&mut self, t: f64, classes: u8) {
        self.flush();
        self.now = Some((t, classes));
    }

    fn sample(&mut self, number: u64, _t: f64, fact: Fact, v: f64) {
        match self.seen.last_mut() {
            Some((last, facts)) if *last == number => {
                facts.insert(fact, v);
            }
            _ => self.seen.push((number, BTreeMap::from([(fact, v)]))),
        }
    }
}

/// Reads every row of a store from `from` (Unix seconds) on. Gives what was wrong, and sums over the files.
///
/// # Errors
/// When there is no folder of series.
pub(crate) fn read(store: &Path, from: f64, rows: &mut dyn Rows) -> io::Result<(Vec<String>, Kept)> {
    let folder = store.join(FOLDER);
    fs::read_dir(&folder)?;
    let all = files(&folder);
    // The last one that began before may hold what is asked for.
    let first = all.partition_point(|f| f.began <= from).saturating_sub(1);
    let (mut wrong, mut kept) = (Vec::new(), Kept::default());
    for file in all.get(first..).unwrap_or_default() {
        let bytes = match read_file(&file.path) {
            Ok(bytes) => bytes,
            Err(e) => {
                wrong.push(format!("{}: {e}", file.path.display()));
                continue;
            }
        };
        let mut gather = Gather { rows, from, subjects: BTreeMap::new(), now: None, seen: Vec::new() };
        let report = series_file::read(&bytes, &mut gather);
        gather.flush();
        warnings(&file.path, &report, &mut wrong);
        kept.files += 1;
        kept.bytes += bytes.len() as u64;
        kept.samples += report.samples;
        kept.rows += report.rows;
    }
    Ok((wrong, kept))
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(File::open(path)?, LARGEST), &mut bytes)?;
    Ok(bytes)
}

/// Sums over files of series.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kept {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Samples in them.
    pub samples: u64,
    /// Instants.
    pub rows: u64,
}

/// One life of a process whose series are kept.
#[derive(Debug, Clone)]
pub struct KeptLife {
    /// Who it was.
    pub target: Target,
    /// The workload that it ran in.
    pub workload: String,
    /// Its first and its last instant, Unix seconds.
    pub from: f64,
    /// The same of the last.
    pub to: f64,
    /// Instants.
    pub rows: u64,
}

/// Counts without keeping samples.
#[derive(Default)]
struct Count {
    lives: Vec<KeptLife>,
    places: BTreeMap<usize, (Arc<Subject>, usize)>,
}

impl Count {
    fn place(&mut self, subject: &Arc<Subject>, target: &Target, group: &str, t: f64) -> usize {
        let address = Arc::as_ptr(subject).addr();
        if let Some((_, at)) = self.places.get(&address) {
            return *at;
        }
        let known = self.lives.iter().rposition(|l| is_same_life(&l.target, target));
        let at = known.unwrap_or_else(|| {
            let (target, workload) = (target.clone(), Workload::of(group).words());
            self.lives.push(KeptLife { target, workload, from: t, to: t, rows: 0 });
            self.lives.len() - 1
        });
        // The subject is held, so that no other comes to lie where it lies.
        self.places.insert(address, (Arc::clone(subject), at));
        at
    }
}

impl Rows for Count {
    fn row(&mut self, t: f64, _classes: u8, seen: &[(Arc<Subject>, BTreeMap<Fact, f64>)]) {
        for (subject, _) in seen {
            let Subject::Process(target, group) = &**subject else { continue };
            let at = self.place(subject, target, group, t);
            if let Some(life) = self.lives.get_mut(at) {
                life.to = life.to.max(t);
                life.rows += 1;
            }
        }
    }
}

fn is_same_life(a: &Target, b: &Target) -> bool {
    a.pid == b.pid && (a.started - b.started).abs() < 2.0
}

/// Every life in a store from `from` (Unix seconds) on, by their begin; what was wrong with the files; sums over them.
///
/// # Errors
/// When the store has no series.
pub fn lives(store: &Path, from: f64) -> io::Result<(Vec<KeptLife>, Vec<String>, Kept)> {
    let mut count = Count::default();
    let (warnings, kept) = read(store, from, &mut count)?;
    count.lives.sort_by(|a, b| a.from.total_cmp(&b.from));
    Ok((count.lives, warnings, kept))
}

/// One process whose series are kept, with its lives before.
#[derive(Debug)]
pub struct KeptTarget {
    /// Who it is, as it was seen last.
    pub target: Target,
    /// The workload that it ran in.
    pub workload: String,
    /// The process of each life, oldest first.
    pub pids: Vec<i32>,
    /// Everything that is kept of it.
    pub recording: Recording,
}

/// Makes recordings of the processes that are asked for.
struct Collect<'w> {
    wanted: &'w dyn Fn(&Target) -> bool,
    lives: Vec<Life>,
    missing: Vec<(Arc<Subject>, Fact, String)>,
}

struct Life {
    target: Target,
    group: String,
    seen: Vec<Observation>,
}

impl Collect<'_> {
    fn life(&mut self, target: &Target, group: &str) -> &mut Life {
        let at = match self.lives.iter().rposition(|l| is_same_life(&l.target, target)) {
            Some(at) => at,
            None => {
                self.lives.push(Life { target: target.clone(), group: group.to_owned(), seen: Vec::new() });
                self.lives.len() - 1
            }
        };
        &mut self.lives[at]
    }
}

impl Rows for Collect<'_> {
    fn row(&mut self, t: f64, _classes: u8, seen: &[(Arc<Subject>, BTreeMap<Fact, f64>)]) {
        for (subject, facts) in seen {
            let Subject::Process(target, group) = &**subject else { continue };
            if !(self.wanted)(target) {
                continue;
            }
            let mut o = Observation { facts: facts.clone(), ..Observation::at(t) };
            for (other, facts) in seen {
                let own = match &**other {
                    Subject::Machine => true,
                    Subject::Group(path) => path == group,
                    Subject::Process(..) => false,
                };
                if own {
                    o.facts.extend(facts);
                }
            }
            let life = self.life(target, group);
            life.target.clone_from(target);
            if life.seen.last().is_some_and(|last| last.t >= t) {
                continue;
            }
            // The machine's memory is told once, as it is while it is watched.
            if !life.seen.is_empty() {
                o.facts.remove(&Fact::HostTotal);
            }
            life.seen.push(o);
        }
    }

    fn unknown(&mut self, subject: &Arc<Subject>, fact: Fact, why: &str) {
        self.missing.push((Arc::clone(subject), fact, why.to_owned()));
    }
}

/// The recordings of every process that is asked for, the lives of one name in one workload together; what was wrong with
/// the files; and sums over them.
///
/// # Errors
/// When the store has no series.
pub fn recordings(
    store: &Path,
    from: f64,
    wanted: &dyn Fn(&Target) -> bool,
) -> io::Result<(Vec<KeptTarget>, Vec<String>, Kept)> {
    let mut collect = Collect { wanted, lives: Vec::new(), missing: Vec::new() };
    let (warnings, kept) = read(store, from, &mut collect)?;
    let Collect { mut lives, missing, .. } = collect;
    lives.sort_by(|a, b| a.target.started.total_cmp(&b.target.started));
    let mut chains: Vec<Vec<Life>> = Vec::new();
    for life in lives {
        let workload = Workload::of(&life.group);
        let before = chains.iter_mut().find(|chain| {
            chain.last().is_some_and(|last| {
                let ended = last.seen.last().map_or(last.target.started, |o| o.t);
                last.target.name == life.target.name
                    && (last.group == life.group || Workload::of(&last.group).is_same(&workload))
                    // Two at a time are replicas, not lives.
                    && ended <= life.target.started + 2.0
            })
        });
        match before {
            Some(chain) => chain.push(life),
            None => chains.push(vec![life]),
        }
    }
    let targets = chains.into_iter().filter_map(|chain| whole(chain, &missing, &warnings)).collect();
    Ok((targets, warnings, kept))
}

/// One recording of lives in a row.
fn whole(
    chain: Vec<Life>,
    missing: &[(Arc<Subject>, Fact, String)],
    warnings: &[String],
) -> Option<KeptTarget> {
    let newest = chain.last()?;
    let (target, group) = (newest.target.clone(), newest.group.clone());
    let mut recording = Recording::new(target.clone());
    let pids: Vec<i32> = chain.iter().map(|life| life.target.pid).collect();
    let only = pids.len() == 1;
    for life in chain {
        let started = life.target.started;
        for (i, mut o) in life.seen.into_iter().enumerate() {
            if i == 0 && !only {
                o.start = Some(started);
            }
            recording.add(o);
        }
    }
    let mut last = Observation::at(recording.now().unwrap_or(0.0));
    for (subject, fact, why) in missing {
        let own = match &**subject {
            Subject::Process(t, _) => t.pid == target.pid && t.started == target.started,
            Subject::Group(path) => *path == group,
            Subject::Machine => true,
        };
        if own {
            last.put(*fact, Reading::Unknown(why.clone()));
        }
    }
    recording.add(last);
    recording.warnings.extend_from_slice(warnings);
    let workload = Workload::of(&group).words();
    Some(KeptTarget { target, workload, pids, recording })
}
