//! What a publish writes, from a checked tree: objects, rows and their typed attributes.

use std::collections::BTreeMap;

use crate::manifest::{At, Attribute, PublishObject, PublishRow};
use crate::template::Template;

use super::build::{at, map, name, optional, template, text};
use super::tree::{Entry, Node, Value};

pub(super) fn object(entry: &Entry) -> Option<PublishObject> {
    let node = &entry.node;
    let templates = |key| map(node, key, |inner| template(&inner.node));
    Some(PublishObject {
        output: name(entry),
        to: text(node.get("to")?)?,
        key: template(node.get("key")?)?,
        content_type: optional(node, "content_type", text)?,
        content_encoding: optional(node, "content_encoding", text)?,
        cache_control: optional(node, "cache_control", text)?,
        metadata: templates("metadata")?,
        uncompared: templates("uncompared")?,
    })
}

pub(super) fn row(entry: &Entry) -> Option<PublishRow> {
    let node = &entry.node;
    let attributes = |key| map(node, key, |inner| placed(&inner.node));
    Some(PublishRow {
        output: name(entry),
        to: text(node.get("to")?)?,
        hash: only(node.get("hash")?)?,
        range: optional(node, "range", only)?,
        item: attributes("item")?,
        uncompared: attributes("uncompared")?,
    })
}

/// The one attribute of a key.
fn only(node: &Node) -> Option<(String, At<Attribute>)> {
    match node.entries() {
        [entry] => Some((entry.key.clone(), placed(&entry.node)?)),
        _ => None,
    }
}

fn placed(node: &Node) -> Option<At<Attribute>> {
    at(node, attribute(node)?)
}

fn attribute(node: &Node) -> Option<Attribute> {
    let parse = |text: &str| Template::parse(text).ok();
    if let Some(text) = node.text() {
        return Some(Attribute::S(parse(text)?));
    }
    let [entry] = node.entries() else { return None };
    match (entry.key.as_str(), &entry.node.value) {
        ("S", Value::Text(text)) => Some(Attribute::S(parse(text)?)),
        ("N", Value::Text(text)) => Some(Attribute::N(parse(text)?)),
        ("BOOL", Value::Bool(value)) => Some(Attribute::Bool(*value)),
        ("NULL", Value::Bool(true)) => Some(Attribute::Null),
        ("L", Value::List(items)) => {
            Some(Attribute::L(items.iter().map(attribute).collect::<Option<_>>()?))
        }
        ("M", Value::Table(members)) => {
            let member = |entry: &Entry| Some((entry.key.clone(), attribute(&entry.node)?));
            let members = members.iter().map(member).collect::<Option<BTreeMap<_, _>>>()?;
            Some(Attribute::M(members))
        }
        _ => None,
    }
}
