//! Java heap dumps (HPROF), read record by record from any stream: a file, a pipe the JVM writes into, plain or
//! packed with gzip or zstd.
//!
//! [`open`](open::open) looks at the first bytes and unwraps; [`Dump::scan`](open::Dump::scan) hands each record
//! to a [`Visitor`](visitor::Visitor) as borrowed slices of one reused buffer; nothing that the dump controls is
//! allocated whole. Damage is normal input: what can be read is handed over, the rest is told in
//! [`Summary`](records::Summary) with its offset. Offsets count unpacked bytes.

pub mod heap;
pub(crate) mod kept;
pub mod layout;
pub mod model;
pub mod open;
pub(crate) mod plain;
pub mod records;
mod resync;
pub mod shallow;
pub mod visitor;
pub mod warnings;
mod window;
pub(crate) mod wire;
pub mod write;

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod resync_tests;
#[cfg(test)]
mod tests;
