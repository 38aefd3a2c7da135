//! What is written comes back to the last bit; cuts and damage cost what they hit and no more.

use std::collections::{BTreeMap, BTreeSet};

use plimsoll_core::fact::Fact;
use proptest::prelude::*;

use super::*;

type Samples = Vec<(u64, f64, Fact, f64)>;

/// Keeps everything.
#[derive(Default)]
struct Kept {
    samples: Samples,
    subjects: BTreeMap<u64, String>,
    unknown: Vec<(u64, Fact, String)>,
    gone: Vec<u64>,
}

impl Sink for Kept {
    fn subject(&mut self, number: u64, text: &str) {
        self.subjects.insert(number, text.to_owned());
    }

    fn unknown(&mut self, number: u64, fact: Fact, why: &str) {
        self.unknown.push((number, fact, why.to_owned()));
    }

    fn gone(&mut self, number: u64) {
        self.gone.push(number);
    }

    fn sample(&mut self, number: u64, t: f64, fact: Fact, v: f64) {
        self.samples.push((number, t, fact, v));
    }
}

fn kept(bytes: &[u8]) -> (Kept, Report) {
    let mut kept = Kept::default();
    let report = read(bytes, &mut kept);
    (kept, report)
}

/// One instant: what every subject says.
type Row = (f64, BTreeMap<u64, BTreeMap<Fact, f64>>);

fn written(rows: &[Row]) -> (Vec<u8>, Vec<usize>, Samples) {
    let (mut writer, mut out) = (Writer::default(), Vec::new());
    let (mut ends, mut samples) = (Vec::new(), Vec::new());
    let none = BTreeMap::new();
    for (t, subjects) in rows {
        let text = || "someone".to_owned();
        let look = |(number, facts)| Look { number, class: 0, text: &text, facts, unknown: &none };
        let looks: Vec<Look<'_>> = subjects.iter().map(|(n, f)| look((*n, f))).collect();
        writer.row(*t, 1, &looks, &mut out);
        ends.push(out.len());
        for (number, facts) in subjects {
            samples.extend(facts.iter().map(|(fact, v)| (*number, *t, *fact, *v)));
        }
    }
    (out, ends, samples)
}

fn sorted(mut samples: Samples) -> Samples {
    samples.sort_by(|a, b| a.1.total_cmp(&b.1).then((a.0, a.2).cmp(&(b.0, b.2))));
    samples
}

/// A program that leaks beside one that rests, for two blocks and a bit.
fn leak() -> Vec<Row> {
    let row = |i: u64| {
        let t = 1_700_000_000.0 + (i * 10_003) as f64 / 1e3;
        let mut facts = BTreeMap::from([
            (Fact::Rss, (1000 + i * 3) as f64 * 4096.0),
            (Fact::JvmGcSeconds, i as f64 / 3.0),
            (Fact::CgroupPsiFull, i as f64 * 0.000_125),
        ]);
        if i.is_multiple_of(7) {
            facts.remove(&Fact::CgroupPsiFull);
        }
        let still = BTreeMap::from([(Fact::Rss, 4096.0), (Fact::CgroupLimit, 1e9 + 1.0)]);
        let mut all = BTreeMap::from([(1, facts), (2, still)]);
        if i > 400 {
            all.remove(&2);
        }
        (t, all)
    };
    (0..800).map(row).collect()
}

#[test]
fn what_is_written_is_read_to_the_last_bit() {
    let (bytes, _, samples) = written(&leak());
    let (kept, report) = kept(&bytes);
    assert_eq!((report.rows, report.blocks, report.torn), (800, 3, 0));
    assert!(report.lost.is_empty());
    assert_eq!(report.samples as usize, samples.len());
    assert_eq!(sorted(kept.samples), sorted(samples));
    assert_eq!(kept.gone, [2]);
}

#[test]
fn a_cut_costs_what_was_not_whole_and_says_so() {
    let (bytes, ends, _) = written(&leak()[..20]);
    for cut in 0..=bytes.len() {
        let (kept, report) = kept(&bytes[..cut]);
        let whole = ends.iter().filter(|e| **e <= cut).count();
        assert_eq!(report.rows as usize, whole, "cut at {cut}");
        assert!(report.lost.is_empty(), "cut at {cut}: {:?}", report.lost);
        assert!(kept.samples.iter().all(|s| s.3.is_finite()));
        if ends.contains(&cut) {
            assert_eq!(report.torn, 0, "cut at {cut}");
        }
    }
}

#[test]
fn a_damaged_record_costs_its_block_and_no_other() {
    let (bytes, _, _) = written(&leak());
    let blocks: Vec<usize> = memchr::memmem::find_iter(&bytes, &MARK).collect();
    let block_of = |at: usize| blocks.iter().filter(|b| **b <= at).count();
    let exact = |s: &(u64, f64, Fact, f64)| (s.0, s.1.to_bits(), s.2, s.3.to_bits());
    let all: BTreeSet<_> = kept(&bytes).0.samples.iter().map(exact).collect();
    for at in (0..bytes.len()).step_by(37) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        let (kept, report) = kept(&damaged);
        let hurt = block_of(at) as u64;
        // The samples of the blocks beside it are all there; of its own, those before.
        let rows_elsewhere = if hurt == 3 { 720 } else { 440 };
        assert!(report.rows >= rows_elsewhere, "damage at {at}: {} rows", report.rows);
        assert!(!report.lost.is_empty() || report.torn > 0, "damage at {at} is not told");
        assert!(kept.samples.iter().all(|s| all.contains(&exact(s))), "damage at {at} invents samples");
    }
}

#[test]
fn strangers_are_no_series() {
    let (kept, report) = kept(b"JAVA PROFILE 1.0.2");
    assert!(kept.samples.is_empty() && report.blocks == 0);
    assert_eq!(report.lost.len(), 1);
    let text = [MARK.as_slice(), &[0xFF; 40]].concat();
    assert_eq!(read(&text, &mut Kept::default()).lost.len(), 1);
}

#[test]
fn unknowns_are_told_with_their_reason_once_a_block() {
    let (mut writer, mut out) = (Writer::default(), Vec::new());
    let unknown = BTreeMap::from([(Fact::CgroupHigh, "nobody sets it".to_owned())]);
    let facts = BTreeMap::from([(Fact::Rss, 8192.0)]);
    let text = || "{}".to_owned();
    for i in 0..3 {
        let look = Look { number: 9, class: 3, text: &text, facts: &facts, unknown: &unknown };
        // A class that was not sampled says nothing, and nobody of it is gone.
        let sampled = i != 1;
        writer.row(
            f64::from(i),
            u8::from(sampled) << 3,
            if sampled { std::slice::from_ref(&look) } else { &[] },
            &mut out,
        );
    }
    let (kept, report) = kept(&out);
    assert_eq!(kept.unknown, [(9, Fact::CgroupHigh, "nobody sets it".to_owned())]);
    assert_eq!((report.rows, report.samples, kept.gone.len()), (3, 2, 0));
}

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        (0u32..1_000_000).prop_map(|n| f64::from(n) * 4096.0),
        (0u64..1 << 53).prop_map(|n| n as f64),
        (0u32..u32::MAX).prop_map(|n| f64::from(n) / 1e6),
        (0u32..u32::MAX).prop_map(|n| f64::from(n) / 1e3),
        proptest::num::f64::POSITIVE,
        Just(0.0),
    ]
}

fn facts() -> impl Strategy<Value = BTreeMap<Fact, f64>> {
    let fact = (0..Fact::ALL.len()).prop_map(|i| Fact::ALL[i]);
    proptest::collection::btree_map(fact, value(), 0..6)
}

proptest! {
    #[test]
    fn any_samples_come_back(rows in proptest::collection::vec(
        (0u32..100_000, proptest::collection::btree_map(0u64..5, facts(), 0..5)), 1..40,
    )) {
        let mut t = 1.7e9;
        let mut instants = Vec::new();
        for (step, subjects) in rows {
            t = ((t + 0.001 + f64::from(step) / 1e3) * 1e3).round() / 1e3;
            instants.push((t, subjects));
        }
        let (bytes, _, samples) = written(&instants);
        let (kept, report) = kept(&bytes);
        prop_assert!(report.lost.is_empty() && report.torn == 0);
        prop_assert_eq!(sorted(kept.samples), sorted(samples));
    }

    #[test]
    fn no_bytes_break_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let bytes = [MARK.as_slice(), &bytes].concat();
        let (kept, _) = kept(&bytes);
        prop_assert!(kept.samples.iter().all(|s| s.3.is_finite()));
    }
}
