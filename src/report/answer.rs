//! What commands answer, as data: one object a line of `--format json`, beside the events of a build.

use serde::Serialize;

use crate::costs::Requests;
use crate::error::{Error, Kind};
use crate::objects::{Freed, Usage};
use crate::policy::{Finding, Lack};
use crate::publish::{Drift, DriftKind, Outlook};
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
    /// `plan`: what a publish would do at one destination.
    Destination {
        publish: &'a str,
        destination: String,
        create: usize,
        update: usize,
        unchanged: usize,
        undecided: usize,
        orphaned: usize,
        refused: usize,
        bytes: u64,
        requests: Requests,
        usd: f64,
    },
    /// `plan`: all requests that publishing would make, those to look among them, and what they cost.
    Expected { requests: Requests, usd: f64 },
    /// `publish`: all requests that were made, and what they cost.
    Requests { requests: Requests, usd: f64 },
    /// `doctor`: one thing that the project needs, and whether it holds (`yes`, `no`, `untried`).
    Condition {
        what: &'a str,
        about: &'a str,
        holds: &'static str,
        said: &'a str,
        hints: &'a [String],
    },
    /// The last line of `doctor`.
    Examined { conditions: usize, failing: usize, untried: usize },
    /// `provision`: a bucket or a table, and what was done about it (`there`, `created`, `to-create`, `differs`).
    Provisioned { kind: &'static str, name: &'a str, state: &'static str, said: &'a str },
    /// `policy --check`: what a policy does not plainly allow (`missing`, `denied`, `conditional`).
    Permission { statement: &'a str, action: &'a str, resource: &'a str, kind: &'static str },
    /// `trace`: what is published, and which target publishes it.
    Trace(&'a Trace),
    /// `trace`: where a target comes from, by the last record of it here.
    Origin(&'a Origin),
    /// `rollback --list`: a publish that is known, the latest first.
    Past { id: &'a str, at: &'a str, by: &'a str, changed: usize, current: bool },
    /// `rollback`: what is `held` as it was, or `released`.
    RolledBack { destination: String, key: &'a str, what: &'static str },
    /// The last line of `rollback`.
    RollbackEnded { keys: usize },
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

/// Something published, and the target that publishes it.
#[derive(Clone, Debug, Serialize)]
pub struct Trace {
    pub destination: String,
    pub key: String,
    pub publish: String,
    pub target: String,
    /// The digest of the bytes that the manifest names.
    pub bytes: Option<String>,
    pub size: Option<u64>,
    pub state: State,
}

/// How what is published stands to what was last built here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    AsBuilt,
    /// Other bytes of the same content.
    SameContent,
    Differs,
    /// Other than what was last built, and held as a rollback put it back.
    Held,
    /// Other than what was last built, in an edition.
    OtherEdition,
    /// Nothing was built here, or not with success.
    NotBuilt,
    /// The manifest does not have it.
    Unpublished,
    /// The manifest does not say which bytes.
    Unknown,
}

impl State {
    pub fn words(self) -> &'static str {
        match self {
            State::AsBuilt => "what was last built here",
            State::SameContent => "other bytes than were last built here, of the same content",
            State::Held => "not what was last built here: it is held as it was rolled back to",
            State::OtherEdition => "not what was last built here: an edition stays as it is",
            State::Differs => "not what was last built here: `jheem publish` would write it over",
            State::NotBuilt => {
                "not built here: another machine published it, or its record is gone"
            }
            State::Unpublished => {
                "not in the manifest: nothing of it was published by this project"
            }
            State::Unknown => "the manifest does not say of which bytes",
        }
    }
}

/// Where a target comes from: the run that made it, and what it read.
#[derive(Clone, Debug, Serialize)]
pub struct Origin {
    pub target: String,
    pub run: String,
    pub at: String,
    /// The runner's identity: an image's digest, or a program's.
    pub runner: Option<String>,
    /// What was started and how it ended, where the run is still listed.
    pub command: Option<String>,
    pub exit: Option<String>,
    pub log: Option<String>,
    /// Why the last attempt did not make it, if it did not.
    pub problem: Option<String>,
    pub reads: Vec<OriginRead>,
}

#[derive(Clone, Debug, Serialize)]
pub struct OriginRead {
    /// As the Jheemfile calls it, with its path.
    pub what: String,
    pub digest: String,
}

/// One thing that a project needs around it.
#[derive(Clone, Debug)]
pub struct Condition {
    /// A short word, such as `daemon`.
    pub what: &'static str,
    /// Which one of them.
    pub about: String,
    pub holds: Holds,
    /// What was found.
    pub said: String,
    /// What to do.
    pub hints: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    Yes,
    No,
    /// It was not tried, for the reason that is said.
    Untried,
}

impl Holds {
    pub fn word(self) -> &'static str {
        match self {
            Holds::Yes => "yes",
            Holds::No => "no",
            Holds::Untried => "untried",
        }
    }
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

    pub fn condition(condition: &'a Condition) -> Answer<'a> {
        let Condition { what, about, holds, said, hints } = condition;
        Answer::Condition { what, about, holds: holds.word(), said, hints }
    }

    pub fn permission(finding: &'a Finding) -> Answer<'a> {
        let Finding { sid: statement, action, resource, kind } = finding;
        Answer::Permission { statement, action, resource, kind: lack_word(kind) }
    }

    pub fn destination(publish: &'a str, at: &Outlook, undecided: usize) -> Answer<'a> {
        Answer::Destination {
            publish,
            destination: at.destination.to_string(),
            create: at.create,
            update: at.update,
            unchanged: at.left,
            undecided,
            orphaned: at.orphaned,
            refused: at.refused,
            bytes: at.bytes,
            requests: at.requests,
            usd: at.requests.usd(),
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

pub fn lack_word(kind: &Lack) -> &'static str {
    match kind {
        Lack::Missing => "missing",
        Lack::Denied(_) => "denied",
        Lack::Conditional => "conditional",
    }
}

/// What to do about differences, each kind once; what is missing was put back already if it was `mended`.
pub fn drift_hints(found: &[Drift], mended: bool) -> Vec<&'static str> {
    let is = |word: &str| found.iter().any(|drift| drift_word(&drift.kind) == word);
    let all = [
        ("missing", "hint: `jheem verify --repair` puts back what is missing"),
        (
            "changed",
            "hint: to undo a change, remove the object or row there: then `jheem verify --repair` puts back what was published",
        ),
        (
            "foreign",
            "hint: what is foreign is left alone: remove it, or if a target is published under its key, take it for published with `jheem adopt`",
        ),
        ("orphaned", "hint: `jheem prune` removes what nothing publishes any more"),
        ("unpublished", "hint: `jheem publish` publishes what was built"),
    ];
    let told = all.into_iter().filter(|(word, _)| is(word) && !(mended && *word == "missing"));
    told.map(|(_, hint)| hint).collect()
}

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
