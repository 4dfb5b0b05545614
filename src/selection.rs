//! What was asked for: goals, `--where`, presets and options, as marks on the cells of the graph.
//!
//! Selection chooses goals, never members of a join: what a goal needs, it needs whole.

use std::collections::{BTreeMap, BTreeSet};

use globset::{Glob, GlobMatcher};

use crate::error::Error;
use crate::graph::{From, Graph, RuleId, Start, Target};
use crate::pattern;

/// What the command line asks for.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Names of rules and publishes, output paths, or globs of output paths.
    pub goals: Vec<String>,
    /// `axis=pattern`, several for one axis are a union.
    pub filters: Vec<String>,
    pub presets: Vec<String>,
    /// Options that are asked for beside the presets' own.
    pub with: Vec<String>,
    /// The folder of the project that paths are relative to, where it is not the project's own.
    pub folder: String,
}

/// The marks: for each cell of each rule, a bit for each group of outputs that is wanted.
#[derive(Clone, Debug)]
pub struct Selection {
    /// By rule and cell; bit 0 is the unconditional outputs; 0 means not wanted.
    pub wanted: Vec<Vec<u32>>,
    /// The cells that were asked for themselves, not only needed by others.
    pub goals: Vec<Vec<bool>>,
    /// Publishes that are asked for.
    pub publishes: Vec<bool>,
    /// Presets in force, for fields that name them.
    pub presets: Vec<String>,
}

impl Selection {
    pub fn wants(&self, target: Target) -> u32 {
        self.wanted[target.rule.0][target.cell]
    }

    /// The same for a command that publishes: if no goal is a publish, rules and paths mean what publishes them.
    pub fn publishing(self, graph: &Graph) -> Result<Selection, Error> {
        let mut asked = self.asked(graph)?;
        asked.earlier(graph);
        Ok(asked)
    }

    fn asked(mut self, graph: &Graph) -> Result<Selection, Error> {
        if !self.publishes.contains(&true) {
            for (publish, asked) in graph.publishes.iter().zip(&mut self.publishes) {
                *asked = self.goals[publish.of.0].contains(&true);
            }
        }
        if self.publishes.contains(&true) {
            return Ok(self);
        }
        let names: Vec<String> =
            graph.publishes.iter().map(|p| format!("`publish.{}`", p.name)).collect();
        let error = Error::user("nothing publishes what was asked for");
        Err(error.hint(match names.is_empty() {
            true => "declare a `[publish.NAME]` in the Jheemfile".to_owned(),
            false => format!("the Jheemfile declares {}", names.join(", ")),
        }))
    }

    /// Who publishes something publishes what it comes after before: all of it that is needed.
    fn earlier(&mut self, graph: &Graph) {
        for (index, publish) in graph.publishes.iter().enumerate().rev() {
            if !self.publishes[index] || !self.goals[publish.of.0].contains(&true) {
                continue;
            }
            for &earlier in &publish.after {
                self.publishes[earlier] = true;
                let of = graph.publishes[earlier].of.0;
                for (goal, wanted) in self.goals[of].iter_mut().zip(&self.wanted[of]) {
                    *goal |= *wanted != 0;
                }
            }
        }
    }

    /// All wanted targets in topological order.
    pub fn targets(&self) -> impl Iterator<Item = Target> + '_ {
        self.wanted.iter().enumerate().flat_map(|(rule, cells)| {
            cells
                .iter()
                .enumerate()
                .filter(|(_, groups)| **groups != 0)
                .map(move |(cell, _)| Target { rule: RuleId(rule), cell })
        })
    }
}

/// Marks what a request asks for and everything that it needs, and what is published before it.
pub fn select(graph: &Graph, request: &Request) -> Result<Selection, Vec<Error>> {
    let mut selection = named(graph, request)?;
    selection.earlier(graph);
    Ok(selection)
}

/// The same for a command that mends what is published: of publishes just those that are named, not what they come after.
pub fn mending(graph: &Graph, request: &Request) -> Result<Selection, Vec<Error>> {
    named(graph, request)?.asked(graph).map_err(|error| vec![error])
}

fn named(graph: &Graph, request: &Request) -> Result<Selection, Vec<Error>> {
    let mut errors = Vec::new();
    let filters = filters(graph, request, &mut errors);
    let options = options(graph, request, &mut errors);
    let mut goals: Vec<String> = request.goals.clone();
    let mut named: BTreeSet<RuleId> = BTreeSet::new();
    if goals.is_empty() {
        for preset in request.presets.iter().filter_map(|p| graph.presets.get(p)) {
            goals.extend(preset.goals.iter().cloned());
        }
    }
    // What the command line or a preset names is meant, whatever it is narrowed by.
    let explicit = !goals.is_empty();
    if goals.is_empty() {
        goals = graph.default.clone();
    }
    let mut cells: Vec<Vec<bool>> =
        graph.rules.iter().map(|r| vec![false; r.space.cells()]).collect();
    let mut publishes = vec![false; graph.publishes.len()];
    // Groups of outputs that were named by their paths.
    let mut asked: Vec<(Target, u32)> = Vec::new();
    if goals.is_empty() {
        for rule in &mut cells {
            rule.fill(true);
        }
        publishes.fill(true);
    }
    for goal in &goals {
        if let Some(id) = graph.rule_named(goal) {
            cells[id.0].fill(true);
            if explicit {
                named.insert(id);
            }
        } else if let Some(at) =
            graph.publishes.iter().position(|p| format!("publish.{}", p.name) == *goal)
        {
            publishes[at] = true;
            cells[graph.publishes[at].of.0].fill(true);
        } else if let Err(error) =
            mark_paths(graph, goal, &request.folder, &mut cells, &mut named, &mut asked)
        {
            errors.push(error);
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let unnamed = narrow(graph, &filters, &named, &mut cells);
    if !filters.is_empty() && !cells.iter().flatten().any(|marked| *marked) {
        return Err(vec![nothing(graph, request, &filters, unnamed)]);
    }
    asked.retain(|(target, _)| cells[target.rule.0][target.cell]);
    let wanted = needed(graph, &cells, &publishes, &options, &asked);
    let presets = request.presets.clone();
    Ok(Selection { wanted, goals: cells, publishes, presets })
}

/// Takes away what filters exclude; returns a rule that joins over what they narrow, if one was left out for that.
fn narrow(
    graph: &Graph,
    filters: &BTreeMap<usize, Vec<bool>>,
    named: &BTreeSet<RuleId>,
    cells: &mut [Vec<bool>],
) -> Option<RuleId> {
    let mut left_out = None;
    for id in graph.rule_ids() {
        let rule = graph.rule(id);
        // A summary made from a part of its members is the accident that must not happen.
        let narrowed = rule.joined.iter().any(|axis| filters.contains_key(axis));
        if narrowed && !named.contains(&id) {
            if cells[id.0].contains(&true) {
                left_out = Some(id);
            }
            cells[id.0].fill(false);
            continue;
        }
        for (axis, mask) in filters {
            if let Some(position) = rule.space.position(*axis) {
                for (cell, marked) in cells[id.0].iter_mut().enumerate() {
                    *marked &= mask[rule.space.coordinate(cell, position)];
                }
            }
        }
    }
    left_out
}

/// Whoever narrows to nothing meant something else.
fn nothing(
    graph: &Graph,
    request: &Request,
    filters: &BTreeMap<usize, Vec<bool>>,
    joins: Option<RuleId>,
) -> Error {
    let error = Error::user("nothing is selected");
    let empty = filters.iter().find(|(_, mask)| !mask.contains(&true));
    if let Some((&axis, _)) = empty {
        let axis = &graph.axes[axis].name;
        return error
            .because(format!("no value of `{axis}` is in all that narrow it"))
            .hint(format!("leave out one of the presets and `--where {axis}=…`"));
    }
    if let Some(id) = joins {
        let rule = &graph.rule(id).name;
        return error
            .because(format!(
                "`{rule}` joins what is narrowed, and is never made from a part of it"
            ))
            .hint(format!("name it to make it from all: `jheem build {rule}`"));
    }
    let narrowing = if request.presets.is_empty() { "`--where`" } else { "the preset" };
    error
        .because(format!("the goals and {narrowing} have no target in common"))
        .hint("see what there is with `jheem list`, and leave out the goals or what narrows them")
}

/// Which values of which axes filters and presets leave; all their mistakes at once.
pub fn masks(graph: &Graph, request: &Request) -> Result<BTreeMap<usize, Vec<bool>>, Vec<Error>> {
    let mut errors = Vec::new();
    let masks = filters(graph, request, &mut errors);
    if errors.is_empty() { Ok(masks) } else { Err(errors) }
}

fn filters(
    graph: &Graph,
    request: &Request,
    errors: &mut Vec<Error>,
) -> BTreeMap<usize, Vec<bool>> {
    let mut filters: BTreeMap<usize, Vec<bool>> = BTreeMap::new();
    for name in &request.presets {
        let Some(preset) = graph.presets.get(name) else {
            let error = Error::user(format!("no preset is called `{name}`"))
                .suggest(name, graph.presets.keys().map(String::as_str));
            errors.push(list_hint(error, graph.presets.keys().map(String::as_str), "presets"));
            continue;
        };
        for (&axis, mask) in &preset.axes {
            let all = filters.entry(axis).or_insert_with(|| vec![true; mask.len()]);
            for (all, mask) in all.iter_mut().zip(mask) {
                *all &= mask;
            }
        }
    }
    let mut written: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
    for filter in &request.filters {
        let Some((name, pattern)) = filter.split_once('=') else {
            let error = Error::user(format!("`--where {filter}` names no value"));
            errors.push(error.hint("write it as `--where axis=value`"));
            continue;
        };
        match graph.axis_named(name.trim()) {
            Some(axis) => written.entry(axis).or_default().push(pattern.trim()),
            None => {
                let known = || graph.axes.iter().map(|a| a.name.as_str());
                let error = Error::user(format!("no axis is called `{}`", name.trim()))
                    .suggest(name.trim(), known());
                errors.push(list_hint(error, known(), "axes"));
            }
        }
    }
    for (axis, patterns) in written {
        // A comma separates values, as in the container's own arguments.
        let patterns: Vec<&str> = patterns.iter().flat_map(|p| p.split(',')).collect();
        match pattern::mask(&graph.axes[axis], &patterns) {
            Ok(mask) => {
                let all = filters.entry(axis).or_insert_with(|| vec![true; mask.len()]);
                for (all, mask) in all.iter_mut().zip(&mask) {
                    *all &= mask;
                }
            }
            Err(refused) => errors.extend(refused.into_iter().map(|(_, error)| error)),
        }
    }
    filters
}

fn list_hint<'a>(error: Error, known: impl Iterator<Item = &'a str>, what: &str) -> Error {
    if !error.hints.is_empty() {
        return error;
    }
    let names: Vec<String> = known.map(|n| format!("`{n}`")).collect();
    if names.is_empty() {
        error.hint(format!("the Jheemfile declares no {what}"))
    } else {
        error.hint(format!("{what} are {}", names.join(", ")))
    }
}

fn options(graph: &Graph, request: &Request, errors: &mut Vec<Error>) -> BTreeSet<String> {
    let known: BTreeSet<&str> = graph
        .rules
        .iter()
        .flat_map(|r| r.groups.iter().filter_map(|g| g.option.as_deref()))
        .collect();
    let mut options: BTreeSet<String> = BTreeSet::new();
    for preset in request.presets.iter().filter_map(|p| graph.presets.get(p)) {
        options.extend(preset.with.iter().cloned());
    }
    for option in &request.with {
        if known.contains(option.as_str()) {
            options.insert(option.clone());
        } else {
            let error = Error::user(format!("no output is made by an option `{option}`"))
                .suggest(option, known.iter().copied());
            errors.push(list_hint(error, known.iter().copied(), "options"));
        }
    }
    options
}

/// What a goal that is no name selects by the paths of outputs.
enum Paths {
    /// This very path, or what lies below a folder of this name.
    At(String),
    Glob(GlobMatcher),
}

impl Paths {
    fn select(&self, output: &str) -> bool {
        match self {
            Paths::At(path) => output
                .strip_prefix(path.as_str())
                .is_some_and(|rest| path.is_empty() || rest.is_empty() || rest.starts_with('/')),
            Paths::Glob(matcher) => matcher.is_match(output),
        }
    }
}

/// The path from the project's folder: goals are typed where one is, as for Git; `/` begins at the project.
fn project_path(goal: &str, folder: &str) -> Option<String> {
    let (from, goal) = match goal.strip_prefix('/') {
        Some(rest) => ("", rest),
        None => (folder, goal),
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in from.split('/').chain(goal.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

/// Marks the targets whose outputs have this path, lie in this folder, or match this glob.
fn mark_paths(
    graph: &Graph,
    goal: &str,
    folder: &str,
    cells: &mut [Vec<bool>],
    named: &mut BTreeSet<RuleId>,
    asked: &mut Vec<(Target, u32)>,
) -> Result<(), Error> {
    let Some(path) = project_path(goal, folder) else {
        return Err(Error::user(format!("`{goal}` leads out of the project"))
            .hint("goals are rules, publishes, and paths of outputs of this project"));
    };
    let paths = if path.contains(['*', '?', '[', '{']) {
        match Glob::new(&path) {
            Ok(glob) => Paths::Glob(glob.compile_matcher()),
            Err(problem) => {
                let error = Error::user(format!("`{goal}` is neither a name nor a glob"));
                return Err(error.because(problem));
            }
        }
    } else {
        Paths::At(path.clone())
    };
    let mut found = false;
    let mut rendered = String::new();
    for id in graph.rule_ids() {
        let rule = graph.rule(id);
        let mut groups = vec![0u32; cells[id.0].len()];
        for output in &rule.outputs {
            for (cell, groups) in groups.iter_mut().enumerate() {
                rendered.clear();
                graph.render_into(&output.path, &rule.space, cell, &mut rendered);
                if paths.select(&rendered) {
                    *groups |= 1 << output.group;
                }
            }
        }
        for (cell, groups) in groups.into_iter().enumerate().filter(|(_, groups)| *groups != 0) {
            cells[id.0][cell] = true;
            found = true;
            named.insert(id);
            // Whoever names nothing but what an option makes asks for the option.
            if groups & 1 == 0 {
                asked.push((Target { rule: id, cell }, groups));
            }
        }
    }
    if found { Ok(()) } else { Err(no_goal(graph, goal, folder, &path)) }
}

/// A goal that selects nothing, and what it may have been meant to be.
fn no_goal(graph: &Graph, goal: &str, folder: &str, path: &str) -> Error {
    let error = Error::user(format!("`{goal}` is no rule, no publish and no output of a target"));
    let names: Vec<String> = graph
        .rules
        .iter()
        .map(|r| r.name.to_string())
        .chain(graph.publishes.iter().map(|p| format!("publish.{}", p.name)))
        .collect();
    let error = error.suggest(goal, names.iter().map(String::as_str));
    if !error.hints.is_empty() {
        return error;
    }
    if let Some(near) = near_path(graph, path, goal) {
        let mut shown = near.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/'));
        if folder.is_empty() {
            shown = Some(&near);
        }
        let up = || format!("{}{near}", "../".repeat(folder.split('/').count()));
        return error.hint(format!("did you mean `{}`?", shown.map_or_else(up, str::to_owned)));
    }
    list_hint(error, names.iter().map(String::as_str), "goals")
}

/// The output whose path is nearest to one that there is not, or the one that a path from the project's folder names.
fn near_path(graph: &Graph, path: &str, goal: &str) -> Option<String> {
    const MOST: usize = 3;
    let mut nearest: Option<(usize, String)> = None;
    let mut rendered = String::new();
    for id in graph.rule_ids() {
        let rule = graph.rule(id);
        for output in &rule.outputs {
            for cell in 0..rule.space.cells() {
                rendered.clear();
                graph.render_into(&output.path, &rule.space, cell, &mut rendered);
                if rendered == goal {
                    return Some(rendered);
                }
                let distance = near(&rendered, path, MOST);
                let better = |far: usize| nearest.as_ref().is_none_or(|(least, _)| far < *least);
                if let Some(far) = distance.filter(|far| better(*far)) {
                    nearest = Some((far, rendered.clone()));
                }
            }
        }
    }
    nearest.map(|(_, path)| path)
}

/// How far two paths are from each other, if it is not more than `most`; a grid has a million of them to compare.
fn near(one: &str, other: &str, most: usize) -> Option<usize> {
    if one.len().abs_diff(other.len()) > most {
        return None;
    }
    let same = |(a, b): &(u8, u8)| a == b;
    let begin = one.bytes().zip(other.bytes()).take_while(same).count();
    let end = one.bytes().rev().zip(other.bytes().rev()).take_while(same).count();
    let end = end.min(one.len().min(other.len()) - begin);
    let middle = |text: &str| text.as_bytes()[begin..text.len() - end].to_vec();
    let (one, other) = (middle(one), middle(other));
    // Slips lie close together; what differs over more than that is another path.
    if one.len().max(other.len()) > 6 * most {
        return None;
    }
    let one: String = one.into_iter().map(char::from).collect();
    let other: String = other.into_iter().map(char::from).collect();
    Some(strsim::osa_distance(&one, &other)).filter(|distance| *distance <= most)
}

/// From goals to everything that they need, with the options that readers imply.
fn needed(
    graph: &Graph,
    goals: &[Vec<bool>],
    publishes: &[bool],
    options: &BTreeSet<String>,
    asked: &[(Target, u32)],
) -> Vec<Vec<u32>> {
    let mut wanted: Vec<Vec<u32>> = goals
        .iter()
        .zip(&graph.rules)
        .map(|(cells, rule)| {
            let mut groups = 1;
            for (index, group) in rule.groups.iter().enumerate() {
                if group.option.as_ref().is_some_and(|o| options.contains(o)) {
                    groups |= 1 << index;
                }
            }
            cells.iter().map(|marked| if *marked { groups } else { 0 }).collect()
        })
        .collect();
    for (target, groups) in asked {
        wanted[target.rule.0][target.cell] |= groups;
    }
    for (publish, asked) in graph.publishes.iter().zip(publishes) {
        // An object of an optional output is published where that output is asked for.
        if !asked {
            continue;
        }
        for object in &publish.objects {
            let group = graph.rule(publish.of).outputs[object.output].group;
            if group == 0 {
                for (cell, marked) in goals[publish.of.0].iter().enumerate() {
                    if *marked {
                        wanted[publish.of.0][cell] |= 1;
                    }
                }
            }
        }
    }
    for id in graph.rule_ids().rev() {
        let rule = graph.rule(id);
        let built = match &graph.runner_of(id).start {
            Start::Built { rule, output, .. } => Some((*rule, *output)),
            _ => None,
        };
        for cell in 0..rule.space.cells() {
            if wanted[id.0][cell] == 0 || rule.declared_absent(cell) {
                continue;
            }
            for read in &rule.reads {
                let From::Output { rule: upstream, output } = read.from else { continue };
                let group = graph.rule(upstream).outputs[output].group;
                for needed in read.cells(&rule.space, cell) {
                    wanted[upstream.0][needed] |= 1 | 1 << group;
                }
            }
            if let Some((rule, output)) = built {
                wanted[rule.0][0] |= 1 | 1 << graph.rule(rule).outputs[output].group;
            }
        }
    }
    wanted
}
