//! Mistakes that show only across several keys, beyond what the grammar's bonds can say.

use std::sync::Arc;

use crate::audit::Scalar;
use crate::content::{As, Pointer};
use crate::error::{Error, Source};
use crate::grammar::Form;

use super::tree::{Entry, Node};

/// What is wrong across keys; values that do not fit the grammar are passed over.
pub(super) fn check(source: &Arc<Source>, root: &Node) -> Vec<Error> {
    let mut errors = Vec::new();
    for axis in root.get("axis").map_or(&[][..], Node::entries) {
        values_from(source, &axis.node, &mut errors);
        for set in axis.node.get("set").map_or(&[][..], Node::entries) {
            values_from(source, &set.node, &mut errors);
        }
    }
    for kind in ["step", "plot"] {
        for rule in root.get(kind).map_or(&[][..], Node::entries) {
            for output in rule.node.get("output").map_or(&[][..], Node::entries) {
                volatile(source, output, &mut errors);
            }
            for audit in rule.node.get("audit").map_or(&[][..], Node::items) {
                audited(source, rule, audit, &mut errors);
            }
        }
    }
    errors
}

/// A CSV file has columns, and the others have pointers.
fn values_from(source: &Arc<Source>, values: &Node, errors: &mut Vec<Error>) {
    let Some(from) = values.get("from") else { return };
    let Some(file) = from.get("file").and_then(Node::text) else { return };
    let is_table = file.ends_with(".csv");
    let (wrong, right) = if is_table { ("at", "column") } else { ("column", "at") };
    let Some(entry) = from.entry(wrong) else { return };
    // Both at once, or another kind of file, are told by the grammar.
    if from.get(right).is_some() || Form::DataFile.check(file).is_err() {
        return;
    }
    let message = if is_table {
        "a CSV file has columns, and no values for a pointer".to_owned()
    } else {
        format!("`{file}` has no columns")
    };
    let hint = if is_table {
        format!("write `{right} = \"city\"` in place of `{wrong}`")
    } else {
        format!("write `{right} = \"/locations/full\"` in place of `{wrong}`")
    };
    errors.push(Error::user(message).at(source, entry.span.clone()).hint(hint));
}

/// What an output is taken for, if that is known.
fn kind(output: &Node) -> Option<As> {
    match output.get("as") {
        None => Some(As::BYTES),
        Some(kind) => As::parse(kind.text()?).ok(),
    }
}

/// Only what has values can have volatile ones, and something must be left to compare.
fn volatile(source: &Arc<Source>, output: &Entry, errors: &mut Vec<Error>) {
    let Some(entry) = output.node.entry("volatile") else { return };
    for item in entry.node.items() {
        let Some(pointer) = item.text().and_then(|text| Pointer::parse(text).ok()) else {
            continue;
        };
        if pointer.takes_everything() {
            let message = "this pattern takes all that the output holds, so that any two contents \
                           would count as the same";
            let error = Error::user(message)
                .at(source, item.span.clone())
                .hint("name what changes from run to run, such as `/generation_time`");
            errors.push(error);
        }
    }
    let Some(kind) = kind(&output.node).filter(|kind| !kind.has_values()) else { return };
    let mut error = Error::user(format!("`{kind}` has no values that could be volatile"))
        .at(source, entry.span.clone());
    if let Some(written) = output.node.get("as") {
        error = error.related(source, written.span.clone(), "");
    }
    errors.push(error.hint(values_hint(kind)));
}

fn values_hint(kind: As) -> &'static str {
    if kind.gzip {
        "say what is packed, such as `as = \"gzip+json\"`"
    } else {
        "say what it holds, such as `as = \"json\"`"
    }
}

fn audited(source: &Arc<Source>, rule: &Entry, audit: &Node, errors: &mut Vec<Error>) {
    for contains in audit.get("contains").map_or(&[][..], Node::items) {
        sequence(source, contains, errors);
    }
    let Some(name) = audit.get("output") else { return };
    let outputs = rule.node.get("output");
    let output = name.text().and_then(|name| outputs?.get(name));
    let Some(kind) = output.and_then(kind).filter(|kind| !kind.has_values()) else { return };
    let looks = |entry: &&Entry| !matches!(entry.key.as_str(), "output" | "size");
    if let Some(check) = audit.entries().iter().find(looks) {
        let error = Error::user(format!(
            "`{}` looks at values, and `{}` is `{kind}`, which has none",
            check.key,
            name.text().unwrap_or_default()
        ))
        .at(source, check.span.clone())
        .hint(format!("{} in its output", values_hint(kind)));
        errors.push(error);
    }
}

/// The numbers of `from`, `to` and `step` make a sequence.
fn sequence(source: &Arc<Source>, contains: &Node, errors: &mut Vec<Error>) {
    let number = |key: &str| contains.get(key).and_then(Node::number);
    let (Some(from), Some(to)) = (number("from"), number("to")) else { return };
    let step = match contains.get("step") {
        None => Some("1".to_owned()),
        Some(step) => step.number(),
    };
    let Some(step) = step else { return };
    // An order that is wrong is reported by the grammar's bond, and a step by its shape.
    let value = |text: &str| text.parse::<f64>().unwrap_or(f64::NAN);
    if !(value(&from) <= value(&to) && value(&step) > 0.0) {
        return;
    }
    if let Err(message) = Scalar::sequence(&from, &to, &step)
        && let Some(entry) = contains.entry("from")
    {
        let error = Error::user(message)
            .at(source, entry.span.clone())
            .hint("write a sequence of at most 10,000 numbers");
        errors.push(error);
    }
}
