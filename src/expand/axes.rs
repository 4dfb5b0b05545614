//! Axes, their sets and labels, and presets.

use std::collections::{BTreeMap, HashMap};

use super::names::{bad_path, cannot_name_a_file, hole_span, not_a_value, sorted_parts};
use super::{Expansion, RESERVED};
use crate::axis_values;
use crate::error::{Error, Span};
use crate::graph::{Axis, Preset};
use crate::manifest::{self, At, Values};
use crate::pattern;
use crate::template::Piece;

impl Expansion<'_> {
    pub(super) fn axis(
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

    pub(super) fn values(
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

    pub(super) fn check_values(&mut self, axis: &manifest::Axis, values: &[At<String>]) {
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

    pub(super) fn label(
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

    pub(super) fn axis_index(&mut self, name: &At<String>) -> Option<usize> {
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

    pub(super) fn mask(&mut self, axis: usize, patterns: &[At<String>]) -> Vec<bool> {
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

    pub(super) fn preset(&mut self, preset: &manifest::Preset) -> Preset {
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
}
