//! Judgements as text and as JSON.

pub(crate) mod audit;
pub(crate) mod backtest;
pub(crate) mod bisect;
pub(crate) mod capture;
pub(crate) mod chart;
pub(crate) mod ci;
pub(crate) mod cluster;
mod columns;
pub(crate) mod deploys;
pub(crate) mod guard;
pub(crate) mod heap;
pub(crate) mod heap_scant;
pub(crate) mod heap_views;
pub(crate) mod incident;
pub(crate) mod json;
pub(crate) mod marks;
pub(crate) mod openmetrics;
pub(crate) mod overview;
pub(crate) mod paint;
pub(crate) mod picture;
pub(crate) mod reading;
pub(crate) mod rollouts;
pub(crate) mod treemap;
pub(crate) mod triage;
