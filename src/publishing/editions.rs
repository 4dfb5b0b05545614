//! Publishing whole editions: what is wanted is put below a prefix named by what it is, and an index beside it names that.
//!
//! Which edition it is depends on the one before: what has the same content keeps the bytes that stand there, and is
//! copied at the destination. Knows what is wanted and what the manifest holds; how it is written is `publish`'s.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use super::fewer::{Lacking, Why};
use super::{LackingWhat, Source};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::figures::numbered;
use crate::graph::{Publish, Target};
use crate::publish::edition::{self, Edition, Listed};
use crate::publish::manifest::ObjectEntry;
use crate::publish::place::{Claim, ObjectPlace, ObjectsThere};
use crate::publish::wanted::WantedEdition;
use crate::publish::{
    self, Action, Destination, Doomed, Drift, DriftKind, Extent, Headers, Piece, Place, Role,
    There, Wanted, WantedObject,
};

const JSON: &str = "application/json";
/// An index is asked for anew each time.
const INDEX_CACHE_CONTROL: &str = "no-cache";
/// What S3 copies in one request ("CopyObject" of its API reference); what is larger is sent.
const MOST_COPIED: u64 = 5 << 30;

type Entries = BTreeMap<String, ObjectEntry>;
type InReach<'a> = (&'a [Option<usize>], &'a [Option<usize>]);

/// An object that no target makes.
struct Made {
    key: String,
    bytes: Digest,
    size: u64,
    role: Role,
    cache_control: &'static str,
    metadata: BTreeMap<String, String>,
}

impl Source<'_> {
    /// Why an edition cannot be published of what was asked for, and what is held back so; none if that is all that there is.
    pub(super) fn narrowed(
        &self,
        publish: &Publish,
        cells: &[usize],
        (places, _): InReach<'_>,
    ) -> Option<(String, Vec<Lacking>)> {
        let rule = self.graph.rule(publish.of);
        let all: Vec<usize> =
            (0..rule.space.cells()).filter(|cell| !rule.declared_absent(*cell)).collect();
        // An output of an option that was not asked for would be missing in the edition.
        let unasked = publish.objects.iter().find_map(|object| {
            let group = rule.outputs[object.output].group;
            let wants = |cell: &usize| {
                let target = Target { rule: publish.of, cell: *cell };
                self.selection.wants(target) & (1 << group) != 0
            };
            let option = rule.groups[group].option.as_deref();
            option.filter(|_| group != 0 && !cells.iter().all(wants))
        });
        let why = match unasked {
            Some(option) => format!("`{option}` was not asked for: add `--with {option}`"),
            None if cells.len() == all.len() => return None,
            None => {
                let all = numbered(all.len(), "target");
                format!("only {} of the {all} were asked for", cells.len())
            }
        };
        let asked: BTreeSet<usize> = cells.iter().copied().collect();
        let left = all.iter().filter(|cell| unasked.is_some() || !asked.contains(cell));
        let lacking = left.flat_map(|cell| {
            let target = Target { rule: publish.of, cell: *cell };
            let here = places.iter().enumerate();
            here.filter_map(move |(index, place)| {
                let (destination, what) = ((*place)?, LackingWhat::Object(index));
                Some(Lacking { destination, target, what, why: Why::Held })
            })
        });
        let words = format!(
            "`publish.{}` publishes whole editions, and {why}: nothing of it is written",
            publish.name
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
        let owner = wanted.owner.clone();
        let read = |wanted: &Entries, editions: &[&str]| {
            place.read(&owner, wanted, Extent::Editions(editions))
        };
        let outline = read(&Entries::new(), &[])?;
        let named = outline.published().remove(index);
        let latest = named.as_ref().and_then(edition::named).map(str::to_owned);
        let latest_only: Vec<&str> = latest.iter().map(String::as_str).collect();
        if wanted.objects.is_empty() {
            wanted.editions.push(WantedEdition::after(latest.clone()));
            return Ok(vec![There::Objects(read(&Entries::new(), &latest_only)?)]);
        }
        if let (Some(named), Some(latest)) = (&named, &latest)
            && let Some(list) = edition::list_of(named)
        {
            // Nearly always nothing changed, and then its manifest need not be read.
            let mut same = wanted.clone();
            put_below(&mut same, latest, (list, 0), (index, named.bytes, 0));
            same.editions.push(WantedEdition::after(Some(latest.clone())));
            let there = There::Objects(read(&fresh(&same), &latest_only)?);
            if self.is_unchanged(&same, latest, &there) {
                *wanted = same;
                return Ok(vec![there]);
            }
        }
        let before = read(&Entries::new(), &latest_only)?;
        if let Some(latest) = &latest {
            keep_bytes(wanted, latest, &before, &**place)?;
        }
        self.pack_all(wanted)?;
        let entries = fresh(wanted);
        let Edition { name, list, index: text } = edition_of(&owner, &entries);
        let (list_is, text_is) = (Digest::of(&list), Digest::of(&text));
        let sizes = (list.len() as u64, text.len() as u64);
        put_below(wanted, &name, (list_is, sizes.0), (index, text_is, sizes.1));
        let mut there = read(&fresh(wanted), &[&name])?;
        // What somebody else put there is found before anything is written: not every store copies on conditions.
        let known = there.published();
        let mut stands = Vec::new();
        if named.is_none() {
            stands.extend(place.standing(index)?);
        }
        if !known.keys().any(|key| edition::holds(&name, key)) {
            stands.extend(place.standing(&edition::below(&name, ""))?);
        }
        let foreign = stands.into_iter().filter(|key| !known.contains_key(key));
        there.claims.extend(foreign.map(|key| (key, Claim::Foreign)));
        // What would be confirmed is told by the edition before.
        let inside = before.entries.into_iter().filter(|(key, _)| edition::parts(key).is_some());
        for (key, entry) in inside {
            there.entries.entry(key).or_insert(entry);
        }
        wanted.editions.push(WantedEdition {
            name,
            texts: [(list_is, list), (text_is, text)].into(),
            ..WantedEdition::after(latest)
        });
        Ok(vec![There::Objects(there)])
    }

    /// Whether just this edition stands there, and nothing of it has to be written.
    fn is_unchanged(&self, wanted: &Wanted, name: &str, there: &There) -> bool {
        let there = std::slice::from_ref(there);
        let plan = self.declared().asked(|declared| publish::plan(wanted, there, declared));
        let [There::Objects(there)] = there else { return false };
        let stand = there.entries.keys().filter(|key| edition::holds(name, key)).count();
        let still = |action: &Action| *action == Action::Unchanged;
        plan.objects.iter().all(|planned| still(&planned.action))
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
    ///
    /// What only an intent knows is left: whoever wrote it may have been thought dead, and name it yet.
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
            if !published.contains_key(index) {
                // Until the new index is there, readers have the old one.
                doomed[at].objects.retain(|(_, entry)| edition::named(entry).is_none());
            }
            let mut kept = named_in(&published);
            for stamp in place.history()? {
                let past = place.past(&stamp.id, Extent::Editions(&[]))?;
                kept.extend(named_in(&past.unwrap_or_default()));
            }
            let unnamed = there.entries.iter().filter(|(key, _)| {
                edition::parts(key).is_some_and(|(edition, _)| !kept.contains(edition))
            });
            let unnamed = unnamed.map(|(key, entry)| (key.clone(), entry.clone()));
            doomed[at].objects.extend(unnamed);
        }
        Ok(())
    }

    /// Puts the texts of an edition that the cache lacks into it: they follow from its entries.
    pub(super) fn remake_texts(&self, entry: &ObjectEntry, published: &Entries) -> Result<()> {
        let Some(name) = edition::named(entry) else { return Ok(()) };
        let made = edition_in(&self.graph.project, published, name);
        if edition::list_of(entry) == Some(Digest::of(&made.list)) {
            self.objects.put_bytes(&made.list)?;
            self.objects.put_bytes(&made.index)?;
        }
        Ok(())
    }

    /// The indexes that name an edition of which the manifest does not know all.
    pub(super) fn broken_editions(&self, destination: &Destination, there: &There) -> Vec<Drift> {
        let There::Objects(there) = there else { return Vec::new() };
        let published = there.published();
        let indexes = published.iter().filter_map(|(key, entry)| {
            Some((key, edition::named(entry)?, edition::list_of(entry)?))
        });
        let broken = indexes.filter(|(_, name, list)| {
            let made = edition_in(&self.graph.project, &published, name);
            Digest::of(&made.list) != *list
        });
        let drift = broken.map(|(key, name, _)| Drift {
            destination: destination.clone(),
            key: key.clone(),
            kind: DriftKind::Changed {
                published: format!("the edition {name}, whole"),
                found: "an edition of which not all is published".to_owned(),
            },
        });
        drift.collect()
    }
}

/// The editions that indexes name in a manifest.
fn named_in(entries: &Entries) -> BTreeSet<String> {
    entries.values().filter_map(edition::named).map(str::to_owned).collect()
}

/// The edition of these entries, by their keys in it.
fn edition_of(project: &str, entries: &Entries) -> Edition {
    let listed = entries.iter().map(|(key, entry)| {
        let (digest, size, headers) = (entry.bytes, entry.size, &entry.headers);
        (key.as_str(), Listed { digest, size, headers })
    });
    Edition::of(project, listed.collect())
}

/// The edition of this name as the entries of a manifest make it; its own list is not in it.
fn edition_in(project: &str, published: &Entries, name: &str) -> Edition {
    let list = edition::below(name, edition::MANIFEST);
    let inside = published.iter().filter(|(key, _)| **key != list && edition::holds(name, key));
    let inside = inside.map(|(key, entry)| (edition::inside(key).to_owned(), entry.clone()));
    edition_of(project, &inside.collect())
}

/// The entries of all that is wanted, as if it were all new; a key that cannot stand there is refused by the plan.
fn fresh(wanted: &Wanted) -> Entries {
    let sound = wanted
        .objects
        .par_iter()
        .filter(|object| wanted.destinations[object.destination].check_key(&object.key).is_ok());
    let fresh = sound.map(|object| (object.key.clone(), publish::plan::fresh(wanted, object)));
    fresh.collect::<Vec<_>>().into_iter().collect()
}

/// Lets every object whose content is in the edition before keep the bytes of it, as far as they stand there still.
fn keep_bytes(
    wanted: &mut Wanted,
    before: &str,
    there: &ObjectsThere,
    place: &dyn ObjectPlace,
) -> Result<()> {
    let published = there.published();
    let same = |object: &WantedObject| {
        let (from, entry) = published.get_key_value(&edition::below(before, &object.key))?;
        let content = entry.content == object.content && entry.judged == object.judged;
        let same = (content || entry.built() == object.bytes)
            && entry.packed.is_some() == object.gzip
            && entry.size <= MOST_COPIED;
        same.then_some((from.as_str(), entry))
    };
    let known: Vec<Option<(&str, &ObjectEntry)>> = wanted.objects.iter().map(same).collect();
    let asked: Vec<(&str, &ObjectEntry)> = known.iter().flatten().copied().collect();
    let mut stands = place.as_written(before, &asked)?.into_iter();
    for (object, known) in wanted.objects.iter_mut().zip(known) {
        let Some((from, entry)) = known.filter(|_| stands.next() == Some(true)) else { continue };
        object.bytes = entry.built();
        object.packed = entry.packed.map(|_| (entry.bytes, entry.size));
        object.size = entry.size;
        let text = |text: &String| vec![Piece::Text(text.clone())];
        object.uncompared =
            entry.uncompared.iter().map(|(name, value)| (name.clone(), text(value))).collect();
        object.copied = Some((from.to_owned(), entry.version.clone()));
    }
    Ok(())
}

/// Puts all objects below an edition, and adds its list and the index that names it.
fn put_below(
    wanted: &mut Wanted,
    name: &str,
    (list, list_size): (Digest, u64),
    (index, text, text_size): (&str, Digest, u64),
) {
    for object in &mut wanted.objects {
        object.key = edition::below(name, &object.key);
        // In the same edition it stands there, or is to be put there again.
        object.copied.take_if(|(from, _)| *from == object.key);
    }
    let named = [(edition::NAMED, name.to_owned()), (edition::LIST, list.to_string())];
    let list = Made {
        key: edition::below(name, edition::MANIFEST),
        bytes: list,
        size: list_size,
        role: Role::List,
        cache_control: edition::CACHE_CONTROL,
        metadata: BTreeMap::new(),
    }
    .object();
    let index = Made {
        key: index.to_owned(),
        bytes: text,
        size: text_size,
        role: Role::Index,
        cache_control: INDEX_CACHE_CONTROL,
        metadata: named.map(|(name, value)| (name.to_owned(), value)).into(),
    }
    .object();
    wanted.objects.extend([list, index]);
}

impl Made {
    fn object(self) -> WantedObject {
        WantedObject {
            target: self.key.clone(),
            destination: 0,
            key: self.key,
            content: self.bytes,
            bytes: self.bytes,
            judged: Digest::of(b"edition"),
            size: self.size,
            headers: Headers {
                content_type: Some(JSON.to_owned()),
                content_encoding: None,
                cache_control: Some(self.cache_control.to_owned()),
                metadata: self.metadata,
            },
            uncompared: BTreeMap::new(),
            gzip: false,
            packed: None,
            once: false,
            copied: None,
            role: self.role,
        }
    }
}
