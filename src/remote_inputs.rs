//! What of the remote inputs is on this machine, and how the rest comes.
//!
//! Shared by all who prepare or await runs. Knows nothing of rules: an input is known by the
//! SHA-256 that the lock gives it, and one that several read is fetched once.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::fetch::{self, Arrived, Asker, Wanted};
use crate::lockfile::{Lockfile, PinnedInput};
use crate::objects::Objects;
use crate::source::{Location, Seen, Sources};
use crate::twins::Twins;

/// The remote inputs of a project.
pub struct RemoteInputs<'a> {
    sources: &'a Sources,
    /// A source of each, by the SHA-256.
    pinned: BTreeMap<Digest, (&'a str, &'a PinnedInput)>,
    /// jheem's own digests, by the SHA-256.
    twins: &'a Twins,
}

impl PinnedInput {
    /// What its keeper said of it when it was pinned.
    pub fn seen(&self) -> Seen {
        Seen {
            digest: Some(self.digest),
            size: Some(self.size),
            etag: self.etag.clone(),
            version: self.version.clone(),
            asset: self.asset.clone(),
        }
    }
}

impl<'a> RemoteInputs<'a> {
    pub fn new(sources: &'a Sources, lock: &'a Lockfile, twins: &'a Twins) -> RemoteInputs<'a> {
        let pinned = lock.inputs.iter().map(|(source, pin)| (pin.digest, (source.as_str(), pin)));
        RemoteInputs { sources, pinned: pinned.collect(), twins }
    }

    /// Where it comes from.
    pub fn source(&self, sha256: &Digest) -> &'a str {
        self.pinned.get(sha256).map_or("an unknown source", |(source, _)| source)
    }

    /// The number of its bytes.
    pub fn size(&self, sha256: &Digest) -> u64 {
        self.pinned.get(sha256).map_or(0, |(_, pin)| pin.size)
    }

    /// Its file in the cache, if it is there and good.
    pub fn path(&self, objects: &Objects, sha256: &Digest) -> Result<Option<PathBuf>> {
        match self.twins.get(sha256) {
            Some(digest) => objects.verified_path(&digest),
            None => Ok(None),
        }
    }

    /// Whether it is in the cache, and good; one that is not is as good as none.
    pub fn is_here(&self, objects: &Objects, sha256: &Digest) -> bool {
        matches!(self.path(objects, sha256), Ok(Some(_)))
    }

    /// Brings it into the cache.
    pub fn fetch(&self, objects: &Objects, sha256: &Digest, asker: &Asker<'_>) -> Result<Arrived> {
        let Some((source, pin)) = self.pinned.get(sha256) else {
            return Err(Error::bug(format!("{sha256} is in no lock")));
        };
        let location = Location::of(source)?;
        // What its keeper says now is asked first: it may be gone, or another. An old version that is kept is neither.
        if pin.version.is_none() {
            let Some(now) = self.sources.look(&location, asker.go_on)? else {
                return Err(gone(source));
            };
            if let Some(error) = replaced(source, pin, &now) {
                return Err(error);
            }
        }
        let seen = pin.seen();
        let expect = Some((pin.digest, pin.size));
        let wanted = Wanted { location: &location, seen: Some(&seen), expect };
        let arrived = fetch::fetch(self.sources, &wanted, objects, asker)?;
        self.twins.insert(arrived.sha256, arrived.stored.digest);
        Ok(arrived)
    }

    /// Drops it from the cache; it can be fetched again. Returns its bytes.
    ///
    /// `needed` says which objects are something else as well.
    pub fn evict(
        &self,
        objects: &Objects,
        sha256: &Digest,
        needed: &dyn Fn(&Digest) -> bool,
    ) -> Result<u64> {
        match self.twins.get(sha256) {
            Some(digest) if !needed(&digest) => objects.evict(&digest),
            _ => Ok(0),
        }
    }
}

/// The error for a source where nothing stands any more.
pub fn gone(source: &str) -> Error {
    Error::environment(format!("nothing stands at `{source}`, which the lock pins"))
        .hint("put it back, or mend the `source` and run `jheem update`")
}

/// The error for a source of which its keeper says that it is another, as far as that can be told without reading it.
pub fn replaced(source: &str, pin: &PinnedInput, now: &Seen) -> Option<Error> {
    let because = match (now.digest, now.size) {
        (Some(digest), _) if digest != pin.digest => {
            format!("the lock says {}, and {digest} is there", pin.digest)
        }
        (None, Some(size)) if size != pin.size => {
            format!("the lock says {} bytes, and {size} are there", pin.size)
        }
        _ => return None,
    };
    Some(
        Error::environment(format!("`{source}` is not what the lock says: it was replaced"))
            .because(because)
            .hint("run `jheem update` to take what is there now, or put back what was"),
    )
}
