//! Putting an earlier publish back in place: the objects and rows as a manifest had them that is no longer the last.
//!
//! Knows the cache, which has the bytes, or gets them from versions that a destination keeps; which manifests there were is the ledger's to say, and writing is `publish`'s.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::declared::Keys;
use super::mending::Guard;
use super::{Prepared, Source};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::figures::numbered;
use crate::graph::Target;
use crate::publish::edition;
use crate::publish::manifest::{ObjectEntry, RowEntry};
use crate::publish::place::{KEPT, ObjectPlace, Stamp};
use crate::publish::wanted::WantedEdition;
use crate::publish::{
    self, Action, Destination, Done, Extent, Place, PublishPlan, Role, RowKey, There, Wanted,
    WantedObject, Why,
};

/// What was written, and under which keys.
pub struct RolledBack {
    pub keys: Vec<(Destination, String)>,
    pub done: Done,
    /// How many keys came since, which stay as they are.
    pub newer: usize,
}

/// What an earlier manifest had of objects; of editions, the one that its index named, and which that is.
type Past = (BTreeMap<String, ObjectEntry>, Option<String>);

/// The destinations of the publishes that were asked for, and a plan for them in the making.
struct Draft {
    wanted: Wanted,
    plan: PublishPlan,
    places: Vec<Place>,
    there: Vec<There>,
    /// If not all keys are meant, those that are.
    only: Option<BTreeMap<Destination, Keys>>,
}

impl Source<'_> {
    /// The publishes that left the manifests of the publishes asked for as they are or were, the latest first.
    pub fn history(&self) -> Result<Vec<Stamp>> {
        let destinations = self.destinations()?;
        let mut all: Vec<Stamp> = Vec::new();
        for place in publish::open(&self.world(), &destinations)? {
            for stamp in stamps(&place)?.into_iter().rev() {
                if !all.iter().any(|known| known.id == stamp.id) {
                    all.push(stamp);
                }
            }
        }
        // Within a second, the order in which a ledger has them.
        all.sort_by(|a, b| b.at.cmp(&a.at));
        Ok(all)
    }

    /// Puts what an earlier publish left back in place, and holds it there; with `narrowed`, of the selected targets.
    pub fn roll_back(
        &self,
        id: &str,
        narrowed: bool,
        guard: &Guard<'_>,
        say: &mut dyn FnMut(String),
    ) -> Result<RolledBack> {
        if let Some(publish) = self.publishes().find(|p| narrowed && p.editions.is_some()) {
            return Err(Error::user(format!(
                "`publish.{}` publishes whole editions, and only a whole one is put back",
                publish.name
            ))
            .hint("leave out `--where`, or name others with `--of`"));
        }
        let mut draft = self.draft(narrowed, say)?;
        let ids = left_by(id, &draft, say)?;
        let mut newer = 0;
        for (at, id) in ids.iter().enumerate() {
            let Some(id) = id else { continue };
            match (&draft.places[at], &draft.there[at]) {
                (Place::Objects(place), There::Objects(there)) => {
                    let destination = &draft.wanted.destinations[at];
                    let Some((past, named)) = self.past(destination, &**place, id)? else {
                        continue;
                    };
                    let now = there.published();
                    // Other editions are neither older nor newer.
                    let other = |key: &&String| {
                        !past.contains_key(*key)
                            && (named.is_none() || edition::parts(key).is_none())
                    };
                    newer += now.keys().filter(other).count();
                    if let Some(name) = named {
                        let edition = WantedEdition::published(at, name, &past);
                        draft.wanted.editions.push(edition);
                    }
                    for (key, old) in past {
                        draft.object(at, key.clone(), now.get(&key), old);
                    }
                }
                (Place::Rows(place), There::Rows(there)) => {
                    let Some(past) = place.past(id)? else { continue };
                    let now = there.published();
                    newer += now.keys().filter(|key| !past.contains_key(*key)).count();
                    for (key, old) in past {
                        draft.row(at, key.clone(), now.get(&key), old);
                    }
                }
                _ => return Err(Error::bug("a place is read as another kind")),
            }
        }
        draft.hold_together();
        self.read_replaced(&draft, say)?;
        let newer = if narrowed { 0 } else { newer };
        self.carry_out(draft, newer, guard)
    }

    fn past(
        &self,
        destination: &Destination,
        place: &dyn ObjectPlace,
        id: &str,
    ) -> Result<Option<Past>> {
        let Some(index) = self.index_at(destination) else {
            return Ok(place.past(id, Extent::Whole)?.map(|past| (past, None)));
        };
        let Some(outline) = place.past(id, Extent::Editions(&[]))? else { return Ok(None) };
        let Some(name) = outline.get(index).and_then(edition::named).map(str::to_owned) else {
            return Ok(Some((outline, None)));
        };
        let past = place.past(id, Extent::Editions(&[&name]))?;
        Ok(past.map(|past| (past, Some(name))))
    }

    /// Sees to it that the cache has all bytes that are to be put: those that it lacks are read from versions that a
    /// destination keeps of its objects.
    fn read_replaced(&self, draft: &Draft, say: &mut dyn FnMut(String)) -> Result<()> {
        let writes = draft.wanted.objects.iter().zip(&draft.plan.objects);
        let writes = writes.filter(|(_, planned)| planned.writes_bytes());
        let mut lacks: Vec<_> = writes.filter(|(_, planned)| !self.has(&planned.entry)).collect();
        let indexes = draft.wanted.objects.iter().zip(&draft.plan.objects);
        for (object, planned) in indexes.filter(|(object, _)| object.role == Role::Index) {
            let Some(edition) = draft.wanted.edition_at(object.destination) else { continue };
            self.remake_texts(&planned.entry, &edition.standing)?;
        }
        let is_text = |object: &WantedObject| {
            object.role == Role::Index || edition::inside(&object.key) == edition::MANIFEST
        };
        lacks.retain(|(object, planned)| !is_text(object) || !self.has(&planned.entry));
        let mut lost = lacks.len();
        let mut first = None;
        for (at, place) in draft.places.iter().enumerate() {
            let Place::Objects(place) = place else { continue };
            let here = lacks.iter().filter(|(object, _)| object.destination == at);
            let here: Vec<_> =
                here.map(|(object, planned)| (object.key.as_str(), &planned.entry)).collect();
            if here.is_empty() {
                continue;
            }
            let mut came = vec![false; here.len()];
            place.replaced(&here, &mut |index, bytes| {
                self.objects.put_bytes(&bytes)?;
                came[index] = true;
                Ok(())
            })?;
            let read = came.iter().filter(|came| **came).count();
            lost -= read;
            if read > 0 {
                let destination = &draft.wanted.destinations[at];
                let what = numbered(read, "object");
                say(format!(
                    "read {what} from old versions in `{destination}`: the cache has them no more"
                ));
            }
            let lacking = here.iter().zip(&came).find(|(_, came)| !**came);
            first = first.or(lacking.map(|((key, _), _)| *key));
        }
        match first {
            None => Ok(()),
            Some(first) => Err(Error::environment(format!(
                "the bytes of `{first}` as they were then are neither in the cache nor kept by the destination; nothing was put back"
            ))
            .because(format!("{lost} of the objects to put back are not there"))
            .hint("run it on the machine that published them, or narrow it with `--where`")),
        }
    }

    /// Lets go of what is held, so that the next publish writes it again.
    pub fn release(
        &self,
        narrowed: bool,
        guard: &Guard<'_>,
        say: &mut dyn FnMut(String),
    ) -> Result<RolledBack> {
        let mut draft = self.draft(narrowed, say)?;
        for at in 0..draft.places.len() {
            match draft.there[at].clone() {
                There::Objects(there) => {
                    for (key, entry) in there.published().into_iter().filter(|(_, e)| e.held) {
                        if draft.means_object(at, &key) {
                            let entry = ObjectEntry { held: false, ..entry };
                            draft.push_object(at, key, Action::Note, entry);
                        }
                    }
                }
                There::Rows(there) => {
                    for (key, entry) in there.published().into_iter().filter(|(_, e)| e.held) {
                        if draft.means_row(at, &key) {
                            let entry = RowEntry { held: false, ..entry };
                            draft.push_row(at, key, Action::Note, entry);
                        }
                    }
                }
            }
        }
        self.carry_out(draft, 0, guard)
    }

    fn draft(&self, narrowed: bool, say: &mut dyn FnMut(String)) -> Result<Draft> {
        let destinations = self.destinations()?;
        let places = publish::open(&self.world(), &destinations)?;
        publish::wait(&places, say)?;
        let look = |place: &Place| publish::there(&self.graph.project, place);
        let there: Vec<There> = places.iter().map(look).collect::<Result<_>>()?;
        let only = match narrowed {
            false => None,
            true => {
                let mut keys = BTreeMap::new();
                for publish in self.publishes() {
                    for cell in 0..self.graph.rule(publish.of).space.cells() {
                        if self.selection.goals[publish.of.0][cell] {
                            let target = Target { rule: publish.of, cell };
                            self.keys_of(publish, target, &mut keys)?;
                        }
                    }
                }
                Some(keys)
            }
        };
        let wanted = Wanted {
            destinations,
            invalidation: self.one_invalidation()?,
            ..Wanted::nothing(&self.graph.project, "", &self.now)
        };
        // What a killed one wrote may be all that there is to write; its manifest is still to come.
        let unfinished = there.iter().any(|there| match there {
            There::Objects(there) => there.intent.is_some(),
            There::Rows(there) => there.unfinished,
        });
        let plan = PublishPlan { unfinished, ..PublishPlan::default() };
        Ok(Draft { wanted, plan, places, there, only })
    }

    fn carry_out(&self, draft: Draft, newer: usize, guard: &Guard<'_>) -> Result<RolledBack> {
        let Draft { wanted, plan, places, there, .. } = draft;
        let prepared = Prepared::of("", wanted, guard(places), there, plan);
        let done = self.apply(&prepared, &mut |_| {})?;
        let wanted = &prepared.wanted;
        let at = |index: usize| wanted.destinations[index].clone();
        let objects = wanted.objects.iter().map(|o| (at(o.destination), o.key.clone()));
        let rows = wanted.rows.iter().map(|row| (at(row.destination), row.key.to_string()));
        Ok(RolledBack { keys: objects.chain(rows).collect(), done, newer })
    }
}

/// The publishes whose manifests a place still knows, in the order in which they were made.
fn stamps(place: &Place) -> Result<Vec<Stamp>> {
    match place {
        Place::Objects(place) => place.history(),
        Place::Rows(place) => place.history(),
    }
}

/// For each place, the publish that had left it as it was after this one: itself, or the last one before.
///
/// A place that had nothing then has none, and one whose manifests of then are kept no more is told.
fn left_by(id: &str, draft: &Draft, say: &mut dyn FnMut(String)) -> Result<Vec<Option<String>>> {
    let all: Vec<Vec<Stamp>> = draft.places.iter().map(stamps).collect::<Result<_>>()?;
    let Some(target) = all.iter().flatten().find(|stamp| stamp.id == id) else {
        return Err(Error::user(format!("no publish is known as `{id}` at these destinations"))
            .hint("`jheem rollback --list` lists those that can be put back; only remote destinations keep them"));
    };
    let mut ids = Vec::new();
    for (destination, stamps) in draft.wanted.destinations.iter().zip(&all) {
        let itself = stamps.iter().find(|stamp| stamp.id == id);
        let before = || stamps.iter().rev().find(|stamp| stamp.at <= target.at);
        let found = itself.or_else(before);
        if found.is_none() && stamps.len() > KEPT {
            say(format!("what `{destination}` was then is kept no more: it stays as it is"));
        }
        ids.push(found.map(|stamp| stamp.id.clone()));
    }
    Ok(ids)
}

impl Draft {
    fn means_object(&self, at: usize, key: &str) -> bool {
        let Some(only) = &self.only else { return true };
        let keys = only.get(&self.wanted.destinations[at]);
        keys.is_some_and(|keys| keys.objects.contains(key))
    }

    fn means_row(&self, at: usize, key: &RowKey) -> bool {
        let Some(only) = &self.only else { return true };
        only.get(&self.wanted.destinations[at]).is_some_and(|keys| keys.rows.contains(key))
    }

    /// An object as it was, if it is another now.
    fn object(&mut self, at: usize, key: String, now: Option<&ObjectEntry>, old: ObjectEntry) {
        let why = match now {
            None => None,
            Some(now) if now.bytes != old.bytes => Some(Why::Content),
            Some(now) if (&now.headers, &now.uncompared) != (&old.headers, &old.uncompared) => {
                Some(Why::Headers)
            }
            Some(_) => return,
        };
        if !self.means_object(at, &key) {
            return;
        }
        let action = why.map_or(Action::Create, |why| Action::Update(vec![why]));
        let entry = ObjectEntry { version: None, held: true, ..old };
        self.push_object(at, key, action, entry);
    }

    fn row(&mut self, at: usize, key: RowKey, now: Option<&RowEntry>, old: RowEntry) {
        let action = match now {
            None => Action::Create,
            Some(now) if now.whole_item() != old.whole_item() || now.object != old.object => {
                Action::Update(vec![Why::Item])
            }
            Some(_) => return,
        };
        if self.means_row(at, &key) {
            self.push_row(at, key, action, RowEntry { held: true, ..old });
        }
    }

    /// Holds with each row the object that it registers, and with each object its rows: one may not change alone.
    fn hold_together(&mut self) {
        let (mut objects, mut rows) = (Vec::new(), Vec::new());
        for (at, there) in self.there.iter().enumerate() {
            match there {
                There::Objects(there) => objects.push((at, there.published())),
                There::Rows(there) => rows.push((at, there.published())),
            }
        }
        let mut objects: BTreeMap<(usize, String), ObjectEntry> = keyed(objects);
        let mut rows: BTreeMap<(usize, RowKey), RowEntry> = keyed(rows);
        for (object, planned) in self.wanted.objects.iter().zip(&self.plan.objects) {
            objects.insert((object.destination, object.key.clone()), planned.entry.clone());
        }
        for (row, planned) in self.wanted.rows.iter().zip(&self.plan.rows) {
            rows.insert((row.destination, row.key.clone()), planned.entry.clone());
        }
        let mut by_bytes: HashMap<Digest, Vec<(usize, String)>> = HashMap::new();
        for (place, entry) in &objects {
            by_bytes.entry(entry.bytes).or_default().push(place.clone());
        }
        // Where several have the same bytes, those that the row names.
        let registered = |row: &RowEntry| -> Vec<(usize, String)> {
            let all =
                row.object.and_then(|bytes| by_bytes.get(&bytes)).cloned().unwrap_or_default();
            let mut named = all.clone();
            if all.len() > 1 {
                named.retain(|(at, key)| publish::names(row, &self.wanted.destinations[*at], key));
            }
            if named.is_empty() { all } else { named }
        };
        let is_held = objects.iter().filter(|(_, entry)| entry.held);
        let mut held: HashSet<(usize, String)> = is_held.map(|(place, _)| place.clone()).collect();
        let mut also = Vec::new();
        for row in rows.values().filter(|row| row.held) {
            let more = registered(row).into_iter();
            also.extend(more.filter(|(at, key)| self.means_object(*at, key)));
        }
        also.retain(|place| held.insert(place.clone()));
        let more = rows.iter().filter(|((at, key), row)| {
            let of_held = registered(row).iter().any(|place| held.contains(place));
            !row.held && of_held && self.means_row(*at, key)
        });
        let more: Vec<_> = more.map(|(place, row)| (place.clone(), row.clone())).collect();
        for place in also {
            if let Some(entry) = objects.remove(&place) {
                let entry = ObjectEntry { held: true, ..entry };
                self.push_object(place.0, place.1, Action::Note, entry);
            }
        }
        for ((at, key), row) in more {
            self.push_row(at, key, Action::Note, RowEntry { held: true, ..row });
        }
    }

    fn push_object(&mut self, at: usize, key: String, action: Action, entry: ObjectEntry) {
        let (plan, wanted) = (&mut self.plan, &mut self.wanted);
        plan.add_object(wanted, key.clone(), (at, key), action, entry);
    }

    fn push_row(&mut self, at: usize, key: RowKey, action: Action, entry: RowEntry) {
        let (plan, wanted) = (&mut self.plan, &mut self.wanted);
        plan.add_row(wanted, key.to_string(), (at, key), action, entry);
    }
}

/// What stands at several places, by place and key.
fn keyed<K: Ord, E>(all: Vec<(usize, BTreeMap<K, E>)>) -> BTreeMap<(usize, K), E> {
    let each = all.into_iter();
    each.flat_map(|(at, all)| all.into_iter().map(move |(key, entry)| ((at, key), entry))).collect()
}
