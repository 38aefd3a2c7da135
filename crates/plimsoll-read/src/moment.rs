//! The time that a line of a log begins with, in the forms that kernels, journals, clusters and programs use.

use jiff::civil::{Date, DateTime};
use plimsoll_core::death::Moment;

/// Bytes of a line in which its time stands.
const WITHIN: usize = 64;
/// A year for lines that have none: only distances are taken, and it has a 29th of February.
const SOME_YEAR: i16 = 2000;
const MONTHS: &[&str] = &["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The time at or near the begin of a line.
pub(crate) fn of(line: &str) -> Option<Moment> {
    let head = line.get(..line.floor_char_boundary(WITHIN)).unwrap_or(line);
    let head = head.trim_start_matches(['[', '"', ' ', '<']);
    numeric(head).or_else(|| named(head)).or_else(|| klog(head))
}

/// `2026-11-23T11:00:00.5Z`, `2026-11-23 11:00:00,5`, with `/` too.
fn numeric(head: &str) -> Option<Moment> {
    let text = head.get(..19)?;
    let shape = text.bytes().zip("dddd-dd-dd.dd:dd:dd".bytes());
    let fits = shape.enumerate().all(|(at, (c, s))| match s {
        b'd' => c.is_ascii_digit(),
        b'-' => matches!(c, b'-' | b'/'),
        b'.' => at == 10 && matches!(c, b'T' | b' '),
        _ => c == s,
    });
    if !fits {
        return None;
    }
    let mut plain = text.replace('/', "-");
    plain.replace_range(10..11, "T");
    moment(text, plain.parse().ok()?)
}

/// `Nov 23 11:00:00`, `Mon Nov 23 11:00:00 2026`, `Mon, 23 Nov 2026 11:00:00 +0000`.
fn named(head: &str) -> Option<Moment> {
    let words: Vec<&str> = head.split([' ', ']']).filter(|w| !w.is_empty()).take(6).collect();
    let at = words.iter().position(|w| MONTHS.contains(w)).filter(|at| *at <= 2)?;
    let month = MONTHS.iter().position(|m| Some(m) == words.get(at))? + 1;
    let clock = words.iter().position(|w| w.len() >= 8 && w.as_bytes().get(2) == Some(&b':'))?;
    let number = |at: Option<usize>| words.get(at?)?.parse::<i16>().ok();
    let (before, after) = (number(at.checked_sub(1)), number(Some(at + 1)));
    // The day stands behind the month, or before it where the year follows.
    let (day, year) = match (before, after) {
        (Some(day), year) => (day, year),
        (None, Some(day)) => (day, number(Some(clock + 1)).filter(|y| *y > 1900)),
        (None, None) => return None,
    };
    let date =
        Date::new(year.unwrap_or(SOME_YEAR), i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()?;
    let time = words.get(clock)?.get(..8)?.parse().ok()?;
    let year_behind = usize::from(before.is_none() && year.is_some());
    let said = words.get(..=clock.max(at + 1) + year_behind)?.join(" ");
    moment(&said, DateTime::from_parts(date, time))
}

/// `E1123 11:00:00.123456`.
fn klog(head: &str) -> Option<Moment> {
    let (day, clock) = (head.get(1..5)?, head.get(6..14)?);
    let is_head = head.starts_with(['I', 'W', 'E', 'F']) && head.get(5..6) == Some(" ");
    let date = Date::new(SOME_YEAR, day.get(..2)?.parse().ok()?, day.get(2..)?.parse().ok()?).ok()?;
    let time = clock.parse().ok().filter(|_| is_head)?;
    moment(&format!("{}-{} {clock}", day.get(..2)?, day.get(2..)?), DateTime::from_parts(date, time))
}

fn moment(said: &str, at: DateTime) -> Option<Moment> {
    let since = at.since(DateTime::constant(1970, 1, 1, 0, 0, 0, 0)).ok()?;
    let seconds = since.total((jiff::Unit::Second, jiff::SpanRelativeTo::days_are_24_hours())).ok()?;
    Some(Moment { said: said.to_owned(), seconds: Some(seconds) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read() {
        let same = [
            "2026-11-23T11:00:00.123456+00:00 host kernel: x",
            "2026-11-23 11:00:00,123 ERROR x",
            "2026/11/23 11:00:00 x",
            "[Mon Nov 23 11:00:00 2026] x",
            "Mon, 23 Nov 2026 11:00:00 +0000",
        ];
        for line in same {
            let m = of(line).unwrap_or_else(|| panic!("{line}"));
            assert_eq!(m.seconds, Some(1_795_431_600.0), "{line}");
            assert!(m.said.contains("11:00:00"), "{m:?}");
        }
        let gap = |a: &str, b: &str| of(b).unwrap().seconds.unwrap() - of(a).unwrap().seconds.unwrap();
        assert_eq!(gap("Nov 23 11:00:00 host kernel: x", "Nov 24 11:00:01 host"), 86_401.0);
        assert_eq!(gap("E1123 11:00:00.12 1 a.go:1] x", "E1123 12:00:00.12 1 a.go:1] x"), 3600.0);
        assert_eq!(of("Nov  3 01:02:03 host x").unwrap().said, "Nov 3 01:02:03");
        assert_eq!(of("[Mon Nov 23 11:00:00 2026] x").unwrap().said, "Mon Nov 23 11:00:00 2026");
    }

    #[test]
    fn what_is_no_time_is_none() {
        for line in [
            "",
            "hello",
            "[ 3305.256346] x",
            "Nov",
            "Nov 99 11:00:00",
            "2026-99-23T11:00:00",
            "E9923 x",
            "Mon Nov",
        ] {
            assert_eq!(of(line), None, "{line}");
        }
    }
}
