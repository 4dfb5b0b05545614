//! Inputs and runners.

use std::collections::{BTreeMap, HashMap};

use super::names::{bad_path, or_declare, rule_name};
use super::{Expansion, Scope};
use crate::error::Error;
use crate::graph::{Baked, ImageHas, Input, Log, RuleId, Runner, Slot, Space, Start};
use crate::manifest::{self, At, InputPlace, Reference, RuleName};
use crate::template::Template;

impl Expansion<'_> {
    pub(super) fn input(&mut self, input: &manifest::Input) -> Input {
        let (template, exclude) = match &input.place {
            InputPlace::File(path) => (path, None),
            InputPlace::Folder { folder, exclude } => (folder, Some(exclude)),
        };
        self.missed.clear();
        let told = self.errors.len();
        let space = self.space_of(template);
        let path = self.path(template, &space, &Scope::Input);
        let header = format!("input.{}", input.name.value);
        self.too_many(&header, &input.name.span, &space);
        if self.errors.len() > told || self.is_mislabelled(&path, &space) {
            self.broken.add(header);
        }
        let folder = exclude.map(|globs| self.globs(globs));
        let source =
            input.source.as_ref().map(|source| self.compile(source, &space, &Scope::Source));
        let span = input.name.span.clone();
        Input { name: input.name.value.clone(), space, path, folder, source, span }
    }

    pub(super) fn input_index(&mut self, reference: &At<Reference>) -> Option<usize> {
        let Reference::Input(name) = &reference.value else {
            let error = Error::user(format!("`{}` is not an input", reference.value))
                .hint("name an input: `input.NAME`");
            self.error(&reference.span, error);
            return None;
        };
        let known = &self.manifest.inputs;
        let found = known.keys().position(|n| n == name);
        let header = reference.value.to_string();
        if found.is_none() && !self.manifest.broken.has(&header) {
            let error = Error::user(format!("no input is called `{name}`"));
            let error = or_declare(error, name, known.keys().map(String::as_str), &header);
            self.error(&reference.span, error);
        }
        found
    }

    pub(super) fn runner(
        &mut self,
        runner: &manifest::Runner,
        inputs: &[Input],
        ids: &HashMap<RuleName, RuleId>,
    ) -> Runner {
        let start = self.start(&runner.start, ids);
        let told = self.errors.len();
        let header = format!("runner.{}", runner.name.value);
        let (dirs, batch_dir) = self.dirs(runner, matches!(start, Start::Image(_)));
        if self.errors.len() > told {
            self.broken.add(header);
        }
        let overlays = self.overlays(&runner.overlays, inputs);
        let env = runner.env.iter().map(|(name, value)| (name.clone(), self.variable(value)));
        let env: BTreeMap<String, String> = env.collect();
        let image_has = ImageHas {
            labels: self.baked(&runner.image_has.labels, inputs),
            env: self.baked(&runner.image_has.env, inputs),
        };
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
            mirrors: list(&runner.mirrors),
            in_place_of: None,
            image_has,
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

    fn start(&mut self, start: &manifest::Start, ids: &HashMap<RuleName, RuleId>) -> Start {
        match start {
            manifest::Start::Image(name) => Start::Image(name.value.clone()),
            manifest::Start::Program(name) => Start::Program(name.value.clone()),
            manifest::Start::Built { output, known_by } => match self.output_index(output, ids) {
                Some((rule, at)) => {
                    let made_by = self.manifest.rules.get(&rule_name(output));
                    if made_by.is_some_and(|r| !r.over.is_empty()) {
                        let error = Error::user("a built program comes from a step without axes")
                            .hint("take `over` out of the step that builds it");
                        self.error(&output.span, error);
                    }
                    Start::Built { rule, output: at, known_by: *known_by }
                }
                None => Start::Program(String::new()),
            },
        }
    }

    /// The folders that a run sees, and the one of the batch file.
    fn dirs(
        &mut self,
        runner: &manifest::Runner,
        image: bool,
    ) -> (Vec<(String, String)>, Option<String>) {
        let whole = !self.manifest.broken.has(&format!("runner.{}", runner.name.value));
        let mut dirs = Vec::new();
        let mut batch_dir = None;
        for (inside, folder) in &runner.dirs {
            // Of an image and a program at once it is not known which was meant.
            if whole {
                self.inside_path(inside, image);
            }
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
        if !image {
            if dirs.is_empty() {
                dirs.push((".".into(), ".".into()));
            }
            batch_dir.get_or_insert_with(|| "batch".into());
        } else if runner.dirs.is_empty() && whole {
            let message = format!("runner `{}` shows its image no folder", runner.name.value);
            let error = Error::user(message)
                .hint("add `dirs`: folder in the container = folder of the project");
            self.error(&runner.name.span, error);
        }
        (dirs, batch_dir)
    }

    fn overlays(
        &mut self,
        written: &[(At<String>, At<Reference>)],
        inputs: &[Input],
    ) -> Vec<(String, usize)> {
        let mut overlays = Vec::new();
        for (inside, reference) in written {
            self.inside_path(inside, true);
            if let Some(input) = self.input_index(reference) {
                let sound = !self.broken.has(&format!("input.{}", inputs[input].name));
                let one_folder =
                    inputs[input].folder.is_some() && inputs[input].space.axes.is_empty();
                if sound && !one_folder {
                    let error =
                        Error::user("an overlay is an input that is one folder, without axes")
                            .hint("declare the input with `folder`");
                    self.error(&reference.span, error);
                }
                overlays.push((inside.value.clone(), input));
            }
        }
        overlays
    }

    /// Values that must be baked into an image, which are of no cell either.
    fn baked(
        &mut self,
        written: &BTreeMap<String, At<Template>>,
        inputs: &[Input],
    ) -> BTreeMap<String, Baked> {
        let baked = written.iter().map(|(name, template)| {
            let value = self.fixed(template, &Scope::Baked { inputs });
            let span = template.span.clone();
            (name.clone(), Baked { value, span })
        });
        baked.collect()
    }

    /// The value of an environment variable, which is of no cell.
    fn variable(&mut self, template: &At<Template>) -> String {
        self.fixed(template, &Scope::Env)
    }

    /// What a template of no cell says.
    fn fixed(&mut self, template: &At<Template>, scope: &Scope<'_>) -> String {
        let text = self.compile(template, &Space::default(), scope);
        let texts = text.slots.iter().filter_map(|slot| match slot {
            Slot::Text(text) => Some(text.as_str()),
            _ => None,
        });
        texts.collect()
    }

    pub(super) fn inside_path(&mut self, inside: &At<String>, image: bool) {
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
            bad_path(inside).map(|problem| match inside.trim_start_matches('/') {
                rest if rest != inside.value && !rest.is_empty() => Error {
                    hints: vec![format!(
                        "write `{rest}`: a program starts in a folder of its own, and sees its folders from there"
                    )],
                    ..problem
                },
                _ => problem,
            })
        };
        if let Some(problem) = problem {
            self.error(&inside.span, problem);
        }
    }
}
