//! Records that are damaged, wherever and however: a build goes through all the same, and its outputs are right.

use rusqlite::Connection;

use crate::project::{Project, cities};

/// A project that was built, and its records as one file.
fn built() -> (Project, Vec<u8>) {
    let project = cities();
    project.build("").success();
    let database = project.path("cache/records.db");
    merge(&Connection::open(&database).unwrap());
    let whole = std::fs::read(&database).unwrap();
    (project, whole)
}

fn merge(records: &Connection) {
    records.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
}

/// Puts these records in the place of those that are there.
fn put(project: &Project, records: &[u8]) {
    let database = project.path("cache/records.db");
    for companion in ["-wal", "-shm", "-damaged"] {
        let _gone = std::fs::remove_file(format!("{}{companion}", database.display()));
    }
    std::fs::write(&database, records).unwrap();
}

/// A changed input is built, once, whatever the records are like.
#[track_caller]
fn goes_through(project: &Project, records: &[u8], when: &str) {
    put(project, records);
    project.write("data/A.txt", format!("{when}\n"));
    let ran = project.build("");
    assert_eq!(ran.code, Some(0), "{when}: the build does not go through\n{ran}");
    for city in ["A", "B"] {
        let value = project.read(&format!("data/{city}.txt"));
        for outcome in ["x", "y", "z"] {
            let plot = project.read(&format!("plots/{city}/{outcome}.json"));
            assert!(plot.contains(value.trim()), "{when}: {city}/{outcome} is {plot}\n{ran}");
        }
    }
    let ran = project.build("");
    assert_eq!(ran.code, Some(0), "{when}: the build after it does not go through\n{ran}");
    ran.targets("fresh=6");
}

/// Changes records with these statements, and builds.
#[track_caller]
fn goes_through_after(statements: &str) {
    let (project, _) = built();
    let database = project.path("cache/records.db");
    let records = Connection::open(&database).unwrap();
    records.execute_batch(statements).unwrap();
    merge(&records);
    drop(records);
    goes_through(&project, &std::fs::read(&database).unwrap(), "damaged");
    assert!(project.exists("cache/records.damaged-1"), "the damaged records were not set aside");
}

#[test]
fn records_with_a_damaged_name_of_a_column_are_begun_anew() {
    goes_through_after(
        "PRAGMA writable_schema = ON;
         UPDATE sqlite_schema SET sql = replace(sql, 'line (id ', 'line (if ');",
    );
}

#[test]
fn records_with_a_damaged_name_of_a_table_are_begun_anew() {
    goes_through_after(
        "PRAGMA writable_schema = ON;
         UPDATE sqlite_schema SET name = 'lime', tbl_name = 'lime',
         sql = replace(sql, 'TABLE line', 'TABLE lime') WHERE name = 'line';",
    );
}

#[test]
fn records_with_a_number_out_of_range_are_begun_anew() {
    goes_through_after("UPDATE line SET id = id + 99999999999;");
}

#[test]
fn records_with_another_kind_of_value_are_begun_anew() {
    goes_through_after("UPDATE input SET memo = 7;");
}

#[test]
fn records_with_text_that_is_none_are_begun_anew() {
    goes_through_after("UPDATE input SET path = CAST(x'80ff' AS TEXT) WHERE path = 'data/A.txt';");
}

/// Numbers that look like chance and are the same in every run of the test.
fn chance(seed: u64) -> usize {
    let hash = blake3::hash(&seed.to_le_bytes());
    u64::from_le_bytes(hash.as_bytes()[..8].try_into().unwrap()) as usize
}

#[test]
fn records_with_any_single_bit_flipped_let_every_build_through() {
    const FLIPS: u64 = 100;
    let (project, whole) = built();
    let used: Vec<usize> = (0..whole.len()).filter(|&at| whole[at] != 0 || at < 100).collect();
    for seed in 0..FLIPS {
        // The header is small, and much depends on it.
        let at = match seed % 4 {
            0 => chance(seed) % 100,
            1 => chance(seed) % whole.len(),
            _ => used[chance(seed) % used.len()],
        };
        let bit = chance(seed + FLIPS) % 8;
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << bit;
        goes_through(&project, &damaged, &format!("bit {bit} of byte {at} flipped"));
    }
}
