//! Plimsoll touches here: the sources, the sampling loop and the steps. What touches does not decide.

pub mod agent;
pub mod audit;
pub mod bisect;
pub mod calibrate;
pub mod capture;
pub mod death;
pub mod drill;
pub mod export;
mod fault;
pub mod fleet;
pub mod growth;
mod guard;
pub mod identify;
pub mod inherited;
pub mod marks;
pub mod own_memory;
pub mod prometheus;
pub mod sampler;
pub mod source;
pub mod spill;
pub mod step;
pub mod store;
pub mod world;
