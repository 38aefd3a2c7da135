//! What to do about a place where entries pile up.

use super::suspects::Suspect;

/// One sentence of advice by what the entries are and what holds them.
pub(super) fn advice(suspect: &Suspect) -> String {
    let held_by =
        |name: &str| suspect.path.iter().any(|step| step.label.starts_with(name) || step.via == name);
    let fix = if suspect.entry == "Timeout" || held_by("TimersList") {
        "timers are set and neither fire nor are cleared: keep each handle and call clearTimeout when it is done"
    } else if held_by("_events") {
        "listeners are added and not removed: call off() with the same function, or use once() or a signal"
    } else if suspect.is_chain {
        "cut the reference from each to the next: a list that nobody shortens, or a function that keeps the scope \
         in which the one before it was made"
    } else if suspect.entry == "Promise" {
        "promises pile up that nothing settles: give each a time limit"
    } else if suspect.label == "Map" || suspect.label == "Set" {
        "give the collection a bound or an expiry, or delete entries when they are done"
    } else if suspect.entry.starts_with("function ") {
        "functions are kept and never let go: remove each one when it has been called"
    } else {
        "find who adds to it and never removes"
    };
    fix.to_owned()
}
