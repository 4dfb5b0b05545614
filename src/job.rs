//! The port between the build and the world that does its work: what a run is, and how it ends.
//!
//! The build describes a run with owned values; an `Executor` carries it out and tells of its lines.
//! Nothing here knows the graph, the cache, Docker or the operating system.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::error::Result;

/// What is started.
#[derive(Clone, Debug, PartialEq)]
pub enum Engine {
    /// A plain process: the executable's path on this machine.
    Program { executable: PathBuf },
    /// A container of the image with this config digest (`sha256:…`), never of a name or tag.
    Image {
        id: String,
        platform: Option<String>,
        /// What it can be pulled as if the daemon does not have it: `REPOSITORY@sha256:…`, tried in turn.
        ///
        /// None of an image that is of this machine alone.
        pulls: Vec<String>,
    },
}

/// How far an image is on its way to this machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Pulling {
    /// `REPOSITORY@sha256:…`
    pub image: String,
    /// Bytes that came, and bytes in all as far as they are known; none at the beginning.
    pub done: u64,
    pub total: u64,
    /// The seconds that it took, once it is there.
    pub seconds: Option<f64>,
}

/// A folder or file of this machine that the run sees under another name.
///
/// Programs are started in a folder that is laid out beforehand and have no mounts.
#[derive(Clone, Debug, PartialEq)]
pub struct Mount {
    pub host: PathBuf,
    /// An absolute path inside the container.
    pub inside: String,
    pub write: bool,
}

/// How far a container is shut off; a program knows only `user`-less plain execution.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Isolation {
    /// The user inside (`uid[:gid]` or a name); none is the image's own.
    pub user: Option<String>,
    /// The Docker network mode; none is `none`.
    pub network: Option<String>,
    /// Mounts the image's root read-only, with a tmpfs on /tmp.
    pub read_only_root: bool,
    /// Capabilities to drop, such as `ALL`.
    pub drop_capabilities: Vec<String>,
    /// Capabilities to add, such as `CHOWN`.
    pub add_capabilities: Vec<String>,
}

/// Bounds of a run; none means no bound.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Limits {
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Processors, fractions allowed.
    pub cpus: Option<f64>,
    /// Time in all.
    pub total: Option<Duration>,
    /// Time since the last sign of progress.
    pub quiet: Option<Duration>,
    /// Time between asking a run to stop and killing it.
    pub grace: Duration,
}

/// Everything one run needs, owned, with host paths.
#[derive(Clone, Debug, PartialEq)]
pub struct RunSpec {
    /// Unique within the project; names the container and the log.
    ///
    /// No two runs may share it while they last: whatever bears a run's mark ends with the run.
    pub id: String,
    /// Names the project's cache folder, so that a sweep finds only its own leftovers.
    pub owner: String,
    pub engine: Engine,
    /// Replaces the image's entry point, if given.
    pub entrypoint: Option<Vec<String>>,
    pub arguments: Vec<String>,
    /// All of the environment for a program, beside the mark `JHEEM_RUN`; what is added to the image's own for a container.
    pub environment: Vec<(String, String)>,
    /// Names of the environment whose values are this machine's own and may be secrets: they are never written down or shown.
    pub handed_through: Vec<String>,
    /// The working folder: inside the container; for a program on this machine, under `scratch` if it is relative.
    pub workdir: Option<String>,
    /// The run's own folder on this machine, which exists; a program starts here unless `workdir` says otherwise.
    ///
    /// While a program runs, the file `<scratch>.pid` lies beside it.
    pub scratch: PathBuf,
    pub mounts: Vec<Mount>,
    pub isolation: Isolation,
    pub limits: Limits,
}

/// Which of the two output streams a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Out,
    Err,
}

/// Whether a line shows that the run gets on; only `Progress` puts off the quiet limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    Progress,
    Talk,
}

/// Which time limit ended a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadline {
    Total,
    Quiet,
}

/// How a run ended. None of these is an `Error`: a run that fails is a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    Code(i64),
    /// Killed by this signal, by someone else.
    Signal(i32),
    /// Killed for using too much memory (reported by the daemon, or code 137 / SIGKILL unasked).
    OutOfMemory,
    TimedOut(Deadline),
    /// Stopped because the build was asked to stop.
    Stopped,
}

/// The wish to stop, by Ctrl-C or by a build that gives up; executors look at it at least every 50 ms.
#[derive(Debug, Default)]
pub struct Stop {
    raised: AtomicBool,
    hurried: AtomicBool,
    /// When somebody asked for it; a build that gives up was not asked.
    asked: OnceLock<Instant>,
    runs: AtomicUsize,
}

impl Stop {
    /// A build gives up: no run is started any more, and those that go on are asked to end.
    pub fn raise(&self) {
        self.raised.store(true, Ordering::SeqCst);
    }

    /// Somebody asks for it.
    pub fn ask(&self) {
        self.asked.get_or_init(Instant::now);
        self.raise();
    }

    /// Somebody asks for it once more: runs are killed, whatever their grace.
    pub fn hurry(&self) {
        self.ask();
        self.hurried.store(true, Ordering::SeqCst);
    }

    /// A build begins anew after one that gave up; what somebody asked for stays asked.
    pub fn begin_anew(&self) {
        self.raised.store(false, Ordering::SeqCst);
        // Who asks raises after that, so that nobody who asks meanwhile is unheard.
        if self.asked().is_some() {
            self.raise();
        }
    }

    pub fn is_raised(&self) -> bool {
        self.raised.load(Ordering::SeqCst)
    }

    pub fn is_hurried(&self) -> bool {
        self.hurried.load(Ordering::SeqCst)
    }

    /// When somebody asked for it first.
    pub fn asked(&self) -> Option<Instant> {
        self.asked.get().copied()
    }

    /// Lets a run begin; none once the wish is there.
    ///
    /// What this returns is held until nothing of the run is left.
    pub fn admit(&self) -> Option<Admitted<'_>> {
        // Counted first, so that a run which `runs` does not count after the wish is never started.
        self.runs.fetch_add(1, Ordering::SeqCst);
        let admitted = Admitted(self);
        (!self.is_raised()).then_some(admitted)
    }

    /// How many runs go on.
    pub fn runs(&self) -> usize {
        self.runs.load(Ordering::SeqCst)
    }
}

/// A run that goes on, as far as stopping is concerned.
#[derive(Debug)]
pub struct Admitted<'a>(&'a Stop);

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        self.0.runs.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Carries out runs. Blocking; called from a thread of its own for each run, several at once.
pub trait Executor: Send + Sync {
    /// Brings what a run is started from onto this machine, if it is not there; false if it was stopped.
    ///
    /// Of several runs that need the same, one fetches it and the others wait.
    fn pull(
        &self,
        _spec: &RunSpec,
        _stop: &Stop,
        _on_progress: &mut dyn FnMut(Pulling),
    ) -> Result<bool> {
        Ok(true)
    }

    /// Starts the run, hands every line to `on_line` as it comes, and returns how it ended, with everything that it started gone.
    ///
    /// `Err` means that it could not be started or watched, not that it failed.
    fn run(
        &self,
        spec: &RunSpec,
        stop: &Stop,
        on_line: &mut dyn FnMut(Stream, &str) -> Sign,
    ) -> Result<Exit>;

    /// Ends and removes what a killed jheem left of this owner's runs; returns a line for each thing removed.
    ///
    /// `scratch` is the folder of all runs' scratch folders; they too are removed, whoever owns them.
    fn sweep(&self, owner: &str, scratch: &std::path::Path) -> Result<Vec<String>>;
}
