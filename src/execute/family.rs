//! All processes of one program's run: asked to end, killed, and counted until none is left.
//!
//! A run's processes are those of its process group, and, on Linux, every process whose environment carries the run's mark, whatever group or session it went to.
//! A process that leaves the group *and* clears its environment is not found.
//! Knows nothing of output, limits or folders.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

/// The variable that a program's environment carries beside what was declared: `<owner>/<run>`.
pub const MARK: &str = "JHEEM_RUN";

/// How long killed processes may take to go; only one stuck in the kernel takes this long.
const GOING: Duration = Duration::from_secs(10);
const GOING_STEP: Duration = Duration::from_millis(5);

/// The processes of one run.
///
/// Valid until the leader is reaped: till then no other group can bear its number.
#[derive(Debug)]
pub struct Family {
    pub leader: Pid,
    /// The value of the mark.
    pub mark: String,
}

impl Family {
    /// Asks the group to end.
    pub fn ask(&self) {
        // An error means that the group is gone, which is what was asked for.
        let _ = rustix::process::kill_process_group(self.leader, Signal::TERM);
    }

    /// Kills everything that is left, once.
    pub fn kill(&self) {
        let _ = rustix::process::kill_process_group(self.leader, Signal::KILL);
        system::kill_marked(&|mark| mark == self.mark);
    }

    /// Kills until nothing is left; false if something cannot be killed.
    pub fn end(&self) -> bool {
        until_gone(|| {
            self.kill();
            system::group_lives(self.leader) || system::kill_marked(&|mark| mark == self.mark)
        })
    }
}

/// Kills what earlier runs of this owner left; returns the marks found, or those that cannot be killed.
pub fn end_all_of(owner: &str) -> Result<Vec<String>, Vec<String>> {
    let prefix = format!("{owner}/");
    let found = system::marks(&|mark| mark.starts_with(&prefix));
    if until_gone(|| system::kill_marked(&|mark| mark.starts_with(&prefix))) {
        Ok(found)
    } else {
        Err(found)
    }
}

/// Kills the group of a leader that was seen alive earlier, if it is still the same process.
///
/// Returns whether there was one.
pub fn end_group(leader: Pid, started: &str) -> bool {
    if system::started(leader).as_deref() != Some(started) {
        return false;
    }
    until_gone(|| {
        // While the leader is the same process, or any member lives, the number is theirs.
        let _ = rustix::process::kill_process_group(leader, Signal::KILL);
        system::group_lives(leader)
    })
}

/// When a process started, in words that no later process with its number shares.
pub fn started(pid: Pid) -> Option<String> {
    system::started(pid)
}

fn until_gone(mut kill_and_look: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    while kill_and_look() {
        if begun.elapsed() > GOING {
            return false;
        }
        std::thread::sleep(GOING_STEP);
    }
    true
}

#[cfg(target_os = "linux")]
mod system {
    //! Through /proc and pidfds.

    use std::fs;
    use std::time::Duration;

    use rustix::io::Errno;
    use rustix::process::{Pid, PidfdFlags, Signal};

    use super::MARK;

    /// `PF_KTHREAD` of the kernel's `sched.h`.
    const KERNEL_THREAD: u32 = 0x0020_0000;
    /// How long a process may take to turn into another program: a fifth of a second in all.
    const TURNING_STEP: Duration = Duration::from_millis(1);
    const TURNING_STEPS: usize = 200;

    /// What /proc/PID/stat tells.
    #[derive(PartialEq)]
    struct Stat {
        state: char,
        group: i32,
        flags: u32,
        /// Clock ticks since the machine was started.
        started: u64,
    }

    impl Stat {
        /// A zombie does nothing any more, and where nobody reaps orphans it stays for ever.
        fn lives(&self) -> bool {
            !matches!(self.state, 'Z' | 'X' | 'x')
        }
    }

    /// Field 2, the name, may hold blanks and brackets: the others are counted from its end.
    fn stat(pid: Pid) -> Option<Stat> {
        let text = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
        let mut fields = text[text.rfind(')')? + 1..].split_ascii_whitespace();
        Some(Stat {
            state: fields.next()?.chars().next()?,
            group: fields.nth(1)?.parse().ok()?,
            flags: fields.nth(3)?.parse().ok()?,
            started: fields.nth(12)?.parse().ok()?,
        })
    }

    fn mark(pid: Pid) -> Option<String> {
        let environment = environment(pid)?;
        let value = environment
            .split(|byte| *byte == 0)
            .find_map(|entry| entry.strip_prefix(MARK.as_bytes())?.strip_prefix(b"="))?;
        String::from_utf8(value.to_vec()).ok()
    }

    /// A process that is just turning into another program shows no environment, and no arguments either, for an instant.
    fn environment(pid: Pid) -> Option<Vec<u8>> {
        let read = |name| fs::read(format!("/proc/{}/{name}", pid.as_raw_nonzero())).ok();
        for _ in 0..TURNING_STEPS {
            let environment = read("environ")?;
            if !environment.is_empty() {
                return Some(environment);
            }
            let stat = stat(pid)?;
            if stat.flags & KERNEL_THREAD != 0 || !stat.lives() {
                return None;
            }
            if !read("cmdline")?.is_empty() {
                return read("environ");
            }
            std::thread::sleep(TURNING_STEP);
        }
        None
    }

    fn pids() -> impl Iterator<Item = Pid> {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        entries.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?))
    }

    fn marked(wanted: &dyn Fn(&str) -> bool) -> impl Iterator<Item = (Pid, String)> {
        pids().filter_map(move |pid| {
            let mark = mark(pid).filter(|mark| wanted(mark))?;
            stat(pid)?.lives().then_some((pid, mark))
        })
    }

    pub fn marks(wanted: &dyn Fn(&str) -> bool) -> Vec<String> {
        let mut found: Vec<String> = marked(wanted).map(|(_, mark)| mark).collect();
        found.sort();
        found.dedup();
        found
    }

    /// Kills every process that bears such a mark; whether there was one.
    pub fn kill_marked(wanted: &dyn Fn(&str) -> bool) -> bool {
        let mut found = false;
        for (pid, mark_seen) in marked(wanted) {
            found = true;
            match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
                // The mark is read again: the number may have gone to another process meanwhile.
                Ok(process) if mark(pid).as_ref() == Some(&mark_seen) => {
                    let _ = rustix::process::pidfd_send_signal(&process, Signal::KILL);
                }
                Err(Errno::NOSYS) => {
                    let _ = rustix::process::kill_process(pid, Signal::KILL);
                }
                Ok(_) | Err(_) => {}
            }
        }
        found
    }

    pub fn group_lives(leader: Pid) -> bool {
        let group = leader.as_raw_nonzero().get();
        pids().filter_map(stat).any(|stat| stat.group == group && stat.lives())
    }

    pub fn started(pid: Pid) -> Option<String> {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Some(format!("{} {}", boot.trim(), stat(pid)?.started))
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    //! Through signals and `ps`: a process's environment cannot be read, so marks are not found.

    use std::process::Command;

    use rustix::process::Pid;

    pub fn marks(_wanted: &dyn Fn(&str) -> bool) -> Vec<String> {
        Vec::new()
    }

    pub fn kill_marked(_wanted: &dyn Fn(&str) -> bool) -> bool {
        false
    }

    /// A group of which only zombies are left answers with an error, like one that is gone.
    pub fn group_lives(leader: Pid) -> bool {
        rustix::process::test_kill_process_group(leader).is_ok()
    }

    pub fn started(pid: Pid) -> Option<String> {
        let pid = pid.as_raw_nonzero().to_string();
        let told = Command::new("/bin/ps").args(["-o", "lstart=", "-p", &pid]).output().ok()?;
        let text = String::from_utf8(told.stdout).ok()?.trim().to_owned();
        (!text.is_empty()).then_some(text)
    }
}
