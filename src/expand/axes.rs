//! Axes, their sets and labels, and presets.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::Expansion;
use super::names::{
    bad_path, cannot_name_a_file, hole_span, not_a_value, or_declare, or_one_of, sorted_parts,
};
use crate::axis_values;
use crate::error::Error;
use crate::figures::numbered;
use crate::grammar::short;
use crate::graph::{Axis, Preset, Space};
use crate::manifest::{self, At, Values};
use crate::pattern;
use crate::template::Piece;

impl Expansion<'_> {
    /// An axis; one whose values are not all known has none, so that nothing is said of them.
    pub(super) fn axis(&mut self, axis: &manifest::Axis) -> Axis {
        let name = format!("axis.{}", axis.name.value);
        let whole = !self.manifest.broken.has(&name);
        let told = self.errors.len();
        let values = self.values(&axis.values);
        self.check_values(axis, &values);
        let values: Vec<String> = values.into_iter().map(|value| value.value).collect();
        let values = if whole { values } else { Vec::new() };
        if self.errors.len() > told {
            self.broken.add(&name);
        }
        let mut labels = Vec::new();
        for (label, lines) in &axis.labels {
            let told = self.errors.len();
            let texts = self.label(axis, label, lines, &values);
            if self.errors.len() > told {
                self.broken.add(format!("{name}.label.{label}"));
            }
            labels.push((label.clone(), texts));
        }
        let mut sets = BTreeMap::new();
        for (name, set) in &axis.sets {
            sets.insert(name.clone(), self.set(axis, &set.value, &values));
        }
        let joined_by = axis.joined_by.as_ref().map(|j| j.value.clone());
        Axis { name: axis.name.value.clone(), values, sets, labels, joined_by }
    }

    /// The members of a set; of one with a mistake it is not known what it leaves out.
    fn set(&mut self, axis: &manifest::Axis, set: &Values, values: &[String]) -> Vec<usize> {
        let told = self.errors.len();
        let mut members = Vec::new();
        for value in self.values(set) {
            match values.iter().position(|v| *v == value.value) {
                Some(at) => members.push(at),
                None if values.is_empty() => {}
                None => {
                    let error = not_a_value(&value.value, &axis.name, values, &axis.joined_by);
                    self.error(&value.span, error);
                }
            }
        }
        if self.errors.len() > told { (0..values.len()).collect() } else { members }
    }

    fn values(&mut self, values: &Values) -> Vec<At<String>> {
        let (file, pick, span) = match values {
            Values::Listed(values) => return values.clone(),
            Values::File { file, pick, span } => (file, pick, span),
        };
        if let Some(problem) = bad_path(file) {
            self.error(&file.span, problem);
            return Vec::new();
        }
        let Some(text) = self.text_of(file) else { return Vec::new() };
        match axis_values::values(&text, &file.value, pick) {
            Ok(values) => {
                values.into_iter().map(|value| At { value, span: span.clone() }).collect()
            }
            Err(error) => {
                self.error(&file.span, error);
                // One mistake of one file, however many axes take values from it.
                if !axis_values::is_readable(&text, file) {
                    self.texts.insert(file.value.clone(), None);
                }
                Vec::new()
            }
        }
    }

    /// The text of a file, which is asked for once: that it cannot be had is one mistake.
    fn text_of(&mut self, file: &At<String>) -> Option<Arc<str>> {
        if let Some(known) = self.texts.get(&file.value) {
            return known.clone();
        }
        let text = match (self.files)(file) {
            Ok(text) => Some(Arc::from(text)),
            Err(error) => {
                let error = if error.hints.is_empty() {
                    error.hint("write its path from the folder of the Jheemfile")
                } else {
                    error
                };
                self.error(&file.span, error);
                None
            }
        };
        self.texts.insert(file.value.clone(), text.clone());
        text
    }

    fn check_values(&mut self, axis: &manifest::Axis, values: &[At<String>]) {
        let mut seen: HashMap<String, &At<String>> = HashMap::new();
        for value in values {
            if let Some(reason) = cannot_name_a_file(value) {
                let shown = short(value);
                let message = match &axis.values {
                    Values::Listed(_) => {
                        format!("`{shown}` cannot stand in a file name: {reason}")
                    }
                    Values::File { file, .. } => format!(
                        "`{}` has `{shown}`, which cannot stand in a file name: {reason}",
                        file.value
                    ),
                };
                let error = Error::user(message)
                    .hint("use another value, and a label if the container calls it so");
                self.error(&value.span, error);
            }
            let canonical = sorted_parts(value, &axis.joined_by);
            match seen.get(&canonical) {
                // That one value stands twice was told when it was read.
                Some(first) if first.value == value.value => {
                    self.broken.add(format!("axis.{}", axis.name.value));
                }
                Some(first) => {
                    let message =
                        format!("`{}` and `{}` have the same parts", first.value, value.value);
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
        let mut unsaid: Vec<&str> = Vec::new();
        for value in values {
            let exact = lines.iter().find(|l| l.pattern.value == *value);
            let line = exact.or_else(|| {
                lines
                    .iter()
                    .filter(|l| pattern::glob_matches(&l.pattern, value))
                    .max_by_key(|l| l.pattern.len())
            });
            let Some(line) = line else {
                unsaid.push(value);
                texts.push(String::new());
                continue;
            };
            let told = self.errors.len();
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
            if let Some(reason) = cannot_name_a_file(&text)
                && self.errors.len() == told
            {
                let value = short(value);
                let message =
                    format!("label `{name}` of `{value}` cannot stand in a file name: {reason}");
                self.error(&line.text.span, Error::user(message).hint("use another text"));
            }
            texts.push(text);
        }
        if let [first, others @ ..] = unsaid.as_slice() {
            let more = if others.is_empty() {
                String::new()
            } else {
                format!(", nor of {}", numbered(others.len(), "other"))
            };
            let message = format!("label `{name}` says nothing of the value `{first}`{more}");
            let error = Error::user(message).hint("add the value, or a line for `\"*\"`");
            self.error(&axis.name.span, error);
        }
        let fits = |pattern: &At<String>| values.iter().any(|v| pattern::glob_matches(pattern, v));
        for line in lines.iter().filter(|line| !values.is_empty() && !fits(&line.pattern)) {
            let error = not_a_value(&line.pattern, &axis.name, values, &axis.joined_by);
            self.error(&line.pattern.span, error);
        }
        texts
    }

    /// The axis that is declared by a name.
    pub(super) fn declared(&self, name: &str) -> Option<usize> {
        self.axes[..self.manifest.axes.len()].iter().position(|a| a.name == name)
    }

    /// An axis that is asked for and not declared: it has no values, and so no cells.
    pub(super) fn stand_in(&mut self, name: &str) -> usize {
        if let Some(known) = self.axes.iter().position(|a| a.name == name) {
            return known;
        }
        self.axes.push(Axis {
            name: name.to_owned(),
            values: Vec::new(),
            sets: BTreeMap::new(),
            labels: Vec::new(),
            joined_by: None,
        });
        self.axes.len() - 1
    }

    pub(super) fn axis_index(&mut self, name: &At<String>) -> Option<usize> {
        if let Some(declared) = self.declared(name) {
            return Some(declared);
        }
        let header = format!("axis.{}", name.value);
        if self.manifest.broken.has(&header) {
            return Some(self.stand_in(name));
        }
        let known = self.manifest.axes.keys().map(String::as_str);
        let error = Error::user(format!("no axis is called `{}`", name.value));
        let error = or_declare(error, name, known, &header);
        self.error(&name.span, error);
        None
    }

    /// The same where it belongs to a rule: what its `over` names was told there.
    pub(super) fn axis_over(&mut self, name: &At<String>, space: &Space) -> Option<usize> {
        let over = space.axes.iter().find(|&&axis| self.axes[axis].name == name.value);
        over.copied().or_else(|| self.axis_index(name))
    }

    pub(super) fn mask(&mut self, axis: usize, patterns: &[At<String>]) -> Vec<bool> {
        let count = self.axes[axis].values.len();
        if count == 0 {
            return Vec::new();
        }
        let texts: Vec<&str> = patterns.iter().map(|p| p.value.as_str()).collect();
        match pattern::mask(&self.axes[axis], &texts) {
            Ok(mask) => mask,
            Err(refused) => {
                for (index, error) in refused {
                    let error = self.with_hint(error, &patterns[index], axis);
                    self.error(&patterns[index].span, error);
                }
                vec![false; count]
            }
        }
    }

    /// What to do about a pattern that takes nothing, where no near one is known.
    fn with_hint(&self, error: Error, pattern: &str, axis: usize) -> Error {
        if !error.hints.is_empty() {
            return error;
        }
        let axis = &self.axes[axis];
        match pattern.trim_start_matches('!').strip_prefix('@') {
            Some(set) => error.hint(format!("declare it: `[axis.{}.set.{set}]`", axis.name)),
            None => {
                or_one_of(error, pattern, axis.values.iter().map(String::as_str), "take it out")
            }
        }
    }

    pub(super) fn preset(&mut self, preset: &manifest::Preset) -> Preset {
        let mut axes = BTreeMap::new();
        for (name, patterns) in &preset.axes {
            if let Some(axis) = self.axis_index(name) {
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
}
