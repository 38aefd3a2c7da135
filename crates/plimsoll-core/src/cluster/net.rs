//! Whether evidence would be left when a workload dies, as far as metrics tell it.

use serde::{Deserialize, Serialize};

use super::{Replica, Workload};
use crate::slope::Death;

/// What would be left of a workload after its death.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Net {
    /// An agent watches it, and its audit says that evidence would be written.
    Ready,
    /// An agent watches it, and its audit says that none would be.
    NotReady,
    /// Its heap is full before its limit is reached: the runtime may write a dump, if it was told to.
    Own,
    /// The kernel kills it, after which nothing in it can write; nobody who would write before that is known.
    NoneSeen,
    /// Nobody tells what ends it.
    Unknown,
}

impl Net {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Net::Ready => "ready",
            Net::NotReady => "not ready",
            Net::Own => "its own?",
            Net::NoneSeen => "none seen",
            Net::Unknown => "?",
        }
    }
}

/// The net of the replica whose clock it is.
pub(super) fn net(workload: &Workload, nearest: Option<&Replica>) -> Net {
    let Some(nearest) = nearest else { return Net::Unknown };
    match (nearest.net, nearest.limit().is_some(), workload.death) {
        (Some(true), ..) => Net::Ready,
        (Some(false), ..) => Net::NotReady,
        (None, false, _) => Net::Unknown,
        (None, true, Death::AtFloor) => Net::Own,
        (None, true, Death::AtUsage) => Net::NoneSeen,
    }
}
