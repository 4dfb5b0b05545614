//! Editions: all objects of a publish below a prefix that is named by the digest of their manifest, and an index beside them.
//!
//! An edition is never written over, so that who reads one sees one state, whole, for as long as it is kept; the index
//! names the latest. Both are for readers, who need no jheem. Pure: knows nothing of places.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

use super::manifest::{ObjectEntry, decode_versioned};
use super::wanted::Headers;

/// The object, in each edition, that lists the others.
pub const MANIFEST: &str = "manifest.json";
/// What readers and caches are told of objects in editions, unless the Jheemfile says otherwise.
pub const CACHE_CONTROL: &str = "public, max-age=31536000, immutable";
/// The metadata in which an index tells the edition that it names, and the digest of its list.
pub const NAMED: &str = "edition";
pub const LIST: &str = "edition-manifest";

const FORMAT: u32 = 1;
/// How many hexadecimal digits of its manifest's digest name an edition.
const DIGITS: usize = 16;

/// The list of an edition, by key.
#[derive(Debug, Serialize)]
struct Listing<'a> {
    format: u32,
    project: &'a str,
    objects: BTreeMap<&'a str, Listed<'a>>,
}

/// What stands under a key, as far as it decides which edition it is: what is uncompared does not.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Listed<'a> {
    /// Of the bytes that stand there, packed if they are.
    pub digest: Digest,
    pub size: u64,
    #[serde(flatten)]
    pub headers: &'a Headers,
}

/// The text of the object that names the latest edition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    format: u32,
    project: String,
    /// The prefix of its keys, beside the index.
    pub edition: String,
    /// The key of its list, beside the index.
    manifest: String,
    /// Of the list's bytes.
    pub digest: Digest,
    /// How many it lists.
    objects: usize,
    /// All of them together.
    bytes: u64,
}

/// An edition that was put together: its name, its list and the index that names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edition {
    pub name: String,
    pub list: Vec<u8>,
    pub index: Vec<u8>,
}

impl Edition {
    /// The edition of just these objects, whose keys are those in it.
    pub fn of(project: &str, objects: BTreeMap<&str, Listed<'_>>) -> Edition {
        let (count, bytes) = (objects.len(), objects.values().map(|listed| listed.size).sum());
        let list = text(&Listing { format: FORMAT, project, objects });
        let index = Index::of(project, Digest::of(&list), count, bytes);
        Edition { name: index.edition.clone(), list, index: index.encode() }
    }
}

impl Index {
    /// The index that names the edition of a list with this digest.
    pub fn of(project: &str, digest: Digest, objects: usize, bytes: u64) -> Index {
        let edition = digest.hex()[..DIGITS].to_owned();
        let (format, project) = (FORMAT, project.to_owned());
        let manifest = below(&edition, MANIFEST);
        Index { format, project, edition, manifest, digest, objects, bytes }
    }

    pub fn encode(&self) -> Vec<u8> {
        text(self)
    }

    /// Reads a stored index. The error is a fragment that says what is wrong with it.
    pub fn decode(bytes: &[u8]) -> Result<Index, String> {
        decode_versioned(bytes, "an index of editions")
    }
}

/// The key of an object in an edition.
pub fn below(edition: &str, key: &str) -> String {
    format!("{edition}/{key}")
}

/// The edition that a key is in, and the key there; none if it is in none.
pub fn parts(key: &str) -> Option<(&str, &str)> {
    key.split_once('/').filter(|(edition, _)| is_name(edition))
}

/// Whether a key is in this edition.
pub fn holds(edition: &str, key: &str) -> bool {
    parts(key).is_some_and(|(found, _)| found == edition)
}

/// The edition that a folder is of or in.
pub fn of_folder(folder: &str) -> Option<&str> {
    folder.split('/').next().filter(|first| is_name(first))
}

fn is_name(text: &str) -> bool {
    let digit = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    text.len() == DIGITS && text.chars().all(digit)
}

/// The key in its edition, or as it is.
pub fn inside(key: &str) -> &str {
    parts(key).map_or(key, |(_, inside)| inside)
}

/// The edition that an entry names, if it is an index.
pub fn named(entry: &ObjectEntry) -> Option<&str> {
    let name = entry.headers.metadata.get(NAMED)?;
    let list = list_of(entry)?.hex();
    // Somebody's own metadata may be called so, too.
    (list.get(..DIGITS) == Some(name.as_str())).then_some(name.as_str())
}

/// The digest of the list of the edition that the entry of an index names.
pub fn list_of(entry: &ObjectEntry) -> Option<Digest> {
    entry.headers.metadata.get(LIST)?.parse().ok()
}

fn text(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(value).expect("plain data is written as JSON");
    bytes.push(b'\n');
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edition_is_named_by_what_is_in_it_and_by_nothing_else() {
        let headers = Headers::default();
        let listed = |text: &str| Listed {
            digest: Digest::of(text.as_bytes()),
            size: text.len() as u64,
            headers: &headers,
        };
        let first = Edition::of("rw", [("a", listed("1")), ("b", listed("2"))].into());
        assert_eq!(first, Edition::of("rw", [("b", listed("2")), ("a", listed("1"))].into()));
        for other in [
            [("a", listed("1")), ("b", listed("3"))],
            [("a", listed("1")), ("c", listed("2"))],
            [("a", listed("2")), ("b", listed("1"))],
        ] {
            assert_ne!(Edition::of("rw", other.into()).name, first.name);
        }
        let typed = Headers { content_type: Some("text/html".into()), ..Headers::default() };
        let typed = Listed { headers: &typed, ..listed("1") };
        assert_ne!(Edition::of("rw", [("a", typed), ("b", listed("2"))].into()).name, first.name);
        // Whoever reads the list can tell that it is the one that the name promises.
        assert_eq!(Digest::of(&first.list).hex()[..DIGITS], first.name);
        let index = Index::decode(&first.index).unwrap();
        assert_eq!((index.edition, index.digest), (first.name, Digest::of(&first.list)));
        assert_eq!((index.objects, index.bytes), (2, 2));
    }

    #[test]
    fn a_key_in_an_edition_is_told_from_others() {
        assert_eq!(parts("0123456789abcdef/a/b.json"), Some(("0123456789abcdef", "a/b.json")));
        for other in ["index.json", "C.12580/a.json", "0123456789ABCDEF/a", "0123456789abcdef"] {
            assert_eq!(parts(other), None, "{other}");
        }
        assert!(Index::decode(b"{}").unwrap_err().contains("not an index of editions"));
        assert!(Index::decode(br#"{"format":2}"#).unwrap_err().contains("of a later jheem"));
    }
}
