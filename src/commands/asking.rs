//! `plan`, `why`, `list`, `graph` and `verify`: they read, beside a build or without one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::building::{not_locked, notes, options, remotes};
use super::{FAILED, Outcomes, Reading, WELL, images, one, open};
use crate::aws::Aws;
use crate::build;
use crate::cli::{BuildArgs, Global, Select};
use crate::costs::Requests;
use crate::error::{Error, Result};
use crate::event::{Event, PlannedPublish};
use crate::fetch::Asker;
use crate::figures::numbered;
use crate::graph::{RuleId, Target};
use crate::job::Stop;
use crate::objects::Objects;
use crate::pinning;
use crate::places::Places;
use crate::plan::{self, InputFact, RunnerFact, Verdict, Waits};
use crate::publish::Depth;
use crate::publishing::{Reach, Source};
use crate::records::Records;
use crate::remote_inputs::RemoteInputs;
use crate::report::Report;
use crate::session::{Session, World};
use crate::setup::{Build, Executors};
use crate::shelf::Stored;
use crate::source::Sources;
use crate::{clock, unlocked, why};

/// How a plan is told.
pub struct PlanAs<'a> {
    /// Which destinations are looked at.
    pub reach: Reach,
    pub write_batches: Option<&'a Path>,
    /// Whether every target is named.
    pub each: bool,
    /// Whether the network is asked: about what is pinned, and what stands at remote destinations.
    pub remote: bool,
    /// Other images for runners, as typed.
    pub images: &'a [String],
    /// Whether this stands for a build or a publish, so that what these would refuse is a failure.
    pub dry_run: bool,
}

impl Default for PlanAs<'_> {
    fn default() -> Self {
        PlanAs {
            reach: Reach::Local,
            write_batches: None,
            each: false,
            remote: false,
            images: &[],
            dry_run: false,
        }
    }
}

pub fn plan(global: &Global, select: &Select, asked: &PlanAs<'_>, report: &mut Report) -> Outcomes {
    let mut reading = Reading::open(global)?;
    images::replace(&mut reading.project.graph, asked.images).map_err(one)?;
    let world = World::new();
    let graph = &reading.project.graph;
    let mut selection = reading.select(select)?;
    if asked.reach == Reach::All {
        selection = selection.publishing(graph).map_err(one)?;
    }
    let session = reading.look(selection, &world)?;
    let shelf = Stored { objects: reading.objects.as_ref() };
    let judge = session.judge(&shelf);
    for message in notes(&session) {
        report.event(&Event::Note { message });
    }
    let folds = why::fold(&judge, &session.board, reading.records.as_ref(), &session.selection)
        .map_err(one)?;
    let targets = build::count(graph, &session.selection, &session.board);
    report.plan(graph, &folds);
    for message in missing_runners(&session) {
        report.event(&Event::Note { message });
    }
    if asked.each {
        for target in session.selection.targets() {
            let verdict = session.board.verdict(graph, &session.selection, target);
            report.planned_target(&graph.label(target), why::word(verdict));
        }
    }
    let batches = batches(&session, &judge, reading.records.as_ref()).map_err(one)?;
    if let Some(folder) = asked.write_batches {
        write_all_batches(&reading, &session, &judge, &batches, folder, report).map_err(one)?;
    }
    let reach = if asked.remote { Reach::All } else { asked.reach };
    let refused = report_unlocked(&session, reach, asked.images, report);
    let publish = planned_publish(&reading, &session, reach, &world.aws, report).map_err(one)?;
    let refused = refused || publish.refused > 0;
    let mut moved = false;
    if asked.remote {
        moved = report_moved(&reading, &session, &world, report);
        moved |= images::report_moved(&session, &world, report);
    }
    report.event(&Event::Planned { targets, publish, runs: batches.len() });
    Ok(if moved || (asked.dry_run && refused) { FAILED } else { WELL })
}

/// Says which publishes would be refused because of what their plots are made of; whether any would.
fn report_unlocked(
    session: &Session<'_>,
    reach: Reach,
    replaced: &[String],
    report: &mut Report,
) -> bool {
    if reach == Reach::Local {
        return false;
    }
    let (graph, lock, facts) = (&session.project.graph, &session.project.lock, &session.facts);
    let others = images::not_the_locks(graph, lock, &facts.runners);
    let unlocked = unlocked::unlocked(graph, facts, &others, &session.selection);
    let asked = graph.publishes.iter().zip(&session.selection.publishes);
    let mut refused = false;
    for (publish, _) in asked.filter(|(_, asked)| **asked) {
        if let Some((why, hint)) = not_locked(publish, &unlocked, replaced) {
            refused = true;
            let message = format!("`publish.{}` would be refused: {why}", publish.name);
            report.event(&Event::Problem { message, lines: vec![hint] });
        }
    }
    refused
}

/// Asks the sources of what is selected whether they are still what the lock says; whether any is not.
fn report_moved(
    reading: &Reading,
    session: &Session<'_>,
    world: &World,
    report: &mut Report,
) -> bool {
    let (graph, lock) = (&reading.project.graph, &reading.project.lock);
    let pinned =
        session.facts.inputs.iter().filter(|(_, fact)| {
            matches!(fact, InputFact::Pinned { .. } | InputFact::Differs { .. })
        });
    let read: BTreeSet<String> =
        pinned.filter_map(|(&(input, cell), _)| graph.input_source(input, cell)).collect();
    let sources = Sources::new(&reading.project.places.root, world.aws.clone());
    let all: Vec<&str> = read.iter().map(String::as_str).collect();
    let looked = pinning::each(&all, &|source| match lock.inputs.get(source) {
        Some(pin) => {
            pinning::compare(&sources, source, pin, &Asker { go_on: &|| true, came: &|_| {} })
        }
        None => Ok(None),
    });
    let (mut moved, mut as_pinned) = (false, 0);
    for looked in looked {
        match looked {
            Ok(None) => as_pinned += 1,
            Ok(Some(message)) => report.event(&Event::Note { message }),
            Err(error) => {
                moved = true;
                let (message, lines) = (error.message.clone(), error.details());
                report.event(&Event::Problem { message, lines });
            }
        }
    }
    if as_pinned > 0 {
        report.say(&format!("{} asked: as the lock says", numbered(as_pinned, "source")));
    }
    moved
}

/// What to do about runners that targets wait for.
fn missing_runners(session: &Session<'_>) -> Vec<String> {
    let graph = &session.project.graph;
    let mut missing = BTreeSet::new();
    for target in session.selection.targets() {
        if let Verdict::Pending(Waits::Runner(_)) =
            session.board.verdict(graph, &session.selection, target)
        {
            missing.insert(graph.rule(target.rule).runner);
        }
    }
    let said = missing.into_iter().filter_map(|runner| match &session.facts.runners[runner] {
        RunnerFact::Unresolved(why) => {
            Some(format!("runner `{}` is missing: {}", graph.runners[runner].name, why.hint))
        }
        _ => None,
    });
    said.collect()
}

/// What publishes that are asked for would do; says what they would refuse.
fn planned_publish(
    reading: &Reading,
    session: &Session<'_>,
    reach: Reach,
    aws: &Aws,
    report: &mut Report,
) -> Result<PlannedPublish> {
    let mut sum = PlannedPublish::default();
    let mut requests = Requests::default();
    let nothing = Objects::read_only(&reading.project.places.cache);
    let source = publish_source(reading, session, &nothing, aws).before_a_build();
    for publish in source.publishes() {
        if reach == Reach::Local
            && let Some(url) = remotes(publish).next()
        {
            let message = format!(
                "`publish.{}` goes to `{url}`, where only `jheem publish` writes; `jheem plan --remote` looks there",
                publish.name
            );
            report.event(&Event::Note { message });
        }
        let known = match &reading.records {
            Some(records) => records.settled(&publish.name)?,
            None => None,
        };
        if let Some(known) = known
            && source.still_settled(publish, reach, &known)
        {
            sum.unchanged += known.unchanged;
            sum.orphaned += known.orphaned;
            continue;
        }
        if let Some(prepared) = source.prepare(publish, reach, None)? {
            let counts = prepared.counts();
            if let Some(message) = &prepared.held {
                report.event(&Event::Note { message: message.clone() });
            }
            if !prepared.plan.refused.is_empty() {
                let message = format!("`publish.{}` would be refused", publish.name);
                let lines = prepared.plan.refused.iter().map(ToString::to_string);
                report.event(&Event::Problem { message, lines: lines.collect() });
            }
            let outlook = prepared.outlook();
            requests += prepared.looked;
            for (at, undecided) in &outlook {
                requests += at.requests;
                let idle = at.create + at.update + at.orphaned + at.refused + undecided == 0;
                if !(at.destination.is_local() && idle) {
                    report.outlook(&publish.name, at, *undecided);
                }
            }
            sum.refused += counts.refused;
            sum.create += counts.create;
            sum.update += counts.update;
            sum.unchanged += counts.unchanged;
            sum.undecided += counts.undecided;
            sum.orphaned += counts.orphaned;
        }
    }
    if !requests.is_none() {
        report.expected(&requests);
    }
    Ok(sum)
}

/// The runs that a build would begin with: those whose upstreams are all there.
fn batches(
    session: &Session<'_>,
    judge: &plan::Judge<'_>,
    records: Option<&Records>,
) -> Result<Vec<crate::batch::Batch>> {
    let graph = &session.project.graph;
    let mut batches = Vec::new();
    for id in graph.rule_ids() {
        let cells: Vec<(usize, u32)> = stale(session, id);
        let first = cells.first().map(|&(cell, _)| Target { rule: id, cell });
        let identity =
            first.and_then(|t| judge.ready(&session.board, t)).map(|(_, identity)| identity);
        let cost = match (records, &identity) {
            (Some(records), Some(identity)) => {
                records.cost(&format!("{} {identity}", graph.rule(id).name))?
            }
            _ => None,
        };
        let sizing = crate::batch::Sizing {
            slots: 1,
            cost: cost.unwrap_or(crate::batch::UNKNOWN_COST),
            most: usize::MAX,
        };
        batches.extend(crate::batch::cut(graph, id, &cells, &sizing));
    }
    Ok(batches)
}

fn stale(session: &Session<'_>, id: RuleId) -> Vec<(usize, u32)> {
    let graph = &session.project.graph;
    let rule = graph.rule(id);
    (0..rule.space.cells())
        .filter_map(|cell| {
            let target = Target { rule: id, cell };
            let wanted = session.selection.wants(target);
            let lacking = (0..rule.groups.len())
                .filter(|g| wanted & (1 << g) != 0)
                .filter(|&g| {
                    session
                        .board
                        .get(graph, target, g)
                        .is_some_and(|j| matches!(j.verdict, Verdict::Stale(_)))
                })
                .fold(0, |bits, g| bits | 1 << g);
            (lacking != 0).then_some((cell, lacking))
        })
        .collect()
}

fn write_all_batches(
    reading: &Reading,
    session: &Session<'_>,
    judge: &plan::Judge<'_>,
    batches: &[crate::batch::Batch],
    folder: &Path,
    report: &mut Report,
) -> Result<()> {
    let Some(objects) = &reading.objects else {
        let objects = Objects::open(&reading.project.places.cache)?;
        return write_batches_with(&objects, reading, session, judge, batches, folder, report);
    };
    write_batches_with(objects, reading, session, judge, batches, folder, report)
}

fn write_batches_with(
    objects: &Objects,
    reading: &Reading,
    session: &Session<'_>,
    judge: &plan::Judge<'_>,
    batches: &[crate::batch::Batch],
    folder: &Path,
    report: &mut Report,
) -> Result<()> {
    let graph = &reading.project.graph;
    // What was made there by hand is not ours to remove.
    if folder.join("scratch").exists() {
        return Err(Error::user(format!("`{}` holds the runs of another plan", folder.display()))
            .hint("choose another folder, or remove that one"));
    }
    let world = World::new();
    let stop = Stop::default();
    let options = options(&BuildArgs::default());
    let shelf = Stored { objects: Some(objects) };
    let sources = Sources::new(&reading.project.places.root, world.aws.clone());
    let inputs = RemoteInputs::new(&sources, &reading.project.lock, &session.facts.twins);
    // Scratch goes below the folder asked for, so that the lines work as they stand.
    let places = Places { cache: folder.to_owned(), ..reading.project.places.clone() };
    let build = Build {
        graph,
        places: &places,
        facts: &session.facts,
        snapshot: &session.snapshot,
        selection: &session.selection,
        last: &session.last,
        shelf: &shelf,
        objects,
        inputs: &inputs,
        executors: Executors { programs: &world.programs, containers: world.executor(graph) },
        stop: &stop,
        options: &options,
        now: &clock::now,
        published: &|_| false,
    };
    for (index, batch) in batches.iter().enumerate() {
        let id = format!("run-{}", index + 1);
        let prepared = crate::prepare::prepare(&build, &session.board, judge, batch, &id)?;
        let script = folder.join(format!("{id}.sh"));
        std::fs::write(&script, format!("#!/bin/sh\n{}\n", prepared.command))
            .map_err(|e| Error::io("write", &script, &e))?;
        report.path(&script.display().to_string());
    }
    Ok(())
}

pub fn why(global: &Global, select: &Select, report: &mut Report) -> Outcomes {
    let reading = Reading::open(global)?;
    let world = World::new();
    let session = reading.look(reading.select(select)?, &world)?;
    let graph = &reading.project.graph;
    let shelf = Stored { objects: reading.objects.as_ref() };
    let judge = session.judge(&shelf);
    const MOST: usize = 20;
    let asked: Vec<Target> =
        session.selection.targets().filter(|t| session.selection.goals[t.rule.0][t.cell]).collect();
    if asked.is_empty() {
        return Err(one(
            Error::user("nothing is selected").hint("loosen `--where`, or name a goal")
        ));
    }
    for &target in asked.iter().take(MOST) {
        let wanted = session.selection.wants(target);
        for group in (0..graph.rule(target.rule).groups.len()).filter(|g| wanted & (1 << g) != 0) {
            let told =
                why::explain(&judge, &session.board, reading.records.as_ref(), target, group)
                    .map_err(one)?;
            let option = graph.rule(target.rule).groups[group].option.as_deref();
            if let Some(told) = told {
                report.explained(&graph.label(target), option, &told);
            }
        }
    }
    if asked.len() > MOST {
        report.say(&format!(
            "… and {} more; `jheem plan` folds them, `--where` narrows them",
            asked.len() - MOST
        ));
    }
    Ok(WELL)
}

pub fn list(
    global: &Global,
    select: &Select,
    count: bool,
    paths: bool,
    report: &mut Report,
) -> Outcomes {
    let project = open(global)?;
    let graph = &project.graph;
    let selection = super::select(&project, select)?;
    if count {
        let mut by_rule: BTreeMap<RuleId, (usize, usize)> = BTreeMap::new();
        for target in selection.targets() {
            if !selection.goals[target.rule.0][target.cell] {
                continue;
            }
            let counts = by_rule.entry(target.rule).or_default();
            counts.0 += 1;
            counts.1 += usize::from(graph.rule(target.rule).declared_absent(target.cell));
        }
        let rows: Vec<(String, usize, usize)> = by_rule
            .into_iter()
            .map(|(id, (cells, absent))| (graph.rule(id).name.to_string(), cells, absent))
            .collect();
        report.counts(&rows);
        return Ok(WELL);
    }
    for target in selection.targets() {
        let rule = graph.rule(target.rule);
        if !selection.goals[target.rule.0][target.cell] || rule.declared_absent(target.cell) {
            continue;
        }
        if !paths {
            report.listed(&graph.label(target));
            continue;
        }
        let wanted = selection.wants(target);
        for (output, made) in rule.outputs.iter().enumerate() {
            if wanted & (1 << made.group) != 0 {
                report.path(&graph.output_path(target, output));
            }
        }
    }
    Ok(WELL)
}

pub fn graph(global: &Global, report: &mut Report) -> Outcomes {
    let project = open(global)?;
    let order = &project.graph.order;
    report.document("digraph jheem {");
    report.document("  rankdir=LR; node [shape=box, style=rounded, fontname=\"sans-serif\"];");
    for name in order.node_weights() {
        let cells = project
            .graph
            .rule_named(name)
            .map(|id| format!("\\n{} cells", project.graph.rule(id).space.cells()))
            .unwrap_or_default();
        report.document(&format!("  \"{name}\" [label=\"{name}{cells}\"];"));
    }
    for edge in order.edge_indices() {
        if let Some((from, to)) = order.edge_endpoints(edge) {
            report.document(&format!("  \"{}\" -> \"{}\";", order[from], order[to]));
        }
    }
    report.document("}");
    Ok(WELL)
}

pub fn verify(global: &Global, select: &Select, depth: Depth, report: &mut Report) -> Outcomes {
    let reading = Reading::open(global)?;
    let world = World::new();
    super::refuse_narrowed(select, "verify")?;
    let selection = super::select_to_mend(&reading.project, select)?;
    let session = reading.look(selection, &world)?;
    let nothing = Objects::read_only(&reading.project.places.cache);
    let source = publish_source(&reading, &session, &nothing, &world.aws);
    let inspection = source.inspect(depth, None).map_err(one)?;
    let found = source.drift(&inspection);
    for drift in &found {
        report.drift(drift);
    }
    report.verified(&found, None);
    Ok(if found.is_empty() { WELL } else { FAILED })
}

/// What publishes are made from; `nothing` stands for the objects before the first build.
pub(super) fn publish_source<'a>(
    reading: &'a Reading,
    session: &'a Session<'_>,
    nothing: &'a Objects,
    aws: &'a Aws,
) -> Source<'a> {
    Source::new(
        &reading.project,
        &session.selection,
        &session.board,
        &session.last,
        reading.objects.as_ref().unwrap_or(nothing),
        aws,
        clock::rfc3339(clock::now()),
    )
}
