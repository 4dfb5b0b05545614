//! Runs a program as a plain process.
//!
//! It gets a process group of its own, no standard input, and exactly the environment of the spec and the mark `JHEEM_RUN`.
//! Memory and processor limits are for the planner: nothing enforces them here, and mounts, entry points and isolation are a container's.
//! Knows nothing of plots, records or containers.

use std::ffi::OsString;
use std::fs;
use std::io::{ErrorKind, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, WaitId, WaitIdOptions};

use crate::error::{Error, Result};
use crate::execute::family::{self, Family, MARK};
use crate::execute::lines::Lines;
use crate::execute::scratch;
use crate::execute::timing::{Order, Timing};
use crate::job::{Engine, Executor, Exit, RunSpec, Sign, Stop, Stream};
use crate::moments::{self, Moment};

/// How often the wish to stop and the limits are looked at.
const TICK: Duration = Duration::from_millis(50);
/// How long a pipe may stay open after every process that we know of has gone.
const LINGER: Duration = Duration::from_secs(2);
/// How long in all what is left in the pipes may take to be read.
const DRAIN: Duration = Duration::from_secs(30);

/// Runs programs as plain processes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Processes;

impl Executor for Processes {
    /// A SIGKILL that jheem did not send, or exit code 137 (a shell's word for it), is `OutOfMemory`: hardly anyone else sends it.
    fn run(
        &self,
        spec: &RunSpec,
        stop: &Stop,
        on_line: &mut dyn FnMut(Stream, &str) -> Sign,
    ) -> Result<Exit> {
        let Some(_admitted) = stop.admit() else { return Ok(Exit::Stopped) };
        let mut running = start(spec)?;
        let mut timing = Timing::new(&spec.limits, Instant::now());
        let messages = listen(&mut running.child, running.family.leader)?;
        let mut hear = |timing: &mut Timing, stream: Stream, lines: Vec<String>| {
            for line in lines {
                timing.heard(on_line(stream, &line), Instant::now());
            }
        };
        loop {
            if stop.is_hurried() {
                timing.hurry();
            }
            match timing.order(stop.is_raised(), Instant::now()) {
                Order::Nothing => {}
                Order::Ask => running.family.ask(),
                Order::Kill => running.family.kill(),
            }
            match messages.recv_timeout(TICK) {
                Ok(Message::Lines(stream, lines)) => hear(&mut timing, stream, lines),
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Message::Exited) | Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        // What the leader left behind holds the pipes open: it goes first, then the pipes are read to their ends.
        let status = running.end()?;
        let drained = Instant::now() + DRAIN;
        while let Ok(message) = messages.recv_timeout(LINGER) {
            if let Message::Lines(stream, lines) = message {
                hear(&mut timing, stream, lines);
            }
            if Instant::now() > drained {
                break;
            }
        }
        Ok(timing.ended_by_us().unwrap_or_else(|| exit(status)))
    }

    /// Kills the processes of this owner's runs, then removes what is the caller's under `scratch`.
    ///
    /// What a container left there as another user stays for `Containers::sweep`.
    /// Where /proc is missing (macOS), a process is found by the file beside its scratch folder, so only while its leader lives.
    fn sweep(&self, owner: &str, scratch: &Path) -> Result<Vec<String>> {
        let mut done = Vec::new();
        for file in pid_files(scratch) {
            let text = fs::read_to_string(&file).unwrap_or_default();
            let leader = text.lines().next().and_then(|pid| Pid::from_raw(pid.parse().ok()?));
            if let (Some(leader), Some(started)) = (leader, text.lines().nth(1))
                && family::end_group(leader, started)
            {
                done.push(format!("ended process {leader} and its group"));
            }
        }
        match family::end_all_of(owner) {
            Ok(marks) => {
                done.extend(marks.iter().map(|mark| format!("ended program run `{mark}`")))
            }
            Err(marks) => {
                let runs = marks.join("`, `");
                return Err(Error::environment(format!("processes of run `{runs}` do not end"))
                    .hint(
                        "see what holds them with `ps -eo pid,stat,wchan,args`, then try again",
                    ));
            }
        }
        let cleared = scratch::clear(scratch)?;
        let removed = cleared.removed.iter().filter(|path| !is_pid_file(path));
        done.extend(removed.map(|path| format!("removed `{}`", path.display())));
        Ok(done)
    }
}

/// A started program; whatever happens to its owner, its processes end with it.
struct Running {
    child: Child,
    family: Family,
    pid_file: Option<PathBuf>,
    reaped: bool,
}

impl Running {
    /// Kills all that is left, and reaps the leader last, so that its number stays its own till then.
    fn end(&mut self) -> Result<ExitStatus> {
        let gone = self.family.end();
        let status = self.child.wait();
        self.reaped = true;
        if let Some(file) = &self.pid_file {
            let _ = fs::remove_file(file);
        }
        let mark = &self.family.mark;
        if !gone {
            return Err(Error::environment(format!("a process of run `{mark}` does not end")));
        }
        status.map_err(|error| {
            Error::environment(format!("cannot learn how run `{mark}` ended")).because(error)
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.reaped {
            // Reached by a panic or an early return, where the first error is the one to tell.
            let _ = self.end();
        }
    }
}

fn start(spec: &RunSpec) -> Result<Running> {
    let Engine::Program { executable } = &spec.engine else {
        return Err(Error::bug(format!("run `{}` is not a program's", spec.id)));
    };
    let folder = match &spec.workdir {
        Some(workdir) => spec.scratch.join(workdir),
        None => spec.scratch.clone(),
    };
    if !folder.is_dir() {
        return Err(Error::environment(format!(
            "cannot start `{}` in `{}`: no such folder",
            executable.display(),
            folder.display()
        )));
    }
    let executable =
        std::path::absolute(executable).map_err(|error| Error::io("find", executable, &error))?;
    let mark = format!("{}/{}", spec.owner, spec.id);
    let mut command = Command::new(&executable);
    command
        .args(&spec.arguments)
        .env_clear()
        .envs(spec.environment.iter().map(|(name, value)| (name, value)))
        .env(MARK, &mark)
        .current_dir(&folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    let child = spawn(&mut command).map_err(|error| cannot_start(&executable, &error))?;
    let raw = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let leader = raw.expect("a child's number is positive and fits");
    let mut running =
        Running { child, family: Family { leader, mark }, pid_file: None, reaped: false };
    moments::pass(Moment::Started);
    // On Linux the mark finds a run even if jheem is killed before this file is there.
    if let (Some(file), Some(started)) = (pid_file(&spec.scratch), family::started(leader)) {
        running.pid_file = Some(file.clone());
        let text = format!("{}\n{started}\n", leader.as_raw_nonzero());
        fs::write(&file, text).map_err(|error| Error::io("write", &file, &error))?;
    }
    Ok(running)
}

/// A file that was just written may be held open for an instant by a child that another thread is starting.
fn spawn(command: &mut Command) -> std::io::Result<Child> {
    for _ in 0..20 {
        match command.spawn() {
            Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => {
                thread::sleep(Duration::from_millis(25));
            }
            other => return other,
        }
    }
    command.spawn()
}

fn cannot_start(executable: &Path, error: &std::io::Error) -> Error {
    let shown = executable.display();
    let made = Error::environment(format!("cannot start `{shown}`")).because(error);
    if error.raw_os_error() == Some(rustix::io::Errno::NOEXEC.raw_os_error()) {
        return made.hint(format!(
            "begin a script with a line such as `#!/usr/bin/env python3`, or build `{shown}` for this machine"
        ));
    }
    match error.kind() {
        ErrorKind::NotFound if executable.exists() => {
            made.hint(format!("install the interpreter that the first line of `{shown}` names"))
        }
        ErrorKind::NotFound => made.hint("build or install the program first"),
        ErrorKind::PermissionDenied => made.hint(format!("run `chmod +x {shown}`")),
        ErrorKind::ArgumentListTooLong => {
            made.hint("hand the cells over in a batch file instead of as arguments")
        }
        _ => made,
    }
}

/// Beside the scratch folder, so that the program does not see it.
fn pid_file(scratch: &Path) -> Option<PathBuf> {
    let mut name = OsString::from(scratch.file_name()?);
    name.push(".pid");
    Some(scratch.with_file_name(name))
}

fn pid_files(scratch: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(scratch).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| is_pid_file(path))
}

fn is_pid_file(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "pid")
}

enum Message {
    Lines(Stream, Vec<String>),
    Exited,
}

/// Starts a thread for each stream and one for the leader's end; all answer on one bounded channel.
fn listen(child: &mut Child, leader: Pid) -> Result<Receiver<Message>> {
    let (sender, receiver) = sync_channel(64);
    let out = child.stdout.take().expect("standard output was asked for as a pipe");
    let err = child.stderr.take().expect("standard error was asked for as a pipe");
    let (to_out, to_err) = (sender.clone(), sender.clone());
    spawn_thread("stdout", move || read(Stream::Out, out, &to_out))?;
    spawn_thread("stderr", move || read(Stream::Err, err, &to_err))?;
    spawn_thread("exit", move || {
        await_exit(leader);
        // The receiver is gone only if the run was given up.
        let _ = sender.send(Message::Exited);
    })?;
    Ok(receiver)
}

fn spawn_thread(name: &str, body: impl FnOnce() + Send + 'static) -> Result<()> {
    let spawned = thread::Builder::new().name(format!("run {name}")).spawn(body);
    spawned.map_err(|error| Error::environment("cannot start a thread").because(error))?;
    Ok(())
}

fn read(stream: Stream, mut pipe: impl Read, sender: &SyncSender<Message>) {
    let mut lines = Lines::default();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let mut whole = Vec::new();
        let ended = match pipe.read(&mut buffer) {
            Ok(0) => true,
            Ok(read) => {
                lines.push(&buffer[..read], |line| whole.push(line.to_owned()));
                false
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => false,
            Err(_) => true,
        };
        if ended {
            lines.finish(|line| whole.push(line.to_owned()));
        }
        if !whole.is_empty() && sender.send(Message::Lines(stream, whole)).is_err() {
            return;
        }
        if ended {
            return;
        }
    }
}

/// Waits for the leader's end without reaping it.
fn await_exit(leader: Pid) {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    while let Err(rustix::io::Errno::INTR) = rustix::process::waitid(WaitId::Pid(leader), options) {
    }
}

fn exit(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(137), _) | (_, Some(9)) => Exit::OutOfMemory,
        (Some(code), _) => Exit::Code(code.into()),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => Exit::Code(-1),
    }
}
