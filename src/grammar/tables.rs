//! The grammar as Markdown: the tables of the reference.

use std::fmt::Write as _;

use super::{Bond, Key, Need, ROOT, Shape, Table};

/// All tables, each once, in the order in which they are documented.
pub fn sections() -> Vec<&'static Table> {
    let mut found = Vec::new();
    collect(&ROOT, &mut found);
    found
}

fn collect(table: &'static Table, found: &mut Vec<&'static Table>) {
    // Steps and plots have the same keys, which are documented once.
    if found.iter().any(|known: &&Table| std::ptr::eq(known.keys, table.keys)) {
        return;
    }
    found.push(table);
    for key in table.keys {
        if let Some(below) = table_of(key.shape) {
            collect(below, found);
        }
    }
}

/// The table that a value is, or that its items are.
fn table_of(shape: Shape) -> Option<&'static Table> {
    match shape {
        Shape::Table(table) | Shape::Overlay(table) => Some(table),
        Shape::List(list) => table_of(list.of),
        Shape::Names(names) => table_of(names.of),
        _ => None,
    }
}

/// The keys of a table as a Markdown table, and what ties them together.
pub fn reference_table(table: &Table) -> String {
    let mut text =
        String::from("| key | value | default | meaning | example |\n|---|---|---|---|---|\n");
    for Key { name, shape, need, doc, example } in table.keys {
        let default = match need {
            Need::Required => "required".to_owned(),
            Need::Optional => "–".to_owned(),
            Need::Default(toml) => format!("`{toml}`"),
        };
        let (what, doc) = (cell(&linked(*shape)), cell(doc));
        let example = cell(&format!("`{example}`"));
        // Writing to a text cannot fail.
        let _ = writeln!(text, "| `{name}` | {what} | {default} | {doc} | {example} |");
    }
    let sentences: Vec<String> = table.bonds.iter().map(sentence).collect();
    if !sentences.is_empty() {
        let _ = writeln!(text, "\n{}", sentences.join("\n"));
    }
    text
}

/// A value in words, with a link if it is described elsewhere.
fn linked(shape: Shape) -> String {
    let what = shape.what();
    match table_of(shape) {
        Some(table) if !table.title.is_empty() => format!("[{what}](#{})", anchor(table.title)),
        _ => what,
    }
}

/// The anchor that Markdown gives the heading of a table.
fn anchor(title: &str) -> String {
    title.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase()
}

/// A text that may stand in a cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn sentence(bond: &Bond) -> String {
    let ticked = |keys: &[&str], last: &str| {
        let keys: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
        match keys.as_slice() {
            [rest @ .., end] if !rest.is_empty() => format!("{} {last} {end}", rest.join(", ")),
            _ => keys.join(""),
        }
    };
    match bond {
        Bond::OneOf(keys) => format!("Exactly one of {} is given.", ticked(keys, "and")),
        Bond::AtLeastOne(keys) => format!("At least one of {} is given.", ticked(keys, "and")),
        Bond::Together(keys) => {
            format!("{} are given together, or none of them.", ticked(keys, "and"))
        }
        Bond::Needs { keys, with } => {
            let go = if keys.len() == 1 { "goes" } else { "go" };
            format!("{} {go} with `{with}` only.", ticked(keys, "and"))
        }
        Bond::Ascending(low, high) => format!("`{low}` is not above `{high}`."),
        Bond::Distinct(keys) => format!("No name stands in two of {}.", ticked(keys, "and")),
    }
}
