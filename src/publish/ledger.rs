//! The ledger of a remote place: its manifest in chunks under one head, the intent, and the lease of whoever publishes.
//!
//! All are small texts in a store that can write under a condition. The rules are here, once; a store only keeps texts:
//!
//! 1. Reading takes the head and the lease; a chunk whose entries are the wanted ones is known by its digest and not read.
//! 2. Whoever publishes writes an intent, then the lease that names it, if nobody has one; and looks at the head again.
//! 3. Chunks are written under names of their own content, and the head is replaced last, if it is still the one that was read.
//! 4. The lease is freed last. One that is no longer renewed is of the dead: its intents say what they may have put.
//!    Who takes it over makes the head another version, so that the dead, if they wake, write no manifest.
//!
//! No clock is compared with another: a lease is of the dead if its version stays the same while this machine waits.

mod history;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rayon::prelude::*;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::grouping;
use super::manifest::{self, FORMAT, ObjectEntry, RowEntry};
use super::place::{Extent, Stamp, Step, meanwhile};
use crate::aws::s3::{Expect, Got, Put};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::moments::{self, Moment};

/// Whoever publishes renews the lease this often.
const RENEWED_EVERY: Duration = Duration::from_secs(15);
/// A lease that was not renewed for so long is of the dead.
const DEAD_AFTER: Duration = Duration::from_secs(60);
/// How often a lease that another holds is looked at.
const LOOKED_AT_EVERY: Duration = Duration::from_secs(3);

const HEAD: &str = "head.json";
const LEASE: &str = "lease.json";

/// Keeps small texts by name, each with a version that its writing changes.
pub trait Store: Send + Sync {
    /// The texts of these names, in their order; none for one that is not there.
    fn get(&self, names: &[String]) -> Result<Vec<Option<Got>>>;
    fn put(&self, name: &str, bytes: Vec<u8>, expect: Expect) -> Result<Put>;
    /// Removes a text; one that is not there is no error.
    fn remove(&self, name: &str) -> Result<()>;
    /// The names of all texts, and since when each is as it is, by the store's own clock.
    fn list(&self) -> Result<Vec<(String, i64)>>;
}

/// What a section of a ledger has one of for each key.
pub trait Entry: Clone + PartialEq + Serialize + DeserializeOwned + Send + Sync {
    /// The same without what never is a reason to write it again.
    fn compared(&self) -> Self;
    /// What keys have in common that change together, as far as so many of their parts say.
    fn group(key: &str, depth: usize) -> String;
}

impl Entry for ObjectEntry {
    fn compared(&self) -> Self {
        // Bytes may differ where contents do not.
        let (bytes, size) = (self.content, 0);
        let packed = self.packed.map(|_| self.content);
        let (uncompared, version, attested) = (BTreeMap::new(), None, false);
        ObjectEntry { bytes, size, packed, uncompared, version, attested, ..self.clone() }
    }

    fn group(key: &str, depth: usize) -> String {
        grouping::of_object(key, depth).to_owned()
    }
}

impl Entry for RowEntry {
    fn compared(&self) -> Self {
        RowEntry { uncompared: BTreeMap::new(), object: None, attested: false, ..self.clone() }
    }

    fn group(key: &str, depth: usize) -> String {
        grouping::of_row(key, depth)
    }
}

/// The one text that is replaced at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    format: u32,
    owner: String,
    /// Counts how often somebody was thought dead, so that his head fits no more.
    #[serde(default)]
    epoch: u64,
    /// How many parts of a key choose its chunk, for each section; where it is not said, all of them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    depths: BTreeMap<String, usize>,
    /// The chunks of each section, by name.
    sections: BTreeMap<String, BTreeMap<String, Chunk>>,
    /// The publish that left it so; none if an earlier jheem did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stamp: Option<Stamp>,
    /// The publishes before, of which the heads are kept; the latest comes last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    history: Vec<Stamp>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Chunk {
    /// Of its bytes.
    digest: Digest,
    /// Of what is compared of its entries: who wants just these need not read it.
    compared: Digest,
    entries: usize,
}

/// Who publishes, and where it is written what he is about to put.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Lease {
    format: u32,
    /// Empty if nobody publishes; what is intended then was left by somebody who stopped.
    holder: String,
    /// Counts the renewals of all holders, so that each is another version.
    renewed: u64,
    /// The name of each section's intent.
    intents: BTreeMap<String, String>,
    /// By whom it is owed to, the name of the text that says what still is to be told.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    owed: BTreeMap<String, String>,
}

/// What is to be told to somebody, and was not yet.
pub struct Owed {
    /// Names this very debt: another has another name.
    pub name: String,
    pub lines: BTreeSet<String>,
}

/// The ledger of one owner at one place.
pub struct Ledger {
    store: Box<dyn Store>,
    /// The place, as messages name it.
    place: String,
    owner: String,
    /// Who this is: the same for every jheem of this project on this machine, of which one can publish at a time.
    holder: String,
    dead_after: Duration,
    /// What the step is called that this is part of, if it changes anything.
    stamp: Stamp,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    read: Option<Read>,
    held: Option<Held>,
}

/// What was there when it was looked at.
#[derive(Clone)]
struct Read {
    head: Head,
    version: Option<String>,
    lease: Option<(Lease, String)>,
}

/// The lease that is held.
struct Held {
    lease: Lease,
    version: String,
    /// The sections that are being published to.
    open: BTreeSet<String>,
    renewed: Instant,
}

/// The entries of chunks, each with its key.
type Lines<E> = Vec<Vec<(String, E)>>;

/// What one section holds.
pub struct Section<E> {
    pub entries: BTreeMap<String, E>,
    /// Of these it was not read what is never compared: there they are as they were wanted.
    pub assumed: BTreeSet<String>,
    /// What a publish that did not end was about to put; the latest for a key comes last.
    pub intended: Vec<(String, E)>,
    /// Whether there was such a publish.
    pub unfinished: bool,
}

impl Ledger {
    pub fn new(
        store: Box<dyn Store>,
        place: String,
        owner: &str,
        holder: &str,
        step: &Step,
    ) -> Ledger {
        let (id, at, by) = (step.id.clone(), step.at.clone(), holder.to_owned());
        Ledger {
            store,
            place,
            owner: owner.to_owned(),
            holder: holder.to_owned(),
            dead_after: DEAD_AFTER,
            stamp: Stamp { id, at, by, changed: 0 },
            state: Mutex::default(),
        }
    }

    /// The same ledger, with another time after which a lease is of the dead.
    #[cfg(test)]
    pub fn dead_after(mut self, dead_after: Duration) -> Ledger {
        self.dead_after = dead_after;
        self
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn damaged(&self, name: &str, what: impl std::fmt::Display) -> Error {
        Error::environment(format!("the manifest at `{}` is damaged: `{name}` {what}", self.place))
            .hint("put it back from an earlier version, or publish to another place: jheem does not guess what is published")
    }

    fn look(&self) -> Result<Read> {
        let [head, lease] = &mut self.store.get(&[HEAD.into(), LEASE.into()])?[..] else {
            return Err(Error::bug("a store gave too few answers"));
        };
        let (head, version) = match head.take() {
            Some(got) => {
                let head = manifest::decode_versioned(&got.bytes, "a manifest's head");
                (head.map_err(|what| self.damaged(HEAD, what))?, Some(got.version))
            }
            None => (
                Head {
                    format: FORMAT,
                    owner: self.owner.clone(),
                    epoch: 0,
                    depths: BTreeMap::new(),
                    sections: BTreeMap::new(),
                    stamp: None,
                    history: Vec::new(),
                },
                None,
            ),
        };
        if head.owner != self.owner {
            return Err(self.damaged(HEAD, format!("is of the project `{}`", head.owner)));
        }
        let lease = match lease.take() {
            Some(got) => {
                let lease = manifest::decode_versioned(&got.bytes, "a lease");
                Some((lease.map_err(|what| self.damaged(LEASE, what))?, got.version))
            }
            None => None,
        };
        Ok(Read { head, version, lease })
    }

    fn read(&self) -> Result<Read> {
        let mut state = self.state();
        if state.read.is_none() {
            state.read = Some(self.look()?);
        }
        state.read.clone().ok_or_else(|| Error::bug("nothing was read"))
    }

    /// Waits for another publisher to end, or takes his lease if he is dead; `say` is told once whom it waits for.
    pub fn wait(&self, say: &mut dyn FnMut(String)) -> Result<()> {
        let mut read = self.read()?;
        let other = |read: &Read| match &read.lease {
            Some((lease, version)) if !self.may_take(lease) => {
                Some((lease.clone(), version.clone()))
            }
            _ => None,
        };
        let Some((lease, _)) = other(&read) else { return Ok(()) };
        say(format!("`{}` is being published to by {}; waiting for it", self.place, lease.holder));
        let mut since = Instant::now();
        while let Some((lease, version)) = other(&read) {
            if since.elapsed() >= self.dead_after {
                let renewed = lease.renewed + 1;
                let mine = Lease { holder: self.holder.clone(), renewed, ..lease.clone() };
                if let Put::Done(_) = self.put(LEASE, &mine, Expect::Version(version))? {
                    self.fence(&read)?;
                    say(format!("{} is gone: going on from where it stopped", lease.holder));
                    break;
                }
            }
            std::thread::sleep(LOOKED_AT_EVERY.min(self.dead_after));
            let now = self.look()?;
            if now.lease != read.lease {
                since = Instant::now();
            }
            read = now;
        }
        self.state().read = None;
        Ok(())
    }

    /// Whether a lease is free, or left by an earlier jheem of this very project.
    fn may_take(&self, lease: &Lease) -> bool {
        lease.holder.is_empty() || lease.holder == self.holder
    }

    /// Makes the head another version, so that who was thought dead and is not can replace it no more.
    fn fence(&self, read: &Read) -> Result<()> {
        let head = Head { epoch: read.head.epoch + 1, ..read.head.clone() };
        let expect = match &read.version {
            Some(version) => Expect::Version(version.clone()),
            None => Expect::Nothing,
        };
        // If somebody else replaced it just now, it is another version already.
        self.put(HEAD, &head, expect).map(drop)
    }

    /// What one section holds; of `wanted`, what is there just so need not be read.
    pub fn section<E: Entry>(
        &self,
        name: &str,
        wanted: &BTreeMap<String, E>,
        extent: Extent<'_>,
    ) -> Result<Section<E>> {
        loop {
            if let Some(section) = self.section_now(name, wanted, extent)? {
                return Ok(section);
            }
            // A prune removed a chunk of the head that was read: there is a later one.
            self.state().read = None;
        }
    }

    /// The same; none if the head that was read has been replaced meanwhile.
    fn section_now<E: Entry>(
        &self,
        name: &str,
        wanted: &BTreeMap<String, E>,
        extent: Extent<'_>,
    ) -> Result<Option<Section<E>>> {
        let read = self.read()?;
        let mut mine: BTreeMap<String, BTreeMap<&str, &E>> = BTreeMap::new();
        let depth = read.head.depth(name);
        for (key, entry) in wanted {
            mine.entry(chunk_of::<E>(key, depth)).or_default().insert(key, entry);
        }
        let digests = mine.par_iter().map(|(chunk, entries)| (chunk.as_str(), compared(entries)));
        let digests: HashMap<&str, Digest> = digests.collect();
        let none = BTreeMap::new();
        let chunks = read.head.sections.get(name).unwrap_or(&none);
        let mut entries = BTreeMap::new();
        let mut assumed = BTreeSet::new();
        let mut others = Vec::new();
        for (chunk, there) in chunks.iter().filter(|(name, _)| is_read(name, extent)) {
            let same = digests.get(chunk.as_str()) == Some(&there.compared);
            match mine.get(chunk).filter(|_| same) {
                Some(mine) => {
                    assumed.extend(mine.keys().map(|key| (*key).to_owned()));
                    entries.extend(mine.iter().map(|(k, e)| ((*k).to_owned(), (*e).clone())));
                }
                None => others.push((chunk, there)),
            }
        }
        let Some(lines) = self.chunks(&read, name, &others)? else { return Ok(None) };
        entries.extend(lines.into_iter().flatten());
        let left = read.lease.as_ref().filter(|(lease, _)| self.may_take(lease));
        let intent = left.and_then(|(lease, _)| lease.intents.get(name));
        let intended = match intent {
            Some(intent) => self.intent(intent)?,
            None => Vec::new(),
        };
        Ok(Some(Section { entries, assumed, intended, unfinished: intent.is_some() }))
    }

    /// The entries of chunks, all read at once; none if one is missing and the head is no longer the one that was read.
    fn chunks<E: Entry>(
        &self,
        read: &Read,
        section: &str,
        chunks: &[(&String, &Chunk)],
    ) -> Result<Option<Lines<E>>> {
        let names: Vec<String> =
            chunks.iter().map(|(name, chunk)| chunk.file(section, name)).collect();
        let got = self.store.get(&names)?;
        if got.iter().any(Option::is_none) && self.look()?.version != read.version {
            return Ok(None);
        }
        let lines = names.iter().zip(chunks).zip(got).map(|((name, (_, chunk)), got)| {
            let got = got.ok_or_else(|| self.damaged(name, "is missing"))?;
            if Digest::of(&got.bytes) != chunk.digest {
                return Err(self.damaged(name, "is not what the head names"));
            }
            self.lines(name, &got.bytes)
        });
        lines.collect::<Result<_>>().map(Some)
    }

    fn intent<E: Entry>(&self, name: &str) -> Result<Vec<(String, E)>> {
        match self.store.get(&[name.to_owned()])?.pop().flatten() {
            Some(got) => self.lines(name, &got.bytes),
            None => Err(self.damaged(name, "is missing, and the lease names it")),
        }
    }

    fn lines<E: Entry>(&self, name: &str, bytes: &[u8]) -> Result<Vec<(String, E)>> {
        manifest::decode_lines(bytes).map_err(|what| self.damaged(name, what))
    }

    fn put(&self, name: &str, value: &impl Serialize, expect: Expect) -> Result<Put> {
        let mut bytes = serde_json::to_vec_pretty(value).expect("plain data is written as JSON");
        bytes.push(b'\n');
        self.store.put(name, bytes, expect)
    }

    /// Takes the lease, or has it already, and writes down what is about to be put in a section.
    pub fn begin<'e, E: Entry + 'e>(
        &self,
        section: &str,
        intent: impl IntoIterator<Item = (&'e str, &'e E)>,
    ) -> Result<()> {
        let read = self.read()?;
        let lines = manifest::encode_lines(intent);
        let name = format!("intents/{section}-{}.jsonl", name_of(&lines));
        self.store.put(&name, lines, Expect::Anything)?;
        let mut state = self.state();
        if let Some(held) = &mut state.held {
            held.lease.intents.insert(section.to_owned(), name);
            held.open.insert(section.to_owned());
            return self.renew_now(held);
        }
        let holder = self.holder.clone();
        let (mut lease, expect) = match &read.lease {
            None => {
                let (intents, owed) = (BTreeMap::new(), BTreeMap::new());
                let lease = Lease { format: FORMAT, holder, renewed: 0, intents, owed };
                (lease, Expect::Nothing)
            }
            Some((lease, version)) if self.may_take(lease) => {
                let lease = Lease { holder, renewed: lease.renewed + 1, ..lease.clone() };
                (lease, Expect::Version(version.clone()))
            }
            Some((lease, _)) => return Err(self.taken(&lease.holder)),
        };
        lease.intents.insert(section.to_owned(), name);
        let version = match self.put(LEASE, &lease, expect)? {
            Put::Done(version) => version,
            Put::Unexpected => {
                return Err(match self.look()?.lease {
                    Some((lease, _)) if !self.may_take(&lease) => self.taken(&lease.holder),
                    _ => meanwhile(&self.place),
                });
            }
        };
        let open = BTreeSet::from([section.to_owned()]);
        state.held = Some(Held { lease, version, open, renewed: Instant::now() });
        // Between reading and taking the lease somebody may have come and gone.
        if self.look()?.version != read.version {
            drop(state);
            self.let_go();
            return Err(meanwhile(&self.place));
        }
        Ok(())
    }

    fn taken(&self, holder: &str) -> Error {
        Error::locked(format!("`{}` is being published to by {holder}", self.place))
            .hint("wait for it to end and run it again")
    }

    /// Renews the lease if it is time to; fails if somebody took it, who must have thought this one dead.
    pub fn renew(&self) -> Result<()> {
        match &mut self.state().held {
            Some(held) if held.renewed.elapsed() >= RENEWED_EVERY => self.renew_now(held),
            _ => Ok(()),
        }
    }

    fn renew_now(&self, held: &mut Held) -> Result<()> {
        held.lease.renewed += 1;
        match self.put(LEASE, &held.lease, Expect::Version(held.version.clone()))? {
            Put::Done(version) => {
                held.version = version;
                held.renewed = Instant::now();
                Ok(())
            }
            Put::Unexpected => Err(Error::locked(format!(
                "another jheem took over publishing to `{}`: this one was silent for too long",
                self.place
            ))
            .hint("run it again when the other has ended")),
        }
    }

    /// To whom something is owed.
    pub fn owing(&self) -> Result<BTreeSet<String>> {
        let lease = self.read()?.lease;
        Ok(lease.map(|(lease, _)| lease.owed.into_keys().collect()).unwrap_or_default())
    }

    /// What is owed to somebody, as far as whoever has the lease knows.
    pub fn owed(&self, to: &str) -> Result<Option<Owed>> {
        let named = self.state().held.as_ref().and_then(|held| held.lease.owed.get(to).cloned());
        let Some(name) = named else { return Ok(None) };
        let lines = match self.store.get(std::slice::from_ref(&name))?.pop().flatten() {
            Some(got) => manifest::decode_lines::<()>(&got.bytes)
                .map_err(|what| self.damaged(&name, what))?
                .into_iter()
                .map(|(line, ())| line)
                .collect(),
            None => return Err(self.damaged(&name, "is missing, and the lease names it")),
        };
        Ok(Some(Owed { name, lines }))
    }

    /// Remembers, with the lease held, what somebody is to be told, beside what is owed already.
    pub fn owe(&self, to: &str, mut lines: BTreeSet<String>) -> Result<()> {
        let before = self.owed(to)?;
        if let Some(before) = &before {
            if lines.is_subset(&before.lines) {
                return Ok(());
            }
            lines.extend(before.lines.iter().cloned());
        }
        let text = manifest::encode_lines(lines.iter().map(|line| (line.as_str(), &())));
        let name = format!("owed/{to}-{}.jsonl", name_of(&text));
        self.store.put(&name, text, Expect::Anything)?;
        self.owing_now(to, Some(name))?;
        before.map_or(Ok(()), |before| self.store.remove(&before.name))
    }

    /// Nothing is owed any more.
    pub fn paid(&self, to: &str, owed: &Owed) -> Result<()> {
        self.owing_now(to, None)?;
        self.store.remove(&owed.name)
    }

    fn owing_now(&self, to: &str, name: Option<String>) -> Result<()> {
        let mut state = self.state();
        let Some(held) = &mut state.held else {
            return Err(Error::bug("who owes holds the lease"));
        };
        match name {
            Some(name) => held.lease.owed.insert(to.to_owned(), name),
            None => held.lease.owed.remove(to),
        };
        self.renew_now(held)
    }

    /// Makes a section of the manifest hold these entries, beside those that it holds, and not those that are gone.
    pub fn commit<E: Entry>(
        &self,
        section: &str,
        changed: &BTreeMap<String, E>,
        gone: &BTreeSet<String>,
    ) -> Result<()> {
        self.renew()?;
        let read = self.read()?;
        let mut head = read.head.clone();
        let before = head.depth(section);
        let touched: BTreeSet<String> =
            changed.keys().chain(gone).map(|key| chunk_of::<E>(key, before)).collect();
        let none = BTreeMap::new();
        let there = read.head.sections.get(section).unwrap_or(&none);
        let chunks = |chunks: &[(&String, &Chunk)]| {
            self.chunks::<E>(&read, section, chunks)?.ok_or_else(|| meanwhile(&self.place))
        };
        let (old, others): (Vec<_>, Vec<_>) =
            there.iter().partition(|(name, _)| touched.contains(*name));
        let mut entries: BTreeMap<String, E> = chunks(&old)?.into_iter().flatten().collect();
        entries.extend(changed.iter().map(|(key, entry)| (key.clone(), entry.clone())));
        entries.retain(|key, _| !gone.contains(key));
        let mut depth = grouping::depth(entries.keys().map(String::as_str), before, E::group);
        if depth != before {
            // In groups of other keys every chunk is another.
            entries.extend(chunks(&others)?.into_iter().flatten());
            depth = grouping::depth(entries.keys().map(String::as_str), depth, E::group);
            head.sections.remove(section);
        }
        let mut members: BTreeMap<String, BTreeMap<String, E>> = BTreeMap::new();
        for (key, entry) in entries {
            members.entry(chunk_of::<E>(&key, depth)).or_default().insert(key, entry);
        }
        if !members.is_empty() && depth != grouping::ALL {
            head.depths.insert(section.to_owned(), depth);
        }
        let chunks = head.sections.entry(section.to_owned()).or_default();
        chunks.retain(|name, _| !touched.contains(name) || members.contains_key(name));
        for (name, entries) in members {
            let lines =
                manifest::encode_lines(entries.iter().map(|(key, entry)| (key.as_str(), entry)));
            let refs = entries.iter().map(|(key, entry)| (key.as_str(), entry)).collect();
            let (digest, compared) = (Digest::of(&lines), compared(&refs));
            let chunk = Chunk { digest, compared, entries: entries.len() };
            if chunks.get(&name) != Some(&chunk) {
                self.renew()?;
                self.store.put(&chunk.file(section, &name), lines, Expect::Anything)?;
                chunks.insert(name, chunk);
            }
        }
        if head == read.head {
            return Ok(());
        }
        self.keep_history(&read, &mut head, changed.len() + gone.len())?;
        moments::pass(Moment::Chunk);
        let expect = match &read.version {
            Some(version) => Expect::Version(version.clone()),
            None => Expect::Nothing,
        };
        match self.put(HEAD, &head, expect)? {
            Put::Done(version) => {
                let read = Read { head, version: Some(version), ..read };
                self.state().read = Some(read);
            }
            Put::Unexpected => {
                return Err(Error::environment(format!(
                    "the manifest at `{}` was replaced by another jheem meanwhile",
                    self.place
                ))
                .hint("run it again: it goes on from what stands there"));
            }
        }
        moments::pass(Moment::Head);
        Ok(())
    }

    /// A section is done; with the last one the lease is free.
    pub fn end(&self, section: &str) -> Result<()> {
        let mut state = self.state();
        let Some(held) = &mut state.held else { return Ok(()) };
        held.open.remove(section);
        let intent = held.lease.intents.remove(section);
        if held.open.is_empty() {
            held.lease.holder.clear();
        }
        self.renew_now(held)?;
        if held.open.is_empty() {
            let lease = (held.lease.clone(), held.version.clone());
            state.held = None;
            if let Some(read) = &mut state.read {
                read.lease = Some(lease);
            }
        }
        drop(state);
        match intent {
            Some(intent) => self.store.remove(&intent),
            None => Ok(()),
        }
    }

    /// Frees the lease of a publish that does not end well: what it intended stays known to the next.
    fn let_go(&self) {
        let mut state = self.state();
        if let Some(mut held) = state.held.take() {
            held.lease.holder.clear();
            // If this fails too, the lease is taken over once it is not renewed.
            self.renew_now(&mut held).ok();
        }
        state.read = None;
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.let_go();
    }
}

/// A name for a text that no other publish gives to another, nor to the same.
pub(super) fn name_of(lines: &[u8]) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mut hasher = blake3::Hasher::new();
    hasher.update(lines);
    hasher.update(&std::process::id().to_le_bytes());
    hasher.update(&COUNT.fetch_add(1, Ordering::Relaxed).to_le_bytes());
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    hasher.update(&now.as_nanos().to_le_bytes());
    Digest::blake3(hasher.finalize()).hex()[..16].to_owned()
}

impl Chunk {
    /// The name of the text that holds the chunk; another content has another name.
    fn file(&self, section: &str, name: &str) -> String {
        format!("chunks/{section}-{name}-{}.jsonl", &self.digest.hex()[..16])
    }
}

/// Whether a chunk is among what is read.
fn is_read(chunk: &str, extent: Extent<'_>) -> bool {
    extent.holds(grouping::edition_of(chunk))
}

/// The chunk that a key belongs to.
fn chunk_of<E: Entry>(key: &str, depth: usize) -> String {
    grouping::chunk(&E::group(key, depth))
}

/// The chunks of these keys in a manifest that holds all of those.
pub(super) fn chunks_of<E: Entry>(keys: &[String], all: &[String]) -> BTreeSet<String> {
    let depth = grouping::depth(all.iter().map(String::as_str), 1, E::group);
    keys.iter().map(|key| chunk_of::<E>(key, depth)).collect()
}

impl Head {
    /// How many parts of a key choose its chunk in a section: one to begin with.
    fn depth(&self, section: &str) -> usize {
        match self.sections.get(section).is_some_and(|chunks| !chunks.is_empty()) {
            true => self.depths.get(section).copied().unwrap_or(grouping::ALL),
            false => 1,
        }
    }
}

/// The digest of what is compared of these entries.
fn compared<E: Entry>(entries: &BTreeMap<&str, &E>) -> Digest {
    let plain: Vec<(&str, E)> = entries.iter().map(|(k, e)| (*k, e.compared())).collect();
    Digest::of(&manifest::encode_lines(plain.iter().map(|(key, entry)| (*key, entry))))
}
