//! All that a target depends on, as one digest and as the lines that explain it.
//!
//! # What is in, and what is not
//!
//! A fingerprint is the request that would make this target alone, and the digests of what it
//! reads directly. One walk gives both the digest and the lines that `jheem why` compares, so
//! that they cannot disagree.
//!
//! In: the arguments and the batch file of a batch of one; the paths of the outputs and of what
//! is read, as the run sees them; the content digests of what is read; declared environment,
//! working folder, user, network, root, capabilities, overlays, entry point and platform; the
//! runner's identity, which is the image's config digest or the program's digest, never a name.
//!
//! Out, and why:
//! - names of rules, axes, runners, outputs and presets: renaming makes no other plot;
//! - project paths: a renamed path is linked anew, not made anew;
//! - memory, cpus, time limits, batch sizes, retries: they decide whether, not what, is made;
//! - exit and log policy, audits, `as`, `volatile`: judging is apart from making, see `judge`;
//! - mirrors of an image, and what is asserted of it: the image is who its digest says it is;
//! - variables that are handed through (`pass_env`): they differ between machines by design;
//! - modification times, users, hosts, `--jobs`: a copy of the project is the same project;
//! - the other members of the batch: a batch must not influence its members;
//! - options that another output asks for: `--include-html` does not make the JSON stale.
//!
//! Pure: everything it needs is handed to it.

use std::collections::HashMap;

use crate::digest::Digest;
use crate::graph::{Graph, Rule, Slot, Target, Text};
use crate::request::{self, Ask, Product};

/// Changes whenever the walk below changes. 1: the first.
pub const VERSION: u32 = 1;

/// One thing that a target reads, resolved.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reading {
    /// The path that the run sees.
    pub inside: String,
    /// The content digest of an output, or the digest of an input's bytes.
    pub content: Digest,
    /// The digest of the bytes.
    pub bytes: Digest,
    /// The index of the read in the rule.
    pub read: usize,
    /// The cell of what is read.
    pub cell: usize,
}

/// Which digests of what is read enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The fingerprint proper.
    Content,
    /// The twin by which records are found again when only the judging of an upstream changed.
    Bytes,
}

/// Everything beside the graph that one fingerprint depends on.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    pub target: Target,
    pub group: usize,
    /// The runner's identity: a digest, tagged with what it is of.
    pub identity: &'a str,
    /// The digests of the runner's overlays, in its order.
    pub overlays: &'a [Digest],
    /// Sorted.
    pub readings: &'a [Reading],
}

/// The fingerprint of one group of outputs of a target.
pub fn fingerprint(graph: &Graph, parts: &Parts<'_>, by: By) -> Digest {
    // Many small pieces are hashed faster when they lie together.
    let mut bytes = Vec::with_capacity(1000);
    walk(graph, parts, by, &mut |label, value| {
        for text in [label, value] {
            bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
    });
    Digest::of(&bytes)
}

/// The twin of a fingerprint by the bytes of what is read; nearly always they are the contents.
pub fn by_bytes(graph: &Graph, parts: &Parts<'_>, fingerprint: Digest) -> Digest {
    if parts.readings.iter().all(|reading| reading.bytes == reading.content) {
        return fingerprint;
    }
    self::fingerprint(graph, parts, By::Bytes)
}

/// The lines of a fingerprint, `label\tvalue`, for records and for `why`.
pub fn lines(graph: &Graph, parts: &Parts<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    walk(graph, parts, By::Content, &mut |label, value| lines.push(format!("{label}\t{value}")));
    lines
}

/// The key of a learned absence: the request with all axes but `open_but` and all inputs left open.
pub fn absence_key(graph: &Graph, parts: &Parts<'_>, depends_on: &[usize]) -> Digest {
    let rule = graph.rule(parts.target.rule);
    let mut hasher = blake3::Hasher::new();
    let mut add = |text: &str| {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    };
    add("absence");
    runner_lines(graph, parts, &mut |label, value| {
        add(label);
        add(value);
    });
    // The command with what is left open named, not filled in.
    let cell = parts.target.cell;
    for text in &rule.command {
        let open: Vec<String> =
            text.slots.iter().map(|slot| open_slot(graph, rule, cell, slot, depends_on)).collect();
        add(&open.concat());
    }
    // By name, since the order of the axes means nothing.
    let mut counted: Vec<(&str, &str)> = Vec::new();
    for (position, &axis) in rule.space.axes.iter().enumerate() {
        if depends_on.contains(&axis) {
            counted.push((&graph.axes[axis].name, graph.value(&rule.space, cell, position)));
        }
    }
    counted.sort_unstable();
    for (axis, value) in counted {
        add(axis);
        add(value);
    }
    Digest::blake3(hasher.finalize())
}

/// A piece of a command as an absence key has it: filled in by the axes that count, and else by name.
fn open_slot(graph: &Graph, rule: &Rule, cell: usize, slot: &Slot, depends_on: &[usize]) -> String {
    let axis_at = |position: usize| rule.space.axes[position];
    let counts = |position: usize| depends_on.contains(&axis_at(position));
    let rendered =
        |slot: &Slot| graph.render(&Text { slots: vec![slot.clone()] }, &rule.space, cell);
    match slot {
        Slot::Text(text) => text.clone(),
        Slot::Value(position) | Slot::Label { position, .. } if counts(*position) => rendered(slot),
        Slot::Value(position) => format!("{{{}}}", graph.axes[axis_at(*position)].name),
        Slot::Label { position, label } => {
            let axis = &graph.axes[axis_at(*position)];
            format!("{{{}.{}}}", axis.name, axis.labels[*label].0)
        }
        Slot::List(position) if counts(*position) => {
            format!("{{list:{}}}", graph.value(&rule.space, cell, *position))
        }
        Slot::List(position) => format!("{{list:{}}}", graph.axes[axis_at(*position)].name),
        Slot::Read(read) => format!("{{input.{}}}", rule.reads[*read].name),
        Slot::Join(read) => format!("{{join.{}}}", rule.reads[*read].name),
        Slot::JoinFile(read) => format!("{{join.{}.file}}", rule.reads[*read].name),
        Slot::Output(output) => format!("{{output.{}}}", rule.outputs[*output].name),
        Slot::BatchFile
        | Slot::File
        | Slot::Path
        | Slot::ObjectKey
        | Slot::ObjectSize
        | Slot::ObjectUrl
        | Slot::Pointed { .. }
        | Slot::Now
        | Slot::Preset => format!("{slot:?}"),
    }
}

fn runner_lines(graph: &Graph, parts: &Parts<'_>, line: &mut dyn FnMut(&str, &str)) {
    let runner = graph.runner_of(parts.target.rule);
    // Every field is named, so that a new one does not compile until it is decided on.
    let crate::graph::Runner {
        name: _,
        start: _,
        platform,
        mirrors: _,
        in_place_of: _,
        image_has: _,
        entrypoint,
        dirs: _,
        batch_dir: _,
        env,
        pass_env: _,
        workdir,
        user,
        network,
        read_only,
        drop_capabilities,
        add_capabilities,
        overlays,
        memory: _,
        cpus: _,
        max_runs: _,
        timeout: _,
        exit: _,
        retries: _,
        log: _,
        span: _,
    } = runner;
    line("runner", parts.identity);
    for (label, value) in
        [("platform", platform), ("workdir", workdir), ("user", user), ("network", network)]
    {
        if let Some(value) = value {
            line(label, value);
        }
    }
    for part in entrypoint.iter().flatten() {
        line("entrypoint", part);
    }
    if *read_only {
        line("root", "read-only");
    }
    for capability in drop_capabilities {
        line("capability dropped", capability);
    }
    for capability in add_capabilities {
        line("capability added", capability);
    }
    for (name, value) in env {
        line(&format!("env {name}"), value);
    }
    for ((inside, _), digest) in overlays.iter().zip(parts.overlays) {
        line(&format!("overlay {inside}"), &digest.to_string());
    }
}

fn walk(graph: &Graph, parts: &Parts<'_>, by: By, line: &mut dyn FnMut(&str, &str)) {
    let target = parts.target;
    let rule = graph.rule(target.rule);
    line("format", &VERSION.to_string());
    runner_lines(graph, parts, line);
    let products = [Product::of_cell(&rule.space.coordinates(target.cell))];
    let mut joined = vec![Vec::new(); rule.reads.len()];
    for reading in parts.readings {
        joined[reading.read].push(reading.inside.clone());
    }
    let ask =
        Ask { first: target, groups: 1 | 1 << parts.group, products: &products, joined: &joined };
    for argument in request::arguments(graph, &ask) {
        line("argument", &argument);
    }
    if let Some(jobs) = request::jobs_file(graph, &ask) {
        // The fields of a map have no order, so that of the axes in the Jheemfile does not count.
        let mut fields: Vec<&str> =
            jobs.lines().skip(1).map(|job| job.trim_start_matches([' ', '-'])).collect();
        fields.sort_unstable();
        for field in fields {
            line("batch file", field);
        }
    }
    for (_, inside) in graph.outputs_in_order(target, parts.group) {
        line("makes", &inside);
    }
    for reading in parts.readings {
        let digest = match by {
            By::Content => &reading.content,
            By::Bytes => &reading.bytes,
        };
        line(&format!("reads {}", reading.inside), &digest.to_string());
    }
}

/// One difference between what was recorded and what is there now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Such as `argument` or `reads simulations/base.Rdata`.
    pub label: String,
    pub before: Option<String>,
    pub now: Option<String>,
}

/// The differences between the lines of a record and the lines of today, in today's order.
///
/// Lines with one label are compared as lists: what only moved is not told.
pub fn changes(before: &[String], now: &[String]) -> Vec<Change> {
    // By label, in the order in which they come: the values before, and those of now.
    let mut order: Vec<&str> = Vec::new();
    let mut values: HashMap<&str, [Vec<&str>; 2]> = HashMap::new();
    for (side, lines) in [(1, now), (0, before)] {
        for line in lines {
            let (label, value) = line.split_once('\t').unwrap_or((line, ""));
            let sides = values.entry(label).or_insert_with(|| {
                order.push(label);
                Default::default()
            });
            sides[side].push(value);
        }
    }
    let mut changes = Vec::new();
    for label in order {
        let [old, new] = &values[label];
        if old == new {
            continue;
        }
        let start = old.iter().zip(new).take_while(|(a, b)| a == b).count();
        let end = old[start..]
            .iter()
            .rev()
            .zip(new[start..].iter().rev())
            .take_while(|(a, b)| a == b)
            .count();
        let old = &old[start..old.len() - end];
        let new = &new[start..new.len() - end];
        for at in 0..old.len().max(new.len()) {
            changes.push(Change {
                label: label.to_owned(),
                before: old.get(at).map(|&value| value.to_owned()),
                now: new.get(at).map(|&value| value.to_owned()),
            });
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pairs: &[(&str, &str)]) -> Vec<String> {
        pairs.iter().map(|(l, v)| format!("{l}\t{v}")).collect()
    }

    #[test]
    fn changes_name_what_differs_and_nothing_else() {
        let before =
            lines(&[("runner", "a"), ("argument", "x"), ("argument", "y"), ("reads f", "1")]);
        let now =
            lines(&[("runner", "a"), ("argument", "x"), ("argument", "q"), ("argument", "y")]);
        let changes = changes(&before, &now);
        let told: Vec<_> = changes
            .iter()
            .map(|c| (c.label.as_str(), c.before.as_deref(), c.now.as_deref()))
            .collect();
        assert_eq!(told, [("argument", None, Some("q")), ("reads f", Some("1"), None)]);
    }

    #[test]
    fn a_record_of_today_has_no_changes() {
        let now = lines(&[("runner", "a"), ("argument", "x")]);
        assert_eq!(changes(&now, &now), []);
    }
}
