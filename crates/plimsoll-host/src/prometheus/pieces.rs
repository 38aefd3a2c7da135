//! A cluster's history piece by piece: some namespaces at a time, or some workloads of a large one, so that neither the server nor this
//! program holds all of it.

use std::collections::BTreeSet;
use std::fmt;

use super::client::Client;
use super::key;
use super::past::{Asked, Pods};
use super::workloads::{History, HistoryError, Options, Survey};

/// Series of the namespaces that are asked for together; a namespace that has more is a piece of its own.
const TOGETHER: usize = 1000;
/// A namespace that has more than that is taken apart.
const LARGE: usize = 4000;
/// Bytes of the names of pods in one question: servers refuse long ones, one of them from 16 KiB on.
pub(super) const NAMES: usize = 12_000;

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

/// What is asked for at once.
#[derive(Debug, Clone, PartialEq)]
pub struct Piece {
    namespaces: Vec<String>,
    /// Of the only namespace, where it is taken apart.
    pods: Option<Pods>,
}

impl fmt::Display for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = self.namespaces.first().map_or("", String::as_str);
        match (&self.pods, self.namespaces.len()) {
            (Some(Pods::Named(pods)), _) => match pods.as_slice() {
                [] => write!(f, "no pods of namespace {first:?}"),
                [one] => write!(f, "pod {one} of namespace {first:?}"),
                [one, .., last] => {
                    write!(f, "{} pods of namespace {first:?}, {one} to {last}", pods.len())
                }
            },
            (Some(Pods::Beginning(name)), _) => write!(f, "pods {name}* of namespace {first:?}"),
            (Some(Pods::None), _) => write!(f, "what is no pod in namespace {first:?}"),
            (None, 0 | 1) => write!(f, "namespace {first:?}"),
            (None, more) => write!(f, "namespace {first:?} and {} more", more - 1),
        }
    }
}

/// The pieces of a history.
pub struct Pieces<'a> {
    client: &'a Client,
    options: &'a Options,
    survey: Survey<'a>,
    pieces: Vec<Piece>,
}

impl fmt::Debug for Pieces<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
        let survey = Survey::of(&Asked { client, options, pods: None }, options)?;
        let mine = survey.namespaces.iter().filter(|(name, _)| shard.is_none_or(|s| s.has(name)));
        let together = together(mine.map(|(name, series)| (name.as_str(), *series)));
        let whole = together.into_iter().map(|namespaces| Piece { namespaces, pods: None }).collect();
        let mut pieces = Pieces { client, options, survey, pieces: whole };
        pieces.take_apart();
        Ok(pieces)
    }

    /// Each piece.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// The history of a piece.
    ///
    /// # Errors
    /// [`HistoryError`]
    pub fn history(&self, piece: &Piece) -> Result<History, HistoryError> {
        let options = self.options_of(piece);
        let asked = Asked { client: self.client, options: &options, pods: piece.pods.as_ref() };
        self.survey.history(&asked, &options)
    }

    fn options_of(&self, piece: &Piece) -> Options {
        let mut options = self.options.clone();
        let own = matcher(&piece.namespaces);
        // All that there is needs no words for it.
        if self.pieces.len() > 1 || self.survey.namespaces.len() > piece.namespaces.len() {
            options.selector = match options.selector.as_str() {
                "" => own,
                selector => format!("{selector},{own}"),
            };
        }
        options
    }

    /// Takes large namespaces apart, by the names of their pods; as they are where the server does not tell these.
    fn take_apart(&mut self) {
        let of = |piece: &Piece| match piece.namespaces.as_slice() {
            [one] => self.survey.namespaces.get(one).copied().filter(|series| *series > LARGE),
            _ => None,
        };
        let apart = |piece: &Piece| {
            let pods = self.pods(piece).filter(|pods| !pods.is_empty())?;
            let parts = by_owner(pods).into_iter().chain([Pods::None]);
            Some(parts.map(|pods| Piece { pods: Some(pods), ..piece.clone() }).collect::<Vec<_>>())
        };
        let parts =
            |piece: &Piece| of(piece).and_then(|_| apart(piece)).unwrap_or_else(|| vec![piece.clone()]);
        self.pieces = self.pieces.iter().flat_map(parts).collect();
    }

    fn pods(&self, piece: &Piece) -> Option<Vec<String>> {
        let mut options = self.options.clone();
        let own = matcher(&piece.namespaces);
        options.selector =
            if options.selector.is_empty() { own } else { format!("{},{own}", options.selector) };
        let asked = Asked { client: self.client, options: &options, pods: None };
        let numbers = self.survey.whole.iter().chain(&self.survey.heaps);
        let of = numbers.map(|number| asked.pods(&number.metric)).collect::<Result<Vec<_>, _>>();
        let all: BTreeSet<String> = of.ok()?.into_iter().flatten().collect();
        Some(all.into_iter().collect())
    }
}

/// Pods that may have the same owner stand together, as many as a question holds. Where one has more, all are asked for whose names begin
/// as its pods do.
fn by_owner(mut pods: Vec<String>) -> Vec<Pods> {
    pods.sort_by(|a, b| (key::shortest_owner(a), a).cmp(&(key::shortest_owner(b), b)));
    let bytes = |owned: &[String]| owned.iter().map(|pod| pod.len() + 1).sum::<usize>();
    let owned = pods.chunk_by(|a, b| key::shortest_owner(a) == key::shortest_owner(b));
    let large: Vec<&str> = owned.filter(|owned| bytes(owned) > NAMES).map(common_begin).collect();
    let is_first = |begin: &&str| !large.iter().any(|other| other != begin && begin.starts_with(other));
    let begins: BTreeSet<&str> = large.iter().copied().filter(|begin| is_first(begin)).collect();
    let is_left = |pod: &&String| !begins.iter().any(|begin| pod.starts_with(begin));
    let left: Vec<String> = pods.iter().filter(is_left).cloned().collect();
    let (mut parts, mut long): (Vec<Vec<String>>, usize) = (Vec::new(), 0);
    for owned in left.chunk_by(|a, b| key::shortest_owner(a) == key::shortest_owner(b)) {
        match parts.last_mut().filter(|_| long + bytes(owned) <= NAMES) {
            Some(part) => part.extend_from_slice(owned),
            None => {
                parts.push(owned.to_vec());
                long = 0;
            }
        }
        long += bytes(owned);
    }
    let large = begins.iter().map(|begin| Pods::Beginning((*begin).to_owned()));
    large.chain(parts.into_iter().map(Pods::Named)).collect()
}

/// What all of some names begin with.
fn common_begin(names: &[String]) -> &str {
    let Some((first, rest)) = names.split_first() else { return "" };
    rest.iter().fold(first.as_str(), |begin, name| {
        let same = begin.char_indices().zip(name.chars()).find(|((_, a), b)| a != b);
        &begin[..same.map_or(begin.len().min(name.len()), |((at, _), _)| at)]
    })
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
    fn pods_of_a_large_namespace_are_asked_for_with_all_of_their_owner() {
        let name = |owner: usize, n: usize| format!("service-{owner}-{:x}c7b9c8d-x2x7{n}", 16 + owner % 3);
        let pods: Vec<String> = (0..3000).map(|k| name(k / 5, k % 5)).collect();
        let parts = by_owner(pods.clone());
        let named = |part: &Pods| match part {
            Pods::Named(pods) => pods.clone(),
            other => panic!("{other:?}"),
        };
        let parts: Vec<Vec<String>> = parts.iter().map(named).collect();
        let bytes = |part: &Vec<String>| part.iter().map(|p| p.len() + 1).sum::<usize>();
        assert!(parts.len() > 5 && parts.iter().all(|part| bytes(part) <= NAMES), "{}", parts.len());
        let mut all: Vec<String> = parts.concat();
        all.sort();
        let mut want = pods;
        want.sort();
        assert_eq!(all, want, "each once");
        for part in &parts {
            let owners: BTreeSet<&str> = part.iter().map(|p| key::shortest_owner(p)).collect();
            let mut elsewhere = parts.iter().filter(|other| *other != part).flatten();
            assert!(!elsewhere.any(|p| owners.contains(key::shortest_owner(p))));
        }
        let piece = Piece { namespaces: vec!["shop".into()], pods: Some(Pods::Named(parts[0].clone())) };
        assert!(piece.to_string().contains("pods of namespace \"shop\", service-0-"), "{piece}");
    }

    #[test]
    fn every_pod_is_in_one_part_however_many_its_owner_has() {
        let many = |name: &str, count: usize| (0..count).map(|n| format!("{name}-{n}")).collect::<Vec<_>>();
        let long = "checkout-and-payment-orchestration-service-worker";
        let cut = "payment-reconciliation-batch-processor-of-the-night-shift-team";
        let made_up = |name: &str, count: usize| -> Vec<String> {
            (0..count).map(|n| format!("{}{:05}", &name[..58.min(name.len())], n)).collect()
        };
        let pods = [
            many("a", 3),
            vec!["db".to_owned()],
            many("db", 2000),
            many("db-backup", 3),
            many("dba", 3),
            many(long, 300),
            made_up(cut, 300),
            (0..50).map(|n| format!("api-frontend-{n}-x2x7z")).collect(),
            (0..600).map(|n| format!("api-frontend-5d4f8c7b9c-x{n:04}")).collect(),
            (0..400).map(|n| format!("api-backend-{n}-5d4f8c7b9c-x2x7z")).collect(),
        ]
        .concat();
        let parts = by_owner(pods.clone());
        let holds = |part: &Pods, pod: &String| match part {
            Pods::Named(named) => named.contains(pod),
            Pods::Beginning(begin) => pod.starts_with(begin),
            Pods::None => false,
        };
        for pod in &pods {
            assert_eq!(parts.iter().filter(|part| holds(part, pod)).count(), 1, "{pod}: {parts:?}");
        }
        let large = parts.iter().filter(|part| matches!(part, Pods::Beginning(_))).count();
        assert_eq!(large, 4, "{parts:?}");
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
