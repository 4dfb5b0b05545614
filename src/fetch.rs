//! Brings remote inputs into the cache: resumed where they were cut off, verified on arrival.
//!
//! What is fetched lies beside the objects until it is whole and is what was expected; then it is
//! an object like any other, known by jheem's own digest. Knows nothing of who reads it.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::digest::{Algorithm, Digest};
use crate::error::{Error, Result};
use crate::figures;
use crate::http::pause;
use crate::objects::{Objects, Stored};
use crate::source::{Location, Seen, Sources};

/// How often a transfer that was cut off without having got on is taken up again.
const ATTEMPTS: u32 = 5;
const PIECE: usize = 256 * 1024;

/// What is fetched.
pub struct Wanted<'a> {
    pub location: &'a Location,
    /// What its keeper says of it; a version is asked for by name.
    pub seen: Option<&'a Seen>,
    /// What must arrive, where that is known.
    pub expect: Option<(Digest, u64)>,
}

/// What arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrived {
    pub sha256: Digest,
    pub stored: Stored,
}

/// Who asks for it, and hears how far it is.
pub struct Asker<'a> {
    /// Whether to go on.
    pub go_on: &'a dyn Fn() -> bool,
    /// Called with the number of bytes that came since it was last called.
    pub came: &'a dyn Fn(u64),
}

/// A file that grows, and the digests of what it holds.
struct Growing {
    file: File,
    path: PathBuf,
    blake3: blake3::Hasher,
    sha256: Sha256,
    size: u64,
}

/// Fetches one input.
pub fn fetch(
    sources: &Sources,
    wanted: &Wanted<'_>,
    objects: &Objects,
    asker: &Asker<'_>,
) -> Result<Arrived> {
    let about = format!("`{}`", wanted.location);
    let mut growing = Growing::open(&objects.arriving(&name(wanted)))?;
    // What came may be of another file, unless its end or its keeper tells.
    if wanted.size().is_some_and(|size| growing.size > size)
        || wanted.expect.is_none() && wanted.strong_etag().is_none()
    {
        growing.begin_anew()?;
    }
    let mut attempt = 0;
    loop {
        let before = growing.size;
        let ended = transfer(sources, wanted, &mut growing, asker);
        let whole = match wanted.size() {
            Some(size) => growing.size >= size,
            None => ended.is_ok(),
        };
        if whole {
            break;
        }
        let stopped = || {
            Error::environment(format!("{about} was not fetched to its end"))
                .because("somebody asked to stop")
                .hint("run it again: it goes on where it stopped")
        };
        if !(asker.go_on)() {
            return Err(stopped());
        }
        attempt = if growing.size > before { 0 } else { attempt + 1 };
        match ended {
            Err(Broken::ForGood(error)) => return Err(error),
            Err(Broken::CutOff(why)) if attempt >= ATTEMPTS => {
                return Err(cut_off(&about, wanted, growing.size).because(why));
            }
            Ok(()) if attempt >= ATTEMPTS => return Err(cut_off(&about, wanted, growing.size)),
            Ok(()) | Err(Broken::CutOff(_)) => {
                if !pause(Duration::from_millis(200) * 2u32.pow(attempt), asker.go_on) {
                    return Err(stopped());
                }
                // It may be read anew only if it is still what it was.
                if wanted.expect.is_none() && wanted.strong_etag().is_none() {
                    growing.begin_anew()?;
                }
            }
        }
    }
    growing.keep(objects, &about, wanted.expect)
}

impl Wanted<'_> {
    /// How many bytes must come, where that is known.
    fn size(&self) -> Option<u64> {
        self.expect.map(|(_, size)| size).or_else(|| self.seen.and_then(|seen| seen.size))
    }

    /// What tells for sure whether it is still the same, if its keeper says that.
    fn strong_etag(&self) -> Option<&str> {
        self.seen?.etag.as_deref().filter(|etag| etag.starts_with('"'))
    }
}

/// Something in the middle of a transfer.
enum Broken {
    CutOff(String),
    ForGood(Error),
}

/// Reads on from where the file ends until the other side has no more.
fn transfer(
    sources: &Sources,
    wanted: &Wanted<'_>,
    growing: &mut Growing,
    asker: &Asker<'_>,
) -> Result<(), Broken> {
    if wanted.size() == Some(growing.size) {
        return Ok(());
    }
    let opened = sources.open(wanted.location, growing.size, wanted.seen, asker.go_on);
    let mut opened = opened.map_err(Broken::ForGood)?;
    if opened.from < growing.size {
        growing.begin_anew().map_err(Broken::ForGood)?;
    }
    let mut piece = vec![0; PIECE];
    loop {
        if !(asker.go_on)() {
            return Err(Broken::CutOff("somebody asked to stop".into()));
        }
        match opened.reader.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(read) => {
                growing.take(&piece[..read]).map_err(Broken::ForGood)?;
                (asker.came)(read as u64);
                if wanted.size().is_some_and(|size| growing.size > size) {
                    return Ok(());
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Broken::CutOff(error.to_string())),
        }
    }
}

fn cut_off(about: &str, wanted: &Wanted<'_>, came: u64) -> Error {
    let of = wanted.size().map_or(String::new(), |size| format!(" of {size}"));
    Error::environment(format!("{about} was cut off after {came}{of} bytes, again and again"))
        .hint("run it again: it goes on where it stopped")
}

/// What is not whole yet is found again by what it should become, or by where it comes from.
fn name(wanted: &Wanted<'_>) -> String {
    match wanted.expect {
        Some((digest, _)) => digest.hex(),
        None => {
            let etag = wanted.seen.and_then(|seen| seen.etag.as_deref()).unwrap_or_default();
            Digest::of(format!("{}\n{etag}", wanted.location).as_bytes()).hex()
        }
    }
}

impl Growing {
    /// Opens what came so far, and reads it again to know its digests.
    fn open(path: &Path) -> Result<Growing> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|e| Error::io("make the folder", folder, &e))?;
        }
        let open = || OpenOptions::new().read(true).append(true).create(true).open(path);
        let file = open().or_else(|error| {
            // One that was about to be taken when jheem was killed can be written no more.
            if error.kind() != ErrorKind::PermissionDenied {
                return Err(error);
            }
            fs::remove_file(path)?;
            open()
        });
        let file = file.map_err(|e| Error::io("write", path, &e))?;
        let mut growing = Growing {
            file,
            path: path.to_owned(),
            blake3: blake3::Hasher::new(),
            sha256: Sha256::new(),
            size: 0,
        };
        let mut piece = vec![0; PIECE];
        loop {
            let read = growing.file.read(&mut piece).map_err(|e| Error::io("read", path, &e))?;
            if read == 0 {
                return Ok(growing);
            }
            growing.note(&piece[..read]);
        }
    }

    fn note(&mut self, piece: &[u8]) {
        self.blake3.update(piece);
        self.sha256.update(piece);
        self.size += piece.len() as u64;
    }

    fn take(&mut self, piece: &[u8]) -> Result<()> {
        self.file.write_all(piece).map_err(|e| Error::io("write", &self.path, &e))?;
        self.note(piece);
        Ok(())
    }

    fn begin_anew(&mut self) -> Result<()> {
        self.file.set_len(0).map_err(|e| Error::io("write", &self.path, &e))?;
        self.blake3 = blake3::Hasher::new();
        self.sha256 = Sha256::new();
        self.size = 0;
        Ok(())
    }

    /// Makes an object of what came, if it is what was expected.
    fn keep(
        self,
        objects: &Objects,
        about: &str,
        expect: Option<(Digest, u64)>,
    ) -> Result<Arrived> {
        let sha256 = Digest { algorithm: Algorithm::Sha256, bytes: self.sha256.finalize().into() };
        if let Some((expected, size)) = expect
            && (expected, size) != (sha256, self.size)
        {
            fs::remove_file(&self.path).map_err(|e| Error::io("remove", &self.path, &e))?;
            let got = match self.size > size {
                true => format!("more than {}", figures::bytes(size)),
                false => sha256.to_string(),
            };
            return Err(Error::environment(format!(
                "{about} is not what the lock says: it was replaced"
            ))
            .because(format!("the lock says {expected}, and {got} came"))
            .hint("run `jheem update` to take what is there now, or put back what was"));
        }
        let blake3 = Digest::blake3(self.blake3.finalize());
        let stored = objects.take(&self.path, blake3, self.size)?;
        Ok(Arrived { sha256, stored })
    }
}
