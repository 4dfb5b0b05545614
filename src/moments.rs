//! The moments of a build at which a kill could do harm, by name, so that tests can kill jheem at each of them.
//!
//! With `JHEEM_KILL_AT=placing:3` jheem sends itself SIGKILL when it comes to that moment for the
//! third time. The variable is for tests and read nowhere else; without it a moment costs one look
//! at a flag.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::{Signal, getpid, kill_process};

/// A moment between two steps that are not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The project is held; nothing was looked at.
    Looking,
    /// Some of what an earlier kill left is swept.
    Sweeping,
    /// Everything is judged; what was hashed is not remembered yet.
    Judged,
    /// Outputs are back in place; the records do not say so yet.
    Restored,
    /// A run's scratch folder is laid out; the run is not started.
    Staged,
    /// A container is there and not started.
    Created,
    /// A run goes on, and its process is written down nowhere yet.
    Started,
    /// A run said something.
    Heard,
    /// An object's bytes lie under a temporary name.
    Storing,
    /// An object is stored; no record speaks of it.
    Stored,
    /// A target is recorded; its files are not in place.
    Recorded,
    /// A file lies under a temporary name; it is not in place.
    Placing,
    /// A file is in place; the record does not remember it.
    Placed,
    /// A run ended; it is not in the log of runs.
    Ended,
    /// A run's scratch folder is still there, all else of it is done.
    Cleaning,
    /// A container has ended and is still there.
    Removing,
    /// What will be published is written down; nothing is.
    Intended,
    /// An object's copy lies beside the destination.
    Copied,
    /// A part of a large object is sent; the object does not stand.
    Part,
    /// An object is published; its row and the manifest do not know it.
    Published,
    /// All of an edition stands as it was written; its index does not name it.
    ReadBack,
    /// Rows are written in a transaction that is not committed.
    Rows,
    /// Rows are committed; the objects' manifest does not know of them.
    Committed,
    /// Something is removed from a destination; the manifest still has its line.
    Pruned,
    /// A chunk of the manifest is written; the head does not name it.
    Chunk,
    /// The manifest is written; the intent is still there.
    Head,
    /// Everything is written; the distribution is not told of it.
    Telling,
    /// The distribution is told; it is not written down that it was.
    Told,
}

impl Moment {
    /// All moments and their names.
    pub const ALL: [(Moment, &str); 28] = [
        (Moment::Looking, "looking"),
        (Moment::Sweeping, "sweeping"),
        (Moment::Judged, "judged"),
        (Moment::Restored, "restored"),
        (Moment::Staged, "staged"),
        (Moment::Created, "created"),
        (Moment::Started, "started"),
        (Moment::Heard, "heard"),
        (Moment::Storing, "storing"),
        (Moment::Stored, "stored"),
        (Moment::Recorded, "recorded"),
        (Moment::Placing, "placing"),
        (Moment::Placed, "placed"),
        (Moment::Ended, "ended"),
        (Moment::Cleaning, "cleaning"),
        (Moment::Removing, "removing"),
        (Moment::Intended, "intended"),
        (Moment::Copied, "copied"),
        (Moment::Part, "part"),
        (Moment::Published, "published"),
        (Moment::ReadBack, "read-back"),
        (Moment::Rows, "rows"),
        (Moment::Committed, "committed"),
        (Moment::Pruned, "pruned"),
        (Moment::Chunk, "chunk"),
        (Moment::Head, "head"),
        (Moment::Telling, "telling"),
        (Moment::Told, "told"),
    ];
}

/// Passes a moment, unless this is where jheem is to be killed.
pub fn pass(moment: Moment) {
    static KILL_AT: OnceLock<Option<(Moment, u64)>> = OnceLock::new();
    static PASSED: AtomicU64 = AtomicU64::new(0);
    let Some((at, count)) = KILL_AT.get_or_init(kill_at) else { return };
    if *at == moment && PASSED.fetch_add(1, Ordering::SeqCst) + 1 == *count {
        let _sent = kill_process(getpid(), Signal::KILL);
        // The signal may reach another thread first; nothing more is done meanwhile.
        loop {
            std::thread::park();
        }
    }
}

fn kill_at() -> Option<(Moment, u64)> {
    let text = std::env::var("JHEEM_KILL_AT").ok()?;
    let (name, count) = text.split_once(':')?;
    let (moment, _) = Moment::ALL.into_iter().find(|(_, known)| *known == name)?;
    Some((moment, count.parse().ok()?))
}
