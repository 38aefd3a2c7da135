//! Dumps with bytes overwritten: a few objects are lost, and the one to blame is still named.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail loudly")]
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stderr,
    reason = "the test runs the JVM whose dump the crate reads; a skipped test says so"
)]

mod jvm;

use jvm::{Folder, jdks};
use plimsoll_read::graph::watch::Unwatched;
use plimsoll_read::heap_dump::report::report;
use plimsoll_read::heap_dump::{Options, read};
use rand::{RngExt as _, SeedableRng as _};

/// Objects, and who is accused, with how many entries.
fn told(dump: &[u8]) -> (u32, Vec<(String, u64)>, bool) {
    let heap = read(dump, Options { verify: true, ..Options::default() }, &Unwatched).unwrap();
    let said = report(&heap, dump, &Unwatched).unwrap();
    let accused = said.suspects.iter().filter(|s| s.accused);
    (heap.objects(), accused.map(|s| (s.path.owner.to_string(), s.entries())).collect(), heap.is_whole())
}

/// Overwrites some bytes at eight places, as a bad disk or a broken transfer does.
fn damaged(dump: &[u8], seed: u64) -> Vec<u8> {
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let mut bytes = dump.to_vec();
    for place in 0..8 {
        let count = [4, 16, 64, 512][place % 4];
        let at = random.random_range(31..bytes.len() - count);
        let fill = [0, 0xff, 0x21][place % 3];
        bytes[at..at + count]
            .iter_mut()
            .for_each(|b| *b = if place % 2 == 0 { fill } else { random.random() });
    }
    bytes
}

#[test]
fn damage_in_a_real_dump_costs_little_and_leaves_the_verdict() {
    for jdk in jdks() {
        let folder = Folder::new("damage");
        let Some(dump) = jdk.leak(&folder, "Serial", 4000) else { continue };
        let (objects, accused, is_whole) = told(&dump);
        assert_eq!(accused, [("Leak$Registry.BY_URL".to_owned(), 4000)]);
        assert!(is_whole);
        let (mut lost, mut named) = (Vec::new(), 0);
        for seed in 0..6 {
            let (left, still, is_whole) = told(&damaged(&dump, seed));
            assert!(!is_whole, "JDK {} seed {seed}: not a word of the damage", jdk.version);
            let wrong = still.iter().find(|(owner, _)| owner != "Leak$Registry.BY_URL");
            assert_eq!(wrong, None, "JDK {} seed {seed}: {still:?}", jdk.version);
            named += still.len();
            lost.push(objects.saturating_sub(left));
        }
        // The damage may hit the holder itself: then it cannot be told.
        assert!(named >= 5, "JDK {}: named in {named} of 6", jdk.version);
        lost.sort_unstable();
        assert!(lost[3] <= 60, "JDK {}: {lost:?} of {objects} objects lost", jdk.version);
        assert!(lost[5] <= objects / 20, "JDK {}: {lost:?} of {objects} objects lost", jdk.version);
        eprintln!("JDK {}: {lost:?} of {objects} objects lost to eight places of damage", jdk.version);
    }
}
