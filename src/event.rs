//! What happens in a build, as data: the screen, the JSON stream and the tests read the same events.

use serde::Serialize;

/// The counts of targets at the end of a plan; disjoint, they sum to the goals and all they need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PlannedTargets {
    pub fresh: usize,
    pub restorable: usize,
    pub stale: usize,
    pub pending: usize,
    pub blocked: usize,
    pub absent: usize,
}

impl PlannedTargets {
    pub fn total(&self) -> usize {
        self.fresh + self.restorable + self.stale + self.pending + self.blocked + self.absent
    }
}

/// The counts of targets at the end of a build; disjoint, they sum to the goals and all they need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FinishedTargets {
    pub fresh: usize,
    pub restored: usize,
    pub built: usize,
    pub absent: usize,
    pub failed: usize,
    pub skipped: usize,
}

impl FinishedTargets {
    pub fn total(&self) -> usize {
        self.fresh + self.restored + self.built + self.absent + self.failed + self.skipped
    }
}

/// What a publish wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PublishedCounts {
    pub objects: usize,
    pub rows: usize,
    pub bytes: u64,
}

/// What a publish would do, in objects and rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PlannedPublish {
    pub create: usize,
    pub update: usize,
    pub unchanged: usize,
    /// What waits for a content that is not known yet.
    pub undecided: usize,
    pub orphaned: usize,
    /// What cannot be published as it is asked for.
    pub refused: usize,
}

/// How one target ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Ending {
    Built,
    /// Built, and the content is what it was before.
    Same,
    Restored,
    Absent,
    Failed,
    /// Built before in this build, and taken back when all of its batch was looked at.
    Withdrawn,
    Skipped,
}

/// One thing that happened. `--format json` prints each as a line.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// What will be done, after everything was judged.
    Started {
        targets: PlannedTargets,
        /// How many of the targets are steps and how many are plots, less those that are absent.
        steps: usize,
        plots: usize,
        reasons: Vec<String>,
    },
    /// A run began.
    RunStarted {
        run: String,
        rule: String,
        targets: usize,
        surplus: usize,
        what: String,
    },
    /// A remote input is sent for.
    FetchStarted {
        source: String,
        bytes: u64,
    },
    /// So many bytes of it came so far.
    FetchProgress {
        source: String,
        bytes: u64,
    },
    /// It is here, or will not come; then there are no bytes, and the targets that need it say why.
    Fetched {
        source: String,
        bytes: Option<u64>,
        seconds: f64,
    },
    /// A run says that it makes this target now.
    TargetBegan {
        run: String,
        target: String,
    },
    /// A target ended; `message` says why, if it was not made.
    Target {
        target: String,
        path: String,
        ending: Ending,
        message: Option<String>,
        lines: Vec<String>,
    },
    /// Many targets were restored at once.
    Restored {
        targets: usize,
    },
    RunEnded {
        run: String,
        rule: String,
        exit: String,
        seconds: f64,
        made: usize,
    },
    /// The image of a run is on its way to this machine; the bytes are 0 at the beginning.
    Pulling {
        run: String,
        image: String,
        done: u64,
        total: u64,
    },
    Pulled {
        run: String,
        image: String,
        bytes: u64,
        seconds: f64,
    },
    /// Lost targets are tried again, in smaller batches.
    Retry {
        rule: String,
        targets: usize,
        reason: String,
    },
    /// Something that the user should know; nothing failed by it.
    Note {
        message: String,
    },
    /// Something of a whole run that fails the build, though no single target does.
    Problem {
        message: String,
        lines: Vec<String>,
    },
    /// Ctrl-C: runs are asked to end, and nothing more is begun.
    Stopping,
    Published {
        publish: String,
        objects: usize,
        rows: usize,
        bytes: u64,
    },
    /// The last line of `plan`.
    Planned {
        targets: PlannedTargets,
        publish: PlannedPublish,
        runs: usize,
    },
    /// The last line of `build`.
    Finished {
        ok: bool,
        targets: FinishedTargets,
        published: PublishedCounts,
        runs: usize,
        /// How often one request gave two contents.
        nondeterministic: usize,
        seconds: f64,
        /// From when it was asked to stop to its end; none if it was not stopped.
        stopped_seconds: Option<f64>,
    },
}
