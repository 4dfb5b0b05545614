//! Mending what is published: compared with its manifest, and put back where it is missing.
//!
//! Knows the graph and the cache; how things are compared and written is `publish`'s.

use std::collections::{BTreeMap, BTreeSet};

use super::values::Values;
use super::{Filled, Prepared, Reach, Source, destination, keeping, kept};
use crate::error::Result;
use crate::graph::{Publish, Target};
use crate::publish::edition;
use crate::publish::manifest::ObjectEntry;
use crate::publish::{
    self, Depth, Destination, Doomed, Drift, Examined, Extent, Invalidation, Place, Pruned, Repair,
    RowKey, There, Wanted,
};

/// The destinations of publishes as they are found, each once.
pub struct Inspection {
    destinations: Vec<Destination>,
    places: Vec<Place>,
    examined: Vec<Examined>,
}

/// What a repair came to.
pub struct Repaired {
    /// What was put back.
    pub keys: Vec<(Destination, String)>,
    pub done: publish::Done,
    /// What could not be put back, and what to do about it.
    pub lost: Vec<Lost>,
}

pub struct Lost {
    pub destination: Destination,
    pub key: String,
    pub message: String,
}

/// What a prune would remove, by destination.
pub struct Pruning {
    pub destinations: Vec<Destination>,
    places: Vec<Place>,
    there: Vec<There>,
    pub doomed: Vec<Doomed>,
    pub invalidation: Option<Invalidation>,
}

/// Lets a command stand between a publish and its places, so that it can be stopped.
pub type Guard<'a> = dyn Fn(Vec<Place>) -> Vec<Place> + 'a;

type Keys<K> = BTreeSet<(Destination, K)>;

impl Source<'_> {
    /// Every destination of the publishes that were asked for, each once.
    pub(super) fn destinations(&self) -> Result<Vec<Destination>> {
        let mut destinations: Vec<Destination> = Vec::new();
        for publish in self.publishes() {
            let outputs = &self.graph.rule(publish.of).outputs;
            let keeping = keeping(publish)?;
            let objects = publish.objects.iter().map(|o| destination(&o.to, None));
            let rows =
                publish.rows.iter().map(|r| destination(&r.to, Some(&outputs[r.output].name)));
            for found in objects.chain(rows) {
                let found = kept(found?, keeping.as_ref());
                if !destinations.contains(&found) {
                    destinations.push(found);
                }
            }
        }
        Ok(destinations)
    }

    /// Compares every destination of the publishes that were asked for with its manifest.
    ///
    /// With `wait`, others that publish there are waited for, and it tells of them.
    pub fn inspect(
        &self,
        depth: Depth,
        wait: Option<&mut dyn FnMut(String)>,
    ) -> Result<Inspection> {
        let destinations = self.destinations()?;
        let places = publish::open(&self.world(), &destinations)?;
        if let Some(say) = wait {
            publish::wait(&places, say)?;
        }
        let examine = |place| publish::examine(&self.graph.project, place, depth);
        let examined = places.iter().map(examine).collect::<Result<_>>()?;
        Ok(Inspection { destinations, places, examined })
    }

    /// All that differs, from the manifests and from what the whole graph declares.
    pub fn drift(&self, inspection: &Inspection) -> Vec<Drift> {
        self.declared().asked(|declared| {
            let all = inspection.destinations.iter().zip(&inspection.examined);
            let drift = all.flat_map(|(destination, examined)| {
                let broken = self.broken_editions(destination, &examined.there);
                examined.drift(destination, declared).into_iter().chain(broken)
            });
            drift.collect()
        })
    }

    /// Puts back what is missing: from the cache as it was published, or as it was made again with the same content.
    pub fn repair(&self, inspection: Inspection, guard: &Guard<'_>) -> Result<Repaired> {
        let Inspection { destinations, places, examined } = inspection;
        for examined in &examined {
            let There::Objects(there) = &examined.there else { continue };
            let published = there.published();
            for entry in published.values() {
                self.remake_texts(entry, &published)?;
            }
        }
        let has = |entry: &ObjectEntry| self.has(entry);
        let owner = &self.graph.project;
        let repair = self
            .declared()
            .asked(|declared| publish::repair(owner, &destinations, &examined, declared, &has));
        let mut keys = repair.keys();
        let Repair { mut wanted, plan, lost, held } = repair;
        wanted.invalidation = self.one_invalidation()?;
        let at = |index: usize| destinations[index].clone();
        let mut lost: Keys<String> = lost.into_iter().map(|(i, key)| (at(i), key)).collect();
        let mut held: Keys<RowKey> = held.into_iter().map(|(i, key)| (at(i), key)).collect();
        let there: Vec<There> = examined.into_iter().map(|examined| examined.there).collect();
        let mut prepared = Prepared::of("", wanted, guard(places), there, plan);
        let mut done = self.apply(&prepared, &mut |_| {})?;
        let there = std::mem::take(&mut prepared.there);
        // Its places must be free before they are opened again.
        drop(prepared);
        let there: BTreeMap<Destination, There> = destinations.into_iter().zip(there).collect();
        if !lost.is_empty() {
            for publish in self.publishes() {
                let Some(again) = self.made_again(publish, &there, &lost, &held)? else { continue };
                let again = Prepared { places: guard(again.places), ..again };
                let more = self.apply(&again, &mut |_| {})?;
                done.objects += more.objects;
                done.rows += more.rows;
                done.bytes += more.bytes;
                let at = |index: usize| again.wanted.destinations[index].clone();
                for object in &again.wanted.objects {
                    let key = (at(object.destination), object.key.clone());
                    lost.remove(&key);
                    keys.push(key);
                }
                for row in &again.wanted.rows {
                    if held.remove(&(at(row.destination), row.key.clone())) {
                        keys.push((at(row.destination), row.key.to_string()));
                    }
                }
            }
        }
        self.forget_lost(&lost, guard)?;
        Ok(Repaired { keys, done, lost: self.told_lost(&lost, &held) })
    }

    /// Takes the lines of what is lost of editions out of the manifest, so that the next publish makes another edition.
    fn forget_lost(&self, lost: &Keys<String>, guard: &Guard<'_>) -> Result<()> {
        let inside = lost
            .iter()
            .filter(|(at, key)| self.index_at(at).is_some() && edition::parts(key).is_some());
        let mut gone: BTreeMap<&Destination, BTreeSet<String>> = BTreeMap::new();
        for (at, key) in inside {
            gone.entry(at).or_default().insert(key.clone());
        }
        for (at, gone) in gone {
            for place in guard(publish::open(&self.world(), std::slice::from_ref(at))?) {
                let Place::Objects(place) = place else { continue };
                let there = place.read(&self.graph.project, &BTreeMap::new(), Extent::Whole)?;
                let known = gone.iter().filter_map(|key| there.entries.get_key_value(key));
                let known: Vec<_> =
                    known.map(|(key, entry)| (key.clone(), entry.clone())).collect();
                let mut publish = place.begin(&there, &known)?;
                publish.commit(&there.recovered, &gone)?;
                publish.finish()?;
            }
        }
        Ok(())
    }

    /// Whether the bytes that an entry describes can be put again, from the cache and packed as they were.
    pub(super) fn has(&self, entry: &ObjectEntry) -> bool {
        if entry.packed.is_some() && matches!(self.objects.verified_path(&entry.bytes), Ok(Some(_)))
        {
            return true;
        }
        match self.objects.verified_path(&entry.built()) {
            Ok(Some(_)) if entry.packed.is_none() => true,
            // What another tool packed, or another version of jheem, comes out in other bytes.
            Ok(Some(built)) => publish::packing::pack(&built, None)
                .is_ok_and(|packed| packed == (entry.bytes, entry.size)),
            _ => false,
        }
    }

    /// What a publish would put for objects that are lost, of the targets whose content is still the published one.
    ///
    /// Other bytes come to stand there, so the rows that speak of them are written too.
    fn made_again(
        &self,
        publish: &Publish,
        before: &BTreeMap<Destination, There>,
        lost: &Keys<String>,
        held: &Keys<RowKey>,
    ) -> Result<Option<Prepared>> {
        let Filled { mut wanted, .. } = self.wanted(publish, Reach::All)?;
        wanted.refused.clear();
        let at = |wanted: &Wanted, index: usize| wanted.destinations[index].clone();
        let mut places: Vec<Option<usize>> = Vec::new();
        let mut objects = Vec::new();
        for object in std::mem::take(&mut wanted.objects) {
            let place = at(&wanted, object.destination);
            let known = match before.get(&place) {
                Some(There::Objects(there)) => {
                    there.recovered.get(&object.key).or_else(|| there.entries.get(&object.key))
                }
                _ => None,
            };
            let same = known.is_some_and(|known| {
                known.content == object.content && known.judged == object.judged
            });
            if same && lost.contains(&(place, object.key.clone())) {
                places.push(Some(objects.len()));
                objects.push(object);
            } else {
                places.push(None);
            }
        }
        if objects.is_empty() {
            return Ok(None);
        }
        wanted.objects = objects;
        wanted.rows.retain_mut(|row| {
            row.object = row.object.and_then(|object| places[object]);
            row.object.is_some()
        });
        let places = publish::open(&self.world(), &wanted.destinations)?;
        let mut there = publish::look(&wanted, &places)?;
        for (index, there) in there.iter_mut().enumerate() {
            let place = at(&wanted, index);
            match there {
                There::Objects(there) => {
                    let mine = lost.iter().filter(|(at, _)| *at == place);
                    there.missing.extend(mine.map(|(_, key)| key.clone()));
                }
                There::Rows(there) => {
                    let mine = held.iter().filter(|(at, _)| *at == place);
                    there.missing.extend(mine.map(|(_, key)| key.clone()));
                }
            }
        }
        self.measure_packed(&mut wanted, &there)?;
        let plan = self.declared().asked(|declared| publish::plan(&wanted, &there, declared));
        Ok(Some(Prepared::of(&publish.name, wanted, places, there, plan)))
    }

    /// What no target of the whole declared graph publishes any more, at the destinations of the publishes asked for.
    pub fn doomed(&self, wait: Option<&mut dyn FnMut(String)>) -> Result<Pruning> {
        if let Some(error) = &self.declared().untold {
            return Err(error.clone().because(
                "as long as a key of the Jheemfile cannot be told, it is not known what nothing publishes",
            ));
        }
        let invalidation = self.one_invalidation()?;
        let destinations = self.destinations()?;
        let places = publish::open(&self.world(), &destinations)?;
        if let Some(say) = wait {
            publish::wait(&places, say)?;
        }
        let look = |place: &Place| publish::there(&self.graph.project, place);
        let there: Vec<There> = places.iter().map(look).collect::<Result<_>>()?;
        let mut doomed =
            self.declared().asked(|declared| publish::doomed(&destinations, &there, declared));
        self.doom_editions(&destinations, &places, &there, &mut doomed)?;
        Ok(Pruning { destinations, places, there, doomed, invalidation })
    }

    /// Removes it.
    pub fn prune(&self, pruning: Pruning, guard: &Guard<'_>) -> Result<Pruned> {
        let Pruning { destinations, places, there, doomed, invalidation } = pruning;
        let (owner, to) = (&self.graph.project, invalidation.as_ref());
        publish::prune(owner, &destinations, &guard(places), &there, &doomed, to)
    }

    /// What to do about each that could not be put back.
    fn told_lost(&self, lost: &Keys<String>, held: &Keys<RowKey>) -> Vec<Lost> {
        let paths = self.paths_of(lost);
        let mut told = Vec::new();
        for (destination, key) in lost {
            let message = match paths.get(&(destination.clone(), key.clone())) {
                _ if edition::parts(key).is_some() && self.index_at(destination).is_some() => {
                    "its bytes are no longer in the cache: `jheem publish` puts what is built into another edition".to_owned()
                }
                _ if self.index_at(destination) == Some(key) => {
                    "the edition that it names is not whole: `jheem publish` makes another".to_owned()
                }
                Some((path, true)) => format!(
                    "its bytes are no longer in the cache, and what is made now has another content: `jheem publish {path}` puts that"
                ),
                Some((path, false)) => format!(
                    "its bytes are no longer in the cache: `jheem build {path}`, then run this again"
                ),
                None => "its bytes are no longer in the cache".to_owned(),
            };
            told.push(Lost { destination: destination.clone(), key: key.clone(), message });
        }
        for (destination, key) in held {
            let message = "the object that it registers is not there".to_owned();
            told.push(Lost { destination: destination.clone(), key: key.to_string(), message });
        }
        told
    }

    /// The paths of the outputs that are published under these keys, and whether they are made.
    fn paths_of(&self, keys: &Keys<String>) -> BTreeMap<(Destination, String), (String, bool)> {
        let mut paths = BTreeMap::new();
        if keys.is_empty() {
            return paths;
        }
        for publish in &self.graph.publishes {
            let keeping = keeping(publish).unwrap_or_default();
            for cell in 0..self.graph.rule(publish.of).space.cells() {
                let target = Target { rule: publish.of, cell };
                let mut values = Values::new(self, target);
                for object in &publish.objects {
                    let (Ok(at), Ok(key)) =
                        (destination(&object.to, None), values.plain(&object.key, object.output))
                    else {
                        continue;
                    };
                    let key = (kept(at, keeping.as_ref()), key);
                    if keys.contains(&key) {
                        let made =
                            matches!(self.made(target, object.output), super::Known::Made(_));
                        let path = self.graph.output_path(target, object.output);
                        paths.insert(key, (path, made));
                    }
                }
            }
        }
        paths
    }
}
