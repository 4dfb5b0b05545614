//! A small compartmental HIV model with Ryan White services, and the plots made of it.
//!
//! Data flows one way:
//!
//! ```text
//! parameters -> model -> simset (a file) -> figure -> plotly | rows -> files
//! ```
//!
//! The modules below are in that order; each imports only from those above it.
//! Every transcendental function comes from `libm`, so that a seed gives the same bits on every machine.

pub mod random;
pub mod strata;

pub mod parameters;
pub mod scenario;

pub mod model;
pub mod simset;

pub mod outcome;

pub mod figure;

pub mod json;
pub mod page;
pub mod plotly;
pub mod rows;

pub mod faults;
pub mod jobs;
pub mod log;

pub mod batch;
