//! From plots to what a publish wants: keys, headers and items, filled in for the selected targets.
//!
//! Knows the graph and the records; what is at a destination, and what is written, is `publish`'s.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;

use crate::content::{Document, Pointer};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::event::PlannedPublish;
use crate::graph::{self, Graph, Publish, RuleId, Slot, Target, Text};
use crate::memo::{Disk as _, RealDisk, Stat};
use crate::objects::Objects;
use crate::plan::{self, Board, Verdict};
use crate::publish::{
    self, Action, Attribute, Declared, Destination, Drift, Headers, Item, Piece, Place,
    PublishPlan, RowKey, There, Wanted, WantedObject, WantedRow,
};
use crate::records::{Made, Settled};
use crate::selection::Selection;

/// What a publish is made from.
pub struct Source<'a> {
    pub graph: &'a Graph,
    pub selection: &'a Selection,
    pub board: &'a Board,
    pub objects: &'a Objects,
    pub root: &'a Path,
    /// What `{now}` stands for.
    pub now: String,
}

/// One publish with what it wants, what is there, and what would be done.
pub struct Prepared {
    pub name: String,
    pub wanted: Wanted,
    pub places: Vec<Place>,
    pub there: Vec<There>,
    pub plan: PublishPlan,
    /// Objects and rows of targets whose content is not known yet.
    pub undecided: usize,
    /// What to remember if nothing is to be done, so that the next look can be spared.
    pub settled: Option<Settled>,
}

/// Which destinations are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Those on this machine, which `build` may write.
    Local,
    All,
}

impl Source<'_> {
    /// Prepares a publish: looks at its destinations and plans; writes nothing.
    ///
    /// None if all of its destinations are out of reach.
    pub fn prepare(&self, publish: &Publish, reach: Reach) -> Result<Option<Prepared>> {
        let (wanted, undecided) = self.wanted(publish, reach)?;
        if wanted.destinations.is_empty() {
            return Ok(None);
        }
        let places = publish::open(self.root, &wanted.destinations)?;
        let seen = RealDisk.now();
        let watched = watch(self.root, &wanted, &places)?;
        let there = publish::look(&wanted, &places)?;
        let declared = self.declared();
        let object =
            |d: &Destination, key: &str| declared.objects.contains(&(d.clone(), key.to_owned()));
        let row =
            |d: &Destination, key: &RowKey| declared.rows.contains(&(d.clone(), key.to_string()));
        let declared = Declared { object: &object, row: &row };
        let plan = publish::plan(&wanted, &there, &declared);
        let name = publish.name.clone();
        let idle = plan.is_empty() && plan.refused.is_empty() && undecided == 0;
        let settled = watched.filter(|_| idle).map(|watched| Settled {
            asked: self.asked(publish, reach),
            unchanged: plan.objects.len() + plan.rows.len(),
            orphaned: plan.orphans.len(),
            watched,
            seen,
        });
        Ok(Some(Prepared { name, wanted, places, there, plan, undecided, settled }))
    }

    /// Whether what is known of a publish still holds, so that it needs no look at its destinations.
    pub fn still_settled(&self, publish: &Publish, reach: Reach, known: &Settled) -> bool {
        known.asked == self.asked(publish, reach)
            && known.watched.iter().all(|(path, before)| {
                let now = RealDisk.stat(&self.root.join(path));
                now.is_ok_and(|now| now == *before)
                    && before.as_ref().is_none_or(|stat| stat.tells_since(known.seen))
            })
    }

    /// The digest of everything that decides what a publish wants and which keys are orphaned.
    ///
    /// In: what the Jheemfile says, and for every cell what is made or known absent. Out: what is
    /// never compared, which is the time and the preset.
    fn asked(&self, publish: &Publish, reach: Reach) -> Digest {
        let graph = self.graph;
        let mut hasher = blake3::Hasher::new();
        hasher.update(env!("CARGO_PKG_VERSION").as_bytes());
        // Texts of the Jheemfile, and the values that other files gave it.
        let said = format!("{publish:?} {reach:?} {:?} {}", graph.axes, graph.project);
        hasher.update(said.as_bytes());
        hasher.update(graph.source.text.as_bytes());
        for other in &graph.publishes {
            hasher.update(format!("{other:?}").as_bytes());
            self.state(other.of, &mut hasher);
        }
        Digest::blake3(hasher.finalize())
    }

    /// What is selected and known of every target of a rule.
    fn state(&self, id: RuleId, hasher: &mut blake3::Hasher) {
        let rule = self.graph.rule(id);
        hasher.update(format!("{:?}", rule.outputs).as_bytes());
        for cell in 0..rule.space.cells() {
            let target = Target { rule: id, cell };
            hasher.update(&self.selection.wants(target).to_le_bytes());
            hasher.update(&[u8::from(self.selection.goals[id.0][cell])]);
            for group in 0..rule.groups.len() {
                let judgement = self.board.get(self.graph, target, group);
                let made = match judgement.map(|j| (&j.verdict, &j.made)) {
                    Some((Verdict::Fresh | Verdict::Restorable(_), Some(made))) => made,
                    Some((Verdict::Absent(_), _)) => {
                        hasher.update(b"absent");
                        continue;
                    }
                    _ => {
                        hasher.update(b"nothing");
                        continue;
                    }
                };
                hasher.update(&made.judged.bytes);
                for output in &made.outputs {
                    match output {
                        Some(output) => {
                            hasher.update(&output.content.bytes);
                            hasher.update(&output.bytes.bytes);
                            hasher.update(&output.size.to_le_bytes());
                        }
                        None => {
                            hasher.update(b"none");
                        }
                    }
                }
            }
        }
    }

    /// Carries a prepared publish out.
    pub fn apply(
        &self,
        prepared: &Prepared,
        on_event: &mut dyn FnMut(publish::Event<'_>),
    ) -> Result<publish::Done> {
        let source = |object: &WantedObject| {
            self.objects.verified_path(&object.bytes)?.ok_or_else(|| {
                Error::environment(format!("{} is no longer in the cache", object.target))
                    .hint("run `jheem build` again: it will be made anew")
            })
        };
        publish::apply(
            &prepared.wanted,
            &prepared.places,
            &prepared.there,
            &prepared.plan,
            &source,
            on_event,
        )
    }

    /// Compares all destinations of a publish with their manifests.
    pub fn verify(&self, publish: &Publish) -> Result<Vec<Drift>> {
        let (wanted, _) = self.wanted(publish, Reach::All)?;
        let places = publish::open(self.root, &wanted.destinations)?;
        let declared = self.declared();
        let object =
            |d: &Destination, key: &str| declared.objects.contains(&(d.clone(), key.to_owned()));
        let row =
            |d: &Destination, key: &RowKey| declared.rows.contains(&(d.clone(), key.to_string()));
        let declared = Declared { object: &object, row: &row };
        let mut drift = Vec::new();
        for (destination, place) in wanted.destinations.iter().zip(&places) {
            drift.extend(publish::verify(&self.graph.project, destination, place, &declared)?);
        }
        Ok(drift)
    }

    /// What the selected targets of a publish should be at its destinations, and how much is undecided.
    fn wanted(&self, publish: &Publish, reach: Reach) -> Result<(Wanted, usize)> {
        let graph = self.graph;
        let rule = graph.rule(publish.of);
        let mut wanted = Wanted {
            owner: graph.project.clone(),
            publish: publish.name.clone(),
            now: self.now.clone(),
            destinations: Vec::new(),
            objects: Vec::new(),
            rows: Vec::new(),
        };
        let mut places = Places { wanted: &mut wanted, reach };
        let object_places: Vec<Option<usize>> =
            publish.objects.iter().map(|o| places.index(&o.to, "")).collect::<Result<_>>()?;
        let row_places: Vec<Option<usize>> = publish
            .rows
            .iter()
            .map(|r| places.index(&r.to, &rule.outputs[r.output].name))
            .collect::<Result<_>>()?;
        let mut undecided = 0;
        for cell in 0..rule.space.cells() {
            let target = Target { rule: publish.of, cell };
            if !self.selection.goals[publish.of.0][cell] || rule.declared_absent(cell) {
                continue;
            }
            let mut published: BTreeMap<usize, usize> = BTreeMap::new();
            let mut values = Values { source: self, target, read: BTreeMap::new() };
            for (index, object) in publish.objects.iter().enumerate() {
                let Some(destination) = object_places[index] else { continue };
                let made = match self.made(target, object.output) {
                    Known::Made(made) => made,
                    Known::Nothing => continue,
                    Known::Undecided => {
                        undecided += 1;
                        continue;
                    }
                };
                let group = rule.outputs[object.output].group;
                let Some(output) = plan::output_of(graph, target, group, object.output, made)
                else {
                    continue;
                };
                let mut metadata = BTreeMap::new();
                for (name, text) in &object.metadata {
                    metadata.insert(name.clone(), values.plain(text, object.output)?);
                }
                let mut uncompared = BTreeMap::new();
                for (name, text) in &object.uncompared {
                    uncompared.insert(name.clone(), values.pieces(text, object.output)?);
                }
                published.insert(index, wanted.objects.len());
                wanted.objects.push(WantedObject {
                    target: graph.label(target),
                    destination,
                    key: values.plain(&object.key, object.output)?,
                    content: output.content,
                    bytes: output.bytes,
                    judged: made.judged,
                    size: output.size,
                    headers: Headers {
                        content_type: object.content_type.clone(),
                        content_encoding: object.content_encoding.clone(),
                        cache_control: object.cache_control.clone(),
                        metadata,
                    },
                    uncompared,
                });
            }
            for (index, row) in publish.rows.iter().enumerate() {
                let Some(destination) = row_places[index] else { continue };
                match self.made(target, row.output) {
                    Known::Made(_) => {}
                    Known::Nothing => continue,
                    Known::Undecided => {
                        undecided += 1;
                        continue;
                    }
                }
                let mut key = Vec::new();
                for (name, attribute) in [Some(&row.hash), row.range.as_ref()].into_iter().flatten()
                {
                    let attribute = values.attribute(attribute, row.output)?;
                    let plain =
                        attribute.render(&|pieces| plain_pieces(pieces)).map_err(|what| {
                            Error::user(format!(
                                "the key of {} is wrong: {what}",
                                graph.label(target)
                            ))
                        })?;
                    key.push((name.clone(), plain));
                }
                wanted.rows.push(WantedRow {
                    target: graph.label(target),
                    destination,
                    key: RowKey(key),
                    item: values.item(&row.item, row.output)?,
                    uncompared: values.item(&row.uncompared, row.output)?,
                    object: row.object.and_then(|o| published.get(&o).copied()),
                });
            }
        }
        Ok((wanted, undecided))
    }

    fn made(&self, target: Target, output: usize) -> Known<'_> {
        let group = self.graph.rule(target.rule).outputs[output].group;
        // An output of an option that was not asked for is not published now, nor orphaned.
        if group != 0 && self.selection.wants(target) & (1 << group) == 0 {
            return Known::Nothing;
        }
        match self.board.get(self.graph, target, group) {
            Some(judgement) => match (&judgement.verdict, &judgement.made) {
                (Verdict::Fresh | Verdict::Restorable(_), Some(made)) => Known::Made(made),
                (Verdict::Absent(_), _) => Known::Nothing,
                _ => Known::Undecided,
            },
            None => Known::Nothing,
        }
    }

    /// All keys that the whole declared graph publishes, whatever was selected.
    fn declared(&self) -> DeclaredKeys {
        let graph = self.graph;
        let mut keys = DeclaredKeys { objects: HashSet::new(), rows: HashSet::new() };
        for publish in &graph.publishes {
            let rule = graph.rule(publish.of);
            for cell in 0..rule.space.cells() {
                let target = Target { rule: publish.of, cell };
                let absent = rule.declared_absent(cell)
                    || self
                        .board
                        .get(graph, target, 0)
                        .is_some_and(|j| matches!(j.verdict, Verdict::Absent(_)));
                if absent {
                    continue;
                }
                self.keys_of(publish, target, &mut keys);
            }
        }
        keys
    }

    /// The keys under which one target of a publish is published.
    fn keys_of(&self, publish: &Publish, target: Target, keys: &mut DeclaredKeys) {
        let outputs = &self.graph.rule(target.rule).outputs;
        let values = Values { source: self, target, read: BTreeMap::new() };
        for object in &publish.objects {
            if let Ok(destination) = publish::parse_destination(&object.to) {
                let key = values.fixed(&object.key, object.output);
                keys.objects.insert((destination, key));
            }
        }
        for row in &publish.rows {
            let Ok(destination) = publish::parse_destination(&row.to) else { continue };
            let parts = [Some(&row.hash), row.range.as_ref()].into_iter().flatten();
            let key = parts
                .map(|(name, attribute)| {
                    (name.clone(), values.fixed_attribute(attribute, row.output))
                })
                .collect();
            let destination = destination.with_table(&outputs[row.output].name);
            keys.rows.insert((destination, RowKey(key).to_string()));
        }
    }

    /// The targets of which a manifest of this project on this machine knows something.
    ///
    /// A manifest that cannot be read knows nothing here; the publish itself will say so.
    pub fn known_at_destinations(&self) -> HashSet<Target> {
        let mut known = HashSet::new();
        let mut there: BTreeMap<Destination, HashSet<String>> = BTreeMap::new();
        for publish in &self.graph.publishes {
            for cell in 0..self.graph.rule(publish.of).space.cells() {
                let target = Target { rule: publish.of, cell };
                let mut keys = DeclaredKeys { objects: HashSet::new(), rows: HashSet::new() };
                self.keys_of(publish, target, &mut keys);
                let published = keys.objects.into_iter().chain(keys.rows).any(|(at, key)| {
                    let entries = there
                        .entry(at)
                        .or_insert_with_key(|at| self.manifest_keys(at).unwrap_or_default());
                    entries.contains(&key)
                });
                if published {
                    known.insert(target);
                }
            }
        }
        known
    }

    /// All keys of this project's manifest at a destination; none at a remote one.
    fn manifest_keys(&self, destination: &Destination) -> Result<HashSet<String>> {
        if !destination.is_local() {
            return Ok(HashSet::new());
        }
        let mut keys = HashSet::new();
        for place in publish::open(self.root, std::slice::from_ref(destination))? {
            match place {
                Place::Objects(place) => {
                    keys.extend(place.read(&self.graph.project, &[])?.entries.into_keys());
                }
                Place::Rows(place) => {
                    let entries = place.read(&self.graph.project, &[])?.entries;
                    keys.extend(entries.into_keys().map(|key| key.to_string()));
                }
            }
        }
        Ok(keys)
    }
}

/// Paths, and what the file system says of them; none where nothing stands.
type Stats = Vec<(String, Option<Stat>)>;

/// What must look different when a destination of these changes; none if one of them cannot tell.
fn watch(root: &Path, wanted: &Wanted, places: &[Place]) -> Result<Option<Stats>> {
    let mut paths = BTreeSet::new();
    for (index, place) in places.iter().enumerate() {
        let watched = match place {
            Place::Objects(place) => {
                let mine = wanted.objects.iter().filter(|o| o.destination == index);
                let keys: Vec<&str> = mine.map(|o| o.key.as_str()).collect();
                place.watched(&wanted.owner, &keys)
            }
            Place::Rows(place) => place.watched(),
        };
        let Some(watched) = watched else { return Ok(None) };
        paths.extend(watched);
    }
    let mut seen = Vec::with_capacity(paths.len());
    for path in paths {
        let stat = RealDisk.stat(&path).map_err(|e| Error::io("look at", &path, &e))?;
        let Some(name) = path.strip_prefix(root).unwrap_or(&path).to_str() else {
            return Ok(None);
        };
        seen.push((name.to_owned(), stat));
    }
    Ok(Some(seen))
}

struct DeclaredKeys {
    objects: HashSet<(Destination, String)>,
    rows: HashSet<(Destination, String)>,
}

enum Known<'a> {
    Made(&'a Made),
    Nothing,
    Undecided,
}

/// The destinations of a publish, each once.
struct Places<'a> {
    wanted: &'a mut Wanted,
    reach: Reach,
}

impl Places<'_> {
    fn index(&mut self, url: &str, table: &str) -> Result<Option<usize>> {
        let mut destination = publish::parse_destination(url).map_err(Error::user)?;
        if !table.is_empty() {
            destination = destination.with_table(table);
        }
        if self.reach == Reach::Local && !destination.is_local() {
            return Ok(None);
        }
        let known = self.wanted.destinations.iter().position(|d| *d == destination);
        Ok(Some(known.unwrap_or_else(|| {
            self.wanted.destinations.push(destination);
            self.wanted.destinations.len() - 1
        })))
    }
}

/// Fills in texts for one target; what its outputs hold is read once.
struct Values<'a> {
    source: &'a Source<'a>,
    target: Target,
    read: BTreeMap<usize, Vec<u8>>,
}

impl Values<'_> {
    fn pieces(&mut self, text: &Text, output: usize) -> Result<publish::Text> {
        let graph = self.source.graph;
        let rule = graph.rule(self.target.rule);
        let mut pieces: publish::Text = Vec::new();
        let mut push = |piece: Piece| match (pieces.last_mut(), piece) {
            (Some(Piece::Text(before)), Piece::Text(text)) => before.push_str(&text),
            (_, piece) => pieces.push(piece),
        };
        for slot in &text.slots {
            push(match slot {
                Slot::Now => Piece::Now,
                Slot::ObjectKey => Piece::ObjectKey,
                Slot::ObjectSize => Piece::ObjectSize,
                Slot::ObjectUrl => Piece::ObjectUrl,
                Slot::Preset => Piece::Text(self.source.selection.presets.join(",")),
                Slot::Path => Piece::Text(graph.output_path(self.target, output)),
                Slot::File => {
                    let path = graph.output_path(self.target, output);
                    Piece::Text(path.rsplit('/').next().unwrap_or(&path).to_owned())
                }
                Slot::Pointed { output, pointer } => Piece::Text(self.pointed(*output, pointer)?),
                plain => {
                    let text = Text { slots: vec![plain.clone()] };
                    Piece::Text(graph.render(&text, &rule.space, self.target.cell))
                }
            });
        }
        Ok(pieces)
    }

    fn plain(&mut self, text: &Text, output: usize) -> Result<String> {
        Ok(plain_pieces(&self.pieces(text, output)?))
    }

    /// A text that needs nothing but the cell.
    fn fixed(&self, text: &Text, output: usize) -> String {
        let mut values = Values { source: self.source, target: self.target, read: BTreeMap::new() };
        values.plain(text, output).unwrap_or_default()
    }

    fn fixed_attribute(&self, attribute: &graph::Attribute, output: usize) -> Attribute {
        match attribute {
            graph::Attribute::N(text) => Attribute::N(self.fixed(text, output)),
            graph::Attribute::S(text) => Attribute::S(self.fixed(text, output)),
            _ => Attribute::Null,
        }
    }

    fn attribute(
        &mut self,
        attribute: &graph::Attribute,
        output: usize,
    ) -> Result<Attribute<publish::Text>> {
        Ok(match attribute {
            graph::Attribute::S(text) => Attribute::S(self.pieces(text, output)?),
            graph::Attribute::N(text) => Attribute::N(self.pieces(text, output)?),
            graph::Attribute::Bool(value) => Attribute::Bool(*value),
            graph::Attribute::Null => Attribute::Null,
            graph::Attribute::L(items) => {
                let mut list = Vec::new();
                for item in items {
                    list.push(self.attribute(item, output)?);
                }
                Attribute::L(list)
            }
            graph::Attribute::M(items) => Attribute::M(self.item(items, output)?),
        })
    }

    fn item(
        &mut self,
        item: &BTreeMap<String, graph::Attribute>,
        output: usize,
    ) -> Result<Item<publish::Text>> {
        let mut filled = BTreeMap::new();
        for (name, attribute) in item {
            filled.insert(name.clone(), self.attribute(attribute, output)?);
        }
        Ok(filled)
    }

    /// The value at a pointer of another output of the target.
    fn pointed(&mut self, output: usize, pointer: &Pointer) -> Result<String> {
        let graph = self.source.graph;
        let declared = &graph.rule(self.target.rule).outputs[output];
        let path = graph.output_path(self.target, output);
        let missing = || {
            Error::environment(format!("`{path}` has no single value at `{pointer}`"))
                .hint("publish another value, or mend what makes it")
        };
        if !self.read.contains_key(&output) {
            let Known::Made(made) = self.source.made(self.target, output) else {
                return Err(missing());
            };
            let found = plan::output_of(graph, self.target, declared.group, output, made);
            let bytes = match found {
                Some(found) => self.source.objects.read(&found.bytes)?,
                None => None,
            };
            self.read.insert(output, bytes.ok_or_else(missing)?);
        }
        let document = Document::parse(&self.read[&output], declared.kind)
            .map_err(|error| missing().because(error))?;
        document.text_at(pointer).ok_or_else(missing)
    }
}

fn plain_pieces(pieces: &publish::Text) -> String {
    pieces
        .iter()
        .filter_map(|piece| match piece {
            Piece::Text(text) => Some(text.as_str()),
            _ => None,
        })
        .collect()
}

impl Prepared {
    /// What would be done, in objects and rows.
    pub fn counts(&self) -> PlannedPublish {
        let mut counts = PlannedPublish {
            undecided: self.undecided,
            orphaned: self.plan.orphans.len(),
            ..PlannedPublish::default()
        };
        let actions = self
            .plan
            .objects
            .iter()
            .map(|p| &p.action)
            .chain(self.plan.rows.iter().map(|p| &p.action));
        for action in actions {
            match action {
                Action::Create => counts.create += 1,
                Action::Update(_) => counts.update += 1,
                Action::Note | Action::Unchanged | Action::Refused => counts.unchanged += 1,
            }
        }
        counts
    }
}
