//! What needs no run: records that only need another name, and outputs put in place from the cache.
//!
//! Knows nothing of batches or runs.

use std::collections::BTreeSet;
use std::path::Path;

use rayon::prelude::*;

use super::Loop;
use crate::content::Document;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::graph::{Graph, Target};
use crate::memo::{self, Entry, Looked};
use crate::moments::{self, Moment};
use crate::plan::{self, Board, FileFact, Reason, Verdict};
use crate::records::{Key, MadeOutput, Outcome, Record};
use crate::setup::Build;

impl<'a> Loop<'a, '_> {
    /// Whether the record of a fresh target speaks of another fingerprint, or remembers no files.
    pub(super) fn unrecorded(&self, target: Target, group: usize) -> bool {
        let graph = self.build.graph;
        let record = self.build.last.get(&plan::record_key(graph, target, group));
        let Some(judgement) = self.board.get(graph, target, group) else { return false };
        match record {
            Some(record) => {
                judgement.fingerprint != Some(record.fingerprint)
                    || self.build.snapshot.learned(graph, target, group)
            }
            None => true,
        }
    }

    pub(super) fn rekey(&mut self, targets: &[(Target, usize)]) -> Result<()> {
        let build = self.build;
        let mut writes = Vec::new();
        for &(target, group) in targets {
            let record = build.last.get(&plan::record_key(build.graph, target, group));
            let known = record.map_or(&[][..], |record| &record.memo);
            let memo = build.snapshot.memo(build.graph, target, group, known);
            writes.extend(self.record_of(target, group, memo));
        }
        self.write(&writes)
    }

    /// The record of a group that is made, as it will be written.
    pub(super) fn record_of(
        &self,
        target: Target,
        group: usize,
        memo: Vec<Option<Entry>>,
    ) -> Option<Write> {
        let graph = self.build.graph;
        let judgement = self.board.get(graph, target, group)?;
        let made = judgement.made.clone()?;
        let lines = self.judge().lines(&self.board, target, group).unwrap_or_default();
        Some(Write {
            key: plan::record_key(graph, target, group),
            fingerprint: judgement.fingerprint?,
            outcome: Outcome::Made(made),
            lines,
            memo,
            ever_made: true,
        })
    }

    pub(super) fn write(&mut self, writes: &[Write]) -> Result<()> {
        if writes.is_empty() {
            return Ok(());
        }
        let at = (self.build.now)();
        let run = self.heard.clone().unwrap_or_else(|| self.stamp.clone());
        let causes = self.running.get(&run).map(|running| &running.causes);
        self.records.commit(|w| {
            for write in writes {
                let lines = w.number(&write.lines)?;
                let run = match &write.outcome {
                    Outcome::Made(made) | Outcome::Refused { made, .. } => made.run.clone(),
                    _ => run.clone(),
                };
                let record = Record {
                    fingerprint: write.fingerprint,
                    outcome: write.outcome.clone(),
                    lines,
                    memo: write.memo.clone(),
                    run,
                    ever_made: write.ever_made,
                    at,
                };
                w.record(&write.key, &record)?;
                if let Outcome::Made(made) = &write.outcome {
                    w.made(&write.fingerprint, made, at)?;
                    if let Some(cause) = causes.and_then(|causes| causes.get(&write.key)) {
                        w.cause(&write.key, &made.run, cause)?;
                    }
                }
            }
            Ok(())
        })
    }

    /// Puts outputs in place from the cache, many at once, for as long as nobody asks to stop.
    pub(super) fn restore(&mut self, targets: &[(Target, usize)]) -> Result<Restored> {
        let (build, board) = (self.build, &self.board);
        let placed: Vec<Option<Result<Placement>>> = targets
            .par_iter()
            .map(|&(target, group)| {
                (!build.stop.is_raised()).then(|| place(build, board, target, group))
            })
            .collect();
        let mut writes = Vec::new();
        let (mut restored, mut lost, mut left) = (0, 0, BTreeSet::new());
        for (&(target, group), placement) in targets.iter().zip(placed) {
            let Some(placement) = placement else {
                left.insert(target);
                continue;
            };
            match placement {
                Ok(Placement::Placed { memo, notes }) => {
                    for message in notes {
                        self.tell(Event::Note { message });
                    }
                    writes.extend(self.record_of(target, group, memo));
                    restored += 1;
                }
                Ok(Placement::Lost(path)) => {
                    // The object turned out bad when it was read, so it must be made again.
                    lost += 1;
                    if let Some(judgement) = self.board.get(self.build.graph, target, group) {
                        let mut judgement = judgement.clone();
                        judgement.verdict = Verdict::Stale(Reason::Lost(path));
                        judgement.made = None;
                        self.board.set(self.build.graph, target, group, judgement);
                    }
                }
                Err(error) => {
                    self.not_placed(target, &error);
                    self.unplaced.insert(target);
                }
            }
        }
        moments::pass(Moment::Restored);
        self.write(&writes)?;
        if restored > 0 {
            self.tell(Event::Restored { targets: restored });
        }
        Ok(Restored { lost, left })
    }
}

impl Loop<'_, '_> {
    /// Takes the outputs of a withdrawn target out of their places, and puts back what was there.
    pub(super) fn take_back(&self, target: Target, group: usize) -> Result<()> {
        let build = self.build;
        let graph = build.graph;
        let rule = graph.rule(target.rule);
        let before = self.content_before(target, group);
        for (at, (output, _)) in graph.outputs_in_order(target, group).into_iter().enumerate() {
            let path = build.places.root.join(graph.output_path(target, output));
            let fact = &build.facts.files[target.rule.0][target.cell * rule.outputs.len() + output];
            let before = before.and_then(|outputs| outputs.get(at)?.as_ref());
            let mode = if rule.outputs[output].executable { 0o555 } else { 0o444 };
            if let Some(before) = before.filter(|b| *fact == FileFact::There(b.bytes))
                && build.objects.place(&before.bytes, &path, mode)?.is_some()
            {
                continue;
            }
            match std::fs::remove_file(&path) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::io("remove", &path, &e));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// A record in the making.
pub(super) struct Write {
    pub(super) key: Key,
    pub(super) fingerprint: Digest,
    pub(super) outcome: Outcome,
    pub(super) lines: Vec<String>,
    pub(super) memo: Vec<Option<Entry>>,
    pub(super) ever_made: bool,
}

/// What was not put in place.
pub(super) struct Restored {
    /// How many groups of outputs the cache had lost, which must be made again.
    pub(super) lost: usize,
    /// The targets that were not come to before somebody asked to stop.
    pub(super) left: BTreeSet<Target>,
}

pub(super) enum Placement {
    Placed {
        memo: Vec<Option<Entry>>,
        notes: Vec<String>,
    },
    /// An object is gone or bad; the path that it was for.
    Lost(String),
}

/// Puts the outputs of a group in place; what somebody edited is kept aside first.
pub(super) fn place(
    build: &Build<'_>,
    board: &Board,
    target: Target,
    group: usize,
) -> Result<Placement> {
    let graph = build.graph;
    let Some(made) = board.get(graph, target, group).and_then(|j| j.made.as_ref()) else {
        return Err(Error::bug(format!("nothing is known to place of {}", graph.label(target))));
    };
    let rule = graph.rule(target.rule);
    let mut memo = Vec::new();
    let mut notes = Vec::new();
    let last = build.last.get(&plan::record_key(graph, target, group));
    for (at, (output, made)) in graph.order(target, group).iter().zip(&made.outputs).enumerate() {
        let project_path = graph.output_path(target, *output);
        let path = build.places.root.join(&project_path);
        // What jheem put there itself may go; anything else is somebody's work, or an old plot. It
        // may have come while the run went on, so it is looked at now.
        let placed = last.and_then(|r| r.memo.get(at)).and_then(Option::as_ref);
        let known = build.snapshot.looked(graph, target, *output).or(placed);
        let placed = placed.map(|m| m.digest);
        if let Looked::File { entry: Entry { digest: there, .. }, .. } =
            memo::look(&memo::RealDisk, known, &path)?
            && made.as_ref().is_none_or(|made| made.bytes != there)
        {
            let own = placed == Some(there) || build.objects.has(&there);
            if !own && !says_the_same(graph, target, *output, &path, made.as_ref()) {
                let kept = build.objects.keep_edited(&path, &project_path)?;
                let what = match placed {
                    Some(_) => "was edited by hand; it was put back, and the edited file",
                    None => {
                        "was there already and not known to jheem; it was replaced, and the old file"
                    }
                };
                notes.push(format!("`{project_path}` {what} kept as `{}`", kept.display()));
            } else if made.is_none() {
                std::fs::remove_file(&path).map_err(|e| Error::io("remove", &path, &e))?;
            }
        }
        let Some(made) = made else {
            memo.push(None);
            continue;
        };
        let mode = if rule.outputs[*output].executable { 0o555 } else { 0o444 };
        match build.objects.place(&made.bytes, &path, mode)? {
            Some(placed) => memo.push(Some(Entry::of(placed.stat, made.bytes))),
            None => return Ok(Placement::Lost(project_path)),
        }
    }
    Ok(Placement::Placed { memo, notes })
}

/// Whether a file that jheem does not know has the content of what takes its place: then nothing is lost.
fn says_the_same(
    graph: &Graph,
    target: Target,
    output: usize,
    path: &Path,
    made: Option<&MadeOutput>,
) -> bool {
    let declared = &graph.rule(target.rule).outputs[output];
    let (Some(made), Ok(bytes)) = (made, std::fs::read(path)) else { return false };
    Document::parse(&bytes, declared.kind)
        .is_ok_and(|document| document.content_digest(&declared.volatile) == made.content)
}
