//! The manifest of a destination: what is published there, as text in chunks under one head.
//!
//! Pure. A chunk is a file of JSON lines, sorted by key; a change rewrites only the chunks of the keys that changed.
//! The head names every chunk by digest and is replaced last, so that a reader sees the old or the new manifest whole.
//! Chunks are chosen by the folders of a key (`grouping`), so that what is rebuilt together (a city) lies together.
//! The intent has the lines of all that is about to be written; a publish that was killed leaves it behind.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;

use super::attribute::Item;
use super::grouping;
use super::wanted::Headers;

/// The version of all that is written here; a reader refuses a later one.
pub const FORMAT: u32 = 1;

/// What is published under one key. `content`, `bytes` and `size` describe what stands there,
/// which may have other bytes than what was last built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectEntry {
    /// The publish that it comes from, for people.
    pub publish: String,
    pub content: Digest,
    pub bytes: Digest,
    pub judged: Digest,
    pub size: u64,
    /// The digest of the bytes as they were built, where jheem packed what stands there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packed: Option<Digest>,
    pub headers: Headers,
    /// Metadata that is written with the headers but never compared.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub uncompared: BTreeMap<String, String>,
    /// The version that the destination gave it, where it gives any (an ETag).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Whether it was found there and adopted: somebody says that it is this, and no build made its bytes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub attested: bool,
    /// Whether it was rolled back to, and is left as it is until somebody lets go of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub held: bool,
}

impl ObjectEntry {
    /// The digest of the bytes that what stands there was made of.
    pub fn built(&self) -> Digest {
        self.packed.unwrap_or(self.bytes)
    }

    /// The headers as a destination gives them to a reader.
    pub fn all_headers(&self) -> Headers {
        let mut headers = self.headers.clone();
        headers.metadata.extend(self.uncompared.clone());
        headers
    }
}

/// A row as it is published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowEntry {
    /// The publish that it comes from, for people.
    pub publish: String,
    pub item: Item,
    /// Attributes that are written with the item but never compared.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub uncompared: Item,
    /// The digest of the bytes of the object that it registers, as they were published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<Digest>,
    /// Whether it was found there and adopted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub attested: bool,
    /// Whether it was rolled back to, and is left as it is until somebody lets go of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub held: bool,
}

impl RowEntry {
    /// The item as a destination holds it.
    pub fn whole_item(&self) -> Item {
        let mut item = self.item.clone();
        item.extend(self.uncompared.clone());
        item
    }
}

/// Entries with their keys, as they are stored.
pub type Lines = Vec<(String, ObjectEntry)>;

/// The head of a manifest: its chunks by name. No chunk is what was never published to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    pub format: u32,
    pub owner: String,
    /// How many parts of a key choose its chunk; where it is not said, all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depth: Option<usize>,
    pub chunks: BTreeMap<String, Chunk>,
}

/// One chunk as the head names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chunk {
    pub digest: Digest,
    pub entries: usize,
}

impl Head {
    pub fn empty(owner: &str) -> Head {
        Head { format: FORMAT, owner: owner.to_owned(), depth: None, chunks: BTreeMap::new() }
    }

    /// The head as it is stored.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("a head is plain data");
        bytes.push(b'\n');
        bytes
    }

    /// Reads a stored head. The error is a fragment that says what is wrong with it.
    pub fn decode(bytes: &[u8]) -> Result<Head, String> {
        decode_versioned(bytes, "a manifest's head")
    }
}

/// Reads what has a `format` beside its other fields. The error is a fragment that says what is wrong.
pub fn decode_versioned<T: DeserializeOwned>(bytes: &[u8], what: &str) -> Result<T, String> {
    // Only the version is looked at first: a later one may have any other shape.
    #[derive(Deserialize)]
    struct Version {
        format: u32,
    }
    let wrong = |error: serde_json::Error| format!("is not {what}: {error}");
    let version: Version = serde_json::from_slice(bytes).map_err(wrong)?;
    if version.format != FORMAT {
        return Err(format!("has the format {}, of a later jheem", version.format));
    }
    serde_json::from_slice(bytes).map_err(wrong)
}

impl Chunk {
    /// The name of the file that holds the chunk; another content has another name.
    pub fn file(&self, name: &str) -> String {
        format!("{name}-{}.jsonl", &self.digest.hex()[..16])
    }
}

/// One line for each entry.
pub fn encode_lines<'a, E: Serialize + 'a>(
    entries: impl IntoIterator<Item = (&'a str, &'a E)>,
) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in entries {
        serde_json::to_writer(&mut bytes, &entry).expect("an entry is plain data");
        bytes.push(b'\n');
    }
    bytes
}

/// Reads lines back. The error is a fragment that says what is wrong with them.
pub fn decode_lines<E: DeserializeOwned>(bytes: &[u8]) -> Result<Vec<(String, E)>, String> {
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).enumerate();
    lines
        .map(|(index, line)| {
            serde_json::from_slice(line)
                .map_err(|error| format!("has a line {} that cannot be read: {error}", index + 1))
        })
        .collect()
}

/// Reads a chunk that must be the one the head names. The error is a fragment.
pub fn decode_chunk(bytes: &[u8], chunk: &Chunk) -> Result<Lines, String> {
    let found = Digest::of(bytes);
    if found != chunk.digest {
        let (found, named) = (found.short(), chunk.digest.short());
        return Err(format!("has the digest {found}, but the head names {named}"));
    }
    decode_lines(bytes)
}

/// The intent as it is stored: the lines, under one line that tells whether they are whole.
pub fn encode_intent(entries: &[(String, ObjectEntry)]) -> Vec<u8> {
    let lines = encode_lines(entries.iter().map(|(key, entry)| (key.as_str(), entry)));
    let mut bytes = serde_json::to_vec(&(FORMAT, Digest::of(&lines))).expect("plain data");
    bytes.push(b'\n');
    bytes.extend(lines);
    bytes
}

/// Reads an intent back. The error is a fragment that says what is wrong with it.
pub fn decode_intent(bytes: &[u8]) -> Result<Lines, String> {
    let end = bytes.iter().position(|byte| *byte == b'\n').ok_or("is cut off")?;
    let (first, lines) = (&bytes[..end], &bytes[end + 1..]);
    let (format, digest): (u32, Digest) =
        serde_json::from_slice(first).map_err(|error| format!("is not an intent: {error}"))?;
    if format != FORMAT {
        return Err(format!("has the format {format}, of a later jheem"));
    }
    if Digest::of(lines) != digest {
        return Err("is not what its first line says".into());
    }
    decode_lines(lines)
}

/// The head after `changed` and without what is `gone`, and the chunks that have to be written for it, by name.
pub fn rewrite(
    head: &Head,
    there: &BTreeMap<String, ObjectEntry>,
    changed: &BTreeMap<String, ObjectEntry>,
    gone: &BTreeSet<String>,
) -> (Head, BTreeMap<String, Vec<u8>>) {
    // A manifest that was begun before parts were counted goes by all of them.
    let before = match head.chunks.is_empty() {
        true => 1,
        false => head.depth.unwrap_or(grouping::ALL),
    };
    let group = |key: &str, depth| grouping::of_object(key, depth).to_owned();
    let all = || there.keys().chain(changed.keys().filter(|key| !there.contains_key(*key)));
    let depth = grouping::depth(all().map(String::as_str), before, group);
    let chunk_of = |key: &str| grouping::chunk(grouping::of_object(key, depth));
    // In groups of other keys every chunk is another.
    let touched: BTreeSet<String> = match depth == before {
        true => changed.keys().chain(gone).map(|key| chunk_of(key)).collect(),
        false => all().map(|key| chunk_of(key)).collect(),
    };
    let mut members: BTreeMap<String, BTreeMap<&str, &ObjectEntry>> = BTreeMap::new();
    for (key, entry) in there.iter().chain(changed).filter(|(key, _)| !gone.contains(*key)) {
        let name = chunk_of(key);
        if touched.contains(&name) {
            members.entry(name).or_default().insert(key, entry);
        }
    }
    let mut next = head.clone();
    if !members.is_empty() {
        next.depth = Some(depth).filter(|depth| *depth != grouping::ALL);
    }
    match depth == before {
        true => next.chunks.retain(|name, _| !touched.contains(name) || members.contains_key(name)),
        false => next.chunks.clear(),
    }
    let mut chunks = BTreeMap::new();
    for (name, entries) in members {
        let count = entries.len();
        let bytes = encode_lines(entries);
        let chunk = Chunk { digest: Digest::of(&bytes), entries: count };
        if next.chunks.get(&name) != Some(&chunk) {
            next.chunks.insert(name.clone(), chunk);
            chunks.insert(name, bytes);
        }
    }
    (next, chunks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::attribute::Attribute;

    fn entry(bytes: &str) -> ObjectEntry {
        ObjectEntry {
            publish: "plots".into(),
            content: Digest::of(bytes.as_bytes()),
            bytes: Digest::of(bytes.as_bytes()),
            judged: Digest::of(b"plotly 1"),
            size: u64::try_from(bytes.len()).unwrap(),
            packed: None,
            headers: Headers::default(),
            uncompared: BTreeMap::new(),
            version: None,
            attested: false,
            held: false,
        }
    }

    #[test]
    fn one_changed_plot_rewrites_one_chunk_and_the_head() {
        let mut there = BTreeMap::new();
        for city in ["C.12580", "C.12940", "C.14460"] {
            for plot in 0..10 {
                there.insert(format!("{city}/{plot}.json"), entry("a"));
            }
        }
        let (head, chunks) =
            rewrite(&Head::empty("rw"), &BTreeMap::new(), &there, &BTreeSet::new());
        assert_eq!(head.chunks.values().map(|chunk| chunk.entries).sum::<usize>(), 30);
        assert_eq!(chunks.len(), 3);
        let changed = BTreeMap::from([("C.12940/7.json".to_owned(), entry("b"))]);
        let (next, rewritten) = rewrite(&head, &there, &changed, &BTreeSet::new());
        let (name, bytes) = rewritten.first_key_value().unwrap();
        assert_eq!(rewritten.len(), 1);
        assert_eq!(name, &grouping::chunk("C.12940"));
        let lines = decode_chunk(bytes, &next.chunks[name]).unwrap();
        assert_eq!(lines.len(), 10);
        assert!(lines.is_sorted_by_key(|(key, _)| key.clone()));
        assert!(lines.contains(&("C.12940/7.json".into(), entry("b"))));
        assert_eq!(Head::decode(&next.encode()).unwrap(), next);
        // What is gone leaves its chunk, and the last one takes the chunk with it.
        let gone = (1..10).map(|plot| format!("C.12940/{plot}.json")).collect();
        let (less, rewritten) = rewrite(&head, &there, &BTreeMap::new(), &gone);
        assert_eq!((less.chunks[name].entries, rewritten.len()), (1, 1));
        let gone = (0..10).map(|plot| format!("C.12940/{plot}.json")).collect();
        let (less, rewritten) = rewrite(&head, &there, &BTreeMap::new(), &gone);
        assert_eq!((less.chunks.len(), rewritten.len()), (2, 0));
    }

    #[test]
    fn a_manifest_that_was_begun_by_whole_folders_goes_on_so() {
        let keys = |scenario: &'static str| (0..4).map(move |p| format!("A/{scenario}/{p}.json"));
        let there: BTreeMap<String, ObjectEntry> =
            keys("base").chain(keys("brief")).map(|key| (key, entry("a"))).collect();
        let mut head = Head::empty("rw");
        for folder in ["A/base", "A/brief"] {
            let of_it = there.iter().filter(|(key, _)| key.starts_with(&format!("{folder}/")));
            let lines = encode_lines(of_it.map(|(key, entry)| (key.as_str(), entry)));
            let chunk = Chunk { digest: Digest::of(&lines), entries: 4 };
            head.chunks.insert(grouping::chunk(folder), chunk);
        }
        let changed = BTreeMap::from([("A/brief/1.json".to_owned(), entry("b"))]);
        let (next, rewritten) = rewrite(&head, &there, &changed, &BTreeSet::new());
        assert_eq!(rewritten.keys().collect::<Vec<_>>(), [&grouping::chunk("A/brief")]);
        assert_eq!((next.chunks.len(), next.depth), (2, None));
    }

    #[test]
    fn a_manifest_that_grows_is_parted_further_and_loses_nothing() {
        let grid = |cities: std::ops::Range<usize>| -> BTreeMap<String, ObjectEntry> {
            let keys = cities.flat_map(|c| (0..1000).map(move |p| format!("rw/C.{c}/{p}.json")));
            keys.map(|key| (key, entry("a"))).collect()
        };
        let (head, _) =
            rewrite(&Head::empty("rw"), &BTreeMap::new(), &grid(0..3), &BTreeSet::new());
        assert_eq!((head.chunks.len(), head.depth), (1, Some(1)));
        let (next, chunks) = rewrite(&head, &grid(0..3), &grid(3..6), &BTreeSet::new());
        assert_eq!((next.chunks.len(), chunks.len(), next.depth), (6, 6, Some(2)));
        assert_eq!(next.chunks.values().map(|chunk| chunk.entries).sum::<usize>(), 6000);
        let changed = BTreeMap::from([("rw/C.4/1.json".to_owned(), entry("b"))]);
        assert_eq!(rewrite(&next, &grid(0..6), &changed, &BTreeSet::new()).1.len(), 1);
    }

    #[test]
    fn what_is_damaged_or_later_is_refused_with_the_reason() {
        let later = br#"{"format":2,"shards":[]}"#;
        assert!(Head::decode(later).unwrap_err().contains("of a later jheem"));
        assert!(Head::decode(b"{\"format\":1").unwrap_err().contains("is not a manifest's head"));
        let intent = encode_intent(&[("a".into(), entry("a")), ("b".into(), entry("b"))]);
        assert_eq!(decode_intent(&intent).unwrap().len(), 2);
        for cut in [0, 10, intent.len() - 3] {
            assert!(decode_intent(&intent[..cut]).is_err(), "{cut}");
        }
        let lines = encode_lines([("a", &entry("a"))]);
        let chunk = Chunk { digest: Digest::of(b"other"), entries: 1 };
        assert!(decode_chunk(&lines, &chunk).unwrap_err().contains("the head names"));
    }

    /// What stands at destinations outlives every jheem: this text may only change with `FORMAT`, or gain what it may lack.
    #[test]
    fn the_format_is_pinned() {
        let mut object = entry("a");
        object.headers.content_type = Some("application/json".into());
        object.headers.metadata.insert("city".into(), "C.12580".into());
        object.uncompared.insert("timestamp".into(), "2026-01-01T00:00:00Z".into());
        let (head, chunks) = rewrite(
            &Head::empty("rw"),
            &BTreeMap::new(),
            &BTreeMap::from([("C/a".into(), object)]),
            &BTreeSet::new(),
        );
        let row = RowEntry {
            publish: "plots".into(),
            item: BTreeMap::from([("file_size".into(), Attribute::N("1".into()))]),
            uncompared: BTreeMap::new(),
            object: Some(Digest::of(b"a")),
            attested: false,
            held: false,
        };
        insta::assert_snapshot!(format!(
            "{}{}{}",
            String::from_utf8(head.encode()).unwrap(),
            String::from_utf8(chunks.into_values().next().unwrap()).unwrap(),
            serde_json::to_string(&row).unwrap()
        ), @r##"
{
  "format": 1,
  "owner": "rw",
  "depth": 1,
  "chunks": {
    "fc": {
      "digest": "blake3:cdc4513445f052e83a1e66cb2d2c9485e98ada27857ee75ebe70ed5fb0c068c2",
      "entries": 1
    }
  }
}
["C/a",{"publish":"plots","content":"blake3:17762fddd969a453925d65717ac3eea21320b66b54342fde15128d6caf21215f","bytes":"blake3:17762fddd969a453925d65717ac3eea21320b66b54342fde15128d6caf21215f","judged":"blake3:9e5f36a3775ef5293e3b06d9e81eef17287031b0ef018470fe49c20ae5662976","size":1,"headers":{"content_type":"application/json","metadata":{"city":"C.12580"}},"uncompared":{"timestamp":"2026-01-01T00:00:00Z"}}]
{"publish":"plots","item":{"file_size":{"N":"1"}},"object":"blake3:17762fddd969a453925d65717ac3eea21320b66b54342fde15128d6caf21215f"}
"##);
    }
}
