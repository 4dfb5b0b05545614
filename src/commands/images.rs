//! Images, as commands deal with them: named for one run, pinned, compared with their registries, and asked what is baked in.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Error, Result, nearest};
use crate::facts;
use crate::graph::{Baked, Graph, Runner, Start};
use crate::lockfile::{Lockfile, PinnedImage, image_key};
use crate::plan::{RunnerFact, Verdict};
use crate::project::Project;
use crate::records::Records;
use crate::registry::platform::Platform;
use crate::registry::reference::Reference;
use crate::registry::{Config, Resolved};
use crate::report::Report;
use crate::session::{Session, World};

/// Puts other images in the place of those that the Jheemfile names, for this run: `model=ghcr.io/me/model:2`.
///
/// `model=:2` is another tag of the same image.
pub fn replace(graph: &mut Graph, wanted: &[String]) -> Result<()> {
    for asked in wanted {
        let Some((name, image)) = asked.split_once('=') else {
            return Err(Error::user(format!("`--image {asked}` does not say which image"))
                .hint("write `--image RUNNER=IMAGE`, such as `--image model=ghcr.io/me/model:2`"));
        };
        let known: Vec<String> = graph.runners.iter().map(|runner| runner.name.clone()).collect();
        let Some(runner) = graph.runners.iter_mut().find(|runner| runner.name == name) else {
            let error = Error::user(format!("no runner is called `{name}`"));
            return Err(match nearest(name, known.iter().map(String::as_str)) {
                Some(near) => error.hint(format!("did you mean `{near}`?")),
                None => error.hint(format!("there is {}", known.join(", "))),
            });
        };
        let Start::Image(declared) = &runner.start else {
            return Err(Error::user(format!("runner `{name}` starts no image"))
                .hint("leave `--image` out, or give the runner an `image`"));
        };
        let image = match image.strip_prefix(':') {
            Some(tag) => {
                let (before, last) = declared.rsplit_once('/').unwrap_or(("", declared));
                let last = last.split(['@', ':']).next().unwrap_or(last);
                let slash = if before.is_empty() { "" } else { "/" };
                format!("{before}{slash}{last}:{tag}")
            }
            None => image.to_owned(),
        };
        // An id is no name, and does for an image of this machine.
        if image.is_empty() || !image.starts_with("sha256:") {
            Reference::parse(&image)?;
        }
        let declared = declared.clone();
        runner.in_place_of.get_or_insert(declared);
        runner.start = Start::Image(image);
        runner.mirrors.clear();
    }
    Ok(())
}

/// Runners whose image is not the one that the lock pins for the Jheemfile's: the image in words, by runner.
pub fn not_the_locks(
    graph: &Graph,
    lock: &Lockfile,
    facts: &[RunnerFact],
) -> BTreeMap<usize, String> {
    let replaced = graph.runners.iter().zip(facts).enumerate().filter_map(|(index, both)| {
        let (runner, fact) = both;
        let declared = runner.in_place_of.as_deref()?;
        let pinned = lock.images.get(&facts::lock_key(runner, declared));
        let is_the_locks = match (pinned, fact) {
            (Some(pin), RunnerFact::Known { identity, .. }) => {
                *identity == facts::image_identity(&pin.config.to_string())
            }
            _ => false,
        };
        let image = runner.image_names().first().copied().unwrap_or_default().to_owned();
        (!is_the_locks).then(|| (index, format!("the image `{image}` of runner `{}`", runner.name)))
    });
    replaced.collect()
}

/// What `update` comes to for the images of some runners: the lock is changed, and errors come back.
pub fn pin(
    project: &Project,
    runners: &[usize],
    world: &World,
    lock: &mut Lockfile,
    records: &mut Records,
    report: &mut Report,
) -> Vec<Error> {
    let mut errors = Vec::new();
    let mut seen = BTreeSet::new();
    for &index in runners {
        let runner = &project.graph.runners[index];
        // Two runners of one image are looked up once; what each asserts is compared for each.
        let first = seen.insert((runner.image_names(), runner.platform.clone()));
        if let Err(error) = pin_one(project, runner, first, world, lock, records, report) {
            errors.push(error);
        }
    }
    errors
}

fn pin_one(
    project: &Project,
    runner: &Runner,
    first: bool,
    world: &World,
    lock: &mut Lockfile,
    records: &mut Records,
    report: &mut Report,
) -> Result<()> {
    let names = runner.image_names();
    let Some(&name) = names.first() else { return Ok(()) };
    let of_this = |key: &String| key.strip_prefix(name).is_some_and(|rest| rest.starts_with(' '));
    if let Some(id) = local(runner, name, world)? {
        lock.images.retain(|key, _| !of_this(key));
        return remember(runner, name, &id, first, records, report);
    }
    let resolved = match world.registries.resolve(&names, runner.platform.as_deref()) {
        Ok(resolved) => resolved,
        Err(error) => {
            // Podman says of its own images, too, that they came from a registry.
            let there =
                world.containers().ok().map(|c| c.image_id(name, runner.platform.as_deref()));
            let pinned = lock.images.keys().any(of_this);
            return match there.transpose()?.flatten() {
                Some(id) if !pinned => {
                    if first {
                        report.say(&format!("no registry gives it: {}", error.in_one_line()));
                    }
                    remember(runner, name, &id, first, records, report)
                }
                _ => Err(nowhere(name, error, world)),
            };
        }
    };
    let Resolved { name: from, tag, platforms, passed_over } = resolved;
    for error in passed_over.iter().filter(|_| first) {
        report.say(&format!("passed over: {}", error.in_one_line()));
    }
    for (platform, pinned) in platforms {
        if !runner.image_has.is_empty() {
            let config = world.registries.config(&[from.as_str()], pinned.config)?;
            check_baked(&project.graph, runner, &config)?;
        }
        let tag = (tag != pinned.manifest).then_some(tag);
        let now = PinnedImage { manifest: pinned.manifest, config: pinned.config, tag };
        let key = image_key(name, Some(&platform));
        let before = lock.images.insert(key.clone(), now.clone());
        let line = match before {
            _ if !first => continue,
            Some(before) if before == now => format!("same {key} {}", now.config),
            Some(before) if before.config == now.config => {
                format!("same {key} {} was pushed anew", now.config)
            }
            Some(before) => format!("changed {key} {} -> {}", before.config, now.config),
            None => format!("new {key} {}", now.config),
        };
        report.data(&line);
    }
    Ok(())
}

/// The id of an image that is of this machine alone: the daemon has it, and no registry gave it.
fn local(runner: &Runner, name: &str, world: &World) -> Result<Option<String>> {
    let Ok(containers) = world.containers() else { return Ok(None) };
    let Some(id) = containers.image_id(name, runner.platform.as_deref())? else { return Ok(None) };
    let Ok(reference) = Reference::parse(name) else { return Ok(Some(id)) };
    let pulled = containers.image_repositories(name)?;
    let from_there = |full: &String| *full == reference.full_repository();
    Ok((!pulled.iter().any(from_there)).then_some(id))
}

/// Keeps what a name stands for on this machine, which no lock holds.
fn remember(
    runner: &Runner,
    name: &str,
    id: &str,
    first: bool,
    records: &mut Records,
    report: &mut Report,
) -> Result<()> {
    let platform = runner.platform.clone().unwrap_or_default();
    let before = records.image(name, &platform)?;
    records.commit(|w| w.image(name, &platform, id))?;
    let change = match before {
        Some(before) if before == id => "unchanged".to_owned(),
        Some(before) => format!("was {before}"),
        None => "new".to_owned(),
    };
    if first {
        report.data(&format!("{name} {id} ({change})"));
        report.say(&format!("`{name}` was built on this machine, so it is not pinned"));
    }
    Ok(())
}

/// The error for an image that is neither on this machine nor at a registry.
fn nowhere(name: &str, error: Error, world: &World) -> Error {
    let mut whole = Error { message: format!("the image `{name}` cannot be pinned"), ..error };
    let cause = error.message;
    whole.causes.insert(0, cause);
    match world.containers() {
        Ok(_) => whole.because(format!("the daemon has no image `{name}` either")),
        Err(daemon) => {
            whole = whole.because(&daemon);
            daemon.hints.into_iter().fold(whole, Error::hint)
        }
    }
}

/// Compares pinned images of what is selected with their registries, and says what moved; whether any is gone.
pub fn report_moved(session: &Session<'_>, world: &World, report: &mut Report) -> bool {
    let project = session.project;
    let used: BTreeSet<usize> =
        session.selection.targets().map(|target| project.graph.rule(target.rule).runner).collect();
    let mut gone = false;
    let mut asked = 0;
    for runner in used.into_iter().map(|index| &project.graph.runners[index]) {
        let names = runner.image_names();
        let Some(&name) = names.first() else { continue };
        let Some(pin) = project.lock.images.get(&facts::lock_key(runner, name)) else { continue };
        asked += 1;
        match moved(&names, pin, world) {
            Ok(None) => {}
            Ok(Some(message)) => report.event(&crate::event::Event::Note { message }),
            Err(error) => {
                gone = true;
                let (message, lines) = (error.message.clone(), error.details());
                report.event(&crate::event::Event::Problem { message, lines });
            }
        }
    }
    if asked > 0 && !gone {
        let images = crate::figures::numbered(asked, "image");
        report.say(&format!("{images} asked for: what the lock pins is there"));
    }
    gone
}

/// What a build would pull the image of a runner from, which this machine does not have: its own name, or a mirror's.
///
/// # Errors
/// It is at none of them.
pub fn pulled_from(project: &Project, runner: &Runner, world: &World) -> Result<String> {
    let names = runner.image_names();
    let name = names.first().copied().unwrap_or_default();
    if let Some(pin) = project.lock.images.get(&facts::lock_key(runner, name)) {
        return Ok(still_at(&names, pin, world)?.to_owned());
    }
    let here = Platform::here().to_string();
    let platform = runner.platform.as_deref().unwrap_or(&here);
    Ok(world.registries.resolve(&names, Some(platform))?.name)
}

fn moved(names: &[&str], pin: &PinnedImage, world: &World) -> Result<Option<String>> {
    let name = names.first().copied().unwrap_or_default();
    still_at(names, pin, world)?;
    let Ok(now) = world.registries.tag(name) else { return Ok(None) };
    let pinned = pin.tag.unwrap_or(pin.manifest);
    Ok((now != pinned).then(|| {
        format!(
            "`{name}` names another image by now ({}, pinned {}): `jheem update` pins it",
            now.short(),
            pinned.short()
        )
    }))
}

/// The first of an image's names whose registry still has what is pinned.
fn still_at<'a>(names: &[&'a str], pin: &PinnedImage, world: &World) -> Result<&'a str> {
    let name = names.first().copied().unwrap_or_default();
    let mut lost = Vec::new();
    for &one in names {
        match world.registries.has(one, pin.manifest) {
            Ok(true) => return Ok(one),
            Ok(false) => lost.push(Error::environment(format!("`{one}`: it has it no more"))),
            Err(error) => lost.push(error),
        }
    }
    let error = Error::environment(format!(
        "the image that the lock pins for `{name}` is gone: {}",
        pin.manifest
    ));
    let error = lost.iter().fold(error, Error::because);
    Err(error.hint("run `jheem update` to pin what the tag names now, or push that image again"))
}

/// Compares what must be baked into images with what is, for every runner that will be started.
pub fn check_all_baked(session: &Session<'_>, world: &World) -> Result<()> {
    let graph = &session.project.graph;
    let mut runners = BTreeSet::new();
    for target in session.selection.targets() {
        let verdict = session.board.verdict(graph, &session.selection, target);
        let runs = matches!(verdict, Verdict::Stale(_) | Verdict::Pending(_));
        let runner = graph.rule(target.rule).runner;
        if runs && !graph.runners[runner].image_has.is_empty() {
            runners.insert(runner);
        }
    }
    for index in runners {
        let runner = &graph.runners[index];
        let RunnerFact::Known { identity, manifest, .. } = &session.facts.runners[index] else {
            continue;
        };
        let id = identity.trim_start_matches("image ");
        let names = runner.image_names();
        let mut here = vec![id.to_owned()];
        for name in &names {
            if let (Some(manifest), Ok(at)) = (manifest, Reference::parse(name)) {
                here.push(at.pinned(*manifest).to_string());
            }
        }
        let on_daemon = world.containers().ok().and_then(|containers| {
            here.iter().find_map(|name| containers.image_config(name).ok().flatten())
        });
        let config = match on_daemon {
            Some(config) => config,
            None => {
                let digest = id.parse().map_err(Error::bug)?;
                world.registries.config(&names, digest)?
            }
        };
        check_baked(graph, runner, &config)?;
    }
    Ok(())
}

fn check_baked(graph: &Graph, runner: &Runner, config: &Config) -> Result<()> {
    let image = runner.image_names().first().copied().unwrap_or_default().to_owned();
    let compare = |kind: &str, wanted: &BTreeMap<String, Baked>, had: &BTreeMap<String, String>| {
        for (name, Baked { value, span }) in wanted {
            let message = match had.get(name) {
                Some(had) if had == value => continue,
                Some(had) => format!(
                    "the image `{image}` has the {kind} `{name}` = `{had}`, and `{value}` is asked for"
                ),
                None => format!(
                    "the image `{image}` has no {kind} `{name}`, and `{value}` is asked for"
                ),
            };
            return Err(Error::user(message).at(&graph.source, span.clone()).hint(
                "name the image that was built for it, or mend what is asked for; nothing was run",
            ));
        }
        Ok(())
    };
    compare("label", &runner.image_has.labels, &config.labels)?;
    compare("variable", &runner.image_has.env, &config.env)
}
