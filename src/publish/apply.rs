//! Carrying a plan out, in the order that never shows a reader a row without its object.
//!
//! 1. The intent is written, so that a publish that is killed knows its own.
//! 2. All objects, at all destinations; the index of an edition when all of the edition was read back.
//! 3. All rows, each destination's with its manifest at once.
//! 4. The manifests of the objects.
//! 5. The distribution before a bucket is told what changed; then the intents are taken away.
//!
//! Killed anywhere, the next publish reads what stands, goes on, and writes nothing twice but what was in flight.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::error::Result;
use crate::moments::{self, Moment};

use super::destination::Destination;
use super::edition;
use super::manifest::{ObjectEntry, RowEntry};
use super::place::{
    Extent, ObjectPlace, ObjectPut, ObjectWrite, ObjectsThere, Place, RowPut, RowWrite, RowsThere,
};
use super::plan::{self, Action, Planned, PublishPlan, There, Why};
use super::wanted::{Role, Wanted, WantedEdition, WantedObject, WantedRow};

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
    /// A distribution is told to forget so many paths.
    Told { distribution: &'a str, paths: usize },
    /// An index names this edition now.
    Named { index: &'a str, edition: &'a str },
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
pub type Source<'a> = dyn Fn(&WantedObject) -> Result<PathBuf> + Sync + 'a;

/// Reads what is published at each destination, as far as this publish wants to know. Writes nothing.
pub fn look(wanted: &Wanted, places: &[Place]) -> Result<Vec<There>> {
    let fresh: Vec<ObjectEntry> =
        wanted.objects.par_iter().map(|object| plan::fresh(wanted, object)).collect();
    let objects = |index: usize, place: &dyn ObjectPlace, exact: &BTreeSet<&str>| {
        let all = wanted.objects.iter().zip(&fresh);
        let mine = all.filter(|(object, _)| object.destination == index);
        let destination = &wanted.destinations[index];
        // A key that cannot stand there is refused by the plan, and not looked for.
        let sound = mine.filter(|(object, _)| destination.check_key(&object.key).is_ok());
        let mine = sound.filter(|(object, _)| !exact.contains(object.key.as_str()));
        let mine = mine.map(|(object, entry)| (object.key.clone(), entry.clone()));
        place.read(&wanted.owner, &mine.collect(), Extent::Whole).map(There::Objects)
    };
    let none = BTreeSet::new();
    let mut there = Vec::with_capacity(places.len());
    for (index, place) in places.iter().enumerate() {
        there.push(match place {
            Place::Objects(place) => objects(index, &**place, &none)?,
            // Which rows must be read depends on the objects.
            Place::Rows(_) => There::Rows(RowsThere::default()),
        });
    }
    for (index, place) in places.iter().enumerate() {
        let Place::Rows(place) = place else { continue };
        let mine = wanted.rows.par_iter().filter(|row| row.destination == index);
        // One that cannot be filled in is refused by the plan.
        let mine = mine.filter_map(|row| {
            let entry = row_as(wanted, row, &fresh)?;
            let object = row.object.map(|object| &wanted.objects[object]);
            let renewed = object.is_some_and(|o| plan::puts_bytes(o, &there[o.destination]));
            Some((row.key.clone(), (!renewed).then_some(entry)))
        });
        let mine: Vec<_> = mine.collect();
        let mine = mine.into_iter().collect();
        there[index] = There::Rows(place.read(&wanted.owner, &mine)?);
    }
    for (index, place) in places.iter().enumerate() {
        let Place::Objects(place) = place else { continue };
        let exact = spoken_of(wanted, &there, index, &fresh);
        if !exact.is_empty() {
            there[index] = objects(index, &**place, &exact)?;
        }
    }
    Ok(there)
}

/// A row as it would be with its object as it was built.
fn row_as(wanted: &Wanted, row: &WantedRow, fresh: &[ObjectEntry]) -> Option<RowEntry> {
    let object = row.object.map(|at| (&wanted.objects[at], &fresh[at]));
    plan::fresh_row(wanted, row, object).ok()
}

/// The objects of which only the content is known, and of which rows that are not there as wanted speak.
///
/// A row tells the size and the digest of the bytes that stand there, so those must be known.
fn spoken_of<'w>(
    wanted: &'w Wanted,
    there: &[There],
    destination: usize,
    fresh: &[ObjectEntry],
) -> BTreeSet<&'w str> {
    let There::Objects(objects) = &there[destination] else { return BTreeSet::new() };
    if objects.assumed.is_empty() {
        return BTreeSet::new();
    }
    let rows = wanted.rows.iter().filter_map(|row| {
        let object = &wanted.objects[row.object?];
        let of_here = object.destination == destination && objects.assumed.contains(&object.key);
        let There::Rows(rows) = &there[row.destination] else { return None };
        let as_built = row_as(wanted, row, fresh)?;
        let known = rows.entries.get(&row.key);
        let same = known
            .is_some_and(|known| known.item == as_built.item && known.object == as_built.object);
        (of_here && !same).then_some(object.key.as_str())
    });
    rows.collect()
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
    on_event(Event::Started { objects: uploads, rows, bytes: plan.counts(wanted).bytes });

    // Contents are read again before anything is begun, so that nothing waits for it with a lease held.
    let sources: Vec<Option<PathBuf>> = wanted
        .objects
        .par_iter()
        .zip(&plan.objects)
        .map(|(object, planned)| {
            let reads = planned.writes_bytes() && object.copied.is_none();
            reads.then(|| source(object)).transpose()
        })
        .collect::<Result<_>>()?;
    let mut begun = Vec::new();
    for (index, (place, there)) in places.iter().zip(there).enumerate() {
        let (Place::Objects(place), There::Objects(there)) = (place, there) else { continue };
        let destination = &wanted.destinations[index];
        let mine = objects_of(wanted, plan, &sources, index);
        if mine.is_empty()
            && there.intent.is_none()
            && !plan::owes(wanted.invalidation.as_ref(), there)
        {
            continue;
        }
        let changed = changed_entries(there, &mine);
        // What was left by a killed publish stays known, whichever of the two stands in the end.
        let left = there.recovered.iter();
        let next = mine.iter().map(|(object, planned, _)| (&object.key, &planned.entry));
        let intent: Vec<_> =
            left.chain(next).map(|(key, entry)| (key.clone(), entry.clone())).collect();
        let mut publish = place.begin(there, &intent)?;
        if let Some(to) = &wanted.invalidation {
            let written = mine.iter().filter(|(_, planned, _)| writes(planned));
            let written = written.filter(|(object, ..)| wanted.is_told(object));
            let keys: Vec<&str> = written.map(|(object, ..)| object.key.as_str()).collect();
            publish.owe(to, &keys)?;
        }
        moments::pass(Moment::Intended);
        on_event(Event::Intended { destination });
        begun.push((index, publish, mine, changed));
    }
    for last in [false, true] {
        for (index, publish, mine, _) in &mut begun {
            let mine = mine.iter().filter(|(object, planned, _)| {
                (object.role == Role::Index) == last && writes(*planned)
            });
            let mine: Vec<_> = mine.collect();
            if mine.is_empty() {
                continue;
            }
            if let Some(edition) = wanted.edition_at(*index).filter(|_| last) {
                publish.read_back(&edition.name, &all_of(edition, wanted, plan))?;
                moments::pass(Moment::ReadBack);
            }
            let puts: Vec<_> = mine.iter().map(|mine| put(mine)).collect();
            let placed = &mut |index: usize| {
                let (object, planned, _) = mine[index];
                let bytes = plan::uploaded(object, planned);
                match planned.writes_bytes() {
                    true => done.objects += 1,
                    false => done.headers += 1,
                }
                done.bytes += bytes;
                on_event(Event::Object { target: &object.target, key: &object.key, bytes });
            };
            publish.put(&puts, placed, &mut || Ok(()))?;
            if let Some(edition) = wanted.edition_at(*index).filter(|_| last) {
                for (object, ..) in mine {
                    on_event(Event::Named { index: &object.key, edition: &edition.name });
                }
            }
        }
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
                RowPut { key: &row.key, entry: &planned.entry, write, alone: row.alone }
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
    for (index, publish, _, changed) in &mut begun {
        publish.commit(changed, &BTreeSet::new())?;
        on_event(Event::Committed { destination: &wanted.destinations[*index] });
    }
    let mut told = Ok(());
    if let Some(to) = &wanted.invalidation {
        moments::pass(Moment::Telling);
        for (_, publish, ..) in &mut begun {
            match publish.invalidate(to) {
                Ok(0) => {}
                Ok(paths) => on_event(Event::Told { distribution: &to.distribution, paths }),
                Err(error) => told = Err(error),
            }
        }
    }
    // All is written, so the place is free for others; what is still owed is remembered.
    for (index, publish, ..) in begun {
        publish.finish()?;
        on_event(Event::Finished { destination: &wanted.destinations[index] });
    }
    told.map(|()| done)
}

/// All objects of an edition, with their entries as they are planned.
fn all_of<'a>(
    edition: &'a WantedEdition,
    wanted: &'a Wanted,
    plan: &'a PublishPlan,
) -> Vec<(&'a str, &'a ObjectEntry)> {
    let standing = edition.standing.iter().map(|(key, entry)| (key.as_str(), entry));
    let mut all: BTreeMap<&str, &ObjectEntry> = standing.collect();
    let planned = wanted.objects.iter().zip(&plan.objects);
    let inside = planned.filter(|(object, _)| {
        object.destination == edition.destination && object.role != Role::Index
    });
    let inside = inside.filter(|(object, _)| edition::holds(&edition.name, &object.key));
    all.extend(inside.map(|(object, planned)| (object.key.as_str(), &planned.entry)));
    all.into_iter().collect()
}

/// How an object is written.
fn put<'a>(
    (object, planned, source): &(&'a WantedObject, &'a Planned<ObjectEntry>, Option<&'a Path>),
) -> ObjectPut<'a> {
    let write = match (source, &object.copied) {
        (Some(path), _) if is_new(&planned.action) => ObjectWrite::Create(path),
        (Some(path), _) => ObjectWrite::Replace(path),
        (None, Some((from, version))) if planned.writes_bytes() => {
            ObjectWrite::Copy(from, version.as_deref())
        }
        (None, _) => ObjectWrite::Headers,
    };
    ObjectPut { key: &object.key, entry: &planned.entry, write }
}

type Mine<'a> = Vec<(&'a WantedObject, &'a Planned<ObjectEntry>, Option<&'a Path>)>;

/// The objects of one destination that have work.
fn objects_of<'a>(
    wanted: &'a Wanted,
    plan: &'a PublishPlan,
    sources: &'a [Option<PathBuf>],
    index: usize,
) -> Mine<'a> {
    let all = wanted.objects.iter().zip(&plan.objects).zip(sources);
    let all = all.map(|((object, planned), source)| (object, planned, source.as_deref()));
    all.filter(|(object, planned, _)| object.destination == index && planned.is_work()).collect()
}

/// The entries that the manifest of one destination gets.
fn changed_entries(there: &ObjectsThere, mine: &Mine<'_>) -> BTreeMap<String, ObjectEntry> {
    let mut changed = there.recovered.clone();
    changed.extend(
        mine.iter().map(|(object, planned, _)| (object.key.clone(), planned.entry.clone())),
    );
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
