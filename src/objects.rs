//! The cache's objects: contents stored by the digest of their bytes, under `cache/objects/`.
//!
//! An object is written beside its place and renamed, so that a kill leaves a temporary file at
//! most. It is read-only and never changed; it is verified whenever it is read, and a bad one is a
//! miss. Knows nothing of targets: who needs an object is asked of the caller.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::memo::{self, Stat};
use crate::moments::{self, Moment};

/// What a put stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    pub digest: Digest,
    pub size: u64,
}

/// How an object came to its place in the project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Blocks are shared; either side may change without the other.
    Reflinked,
    /// One file under two names.
    Linked,
    Copied,
    /// It was there already.
    Kept,
}

#[derive(Clone, Debug)]
pub struct Placed {
    pub how: How,
    /// Taken after the last link.
    pub stat: Stat,
}

/// What a cache folder holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub objects: u64,
    pub bytes: u64,
    pub edited: u64,
    /// Bytes of the logs of runs.
    pub log_bytes: u64,
}

/// What a collection freed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Freed {
    pub objects: u64,
    /// Logs of runs.
    pub logs: u64,
    pub bytes: u64,
    /// Bytes that are left.
    pub kept: u64,
}

/// The operations of the file system that can fail in ways that tests must be able to bring about.
pub trait Links: Send + Sync {
    fn reflink(&self, from: &File, to: &File) -> io::Result<()>;
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn write(&self, to: &mut File, bytes: &[u8]) -> io::Result<()>;
}

/// The real file system.
#[derive(Debug)]
pub struct RealLinks;

impl Links for RealLinks {
    #[cfg(target_os = "linux")]
    fn reflink(&self, from: &File, to: &File) -> io::Result<()> {
        Ok(rustix::fs::ioctl_ficlone(to, from)?)
    }

    #[cfg(not(target_os = "linux"))]
    fn reflink(&self, _: &File, _: &File) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn write(&self, to: &mut File, bytes: &[u8]) -> io::Result<()> {
        to.write_all(bytes)
    }
}

/// Why a placed file did not come to its name.
enum Moving {
    OtherFileSystem,
    Failed(Error),
}

/// How long what arrives from afar may lie there without growing.
const ARRIVING: Duration = Duration::from_secs(7 * 24 * 3600);

/// The objects of one cache folder.
pub struct Objects {
    objects: PathBuf,
    temporary: PathBuf,
    edited: PathBuf,
    links: Box<dyn Links>,
    counter: AtomicU64,
    /// Stats under which objects were found good by this process, so that each is read once.
    good: Mutex<HashSet<(Digest, u64, memo::Nanos, memo::Nanos)>>,
}

impl Objects {
    /// Opens the objects of a cache folder, making the folders if need be.
    pub fn open(cache: &Path) -> Result<Objects> {
        Objects::with_links(cache, Box::new(RealLinks))
    }

    pub fn with_links(cache: &Path, links: Box<dyn Links>) -> Result<Objects> {
        let objects = Objects::at(cache, links);
        for folder in [&objects.objects, &objects.temporary] {
            fs::create_dir_all(folder).map_err(|e| Error::io("make the folder", folder, &e))?;
        }
        Ok(objects)
    }

    /// The objects of a cache folder that is only read; it may not exist.
    pub fn read_only(cache: &Path) -> Objects {
        Objects::at(cache, Box::new(RealLinks))
    }

    fn at(cache: &Path, links: Box<dyn Links>) -> Objects {
        Objects {
            objects: cache.join("objects"),
            temporary: cache.join("objects/tmp"),
            edited: cache.join("edited"),
            links,
            counter: AtomicU64::new(0),
            good: Mutex::new(HashSet::new()),
        }
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        self.objects.join(&hex[..2]).join(&hex[2..])
    }

    fn temporary_name(&self) -> PathBuf {
        let count = self.counter.fetch_add(1, Ordering::Relaxed);
        self.temporary.join(format!("{}-{count}", std::process::id()))
    }

    /// Whether the object is there; it may still turn out bad when it is read.
    pub fn has(&self, digest: &Digest) -> bool {
        self.path(digest).is_file()
    }

    /// Stores the bytes of a plain file; links, pipes and devices are refused, and none is waited for.
    ///
    /// None if the file changed meanwhile.
    pub fn put_file(&self, path: &Path) -> Result<Option<Stored>> {
        let flags = (rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK).bits();
        let flags = i32::try_from(flags).expect("open flags are small");
        let mut from = OpenOptions::new()
            .read(true)
            .custom_flags(flags)
            .open(path)
            .map_err(|e| Error::io("read", path, &e))?;
        let before = from.metadata().map_err(|e| Error::io("look at", path, &e))?;
        if !before.is_file() {
            return Err(Error::environment(format!("`{}` is not a plain file", path.display())));
        }
        let temporary = self.temporary_name();
        let stored = self.copy_in(&mut from, &temporary);
        let (hash, size) = match stored {
            Ok(stored) => stored,
            Err(error) => {
                self.discard(&temporary);
                return Err(error);
            }
        };
        let after = from.metadata().map_err(|e| Error::io("look at", path, &e))?;
        if memo::stat_of(&before) != memo::stat_of(&after) || size != after.len() {
            self.discard(&temporary);
            return Ok(None);
        }
        self.keep(&temporary, Digest::blake3(hash), size).map(Some)
    }

    /// Stores bytes.
    pub fn put_bytes(&self, bytes: &[u8]) -> Result<Stored> {
        let temporary = self.temporary_name();
        let mut from = bytes;
        match self.copy_in(&mut from, &temporary) {
            Ok((hash, size)) => self.keep(&temporary, Digest::blake3(hash), size),
            Err(error) => {
                self.discard(&temporary);
                Err(error)
            }
        }
    }

    /// Where something lies that arrives from afar, until it is whole.
    pub fn arriving(&self, name: &str) -> PathBuf {
        self.objects.join("arriving").join(name)
    }

    /// Makes an object of a file that lies among those that arrive, and has this digest.
    pub fn take(&self, arrived: &Path, digest: Digest, size: u64) -> Result<Stored> {
        fs::set_permissions(arrived, fs::Permissions::from_mode(0o444))
            .map_err(|e| store_error("protect", arrived, &e))?;
        self.keep(arrived, digest, size)
    }

    /// Removes an object that can be had again; returns its bytes.
    pub fn evict(&self, digest: &Digest) -> Result<u64> {
        let path = self.path(digest);
        let Ok(metadata) = fs::symlink_metadata(&path) else { return Ok(0) };
        fs::remove_file(&path).map_err(|e| Error::io("remove", &path, &e))?;
        Ok(metadata.len())
    }

    fn copy_in(&self, from: &mut dyn io::Read, temporary: &Path) -> Result<(blake3::Hash, u64)> {
        let failed = |verb: &str, e: io::Error| store_error(verb, temporary, &e);
        let mut to = File::create(temporary).map_err(|e| failed("write", e))?;
        let mut hasher = blake3::Hasher::new();
        let mut buffer = vec![0; 256 * 1024];
        let mut size = 0;
        loop {
            let read = from.read(&mut buffer).map_err(|e| failed("fill", e))?;
            if read == 0 {
                break;
            }
            hasher.update(&buffer[..read]);
            self.links.write(&mut to, &buffer[..read]).map_err(|e| failed("write", e))?;
            size += read as u64;
        }
        to.set_permissions(fs::Permissions::from_mode(0o444)).map_err(|e| failed("protect", e))?;
        Ok((hasher.finalize(), size))
    }

    fn discard(&self, temporary: &Path) {
        // What stays is swept when the next build begins.
        let _left = fs::remove_file(temporary);
    }

    fn keep(&self, temporary: &Path, digest: Digest, size: u64) -> Result<Stored> {
        let path = self.path(&digest);
        if self.is_good(&digest)? {
            self.discard(temporary);
            return Ok(Stored { digest, size });
        }
        if let Some(folder) = path.parent() {
            // Whatever else stands in the place of an object or its folder is not jheem's.
            if folder.symlink_metadata().is_ok_and(|m| !m.is_dir()) {
                fs::remove_file(folder).map_err(|e| Error::io("remove", folder, &e))?;
            }
            fs::create_dir_all(folder).map_err(|e| store_error("make the folder", folder, &e))?;
        }
        if path.symlink_metadata().is_ok_and(|m| m.is_dir()) {
            fs::remove_dir_all(&path).map_err(|e| Error::io("remove", &path, &e))?;
        }
        moments::pass(Moment::Storing);
        fs::rename(temporary, &path).map_err(|e| store_error("store", &path, &e))?;
        moments::pass(Moment::Stored);
        Ok(Stored { digest, size })
    }

    /// Whether the object is there and its bytes are those of its name; a bad one is removed.
    fn is_good(&self, digest: &Digest) -> Result<bool> {
        let path = self.path(digest);
        let metadata = match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_file() => metadata,
            _ => return Ok(false),
        };
        let stat = memo::stat_of(&metadata);
        let known = (*digest, stat.inode, stat.modified, stat.changed);
        if self.good.lock().is_ok_and(|good| good.contains(&known)) {
            return Ok(true);
        }
        let found = memo::Disk::digest(&memo::RealDisk, &path)
            .map_err(|e| Error::io("read the object", &path, &e))?;
        if found != *digest {
            fs::remove_file(&path)
                .map_err(|e| Error::io("remove the damaged object", &path, &e))?;
            return Ok(false);
        }
        if let Ok(mut good) = self.good.lock() {
            good.insert(known);
        }
        Ok(true)
    }

    /// The object's bytes; none if it is not there or was bad.
    pub fn read(&self, digest: &Digest) -> Result<Option<Vec<u8>>> {
        let path = self.path(digest);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io("read the object", &path, &e)),
        };
        if Digest::of(&bytes) == *digest {
            return Ok(Some(bytes));
        }
        // A reader beside a build may not be allowed to remove it; it is a miss all the same.
        let _left = fs::remove_file(&path);
        Ok(None)
    }

    /// The object's own path, for runs that read it; none if it is not there or was bad.
    pub fn verified_path(&self, digest: &Digest) -> Result<Option<PathBuf>> {
        Ok(self.is_good(digest)?.then(|| self.path(digest)))
    }

    /// Puts an object in place under a project path: atomically, replacing what is there.
    ///
    /// `mode` is 0o444 or 0o555. None if the object is not there or was bad.
    pub fn place(&self, digest: &Digest, path: &Path, mode: u32) -> Result<Option<Placed>> {
        if !self.is_good(digest)? {
            return Ok(None);
        }
        let object = self.path(digest);
        let folder = path
            .parent()
            .ok_or_else(|| Error::bug(format!("`{}` has no folder", path.display())))?;
        fs::create_dir_all(folder).map_err(|e| {
            Error::io("make the folder", folder, &e)
                .hint("see whether a file or a link stands where a folder must be")
        })?;
        if fs::symlink_metadata(path).is_ok_and(|m| m.is_dir()) {
            return Err(Error::environment(format!(
                "a folder stands at `{}`, where an output must be",
                path.display()
            ))
            .hint("move the folder away"));
        }
        // A temporary name among the objects, so that a kill leaves nothing in the project; only
        // where that is another file system must it lie beside the place.
        let temporary = self.temporary_name();
        let how = match self.bring_and_rename(&object, &temporary, path, mode) {
            Err(Moving::OtherFileSystem) => {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                let short: String = name.chars().take(40).collect();
                // The start of the name is shared by many plots, which are placed side by side.
                let count = self.counter.fetch_add(1, Ordering::Relaxed);
                let beside = folder.join(format!(".{short}.jheem-{}-{count}", std::process::id()));
                self.bring_and_rename(&object, &beside, path, mode)
            }
            moved => moved,
        };
        let how = how.map_err(|problem| match problem {
            Moving::Failed(error) => error,
            Moving::OtherFileSystem => {
                Error::environment(format!("cannot place `{}` across file systems", path.display()))
            }
        })?;
        moments::pass(Moment::Placed);
        let metadata = fs::metadata(path).map_err(|e| Error::io("look at", path, &e))?;
        let stat = memo::stat_of(&metadata);
        if how == How::Linked
            && let Ok(mut good) = self.good.lock()
        {
            good.insert((*digest, stat.inode, stat.modified, stat.changed));
        }
        Ok(Some(Placed { how, stat }))
    }

    fn bring_and_rename(
        &self,
        object: &Path,
        temporary: &Path,
        path: &Path,
        mode: u32,
    ) -> std::result::Result<How, Moving> {
        let moved = self.bring(object, temporary, mode).map_err(Moving::Failed).and_then(|how| {
            moments::pass(Moment::Placing);
            fs::rename(temporary, path).map(|()| how).map_err(|e| match e.kind() {
                io::ErrorKind::CrossesDevices => Moving::OtherFileSystem,
                _ => Moving::Failed(store_error("place", path, &e)),
            })
        });
        // After a failure; and renaming one name of a file over another of the same file does
        // nothing at all, by POSIX.
        self.discard(temporary);
        moved
    }

    fn bring(&self, object: &Path, to: &Path, mode: u32) -> Result<How> {
        let mut from = File::open(object).map_err(|e| Error::io("read the object", object, &e))?;
        let _stale = fs::remove_file(to);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o644)
            .open(to)
            .map_err(|e| store_error("write", to, &e))?;
        let protect = |file: &File| {
            file.set_permissions(fs::Permissions::from_mode(mode))
                .map_err(|e| store_error("protect", to, &e))
        };
        if self.links.reflink(&from, &file).is_ok() {
            protect(&file)?;
            return Ok(How::Reflinked);
        }
        // One file has one mode, so only plain outputs share the object's.
        if mode == 0o444 {
            drop(file);
            fs::remove_file(to).map_err(|e| Error::io("remove", to, &e))?;
            if self.links.link(object, to).is_ok() {
                return Ok(How::Linked);
            }
            file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o644)
                .open(to)
                .map_err(|e| store_error("write", to, &e))?;
        }
        let mut buffer = vec![0; 256 * 1024];
        loop {
            let read =
                from.read(&mut buffer).map_err(|e| Error::io("read the object", object, &e))?;
            if read == 0 {
                break;
            }
            self.links
                .write(&mut file, &buffer[..read])
                .map_err(|e| store_error("write", to, &e))?;
        }
        protect(&file)?;
        Ok(How::Copied)
    }

    /// Moves an edited output aside, so that nobody's work is lost; returns where it is kept.
    pub fn keep_edited(&self, path: &Path, project_path: &str) -> Result<PathBuf> {
        let kept = (1..)
            .map(|n| self.edited.join(format!("{project_path}.{n}")))
            .find(|kept| fs::symlink_metadata(kept).is_err())
            .expect("some number is free");
        if let Some(folder) = kept.parent() {
            fs::create_dir_all(folder).map_err(|e| Error::io("make the folder", folder, &e))?;
        }
        if fs::rename(path, &kept).is_err() {
            fs::copy(path, &kept).map_err(|e| store_error("keep", &kept, &e))?;
        }
        Ok(kept)
    }

    /// Removes what killed writers left. The caller holds the project lock.
    pub fn sweep(&self) -> Result<usize> {
        let mut removed = 0;
        let entries =
            fs::read_dir(&self.temporary).map_err(|e| Error::io("list", &self.temporary, &e))?;
        for entry in entries.flatten() {
            if fs::remove_file(entry.path()).is_ok() {
                removed += 1;
            }
        }
        // What was cut off may go on in the next days; later nobody waits for it.
        for entry in fs::read_dir(self.objects.join("arriving")).into_iter().flatten().flatten() {
            let old = entry.metadata().and_then(|found| found.modified());
            let old = old.is_ok_and(|at| at.elapsed().is_ok_and(|ago| ago > ARRIVING));
            if old && fs::remove_file(entry.path()).is_ok() {
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// All objects with their sizes and the time they were last linked or written.
    fn list(&self) -> Result<Vec<(Digest, u64, memo::Nanos)>> {
        let mut found = Vec::new();
        let folders = match fs::read_dir(&self.objects) {
            Ok(folders) => folders,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(found),
            Err(e) => return Err(Error::io("list", &self.objects, &e)),
        };
        for folder in folders.flatten() {
            let first = folder.file_name().to_string_lossy().into_owned();
            if first.len() != 2 {
                continue;
            }
            let files =
                fs::read_dir(folder.path()).map_err(|e| Error::io("list", &folder.path(), &e))?;
            for file in files.flatten() {
                let name = format!("blake3:{first}{}", file.file_name().to_string_lossy());
                if let (Ok(digest), Ok(metadata)) = (name.parse(), file.metadata()) {
                    found.push((digest, metadata.len(), memo::stat_of(&metadata).changed));
                }
            }
        }
        Ok(found)
    }

    pub fn usage(&self) -> Result<Usage> {
        let list = self.list()?;
        let mut edited = 0;
        count_files(&self.edited, &mut edited);
        Ok(Usage {
            objects: list.len() as u64,
            bytes: list.iter().map(|(_, size, _)| size).sum(),
            edited,
            log_bytes: 0,
        })
    }

    /// Removes objects until no more than `limit` bytes are left: by rank, the lowest first, then the oldest.
    ///
    /// `rank` is none for an object that must stay. The caller holds the project lock.
    pub fn collect(&self, rank: &dyn Fn(&Digest) -> Option<u64>, limit: u64) -> Result<Freed> {
        let mut list: Vec<(Option<u64>, memo::Nanos, Digest, u64)> = self
            .list()?
            .into_iter()
            .map(|(digest, size, changed)| (rank(&digest), changed, digest, size))
            .collect();
        list.sort();
        let mut freed =
            Freed { kept: list.iter().map(|(.., size)| size).sum(), ..Freed::default() };
        for (rank, _, digest, size) in list {
            if freed.kept <= limit {
                break;
            }
            if rank.is_none() {
                continue;
            }
            let path = self.path(&digest);
            fs::remove_file(&path).map_err(|e| Error::io("remove", &path, &e))?;
            freed.objects += 1;
            freed.bytes += size;
            freed.kept -= size;
        }
        Ok(freed)
    }
}

fn count_files(folder: &Path, count: &mut u64) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => count_files(&entry.path(), count),
            _ => *count += 1,
        }
    }
}

fn store_error(verb: &str, path: &Path, error: &io::Error) -> Error {
    let made = Error::io(verb, path, error);
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            made.hint("take what the cache does not need out of it: `jheem cache gc --size 10GiB`")
        }
        _ => made,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Broken {
        reflink: bool,
        link: Option<i32>,
        room: Mutex<usize>,
    }

    impl Links for Broken {
        fn reflink(&self, from: &File, to: &File) -> io::Result<()> {
            if self.reflink {
                RealLinks.reflink(from, to)
            } else {
                Err(io::ErrorKind::Unsupported.into())
            }
        }

        fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
            match self.link {
                Some(code) => Err(io::Error::from_raw_os_error(code)),
                None => fs::hard_link(from, to),
            }
        }

        fn write(&self, to: &mut File, bytes: &[u8]) -> io::Result<()> {
            let mut room = self.room.lock().unwrap();
            if *room < bytes.len() {
                to.write_all(&bytes[..*room])?;
                return Err(io::ErrorKind::StorageFull.into());
            }
            *room -= bytes.len();
            to.write_all(bytes)
        }
    }

    fn files_below(folder: &Path) -> usize {
        let mut count = 0;
        count_files(folder, &mut count);
        count as usize
    }

    #[test]
    fn an_object_reads_back_and_lands_in_place_read_only() {
        let folder = tempfile::tempdir().unwrap();
        let objects = Objects::open(&folder.path().join("cache")).unwrap();
        let stored = objects.put_bytes(b"{}").unwrap();
        assert_eq!(objects.read(&stored.digest).unwrap().unwrap(), b"{}");
        let path = folder.path().join("plots/a/b.json");
        let placed = objects.place(&stored.digest, &path, 0o444).unwrap().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"{}");
        assert_eq!(placed.stat.mode & 0o777, 0o444);
        objects.place(&stored.digest, &path, 0o444).unwrap().unwrap();
        assert_eq!(files_below(&folder.path().join("plots")), 1);
    }

    #[test]
    fn a_flipped_bit_or_a_cut_makes_an_object_a_miss() {
        for damage in [&b"{x"[..], b"{", b""] {
            let folder = tempfile::tempdir().unwrap();
            let objects = Objects::open(folder.path()).unwrap();
            let stored = objects.put_bytes(b"{}").unwrap();
            let path = objects.path(&stored.digest);
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
            fs::write(&path, damage).unwrap();
            let objects = Objects::open(folder.path()).unwrap();
            assert!(
                objects.place(&stored.digest, &folder.path().join("p"), 0o444).unwrap().is_none()
            );
            assert!(!objects.has(&stored.digest));
            objects.put_bytes(b"{}").unwrap();
            assert_eq!(objects.read(&stored.digest).unwrap().unwrap(), b"{}");
        }
    }

    #[test]
    fn where_links_are_refused_the_object_is_copied() {
        for (name, code) in
            [("too many links", 31), ("other file system", 18), ("not permitted", 1)]
        {
            let folder = tempfile::tempdir().unwrap();
            let broken = Broken { reflink: false, link: Some(code), room: Mutex::new(1 << 20) };
            let objects = Objects::with_links(folder.path(), Box::new(broken)).unwrap();
            let stored = objects.put_bytes(b"plot").unwrap();
            let path = folder.path().join("out/p.json");
            let placed = objects.place(&stored.digest, &path, 0o444).unwrap().unwrap();
            assert_eq!(placed.how, How::Copied, "{name}");
            assert_eq!(fs::read(&path).unwrap(), b"plot");
        }
    }

    #[test]
    fn a_full_disk_leaves_no_object_and_no_half_output() {
        let folder = tempfile::tempdir().unwrap();
        let broken = Broken { reflink: false, link: Some(18), room: Mutex::new(6) };
        let objects = Objects::with_links(folder.path(), Box::new(broken)).unwrap();
        let stored = objects.put_bytes(b"plot").unwrap();
        let error = objects.put_bytes(b"another").unwrap_err();
        assert!(error.hints[0].contains("free some room"), "{error}");
        assert!(!objects.has(&Digest::of(b"another")));
        let path = folder.path().join("out/p.json");
        objects.place(&stored.digest, &path, 0o444).unwrap_err();
        assert_eq!(files_below(&folder.path().join("out")), 0);
    }

    #[test]
    fn links_pipes_and_folders_are_refused_and_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let objects = Objects::open(&folder.path().join("cache")).unwrap();
        fs::write(folder.path().join("real"), "x").unwrap();
        std::os::unix::fs::symlink("real", folder.path().join("link")).unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for name in ["link", "pipe", "cache"] {
            assert!(objects.put_file(&folder.path().join(name)).is_err(), "{name} was taken");
        }
        assert!(objects.put_file(&folder.path().join("real")).is_ok());
    }

    /// A file that somebody goes on writing while it is stored.
    struct Growing(PathBuf);

    impl Links for Growing {
        fn reflink(&self, from: &File, to: &File) -> io::Result<()> {
            RealLinks.reflink(from, to)
        }

        fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
            RealLinks.link(from, to)
        }

        fn write(&self, to: &mut File, bytes: &[u8]) -> io::Result<()> {
            let grown = fs::metadata(&self.0)?.len() > 8;
            if !grown {
                OpenOptions::new().append(true).open(&self.0)?.write_all(b"and more")?;
            }
            to.write_all(bytes)
        }
    }

    #[test]
    fn a_file_that_changes_while_it_is_stored_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("plot");
        fs::write(&file, "plot").unwrap();
        let cache = folder.path().join("cache");
        let objects = Objects::with_links(&cache, Box::new(Growing(file.clone()))).unwrap();
        assert_eq!(objects.put_file(&file).unwrap(), None);
        assert_eq!(files_below(&cache), 0, "something of it was left");
        let stored = objects.put_file(&file).unwrap().expect("it rests now");
        assert_eq!(objects.read(&stored.digest).unwrap().unwrap(), b"plotand more");
    }

    #[test]
    fn what_a_killed_writer_left_is_swept() {
        let folder = tempfile::tempdir().unwrap();
        let objects = Objects::open(folder.path()).unwrap();
        fs::write(folder.path().join("objects/tmp/77-1"), "half").unwrap();
        assert_eq!(objects.sweep().unwrap(), 1);
        assert_eq!(objects.usage().unwrap().objects, 0);
    }

    #[test]
    fn collecting_takes_the_lowest_rank_first_and_never_what_is_needed() {
        let folder = tempfile::tempdir().unwrap();
        let objects = Objects::open(folder.path()).unwrap();
        let needed = objects.put_bytes(b"needed-12").unwrap().digest;
        let refused = objects.put_bytes(b"refused-1").unwrap().digest;
        let past = objects.put_bytes(b"past-1234").unwrap().digest;
        let rank = |digest: &Digest| match digest {
            d if *d == needed => None,
            d if *d == refused => Some(0),
            _ => Some(7),
        };
        let freed = objects.collect(&rank, 18).unwrap();
        assert_eq!((freed.objects, freed.kept), (1, 18));
        assert!(objects.has(&past) && !objects.has(&refused));
        let freed = objects.collect(&rank, 0).unwrap();
        assert_eq!((freed.objects, freed.kept), (1, 9));
        assert!(objects.has(&needed));
    }
}
