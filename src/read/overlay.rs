//! A profile laid over the main tables.
//!
//! Tables are laid key by key; anything else takes the place of what was there.
//! Of keys that exclude each other the profile's displaces the main one, and what only the
//! displaced one gave a meaning goes with it.

use std::sync::Arc;

use crate::error::{Error, Source, nearest};
use crate::grammar::{Bond, Laid, ROOT, Shape, Table, short};

use super::tree::{Entry, Node, Value};

/// The names of the profiles in a file.
pub(super) fn names(root: &Node) -> Vec<String> {
    let profiles = root.get("profile").map_or(&[][..], Node::entries);
    profiles.iter().map(|entry| entry.key.clone()).collect()
}

/// What profiles are laid over that is not there.
pub(super) fn strays(source: &Arc<Source>, root: &Node) -> Vec<Error> {
    let mut errors = Vec::new();
    for profile in root.get("profile").map_or(&[][..], Node::entries) {
        for entry in profile.node.entries() {
            let Some(key) = ROOT.key(&entry.key) else { continue };
            let below = root.get(&entry.key);
            stray(source, &entry.node, below, key.shape, &entry.key, &mut errors);
        }
    }
    errors
}

fn stray(
    source: &Arc<Source>,
    over: &Node,
    below: Option<&Node>,
    shape: Shape,
    path: &str,
    errors: &mut Vec<Error>,
) {
    match shape {
        Shape::Names(names) => {
            for entry in over.entries() {
                let there = below.and_then(|below| below.get(&entry.key));
                if there.is_none() && names.laid == Laid::OntoExisting {
                    let known: Vec<&str> = below
                        .map_or(&[][..], Node::entries)
                        .iter()
                        .map(|entry| entry.key.as_str())
                        .collect();
                    let hint = match nearest(&entry.key, known) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => format!("declare it in `[{path}.{}]` first", short(&entry.key)),
                    };
                    let message = format!(
                        "there is no `[{path}.{}]` for the profile to change",
                        short(&entry.key)
                    );
                    errors.push(Error::user(message).at(source, entry.span.clone()).hint(hint));
                    continue;
                }
                let path = format!("{path}.{}", entry.key);
                stray(source, &entry.node, there, names.of, &path, errors);
            }
        }
        Shape::Table(table) | Shape::Overlay(table) => {
            for entry in over.entries() {
                let Some(key) = table.key(&entry.key) else { continue };
                let there = below.and_then(|below| below.get(&entry.key));
                let path = format!("{path}.{}", entry.key);
                stray(source, &entry.node, there, key.shape, &path, errors);
            }
        }
        _ => {}
    }
}

/// The main tables alone.
pub(super) fn without_profiles(root: &Node) -> Node {
    let mut main = root.clone();
    if let Value::Table(entries) = &mut main.value {
        entries.retain(|entry| entry.key != "profile");
    }
    main
}

/// Lays a profile over the main tables.
///
/// # Errors
/// There is no such profile.
pub(super) fn lay_profile(main: &mut Node, root: &Node, name: &str) -> Result<(), Box<Error>> {
    let Some(over) = root.get("profile").and_then(|profiles| profiles.get(name)) else {
        let known = names(root);
        let error = Error::user(format!("there is no profile `{}`", short(name)));
        let near = nearest(name, known.iter().map(String::as_str)).map(str::to_owned);
        return Err(Box::new(match (near, known.is_empty()) {
            (Some(near), _) => error.hint(format!("did you mean `{near}`?")),
            (None, false) => error.hint(format!("use one of `{}`", known.join("`, `"))),
            (None, true) => error.hint(format!("declare it: `[profile.{}.…]`", short(name))),
        }));
    };
    lay_table(main, over, &ROOT);
    Ok(())
}

fn lay(main: &mut Node, over: &Node, shape: Shape) {
    let tables = matches!((&main.value, &over.value), (Value::Table(_), Value::Table(_)));
    match shape {
        Shape::Table(table) | Shape::Overlay(table) if tables => lay_table(main, over, table),
        Shape::Names(names) if tables && names.laid != Laid::Whole => {
            for entry in over.entries() {
                lay_entry(main, entry, names.of);
            }
        }
        _ => *main = over.clone(),
    }
}

fn lay_table(main: &mut Node, over: &Node, table: &Table) {
    for bond in table.bonds {
        let Bond::OneOf(keys) = bond else { continue };
        if !keys.iter().any(|key| over.get(key).is_some()) {
            continue;
        }
        for displaced in keys.iter().filter(|key| over.get(key).is_none()) {
            if main.get(displaced).is_some() {
                drop_key(main, displaced, table);
            }
        }
    }
    for entry in over.entries() {
        if let Some(key) = table.key(&entry.key) {
            lay_entry(main, entry, key.shape);
        }
    }
}

fn drop_key(main: &mut Node, displaced: &str, table: &Table) {
    let bound = table.bonds.iter().flat_map(|bond| match bond {
        Bond::Needs { keys, with } if *with == displaced => *keys,
        _ => &[],
    });
    let gone: Vec<&str> = bound.copied().chain([displaced]).collect();
    if let Value::Table(entries) = &mut main.value {
        entries.retain(|entry| !gone.contains(&entry.key.as_str()));
    }
}

fn lay_entry(main: &mut Node, over: &Entry, shape: Shape) {
    let Value::Table(entries) = &mut main.value else { return };
    match entries.iter_mut().find(|entry| entry.key == over.key) {
        Some(there) => lay(&mut there.node, &over.node, shape),
        None => entries.push(over.clone()),
    }
}
