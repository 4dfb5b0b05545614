//! The files of a folder, as many as can be looked at in a moment.

use std::fs;
use std::path::Path;

use crate::error::{Error, Result};

/// So many files are looked at; more would say nothing else.
const MOST: usize = 200_000;
/// Folders that hold no plots of this project.
const NOT_OURS: [&str; 6] = ["cache", "target", "node_modules", "renv", "site", "__pycache__"];

/// What a folder holds.
pub struct Found {
    /// Paths from the folder, with `/` between their parts, sorted.
    pub paths: Vec<String>,
    /// Whether there are more files than were looked at.
    pub more: bool,
}

/// Lists the folder and the folders in it; what cannot be read, or is no text, is passed over.
pub fn look(folder: &Path) -> Result<Found> {
    let mut found = Found { paths: Vec::new(), more: false };
    // The folder itself must be there; those below it may be anybody's.
    fs::read_dir(folder).map_err(|e| Error::io("list", folder, &e))?;
    let mut folders = vec![String::new()];
    while let Some(at) = folders.pop() {
        let Ok(entries) = fs::read_dir(folder.join(&at)) else { continue };
        let mut below = Vec::new();
        for entry in entries.flatten() {
            let Ok(name) = entry.file_name().into_string() else { continue };
            if name.starts_with('.') || name.chars().any(char::is_control) || name.contains('\\') {
                continue;
            }
            let path = if at.is_empty() { name.clone() } else { format!("{at}/{name}") };
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && !NOT_OURS.contains(&name.as_str()) => below.push(path),
                Ok(kind) if kind.is_file() => {
                    if found.paths.len() == MOST {
                        found.more = true;
                        folders.clear();
                        below.clear();
                        break;
                    }
                    found.paths.push(path);
                }
                _ => {}
            }
        }
        below.sort_unstable_by(|a, b| b.cmp(a));
        folders.append(&mut below);
    }
    found.paths.sort_unstable();
    Ok(found)
}
