//! The ports to destinations: what a place of objects and a place of rows can do.
//!
//! A folder and a database, a bucket and a remote table stand behind them.
//! Nothing here knows what should be published or in which order.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::aws::{Aws, dynamodb};
use crate::clock;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::machine;
use crate::places::Places;

use super::attribute::{Attribute, Item};
use super::bucket::{BucketPlace, BucketStore};
use super::database::Database;
use super::destination::{Destination, Keeping, inside};
use super::folder::Folder;
use super::invalidation::Invalidation;
use super::ledger::{self, Ledger};
use super::manifest::{Head, ObjectEntry, RowEntry};
use super::table::TablePlace;
use super::wanted::{Headers, RowKey};

/// Who has a key that is not in the manifest of the owner who wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The manifest of this other owner.
    Owner(String),
    /// Nobody that jheem knows: something stands there.
    Foreign,
}

/// What is published at a place of objects, as one owner sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectsThere {
    /// The head of the manifest that was read; a publish goes on only from the same one.
    pub head: Head,
    /// The manifest.
    pub entries: BTreeMap<String, ObjectEntry>,
    /// Of these it is known that their contents and headers are the wanted ones, and not which bytes stand there.
    pub assumed: BTreeSet<String>,
    /// What a publish that did not end has put there, and the manifest does not know yet.
    pub recovered: BTreeMap<String, ObjectEntry>,
    /// The digest of the intent of a publish that did not end, if there is one.
    pub intent: Option<Digest>,
    /// The distributions that were not told yet of what was written before.
    pub owed: BTreeSet<String>,
    /// Of the keys asked for, those that are in the manifest but not there; places where looking is dear may leave it empty.
    pub missing: BTreeSet<String>,
    /// Of the keys asked for and not in the manifest, those that someone else has.
    pub claims: BTreeMap<String, Claim>,
}

impl ObjectsThere {
    /// What is published, with what a publish that did not end has put.
    pub fn published(&self) -> BTreeMap<String, ObjectEntry> {
        let mut all = self.entries.clone();
        all.extend(self.recovered.clone());
        all
    }
}

/// What is published at a place of rows, as one owner sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowsThere {
    /// Counts the writes to the table; a publish goes on only from the same one. None: no table.
    pub version: Option<i64>,
    /// The names and types (`S` or `N`) of the key, if the table exists.
    pub key: Option<Vec<(String, char)>>,
    pub entries: BTreeMap<RowKey, RowEntry>,
    /// Of these it is known that their items are the wanted ones, and not what of them is never compared.
    pub assumed: BTreeSet<RowKey>,
    /// What a publish that did not end has put there, and the manifest does not know yet.
    pub recovered: BTreeMap<RowKey, RowEntry>,
    /// Whether a publish did not end.
    pub unfinished: bool,
    /// Keys that are in the manifest but not there.
    pub missing: BTreeSet<RowKey>,
    /// Of the keys asked for and not in the manifest, those that someone else has.
    pub claims: BTreeMap<RowKey, Claim>,
}

impl RowsThere {
    /// What is published, with what a publish that did not end has put.
    pub fn published(&self) -> BTreeMap<RowKey, RowEntry> {
        let mut all = self.entries.clone();
        all.extend(self.recovered.clone());
        all
    }
}

/// An object to be put.
#[derive(Clone, Debug)]
pub struct ObjectPut<'a> {
    pub key: &'a str,
    pub entry: &'a ObjectEntry,
    pub write: ObjectWrite<'a>,
}

/// How much of an object is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectWrite<'a> {
    /// The bytes of this file where nothing stands; fails if something appeared.
    Create(&'a Path),
    /// The bytes of this file in the place of those that stand there.
    Replace(&'a Path),
    /// The bytes that stand under this other key, in this version if it is known.
    Copy(&'a str, Option<&'a str>),
    /// Its headers only.
    Headers,
}

/// A row to be put.
#[derive(Clone, Debug)]
pub struct RowPut<'a> {
    pub key: &'a RowKey,
    pub entry: &'a RowEntry,
    pub write: RowWrite,
    /// Whether it is a request of its own, where several can be one.
    pub alone: bool,
}

/// How much of a row is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowWrite {
    /// A row where none is; fails if one appeared.
    Create,
    /// The row in the place of the one that is there.
    Replace,
    /// Only its entry in the manifest.
    Note,
}

/// A difference between a destination and its manifest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DriftKind {
    /// In the manifest, not there.
    Missing,
    /// There, but not as it was published.
    Changed { published: String, found: String },
    /// There, in nobody's manifest.
    Foreign,
    /// In the manifest, published by no target.
    Orphaned,
    /// Nothing is in the manifest, or there is none: told of the destination, not of a key.
    Unpublished,
}

/// So many manifests that were replaced are kept, beside the one that stands.
pub const KEPT: usize = 10;

/// Which step left a manifest as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stamp {
    /// A name that no other step has.
    pub id: String,
    /// When it began, by the clock of the machine that published; for people.
    pub at: String,
    /// Who published.
    pub by: String,
    /// How many entries it changed.
    pub changed: usize,
}

/// An object that stands at a destination, whoever put it there.
pub struct Found {
    pub bytes: Vec<u8>,
    /// None where headers stand in manifests alone.
    pub headers: Option<Headers>,
    pub version: Option<String>,
    /// Whether it carries the mark of a jheem.
    pub marked: bool,
}

/// What came of the removal of an object or a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// Nothing stands there now.
    Gone,
    /// Something else than what was published stands there, and stays.
    Kept,
}

/// How closely a destination is compared with its manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// As cheaply as the place can tell: for a bucket, by a listing of keys, sizes and versions.
    Listed,
    /// Every byte and every header is read.
    Read,
}

/// How much of a manifest is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent<'a> {
    Whole,
    /// What is in no edition, and these editions; a place may read more.
    Editions(&'a [&'a str]),
}

impl Extent<'_> {
    /// Whether an edition is read; none is what is in no edition.
    pub fn holds(&self, edition: Option<&str>) -> bool {
        match (self, edition) {
            (Extent::Whole, _) | (_, None) => true,
            (Extent::Editions(editions), Some(edition)) => editions.contains(&edition),
        }
    }
}

/// A place of objects.
pub trait ObjectPlace {
    /// Reads what is published under this owner, and what is known of the keys that are wanted. Writes nothing.
    ///
    /// What is there just as it is wanted need not be read, only known to be so.
    fn read(
        &self,
        owner: &str,
        wanted: &BTreeMap<String, ObjectEntry>,
        extent: Extent<'_>,
    ) -> Result<ObjectsThere>;

    /// Waits until nobody else publishes here, where somebody could for long; says so.
    fn wait(&self, _say: &mut dyn FnMut(String)) -> Result<()> {
        Ok(())
    }

    /// Files and folders of which one looks different when one of these keys appears or goes, or the manifest changes.
    ///
    /// None where only `read` tells.
    fn watched(&self, owner: &str, keys: &[&str]) -> Option<BTreeSet<PathBuf>>;

    /// Takes the place for one publish and writes down what is about to be put.
    ///
    /// Fails, with nothing written, if another publish is at work or the manifest is no longer the one that was read.
    fn begin<'a>(
        &'a self,
        there: &'a ObjectsThere,
        intent: &[(String, ObjectEntry)],
    ) -> Result<Box<dyn ObjectPublish + 'a>>;

    /// The publishes whose manifests are still known, the last one among them; none where none are kept.
    fn history(&self) -> Result<Vec<Stamp>> {
        Ok(Vec::new())
    }

    /// What the manifest held after a publish; none if that is not known here.
    fn past(
        &self,
        _id: &str,
        _extent: Extent<'_>,
    ) -> Result<Option<BTreeMap<String, ObjectEntry>>> {
        Ok(None)
    }

    /// What stands under keys that begin so; nothing where `read` tells whose it is.
    fn standing(&self, _prefix: &str) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    /// Which of these objects stand as their entries say, by the index; their keys begin with `under`.
    fn as_written(&self, under: &str, objects: &[(&str, &ObjectEntry)]) -> Result<Vec<bool>>;

    /// Hands over the bytes of objects that stand here no more, by their index, as far as the place keeps old versions.
    fn replaced(
        &self,
        _objects: &[(&str, &ObjectEntry)],
        _see: &mut dyn FnMut(usize, Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        Ok(())
    }

    /// Reads the objects that stand under these keys, whoever put them there, and hands each over.
    fn found(
        &self,
        keys: &BTreeSet<&str>,
        see: &mut dyn FnMut(&str, Found) -> Result<()>,
    ) -> Result<()>;

    /// Compares everything in the manifest with what is there, and looks for what is in nobody's.
    fn drift(&self, there: &ObjectsThere, depth: Depth) -> Result<Vec<(String, DriftKind)>>;
}

/// A publish that has begun at a place of objects; dropped, it leaves everything for the next to go on with.
pub trait ObjectPublish {
    /// Puts these objects, each whole or not at all, and tells of each one that stands.
    ///
    /// `go_on` is asked some times a second where putting takes long; when it fails, no more is put.
    fn put(
        &mut self,
        puts: &[ObjectPut<'_>],
        placed: &mut dyn FnMut(usize),
        go_on: &mut dyn FnMut() -> Result<()>,
    ) -> Result<()>;

    /// Sees to it that all of these objects stand as they were written; the keys begin with `under`.
    fn read_back(&mut self, under: &str, objects: &[(&str, &ObjectEntry)]) -> Result<()>;

    /// Removes objects that stand as they were published, and tells of each one by its index.
    ///
    /// One that is not there counts as removed.
    fn remove(
        &mut self,
        objects: &[(String, ObjectEntry)],
        told: &mut dyn FnMut(usize, Removal),
    ) -> Result<()>;

    /// Makes the manifest hold these entries beside those that it holds, and not those that are gone.
    fn commit(
        &mut self,
        changed: &BTreeMap<String, ObjectEntry>,
        gone: &BTreeSet<String>,
    ) -> Result<()>;

    /// Removes what the manifest has left over and nothing names any more; tells how many texts.
    fn sweep(&mut self) -> Result<usize>;

    /// Remembers that a distribution must be told of these keys, until it was.
    fn owe(&mut self, _: &Invalidation, _keys: &[&str]) -> Result<()> {
        Ok(())
    }

    /// Tells a distribution of all that it must be told of; returns how many paths it was told.
    fn invalidate(&mut self, _: &Invalidation) -> Result<usize> {
        Ok(0)
    }

    /// Takes the intent away.
    fn finish(self: Box<Self>) -> Result<()>;
}

/// A place of rows.
pub trait RowPlace {
    /// Reads what is published under this owner, and what is known of the keys that are wanted. Writes nothing.
    ///
    /// What is there just as it is wanted need not be read, only known to be so; but for keys with no entry.
    fn read(&self, owner: &str, wanted: &BTreeMap<RowKey, Option<RowEntry>>) -> Result<RowsThere>;

    /// Waits until nobody else publishes here, where somebody could for long; says so.
    fn wait(&self, _say: &mut dyn FnMut(String)) -> Result<()> {
        Ok(())
    }

    /// Files of which one looks different when the rows or their manifest change; none where only `read` tells.
    fn watched(&self) -> Option<BTreeSet<PathBuf>>;

    /// Puts these rows and their manifest, and tells how many more rows stand; killed anywhere, a row that stands is known.
    ///
    /// Fails, with nothing written, if the place is no longer as it was read.
    fn publish(
        &self,
        owner: &str,
        there: &RowsThere,
        puts: &[RowPut<'_>],
        placed: &mut dyn FnMut(usize),
    ) -> Result<()>;

    /// Removes rows that stand as they were published, and then their entries; tells of each one by its index.
    ///
    /// One that is not there counts as removed. Returns how many texts the manifest had left over.
    fn remove(
        &self,
        owner: &str,
        there: &RowsThere,
        rows: &[(RowKey, RowEntry)],
        told: &mut dyn FnMut(usize, Removal),
    ) -> Result<usize>;

    /// The publishes whose manifests are still known, the last one among them; none where none are kept.
    fn history(&self) -> Result<Vec<Stamp>> {
        Ok(Vec::new())
    }

    /// What the manifest held after a publish; none if that is not known here.
    fn past(&self, _id: &str) -> Result<Option<BTreeMap<RowKey, RowEntry>>> {
        Ok(None)
    }

    /// The items that stand under these keys, whoever put them there.
    fn found(&self, keys: &[&RowKey]) -> Result<BTreeMap<RowKey, Item>>;

    /// Compares everything in the manifest with what is there, and looks for what is in nobody's.
    fn drift(&self, there: &RowsThere) -> Result<Vec<(RowKey, DriftKind)>>;
}

/// A destination that is open.
pub enum Place {
    Objects(Box<dyn ObjectPlace>),
    Rows(Box<dyn RowPlace>),
}

/// What it takes to open a destination.
pub struct World<'a> {
    /// Where relative paths start, and whose cache tells who publishes.
    pub places: &'a Places,
    pub aws: &'a Aws,
    /// Whose manifest is read.
    pub owner: &'a str,
    pub step: &'a Step,
}

/// A step of the history: all that one run of jheem publishes, so that it is put back together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// A name that no other step has.
    pub id: String,
    /// When it began.
    pub at: String,
}

impl Step {
    /// A new one, which begins now.
    pub fn begin() -> Step {
        let now = clock::now();
        Step {
            id: format!("{}-{}", clock::stamp(now), &ledger::name_of(&[])[..4]),
            at: clock::rfc3339(now),
        }
    }
}

/// Opens destinations. Nothing is read or written yet.
///
/// Each place may be there only once, since a publish takes it for itself.
pub fn open(world: &World<'_>, destinations: &[Destination]) -> Result<Vec<Place>> {
    for (index, destination) in destinations.iter().enumerate() {
        if destinations[..index].contains(destination) {
            return Err(Error::bug(format!("`{destination}` is opened twice by one publish")));
        }
    }
    let root = &world.places.root;
    let databases: Vec<_> = destinations
        .iter()
        .filter_map(|destination| match destination {
            Destination::Sqlite { path, .. } => Some(inside(root, path)),
            _ => None,
        })
        .collect::<Result<_>>()?;
    // Destinations that keep their manifests at one place share its ledger, and so its lease.
    let mut ledgers: BTreeMap<Keeping, Arc<Ledger>> = BTreeMap::new();
    destinations
        .iter()
        .map(|destination| match destination {
            Destination::File { folder } => {
                let folder = Folder::new(destination.clone(), inside(root, folder)?, &databases);
                Ok(Place::Objects(Box::new(folder)))
            }
            Destination::Sqlite { path, table } => {
                let table = table.as_deref().ok_or_else(|| {
                    Error::user(format!("`{destination}` names no table"))
                        .hint(format!("write `{destination}#TABLE`"))
                })?;
                let database = Database::new(destination.clone(), inside(root, path)?, table);
                Ok(Place::Rows(Box::new(database)))
            }
            Destination::S3 { bucket, keeping, .. } => {
                let ledger = ledger(world, keeping, &mut ledgers)?;
                let place =
                    BucketPlace::new(destination.clone(), world.aws.connect()?, bucket, ledger);
                Ok(Place::Objects(Box::new(place)))
            }
            Destination::Dynamodb { table: name, keeping } => {
                let keeping = keeping.as_ref().ok_or_else(|| {
                    Error::user(format!("nothing says where the manifest of `{destination}` is kept"))
                        .hint("give the publish a `manifest = \"s3://BUCKET/PREFIX\"`, or objects in a bucket")
                })?;
                let ledger = ledger(world, keeping, &mut ledgers)?;
                let table = dynamodb::Table::new(world.aws.connect()?, name);
                let place = TablePlace::new(destination.clone(), table, ledger);
                Ok(Place::Rows(Box::new(place)))
            }
        })
        .collect()
}

/// Waits until nobody else publishes at any of these places; `say` is told whom it waits for.
pub fn wait(places: &[Place], say: &mut dyn FnMut(String)) -> Result<()> {
    places.iter().try_for_each(|place| match place {
        Place::Objects(place) => place.wait(say),
        Place::Rows(place) => place.wait(say),
    })
}

/// The ledger at a place, one for all who keep theirs there.
fn ledger(
    world: &World<'_>,
    keeping: &Keeping,
    ledgers: &mut BTreeMap<Keeping, Arc<Ledger>>,
) -> Result<Arc<Ledger>> {
    if let Some(ledger) = ledgers.get(keeping) {
        return Ok(Arc::clone(ledger));
    }
    let prefix = keeping.prefix(world.owner);
    let store = BucketStore::new(world.aws.connect()?, &keeping.bucket, prefix);
    let holder = machine::publisher(&world.places.owner, &world.places.cache);
    let ledger =
        Ledger::new(Box::new(store), keeping.to_string(), world.owner, &holder, world.step);
    let ledger = Arc::new(ledger);
    ledgers.insert(keeping.clone(), Arc::clone(&ledger));
    Ok(ledger)
}

/// The refusal of a publish whose plan is of what is there no more.
pub(super) fn meanwhile(place: &impl std::fmt::Display) -> Error {
    Error::environment(format!("`{place}` was published to while this publish was planned"))
        .hint("run it again")
}

/// The refusal to name an edition of which something does not stand as it was written.
pub(super) fn not_as_written(destination: &Destination, key: &str) -> Error {
    Error::environment(format!(
        "`{key}` does not stand in `{destination}` as it was written, so the index is left as it was"
    ))
    .hint("`jheem verify` shows what else differs; run it again once that is mended")
}

/// The refusal to copy what is not there as it was.
pub(super) fn not_to_copy(destination: &Destination, key: &str, from: &str) -> Error {
    Error::environment(format!(
        "`{key}` cannot be copied in `{destination}`: `{from}` is missing or was written over meanwhile"
    ))
    .hint("run it again: what is not there is taken from what was built")
}

/// What two digests look like beside each other in a message.
pub(super) fn changed(published: &Digest, found: &Digest) -> DriftKind {
    DriftKind::Changed { published: published.short(), found: found.short() }
}

/// A key's value and the letter of its type.
pub(super) fn key_part(value: &Attribute) -> Option<(char, &str)> {
    match value {
        Attribute::S(text) => Some(('S', text)),
        Attribute::N(text) => Some(('N', text)),
        _ => None,
    }
}
