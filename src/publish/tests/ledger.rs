//! The ledger of a remote place, over a store in memory that can be cut off after any request.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::aws::s3::{Expect, Got, Put};
use crate::digest::Digest;
use crate::error::{Error, Kind, Result};
use crate::publish::ledger::{Ledger, Store};
use crate::publish::manifest::ObjectEntry;
use crate::publish::{Extent, Step};

/// Bytes and versions by name.
type Texts = BTreeMap<String, (Vec<u8>, u64)>;

/// Texts with versions; all clones are the same store.
#[derive(Clone, Default)]
struct Memory {
    texts: Arc<Mutex<Texts>>,
    /// Names that were asked for or written, in order.
    asked: Arc<Mutex<Vec<String>>>,
    /// How many more requests are answered, if not all.
    left: Arc<Mutex<Option<usize>>>,
}

impl Memory {
    fn request(&self, what: String) -> Result<()> {
        let mut left = self.left.lock().unwrap();
        if let Some(left) = left.as_mut() {
            if *left == 0 {
                return Err(Error::environment("cut off"));
            }
            *left -= 1;
        }
        self.asked.lock().unwrap().push(what);
        Ok(())
    }

    fn take_asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    /// Who holds the lease; nobody if it is free.
    fn holder(&self) -> String {
        let texts = self.texts.lock().unwrap();
        let lease =
            texts.get("lease.json").map(|(bytes, _)| serde_json::from_slice(bytes).unwrap());
        lease.map_or_else(String::new, |lease: serde_json::Value| {
            lease["holder"].as_str().unwrap().to_owned()
        })
    }

    fn names(&self) -> Vec<String> {
        self.texts.lock().unwrap().keys().cloned().collect()
    }
}

impl Store for Memory {
    fn get(&self, names: &[String]) -> Result<Vec<Option<Got>>> {
        let one = |name: &String| {
            self.request(format!("get {name}"))?;
            let texts = self.texts.lock().unwrap();
            Ok(texts
                .get(name)
                .map(|(bytes, version)| Got { bytes: bytes.clone(), version: version.to_string() }))
        };
        names.iter().map(one).collect()
    }

    fn put(&self, name: &str, bytes: Vec<u8>, expect: Expect) -> Result<Put> {
        self.request(format!("put {name}"))?;
        let mut texts = self.texts.lock().unwrap();
        let there = texts.get(name).map(|(_, version)| version.to_string());
        let fits = match expect {
            Expect::Anything => true,
            Expect::Nothing => there.is_none(),
            Expect::Version(version) => there == Some(version),
        };
        if !fits {
            return Ok(Put::Unexpected);
        }
        let version = texts.values().map(|(_, version)| *version).max().unwrap_or_default() + 1;
        texts.insert(name.to_owned(), (bytes, version));
        Ok(Put::Done(version.to_string()))
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.request(format!("remove {name}"))?;
        self.texts.lock().unwrap().remove(name);
        Ok(())
    }

    fn list(&self) -> Result<Vec<(String, i64)>> {
        self.request("list".into())?;
        let texts = self.texts.lock().unwrap();
        let since = |version: &u64| i64::try_from(*version).unwrap();
        Ok(texts.iter().map(|(name, (_, version))| (name.clone(), since(version))).collect())
    }
}

fn ledger(store: &Memory, holder: &str) -> Ledger {
    let ledger =
        Ledger::new(Box::new(store.clone()), "s3://bucket".into(), "rw", holder, &Step::begin());
    ledger.dead_after(Duration::from_millis(30))
}

fn entry(content: &str) -> ObjectEntry {
    let digest = Digest::of(content.as_bytes());
    ObjectEntry {
        publish: "plots".into(),
        content: digest,
        bytes: digest,
        judged: Digest::of(b"json"),
        packed: None,
        size: 1,
        headers: Default::default(),
        uncompared: BTreeMap::from([("timestamp".into(), content.into())]),
        version: None,
        attested: false,
        held: false,
    }
}

/// Three cities with two plots each, all of one content.
fn plots(content: &str) -> BTreeMap<String, ObjectEntry> {
    let keys =
        ["A", "B", "C"].iter().flat_map(|city| ["x", "y"].map(|plot| format!("{city}/{plot}")));
    keys.map(|key| (key.clone(), entry(&format!("{key} {content}")))).collect()
}

/// Objects as they stand at the place, and how often each was written.
#[derive(Default)]
struct Standing {
    objects: BTreeMap<String, Digest>,
    writes: BTreeMap<(String, Digest), usize>,
}

/// One publish as a place of objects does it; each object put is one more request.
fn publish(
    store: &Memory,
    holder: &str,
    wanted: &BTreeMap<String, ObjectEntry>,
    standing: &mut Standing,
) -> Result<usize> {
    let ledger = ledger(store, holder);
    ledger.wait(&mut |_| {})?;
    let section = ledger.section("objects", wanted, Extent::Whole)?;
    let meant = section
        .intended
        .iter()
        .filter(|(key, entry)| standing.objects.get(key) == Some(&entry.bytes));
    let recovered: BTreeMap<String, ObjectEntry> = meant.cloned().collect();
    let known = |key: &String| recovered.get(key).or_else(|| section.entries.get(key));
    let changed: BTreeMap<String, ObjectEntry> = wanted
        .iter()
        .filter(|(key, entry)| known(key).is_none_or(|known| known.bytes != entry.bytes))
        .map(|(key, entry)| (key.clone(), entry.clone()))
        .collect();
    if changed.is_empty() && !section.unfinished {
        return Ok(0);
    }
    let intent: Vec<_> = recovered.iter().chain(&changed).collect();
    ledger.begin("objects", intent.iter().map(|(key, entry)| (key.as_str(), *entry)))?;
    for (key, entry) in &changed {
        // The answer to a write that was cut off may be lost, and the write done.
        standing.objects.insert(key.clone(), entry.bytes);
        *standing.writes.entry((key.clone(), entry.bytes)).or_default() += 1;
        store.request(format!("object {key}"))?;
    }
    let mut all = recovered.clone();
    all.extend(changed.clone());
    ledger.commit("objects", &all, &BTreeSet::new())?;
    ledger.end("objects")?;
    Ok(changed.len())
}

fn published(store: &Memory) -> BTreeMap<String, Digest> {
    let section = ledger(store, "reader")
        .section::<ObjectEntry>("objects", &BTreeMap::new(), Extent::Whole)
        .unwrap();
    section.entries.into_iter().map(|(key, entry)| (key, entry.bytes)).collect()
}

#[test]
fn what_is_there_as_it_is_wanted_costs_two_requests_and_no_write() {
    let store = Memory::default();
    let mut standing = Standing::default();
    assert_eq!(publish(&store, "one", &plots("1"), &mut standing).unwrap(), 6);
    store.take_asked();
    assert_eq!(publish(&store, "another machine", &plots("1"), &mut standing).unwrap(), 0);
    assert_eq!(store.take_asked(), ["get head.json", "get lease.json"]);
}

/// So many plots of each of these cities, with three scenarios each.
fn grid(cities: std::ops::Range<usize>, plots: usize) -> BTreeMap<String, ObjectEntry> {
    let key = |city, plot: usize| format!("rw/C.{city}/{}/{plot}.json", ["a", "b", "c"][plot % 3]);
    let keys = cities.flat_map(|city| (0..plots).map(move |plot| key(city, plot)));
    keys.map(|key| (key.clone(), entry(&key))).collect()
}

/// How many chunks were read and written since this was asked last.
fn chunks_moved(store: &Memory) -> (usize, usize) {
    let asked = store.take_asked();
    let of = |verb: &str| {
        let begins = format!("{verb} chunks/");
        asked.iter().filter(|asked| asked.starts_with(&begins)).collect::<BTreeSet<_>>().len()
    };
    (of("get"), of("put"))
}

#[test]
fn a_city_is_one_chunk_however_many_scenarios_it_has_and_however_the_manifest_grew() {
    let (store, mut standing) = (Memory::default(), Standing::default());
    publish(&store, "one", &grid(0..1, 1000), &mut standing).unwrap();
    assert_eq!(chunks_moved(&store), (0, 1));
    publish(&store, "one", &grid(0..6, 1000), &mut standing).unwrap();
    assert_eq!(chunks_moved(&store).1, 6, "what became too large is parted by the cities");
    assert_eq!(published(&store).len(), 6000);
    store.take_asked();
    // All of one city changes.
    let mut wanted = grid(0..6, 1000);
    let of_city = wanted.iter_mut().filter(|(key, _)| key.starts_with("rw/C.3/"));
    of_city.for_each(|(_, entry)| entry.content = Digest::of(b"new"));
    let of_city = wanted.iter_mut().filter(|(key, _)| key.starts_with("rw/C.3/"));
    of_city.for_each(|(_, entry)| entry.bytes = Digest::of(b"new"));
    assert_eq!(publish(&store, "another", &wanted, &mut standing).unwrap(), 1000);
    assert_eq!(chunks_moved(&store), (1, 1));
    assert_eq!(publish(&store, "another", &wanted, &mut standing).unwrap(), 0);
    assert_eq!(chunks_moved(&store), (0, 0));
    assert_eq!(published(&store).values().filter(|d| **d == Digest::of(b"new")).count(), 1000);
}

#[test]
fn a_manifest_that_was_begun_by_whole_folders_goes_on_so() {
    let (store, mut standing) = (Memory::default(), Standing::default());
    let all = grid(0..2, 6);
    // As a jheem wrote it that counted no parts: a chunk for each folder, by the digest of its name.
    let mut chunks = serde_json::Map::new();
    for folder in all.keys().map(|key| key.rsplit_once('/').unwrap().0).collect::<BTreeSet<_>>() {
        let of_it: BTreeMap<_, _> =
            all.iter().filter(|(key, _)| key.rsplit_once('/').unwrap().0 == folder).collect();
        let lines = crate::publish::manifest::encode_lines(
            of_it.iter().map(|(key, entry)| (key.as_str(), *entry)),
        );
        let (digest, name) = (Digest::of(&lines), &Digest::of(folder.as_bytes()).hex()[..2]);
        let file = format!("chunks/objects-{name}-{}.jsonl", &digest.hex()[..16]);
        store.put(&file, lines, Expect::Nothing).unwrap();
        let chunk =
            serde_json::json!({ "digest": digest, "compared": digest, "entries": of_it.len() });
        chunks.insert(name.to_owned(), chunk);
    }
    assert_eq!(chunks.len(), 6);
    let head = serde_json::json!({ "format": 1, "owner": "rw", "sections": { "objects": chunks } });
    store.put("head.json", head.to_string().into_bytes(), Expect::Nothing).unwrap();
    for (key, entry) in &all {
        standing.objects.insert(key.clone(), entry.bytes);
    }
    assert_eq!(published(&store).len(), 12);
    let mut wanted = all.clone();
    wanted.insert("rw/C.1/b/1.json".into(), entry("new"));
    store.take_asked();
    assert_eq!(publish(&store, "one", &wanted, &mut standing).unwrap(), 1);
    assert_eq!(chunks_moved(&store).1, 1);
    assert_eq!(published(&store)["rw/C.1/b/1.json"], Digest::of(b"new"));
    assert_eq!(published(&store).len(), 12, "no key stands in two chunks");
}

#[test]
fn what_is_owed_stays_until_it_is_paid_whoever_publishes() {
    let (store, mut standing) = (Memory::default(), Standing::default());
    let lines = |lines: &[&str]| lines.iter().map(|l| (*l).to_owned()).collect::<BTreeSet<_>>();
    publish(&store, "one", &plots("1"), &mut standing).unwrap();
    let owing = |holder: &str| ledger(&store, holder).owing().unwrap();
    assert_eq!(owing("one"), lines(&[]));
    let none: [(&str, &ObjectEntry); 0] = [];
    {
        let one = ledger(&store, "one");
        one.section::<ObjectEntry>("objects", &BTreeMap::new(), Extent::Whole).unwrap();
        one.begin("objects", none).unwrap();
        one.owe("E1", lines(&["/a", "/b"])).unwrap();
        one.owe("E1", lines(&["/b"])).unwrap();
        one.owe("E2", lines(&["/z"])).unwrap();
        // It stops here, and lets go of the lease.
    }
    assert_eq!(owing("two"), lines(&["E1", "E2"]));
    publish(&store, "two", &plots("2"), &mut standing).unwrap();
    let two = ledger(&store, "two");
    two.section::<ObjectEntry>("objects", &BTreeMap::new(), Extent::Whole).unwrap();
    two.begin("objects", none).unwrap();
    two.owe("E1", lines(&["/c"])).unwrap();
    let owed = two.owed("E1").unwrap().unwrap();
    assert_eq!(owed.lines, lines(&["/a", "/b", "/c"]));
    two.paid("E1", &owed).unwrap();
    assert!(two.owed("E1").unwrap().is_none());
    two.end("objects").unwrap();
    assert_eq!(owing("one"), lines(&["E2"]));
    let left = store.names().into_iter().filter(|name| name.starts_with("owed/")).count();
    assert_eq!(left, 1, "what is paid is not kept");
}

#[test]
fn what_no_head_names_is_swept_and_whoever_reads_an_older_head_reads_again() {
    let store = Memory::default();
    let mut standing = Standing::default();
    publish(&store, "one", &plots("1"), &mut standing).unwrap();
    let reader = ledger(&store, "reader");
    reader.wait(&mut |_| {}).unwrap();
    publish(&store, "one", &plots("2"), &mut standing).unwrap();
    store.put("intents/left-over.jsonl", Vec::new(), Expect::Anything).unwrap();
    // As if the history ended long ago.
    let first: Vec<String> =
        store.names().into_iter().filter(|n| n.starts_with("chunks/")).collect();
    let named =
        std::str::from_utf8(&store.texts.lock().unwrap()["head.json"].0).unwrap().to_owned();
    for chunk in first {
        let digest = chunk.rsplit('-').next().unwrap().trim_end_matches(".jsonl");
        if !named.contains(digest) {
            store.remove(&chunk).unwrap();
        }
    }
    let sweeper = ledger(&store, "one");
    assert!(sweeper.sweep().is_err(), "only who holds the lease may sweep");
    sweeper.begin::<ObjectEntry>("objects", []).unwrap();
    assert_eq!(sweeper.sweep().unwrap(), 1, "the intent; earlier chunks are of the history");
    sweeper.end("objects").unwrap();
    let section =
        reader.section::<ObjectEntry>("objects", &BTreeMap::new(), Extent::Whole).unwrap();
    assert_eq!(section.entries, plots("2"));
}

#[test]
fn ten_earlier_manifests_are_kept_with_the_chunks_that_they_name() {
    let store = Memory::default();
    let mut standing = Standing::default();
    for publish_number in 0..13 {
        let wanted = plots(&publish_number.to_string());
        publish(&store, "one", &wanted, &mut standing).unwrap();
    }
    let now = ledger(&store, "one");
    let history = now.history().unwrap();
    assert_eq!(history.len(), 11, "ten, and the last one");
    now.begin::<ObjectEntry>("objects", []).unwrap();
    now.sweep().unwrap();
    now.end("objects").unwrap();
    let kept = store.names().into_iter().filter(|name| name.starts_with("history/"));
    assert_eq!(kept.count(), 10);
    for (stamp, publish_number) in history.iter().zip(2..) {
        let past = now.past::<ObjectEntry>("objects", &stamp.id, Extent::Whole).unwrap().unwrap();
        assert_eq!(past, plots(&publish_number.to_string()));
        assert_eq!(stamp.changed, 6);
    }
    assert!(now.past::<ObjectEntry>("objects", "nobody's", Extent::Whole).unwrap().is_none());
}

#[test]
fn a_change_reads_and_rewrites_the_chunk_of_its_folder_alone() {
    let store = Memory::default();
    let mut standing = Standing::default();
    publish(&store, "one", &plots("1"), &mut standing).unwrap();
    let before = store.names();
    store.take_asked();
    let mut wanted = plots("1");
    wanted.insert("B/x".into(), entry("B/x 2"));
    assert_eq!(publish(&store, "one", &wanted, &mut standing).unwrap(), 1);
    let chunks = |verb: &str, asked: &[String]| {
        let chunks: BTreeSet<&String> =
            asked.iter().filter(|a| a.starts_with(&format!("{verb} chunks/"))).collect();
        chunks.len()
    };
    let asked = store.take_asked();
    assert_eq!((chunks("get", &asked), chunks("put", &asked)), (1, 1), "{asked:?}");
    assert_eq!(published(&store)["B/x"], Digest::of(b"B/x 2"));
    let kept = before.iter().filter(|name| !store.names().contains(name)).count();
    assert_eq!(kept, 0, "what an earlier head named stays for who still reads it");
}

#[test]
fn what_is_never_compared_stays_as_it_was_published() {
    let store = Memory::default();
    let mut standing = Standing::default();
    publish(&store, "one", &plots("1"), &mut standing).unwrap();
    let mut wanted = plots("1");
    for entry in wanted.values_mut() {
        entry.uncompared.insert("timestamp".into(), "later".into());
    }
    assert_eq!(publish(&store, "one", &wanted, &mut standing).unwrap(), 0);
    wanted.insert("B/x".into(), entry("B/x 2"));
    publish(&store, "one", &wanted, &mut standing).unwrap();
    let section = ledger(&store, "reader")
        .section::<ObjectEntry>("objects", &BTreeMap::new(), Extent::Whole)
        .unwrap();
    assert_eq!(section.entries["B/y"].uncompared["timestamp"], "B/y 1");
}

#[test]
fn cut_off_after_any_request_the_next_publish_goes_on_and_writes_nothing_twice_but_what_was_in_flight()
 {
    for holder in ["one", "another machine"] {
        for cut in 0.. {
            let store = Memory::default();
            let mut standing = Standing::default();
            publish(&store, "one", &plots("1"), &mut standing).unwrap();
            *store.left.lock().unwrap() = Some(cut);
            let ended = publish(&store, "one", &plots("2"), &mut standing);
            *store.left.lock().unwrap() = None;
            for (key, bytes) in published(&store) {
                let written = standing.writes.contains_key(&(key.clone(), bytes));
                assert!(written, "cut at {cut}: the manifest says {key} is what was never written");
            }
            publish(&store, holder, &plots("2"), &mut standing).unwrap();
            let wanted = plots("2").into_iter().map(|(key, entry)| (key, entry.bytes)).collect();
            assert_eq!(published(&store), wanted, "cut at {cut}");
            assert_eq!(standing.objects, wanted, "cut at {cut}");
            let twice: Vec<_> = standing.writes.iter().filter(|(_, count)| **count > 1).collect();
            assert!(twice.is_empty(), "cut at {cut}: {twice:?}");
            assert_eq!(store.holder(), "", "cut at {cut}");
            if ended.is_ok() {
                assert!(cut > 10, "a publish takes more than {cut} requests");
                break;
            }
        }
    }
}

#[test]
fn of_two_who_publish_at_once_one_goes_first() {
    let store = Memory::default();
    let (first, second) = (ledger(&store, "one"), ledger(&store, "two"));
    let (one, two) = (plots("1"), plots("2"));
    let lines = |wanted: &BTreeMap<String, ObjectEntry>| -> Vec<(String, ObjectEntry)> {
        wanted.clone().into_iter().collect()
    };
    let (one, two) = (lines(&one), lines(&two));
    first.section::<ObjectEntry>("objects", &BTreeMap::new(), Extent::Whole).unwrap();
    second.section::<ObjectEntry>("objects", &BTreeMap::new(), Extent::Whole).unwrap();
    first.begin("objects", one.iter().map(|(k, e)| (k.as_str(), e))).unwrap();
    let error = second.begin("objects", two.iter().map(|(k, e)| (k.as_str(), e))).unwrap_err();
    assert_eq!(error.kind, Kind::Locked, "{error}");
    first.commit("objects", &one.iter().cloned().collect(), &BTreeSet::new()).unwrap();
    first.end("objects").unwrap();
    // What the second had read is no longer so.
    let error = second.begin("objects", two.iter().map(|(k, e)| (k.as_str(), e))).unwrap_err();
    assert!(error.message.contains("while this publish was planned"), "{error}");
    assert_eq!(store.holder(), "");
}

#[test]
fn whoever_was_thought_dead_writes_no_manifest() {
    let store = Memory::default();
    let slow = ledger(&store, "slow");
    let wanted: Vec<_> = plots("1").into_iter().collect();
    slow.section::<ObjectEntry>("objects", &BTreeMap::new(), Extent::Whole).unwrap();
    slow.begin("objects", wanted.iter().map(|(k, e)| (k.as_str(), e))).unwrap();
    let mut told = Vec::new();
    let other = ledger(&store, "other");
    other.wait(&mut |message| told.push(message)).unwrap();
    assert!(
        told[0].contains("published to by slow") && told[1].contains("slow is gone"),
        "{told:?}"
    );
    let section = other.section::<ObjectEntry>("objects", &BTreeMap::new(), Extent::Whole).unwrap();
    assert_eq!(section.intended.len(), 6, "what the dead was about to put is known");
    let mut standing = Standing::default();
    publish(&store, "other", &plots("2"), &mut standing).unwrap();
    let error =
        slow.commit("objects", &wanted.into_iter().collect(), &BTreeSet::new()).unwrap_err();
    assert!(error.message.contains("replaced by another jheem"), "{error}");
    let bytes = plots("2").into_iter().map(|(key, entry)| (key, entry.bytes)).collect();
    assert_eq!(published(&store), bytes);
}

#[test]
fn what_two_killed_publishes_have_put_is_known_to_the_third() {
    let store = Memory::default();
    let mut standing = Standing::default();
    publish(&store, "one", &plots("1"), &mut standing).unwrap();
    // Killed after some objects stand; then again before the first of other ones does.
    for (content, cut) in [("2", 9), ("3", 6)] {
        *store.left.lock().unwrap() = Some(cut);
        publish(&store, "one", &plots(content), &mut standing).unwrap_err();
        *store.left.lock().unwrap() = None;
    }
    assert!(standing.objects.values().any(|bytes| *bytes == Digest::of(b"A/x 2")));
    publish(&store, "one", &plots("1"), &mut standing).unwrap();
    let wanted: BTreeMap<_, _> =
        plots("1").into_iter().map(|(key, entry)| (key, entry.bytes)).collect();
    assert_eq!(standing.objects, wanted, "what was wanted last stands");
    assert_eq!(published(&store), wanted);
}

#[test]
fn a_publish_that_fails_leaves_a_free_lease_and_its_intent() {
    let store = Memory::default();
    let wanted: Vec<_> = plots("1").into_iter().collect();
    let failing = ledger(&store, "one");
    failing.section::<ObjectEntry>("objects", &BTreeMap::new(), Extent::Whole).unwrap();
    failing.begin("objects", wanted.iter().map(|(k, e)| (k.as_str(), e))).unwrap();
    assert_eq!(store.holder(), "one");
    drop(failing);
    assert_eq!(store.holder(), "", "another machine need not wait");
    let other = ledger(&store, "other");
    other.wait(&mut |message| panic!("{message}")).unwrap();
    let section = other.section::<ObjectEntry>("objects", &BTreeMap::new(), Extent::Whole).unwrap();
    assert_eq!(section.intended.len(), 6);
    // A section of another destination has nothing to do with it.
    let section = other
        .section::<ObjectEntry>("objects-of-another", &BTreeMap::new(), Extent::Whole)
        .unwrap();
    assert!(!section.unfinished && section.intended.is_empty());
}
