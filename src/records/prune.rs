//! Which records nobody needs any more, and how they go.
//!
//! What targets of the graph are is never touched. Of a target that the Jheemfile no longer names,
//! that it was ever made is kept for as long as there are records: should it come back, it must not
//! become absent unseen. Learned absences stay, since each one forgotten costs a run.

use std::collections::HashSet;

use rusqlite::{Connection, params};

use super::{Key, Made, MadeOutput, Outcome, Record, Records, packed};
use crate::digest::Digest;
use crate::error::Result;

impl Records {
    /// Removes what neither a target that is `wanted` nor an object that is `there` speaks for.
    pub fn prune(
        &mut self,
        wanted: &dyn Fn(&Key) -> bool,
        there: &dyn Fn(&Digest) -> bool,
    ) -> Result<()> {
        let records = self.all()?;
        let (mut gone, mut slimmer) = (Vec::new(), Vec::new());
        let mut fingerprints: HashSet<Vec<u8>> = HashSet::new();
        let mut lines = HashSet::new();
        for (key, record) in records {
            let held = outputs(&record.outcome).iter().flatten().any(|output| there(&output.bytes));
            if wanted(&key) || held {
                fingerprints.insert(record.fingerprint.bytes.to_vec());
                lines.extend(record.lines);
            } else if !record.ever_made {
                gone.push(key);
            } else {
                fingerprints.insert(record.fingerprint.bytes.to_vec());
                slimmer.push((key, slim(record)));
            }
        }
        let kept = |fingerprint: &[u8], made: &[u8]| {
            // What does not read back is as good as none.
            postcard::from_bytes::<Made>(made).is_ok_and(|made| {
                made.outputs.iter().flatten().all(|output| there(&output.bytes))
                    || fingerprints.contains(fingerprint)
            })
        };
        self.numbers.clear();
        let freed = self.commit_rows(|connection| {
            for key in &gone {
                connection.execute("DELETE FROM target WHERE key = ?1", params![&key[..]])?;
            }
            for (key, record) in &slimmer {
                connection.execute(
                    "UPDATE target SET record = ?2 WHERE key = ?1",
                    params![&key[..], packed(record)?],
                )?;
            }
            let mut freed = gone.len() + forget_makings(connection, &kept)?;
            freed += forget_lines(connection, &lines)?;
            connection
                .execute("DELETE FROM cause WHERE key NOT IN (SELECT key FROM target)", [])?;
            Ok(freed)
        })?;
        if freed > 0 {
            // A disk that is too full for a copy keeps the file as long as it is; its room is used again.
            let _as_long = self.connection.execute_batch("VACUUM");
        }
        Ok(())
    }
}

/// What a record speaks of, if it was made.
fn outputs(outcome: &Outcome) -> &[Option<MadeOutput>] {
    match outcome {
        Outcome::Made(made) | Outcome::Refused { made, .. } => &made.outputs,
        Outcome::Absent { .. } | Outcome::Failed { .. } => &[],
    }
}

/// A record that says what was made and no longer from what.
fn slim(record: Record) -> Record {
    Record { lines: Vec::new(), memo: Vec::new(), ..record }
}

/// Removes makings that nothing can be put back from.
fn forget_makings(
    connection: &Connection,
    kept: &dyn Fn(&[u8], &[u8]) -> bool,
) -> rusqlite::Result<usize> {
    let mut gone: Vec<Vec<u8>> = Vec::new();
    let mut statement = connection.prepare("SELECT fingerprint, made FROM made")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let fingerprint = row.get_ref(0)?.as_blob()?;
        if !kept(fingerprint, row.get_ref(1)?.as_blob()?) {
            gone.push(fingerprint.to_vec());
        }
    }
    let mut delete = connection.prepare("DELETE FROM made WHERE fingerprint = ?1")?;
    for fingerprint in &gone {
        delete.execute(params![fingerprint])?;
    }
    Ok(gone.len())
}

/// Removes the lines that no record has.
fn forget_lines(connection: &Connection, kept: &HashSet<u32>) -> rusqlite::Result<usize> {
    let mut gone: Vec<u32> = Vec::new();
    let mut statement = connection.prepare("SELECT id FROM line")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let id = row.get(0)?;
        if !kept.contains(&id) {
            gone.push(id);
        }
    }
    let mut delete = connection.prepare("DELETE FROM line WHERE id = ?1")?;
    for id in &gone {
        delete.execute(params![id])?;
    }
    Ok(gone.len())
}
