//! The changes between a good and a bad version, with who follows whom.

use serde::{Deserialize, Serialize};

/// One change: a commit, or a release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Its name: the hash of a commit, the name of a release.
    pub id: String,
    /// What it says of itself.
    pub title: String,
    /// The changes that it follows directly, by their number; those outside of the history are left out.
    pub parents: Vec<usize>,
    /// How likely it is beforehand, beside the others; above zero.
    pub weight: f64,
}

/// Why changes are no history.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// There is nothing to search.
    #[error("there is no change between the good and the bad version")]
    Empty,
    /// A change stands before one that it follows.
    #[error("change {0} stands before a change that it follows")]
    Order(String),
    /// The bad version does not hold a change.
    #[error("the bad version does not hold change {0}")]
    Beside(String),
    /// A weight that is none.
    #[error("the weight of change {0} is not above zero")]
    Weight(String),
}

/// Changes, each after those that it follows. The last one is the bad version, and holds them all.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    changes: Vec<Change>,
}

impl History {
    /// Checks and takes changes.
    ///
    /// # Errors
    /// When they are no history that ends with its last change.
    pub fn new(changes: Vec<Change>) -> Result<History, HistoryError> {
        let history = History { changes };
        let last = history.changes.len().checked_sub(1).ok_or(HistoryError::Empty)?;
        for (at, change) in history.changes.iter().enumerate() {
            if change.parents.iter().any(|p| *p >= at) {
                return Err(HistoryError::Order(change.id.clone()));
            }
            if !(change.weight.is_finite() && change.weight > 0.0) {
                return Err(HistoryError::Weight(change.id.clone()));
            }
        }
        let held = history.held(last);
        match held.iter().position(|h| !h) {
            Some(at) => Err(HistoryError::Beside(history.changes[at].id.clone())),
            None => Ok(history),
        }
    }

    /// Changes that follow one another, such as releases.
    ///
    /// # Errors
    /// When there is none.
    pub fn line(ids: &[String]) -> Result<History, HistoryError> {
        let change = |(at, id): (usize, &String)| Change {
            id: id.clone(),
            title: String::new(),
            parents: at.checked_sub(1).into_iter().collect(),
            weight: 1.0,
        };
        History::new(ids.iter().enumerate().map(change).collect())
    }

    /// All of them, in their order.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// The number of the bad version.
    pub fn last(&self) -> usize {
        self.changes.len() - 1
    }

    /// Which changes the version that ends with this one holds.
    pub fn held(&self, at: usize) -> Vec<bool> {
        let mut held = vec![false; self.changes.len()];
        let mut open = vec![at];
        while let Some(at) = open.pop() {
            if !std::mem::replace(&mut held[at], true) {
                open.extend(&self.changes[at].parents);
            }
        }
        held
    }

    /// For each version the sum of what the changes that it holds weigh.
    pub(super) fn sums(&self, weights: &[f64]) -> Vec<f64> {
        let mut sums: Vec<f64> = Vec::with_capacity(weights.len());
        for (at, change) in self.changes.iter().enumerate() {
            let sum = match change.parents.as_slice() {
                [] => weights[at],
                // What follows one change only holds what that holds, and itself.
                [one] => sums[*one] + weights[at],
                _ => self.held(at).iter().zip(weights).filter_map(|(h, w)| h.then_some(w)).sum(),
            };
            sums.push(sum);
        }
        sums
    }

    /// The versions among `of` that hold a change, as bits: two changes with the same bits are told apart by none of them.
    pub(super) fn holders(&self, change: usize, of: &[bool]) -> Vec<u64> {
        let mut holds = vec![false; self.changes.len()];
        holds[change] = true;
        let mut bits = vec![0_u64; self.changes.len().div_ceil(64)];
        for at in change..self.changes.len() {
            holds[at] |= self.changes[at].parents.iter().any(|p| holds[*p]);
            if holds[at] && of[at] {
                bits[at / 64] |= 1 << (at % 64);
            }
        }
        bits
    }
}
