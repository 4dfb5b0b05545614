//! The keys that the whole declared graph publishes, whatever was selected: what else is published is orphaned.

use std::collections::{BTreeMap, HashSet};

use super::values::Values;
use super::{Source, destination, keeping, kept};
use crate::error::{Error, Result};
use crate::graph::{Publish, Target};
use crate::plan::{self, Verdict};
use crate::publish::edition;
use crate::publish::{self, Declared, Destination, Extent, Place, RowKey};
use crate::records::Outcome;

/// The keys of one destination.
#[derive(Default)]
pub(super) struct Keys {
    pub(super) objects: HashSet<String>,
    pub(super) rows: HashSet<RowKey>,
}

/// Every key of every publish, by destination.
pub(super) struct DeclaredKeys {
    keys: BTreeMap<Destination, Keys>,
    /// Where whole editions are published, and the key of their index there.
    pub(super) editions: BTreeMap<Destination, String>,
    /// The first key that cannot be told: what is orphaned is not known for certain then.
    pub(super) untold: Option<Error>,
}

impl DeclaredKeys {
    pub(super) fn of(source: &Source<'_>) -> DeclaredKeys {
        let (keys, editions) = (BTreeMap::new(), BTreeMap::new());
        let mut declared = DeclaredKeys { keys, editions, untold: None };
        for publish in &source.graph.publishes {
            if let Some(index) = &publish.editions {
                // Their keys depend on what they are.
                let to = source.objects_to(publish);
                declared.editions.extend(to.into_iter().map(|to| (to, index.clone())));
                continue;
            }
            let rule = source.graph.rule(publish.of);
            for cell in 0..rule.space.cells() {
                let target = Target { rule: publish.of, cell };
                if !rule.declared_absent(cell) && !source.is_accepted_absent(target) {
                    let told = source.keys_of(publish, target, &mut declared.keys);
                    declared.untold = declared.untold.or(told.err());
                }
            }
        }
        declared
    }

    /// Hands itself over in the form in which `publish` asks.
    pub(super) fn asked<T>(&self, ask: impl FnOnce(&Declared<'_>) -> T) -> T {
        let at = |destination: &Destination| self.keys.get(destination);
        let edition = |d: &Destination, key: &str| {
            self.editions.get(d).is_some_and(|index| key == index || edition::parts(key).is_some())
        };
        let object = |d: &Destination, key: &str| {
            at(d).is_some_and(|keys| keys.objects.contains(key)) || edition(d, key)
        };
        let row = |d: &Destination, key: &RowKey| at(d).is_some_and(|keys| keys.rows.contains(key));
        let any = |d: &Destination| at(d).is_some() || self.editions.contains_key(d);
        ask(&Declared { object: &object, row: &row, any: &any })
    }
}

impl Source<'_> {
    /// Whether it is known that a target cannot exist; one that was not judged, by what was last recorded of it.
    pub(super) fn is_absent(&self, target: Target) -> bool {
        match self.board.get(self.graph, target, 0) {
            Some(judgement) => matches!(judgement.verdict, Verdict::Absent(_)),
            None => {
                let record = self.last.get(&plan::record_key(self.graph, target, 0));
                let patterns = &self.graph.runner_of(target.rule).log.absent;
                record.is_some_and(|record| match &record.outcome {
                    Outcome::Absent { line, .. } => plan::absence_holds(patterns, line),
                    _ => false,
                })
            }
        }
    }

    /// Whether somebody agreed that a target cannot exist.
    ///
    /// What a container alone says takes nothing away that is published: on an empty disk it may be wrong.
    pub(super) fn is_accepted_absent(&self, target: Target) -> bool {
        let record = self.last.get(&plan::record_key(self.graph, target, 0));
        self.is_absent(target) && record.is_some_and(|record| record.outcome.is_accepted())
    }

    /// Where the objects of a publish go.
    fn objects_to(&self, publish: &Publish) -> Vec<Destination> {
        // One that is wrong is told where it is published.
        let keeping = keeping(publish).unwrap_or_default();
        let to = publish.objects.iter().filter_map(|object| destination(&object.to, None).ok());
        to.map(|to| kept(to, keeping.as_ref())).collect()
    }

    /// The keys under which one target of a publish is published; what is refused has none, and is the error.
    pub(super) fn keys_of(
        &self,
        publish: &Publish,
        target: Target,
        keys: &mut BTreeMap<Destination, Keys>,
    ) -> Result<()> {
        let mut told = Ok(());
        let outputs = &self.graph.rule(target.rule).outputs;
        let mut values = Values::new(self, target);
        // One that is wrong is told where it is published.
        let keeping = keeping(publish).unwrap_or_default();
        for object in &publish.objects {
            let at = destination(&object.to, None);
            match at.and_then(|at| Ok((at, values.plain(&object.key, object.output)?))) {
                Ok((at, key)) => {
                    keys.entry(kept(at, keeping.as_ref())).or_default().objects.insert(key);
                }
                Err(error) => told = told.and(Err(error)),
            }
        }
        for row in &publish.rows {
            let table = outputs[row.output].name.as_str();
            let at = destination(&row.to, Some(table));
            match at.and_then(|at| Ok((at, values.row_key(row)?))) {
                Ok((at, key)) => {
                    keys.entry(kept(at, keeping.as_ref())).or_default().rows.insert(key);
                }
                Err(error) => told = told.and(Err(error)),
            }
        }
        told
    }

    /// The targets of which a manifest of this project on this machine knows something.
    ///
    /// A manifest that cannot be read knows nothing here; the publish itself will say so.
    pub fn known_at_destinations(&self) -> HashSet<Target> {
        let mut known = HashSet::new();
        let mut there: BTreeMap<Destination, Keys> = BTreeMap::new();
        for publish in &self.graph.publishes {
            for cell in 0..self.graph.rule(publish.of).space.cells() {
                let target = Target { rule: publish.of, cell };
                let mut keys = BTreeMap::new();
                self.keys_of(publish, target, &mut keys).ok();
                let published = keys.into_iter().any(|(at, keys)| {
                    let there = there
                        .entry(at)
                        .or_insert_with_key(|at| self.manifest_keys(at).unwrap_or_default());
                    !keys.objects.is_disjoint(&there.objects) || !keys.rows.is_disjoint(&there.rows)
                });
                if published {
                    known.insert(target);
                }
            }
        }
        known
    }

    /// All keys of this project's manifest at a destination; none at a remote one.
    fn manifest_keys(&self, destination: &Destination) -> Result<Keys> {
        let mut keys = Keys::default();
        if !destination.is_local() {
            return Ok(keys);
        }
        for place in publish::open(&self.world(), std::slice::from_ref(destination))? {
            match place {
                Place::Objects(place) => {
                    let known = place.read(&self.graph.project, &BTreeMap::new(), Extent::Whole)?;
                    let known = known.entries;
                    // In an edition a target has the key that it would have without.
                    let inside = known.keys().filter_map(|key| edition::parts(key));
                    keys.objects.extend(inside.map(|(_, key)| key.to_owned()));
                    keys.objects.extend(known.into_keys());
                }
                Place::Rows(place) => {
                    keys.rows.extend(
                        place.read(&self.graph.project, &BTreeMap::new())?.entries.into_keys(),
                    );
                }
            }
        }
        Ok(keys)
    }
}
