//! Ctrl-C: who hears it, and a publish that heeds it.
//!
//! The first asks: runs get their grace, everything else ends at the next file. The second ends it
//! at once: runs are killed, and what no run waits for is cut off, as by a kill.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::error::{Error, Result};
use crate::job::Stop;
use crate::publish::invalidation::Invalidation;
use crate::publish::manifest::ObjectEntry;
use crate::publish::place::{
    Found, ObjectPlace, ObjectPublish, ObjectPut, ObjectsThere, Removal, Stamp,
};
use crate::publish::{Depth, DriftKind, Extent, Place};
use crate::session::World;

/// The exit code of a command that was stopped.
pub const STOPPED: u8 = 130;

/// Listens for signals from now on; requests to AWS heed them.
pub fn stop_on_signals(world: &World) -> Result<Arc<Stop>> {
    let stop = Arc::new(Stop::default());
    let asked = Arc::clone(&stop);
    world.aws.heed(move || asked.asked());
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])
        .map_err(|e| Error::environment("cannot listen for signals").because(e))?;
    let heard = Arc::clone(&stop);
    std::thread::spawn(move || {
        for signal in signals.forever() {
            hear(signal, &heard);
        }
    });
    Ok(stop)
}

/// A terminal that closes may send several signals at once; only somebody at the keys is in a hurry.
fn hear(signal: i32, stop: &Stop) {
    if stop.asked().is_none() || signal != SIGINT {
        return stop.ask();
    }
    stop.hurry();
    if stop.runs() == 0 {
        std::process::exit(STOPPED.into());
    }
}

/// The same places, which take no more objects once somebody asks to stop.
pub fn stoppable(places: Vec<Place>, stop: &Arc<Stop>) -> Vec<Place> {
    let stoppable = |place| match place {
        Place::Objects(inner) => {
            Place::Objects(Box::new(StoppablePlace { inner, stop: Arc::clone(stop) }))
        }
        // Rows are written all at once, and soon.
        Place::Rows(rows) => Place::Rows(rows),
    };
    places.into_iter().map(stoppable).collect()
}

struct StoppablePlace {
    inner: Box<dyn ObjectPlace>,
    stop: Arc<Stop>,
}

impl ObjectPlace for StoppablePlace {
    fn read(
        &self,
        owner: &str,
        wanted: &BTreeMap<String, ObjectEntry>,
        extent: Extent<'_>,
    ) -> Result<ObjectsThere> {
        self.inner.read(owner, wanted, extent)
    }

    fn wait(&self, say: &mut dyn FnMut(String)) -> Result<()> {
        self.inner.wait(say)
    }

    fn watched(&self, owner: &str, keys: &[&str]) -> Option<BTreeSet<PathBuf>> {
        self.inner.watched(owner, keys)
    }

    fn begin<'a>(
        &'a self,
        there: &'a ObjectsThere,
        intent: &[(String, ObjectEntry)],
    ) -> Result<Box<dyn ObjectPublish + 'a>> {
        go_on(&self.stop)?;
        let inner = self.inner.begin(there, intent)?;
        Ok(Box::new(StoppablePublish { inner, stop: &self.stop }))
    }

    fn history(&self) -> Result<Vec<Stamp>> {
        self.inner.history()
    }

    fn past(&self, id: &str, extent: Extent<'_>) -> Result<Option<BTreeMap<String, ObjectEntry>>> {
        self.inner.past(id, extent)
    }

    fn standing(&self, prefix: &str) -> Result<Vec<String>> {
        self.inner.standing(prefix)
    }

    fn as_written(&self, under: &str, objects: &[(&str, &ObjectEntry)]) -> Result<Vec<bool>> {
        self.inner.as_written(under, objects)
    }

    fn replaced(
        &self,
        objects: &[(&str, &ObjectEntry)],
        see: &mut dyn FnMut(usize, Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        self.inner.replaced(objects, see)
    }

    fn found(
        &self,
        keys: &BTreeSet<&str>,
        see: &mut dyn FnMut(&str, Found) -> Result<()>,
    ) -> Result<()> {
        self.inner.found(keys, see)
    }

    fn drift(&self, there: &ObjectsThere, depth: Depth) -> Result<Vec<(String, DriftKind)>> {
        self.inner.drift(there, depth)
    }
}

struct StoppablePublish<'a> {
    inner: Box<dyn ObjectPublish + 'a>,
    stop: &'a Stop,
}

/// So many objects are removed between two looks at the wish to stop.
const TOGETHER: usize = 64;

impl ObjectPublish for StoppablePublish<'_> {
    fn put(
        &mut self,
        puts: &[ObjectPut<'_>],
        placed: &mut dyn FnMut(usize),
        asked: &mut dyn FnMut() -> Result<()>,
    ) -> Result<()> {
        let stop = self.stop;
        go_on(stop)?;
        self.inner.put(puts, placed, &mut || go_on(stop).and_then(|()| asked()))
    }

    fn read_back(&mut self, under: &str, objects: &[(&str, &ObjectEntry)]) -> Result<()> {
        go_on(self.stop)?;
        self.inner.read_back(under, objects)
    }

    fn owe(&mut self, to: &Invalidation, keys: &[&str]) -> Result<()> {
        self.inner.owe(to, keys)
    }

    fn invalidate(&mut self, to: &Invalidation) -> Result<usize> {
        self.inner.invalidate(to)
    }

    fn remove(
        &mut self,
        objects: &[(String, ObjectEntry)],
        told: &mut dyn FnMut(usize, Removal),
    ) -> Result<()> {
        for (chunk, objects) in objects.chunks(TOGETHER).enumerate() {
            go_on(self.stop)?;
            self.inner.remove(objects, &mut |index, r| told(chunk * TOGETHER + index, r))?;
        }
        Ok(())
    }

    fn commit(
        &mut self,
        changed: &BTreeMap<String, ObjectEntry>,
        gone: &BTreeSet<String>,
    ) -> Result<()> {
        self.inner.commit(changed, gone)
    }

    fn sweep(&mut self) -> Result<usize> {
        self.inner.sweep()
    }

    fn finish(self: Box<Self>) -> Result<()> {
        self.inner.finish()
    }
}

fn go_on(stop: &Stop) -> Result<()> {
    match stop.is_raised() {
        true => Err(Error::environment("publishing was stopped")
            .hint("run it again: it goes on where it stopped")),
        false => Ok(()),
    }
}
