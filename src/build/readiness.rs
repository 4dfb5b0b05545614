//! Which targets can be judged and run, as those that they read come to rest.
//!
//! Everything is told by counting: a target waits for so many upstreams, a group for so many targets.

use std::collections::{BTreeMap, BTreeSet};

use super::{End, Loop, Queued, Skip, Status, Trial};
use crate::error::Result;
use crate::event::{Ending, Event};
use crate::figures::numbered;
use crate::graph::{From, RuleId, Start, Target};
use crate::plan::{Absence, RunnerFact, Verdict, Waits};

impl<'a> Loop<'a, '_> {
    /// The targets that this one reads, each once.
    pub(super) fn upstreams(&self, target: Target) -> Vec<Target> {
        let graph = self.build.graph;
        let rule = graph.rule(target.rule);
        let mut upstreams = BTreeSet::new();
        for read in &rule.reads {
            if let From::Output { rule: upstream, .. } = read.from {
                for cell in read.cells(&rule.space, target.cell) {
                    upstreams.insert(Target { rule: upstream, cell });
                }
            }
        }
        if let Start::Built { rule: step, .. } = graph.runner_of(target.rule).start {
            upstreams.insert(Target { rule: step, cell: 0 });
        }
        upstreams.into_iter().collect()
    }

    /// The targets that read this one, each once.
    pub(super) fn readers(&self, target: Target) -> Vec<Target> {
        let graph = self.build.graph;
        let mut readers = BTreeSet::new();
        for id in graph.rule_ids() {
            let rule = graph.rule(id);
            for read in &rule.reads {
                let From::Output { rule: upstream, .. } = read.from else { continue };
                if upstream != target.rule {
                    continue;
                }
                let at = read.space.coordinates(target.cell);
                let mut cells = vec![0];
                for (position, &size) in rule.space.sizes.iter().enumerate() {
                    let fixed = read.positions.iter().position(|p| *p == Some(position));
                    cells = match fixed {
                        Some(axis) => cells.iter().map(|c| c * size + at[axis]).collect(),
                        None => cells
                            .iter()
                            .flat_map(|c| (0..size).map(move |v| c * size + v))
                            .collect(),
                    };
                }
                readers.extend(cells.into_iter().map(|cell| Target { rule: id, cell }));
            }
            if let Start::Built { rule: step, .. } = graph.runner_of(id).start
                && step == target.rule
            {
                readers.extend((0..rule.space.cells()).map(|cell| Target { rule: id, cell }));
            }
        }
        readers.into_iter().collect()
    }

    pub(super) fn gather_key(&self, target: Target) -> (RuleId, Vec<usize>) {
        let rule = self.build.graph.rule(target.rule);
        let fixed = match &rule.batch {
            Some(batch) => {
                batch.by.iter().map(|&p| rule.space.coordinate(target.cell, p)).collect()
            }
            None => vec![target.cell],
        };
        (target.rule, fixed)
    }

    /// All upstreams of a target are settled: judges it, and takes the next step.
    pub(super) fn ready(&mut self, first: Target) -> Result<()> {
        let graph = self.build.graph;
        let mut work = vec![first];
        while let Some(target) = work.pop() {
            let failed = self.upstreams(target).into_iter().find(|u| {
                matches!(self.status[u.rule.0][u.cell], Status::Settled(End::Failed | End::Skipped))
            });
            self.may_cut = true;
            let key = self.gather_key(target);
            let gather = self.gathers.entry(key.clone()).or_default();
            gather.waiting = gather.waiting.saturating_sub(1);
            let end = match failed {
                Some(failed) => {
                    // What was skipped itself has a reason, which is the better one to hear.
                    let root = self.skipped.get(&failed).cloned().unwrap_or_else(|| Skip {
                        message: format!("it needs {}, which was not made", graph.label(failed)),
                        runner: None,
                    });
                    Some(self.skip(target, root))
                }
                None => self.rejudge(target)?,
            };
            match end {
                Some(end) => work.extend(self.settle(target, end)),
                None => {
                    self.status[target.rule.0][target.cell] = Status::Ready;
                    let lacking = self.lacking(target);
                    self.gathers.entry(key).or_default().ready.push((target.cell, lacking));
                }
            }
        }
        Ok(())
    }

    /// Judges a target whose upstreams are settled; none if it must be run.
    pub(super) fn rejudge(&mut self, target: Target) -> Result<Option<End>> {
        let build = self.build;
        let graph = build.graph;
        let mut restore = Vec::new();
        let mut rekeyed = Vec::new();
        for group in self.groups(target) {
            let judgement = self.judge().judge(&self.board, Some(self.records), target, group)?;
            match &judgement.verdict {
                Verdict::Restorable(_) => restore.push((target, group)),
                Verdict::Fresh if judgement.rekey => rekeyed.push((target, group)),
                _ => {}
            }
            self.board.set(graph, target, group, judgement);
        }
        self.rekey(&rekeyed)?;
        if !restore.is_empty() && !self.restore(&restore)?.left.is_empty() {
            return Ok(None);
        }
        self.note_unique(target);
        if self.unplaced.contains(&target) {
            return Ok(Some(End::Failed));
        }
        let end = match self.board.verdict(graph, build.selection, target) {
            Verdict::Fresh => Some(End::Fresh),
            Verdict::Restorable(_) => Some(End::Restored),
            Verdict::Absent(_) => Some(End::Absent),
            Verdict::Stale(_) => None,
            Verdict::Blocked(what) => {
                let message = what.clone();
                Some(self.skip(target, Skip { message, runner: None }))
            }
            Verdict::Pending(waits) => {
                let message = waits.words(graph);
                let runner =
                    matches!(waits, Waits::Runner(_)).then(|| graph.rule(target.rule).runner);
                Some(self.skip(target, Skip { message, runner }))
            }
        };
        Ok(end)
    }

    fn skip(&mut self, target: Target, skip: Skip) -> End {
        self.tell_target(target, Ending::Skipped, Some(skip.message.clone()), Vec::new());
        self.skipped.insert(target, skip);
        End::Skipped
    }

    /// Says which runners were missed, by how many targets, and what to do.
    pub(super) fn tell_missing_runners(&mut self) {
        let graph = self.build.graph;
        let mut runnerless: BTreeMap<usize, usize> = BTreeMap::new();
        for runner in self.skipped.values().filter_map(|skip| skip.runner) {
            *runnerless.entry(runner).or_default() += 1;
        }
        for (runner, targets) in runnerless {
            let RunnerFact::Unresolved(why) = &self.build.facts.runners[runner] else { continue };
            let message = format!(
                "runner `{}` is missing, so {} could not be made: {}",
                graph.runners[runner].name,
                numbered(targets, "target"),
                why.reason
            );
            self.problems += 1;
            self.tell(Event::Problem { message, lines: vec![format!("hint: {}", why.hint)] });
        }
    }

    /// A batch less the cells whose absence other runs taught since it was cut.
    ///
    /// None if nothing of it is left to run as it stands; what remains is queued anew.
    pub(super) fn less_what_was_learned(&mut self, queued: Queued) -> Result<Option<Queued>> {
        let rule = queued.batch.rule;
        let teaches = self.build.graph.runner_of(rule).log.absent_depends_on.is_some();
        if !teaches || matches!(self.trials[rule.0], Trial::Running { .. }) {
            return Ok(Some(queued));
        }
        let mut rest = Vec::new();
        let mut learned = Vec::new();
        for &cell in &queued.batch.cells {
            let target = Target { rule, cell };
            if self.rejudge(target)? != Some(End::Absent) {
                rest.push((cell, queued.batch.groups));
                continue;
            }
            let verdict = self.board.verdict(self.build.graph, self.build.selection, target);
            let Verdict::Absent(Absence::Learned(line)) = verdict else { continue };
            let line = line.clone();
            self.tell_target(target, Ending::Absent, Some(line), Vec::new());
            learned.push((target, End::Absent));
        }
        if learned.is_empty() {
            return Ok(Some(queued));
        }
        self.settle_all(learned)?;
        let first = rest.first().map(|&(cell, _)| Target { rule, cell });
        let ready = first.and_then(|target| self.judge().ready(&self.board, target));
        if let Some((_, identity)) = ready {
            for batch in self.cut_cells(rule, &rest, &identity, rest.len())? {
                let queued = self.queued(batch, queued.attempt);
                self.queue.push_front(queued);
            }
        }
        Ok(None)
    }

    /// The groups that must be made, as bits.
    pub(super) fn lacking(&self, target: Target) -> u32 {
        let graph = self.build.graph;
        self.groups(target)
            .into_iter()
            .filter(|&group| {
                self.board
                    .get(graph, target, group)
                    .is_some_and(|j| matches!(j.verdict, Verdict::Stale(_)))
            })
            .fold(0, |bits, group| bits | 1 << group)
    }

    pub(super) fn count(&mut self, end: End) {
        match end {
            End::Fresh => self.ended.fresh += 1,
            End::Restored => self.ended.restored += 1,
            End::Built => self.ended.built += 1,
            End::Absent => self.ended.absent += 1,
            End::Failed => self.ended.failed += 1,
            End::Skipped => self.ended.skipped += 1,
        }
    }

    /// A target came to rest; returns the readers that this makes ready.
    pub(super) fn settle(&mut self, target: Target, end: End) -> Vec<Target> {
        self.count(end);
        self.leave(target);
        self.status[target.rule.0][target.cell] = Status::Settled(end);
        if end == End::Failed && !self.build.options.keep_going {
            self.draining = true;
        }
        let mut ready = Vec::new();
        for reader in self.readers(target) {
            if let Status::Waiting(count) = &mut self.status[reader.rule.0][reader.cell] {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    ready.push(reader);
                }
            }
        }
        ready
    }

    pub(super) fn settle_all(&mut self, ends: Vec<(Target, End)>) -> Result<()> {
        for (target, end) in ends {
            for reader in self.settle(target, end) {
                self.ready(reader)?;
            }
        }
        Ok(())
    }
}
