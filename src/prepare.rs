//! From a batch to a run that can be started: its folder laid out, its command line, what it should make.
//!
//! Starts nothing; the build, `plan --write-batches` and `check` share it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use crate::batch::Batch;
use crate::collect::{Expected, ExpectedOutput};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::facts::{self};
use crate::fingerprint::Reading;
use crate::graph::{From, Graph, RuleId, Start, Target};
use crate::job::{Engine, Isolation, Limits, RunSpec};
use crate::plan::{self, Board, InputFact, Judge, RunnerFact};
use crate::registry::reference::Reference;
use crate::request::{self, Ask, Product};
use crate::setup::Build;
use crate::stage::{self, Stage, Supply};
use crate::work::Work;

/// Everything that starting a run needs.
pub struct Prepared {
    pub work: Work,
    /// For people: what is started.
    pub command: String,
    pub expected: Vec<Expected>,
    /// The lines of the fingerprints, by target and group.
    pub lines_of: HashMap<(Target, usize), Vec<String>>,
    pub identity: String,
}

/// Lays out the scratch folder of a batch and describes its run.
pub fn prepare(
    build: &Build<'_>,
    board: &Board,
    judge: &Judge<'_>,
    batch: &Batch,
    id: &str,
) -> Result<Prepared> {
    let graph = build.graph;
    let rule = graph.rule(batch.rule);
    let runner = graph.runner_of(batch.rule);
    let groups = batch.groups | 1;
    let mut outputs = Vec::new();
    let mut supplies: BTreeMap<String, Supply> = BTreeMap::new();
    let mut joined = vec![Vec::new(); rule.reads.len()];
    let mut lines_of = HashMap::new();
    let mut identity = String::new();
    for &cell in &batch.cells {
        let target = Target { rule: batch.rule, cell };
        outputs.extend(stage::outputs_inside(graph, target, groups));
        let Some((readings, known)) = judge.ready(board, target) else {
            return Err(Error::bug(format!("{} is not ready to run", graph.label(target))));
        };
        identity = known;
        for reading in &readings {
            if rule.reads[reading.read].is_join() {
                joined[reading.read].push(reading.inside.clone());
            }
            supply(build, batch.rule, reading, &mut supplies)?;
        }
        for group in (0..rule.groups.len()).filter(|g| batch.groups & (1 << g) != 0) {
            let lines = judge.lines(board, target, group).unwrap_or_default();
            lines_of.insert((target, group), lines);
        }
    }
    for (inside, input) in &runner.overlays {
        let host = input_file(build, *input, 0)?;
        let files = Some(build.snapshot.folder_files(*input, 0));
        supplies.insert(inside.clone(), Supply { inside: inside.clone(), host, files });
    }
    for list in &mut joined {
        list.sort();
        list.dedup();
    }
    let first = Target { rule: batch.rule, cell: batch.cells[0] };
    let ask = Ask { first, groups, products: &batch.products, joined: &joined };
    let scratch = build.places.scratch().join(id);
    let supplies: Vec<Supply> = supplies.into_values().collect();
    let stage = stage::stage(graph, &ask, &outputs, &supplies, &scratch)?;
    let arguments = request::arguments(graph, &ask);
    let expected = expected(graph, judge, board, batch, &stage)?;
    let mut allowed: BTreeSet<String> = outputs.into_iter().collect();
    for cell in product_cells(rule, &batch.products) {
        let target = Target { rule: batch.rule, cell };
        allowed.extend(stage::outputs_inside(graph, target, groups));
    }
    if !runner.is_image() {
        allowed.extend(supplies.iter().flat_map(|s| match &s.files {
            None => vec![s.inside.clone()],
            Some(files) => files.iter().map(|f| format!("{}/{f}", s.inside)).collect(),
        }));
        if let Some(folder) = &runner.batch_dir {
            let files = stage::batch_files(graph, &ask);
            allowed.extend(files.into_iter().map(|(name, _)| format!("{folder}/{name}")));
        }
    } else {
        allowed.extend(supplies.iter().map(|s| s.inside.clone()));
    }
    let spec = spec(build, board, batch.rule, id, arguments, &stage)?;
    let command = crate::execute::by_hand::line(&spec);
    let work = Work {
        spec,
        rule: batch.rule,
        expected: expected.clone(),
        writable: stage.writable.clone(),
        allowed,
        ignore: rule.ignore.clone(),
        log: build.places.logs().join(format!("{id}.log")),
    };
    Ok(Prepared { work, command, expected, lines_of, identity })
}

/// All cells that products name.
fn product_cells(rule: &crate::graph::Rule, products: &[Product]) -> Vec<usize> {
    let mut cells = Vec::new();
    for product in products {
        let mut made = vec![0];
        for (values, size) in product.values.iter().zip(&rule.space.sizes) {
            made = made.iter().flat_map(|c| values.iter().map(move |v| c * size + v)).collect();
        }
        cells.extend(made);
    }
    cells
}

fn supply(
    build: &Build<'_>,
    rule: RuleId,
    reading: &Reading,
    supplies: &mut BTreeMap<String, Supply>,
) -> Result<()> {
    if supplies.contains_key(&reading.inside) {
        return Ok(());
    }
    let graph = build.graph;
    let read = &graph.rule(rule).reads[reading.read];
    let (host, files) = match read.from {
        From::Input(input) => {
            let host = input_file(build, input, reading.cell)?;
            let folder = graph.inputs[input].folder.is_some();
            (host, folder.then(|| build.snapshot.folder_files(input, reading.cell)))
        }
        // The stored object, not the project's file, which somebody may edit meanwhile.
        From::Output { rule: upstream, output } => {
            let from = Target { rule: upstream, cell: reading.cell };
            let Some(path) = stored(build, from, output, &reading.bytes)? else {
                return Err(Error::environment(format!(
                    "`{}` is no longer in the cache",
                    reading.inside
                ))
                .hint("run `jheem build` again: it will be made anew"));
            };
            (path, None)
        }
    };
    let inside = reading.inside.clone();
    supplies.insert(inside.clone(), Supply { inside, host, files });
    Ok(())
}

/// Where an input is on this machine: in the project, or in the cache if it came from afar.
fn input_file(build: &Build<'_>, input: usize, cell: usize) -> Result<PathBuf> {
    let fact = build.facts.inputs.get(&(input, cell));
    if let Some(InputFact::Pinned { digest, present: false, .. }) = fact {
        let here = build.inputs.path(build.objects, digest)?;
        return here.ok_or_else(|| {
            let source = build.inputs.source(digest);
            Error::environment(format!("`{source}` is not on this machine"))
                .hint("run `jheem build`, which fetches it")
        });
    }
    Ok(build.places.root.join(build.graph.input_path(input, cell)))
}

/// The path of an output's object; if the cache lost it, it is taken back from the project's file.
fn stored(
    build: &Build<'_>,
    from: Target,
    output: usize,
    digest: &Digest,
) -> Result<Option<PathBuf>> {
    if let Some(path) = build.objects.verified_path(digest)? {
        return Ok(Some(path));
    }
    let file = build.places.root.join(build.graph.output_path(from, output));
    if !file.is_file() || build.objects.put_file(&file)?.is_none_or(|s| s.digest != *digest) {
        return Ok(None);
    }
    build.objects.verified_path(digest)
}

fn expected(
    graph: &Graph,
    judge: &Judge<'_>,
    board: &Board,
    batch: &Batch,
    stage: &Stage,
) -> Result<Vec<Expected>> {
    let rule = graph.rule(batch.rule);
    let mut all = Vec::new();
    for &cell in &batch.cells {
        let target = Target { rule: batch.rule, cell };
        for group in (0..rule.groups.len()).filter(|g| batch.groups & (1 << g) != 0) {
            let judgement = judge.judge(board, None, target, group)?;
            let (Some(fingerprint), Some(by_bytes)) = (judgement.fingerprint, judgement.by_bytes)
            else {
                return Err(Error::bug(format!("{} has no fingerprint", graph.label(target))));
            };
            let mut outputs = Vec::new();
            for (output, inside) in graph.outputs_in_order(target, group) {
                let Some((folder, file)) = stage.host(&inside) else {
                    return Err(Error::bug(format!("`{inside}` is in no folder of the run")));
                };
                let made = &rule.outputs[output];
                outputs.push(ExpectedOutput {
                    folder,
                    file,
                    path: graph.output_path(target, output),
                    kind: made.kind,
                    volatile: made.volatile.clone(),
                    rules: plan::audit_rules(graph, target, output),
                    optional: made.optional,
                });
            }
            all.push(Expected {
                target,
                group,
                label: graph.label(target),
                fingerprint,
                by_bytes,
                judged: plan::judged_by(graph, target, group),
                outputs,
            });
        }
    }
    Ok(all)
}

/// A program of the project, as it is started: alone, so that what lies beside it and is not
/// declared is not found.
fn own_copy(name: &str, program: &Path, stage: &Stage) -> Result<PathBuf> {
    if rustix::fs::access(program, rustix::fs::Access::EXEC_OK).is_err() {
        // Said here, since what is to be mended is the project's file and not its copy.
        let name = name.trim_start_matches("./");
        return Err(Error::environment(format!("cannot start `{name}`: it is not executable"))
            .hint(format!("run `chmod +x {name}`")));
    }
    let folder = stage.scratch.join("program");
    std::fs::create_dir_all(&folder).map_err(|e| Error::io("make the folder", &folder, &e))?;
    let executable = folder.join(program.file_name().unwrap_or_default());
    // Whether it is still the one that was looked at is asked again before anything is recorded.
    std::fs::copy(program, &executable).map_err(|e| Error::io("copy", program, &e))?;
    Ok(executable)
}

/// What an image is pulled as: its digest at each of its places.
fn pulls(names: &[&str], manifest: Option<Digest>) -> Result<Vec<String>> {
    let Some(manifest) = manifest else { return Ok(Vec::new()) };
    names.iter().map(|name| Ok(Reference::parse(name)?.pinned(manifest).to_string())).collect()
}

fn spec(
    build: &Build<'_>,
    board: &Board,
    rule: RuleId,
    id: &str,
    arguments: Vec<String>,
    stage: &Stage,
) -> Result<RunSpec> {
    let graph = build.graph;
    let runner = graph.runner_of(rule);
    let index = graph.rule(rule).runner;
    let absolute = |path: &Path| std::path::absolute(path).map_err(|e| Error::io("find", path, &e));
    let engine = match &runner.start {
        Start::Image(name) => match &build.facts.runners[index] {
            RunnerFact::Known { identity, manifest, .. } => Engine::Image {
                id: identity.trim_start_matches("image ").to_owned(),
                platform: runner.platform.clone(),
                pulls: pulls(&runner.image_names(), *manifest)?,
            },
            _ => return Err(Error::environment(format!("the image `{name}` is not known"))),
        },
        Start::Program(name) => {
            let found = facts::find_program(&build.places.root, name)
                .ok_or_else(|| facts::no_program(&build.places.root, name))?;
            let executable = match name.contains('/') && !Path::new(name).is_absolute() {
                true => own_copy(name, &found, stage)?,
                false => found,
            };
            Engine::Program { executable }
        }
        Start::Built { rule: step, output, .. } => {
            let from = Target { rule: *step, cell: 0 };
            let group = graph.rule(*step).outputs[*output].group;
            let made = board.get(graph, from, group).and_then(|j| j.made.as_ref());
            let Some(made) = made.and_then(|m| plan::output_of(graph, from, group, *output, m))
            else {
                return Err(Error::bug(format!("runner `{}` is not built", runner.name)));
            };
            let executable = stage
                .scratch
                .join("program")
                .join(Path::new(&graph.output_path(from, *output)).file_name().unwrap_or_default());
            if stored(build, from, *output, &made.bytes)?.is_none()
                || build.objects.place(&made.bytes, &executable, 0o555)?.is_none()
            {
                return Err(Error::environment(format!(
                    "the program of runner `{}` is damaged in the cache",
                    runner.name
                ))
                .hint("run `jheem build` again: it will be built anew"));
            }
            Engine::Program { executable }
        }
    };
    let mut environment: Vec<(String, String)> = runner
        .pass_env
        .iter()
        .filter_map(|name| Some((name.clone(), facts::environment(name)?)))
        .collect();
    for (name, value) in &runner.env {
        environment.retain(|(known, _)| known != name);
        environment.push((name.clone(), value.clone()));
    }
    let declared = |name: &String| runner.env.iter().any(|(known, _)| known == name);
    let handed_through = runner.pass_env.iter().filter(|name| !declared(name)).cloned().collect();
    let image = runner.is_image();
    let root = absolute(&stage.root)?;
    let workdir = match (&runner.workdir, image) {
        (Some(workdir), true) => Some(workdir.clone()),
        (Some(workdir), false) => Some(root.join(workdir).to_string_lossy().into_owned()),
        (None, true) => None,
        (None, false) => Some(root.to_string_lossy().into_owned()),
    };
    let mut mounts = stage.mounts.clone();
    for mount in &mut mounts {
        mount.host = absolute(&mount.host)?;
    }
    let engine = match engine {
        Engine::Program { executable } => Engine::Program { executable: absolute(&executable)? },
        image => image,
    };
    Ok(RunSpec {
        id: id.to_owned(),
        owner: build.places.owner.clone(),
        engine,
        entrypoint: runner.entrypoint.clone(),
        arguments,
        environment,
        handed_through,
        workdir,
        scratch: absolute(&stage.scratch)?,
        mounts,
        isolation: Isolation {
            user: runner.user.clone(),
            network: runner.network.clone(),
            read_only_root: runner.read_only,
            drop_capabilities: runner.drop_capabilities.clone(),
            add_capabilities: runner.add_capabilities.clone(),
        },
        limits: Limits {
            memory: runner.memory,
            cpus: runner.cpus,
            total: runner.timeout.total,
            quiet: runner.timeout.quiet,
            grace: runner.timeout.grace,
        },
    })
}
