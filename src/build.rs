//! The build: one synchronous loop that owns all mutable state.
//!
//! 1. What is fresh is recorded if need be, what is restorable is put in place.
//! 2. Targets whose upstreams are settled are judged, cut into runs and started, as slots allow.
//! 3. Reports come back on one channel. An output is stored by digest, recorded, then placed; so
//!    a kill at any moment leaves a record that is true or none.
//! 4. When a run has ended and its batch was checked as a whole, its targets are settled, which
//!    makes their readers ready; then 2 again, until nothing is left.
//!
//! Runs go on behind the `Executor` port; nothing here knows containers, and nothing is printed.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use rayon::prelude::*;

use crate::batch::{self, Batch, Sizing, UNKNOWN_COST};
use crate::collect::{Collected, Expected, ExpectedOutput};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::event::{Ending, Event, FinishedTargets, PlannedTargets};
use crate::facts::{self, Snapshot};
use crate::fingerprint::Reading;
use crate::graph::{From, Graph, RuleId, Start, Target};
use crate::job::{Engine, Executor, Exit, Isolation, Limits, RunSpec, Stop};
use crate::memo;
use crate::objects::Objects;
use crate::plan::{self, Board, Facts, FileFact, Judge, Reason, RunnerFact, Shelf, Verdict};
use crate::records::{self, Key, Made, Outcome, Record, Records};
use crate::request::{self, Ask, Product};
use crate::selection::Selection;
use crate::stage::{self, Stage, Supply};
use crate::work::{self, Ended, Report, Undone, Work};

/// How a build is carried out; nothing of it enters a fingerprint.
#[derive(Clone, Debug)]
pub struct Options {
    /// At most so many runs at once.
    pub jobs: usize,
    /// Processors and bytes of memory that runs may declare in all.
    pub cpus: f64,
    pub memory: u64,
    /// Go on after a failure.
    pub keep_going: bool,
}

/// Who carries runs out.
pub struct Executors<'a> {
    pub programs: &'a dyn Executor,
    /// None where no daemon answers; then the reason why.
    pub containers: std::result::Result<&'a dyn Executor, Error>,
}

/// The folders of a project.
#[derive(Clone, Debug)]
pub struct Places {
    /// The folder of the Jheemfile.
    pub root: PathBuf,
    pub cache: PathBuf,
    /// Names this cache folder among all on the machine, so that a sweep ends only its own.
    pub owner: String,
}

impl Places {
    pub fn scratch(&self) -> PathBuf {
        self.cache.join("scratch")
    }

    pub fn logs(&self) -> PathBuf {
        self.cache.join("logs")
    }
}

/// Everything that a build is given.
pub struct Build<'a> {
    pub graph: &'a Graph,
    pub places: &'a Places,
    pub facts: &'a Facts,
    pub snapshot: &'a Snapshot,
    pub selection: &'a Selection,
    pub last: &'a HashMap<Key, Record>,
    pub shelf: &'a dyn Shelf,
    pub objects: &'a Objects,
    pub executors: Executors<'a>,
    pub stop: &'a Stop,
    pub options: &'a Options,
    /// Seconds since 1970.
    pub now: &'a (dyn Fn() -> u64 + Sync),
}

/// What a build came to.
#[derive(Debug)]
pub struct Done {
    pub targets: FinishedTargets,
    pub runs: usize,
    /// Whether something failed that no target shows.
    pub problems: usize,
    pub board: Board,
    pub stopped: bool,
}

/// How a target came to rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Fresh,
    Restored,
    Built,
    Absent,
    Failed,
    Skipped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Unwanted,
    /// Waits for so many unsettled upstreams.
    Waiting(u32),
    Ready,
    Running,
    Settled(End),
}

/// Whether a rule whose runner is new has shown that it works.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Trial {
    Open { failures: u32, absent: u32, tried: BTreeSet<usize> },
    Running { failures: u32, absent: u32, tried: BTreeSet<usize> },
    Passed,
    Stopped,
}

/// Targets of a rule that share the values that are never mixed.
#[derive(Default)]
struct Gather {
    waiting: usize,
    ready: Vec<(usize, u32)>,
}

/// A batch that waits for a slot.
struct Queued {
    batch: Batch,
    /// How often these targets were lost before.
    attempt: u32,
}

/// A run that is going on.
struct Running {
    batch: Batch,
    attempt: u32,
    expected: Vec<Expected>,
    /// What each cell came to so far.
    ends: BTreeMap<usize, End>,
    /// Content digests made by this run, to be compared with each other at its end.
    made: Vec<(Target, usize, Made)>,
    lines_of: HashMap<Target, Vec<String>>,
    identity: String,
    started: u64,
    command: String,
    trial: bool,
}

struct Loop<'a, 'e> {
    build: &'a Build<'a>,
    records: &'a mut Records,
    on_event: &'e mut dyn FnMut(Event),
    board: Board,
    status: Vec<Vec<Status>>,
    gathers: BTreeMap<(RuleId, Vec<usize>), Gather>,
    trials: Vec<Trial>,
    queue: VecDeque<Queued>,
    running: HashMap<String, Running>,
    ended: FinishedTargets,
    runs: usize,
    problems: usize,
    /// Set after a failure that ends the build, and by Ctrl-C.
    draining: bool,
    told_stop: bool,
    stamp: String,
    /// Contents that unique outputs have, by rule and output.
    unique: HashMap<(RuleId, usize, Digest), Target>,
}

/// Builds what was selected. The board holds the verdicts that the plan gave.
pub fn build(
    build: &Build<'_>,
    records: &mut Records,
    board: Board,
    on_event: &mut dyn FnMut(Event),
) -> Result<Done> {
    let graph = build.graph;
    let stamp = free_stamp(build.places, (build.now)());
    let mut this = Loop {
        build,
        records,
        on_event,
        board,
        status: graph.rules.iter().map(|r| vec![Status::Unwanted; r.space.cells()]).collect(),
        gathers: BTreeMap::new(),
        trials: graph
            .rules
            .iter()
            .map(|_| Trial::Open { failures: 0, absent: 0, tried: BTreeSet::new() })
            .collect(),
        queue: VecDeque::new(),
        running: HashMap::new(),
        ended: FinishedTargets::default(),
        runs: 0,
        problems: 0,
        draining: false,
        told_stop: false,
        stamp,
        unique: HashMap::new(),
    };
    this.start()?;
    let (sender, receiver) = channel();
    let outcome = std::thread::scope(|scope| this.run(scope, &sender, &receiver));
    outcome?;
    this.skip_the_rest();
    let stopped = build.stop.is_raised();
    Ok(Done {
        targets: this.ended,
        runs: this.runs,
        problems: this.problems,
        board: this.board,
        stopped,
    })
}

/// A name for this build's runs that no earlier run has: two builds may begin in one second.
fn free_stamp(places: &Places, now: u64) -> String {
    let stamp = crate::clock::stamp(now);
    let taken = |name: &str| {
        places.logs().join(format!("{name}-1.log")).exists()
            || places.scratch().join(format!("{name}-1")).exists()
    };
    if !taken(&stamp) {
        return stamp;
    }
    (2..).map(|n| format!("{stamp}.{n}")).find(|name| !taken(name)).expect("some number is free")
}

/// The counts of a plan.
pub fn count(graph: &Graph, selection: &Selection, board: &Board) -> PlannedTargets {
    let mut counts = PlannedTargets::default();
    for target in selection.targets() {
        match board.verdict(graph, selection, target) {
            Verdict::Fresh => counts.fresh += 1,
            Verdict::Restorable(_) => counts.restorable += 1,
            Verdict::Stale(_) => counts.stale += 1,
            Verdict::Pending(_) => counts.pending += 1,
            Verdict::Blocked(_) => counts.blocked += 1,
            Verdict::Absent(_) => counts.absent += 1,
        }
    }
    counts
}

impl<'a> Loop<'a, '_> {
    fn tell(&mut self, event: Event) {
        (self.on_event)(event);
    }

    fn judge(&self) -> Judge<'a> {
        let build = self.build;
        Judge { graph: build.graph, facts: build.facts, last: build.last, shelf: build.shelf }
    }

    // The start: what needs no run.

    fn start(&mut self) -> Result<()> {
        let build = self.build;
        let graph = build.graph;
        let targets: Vec<Target> = build.selection.targets().collect();
        let mut rekeyed = Vec::new();
        let mut restore = Vec::new();
        for &target in &targets {
            for group in self.groups(target) {
                let Some(judgement) = self.board.get(graph, target, group) else { continue };
                match &judgement.verdict {
                    Verdict::Fresh if judgement.rekey || self.unrecorded(target, group) => {
                        rekeyed.push((target, group));
                    }
                    Verdict::Restorable(_) => restore.push((target, group)),
                    _ => {}
                }
            }
        }
        self.rekey(&rekeyed)?;
        self.restore(&restore)?;
        for &target in &targets {
            let verdict = self.board.verdict(graph, build.selection, target);
            let end = match verdict {
                Verdict::Fresh => Some(End::Fresh),
                Verdict::Restorable(_) => Some(End::Restored),
                Verdict::Absent(_) => Some(End::Absent),
                Verdict::Blocked(_) => Some(End::Skipped),
                Verdict::Stale(_) | Verdict::Pending(_) => None,
            };
            if let (Some(End::Skipped), Verdict::Blocked(what)) = (end, verdict) {
                let message = format!("`{what}` is missing");
                self.tell_target(target, Ending::Skipped, Some(message), Vec::new());
            }
            match end {
                Some(end) => {
                    self.count(end);
                    self.status[target.rule.0][target.cell] = Status::Settled(end);
                }
                None => self.status[target.rule.0][target.cell] = Status::Waiting(0),
            }
        }
        let waiting: Vec<Target> = targets
            .iter()
            .copied()
            .filter(|t| self.status[t.rule.0][t.cell] == Status::Waiting(0))
            .collect();
        for &target in &waiting {
            let unsettled = self
                .upstreams(target)
                .into_iter()
                .filter(|u| !matches!(self.status[u.rule.0][u.cell], Status::Settled(_)))
                .count();
            let unsettled = u32::try_from(unsettled).unwrap_or(u32::MAX);
            self.status[target.rule.0][target.cell] = Status::Waiting(unsettled);
            self.gathers.entry(self.gather_key(target)).or_default().waiting += 1;
        }
        for target in waiting {
            if self.status[target.rule.0][target.cell] == Status::Waiting(0) {
                self.ready(target)?;
            }
        }
        Ok(())
    }

    fn groups(&self, target: Target) -> Vec<usize> {
        let wanted = self.build.selection.wants(target);
        let groups = self.build.graph.rule(target.rule).groups.len();
        (0..groups).filter(|group| wanted & (1 << group) != 0).collect()
    }

    /// Whether the record of a fresh target speaks of another fingerprint, or remembers no files.
    fn unrecorded(&self, target: Target, group: usize) -> bool {
        let graph = self.build.graph;
        let record = self.build.last.get(&plan::record_key(graph, target, group));
        let Some(judgement) = self.board.get(graph, target, group) else { return false };
        match record {
            Some(record) => {
                judgement.fingerprint != Some(record.fingerprint)
                    || self.build.snapshot.moved(graph, target, group, &record.memo)
            }
            None => true,
        }
    }

    fn rekey(&mut self, targets: &[(Target, usize)]) -> Result<()> {
        let build = self.build;
        let mut writes = Vec::new();
        for &(target, group) in targets {
            let memo = build.snapshot.memo(build.graph, target, group);
            writes.extend(self.record_of(target, group, memo));
        }
        self.write(&writes)
    }

    /// The record of a group that is made, as it will be written.
    fn record_of(
        &self,
        target: Target,
        group: usize,
        memo: Vec<Option<memo::Entry>>,
    ) -> Option<Write> {
        let graph = self.build.graph;
        let judgement = self.board.get(graph, target, group)?;
        let made = judgement.made.clone()?;
        let lines = self.judge().lines(&self.board, target, group).unwrap_or_default();
        Some(Write {
            key: plan::record_key(graph, target, group),
            fingerprint: judgement.fingerprint?,
            outcome: Outcome::Made(made),
            lines,
            memo,
            ever_made: true,
        })
    }

    fn write(&mut self, writes: &[Write]) -> Result<()> {
        if writes.is_empty() {
            return Ok(());
        }
        let at = (self.build.now)();
        let run = self.stamp.clone();
        self.records.commit(|w| {
            for write in writes {
                let lines = w.number(&write.lines)?;
                let run = match &write.outcome {
                    Outcome::Made(made) | Outcome::Refused { made, .. } => made.run.clone(),
                    _ => run.clone(),
                };
                let record = Record {
                    fingerprint: write.fingerprint,
                    outcome: write.outcome.clone(),
                    lines,
                    memo: write.memo.clone(),
                    run,
                    ever_made: write.ever_made,
                    at,
                };
                w.record(&write.key, &record)?;
                if let Outcome::Made(made) = &write.outcome {
                    w.made(&write.fingerprint, made, at)?;
                }
            }
            Ok(())
        })
    }

    /// Puts outputs in place from the cache, many at once.
    fn restore(&mut self, targets: &[(Target, usize)]) -> Result<()> {
        let (build, board) = (self.build, &self.board);
        let placed: Vec<((Target, usize), Result<Placement>)> = targets
            .par_iter()
            .map(|&(target, group)| ((target, group), place(build, board, target, group)))
            .collect();
        let mut writes = Vec::new();
        let mut restored = 0;
        for ((target, group), placement) in placed {
            match placement {
                Ok(Placement::Placed { memo, notes }) => {
                    for message in notes {
                        self.tell(Event::Note { message });
                    }
                    writes.extend(self.record_of(target, group, memo));
                    restored += 1;
                }
                Ok(Placement::Lost(path)) => {
                    // The object turned out bad when it was read, so it must be made again.
                    if let Some(judgement) = self.board.get(self.build.graph, target, group) {
                        let mut judgement = judgement.clone();
                        judgement.verdict = Verdict::Stale(Reason::Lost(path));
                        judgement.made = None;
                        self.board.set(self.build.graph, target, group, judgement);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        self.write(&writes)?;
        if restored > 0 {
            self.tell(Event::Restored { targets: restored });
        }
        Ok(())
    }

    // Readiness.

    /// The targets that this one reads, each once.
    fn upstreams(&self, target: Target) -> Vec<Target> {
        let graph = self.build.graph;
        let rule = graph.rule(target.rule);
        let mut upstreams = BTreeSet::new();
        for read in &rule.reads {
            if let From::Output { rule: upstream, .. } = read.from {
                for cell in read.cells(&rule.space, target.cell) {
                    upstreams.insert(Target { rule: upstream, cell });
                }
            }
        }
        if let Start::Built { rule: step, .. } = graph.runner_of(target.rule).start {
            upstreams.insert(Target { rule: step, cell: 0 });
        }
        upstreams.into_iter().collect()
    }

    /// The targets that read this one, each once.
    fn readers(&self, target: Target) -> Vec<Target> {
        let graph = self.build.graph;
        let mut readers = BTreeSet::new();
        for id in graph.rule_ids() {
            let rule = graph.rule(id);
            for read in &rule.reads {
                let From::Output { rule: upstream, .. } = read.from else { continue };
                if upstream != target.rule {
                    continue;
                }
                let at = read.space.coordinates(target.cell);
                let mut cells = vec![0];
                for (position, &size) in rule.space.sizes.iter().enumerate() {
                    let fixed = read.positions.iter().position(|p| *p == Some(position));
                    cells = match fixed {
                        Some(axis) => cells.iter().map(|c| c * size + at[axis]).collect(),
                        None => cells
                            .iter()
                            .flat_map(|c| (0..size).map(move |v| c * size + v))
                            .collect(),
                    };
                }
                readers.extend(cells.into_iter().map(|cell| Target { rule: id, cell }));
            }
            if let Start::Built { rule: step, .. } = graph.runner_of(id).start
                && step == target.rule
            {
                readers.extend((0..rule.space.cells()).map(|cell| Target { rule: id, cell }));
            }
        }
        readers.into_iter().collect()
    }

    fn gather_key(&self, target: Target) -> (RuleId, Vec<usize>) {
        let rule = self.build.graph.rule(target.rule);
        let fixed = match &rule.batch {
            Some(batch) => {
                batch.by.iter().map(|&p| rule.space.coordinate(target.cell, p)).collect()
            }
            None => vec![target.cell],
        };
        (target.rule, fixed)
    }

    /// All upstreams of a target are settled: judges it, and takes the next step.
    fn ready(&mut self, first: Target) -> Result<()> {
        let graph = self.build.graph;
        let mut work = vec![first];
        while let Some(target) = work.pop() {
            let failed = self.upstreams(target).into_iter().find(|u| {
                matches!(self.status[u.rule.0][u.cell], Status::Settled(End::Failed | End::Skipped))
            });
            let key = self.gather_key(target);
            let gather = self.gathers.entry(key.clone()).or_default();
            gather.waiting = gather.waiting.saturating_sub(1);
            let end = match failed {
                Some(failed) => {
                    let message = format!("it needs {}, which was not made", graph.label(failed));
                    self.tell_target(target, Ending::Skipped, Some(message), Vec::new());
                    Some(End::Skipped)
                }
                None => self.rejudge(target)?,
            };
            match end {
                Some(end) => work.extend(self.settle(target, end)),
                None => {
                    self.status[target.rule.0][target.cell] = Status::Ready;
                    let lacking = self.lacking(target);
                    self.gathers.entry(key).or_default().ready.push((target.cell, lacking));
                }
            }
        }
        Ok(())
    }

    /// Judges a target whose upstreams are settled; none if it must be run.
    fn rejudge(&mut self, target: Target) -> Result<Option<End>> {
        let build = self.build;
        let graph = build.graph;
        let mut restore = Vec::new();
        let mut rekeyed = Vec::new();
        for group in self.groups(target) {
            let judgement = self.judge().judge(&self.board, Some(self.records), target, group)?;
            match &judgement.verdict {
                Verdict::Restorable(_) => restore.push((target, group)),
                Verdict::Fresh if judgement.rekey => rekeyed.push((target, group)),
                _ => {}
            }
            self.board.set(graph, target, group, judgement);
        }
        self.rekey(&rekeyed)?;
        if !restore.is_empty() {
            self.restore(&restore)?;
        }
        let end = match self.board.verdict(graph, build.selection, target) {
            Verdict::Fresh => Some(End::Fresh),
            Verdict::Restorable(_) => Some(End::Restored),
            Verdict::Absent(_) => Some(End::Absent),
            Verdict::Stale(_) => None,
            Verdict::Blocked(what) | Verdict::Pending(what) => {
                let message = what.clone();
                self.tell_target(target, Ending::Skipped, Some(message), Vec::new());
                Some(End::Skipped)
            }
        };
        Ok(end)
    }

    /// The groups that must be made, as bits.
    fn lacking(&self, target: Target) -> u32 {
        let graph = self.build.graph;
        self.groups(target)
            .into_iter()
            .filter(|&group| {
                self.board
                    .get(graph, target, group)
                    .is_some_and(|j| matches!(j.verdict, Verdict::Stale(_)))
            })
            .fold(0, |bits, group| bits | 1 << group)
    }

    fn count(&mut self, end: End) {
        match end {
            End::Fresh => self.ended.fresh += 1,
            End::Restored => self.ended.restored += 1,
            End::Built => self.ended.built += 1,
            End::Absent => self.ended.absent += 1,
            End::Failed => self.ended.failed += 1,
            End::Skipped => self.ended.skipped += 1,
        }
    }

    /// A target came to rest; returns the readers that this makes ready.
    fn settle(&mut self, target: Target, end: End) -> Vec<Target> {
        self.count(end);
        self.status[target.rule.0][target.cell] = Status::Settled(end);
        if end == End::Failed && !self.build.options.keep_going {
            self.draining = true;
        }
        let mut ready = Vec::new();
        for reader in self.readers(target) {
            if let Status::Waiting(count) = &mut self.status[reader.rule.0][reader.cell] {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    ready.push(reader);
                }
            }
        }
        ready
    }

    fn settle_all(&mut self, ends: Vec<(Target, End)>) -> Result<()> {
        for (target, end) in ends {
            for reader in self.settle(target, end) {
                self.ready(reader)?;
            }
        }
        Ok(())
    }

    // Runs.

    fn run<'s>(
        &mut self,
        scope: &'s std::thread::Scope<'s, '_>,
        sender: &Sender<Report>,
        receiver: &Receiver<Report>,
    ) -> Result<()>
    where
        'a: 's,
    {
        let outcome = self.turn(scope, sender, receiver);
        if outcome.is_err() {
            // The loop cannot go on; runs are stopped, so that nothing is left behind.
            self.build.stop.raise();
            while !self.running.is_empty() {
                match receiver.recv() {
                    Ok(Report::Ended(ended)) => {
                        self.running.remove(&ended.run);
                    }
                    Ok(_) => {}
                    Err(_) => break,
                }
            }
        }
        outcome
    }

    fn turn<'s>(
        &mut self,
        scope: &'s std::thread::Scope<'s, '_>,
        sender: &Sender<Report>,
        receiver: &Receiver<Report>,
    ) -> Result<()>
    where
        'a: 's,
    {
        loop {
            if self.build.stop.is_raised() && !self.told_stop {
                self.told_stop = true;
                self.draining = true;
                self.tell(Event::Stopping);
            }
            if !self.draining {
                self.cut()?;
                while let Some(at) = self.next_that_fits() {
                    let queued = self.queue.remove(at).expect("the index was just found");
                    self.launch(scope, sender, queued)?;
                }
            }
            if self.running.is_empty() {
                return Ok(());
            }
            match receiver.recv_timeout(Duration::from_millis(100)) {
                Ok(report) => {
                    self.report(report)?;
                    while let Ok(report) = receiver.try_recv() {
                        self.report(report)?;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
        }
    }

    /// Cuts what is ready into batches.
    fn cut(&mut self) -> Result<()> {
        let keys: Vec<(RuleId, Vec<usize>)> = self
            .gathers
            .iter()
            .filter(|(_, g)| g.waiting == 0 && !g.ready.is_empty())
            .map(|(key, _)| key.clone())
            .collect();
        let mut refused = Vec::new();
        for key in keys {
            let id = key.0;
            let identity = self.identity(id);
            if matches!(self.trials[id.0], Trial::Open { .. })
                && (self.build.graph.rule(id).space.cells() == 1
                    || self.records.known_runner(&self.cost_key(id, &identity))?)
            {
                self.trials[id.0] = Trial::Passed;
            }
            match self.trials[id.0].clone() {
                Trial::Running { .. } => {}
                Trial::Passed => {
                    let Some(gather) = self.gathers.get_mut(&key) else { continue };
                    let cells = std::mem::take(&mut gather.ready);
                    let batches = self.cut_cells(id, &cells, &identity, usize::MAX)?;
                    for batch in batches {
                        self.queue.push_back(Queued { batch, attempt: 0 });
                    }
                }
                Trial::Open { failures, absent, mut tried } => {
                    let Some(gather) = self.gathers.get_mut(&key) else { continue };
                    let at = gather.ready.iter().position(|(c, _)| !tried.contains(c)).unwrap_or(0);
                    let cell = gather.ready.remove(at);
                    tried.insert(cell.0);
                    let batches = self.cut_cells(id, &[cell], &identity, 1)?;
                    for batch in batches {
                        self.queue.push_back(Queued { batch, attempt: 0 });
                    }
                    self.trials[id.0] = Trial::Running { failures, absent, tried };
                }
                Trial::Stopped => {
                    let Some(gather) = self.gathers.get_mut(&key) else { continue };
                    for (cell, _) in std::mem::take(&mut gather.ready) {
                        refused.push(Target { rule: id, cell });
                    }
                }
            }
        }
        for target in &refused {
            let message = "not tried, since the first plots of a new runner failed".to_owned();
            self.tell_target(*target, Ending::Skipped, Some(message), Vec::new());
        }
        self.settle_all(refused.into_iter().map(|t| (t, End::Skipped)).collect())
    }

    fn identity(&self, id: RuleId) -> String {
        let runner = self.build.graph.rule(id).runner;
        match &self.build.facts.runners[runner] {
            RunnerFact::Known { identity, .. } => identity.clone(),
            RunnerFact::Unresolved(reason) => reason.clone(),
            RunnerFact::Built => {
                let Start::Built { rule: step, output, .. } =
                    self.build.graph.runners[runner].start
                else {
                    return String::new();
                };
                let graph = self.build.graph;
                let from = Target { rule: step, cell: 0 };
                let group = graph.rule(step).outputs[output].group;
                let made = self.board.get(graph, from, group).and_then(|j| j.made.as_ref());
                made.and_then(|m| plan::output_of(graph, from, group, output, m))
                    .map(|o| format!("program {}", o.bytes))
                    .unwrap_or_default()
            }
        }
    }

    fn cost_key(&self, id: RuleId, identity: &str) -> String {
        format!("{} {identity}", self.build.graph.rule(id).name)
    }

    fn cut_cells(
        &self,
        id: RuleId,
        cells: &[(usize, u32)],
        identity: &str,
        most: usize,
    ) -> Result<Vec<Batch>> {
        let cost = self.records.cost(&self.cost_key(id, identity))?.unwrap_or(UNKNOWN_COST);
        let sharing = self
            .gathers
            .iter()
            .filter(|((rule, _), g)| *rule == id && (g.waiting > 0 || !g.ready.is_empty()))
            .count()
            .max(1);
        let slots = self.slots(id).div_ceil(sharing);
        Ok(batch::cut(self.build.graph, id, cells, &Sizing { slots, cost, most }))
    }

    /// How many runs of a rule can go on at once.
    fn slots(&self, id: RuleId) -> usize {
        let runner = self.build.graph.runner_of(id);
        let options = self.build.options;
        let mut slots = options.jobs as f64;
        if let Some(cpus) = runner.cpus {
            slots = slots.min(options.cpus / cpus);
        }
        if let Some(memory) = runner.memory {
            slots = slots.min(options.memory as f64 / memory as f64);
        }
        if let Some(most) = runner.max_runs {
            slots = slots.min(most as f64);
        }
        (slots.floor() as usize).max(1)
    }

    /// The first batch in the queue that fits beside what is running.
    fn next_that_fits(&self) -> Option<usize> {
        let graph = self.build.graph;
        let options = self.build.options;
        if self.running.len() >= options.jobs {
            return None;
        }
        let mut cpus = options.cpus;
        let mut memory = options.memory as f64;
        let mut by_runner: HashMap<usize, u64> = HashMap::new();
        for running in self.running.values() {
            let index = graph.rule(running.batch.rule).runner;
            cpus -= graph.runners[index].cpus.unwrap_or(0.0);
            memory -= graph.runners[index].memory.unwrap_or(0) as f64;
            *by_runner.entry(index).or_default() += 1;
        }
        self.queue.iter().position(|queued| {
            let index = graph.rule(queued.batch.rule).runner;
            let runner = &graph.runners[index];
            // Something that is larger than the machine runs alone rather than never.
            self.running.is_empty()
                || (runner.cpus.unwrap_or(0.0) <= cpus
                    && runner.memory.unwrap_or(0) as f64 <= memory
                    && runner
                        .max_runs
                        .is_none_or(|most| by_runner.get(&index).copied().unwrap_or(0) < most))
        })
    }

    fn launch<'s>(
        &mut self,
        scope: &'s std::thread::Scope<'s, '_>,
        sender: &Sender<Report>,
        queued: Queued,
    ) -> Result<()>
    where
        'a: 's,
    {
        let build = self.build;
        let graph = build.graph;
        let Queued { batch, attempt } = queued;
        let id = format!("{}-{}", self.stamp, self.runs + 1);
        self.runs += 1;
        let rule = graph.rule(batch.rule);
        for &cell in &batch.cells {
            self.status[batch.rule.0][cell] = Status::Running;
        }
        let prepared = prepare(build, &self.board, &self.judge(), &batch, &id);
        let Prepared { work, command, expected, lines_of, identity } = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return self.could_not_start(&batch, &error),
        };
        let executor = if graph.runner_of(batch.rule).is_image() {
            match &build.executors.containers {
                Ok(executor) => *executor,
                Err(error) => {
                    let error = error.clone();
                    return self.could_not_start(&batch, &error);
                }
            }
        } else {
            build.executors.programs
        };
        self.tell(Event::RunStarted {
            run: id.clone(),
            rule: rule.name.to_string(),
            targets: batch.cells.len(),
            surplus: batch.surplus,
            what: command.clone(),
        });
        let trial = matches!(self.trials[batch.rule.0], Trial::Running { .. });
        let running = Running {
            batch,
            attempt,
            expected,
            ends: BTreeMap::new(),
            made: Vec::new(),
            lines_of,
            identity,
            started: (build.now)(),
            command,
            trial,
        };
        self.running.insert(id, running);
        let sender = sender.clone();
        let (objects, stop) = (build.objects, build.stop);
        scope.spawn(move || work::work(graph, work, executor, objects, stop, &sender));
        Ok(())
    }

    /// A run that could not even be started fails its targets, with the reason.
    fn could_not_start(&mut self, batch: &Batch, error: &Error) -> Result<()> {
        let mut message = error.to_string();
        for hint in &error.hints {
            message.push_str("; ");
            message.push_str(hint);
        }
        let mut ends = Vec::new();
        for &cell in &batch.cells {
            let target = Target { rule: batch.rule, cell };
            self.fail(target, batch.groups, message.clone(), Vec::new())?;
            ends.push((target, End::Failed));
        }
        self.trials[batch.rule.0] = Trial::Stopped;
        self.settle_all(ends)
    }

    // Reports.

    fn report(&mut self, report: Report) -> Result<()> {
        match report {
            Report::Began { run, cell } => {
                let Some(running) = self.running.get(&run) else { return Ok(()) };
                let target = Target { rule: running.batch.rule, cell };
                let target = self.build.graph.label(target);
                self.tell(Event::TargetBegan { run, target });
                Ok(())
            }
            Report::Collected { run, cell, groups } => self.collected(&run, cell, groups),
            Report::Absent { run, cell, line, pattern } => self.absent(&run, cell, line, pattern),
            Report::Ended(ended) => self.run_ended(*ended),
        }
    }

    fn collected(&mut self, run: &str, cell: usize, groups: Vec<(usize, Collected)>) -> Result<()> {
        let Some(running) = self.running.get(run) else { return Ok(()) };
        let target = Target { rule: running.batch.rule, cell };
        let asked = running.batch.groups;
        if let Some(moved) = self.moved(target) {
            let message =
                format!("`{moved}` changed while the run went on, so nothing was recorded");
            self.fail(target, asked, message, Vec::new())?;
            self.end_cell(run, cell, End::Failed);
            return Ok(());
        }
        let findings: Vec<String> = groups
            .iter()
            .flat_map(|(_, collected)| match collected {
                Collected::Refused { findings, .. } => findings.clone(),
                _ => Vec::new(),
            })
            .collect();
        let mut end = End::Built;
        let mut same = true;
        let mut writes = Vec::new();
        let mut readers_keys = Vec::new();
        for (group, collected) in groups {
            let Some(running) = self.running.get(run) else { return Ok(()) };
            let expected =
                running.expected.iter().find(|e| e.target == target && e.group == group).cloned();
            let Some(expected) = expected else { continue };
            let lines = running.lines_of.get(&target).cloned().unwrap_or_default();
            let key = plan::record_key(self.build.graph, target, group);
            match collected {
                Collected::Made(made) if findings.is_empty() => {
                    self.nondeterminism(target, &expected, &made)?;
                    same &= self.content_before(target, group).is_some_and(|before| {
                        before.len() == made.outputs.len()
                            && before.iter().zip(&made.outputs).all(|(b, m)| {
                                b.as_ref().map(|o| o.content) == m.as_ref().map(|o| o.content)
                            })
                    });
                    let judgement = plan::Judgement {
                        verdict: Verdict::Fresh,
                        fingerprint: Some(expected.fingerprint),
                        by_bytes: Some(expected.by_bytes),
                        made: Some(made.clone()),
                        rekey: false,
                    };
                    let absence = self.judge().absence_key(&self.board, target, group);
                    readers_keys.extend(absence);
                    self.board.set(self.build.graph, target, group, judgement);
                    // The record first: an object is stored, so the record is true before the file is there.
                    writes.push(Write {
                        key,
                        fingerprint: expected.fingerprint,
                        outcome: Outcome::Made(made.clone()),
                        lines,
                        memo: vec![None; made.outputs.len()],
                        ever_made: true,
                    });
                    if let Some(running) = self.running.get_mut(run) {
                        running.made.push((target, group, made));
                    }
                }
                Collected::Made(made) | Collected::Refused { made, .. } => {
                    end = End::Failed;
                    writes.push(Write {
                        key,
                        fingerprint: expected.fingerprint,
                        outcome: Outcome::Refused { made, findings: findings.clone() },
                        lines,
                        memo: Vec::new(),
                        ever_made: self.ever_made(target, group),
                    });
                }
                Collected::Missing(_) | Collected::Unfit(_) => {}
            }
        }
        self.write(&writes)?;
        if end == End::Failed {
            let message = format!("refused by the audit: {}", findings.join("; "));
            self.tell_target(target, Ending::Failed, Some(message), Vec::new());
            self.end_cell(run, cell, End::Failed);
            return Ok(());
        }
        if !self.build.graph.runner_of(target.rule).log.absent.is_empty() {
            self.records.commit(|w| readers_keys.iter().try_for_each(|key| w.possible(key)))?;
        }
        let mut memos = Vec::new();
        for group in (0..32).filter(|g| asked & (1 << g) != 0) {
            match place(self.build, &self.board, target, group)? {
                Placement::Placed { memo, notes } => {
                    for message in notes {
                        self.tell(Event::Note { message });
                    }
                    memos.extend(self.record_of(target, group, memo));
                }
                Placement::Lost(path) => {
                    let message =
                        format!("`{path}` was stored and read back damaged; is the disk failing?");
                    self.fail(target, asked, message, Vec::new())?;
                    self.end_cell(run, cell, End::Failed);
                    return Ok(());
                }
            }
        }
        self.write(&memos)?;
        let ending = if same { Ending::Same } else { Ending::Built };
        self.tell_target(target, ending, None, Vec::new());
        self.end_cell(run, cell, End::Built);
        Ok(())
    }

    fn end_cell(&mut self, run: &str, cell: usize, end: End) {
        if let Some(running) = self.running.get_mut(run) {
            running.ends.insert(cell, end);
        }
    }

    /// The contents that the last record of a group speaks of.
    fn content_before(
        &self,
        target: Target,
        group: usize,
    ) -> Option<&'a Vec<Option<records::MadeOutput>>> {
        let key = plan::record_key(self.build.graph, target, group);
        match &self.build.last.get(&key)?.outcome {
            Outcome::Made(made) => Some(&made.outputs),
            _ => None,
        }
    }

    /// One request that gives two contents is told: the model is not deterministic.
    fn nondeterminism(&mut self, target: Target, expected: &Expected, made: &Made) -> Result<()> {
        let Some(before) = self.records.made(&expected.fingerprint)? else { return Ok(()) };
        let differs = before.judged == made.judged
            && before
                .outputs
                .iter()
                .zip(&made.outputs)
                .any(|(b, m)| b.as_ref().map(|o| o.content) != m.as_ref().map(|o| o.content));
        if differs {
            let label = self.build.graph.label(target);
            let message = format!(
                "{label} was made again from the same request, and its content differs: the model is not deterministic"
            );
            self.tell(Event::Note { message });
        }
        Ok(())
    }

    fn ever_made(&self, target: Target, group: usize) -> bool {
        let key = plan::record_key(self.build.graph, target, group);
        self.build.last.get(&key).is_some_and(|record| record.ever_made)
    }

    /// An input of the target that is no longer what it was when the run began.
    fn moved(&self, target: Target) -> Option<String> {
        let graph = self.build.graph;
        let rule = graph.rule(target.rule);
        for read in &rule.reads {
            if let From::Input(input) = read.from {
                for cell in read.cells(&rule.space, target.cell) {
                    if facts::input_moved(
                        graph,
                        self.build.places,
                        self.build.snapshot,
                        input,
                        cell,
                    ) {
                        return Some(graph.input_path(input, cell));
                    }
                }
            }
        }
        None
    }

    fn absent(&mut self, run: &str, cell: usize, line: String, pattern: usize) -> Result<()> {
        let Some(running) = self.running.get(run) else { return Ok(()) };
        let target = Target { rule: running.batch.rule, cell };
        let asked = running.batch.groups;
        let graph = self.build.graph;
        let pattern =
            graph.runner_of(target.rule).log.absent.get(pattern).cloned().unwrap_or_default();
        let existed = self.groups(target).into_iter().any(|group| self.ever_made(target, group));
        if existed {
            let message = format!(
                "it was made before, and now the container says that it cannot exist; `jheem accept` agrees to that: {line}"
            );
            self.fail(target, asked, message, vec![line])?;
            self.end_cell(run, cell, End::Failed);
            return Ok(());
        }
        let mut writes = Vec::new();
        let mut learned = Vec::new();
        for group in (0..32).filter(|g| asked & (1 << g) != 0) {
            let Some(judgement) = self.board.get(graph, target, group) else { continue };
            let (fingerprint, by_bytes) = (judgement.fingerprint, judgement.by_bytes);
            let Some(fingerprint) = fingerprint else { continue };
            if let Some(key) = self.judge().absence_key(&self.board, target, group)
                && !self.records.possible(&key)?
            {
                learned.push(key);
            }
            writes.push(Write {
                key: plan::record_key(graph, target, group),
                fingerprint,
                outcome: Outcome::Absent { line: line.clone(), pattern: pattern.clone() },
                lines: self.judge().lines(&self.board, target, group).unwrap_or_default(),
                memo: Vec::new(),
                ever_made: false,
            });
            let judgement = plan::Judgement {
                verdict: Verdict::Absent(plan::Absence::Learned(line.clone())),
                fingerprint: Some(fingerprint),
                by_bytes,
                made: None,
                rekey: false,
            };
            self.board.set(graph, target, group, judgement);
        }
        self.write(&writes)?;
        let absence = records::Absence { line: line.clone(), pattern };
        self.records.commit(|w| learned.iter().try_for_each(|key| w.absence(key, &absence)))?;
        self.tell_target(target, Ending::Absent, Some(line), Vec::new());
        self.end_cell(run, cell, End::Absent);
        Ok(())
    }

    /// Records and tells that a target failed.
    fn fail(
        &mut self,
        target: Target,
        groups: u32,
        message: String,
        lines: Vec<String>,
    ) -> Result<()> {
        let graph = self.build.graph;
        let mut writes = Vec::new();
        for group in (0..graph.rule(target.rule).groups.len()).filter(|g| groups & (1 << g) != 0) {
            let Some(judgement) = self.board.get(graph, target, group) else { continue };
            let Some(fingerprint) = judgement.fingerprint else { continue };
            writes.push(Write {
                key: plan::record_key(graph, target, group),
                fingerprint,
                outcome: Outcome::Failed { message: message.clone(), lines: lines.clone() },
                lines: self.judge().lines(&self.board, target, group).unwrap_or_default(),
                memo: Vec::new(),
                ever_made: self.ever_made(target, group),
            });
        }
        self.write(&writes)?;
        self.tell_target(target, Ending::Failed, Some(message), lines);
        Ok(())
    }

    fn tell_target(
        &mut self,
        target: Target,
        ending: Ending,
        message: Option<String>,
        lines: Vec<String>,
    ) {
        let graph = self.build.graph;
        let path = graph.output_path(target, graph.rule(target.rule).primary());
        self.tell(Event::Target { target: graph.label(target), path, ending, message, lines });
    }

    // The end of a run.

    fn run_ended(&mut self, ended: Ended) -> Result<()> {
        let Some(mut running) = self.running.remove(&ended.run) else { return Ok(()) };
        let rule = running.batch.rule;
        let graph = self.build.graph;
        let exit = exit_words(&ended.exit);
        let withdrawn = self.withdraw_doubles(&mut running)?;
        self.check_strays(&running, &ended);
        let made = running.ends.values().filter(|e| **e == End::Built).count();
        self.learn(&running, &ended, made)?;
        let run = records::Run {
            id: ended.run.clone(),
            rule: graph.rule(rule).name.to_string(),
            command: running.command.clone(),
            targets: running.batch.cells.len() as u64,
            started: running.started,
            milliseconds: (ended.seconds * 1000.0) as u64,
            exit: exit.clone(),
        };
        self.records.commit(|w| w.run(&run))?;
        self.tell(Event::RunEnded {
            run: ended.run.clone(),
            rule: graph.rule(rule).name.to_string(),
            exit,
            seconds: ended.seconds,
            made,
        });
        let scratch = self.build.places.scratch().join(&ended.run);
        // What cannot be removed now, such as another user's files, the next sweep removes.
        let _left = std::fs::remove_dir_all(&scratch);
        let retried = self.undone(&running, ended)?;
        let mut ends: Vec<(Target, End)> = Vec::new();
        for &cell in &running.batch.cells {
            if retried.contains(&cell) {
                continue;
            }
            let target = Target { rule, cell };
            let end = running.ends.get(&cell).copied().unwrap_or(End::Failed);
            let end = if withdrawn.contains(&target) { End::Failed } else { end };
            ends.push((target, end));
        }
        if running.trial && retried.is_empty() {
            self.tried(&running, &ends)?;
        }
        if self.build.stop.is_raised() {
            // What a stopped run did not make has not failed; it is skipped at the end.
            ends.retain(|(target, end)| {
                *end != End::Failed || self.told_failed(&running, target.cell)
            });
        }
        self.settle_all(ends)
    }

    fn told_failed(&self, running: &Running, cell: usize) -> bool {
        running.ends.get(&cell) == Some(&End::Failed)
    }

    /// What the first plot of a new runner says of the rest.
    fn tried(&mut self, running: &Running, ends: &[(Target, End)]) -> Result<()> {
        let rule = running.batch.rule;
        let Trial::Running { mut failures, mut absent, tried } = self.trials[rule.0].clone() else {
            return Ok(());
        };
        let graph = self.build.graph;
        let end = ends.first().map_or(End::Failed, |(_, end)| *end);
        let refused = ends.first().is_some_and(|(target, _)| self.records_refused(*target));
        self.trials[rule.0] = match end {
            End::Absent => {
                absent += 1;
                if absent >= 3 { Trial::Passed } else { Trial::Open { failures, absent, tried } }
            }
            End::Failed if refused => Trial::Stopped,
            End::Failed => {
                failures += 1;
                if failures >= 2 { Trial::Stopped } else { Trial::Open { failures, absent, tried } }
            }
            _ => Trial::Passed,
        };
        if self.trials[rule.0] == Trial::Stopped {
            self.problems += 1;
            let message = format!(
                "`{}` was stopped: the first plots of a new runner ({}) did not come out well",
                graph.rule(rule).name,
                running.identity
            );
            self.tell(Event::Problem { message, lines: Vec::new() });
        }
        Ok(())
    }

    fn records_refused(&self, target: Target) -> bool {
        self.board.get(self.build.graph, target, 0).and_then(|j| j.fingerprint).is_some_and(|_| {
            self.groups(target).into_iter().any(|group| {
                let key = plan::record_key(self.build.graph, target, group);
                matches!(
                    self.records.one(&key).map(|r| r.map(|r| r.outcome)),
                    Ok(Some(Outcome::Refused { .. }))
                )
            })
        })
    }

    /// No two cells of a unique output may have the same content: such records are withdrawn.
    fn withdraw_doubles(&mut self, running: &mut Running) -> Result<BTreeSet<Target>> {
        let graph = self.build.graph;
        let rule = graph.rule(running.batch.rule);
        let mut withdrawn = BTreeSet::new();
        if !rule.outputs.iter().any(|o| o.unique) {
            return Ok(withdrawn);
        }
        let mut pairs: BTreeMap<Target, String> = BTreeMap::new();
        for (target, group, made) in &running.made {
            for (output, _) in graph.outputs_in_order(*target, *group) {
                if !rule.outputs[output].unique {
                    continue;
                }
                let Some(found) = plan::output_of(graph, *target, *group, output, made) else {
                    continue;
                };
                match self.unique.get(&(target.rule, output, found.content)) {
                    Some(other) if other != target => {
                        let told = |o: &Target| {
                            format!(
                                "its `{}` has the same content as {}",
                                rule.outputs[output].name,
                                graph.label(*o)
                            )
                        };
                        pairs.insert(*target, told(other));
                        if running.made.iter().any(|(t, ..)| t == other) {
                            pairs.insert(*other, told(target));
                        }
                    }
                    _ => {
                        self.unique.insert((target.rule, output, found.content), *target);
                    }
                }
            }
        }
        for (target, message) in pairs {
            for (_, group, made) in running.made.iter().filter(|(t, ..)| *t == target) {
                let expected = running
                    .expected
                    .iter()
                    .find(|e| e.target == target && e.group == *group)
                    .map(|e| e.fingerprint);
                let Some(fingerprint) = expected else { continue };
                let write = Write {
                    key: plan::record_key(graph, target, *group),
                    fingerprint,
                    outcome: Outcome::Refused {
                        made: made.clone(),
                        findings: vec![message.clone()],
                    },
                    lines: running.lines_of.get(&target).cloned().unwrap_or_default(),
                    memo: Vec::new(),
                    ever_made: self.ever_made(target, *group),
                };
                self.records.commit(|w| w.withdraw(&fingerprint))?;
                self.write(&[write])?;
                let judgement = plan::Judgement {
                    verdict: Verdict::Stale(Reason::RefusedBefore(vec![message.clone()])),
                    fingerprint: Some(fingerprint),
                    by_bytes: None,
                    made: None,
                    rekey: false,
                };
                self.board.set(graph, target, *group, judgement);
            }
            self.tell_target(
                target,
                Ending::Failed,
                Some(format!("refused by the audit: {message}")),
                Vec::new(),
            );
            running.ends.insert(target.cell, End::Failed);
            withdrawn.insert(target);
        }
        Ok(withdrawn)
    }

    /// Files and target lines that nobody asked for fail the build, but no target.
    fn check_strays(&mut self, running: &Running, ended: &Ended) {
        let rule = &self.build.graph.rule(running.batch.rule).name;
        if !ended.strays.is_empty() {
            let message = format!(
                "a run of `{rule}` left {} that nobody asked for; `ignore` lets them pass",
                numbered(ended.strays.len(), "file")
            );
            self.problems += 1;
            self.tell(Event::Problem { message, lines: first_lines(&ended.strays) });
        }
        if !ended.unasked.is_empty() && running.batch.surplus == 0 {
            let message = format!(
                "a run of `{rule}` says that it made {} that nobody asked for: does it heed its arguments?",
                numbered(ended.unasked.len(), "target")
            );
            self.problems += 1;
            self.tell(Event::Problem { message, lines: first_lines(&ended.unasked) });
        }
    }

    /// Learns what runs of this rule cost.
    fn learn(&mut self, running: &Running, ended: &Ended, made: usize) -> Result<()> {
        if made == 0 {
            return Ok(());
        }
        let count = running.ends.len().max(1) as f64;
        let startup = ended.startup.unwrap_or(0.0).min(ended.seconds);
        let each = (ended.seconds - startup) / count;
        let key = self.cost_key(running.batch.rule, &running.identity);
        self.records.commit(|w| w.cost(&key, startup, each))
    }

    /// What a run did not make: failed, or lost and tried again. Returns the cells that are.
    fn undone(&mut self, running: &Running, ended: Ended) -> Result<BTreeSet<usize>> {
        let graph = self.build.graph;
        let runner = graph.runner_of(running.batch.rule);
        let mut again = BTreeSet::new();
        if ended.undone.is_empty() {
            return Ok(again);
        }
        if matches!(ended.exit, Ok(Exit::Stopped)) || self.build.stop.is_raised() {
            return Ok(ended.undone.iter().map(|u| u.cell).inspect(|_| ()).collect());
        }
        let (lost, reason) = match &ended.exit {
            Ok(Exit::Code(code)) if runner.exit.ok.contains(code) => {
                (false, "the run ended well without making it".to_owned())
            }
            Ok(Exit::Code(code)) if runner.exit.partial.contains(code) => {
                (false, format!("the run ended with code {code} without making it"))
            }
            Ok(Exit::Code(code)) => (
                ended.undone.iter().any(|u| u.began) || !running.ends.is_empty(),
                format!("the run ended with code {code}"),
            ),
            Ok(exit) => (true, exit_words(&Ok(exit.clone()))),
            Err(error) => (false, error.to_string()),
        };
        let began_alone = running.batch.cells.len() == 1;
        for undone in &ended.undone {
            let retry = lost
                && !undone.failed
                && running.attempt < runner.retries
                && !(began_alone && running.attempt >= runner.retries);
            if retry {
                again.insert(undone.cell);
            } else {
                let target = Target { rule: running.batch.rule, cell: undone.cell };
                let message = undone_message(undone, &reason);
                let lines =
                    if undone.lines.is_empty() { ended.tail.clone() } else { undone.lines.clone() };
                self.fail(target, running.batch.groups, message, first_lines(&lines))?;
            }
        }
        if !again.is_empty() {
            self.tell(Event::Retry {
                rule: graph.rule(running.batch.rule).name.to_string(),
                targets: again.len(),
                reason,
            });
            let last = running.attempt + 1 >= runner.retries;
            let most = if last { 1 } else { running.batch.cells.len().div_ceil(2).max(1) };
            let cells: Vec<(usize, u32)> =
                again.iter().map(|&cell| (cell, running.batch.groups)).collect();
            for batch in self.cut_cells(running.batch.rule, &cells, &running.identity, most)? {
                for part in split(batch, most) {
                    self.queue.push_front(Queued { batch: part, attempt: running.attempt + 1 });
                }
            }
        }
        Ok(again)
    }

    /// What was never started, because the build ended before.
    fn skip_the_rest(&mut self) {
        let graph = self.build.graph;
        for id in graph.rule_ids() {
            for cell in 0..self.status[id.0].len() {
                if !matches!(self.status[id.0][cell], Status::Unwanted | Status::Settled(_)) {
                    self.status[id.0][cell] = Status::Settled(End::Skipped);
                    self.ended.skipped += 1;
                }
            }
        }
    }
}

/// A record in the making.
struct Write {
    key: Key,
    fingerprint: Digest,
    outcome: Outcome,
    lines: Vec<String>,
    memo: Vec<Option<memo::Entry>>,
    ever_made: bool,
}

enum Placement {
    Placed {
        memo: Vec<Option<memo::Entry>>,
        notes: Vec<String>,
    },
    /// An object is gone or bad; the path that it was for.
    Lost(String),
}

/// Puts the outputs of a group in place; what somebody edited is kept aside first.
fn place(build: &Build<'_>, board: &Board, target: Target, group: usize) -> Result<Placement> {
    let graph = build.graph;
    let Some(made) = board.get(graph, target, group).and_then(|j| j.made.as_ref()) else {
        return Err(Error::bug(format!("nothing is known to place of {}", graph.label(target))));
    };
    let rule = graph.rule(target.rule);
    let mut memo = Vec::new();
    let mut notes = Vec::new();
    for ((output, _), made) in graph.outputs_in_order(target, group).iter().zip(&made.outputs) {
        let Some(made) = made else {
            memo.push(None);
            continue;
        };
        let project_path = graph.output_path(target, *output);
        let path = build.places.root.join(&project_path);
        let fact = &build.facts.files[target.rule.0][target.cell * rule.outputs.len() + output];
        if let FileFact::There(there) = fact
            && *there != made.bytes
            && !build.objects.has(there)
            && path.exists()
        {
            let kept = build.objects.keep_edited(&path, &project_path)?;
            notes.push(format!(
                "`{project_path}` was edited by hand; it was put back, and the edited file kept as `{}`",
                kept.display()
            ));
        }
        let mode = if rule.outputs[*output].executable { 0o555 } else { 0o444 };
        match build.objects.place(&made.bytes, &path, mode)? {
            Some(placed) => memo.push(Some(memo::Entry::of(placed.stat, made.bytes))),
            None => return Ok(Placement::Lost(project_path)),
        }
    }
    Ok(Placement::Placed { memo, notes })
}

/// A batch that a retry must not run whole.
fn split(batch: Batch, most: usize) -> Vec<Batch> {
    if batch.cells.len() <= most {
        return vec![batch];
    }
    // Only a merged product of arguments can be larger than was asked for; it goes as it is.
    vec![batch]
}

fn first_lines(lines: &[String]) -> Vec<String> {
    const MOST: usize = 12;
    let mut first: Vec<String> = lines.iter().take(MOST).cloned().collect();
    if lines.len() > MOST {
        first.push(format!("… and {} more", lines.len() - MOST));
    }
    first
}

fn undone_message(undone: &Undone, reason: &str) -> String {
    match (&undone.finding, undone.failed) {
        (_, true) => "the log says that it failed".to_owned(),
        (Some(finding), false) => format!("{finding}: {reason}"),
        (None, false) => reason.to_owned(),
    }
}

/// `1 file`, `2 files`.
pub fn numbered(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// How a run ended, in words.
pub fn exit_words(exit: &Result<Exit>) -> String {
    match exit {
        Ok(Exit::Code(code)) => format!("code {code}"),
        Ok(Exit::Signal(signal)) => format!("killed by signal {signal}"),
        Ok(Exit::OutOfMemory) => "out of memory".into(),
        Ok(Exit::TimedOut(crate::job::Deadline::Total)) => "over its time limit".into(),
        Ok(Exit::TimedOut(crate::job::Deadline::Quiet)) => {
            "without a sign of progress for too long".into()
        }
        Ok(Exit::Stopped) => "stopped".into(),
        Err(error) => error.to_string(),
    }
}

/// Everything that starting a run needs.
pub struct Prepared {
    pub work: Work,
    /// For people: what is started.
    pub command: String,
    pub expected: Vec<Expected>,
    pub lines_of: HashMap<Target, Vec<String>>,
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
            supply(build, target, reading, &mut supplies)?;
        }
        lines_of.insert(target, judge.lines(board, target, 0).unwrap_or_default());
    }
    for (inside, input) in &runner.overlays {
        let host = build.places.root.join(graph.input_path(*input, 0));
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
    target: Target,
    reading: &Reading,
    supplies: &mut BTreeMap<String, Supply>,
) -> Result<()> {
    if supplies.contains_key(&reading.inside) {
        return Ok(());
    }
    let graph = build.graph;
    let rule = graph.rule(target.rule);
    let read = &rule.reads[reading.read];
    let (host, files) = match read.from {
        From::Input(input) => {
            let cell = read
                .cells(&rule.space, target.cell)
                .into_iter()
                .find(|&cell| request::read_inside(graph, target, read, cell) == reading.inside)
                .unwrap_or(0);
            let host = build.places.root.join(graph.input_path(input, cell));
            let folder = graph.inputs[input].folder.is_some();
            (host, folder.then(|| build.snapshot.folder_files(input, cell)))
        }
        // The stored object, not the project's file, which somebody may edit meanwhile.
        From::Output { .. } => {
            let Some(path) = build.objects.verified_path(&reading.bytes)? else {
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
            RunnerFact::Known { identity, .. } => Engine::Image {
                id: identity.trim_start_matches("image ").to_owned(),
                platform: runner.platform.clone(),
            },
            _ => return Err(Error::environment(format!("the image `{name}` is not known"))),
        },
        Start::Program(name) => Engine::Program {
            executable: facts::find_program(&build.places.root, name)
                .ok_or_else(|| facts::no_program(name))?,
        },
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
            if build.objects.place(&made.bytes, &executable, 0o555)?.is_none() {
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
