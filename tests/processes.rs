//! Programs as plain processes: real ones, started, watched, ended, and nothing left of them.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use jheem::execute::process::Processes;
use jheem::job::{
    Deadline, Engine, Executor, Exit, Isolation, Limits, RunSpec, Sign, Stop, Stream,
};

/// A shell script as a run of this owner.
fn script(owner: &str, scratch: &Path, text: &str) -> RunSpec {
    RunSpec {
        id: "run".to_owned(),
        owner: owner.to_owned(),
        engine: Engine::Program { executable: "/bin/sh".into() },
        entrypoint: None,
        arguments: vec!["-c".to_owned(), text.to_owned()],
        environment: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
        handed_through: vec![],
        workdir: None,
        scratch: scratch.to_owned(),
        mounts: Vec::new(),
        isolation: Isolation::default(),
        limits: Limits { grace: Duration::from_secs(20), ..Limits::default() },
    }
}

fn run(spec: &RunSpec, stop: &Stop) -> (Exit, Vec<(Stream, String)>) {
    let mut lines = Vec::new();
    let exit = Processes
        .run(spec, stop, &mut |stream, line| {
            lines.push((stream, line.to_owned()));
            Sign::Progress
        })
        .unwrap();
    (exit, lines)
}

/// Runs a script in a fresh folder.
fn sh(text: &str) -> (Exit, Vec<(Stream, String)>) {
    let folder = tempfile::tempdir().unwrap();
    // A run's mark must be its own: everything that bears it ends with the run.
    let owner = folder.path().display().to_string();
    run(&script(&owner, folder.path(), text), &Stop::default())
}

/// The commands of all live processes whose environment bears the owner's mark.
fn alive(owner: &str) -> Vec<String> {
    let marked = |pid: &str| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let mark = format!("JHEEM_RUN={owner}/");
        environment.split(|byte| *byte == 0).any(|entry| entry.starts_with(mark.as_bytes()))
    };
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().into_string().ok());
    pids.filter(|pid| marked(pid))
        .map(|pid| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default())
        .collect()
}

#[test]
fn exit_codes_and_signals_are_told() {
    assert_eq!(sh("exit 0").0, Exit::Code(0));
    assert_eq!(sh("exit 3").0, Exit::Code(3));
    assert_eq!(sh("kill -SEGV $$").0, Exit::Signal(11));
    assert_eq!(sh("kill -KILL $$").0, Exit::OutOfMemory);
    assert_eq!(sh("sh -c 'kill -KILL $$'; exit $?").0, Exit::OutOfMemory);
}

#[test]
fn lines_of_both_streams_come_whole_also_the_last_without_an_end() {
    let (exit, mut lines) = sh("echo one; printf 'two\\nthree' ; printf 'no end' >&2; exit 1");
    assert_eq!(exit, Exit::Code(1));
    lines.sort_by_key(|(stream, _)| *stream == Stream::Err);
    let out = |text: &str| (Stream::Out, text.to_owned());
    assert_eq!(lines, [out("one"), out("two"), out("three"), (Stream::Err, "no end".to_owned())]);
}

#[test]
fn ten_megabytes_of_lines_arrive() {
    let line = "x".repeat(99);
    let (exit, lines) = sh(&format!("yes {line} | head -n 100000"));
    assert_eq!(exit, Exit::Code(0));
    assert_eq!(lines.len(), 100_000);
    assert!(lines.iter().all(|(_, found)| *found == line));
}

#[test]
fn one_line_of_ten_megabytes_is_cut() {
    let (_, lines) = sh("head -c 10000000 /dev/zero | tr '\\0' x; echo; echo next");
    assert_eq!(lines.len(), 2);
    assert!(lines[0].1.ends_with("xx [8951424 more bytes cut]"));
    assert_eq!(lines[1].1, "next");
}

#[test]
fn a_program_sees_its_own_folder_and_environment_only() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("inner")).unwrap();
    let mut spec = script("processes-env", folder.path(), "pwd; env | grep -v ^PWD= | sort; cat");
    spec.environment.push(("MODEL_ID".to_owned(), "ryan white".to_owned()));
    spec.workdir = Some("inner".to_owned());
    let (exit, lines) = run(&spec, &Stop::default());
    assert_eq!(exit, Exit::Code(0));
    let inner = folder.path().canonicalize().unwrap().join("inner");
    let seen: Vec<&str> = lines.iter().map(|(_, line)| line.as_str()).collect();
    let expected = [
        inner.to_str().unwrap(),
        "JHEEM_RUN=processes-env/run",
        "MODEL_ID=ryan white",
        "PATH=/usr/bin:/bin",
    ];
    let seen: Vec<&str> = seen
        .into_iter()
        .filter(|line| !line.starts_with("OLDPWD=") && !line.starts_with("_="))
        .filter(|line| !line.starts_with("SHLVL="))
        .collect();
    assert_eq!(seen, expected);
}

#[test]
fn a_silent_program_is_ended_by_the_quiet_limit_though_it_ignores_being_asked() {
    let folder = tempfile::tempdir().unwrap();
    let text = "trap '' TERM; echo ready; while :; do sleep 1; done";
    let mut spec = script("processes-quiet", folder.path(), text);
    spec.limits.quiet = Some(Duration::from_millis(300));
    spec.limits.grace = Duration::from_millis(100);
    let (exit, lines) = run(&spec, &Stop::default());
    assert_eq!(exit, Exit::TimedOut(Deadline::Quiet));
    assert_eq!(lines[0].1, "ready");
    assert_eq!(alive("processes-quiet"), [""; 0]);
}

#[test]
fn a_program_that_talks_on_and_on_is_ended_by_the_total_limit_and_may_say_goodbye() {
    let folder = tempfile::tempdir().unwrap();
    let text = "trap 'echo goodbye; exit 0' TERM; while :; do echo on; sleep 0.02; done";
    let mut spec = script("processes-total", folder.path(), text);
    spec.limits.total = Some(Duration::from_millis(400));
    let (exit, lines) = run(&spec, &Stop::default());
    assert_eq!(exit, Exit::TimedOut(Deadline::Total));
    // The shell itself may remark on standard error that its `sleep` was ended.
    let said = lines.iter().rfind(|(stream, _)| *stream == Stream::Out);
    assert_eq!(said.unwrap().1, "goodbye");
    assert_eq!(alive("processes-total"), [""; 0]);
}

#[test]
fn a_build_that_is_stopped_stops_its_programs() {
    let folder = tempfile::tempdir().unwrap();
    let spec = script("processes-stop", folder.path(), "echo ready; exec sleep 1000");
    let stop = Stop::default();
    let exit = Processes.run(&spec, &stop, &mut |_, _| {
        stop.raise();
        Sign::Talk
    });
    assert_eq!(exit.unwrap(), Exit::Stopped);
    assert_eq!(alive("processes-stop"), [""; 0]);
    assert_eq!(run(&spec, &stop), (Exit::Stopped, Vec::new()));
}

#[test]
fn what_a_program_leaves_behind_ends_with_it() {
    let folder = tempfile::tempdir().unwrap();
    // One in its group, one in a session of its own that ignores hints, one deaf and double-forked.
    let text = "sleep 1000 & \
        setsid sh -c 'trap \"\" TERM HUP; echo apart; sleep 1000; sleep 1000' & \
        (trap '' TERM HUP; sleep 1000 &) & \
        read -r word < fifo";
    let fifo = folder.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let spec = script("processes-left", folder.path(), text);
    let mut heard = Vec::new();
    let exit = Processes.run(&spec, &Stop::default(), &mut |_, line| {
        heard.push(line.to_owned());
        assert!(alive("processes-left").len() >= 3);
        std::fs::write(&fifo, "go\n").unwrap();
        Sign::Progress
    });
    assert_eq!(exit.unwrap(), Exit::Code(0));
    assert_eq!(heard, ["apart"]);
    assert_eq!(alive("processes-left"), [""; 0]);
}

#[test]
fn a_panic_while_a_line_is_heard_leaves_nothing_running() {
    let folder = tempfile::tempdir().unwrap();
    let spec = script("processes-panic", folder.path(), "echo ready; sleep 1000");
    let ran = std::panic::catch_unwind(|| {
        Processes.run(&spec, &Stop::default(), &mut |_, _| panic!("on purpose"))
    });
    assert!(ran.is_err());
    assert_eq!(alive("processes-panic"), [""; 0]);
}

#[test]
fn a_program_that_cannot_be_started_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let start = |executable: &Path| {
        let mut spec = script("processes-start", folder.path(), "");
        spec.engine = Engine::Program { executable: executable.to_owned() };
        Processes.run(&spec, &Stop::default(), &mut |_, _| Sign::Talk).unwrap_err()
    };
    let missing = folder.path().join("model");
    let error = start(&missing);
    assert_eq!(error.message, format!("cannot start `{}`", missing.display()));
    assert_eq!(error.hints, ["build or install the program first"]);
    std::fs::write(&missing, "#!/no/such/interpreter\n").unwrap();
    assert!(start(&missing).hints[0].starts_with("run `chmod +x "));
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&missing, mode).unwrap();
    assert!(start(&missing).hints[0].starts_with("install the interpreter"));

    let mut spec = script("processes-start", folder.path(), "");
    spec.workdir = Some("nowhere".to_owned());
    let error = Processes.run(&spec, &Stop::default(), &mut |_, _| Sign::Talk).unwrap_err();
    assert!(error.message.ends_with("nowhere`: no such folder"), "{error}");
}

/// Plays two parts: the jheem that is killed, in a process of its own, and the one that comes after it.
#[test]
fn what_a_killed_jheem_left_is_swept() {
    if let Ok(folder) = std::env::var("PROCESSES_SWEEP_FOLDER") {
        let scratch = Path::new(&folder).join("run");
        std::fs::create_dir_all(scratch.join("closed")).unwrap();
        // The second loses its mark: only its group, known from the file beside the folder, finds it.
        let text = "setsid sh -c 'echo > apart; while :; do sleep 1; done' & \
            until [ -e apart ]; do sleep 0.01; done; chmod 500 closed; \
            exec env -i sh -c 'echo $$; exec sleep 1000'";
        let spec = script(&folder, &scratch, text);
        let told = Processes.run(&spec, &Stop::default(), &mut |_, line| {
            std::io::stdout().write_all(format!("leader={line}\n").as_bytes()).unwrap();
            Sign::Progress
        });
        panic!("the run should have been cut off, not ended with {told:?}");
    }
    let folder = tempfile::tempdir().unwrap();
    let owner = folder.path().to_str().unwrap();
    let mut killed = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "what_a_killed_jheem_left_is_swept", "--nocapture"])
        .env("PROCESSES_SWEEP_FOLDER", folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(killed.stdout.take().unwrap()).lines();
    let leader =
        lines.find_map(|line| line.unwrap().split_once("leader=").map(|(_, pid)| pid.to_owned()));
    let leader = leader.expect("the run told its number");
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert!(Path::new(&format!("/proc/{leader}")).exists(), "the run goes on without its jheem");
    assert_ne!(alive(owner), [""; 0]);

    let other = Processes.sweep("processes-other", &folder.path().join("none")).unwrap();
    assert_eq!(other, [""; 0]);
    assert_ne!(alive(owner), [""; 0]);

    let done = Processes.sweep(owner, folder.path()).unwrap();
    assert_eq!(
        done,
        [
            format!("ended process {leader} and its group"),
            format!("ended program run `{owner}/run`"),
            format!("removed `{}`", folder.path().join("run").display()),
        ]
    );
    assert_eq!(alive(owner), [""; 0]);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let stat = std::fs::read_to_string(format!("/proc/{leader}/stat")).unwrap_or_default();
    assert!(stat.is_empty() || stat.contains(") Z "), "the leader lives: {stat}");
    assert_eq!(Processes.sweep(owner, folder.path()).unwrap(), [""; 0]);
}

#[test]
fn the_line_for_people_does_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let mut spec =
        script("processes-hand", folder.path(), "echo \"$A\"; echo it\\'s > made; exit 4");
    spec.environment.push(("A".to_owned(), "a 'b' $c".to_owned()));
    let line = jheem::execute::by_hand::line(&spec);
    let done = Command::new("sh").args(["-c", &line]).output().unwrap();
    assert_eq!(done.status.code(), Some(4));
    assert_eq!(String::from_utf8(done.stdout).unwrap(), "a 'b' $c\n");
    assert_eq!(std::fs::read_to_string(folder.path().join("made")).unwrap(), "it's\n");
}

/// Root may remove anything and read every process; the usual user may not.
#[test]
fn an_ordinary_user_sweeps_as_well() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: not root, so every other test is this one");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (temporary, copy) = (folder.path().join("tmp"), folder.path().join("tests"));
    std::fs::create_dir(&temporary).unwrap();
    std::fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    for (path, mode) in [(folder.path(), 0o755), (&temporary, 0o777), (&copy, 0o755)] {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        std::fs::set_permissions(path, mode).unwrap();
    }
    let told = Command::new("setpriv")
        .args(["--reuid=12321", "--regid=12321", "--clear-groups"])
        .arg(&copy)
        .args(["--exact", "what_a_killed_jheem_left_is_swept"])
        .arg("what_a_program_leaves_behind_ends_with_it")
        .env("TMPDIR", &temporary)
        .current_dir(&temporary)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&told.stdout);
    assert!(told.status.success() && text.contains("2 passed"), "{text}");
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0);
}
