//! Onsets beside the marks of the time line.

use super::Row;
use super::judge::NEAR;
use crate::mark::Mark;

/// Says of each climb which mark its onset is nearest to, of those that concern it and lie within the onset's interval. That it
/// came with the climb does not say that it brought it.
pub fn set_against(rows: &mut [Row], marks: &[Mark]) {
    for row in rows {
        let Ok(verdict) = &mut row.verdict else { continue };
        let Some(onset) = verdict.onset else { continue };
        let within = onset.low - NEAR..=onset.high + NEAR;
        let near = || {
            let concerned = marks.iter().filter(|m| m.concerns(&row.namespace, &row.name));
            concerned.filter(|m| within.contains(&m.unix_seconds))
        };
        let distance = |m: &Mark| (m.unix_seconds - onset.mid).abs();
        let nearest = near().min_by(|a, b| distance(a).total_cmp(&distance(b)));
        verdict.since_mark = nearest.map(|m| (m.clone(), near().count() - 1));
    }
}
