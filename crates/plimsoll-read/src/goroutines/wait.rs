//! What a goroutine waits for: from the words of a text dump, or from the runtime's frames of a profile.

use super::frames::Frame;

/// Kinds of waiting that mean different repairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Wait {
    /// A receive from a channel.
    Receive,
    /// A send to a channel.
    Send,
    /// A receive from or a send to a channel: the artifact does not tell which.
    Channel,
    /// A send to or receive from a nil channel: it never ends.
    NilChannel,
    /// A `select` with cases.
    Select,
    /// `select {}`: it never ends.
    SelectForever,
    /// A mutex, for reading or writing.
    Mutex,
    /// A `WaitGroup`.
    WaitGroup,
    /// A condition variable.
    Condition,
    /// A semaphore of the runtime that the artifact does not tell apart.
    Semaphore,
    /// A pause by the program.
    Sleep,
    /// The network or a file, through the poller.
    Io,
    /// A system call or C code.
    Syscall,
    /// Not waiting.
    Running,
    /// The runtime's own housekeeping.
    Housekeeping,
    /// A reason that this reader does not know.
    Other,
    /// The artifact does not say it.
    Unsaid,
}

/// What is said of a wait for a channel whose direction is not told.
const CHANNEL: &str = "chan receive or send";

/// Wait reasons as Go prints them, and one that it does not print.
const WORDS: &[(&str, Wait)] = &[
    ("chan receive (nil chan)", Wait::NilChannel),
    ("chan send (nil chan)", Wait::NilChannel),
    (CHANNEL, Wait::Channel),
    ("chan receive", Wait::Receive),
    ("chan send", Wait::Send),
    ("select (no cases)", Wait::SelectForever),
    ("select", Wait::Select),
    ("sync.Mutex.Lock", Wait::Mutex),
    ("sync.RWMutex.RLock", Wait::Mutex),
    ("sync.RWMutex.Lock", Wait::Mutex),
    ("sync.WaitGroup.Wait", Wait::WaitGroup),
    ("sync.Cond.Wait", Wait::Condition),
    ("semacquire", Wait::Semaphore),
    ("sleep", Wait::Sleep),
    ("IO wait", Wait::Io),
    ("syscall", Wait::Syscall),
    ("waiting for cgo callback", Wait::Syscall),
    ("running", Wait::Running),
    ("runnable", Wait::Running),
    ("finalizer wait", Wait::Housekeeping),
    ("cleanup wait", Wait::Housekeeping),
    ("force gc (idle)", Wait::Housekeeping),
    ("idle", Wait::Housekeeping),
    ("timer goroutine (idle)", Wait::Housekeeping),
    ("dead", Wait::Housekeeping),
];

/// The runtime's functions that a profile shows as the innermost frames.
const LEAVES: &[(&str, Wait)] = &[
    ("runtime.chanrecv", Wait::Receive),
    ("runtime.chanrecv1", Wait::Receive),
    ("runtime.chanrecv2", Wait::Receive),
    ("runtime.chansend", Wait::Send),
    ("runtime.chansend1", Wait::Send),
    ("runtime.selectgo", Wait::Select),
    ("runtime.block", Wait::SelectForever),
    ("runtime.netpollblock", Wait::Io),
    ("internal/poll.runtime_pollWait", Wait::Io),
    ("runtime.timeSleep", Wait::Sleep),
    ("time.Sleep", Wait::Sleep),
    ("runtime.cgocall", Wait::Syscall),
    ("syscall.", Wait::Syscall),
    ("runtime.notetsleepg", Wait::Syscall),
    ("runtime.bgsweep", Wait::Housekeeping),
    ("runtime.bgscavenge", Wait::Housekeeping),
    ("runtime.forcegchelper", Wait::Housekeeping),
    ("runtime.gcBgMarkWorker", Wait::Housekeeping),
    ("runtime.runfinq", Wait::Housekeeping),
    ("runtime.runFinalizers", Wait::Housekeeping),
];

/// Functions that tell one user of the runtime's semaphore from another.
const SEMAPHORES: &[(&str, Wait)] = &[
    ("sync.(*WaitGroup)", Wait::WaitGroup),
    ("sync.(*Cond)", Wait::Condition),
    ("sync.runtime_notifyListWait", Wait::Condition),
    ("sync.(*Mutex)", Wait::Mutex),
    ("internal/sync.(*Mutex)", Wait::Mutex),
    ("sync.(*RWMutex)", Wait::Mutex),
    ("sync.runtime_SemacquireMutex", Wait::Mutex),
    ("sync.runtime_SemacquireRWMutex", Wait::Mutex),
    ("internal/sync.runtime_SemacquireMutex", Wait::Mutex),
];

/// Frames looked at from the innermost on.
const DEPTH: usize = 8;

fn by_frames(frames: &[Frame], table: &[(&str, Wait)]) -> Option<Wait> {
    // A whole function, or everything of a package or type.
    let is = |f: &str, p: &str| f == p || (p.ends_with(['.', ')']) && f.starts_with(p));
    let of = |f: &Frame| table.iter().find(|(p, _)| is(&f.function, p)).map(|&(_, w)| w);
    frames.iter().take(DEPTH).find_map(of)
}

impl Wait {
    /// From the words of a text dump; the frames tell semaphores apart, which older Go prints alike.
    pub(crate) fn of_words(state: &str, frames: &[Frame]) -> Wait {
        let known = WORDS.iter().find(|(w, _)| *w == state).map(|&(_, w)| w);
        match known {
            Some(Wait::Semaphore) => by_frames(frames, SEMAPHORES).unwrap_or(Wait::Semaphore),
            Some(wait) => wait,
            None if state.starts_with("GC ") => Wait::Housekeeping,
            None => Wait::Other,
        }
    }

    /// From the frames alone, as far as they say it.
    pub(super) fn of_frames(frames: &[Frame]) -> Wait {
        by_frames(frames, SEMAPHORES).or_else(|| by_frames(frames, LEAVES)).unwrap_or(Wait::Unsaid)
    }

    /// The words for a wait that was recovered from frames.
    pub(super) fn words(self) -> Option<&'static str> {
        match self {
            Wait::Mutex => Some("sync.Mutex.Lock"),
            Wait::Other | Wait::Unsaid => None,
            Wait::Housekeeping => Some("runtime"),
            wait => WORDS.iter().find(|(_, w)| *w == wait).map(|(words, _)| *words),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(functions: &[&str]) -> Vec<Frame> {
        functions.iter().map(|f| Frame { function: (*f).to_owned(), location: String::new() }).collect()
    }

    #[test]
    fn words_of_every_version() {
        let of = |s: &str, f: &[&str]| Wait::of_words(s, &frames(f));
        assert_eq!(of("chan receive (nil chan)", &[]), Wait::NilChannel);
        assert_eq!(of("select (no cases)", &[]), Wait::SelectForever);
        assert_eq!(of("GC assist wait", &[]), Wait::Housekeeping);
        assert_eq!(of("a reason of 2031", &[]), Wait::Other);
        assert_eq!(of("semacquire", &["sync.runtime_Semacquire", "sync.(*WaitGroup).Wait"]), Wait::WaitGroup);
        assert_eq!(of("semacquire", &["sync.runtime_SemacquireMutex"]), Wait::Mutex);
        assert_eq!(of("semacquire", &["main.own"]), Wait::Semaphore);
    }

    #[test]
    fn frames_say_it_where_words_are_missing() {
        let of = |f: &[&str]| Wait::of_frames(&frames(f));
        assert_eq!(of(&["runtime.gopark", "runtime.chanrecv", "runtime.chanrecv1", "main.f"]), Wait::Receive);
        assert_eq!(of(&["runtime.gopark", "runtime.selectgo", "main.f"]), Wait::Select);
        assert_eq!(of(&["sync.(*RWMutex).RLock", "main.f"]), Wait::Mutex);
        assert_eq!(of(&["main.f"]), Wait::Unsaid);
        assert_eq!(
            [of(&["runtime.block"]), of(&["runtime.blockevent"])],
            [Wait::SelectForever, Wait::Unsaid]
        );
        assert_eq!((Wait::Receive.words(), Wait::Unsaid.words()), (Some("chan receive"), None));
    }
}
