//! Profiles: `profile.proto` (Go, Node, Pyroscope, Parca), Go's, tcmalloc's and jemalloc's heap profiles as text,
//! V8's sampling heap profiles, what Python's tracemalloc prints, folded stacks. Top sites with the interval that sampling leaves them, retention or
//! churn, and what grew.

mod conclude;
mod folded;
mod heapprofile;
mod kind;
mod legacy;
mod model;
mod other;
mod proto;
mod sampling;
mod sites;
mod tracemalloc;
mod wire;

pub use conclude::{Change, HeapReport};
pub use model::{Frame, Profile, Sample, ValueType};
pub use sampling::Amount;
pub use sites::Site;

/// Reads any form; none when it is none of them. A cut profile gives what it holds.
pub fn parse(bytes: &[u8]) -> Option<Profile> {
    let mut profile = match bytes {
        [0x1f, 0x8b, ..] => packed(bytes)?,
        _ => plain(bytes)?,
    };
    profile.bytes = bytes.len() as u64;
    Some(profile)
}

fn packed(bytes: &[u8]) -> Option<Profile> {
    let (inside, why) = proto::unpack(bytes);
    let mut profile = plain(&inside)?;
    if why.is_some() {
        profile.truncated = why;
    }
    Some(profile)
}

fn plain(bytes: &[u8]) -> Option<Profile> {
    if is_text(bytes) {
        let text = String::from_utf8_lossy(bytes);
        let profile = match () {
            () if legacy::is_legacy(&text) => legacy::read(&text),
            () if heapprofile::looks_like(&text) => heapprofile::read(&text),
            () if tracemalloc::looks_like(&text) => tracemalloc::read(&text),
            () => folded::read(&text),
        };
        if profile.is_some() {
            return profile;
        }
    }
    proto::read(bytes)
}

/// A message has bytes below the space early on (its fields' numbers), a text only ends of line and tabs.
fn is_text(bytes: &[u8]) -> bool {
    let head = bytes.get(..bytes.len().min(4096)).unwrap_or_default();
    head.iter().all(|b| *b >= b' ' || matches!(b, b'\n' | b'\r' | b'\t'))
}

#[cfg(test)]
mod tests;
