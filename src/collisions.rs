//! Two targets must not make one file, nor publish to one key, nor need a file where a folder is.
//!
//! Runs over every cell once, when the graph is built, so that nothing has run when it is found.
//! Names of files that differ only in upper and lower case are one file on macOS, so they are taken
//! for one everywhere: a project is the same on every machine. Keys in buckets are what they are.

use std::collections::{BTreeMap, HashMap, HashSet};

use rayon::prelude::*;

use crate::error::{Error, Span};
use crate::graph::{Attribute, Graph, Publish, Slot, Space, Text};
use crate::manifest::Broken;
use crate::publish::{Destination, parse_destination, parse_place};

/// A family of names: one template over one space, and where it was written.
struct Family<'a> {
    /// What it is, for messages: "output `plot` of `plot.rw`".
    what: String,
    text: &'a Text,
    /// Put in front of every name, to keep destinations apart.
    prefix: String,
    space: &'a Space,
    skip: Box<dyn Fn(usize) -> bool + Sync + 'a>,
    span: Span,
}

impl Family<'_> {
    /// Whether upper and lower case tell names apart: in buckets and rows they do.
    fn is_exact(&self) -> bool {
        self.prefix.ends_with('\n')
    }

    fn name(&self, graph: &Graph, cell: usize) -> String {
        let mut name = String::with_capacity(96);
        name.push_str(&self.prefix);
        graph.render_into(self.text, self.space, cell, &mut name);
        name
    }
}

/// All collisions of the graph, one error for each pair of templates.
///
/// The names of what is broken are not those that were meant, and it is passed over.
pub fn check(graph: &Graph, broken: &Broken) -> Vec<Error> {
    let sound = |name: String, space: &Space| {
        let axis = |axis: &usize| broken.has(&format!("axis.{}", graph.axes[*axis].name));
        !broken.has(&name) && !space.axes.iter().any(axis)
    };
    let rules: Vec<bool> =
        graph.rules.iter().map(|rule| sound(rule.name.to_string(), &rule.space)).collect();
    let is_sound = |publish: &&Publish| {
        rules[publish.of.0] && !broken.has(&format!("publish.{}", publish.name))
    };
    let publishes: Vec<&Publish> = graph.publishes.iter().filter(is_sound).collect();
    let mut errors = Vec::new();
    let mut files = Vec::new();
    for input in &graph.inputs {
        if !sound(format!("input.{}", input.name), &input.space) {
            continue;
        }
        files.push(Family {
            what: format!("input `{}`", input.name),
            text: &input.path,
            prefix: String::new(),
            space: &input.space,
            skip: Box::new(|_| false),
            span: input.span.clone(),
        });
    }
    for rule in graph.rules.iter().zip(&rules).filter(|(_, sound)| **sound).map(|(rule, _)| rule) {
        for output in &rule.outputs {
            files.push(Family {
                what: format!("output `{}` of `{}`", output.name, rule.name),
                text: &output.path,
                prefix: String::new(),
                space: &rule.space,
                skip: Box::new(|cell| rule.declared_absent(cell)),
                span: rule.span.clone(),
            });
        }
    }
    let names = names(graph, &files);
    errors.extend(doubles(graph, &files, &names, "make one file"));
    errors.extend(folders(graph, &files, &names));
    errors.extend(in_cache(graph, &files));
    errors.extend(destinations(graph, &files));
    errors.extend(nested(graph));
    errors.extend(editions(graph));
    errors.extend(table_keys(graph));
    let (databases, everywhere) = (databases(graph), Space::default());
    let inlined: Vec<Vec<Text>> = publishes
        .iter()
        .map(|publish| {
            let outputs = &graph.rule(publish.of).outputs;
            let objects = publish.objects.iter();
            objects.map(|o| inline(&o.key, &outputs[o.output].path)).collect()
        })
        .collect();
    let mut keys = Vec::new();
    let mut row_keys = Vec::new();
    for (publish, inlined) in publishes.into_iter().zip(&inlined) {
        let rule = graph.rule(publish.of);
        for (object, key) in publish.objects.iter().zip(inlined) {
            keys.push(Family {
                what: format!(
                    "`publish.{}.object.{}`",
                    publish.name, rule.outputs[object.output].name
                ),
                text: key,
                prefix: match parse_destination(&object.to) {
                    // As a path, so that two URLs of one file are seen to be one.
                    Ok(Destination::File { folder }) => format!("{folder}/"),
                    _ => format!("{}\n", place(&object.to, None)),
                },
                space: &rule.space,
                skip: Box::new(|cell| rule.declared_absent(cell)),
                span: object.span.clone(),
            });
        }
        for row in &publish.rows {
            row_keys.push((publish, row));
        }
    }
    for (path, text, span) in &databases {
        keys.push(Family {
            what: format!("the database `{path}`"),
            text,
            prefix: String::new(),
            space: &everywhere,
            skip: Box::new(|_| false),
            span: span.clone(),
        });
    }
    let names = self::names(graph, &keys);
    errors.extend(doubles(graph, &keys, &names, "publish to one key"));
    errors.extend(folders(graph, &keys, &names));
    // A row's key is two texts; they are compared as one with a separator that neither can hold.
    let texts: Vec<Text> = row_keys
        .iter()
        .map(|(publish, row)| {
            let mut slots = attribute_slots(&row.hash.1);
            slots.push(Slot::Text("\n".into()));
            if let Some((_, range)) = &row.range {
                slots.extend(attribute_slots(range));
            }
            inline(&Text { slots }, &graph.rule(publish.of).outputs[row.output].path)
        })
        .collect();
    let rows: Vec<Family<'_>> = row_keys
        .iter()
        .zip(&texts)
        .map(|((publish, row), text)| {
            let rule = graph.rule(publish.of);
            Family {
                what: format!("`publish.{}.row.{}`", publish.name, rule.outputs[row.output].name),
                text,
                prefix: format!("{}\n", place(&row.to, Some(&rule.outputs[row.output].name))),
                space: &rule.space,
                skip: Box::new(|cell| rule.declared_absent(cell)),
                span: row.span.clone(),
            }
        })
        .collect();
    let names = self::names(graph, &rows);
    errors.extend(doubles(graph, &rows, &names, "write one row"));
    errors
}

/// A destination however it is written; for rows, with the table that they go to.
fn place(url: &str, table: Option<&str>) -> String {
    parse_place(url, table).map_or_else(|_| url.to_owned(), |place| place.to_string())
}

/// The databases that rows go to, each once: their paths, also as texts, and where they are named.
fn databases(graph: &Graph) -> Vec<(String, Text, Span)> {
    let mut found: Vec<(String, Text, Span)> = Vec::new();
    for row in graph.publishes.iter().flat_map(|publish| &publish.rows) {
        if let Ok(Destination::Sqlite { path, .. }) = parse_destination(&row.to)
            && !found.iter().any(|(known, ..)| *known == path)
        {
            for path in with_companions(&path) {
                let text = Text { slots: vec![Slot::Text(path.clone())] };
                found.push((path, text, row.span.clone()));
            }
        }
    }
    found
}

/// The files of a database: itself, and those that SQLite keeps beside it.
fn with_companions(path: &str) -> Vec<String> {
    ["", "-wal", "-shm", "-journal"].map(|suffix| format!("{path}{suffix}")).to_vec()
}

/// A folder of objects must not lie in another: each has a manifest that knows nothing of the other's.
fn nested(graph: &Graph) -> Vec<Error> {
    let mut known: Vec<(String, &Span)> = Vec::new();
    let mut errors = Vec::new();
    for object in graph.publishes.iter().flat_map(|publish| &publish.objects) {
        let Ok(Destination::File { folder }) = parse_destination(&object.to) else { continue };
        if known.iter().any(|(other, _)| *other == folder) {
            continue;
        }
        for (other, span) in &known {
            if holds(other, &folder) || holds(&folder, other) {
                let message = format!(
                    "the destinations `file:{folder}` and `file:{other}` lie in each other"
                );
                errors.push(
                    Error::user(message)
                        .hint("publish both to the outer one, with the rest of the path in `key`")
                        .at(&graph.source, object.span.clone())
                        .related(&graph.source, (*span).clone(), "the other is here"),
                );
            }
        }
        known.push((folder, &object.span));
    }
    errors
}

/// Where whole editions are published, nothing else is: every key there is theirs.
fn editions(graph: &Graph) -> Vec<Error> {
    let mut errors = Vec::new();
    let of_editions = graph.publishes.iter().filter(|publish| publish.editions.is_some());
    for publish in of_editions {
        let Some(first) = publish.objects.first() else { continue };
        let to = place(&first.to, None);
        let others = graph.publishes.iter().filter(|other| other.name != publish.name);
        // A destination above or below could have the same keys.
        let meets = |other: &str| holds(other, &to) || holds(&to, other);
        let other = others.flat_map(|o| &o.objects).find(|o| meets(&place(&o.to, None)));
        if let Some(other) = other {
            let message = format!("the editions of `publish.{}` need `{to}` alone", publish.name);
            errors.push(
                Error::user(message)
                    .hint("publish them below a prefix of their own")
                    .at(&graph.source, first.span.clone())
                    .related(&graph.source, other.span.clone(), "this goes there, too"),
            );
        }
    }
    errors
}

/// All rows of one table must have one key: the same names with the same types.
fn table_keys(graph: &Graph) -> Vec<Error> {
    let mut known: BTreeMap<String, (String, &Span)> = BTreeMap::new();
    let mut errors = Vec::new();
    for publish in &graph.publishes {
        for row in &publish.rows {
            let table = place(&row.to, Some(&graph.rule(publish.of).outputs[row.output].name));
            let parts = [Some(&row.hash), row.range.as_ref()].into_iter().flatten();
            let key: Vec<String> = parts.map(|(name, value)| key_part(name, value)).collect();
            let key = key.join(", ");
            match known.get(&table) {
                Some((other, span)) if *other != key => errors.push(
                    Error::user(format!(
                        "rows with the key `{key}` and with the key `{other}` go to one table, `{table}`"
                    ))
                    .hint("name another table after `#`, or give them one key")
                    .at(&graph.source, row.span.clone())
                    .related(&graph.source, (*span).clone(), "the other is here"),
                ),
                Some(_) => {}
                None => {
                    known.insert(table, (key, &row.span));
                }
            }
        }
    }
    errors
}

/// `city (S)`
fn key_part(name: &str, value: &Attribute) -> String {
    let kind = if matches!(value, Attribute::N(_)) { 'N' } else { 'S' };
    format!("{name} ({kind})")
}

/// The folder of the cache, which nothing else may be in.
const CACHE: &str = "cache";

/// Values may lead a path into the folder of the cache, where its own words do not.
fn in_cache(graph: &Graph, files: &[Family<'_>]) -> Vec<Error> {
    let mut errors = Vec::new();
    for file in files {
        if let Some(name) = meets(graph, file, CACHE) {
            let message = format!("{} is in jheem's own folder: `{name}`", file.what);
            let error = Error::user(message).hint("begin its path with another folder");
            errors.push(error.at(&graph.source, file.span.clone()));
        }
    }
    errors
}

/// What is published must not land on what is read or made, nor in the cache.
fn destinations(graph: &Graph, files: &[Family<'_>]) -> Vec<Error> {
    let mut errors = Vec::new();
    let mut told = HashSet::new();
    for publish in &graph.publishes {
        let objects = publish.objects.iter().map(|o| (&o.to, &o.span));
        for (url, span) in objects.chain(publish.rows.iter().map(|r| (&r.to, &r.span))) {
            let places = match parse_destination(url) {
                Ok(Destination::File { folder }) => vec![folder],
                Ok(Destination::Sqlite { path, .. }) => with_companions(&path),
                _ => continue,
            };
            let at = &places[0];
            if !told.insert(at.clone()) {
                continue;
            }
            let refuse = |what: String| {
                Error::user(what)
                    .hint("publish to a place of its own, such as `file:site`")
                    .at(&graph.source, span.clone())
            };
            if holds(CACHE, at) {
                errors.push(refuse(format!("the destination `{url}` is in jheem's own folder")));
            }
            for file in files {
                if let Some(name) = places.iter().find_map(|at| meets(graph, file, at)) {
                    let error = refuse(format!(
                        "the destination `{url}` is a folder of {}: `{name}`",
                        file.what
                    ));
                    errors.push(error.related(
                        &graph.source,
                        file.span.clone(),
                        "what is made and read is here",
                    ));
                }
            }
        }
    }
    errors
}

/// Whether `path` is `folder` or lies in it.
fn holds(folder: &str, path: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The first name of a family that lies in this place, or in which this place lies.
fn meets(graph: &Graph, file: &Family<'_>, place: &str) -> Option<String> {
    let literal = match file.text.slots.first() {
        Some(Slot::Text(text)) => text.as_str(),
        _ => "",
    };
    // Most families are told apart by how their names begin.
    let both = literal.len().min(place.len());
    if literal.as_bytes()[..both] != place.as_bytes()[..both] {
        return None;
    }
    (0..file.space.cells())
        .filter(|&cell| !(file.skip)(cell))
        .map(|cell| graph.render(file.text, file.space, cell))
        .find(|name| holds(place, name) || holds(name, place))
}

/// A text with `{file}` and `{path}` replaced by what they stand for.
fn inline(text: &Text, path: &Text) -> Text {
    let mut slots = Vec::new();
    for slot in &text.slots {
        match slot {
            Slot::Path => slots.extend(path.slots.iter().cloned()),
            Slot::File => {
                let mut last: Vec<Slot> = Vec::new();
                for slot in &path.slots {
                    match slot {
                        Slot::Text(text) => match text.rsplit_once('/') {
                            Some((_, after)) => last = vec![Slot::Text(after.to_owned())],
                            None => last.push(slot.clone()),
                        },
                        _ => last.push(slot.clone()),
                    }
                }
                slots.extend(last);
            }
            _ => slots.push(slot.clone()),
        }
    }
    Text { slots }
}

fn attribute_slots(attribute: &Attribute) -> Vec<Slot> {
    match attribute {
        Attribute::S(text) | Attribute::N(text) => text.slots.clone(),
        _ => Vec::new(),
    }
}

/// A name's hash, the family and the cell.
type Named = (u64, u32, usize);

fn names(graph: &Graph, families: &[Family<'_>]) -> Vec<Named> {
    let mut names: Vec<Named> = families
        .par_iter()
        .enumerate()
        .flat_map(|(index, family)| {
            (0..family.space.cells()).into_par_iter().with_min_len(1024).filter_map(move |cell| {
                if (family.skip)(cell) {
                    return None;
                }
                let name = family.name(graph, cell);
                let name = if family.is_exact() { name } else { folded(name) };
                let index = u32::try_from(index).unwrap_or(u32::MAX);
                Some((hash(&name), index, cell))
            })
        })
        .collect();
    names.par_sort_unstable();
    names
}

fn hash(name: &str) -> u64 {
    let hash = blake3::hash(name.as_bytes());
    u64::from_le_bytes(hash.as_bytes()[..8].try_into().expect("a hash has 32 bytes"))
}

/// A name in lower case.
fn folded(mut name: String) -> String {
    if name.is_ascii() {
        name.make_ascii_lowercase();
        return name;
    }
    name.to_lowercase()
}

fn doubles(graph: &Graph, families: &[Family<'_>], names: &[Named], verb: &str) -> Vec<Error> {
    let mut errors = Vec::new();
    let mut told = HashSet::new();
    for pair in names.windows(2) {
        let (a, b) = (&pair[0], &pair[1]);
        if a.0 != b.0 || !told.insert((a.1, b.1)) {
            continue;
        }
        let (first, second) = (&families[a.1 as usize], &families[b.1 as usize]);
        let (one, other) = (first.name(graph, a.2), second.name(graph, b.2));
        let values = |f: &Family<'_>, cell| graph.values(f.space, cell).join("/");
        let who = if a.1 == b.1 {
            format!("two cells of {}", first.what)
        } else {
            format!("{} and {}", first.what, second.what)
        };
        let cells = if a.1 == b.1 {
            format!(": {} and {}", values(first, a.2), values(second, b.2))
        } else {
            String::new()
        };
        let (message, hint) = if one == other {
            // A row's key is two texts, or one and nothing.
            let shown = one[first.prefix.len()..].trim_end_matches('\n').replace('\n', "` and `");
            (
                format!("{who} {verb}, `{shown}`{cells}"),
                "let the name hold every axis that tells them apart",
            )
        } else {
            (
                format!("{who} {verb} where case does not count, `{one}` and `{other}`{cells}"),
                "let the names differ in more than case, such as by a label of an axis",
            )
        };
        let mut error = Error::user(message).hint(hint).at(&graph.source, second.span.clone());
        if a.1 != b.1 && first.span != second.span {
            error = error.related(&graph.source, first.span.clone(), "the other is here");
        }
        errors.push(error);
    }
    errors
}

/// No file may stand where another file's folder must be.
fn folders(graph: &Graph, families: &[Family<'_>], names: &[Named]) -> Vec<Error> {
    let mut parents: HashMap<u64, (String, usize)> = HashMap::new();
    for (index, family) in families.iter().enumerate() {
        // In a bucket one key may go on where another ends.
        if family.is_exact() {
            continue;
        }
        let mut last = String::new();
        for cell in (0..family.space.cells()).filter(|cell| !(family.skip)(*cell)) {
            let name = family.name(graph, cell);
            let mut folder = match name.rfind('/') {
                Some(at) => &name[..at],
                None => continue,
            };
            // Neighbouring cells mostly share their folder.
            if folder == last {
                continue;
            }
            last = folder.to_owned();
            loop {
                let key = hash(&folded(folder.to_owned()));
                parents.entry(key).or_insert_with(|| (folder.to_owned(), index));
                match folder.rfind('/') {
                    Some(at) => folder = &folder[..at],
                    None => break,
                }
            }
        }
    }
    let mut told = HashSet::new();
    let mut errors = Vec::new();
    for (hash, index, cell) in names {
        let Some((folder, holder)) = parents.get(hash) else { continue };
        let (file, holder) = (&families[*index as usize], &families[*holder]);
        if !told.insert((file.what.clone(), holder.what.clone())) {
            continue;
        }
        let name = file.name(graph, *cell);
        let case = if name == *folder {
            String::new()
        } else {
            format!(" where case does not count, `{folder}`")
        };
        errors.push(
            Error::user(format!(
                "{} is the file `{name}`, which is a folder of {}{case}",
                file.what, holder.what
            ))
            .hint("give one of them another path")
            .at(&graph.source, file.span.clone())
            .related(&graph.source, holder.span.clone(), "the other is here"),
        );
    }
    errors
}
