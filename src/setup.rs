//! Everything that a build is given, put together once by the command line; the build changes none of it.

use std::collections::HashMap;

use crate::error::{Error, Result};
use crate::facts::Snapshot;
use crate::graph::{Graph, RuleId, Target};
use crate::job::{Executor, Stop};
use crate::objects::Objects;
use crate::places::Places;
use crate::plan::{Facts, Shelf};
use crate::records::{Key, Record};
use crate::remote_inputs::RemoteInputs;
use crate::selection::Selection;

/// How a build is carried out; nothing of it enters a fingerprint.
#[derive(Clone, Debug)]
pub struct Options {
    /// At most so many runs at once.
    pub jobs: usize,
    /// Processors and bytes of memory that runs may declare in all.
    pub cpus: f64,
    pub memory: u64,
    /// Go on after a failure.
    pub keep_going: bool,
    /// Drop remote inputs from the cache when nothing needs them any more.
    pub evict_inputs: bool,
}

/// Who carries runs out.
pub struct Executors<'a> {
    pub programs: &'a dyn Executor,
    /// None where no daemon answers; then the reason why.
    pub containers: std::result::Result<&'a dyn Executor, Error>,
}

impl<'a> Executors<'a> {
    /// Who carries out the runs of a rule.
    pub fn of(&self, graph: &Graph, rule: RuleId) -> Result<&'a dyn Executor> {
        if graph.runner_of(rule).is_image() { self.containers.clone() } else { Ok(self.programs) }
    }
}

/// Everything that a build is given.
pub struct Build<'a> {
    pub graph: &'a Graph,
    pub places: &'a Places,
    pub facts: &'a Facts,
    pub snapshot: &'a Snapshot,
    pub selection: &'a Selection,
    pub last: &'a HashMap<Key, Record>,
    pub shelf: &'a dyn Shelf,
    pub objects: &'a Objects,
    /// Where remote inputs are, and what of them is here.
    pub inputs: &'a RemoteInputs<'a>,
    pub executors: Executors<'a>,
    pub stop: &'a Stop,
    pub options: &'a Options,
    /// Seconds since 1970.
    pub now: &'a (dyn Fn() -> u64 + Sync),
    /// Whether a target is in a manifest, so that it cannot become absent unseen.
    pub published: &'a (dyn Fn(Target) -> bool + Sync),
}
