//! What runs report while they go on: a target begun, collected, or told absent.
//!
//! The record is written before the output is placed, so that a kill in between loses neither.

use super::restore::{Placement, Write, place};
use super::{End, Loop};
use crate::collect::{Collected, Expected};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::event::{Ending, Event};
use crate::facts::{self};
use crate::graph::{From, Target};
use crate::job::Pulling;
use crate::memo;
use crate::moments::{self, Moment};
use crate::plan::{self, Verdict};
use crate::records::{self, Made, Outcome};
use crate::work::Report;

impl<'a> Loop<'a, '_> {
    pub(super) fn report(&mut self, report: Report) -> Result<()> {
        self.heard = report.run().map(str::to_owned);
        let heard = self.take(report);
        self.heard = None;
        heard
    }

    fn take(&mut self, report: Report) -> Result<()> {
        match report {
            Report::Pulling { run, pulling: Pulling { image, done, total, seconds } } => {
                self.tell(match seconds {
                    Some(seconds) => Event::Pulled { run, image, bytes: total, seconds },
                    None => Event::Pulling { run, image, done, total },
                });
                Ok(())
            }
            Report::Began { run, cell } => {
                let Some(running) = self.running.get(&run) else { return Ok(()) };
                let target = Target { rule: running.batch.rule, cell };
                let target = self.build.graph.label(target);
                self.tell(Event::TargetBegan { run, target });
                Ok(())
            }
            Report::Collected { run, cell, groups } => self.collected(&run, cell, groups),
            Report::Absent { run, cell, line, pattern } => self.absent(&run, cell, line, pattern),
            Report::Ended(ended) => self.run_ended(*ended),
            Report::Fetching { digest, bytes } => {
                self.fetching(digest, bytes);
                Ok(())
            }
            Report::Fetched { digest, came, seconds } => self.fetched(digest, came, seconds),
        }
    }

    pub(super) fn collected(
        &mut self,
        run: &str,
        cell: usize,
        groups: Vec<(usize, Collected)>,
    ) -> Result<()> {
        let Some(running) = self.running.get(run) else { return Ok(()) };
        let target = Target { rule: running.batch.rule, cell };
        if let Some(moved) = self.moved(target) {
            self.tell_moved(target, &moved);
            self.end_cell(run, cell, End::Failed);
            return Ok(());
        }
        let Judged { passed, findings, same, writes, possible } =
            self.judged(run, target, groups)?;
        // The record first: an object is stored, so the record is true before the file is there.
        self.write(&writes)?;
        if !self.build.graph.runner_of(target.rule).log.absent.is_empty() {
            self.records.commit(|w| possible.iter().try_for_each(|key| w.possible(key)))?;
        }
        moments::pass(Moment::Recorded);
        let mut memos = Vec::new();
        for group in passed {
            let placed = match place(self.build, &self.board, target, group) {
                Ok(placed) => placed,
                Err(error) => {
                    // It is stored and recorded: the next build only has to put it in place.
                    self.not_placed(target, &error);
                    self.end_cell(run, cell, End::Failed);
                    return self.write(&memos);
                }
            };
            match placed {
                Placement::Placed { memo, notes } => {
                    for message in notes {
                        self.tell(Event::Note { message });
                    }
                    memos.extend(self.record_of(target, group, memo));
                }
                Placement::Lost(path) => {
                    let message =
                        format!("`{path}` was stored and read back damaged; is the disk failing?");
                    self.fail(target, 1 << group, message, Vec::new())?;
                    self.end_cell(run, cell, End::Failed);
                    return Ok(());
                }
            }
        }
        self.write(&memos)?;
        let (ending, end, message) = match (findings.is_empty(), same) {
            (true, true) => (Ending::Same, End::Built, None),
            (true, false) => (Ending::Built, End::Built, None),
            (false, _) => {
                let message = format!("refused by the audit: {}", findings.join("; "));
                (Ending::Failed, End::Failed, Some(message))
            }
        };
        self.tell_target(target, ending, message, Vec::new());
        self.end_cell(run, cell, end);
        Ok(())
    }

    /// What is to be recorded of what a run made of a target.
    ///
    /// Each group of outputs passes its audit or not by itself: what an option asks for beside the
    /// plot is refused alone, and judged again alone when its audit changes.
    fn judged(
        &mut self,
        run: &str,
        target: Target,
        groups: Vec<(usize, Collected)>,
    ) -> Result<Judged> {
        let graph = self.build.graph;
        let mut judged = Judged { same: true, ..Judged::default() };
        for (group, collected) in groups {
            let Some(running) = self.running.get(run) else { continue };
            let expected =
                running.expected.iter().find(|e| e.target == target && e.group == group).cloned();
            let Some(expected) = expected else { continue };
            let lines = running.lines_of.get(&(target, group)).cloned().unwrap_or_default();
            let key = plan::record_key(graph, target, group);
            let fingerprint = expected.fingerprint;
            let (outcome, memo, ever_made) = match collected {
                Collected::Made(made) => {
                    let made = self.first_made(target, &expected, made)?;
                    judged.same &= self
                        .content_before(target, group)
                        .is_some_and(|before| contents(before).eq(contents(&made.outputs)));
                    judged.possible.extend(self.judge().absence_key(&self.board, target, group));
                    let judgement = plan::Judgement {
                        verdict: Verdict::Fresh,
                        fingerprint: Some(fingerprint),
                        by_bytes: Some(expected.by_bytes),
                        made: Some(made.clone()),
                        rekey: false,
                    };
                    self.board.set(graph, target, group, judgement);
                    judged.passed.push(group);
                    if let Some(running) = self.running.get_mut(run) {
                        running.made.push((target, group, made.clone()));
                    }
                    let memo = vec![None; made.outputs.len()];
                    (Outcome::Made(made), memo, true)
                }
                Collected::Refused { made, findings } => {
                    judged.findings.extend(findings.iter().cloned());
                    let outcome = Outcome::Refused { made, findings };
                    (outcome, self.memo_before(target, group), self.ever_made(target, group))
                }
                Collected::Missing(_) | Collected::Unfit(_) | Collected::Moving(_) => continue,
            };
            judged.writes.push(Write { key, fingerprint, outcome, lines, memo, ever_made });
        }
        Ok(judged)
    }

    /// Tells that what was made of a target, or was kept of it, could not be put in place.
    pub(super) fn not_placed(&mut self, target: Target, error: &Error) {
        let message = error.message.clone();
        self.tell_target(target, Ending::Failed, Some(message), error.details());
    }

    fn tell_moved(&mut self, target: Target, moved: &str) {
        let message = format!("`{moved}` changed while the run went on, so nothing was recorded");
        self.tell_target(target, Ending::Failed, Some(message), Vec::new());
    }

    /// What is remembered of the files that are in place still: those of the last good making.
    fn memo_before(&self, target: Target, group: usize) -> Vec<Option<memo::Entry>> {
        let key = plan::record_key(self.build.graph, target, group);
        self.build.last.get(&key).map(|record| record.memo.clone()).unwrap_or_default()
    }

    pub(super) fn end_cell(&mut self, run: &str, cell: usize, end: End) {
        if let Some(running) = self.running.get_mut(run) {
            running.ends.insert(cell, end);
        }
    }

    /// The contents that the last record of a group speaks of.
    pub(super) fn content_before(
        &self,
        target: Target,
        group: usize,
    ) -> Option<&'a Vec<Option<records::MadeOutput>>> {
        let key = plan::record_key(self.build.graph, target, group);
        match &self.build.last.get(&key)?.outcome {
            Outcome::Made(made) => Some(&made.outputs),
            _ => None,
        }
    }

    /// What is kept of a request that was made before, and now again.
    ///
    /// If the contents differ the model is not deterministic, which is told and counted. Then the
    /// first is kept, if the cache has all of it still: readers and destinations know that one.
    fn first_made(&mut self, target: Target, expected: &Expected, made: Made) -> Result<Made> {
        let Some(before) = self.records.made(&expected.fingerprint)? else { return Ok(made) };
        let same = contents(&before.outputs).eq(contents(&made.outputs));
        if same || before.judged != made.judged {
            return Ok(made);
        }
        let mut whole = true;
        for output in before.outputs.iter().flatten() {
            whole &= self.build.objects.verified_path(&output.bytes)?.is_some();
        }
        self.nondeterministic += 1;
        let label = self.build.graph.label(target);
        let kept = if whole { "the first is kept" } else { "the cache lost the first" };
        let message = format!(
            "{label} was made again from the same request, and its content differs: the model is not deterministic; {kept}"
        );
        self.tell(Event::Note { message });
        Ok(if whole { before } else { made })
    }

    /// Whether the last attempt left all of a target's groups absent.
    fn was_absent(&self, target: Target) -> bool {
        self.groups(target).into_iter().all(|group| {
            let key = plan::record_key(self.build.graph, target, group);
            let record = self.build.last.get(&key);
            record.is_some_and(|record| matches!(record.outcome, Outcome::Absent { .. }))
        })
    }

    pub(super) fn ever_made(&self, target: Target, group: usize) -> bool {
        let key = plan::record_key(self.build.graph, target, group);
        self.build.last.get(&key).is_some_and(|record| record.ever_made)
    }

    /// What the target depends on and is no longer what it was when the run began: its path.
    pub(super) fn moved(&self, target: Target) -> Option<String> {
        let graph = self.build.graph;
        let rule = graph.rule(target.rule);
        let inputs = rule.reads.iter().flat_map(|read| match read.from {
            From::Input(input) => {
                read.cells(&rule.space, target.cell).into_iter().map(|c| (input, c)).collect()
            }
            From::Output { .. } => Vec::new(),
        });
        let overlays = graph.runner_of(target.rule).overlays.iter().map(|(_, input)| (*input, 0));
        let (places, snapshot) = (self.build.places, self.build.snapshot);
        inputs
            .chain(overlays)
            .find(|&(input, cell)| facts::input_moved(graph, places, snapshot, input, cell))
            .map(|(input, cell)| graph.input_path(input, cell))
            .or_else(|| facts::program_moved(snapshot, rule.runner))
    }

    pub(super) fn absent(
        &mut self,
        run: &str,
        cell: usize,
        line: String,
        pattern: usize,
    ) -> Result<()> {
        let Some(running) = self.running.get(run) else { return Ok(()) };
        let target = Target { rule: running.batch.rule, cell };
        let asked = running.batch.groups;
        let graph = self.build.graph;
        if let Some(moved) = self.moved(target) {
            self.tell_moved(target, &moved);
            self.end_cell(run, cell, End::Failed);
            return Ok(());
        }
        let pattern =
            graph.runner_of(target.rule).log.absent.get(pattern).cloned().unwrap_or_default();
        let existed = self.groups(target).into_iter().any(|group| self.ever_made(target, group));
        // What was accepted as absent stays so, though what was published of it still stands.
        if existed || (!self.was_absent(target) && (self.build.published)(target)) {
            let message = format!(
                "it was made before, and now the container says that it cannot exist; `jheem accept` agrees to that: {line}"
            );
            self.fail(target, asked, message, vec![line])?;
            self.end_cell(run, cell, End::Failed);
            return Ok(());
        }
        let mut writes = Vec::new();
        let mut learned = Vec::new();
        for group in (0..32).filter(|g| asked & (1 << g) != 0) {
            let Some(judgement) = self.board.get(graph, target, group) else { continue };
            let (fingerprint, by_bytes) = (judgement.fingerprint, judgement.by_bytes);
            let Some(fingerprint) = fingerprint else { continue };
            if let Some(key) = self.judge().absence_key(&self.board, target, group)
                && !self.records.possible(&key)?
            {
                learned.push(key);
            }
            let key = plan::record_key(graph, target, group);
            // What somebody accepted stays accepted when it is said again.
            let accepted = self.build.last.get(&key).is_some_and(|last| last.outcome.is_accepted());
            let pattern = if accepted { String::new() } else { pattern.clone() };
            writes.push(Write {
                key,
                fingerprint,
                outcome: Outcome::Absent { line: line.clone(), pattern },
                lines: self.judge().lines(&self.board, target, group).unwrap_or_default(),
                memo: Vec::new(),
                ever_made: false,
            });
            let judgement = plan::Judgement {
                verdict: Verdict::Absent(plan::Absence::Learned(line.clone())),
                fingerprint: Some(fingerprint),
                by_bytes,
                made: None,
                rekey: false,
            };
            self.board.set(graph, target, group, judgement);
        }
        self.write(&writes)?;
        let absence = records::Absence { line: line.clone(), pattern };
        self.records.commit(|w| learned.iter().try_for_each(|key| w.absence(key, &absence)))?;
        self.tell_target(target, Ending::Absent, Some(line), Vec::new());
        self.end_cell(run, cell, End::Absent);
        Ok(())
    }

    /// Records and tells that a target failed.
    pub(super) fn fail(
        &mut self,
        target: Target,
        groups: u32,
        message: String,
        lines: Vec<String>,
    ) -> Result<()> {
        let graph = self.build.graph;
        let mut writes = Vec::new();
        // What failed over inputs that moved says nothing of those that were looked at.
        let groups = if self.moved(target).is_some() { 0 } else { groups };
        for group in (0..graph.rule(target.rule).groups.len()).filter(|g| groups & (1 << g) != 0) {
            let Some(judgement) = self.board.get(graph, target, group) else { continue };
            let Some(fingerprint) = judgement.fingerprint else { continue };
            writes.push(Write {
                key: plan::record_key(graph, target, group),
                fingerprint,
                outcome: Outcome::Failed { message: message.clone(), lines: lines.clone() },
                lines: self.judge().lines(&self.board, target, group).unwrap_or_default(),
                memo: self.memo_before(target, group),
                ever_made: self.ever_made(target, group),
            });
        }
        self.write(&writes)?;
        self.tell_target(target, Ending::Failed, Some(message), lines);
        Ok(())
    }

    pub(super) fn tell_target(
        &mut self,
        target: Target,
        ending: Ending,
        message: Option<String>,
        lines: Vec<String>,
    ) {
        let graph = self.build.graph;
        let path = graph.output_path(target, graph.rule(target.rule).primary());
        self.tell(Event::Target { target: graph.label(target), path, ending, message, lines });
    }
}

/// What the audit left of a target that a run made.
#[derive(Default)]
struct Judged {
    /// The groups that passed.
    passed: Vec<usize>,
    findings: Vec<String>,
    /// Whether all contents are what they were before.
    same: bool,
    writes: Vec<Write>,
    /// Keys under which an absence cannot be learned any more.
    possible: Vec<Digest>,
}

/// The contents of outputs, in their order; none for one that was not made.
fn contents(
    outputs: &[Option<records::MadeOutput>],
) -> impl Iterator<Item = Option<Digest>> + use<'_> {
    outputs.iter().map(|output| output.as_ref().map(|output| output.content))
}
