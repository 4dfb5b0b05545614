//! Where a project keeps what: its own folder, and the cache beside the Jheemfile.

use std::path::PathBuf;

/// The folders of a project.
#[derive(Clone, Debug)]
pub struct Places {
    /// The folder of the Jheemfile.
    pub root: PathBuf,
    pub cache: PathBuf,
    /// Names this cache folder among all on the machine, so that a sweep ends only its own.
    pub owner: String,
}

impl Places {
    pub fn scratch(&self) -> PathBuf {
        self.cache.join("scratch")
    }

    /// What is packed to be published, while it is.
    pub fn packed(&self) -> PathBuf {
        self.cache.join("packed")
    }

    pub fn logs(&self) -> PathBuf {
        self.cache.join("logs")
    }
}
