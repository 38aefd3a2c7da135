//! Client of HotSpot's attach protocol (version 1), across namespaces: commands of `jcmd` without a JDK.
//!
//! The listener is woken by SIGQUIT, which ends any process that does not handle it. So three things must
//! hold first: the process maps `libjvm.so`, it has a handler for the signal, and it is not stopped.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{Gid, OFlags, Uid};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use rustix::process::{Pid, PidfdFlags, Signal};

use crate::identify;
use crate::source::hsperf::inner_pid;
use crate::step::signals;
use crate::world::World;

/// Why a JVM could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// The process is none.
    #[error("pid {0} maps no libjvm.so: it is no JVM and the signal would kill it")]
    NotJvm(i32),
    /// The signal would kill it.
    #[error("the JVM {0} does not handle SIGQUIT: it has -Xrs, or it has just started (then ask again)")]
    NoHandler(i32),
    /// It is stopped.
    #[error("pid {0} is stopped or gone: it would not answer")]
    Stopped(i32),
    /// We may not attach.
    #[error("no permission to attach to pid {pid}, which runs as user {uid}: run as that user or as root")]
    Permission {
        /// The process.
        pid: i32,
        /// Its effective user.
        uid: u32,
    },
    /// A file of the process could not be read or written.
    #[error("failed to use {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The signal could not be sent.
    #[error("failed to signal pid {pid}")]
    Signal {
        /// The process.
        pid: i32,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The listener never came up.
    #[error(
        "the JVM {pid} opened no attach listener within {} s: attaching is off (-XX:+DisableAttachMechanism), it cannot write its /tmp, or it is stuck before a safepoint",
        waited.as_secs()
    )]
    NoListener {
        /// The process.
        pid: i32,
        /// How long we waited.
        waited: Duration,
    },
    /// It did not answer in time.
    #[error("the JVM {pid} did not answer {command:?} within {} s", waited.as_secs())]
    Silent {
        /// The process.
        pid: i32,
        /// The command.
        command: String,
        /// How long we waited.
        waited: Duration,
    },
    /// The answer is longer than is read.
    #[error("the answer to {command:?} is longer than {LARGEST} bytes")]
    TooLong {
        /// The command.
        command: String,
    },
    /// It refused.
    #[error("the JVM refused {command:?}: {message}")]
    Refused {
        /// The command.
        command: String,
        /// What it said, first line.
        message: String,
    },
}

impl AttachError {
    /// True when asking again soon may help; false when each attempt would only disturb the process.
    pub fn may_pass(&self) -> bool {
        matches!(
            self,
            AttachError::NoHandler(_)
                | AttachError::Stopped(_)
                | AttachError::Silent { .. }
                | AttachError::Refused { .. }
                | AttachError::TooLong { .. }
        )
    }
}

/// An answer is read up to this size, bytes.
const LARGEST: usize = 16 << 20;
/// How long the listener may take to come up: 20 ms on an idle machine, some hundred under load.
const LISTENER: Duration = Duration::from_secs(5);

/// Has the JVM `pid` run a command of `jcmd`, such as `GC.class_histogram -all`; returns its text.
pub fn jcmd(world: &World, pid: i32, command: &str, patience: Duration) -> Result<String, AttachError> {
    let jvm = Jvm::find(world, pid)?;
    let stream = jvm.connect()?;
    jvm.ask(stream, ["jcmd", command, "", ""], patience)
}

/// Whether somebody attached to the JVM `pid` before: then asking needs no signal.
pub fn is_warm(world: &World, pid: i32) -> bool {
    Jvm::find(world, pid).and_then(|jvm| jvm.try_connect()).is_ok_and(|stream| stream.is_some())
}

/// Sets a manageable flag of the JVM `pid`, such as `HeapDumpOnOutOfMemoryError` to `true`.
pub fn set_flag(
    world: &World,
    pid: i32,
    (name, value): (&str, &str),
    patience: Duration,
) -> Result<(), AttachError> {
    let jvm = Jvm::find(world, pid)?;
    let stream = jvm.connect()?;
    // JDK 8 takes a number only, and the later ones that, too.
    let value = match value {
        "true" => "1",
        "false" => "0",
        other => other,
    };
    jvm.ask(stream, ["setflag", name, value, ""], patience).map(|_| ())
}

/// The value of a flag as the JVM `pid` has it now; none when it has no such flag.
pub fn flag(world: &World, pid: i32, name: &str, patience: Duration) -> Result<Option<String>, AttachError> {
    let jvm = Jvm::find(world, pid)?;
    let stream = jvm.connect()?;
    let said = jvm.ask(stream, ["printflag", name, "", ""], patience)?;
    Ok(printed(&said, name))
}

/// `-XX:+Name`, `-XX:-Name` or `-XX:Name=value`.
fn printed(said: &str, name: &str) -> Option<String> {
    let flag = said.split_ascii_whitespace().find_map(|w| w.strip_prefix("-XX:"))?;
    match flag.strip_prefix(['+', '-']) {
        Some(rest) if rest == name => Some(flag.starts_with('+').to_string()),
        _ => flag.strip_prefix(name)?.strip_prefix('=').map(|v| v.trim_matches('"').to_owned()),
    }
}

/// A JVM that may be attached to.
struct Jvm {
    pid: i32,
    uid: u32,
    gid: u32,
    /// A handle that a later process of the same pid does not inherit; none on kernels before 5.3.
    handle: Option<rustix::fd::OwnedFd>,
    folder: PathBuf,
    inner: i32,
}

impl Jvm {
    fn find(world: &World, pid: i32) -> Result<Jvm, AttachError> {
        let folder = world.proc_root.join(pid.to_string());
        // First the handle, then the checks: what is checked is then what is signalled.
        let handle =
            Pid::from_raw(pid).and_then(|p| rustix::process::pidfd_open(p, PidfdFlags::empty()).ok());
        let maps = read(&folder.join("maps"), pid)?;
        if !maps.lines().any(|l| l.trim_end_matches(" (deleted)").ends_with("/libjvm.so")) {
            return Err(AttachError::NotJvm(pid));
        }
        let status = read(&folder.join("status"), pid)?;
        let effective = |key: &str| {
            let line = status.lines().find_map(|l| l.strip_prefix(key))?;
            line.split_ascii_whitespace().nth(1)?.parse::<u32>().ok()
        };
        let (Some(uid), Some(gid)) = (effective("Uid:"), effective("Gid:")) else {
            return Err(AttachError::Stopped(pid));
        };
        let own = rustix::process::geteuid();
        if !own.is_root() && own.as_raw() != uid {
            return Err(AttachError::Permission { pid, uid });
        }
        let jvm = Jvm { pid, uid, gid, handle, inner: inner_pid(world, pid), folder };
        jvm.runs(world)?;
        Ok(jvm)
    }

    /// A stopped process would keep us waiting, and take the signal when nobody waits any more.
    fn runs(&self, world: &World) -> Result<(), AttachError> {
        match identify::life(world, self.pid) {
            Ok(Some(l)) if !matches!(l.state, 'T' | 't' | 'Z' | 'X') => Ok(()),
            _ => Err(AttachError::Stopped(self.pid)),
        }
    }

    fn socket(&self) -> PathBuf {
        self.folder.join(format!("root/tmp/.java_pid{}", self.inner))
    }

    /// Connects to the listener, waking it when there is none.
    fn connect(&self) -> Result<UnixStream, AttachError> {
        if let Some(stream) = self.try_connect()? {
            return Ok(stream);
        }
        let status = read(&self.folder.join("status"), self.pid)?;
        if !signals::catches(&status, Signal::QUIT) {
            return Err(AttachError::NoHandler(self.pid));
        }
        let _wish = Wish::make(self)?;
        self.signal()?;
        let began = Instant::now();
        let mut pause = Duration::from_millis(5);
        while began.elapsed() < LISTENER {
            if let Some(stream) = self.try_connect()? {
                return Ok(stream);
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(100));
        }
        Err(AttachError::NoListener { pid: self.pid, waited: LISTENER })
    }

    /// One attempt that does not wait; `None` while nobody listens.
    fn try_connect(&self) -> Result<Option<UnixStream>, AttachError> {
        let path = self.socket();
        let failed = |source: io::Error| AttachError::File { path: path.clone(), source };
        let owner = match fs::symlink_metadata(&path) {
            Ok(m) if m.file_type().is_socket() && (m.uid() == self.uid || m.uid() == 0) => m.uid(),
            Ok(_) => return Err(failed(io::Error::other("not a socket of the JVM's user"))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(failed(e)),
        };
        let address = SocketAddrUnix::new(&path).map_err(|e| failed(e.into()))?;
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
            .map_err(|e| failed(e.into()))?;
        match rustix::net::connect(&socket, &address) {
            Ok(()) => {}
            // Left by a JVM that is gone, or removed meanwhile.
            Err(Errno::CONNREFUSED | Errno::NOENT) => return Ok(None),
            Err(Errno::ACCESS) if owner != self.uid => {
                let why = "it is root's, and the JVM is not: left by an earlier process of this number, it keeps the JVM from making its own; remove it";
                return Err(failed(io::Error::other(why)));
            }
            Err(e) => return Err(failed(e.into())),
        }
        let stream = UnixStream::from(socket);
        stream.set_nonblocking(false).map_err(failed)?;
        Ok(Some(stream))
    }

    fn signal(&self) -> Result<(), AttachError> {
        let sent = match (&self.handle, Pid::from_raw(self.pid)) {
            (Some(handle), _) => rustix::process::pidfd_send_signal(handle, Signal::QUIT),
            (None, Some(pid)) => rustix::process::kill_process(pid, Signal::QUIT),
            (None, None) => Err(Errno::SRCH),
        };
        sent.map_err(|e| AttachError::Signal { pid: self.pid, source: e.into() })
    }

    /// Asks for an operation with its three arguments.
    fn ask(
        &self,
        mut stream: UnixStream,
        [operation, arguments @ ..]: [&str; 4],
        patience: Duration,
    ) -> Result<String, AttachError> {
        let command = arguments.join(" ");
        let command = command.trim_end();
        let failed = |source: io::Error| AttachError::File { path: self.socket(), source };
        let silent = || AttachError::Silent { pid: self.pid, command: command.to_owned(), waited: patience };
        let until = Instant::now() + patience;
        stream.set_write_timeout(Some(patience)).map_err(failed)?;
        // Version, operation and always three arguments, each ended by a zero byte.
        let [first, second, third] = arguments.map(|a| a.replace('\0', " "));
        let request = format!("1\0{operation}\0{first}\0{second}\0{third}\0");
        stream.write_all(request.as_bytes()).map_err(failed)?;
        let mut answer = Vec::new();
        let mut chunk = vec![0; 64 * 1024];
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(silent());
            }
            stream.set_read_timeout(Some(left)).map_err(failed)?;
            match stream.read(&mut chunk) {
                Ok(0) => return verdict(&answer, command),
                Ok(n) => answer.extend_from_slice(&chunk[..n]),
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    return Err(silent());
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(failed(e)),
            }
            if answer.len() > LARGEST {
                return Err(AttachError::TooLong { command: command.to_owned() });
            }
        }
    }
}

/// The answer: a line with the code, 0 for success, then the text.
fn verdict(answer: &[u8], command: &str) -> Result<String, AttachError> {
    let text = String::from_utf8_lossy(answer);
    let (code, rest) = text.split_once('\n').unwrap_or((&text, ""));
    if code.trim() == "0" {
        return Ok(rest.to_owned());
    }
    let said = rest.lines().find(|l| !l.trim().is_empty()).unwrap_or(code).trim();
    let message = if said.is_empty() { "it closed the connection".to_owned() } else { said.to_owned() };
    Err(AttachError::Refused { command: command.to_owned(), message })
}

fn read(path: &Path, pid: i32) -> Result<String, AttachError> {
    fs::read_to_string(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => AttachError::Stopped(pid),
        _ => AttachError::File { path: path.to_owned(), source },
    })
}

/// The file by which the JVM knows that the signal is a wish to attach and not one for a thread dump.
/// Dropping it removes the file.
struct Wish {
    path: Option<PathBuf>,
}

impl Wish {
    fn make(jvm: &Jvm) -> Result<Wish, AttachError> {
        let name = format!(".attach_pid{}", jvm.inner);
        let first = jvm.folder.join("root/tmp").join(&name);
        match Wish::make_at(&first, jvm) {
            Ok(wish) => Ok(wish),
            // A read-only root: the JVM also looks into its working directory.
            Err(_) => {
                let second = jvm.folder.join("cwd").join(&name);
                Wish::make_at(&second, jvm).map_err(|source| AttachError::File { path: first, source })
            }
        }
    }

    fn make_at(path: &Path, jvm: &Jvm) -> io::Result<Wish> {
        let flags = OFlags::NOFOLLOW.bits().cast_signed();
        let made =
            fs::OpenOptions::new().write(true).create_new(true).mode(0o600).custom_flags(flags).open(path);
        let file = match made {
            Ok(file) => file,
            // Another tool attaches right now: its wish is ours, and it removes it.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && of_user(path, jvm.uid) => {
                return Ok(Wish { path: None });
            }
            Err(e) => return Err(e),
        };
        let wish = Wish { path: Some(path.to_owned()) };
        // The JVM heeds only a file of its own user.
        if !of_user(path, jvm.uid) {
            rustix::fs::fchown(&file, Some(Uid::from_raw(jvm.uid)), Some(Gid::from_raw(jvm.gid)))?;
        }
        Ok(wish)
    }
}

fn of_user(path: &Path, uid: u32) -> bool {
    fs::symlink_metadata(path).is_ok_and(|m| m.is_file() && m.uid() == uid)
}

impl Drop for Wish {
    fn drop(&mut self) {
        if let Some(path) = self.path.take() {
            // The JVM removes it itself in some versions.
            let _gone = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_process_that_is_no_jvm_is_never_signalled() {
        let mut child = Command::new("sleep").arg("60").spawn().expect("sleep exists");
        let pid = child.id().cast_signed();
        let e = jcmd(&World::default(), pid, "VM.version", Duration::from_secs(1)).expect_err("no JVM");
        assert!(matches!(e, AttachError::NotJvm(p) if p == pid), "{e}");
        child.kill().expect("it runs");
        assert_eq!(child.wait().expect("reaped").signal(), Some(9), "our own kill, not SIGQUIT");
    }

    #[test]
    fn answers_and_refusals() {
        assert_eq!(verdict(b"0\nok\nmore\n", "x").expect("success"), "ok\nmore\n");
        let refused = |bytes: &[u8]| verdict(bytes, "x").expect_err("refused").to_string();
        assert!(refused(b"1\nUnknown diagnostic command\n").contains("Unknown diagnostic command"));
        assert!(refused(b"").contains("closed the connection"));
        assert!(refused(b"101").contains("101"));
    }

    #[test]
    fn an_absent_process_is_told() {
        let e = jcmd(&World::default(), i32::MAX - 1, "VM.version", Duration::from_secs(1));
        assert!(matches!(e, Err(AttachError::Stopped(_))), "{e:?}");
    }

    #[test]
    fn an_answer_that_never_comes_is_given_up() {
        let (ours, _theirs) = UnixStream::pair().expect("a pair");
        let jvm = Jvm { pid: 7, uid: 0, gid: 0, handle: None, folder: PathBuf::from("/nowhere"), inner: 7 };
        let e = jvm.ask(ours, ["jcmd", "VM.version", "", ""], Duration::from_millis(50)).expect_err("silent");
        assert!(matches!(e, AttachError::Silent { .. }) && e.may_pass(), "{e}");
    }
}
