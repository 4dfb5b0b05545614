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
    if !wanted.may_go_on(growing.size) {
        growing.begin_anew()?;
    }
    let mut resumed = growing.size > 0;
    let (mut attempt, mut furthest) = (0, growing.size);
    loop {
        let ended = transfer(sources, wanted, &mut growing, asker);
        let why = match ended {
            Ok(()) => match growing.check(&about, wanted.expect) {
                Ok(()) => return growing.keep(objects),
                // What came first may have been of something else, such as a page to log in.
                Err(_) if resumed => None,
                Err(error) => {
                    growing.remove()?;
                    return Err(error);
                }
            },
            Err(Broken::ForGood(error)) => return Err(error),
            Err(Broken::CutOff(why)) => Some(why),
        };
        let stopped = || {
            Error::environment(format!("{about} was not fetched to its end"))
                .because("somebody asked to stop")
                .hint("run it again: it goes on where it stopped")
        };
        if !(asker.go_on)() {
            return Err(stopped());
        }
        match why {
            None => {
                growing.begin_anew()?;
                (resumed, furthest) = (false, 0);
                continue;
            }
            Some(why) if attempt >= ATTEMPTS => {
                return Err(cut_off(&about, wanted, growing.size).because(why));
            }
            Some(_) => {}
        }
        attempt = if growing.size > furthest { 0 } else { attempt + 1 };
        furthest = furthest.max(growing.size);
        if !pause(Duration::from_millis(200) * 2u32.pow(attempt.min(ATTEMPTS)), asker.go_on) {
            return Err(stopped());
        }
        if wanted.may_go_on(growing.size) {
            resumed = growing.size > 0;
        } else {
            growing.begin_anew()?;
        }
    }
}

impl Wanted<'_> {
    /// Whether a part of so many bytes may be gone on with: a digest or its keeper must tell that it is of the same file.
    fn may_go_on(&self, part: u64) -> bool {
        match self.expect {
            Some((_, size)) => part <= size,
            None => self.strong_etag().is_some(),
        }
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

/// Reads on from where the file ends until the other side has no more, and all of it came.
fn transfer(
    sources: &Sources,
    wanted: &Wanted<'_>,
    growing: &mut Growing,
    asker: &Asker<'_>,
) -> Result<(), Broken> {
    let whole = match wanted.expect {
        Some((_, size)) => Some(size),
        None => wanted.seen.and_then(|seen| seen.size).filter(|size| *size > 0),
    };
    if growing.size > 0 && whole == Some(growing.size) {
        return Ok(());
    }
    let opened = sources.open(wanted.location, growing.size, wanted.seen, asker.go_on);
    let mut opened = opened.map_err(Broken::ForGood)?;
    if let (Some((digest, size)), Some(total)) = (wanted.expect, opened.total)
        && size != total
    {
        let came = format!("the lock says {digest} of {size} bytes, and {total} are there");
        return Err(Broken::ForGood(replaced(&format!("`{}`", wanted.location), came)));
    }
    if opened.from < growing.size {
        growing.begin_anew().map_err(Broken::ForGood)?;
    }
    let mut piece = vec![0; PIECE];
    loop {
        if !(asker.go_on)() {
            return Err(Broken::CutOff("somebody asked to stop".into()));
        }
        match opened.reader.read(&mut piece) {
            Ok(0) => {
                let total = opened.total.or(wanted.expect.map(|(_, size)| size));
                return match total {
                    Some(total) if growing.size < total => {
                        Err(Broken::CutOff(format!("{} of {total} bytes came", growing.size)))
                    }
                    _ => Ok(()),
                };
            }
            Ok(read) => {
                growing.take(&piece[..read]).map_err(Broken::ForGood)?;
                (asker.came)(read as u64);
                if wanted.expect.is_some_and(|(_, size)| growing.size > size) {
                    return Ok(());
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(Broken::CutOff(error.to_string())),
        }
    }
}

fn cut_off(about: &str, wanted: &Wanted<'_>, came: u64) -> Error {
    let of = wanted.expect.map_or(String::new(), |(_, size)| format!(" of {size}"));
    Error::environment(format!("{about} was cut off after {came}{of} bytes, again and again"))
        .hint("run it again: it goes on where it stopped")
}

fn replaced(about: &str, because: String) -> Error {
    Error::environment(format!("{about} is not what the lock says: it was replaced"))
        .because(because)
        .hint("run `jheem update` to take what is there now, or put back what was")
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

    fn digest(&self) -> Digest {
        let bytes = self.sha256.clone().finalize().into();
        Digest { algorithm: Algorithm::Sha256, bytes }
    }

    /// Compares what came with what was expected.
    fn check(&self, about: &str, expect: Option<(Digest, u64)>) -> Result<()> {
        let Some((expected, size)) = expect else { return Ok(()) };
        let sha256 = self.digest();
        if (expected, size) == (sha256, self.size) {
            return Ok(());
        }
        let got = match self.size > size {
            true => format!("more than {}", figures::bytes(size)),
            false => sha256.to_string(),
        };
        Err(replaced(about, format!("the lock says {expected}, and {got} came")))
    }

    fn remove(&self) -> Result<()> {
        fs::remove_file(&self.path).map_err(|e| Error::io("remove", &self.path, &e))
    }

    /// Makes an object of what came.
    fn keep(self, objects: &Objects) -> Result<Arrived> {
        let sha256 = self.digest();
        let blake3 = Digest::blake3(self.blake3.finalize());
        let stored = objects.take(&self.path, blake3, self.size)?;
        Ok(Arrived { sha256, stored })
    }
}
