//! The audits of a rule, from a checked tree.

use crate::audit;
use crate::manifest::{At, Audit, Check, Scalar};
use crate::template::Template;

use super::build::{Build, at, count, items, text};
use super::tree::{Node, Value};

impl Build {
    /// An `[[…audit]]` table of a rule.
    pub(super) fn audit(&self, table: &Node) -> Option<Audit> {
        let mut checks: Vec<At<Check>> = Vec::new();
        let mut add = |node: &Node, check: Option<Check>| {
            checks.extend(self.noted(check).map(|check| at(node, check)));
        };
        for entry in table.get("equals").map_or(&[][..], Node::entries) {
            let equals = |value| Check::Equals { at: entry.key.clone(), value };
            add(&entry.node, scalar(&entry.node).map(equals));
        }
        let pointed =
            |item: &Node, check: fn(String) -> Check| item.text().map(|at| check(at.to_owned()));
        let whole = |item: &Node, key: &str| self.optional(item, key, count);
        for item in items(table, "required") {
            add(item, pointed(item, |at| Check::Required { at }));
        }
        for item in items(table, "items") {
            let (min, max) = (whole(item, "min"), whole(item, "max"));
            add(item, pointer(item, "at").map(|at| Check::Items { at, min, max }));
        }
        for item in items(table, "finite") {
            add(item, pointed(item, |at| Check::Finite { at }));
        }
        for item in items(table, "range") {
            let bound = |key| self.optional(item, key, |node| node.number()?.parse().ok());
            let (min, max) = (bound("min"), bound("max"));
            add(item, pointer(item, "at").map(|at| Check::Range { at, min, max }));
        }
        for item in items(table, "ordered") {
            let both = pointer(item, "lower").zip(pointer(item, "upper"));
            add(item, both.map(|(lower, upper)| Check::Ordered { lower, upper }));
        }
        for item in items(table, "contains") {
            let both = pointer(item, "at").zip(wanted(item));
            add(item, both.map(|(at, values)| Check::Contains { at, values }));
        }
        for item in items(table, "ribbon") {
            add(item, pointed(item, |at| Check::Ribbon { at }));
        }
        for item in items(table, "same_length") {
            let pointers = item.items().iter().map(|item| Some(item.text()?.to_owned()));
            add(item, pointers.collect::<Option<_>>().map(|at| Check::SameLength { at }));
        }
        if let Some(size) = table.get("size") {
            let (min, max) = (whole(size, "min"), whole(size, "max"));
            add(size, Some(Check::Size { min, max }));
        }
        Some(Audit { output: text(table.get("output")?)?, checks, span: table.span.clone() })
    }
}

fn pointer(table: &Node, key: &str) -> Option<String> {
    Some(table.get(key)?.text()?.to_owned())
}

/// The values that a list must hold: written out, or counted.
fn wanted(table: &Node) -> Option<Vec<Scalar>> {
    if let Some(values) = table.get("values") {
        return values.items().iter().map(scalar).collect();
    }
    let number = |key: &str| table.get(key)?.number();
    let step = number("step").unwrap_or_else(|| "1".to_owned());
    let numbers = audit::Scalar::sequence(&number("from")?, &number("to")?, &step).ok()?;
    Some(numbers.iter().map(|number| Scalar::Number(number.to_string())).collect())
}

fn scalar(node: &Node) -> Option<Scalar> {
    match &node.value {
        Value::Text(text) => Some(Scalar::Text(Template::parse(text).ok()?)),
        Value::Bool(value) => Some(Scalar::Bool(*value)),
        _ => node.number().map(Scalar::Number),
    }
}
