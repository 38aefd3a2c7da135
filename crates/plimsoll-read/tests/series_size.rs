//! What series of real processes take: recordings of an agent that looked once a second for five minutes at a JVM, a Go
//! program, Node.js and CPython, each of which fills a map and makes garbage, under a limit.

use std::collections::BTreeMap;
use std::io::BufReader;
use std::path::Path;

use flate2::read::GzDecoder;
use plimsoll_core::fact::Fact;
use plimsoll_core::recording::{Observation, Recording};
use plimsoll_read::series_file::{Look, Report, Sink, Writer, read};

/// Bytes that a sample may take, each process alone in its file: together they share the instants.
const MOST: f64 = 2.0;

#[derive(Default)]
struct Kept(BTreeMap<u64, BTreeMap<Fact, f64>>);

impl Sink for Kept {
    fn subject(&mut self, _number: u64, _text: &str) {}

    fn sample(&mut self, _number: u64, t: f64, fact: Fact, v: f64) {
        self.0.entry(t.to_bits()).or_default().insert(fact, v);
    }
}

/// What a fact is a number of: the process, its group, or the machine.
fn subject(fact: Fact) -> u64 {
    match fact.key() {
        key if key.starts_with("host.") => 0,
        key if key.starts_with("cgroup.") => 1,
        _ => 2,
    }
}

fn write(writer: &mut Writer, o: &Observation, target: &str, out: &mut Vec<u8>) {
    let none = BTreeMap::new();
    let mut facts: BTreeMap<u64, BTreeMap<Fact, f64>> = BTreeMap::new();
    for (fact, v) in &o.facts {
        facts.entry(subject(*fact)).or_default().insert(*fact, *v);
    }
    let text = || target.to_owned();
    let look = |(number, facts)| Look { number, class: 0, text: &text, facts, unknown: &none };
    let looks: Vec<Look<'_>> = facts.iter().map(|(number, facts)| look((*number, facts))).collect();
    writer.row(o.t, 1, &looks, out);
}

#[test]
fn a_sample_of_a_real_process_takes_two_bytes_at_most_and_loses_nothing() {
    let mut sizes = Vec::new();
    for name in ["jvm", "go", "node", "python"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/series/{name}.jsonl.gz"));
        #[expect(clippy::disallowed_methods, reason = "a test reads its recording")]
        let packed = std::fs::read(&path).expect("the recording is there");
        let recording =
            Recording::read(BufReader::new(GzDecoder::new(packed.as_slice()))).expect("a recording");
        assert!(recording.warnings.is_empty(), "{name}: {:?}", recording.warnings);
        let target = serde_json::to_string(&recording.target).expect("JSON");
        let (mut writer, mut bytes) = (Writer::default(), Vec::new());
        let rows: Vec<Observation> =
            recording.observations().into_iter().filter(|o| !o.facts.is_empty()).collect();
        rows.iter().for_each(|o| write(&mut writer, o, &target, &mut bytes));
        let mut kept = Kept::default();
        let report: Report = read(&bytes, &mut kept);
        assert!(report.lost.is_empty() && report.torn == 0, "{name}: {report:?}");
        let back: Vec<_> = kept.0.into_values().collect();
        assert!(
            back.iter().eq(rows.iter().map(|o| &o.facts)),
            "{name}: what comes back is not what was seen"
        );
        let each = bytes.len() as f64 / report.samples as f64;
        assert!(report.samples > 3000, "{name}: {} samples", report.samples);
        sizes.push((name, each));
    }
    assert!(sizes.iter().all(|(_, each)| *each <= MOST), "{sizes:.2?}");
}
