//! `update`: looks anew at what is pinned, writes the lock, and says what changed and what follows.

use std::collections::BTreeSet;

use super::stopping::{STOPPED, stop_on_signals};
use super::{Outcomes, WELL, images, one, open};
use crate::cli::{Global, Select, UpdateArgs};
use crate::error::{Error, Result, nearest};
use crate::fetch::Asker;
use crate::figures::{self, numbered};
use crate::graph::{Graph, Start};
use crate::job::Stop;
use crate::lockfile::Lockfile;
use crate::objects::Objects;
use crate::pinning::{self, Change, Looked};
use crate::plan::Verdict;
use crate::project::{self, Patience, Project};
use crate::records::Records;
use crate::report::Report;
use crate::selection;
use crate::session::{self, Look, World};
use crate::source::Sources;

pub fn update(global: &Global, args: &UpdateArgs, report: &mut Report) -> Outcomes {
    let mut project = open(global)?;
    let wanted = Wanted::of(&project.graph, args)?;
    let _lock = project::lock(&project.places, Patience::Wait, &mut |line| report.say(&line))
        .map_err(one)?;
    // Another update may have written it while this one waited.
    project.lock = Lockfile::read(&project.lock_file).map_err(one)?;
    let world = World::new();
    let stop = stop_on_signals(&world).map_err(one)?;
    let objects = Objects::open(&project.places.cache).map_err(one)?;
    let (mut records, told) = Records::open(&project.places.cache).map_err(one)?;
    told.iter().for_each(|told| report.say(told));
    if wanted.sources.is_empty() && wanted.runners.is_empty() {
        report.say(
            "nothing that was asked for has a source, and no runner names an image, so there is nothing to look up",
        );
        return Ok(WELL);
    }
    let (mut lock, mut errors) =
        look_at_sources(&project, &wanted, &world, &objects, &mut records, &stop, report)
            .map_err(one)?;
    if stop.is_raised() {
        report.say("stopped; the lock is what it was, and what was fetched stays in the cache");
        return Ok(STOPPED);
    }
    errors.extend(images::pin(&project, &wanted.runners, &world, &mut lock, &mut records, report));
    if wanted.whole {
        forget_images(&project.graph, &mut lock, report);
    }
    if lock != project.lock {
        if args.dry_run {
            report.say(&format!("`{}` is not written, as asked", project.lock_file.display()));
        } else {
            lock.write(&project.lock_file).map_err(one)?;
            report.say(&format!("`{}` is written", project.lock_file.display()));
        }
        for line in consequences(&mut project, lock, &records, &objects, &world, &stop) {
            report.say(&line);
        }
    }
    if errors.is_empty() { Ok(WELL) } else { Err(errors) }
}

/// What is looked at.
struct Wanted {
    /// Sorted.
    sources: BTreeSet<String>,
    runners: Vec<usize>,
    /// Whether it is all that there is, so that the lock has nothing else.
    whole: bool,
}

impl Wanted {
    fn of(graph: &Graph, args: &UpdateArgs) -> Result<Wanted, Vec<Error>> {
        let select = Select { filters: args.filters.clone(), ..Select::default() };
        let masks = selection::masks(graph, &select.request(""))?;
        let names: Vec<String> = args.names.iter().map(|name| name.to_lowercase()).collect();
        let inputs = graph.inputs.iter().filter(|input| input.source.is_some());
        let inputs: Vec<String> = inputs.map(|input| format!("input.{}", input.name)).collect();
        let images = graph.runners.iter().filter(|r| matches!(r.start, Start::Image(_)));
        let images: Vec<String> = images.map(|runner| format!("runner.{}", runner.name)).collect();
        let known: Vec<&str> = inputs.iter().chain(&images).map(String::as_str).collect();
        let unknown = args.names.iter().filter(|name| !known.contains(&name.as_str()));
        let errors: Vec<Error> = unknown
            .map(|name| {
                let error = Error::user(format!("`{name}` is nothing that the lock pins"));
                match (nearest(name, known.iter().copied()), known.is_empty()) {
                    (Some(near), _) => error.hint(format!("did you mean `{near}`?")),
                    (None, true) => error.hint("give an input a `source`, or a runner an `image`"),
                    (None, false) => error.hint(format!("it pins {}", known.join(", "))),
                }
            })
            .collect();
        if !errors.is_empty() {
            return Err(errors);
        }
        let named = |name: String| names.is_empty() || args.names.contains(&name);
        let mut sources = BTreeSet::new();
        for (index, input) in graph.inputs.iter().enumerate() {
            if input.source.is_none() || !named(format!("input.{}", input.name)) {
                continue;
            }
            // What has not the axis is not narrowed by it, but then it was not meant.
            if masks.keys().any(|axis| input.space.position(*axis).is_none()) {
                continue;
            }
            for cell in 0..input.space.cells() {
                let within = masks.iter().all(|(axis, mask)| {
                    let position = input.space.position(*axis);
                    position.is_none_or(|at| mask[input.space.coordinate(cell, at)])
                });
                if within {
                    sources.extend(graph.input_source(index, cell));
                }
            }
        }
        let is_image = |index: &usize| matches!(graph.runners[*index].start, Start::Image(_));
        let runners = (0..graph.runners.len()).filter(is_image);
        let runners = runners.filter(|&index| {
            masks.is_empty() && named(format!("runner.{}", graph.runners[index].name))
        });
        let whole = args.names.is_empty() && args.filters.is_empty();
        Ok(Wanted { sources, runners: runners.collect(), whole })
    }
}

/// The lock as it is after this, and what could not be looked at.
fn look_at_sources(
    project: &Project,
    wanted: &Wanted,
    world: &World,
    objects: &Objects,
    records: &mut Records,
    stop: &Stop,
    report: &mut Report,
) -> Result<(Lockfile, Vec<Error>)> {
    let sources = Sources::new(&project.places.root, world.aws.clone());
    let all: Vec<&str> = wanted.sources.iter().map(String::as_str).collect();
    let go_on = || !stop.is_raised();
    let looked = pinning::each(&all, &|source| {
        let asker = Asker { go_on: &go_on, came: &|_| {} };
        pinning::look(&sources, source, &project.lock, objects, &asker)
    });
    let mut lock = project.lock.clone();
    let mut errors = Vec::new();
    let (mut unchanged, mut failed) = (0, BTreeSet::new());
    for (source, looked) in all.iter().zip(looked) {
        let Looked { change, arrived } = match looked {
            Ok(looked) => looked,
            Err(error) => {
                failed.insert(*source);
                errors.push(error);
                continue;
            }
        };
        if let Some(arrived) = arrived {
            records.commit(|w| w.twin(&arrived.sha256, &arrived.stored.digest))?;
        }
        let now = match change {
            Change::Unchanged => {
                unchanged += 1;
                continue;
            }
            Change::New(now) => {
                report.data(&format!(
                    "new {source} {}, {}",
                    now.digest.short(),
                    figures::bytes(now.size)
                ));
                now
            }
            Change::Changed { before, now } => {
                report.data(&format!(
                    "changed {source} {} -> {}, {}",
                    before.digest.short(),
                    now.digest.short(),
                    figures::bytes(now.size)
                ));
                now
            }
            Change::Moved(now) => {
                report.data(&format!("same {source} was put there anew with the same bytes"));
                now
            }
        };
        lock.inputs.insert((*source).to_owned(), now);
    }
    if wanted.whole {
        let gone: Vec<String> =
            lock.inputs.keys().filter(|known| !wanted.sources.contains(*known)).cloned().collect();
        for source in gone {
            lock.inputs.remove(&source);
            report.data(&format!("gone {source} no input comes from there any more"));
        }
    }
    if unchanged > 0 {
        report.say(&format!("{} as pinned", numbered(unchanged, "source")));
    }
    Ok((lock, errors))
}

/// What becomes of the default goals by a new lock.
fn consequences(
    project: &mut Project,
    lock: Lockfile,
    records: &Records,
    objects: &Objects,
    world: &World,
    stop: &Stop,
) -> Vec<String> {
    let Ok(selection) = super::select(project, &Select::default()) else { return Vec::new() };
    let remade = |project: &Project| -> Option<Vec<Vec<bool>>> {
        let looked =
            session::look(project, selection.clone(), Some(records), Some(objects), world, stop);
        let Ok(Look::Session(session)) = looked else { return None };
        let graph = &project.graph;
        let mut by_rule: Vec<Vec<bool>> =
            graph.rules.iter().map(|rule| vec![false; rule.space.cells()]).collect();
        for target in session.selection.targets() {
            let verdict = session.board.verdict(graph, &session.selection, target);
            by_rule[target.rule.0][target.cell] =
                matches!(verdict, Verdict::Stale(_) | Verdict::Pending(_));
        }
        Some(by_rule)
    };
    let before = remade(project);
    project.lock = lock;
    let (Some(before), Some(now)) = (before, remade(project)) else { return Vec::new() };
    let mut lines = Vec::new();
    for (id, (before, now)) in before.iter().zip(&now).enumerate() {
        let more = before.iter().zip(now).filter(|(before, now)| **now && !**before).count();
        let all = now.iter().filter(|now| **now).count();
        if all > 0 {
            let rule = &project.graph.rules[id].name;
            lines.push(format!(
                "{} of `{rule}` would be made, {more} of them by this update",
                numbered(all, "target")
            ));
        }
    }
    if lines.is_empty() {
        lines.push("nothing becomes stale by this".to_owned());
    }
    lines
}

/// Takes images out of a lock that no runner names any more.
fn forget_images(graph: &Graph, lock: &mut Lockfile, report: &mut Report) {
    let named: BTreeSet<&str> =
        graph.runners.iter().filter_map(|runner| runner.image_names().first().copied()).collect();
    let wanted = |key: &String| key.rsplit_once(' ').is_some_and(|(name, _)| named.contains(name));
    let gone: Vec<String> = lock.images.keys().filter(|key| !wanted(key)).cloned().collect();
    for key in gone {
        lock.images.remove(&key);
        report.data(&format!("gone {key} no runner names it any more"));
    }
}
