//! `py-spy dump`: the threads of a Python program, as text.

use std::io::Read;

use super::build::{Builder, FRAMES, Thread};
use crate::lines::Lines;
use crate::reading::clip;

/// A frame is cut here, bytes.
const LONGEST: usize = 320;

/// Reads `Thread 7 (idle): "name"` with indented frames; gives why it is not whole.
pub(super) fn text(lines: &mut Lines<impl Read>, builder: &mut Builder) -> Option<String> {
    let mut open: Option<Thread> = None;
    for line in lines.by_ref() {
        if let Some(thread) = head(&line) {
            open.replace(thread).into_iter().for_each(|done| builder.add(done));
        } else if let Some(t) = &mut open
            && let Some(frame) = frame(&line)
            && t.frames.len() < FRAMES
        {
            t.frames.push(clip(frame, LONGEST));
        }
    }
    open.into_iter().for_each(|done| builder.add(done));
    (!lines.is_whole()).then(|| "it ends within a line".to_owned())
}

/// `Thread 3624 (idle): "MainThread"`, or with an address and without a name; `(active+gil)`, `(idle, native: 7)`.
pub(super) fn head(line: &str) -> Option<Thread> {
    let (id, rest) = line.strip_prefix("Thread ")?.split_once(" (")?;
    let is_id = id.bytes().all(|b| b.is_ascii_hexdigit() || b == b'x') && !id.is_empty();
    let (state, name) = rest.split_once(')').filter(|_| is_id)?;
    let state = state.split(',').next().unwrap_or(state);
    if !matches!(state.split('+').next(), Some("idle" | "active")) {
        return None;
    }
    let name = name.trim_start_matches(':').trim().trim_matches('"');
    Some(Thread { name: clip(name, LONGEST), state: Some(state.to_owned()), ..Thread::default() })
}

/// `    brood (pp.py:2)`; what stands deeper is an argument or a local variable.
fn frame(line: &str) -> Option<&str> {
    let text = line.strip_prefix("    ").filter(|t| !t.starts_with(' '))?.trim_end();
    text.ends_with(')').then_some(text)
}
