//! What one publish wants to be at its destinations, for the targets that were selected.
//!
//! Built by the caller from the graph; knows nothing of what is there already.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::Error;

use super::attribute::{Attribute, Item};
use super::destination::Destination;
use super::edition;
use super::invalidation::Invalidation;
use super::manifest::ObjectEntry;

/// Everything that one publish wants to be there, for the selected targets.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// `project.name`: whose manifest it is.
    pub owner: String,
    /// The publish's name, for people: renaming it changes nothing that is published.
    pub publish: String,
    /// What `{now}` stands for.
    pub now: String,
    /// Where it goes; each place once. Objects and rows name theirs by its index.
    pub destinations: Vec<Destination>,
    /// Whom to tell of changed objects in buckets, once all is written.
    pub invalidation: Option<Invalidation>,
    pub objects: Vec<WantedObject>,
    pub rows: Vec<WantedRow>,
    /// The editions that the objects are, where they are such.
    pub editions: Vec<WantedEdition>,
    /// What could not be filled in: its target is not published, so nothing is.
    pub refused: Vec<Error>,
}

/// An edition that should be there, and that an index there is to name.
#[derive(Clone, Debug)]
pub struct WantedEdition {
    /// The index of its destination in `Wanted::destinations`.
    pub destination: usize,
    pub name: String,
    /// The one that the index names so far, if any.
    pub before: Option<String>,
    /// What is known to stand of it, beside the objects that are wanted.
    pub standing: BTreeMap<String, ObjectEntry>,
    /// The texts of objects that no target makes, by their digests.
    pub texts: BTreeMap<Digest, Vec<u8>>,
}

impl WantedEdition {
    /// One that is not known yet, after this one; its objects go to the first destination.
    pub fn after(before: Option<String>) -> WantedEdition {
        let (standing, texts) = (BTreeMap::new(), BTreeMap::new());
        let name = before.clone().unwrap_or_default();
        WantedEdition { destination: 0, name, before, standing, texts }
    }

    /// One that is published already, as far as these entries have it.
    pub fn published(
        destination: usize,
        name: String,
        entries: &BTreeMap<String, ObjectEntry>,
    ) -> WantedEdition {
        let inside = entries.iter().filter(|(key, _)| edition::holds(&name, key));
        let standing = inside.map(|(key, entry)| (key.clone(), entry.clone())).collect();
        WantedEdition { destination, standing, ..WantedEdition::after(Some(name)) }
    }
}

impl Wanted {
    /// The edition that the objects at a destination are.
    pub fn edition_at(&self, destination: usize) -> Option<&WantedEdition> {
        self.editions.iter().find(|edition| edition.destination == destination)
    }

    /// Whether a distribution is told of an object: nobody has seen an edition before its index names it.
    pub fn is_told(&self, object: &WantedObject) -> bool {
        object.role == Role::Index || self.edition_at(object.destination).is_none()
    }

    /// A publish of nothing yet.
    pub fn nothing(owner: &str, publish: &str, now: &str) -> Wanted {
        Wanted {
            owner: owner.to_owned(),
            publish: publish.to_owned(),
            now: now.to_owned(),
            destinations: Vec::new(),
            invalidation: None,
            objects: Vec::new(),
            rows: Vec::new(),
            editions: Vec::new(),
            refused: Vec::new(),
        }
    }
}

/// A part of a text that is known only when an object is published.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Piece {
    Text(String),
    /// The time of this publish; only in what is `uncompared`.
    Now,
    /// The object's key, in a bucket with the destination's prefix.
    ObjectKey,
    /// The size in bytes of the object as it is published.
    ObjectSize,
    ObjectUrl,
    /// The digest of the object's bytes as they are published.
    ObjectDigest,
}

/// A text in pieces.
pub type Text = Vec<Piece>;

/// What is told to a reader of an object beside its bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Headers {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

/// One object that should be at a destination.
#[derive(Clone, Debug)]
pub struct WantedObject {
    /// The target, as messages name it.
    pub target: String,
    /// The index of its destination in `Wanted::destinations`.
    pub destination: usize,
    pub key: String,
    /// The digest of its content: what decides whether it is written.
    pub content: Digest,
    /// The digest of its bytes.
    pub bytes: Digest,
    /// The digest of how its content was judged; contents are comparable only if these are equal.
    pub judged: Digest,
    /// The number of its bytes.
    pub size: u64,
    pub headers: Headers,
    /// Metadata that is carried over for as long as the object's bytes stay.
    pub uncompared: BTreeMap<String, Text>,
    /// Whether its bytes are packed with gzip before they are put.
    pub gzip: bool,
    /// The digest and the size of its packed bytes, once they are known: they matter only for what is written.
    pub packed: Option<(Digest, u64)>,
    /// Whether it is never written over: a change is refused.
    pub once: bool,
    /// If its bytes stand there already under another key, which and in which version: they are copied there.
    pub copied: Option<(String, Option<String>)>,
    pub role: Role,
}

/// What an object is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The output of a target.
    Output,
    /// The list of an edition.
    List,
    /// It names an edition, and is written when all others were read back.
    Index,
}

/// One row that should be at a destination.
#[derive(Clone, Debug)]
pub struct WantedRow {
    /// The target, as messages name it.
    pub target: String,
    /// The index of its destination in `Wanted::destinations`.
    pub destination: usize,
    pub key: RowKey,
    pub item: Item<Text>,
    /// Attributes that are carried over for as long as the bytes of the row's object stay;
    /// for a row without an object, for as long as its item stays.
    pub uncompared: Item<Text>,
    /// The index in `Wanted::objects` of the object that it registers.
    pub object: Option<usize>,
    /// Whether it is written by a request of its own, where several can be one.
    pub alone: bool,
}

/// A row's key: one or two named attributes (hash, then range), each a text or a number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowKey(pub Vec<(String, Attribute)>);

impl fmt::Display for RowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, value)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            match value {
                Attribute::S(text) | Attribute::N(text) => write!(f, "{comma}{name}={text}")?,
                other => write!(f, "{comma}{name}={other:?}")?,
            }
        }
        Ok(())
    }
}

/// What the whole declared graph publishes, whatever was selected; tells what is orphaned.
pub struct Declared<'a> {
    /// Whether a target that is not absent publishes an object under this key there.
    pub object: &'a (dyn Fn(&Destination, &str) -> bool + Sync),
    /// Whether a target that is not absent publishes a row under this key there.
    pub row: &'a (dyn Fn(&Destination, &RowKey) -> bool + Sync),
    /// Whether anything is published there.
    pub any: &'a (dyn Fn(&Destination) -> bool + Sync),
}
