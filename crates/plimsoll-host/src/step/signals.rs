//! Signals: whether a process catches one, which would end it otherwise.

use rustix::process::Signal;

/// Whether the process of this `/proc/PID/status` catches the signal.
pub(crate) fn catches(status: &str, signal: Signal) -> bool {
    let mask = status.lines().find_map(|l| l.strip_prefix("SigCgt:"));
    let mask = mask.and_then(|m| u64::from_str_radix(m.trim(), 16).ok());
    mask.is_some_and(|m| m & (1 << (signal.as_raw() - 1)) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_tells_what_is_caught() {
        assert!(catches("SigIgn:\t0\nSigCgt:\t2000000181005ccf\n", Signal::QUIT));
        assert!(!catches("SigIgn:\t0\nSigCgt:\t2000000181005cc8\n", Signal::QUIT));
        assert!(!catches("SigCgt:\tnonsense\n", Signal::QUIT));
        assert!(!catches("", Signal::USR2));
    }
}
