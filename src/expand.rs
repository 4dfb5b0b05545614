//! From what was written to what is meant: looks every name up and builds the graph.
//!
//! Pure but for one question, the text of the files that axes take their values from, which the
//! caller answers. Collects all mistakes; a graph is returned only if there are none.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::error::{Error, Span};
use crate::graph::{Axis, Batch, Graph, Output, Publish, Read, Rule, RuleId, Runner};
use crate::manifest::{At, Manifest, RuleName};

mod axes;
mod media;
mod names;
mod publishes;
mod rules;
mod runners;
mod templates;

pub use names::bad_path;

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
    let graph = graph(manifest, file_text)?;
    check(&graph)?;
    Ok(graph)
}

/// Whether every file and key of a graph is one target's alone.
pub fn check(graph: &Graph) -> Result<(), Vec<Error>> {
    let errors = crate::collisions::check(graph);
    if errors.is_empty() { Ok(()) } else { Err(by_place(errors)) }
}

fn by_place(mut errors: Vec<Error>) -> Vec<Error> {
    errors.sort_by_key(|e| e.places.first().map(|p| (p.span.start, p.span.end)));
    errors
}

/// Builds the graph and looks at no cell: `check` is still to be asked.
pub fn graph(
    manifest: &Manifest,
    file_text: &dyn Fn(&str) -> Result<String, Error>,
) -> Result<Graph, Vec<Error>> {
    let mut expansion = Expansion { manifest, errors: Vec::new(), axes: Vec::new() };
    match expansion.graph(file_text) {
        Some(graph) if expansion.errors.is_empty() => Ok(graph),
        _ => Err(by_place(expansion.errors)),
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
}
