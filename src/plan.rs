//! What must be done, and why: a verdict for every target that was selected.
//!
//! Pure: the graph, the facts and the records are given, and what an object holds is asked of a
//! `Shelf`. The plan, `why` and the build judge with the same function, so they cannot differ.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt::Write as _;

use rayon::prelude::*;

use crate::audit;
use crate::digest::Digest;
use crate::error::Result;
use crate::fingerprint::{self, By, Parts, Reading};
use crate::graph::{From, Graph, Rule, RuleId, Slot, Start, Target};
use crate::manifest::KnownBy;
use crate::records::{self, Key, Made, Outcome, Record, Records};
use crate::request;
use crate::selection::Selection;
use crate::twins::Twins;

/// What is there, looked at before anything is judged.
#[derive(Debug, Default)]
pub struct Facts {
    /// By input and cell; only what the selection reads.
    pub inputs: HashMap<(usize, usize), InputFact>,
    /// By rule, then cell times outputs plus output.
    pub files: Vec<Vec<FileFact>>,
    /// By runner.
    pub runners: Vec<RunnerFact>,
    /// What is known of inputs by two digests.
    pub twins: Twins,
}

/// An input as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputFact {
    Missing,
    /// Something else stands at its path: `a folder`.
    Wrong(String),
    There {
        digest: Digest,
        size: u64,
    },
    /// What the lock says of its source; by the digest there, so that all machines agree.
    Pinned {
        digest: Digest,
        size: u64,
        /// Whether the file stands in the project.
        present: bool,
    },
    /// A file stands in the project that is not what the lock says.
    Differs {
        digest: Digest,
        size: u64,
        pinned: Digest,
    },
}

impl Facts {
    /// The remote inputs that a target reads and that are not in the project, by the SHA-256.
    pub fn afar(&self, graph: &Graph, target: Target) -> BTreeSet<Digest> {
        let rule = graph.rule(target.rule);
        let mut afar = BTreeSet::new();
        let mut add = |input: usize, cell: usize| {
            let fact = self.inputs.get(&(input, cell));
            if let Some(InputFact::Pinned { digest, present: false, .. }) = fact {
                afar.insert(*digest);
            }
        };
        for read in &rule.reads {
            if let From::Input(input) = read.from {
                for cell in read.cells(&rule.space, target.cell) {
                    add(input, cell);
                }
            }
        }
        for (_, input) in &graph.runners[rule.runner].overlays {
            add(*input, 0);
        }
        afar
    }
}

impl InputFact {
    /// The digest by which it enters fingerprints, and that of its bytes; none if it cannot be read.
    pub fn digests(&self, twins: &Twins) -> Option<(Digest, Digest)> {
        match self {
            InputFact::Missing | InputFact::Wrong(_) => None,
            InputFact::There { digest, .. } | InputFact::Differs { digest, .. } => {
                Some((*digest, *digest))
            }
            InputFact::Pinned { digest, .. } => {
                Some((*digest, twins.get(digest).unwrap_or(*digest)))
            }
        }
    }
}

/// An output's file as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileFact {
    NotLookedAt,
    Missing,
    Wrong(String),
    There(Digest),
}

/// What is known of a runner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunnerFact {
    /// Such as `image sha256:…` or `program blake3:…`; with a word on how it is known, if that matters.
    Known {
        identity: String,
        note: Option<String>,
        /// The digest by which an image is pulled if it is not on this machine; none of what is of this machine alone.
        manifest: Option<Digest>,
    },
    Unresolved(Unresolved),
    /// Made by a step of the same graph.
    Built,
}

/// Why it is not known who a runner is, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unresolved {
    pub reason: String,
    pub hint: String,
}

/// Answers from the cache's objects.
pub trait Shelf: Sync {
    /// Whether the object is there; it may still turn out bad when it is read.
    fn has(&self, digest: &Digest) -> bool;
    /// Whether the object is there and its bytes are those of its name.
    fn is_sound(&self, digest: &Digest) -> bool;
    /// Judges recorded outputs again, from their bytes.
    fn rejudge(&self, graph: &Graph, target: Target, group: usize, made: &Made) -> Rejudged;
}

/// What judging stored bytes again gave.
#[derive(Clone, Debug)]
pub enum Rejudged {
    /// With the contents told anew.
    Passed(Made),
    Refused(Vec<String>),
    /// The bytes are gone or bad.
    Lost,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Fresh,
    /// Can be put in place from the cache.
    Restorable(Reason),
    Stale(Reason),
    /// Waits for something that is not known yet.
    Pending(Waits),
    /// An input is missing or cannot be looked at: a sentence that says so.
    Blocked(String),
    Absent(Absence),
}

/// What a pending target waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waits {
    /// The content of a group of outputs that is to be made first.
    For(Target, usize),
    /// Its runner, which cannot be told: why.
    Runner(String),
}

impl Waits {
    /// `step.base[city=C.12580]`, or why the runner cannot be told.
    pub fn words(&self, graph: &Graph) -> String {
        match self {
            Waits::For(target, _) => graph.label(*target),
            Waits::Runner(reason) => reason.clone(),
        }
    }
}

/// Why a target is not fresh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    NeverMade,
    /// Something that it depends on differs from the record.
    Changed,
    OutputMissing(String),
    OutputEdited(String),
    /// The outputs of this very fingerprint are known from an earlier build.
    MadeBefore,
    /// The outputs must be put back, and the cache does not have them any more.
    Lost(String),
    FailedBefore(String),
    RefusedBefore(Vec<String>),
    /// The audit has changed, and what is stored does not pass it.
    FailsNewAudit(Vec<String>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Absence {
    Declared,
    /// The line with which the container said so.
    Learned(String),
    /// What it reads is absent.
    Upstream(String),
}

/// The verdict on one group of outputs of a target, and what it was based on.
#[derive(Clone, Debug)]
pub struct Judgement {
    pub verdict: Verdict,
    pub fingerprint: Option<Digest>,
    pub by_bytes: Option<Digest>,
    /// What was made, if it is fresh or restorable.
    pub made: Option<Made>,
    /// Whether the record on disk does not say this yet.
    pub rekey: bool,
}

impl Judgement {
    fn of(verdict: Verdict) -> Judgement {
        Judgement { verdict, fingerprint: None, by_bytes: None, made: None, rekey: false }
    }
}

/// What a reader can know of what it reads.
#[derive(Clone, Debug)]
pub enum Upstream<'a> {
    Made(&'a Made),
    Absent,
    Pending,
    Blocked(&'a str),
}

/// Everything that judging needs.
pub struct Judge<'a> {
    pub graph: &'a Graph,
    pub facts: &'a Facts,
    pub last: &'a HashMap<Key, Record>,
    pub shelf: &'a dyn Shelf,
}

/// The verdicts on all that was selected.
#[derive(Debug)]
pub struct Board {
    /// By rule, then cell times groups plus group.
    pub rules: Vec<Vec<Option<Judgement>>>,
}

impl Board {
    pub fn new(graph: &Graph) -> Board {
        let rules =
            graph.rules.iter().map(|r| vec![None; r.space.cells() * r.groups.len()]).collect();
        Board { rules }
    }

    pub fn get(&self, graph: &Graph, target: Target, group: usize) -> Option<&Judgement> {
        let groups = graph.rule(target.rule).groups.len();
        self.rules[target.rule.0][target.cell * groups + group].as_ref()
    }

    pub fn set(&mut self, graph: &Graph, target: Target, group: usize, judgement: Judgement) {
        let groups = graph.rule(target.rule).groups.len();
        self.rules[target.rule.0][target.cell * groups + group] = Some(judgement);
    }

    /// The verdict on the whole target: the worst of its wanted groups.
    pub fn verdict(&self, graph: &Graph, selection: &Selection, target: Target) -> &Verdict {
        let wanted = selection.wants(target);
        (0..graph.rule(target.rule).groups.len())
            .filter(|group| wanted & (1 << group) != 0)
            .filter_map(|group| self.get(graph, target, group))
            .map(|judgement| &judgement.verdict)
            .max_by_key(|verdict| rank(verdict))
            .unwrap_or(&Verdict::Fresh)
    }

    /// What a reader can know of a group of outputs.
    pub fn upstream(&self, graph: &Graph, target: Target, group: usize) -> Upstream<'_> {
        let Some(judgement) = self.get(graph, target, group) else { return Upstream::Pending };
        match (&judgement.verdict, &judgement.made) {
            (Verdict::Fresh | Verdict::Restorable(_), Some(made)) => Upstream::Made(made),
            (Verdict::Absent(_), _) => Upstream::Absent,
            (Verdict::Blocked(what), _) => Upstream::Blocked(what),
            _ => Upstream::Pending,
        }
    }
}

fn rank(verdict: &Verdict) -> u8 {
    match verdict {
        Verdict::Fresh => 0,
        Verdict::Absent(_) => 1,
        Verdict::Restorable(_) => 2,
        Verdict::Stale(_) => 3,
        Verdict::Pending(_) => 4,
        Verdict::Blocked(_) => 5,
    }
}

/// The name under which records of a target are kept: independent of the order of axes.
pub fn record_key(graph: &Graph, target: Target, group: usize) -> Key {
    let rule = graph.rule(target.rule);
    let mut positions: Vec<usize> = (0..rule.space.axes.len()).collect();
    let name_of = |position: &usize| graph.axes[rule.space.axes[*position]].name.as_str();
    positions.sort_unstable_by_key(name_of);
    let mut name = String::with_capacity(160);
    // Several Jheemfiles may share one folder, each a project of its own.
    name.push_str(&graph.project);
    name.push('\n');
    write!(name, "{}", rule.name).expect("strings take all");
    for position in positions {
        name.push('\n');
        name.push_str(name_of(&position));
        name.push('=');
        name.push_str(graph.value(&rule.space, target.cell, position));
    }
    if let Some(option) = &rule.groups[group].option {
        name.push_str("\nwith ");
        name.push_str(option);
    }
    records::key(&name)
}

/// The names under which records of all targets of a graph are kept.
pub fn record_keys(graph: &Graph) -> HashSet<Key> {
    let mut keys = HashSet::new();
    for rule in graph.rule_ids() {
        let groups = graph.rule(rule).groups.len();
        for cell in 0..graph.rule(rule).space.cells() {
            let target = Target { rule, cell };
            keys.extend((0..groups).map(|group| record_key(graph, target, group)));
        }
    }
    keys
}

/// The digest of how a group's outputs are judged: their kinds, volatile patterns and audits.
pub fn judged_by(graph: &Graph, target: Target, group: usize) -> Digest {
    let rule = graph.rule(target.rule);
    let mut bytes = Vec::with_capacity(512);
    let mut rendered = String::new();
    for &output in graph.order(target, group).iter() {
        let output = &rule.outputs[output];
        bytes.extend_from_slice(&output.judging.fixed.bytes);
        bytes.push(u8::from(output.optional));
        for text in &output.judging.texts {
            rendered.clear();
            graph.render_into(text, &rule.space, target.cell, &mut rendered);
            bytes.extend_from_slice(&(rendered.len() as u64).to_le_bytes());
            bytes.extend_from_slice(rendered.as_bytes());
        }
    }
    Digest::of(&bytes)
}

/// The audit of one output of a target, its texts filled in.
pub fn audit_rules(graph: &Graph, target: Target, output: usize) -> Vec<audit::Rule> {
    let rule = graph.rule(target.rule);
    rule.audits
        .iter()
        .filter(|audit| audit.output == output)
        .map(|declared| {
            let check = match &declared.check {
                crate::graph::Check::Equals { at, text } => audit::Check::Equals {
                    at: at.clone(),
                    value: audit::Scalar::Text(graph.render(text, &rule.space, target.cell)),
                },
                crate::graph::Check::Fixed(check) => check.clone(),
            };
            audit::Rule { output: rule.outputs[output].name.clone(), check }
        })
        .collect()
}

/// What one target reads, as far as it is known.
enum Resolved {
    Ready { readings: Vec<Reading>, identity: String, overlays: Vec<Digest> },
    Not(Verdict),
}

impl Judge<'_> {
    fn resolve(&self, target: Target, board: &Board) -> Resolved {
        let graph = self.graph;
        let rule = graph.rule(target.rule);
        let mut readings = Vec::new();
        let mut pending = None;
        // What is absent wins over what is missing: it will never be made, whatever comes.
        let mut blocked: Option<String> = None;
        // Members of joins, and one of those that were skipped.
        let (mut members, mut skipped) = (0, None);
        for (index, read) in rule.reads.iter().enumerate() {
            let join = read.is_join();
            for cell in read.cells(&rule.space, target.cell) {
                members += i64::from(join);
                match read.from {
                    From::Input(input) => {
                        let fact = self.facts.inputs.get(&(input, cell));
                        let digests = fact.and_then(|fact| fact.digests(&self.facts.twins));
                        if let Some((content, bytes)) = digests {
                            let inside = request::read_inside(graph, target, read, cell);
                            readings.push(Reading { inside, content, bytes, read: index, cell });
                        } else if let Some(InputFact::Wrong(kind)) = fact {
                            let path = graph.input_path(input, cell);
                            blocked.get_or_insert_with(|| format!("`{path}` is {kind}"));
                        } else {
                            blocked.get_or_insert_with(|| missing(graph, input, cell));
                        }
                    }
                    From::Output { rule: upstream, output } => {
                        let from = Target { rule: upstream, cell };
                        let group = graph.rule(upstream).outputs[output].group;
                        match board.upstream(graph, from, group) {
                            Upstream::Made(made) => {
                                match output_of(graph, from, group, output, made) {
                                    Some(found) => readings.push(Reading {
                                        inside: request::read_inside(graph, target, read, cell),
                                        content: found.content,
                                        bytes: found.bytes,
                                        read: index,
                                        cell,
                                    }),
                                    None if join => {
                                        skipped.get_or_insert_with(|| graph.label(from));
                                        members -= 1;
                                    }
                                    None => {
                                        let path = graph.output_path(from, output);
                                        return Resolved::Not(Verdict::Absent(Absence::Upstream(
                                            path,
                                        )));
                                    }
                                }
                            }
                            Upstream::Absent if join => {
                                skipped.get_or_insert_with(|| graph.label(from));
                                members -= 1;
                            }
                            Upstream::Absent => {
                                let label = graph.label(from);
                                return Resolved::Not(Verdict::Absent(Absence::Upstream(label)));
                            }
                            Upstream::Blocked(what) => {
                                blocked.get_or_insert_with(|| what.to_owned());
                            }
                            Upstream::Pending => {
                                pending.get_or_insert(Waits::For(from, group));
                            }
                        }
                    }
                }
            }
        }
        // A join of nothing is not a file that anybody asked for.
        if let (0, Some(skipped)) = (members, skipped) {
            return Resolved::Not(Verdict::Absent(Absence::Upstream(skipped)));
        }
        if let Some(blocked) = blocked {
            return Resolved::Not(Verdict::Blocked(blocked));
        }
        if let Some(pending) = pending {
            return Resolved::Not(Verdict::Pending(pending));
        }
        let runner = &graph.runners[rule.runner];
        let identity = match (&self.facts.runners[rule.runner], &runner.start) {
            (RunnerFact::Known { identity, .. }, _) => identity.clone(),
            (RunnerFact::Unresolved(why), _) => {
                return Resolved::Not(Verdict::Pending(Waits::Runner(why.reason.clone())));
            }
            (RunnerFact::Built, Start::Built { rule: step, output, known_by }) => {
                let from = Target { rule: *step, cell: 0 };
                let group = graph.rule(*step).outputs[*output].group;
                let waits = || Resolved::Not(Verdict::Pending(Waits::For(from, group)));
                match (known_by, board.get(graph, from, group)) {
                    (KnownBy::Sources, Some(Judgement { fingerprint: Some(digest), .. })) => {
                        format!("sources {digest}")
                    }
                    _ => match board.upstream(graph, from, group) {
                        Upstream::Made(made) => {
                            match output_of(graph, from, group, *output, made) {
                                Some(found) => format!("program {}", found.bytes),
                                None => return waits(),
                            }
                        }
                        Upstream::Blocked(what) => {
                            return Resolved::Not(Verdict::Blocked(what.to_owned()));
                        }
                        _ => return waits(),
                    },
                }
            }
            (RunnerFact::Built, _) => {
                let reason = format!("runner `{}`", runner.name);
                return Resolved::Not(Verdict::Pending(Waits::Runner(reason)));
            }
        };
        let mut overlays = Vec::new();
        for (_, input) in &runner.overlays {
            let fact = self.facts.inputs.get(&(*input, 0));
            match fact.and_then(|fact| fact.digests(&self.facts.twins)) {
                Some((digest, _)) => overlays.push(digest),
                None => return Resolved::Not(Verdict::Blocked(missing(graph, *input, 0))),
            }
        }
        readings.sort();
        Resolved::Ready { readings, identity, overlays }
    }

    /// The lines of a target's fingerprint as it is now, if it is known.
    pub fn lines(&self, board: &Board, target: Target, group: usize) -> Option<Vec<String>> {
        match self.resolve(target, board) {
            Resolved::Ready { readings, identity, overlays } => {
                let parts = Parts {
                    target,
                    group,
                    identity: &identity,
                    overlays: &overlays,
                    readings: &readings,
                };
                Some(fingerprint::lines(self.graph, &parts))
            }
            Resolved::Not(_) => None,
        }
    }

    /// What a target reads and who runs it, if that is known: what a run needs to be staged.
    pub fn ready(&self, board: &Board, target: Target) -> Option<(Vec<Reading>, String)> {
        match self.resolve(target, board) {
            Resolved::Ready { readings, identity, .. } => Some((readings, identity)),
            Resolved::Not(_) => None,
        }
    }

    /// The key under which an absence of this target would be learned.
    pub fn absence_key(&self, board: &Board, target: Target, group: usize) -> Option<Digest> {
        let rule = self.graph.rule(target.rule);
        match self.resolve(target, board) {
            Resolved::Ready { readings, identity, overlays } => {
                let parts = Parts {
                    target,
                    group,
                    identity: &identity,
                    overlays: &overlays,
                    readings: &readings,
                };
                Some(self.absence_key_of(rule, &parts))
            }
            Resolved::Not(_) => None,
        }
    }

    fn absence_key_of(&self, rule: &Rule, parts: &Parts<'_>) -> Digest {
        match &self.graph.runners[rule.runner].log.absent_depends_on {
            Some(names) => {
                let axes: Vec<usize> =
                    names.iter().filter_map(|n| self.graph.axis_named(n)).collect();
                fingerprint::absence_key(self.graph, parts, &axes)
            }
            None => fingerprint::fingerprint(self.graph, parts, By::Content),
        }
    }

    /// Judges one group of outputs of a target whose upstreams stand on the board.
    pub fn judge(
        &self,
        board: &Board,
        records: Option<&Records>,
        target: Target,
        group: usize,
    ) -> Result<Judgement> {
        match self.quick(board, target, group) {
            Quick::Settled(judgement) => Ok(*judgement),
            Quick::Ask(asked) => self.ask(records, target, group, *asked),
        }
    }

    /// Judges all that was selected, rule by rule.
    pub fn board(&self, selection: &Selection, records: Option<&Records>) -> Result<Board> {
        let mut board = Board::new(self.graph);
        for id in self.graph.rule_ids() {
            self.judge_rule(&mut board, selection, records, id)?;
        }
        Ok(board)
    }

    fn judge_rule(
        &self,
        board: &mut Board,
        selection: &Selection,
        records: Option<&Records>,
        id: RuleId,
    ) -> Result<()> {
        let groups = self.graph.rule(id).groups.len();
        let wanted = &selection.wanted[id.0];
        let quick: Vec<(usize, Quick)> = (0..wanted.len() * groups)
            .into_par_iter()
            .with_min_len(256)
            .filter(|at| wanted[at / groups] & (1 << (at % groups)) != 0)
            .map(|at| {
                let target = Target { rule: id, cell: at / groups };
                (at, self.quick(board, target, at % groups))
            })
            .collect();
        for (at, quick) in quick {
            let target = Target { rule: id, cell: at / groups };
            let judgement = match quick {
                Quick::Settled(judgement) => *judgement,
                Quick::Ask(asked) => self.ask(records, target, at % groups, *asked)?,
            };
            board.rules[id.0][at] = Some(judgement);
        }
        self.doubles(board, id);
        Ok(())
    }

    /// Cells of a unique output with the same content are made once more; the build refuses them then.
    ///
    /// That happens when `unique` was declared after they were made.
    fn doubles(&self, board: &mut Board, id: RuleId) {
        let rule = self.graph.rule(id);
        let groups = rule.groups.len();
        for (index, output) in rule.outputs.iter().enumerate().filter(|(_, o)| o.unique) {
            let mut by_content: HashMap<Digest, Vec<usize>> = HashMap::new();
            for cell in 0..rule.space.cells() {
                let judgement = board.rules[id.0][cell * groups + output.group].as_ref();
                let made = judgement.and_then(|j| j.made.as_ref());
                let target = Target { rule: id, cell };
                let found =
                    made.and_then(|m| output_of(self.graph, target, output.group, index, m));
                if let Some(found) = found {
                    by_content.entry(found.content).or_default().push(cell);
                }
            }
            for cells in by_content.into_values().filter(|cells| cells.len() > 1) {
                for (at, &cell) in cells.iter().enumerate() {
                    let other = Target { rule: id, cell: cells[usize::from(at == 0)] };
                    let finding = double_finding(self.graph, &output.name, other);
                    let at = cell * groups + output.group;
                    if let Some(judgement) = &mut board.rules[id.0][at] {
                        judgement.verdict = Verdict::Stale(Reason::FailsNewAudit(vec![finding]));
                        judgement.made = None;
                    }
                }
            }
        }
    }

    /// What can be told without the database: nearly everything when nothing has changed.
    fn quick(&self, board: &Board, target: Target, group: usize) -> Quick {
        let graph = self.graph;
        let rule = graph.rule(target.rule);
        if rule.declared_absent(target.cell) {
            return Quick::Settled(Box::new(Judgement::of(Verdict::Absent(Absence::Declared))));
        }
        let (readings, identity, overlays) = match self.resolve(target, board) {
            Resolved::Ready { readings, identity, overlays } => (readings, identity, overlays),
            Resolved::Not(verdict) => return Quick::Settled(Box::new(Judgement::of(verdict))),
        };
        let parts =
            Parts { target, group, identity: &identity, overlays: &overlays, readings: &readings };
        let fingerprint = fingerprint::fingerprint(graph, &parts, By::Content);
        let by_bytes = fingerprint::by_bytes(graph, &parts, fingerprint);
        let record = self.last.get(&record_key(graph, target, group));
        let same = record.filter(|r| r.fingerprint == fingerprint);
        if let Some(Outcome::Made(made)) = same.map(|r| &r.outcome)
            && made.judged == judged_by(graph, target, group)
        {
            let judgement =
                self.place(target, group, fingerprint, by_bytes, made.clone(), false, None);
            return Quick::Settled(Box::new(judgement));
        }
        let absence = self.absence_key_of(rule, &parts);
        Quick::Ask(Box::new(Asked { fingerprint, by_bytes, absence }))
    }

    /// What needs the database or the bytes of objects.
    fn ask(
        &self,
        records: Option<&Records>,
        target: Target,
        group: usize,
        asked: Asked,
    ) -> Result<Judgement> {
        let graph = self.graph;
        let Asked { fingerprint, by_bytes, absence } = asked;
        let record = self.last.get(&record_key(graph, target, group));
        let same = record.filter(|r| r.fingerprint == fingerprint);
        let judged = judged_by(graph, target, group);
        // What was made of this request, the first to be taken first: what is in place, what any
        // earlier build made, and last what an audit refused that was another then.
        let mut known: Vec<(Made, bool)> = Vec::new();
        match (same.map(|r| &r.outcome), records) {
            (Some(Outcome::Made(made)), _) => known.push((made.clone(), false)),
            // What this very audit refused is not asked of older makings again.
            (Some(Outcome::Refused { made, .. }), _) if made.judged == judged => {}
            (outcome, Some(records)) => {
                let earlier = match records.made(&fingerprint)? {
                    Some(made) => Some(made),
                    None => records.made_by_bytes(&by_bytes)?,
                };
                known.extend(earlier.map(|made| (made, true)));
                if let Some(Outcome::Refused { made, .. }) = outcome {
                    known.push((made.clone(), true));
                }
            }
            _ => {}
        }
        let mut refused = None;
        for (made, earlier) in known {
            let rekey = earlier || made.judged != judged;
            let made = if made.judged == judged {
                Rejudged::Passed(made)
            } else {
                self.shelf.rejudge(graph, target, group, &made)
            };
            match made {
                Rejudged::Passed(made) => {
                    // `by_bytes` stays that of the bytes which were read when it was made.
                    let made = Made { judged, ..made };
                    let before = earlier.then_some(Reason::MadeBefore);
                    let judgement =
                        self.place(target, group, fingerprint, by_bytes, made, rekey, before);
                    return Ok(judgement);
                }
                Rejudged::Refused(findings) => {
                    refused.get_or_insert(Reason::FailsNewAudit(findings));
                }
                Rejudged::Lost => {
                    let path = graph
                        .order(target, group)
                        .first()
                        .map(|output| graph.output_path(target, *output));
                    refused.get_or_insert(Reason::Lost(path.unwrap_or_default()));
                }
            }
        }
        let stale = |reason| Judgement {
            verdict: Verdict::Stale(reason),
            fingerprint: Some(fingerprint),
            by_bytes: Some(by_bytes),
            made: None,
            rekey: false,
        };
        if let Some(reason) = refused {
            return Ok(stale(reason));
        }
        let patterns = &graph.runner_of(target.rule).log.absent;
        let learned = match (same.map(|r| &r.outcome), records) {
            (Some(Outcome::Absent { line, pattern }), _) => {
                Some(records::Absence { line: line.clone(), pattern: pattern.clone() })
            }
            (_, Some(records)) => records.absence(&absence)?,
            _ => None,
        };
        // It holds only while a declared pattern still matches the line that taught it.
        if let Some(learned) = learned.filter(|a| absence_holds(patterns, &a.line))
            && !record.is_some_and(|r| r.ever_made)
        {
            return Ok(Judgement {
                fingerprint: Some(fingerprint),
                by_bytes: Some(by_bytes),
                ..Judgement::of(Verdict::Absent(Absence::Learned(learned.line)))
            });
        }
        let reason = match (record, same.map(|r| &r.outcome)) {
            (_, Some(Outcome::Failed { message, .. })) => Reason::FailedBefore(message.clone()),
            (_, Some(Outcome::Refused { findings, .. })) => Reason::RefusedBefore(findings.clone()),
            (Some(record), None) if record.fingerprint != fingerprint => Reason::Changed,
            _ => Reason::NeverMade,
        };
        Ok(stale(reason))
    }

    /// Fresh if every file is as it was made; else restorable, or stale if the cache lost it.
    #[expect(clippy::too_many_arguments, reason = "all of them make up the judgement")]
    fn place(
        &self,
        target: Target,
        group: usize,
        fingerprint: Digest,
        by_bytes: Digest,
        made: Made,
        rekey: bool,
        before: Option<Reason>,
    ) -> Judgement {
        let graph = self.graph;
        let outputs = graph.rule(target.rule).outputs.len();
        let mut reason = None;
        let mut lost = None;
        for (output, made) in graph.order(target, group).iter().zip(&made.outputs) {
            let fact = &self.facts.files[target.rule.0][target.cell * outputs + output];
            let Some(made) = made else {
                // An optional output that was not made, and something stands in its place.
                if matches!(fact, FileFact::There(_)) {
                    let path = graph.output_path(target, *output);
                    reason.get_or_insert(Reason::OutputEdited(path));
                }
                continue;
            };
            if *fact == FileFact::There(made.bytes) {
                continue;
            }
            let path = graph.output_path(target, *output);
            // An edit may have gone through a hard link into the object itself, so that is read.
            let there = match fact {
                FileFact::There(_) => self.shelf.is_sound(&made.bytes),
                _ => self.shelf.has(&made.bytes),
            };
            if !there {
                lost = Some(Reason::Lost(path.clone()));
            }
            reason.get_or_insert(match fact {
                FileFact::Missing | FileFact::NotLookedAt => Reason::OutputMissing(path),
                FileFact::Wrong(_) | FileFact::There(_) => Reason::OutputEdited(path),
            });
        }
        let verdict = match (lost, reason, before) {
            (Some(lost), ..) => Verdict::Stale(lost),
            (None, Some(_), Some(before)) => Verdict::Restorable(before),
            (None, Some(reason), None) => Verdict::Restorable(reason),
            (None, None, _) => Verdict::Fresh,
        };
        let made = (!matches!(verdict, Verdict::Stale(_))).then_some(made);
        Judgement { verdict, fingerprint: Some(fingerprint), by_bytes: Some(by_bytes), made, rekey }
    }
}

/// Says that an input is missing, and why it is not fetched.
fn missing(graph: &Graph, input: usize, cell: usize) -> String {
    let path = graph.input_path(input, cell);
    match graph.input_source(input, cell) {
        None => format!("`{path}` is missing"),
        Some(source) => format!(
            "`{path}` is missing, and the lock does not say what to fetch from `{source}`: run `jheem update`"
        ),
    }
}

enum Quick {
    Settled(Box<Judgement>),
    Ask(Box<Asked>),
}

struct Asked {
    fingerprint: Digest,
    by_bytes: Digest,
    absence: Digest,
}

/// What is found of a unique output whose content another target has as well.
pub fn double_finding(graph: &Graph, output: &str, other: Target) -> String {
    format!("its `{output}` has the same content as {}", graph.label(other))
}

/// Whether a declared pattern still matches the line that taught an absence.
pub fn absence_holds(patterns: &[String], line: &str) -> bool {
    patterns.iter().any(|p| regex::Regex::new(p).is_ok_and(|regex| regex.is_match(line)))
}

/// What a group made for one of its outputs.
pub fn output_of<'a>(
    graph: &Graph,
    target: Target,
    group: usize,
    output: usize,
    made: &'a Made,
) -> Option<&'a records::MadeOutput> {
    let at = if graph.rule(target.rule).groups[group].outputs.len() == 1 {
        0
    } else {
        graph.order(target, group).iter().position(|o| *o == output)?
    };
    made.outputs.get(at)?.as_ref()
}

/// Whether a text names the values of a cell only; such texts can be rendered for any cell.
pub fn is_plain(slots: &[Slot]) -> bool {
    slots.iter().all(|s| matches!(s, Slot::Text(_) | Slot::Value(_) | Slot::Label { .. }))
}
