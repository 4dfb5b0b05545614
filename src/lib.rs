//! jheem builds simulation plots the way Make builds programs: only what is stale, and it can say why.
//!
//! ```text
//! Jheemfile.toml -> Manifest -> Graph -> Facts -> Fingerprints -> Plan -> build (Events) -> Records
//! ```
//!
//! An *axis* has values; a *cell* has one value for each axis of a rule; a *target* is a cell of a
//! *step* or of a *plot*, and what is judged, made and recorded. A *runner* makes the targets of a
//! *batch* in one run. A *fingerprint* is all that a target depends on; a *verdict* says whether
//! it is fresh, restorable, stale, pending, blocked or absent; a *record* is what the last attempt
//! left. A *publish* writes outputs to a *destination*, whose *manifest* says what is there.
//!
//! The modules below stand in floors: each imports only from floors above its own, never from its
//! neighbours. `ARCHITECTURE.md` says what the floors share, and a test holds them to it.
#![cfg_attr(not(test), warn(clippy::unwrap_used))]

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
compile_error!("jheem runs on Linux and macOS; elsewhere use a virtual machine, such as WSL 2");

// What knows nothing of jheem.
pub mod clock;
pub mod costs;
pub mod digest;
pub mod error;
pub mod event;
pub mod figures;
pub mod machine;
pub mod moments;
pub mod percent;
pub mod places;
pub mod template;

// Who is asked over the network.
pub mod aws;
pub mod http;

// Contents, runs and stats; the Jheemfile as it is written.
pub mod content;
pub mod job;
pub mod lockfile;
pub mod manifest;
pub mod memo;
pub mod progress;
pub mod publish;
pub mod registry;
pub mod source;
pub mod twins;

// Judging bytes and reading lines; keeping contents and records; carrying runs out.
pub mod audit;
pub mod execute;
pub mod grammar;
pub mod log_lines;
pub mod objects;
pub mod records;
pub mod run_logs;

// The Jheemfile as text, and the graph that it means.
pub mod axis_values;
pub mod graph;
pub mod read;
pub mod schema;

// Arithmetic on the graph; what comes from afar.
pub mod collect;
pub mod collisions;
pub mod ends;
pub mod fetch;
pub mod pattern;
pub mod request;

// From what was written and asked for to cells, batches and fingerprints.
pub mod batch;
pub mod expand;
pub mod fingerprint;
pub mod policy;
pub mod selection;
pub mod stage;
pub mod work;

// Verdicts.
pub mod cli;
pub mod init;
pub mod plan;
pub mod project;

// What is there, and what is to be there.
pub mod facts;
pub mod publishing;
pub mod remote_inputs;
pub mod shelf;
pub mod unlocked;
pub mod why;

// A build is put together,
pub mod report;
pub mod session;
pub mod setup;

// its runs are prepared,
pub mod prepare;

// and it goes on until nothing is left.
pub mod build;

// It can be checked against runs of single plots, and what is pinned is looked at anew.
pub mod check;
pub mod pinning;

// What the user asks for.
pub mod commands;

// The way in.
pub mod dispatch;
