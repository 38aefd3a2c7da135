//! `debug=0`: a profile whose samples count goroutines. The runtime's innermost frames say what they wait for.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::frames::Frame;
use super::table::{FRAMES, One, Parked, Table};
use super::wait::Wait;
use super::{Form, Goroutines, whole};
use crate::pprof::Profile;

/// The goroutines of a profile; none when it counts something else.
pub(super) fn read(profile: &Profile) -> Option<Goroutines> {
    let leaks = profile.types.iter().any(|t| t.name == "goroutineleak");
    let counts = |name: &str| name == "goroutine" || name == "goroutines" || name == "goroutineleak";
    let value = profile.types.iter().position(|t| counts(&t.name))?;
    let mut table = Table::default();
    for sample in profile.samples() {
        let count = sample.values.get(value).copied().and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
        let mut hash = DefaultHasher::new();
        profile.frames_of(sample).take(FRAMES).for_each(|f| f.hash(&mut hash));
        let one = One { count, leaked: leaks, minutes: None, labels: profile.labels_of(sample) };
        table.add(hash.finish(), one, || {
            let frames: Vec<Frame> = profile.frames_of(sample).take(FRAMES).map(frame).collect();
            let wait = Wait::of_frames(&frames);
            Parked::new(wait, wait.words().map(str::to_owned), frames, None)
        });
    }
    let mut out = whole(Form::Profile, leaks, None, table, profile.bytes, profile.truncated.clone());
    profile.warnings.list().into_iter().for_each(|w| out.warnings.say(w));
    Some(out)
}

fn frame(f: &crate::pprof::Frame) -> Frame {
    let location = if f.file.is_empty() { String::new() } else { format!("{}:{}", f.file, f.line) };
    Frame { function: f.function.clone(), location }
}
