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
use std::panic::AssertUnwindSafe;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use crate::batch::{self, Batch, Sizing, UNKNOWN_COST};
use crate::collect::Expected;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::event::{Ending, Event, FinishedTargets, PlannedTargets};
use crate::graph::{Graph, RuleId, Target};
use crate::job::Exit;
use crate::moments::{self, Moment};
use crate::places::Places;
use crate::plan::{self, Board, Judge, Verdict};
use crate::prepare::{Prepared, prepare};
use crate::records::{Key, Made, Records};
use crate::selection::Selection;
use crate::setup::Build;
use crate::why;
use crate::work::{self, Report};

mod arrivals;
mod readiness;
mod reports;
mod restore;
mod run_end;

use arrivals::Arrivals;

/// What a build came to.
#[derive(Debug)]
pub struct Done {
    pub targets: FinishedTargets,
    pub runs: usize,
    /// Whether something failed that no target shows.
    pub problems: usize,
    /// How often one request gave two contents.
    pub nondeterministic: usize,
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

/// Why a target was skipped.
#[derive(Clone)]
struct Skip {
    message: String,
    /// The runner that is missing, if that is why.
    runner: Option<usize>,
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
    /// What it reads from afar.
    needs: BTreeSet<Digest>,
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
    lines_of: HashMap<(Target, usize), Vec<String>>,
    /// Why what it makes is made, for who asks later.
    causes: HashMap<Key, String>,
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
    /// Whether something may be cut that could not be before.
    may_cut: bool,
    /// By rule: how many gathers are still to be cut.
    open: Vec<usize>,
    trials: Vec<Trial>,
    queue: VecDeque<Queued>,
    running: HashMap<String, Running>,
    ended: FinishedTargets,
    runs: usize,
    problems: usize,
    nondeterministic: usize,
    /// Why targets were skipped; those that read them are skipped for the same.
    skipped: HashMap<Target, Skip>,
    /// What could not be put in place from the cache.
    unplaced: BTreeSet<Target>,
    arrivals: Arrivals,
    /// Set after a failure that ends the build, and by Ctrl-C.
    draining: bool,
    told_stop: bool,
    stamp: String,
    /// The run whose report is looked at now; records of failures name it.
    heard: Option<String>,
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
        may_cut: true,
        open: vec![0; graph.rules.len()],
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
        nondeterministic: 0,
        skipped: HashMap::new(),
        unplaced: BTreeSet::new(),
        arrivals: Arrivals::default(),
        draining: false,
        told_stop: false,
        stamp,
        heard: None,
        unique: HashMap::new(),
    };
    this.start()?;
    let (sender, receiver) = channel();
    let outcome = std::thread::scope(|scope| this.run(scope, &sender, &receiver));
    outcome?;
    this.tell_missing_runners();
    this.skip_the_rest();
    let stopped = build.stop.is_raised();
    Ok(Done {
        targets: this.ended,
        runs: this.runs,
        problems: this.problems,
        nondeterministic: this.nondeterministic,
        board: this.board,
        stopped,
    })
}

/// A name for this build's runs that no earlier run has: two builds may begin in one second.
pub fn free_stamp(places: &Places, now: u64) -> String {
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
        let restored = self.restore(&restore)?;
        let lost = restored.lost > 0;
        for &target in &targets {
            self.note_unique(target);
            // What reads something that the cache lost is judged again once that is made.
            if lost
                && self
                    .upstreams(target)
                    .iter()
                    .any(|u| matches!(self.status[u.rule.0][u.cell], Status::Waiting(_)))
            {
                self.status[target.rule.0][target.cell] = Status::Waiting(0);
                continue;
            }
            if restored.left.contains(&target) {
                self.status[target.rule.0][target.cell] = Status::Waiting(0);
                continue;
            }
            let verdict = self.board.verdict(graph, build.selection, target);
            let end = match verdict {
                _ if self.unplaced.contains(&target) => {
                    self.draining |= !build.options.keep_going;
                    Some(End::Failed)
                }
                Verdict::Fresh => Some(End::Fresh),
                Verdict::Restorable(_) => Some(End::Restored),
                Verdict::Absent(_) => Some(End::Absent),
                Verdict::Blocked(_) => Some(End::Skipped),
                Verdict::Stale(_) | Verdict::Pending(_) => None,
            };
            if let (Some(End::Skipped), Verdict::Blocked(what)) = (end, verdict) {
                let message = what.clone();
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
        if !restored.left.is_empty() {
            // What is left is skipped, and what reads it is not judged.
            return Ok(());
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
        self.count_readers(&waiting);
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
            self.draining = true;
            self.hear_out(receiver);
        }
        outcome
    }

    /// Hears runs that were stopped to their end. What they finished before is recorded, as long
    /// as the records take it.
    fn hear_out(&mut self, receiver: &Receiver<Report>) {
        let mut takes = true;
        while !self.running.is_empty()
            && let Ok(report) = receiver.recv()
        {
            let ended = match &report {
                Report::Ended(ended) => Some(ended.run.clone()),
                _ => None,
            };
            takes = takes && self.report(report).is_ok();
            if let Some(run) = ended {
                self.running.remove(&run);
                // What stays is swept when the next build begins.
                let _left = std::fs::remove_dir_all(self.build.places.scratch().join(run));
            }
        }
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
            if self.draining {
                self.arrivals.give_up();
            } else {
                self.cut()?;
                self.send_for_inputs(scope, sender);
                let mut moved = false;
                while !self.draining
                    && let Some(at) = self.next_that_fits()
                {
                    let queued = self.queue.remove(at).expect("the index was just found");
                    let Some(queued) = self.less_what_lacks(queued)? else {
                        moved = true;
                        continue;
                    };
                    let running = self.running.len();
                    if let Some(queued) = self.less_what_was_learned(queued)? {
                        self.launch(scope, sender, queued)?;
                    }
                    // What was settled without a run may have made something else ready.
                    moved |= self.running.len() == running;
                }
                if moved && !self.draining {
                    continue;
                }
            }
            if self.running.is_empty() && self.arrivals.is_idle() {
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
        if !std::mem::take(&mut self.may_cut) {
            return Ok(());
        }
        self.gathers.retain(|_, gather| gather.waiting > 0 || !gather.ready.is_empty());
        self.open.fill(0);
        for (rule, _) in self.gathers.keys() {
            self.open[rule.0] += 1;
        }
        let keys: Vec<(RuleId, Vec<usize>)> = self
            .gathers
            .iter()
            .filter(|(_, g)| g.waiting == 0 && !g.ready.is_empty())
            .map(|(key, _)| key.clone())
            .collect();
        let mut refused = Vec::new();
        for key in keys {
            let id = key.0;
            if matches!(self.trials[id.0], Trial::Running { .. }) {
                continue;
            }
            let Some(identity) = self.identity(&key) else { continue };
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
                        let queued = self.queued(batch, 0);
                        self.queue.push_back(queued);
                    }
                }
                Trial::Open { failures, absent, mut tried } => {
                    let Some((key, at)) = self.next_to_try(id, failures > 0, &tried) else {
                        continue;
                    };
                    let Some(gather) = self.gathers.get_mut(&key) else { continue };
                    let cell = gather.ready.remove(at);
                    tried.insert(cell.0);
                    let batches = self.cut_cells(id, &[cell], &identity, 1)?;
                    for batch in batches {
                        let queued = self.queued(batch, 0);
                        self.queue.push_back(queued);
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

    /// Who would run what is ready here, as records of costs name it.
    fn identity(&self, key: &(RuleId, Vec<usize>)) -> Option<String> {
        let &(cell, _) = self.gathers.get(key)?.ready.first()?;
        let target = Target { rule: key.0, cell };
        self.judge().ready(&self.board, target).map(|(_, identity)| identity)
    }

    /// The ready cell that a new runner is tried on; after a failure, one that reads something else.
    fn next_to_try(
        &self,
        id: RuleId,
        failed: bool,
        tried: &BTreeSet<usize>,
    ) -> Option<((RuleId, Vec<usize>), usize)> {
        let read = |cell: usize| {
            let readings = self.judge().ready(&self.board, Target { rule: id, cell });
            readings.map(|(readings, _)| readings.iter().map(|r| r.bytes).collect::<Vec<_>>())
        };
        let known: Vec<_> =
            if failed { tried.iter().map(|&cell| read(cell)).collect() } else { Vec::new() };
        let mut first = None;
        for (key, gather) in self.gathers.iter().filter(|(key, g)| key.0 == id && g.waiting == 0) {
            for (at, &(cell, _)) in gather.ready.iter().enumerate() {
                if !failed || !known.contains(&read(cell)) {
                    return Some((key.clone(), at));
                }
                first.get_or_insert_with(|| (key.clone(), at));
            }
        }
        first
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
        let sharing = self.open[id.0].max(1);
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
            let fits = self.running.is_empty()
                || (runner.cpus.unwrap_or(0.0) <= cpus
                    && runner.memory.unwrap_or(0) as f64 <= memory
                    && runner
                        .max_runs
                        .is_none_or(|most| by_runner.get(&index).copied().unwrap_or(0) < most));
            fits && self.is_provided(queued)
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
        let Queued { batch, attempt, .. } = queued;
        let id = format!("{}-{}", self.stamp, self.runs + 1);
        self.runs += 1;
        let rule = graph.rule(batch.rule);
        for &cell in &batch.cells {
            self.status[batch.rule.0][cell] = Status::Running;
        }
        let prepared = prepare(build, &self.board, &self.judge(), &batch, &id);
        let Prepared { work, command, expected, lines_of, identity } = match prepared {
            Ok(prepared) => prepared,
            Err(error) => {
                // What was laid out of it serves nobody.
                let _left = std::fs::remove_dir_all(build.places.scratch().join(&id));
                if error.no_room {
                    return Err(error);
                }
                return self.could_not_start(&batch, &error);
            }
        };
        let executor = match build.executors.of(graph, batch.rule) {
            Ok(executor) => executor,
            Err(error) => {
                self.trials[batch.rule.0] = Trial::Stopped;
                return self.could_not_start(&batch, &error);
            }
        };
        moments::pass(Moment::Staged);
        self.tell(Event::RunStarted {
            run: id.clone(),
            rule: rule.name.to_string(),
            targets: batch.cells.len(),
            surplus: batch.surplus,
            what: command.clone(),
        });
        let trial = matches!(self.trials[batch.rule.0], Trial::Running { .. });
        let causes = self.causes(&batch)?;
        let running = Running {
            batch,
            attempt,
            expected,
            ends: BTreeMap::new(),
            made: Vec::new(),
            lines_of,
            causes,
            identity,
            started: (build.now)(),
            command,
            trial,
        };
        self.running.insert(id, running);
        let sender = sender.clone();
        let (objects, stop) = (build.objects, build.stop);
        scope.spawn(move || {
            let run = work.spec.id.clone();
            let cells: BTreeSet<usize> = work.expected.iter().map(|e| e.target.cell).collect();
            let worked = AssertUnwindSafe(|| {
                work::work(graph, work, executor, objects, stop, &sender);
            });
            if std::panic::catch_unwind(worked).is_err() {
                // The build waits for this run, whatever becomes of it.
                let _told = sender.send(Report::Ended(Box::new(work::Ended::panicked(run, cells))));
            }
        });
        Ok(())
    }

    /// Why the targets of a batch are made, in the words of the plan.
    fn causes(&self, batch: &Batch) -> Result<HashMap<Key, String>> {
        let graph = self.build.graph;
        let judge = self.judge();
        let mut causes = HashMap::new();
        for &cell in &batch.cells {
            let target = Target { rule: batch.rule, cell };
            for group in (0..graph.rule(batch.rule).groups.len())
                .filter(|group| batch.groups & (1 << group) != 0)
            {
                let class =
                    why::reason_class(&judge, &self.board, Some(self.records), target, group)?;
                if let Some(("stale", reason)) = class {
                    causes.insert(plan::record_key(graph, target, group), reason);
                }
            }
        }
        Ok(causes)
    }

    /// A run that could not even be started fails its targets, with the reason.
    fn could_not_start(&mut self, batch: &Batch, error: &Error) -> Result<()> {
        let message = error.in_one_line();
        let mut ends = Vec::new();
        for &cell in &batch.cells {
            let target = Target { rule: batch.rule, cell };
            self.fail(target, batch.groups, message.clone(), Vec::new())?;
            ends.push((target, End::Failed));
        }
        // A new runner has then shown nothing yet.
        if let Trial::Running { failures, absent, tried } = self.trials[batch.rule.0].clone() {
            self.trials[batch.rule.0] = Trial::Open { failures, absent, tried };
        }
        self.may_cut = true;
        self.settle_all(ends)
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

fn first_lines(lines: &[String]) -> Vec<String> {
    const MOST: usize = 12;
    let mut first: Vec<String> = lines.iter().take(MOST).cloned().collect();
    if lines.len() > MOST {
        first.push(format!("… and {} more", lines.len() - MOST));
    }
    first
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
        Err(error) => error.in_one_line(),
    }
}
