//! A checked tree as a manifest, as much of it as was understood.
//!
//! What the check refused is left out. Where others may ask for what is left out, its owner is
//! noted as broken, so that they do not take it for unknown.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::error::Source;
use crate::grammar::{duration, size};
use crate::manifest::{
    At, Axis, Batch, BatchFile, Broken, ByAxis, ExitPolicy, ImageHas, Input, InputPlace,
    Invalidate, KnownBy, Label, LogPolicy, Manifest, Output, Patterns, Pick, Preset, Project,
    Publish, Reference, Rule, RuleKind, RuleName, Runner, Start, Timeout, Values, When,
};
use crate::template::Template;

use super::tree::{Entry, Node, Value};

/// The manifest that a checked tree means, and whether that is all of the tree.
pub(super) fn manifest(source: &Arc<Source>, root: &Node) -> (Manifest, bool) {
    let (build, mut broken) = (Build::default(), Broken::default());
    let mut rules = BTreeMap::new();
    for (kind, key) in [(RuleKind::Step, "step"), (RuleKind::Plot, "plot")] {
        for (name, rule) in build.named(root, key, &mut broken, |entry| build.rule(kind, entry)) {
            rules.insert(RuleName { kind, name }, rule);
        }
    }
    let manifest = Manifest {
        source: Arc::clone(source),
        project: build.project(root.get("project")),
        axes: build.named(root, "axis", &mut broken, |entry| Some(build.axis(entry))),
        presets: build.named(root, "preset", &mut broken, |entry| Some(build.preset(entry))),
        inputs: build.named(root, "input", &mut broken, |entry| build.input(entry)),
        runners: build.named(root, "runner", &mut broken, |entry| build.runner(entry)),
        rules,
        publishes: build.named(root, "publish", &mut broken, |entry| build.publish(entry)),
        broken,
    };
    (manifest, !build.left_out.get())
}

/// Builds what can be built, and notes what cannot.
#[derive(Default)]
pub(super) struct Build {
    /// Anything was left out.
    left_out: Cell<bool>,
    /// Something was left out of what is being built that others may ask for.
    lacks: Cell<bool>,
}

impl Build {
    /// Notes that something could not be built.
    pub(super) fn noted<T>(&self, made: Option<T>) -> Option<T> {
        if made.is_none() {
            self.left_out.set(true);
            self.lacks.set(true);
        }
        made
    }

    /// Builds what nobody else asks for, so that it may be left out.
    pub(super) fn aside<T>(&self, make: impl FnOnce() -> T) -> T {
        let lacked = self.lacks.get();
        let made = make();
        self.lacks.set(lacked);
        made
    }

    /// The named things of a table of the file.
    fn named<T>(
        &self,
        root: &Node,
        table: &str,
        broken: &mut Broken,
        make: impl Fn(&Entry) -> Option<T>,
    ) -> BTreeMap<String, T> {
        self.lacks.set(false);
        let mut found = BTreeMap::new();
        for entry in self.entries_of(root.get(table)) {
            self.lacks.set(false);
            let is_table = matches!(entry.node.value, Value::Table(_));
            let made = self.noted(is_table.then(|| make(entry)).flatten());
            if self.lacks.take() {
                broken.add(format!("{table}.{}", entry.key));
            }
            found.extend(made.map(|made| (entry.key.clone(), made)));
        }
        if self.lacks.take() {
            broken.add(table);
        }
        found
    }

    /// The entries of a table; none if it is not there.
    fn entries_of<'n>(&self, table: Option<&'n Node>) -> &'n [Entry] {
        match table {
            None => &[],
            Some(Node { value: Value::Table(entries), .. }) => entries,
            Some(_) => self.noted(None).unwrap_or_default(),
        }
    }

    /// What can be built of the entries of a table.
    fn entries<T>(&self, table: Option<&Node>, make: impl Fn(&Entry) -> Option<T>) -> Vec<T> {
        self.entries_of(table).iter().filter_map(|entry| self.noted(make(entry))).collect()
    }

    /// The same by name.
    pub(super) fn map<T>(
        &self,
        parent: &Node,
        key: &str,
        make: impl Fn(&Entry) -> Option<T>,
    ) -> BTreeMap<String, T> {
        let make = |entry: &Entry| Some((entry.key.clone(), make(entry)?));
        self.entries(parent.get(key), make).into_iter().collect()
    }

    /// What can be built of the items of a list; nothing if it is not there.
    fn list<T>(&self, list: Option<&Node>, make: impl Fn(&Node) -> Option<T>) -> Vec<T> {
        let items = match list {
            None => &[][..],
            Some(Node { value: Value::List(items), .. }) => items,
            Some(_) => self.noted(None).unwrap_or_default(),
        };
        items.iter().filter_map(|item| self.noted(make(item))).collect()
    }

    fn texts(&self, parent: &Node, key: &str) -> Vec<At<String>> {
        self.list(parent.get(key), text)
    }

    /// The value of a key, if it is there.
    pub(super) fn optional<T>(
        &self,
        parent: &Node,
        key: &str,
        make: impl FnOnce(&Node) -> Option<T>,
    ) -> Option<T> {
        parent.get(key).and_then(|node| self.noted(make(node)))
    }

    pub(super) fn flag(&self, parent: &Node, key: &str) -> bool {
        let flag = |node: &Node| match node.value {
            Value::Bool(value) => Some(value),
            _ => None,
        };
        self.optional(parent, key, flag).unwrap_or(false)
    }

    /// Of keys that exclude each other one is there; if not, it is not known what was meant.
    fn one_of(&self, node: &Node, keys: &[&str]) -> Option<()> {
        let one = keys.iter().filter(|key| node.get(key).is_some()).count() == 1;
        self.noted(one.then_some(()))
    }

    fn project(&self, node: Option<&Node>) -> Project {
        let none = Node { span: 0..0, value: Value::Table(Vec::new()) };
        let node = node.unwrap_or(&none);
        let name = self.noted(node.get("name").and_then(text));
        Project {
            name: name.unwrap_or_else(|| At { value: String::new(), span: node.span.clone() }),
            default: self.texts(node, "default"),
            cache_size: self.optional(node, "cache_size", bytes),
        }
    }

    fn axis(&self, entry: &Entry) -> Axis {
        let node = &entry.node;
        let line = |line: &Entry| Some(Label { pattern: name(line), text: template(&line.node)? });
        let set =
            |inner: &Entry| Some(At { value: self.values(&inner.node)?, span: inner.span.clone() });
        let values = self.noted(self.values(node));
        Axis {
            name: name(entry),
            values: values.unwrap_or_else(|| Values::Listed(Vec::new())),
            sets: self.map(node, "set", set),
            labels: self.map(node, "label", |label| Some(self.entries(Some(&label.node), line))),
            joined_by: self.optional(node, "joined_by", text),
        }
    }

    fn values(&self, node: &Node) -> Option<Values> {
        self.one_of(node, &["values", "from"])?;
        let Some(from) = node.get("from") else {
            return Some(Values::Listed(self.list(Some(node.get("values")?), text)));
        };
        self.one_of(from, &["at", "column"])?;
        let file = text(from.get("file")?)?;
        let pick = match from.get("at") {
            Some(at) => Pick::Pointer(text(at)?),
            None => Pick::Column(text(from.get("column")?)?),
        };
        // A place that such a file cannot have was refused in the look across keys.
        let fits = file.ends_with(".csv") == matches!(pick, Pick::Column(_));
        fits.then(|| Values::File { file, pick, span: from.span.clone() })
    }

    fn preset(&self, entry: &Entry) -> Preset {
        let node = &entry.node;
        Preset {
            name: name(entry),
            goals: self.texts(node, "goals"),
            axes: self.by_axis(node.get("axes")),
            with: self.texts(node, "with"),
        }
    }

    fn by_axis(&self, node: Option<&Node>) -> ByAxis {
        let patterns = |entry: &Entry| {
            let is_list = matches!(entry.node.value, Value::List(_));
            let patterns = is_list.then(|| self.list(Some(&entry.node), text))?;
            Some((name(entry), Patterns { value: patterns, span: entry.node.span.clone() }))
        };
        let mut found: ByAxis = self.entries(node, patterns);
        found.sort_by(|(a, _), (b, _)| a.value.cmp(&b.value));
        found
    }

    fn input(&self, entry: &Entry) -> Option<Input> {
        let node = &entry.node;
        self.one_of(node, &["path", "folder"]);
        let place = match node.get("folder") {
            Some(folder) => InputPlace::Folder {
                folder: template(folder)?,
                exclude: self.aside(|| self.texts(node, "exclude")),
            },
            None => InputPlace::File(template(node.get("path")?)?),
        };
        let source = self.aside(|| self.optional(node, "source", template));
        Some(Input { name: name(entry), place, source })
    }

    fn runner(&self, entry: &Entry) -> Option<Runner> {
        let node = &entry.node;
        self.one_of(node, &["image", "program", "built_by"]);
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
        let dirs = self.entries(node.get("dirs"), dir);
        let overlay = |entry: &Entry| Some((name(entry), reference(&entry.node)?));
        let none = Node { span: 0..0, value: Value::Table(Vec::new()) };
        let below = |key: &str| node.get(key).unwrap_or(&none);
        let (capabilities, log) = (below("capabilities"), below("log"));
        Some(self.aside(|| {
            Runner {
                name: name(entry),
                start,
                platform: self.optional(node, "platform", text),
                mirrors: self.texts(node, "mirrors"),
                image_has: ImageHas {
                    labels: self.map(below("image_has"), "labels", |inner| template(&inner.node)),
                    env: self.map(below("image_has"), "env", |inner| template(&inner.node)),
                },
                entrypoint: self
                    .optional(node, "entrypoint", |list| Some(self.list(Some(list), text))),
                dirs,
                env: self.map(node, "env", |inner| template(&inner.node)),
                pass_env: self.texts(node, "pass_env"),
                workdir: self.optional(node, "workdir", text),
                user: self.optional(node, "user", text),
                network: self.optional(node, "network", text),
                read_only: self.flag(node, "read_only"),
                drop_capabilities: self.texts(capabilities, "drop"),
                add_capabilities: self.texts(capabilities, "add"),
                overlays: self.entries(node.get("overlays"), overlay),
                memory: self.optional(node, "memory", bytes),
                cpus: self
                    .optional(node, "cpus", |cpus| Some(at(cpus, cpus.number()?.parse().ok()?))),
                max_runs: self.optional(node, "max_runs", |runs| Some(at(runs, count(runs)?))),
                timeout: self.timeout(below("timeout")),
                exit: self.exit(below("exit")),
                retries: self
                    .optional(node, "retries", |retries| u32::try_from(count(retries)?).ok())
                    .unwrap_or(2),
                log: LogPolicy {
                    target: self.optional(log, "target", text),
                    success: self.optional(log, "success", text),
                    failure: self.optional(log, "failure", text),
                    absent: self.texts(log, "absent"),
                    absent_depends_on: self.optional(log, "absent_depends_on", |list| {
                        Some(self.list(Some(list), text))
                    }),
                },
            }
        }))
    }

    fn timeout(&self, node: &Node) -> Timeout {
        let span = |key| self.optional(node, key, |node| duration(node.text()?).ok());
        let grace = span("grace").unwrap_or(Duration::from_secs(10));
        Timeout { total: span("total"), quiet: span("quiet"), grace }
    }

    fn exit(&self, node: &Node) -> ExitPolicy {
        let code = |item: &Node| match item.value {
            Value::Whole(number) => number,
            _ => None,
        };
        let codes = |key: &str| node.get(key).map(|list| self.list(Some(list), code));
        ExitPolicy {
            ok: codes("ok").unwrap_or_else(|| vec![0]),
            partial: codes("partial").unwrap_or_default(),
        }
    }

    fn rule(&self, kind: RuleKind, entry: &Entry) -> Option<Rule> {
        let node = &entry.node;
        let rule_name = RuleName { kind, name: entry.key.clone() };
        let absent =
            |item: &Node| Some(At { value: self.by_axis(Some(item)), span: item.span.clone() });
        let runner = self.noted(node.get("runner").and_then(text));
        let outputs = self.map(node, "output", |output| self.output(output));
        self.noted(outputs.first_key_value().is_some().then_some(()));
        Some(Rule {
            name: At { value: rule_name, span: entry.span.clone() },
            over: self.texts(node, "over"),
            // A runner without a name is asked for by no rule but this one.
            runner: runner.unwrap_or_else(|| At { value: String::new(), span: entry.span.clone() }),
            inputs: self.map(node, "inputs", |inner| reference(&inner.node)),
            joins: self.map(node, "joins", |inner| reference(&inner.node)),
            command: self.list(self.noted(node.get("command")), template),
            batch: self.optional(node, "batch", |batch| Some(self.batch(batch))),
            outputs,
            ignore: self.aside(|| self.texts(node, "ignore")),
            audits: self.aside(|| self.list(node.get("audit"), |audit| self.audit(audit))),
            absents: self.list(node.get("absent"), absent),
        })
    }

    fn batch(&self, node: &Node) -> Batch {
        let file = |file: &Node| match file.text()? {
            "jheem-jobs" => Some(at(file, BatchFile::JheemJobs)),
            _ => None,
        };
        let field = |entry: &Entry| Some((name(entry), text(&entry.node)?));
        let mut fields = self.entries(node.get("fields"), field);
        fields.sort_by(|(a, _), (b, _)| a.value.cmp(&b.value));
        Batch {
            by: self.texts(node, "by"),
            file: self.optional(node, "file", file),
            fields,
            size: self.aside(|| self.optional(node, "size", |size| Some(at(size, count(size)?)))),
        }
    }

    fn output(&self, entry: &Entry) -> Option<Output> {
        let node = &entry.node;
        let when = |when: &Node| {
            let arguments = self.list(Some(when.get("arguments")?), template);
            Some(When { option: text(when.get("option")?)?, arguments })
        };
        // Where it cannot be read it may be anything, also what has values to point at.
        let kind = if node.get("as").is_some() { "json" } else { "bytes" };
        let kind = At { value: kind.to_owned(), span: entry.span.clone() };
        Some(Output {
            name: name(entry),
            path: template(node.get("path")?)?,
            kind: self.aside(|| self.optional(node, "as", text)).unwrap_or(kind),
            volatile: self.aside(|| self.texts(node, "volatile")),
            when: self.optional(node, "when", when),
            optional: self.aside(|| self.flag(node, "optional")),
            executable: self.aside(|| self.flag(node, "executable")),
            unique: self.aside(|| self.flag(node, "unique")),
        })
    }

    fn publish(&self, entry: &Entry) -> Option<Publish> {
        let node = &entry.node;
        let of = node.get("of")?;
        Some(Publish {
            name: name(entry),
            of: at(of, rule_name(of.text()?)?),
            manifest: self.optional(node, "manifest", text),
            after: self.aside(|| self.texts(node, "after")),
            hold: node.get("hold").map(|hold| self.aside(|| self.list(Some(hold), text))),
            editions: self.optional(node, "editions", text),
            at_least: self.optional(node, "at_least", share),
            invalidate: node.get("invalidate").and_then(|node| self.aside(|| invalidate(node))),
            objects: self.map(node, "object", |object| self.object(object)),
            rows: self.map(node, "row", |row| self.row(row)),
        })
    }
}

fn invalidate(node: &Node) -> Option<Invalidate> {
    let text = |key| node.get(key).and_then(Node::text);
    let drop_prefix = text("drop_prefix").unwrap_or_default().trim_matches('/').to_owned();
    Some(Invalidate { distribution: text("distribution")?.to_owned(), drop_prefix })
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
    Some(at(node, reference))
}

/// A value with the place of its node.
pub(super) fn at<T>(node: &Node, value: T) -> At<T> {
    At { value, span: node.span.clone() }
}

/// A key, with its place.
pub(super) fn name(entry: &Entry) -> At<String> {
    At { value: entry.key.clone(), span: entry.span.clone() }
}

pub(super) fn text(node: &Node) -> Option<At<String>> {
    Some(at(node, node.text()?.to_owned()))
}

pub(super) fn template(node: &Node) -> Option<At<Template>> {
    Some(at(node, Template::parse(node.text()?).ok()?))
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

/// A share in percent.
fn share(node: &Node) -> Option<At<u8>> {
    Some(at(node, node.text()?.strip_suffix('%')?.parse().ok()?))
}

fn bytes(node: &Node) -> Option<At<u64>> {
    Some(at(node, size(node.text()?).ok()?))
}
