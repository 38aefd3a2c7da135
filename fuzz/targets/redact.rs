//! A heap dump, redacted: any bytes behind a sound header, and any bytes at all. The copy has the same length, says the
//! same of its records when they are sound, is the same again under the same key and in pieces, and no secret that was
//! put into an array is in it.
#![no_main]

use std::io::Read;

use libfuzzer_sys::fuzz_target;
use plimsoll_read::hprof::model::Limits;
use plimsoll_read::hprof::open::open_with;
use plimsoll_read::hprof::records::Summary;
use plimsoll_read::hprof::visitor::{PrimitiveArray, Type, Visitor};
use plimsoll_read::redact::policy::{Policy, Texts};
use plimsoll_read::redact::redact;
use plimsoll_read::redact::report::RedactReport;
use plimsoll_read::secrets::dump::secrets_in_dump;

const KEY: [u8; 32] = [7; 32];
const SECRET: &[u8] = b"hunter2NotReal";

/// Hands out little at once, as a pipe does.
struct Slow<'a>(&'a [u8]);

impl Read for Slow<'_> {
    fn read(&mut self, room: &mut [u8]) -> std::io::Result<usize> {
        let most = room.len().min(97);
        self.0.read(&mut room[..most])
    }
}

/// Arrays of text hold the secret's letters in the original; none of them may in the copy.
#[derive(Default)]
struct Arrays {
    with_secret: u32,
}

impl Visitor for Arrays {
    fn values(&mut self, array: &PrimitiveArray, _: u64, bytes: &[u8]) {
        if array.ty == Type::Byte {
            self.with_secret += u32::from(bytes.windows(SECRET.len()).any(|w| w == SECRET));
        }
    }
}

fn scan(bytes: &[u8]) -> (Summary, Arrays) {
    let mut arrays = Arrays::default();
    let summary = open_with(bytes, 4096).expect("the header is sound").scan(&mut arrays);
    (summary, arrays)
}

fn redacted(bytes: impl Read + Send, policy: &Policy) -> Option<(Vec<u8>, RedactReport)> {
    let mut out = Vec::new();
    let report = redact(bytes, &mut out, policy, &KEY).ok()?;
    assert_eq!(out.len() as u64, report.summary.bytes, "the copy has another length");
    Some((out, report))
}

fuzz_target!(|data: &[u8]| {
    let policy = Policy { held: 4096, memory: 1 << 16, ..Policy::default() };
    let _any = redacted(data, &policy);
    let Some((kind, records)) = data.split_first() else { return };
    let version =
        if kind & 2 == 0 { &b"JAVA PROFILE 1.0.2\0\0\0\0"[..] } else { b"JAVA PROFILE 1.0.1\0\0\0\0" };
    let width = if kind & 1 == 0 { 4 } else { 8 };
    let mut bytes = [version, &[width], &[0; 8], records].concat();
    // Places that are filled with @ hold the secret.
    while let Some(at) = bytes.windows(SECRET.len()).position(|w| w.iter().all(|b| *b == b'@')) {
        bytes[at..at + SECRET.len()].copy_from_slice(SECRET);
    }
    let policy = Policy {
        texts: if kind & 4 == 0 { Texts::Tokens } else { Texts::Zero },
        keep_words: kind & 8 != 0,
        held: if kind & 16 == 0 { 1 << 20 } else { 64 },
        memory: 1 << 16,
        ..Policy::default()
    };
    let limits = Limits { memory: 1 << 16, name: 64 };
    let secrets = secrets_in_dump(|| Ok(&bytes[..]), limits).expect("the header is sound");
    assert!(secrets.findings.iter().all(|f| f.count > 0 && f.example.len() < 64), "{:?}", secrets.findings);
    let (out, report) = redacted(&bytes[..], &policy).expect("the header is sound");
    assert_eq!(out.len(), bytes.len());
    let (again, _) = redacted(Slow(&bytes), &policy).expect("the header is sound");
    assert_eq!(out, again, "the copy differs with the pieces of the input");
    let (after, arrays) = scan(&out);
    assert_eq!(arrays.with_secret, 0);
    if report.is_faithful() {
        let (before, _) = scan(&bytes);
        assert_eq!(before.counts, after.counts);
        assert_eq!(before.truncation(), after.truncation());
        assert_eq!(before.segments, after.segments);
    }
});
