//! Remote inputs that batches wait for: fetched beside the runs, several at once, each one once.
//!
//! Only what is about to run is fetched. What nothing needs any more can be dropped again.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
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
use crate::graph::Target;
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
    /// Objects that were outputs when something was dropped first; read once.
    outputs: OnceCell<Option<HashSet<Digest>>>,
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

impl<'a> Loop<'a, '_> {
    /// Counts who reads what, so that it is known when nobody does any more.
    pub(super) fn count_readers(&mut self, waiting: &[Target]) {
        if !self.build.options.evict_inputs {
            return;
        }
        for &target in waiting {
            for digest in self.build.facts.afar(self.build.graph, target) {
                *self.arrivals.readers.entry(digest).or_default() += 1;
            }
        }
    }

    /// A target is settled: what only it still read is dropped, if that was asked for.
    pub(super) fn leave(&mut self, target: Target) {
        if !self.build.options.evict_inputs {
            return;
        }
        for digest in self.build.facts.afar(self.build.graph, target) {
            let Some(readers) = self.arrivals.readers.get_mut(&digest) else { continue };
            *readers = readers.saturating_sub(1);
            if *readers == 0 {
                self.arrivals.readers.remove(&digest);
                // One that cannot be removed now is collected some day.
                let needed = |object: &Digest| self.is_an_output(object);
                let _left = self.build.inputs.evict(self.build.objects, &digest, &needed);
            }
        }
    }

    /// Whether an object is an output as well: an input may be copied, or come from a publish of one's own.
    fn is_an_output(&self, object: &Digest) -> bool {
        let made = self.board.rules.iter().flatten().flatten().filter_map(|j| j.made.as_ref());
        let mut outputs = made.flat_map(|made| made.outputs.iter().flatten());
        // What cannot be told is kept.
        outputs.any(|output| output.bytes == *object)
            || self.outputs_before().as_ref().is_none_or(|outputs| outputs.contains(object))
    }

    /// What earlier builds made; none if the records cannot tell. What this one makes stands on the board.
    fn outputs_before(&self) -> &Option<HashSet<Digest>> {
        let read = || Some(self.records.objects(&|_| true).ok()?.into_keys().collect());
        self.arrivals.outputs.get_or_init(read)
    }

    /// A batch that waits for a slot, and for what it reads from afar.
    pub(super) fn queued(&self, batch: Batch, attempt: u32) -> Queued {
        let (graph, facts) = (self.build.graph, self.build.facts);
        let targets = batch.cells.iter().map(|&cell| Target { rule: batch.rule, cell });
        let needs = targets.flat_map(|target| facts.afar(graph, target)).collect();
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
        lacks.is_empty() || lacks.iter().any(|digest| self.arrivals.failed.contains_key(digest))
    }

    /// What is left of a batch without the targets whose inputs could not be had, which fail with the reason.
    pub(super) fn less_what_lacks(&mut self, queued: Queued) -> Result<Option<Queued>> {
        let failed = |digest: &Digest| self.arrivals.failed.get(digest);
        let lacks = self.lacks(&queued);
        if !lacks.iter().any(|digest| failed(digest).is_some()) {
            return Ok(Some(queued));
        }
        let Queued { batch, attempt, .. } = queued;
        let (graph, facts) = (self.build.graph, self.build.facts);
        let mut without: BTreeMap<Digest, Vec<usize>> = BTreeMap::new();
        let mut rest = Vec::new();
        for &cell in &batch.cells {
            let needs = facts.afar(graph, Target { rule: batch.rule, cell });
            match needs.into_iter().find(|need| lacks.contains(need) && failed(need).is_some()) {
                Some(digest) => without.entry(digest).or_default().push(cell),
                None => rest.push((cell, batch.groups)),
            }
        }
        let first = rest.first().map(|&(cell, _)| Target { rule: batch.rule, cell });
        let identity = first.and_then(|target| self.judge().ready(&self.board, target));
        if let Some((_, identity)) = identity {
            for batch in self.cut_cells(batch.rule, &rest, &identity, rest.len())? {
                let queued = self.queued(batch, attempt);
                self.queue.push_front(queued);
            }
        }
        for (digest, cells) in without {
            let Some(error) = self.arrivals.failed.get(&digest).cloned() else { continue };
            self.could_not_start(&Batch { cells, ..batch.clone() }, &error)?;
        }
        Ok(None)
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
        // What lacks something that will not come is no reason to fetch the rest of it.
        let waiting = self.queue.iter().take(ahead).filter(|queued| !self.is_provided(queued));
        let next: Vec<Digest> = waiting.flat_map(|queued| self.lacks(queued)).collect();
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
