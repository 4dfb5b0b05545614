//! `jheem check`: makes some targets once more, each alone, and compares them with their records.
//!
//! A batch must not influence its members, and a model should be deterministic: both are found out
//! here. Everything happens in scratch; nothing is recorded and nothing is placed.

use std::path::Path;
use std::sync::mpsc::channel;

use crate::batch::Batch;
use crate::build::exit_words;
use crate::collect::Collected;
use crate::digest::Digest;
use crate::error::Result;
use crate::graph::{Graph, Target};
use crate::objects::Objects;
use crate::plan::{self, Board, Judge, Verdict};
use crate::prepare::{Prepared, prepare};
use crate::records::{Key, Made};
use crate::request::Product;
use crate::selection::Selection;
use crate::setup::Build;
use crate::work::{self, Report};

/// Targets that are made and can be compared: so many of the goals, chosen by the seed alone.
///
/// The same seed chooses the same targets on every machine, whatever else is selected.
pub fn sample(
    graph: &Graph,
    selection: &Selection,
    board: &Board,
    count: usize,
    seed: u64,
) -> Vec<Target> {
    let mut ranked: Vec<([u8; 32], Target)> = selection
        .targets()
        .filter(|t| selection.goals[t.rule.0][t.cell])
        .filter(|&t| !made(graph, selection, board, t).is_empty())
        .map(|target| {
            let key: Key = plan::record_key(graph, target, 0);
            let mut hasher = blake3::Hasher::new();
            hasher.update(&seed.to_le_bytes());
            hasher.update(&key[..]);
            (*hasher.finalize().as_bytes(), target)
        })
        .collect();
    ranked.sort_unstable();
    ranked.into_iter().take(count).map(|(_, target)| target).collect()
}

/// What is recorded of the groups of a target that are asked for.
fn made<'b>(
    graph: &Graph,
    selection: &Selection,
    board: &'b Board,
    target: Target,
) -> Vec<(usize, &'b Made)> {
    let wanted = selection.wants(target);
    (0..graph.rule(target.rule).groups.len())
        .filter(|group| wanted & (1 << group) != 0)
        .filter_map(|group| {
            let judgement = board.get(graph, target, group)?;
            match (&judgement.verdict, &judgement.made) {
                (Verdict::Fresh | Verdict::Restorable(_), Some(made)) => Some((group, made)),
                _ => None,
            }
        })
        .collect()
}

/// Makes one target alone; what differs from its record, in words. Empty if nothing does.
///
/// What it makes is kept nowhere, its log under the run's name.
pub fn compare(
    build: &Build<'_>,
    judge: &Judge<'_>,
    board: &Board,
    target: Target,
    run: &str,
) -> Result<Vec<String>> {
    let graph = build.graph;
    let recorded = made(graph, build.selection, board, target);
    let groups = recorded.iter().fold(0, |bits, (group, _)| bits | 1 << group);
    let product = Product::of_cell(&graph.rule(target.rule).space.coordinates(target.cell));
    let batch = Batch {
        rule: target.rule,
        groups,
        cells: vec![target.cell],
        products: vec![product],
        surplus: 0,
    };
    let scratch = build.places.scratch().join(run);
    let outcome = make(build, judge, board, &batch, run, &scratch);
    // What cannot be removed now, such as another user's files, the next sweep removes.
    let _left = std::fs::remove_dir_all(&scratch);
    Ok(match outcome? {
        Ok(groups) => differences(graph, target, &recorded, &groups),
        Err(why) => vec![why],
    })
}

type Groups = Vec<(usize, Collected)>;

fn make(
    build: &Build<'_>,
    judge: &Judge<'_>,
    board: &Board,
    batch: &Batch,
    run: &str,
    scratch: &Path,
) -> Result<std::result::Result<Groups, String>> {
    let Prepared { work, .. } = prepare(build, board, judge, batch, run)?;
    let executor = build.executors.of(build.graph, batch.rule)?;
    let objects = Objects::open(&scratch.join("made"))?;
    let (sender, receiver) = channel();
    work::work(build.graph, work, executor, &objects, build.stop, &sender);
    drop(sender);
    let mut outcome = Err("it was not made".to_owned());
    for report in receiver {
        match report {
            Report::Collected { groups, .. } => outcome = Ok(groups),
            Report::Absent { line, .. } => {
                outcome = Err(format!("the run says that it cannot exist: {line}"));
            }
            Report::Ended(ended) => {
                let exit = exit_words(&ended.exit);
                ended.exit?;
                if let Some(undone) = ended.undone.first() {
                    let unkept = undone.unkept.as_ref().map(|unkept| unkept.message.as_str());
                    let finding = unkept.or(undone.finding.as_deref()).unwrap_or("it was not made");
                    outcome = Err(format!("{finding}: the run ended with {exit}"));
                }
            }
            Report::Began { .. }
            | Report::Pulling { .. }
            | Report::Fetching { .. }
            | Report::Fetched { .. } => {}
        }
    }
    Ok(outcome)
}

fn differences(
    graph: &Graph,
    target: Target,
    recorded: &[(usize, &Made)],
    groups: &[(usize, Collected)],
) -> Vec<String> {
    let mut told = Vec::new();
    for &(group, recorded) in recorded {
        let collected = groups.iter().find(|(g, _)| *g == group).map(|(_, collected)| collected);
        let alone = match collected {
            Some(Collected::Made(made)) => made,
            Some(Collected::Refused { findings, .. }) => {
                told.extend(findings.iter().map(|f| format!("refused by the audit: {f}")));
                continue;
            }
            Some(Collected::Missing(path) | Collected::Moving(path)) => {
                told.push(format!("`{path}` was not made"));
                continue;
            }
            Some(Collected::Unfit(what)) => {
                told.push(what.clone());
                continue;
            }
            None => continue,
        };
        for (at, (output, _)) in graph.outputs_in_order(target, group).into_iter().enumerate() {
            let content = |made: &Made| made.outputs.get(at)?.as_ref().map(|o| o.content);
            let (before, now) = (content(recorded), content(alone));
            if before != now {
                let words = |d: Option<Digest>| d.map_or("nothing".into(), |d| d.to_string());
                told.push(format!(
                    "`{}` was recorded as {}, and is {} when made alone",
                    graph.output_path(target, output),
                    words(before),
                    words(now)
                ));
            }
        }
    }
    told
}
