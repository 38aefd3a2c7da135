//! Entries of LaunchDarkly's audit log, as its webhooks post them and its API lists them. They may come out of order. What
//! switches a flag on or off is a flag; what changes its rules or targets is a setting.

use plimsoll_core::mark::{Mark, MarkKind};
use serde_json::Value;

use super::{Known, clean, milliseconds, text};

/// What the change is about: `proj/shop:env/production:flag/new-cache`.
struct About {
    environment: Option<String>,
    flag: String,
}

pub(super) fn fits(entry: &Value) -> bool {
    entry.get("_id").is_some() && entry.get("date").is_some() && entry.get("accesses").is_some()
}

/// The environment of an entry, where it is one of a flag.
pub(super) fn environment(entry: &Value) -> Option<String> {
    if fits(entry) { accesses(entry).find_map(|(_, about)| about.environment) } else { None }
}

pub(super) fn marks(entry: &Value, known: &Known) -> Vec<Mark> {
    mark(entry, known).into_iter().collect()
}

fn mark(entry: &Value, known: &Known) -> Option<Mark> {
    let unix_seconds = milliseconds(entry.get("date")?)?;
    let wanted = |about: &About| match (&known.environment, &about.environment) {
        (Some(wanted), Some(environment)) => wanted == environment,
        _ => true,
    };
    let mut of_flags: Vec<(String, About)> =
        accesses(entry).filter(|(_, about)| wanted(about)).take(64).collect();
    let switch = of_flags.iter().position(|(action, _)| action == "updateOn");
    if let Some(at) = switch {
        let (_, about) = of_flags.swap_remove(at);
        let off = !is_on(entry, &about)?;
        return Some(Mark { unix_seconds, kind: MarkKind::Flag, name: about.flag, off, workload: None });
    }
    let (action, about) = of_flags.into_iter().find(|(action, _)| SETTINGS.contains(&action.as_str()))?;
    let name = format!("{} ({})", about.flag, action.trim_start_matches("update").to_lowercase());
    Some(Mark { unix_seconds, kind: MarkKind::Config, name, off: false, workload: None })
}

/// Actions that change what a flag that is on gives.
const SETTINGS: &[&str] = &[
    "updateRules",
    "updateTargets",
    "updateFallthrough",
    "updateFallthroughWithMeasuredRollout",
    "updateRulesWithMeasuredRollout",
    "updateOffVariation",
    "updatePrerequisites",
    "updateFlagVariations",
    "updateExpiringTargets",
];

fn accesses(entry: &Value) -> impl Iterator<Item = (String, About)> {
    let all = entry.get("accesses").and_then(Value::as_array).into_iter().flatten();
    all.filter_map(|access| {
        let resource = access.get("resource")?.as_str()?;
        let part = |name: &str| resource.split(':').find_map(|p| p.strip_prefix(name)).map(named);
        Some((text(access, &["action"])?, About { environment: part("env/"), flag: part("flag/")? }))
    })
}

/// A key, without the tags that a resource may have behind it: `new-cache;tag`.
fn named(key: &str) -> String {
    clean(key.split(';').next().unwrap_or(key))
}

/// Whether the flag is on now: by its state, else by what the entry's title says.
fn is_on(entry: &Value, about: &About) -> Option<bool> {
    let environments = entry.pointer("/currentVersion/environments");
    let of = environments.and_then(|all| all.get(about.environment.as_ref()?));
    if let Some(on) = of.and_then(|e| e.get("on")?.as_bool()) {
        return Some(on);
    }
    let title = text(entry, &["titleVerb"]).or_else(|| text(entry, &["title"]))?;
    match (title.contains("turned on"), title.contains("turned off")) {
        (true, false) => Some(true),
        (false, true) => Some(false),
        _ => None,
    }
}
