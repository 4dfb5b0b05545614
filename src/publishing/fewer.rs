//! Whether a publish would confirm much less than what is published already of what was selected.
//!
//! A build that went badly must not pass for a publish that went well: what was not made stays there as it was, and nobody is told.

use super::{Prepared, Source};
use crate::error::Error;
use crate::graph::{Publish, Target};
use crate::publish::{RowKey, There};

/// The share of what is published that a publish must confirm where the Jheemfile says nothing, in percent.
pub const AT_LEAST: u8 = 90;
/// So many of what is missing are named.
const NAMED: usize = 5;

/// An object or a row of a selected target that is not there to be published.
pub(super) struct Lacking {
    /// Its index in `Wanted::destinations`.
    pub destination: usize,
    pub target: Target,
    pub key: LackingKey,
    /// Whether its content is not known, rather than that it cannot exist.
    pub undecided: bool,
}

pub(super) enum LackingKey {
    Object(String),
    Row(RowKey),
}

impl Prepared {
    /// How many of the keys in the manifests that selected targets declare are confirmed, and how many there are.
    fn share(&self) -> (usize, usize) {
        let objects = self.wanted.objects.iter().filter(|o| match &self.there[o.destination] {
            There::Objects(there) => there.entries.contains_key(&o.key),
            There::Rows(_) => false,
        });
        let rows = self.wanted.rows.iter().filter(|r| match &self.there[r.destination] {
            There::Rows(there) => there.entries.contains_key(&r.key),
            There::Objects(_) => false,
        });
        let confirmed = objects.count() + rows.count();
        (confirmed, confirmed + self.missed().count())
    }

    /// What is published and would not be confirmed.
    fn missed(&self) -> impl Iterator<Item = &Lacking> {
        self.lacking.iter().filter(|lacking| {
            match (&self.there[lacking.destination], &lacking.key) {
                (There::Objects(there), LackingKey::Object(key)) => there.entries.contains_key(key),
                (There::Rows(there), LackingKey::Row(key)) => there.entries.contains_key(key),
                _ => false,
            }
        })
    }

    /// The refusal of a publish that would confirm less than its share, or nothing where there is something.
    pub fn too_few(&self, source: &Source<'_>, publish: &Publish) -> Option<Error> {
        let (confirmed, published) = self.share();
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
        let mut targets: Vec<Target> = self.missed().map(|lacking| lacking.target).collect();
        targets.dedup();
        for target in targets.iter().take(NAMED) {
            let undecided = self.missed().any(|l| l.target == *target && l.undecided);
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
