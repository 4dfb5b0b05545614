//! `trace`: from something published back to the plot, the run and the data that it comes from.
//!
//! Nothing is hashed or judged: what the last run recorded is compared with what the manifest says.

use std::collections::{BTreeSet, HashMap, VecDeque};

use super::{Outcomes, Reading, WELL, one};
use crate::cli::{Global, Select};
use crate::error::{Error, Result};
use crate::graph::{From, Graph, Target};
use crate::objects::Objects;
use crate::plan::{self, Board};
use crate::publishing::{Called, InManifest, Source, Traced, TracedKey};
use crate::records::{Outcome, Record, Records, Run};
use crate::report::Report;
use crate::report::answer::{Origin, OriginRead, State, Trace};
use crate::session::World;
use crate::{clock, request, why};

/// So many targets are followed back from one plot.
const MOST: usize = 200;

pub fn trace(global: &Global, what: &str, report: &mut Report) -> Outcomes {
    let reading = Reading::open(global)?;
    let graph = &reading.project.graph;
    if graph.publishes.is_empty() {
        return Err(one(Error::user("nothing is published by this project")
            .hint("declare a `[publish.NAME]` in the Jheemfile")));
    }
    let selection = reading.select(&Select::default())?;
    let (world, board, last) = (World::new(), Board::new(graph), HashMap::new());
    let nothing = Objects::read_only(&reading.project.places.cache);
    let objects = reading.objects.as_ref().unwrap_or(&nothing);
    let (project, aws) = (&reading.project, &world.aws);
    let source = Source::new(project, &selection, &board, &last, objects, aws, String::new());
    let called = Called::new(what, &project.places.root);
    let found = source.trace(&called).map_err(one)?;
    if found.is_empty() {
        let error = Error::user(format!("no target of this Jheemfile publishes `{what}`"));
        return Err(one(error.hint(
            "give a URL, a path, a key, or a row's key as `city=A, outcome=x`; `jheem verify` names what is published and no longer declared",
        )));
    }
    let runs = match &reading.records {
        Some(records) => records.runs(usize::MAX).map_err(one)?,
        None => Vec::new(),
    };
    let mut told = BTreeSet::new();
    for traced in &found {
        let entry = source.in_manifest(traced).map_err(one)?;
        let record = last_record(&reading, traced).map_err(one)?;
        report.traced(&Trace {
            destination: traced.destination.to_string(),
            key: match &traced.key {
                TracedKey::Object(key) => key.clone(),
                TracedKey::Row(key) => key.to_string(),
            },
            publish: traced.publish.clone(),
            target: graph.label(traced.target),
            bytes: entry.as_ref().and_then(|entry| entry.bytes).map(|digest| digest.to_string()),
            size: entry.as_ref().and_then(|entry| entry.size),
            state: state(graph, traced, entry.as_ref(), record.as_ref()),
        });
        if let Some(records) = &reading.records {
            for origin in origins(&reading, records, &runs, traced, &mut told).map_err(one)? {
                report.origin(&origin);
            }
        }
    }
    Ok(WELL)
}

fn group_of(graph: &Graph, traced: &Traced) -> usize {
    graph.rule(traced.target.rule).outputs[traced.output].group
}

fn last_record(reading: &Reading, traced: &Traced) -> Result<Option<Record>> {
    let graph = &reading.project.graph;
    let key = plan::record_key(graph, traced.target, group_of(graph, traced));
    match &reading.records {
        Some(records) => records.one(&key),
        None => Ok(None),
    }
}

/// Whether it is of an edition, which nothing is written over in.
fn in_edition(graph: &Graph, traced: &Traced) -> bool {
    let publish = graph.publishes.iter().find(|publish| publish.name == traced.publish);
    publish.is_some_and(|publish| publish.editions.is_some())
}

/// How what is published stands to what was last built here.
fn state(
    graph: &Graph,
    traced: &Traced,
    entry: Option<&InManifest>,
    record: Option<&Record>,
) -> State {
    let Some(entry) = entry else { return State::Unpublished };
    let Some(Outcome::Made(made)) = record.map(|record| &record.outcome) else {
        return State::NotBuilt;
    };
    let group = group_of(graph, traced);
    let Some(output) = plan::output_of(graph, traced.target, group, traced.output, made) else {
        return State::NotBuilt;
    };
    let same_content = entry.content == Some((output.content, made.judged));
    match entry.built {
        Some(bytes) if bytes == output.bytes => State::AsBuilt,
        _ if same_content => State::SameContent,
        // A row that registers no object, or a packed one, says nothing of built bytes.
        None => State::Unknown,
        Some(_) if entry.held => State::Held,
        Some(_) if in_edition(graph, traced) => State::OtherEdition,
        Some(_) => State::Differs,
    }
}

/// Where a target comes from, and what it reads, back to the data; those in `told` are left out.
fn origins(
    reading: &Reading,
    records: &Records,
    runs: &[Run],
    traced: &Traced,
    told: &mut BTreeSet<(Target, usize)>,
) -> Result<Vec<Origin>> {
    let graph = &reading.project.graph;
    let mut origins = Vec::new();
    let mut next = VecDeque::from([(traced.target, group_of(graph, traced))]);
    while let Some((target, group)) = next.pop_front() {
        if origins.len() >= MOST || !told.insert((target, group)) {
            continue;
        }
        let Some(record) = records.one(&plan::record_key(graph, target, group))? else { continue };
        let rule = graph.rule(target.rule);
        for read in &rule.reads {
            if let From::Output { rule: upstream, output } = read.from {
                let group = graph.rule(upstream).outputs[output].group;
                let cells = read.cells(&rule.space, target.cell);
                next.extend(cells.into_iter().map(|cell| (Target { rule: upstream, cell }, group)));
            }
        }
        origins.push(origin(reading, records, runs, target, &record)?);
    }
    Ok(origins)
}

/// What stands behind the paths that a target reads: of an input that was fetched, its source.
fn names(reading: &Reading, target: Target) -> HashMap<String, String> {
    let graph = &reading.project.graph;
    let rule = graph.rule(target.rule);
    let mut names = why::reads(graph, target);
    for read in &rule.reads {
        let From::Input(input) = read.from else { continue };
        for cell in read.cells(&rule.space, target.cell) {
            let file = reading.project.places.root.join(graph.input_path(input, cell));
            if let Some(source) = graph.input_source(input, cell).filter(|_| !file.exists()) {
                let inside = request::read_inside(graph, target, read, cell);
                names.insert(inside, format!("{} ({source})", read.name));
            }
        }
    }
    names
}

fn origin(
    reading: &Reading,
    records: &Records,
    runs: &[Run],
    target: Target,
    record: &Record,
) -> Result<Origin> {
    let graph = &reading.project.graph;
    let names = names(reading, target);
    let mut runner = None;
    let mut reads = Vec::new();
    for line in records.lines(record)? {
        let (label, value) = line.split_once('\t').unwrap_or((&line, ""));
        if label == "runner" {
            runner = Some(value.to_owned());
        } else if let Some(inside) = label.strip_prefix("reads ") {
            let what = names.get(inside).cloned().unwrap_or_else(|| inside.to_owned());
            reads.push(OriginRead { what, digest: value.to_owned() });
        }
    }
    let (made, problem) = match &record.outcome {
        Outcome::Made(made) => (made.run.clone(), None),
        Outcome::Refused { findings, .. } => (record.run.clone(), findings.first().cloned()),
        Outcome::Absent { line, .. } => (record.run.clone(), Some(line.clone())),
        Outcome::Failed { message, .. } => (record.run.clone(), Some(message.clone())),
    };
    let run = runs.iter().find(|run| run.id == made);
    let log = reading.project.places.logs().join(format!("{made}.log"));
    Ok(Origin {
        target: graph.label(target),
        at: clock::rfc3339(clock::of_stamp(&made).unwrap_or(record.at)),
        command: run.map(|run| run.command.clone()),
        exit: run.map(|run| run.exit.clone()),
        log: log.is_file().then(|| log.display().to_string()),
        run: made,
        runner,
        problem,
        reads,
    })
}
