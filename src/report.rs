//! What the user sees: draws events, plans, answers and errors. The only file that prints.
//!
//! stdout is data and stderr is talk. With `--format json` stdout holds one object a line and
//! nothing else. Nobody listening any more is neither an error nor a reason to stop.

use std::collections::BTreeSet;
use std::io::{BufWriter, IsTerminal as _, Write};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::cli::{Format, Global, When};
use crate::costs::Requests;
use crate::error::Error;
use crate::event::{Ending, Event};
use crate::figures::{bytes, numbered, thousands};
use crate::graph::Graph;
use crate::objects::{Freed, Usage};
use crate::policy::{Finding, Lack};
use crate::progress::Progress;
use crate::publish::place::Stamp;
use crate::publish::{Destination, Drift, Outlook, Pruned};
use crate::publishing::{Adopted, Lost};
use crate::records::Run;
use crate::why::{Explanation, Fold};

use answer::{Answer, Condition, Holds, Origin, Trace};
use bars::Bars;
use paint::Paint;

pub mod answer;
mod bars;
mod paint;
mod table;
mod words;

/// So many failures, and as many notes, are told in full; later ones are counted.
const MOST_TOLD: usize = 25;
/// So many failures with one message are told in full.
const MOST_ALIKE: usize = 3;
/// So many runs are listed for people.
const MOST_RUNS: usize = 40;

/// Prints for people or for programs.
pub struct Report {
    format: Format,
    quiet: bool,
    out: Sink,
    err: Sink,
    /// Whether bars can be drawn on stderr.
    screen: bool,
    bars: Option<Bars>,
    progress: Progress,
    failures_told: usize,
    skips_told: BTreeSet<String>,
    begun: Instant,
}

/// A stream, whether it shows colours, and whether its reader went away.
struct Sink {
    stream: Box<dyn Write>,
    paint: Paint,
    gone: bool,
    /// Why something could not be written, if it is not that nobody reads on.
    lost: Option<std::io::Error>,
}

impl Sink {
    fn line(&mut self, line: &str) {
        if !self.gone {
            let written = writeln!(self.stream, "{line}");
            self.note(written);
        }
    }

    fn flush(&mut self) {
        if !self.gone {
            let written = self.stream.flush();
            self.note(written);
        }
    }

    fn note(&mut self, written: std::io::Result<()>) {
        let Err(error) = written else { return };
        self.gone = true;
        if error.kind() != std::io::ErrorKind::BrokenPipe {
            self.lost = Some(error);
        }
    }
}

impl Report {
    /// Prints to this process's streams, as the command line asks.
    pub fn new(global: &Global) -> Report {
        match global.color {
            When::Auto => anstream::ColorChoice::Auto,
            When::Always => anstream::ColorChoice::Always,
            When::Never => anstream::ColorChoice::Never,
        }
        .write_global();
        let stdout = anstream::stdout();
        let stderr = anstream::stderr();
        let paint_out = Paint { on: stdout.current_choice() != anstream::ColorChoice::Never };
        let paint_err = Paint { on: stderr.current_choice() != anstream::ColorChoice::Never };
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let shared = global.format == Format::Json && std::io::stdout().is_terminal();
        let screen = std::io::stderr().is_terminal() && !dumb && !shared && !global.quiet;
        Report::to(
            global,
            Sink {
                stream: Box::new(BufWriter::new(stdout)),
                paint: paint_out,
                gone: false,
                lost: None,
            },
            Sink { stream: Box::new(stderr), paint: paint_err, gone: false, lost: None },
            screen,
        )
    }

    fn to(global: &Global, out: Sink, err: Sink, screen: bool) -> Report {
        Report {
            format: global.format,
            quiet: global.quiet,
            out,
            err,
            screen,
            bars: None,
            progress: Progress::default(),
            failures_told: 0,
            skips_told: BTreeSet::new(),
            begun: Instant::now(),
        }
    }

    pub fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// One thing that happened.
    pub fn event(&mut self, event: &Event) {
        self.progress.take(event);
        self.draw(event);
        if self.is_json() {
            self.object(event);
            self.out.flush();
        } else {
            self.tell(event);
        }
    }

    /// Brings the bars up to date; they are there from the first work to the end of it.
    fn draw(&mut self, event: &Event) {
        match event {
            Event::Started { .. } if self.screen && self.progress.to_do > 0 => {
                let target = indicatif::ProgressDrawTarget::stderr();
                self.bars = Some(Bars::new(target, self.err.paint));
            }
            Event::Finished { .. } => self.bars = None,
            _ => {}
        }
        if let Some(bars) = &mut self.bars {
            bars.draw(&self.progress, matches!(event, Event::Restored { .. }));
        }
    }

    fn tell(&mut self, event: &Event) {
        let paint = self.err.paint;
        match event {
            Event::Started { targets, reasons, .. } => {
                self.talk(&words::started(targets, reasons, paint));
            }
            Event::Target {
                target,
                ending: ending @ (Ending::Failed | Ending::Withdrawn),
                message,
                lines,
                ..
            } => {
                let message = message.as_deref().unwrap_or("no reason is known");
                let alike = self.progress.failures.get(message).copied().unwrap_or(0);
                if alike <= MOST_ALIKE && self.failures_told < MOST_TOLD {
                    self.failures_told += 1;
                    self.speak(&words::failed(target, ending, message, lines, paint));
                }
            }
            // People see these among the reasons of the plan; quiet ones would see nothing of them.
            Event::Target { ending: Ending::Skipped, message: Some(message), .. }
                if self.quiet && self.skips_told.len() < MOST_ALIKE =>
            {
                if self.skips_told.insert(message.clone()) {
                    self.speak(&[words::printable(&format!("skipped: {message}"))]);
                }
            }
            Event::Problem { message, lines } => {
                self.speak(&words::problem(message, lines, paint));
            }
            Event::RunEnded { .. } | Event::Fetched { .. } if self.screen => {}
            Event::Note { .. } if self.progress.notes > MOST_TOLD => {}
            Event::Published { .. } => {}
            Event::Planned { targets, publish, runs } => {
                for line in words::planned(targets, publish, *runs, self.out.paint) {
                    self.out.line(&line);
                }
            }
            Event::Finished { ok, targets, published, runs, seconds, stopped_seconds, .. } => {
                let more = self.progress.notes.saturating_sub(MOST_TOLD);
                if more > 0 {
                    let more = numbered(more, "note");
                    self.talk(&[format!("… and {more} more; `--format json` has them all")]);
                }
                let ending = words::finished(
                    *ok,
                    targets,
                    published,
                    *runs,
                    words::Took { seconds: *seconds, stopping: *stopped_seconds },
                    &self.progress,
                    paint,
                );
                match ok {
                    true => self.talk(&ending),
                    false => self.speak(&ending),
                }
            }
            event => {
                if let Some(line) = words::passing(event, paint) {
                    self.talk(&[line]);
                }
            }
        }
        self.tell_progress();
    }

    /// Where there are no bars, a line now and then.
    fn tell_progress(&mut self) {
        if self.screen || self.quiet {
            return;
        }
        let elapsed: Duration = self.begun.elapsed();
        if let Some(line) = self.progress.line_due(elapsed) {
            self.talk(&[line]);
        }
    }

    /// A line of data, on stdout.
    pub fn data(&mut self, line: &str) {
        if self.is_json() {
            self.object(&Answer::Line { text: line });
        } else {
            // It is a line of a run's log, or words of a daemon.
            self.out.line(&words::printable(line));
        }
    }

    /// A text in a format of its own, such as a schema, whatever `--format` says.
    pub fn document(&mut self, text: &str) {
        self.out.line(text);
    }

    /// A line of talk, on stderr.
    pub fn say(&mut self, line: &str) {
        self.talk(&[line.to_owned()]);
    }

    /// What `--quiet` keeps back.
    fn talk(&mut self, lines: &[String]) {
        if !self.quiet {
            self.speak(lines);
        }
    }

    /// What must be said.
    fn speak(&mut self, lines: &[String]) {
        // On a terminal both streams meet, so that data written before must stand before.
        self.out.flush();
        let err = &mut self.err;
        let mut write = || lines.iter().for_each(|line| err.line(line));
        match &self.bars {
            Some(bars) if !lines.is_empty() => bars.suspend(write),
            _ => write(),
        }
    }

    fn object(&mut self, object: &impl Serialize) {
        let line = serde_json::to_string(object).expect("events and answers have string keys");
        self.out.line(&line);
    }

    pub fn errors(&mut self, errors: &[Error]) {
        self.bars = None;
        if self.is_json() {
            for error in errors {
                self.object(&Answer::error(error));
            }
        } else if !errors.is_empty() {
            let text = words::errors(errors, self.err.paint);
            self.speak(&[text]);
        }
    }

    /// The folded reasons of a plan.
    pub fn plan(&mut self, graph: &Graph, folds: &[Fold]) {
        if self.is_json() {
            for fold in folds {
                self.object(&Answer::Reason {
                    rule: &graph.rule(fold.rule).name.to_string(),
                    verdict: fold.verdict,
                    targets: fold.targets,
                    narrowed: &fold.narrowed,
                    reason: &fold.reason,
                });
            }
            return;
        }
        let folds: Vec<String> = folds.iter().map(|fold| fold.words(graph)).collect();
        for line in words::reasons(&folds, self.out.paint) {
            self.out.line(&line);
        }
    }

    /// One target of a plan and its verdict.
    pub fn planned_target(&mut self, target: &str, verdict: &str) {
        if self.is_json() {
            self.object(&Answer::Verdict { target, verdict });
        } else {
            let padded = format!("{verdict:<10}");
            let line = format!("{} {target}", self.out.paint.verdict(verdict, &padded));
            self.out.line(&line);
        }
    }

    /// What `why` says of one target; `option` is the option whose outputs it is about.
    pub fn explained(&mut self, target: &str, option: Option<&str>, told: &Explanation) {
        if self.is_json() {
            self.object(&Answer::why(target, option, told));
        } else {
            for line in words::explained(target, option, told, self.out.paint) {
                self.out.line(&line);
            }
        }
    }

    /// A target that was asked for.
    pub fn listed(&mut self, target: &str) {
        if self.is_json() {
            self.object(&Answer::Listed { target });
        } else {
            self.out.line(target);
        }
    }

    /// A path that was asked for, or that was written.
    pub fn path(&mut self, path: &str) {
        if self.is_json() {
            self.object(&Answer::Path { path });
        } else {
            self.out.line(path);
        }
    }

    /// Rule, cells, and how many of them are declared absent.
    pub fn counts(&mut self, rows: &[(String, usize, usize)]) {
        if self.is_json() {
            for (rule, cells, absent) in rows {
                let to_make = cells - absent;
                self.object(&Answer::Count { rule, cells: *cells, absent: *absent, to_make });
            }
        } else {
            for line in words::counts(rows, self.out.paint) {
                self.out.line(&line);
            }
        }
    }

    /// What a publish would do at one destination.
    pub fn outlook(&mut self, publish: &str, at: &Outlook, undecided: usize) {
        if self.is_json() {
            self.object(&Answer::destination(publish, at, undecided));
        } else {
            let line = words::outlook(publish, at, undecided, self.out.paint);
            self.out.line(&line);
        }
    }

    /// The requests that publishing would make in all.
    pub fn expected(&mut self, requests: &Requests) {
        if self.is_json() {
            self.object(&Answer::Expected { requests: *requests, usd: requests.usd() });
        } else {
            let name = self.out.paint.strong("requests");
            self.out.line(&format!("{name} {}", words::requests(requests)));
        }
    }

    /// The requests that were made in all.
    pub fn requests(&mut self, requests: &Requests) {
        if self.is_json() {
            self.object(&Answer::Requests { requests: *requests, usd: requests.usd() });
        } else {
            self.say(&format!("requests: {}", words::requests(requests)));
        }
    }

    /// What a project needs around it, and whether it holds.
    pub fn conditions(&mut self, all: &[Condition]) {
        let count = |holds| all.iter().filter(|condition| condition.holds == holds).count();
        let (failing, untried) = (count(Holds::No), count(Holds::Untried));
        if self.is_json() {
            for condition in all {
                self.object(&Answer::condition(condition));
            }
            self.object(&Answer::Examined { conditions: all.len(), failing, untried });
            return;
        }
        for line in words::conditions(all, self.out.paint) {
            self.out.line(&line);
        }
        self.say(&match failing {
            0 => {
                format!("{} of {} hold; nothing stands in the way", all.len() - untried, all.len())
            }
            _ => format!("{} of {} do not hold", failing, numbered(all.len(), "condition")),
        });
    }

    /// A bucket or a table, and what was done about it.
    pub fn provisioned(&mut self, kind: &'static str, name: &str, state: &'static str, said: &str) {
        if self.is_json() {
            self.object(&Answer::Provisioned { kind, name, state, said });
            return;
        }
        let painted = match state {
            "differs" => self.out.paint.bad(&format!("{state:<9}")),
            "there" => format!("{state:<9}"),
            _ => self.out.paint.good(&format!("{state:<9}")),
        };
        self.out.line(format!("{painted} {kind} `{name}` {said}").trim_end());
    }

    /// What a policy does not plainly allow.
    pub fn lacking(&mut self, finding: &Finding) {
        if self.is_json() {
            self.object(&Answer::permission(finding));
            return;
        }
        let kind = format!("{:<11}", answer::lack_word(&finding.kind));
        let painted = match finding.kind {
            Lack::Conditional => self.out.paint.warn(&kind),
            _ => self.out.paint.bad(&kind),
        };
        let by = match &finding.kind {
            Lack::Denied(Some(sid)) => format!(" (by `{sid}`)"),
            _ => String::new(),
        };
        let Finding { action, resource, sid, .. } = finding;
        self.out.line(&format!("{painted} {action} on {resource}, for {sid}{by}"));
    }

    /// What is published, and which target publishes it.
    pub fn traced(&mut self, trace: &Trace) {
        if self.is_json() {
            self.object(&Answer::Trace(trace));
        } else {
            for line in words::traced(trace, self.out.paint) {
                self.out.line(&line);
            }
        }
    }

    /// Where a target comes from.
    pub fn origin(&mut self, origin: &Origin) {
        if self.is_json() {
            self.object(&Answer::Origin(origin));
        } else {
            for line in words::origin(origin, self.out.paint) {
                self.out.line(&line);
            }
        }
    }

    /// A difference between a destination and what should be there.
    pub fn drift(&mut self, drift: &Drift) {
        if self.is_json() {
            self.object(&Answer::drift(drift));
            return;
        }
        let word = answer::drift_word(&drift.kind);
        let padded = self.out.paint.warn(&format!("{word:<8}"));
        let key = words::printable(&drift.key);
        self.out.line(format!("{padded} {} {key}", drift.destination).trim_end());
        if let crate::publish::DriftKind::Changed { published, found } = &drift.kind {
            let [published, found] = [published, found].map(|text| words::printable(text));
            self.out.line(&format!("         was published as {published}"));
            self.out.line(&format!("         and is           {found}"));
        }
    }

    /// What `verify --repair` put back.
    pub fn repaired(&mut self, destination: &Destination, key: &str) {
        let name = destination.to_string();
        if self.is_json() {
            self.object(&Answer::Repaired { destination: name, key });
        } else {
            self.out.line(&format!("put back {name} {}", words::printable(key)));
        }
    }

    /// What `verify --repair` could not put back.
    pub fn lost(&mut self, lost: &Lost) {
        let Lost { destination, key, message } = lost;
        if self.is_json() {
            let destination = destination.to_string();
            self.object(&Answer::Lost { destination, key, message });
        } else {
            let padded = self.out.paint.warn("lost    ");
            self.out.line(&format!("{padded} {destination} {}", words::printable(key)));
            self.out.line(&format!("         {message}"));
        }
    }

    /// Something that `prune` removes.
    pub fn orphan(&mut self, destination: &Destination, kind: &'static str, key: &str, of: &str) {
        let name = destination.to_string();
        if self.is_json() {
            self.object(&Answer::Orphan { destination: name, kind, key, publish: of });
        } else {
            self.out.line(&format!("{kind:<6} {name} {}", words::printable(key)));
        }
    }

    /// A publish that `rollback` knows of.
    pub fn past(&mut self, stamp: &Stamp, current: bool) {
        let Stamp { id, at, by, changed } = stamp;
        if self.is_json() {
            self.object(&Answer::Past { id, at, by, changed: *changed, current });
            return;
        }
        let now = if current { ", and stands now" } else { "" };
        let changed = numbered(*changed, "key");
        // The rest tells projects of one machine apart, which nobody reads.
        let by = by.split_once(" (").map_or(by.as_str(), |(machine, _)| machine);
        self.out.line(&format!("{id}  {at}  by {by}: changed {changed}{now}"));
    }

    /// An object or row that is held as it was, or is held no longer.
    pub fn rolled_back(&mut self, destination: &Destination, key: &str, what: &'static str) {
        let name = destination.to_string();
        if self.is_json() {
            self.object(&Answer::RolledBack { destination: name, key, what });
        } else {
            self.out.line(&format!("{what} {name} {}", words::printable(key)));
        }
    }

    /// The end of `rollback`.
    pub fn rollback_ended(&mut self, keys: usize, what: &str) {
        if self.is_json() {
            self.object(&Answer::RollbackEnded { keys });
        } else {
            self.say(&format!("{} {what}", numbered(keys, "key")));
        }
    }

    /// What `adopt` took for published by one publish.
    pub fn adopted(&mut self, publish: &str, adopted: &Adopted) {
        for (destination, key, why) in &adopted.skipped {
            let destination = destination.to_string();
            if self.is_json() {
                self.object(&Answer::Skipped { destination, key, why });
            } else {
                let padded = self.out.paint.warn("skipped");
                self.out.line(&format!("{padded} {destination} {}: {why}", words::printable(key)));
            }
        }
        let (objects, rows) = (adopted.objects.len(), adopted.rows.len());
        let (made, skipped) = (adopted.made.len(), adopted.skipped.len());
        if self.is_json() {
            self.object(&Answer::Adopted { publish, objects, rows, made, skipped });
            return;
        }
        let mut told = format!(
            "publish.{publish}: adopted {} and {}",
            numbered(objects, "object"),
            numbered(rows, "row")
        );
        if made > 0 {
            told = format!("{told}; {} taken for made", numbered(made, "target"));
        }
        self.say(&told);
    }

    /// The end of `prune --dry-run`.
    pub fn would_prune(&mut self, keys: usize) {
        if self.is_json() {
            self.object(&Answer::WouldPrune { keys });
        } else {
            self.say(&format!("{} would be removed", numbered(keys, "key")));
        }
    }

    /// The end of `prune`.
    pub fn pruned(&mut self, pruned: &Pruned) {
        let Pruned { objects, rows, texts, kept, .. } = pruned;
        for (destination, key, why) in kept {
            let destination = destination.to_string();
            if self.is_json() {
                self.object(&Answer::Kept { destination, key, why });
            } else {
                let padded = self.out.paint.warn("kept  ");
                self.out.line(&format!("{padded} {destination} {}: {why}", words::printable(key)));
            }
        }
        if self.is_json() {
            let (objects, rows, texts, kept) = (*objects, *rows, *texts, kept.len());
            self.object(&Answer::Pruned { objects, rows, texts, kept });
            return;
        }
        let mut told =
            format!("removed {} and {}", numbered(*objects, "object"), numbered(*rows, "row"));
        if *texts > 0 {
            told = format!("{told}, and {} of old manifests", numbered(*texts, "text"));
        }
        self.say(&told);
    }

    /// The end of `verify`; with `--repair`, so many were put back.
    pub fn verified(&mut self, found: &[Drift], repaired: Option<usize>) {
        let mended = repaired.is_some();
        let repaired = repaired.unwrap_or(0);
        if self.is_json() {
            self.object(&Answer::Verified { differences: found.len(), repaired });
        } else if found.is_empty() {
            self.say("all is there as it was published");
        } else {
            let mut told = numbered(found.len(), "difference");
            if repaired > 0 {
                told = format!("{told}, {} put back", thousands(repaired as u64));
            }
            self.say(&told);
            for hint in answer::drift_hints(found, mended) {
                self.say(hint);
            }
        }
    }

    /// One target of `check`, and in what it differs from its record when it is made alone.
    pub fn compared(&mut self, target: &str, differences: &[String]) {
        if self.is_json() {
            self.object(&Answer::Compared { target, differences });
            self.out.flush();
        } else if differences.is_empty() {
            self.say(&format!("{target}: the same alone as recorded"));
        } else {
            let message = format!("{target} does not come out alone as it is recorded");
            self.speak(&words::problem(&message, differences, self.err.paint));
        }
    }

    /// The end of `check`.
    pub fn checked(&mut self, targets: usize, differing: usize) {
        if self.is_json() {
            self.object(&Answer::Checked { targets, differing });
        } else if differing == 0 {
            self.say(&format!("{} made alone, and all as recorded", numbered(targets, "target")));
        } else {
            self.say(&format!(
                "{differing} of {} differ: either the model is not deterministic, or what it makes depends on the rest of the batch",
                numbered(targets, "target")
            ));
        }
    }

    /// Runs, the latest first.
    pub fn runs(&mut self, runs: &[Run]) {
        if self.is_json() {
            for run in runs {
                self.object(&Answer::run(run));
            }
            return;
        }
        let shown = &runs[..runs.len().min(MOST_RUNS)];
        for line in words::runs(shown, self.out.paint) {
            self.out.line(&line);
        }
        if runs.is_empty() {
            self.say("nothing was run yet");
        } else if runs.len() > shown.len() {
            let more = thousands(runs.len() - shown.len());
            self.say(&format!("… and {more} earlier; `--format json` lists them"));
        }
    }

    /// What the cache holds; `current` objects are what some target is now.
    pub fn usage(&mut self, usage: &Usage, current: usize) {
        if self.is_json() {
            self.object(&Answer::cache(usage, current));
            return;
        }
        let rows = [
            ("objects", format!("{} ({})", thousands(usage.objects), bytes(usage.bytes))),
            ("current", format!("{}: what targets are now", thousands(current))),
            ("edited", format!("{}: outputs edited by hand, put aside", thousands(usage.edited))),
            ("logs", bytes(usage.log_bytes)),
        ];
        for (name, words) in rows {
            let name = self.out.paint.strong(&format!("{name:<8}"));
            self.out.line(&format!("{name} {words}"));
        }
    }

    /// What a collection freed, under a limit in bytes (`u64::MAX` for none).
    pub fn freed(&mut self, freed: &Freed, limit: u64) {
        if self.is_json() {
            self.object(&Answer::freed(freed, limit));
            return;
        }
        let limit = match limit {
            u64::MAX => String::new(),
            limit => format!(" (the limit is {})", bytes(limit)),
        };
        let counted = |count: u64, noun: &str| {
            format!("{} {noun}{}", thousands(count), if count == 1 { "" } else { "s" })
        };
        let mut removed = counted(freed.objects, "object");
        if freed.logs > 0 {
            removed = format!("{removed} and {}", counted(freed.logs, "log"));
        }
        self.out.line(&format!(
            "freed {} in {removed}; {} are left{limit}",
            bytes(freed.bytes),
            bytes(freed.kept)
        ));
    }

    /// Everything is told.
    /// An error of the output itself, which only stderr can still tell.
    pub fn complain(&mut self, error: &Error) {
        self.err.line(error.render(self.err.paint.on).trim_end());
        self.err.flush();
    }

    /// Ends the output; an error if some of what was asked for could not be written.
    pub fn close(&mut self) -> Result<(), Error> {
        self.bars = None;
        self.out.flush();
        self.err.flush();
        match self.out.lost.take() {
            None => Ok(()),
            Some(error) => {
                Err(Error::environment("what was asked for could not be written to stdout")
                    .because(error)
                    .hint("see where it goes, and whether that disk is full"))
            }
        }
    }
}

#[cfg(test)]
mod tests;
