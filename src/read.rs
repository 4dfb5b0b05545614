//! Reads a Jheemfile: from its text to a manifest, with every mistake and its place.
//!
//! The text becomes a tree that keeps places and recovers from mistakes of syntax; the tree is
//! checked against the grammar, the profile is laid over it, and what was understood becomes a
//! manifest, which remembers what was not. Looks at no file and looks up no names: that is `expand`'s.

mod across;
mod build;
mod check;
mod judged;
mod overlay;
mod place;
mod published;
mod tree;

use std::sync::Arc;

use crate::error::{Error, Source, Span};
use crate::manifest::Manifest;

pub use place::part;

/// At most this many mistakes of one file are told.
pub const MOST_ERRORS: usize = 100;

/// What could be read of a Jheemfile, and what could not.
#[derive(Debug)]
pub struct Reading {
    /// As much as was understood; none if keys are missing that are there, so that any name may be.
    pub manifest: Option<Manifest>,
    /// All mistakes that can be told from the text alone.
    pub errors: Vec<Error>,
    /// Where the syntax is wrong, so that nothing more is to be said.
    pub muted: Vec<Span>,
}

/// Reads a Jheemfile, with a profile laid over it.
///
/// # Errors
/// All mistakes that can be told from the text alone, in the order of their places, none twice.
pub fn read(source: &Arc<Source>, profile: Option<&str>) -> Result<Manifest, Vec<Error>> {
    let Reading { manifest, errors, .. } = reading(source, profile);
    match manifest {
        Some(manifest) if errors.is_empty() => Ok(manifest),
        _ => Err(in_order(source, errors)),
    }
}

/// Reads a Jheemfile as far as it can be read, with a profile laid over it.
pub fn reading(source: &Arc<Source>, profile: Option<&str>) -> Reading {
    let tree::Parsed { mut root, errors: syntax, broken, complete } = tree::parse(source);
    // Where keys may be missing that are there, only what is seen is judged.
    let mut errors = check::check(source, &mut root, complete);
    errors.extend(across::check(source, &root));
    errors.extend(overlay::strays(source, &root));
    let mut manifest = None;
    let mut main = overlay::without_profiles(&root);
    match profile.map(|name| overlay::lay_profile(&mut main, &root, name)) {
        None => {}
        Some(Ok(())) => {
            errors.extend(check::check(source, &mut main, complete));
            errors.extend(across::check(source, &main));
        }
        // What is wrong without it is told all the same.
        Some(Err(error)) if complete => errors.push(*error),
        Some(Err(_)) => {}
    }
    if complete {
        let (made, whole) = build::manifest(source, &main);
        if syntax.is_empty() && errors.is_empty() && !whole {
            errors.push(Error::bug("the grammar lets through what cannot be read"));
        }
        manifest = Some(made);
    }
    let lines = syntax.iter().map(|error| line_around(&source.text, start_of(error)));
    let muted: Vec<Span> = broken.into_iter().chain(lines).collect();
    let mut errors = unmuted(errors, &muted);
    errors.extend(syntax);
    Reading { manifest, errors, muted }
}

/// The line that a byte stands in, with its end.
fn line_around(text: &str, at: usize) -> Span {
    let (before, after) = text.as_bytes().split_at(at.min(text.len()));
    let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let end = after.iter().position(|byte| *byte == b'\n').unwrap_or(after.len());
    start..before.len() + end + 1
}

/// Mistakes without those of which nothing is to be said.
pub fn unmuted(mut errors: Vec<Error>, muted: &[Span]) -> Vec<Error> {
    errors.retain(|error| !muted.iter().any(|span| span.contains(&start_of(error))));
    errors
}

/// The names of the profiles in a Jheemfile, as many as can be read, in the order of the file.
pub fn profile_names(source: &Arc<Source>) -> Vec<String> {
    overlay::names(&tree::parse(source).root)
}

fn start_of(error: &Error) -> usize {
    error.places.first().map_or(0, |place| place.span.start)
}

/// Mistakes by place, none twice, and not more than anybody mends at once.
pub fn in_order(source: &Source, mut errors: Vec<Error>) -> Vec<Error> {
    errors.sort_by(|a, b| (start_of(a), &a.message).cmp(&(start_of(b), &b.message)));
    errors.dedup_by(|a, b| start_of(a) == start_of(b) && a.message == b.message);
    if errors.len() > MOST_ERRORS {
        let left = errors.len() - (MOST_ERRORS - 1);
        errors.truncate(MOST_ERRORS - 1);
        let message = format!("there are {left} more mistakes in `{}`", source.name);
        errors.push(Error::user(message).hint("mend the ones above first"));
    }
    errors
}

#[cfg(test)]
mod tests;
