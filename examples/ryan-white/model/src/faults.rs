//! Faults that a test can switch on: each is something that a real container did, or could do.
//!
//! `RW_FAULT` names one or several, joined by commas, as `kind` or `kind:argument`.
//! Plots are counted from 1 in the order in which a run makes them.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use crate::figure::Figure;
use crate::jobs::{Job, Request};
use crate::plotly::Subject;
use crate::random::Key;
use crate::strata::Facet;

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Makes one fixed plot, whatever is asked for.
    IgnoreArguments,
    /// Aborts after so many plots.
    DieAfter(usize),
    /// Is killed for its memory after so many plots; or before the first if more are asked for.
    OutOfMemory(usize),
    OutOfMemoryAbove(usize),
    /// Does not find the file of a scenario.
    ForgetScenario(String),
    /// Does not find any baseline.
    NoBaseline,
    /// The text of a plot is no JSON; or only the first half of it.
    Garbage(usize),
    Truncate(usize),
    /// Every third plot names another value of an axis than its own.
    Mislabel(Axis),
    /// What a plot shows is wrong.
    Nan(usize),
    NoTraces(usize),
    MissingYears(usize),
    MissingStratum(usize),
    InvertedInterval(usize),
    OutOfRange(usize),
    /// Every plot has the content of the first.
    SameContent,
    /// Writes a file that nobody asked for; a link, or a pipe, in place of a plot; a folder that leads outside.
    StrayFile,
    Symlink(usize),
    Device(usize),
    Escape,
    /// Makes no more progress after so many plots.
    HangAfter(usize),
    /// Goes on when it is asked to end.
    IgnoreSigterm,
    /// Values differ from run to run; or with the number of plots in the batch.
    Nondeterministic,
    DependOnSiblings,
}

/// A part of a plot's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axis {
    City,
    Scenario,
    Outcome,
    Statistic,
    Facet,
}

impl Fault {
    /// Reads a list of faults; an empty text is none.
    pub fn parse(text: &str) -> Result<Vec<Fault>, String> {
        text.split(',').map(str::trim).filter(|fault| !fault.is_empty()).map(parse_one).collect()
    }

    /// Other jobs than those that were asked for.
    pub fn replace(&self, request: &mut Request, jobs: &mut Vec<Job>) {
        if *self == Fault::IgnoreArguments {
            let Request { simulations, output_dir, .. } = std::mem::take(request);
            *request =
                Request { simulations, output_dir, include_html: true, ..Request::default() };
            *jobs = vec![Job {
                city: "C.12580".to_owned(),
                scenarios: vec!["cessation".to_owned()],
                outcomes: vec!["testing".to_owned()],
                statistics: vec!["mean.and.interval".to_owned()],
                facets: vec![Facet::parse("sex")],
            }];
        }
    }

    /// Changes what plot `number` of `total` shows; `chance` differs from run to run.
    pub fn distort(&self, figure: &mut Figure, number: usize, total: usize, chance: u64) {
        let proportion = figure.outcome.is_proportion();
        let curves = |figure: &mut Figure, change: &mut dyn FnMut(&mut f64)| {
            let curves = figure.panels.iter_mut().flat_map(|panel| &mut panel.curves);
            curves.flat_map(|curve| &mut curve.values).for_each(change);
        };
        match self {
            Fault::Nan(n) if *n == number => set_first(figure, 3, f64::NAN),
            Fault::OutOfRange(n) if *n == number => {
                set_first(figure, 3, if proportion { 1.75 } else { -12_345.0 })
            }
            Fault::NoTraces(n) if *n == number => figure.panels.clear(),
            Fault::MissingYears(n) if *n == number => {
                for panel in &mut figure.panels {
                    panel.observed.retain(|(year, _)| *year <= 2020);
                    for curve in &mut panel.curves {
                        let kept = curve.years.iter().filter(|year| **year <= 2020).count();
                        curve.years.truncate(kept);
                        curve.values.truncate(kept);
                        if let Some(interval) = &mut curve.interval {
                            interval.lower.truncate(kept);
                            interval.upper.truncate(kept);
                        }
                    }
                }
            }
            // A plot of the whole population has but one stratum, which it keeps.
            Fault::MissingStratum(n) if *n == number && figure.panels.len() > 1 => {
                figure.panels.pop();
            }
            Fault::InvertedInterval(n) if *n == number => {
                let curves = figure.panels.iter_mut().flat_map(|panel| &mut panel.curves);
                for interval in curves.filter_map(|curve| curve.interval.as_mut()) {
                    std::mem::swap(&mut interval.lower, &mut interval.upper);
                }
            }
            Fault::Nondeterministic => {
                let mut at = 0;
                curves(figure, &mut |value| {
                    at += 1;
                    *value *= 1.0 - 0.01 * Key::new(chance).with(at).uniform();
                });
            }
            Fault::DependOnSiblings => {
                curves(figure, &mut |value| *value *= 1.0 - 0.0001 * (total.min(1000) - 1) as f64)
            }
            _ => {}
        }
    }

    /// Another name than the plot's own.
    pub fn rename(&self, subject: &mut Subject, number: usize) {
        let Fault::Mislabel(axis) = self else { return };
        if !number.is_multiple_of(3) {
            return;
        }
        let (name, values) = match axis {
            Axis::City => (&mut subject.city, ["C.12580", "C.12940"]),
            Axis::Scenario => (&mut subject.scenario, ["cessation", "brief_interruption"]),
            Axis::Outcome => (&mut subject.outcome, ["testing", "incidence"]),
            Axis::Statistic => {
                (&mut subject.statistic, ["mean.and.interval", "median.and.interval"])
            }
            Axis::Facet => (&mut subject.facet, ["sex", "age"]),
        };
        *name = if name == values[0] { values[1] } else { values[0] }.to_owned();
    }

    /// Another text than the plot's own.
    pub fn spoil(&self, text: &mut String, number: usize, first: &str) {
        match self {
            Fault::Garbage(n) if *n == number => {
                *text = "Error: object of type 'closure' is not subsettable\n".to_owned()
            }
            Fault::Truncate(n) if *n == number => text.truncate(half(text)),
            Fault::SameContent => *text = first.to_owned(),
            _ => {}
        }
    }

    /// Puts what does not belong there around a plot, before it is written; true if the plot must not be written.
    pub fn trespass(&self, path: &Path, number: usize, output: &Path) -> io::Result<bool> {
        match self {
            Fault::StrayFile => {
                fs::write(path.with_file_name("stray.json"), "{}\n").map(|()| false)
            }
            Fault::Symlink(n) if *n == number => symlink("/etc/hostname", path).map(|()| true),
            Fault::Device(n) if *n == number => make_pipe(path).map(|()| true),
            Fault::Escape if number == 1 => {
                let folder = path.parent().unwrap_or(output);
                let outside = std::path::absolute(output)?.with_file_name("escaped");
                fs::create_dir_all(&outside)?;
                fs::remove_dir(folder)?;
                symlink(outside, folder).map(|()| false)
            }
            _ => Ok(false),
        }
    }

    /// Ends the run, or hangs, where that is the fault; `made` plots of `total` are made.
    pub fn end(&self, made: usize, total: usize) {
        match self {
            Fault::DieAfter(n) if made == *n => std::process::abort(),
            Fault::OutOfMemory(n) if made == *n => be_killed(),
            Fault::OutOfMemoryAbove(n) if made == 0 && total > *n => be_killed(),
            Fault::HangAfter(n) if made == *n => loop {
                std::thread::sleep(Duration::from_secs(60));
            },
            _ => {}
        }
    }
}

fn parse_one(text: &str) -> Result<Fault, String> {
    let (kind, argument) =
        text.split_once(':').map_or((text, None), |(kind, argument)| (kind, Some(argument)));
    let number = || {
        argument
            .unwrap_or("1")
            .parse()
            .map_err(|_| format!("the fault `{text}` needs a number, as in `{kind}:3`"))
    };
    Ok(match kind {
        "ignore-arguments" => Fault::IgnoreArguments,
        "die-after" => Fault::DieAfter(number()?),
        "out-of-memory" => Fault::OutOfMemory(number()?),
        "out-of-memory-above" => Fault::OutOfMemoryAbove(number()?),
        "forget-scenario" => Fault::ForgetScenario(
            argument.ok_or_else(|| format!("the fault `{text}` needs a scenario"))?.to_owned(),
        ),
        "no-baseline" => Fault::NoBaseline,
        "garbage" => Fault::Garbage(number()?),
        "truncate" => Fault::Truncate(number()?),
        "mislabel" => Fault::Mislabel(match argument {
            Some("city") => Axis::City,
            Some("scenario") => Axis::Scenario,
            Some("outcome") => Axis::Outcome,
            Some("statistic") => Axis::Statistic,
            Some("facet") => Axis::Facet,
            _ => {
                return Err(format!(
                    "the fault `{text}` needs one of city, scenario, outcome, statistic, facet"
                ));
            }
        }),
        "nan" => Fault::Nan(number()?),
        "no-traces" => Fault::NoTraces(number()?),
        "missing-years" => Fault::MissingYears(number()?),
        "missing-stratum" => Fault::MissingStratum(number()?),
        "inverted-interval" => Fault::InvertedInterval(number()?),
        "out-of-range" => Fault::OutOfRange(number()?),
        "same-content" => Fault::SameContent,
        "stray-file" => Fault::StrayFile,
        "symlink" => Fault::Symlink(number()?),
        "device" => Fault::Device(number()?),
        "escape" => Fault::Escape,
        "hang-after" => Fault::HangAfter(number()?),
        "ignore-sigterm" => Fault::IgnoreSigterm,
        "nondeterministic" => Fault::Nondeterministic,
        "depend-on-siblings" => Fault::DependOnSiblings,
        _ => return Err(format!("unknown fault `{kind}`")),
    })
}

/// The middle of a text, between characters.
fn half(text: &str) -> usize {
    (0..=text.len() / 2).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

fn set_first(figure: &mut Figure, year: usize, value: f64) {
    let curve = figure.panels.first_mut().and_then(|panel| panel.curves.first_mut());
    if let Some(place) = curve.and_then(|curve| curve.values.get_mut(year)) {
        *place = value;
    }
}

/// What the kernel does when memory runs out. The first process of a container cannot kill itself: it exits likewise.
fn be_killed() {
    let me = rustix::process::getpid();
    let _ = rustix::process::kill_process(me, rustix::process::Signal::KILL);
    std::process::exit(137);
}

#[cfg(target_os = "linux")]
fn make_pipe(path: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o644), 0).map_err(io::Error::from)
}

#[cfg(not(target_os = "linux"))]
fn make_pipe(_: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_with_their_arguments() {
        assert_eq!(Fault::parse("").unwrap(), []);
        assert_eq!(
            Fault::parse("die-after:3, mislabel:facet,forget-scenario:cessation,garbage").unwrap(),
            [
                Fault::DieAfter(3),
                Fault::Mislabel(Axis::Facet),
                Fault::ForgetScenario("cessation".to_owned()),
                Fault::Garbage(1)
            ]
        );
        assert_eq!(Fault::parse("explode").unwrap_err(), "unknown fault `explode`");
        assert_eq!(
            Fault::parse("nan:x").unwrap_err(),
            "the fault `nan:x` needs a number, as in `nan:3`"
        );
    }
}
