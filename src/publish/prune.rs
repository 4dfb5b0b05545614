//! Removing what no target publishes any more, in the order that never shows a reader a row without its object.
//!
//! 1. The intent is written: what is about to be removed. A publish that finds it looks whether that still stands.
//! 2. Rows, and then their lines of the manifest.
//! 3. Objects, an index before the edition that it names, and then their lines of the manifest.
//! 4. The distribution before a bucket is told what went; last goes what the manifest itself has left over.
//!
//! Only what stands as it was published is removed. A line goes after the thing that it speaks of, so that a kill
//! anywhere leaves at most lines of what is gone, which the next prune removes.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::digest::Digest;
use crate::error::Result;

use super::attribute::Attribute;
use super::destination::Destination;
use super::edition;
use super::invalidation::Invalidation;
use super::manifest::{ObjectEntry, RowEntry};
use super::place::{Place, Removal};
use super::plan::{self, There};
use super::wanted::{Declared, RowKey};

/// What would be removed from one destination.
#[derive(Clone, Debug, Default)]
pub struct Doomed {
    pub objects: Vec<(String, ObjectEntry)>,
    pub rows: Vec<(RowKey, RowEntry)>,
    /// Objects that nothing publishes any more, and of which a row that stays still speaks.
    pub spoken_of: Vec<String>,
    /// How many objects or rows the manifest holds in all.
    pub holds: usize,
}

impl Doomed {
    pub fn len(&self) -> usize {
        self.objects.len() + self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many of them a rollback put back, to be held.
    pub fn held(&self) -> usize {
        self.objects.iter().filter(|(_, entry)| entry.held).count()
            + self.rows.iter().filter(|(_, entry)| entry.held).count()
    }
}

/// What was removed, and what was not.
#[derive(Clone, Debug, Default)]
pub struct Pruned {
    pub objects: usize,
    pub rows: usize,
    /// Texts of manifests that nothing names any more.
    pub texts: usize,
    /// Paths that the distribution was told to forget.
    pub paths: usize,
    /// What stays: the destination, the key and why.
    pub kept: Vec<(Destination, String, &'static str)>,
}

const WRITTEN_OVER: &str = "it was written over by something other than jheem";
const ROW_KEPT: &str = "the row that speaks of it stays";

/// What no target publishes any more, for each destination.
pub fn doomed(
    destinations: &[Destination],
    there: &[There],
    declared: &Declared<'_>,
) -> Vec<Doomed> {
    // Rows that stay, by the bytes of the object that they register.
    let mut staying: BTreeMap<Digest, Vec<RowEntry>> = BTreeMap::new();
    let mut kept_bytes: HashSet<Digest> = HashSet::new();
    let mut all: Vec<Doomed> = Vec::new();
    for (destination, there) in destinations.iter().zip(there) {
        let mut doomed = Doomed::default();
        match there {
            There::Objects(there) => {
                for (key, entry) in there.published() {
                    doomed.holds += 1;
                    match (declared.object)(destination, &key) {
                        true => drop(kept_bytes.insert(entry.bytes)),
                        false => doomed.objects.push((key, entry)),
                    }
                }
            }
            There::Rows(there) => {
                for (key, entry) in there.published() {
                    doomed.holds += 1;
                    match (declared.row)(destination, &key) {
                        true => {
                            if let Some(object) = entry.object {
                                staying.entry(object).or_default().push(entry);
                            }
                        }
                        false => doomed.rows.push((key, entry)),
                    }
                }
            }
        }
        all.push(doomed);
    }
    for (doomed, destination) in all.iter_mut().zip(destinations) {
        // A row that was not published again since its object got another key still speaks of the old one.
        let spoken_of = |key: &str, entry: &ObjectEntry| {
            staying.get(&entry.bytes).is_some_and(|rows| {
                !kept_bytes.contains(&entry.bytes)
                    || rows.iter().any(|row| names(row, destination, key))
            })
        };
        let (spoken_of, objects) = std::mem::take(&mut doomed.objects)
            .into_iter()
            .partition(|(key, entry)| spoken_of(key, entry));
        doomed.objects = objects;
        let spoken_of: Vec<(String, ObjectEntry)> = spoken_of;
        doomed.spoken_of = spoken_of.into_iter().map(|(key, _)| key).collect();
    }
    all
}

/// Whether a row's item holds an object's whole key, alone or as the path of an address.
///
/// Readers may have it without the first folders of the destination's prefix.
pub fn names(row: &RowEntry, destination: &Destination, key: &str) -> bool {
    let (whole, url) = (destination.full_key(key), destination.object_url(key));
    let is_key = |path: &str| {
        let above = whole.strip_suffix(path);
        path.len() >= key.len() && above.is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
    };
    let path = |text: &str| {
        let address = text.split_once("://").and_then(|(_, rest)| rest.split_once('/'));
        address.map(|(_, path)| path.to_owned())
    };
    let mut found = false;
    let mut see = |text: &String| {
        let plain = text.strip_prefix('/').unwrap_or(text);
        found |= *text == url || is_key(plain) || path(text).is_some_and(|path| is_key(&path));
    };
    row.item.values().chain(row.uncompared.values()).for_each(|value: &Attribute| {
        value.each_text(&mut see);
    });
    found
}

/// Removes it; all in the order of the destinations.
pub fn prune(
    owner: &str,
    destinations: &[Destination],
    places: &[Place],
    there: &[There],
    doomed: &[Doomed],
    invalidation: Option<&Invalidation>,
) -> Result<Pruned> {
    let mut pruned = Pruned::default();
    let all = || destinations.iter().zip(places).zip(there).zip(doomed);
    let mut begun = Vec::new();
    for (((destination, place), there), doomed) in all() {
        let (Place::Objects(place), There::Objects(there)) = (place, there) else { continue };
        let unfinished = there.intent.is_some();
        // A ledger may have texts left over also where nothing is to be removed.
        let swept = !destination.is_local() && doomed.holds > 0;
        let owes = plan::owes(invalidation, there);
        if doomed.is_empty() && !unfinished && !swept && !owes {
            continue;
        }
        let left = there.recovered.iter().map(|(key, entry)| (key.clone(), entry.clone()));
        let intent: Vec<_> = left.chain(doomed.objects.iter().cloned()).collect();
        let mut publish = place.begin(there, &intent)?;
        if let Some(to) = invalidation {
            let keys: Vec<&str> = doomed.objects.iter().map(|(key, _)| key.as_str()).collect();
            publish.owe(to, &keys)?;
        }
        begun.push((destination, publish, there, doomed));
    }
    let mut kept_rows: HashSet<Digest> = HashSet::new();
    for (((destination, place), there), doomed) in all() {
        let (Place::Rows(place), There::Rows(there)) = (place, there) else { continue };
        let swept = !destination.is_local() && doomed.holds > 0;
        if doomed.is_empty() && !swept {
            continue;
        }
        let mut told = |index: usize, removal| match removal {
            Removal::Gone => pruned.rows += 1,
            Removal::Kept => {
                let (key, entry) = &doomed.rows[index];
                kept_rows.extend(entry.object);
                pruned.kept.push((destination.clone(), key.to_string(), WRITTEN_OVER));
            }
        };
        pruned.texts += place.remove(owner, there, &doomed.rows, &mut told)?;
    }
    for (destination, publish, there, doomed) in &mut begun {
        let (held, going): (Vec<_>, Vec<_>) =
            doomed.objects.iter().cloned().partition(|(_, entry)| kept_rows.contains(&entry.bytes));
        let kept = held.into_iter().map(|(key, _)| ((*destination).clone(), key, ROW_KEPT));
        pruned.kept.extend(kept);
        let mut gone = BTreeSet::new();
        let (indexes, others): (Vec<_>, Vec<_>) =
            going.into_iter().partition(|(_, entry)| edition::named(entry).is_some());
        for going in [indexes, others] {
            let mut told = |index: usize, removal| {
                let key: String = going[index].0.clone();
                match removal {
                    Removal::Gone => drop(gone.insert(key)),
                    Removal::Kept => pruned.kept.push(((*destination).clone(), key, WRITTEN_OVER)),
                }
            };
            publish.remove(&going, &mut told)?;
        }
        pruned.objects += gone.len();
        publish.commit(&there.recovered, &gone)?;
    }
    let mut told = Ok(());
    for (_, publish, ..) in &mut begun {
        match invalidation.map_or(Ok(0), |to| publish.invalidate(to)) {
            Ok(paths) => pruned.paths += paths,
            Err(error) => told = Err(error),
        }
    }
    for (_, mut publish, ..) in begun {
        pruned.texts += publish.sweep()?;
        publish.finish()?;
    }
    told.map(|()| pruned)
}
