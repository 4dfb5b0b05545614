//! Rules: what they read and make, their batches, audits and absences.

use std::collections::{BTreeSet, HashMap};

use super::names::{or_declare, or_one_of};
use super::{Expansion, MOST_CELLS, RuleScope, Scope};
use crate::audit;
use crate::content::{As, Pointer};
use crate::error::{Error, Span};
use crate::graph::{
    self, Audit, Batch, Check, From, Group, Input, Judging, Output, Read, Rule, RuleId, Runner,
    Slot, Space, Text,
};
use crate::manifest::{self, At, ByAxis, Reference, RuleName, Scalar};
use crate::template::{Piece, Template};

/// Options of a rule: a target's groups of outputs are the bits of a word, and the first is for those without one.
const MOST_OPTIONS: usize = 31;

impl Expansion<'_> {
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
        let (manifest, name) = (self.manifest, rule.to_string());
        let whole = !manifest.broken.has(&name);
        let Some(written) = manifest.rules.get(rule) else {
            if whole {
                let error = self.no_rule(&name);
                self.error(&reference.span, error);
            }
            return None;
        };
        let Some(at) = written.outputs.keys().position(|o| o == output) else {
            if whole {
                let error = Error::user(format!("`{rule}` has no output `{output}`"));
                let known = written.outputs.keys().map(String::as_str);
                self.error(
                    &reference.span,
                    or_one_of(error, output, known, "give the rule an `output`"),
                );
            }
            return None;
        };
        Some((*ids.get(rule)?, at))
    }

    pub(super) fn no_rule(&self, name: &str) -> Error {
        let known: Vec<String> = self.manifest.rules.keys().map(RuleName::to_string).collect();
        let error = Error::user(format!("no rule is called `{name}`"));
        or_declare(error, name, known.iter().map(String::as_str), name)
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
            let found = self.read_from(reference, inputs, rules, ids);
            let read = found.and_then(|(from, of)| {
                self.fits(written, space, reference, &of, join).then(|| Read {
                    name: name.clone(),
                    from,
                    positions: of.axes.iter().map(|&axis| space.position(axis)).collect(),
                    space: of,
                })
            });
            // What is broken is known by its name, and has no cells.
            reads.push(read.unwrap_or_else(|| Read {
                name: name.clone(),
                from: From::Input(0),
                positions: if join { vec![None] } else { Vec::new() },
                space: Space { axes: Vec::new(), sizes: vec![0] },
            }));
        }
        reads
    }

    /// Where a rule reads from and the cells of that, unless it is unknown or broken.
    fn read_from(
        &mut self,
        reference: &At<Reference>,
        inputs: &[Input],
        rules: &[Rule],
        ids: &HashMap<RuleName, RuleId>,
    ) -> Option<(From, Space)> {
        let (from, name, space) = match &reference.value {
            Reference::Input(name) => {
                let input = self.input_index(reference)?;
                (From::Input(input), format!("input.{name}"), &inputs[input].space)
            }
            Reference::Output { .. } => {
                let (rule, output) = self.output_index(reference, ids)?;
                // A rule of the same circle may come later.
                let made_by = rules.get(rule.0)?;
                (From::Output { rule, output }, made_by.name.to_string(), &made_by.space)
            }
        };
        (!self.broken.has(&name)).then(|| (from, space.clone()))
    }

    /// Whether an input is one file for a cell of the rule, or a join many; if not, that is told.
    fn fits(
        &mut self,
        written: &manifest::Rule,
        space: &Space,
        reference: &At<Reference>,
        of: &Space,
        join: bool,
    ) -> bool {
        let free = of.axes.iter().find(|&&axis| space.position(axis).is_none());
        let error = match free {
            Some(&axis) if !join => {
                let axis = &self.axes[axis].name;
                Error::user(format!(
                    "`{}` has one file for each `{axis}`, and `{}` is not over it",
                    reference.value, written.name.value
                ))
                .hint(format!("add `{axis}` to `over`, or move it to `joins` to read all of them"))
            }
            None if join => Error::user(format!(
                "`{}` is one file for each cell of `{}`: there is nothing to join",
                reference.value, written.name.value
            ))
            .hint("move it to `inputs`"),
            _ => return true,
        };
        if !self.vague {
            self.error(&reference.span, error);
        }
        false
    }

    /// The cells of a rule; an axis that is unknown leaves open what it is over.
    fn over(&mut self, written: &manifest::Rule) -> Space {
        let mut axes = Vec::new();
        let over = &written.over;
        for (at, name) in over.iter().enumerate() {
            // That it stands twice was told when it was read.
            if over[..at].iter().any(|first| first.value == name.value) {
                continue;
            }
            let axis = self.axis_index(name).unwrap_or_else(|| {
                self.vague = true;
                self.stand_in(name)
            });
            axes.push(axis);
        }
        self.space(axes)
    }

    /// Whether there are so many cells that it must be a mistake, which is told.
    pub(super) fn too_many(&mut self, what: &str, span: &Span, space: &Space) -> bool {
        let cells = space.sizes.iter().try_fold(1usize, |product, size| product.checked_mul(*size));
        if cells.is_some_and(|cells| cells <= MOST_CELLS) {
            return false;
        }
        let sizes: Vec<String> = space.sizes.iter().map(usize::to_string).collect();
        let message = format!("`{what}` has {} cells, more than {MOST_CELLS}", sizes.join(" x "));
        self.error(span, Error::user(message).hint("take an axis away, or split it in two"));
        true
    }

    /// The runner of a rule, unless it is unknown.
    fn runner_index(&mut self, name: &At<String>) -> Option<usize> {
        let runners = &self.manifest.runners;
        let found = runners.keys().position(|known| *known == name.value);
        let header = format!("runner.{}", name.value);
        // One without a name was missed when the rule was read.
        if found.is_none() && !name.is_empty() && !self.manifest.broken.has(&header) {
            let error = Error::user(format!("no runner is called `{}`", name.value));
            let error = or_declare(error, name, runners.keys().map(String::as_str), &header);
            self.error(&name.span, error);
        }
        found
    }

    /// A rule, as much of it as can be compiled.
    pub(super) fn rule(
        &mut self,
        written: &manifest::Rule,
        inputs: &[Input],
        runners: &[Runner],
        rules: &[Rule],
        ids: &HashMap<RuleName, RuleId>,
    ) -> Rule {
        let name = written.name.value.to_string();
        self.vague = self.manifest.broken.has(&name);
        self.missed.clear();
        let space = self.over(written);
        if self.vague || self.too_many(&name, &written.name.span, &space) {
            self.broken.add(&name);
        }
        let index = self.runner_index(&written.runner);
        let sound = |runner: &&Runner| !self.broken.has(&format!("runner.{}", runner.name));
        let runner = index.map(|index| &runners[index]).filter(sound);
        let reads = self.reads(written, &space, inputs, rules, ids);
        let (mut outputs, groups) = self.outputs(written, &space, runner);
        self.shown(written, runner, &reads, inputs, rules);
        let batch = written.batch.as_ref().map(|batch| self.batch(batch, &space, runner));
        let scope = RuleScope { runner, reads: &reads, outputs: &outputs, batch: batch.as_ref() };
        let scope = Scope::Command { rule: &scope };
        let told = self.errors.len();
        let mut command = Vec::new();
        for argument in &written.command {
            let text = self.compile(argument, &space, &scope);
            self.whole_argument(argument, &text);
            command.push(text);
        }
        // An argument with a mistake may be the one that is missed.
        if let Some(batch) = batch.as_ref().filter(|batch| !batch.file)
            && self.errors.len() == told
        {
            self.mixed(written, &space, batch, &command);
        }
        let arguments = self.arguments(written, &groups, &space, &scope);
        let groups: Vec<Group> = groups
            .into_iter()
            .zip(arguments)
            .map(|(group, arguments)| {
                let order = graph::order_of(&group.outputs, &outputs);
                Group { arguments, order, ..group }
            })
            .collect();
        let audits = self.audits(written, &space, &outputs);
        for (index, output) in outputs.iter_mut().enumerate() {
            output.judging = Judging::of(output.kind, &output.volatile, index, &audits);
        }
        let told = self.errors.len();
        let absents: Vec<_> =
            written.absents.iter().map(|absent| self.absent(written, absent, &space)).collect();
        if self.errors.len() > told || !self.missed.is_empty() {
            self.broken.add(&name);
        }
        let ignore = self.globs(&written.ignore);
        let joined = joined(&reads, rules);
        Rule {
            name: written.name.value.clone(),
            space,
            runner: index.unwrap_or_default(),
            reads,
            command,
            batch,
            outputs,
            groups,
            ignore,
            audits,
            absents,
            joined,
            span: written.name.span.clone(),
        }
    }

    /// What each option adds to the command, by group.
    fn arguments(
        &mut self,
        written: &manifest::Rule,
        groups: &[Group],
        space: &Space,
        scope: &Scope<'_>,
    ) -> Vec<Vec<Text>> {
        let mut arguments: Vec<Vec<Text>> = vec![Vec::new(); groups.len()];
        for when in written.outputs.values().filter_map(|output| output.when.as_ref()) {
            let option = Some(when.option.as_str());
            let Some(group) = groups.iter().position(|g| g.option.as_deref() == option) else {
                continue;
            };
            let told = self.errors.len();
            let texts: Vec<Text> =
                when.arguments.iter().map(|a| self.compile(a, space, scope)).collect();
            let others = !arguments[group].is_empty() && arguments[group] != texts;
            if others && self.errors.len() == told {
                let message = format!(
                    "option `{}` adds other arguments to another output",
                    when.option.value
                );
                let error = Error::user(message).hint("give both outputs the same arguments");
                self.error(&when.option.span, error);
            }
            arguments[group] = texts;
        }
        arguments
    }

    /// The group of the outputs that an option asks for.
    fn group(&mut self, option: &At<String>, rule: &RuleName, groups: &mut Vec<Group>) -> usize {
        if let Some(known) = groups.iter().position(|g| g.option.as_ref() == Some(&option.value)) {
            return known;
        }
        if groups.len() > MOST_OPTIONS {
            let message = format!(
                "`{}` is one option too many: a rule can have {MOST_OPTIONS}",
                option.value
            );
            let hint =
                format!("let outputs of `{rule}` share options, or make them by another rule");
            self.error(&option.span, Error::user(message).hint(hint));
            return 0;
        }
        groups.push(Group { option: Some(option.value.clone()), ..Group::default() });
        groups.len() - 1
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
            if !batch.by.contains(&position) && !listed && !self.vague {
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

    fn batch(&mut self, batch: &manifest::Batch, space: &Space, runner: Option<&Runner>) -> Batch {
        let (told, mut whole) = (self.errors.len(), true);
        let mut by = Vec::new();
        for name in &batch.by {
            let Some(axis) = self.axis_over(name, space) else { continue };
            match space.position(axis) {
                Some(position) => by.push(position),
                None if self.misses(axis) => {
                    let message = format!("the rule is not over `{}`", name.value);
                    let error = Error::user(message).hint("batch by an axis of `over`");
                    self.error(&name.span, error);
                }
                None => whole = false,
            }
        }
        if self.errors.len() > told || !whole {
            // It is not known which axes were meant, so each may be.
            by = (0..space.axes.len()).collect();
        }
        if let Some(file) = &batch.file
            && let Some(runner) = runner.filter(|runner| runner.batch_dir.is_none())
        {
            let message = format!("runner `{}` shows no folder for the batch file", runner.name);
            let error = Error::user(message)
                .hint("add a folder to its `dirs`: `\"/app/configs\" = \"{batch}\"`");
            self.error(&file.span, error);
        }
        let mut fields = Vec::new();
        for &axis in &space.axes {
            let name = self.axes[axis].name.as_str();
            let field = match batch.fields.iter().find(|(axis, _)| axis.value == name) {
                Some((_, field)) => field.value.clone(),
                // The original container names what it takes many of in the plural.
                None if batch.file.is_some() && !batch.by.iter().any(|b| b.value == name) => {
                    format!("{name}s")
                }
                None => name.to_owned(),
            };
            fields.push(field);
        }
        for (name, _) in &batch.fields {
            if let Some(axis) = self.axis_over(name, space)
                && space.position(axis).is_none()
                && self.misses(axis)
            {
                let message = format!("the rule is not over `{}`", name.value);
                self.error(&name.span, Error::user(message).hint("name an axis of `over`"));
            }
        }
        let size = batch.size.as_ref().map(|s| usize::try_from(s.value).unwrap_or(usize::MAX));
        Batch { by, file: batch.file.is_some(), fields, size }
    }

    /// Whether it is to be told that this is not over an axis: once, since `over` mends all of it.
    pub(super) fn misses(&mut self, axis: usize) -> bool {
        !self.vague && self.missed.insert(axis)
    }

    fn outputs(
        &mut self,
        written: &manifest::Rule,
        space: &Space,
        runner: Option<&Runner>,
    ) -> (Vec<Output>, Vec<Group>) {
        let mut groups = vec![Group::default()];
        let mut outputs = Vec::new();
        for (index, output) in written.outputs.values().enumerate() {
            let told = self.errors.len();
            let path = self.path(&output.path, space, &Scope::Plain);
            let sound = self.errors.len() == told;
            if !sound || self.is_mislabelled(&path, space) {
                self.broken.add(written.name.value.to_string());
            }
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
                Some(when) => self.group(&when.option, &written.name.value, &mut groups),
            };
            groups[group].outputs.push(index);
            let shows = |runner: &&Runner| runner.inside(&self.first_path(&path, space)).is_some();
            if space.cells() > 0
                && sound
                && let Some(runner) = runner.filter(|runner| !shows(runner))
            {
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
                inside: runner.and_then(|runner| runner.inside_text(&path)),
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
        if groups[0].outputs.is_empty() && !self.vague {
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
        runner: Option<&Runner>,
        reads: &[Read],
        inputs: &[Input],
        rules: &[Rule],
    ) {
        let Some(runner) = runner else { return };
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
            let output = outputs.iter().position(|o| o.name == audit.output.value);
            if output.is_none() && !self.vague {
                let message = format!("no output is called `{}`", audit.output.value);
                let known = outputs.iter().map(|o| o.name.as_str());
                let error = or_one_of(
                    Error::user(message),
                    &audit.output,
                    known,
                    "give the rule an `output`",
                );
                self.error(&audit.output.span, error);
            }
            for check in &audit.checks {
                match self.check(check, space) {
                    Ok(check) => audits.extend(output.map(|output| Audit { output, check })),
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

    fn absent(
        &mut self,
        written: &manifest::Rule,
        absent: &At<ByAxis>,
        space: &Space,
    ) -> Vec<(usize, Vec<bool>)> {
        let mut masks = Vec::new();
        for (name, patterns) in &absent.value {
            let Some(axis) = self.axis_over(name, space) else { continue };
            let mask = self.mask(axis, &patterns.value);
            match space.position(axis) {
                Some(position) => masks.push((position, mask)),
                None if self.misses(axis) => {
                    let message = format!("`{}` is not over `{}`", written.name.value, name.value);
                    self.error(&name.span, Error::user(message).hint("name an axis of `over`"));
                }
                None => self.broken.add(written.name.value.to_string()),
            }
        }
        masks
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

/// The axes that a rule joins over, itself or by what it reads.
fn joined(reads: &[Read], rules: &[Rule]) -> Vec<usize> {
    let mut joined: BTreeSet<usize> = BTreeSet::new();
    for read in reads {
        let free = read.space.axes.iter().zip(&read.positions).filter(|(_, p)| p.is_none());
        joined.extend(free.map(|(&axis, _)| axis));
        if let From::Output { rule, .. } = read.from {
            joined.extend(&rules[rule.0].joined);
        }
    }
    joined.into_iter().collect()
}
