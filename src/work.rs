//! One run, on a thread of its own: starts it, reads its lines, collects what it makes.
//!
//! Answers with reports; owns no state of the build. A target's outputs are collected as soon as
//! the log says that it is done, so that what is finished survives whatever comes after.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::{LineWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::time::Instant;

use globset::GlobMatcher;

use crate::collect::{self, Collected, Expected};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::fetch::Arrived;
use crate::graph::{Graph, RuleId};
use crate::job::{Executor, Exit, Pulling, RunSpec, Stop};
use crate::log_lines::{self, How, LogReader, LogRules, Named};
use crate::moments::{self, Moment};
use crate::objects::Objects;

/// Everything one run needs.
pub struct Work {
    pub spec: RunSpec,
    pub rule: RuleId,
    /// All groups of all targets that are expected.
    pub expected: Vec<Expected>,
    pub writable: Vec<(String, PathBuf)>,
    /// Paths that the run sees and may leave, beside those that are expected.
    pub allowed: BTreeSet<String>,
    pub ignore: Vec<GlobMatcher>,
    pub log: PathBuf,
}

/// What a run tells the build.
#[derive(Debug)]
pub enum Report {
    /// What it is started from is on its way to this machine.
    Pulling {
        run: String,
        pulling: Pulling,
    },
    Began {
        run: String,
        cell: usize,
    },
    Collected {
        run: String,
        cell: usize,
        groups: Vec<(usize, Collected)>,
    },
    Absent {
        run: String,
        cell: usize,
        line: String,
        pattern: usize,
    },
    Ended(Box<Ended>),
    /// So many bytes of a remote input came so far.
    Fetching {
        digest: Digest,
        bytes: u64,
    },
    /// A remote input arrived, or will not.
    Fetched {
        digest: Digest,
        came: Result<Arrived, Box<Error>>,
        seconds: f64,
    },
}

impl Report {
    /// The run that it comes from; none for what comes from afar.
    pub fn run(&self) -> Option<&str> {
        match self {
            Report::Fetching { .. } | Report::Fetched { .. } => None,
            Report::Pulling { run, .. }
            | Report::Began { run, .. }
            | Report::Collected { run, .. }
            | Report::Absent { run, .. } => Some(run),
            Report::Ended(ended) => Some(&ended.run),
        }
    }
}

/// How a run ended, and what of it is left over.
#[derive(Debug)]
pub struct Ended {
    pub run: String,
    pub exit: Result<Exit>,
    /// Cells that were neither collected nor told absent.
    pub undone: Vec<Undone>,
    /// Paths that nobody asked for.
    pub strays: Vec<String>,
    /// Target lines that name what nobody asked for.
    pub unasked: Vec<String>,
    /// The last lines of the run's own.
    pub tail: Vec<String>,
    pub seconds: f64,
    /// Seconds before the first target began, if the log tells.
    pub startup: Option<f64>,
}

impl Ended {
    /// The end of a run whose thread panicked, which is a defect of jheem's.
    pub fn panicked(run: String, cells: BTreeSet<usize>) -> Ended {
        let undone = cells.into_iter().map(|cell| Undone {
            cell,
            began: false,
            failed: false,
            finding: None,
            unkept: None,
            lines: Vec::new(),
        });
        Ended {
            run,
            exit: Err(Error::bug("the thread of a run panicked")),
            undone: undone.collect(),
            strays: Vec::new(),
            unasked: Vec::new(),
            tail: Vec::new(),
            seconds: 0.0,
            startup: None,
        }
    }
}

/// A cell that the run did not make.
#[derive(Debug)]
pub struct Undone {
    pub cell: usize,
    /// Whether the log says that it began.
    pub began: bool,
    /// Whether the log says that it failed.
    pub failed: bool,
    /// What was found where its outputs should be.
    pub finding: Option<String>,
    pub unkept: Option<Unkept>,
    pub lines: Vec<String>,
}

/// Why what was made could not be stored, though the run may have made it well.
#[derive(Clone, Debug)]
pub struct Unkept {
    pub message: String,
    /// Whether another run may come out better.
    pub again: bool,
}

/// Carries a run out; the last report is always `Ended`.
pub fn work(
    graph: &Graph,
    work: Work,
    executor: &dyn Executor,
    objects: &Objects,
    stop: &Stop,
    reports: &Sender<Report>,
) {
    let run = work.spec.id.clone();
    let mut watch = Watch::new(graph, &work, objects, reports);
    let pulled = executor.pull(&work.spec, stop, &mut |pulling| {
        let _told = reports.send(Report::Pulling { run: run.clone(), pulling });
    });
    // The time that a pull takes says nothing of what a plot costs.
    let started = Instant::now();
    let outcome = match pulled {
        Ok(true) => watch.run(executor, stop, started),
        Ok(false) => Ok(Exit::Stopped),
        Err(error) => Err(error),
    };
    let seconds = started.elapsed().as_secs_f64();
    let ended = watch.end(outcome, seconds, run);
    // The build is gone only if it panicked; then nobody is left to tell.
    let _told = reports.send(Report::Ended(Box::new(ended)));
}

/// What is known of a cell while the run goes on.
#[derive(Default)]
struct State {
    began: bool,
    done: bool,
    failed: bool,
    /// Whether the log says that it was finished, or that the runner went on to the next.
    vouched: bool,
    finding: Option<String>,
    unkept: Option<Unkept>,
    /// The line that says that it cannot exist, and its pattern; a success after it takes it back.
    absent: Option<(String, usize)>,
    lines: Vec<String>,
}

struct Watch<'a> {
    graph: &'a Graph,
    work: &'a Work,
    objects: &'a Objects,
    reports: &'a Sender<Report>,
    cells: BTreeMap<usize, State>,
    unasked: Vec<String>,
    tail: Vec<String>,
    startup: Option<f64>,
    /// The cache takes no more, which is the whole build's trouble.
    no_room: Option<Error>,
}

impl<'a> Watch<'a> {
    fn new(
        graph: &'a Graph,
        work: &'a Work,
        objects: &'a Objects,
        reports: &'a Sender<Report>,
    ) -> Watch<'a> {
        let cells = work.expected.iter().map(|e| (e.target.cell, State::default())).collect();
        Watch {
            graph,
            work,
            objects,
            reports,
            cells,
            unasked: Vec::new(),
            tail: Vec::new(),
            startup: None,
            no_room: None,
        }
    }

    fn run(&mut self, executor: &dyn Executor, stop: &Stop, started: Instant) -> Result<Exit> {
        let mut log = open_log(&self.work.log)?;
        let mut reader = LogReader::new(
            log_rules(self.graph, self.work.rule),
            resolver(self.graph, self.work.rule, &self.cells.keys().copied().collect::<Vec<_>>()),
        );
        let exit = executor.run(&self.work.spec, stop, &mut |_, line| {
            // A log that cannot be written must not lose a plot.
            let _kept = writeln!(log, "{line}");
            moments::pass(Moment::Heard);
            let (sign, events) = reader.read(line);
            for event in events {
                self.event(event, started);
            }
            sign
        });
        let (events, tail) = reader.finish();
        self.tail = tail;
        let broken = self.broken(&exit);
        for event in events {
            match event {
                // The plot in hand of a run that was cut off may be half a file.
                log_lines::Event::Ended { key, how: How::Untold, lines }
                    if broken && self.cells.get(&key).is_none_or(|s| s.absent.is_none()) =>
                {
                    let state = self.cells.entry(key).or_default();
                    state.lines = lines;
                }
                event => self.event(event, started),
            }
        }
        exit
    }

    fn event(&mut self, event: log_lines::Event<usize>, started: Instant) {
        match event {
            log_lines::Event::Began(cell) => {
                self.startup.get_or_insert_with(|| started.elapsed().as_secs_f64());
                if let Some(state) = self.cells.get_mut(&cell) {
                    state.began = true;
                }
                let _told = self.reports.send(Report::Began { run: self.id(), cell });
            }
            log_lines::Event::Ended { key, how, lines } => {
                let Some(state) = self.cells.get_mut(&key) else { return };
                state.lines = lines;
                state.failed = how == How::Failed;
                state.vouched = how != How::Failed;
                let absent = state.absent.take().filter(|_| how != How::Succeeded && !state.done);
                if let Some((line, pattern)) = absent {
                    state.done = true;
                    let run = self.id();
                    let _told = self.reports.send(Report::Absent { run, cell: key, line, pattern });
                } else if !state.done && !state.failed {
                    self.collect(key);
                }
            }
            log_lines::Event::Absent { key, line, pattern } => {
                if let Some(state) = self.cells.get_mut(&key) {
                    state.absent.get_or_insert((line, pattern));
                }
            }
            log_lines::Event::Unasked(line) => self.unasked.push(line),
        }
    }

    fn id(&self) -> String {
        self.work.spec.id.clone()
    }

    /// Collects all groups of a cell; tells the build only when every group is there.
    fn collect(&mut self, cell: usize) {
        let mut groups = Vec::new();
        let mut unkept = None;
        for expected in self.work.expected.iter().filter(|e| e.target.cell == cell) {
            match collect::collect(self.objects, expected, &self.work.spec.id) {
                Ok(Collected::Moving(path)) => {
                    let message = format!("`{path}` changed while it was stored");
                    unkept = Some(Unkept { message, again: true });
                }
                Ok(found) => groups.push((expected.group, found)),
                Err(error) if error.no_room => {
                    self.no_room.get_or_insert(error);
                    return;
                }
                Err(error) => {
                    unkept = Some(Unkept { message: error.to_string(), again: false });
                }
            }
        }
        let Some(state) = self.cells.get_mut(&cell) else { return };
        let lack = groups.iter().find_map(|(_, found)| match found {
            Collected::Missing(path) => Some(format!("`{path}` was not made")),
            Collected::Unfit(what) => Some(what.clone()),
            _ => None,
        });
        state.unkept = unkept;
        if lack.is_some() || state.unkept.is_some() {
            state.finding = lack;
            return;
        }
        state.done = true;
        let _told = self.reports.send(Report::Collected { run: self.id(), cell, groups });
    }

    fn end(&mut self, exit: Result<Exit>, seconds: f64, run: String) -> Ended {
        let broken = self.broken(&exit);
        let open: Vec<usize> = self
            .cells
            .iter()
            .filter(|(_, state)| !state.done && !state.failed)
            .map(|(&cell, _)| cell)
            .collect();
        for cell in open {
            if broken && !self.cells[&cell].vouched {
                self.distrust(cell);
            } else {
                // What no line spoke of may be there all the same: the log may tell nothing at all.
                self.collect(cell);
            }
        }
        let (exit, strays) = match (exit, self.no_room.take()) {
            (Ok(exit), None) => (Ok(exit), self.strays()),
            (_, Some(error)) | (Err(error), None) => (Err(error), Vec::new()),
        };
        let undone = std::mem::take(&mut self.cells)
            .into_iter()
            .filter(|(_, state)| !state.done)
            .map(|(cell, state)| Undone {
                cell,
                began: state.began,
                failed: state.failed,
                finding: state.finding,
                unkept: state.unkept,
                lines: state.lines,
            })
            .collect();
        Ended {
            run,
            exit,
            undone,
            strays,
            unasked: std::mem::take(&mut self.unasked),
            tail: std::mem::take(&mut self.tail),
            seconds,
            startup: self.startup,
        }
    }

    /// Whether the whole run has failed: a crash in a container shows as a code, 139 say, which is not declared.
    fn broken(&self, exit: &Result<Exit>) -> bool {
        let policy = &self.graph.runner_of(self.work.rule).exit;
        !matches!(exit, Ok(Exit::Code(code)) if policy.ok.contains(code) || policy.partial.contains(code))
    }

    /// Leaves what a failed run left of this cell: a draft can be read and pass an audit as well as the plot can.
    ///
    /// After a bad end only the log is evidence, and it did not say that the cell was finished.
    fn distrust(&mut self, cell: usize) {
        let mut outputs =
            self.work.expected.iter().filter(|e| e.target.cell == cell).flat_map(|e| &e.outputs);
        if let Some(output) = outputs.find(|output| collect::stands(output))
            && let Some(state) = self.cells.get_mut(&cell)
        {
            state.finding = Some(format!("nothing says that `{}` is finished", output.path));
        }
    }

    fn strays(&self) -> Vec<String> {
        collect::strays(
            &self.work.writable,
            &|path| self.work.allowed.contains(path),
            &self.work.ignore,
        )
    }
}

fn open_log(path: &Path) -> Result<LineWriter<File>> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|e| Error::io("make the folder", folder, &e))?;
    }
    let file = File::create(path).map_err(|e| Error::io("write the log", path, &e))?;
    Ok(LineWriter::new(file))
}

/// The log patterns of a rule's runner; they were checked when the Jheemfile was read.
pub fn log_rules(graph: &Graph, rule: RuleId) -> LogRules {
    let log = &graph.runner_of(rule).log;
    let regex = |text: &String| regex::Regex::new(text).ok();
    LogRules {
        target: log.target.as_ref().and_then(regex),
        absent: log.absent.iter().filter_map(regex).collect(),
        success: log.success.as_ref().and_then(regex),
        failure: log.failure.as_ref().and_then(regex),
        progress: Vec::new(),
    }
}

type Resolve<'a> = log_lines::Resolve<'a, usize>;

/// Tells which of the expected cells a target line names, by the axes that it names.
pub fn resolver<'a>(graph: &'a Graph, rule: RuleId, cells: &[usize]) -> Resolve<'a> {
    let rule = graph.rule(rule);
    let names: Vec<Vec<String>> = rule
        .space
        .axes
        .iter()
        .enumerate()
        .map(|(position, &axis)| {
            let mut names = vec![graph.axes[axis].name.clone()];
            if let Some(batch) = &rule.batch {
                names.push(batch.fields[position].clone());
            }
            names
        })
        .collect();
    let log = &graph.runners[rule.runner].log;
    let groups: BTreeSet<String> = log
        .target
        .as_ref()
        .and_then(|text| regex::Regex::new(text).ok())
        .map(|regex| regex.capture_names().flatten().map(str::to_owned).collect())
        .unwrap_or_default();
    let named: Vec<(usize, String)> = names
        .iter()
        .enumerate()
        .filter_map(|(position, names)| {
            let name = names.iter().find(|n| groups.contains(*n))?;
            Some((position, name.clone()))
        })
        .collect();
    let mut known: HashMap<Vec<String>, Option<usize>> = HashMap::new();
    for &cell in cells {
        let key = named
            .iter()
            .map(|(position, _)| graph.value(&rule.space, cell, *position).to_owned())
            .collect();
        // Two cells that the line cannot tell apart are not told by it at all.
        known.entry(key).and_modify(|found| *found = None).or_insert(Some(cell));
    }
    Box::new(move |captures| {
        let key: Option<Vec<String>> = named
            .iter()
            .map(|(_, name)| captures.name(name).map(|m| m.as_str().to_owned()))
            .collect();
        match key.and_then(|key| known.get(&key)) {
            Some(Some(cell)) => Named::One(*cell),
            Some(None) => Named::Several,
            None => Named::Nobody,
        }
    })
}
