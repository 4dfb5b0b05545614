//! Reads a Jheemfile: from its text to a manifest, with every mistake and its place.
//!
//! The text becomes a tree that keeps places and recovers from mistakes of syntax; the tree is
//! checked against the grammar, the profile is laid over it, and what is then without a mistake
//! becomes a manifest. Looks at no file and looks up no names: that is `graph`'s.

mod across;
mod build;
mod check;
mod judged;
mod overlay;
mod place;
mod published;
mod tree;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::error::{Error, Source};
use crate::manifest::Manifest;

pub use place::part;

/// At most this many mistakes of one file are told.
pub const MOST_ERRORS: usize = 100;

/// Reads a Jheemfile, with a profile laid over it.
///
/// # Errors
/// All mistakes that can be told from the text alone, in the order of their places, none twice.
pub fn read(source: &Arc<Source>, profile: Option<&str>) -> Result<Manifest, Vec<Error>> {
    let tree::Parsed { root, errors: syntax, broken } = tree::parse(source);
    // After a mistake of syntax keys may be missing that are there, so only what is seen is judged.
    let complete = syntax.is_empty();
    let mut errors = check::check(source, &root, complete);
    errors.extend(across::check(source, &root));
    errors.extend(overlay::strays(source, &root));
    match overlay::laid(&root, profile) {
        Err(error) if complete => errors.push(*error),
        Err(_) => {}
        Ok(main) => {
            if profile.is_some() {
                errors.extend(check::check(source, &main, complete));
                errors.extend(across::check(source, &main));
            }
            if errors.is_empty() && complete {
                let defect = || vec![Error::bug("the grammar lets through what cannot be read")];
                return build::manifest(source, &main).ok_or_else(defect);
            }
        }
    }
    errors.retain(|error| !broken.iter().any(|span| span.contains(&start_of(error))));
    Err(sorted(source, syntax, errors))
}

/// The names of the profiles in a Jheemfile, as many as can be read, in the order of the file.
pub fn profile_names(source: &Arc<Source>) -> Vec<String> {
    overlay::names(&tree::parse(source).root)
}

fn start_of(error: &Error) -> usize {
    error.places.first().map_or(0, |place| place.span.start)
}

/// Mistakes by place, none twice, and not on a line whose syntax is wrong already.
fn sorted(source: &Source, syntax: Vec<Error>, errors: Vec<Error>) -> Vec<Error> {
    let lines = tree::Lines::of(&source.text);
    let line = |error: &Error| lines.number(start_of(error));
    let broken: BTreeSet<usize> = syntax.iter().map(line).collect();
    let kept = errors.into_iter().filter(|error| !broken.contains(&line(error)));
    let mut all: Vec<Error> = syntax.iter().cloned().chain(kept).collect();
    all.sort_by(|a, b| (start_of(a), &a.message).cmp(&(start_of(b), &b.message)));
    all.dedup_by(|a, b| start_of(a) == start_of(b) && a.message == b.message);
    let left = all.len().saturating_sub(MOST_ERRORS);
    if left > 0 {
        all.truncate(MOST_ERRORS - 1);
        let left = left + 1;
        let hint = "mend the ones above first";
        all.push(
            Error::user(format!("there are {left} more mistakes in `{}`", source.name)).hint(hint),
        );
    }
    all
}

#[cfg(test)]
mod tests;
