//! From plots to what a publish wants: keys, headers and items, filled in for the selected targets.
//!
//! Knows the graph and the records; what is at a destination, and what is written, is `publish`'s.

use std::collections::HashMap;
use std::sync::OnceLock;

use rayon::prelude::*;

use crate::aws::Aws;
use crate::costs::Requests;
use crate::digest::Digest;
use crate::ends::{destination, keeping, kept};
use crate::error::{Error, Result};
use crate::event::PlannedPublish;
use crate::graph::{Graph, Publish, PublishObject, PublishRow, Target};
use crate::memo::{Disk as _, RealDisk};
use crate::objects::Objects;
use crate::places::Places;
use crate::plan::{self, Board, Verdict};
use crate::project::Project;
use crate::publish::{
    self, Destination, Headers, Invalidation, Keeping, Outlook, Place, PublishPlan, Role, Step,
    There, Wanted, WantedObject, WantedRow,
};
use crate::records::{Key, Made, Record, Settled};
use crate::selection::Selection;

pub use adopting::{Adopted, Adopting};
use declared::DeclaredKeys;
use fewer::{Lacking, LackingWhat, Why};
pub use mending::{Inspection, Lost, Pruning, Repaired};
use packed::Packed;
pub use rolling_back::RolledBack;
pub use traced::{Called, InManifest, Traced, TracedKey};
use values::Values;

mod adopting;
mod declared;
mod editions;
mod fewer;
mod held;
mod mending;
mod packed;
mod rolling_back;
mod settled;
mod traced;
mod values;

/// What publishes are made from.
pub struct Source<'a> {
    graph: &'a Graph,
    selection: &'a Selection,
    board: &'a Board,
    /// What the last attempts left, also of targets that were not selected.
    last: &'a HashMap<Key, Record>,
    objects: &'a Objects,
    places: &'a Places,
    aws: &'a Aws,
    /// What `{now}` stands for.
    now: String,
    /// Whether a build comes first, which may make what is stale.
    before_a_build: bool,
    /// What all publishes of this are one step of.
    step: Step,
    /// Worked out when first needed: both go over every cell of every publish.
    declared: OnceLock<DeclaredKeys>,
    states: OnceLock<Vec<Digest>>,
}

/// One publish with what it wants, what is there, and what would be done.
pub struct Prepared {
    pub name: String,
    pub wanted: Wanted,
    pub places: Vec<Place>,
    pub there: Vec<There>,
    pub plan: PublishPlan,
    /// What is held back, in words; none if nothing is.
    pub held: Option<String>,
    /// Objects and rows of selected targets that are not there to be published.
    lacking: Vec<Lacking>,
    /// The requests that it took to look.
    pub looked: Requests,
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

impl<'a> Source<'a> {
    /// `now` is what `{now}` stands for.
    pub fn new(
        project: &'a Project,
        selection: &'a Selection,
        board: &'a Board,
        last: &'a HashMap<Key, Record>,
        objects: &'a Objects,
        aws: &'a Aws,
        now: String,
    ) -> Source<'a> {
        let (declared, states) = (OnceLock::new(), OnceLock::new());
        let (graph, places) = (&project.graph, &project.places);
        let before_a_build = false;
        Source {
            graph,
            selection,
            board,
            last,
            objects,
            places,
            aws,
            now,
            before_a_build,
            step: Step::begin(),
            declared,
            states,
        }
    }

    /// For plans: what is only to be built yet is expected to be, and so holds nothing back.
    pub fn before_a_build(self) -> Source<'a> {
        Source { before_a_build: true, ..self }
    }

    /// What it takes to open a destination.
    fn world(&self) -> publish::World<'_> {
        let (owner, step) = (&self.graph.project, &self.step);
        publish::World { places: self.places, aws: self.aws, owner, step }
    }

    /// The publishes that were asked for.
    pub fn publishes(&self) -> impl Iterator<Item = &'a Publish> + use<'a> {
        let selected = &self.selection.publishes;
        let publishes = self.graph.publishes.iter().enumerate();
        publishes.filter(|(index, _)| selected[*index]).map(|(_, publish)| publish)
    }

    /// Prepares a publish: looks at its destinations and plans; writes nothing.
    ///
    /// None if all of its destinations are out of reach. With `wait`, others that publish there are
    /// waited for, and it tells of them.
    pub fn prepare(
        &self,
        publish: &Publish,
        reach: Reach,
        wait: Option<&mut dyn FnMut(String)>,
    ) -> Result<Option<Prepared>> {
        let Filled { mut wanted, held, lacking } = self.wanted(publish, reach)?;
        let before = self.aws.requests();
        if wanted.destinations.is_empty() {
            return Ok(None);
        }
        let places = publish::open(&self.world(), &wanted.destinations)?;
        if let Some(say) = wait {
            publish::wait(&places, say)?;
        }
        let seen = RealDisk.now();
        let (watched, there) = match &publish.editions {
            None => {
                let watched = settled::watch(&self.places.root, &wanted, &places)?;
                (watched, publish::look(&wanted, &places)?)
            }
            // Which keys there are is known only once the place was looked at.
            Some(index) => (None, self.as_edition(index, &mut wanted, &places)?),
        };
        self.measure_packed(&mut wanted, &there)?;
        let plan = self.declared().asked(|declared| publish::plan(&wanted, &there, declared));
        let name = publish.name.clone();
        let undecided = lacking.iter().any(Lacking::is_undecided);
        let idle = plan.is_empty() && plan.refused.is_empty() && plan.rolled_back.is_empty();
        let idle = idle && !undecided;
        let settled = watched.filter(|_| idle).map(|watched| Settled {
            asked: self.asked(publish, reach),
            unchanged: plan.objects.len() + plan.rows.len(),
            orphaned: plan.orphans.len(),
            watched,
            seen,
        });
        let looked = self.aws.requests() - before;
        Ok(Some(Prepared { name, wanted, places, there, plan, held, lacking, looked, settled }))
    }

    /// Carries a prepared publish out.
    pub fn apply(
        &self,
        prepared: &Prepared,
        on_event: &mut dyn FnMut(publish::Event<'_>),
    ) -> Result<publish::Done> {
        let packed = Packed::begin(self.places)?;
        let wanted = &prepared.wanted;
        let source = |object: &WantedObject| {
            if let Some(text) = wanted.editions.iter().find_map(|e| e.texts.get(&object.bytes)) {
                self.objects.put_bytes(text)?;
            }
            // What was read back from the destination is put as it was packed then.
            if let Some((bytes, _)) = object.packed.filter(|_| object.gzip)
                && let Some(path) = self.objects.verified_path(&bytes)?
            {
                return Ok(path);
            }
            let built = self.objects.verified_path(&object.bytes)?.ok_or_else(|| {
                Error::environment(format!("{} is no longer in the cache", object.target))
                    .hint("run `jheem build` again: it will be made anew")
            })?;
            if object.gzip { packed.of(object, &built) } else { Ok(built) }
        };
        publish::apply(wanted, &prepared.places, &prepared.there, &prepared.plan, &source, on_event)
    }

    /// Packs what would be put packed, only to know its digest and its size.
    fn measure_packed(&self, wanted: &mut Wanted, there: &[There]) -> Result<()> {
        let measured: Vec<_> = publish::to_pack(wanted, there)
            .into_par_iter()
            .map(|index| {
                // What is gone from the cache is told when it is published.
                let built = self.objects.verified_path(&wanted.objects[index].bytes)?;
                let packed = built.map(|built| publish::packing::pack(&built, None)).transpose()?;
                Ok((index, packed))
            })
            .collect::<Result<_>>()?;
        for (index, packed) in measured {
            wanted.objects[index].packed = packed;
        }
        Ok(())
    }

    /// The one distribution before all that the publishes asked for write, if there is any.
    fn one_invalidation(&self) -> Result<Option<Invalidation>> {
        let mut all: Vec<Invalidation> =
            self.publishes().filter_map(|publish| invalidation(self.graph, publish)).collect();
        all.dedup();
        match all.len() {
            0 | 1 => Ok(all.pop()),
            _ => Err(Error::user("these publishes have several distributions to tell")
                .hint("name one of them: `publish.NAME`")),
        }
    }

    fn declared(&self) -> &DeclaredKeys {
        self.declared.get_or_init(|| DeclaredKeys::of(self))
    }

    /// What the selected targets of a publish should be at its destinations, and what of them cannot be there.
    fn wanted(&self, publish: &Publish, reach: Reach) -> Result<Filled> {
        let rule = self.graph.rule(publish.of);
        let mut wanted = Wanted {
            invalidation: invalidation(self.graph, publish),
            ..Wanted::nothing(&self.graph.project, &publish.name, &self.now)
        };
        let mut places = Numbered { wanted: &mut wanted, reach, keeping: keeping(publish)? };
        let object_places: Vec<Option<usize>> = publish
            .objects
            .iter()
            .map(|o| places.index(destination(&o.to, None)?))
            .collect::<Result<_>>()?;
        let row_places: Vec<Option<usize>> = publish
            .rows
            .iter()
            .map(|row| match row.object {
                // A row never stands without its object: if that is out of reach, so is the row.
                Some(object) if object_places[object].is_none() => Ok(None),
                _ => {
                    let to = destination(&row.to, Some(&rule.outputs[row.output].name))?;
                    places.index(to)
                }
            })
            .collect::<Result<_>>()?;
        let cells: Vec<usize> = (0..rule.space.cells())
            .filter(|cell| {
                self.selection.goals[publish.of.0][*cell] && !rule.declared_absent(*cell)
            })
            .collect();
        let in_reach = (&object_places[..], &row_places[..]);
        if publish.editions.is_some()
            && let Some((words, lacking)) = self.narrowed(publish, &cells, in_reach)
        {
            return Ok(Filled { wanted, held: Some(words), lacking });
        }
        let held = self.held(publish, &cells, in_reach);
        // Rows may tell what stands in files that were made, so each cell is work.
        let filled: Vec<FilledCell> = cells
            .into_par_iter()
            .map(|cell| {
                let target = Target { rule: publish.of, cell };
                match held.holds(&rule.space, cell) {
                    true => FilledCell {
                        lacking: self.held_back(publish, target, in_reach),
                        ..FilledCell::default()
                    },
                    false => self.cell(publish, target, in_reach),
                }
            })
            .collect();
        let mut lacking = Vec::new();
        for cell in filled {
            let first = wanted.objects.len();
            wanted.objects.extend(cell.objects);
            wanted.rows.extend(
                cell.rows.into_iter().map(|row| WantedRow {
                    object: row.object.map(|object| first + object),
                    ..row
                }),
            );
            wanted.refused.extend(cell.refused);
            lacking.extend(cell.lacking);
        }
        let held = held.words(self.graph, publish);
        Ok(Filled { wanted, held, lacking })
    }

    /// What one target should be at the destinations, whose indices are by object and by row.
    fn cell(
        &self,
        publish: &Publish,
        target: Target,
        (object_places, row_places): (&[Option<usize>], &[Option<usize>]),
    ) -> FilledCell {
        let mut filled = FilledCell::default();
        let mut values = Values::new(self, target);
        let mut objects = vec![Standing::Nothing; publish.objects.len()];
        let lacks = |destination, what, undecided| {
            let why = if undecided { Why::Undecided } else { Why::Absent };
            Lacking { destination, target, what, why }
        };
        for (index, object) in publish.objects.iter().enumerate() {
            let Some(destination) = object_places[index] else { continue };
            let made = match self.made(target, object.output) {
                Known::Made(made) => made,
                Known::Unasked => continue,
                known => {
                    let undecided = matches!(known, Known::Undecided);
                    filled.lacking.push(lacks(destination, LackingWhat::Object(index), undecided));
                    if undecided {
                        objects[index] = Standing::Undecided;
                    }
                    continue;
                }
            };
            match self.wanted_object(&mut values, object, destination, made) {
                Ok(Some(object)) => {
                    objects[index] = Standing::Wanted(filled.objects.len());
                    filled.objects.push(object);
                }
                Ok(None) => {
                    filled.lacking.push(lacks(destination, LackingWhat::Object(index), false));
                }
                Err(error) => filled.refused.push(error),
            }
        }
        for (index, row) in publish.rows.iter().enumerate() {
            let Some(destination) = row_places[index] else { continue };
            let object = row.object.map(|object| objects[object]);
            let known = self.made(target, row.output);
            let undecided =
                matches!(known, Known::Undecided) || object == Some(Standing::Undecided);
            let object = match (known, object) {
                (Known::Unasked, _) => continue,
                (Known::Made(_), Some(Standing::Wanted(object))) => Some(object),
                (Known::Made(_), None) => None,
                _ => {
                    filled.lacking.push(lacks(destination, LackingWhat::Row(index), undecided));
                    continue;
                }
            };
            match wanted_row(&mut values, row, destination, object) {
                Ok(row) => filled.rows.push(row),
                Err(error) => filled.refused.push(error),
            }
        }
        filled
    }

    /// None if the target was made without this output, which is optional.
    fn wanted_object(
        &self,
        values: &mut Values<'_>,
        object: &PublishObject,
        destination: usize,
        made: &Made,
    ) -> Result<Option<WantedObject>> {
        let (graph, target) = (self.graph, values.target);
        let group = graph.rule(target.rule).outputs[object.output].group;
        let Some(output) = plan::output_of(graph, target, group, object.output, made) else {
            return Ok(None);
        };
        let metadata = object
            .metadata
            .iter()
            .map(|(name, text)| Ok((name.clone(), values.plain(text, object.output)?)));
        let metadata = metadata.collect::<Result<_>>()?;
        let uncompared = object
            .uncompared
            .iter()
            .map(|(name, text)| Ok((name.clone(), values.pieces(text, object.output)?)));
        let uncompared = uncompared.collect::<Result<_>>()?;
        Ok(Some(WantedObject {
            target: graph.label(target),
            destination,
            key: values.plain(&object.key, object.output)?,
            content: output.content,
            bytes: output.bytes,
            judged: made.judged,
            size: output.size,
            gzip: object.gzip,
            packed: None,
            once: object.once,
            copied: None,
            role: Role::Output,
            headers: Headers {
                content_type: object.content_type.clone(),
                content_encoding: match object.gzip {
                    true => Some("gzip".to_owned()),
                    false => object.content_encoding.clone(),
                },
                cache_control: object.cache_control.clone(),
                metadata,
            },
            uncompared,
        }))
    }

    fn made(&self, target: Target, output: usize) -> Known<'_> {
        let group = self.graph.rule(target.rule).outputs[output].group;
        // An output of an option that was not asked for is not published now, nor orphaned.
        if group != 0 && self.selection.wants(target) & (1 << group) == 0 {
            return Known::Unasked;
        }
        match self.board.get(self.graph, target, group) {
            Some(judgement) => match (&judgement.verdict, &judgement.made) {
                (Verdict::Fresh | Verdict::Restorable(_), Some(made)) => Known::Made(made),
                (Verdict::Absent(_), _) => Known::Nothing,
                _ => Known::Undecided,
            },
            None => Known::Unasked,
        }
    }
}

/// What a publish wants, and what of it must wait.
struct Filled {
    wanted: Wanted,
    held: Option<String>,
    /// Objects and rows of selected targets that are not there to be published.
    lacking: Vec<Lacking>,
}

/// The part of one target in it; rows name its own objects by their indices.
#[derive(Default)]
struct FilledCell {
    objects: Vec<WantedObject>,
    rows: Vec<WantedRow>,
    refused: Vec<Error>,
    lacking: Vec<Lacking>,
}

/// What is wanted of an object of one cell.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Nothing,
    Undecided,
    /// Its index in `Wanted::objects`.
    Wanted(usize),
}

fn wanted_row(
    values: &mut Values<'_>,
    row: &PublishRow,
    destination: usize,
    object: Option<usize>,
) -> Result<WantedRow> {
    Ok(WantedRow {
        target: values.source.graph.label(values.target),
        destination,
        key: values.row_key(row)?,
        item: values.item(&row.item, row.output)?,
        uncompared: values.item(&row.uncompared, row.output)?,
        object,
        alone: row.one_by_one,
    })
}

/// Whom a publish tells of changed objects.
fn invalidation(graph: &Graph, publish: &Publish) -> Option<Invalidation> {
    let to = publish.invalidate.as_ref()?;
    let (distribution, drop_prefix) = (to.distribution.clone(), to.drop_prefix.clone());
    let all = graph.publishes.iter().filter_map(|publish| publish.invalidate.as_ref());
    let declared = all.map(|to| to.distribution.clone()).collect();
    Some(Invalidation { distribution, drop_prefix, declared })
}

enum Known<'a> {
    Made(&'a Made),
    /// It cannot exist.
    Nothing,
    Undecided,
    /// Nobody asked for it.
    Unasked,
}

/// The destinations of a publish, each once.
struct Numbered<'a> {
    wanted: &'a mut Wanted,
    reach: Reach,
    keeping: Option<Keeping>,
}

impl Numbered<'_> {
    fn index(&mut self, destination: Destination) -> Result<Option<usize>> {
        let destination = kept(destination, self.keeping.as_ref());
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

impl Prepared {
    /// A publish that was planned otherwise than from what is built.
    fn of(
        name: &str,
        wanted: Wanted,
        places: Vec<Place>,
        there: Vec<There>,
        plan: PublishPlan,
    ) -> Prepared {
        let (name, looked) = (name.to_owned(), Requests::default());
        let (held, lacking, settled) = (None, Vec::new(), None);
        Prepared { name, wanted, places, there, plan, held, lacking, looked, settled }
    }

    /// How many objects and rows are not decided yet, or are held back with such.
    pub fn undecided(&self) -> usize {
        self.lacking.iter().filter(|lacking| lacking.is_undecided()).count()
    }

    /// What would be done at each destination, and how much there is not decided yet.
    pub fn outlook(&self) -> Vec<(Outlook, usize)> {
        let all = publish::outlook(&self.wanted, &self.there, &self.plan);
        let undecided = |index| {
            self.lacking.iter().filter(|l| l.destination == index && l.is_undecided()).count()
        };
        all.into_iter().enumerate().map(|(index, one)| (one, undecided(index))).collect()
    }

    /// What would be done, in objects and rows.
    pub fn counts(&self) -> PlannedPublish {
        let counts = self.plan.counts(&self.wanted);
        PlannedPublish {
            create: counts.created,
            update: counts.updated,
            // A line of the manifest alone is nothing that a reader sees.
            unchanged: counts.unchanged + counts.noted,
            undecided: self.undecided(),
            orphaned: counts.orphaned,
            refused: self.plan.refused.len(),
        }
    }
}
