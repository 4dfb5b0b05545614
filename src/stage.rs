//! Lays out the scratch folder of a run: its inputs where the run looks for them, empty folders
//! for its outputs, the batch file; and says where each expected output will be found.
//!
//! Only declared inputs are there. A program finds links to them; a container has them bound
//! read-only, one by one, so that no link moves the times of a file of the user's.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::graph::{Graph, Runner, Target};
use crate::job::Mount;
use crate::request::{self, Ask};

/// A file or folder that the run reads.
#[derive(Clone, Debug)]
pub struct Supply {
    /// The path that the run sees.
    pub inside: String,
    /// Where it is on this machine.
    pub host: PathBuf,
    /// For a folder: the files below it, so that nothing undeclared comes along.
    pub files: Option<Vec<String>>,
}

/// A laid-out scratch folder.
#[derive(Debug)]
pub struct Stage {
    pub scratch: PathBuf,
    pub mounts: Vec<Mount>,
    /// Folders that the run may write into: the path it sees, and the folder of this machine.
    pub writable: Vec<(String, PathBuf)>,
    /// The working folder of a program.
    pub root: PathBuf,
}

/// Above this many inputs a container gets copies in one folder: each bind costs the daemon time.
const MOST_BINDS: usize = 64;

impl Stage {
    /// Where a path that the run sees is on this machine, if it lies in a writable folder.
    pub fn host(&self, inside: &str) -> Option<(PathBuf, PathBuf)> {
        self.writable
            .iter()
            .filter_map(|(folder, host)| {
                let rest = below(inside, folder)?;
                Some((folder.len(), host.clone(), PathBuf::from(rest)))
            })
            .max_by_key(|(length, ..)| *length)
            .map(|(_, host, rest)| (host, rest))
    }
}

/// What of `inside` lies below `folder`.
fn below<'a>(inside: &'a str, folder: &str) -> Option<&'a str> {
    if folder == "." {
        return Some(inside);
    }
    inside.strip_prefix(folder.trim_end_matches('/'))?.strip_prefix('/')
}

/// Lays out a scratch folder for one batch.
pub fn stage(
    graph: &Graph,
    ask: &Ask<'_>,
    outputs: &[String],
    supplies: &[Supply],
    scratch: &Path,
) -> Result<Stage> {
    let runner = graph.runner_of(ask.first.rule);
    make_folder(scratch)?;
    let mut stage = if runner.is_image() {
        container(runner, outputs, supplies, scratch)?
    } else {
        program(outputs, supplies, scratch)?
    };
    batch_folder(graph, ask, runner, &mut stage)?;
    Ok(stage)
}

fn make_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|e| Error::io("make the folder", path, &e))
}

fn program(outputs: &[String], supplies: &[Supply], scratch: &Path) -> Result<Stage> {
    let root = scratch.join("root");
    make_folder(&root)?;
    for inside in outputs {
        if let Some(parent) = root.join(inside).parent() {
            make_folder(parent)?;
        }
    }
    for supply in supplies {
        let at = root.join(&supply.inside);
        match &supply.files {
            None => link(&supply.host, &at)?,
            Some(files) => {
                make_folder(&at)?;
                for file in files {
                    link(&supply.host.join(file), &at.join(file))?;
                }
            }
        }
    }
    let writable = vec![(".".to_owned(), root.clone())];
    Ok(Stage { scratch: scratch.to_owned(), mounts: Vec::new(), writable, root })
}

fn link(to: &Path, at: &Path) -> Result<()> {
    if let Some(parent) = at.parent() {
        make_folder(parent)?;
    }
    let to = std::path::absolute(to).map_err(|e| Error::io("find", to, &e))?;
    std::os::unix::fs::symlink(&to, at).map_err(|e| Error::io("link", at, &e))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(parent) = to.parent() {
        make_folder(parent)?;
    }
    fs::copy(from, to).map(drop).map_err(|e| Error::io("copy", from, &e))
}

fn container(
    runner: &Runner,
    outputs: &[String],
    supplies: &[Supply],
    scratch: &Path,
) -> Result<Stage> {
    let mut mounts = Vec::new();
    let mut writable = Vec::new();
    for (index, (inside, _)) in runner.dirs.iter().enumerate() {
        if !outputs.iter().any(|o| below(o, inside).is_some()) {
            continue;
        }
        let host = scratch.join(format!("out-{index}"));
        make_folder(&host)?;
        open_to_all(&host)?;
        mounts.push(Mount { host: host.clone(), inside: inside.clone(), write: true });
        writable.push((inside.clone(), host));
    }
    let many = supplies.len() > MOST_BINDS;
    let mut shared: BTreeMap<String, PathBuf> = BTreeMap::new();
    for supply in supplies {
        let together = many || supply.files.is_some();
        let folder = shared_folder(runner, outputs, &supply.inside).filter(|_| together);
        let (host, inside) = match folder {
            Some(inside) => {
                let next = scratch.join(format!("in-{}", shared.len()));
                let host = shared.entry(inside.clone()).or_insert(next).clone();
                let rest = below(&supply.inside, &inside).unwrap_or_default();
                copy_supply(supply, &host.join(rest))?;
                (host, inside)
            }
            None if supply.files.is_some() => {
                let host = scratch.join(format!("folder-{}", mounts.len()));
                copy_supply(supply, &host)?;
                (host, supply.inside.clone())
            }
            None => {
                let host = fs::canonicalize(&supply.host)
                    .map_err(|e| Error::io("find", &supply.host, &e))?;
                (host, supply.inside.clone())
            }
        };
        let mount = Mount { host, inside, write: false };
        if !mounts.contains(&mount) {
            mounts.push(mount);
        }
    }
    for mount in mounts.iter().filter(|mount| !mount.write && mount.host.starts_with(scratch)) {
        show_to_all(&mount.host)?;
    }
    Ok(Stage { scratch: scratch.to_owned(), mounts, writable, root: scratch.to_owned() })
}

/// The widest folder of the run's that an input may be shown in together with others: nothing is written there.
fn shared_folder(runner: &Runner, outputs: &[String], inside: &str) -> Option<String> {
    let dirs = runner.dirs.iter().map(|(dir, _)| dir.as_str());
    let dir = dirs.filter(|dir| below(inside, dir).is_some()).max_by_key(|dir| dir.len())?;
    let written = |folder: &str| outputs.iter().any(|output| below(output, folder).is_some());
    let ends = inside.match_indices('/').map(|(at, _)| at);
    let folders = ends.map(|at| &inside[..at]).filter(|folder| folder.len() >= dir.len());
    folders.into_iter().find(|folder| !written(folder)).map(str::to_owned)
}

/// The image may run as anybody, and scratch itself is the caller's alone.
fn open_to_all(folder: &Path) -> Result<()> {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o777))
        .map_err(|e| Error::io("open", folder, &e))
}

/// Whoever the image runs as reads what was copied for it, whatever the caller's own files are like.
fn show_to_all(path: &Path) -> Result<()> {
    let meta = fs::symlink_metadata(path).map_err(|e| Error::io("look at", path, &e))?;
    let more = if meta.is_dir() { 0o555 } else { 0o444 };
    let mode = meta.permissions().mode();
    if mode & more != more {
        fs::set_permissions(path, fs::Permissions::from_mode(mode | more))
            .map_err(|e| Error::io("open", path, &e))?;
    }
    if meta.is_dir() {
        let entries = fs::read_dir(path).map_err(|e| Error::io("list", path, &e))?;
        for entry in entries {
            show_to_all(&entry.map_err(|e| Error::io("list", path, &e))?.path())?;
        }
    }
    Ok(())
}

fn copy_supply(supply: &Supply, to: &Path) -> Result<()> {
    match &supply.files {
        None => copy(&supply.host, to),
        Some(files) => {
            make_folder(to)?;
            files.iter().try_for_each(|file| copy(&supply.host.join(file), &to.join(file)))
        }
    }
}

/// Writes the batch file and the lists of joins, and shows their folder to the run.
fn batch_folder(graph: &Graph, ask: &Ask<'_>, runner: &Runner, stage: &mut Stage) -> Result<()> {
    let files = batch_files(graph, ask);
    if files.is_empty() {
        return Ok(());
    }
    let Some(inside) = &runner.batch_dir else {
        return Err(Error::bug(format!("runner `{}` shows no batch folder", runner.name)));
    };
    let folder = if runner.is_image() {
        let folder = stage.scratch.join("batch");
        stage.mounts.push(Mount { host: folder.clone(), inside: inside.clone(), write: false });
        folder
    } else {
        stage.root.join(inside)
    };
    make_folder(&folder)?;
    for (name, text) in files {
        let path = folder.join(&name);
        fs::write(&path, text).map_err(|e| Error::io("write", &path, &e))?;
    }
    if runner.is_image() {
        show_to_all(&folder)?;
    }
    Ok(())
}

/// The files of a batch's own folder: the jobs file, and a list for each join that the command names.
pub fn batch_files(graph: &Graph, ask: &Ask<'_>) -> Vec<(String, String)> {
    let rule = graph.rule(ask.first.rule);
    let mut files = Vec::new();
    if let Some(text) = request::jobs_file(graph, ask) {
        files.push(("jobs.yaml".to_owned(), text));
    }
    let arguments = rule.command.iter().chain(rule.groups.iter().flat_map(|g| &g.arguments));
    let mut listed = BTreeSet::new();
    for slot in arguments.flat_map(|text| &text.slots) {
        if let crate::graph::Slot::JoinFile(read) = slot {
            listed.insert(*read);
        }
    }
    for read in listed {
        let mut text = ask.joined[read].join("\n");
        text.push('\n');
        files.push((format!("join-{read}.txt"), text));
    }
    files
}

/// The paths that the run sees for all outputs of a target in these groups.
pub fn outputs_inside(graph: &Graph, target: Target, groups: u32) -> Vec<String> {
    (0..graph.rule(target.rule).groups.len())
        .filter(|group| groups & (1 << group) != 0)
        .flat_map(|group| graph.outputs_in_order(target, group))
        .map(|(_, inside)| inside)
        .collect()
}
