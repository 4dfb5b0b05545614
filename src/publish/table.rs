//! `dynamodb:` destinations: rows in a table, with their manifest in a ledger beside the objects.
//!
//! The table holds rows and nothing else. Rows are written 25 in a request, or one by one under a condition where no more is allowed.
//! Before rows are written where none are known, their partitions are looked at: what stands there is somebody's.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use rayon::prelude::*;

use super::attribute::{Attribute, Item, json};
use super::destination::Destination;
use super::ledger::Ledger;
use super::manifest::RowEntry;
use super::place::{
    Claim, DriftKind, Extent, Removal, RowPlace, RowPut, RowWrite, RowsThere, Stamp,
};
use super::wanted::RowKey;
use crate::aws::dynamodb::mending::{Removed, RowRemoval};
use crate::aws::dynamodb::{self, AttributeValue, Row};
use crate::error::{Error, Result};
use crate::moments::{self, Moment};

/// The least number that DynamoDB holds ("Naming rules and data types" of its developer guide).
const LEAST_NUMBER: &str = "-9.9999999999999999999999999999999999999E+125";

/// A table, and where its manifest is.
pub struct TablePlace {
    destination: Destination,
    table: dynamodb::Table,
    ledger: Arc<Ledger>,
    section: String,
}

impl TablePlace {
    pub fn new(
        destination: Destination,
        table: dynamodb::Table,
        ledger: Arc<Ledger>,
    ) -> TablePlace {
        let section = format!("rows-{}", table.name());
        TablePlace { destination, table, ledger, section }
    }

    /// What stands in the partitions of these keys.
    fn standing<'k>(
        &self,
        keys: impl Iterator<Item = &'k RowKey>,
    ) -> Result<BTreeMap<RowKey, Item>> {
        let mut names: Vec<&str> = Vec::new();
        let mut range = None;
        let mut hashes: BTreeSet<&Attribute> = BTreeSet::new();
        for key in keys {
            let Some((_, hash)) = key.0.first() else { continue };
            names = key.0.iter().map(|(name, _)| name.as_str()).collect();
            range = key.0.get(1).map(|(name, value)| (name.as_str(), least(value)));
            hashes.insert(hash);
        }
        let Some(hash) = names.first() else { return Ok(BTreeMap::new()) };
        let hashes: Vec<AttributeValue> = hashes.into_iter().map(value).collect();
        let mut found = BTreeMap::new();
        for mut row in self.table.query_all(hash, range, &hashes)?.into_iter().flatten() {
            let key =
                names.iter().map(|name| Some(((*name).to_owned(), attribute(&row.remove(*name)?))));
            let Some(key) = key.collect::<Option<Vec<_>>>() else { continue };
            let item = row.iter().map(|(name, value)| (name.clone(), attribute(value)));
            found.insert(RowKey(key), item.collect());
        }
        Ok(found)
    }

    /// Looks once more, just before rows are written together, for which no condition can be given.
    fn refuse_foreign(&self, puts: &[RowPut<'_>]) -> Result<()> {
        let new = || puts.iter().filter(|put| put.write == RowWrite::Create && !put.alone);
        let standing = self.standing(new().map(|put| put.key))?;
        match new().find(|put| standing.contains_key(put.key)) {
            None => Ok(()),
            Some(put) => Err(Error::user(format!(
                "the row `{}` appeared in `{}` while it was being published",
                put.key, self.destination
            ))
            .hint("delete that row and run it again")),
        }
    }
}

impl RowPlace for TablePlace {
    fn read(&self, _: &str, wanted: &BTreeMap<RowKey, Option<RowEntry>>) -> Result<RowsThere> {
        let texts = wanted.par_iter().filter_map(|(key, entry)| Some((text(key), entry.clone()?)));
        let texts: Vec<(String, RowEntry)> = texts.collect();
        let texts = texts.into_iter().collect();
        let section = self.ledger.section::<RowEntry>(&self.section, &texts, Extent::Whole)?;
        let destination = &self.destination;
        let read = |(key, entry): (String, RowEntry)| Ok((row_key(destination, &key)?, entry));
        let entries: Vec<(RowKey, RowEntry)> =
            section.entries.into_par_iter().map(read).collect::<Result<_>>()?;
        let entries: BTreeMap<RowKey, RowEntry> = entries.into_iter().collect();
        let assumed: Vec<RowKey> = section
            .assumed
            .par_iter()
            .map(|key| row_key(destination, key))
            .collect::<Result<_>>()?;
        let assumed = assumed.into_iter().collect();
        let mut intended: BTreeMap<RowKey, Vec<RowEntry>> = BTreeMap::new();
        for (key, entry) in section.intended {
            intended.entry(row_key(&self.destination, &key)?).or_default().push(entry);
        }
        let new: Vec<&RowKey> = wanted.keys().filter(|key| !entries.contains_key(*key)).collect();
        let standing = self.standing(new.iter().copied().chain(intended.keys()))?;
        // What a killed publish wrote is known by its item; the latest that it meant is what it wrote last.
        let mut recovered = BTreeMap::new();
        let mut missing = BTreeSet::new();
        for (key, meant) in intended {
            if !standing.contains_key(&key) && entries.contains_key(&key) {
                missing.insert(key.clone());
            }
            let stands = |entry: &&RowEntry| standing.get(&key) == Some(&entry.whole_item());
            if let Some(entry) = meant.iter().rev().find(stands)
                && entries.get(&key) != Some(entry)
            {
                recovered.insert(key, entry.clone());
            }
        }
        let foreign = new
            .into_iter()
            .filter(|key| standing.contains_key(*key) && !recovered.contains_key(*key));
        let claims = foreign.map(|key| (key.clone(), Claim::Foreign)).collect();
        let unfinished = section.unfinished;
        let more = RowsThere::default();
        Ok(RowsThere { entries, assumed, recovered, unfinished, missing, claims, ..more })
    }

    fn wait(&self, say: &mut dyn FnMut(String)) -> Result<()> {
        self.ledger.wait(say)
    }

    fn watched(&self) -> Option<BTreeSet<PathBuf>> {
        None
    }

    fn publish(
        &self,
        _: &str,
        there: &RowsThere,
        puts: &[RowPut<'_>],
        placed: &mut dyn FnMut(usize),
    ) -> Result<()> {
        let recovered = there.recovered.iter().map(|(key, entry)| (text(key), entry.clone()));
        let planned = puts.iter().map(|put| (text(put.key), put.entry.clone()));
        // What was left by a killed publish stays known, whichever of the two stands in the end.
        let intent: Vec<(String, RowEntry)> = recovered.chain(planned).collect();
        self.ledger
            .begin(&self.section, intent.iter().map(|(key, entry)| (key.as_str(), entry)))?;
        moments::pass(Moment::Intended);
        self.refuse_foreign(puts)?;
        let mut stands = |count| {
            moments::pass(Moment::Rows);
            placed(count);
            self.ledger.renew()
        };
        let mut tick = || self.ledger.renew();
        let row = |put: &RowPut<'_>| row(put.key, &put.entry.whole_item());
        let writes = || puts.iter().filter(|put| put.write != RowWrite::Note);
        let together = writes().filter(|put| !put.alone).map(row);
        self.table.write_all(together.collect(), &mut stands, &mut tick)?;
        let alone = writes().filter(|put| put.alone).map(|put| dynamodb::RowPut {
            row: row(put),
            only_new: match (put.write, put.key.0.first()) {
                (RowWrite::Create, Some((hash, _))) => Some(hash.clone()),
                _ => None,
            },
        });
        self.table.put_all(alone.collect(), &mut stands, &mut tick)?;
        let entries = intent.into_iter().collect();
        self.ledger.commit(&self.section, &entries, &BTreeSet::new())?;
        self.ledger.end(&self.section)
    }

    fn remove(
        &self,
        _: &str,
        there: &RowsThere,
        rows: &[(RowKey, RowEntry)],
        told: &mut dyn FnMut(usize, Removal),
    ) -> Result<usize> {
        let recovered = there.recovered.iter().map(|(key, entry)| (text(key), entry.clone()));
        let going = rows.iter().map(|(key, entry)| (text(key), entry.clone()));
        let intent: Vec<(String, RowEntry)> = recovered.clone().chain(going).collect();
        self.ledger
            .begin(&self.section, intent.iter().map(|(key, entry)| (key.as_str(), entry)))?;
        moments::pass(Moment::Intended);
        let standing = self.standing(rows.iter().map(|(key, _)| key))?;
        let mut gone = BTreeSet::new();
        let mut going = Vec::new();
        let mut indexes = Vec::new();
        for (index, (key, entry)) in rows.iter().enumerate() {
            match (standing.get(key), key.0.first()) {
                (Some(found), Some((hash, _))) if *found == entry.whole_item() => {
                    let (item, hash) = (row(&RowKey(Vec::new()), found), hash.clone());
                    going.push(RowRemoval { key: row(key, &Item::new()), item, hash });
                    indexes.push(index);
                }
                (Some(_), _) => told(index, Removal::Kept),
                (None, _) => {
                    gone.insert(text(key));
                    told(index, Removal::Gone);
                }
            }
        }
        let mut done = |at: usize, removed| {
            moments::pass(Moment::Pruned);
            let index: usize = indexes[at];
            match removed {
                Removed::Gone => {
                    gone.insert(text(&rows[index].0));
                    told(index, Removal::Gone);
                }
                Removed::Unexpected => told(index, Removal::Kept),
            }
            Ok(())
        };
        self.table.remove_all(going, &mut done, &mut || self.ledger.renew())?;
        self.ledger.commit(&self.section, &recovered.collect(), &gone)?;
        let swept = self.ledger.sweep()?;
        self.ledger.end(&self.section)?;
        Ok(swept)
    }

    fn history(&self) -> Result<Vec<Stamp>> {
        self.ledger.history()
    }

    fn past(&self, id: &str) -> Result<Option<BTreeMap<RowKey, RowEntry>>> {
        let past = self.ledger.past::<RowEntry>(&self.section, id, Extent::Whole)?;
        let Some(past) = past else { return Ok(None) };
        let keyed =
            past.into_iter().map(|(key, entry)| Ok((row_key(&self.destination, &key)?, entry)));
        keyed.collect::<Result<_>>().map(Some)
    }

    fn found(&self, keys: &[&RowKey]) -> Result<BTreeMap<RowKey, Item>> {
        let mut standing = self.standing(keys.iter().copied())?;
        let asked: BTreeSet<&RowKey> = keys.iter().copied().collect();
        standing.retain(|key, _| asked.contains(key));
        Ok(standing)
    }

    fn drift(&self, there: &RowsThere) -> Result<Vec<(RowKey, DriftKind)>> {
        let known = there.published();
        let standing = self.standing(known.keys())?;
        let mut drift = Vec::new();
        for (key, entry) in &known {
            let published = entry.whole_item();
            match standing.get(key) {
                None => drift.push((key.clone(), DriftKind::Missing)),
                Some(found) if *found != published => {
                    let (published, found) = (json(&published), json(found));
                    drift.push((key.clone(), DriftKind::Changed { published, found }));
                }
                Some(_) => {}
            }
        }
        let foreign = standing.into_keys().filter(|key| !known.contains_key(key));
        drift.extend(foreign.map(|key| (key, DriftKind::Foreign)));
        Ok(drift)
    }
}

/// A row's key, read from what the ledger of its destination has.
fn row_key(destination: &Destination, text: &str) -> Result<RowKey> {
    serde_json::from_str(text).map(RowKey).map_err(|error| {
        Error::environment(format!("the manifest of `{destination}` is damaged: the key `{text}`"))
            .because(error)
    })
}

/// A row's key as the ledger has it: its names and values, the hash first.
fn text(key: &RowKey) -> String {
    json(&key.0)
}

fn row(key: &RowKey, item: &Item) -> Row {
    let key = key.0.iter().map(|(name, value)| (name, value));
    key.chain(item).map(|(name, attribute)| (name.clone(), value(attribute))).collect()
}

fn value(attribute: &Attribute) -> AttributeValue {
    match attribute {
        Attribute::S(text) => AttributeValue::S(text.clone()),
        Attribute::N(text) => AttributeValue::N(text.clone()),
        Attribute::Bool(is) => AttributeValue::Bool(*is),
        Attribute::Null => AttributeValue::Null(true),
        Attribute::L(list) => AttributeValue::L(list.iter().map(value).collect()),
        Attribute::M(map) => {
            AttributeValue::M(map.iter().map(|(name, one)| (name.clone(), value(one))).collect())
        }
    }
}

/// The least value of a range of this type: asking for it and all above leaves nothing out, and tells whether the table has it.
fn least(range: &Attribute) -> AttributeValue {
    match range {
        Attribute::N(_) => AttributeValue::N(LEAST_NUMBER.to_owned()),
        _ => AttributeValue::S("\0".to_owned()),
    }
}

/// What a table gave back; kinds that jheem never writes come out as a text that names them.
fn attribute(value: &AttributeValue) -> Attribute {
    match value {
        AttributeValue::S(text) => Attribute::S(text.clone()),
        AttributeValue::N(text) => {
            Attribute::N(super::attribute::canonical_number(text).unwrap_or_else(|_| text.clone()))
        }
        AttributeValue::Bool(is) => Attribute::Bool(*is),
        AttributeValue::Null(_) => Attribute::Null,
        AttributeValue::L(list) => Attribute::L(list.iter().map(attribute).collect()),
        AttributeValue::M(map) => {
            Attribute::M(map.iter().map(|(name, one)| (name.clone(), attribute(one))).collect())
        }
        other => Attribute::S(format!("{other:?}")),
    }
}
