//! What carrying a plan out would take at each destination: how much is written, in how many requests.
//!
//! Pure. Counts what `apply` and the ledger would ask for; what is asked to look has been asked already when there is a plan.

use std::collections::BTreeSet;

use super::attribute::{Attribute, json};
use super::destination::{Destination, Keeping};
use super::invalidation;
use super::ledger::{self, Entry};
use super::manifest::{ObjectEntry, RowEntry};
use super::plan::{self, Action, Planned, PublishPlan, There};
use super::size;
use super::wanted::{Role, Wanted};
use crate::aws::s3;
use crate::costs::{self, Requests};

/// How many keys one request lists.
const LISTED: usize = 1000;

/// What would be done at one destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outlook {
    pub destination: Destination,
    pub create: usize,
    pub update: usize,
    /// What is left as it is.
    pub left: usize,
    pub orphaned: usize,
    pub refused: usize,
    /// Bytes of objects and rows that are written; none for headers alone.
    pub bytes: u64,
    /// The requests that write them, if all goes well. None at a destination on this machine.
    pub requests: Requests,
}

/// What a plan would do, by destination, in the order of `Wanted::destinations`.
pub fn outlook(wanted: &Wanted, there: &[There], plan: &PublishPlan) -> Vec<Outlook> {
    let mut leased: BTreeSet<&Keeping> = BTreeSet::new();
    let mut all = Vec::new();
    for (index, destination) in wanted.destinations.iter().enumerate() {
        let objects = wanted.objects.iter().zip(&plan.objects);
        let objects: Vec<_> = objects.filter(|(o, _)| o.destination == index).collect();
        let rows = wanted.rows.iter().zip(&plan.rows);
        let rows: Vec<_> = rows.filter(|(r, _)| r.destination == index).collect();
        let mut outlook = Outlook {
            destination: destination.clone(),
            create: 0,
            update: 0,
            left: 0,
            orphaned: plan.orphans.iter().filter(|o| o.destination == *destination).count(),
            refused: 0,
            bytes: 0,
            requests: Requests::default(),
        };
        let actions = objects.iter().map(|(_, planned)| &planned.action);
        for action in actions.chain(rows.iter().map(|(_, planned)| &planned.action)) {
            match action {
                Action::Create => outlook.create += 1,
                Action::Update(_) => outlook.update += 1,
                // A line of the manifest alone is nothing that a reader sees.
                Action::Note | Action::Unchanged => outlook.left += 1,
                Action::Refused => outlook.refused += 1,
            }
        }
        let mut requests = Requests::default();
        for (object, planned) in &objects {
            outlook.bytes += plan::uploaded(object, planned);
            if planned.writes_bytes() && object.copied.is_none() {
                requests += s3::requests_to_put(planned.entry.size);
            } else if writes(planned) {
                requests.puts += 1;
            }
            // An edition is listed before its index is written.
            if object.role == Role::Index && writes(planned) {
                requests.lists += objects.len().saturating_sub(1).div_ceil(LISTED) as u64;
            }
        }
        for (row, planned) in &rows {
            if writes(planned) {
                let size = size::of_row(&row.key, &planned.entry);
                outlook.bytes += size;
                requests.row_writes += costs::row_units(size);
            }
        }
        // Partitions of new rows that are written together are looked at once more.
        let new = rows.iter().filter(|(row, p)| p.action == Action::Create && !row.alone);
        let partitions: BTreeSet<&Attribute> =
            new.filter_map(|(row, _)| Some(&row.key.0.first()?.1)).collect();
        requests.row_reads += partitions.len() as u64;
        let (touched, standing) = match &there[index] {
            There::Objects(there) => {
                let work = objects.iter().filter(|(_, planned)| planned.is_work());
                let work = work.map(|(o, _)| o.key.clone()).collect();
                chunks::<ObjectEntry>(work, there.entries.keys().cloned().collect())
            }
            There::Rows(there) => {
                let work = rows.iter().filter(|(_, planned)| planned.is_work());
                let work = work.map(|(r, _)| json(&r.key.0)).collect();
                chunks::<RowEntry>(work, there.entries.keys().map(|key| json(&key.0)).collect())
            }
        };
        if let Some(keeping) = kept_at(destination).filter(|_| !touched.is_empty()) {
            let first = leased.insert(keeping);
            requests += of_ledger(&touched, &standing, first);
            // The head that is replaced is put aside, once for all manifests of a ledger.
            let mut others = wanted.destinations.iter().zip(there);
            let known = others.any(|(at, there)| kept_at(at) == Some(keeping) && !there.is_empty());
            requests.puts += u64::from(first && known);
            if let Some(to) = &wanted.invalidation {
                let written = objects.iter().filter(|(o, p)| writes(p) && wanted.is_told(o));
                let paths = written.filter_map(|(o, _)| to.path(&destination.full_key(&o.key)));
                requests += of_invalidation(&paths.collect());
            }
        }
        if !destination.is_local() {
            outlook.requests = requests;
        }
        all.push(outlook);
    }
    all
}

/// What telling a distribution takes: what is owed is written down, read, and taken away when it is told.
fn of_invalidation(paths: &BTreeSet<String>) -> Requests {
    if paths.is_empty() {
        return Requests::default();
    }
    let invalidations = invalidation::merged(paths).len() as u64;
    Requests { puts: 3, gets: 1, deletes: 1, invalidations, ..Requests::default() }
}

/// What a ledger asks for to publish a section: its intent and lease, the chunks that change, the head.
fn of_ledger(touched: &BTreeSet<String>, there: &BTreeSet<String>, first: bool) -> Requests {
    Requests {
        puts: 4 + touched.len() as u64,
        gets: touched.intersection(there).count() as u64 + if first { 2 } else { 0 },
        deletes: 1,
        ..Requests::default()
    }
}

/// The chunks that work touches, and those that stand there.
fn chunks<E: Entry>(work: Vec<String>, there: Vec<String>) -> (BTreeSet<String>, BTreeSet<String>) {
    let all: Vec<String> = there.iter().chain(&work).cloned().collect();
    (ledger::chunks_of::<E>(&work, &all), ledger::chunks_of::<E>(&there, &all))
}

fn kept_at(destination: &Destination) -> Option<&Keeping> {
    match destination {
        Destination::S3 { keeping, .. } => Some(keeping),
        Destination::Dynamodb { keeping, .. } => keeping.as_ref(),
        Destination::File { .. } | Destination::Sqlite { .. } => None,
    }
}

/// Whether more than the manifest is written.
fn writes<E>(planned: &Planned<E>) -> bool {
    matches!(planned.action, Action::Create | Action::Update(_))
}
