//! Pairs of digests of the same bytes: what comes from afar is known by a SHA-256, and kept by jheem's own.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use crate::digest::Digest;

/// Two digests of the same bytes: jheem's own, by the SHA-256. They come to be known while a build goes on.
#[derive(Debug, Default)]
pub struct Twins(RwLock<HashMap<Digest, Digest>>);

impl Twins {
    pub fn get(&self, sha256: &Digest) -> Option<Digest> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(sha256).copied()
    }

    /// Whether it was not known before.
    pub fn insert(&self, sha256: Digest, blake3: Digest) -> bool {
        let mut twins = self.0.write().unwrap_or_else(PoisonError::into_inner);
        twins.insert(sha256, blake3).is_none()
    }

    /// The SHA-256 by jheem's own digest.
    pub fn reversed(&self) -> HashMap<Digest, Digest> {
        let twins = self.0.read().unwrap_or_else(PoisonError::into_inner);
        twins.iter().map(|(sha256, blake3)| (*blake3, *sha256)).collect()
    }
}

impl FromIterator<(Digest, Digest)> for Twins {
    fn from_iter<I: IntoIterator<Item = (Digest, Digest)>>(pairs: I) -> Twins {
        Twins(RwLock::new(pairs.into_iter().collect()))
    }
}
