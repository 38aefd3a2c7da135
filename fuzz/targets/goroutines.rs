//! A goroutine dump in any text form: any bytes; groups that add up, the same whole and in pieces.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_core::artifact::{Artifact, ROWS_KEPT};
use plimsoll_read::goroutines::{Form, parse, parse_stacks};

fuzz_target!(|data: &[u8]| {
    let Some(g) = parse(data) else { return };
    let grouped = g.groups.iter().fold(g.lumped, |n, p| n.saturating_add(p.count));
    assert_eq!(grouped, g.counted);
    assert!(g.groups.is_sorted_by(|a, b| a.count >= b.count), "not largest first");
    let Artifact::Goroutines { groups, .. } = g.artifact() else { panic!("another artifact") };
    assert!(groups.len() <= ROWS_KEPT && groups.is_sorted_by(|a, b| a.count >= b.count));
    assert!(!g.report().summary.is_empty());
    if g.form == Form::Stacks {
        let pieces = parse_stacks(data).expect("the same bytes");
        assert_eq!((pieces.groups, pieces.truncated), (g.groups, g.truncated));
    }
});
