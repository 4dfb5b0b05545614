//! What each subcommand does: short, since everything it needs stands below.

use crate::cli::{Global, Select};
use crate::error::{Error, Result};
use crate::job::Stop;
use crate::objects::Objects;
use crate::project::{self, Project};
use crate::records::Records;
use crate::selection::{self, Request, Selection};
use crate::session::{self, Look, Session, World};

pub mod asking;
pub mod building;
pub mod doctor;
pub mod housekeeping;
mod images;
pub mod mending;
pub mod remote;
mod stopping;
pub mod trace;
pub mod updating;

type Outcomes = Result<u8, Vec<Error>>;

const WELL: u8 = 0;
const FAILED: u8 = 1;

fn one(error: Error) -> Vec<Error> {
    vec![error]
}

fn open(global: &Global) -> Result<Project, Vec<Error>> {
    project::open(global.file.as_deref(), global.profile.as_deref())
}

/// What is asked for, and what is published before it.
fn select(project: &Project, select: &Select) -> Result<Selection, Vec<Error>> {
    selection::select(&project.graph, &request(project, select))
}

/// The same for what mends: of publishes just those that are named.
fn select_to_mend(project: &Project, select: &Select) -> Result<Selection, Vec<Error>> {
    selection::mending(&project.graph, &request(project, select))
}

/// What is asked for, by goals as they are typed in the folder that jheem was started in.
fn request(project: &Project, select: &Select) -> Request {
    let mut request = select.request(&project.here);
    let root = project.places.root.canonicalize().unwrap_or_default();
    for goal in &mut request.goals {
        // From the project's folder on, an absolute path is one of its own.
        if let Some(rest) =
            std::path::Path::new(goal).strip_prefix(&root).ok().and_then(|p| p.to_str())
        {
            *goal = format!("/{rest}");
        }
    }
    request
}

/// Refuses what narrows to values, where whole destinations are meant: passed over, it would mean more than was asked for.
fn refuse_narrowed(select: &Select, command: &str) -> Result<(), Vec<Error>> {
    let narrowing = match (select.filters.is_empty(), select.presets.is_empty()) {
        (false, _) => "--where",
        (true, false) => "--preset",
        (true, true) => return Ok(()),
    };
    let what = format!(
        "`jheem {command}` is about whole destinations, and `{narrowing}` cannot narrow it"
    );
    Err(one(Error::user(what)
        .because("nothing was done")
        .hint(format!("leave it out, or name a publish: `jheem {command} publish.NAME`"))))
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

    fn select(&self, chosen: &Select) -> Result<Selection, Vec<Error>> {
        select(&self.project, chosen)
    }

    fn look(&self, selection: Selection, world: &World) -> Result<Session<'_>, Vec<Error>> {
        let (records, objects) = (self.records.as_ref(), self.objects.as_ref());
        // Nothing is done here that Ctrl-C must not cut off as it is.
        let stop = Stop::default();
        match session::look(&self.project, selection, records, objects, world, &stop) {
            Ok(Look::Session(session)) => Ok(*session),
            Ok(Look::Stopped(_)) => Err(one(Error::bug("looking was stopped by nobody"))),
            Err(error) => Err(one(match records.and_then(Records::damage) {
                Some(problem) => error
                    .because(problem)
                    .hint("run `jheem build`: it sets damaged records aside and begins anew"),
                None => error,
            })),
        }
    }
}
