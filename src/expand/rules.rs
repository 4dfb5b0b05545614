//! Rules: their order, what they read and make, their batches, audits and absences.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use petgraph::graph::{DiGraph, NodeIndex};

use super::names::node_name;
use super::{Expansion, MOST_CELLS, RuleScope, Scope};
use crate::audit;
use crate::content::{As, Pointer};
use crate::error::Error;
use crate::graph::{
    self, Audit, Batch, Check, From, Group, Input, Judging, Output, Read, Rule, RuleId, Runner,
    Slot, Space, Text,
};
use crate::manifest::{self, At, Reference, RuleName, Scalar};
use crate::template::{Piece, Template};

impl Expansion<'_> {
    /// Sorts the rules so that each stands after what it reads; a cycle is shown as its path.
    pub(super) fn order(&mut self) -> Option<(DiGraph<String, ()>, Vec<RuleName>)> {
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
    pub(super) fn output_index(
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

    pub(super) fn reads(
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

    pub(super) fn rule(
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
        let (mut outputs, groups) = self.outputs(written, &space, &runners[runner]);
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
            .map(|(group, arguments)| {
                let order = graph::order_of(&group.outputs, &outputs);
                Group { arguments, order, ..group }
            })
            .collect();
        if let Some(batch) = &batch
            && !batch.file
        {
            self.mixed(written, &space, batch, &command);
        }
        let audits = self.audits(written, &space, &outputs);
        for (index, output) in outputs.iter_mut().enumerate() {
            output.judging = Judging::of(output.kind, &output.volatile, index, &audits);
        }
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
    pub(super) fn whole_argument(&mut self, argument: &At<Template>, text: &Text) {
        let join = text.slots.iter().any(|s| matches!(s, Slot::Join(_)));
        if join && text.slots.len() > 1 {
            let error = Error::user("a join becomes many arguments, so it stands alone in one")
                .hint("split the argument, or use `{join.NAME.file}`");
            self.error(&argument.span, error);
        }
    }

    /// Without a batch file, every axis that is not fixed must be named by the command.
    pub(super) fn mixed(
        &mut self,
        written: &manifest::Rule,
        space: &Space,
        batch: &Batch,
        command: &[Text],
    ) {
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

    pub(super) fn batch(
        &mut self,
        batch: &manifest::Batch,
        space: &Space,
        runner: &Runner,
    ) -> Option<Batch> {
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

    pub(super) fn outputs(
        &mut self,
        written: &manifest::Rule,
        space: &Space,
        runner: &Runner,
    ) -> (Vec<Output>, Vec<Group>) {
        let mut groups = vec![Group::default()];
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
            let group = match &output.when {
                None => 0,
                Some(when) => {
                    let option = when.option.value.clone();
                    let known = groups.iter().position(|g| g.option.as_ref() == Some(&option));
                    known.unwrap_or_else(|| {
                        groups.push(Group { option: Some(option), ..Group::default() });
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
                inside: runner.inside_text(&path),
                path,
                // Its audit is read when all outputs are known.
                judging: Judging::of(kind, &volatile, index, &[]),
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
    pub(super) fn first_path(&self, text: &Text, space: &Space) -> String {
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
    pub(super) fn shown(
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

    pub(super) fn audits(
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
                match self.check(check, space) {
                    Ok(check) => audits.push(Audit { output, check }),
                    Err(message) => self.error(&check.span, Error::user(message)),
                }
            }
        }
        audits
    }

    pub(super) fn check(
        &mut self,
        check: &At<manifest::Check>,
        space: &Space,
    ) -> Result<Check, String> {
        if let manifest::Check::Equals { at, value: Scalar::Text(template) } = &check.value
            && template.holes().next().is_some()
        {
            let at = Pointer::parse(at)?;
            let template = At { value: template.clone(), span: check.span.clone() };
            return Ok(Check::Equals { at, text: self.compile(&template, space, &Scope::Plain) });
        }
        concrete(&check.value).map(Check::Fixed)
    }

    pub(super) fn absents(
        &mut self,
        written: &manifest::Rule,
        space: &Space,
    ) -> Vec<Vec<(usize, Vec<bool>)>> {
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
        manifest::Check::Ribbon { at } => audit::Check::Ribbon { at: pointer(at)? },
        manifest::Check::SameLength { at } => {
            audit::Check::SameLength { at: at.iter().map(pointer).collect::<Result<_, _>>()? }
        }
        manifest::Check::Size { min, max } => audit::Check::Size { min: *min, max: *max },
    })
}

/// A template that is known to have no holes, its doubled braces resolved.
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
