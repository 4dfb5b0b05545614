//! From what was written to what is meant: looks every name up and builds the graph.
//!
//! Pure but for one question, the text of the files that axes take their values from, which the
//! caller answers. All mistakes are told at once: what is wrong is left out, what can be compiled
//! is, and what is broken is remembered, so that nothing is said that only follows from it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::error::{Error, Source, Span};
use crate::graph::{Axis, Batch, Graph, Input, Output, Read, Rule, RuleId, Runner};
use crate::manifest::{Broken, Manifest, RuleName};
use crate::read::{Reading, in_order, reading, unmuted};

mod axes;
mod media;
mod names;
mod order;
mod publishes;
mod rules;
mod runners;
mod templates;

pub use names::bad_path;
use names::{or_declare, or_one_of};

/// More cells than this in one rule is taken for a mistake.
pub const MOST_CELLS: usize = 10_000_000;

/// Answers with the text of a project file that values of axes come from.
pub type Files<'f> = &'f dyn Fn(&str) -> Result<String, Error>;

/// Reads a Jheemfile, with a profile laid over it, and builds its graph: `check` is still to be asked.
///
/// # Errors
/// All its mistakes, those that `check` would find among them, in the order of their places.
pub fn open(
    source: &Arc<Source>,
    profile: Option<&str>,
    files: Files<'_>,
) -> Result<(Manifest, Graph), Vec<Error>> {
    let Reading { manifest, errors: mut told, muted } = reading(source, profile);
    let Some(manifest) = manifest else { return Err(in_order(source, told)) };
    match graph(&manifest, files, !told.is_empty()) {
        Ok(graph) if told.is_empty() => return Ok((manifest, graph)),
        Ok(_) => {}
        Err(errors) => told.extend(unmuted(errors, &muted)),
    }
    Err(in_order(source, told))
}

/// Builds the graph of a Jheemfile that was read without a mistake, and checks it.
///
/// # Errors
/// All mistakes of what it means.
pub fn expand(manifest: &Manifest, files: Files<'_>) -> Result<Graph, Vec<Error>> {
    let graph =
        graph(manifest, files, false).map_err(|errors| in_order(&manifest.source, errors))?;
    check(&graph)?;
    Ok(graph)
}

/// Whether every file and key of a graph is one target's alone.
///
/// # Errors
/// All that are not.
pub fn check(graph: &Graph) -> Result<(), Vec<Error>> {
    let errors = crate::collisions::check(graph, &Broken::default());
    if errors.is_empty() { Ok(()) } else { Err(in_order(&graph.source, errors)) }
}

/// Builds the graph; only if something is wrong with it, or was before, looks at its cells.
fn graph(manifest: &Manifest, files: Files<'_>, wrong: bool) -> Result<Graph, Vec<Error>> {
    let mut expansion = Expansion {
        manifest,
        files,
        texts: HashMap::new(),
        errors: Vec::new(),
        axes: Vec::new(),
        broken: manifest.broken.clone(),
        vague: false,
        missed: BTreeSet::new(),
    };
    let graph = expansion.graph();
    let Expansion { mut errors, broken, .. } = expansion;
    if wrong || !errors.is_empty() {
        errors.extend(crate::collisions::check(&graph, &broken));
    } else if !broken.is_empty() {
        errors.push(Error::bug("something is left out of the graph, and no mistake was told"));
    }
    if errors.is_empty() { Ok(graph) } else { Err(errors) }
}

struct Expansion<'a> {
    manifest: &'a Manifest,
    files: Files<'a>,
    /// The texts of files that were asked for; none for one that cannot be had.
    texts: HashMap<String, Option<Arc<str>>>,
    errors: Vec<Error>,
    /// Those that are declared, and then those that are only asked for, which have no values.
    axes: Vec<Axis>,
    /// What could not be read in whole, or whose names and cells are not what was meant.
    broken: Broken,
    /// Whether what is looked at may have more than is known of it, so that what it lacks is not told.
    vague: bool,
    /// Axes of which it was told that this rule or publish is not over them.
    missed: BTreeSet<usize>,
}

/// What a template may hold, beside the axes of its space.
enum Scope<'a> {
    Plain,
    /// The path of an input, which has the axes that it names.
    Input,
    /// Where an input comes from: with the axes of its path.
    Source,
    /// The environment of a runner, which is of no cell.
    Env,
    /// What must be baked into an image, which may name the release of an input.
    Baked {
        inputs: &'a [Input],
    },
    Command {
        rule: &'a RuleScope<'a>,
    },
    Published {
        outputs: &'a [Output],
        row: bool,
        uncompared: bool,
    },
}

/// What the holes of a command can name.
struct RuleScope<'a> {
    /// None if it is unknown or broken.
    runner: Option<&'a Runner>,
    reads: &'a [Read],
    outputs: &'a [Output],
    batch: Option<&'a Batch>,
}

impl Expansion<'_> {
    fn error(&mut self, span: &Span, error: Error) {
        self.errors.push(error.at(&self.manifest.source, span.clone()));
    }

    fn graph(&mut self) -> Graph {
        let manifest = self.manifest;
        for axis in manifest.axes.values() {
            let axis = self.axis(axis);
            self.axes.push(axis);
        }
        let mut inputs = Vec::new();
        for input in manifest.inputs.values() {
            inputs.push(self.input(input));
        }
        let (order, sorted) = self.order();
        let ids: HashMap<RuleName, RuleId> =
            sorted.iter().enumerate().map(|(i, name)| (name.clone(), RuleId(i))).collect();
        let mut runners = Vec::new();
        for runner in manifest.runners.values() {
            runners.push(self.runner(runner, &inputs, &ids));
        }
        let mut rules: Vec<Rule> = Vec::new();
        for name in &sorted {
            let rule = self.rule(&manifest.rules[name], &inputs, &runners, &rules, &ids);
            rules.push(rule);
        }
        let mut publishes = Vec::new();
        let mut places = BTreeMap::new();
        for name in self.publish_order() {
            if let Some(publish) = self.publish(&manifest.publishes[&name], &rules, &ids, &places) {
                places.insert(name, publishes.len());
                publishes.push(publish);
            }
        }
        self.vague = false;
        let mut presets = BTreeMap::new();
        for (name, preset) in &manifest.presets {
            let preset = self.preset(preset);
            presets.insert(name.clone(), preset);
        }
        self.options(&rules);
        self.goals();
        Graph {
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
        }
    }

    /// A preset asks for options that outputs are made by.
    fn options(&mut self, rules: &[Rule]) {
        let options: BTreeSet<&str> = rules
            .iter()
            .flat_map(|r| r.groups.iter().filter_map(|g| g.option.as_deref()))
            .collect();
        // A rule that was not read in whole may have any option.
        if ["step", "plot"].iter().any(|table| self.manifest.broken.has_any(table)) {
            return;
        }
        for preset in self.manifest.presets.values() {
            for option in preset.with.iter().filter(|o| !options.contains(o.as_str())) {
                let message = format!("no output is made by an option `{}`", option.value);
                let none =
                    format!("give an output `when = {{ option = \"{}\", … }}`", option.value);
                let known = options.iter().copied();
                let error = or_one_of(Error::user(message), option, known, &none);
                self.error(&option.span, error);
            }
        }
    }

    /// A goal of the Jheemfile names a rule or a publish; paths and globs are for the command line.
    fn goals(&mut self) {
        let manifest = self.manifest;
        let rules = manifest.rules.keys().map(RuleName::to_string);
        let publishes = manifest.publishes.keys().map(|name| format!("publish.{name}"));
        let names: BTreeSet<String> = rules.chain(publishes).collect();
        let goal_lists = manifest.presets.values().map(|p| &p.goals);
        for goal in goal_lists.chain([&manifest.project.default]).flatten() {
            if !names.contains(&goal.value) && !manifest.broken.has(goal) {
                let message = format!("no rule or publish is called `{}`", goal.value);
                let names = names.iter().map(String::as_str);
                let error = or_declare(Error::user(message), goal, names, goal);
                self.error(&goal.span, error);
            }
        }
    }
}
