//! Plimsoll reads here: bytes of an artifact in, what it says and warnings out. Nothing in this crate opens
//! a file, and no outside byte may make it panic.
#![warn(missing_docs)]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![cfg_attr(
    test,
    expect(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        reason = "a test may fail loudly"
    )
)]

pub mod alertmanager;
pub mod bundle;
pub mod class_histogram;
pub mod config;
mod container_log;
pub mod core_file;
pub mod cpython;
pub mod csv_series;
pub mod deaths;
pub mod formats;
pub mod gc_log;
pub mod glibc_heap;
pub mod go_memstats;
pub mod go_runtime;
pub mod goroutines;
pub mod graph;
pub mod guard_document;
pub mod heap_dump;
pub mod heap_snapshot;
pub mod hprof;
pub mod hsperf;
pub mod jemalloc_stats;
pub mod kernel_log;
pub mod key_source;
mod line_prefix;
mod lines;
pub mod malloc_info;
pub mod manifest;
pub mod marks;
mod moment;
pub mod nmt;
pub mod openmetrics;
pub mod pprof;
pub mod prometheus_api;
pub mod prometheus_text;
pub mod reading;
pub mod redact;
pub mod secrets;
pub mod series_file;
pub mod smaps;
pub mod table;
pub mod thread_dump;
pub mod v8_trace_gc;
mod zstd;
