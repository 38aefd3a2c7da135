//! Two passes over a heap at once, which do not depend on each other.

use std::thread;

/// Both results. Where no second thread is to be had, one comes after the other.
pub(crate) fn both<A: Send, B>(first: impl Fn() -> A + Sync, second: impl FnOnce() -> B) -> (A, B) {
    thread::scope(|scope| {
        let other = thread::Builder::new().spawn_scoped(scope, &first);
        let second = second();
        let first = match other {
            Ok(other) => other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            Err(_) => first(),
        };
        (first, second)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_results_come_back() {
        let numbers: Vec<u64> = (0..1000).collect();
        let (sum, most) = both(|| numbers.iter().sum::<u64>(), || numbers.iter().max().copied());
        assert_eq!((sum, most), (499_500, Some(999)));
    }
}
