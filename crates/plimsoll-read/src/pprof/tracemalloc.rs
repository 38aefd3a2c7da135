//! Statistics of Python's tracemalloc as it prints them: `app.py:12: size=592 KiB (+10 KiB), count=7650 (+9), average=79 B`.

use plimsoll_core::units::parse_bytes;

use super::model::{Profile, ValueType};

/// Lines that are looked at: a program says something of its own before.
const LINES: usize = 32;

/// Whether text has such a line near its begin.
pub(super) fn looks_like(text: &str) -> bool {
    text.lines().take(LINES).any(|l| line(l).is_some())
}

/// Reads the lines; none when there is none.
pub(super) fn read(text: &str) -> Option<Profile> {
    let mut profile = Profile::default();
    (profile.format, profile.period) = ("statistics of tracemalloc".to_owned(), 1);
    profile.types = [("inuse_objects", "count"), ("inuse_space", "bytes")]
        .map(|(name, unit)| ValueType { name: name.to_owned(), unit: unit.to_owned() })
        .to_vec();
    // Without its end the last line may be cut within a number.
    let whole = text.rfind('\n').and_then(|end| text.get(..end)).unwrap_or_default();
    for (file, number, bytes, count) in whole.lines().filter_map(line) {
        if !profile.has_room() {
            break;
        }
        let name = file.rsplit('/').next().unwrap_or(file);
        let frame = profile.add_frame(name, file, number);
        let location = profile.add_location(vec![frame]);
        profile.add_sample(std::iter::once(location), &[count, bytes], 0);
    }
    if profile.is_empty() {
        return None;
    }
    if !text.ends_with('\n') {
        profile.truncated.get_or_insert_with(|| "its last line has no end".to_owned());
    }
    profile
        .warnings
        .say("sizes are as they were printed, rounded; lines that the program did not print are not in it");
    profile.warnings.say(
        "tracemalloc counts what was allocated since it was started, by Python itself and not by C libraries",
    );
    Some(profile)
}

/// File, line, bytes and blocks.
fn line(text: &str) -> Option<(&str, u64, i64, i64)> {
    let (place, rest) = text.trim().split_once(": size=")?;
    let (file, number) = place.rsplit_once(':')?;
    // `#3: app.py:12: size=…`, as the manual prints it.
    let file = file.rsplit(": ").next().unwrap_or(file);
    let (size, rest) = rest.split_once(", count=")?;
    let amount = |text: &str| text.split(" (").next().map(str::trim).map(str::to_owned);
    let bytes = parse_bytes(&amount(size)?.replace(' ', ""))?;
    let count = amount(rest.split(", ").next()?)?.parse().ok()?;
    Some((file, number.parse().ok()?, bytes as i64, count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_snapshot_and_of_a_comparison() {
        assert_eq!(
            line("/srv/app.py:12: size=592 KiB, count=7650, average=79 B"),
            Some(("/srv/app.py", 12, 592 << 10, 7650))
        );
        assert_eq!(
            line("#1: app.py:7: size=3 MiB (+1024 KiB), count=12 (+3), average=2 KiB"),
            Some(("app.py", 7, 3 << 20, 12))
        );
        assert_eq!(
            line("<frozen importlib._bootstrap>:241: size=855 B, count=9, average=95 B").unwrap().2,
            855
        );
        for other in
            ["", "a: size=b", "a:1: size=9 B", "x:y: size=1 B, count=2", "a:1: size=9 apples, count=1"]
        {
            assert_eq!(line(other), None, "{other}");
        }
        let text = "Top 10 lines\n/srv/app.py:12: size=592 KiB, count=7650, average=79 B\n/srv/b.py:1: size=1 KiB, count=1";
        let cut = read(text).unwrap();
        assert_eq!((cut.len(), cut.truncated.is_some(), looks_like(text)), (1, true, true));
    }
}
