//! `doctor`: tries, before any work, all that a project needs around it.
//!
//! Every trial is harmless; what cannot be tried harmlessly is said to be untried.

use std::path::Path;

use super::{FAILED, Outcomes, WELL, images, one, open};
use crate::cli::Global;
use crate::ends::Ends;
use crate::error::Error;
use crate::facts;
use crate::figures::bytes;
use crate::graph::{Runner, Start};
use crate::machine;
use crate::objects::Objects;
use crate::project::Project;
use crate::report::Report;
use crate::report::answer::{Condition, Holds};
use crate::session::World;
use crate::source::{Location, Sources};

mod account;

/// Less room than this is too little for any build.
const LEAST_ROOM: u64 = 1 << 30;

pub fn doctor(global: &Global, report: &mut Report) -> Outcomes {
    let project = open(global)?;
    let ends = Ends::of(&project.graph).map_err(one)?;
    let world = World::new();
    let mut all = Vec::new();
    runners(&project, &world, &mut all);
    memory(&project, &mut all);
    room(&project, &mut all);
    pins(&project, &mut all);
    sources(&project, &world, &mut all);
    account::conditions(&project.graph.project, &ends, &world.aws, &mut all);
    report.conditions(&all);
    Ok(if all.iter().any(|c| c.holds == Holds::No) { FAILED } else { WELL })
}

/// Something that holds.
fn holds(what: &'static str, about: impl Into<String>, said: impl Into<String>) -> Condition {
    Condition { what, about: about.into(), holds: Holds::Yes, said: said.into(), hints: Vec::new() }
}

/// Something that was not tried, for this reason.
fn untried(what: &'static str, about: impl Into<String>, why: impl Into<String>) -> Condition {
    Condition { holds: Holds::Untried, ..holds(what, about, why) }
}

/// Something that does not hold, because of this.
fn fails(what: &'static str, about: impl Into<String>, error: &Error) -> Condition {
    let because = error.causes.first().map(|cause| format!(": {cause}")).unwrap_or_default();
    let said = format!("{}{because}", error.message);
    Condition { holds: Holds::No, hints: error.hints.clone(), ..holds(what, about, said) }
}

fn runners(project: &Project, world: &World, all: &mut Vec<Condition>) {
    let graph = &project.graph;
    if graph.runners.iter().any(|runner| runner.is_image()) {
        match world.containers() {
            Ok(containers) => all.push(holds("daemon", "", containers.daemon())),
            Err(error) => all.push(fails("daemon", "", &error)),
        }
    }
    for runner in &graph.runners {
        match &runner.start {
            Start::Image(name) => {
                all.push(image(project, runner, name, world));
            }
            Start::Program(program) => all.push(match found(&project.places.root, program) {
                true => holds("program", program, "is there"),
                false => fails(
                    "program",
                    program,
                    &Error::environment(format!("runner `{}` does not find it", runner.name))
                        .hint("install it, or name it by its path in the project"),
                ),
            }),
            // A step of the project makes it.
            Start::Built { .. } => {}
        }
    }
}

/// Whether the daemon has the image that a build would run, or else a registry, from which a build pulls it.
fn image(project: &Project, runner: &Runner, name: &str, world: &World) -> Condition {
    let Ok(containers) = world.containers() else {
        return untried("image", name, "no daemon answers");
    };
    let pin = project.lock.images.get(&facts::lock_key(runner, name));
    let pinned = pin.map(|pin| pin.config.to_string());
    match containers.image_id(pinned.as_deref().unwrap_or(name), runner.platform.as_deref()) {
        Ok(Some(id)) => holds("image", name, id),
        Ok(None) => match images::pulled_from(project, runner, world) {
            Ok(from) => holds("image", name, format!("will be pulled from `{from}`")),
            Err(error) => {
                let message = "the daemon does not have it, and it cannot be pulled".to_owned();
                let causes = vec![error.message.clone()];
                let error = Error { message, causes, ..error };
                fails("image", name, &error.hint("or build it on this machine"))
            }
        },
        Err(error) => fails("image", name, &error),
    }
}

/// Whether a program is in the project, or on the path if its name has no folder.
fn found(root: &Path, program: &str) -> bool {
    if program.contains('/') {
        return root.join(program).is_file();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn memory(project: &Project, all: &mut Vec<Condition>) {
    let there = machine::memory();
    for runner in &project.graph.runners {
        let Some(needed) = runner.memory else { continue };
        let said = format!("a run may take {} of {}", bytes(needed), bytes(there));
        all.push(match needed <= there {
            true => holds("memory", &runner.name, said),
            false => fails(
                "memory",
                &runner.name,
                &Error::environment(said)
                    .hint("give the machine (or Docker Desktop's) more memory, or lower `memory` of the runner"),
            ),
        });
    }
}

/// Whether the lock says of every remote input what it is.
fn pins(project: &Project, all: &mut Vec<Condition>) {
    let graph = &project.graph;
    let (mut pinned, mut unpinned) = (0, Vec::new());
    for (index, input) in graph.inputs.iter().enumerate() {
        for source in (0..input.space.cells()).filter_map(|cell| graph.input_source(index, cell)) {
            match project.lock.inputs.contains_key(&source) {
                true => pinned += 1,
                false => unpinned.push(source),
            }
        }
    }
    let about = project.lock_file.display().to_string();
    match unpinned.first() {
        None if pinned == 0 => {}
        None => all.push(holds("lock", about, format!("pins all {pinned} remote inputs"))),
        Some(first) => {
            let lacking = unpinned.len();
            let said = format!("does not pin {lacking} of {} remote inputs", pinned + lacking);
            let error = Error::environment(said).because(format!("such as `{first}`"));
            all.push(fails("lock", about, &error.hint("run `jheem update`")));
        }
    }
}

/// Looks at the first cell's file of each input that comes from elsewhere than a bucket.
fn sources(project: &Project, world: &World, all: &mut Vec<Condition>) {
    let graph = &project.graph;
    let sources = Sources::new(&project.places.root, world.aws.clone());
    for index in 0..graph.inputs.len() {
        let Some(url) = graph.input_source(index, 0) else { continue };
        let location = match Location::parse(&url) {
            Ok(Location::S3 { .. }) => continue,
            Ok(location) => location,
            Err(why) => {
                all.push(fails("read", &url, &Error::user(format!("the source {why}"))));
                continue;
            }
        };
        all.push(match sources.look(&location, &|| true) {
            Ok(Some(_)) => holds("read", &url, "can be read"),
            Ok(None) => fails("read", &url, &nothing_there()),
            Err(error) => fails("read", &url, &error),
        });
    }
}

fn nothing_there() -> Error {
    Error::environment("nothing is there").hint("mend `source` of the input, or put the file there")
}

/// Room for what the cache may still take.
fn room(project: &Project, all: &mut Vec<Condition>) {
    let cache = &project.places.cache;
    let about = cache.display().to_string();
    // Before the first build there is none.
    let there = cache.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("."));
    let there = if there.as_os_str().is_empty() { Path::new(".") } else { there };
    let free = match machine::room(there) {
        Ok(free) => free,
        Err(error) => {
            let error = Error::io("look at the disk of", there, &error);
            return all.push(fails("room", about, &error));
        }
    };
    let used = match Objects::read_only(cache).usage() {
        Ok(usage) => usage.bytes,
        Err(_) => 0,
    };
    let (needed, why) = match project.graph.cache_size {
        Some(size) => (size.saturating_sub(used).max(LEAST_ROOM), "the cache may take"),
        None => (LEAST_ROOM, "a build needs at least"),
    };
    let said = format!("{} free, {why} {}", bytes(free), bytes(needed));
    all.push(match needed <= free {
        true => holds("room", about, said),
        false => fails(
            "room",
            about,
            &Error::environment(said)
                .hint("free some, run `jheem cache gc`, or lower `cache_size`"),
        ),
    });
}
