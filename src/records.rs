//! What earlier builds left: the embedded database under `cache/`.
//!
//! SQLite in WAL mode: readers never wait for a build, a build never waits for readers, and a kill
//! loses at most what was not committed. Knows no graph: keys and fingerprints are made elsewhere.

use std::collections::{HashMap, HashSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::memo;

mod prune;

/// The format of everything in the database; another version is set aside and begun anew.
const VERSION: i64 = 2;

/// How many records are unpacked at a time.
const TOGETHER: usize = 2048;

/// Names a target and a group of its outputs across builds, whatever the order of the Jheemfile.
pub type Key = [u8; 16];

/// The key of a text that names a target.
pub fn key(name: &str) -> Key {
    let hash = blake3::hash(name.as_bytes());
    hash.as_bytes()[..16].try_into().expect("a hash has 32 bytes")
}

/// One output as it was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeOutput {
    pub bytes: Digest,
    pub content: Digest,
    pub size: u64,
}

/// What a fingerprint once gave: enough to put it back without a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// In the order of the paths that the run saw; none for an optional output that was not made.
    pub outputs: Vec<Option<MadeOutput>>,
    /// The digest of how content was told and audited.
    pub judged: Digest,
    /// The fingerprint with the digests of bytes in place of contents.
    pub by_bytes: Digest,
    /// The run that made it.
    pub run: String,
}

/// How the last attempt at a target ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    Made(Made),
    /// Made, but refused by the audit; the outputs are kept to be judged again.
    Refused {
        made: Made,
        findings: Vec<String>,
    },
    /// The container said that it cannot exist.
    Absent {
        line: String,
        /// Empty once somebody accepted it.
        pattern: String,
    },
    Failed {
        message: String,
        lines: Vec<String>,
    },
}

impl Outcome {
    /// Whether it is an absence that somebody accepted.
    pub fn is_accepted(&self) -> bool {
        matches!(self, Outcome::Absent { pattern, .. } if pattern.is_empty())
    }
}

/// What the last attempt at a target left.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub fingerprint: Digest,
    pub outcome: Outcome,
    /// The lines of the fingerprint, as numbers of the shared table.
    pub lines: Vec<u32>,
    /// For each output, what is remembered of its file.
    pub memo: Vec<Option<memo::Entry>>,
    pub run: String,
    /// Whether any attempt ever made it.
    pub ever_made: bool,
    /// Seconds since 1970.
    pub at: u64,
}

/// One run, as the log of runs lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    pub id: String,
    pub rule: String,
    /// What was started, for people: an image or a program and its arguments.
    pub command: String,
    pub targets: u64,
    pub started: u64,
    pub milliseconds: u64,
    /// In words: `code 0`, `out of memory`.
    pub exit: String,
}

/// A learned absence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Absence {
    pub line: String,
    pub pattern: String,
}

/// A publish that needed nothing when it was last looked at whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    /// The digest of all that it was asked to publish.
    pub asked: Digest,
    /// Objects and rows, all of which stood there.
    pub unchanged: usize,
    pub orphaned: usize,
    /// Files and folders, none where nothing stood, that cannot stay the same when the destination changes.
    pub watched: Vec<(String, Option<memo::Stat>)>,
    /// When they were looked at, which was before the destination was read.
    pub seen: memo::Nanos,
}

/// What runs of one runner cost, learned from those that were made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Seconds before the first target.
    pub startup: f64,
    /// Seconds for each target.
    pub each: f64,
    pub runs: u64,
}

/// The open database.
pub struct Records {
    connection: Connection,
    path: PathBuf,
    /// Numbers of lines that are known already.
    numbers: HashMap<String, u32>,
}

impl Records {
    /// Opens the database of a cache folder for a build, creating it if need be.
    ///
    /// A damaged database, or one of another format, is set aside and begun anew: everything in
    /// it can be learned again from runs.
    pub fn open(cache: &Path) -> Result<(Records, Option<String>)> {
        let path = cache.join("records.db");
        if suspicion(&path).exists() {
            let (records, told) = Records::anew(&path, FOUND_DAMAGED)?;
            return Ok((records, Some(told)));
        }
        match Records::try_open(&path) {
            Ok(records) => Ok((records, None)),
            Err(problem) if is_damage(&path, &problem) => {
                let (records, told) = Records::anew(&path, &problem.to_string())?;
                Ok((records, Some(told)))
            }
            Err(problem) => Err(failed(&path, &problem)),
        }
    }

    /// Sets a damaged database aside and begins anew; says so.
    fn anew(path: &Path, problem: &str) -> Result<(Records, String)> {
        let aside = set_aside(path)?;
        // Without a file that says so there is nothing to forget.
        let _forgotten = std::fs::remove_file(suspicion(path));
        let records = Records::try_open(path).map_err(|e| failed(path, &e))?;
        let told = format!(
            "the records in `{}` could not be read ({problem}); they were set aside as `{}`",
            path.display(),
            aside.display()
        );
        Ok((records, told))
    }

    /// What is wrong with the database as a whole, if anything is. Reads all of it, so it is asked
    /// only after something failed.
    pub fn damage(&self) -> Option<String> {
        let checked: rusqlite::Result<String> =
            self.connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0));
        match checked {
            Ok(word) if word == "ok" => None,
            Ok(found) => Some(found),
            Err(problem) => Some(problem.to_string()),
        }
    }

    /// Sets these records aside if they are damaged; returns new ones and what to say of it.
    pub fn replaced(self) -> Result<std::result::Result<(Records, String), Records>> {
        let suspected = suspicion(&self.path).exists().then(|| FOUND_DAMAGED.to_owned());
        let Some(problem) = suspected.or_else(|| self.damage()) else { return Ok(Err(self)) };
        let path = self.path.clone();
        drop(self);
        Records::anew(&path, &problem).map(Ok)
    }

    fn try_open(path: &Path) -> rusqlite::Result<Records> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(std::time::Duration::from_secs(20))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if version == 0 {
            // At once with the tables: a kill in between would leave them without a version.
            let version = format!("PRAGMA user_version = {VERSION};");
            connection.execute_batch(&format!("BEGIN;{SCHEMA}{version}COMMIT;"))?;
        } else if version != VERSION {
            return Err(rusqlite::Error::SqliteFailure(
                rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_NOTADB),
                Some(format!("it has format {version}, not {VERSION}")),
            ));
        }
        connection.execute_batch(CAUSES)?;
        connection.execute_batch(TWINS)?;
        Ok(Records { connection, path: path.to_owned(), numbers: HashMap::new() })
    }

    /// Opens the database to read only, beside a build or without one; none if there is none yet.
    pub fn read(cache: &Path) -> Result<Option<Records>> {
        let path = cache.join("records.db");
        if !path.exists() {
            return Ok(None);
        }
        let open = |name: &Path, flags: OpenFlags| {
            let flags = flags | OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(name, flags)?;
            connection.busy_timeout(std::time::Duration::from_secs(20))?;
            let version: i64 =
                connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
            Ok((connection, version))
        };
        let mut opened = open(&path, OpenFlags::empty());
        // Readers leave a mark beside the database. Who may not write there reads it as it stands,
        // which is whole unless a build is going on: only then is there a log beside it.
        if opened.as_ref().is_err_and(may_not_write) && !path.with_extension("db-wal").exists() {
            opened = open(&unchanging(&path), OpenFlags::SQLITE_OPEN_URI);
        }
        match opened {
            Ok((connection, VERSION)) => {
                Ok(Some(Records { connection, path, numbers: HashMap::new() }))
            }
            // The next build begins anew; until then nothing is known.
            Ok(_) => Ok(None),
            Err(problem) if is_damage(&path, &problem) => Ok(None),
            Err(problem) => Err(failed(&path, &problem)),
        }
    }

    fn fail<T>(&self, result: rusqlite::Result<T>) -> Result<T> {
        result.map_err(|problem| failed(&self.path, &problem))
    }

    /// The last record of every target.
    pub fn all(&self) -> Result<HashMap<Key, Record>> {
        let read = || -> rusqlite::Result<HashMap<Key, Record>> {
            let mut statement = self.connection.prepare("SELECT key, record FROM target")?;
            let mut rows = statement.query([])?;
            // Unpacking takes longer than reading, so other threads unpack while this one reads on.
            let (sender, unpacked) = std::sync::mpsc::channel();
            rayon::in_place_scope(|scope| -> rusqlite::Result<()> {
                let mut some: Vec<(Key, Vec<u8>)> = Vec::new();
                loop {
                    let row = rows.next()?;
                    if let Some(row) = row
                        && let Ok(key) = row.get_ref(0)?.as_blob()?.try_into()
                    {
                        some.push((key, row.get_ref(1)?.as_blob()?.to_vec()));
                    }
                    if some.len() == TOGETHER || row.is_none() {
                        let (sender, packed) = (sender.clone(), std::mem::take(&mut some));
                        scope.spawn(move |_| {
                            // A row that does not read back is as good as none: the target is judged anew.
                            let read = |(key, packed): (Key, Vec<u8>)| {
                                Some((key, postcard::from_bytes::<Record>(&packed).ok()?))
                            };
                            let records: Vec<_> = packed.into_iter().filter_map(read).collect();
                            // The receiver stays until all are done.
                            let _sent = sender.send(records);
                        });
                    }
                    if row.is_none() {
                        return Ok(());
                    }
                }
            })?;
            drop(sender);
            let unpacked: Vec<Vec<(Key, Record)>> = unpacked.into_iter().collect();
            let mut by_key = HashMap::with_capacity(unpacked.iter().map(Vec::len).sum());
            by_key.extend(unpacked.into_iter().flatten());
            Ok(by_key)
        };
        self.fail(read())
    }

    /// The last record of one target.
    pub fn one(&self, key: &Key) -> Result<Option<Record>> {
        let read = || -> rusqlite::Result<Option<Vec<u8>>> {
            let mut statement =
                self.connection.prepare_cached("SELECT record FROM target WHERE key = ?1")?;
            statement.query_row(params![&key[..]], |row| row.get(0)).optional()
        };
        Ok(self.fail(read())?.and_then(|bytes| postcard::from_bytes(&bytes).ok()))
    }

    /// What a fingerprint once gave.
    pub fn made(&self, fingerprint: &Digest) -> Result<Option<Made>> {
        self.find_made("SELECT made FROM made WHERE fingerprint = ?1", fingerprint)
    }

    /// What a fingerprint by bytes once gave: what was made before only the judging of an upstream changed.
    pub fn made_by_bytes(&self, by_bytes: &Digest) -> Result<Option<Made>> {
        self.find_made("SELECT made FROM made WHERE by_bytes = ?1 ORDER BY rowid DESC", by_bytes)
    }

    fn find_made(&self, query: &str, digest: &Digest) -> Result<Option<Made>> {
        let read = || -> rusqlite::Result<Option<Vec<u8>>> {
            let mut statement = self.connection.prepare_cached(query)?;
            statement.query_row(params![digest.bytes], |row| row.get(0)).optional()
        };
        Ok(self.fail(read())?.and_then(|bytes| postcard::from_bytes(&bytes).ok()))
    }

    /// The learned absence of a key.
    pub fn absence(&self, key: &Digest) -> Result<Option<Absence>> {
        let read = || {
            let mut statement = self
                .connection
                .prepare_cached("SELECT line, pattern FROM absence WHERE key = ?1")?;
            statement
                .query_row(params![key.bytes], |row| {
                    Ok(Absence { line: row.get(0)?, pattern: row.get(1)? })
                })
                .optional()
        };
        self.fail(read())
    }

    /// Whether a target was made under this absence key, which keeps the absence from being learned.
    pub fn possible(&self, key: &Digest) -> Result<bool> {
        let read = || {
            let mut statement =
                self.connection.prepare_cached("SELECT 1 FROM possible WHERE key = ?1")?;
            statement.exists(params![key.bytes])
        };
        self.fail(read())
    }

    /// The lines of a record.
    pub fn lines(&self, record: &Record) -> Result<Vec<String>> {
        let read = || -> rusqlite::Result<Vec<String>> {
            let mut statement =
                self.connection.prepare_cached("SELECT text FROM line WHERE id = ?1")?;
            record
                .lines
                .iter()
                .map(|id| {
                    let text = statement.query_row(params![id], |row| row.get(0)).optional()?;
                    Ok(text.unwrap_or_default())
                })
                .collect()
        };
        self.fail(read())
    }

    /// Why a run made a target, if that was kept.
    pub fn cause(&self, key: &Key, run: &str) -> Result<Option<String>> {
        let read = || {
            // Records of before have no such table until they are written next.
            let kept = "SELECT 1 FROM sqlite_schema WHERE name = 'cause'";
            if !self.connection.prepare_cached(kept)?.exists([])? {
                return Ok(None);
            }
            let mut statement = self
                .connection
                .prepare_cached("SELECT reason FROM cause WHERE key = ?1 AND run = ?2")?;
            statement.query_row(params![&key[..], run], |row| row.get(0)).optional()
        };
        self.fail(read())
    }

    /// The last image id that a name stood for, and for which platform.
    pub fn image(&self, name: &str, platform: &str) -> Result<Option<String>> {
        let read = || {
            self.connection
                .query_row(
                    "SELECT id FROM image WHERE name = ?1 AND platform = ?2",
                    params![name, platform],
                    |row| row.get(0),
                )
                .optional()
        };
        self.fail(read())
    }

    /// What is remembered of input files, by path.
    pub fn input_memo(&self) -> Result<HashMap<String, memo::Entry>> {
        let read = || -> rusqlite::Result<HashMap<String, memo::Entry>> {
            let mut statement = self.connection.prepare("SELECT path, memo FROM input")?;
            let mut rows = statement.query([])?;
            let mut memos = HashMap::new();
            while let Some(row) = rows.next()? {
                if let Ok(entry) = postcard::from_bytes(row.get_ref(1)?.as_blob()?) {
                    memos.insert(row.get(0)?, entry);
                }
            }
            Ok(memos)
        };
        self.fail(read())
    }

    /// The digests of jheem's own of what is known by a SHA-256.
    pub fn twins(&self) -> Result<HashMap<Digest, Digest>> {
        let read = || -> rusqlite::Result<HashMap<Digest, Digest>> {
            // A reader may find records in which nothing fetched was ever noted.
            let mut statement = match self.connection.prepare("SELECT sha256, blake3 FROM twin") {
                Ok(statement) => statement,
                Err(rusqlite::Error::SqlInputError { .. }) => return Ok(HashMap::new()),
                Err(rusqlite::Error::SqliteFailure(_, Some(why)))
                    if why.contains("no such table") =>
                {
                    return Ok(HashMap::new());
                }
                Err(problem) => return Err(problem),
            };
            let mut rows = statement.query([])?;
            let mut twins = HashMap::new();
            while let Some(row) = rows.next()? {
                let (sha256, blake3): (String, String) = (row.get(0)?, row.get(1)?);
                if let (Ok(sha256), Ok(blake3)) = (sha256.parse(), blake3.parse()) {
                    twins.insert(sha256, blake3);
                }
            }
            Ok(twins)
        };
        self.fail(read())
    }

    /// What is known of a publish that needed nothing.
    pub fn settled(&self, publish: &str) -> Result<Option<Settled>> {
        let read = || -> rusqlite::Result<Option<Vec<u8>>> {
            self.connection
                .query_row("SELECT settled FROM publish WHERE name = ?1", params![publish], |row| {
                    row.get(0)
                })
                .optional()
        };
        Ok(self.fail(read())?.and_then(|bytes| postcard::from_bytes(&bytes).ok()))
    }

    /// Runner identities that have made something, so that a new one is tried on one target first.
    pub fn known_runner(&self, identity: &str) -> Result<bool> {
        let read = || {
            let mut statement =
                self.connection.prepare("SELECT 1 FROM cost WHERE identity = ?1")?;
            statement.exists(params![identity])
        };
        self.fail(read())
    }

    /// What runs of a rule with this runner cost.
    pub fn cost(&self, identity: &str) -> Result<Option<Cost>> {
        let read = || {
            self.connection
                .query_row(
                    "SELECT startup, each, runs FROM cost WHERE identity = ?1",
                    params![identity],
                    |row| Ok(Cost { startup: row.get(0)?, each: row.get(1)?, runs: row.get(2)? }),
                )
                .optional()
        };
        self.fail(read())
    }

    /// The runs whose logs say how what targets are now came about.
    pub fn current_runs(&self) -> Result<HashSet<String>> {
        Ok(self.all()?.into_values().map(|record| record.run).collect())
    }

    /// The latest runs, the newest first.
    pub fn runs(&self, most: usize) -> Result<Vec<Run>> {
        let read = || -> rusqlite::Result<Vec<Run>> {
            let mut statement = self.connection.prepare(
                "SELECT id, rule, command, targets, started, milliseconds, exit FROM run
                 ORDER BY started DESC, rowid DESC LIMIT ?1",
            )?;
            let rows = statement.query_map(params![most as i64], |row| {
                Ok(Run {
                    id: row.get(0)?,
                    rule: row.get(1)?,
                    command: row.get(2)?,
                    targets: row.get(3)?,
                    started: row.get(4)?,
                    milliseconds: row.get(5)?,
                    exit: row.get(6)?,
                })
            })?;
            rows.collect()
        };
        self.fail(read())
    }

    /// Every object that some record speaks of, with whether it can be restored from there.
    ///
    /// Only what targets that are `wanted` are now is current.
    pub fn objects(&self, wanted: &dyn Fn(&Key) -> bool) -> Result<HashMap<Digest, Holding>> {
        let read = || -> rusqlite::Result<HashMap<Digest, Holding>> {
            let mut held: HashMap<Digest, Holding> = HashMap::new();
            let mut statement = self.connection.prepare("SELECT made, at FROM made")?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let Ok(made) = postcard::from_bytes::<Made>(row.get_ref(0)?.as_blob()?) else {
                    continue;
                };
                let at: u64 = row.get(1)?;
                for output in made.outputs.iter().flatten() {
                    let holding = held.entry(output.bytes).or_insert(Holding::Refused);
                    *holding = (*holding).max(Holding::Past(at));
                }
            }
            Ok(held)
        };
        let mut held = self.fail(read())?;
        for (key, record) in self.all()? {
            let (made, holding) = match record.outcome {
                Outcome::Made(made) if wanted(&key) => (made, Holding::Current),
                Outcome::Made(made) => (made, Holding::Past(record.at)),
                Outcome::Refused { made, .. } => (made, Holding::Refused),
                _ => continue,
            };
            for output in made.outputs.iter().flatten() {
                let known = held.entry(output.bytes).or_insert(holding);
                *known = (*known).max(holding);
            }
        }
        Ok(held)
    }

    // Writing. Only a build, which holds the project lock, writes.

    /// Everything that `write` says is committed together, or not at all.
    pub fn commit(
        &mut self,
        write: impl FnOnce(&mut Writer<'_>) -> rusqlite::Result<()>,
    ) -> Result<()> {
        let path = self.path.clone();
        let run = || -> rusqlite::Result<()> {
            let transaction = self.connection.transaction()?;
            write(&mut Writer { connection: &transaction, numbers: &mut self.numbers })?;
            transaction.commit()
        };
        run().map_err(|problem| failed(&path, &problem))
    }

    fn commit_rows<T>(
        &mut self,
        write: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T> {
        let path = self.path.clone();
        let run = || -> rusqlite::Result<T> {
            let transaction = self.connection.transaction()?;
            let written = write(&transaction)?;
            transaction.commit()?;
            Ok(written)
        };
        run().map_err(|problem| failed(&path, &problem))
    }
}

/// Why an object is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holding {
    /// Refused by an audit: the first to go.
    Refused,
    /// Made at this time (seconds since 1970), and not what its target is now.
    Past(u64),
    /// What some target is now.
    Current,
}

/// A transaction in the making.
pub struct Writer<'a> {
    connection: &'a Connection,
    numbers: &'a mut HashMap<String, u32>,
}

impl Writer<'_> {
    /// The numbers of these lines in the shared table.
    pub fn number(&mut self, lines: &[String]) -> rusqlite::Result<Vec<u32>> {
        let mut numbers = Vec::with_capacity(lines.len());
        for line in lines {
            if let Some(number) = self.numbers.get(line) {
                numbers.push(*number);
                continue;
            }
            let mut insert = self
                .connection
                .prepare_cached("INSERT INTO line (text) VALUES (?1) ON CONFLICT DO NOTHING")?;
            insert.execute(params![line])?;
            let mut find = self.connection.prepare_cached("SELECT id FROM line WHERE text = ?1")?;
            let number: u32 = find.query_row(params![line], |row| row.get(0))?;
            self.numbers.insert(line.clone(), number);
            numbers.push(number);
        }
        Ok(numbers)
    }

    pub fn record(&mut self, key: &Key, record: &Record) -> rusqlite::Result<()> {
        let mut statement = self.connection.prepare_cached(
            "INSERT INTO target (key, record) VALUES (?1, ?2)
             ON CONFLICT (key) DO UPDATE SET record = excluded.record",
        )?;
        statement.execute(params![&key[..], packed(record)?])?;
        Ok(())
    }

    /// Keeps why a run made a target.
    pub fn cause(&mut self, key: &Key, run: &str, reason: &str) -> rusqlite::Result<()> {
        let mut statement = self.connection.prepare_cached(
            "INSERT INTO cause (key, run, reason) VALUES (?1, ?2, ?3)
             ON CONFLICT (key) DO UPDATE SET run = excluded.run, reason = excluded.reason",
        )?;
        statement.execute(params![&key[..], run, reason])?;
        Ok(())
    }

    pub fn forget(&mut self, key: &Key) -> rusqlite::Result<()> {
        self.connection.execute("DELETE FROM target WHERE key = ?1", params![&key[..]])?;
        Ok(())
    }

    pub fn made(&mut self, fingerprint: &Digest, made: &Made, at: u64) -> rusqlite::Result<()> {
        let mut statement = self.connection.prepare_cached(
            "INSERT INTO made (fingerprint, by_bytes, made, at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (fingerprint) DO UPDATE SET
             by_bytes = excluded.by_bytes, made = excluded.made, at = excluded.at",
        )?;
        statement.execute(params![fingerprint.bytes, made.by_bytes.bytes, packed(made)?, at])?;
        Ok(())
    }

    /// Takes back what was recorded of a fingerprint.
    pub fn withdraw(&mut self, fingerprint: &Digest) -> rusqlite::Result<()> {
        self.connection
            .execute("DELETE FROM made WHERE fingerprint = ?1", params![fingerprint.bytes])?;
        Ok(())
    }

    pub fn absence(&mut self, key: &Digest, absence: &Absence) -> rusqlite::Result<()> {
        self.connection.execute(
            "INSERT INTO absence (key, line, pattern) VALUES (?1, ?2, ?3)
             ON CONFLICT (key) DO UPDATE SET line = excluded.line, pattern = excluded.pattern",
            params![key.bytes, absence.line, absence.pattern],
        )?;
        Ok(())
    }

    /// Notes that a target was made under this absence key, and unlearns the absence.
    pub fn possible(&mut self, key: &Digest) -> rusqlite::Result<()> {
        let mut statement = self
            .connection
            .prepare_cached("INSERT INTO possible (key) VALUES (?1) ON CONFLICT DO NOTHING")?;
        statement.execute(params![key.bytes])?;
        let mut statement = self.connection.prepare_cached("DELETE FROM absence WHERE key = ?1")?;
        statement.execute(params![key.bytes])?;
        Ok(())
    }

    pub fn image(&mut self, name: &str, platform: &str, id: &str) -> rusqlite::Result<()> {
        self.connection.execute(
            "INSERT INTO image (name, platform, id) VALUES (?1, ?2, ?3)
             ON CONFLICT (name, platform) DO UPDATE SET id = excluded.id",
            params![name, platform, id],
        )?;
        Ok(())
    }

    /// Two digests of the same bytes.
    pub fn twin(&mut self, sha256: &Digest, blake3: &Digest) -> rusqlite::Result<()> {
        let mut statement = self
            .connection
            .prepare_cached("INSERT OR REPLACE INTO twin (sha256, blake3) VALUES (?1, ?2)")?;
        statement.execute(params![sha256.to_string(), blake3.to_string()])?;
        Ok(())
    }

    pub fn input_memo(&mut self, path: &str, entry: &memo::Entry) -> rusqlite::Result<()> {
        let mut statement = self.connection.prepare_cached(
            "INSERT INTO input (path, memo) VALUES (?1, ?2)
             ON CONFLICT (path) DO UPDATE SET memo = excluded.memo",
        )?;
        statement.execute(params![path, packed(entry)?])?;
        Ok(())
    }

    pub fn settled(&mut self, publish: &str, settled: &Settled) -> rusqlite::Result<()> {
        self.connection.execute(
            "INSERT INTO publish (name, settled) VALUES (?1, ?2)
             ON CONFLICT (name) DO UPDATE SET settled = excluded.settled",
            params![publish, packed(settled)?],
        )?;
        Ok(())
    }

    /// Learns from one more run; later runs weigh as much as all before them together, at most.
    pub fn cost(&mut self, identity: &str, startup: f64, each: f64) -> rusqlite::Result<()> {
        self.connection.execute(
            "INSERT INTO cost (identity, startup, each, runs) VALUES (?1, ?2, ?3, 1)
             ON CONFLICT (identity) DO UPDATE SET
             startup = startup + (excluded.startup - startup) / min(runs + 1, 4),
             each = each + (excluded.each - each) / min(runs + 1, 4),
             runs = runs + 1",
            params![identity, startup, each],
        )?;
        Ok(())
    }

    pub fn forget_run(&mut self, id: &str) -> rusqlite::Result<()> {
        self.connection.execute("DELETE FROM run WHERE id = ?1", params![id])?;
        Ok(())
    }

    pub fn run(&mut self, run: &Run) -> rusqlite::Result<()> {
        self.connection.execute(
            "INSERT INTO run (id, rule, command, targets, started, milliseconds, exit)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (id) DO UPDATE SET
             milliseconds = excluded.milliseconds, exit = excluded.exit",
            params![
                run.id,
                run.rule,
                run.command,
                run.targets,
                run.started,
                run.milliseconds,
                run.exit
            ],
        )?;
        Ok(())
    }
}

const SCHEMA: &str = "
CREATE TABLE target (key BLOB PRIMARY KEY, record BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE made (fingerprint BLOB UNIQUE NOT NULL, by_bytes BLOB NOT NULL, made BLOB NOT NULL, at INTEGER NOT NULL);
CREATE INDEX made_by_bytes ON made (by_bytes);
CREATE TABLE line (id INTEGER PRIMARY KEY, text TEXT UNIQUE NOT NULL);
CREATE TABLE absence (key BLOB PRIMARY KEY, line TEXT NOT NULL, pattern TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE possible (key BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE image (name TEXT, platform TEXT, id TEXT NOT NULL, PRIMARY KEY (name, platform)) WITHOUT ROWID;
CREATE TABLE input (path TEXT PRIMARY KEY, memo BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE cost (identity TEXT PRIMARY KEY, startup REAL NOT NULL, each REAL NOT NULL, runs INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE publish (name TEXT PRIMARY KEY, settled BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE run (id TEXT PRIMARY KEY, rule TEXT NOT NULL, command TEXT NOT NULL, targets INTEGER NOT NULL, started INTEGER NOT NULL, milliseconds INTEGER NOT NULL, exit TEXT NOT NULL);
";

/// Nothing but `why` reads these, so the format stays what it was before there were any.
const CAUSES: &str = "CREATE TABLE IF NOT EXISTS cause (key BLOB PRIMARY KEY, run TEXT NOT NULL, reason TEXT NOT NULL) WITHOUT ROWID";

/// Older records have none, and are read as if nothing was ever fetched.
const TWINS: &str =
    "CREATE TABLE IF NOT EXISTS twin (sha256 TEXT PRIMARY KEY, blake3 TEXT NOT NULL) WITHOUT ROWID";

fn packed<T: Serialize>(value: &T) -> rusqlite::Result<Vec<u8>> {
    postcard::to_stdvec(value).map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))
}

/// A file beside a database that was found damaged: whoever opens it next to write begins anew.
///
/// Not every damage shows where it could be mended, and a check of the whole does not find every one.
fn suspicion(path: &Path) -> PathBuf {
    path.with_extension("db-damaged")
}

const FOUND_DAMAGED: &str = "it turned out damaged when it was read";

fn failed(path: &Path, problem: &rusqlite::Error) -> Error {
    if is_damage(path, problem) {
        // Who may not write here does not build here either.
        let _noted = std::fs::write(suspicion(path), problem.to_string());
        let message = format!("the records in `{}` are damaged", path.display());
        return Error::environment(message)
            .because(problem)
            .hint("run `jheem build` again: it begins with new records");
    }
    let error = Error::environment(format!("cannot use the records in `{}`", path.display()))
        .because(problem);
    match problem.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DiskFull) => error.hint("free some room on the disk"),
        Some(_) if may_not_write(problem) => {
            error.hint("see who owns the folder `cache`, and whether it can be written")
        }
        _ => error,
    }
}

fn may_not_write(problem: &rusqlite::Error) -> bool {
    matches!(
        problem.sqlite_error_code(),
        Some(rusqlite::ErrorCode::ReadOnly | rusqlite::ErrorCode::CannotOpen)
    )
}

/// The URI of a database that nobody writes.
fn unchanging(path: &Path) -> PathBuf {
    let escaped: String = path
        .to_string_lossy()
        .chars()
        .map(|c| match c {
            '%' | '?' | '#' => format!("%{:02X}", u32::from(c)),
            c => c.to_string(),
        })
        .collect();
    PathBuf::from(format!("file:{escaped}?immutable=1"))
}

/// Whether an error can only mean that the file does not say what was written to it.
///
/// The statements are fixed and fit the tables, so what is wrong with one of them, or with what it
/// finds, is wrong with the file.
fn is_damage(path: &Path, problem: &rusqlite::Error) -> bool {
    use rusqlite::{Error, ErrorCode};
    match problem {
        Error::SqliteFailure(failure, _) | Error::SqlInputError { error: failure, .. } => {
            match failure.code {
                ErrorCode::NotADatabase
                | ErrorCode::DatabaseCorrupt
                | ErrorCode::ConstraintViolation
                | ErrorCode::InternalMalfunction
                | ErrorCode::SchemaChanged
                | ErrorCode::TooBig
                | ErrorCode::TypeMismatch
                | ErrorCode::Unknown => true,
                // SQLite takes a database whose header asks for a later SQLite as read-only.
                ErrorCode::ReadOnly => asks_for_another_sqlite(path),
                _ => false,
            }
        }
        Error::FromSqlConversionFailure(..)
        | Error::IntegralValueOutOfRange(..)
        | Error::InvalidColumnIndex(_)
        | Error::InvalidColumnName(_)
        | Error::InvalidColumnType(..)
        | Error::QueryReturnedNoRows
        | Error::Utf8Error(..) => true,
        _ => false,
    }
}

/// Whether the header names a version for writing that no SQLite knows.
fn asks_for_another_sqlite(path: &Path) -> bool {
    let mut header = [0; 19];
    let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut header));
    read.is_ok() && !matches!(header[18], 1 | 2)
}

/// Moves a database and its companions out of the way.
fn set_aside(path: &Path) -> Result<PathBuf> {
    let aside = (1..)
        .map(|n| path.with_extension(format!("damaged-{n}")))
        .find(|p| !p.exists())
        .expect("some number is free");
    std::fs::rename(path, &aside).map_err(|e| Error::io("set aside", path, &e))?;
    for companion in ["db-wal", "db-shm"] {
        let companion = path.with_extension(companion);
        match std::fs::remove_file(&companion) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io("remove", &companion, &e));
            }
            _ => {}
        }
    }
    Ok(aside)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(text: &str) -> Made {
        let digest = Digest::of(text.as_bytes());
        Made {
            outputs: vec![Some(MadeOutput { bytes: digest, content: digest, size: 3 }), None],
            judged: Digest::of(b"rules"),
            by_bytes: Digest::of(b"by bytes"),
            run: "1".into(),
        }
    }

    #[test]
    fn a_record_reads_back_while_the_writer_is_open() {
        let folder = tempfile::tempdir().unwrap();
        let (mut records, told) = Records::open(folder.path()).unwrap();
        assert_eq!(told, None);
        let fingerprint = Digest::of(b"request");
        let lines = ["argument\ta".to_owned(), "argument\tb".to_owned(), "argument\ta".to_owned()];
        records
            .commit(|w| {
                let lines = w.number(&lines)?;
                assert_eq!(lines[0], lines[2]);
                let record = Record {
                    fingerprint,
                    outcome: Outcome::Made(made("x")),
                    lines,
                    memo: vec![None, None],
                    run: "1".into(),
                    ever_made: true,
                    at: 7,
                };
                w.record(&key("plot.rw"), &record)?;
                w.made(&fingerprint, &made("x"), 7)
            })
            .unwrap();
        let reader = Records::read(folder.path()).unwrap().unwrap();
        let all = reader.all().unwrap();
        let record = &all[&key("plot.rw")];
        assert_eq!(reader.lines(record).unwrap(), lines);
        assert_eq!(reader.made(&fingerprint).unwrap(), Some(made("x")));
        assert_eq!(reader.made_by_bytes(&Digest::of(b"by bytes")).unwrap(), Some(made("x")));
        assert_eq!(reader.made(&Digest::of(b"other")).unwrap(), None);
        assert_eq!(reader.objects(&|_| true).unwrap()[&Digest::of(b"x")], Holding::Current);
    }

    #[test]
    fn a_damaged_database_is_set_aside_and_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(
            folder.path().join("records.db"),
            b"this is no database, but it is long enough to look",
        )
        .unwrap();
        let (records, told) = Records::open(folder.path()).unwrap();
        assert!(told.unwrap().contains("set aside"));
        assert!(records.all().unwrap().is_empty());
        assert!(folder.path().join("records.damaged-1").exists());
    }

    #[test]
    fn an_absence_is_unlearned_by_a_success() {
        let folder = tempfile::tempdir().unwrap();
        let (mut records, _) = Records::open(folder.path()).unwrap();
        let key = Digest::of(b"class");
        let absence = Absence { line: "no".into(), pattern: "no".into() };
        records.commit(|w| w.absence(&key, &absence)).unwrap();
        assert_eq!(records.absence(&key).unwrap(), Some(absence));
        records.commit(|w| w.possible(&key)).unwrap();
        assert_eq!(records.absence(&key).unwrap(), None);
        assert!(records.possible(&key).unwrap());
    }
}
