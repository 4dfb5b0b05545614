//! The plan of one publish: for every object and row, what would be done and why.
//!
//! Pure: it compares what is wanted with what is there, and never looks by itself.
//! What is published keeps its bytes while its content stays the same; everything that describes it comes from the manifest.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use rayon::prelude::*;

use crate::error::Error;

use super::attribute::{Attribute, Item, render_item};
use super::destination::Destination;
use super::edition;
use super::invalidation::Invalidation;
use super::manifest::{ObjectEntry, RowEntry};
use super::place::{Claim, ObjectsThere, RowsThere, key_part};
use super::size;
use super::wanted::{Declared, Piece, Role, RowKey, Text, Wanted, WantedObject, WantedRow};

/// What is published at one destination now.
#[derive(Clone, Debug)]
pub enum There {
    Objects(ObjectsThere),
    Rows(RowsThere),
}

impl There {
    /// Whether nothing is published, and nothing was begun.
    pub fn is_empty(&self) -> bool {
        match self {
            There::Objects(there) => there.entries.is_empty() && there.recovered.is_empty(),
            There::Rows(there) => there.entries.is_empty() && there.recovered.is_empty(),
        }
    }
}

/// Why something that is published is written again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// Its content changed, or is judged in another way and its bytes changed.
    Content,
    /// The manifest has it, the destination has not.
    Missing,
    /// It is to be packed, or no longer.
    Packing,
    Headers,
    Item,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Why::Content => "its content changed",
            Why::Missing => "it is missing at the destination",
            Why::Packing => "it is packed in another way",
            Why::Headers => "its headers changed",
            Why::Item => "its item changed",
        })
    }
}

/// What is done about one object or row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    Create,
    Update(Vec<Why>),
    /// Nothing is written but a line of the manifest: it is known there under other names, or was left by a killed publish.
    Note,
    Unchanged,
    /// One of `PublishPlan::refused` says why.
    Refused,
}

/// One object or row, and its entry in the manifest afterwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned<E> {
    pub action: Action,
    pub entry: E,
}

impl<E> Planned<E> {
    /// Whether bytes are uploaded, not only headers.
    pub fn writes_bytes(&self) -> bool {
        match &self.action {
            Action::Create => true,
            Action::Update(why) => {
                why.iter().any(|why| matches!(why, Why::Content | Why::Missing | Why::Packing))
            }
            Action::Note | Action::Unchanged | Action::Refused => false,
        }
    }

    /// Whether anything at all is written, be it to the manifest.
    pub fn is_work(&self) -> bool {
        !matches!(self.action, Action::Unchanged | Action::Refused)
    }
}

/// Something published that no target publishes any more. It is only reported.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Orphan {
    pub destination: Destination,
    pub key: String,
    /// The publish that once made it.
    pub publish: String,
}

/// What one publish would do.
#[derive(Clone, Debug, Default)]
pub struct PublishPlan {
    /// In the order of `Wanted::objects`.
    pub objects: Vec<Planned<ObjectEntry>>,
    /// In the order of `Wanted::rows`.
    pub rows: Vec<Planned<RowEntry>>,
    pub orphans: Vec<Orphan>,
    /// What cannot be published; as long as there is any, nothing is.
    pub refused: Vec<Error>,
    /// Whether a publish that did not end has to be brought to its end.
    pub unfinished: bool,
    /// Keys that are held as an earlier publish left them, and would be written otherwise.
    pub rolled_back: Vec<String>,
}

/// How many there are of each; the first five sum to the objects and rows that were wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub created: usize,
    pub updated: usize,
    pub noted: usize,
    pub unchanged: usize,
    pub refused: usize,
    pub orphaned: usize,
    /// Bytes to be uploaded.
    pub bytes: u64,
}

impl PublishPlan {
    /// Whether there is nothing to write anywhere.
    pub fn is_empty(&self) -> bool {
        let idle =
            !self.objects.iter().any(Planned::is_work) && !self.rows.iter().any(Planned::is_work);
        idle && !self.unfinished
    }

    /// The counts of this plan of what is wanted; what is copied there is not uploaded.
    pub fn counts(&self, wanted: &Wanted) -> Counts {
        let mut counts = Counts { orphaned: self.orphans.len(), ..Counts::default() };
        let objects = self.objects.iter().map(|planned| &planned.action);
        for action in objects.chain(self.rows.iter().map(|planned| &planned.action)) {
            match action {
                Action::Create => counts.created += 1,
                Action::Update(_) => counts.updated += 1,
                Action::Note => counts.noted += 1,
                Action::Unchanged => counts.unchanged += 1,
                Action::Refused => counts.refused += 1,
            }
        }
        let all = wanted.objects.iter().zip(&self.objects);
        counts.bytes = all.map(|(object, planned)| uploaded(object, planned)).sum();
        counts
    }
}

/// How many bytes of an object are sent.
pub fn uploaded(object: &WantedObject, planned: &Planned<ObjectEntry>) -> u64 {
    match planned.writes_bytes() && object.copied.is_none() {
        true => planned.entry.size,
        false => 0,
    }
}

/// What is to stand as an entry of a manifest says, whatever is built.
impl PublishPlan {
    /// Adds an object to both; `target` is for messages.
    pub fn add_object(
        &mut self,
        wanted: &mut Wanted,
        target: String,
        (destination, key): (usize, String),
        action: Action,
        entry: ObjectEntry,
    ) {
        wanted.objects.push(WantedObject {
            target,
            destination,
            key,
            content: entry.content,
            bytes: entry.built(),
            judged: entry.judged,
            size: entry.size,
            headers: entry.headers.clone(),
            uncompared: BTreeMap::new(),
            gzip: entry.packed.is_some(),
            packed: entry.packed.map(|_| (entry.bytes, entry.size)),
            once: false,
            copied: None,
            // What names an edition goes after what it names.
            role: if edition::named(&entry).is_some() { Role::Index } else { Role::Output },
        });
        self.objects.push(Planned { action, entry });
    }

    /// Adds a row to both.
    ///
    /// It is written alone: only so can it be on the condition that none stands there, and whatever
    /// the account allows for rows, it allows this.
    pub fn add_row(
        &mut self,
        wanted: &mut Wanted,
        target: String,
        (destination, key): (usize, RowKey),
        action: Action,
        entry: RowEntry,
    ) {
        wanted.rows.push(WantedRow {
            target,
            destination,
            key,
            item: Item::new(),
            uncompared: Item::new(),
            object: None,
            alone: true,
        });
        self.rows.push(Planned { action, entry });
    }
}

/// Compares what is wanted with what is there; `there` is in the order of `Wanted::destinations`.
pub fn plan(wanted: &Wanted, there: &[There], declared: &Declared<'_>) -> PublishPlan {
    let mut plan = PublishPlan { refused: wanted.refused.clone(), ..PublishPlan::default() };
    let mut taken = HashMap::new();
    let objects = wanted.objects.par_iter();
    let objects = objects.map(|object| plan_object(wanted, object, &there[object.destination]));
    let objects: Vec<_> = objects.collect();
    for (object, planned) in wanted.objects.iter().zip(objects) {
        let seen = taken.insert((object.destination, object.key.as_str()), &object.target);
        let planned = match seen {
            Some(first) => {
                Err(twice(wanted, object.destination, &object.key, first, &object.target))
            }
            None => planned,
        };
        plan.objects.push(planned.unwrap_or_else(|error| {
            plan.refused.push(error);
            Planned { action: Action::Refused, entry: fresh(wanted, object) }
        }));
    }
    let mut taken = HashMap::new();
    // The key of each table; the first row tells it where there is no table yet.
    let mut columns: Vec<Option<Columns>> = there.iter().map(columns_of).collect();
    let rows = wanted.rows.par_iter().map(|row| {
        let object = row.object.map(|at| (&wanted.objects[at], &plan.objects[at].entry));
        plan_row(wanted, row, object, &there[row.destination])
    });
    let rows: Vec<_> = rows.collect();
    for (row, planned) in wanted.rows.iter().zip(rows) {
        let object = row.object.map(|index| (&wanted.objects[index], &plan.objects[index]));
        let of_refused = object.is_some_and(|(_, planned)| planned.action == Action::Refused);
        let planned = match taken.insert((row.destination, &row.key), &row.target) {
            _ if of_refused => Err(None),
            Some(first) => {
                let key = row.key.to_string();
                Err(Some(twice(wanted, row.destination, &key, first, &row.target)))
            }
            None => {
                let columns = &mut columns[row.destination];
                check_row(wanted, row, columns).and(planned).map_err(Some)
            }
        };
        plan.rows.push(planned.unwrap_or_else(|error| {
            plan.refused.extend(error);
            let (publish, item) = (wanted.publish.clone(), Item::new());
            let (uncompared, object, attested) = (Item::new(), None, false);
            let entry = RowEntry { publish, item, uncompared, object, attested, held: false };
            Planned { action: Action::Refused, entry }
        }));
    }
    plan.rolled_back = rolled_back(wanted, &plan);
    for (destination, there) in wanted.destinations.iter().zip(there) {
        plan.orphans.extend(orphans(destination, there, declared));
        plan.unfinished |= match there {
            There::Objects(there) => {
                there.intent.is_some() || owes(wanted.invalidation.as_ref(), there)
            }
            There::Rows(there) => there.unfinished,
        };
    }
    plan
}

/// Whether the distribution of this publish was not told yet of something written before.
pub(super) fn owes(to: Option<&Invalidation>, there: &ObjectsThere) -> bool {
    to.is_some_and(|to| there.owed.iter().any(|owed| to.pays(owed)))
}

/// The keys of held objects and rows of which something else was built than what is held.
fn rolled_back(wanted: &Wanted, plan: &PublishPlan) -> Vec<String> {
    let other = |object: &WantedObject, entry: &ObjectEntry| {
        entry.held && (entry.content != object.content || entry.headers != object.headers)
    };
    let objects = wanted.objects.iter().zip(&plan.objects);
    let objects = objects
        .filter(|(object, planned)| other(object, &planned.entry))
        .map(|(object, _)| object.key.clone());
    let rows = wanted.rows.iter().zip(&plan.rows).filter(|(row, planned)| {
        let object = row.object.map(|at| (&wanted.objects[at], &plan.objects[at].entry));
        let fresh = fresh_row(wanted, row, object);
        planned.entry.held && fresh.is_ok_and(|fresh| fresh.item != planned.entry.item)
    });
    objects.chain(rows.map(|(row, _)| row.key.to_string())).collect()
}

/// Everything in the manifest that no target of the whole declared graph publishes.
pub fn orphans(destination: &Destination, there: &There, declared: &Declared<'_>) -> Vec<Orphan> {
    let orphan = |key: String, publish: &str| {
        let (destination, publish) = (destination.clone(), publish.to_owned());
        Orphan { destination, key, publish }
    };
    match there {
        There::Objects(there) => {
            let new = there.recovered.iter().filter(|(key, _)| !there.entries.contains_key(*key));
            let all = there.entries.iter().chain(new);
            all.filter(|(key, _)| !(declared.object)(destination, key))
                .map(|(key, entry)| orphan(key.clone(), &entry.publish))
                .collect()
        }
        There::Rows(there) => {
            let new = there.recovered.iter().filter(|(key, _)| !there.entries.contains_key(*key));
            let all = there.entries.iter().chain(new);
            all.filter(|(key, _)| !(declared.row)(destination, key))
                .map(|(key, entry)| orphan(key.to_string(), &entry.publish))
                .collect()
        }
    }
}

/// The entry of an object that is written now, its uncompared metadata made anew.
pub fn fresh(wanted: &Wanted, object: &WantedObject) -> ObjectEntry {
    let (bytes, size) = match (object.gzip, object.packed) {
        (false, _) => (object.bytes, object.size),
        (true, Some(packed)) => packed,
        // Whoever needs to know packs it first.
        (true, None) => (object.bytes, 0),
    };
    let mut entry = ObjectEntry {
        publish: wanted.publish.clone(),
        content: object.content,
        bytes,
        judged: object.judged,
        size,
        packed: object.gzip.then_some(object.bytes),
        headers: object.headers.clone(),
        uncompared: BTreeMap::new(),
        version: None,
        attested: false,
        held: false,
    };
    let metadata = |text: &Text| write(text, wanted, Some((object, &entry)));
    entry.uncompared =
        object.uncompared.iter().map(|(name, text)| (name.clone(), metadata(text))).collect();
    entry
}

fn plan_object(
    wanted: &Wanted,
    object: &WantedObject,
    there: &There,
) -> Result<Planned<ObjectEntry>, Error> {
    let destination = &wanted.destinations[object.destination];
    let There::Objects(there) = there else {
        return Err(not_for(destination, "objects", &object.target));
    };
    destination.check_key(&object.key).map_err(|what| {
        let (key, target) = (object.key.escape_debug(), &object.target);
        Error::user(format!("`{target}` cannot be published as `{key}` to `{destination}`: {what}"))
            .hint("change the `key` of the publish")
    })?;
    if let (Some(to), Destination::S3 { .. }) = (&wanted.invalidation, destination)
        && to.path(&destination.full_key(&object.key)).is_none()
    {
        let (key, prefix) = (destination.full_key(&object.key), &to.drop_prefix);
        return Err(Error::user(format!(
            "`{}` cannot be published to `{destination}`: its key `{key}` is not below `{prefix}`, which `invalidate` drops from keys",
            object.target
        ))
        .hint("let `drop_prefix` be the path of the distribution's origin, and publish below it"));
    }
    destination.check_headers(&object.headers).map_err(|what| {
        Error::user(format!("`{}` cannot be published to `{destination}`: {what}", object.target))
            .hint("give it less `metadata`")
    })?;
    let recovered = there.recovered.get(&object.key);
    let Some(old) = recovered.or_else(|| there.entries.get(&object.key)) else {
        return match there.claims.get(&object.key) {
            Some(Claim::Foreign) if wanted.edition_at(object.destination).is_some() => {
                let key = &object.key;
                Err(Error::user(format!(
                    "`{key}` cannot be written to `{destination}`: something that jheem did not publish stands there"
                ))
                .hint("remove it, or publish the editions below another prefix"))
            }
            Some(claim) => Err(claimed(destination, &object.key, &object.target, claim)),
            None => Ok(Planned { action: Action::Create, entry: fresh(wanted, object) }),
        };
    };
    // What was rolled back to stays until somebody lets go of it.
    if old.held {
        return Ok(Planned { action: Action::Unchanged, entry: old.clone() });
    }
    let same_content = old.content == object.content && old.judged == object.judged;
    let missing = there.missing.contains(&object.key);
    // Nearly every object of nearly every publish: nothing of it is made anew.
    if same_content
        && !missing
        && recovered.is_none()
        && old.headers == object.headers
        && old.publish == wanted.publish
        && old.packed.is_some() == object.gzip
    {
        return Ok(Planned { action: Action::Unchanged, entry: old.clone() });
    }
    let mut why: Vec<Why> = why_bytes(old, object, missing).into_iter().collect();
    let bytes_written = !why.is_empty();
    if old.headers != object.headers {
        why.push(Why::Headers);
    }
    if object.once && why.iter().any(|why| *why != Why::Missing) {
        return Err(written_once(destination, object, &why));
    }
    let new = fresh(wanted, object);
    let entry = if bytes_written {
        new
    } else {
        let uncompared = match why.is_empty() {
            true => old.uncompared.clone(),
            // Headers are written anew: what is still declared is carried over, the rest goes.
            false => carried(&old.uncompared, new.uncompared),
        };
        // The bytes that stand there are the ones described; how they are judged may be new.
        let (bytes, size, packed) = (old.bytes, old.size, old.packed);
        let (version, attested) = (old.version.clone(), old.attested);
        ObjectEntry { bytes, size, packed, uncompared, version, attested, ..new }
    };
    let action = match why.is_empty() {
        false => Action::Update(why),
        true if recovered.is_none() && entry == *old => Action::Unchanged,
        true => Action::Note,
    };
    Ok(Planned { action, entry })
}

/// Why the bytes of an object that is known there are put again; none if they stay.
fn why_bytes(old: &ObjectEntry, object: &WantedObject, missing: bool) -> Option<Why> {
    let same_content = old.content == object.content && old.judged == object.judged;
    if missing {
        Some(Why::Missing)
    } else if old.packed.is_some() != object.gzip {
        Some(Why::Packing)
    } else if !same_content && old.built() != object.bytes {
        Some(Why::Content)
    } else {
        None
    }
}

/// Whether the bytes of an object would be put.
pub(super) fn puts_bytes(object: &WantedObject, there: &There) -> bool {
    let There::Objects(there) = there else { return false };
    let recovered = there.recovered.get(&object.key);
    match recovered.or_else(|| there.entries.get(&object.key)) {
        None => true,
        Some(old) => why_bytes(old, object, there.missing.contains(&object.key)).is_some(),
    }
}

/// The objects, by their indices, whose packed bytes must be known for a plan.
pub fn to_pack(wanted: &Wanted, there: &[There]) -> Vec<usize> {
    let packed = wanted.objects.iter().enumerate();
    let packed = packed.filter(|(_, object)| object.gzip && object.packed.is_none());
    let put = packed.filter(|(_, object)| puts_bytes(object, &there[object.destination]));
    put.map(|(index, _)| index).collect()
}

fn plan_row(
    wanted: &Wanted,
    row: &WantedRow,
    object: Option<(&WantedObject, &ObjectEntry)>,
    there: &There,
) -> Result<Planned<RowEntry>, Error> {
    let destination = &wanted.destinations[row.destination];
    let There::Rows(there) = there else {
        return Err(not_for(destination, "rows", &row.target));
    };
    let new = fresh_row(wanted, row, object)?;
    if let Destination::Dynamodb { .. } = destination {
        check_size(destination, row, &new)?;
    }
    let recovered = there.recovered.get(&row.key);
    let Some(old) = recovered.or_else(|| there.entries.get(&row.key)) else {
        return match there.claims.get(&row.key) {
            Some(claim) => Err(claimed(destination, &row.key.to_string(), &row.target, claim)),
            None => Ok(Planned { action: Action::Create, entry: new }),
        };
    };
    // A row of an object that is held would speak of another one.
    if old.held || object.is_some_and(|(_, entry)| entry.held) {
        return Ok(Planned { action: Action::Unchanged, entry: old.clone() });
    }
    // What is never compared was not read of it; it is as it was, since its object's bytes stay.
    if recovered.is_none() && there.assumed.contains(&row.key) && old.item == new.item {
        return Ok(Planned { action: Action::Unchanged, entry: old.clone() });
    }
    let mut why = Vec::new();
    let missing = there.missing.contains(&row.key);
    let item_changed = old.item != new.item;
    if missing {
        why.push(Why::Missing);
    }
    // What is uncompared speaks of the bytes, or of the item where there are none.
    let renewed = missing
        || match new.object {
            Some(_) => old.object != new.object,
            None => item_changed,
        };
    let uncompared = match (renewed, item_changed) {
        (true, _) => new.uncompared,
        (false, true) => carried(&old.uncompared, new.uncompared),
        (false, false) => old.uncompared.clone(),
    };
    if renewed && !missing && new.object.is_some() && uncompared != old.uncompared {
        why.push(Why::Content);
    }
    if item_changed {
        why.push(Why::Item);
    }
    let entry = RowEntry { uncompared, attested: why.is_empty() && old.attested, ..new };
    let action = match why.is_empty() {
        false => Action::Update(why),
        true if recovered.is_none() && entry == *old => Action::Unchanged,
        true => Action::Note,
    };
    Ok(Planned { action, entry })
}

/// The entry of a row that is written now, registering this object, its uncompared attributes made anew.
pub(super) fn fresh_row(
    wanted: &Wanted,
    row: &WantedRow,
    object: Option<(&WantedObject, &ObjectEntry)>,
) -> Result<RowEntry, Error> {
    let render = |item: &Item<Text>| {
        render_item(item, &|text| write(text, wanted, object)).map_err(|what| {
            Error::user(format!("an attribute of the row of `{}` is no number: {what}", row.target))
                .hint("give it as `S`, or mend the template")
        })
    };
    let publish = wanted.publish.clone();
    let registers = object.map(|(_, entry)| entry.bytes);
    let (item, uncompared) = (render(&row.item)?, render(&row.uncompared)?);
    Ok(RowEntry { publish, item, uncompared, object: registers, attested: false, held: false })
}

/// Refuses what the table would refuse, before anything is written.
fn check_size(destination: &Destination, row: &WantedRow, new: &RowEntry) -> Result<(), Error> {
    let wrong = |what: String| {
        let target = &row.target;
        Error::user(format!("the row of `{target}` cannot be published to `{destination}`: {what}"))
            .hint("publish less in it: what is large belongs into an object")
    };
    let mut parts = row.key.0.iter().zip(size::MOST_KEY);
    if let Some(((name, value), most)) = parts.find(|((_, v), most)| size::of_value(v) > *most) {
        let bytes = size::of_value(value);
        return Err(wrong(format!(
            "`{name}` of its key has {bytes} bytes, and {most} are the most"
        )));
    }
    match size::of_row(&row.key, new) {
        bytes if bytes > size::MOST_ROW => {
            Err(wrong(format!("it has {bytes} bytes, and {} are the most", size::MOST_ROW)))
        }
        _ => Ok(()),
    }
}

/// The old values of what is still declared, and the new ones of what is declared anew.
fn carried<V: Clone>(old: &BTreeMap<String, V>, new: BTreeMap<String, V>) -> BTreeMap<String, V> {
    new.into_iter()
        .map(|(name, value)| {
            let value = old.get(&name).cloned().unwrap_or(value);
            (name, value)
        })
        .collect()
}

/// Writes a text out; pieces of an object are those of `object` as it is published.
fn write(text: &Text, wanted: &Wanted, object: Option<(&WantedObject, &ObjectEntry)>) -> String {
    let of_object = |piece: &Piece| {
        let (object, entry) = object?;
        let destination = &wanted.destinations[object.destination];
        Some(match piece {
            Piece::ObjectKey => destination.full_key(&object.key),
            Piece::ObjectSize => entry.size.to_string(),
            Piece::ObjectUrl => destination.object_url(&object.key),
            Piece::ObjectDigest => entry.bytes.to_string(),
            Piece::Text(_) | Piece::Now => return None,
        })
    };
    text.iter()
        .map(|piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Now => wanted.now.clone(),
            piece => of_object(piece).unwrap_or_default(),
        })
        .collect()
}

/// Names and types (`S` or `N`) of a table's key.
type Columns = Vec<(String, char)>;

fn columns_of(there: &There) -> Option<Columns> {
    match there {
        There::Rows(there) => there.key.clone(),
        There::Objects(_) => None,
    }
}

/// Whether the row is one that a table can hold, and this table.
fn check_row(wanted: &Wanted, row: &WantedRow, columns: &mut Option<Columns>) -> Result<(), Error> {
    let destination = &wanted.destinations[row.destination];
    let wrong = |what: String| {
        Error::user(format!(
            "the row of `{}` cannot be published to `{destination}`: {what}",
            row.target
        ))
    };
    let RowKey(key) = &row.key;
    let mut parts = Vec::new();
    for (name, value) in key {
        match key_part(value) {
            Some((_, "")) => return Err(wrong(format!("`{name}` of its key is empty"))),
            Some((kind, _)) => parts.push((name.clone(), kind)),
            None => return Err(wrong(format!("`{name}` of its key is neither `S` nor `N`"))),
        }
        if let Attribute::N(text) = value
            && super::attribute::canonical_number(text).as_ref() != Ok(text)
        {
            return Err(wrong(format!("`{text}` of its key is not a number in its shortest form")));
        }
        if row.item.contains_key(name) || row.uncompared.contains_key(name) {
            return Err(wrong(format!("`{name}` is in its key and in its item")));
        }
        if name.eq_ignore_ascii_case("item") {
            return Err(wrong("`item` is the column of the item, not of the key".into()));
        }
    }
    match key.as_slice() {
        [_] => {}
        [(first, _), (second, _)] if !first.eq_ignore_ascii_case(second) => {}
        _ => return Err(wrong("a key has one or two attributes of different names".into())),
    }
    if let Some(both) = row.item.keys().find(|name| row.uncompared.contains_key(*name)) {
        return Err(wrong(format!("`{both}` is in its item and in `uncompared`")));
    }
    let columns = columns.get_or_insert_with(|| parts.clone());
    if *columns != parts {
        let named = |parts: &Columns| {
            parts
                .iter()
                .map(|(name, kind)| format!("{name} ({kind})"))
                .collect::<Vec<_>>()
                .join(", ")
        };
        let (has, wants) = (named(columns), named(&parts));
        return Err(wrong(format!("its table has the key `{has}`, the row `{wants}`"))
            .hint("give another table, or drop the table to have it made again"));
    }
    let mut now = false;
    let mut of_object = false;
    let mut see = |text: &Text| {
        let plain = |piece: &Piece| matches!(piece, Piece::Text(_) | Piece::Now);
        of_object |= row.object.is_none() && !text.iter().all(plain);
    };
    row.item.values().chain(row.uncompared.values()).for_each(|value| value.each_text(&mut see));
    row.item.values().for_each(|v| v.each_text(&mut |text| now |= text.contains(&Piece::Now)));
    if of_object {
        return Err(wrong("it speaks of an object, and registers none".into())
            .hint("name the object that the row registers"));
    }
    if now {
        return Err(wrong("`{now}` is in its item, which is compared".into())
            .hint("move that attribute to `uncompared`"));
    }
    Ok(())
}

fn written_once(destination: &Destination, object: &WantedObject, why: &[Why]) -> Error {
    let why: Vec<String> = why.iter().map(Why::to_string).collect();
    Error::user(format!(
        "`{}` is published as `{}` to `{destination}` and is never written over, but {}",
        object.target,
        object.key,
        why.join(", ")
    ))
    .hint("give another `key`, such as with a version in it; or leave out `write = \"create\"`")
}

fn twice(wanted: &Wanted, destination: usize, key: &str, first: &str, second: &str) -> Error {
    let destination = &wanted.destinations[destination];
    Error::user(format!("`{first}` and `{second}` both publish `{key}` to `{destination}`"))
        .hint("name every axis of the target in the key")
}

fn not_for(destination: &Destination, what: &str, target: &str) -> Error {
    let kinds = if what == "rows" { "`sqlite:` or `dynamodb://`" } else { "`file:` or `s3://`" };
    Error::user(format!("`{destination}` takes no {what}, which `{target}` publishes"))
        .hint(format!("publish {what} to {kinds}"))
}

fn claimed(destination: &Destination, key: &str, target: &str, claim: &Claim) -> Error {
    match claim {
        Claim::Owner(owner) => Error::user(format!(
            "`{target}` cannot be published as `{key}` to `{destination}`: the project `{owner}` publishes it"
        ))
        .hint("give another key or another destination"),
        Claim::Foreign => Error::user(format!(
            "`{target}` cannot be published as `{key}` to `{destination}`: something that jheem did not publish stands there"
        ))
        .hint("move it away if it may go, give another key, or take it for published with `jheem adopt`"),
    }
}
