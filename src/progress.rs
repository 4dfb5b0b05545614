//! How far a build is, read off its events: what the screen shows and the summary tells.
//!
//! Pure: it has no clock and draws nothing.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use crate::event::{Ending, Event, PlannedTargets};
use crate::figures::{bytes, numbered, rate, thousands};

/// How a run ends that went well.
pub const WELL: &str = "code 0";

/// A run that is going on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Going {
    pub run: String,
    pub rule: String,
    /// The targets of its batch, with those that nobody asked for.
    pub targets: usize,
    /// How many of them it has begun, as far as its log says.
    pub begun: usize,
    /// What it makes now: the values of a cell, or the command until the log says more.
    pub now: String,
}

/// Steps and plots, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kinds {
    pub steps: usize,
    pub plots: usize,
}

impl Kinds {
    pub fn total(self) -> usize {
        self.steps + self.plots
    }

    /// `108 plots, 12 steps`, without what there is none of.
    pub fn words(self) -> String {
        let plots = (self.plots > 0).then(|| numbered(self.plots, "plot"));
        let steps = (self.steps > 0).then(|| numbered(self.steps, "step"));
        match (plots, steps) {
            (Some(plots), Some(steps)) => format!("{plots}, {steps}"),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => "nothing".into(),
        }
    }

    /// Counts a target by its label, which begins with the name of its rule.
    fn count(&mut self, label: &str) {
        match label.starts_with("step.") {
            true => self.steps += 1,
            false => self.plots += 1,
        }
    }

    /// Takes back what was counted of a target.
    fn discount(&mut self, label: &str) {
        let count = if label.starts_with("step.") { &mut self.steps } else { &mut self.plots };
        *count = count.saturating_sub(1);
    }
}

/// Everything that the events of a build say so far.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// Targets that have to be made or put back.
    pub to_do: usize,
    /// Those of them that have ended, well or badly.
    pub done: usize,
    pub restored: usize,
    /// What there is to have, less what is absent.
    pub selected: Kinds,
    pub built: Kinds,
    /// Built, and their content is what it was before.
    pub same: usize,
    pub failed: Kinds,
    /// How many targets failed with each message.
    pub failures: BTreeMap<String, usize>,
    /// How many targets were skipped with each message.
    pub skips: BTreeMap<String, usize>,
    pub problems: usize,
    pub notes: usize,
    pub stopping: bool,
    /// The runs whose targets failed, as far as their logs say whose they were, the first first.
    failing: Vec<String>,
    /// Runs that ended badly and did not make all that was asked of them.
    ended_badly: Vec<String>,
    /// Which run makes a target now.
    makers: HashMap<String, String>,
    /// In the order in which they began.
    pub going: Vec<Going>,
    told_at: Duration,
    told: u32,
}

impl Progress {
    /// Takes in what happened.
    pub fn take(&mut self, event: &Event) {
        match event {
            Event::Started { targets, steps, plots, .. } => {
                self.to_do = to_do(targets);
                self.selected = Kinds { steps: *steps, plots: *plots };
            }
            Event::RunStarted { run, rule, targets, surplus, what } => self.going.push(Going {
                run: run.clone(),
                rule: rule.clone(),
                targets: targets + surplus,
                begun: 0,
                now: program(what),
            }),
            Event::FetchStarted { source, bytes } => self.going.push(Going {
                run: source.clone(),
                rule: "fetch".into(),
                targets: 1,
                begun: 0,
                now: coming(source, 0, Some(*bytes)),
            }),
            Event::FetchProgress { source, bytes } => {
                if let Some(going) = self.going.iter_mut().find(|g| g.run == *source) {
                    going.now = coming(source, *bytes, None);
                }
            }
            Event::Fetched { source, .. } => self.going.retain(|g| g.run != *source),
            Event::TargetBegan { run, target } => {
                if let Some(going) = self.going.iter_mut().find(|g| g.run == *run) {
                    going.begun = (going.begun + 1).min(going.targets);
                    going.now = values(target);
                }
                self.makers.insert(target.clone(), run.clone());
            }
            Event::Pulling { run, image, done, total } => {
                let far = match total {
                    0 => String::new(),
                    total => format!("{} of {}, ", bytes(*done), bytes(*total)),
                };
                self.now(run, format!("pulling {far}{image}"));
            }
            Event::Pulled { run, .. } => self.now(run, "starting".to_owned()),
            Event::Target { target, ending, message, .. } => {
                if *ending == Ending::Withdrawn {
                    self.built.discount(target);
                } else {
                    self.end(1);
                }
                let maker = self.makers.remove(target);
                match ending {
                    Ending::Built => self.built.count(target),
                    Ending::Same => {
                        self.built.count(target);
                        self.same += 1;
                    }
                    Ending::Failed | Ending::Withdrawn => {
                        self.failed.count(target);
                        self.failing.extend(maker);
                        *self.failures.entry(message.clone().unwrap_or_default()).or_default() += 1;
                    }
                    Ending::Skipped => {
                        *self.skips.entry(message.clone().unwrap_or_default()).or_default() += 1;
                    }
                    Ending::Restored | Ending::Absent => {}
                }
            }
            Event::Restored { targets } => {
                self.restored += targets;
                self.end(*targets);
            }
            Event::RunEnded { run, made, exit, .. } => {
                let ended = self.going.iter().position(|g| g.run == *run);
                if let Some(ended) = ended.map(|at| self.going.remove(at))
                    && *made < ended.targets
                    && exit != WELL
                {
                    self.ended_badly.push(ended.run);
                }
            }
            Event::Problem { .. } => self.problems += 1,
            Event::Note { .. } => self.notes += 1,
            Event::Stopping => self.stopping = true,
            Event::Retry { .. }
            | Event::Published { .. }
            | Event::Planned { .. }
            | Event::Finished { .. } => {}
        }
    }

    fn now(&mut self, run: &str, what: String) {
        if let Some(going) = self.going.iter_mut().find(|g| g.run == run) {
            going.now = what;
        }
    }

    /// A target that needs two kinds of outputs may end twice, so the count is held within bounds.
    fn end(&mut self, targets: usize) {
        self.done = (self.done + targets).min(self.to_do);
    }

    /// The run whose log is likely to tell what went wrong first.
    pub fn bad_run(&self) -> Option<&str> {
        self.failing.first().or(self.ended_badly.first()).map(String::as_str)
    }

    /// What to say beside the bar, such as `stopping` or `publishing`.
    pub fn state(&self) -> &'static str {
        if self.stopping {
            "stopping"
        } else if self.done == self.to_do && self.going.is_empty() {
            "publishing"
        } else {
            ""
        }
    }

    /// A line on how far it is, where none was said for a while: after 5 seconds at first, later
    /// after 30. `elapsed` is the time since the build began.
    pub fn line_due(&mut self, elapsed: Duration) -> Option<String> {
        let pause = Duration::from_secs(if self.told < 6 { 5 } else { 30 });
        if self.to_do == 0 || self.done == self.to_do || elapsed < self.told_at + pause {
            return None;
        }
        self.told_at = elapsed;
        self.told += 1;
        Some(self.line(elapsed))
    }

    /// `42 of 117 done, 2 failed, 1.4/s, 3 runs going on`
    fn line(&self, elapsed: Duration) -> String {
        let mut parts = vec![format!("{} of {} done", thousands(self.done), thousands(self.to_do))];
        if self.failed.total() > 0 {
            parts.push(format!("{} failed", thousands(self.failed.total())));
        }
        let made = self.done.saturating_sub(self.restored);
        let pace = rate(made as f64 / elapsed.as_secs_f64());
        if !pace.is_empty() {
            parts.push(pace);
        }
        if !self.going.is_empty() {
            parts.push(format!("{} going on", numbered(self.going.len(), "run")));
        }
        parts.join(", ")
    }
}

/// The targets of a plan that something has to be done for.
pub fn to_do(targets: &PlannedTargets) -> usize {
    targets.restorable + targets.stale + targets.pending + targets.blocked
}

/// The values of a cell, from the label of a target: `C.12580 cessation` for
/// `plot.rw[city=C.12580, scenario=cessation]`.
fn values(label: &str) -> String {
    let Some((_, inside)) = label.split_once('[') else { return label.to_owned() };
    let values: Vec<&str> = inside
        .trim_end_matches(']')
        .split(", ")
        .map(|part| part.split_once('=').map_or(part, |(_, value)| value))
        .collect();
    values.join(" ")
}

/// The program and its arguments, from a command line that sets up its surroundings first.
fn program(line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    let isolated = words.windows(2).position(|w| w == ["env", "-i"]);
    let image = words.iter().position(|w| w.starts_with("sha256:"));
    let start = match (isolated, image) {
        (Some(at), _) => {
            let after = &words[at + 2..];
            // A quoted value with spaces in it is left as it is; it is only for the eye.
            let assigned = after.iter().take_while(|w| w.contains('=')).count();
            at + 2 + assigned
        }
        (None, Some(at)) => at + 1,
        (None, None) => 0,
    };
    let mut words = words[start.min(words.len())..].to_vec();
    if let Some(program) = words.first_mut() {
        *program = program.rsplit('/').next().unwrap_or(program);
    }
    words.join(" ")
}

/// `C.12580_base.Rdata, 12.5 MiB` of what comes from afar.
fn coming(source: &str, came: u64, of: Option<u64>) -> String {
    let name = source.rsplit('/').next().unwrap_or(source);
    let bytes = crate::figures::bytes(of.unwrap_or(came));
    format!("{name}, {bytes}{}", if of.is_some() { " to come" } else { " so far" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started(stale: usize) -> Event {
        let targets = PlannedTargets { stale, fresh: 3, ..PlannedTargets::default() };
        Event::Started { targets, steps: 1, plots: stale + 2, reasons: Vec::new() }
    }

    fn run_started(run: &str, targets: usize) -> Event {
        Event::RunStarted {
            run: run.into(),
            rule: "plot.rw".into(),
            targets,
            surplus: 0,
            what: "model batch".into(),
        }
    }

    fn ended(target: &str, ending: Ending) -> Event {
        Event::Target {
            target: target.into(),
            path: "plots/x.json".into(),
            ending,
            message: Some("no such file".into()),
            lines: Vec::new(),
        }
    }

    fn after(events: &[Event]) -> Progress {
        let mut progress = Progress::default();
        for event in events {
            progress.take(event);
        }
        progress
    }

    #[test]
    fn what_is_withdrawn_counts_as_failed_and_no_longer_as_built() {
        let label = "plot.rw[outcome=x]";
        let progress = after(&[
            started(2),
            ended(label, Ending::Built),
            ended(label, Ending::Withdrawn),
            ended("plot.rw[outcome=y]", Ending::Skipped),
        ]);
        assert_eq!((progress.built.total(), progress.failed.total(), progress.done), (0, 1, 2));
        assert_eq!(progress.skips["no such file"], 1);
    }

    #[test]
    fn targets_are_counted_as_they_end() {
        let progress = after(&[
            started(5),
            Event::Restored { targets: 1 },
            run_started("r1", 4),
            ended("plot.rw[city=a]", Ending::Built),
            ended("plot.rw[city=b]", Ending::Same),
            ended("plot.rw[city=c]", Ending::Failed),
        ]);
        assert_eq!((progress.done, progress.to_do), (4, 5));
        assert_eq!(progress.built, Kinds { steps: 0, plots: 2 });
        assert_eq!((progress.same, progress.restored), (1, 1));
        assert_eq!(progress.failures, BTreeMap::from([("no such file".into(), 1)]));
        assert_eq!(progress.state(), "");
    }

    #[test]
    fn a_run_says_what_it_makes_now_until_it_ends() {
        let began = Event::TargetBegan {
            run: "r1".into(),
            target: "plot.rw[city=C.12580, scenario=cessation]".into(),
        };
        let mut progress = after(&[started(2), run_started("r1", 2), began]);
        assert_eq!(progress.going[0].now, "C.12580 cessation");
        assert_eq!((progress.going[0].begun, progress.going[0].targets), (1, 2));
        progress.take(&Event::RunEnded {
            run: "r1".into(),
            rule: "plot.rw".into(),
            exit: "code 1".into(),
            seconds: 2.0,
            made: 1,
        });
        assert_eq!(progress.going, []);
        assert_eq!(progress.bad_run(), Some("r1"));
    }

    #[test]
    fn the_log_that_is_pointed_at_is_the_one_of_the_failure() {
        let began =
            |run: &str, target: &str| Event::TargetBegan { run: run.into(), target: target.into() };
        let run_ended = |run: &str| Event::RunEnded {
            run: run.into(),
            rule: "plot.rw".into(),
            exit: "code 1".into(),
            seconds: 2.0,
            made: 0,
        };
        let progress = after(&[
            started(2),
            run_started("r1", 1),
            run_started("r2", 1),
            began("r1", "plot.rw[city=a]"),
            began("r2", "plot.rw[city=b]"),
            // Absent is not made either, and no failure.
            ended("plot.rw[city=a]", Ending::Absent),
            run_ended("r1"),
            ended("plot.rw[city=b]", Ending::Failed),
            run_ended("r2"),
        ]);
        assert_eq!(progress.bad_run(), Some("r2"));
    }

    #[test]
    fn a_run_shows_its_program_and_not_how_it_is_shut_off() {
        assert_eq!(
            program("cd /s/7/plots && env -i A=1 B=2 /bin/model batch --x"),
            "model batch --x"
        );
        assert_eq!(
            program("docker run --rm --network none sha256:abc batch --config c"),
            "batch --config c"
        );
        assert_eq!(program("model batch"), "model batch");
    }

    #[test]
    fn more_endings_than_targets_do_not_overflow_the_bar() {
        let progress = after(&[started(1), Event::Restored { targets: 2 }]);
        assert_eq!((progress.done, progress.to_do), (1, 1));
        assert_eq!(progress.state(), "publishing");
    }

    #[test]
    fn lines_on_progress_come_seldom() {
        let mut progress =
            after(&[started(1000), run_started("r1", 999), ended("plot.rw[a=1]", Ending::Built)]);
        let said: Vec<u64> = (0..200)
            .filter(|&second| progress.line_due(Duration::from_secs(second)).is_some())
            .collect();
        assert_eq!(said, [5, 10, 15, 20, 25, 30, 60, 90, 120, 150, 180]);
        assert_eq!(
            progress.line_due(Duration::from_secs(300)).as_deref(),
            Some("1 of 1,000 done, 12/h, 1 run going on")
        );
    }
}
