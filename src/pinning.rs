//! What a new look at remote inputs comes to: new pins, and what differs from the old ones.
//!
//! Looks through `Sources`, several at once, and reads only what no keeper tells the digest of.
//! Writes no lock.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::{Error, Result};
use crate::fetch::{self, Arrived, Asker, Wanted};
use crate::lockfile::{Lockfile, PinnedInput};
use crate::objects::Objects;
use crate::remote_inputs;
use crate::source::{Location, Seen, Sources};

/// How many sources are looked at at once.
const AT_ONCE: usize = 16;

/// What became of one source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Unchanged,
    New(PinnedInput),
    /// Other bytes.
    Changed {
        before: PinnedInput,
        now: PinnedInput,
    },
    /// Put there anew, with the same bytes.
    Moved(PinnedInput),
}

/// What was learned of one source.
#[derive(Debug)]
pub struct Looked {
    pub change: Change,
    /// What had to be read for it, which is in the cache now.
    pub arrived: Option<Arrived>,
}

/// Does something for each source, several at once; the answers come in the order of the sources.
pub fn each<T: Send>(
    sources: &[&str],
    work: &(dyn Fn(&str) -> Result<T> + Sync),
) -> Vec<Result<T>> {
    let next = AtomicUsize::new(0);
    let done: Mutex<BTreeMap<usize, Result<T>>> = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(sources.len()) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(source) = sources.get(at) else { return };
                    let came = work(source);
                    if let Ok(mut done) = done.lock() {
                        done.insert(at, came);
                    }
                }
            });
        }
    });
    done.into_inner().unwrap_or_default().into_values().collect()
}

/// Looks at one source, and reads it if nobody tells its digest.
pub fn look(
    sources: &Sources,
    source: &str,
    lock: &Lockfile,
    objects: &Objects,
    asker: &Asker<'_>,
) -> Result<Looked> {
    let location = Location::of(source)?;
    let Some(seen) = sources.look(&location, asker.go_on)? else {
        return Err(Error::user(format!("nothing stands at `{source}`"))
            .hint("mend the `source` of the input, or put it there"));
    };
    let before = lock.inputs.get(source);
    if let Some(before) = before
        && seen.digest.is_none()
        && is_where_it_was(before, &seen)
    {
        return Ok(Looked { change: Change::Unchanged, arrived: None });
    }
    let mut arrived = None;
    let (digest, size) = match (seen.digest, seen.size) {
        (Some(digest), Some(size)) => (digest, size),
        _ => {
            let wanted = Wanted { location: &location, seen: Some(&seen), expect: None };
            let came = fetch::fetch(sources, &wanted, objects, asker)?;
            arrived = Some(came);
            (came.sha256, came.stored.size)
        }
    };
    let Seen { asset, etag, version, .. } = seen;
    let asset = asset.filter(|asset| !source.ends_with(&format!("/{asset}")));
    let now = PinnedInput { digest, size, asset, etag, version };
    let change = match before {
        None => Change::New(now),
        Some(before) if *before == now => Change::Unchanged,
        Some(before) if before.digest == now.digest => Change::Moved(now),
        Some(before) => Change::Changed { before: before.clone(), now },
    };
    Ok(Looked { change, arrived })
}

/// Whether a keeper that tells no digest says that nothing was put there since.
fn is_where_it_was(pin: &PinnedInput, seen: &Seen) -> bool {
    pin.etag.is_some()
        && pin.etag == seen.etag
        && pin.version == seen.version
        && seen.size.is_none_or(|size| size == pin.size)
}

/// Compares one source with what is pinned, without reading it; a sentence for what is not as it was.
pub fn compare(
    sources: &Sources,
    source: &str,
    pin: &PinnedInput,
    asker: &Asker<'_>,
) -> Result<Option<String>> {
    let location = Location::of(source)?;
    let Some(now) = sources.look(&location, asker.go_on)? else {
        return match pin.version {
            Some(_) => Ok(Some(format!("`{source}` is gone; the version that is pinned is kept"))),
            None => Err(remote_inputs::gone(source)),
        };
    };
    if pin.version.is_some() && now.version != pin.version {
        return Ok(Some(format!("`{source}` was replaced; the version that is pinned is kept")));
    }
    if let Some(replaced) = remote_inputs::replaced(source, pin, &now) {
        return Err(replaced);
    }
    let moved = now.digest.is_none() && now.etag.is_some() && now.etag != pin.etag;
    Ok(moved.then(|| {
        format!("`{source}` was put there anew; only reading it tells whether its bytes are the same: `jheem update` does")
    }))
}
