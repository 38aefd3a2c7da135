//! Plimsoll decides here: facts, floor, slope, clock, cause, plan. Nothing in this crate opens a file, reads
//! a clock, runs a process or prints; the same observations always give the same judgement.
#![warn(missing_docs)]

pub mod advice;
pub mod agent;
pub mod artifact;
pub mod audit;
pub mod backtest;
pub mod bisect;
pub mod calibration;
pub mod canary;
pub mod classify;
pub mod clock;
pub mod cluster;
pub mod death;
pub mod fact;
pub mod guard;
pub mod incident;
pub mod judge;
pub mod keys;
pub mod mark;
pub mod plan;
pub mod preflight;
pub mod recording;
pub mod replay;
pub mod runtime;
pub mod series;
pub mod signals;
pub mod slope;
pub mod target;
pub mod units;
