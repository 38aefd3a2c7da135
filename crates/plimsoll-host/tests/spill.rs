//! Memory on a disk: it keeps its content while pages are let go, grows and shrinks, and is given back.
//!
//! One test for all of it: an allocator is that of the whole process.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail loudly")]

use std::path::Path;

use plimsoll_host::spill::{Disk, SpillingAllocator};
use plimsoll_read::graph::spill::Spill as _;
use rustix::process::{Resource, Rlimit};

#[global_allocator]
static ALLOCATOR: SpillingAllocator = SpillingAllocator;

const MIB: u64 = 1 << 20;
/// Far below what is used here.
const CEILING: u64 = 48 * MIB;

fn field(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_start_matches(':').trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1024
}

/// Bytes of the files that this process has mapped and nobody can open any more.
fn nameless() -> u64 {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let spilled = maps.lines().filter(|line| line.ends_with("(deleted)") && line.contains("rw-s"));
    let bytes = spilled.map(|line| {
        let (from, to) = line.split_once(' ').unwrap().0.split_once('-').unwrap();
        u64::from_str_radix(to, 16).unwrap() - u64::from_str_radix(from, 16).unwrap()
    });
    bytes.sum()
}

/// Numbers of five times the ceiling that were turned over, and zeros. Forgets how high memory was before.
fn numbers_beyond_the_ceiling() -> (Vec<u64>, Vec<u8>) {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    // By many steps, from a small block of usual memory on.
    let mut numbers: Vec<u64> = Vec::new();
    for i in 0..30_000_000u64 {
        numbers.push(i.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    }
    assert!(nameless() >= 240_000_000, "{}", nameless());
    let zeros = vec![0u8; 32 << 20];
    assert!(zeros.iter().all(|zero| *zero == 0));
    assert!(numbers.iter().zip(0u64..).all(|(n, i)| *n == i.wrapping_mul(0x9E37_79B9_7F4A_7C15)));
    // From several threads, while pages are let go.
    std::thread::scope(|scope| {
        for part in numbers.chunks_mut(8_000_000) {
            scope.spawn(move || part.iter_mut().for_each(|n| *n = !*n));
        }
    });
    assert!(numbers.iter().zip(0u64..).all(|(n, i)| !*n == i.wrapping_mul(0x9E37_79B9_7F4A_7C15)));
    (numbers, zeros)
}

#[test]
fn memory_on_a_disk_is_memory() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let before = vec![7u8; 4 << 20];
    let disk = Disk::new(Some(folder.path()), CEILING);
    assert_eq!((disk.spilled(), nameless()), (None, 0), "nothing is spilled until it is asked for");
    disk.begin(100 * MIB).unwrap();

    // Who lets pages go waits for a processor like anyone: on a busy machine the ceiling may be missed, but not each time.
    let mut highest = Vec::new();
    let (mut numbers, zeros) = loop {
        let memory = numbers_beyond_the_ceiling();
        highest.push(field("VmHWM"));
        if highest.iter().any(|highest| *highest <= CEILING + 16 * MIB) {
            break memory;
        }
        assert!(highest.len() < 5, "{highest:?} resident with a ceiling of {CEILING}");
    };

    // A block shrinks to a smaller one, and then to usual memory.
    numbers.truncate(1_000_000);
    numbers.shrink_to_fit();
    assert!(nameless() < 48 * MIB, "{}", nameless());
    numbers.truncate(1000);
    numbers.shrink_to_fit();
    drop(zeros);
    assert_eq!((nameless(), !numbers[999]), (0, 999u64.wrapping_mul(0x9E37_79B9_7F4A_7C15)));
    // What was there before is freed as ever; what it grows to is on the disk.
    let mut before = before;
    before.extend_from_slice(&[8; 4 << 20]);
    assert!(nameless() >= 8 * MIB && before[..4 << 20].iter().all(|b| *b == 7));
    let spilled = disk.spilled().unwrap();
    assert!(spilled.bytes > 240_000_000 && spilled.folder == folder.path(), "{spilled:?}");
    assert_eq!(disk.step(), Ok(()));

    // Without it, new memory is usual memory, and blocks that are left are freed as ever.
    drop(disk);
    let usual = vec![1u8; 4 << 20];
    assert!(nameless() >= 8 * MIB && usual.len() == 4 << 20);
    drop(before);
    assert_eq!(nameless(), 0);
    assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none());

    let refused = Disk::new(Some(Path::new("/dev/shm")), CEILING).begin(MIB).unwrap_err();
    assert!(refused.contains("is memory (tmpfs)"), "{refused}");
    let huge = Disk::new(Some(folder.path()), CEILING).begin(1 << 60).unwrap_err();
    assert!(huge.contains("no room for") || huge.contains("no file of 1280 PiB"), "{huge}");
    assert_eq!(nameless(), 0);
    // The kernel would end this program by a signal if it tried.
    let limit = rustix::process::getrlimit(Resource::Fsize);
    let small = Rlimit { current: Some(8 * MIB), ..limit };
    rustix::process::setrlimit(Resource::Fsize, small).unwrap();
    let limited = Disk::new(Some(folder.path()), CEILING).begin(MIB).unwrap_err();
    rustix::process::setrlimit(Resource::Fsize, limit).unwrap();
    assert!(limited.contains("ulimit -f"), "{limited}");
}
