//! Tagged 32-byte digests: how every content, request and record is named.
//!
//! Knows nothing of files, of what is hashed, or of why.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The function that made a digest; it is part of the digest's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Algorithm {
    /// What jheem computes itself.
    Blake3,
    /// What registries, releases and object stores give.
    Sha256,
}

impl Algorithm {
    /// The tag in front of the hexadecimal digits.
    pub fn tag(self) -> &'static str {
        match self {
            Algorithm::Blake3 => "blake3",
            Algorithm::Sha256 => "sha256",
        }
    }
}

/// A digest of 32 bytes and the function that made it, written `blake3:<64 hex digits>`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest {
    pub algorithm: Algorithm,
    pub bytes: [u8; 32],
}

impl Digest {
    /// The BLAKE3 digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Digest {
        Digest::blake3(blake3::hash(bytes))
    }

    /// Names a finished BLAKE3 hash.
    pub fn blake3(hash: blake3::Hash) -> Digest {
        Digest { algorithm: Algorithm::Blake3, bytes: *hash.as_bytes() }
    }

    /// The 64 hexadecimal digits, without the tag.
    pub fn hex(&self) -> String {
        blake3::Hash::from_bytes(self.bytes).to_hex().to_string()
    }

    /// The tag and the first eight digits: enough for a person to tell two apart.
    pub fn short(&self) -> String {
        format!("{}:{}", self.algorithm.tag(), &self.hex()[..8])
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.tag(), self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = String;

    fn from_str(text: &str) -> Result<Digest, String> {
        let malformed =
            || format!("`{text}` is not a digest: expected `blake3:` or `sha256:` and 64 digits");
        let (tag, hex) = text.split_once(':').ok_or_else(malformed)?;
        let algorithm = match tag {
            "blake3" => Algorithm::Blake3,
            "sha256" => Algorithm::Sha256,
            _ => return Err(malformed()),
        };
        let hash = blake3::Hash::from_hex(hex).map_err(|_| malformed())?;
        Ok(Digest { algorithm, bytes: *hash.as_bytes() })
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            (self.algorithm, self.bytes).serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
        if deserializer.is_human_readable() {
            String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
        } else {
            let (algorithm, bytes) = <(Algorithm, [u8; 32])>::deserialize(deserializer)?;
            Ok(Digest { algorithm, bytes })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_reads_back_as_it_was_written() {
        let digest = Digest::of(b"plot");
        assert_eq!(digest.to_string().parse::<Digest>(), Ok(digest));
        let json = serde_json::to_string(&digest).unwrap();
        assert_eq!(serde_json::from_str::<Digest>(&json).unwrap(), digest);
        let packed = postcard::to_stdvec(&digest).unwrap();
        assert_eq!(packed.len(), 33);
        assert_eq!(postcard::from_bytes::<Digest>(&packed).unwrap(), digest);
    }

    #[test]
    fn a_malformed_digest_is_refused_and_named() {
        for text in ["", "blake3", "md5:00", "blake3:zz", "sha256:abcd"] {
            assert!(text.parse::<Digest>().unwrap_err().contains(text));
        }
    }
}
