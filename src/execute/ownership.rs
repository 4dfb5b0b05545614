//! Makes what a container wrote the caller's own, whoever the container ran as.
//!
//! A daemon that runs as root writes as root for an image that does, and an ordinary caller may neither read a 0600 file nor remove a 0755 folder of root's.
//! The daemon itself mends it, with nothing run: into a container that is created and never started, the folder is mounted and an archive is unpacked.
//! An archive entry for a folder that exists changes its owner and mode; an entry that is a hard link to an existing file changes the file's owner, because links share it.
//! So no image needs a program of ours, and no content is copied.
//!
//! Only paths that belong to someone else are touched. A caller who is root changes owners himself.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use bollard::models::{ContainerCreateBody, HostConfig, Mount, MountType};
use bollard::query_parameters::{RemoveContainerOptionsBuilder, UploadToContainerOptionsBuilder};

use crate::error::{Error, Result};
use crate::execute::daemon::{Daemon, OWNER_LABEL};

/// Where the folder is mounted in the container that is never started.
const INSIDE: &str = "/jheem";

/// Who asks, and with which image a container can be created.
pub struct Caller<'a> {
    pub daemon: &'a Daemon,
    /// Any image that the daemon has; nothing of it is run.
    pub image: &'a str,
    pub owner: &'a str,
    /// Tells this run's temporary names from those of others.
    pub tag: &'a str,
}

/// Something that belongs to someone else.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Foreign {
    path: PathBuf,
    mode: u32,
    folder: bool,
}

/// Makes the folders, and all that is in them, the caller's; they must exist.
///
/// Symbolic links are not followed and stay as they are.
pub async fn take_back(caller: &Caller<'_>, folders: &[&Path]) -> Result<()> {
    let mut tried = BTreeSet::new();
    loop {
        // An unreadable folder shows what it holds only when it is the caller's: one round for each level.
        let mut foreign = Vec::new();
        for folder in folders {
            survey(folder, &mut foreign)?;
        }
        if foreign.is_empty() {
            return Ok(());
        }
        for found in &foreign {
            if !tried.insert(found.path.clone()) {
                let path = found.path.display();
                return Err(Error::environment(format!("cannot make `{path}` your own"))
                    .because(format!("{} unpacked an archive there, to no effect", caller.daemon))
                    .hint(format!("run `sudo chown -R $(id -u):$(id -g) {path}`")));
            }
        }
        if rustix::process::geteuid().is_root() {
            for found in &foreign {
                let me = rustix::process::getegid().as_raw();
                std::os::unix::fs::lchown(&found.path, Some(0), Some(me))
                    .map_err(|error| Error::io("change the owner of", &found.path, &error))?;
            }
        } else {
            through_the_daemon(caller, foreign).await?;
        }
    }
}

/// Finds what is foreign, as deep as folders can be read, and opens the caller's own closed ones.
fn survey(path: &Path, foreign: &mut Vec<Foreign>) -> Result<()> {
    let meta = match fs::symlink_metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io("look at", path, &error)),
    };
    let folder = meta.is_dir();
    // Anything else (links, sockets) goes with its folder.
    if !folder && !meta.is_file() {
        return Ok(());
    }
    let own = meta.uid() == rustix::process::geteuid().as_raw();
    let needed = if folder { 0o700 } else { 0o400 };
    let mode = meta.mode() & 0o777;
    if !own {
        let mode = mode | if folder { 0o700 } else { 0o600 };
        foreign.push(Foreign { path: path.to_owned(), mode, folder });
    } else if mode & needed != needed {
        fs::set_permissions(path, fs::Permissions::from_mode(mode | needed))
            .map_err(|error| Error::io("open", path, &error))?;
    }
    if folder {
        match fs::read_dir(path) {
            Ok(entries) => {
                for entry in entries.flatten() {
                    survey(&entry.path(), foreign)?;
                }
            }
            Err(error) if !own && error.kind() == io::ErrorKind::PermissionDenied => {}
            Err(error) => return Err(Error::io("list", path, &error)),
        }
    }
    Ok(())
}

/// One round: mounts the parents of the foreign paths' top folders and unpacks an archive into each.
async fn through_the_daemon(caller: &Caller<'_>, foreign: Vec<Foreign>) -> Result<()> {
    let mut by_parent: BTreeMap<PathBuf, Vec<Foreign>> = BTreeMap::new();
    for found in foreign {
        // The nearest folder of the caller's holds the path, so it is the place for temporary links.
        let parent = own_ancestor(&found.path);
        by_parent.entry(parent).or_default().push(found);
    }
    let (uid, gid) = if caller.daemon.is_rootless().await? {
        (0, 0)
    } else {
        (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
    };
    for (parent, foreign) in by_parent {
        let links = format!(".jheem-{}", caller.tag);
        let archive = archive(&parent, &foreign, &links, uid, gid);
        let unpacked = unpack(caller, &parent, archive).await;
        let leftover = parent.join(&links);
        match fs::remove_dir_all(&leftover) {
            Err(error) if unpacked.is_ok() && error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::io("remove", &leftover, &error));
            }
            _ => unpacked?,
        }
    }
    Ok(())
}

fn own_ancestor(path: &Path) -> PathBuf {
    let me = rustix::process::geteuid().as_raw();
    let mut ancestors = path.ancestors().skip(1);
    let own = |folder: &&Path| fs::metadata(folder).is_ok_and(|meta| meta.uid() == me);
    let parent = path.parent().unwrap_or(path);
    ancestors.find(own).unwrap_or(parent).to_owned()
}

async fn unpack(caller: &Caller<'_>, folder: &Path, archive: Vec<u8>) -> Result<()> {
    let docker = &caller.daemon.docker;
    let mount = Mount {
        target: Some(INSIDE.to_owned()),
        source: Some(folder.display().to_string()),
        typ: Some(MountType::BIND),
        ..Mount::default()
    };
    let body = ContainerCreateBody {
        image: Some(caller.image.to_owned()),
        // Never run: an image without a command of its own needs some word.
        cmd: Some(vec!["never".to_owned()]),
        labels: Some([(OWNER_LABEL.to_owned(), caller.owner.to_owned())].into()),
        network_disabled: Some(true),
        host_config: Some(HostConfig { mounts: Some(vec![mount]), ..HostConfig::default() }),
        ..ContainerCreateBody::default()
    };
    let what = format!("make what a container wrote in `{}` your own", folder.display());
    let refused = |error| caller.daemon.refused(&what, &error);
    let none = None::<bollard::query_parameters::CreateContainerOptions>;
    let created = docker.create_container(none, body).await.map_err(refused)?;
    let options = UploadToContainerOptionsBuilder::default().path(INSIDE).build();
    let body = bollard::body_full(archive.into());
    let uploaded = docker.upload_to_container(&created.id, Some(options), body).await;
    let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
    let removed = docker.remove_container(&created.id, Some(options)).await;
    uploaded.and(removed).map_err(refused)
}

/// A tar archive that changes the owners of what is there when it is unpacked into `parent`.
fn archive(parent: &Path, foreign: &[Foreign], links: &str, uid: u32, gid: u32) -> Vec<u8> {
    let mut tar = Tar { bytes: Vec::new(), uid, gid };
    let (folders, files): (Vec<_>, Vec<_>) = foreign.iter().partition(|found| found.folder);
    let inside = |found: &Foreign| -> Vec<u8> {
        let path = found.path.strip_prefix(parent).unwrap_or(&found.path);
        path.as_os_str().as_bytes().to_vec()
    };
    if !files.is_empty() {
        tar.entry(b'5', links.as_bytes(), b"", 0o700);
    }
    for (number, file) in files.into_iter().enumerate() {
        let link = format!("{links}/{number}");
        tar.entry(b'1', link.as_bytes(), &inside(file), file.mode);
    }
    // Folders last, deepest first: their owners may lose rights in them.
    for folder in folders.into_iter().rev() {
        tar.entry(b'5', &inside(folder), b"", folder.mode);
    }
    tar.bytes.extend([0; 1024]);
    tar.bytes
}

/// Writes headers of the GNU tar format; nothing here has content.
struct Tar {
    bytes: Vec<u8>,
    uid: u32,
    gid: u32,
}

impl Tar {
    fn entry(&mut self, kind: u8, name: &[u8], link: &[u8], mode: u32) {
        let mut name = name.to_vec();
        if kind == b'5' {
            name.push(b'/');
        }
        for (kind, long) in [(b'L', name.as_slice()), (b'K', link)] {
            if long.len() > 100 {
                self.header(kind, b"././@LongLink", b"", 0o644, long.len() + 1);
                self.bytes.extend(long);
                let padding = 512 - long.len() % 512;
                self.bytes.extend(std::iter::repeat_n(0, padding));
            }
        }
        self.header(kind, &name, link, mode, 0);
    }

    fn header(&mut self, kind: u8, name: &[u8], link: &[u8], mode: u32, size: usize) {
        let mut header = [0; 512];
        let mut put = |at: usize, field: &[u8]| header[at..at + field.len()].copy_from_slice(field);
        put(0, &name[..name.len().min(100)]);
        put(100, format!("{mode:07o}").as_bytes());
        put(108, &number(self.uid));
        put(116, &number(self.gid));
        put(124, format!("{size:011o}").as_bytes());
        put(136, format!("{:011o}", 0).as_bytes());
        put(148, b"        ");
        put(156, &[kind]);
        put(157, &link[..link.len().min(100)]);
        put(257, b"ustar  \0");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.bytes.extend(header);
    }
}

/// A user's number: octal digits, or binary for the large ones that directories of many users give.
fn number(id: u32) -> [u8; 8] {
    let mut field = [0; 8];
    if id < 1 << 21 {
        field[..7].copy_from_slice(format!("{id:07o}").as_bytes());
    } else {
        field[0] = 0x80;
        field[4..].copy_from_slice(&id.to_be_bytes());
    }
    field
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn the_archive_is_one_that_tar_reads() {
        let deep = format!("{}/file", ["plots"; 40].join("/"));
        let foreign = [
            Foreign { path: "/s/plots".into(), mode: 0o755, folder: true },
            Foreign { path: PathBuf::from("/s").join(&deep), mode: 0o644, folder: false },
        ];
        let bytes = archive(Path::new("/s"), &foreign, ".jheem-7", 1_200_000_001, 100);
        let mut tar = Command::new("tar")
            .args(["--numeric-owner", "-tvf", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        tar.stdin.take().unwrap().write_all(&bytes).unwrap();
        let told = tar.wait_with_output().unwrap();
        assert!(told.status.success());
        let text = String::from_utf8(told.stdout).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines[0].starts_with("drwx------ 1200000001/100 "), "{text}");
        assert!(lines[1].starts_with("hrw-r--r-- 1200000001/100 "), "{text}");
        assert!(lines[1].ends_with(&format!(".jheem-7/0 link to {deep}")), "{text}");
        assert!(lines[2].ends_with(" plots/"), "{text}");
    }
}
