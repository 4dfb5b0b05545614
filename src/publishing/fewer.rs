//! Whether a publish would confirm much less than what is published already of what was selected.
//!
//! A build that went badly must not pass for a publish that went well: what was not made stays there as it was, and nobody is told.

use std::borrow::Cow;

use super::values::Values;
use super::{Prepared, Source};
use crate::error::Error;
use crate::graph::{Publish, Target};
use crate::publish::{Role, There, edition};

/// The share of what is published that a publish must confirm where the Jheemfile says nothing, in percent.
pub const AT_LEAST: u8 = 90;
/// So many of what is missing are named.
const NAMED: usize = 5;

/// An object or a row of a selected target that is not there to be published.
pub(super) struct Lacking {
    /// Its index in `Wanted::destinations`.
    pub destination: usize,
    pub target: Target,
    pub what: LackingWhat,
    pub why: Why,
}

/// Why something is not there to be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// It cannot exist.
    Absent,
    /// Its content is not known yet.
    Undecided,
    /// Something that it is published with is not known yet, and the publish holds it back.
    Held,
}

impl Lacking {
    pub(super) fn is_undecided(&self) -> bool {
        self.why != Why::Absent
    }
}

/// Which of its publish's objects or rows it is.
#[derive(Clone, Copy)]
pub(super) enum LackingWhat {
    Object(usize),
    Row(usize),
}

impl Prepared {
    /// The key that an object has so far: in the edition before, if editions are published.
    fn key_before<'k>(&self, destination: usize, key: &'k str) -> Cow<'k, str> {
        let before = self.wanted.edition_at(destination).and_then(|e| e.before.as_deref());
        let below = |before| edition::below(before, edition::inside(key)).into();
        before.map_or(Cow::Borrowed(key), below)
    }

    /// How many of the wanted keys are in the manifests already.
    fn confirmed(&self) -> usize {
        let objects = self.wanted.objects.iter().filter(|o| o.role == Role::Output);
        let objects = objects.filter(|o| match &self.there[o.destination] {
            There::Objects(there) => {
                let key = self.key_before(o.destination, &o.key);
                there.entries.contains_key(&*key) || there.recovered.contains_key(&*key)
            }
            There::Rows(_) => false,
        });
        let rows = self.wanted.rows.iter().filter(|r| match &self.there[r.destination] {
            There::Rows(there) => there.entries.contains_key(&r.key),
            There::Objects(_) => false,
        });
        objects.count() + rows.count()
    }

    /// What is published of selected targets and would not be confirmed.
    fn missed(&self, source: &Source<'_>, publish: &Publish) -> Vec<&Lacking> {
        let is_published = |lacking: &&Lacking| {
            let mut values = Values::new(source, lacking.target);
            // What has no key was never published.
            match (&self.there[lacking.destination], lacking.what) {
                (There::Objects(there), LackingWhat::Object(index)) => {
                    let object = &publish.objects[index];
                    let key = values.plain(&object.key, object.output);
                    key.is_ok_and(|key| {
                        let key = self.key_before(lacking.destination, &key);
                        there.entries.contains_key(&*key) || there.recovered.contains_key(&*key)
                    })
                }
                (There::Rows(there), LackingWhat::Row(index)) => {
                    let key = values.row_key(&publish.rows[index]);
                    key.is_ok_and(|key| there.entries.contains_key(&key))
                }
                _ => false,
            }
        };
        // What is held back is told by itself, and is what the Jheemfile asks for.
        let missed = self.lacking.iter().filter(|lacking| lacking.why != Why::Held);
        missed.filter(is_published).collect()
    }

    /// The refusal of a publish that would confirm less than its share, or nothing where there is something.
    pub fn too_few(&self, source: &Source<'_>, publish: &Publish) -> Option<Error> {
        let (confirmed, missed) = (self.confirmed(), self.missed(source, publish));
        let published = confirmed + missed.len();
        let at_least = publish.at_least.unwrap_or(AT_LEAST);
        let enough = confirmed * 100 >= published * usize::from(at_least);
        if published == 0 || (enough && confirmed > 0) {
            return None;
        }
        let of = match published {
            1 => "the one key that is".to_owned(),
            _ => format!("the {published} keys that are"),
        };
        let mut error = Error::user(format!(
            "{confirmed} of {of} published of this selection would be confirmed, and `at_least` is {at_least}%"
        ));
        let mut targets: Vec<Target> = missed.iter().map(|lacking| lacking.target).collect();
        targets.dedup();
        for target in targets.iter().take(NAMED) {
            let undecided = missed.iter().any(|l| l.target == *target && l.is_undecided());
            let why = if undecided { "not made" } else { "absent now" };
            error = error.because(format!("{}: {why}", source.graph.label(*target)));
        }
        if targets.len() > NAMED {
            error = error.because(format!("and {} more", targets.len() - NAMED));
        }
        Some(
            error.hint(
                "mend what was not made; or, if fewer are meant, run `jheem publish --fewer`",
            ),
        )
    }
}
