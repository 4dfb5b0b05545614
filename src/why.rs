//! Reasons in words: for one target in full, and for many folded by axis.
//!
//! Says only what the plan decided; decides nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde::Serialize;

use crate::clock;
use crate::digest::Digest;
use crate::error::Result;
use crate::fingerprint::{self, Change};
use crate::graph::{From, Graph, RuleId, Target};
use crate::plan::{self, Absence, Board, Judge, Reason, RunnerFact, Verdict, Waits};
use crate::records::Records;
use crate::request;
use crate::selection::Selection;

/// The changes that made a target stale, between its last record and now.
pub fn changes(
    judge: &Judge<'_>,
    board: &Board,
    records: Option<&Records>,
    target: Target,
    group: usize,
) -> Result<Vec<Change>> {
    let Some(record) = judge.last.get(&plan::record_key(judge.graph, target, group)) else {
        return Ok(Vec::new());
    };
    let (Some(records), Some(now)) = (records, judge.lines(board, target, group)) else {
        return Ok(Vec::new());
    };
    Ok(fingerprint::changes(&records.lines(record)?, &now))
}

/// What the labels of fingerprints of one target are called in the Jheemfile.
///
/// A join may read very many, so what it reads is rendered once, and only when it is asked for.
#[derive(Default)]
struct Names {
    /// By the path that a run sees: the name of the read, and the path in the project.
    reads: Option<HashMap<String, String>>,
}

impl Names {
    /// The input's own name, where it has one.
    fn of(&mut self, graph: &Graph, target: Target, label: &str) -> String {
        let Some(path) = label.strip_prefix("reads ") else {
            return label.to_owned();
        };
        let reads = self.reads.get_or_insert_with(|| reads(graph, target));
        if let Some(name) = reads.get(path) {
            return name.clone();
        }
        // What is read no more can only have been a member of a join, unless the Jheemfile changed.
        match graph.rule(target.rule).reads.iter().find(|read| read.is_join()) {
            Some(join) => format!("{} ({path})", join.name),
            None => path.to_owned(),
        }
    }
}

/// What a target reads as the Jheemfile calls it, such as `prerun (simulations/…)`, by the path that a run sees.
pub fn reads(graph: &Graph, target: Target) -> HashMap<String, String> {
    let rule = graph.rule(target.rule);
    let mut reads = HashMap::new();
    for read in &rule.reads {
        for cell in read.cells(&rule.space, target.cell) {
            let project_path = match read.from {
                From::Input(input) => graph.input_path(input, cell),
                From::Output { rule, output } => graph.output_path(Target { rule, cell }, output),
            };
            reads
                .entry(request::read_inside(graph, target, read, cell))
                .or_insert_with(|| format!("{} ({project_path})", read.name));
        }
    }
    reads
}

/// The short class of a change, by which targets are folded together: `prerun changed`.
fn class(graph: &Graph, target: Target, names: &mut Names, change: &Change) -> String {
    let label = names.of(graph, target, &change.label);
    let label = label.split(" (").next().unwrap_or(&label).to_owned();
    let (noun, verb) = match label.as_str() {
        "argument" => ("command".to_owned(), "changed"),
        "makes" => ("path in the container".to_owned(), "changed"),
        "format" => ("jheem's fingerprint format".to_owned(), "changed"),
        _ => {
            let join = graph.rule(target.rule).reads.iter().any(|r| r.is_join() && r.name == label);
            let verb = match (&change.before, &change.now) {
                (None, _) if join => "have a new member",
                (_, None) if join => "lost a member",
                (None, _) => "is new",
                (_, None) => "is gone",
                _ => "changed",
            };
            let image = label == "runner"
                && [&change.before, &change.now]
                    .iter()
                    .all(|side| side.as_ref().is_some_and(|value| value.starts_with("image ")));
            (if image { "image".to_owned() } else { label }, verb)
        }
    };
    format!("{noun} {verb}")
}

/// The members of joins that came or went, as the run sees their paths.
fn came_or_went(changes: &[Change]) -> HashSet<&str> {
    changes
        .iter()
        .filter(|change| change.before.is_none() || change.now.is_none())
        .filter_map(|change| change.label.strip_prefix("reads "))
        .collect()
}

/// Whether a change of an argument only says what a member of a join that came or went says already.
fn follows(change: &Change, moved: &HashSet<&str>) -> bool {
    let told = |path: &Option<String>| path.as_deref().is_none_or(|path| moved.contains(path));
    change.label == "argument" && told(&change.before) && told(&change.now)
}

/// The class of a verdict, for folding; `None` for what needs no words.
pub fn reason_class(
    judge: &Judge<'_>,
    board: &Board,
    records: Option<&Records>,
    target: Target,
    group: usize,
) -> Result<Option<(&'static str, String)>> {
    let graph = judge.graph;
    let Some(judgement) = board.get(graph, target, group) else { return Ok(None) };
    Ok(Some(match &judgement.verdict {
        Verdict::Fresh => return Ok(None),
        Verdict::Absent(Absence::Declared) => return Ok(None),
        Verdict::Absent(Absence::Learned(_)) => {
            ("absent", "the container said that it cannot exist".into())
        }
        Verdict::Absent(Absence::Upstream(_)) => ("absent", "what it reads is absent".into()),
        Verdict::Blocked(what) => ("blocked", what.clone()),
        Verdict::Pending(Waits::For(..)) => match pending_class(judge, target) {
            Some(reason) => ("pending", reason),
            None => ("pending", "waits for what it reads".into()),
        },
        Verdict::Pending(Waits::Runner(reason)) => ("pending", reason.clone()),
        Verdict::Restorable(reason) => ("restorable", short(reason)),
        Verdict::Stale(Reason::Changed) => {
            let changes = changes(judge, board, records, target, group)?;
            let moved = came_or_went(&changes);
            let mut names = Names::default();
            let classes: BTreeSet<String> = changes
                .iter()
                .filter(|change| !follows(change, &moved))
                .map(|change| class(graph, target, &mut names, change))
                .collect();
            let classes: Vec<String> = classes.into_iter().collect();
            ("stale", if classes.is_empty() { "changed".into() } else { classes.join(", ") })
        }
        Verdict::Stale(reason) => ("stale", short(reason)),
    }))
}

fn pending_class(judge: &Judge<'_>, target: Target) -> Option<String> {
    let runner = judge.graph.rule(target.rule).runner;
    match &judge.facts.runners[runner] {
        RunnerFact::Unresolved(why) => Some(why.reason.clone()),
        _ => None,
    }
}

fn short(reason: &Reason) -> String {
    match reason {
        Reason::NeverMade => "never made".into(),
        Reason::Changed => "changed".into(),
        Reason::OutputMissing(_) => "output missing".into(),
        Reason::OutputEdited(_) => "output edited by hand".into(),
        Reason::MadeBefore => "made before from the same request".into(),
        Reason::Lost(_) => "the cache lost its objects".into(),
        Reason::FailedBefore(_) => "failed before".into(),
        Reason::RefusedBefore(_) => "refused by the audit before".into(),
        Reason::FailsNewAudit(_) => "does not pass the new audit".into(),
    }
}

/// One line of a folded plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fold {
    pub rule: RuleId,
    pub verdict: &'static str,
    pub reason: String,
    pub targets: usize,
    /// Axes by which these targets are narrower than their rule: `city=C.12580`.
    pub narrowed: Vec<String>,
}

impl Fold {
    /// `477 plots stale: city=C.12580, scenario=cessation: prerun changed`
    pub fn words(&self, graph: &Graph) -> String {
        let rule = graph.rule(self.rule);
        let noun = match rule.name.kind {
            crate::manifest::RuleKind::Step => "step",
            crate::manifest::RuleKind::Plot => "plot",
        };
        // Where another rule could be meant, or nothing else would be said, the rule is named.
        let alike = graph.rules.iter().filter(|other| other.name.kind == rule.name.kind).count();
        let name = (alike > 1 || self.narrowed.is_empty()).then(|| rule.name.to_string());
        let narrowed: Vec<String> = name.into_iter().chain(self.narrowed.iter().cloned()).collect();
        let narrowed = narrowed.join(", ");
        format!(
            "{} {}: {narrowed}: {}",
            crate::figures::numbered(self.targets, noun),
            self.verdict,
            self.reason
        )
    }
}

/// Folds all that is not fresh by rule, verdict and reason, and says by which axes it is narrower.
pub fn fold(
    judge: &Judge<'_>,
    board: &Board,
    records: Option<&Records>,
    selection: &Selection,
) -> Result<Vec<Fold>> {
    let graph = judge.graph;
    let mut folded: BTreeMap<(RuleId, &'static str, String), Vec<usize>> = BTreeMap::new();
    for target in selection.targets() {
        let wanted = selection.wants(target);
        let worst = board.verdict(graph, selection, target);
        for group in (0..graph.rule(target.rule).groups.len()).filter(|g| wanted & (1 << g) != 0) {
            // The group that the counts go by is the one that is told.
            if !board.get(graph, target, group).is_some_and(|j| std::ptr::eq(&j.verdict, worst)) {
                continue;
            }
            if let Some((verdict, reason)) = reason_class(judge, board, records, target, group)? {
                let reason = match &graph.rule(target.rule).groups[group].option {
                    Some(option) => format!("{reason} (with {option})"),
                    None => reason,
                };
                folded.entry((target.rule, verdict, reason)).or_default().push(target.cell);
                break;
            }
        }
    }
    let order = ["stale", "pending", "blocked", "restorable", "absent"];
    let mut folds: Vec<Fold> = folded
        .into_iter()
        .map(|((rule, verdict, reason), cells)| Fold {
            rule,
            verdict,
            reason,
            targets: cells.len(),
            narrowed: narrowed(graph, rule, &cells),
        })
        .collect();
    folds.sort_by_key(|f| {
        (order.iter().position(|v| *v == f.verdict), f.rule, std::cmp::Reverse(f.targets))
    });
    Ok(folds)
}

/// The axes by which cells are narrower than their rule: few values of many.
fn narrowed(graph: &Graph, rule: RuleId, cells: &[usize]) -> Vec<String> {
    const MOST: usize = 3;
    let space = &graph.rule(rule).space;
    let mut words = Vec::new();
    for (position, &axis) in space.axes.iter().enumerate() {
        let values: BTreeSet<usize> =
            cells.iter().map(|&c| space.coordinate(c, position)).collect();
        if values.len() < space.sizes[position] && values.len() <= MOST {
            let names: Vec<&str> =
                values.iter().map(|&v| graph.axes[axis].values[v].as_str()).collect();
            words.push(format!("{}={}", graph.axes[axis].name, names.join(",")));
        }
    }
    words
}

/// A part of the request that differs, as the Jheemfile calls it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Such as `prerun (simulations/…/cessation.Rdata)`.
    pub what: String,
    /// As it was recorded; none if it is new.
    pub before: Option<String>,
    /// As it is now; none if it is gone.
    pub now: Option<String>,
}

/// What a pending target waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Upstream {
    pub target: String,
    pub verdict: &'static str,
    pub reason: String,
    pub differences: Vec<Difference>,
}

/// Everything that `jheem why` says of one group of outputs of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// One word: `stale`.
    pub verdict: &'static str,
    pub reason: String,
    pub differences: Vec<Difference>,
    /// What a pending target waits for, the nearest first; the last is the root of it.
    pub waits_for: Vec<Upstream>,
    pub notes: Vec<String>,
    /// As it is now, where all that it depends on is known.
    pub fingerprint: Option<Digest>,
    /// The run that made the last record, and when, in seconds since 1970.
    pub last: Option<(String, u64)>,
    /// Why that run made it, if it made it and the reason was kept.
    pub cause: Option<String>,
}

/// The word for a verdict, in messages and in data.
pub fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Fresh => "fresh",
        Verdict::Restorable(_) => "restorable",
        Verdict::Stale(_) => "stale",
        Verdict::Pending(_) => "pending",
        Verdict::Blocked(_) => "blocked",
        Verdict::Absent(_) => "absent",
    }
}

/// Explains the verdict on one group of outputs of a target; none if it was not judged.
pub fn explain(
    judge: &Judge<'_>,
    board: &Board,
    records: Option<&Records>,
    target: Target,
    group: usize,
) -> Result<Option<Explanation>> {
    let graph = judge.graph;
    let Some(judgement) = board.get(graph, target, group) else { return Ok(None) };
    let verdict = &judgement.verdict;
    let notes = match &judge.facts.runners[graph.rule(target.rule).runner] {
        RunnerFact::Known { note: Some(note), .. } => vec![note.clone()],
        _ => Vec::new(),
    };
    let key = plan::record_key(graph, target, group);
    let record = judge.last.get(&key);
    let cause = match (records, record) {
        (Some(records), Some(record)) => records.cause(&key, &record.run)?,
        _ => None,
    };
    Ok(Some(Explanation {
        verdict: word(verdict),
        reason: reason_words(graph, verdict),
        differences: differences(judge, board, records, target, group)?,
        waits_for: waits_for(judge, board, records, verdict)?,
        notes,
        fingerprint: judgement.fingerprint,
        last: record.map(|record| {
            // A record is written again when outputs are put back; the run was before.
            let at = clock::of_stamp(&record.run).unwrap_or(record.at);
            (record.run.clone(), at)
        }),
        cause,
    }))
}

fn reason_words(graph: &Graph, verdict: &Verdict) -> String {
    match verdict {
        Verdict::Fresh => "nothing that it depends on has changed".into(),
        Verdict::Restorable(reason) => format!("from the cache: {}", long(reason)),
        Verdict::Stale(Reason::Changed) => "something that it depends on changed".into(),
        Verdict::Stale(reason) => long(reason),
        Verdict::Pending(waits @ Waits::For(..)) => format!("waits for {}", waits.words(graph)),
        Verdict::Pending(Waits::Runner(reason)) => format!("its runner is missing: {reason}"),
        Verdict::Blocked(what) => what.clone(),
        Verdict::Absent(Absence::Declared) => "the Jheemfile declares that it cannot exist".into(),
        Verdict::Absent(Absence::Learned(line)) => {
            format!("the container said that it cannot exist: {line}")
        }
        Verdict::Absent(Absence::Upstream(what)) => format!("what it reads is absent: {what}"),
    }
}

/// What differs from the last record, where that is what decided.
fn differences(
    judge: &Judge<'_>,
    board: &Board,
    records: Option<&Records>,
    target: Target,
    group: usize,
) -> Result<Vec<Difference>> {
    let verdict = board.get(judge.graph, target, group).map(|judgement| &judgement.verdict);
    let compared = matches!(
        verdict,
        Some(Verdict::Stale(Reason::Changed) | Verdict::Restorable(Reason::MadeBefore))
    );
    if !compared {
        return Ok(Vec::new());
    }
    let changes = changes(judge, board, records, target, group)?;
    let mut names = Names::default();
    let told = changes.into_iter().map(|change| Difference {
        what: names.of(judge.graph, target, &change.label),
        before: change.before,
        now: change.now,
    });
    Ok(told.collect())
}

/// Follows what a pending target waits for down to what has to be made first, and why that is so.
fn waits_for(
    judge: &Judge<'_>,
    board: &Board,
    records: Option<&Records>,
    verdict: &Verdict,
) -> Result<Vec<Upstream>> {
    let graph = judge.graph;
    let mut chain = Vec::new();
    let mut verdict = verdict;
    while let Verdict::Pending(Waits::For(target, group)) = verdict
        && let Some(judgement) = board.get(graph, *target, *group)
    {
        verdict = &judgement.verdict;
        chain.push(Upstream {
            target: graph.label(*target),
            verdict: word(verdict),
            reason: reason_words(graph, verdict),
            differences: differences(judge, board, records, *target, *group)?,
        });
    }
    Ok(chain)
}

fn long(reason: &Reason) -> String {
    match reason {
        Reason::OutputMissing(path) => format!("`{path}` is missing"),
        Reason::OutputEdited(path) => format!("`{path}` was edited by hand"),
        Reason::MadeBefore => "the same request was made before".into(),
        Reason::Lost(path) => format!("`{path}` must be put back, and the cache lost it"),
        Reason::FailedBefore(message) => format!("failed before: {message}"),
        Reason::RefusedBefore(findings) => {
            format!("refused by the audit before: {}", findings.join("; "))
        }
        Reason::FailsNewAudit(findings) => {
            format!("what was made does not pass the new audit: {}", findings.join("; "))
        }
        reason => short(reason),
    }
}
