//! A cluster's history piece by piece: some namespaces at a time, so that neither the server nor this program holds all of it.

use super::client::Client;
use super::past::Asked;
use super::workloads::{History, HistoryError, Options, Survey};

/// Series of the namespaces that are asked for together; a namespace that has more is a piece of its own.
const TOGETHER: usize = 1000;

/// One of `of` processes that share the namespaces of a cluster; counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// Which.
    pub number: u64,
    /// Of how many.
    pub of: u64,
}

impl Shard {
    /// Whether a namespace is its; every process says the same.
    fn has(self, namespace: &str) -> bool {
        // FNV-1a: the same in every version of this program.
        let hash = namespace
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
        hash % self.of.max(1) + 1 == self.number
    }
}

/// The pieces of a history.
pub struct Pieces<'a> {
    client: &'a Client,
    options: &'a Options,
    survey: Survey<'a>,
    /// Namespaces of each piece.
    pieces: Vec<Vec<String>>,
}

impl std::fmt::Debug for Pieces<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pieces").field("pieces", &self.pieces).finish_non_exhaustive()
    }
}

impl<'a> Pieces<'a> {
    /// Asks which namespaces there are, and puts them together.
    ///
    /// # Errors
    /// [`HistoryError`]
    pub fn of(
        client: &'a Client,
        options: &'a Options,
        shard: Option<Shard>,
    ) -> Result<Pieces<'a>, HistoryError> {
        let survey = Survey::of(&Asked { client, options }, options)?;
        let mine = survey.namespaces.iter().filter(|(name, _)| shard.is_none_or(|s| s.has(name)));
        let pieces = together(mine.map(|(name, series)| (name.as_str(), *series)));
        Ok(Pieces { client, options, survey, pieces })
    }

    /// Namespaces of each piece.
    pub fn namespaces(&self) -> &[Vec<String>] {
        &self.pieces
    }

    /// The history of some namespaces.
    ///
    /// # Errors
    /// [`HistoryError`]
    pub fn history(&self, namespaces: &[String]) -> Result<History, HistoryError> {
        let mut options = self.options.clone();
        let own = matcher(namespaces);
        // All that there is needs no words for it.
        if self.pieces.len() > 1 || self.survey.namespaces.len() > namespaces.len() {
            options.selector = match options.selector.as_str() {
                "" => own,
                selector => format!("{selector},{own}"),
            };
        }
        self.survey.history(&Asked { client: self.client, options: &options }, &options)
    }
}

/// Namespaces in order, put together while they have no more series than that; names that a pattern would take for
/// something else stand alone.
fn together<'a>(all: impl Iterator<Item = (&'a str, usize)>) -> Vec<Vec<String>> {
    let is_plain = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    let mut pieces: Vec<Vec<String>> = Vec::new();
    let mut sum = usize::MAX;
    for (name, series) in all {
        match pieces.last_mut().filter(|_| is_plain(name) && sum.saturating_add(series) <= TOGETHER) {
            Some(piece) => piece.push(name.to_owned()),
            None => {
                pieces.push(vec![name.to_owned()]);
                sum = if is_plain(name) { 0 } else { usize::MAX };
            }
        }
        sum = sum.saturating_add(series);
    }
    pieces
}

fn matcher(namespaces: &[String]) -> String {
    match namespaces {
        [one] => {
            format!("namespace=\"{}\"", one.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
        }
        some => format!("namespace=~\"{}\"", some.join("|")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_are_put_together_up_to_a_number_of_series() {
        let all = [("", 5), ("a", 400), ("b", 600), ("c", 1), ("d", 5000), ("e.x", 1), ("f", 1)];
        let pieces = together(all.into_iter());
        assert_eq!(pieces, [vec![""], vec!["a", "b"], vec!["c"], vec!["d"], vec!["e.x"], vec!["f"]]);
        assert_eq!(matcher(&pieces[1]), "namespace=~\"a|b\"");
        assert_eq!(matcher(&["a\"b\\".to_owned()]), "namespace=\"a\\\"b\\\\\"");
    }

    #[test]
    fn every_namespace_is_of_exactly_one_shard() {
        let names: Vec<String> = (0..200).map(|n| format!("team-{n}")).collect();
        let mut shares = [0; 3];
        for name in &names {
            let of: Vec<u64> = (1..=3).filter(|number| Shard { number: *number, of: 3 }.has(name)).collect();
            assert_eq!(of.len(), 1, "{name}");
            shares[of[0] as usize - 1] += 1;
        }
        assert!(shares.iter().all(|share| *share > 40), "{shares:?}");
    }
}
