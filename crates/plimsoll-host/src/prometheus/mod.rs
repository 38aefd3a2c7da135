//! History that a monitoring system already has, by the Prometheus HTTP API (Prometheus itself, VictoriaMetrics, Mimir, Thanos),
//! or that came in files.
//!
//! Floors are asked for, not raw samples: the server takes the minimum of each step. Nothing is asked before the server has
//! told how many series it would be.

mod client;
#[cfg(test)]
mod exporters;
mod gather;
mod key;
pub mod names;
mod past;
mod pieces;
mod table;
pub(crate) mod tls;
mod told;
mod workloads;

pub use client::{Client, QueryError, Server, basic};
pub use pieces::{Piece, Pieces, Shard};
pub use table::{NAME, SelectorError};
pub(crate) use tls::config as tls_config;
pub use tls::{Trust, TrustError};
pub use workloads::{History, HistoryError, Options, workloads, workloads_of};
