//! Comparing a destination with its manifest and with the whole declared graph.
//!
//! Only tells what differs: what to do about it is for a person, or for the next publish.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::Result;

use super::destination::Destination;
use super::place::{DriftKind, Place};
use super::plan::{There, orphans};
use super::wanted::Declared;

/// A difference between a destination and what should be there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Drift {
    pub destination: Destination,
    pub key: String,
    pub kind: DriftKind,
}

/// Compares everything that the owner published at this place with what is there, bytes and items; sorted by key.
pub fn verify(
    owner: &str,
    destination: &Destination,
    place: &Place,
    declared: &Declared<'_>,
) -> Result<Vec<Drift>> {
    let drift = |key: String, kind| Drift { destination: destination.clone(), key, kind };
    let (there, found): (There, Vec<_>) = match place {
        Place::Objects(place) => {
            let there = place.read(owner, &BTreeMap::new())?;
            let found = place.drift(&there)?;
            (There::Objects(there), found)
        }
        Place::Rows(place) => {
            let there = place.read(owner, &BTreeMap::new())?;
            let found = place.drift(&there)?;
            let found = found.into_iter().map(|(key, kind)| (key.to_string(), kind)).collect();
            (There::Rows(there), found)
        }
    };
    let orphaned: BTreeSet<String> =
        orphans(destination, &there, declared).into_iter().map(|orphan| orphan.key).collect();
    // What nothing publishes any more is never put back, so that it differs as well says nothing.
    let mut all: Vec<Drift> = found
        .into_iter()
        .filter(|(key, _)| !orphaned.contains(key))
        .map(|(key, kind)| drift(key, kind))
        .collect();
    all.extend(orphaned.into_iter().map(|key| drift(key, DriftKind::Orphaned)));
    if there.is_empty() && (declared.any)(destination) {
        all.push(drift(String::new(), DriftKind::Unpublished));
    }
    all.sort();
    Ok(all)
}
