//! Opens a project: finds the Jheemfile, reads it, builds the graph, and locks the cache folder.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::digest::Digest;
use crate::error::{Error, Result, Source};
use crate::expand;
use crate::graph::Graph;
use crate::lockfile::{self, Lockfile};
use crate::manifest::Manifest;
use crate::places::Places;

/// The name that is looked for, in this folder and those above it.
pub const JHEEMFILE: &str = "Jheemfile.toml";

/// A project that was read without a mistake.
#[derive(Debug)]
pub struct Project {
    pub manifest: Manifest,
    pub graph: Graph,
    pub places: Places,
    /// The Jheemfile itself.
    pub file: PathBuf,
    /// What is pinned, and the file that says it.
    pub lock: Lockfile,
    pub lock_file: PathBuf,
    /// The folder of the project that jheem was started in; empty for its own, and for any outside of it.
    pub here: String,
}

/// Finds and reads the Jheemfile. All its mistakes are returned at once.
pub fn open(file: Option<&Path>, profile: Option<&str>) -> Result<Project, Vec<Error>> {
    let file = find(file).map_err(|e| vec![e])?;
    let text = read_text(&file).map_err(|e| vec![e])?;
    // The parent of a bare name is empty, which is no folder's name.
    let root = match file.parent() {
        Some(folder) if folder != Path::new("") => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    let name = display_name(&file);
    let source = Arc::new(Source { name, text });
    let files = |path: &str| read_text(&root.join(path));
    let (manifest, graph) = expand::open(&source, profile, &files)?;
    let cache = root.join("cache");
    check(&graph, profile, &cache)?;
    let owner = std::path::absolute(&cache).unwrap_or_else(|_| cache.clone());
    let owner = Digest::of(owner.as_os_str().as_encoded_bytes()).hex();
    let places = Places { root, cache, owner: owner[..16].to_owned() };
    let here = here(&places.root);
    let lock_file = lockfile::path_for(&file);
    let lock = Lockfile::read(&lock_file).map_err(|e| vec![e])?;
    Ok(Project { manifest, graph, places, file, lock, lock_file, here })
}

fn here(root: &Path) -> String {
    let below = || {
        let here = std::env::current_dir().ok()?.canonicalize().ok()?;
        let below = here.strip_prefix(root.canonicalize().ok()?).ok()?.to_str()?.to_owned();
        Some(below)
    };
    below().unwrap_or_default()
}

/// Compares all names of a graph, unless these very names were found to be well before.
///
/// A grid has hundreds of thousands of them, and they all follow from what is hashed here.
fn check(graph: &Graph, profile: Option<&str>, cache: &Path) -> Result<(), Vec<Error>> {
    let said =
        format!("{} {profile:?} {:?} {}", env!("CARGO_PKG_VERSION"), graph.axes, graph.source.text);
    let digest = Digest::of(said.as_bytes()).to_string();
    let file = cache.join("checked");
    if std::fs::read(&file).is_ok_and(|known| known == digest.as_bytes()) {
        return Ok(());
    }
    expand::check(graph)?;
    if cache.is_dir() {
        // It only spares time: where it cannot be written, the names are compared each time.
        let _spared = std::fs::write(&file, digest);
    }
    Ok(())
}

fn find(file: Option<&Path>) -> Result<PathBuf> {
    if let Some(file) = file {
        let file = if file.is_dir() { file.join(JHEEMFILE) } else { file.to_owned() };
        if file.is_file() {
            return Ok(file);
        }
        return Err(Error::user(format!("there is no Jheemfile at `{}`", file.display()))
            .hint("name the file with `--file`"));
    }
    let here = std::env::current_dir()
        .map_err(|e| Error::io("find", Path::new("the current folder"), &e))?;
    let found = here.ancestors().map(|folder| folder.join(JHEEMFILE)).find(|f| f.is_file());
    match found {
        // A path relative to here reads better in messages.
        Some(found) if found.parent() == Some(&here) => Ok(PathBuf::from(JHEEMFILE)),
        Some(found) => Ok(found),
        None => Err(Error::user(format!("there is no `{JHEEMFILE}` here, nor in a folder above"))
            .hint("run `jheem init` to write one")),
    }
}

fn display_name(file: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    file.strip_prefix(&here).unwrap_or(file).display().to_string()
}

/// The text of a file that must be UTF-8.
fn read_text(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).map_err(|e| {
        let error = Error::io("read", path, &e);
        Error { kind: crate::error::Kind::User, ..error }
    })?;
    String::from_utf8(bytes).map_err(|e| {
        Error::user(format!(
            "`{}` is not UTF-8: byte {} cannot be read",
            path.display(),
            e.utf8_error().valid_up_to()
        ))
        .hint("save it as UTF-8")
    })
}

/// The hold on a project's cache folder; gone with the process, however that ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// What to do while another jheem holds the project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    Wait,
    GiveUp,
}

/// Keeps the cache out of Git, whatever the project's own `.gitignore` says; one that is there is somebody's.
fn ignore(cache: &Path) -> Result<()> {
    let path = cache.join(".gitignore");
    let made = OpenOptions::new().write(true).create_new(true).open(&path);
    match made.and_then(|mut file| file.write_all(b"# Written by jheem.\n*\n")) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(Error::io("write", &path, &error))
        }
        _ => Ok(()),
    }
}

/// Takes the project lock. `told` hears who holds it, before waiting.
pub fn lock(places: &Places, patience: Patience, told: &mut dyn FnMut(String)) -> Result<Lock> {
    let folder = &places.cache;
    std::fs::create_dir_all(folder).map_err(|e| Error::io("make the folder", folder, &e))?;
    ignore(folder)?;
    let path = folder.join("lock");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(|e| Error::io("open the lock", &path, &e))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // The holder may be writing its name just now; it is only for the message.
            let _partial = file.read_to_string(&mut holder);
            let holder = holder.trim();
            let holder = if holder.is_empty() { "another jheem" } else { holder };
            if patience == Patience::GiveUp {
                return Err(Error::locked(format!("the project is held by {holder}"))
                    .hint("wait for it, or leave `--no-wait` out"));
            }
            told(format!("waiting for {holder}"));
            file.lock().map_err(|e| Error::io("wait for the lock", &path, &e))?;
        }
        Err(TryLockError::Error(e)) => return Err(Error::io("lock", &path, &e)),
    }
    let holder = format!(
        "jheem (process {}, since {})\n",
        std::process::id(),
        crate::clock::rfc3339(crate::clock::now())
    );
    let written = file
        .set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| file.write_all(holder.as_bytes()));
    written.map_err(|e| Error::io("write the lock", &path, &e))?;
    Ok(Lock { _file: file })
}
