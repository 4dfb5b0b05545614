//! Proposes a Jheemfile for a folder.

use std::path::Path;

use crate::error::Result;

/// The text of a commented Jheemfile; with axes proposed from the names of plots, if there are any.
pub fn propose(_folder: &Path) -> Result<String> {
    Ok(String::new())
}
