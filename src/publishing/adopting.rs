//! Taking what stands at destinations already for published: put there by another tool, in no manifest, under declared keys.
//!
//! Its bytes are read and told by content as an output's would be, so that a publish of equal content uploads nothing.
//! Knows the graph and the cache; what is read and written is `publish`'s.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;

use super::mending::Guard;
use super::values::Values;
use super::{Numbered, Prepared, Reach, Source, destination, keeping};
use crate::collect::{self, ExpectedOutput};
use crate::content::As;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::graph::{Publish, PublishObject, PublishRow, Target};
use crate::plan::{self, Verdict};
use crate::publish::manifest::{ObjectEntry, RowEntry};
use crate::publish::place::{Claim, Found};
use crate::publish::{
    self, Action, Destination, Extent, Headers, Item, Place, PublishPlan, RowKey, There, Wanted,
};
use crate::records::{Made, MadeOutput};

/// How far adopting goes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Adopting {
    /// What is adopted is taken for made from the inputs as they are now.
    pub as_built: bool,
    /// What carries the mark of some jheem is adopted too.
    pub marked: bool,
}

/// What one publish adopted.
#[derive(Default)]
pub struct Adopted {
    pub objects: Vec<(Destination, String)>,
    pub rows: Vec<(Destination, String)>,
    /// What was not adopted: the destination, the key and why.
    pub skipped: Vec<(Destination, String, String)>,
    /// What is to be recorded as made, by its fingerprint.
    pub made: Vec<(Digest, Made)>,
    /// What is adopted and not taken for made, and why.
    pub not_made: Vec<(String, String)>,
}

/// The run that is named for what no run made.
const RUN: &str = "adopted";

const OF_A_JHEEM: &str = "it carries the mark of a jheem, of another project or of a manifest that is lost: `--marked` adopts it all the same";

/// The outputs of one target, by their indexes, and what was found amiss.
type Outputs = BTreeMap<usize, (MadeOutput, Vec<String>)>;

/// Rows by key: of which target and which row of the publish, and the key of the object that it registers.
type RowKeys = BTreeMap<RowKey, (Target, usize, Option<String>)>;

impl Source<'_> {
    /// Adopts what stands under the keys of the selected targets of a publish; nothing but manifests is written.
    pub fn adopt(
        &self,
        publish: &Publish,
        adopting: Adopting,
        guard: &Guard<'_>,
        say: &mut dyn FnMut(String),
    ) -> Result<Adopted> {
        if publish.editions.is_some() {
            return Err(Error::user(format!(
                "`publish.{}` publishes whole editions, which are jheem's own: there is nothing to adopt",
                publish.name
            ))
            .hint("adopt by a publish without `editions`"));
        }
        let rule = self.graph.rule(publish.of);
        let mut wanted = Wanted::nothing(&self.graph.project, &publish.name, &self.now);
        let mut places =
            Numbered { wanted: &mut wanted, reach: Reach::All, keeping: keeping(publish)? };
        let mut place = |url: &str, table: Option<&str>| {
            let index = places.index(destination(url, table)?)?;
            index.ok_or_else(|| Error::bug("a destination is out of reach"))
        };
        let object_places: Vec<usize> =
            publish.objects.iter().map(|object| place(&object.to, None)).collect::<Result<_>>()?;
        let row_places: Vec<usize> = publish
            .rows
            .iter()
            .map(|row| place(&row.to, Some(&rule.outputs[row.output].name)))
            .collect::<Result<_>>()?;

        // Every key, and what it is of.
        let mut objects: Vec<BTreeMap<String, (Target, usize)>> =
            vec![BTreeMap::new(); wanted.destinations.len()];
        let mut rows: Vec<RowKeys> = vec![BTreeMap::new(); wanted.destinations.len()];
        for cell in 0..rule.space.cells() {
            let target = Target { rule: publish.of, cell };
            if !self.selection.goals[publish.of.0][cell]
                || rule.declared_absent(cell)
                || self.is_absent(target)
            {
                continue;
            }
            let mut values = Values::new(self, target);
            let mut keys = Vec::new();
            for (index, object) in publish.objects.iter().enumerate() {
                let key = values.plain(&object.key, object.output)?;
                keys.push(key.clone());
                objects[object_places[index]].entry(key).or_insert((target, index));
            }
            for (index, row) in publish.rows.iter().enumerate() {
                let object = row.object.map(|object| keys[object].clone());
                let key = values.row_key(row)?;
                rows[row_places[index]].entry(key).or_insert((target, index, object));
            }
        }

        let places = publish::open(&self.world(), &wanted.destinations)?;
        publish::wait(&places, say)?;
        let mut adopted = Adopted::default();
        let mut plan = PublishPlan::default();
        let mut there = Vec::new();
        let mut outputs: BTreeMap<Target, Outputs> = BTreeMap::new();
        // The bytes that stand under an object's key, for the rows that register it.
        let mut standing: BTreeMap<(usize, String), Digest> = BTreeMap::new();
        let mut left: BTreeSet<(usize, String)> = BTreeSet::new();
        for (at, place) in places.iter().enumerate() {
            let Place::Objects(place) = place else { continue };
            let unknown = |key: &String| (key.clone(), unknown_object(publish));
            let asked = objects[at].keys().map(unknown).collect();
            let known = place.read(&wanted.owner, &asked, Extent::Whole)?;
            let destination = wanted.destinations[at].clone();
            let published = known.published();
            let bytes = published.iter().map(|(key, entry)| ((at, key.clone()), entry.bytes));
            standing.extend(bytes);
            let owned = |key: &String| matches!(known.claims.get(key), Some(Claim::Owner(_)));
            for key in objects[at].keys().filter(|key| owned(key)) {
                let why = "another project publishes it".to_owned();
                adopted.skipped.push((destination.clone(), key.clone(), why));
                left.insert((at, key.clone()));
            }
            // What was adopted before can still be taken for made.
            let attested = |key: &String| {
                adopting.as_built && published.get(key).is_some_and(|entry| entry.attested)
            };
            let asked: BTreeSet<&str> = objects[at]
                .keys()
                .filter(|key| (!published.contains_key(*key) || attested(key)) && !owned(key))
                .map(String::as_str)
                .collect();
            let mut see = |key: &str, found: Found| {
                let before = published.get(key);
                if before.is_some_and(|entry| entry.bytes != Digest::of(&found.bytes)) {
                    let why = "it was written over since it was adopted".to_owned();
                    adopted.skipped.push((destination.clone(), key.to_owned(), why));
                    return Ok(());
                }
                if found.marked && !adopting.marked && before.is_none() {
                    let skipped = (destination.clone(), key.to_owned(), OF_A_JHEEM.to_owned());
                    adopted.skipped.push(skipped);
                    left.insert((at, key.to_owned()));
                    return Ok(());
                }
                let Some(&(target, index)) = objects[at].get(key) else { return Ok(()) };
                let object = &publish.objects[index];
                let (output, findings, plain) = self.told(target, object, &found);
                if adopting.as_built {
                    self.objects.put_bytes(&plain)?;
                    let size = plain.len() as u64;
                    let made = MadeOutput { bytes: Digest::of(&plain), content: output, size };
                    outputs.entry(target).or_default().insert(object.output, (made, findings));
                }
                if before.is_some() {
                    return Ok(());
                }
                let packed = object.gzip && plain != found.bytes;
                let packed = packed.then(|| Digest::of(&plain));
                let entry = self.object_entry(publish, target, object, (output, packed), found);
                standing.insert((at, key.to_owned()), entry.bytes);
                adopted.objects.push((destination.clone(), key.to_owned()));
                let (label, key) = (self.graph.label(target), (at, key.to_owned()));
                plan.add_object(&mut wanted, label, key, Action::Note, entry);
                Ok(())
            };
            place.found(&asked, &mut see)?;
            there.push((at, There::Objects(known)));
        }
        for (at, place) in places.iter().enumerate() {
            let Place::Rows(place) = place else { continue };
            let unknown = |key: &RowKey| (key.clone(), None);
            let known = place.read(&wanted.owner, &rows[at].keys().map(unknown).collect())?;
            let destination = wanted.destinations[at].clone();
            let published = known.published();
            let owned = |key: &RowKey| matches!(known.claims.get(key), Some(Claim::Owner(_)));
            for key in rows[at].keys().filter(|key| owned(key)) {
                let why = "another project publishes it".to_owned();
                adopted.skipped.push((destination.clone(), key.to_string(), why));
            }
            let asked: Vec<&RowKey> = rows[at]
                .keys()
                .filter(|key| !published.contains_key(*key) && !owned(key))
                .collect();
            for (key, item) in place.found(&asked)? {
                let Some((target, index, object)) = rows[at].get(&key) else { continue };
                let row = &publish.rows[*index];
                let object = row.object.and_then(|of| Some((object_places[of], object.clone()?)));
                if object.as_ref().is_some_and(|object| left.contains(object)) {
                    let why = "the object that it registers is not adopted".to_owned();
                    adopted.skipped.push((destination.clone(), key.to_string(), why));
                    continue;
                }
                let object = object.and_then(|object| standing.get(&object).copied());
                let entry = row_entry(publish, row, item, object);
                adopted.rows.push((destination.clone(), key.to_string()));
                let label = self.graph.label(*target);
                plan.add_row(&mut wanted, label, (at, key), Action::Note, entry);
            }
            there.push((at, There::Rows(known)));
        }
        there.sort_by_key(|(at, _)| *at);
        let there = there.into_iter().map(|(_, there)| there).collect();
        let prepared = Prepared::of(&publish.name, wanted, guard(places), there, plan);
        self.apply(&prepared, &mut |_| {})?;
        for (target, outputs) in outputs {
            match self.made_of(target, outputs) {
                Ok(Some(made)) => adopted.made.push(made),
                Ok(None) => {}
                Err(why) => adopted.not_made.push((self.graph.label(target), why)),
            }
        }
        Ok(adopted)
    }

    /// What an object that was found is as an output: its content, what the audit finds, and its bytes unpacked.
    fn told(
        &self,
        target: Target,
        object: &PublishObject,
        found: &Found,
    ) -> (Digest, Vec<String>, Vec<u8>) {
        let graph = self.graph;
        let declared = &graph.rule(target.rule).outputs[object.output];
        let packed = found.headers.as_ref().and_then(|headers| headers.content_encoding.as_ref());
        let mut plain = Vec::new();
        // What is packed on the way is not packed in the project, unless it is declared so.
        let unpacked = packed.is_some_and(|how| how == "gzip")
            && !declared.kind.gzip
            && flate2::read::MultiGzDecoder::new(&found.bytes[..]).read_to_end(&mut plain).is_ok();
        if !unpacked {
            plain.clone_from(&found.bytes);
        }
        let expected = ExpectedOutput {
            folder: Default::default(),
            file: Default::default(),
            path: graph.output_path(target, object.output),
            kind: declared.kind,
            volatile: declared.volatile.clone(),
            rules: plan::audit_rules(graph, target, object.output),
            optional: declared.optional,
        };
        if declared.kind == As::BYTES {
            let findings = collect::judge_size(&expected, plain.len() as u64);
            return (Digest::of(&plain), findings, plain);
        }
        match collect::judge(&expected, &plain) {
            Ok((content, findings)) => (content, findings, plain),
            // It is no content of this kind, so that whatever is built differs from it.
            Err(finding) => (Digest::of(&plain), vec![finding], plain),
        }
    }

    fn object_entry(
        &self,
        publish: &Publish,
        target: Target,
        object: &PublishObject,
        (content, packed): (Digest, Option<Digest>),
        found: Found,
    ) -> ObjectEntry {
        let group = self.graph.rule(target.rule).outputs[object.output].group;
        let mut headers = match found.headers {
            Some(headers) => headers,
            // Where headers stand in the manifest alone, they are as they are declared.
            None => {
                let mut values = Values::new(self, target);
                let metadata = object.metadata.iter().filter_map(|(name, text)| {
                    Some((name.clone(), values.plain(text, object.output).ok()?))
                });
                Headers {
                    metadata: metadata.collect(),
                    content_type: object.content_type.clone(),
                    content_encoding: object.content_encoding.clone(),
                    cache_control: object.cache_control.clone(),
                }
            }
        };
        // What a service says of an object of which it was told nothing.
        let said_nothing = |kind: &String| kind.ends_with("/octet-stream");
        if object.content_type.is_none() && headers.content_type.as_ref().is_some_and(said_nothing)
        {
            headers.content_type = None;
        }
        let mut uncompared = BTreeMap::new();
        for name in object.uncompared.keys() {
            uncompared.extend(headers.metadata.remove_entry(name));
        }
        ObjectEntry {
            publish: publish.name.clone(),
            content,
            bytes: Digest::of(&found.bytes),
            judged: plan::judged_by(self.graph, target, group),
            size: found.bytes.len() as u64,
            packed,
            headers,
            uncompared,
            version: found.version,
            attested: true,
            held: false,
        }
    }

    /// What a target's adopted outputs are as if a run had made them just now; none if it is made already.
    ///
    /// The error is a phrase that says why they cannot be taken for that.
    fn made_of(
        &self,
        target: Target,
        mut outputs: Outputs,
    ) -> std::result::Result<Option<(Digest, Made)>, String> {
        let graph = self.graph;
        let judgement = self.board.get(graph, target, 0);
        let judgement = judgement.ok_or("it is not selected")?;
        if !matches!(judgement.verdict, Verdict::Stale(_)) {
            return match judgement.verdict {
                Verdict::Fresh | Verdict::Restorable(_) => Ok(None),
                _ => Err("what it is made from is not there yet".to_owned()),
            };
        }
        let (Some(fingerprint), Some(by_bytes)) = (judgement.fingerprint, judgement.by_bytes)
        else {
            return Err("its runner or its inputs are not known".to_owned());
        };
        let rule = graph.rule(target.rule);
        let mut made = Vec::new();
        for &output in graph.order(target, 0).iter() {
            match outputs.remove(&output) {
                Some((_, findings)) if !findings.is_empty() => return Err(findings.join("; ")),
                Some((output, _)) => made.push(Some(output)),
                None if rule.outputs[output].optional => made.push(None),
                None => {
                    let path = graph.output_path(target, output);
                    return Err(format!("`{path}` is made with it, and stands nowhere"));
                }
            }
        }
        let judged = plan::judged_by(graph, target, 0);
        Ok(Some((fingerprint, Made { outputs: made, judged, by_bytes, run: RUN.to_owned() })))
    }
}

/// An entry that is nobody's wanted one, so that what is there is read.
fn unknown_object(publish: &Publish) -> ObjectEntry {
    let nothing = Digest::of(b"");
    ObjectEntry {
        publish: publish.name.clone(),
        content: nothing,
        bytes: nothing,
        judged: nothing,
        size: 0,
        packed: None,
        headers: Headers::default(),
        uncompared: BTreeMap::new(),
        version: None,
        attested: false,
        held: false,
    }
}

fn row_entry(
    publish: &Publish,
    row: &PublishRow,
    mut item: Item,
    object: Option<Digest>,
) -> RowEntry {
    let mut uncompared = Item::new();
    for name in row.uncompared.keys() {
        uncompared.extend(item.remove_entry(name));
    }
    RowEntry {
        publish: publish.name.clone(),
        item,
        uncompared,
        object,
        attested: true,
        held: false,
    }
}
