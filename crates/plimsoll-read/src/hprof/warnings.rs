//! What was wrong in a dump, with the offset where it was seen. A damaged dump can hold millions of faults:
//! the first ones are kept, the rest counted.

use std::fmt;

/// Warnings kept with their offsets.
pub const KEPT: usize = 64;

/// One thing that could not be read as it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Warning {
    /// Offset in the unpacked stream, bytes.
    pub at: u64,
    /// What is wrong there.
    pub fault: Fault,
}

/// What can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A heap record of a kind that is not known; its length is not known either.
    UnknownHeapRecord {
        /// The kind.
        tag: u8,
        /// Bytes from there on that were not made sense of.
        lost: u64,
    },
    /// A top-level record of a kind that is not known: stepped over by its length.
    UnknownRecord {
        /// The kind.
        tag: u8,
    },
    /// What stands where a top-level record should makes no sense.
    NoRecord {
        /// The kind that it says.
        tag: u8,
        /// Bytes from there on that were not made sense of.
        lost: u64,
    },
    /// A heap record that says it is longer than its segment.
    BeyondSegment {
        /// The kind.
        tag: u8,
        /// Bytes it says it has.
        size: u64,
        /// Bytes from there on that were not made sense of.
        lost: u64,
    },
    /// A record too short for its kind.
    Short {
        /// The kind.
        tag: u8,
        /// Bytes it has.
        size: u64,
    },
    /// A value of a type that is not known.
    UnknownType {
        /// The type.
        kind: u8,
        /// Bytes from there on that were not made sense of.
        lost: u64,
    },
    /// A single record larger than any that is sound; stepped over.
    TooLarge {
        /// The kind.
        tag: u8,
        /// Bytes.
        size: u64,
    },
    /// The length of the heap record is not the real one (the writer's counter wrapped at 4 GiB, or it was
    /// killed before it wrote the length): read on by content.
    LengthUnknown,
    /// The class refers to itself as its ancestor, directly or over others.
    CyclicHierarchy {
        /// The class.
        class: u64,
    },
    /// An ancestor of the class is not in the dump.
    MissingSuperclass {
        /// The class.
        class: u64,
        /// The ancestor.
        superclass: u64,
    },
    /// A class has more reference fields, or more ancestors, than are followed.
    HierarchyTooLarge {
        /// The class.
        class: u64,
    },
    /// The same identifier was given twice; the first one counts.
    Duplicate {
        /// The identifier.
        id: u64,
    },
    /// No name is known for the class.
    NoName {
        /// The class.
        class: u64,
    },
    /// Names and classes fill the memory given for them; later ones are not kept.
    BudgetSpent,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Fault::UnknownHeapRecord { tag, lost } => {
                write!(f, "heap record of unknown kind {tag:#04x}; {lost} bytes not read")
            }
            Fault::UnknownRecord { tag } => write!(f, "record of unknown kind {tag:#04x} stepped over"),
            Fault::NoRecord { tag, lost } => {
                write!(f, "no record where one should be ({tag:#04x}); {lost} bytes not read")
            }
            Fault::BeyondSegment { tag, size, lost } => write!(
                f,
                "heap record {tag:#04x} says {size} bytes, more than its segment has; {lost} bytes not read"
            ),
            Fault::Short { tag, size } => write!(f, "record {tag:#04x} has only {size} bytes"),
            Fault::UnknownType { kind, lost } => {
                write!(f, "value of unknown type {kind}; {lost} bytes not read")
            }
            Fault::TooLarge { tag, size } => write!(f, "record {tag:#04x} of {size} bytes stepped over"),
            Fault::LengthUnknown => f.write_str("length of the heap record is wrong; read on by content"),
            Fault::CyclicHierarchy { class } => write!(f, "class {class:#x} is its own ancestor"),
            Fault::MissingSuperclass { class, superclass } => {
                write!(f, "superclass {superclass:#x} of class {class:#x} is not in the dump")
            }
            Fault::HierarchyTooLarge { class } => {
                write!(f, "class {class:#x} has too many fields or ancestors")
            }
            Fault::Duplicate { id } => write!(f, "identifier {id:#x} given twice; the first one counts"),
            Fault::NoName { class } => write!(f, "class {class:#x} has no name"),
            Fault::BudgetSpent => f.write_str("too many names and classes; later ones are not kept"),
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "offset {}: {}", self.at, self.fault)
    }
}

/// The first warnings, and how many there were.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Warnings {
    kept: Vec<Warning>,
    count: u64,
}

impl Warnings {
    /// Notes a fault at an offset.
    pub fn add(&mut self, at: u64, fault: Fault) {
        self.count = self.count.saturating_add(1);
        if self.kept.len() < KEPT {
            self.kept.push(Warning { at, fault });
        }
    }

    /// The first [`KEPT`] ones.
    pub fn kept(&self) -> &[Warning] {
        &self.kept
    }

    /// How many there were in all.
    pub fn count(&self) -> u64 {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_faults_keep_a_few_and_the_count() {
        let mut warnings = Warnings::default();
        for at in 0..1_000_000 {
            warnings.add(at, Fault::UnknownRecord { tag: 0x7f });
        }
        assert_eq!(warnings.kept().len(), KEPT);
        assert_eq!(warnings.count(), 1_000_000);
        assert_eq!(warnings.kept()[1].to_string(), "offset 1: record of unknown kind 0x7f stepped over");
    }
}
