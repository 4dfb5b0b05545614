//! Carrying a plan out, in the order that never shows a reader a row without its object.
//!
//! 1. The intent is written, so that a publish that is killed knows its own.
//! 2. All objects, at all destinations.
//! 3. All rows, each destination's with its manifest at once.
//! 4. The manifests of the objects; then the intents are taken away.
//!
//! Killed anywhere, the next publish reads what stands, goes on, and writes nothing twice but what was in flight.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::error::Result;
use crate::moments::{self, Moment};

use super::destination::Destination;
use super::manifest::ObjectEntry;
use super::place::{ObjectPut, ObjectWrite, ObjectsThere, Place, RowPut, RowWrite};
use super::plan::{self, Action, Planned, PublishPlan, There, Why};
use super::wanted::{Wanted, WantedObject, WantedRow};

/// What happened, in the order in which it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// How much there is to do. Comes first, unless there is nothing.
    Started { objects: usize, rows: usize, bytes: u64 },
    /// What is about to be put is written down at this destination.
    Intended { destination: &'a Destination },
    /// An object, or its headers, stands.
    Object { target: &'a str, key: &'a str, bytes: u64 },
    /// So many more rows stand at this destination.
    Rows { destination: &'a Destination, rows: usize },
    /// The manifest of the objects of this destination stands.
    Committed { destination: &'a Destination },
    /// This destination is done.
    Finished { destination: &'a Destination },
}

/// How much was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Objects whose bytes were written.
    pub objects: usize,
    /// Objects of which only the headers were written.
    pub headers: usize,
    pub rows: usize,
    /// Bytes of objects.
    pub bytes: u64,
}

/// Tells the file that has the bytes of an object.
pub type Source<'a> = dyn Fn(&WantedObject) -> Result<PathBuf> + 'a;

/// Reads what is published at each destination, as far as this publish wants to know. Writes nothing.
pub fn look(wanted: &Wanted, places: &[Place]) -> Result<Vec<There>> {
    let fresh: Vec<ObjectEntry> =
        wanted.objects.iter().map(|object| plan::fresh(wanted, object)).collect();
    let mut there = Vec::new();
    for (index, place) in places.iter().enumerate() {
        there.push(match place {
            Place::Objects(place) => {
                let all = wanted.objects.iter().zip(&fresh);
                let mine = all.filter(|(object, _)| object.destination == index);
                let destination = &wanted.destinations[index];
                // A key that cannot stand there is refused by the plan, and not looked for.
                let sound = mine.filter(|(object, _)| destination.check_key(&object.key).is_ok());
                let mine = sound.map(|(object, entry)| (object.key.clone(), entry.clone()));
                There::Objects(place.read(&wanted.owner, &mine.collect())?)
            }
            Place::Rows(place) => {
                let mine = wanted.rows.iter().filter(|row| row.destination == index);
                let entry = |row: &WantedRow| {
                    let object = row.object.map(|at| (&wanted.objects[at], &fresh[at]));
                    plan::fresh_row(wanted, row, object)
                };
                // One that cannot be filled in is refused by the plan.
                let mine = mine.filter_map(|row| Some((row.key.clone(), entry(row).ok()?)));
                There::Rows(place.read(&wanted.owner, &mine.collect())?)
            }
        });
    }
    Ok(there)
}

/// Carries the plan out. `places` and `there` are in the order of `Wanted::destinations`.
///
/// A plan that refuses anything is refused whole; one with nothing to do writes nothing at all.
pub fn apply(
    wanted: &Wanted,
    places: &[Place],
    there: &[There],
    plan: &PublishPlan,
    source: &Source<'_>,
    on_event: &mut dyn FnMut(Event<'_>),
) -> Result<Done> {
    if let [first, rest @ ..] = plan.refused.as_slice() {
        let mut error = first.clone();
        if !rest.is_empty() {
            error = error.because(format!("and {} more are refused", rest.len()));
        }
        return Err(error);
    }
    let mut done = Done::default();
    if plan.is_empty() {
        return Ok(done);
    }
    let uploads = plan.objects.iter().filter(|planned| writes(planned)).count();
    let rows = plan.rows.iter().filter(|planned| writes(planned)).count();
    on_event(Event::Started { objects: uploads, rows, bytes: plan.counts().bytes });

    let mut begun = Vec::new();
    for (index, (place, there)) in places.iter().zip(there).enumerate() {
        let (Place::Objects(place), There::Objects(there)) = (place, there) else { continue };
        let destination = &wanted.destinations[index];
        let mine = objects_of(wanted, plan, index);
        if mine.is_empty() && there.intent.is_none() {
            continue;
        }
        let changed = changed_entries(there, &mine);
        // What was left by a killed publish stays known, whichever of the two stands in the end.
        let left = there.recovered.iter();
        let next = mine.iter().map(|(object, planned)| (&object.key, &planned.entry));
        let intent: Vec<_> =
            left.chain(next).map(|(key, entry)| (key.clone(), entry.clone())).collect();
        let publish = place.begin(there, &intent)?;
        moments::pass(Moment::Intended);
        on_event(Event::Intended { destination });
        begun.push((destination, publish, mine, changed));
    }
    for (_, publish, mine, _) in &mut begun {
        let mine: Vec<_> = mine.iter().filter(|(_, planned)| writes(*planned)).collect();
        let sources: Vec<Option<PathBuf>> = mine
            .iter()
            .map(|(object, planned)| planned.writes_bytes().then(|| source(object)).transpose())
            .collect::<Result<_>>()?;
        let puts = mine.iter().zip(&sources).map(|((object, planned), source)| {
            let write = match source {
                None => ObjectWrite::Headers,
                Some(path) if is_new(&planned.action) => ObjectWrite::Create(path),
                Some(path) => ObjectWrite::Replace(path),
            };
            ObjectPut { key: &object.key, entry: &planned.entry, write }
        });
        let puts: Vec<_> = puts.collect();
        publish.put(&puts, &mut |index| {
            let (object, planned) = mine[index];
            let bytes = if planned.writes_bytes() { planned.entry.size } else { 0 };
            match planned.writes_bytes() {
                true => done.objects += 1,
                false => done.headers += 1,
            }
            done.bytes += bytes;
            on_event(Event::Object { target: &object.target, key: &object.key, bytes });
        })?;
    }
    for (index, (place, there)) in places.iter().zip(there).enumerate() {
        let (Place::Rows(place), There::Rows(there)) = (place, there) else { continue };
        let mine = wanted.rows.iter().zip(&plan.rows);
        let mine = mine.filter(|(row, planned)| row.destination == index && planned.is_work());
        let puts: Vec<_> = mine
            .map(|(row, planned)| {
                let write = match planned.action {
                    Action::Create => RowWrite::Create,
                    Action::Note => RowWrite::Note,
                    _ => RowWrite::Replace,
                };
                RowPut { key: &row.key, entry: &planned.entry, write }
            })
            .collect();
        if puts.is_empty() && !there.unfinished {
            continue;
        }
        place.publish(&wanted.owner, there, &puts, &mut |rows| {
            done.rows += rows;
            on_event(Event::Rows { destination: &wanted.destinations[index], rows });
        })?;
    }
    moments::pass(Moment::Committed);
    for (destination, publish, _, changed) in &mut begun {
        publish.commit(changed)?;
        on_event(Event::Committed { destination });
    }
    for (destination, publish, ..) in begun {
        publish.finish()?;
        on_event(Event::Finished { destination });
    }
    Ok(done)
}

type Mine<'a> = Vec<(&'a WantedObject, &'a Planned<ObjectEntry>)>;

/// The objects of one destination that have work.
fn objects_of<'a>(wanted: &'a Wanted, plan: &'a PublishPlan, index: usize) -> Mine<'a> {
    let all = wanted.objects.iter().zip(&plan.objects);
    all.filter(|(object, planned)| object.destination == index && planned.is_work()).collect()
}

/// The entries that the manifest of one destination gets.
fn changed_entries(there: &ObjectsThere, mine: &Mine<'_>) -> BTreeMap<String, ObjectEntry> {
    let mut changed = there.recovered.clone();
    changed
        .extend(mine.iter().map(|(object, planned)| (object.key.clone(), planned.entry.clone())));
    changed
}

/// Whether more than the manifest is written.
fn writes<E>(planned: &Planned<E>) -> bool {
    matches!(planned.action, Action::Create | Action::Update(_))
}

/// Whether nothing may stand there yet.
fn is_new(action: &Action) -> bool {
    match action {
        Action::Create => true,
        Action::Update(why) => why.contains(&Why::Missing),
        _ => false,
    }
}
