//! What commands answer, as data: one object a line of `--format json`, beside the events of a build.

use serde::Serialize;

use crate::error::{Error, Kind};
use crate::objects::{Freed, Usage};
use crate::publish::{Drift, DriftKind};
use crate::records::Run;
use crate::why::{Difference, Explanation, Upstream};

/// One answer. Counts are numbers of targets unless their names say otherwise; sizes are bytes.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Answer<'a> {
    /// `plan`: targets of one rule that share a verdict and its reason.
    Reason {
        rule: &'a str,
        verdict: &'a str,
        targets: usize,
        /// The axes by which they are narrower than their rule: `city=C.12580`.
        narrowed: &'a [String],
        reason: &'a str,
    },
    /// `plan --each`.
    Verdict { target: &'a str, verdict: &'a str },
    /// `why`: one group of outputs of a target.
    Why {
        target: &'a str,
        /// The option whose outputs it is about; none for those that are always made.
        option: Option<&'a str>,
        verdict: &'a str,
        reason: &'a str,
        differences: &'a [Difference],
        /// What a pending target waits for, the nearest first; the last is the root of it.
        waits_for: &'a [Upstream],
        notes: &'a [String],
        fingerprint: Option<String>,
        last: Option<Last<'a>>,
        /// Why it was made when it was last made, if that is known.
        cause: Option<&'a str>,
    },
    /// `list --count`.
    Count { rule: &'a str, cells: usize, absent: usize, to_make: usize },
    /// `list` and `accept`.
    Listed { target: &'a str },
    /// `list --paths`, `plan --write-batches` and `init`.
    Path { path: &'a str },
    /// `verify`: a difference between a destination and what should be there.
    Drift {
        destination: String,
        key: &'a str,
        kind: &'static str,
        published: Option<&'a str>,
        found: Option<&'a str>,
    },
    /// `verify --repair`: an object or row that was put back as it was published.
    Repaired { destination: String, key: &'a str },
    /// `verify --repair`: one that could not be put back, and what to do.
    Lost { destination: String, key: &'a str, message: &'a str },
    /// The last line of `verify`; of the differences, so many were put back.
    Verified { differences: usize, repaired: usize },
    /// `prune`: an `object` or `row` that no target publishes any more, and the publish that it is of.
    Orphan { destination: String, kind: &'static str, key: &'a str, publish: &'a str },
    /// `prune`: one that was not removed, and why.
    Kept { destination: String, key: &'a str, why: &'a str },
    /// The last line of `prune --dry-run`.
    WouldPrune { keys: usize },
    /// The last line of `prune`; `texts` were left over by manifests that were replaced.
    Pruned { objects: usize, rows: usize, texts: usize, kept: usize },
    /// `adopt`: something that was not adopted, and why.
    Skipped { destination: String, key: &'a str, why: &'a str },
    /// `adopt`: what was taken for published by one publish; `made` targets were also taken for made.
    Adopted { publish: &'a str, objects: usize, rows: usize, made: usize, skipped: usize },
    /// `check`: a target made once more, alone.
    Compared { target: &'a str, differences: &'a [String] },
    /// The last line of `check`.
    Checked { targets: usize, differing: usize },
    /// `log`.
    Run {
        run: &'a str,
        rule: &'a str,
        command: &'a str,
        targets: u64,
        started: String,
        seconds: f64,
        exit: &'a str,
    },
    /// `log RUN` and `update`: a line as it stands.
    Line { text: &'a str },
    /// `cache stat`; `current` objects are what some target is now.
    Cache { objects: u64, bytes: u64, current: usize, edited: u64, log_bytes: u64 },
    /// `cache gc`; `kept` bytes are left, under a limit if there is one.
    Freed { objects: u64, logs: u64, bytes: u64, kept: u64, limit: Option<u64> },
    /// Any command that could not do its work.
    Error {
        kind: &'static str,
        message: &'a str,
        file: Option<&'a str>,
        /// Counted from one.
        line: Option<usize>,
        /// In characters, counted from one.
        column: Option<usize>,
        causes: &'a [String],
        hints: &'a [String],
    },
}

/// Which run left the record that a target was compared with, and when.
#[derive(Debug, Serialize)]
pub struct Last<'a> {
    pub run: &'a str,
    pub at: String,
}

impl<'a> Answer<'a> {
    pub fn why(target: &'a str, option: Option<&'a str>, told: &'a Explanation) -> Answer<'a> {
        Answer::Why {
            target,
            option,
            verdict: told.verdict,
            reason: &told.reason,
            differences: &told.differences,
            waits_for: &told.waits_for,
            notes: &told.notes,
            fingerprint: told.fingerprint.map(|digest| digest.to_string()),
            last: told.last.as_ref().map(|(run, at)| Last { run, at: crate::clock::rfc3339(*at) }),
            cause: told.cause.as_deref(),
        }
    }

    pub fn drift(drift: &'a Drift) -> Answer<'a> {
        let (published, found) = match &drift.kind {
            DriftKind::Changed { published, found } => (Some(published), Some(found)),
            _ => (None, None),
        };
        Answer::Drift {
            destination: drift.destination.to_string(),
            key: &drift.key,
            kind: drift_word(&drift.kind),
            published: published.map(String::as_str),
            found: found.map(String::as_str),
        }
    }

    pub fn run(run: &'a Run) -> Answer<'a> {
        Answer::Run {
            run: &run.id,
            rule: &run.rule,
            command: &run.command,
            targets: run.targets,
            started: crate::clock::rfc3339(run.started),
            seconds: run.milliseconds as f64 / 1000.0,
            exit: &run.exit,
        }
    }

    pub fn cache(usage: &Usage, current: usize) -> Answer<'a> {
        let Usage { objects, bytes, edited, log_bytes } = *usage;
        Answer::Cache { objects, bytes, current, edited, log_bytes }
    }

    pub fn freed(freed: &Freed, limit: u64) -> Answer<'a> {
        let Freed { objects, logs, bytes, kept } = *freed;
        Answer::Freed { objects, logs, bytes, kept, limit: (limit != u64::MAX).then_some(limit) }
    }

    pub fn error(error: &'a Error) -> Answer<'a> {
        let place = error.line_and_column();
        Answer::Error {
            kind: match error.kind {
                Kind::User => "user",
                Kind::Environment => "environment",
                Kind::Locked => "locked",
                Kind::Unsupported => "unsupported",
                Kind::Bug => "bug",
            },
            message: &error.message,
            file: error.places.first().map(|place| place.source.name.as_str()),
            line: place.map(|(line, _)| line),
            column: place.map(|(_, column)| column),
            causes: &error.causes,
            hints: &error.hints,
        }
    }
}

/// What to do about what was changed at a destination, where nobody but the user knows which is right.
pub const CHANGED_HINT: &str = "hint: to undo a change, delete the object or row there: the next build puts back what is missing";

/// The word for a difference between a destination and what should be there.
pub fn drift_word(kind: &DriftKind) -> &'static str {
    match kind {
        DriftKind::Missing => "missing",
        DriftKind::Changed { .. } => "changed",
        DriftKind::Foreign => "foreign",
        DriftKind::Orphaned => "orphaned",
        DriftKind::Unpublished => "unpublished",
    }
}
