//! `profile.proto`: what Go, Node, Pyroscope, Parca and most others write, packed with gzip or plain.

use std::collections::HashMap;
use std::io::Read;

use super::model::{Profile, TYPES, ValueType};
use super::wire::{Fields, Value};

/// Bytes that a packed profile may unpack to.
const UNPACKED: u64 = 512 << 20;
/// Kinds of the message's fields.
const SAMPLE_TYPE: u64 = 1;
const SAMPLE: u64 = 2;
const LOCATION: u64 = 4;
const FUNCTION: u64 = 5;
const TEXT: u64 = 6;
const TIME: u64 = 9;
const PERIOD: u64 = 12;
/// What stands for a name that the cut took.
const LOST: &str = "(name cut off)";
/// Text labels that a sample keeps.
const LABELS: usize = 16;

/// Unpacks gzip up to a limit; gives what it could, and why that is not all.
pub(super) fn unpack(bytes: &[u8]) -> (Vec<u8>, Option<String>) {
    let mut out = Vec::new();
    let mut reader = flate2::read::MultiGzDecoder::new(bytes).take(UNPACKED + 1);
    let failed = reader.read_to_end(&mut out).err();
    let why = match failed {
        Some(e) => Some(format!("its gzip is cut or damaged: {e}")),
        None if out.len() as u64 > UNPACKED => Some("it unpacks to more than 512 MiB".to_owned()),
        None => None,
    };
    (out, why)
}

/// Reads the message; none when it has not the shape of a profile.
pub(super) fn read(bytes: &[u8]) -> Option<Profile> {
    let (mut reader, sound) = Reader::tables(bytes)?;
    for (field, value) in Fields::of(bytes) {
        if field == SAMPLE && reader.profile.has_room() {
            reader.sample(value);
        }
    }
    let mut profile = reader.profile;
    if !sound {
        profile.truncated.get_or_insert_with(|| "its message is cut or damaged".to_owned());
    }
    if reader.lost > 0 {
        profile.warnings.say("names, lines or locations that samples refer to are missing");
    }
    profile.format = "profile, protocol buffers".to_owned();
    (!profile.types.is_empty()).then_some(profile)
}

struct Reader<'a> {
    texts: Vec<&'a [u8]>,
    functions: HashMap<u64, (u64, u64)>,
    locations: HashMap<u64, u32>,
    frames: HashMap<(u64, u64), u32>,
    profile: Profile,
    lost: u64,
}

impl<'a> Reader<'a> {
    /// Everything but the samples: their names come last in the file.
    fn tables(bytes: &'a [u8]) -> Option<(Self, bool)> {
        let mut r = Reader {
            texts: Vec::new(),
            functions: HashMap::new(),
            locations: HashMap::new(),
            frames: HashMap::new(),
            profile: Profile::default(),
            lost: 0,
        };
        let mut fields = Fields::of(bytes);
        let (mut types, mut locations) = (Vec::new(), Vec::new());
        for (field, value) in &mut fields {
            match (field, value) {
                (SAMPLE_TYPE, Value::Bytes(_)) if types.len() < TYPES => types.push(value),
                (LOCATION, Value::Bytes(_)) => locations.push(value),
                (FUNCTION, Value::Bytes(_)) => r.function(value),
                (TEXT, Value::Bytes(text)) => r.texts.push(text),
                (TIME, Value::Number(n)) => r.profile.time_nanos = n.cast_signed(),
                (PERIOD, Value::Number(n)) => r.profile.period = n,
                (SAMPLE_TYPE..=15, _) => {}
                // Fields that the format does not have: this is something else.
                _ => return None,
            }
        }
        for t in types {
            let (name, unit) = two(t.fields(), 1, 2);
            let [name, unit] = [name, unit].map(|i| r.text(i));
            r.profile.types.push(ValueType { name, unit });
        }
        for l in locations {
            if r.profile.has_room() {
                r.location(l);
            }
        }
        Some((r, fields.sound))
    }

    fn text(&mut self, index: u64) -> String {
        let text = usize::try_from(index).ok().and_then(|i| self.texts.get(i));
        self.lost += u64::from(text.is_none());
        text.map_or_else(|| LOST.to_owned(), |t| String::from_utf8_lossy(t).into_owned())
    }

    fn function(&mut self, value: Value<'a>) {
        let (mut id, mut name, mut file) = (0, 0, 0);
        for (field, value) in value.fields() {
            match field {
                1 => id = value.number(),
                2 => name = value.number(),
                4 => file = value.number(),
                _ => {}
            }
        }
        self.functions.insert(id, (name, file));
    }

    fn location(&mut self, value: Value<'a>) {
        let (mut id, mut address, mut lines) = (0, 0, Vec::new());
        for (field, value) in value.fields() {
            match field {
                1 => id = value.number(),
                3 => address = value.number(),
                4 => lines.push(two(value.fields(), 1, 2)),
                _ => {}
            }
        }
        let frames = if lines.is_empty() {
            vec![self.profile.add_frame(&format!("0x{address:x}"), "", 0)]
        } else {
            lines.into_iter().map(|line| self.frame(line)).collect()
        };
        let number = self.profile.add_location(frames);
        self.locations.insert(id, number);
    }

    fn frame(&mut self, (function, line): (u64, u64)) -> u32 {
        if let Some(&known) = self.frames.get(&(function, line)) {
            return known;
        }
        let number = match self.functions.get(&function).copied() {
            Some((name, file)) => {
                let (name, file) = (self.text(name), self.text(file));
                let file = if file == LOST { String::new() } else { file };
                self.profile.add_frame(&name, &file, line)
            }
            None => {
                self.lost += 1;
                self.profile.add_frame(LOST, "", line)
            }
        };
        self.frames.insert((function, line), number);
        number
    }

    fn sample(&mut self, value: Value<'a>) {
        let (mut stack, mut values, mut size, mut labels) = (Vec::new(), Vec::new(), 0, Vec::new());
        let mut lost = 0;
        for (field, value) in value.fields() {
            match field {
                1 => value.numbers(|id| match self.locations.get(&id) {
                    Some(&l) => stack.push(l),
                    None => lost += 1,
                }),
                2 => value.numbers(|n| values.push(n.cast_signed())),
                3 => self.label(value, &mut size, &mut labels),
                _ => {}
            }
        }
        self.lost += lost;
        if !labels.is_empty() {
            self.profile.used += labels.iter().map(|l| l.len() + 48).sum::<usize>();
            self.profile.labels.insert(self.profile.len(), labels);
        }
        self.profile.add_sample(stack.into_iter(), &values, size);
    }

    fn label(&mut self, value: Value<'a>, size: &mut u64, labels: &mut Vec<String>) {
        let (mut key, mut text, mut number) = (0, 0, 0);
        for (field, value) in value.fields() {
            match field {
                1 => key = value.number(),
                2 => text = value.number(),
                3 => number = value.number(),
                _ => {}
            }
        }
        if text > 0 {
            if labels.len() < LABELS {
                let (key, text) = (self.text(key), self.text(text));
                labels.push(crate::reading::clip(&format!("{key}: {text}"), 256));
            }
        } else if self.texts.get(usize::try_from(key).unwrap_or(usize::MAX)) == Some(&&b"bytes"[..]) {
            *size = number;
        }
    }
}

/// Two numbers of a message.
fn two(fields: Fields<'_>, first: u64, second: u64) -> (u64, u64) {
    let mut out = (0, 0);
    for (field, value) in fields {
        if field == first {
            out.0 = value.number();
        } else if field == second {
            out.1 = value.number();
        }
    }
    out
}
