//! What the end of a run means for its batch: checks over all of it, retries, and what failed.

use std::collections::{BTreeMap, BTreeSet};

use super::restore::Write;
use super::{End, Loop, Running, Trial, exit_words, first_lines};
use crate::error::Result;
use crate::event::{Ending, Event};
use crate::figures::numbered;
use crate::graph::Target;
use crate::job::Exit;
use crate::moments::{self, Moment};
use crate::plan::{self, Reason, Verdict};
use crate::records::{self, Outcome};
use crate::work::{Ended, Undone};

impl<'a> Loop<'a, '_> {
    pub(super) fn run_ended(&mut self, ended: Ended) -> Result<()> {
        let Some(mut running) = self.running.remove(&ended.run) else { return Ok(()) };
        let rule = running.batch.rule;
        let graph = self.build.graph;
        let exit = exit_words(&ended.exit);
        let withdrawn = self.withdraw_doubles(&mut running)?;
        self.check_strays(&running, &ended);
        let made = running.ends.values().filter(|e| **e == End::Built).count();
        self.learn(&running, &ended, made)?;
        let run = records::Run {
            id: ended.run.clone(),
            rule: graph.rule(rule).name.to_string(),
            command: running.command.clone(),
            targets: running.batch.cells.len() as u64,
            started: running.started,
            milliseconds: (ended.seconds * 1000.0) as u64,
            exit: exit.clone(),
        };
        moments::pass(Moment::Ended);
        self.records.commit(|w| w.run(&run))?;
        self.tell(Event::RunEnded {
            run: ended.run.clone(),
            rule: graph.rule(rule).name.to_string(),
            exit,
            seconds: ended.seconds,
            made,
        });
        let scratch = self.build.places.scratch().join(&ended.run);
        moments::pass(Moment::Cleaning);
        // What cannot be removed now, such as another user's files, the next sweep removes.
        let _left = std::fs::remove_dir_all(&scratch);
        if let Err(error) = &ended.exit
            && error.no_room
        {
            // Every other run would end like this one.
            return Err(error.clone());
        }
        let retried = self.undone(&running, ended)?;
        let mut ends: Vec<(Target, End)> = Vec::new();
        for &cell in &running.batch.cells {
            if retried.contains(&cell) {
                continue;
            }
            let target = Target { rule, cell };
            let end = running.ends.get(&cell).copied().unwrap_or(End::Failed);
            let end = if withdrawn.contains(&target) { End::Failed } else { end };
            ends.push((target, end));
        }
        if running.trial && retried.is_empty() {
            self.tried(&running, &ends)?;
        }
        if self.build.stop.is_raised() {
            // What a stopped run did not make has not failed; it is skipped at the end.
            ends.retain(|(target, end)| {
                *end != End::Failed || self.told_failed(&running, target.cell)
            });
        }
        self.settle_all(ends)
    }

    pub(super) fn told_failed(&self, running: &Running, cell: usize) -> bool {
        running.ends.get(&cell) == Some(&End::Failed)
    }

    /// What the first plot of a new runner says of the rest.
    pub(super) fn tried(&mut self, running: &Running, ends: &[(Target, End)]) -> Result<()> {
        let rule = running.batch.rule;
        let Trial::Running { mut failures, mut absent, tried } = self.trials[rule.0].clone() else {
            return Ok(());
        };
        let graph = self.build.graph;
        let end = ends.first().map_or(End::Failed, |(_, end)| *end);
        let refused = ends.first().is_some_and(|(target, _)| self.records_refused(*target));
        self.may_cut = true;
        self.trials[rule.0] = match end {
            End::Absent => {
                absent += 1;
                if absent >= 3 { Trial::Passed } else { Trial::Open { failures, absent, tried } }
            }
            End::Failed if refused => Trial::Stopped,
            End::Failed => {
                failures += 1;
                if failures >= 2 { Trial::Stopped } else { Trial::Open { failures, absent, tried } }
            }
            _ => Trial::Passed,
        };
        if self.trials[rule.0] == Trial::Stopped {
            self.problems += 1;
            let message = format!(
                "`{}` was stopped: the first plots of a new runner ({}) did not come out well",
                graph.rule(rule).name,
                running.identity
            );
            self.tell(Event::Problem { message, lines: Vec::new() });
        }
        Ok(())
    }

    pub(super) fn records_refused(&self, target: Target) -> bool {
        self.board.get(self.build.graph, target, 0).and_then(|j| j.fingerprint).is_some_and(|_| {
            self.groups(target).into_iter().any(|group| {
                let key = plan::record_key(self.build.graph, target, group);
                matches!(
                    self.records.one(&key).map(|r| r.map(|r| r.outcome)),
                    Ok(Some(Outcome::Refused { .. }))
                )
            })
        })
    }

    /// Remembers what a target that needs no run has in its unique outputs.
    pub(super) fn note_unique(&mut self, target: Target) {
        let graph = self.build.graph;
        let rule = graph.rule(target.rule);
        for (index, output) in rule.outputs.iter().enumerate().filter(|(_, o)| o.unique) {
            let judgement = self.board.get(graph, target, output.group);
            let made = judgement
                .filter(|j| matches!(j.verdict, Verdict::Fresh | Verdict::Restorable(_)))
                .and_then(|j| j.made.as_ref());
            let found = made.and_then(|m| plan::output_of(graph, target, output.group, index, m));
            if let Some(found) = found {
                self.unique.entry((target.rule, index, found.content)).or_insert(target);
            }
        }
    }

    /// No two cells of a unique output may have the same content: such records are withdrawn.
    pub(super) fn withdraw_doubles(&mut self, running: &mut Running) -> Result<BTreeSet<Target>> {
        let graph = self.build.graph;
        let rule = graph.rule(running.batch.rule);
        let mut withdrawn = BTreeSet::new();
        if !rule.outputs.iter().any(|o| o.unique) {
            return Ok(withdrawn);
        }
        let mut doubles: BTreeMap<Target, BTreeMap<usize, Vec<String>>> = BTreeMap::new();
        for (target, group, made) in &running.made {
            for &output in graph.order(*target, *group).iter() {
                if !rule.outputs[output].unique {
                    continue;
                }
                let Some(found) = plan::output_of(graph, *target, *group, output, made) else {
                    continue;
                };
                let mut double = |of: &Target, other: &Target| {
                    let told = plan::double_finding(graph, &rule.outputs[output].name, *other);
                    doubles.entry(*of).or_default().entry(*group).or_default().push(told);
                };
                match self.unique.get(&(target.rule, output, found.content)) {
                    Some(other) if other != target => {
                        double(target, other);
                        if running.made.iter().any(|(t, ..)| t == other) {
                            double(other, target);
                        }
                    }
                    _ => {
                        self.unique.insert((target.rule, output, found.content), *target);
                    }
                }
            }
        }
        for (target, groups) in doubles {
            let mut all = Vec::new();
            for (group, mut findings) in groups {
                // Of many that are alike, the first says enough.
                findings.truncate(1);
                all.extend(findings.iter().cloned());
                self.withdraw(running, target, group, findings)?;
            }
            let message = format!("refused by the audit: {}", all.join("; "));
            let built = running.ends.insert(target.cell, End::Failed) == Some(End::Built);
            let ending = if built { Ending::Withdrawn } else { Ending::Failed };
            self.tell_target(target, ending, Some(message), Vec::new());
            withdrawn.insert(target);
        }
        Ok(withdrawn)
    }

    /// Takes back what was recorded of a group of outputs, and puts back what stood there before.
    fn withdraw(
        &mut self,
        running: &Running,
        target: Target,
        group: usize,
        findings: Vec<String>,
    ) -> Result<()> {
        let graph = self.build.graph;
        let made = running.made.iter().find(|(t, g, _)| (*t, *g) == (target, group));
        let expected = running.expected.iter().find(|e| e.target == target && e.group == group);
        let (Some((_, _, made)), Some(expected)) = (made, expected) else { return Ok(()) };
        let fingerprint = expected.fingerprint;
        let write = Write {
            key: plan::record_key(graph, target, group),
            fingerprint,
            outcome: Outcome::Refused { made: made.clone(), findings: findings.clone() },
            lines: running.lines_of.get(&(target, group)).cloned().unwrap_or_default(),
            memo: Vec::new(),
            ever_made: self.ever_made(target, group),
        };
        self.records.commit(|w| w.withdraw(&fingerprint))?;
        self.write(&[write])?;
        self.take_back(target, group)?;
        let judgement = plan::Judgement {
            verdict: Verdict::Stale(Reason::RefusedBefore(findings)),
            fingerprint: Some(fingerprint),
            by_bytes: None,
            made: None,
            rekey: false,
        };
        self.board.set(graph, target, group, judgement);
        Ok(())
    }

    /// Files and target lines that nobody asked for fail the build, but no target.
    pub(super) fn check_strays(&mut self, running: &Running, ended: &Ended) {
        let rule = &self.build.graph.rule(running.batch.rule).name;
        if !ended.strays.is_empty() {
            let message = format!(
                "a run of `{rule}` left {} that nobody asked for; `ignore` lets them pass",
                numbered(ended.strays.len(), "file")
            );
            self.problems += 1;
            self.tell(Event::Problem { message, lines: first_lines(&ended.strays) });
        }
        if !ended.unasked.is_empty() && running.batch.surplus == 0 {
            let message = format!(
                "a run of `{rule}` says that it made {} that nobody asked for: does it heed its arguments?",
                numbered(ended.unasked.len(), "target")
            );
            self.problems += 1;
            self.tell(Event::Problem { message, lines: first_lines(&ended.unasked) });
        }
    }

    /// Learns what runs of this rule cost.
    pub(super) fn learn(&mut self, running: &Running, ended: &Ended, made: usize) -> Result<()> {
        if made == 0 {
            return Ok(());
        }
        let count = running.ends.len().max(1) as f64;
        let startup = ended.startup.unwrap_or(0.0).min(ended.seconds);
        let each = (ended.seconds - startup) / count;
        let key = self.cost_key(running.batch.rule, &running.identity);
        self.records.commit(|w| w.cost(&key, startup, each))
    }

    /// What a run did not make: failed, or lost and tried again. Returns the cells that are.
    pub(super) fn undone(&mut self, running: &Running, ended: Ended) -> Result<BTreeSet<usize>> {
        let graph = self.build.graph;
        let runner = graph.runner_of(running.batch.rule);
        let mut again = BTreeSet::new();
        if ended.undone.is_empty() {
            let declared =
                |code: &i64| runner.exit.ok.contains(code) || runner.exit.partial.contains(code);
            if !matches!(&ended.exit, Ok(Exit::Stopped) | Err(_))
                && !matches!(&ended.exit, Ok(Exit::Code(code)) if declared(code))
            {
                let message = format!(
                    "a run of `{}` ended badly ({}), but its log says that all that it was to make was finished",
                    graph.rule(running.batch.rule).name,
                    exit_words(&ended.exit)
                );
                self.tell(Event::Note { message });
            }
            return Ok(again);
        }
        if matches!(ended.exit, Ok(Exit::Stopped)) || self.build.stop.is_raised() {
            return Ok(ended.undone.iter().map(|u| u.cell).collect());
        }
        let (lost, mut reason) = match &ended.exit {
            Ok(Exit::Code(code)) if runner.exit.ok.contains(code) => {
                (false, "the run ended well without making it".to_owned())
            }
            Ok(Exit::Code(code)) if runner.exit.partial.contains(code) => {
                (false, format!("the run ended with code {code} without making it"))
            }
            Ok(Exit::Code(code)) => (
                is_crash(*code) || ended.undone.iter().any(|u| u.began) || !running.ends.is_empty(),
                format!("the run ended with code {code}"),
            ),
            Ok(exit) => (true, exit_words(&Ok(exit.clone()))),
            Err(error) => (false, error.in_one_line()),
        };
        for undone in &ended.undone {
            let lost = lost || undone.unkept.as_ref().is_some_and(|unkept| unkept.again);
            let retry = lost && !undone.failed && running.attempt < runner.retries;
            if retry {
                again.insert(undone.cell);
                if let Some(unkept) = &undone.unkept {
                    reason.clone_from(&unkept.message);
                }
            } else {
                let target = Target { rule: running.batch.rule, cell: undone.cell };
                let message = undone_message(undone, &reason);
                let lines =
                    if undone.lines.is_empty() { ended.tail.clone() } else { undone.lines.clone() };
                self.fail(target, running.batch.groups, message, first_lines(&lines))?;
            }
        }
        if !again.is_empty() {
            self.tell(Event::Retry {
                rule: graph.rule(running.batch.rule).name.to_string(),
                targets: again.len(),
                reason,
            });
            let last = running.attempt + 1 >= runner.retries;
            let most = if last { 1 } else { running.batch.cells.len().div_ceil(2).max(1) };
            let cells: Vec<(usize, u32)> =
                again.iter().map(|&cell| (cell, running.batch.groups)).collect();
            for batch in self.cut_cells(running.batch.rule, &cells, &running.identity, most)? {
                let queued = self.queued(batch, running.attempt + 1);
                self.queue.push_front(queued);
            }
        }
        Ok(again)
    }
}

/// Whether a code says that a signal ended the program: so a shell or a container tells of it, as 128 and the signal.
///
/// Such a run was cut off, however early; another code that nobody declared is the program's own no.
fn is_crash(code: i64) -> bool {
    (129..=192).contains(&code)
}

fn undone_message(undone: &Undone, reason: &str) -> String {
    match (&undone.finding, &undone.unkept) {
        _ if undone.failed => "the log says that it failed".to_owned(),
        (_, Some(unkept)) => unkept.message.clone(),
        (Some(finding), None) => format!("{finding}: {reason}"),
        (None, None) => reason.to_owned(),
    }
}
