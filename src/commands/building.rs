//! `build` and `publish`: the one way through, from the lock to the last event.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use super::asking::{PlanAs, plan};
use super::stopping::{STOPPED, stop_on_signals, stoppable};
use super::{FAILED, Outcomes, WELL, one, open};
use crate::build;
use crate::cli::{BuildArgs, Global};
use crate::error::{Error, Result};
use crate::event::{Event, FinishedTargets, PublishedCounts};
use crate::graph::{Graph, Publish, Target};
use crate::job::{Executor as _, Stop};
use crate::manifest::RuleKind;
use crate::moments::{self, Moment};
use crate::objects::Objects;
use crate::plan::{self, Board, InputFact, Verdict};
use crate::project::{self, Patience, Project};
use crate::publish::{self, Done};
use crate::publishing::{Reach, Source};
use crate::records::Records;
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
    let selection = super::select(&project, &args.select)?;
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
    moments::pass(Moment::Looking);
    sweep(&project, &world, &objects, report).map_err(one)?;
    let look = |selection: &Selection, records: &Records| {
        session::look(&project, selection.clone(), Some(records), Some(&objects), &world, &stop)
    };
    let looked = match look(&selection, &records) {
        Ok(looked) => looked,
        // A database may turn out damaged only where it is read.
        Err(error) => match records.replaced().map_err(one)? {
            Ok((anew, told)) => {
                records = anew;
                report.event(&Event::Note { message: told });
                look(&selection, &records).map_err(one)?
            }
            Err(_) => return Err(one(error)),
        },
    };
    let session = match looked {
        Look::Session(session) => *session,
        Look::Stopped(hashed) => {
            let mut hashed = hashed.iter();
            records
                .commit(|w| hashed.try_for_each(|(path, entry)| w.input_memo(path, entry)))
                .map_err(one)?;
            report.event(&Event::Finished {
                ok: false,
                targets: FinishedTargets::default(),
                published: PublishedCounts::default(),
                runs: 0,
                nondeterministic: 0,
                seconds: begun.elapsed().as_secs_f64(),
                stopped_seconds: since_asked(&stop),
            });
            return Ok(STOPPED);
        }
    };
    let graph = &project.graph;
    moments::pass(Moment::Judged);
    remember(&session, &mut records).map_err(one)?;
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
    let known = OnceLock::new();
    let published = |target: Target| {
        let look = || {
            let board = Board::new(graph);
            let root = &project.places.root;
            Source::new(graph, &selection, &board, &last, &objects, root, String::new())
                .known_at_destinations()
        };
        known.get_or_init(look).contains(&target)
    };
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
            published: &published,
        },
        &mut records,
        board,
        &mut |event| report.event(&event),
    );
    let done = match built {
        Ok(done) => done,
        Err(error) => {
            return Err(one(match records.replaced().map_err(one)? {
                Ok((_, told)) => {
                    report.event(&Event::Note { message: told });
                    error.hint("run `jheem build` again: it begins with new records")
                }
                Err(_) => error,
            }));
        }
    };
    let mut published = PublishedCounts::default();
    let mut problems = done.problems;
    let mut stopped = done.stopped;
    if !stopped {
        let now = clock::rfc3339(clock::now());
        let root = &project.places.root;
        let source = Source::new(graph, &selection, &done.board, &last, &objects, root, now);
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
    let unfetched = facts.inputs.iter().any(|(&(input, _), fact)| {
        matches!(fact, InputFact::Missing) && graph.inputs[input].source.is_some()
    });
    let unsupported = done.targets.failed == 0 && problems == 0 && unfetched;
    // The process ends now: giving all this back piece by piece would take as long as looking did.
    std::mem::forget((facts, snapshot, selection, last, done.board));
    Ok(match (ok, stopped) {
        (_, true) => STOPPED,
        (true, false) => WELL,
        (false, false) if unsupported => Error::unsupported("").kind.exit_code(),
        (false, false) => FAILED,
    })
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

/// Remote destinations are not built yet; better said before anything runs.
pub(super) fn refuse_remote(graph: &Graph, selection: &Selection) -> Result<()> {
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
