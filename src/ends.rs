//! The remote ends of a project: where inputs come from, where outputs go, and which images run.
//!
//! Pure: read off the graph. What policies must allow, what can be looked at beforehand and what can be created follow from it.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Error, Result};
use crate::graph::{self, Attribute, Graph, Publish, Slot};
use crate::publish::{self, Destination, Keeping};

/// All remote ends of a project, each once and in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    pub sources: BTreeSet<SourceEnd>,
    /// Where objects go: a bucket and a prefix, which may be empty.
    pub objects: BTreeSet<(String, String)>,
    /// Where rows go, by the name of the table.
    pub tables: BTreeMap<String, Table>,
    /// Where manifests are kept.
    pub manifests: BTreeSet<Keeping>,
    /// Content networks that are told what changed.
    pub distributions: BTreeSet<String>,
    /// Images and their mirrors, and the platforms that they must be for.
    pub images: BTreeSet<(String, Option<String>)>,
}

/// Where an input comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourceEnd {
    pub bucket: String,
    /// The key in parts; none for a part that each cell fills in.
    pub key: Vec<Option<String>>,
    /// The key of the first cell.
    pub first: String,
}

/// What a Jheemfile says of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Names and types (`S` or `N`) of its key, the hash first.
    pub key: Vec<(String, char)>,
    /// Whether rows are written many in a request, and whether one by one.
    pub together: bool,
    pub alone: bool,
}

impl Ends {
    /// The remote ends of a graph. Two publishes that give one table two keys are a mistake.
    pub fn of(graph: &Graph) -> Result<Ends> {
        let mut ends = Ends::default();
        for input in &graph.inputs {
            let Some(source) = &input.source else { continue };
            let whole = graph.render(source, &input.space, 0);
            let Some((bucket, first)) = bucket_and_key(&whole) else { continue };
            let mut key: Vec<Option<String>> = Vec::new();
            for slot in &source.slots {
                match slot {
                    Slot::Text(text) => key.push(Some(text.clone())),
                    _ => key.push(None),
                }
            }
            // The first part holds the scheme and the bucket, unless these are filled in too.
            let rest = key.first().cloned().flatten();
            let rest = rest.and_then(|text| Some(bucket_and_key(&text)?.1.to_owned()));
            let (bucket, first) = (bucket.to_owned(), first.to_owned());
            key = match rest {
                Some(rest) => [vec![Some(rest)], key.split_off(1)].concat(),
                None => vec![None],
            };
            ends.sources.insert(SourceEnd { bucket, key, first });
        }
        for publish in &graph.publishes {
            ends.publish(graph, publish)?;
        }
        for runner in &graph.runners {
            let images = runner.image_names().into_iter();
            ends.images.extend(images.map(|name| (name.to_owned(), runner.platform.clone())));
        }
        Ok(ends)
    }

    fn publish(&mut self, graph: &Graph, publish: &Publish) -> Result<()> {
        let keeping = keeping(publish)?;
        self.distributions.extend(publish.invalidate.iter().map(|to| to.distribution.clone()));
        for object in &publish.objects {
            if let Destination::S3 { bucket, prefix, .. } = destination(&object.to, None)? {
                self.objects.insert((bucket, prefix));
                self.manifests.extend(keeping.clone());
            }
        }
        for row in &publish.rows {
            let output = &graph.rule(publish.of).outputs[row.output].name;
            let Destination::Dynamodb { table, .. } = destination(&row.to, Some(output))? else {
                continue;
            };
            self.manifests.extend(keeping.clone());
            let parts = [Some(&row.hash), row.range.as_ref()];
            let key: Vec<(String, char)> = parts
                .into_iter()
                .flatten()
                .map(|(name, value)| (name.clone(), kind(value)))
                .collect();
            let known = self.tables.entry(table.clone()).or_insert_with(|| Table {
                key: key.clone(),
                together: false,
                alone: false,
            });
            if known.key != key {
                return Err(Error::user(format!(
                    "the table `{table}` is given two keys: {} and {}",
                    key_in_words(&known.key),
                    key_in_words(&key)
                ))
                .hint(
                    "a table has one key: name its attributes alike in every `hash` and `range`",
                ));
            }
            known.together |= !row.one_by_one;
            known.alone |= row.one_by_one;
        }
        Ok(())
    }

    /// Every bucket with what it is for, such as `objects`, in order.
    pub fn buckets(&self) -> BTreeMap<&str, BTreeSet<&'static str>> {
        let mut buckets: BTreeMap<&str, BTreeSet<&'static str>> = BTreeMap::new();
        for source in &self.sources {
            buckets.entry(&source.bucket).or_default().insert("inputs");
        }
        for (bucket, _) in &self.objects {
            buckets.entry(bucket).or_default().insert("objects");
        }
        for keeping in &self.manifests {
            buckets.entry(&keeping.bucket).or_default().insert("manifests");
        }
        buckets
    }

    /// Whether anything of it is Amazon's.
    pub fn is_remote(&self) -> bool {
        !self.buckets().is_empty() || !self.tables.is_empty()
    }
}

/// `city_scenario (S), outcome (S)`
pub fn key_in_words(key: &[(String, char)]) -> String {
    let parts: Vec<String> = key.iter().map(|(name, kind)| format!("{name} ({kind})")).collect();
    format!("`{}`", parts.join(", "))
}

fn kind(value: &Attribute) -> char {
    if matches!(value, graph::Attribute::N(_)) { 'N' } else { 'S' }
}

/// The bucket and the rest of an `s3:` URL.
fn bucket_and_key(url: &str) -> Option<(&str, &str)> {
    url.strip_prefix("s3://")?.split_once('/')
}

/// A destination however it is written; for rows, with the table that they go to.
pub fn destination(url: &str, table: Option<&str>) -> Result<Destination> {
    publish::parse_place(url, table).map_err(Error::user)
}

/// Where a publish keeps its manifest: where it says, or else with its objects, or nowhere remote.
pub fn keeping(publish: &Publish) -> Result<Option<Keeping>> {
    let said = publish.manifest.iter();
    for url in said.chain(publish.objects.iter().map(|object| &object.to)) {
        if let Destination::S3 { keeping, .. } = destination(url, None)? {
            return Ok(Some(keeping));
        }
    }
    Ok(None)
}

/// A destination with its manifest kept there.
pub fn kept(destination: Destination, keeping: Option<&Keeping>) -> Destination {
    match keeping {
        Some(keeping) => destination.kept_at(keeping),
        None => destination,
    }
}
