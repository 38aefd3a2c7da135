//! A census of a CPython's objects, by a script that it runs itself (PEP 768, from 3.14 on): the path of the script and the wish
//! to run it are put down in its memory, as `sys.remote_exec` of an interpreter of the same release would.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use plimsoll_read::cpython::{self, Door, STOP};
use plimsoll_read::go_runtime::Bytes;
use rustix::fs::OFlags;

use super::its_tmp::{Inside, give};
use super::{CaptureError, Folder, Order};
use crate::step::{go_memory, inside};

/// What it runs; its result and its time are put before it.
const SCRIPT: &str = include_str!("census.py");
/// Seconds that the script may look at objects.
const LOOKS: u32 = 5;
/// How long the main thread may take to come by, and then all of them: one that waits for a request runs no code.
const MAIN: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a script that has begun may take more than it looks.
const BEGUN: Duration = Duration::from_secs(30);
/// Between two looks at whether it has ended.
const GLANCE: Duration = Duration::from_millis(10);
/// Lines of a memory map that are looked at for the interpreter.
const MOST_LINES: usize = 65_536;

pub(super) fn take(order: &Order<'_>, folder: &mut Folder) -> Result<(), CaptureError> {
    once(order, folder, "census-1.txt")?;
    super::second(order, || once(order, folder, "census-2.txt"))
}

fn once(order: &Order<'_>, folder: &mut Folder, name: &str) -> Result<(), CaptureError> {
    let process = order.world.proc_root.join(order.target.pid.to_string());
    let interpreter = Interpreter::of(&process)?;
    let out = Inside::new(order, "census")?;
    let script = Inside::new(order, "py")?;
    put(&process, &script, &format!("out, seconds = {:?}, {LOOKS}\n{SCRIPT}", out.inside))?;
    let began = Instant::now();
    let asked = interpreter.have_run(order, &script.inside, &out);
    // A half result is told by its other name, and is no census.
    out.forget_partial();
    asked?;
    let text = out.read()?;
    let said = String::from_utf8_lossy(&text);
    if !said.lines().last().is_some_and(|l| l.starts_with("Total")) {
        let why = said.lines().next().unwrap_or("nothing").trim_start_matches("# ").to_owned();
        return Err(CaptureError::NoDoor(format!("the interpreter said: {why}")));
    }
    folder.keep(name, began, &text)
}

/// Writes the script for the target's user, and nobody else.
fn put(process: &Path, script: &Inside, text: &str) -> Result<(), CaptureError> {
    let failed = |e| CaptureError::file(&script.path, e);
    let flags = OFlags::NOFOLLOW.bits().cast_signed();
    let file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).custom_flags(flags).open(&script.path);
    let mut file = file.map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    give(process, &script.path).map_err(failed)
}

/// An interpreter that takes scripts.
struct Interpreter {
    memory: File,
    doors: Vec<Door>,
}

impl Interpreter {
    fn of(process: &Path) -> Result<Interpreter, CaptureError> {
        let (file, start) = find(process)?;
        let path = process.join("mem");
        let memory = OpenOptions::new().read(true).write(true).open(&path);
        let memory = memory.map_err(|e| CaptureError::file(&path, e))?;
        let read = memory.try_clone().map_err(|e| CaptureError::file(&path, e))?;
        let doors = cpython::doors(&file, &go_memory::shared(read), start);
        let doors = doors.map_err(|why| CaptureError::NoDoor(format!("CPython takes no script: {why}")))?;
        Ok(Interpreter { memory, doors })
    }

    /// Waits until the script has written its result: the main thread is asked, and the others when that does not come by.
    fn have_run(&self, order: &Order<'_>, script: &str, out: &Inside) -> Result<(), CaptureError> {
        let Some((main, others)) = self.doors.split_first() else {
            return Err(CaptureError::NoDoor("it has no thread".to_owned()));
        };
        let mut asked = Asked { memory: &self.memory, doors: Vec::new() };
        asked.ask(main, script)?;
        if !asked.comes(order, out, MAIN)? {
            for door in others {
                // One that has ended meanwhile cannot be asked.
                let _gone = asked.ask(door, script);
            }
            if !asked.comes(order, out, PATIENCE)? {
                return Err(CaptureError::NoDoor(format!(
                    "no thread ran Python code within {} s: all of them wait, or are in code of C",
                    (MAIN + PATIENCE).as_secs()
                )));
            }
        }
        Ok(())
    }
}

/// Threads that were asked; what is not answered is taken back in the end.
struct Asked<'a> {
    memory: &'a File,
    doors: Vec<Door>,
}

impl Asked<'_> {
    fn ask(&mut self, door: &Door, script: &str) -> Result<(), CaptureError> {
        let failed = |e: io::Error| CaptureError::NoDoor(format!("its memory cannot be written to: {e}"));
        let path = [script.as_bytes(), b"\0"].concat();
        if path.len() as u64 > door.path_size {
            return Err(CaptureError::NoDoor("the path of the script is too long for it".to_owned()));
        }
        if self.word::<4>(door.pending).map_err(failed)? != [0; 4] {
            return Err(CaptureError::NoDoor("another tool has it run a script just now".to_owned()));
        }
        self.memory.write_all_at(&path, door.path).map_err(failed)?;
        self.memory.write_all_at(&1_u32.to_le_bytes(), door.pending).map_err(failed)?;
        self.doors.push(*door);
        let breaker = u64::from_le_bytes(self.word(door.eval_breaker).map_err(failed)?) | STOP;
        self.memory.write_all_at(&breaker.to_le_bytes(), door.eval_breaker).map_err(failed)
    }

    fn word<const N: usize>(&self, at: u64) -> io::Result<[u8; N]> {
        let mut word = [0; N];
        self.memory.read_exact_at(&mut word, at)?;
        Ok(word)
    }

    /// Whether the result comes; once a thread has begun it is waited for longer.
    fn comes(&self, order: &Order<'_>, out: &Inside, patience: Duration) -> Result<bool, CaptureError> {
        let began = Instant::now();
        loop {
            if out.is_there() {
                return Ok(true);
            }
            if order.stop.load(Ordering::Relaxed) {
                return Err(CaptureError::Stopped);
            }
            if !crate::identify::is_same(order.world, order.target) {
                return Err(CaptureError::Gone(order.target.pid));
            }
            let patience = if out.is_begun() { patience + BEGUN } else { patience };
            if began.elapsed() > patience {
                return Ok(false);
            }
            thread::sleep(GLANCE);
        }
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        for door in &self.doors {
            // A thread that has answered has taken it back itself; one that has ended has no memory any more.
            let _answered_or_gone = self.memory.write_all_at(&[0; 4], door.pending);
        }
    }
}

/// The file of the interpreter, and where its first byte is mapped: the program itself, or a library.
fn find(process: &Path) -> Result<(Bytes, u64), CaptureError> {
    let path = process.join("maps");
    let maps = File::open(&path).map_err(|e| CaptureError::file(&path, e))?;
    let lines = BufReader::new(maps).lines().take(MOST_LINES).map_while(Result::ok);
    let program = std::fs::read_link(process.join("exe")).unwrap_or_default();
    for line in lines {
        let Some((start, name)) = first_of_a_file(&line) else { continue };
        let is_program = Path::new(name) == program;
        if !is_program && !name.contains("/libpython3") {
            continue;
        }
        let opened = if is_program {
            File::open(process.join("exe"))
        } else {
            inside::open(process, name, OFlags::empty())
        };
        if let Ok(file) = opened.map(go_memory::shared)
            && cpython::is_interpreter(&file)
        {
            return Ok((file, start));
        }
    }
    Err(CaptureError::NoDoor(
        "neither the program nor a library of it is a CPython of 3.14 or later".to_owned(),
    ))
}

/// `00400000-0041a000 r--p 00000000 08:01 42   /usr/bin/python3.14`: where the first byte of a file is mapped.
fn first_of_a_file(line: &str) -> Option<(u64, &str)> {
    let mut words = line.split_ascii_whitespace();
    let start = u64::from_str_radix(words.next()?.split_once('-')?.0, 16).ok()?;
    let offset = words.nth(1)?;
    let at = line.find('/')?;
    (u64::from_str_radix(offset, 16) == Ok(0)).then_some(())?;
    Some((start, line.get(at..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_mapping_of_a_file_tells_where_it_is() {
        let first = "7f00-7f10 r--p 00000000 08:01 42    /usr/lib/libpython3.14.so.1.0";
        assert_eq!(first_of_a_file(first), Some((0x7f00, "/usr/lib/libpython3.14.so.1.0")));
        assert_eq!(first_of_a_file("7f10-7f20 r-xp 00001000 08:01 42 /usr/lib/x"), None);
        assert_eq!(first_of_a_file("7f10-7f20 rw-p 00000000 00:00 0 "), None);
        assert_eq!(first_of_a_file(""), None);
    }
}
