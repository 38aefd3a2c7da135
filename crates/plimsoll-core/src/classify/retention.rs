//! Retention: what stays after collection climbs, or, without a collector, what is allocated and never freed.

use super::{Assessment, Case, Cause, climb_weight, flat, lockstep_count, plateau, rises};
use crate::artifact::{Artifact, ClassCount};
use crate::recording::Recording;
use crate::signals::Trend;
use crate::target::RuntimeKind;
use crate::units;

pub(super) fn assess(case: &Case<'_>) -> Option<Assessment> {
    let mut a = Assessment::new(Cause::Retention, "a floor that stays flat after a forced collection");
    match &case.signals.live {
        Some(live) => by_floor(&mut a, case, live),
        None => by_process(&mut a, case),
    }
    if let Some(c) = lockstep_count(case) {
        a.contra(2.5, format!("the number of {}s climbs in lockstep and explains it", c.rule.noun));
    }
    Some(a)
}

fn by_floor(a: &mut Assessment, case: &Case<'_>, live: &Trend) {
    a.p_climb = live.p_climb;
    let full = case.clock.dead_zone.as_ref().filter(|z| z.in_heap());
    if let Some(zone) = full {
        // Read, not extrapolated: a floor at its ceiling cannot climb any more.
        a.p_climb = 0.97;
        a.pro(
            3.0,
            format!(
                "{} stands at its ceiling: {} of the {}",
                live.name,
                units::percent(zone.share),
                zone.limit
            ),
        );
        growing_classes(a, case.recording);
    } else if rises(Some(live)) {
        a.pro(climb_weight(live), format!("{} climbs {}", live.name, live.growth_words()));
        plateau(a, live);
        explained_share(a, case, live);
        growing_classes(a, case.recording);
    } else if let Some(mapped) = mapped_instead(case) {
        a.p_climb = mapped.p_climb;
        a.pro(climb_weight(mapped).min(2.5), format!("{} climb {}", mapped.name, mapped.growth_words()));
        plateau(a, mapped);
    } else if flat(Some(live)) {
        a.contra(4.0, format!("{} is flat at {}", live.name, live.level_words()));
    } else {
        a.missing.push(format!("whether {} climbs cannot be told yet", live.name));
    }
    if rises(case.signals.malloc_free.as_ref()) && !managed(case) {
        a.contra(1.5, "free memory inside the allocator climbs too".to_owned());
    }
}

/// Large blocks and other allocators map their memory themselves: malloc's chunks do not show them.
fn mapped_instead<'a>(case: &'a Case<'_>) -> Option<&'a Trend> {
    let total = case.signals.total.as_ref()?;
    let mapped = case.signals.mapped.as_ref().filter(|m| rises(Some(m)) && rises(Some(total)))?;
    (!managed(case) && mapped.slope.mid >= 0.5 * total.slope.mid).then_some(mapped)
}

/// How much of the growth of the process the floor explains.
fn explained_share(a: &mut Assessment, case: &Case<'_>, live: &Trend) {
    let Some(total) = case.signals.total.as_ref().filter(|t| rises(Some(t))) else {
        if managed(case) {
            a.pro(
                0.5,
                "the resident set does not move: it climbs inside memory that is already committed"
                    .to_owned(),
            );
        }
        return;
    };
    let share = live.slope.mid / total.slope.mid;
    if share >= 0.5 {
        a.pro(1.0, format!("it explains {} of the growth of the process", units::percent(share.min(1.0))));
    } else if share < 0.25 {
        a.contra(1.5, format!("it explains only {} of the growth of the process", units::percent(share)));
    }
}

/// Two class histograms say which classes grew.
fn growing_classes(a: &mut Assessment, r: &Recording) {
    let mut histograms = r.artifacts.iter().filter_map(|(t, x)| match x {
        Artifact::ClassHistogram { rows, .. } => Some((*t, rows)),
        _ => None,
    });
    let Some((t0, first)) = histograms.next() else { return };
    let Some((t1, last)) = histograms.next_back() else { return };
    let mut grown: Vec<(&str, i64)> =
        last.iter().map(|row| (row.class.as_str(), growth(row, first))).collect();
    grown.sort_by_key(|g| -g.1);
    let top: Vec<String> = grown
        .iter()
        .filter(|g| g.1 > 256 * 1024)
        .take(3)
        .map(|(class, bytes)| format!("{class} +{}", units::bytes(*bytes as f64)))
        .collect();
    if !top.is_empty() {
        a.pro(1.0, format!("classes that grew within {}: {}", units::duration(t1 - t0), top.join(", ")));
    }
}

fn growth(row: &ClassCount, before: &[ClassCount]) -> i64 {
    let old = before.iter().find(|b| b.class == row.class).map_or(0, |b| b.bytes);
    row.bytes.cast_signed() - old.cast_signed()
}

/// No floor to be had: the process's own memory is all there is.
fn by_process(a: &mut Assessment, case: &Case<'_>) {
    let Some(total) = &case.signals.total else { return };
    a.p_climb = total.p_climb;
    a.missing.push(format!("no live heap: {}", case.rules.live_hint));
    if flat(Some(total)) {
        a.contra(4.0, format!("{} is flat at {}", total.name, total.level_words()));
        return;
    }
    if !rises(Some(total)) {
        return;
    }
    if managed(case) {
        a.pro(0.8, format!("{} climbs {}", total.name, total.growth_words()));
        return;
    }
    a.pro(climb_weight(total).min(2.5), format!("{} climbs {}", total.name, total.growth_words()));
    plateau(a, total);
    if flat(case.signals.malloc_free.as_ref()) {
        a.pro(1.0, "free memory inside the allocator does not grow".to_owned());
    }
}

/// True where a collector stands between allocation and residency.
fn managed(case: &Case<'_>) -> bool {
    matches!(
        case.recording.target.runtime,
        RuntimeKind::Jvm | RuntimeKind::Go | RuntimeKind::Node | RuntimeKind::Dotnet
    )
}
