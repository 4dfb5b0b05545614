//! What each subcommand does: short, since everything it needs stands below.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::build;
use crate::cli::{BuildArgs, CacheCommand, Cli, Global, Select};
use crate::error::{Error, Result};
use crate::event::{Event, PlannedPublish, PublishedCounts};
use crate::graph::{Graph, RuleId, Target};
use crate::job::{Executor as _, Stop};
use crate::manifest::RuleKind;
use crate::objects::Objects;
use crate::places::Places;
use crate::plan::{self, Verdict};
use crate::project::{self, Patience, Project};
use crate::publishing::{Reach, Source};
use crate::records::{Holding, Outcome, Records};
use crate::report::Report;
use crate::selection::{self, Selection};
use crate::session::{self, Session, World};
use crate::setup::{Build, Executors, Options};
use crate::shelf::Stored;
use crate::{clock, why};

type Outcomes = Result<u8, Vec<Error>>;

const WELL: u8 = 0;
const FAILED: u8 = 1;

fn one(error: Error) -> Vec<Error> {
    vec![error]
}

fn open(global: &Global) -> Result<Project, Vec<Error>> {
    project::open(global.file.as_deref(), global.profile.as_deref())
}

/// A project looked at for reading, beside a build or without one.
struct Reading {
    project: Project,
    records: Option<Records>,
    objects: Option<Objects>,
}

impl Reading {
    fn open(global: &Global) -> Result<Reading, Vec<Error>> {
        let project = open(global)?;
        let records = Records::read(&project.places.cache).map_err(one)?;
        let objects = session::objects_there(&project.places.cache);
        Ok(Reading { project, records, objects })
    }

    fn look(&self, select: &Select, world: &World) -> Result<Session<'_>, Vec<Error>> {
        let selection = selection::select(&self.project.graph, &select.request())?;
        let (records, objects) = (self.records.as_ref(), self.objects.as_ref());
        session::look(&self.project, selection, records, objects, world).map_err(one)
    }
}

// Building and publishing.

pub fn build(global: &Global, args: &BuildArgs, report: &mut Report) -> Outcomes {
    run(global, args, Reach::Local, report)
}

pub fn publish(global: &Global, args: &BuildArgs, report: &mut Report) -> Outcomes {
    run(global, args, Reach::All, report)
}

fn run(global: &Global, args: &BuildArgs, reach: Reach, report: &mut Report) -> Outcomes {
    if args.dry_run {
        return plan(global, &args.select, None, false, report);
    }
    let begun = Instant::now();
    let project = open(global)?;
    let selection = selection::select(&project.graph, &args.select.request())?;
    if reach == Reach::All {
        refuse_remote(&project.graph, &selection).map_err(one)?;
    }
    let patience = if args.no_wait { Patience::GiveUp } else { Patience::Wait };
    let _lock =
        project::lock(&project.places, patience, &mut |line| report.say(&line)).map_err(one)?;
    let stop = stop_on_signals().map_err(one)?;
    let world = World::new();
    let objects = Objects::open(&project.places.cache).map_err(one)?;
    let (mut records, told) = Records::open(&project.places.cache).map_err(one)?;
    if let Some(message) = told {
        report.event(&Event::Note { message });
    }
    sweep(&project, &world, &objects, report).map_err(one)?;
    let session =
        session::look(&project, selection, Some(&records), Some(&objects), &world).map_err(one)?;
    let graph = &project.graph;
    remember(&session, &mut records, &world).map_err(one)?;
    for note in notes(&session) {
        report.event(&Event::Note { message: note });
    }
    let shelf = Stored { objects: Some(&objects) };
    let reasons = {
        let judge = session.judge(&shelf);
        let folds =
            why::fold(&judge, &session.board, Some(&records), &session.selection).map_err(one)?;
        folds.iter().map(|fold| fold.words(graph)).collect()
    };
    let targets = build::count(graph, &session.selection, &session.board);
    let (steps, plots) = kinds(&session);
    report.event(&Event::Started { targets, steps, plots, reasons });
    let options = options(args);
    let Session { selection, last, facts, snapshot, board, .. } = session;
    let built = build::build(
        &Build {
            graph,
            places: &project.places,
            facts: &facts,
            snapshot: &snapshot,
            selection: &selection,
            last: &last,
            shelf: &shelf,
            objects: &objects,
            executors: Executors { programs: &world.programs, containers: world.executor(graph) },
            stop: &stop,
            options: &options,
            now: &clock::now,
        },
        &mut records,
        board,
        &mut |event| report.event(&event),
    );
    let done = built.map_err(one)?;
    let mut published = PublishedCounts::default();
    let mut problems = done.problems;
    if !done.stopped {
        let source = Source {
            graph,
            selection: &selection,
            board: &done.board,
            objects: &objects,
            root: &project.places.root,
            now: clock::rfc3339(clock::now()),
        };
        problems += publish_all(&source, reach, &mut published, report);
    }
    let ok = done.targets.failed == 0 && done.targets.skipped == 0 && problems == 0;
    report.event(&Event::Finished {
        ok,
        targets: done.targets,
        published,
        runs: done.runs,
        seconds: begun.elapsed().as_secs_f64(),
    });
    Ok(match (ok, done.stopped) {
        (_, true) => 130,
        (true, false) => WELL,
        (false, false) => FAILED,
    })
}

/// How many steps and how many plots can exist.
fn kinds(session: &Session<'_>) -> (usize, usize) {
    let graph = &session.project.graph;
    let (mut steps, mut plots) = (0, 0);
    for target in session.selection.targets() {
        match (
            session.board.verdict(graph, &session.selection, target),
            graph.rule(target.rule).name.kind,
        ) {
            (Verdict::Absent(_), _) => {}
            (_, RuleKind::Step) => steps += 1,
            (_, RuleKind::Plot) => plots += 1,
        }
    }
    (steps, plots)
}

/// Publishes everything that was asked for; returns how many publishes failed.
fn publish_all(
    source: &Source<'_>,
    reach: Reach,
    published: &mut PublishedCounts,
    report: &mut Report,
) -> usize {
    let mut failed = 0;
    for (index, publish) in source.graph.publishes.iter().enumerate() {
        if !source.selection.publishes[index] {
            continue;
        }
        let outcome = source.prepare(publish, reach).and_then(|prepared| {
            let Some(prepared) = prepared else { return Ok(None) };
            let done = source.apply(&prepared, &mut |_| {})?;
            Ok(Some((prepared, done)))
        });
        match outcome {
            Ok(None) => {}
            Ok(Some((prepared, done))) => {
                published.objects += done.objects + done.headers;
                published.rows += done.rows;
                published.bytes += done.bytes;
                if !prepared.plan.orphans.is_empty() {
                    let message = format!(
                        "{} published before, and no target publishes {} now; nothing was removed",
                        if prepared.plan.orphans.len() == 1 {
                            "1 key was".into()
                        } else {
                            format!("{} keys were", prepared.plan.orphans.len())
                        },
                        if prepared.plan.orphans.len() == 1 { "it" } else { "them" },
                    );
                    report.event(&Event::Note { message });
                }
                report.event(&Event::Published {
                    publish: publish.name.clone(),
                    objects: done.objects + done.headers,
                    rows: done.rows,
                    bytes: done.bytes,
                });
            }
            Err(error) => {
                failed += 1;
                let mut lines = error.causes.clone();
                lines.extend(error.hints.iter().map(|hint| format!("hint: {hint}")));
                let message = format!("publish `{}` failed: {}", publish.name, error.message);
                report.event(&Event::Problem { message, lines });
            }
        }
    }
    failed
}

/// Remote destinations are not built yet; better said before anything runs.
fn refuse_remote(graph: &Graph, selection: &Selection) -> Result<()> {
    for (index, publish) in graph.publishes.iter().enumerate() {
        if !selection.publishes[index] {
            continue;
        }
        let urls = publish.objects.iter().map(|o| (&o.to, &o.span));
        for (url, span) in urls.chain(publish.rows.iter().map(|r| (&r.to, &r.span))) {
            let destination = crate::publish::parse_destination(url).map_err(Error::user)?;
            if !destination.is_local() {
                return Err(Error::unsupported(format!("publishing to `{url}` is not built yet"))
                    .at(&graph.source, span.clone())
                    .hint("choose a profile whose destinations are `file:` and `sqlite:`"));
            }
        }
    }
    Ok(())
}

fn options(args: &BuildArgs) -> Options {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let jobs = args.jobs.unwrap_or(processors).max(1);
    Options {
        jobs,
        cpus: processors.max(jobs) as f64,
        memory: crate::machine::memory(),
        keep_going: args.keep_going,
    }
}

fn stop_on_signals() -> Result<Arc<Stop>> {
    let stop = Arc::new(Stop::default());
    let mut signals = signal_hook::iterator::Signals::new([
        signal_hook::consts::SIGINT,
        signal_hook::consts::SIGTERM,
        signal_hook::consts::SIGHUP,
    ])
    .map_err(|e| Error::environment("cannot listen for signals").because(e))?;
    let raised = Arc::clone(&stop);
    std::thread::spawn(move || {
        for _ in signals.forever() {
            raised.raise();
        }
    });
    Ok(stop)
}

/// Ends and removes what a killed jheem left.
fn sweep(project: &Project, world: &World, objects: &Objects, report: &mut Report) -> Result<()> {
    let scratch = project.places.scratch();
    objects.sweep()?;
    let mut removed = world.programs.sweep(&project.places.owner, &scratch)?;
    if let Ok(containers) = world.executor(&project.graph) {
        removed.extend(containers.sweep(&project.places.owner, &scratch)?);
    }
    if !removed.is_empty() {
        let message = format!("an earlier jheem was cut off; removed {}", removed.join(", "));
        report.event(&Event::Note { message });
    }
    Ok(())
}

/// Keeps what was learned by looking: hashes of inputs, and which images names stand for.
fn remember(session: &Session<'_>, records: &mut Records, world: &World) -> Result<()> {
    let graph = &session.project.graph;
    let mut images = Vec::new();
    for (runner, fact) in graph.runners.iter().zip(&session.facts.runners) {
        if let (
            crate::graph::Start::Image(name),
            plan::RunnerFact::Known { identity, note: None },
        ) = (&runner.start, fact)
        {
            let platform = runner.platform.clone().unwrap_or_default();
            images.push((name.clone(), platform, identity.trim_start_matches("image ").to_owned()));
        }
    }
    let _asked_already = world;
    if session.snapshot.fresh.is_empty() && images.is_empty() {
        return Ok(());
    }
    records.commit(|w| {
        for (path, entry) in &session.snapshot.fresh {
            w.input_memo(path, entry)?;
        }
        images.iter().try_for_each(|(name, platform, id)| w.image(name, platform, id))
    })
}

/// What is known in an unusual way, said aloud.
fn notes(session: &Session<'_>) -> Vec<String> {
    session
        .facts
        .runners
        .iter()
        .filter_map(|fact| match fact {
            plan::RunnerFact::Known { note, .. } => note.clone(),
            _ => None,
        })
        .collect()
}

// Asking.

pub fn plan(
    global: &Global,
    select: &Select,
    write_batches: Option<&Path>,
    each: bool,
    report: &mut Report,
) -> Outcomes {
    let reading = Reading::open(global)?;
    let world = World::new();
    let session = reading.look(select, &world)?;
    let graph = &reading.project.graph;
    let shelf = Stored { objects: reading.objects.as_ref() };
    let judge = session.judge(&shelf);
    for message in notes(&session) {
        report.event(&Event::Note { message });
    }
    let folds = why::fold(&judge, &session.board, reading.records.as_ref(), &session.selection)
        .map_err(one)?;
    let targets = build::count(graph, &session.selection, &session.board);
    report.plan(graph, &folds);
    if each {
        for target in session.selection.targets() {
            let verdict = session.board.verdict(graph, &session.selection, target);
            report.planned_target(&graph.label(target), why::word(verdict));
        }
    }
    let batches = batches(&session, &judge, reading.records.as_ref()).map_err(one)?;
    if let Some(folder) = write_batches {
        write_all_batches(&reading, &session, &judge, &batches, folder, report).map_err(one)?;
    }
    let publish = planned_publish(&reading, &session).map_err(one)?;
    report.event(&Event::Planned { targets, publish, runs: batches.len() });
    Ok(WELL)
}

fn planned_publish(reading: &Reading, session: &Session<'_>) -> Result<PlannedPublish> {
    let mut sum = PlannedPublish::default();
    let graph = &reading.project.graph;
    let nothing = Objects::read_only(&reading.project.places.cache);
    let source = Source {
        graph,
        selection: &session.selection,
        board: &session.board,
        objects: reading.objects.as_ref().unwrap_or(&nothing),
        root: &reading.project.places.root,
        now: clock::rfc3339(clock::now()),
    };
    for (index, publish) in graph.publishes.iter().enumerate() {
        if !session.selection.publishes[index] {
            continue;
        }
        if let Some(prepared) = source.prepare(publish, Reach::Local)? {
            let counts = prepared.counts();
            sum.create += counts.create;
            sum.update += counts.update;
            sum.unchanged += counts.unchanged;
            sum.undecided += counts.undecided;
            sum.orphaned += counts.orphaned;
        }
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
    let world = World::new();
    let stop = Stop::default();
    let options = options(&BuildArgs::default());
    let shelf = Stored { objects: Some(objects) };
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
        executors: Executors { programs: &world.programs, containers: world.executor(graph) },
        stop: &stop,
        options: &options,
        now: &clock::now,
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
    let session = reading.look(select, &world)?;
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
    let selection = selection::select(graph, &select.request())?;
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

pub fn verify(global: &Global, select: &Select, report: &mut Report) -> Outcomes {
    let reading = Reading::open(global)?;
    let world = World::new();
    let session = reading.look(select, &world)?;
    let graph = &reading.project.graph;
    refuse_remote(graph, &session.selection).map_err(one)?;
    let nothing = Objects::read_only(&reading.project.places.cache);
    let source = Source {
        graph,
        selection: &session.selection,
        board: &session.board,
        objects: reading.objects.as_ref().unwrap_or(&nothing),
        root: &reading.project.places.root,
        now: clock::rfc3339(clock::now()),
    };
    let mut found = 0;
    for (index, publish) in graph.publishes.iter().enumerate() {
        if !session.selection.publishes[index] {
            continue;
        }
        for drift in source.verify(publish).map_err(one)? {
            found += 1;
            report.drift(&drift);
        }
    }
    report.verified(found);
    Ok(if found == 0 { WELL } else { FAILED })
}

// Keeping house.

pub fn update(global: &Global, report: &mut Report) -> Outcomes {
    let project = open(global)?;
    let _lock = project::lock(&project.places, Patience::Wait, &mut |line| report.say(&line))
        .map_err(one)?;
    let (mut records, _) = Records::open(&project.places.cache).map_err(one)?;
    let world = World::new();
    let mut code = WELL;
    for runner in &project.graph.runners {
        let crate::graph::Start::Image(name) = &runner.start else { continue };
        let platform = runner.platform.clone().unwrap_or_default();
        let before = records.image(name, &platform).map_err(one)?;
        let containers = world.containers().map_err(one)?;
        match containers.image_id(name, runner.platform.as_deref()).map_err(one)? {
            Some(id) => {
                records.commit(|w| w.image(name, &platform, &id)).map_err(one)?;
                let change = match before {
                    Some(before) if before == id => "unchanged".to_owned(),
                    Some(before) => format!("was {before}"),
                    None => "new".to_owned(),
                };
                report.data(&format!("{name} {id} ({change})"));
            }
            None => {
                code = Error::environment("").kind.exit_code();
                report.say(&format!("the daemon has no image `{name}`; pull or build it first"));
            }
        }
    }
    Ok(code)
}

pub fn accept(global: &Global, select: &Select, report: &mut Report) -> Outcomes {
    let project = open(global)?;
    let selection = selection::select(&project.graph, &select.request())?;
    let _lock = project::lock(&project.places, Patience::Wait, &mut |line| report.say(&line))
        .map_err(one)?;
    let (mut records, _) = Records::open(&project.places.cache).map_err(one)?;
    let graph = &project.graph;
    let mut accepted = 0;
    for target in selection.targets() {
        if !selection.goals[target.rule.0][target.cell] {
            continue;
        }
        let mut told = false;
        for group in 0..graph.rule(target.rule).groups.len() {
            let key = plan::record_key(graph, target, group);
            let Some(mut record) = records.one(&key).map_err(one)? else { continue };
            let Outcome::Failed { lines, .. } = &record.outcome else { continue };
            let patterns = &graph.runner_of(target.rule).log.absent;
            let Some(line) = lines.iter().find(|l| plan::absence_holds(patterns, l)).cloned()
            else {
                continue;
            };
            record.ever_made = false;
            record.outcome = Outcome::Absent { line, pattern: String::new() };
            records.commit(|w| w.record(&key, &record)).map_err(one)?;
            told = true;
        }
        if told {
            accepted += 1;
            report.listed(&graph.label(target));
        }
    }
    report.say(&format!("{} accepted as absent", crate::error::numbered(accepted, "target")));
    Ok(WELL)
}

pub fn log(global: &Global, run: Option<&str>, report: &mut Report) -> Outcomes {
    let reading = Reading::open(global)?;
    let runs = match &reading.records {
        Some(records) => records.runs(1000).map_err(one)?,
        None => Vec::new(),
    };
    let Some(wanted) = run else {
        report.runs(&runs);
        return Ok(WELL);
    };
    let found = match wanted {
        "last" => runs.first().map(|r| r.id.clone()),
        name => {
            let exact = reading.project.places.logs().join(format!("{name}.log"));
            if exact.is_file() {
                Some(name.to_owned())
            } else {
                runs.iter().map(|r| &r.id).find(|id| id.starts_with(name)).cloned()
            }
        }
    };
    let Some(id) = found else {
        return Err(one(
            Error::user(format!("no run is called `{wanted}`")).hint("`jheem log` lists them")
        ));
    };
    let path = reading.project.places.logs().join(format!("{id}.log"));
    let bytes = std::fs::read(&path).map_err(|e| one(Error::io("read the log", &path, &e)))?;
    for line in String::from_utf8_lossy(&bytes).lines() {
        report.data(line);
    }
    Ok(WELL)
}

pub fn check(
    _global: &Global,
    _select: &Select,
    _sample: usize,
    _seed: u64,
    _report: &mut Report,
) -> Outcomes {
    Err(one(Error::unsupported("`check` is not built yet")))
}

pub fn cache(global: &Global, what: &CacheCommand, report: &mut Report) -> Outcomes {
    let project = open(global)?;
    match what {
        CacheCommand::Stat => {
            let objects = Objects::read_only(&project.places.cache);
            let usage = objects.usage().map_err(one)?;
            let records = Records::read(&project.places.cache).map_err(one)?;
            let held = match &records {
                Some(records) => records.objects().map_err(one)?,
                None => Default::default(),
            };
            let current = held.values().filter(|h| **h == Holding::Current).count();
            report.usage(&usage, current);
        }
        CacheCommand::Gc { size } => {
            let limit = match size {
                Some(text) => text
                    .parse::<bytesize::ByteSize>()
                    .map_err(|e| {
                        one(Error::user(format!("`{text}` is not a size: {e}"))
                            .hint("write it as `20GiB`"))
                    })?
                    .as_u64(),
                None => project.graph.cache_size.unwrap_or(u64::MAX),
            };
            let _lock =
                project::lock(&project.places, Patience::Wait, &mut |line| report.say(&line))
                    .map_err(one)?;
            let objects = Objects::open(&project.places.cache).map_err(one)?;
            let (records, _) = Records::open(&project.places.cache).map_err(one)?;
            let held = records.objects().map_err(one)?;
            objects.sweep().map_err(one)?;
            let rank = |digest: &crate::digest::Digest| match held.get(digest) {
                Some(Holding::Current) => None,
                Some(Holding::Past(at)) => Some(*at),
                // What no record speaks of was left by a kill, or was refused.
                Some(Holding::Refused) | None => Some(0),
            };
            let freed = objects.collect(&rank, limit).map_err(one)?;
            report.freed(&freed, limit);
        }
    }
    Ok(WELL)
}

pub fn init(folder: &Path, report: &mut Report) -> Outcomes {
    let path = folder.join(project::JHEEMFILE);
    if path.exists() {
        return Err(one(Error::user(format!("`{}` exists already", path.display()))
            .hint("edit it, or choose another folder")));
    }
    let text = crate::init::propose(folder).map_err(one)?;
    std::fs::write(&path, text).map_err(|e| one(Error::io("write", &path, &e)))?;
    report.path(&path.display().to_string());
    Ok(WELL)
}

pub fn schema(report: &mut Report) -> Outcomes {
    let schema = serde_json::to_string_pretty(&crate::schema::json_schema())
        .map_err(|e| one(Error::bug(e.to_string())))?;
    report.document(&schema);
    Ok(WELL)
}

pub fn completions(shell: Shell, report: &mut Report) -> Outcomes {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "jheem", &mut text);
    report.document(String::from_utf8_lossy(&text).trim_end());
    Ok(WELL)
}

pub fn man(report: &mut Report) -> Outcomes {
    let mut text = Vec::new();
    clap_mangen::Man::new(Cli::command())
        .render(&mut text)
        .map_err(|e| one(Error::bug(e.to_string())))?;
    report.document(String::from_utf8_lossy(&text).trim_end());
    Ok(WELL)
}
