//! What a heap profile means: who holds memory, whether it is kept or only passed through, and what grew.

use std::collections::HashMap;

use plimsoll_core::classify::{Cause, Certainty};
use plimsoll_core::units::{bytes, percent};
use serde::Serialize;

use super::model::Profile;
use super::sampling::Amount;
use super::sites::{Roles, Site, Sites, gather};
use crate::reading::{Finding, Report, Source, Warnings};

/// Sites that a report keeps.
const SITES: usize = 40;
/// Findings of one kind.
const MOST: usize = 3;
/// A site with this part of all is worth a finding.
const LARGE: f64 = 0.15;
/// From this part on, what a site allocates is kept; below the other it only passes through.
const KEPT: f64 = 0.5;
const PASSED: f64 = 0.05;
/// A single profile accuses a site of this part of all and this many objects; fewer are blocks of a fixed number.
const MOST_OF_ALL: f64 = 0.5;
const MANY: f64 = 1000.0;
/// Growth by less than this part of all that was there may be a moment's work.
const MATTERS: f64 = 0.05;
/// Samples below which a number is noise.
const NOISE: f64 = 4.0;

/// What a heap profile says.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HeapReport {
    /// What every reading says.
    #[serde(flatten)]
    pub head: Report,
    /// Bytes between two samples; 0 or 1 when every object is counted, or when the profile does not say it.
    pub sampling_interval_bytes: u64,
    /// All that is in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_use: Option<Amount>,
    /// All that was ever allocated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allocated: Option<Amount>,
    /// Sites, largest first.
    pub sites: Vec<Site>,
    /// What changed since an earlier profile, the most grown first; only of a comparison.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
}

/// One site in two profiles.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// `function (file:line)`.
    pub site: String,
    /// Bytes in the earlier profile.
    pub before_bytes: f64,
    /// Bytes in the later one.
    pub after_bytes: f64,
    /// How many more, bytes, negative when fewer.
    pub delta_bytes: f64,
    /// Lower end of its 95 % interval, bytes.
    pub low: f64,
    /// Upper end of its 95 % interval, bytes.
    pub high: f64,
    /// Samples of it in the later profile.
    pub samples: f64,
}

impl Change {
    /// Whether it grew by more than sampling explains.
    pub fn is_growth(&self) -> bool {
        self.low > 0.0
    }
}

impl Profile {
    /// What a profile of memory concludes, with the process's resident bytes when they are known; none when the
    /// profile is not of memory, which its [types](Profile::types) say.
    pub fn heap_report(&self, rss: Option<u64>) -> Option<HeapReport> {
        let roles = Roles::of(self);
        roles.any().then(|| self.reported(gather(self, roles), rss))
    }

    /// What changed from an earlier profile of the same process to this one.
    pub fn heap_change(&self, before: &Profile, rss: Option<u64>) -> Option<HeapReport> {
        let (was, is) = (Roles::of(before), Roles::of(self));
        if was != is && before.types != self.types || !is.any() {
            return None;
        }
        let (old, new) = (gather(before, was), gather(self, is));
        let changes = changes(&old, &new);
        let mut report = self.reported(new, rss);
        let grown = growth(&changes, &old, &report);
        // What one profile could only suspect, two have decided: it grew, and is told so, or it did not.
        report.head.findings.retain(|f| f.cause != Some(Cause::Retention));
        report.head.summary = summary_of_change(&old, &report, &grown);
        report.head.findings.splice(0..0, grown);
        if before.truncated.is_some() {
            report
                .head
                .warnings
                .push("the earlier profile is not whole: what it lacks seems to have grown".to_owned());
        }
        report.changes = changes;
        report.changes.truncate(SITES);
        Some(report)
    }

    fn reported(&self, sites: Sites, rss: Option<u64>) -> HeapReport {
        let mut findings: Vec<Finding> = Vec::new();
        findings.extend(rss.and_then(|r| explained(&sites, r)));
        findings.extend(retained(&sites));
        findings.extend(churned(&sites));
        findings.sort_by_key(|f| std::cmp::Reverse(f.certainty));
        let mut warnings = self.warnings.clone();
        self.hazards(&sites, &mut warnings);
        let head = Report {
            artifact: Source {
                kind: self.format.clone(),
                bytes: self.bytes,
                truncated: self.truncated.clone(),
            },
            summary: summary(&sites, &findings),
            findings,
            groups: Vec::new(),
            warnings: warnings.list(),
        };
        let Sites { mut sites, in_use, allocated, .. } = sites;
        sites.truncate(SITES);
        HeapReport {
            head,
            sampling_interval_bytes: self.period,
            in_use,
            allocated,
            sites,
            changes: Vec::new(),
        }
    }

    fn hazards(&self, sites: &Sites, warnings: &mut Warnings) {
        if self.period > 1 {
            warnings.say(format!(
                "sampled: one object is seen per {} allocated; a site of few samples says little, see its interval",
                bytes(self.period as f64)
            ));
        } else if self.period == 0 {
            warnings.say("the profile does not say how it was sampled: its numbers are taken as exact");
        }
        if sites.in_use.is_some() && self.of_type(&["inuse_space"]).is_some() {
            warnings.say("what is in use is as of the last completed collection, where there is a collector");
        }
        if sites.at_depth * 10 > self.len() && self.len() >= 50 {
            warnings.say(format!(
                "{} of {} stacks may be cut at the profiler's depth",
                sites.at_depth,
                self.len()
            ));
        }
    }
}

/// `12.0 MiB (10.1 MiB to 14.2 MiB)`.
fn words(a: &Amount) -> String {
    if a.relative_error() < 0.005 {
        return bytes(a.bytes);
    }
    format!("{} ({} to {})", bytes(a.bytes), bytes(a.low), bytes(a.high))
}

fn summary(sites: &Sites, findings: &[Finding]) -> String {
    let total = match (&sites.in_use, &sites.allocated) {
        (Some(u), Some(a)) => format!("{} in use of {} ever allocated", words(u), bytes(a.bytes)),
        (Some(u), None) => format!("{} in use", words(u)),
        (None, Some(a)) => format!("{} allocated; what is still in use is not said", words(a)),
        (None, None) => "no memory is told".to_owned(),
    };
    match (findings.first(), sites.sites.first()) {
        (Some(f), _) => format!("{total}; {}.", f.text),
        (None, Some(s)) => format!("{total}; no site stands out, the largest is {}.", s.site),
        (None, None) => format!("{total}; it has no sample."),
    }
}

/// How much of the process the heap explains.
fn explained(sites: &Sites, rss: u64) -> Option<Finding> {
    let heap = sites.in_use.filter(|_| rss > 0)?;
    let part = heap.bytes / rss as f64;
    let text = format!("heap in use explains {} of {} resident", percent(part), bytes(rss as f64));
    if heap.low > rss as f64 {
        let more = "it is swapped out or was never touched, or profile and process do not belong together";
        return Some(Finding::new(Certainty::CannotTell, format!("{text}: more than all")).but(more));
    }
    if part >= 0.5 {
        return Some(
            Finding::new(Certainty::CannotTell, text)
                .but("garbage that waits for a collection is not in use"),
        );
    }
    let certainty = if heap.high < 0.5 * rss as f64 { Certainty::Likely } else { Certainty::CannotTell };
    Some(
        Finding::new(certainty, format!("{text}: most of it is elsewhere"))
            .of(Cause::OffHeap)
            .because(format!("{} in use of {}", words(&heap), bytes(rss as f64)))
            .but("garbage that waits for a collection and pages that the runtime keeps free count in the process, not here")
            .hint("look at stacks and goroutines or threads, at mappings, and at memory of C libraries"),
    )
}

fn evidence(mut f: Finding, a: &Amount, site: &Site) -> Finding {
    f = if a.samples < NOISE && a.relative_error() > 0.01 {
        f.but(format!("{:.0} samples only: that is noise", a.samples))
    } else {
        f.because(format!("{:.0} samples: {} to {} with 95 %", a.samples, bytes(a.low), bytes(a.high)))
    };
    match site.stack.get(1) {
        Some(caller) => f.because(format!("mostly called from {caller}")),
        None => f,
    }
}

/// Whether a site allocates while the program starts: Go's package initialisers.
fn at_start(site: &Site) -> bool {
    let init = |f: &String| f.contains(".init (") || f.contains(".init.") || f.starts_with("runtime.doInit");
    site.stack.iter().any(init)
}

/// Sites that hold much.
fn retained(sites: &Sites) -> Vec<Finding> {
    let Some(total) = sites.in_use.filter(|t| t.bytes > 0.0) else { return Vec::new() };
    let mut out = Vec::new();
    for site in sites.sites.iter().take(MOST) {
        let Some(a) = site.in_use.filter(|a| a.bytes / total.bytes >= LARGE) else { continue };
        let part = percent(a.bytes / total.bytes);
        let kept = site.kept();
        let keeps = kept.is_some_and(|k| k >= KEPT);
        let many = a.objects >= MANY && a.low / total.bytes >= MOST_OF_ALL;
        let certainty =
            if keeps && many && !at_start(site) { Certainty::Likely } else { Certainty::CannotTell };
        let verb = if keeps { "keeps what it allocates" } else { "holds" };
        let mut f = Finding::new(
            certainty,
            format!("{} {verb}: {}, {part} of all in use", site.site, bytes(a.bytes)),
        )
        .of(Cause::Retention);
        f = match kept {
            Some(k) if k >= KEPT => {
                f.because(format!("{} of all it ever allocated is still in use: retention", percent(k)))
            }
            Some(k) => {
                f.but(format!("only {} of what it allocated is still in use: it lets go too", percent(k)))
            }
            None => f.but("the profile does not say what was ever allocated"),
        };
        if a.objects < MANY {
            f = f.but(format!(
                "{:.0} objects only: blocks of a fixed number, rather than ever more entries",
                a.objects.max(1.0)
            ));
        }
        if at_start(site) {
            f = f.but("it is allocated while the program starts, once");
        }
        f = f.but("data that is loaded once and kept on purpose looks the same: one profile shows no growth");
        out.push(
            evidence(f, &a, site)
                .hint("compare with a later profile: a leak grows, a cache that is full does not"),
        );
    }
    out
}

/// Sites that allocate much and keep little.
fn churned(sites: &Sites) -> Vec<Finding> {
    let Some(total) = sites.allocated.filter(|t| t.bytes > 0.0) else { return Vec::new() };
    let share = |s: &Site| s.allocated.map_or(0.0, |a| a.bytes / total.bytes);
    let passes = |s: &&Site| share(s) >= LARGE && s.kept().is_some_and(|k| k < PASSED);
    let mut found: Vec<&Site> = sites.sites.iter().filter(passes).collect();
    found.sort_by(|a, b| share(b).total_cmp(&share(a)));
    let mut out = Vec::new();
    for site in found.into_iter().take(MOST) {
        let (Some(a), Some(kept)) = (site.allocated, site.kept()) else { continue };
        let part = percent(share(site));
        let certainty = if a.low / total.bytes >= LARGE { Certainty::Likely } else { Certainty::CannotTell };
        let f = Finding::new(
            certainty,
            format!("{} is churn, not a leak: {part} of all allocated, {} kept", site.site, percent(kept)),
        )
        .of(Cause::Churn)
        .because(format!("{} allocated", bytes(a.bytes)))
        .but("since when it allocates is not said: over a long life this may be slow")
        .hint("reuse buffers there to spare the collector; it does not fill memory by itself");
        out.push(evidence(f, &a, site));
    }
    out
}

fn changes(old: &Sites, new: &Sites) -> Vec<Change> {
    let amount = |s: &Site| s.in_use.or(s.allocated).unwrap_or_default();
    let mut by_site: HashMap<&str, (Amount, Amount)> = HashMap::new();
    for s in &old.sites {
        by_site.entry(&s.site).or_default().0.join(&amount(s));
    }
    for s in &new.sites {
        by_site.entry(&s.site).or_default().1.join(&amount(s));
    }
    let change = |(site, (was, is)): (&str, (Amount, Amount))| {
        let (delta_bytes, low, high) = was.change_to(&is);
        let (before_bytes, after_bytes) = (was.bytes, is.bytes);
        Change {
            site: site.to_owned(),
            before_bytes,
            after_bytes,
            delta_bytes,
            low,
            high,
            samples: is.samples,
        }
    };
    let mut out: Vec<Change> =
        by_site.into_iter().map(change).filter(|c| c.before_bytes != c.after_bytes).collect();
    out.sort_by(|a, b| b.delta_bytes.total_cmp(&a.delta_bytes).then_with(|| a.site.cmp(&b.site)));
    out
}

fn growth(changes: &[Change], old: &Sites, new: &HeapReport) -> Vec<Finding> {
    let held = new.in_use.is_some();
    let base = old.in_use.or(old.allocated).unwrap_or_default();
    let all = base.change_to(&new.in_use.or(new.allocated).unwrap_or_default());
    let mut out = Vec::new();
    for c in changes.iter().filter(|c| c.is_growth() && c.delta_bytes >= 0.1 * all.0.abs()).take(MOST) {
        let what = if held { "in use" } else { "allocated" };
        let text = format!(
            "{} grew by {} {what} ({} to {})",
            c.site,
            bytes(c.delta_bytes),
            bytes(c.low),
            bytes(c.high)
        );
        let certainty = if held { Certainty::Likely } else { Certainty::CannotTell };
        let cause = if held { Cause::Retention } else { Cause::Churn };
        let mut f = Finding::new(certainty, text)
            .of(cause)
            .because("more than the sampling of both profiles explains");
        if all.0 > 0.0 {
            f = f.because(format!("{} of all growth", percent(c.delta_bytes / all.0)));
        }
        if c.low < MATTERS * base.bytes {
            f = f.but(format!("little beside the {} that were {what} before", bytes(base.bytes)));
            f.certainty = Certainty::CannotTell;
        }
        if c.samples < NOISE {
            f = f.but(format!("{:.0} samples: a few blocks rather than ever more entries", c.samples));
            f.certainty = Certainty::CannotTell;
        }
        f = f.but("two profiles do not show that it goes on: a cache that fills looks the same");
        if !held {
            f = f.but("what was allocated may long be free again");
        }
        out.push(f);
    }
    out
}

fn summary_of_change(old: &Sites, new: &HeapReport, grown: &[Finding]) -> String {
    let (was, is) =
        (old.in_use.or(old.allocated).unwrap_or_default(), new.in_use.or(new.allocated).unwrap_or_default());
    let (delta, low, high) = was.change_to(&is);
    let total =
        format!("from {} to {} ({} to {} more)", bytes(was.bytes), bytes(is.bytes), bytes(low), bytes(high));
    match grown.first() {
        Some(f) => format!("{total}; {}.", f.text),
        None if delta > 0.0 && low > 0.0 => {
            format!("{total}; it grew, but no site by more than sampling explains.")
        }
        None => format!("{total}; no site grew by more than sampling explains."),
    }
}
