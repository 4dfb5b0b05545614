//! `accept`, `log`, `check`, `cache`, `init` and what is printed once.

use std::collections::HashSet;
use std::path::Path;

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::building::{options, sweep};
use super::stopping::{STOPPED, stop_on_signals};
use super::{FAILED, Outcomes, Reading, WELL, one, open};
use crate::build;
use crate::cli::{BuildArgs, CacheCommand, Cli, Global, Select};
use crate::error::Error;
use crate::fetch::Asker;
use crate::objects::{Freed, Objects, Usage};
use crate::plan::{self};
use crate::project::{self, Patience};
use crate::records::{Holding, Key, Outcome, Records};
use crate::remote_inputs::RemoteInputs;
use crate::report::Report;
use crate::session::{self, Look, World};
use crate::setup::{Build, Executors};
use crate::shelf::Stored;
use crate::source::Sources;
use crate::{check, clock, run_logs};

pub fn accept(global: &Global, select: &Select, report: &mut Report) -> Outcomes {
    let project = open(global)?;
    let selection = super::select(&project, select)?;
    let _lock = project::lock(&project.places, Patience::Wait, &mut |line| report.say(&line))
        .map_err(one)?;
    let (mut records, told) = Records::open(&project.places.cache).map_err(one)?;
    told.iter().for_each(|told| report.say(told));
    let graph = &project.graph;
    let mut accepted = 0;
    for target in selection.targets() {
        if !selection.goals[target.rule.0][target.cell] {
            continue;
        }
        let mut told = false;
        for group in 0..graph.rule(target.rule).groups.len() {
            let key = plan::record_key(graph, target, group);
            let Some(mut record) = records.one(&key).map_err(one)? else { continue };
            let Outcome::Failed { lines, .. } = &record.outcome else { continue };
            let patterns = &graph.runner_of(target.rule).log.absent;
            let Some(line) = lines.iter().find(|l| plan::absence_holds(patterns, l)).cloned()
            else {
                continue;
            };
            record.ever_made = false;
            record.outcome = Outcome::Absent { line, pattern: String::new() };
            records.commit(|w| w.record(&key, &record)).map_err(one)?;
            told = true;
        }
        if told {
            accepted += 1;
            report.listed(&graph.label(target));
        }
    }
    report.say(&format!("{} accepted as absent", crate::figures::numbered(accepted, "target")));
    Ok(WELL)
}

pub fn log(global: &Global, run: Option<&str>, report: &mut Report) -> Outcomes {
    let reading = Reading::open(global)?;
    let runs = match &reading.records {
        Some(records) => records.runs(1000).map_err(one)?,
        None => Vec::new(),
    };
    let Some(wanted) = run else {
        report.runs(&runs);
        return Ok(WELL);
    };
    let found = match wanted {
        "last" => runs.first().map(|r| r.id.clone()),
        name => {
            let exact = reading.project.places.logs().join(format!("{name}.log"));
            if exact.is_file() {
                Some(name.to_owned())
            } else {
                runs.iter().map(|r| &r.id).find(|id| id.starts_with(name)).cloned()
            }
        }
    };
    let Some(id) = found else {
        return Err(one(
            Error::user(format!("no run is called `{wanted}`")).hint("`jheem log` lists them")
        ));
    };
    let path = reading.project.places.logs().join(format!("{id}.log"));
    let bytes = std::fs::read(&path).map_err(|e| one(Error::io("read the log", &path, &e)))?;
    if let Some(run) = runs.iter().find(|run| run.id == id) {
        let seconds = run.milliseconds as f64 / 1000.0;
        report
            .say(&format!("{}: {} ended with {} after {seconds:.2} s", run.id, run.rule, run.exit));
        report.say(&format!("  {}", run.command));
    }
    if bytes.is_empty() {
        report.say("the run printed nothing");
    }
    for line in String::from_utf8_lossy(&bytes).lines() {
        report.data(line);
    }
    Ok(WELL)
}

pub fn check(
    global: &Global,
    select: &Select,
    sample: usize,
    seed: u64,
    report: &mut Report,
) -> Outcomes {
    let project = open(global)?;
    let graph = &project.graph;
    let selection = super::select(&project, select)?;
    let _lock = project::lock(&project.places, Patience::Wait, &mut |line| report.say(&line))
        .map_err(one)?;
    let world = World::that_pulls();
    let stop = stop_on_signals(&world).map_err(one)?;
    let objects = Objects::open(&project.places.cache).map_err(one)?;
    sweep(&project, &world, &objects, report).map_err(one)?;
    let records = Records::read(&project.places.cache).map_err(one)?;
    let looked =
        session::look(&project, selection, records.as_ref(), Some(&objects), &world, &stop);
    let Look::Session(session) = looked.map_err(one)? else { return Ok(STOPPED) };
    let targets = check::sample(graph, &session.selection, &session.board, sample, seed);
    if targets.is_empty() {
        return Err(one(Error::user(
            "nothing that is selected is made, so nothing can be checked",
        )
        .hint("run `jheem build` first")));
    }
    let shelf = Stored { objects: Some(&objects) };
    let judge = session.judge(&shelf);
    let sources = Sources::new(&project.places.root, world.aws.clone());
    let inputs = RemoteInputs::new(&sources, &project.lock, &session.facts.twins);
    let options = options(&BuildArgs::default());
    let build = Build {
        graph,
        places: &project.places,
        facts: &session.facts,
        snapshot: &session.snapshot,
        selection: &session.selection,
        last: &session.last,
        shelf: &shelf,
        objects: &objects,
        inputs: &inputs,
        executors: Executors { programs: &world.programs, containers: world.executor(graph) },
        stop: &stop,
        options: &options,
        now: &clock::now,
        published: &|_| false,
    };
    let stamp = build::free_stamp(&project.places, clock::now());
    let mut differing = 0;
    let asker = Asker { go_on: &|| !stop.is_raised(), came: &|_| {} };
    for (index, &target) in targets.iter().enumerate() {
        for digest in session.facts.afar(graph, target) {
            if !inputs.is_here(&objects, &digest) {
                inputs.fetch(&objects, &digest, &asker).map_err(one)?;
            }
        }
        let run = format!("{stamp}-{}", index + 1);
        let differences =
            check::compare(&build, &judge, &session.board, target, &run).map_err(one)?;
        if stop.is_raised() {
            return Ok(STOPPED);
        }
        differing += usize::from(!differences.is_empty());
        report.compared(&graph.label(target), &differences);
    }
    report.checked(targets.len(), differing);
    Ok(if differing == 0 { WELL } else { FAILED })
}

pub fn cache(global: &Global, what: &CacheCommand, report: &mut Report) -> Outcomes {
    let project = open(global)?;
    match what {
        CacheCommand::Stat => {
            let objects = Objects::read_only(&project.places.cache);
            let usage = objects.usage().map_err(one)?;
            let records = Records::read(&project.places.cache).map_err(one)?;
            let keys = plan::record_keys(&project.graph);
            let held = match &records {
                Some(records) => records.objects(&|key| keys.contains(key)).map_err(one)?,
                None => Default::default(),
            };
            let current = held.values().filter(|h| **h == Holding::Current).count();
            let logs = run_logs::list(&project.places.logs()).map_err(one)?;
            let usage = Usage { log_bytes: logs.iter().map(|log| log.bytes).sum(), ..usage };
            report.usage(&usage, current);
        }
        CacheCommand::Gc { size } => {
            let limit = match size {
                Some(text) => text
                    .parse::<bytesize::ByteSize>()
                    .map_err(|e| {
                        one(Error::user(format!("`{text}` is not a size: {e}"))
                            .hint("write it as `20GiB`"))
                    })?
                    .as_u64(),
                None => project.graph.cache_size.unwrap_or(u64::MAX),
            };
            let _lock =
                project::lock(&project.places, Patience::Wait, &mut |line| report.say(&line))
                    .map_err(one)?;
            let objects = Objects::open(&project.places.cache).map_err(one)?;
            let (mut records, told) = Records::open(&project.places.cache).map_err(one)?;
            if let Some(told) = told {
                // Without records nothing is known of what is needed.
                return Err(one(Error::environment(told)
                    .hint("run `jheem build` first: then it is known again what is needed")));
            }
            let keys = plan::record_keys(&project.graph);
            let wanted = |key: &Key| keys.contains(key);
            let held = records.objects(&wanted).map_err(one)?;
            objects.sweep().map_err(one)?;
            // What is pinned can be fetched again, and goes before what would have to be made again.
            let twins = records.twins().map_err(one)?;
            let fetched: HashSet<crate::digest::Digest> = project
                .lock
                .inputs
                .values()
                .filter_map(|pin| twins.get(&pin.digest).copied())
                .collect();
            let rank = |digest: &crate::digest::Digest| match held.get(digest) {
                None if fetched.contains(digest) => Some(1),
                Some(Holding::Current) => None,
                Some(Holding::Past(at)) => Some(*at),
                // What no record speaks of was left by a kill, or was refused.
                Some(Holding::Refused) | None => Some(0),
            };
            // What was refused goes first, then the logs of runs that nothing came out of any more.
            let runs = records.current_runs().map_err(one)?;
            let logs = run_logs::list(&project.places.logs()).map_err(one)?;
            let mut log_bytes: u64 = logs.iter().map(|log| log.bytes).sum();
            let refused = |digest: &crate::digest::Digest| rank(digest).filter(|rank| *rank == 0);
            let mut gone =
                objects.collect(&refused, limit.saturating_sub(log_bytes)).map_err(one)?;
            let object_bytes = gone.kept;
            for log in logs.iter().filter(|log| !runs.contains(&log.run)) {
                if object_bytes + log_bytes <= limit {
                    break;
                }
                log.remove().map_err(one)?;
                records.commit(|w| w.forget_run(&log.run)).map_err(one)?;
                log_bytes -= log.bytes;
                gone.logs += 1;
                gone.bytes += log.bytes;
            }
            let freed = objects.collect(&rank, limit.saturating_sub(log_bytes)).map_err(one)?;
            records.prune(&wanted, &|digest| objects.has(digest)).map_err(one)?;
            let freed = Freed {
                objects: freed.objects + gone.objects,
                logs: gone.logs,
                bytes: freed.bytes + gone.bytes,
                kept: freed.kept + log_bytes,
            };
            report.freed(&freed, limit);
        }
    }
    Ok(WELL)
}

pub fn init(folder: &Path, report: &mut Report) -> Outcomes {
    let path = folder.join(project::JHEEMFILE);
    if path.exists() {
        return Err(one(Error::user(format!("`{}` exists already", path.display()))
            .hint("edit it, or choose another folder")));
    }
    std::fs::create_dir_all(folder).map_err(|e| one(Error::io("make the folder", folder, &e)))?;
    let text = crate::init::propose(folder).map_err(one)?;
    std::fs::write(&path, text).map_err(|e| one(Error::io("write", &path, &e)))?;
    report.path(&path.display().to_string());
    let there = match folder == Path::new(".") {
        true => String::new(),
        false => format!(" --file {}", folder.display()),
    };
    report.say(&format!(
        "next: fill in the runner's image or program and its `command`, then run `jheem plan{there}`"
    ));
    Ok(WELL)
}

pub fn schema(report: &mut Report) -> Outcomes {
    let schema = serde_json::to_string_pretty(&crate::schema::json_schema())
        .map_err(|e| one(Error::bug(e.to_string())))?;
    report.document(&schema);
    Ok(WELL)
}

pub fn completions(shell: Shell, report: &mut Report) -> Outcomes {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "jheem", &mut text);
    report.document(String::from_utf8_lossy(&text).trim_end());
    Ok(WELL)
}

pub fn man(report: &mut Report) -> Outcomes {
    let mut text = Vec::new();
    clap_mangen::Man::new(Cli::command())
        .render(&mut text)
        .map_err(|e| one(Error::bug(e.to_string())))?;
    report.document(String::from_utf8_lossy(&text).trim_end());
    Ok(WELL)
}
