//! Switching a flag, and taking that back however we end.
//!
//! Before the first switch a journal says how the flag is switched and what it was, and a guard waits: when this process is gone, the
//! guard runs this program again to take it back. If the guard was killed too, the next start finds the journal. What holds the
//! journal's lock is still running.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::command::{Command, How};
use crate::guard::Guards;
use crate::step::http::patient_agent;

/// How long one switch may take.
const LONGEST: Duration = Duration::from_secs(60);
/// How long the journal of a process that is ending is waited for.
const ENDING: Duration = Duration::from_secs(10);
/// What stands for the state in a command, an address or a body.
const STATE: &str = "{state}";

/// How a flag is switched.
#[derive(Debug, Clone, PartialEq)]
pub enum Way {
    /// A line of the shell, with `{state}` in it.
    Command(String),
    /// A file of flagd: the flag's default variant.
    Flagd(PathBuf, String),
    /// A call: method, address and body, with `{state}` in one of them.
    Http(String, String, String),
}

/// The flag, and the words for its two states.
#[derive(Debug, Clone, PartialEq)]
pub struct Flag {
    /// How it is switched.
    pub way: Way,
    /// What stands for on, and for off.
    pub words: [String; 2],
    /// What it is now, and will be again.
    pub was_on: bool,
}

/// Why it could not be switched.
#[derive(Debug, thiserror::Error)]
pub enum SwitchError {
    /// A file.
    #[error("failed to use {path}", path = .0.display())]
    File(PathBuf, #[source] io::Error),
    /// A file that is none of flagd's, has no such flag or variant, or in which something else decides.
    #[error("{path}: {1}", path = .0.display())]
    Flagd(PathBuf, String),
    /// The command.
    #[error("{0:?} ended with {1}")]
    Command(String, String),
    /// The call.
    #[error("{0} answers {1}")]
    Http(String, String),
    /// No guard, no switch.
    #[error("no guard could be started that would switch it back")]
    Guard(#[source] io::Error),
    /// Another search is at it.
    #[error("{path} is of a search that is still running", path = .0.display())]
    Busy(PathBuf),
    /// A journal that nobody of us wrote.
    #[error("{path} is no journal of a switched flag", path = .0.display())]
    Journal(PathBuf),
}

impl Flag {
    /// Whether it is on now, where that can be read: in a file of flagd.
    ///
    /// # Errors
    /// When the file cannot be read, or its default variant does not decide what the flag gives.
    pub fn stands(&self) -> Result<Option<bool>, SwitchError> {
        let Way::Flagd(path, name) = &self.way else { return Ok(None) };
        let before = fs::read_to_string(path).map_err(|e| SwitchError::File(path.clone(), e))?;
        let wrong = |why: String| SwitchError::Flagd(path.clone(), why);
        let of = in_flagd(self, &before)?["flags"][name.as_str()].take();
        if of["state"].as_str().is_some_and(|state| !state.eq_ignore_ascii_case("enabled")) {
            return Err(wrong(format!("{name} is disabled: its default variant is not looked at")));
        }
        if of["targeting"].as_object().is_some_and(|rules| !rules.is_empty()) {
            let why = format!("{name} has rules (targeting), which decide before its default variant does");
            return Err(wrong(why));
        }
        let variant = of["defaultVariant"].as_str().unwrap_or_default();
        match self.words.iter().position(|word| word == variant) {
            Some(at) => Ok(Some(at == 0)),
            None if variant.is_empty() => {
                Err(wrong(format!("{name} has no default variant, so nothing that could be put back")))
            }
            None => Err(wrong(format!("{name} stands at {variant:?}, which is neither of the two states"))),
        }
    }
}

/// A flag that is being switched; taken back when it is dropped.
#[derive(Debug)]
pub struct Switched {
    flag: Flag,
    journal: PathBuf,
    _held: File,
    guards: Guards,
    is_back: bool,
}

impl Switched {
    /// Writes the journal in `folder` and starts the guard, which runs `program`; nothing is switched yet.
    ///
    /// # Errors
    /// [`SwitchError`]: then nothing was done.
    pub fn begin(flag: Flag, folder: &Path, program: &Path) -> Result<Switched, SwitchError> {
        let journal = folder.join(format!("flag-{}.json", std::process::id()));
        let failed = |e: io::Error| SwitchError::File(journal.clone(), e);
        // Refused before anything is promised.
        if let Some(other) = running(folder, &flag.way) {
            return Err(SwitchError::Busy(other));
        }
        if let (Some(on), Way::Flagd(path, name)) = (flag.stands()?, &flag.way)
            && on != flag.was_on
        {
            return Err(SwitchError::Flagd(path.clone(), format!("{name} was switched meanwhile")));
        }
        fs::create_dir_all(folder).map_err(failed)?;
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&journal)
            .map_err(failed)?;
        file.try_lock().map_err(|_| SwitchError::Busy(journal.clone()))?;
        let written = file.write_all(document(&flag).to_string().as_bytes()).and_then(|()| file.sync_all());
        written.map_err(failed)?;
        let undo = "exec \"$1\" bisect flag --revert \"$2\"";
        let guards = Guards::for_us(undo, &[program.as_os_str(), journal.as_os_str()]).map_err(|e| {
            let _gone = fs::remove_file(&journal);
            SwitchError::Guard(e)
        })?;
        Ok(Switched { flag, journal, _held: file, guards, is_back: false })
    }

    /// What it was, and will be again.
    pub fn was_on(&self) -> bool {
        self.flag.was_on
    }

    /// Switches it.
    ///
    /// # Errors
    /// When that fails; it is still taken back.
    pub fn set(&self, on: bool) -> Result<(), SwitchError> {
        // Somebody may have changed meanwhile what decides.
        self.flag.stands()?;
        switch(&self.flag, on)
    }

    /// Takes it back, and forgets it.
    ///
    /// # Errors
    /// When that fails: the journal stays, and the next start tries again.
    pub fn back(mut self) -> Result<(), SwitchError> {
        self.is_back = true;
        switch(&self.flag, self.flag.was_on)?;
        let _gone = fs::remove_file(&self.journal);
        self.guards.dismiss();
        Ok(())
    }
}

impl Drop for Switched {
    fn drop(&mut self) {
        if !self.is_back && switch(&self.flag, self.flag.was_on).is_ok() {
            let _gone = fs::remove_file(&self.journal);
            self.guards.dismiss();
        }
    }
}

/// Journals of searches that were ended before they could take their flag back.
pub fn leftovers(folder: &Path) -> Vec<PathBuf> {
    let is_free = |path: &PathBuf| File::open(path).is_ok_and(|f| f.try_lock().is_ok());
    journals(folder).into_iter().filter(is_free).collect()
}

fn journals(folder: &Path) -> Vec<PathBuf> {
    let of = |e: fs::DirEntry| {
        let name = e.file_name();
        let is_journal = name.to_str().is_some_and(|n| n.starts_with("flag-") && n.ends_with(".json"));
        is_journal.then(|| e.path())
    };
    fs::read_dir(folder).map(|all| all.flatten().filter_map(of).collect()).unwrap_or_default()
}

/// The journal of a search that still switches the same: what it finds now is not what it should leave.
fn running(folder: &Path, way: &Way) -> Option<PathBuf> {
    let is_held = |path: &PathBuf| {
        File::open(path).is_ok_and(|f| matches!(f.try_lock(), Err(TryLockError::WouldBlock)))
    };
    journals(folder).into_iter().filter(is_held).find(|path| {
        let text = fs::read_to_string(path).unwrap_or_default();
        let value: Option<Value> = serde_json::from_str(&text).ok();
        value.as_ref().and_then(read).is_some_and(|flag| flag.way == *way)
    })
}

/// Takes back what a journal says, and removes it.
///
/// # Errors
/// When it is none, its search still runs, or the switch fails.
pub fn revert(journal: &Path) -> Result<bool, SwitchError> {
    let failed = |e: io::Error| SwitchError::File(journal.to_owned(), e);
    let file = File::open(journal).map_err(failed)?;
    let end = Instant::now() + ENDING;
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) if Instant::now() < end => {
                // Who held it is ending.
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(_) => return Err(SwitchError::Busy(journal.to_owned())),
        }
    }
    let text = fs::read_to_string(journal).map_err(failed)?;
    let value: Option<Value> = serde_json::from_str(&text).ok();
    let flag = value.as_ref().and_then(read).ok_or_else(|| SwitchError::Journal(journal.to_owned()))?;
    switch(&flag, flag.was_on)?;
    fs::remove_file(journal).map_err(failed)?;
    Ok(flag.was_on)
}

fn document(flag: &Flag) -> Value {
    let way = match &flag.way {
        Way::Command(line) => json!({"command": line}),
        Way::Flagd(path, name) => json!({"flagd": path, "flag": name}),
        Way::Http(method, url, body) => json!({"method": method, "url": url, "body": body}),
    };
    let folder = std::env::current_dir().unwrap_or_default();
    json!({"way": way, "words": flag.words, "wasOn": flag.was_on, "folder": folder})
}

fn read(v: &Value) -> Option<Flag> {
    let text = |v: &Value| v.as_str().map(str::to_owned);
    let way = &v["way"];
    let way = if way["command"].is_string() {
        // The guard stands elsewhere.
        let folder = text(&v["folder"])?.replace('\'', "'\\''");
        Way::Command(format!("cd '{folder}' && {}", text(&way["command"])?))
    } else if way["flagd"].is_string() {
        Way::Flagd(text(&way["flagd"])?.into(), text(&way["flag"])?)
    } else {
        Way::Http(text(&way["method"])?, text(&way["url"])?, text(&way["body"])?)
    };
    let words = [text(&v["words"][0])?, text(&v["words"][1])?];
    Some(Flag { way, words, was_on: v["wasOn"].as_bool()? })
}

fn switch(flag: &Flag, on: bool) -> Result<(), SwitchError> {
    let word = &flag.words[usize::from(!on)];
    match &flag.way {
        Way::Command(line) => run(&line.replace(STATE, word)),
        Way::Flagd(path, _) => {
            let failed = |e: io::Error| SwitchError::File(path.clone(), e);
            let before = fs::read_to_string(path).map_err(failed)?;
            let after = flagd(flag, &before, on)?;
            // Whole or not at all, and in the place that a link leads to.
            let place = fs::canonicalize(path).map_err(failed)?;
            let folder = place.parent().unwrap_or(Path::new("/"));
            let mut aside = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
            aside.write_all(after.as_bytes()).and_then(|()| aside.as_file().sync_all()).map_err(failed)?;
            let rights = fs::metadata(&place).map_err(failed)?.permissions();
            aside.as_file().set_permissions(rights).map_err(failed)?;
            aside.persist(&place).map_err(|e| failed(e.error))?;
            Ok(())
        }
        Way::Http(method, url, body) => call(method, &url.replace(STATE, word), &body.replace(STATE, word)),
    }
}

fn run(line: &str) -> Result<(), SwitchError> {
    let shell = ["/bin/sh".to_owned(), "-c".to_owned(), line.to_owned()];
    let folder = std::env::current_dir().unwrap_or_else(|_| "/".into());
    // Once begun it is not ended by the user's wish: half a switch is none.
    let never = AtomicBool::new(false);
    let command = Command { line: &shell, folder: &folder, variables: &[], longest: LONGEST, stop: &never };
    let failed = |why: String| SwitchError::Command(line.to_owned(), why);
    let ended = command.run().map_err(|e| failed(e.to_string()))?;
    match ended.how {
        How::Code(0) => Ok(()),
        How::Code(code) => Err(failed(format!("{code}: {}", ended.errors.trim()))),
        how => Err(failed(format!("{how:?}"))),
    }
}

/// The document of a file of flagd in which the flag has both variants: that is enough to put it back.
fn in_flagd(flag: &Flag, text: &str) -> Result<Value, SwitchError> {
    let Way::Flagd(path, name) = &flag.way else { return Ok(Value::Null) };
    let wrong = |why: String| Err(SwitchError::Flagd(path.clone(), why));
    let document: Value = match serde_json::from_str(text) {
        Ok(document) => document,
        Err(e) => return wrong(format!("it is no JSON: {e}")),
    };
    let of = &document["flags"][name.as_str()];
    if !of.is_object() {
        return wrong(format!("there is no flag {name:?}"));
    }
    if let Some(word) = flag.words.iter().find(|word| of["variants"].get(word).is_none()) {
        return wrong(format!("{name} has no variant {word:?}"));
    }
    Ok(document)
}

/// The file with the flag's default variant as it should be: only those letters are changed where they can be found.
fn flagd(flag: &Flag, before: &str, on: bool) -> Result<String, SwitchError> {
    let Way::Flagd(_, name) = &flag.way else { return Ok(before.to_owned()) };
    let mut document = in_flagd(flag, before)?;
    let of = &mut document["flags"][name.as_str()];
    let now = of["defaultVariant"].as_str().map(str::to_owned);
    let word = &flag.words[usize::from(!on)];
    of["defaultVariant"] = json!(word);
    if now.as_ref() == Some(word) {
        return Ok(before.to_owned());
    }
    Ok(edited(before, name, word)
        .filter(|text| serde_json::from_str(text).ok().as_ref() == Some(&document))
        .unwrap_or_else(|| {
            serde_json::to_string_pretty(&document).map_or_else(|_| document.to_string(), |t| t + "\n")
        }))
}

/// The text with the value behind the flag's `"defaultVariant"` replaced; whether that is the right place is for who asks to check.
fn edited(before: &str, name: &str, word: &str) -> Option<String> {
    let flag = before.find(&format!("\"{name}\""))?;
    let key = "\"defaultVariant\"";
    let at = flag + before[flag..].find(key)? + key.len();
    let open = at + before[at..].find('"')? + 1;
    let close = open + before[open..].find('"')?;
    Some(format!("{}{word}{}", &before[..open], &before[close..]))
}

fn call(method: &str, url: &str, body: &str) -> Result<(), SwitchError> {
    let agent = patient_agent(LONGEST);
    let failed = |why: String| SwitchError::Http(url.to_owned(), why);
    let content = ("content-type", "application/json");
    let sent = match method {
        "GET" => agent.get(url).call(),
        "POST" => agent.post(url).header(content.0, content.1).send(body),
        "PUT" => agent.put(url).header(content.0, content.1).send(body),
        "PATCH" => agent.patch(url).header(content.0, content.1).send(body),
        other => return Err(failed(format!("nothing: {other:?} is no method that is known"))),
    };
    let status = sent.map_err(|e| failed(format!("nothing: {e}")))?.status();
    if status.is_success() { Ok(()) } else { Err(failed(status.to_string())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "{\n  \"flags\": {\n    \"other\": {\"state\": \"ENABLED\", \"variants\": {\"on\": true, \"off\": false}, \"defaultVariant\": \"on\"},\n    \"cache\": {\"variants\": {\"on\": 1, \"off\": 0},\n      \"defaultVariant\":   \"off\"}\n  }\n}\n";

    fn flag(path: &Path) -> Flag {
        let words = ["on".to_owned(), "off".to_owned()];
        Flag { way: Way::Flagd(path.to_owned(), "cache".to_owned()), words, was_on: false }
    }

    #[test]
    fn a_file_of_flagd_changes_in_one_word_and_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("flags.json");
        fs::write(&path, FILE).expect("written");
        switch(&flag(&path), true).expect("switched");
        let on = fs::read_to_string(&path).expect("read");
        assert_eq!(on, FILE.replace("\"off\"}\n  }", "\"on\"}\n  }"));
        switch(&flag(&path), false).expect("switched");
        assert_eq!(fs::read_to_string(&path).expect("read"), FILE);
        for (text, why) in [
            ("what", "it is no JSON"),
            ("{}", "there is no flag"),
            ("{\"flags\":{\"cache\":{\"variants\":{\"on\":1}}}}", "has no variant \"off\""),
        ] {
            fs::write(&path, text).expect("written");
            let said = switch(&flag(&path), true).expect_err("refused").to_string();
            assert!(said.contains(why), "{said}");
            assert_eq!(fs::read_to_string(&path).expect("read"), text);
        }
    }

    #[test]
    fn what_a_flag_is_now_is_read_and_nothing_begins_that_could_not_be_put_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("flags.json");
        let stands = |default: &str| {
            fs::write(&path, FILE.replace("\"defaultVariant\":   \"off\"", default)).expect("written");
            flag(&path).stands().map_err(|e| e.to_string())
        };
        assert_eq!(stands("\"defaultVariant\": \"on\""), Ok(Some(true)));
        assert_eq!(stands("\"defaultVariant\": \"off\""), Ok(Some(false)));
        for (default, why) in [
            ("\"defaultVariant\": null", "has no default variant"),
            ("\"metadata\": {}", "has no default variant"),
            ("\"defaultVariant\": \"half\"", "stands at \"half\""),
            ("\"defaultVariant\": \"off\", \"state\": \"DISABLED\"", "is disabled"),
            ("\"defaultVariant\": \"off\", \"targeting\": {\"if\": [true, \"on\"]}", "has rules"),
        ] {
            let said = stands(default).expect_err("not told");
            assert!(said.contains(why), "{said}");
            let begun = Switched::begin(flag(&path), folder.path(), Path::new("/bin/false"));
            assert!(begun.is_err(), "{default}");
        }
        let line = Flag { way: Way::Command("true {state}".to_owned()), ..flag(&path) };
        assert!(matches!(line.stands(), Ok(None)));
    }

    #[test]
    fn a_flag_that_was_given_rules_meanwhile_is_still_put_back_and_one_that_is_switched_is_no_other_searchs()
    {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("flags.json");
        fs::write(&path, FILE).expect("written");
        let begin = || Switched::begin(flag(&path), folder.path(), Path::new("/bin/false"));
        let switched = begin().expect("begun");
        switched.set(true).expect("switched");
        assert!(matches!(begin(), Err(SwitchError::Busy(_))));
        let ruled = fs::read_to_string(&path).expect("read").replace(
            "{\"on\": 1, \"off\": 0}",
            "{\"on\": 1, \"off\": 0}, \"targeting\": {\"if\": [true, \"on\"]}",
        );
        fs::write(&path, &ruled).expect("written");
        assert!(switched.set(true).is_err(), "what is measured would not be the flag");
        switched.back().expect("put back");
        let after = fs::read_to_string(&path).expect("read");
        assert_eq!(after, ruled.replace("\"defaultVariant\":   \"on\"", "\"defaultVariant\":   \"off\""));
        // Another way in: it stands elsewhere than was thought.
        fs::write(&path, FILE.replace("\"defaultVariant\":   \"off\"", "\"defaultVariant\": \"on\""))
            .expect("written");
        assert!(begin().expect_err("refused").to_string().contains("meanwhile"));
    }

    #[test]
    fn what_was_left_switched_is_found_and_taken_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let state = folder.path().join("it's on");
        let line = format!("echo {{state}} > \"{}\"", state.display());
        let words = ["on".to_owned(), "off".to_owned()];
        let flag = Flag { way: Way::Command(line), words, was_on: false };
        let switched = Switched::begin(flag, folder.path(), Path::new("/bin/false")).expect("begun");
        switched.set(true).expect("switched");
        assert_eq!(fs::read_to_string(&state).expect("read"), "on\n");
        // Who still runs is left alone.
        assert!(leftovers(folder.path()).is_empty());
        let journal = switched.journal.clone();
        let saved = fs::read(&journal).expect("read");
        drop(switched);
        assert_eq!(fs::read_to_string(&state).expect("read"), "off\n");
        fs::write(&journal, saved).expect("written");
        fs::write(&state, "on\n").expect("written");
        assert_eq!(leftovers(folder.path()), std::slice::from_ref(&journal));
        assert!(!revert(&journal).expect("reverted"));
        assert_eq!(fs::read_to_string(&state).expect("read"), "off\n");
        assert!(!journal.exists());
        fs::write(&journal, "{}").expect("written");
        assert!(matches!(revert(&journal), Err(SwitchError::Journal(_))));
    }
}
