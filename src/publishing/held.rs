//! What a publish holds back: values of its `hold` axes of which something is not built.

use std::collections::BTreeMap;

use super::fewer::{Lacking, LackingWhat, Why};
use super::{Known, Source};
use crate::graph::{Graph, Publish, Space, Target};
use crate::plan::Verdict;

/// How many values are named before the rest is counted.
const NAMED: usize = 5;

/// The value indices of the axes that are held by.
type Group = Vec<usize>;

/// The groups that are held back: how many of their objects and rows are not built, and how many there are in all.
pub(super) struct Held {
    axes: Option<Vec<usize>>,
    groups: BTreeMap<Group, (usize, usize)>,
}

impl Held {
    /// Whether a cell is held back.
    pub(super) fn holds(&self, space: &Space, cell: usize) -> bool {
        match &self.axes {
            Some(axes) if !self.groups.is_empty() => {
                self.groups.contains_key(&group(axes, space, cell))
            }
            _ => false,
        }
    }

    pub(super) fn words(&self, graph: &Graph, publish: &Publish) -> Option<String> {
        let axes = self.axes.as_ref().filter(|_| !self.groups.is_empty())?;
        let space = &graph.rule(publish.of).space;
        let named = self.groups.iter().take(NAMED).map(|(group, (unbuilt, all))| {
            let values = axes.iter().zip(group).map(|(position, value)| {
                let axis = &graph.axes[space.axes[*position]];
                format!("{}={}", axis.name, axis.values[*value])
            });
            let values: Vec<String> = values.collect();
            let what = if values.is_empty() { "everything".into() } else { values.join(", ") };
            format!("{what} ({unbuilt} of {all} objects and rows not built)")
        });
        let mut named: Vec<String> = named.collect();
        if self.groups.len() > NAMED {
            named.push(format!("and {} more", self.groups.len() - NAMED));
        }
        Some(format!("`publish.{}` holds back {}", publish.name, named.join("; ")))
    }
}

impl Source<'_> {
    /// What of these cells must wait for others of them. The places tell which objects and rows are in reach.
    pub(super) fn held(
        &self,
        publish: &Publish,
        cells: &[usize],
        in_reach: (&[Option<usize>], &[Option<usize>]),
    ) -> Held {
        let mut held = Held { axes: publish.hold.clone(), groups: BTreeMap::new() };
        let Some(axes) = &publish.hold else { return held };
        let space = &self.graph.rule(publish.of).space;
        for &cell in cells {
            let target = Target { rule: publish.of, cell };
            let (all, unbuilt) = self.parts(publish, target, in_reach);
            let counts = held.groups.entry(group(axes, space, cell)).or_default();
            *counts = (counts.0 + unbuilt, counts.1 + all);
        }
        held.groups.retain(|_, (unbuilt, _)| *unbuilt > 0);
        held
    }

    /// The objects and rows of a target that are held back.
    pub(super) fn held_back(
        &self,
        publish: &Publish,
        target: Target,
        (objects, rows): (&[Option<usize>], &[Option<usize>]),
    ) -> Vec<Lacking> {
        let objects = publish.objects.iter().zip(objects).enumerate();
        let objects =
            objects.map(|(index, (o, place))| (o.output, place, LackingWhat::Object(index)));
        let rows = publish.rows.iter().zip(rows).enumerate();
        let rows = rows.map(|(index, (r, place))| (r.output, place, LackingWhat::Row(index)));
        let parts = objects.chain(rows).filter_map(|(output, place, what)| {
            let exists = matches!(self.made(target, output), Known::Made(_) | Known::Undecided);
            let destination = place.filter(|_| exists)?;
            Some(Lacking { destination, target, what, why: Why::Held })
        });
        parts.collect()
    }

    /// How many objects and rows a target has in reach, and how many of them are not built.
    fn parts(
        &self,
        publish: &Publish,
        target: Target,
        (objects, rows): (&[Option<usize>], &[Option<usize>]),
    ) -> (usize, usize) {
        let outputs = publish.objects.iter().map(|object| object.output).zip(objects);
        let outputs = outputs.chain(publish.rows.iter().map(|row| row.output).zip(rows));
        let mut parts = (0, 0);
        for (output, _) in outputs.filter(|(_, place)| place.is_some()) {
            match self.made(target, output) {
                Known::Made(_) => parts.0 += 1,
                Known::Undecided if self.before_a_build && self.is_to_be_built(target, output) => {
                    parts.0 += 1;
                }
                Known::Undecided => parts = (parts.0 + 1, parts.1 + 1),
                Known::Nothing | Known::Unasked => {}
            }
        }
        parts
    }

    /// Whether a build would make it, unless something fails.
    fn is_to_be_built(&self, target: Target, output: usize) -> bool {
        let group = self.graph.rule(target.rule).outputs[output].group;
        let judgement = self.board.get(self.graph, target, group);
        judgement.is_some_and(|j| matches!(j.verdict, Verdict::Stale(_) | Verdict::Pending(_)))
    }
}

fn group(axes: &[usize], space: &Space, cell: usize) -> Group {
    axes.iter().map(|position| space.coordinate(cell, *position)).collect()
}
