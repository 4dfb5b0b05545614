//! From a key at a destination back to the target that publishes it, and what the manifest says of it.
//!
//! Keys are made of cells alone, so that every declared target can be asked for its own.

use std::collections::BTreeMap;

use super::values::Values;
use super::{Source, destination, keeping, kept};
use crate::digest::Digest;
use crate::error::Result;
use crate::graph::Target;
use crate::publish::edition;
use crate::publish::{self, Attribute, Destination, Extent, Place, RowKey};

/// A key of a destination, with the target that publishes it.
#[derive(Clone, Debug)]
pub struct Traced {
    pub publish: String,
    pub target: Target,
    /// Whether what stands there is packed on its way, so that its bytes are not the built ones.
    pub packed: bool,
    /// The output that is published, or whose object the row registers.
    pub output: usize,
    pub destination: Destination,
    pub key: TracedKey,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TracedKey {
    Object(String),
    Row(RowKey),
}

/// What the manifest says of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InManifest {
    /// Of the bytes of the object, or of the one that the row registers.
    pub bytes: Option<Digest>,
    /// Of the bytes that these were made of, where that is known.
    pub built: Option<Digest>,
    /// Of its content, and of how that was judged: contents are comparable only if the latter are equal.
    pub content: Option<(Digest, Digest)>,
    pub size: Option<u64>,
    /// Whether it was rolled back to, and is left as it is.
    pub held: bool,
}

impl Source<'_> {
    /// The declared targets that publish what a user calls so: a URL, a path, a key, or the key of a row.
    pub fn trace(&self, called: &Called) -> Result<Vec<Traced>> {
        let mut found = Vec::new();
        let editions = called.editions();
        for publish in &self.graph.publishes {
            let rule = self.graph.rule(publish.of);
            let keeping = keeping(publish)?;
            let at = |url: &str, output: usize| {
                let to = destination(url, Some(&rule.outputs[output].name))?;
                Ok(kept(to, keeping.as_ref()))
            };
            let objects: Vec<Destination> =
                publish.objects.iter().map(|o| at(&o.to, o.output)).collect::<Result<_>>()?;
            let rows: Vec<Destination> =
                publish.rows.iter().map(|r| at(&r.to, r.output)).collect::<Result<_>>()?;
            // A key alone is one of the latest edition.
            let latest = match (&publish.editions, objects.first()) {
                (Some(index), Some(to)) if editions.is_empty() => self.latest(to, index)?,
                _ => None,
            };
            for cell in 0..rule.space.cells() {
                let target = Target { rule: publish.of, cell };
                let mut values = Values::new(self, target);
                let traced = |output, packed, destination: &Destination, key| Traced {
                    publish: publish.name.clone(),
                    target,
                    output,
                    packed,
                    destination: destination.clone(),
                    key,
                };
                for (object, to) in publish.objects.iter().zip(&objects) {
                    let Ok(key) = values.plain(&object.key, object.output) else { continue };
                    // In an edition a target has the key that it would have without.
                    let in_edition = |edition: &String| edition::below(edition, &key);
                    let keys: Vec<String> = match publish.editions {
                        Some(_) => editions.iter().chain(&latest).map(in_edition).collect(),
                        None => vec![key],
                    };
                    let is_called = |found: &&String| {
                        called.is_object(to, found)
                            || (latest.is_some() && called.is_object(to, edition::inside(found)))
                    };
                    for key in keys.iter().filter(is_called).cloned() {
                        let key = TracedKey::Object(key);
                        found.push(traced(object.output, object.gzip, to, key));
                    }
                }
                for (row, to) in publish.rows.iter().zip(&rows) {
                    let Ok(key) = values.row_key(row) else { continue };
                    if called.is_row(&key) {
                        let packed = row.object.is_some_and(|object| publish.objects[object].gzip);
                        found.push(traced(row.output, packed, to, TracedKey::Row(key)));
                    }
                }
            }
        }
        Ok(found)
    }

    /// The edition that an index names there.
    fn latest(&self, to: &Destination, index: &str) -> Result<Option<String>> {
        let opened = publish::open(&self.world(), std::slice::from_ref(to))?;
        let Some(Place::Objects(place)) = opened.first() else { return Ok(None) };
        let outline = place.read(&self.graph.project, &BTreeMap::new(), Extent::Editions(&[]))?;
        let entry = outline.published().remove(index);
        Ok(entry.as_ref().and_then(edition::named).map(str::to_owned))
    }

    /// What the manifest at the destination says of a key; none if it is not in it.
    pub fn in_manifest(&self, traced: &Traced) -> Result<Option<InManifest>> {
        let opened = publish::open(&self.world(), std::slice::from_ref(&traced.destination))?;
        let owner = &self.graph.project;
        Ok(match (opened.first(), &traced.key) {
            (Some(Place::Objects(place)), TracedKey::Object(key)) => {
                let there = place.read(owner, &BTreeMap::new(), Extent::Whole)?;
                let entry = there.recovered.get(key).or_else(|| there.entries.get(key));
                entry.map(|entry| InManifest {
                    bytes: Some(entry.bytes),
                    built: Some(entry.built()),
                    content: Some((entry.content, entry.judged)),
                    size: Some(entry.size),
                    held: entry.held,
                })
            }
            (Some(Place::Rows(place)), TracedKey::Row(key)) => {
                let there = place.read(owner, &BTreeMap::new())?;
                let entry = there.recovered.get(key).or_else(|| there.entries.get(key));
                entry.map(|entry| InManifest {
                    bytes: entry.object,
                    built: entry.object.filter(|_| !traced.packed),
                    content: None,
                    size: None,
                    held: entry.held,
                })
            }
            _ => None,
        })
    }
}

/// Something published, as a user calls it.
pub struct Called {
    text: String,
    /// Of a web address: the bucket if it names one, and the path without its escapes.
    web: Option<(Option<String>, String)>,
    /// The project's folder, so that paths below it are known however they are written.
    root: Option<String>,
}

impl Called {
    pub fn new(text: &str, root: &std::path::Path) -> Called {
        let root = root.canonicalize().ok().and_then(|root| Some(root.to_str()?.to_owned()));
        Called { text: text.to_owned(), web: web(text), root }
    }

    /// All parts of the name that may be editions.
    fn editions(&self) -> Vec<String> {
        self.text.split('/').filter_map(edition::of_folder).map(str::to_owned).collect()
    }

    fn is_object(&self, to: &Destination, key: &str) -> bool {
        let whole = to.full_key(key);
        if let Some((named, path)) = &self.web {
            let bucket = match to {
                Destination::S3 { bucket, .. } => Some(bucket),
                _ => None,
            };
            let here = match named {
                Some(named) => bucket == Some(named),
                // A content network may stand before any destination.
                None => true,
            };
            return here && (*path == whole || (named.is_none() && path == key));
        }
        match to {
            Destination::File { folder } => {
                let path = format!("{folder}/{key}");
                let below =
                    self.root.as_ref().and_then(|root| self.text.strip_prefix(root.as_str()));
                let text = below.map_or(self.text.as_str(), |rest| rest.trim_start_matches('/'));
                let text = text.strip_prefix("./").unwrap_or(text);
                text == path || text == key || self.text == path || self.text == to.object_url(key)
            }
            to => self.text == whole || self.text == key || self.text == to.object_url(key),
        }
    }

    /// By its values in their order, `city=A, outcome=x` or `A, x`, or as a key is given to DynamoDB.
    fn is_row(&self, key: &RowKey) -> bool {
        let values = key.0.iter().map(|(_, value)| match value {
            Attribute::S(text) | Attribute::N(text) => text.as_str(),
            _ => "",
        });
        let values: Vec<&str> = values.collect();
        let named = key.0.iter().zip(&values).map(|((name, _), value)| format!("{name}={value}"));
        let named: Vec<String> = named.collect();
        let separators = [", ", ",", " "];
        if separators.iter().any(|by| values.join(by) == self.text || named.join(by) == self.text) {
            return true;
        }
        let given: Option<BTreeMap<String, Attribute>> = serde_json::from_str(&self.text).ok();
        given.is_some_and(|given| given == key.0.iter().cloned().collect())
    }
}

/// The bucket that a web address names, if it is one of S3's own, and its path without escapes.
fn web(text: &str) -> Option<(Option<String>, String)> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))?;
    let (host, path) = rest.split_once('/')?;
    let path = path.split(['?', '#']).next().unwrap_or(path);
    let path = unescaped(path)?;
    if let Some(own) = host.strip_suffix(".amazonaws.com") {
        if own == "s3" || own.starts_with("s3.") || own.starts_with("s3-") {
            let (bucket, key) = path.split_once('/')?;
            return Some((Some(bucket.to_owned()), key.to_owned()));
        }
        if let Some(end) = own.rfind(".s3") {
            return Some((Some(own[..end].to_owned()), path));
        }
    }
    Some((None, path))
}

/// A path without its escapes; none if they are no text.
fn unescaped(path: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        match digits.filter(|_| *first == b'%').and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::parse_destination;

    fn called(text: &str) -> Called {
        Called::new(text, std::path::Path::new("."))
    }

    #[test]
    fn an_object_is_known_by_every_name_that_it_is_called() {
        let bucket = parse_destination("s3://tiny/rw").unwrap();
        let key = "C.1/50% a+b/x.json";
        for text in [
            "s3://tiny/rw/C.1/50% a+b/x.json",
            "rw/C.1/50% a+b/x.json",
            "C.1/50% a+b/x.json",
            "https://tiny.s3.us-east-1.amazonaws.com/rw/C.1/50%25%20a%2Bb/x.json?versionId=1",
            "https://s3.us-east-1.amazonaws.com/tiny/rw/C.1/50%25%20a%2bb/x.json",
            "https://plots.example.org/rw/C.1/50%25%20a+b/x.json",
            "https://plots.example.org/C.1/50%25%20a+b/x.json",
        ] {
            assert!(called(text).is_object(&bucket, key), "{text}");
        }
        for text in [
            "s3://other/rw/C.1/50% a+b/x.json",
            "https://other.s3.amazonaws.com/rw/C.1/50% a+b/x.json",
            "x.json",
        ] {
            assert!(!called(text).is_object(&bucket, key), "{text}");
        }
        let folder = parse_destination("file:site").unwrap();
        assert!(called("site/a.json").is_object(&folder, "a.json"));
        assert!(called("./site/a.json").is_object(&folder, "a.json"));
        assert!(!called("sites/a.json").is_object(&folder, "a.json"));
    }

    #[test]
    fn a_row_is_known_by_its_values_or_as_dynamodb_takes_its_key() {
        let part = |name: &str, value: &str| (name.to_owned(), Attribute::S(value.to_owned()));
        let key = RowKey(vec![part("city", "A#c"), part("outcome", "x")]);
        for text in [
            "city=A#c, outcome=x",
            "city=A#c,outcome=x",
            "city=A#c outcome=x",
            "A#c, x",
            "A#c x",
            r##"{"outcome": {"S": "x"}, "city": {"S": "A#c"}}"##,
        ] {
            assert!(called(text).is_row(&key), "{text}");
        }
        assert!(!called("A#c").is_row(&key));
        assert!(!called(r##"{"city": {"S": "A#c"}}"##).is_row(&key));
    }
}
