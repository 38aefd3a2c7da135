//! Folded stacks: `main;handle;await 12`, outermost first, as flame graph tools write them.

use std::collections::HashMap;

use super::model::{Profile, ValueType};

/// Frames of a stack.
const FRAMES: usize = 512;

/// Reads the text; none when a quarter of its lines are no folded stacks. What they count is not in the format.
pub(super) fn read(text: &str) -> Option<Profile> {
    let value = ValueType { name: "value".to_owned(), unit: "unknown".to_owned() };
    let mut profile = Profile::default();
    profile.types.push(value);
    profile.format = "folded stacks".to_owned();
    let mut frames: HashMap<&str, u32> = HashMap::new();
    let mut foreign = 0;
    for line in text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
        let Some((stack, value)) = stack(line) else {
            foreign += 1;
            continue;
        };
        if !profile.has_room() {
            break;
        }
        let mut locations = Vec::new();
        for name in stack.rsplit(';').take(FRAMES) {
            let number = frames.entry(name).or_insert_with(|| {
                let frame = profile.add_frame(name, "", 0);
                profile.add_location(vec![frame])
            });
            locations.push(*number);
        }
        profile.add_sample(locations.into_iter(), &[value], 0);
    }
    if profile.is_empty() || foreign * 4 > profile.len() {
        return None;
    }
    if foreign > 0 {
        profile.warnings.say(format!("{foreign} lines are no folded stacks"));
    }
    if !text.ends_with('\n') {
        profile.truncated.get_or_insert_with(|| "its last line has no end: its number may be cut".to_owned());
    }
    Some(profile)
}

/// Whether text begins as folded stacks do: strictly, as any line that ends with a number could be one.
pub(super) fn looks_like(text: &str) -> bool {
    let lines = || text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')).take(64);
    let deep = lines().filter(|l| l.contains(';')).count();
    deep * 2 >= lines().count() && deep > 0 && lines().all(|l| stack(l).is_some())
}

fn stack(line: &str) -> Option<(&str, i64)> {
    let (stack, value) = line.rsplit_once(' ')?;
    let value = value.parse().ok().filter(|v| *v >= 0)?;
    (stack.contains(';') || !stack.contains(' ')).then_some((stack, value))
}
