//! The two executors behind the port in `job`: plain processes, and containers of a Docker API.
//!
//! Floors, lowest first: `lines` (bytes to lines), `timing` (when a run has to end), `family` (all processes of a run), `scratch` (taking folders away), `daemon` (finding and asking a daemon), `ownership` (making what a container wrote the caller's own), `pull` (having a daemon pull an image), then `process` and `container`, and `by_hand` (the same run as a line for a shell).
//! Nothing here knows the graph, records or digests; nothing but `daemon`, `ownership` and `container` knows tokio or bollard.

pub mod by_hand;
pub mod container;
pub mod daemon;
mod family;
mod lines;
mod ownership;
pub mod process;
mod pull;
mod scratch;
mod timing;
