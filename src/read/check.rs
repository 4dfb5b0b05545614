//! A tree against the grammar: unknown keys, missing ones, and values that do not fit.
//!
//! Reports every mistake of a table that can be told without looking at another table, and leaves a
//! tree of what was understood: a key that was misspelt is called as it was meant, and a value that
//! was refused is marked, so that reading goes on and says nothing twice.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::{Error, Source, Span, nearest};
use crate::grammar::{Bond, Fault, Form, Key, List, Names, Need, ROOT, Shape, Table, short};

use super::place::part;
use super::tree::{Entry, Node, Value};

/// What is wrong in a whole file; `complete` if missing keys are mistakes.
pub(super) fn check(source: &Arc<Source>, root: &mut Node, complete: bool) -> Vec<Error> {
    let mut check = Check { source, errors: Vec::new() };
    check.table(root, &ROOT, &Place::root(source, complete));
    check.errors
}

struct Check<'s> {
    source: &'s Arc<Source>,
    errors: Vec<Error>,
}

/// Where in the tree the check is.
#[derive(Clone)]
struct Place {
    /// Keys with dots between them.
    path: String,
    /// The last of them, for messages.
    key: String,
    /// An item of a list.
    item: bool,
    /// The key or header to point at when something is missing.
    span: Span,
    /// Whether what is missing is a mistake.
    complete: bool,
    /// How the value is written, from the grammar.
    example: &'static str,
}

impl Place {
    fn root(source: &Source, complete: bool) -> Place {
        let end = source.text.find('\n').unwrap_or(source.text.len());
        let path = String::new();
        Place { key: path.clone(), path, item: false, span: 0..end, complete, example: "" }
    }

    fn below(&self, entry: &Entry) -> Place {
        let key = quoted(&entry.key);
        let path = if self.path.is_empty() { key } else { format!("{}.{key}", self.path) };
        let key = short(&entry.key);
        Place { path, key, item: false, span: entry.span.clone(), ..self.clone() }
    }

    /// The place as it stands in a header.
    fn header(&self) -> String {
        match (self.path.as_str(), self.item) {
            ("", _) => "the file".to_owned(),
            (path, true) => format!("`[[{path}]]`"),
            (path, false) => format!("`[{path}]`"),
        }
    }
}

/// A key as it is written in TOML.
fn quoted(key: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !key.is_empty() && key.chars().all(bare) {
        key.to_owned()
    } else {
        format!("\"{}\"", short(key))
    }
}

impl Check<'_> {
    fn push(&mut self, span: &Span, message: String, hint: String) {
        self.errors.push(Error::user(message).at(self.source, span.clone()).hint(hint));
    }

    fn shape(&mut self, node: &mut Node, shape: Shape, place: &Place) {
        let told = self.errors.len();
        match (shape, &node.value) {
            (_, Value::Refused) => {}
            (Shape::Text(form), Value::Text(text)) => self.form(text, &node.span, form),
            (Shape::Word(words), Value::Text(text)) => self.word(text, node, words, place),
            (Shape::Bool, Value::Bool(_)) => {}
            (Shape::Whole { min, max }, Value::Whole(Some(number))) => {
                if *number < min || *number > max {
                    let what = shape.what();
                    self.push(
                        &node.span,
                        format!("{number} is not {what}"),
                        format!("write {what}"),
                    );
                }
            }
            (Shape::Number | Shape::Positive, _) if node.number().is_some() => {
                let number = node.number().and_then(|text| text.parse::<f64>().ok());
                if matches!(shape, Shape::Positive) && number.is_none_or(|number| number <= 0.0) {
                    self.push(
                        &node.span,
                        format!("{} is not above 0", node.number().unwrap_or_default()),
                        format!("write a number above 0, such as `{}`", place.example),
                    );
                }
            }
            (Shape::Scalar, Value::Text(text)) => self.form(text, &node.span, Form::Template),
            (Shape::FixedScalar, Value::Text(text)) => self.form(text, &node.span, Form::Fixed),
            (Shape::Scalar | Shape::FixedScalar, Value::Bool(_)) => {}
            (Shape::Scalar | Shape::FixedScalar, _) if node.number().is_some() => {}
            (Shape::Attribute | Shape::KeyAttribute, _) => self.attribute(node, shape, place),
            (Shape::List(list), Value::List(_)) => return self.list(node, list, place),
            (Shape::Table(table), Value::Table(_)) => {
                let span = if place.item { node.span.clone() } else { place.span.clone() };
                return self.table(node, table, &Place { span, ..place.clone() });
            }
            (Shape::Overlay(table), Value::Table(_)) => {
                return self.table(node, table, &Place { complete: false, ..place.clone() });
            }
            (Shape::Names(names), Value::Table(_)) => return self.names(node, names, place),
            _ => self.mistyped(node, shape, place),
        }
        if self.errors.len() > told {
            node.value = Value::Refused;
        }
    }

    fn mistyped(&mut self, node: &Node, shape: Shape, place: &Place) {
        // What was meant, if only quotes or brackets are wrong.
        let written = self.source.text.get(node.span.clone()).unwrap_or_default();
        let near = match (shape, &node.value) {
            (Shape::List(list), Value::Text(text)) => in_brackets(list, text),
            (
                Shape::Text(form),
                Value::Whole(_) | Value::Float(_) | Value::Bool(_) | Value::Time,
            ) if form.check(written).is_ok() => Some(format!("put it in quotes: `\"{written}\"`")),
            (
                Shape::Bool | Shape::Number | Shape::Positive | Shape::Whole { .. },
                Value::Text(text),
            ) if fits(shape, text) => Some(format!("write it without quotes: `{}`", short(text))),
            _ => None,
        };
        let hint = near.unwrap_or_else(|| match place.example {
            "" => format!("write {}", shape.what()),
            example => format!("write, for instance, `{example}`"),
        });
        let what = match shape {
            Shape::Text(_) => "a text".to_owned(),
            shape => shape.what(),
        };
        let place = if place.item {
            format!("an item of `{}`", place.key)
        } else {
            format!("`{}`", place.key)
        };
        self.push(&node.span, format!("{place} is {}, not {what}", node.what()), hint);
    }

    fn form(&mut self, text: &str, span: &Span, form: Form) {
        if let Err(Fault { message, at, hint }) = form.check(text) {
            let span = match at {
                Some(at) => part(self.source, span, text, at),
                None => span.clone(),
            };
            self.push(&span, message, hint);
        }
    }

    fn word(&mut self, text: &str, node: &Node, words: &'static [&'static str], place: &Place) {
        if words.contains(&text) {
            return;
        }
        let hint = match nearest(text, words.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("write one of {}", ticked(words)),
        };
        self.push(&node.span, format!("`{}` cannot be `{}`", place.key, short(text)), hint);
    }

    fn list(&mut self, node: &mut Node, list: &'static List, place: &Place) {
        let span = node.span.clone();
        let Value::List(items) = &mut node.value else { return };
        if items.len() < list.fewest {
            let (message, hint) = match list.fewest {
                1 => (format!("`{}` is empty", place.key), "put something in it, or remove it"),
                fewest => (
                    format!("`{}` needs at least {fewest} items", place.key),
                    "add what is missing",
                ),
            };
            self.push(&span, message, hint.to_owned());
        }
        let inner = Place { item: true, span, ..place.clone() };
        let mut seen: BTreeMap<String, Span> = BTreeMap::new();
        for item in items.iter_mut() {
            self.shape(item, list.of, &inner);
            let plain = item.text().map(str::to_owned).or_else(|| item.number());
            let Some(plain) = plain.filter(|_| list.unique) else { continue };
            if let Some(first) = seen.get(&plain) {
                let error =
                    Error::user(format!("`{}` stands twice in `{}`", short(&plain), place.key))
                        .at(self.source, item.span.clone())
                        .related(self.source, first.clone(), "first here")
                        .hint("remove one of the two");
                self.errors.push(error);
            } else {
                seen.insert(plain, item.span.clone());
            }
        }
        if items.len() < list.fewest {
            node.value = Value::Refused;
        }
    }

    fn names(&mut self, node: &mut Node, names: &'static Names, place: &Place) {
        let entries = node.entries_mut();
        if place.complete && entries.len() < names.fewest {
            self.push(
                &place.span,
                format!("{} is empty", place.header()),
                format!("put something in it, such as `{}`", place.example),
            );
        }
        if entries.len() > names.most
            && let Some(second) = entries.get(names.most)
        {
            self.push(
                &second.span,
                format!("{} has more than one key", place.header()),
                format!("keep one, such as `{}`", place.example),
            );
        }
        for entry in entries {
            let below = place.below(entry);
            self.shape(&mut entry.node, names.of, &below);
            let told = self.errors.len();
            self.form(&entry.key, &entry.span, names.key);
            if self.errors.len() > told {
                entry.node.value = Value::Refused;
            }
        }
    }

    fn table(&mut self, node: &mut Node, table: &'static Table, place: &Place) {
        // A misspelt key is one mistake, not two, so the rest is read as it was meant.
        let unknown = node.entries().iter().filter(|entry| table.key(&entry.key).is_none());
        let unknown: Vec<(String, Option<&'static str>)> =
            unknown.map(|entry| (entry.key.clone(), self.unknown(entry, table, place))).collect();
        for (written, meant) in unknown {
            if let Some(meant) = meant {
                node.rename(&written, meant);
            }
        }
        for entry in node.entries_mut() {
            if let Some(key) = table.key(&entry.key) {
                let below = Place { example: key.example, ..place.below(entry) };
                self.shape(&mut entry.node, key.shape, &below);
            }
        }
        let required = table.keys.iter().filter(|key| key.need == Need::Required);
        let missing: Vec<&Key> = required.filter(|key| node.get(key.name).is_none()).collect();
        if place.complete {
            for key in missing {
                self.push(
                    &place.span,
                    format!("{} has no `{}`", place.header(), key.name),
                    format!("add `{}`", key.example),
                );
            }
        }
        for bond in table.bonds {
            self.bond(node, table, bond, place);
        }
    }

    /// Reports a key that the table does not have; the one that was meant, if there is one.
    fn unknown(
        &mut self,
        entry: &Entry,
        table: &'static Table,
        place: &Place,
    ) -> Option<&'static str> {
        let known: Vec<&'static str> = table.keys.iter().map(|key| key.name).collect();
        let near = nearest(&entry.key, known.iter().copied());
        let hint = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("use one of {}", ticked(&known)),
        };
        let message = format!("unknown key {} in {}", ticked_key(&entry.key), place.header());
        self.push(&entry.span, message, hint);
        near
    }

    fn bond(&mut self, node: &Node, table: &Table, bond: &Bond, place: &Place) {
        match bond {
            Bond::OneOf(keys) => self.one_of(node, table, keys, place),
            Bond::AtLeastOne(keys) => self.at_least_one(node, table, keys, place),
            Bond::Together(keys) if place.complete => self.together(node, table, keys),
            Bond::Needs { keys, with } if place.complete => self.needs(node, table, keys, with),
            Bond::Together(_) | Bond::Needs { .. } => {}
            Bond::Ascending(low, high) => self.ascending(node, low, high),
            Bond::Distinct(keys) => self.distinct(node, keys),
        }
    }

    fn one_of(&mut self, node: &Node, table: &Table, keys: &[&str], place: &Place) {
        self.at_least_one(node, table, keys, place);
        let mut there = keys.iter().filter_map(|key| node.entry(key));
        if let (Some(first), Some(second)) = (there.next(), there.next()) {
            let (one, other) = (&first.key, &second.key);
            let error = Error::user(format!("{} has both `{one}` and `{other}`", place.header()))
                .at(self.source, second.span.clone())
                .related(self.source, first.span.clone(), "")
                .hint(format!("keep one of {}", ticked(keys)));
            self.errors.push(error);
        }
    }

    fn at_least_one(&mut self, node: &Node, table: &Table, keys: &[&str], place: &Place) {
        // A key that needs one of them says already which is missing.
        let told = table.bonds.iter().any(|bond| match bond {
            Bond::Needs { keys: others, with } => {
                keys.contains(with) && others.iter().any(|other| node.entry(other).is_some())
            }
            _ => false,
        });
        if place.complete && !told && keys.iter().all(|key| node.entry(key).is_none()) {
            self.push(
                &place.span,
                format!("{} has none of {}", place.header(), ticked(keys)),
                format!("add one, such as `{}`", example(table, keys[0])),
            );
        }
    }

    fn together(&mut self, node: &Node, table: &Table, keys: &[&str]) {
        let Some(there) = keys.iter().find_map(|key| node.entry(key)) else { return };
        for key in keys.iter().filter(|key| node.entry(key).is_none()) {
            self.push(
                &there.span,
                format!("`{}` stands without `{key}`", there.key),
                format!("add `{}`", example(table, key)),
            );
        }
    }

    fn needs(&mut self, node: &Node, table: &Table, keys: &[&str], with: &str) {
        if node.entry(with).is_some() {
            return;
        }
        for there in keys.iter().filter_map(|key| node.entry(key)) {
            self.push(
                &there.span,
                format!("`{}` means nothing without `{with}`", there.key),
                format!("remove it, or add `{}`", example(table, with)),
            );
        }
    }

    fn ascending(&mut self, node: &Node, low: &str, high: &str) {
        let (Some(low), Some(high)) = (node.entry(low), node.entry(high)) else { return };
        let value = |entry: &Entry| entry.node.number()?.parse::<f64>().ok();
        if let (Some(least), Some(most)) = (value(low), value(high))
            && least > most
        {
            let error = Error::user(format!("`{}` is above `{}`", low.key, high.key))
                .at(self.source, low.node.span.clone())
                .related(self.source, high.node.span.clone(), "")
                .hint("exchange the two");
            self.errors.push(error);
        }
    }

    fn distinct(&mut self, node: &Node, keys: &[&str]) {
        let mut seen: BTreeMap<&str, &Entry> = BTreeMap::new();
        for inner in keys.iter().filter_map(|key| node.get(key)).flat_map(Node::entries) {
            let Some(first) = seen.insert(inner.key.as_str(), inner) else { continue };
            let error = Error::user(format!(
                "{} is given in two of {}",
                ticked_key(&inner.key),
                ticked(keys)
            ))
            .at(self.source, inner.span.clone())
            .related(self.source, first.span.clone(), "first here")
            .hint("remove one of the two");
            self.errors.push(error);
        }
    }

    fn attribute(&mut self, node: &Node, shape: Shape, place: &Place) {
        const TYPES: [&str; 6] = ["S", "N", "BOOL", "NULL", "L", "M"];
        const KEY_TYPES: [&str; 2] = ["S", "N"];
        let is_key = matches!(shape, Shape::KeyAttribute);
        let types: &[&str] = if is_key { &KEY_TYPES } else { &TYPES };
        let entry = match &node.value {
            Value::Text(text) => return self.form(text, &node.span, Form::Template),
            Value::Whole(Some(_)) | Value::Float(_) if node.number().is_some() => {
                let number = node.number().unwrap_or_default();
                return self.push(
                    &node.span,
                    format!("`{}` is a number without its type", place.key),
                    format!("write `{{ N = \"{number}\" }}`"),
                );
            }
            Value::Bool(value) if !is_key => {
                return self.push(
                    &node.span,
                    format!("`{}` is a bool without its type", place.key),
                    format!("write `{{ BOOL = {value} }}`"),
                );
            }
            Value::Table(entries) => match entries.as_slice() {
                [entry] if types.contains(&entry.key.as_str()) => entry,
                _ => {
                    let message = format!("`{}` is not an attribute's type and value", place.key);
                    let hint = if is_key {
                        "write a text, or `{ N = \"…\" }`".to_owned()
                    } else {
                        "write a text, `{ N = \"…\" }`, `{ BOOL = true }`, `{ NULL = true }`, `{ L = […] }` or `{ M = {…} }`".to_owned()
                    };
                    return self.push(&node.span, message, hint);
                }
            },
            _ => {
                let place = Place { example: "", ..place.clone() };
                return self.mistyped(node, shape, &place);
            }
        };
        let below = Place { example: "", ..place.below(entry) };
        match (entry.key.as_str(), &entry.node.value) {
            ("S", Value::Text(text)) => self.form(text, &entry.node.span, Form::Template),
            ("N", Value::Text(text)) => self.form(text, &entry.node.span, Form::NumberTemplate),
            ("N", _) if entry.node.number().is_some() => {
                let number = entry.node.number().unwrap_or_default();
                self.push(
                    &entry.node.span,
                    "`N` is a number without quotes".to_owned(),
                    format!("put it in quotes: `\"{number}\"`"),
                );
            }
            ("BOOL", Value::Bool(_)) | ("NULL", Value::Bool(true)) => {}
            ("NULL", _) => {
                self.push(&entry.node.span, "`NULL` is not `true`".into(), "write `true`".into());
            }
            ("L", Value::List(items)) => {
                for item in items {
                    self.attribute(item, Shape::Attribute, &below);
                }
            }
            ("M", Value::Table(members)) => {
                for member in members {
                    self.attribute(&member.node, Shape::Attribute, &below.below(member));
                }
            }
            ("BOOL", _) => self.mistyped(&entry.node, Shape::Bool, &below),
            ("L", _) => self.push(
                &entry.node.span,
                format!("`L` is {}, not a list of attributes", entry.node.what()),
                "write `{ L = [\"a\", \"b\"] }`".into(),
            ),
            ("M", _) => self.push(
                &entry.node.span,
                format!("`M` is {}, not a table of attributes", entry.node.what()),
                "write `{ M = { name = \"…\" } }`".into(),
            ),
            _ => self.mistyped(&entry.node, Shape::Text(Form::Template), &below),
        }
    }
}

/// How a key is written, from the grammar.
fn example(table: &Table, key: &str) -> &'static str {
    table.key(key).map_or("", |key| key.example)
}

/// How a text is written where a list of texts is wanted.
fn in_brackets(list: &List, text: &str) -> Option<String> {
    let Shape::Text(form) = list.of else { return None };
    // A command is often written as a shell would read it.
    let parts: Vec<&str> = match form {
        Form::Template | Form::Argument => text.split_ascii_whitespace().collect(),
        _ => vec![text],
    };
    let parts: Vec<String> = parts.iter().map(|part| format!("\"{}\"", short(part))).collect();
    Some(format!("put it in brackets: `[{}]`", parts.join(", ")))
}

/// Whether a quoted text would fit if it had no quotes.
fn fits(shape: Shape, text: &str) -> bool {
    match shape {
        Shape::Bool => matches!(text, "true" | "false"),
        Shape::Whole { .. } => text.parse::<i64>().is_ok(),
        _ => text.parse::<f64>().is_ok_and(f64::is_finite),
    }
}

fn ticked_key(key: &str) -> String {
    format!("`{}`", short(key))
}

/// Names in backticks, with commas.
fn ticked(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match names.as_slice() {
        [rest @ .., last] if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => names.join(", "),
    }
}
