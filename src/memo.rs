//! When a file need not be hashed again.
//!
//! A digest is remembered with the file's stat. It is believed only if the stat is the same in
//! every part, and if the file was already older, when it was hashed, than the file system's
//! clock can tell apart: otherwise a change within the same tick would not show. The change time
//! is part of it, so a modification time that was put back is seen. A stat that differs costs a
//! hash, never a verdict.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::{Error, Result};

/// Nanoseconds since 1970.
pub type Nanos = i128;

/// What the file system says of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stat {
    pub device: u64,
    pub inode: u64,
    pub size: u64,
    pub mode: u32,
    pub modified: Nanos,
    pub changed: Nanos,
}

/// What is remembered of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub stat: Stat,
    pub digest: Digest,
    /// When the hash began.
    pub seen: Nanos,
}

/// What was found at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Looked {
    Missing,
    /// A phrase such as `a folder`.
    NotAFile(&'static str),
    File {
        entry: Entry,
        hashed: bool,
    },
}

/// The file system and its clock, as far as looking at files needs them.
pub trait Disk: Sync {
    /// None if nothing is there. Links are followed: an input may be one.
    fn stat(&self, path: &Path) -> io::Result<Option<Stat>>;
    fn digest(&self, path: &Path) -> io::Result<Digest>;
    /// The clock that file times are taken from.
    fn now(&self) -> Nanos;
}

/// The tick of kernels that take file times from their timer, with some room.
const TICK: Nanos = 20_000_000;
/// The tick of file systems that keep whole seconds, or every other one.
const COARSE_TICK: Nanos = 2_000_000_000;

impl Stat {
    /// Whether a change after this moment must show in the times: they were a tick older by then.
    pub fn tells_since(&self, moment: Nanos) -> bool {
        let coarse = self.modified % 1_000_000_000 == 0 && self.changed % 1_000_000_000 == 0;
        let tick = if coarse { COARSE_TICK } else { TICK };
        self.modified.max(self.changed) + tick < moment
    }
}

impl Entry {
    /// Remembers a file that jheem itself has just put in place.
    pub fn of(stat: Stat, digest: Digest) -> Entry {
        Entry { stat, digest, seen: RealDisk.now() }
    }

    /// Whether the digest may be believed of a file with this stat.
    pub fn holds(&self, stat: &Stat) -> bool {
        self.stat == *stat && stat.tells_since(self.seen)
    }
}

/// Looks at a file, hashing it if what is remembered cannot be believed.
pub fn look(disk: &dyn Disk, known: Option<&Entry>, path: &Path) -> Result<Looked> {
    const TRIES: usize = 5;
    let failed = |verb: &str, e: io::Error| Error::io(verb, path, &e);
    for _ in 0..TRIES {
        let Some(stat) = disk.stat(path).map_err(|e| failed("look at", e))? else {
            return Ok(Looked::Missing);
        };
        match stat.mode & 0o170_000 {
            0o100_000 => {}
            0o040_000 => return Ok(Looked::NotAFile("a folder")),
            _ => return Ok(Looked::NotAFile("a device or pipe")),
        }
        if let Some(known) = known
            && known.holds(&stat)
        {
            return Ok(Looked::File { entry: known.clone(), hashed: false });
        }
        let seen = disk.now();
        let digest = match disk.digest(path) {
            Ok(digest) => digest,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Looked::Missing),
            Err(e) => return Err(failed("read", e)),
        };
        if disk.stat(path).map_err(|e| failed("look at", e))?.as_ref() == Some(&stat) {
            return Ok(Looked::File { entry: Entry { stat, digest, seen }, hashed: true });
        }
    }
    Err(Error::environment(format!("`{}` keeps changing while it is read", path.display()))
        .hint("wait until whatever writes it is done"))
}

/// The real file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

/// The stat of open metadata.
pub fn stat_of(metadata: &std::fs::Metadata) -> Stat {
    let nanos =
        |seconds: i64, nanos: i64| Nanos::from(seconds) * 1_000_000_000 + Nanos::from(nanos);
    Stat {
        device: metadata.dev(),
        inode: metadata.ino(),
        size: metadata.size(),
        mode: metadata.mode(),
        modified: nanos(metadata.mtime(), metadata.mtime_nsec()),
        changed: nanos(metadata.ctime(), metadata.ctime_nsec()),
    }
}

impl Disk for RealDisk {
    fn stat(&self, path: &Path) -> io::Result<Option<Stat>> {
        match std::fs::metadata(path) {
            Ok(metadata) => Ok(Some(stat_of(&metadata))),
            Err(e)
                if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
            {
                Ok(None)
            }
            Err(e) => Err(e),
        }
    }

    fn digest(&self, path: &Path) -> io::Result<Digest> {
        let mut file = File::open(path)?;
        let mut hasher = blake3::Hasher::new();
        let mut buffer = vec![0; 256 * 1024];
        loop {
            let read = file.read(&mut buffer)?;
            if read == 0 {
                return Ok(Digest::blake3(hasher.finalize()));
            }
            hasher.update(&buffer[..read]);
        }
    }

    fn now(&self) -> Nanos {
        std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |d| Nanos::try_from(d.as_nanos()).unwrap_or(Nanos::MAX))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// A file system with one file and a clock that is turned by hand and ticks coarsely.
    struct Coarse {
        tick: Nanos,
        state: Mutex<State>,
    }

    /// The clock, the file's stat and bytes, and how often it was hashed.
    type State = (Nanos, Stat, Vec<u8>, usize);

    impl Coarse {
        fn new(tick: Nanos) -> Coarse {
            let stat =
                Stat { device: 1, inode: 1, size: 1, mode: 0o100_644, modified: 0, changed: 0 };
            Coarse { tick, state: Mutex::new((1_000_000_000_000, stat, vec![b'a'], 0)) }
        }

        fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
            f(&mut self.state.lock().unwrap())
        }

        fn pass(&self, nanos: Nanos) {
            self.with(|s| s.0 += nanos);
        }

        fn write(&self, byte: u8) {
            let tick = self.tick;
            self.with(|s| {
                s.2 = vec![byte];
                s.1.modified = s.0 / tick * tick;
                s.1.changed = s.0 / tick * tick;
            });
        }

        fn look(&self, known: Option<&Entry>) -> (Entry, bool) {
            match look(self, known, Path::new("plot.json")).unwrap() {
                Looked::File { entry, hashed } => (entry, hashed),
                other => panic!("expected a file, found {other:?}"),
            }
        }
    }

    impl Disk for Coarse {
        fn stat(&self, _: &Path) -> io::Result<Option<Stat>> {
            Ok(Some(self.with(|s| s.1.clone())))
        }

        fn digest(&self, _: &Path) -> io::Result<Digest> {
            Ok(self.with(|s| {
                s.3 += 1;
                Digest::of(&s.2)
            }))
        }

        fn now(&self) -> Nanos {
            self.with(|s| s.0)
        }
    }

    #[test]
    fn an_edit_within_one_tick_of_the_file_systems_clock_is_seen() {
        for tick in [4_000_000, 1_000_000_000, 2_000_000_000] {
            let disk = Coarse::new(tick);
            disk.write(b'a');
            let (before, _) = disk.look(None);
            disk.write(b'b');
            let (after, hashed) = disk.look(Some(&before));
            assert!(hashed);
            assert_eq!(after.digest, Digest::of(b"b"), "an edit within {tick} ns was missed");
        }
    }

    #[test]
    fn a_file_that_was_old_enough_is_not_hashed_again() {
        let disk = Coarse::new(1_000_000_000);
        disk.write(b'a');
        disk.pass(COARSE_TICK * 2);
        let (entry, _) = disk.look(None);
        let (_, hashed) = disk.look(Some(&entry));
        assert!(!hashed);
        assert_eq!(disk.with(|s| s.3), 1);
    }

    #[test]
    fn a_modification_time_that_was_put_back_is_seen_by_the_change_time() {
        let disk = Coarse::new(1_000_000);
        disk.write(b'a');
        disk.pass(COARSE_TICK * 2);
        let (entry, _) = disk.look(None);
        let old = disk.with(|s| s.1.modified);
        disk.pass(COARSE_TICK);
        disk.write(b'b');
        disk.with(|s| s.1.modified = old);
        let (after, hashed) = disk.look(Some(&entry));
        assert!(hashed);
        assert_eq!(after.digest, Digest::of(b"b"));
    }

    #[test]
    fn a_touched_file_is_hashed_again_and_found_the_same() {
        let disk = Coarse::new(1_000_000);
        disk.write(b'a');
        disk.pass(COARSE_TICK * 2);
        let (entry, _) = disk.look(None);
        disk.pass(COARSE_TICK);
        disk.write(b'a');
        let (after, hashed) = disk.look(Some(&entry));
        assert!(hashed);
        assert_eq!(after.digest, entry.digest);
    }
}
