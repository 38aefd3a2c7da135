//! The rules on the eight courses, by our own walk; a real server says the same (`crates/plimsoll/tests/it/rules.rs`).

use super::shapes::{HOURS, ONSET, SHAPES, Shape};
use super::*;
use crate::fact::Fact;
use crate::recording::{Observation, Recording};

fn recording(shape: &Shape, every: f64, hours: f64) -> Recording {
    let target = r#"{"pid":1,"name":"shape","runtime":"native","started":0.0,"flags":[]}"#;
    let mut r = Recording::new(serde_json::from_str(target).expect("a target"));
    let day = 1_700_000_000.0_f64;
    let begin = (day / DAY).floor() * DAY;
    let mut last = f64::NAN;
    for k in 0..=((hours * HOUR / every) as u64) {
        let hour = k as f64 * every / HOUR;
        let mut o = Observation::at(begin + hour * HOUR);
        o.known(Fact::RecordedUsage, shape.usage(hour));
        o.known(Fact::RecordedLimit, shape.limit);
        let start = begin + shape.start(hour) * HOUR;
        if start != last {
            o.start = Some(start);
            last = start;
        }
        r.add(o);
    }
    r
}

fn all() -> Vec<Group> {
    groups(Source::ALL, &Thresholds::default())
}

#[test]
fn eight_courses_are_told_as_they_are() {
    for shape in SHAPES {
        let walk = walk(&recording(shape, 60.0, HOURS), &all(), None);
        let mut fired: Vec<&str> = walk.firings.iter().map(|f| f.alert).collect();
        fired.sort_unstable();
        fired.dedup();
        let mut expected = shape.fires.to_vec();
        expected.sort_unstable();
        assert_eq!(fired, expected, "{}: {:#?}", shape.name, walk.firings);
        if let Some(first) = shape.fires.first() {
            let firing = walk.firings.iter().find(|f| f.alert == *first).expect("it fired");
            let hour = (firing.from - walk.span.0) / HOUR;
            assert!(shape.between.0 < hour && hour <= shape.between.1, "{}: at the hour {hour}", shape.name);
        }
        assert!(walk.decided.contains(&"PlimsollMemoryClimbs"));
        let why = |alert| walk.silent.iter().find(|s| s.alert == alert).map(|s| s.why.as_str());
        assert_eq!(why("PlimsollGoroutines"), Some("the recording has no goroutines"));
    }
}

#[test]
fn what_a_recording_cannot_decide_is_said() {
    let leak = &SHAPES[0];
    let short = walk(&recording(leak, 60.0, 1.0), &all(), None);
    assert!(short.firings.is_empty() && !short.decided.contains(&"PlimsollMemoryClimbs"), "{short:?}");
    let why = short.silent.iter().find(|s| s.alert == "PlimsollMemoryClimbs").expect("told");
    assert!(why.why.contains("looks back 3 h 15 min"), "{}", why.why);
}

#[test]
fn the_leak_is_told_before_it_is_paged() {
    let walk = walk(&recording(&SHAPES[0], 60.0, HOURS), &all(), None);
    let at = |name| {
        let firing = walk.firings.iter().find(|f| f.alert == name).expect("fired");
        ((firing.from - walk.span.0) / HOUR - ONSET, firing.value)
    };
    let (told, value) = at("PlimsollMemoryClimbs");
    assert!(told < 3.0 && value > 8.0 * HOUR && value < DAY, "{told} {value}");
    let (paged, left) = at("PlimsollMemoryEndsSoon");
    assert!((9.0..11.0).contains(&paged) && left < 2.0 * HOUR, "{paged} {left}");
}
