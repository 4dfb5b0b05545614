//! Everything that a command works with, put together in the one order in which it is known:
//! project, records, selection, facts, verdicts.

use std::collections::HashMap;
use std::path::Path;
use std::sync::OnceLock;

use crate::aws::Aws;
use crate::error::{Error, Result};
use crate::execute::container::Containers;
use crate::execute::daemon;
use crate::execute::process::Processes;
use crate::facts::{self, Image, Images, Observe, Observed, Snapshot};
use crate::graph::Graph;
use crate::job::{Executor, Stop};
use crate::memo::Entry;
use crate::objects::Objects;
use crate::plan::{Board, Facts, Judge, Shelf};
use crate::project::Project;
use crate::records::{Key, Record, Records};
use crate::registry::logins::Logins;
use crate::registry::platform::Platform;
use crate::registry::{Registries, Resolved};
use crate::selection::Selection;
use crate::shelf::Stored;

/// Whoever carries runs out on this machine; a daemon is looked for when it is first needed.
pub struct World {
    pub programs: Processes,
    pub aws: Aws,
    pub registries: Registries,
    /// Whether a registry is asked for an image that is not on this machine.
    asks: bool,
    containers: OnceLock<std::result::Result<Containers, Error>>,
}

impl Default for World {
    fn default() -> World {
        World::new()
    }
}

impl World {
    pub fn new() -> World {
        let aws = Aws::new();
        let registries = Registries::new(aws.clone(), Logins::from_environment());
        World { programs: Processes, aws, registries, asks: false, containers: OnceLock::new() }
    }

    /// For whoever carries runs out: what is not on this machine is had from registries.
    pub fn that_pulls() -> World {
        World { asks: true, ..World::new() }
    }

    /// The daemon, or why there is none.
    pub fn containers(&self) -> std::result::Result<&Containers, Error> {
        let found = self.containers.get_or_init(|| {
            let containers = Containers::connect(&daemon::Options::from_environment())?;
            Ok(containers.pulling_with(self.registries.clone()))
        });
        found.as_ref().map_err(Clone::clone)
    }

    /// The daemon as an executor; asked only where the graph has images.
    pub fn executor(&self, graph: &Graph) -> std::result::Result<&dyn Executor, Error> {
        if !graph.runners.iter().any(|r| r.is_image()) {
            return Err(Error::environment("no runner needs a daemon"));
        }
        self.containers().map(|c| c as &dyn Executor)
    }
}

impl Images for World {
    fn id(&self, names: &[&str], platform: Option<&str>) -> Image {
        let containers = match self.containers() {
            Ok(containers) => containers,
            Err(error) => return Image::NoDaemon(error),
        };
        for name in names {
            match containers.image_id(name, platform) {
                Ok(Some(id)) => return Image::Is(id),
                Ok(None) => {}
                Err(error) => return Image::Refused(error),
            }
        }
        if !self.asks {
            return Image::Unknown(None);
        }
        let here = Platform::here().to_string();
        match self.registries.resolve(names, Some(platform.unwrap_or(&here))) {
            Ok(Resolved { name, mut platforms, .. }) => match platforms.pop_first() {
                Some((_, pinned)) => Image::Elsewhere(name, pinned),
                None => Image::Unknown(None),
            },
            Err(error) => Image::Unknown(Some(error)),
        }
    }
}

/// What is known before anything is done.
pub struct Session<'a> {
    pub project: &'a Project,
    pub selection: Selection,
    pub last: HashMap<Key, Record>,
    pub facts: Facts,
    pub snapshot: Snapshot,
    pub board: Board,
}

/// What looking came to.
pub enum Look<'a> {
    Session(Box<Session<'a>>),
    /// Somebody asked to stop; these files were hashed by then.
    Stopped(Vec<(String, Entry)>),
}

/// Looks and judges, for as long as nobody asks to stop.
///
/// `records` is what was opened for reading or for writing; none before the first build.
pub fn look<'a>(
    project: &'a Project,
    selection: Selection,
    records: Option<&Records>,
    objects: Option<&Objects>,
    images: &dyn Images,
    stop: &Stop,
) -> Result<Look<'a>> {
    let graph = &project.graph;
    let last = match records {
        Some(records) => records.all()?,
        None => HashMap::new(),
    };
    let observed = facts::observe(&Observe {
        graph,
        places: &project.places,
        lock: &project.lock,
        selection: &selection,
        last: &last,
        records,
        images,
        stop,
    })?;
    let (facts, snapshot) = match observed {
        Observed::All(all) => *all,
        Observed::Stopped(hashed) => return Ok(Look::Stopped(hashed)),
    };
    let shelf = Stored { objects };
    let judge = Judge { graph, facts: &facts, last: &last, shelf: &shelf };
    let board = judge.board(&selection, records)?;
    let session = Session { project, selection, last, facts, snapshot, board };
    Ok(Look::Session(Box::new(session)))
}

impl Session<'_> {
    pub fn judge<'s>(&'s self, shelf: &'s dyn Shelf) -> Judge<'s> {
        Judge { graph: &self.project.graph, facts: &self.facts, last: &self.last, shelf }
    }
}

/// The objects of a cache folder that exists; none before the first build.
pub fn objects_there(cache: &Path) -> Option<Objects> {
    cache.join("objects").is_dir().then(|| Objects::read_only(cache))
}
