//! `file:` destinations: a folder of objects, and jheem's own folder `.jheem` in it.
//!
//! Objects are plain files under their keys; their headers and metadata stand in the manifest alone.
//! `.jheem/OWNER/head.json` names the chunks in `.jheem/OWNER/chunks/`, `.jheem/OWNER/intent.jsonl` is there while a publish is.
//! What is written is copied to `.jheem/.tmp`, checked, made durable and renamed, so that no reader sees half of it.
//! Knows nothing of plans, rows or of who is right: it does what it is told, and refuses what would touch foreign files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::moments::{self, Moment};

use super::destination::{Destination, OWN_FOLDER};
use super::manifest::{self, Head, Lines, ObjectEntry};
use super::place::{
    Claim, Depth, DriftKind, Extent, Found, ObjectPlace, ObjectPublish, ObjectPut, ObjectWrite,
    ObjectsThere, Removal, changed, meanwhile, not_as_written, not_to_copy,
};

/// How many objects are copied before they are put in place together.
const BATCH: usize = 128;

/// A folder of objects.
pub struct Folder {
    destination: Destination,
    folder: PathBuf,
    /// Databases that may lie in the folder and are destinations of their own.
    databases: Vec<PathBuf>,
}

impl Folder {
    pub fn new(destination: Destination, folder: PathBuf, databases: &[PathBuf]) -> Folder {
        Folder { destination, folder, databases: databases.to_vec() }
    }

    fn own(&self) -> PathBuf {
        self.folder.join(OWN_FOLDER)
    }

    fn of_owner(&self, owner: &str) -> PathBuf {
        self.own().join(file_name(owner))
    }

    fn damaged(&self, path: &Path, what: impl std::fmt::Display) -> Error {
        Error::environment(format!(
            "the manifest of `{}` is damaged: `{}` {what}",
            self.destination,
            path.display()
        ))
        .hint(format!(
            "put `{}` back from a copy, or publish to an empty folder: jheem does not guess what is published",
            path.display()
        ))
    }

    /// The head that stands there, or an empty one.
    fn read_head(&self, owner: &str) -> Result<Head> {
        let path = self.of_owner(owner).join("head.json");
        let Some(bytes) = read(&path)? else { return Ok(Head::empty(owner)) };
        let head = Head::decode(&bytes).map_err(|what| self.damaged(&path, what))?;
        if head.owner != owner {
            return Err(self.damaged(&path, format!("is of the project `{}`", head.owner)));
        }
        Ok(head)
    }

    /// The manifest of an owner, whole, as it was at one moment.
    fn read_manifest(&self, owner: &str) -> Result<(Head, BTreeMap<String, ObjectEntry>)> {
        self.manifest_from(self.read_head(owner)?)
    }

    /// The manifest that this head names or, if it has been replaced since it was read, the one of the new head.
    pub(super) fn manifest_from(
        &self,
        mut head: Head,
    ) -> Result<(Head, BTreeMap<String, ObjectEntry>)> {
        let owner = head.owner.clone();
        loop {
            let chunks: Vec<_> = head
                .chunks
                .par_iter()
                .map(|(name, chunk)| {
                    let path = self.of_owner(&owner).join("chunks").join(chunk.file(name));
                    let Some(bytes) = read(&path)? else { return Ok(Err(path)) };
                    let lines = manifest::decode_chunk(&bytes, chunk);
                    lines.map(Ok).map_err(|what| self.damaged(&path, what))
                })
                .collect::<Result<_>>()?;
            match chunks.into_iter().collect::<Result<Vec<_>, PathBuf>>() {
                Ok(chunks) => return Ok((head, chunks.into_iter().flatten().collect())),
                Err(path) => {
                    // A publish may have replaced the chunk between the two looks.
                    let now = self.read_head(&owner)?;
                    if now == head {
                        return Err(self.damaged(&path, "is missing"));
                    }
                    head = now;
                }
            }
        }
    }

    /// The intent of a publish that has not ended, and its digest.
    fn read_intent(&self, owner: &str) -> Result<Option<(Digest, Lines)>> {
        let path = self.of_owner(owner).join("intent.jsonl");
        let Some(bytes) = read(&path)? else { return Ok(None) };
        let entries = manifest::decode_intent(&bytes).map_err(|what| self.damaged(&path, what))?;
        Ok(Some((Digest::of(&bytes), entries)))
    }

    /// The owners that have a folder here.
    fn owners(&self) -> Result<Vec<String>> {
        let own = self.own();
        let io = |error: &io::Error| Error::io("list", &own, error);
        let mut owners = Vec::new();
        let list = match fs::read_dir(&own) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(owners),
            list => list.map_err(|error| io(&error))?,
        };
        for entry in list {
            let name = entry.map_err(|error| io(&error))?.file_name();
            if let Some(owner) = name.to_str().and_then(owner_of) {
                owners.push(owner);
            }
        }
        owners.sort();
        Ok(owners)
    }

    /// Every key that an owner other than this one has or is about to have.
    fn keys_of_others(&self, owner: &str) -> Result<BTreeMap<String, String>> {
        let mut keys = BTreeMap::new();
        for other in self.owners()?.into_iter().filter(|other| other != owner) {
            let published = self.read_manifest(&other)?.1.into_keys();
            let intended =
                self.read_intent(&other)?.map(|(_, entries)| entries).unwrap_or_default();
            for key in published.chain(intended.into_iter().map(|(key, _)| key)) {
                keys.insert(key, other.clone());
            }
        }
        Ok(keys)
    }

    /// What a publish that did not end has put in place: where the bytes are those of the intent.
    fn recover(
        &self,
        entries: &BTreeMap<String, ObjectEntry>,
        intent: &[(String, ObjectEntry)],
    ) -> Result<BTreeMap<String, ObjectEntry>> {
        let mut meant: BTreeMap<&str, Vec<&ObjectEntry>> = BTreeMap::new();
        for (key, entry) in intent {
            meant.entry(key).or_default().push(entry);
        }
        let found: Vec<_> = meant
            .into_par_iter()
            .map(|(key, meant)| {
                let Some(found) = digest_of(&self.folder.join(key))? else { return Ok(None) };
                // The latest of the intended ones is what was written last.
                let entry = meant.into_iter().rev().find(|entry| entry.bytes == found);
                Ok(entry.map(|entry| (key.to_owned(), entry.clone())))
            })
            .collect::<Result<_>>()?;
        let found = found.into_iter().flatten();
        Ok(found.filter(|(key, entry)| entries.get(key) != Some(entry)).collect())
    }

    /// Makes the folders above a key, none of which may be a link or a file.
    fn make_parents(&self, key: &str, made: &mut BTreeSet<PathBuf>) -> Result<()> {
        let parts: Vec<&str> = key.split('/').collect();
        let mut path = self.folder.clone();
        made.insert(path.clone());
        for part in &parts[..parts.len() - 1] {
            path.push(part);
            if made.contains(&path) {
                continue;
            }
            match path.symlink_metadata() {
                Ok(found) if found.is_dir() => {}
                Ok(found) => {
                    let what = if found.is_symlink() { "a symbolic link" } else { "a file" };
                    return Err(Error::user(format!(
                        "`{key}` cannot be published to `{}`: `{}` is {what}",
                        self.destination,
                        path.display()
                    ))
                    .hint(format!("move `{}` away and run it again", path.display())));
                }
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    fs::create_dir(&path).map_err(|error| cannot("make", &path, &error))?;
                }
                Err(error) => return Err(Error::io("look at", &path, &error)),
            }
            made.insert(path.clone());
        }
        Ok(())
    }

    /// The files that are in nobody's manifest.
    fn foreign(&self, known: &BTreeSet<&str>) -> Result<Vec<String>> {
        let mut found = Vec::new();
        let mut folders = vec![String::new()];
        while let Some(folder) = folders.pop() {
            let path = self.folder.join(&folder);
            let list = fs::read_dir(&path).map_err(|error| Error::io("list", &path, &error))?;
            for entry in list {
                let entry = entry.map_err(|error| Error::io("list", &path, &error))?;
                let name = entry.file_name().to_string_lossy().into_owned();
                if folder.is_empty() && name == OWN_FOLDER {
                    continue;
                }
                let key = if folder.is_empty() { name } else { format!("{folder}/{name}") };
                let kind = entry.file_type();
                if kind.map_err(|error| Error::io("look at", &entry.path(), &error))?.is_dir() {
                    folders.push(key);
                } else if !known.contains(key.as_str()) && !self.is_database(&entry.path()) {
                    found.push(key);
                }
            }
        }
        found.sort();
        Ok(found)
    }

    /// Whether a file is one of the databases, or a file that SQLite keeps beside one.
    fn is_database(&self, path: &Path) -> bool {
        self.databases.iter().any(|database| {
            let beside = |suffix: &str| {
                let mut name = database.clone().into_os_string();
                name.push(suffix);
                path == Path::new(&name)
            };
            ["", "-wal", "-shm", "-journal"].into_iter().any(beside)
        })
    }
}

impl ObjectPlace for Folder {
    fn read(
        &self,
        owner: &str,
        wanted: &BTreeMap<String, ObjectEntry>,
        _: Extent<'_>,
    ) -> Result<ObjectsThere> {
        let keys: Vec<&str> = wanted.keys().map(String::as_str).collect();
        let (head, entries) = self.read_manifest(owner)?;
        let (intent, recovered) = match self.read_intent(owner)? {
            Some((digest, intent)) => (Some(digest), self.recover(&entries, &intent)?),
            None => (None, BTreeMap::new()),
        };
        let stands: Vec<Stands> =
            keys.par_iter().map(|key| stands_at(&self.folder.join(key))).collect::<Result<_>>()?;
        let known = |key: &str| entries.contains_key(key) || recovered.contains_key(key);
        let others = match keys.iter().any(|key| !known(key)) {
            true => self.keys_of_others(owner)?,
            false => BTreeMap::new(),
        };
        let mut missing = BTreeSet::new();
        let mut claims = BTreeMap::new();
        for (key, stands) in keys.iter().zip(stands) {
            if known(key) {
                // What is no plain file is not what was published there.
                if stands != Stands::File {
                    missing.insert((*key).to_owned());
                }
            } else if let Some(other) = others.get(*key) {
                claims.insert((*key).to_owned(), Claim::Owner(other.clone()));
            } else if stands != Stands::Nothing {
                claims.insert((*key).to_owned(), Claim::Foreign);
            }
        }
        Ok(ObjectsThere {
            head,
            entries,
            assumed: BTreeSet::new(),
            recovered,
            intent,
            owed: BTreeSet::new(),
            missing,
            claims,
        })
    }

    fn watched(&self, owner: &str, keys: &[&str]) -> Option<BTreeSet<PathBuf>> {
        // The head is replaced by each publish, and an intent comes and goes in its folder.
        let own = self.of_owner(owner);
        let mut watched = BTreeSet::from([own.join("head.json"), own]);
        let mut folders: BTreeSet<&str> = BTreeSet::new();
        for key in keys {
            let mut folder = *key;
            while let Some((above, _)) = folder.rsplit_once('/')
                && folders.insert(above)
            {
                folder = above;
            }
        }
        watched.extend(folders.into_iter().map(|folder| self.folder.join(folder)));
        watched.insert(self.folder.clone());
        Some(watched)
    }

    fn begin<'a>(
        &'a self,
        there: &'a ObjectsThere,
        intent: &[(String, ObjectEntry)],
    ) -> Result<Box<dyn ObjectPublish + 'a>> {
        let owner = &there.head.owner;
        let (own, temp) = (self.own(), self.own().join(".tmp"));
        let chunks = self.of_owner(owner).join("chunks");
        for path in [&temp, &chunks] {
            fs::create_dir_all(path).map_err(|error| cannot("make", path, &error))?;
        }
        let path = own.join(".lock");
        let lock = OpenOptions::new().create(true).append(true).open(&path);
        let lock = lock.map_err(|error| cannot("open", &path, &error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let message = format!("another jheem is publishing to `{}`", self.destination);
                return Err(Error::locked(message).hint("wait for it to end and run it again"));
            }
            Err(TryLockError::Error(error)) => return Err(cannot("lock", &path, &error)),
        }
        let intent_now = self.read_intent(owner)?.map(|(digest, _)| digest);
        if self.read_head(owner)? != there.head || intent_now != there.intent {
            return Err(meanwhile(&self.destination));
        }
        // Only the holder of the lock has files here, so these are of a publish that was killed.
        let left = fs::read_dir(&temp).map_err(|error| Error::io("list", &temp, &error))?;
        for entry in left.flatten() {
            fs::remove_file(entry.path())
                .map_err(|error| cannot("remove", &entry.path(), &error))?;
        }
        let publish = FolderPublish { folder: self, there, temp, lock, folders: BTreeSet::new() };
        publish.replace(
            &self.of_owner(owner).join("intent.jsonl"),
            &manifest::encode_intent(intent),
        )?;
        Ok(Box::new(publish))
    }

    fn as_written(&self, _: &str, objects: &[(&str, &ObjectEntry)]) -> Result<Vec<bool>> {
        let as_written = objects.par_iter().map(|(key, entry)| {
            let path = self.folder.join(key);
            // A pipe would be waited for.
            Ok(stands_at(&path)? == Stands::File && digest_of(&path)? == Some(entry.bytes))
        });
        as_written.collect()
    }

    fn found(
        &self,
        keys: &BTreeSet<&str>,
        see: &mut dyn FnMut(&str, Found) -> Result<()>,
    ) -> Result<()> {
        for key in keys {
            let path = self.folder.join(key);
            if stands_at(&path)? == Stands::File
                && let Some(bytes) = read(&path)?
            {
                see(key, Found { bytes, headers: None, version: None, marked: false })?;
            }
        }
        Ok(())
    }

    // Bytes are read in any case; headers stand in the manifest alone.
    fn drift(&self, there: &ObjectsThere, _: Depth) -> Result<Vec<(String, DriftKind)>> {
        let published = there.published();
        let found: Vec<_> = published
            .par_iter()
            .map(|(key, entry)| {
                let kind = match digest_of(&self.folder.join(key))? {
                    None => DriftKind::Missing,
                    Some(found) if found == entry.bytes => return Ok(None),
                    Some(found) => changed(&entry.bytes, &found),
                };
                Ok(Some((key.clone(), kind)))
            })
            .collect::<Result<_>>()?;
        let mut drift: Vec<_> = found.into_iter().flatten().collect();
        if self.folder.is_dir() {
            let others = self.keys_of_others(&there.head.owner)?;
            let known = published.keys().chain(others.keys()).map(String::as_str).collect();
            let foreign = self.foreign(&known)?;
            drift.extend(foreign.into_iter().map(|key| (key, DriftKind::Foreign)));
        }
        Ok(drift)
    }
}

/// What is under a key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stands {
    Nothing,
    File,
    /// A folder, a link or a device; or a file where a folder would have to be.
    Other,
}

fn stands_at(path: &Path) -> Result<Stands> {
    match path.symlink_metadata() {
        Ok(found) if found.is_file() => Ok(Stands::File),
        Ok(_) => Ok(Stands::Other),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Stands::Nothing),
        Err(error) if error.kind() == ErrorKind::NotADirectory => Ok(Stands::Other),
        Err(error) => Err(Error::io("look at", path, &error)),
    }
}

/// A publish that holds the folder's lock.
struct FolderPublish<'a> {
    folder: &'a Folder,
    there: &'a ObjectsThere,
    temp: PathBuf,
    /// Held for as long as the publish lasts; the system lets go of it when jheem is killed.
    lock: File,
    /// The folders that objects were put into.
    folders: BTreeSet<PathBuf>,
}

impl FolderPublish<'_> {
    /// Replaces a file of jheem's own at once and for good.
    fn replace(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let temp = self.temp.join("own");
        let written = File::create(&temp).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        });
        written
            .and_then(|()| fs::rename(&temp, path))
            .and_then(|()| sync_folder(path.parent().unwrap_or(path)))
            .map_err(|error| cannot("write", path, &error))
    }

    fn stage_all(&self, puts: &[ObjectPut<'_>]) -> Result<()> {
        puts.par_iter()
            .enumerate()
            .map(|(index, put)| match put.write {
                ObjectWrite::Create(source) | ObjectWrite::Replace(source) => {
                    stage(source, &self.temp.join(index.to_string()), put.key, put.entry)
                }
                ObjectWrite::Copy(from, _) => {
                    let source = self.folder.folder.join(from);
                    if stands_at(&source)? != Stands::File {
                        return Err(not_to_copy(&self.folder.destination, put.key, from));
                    }
                    stage(&source, &self.temp.join(index.to_string()), put.key, put.entry)
                }
                ObjectWrite::Headers => Ok(()),
            })
            .collect()
    }

    fn place(&self, put: &ObjectPut<'_>, temp: &Path) -> Result<()> {
        let target = self.folder.folder.join(put.key);
        let moved = match put.write {
            ObjectWrite::Create(_) | ObjectWrite::Copy(..) => rename_new(temp, &target),
            ObjectWrite::Replace(_) => fs::rename(temp, &target),
            // The manifest is where headers stand.
            ObjectWrite::Headers => Ok(()),
        };
        moved.map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => Error::user(format!(
                "`{}` cannot be put into `{}`: something that jheem did not publish stands there",
                put.key, self.folder.destination
            ))
            .hint(format!("move `{}` away and run it again", target.display())),
            _ => cannot("write", &target, &error),
        })
    }
}

impl ObjectPublish for FolderPublish<'_> {
    fn put(
        &mut self,
        puts: &[ObjectPut<'_>],
        placed: &mut dyn FnMut(usize),
        go_on: &mut dyn FnMut() -> Result<()>,
    ) -> Result<()> {
        for (batch, puts) in puts.chunks(BATCH).enumerate() {
            go_on()?;
            self.stage_all(puts)?;
            for (index, put) in puts.iter().enumerate() {
                self.folder.make_parents(put.key, &mut self.folders)?;
                moments::pass(Moment::Copied);
                self.place(put, &self.temp.join(index.to_string()))?;
                moments::pass(Moment::Published);
                placed(batch * BATCH + index);
            }
        }
        // The objects must stand for good before a row or the manifest says so.
        for folder in &self.folders {
            sync_folder(folder).map_err(|error| cannot("write", folder, &error))?;
        }
        Ok(())
    }

    fn read_back(&mut self, _: &str, objects: &[(&str, &ObjectEntry)]) -> Result<()> {
        let as_written = self.folder.as_written("", objects)?;
        match objects.iter().zip(as_written).find(|(_, as_written)| !as_written) {
            Some(((key, _), _)) => Err(not_as_written(&self.folder.destination, key)),
            None => Ok(()),
        }
    }

    fn remove(
        &mut self,
        objects: &[(String, ObjectEntry)],
        told: &mut dyn FnMut(usize, Removal),
    ) -> Result<()> {
        let mut emptied = BTreeSet::new();
        for (index, (key, entry)) in objects.iter().enumerate() {
            let path = self.folder.folder.join(key);
            let removal = match (digest_of(&path)?, stands_at(&path)?) {
                (Some(found), _) if found == entry.bytes => {
                    fs::remove_file(&path).map_err(|error| cannot("remove", &path, &error))?;
                    moments::pass(Moment::Pruned);
                    Removal::Gone
                }
                (None, Stands::Nothing) => Removal::Gone,
                _ => Removal::Kept,
            };
            emptied.extend(path.parent().map(Path::to_owned));
            told(index, removal);
        }
        // It must be gone for good before the manifest says so.
        for folder in &emptied {
            match sync_folder(folder) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(cannot("write", folder, &error));
                }
                _ => {}
            }
        }
        // A folder that is not empty stays, and with it those above.
        for folder in &emptied {
            let above = folder.ancestors().take_while(|above| *above != self.folder.folder);
            let _ends = above.map(fs::remove_dir).find(Result::is_err);
        }
        Ok(())
    }

    /// Chunks that the head does not name go with each manifest that is written.
    fn sweep(&mut self) -> Result<usize> {
        Ok(0)
    }

    fn commit(
        &mut self,
        changed: &BTreeMap<String, ObjectEntry>,
        gone: &BTreeSet<String>,
    ) -> Result<()> {
        let (next, chunks) =
            manifest::rewrite(&self.there.head, &self.there.entries, changed, gone);
        if next == self.there.head {
            return Ok(());
        }
        let owner = self.folder.of_owner(&next.owner);
        for (name, bytes) in &chunks {
            self.replace(&owner.join("chunks").join(next.chunks[name].file(name)), bytes)?;
        }
        moments::pass(Moment::Chunk);
        self.replace(&owner.join("head.json"), &next.encode())?;
        moments::pass(Moment::Head);
        // What the head no longer names is in nobody's way: failing to remove it loses nothing.
        let named: BTreeSet<_> = next.chunks.iter().map(|(name, chunk)| chunk.file(name)).collect();
        for entry in fs::read_dir(owner.join("chunks")).into_iter().flatten().flatten() {
            if !entry.file_name().to_str().is_some_and(|name| named.contains(name)) {
                fs::remove_file(entry.path()).ok();
            }
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<()> {
        let owner = self.folder.of_owner(&self.there.head.owner);
        let path = owner.join("intent.jsonl");
        fs::remove_file(&path)
            .and_then(|()| sync_folder(&owner))
            .map_err(|error| cannot("remove", &path, &error))?;
        self.lock.unlock().map_err(|error| cannot("unlock", &self.folder.own(), &error))
    }
}

/// The name of an owner's folder; the owner is read back from it.
fn file_name(owner: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_+=@, ".contains(c);
    let mut name = String::new();
    for (index, c) in owner.chars().enumerate() {
        if plain(c) || (c == '.' && index > 0) {
            name.push(c);
        } else {
            name.push_str(&format!("%{:X}.", u32::from(c)));
        }
    }
    name
}

/// The owner whose folder has this name; none for jheem's other files.
fn owner_of(name: &str) -> Option<String> {
    if name.is_empty() || name.starts_with('.') {
        return None;
    }
    let mut owner = String::new();
    let mut rest = name;
    while let Some((before, after)) = rest.split_once('%') {
        let (code, after) = after.split_once('.')?;
        owner.push_str(before);
        owner.push(char::from_u32(u32::from_str_radix(code, 16).ok()?)?);
        rest = after;
    }
    owner.push_str(rest);
    Some(owner)
}

/// The bytes of a file, or none if there is none.
fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("read", path, &error)),
    }
}

/// The digest of a file's bytes, or none if no file stands there.
fn digest_of(path: &Path) -> Result<Option<Digest>> {
    // Opening a pipe would wait for its writer.
    if stands_at(path)? != Stands::File {
        return Ok(None);
    }
    let nothing = [ErrorKind::NotFound, ErrorKind::NotADirectory, ErrorKind::IsADirectory];
    let hashed = File::open(path).and_then(|mut file| hash(&mut file, &mut io::sink()));
    match hashed {
        Ok((digest, _)) => Ok(Some(digest)),
        Err(error) if nothing.contains(&error.kind()) => Ok(None),
        Err(error) => Err(Error::io("read", path, &error)),
    }
}

/// Copies everything and tells its digest and size.
fn hash(from: &mut impl Read, to: &mut impl Write) -> io::Result<(Digest, u64)> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 64 * 1024];
    let mut size = 0;
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok((Digest::blake3(hasher.finalize()), size)),
            Ok(count) => {
                hasher.update(&buffer[..count]);
                to.write_all(&buffer[..count])?;
                size += count as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Makes a durable copy of an object's bytes, and refuses others than those that were judged.
///
/// Never a hard link: a reader who edits the site must not edit the cache.
fn stage(source: &Path, temp: &Path, key: &str, entry: &ObjectEntry) -> Result<()> {
    let mut from = File::open(source).map_err(|error| Error::io("read", source, &error))?;
    let to = OpenOptions::new().read(true).write(true).create_new(true).open(temp);
    let mut to = to.map_err(|error| cannot("write", temp, &error))?;
    let copied = match reflink(&to, &from) {
        true => hash(&mut to, &mut io::sink()),
        false => hash(&mut from, &mut to),
    };
    let (found, _) = copied.map_err(|error| cannot("copy to", temp, &error))?;
    if found != entry.bytes {
        return Err(Error::environment(format!(
            "`{}` changed before it was published as `{key}`: it has the digest {}, not {}",
            source.display(),
            found.short(),
            entry.bytes.short()
        ))
        .hint("build it again"));
    }
    to.sync_data().map_err(|error| cannot("write", temp, &error))
}

#[cfg(target_os = "linux")]
fn reflink(to: &File, from: &File) -> bool {
    rustix::fs::ioctl_ficlone(to, from).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn reflink(_: &File, _: &File) -> bool {
    false
}

/// Renames onto a name that nothing has.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Some network file systems cannot: then the look and the rename are two steps.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => match to.symlink_metadata() {
            Ok(_) => Err(ErrorKind::AlreadyExists.into()),
            Err(_) => fs::rename(from, to),
        },
        done => Ok(done?),
    }
}

/// Makes the names in a folder durable.
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// An IO error on the destination's side, with what can be done about it.
fn cannot(verb: &str, path: &Path, error: &io::Error) -> Error {
    // What is to be done about a destination is said here.
    let made = Error { hints: Vec::new(), ..Error::io(verb, path, error) };
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            made.hint("free some space and run it again; what is published stays as it is")
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            made.hint("make the destination writable and run it again")
        }
        _ => made,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owners_folder_has_a_safe_name_that_reads_back() {
        for owner in ["ryan-white-msa", "a/b", "..", ".tmp", "50%", "ä b", "%2F.", "x\ny"] {
            let name = file_name(owner);
            assert!(!name.contains('/') && !name.starts_with('.'), "{name}");
            assert_eq!(owner_of(&name).as_deref(), Some(owner));
        }
        assert_eq!(owner_of(".lock"), None);
    }

    #[test]
    fn a_full_disk_is_named_with_what_to_do() {
        let mut full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let error = hash(&mut &b"plot"[..], &mut full).unwrap_err();
        let shown = cannot("copy to", Path::new("site/a"), &error).render(false);
        assert!(shown.starts_with("error: cannot copy to `site/a`"), "{shown}");
        assert!(shown.contains("hint: free some space"), "{shown}");
    }
}
