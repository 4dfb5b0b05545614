//! Taking away runs' scratch folders, as far as the caller may.
//!
//! Knows nothing of runs; what belongs to someone else is named, for `ownership` to see to.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// What became of the entries of a folder.
#[derive(Debug, Default)]
pub struct Cleared {
    pub removed: Vec<PathBuf>,
    /// Entries that hold something of another user.
    pub foreign: Vec<PathBuf>,
}

/// Removes everything in `folder`, which stays; a folder that does not exist is empty.
pub fn clear(folder: &Path) -> Result<Cleared> {
    let mut cleared = Cleared::default();
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(cleared),
        Err(error) => return Err(Error::io("list", folder, &error)),
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        match remove(&path) {
            Ok(()) => cleared.removed.push(path),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                cleared.foreign.push(path);
            }
            Err(error) => return Err(Error::io("remove", &path, &error)),
        }
    }
    Ok(cleared)
}

/// Removes a file or a folder with all that it holds, also folders that their owner made unwritable.
///
/// Being gone already is no error.
pub fn remove(path: &Path) -> io::Result<()> {
    let once = || match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    let first = match once() {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_folders(path);
            once()
        }
        // Folders may lie deeper in each other than a process may open at once.
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::MFILE.raw_os_error()) => {
            flatten(path)?;
            once()
        }
        other => other,
    };
    match first {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Empties a folder level by level, with no more than two folders open.
fn flatten(top: &Path) -> io::Result<()> {
    let mut moved = 0u64;
    loop {
        let below: Vec<fs::DirEntry> = fs::read_dir(top)?.collect::<io::Result<_>>()?;
        if below.is_empty() {
            return Ok(());
        }
        for entry in below {
            if !entry.file_type()?.is_dir() {
                fs::remove_file(entry.path())?;
                continue;
            }
            for deeper in fs::read_dir(entry.path())?.collect::<io::Result<Vec<_>>>()? {
                moved += 1;
                fs::rename(deeper.path(), top.join(format!(".{moved}.jheem")))?;
            }
            fs::remove_dir(entry.path())?;
        }
    }
}

/// Gives the owner all rights on the folders below `path` that are the caller's.
fn open_folders(path: &Path) {
    let Ok(meta) = fs::symlink_metadata(path) else { return };
    if !meta.is_dir() {
        return;
    }
    let own = meta.uid() == rustix::process::geteuid().as_raw();
    if own && meta.mode() & 0o700 != 0o700 {
        // A failure shows when the folder is removed.
        let _ = fs::set_permissions(path, fs::Permissions::from_mode(0o700));
    }
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        open_folders(&entry.path());
    }
}
