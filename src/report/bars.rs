//! The moving part of the screen: a bar for all targets, and a line for each run that goes on.
//!
//! Draws what `Progress` says and remembers nothing of its own.

use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::paint::Paint;
use super::words::printable;
use crate::figures::{rate, thousands, whole_seconds};
use crate::progress::{Going, Progress};

/// Lines of runs beyond this many would push the failures off a small terminal.
const MOST_RUNS: usize = 8;
const TICK: Duration = Duration::from_millis(200);

/// What is drawn now.
pub struct Bars {
    all: MultiProgress,
    main: ProgressBar,
    /// The names of runs and their lines.
    runs: Vec<(String, ProgressBar)>,
    more: Option<ProgressBar>,
    paint: Paint,
}

impl Bars {
    pub fn new(target: ProgressDrawTarget, paint: Paint) -> Bars {
        let all = MultiProgress::with_draw_target(target);
        let main = all.add(ProgressBar::new(0));
        main.set_style(main_style(paint));
        main.enable_steady_tick(TICK);
        Bars { all, main, runs: Vec::new(), more: None, paint }
    }

    /// Draws the state of a build; `restored` asks not to count a jump as speed.
    pub fn draw(&mut self, progress: &Progress, restored: bool) {
        self.main.set_length(progress.to_do as u64);
        self.main.set_position(progress.done as u64);
        if restored {
            self.main.reset_eta();
        }
        self.main.set_message(beside(progress, self.paint));
        let shown = &progress.going[..progress.going.len().min(MOST_RUNS)];
        self.runs.retain(|(run, bar)| {
            let stays = shown.iter().any(|going| going.run == *run);
            if !stays {
                bar.finish_and_clear();
                self.all.remove(bar);
            }
            stays
        });
        let widest = shown.iter().map(|g| g.rule.chars().count()).max().unwrap_or(0);
        for going in shown {
            let known = self.runs.iter().position(|(run, _)| *run == going.run);
            let at = known.unwrap_or_else(|| {
                let bar = self.all.insert(self.runs.len() + 1, ProgressBar::no_length());
                bar.set_style(run_style(self.paint));
                bar.enable_steady_tick(TICK);
                self.runs.push((going.run.clone(), bar));
                self.runs.len() - 1
            });
            let bar = &self.runs[at].1;
            bar.set_prefix(format!("{:widest$}  {:>9}", going.rule, share(going)));
            bar.set_message(printable(&going.now));
        }
        self.draw_rest(progress.going.len() - shown.len());
    }

    fn draw_rest(&mut self, hidden: usize) {
        match (hidden, self.more.take()) {
            (0, Some(bar)) => {
                bar.finish_and_clear();
                self.all.remove(&bar);
            }
            (0, None) => {}
            (_, known) => {
                let bar = known.unwrap_or_else(|| {
                    let bar = self.all.add(ProgressBar::no_length());
                    bar.set_style(style("  {msg}"));
                    bar
                });
                bar.set_message(format!("… and {hidden} more"));
                self.more = Some(bar);
            }
        }
    }

    /// Lets something else write to the terminal, above the bars.
    pub fn suspend(&self, write: impl FnOnce()) {
        self.all.suspend(write);
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        for (_, bar) in &self.runs {
            bar.finish_and_clear();
        }
        if let Some(bar) = &self.more {
            bar.finish_and_clear();
        }
        self.main.finish_and_clear();
    }
}

/// `2 failed  stopping`
fn beside(progress: &Progress, paint: Paint) -> String {
    let mut parts = Vec::new();
    if progress.failed.total() > 0 {
        parts.push(paint.bad(&format!("{} failed", thousands(progress.failed.total()))));
    }
    if !progress.state().is_empty() {
        parts.push(paint.warn(progress.state()));
    }
    parts.join("  ")
}

/// How far a run is within its batch: `23/60`; `60` where its log does not say.
fn share(going: &Going) -> String {
    match (going.begun, going.targets) {
        (_, 1) => String::new(),
        (0, targets) => thousands(targets),
        (begun, targets) => format!("{}/{}", thousands(begun), thousands(targets)),
    }
}

fn main_style(paint: Paint) -> ProgressStyle {
    let bar = if paint.on { "{bar:30.cyan/dim}" } else { "{bar:30}" };
    style(&format!("{bar} {{human_pos}}/{{human_len}}  {{pace}}{{left}}{{wide_msg}}"))
        .progress_chars(if paint.on { "━╸━" } else { "━╸─" })
        .with_key("pace", |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            let pace = rate(state.per_sec());
            if state.pos() > 0 && !pace.is_empty() {
                let _kept = write!(out, "{pace}  ");
            }
        })
        .with_key("left", |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            let left = state.eta().as_secs();
            if state.pos() > 0 && left >= 1 {
                let _kept = write!(out, "{} left  ", whole_seconds(left));
            }
        })
}

fn run_style(paint: Paint) -> ProgressStyle {
    let rule = paint.strong("{prefix}");
    let seconds = paint.faint("{seconds:>11}");
    style(&format!("  {rule}{seconds}  {{wide_msg}}")).with_key(
        "seconds",
        |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            let _kept = write!(out, "{}", whole_seconds(state.elapsed().as_secs()));
        },
    )
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates of this file are well formed")
}
