//! The texts of one target of a publish, filled in: from its cell, its paths, and what its outputs hold.

use std::collections::BTreeMap;

use super::{Known, Source};
use crate::content::{Document, Pointer};
use crate::error::{Error, Result};
use crate::graph::{self, PublishRow, Slot, Target, Text};
use crate::plan;
use crate::publish::{self, Attribute, Item, Piece, RowKey};

/// Fills in texts for one target; what its outputs hold is read once.
pub(super) struct Values<'a> {
    pub(super) source: &'a Source<'a>,
    pub(super) target: Target,
    read: BTreeMap<usize, Vec<u8>>,
}

impl<'a> Values<'a> {
    pub(super) fn new(source: &'a Source<'a>, target: Target) -> Values<'a> {
        Values { source, target, read: BTreeMap::new() }
    }

    pub(super) fn pieces(&mut self, text: &Text, output: usize) -> Result<publish::Text> {
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

    pub(super) fn plain(&mut self, text: &Text, output: usize) -> Result<String> {
        Ok(plain_pieces(&self.pieces(text, output)?))
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

    pub(super) fn item(
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

    /// The key of a row; numbers in their shortest form, as a destination has them.
    pub(super) fn row_key(&mut self, row: &PublishRow) -> Result<RowKey> {
        let mut key = Vec::new();
        for (name, attribute) in [Some(&row.hash), row.range.as_ref()].into_iter().flatten() {
            let attribute = self.attribute(attribute, row.output)?;
            let plain = attribute.render(&|pieces| plain_pieces(pieces)).map_err(|what| {
                let label = self.source.graph.label(self.target);
                Error::user(format!("the key of {label} is wrong: {what}"))
            })?;
            key.push((name.clone(), plain));
        }
        Ok(RowKey(key))
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
