//! HotSpot's own text (`jstack`, `Thread.print`, `SIGQUIT`), JDK 5 to 25, several dumps in one file.
//!
//! `"name" #J [nid] daemon prio= os_prio= cpu= elapsed= tid= nid= state [address]`, then
//! `java.lang.Thread.State: …`, then `at …` and `- locked <0x…> (a …)` lines. Threads of the JVM have no stack.

use std::io::Read;

use super::build::{Builder, Dump, FRAMES, Kind, Thread};
use super::names;
use crate::lines::Lines;
use crate::reading::clip;

/// What stands before a Java thread's state, on the line after its name.
const STATE: &str = "java.lang.Thread.State:";
/// Dumps of one file that are kept.
const DUMPS: usize = 64;
/// Locks that a thread is kept with.
const LOCKS: usize = 64;

/// What a file holds.
#[derive(Default)]
pub(super) struct Found {
    pub(super) dumps: Vec<Dump>,
    /// Why the last one is not whole.
    pub(super) truncated: Option<String>,
    /// Dumps beyond those kept.
    pub(super) more: u64,
}

#[derive(Default)]
struct Reader {
    found: Found,
    builder: Builder,
    thread: Option<Thread>,
    java: bool,
    synchronizers: bool,
    /// Whether the JVM's closing line was seen.
    closed: bool,
    /// Within the JVM's report of deadlocks: who waits.
    deadlock: Option<String>,
    in_report: bool,
    before: Option<String>,
}

/// Reads every dump in the text, line by line.
pub(super) fn read(lines: &mut Lines<impl Read>) -> Found {
    let mut r = Reader::default();
    for line in lines {
        r.line(&line);
    }
    let in_report = r.in_report;
    r.close();
    r.found.truncated = if in_report {
        Some("it ends within the JVM's report of deadlocks".to_owned())
    } else if !r.closed {
        Some("it ends without the JVM's closing line".to_owned())
    } else {
        None
    };
    r.found
}

impl Reader {
    fn line(&mut self, line: &str) {
        if line.contains("Full thread dump ") {
            self.close();
            self.closed = false;
            self.builder.dump.time = self.before.take();
            self.builder.dump.jvm = version(line);
            return;
        }
        if self.in_report {
            return self.report(line);
        }
        let trimmed = line.trim_start();
        if line.starts_with('"') {
            if let Some((name, rest)) = name(line) {
                self.next_thread(name, rest);
            }
        } else if let Some(state) = trimmed.strip_prefix(STATE) {
            if let Some(t) = &mut self.thread {
                t.state = state.split_ascii_whitespace().next().map(str::to_owned);
                self.java = true;
            }
        } else if line.starts_with("Found ") && line.contains(" deadlock") {
            self.in_report = true;
            self.closed = false;
        } else if line.starts_with("JNI global ref") || line.starts_with("Heap") {
            self.closed = true;
        } else if trimmed.starts_with("Carrying virtual thread") {
            self.builder.dump.carriers += 1;
        } else {
            self.detail(trimmed);
            if line.starts_with(|c: char| c.is_ascii_digit()) {
                self.before = Some(clip(line, 64));
            }
        }
    }

    fn detail(&mut self, trimmed: &str) {
        let Some(t) = &mut self.thread else { return };
        if let Some(frame) = trimmed.strip_prefix("at ") {
            if t.frames.len() < FRAMES {
                t.frames.push(names::frame(frame));
            }
        } else if trimmed.starts_with("Locked ownable synchronizers") {
            self.synchronizers = true;
        } else if let Some(note) = trimmed.strip_prefix("- ") {
            let Some(lock) = lock(note) else { return };
            let held = note.starts_with("locked ") || (self.synchronizers && note.starts_with('<'));
            if held && t.holds.len() < LOCKS {
                t.holds.push(lock);
            } else if note.starts_with("waiting to lock") || note.starts_with("waiting to re-lock") {
                t.needs = Some(lock);
            } else if note.starts_with("parking to wait for") {
                t.needs = Some(lock).filter(|l| is_lock(l));
            } else if note.starts_with("waiting on") {
                t.waits_on = Some(lock);
            }
        }
    }

    fn next_thread(&mut self, name: &str, rest: &str) {
        self.flush();
        let java = rest.trim_start().starts_with('#');
        let kind = if java && rest.contains(" virtual") { Kind::Virtual } else { Kind::Platform };
        self.thread = Some(Thread { name: name.to_owned(), kind, ..Thread::default() });
        self.java = java || rest.contains("daemon");
    }

    fn flush(&mut self) {
        self.synchronizers = false;
        if let Some(mut t) = self.thread.take() {
            if !self.java && t.frames.is_empty() {
                t.kind = Kind::Jvm;
            }
            self.builder.add(t);
        }
    }

    fn close(&mut self) {
        self.flush();
        self.in_report = false;
        self.deadlock = None;
        if let Some(dump) = std::mem::take(&mut self.builder).finish() {
            if self.found.dumps.len() == DUMPS {
                self.found.more += 1;
            } else {
                self.found.dumps.push(dump);
            }
        }
    }

    /// `"left":`, `waiting to lock monitor …`, `which is held by "right"`, at last `Found 1 deadlock.`
    fn report(&mut self, line: &str) {
        let trimmed = line.trim();
        if trimmed.starts_with("Found ") && trimmed.ends_with('.') {
            self.in_report = false;
            self.closed = true;
        } else if let Some(holder) = trimmed.strip_prefix("which is held by \"") {
            let holder = holder.trim_end_matches([',', '"']).to_owned();
            self.builder.reported.extend(self.deadlock.take().map(|w| (w, holder)));
        } else if let Some(waiter) = trimmed.strip_prefix('"').and_then(|w| w.strip_suffix("\":")) {
            self.deadlock = Some(waiter.to_owned());
        }
    }
}

/// The name in `"name" #12 daemon prio=5 … nid=…`, and the rest; names may hold quotation marks.
fn name(line: &str) -> Option<(&str, &str)> {
    let (name, rest) = line.strip_prefix('"')?.rsplit_once('"')?;
    (rest.contains("prio=") || rest.contains("tid=") || rest.contains("nid=")).then_some((name, rest))
}

/// Whether a thread that parks for this waits for another one to let go of it (`ReentrantLock$NonfairSync`), rather
/// than for work or a signal (`ForkJoinPool`, `CountDownLatch$Sync`, a lock's condition).
fn is_lock(parked_for: &str) -> bool {
    parked_for.contains("Lock") && !parked_for.contains("ConditionObject")
}

/// `<0x1> (a java.lang.Object)` within a note, as `0x1 (a java.lang.Object)`.
fn lock(note: &str) -> Option<String> {
    let (_, rest) = note.split_once('<')?;
    let (address, rest) = rest.split_once('>')?;
    Some(clip(&format!("{address}{rest}"), 160))
}

/// 8 of `(25.91-b14 mixed mode)`, 5 of `(1.5.0_06-b05 mixed mode)`, 21 of `(21.0.2+13-LTS mixed mode, sharing)`.
fn version(line: &str) -> Option<u32> {
    let inside = line.rsplit_once('(')?.1;
    let mut numbers = inside.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    let number = numbers.next()?.ok()?;
    // Until 8 the virtual machine had a version of its own: 25.x-b for 8.
    let own = inside.split_ascii_whitespace().next().is_some_and(|v| v.contains("-b"));
    match number {
        1 => numbers.next()?.ok(),
        25 if own => Some(8),
        number => Some(number),
    }
}
