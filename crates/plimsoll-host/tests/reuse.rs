//! Memory that is used again: blocks keep their content, zeros are zeros, the most there was is no more, and all of it goes back.
//!
//! One test for all of it: an allocator is that of the whole process.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail loudly")]

use plimsoll_host::spill::{Reuse, SpillingAllocator};

#[global_allocator]
static ALLOCATOR: SpillingAllocator = SpillingAllocator;

const MIB: usize = 1 << 20;

fn status(name: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_start_matches(':').trim().strip_suffix(" kB").unwrap().parse::<usize>().unwrap() * 1024
}

/// Pages that the kernel had to give out so far.
fn faults() -> usize {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    stat.rsplit(')').next().unwrap().split_whitespace().nth(7).unwrap().parse().unwrap()
}

/// Blocks come, grow, shrink and go; each has its own content, which is looked at whenever it changes.
fn churn(seed: u64, rounds: usize) {
    let mut state = seed | 1;
    let mut draw = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 20) as usize % below
    };
    let mut blocks: Vec<(u8, Vec<u8>)> = Vec::new();
    let intact = |(mark, block): &(u8, Vec<u8>)| block.iter().step_by(997).all(|byte| byte == mark);
    for round in 0..rounds {
        let (mark, length) = (round as u8, MIB + draw(6 * MIB));
        match (draw(4), blocks.len()) {
            (0, _) | (_, 0) => blocks.push((mark, vec![mark; length])),
            (1, all) => assert!(intact(&blocks.swap_remove(draw(all)))),
            (2, all) => {
                let (mark, block) = &mut blocks[draw(all)];
                block.resize(length, *mark);
                block.shrink_to_fit();
            }
            (_, all) => {
                let zeros = vec![0u8; length];
                assert!(zeros.iter().all(|byte| *byte == 0), "round {round}");
                assert!(intact(&blocks[draw(all)]));
            }
        }
        assert!(blocks.iter().all(intact), "round {round}");
        blocks.truncate(12);
    }
}

#[test]
fn freed_blocks_are_used_again() {
    // Before, a block goes back at once.
    drop(vec![1u8; 64 * MIB]);
    let before = status("VmRSS");
    assert!(before < 40 * MIB, "{before}");

    let reuse = Reuse::begin();
    let most = vec![1u8; 200 * MIB];
    let first = faults();
    drop(most);
    // Kept, but for what the rest of the program may have; the most there was is found out as blocks go.
    assert!(status("VmRSS") > 150 * MIB, "{}", status("VmRSS"));
    for round in 0..20u8 {
        let zeros = vec![0u8; 100 * MIB];
        assert!(zeros.iter().all(|byte| *byte == 0));
        let ones = vec![round; 50 * MIB];
        assert!(ones.iter().all(|byte| *byte == round));
    }
    let anew = faults() - first;
    assert!(anew < 20 * MIB / 4096, "{anew} pages came from the kernel again");
    let highest = status("VmHWM");
    std::thread::scope(|scope| {
        for seed in [3, 5, 7] {
            scope.spawn(move || churn(seed, 150));
        }
    });
    assert!(status("VmHWM") < highest + 8 * MIB, "{} after {highest}", status("VmHWM"));

    let inner = Reuse::begin();
    drop(inner);
    assert!(status("VmRSS") > 100 * MIB, "another one does not end it: {}", status("VmRSS"));
    drop(reuse);
    assert!(status("VmRSS") < before + 8 * MIB, "{} of {before}", status("VmRSS"));
    drop(vec![1u8; 64 * MIB]);
    assert!(status("VmRSS") < before + 8 * MIB, "{}", status("VmRSS"));
    churn(9, 50);
}
