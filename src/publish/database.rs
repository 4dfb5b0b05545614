//! `sqlite:` destinations: rows in a table of one database, with their manifest beside them.
//!
//! A table has the key's attributes as columns and the item as DynamoDB's typed JSON; the view `TABLE_plain` shows it to people.
//! Rows and their manifest entries are written in one transaction, which is all that an intent would do, so there is none.
//! Reading opens the database read-only and leaves no file behind. Knows nothing of plans or objects.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Row, TransactionBehavior};

use crate::error::{Error, Result};
use crate::moments::{self, Moment};
use crate::percent;

use super::attribute::{Attribute, Item, json};
use super::destination::Destination;
use super::manifest::{FORMAT, RowEntry};
use super::place::{
    Claim, DriftKind, Removal, RowPlace, RowPut, RowWrite, RowsThere, key_part, meanwhile,
};
use super::wanted::RowKey;

/// `jheem_table` counts the writes to each table; `jheem_manifest` has one owner for each key.
const OWN_TABLES: &str = "
    CREATE TABLE IF NOT EXISTS jheem_meta (format INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS jheem_table (
        name TEXT PRIMARY KEY COLLATE NOCASE, key TEXT NOT NULL, attributes TEXT NOT NULL, version INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS jheem_manifest (
        tbl TEXT NOT NULL COLLATE NOCASE, key TEXT NOT NULL, owner TEXT NOT NULL, entry TEXT NOT NULL,
        PRIMARY KEY (tbl, key)
    ) WITHOUT ROWID;
";

/// A table of a database.
pub struct Database {
    destination: Destination,
    path: PathBuf,
    table: String,
    /// How long another writer is waited for.
    patience: Duration,
}

/// What a key's columns are: names and types (`S` or `N`).
type Columns = Vec<(String, char)>;

/// What is known of the table.
struct Table {
    columns: Columns,
    /// Every attribute that an item ever had.
    attributes: BTreeSet<String>,
    /// Counts the writes.
    version: i64,
    /// False if somebody dropped it: its manifest is still known.
    stands: bool,
}

/// Tells whether a file was written between two looks.
type Look = (Option<(SystemTime, u64)>, bool);

impl Database {
    pub fn new(destination: Destination, path: PathBuf, table: &str) -> Database {
        let patience = Duration::from_secs(10);
        Database { destination, path, table: table.to_owned(), patience }
    }

    /// The same database, with another time to wait for a writer.
    #[cfg(test)]
    pub fn patient(self, patience: Duration) -> Database {
        Database { patience, ..self }
    }

    /// What SQLite refused, with what can be done about it.
    fn cannot(&self, verb: &str, error: &rusqlite::Error) -> Error {
        let message = format!("cannot {verb} `{}`", self.destination);
        let path = self.path.display();
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                Error::locked(format!("`{}` is held by another program", self.destination))
                    .because(error)
                    .hint("wait for it to end and run it again")
            }
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Error::environment(format!("`{path}` is damaged, or no SQLite database"))
                    .because(error)
                    .hint(format!("put `{path}` back from a copy, or move it away"))
            }
            Some(ErrorCode::DiskFull) => Error::environment(message)
                .because(error)
                .hint("free some space and run it again; what is published stays as it is"),
            Some(ErrorCode::SystemIoFailure) => Error::environment(message).because(error).hint(
                "see whether the disk is full or broken and run it again; what is published stays as it is",
            ),
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
                let hint = format!("make `{path}` and its folder writable and run it again");
                Error::environment(message).because(error).hint(hint)
            }
            _ => Error::environment(message).because(error),
        }
    }

    fn damaged(&self, what: impl std::fmt::Display) -> Error {
        let path = self.path.display();
        Error::environment(format!("the manifest in `{path}` is damaged: {what}"))
            .hint(format!("put `{path}` back from a copy, or move it away"))
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(suffix);
        PathBuf::from(name)
    }

    fn look(&self) -> Look {
        let file = self.path.metadata().and_then(|found| Ok((found.modified()?, found.len())));
        // Another reader may have left an empty log, which says nothing.
        let logs = ["-wal", "-journal"].map(|suffix| self.beside(suffix).metadata());
        (file.ok(), logs.iter().flatten().any(|log| log.len() > 0))
    }

    /// Reads with `read` from the database as it is at one moment; none if there is no database.
    ///
    /// Reading a database at rest as immutable takes no lock and leaves no `-wal` or `-shm` behind.
    /// If it was written in between, what was read is dropped and read again through its log.
    fn reading<T>(&self, read: &dyn Fn(&Connection) -> Result<T>) -> Result<Option<T>> {
        let before = self.look();
        if before.0.is_none() {
            return Ok(None);
        }
        if !before.1 {
            let done = self.open_to_read(true).and_then(|database| read(&database));
            if self.look() == before {
                return done.map(Some);
            }
        }
        read(&self.open_to_read(false)?).map(Some)
    }

    fn open_to_read(&self, at_rest: bool) -> Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_URI;
        let path = percent::path(self.path.as_os_str().as_encoded_bytes());
        let uri = format!("file:{path}{}", if at_rest { "?immutable=1" } else { "" });
        let failed = |error| self.cannot("read", &error);
        let database = Connection::open_with_flags(uri, flags).map_err(failed)?;
        database.busy_timeout(self.patience).map_err(failed)?;
        // One transaction sees one state, whatever is written meanwhile.
        database.execute_batch("BEGIN").map_err(failed)?;
        Ok(database)
    }

    /// Refuses a database that a later jheem wrote.
    fn check_format(&self, database: &Connection) -> Result<()> {
        let failed = |error| self.cannot("read", &error);
        if !has(database, "table", "jheem_meta").map_err(failed)? {
            return Ok(());
        }
        let format = database.query_row("SELECT format FROM jheem_meta", [], |row| row.get(0));
        match format.optional().map_err(failed)? {
            Some(FORMAT) => Ok(()),
            Some(other) => {
                Err(self.damaged(format!("it has the format {other}, of a later jheem")))
            }
            None => Err(self.damaged("`jheem_meta` is empty")),
        }
    }

    /// What is known of the table, if jheem made it; somebody may have dropped it since.
    fn table(&self, database: &Connection) -> Result<Option<Table>> {
        self.check_format(database)?;
        let failed = |error| self.cannot("read", &error);
        let ours = match has(database, "table", "jheem_table").map_err(failed)? {
            true => {
                let query = "SELECT key, attributes, version FROM jheem_table WHERE name = ?";
                let texts = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
                let row = database.query_row(query, [&self.table], texts);
                row.optional().map_err(failed)?
            }
            false => None::<(String, String, i64)>,
        };
        let exists = has(database, "table", &self.table).map_err(failed)?;
        let view = has(database, "view", &self.table).map_err(failed)?;
        let shown = has(database, "view", &plain(&self.table)).map_err(failed)?
            || has(database, "table", &plain(&self.table)).map_err(failed)?;
        if view || (ours.is_none() && (exists || shown)) {
            let name = if exists || view { self.table.clone() } else { plain(&self.table) };
            let path = self.path.display();
            return Err(Error::user(format!("jheem did not make the table `{name}` in `{path}`"))
                .hint("give another table after `#` in the destination"));
        }
        let Some((key, attributes, version)) = ours else { return Ok(None) };
        let wrong = |error: serde_json::Error| self.damaged(format!("in `jheem_table`: {error}"));
        let columns = serde_json::from_str(&key).map_err(wrong)?;
        let attributes = serde_json::from_str(&attributes).map_err(wrong)?;
        Ok(Some(Table { columns, attributes, version, stands: exists }))
    }

    /// The manifest of all owners: whose each key is, and what is published under it.
    fn manifest(
        &self,
        database: &Connection,
        columns: &Columns,
    ) -> Result<BTreeMap<RowKey, (String, String)>> {
        let failed = |error| self.cannot("read", &error);
        let query = "SELECT key, owner, entry FROM jheem_manifest WHERE tbl = ?";
        let mut statement = database.prepare(query).map_err(failed)?;
        let mut rows = statement.query([&self.table]).map_err(failed)?;
        let mut entries = BTreeMap::new();
        while let Some(row) = rows.next().map_err(failed)? {
            let read = || Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?));
            let (key, owner, entry) = read().map_err(failed)?;
            let values: Vec<Attribute> = serde_json::from_str(&key)
                .map_err(|error| self.damaged(format!("the key `{key}`: {error}")))?;
            if values.len() != columns.len() {
                return Err(self.damaged(format!("the key `{key}` is not of the table")));
            }
            let names = columns.iter().map(|(name, _)| name.clone());
            entries.insert(RowKey(names.zip(values).collect()), (owner, entry));
        }
        Ok(entries)
    }

    /// Calls `see` with every row's key and, if asked for, its item's text.
    fn each_row(
        &self,
        database: &Connection,
        columns: &Columns,
        with_item: bool,
        see: &mut dyn FnMut(RowKey, String),
    ) -> Result<()> {
        let failed = |error| self.cannot("read", &error);
        let names: Vec<String> = columns.iter().map(|(name, _)| quote(name)).collect();
        let item = if with_item { "item" } else { "''" };
        let query = format!("SELECT {item}, {} FROM {}", names.join(", "), quote(&self.table));
        let mut statement = database.prepare(&query).map_err(failed)?;
        let mut rows = statement.query([]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            let mut key = Vec::new();
            for (index, (name, kind)) in columns.iter().enumerate() {
                let text = match row.get_ref(index + 1).map_err(failed)? {
                    ValueRef::Integer(number) => number.to_string(),
                    ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
                    // Written by someone else: it is no key of ours, whatever it is called.
                    other => format!("{other:?}"),
                };
                let value = if *kind == 'N' { Attribute::N(text) } else { Attribute::S(text) };
                key.push((name.clone(), value));
            }
            let item = match row.get_ref(0).map_err(failed)? {
                ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
                _ => String::new(),
            };
            see(RowKey(key), item);
        }
        Ok(())
    }

    fn read_from(&self, database: &Connection, owner: &str, keys: &[&RowKey]) -> Result<RowsThere> {
        let Some(Table { columns, version, stands, .. }) = self.table(database)? else {
            return Ok(RowsThere::default());
        };
        let mut stand = BTreeSet::new();
        if stands {
            self.each_row(database, &columns, false, &mut |key, _| {
                stand.insert(key);
            })?;
        }
        let mut there = RowsThere { version: Some(version), ..RowsThere::default() };
        let mut others = BTreeMap::new();
        for (key, (whose, entry)) in self.manifest(database, &columns)? {
            if whose != owner {
                others.insert(key, whose);
                continue;
            }
            let entry = serde_json::from_str(&entry)
                .map_err(|error| self.damaged(format!("the entry of `{key}`: {error}")))?;
            if !stand.contains(&key) {
                there.missing.insert(key.clone());
            }
            there.entries.insert(key, entry);
        }
        for key in keys.iter().filter(|key| !there.entries.contains_key(**key)) {
            if let Some(other) = others.remove(*key) {
                there.claims.insert((*key).clone(), Claim::Owner(other));
            } else if stand.contains(*key) {
                there.claims.insert((*key).clone(), Claim::Foreign);
            }
        }
        // A table that was dropped may be made again with another key.
        there.key = stands.then_some(columns);
        Ok(there)
    }

    fn drift_from(&self, database: &Connection, there: &RowsThere) -> Result<Drift> {
        let mut drift = Vec::new();
        let table = self.table(database)?;
        let Some(Table { columns, .. }) = table.filter(|table| table.stands) else {
            let missing = there.entries.keys().map(|key| (key.clone(), DriftKind::Missing));
            return Ok(missing.collect());
        };
        let known = self.manifest(database, &columns)?;
        let mut stand = BTreeSet::new();
        self.each_row(database, &columns, true, &mut |key, text| {
            if let Some(entry) = there.entries.get(&key) {
                let published = entry.whole_item();
                // However it is laid out: only what it says counts.
                if serde_json::from_str::<Item>(&text).ok().as_ref() != Some(&published) {
                    let kind = DriftKind::Changed { published: json(&published), found: text };
                    drift.push((key.clone(), kind));
                }
            } else if !known.contains_key(&key) {
                drift.push((key.clone(), DriftKind::Foreign));
            }
            stand.insert(key);
        })?;
        let missing = there.entries.keys().filter(|key| !stand.contains(*key));
        drift.extend(missing.map(|key| (key.clone(), DriftKind::Missing)));
        Ok(drift)
    }

    /// Makes the table, for keys like this one, if it is not there.
    fn make_table(&self, database: &Connection, key: &RowKey) -> Result<(), rusqlite::Error> {
        let columns: Columns = key.0.iter().map(|(n, v)| (n.clone(), type_of(v))).collect();
        let names: Vec<String> = columns.iter().map(|(name, _)| quote(name)).collect();
        let typed = columns.iter().zip(&names).map(|((_, kind), name)| {
            // A number is an integer, or else its decimal text: a column without a type keeps both.
            format!("{name}{} NOT NULL", if *kind == 'N' { "" } else { " TEXT" })
        });
        database.execute_batch(&format!(
            "CREATE TABLE {} ({}, item TEXT NOT NULL, PRIMARY KEY ({})) WITHOUT ROWID",
            quote(&self.table),
            typed.collect::<Vec<_>>().join(", "),
            names.join(", ")
        ))?;
        database.execute(
            "INSERT INTO jheem_meta (format) SELECT ? WHERE NOT EXISTS (SELECT 1 FROM jheem_meta)",
            [FORMAT],
        )?;
        // With another key, what was published to a table that someone dropped cannot be any more.
        database.execute(
            "DELETE FROM jheem_manifest WHERE tbl = ?1
             AND NOT EXISTS (SELECT 1 FROM jheem_table WHERE name = ?1 AND key = ?2)",
            (&self.table, json(&columns)),
        )?;
        database.execute(
            "INSERT INTO jheem_table (name, key, attributes, version) VALUES (?, ?, '[]', 0)
             ON CONFLICT (name) DO UPDATE SET key = excluded.key, attributes = excluded.attributes",
            (&self.table, json(&columns)),
        )?;
        Ok(())
    }

    /// Makes the view show every attribute that an item of the table ever had.
    fn make_view(
        &self,
        database: &Connection,
        key: &RowKey,
        attributes: &BTreeSet<String>,
    ) -> Result<(), rusqlite::Error> {
        let mut shown: Vec<String> = key.0.iter().map(|(name, _)| quote(name)).collect();
        // A path in JSON cannot name a key with a quote in it.
        for name in attributes.iter().filter(|name| !name.contains('"')) {
            let path = |kind: &str| text_literal(&format!("$.\"{name}\".{kind}"));
            shown.push(format!(
                "coalesce(item ->> {}, CAST(item ->> {} AS NUMERIC), item ->> {}, item -> {}, item -> {}) AS {}",
                path("S"), path("N"), path("BOOL"), path("L"), path("M"), quote(name)
            ));
        }
        let view = plain(&self.table);
        database.execute_batch(&format!(
            "DROP VIEW IF EXISTS {0}; CREATE VIEW {0} AS SELECT {1} FROM {2}",
            quote(&view),
            shown.join(", "),
            quote(&self.table)
        ))?;
        database.execute(
            "UPDATE jheem_table SET attributes = ? WHERE name = ?",
            (json(attributes), &self.table),
        )?;
        Ok(())
    }

    /// Opens the database to write, making it if need be.
    fn open_to_write(&self) -> Result<Connection> {
        let is_new = !self.path.exists();
        if let Some(folder) = self.path.parent().filter(|_| is_new) {
            fs::create_dir_all(folder).map_err(|error| Error::io("make", folder, &error))?;
        }
        let failed = |error| self.cannot("write", &error);
        let database = Connection::open_with_flags(
            &self.path,
            OpenFlags::SQLITE_OPEN_READ_WRITE
                | OpenFlags::SQLITE_OPEN_CREATE
                | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        );
        let database = database.map_err(failed)?;
        database.busy_timeout(self.patience).map_err(failed)?;
        // Readers of the site go on while it is written; a database that others made stays in its mode.
        if is_new {
            database.execute_batch("PRAGMA journal_mode = WAL").map_err(failed)?;
        }
        Ok(database)
    }
}

type Drift = Vec<(RowKey, DriftKind)>;

impl RowPlace for Database {
    fn read(&self, owner: &str, wanted: &BTreeMap<RowKey, Option<RowEntry>>) -> Result<RowsThere> {
        let keys: Vec<&RowKey> = wanted.keys().collect();
        let there = self.reading(&|database| self.read_from(database, owner, &keys))?;
        Ok(there.unwrap_or_default())
    }

    fn watched(&self) -> Option<BTreeSet<PathBuf>> {
        let beside = ["-wal", "-journal"].map(|suffix| self.beside(suffix));
        Some([self.path.clone()].into_iter().chain(beside).collect())
    }

    fn publish(
        &self,
        owner: &str,
        there: &RowsThere,
        puts: &[RowPut<'_>],
        placed: &mut dyn FnMut(usize),
    ) -> Result<()> {
        let Some(first) = puts.first() else { return Ok(()) };
        let failed = |error| self.cannot("write", &error);
        let mut database = self.open_to_write()?;
        let transaction =
            database.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        let table = self.table(&transaction)?;
        if table.as_ref().map(|table| table.version) != there.version {
            return Err(meanwhile(&self.destination));
        }
        transaction.execute_batch(OWN_TABLES).map_err(failed)?;
        let table = table.filter(|table| table.stands);
        if table.is_none() {
            self.make_table(&transaction, first.key).map_err(failed)?;
        }
        let seen = table.map(|table| table.attributes);
        {
            let names: Vec<String> = first.key.0.iter().map(|(name, _)| quote(name)).collect();
            let holes = vec!["?"; names.len() + 1].join(", ");
            let row = |verb: &str| {
                let (table, names) = (quote(&self.table), names.join(", "));
                format!("{verb} INTO {table} ({names}, item) VALUES ({holes})")
            };
            let mut create = transaction.prepare(&row("INSERT")).map_err(failed)?;
            let mut replace = transaction.prepare(&row("INSERT OR REPLACE")).map_err(failed)?;
            // Taking over another owner's key must fail, so only an own entry is replaced.
            let note = "INSERT INTO jheem_manifest (tbl, key, owner, entry) VALUES (?, ?, ?, ?)
                ON CONFLICT (tbl, key) DO UPDATE SET entry = excluded.entry WHERE owner = excluded.owner";
            let mut note = transaction.prepare(note).map_err(failed)?;
            for put in puts {
                let statement = match put.write {
                    RowWrite::Create => Some(&mut create),
                    RowWrite::Replace => Some(&mut replace),
                    RowWrite::Note => None,
                };
                let mut written = Ok(1);
                if let Some(statement) = statement {
                    let mut values: Vec<Value> = put.key.0.iter().map(|(_, v)| column(v)).collect();
                    values.push(Value::Text(json(&put.entry.whole_item())));
                    written = statement.execute(rusqlite::params_from_iter(values));
                }
                let key: Vec<&Attribute> = put.key.0.iter().map(|(_, value)| value).collect();
                let noted = written
                    .and_then(|_| note.execute((&self.table, json(&key), owner, json(put.entry))));
                match noted {
                    Ok(1..) => {}
                    Err(error)
                        if error.sqlite_error_code() != Some(ErrorCode::ConstraintViolation) =>
                    {
                        return Err(failed(error));
                    }
                    Ok(0) | Err(_) => {
                        return Err(Error::user(format!(
                            "the row `{}` appeared in `{}` while it was being published",
                            put.key, self.destination
                        ))
                        .hint("delete that row and run it again"));
                    }
                }
            }
        }
        let mut attributes = seen.clone().unwrap_or_default();
        let written =
            puts.iter().flat_map(|put| put.entry.item.keys().chain(put.entry.uncompared.keys()));
        attributes.extend(written.cloned());
        if seen.as_ref() != Some(&attributes) {
            self.make_view(&transaction, first.key, &attributes).map_err(failed)?;
        }
        let count = "UPDATE jheem_table SET version = version + 1 WHERE name = ?";
        transaction.execute(count, [&self.table]).map_err(failed)?;
        moments::pass(Moment::Rows);
        transaction.commit().map_err(failed)?;
        // The last to close takes the log away, so that the database is one file again.
        database.close().map_err(|(_, error)| failed(error))?;
        placed(puts.iter().filter(|put| put.write != RowWrite::Note).count());
        Ok(())
    }

    fn remove(
        &self,
        owner: &str,
        there: &RowsThere,
        rows: &[(RowKey, RowEntry)],
        told: &mut dyn FnMut(usize, Removal),
    ) -> Result<usize> {
        if rows.is_empty() || !self.path.exists() {
            return Ok(0);
        }
        let failed = |error| self.cannot("write", &error);
        let mut database = self.open_to_write()?;
        let transaction =
            database.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        let table = self.table(&transaction)?;
        if table.as_ref().map(|table| table.version) != there.version {
            return Err(meanwhile(&self.destination));
        }
        let stands = table.is_some_and(|table| table.stands);
        let mut removals = Vec::new();
        for (key, entry) in rows {
            let columns: Vec<String> =
                key.0.iter().map(|(name, _)| format!("{} = ?", quote(name))).collect();
            let matching = format!("FROM {} WHERE {}", quote(&self.table), columns.join(" AND "));
            let values =
                || rusqlite::params_from_iter(key.0.iter().map(|(_, value)| column(value)));
            let found: Option<String> = match stands {
                true => transaction
                    .query_row(&format!("SELECT item {matching}"), values(), |row| row.get(0))
                    .optional()
                    .map_err(failed)?,
                false => None,
            };
            let ours = |text: &String| {
                serde_json::from_str::<Item>(text).is_ok_and(|item| item == entry.whole_item())
            };
            if found.as_ref().is_some_and(|text| !ours(text)) {
                removals.push(Removal::Kept);
                continue;
            }
            if found.is_some() {
                transaction.execute(&format!("DELETE {matching}"), values()).map_err(failed)?;
            }
            let parts: Vec<&Attribute> = key.0.iter().map(|(_, value)| value).collect();
            let forget = "DELETE FROM jheem_manifest WHERE tbl = ? AND key = ? AND owner = ?";
            transaction.execute(forget, (&self.table, json(&parts), owner)).map_err(failed)?;
            removals.push(Removal::Gone);
        }
        let count = "UPDATE jheem_table SET version = version + 1 WHERE name = ?";
        transaction.execute(count, [&self.table]).map_err(failed)?;
        moments::pass(Moment::Pruned);
        transaction.commit().map_err(failed)?;
        database.close().map_err(|(_, error)| failed(error))?;
        removals.into_iter().enumerate().for_each(|(index, removal)| told(index, removal));
        Ok(0)
    }

    fn found(&self, keys: &[&RowKey]) -> Result<BTreeMap<RowKey, Item>> {
        let asked: BTreeSet<&RowKey> = keys.iter().copied().collect();
        let read = |database: &Connection| {
            let mut found = BTreeMap::new();
            if let Some(Table { columns, stands: true, .. }) = self.table(database)? {
                self.each_row(database, &columns, true, &mut |key, text| {
                    if let Ok(item) = serde_json::from_str(&text)
                        && asked.contains(&key)
                    {
                        found.insert(key, item);
                    }
                })?;
            }
            Ok(found)
        };
        Ok(self.reading(&read)?.unwrap_or_default())
    }

    fn drift(&self, there: &RowsThere) -> Result<Drift> {
        let drift = self.reading(&|database| self.drift_from(database, there))?;
        Ok(drift.unwrap_or_default())
    }
}

/// Whether the database has a table or view of this name.
fn has(database: &Connection, kind: &str, name: &str) -> Result<bool, rusqlite::Error> {
    let query = "SELECT 1 FROM sqlite_schema WHERE type = ? AND name = ? COLLATE NOCASE";
    Ok(database.query_row(query, (kind, name), |_| Ok(())).optional()?.is_some())
}

fn plain(table: &str) -> String {
    format!("{table}_plain")
}

fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn text_literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn type_of(value: &Attribute) -> char {
    key_part(value).map_or('S', |(kind, _)| kind)
}

/// A key's value as a column holds it, without losing a digit.
fn column(value: &Attribute) -> Value {
    match key_part(value) {
        Some(('N', text)) => match text.parse::<i64>() {
            Ok(number) => Value::Integer(number),
            Err(_) => Value::Text(text.to_owned()),
        },
        Some((_, text)) => Value::Text(text.to_owned()),
        None => Value::Null,
    }
}
