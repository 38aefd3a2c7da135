//! One line of the kernel's log, out of the forms in which it is passed on.

use plimsoll_core::death::Moment;

use crate::moment;

/// What a line says, and when.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Line<'a> {
    /// Seconds since boot.
    pub(super) at: Option<f64>,
    /// Time of day, when the line has one.
    pub(super) when: Option<Moment>,
    pub(super) message: &'a str,
}

/// Times and message of a line of `/dev/kmsg`, `dmesg` or a journal. None for what the kernel did not write: a program
/// that may write to the log could tell of kills that never were.
pub(super) fn strip(line: &str) -> Option<Line<'_>> {
    if let Some((head, message)) = line.split_once(';')
        && let Some((priority, time)) = record_head(head)
    {
        return (priority >> 3 == 0).then_some(Line { at: Some(time), when: None, message });
    }
    let when = moment::of(line);
    let line = match line.split_once(" kernel: ") {
        Some((_, message)) if !line.starts_with('[') => message,
        _ if when.is_some() => after_time(line),
        _ => line,
    };
    // `dmesg -r` puts the priority first, `dmesg -x` its words.
    let line = line.strip_prefix('<').and_then(|l| l.split_once('>')).map_or(line, |(_, l)| l);
    let line =
        line.strip_prefix("kern ").and_then(|l| l.find('[').and_then(|at| l.get(at..))).unwrap_or(line);
    let stamped = line.strip_prefix('[').and_then(|l| l.split_once("] "));
    let Some((time, message)) = stamped else { return Some(Line { at: None, when, message: line }) };
    let when = when.or_else(|| moment::of(time));
    // The journal's short-monotonic form has the host behind the time.
    let message = message.split_once(" kernel: ").map_or(message, |(_, m)| m);
    Some(Line { at: time.trim().parse().ok(), when, message })
}

/// `dmesg --time-format iso` has nothing but a time before the message.
fn after_time(line: &str) -> &str {
    let is_iso = line.as_bytes().get(10) == Some(&b'T');
    line.split_once(' ').filter(|_| is_iso).map_or(line, |(_, message)| message)
}

/// `priority,sequence,microseconds,flags` of a `/dev/kmsg` record.
fn record_head(head: &str) -> Option<(u64, f64)> {
    let mut parts = head.split(',');
    let priority = parts.next()?.parse().ok()?;
    let _sequence: u64 = parts.next()?.parse().ok()?;
    let micros: u64 = parts.next()?.parse().ok()?;
    Some((priority, micros as f64 / 1e6))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_gives_the_message() {
        for line in [
            "4,12,3305267570,-;hello there",
            "[ 3305.267570] hello there",
            "<4>[ 3305.267570] hello there",
            "kern  :warn  : [ 3305.267570] hello there",
            "[ 3305.267570] host kernel: hello there",
            "Nov 23 11:00:00 host kernel: [ 3305.267570] hello there",
        ] {
            let l = strip(line).unwrap();
            assert_eq!((l.at, l.message), (Some(3305.26757), "hello there"), "{line}");
        }
        for line in [
            "[Mon Nov 23 11:00:00 2026] hello there",
            "2026-11-23T11:00:00,123456+00:00 hello there",
            "2026-11-23T11:00:00.123456+00:00 host kernel: hello there",
            "Nov 23 11:00:00 host kernel: hello there",
        ] {
            let l = strip(line).unwrap();
            assert_eq!((l.at, l.message), (None, "hello there"), "{line}");
            assert!(l.when.is_some_and(|w| w.said.contains("11:00:00")), "{line}");
        }
        assert_eq!(strip("12,5,100,-;a program's word"), None);
    }
}
