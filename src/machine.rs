//! What this machine has: how much memory runs may declare in all.

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
