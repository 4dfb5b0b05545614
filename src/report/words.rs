//! What people read: events, plans, explanations and summaries as lines of text.
//!
//! Pure: lines come out, nothing is written.

use std::collections::BTreeMap;

use super::answer::{Condition, Holds, Origin, State, Trace};
use super::paint::Paint;
use super::table::{Side, aligned, aligned_cells};
use crate::costs::Requests;
use crate::error::Error;
use crate::event::{
    Ending, Event, FinishedTargets, PlannedPublish, PlannedTargets, PublishedCounts,
};
use crate::figures::{bytes, duration, numbered, thousands};
use crate::progress::{self, Progress};
use crate::publish::Outlook;
use crate::records::Run;
use crate::why::{Difference, Explanation, Upstream};

/// So many reasons, lines of a log, differences and kinds of failures are shown; the rest is counted.
const MOST: usize = 12;
/// So many errors are shown.
const MOST_ERRORS: usize = 100;

/// The reasons for a build, before it begins; none if nothing is to be done.
pub fn started(targets: &PlannedTargets, folds: &[String], paint: Paint) -> Vec<String> {
    if progress::to_do(targets) == 0 {
        return Vec::new();
    }
    let absent = |fold: &&String| counted(fold).is_none_or(|(.., verdict)| verdict != "absent");
    let told: Vec<String> = folds.iter().filter(absent).cloned().collect();
    let mut lines = reasons(&told[..told.len().min(MOST)], paint);
    if told.len() > MOST {
        lines.push(paint.faint(&format!(
            "… and {} more; `jheem plan` lists them",
            numbered(told.len() - MOST, "reason")
        )));
    }
    lines
}

/// The folds of a plan, such as `477 plots stale: city=C.12580: prerun changed`, with their
/// numbers below each other.
pub fn reasons(folds: &[String], paint: Paint) -> Vec<String> {
    let told: Vec<(String, String, &str)> = folds
        .iter()
        .map(|fold| counted(fold).unwrap_or_else(|| (String::new(), fold.as_str(), "")))
        .map(|(count, rest, verdict)| (count, printable(rest), verdict))
        .collect();
    let widest = told.iter().map(|(count, ..)| count.len()).max().unwrap_or(0);
    told.iter()
        .map(|(count, rest, verdict)| {
            let (head, tail) = rest.split_at(rest.find(':').unwrap_or(rest.len()));
            format!("{count:>widest$} {}{tail}", paint.verdict(verdict, head))
        })
        .collect()
}

/// The number of a fold, the rest of it, and its verdict.
fn counted(reason: &str) -> Option<(String, &str, &str)> {
    let (count, rest) = reason.split_once(' ')?;
    let verdict = rest.split_once(':')?.0.rsplit(' ').next()?;
    Some((thousands(count.parse::<u64>().ok()?), rest, verdict))
}

/// A target that failed, with the lines of the log that belong to it.
pub fn failed(
    target: &str,
    ending: &Ending,
    message: &str,
    lines: &[String],
    paint: Paint,
) -> Vec<String> {
    let word = if *ending == Ending::Withdrawn { "withdrawn:" } else { "failed:" };
    let mut told = vec![format!("{} {}", paint.bad(word), paint.strong(target))];
    told.push(format!("  {}", printable(message)));
    told.extend(quoted(lines, paint));
    told
}

/// Something of a whole run that fails the build.
pub fn problem(message: &str, lines: &[String], paint: Paint) -> Vec<String> {
    let mut told = vec![format!("{} {}", paint.bad("error:"), printable(message))];
    told.extend(quoted(lines, paint));
    told
}

/// The last lines of a log, marked as what they are.
fn quoted(lines: &[String], paint: Paint) -> Vec<String> {
    let left = lines.len().saturating_sub(MOST);
    let mut told = Vec::new();
    if left > 0 {
        told.push(paint.faint(&format!("  │ … {} before", numbered(left, "line"))));
    }
    for line in &lines[left..] {
        told.push(format!("  {} {}", paint.faint("│"), printable(line)));
    }
    told
}

/// Without control characters: somebody else's colours and bars, and whatever else a run or a
/// destination could have a terminal do.
pub fn printable(line: &str) -> String {
    anstream::adapter::strip_str(line)
        .to_string()
        .chars()
        .map(|c| if c.is_control() && c != '\t' { ' ' } else { c })
        .collect::<String>()
        .trim_end()
        .to_owned()
}

/// A line for the other events of a build; none for those that only move the bars.
pub fn passing(event: &Event, paint: Paint) -> Option<String> {
    Some(match event {
        Event::Note { message } => format!("{} {}", paint.note("note:"), printable(message)),
        Event::Retry { rule, targets, reason } => format!(
            "{} {rule}: {} again, in smaller batches: {}",
            paint.warn("retry:"),
            numbered(*targets, "target"),
            printable(reason)
        ),
        // How far it is goes on the screen alone.
        Event::Pulling { image, total: 0, .. } => {
            format!("{} {}", paint.strong("pulling:"), printable(image))
        }
        Event::Pulled { image, bytes: size, seconds, .. } => {
            let size = if *size == 0 { String::new() } else { format!("{}, ", bytes(*size)) };
            let took = duration(*seconds);
            format!("{} {} ({size}{took})", paint.strong("pulled:"), printable(image))
        }
        Event::Fetched { source, bytes: Some(count), seconds } => format!(
            "{} {}, {} in {}",
            paint.strong("fetched:"),
            printable(source),
            bytes(*count),
            duration(*seconds)
        ),
        Event::Stopping => {
            format!(
                "{} what is made is kept; Ctrl-C again ends it at once",
                paint.warn("stopping:")
            )
        }
        Event::RunEnded { rule, exit, seconds, made, run } => {
            let well = exit == progress::WELL;
            let exit = if well { String::new() } else { format!(", {}", printable(exit)) };
            format!(
                "{} {rule}: {} made in {}{exit} ({run})",
                paint.strong("run:"),
                thousands(*made),
                duration(*seconds)
            )
        }
        _ => return None,
    })
}

/// How long a build took, and how much of that it took to stop, if it was asked to.
#[derive(Clone, Copy)]
pub struct Took {
    pub seconds: f64,
    pub stopping: Option<f64>,
}

/// The end of a build, to be read at a glance.
pub fn finished(
    ok: bool,
    targets: &FinishedTargets,
    published: &PublishedCounts,
    runs: usize,
    took: Took,
    progress: &Progress,
    paint: Paint,
) -> Vec<String> {
    let nothing = targets.built + targets.restored + targets.failed + targets.skipped == 0
        && *published == PublishedCounts::default();
    let stopping = took.stopping.map(duration);
    let took = duration(took.seconds);
    if ok && nothing && runs == 0 {
        return vec![at_rest(targets, &took, progress, paint)];
    }
    let mut rows: Vec<(&str, String)> = Vec::new();
    if targets.built > 0 {
        let mut words = if progress.built.total() == targets.built {
            progress.built.words()
        } else {
            thousands(targets.built)
        };
        if progress.same > 0 {
            words += &format!(", {} with the content of before", thousands(progress.same));
        }
        rows.push(("built", words));
    }
    if targets.restored > 0 {
        rows.push(("restored", format!("{} from the cache", thousands(targets.restored))));
    }
    if targets.fresh > 0 {
        rows.push(("fresh", thousands(targets.fresh)));
    }
    if targets.absent > 0 {
        rows.push(("absent", thousands(targets.absent)));
    }
    if targets.failed > 0 {
        rows.push(("failed", thousands(targets.failed)));
    }
    if targets.skipped > 0 {
        rows.push(("skipped", thousands(targets.skipped)));
    }
    if *published != PublishedCounts::default() {
        let objects = (published.objects > 0).then(|| numbered(published.objects, "object"));
        let rows_written = (published.rows > 0).then(|| numbered(published.rows, "row"));
        let both: Vec<String> = objects.into_iter().chain(rows_written).collect();
        rows.push(("published", format!("{} ({})", both.join(", "), bytes(published.bytes))));
    }
    if runs > 0 {
        let log = match progress.bad_run() {
            // What was only stopped did not go wrong.
            Some(run) if !ok && (stopping.is_none() || targets.failed > 0) => {
                format!("`jheem log {run}` shows what went wrong")
            }
            _ => "`jheem log last` shows the last one's log".to_owned(),
        };
        rows.push(("runs", format!("{}; {log}", thousands(runs))));
    }
    let widest = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let mut lines: Vec<String> = rows
        .iter()
        .map(|(name, words)| {
            format!("  {} {words}", paint.verdict(name, &format!("{name:>widest$}")))
        })
        .collect();
    lines.extend(folded("failed", &progress.failures, 2));
    if stopping.is_none() {
        lines.extend(folded("skipped", &progress.skips, 1));
        let begun = progress.skips.values().sum::<usize>();
        lines.extend(not_begun(targets.skipped.saturating_sub(begun)));
    }
    lines.push(if let Some(stopping) = stopping {
        format!("{} {stopping} after it was asked to ({took} in all)", paint.warn("stopped"))
    } else if ok {
        format!("{} in {took}", paint.good("done"))
    } else {
        format!("{} {} ({took})", paint.bad("failed:"), what_failed(targets, progress))
    });
    lines
}

/// `everything is fresh: 108 plots, 12 steps (0.04 s)`
fn at_rest(targets: &FinishedTargets, took: &str, progress: &Progress, paint: Paint) -> String {
    if targets.total() == 0 {
        return format!("nothing is selected ({took})");
    }
    if targets.fresh == 0 {
        return format!("nothing to do: {} absent ({took})", thousands(targets.absent));
    }
    let words = if progress.selected.total() == targets.fresh {
        progress.selected.words()
    } else {
        numbered(targets.fresh, "target")
    };
    let absent = match targets.absent {
        0 => String::new(),
        absent => format!(", {} absent", thousands(absent)),
    };
    format!("{}: {words}{absent} ({took})", paint.good("everything is fresh"))
}

/// The messages that many targets failed with, most frequent first.
fn folded(verb: &str, messages: &BTreeMap<String, usize>, fewest: usize) -> Vec<String> {
    let mut alike: Vec<(&String, &usize)> =
        messages.iter().filter(|(_, count)| **count >= fewest).collect();
    alike.sort_by_key(|(message, count)| (std::cmp::Reverse(**count), *message));
    let left = alike.len().saturating_sub(MOST);
    let mut lines: Vec<String> = alike
        .into_iter()
        .take(MOST)
        .map(|(message, count)| {
            format!("  {} {verb} so: {}", thousands(*count), printable(message))
        })
        .collect();
    if left > 0 {
        lines.push(format!("  … and for {} more", numbered(left, "reason")));
    }
    lines
}

/// Says why the rest was not even tried.
fn not_begun(count: usize) -> Option<String> {
    (count > 0).then(|| {
        format!(
            "  {} skipped so: not begun, since something failed before; `--keep-going` goes on",
            thousands(count)
        )
    })
}

/// `2 plots of 117 targets, 10 skipped`
fn what_failed(targets: &FinishedTargets, progress: &Progress) -> String {
    let mut parts = Vec::new();
    if targets.failed > 0 {
        let words = if progress.failed.total() == targets.failed {
            progress.failed.words()
        } else {
            thousands(targets.failed)
        };
        parts.push(format!("{words} of {}", numbered(targets.total(), "target")));
    }
    match (targets.skipped, targets.failed) {
        (0, _) => {}
        (skipped, 0) => {
            let all = numbered(targets.total(), "target");
            parts.push(format!("{} of {all} skipped", thousands(skipped)));
        }
        (skipped, _) => parts.push(format!("{} skipped", thousands(skipped))),
    }
    if progress.problems > 0 {
        parts.push(numbered(progress.problems, "problem"));
    }
    parts.join(", ")
}

/// The totals of a plan.
pub fn planned(
    targets: &PlannedTargets,
    publish: &PlannedPublish,
    runs: usize,
    paint: Paint,
) -> Vec<String> {
    let PlannedTargets { fresh, restorable, stale, pending, blocked, absent } = *targets;
    let counts = [
        ("stale", stale),
        ("pending", pending),
        ("blocked", blocked),
        ("restorable", restorable),
        ("fresh", fresh),
        ("absent", absent),
    ];
    let mut rows = vec![("targets", counts_in_words(&counts, paint))];
    let PlannedPublish { create, update, unchanged, undecided, orphaned, refused } = *publish;
    let counts = [
        ("refused", refused),
        ("to create", create),
        ("to update", update),
        ("undecided", undecided),
        ("unchanged", unchanged),
        ("orphaned", orphaned),
    ];
    if counts.iter().any(|(_, count)| *count > 0) {
        rows.push(("publish", counts_in_words(&counts, paint)));
    }
    let runs = match (runs, pending) {
        (0, 0) => "none".to_owned(),
        (runs, 0) => thousands(runs),
        (runs, _) => format!("at least {}", thousands(runs.max(1))),
    };
    rows.push(("runs", runs));
    rows.into_iter()
        .map(|(name, words)| format!("{} {words}", paint.strong(&format!("{name:<8}"))))
        .collect()
}

/// A table of conditions, each followed by what to do.
pub fn conditions(all: &[Condition], paint: Paint) -> Vec<String> {
    let rows: Vec<Vec<String>> = all
        .iter()
        .map(|c| [c.holds.word(), c.what, &c.about, &c.said].map(printable).to_vec())
        .collect();
    let sides = [Side::Left; 4];
    let mut lines = Vec::new();
    for (condition, row) in all.iter().zip(aligned_cells(&sides, &rows)) {
        let holds = match condition.holds {
            Holds::Yes => paint.good(&row[0]),
            Holds::No => paint.bad(&row[0]),
            Holds::Untried => paint.faint(&row[0]),
        };
        lines.push(format!("{holds}  {}", row[1..].join("  ")).trim_end().to_owned());
        let hints = condition.hints.iter().map(|hint| printable(&format!("         hint: {hint}")));
        lines.extend(hints);
    }
    lines
}

/// Something published: `published  blake3:…, 27 B: what was last built here`
pub fn traced(trace: &Trace, paint: Paint) -> Vec<String> {
    let of_rows = ["sqlite:", "dynamodb:"].iter().any(|kind| trace.destination.starts_with(kind));
    let slash = if of_rows { " " } else { "/" };
    let name = format!("{}{slash}{}", trace.destination, trace.key);
    let size = trace.size.map(|size| format!(", {}", bytes(size))).unwrap_or_default();
    let what = match &trace.bytes {
        Some(digest) => format!("{digest}{size}: {}", trace.state.words()),
        None => trace.state.words().to_owned(),
    };
    let what = match trace.state {
        State::Differs => paint.bad(&what),
        State::AsBuilt | State::SameContent => what,
        _ => paint.warn(&what),
    };
    vec![
        paint.strong(&printable(&name)),
        format!("  target     {}", trace.target),
        format!("  publish    publish.{}", trace.publish),
        format!("  published  {what}"),
    ]
}

/// Where a target comes from: run, runner, log, and what it read.
pub fn origin(origin: &Origin, paint: Paint) -> Vec<String> {
    let mut lines = vec![paint.strong(&origin.target)];
    let exit = origin.exit.as_ref().map_or(", not listed here", |_| "");
    let ended = origin.exit.as_ref().map(|exit| format!(", {exit}")).unwrap_or_default();
    lines.push(format!("  run        {}, {}{ended}{exit}", origin.run, origin.at));
    let parts = [
        ("problem", &origin.problem),
        ("runner", &origin.runner),
        ("command", &origin.command),
        ("log", &origin.log),
    ];
    let told = parts
        .iter()
        .filter_map(|(name, value)| Some(printable(&format!("  {name:<9}  {}", value.as_ref()?))));
    lines.extend(told);
    let reads = origin.reads.iter().take(MOST);
    lines.extend(
        reads.map(|read| printable(&format!("  reads      {} {}", read.what, read.digest))),
    );
    if origin.reads.len() > MOST {
        let more = numbered(origin.reads.len() - MOST, "more file");
        lines
            .push(paint.faint(&format!("  reads      … and {more}; `--format json` has them all")));
    }
    lines
}

/// What a publish would do at one destination, in a line.
pub fn outlook(publish: &str, at: &Outlook, undecided: usize, paint: Paint) -> String {
    let counts = [
        ("refused", at.refused),
        ("to create", at.create),
        ("to update", at.update),
        ("undecided", undecided),
        ("unchanged", at.left),
        ("orphaned", at.orphaned),
    ];
    let mut words = counts_in_words(&counts, paint);
    if at.create + at.update > 0 {
        words = format!("{words}; {}", bytes(at.bytes));
    }
    if !at.requests.is_none() {
        words = format!("{words}; {}", requests(&at.requests));
    }
    format!("  publish.{publish} to {}: {words}", at.destination)
}

/// `12 PUT, 3 row write units: 0.00006 USD`
pub fn requests(requests: &Requests) -> String {
    let kinds = requests.kinds().into_iter().filter(|(_, count)| *count > 0);
    let kinds: Vec<String> = kinds
        .map(|(name, count)| match name.contains(' ') && count != 1 {
            true => format!("{} {name}s", thousands(count)),
            false => format!("{} {name}", thousands(count)),
        })
        .collect();
    format!("{}: {} USD", kinds.join(", "), usd(requests.usd()))
}

/// An amount with two digits that tell something, or whole cents.
fn usd(amount: f64) -> String {
    match amount {
        0.0 => "0".to_owned(),
        amount if amount >= 0.1 => format!("{amount:.2}"),
        amount => {
            let digits = (1..=9).find(|digits| amount * 10f64.powi(*digits) >= 1.0).unwrap_or(9);
            format!("{amount:.*}", usize::try_from(digits + 1).unwrap_or(9))
        }
    }
}

/// `477 stale, 12 absent`
fn counts_in_words(counts: &[(&str, usize)], paint: Paint) -> String {
    let told: Vec<String> = counts
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(word, count)| paint.verdict(word, &format!("{} {word}", thousands(*count))))
        .collect();
    if told.is_empty() { "none".into() } else { told.join(", ") }
}

/// What `why` says of one target.
pub fn explained(
    target: &str,
    option: Option<&str>,
    told: &Explanation,
    paint: Paint,
) -> Vec<String> {
    let shorten = Shortened::of(told);
    let with = option.map(|option| format!(" (with {option})")).unwrap_or_default();
    let mut lines = vec![format!("{}{with}", paint.strong(target))];
    let verdict = paint.verdict(told.verdict, told.verdict);
    let shown = |text: &str| printable(&shorten.digests(text));
    lines.push(format!("  {verdict}: {}", shown(&told.reason)));
    lines.extend(compared(&told.differences, &shorten, paint));
    for Upstream { target, verdict, reason, differences } in &told.waits_for {
        let verdict = paint.verdict(verdict, verdict);
        let target = paint.strong(&printable(target));
        lines.push(format!("  {target} is {verdict}: {}", shown(reason)));
        lines.extend(compared(differences, &shorten, paint));
    }
    let mut facts: Vec<(&str, String)> =
        told.notes.iter().map(|note| ("note", shown(note))).collect();
    if let Some(fingerprint) = told.fingerprint {
        facts.push(("fingerprint", shorten.digests(&fingerprint.to_string())));
    }
    if let Some((run, at)) = &told.last {
        let name = if told.verdict == "fresh" { "made" } else { "last attempt" };
        facts.push((name, format!("run {run}, {}", moment(*at))));
    }
    if let (Some(cause), "fresh") = (&told.cause, told.verdict) {
        facts.push(("made because", shown(cause)));
    }
    let widest = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, words) in facts {
        lines.push(format!("  {}  {words}", paint.faint(&format!("{name:<widest$}"))));
    }
    lines
}

/// What differs, each part with both its values.
fn compared(differences: &[Difference], shorten: &Shortened, paint: Paint) -> Vec<String> {
    let shown = |text: &str| printable(&shorten.digests(text));
    let mut lines = Vec::new();
    for Difference { what, before, now } in differences.iter().take(MOST) {
        lines.push(format!("    {}", shown(what)));
        for (word, value) in [("was", before), ("now", now)] {
            let value = match value {
                Some(value) => shown(value),
                None => paint.faint("nothing"),
            };
            lines.push(format!("      {} {value}", paint.faint(word)));
        }
    }
    if differences.len() > MOST {
        lines.push(paint.faint(&format!(
            "    … and {} more; `--format json` lists them all",
            numbered(differences.len() - MOST, "difference")
        )));
    }
    lines
}

/// So many digits of each digest that no two of one explanation look alike.
struct Shortened {
    digits: usize,
}

/// Fewer digits than this say nothing to a person who compares them with others.
const FEWEST_DIGITS: usize = 8;
const DIGEST_DIGITS: usize = 64;

impl Shortened {
    fn of(told: &Explanation) -> Shortened {
        let mut digests: Vec<&str> = Vec::new();
        let below = told.waits_for.iter().flat_map(|upstream| &upstream.differences);
        let values = told.differences.iter().chain(below).flat_map(|d| [&d.before, &d.now]);
        for text in values.flatten() {
            each_digest(text, |_, digits| digests.push(digits));
        }
        digests.sort_unstable();
        digests.dedup();
        let alike = digests
            .windows(2)
            .map(|two| two[0].bytes().zip(two[1].bytes()).take_while(|(a, b)| a == b).count())
            .max()
            .unwrap_or(0);
        Shortened { digits: (alike + 1).clamp(FEWEST_DIGITS, DIGEST_DIGITS) }
    }

    /// The text with each digest cut to these digits.
    fn digests(&self, text: &str) -> String {
        let mut short = String::with_capacity(text.len());
        let mut copied = 0;
        each_digest(text, |at, _| {
            short.push_str(&text[copied..at + self.digits]);
            if self.digits < DIGEST_DIGITS {
                short.push('…');
            }
            copied = at + DIGEST_DIGITS;
        });
        short + &text[copied..]
    }
}

/// Calls back with the place and the digits of each `blake3:…` and `sha256:…` of a text.
fn each_digest<'a>(text: &'a str, mut found: impl FnMut(usize, &'a str)) {
    let mut from = 0;
    while let Some(colon) = text[from..].find(':').map(|at| from + at) {
        from = colon + 1;
        let tagged = ["blake3", "sha256"].iter().any(|tag| text[..colon].ends_with(tag));
        let digits =
            text[from..].bytes().take_while(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')).count();
        if tagged && digits == DIGEST_DIGITS {
            found(from, &text[from..from + DIGEST_DIGITS]);
            from += DIGEST_DIGITS;
        }
    }
}

/// `2026-11-23 21:27:36 UTC`
fn moment(seconds: u64) -> String {
    crate::clock::rfc3339(seconds).replace('T', " ").replace('Z', " UTC")
}

/// Rule, cells, those declared absent, and those to make, with a total.
pub fn counts(rows: &[(String, usize, usize)], paint: Paint) -> Vec<String> {
    let row = |name: &str, cells: usize, absent: usize| {
        vec![name.to_owned(), thousands(cells), thousands(absent), thousands(cells - absent)]
    };
    let mut table = vec![["rule", "cells", "absent", "to make"].map(String::from).to_vec()];
    table.extend(rows.iter().map(|(name, cells, absent)| row(name, *cells, *absent)));
    if rows.len() > 1 {
        let sum = |of: fn(&(String, usize, usize)) -> usize| rows.iter().map(of).sum();
        table.push(row("total", sum(|r| r.1), sum(|r| r.2)));
    }
    let last = table.len() - 1;
    let lines = aligned(&[Side::Left, Side::Right, Side::Right, Side::Right], &table);
    lines
        .into_iter()
        .enumerate()
        .map(|(at, line)| match at {
            0 => paint.faint(&line),
            at if at == last && rows.len() > 1 => paint.strong(&line),
            _ => line,
        })
        .collect()
}

/// Runs, one a line, as they were handed over: the latest first.
pub fn runs(runs: &[Run], paint: Paint) -> Vec<String> {
    if runs.is_empty() {
        return Vec::new();
    }
    let head = ["run", "started", "rule", "targets", "took", "exit"];
    let mut table = vec![head.map(String::from).to_vec()];
    table.extend(runs.iter().map(|run| {
        vec![
            run.id.clone(),
            moment(run.started),
            run.rule.clone(),
            thousands(run.targets),
            duration(run.milliseconds as f64 / 1000.0),
            printable(&run.exit),
        ]
    }));
    let sides = [Side::Left, Side::Left, Side::Left, Side::Right, Side::Right, Side::Left];
    let mut lines = Vec::new();
    for (at, cells) in aligned_cells(&sides, &table).into_iter().enumerate() {
        let line = cells.join("  ").trim_end().to_owned();
        lines.push(match at {
            0 => paint.faint(&line),
            at if runs[at - 1].exit == progress::WELL => line,
            _ => format!("{}  {}", cells[..5].join("  "), paint.bad(cells[5].trim_end())),
        });
    }
    lines
}

/// An error whose words can be printed: its causes may come from a daemon or out of a file.
fn printed(error: &Error) -> Error {
    let lines = |text: &String| text.lines().map(printable).collect::<Vec<_>>().join("\n");
    Error {
        message: lines(&error.message),
        causes: error.causes.iter().map(lines).collect(),
        hints: error.hints.iter().map(lines).collect(),
        ..error.clone()
    }
}

/// Errors, a blank line between them, and how many there are.
pub fn errors(errors: &[Error], paint: Paint) -> String {
    let shown: Vec<String> =
        errors.iter().take(MOST_ERRORS).map(|error| printed(error).render(paint.on)).collect();
    let mut text = shown.join("\n\n");
    if errors.len() > 1 {
        let file = errors.iter().find_map(|e| e.places.first()).map(|p| p.source.name.as_str());
        let place = file.map(|file| format!(" in {file}")).unwrap_or_default();
        text.push_str("\n\n");
        text.push_str(&paint.strong(&format!("{}{place}", numbered(errors.len(), "mistake"))));
        if errors.len() > MOST_ERRORS {
            text.push_str(&format!("; the first {MOST_ERRORS} are shown"));
        }
    }
    text
}
