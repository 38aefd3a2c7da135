//! The heap graph on made objects: time and memory per phase.
//!
//! `graph [MILLIONS]`, 20 by default: two references an object, most to neighbours, some far away.

use std::cell::Cell;
use std::io::Write as _;
use std::time::Instant;

use plimsoll_read::graph::address::AddressSet;
use plimsoll_read::graph::dominators::dominators;
use plimsoll_read::graph::edges::{Edges, EdgesBuilder};
use plimsoll_read::graph::verify::verify;
use plimsoll_read::graph::{GraphError, Phase};

fn main() -> Result<(), GraphError> {
    let millions = std::env::args().nth(1).and_then(|a| a.parse().ok()).unwrap_or(20u32);
    let n = millions * 1_000_000;
    let each = |bytes: usize| bytes as f64 / f64::from(n);
    let began = Instant::now();
    let mut set = AddressSet::new();
    (0..u64::from(n)).for_each(|i| set.insert(0x7_0000_0000 + 32 * i));
    let rank = set.freeze()?;
    say("addresses", began, each(rank.memory()));
    let began = Instant::now();
    let edges = made(n)?;
    say("references", began, each(edges.memory()));
    let roots = [0, 5, 9];
    let phase = Cell::new((Phase::Reach, Instant::now()));
    let watch = |p, _, _| {
        let (last, since) = phase.get();
        if last != p {
            say(&format!("{last:?}"), since, f64::NAN);
            phase.set((p, Instant::now()));
        }
        true
    };
    let tree = dominators(&edges, &roots, |_| 24, &watch)?;
    say(&format!("{:?}", phase.get().0), phase.get().1, each(tree.memory()));
    let began = Instant::now();
    let flaw = verify(&edges, &roots, &tree);
    say(&format!("verify: {flaw:?}, {} reached", tree.reached()), began, f64::NAN);
    Ok(())
}

fn made(n: u32) -> Result<Edges, GraphError> {
    let mix = |x: u32| x.wrapping_mul(0x9E37_79B9) ^ (x >> 13);
    let mut edges = EdgesBuilder::new(n);
    for i in 0..n {
        let far = ((u64::from(mix(i ^ 0x55)) * u64::from(n)) >> 32) as u32;
        let all = [(i + 1).min(n - 1), (i + 1 + mix(i) % 30).min(n - 1), far];
        let kept = if i % 5 == 0 { 1 } else { 1 + (i % 3) as usize };
        edges.add(i, &all[..kept])?;
    }
    Ok(edges.finish())
}

fn say(what: &str, since: Instant, bytes_each: f64) {
    let seconds = since.elapsed().as_secs_f64();
    let _closed = writeln!(std::io::stdout(), "{what:<40} {seconds:>7.2} s {bytes_each:>7.2} B per object");
}
