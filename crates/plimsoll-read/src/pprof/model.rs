//! A profile as data, whatever its format: samples, their stacks and their values.

use std::collections::HashMap;

use crate::reading::{Warnings, clip};

/// Bytes that a profile may take in memory.
pub(super) const BUDGET: usize = 512 << 20;
/// Kinds of value that a sample may have.
pub(super) const TYPES: usize = 16;
/// Bytes that a name keeps.
const NAME: usize = 512;

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Frame {
    /// The function, or `object+0xoffset` where names are missing.
    pub function: String,
    /// The file's path; empty when unknown.
    pub file: String,
    /// The line; 0 when unknown.
    pub line: u64,
}

impl Frame {
    /// `function (file:line)` without the folders.
    pub fn place(&self) -> String {
        match self.file.rsplit('/').next() {
            Some(file) if !file.is_empty() => format!("{} ({file}:{})", self.function, self.line),
            _ => self.function.clone(),
        }
    }
}

/// What a value of the samples means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueType {
    /// `inuse_space`, `alloc_objects`, `goroutine`, …
    pub name: String,
    /// `bytes`, `count`, …
    pub unit: String,
}

/// A profile.
#[derive(Debug, Default)]
pub struct Profile {
    /// The format in words.
    pub format: String,
    /// What each value of a sample means.
    pub types: Vec<ValueType>,
    /// Bytes (or whatever the values count) between two samples; 0 when not said.
    pub period: u64,
    /// When it was taken, nanoseconds of the Unix clock; 0 when not said.
    pub time_nanos: i64,
    /// Bytes of the artifact as given.
    pub bytes: u64,
    /// Why it is not whole, when it is not.
    pub truncated: Option<String>,
    /// What else to know before believing it.
    pub warnings: Warnings,
    pub(super) frames: Vec<Frame>,
    /// Per location: its frames, innermost first (more than one where functions were inlined).
    pub(super) locations: Vec<Vec<u32>>,
    /// Locations of all samples, one after another, innermost first.
    stacks: Vec<u32>,
    /// Where each sample's locations end.
    ends: Vec<usize>,
    values: Vec<i64>,
    /// Size of each sample's objects, bytes, 0 when not said.
    sizes: Vec<u64>,
    /// Text labels of the samples that have any.
    pub(super) labels: HashMap<usize, Vec<String>>,
    pub(super) used: usize,
}

/// One sample of a profile.
#[derive(Debug, Clone, Copy)]
pub struct Sample<'a> {
    /// Its number.
    index: usize,
    pub(super) locations: &'a [u32],
    /// One value per type.
    pub values: &'a [i64],
    /// Size of its objects, bytes, 0 when not said.
    pub size: u64,
}

impl Profile {
    /// Samples in the profile.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether it has no sample.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Every sample in order.
    pub fn samples(&self) -> impl Iterator<Item = Sample<'_>> {
        let n = self.types.len();
        (0..self.ends.len()).map(move |index| {
            let from = index.checked_sub(1).and_then(|i| self.ends.get(i)).copied().unwrap_or(0);
            let to = self.ends.get(index).copied().unwrap_or(from);
            Sample {
                index,
                locations: self.stacks.get(from..to).unwrap_or_default(),
                values: self.values.get(index * n..(index + 1) * n).unwrap_or_default(),
                size: self.sizes.get(index).copied().unwrap_or(0),
            }
        })
    }

    /// The frames of a stack, innermost first, by number.
    pub(super) fn stack<'a>(&'a self, sample: Sample<'a>) -> impl Iterator<Item = u32> + 'a {
        let location = |l: &u32| self.locations.get(*l as usize);
        sample.locations.iter().filter_map(location).flatten().copied()
    }

    /// The text labels of a sample, `key: value`.
    pub(crate) fn labels_of(&self, sample: Sample<'_>) -> &[String] {
        self.labels.get(&sample.index).map(Vec::as_slice).unwrap_or_default()
    }

    /// The frames of a stack, innermost first.
    pub fn frames_of<'a>(&'a self, sample: Sample<'a>) -> impl Iterator<Item = &'a Frame> + 'a {
        self.stack(sample).filter_map(|f| self.frame(f))
    }

    /// A frame by number.
    pub(super) fn frame(&self, number: u32) -> Option<&Frame> {
        self.frames.get(number as usize)
    }

    /// The first type with one of these names, the earlier name first.
    pub(super) fn of_type(&self, names: &[&str]) -> Option<usize> {
        names.iter().find_map(|n| self.types.iter().position(|t| t.name == *n))
    }

    /// Adds a frame; gives its number.
    pub(super) fn add_frame(&mut self, function: &str, file: &str, line: u64) -> u32 {
        let frame = Frame { function: clip(function, NAME), file: clip(file, NAME), line };
        self.used += size_of::<Frame>() + frame.function.len() + frame.file.len();
        self.frames.push(frame);
        u32::try_from(self.frames.len() - 1).unwrap_or(u32::MAX)
    }

    /// Adds a location; gives its number.
    pub(super) fn add_location(&mut self, frames: Vec<u32>) -> u32 {
        self.used += size_of::<Vec<u32>>() + 4 * frames.len();
        self.locations.push(frames);
        u32::try_from(self.locations.len() - 1).unwrap_or(u32::MAX)
    }

    /// Adds a sample; too many or too few values are cut or filled with 0.
    pub(super) fn add_sample(&mut self, locations: impl Iterator<Item = u32>, values: &[i64], size: u64) {
        let before = self.stacks.len();
        self.stacks.extend(locations);
        self.ends.push(self.stacks.len());
        let n = self.types.len();
        self.values.extend(values.iter().copied().chain(std::iter::repeat(0)).take(n));
        self.sizes.push(size);
        self.used += 4 * (self.stacks.len() - before) + 8 * n + 16;
    }

    /// Whether there is room for more; says once that there is not.
    pub(super) fn has_room(&mut self) -> bool {
        if self.used < BUDGET {
            return true;
        }
        self.truncated.get_or_insert_with(|| "it needs more than 512 MiB: the rest was not read".to_owned());
        false
    }
}
