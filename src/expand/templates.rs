//! Templates: which holes may stand where, and what they stand for.

use std::collections::BTreeMap;

use globset::{Glob, GlobMatcher};

use super::names::{bad_path, hole_span, or_declare, or_one_of};
use super::{Expansion, RuleScope, Scope};
use crate::content::Pointer;
use crate::error::Error;
use crate::grammar::short;
use crate::graph::{Input, Output, Slot, Space, Text};
use crate::manifest::At;
use crate::template::{Piece, Template};

/// What stands for a hole of which nothing can be said.
const UNSAID: Slot = Slot::Text(String::new());

/// The longest name that file systems take.
const MOST_BYTES: usize = 255;

impl Expansion<'_> {
    /// The space of the axes that a template names, in order of appearance.
    pub(super) fn space_of(&mut self, template: &At<Template>) -> Space {
        let mut axes = Vec::new();
        for (hole, _) in template.holes() {
            let name = head(hole);
            let broken = self.manifest.broken.has(&format!("axis.{name}"));
            let axis = self.declared(name).or_else(|| broken.then(|| self.stand_in(name)));
            if let Some(axis) = axis.filter(|axis| !axes.contains(axis)) {
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
                Piece::Hole { name, at } => {
                    let axis = self.declared(head(name)).filter(|a| !space.axes.contains(a));
                    let slot =
                        match axis.filter(|_| !matches!(scope, Scope::Env | Scope::Baked { .. })) {
                            Some(axis) if self.misses(axis) => Err(self.not_over(axis, scope)),
                            Some(_) => Ok(UNSAID),
                            None => self.slot(name, space, scope),
                        };
                    match slot {
                        Ok(slot) => slots.push(slot),
                        Err(error) => {
                            let span = hole_span(&self.manifest.source.text, template, at);
                            self.errors.push(error.at(&self.manifest.source, span));
                        }
                    }
                }
            }
        }
        Text { slots }
    }

    fn not_over(&self, axis: usize, scope: &Scope<'_>) -> Error {
        let name = &self.axes[axis].name;
        match scope {
            Scope::Source => Error::user(format!("axis `{name}` is not in the path of the input"))
                .hint(format!("put `{{{name}}}` in the path too, or take the hole out")),
            _ => Error::user(format!("axis `{name}` is not one that this is over"))
                .hint(format!("add `{name}` to `over`, or take the hole out")),
        }
    }

    fn slot(&self, name: &str, space: &Space, scope: &Scope<'_>) -> Result<Slot, Error> {
        let over = space.axes.iter().position(|&axis| self.axes[axis].name == head(name));
        if let Some(position) = over {
            return self.axis_slot(name, position, space, scope);
        }
        if self.manifest.broken.has(&format!("axis.{}", head(name))) {
            return Ok(UNSAID);
        }
        if name == "project" {
            return Ok(Slot::Text(self.manifest.project.name.value.clone()));
        }
        let special = match scope {
            Scope::Plain | Scope::Input | Scope::Source | Scope::Env => None,
            Scope::Baked { inputs } => match name.strip_prefix("release:") {
                Some(input) => Some(Slot::Text(self.release(input.trim(), inputs)?)),
                None => None,
            },
            Scope::Command { rule } => self.command_slot(name, space, rule)?,
            Scope::Published { outputs, row, uncompared } => {
                self.published_slot(name, outputs, *row, *uncompared)?
            }
        };
        special.ok_or_else(|| {
            let declared = 0..self.manifest.axes.len();
            let axes: Vec<usize> = match scope {
                Scope::Input => declared.collect(),
                _ => space.axes.iter().copied().filter(|axis| declared.contains(axis)).collect(),
            };
            let mut known: Vec<String> =
                axes.into_iter().map(|axis| self.axes[axis].name.clone()).collect();
            known.extend(scope.known().into_iter().map(str::to_owned));
            let listed = known.iter().map(|k| format!("`{{{k}}}`")).collect::<Vec<_>>().join(", ");
            let error = Error::user(format!("unknown hole `{{{name}}}`"))
                .suggest(name, known.iter().map(String::as_str));
            if error.hints.is_empty() {
                error.hint(format!("use one of {listed}, or write `{{{{` for the brace itself"))
            } else {
                error
            }
        })
    }

    /// The tag of the release that an input comes from: `github://OWNER/REPOSITORY@TAG/ASSET`.
    fn release(&self, name: &str, inputs: &[Input]) -> Result<String, Error> {
        let Some(input) = inputs.iter().find(|input| input.name == name) else {
            let header = format!("input.{name}");
            if self.manifest.broken.has(&header) {
                return Ok(String::new());
            }
            let error = Error::user(format!("no input is called `{name}`"));
            let known = inputs.iter().map(|input| input.name.as_str());
            return Err(or_declare(error, name, known, &header));
        };
        // The tag is the same for all cells, so it stands before the first hole.
        let slots = input.source.iter().flat_map(|source| &source.slots);
        let texts = slots.map_while(|slot| match slot {
            Slot::Text(text) => Some(text.as_str()),
            _ => None,
        });
        let before: String = texts.collect();
        let tag = before
            .strip_prefix("github://")
            .and_then(|rest| Some(rest.split_once('@')?.1.rsplit_once('/')?.0.to_owned()));
        tag.ok_or_else(|| {
            Error::user(format!("`input.{name}` comes from no release"))
                .hint("give it a `source` such as `github://OWNER/REPOSITORY@TAG/ASSET`, with a tag without axes")
        })
    }

    /// A name that is not known here, unless it may be in what could not be read.
    fn unless_vague(&self, error: Error) -> Result<Slot, Error> {
        if self.vague { Ok(UNSAID) } else { Err(error) }
    }

    /// A value, or a label of it, of the axis at a position of the space.
    fn axis_slot(
        &self,
        hole: &str,
        position: usize,
        space: &Space,
        scope: &Scope<'_>,
    ) -> Result<Slot, Error> {
        let axis = space.axes[position];
        let name = &self.axes[axis].name;
        if let Scope::Command { rule: RuleScope { batch: Some(batch), .. } } = scope
            && !batch.by.contains(&position)
        {
            let message =
                format!("`{{{name}}}` has many values in one run: `{name}` is not in `batch.by`");
            return self.unless_vague(Error::user(message).hint(format!(
                "write `{{list:{name}}}` for all of them, or add `{name}` to `by`"
            )));
        }
        let Some((_, label)) = hole.split_once('.') else { return Ok(Slot::Value(position)) };
        let labels = &self.axes[axis].labels;
        match labels.iter().position(|(known, _)| known == label) {
            Some(label) => Ok(Slot::Label { position, label }),
            // An axis without values was not read in whole.
            None if self.axes[axis].values.is_empty() => Ok(UNSAID),
            None => {
                let error = Error::user(format!("axis `{name}` has no label `{label}`"));
                let known = labels.iter().map(|(known, _)| known.as_str());
                Err(or_declare(error, label, known, &format!("axis.{name}.label.{label}")))
            }
        }
    }

    fn command_slot(
        &self,
        name: &str,
        space: &Space,
        rule: &RuleScope<'_>,
    ) -> Result<Option<Slot>, Error> {
        let fixed = |axes: &[usize], slot: Slot| -> Result<Slot, Error> {
            let by = |axis| rule.batch.is_none_or(|b| b.by.iter().any(|&p| space.axes[p] == axis));
            let Some(&axis) = axes.iter().find(|&&axis| !by(axis)) else { return Ok(slot) };
            let axis = &self.axes[axis].name;
            let message =
                format!("`{{{name}}}` has many paths in one run: `{axis}` is not in `batch.by`");
            self.unless_vague(
                Error::user(message)
                    .hint(format!("add `{axis}` to `by`, or name the folder with `{{dir:…}}`")),
            )
        };
        if name == "batch.file" {
            let slot = match rule.batch {
                Some(batch) if batch.file => Ok(Slot::BatchFile),
                _ => self.unless_vague(
                    Error::user("this rule has no batch file")
                        .hint("add `file = \"jheem-jobs\"` to its `batch`"),
                ),
            };
            return slot.map(Some);
        }
        if let Some(folder) = name.strip_prefix("dir:") {
            return dir_slot(folder, rule).map(Some);
        }
        if let Some(axis) = name.strip_prefix("list:") {
            return self.list_slot(name, axis, space).map(Some);
        }
        let read = |what: &str, wanted: &str, join: bool| {
            let reads = || rule.reads.iter().enumerate().filter(|(_, r)| r.is_join() == join);
            let found = reads().find(|(_, r)| r.name == wanted).map(|(at, _)| at);
            found.ok_or_else(|| {
                let error = Error::user(format!("this rule has no {what} `{wanted}`"));
                let none = format!("name it in `{what}s = {{ {wanted} = … }}`");
                or_one_of(error, wanted, reads().map(|(_, r)| r.name.as_str()), &none)
            })
        };
        if let Some(wanted) = name.strip_prefix("input.") {
            let slot = match read("input", wanted, false) {
                Ok(at) => fixed(&rule.reads[at].space.axes, Slot::Read(at)),
                Err(error) => self.unless_vague(error),
            };
            return slot.map(Some);
        }
        if let Some(wanted) = name.strip_prefix("join.") {
            let (wanted, list) = match wanted.strip_suffix(".file") {
                Some(wanted) => (wanted, true),
                None => (wanted, false),
            };
            let slot = match read("join", wanted, true) {
                Ok(at) => {
                    fixed(&space.axes, if list { Slot::JoinFile(at) } else { Slot::Join(at) })
                }
                Err(error) => self.unless_vague(error),
            };
            return slot.map(Some);
        }
        if let Some(wanted) = name.strip_prefix("output.") {
            let slot = match rule.outputs.iter().position(|o| o.name == wanted) {
                Some(at) => fixed(&space.axes, Slot::Output(at)),
                None => {
                    let error = Error::user(format!("this rule has no output `{wanted}`"));
                    let known = rule.outputs.iter().map(|o| o.name.as_str());
                    self.unless_vague(or_one_of(error, wanted, known, "give the rule an `output`"))
                }
            };
            return slot.map(Some);
        }
        Ok(None)
    }

    /// All values of an axis in one argument.
    fn list_slot(&self, name: &str, axis: &str, space: &Space) -> Result<Slot, Error> {
        let position = space.axes.iter().position(|&a| self.axes[a].name == axis);
        let Some(position) = position else {
            let error = Error::user(format!("this rule is not over an axis `{axis}`"));
            let known = space.axes.iter().map(|&a| self.axes[a].name.as_str());
            return self.unless_vague(or_one_of(
                error,
                axis,
                known,
                "give the rule axes with `over`",
            ));
        };
        let axis = &self.axes[space.axes[position]];
        match axis.values.iter().find(|v| v.contains(',')) {
            Some(value) => Err(Error::user(format!(
                "`{value}` holds a comma, so `{{{name}}}` would be misread"
            ))
            .hint("use a batch file")),
            None => Ok(Slot::List(position)),
        }
    }

    fn published_slot(
        &self,
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
                        let error = Error::user(format!("no output is called `{output}`"));
                        let known = outputs.iter().map(|o| o.name.as_str());
                        return self
                            .unless_vague(or_one_of(
                                error,
                                output,
                                known,
                                "give the rule an `output`",
                            ))
                            .map(Some);
                    };
                    if !outputs[at].kind.has_values() {
                        let error = Error::user(format!("output `{output}` has no pointers"))
                            .hint("give it `as = \"json\"`");
                        return self.unless_vague(error).map(Some);
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

    pub(super) fn path(
        &mut self,
        template: &At<Template>,
        space: &Space,
        scope: &Scope<'_>,
    ) -> Text {
        if let Some(problem) = bad_path(&template.value.text) {
            self.error(&template.span, problem);
        }
        let text = self.compile(template, space, scope);
        if let Some(part) = self.too_long(&text, space) {
            let message = format!(
                "`{}` would be a file's name of {} bytes, and file systems take {MOST_BYTES}",
                short(&part),
                part.len()
            );
            let error = Error::user(message).hint("make a folder of it, or give its values labels");
            self.error(&template.span, error);
        }
        text
    }

    /// Whether a text holds a label that is not what was meant.
    pub(super) fn is_mislabelled(&self, text: &Text, space: &Space) -> bool {
        text.slots.iter().any(|slot| {
            let Slot::Label { position, label } = slot else { return false };
            let axis = &self.axes[space.axes[*position]];
            self.broken.has(&format!("axis.{}.label.{}", axis.name, axis.labels[*label].0))
        })
    }

    /// A part of a path that is too long to be a name, with the longest values that it may hold.
    fn too_long(&self, text: &Text, space: &Space) -> Option<String> {
        let mut part = String::new();
        for slot in &text.slots {
            match slot {
                Slot::Text(text) => match text.rsplit_once('/') {
                    None => part.push_str(text),
                    Some((before, after)) => {
                        part.push_str(before.split('/').next().unwrap_or_default());
                        if part.len() > MOST_BYTES {
                            return Some(part);
                        }
                        let long = before.split('/').find(|part| part.len() > MOST_BYTES);
                        if let Some(long) = long {
                            return Some(long.to_owned());
                        }
                        part = after.to_owned();
                    }
                },
                Slot::Value(position) => {
                    let values = &self.axes[space.axes[*position]].values;
                    part.push_str(longest(values));
                }
                Slot::Label { position, label } => {
                    part.push_str(longest(&self.axes[space.axes[*position]].labels[*label].1));
                }
                _ => {}
            }
        }
        (part.len() > MOST_BYTES).then_some(part)
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
            Scope::Plain | Scope::Input | Scope::Source | Scope::Env => vec!["project"],
            Scope::Baked { .. } => vec!["project", "release:INPUT"],
            Scope::Command { .. } => {
                vec![
                    "project",
                    "batch.file",
                    "dir:FOLDER",
                    "list:AXIS",
                    "input.NAME",
                    "output.NAME",
                    "join.NAME",
                ]
            }
            Scope::Published { row, uncompared, .. } => {
                let mut known = vec!["project", "file", "path", "OUTPUT:/pointer"];
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

/// The part of a hole's name that may be an axis.
fn head(hole: &str) -> &str {
    hole.split('.').next().unwrap_or(hole)
}

/// The text with the most bytes.
fn longest(texts: &[String]) -> &str {
    texts.iter().max_by_key(|text| text.len()).map_or("", String::as_str)
}

/// A folder as the run sees it.
fn dir_slot(folder: &str, rule: &RuleScope<'_>) -> Result<Slot, Error> {
    let Some(runner) = rule.runner else { return Ok(UNSAID) };
    runner.inside(folder).map(Slot::Text).ok_or_else(|| {
        let message = format!("runner `{}` does not show the folder `{folder}`", runner.name);
        Error::user(message).hint("add it to the runner's `dirs`")
    })
}
