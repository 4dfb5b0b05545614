//! `build` and `publish`: the one way through, from the lock to the last event.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use super::asking::{PlanAs, plan};
use super::stopping::{STOPPED, stop_on_signals, stoppable};
use super::{FAILED, Outcomes, WELL, one, open};
use crate::build;
use crate::cli::{BuildArgs, Global};
use crate::error::{Error, Result};
use crate::event::{Event, FinishedTargets, PublishedCounts};
use crate::facts::Snapshot;
use crate::graph::{Graph, Publish, Target};
use crate::job::{Executor as _, Stop};
use crate::manifest::RuleKind;
use crate::memo::Entry;
use crate::moments::{self, Moment};
use crate::objects::Objects;
use crate::plan::{self, Board, Facts, InputFact, Verdict};
use crate::project::{self, Patience, Project};
use crate::publish::{self, Done};
use crate::publishing::{Reach, Source};
use crate::records::{Key, Record, Records};
use crate::report::Report;
use crate::selection::Selection;
use crate::session::{self, Look, Session, World};
use crate::setup::{Build, Executors, Options};
use crate::shelf::Stored;
use crate::{clock, why};

pub fn build(global: &Global, args: &BuildArgs, report: &mut Report) -> Outcomes {
    run(global, args, Reach::Local, report)
}

pub fn publish(global: &Global, args: &BuildArgs, report: &mut Report) -> Outcomes {
    run(global, args, Reach::All, report)
}

fn run(global: &Global, args: &BuildArgs, reach: Reach, report: &mut Report) -> Outcomes {
    if args.dry_run {
        return plan(global, &args.select, &PlanAs { reach, ..PlanAs::default() }, report);
    }
    let begun = Instant::now();
    let project = open(global)?;
    let mut selection = super::select(&project, &args.select)?;
    if reach == Reach::All {
        selection = selection.publishing(&project.graph).map_err(one)?;
        refuse_remote(&project.graph, &selection).map_err(one)?;
    }
    let patience = if args.no_wait { Patience::GiveUp } else { Patience::Wait };
    let _lock =
        project::lock(&project.places, patience, &mut |line| report.say(&line)).map_err(one)?;
    let stop = stop_on_signals().map_err(one)?;
    let world = World::new();
    let objects = Objects::open(&project.places.cache).map_err(one)?;
    let (records, told) = Records::open(&project.places.cache).map_err(one)?;
    if let Some(message) = told {
        report.event(&Event::Note { message });
    }
    moments::pass(Moment::Looking);
    sweep(&project, &world, &objects, report).map_err(one)?;
    let look = Looking { project: &project, world: &world, objects: &objects, stop: &stop };
    let (looked, mut records) = look.look(&selection, records, report).map_err(one)?;
    let session = match looked {
        Look::Session(session) => *session,
        Look::Stopped(hashed) => {
            keep_hashed(&hashed, &mut records).map_err(one)?;
            report.event(&finished_early(begun, &stop));
            return Ok(STOPPED);
        }
    };
    moments::pass(Moment::Judged);
    remember(&session, &mut records).map_err(one)?;
    announce(&session, &objects, &records, report).map_err(one)?;
    let Session { selection, last, facts, snapshot, board, .. } = session;
    let looked = Looked { selection, last, facts, snapshot };
    let (done, mut records) =
        look.build(&looked, board, &options(args), records, report).map_err(one)?;
    let mut published = PublishedCounts::default();
    let mut problems = done.problems;
    let mut stopped = done.stopped;
    if !stopped {
        let now = clock::rfc3339(clock::now());
        let source = look.source(&looked, &done.board, now);
        match publish_all(&source, reach, &mut records, &stop, &mut published, report) {
            Some(failed) => problems += failed,
            None => stopped = true,
        }
    }
    let ok = done.targets.failed == 0 && done.targets.skipped == 0 && problems == 0 && !stopped;
    report.event(&Event::Finished {
        ok,
        targets: done.targets,
        published,
        runs: done.runs,
        nondeterministic: done.nondeterministic,
        seconds: begun.elapsed().as_secs_f64(),
        stopped_seconds: since_asked(&stop).filter(|_| stopped),
    });
    // What could only have been fetched is no failure of what was asked for.
    let unsupported = done.targets.failed == 0 && problems == 0 && looked.unfetched(&project.graph);
    // The process ends now: giving all this back piece by piece would take as long as looking did.
    std::mem::forget((looked, done.board));
    Ok(match (ok, stopped) {
        (_, true) => STOPPED,
        (true, false) => WELL,
        (false, false) if unsupported => Error::unsupported("").kind.exit_code(),
        (false, false) => FAILED,
    })
}

/// What looking and building need of what is around them.
struct Looking<'a> {
    project: &'a Project,
    world: &'a World,
    objects: &'a Objects,
    stop: &'a Arc<Stop>,
}

/// What looking found, less the verdicts, which building changes.
struct Looked {
    selection: Selection,
    last: HashMap<Key, Record>,
    facts: Facts,
    snapshot: Snapshot,
}

impl Looked {
    /// Whether an input is missing that could be fetched.
    fn unfetched(&self, graph: &Graph) -> bool {
        self.facts.inputs.iter().any(|(&(input, _), fact)| {
            matches!(fact, InputFact::Missing) && graph.inputs[input].source.is_some()
        })
    }
}

impl<'a> Looking<'a> {
    /// Looks and judges; with new records if the old ones turn out to be damaged.
    fn look(
        &self,
        selection: &Selection,
        records: Records,
        report: &mut Report,
    ) -> Result<(Look<'a>, Records)> {
        let look = |records: &Records| {
            let objects = Some(self.objects);
            let selection = selection.clone();
            session::look(self.project, selection, Some(records), objects, self.world, self.stop)
        };
        match look(&records) {
            Ok(looked) => Ok((looked, records)),
            // A database may turn out damaged only where it is read.
            Err(error) => match records.replaced()? {
                Ok((anew, told)) => {
                    report.event(&Event::Note { message: told });
                    Ok((look(&anew)?, anew))
                }
                Err(_) => Err(error),
            },
        }
    }

    fn build(
        &self,
        looked: &Looked,
        board: Board,
        options: &Options,
        mut records: Records,
        report: &mut Report,
    ) -> Result<(build::Done, Records)> {
        let Looking { project, world, objects, stop } = self;
        let known = OnceLock::new();
        let published = |target: Target| {
            let look = || {
                let board = Board::new(&project.graph);
                self.source(looked, &board, String::new()).known_at_destinations()
            };
            known.get_or_init(look).contains(&target)
        };
        let graph = &project.graph;
        let built = build::build(
            &Build {
                graph,
                places: &project.places,
                facts: &looked.facts,
                snapshot: &looked.snapshot,
                selection: &looked.selection,
                last: &looked.last,
                shelf: &Stored { objects: Some(objects) },
                objects,
                executors: Executors {
                    programs: &world.programs,
                    containers: world.executor(graph),
                },
                stop,
                options,
                now: &clock::now,
                published: &published,
            },
            &mut records,
            board,
            &mut |event| report.event(&event),
        );
        match built {
            Ok(done) => Ok((done, records)),
            Err(error) => Err(match records.replaced()? {
                Ok((_, told)) => {
                    report.event(&Event::Note { message: told });
                    error.hint("run `jheem build` again: it begins with new records")
                }
                Err(_) => error,
            }),
        }
    }

    /// What publishing reads; `now` is what `{now}` becomes.
    fn source<'s>(&'s self, looked: &'s Looked, board: &'s Board, now: String) -> Source<'s> {
        let (graph, root) = (&self.project.graph, &self.project.places.root);
        Source::new(graph, &looked.selection, board, &looked.last, self.objects, root, now)
    }
}

/// Says what was found, and what will be done and why.
fn announce(
    session: &Session<'_>,
    objects: &Objects,
    records: &Records,
    report: &mut Report,
) -> Result<()> {
    for note in notes(session) {
        report.event(&Event::Note { message: note });
    }
    let graph = &session.project.graph;
    let shelf = Stored { objects: Some(objects) };
    let judge = session.judge(&shelf);
    let folds = why::fold(&judge, &session.board, Some(records), &session.selection)?;
    let reasons = folds.iter().map(|fold| fold.words(graph)).collect();
    let targets = build::count(graph, &session.selection, &session.board);
    let (steps, plots) = kinds(session);
    report.event(&Event::Started { targets, steps, plots, reasons });
    Ok(())
}

/// What was hashed by the time that somebody asked to stop need not be hashed again.
fn keep_hashed(hashed: &[(String, Entry)], records: &mut Records) -> Result<()> {
    let mut hashed = hashed.iter();
    records.commit(|w| hashed.try_for_each(|(path, entry)| w.input_memo(path, entry)))
}

/// The last event of what was stopped before anything was judged.
fn finished_early(begun: Instant, stop: &Stop) -> Event {
    Event::Finished {
        ok: false,
        targets: FinishedTargets::default(),
        published: PublishedCounts::default(),
        runs: 0,
        nondeterministic: 0,
        seconds: begun.elapsed().as_secs_f64(),
        stopped_seconds: since_asked(stop),
    }
}

/// How long ago somebody asked to stop.
fn since_asked(stop: &Stop) -> Option<f64> {
    stop.asked().map(|asked| asked.elapsed().as_secs_f64())
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

/// Publishes everything that was asked for; returns how many publishes failed, none if it was stopped.
fn publish_all(
    source: &Source<'_>,
    reach: Reach,
    records: &mut Records,
    stop: &Arc<Stop>,
    published: &mut PublishedCounts,
    report: &mut Report,
) -> Option<usize> {
    let mut failed = 0;
    for publish in source.publishes() {
        if stop.is_raised() {
            return None;
        }
        match publish_one(source, publish, reach, records, stop, published) {
            Ok(None) => {}
            Ok(Some((done, orphaned))) => {
                if orphaned > 0 {
                    let message = format!(
                        "`publish.{}`: {} published before, and no target publishes {} now; nothing was removed, and `jheem verify` names {2}",
                        publish.name,
                        if orphaned == 1 {
                            "1 key was".into()
                        } else {
                            format!("{orphaned} keys were")
                        },
                        if orphaned == 1 { "it" } else { "them" },
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
            Err(_) if stop.is_raised() => return None,
            Err(error) => {
                failed += 1;
                let lines = error.details();
                let message = format!("publish `{}` failed: {}", publish.name, error.message);
                report.event(&Event::Problem { message, lines });
            }
        }
    }
    Some(failed)
}

/// Publishes what one publish wants; returns what was done, and how many keys are orphaned.
///
/// None if all its destinations are out of reach. What it writes is counted as it comes to stand.
fn publish_one(
    source: &Source<'_>,
    publish: &Publish,
    reach: Reach,
    records: &mut Records,
    stop: &Arc<Stop>,
    published: &mut PublishedCounts,
) -> Result<Option<(Done, usize)>> {
    if let Some(known) = records.settled(&publish.name)?
        && source.still_settled(publish, reach, &known)
    {
        return Ok(Some((Done::default(), known.orphaned)));
    }
    let Some(mut prepared) = source.prepare(publish, reach)? else { return Ok(None) };
    prepared.places = stoppable(prepared.places, stop);
    let done = source.apply(&prepared, &mut |event| match event {
        publish::Event::Object { bytes, .. } => {
            published.objects += 1;
            published.bytes += bytes;
        }
        publish::Event::Rows { rows, .. } => published.rows += rows,
        _ => {}
    })?;
    if let Some(settled) = &prepared.settled {
        records.commit(|w| w.settled(&publish.name, settled))?;
    }
    Ok(Some((done, prepared.plan.orphans.len())))
}

/// The first of a publish's destinations that is not on this machine.
pub(super) fn remote(publish: &Publish) -> Option<&str> {
    let urls = publish.objects.iter().map(|o| &o.to).chain(publish.rows.iter().map(|r| &r.to));
    urls.map(String::as_str)
        .find(|url| crate::publish::parse_destination(url).is_ok_and(|at| !at.is_local()))
}

/// Remote destinations are out of reach; better said before anything runs.
pub(super) fn refuse_remote(graph: &Graph, selection: &Selection) -> Result<()> {
    for (index, publish) in graph.publishes.iter().enumerate() {
        if !selection.publishes[index] {
            continue;
        }
        let urls = publish.objects.iter().map(|o| (&o.to, &o.span));
        for (url, span) in urls.chain(publish.rows.iter().map(|r| (&r.to, &r.span))) {
            let destination = crate::publish::parse_destination(url).map_err(Error::user)?;
            if !destination.is_local() {
                return Err(Error::unsupported(format!(
                    "this version does not publish to `{url}`"
                ))
                .at(&graph.source, span.clone())
                .hint("choose a profile whose destinations are `file:` and `sqlite:`"));
            }
        }
    }
    Ok(())
}

pub(super) fn options(args: &BuildArgs) -> Options {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let jobs = args.jobs.unwrap_or(processors).max(1);
    Options {
        jobs,
        cpus: processors.max(jobs) as f64,
        memory: crate::machine::memory(),
        keep_going: args.keep_going,
    }
}

/// Ends and removes what a killed jheem left.
pub(super) fn sweep(
    project: &Project,
    world: &World,
    objects: &Objects,
    report: &mut Report,
) -> Result<()> {
    let scratch = project.places.scratch();
    objects.sweep()?;
    moments::pass(Moment::Sweeping);
    let owner = &project.places.owner;
    let containers = world.executor(&project.graph).ok();
    // Whoever still writes there is ended before it must be empty: only the last sweep may fail.
    let mut removed = containers.and_then(|c| c.sweep(owner, &scratch).ok()).unwrap_or_default();
    removed.extend(world.programs.sweep(owner, &scratch)?);
    if let Some(containers) = containers {
        removed.extend(containers.sweep(owner, &scratch)?);
    }
    if !removed.is_empty() {
        let message = format!("an earlier jheem left something behind: {}", removed.join(", "));
        report.event(&Event::Note { message });
    }
    Ok(())
}

/// Keeps what was learned by looking: hashes of inputs, and which images names stand for.
fn remember(session: &Session<'_>, records: &mut Records) -> Result<()> {
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
pub(super) fn notes(session: &Session<'_>) -> Vec<String> {
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
