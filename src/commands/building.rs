//! `build` and `publish`: the one way through, from the lock to the last event.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use super::asking::{PlanAs, plan};
use super::stopping::{STOPPED, stop_on_signals, stoppable};
use super::{FAILED, Outcomes, WELL, images, one, open};
use crate::build;
use crate::cli::{BuildArgs, Global, PublishArgs};
use crate::error::{Error, Result};
use crate::event::{Event, FinishedTargets, PublishedCounts};
use crate::facts::Snapshot;
use crate::graph::{Publish, Target};
use crate::job::{Executor as _, Stop};
use crate::machine;
use crate::manifest::RuleKind;
use crate::memo::Entry;
use crate::moments::{self, Moment};
use crate::objects::Objects;
use crate::plan::{self, Board, Facts, InputFact, Verdict};
use crate::project::{self, Patience, Project};
use crate::publish::{self, Done};
use crate::publishing::{Reach, Source};
use crate::records::{Key, Record, Records, Settled};
use crate::remote_inputs::RemoteInputs;
use crate::report::Report;
use crate::selection::Selection;
use crate::session::{self, Look, Session, World};
use crate::setup::{Build, Executors, Options};
use crate::shelf::Stored;
use crate::source::Sources;
use crate::{clock, unlocked, why};

pub fn build(global: &Global, args: &BuildArgs, report: &mut Report) -> Outcomes {
    run(global, args, Reach::Local, true, report)
}

pub fn publish(global: &Global, args: &PublishArgs, report: &mut Report) -> Outcomes {
    run(global, &args.build, Reach::All, args.fewer, report)
}

/// `fewer`: whether a publish may confirm less than its share.
fn run(
    global: &Global,
    args: &BuildArgs,
    reach: Reach,
    fewer: bool,
    report: &mut Report,
) -> Outcomes {
    if args.dry_run {
        let asked = PlanAs { reach, images: &args.images, dry_run: true, ..PlanAs::default() };
        let code = plan(global, &args.select, &asked, report)?;
        report.say("nothing was run or written: this is only what would be done");
        return Ok(code);
    }
    let begun = Instant::now();
    let mut project = open(global)?;
    images::replace(&mut project.graph, &args.images).map_err(one)?;
    let mut selection = super::select(&project, &args.select)?;
    if reach == Reach::All {
        selection = selection.publishing(&project.graph).map_err(one)?;
    }
    let patience = if args.no_wait { Patience::GiveUp } else { Patience::Wait };
    let _lock =
        project::lock(&project.places, patience, &mut |line| report.say(&line)).map_err(one)?;
    let world = World::that_pulls();
    let stop = stop_on_signals(&world).map_err(one)?;
    if reach == Reach::All
        && !say_who("publishing", (&project, &selection, &world), &stop, report).map_err(one)?
    {
        return Ok(STOPPED);
    }
    let objects = Objects::open(&project.places.cache).map_err(one)?;
    let (mut records, told) = Records::open(&project.places.cache).map_err(one)?;
    if let Some(message) = told {
        report.event(&Event::Note { message });
    }
    moments::pass(Moment::Looking);
    sweep(&project, &world, &objects, report).map_err(one)?;
    let (project, world, objects, stop) = (&project, &world, &objects, &stop);
    let whole = Whole { args, reach, fewer, project, selection, world, objects, stop, begun };
    let error = match whole.attempt(&mut records, report) {
        Ok(code) => return Ok(code),
        Err(error) => error,
    };
    // A database may turn out damaged only where it is read or written.
    match records.replaced().map_err(one)? {
        Ok((mut anew, message)) => {
            report.event(&Event::Note { message });
            stop.begin_anew();
            whole.attempt(&mut anew, report).map_err(one)
        }
        Err(_) => Err(one(error)),
    }
}

/// What a build goes by, from before anything is looked at.
struct Whole<'a> {
    args: &'a BuildArgs,
    reach: Reach,
    fewer: bool,
    project: &'a Project,
    selection: Selection,
    world: &'a World,
    objects: &'a Objects,
    stop: &'a Arc<Stop>,
    begun: Instant,
}

impl Whole<'_> {
    /// Looks, judges, builds and publishes; returns the exit code.
    fn attempt(&self, records: &mut Records, report: &mut Report) -> Result<u8> {
        let looked = session::look(
            self.project,
            self.selection.clone(),
            Some(records),
            Some(self.objects),
            self.world,
            self.stop,
        );
        let session = match looked? {
            Look::Session(session) => *session,
            Look::Stopped(hashed) => return self.stopped_looking(&hashed, records, report),
        };
        moments::pass(Moment::Judged);
        remember(&session, records)?;
        if self.args.locked {
            check_locked(&session)?;
        }
        images::check_all_baked(&session, self.world)?;
        for message in notes(&session) {
            report.event(&Event::Note { message });
        }
        report.event(&self.started(&session, records)?);
        let Session { selection, last, facts, snapshot, board, .. } = session;
        let done = self.make(&selection, &last, &facts, &snapshot, board, records, report)?;
        let mut published = PublishedCounts::default();
        let mut problems = done.problems;
        let mut stopped = done.stopped;
        if !stopped {
            let now = clock::rfc3339(clock::now());
            let (project, aws) = (self.project, &self.world.aws);
            let source =
                Source::new(project, &selection, &done.board, &last, self.objects, aws, now);
            let unlocked = match self.reach {
                Reach::All => {
                    let (graph, lock) = (&self.project.graph, &self.project.lock);
                    let replaced = images::not_the_locks(graph, lock, &facts.runners);
                    unlocked::unlocked(graph, &facts, &replaced, &selection)
                }
                Reach::Local => HashMap::new(),
            };
            match self.publish_all(&source, &unlocked, records, &mut published, report)? {
                Some(failed) => problems += failed,
                None => stopped = true,
            }
        }
        let requests = self.world.aws.requests();
        if !requests.is_none() {
            report.requests(&requests);
        }
        let ok = done.targets.failed == 0 && done.targets.skipped == 0 && problems == 0 && !stopped;
        report.event(&Event::Finished {
            ok,
            targets: done.targets,
            published,
            runs: done.runs,
            nondeterministic: done.nondeterministic,
            seconds: self.begun.elapsed().as_secs_f64(),
            stopped_seconds: since_asked(self.stop).filter(|_| stopped),
        });
        // The process ends now: giving all this back piece by piece would take as long as looking did.
        std::mem::forget((facts, snapshot, selection, last, done.board));
        Ok(match (ok, stopped) {
            (_, true) => STOPPED,
            (true, false) => WELL,
            (false, false) => FAILED,
        })
    }

    /// Keeps what was hashed until somebody asked to stop.
    fn stopped_looking(
        &self,
        hashed: &[(String, Entry)],
        records: &mut Records,
        report: &mut Report,
    ) -> Result<u8> {
        records
            .commit(|w| hashed.iter().try_for_each(|(path, entry)| w.input_memo(path, entry)))?;
        report.event(&Event::Finished {
            ok: false,
            targets: FinishedTargets::default(),
            published: PublishedCounts::default(),
            runs: 0,
            nondeterministic: 0,
            seconds: self.begun.elapsed().as_secs_f64(),
            stopped_seconds: since_asked(self.stop),
        });
        Ok(STOPPED)
    }

    /// What will be done, and why.
    fn started(&self, session: &Session<'_>, records: &Records) -> Result<Event> {
        let graph = &self.project.graph;
        let shelf = Stored { objects: Some(self.objects) };
        let judge = session.judge(&shelf);
        let folds = why::fold(&judge, &session.board, Some(records), &session.selection)?;
        let targets = build::count(graph, &session.selection, &session.board);
        let (steps, plots) = kinds(session);
        let reasons = folds.iter().map(|fold| fold.words(graph)).collect();
        Ok(Event::Started { targets, steps, plots, reasons })
    }

    /// Makes what is not there.
    #[expect(clippy::too_many_arguments, reason = "the parts of a session, which outlive this")]
    fn make(
        &self,
        selection: &Selection,
        last: &HashMap<Key, Record>,
        facts: &Facts,
        snapshot: &Snapshot,
        board: Board,
        records: &mut Records,
        report: &mut Report,
    ) -> Result<build::Done> {
        let graph = &self.project.graph;
        let shelf = Stored { objects: Some(self.objects) };
        let options = options(self.args);
        let known = OnceLock::new();
        let published = |target: Target| {
            let look = || {
                let board = Board::new(graph);
                let (project, aws) = (self.project, &self.world.aws);
                Source::new(project, selection, &board, last, self.objects, aws, String::new())
                    .known_at_destinations()
            };
            known.get_or_init(look).contains(&target)
        };
        let containers = self.world.executor(graph);
        let sources = Sources::new(&self.project.places.root, self.world.aws.clone());
        let inputs = RemoteInputs::new(&sources, &self.project.lock, &facts.twins);
        let build = Build {
            graph,
            places: &self.project.places,
            facts,
            snapshot,
            selection,
            last,
            shelf: &shelf,
            objects: self.objects,
            inputs: &inputs,
            executors: Executors { programs: &self.world.programs, containers },
            stop: self.stop,
            options: &options,
            now: &clock::now,
            published: &published,
        };
        build::build(&build, records, board, &mut |event| report.event(&event))
    }

    /// Publishes everything that was asked for; returns how many publishes failed, none if it was stopped.
    fn publish_all(
        &self,
        source: &Source<'_>,
        unlocked: &HashMap<Target, String>,
        records: &mut Records,
        published: &mut PublishedCounts,
        report: &mut Report,
    ) -> Result<Option<usize>> {
        let mut failed = 0;
        // Publishes that are not at their end, so that nothing that comes after them is begun.
        let mut incomplete: BTreeSet<&str> = BTreeSet::new();
        let all = &self.project.graph.publishes;
        for publish in source.publishes() {
            if self.stop.is_raised() {
                return Ok(None);
            }
            if let Some((why, hint)) = not_locked(publish, unlocked, &self.args.images) {
                failed += 1;
                incomplete.insert(&publish.name);
                let message = format!("publish `{}` is refused: {why}", publish.name);
                report.event(&Event::Problem { message, lines: vec![hint] });
                continue;
            }
            let earlier = publish.after.iter().map(|earlier| all[*earlier].name.as_str());
            if let Some(earlier) = earlier.into_iter().find(|name| incomplete.contains(name)) {
                incomplete.insert(&publish.name);
                let message = format!(
                    "`publish.{}` is held back: `publish.{earlier}`, which it comes after, is incomplete",
                    publish.name
                );
                report.event(&Event::Note { message });
                continue;
            }
            let known = records.settled(&publish.name)?;
            let say = &mut |message| report.event(&Event::Note { message });
            let known = known.as_ref();
            let how = How { reach: self.reach, fewer: self.fewer, stop: self.stop };
            match publish_one(source, publish, &how, known, published, say) {
                Ok(None) => {}
                Ok(Some(One { done, orphaned, undecided, held, settled })) => {
                    if undecided > 0 {
                        incomplete.insert(&publish.name);
                    }
                    if let Some(message) = held {
                        report.event(&Event::Note { message });
                    }
                    if let Some(settled) = settled {
                        records.commit(|w| w.settled(&publish.name, &settled))?;
                    }
                    if orphaned > 0 {
                        report.event(&Event::Note { message: orphans(publish, orphaned) });
                    }
                    report.event(&Event::Published {
                        publish: publish.name.clone(),
                        objects: done.objects + done.headers,
                        rows: done.rows,
                        bytes: done.bytes,
                    });
                }
                Err(_) if self.stop.is_raised() => return Ok(None),
                Err(error) => {
                    failed += 1;
                    incomplete.insert(&publish.name);
                    let lines = error.details();
                    let message = format!("publish `{}` failed: {}", publish.name, error.message);
                    report.event(&Event::Problem { message, lines });
                }
            }
        }
        Ok(Some(failed))
    }
}

/// Why what a publish would bring to a remote destination is refused for what it is made of, and what to do; none if it is not.
///
/// `replaced` are the images of this run that are not the Jheemfile's.
pub(super) fn not_locked(
    publish: &Publish,
    unlocked: &HashMap<Target, String>,
    replaced: &[String],
) -> Option<(String, String)> {
    let of_this = unlocked.iter().filter(|(target, _)| target.rule == publish.of);
    let what: BTreeSet<&String> = of_this.map(|(_, what)| what).collect();
    let what: Vec<String> = what.into_iter().cloned().collect();
    if what.is_empty() || remotes(publish).next().is_none() {
        return None;
    }
    let (are, them) = if what.len() == 1 { ("is", "it") } else { ("are", "them") };
    let why = format!("{} {are} not what the lock says, and plots are made of {them}", some(&what));
    let leave = if replaced.is_empty() { "" } else { ", or leave `--image` out" };
    let hint = format!(
        "hint: `jheem update` pins what the source or the tag has: bring the file there first; or remove it, so that it is fetched{leave}"
    );
    Some((why, hint))
}

/// Says that something is published that nothing publishes now.
fn orphans(publish: &Publish, orphaned: usize) -> String {
    let (keys, them) = match orphaned {
        1 => ("1 key was".to_owned(), "it"),
        _ => (format!("{orphaned} keys were"), "them"),
    };
    format!(
        "`publish.{}`: {keys} published before, and no target publishes {them} now; nothing was removed, and `jheem verify` names {them}",
        publish.name
    )
}

/// Names what an earlier publish left, and what is held so.
fn rolled_back(publish: &Publish, keys: &[String]) -> String {
    const MOST: usize = 5;
    let named: Vec<String> = keys.iter().take(MOST).map(|key| format!("`{key}`")).collect();
    let more = match keys.len() {
        count if count > MOST => format!(" and {} more", count - MOST),
        _ => String::new(),
    };
    let (are, them) = match keys.len() {
        1 => ("is held as it was", "it"),
        _ => ("are held as they were", "them"),
    };
    format!(
        "`publish.{}`: {}{more} {are} rolled back to; `jheem rollback --release` lets go of {them}",
        publish.name,
        named.join(", ")
    )
}

/// What one publish came to.
struct One {
    done: Done,
    /// How many keys are orphaned.
    orphaned: usize,
    /// How many objects and rows are not built, or held back with such.
    undecided: usize,
    /// What is held back, in words.
    held: Option<String>,
    /// What spares the next look, if anything does.
    settled: Option<Settled>,
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

/// How all publishes are carried out.
struct How<'a> {
    reach: Reach,
    fewer: bool,
    stop: &'a Arc<Stop>,
}

/// Publishes what one publish wants.
///
/// None if all its destinations are out of reach. What it writes is counted as it comes to stand.
fn publish_one(
    source: &Source<'_>,
    publish: &Publish,
    how: &How<'_>,
    known: Option<&Settled>,
    published: &mut PublishedCounts,
    say: &mut dyn FnMut(String),
) -> Result<Option<One>> {
    if let Some(known) = known
        && source.still_settled(publish, how.reach, known)
    {
        let (done, orphaned) = (Done::default(), known.orphaned);
        return Ok(Some(One { done, orphaned, undecided: 0, held: None, settled: None }));
    }
    let Some(mut prepared) = source.prepare(publish, how.reach, Some(say))? else {
        return Ok(None);
    };
    if let Some(refusal) = prepared.too_few(source, publish).filter(|_| !how.fewer) {
        return Err(refusal);
    }
    if !prepared.plan.rolled_back.is_empty() {
        say(rolled_back(publish, &prepared.plan.rolled_back));
    }
    prepared.places = stoppable(prepared.places, how.stop);
    let done = source.apply(&prepared, &mut |event| match event {
        publish::Event::Object { bytes, .. } => {
            published.objects += 1;
            published.bytes += bytes;
        }
        publish::Event::Rows { rows, .. } => published.rows += rows,
        publish::Event::Told { distribution, paths } => say(format!(
            "`publish.{}`: distribution `{distribution}` forgets {paths} path{}",
            publish.name,
            if paths == 1 { "" } else { "s" }
        )),
        publish::Event::Named { index, edition } => {
            say(format!("`publish.{}`: `{index}` names the edition {edition}", publish.name));
        }
        _ => {}
    })?;
    let (orphaned, undecided) = (prepared.plan.orphans.len(), prepared.undecided());
    let (held, settled) = (prepared.held, prepared.settled);
    Ok(Some(One { done, orphaned, undecided, held, settled }))
}

/// Those of a publish's destinations that are not on this machine.
pub(super) fn remotes(publish: &Publish) -> impl Iterator<Item = &str> {
    let urls = publish.objects.iter().map(|o| &o.to).chain(publish.rows.iter().map(|r| &r.to));
    urls.map(String::as_str)
        .filter(|url| publish::parse_destination(url).is_ok_and(|at| !at.is_local()))
}

/// Says who writes where; whether to go on, which is not so once somebody asked to stop.
pub(super) fn say_who(
    doing: &str,
    (project, selection, world): (&Project, &Selection, &World),
    stop: &Stop,
    report: &mut Report,
) -> Result<bool> {
    match writing_as(doing, project, selection, world) {
        Err(_) if stop.asked().is_some() => return Ok(false),
        said => {
            if let Some(message) = said? {
                report.event(&Event::Note { message });
            }
        }
    }
    Ok(true)
}

/// Who writes to which remote destinations, asked before anything runs; none if all are on this machine.
fn writing_as(
    doing: &str,
    project: &Project,
    selection: &Selection,
    world: &World,
) -> Result<Option<String>> {
    let graph = &project.graph;
    let asked = graph.publishes.iter().zip(&selection.publishes).filter(|(_, asked)| **asked);
    let urls: BTreeSet<&str> = asked.flat_map(|(publish, _)| remotes(publish)).collect();
    if urls.is_empty() {
        return Ok(None);
    }
    let cache = &project.places.cache;
    machine::name_publisher(cache).map_err(|error| Error::io("write to", cache, &error))?;
    let aws = world.aws.connect()?;
    let identity = aws.identity()?;
    let urls: Vec<String> = urls.into_iter().map(|url| format!("`{url}`")).collect();
    Ok(Some(format!(
        "{doing} to {} as {} (account {}, region {})",
        urls.join(", "),
        identity.arn,
        identity.account,
        aws.region()
    )))
}

pub(super) fn options(args: &BuildArgs) -> Options {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let jobs = args.jobs.unwrap_or(processors).max(1);
    Options {
        evict_inputs: args.evict_inputs,
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
            plan::RunnerFact::Known { identity, note, manifest },
        ) = (&runner.start, fact)
            // What the lock says need not be remembered, nor what is remembered only.
            && note.is_some() == manifest.is_some()
        {
            let platform = runner.platform.clone().unwrap_or_default();
            images.push((name.clone(), platform, identity.trim_start_matches("image ").to_owned()));
        }
    }
    let twins = &session.snapshot.twins;
    if session.snapshot.fresh.is_empty() && images.is_empty() && twins.is_empty() {
        return Ok(());
    }
    records.commit(|w| {
        for (path, entry) in &session.snapshot.fresh {
            w.input_memo(path, entry)?;
        }
        twins.iter().try_for_each(|(sha256, blake3)| w.twin(sha256, blake3))?;
        images.iter().try_for_each(|(name, platform, id)| w.image(name, platform, id))
    })
}

/// Inputs of what is selected, by path, that are in some way not what the lock says.
fn inputs_that(session: &Session<'_>, odd: impl Fn(&InputFact, bool) -> bool) -> Vec<String> {
    let graph = &session.project.graph;
    let facts = session.facts.inputs.iter();
    let found =
        facts.filter(|&(&(input, _), fact)| odd(fact, graph.inputs[input].source.is_some()));
    let mut paths: Vec<String> =
        found.map(|(&(input, cell), _)| format!("`{}`", graph.input_path(input, cell))).collect();
    paths.sort();
    paths
}

/// Refuses to go on where the lock does not say what an input is, or an input is not what it says.
fn check_locked(session: &Session<'_>) -> Result<()> {
    let unpinned = inputs_that(session, |fact, has_source| {
        has_source && matches!(fact, InputFact::Missing | InputFact::There { .. })
    });
    let mut unpinned = unpinned;
    for (runner, fact) in session.project.graph.runners.iter().zip(&session.facts.runners) {
        // At its registry, and not in the lock.
        if let plan::RunnerFact::Known { note: Some(_), manifest: Some(_), .. } = fact {
            unpinned.extend(runner.image_names().first().map(|name| format!("`{name}`")));
        }
    }
    let differing = inputs_that(session, |fact, _| matches!(fact, InputFact::Differs { .. }));
    if unpinned.is_empty() && differing.is_empty() {
        return Ok(());
    }
    let lock = session.project.lock_file.display();
    let mut error = Error::user(format!("`{lock}` is out of date, and `--locked` was asked for"));
    if !unpinned.is_empty() {
        error = error.because(format!("it does not pin {}", some(&unpinned)));
    }
    if !differing.is_empty() {
        error = error.because(format!("it pins other bytes than those of {}", some(&differing)));
    }
    Err(error.hint("run `jheem update`, look at what it changes, and commit it"))
}

/// The first few of many, and how many more.
fn some(paths: &[String]) -> String {
    const MOST: usize = 4;
    let first = paths[..paths.len().min(MOST)].join(", ");
    match paths.len().saturating_sub(MOST) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

/// What is known in an unusual way, said aloud.
pub(super) fn notes(session: &Session<'_>) -> Vec<String> {
    let differing = inputs_that(session, |fact, _| matches!(fact, InputFact::Differs { .. }));
    let differing = (!differing.is_empty()).then(|| {
        format!(
            "{}: not what the lock says; used as it is, and nothing made of it is published to a remote destination",
            some(&differing)
        )
    });
    let runners = session.facts.runners.iter().filter_map(|fact| match fact {
        plan::RunnerFact::Known { note, .. } => note.clone(),
        _ => None,
    });
    differing.into_iter().chain(runners).collect()
}
