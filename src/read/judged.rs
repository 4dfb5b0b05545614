//! The audits of a rule, from a checked tree.

use crate::audit;
use crate::manifest::{At, Audit, Check, Scalar};
use crate::template::Template;

use super::build::{at, count, items, optional, text};
use super::tree::{Node, Value};

/// The `[[…audit]]` tables of a rule.
pub(super) fn audits(tables: &[Node]) -> Option<Vec<Audit>> {
    let one = |table: &Node| {
        let (output, checks) = (text(table.get("output")?)?, checks(table)?);
        Some(Audit { output, checks, span: table.span.clone() })
    };
    tables.iter().map(one).collect()
}

fn checks(table: &Node) -> Option<Vec<At<Check>>> {
    let mut checks = Vec::new();
    for entry in table.get("equals").map_or(&[][..], Node::entries) {
        let check = Check::Equals { at: entry.key.clone(), value: scalar(&entry.node)? };
        checks.push(at(&entry.node, check)?);
    }
    for item in items(table, "required") {
        checks.push(at(item, Check::Required { at: item.text()?.to_owned() })?);
    }
    for item in items(table, "items") {
        let (min, max) = (optional(item, "min", count)?, optional(item, "max", count)?);
        checks.push(at(item, Check::Items { at: pointer(item, "at")?, min, max })?);
    }
    for item in items(table, "finite") {
        checks.push(at(item, Check::Finite { at: item.text()?.to_owned() })?);
    }
    for item in items(table, "range") {
        let bound = |key| optional(item, key, |node| node.number()?.parse().ok());
        let (min, max) = (bound("min")?, bound("max")?);
        checks.push(at(item, Check::Range { at: pointer(item, "at")?, min, max })?);
    }
    for item in items(table, "ordered") {
        let (lower, upper) = (pointer(item, "lower")?, pointer(item, "upper")?);
        checks.push(at(item, Check::Ordered { lower, upper })?);
    }
    for item in items(table, "contains") {
        let (pointer, values) = (pointer(item, "at")?, wanted(item)?);
        checks.push(at(item, Check::Contains { at: pointer, values })?);
    }
    for item in items(table, "ribbon") {
        checks.push(at(item, Check::Ribbon { at: item.text()?.to_owned() })?);
    }
    for item in items(table, "same_length") {
        let pointers = item.items().iter().map(|item| Some(item.text()?.to_owned()));
        checks.push(at(item, Check::SameLength { at: pointers.collect::<Option<_>>()? })?);
    }
    if let Some(size) = table.get("size") {
        let (min, max) = (optional(size, "min", count)?, optional(size, "max", count)?);
        checks.push(at(size, Check::Size { min, max })?);
    }
    Some(checks)
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
