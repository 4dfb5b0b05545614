//! The logs of runs, under `cache/logs/`: what they take, and how they go.
//!
//! Which runs somebody may still ask after is the caller's to say.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// One log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunLog {
    pub run: String,
    pub bytes: u64,
    path: PathBuf,
}

/// All logs in a folder, the oldest first; a folder that is not there has none.
pub fn list(folder: &Path) -> Result<Vec<RunLog>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("list", folder, &error)),
    };
    let mut logs = Vec::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        let run = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".log"));
        if let (Some(run), Ok(found)) = (run, path.symlink_metadata()) {
            logs.push(RunLog { run: run.to_owned(), bytes: found.len(), path: path.clone() });
        }
    }
    // Runs are named by when their build began.
    logs.sort_by(|a, b| a.run.cmp(&b.run));
    Ok(logs)
}

impl RunLog {
    pub fn remove(&self) -> Result<()> {
        fs::remove_file(&self.path).map_err(|error| Error::io("remove", &self.path, &error))
    }
}
