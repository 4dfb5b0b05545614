//! What this machine has and is: how much memory runs may declare in all, and who publishes from here.

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

/// Whoever publishes from a project on this machine, by the name of its cache: one jheem at a time, for the project is locked.
///
/// Another boot is another one, so that machines which look alike are told apart.
pub fn publisher(project: &str) -> String {
    let names = rustix::system::uname();
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let boot = boot.get(..8).unwrap_or("unknown");
    format!("{} (boot {boot}, project {project})", names.nodename().to_string_lossy())
}
