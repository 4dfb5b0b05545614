//! A checked tree as a manifest.
//!
//! Every function answers `None` where the tree is not as the grammar has it; after a check
//! without errors that is a defect of jheem, and `read` says so.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::error::Source;
use crate::grammar::{duration, size};
use crate::manifest::{
    At, Axis, Batch, BatchFile, ExitPolicy, Input, InputPlace, KnownBy, Label, LogPolicy, Manifest,
    Output, Pick, Preset, Project, Publish, Reference, Rule, RuleKind, RuleName, Runner, Start,
    Timeout, Values, When,
};
use crate::template::Template;

use super::judged::audits;
use super::published::{object, row};
use super::tree::{Entry, Node, Value};

/// The manifest that a checked tree means.
pub(super) fn manifest(source: &Arc<Source>, root: &Node) -> Option<Manifest> {
    let mut rules = BTreeMap::new();
    for (kind, key) in [(RuleKind::Step, "step"), (RuleKind::Plot, "plot")] {
        for (name, rule) in map(root, key, |entry| rule(kind, entry))? {
            rules.insert(RuleName { kind, name }, rule);
        }
    }
    Some(Manifest {
        source: Arc::clone(source),
        project: project(root.get("project")?)?,
        axes: map(root, "axis", axis)?,
        presets: map(root, "preset", preset)?,
        inputs: map(root, "input", input)?,
        runners: map(root, "runner", runner)?,
        rules,
        publishes: map(root, "publish", publish)?,
    })
}

fn project(node: &Node) -> Option<Project> {
    Some(Project {
        name: text(node.get("name")?)?,
        default: texts(node, "default")?,
        cache_size: optional(node, "cache_size", bytes)?,
    })
}

fn axis(entry: &Entry) -> Option<Axis> {
    let node = &entry.node;
    let label = |inner: &Entry| {
        let label = |line: &Entry| Some(Label { pattern: name(line), text: template(&line.node)? });
        inner.node.entries().iter().map(label).collect::<Option<Vec<Label>>>()
    };
    let set = |inner: &Entry| Some(At { value: values(&inner.node)?, span: inner.span.clone() });
    Some(Axis {
        name: name(entry),
        values: values(node)?,
        sets: map(node, "set", set)?,
        labels: map(node, "label", label)?,
        joined_by: optional(node, "joined_by", text)?,
    })
}

fn values(node: &Node) -> Option<Values> {
    let Some(from) = node.get("from") else {
        return Some(Values::Listed(texts(node, "values")?));
    };
    let pick = match from.get("at") {
        Some(at) => Pick::Pointer(text(at)?),
        None => Pick::Column(text(from.get("column")?)?),
    };
    Some(Values::File { file: text(from.get("file")?)?, pick, span: from.span.clone() })
}

fn preset(entry: &Entry) -> Option<Preset> {
    let node = &entry.node;
    Some(Preset {
        name: name(entry),
        goals: texts(node, "goals")?,
        axes: map(node, "axes", |inner| listed(&inner.node))?,
        with: texts(node, "with")?,
    })
}

fn input(entry: &Entry) -> Option<Input> {
    let node = &entry.node;
    let place = match node.get("folder") {
        Some(folder) => {
            InputPlace::Folder { folder: template(folder)?, exclude: texts(node, "exclude")? }
        }
        None => InputPlace::File(template(node.get("path")?)?),
    };
    Some(Input { name: name(entry), place, source: optional(node, "source", template)? })
}

fn runner(entry: &Entry) -> Option<Runner> {
    let node = &entry.node;
    let start = if let Some(image) = node.get("image") {
        Start::Image(text(image)?)
    } else if let Some(program) = node.get("program") {
        Start::Program(text(program)?)
    } else {
        let known_by = match node.get("known_by").and_then(Node::text) {
            Some("sources") => KnownBy::Sources,
            _ => KnownBy::Content,
        };
        Start::Built { output: reference(node.get("built_by")?)?, known_by }
    };
    let dir = |entry: &Entry| Some((name(entry), text(&entry.node)?));
    let overlay = |entry: &Entry| Some((name(entry), reference(&entry.node)?));
    let capabilities = |key| match node.get("capabilities") {
        Some(capabilities) => texts(capabilities, key),
        None => Some(Vec::new()),
    };
    Some(Runner {
        name: name(entry),
        start,
        platform: optional(node, "platform", text)?,
        entrypoint: optional(node, "entrypoint", |list| Some(listed(list)?.value))?,
        dirs: under(node, "dirs").iter().map(dir).collect::<Option<_>>()?,
        env: map(node, "env", |inner| template(&inner.node))?,
        pass_env: texts(node, "pass_env")?,
        workdir: optional(node, "workdir", text)?,
        user: optional(node, "user", text)?,
        network: optional(node, "network", text)?,
        read_only: flag(node, "read_only")?,
        drop_capabilities: capabilities("drop")?,
        add_capabilities: capabilities("add")?,
        overlays: under(node, "overlays").iter().map(overlay).collect::<Option<_>>()?,
        memory: optional(node, "memory", bytes)?,
        cpus: optional(node, "cpus", |cpus| at(cpus, cpus.number()?.parse().ok()?))?,
        max_runs: optional(node, "max_runs", |runs| at(runs, count(runs)?))?,
        timeout: timeout(node.get("timeout"))?,
        exit: exit(node.get("exit"))?,
        retries: match node.get("retries") {
            Some(retries) => u32::try_from(count(retries)?).ok()?,
            None => 2,
        },
        log: match node.get("log") {
            Some(log) => LogPolicy {
                target: optional(log, "target", text)?,
                success: optional(log, "success", text)?,
                failure: optional(log, "failure", text)?,
                absent: texts(log, "absent")?,
                absent_depends_on: optional(log, "absent_depends_on", |list| {
                    Some(listed(list)?.value)
                })?,
            },
            None => LogPolicy::default(),
        },
    })
}

fn timeout(node: Option<&Node>) -> Option<Timeout> {
    let span = |key| match node {
        Some(node) => optional(node, key, |node| duration(node.text()?).ok()),
        None => Some(None),
    };
    let grace = span("grace")?.unwrap_or(Duration::from_secs(10));
    Some(Timeout { total: span("total")?, quiet: span("quiet")?, grace })
}

fn exit(node: Option<&Node>) -> Option<ExitPolicy> {
    let codes = |key, default: &[i64]| {
        let Some(list) = node.and_then(|node| node.get(key)) else { return Some(default.to_vec()) };
        let code = |item: &Node| match item.value {
            Value::Whole(number) => number,
            _ => None,
        };
        list.items().iter().map(code).collect()
    };
    Some(ExitPolicy { ok: codes("ok", &[0])?, partial: codes("partial", &[])? })
}

fn rule(kind: RuleKind, entry: &Entry) -> Option<Rule> {
    let node = &entry.node;
    let rule_name = RuleName { kind, name: entry.key.clone() };
    let patterns = |item: &Node| {
        let axes = item.entries().iter();
        let axes = axes.map(|entry| Some((entry.key.clone(), listed(&entry.node)?)));
        Some(At { value: axes.collect::<Option<_>>()?, span: item.span.clone() })
    };
    Some(Rule {
        name: At { value: rule_name, span: entry.span.clone() },
        over: texts(node, "over")?,
        runner: text(node.get("runner")?)?,
        inputs: map(node, "inputs", |inner| reference(&inner.node))?,
        joins: map(node, "joins", |inner| reference(&inner.node))?,
        command: templates(node.get("command")?)?,
        batch: optional(node, "batch", batch)?,
        outputs: map(node, "output", output)?,
        ignore: texts(node, "ignore")?,
        audits: audits(items(node, "audit"))?,
        absents: items(node, "absent").iter().map(patterns).collect::<Option<_>>()?,
    })
}

fn batch(node: &Node) -> Option<Batch> {
    let file = |file: &Node| match file.text()? {
        "jheem-jobs" => at(file, BatchFile::JheemJobs),
        _ => None,
    };
    Some(Batch {
        by: texts(node, "by")?,
        file: optional(node, "file", file)?,
        fields: map(node, "fields", |inner| text(&inner.node))?,
        size: optional(node, "size", |size| at(size, count(size)?))?,
    })
}

fn output(entry: &Entry) -> Option<Output> {
    let node = &entry.node;
    let when = |when: &Node| {
        let arguments = templates(when.get("arguments")?)?;
        Some(When { option: text(when.get("option")?)?, arguments })
    };
    let kind = match node.get("as") {
        Some(kind) => text(kind)?,
        None => At { value: "bytes".to_owned(), span: entry.span.clone() },
    };
    Some(Output {
        name: name(entry),
        path: template(node.get("path")?)?,
        kind,
        volatile: texts(node, "volatile")?,
        when: optional(node, "when", when)?,
        optional: flag(node, "optional")?,
        executable: flag(node, "executable")?,
        unique: flag(node, "unique")?,
    })
}

fn publish(entry: &Entry) -> Option<Publish> {
    let node = &entry.node;
    let of = node.get("of")?;
    Some(Publish {
        name: name(entry),
        of: at(of, rule_name(of.text()?)?)?,
        objects: map(node, "object", object)?,
        rows: map(node, "row", row)?,
    })
}

fn rule_name(text: &str) -> Option<RuleName> {
    let (kind, name) = text.split_once('.')?;
    let kind = match kind {
        "step" => RuleKind::Step,
        "plot" => RuleKind::Plot,
        _ => return None,
    };
    Some(RuleName { kind, name: name.to_owned() })
}

fn reference(node: &Node) -> Option<At<Reference>> {
    let text = node.text()?;
    let reference = match text.strip_prefix("input.") {
        Some(name) => Reference::Input(name.to_owned()),
        None => {
            let (rule, output) = text.rsplit_once('.')?;
            Reference::Output { rule: rule_name(rule)?, output: output.to_owned() }
        }
    };
    at(node, reference)
}

/// A value with the place of its node.
pub(super) fn at<T>(node: &Node, value: T) -> Option<At<T>> {
    Some(At { value, span: node.span.clone() })
}

/// A key, with its place.
pub(super) fn name(entry: &Entry) -> At<String> {
    At { value: entry.key.clone(), span: entry.span.clone() }
}

pub(super) fn text(node: &Node) -> Option<At<String>> {
    at(node, node.text()?.to_owned())
}

pub(super) fn template(node: &Node) -> Option<At<Template>> {
    at(node, Template::parse(node.text()?).ok()?)
}

/// The value of a key, if it is there.
#[expect(clippy::option_option, reason = "the outer one says that the tree is not as it should be")]
pub(super) fn optional<T>(
    parent: &Node,
    key: &str,
    read: impl FnOnce(&Node) -> Option<T>,
) -> Option<Option<T>> {
    match parent.get(key) {
        Some(node) => read(node).map(Some),
        None => Some(None),
    }
}

/// A table of names; empty if it is not there.
pub(super) fn map<T>(
    parent: &Node,
    key: &str,
    read: impl Fn(&Entry) -> Option<T>,
) -> Option<BTreeMap<String, T>> {
    let read = |entry: &Entry| Some((entry.key.clone(), read(entry)?));
    under(parent, key).iter().map(read).collect()
}

/// The list of a key; empty if it is not there.
pub(super) fn items<'n>(parent: &'n Node, key: &str) -> &'n [Node] {
    parent.get(key).map_or(&[], Node::items)
}

/// The count that a whole number is.
pub(super) fn count(node: &Node) -> Option<u64> {
    match node.value {
        Value::Whole(number) => u64::try_from(number?).ok(),
        _ => None,
    }
}

fn under<'n>(parent: &'n Node, key: &str) -> &'n [Entry] {
    parent.get(key).map_or(&[], Node::entries)
}

fn listed(node: &Node) -> Option<At<Vec<At<String>>>> {
    at(node, node.items().iter().map(text).collect::<Option<_>>()?)
}

fn texts(parent: &Node, key: &str) -> Option<Vec<At<String>>> {
    items(parent, key).iter().map(text).collect()
}

fn templates(node: &Node) -> Option<Vec<At<Template>>> {
    node.items().iter().map(template).collect()
}

fn flag(parent: &Node, key: &str) -> Option<bool> {
    match parent.get(key) {
        None => Some(false),
        Some(node) => match node.value {
            Value::Bool(value) => Some(value),
            _ => None,
        },
    }
}

fn bytes(node: &Node) -> Option<At<u64>> {
    at(node, size(node.text()?).ok()?)
}
