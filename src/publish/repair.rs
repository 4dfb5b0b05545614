//! The plan that puts back what was published and is gone: as the manifest has it, whatever is built now.
//!
//! Pure. What somebody else wrote over is not gone, and what no target publishes any more stays away.
//! A row is put back only where the object that it registers stands, or is put back before it.

use std::collections::{BTreeSet, HashSet};

use crate::digest::Digest;

use super::destination::Destination;
use super::edition;
use super::manifest::{ObjectEntry, RowEntry};
use super::place::DriftKind;
use super::plan::{Action, PublishPlan, There};
use super::verify::Examined;
use super::wanted::{Declared, RowKey, Wanted, WantedEdition};

/// What can be put back, and what cannot.
pub struct Repair {
    /// What is put back, in the form in which `apply` takes it.
    pub wanted: Wanted,
    pub plan: PublishPlan,
    /// Objects whose bytes nobody has, by the index of their destination.
    pub lost: BTreeSet<(usize, String)>,
    /// Rows that wait for those.
    pub held: BTreeSet<(usize, RowKey)>,
}

/// Plans it; `examined` is in the order of `destinations`, `has` tells whether the bytes of an entry are to be had.
pub fn repair(
    owner: &str,
    destinations: &[Destination],
    examined: &[Examined],
    declared: &Declared<'_>,
    has: &dyn Fn(&ObjectEntry) -> bool,
) -> Repair {
    let wanted = Wanted { destinations: destinations.to_vec(), ..Wanted::nothing(owner, "", "") };
    let (lost, held) = (BTreeSet::new(), BTreeSet::new());
    let mut repair = Repair { wanted, plan: PublishPlan::default(), lost, held };
    // The bytes of all objects that stand in the end.
    let mut stands: HashSet<Digest> = HashSet::new();
    for (index, (destination, examined)) in destinations.iter().zip(examined).enumerate() {
        let There::Objects(there) = &examined.there else { continue };
        repair.plan.unfinished |= there.intent.is_some();
        let missing: HashSet<&str> =
            gone(&examined.objects).map(|key: &String| key.as_str()).collect();
        let mut indexes = Vec::new();
        for (key, entry) in there.published() {
            if !missing.contains(key.as_str()) {
                stands.insert(entry.bytes);
            } else if edition::named(&entry).is_some() {
                indexes.push((key, entry));
            } else if !(declared.object)(destination, &key) {
                continue;
            } else if has(&entry) {
                stands.insert(entry.bytes);
                repair.object(index, key, entry);
            } else {
                repair.lost.insert((index, key));
            }
        }
        for (key, entry) in
            indexes.into_iter().filter(|(key, _)| (declared.object)(destination, key))
        {
            repair.index(index, key, entry, examined, has);
        }
    }
    for (index, (destination, examined)) in destinations.iter().zip(examined).enumerate() {
        let There::Rows(there) = &examined.there else { continue };
        repair.plan.unfinished |= there.unfinished;
        let published = there.published();
        for key in gone(&examined.rows).filter(|key| (declared.row)(destination, key)) {
            let Some(entry) = published.get(key) else { continue };
            if entry.object.is_none_or(|object| stands.contains(&object)) {
                repair.row(index, key.clone(), entry.clone());
            } else {
                repair.held.insert((index, key.clone()));
            }
        }
    }
    repair
}

/// The keys that are in the manifest and not there.
fn gone<K>(found: &[(K, DriftKind)]) -> impl Iterator<Item = &K> {
    found.iter().filter(|(_, kind)| *kind == DriftKind::Missing).map(|(key, _)| key)
}

impl Repair {
    fn object(&mut self, destination: usize, key: String, entry: ObjectEntry) {
        let (plan, wanted) = (&mut self.plan, &mut self.wanted);
        plan.add_object(wanted, key.clone(), (destination, key), Action::Create, entry);
    }

    /// An index is put back if all of the edition that it names stands, or is put back before it.
    fn index(
        &mut self,
        destination: usize,
        key: String,
        entry: ObjectEntry,
        examined: &Examined,
        has: &dyn Fn(&ObjectEntry) -> bool,
    ) {
        let There::Objects(there) = &examined.there else { return };
        let Some(name) = edition::named(&entry).map(str::to_owned) else { return };
        let mut inside = examined.objects.iter().filter(|(key, _)| edition::holds(&name, key));
        let broken = inside.any(|(key, kind)| {
            *kind != DriftKind::Missing || self.lost.contains(&(destination, key.clone()))
        });
        if broken || !has(&entry) {
            self.lost.insert((destination, key));
            return;
        }
        let edition = WantedEdition::published(destination, name, &there.published());
        self.wanted.editions.push(edition);
        self.object(destination, key, entry);
    }

    fn row(&mut self, destination: usize, key: RowKey, entry: RowEntry) {
        let (plan, wanted) = (&mut self.plan, &mut self.wanted);
        plan.add_row(wanted, key.to_string(), (destination, key), Action::Create, entry);
    }

    /// What is put back: destinations and keys.
    pub fn keys(&self) -> Vec<(Destination, String)> {
        let at = |index: usize| self.wanted.destinations[index].clone();
        let objects = self.wanted.objects.iter().map(|o| (at(o.destination), o.key.clone()));
        let rows = self.wanted.rows.iter().map(|row| (at(row.destination), row.key.to_string()));
        objects.chain(rows).collect()
    }
}
