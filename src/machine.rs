//! What this machine has and is: how much memory runs may declare in all, and who publishes from here.

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::{BuildHasher as _, Hasher as _};
use std::io;
use std::path::Path;

/// Bytes of memory of this machine.
#[cfg(target_os = "linux")]
pub fn memory() -> u64 {
    let info = rustix::system::sysinfo();
    #[expect(clippy::useless_conversion, reason = "the fields are narrower on other platforms")]
    let (total, unit) = (u64::from(info.totalram), u64::from(info.mem_unit));
    total.saturating_mul(unit)
}

/// Bytes of memory of this machine; unknown here, so that declared limits alone count.
#[cfg(not(target_os = "linux"))]
pub fn memory() -> u64 {
    u64::MAX
}

/// Bytes that are free for this user on the disk of a folder.
pub fn room(folder: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Whoever publishes from a project on this machine, by the name of its cache: one jheem at a time, for the project is locked.
///
/// Another boot, or another cache, is another one, so that machines which look alike are told apart.
pub fn publisher(project: &str, cache: &Path) -> String {
    let names = rustix::system::uname();
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let boot = boot.get(..8).unwrap_or("unknown");
    let cache = fs::read_to_string(cache.join(PUBLISHER)).unwrap_or_default();
    let node = names.nodename().to_string_lossy();
    format!("{node} (boot {boot}, project {project}, cache {})", cache.trim())
}

/// Gives a cache its name, if it has none yet.
pub fn name_publisher(cache: &Path) -> io::Result<()> {
    let path = cache.join(PUBLISHER);
    if path.is_file() {
        return Ok(());
    }
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    fs::write(path, format!("{:016x}\n", hasher.finish()))
}

/// The file of a cache that tells it from all others.
const PUBLISHER: &str = "publisher";
