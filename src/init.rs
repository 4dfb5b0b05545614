//! Proposes a Jheemfile for a folder: what its file names show, and an example where they show nothing.
//!
//! What is proposed is read back with jheem's own reader before it is handed out, so that it is
//! always a Jheemfile; it never says that it knows what it only guesses.

mod found;
mod grid;
mod inputs;
mod kinds;
mod text;

use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, Result, Source};
use crate::{expand, read};

/// The text of a commented Jheemfile; with axes proposed from the names of plots, if there are any.
///
/// # Errors
/// The folder cannot be listed.
pub fn propose(folder: &Path) -> Result<String> {
    let found = found::look(folder)?;
    let project = project_name(folder);
    for grid in grid::guesses(&found.paths) {
        if let Some(text) = proposal(&project, &grid, &found.paths, found.more) {
            return Ok(text);
        }
    }
    Ok(text::example(&project, found.paths.len()))
}

/// A Jheemfile for a grid; its publish is only an addition, and left out before the grid is.
fn proposal(project: &str, grid: &grid::Grid, paths: &[String], more: bool) -> Option<String> {
    let plots = text::of_grid(project, grid, &inputs::guess(paths, grid), more);
    let whole = plots.clone() + &text::of_publish(grid);
    [whole, plots].into_iter().find(|text| is_valid(text))
}

/// Whether jheem itself takes it.
fn is_valid(text: &str) -> bool {
    let source = Arc::new(Source { name: "Jheemfile.toml".into(), text: text.to_owned() });
    let no_files = |path: &str| Err(Error::user(format!("`{path}` is not to be read")));
    read::read(&source, None).is_ok_and(|manifest| expand::expand(&manifest, &no_files).is_ok())
}

/// The folder's own name, as far as it can be a name.
fn project_name(folder: &Path) -> String {
    let whole = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let name = whole.file_name().map(|name| name.to_string_lossy().into_owned());
    kinds::as_name(&name.unwrap_or_default()).unwrap_or_else(|| "plots".into())
}

#[cfg(test)]
mod tests;
