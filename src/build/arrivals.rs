//! Remote inputs that batches wait for: fetched beside the runs, several at once, each one once.
//!
//! Only what is about to run is fetched. What nothing needs any more can be dropped again.

use std::collections::{BTreeSet, HashMap};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::time::Instant;

use super::{Loop, Queued};
use crate::batch::Batch;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::fetch::{Arrived, Asker};
use crate::graph::{From, Graph, Target};
use crate::plan::{Facts, InputFact};
use crate::work::Report;

/// How many inputs are fetched at once: they are large, and a few fill the line.
const AT_ONCE: usize = 4;
/// How many batches beyond those that can run at once are provided for.
const AHEAD: usize = 1;
/// How often a transfer tells how far it is.
const TOLD_EVERY_MILLISECONDS: u64 = 500;

/// What is under way, and what became of it.
#[derive(Default)]
pub(super) struct Arrivals {
    coming: BTreeSet<Digest>,
    failed: HashMap<Digest, Error>,
    /// How many targets that are not settled read each.
    readers: HashMap<Digest, usize>,
    /// Set when nothing that comes is needed any more.
    give_up: Arc<AtomicBool>,
}

impl Arrivals {
    pub(super) fn is_idle(&self) -> bool {
        self.coming.is_empty()
    }

    pub(super) fn give_up(&self) {
        self.give_up.store(true, Ordering::SeqCst);
    }
}

/// The remote inputs that a target reads and that are not in the project.
pub(super) fn needs(graph: &Graph, facts: &Facts, target: Target) -> BTreeSet<Digest> {
    let rule = graph.rule(target.rule);
    let mut needs = BTreeSet::new();
    let mut add = |input: usize, cell: usize| {
        let fact = facts.inputs.get(&(input, cell));
        if let Some(InputFact::Pinned { digest, present: false, .. }) = fact {
            needs.insert(*digest);
        }
    };
    for read in &rule.reads {
        if let From::Input(input) = read.from {
            for cell in read.cells(&rule.space, target.cell) {
                add(input, cell);
            }
        }
    }
    for (_, input) in &graph.runners[rule.runner].overlays {
        add(*input, 0);
    }
    needs
}

impl<'a> Loop<'a, '_> {
    /// Counts who reads what, so that it is known when nobody does any more.
    pub(super) fn count_readers(&mut self, waiting: &[Target]) {
        if !self.build.options.evict_inputs {
            return;
        }
        for &target in waiting {
            for digest in needs(self.build.graph, self.build.facts, target) {
                *self.arrivals.readers.entry(digest).or_default() += 1;
            }
        }
    }

    /// A target is settled: what only it still read is dropped, if that was asked for.
    pub(super) fn leave(&mut self, target: Target) {
        if !self.build.options.evict_inputs {
            return;
        }
        for digest in needs(self.build.graph, self.build.facts, target) {
            let Some(readers) = self.arrivals.readers.get_mut(&digest) else { continue };
            *readers = readers.saturating_sub(1);
            if *readers == 0 {
                self.arrivals.readers.remove(&digest);
                // One that cannot be removed now is collected some day.
                let _left = self.build.inputs.evict(self.build.objects, &digest);
            }
        }
    }

    /// A batch that waits for a slot, and for what it reads from afar.
    pub(super) fn queued(&self, batch: Batch, attempt: u32) -> Queued {
        let (graph, facts) = (self.build.graph, self.build.facts);
        let targets = batch.cells.iter().map(|&cell| Target { rule: batch.rule, cell });
        let needs = targets.flat_map(|target| needs(graph, facts, target)).collect();
        Queued { batch, attempt, needs }
    }

    /// What a batch needs and has not, by its digest.
    fn lacks(&self, queued: &Queued) -> BTreeSet<Digest> {
        let build = self.build;
        let mut lacks = queued.needs.clone();
        lacks.retain(|digest| !build.inputs.is_here(build.objects, digest));
        lacks
    }

    /// Whether a batch has all its inputs here, or will never have them.
    pub(super) fn is_provided(&self, queued: &Queued) -> bool {
        let lacks = self.lacks(queued);
        lacks.iter().all(|digest| self.arrivals.failed.contains_key(digest))
    }

    /// Why an input of a batch could not be had.
    pub(super) fn not_provided(&self, queued: &Queued) -> Option<Error> {
        self.lacks(queued).iter().find_map(|digest| self.arrivals.failed.get(digest).cloned())
    }

    /// Sends for what the next batches need.
    pub(super) fn send_for_inputs<'s>(
        &mut self,
        scope: &'s std::thread::Scope<'s, '_>,
        sender: &Sender<Report>,
    ) where
        'a: 's,
    {
        if self.arrivals.coming.len() >= AT_ONCE {
            return;
        }
        let ahead = (self.build.options.jobs + AHEAD).saturating_sub(self.running.len());
        let next: Vec<Digest> =
            self.queue.iter().take(ahead).flat_map(|queued| self.lacks(queued)).collect();
        for digest in next {
            let known = self.arrivals.failed.contains_key(&digest);
            if known || self.arrivals.coming.contains(&digest) {
                continue;
            }
            if self.arrivals.coming.len() >= AT_ONCE {
                return;
            }
            self.arrivals.coming.insert(digest);
            let (source, bytes) =
                (self.build.inputs.source(&digest).to_owned(), self.build.inputs.size(&digest));
            self.tell(Event::FetchStarted { source, bytes });
            self.send_for(scope, sender, digest);
        }
    }

    fn send_for<'s>(
        &self,
        scope: &'s std::thread::Scope<'s, '_>,
        sender: &Sender<Report>,
        digest: Digest,
    ) where
        'a: 's,
    {
        let (inputs, objects, stop) = (self.build.inputs, self.build.objects, self.build.stop);
        let (sender, give_up) = (sender.clone(), Arc::clone(&self.arrivals.give_up));
        scope.spawn(move || {
            let begun = Instant::now();
            let (bytes, told) = (AtomicU64::new(0), AtomicU64::new(0));
            let came = |more: u64| {
                let bytes = bytes.fetch_add(more, Ordering::Relaxed) + more;
                let now = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
                if now - told.load(Ordering::Relaxed) >= TOLD_EVERY_MILLISECONDS {
                    told.store(now, Ordering::Relaxed);
                    // Nobody listens any more only when the build has ended.
                    let _told = sender.send(Report::Fetching { digest, bytes });
                }
            };
            let go_on = || !stop.is_raised() && !give_up.load(Ordering::SeqCst);
            let fetch = AssertUnwindSafe(|| {
                inputs.fetch(objects, &digest, &Asker { go_on: &go_on, came: &came })
            });
            let came = std::panic::catch_unwind(fetch)
                .unwrap_or_else(|_| Err(Error::bug("the thread of a transfer panicked")));
            let seconds = begun.elapsed().as_secs_f64();
            let _told =
                sender.send(Report::Fetched { digest, came: came.map_err(Box::new), seconds });
        });
    }

    /// Tells how far a transfer is.
    pub(super) fn fetching(&mut self, digest: Digest, bytes: u64) {
        let source = self.build.inputs.source(&digest).to_owned();
        self.tell(Event::FetchProgress { source, bytes });
    }

    /// An input arrived, or will not.
    pub(super) fn fetched(
        &mut self,
        digest: Digest,
        came: std::result::Result<Arrived, Box<Error>>,
        seconds: f64,
    ) -> Result<()> {
        self.arrivals.coming.remove(&digest);
        let source = self.build.inputs.source(&digest).to_owned();
        match came {
            Ok(arrived) => {
                self.records.commit(|w| w.twin(&arrived.sha256, &arrived.stored.digest))?;
                let bytes = arrived.stored.size;
                self.tell(Event::Fetched { source, bytes: Some(bytes), seconds });
                Ok(())
            }
            Err(error) => {
                self.tell(Event::Fetched { source, bytes: None, seconds });
                let no_room = error.no_room;
                if no_room {
                    // Every other transfer and run would end like this one.
                    return Err(*error);
                }
                self.arrivals.failed.insert(digest, *error);
                Ok(())
            }
        }
    }
}
