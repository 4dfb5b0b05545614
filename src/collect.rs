//! From files in scratch to stored, audited outputs.
//!
//! Everything that a run leaves is distrusted: it may be a link, a device, half a file, the wrong
//! plot. What is stored is what was read, and what was read is what is judged.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use globset::GlobMatcher;

use crate::audit;
use crate::content::{As, Document, Pointer};
use crate::digest::Digest;
use crate::error::Result;
use crate::graph::Target;
use crate::objects::Objects;
use crate::records::{Made, MadeOutput};

/// One output that a run is expected to make, and how it is judged.
#[derive(Clone, Debug)]
pub struct ExpectedOutput {
    /// The writable folder, and the path below it.
    pub folder: PathBuf,
    pub file: PathBuf,
    /// The path in the project, for messages and for placing.
    pub path: String,
    pub kind: As,
    pub volatile: Vec<Pointer>,
    pub rules: Vec<audit::Rule>,
    pub optional: bool,
}

/// One group of outputs of a target that a run is expected to make.
#[derive(Clone, Debug)]
pub struct Expected {
    pub target: Target,
    pub group: usize,
    pub label: String,
    pub fingerprint: Digest,
    pub by_bytes: Digest,
    pub judged: Digest,
    /// In the order of records.
    pub outputs: Vec<ExpectedOutput>,
}

/// What was found of one expected group.
#[derive(Clone, Debug)]
pub enum Collected {
    Made(Made),
    /// Made, and refused by the audit.
    Refused {
        made: Made,
        findings: Vec<String>,
    },
    /// Some output that must be there is not; its project path.
    Missing(String),
    /// Something stands there that is no plain file; what, in words.
    Unfit(String),
    /// Something was still writing there; its project path.
    Moving(String),
}

/// Reads, judges and stores the outputs of one group.
pub fn collect(objects: &Objects, expected: &Expected, run: &str) -> Result<Collected> {
    let mut outputs = Vec::with_capacity(expected.outputs.len());
    let mut findings = Vec::new();
    for output in &expected.outputs {
        match look(&output.folder, &output.file) {
            Found::File => {}
            Found::Nothing if output.optional => {
                outputs.push(None);
                continue;
            }
            Found::Nothing => return Ok(Collected::Missing(output.path.clone())),
            Found::Other(what) => {
                return Ok(Collected::Unfit(format!("`{}` is {what}", output.path)));
            }
        }
        let Some(stored) = objects.put_file(&output.folder.join(&output.file))? else {
            return Ok(Collected::Moving(output.path.clone()));
        };
        if output.kind == As::BYTES {
            // Nothing is looked for in plain bytes, and a simulation may be larger than the memory.
            let (bytes, size) = (stored.digest, stored.size);
            findings.extend(judge_size(output, size));
            outputs.push(Some(MadeOutput { bytes, content: bytes, size }));
            continue;
        }
        let Some(bytes) = objects.read(&stored.digest)? else {
            return Ok(Collected::Missing(output.path.clone()));
        };
        let content = match judge(output, &bytes) {
            Ok((content, found)) => {
                findings.extend(found);
                content
            }
            Err(finding) => {
                findings.push(finding);
                stored.digest
            }
        };
        outputs.push(Some(MadeOutput { bytes: stored.digest, content, size: stored.size }));
    }
    let made =
        Made { outputs, judged: expected.judged, by_bytes: expected.by_bytes, run: run.to_owned() };
    Ok(if findings.is_empty() {
        Collected::Made(made)
    } else {
        Collected::Refused { made, findings }
    })
}

/// Whether a plain file stands where this output should be.
pub fn stands(output: &ExpectedOutput) -> bool {
    matches!(look(&output.folder, &output.file), Found::File)
}

/// The content digest and what the audit finds; or why the bytes cannot be read as what they are declared to be.
pub fn judge(
    output: &ExpectedOutput,
    bytes: &[u8],
) -> std::result::Result<(Digest, Vec<String>), String> {
    let told = |finding: audit::Finding| format!("{}: {finding}", output.path);
    let document = Document::parse(bytes, output.kind)
        .map_err(|error| told(audit::unreadable("", output.kind, &error)))?;
    let findings = audit::audit_document(&output.rules, &document).into_iter().map(told).collect();
    Ok((document.content_digest(&output.volatile), findings))
}

/// What the audit finds of a file of which only the size is looked at.
pub fn judge_size(output: &ExpectedOutput, size: u64) -> Vec<String> {
    let findings = audit::audit_size(&output.rules, size).into_iter();
    findings.map(|finding| format!("{}: {finding}", output.path)).collect()
}

enum Found {
    File,
    Nothing,
    /// A phrase such as `a link`.
    Other(&'static str),
}

/// What a container's root wrote may be opened only after the run, when it is made the caller's own.
const CLOSED: &str = "closed to the user who runs jheem";

/// What stands at a path below a folder, with no link followed on the way.
fn look(folder: &Path, file: &Path) -> Found {
    let mut at = folder.to_owned();
    let parts: Vec<_> = file.components().collect();
    for (index, part) in parts.iter().enumerate() {
        at.push(part);
        let kind = match fs::symlink_metadata(&at) {
            Ok(metadata) => metadata.file_type(),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Found::Other(CLOSED);
            }
            Err(_) => return Found::Nothing,
        };
        let last = index + 1 == parts.len();
        if kind.is_symlink() {
            return Found::Other(if last {
                "a link, not a file"
            } else {
                "reached through a link, which may lead out of the output folder"
            });
        }
        if last && kind.is_dir() {
            return Found::Other("a folder, not a file");
        }
        if last && !kind.is_file() {
            return Found::Other("a device or pipe, not a file");
        }
        if !last && !kind.is_dir() {
            return Found::Nothing;
        }
    }
    if rustix::fs::access(&at, rustix::fs::Access::READ_OK).is_err() {
        return Found::Other(CLOSED);
    }
    Found::File
}

/// The files below the writable folders that nobody asked for, as the paths that the run saw.
pub fn strays(
    writable: &[(String, PathBuf)],
    known: &dyn Fn(&str) -> bool,
    ignore: &[GlobMatcher],
) -> Vec<String> {
    let mut strays = Vec::new();
    for (inside, folder) in writable {
        let mut files = Vec::new();
        // A folder that cannot be read is told of where its outputs are missed.
        let _unreadable = walk(folder, Path::new(""), &mut files);
        for file in files {
            let path = if inside == "." {
                file.clone()
            } else {
                format!("{}/{file}", inside.trim_end_matches('/'))
            };
            if !known(&path) && !ignore.iter().any(|glob| glob.is_match(&file)) {
                strays.push(path);
            }
        }
    }
    strays.sort();
    strays
}

/// All that is not a folder, below `folder`, without following links.
fn walk(folder: &Path, below: &Path, files: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(folder.join(below))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            walk(folder, &path, files)?;
        } else {
            files.push(path.to_string_lossy().into_owned());
        }
    }
    Ok(())
}
