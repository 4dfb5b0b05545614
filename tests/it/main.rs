//! What jheem does for its users, through the real binary in a real folder.
//!
//! One binary for all of these tests, so that they link once. Each file is about one feature.

mod project;

mod audits;
mod batches;
mod commands;
mod containers;
mod damage;
mod examples;
mod inputs;
mod json;
mod kills;
mod mistakes;
mod proxy;
mod publishing;
mod quick_start;
mod registries;
mod remote;
mod sharing;
mod staleness;
mod tidy;
mod trust;
mod twice;
