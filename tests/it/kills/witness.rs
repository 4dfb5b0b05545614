//! An independent reader of a project that was cut off: whatever is claimed somewhere must be so.
//!
//! Reads the records, the objects, the destinations and the files in place by itself, with SQLite
//! and BLAKE3, and shares no code with jheem but the packed form of records.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::project::Project;

/// What one plot, simulation or summary is: city, outcome and value, as its file says.
pub type Made = (String, String, String);

#[expect(dead_code, reason = "the packed form has these parts in this order")]
mod packed {
    use serde::Deserialize;

    #[derive(Clone, Copy, Deserialize, PartialEq)]
    pub enum Algorithm {
        Blake3,
        Sha256,
    }
    pub type Digest = (Algorithm, [u8; 32]);

    #[derive(Deserialize)]
    pub struct Output {
        pub bytes: Digest,
        pub content: Digest,
        pub size: u64,
    }
    #[derive(Deserialize)]
    pub struct Made {
        pub outputs: Vec<Option<Output>>,
        pub judged: Digest,
        pub by_bytes: Digest,
        pub run: String,
    }
    #[derive(Deserialize)]
    pub enum Outcome {
        Made(Made),
        Refused { made: Made, findings: Vec<String> },
        Absent { line: String, pattern: String },
        Failed { message: String, lines: Vec<String> },
    }
    /// The record's first parts; what follows is not read.
    #[derive(Deserialize)]
    pub struct Record {
        pub fingerprint: Digest,
        pub outcome: Outcome,
    }
}

fn hex(digest: &packed::Digest) -> String {
    assert!(digest.0 == packed::Algorithm::Blake3, "an output is known by another digest");
    blake3::Hash::from_bytes(digest.1).to_hex().to_string()
}

fn hash(path: &Path) -> String {
    blake3::hash(&fs::read(path).unwrap()).to_hex().to_string()
}

/// The folders that outputs are placed in.
pub const PLACES: [&str; 3] = ["sims", "plots", "summary"];

/// Checks everything that a cut-off project claims; returns what is recorded as made.
pub fn check(project: &Project, when: &str) -> BTreeSet<Made> {
    check_claims(project, false, when)
}

/// Checks all of that where targets may have failed, and that may be recorded.
pub fn check_after_failures(project: &Project, when: &str) -> BTreeSet<Made> {
    check_claims(project, true, when)
}

fn check_claims(project: &Project, may_fail: bool, when: &str) -> BTreeSet<Made> {
    let recorded = check_records(project, may_fail, when);
    let digests: BTreeSet<&String> = recorded.keys().collect();
    for folder in PLACES {
        for path in project.files(folder) {
            let found = hash(&project.path(&path));
            assert!(digests.contains(&found), "{when}: `{path}` has bytes that no record explains");
        }
    }
    let intended = check_published(project, when);
    check_rows(project, &intended, when);
    recorded.into_values().collect()
}

/// Every object is what its name says, and every recorded output is an object.
fn check_records(project: &Project, may_fail: bool, when: &str) -> BTreeMap<String, Made> {
    let objects = project.path("cache/objects");
    let mut stored = BTreeSet::new();
    for path in project.files("cache/objects") {
        let path = project.path(&path);
        let folder = path.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
        if folder == "tmp" {
            continue;
        }
        let name = format!("{folder}{}", path.file_name().unwrap().to_str().unwrap());
        assert_eq!(hash(&path), name, "{when}: an object is not what its name says");
        stored.insert(name);
    }
    let mut recorded = BTreeMap::new();
    let Some((_copy, database)) = copied(&project.path("cache/records.db")) else {
        return recorded;
    };
    let mut claim = |made: &packed::Made| {
        for output in made.outputs.iter().flatten() {
            let digest = hex(&output.bytes);
            assert!(stored.contains(&digest), "{when}: a record speaks of an object that is lost");
            let path = objects.join(&digest[..2]).join(&digest[2..]);
            let bytes = fs::read(path).unwrap();
            assert_eq!(bytes.len() as u64, output.size, "{when}: a record has another size");
            recorded.insert(digest, made_of(&bytes));
        }
    };
    for bytes in blobs(&database, "SELECT record FROM target") {
        let (record, _) = postcard::take_from_bytes::<packed::Record>(&bytes).unwrap();
        match record.outcome {
            packed::Outcome::Made(made) => claim(&made),
            packed::Outcome::Failed { .. } if may_fail => {}
            packed::Outcome::Failed { message, .. } => {
                panic!("{when}: a failure was recorded: {message}")
            }
            _ => panic!("{when}: something was recorded that did not happen"),
        }
    }
    for bytes in blobs(&database, "SELECT made FROM made") {
        claim(&postcard::from_bytes(&bytes).unwrap());
    }
    recorded
}

/// What a file says that it is.
pub fn made_of(bytes: &[u8]) -> Made {
    let value: Value = serde_json::from_slice(bytes).unwrap();
    let text = |key: &str| value[key].as_str().unwrap().to_owned();
    (text("city"), text("outcome"), text("value"))
}

/// The manifest names what stands there; what stands there is in the manifest or in the intent.
///
/// Returns the keys that an intent names: what stands there may be the old object or the new one.
fn check_published(project: &Project, when: &str) -> BTreeSet<String> {
    let own = project.path("site/.jheem/kills");
    let mut entries: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let digest = |entry: &Value| entry["bytes"].as_str().unwrap().replace("blake3:", "");
    if let Ok(head) = fs::read(own.join("head.json")) {
        let head: Value = serde_json::from_slice(&head).unwrap();
        for (name, chunk) in head["chunks"].as_object().unwrap() {
            let named = chunk["digest"].as_str().unwrap().replace("blake3:", "");
            let path = own.join("chunks").join(format!("{name}-{}.jsonl", &named[..16]));
            assert_eq!(hash(&path), named, "{when}: a chunk of the manifest is another");
            for line in fs::read_to_string(path).unwrap().lines() {
                let (key, entry): (String, Value) = serde_json::from_str(line).unwrap();
                entries.entry(key).or_default().insert(digest(&entry));
            }
        }
    }
    let published: BTreeSet<String> = entries.keys().cloned().collect();
    let mut intended = BTreeSet::new();
    if let Ok(intent) = fs::read_to_string(own.join("intent.jsonl")) {
        for line in intent.lines().skip(1) {
            let (key, entry): (String, Value) = serde_json::from_str(line).unwrap();
            intended.insert(key.clone());
            entries.entry(key).or_default().insert(digest(&entry));
        }
    }
    let standing: BTreeSet<String> = project
        .files("site")
        .into_iter()
        .filter_map(|path| path.strip_prefix("site/").map(str::to_owned))
        .filter(|key| !key.starts_with(".jheem/") && !key.starts_with("plots.db"))
        .collect();
    for key in &published {
        assert!(standing.contains(key), "{when}: the manifest has `{key}`, which is not there");
    }
    for key in &standing {
        let meant = entries.get(key);
        assert!(
            meant.is_some_and(|meant| meant.contains(&hash(&project.path(&format!("site/{key}"))))),
            "{when}: `{key}` is published with bytes that neither manifest nor intent knows"
        );
    }
    intended
}

/// Every row points at an object that is there, with the size that it says.
///
/// An object is replaced before its row, so the row of a key that an intent names may still say
/// the size of the object before.
fn check_rows(project: &Project, intended: &BTreeSet<String>, when: &str) {
    let Some((_copy, database)) = copied(&project.path("site/plots.db")) else { return };
    let table = "SELECT count(*) FROM sqlite_master WHERE name = 'plots'";
    if database.query_row(table, [], |row| row.get::<_, u64>(0)).unwrap() == 0 {
        return;
    }
    let mut statement = database.prepare("SELECT item FROM plots").unwrap();
    let items = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
    for item in items {
        let item: Value = serde_json::from_str(&item.unwrap()).unwrap();
        let key = item["key"]["S"].as_str().unwrap();
        let object = fs::metadata(project.path(&format!("site/{key}")));
        let object =
            object.unwrap_or_else(|_| panic!("{when}: a row names `{key}`, which is not there"));
        let size: u64 = item["size"]["N"].as_str().unwrap().parse().unwrap();
        if !intended.contains(key) {
            assert_eq!(object.len(), size, "{when}: the row of `{key}` has another size");
        }
    }
    let unknown = "SELECT count(*) FROM plots
        WHERE NOT EXISTS (SELECT 1 FROM jheem_manifest WHERE key = json_array(json_object('S', city), json_object('S', outcome)))";
    let unknown: u64 = database.query_row(unknown, [], |row| row.get(0)).unwrap();
    assert_eq!(unknown, 0, "{when}: a row stands that the manifest does not know");
}

/// A copy of a database with its log, so that looking does not tidy up; none if there is none.
fn copied(path: &Path) -> Option<(tempfile::TempDir, rusqlite::Connection)> {
    if !path.exists() {
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.db");
    fs::copy(path, &copy).unwrap();
    for log in ["-wal", "-journal"] {
        let beside = |path: &Path| PathBuf::from(format!("{}{log}", path.display()));
        if beside(path).exists() {
            fs::copy(beside(path), beside(&copy)).unwrap();
        }
    }
    let database = rusqlite::Connection::open(&copy).unwrap();
    let sound: String = database.query_row("PRAGMA integrity_check", [], |r| r.get(0)).unwrap();
    assert_eq!(sound, "ok", "`{}` is damaged", path.display());
    Some((folder, database))
}

fn blobs(database: &rusqlite::Connection, query: &str) -> Vec<Vec<u8>> {
    // Killed before the first commit, the database may have no tables yet.
    let Ok(mut statement) = database.prepare(query) else { return Vec::new() };
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

/// Fails unless a project that was disturbed is in the end as one that never was, and all of it is fresh.
pub fn check_alike(project: &Project, undisturbed: &Project) {
    for project in [project, undisturbed] {
        project.jheem("verify").success();
        // This also writes down what the first of all builds has no folder for yet.
        project.build("").success().targets("fresh=10");
        check_nothing_left(project);
    }
    let contents = |project: &Project| -> BTreeMap<String, Made> {
        let folders = PLACES.iter().chain(&["site/plots"]);
        let files = folders.flat_map(|folder| project.files(folder));
        let read = |path: String| {
            let made = made_of(&fs::read(project.path(&path)).unwrap());
            (path, made)
        };
        files.map(read).collect()
    };
    assert_eq!(contents(project), contents(undisturbed), "other contents");
    let (here, there) = (tree(project), tree(undisturbed));
    let more: Vec<_> = here.iter().filter(|entry| !there.contains_key(entry.0)).collect();
    let fewer: Vec<_> = there.iter().filter(|entry| !here.contains_key(entry.0)).collect();
    assert!(more.is_empty() && fewer.is_empty(), "{more:?} should not be there, {fewer:?} should");
    assert_eq!(here, there, "other modes");
}

/// Fails unless nothing is left of runs and writers: scratch, temporary files, processes, containers.
pub fn check_nothing_left(project: &Project) {
    let temporary = |path: &String| {
        ["cache/scratch/", "cache/objects/tmp/", "site/.jheem/.tmp/"]
            .iter()
            .any(|folder| path.starts_with(folder))
            || path.contains(".jheem-")
            || path.ends_with("-journal")
    };
    let left: Vec<String> = tree(project).into_keys().filter(temporary).collect();
    assert_eq!(left, Vec::<String>::new(), "temporary files are left");
    assert_eq!(processes(project), Vec::<String>::new(), "processes are left");
    assert_eq!(containers(project), "", "containers are left");
}

/// Everything in a project, folders too, and its mode; less what tells its history.
///
/// Logs are of runs, objects are of everything that was ever made, and a chunk of the site's
/// manifest is named after its bytes.
pub fn tree(project: &Project) -> BTreeMap<String, String> {
    let mut tree = BTreeMap::new();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(project.path(&folder)).unwrap() {
            let entry = entry.unwrap();
            let path = format!("{folder}{}", entry.file_name().to_str().unwrap());
            let metadata = entry.metadata().unwrap();
            if metadata.is_dir() {
                folders.push(format!("{path}/"));
            }
            if path.starts_with("cache/logs/") || is_object(&path) {
                continue;
            }
            let name = match path.strip_prefix("site/.jheem/kills/chunks/") {
                Some(chunk) => format!("chunk {}", chunk.split_once('-').unwrap().0),
                None => path,
            };
            tree.insert(name, format!("{:o}", metadata.permissions().mode()));
        }
    }
    tree
}

/// Whether an object stands there, or a folder for some.
fn is_object(path: &str) -> bool {
    let below = path.strip_prefix("cache/objects/");
    below.is_some_and(|below| !below.starts_with("tmp"))
}

/// The containers of a project's runs, by number; none where there is no daemon.
fn containers(project: &Project) -> String {
    let label = format!("label=jheem.owner={}", owner(project));
    let arguments = ["ps", "--all", "--quiet", "--filter", &label];
    let listed = Command::new("docker").args(arguments).output();
    listed.map_or_else(|_| String::new(), |out| String::from_utf8(out.stdout).unwrap())
}

/// The input files whose digests the records remember.
pub fn remembered(project: &Project) -> BTreeSet<String> {
    let (_copy, database) = copied(&project.path("cache/records.db")).expect("there are records");
    let mut statement = database.prepare("SELECT path FROM input").unwrap();
    let paths = statement.query_map([], |row| row.get(0)).unwrap();
    paths.map(Result::unwrap).collect()
}

/// How jheem names this project's cache among all on the machine.
pub fn owner(project: &Project) -> String {
    let cache = project.path("cache");
    blake3::hash(cache.as_os_str().as_encoded_bytes()).to_hex()[..16].to_owned()
}

/// The processes that runs of this project started, by number.
pub fn processes(project: &Project) -> Vec<String> {
    let mark = format!("JHEEM_RUN={}/", owner(project));
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
        if String::from_utf8_lossy(&environment).contains(&mark) {
            found.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    found
}
