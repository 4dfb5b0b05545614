//! Publishing whole editions: what is wanted is put below a prefix named by what it is, and an index beside it names that.
//!
//! Which edition it is depends on the one before: what has the same content keeps the bytes that stand there, and is
//! copied at the destination. Knows what is wanted and what the manifest holds; how it is written is `publish`'s.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rayon::prelude::*;

use super::fewer::{Lacking, Why};
use super::{LackingWhat, Source};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::figures::numbered;
use crate::graph::{Publish, Target};
use crate::publish::edition::{self, Edition, Index, Listed};
use crate::publish::manifest::ObjectEntry;
use crate::publish::wanted::WantedEdition;
use crate::publish::{
    self, Action, Destination, Doomed, Headers, Piece, Place, There, Wanted, WantedObject,
};

const JSON: &str = "application/json";
/// An index is asked for anew each time.
const INDEX_CACHE_CONTROL: &str = "no-cache";

impl Source<'_> {
    /// Why an edition cannot be published of these cells alone, and what is held back so; none if they are all that there are.
    pub(super) fn narrowed(
        &self,
        publish: &Publish,
        cells: &[usize],
        (places, _): (&[Option<usize>], &[Option<usize>]),
    ) -> Option<(String, Vec<Lacking>)> {
        let rule = self.graph.rule(publish.of);
        let all: Vec<usize> =
            (0..rule.space.cells()).filter(|cell| !rule.declared_absent(*cell)).collect();
        if cells.len() == all.len() {
            return None;
        }
        let asked: BTreeSet<usize> = cells.iter().copied().collect();
        let lacking = all.iter().filter(|cell| !asked.contains(cell)).filter_map(|cell| {
            let target = Target { rule: publish.of, cell: *cell };
            let destination = places.iter().copied().find_map(|place| place)?;
            Some(Lacking { destination, target, what: LackingWhat::Object(0), why: Why::Held })
        });
        let words = format!(
            "`publish.{}` publishes whole editions, and only {} of the {} were asked for: nothing of it is written",
            publish.name,
            cells.len(),
            numbered(all.len(), "target")
        );
        Some((words, lacking.collect()))
    }

    /// Makes what is wanted an edition, and tells what is there of it.
    pub(super) fn as_edition(
        &self,
        index: &str,
        wanted: &mut Wanted,
        places: &[Place],
    ) -> Result<Vec<There>> {
        let [Place::Objects(place)] = places else {
            return Err(Error::bug("an edition goes to one place of objects"));
        };
        if wanted.objects.is_empty() {
            return publish::look(wanted, places);
        }
        let stands = place.text(index)?;
        let latest = stands.as_deref().and_then(|bytes| Index::decode(bytes).ok());
        if let (Some(bytes), Some(latest)) = (&stands, &latest) {
            // Nearly always nothing changed, and then its manifest need not be read whole.
            let mut same = wanted.clone();
            put_below(&mut same, &latest.edition, index, (latest.digest, 0), Digest::of(bytes));
            let there = publish::look(&same, places)?;
            if self.is_unchanged(&same, &there) {
                *wanted = same;
                return Ok(there);
            }
        }
        let There::Objects(there) = publish::there(&wanted.owner, &places[0])? else {
            return Err(Error::bug("a place of objects is read as one of rows"));
        };
        let before = latest.map(|latest| latest.edition);
        keep_bytes(wanted, before.as_deref(), &there.published());
        self.pack_all(wanted)?;
        let entries: Vec<(String, ObjectEntry)> = wanted
            .objects
            .iter()
            .map(|object| (object.key.clone(), publish::plan::fresh(wanted, object)))
            .collect();
        let listed = entries.iter().map(|(key, entry)| {
            let (digest, size, headers) = (entry.bytes, entry.size, &entry.headers);
            (key.as_str(), Listed { digest, size, headers })
        });
        let Edition { name, list, index: text } = Edition::of(&wanted.owner, listed.collect());
        let list_is = (Digest::of(&list), list.len() as u64);
        put_below(wanted, &name, index, list_is, Digest::of(&text));
        if let Some(index) = wanted.objects.last_mut() {
            index.size = text.len() as u64;
        }
        let texts = [list, text].map(|text| (Digest::of(&text), text));
        wanted.edition = Some(WantedEdition { name, before, texts: texts.into() });
        publish::look(wanted, places)
    }

    /// Whether just this edition stands there, and nothing of it has to be written.
    fn is_unchanged(&self, wanted: &Wanted, there: &[There]) -> bool {
        let plan = self.declared().asked(|declared| publish::plan(wanted, there, declared));
        let (Some(edition), [There::Objects(there)]) = (&wanted.edition, there) else {
            return false;
        };
        let inside = |key: &&String| edition::parts(key).is_some_and(|(e, _)| e == edition.name);
        let stand = there.entries.keys().filter(inside).count();
        let still =
            |planned: &publish::plan::Planned<ObjectEntry>| planned.action == Action::Unchanged;
        plan.objects.iter().all(still)
            && plan.refused.is_empty()
            // All but the index.
            && stand + 1 == wanted.objects.len()
    }

    /// Packs what is to be packed and does not keep the bytes that stand there.
    fn pack_all(&self, wanted: &mut Wanted) -> Result<()> {
        let to_pack = wanted.objects.par_iter_mut();
        to_pack.filter(|object| object.gzip && object.packed.is_none()).try_for_each(|object| {
            let built = self.objects.verified_path(&object.bytes)?;
            // What is gone from the cache is told when it is published.
            object.packed = built.map(|built| publish::packing::pack(&built, None)).transpose()?;
            Ok(())
        })
    }

    /// The index of the editions that are published to a destination, if any are.
    pub(super) fn index_at(&self, destination: &Destination) -> Option<&str> {
        self.declared().editions.get(destination).map(String::as_str)
    }

    /// Adds the editions that no index names, neither now nor in a manifest that a rollback could go back to.
    pub(super) fn doom_editions(
        &self,
        destinations: &[Destination],
        places: &[Place],
        there: &[There],
        doomed: &mut [Doomed],
    ) -> Result<()> {
        for (at, destination) in destinations.iter().enumerate() {
            let (Some(index), Place::Objects(place), There::Objects(there)) =
                (self.index_at(destination), &places[at], &there[at])
            else {
                continue;
            };
            let published = there.published();
            let mut kept: Vec<String> = named_by(index, &published).into_iter().collect();
            for stamp in place.history()? {
                kept.extend(place.past(&stamp.id)?.and_then(|past| named_by(index, &past)));
            }
            let kept: BTreeSet<String> = kept.into_iter().collect();
            doomed[at].objects.extend(published.into_iter().filter(|(key, _)| {
                edition::parts(key).is_some_and(|(edition, _)| !kept.contains(edition))
            }));
        }
        Ok(())
    }

    /// Makes the text of an index again, which follows from the edition that it names: into the cache.
    pub(super) fn index_again(
        &self,
        entry: &ObjectEntry,
        published: &BTreeMap<String, ObjectEntry>,
    ) -> Result<()> {
        let Some(name) = edition::named(entry) else { return Ok(()) };
        let list = edition::below(name, edition::MANIFEST);
        let Some(digest) = published.get(&list).map(|list| list.bytes) else { return Ok(()) };
        let inside = published.iter().filter(|(key, _)| {
            **key != list && edition::parts(key).is_some_and(|(edition, _)| edition == name)
        });
        let (count, bytes) =
            inside.fold((0, 0), |(count, bytes), (_, entry)| (count + 1, bytes + entry.size));
        let text = Index::of(&self.graph.project, digest, count, bytes).encode();
        if Digest::of(&text) == entry.bytes {
            self.objects.put_bytes(&text)?;
        }
        Ok(())
    }
}

/// The edition that the index names in a manifest.
fn named_by(index: &str, entries: &BTreeMap<String, ObjectEntry>) -> Option<String> {
    entries.get(index).and_then(edition::named).map(str::to_owned)
}

/// Lets every object whose content is in an edition keep the bytes that stand there: in the one before, or else in any.
fn keep_bytes(
    wanted: &mut Wanted,
    before: Option<&str>,
    published: &BTreeMap<String, ObjectEntry>,
) {
    let mut inside: HashMap<&str, Vec<&String>> = HashMap::new();
    for key in published.keys() {
        if let Some((edition, rest)) = edition::parts(key) {
            let keys = inside.entry(rest).or_default();
            let first = if before == Some(edition) { 0 } else { keys.len() };
            keys.insert(first, key);
        }
    }
    for object in &mut wanted.objects {
        let same = |entry: &ObjectEntry| {
            entry.content == object.content
                && entry.judged == object.judged
                && entry.headers == object.headers
                && entry.packed.is_some() == object.gzip
        };
        let known = inside.get(object.key.as_str()).into_iter().flatten().copied();
        let Some((from, entry)) =
            known.map(|key| (key.clone(), &published[key])).find(|(_, entry)| same(entry))
        else {
            continue;
        };
        object.bytes = entry.built();
        object.packed = entry.packed.map(|_| (entry.bytes, entry.size));
        object.size = entry.size;
        let text = |text: &String| vec![Piece::Text(text.clone())];
        object.uncompared =
            entry.uncompared.iter().map(|(name, value)| (name.clone(), text(value))).collect();
        object.copied = Some((from, entry.version.clone()));
    }
}

/// Puts all objects below an edition, and adds its list and, as the last, the index that names it.
fn put_below(
    wanted: &mut Wanted,
    name: &str,
    index: &str,
    (list, size): (Digest, u64),
    text: Digest,
) {
    for object in &mut wanted.objects {
        object.key = edition::below(name, &object.key);
        // In the same edition it stands there, or is to be put there again.
        object.copied.take_if(|(from, _)| *from == object.key);
    }
    let listed = |key: String, bytes: Digest, size: u64, headers: Headers| WantedObject {
        target: format!("`{key}`"),
        destination: 0,
        key,
        content: bytes,
        bytes,
        judged: Digest::of(b"edition"),
        size,
        headers,
        uncompared: BTreeMap::new(),
        gzip: false,
        packed: None,
        once: false,
        copied: None,
        last: false,
    };
    let headers = |cache_control: &str, metadata| Headers {
        content_type: Some(JSON.to_owned()),
        content_encoding: None,
        cache_control: Some(cache_control.to_owned()),
        metadata,
    };
    let for_good = headers(edition::CACHE_CONTROL, BTreeMap::new());
    let named = BTreeMap::from([(edition::NAMED.to_owned(), name.to_owned())]);
    let list = listed(edition::below(name, edition::MANIFEST), list, size, for_good);
    let text = listed(index.to_owned(), text, 0, headers(INDEX_CACHE_CONTROL, named));
    wanted.objects.push(list);
    wanted.objects.push(WantedObject { last: true, ..text });
    let before = Some(name.to_owned());
    wanted.edition = Some(WantedEdition { name: name.to_owned(), before, ..Default::default() });
}
