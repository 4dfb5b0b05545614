//! The heads that a ledger had before, for rollbacks; and what nothing names any more, which a prune removes.

use std::collections::{BTreeMap, BTreeSet};

use super::{Entry, HEAD, Head, LEASE, Ledger, Read, is_read};
use crate::aws::s3::Expect;
use crate::error::{Error, Result};
use crate::publish::manifest;
use crate::publish::place::{Extent, KEPT, Stamp, meanwhile};

impl Ledger {
    /// Puts the head that is about to be replaced aside, and names this publish in the next one.
    ///
    /// All that one run of jheem publishes is one step of the history. What is no longer part of it is swept by a prune.
    pub(super) fn keep_history(&self, read: &Read, next: &mut Head, changed: usize) -> Result<()> {
        let before = match &read.head.stamp {
            Some(mine) if mine.id == self.stamp.id => mine.changed,
            Some(other) => {
                self.put(&history_file(&other.id), &read.head, Expect::Anything)?;
                // Somebody else published in between: a step stands where it ended.
                next.history.retain(|known| known.id != other.id && known.id != self.stamp.id);
                next.history.push(other.clone());
                let over = next.history.len().saturating_sub(KEPT);
                next.history.drain(..over);
                0
            }
            None => 0,
        };
        next.stamp = Some(Stamp { changed: before + changed, ..self.stamp.clone() });
        Ok(())
    }

    /// The publishes whose heads are known, the last one among them.
    pub fn history(&self) -> Result<Vec<Stamp>> {
        let Head { stamp, history, .. } = self.read()?.head;
        Ok(history.into_iter().chain(stamp).collect())
    }

    /// What a section held after this publish; none if its head is not known.
    pub fn past<E: Entry>(
        &self,
        section: &str,
        id: &str,
        extent: Extent<'_>,
    ) -> Result<Option<BTreeMap<String, E>>> {
        let read = self.read()?;
        let head = if read.head.stamp.as_ref().is_some_and(|stamp| stamp.id == id) {
            read.head.clone()
        } else if read.head.history.iter().any(|stamp| stamp.id == id) {
            self.past_head(id)?
        } else {
            return Ok(None);
        };
        let none = BTreeMap::new();
        let chunks = head.sections.get(section).unwrap_or(&none);
        let chunks = chunks.iter().filter(|(name, _)| is_read(name, extent));
        let lines = self.chunks(&read, section, &chunks.collect::<Vec<_>>())?;
        let lines = lines.ok_or_else(|| meanwhile(&self.place))?;
        Ok(Some(lines.into_iter().flatten().collect()))
    }

    fn past_head(&self, id: &str) -> Result<Head> {
        let name = history_file(id);
        let got = self.store.get(std::slice::from_ref(&name))?.pop().flatten();
        let got = got.ok_or_else(|| self.damaged(&name, "is missing, and the head names it"))?;
        manifest::decode_versioned(&got.bytes, "a manifest's head")
            .map_err(|what| self.damaged(&name, what))
    }

    /// Removes the texts that nothing names any more, with the lease held: chunks of heads that are kept no longer,
    /// intents of publishes that ended, and what is owed no more. Tells how many.
    ///
    /// Nothing that is later than the head or the lease goes. Whoever reads a chunk of an older head finds it
    /// missing, and reads again from the head.
    pub fn sweep(&self) -> Result<usize> {
        self.renew()?;
        let read = self.read()?;
        let mut named: BTreeSet<String> = BTreeSet::new();
        let mut heads = vec![read.head.clone()];
        for stamp in &read.head.history {
            heads.push(self.past_head(&stamp.id)?);
            named.insert(history_file(&stamp.id));
        }
        for (section, chunks) in heads.iter().flat_map(|head| &head.sections) {
            named.extend(chunks.iter().map(|(name, chunk)| chunk.file(section, name)));
        }
        match &self.state().held {
            Some(held) => {
                let lease = &held.lease;
                named.extend(lease.intents.values().chain(lease.owed.values()).cloned());
            }
            None => return Err(Error::bug("a manifest is swept only with its lease held")),
        }
        let texts = self.store.list()?;
        let since = |name: &str| {
            let found = texts.iter().find(|(text, _)| text == name);
            found.map_or(i64::MIN, |(_, since)| *since)
        };
        let (head, lease) = (since(HEAD), since(LEASE));
        let mut removed = 0;
        for (name, since) in &texts {
            let left_over = match name.split_once('/') {
                Some(("chunks" | "history", _)) => *since <= head,
                Some(("intents" | "owed", _)) => *since <= lease,
                _ => false,
            };
            if left_over && !named.contains(name) {
                self.store.remove(name)?;
                removed += 1;
                self.renew()?;
            }
        }
        Ok(removed)
    }
}

/// The name of the text that keeps the head of a publish.
fn history_file(id: &str) -> String {
    format!("history/{id}.json")
}
