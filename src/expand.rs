//! From what was written to what is meant: looks every name up and builds the graph.
//!
//! Pure but for one question, the text of the files that axes take their values from, which the
//! caller answers. Collects all mistakes; a graph is returned only if there are none.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use globset::{Glob, GlobMatcher};
use petgraph::graph::{DiGraph, NodeIndex};

use crate::audit;
use crate::axis_values;
use crate::content::{As, Pointer};
use crate::error::{Error, Span};
use crate::graph::{
    Attribute, Audit, Axis, Batch, Check, From, Graph, Group, Input, Log, Output, Preset, Publish,
    PublishObject, PublishRow, Read, Rule, RuleId, Runner, Slot, Space, Start, Text,
};
use crate::manifest::{self, At, InputPlace, Manifest, Reference, RuleName, Scalar, Values};
use crate::pattern;
use crate::template::{Piece, Template};

/// More cells than this in one rule is taken for a mistake.
pub const MOST_CELLS: usize = 10_000_000;

/// Names that holes use, so that no axis may have them.
const RESERVED: [&str; 12] = [
    "batch", "dir", "file", "input", "join", "list", "now", "object", "output", "path", "preset",
    "project",
];

/// Builds the graph. `file_text` answers with the text of a project file that axis values come from.
pub fn expand(
    manifest: &Manifest,
    file_text: &dyn Fn(&str) -> Result<String, Error>,
) -> Result<Graph, Vec<Error>> {
    let mut expansion = Expansion { manifest, errors: Vec::new(), axes: Vec::new() };
    let graph = expansion.graph(file_text);
    let mut errors = expansion.errors;
    if let Some(graph) = graph.as_ref().filter(|_| errors.is_empty()) {
        errors = crate::collisions::check(graph);
    }
    match graph {
        Some(graph) if errors.is_empty() => Ok(graph),
        _ => {
            errors.sort_by_key(|e| e.places.first().map(|p| (p.span.start, p.span.end)));
            Err(errors)
        }
    }
}

struct Expansion<'a> {
    manifest: &'a Manifest,
    errors: Vec<Error>,
    axes: Vec<Axis>,
}

/// What a template may hold, beside the axes of its space.
enum Scope<'a> {
    Plain,
    Command { rule: &'a RuleScope<'a> },
    Published { outputs: &'a [Output], row: bool, uncompared: bool },
}

/// What the holes of a command can name.
struct RuleScope<'a> {
    runner: &'a Runner,
    reads: &'a [Read],
    outputs: &'a [Output],
    batch: Option<&'a Batch>,
}

impl Expansion<'_> {
    fn error(&mut self, span: &Span, error: Error) {
        self.errors.push(error.at(&self.manifest.source, span.clone()));
    }

    fn graph(&mut self, file_text: &dyn Fn(&str) -> Result<String, Error>) -> Option<Graph> {
        let manifest = self.manifest;
        for axis in manifest.axes.values() {
            let axis = self.axis(axis, file_text);
            self.axes.push(axis);
        }
        let mut inputs = Vec::new();
        for input in manifest.inputs.values() {
            inputs.push(self.input(input));
        }
        let (order, sorted) = self.order()?;
        let ids: HashMap<RuleName, RuleId> =
            sorted.iter().enumerate().map(|(i, name)| (name.clone(), RuleId(i))).collect();
        let mut runners = Vec::new();
        for runner in manifest.runners.values() {
            runners.push(self.runner(runner, &inputs, &ids));
        }
        let mut rules: Vec<Rule> = Vec::new();
        for name in &sorted {
            let rule = self.rule(&manifest.rules[name], &inputs, &runners, &rules, &ids)?;
            rules.push(rule);
        }
        let mut publishes = Vec::new();
        for publish in manifest.publishes.values() {
            publishes.extend(self.publish(publish, &rules, &ids));
        }
        let mut presets = BTreeMap::new();
        for (name, preset) in &manifest.presets {
            let preset = self.preset(preset);
            presets.insert(name.clone(), preset);
        }
        let options: BTreeSet<&str> = rules
            .iter()
            .flat_map(|r| r.groups.iter().filter_map(|g| g.option.as_deref()))
            .collect();
        for preset in manifest.presets.values() {
            for option in preset.with.iter().filter(|o| !options.contains(o.as_str())) {
                let message = format!("no output is made by an option `{}`", option.value);
                let error = Error::user(message).suggest(option, options.iter().copied());
                self.error(&option.span, error);
            }
        }
        let goal_lists = manifest.presets.values().map(|p| &p.goals);
        for goal in goal_lists.chain([&manifest.project.default]).flatten() {
            self.goal(goal, &rules, &publishes);
        }
        Some(Graph {
            source: Arc::clone(&manifest.source),
            project: manifest.project.name.value.clone(),
            cache_size: manifest.project.cache_size.as_ref().map(|s| s.value),
            default: manifest.project.default.iter().map(|g| g.value.clone()).collect(),
            axes: std::mem::take(&mut self.axes),
            inputs,
            runners,
            rules,
            publishes,
            presets,
            order,
        })
    }

    /// A goal of the Jheemfile names a rule or a publish; paths and globs are for the command line.
    fn goal(&mut self, goal: &At<String>, rules: &[Rule], publishes: &[Publish]) {
        let names: Vec<String> = rules
            .iter()
            .map(|r| r.name.to_string())
            .chain(publishes.iter().map(|p| format!("publish.{}", p.name)))
            .collect();
        if !names.contains(&goal.value) {
            let error = Error::user(format!("no rule or publish is called `{}`", goal.value))
                .suggest(goal, names.iter().map(String::as_str));
            self.error(&goal.span, error);
        }
    }

    // Axes.

    fn axis(
        &mut self,
        axis: &manifest::Axis,
        file_text: &dyn Fn(&str) -> Result<String, Error>,
    ) -> Axis {
        if RESERVED.contains(&axis.name.as_str()) {
            let message =
                format!("an axis cannot be called `{}`: holes use that name", axis.name.value);
            let error = Error::user(message).hint("give the axis another name");
            self.error(&axis.name.span, error);
        }
        let values = self.values(&axis.values, &axis.name.span, file_text);
        self.check_values(axis, &values);
        let names: Vec<String> = values.iter().map(|v| v.value.clone()).collect();
        let mut sets = BTreeMap::new();
        for (name, set) in &axis.sets {
            let listed = self.values(&set.value, &set.span, file_text);
            let mut members = Vec::new();
            for value in listed {
                match names.iter().position(|v| *v == value.value) {
                    Some(at) => members.push(at),
                    None => {
                        let error = not_a_value(&value.value, &axis.name, &names, &axis.joined_by);
                        self.error(&value.span, error);
                    }
                }
            }
            sets.insert(name.clone(), members);
        }
        let mut labels = Vec::new();
        for (name, lines) in &axis.labels {
            let texts = self.label(axis, name, lines, &names);
            labels.push((name.clone(), texts));
        }
        Axis {
            name: axis.name.value.clone(),
            values: names,
            sets,
            labels,
            joined_by: axis.joined_by.as_ref().map(|j| j.value.clone()),
        }
    }

    fn values(
        &mut self,
        values: &Values,
        place: &Span,
        file_text: &dyn Fn(&str) -> Result<String, Error>,
    ) -> Vec<At<String>> {
        match values {
            Values::Listed(values) => values.clone(),
            Values::File { file, pick, span } => {
                if let Some(problem) = bad_path(file) {
                    self.error(&file.span, problem);
                    return Vec::new();
                }
                let read =
                    file_text(file).and_then(|text| axis_values::values(&text, &file.value, pick));
                match read {
                    Ok(values) => {
                        values.into_iter().map(|value| At { value, span: span.clone() }).collect()
                    }
                    Err(error) => {
                        let at = if error.places.is_empty() { &file.span } else { place };
                        let error = if error.places.is_empty() {
                            error.at(&self.manifest.source, at.clone())
                        } else {
                            error
                        };
                        self.errors.push(error);
                        Vec::new()
                    }
                }
            }
        }
    }

    fn check_values(&mut self, axis: &manifest::Axis, values: &[At<String>]) {
        let mut seen: HashMap<String, &At<String>> = HashMap::new();
        if values.is_empty() && self.errors.is_empty() {
            let error = Error::user(format!("axis `{}` has no values", axis.name.value))
                .hint("list at least one value");
            self.error(&axis.name.span, error);
        }
        for value in values {
            if let Some(reason) = cannot_name_a_file(value) {
                let message = format!("`{}` cannot stand in a file name: {reason}", value.value);
                let error = Error::user(message)
                    .hint("use another value, and a label if the container calls it so");
                self.error(&value.span, error);
            }
            let canonical = sorted_parts(value, &axis.joined_by);
            match seen.get(&canonical) {
                Some(first) => {
                    let message = if first.value == value.value {
                        format!("axis `{}` has the value `{}` twice", axis.name.value, value.value)
                    } else {
                        format!("`{}` and `{}` have the same parts", first.value, value.value)
                    };
                    let error = Error::user(message).hint("keep one of the two").related(
                        &self.manifest.source,
                        first.span.clone(),
                        "first here",
                    );
                    self.error(&value.span, error);
                }
                None => {
                    seen.insert(canonical, value);
                }
            }
        }
    }

    fn label(
        &mut self,
        axis: &manifest::Axis,
        name: &str,
        lines: &[manifest::Label],
        values: &[String],
    ) -> Vec<String> {
        let mut texts = Vec::new();
        for value in values {
            let exact = lines.iter().find(|l| l.pattern.value == *value);
            let line = exact.or_else(|| {
                lines
                    .iter()
                    .filter(|l| pattern::glob_matches(&l.pattern, value))
                    .max_by_key(|l| l.pattern.len())
            });
            let Some(line) = line else {
                let message = format!("label `{name}` says nothing of the value `{value}`");
                let error = Error::user(message).hint("add the value, or a line for `\"*\"`");
                self.error(&axis.name.span, error);
                texts.push(String::new());
                continue;
            };
            let mut text = String::new();
            for piece in &line.text.pieces {
                match piece {
                    Piece::Text(plain) => text.push_str(plain),
                    Piece::Hole { name, .. } if *name == axis.name.value => text.push_str(value),
                    Piece::Hole { name, at } => {
                        let span = hole_span(&self.manifest.source.text, &line.text, at);
                        let error = Error::user(format!("a label has no hole `{{{name}}}`"))
                            .hint(format!("use `{{{}}}`, the value itself", axis.name.value));
                        self.errors.push(error.at(&self.manifest.source, span));
                    }
                }
            }
            if let Some(reason) = cannot_name_a_file(&text) {
                let message =
                    format!("label `{name}` of `{value}` cannot stand in a file name: {reason}");
                self.error(&line.text.span, Error::user(message).hint("use another text"));
            }
            texts.push(text);
        }
        for line in lines {
            if !values
                .iter()
                .any(|v| *v == line.pattern.value || pattern::glob_matches(&line.pattern, v))
            {
                let error = not_a_value(&line.pattern, &axis.name, values, &axis.joined_by);
                self.error(&line.pattern.span, error);
            }
        }
        texts
    }

    fn axis_index(&mut self, name: &At<String>) -> Option<usize> {
        let found = self.axes.iter().position(|a| a.name == name.value);
        if found.is_none() {
            let error = Error::user(format!("no axis is called `{}`", name.value))
                .suggest(name, self.axes.iter().map(|a| a.name.as_str()));
            let error = if error.hints.is_empty() {
                error.hint(format!("declare it: `[axis.{}]`", name.value))
            } else {
                error
            };
            self.error(&name.span, error);
        }
        found
    }

    fn mask(&mut self, axis: usize, patterns: &[At<String>]) -> Vec<bool> {
        let texts: Vec<&str> = patterns.iter().map(|p| p.value.as_str()).collect();
        match pattern::mask(&self.axes[axis], &texts) {
            Ok(mask) => mask,
            Err(refused) => {
                for (index, error) in refused {
                    self.error(&patterns[index].span, error);
                }
                vec![false; self.axes[axis].values.len()]
            }
        }
    }

    fn preset(&mut self, preset: &manifest::Preset) -> Preset {
        let mut axes = BTreeMap::new();
        for (name, patterns) in &preset.axes {
            let name = At { value: name.clone(), span: patterns.span.clone() };
            if let Some(axis) = self.axis_index(&name) {
                let mask = self.mask(axis, &patterns.value);
                axes.insert(axis, mask);
            }
        }
        Preset {
            goals: preset.goals.iter().map(|g| g.value.clone()).collect(),
            axes,
            with: preset.with.iter().map(|w| w.value.clone()).collect(),
        }
    }

    // Templates.

    /// The space of the axes that a template names, in order of appearance.
    fn space_of(&mut self, template: &At<Template>) -> Space {
        let mut axes = Vec::new();
        for (hole, _) in template.holes() {
            let name = hole.split('.').next().unwrap_or(hole);
            if let Some(axis) = self.axes.iter().position(|a| a.name == name)
                && !axes.contains(&axis)
            {
                axes.push(axis);
            }
        }
        self.space(axes)
    }

    fn space(&self, axes: Vec<usize>) -> Space {
        let sizes = axes.iter().map(|&a| self.axes[a].values.len()).collect();
        Space { axes, sizes }
    }

    fn compile(&mut self, template: &At<Template>, space: &Space, scope: &Scope<'_>) -> Text {
        let mut slots = Vec::new();
        for piece in &template.pieces {
            match piece {
                Piece::Text(text) => slots.push(Slot::Text(text.clone())),
                Piece::Hole { name, at } => match self.slot(name, space, scope) {
                    Ok(slot) => slots.push(slot),
                    Err(error) => {
                        let span = hole_span(&self.manifest.source.text, template, at);
                        self.errors.push(error.at(&self.manifest.source, span));
                    }
                },
            }
        }
        Text { slots }
    }

    fn slot(&self, name: &str, space: &Space, scope: &Scope<'_>) -> Result<Slot, Error> {
        let (head, label) = match name.split_once('.') {
            Some((head, label)) => (head, Some(label)),
            None => (name, None),
        };
        if let Some(axis) = self.axes.iter().position(|a| a.name == head) {
            return self.axis_slot(axis, label, space, scope);
        }
        if name == "project" {
            return Ok(Slot::Text(self.manifest.project.name.value.clone()));
        }
        let special = match scope {
            Scope::Plain => None,
            Scope::Command { rule } => self.command_slot(name, space, rule)?,
            Scope::Published { outputs, row, uncompared } => {
                published_slot(name, outputs, *row, *uncompared)?
            }
        };
        special.ok_or_else(|| {
            let mut known: Vec<String> =
                space.axes.iter().map(|&a| self.axes[a].name.clone()).collect();
            known.extend(scope.known().into_iter().map(str::to_owned));
            let listed = known.iter().map(|k| format!("`{{{k}}}`")).collect::<Vec<_>>().join(", ");
            let error = Error::user(format!("unknown hole `{{{name}}}`"))
                .suggest(name, known.iter().map(String::as_str));
            match (error.hints.is_empty(), known.is_empty()) {
                (true, false) => error.hint(format!("holes here are {listed}")),
                (true, true) => {
                    error.hint("there are no holes here; write `{{` for the brace itself")
                }
                _ => error,
            }
        })
    }

    fn axis_slot(
        &self,
        axis: usize,
        label: Option<&str>,
        space: &Space,
        scope: &Scope<'_>,
    ) -> Result<Slot, Error> {
        let name = &self.axes[axis].name;
        let Some(position) = space.position(axis) else {
            return Err(Error::user(format!("axis `{name}` is not one that this is over"))
                .hint(format!("add `{name}` to `over`, or take the hole out")));
        };
        if let Scope::Command { rule: RuleScope { batch: Some(batch), .. } } = scope
            && !batch.by.contains(&position)
        {
            let message =
                format!("`{{{name}}}` has many values in one run: `{name}` is not in `batch.by`");
            return Err(Error::user(message).hint(format!(
                "write `{{list:{name}}}` for all of them, or add `{name}` to `by`"
            )));
        }
        let Some(label) = label else { return Ok(Slot::Value(position)) };
        let labels = &self.axes[axis].labels;
        match labels.iter().position(|(known, _)| known == label) {
            Some(label) => Ok(Slot::Label { position, label }),
            None => Err(Error::user(format!("axis `{name}` has no label `{label}`"))
                .suggest(label, labels.iter().map(|(known, _)| known.as_str()))
                .hint(format!("labels are declared in `[axis.{name}.label.{label}]`"))),
        }
    }

    fn command_slot(
        &self,
        name: &str,
        space: &Space,
        rule: &RuleScope<'_>,
    ) -> Result<Option<Slot>, Error> {
        let fixed = |axes: &[usize], what: &str| -> Result<(), Error> {
            let Some(batch) = rule.batch else { return Ok(()) };
            for &axis in axes {
                if !batch.by.iter().any(|&p| space.axes[p] == axis) {
                    let axis = &self.axes[axis].name;
                    return Err(Error::user(format!(
                        "`{{{what}}}` has many paths in one run: `{axis}` is not in `batch.by`"
                    ))
                    .hint(format!("add `{axis}` to `by`, or name the folder with `{{dir:…}}`")));
                }
            }
            Ok(())
        };
        if name == "batch.file" {
            return match rule.batch {
                Some(batch) if batch.file => Ok(Some(Slot::BatchFile)),
                _ => Err(Error::user("this rule has no batch file")
                    .hint("add `file = \"jheem-jobs\"` to its `batch`")),
            };
        }
        if let Some(folder) = name.strip_prefix("dir:") {
            return match rule.runner.inside(folder) {
                Some(inside) => Ok(Some(Slot::Text(inside))),
                None => Err(Error::user(format!(
                    "runner `{}` does not show the folder `{folder}`",
                    rule.runner.name
                ))
                .hint("add it to the runner's `dirs`")),
            };
        }
        if let Some(axis) = name.strip_prefix("list:") {
            let position = space.axes.iter().position(|&a| self.axes[a].name == axis);
            return match position {
                Some(position) => {
                    let axis = &self.axes[space.axes[position]];
                    match axis.values.iter().find(|v| v.contains(',')) {
                        Some(value) => Err(Error::user(format!(
                            "`{value}` holds a comma, so `{{{name}}}` would be misread"
                        ))
                        .hint("use a batch file")),
                        None => Ok(Some(Slot::List(position))),
                    }
                }
                None => Err(Error::user(format!("this rule is not over an axis `{axis}`"))
                    .suggest(axis, space.axes.iter().map(|&a| self.axes[a].name.as_str()))),
            };
        }
        let read = |wanted: &str, join: bool| {
            rule.reads.iter().position(|r| r.name == wanted && r.is_join() == join)
        };
        if let Some(wanted) = name.strip_prefix("input.") {
            let Some(at) = read(wanted, false) else {
                let known = rule.reads.iter().filter(|r| !r.is_join()).map(|r| r.name.as_str());
                return Err(Error::user(format!("this rule has no input `{wanted}`"))
                    .suggest(wanted, known));
            };
            fixed(&rule.reads[at].space.axes, name)?;
            return Ok(Some(Slot::Read(at)));
        }
        if let Some(wanted) = name.strip_prefix("join.") {
            let (wanted, list) = match wanted.strip_suffix(".file") {
                Some(wanted) => (wanted, true),
                None => (wanted, false),
            };
            let Some(at) = read(wanted, true) else {
                let known = rule.reads.iter().filter(|r| r.is_join()).map(|r| r.name.as_str());
                return Err(
                    Error::user(format!("this rule has no join `{wanted}`")).suggest(wanted, known)
                );
            };
            fixed(&space.axes, name)?;
            return Ok(Some(if list { Slot::JoinFile(at) } else { Slot::Join(at) }));
        }
        if let Some(wanted) = name.strip_prefix("output.") {
            let Some(at) = rule.outputs.iter().position(|o| o.name == wanted) else {
                return Err(Error::user(format!("this rule has no output `{wanted}`"))
                    .suggest(wanted, rule.outputs.iter().map(|o| o.name.as_str())));
            };
            fixed(&space.axes, name)?;
            return Ok(Some(Slot::Output(at)));
        }
        Ok(None)
    }

    fn texts(
        &mut self,
        templates: &BTreeMap<String, At<Template>>,
        space: &Space,
        scope: &Scope<'_>,
    ) -> BTreeMap<String, Text> {
        let mut texts = BTreeMap::new();
        for (name, template) in templates {
            texts.insert(name.clone(), self.compile(template, space, scope));
        }
        texts
    }

    fn path(&mut self, template: &At<Template>, space: &Space) -> Text {
        if let Some(problem) = bad_path(&template.value.text) {
            self.error(&template.span, problem);
        }
        self.compile(template, space, &Scope::Plain)
    }

    fn globs(&mut self, globs: &[At<String>]) -> Vec<GlobMatcher> {
        let mut matchers = Vec::new();
        for glob in globs {
            match Glob::new(glob) {
                Ok(glob) => matchers.push(glob.compile_matcher()),
                Err(problem) => {
                    let error = Error::user(format!("`{}` is not a glob", glob.value))
                        .because(problem)
                        .hint("use `*`, `**`, `?` and `[…]`");
                    self.error(&glob.span, error);
                }
            }
        }
        matchers
    }

    // Inputs and runners.

    fn input(&mut self, input: &manifest::Input) -> Input {
        let (template, exclude) = match &input.place {
            InputPlace::File(path) => (path, None),
            InputPlace::Folder { folder, exclude } => (folder, Some(exclude)),
        };
        let space = self.space_of(template);
        let path = self.path(template, &space);
        let folder = exclude.map(|globs| self.globs(globs));
        let source =
            input.source.as_ref().map(|source| self.compile(source, &space, &Scope::Plain));
        let span = input.name.span.clone();
        Input { name: input.name.value.clone(), space, path, folder, source, span }
    }

    fn input_index(&mut self, reference: &At<Reference>) -> Option<usize> {
        let Reference::Input(name) = &reference.value else {
            let error = Error::user(format!("`{}` is not an input", reference.value))
                .hint("name an input: `input.NAME`");
            self.error(&reference.span, error);
            return None;
        };
        let known = &self.manifest.inputs;
        let found = known.keys().position(|n| n == name);
        if found.is_none() {
            let error = Error::user(format!("no input is called `{name}`"))
                .suggest(name, known.keys().map(String::as_str));
            let error = if error.hints.is_empty() {
                error.hint(format!("declare it: `[input.{name}]`"))
            } else {
                error
            };
            self.error(&reference.span, error);
        }
        found
    }

    fn runner(
        &mut self,
        runner: &manifest::Runner,
        inputs: &[Input],
        ids: &HashMap<RuleName, RuleId>,
    ) -> Runner {
        let start = match &runner.start {
            manifest::Start::Image(name) => Start::Image(name.value.clone()),
            manifest::Start::Program(name) => Start::Program(name.value.clone()),
            manifest::Start::Built { output, known_by } => match self.output_index(output, ids) {
                Some((rule, at)) => {
                    let made_by = &self.manifest.rules.get(&rule_name(output));
                    if made_by.is_some_and(|r| !r.over.is_empty()) {
                        let error = Error::user("a built program comes from a step without axes")
                            .hint("take `over` out of the step that builds it");
                        self.error(&output.span, error);
                    }
                    Start::Built { rule, output: at, known_by: *known_by }
                }
                None => Start::Program(String::new()),
            },
        };
        let mut dirs = Vec::new();
        let mut batch_dir = None;
        for (inside, folder) in &runner.dirs {
            self.inside_path(inside, matches!(start, Start::Image(_)));
            if folder.value == "{batch}" {
                batch_dir = Some(inside.value.clone());
                continue;
            }
            if folder.value != "."
                && let Some(problem) = bad_path(folder)
            {
                self.error(&folder.span, problem);
            }
            dirs.push((inside.value.clone(), folder.value.clone()));
        }
        if matches!(start, Start::Image(_)) {
            if runner.dirs.is_empty() {
                let message = format!("runner `{}` shows its image no folder", runner.name.value);
                let error = Error::user(message)
                    .hint("add `dirs`: folder in the container = folder of the project");
                self.error(&runner.name.span, error);
            }
        } else if dirs.is_empty() {
            dirs.push((".".into(), ".".into()));
        }
        if batch_dir.is_none() && !matches!(start, Start::Image(_)) {
            batch_dir = Some("batch".into());
        }
        let mut overlays = Vec::new();
        for (inside, reference) in &runner.overlays {
            self.inside_path(inside, true);
            if let Some(input) = self.input_index(reference) {
                if inputs[input].folder.is_none() || !inputs[input].space.axes.is_empty() {
                    let error =
                        Error::user("an overlay is an input that is one folder, without axes")
                            .hint("declare the input with `folder`");
                    self.error(&reference.span, error);
                }
                overlays.push((inside.value.clone(), input));
            }
        }
        let mut env = BTreeMap::new();
        for (name, template) in &runner.env {
            let text = self.compile(template, &Space::default(), &Scope::Plain);
            let mut rendered = String::new();
            for slot in &text.slots {
                if let Slot::Text(text) = slot {
                    rendered.push_str(text);
                }
            }
            env.insert(name.clone(), rendered);
        }
        if let Some(axes) = &runner.log.absent_depends_on {
            for axis in axes {
                self.axis_index(axis);
            }
        }
        let list = |values: &[At<String>]| values.iter().map(|v| v.value.clone()).collect();
        let text = |value: &Option<At<String>>| value.as_ref().map(|v| v.value.clone());
        Runner {
            name: runner.name.value.clone(),
            start,
            platform: text(&runner.platform),
            entrypoint: runner.entrypoint.as_ref().map(|e| list(e)),
            dirs,
            batch_dir,
            env,
            pass_env: list(&runner.pass_env),
            workdir: text(&runner.workdir),
            user: text(&runner.user),
            network: text(&runner.network),
            read_only: runner.read_only,
            drop_capabilities: list(&runner.drop_capabilities),
            add_capabilities: list(&runner.add_capabilities),
            overlays,
            memory: runner.memory.as_ref().map(|m| m.value),
            cpus: runner.cpus.as_ref().map(|c| c.value),
            max_runs: runner.max_runs.as_ref().map(|m| m.value),
            timeout: runner.timeout.clone(),
            exit: runner.exit.clone(),
            retries: runner.retries,
            log: Log {
                target: text(&runner.log.target),
                success: text(&runner.log.success),
                failure: text(&runner.log.failure),
                absent: list(&runner.log.absent),
                absent_depends_on: runner.log.absent_depends_on.as_ref().map(|axes| list(axes)),
            },
            span: runner.name.span.clone(),
        }
    }

    fn inside_path(&mut self, inside: &At<String>, image: bool) {
        let problem = if image {
            let whole = inside.starts_with('/') && !inside.split('/').any(|s| s == "..");
            (!whole).then(|| {
                Error::user(format!(
                    "`{}` is not an absolute path inside the container",
                    inside.value
                ))
                .hint("write it from the root, such as `/app/plots`")
            })
        } else if inside.value == "." {
            None
        } else {
            bad_path(inside)
        };
        if let Some(problem) = problem {
            self.error(&inside.span, problem);
        }
    }

    // Rules.

    /// Sorts the rules so that each stands after what it reads; a cycle is shown as its path.
    fn order(&mut self) -> Option<(DiGraph<String, ()>, Vec<RuleName>)> {
        let manifest = self.manifest;
        let mut order = DiGraph::new();
        let mut nodes: BTreeMap<String, NodeIndex> = BTreeMap::new();
        for input in manifest.inputs.keys() {
            let name = format!("input.{input}");
            nodes.insert(name.clone(), order.add_node(name));
        }
        let mut rules = HashMap::new();
        for name in manifest.rules.keys() {
            let node = order.add_node(name.to_string());
            nodes.insert(name.to_string(), node);
            rules.insert(node, name.clone());
        }
        for (name, rule) in &manifest.rules {
            let to = nodes[&name.to_string()];
            let mut from: Vec<String> = Vec::new();
            for reference in rule.inputs.values().chain(rule.joins.values()) {
                from.push(node_name(reference));
            }
            if let Some(runner) = manifest.runners.get(&rule.runner.value) {
                if let manifest::Start::Built { output, .. } = &runner.start {
                    from.push(node_name(output));
                }
                from.extend(runner.overlays.iter().map(|(_, r)| node_name(r)));
            }
            for from in from {
                if let Some(&from) = nodes.get(&from) {
                    order.update_edge(from, to, ());
                }
            }
        }
        for (name, publish) in &manifest.publishes {
            let node = order.add_node(format!("publish.{name}"));
            if let Some(&from) = nodes.get(&publish.of.value.to_string()) {
                order.update_edge(from, node, ());
            }
        }
        let cycles: Vec<Vec<NodeIndex>> = petgraph::algo::tarjan_scc(&order)
            .into_iter()
            .filter(|c| c.len() > 1 || order.contains_edge(c[0], c[0]))
            .collect();
        for cycle in &cycles {
            let path = cycle_path(&order, cycle);
            let first = &manifest.rules[&rules[&path[0]]];
            let names: Vec<&str> = path.iter().map(|&n| order[n].as_str()).collect();
            let message = format!("rules read each other in a circle: {}", names.join(" -> "));
            let error = Error::user(message).hint("let one of them read something else");
            self.error(&first.name.span, error);
        }
        if !cycles.is_empty() {
            return None;
        }
        // Ties are broken by name, so that the order of the Jheemfile means nothing.
        let mut sorted = Vec::new();
        let mut placed: BTreeSet<NodeIndex> =
            nodes.values().copied().filter(|n| !rules.contains_key(n)).collect();
        while sorted.len() < rules.len() {
            let next = manifest.rules.keys().find(|name| {
                let node = nodes[&name.to_string()];
                !placed.contains(&node)
                    && order
                        .neighbors_directed(node, petgraph::Direction::Incoming)
                        .all(|n| placed.contains(&n))
            })?;
            placed.insert(nodes[&next.to_string()]);
            sorted.push(next.clone());
        }
        Some((order, sorted))
    }

    /// The rule and the output index that a reference names.
    fn output_index(
        &mut self,
        reference: &At<Reference>,
        ids: &HashMap<RuleName, RuleId>,
    ) -> Option<(RuleId, usize)> {
        let Reference::Output { rule, output } = &reference.value else {
            let error = Error::user(format!("`{}` is not an output of a step", reference.value))
                .hint("name an output: `step.NAME.OUTPUT`");
            self.error(&reference.span, error);
            return None;
        };
        let Some(written) = self.manifest.rules.get(rule) else {
            let names: Vec<String> = self.manifest.rules.keys().map(|n| n.to_string()).collect();
            let error = Error::user(format!("no rule is called `{rule}`"))
                .suggest(&rule.to_string(), names.iter().map(String::as_str));
            self.error(&reference.span, error);
            return None;
        };
        let Some(at) = written.outputs.keys().position(|o| o == output) else {
            let error = Error::user(format!("`{rule}` has no output `{output}`"))
                .suggest(output, written.outputs.keys().map(String::as_str));
            self.error(&reference.span, error);
            return None;
        };
        Some((*ids.get(rule)?, at))
    }

    fn reads(
        &mut self,
        written: &manifest::Rule,
        space: &Space,
        inputs: &[Input],
        rules: &[Rule],
        ids: &HashMap<RuleName, RuleId>,
    ) -> Vec<Read> {
        let mut reads = Vec::new();
        let all = written
            .inputs
            .iter()
            .map(|(name, reference)| (name, reference, false))
            .chain(written.joins.iter().map(|(name, reference)| (name, reference, true)));
        for (name, reference, join) in all {
            if join && written.inputs.contains_key(name) {
                let error = Error::user(format!("`{name}` is both an input and a join"))
                    .hint("give one of them another name");
                self.error(&reference.span, error);
            }
            let (from, of) = match &reference.value {
                Reference::Input(_) => {
                    let Some(input) = self.input_index(reference) else { continue };
                    (From::Input(input), inputs[input].space.clone())
                }
                Reference::Output { .. } => {
                    let Some((rule, output)) = self.output_index(reference, ids) else { continue };
                    let Some(made_by) = rules.get(rule.0) else { continue };
                    (From::Output { rule, output }, made_by.space.clone())
                }
            };
            let positions: Vec<Option<usize>> =
                of.axes.iter().map(|&axis| space.position(axis)).collect();
            let free: Vec<&str> = of
                .axes
                .iter()
                .zip(&positions)
                .filter(|(_, p)| p.is_none())
                .map(|(&axis, _)| self.axes[axis].name.as_str())
                .collect();
            if !join && !free.is_empty() {
                let error = Error::user(format!(
                    "`{}` has one file for each `{}`, and `{}` is not over it",
                    reference.value, free[0], written.name.value
                ))
                .hint(format!(
                    "add `{}` to `over`, or move it to `joins` to read all of them",
                    free[0]
                ));
                self.error(&reference.span, error);
            } else if join && free.is_empty() {
                let error = Error::user(format!(
                    "`{}` is one file for each cell of `{}`: there is nothing to join",
                    reference.value, written.name.value
                ))
                .hint("move it to `inputs`");
                self.error(&reference.span, error);
            }
            reads.push(Read { name: name.clone(), from, positions, space: of });
        }
        reads
    }

    fn rule(
        &mut self,
        written: &manifest::Rule,
        inputs: &[Input],
        runners: &[Runner],
        rules: &[Rule],
        ids: &HashMap<RuleName, RuleId>,
    ) -> Option<Rule> {
        let mut axes = Vec::new();
        for name in &written.over {
            if let Some(axis) = self.axis_index(name) {
                axes.push(axis);
            }
        }
        let space = self.space(axes);
        let cells = space.sizes.iter().try_fold(1usize, |product, size| product.checked_mul(*size));
        if cells.is_none_or(|cells| cells > MOST_CELLS) {
            let sizes: Vec<String> = space.sizes.iter().map(usize::to_string).collect();
            let message = format!(
                "`{}` has {} cells, more than {MOST_CELLS}",
                written.name.value,
                sizes.join(" x ")
            );
            self.error(
                &written.name.span,
                Error::user(message).hint("take an axis away, or split the rule"),
            );
            return None;
        }
        let Some(runner) =
            self.manifest.runners.keys().position(|name| *name == written.runner.value)
        else {
            let known: Vec<&str> = self.manifest.runners.keys().map(String::as_str).collect();
            let error = Error::user(format!("no runner is called `{}`", written.runner.value))
                .suggest(&written.runner, known);
            let error = if error.hints.is_empty() {
                error.hint(format!("declare it: `[runner.{}]`", written.runner.value))
            } else {
                error
            };
            self.error(&written.runner.span, error);
            return None;
        };
        let reads = self.reads(written, &space, inputs, rules, ids);
        let (outputs, groups) = self.outputs(written, &space, &runners[runner]);
        self.shown(written, &runners[runner], &reads, inputs, rules);
        let batch = written.batch.as_ref().and_then(|b| self.batch(b, &space, &runners[runner]));
        let scope = RuleScope {
            runner: &runners[runner],
            reads: &reads,
            outputs: &outputs,
            batch: batch.as_ref(),
        };
        let scope = Scope::Command { rule: &scope };
        let mut command = Vec::new();
        for argument in &written.command {
            let text = self.compile(argument, &space, &scope);
            self.whole_argument(argument, &text);
            command.push(text);
        }
        let mut arguments: Vec<Vec<Text>> = vec![Vec::new(); groups.len()];
        for output in written.outputs.values() {
            let Some(when) = &output.when else { continue };
            let group = groups
                .iter()
                .position(|g| g.option.as_deref() == Some(when.option.as_str()))
                .expect("a group was made for every option");
            let texts: Vec<Text> =
                when.arguments.iter().map(|a| self.compile(a, &space, &scope)).collect();
            if !arguments[group].is_empty() && arguments[group] != texts {
                let message = format!(
                    "option `{}` adds other arguments to another output",
                    when.option.value
                );
                let error = Error::user(message).hint("give both outputs the same arguments");
                self.error(&when.option.span, error);
            }
            arguments[group] = texts;
        }
        let groups: Vec<Group> = groups
            .into_iter()
            .zip(arguments)
            .map(|(group, arguments)| Group { arguments, ..group })
            .collect();
        if let Some(batch) = &batch
            && !batch.file
        {
            self.mixed(written, &space, batch, &command);
        }
        let audits = self.audits(written, &space, &outputs);
        let absents = self.absents(written, &space);
        let ignore = self.globs(&written.ignore);
        let mut joined: BTreeSet<usize> = BTreeSet::new();
        for read in &reads {
            let free = read.space.axes.iter().zip(&read.positions).filter(|(_, p)| p.is_none());
            joined.extend(free.map(|(&axis, _)| axis));
            if let From::Output { rule, .. } = read.from {
                joined.extend(&rules[rule.0].joined);
            }
        }
        Some(Rule {
            name: written.name.value.clone(),
            space,
            runner,
            reads,
            command,
            batch,
            outputs,
            groups,
            ignore,
            audits,
            absents,
            joined: joined.into_iter().collect(),
            span: written.name.span.clone(),
        })
    }

    /// A join stands alone in its argument, since it becomes many.
    fn whole_argument(&mut self, argument: &At<Template>, text: &Text) {
        let join = text.slots.iter().any(|s| matches!(s, Slot::Join(_)));
        if join && text.slots.len() > 1 {
            let error = Error::user("a join becomes many arguments, so it stands alone in one")
                .hint("split the argument, or use `{join.NAME.file}`");
            self.error(&argument.span, error);
        }
    }

    /// Without a batch file, every axis that is not fixed must be named by the command.
    fn mixed(&mut self, written: &manifest::Rule, space: &Space, batch: &Batch, command: &[Text]) {
        for position in 0..space.axes.len() {
            let listed = command.iter().any(|t| t.slots.contains(&Slot::List(position)));
            if !batch.by.contains(&position) && !listed {
                let axis = self.axes[space.axes[position]].name.clone();
                let error = Error::user(format!(
                    "the command of `{}` does not say which `{axis}` it makes",
                    written.name.value
                ))
                .hint(format!("add an argument `{{list:{axis}}}`, or add `{axis}` to `batch.by`"));
                self.error(&written.name.span, error);
            }
        }
    }

    fn batch(&mut self, batch: &manifest::Batch, space: &Space, runner: &Runner) -> Option<Batch> {
        let mut by = Vec::new();
        for name in &batch.by {
            let Some(axis) = self.axis_index(name) else { continue };
            match space.position(axis) {
                Some(position) => by.push(position),
                None => {
                    let error = Error::user(format!("the rule is not over `{}`", name.value))
                        .hint("batch by an axis of `over`");
                    self.error(&name.span, error);
                }
            }
        }
        if let Some(file) = &batch.file
            && runner.batch_dir.is_none()
        {
            let message = format!("runner `{}` shows no folder for the batch file", runner.name);
            let error = Error::user(message)
                .hint("add a folder to its `dirs`: `\"/app/configs\" = \"{batch}\"`");
            self.error(&file.span, error);
        }
        let mut fields = Vec::new();
        for &axis in &space.axes {
            let name = self.axes[axis].name.as_str();
            let field = match batch.fields.get(name) {
                Some(field) => field.value.clone(),
                // The original container names what it takes many of in the plural.
                None if batch.file.is_some() && !batch.by.iter().any(|b| b.value == name) => {
                    format!("{name}s")
                }
                None => name.to_owned(),
            };
            fields.push(field);
        }
        for (name, field) in &batch.fields {
            let name = At { value: name.clone(), span: field.span.clone() };
            if let Some(axis) = self.axis_index(&name)
                && space.position(axis).is_none()
            {
                let error = Error::user(format!("the rule is not over `{}`", name.value));
                self.error(&field.span, error.hint("name an axis of `over`"));
            }
        }
        let size = batch.size.as_ref().map(|s| usize::try_from(s.value).unwrap_or(usize::MAX));
        Some(Batch { by, file: batch.file.is_some(), fields, size })
    }

    fn outputs(
        &mut self,
        written: &manifest::Rule,
        space: &Space,
        runner: &Runner,
    ) -> (Vec<Output>, Vec<Group>) {
        let mut groups = vec![Group { option: None, arguments: Vec::new(), outputs: Vec::new() }];
        let mut outputs = Vec::new();
        for (index, output) in written.outputs.values().enumerate() {
            let path = self.path(&output.path, space);
            let kind = match As::parse(&output.kind) {
                Ok(kind) => kind,
                Err(message) => {
                    self.error(&output.kind.span, Error::user(message));
                    As::BYTES
                }
            };
            let mut volatile = Vec::new();
            for pointer in &output.volatile {
                match Pointer::parse(pointer) {
                    Ok(pointer) => volatile.push(pointer),
                    Err(message) => self.error(&pointer.span, Error::user(message)),
                }
            }
            if !output.volatile.is_empty() && !kind.has_values() {
                let message =
                    format!("an output read `as = \"{}\"` has no pointers", output.kind.value);
                let error = Error::user(message).hint("take `volatile` out, or read it as `json`");
                self.error(&output.volatile[0].span, error);
            }
            let group = match &output.when {
                None => 0,
                Some(when) => {
                    let option = when.option.value.clone();
                    let known = groups.iter().position(|g| g.option.as_ref() == Some(&option));
                    known.unwrap_or_else(|| {
                        groups.push(Group {
                            option: Some(option),
                            arguments: Vec::new(),
                            outputs: Vec::new(),
                        });
                        groups.len() - 1
                    })
                }
            };
            groups[group].outputs.push(index);
            if space.cells() > 0 && runner.inside(&self.first_path(&path, space)).is_none() {
                let message = format!(
                    "runner `{}` shows no folder that holds the output `{}`",
                    runner.name, output.name.value
                );
                let error = Error::user(message)
                    .hint("add the folder to its `dirs`, or move the output below one of them");
                self.error(&output.path.span, error);
            }
            outputs.push(Output {
                name: output.name.value.clone(),
                path,
                kind,
                volatile,
                group,
                optional: output.optional,
                executable: output.executable,
                unique: output.unique,
            });
        }
        if groups[0].outputs.is_empty() {
            let message = format!("`{}` has no output that is always made", written.name.value);
            let error = Error::user(message).hint("give one of its outputs no `when`");
            self.error(&written.name.span, error);
        }
        (outputs, groups)
    }

    /// The path in the first cell, to ask which folder holds it.
    fn first_path(&self, text: &Text, space: &Space) -> String {
        let mut path = String::new();
        for slot in &text.slots {
            match slot {
                Slot::Text(text) => path.push_str(text),
                Slot::Value(position) => {
                    path.push_str(&self.axes[space.axes[*position]].values[0]);
                }
                Slot::Label { position, label } => {
                    path.push_str(&self.axes[space.axes[*position]].labels[*label].1[0]);
                }
                _ => {}
            }
        }
        path
    }

    /// Everything that is read must stand in a folder that the run sees.
    fn shown(
        &mut self,
        written: &manifest::Rule,
        runner: &Runner,
        reads: &[Read],
        inputs: &[Input],
        rules: &[Rule],
    ) {
        for read in reads {
            if read.space.cells() == 0 {
                continue;
            }
            let path = match read.from {
                From::Input(input) => self.first_path(&inputs[input].path, &read.space),
                From::Output { rule, output } => {
                    self.first_path(&rules[rule.0].outputs[output].path, &read.space)
                }
            };
            if runner.inside(&path).is_none() {
                let written = written.inputs.get(&read.name).or(written.joins.get(&read.name));
                let Some(reference) = written else { continue };
                let message = format!(
                    "runner `{}` shows no folder that holds `{}`",
                    runner.name, reference.value
                );
                let error =
                    Error::user(message).hint(format!("add the folder of `{path}` to its `dirs`"));
                self.error(&reference.span, error);
            }
        }
    }

    fn audits(
        &mut self,
        written: &manifest::Rule,
        space: &Space,
        outputs: &[Output],
    ) -> Vec<Audit> {
        let mut audits = Vec::new();
        for audit in &written.audits {
            let Some(output) = outputs.iter().position(|o| o.name == audit.output.value) else {
                let error = Error::user(format!("no output is called `{}`", audit.output.value))
                    .suggest(&audit.output, outputs.iter().map(|o| o.name.as_str()));
                self.error(&audit.output.span, error);
                continue;
            };
            for check in &audit.checks {
                if !outputs[output].kind.has_values()
                    && !matches!(check.value, manifest::Check::Size { .. })
                {
                    let message = format!(
                        "output `{}` is read as bytes: it has no pointers",
                        audit.output.value
                    );
                    let error = Error::user(message).hint("give the output `as = \"json\"`");
                    self.error(&check.span, error);
                    continue;
                }
                match self.check(check, space) {
                    Ok(check) => audits.push(Audit { output, check }),
                    Err(message) => self.error(&check.span, Error::user(message)),
                }
            }
        }
        audits
    }

    fn check(&mut self, check: &At<manifest::Check>, space: &Space) -> Result<Check, String> {
        if let manifest::Check::Equals { at, value: Scalar::Text(template) } = &check.value
            && template.holes().next().is_some()
        {
            let at = Pointer::parse(at)?;
            let template = At { value: template.clone(), span: check.span.clone() };
            return Ok(Check::Equals { at, text: self.compile(&template, space, &Scope::Plain) });
        }
        concrete(&check.value).map(Check::Fixed)
    }

    fn absents(&mut self, written: &manifest::Rule, space: &Space) -> Vec<Vec<(usize, Vec<bool>)>> {
        let mut absents = Vec::new();
        for entry in &written.absents {
            let mut masks = Vec::new();
            for (name, patterns) in &entry.value {
                let name = At { value: name.clone(), span: patterns.span.clone() };
                let Some(axis) = self.axis_index(&name) else { continue };
                let Some(position) = space.position(axis) else {
                    let message = format!("`{}` is not over `{}`", written.name.value, name.value);
                    self.error(&patterns.span, Error::user(message).hint("name an axis of `over`"));
                    continue;
                };
                let mask = self.mask(axis, &patterns.value);
                masks.push((position, mask));
            }
            if masks.is_empty() && entry.value.is_empty() {
                let error = Error::user("this would declare every cell absent")
                    .hint("name at least one axis");
                self.error(&entry.span, error);
            }
            absents.push(masks);
        }
        absents
    }

    // Publishes.

    fn publish(
        &mut self,
        written: &manifest::Publish,
        rules: &[Rule],
        ids: &HashMap<RuleName, RuleId>,
    ) -> Option<Publish> {
        let Some(&of) = ids.get(&written.of.value) else {
            let names: Vec<String> = ids.keys().map(RuleName::to_string).collect();
            let error = Error::user(format!("no rule is called `{}`", written.of.value))
                .suggest(&written.of.value.to_string(), names.iter().map(String::as_str));
            self.error(&written.of.span, error);
            return None;
        };
        let rule = &rules[of.0];
        let mut objects: Vec<PublishObject> = Vec::new();
        for object in written.objects.values() {
            let Some(output) = self.published_output(&object.output, rule) else { continue };
            let scope =
                |uncompared| Scope::Published { outputs: &rule.outputs, row: false, uncompared };
            let key = self.compile(&object.key, &rule.space, &scope(false));
            if let Some(Slot::Pointed { .. }) =
                key.slots.iter().find(|s| matches!(s, Slot::Pointed { .. }))
            {
                let error = Error::user("a key comes from the cell, not from what was made")
                    .hint("use the axes");
                self.error(&object.key.span, error);
            }
            self.check_volatile_fields(&object.metadata, rule);
            objects.push(PublishObject {
                output,
                to: object.to.value.clone(),
                key,
                content_type: object.content_type.as_ref().map(|c| c.value.clone()),
                content_encoding: object.content_encoding.as_ref().map(|c| c.value.clone()),
                cache_control: object.cache_control.as_ref().map(|c| c.value.clone()),
                metadata: self.texts(&object.metadata, &rule.space, &scope(false)),
                uncompared: self.texts(&object.uncompared, &rule.space, &scope(true)),
                span: object.output.span.clone(),
            });
        }
        let mut rows = Vec::new();
        for row in written.rows.values() {
            let Some(output) = self.published_output(&row.output, rule) else { continue };
            let object = objects.iter().position(|o| o.output == output);
            let hash = (row.hash.0.clone(), self.attribute(&row.hash.1, rule, false, true));
            let range = row
                .range
                .as_ref()
                .map(|(name, value)| (name.clone(), self.attribute(value, rule, false, true)));
            let mut item = BTreeMap::new();
            for (name, value) in &row.item {
                item.insert(name.clone(), self.attribute(value, rule, false, false));
            }
            let mut uncompared = BTreeMap::new();
            for (name, value) in &row.uncompared {
                uncompared.insert(name.clone(), self.attribute(value, rule, true, false));
            }
            let all = [&hash.1].into_iter().chain(item.values()).chain(uncompared.values());
            let speaks = all.into_iter().any(Attribute::speaks_of_object);
            if object.is_none() && speaks {
                let error = Error::user(format!(
                    "this row speaks of an object, and output `{}` has none here",
                    row.output.value
                ))
                .hint(format!(
                    "add `[publish.{}.object.{}]`",
                    written.name.value, row.output.value
                ));
                self.error(&row.output.span, error);
            }
            rows.push(PublishRow {
                output,
                to: row.to.value.clone(),
                object,
                hash,
                range,
                item,
                uncompared,
                span: row.output.span.clone(),
            });
        }
        let span = written.name.span.clone();
        Some(Publish { name: written.name.value.clone(), of, objects, rows, span })
    }

    fn published_output(&mut self, name: &At<String>, rule: &Rule) -> Option<usize> {
        let found = rule.outputs.iter().position(|o| o.name == name.value);
        if found.is_none() {
            let error = Error::user(format!("`{}` has no output `{}`", rule.name, name.value))
                .suggest(name, rule.outputs.iter().map(|o| o.name.as_str()));
            self.error(&name.span, error);
        }
        found
    }

    /// What is compared may not come from what is volatile: it would differ on every run.
    fn check_volatile_fields(&mut self, fields: &BTreeMap<String, At<Template>>, rule: &Rule) {
        for template in fields.values() {
            for (hole, at) in template.holes() {
                let Some((output, pointer)) = hole.split_once(':') else { continue };
                let Some(output) = rule.outputs.iter().find(|o| o.name == output) else { continue };
                let Ok(pointer) = Pointer::parse(pointer) else { continue };
                if output.volatile.iter().any(|v| v.covers(&pointer)) {
                    let span = hole_span(&self.manifest.source.text, template, &at);
                    let error = Error::user(format!(
                        "`{{{hole}}}` is volatile, and this field is compared"
                    ))
                    .hint("move the field to `uncompared`")
                    .at(&self.manifest.source, span);
                    self.errors.push(error);
                }
            }
        }
    }

    fn attribute(
        &mut self,
        written: &At<manifest::Attribute>,
        rule: &Rule,
        uncompared: bool,
        key: bool,
    ) -> Attribute {
        let scope = Scope::Published { outputs: &rule.outputs, row: true, uncompared };
        let mut text = |template: &Template| {
            let template = At { value: template.clone(), span: written.span.clone() };
            if !uncompared {
                let fields = BTreeMap::from([(String::new(), template.clone())]);
                self.check_volatile_fields(&fields, rule);
            }
            let text = self.compile(&template, &rule.space, &scope);
            if key
                && !text.slots.iter().all(|s| {
                    matches!(
                        s,
                        Slot::Text(_)
                            | Slot::Value(_)
                            | Slot::Label { .. }
                            | Slot::File
                            | Slot::Path
                    )
                })
            {
                let error = Error::user("a row's key comes from the cell, not from what was made")
                    .hint("use the axes");
                self.error(&template.span, error);
            }
            text
        };
        match &written.value {
            manifest::Attribute::S(template) => Attribute::S(text(template)),
            manifest::Attribute::N(template) => Attribute::N(text(template)),
            manifest::Attribute::Bool(value) => Attribute::Bool(*value),
            manifest::Attribute::Null => Attribute::Null,
            manifest::Attribute::L(items) => Attribute::L(
                items
                    .iter()
                    .map(|item| {
                        let item = At { value: item.clone(), span: written.span.clone() };
                        self.attribute(&item, rule, uncompared, key)
                    })
                    .collect(),
            ),
            manifest::Attribute::M(items) => Attribute::M(
                items
                    .iter()
                    .map(|(name, item)| {
                        let item = At { value: item.clone(), span: written.span.clone() };
                        (name.clone(), self.attribute(&item, rule, uncompared, key))
                    })
                    .collect(),
            ),
        }
    }
}

impl Attribute {
    /// Whether it needs the object that its row registers.
    pub fn speaks_of_object(&self) -> bool {
        let in_text = |text: &Text| {
            text.slots
                .iter()
                .any(|s| matches!(s, Slot::ObjectKey | Slot::ObjectSize | Slot::ObjectUrl))
        };
        match self {
            Attribute::S(text) | Attribute::N(text) => in_text(text),
            Attribute::Bool(_) | Attribute::Null => false,
            Attribute::L(items) => items.iter().any(Attribute::speaks_of_object),
            Attribute::M(items) => items.values().any(Attribute::speaks_of_object),
        }
    }
}

impl Scope<'_> {
    /// The names of the holes beside axes, for hints.
    fn known(&self) -> Vec<&'static str> {
        match self {
            Scope::Plain => vec![],
            Scope::Command { .. } => {
                vec![
                    "batch.file",
                    "dir:FOLDER",
                    "list:AXIS",
                    "input.NAME",
                    "output.NAME",
                    "join.NAME",
                ]
            }
            Scope::Published { row, uncompared, .. } => {
                let mut known = vec!["file", "path", "OUTPUT:/pointer"];
                if *row {
                    known.extend(["object.key", "object.size", "object.url"]);
                }
                if *uncompared {
                    known.extend(["now", "preset"]);
                }
                known
            }
        }
    }
}

fn published_slot(
    name: &str,
    outputs: &[Output],
    row: bool,
    uncompared: bool,
) -> Result<Option<Slot>, Error> {
    let slot = match name {
        "file" => Slot::File,
        "path" => Slot::Path,
        "object.key" if row => Slot::ObjectKey,
        "object.size" if row => Slot::ObjectSize,
        "object.url" if row => Slot::ObjectUrl,
        "now" if uncompared => Slot::Now,
        "preset" if uncompared => Slot::Preset,
        "now" | "preset" => {
            return Err(Error::user(format!(
                "`{{{name}}}` differs from run to run, and this field is compared"
            ))
            .hint("move the field to `uncompared`"));
        }
        _ => match name.split_once(':') {
            Some((output, pointer)) => {
                let Some(at) = outputs.iter().position(|o| o.name == output) else {
                    return Err(Error::user(format!("no output is called `{output}`"))
                        .suggest(output, outputs.iter().map(|o| o.name.as_str())));
                };
                if !outputs[at].kind.has_values() {
                    return Err(Error::user(format!("output `{output}` has no pointers"))
                        .hint("give it `as = \"json\"`"));
                }
                Slot::Pointed { output: at, pointer: Pointer::parse(pointer).map_err(Error::user)? }
            }
            None => return Ok(None),
        },
    };
    Ok(Some(slot))
}

/// A check without holes, as the audit takes it.
fn concrete(check: &manifest::Check) -> Result<audit::Check, String> {
    let pointer = |text: &String| Pointer::parse(text);
    let scalar = |scalar: &Scalar| match scalar {
        Scalar::Text(template) => audit::Scalar::Text(plain_text(template)),
        Scalar::Number(text) => audit::Scalar::Number(text.clone()),
        Scalar::Bool(value) => audit::Scalar::Bool(*value),
    };
    Ok(match check {
        manifest::Check::Equals { at, value } => {
            audit::Check::Equals { at: pointer(at)?, value: scalar(value) }
        }
        manifest::Check::Required { at } => audit::Check::Required { at: pointer(at)? },
        manifest::Check::Items { at, min, max } => {
            audit::Check::Items { at: pointer(at)?, min: *min, max: *max }
        }
        manifest::Check::Finite { at } => audit::Check::Finite { at: pointer(at)? },
        manifest::Check::Range { at, min, max } => {
            audit::Check::Range { at: pointer(at)?, min: *min, max: *max }
        }
        manifest::Check::Ordered { lower, upper } => {
            audit::Check::Ordered { lower: pointer(lower)?, upper: pointer(upper)? }
        }
        manifest::Check::Contains { at, values } => {
            audit::Check::Contains { at: pointer(at)?, values: values.iter().map(scalar).collect() }
        }
        manifest::Check::SameLength { at } => {
            audit::Check::SameLength { at: at.iter().map(pointer).collect::<Result<_, _>>()? }
        }
        manifest::Check::Size { min, max } => audit::Check::Size { min: *min, max: *max },
    })
}

/// A template without holes, its doubled braces resolved.
fn plain_text(template: &Template) -> String {
    template
        .pieces
        .iter()
        .filter_map(|piece| match piece {
            Piece::Text(text) => Some(text.as_str()),
            Piece::Hole { .. } => None,
        })
        .collect()
}

fn rule_name(reference: &Reference) -> RuleName {
    match reference {
        Reference::Output { rule, .. } => rule.clone(),
        Reference::Input(name) => RuleName { kind: manifest::RuleKind::Step, name: name.clone() },
    }
}

fn node_name(reference: &Reference) -> String {
    match reference {
        Reference::Input(name) => format!("input.{name}"),
        Reference::Output { rule, .. } => rule.to_string(),
    }
}

/// The nodes of a cycle in the order in which they read each other, the first again at the end.
fn cycle_path(order: &DiGraph<String, ()>, cycle: &[NodeIndex]) -> Vec<NodeIndex> {
    let start = *cycle.iter().min_by_key(|&&n| &order[n]).expect("a cycle has nodes");
    let mut path = vec![start];
    let mut seen = BTreeSet::from([start]);
    let mut at = start;
    loop {
        let mut next: Vec<NodeIndex> = order.neighbors(at).filter(|n| cycle.contains(n)).collect();
        next.sort_by_key(|&n| &order[n]);
        if at != start && next.contains(&start) || next.first() == Some(&start) {
            path.push(start);
            return path;
        }
        match next.into_iter().find(|n| seen.insert(*n)) {
            Some(n) => {
                path.push(n);
                at = n;
            }
            // A strongly connected part has a way back to its start from everywhere; this branch
            // only ends the walk if the greedy way ran into a dead end.
            None => return path,
        }
    }
}

/// Where a hole of a template stands in the Jheemfile; the whole text if escapes hide it.
pub fn hole_span(text: &str, template: &At<Template>, at: &Span) -> Span {
    let written = text.get(template.span.clone()).unwrap_or("");
    match written.find(&template.value.text) {
        Some(offset) if !template.value.text.is_empty() => {
            let start = template.span.start + offset;
            start + at.start..start + at.end
        }
        _ => template.span.clone(),
    }
}

/// The parts of a value in alphabetical order, if the axis says that their order means nothing.
fn sorted_parts(value: &str, joined_by: &Option<At<String>>) -> String {
    match joined_by {
        Some(separator) => {
            let mut parts: Vec<&str> = value.split(separator.as_str()).collect();
            parts.sort_unstable();
            parts.join(separator)
        }
        None => value.to_owned(),
    }
}

fn not_a_value(
    value: &str,
    axis: &str,
    values: &[String],
    joined_by: &Option<At<String>>,
) -> Error {
    let error = Error::user(format!("`{value}` is not a value of the axis `{axis}`"));
    let same = sorted_parts(value, joined_by);
    match values.iter().find(|v| sorted_parts(v, joined_by) == same) {
        Some(near) => error.hint(format!("did you mean `{near}`? it has the same parts")),
        None => error.suggest(value, values.iter().map(String::as_str)),
    }
}

/// Why a text cannot be part of a file's name.
fn cannot_name_a_file(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        Some("it is empty")
    } else if text.contains('/') || text.contains('\\') {
        Some("it holds a slash")
    } else if text == "." || text == ".." {
        Some("it names a folder")
    } else if text.chars().any(char::is_control) {
        Some("it holds a control character")
    } else if text.len() > 200 {
        Some("it is longer than 200 bytes")
    } else {
        None
    }
}

/// Why a text is no path within the project.
pub fn bad_path(path: &str) -> Option<Error> {
    if path.is_empty() {
        return Some(
            Error::user("the path is empty").hint("name a file below the project's folder"),
        );
    }
    if path.starts_with('/') || path.starts_with('~') {
        return Some(
            Error::user(format!("`{path}` is an absolute path"))
                .hint("write it from the project's folder"),
        );
    }
    for segment in path.split('/') {
        let problem = match segment {
            ".." => Some("leads out of its folder with `..`"),
            "" => Some("has an empty part"),
            "." => Some("has a part `.`"),
            _ if segment.chars().any(char::is_control) => Some("holds a control character"),
            _ => None,
        };
        if let Some(problem) = problem {
            let error = Error::user(format!("`{path}` {problem}"));
            return Some(error.hint("write a plain path from the project's folder"));
        }
    }
    if path == "cache" || path.starts_with("cache/") {
        return Some(
            Error::user(format!("`{path}` lies in jheem's own folder `cache`"))
                .hint("use another folder"),
        );
    }
    None
}
