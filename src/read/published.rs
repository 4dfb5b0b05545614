//! What a publish writes, from a checked tree: objects, rows and their typed attributes.

use std::collections::BTreeMap;

use crate::manifest::{At, Attribute, PublishObject, PublishRow};
use crate::template::Template;

use super::build::{Build, at, name, template, text};
use super::tree::{Entry, Node, Value};

impl Build {
    pub(super) fn object(&self, entry: &Entry) -> Option<PublishObject> {
        let node = &entry.node;
        let (to, key) = (text(node.get("to")?)?, template(node.get("key")?)?);
        let templates = |key| self.map(node, key, |inner| template(&inner.node));
        Some(self.aside(|| PublishObject {
            output: name(entry),
            to,
            key,
            content_type: self.optional(node, "content_type", text),
            content_encoding: self.optional(node, "content_encoding", text),
            gzip: self.flag(node, "gzip"),
            once: node.get("write").and_then(Node::text) == Some("create"),
            cache_control: self.optional(node, "cache_control", text),
            metadata: templates("metadata"),
            uncompared: templates("uncompared"),
        }))
    }

    pub(super) fn row(&self, entry: &Entry) -> Option<PublishRow> {
        let node = &entry.node;
        let attributes = |key| self.map(node, key, |inner| placed(&inner.node));
        Some(PublishRow {
            output: name(entry),
            to: text(node.get("to")?)?,
            one_by_one: node.get("write").and_then(Node::text) == Some("put"),
            hash: only(node.get("hash")?)?,
            range: self.optional(node, "range", only),
            item: self.aside(|| attributes("item")),
            uncompared: self.aside(|| attributes("uncompared")),
        })
    }
}

/// The one attribute of a key.
fn only(node: &Node) -> Option<(String, At<Attribute>)> {
    match node.entries() {
        [entry] => Some((entry.key.clone(), placed(&entry.node)?)),
        _ => None,
    }
}

fn placed(node: &Node) -> Option<At<Attribute>> {
    Some(at(node, attribute(node)?))
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
