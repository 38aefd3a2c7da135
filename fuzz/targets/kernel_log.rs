//! A kernel log: any bytes; every kill that is read has a process, and can be said in words.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_read::kernel_log::read;

fuzz_target!(|bytes: &[u8]| {
    for kill in &read(bytes).kills {
        assert!(kill.pid > 0, "a kill of pid {}", kill.pid);
    }
});
