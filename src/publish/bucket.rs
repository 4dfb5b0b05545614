//! `s3:` destinations: objects in a bucket below a prefix, with their manifest in a ledger.
//!
//! Nothing is listed or looked at to publish: the manifest says what stands, and what is new is written only where nothing is.
//! Each object carries the digest of its bytes in its metadata, by which a killed publish knows its own.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::destination::{Destination, OWN_FOLDER};
use super::invalidation::{self, Invalidation};
use super::ledger::{Ledger, Store};
use super::manifest::{Head, ObjectEntry};
use super::place::{
    Claim, Depth, DriftKind, Extent, Found, ObjectPlace, ObjectPublish, ObjectPut, ObjectWrite,
    ObjectsThere, Removal, Stamp, changed, not_as_written, not_to_copy,
};
use super::wanted;
use crate::aws::Connected;
use crate::aws::s3::mending::{Removed, Replaced, Whole};
use crate::aws::s3::{self, Body, Expect, Got, Listed, Put, Standing, Upload};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::moments::{self, Moment};

/// The metadata in which an object carries the digest of its bytes.
const BYTES: &str = "jheem-bytes";
/// The metadata in which it carries the digest of its headers: services give headers back in other words.
const HEADERS: &str = "jheem-headers";

/// Keeps a ledger's texts as objects below a prefix.
pub struct BucketStore {
    bucket: s3::Bucket,
    prefix: String,
}

impl BucketStore {
    pub fn new(aws: Arc<Connected>, bucket: &str, prefix: String) -> BucketStore {
        BucketStore { bucket: s3::Bucket::new(aws, bucket), prefix }
    }

    fn key(&self, name: &str) -> String {
        format!("{}/{name}", self.prefix)
    }
}

impl BucketStore {
    /// A text's name, of its key.
    fn name<'k>(&self, key: &'k str) -> Option<&'k str> {
        key.strip_prefix(&self.prefix)?.strip_prefix('/')
    }
}

impl Store for BucketStore {
    fn get(&self, names: &[String]) -> Result<Vec<Option<Got>>> {
        let keys: Vec<String> = names.iter().map(|name| self.key(name)).collect();
        self.bucket.get_all(&keys)
    }

    fn put(&self, name: &str, bytes: Vec<u8>, expect: Expect) -> Result<Put> {
        let content_type = Some("application/json".to_owned());
        let headers = s3::Headers { content_type, ..s3::Headers::default() };
        let (key, body) = (self.key(name), Body::Bytes(bytes.clone()));
        match self.bucket.put(Upload { key: key.clone(), body, headers, expect })? {
            Put::Done(version) => Ok(Put::Done(version)),
            // Tried again after its answer was lost, a write meets itself.
            Put::Unexpected => match self.bucket.get(&key)? {
                Some(got) if got.bytes == bytes => Ok(Put::Done(got.version)),
                _ => Ok(Put::Unexpected),
            },
        }
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.bucket.remove(&self.key(name))
    }

    fn list(&self) -> Result<Vec<(String, i64)>> {
        let all = self.bucket.list(&self.key(""), &mut || Ok(()))?.into_iter();
        let named = all.filter_map(|text| Some((self.name(&text.key)?.to_owned(), text.modified)));
        Ok(named.collect())
    }
}

/// Objects below a prefix of a bucket.
pub struct BucketPlace {
    destination: Destination,
    aws: Arc<Connected>,
    bucket: s3::Bucket,
    ledger: Arc<Ledger>,
    /// The section of the ledger that is of this bucket and prefix: others may keep theirs in it too.
    section: String,
    /// What stood under intended keys when they were looked at, since a plan may read more than once.
    looked: Mutex<BTreeMap<String, Option<Standing>>>,
}

impl BucketPlace {
    pub fn new(
        destination: Destination,
        aws: Arc<Connected>,
        bucket: &str,
        ledger: Arc<Ledger>,
    ) -> BucketPlace {
        let bucket = s3::Bucket::new(Arc::clone(&aws), bucket);
        let place = Digest::of(destination.to_string().as_bytes()).hex();
        let section = format!("objects-{}", &place[..8]);
        let looked = Mutex::default();
        BucketPlace { destination, aws, bucket, ledger, section, looked }
    }

    /// What a publish that did not end has put: where an object carries the digest of an intended one.
    ///
    /// Of what it was about to write or to remove, also what is in the manifest and not there, and
    /// what stands there and is neither its own nor in the manifest.
    fn recover(
        &self,
        entries: &BTreeMap<String, ObjectEntry>,
        intended: Vec<(String, ObjectEntry)>,
    ) -> Result<Recovered> {
        let mut meant: BTreeMap<String, Vec<ObjectEntry>> = BTreeMap::new();
        for (key, entry) in intended {
            meant.entry(key).or_default().push(entry);
        }
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let new: Vec<&String> = meant.keys().filter(|key| !looked.contains_key(*key)).collect();
        let keys: Vec<String> = new.iter().map(|key| self.destination.full_key(key)).collect();
        let found = self.bucket.look(&keys)?;
        looked.extend(new.into_iter().cloned().zip(found));
        let found: Vec<Option<Standing>> = meant.keys().map(|key| looked[key].clone()).collect();
        let (mut recovered, mut missing) = (BTreeMap::new(), BTreeSet::new());
        let mut claims = BTreeMap::new();
        for ((key, meant), found) in meant.into_iter().zip(found) {
            let Some(found) = found else {
                missing.extend(entries.contains_key(&key).then_some(key));
                continue;
            };
            // The latest of the intended ones is what was written last.
            let is = |entry: &&ObjectEntry| stands_as(&found, entry);
            if let Some(entry) = meant.iter().rev().find(is) {
                let entry = ObjectEntry { version: Some(found.version.clone()), ..entry.clone() };
                if entries.get(&key) != Some(&entry) {
                    recovered.insert(key, entry);
                }
            } else if !entries.contains_key(&key) {
                claims.insert(key, Claim::Foreign);
            }
        }
        Ok(Recovered { recovered, missing, claims })
    }
}

/// What is known of what a publish that did not end was about to write.
struct Recovered {
    recovered: BTreeMap<String, ObjectEntry>,
    missing: BTreeSet<String>,
    claims: BTreeMap<String, Claim>,
}

/// Whether what was found is what the entry says, bytes and headers.
fn stands_as(found: &Standing, entry: &ObjectEntry) -> bool {
    let carried = |name: &str| found.headers.metadata.get(name);
    let own = headers(entry).metadata;
    let same = |name: &str| carried(name).is_some() && carried(name) == own.get(name);
    found.size == entry.size && same(BYTES) && same(HEADERS)
}

/// All headers of an object, jheem's own among them.
fn headers(entry: &ObjectEntry) -> s3::Headers {
    let wanted::Headers { content_type, content_encoding, cache_control, mut metadata } =
        entry.all_headers();
    let said = serde_json::to_vec(&entry.all_headers()).expect("headers are plain data");
    metadata.insert(HEADERS.to_owned(), Digest::of(&said).hex()[..16].to_owned());
    metadata.insert(BYTES.to_owned(), entry.bytes.to_string());
    s3::Headers { content_type, content_encoding, cache_control, metadata }
}

impl ObjectPlace for BucketPlace {
    fn read(
        &self,
        owner: &str,
        wanted: &BTreeMap<String, ObjectEntry>,
        extent: Extent<'_>,
    ) -> Result<ObjectsThere> {
        let section = self.ledger.section(&self.section, wanted, extent)?;
        let Recovered { recovered, missing, claims } =
            self.recover(&section.entries, section.intended)?;
        Ok(ObjectsThere {
            // The ledger remembers which head it read.
            head: Head::empty(owner),
            entries: section.entries,
            assumed: section.assumed,
            recovered,
            owed: self.ledger.owing()?,
            intent: section.unfinished.then(|| Digest::of(self.section.as_bytes())),
            missing,
            claims,
        })
    }

    fn wait(&self, say: &mut dyn FnMut(String)) -> Result<()> {
        self.ledger.wait(say)
    }

    fn watched(&self, _: &str, _: &[&str]) -> Option<BTreeSet<PathBuf>> {
        None
    }

    fn begin<'a>(
        &'a self,
        there: &'a ObjectsThere,
        intent: &[(String, ObjectEntry)],
    ) -> Result<Box<dyn ObjectPublish + 'a>> {
        self.ledger
            .begin(&self.section, intent.iter().map(|(key, entry)| (key.as_str(), entry)))?;
        Ok(Box::new(BucketPublish { place: self, there, versions: BTreeMap::new() }))
    }

    fn history(&self) -> Result<Vec<Stamp>> {
        self.ledger.history()
    }

    fn past(&self, id: &str, extent: Extent<'_>) -> Result<Option<BTreeMap<String, ObjectEntry>>> {
        self.ledger.past(&self.section, id, extent)
    }

    fn standing(&self, prefix: &str) -> Result<Vec<String>> {
        let own = self.destination.full_key("");
        let listed = self.bucket.list(&self.destination.full_key(prefix), &mut || Ok(()))?;
        let key = |found: Listed| found.key.strip_prefix(&own).map(str::to_owned);
        Ok(listed.into_iter().filter_map(key).collect())
    }

    fn as_written(&self, under: &str, objects: &[(&str, &ObjectEntry)]) -> Result<Vec<bool>> {
        let prefix = self.destination.full_key(&format!("{under}/"));
        let listed = self.bucket.list(&prefix, &mut || self.ledger.renew())?;
        let stands: BTreeMap<&str, &Listed> =
            listed.iter().map(|found| (found.key.as_str(), found)).collect();
        let as_written = objects.iter().map(|(key, entry)| {
            let found = stands.get(self.destination.full_key(key).as_str());
            found.is_some_and(|found| {
                let version = entry.version.as_ref();
                found.size == entry.size && version.is_none_or(|v| *v == found.version)
            })
        });
        Ok(as_written.collect())
    }

    fn replaced(
        &self,
        objects: &[(&str, &ObjectEntry)],
        see: &mut dyn FnMut(usize, Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        let largest = objects.iter().map(|(_, entry)| entry.size).max().unwrap_or_default();
        let replaced = objects.iter().map(|(key, entry)| Replaced {
            key: self.destination.full_key(key),
            version: entry.version.clone(),
            size: entry.size,
        });
        let is = |index: usize, bytes: &[u8]| Digest::of(bytes) == objects[index].1.bytes;
        let mut done = |index, bytes: Option<Vec<u8>>| match bytes {
            Some(bytes) => see(index, bytes),
            None => Ok(()),
        };
        let tick = &mut || self.ledger.renew();
        self.bucket.read_replaced(&replaced.collect::<Vec<_>>(), largest, &is, &mut done, tick)
    }

    fn found(
        &self,
        keys: &BTreeSet<&str>,
        see: &mut dyn FnMut(&str, Found) -> Result<()>,
    ) -> Result<()> {
        let prefix = self.destination.full_key("");
        let stands = self
            .bucket
            .list(&prefix, &mut || self.ledger.renew())?
            .into_iter()
            .map(|found| found.key);
        let asked = |key: &String| key.strip_prefix(&prefix).is_some_and(|key| keys.contains(key));
        let stands: Vec<String> = stands.filter(asked).collect();
        let mut read = |index: usize, whole: Option<Whole>| {
            let (Some(whole), Some(key)) = (whole, stands[index].strip_prefix(&prefix)) else {
                return Ok(());
            };
            let s3::Headers { content_type, content_encoding, cache_control, mut metadata } =
                whole.standing.headers;
            let marked = metadata.remove(BYTES).is_some();
            metadata.remove(HEADERS);
            let content_encoding = encoding(content_encoding.as_ref());
            let headers =
                wanted::Headers { content_type, content_encoding, cache_control, metadata };
            let (headers, version) = (Some(headers), Some(whole.standing.version));
            see(key, Found { bytes: whole.bytes, headers, version, marked })
        };
        self.bucket.read_all(&stands, &mut read, &mut || self.ledger.renew())
    }

    fn drift(&self, there: &ObjectsThere, depth: Depth) -> Result<Vec<(String, DriftKind)>> {
        let published = there.published();
        let prefix = self.destination.full_key("");
        let mut drift = Vec::new();
        let mut standing = BTreeSet::new();
        let mut alike = Vec::new();
        for found in self.bucket.list(&prefix, &mut || self.ledger.renew())? {
            let Some(key) = found.key.strip_prefix(&prefix) else { continue };
            // Also what another publish keeps further below.
            if key.split('/').any(|part| part == OWN_FOLDER) {
                continue;
            }
            standing.insert(key.to_owned());
            let Some(entry) = published.get(key) else {
                drift.push((key.to_owned(), DriftKind::Foreign));
                continue;
            };
            let same = found.size == entry.size
                && entry.version.as_ref().is_none_or(|version| *version == found.version);
            if !same {
                drift.push((key.to_owned(), self.changed(key, entry)?));
            } else if depth == Depth::Read {
                alike.push((key.to_owned(), entry));
            }
        }
        drift.extend(self.read_through(&alike)?);
        let missing = published.keys().filter(|key| !standing.contains(*key));
        drift.extend(missing.map(|key| (key.clone(), DriftKind::Missing)));
        Ok(drift)
    }
}

impl BucketPlace {
    /// What differs in the bytes or headers of objects that look alike in a listing.
    fn read_through(&self, alike: &[(String, &ObjectEntry)]) -> Result<Vec<(String, DriftKind)>> {
        let keys: Vec<String> =
            alike.iter().map(|(key, _)| self.destination.full_key(key)).collect();
        let mut drift = Vec::new();
        let mut see = |index: usize, whole: Option<Whole>| {
            let (key, entry) = &alike[index];
            let kind = match whole {
                None => Some(DriftKind::Missing),
                Some(whole) => {
                    let found = Digest::of(&whole.bytes);
                    match found == entry.bytes {
                        false => Some(changed(&entry.bytes, &found)),
                        true => {
                            let mut ours = headers(entry);
                            // What another tool put there has no mark.
                            ours.metadata.retain(|name, _| {
                                !(entry.attested && [BYTES, HEADERS].contains(&name.as_str()))
                            });
                            other_headers(&ours, &whole.standing.headers)
                        }
                    }
                }
            };
            drift.extend(kind.map(|kind| (key.clone(), kind)));
            Ok(())
        };
        self.bucket.read_all(&keys, &mut see, &mut || Ok(()))?;
        drift.sort();
        Ok(drift)
    }

    /// What stands there now, beside what was published.
    fn changed(&self, key: &str, entry: &ObjectEntry) -> Result<DriftKind> {
        let found = self.bucket.look(&[self.destination.full_key(key)])?.pop().flatten();
        let carried = found.as_ref().and_then(|f| f.headers.metadata.get(BYTES)?.parse().ok());
        Ok(match (found, carried) {
            (_, Some(carried)) if carried != entry.bytes => changed(&entry.bytes, &carried),
            (None, _) => DriftKind::Missing,
            (Some(found), _) => DriftKind::Changed {
                published: format!("{}, {} bytes", entry.bytes.short(), entry.size),
                found: format!("version {}, {} bytes", found.version, found.size),
            },
        })
    }
}

/// A content encoding, without how the upload was framed, which some stores keep in it.
fn encoding(value: Option<&String>) -> Option<String> {
    let parts = value.into_iter().flat_map(|value| value.split(',')).map(str::trim);
    let parts: Vec<&str> = parts.filter(|part| !matches!(*part, "" | "aws-chunked")).collect();
    (!parts.is_empty()).then(|| parts.join(","))
}

/// The first header that is not as it was published; what a service adds by itself is none.
fn other_headers(published: &s3::Headers, found: &s3::Headers) -> Option<DriftKind> {
    let said = |name: &str, value: Option<&String>| match value {
        Some(value) => format!("{name}: {value}"),
        None => format!("no {name}"),
    };
    let differs = |name: &str, published: Option<&String>, found: Option<&String>| {
        let kind =
            DriftKind::Changed { published: said(name, published), found: said(name, found) };
        (published != found).then_some(kind)
    };
    let (ours, theirs) =
        (encoding(published.content_encoding.as_ref()), encoding(found.content_encoding.as_ref()));
    // A type that was not given is the service's to choose.
    let typed = published
        .content_type
        .as_ref()
        .and_then(|ours| differs("content-type", Some(ours), found.content_type.as_ref()));
    // What is beyond ASCII comes back in other words, and is told by the digest among the others.
    let plain = published.metadata.iter().filter(|(_, value)| value.is_ascii());
    let mut metadata =
        plain.map(|(name, value)| differs(name, Some(value), found.metadata.get(name)));
    typed
        .or_else(|| differs("content-encoding", ours.as_ref(), theirs.as_ref()))
        .or_else(|| {
            let (ours, theirs) = (&published.cache_control, &found.cache_control);
            differs("cache-control", ours.as_ref(), theirs.as_ref())
        })
        .or_else(|| metadata.find_map(|kind| kind))
}

/// A publish that holds the lease.
struct BucketPublish<'a> {
    place: &'a BucketPlace,
    there: &'a ObjectsThere,
    /// What the bucket gave to the objects that were put.
    versions: BTreeMap<String, String>,
}

impl BucketPublish<'_> {
    fn upload(&self, put: &ObjectPut<'_>) -> Upload {
        let known = self.there.recovered.get(put.key).or_else(|| self.there.entries.get(put.key));
        // What somebody else wrote over is not ours to replace.
        let replaced = match known.and_then(|entry| entry.version.clone()) {
            Some(version) => Expect::Version(version),
            None => Expect::Anything,
        };
        let (body, expect) = match put.write {
            ObjectWrite::Create(path) => (Body::File(path.to_owned()), Expect::Nothing),
            ObjectWrite::Replace(path) => (Body::File(path.to_owned()), replaced),
            ObjectWrite::Copy(key, version) => {
                let (key, version) = (self.place.destination.full_key(key), version);
                (Body::Copy { key, version: version.map(str::to_owned) }, Expect::Nothing)
            }
            ObjectWrite::Headers => (Body::Standing, replaced),
        };
        let key = self.place.destination.full_key(put.key);
        Upload { key, body, headers: headers(put.entry), expect }
    }

    /// What to do where something else stands than was expected; the version that stands in the end.
    fn settle(&self, put: &ObjectPut<'_>, found: Option<Standing>) -> Result<String> {
        let destination = &self.place.destination;
        match (found, put.write) {
            // Tried again after its answer was lost, a write meets itself.
            (Some(found), _) if stands_as(&found, put.entry) => Ok(found.version),
            // It was published and is gone: it is put where nothing is.
            (None, ObjectWrite::Replace(_)) => {
                let upload = Upload { expect: Expect::Nothing, ..self.upload(put) };
                match self.place.bucket.put(upload)? {
                    Put::Done(version) => Ok(version),
                    Put::Unexpected => Err(Error::environment(format!(
                        "`{}` came and went in `{destination}` while it was being published",
                        put.key
                    ))
                    .hint("run it again")),
                }
            }
            (None, ObjectWrite::Copy(from, _)) => Err(not_to_copy(destination, put.key, from)),
            (None, _) => Err(Error::environment(format!(
                "`{}` is missing in `{destination}`, so its headers cannot be replaced",
                put.key
            ))
            .hint("`jheem verify` shows what else is; put it back from an earlier version of the bucket")),
            (Some(_), ObjectWrite::Create(_) | ObjectWrite::Copy(..)) => Err(Error::user(format!(
                "`{}` cannot be put into `{destination}`: something that jheem did not publish stands there",
                put.key
            ))
            .hint("remove it, or publish under another prefix, and run it again")),
            (Some(_), _) => Err(Error::user(format!(
                "`{}` was written over in `{destination}` by something other than jheem",
                put.key
            ))
            .hint("see what it is; remove it and run it again, and what was built is put there")),
        }
    }
}

impl ObjectPublish for BucketPublish<'_> {
    fn put(
        &mut self,
        puts: &[ObjectPut<'_>],
        placed: &mut dyn FnMut(usize),
        go_on: &mut dyn FnMut() -> Result<()>,
    ) -> Result<()> {
        let place = self.place;
        let uploads = puts.iter().map(|put| self.upload(put));
        let mut versions = BTreeMap::new();
        let mut unexpected = Vec::new();
        place.bucket.put_all(
            uploads,
            &mut |index, put| {
                match put {
                    Put::Done(version) => {
                        versions.insert(puts[index].key.to_owned(), version);
                        moments::pass(Moment::Published);
                        placed(index);
                    }
                    Put::Unexpected => unexpected.push(index),
                }
                Ok(())
            },
            &mut || go_on().and_then(|()| place.ledger.renew()),
        )?;
        self.versions.append(&mut versions);
        let keys: Vec<String> =
            unexpected.iter().map(|index| place.destination.full_key(puts[*index].key)).collect();
        for (index, found) in unexpected.into_iter().zip(place.bucket.look(&keys)?) {
            go_on()?;
            place.ledger.renew()?;
            let version = self.settle(&puts[index], found)?;
            self.versions.insert(puts[index].key.to_owned(), version);
            placed(index);
        }
        place.ledger.renew()
    }

    fn remove(
        &mut self,
        objects: &[(String, ObjectEntry)],
        told: &mut dyn FnMut(usize, Removal),
    ) -> Result<()> {
        let place = self.place;
        let keys: Vec<String> =
            objects.iter().map(|(key, _)| place.destination.full_key(key)).collect();
        let mut going = Vec::new();
        let mut indexes = Vec::new();
        for (index, found) in place.bucket.look(&keys)?.into_iter().enumerate() {
            let entry = &objects[index].1;
            let is_ours = |found: &Standing| match &entry.version {
                Some(version) => *version == found.version && found.size == entry.size,
                None => stands_as(found, entry),
            };
            match found {
                None => told(index, Removal::Gone),
                Some(found) if is_ours(&found) => {
                    going.push((keys[index].clone(), found.version));
                    indexes.push(index);
                }
                Some(_) => told(index, Removal::Kept),
            }
        }
        let mut done = |at: usize, removed| {
            moments::pass(Moment::Pruned);
            told(
                indexes[at],
                match removed {
                    Removed::Gone => Removal::Gone,
                    Removed::Unexpected => Removal::Kept,
                },
            );
            Ok(())
        };
        place.bucket.remove_all(&going, &mut done, &mut || place.ledger.renew())?;
        place.ledger.renew()
    }

    fn read_back(&mut self, under: &str, objects: &[(&str, &ObjectEntry)]) -> Result<()> {
        let now = objects.iter().map(|(key, entry)| {
            let version = self.versions.get(*key).or(entry.version.as_ref()).cloned();
            (*key, ObjectEntry { version, ..(*entry).clone() })
        });
        let now: Vec<(&str, ObjectEntry)> = now.collect();
        let now: Vec<(&str, &ObjectEntry)> = now.iter().map(|(key, entry)| (*key, entry)).collect();
        let as_written = self.place.as_written(under, &now)?;
        match now.iter().zip(as_written).find(|(_, as_written)| !as_written) {
            Some(((key, _), _)) => Err(not_as_written(&self.place.destination, key)),
            None => Ok(()),
        }
    }

    fn sweep(&mut self) -> Result<usize> {
        self.place.ledger.sweep()
    }

    fn commit(
        &mut self,
        changed: &BTreeMap<String, ObjectEntry>,
        gone: &BTreeSet<String>,
    ) -> Result<()> {
        let mut changed = changed.clone();
        for (key, version) in &self.versions {
            if let Some(entry) = changed.get_mut(key) {
                entry.version = Some(version.clone());
            }
        }
        self.place.ledger.commit(&self.place.section, &changed, gone)
    }

    fn owe(&mut self, to: &Invalidation, keys: &[&str]) -> Result<()> {
        let full = keys.iter().map(|key| self.place.destination.full_key(key));
        // A key that readers have no path to was refused by the plan.
        let paths: BTreeSet<String> = full.filter_map(|key| to.path(&key)).collect();
        match paths.is_empty() {
            true => Ok(()),
            false => self.place.ledger.owe(&to.distribution, paths),
        }
    }

    fn invalidate(&mut self, to: &Invalidation) -> Result<usize> {
        let ledger = &self.place.ledger;
        // Whoever misspelt a distribution, or changed it, has named the right one by now.
        for other in ledger.owing()?.iter().filter(|o| **o != to.distribution && to.pays(o)) {
            if let Some(owed) = ledger.owed(other)? {
                ledger.owe(&to.distribution, owed.lines.clone())?;
                ledger.paid(other, &owed)?;
            }
        }
        let Some(owed) = ledger.owed(&to.distribution)? else { return Ok(0) };
        let paths = invalidation::merged(&owed.lines);
        self.place.aws.invalidate(&to.distribution, &paths, &owed.name)?;
        moments::pass(Moment::Told);
        ledger.paid(&to.distribution, &owed)?;
        Ok(paths.len())
    }

    fn finish(self: Box<Self>) -> Result<()> {
        self.place.ledger.end(&self.place.section)
    }
}
