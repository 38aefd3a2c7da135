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

/// Elements from which on a second thread pays.
const WORTH_A_THREAD: usize = 1 << 19;

/// A pass over both halves of all elements, at once where that pays; it is told which element its half begins with.
pub(crate) fn halves<T: Send, A: Send>(all: &mut [T], pass: impl Fn(usize, &mut [T]) -> A + Sync) -> (A, A) {
    let (middle, is_worth) = (all.len() / 2, all.len() >= WORTH_A_THREAD);
    let (left, right) = all.split_at_mut(middle);
    let (left, first) = thread::scope(|scope| {
        let beside = || pass(middle, &mut *right);
        let other = is_worth.then(|| thread::Builder::new().spawn_scoped(scope, beside).ok()).flatten();
        let left = pass(0, left);
        (left, other.map(|other| other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))))
    });
    let right = first.unwrap_or_else(|| pass(middle, right));
    (left, right)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_element_is_passed_over_once() {
        for length in [0, 1, 5, WORTH_A_THREAD + 1] {
            let mut all = vec![0usize; length];
            let (left, right) = halves(&mut all, |first, half| {
                half.iter_mut().zip(first..).for_each(|(slot, at)| *slot += at);
                half.len()
            });
            assert_eq!(left + right, length);
            assert!(all.iter().copied().eq(0..length));
        }
    }

    #[test]
    fn both_results_come_back() {
        let numbers: Vec<u64> = (0..1000).collect();
        let (sum, most) = both(|| numbers.iter().sum::<u64>(), || numbers.iter().max().copied());
        assert_eq!((sum, most), (499_500, Some(999)));
    }
}
