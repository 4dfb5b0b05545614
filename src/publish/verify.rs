//! Comparing a destination with its manifest and with the whole declared graph.
//!
//! Only tells what differs: what to do about it is for a person, for `repair`, or for the next publish.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::Result;

use super::destination::Destination;
use super::place::{Depth, DriftKind, Extent, Place};
use super::plan::{There, orphans};
use super::wanted::{Declared, RowKey};

/// A difference between a destination and what should be there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Drift {
    pub destination: Destination,
    pub key: String,
    pub kind: DriftKind,
}

/// What is published at a destination, and in what that differs from what stands there.
pub struct Examined {
    pub there: There,
    /// Of a place of objects.
    pub objects: Vec<(String, DriftKind)>,
    /// Of a place of rows.
    pub rows: Vec<(RowKey, DriftKind)>,
}

/// What the owner published at this place.
pub fn there(owner: &str, place: &Place) -> Result<There> {
    Ok(match place {
        Place::Objects(place) => {
            There::Objects(place.read(owner, &BTreeMap::new(), Extent::Whole)?)
        }
        Place::Rows(place) => There::Rows(place.read(owner, &BTreeMap::new())?),
    })
}

/// Compares everything that the owner published at this place with what is there, bytes and items.
pub fn examine(owner: &str, place: &Place, depth: Depth) -> Result<Examined> {
    let (mut objects, mut rows) = (Vec::new(), Vec::new());
    let there = match place {
        Place::Objects(place) => {
            let there = place.read(owner, &BTreeMap::new(), Extent::Whole)?;
            objects = place.drift(&there, depth)?;
            There::Objects(there)
        }
        Place::Rows(place) => {
            let there = place.read(owner, &BTreeMap::new())?;
            rows = place.drift(&there)?;
            There::Rows(there)
        }
    };
    Ok(Examined { there, objects, rows })
}

impl Examined {
    /// All that differs from what should be there, sorted by key.
    pub fn drift(&self, destination: &Destination, declared: &Declared<'_>) -> Vec<Drift> {
        let drift = |key: String, kind| Drift { destination: destination.clone(), key, kind };
        let orphans = orphans(destination, &self.there, declared);
        let orphaned: BTreeSet<String> = orphans.into_iter().map(|orphan| orphan.key).collect();
        let objects = self.objects.iter().map(|(key, kind)| (key.clone(), kind));
        let found = objects.chain(self.rows.iter().map(|(key, kind)| (key.to_string(), kind)));
        // What nothing publishes any more is never put back, so that it differs as well says nothing.
        let mut all: Vec<Drift> = found
            .filter(|(key, _)| !orphaned.contains(key))
            .map(|(key, kind)| drift(key, kind.clone()))
            .collect();
        all.extend(orphaned.into_iter().map(|key| drift(key, DriftKind::Orphaned)));
        if self.there.is_empty() && (declared.any)(destination) {
            all.push(drift(String::new(), DriftKind::Unpublished));
        }
        all.sort();
        all
    }
}
