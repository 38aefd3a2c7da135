//! Where memory is allocated: samples gathered by the innermost frame that is not the allocator's.

use std::collections::HashMap;

use super::model::{Profile, Sample};
use super::sampling::Amount;

/// Functions that allocate for others.
const ALLOCATORS: &[&str] = &[
    "runtime.",
    // Where maps of Go grow since 1.24.
    "internal/runtime/",
    "malloc",
    "calloc",
    "realloc",
    "operator new",
    "tc_",
    "tcmalloc::",
    "je_",
    "prof_",
    "__libc_",
    "libjemalloc",
    "libtcmalloc",
    "libc.so",
    "alloc::",
    "__rust_alloc",
    "__rdl_alloc",
    "std::alloc",
];
/// Frames of a stack that a site keeps.
const SHOWN: usize = 16;
/// Depths at which profilers cut stacks.
const DEPTHS: [usize; 3] = [32, 64, 128];

/// A place of the program with what it allocated.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Site {
    /// `function (file:line)`.
    pub site: String,
    /// What is still in use; none when the profile does not say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_use: Option<Amount>,
    /// What was ever allocated; none when the profile does not say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allocated: Option<Amount>,
    /// Its largest stack, innermost first.
    pub stack: Vec<String>,
}

impl Site {
    /// Part of what was ever allocated here that is still in use.
    pub fn kept(&self) -> Option<f64> {
        let (in_use, all) = (self.in_use?, self.allocated?);
        (all.bytes > 0.0).then(|| in_use.bytes / all.bytes)
    }
}

/// Which values of the samples are which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Roles {
    in_use: Option<(Option<usize>, usize)>,
    allocated: Option<(Option<usize>, usize)>,
}

impl Roles {
    pub(super) fn of(profile: &Profile) -> Self {
        let pair =
            |objects: &[&str], bytes: &[&str]| profile.of_type(bytes).map(|b| (profile.of_type(objects), b));
        let all = ["alloc_space", "alloc_in_new_tlab_bytes", "alloc_size"];
        Roles {
            in_use: pair(&["inuse_objects", "objects"], &["inuse_space", "space", "inuse_size", "live"]),
            allocated: pair(&["alloc_objects", "alloc_in_new_tlab_objects"], &all),
        }
    }

    /// Whether the profile is of memory at all.
    pub(super) fn any(self) -> bool {
        self.in_use.is_some() || self.allocated.is_some()
    }
}

/// All sites of a profile.
#[derive(Debug, Default)]
pub(super) struct Sites {
    pub(super) sites: Vec<Site>,
    pub(super) in_use: Option<Amount>,
    pub(super) allocated: Option<Amount>,
    /// Samples whose stack is exactly as deep as profilers cut them.
    pub(super) at_depth: usize,
}

#[derive(Default, Clone)]
struct Open {
    in_use: Amount,
    allocated: Amount,
    largest: f64,
    stack: Vec<u32>,
}

pub(super) fn gather(profile: &Profile, roles: Roles) -> Sites {
    let interval = profile.period as f64;
    let mut open: HashMap<Option<u32>, Open> = HashMap::new();
    let allocator: Vec<bool> = profile.frames.iter().map(|f| is_allocator(&f.function)).collect();
    let mut out = Sites::default();
    for s in profile.samples() {
        let mut frames = profile.stack(s);
        let site = frames.find(|f| allocator.get(*f as usize) == Some(&false));
        let slot = open.entry(site).or_default();
        let in_use = amount(&s, roles.in_use, interval);
        let allocated = amount(&s, roles.allocated, interval);
        slot.in_use.join(&in_use);
        slot.allocated.join(&allocated);
        let weight = if roles.in_use.is_some() { in_use.bytes } else { allocated.bytes };
        if weight > slot.largest || slot.stack.is_empty() {
            slot.largest = weight;
            slot.stack = site.into_iter().chain(frames).take(SHOWN).collect();
        }
        out.at_depth += usize::from(DEPTHS.contains(&s.locations.len()));
    }
    out.finish(profile, roles, open)
}

impl Sites {
    fn finish(mut self, profile: &Profile, roles: Roles, open: HashMap<Option<u32>, Open>) -> Self {
        let (mut in_use, mut allocated) = (Amount::default(), Amount::default());
        // Sums of fractions depend on their order: always the same one.
        let mut open: Vec<_> = open.into_iter().collect();
        open.sort_unstable_by_key(|(site, _)| *site);
        for (site, mut o) in open {
            in_use.join(&o.in_use);
            allocated.join(&o.allocated);
            o.in_use.close();
            o.allocated.close();
            let place = |f: u32| profile.frame(f).map(super::model::Frame::place);
            let name = site.and_then(place).unwrap_or_else(|| "(no frame of the program)".to_owned());
            self.sites.push(Site {
                site: name,
                in_use: roles.in_use.map(|_| o.in_use),
                allocated: roles.allocated.map(|_| o.allocated),
                stack: o.stack.into_iter().filter_map(place).collect(),
            });
        }
        in_use.close();
        allocated.close();
        self.in_use = roles.in_use.map(|_| in_use);
        self.allocated = roles.allocated.map(|_| allocated);
        self.sites.sort_by(|a, b| weight(b).total_cmp(&weight(a)).then_with(|| a.site.cmp(&b.site)));
        self
    }
}

/// What sites are ranked by: bytes in use, else bytes allocated.
fn weight(site: &Site) -> f64 {
    site.in_use.or(site.allocated).map_or(0.0, |a| a.bytes)
}

fn amount(s: &Sample<'_>, role: Option<(Option<usize>, usize)>, interval: f64) -> Amount {
    let mut out = Amount::default();
    let Some((objects, bytes)) = role else { return out };
    let value = |i: usize| s.values.get(i).map_or(0.0, |v| *v as f64);
    out.add(objects.map_or(0.0, value), value(bytes), s.size as f64, interval);
    out
}

fn is_allocator(function: &str) -> bool {
    ALLOCATORS.iter().any(|a| function.starts_with(a))
}
