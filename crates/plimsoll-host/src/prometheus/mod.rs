//! History that a monitoring system already has, by the Prometheus HTTP API (Prometheus itself, VictoriaMetrics, Mimir, Thanos).
//!
//! Floors are asked for, not raw samples: the server takes the minimum of each step. Nothing is asked before the server has
//! told how many series it would be.

mod client;
pub mod names;
mod workloads;

pub use client::{Client, QueryError, Server};
pub use workloads::{History, HistoryError, Options, workloads};
