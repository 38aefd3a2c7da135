//! `jcmd PID Thread.dump_to_file`: platform and virtual threads, as text or as JSON.

use std::fmt;
use std::io::{BufReader, Read};

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::build::{Builder, FRAMES, Kind, Thread};
use super::names;
use crate::lines::Lines;
use crate::reading::clip;

/// Reads the text form: `#id "name" [virtual] STATE time` and indented frames; gives why it is not whole.
pub(super) fn text(lines: &mut Lines<impl Read>, builder: &mut Builder) -> Option<String> {
    let mut open: Option<Thread> = None;
    let mut is_last_blank = false;
    for line in lines.by_ref() {
        is_last_blank = line.is_empty();
        if let Some(thread) = head(&line) {
            if let Some(done) = open.replace(thread) {
                builder.add(done);
            }
        } else if let Some(t) = &mut open {
            let line = line.trim();
            if line.starts_with("- ") {
                note(t, line);
            } else if !line.is_empty() && t.frames.len() < FRAMES {
                t.frames.push(names::frame(line.strip_prefix("at ").unwrap_or(line)));
            }
        }
    }
    if let Some(done) = open {
        builder.add(done);
    }
    (!is_last_blank || !lines.is_whole()).then(|| "it ends within a thread".to_owned())
}

fn note(t: &mut Thread, line: &str) {
    let inside = line.split_once('<').and_then(|(_, r)| r.rsplit_once('>')).map(|(lock, _)| clip(lock, 160));
    if line.starts_with("- locked") {
        t.holds.extend(inside);
    } else if line.starts_with("- waiting to lock") {
        t.needs = inside;
    } else if line.starts_with("- waiting on") {
        t.waits_on = inside;
    }
}

/// `#12 "name" virtual WAITING 2026-…`: JDK 21 writes neither state nor time.
pub(super) fn head(line: &str) -> Option<Thread> {
    let (id, rest) = line.strip_prefix('#')?.split_once(" \"")?;
    id.parse::<u64>().ok()?;
    let (name, rest) = rest.rsplit_once('"')?;
    let mut thread = Thread { name: name.to_owned(), ..Thread::default() };
    for word in rest.split_ascii_whitespace() {
        if word == "virtual" {
            thread.kind = Kind::Virtual;
        } else if word.bytes().all(|b| b.is_ascii_uppercase() || b == b'_') {
            thread.state = Some(word.to_owned());
        }
    }
    Some(thread)
}

/// Reads the JSON form, thread by thread; gives why it is not whole.
pub(super) fn json(from: impl Read, builder: &mut Builder) -> Option<String> {
    let mut reader = serde_json::Deserializer::from_reader(BufReader::with_capacity(64 << 10, from));
    let done = Level { key: Some("threadDump"), builder }.deserialize(&mut reader);
    done.and_then(|()| reader.end()).err().map(|e| format!("its JSON is not whole: {e}"))
}

/// Descends to the array of threads: `{threadDump: {threadContainers: [{threads: […]}]}}`.
struct Level<'b> {
    /// The key to descend at; none at the array of threads itself.
    key: Option<&'static str>,
    builder: &'b mut Builder,
}

impl Level<'_> {
    fn below(&mut self) -> Level<'_> {
        let key = match self.key {
            Some("threadDump") => Some("threadContainers"),
            Some("threadContainers") => Some("threads"),
            _ => None,
        };
        Level { key, builder: self.builder }
    }
}

impl<'de> DeserializeSeed<'de> for Level<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a thread dump")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            match (self.key, key.as_str()) {
                (Some(want), key) if key == want => map.next_value_seed(self.below())?,
                (Some("threadContainers"), "runtimeVersion") => {
                    let version: String = map.next_value()?;
                    self.builder.dump.jvm =
                        version.split(['.', '+', '-']).next().and_then(|v| v.parse().ok());
                }
                (Some("threadContainers"), "time") => self.builder.dump.time = Some(map.next_value()?),
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        if self.key.is_none() {
            while let Some(thread) = seq.next_element::<Json>()? {
                self.builder.add(thread.thread());
            }
            return Ok(());
        }
        // Containers: each is a map with the same key to descend at.
        while seq.next_element_seed(Level { key: self.key, builder: &mut *self.builder })?.is_some() {}
        Ok(())
    }
}

/// One thread; what it waits for is told in different shapes by different versions.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Json {
    #[serde(default)]
    name: String,
    #[serde(default)]
    r#virtual: bool,
    #[serde(default)]
    state: Option<String>,
    #[serde(default)]
    stack: Vec<String>,
    #[serde(default)]
    blocked_on: Option<String>,
    #[serde(default)]
    waiting_on: Option<String>,
    #[serde(default)]
    monitors_owned: Vec<Owned>,
}

#[derive(Deserialize)]
struct Owned {
    #[serde(default)]
    locks: Vec<Option<String>>,
}

impl Json {
    fn thread(self) -> Thread {
        let frames: Vec<String> = self.stack.iter().take(FRAMES).map(|f| names::frame(f)).collect();
        // JDK 21 does not mark them, but each runs in this class.
        let marked = self.stack.last().is_some_and(|f| f.contains("java.lang.VirtualThread.run"));
        Thread {
            name: self.name,
            kind: if self.r#virtual || marked { Kind::Virtual } else { Kind::Platform },
            state: self.state.map(|s| clip(&s, 32)),
            frames,
            holds: self.monitors_owned.into_iter().flat_map(|m| m.locks).flatten().collect(),
            needs: self.blocked_on.map(|l| clip(&l, 160)),
            waits_on: self.waiting_on.map(|l| clip(&l, 160)),
        }
    }
}
