//! Templates: which holes may stand where, and what they stand for.

use std::collections::BTreeMap;

use globset::{Glob, GlobMatcher};

use super::names::{bad_path, hole_span};
use super::{Expansion, RuleScope, Scope};
use crate::content::Pointer;
use crate::error::Error;
use crate::graph::{Output, Slot, Space, Text};
use crate::manifest::At;
use crate::template::{Piece, Template};

impl Expansion<'_> {
    /// The space of the axes that a template names, in order of appearance.
    pub(super) fn space_of(&mut self, template: &At<Template>) -> Space {
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

    pub(super) fn space(&self, axes: Vec<usize>) -> Space {
        let sizes = axes.iter().map(|&a| self.axes[a].values.len()).collect();
        Space { axes, sizes }
    }

    pub(super) fn compile(
        &mut self,
        template: &At<Template>,
        space: &Space,
        scope: &Scope<'_>,
    ) -> Text {
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

    pub(super) fn slot(&self, name: &str, space: &Space, scope: &Scope<'_>) -> Result<Slot, Error> {
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

    pub(super) fn axis_slot(
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

    pub(super) fn command_slot(
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

    pub(super) fn texts(
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

    pub(super) fn path(&mut self, template: &At<Template>, space: &Space) -> Text {
        if let Some(problem) = bad_path(&template.value.text) {
            self.error(&template.span, problem);
        }
        self.compile(template, space, &Scope::Plain)
    }

    pub(super) fn globs(&mut self, globs: &[At<String>]) -> Vec<GlobMatcher> {
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
                let pointer = Pointer::parse(pointer).map_err(Error::user)?;
                // What is volatile can be told of one value only, not of all that a pattern takes.
                if !pointer.is_plain() {
                    return Err(Error::user(format!(
                        "`{pointer}` is a pattern, and a hole stands for one value"
                    ))
                    .hint("write its keys and indexes out, such as `/outcome/0`"));
                }
                Slot::Pointed { output: at, pointer }
            }
            None => return Ok(None),
        },
    };
    Ok(Some(slot))
}
