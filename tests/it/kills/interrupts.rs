//! Ctrl-C, in the middle of runs and outside of them: a build ends soon, keeps what is finished, and leaves nothing behind.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{MODEL, PIPELINE, has_daemon, in_containers, pipeline, witness};
use crate::project::{Project, Ran};

/// How long anything that is waited for may take; nothing here takes as long, unless it never ends.
const PATIENCE: Duration = Duration::from_secs(120);

/// A build that goes on beside the test; ended with it, by its number.
struct Going {
    child: Child,
    lines: Receiver<String>,
    stdout: String,
    stderr: PathBuf,
}

impl Going {
    fn start(project: &Project, arguments: &str, variables: &[(&str, &str)]) -> Going {
        let stderr = project.root().parent().unwrap().join("stderr");
        let mut command = project.command(arguments);
        command.envs(variables.iter().copied());
        command.stdout(Stdio::piped()).stderr(File::create(&stderr).unwrap());
        let mut child = command.spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let _nobody_listens = sender.send(line);
            }
        });
        Going { child, lines, stdout: String::new(), stderr }
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().try_into().unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits for an event.
    fn until(&mut self, name: &str) {
        let wanted = format!("{{\"event\":\"{name}\"");
        loop {
            let line = self.lines.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|_| panic!("no event `{name}`\n{}", self.stdout));
            self.stdout += &format!("{line}\n");
            if line.starts_with(&wanted) {
                return;
            }
        }
    }

    /// Waits for something in the project, for as long as the build goes on; whether it came to that.
    fn while_it_goes_on_until(&mut self, there: impl Fn() -> bool) -> bool {
        let begun = Instant::now();
        while !there() {
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            assert!(begun.elapsed() < PATIENCE, "nothing happens\n{}", self.stdout);
            std::thread::sleep(Duration::from_millis(1));
        }
        true
    }

    fn end(mut self) -> Ran {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => self.stdout += &format!("{line}\n"),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it does not end\n{}", self.stdout),
            }
        }
        Ran {
            arguments: "build".to_owned(),
            code: self.child.wait().unwrap().code(),
            stdout: std::mem::take(&mut self.stdout),
            stderr: fs::read_to_string(&self.stderr).unwrap(),
        }
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _gone = self.child.kill();
            let _waited = self.child.wait();
        }
    }
}

/// The seconds that a stopped build says that it took, and of those the seconds of stopping.
fn seconds(ran: &Ran) -> (f64, f64) {
    let last = ran.last();
    let told = |name: &str| last[name].as_f64().unwrap_or_else(|| panic!("no `{name}`\n{ran}"));
    (told("seconds"), told("stopped_seconds"))
}

/// The lines that runs said which are not in these logs.
fn said(project: &Project, before: &[String]) -> Vec<String> {
    let new = project.files("cache/logs").into_iter().filter(|log| !before.contains(log));
    new.flat_map(|log| project.read(&log).lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// All that a build of new data has to make.
fn everything() -> BTreeSet<String> {
    let of = |city| ["sim", "x", "y", "z", "summary"].map(|what| format!("{city}/{what}/1"));
    ["A", "B"].into_iter().flat_map(of).collect()
}

/// A build of new data in which two runs hold a plot in their hands, one of them after it made another.
fn in_the_middle(project: &Project, grace: &str, deaf: bool) -> (Going, Vec<String>) {
    project.build("").success();
    project.made();
    for city in ["A", "B"] {
        project.write(&format!("data/{city}.txt"), "1");
    }
    let limit = format!("timeout = {{ grace = \"{grace}\" }}\n[runner.model.log]");
    project.change("[runner.model.log]", &limit);
    let before = project.files("cache/logs");
    let hold = [("HOLD", "?/[yz]"), ("DEAF", if deaf { "yes" } else { "" })];
    let mut going = Going::start(project, "build --format json --jobs 2", &hold);
    let holding = || said(project, &before).iter().filter(|line| *line == "HOLDING").count() == 2;
    assert!(going.while_it_goes_on_until(holding), "it ended before the test began");
    (going, before)
}

/// What must be so after a build that was stopped in the middle of two runs; returns what it finished.
#[track_caller]
fn everything_finished_is_kept(project: &Project, ran: Ran) -> (Ran, BTreeSet<String>) {
    let ran = ran.code(130);
    let finished = project.made();
    assert!(finished.iter().any(|made| made.ends_with("/x/1")), "no batch was begun\n{ran}");
    let (built, skipped) = (finished.len(), everything().len() - finished.len());
    let ran = ran.targets(&format!("built={built} skipped={skipped}"));
    let stopped = |e: &Value| e["event"] == "run-ended" && e["exit"] == "stopped";
    assert_eq!(ran.events().into_iter().filter(stopped).count(), 2, "{ran}");
    assert_eq!(ran.last()["ok"], false, "{ran}");
    assert!(ran.ended("failed").is_empty(), "what was stopped is no failure\n{ran}");
    witness::check(project, "after Ctrl-C");
    witness::check_nothing_left(project);
    (ran, finished.into_iter().collect())
}

/// The next build makes what was in hand and what was not begun, and nothing else.
#[track_caller]
fn the_next_build_makes_the_rest(project: &Project, finished: &BTreeSet<String>) {
    let rest: Vec<String> = everything().difference(finished).cloned().collect();
    let counts = format!("fresh={} built={}", finished.len(), rest.len());
    project.build("").success().targets(&counts);
    assert_eq!(project.made(), rest, "the model counts otherwise");
    witness::check(project, "after the next build");
    witness::check_nothing_left(project);
}

#[test]
fn ctrl_c_asks_runs_to_end_keeps_what_is_finished_and_does_not_wait_for_the_plot_in_hand() {
    let project = pipeline();
    let begun = Instant::now();
    let (going, before) = in_the_middle(&project, "1h", false);
    going.signal(Signal::INT);
    let (ran, finished) = everything_finished_is_kept(&project, going.end());
    let asked = said(&project, &before).iter().filter(|line| *line == "ASKED").count();
    assert_eq!(asked, 2, "the programs were not asked to end\n{ran}");
    let (all, stopping) = seconds(&ran);
    assert!(stopping <= all && all <= begun.elapsed().as_secs_f64(), "{ran}");
    the_next_build_makes_the_rest(&project, &finished);
}

#[test]
fn a_program_that_is_deaf_to_sigterm_is_killed_after_its_grace_and_that_time_is_told() {
    let project = pipeline();
    let (mut going, _) = in_the_middle(&project, "300ms", true);
    let before = Instant::now();
    // All that came so far is read, so that the build is known to have gone on for this long.
    going.until("run-started");
    let gone_on = before.elapsed();
    going.signal(Signal::TERM);
    let (ran, finished) = everything_finished_is_kept(&project, going.end());
    let (all, stopping) = seconds(&ran);
    assert!(stopping >= 0.3, "it was killed before its grace was over\n{ran}");
    assert!(all >= stopping + gone_on.as_secs_f64(), "stopping began before the signal\n{ran}");
    the_next_build_makes_the_rest(&project, &finished);
}

#[test]
fn a_second_ctrl_c_kills_runs_whose_grace_is_not_over() {
    let project = pipeline();
    let (mut going, _) = in_the_middle(&project, "1h", true);
    going.signal(Signal::INT);
    going.until("stopping");
    going.signal(Signal::INT);
    let (_, finished) = everything_finished_is_kept(&project, going.end());
    the_next_build_makes_the_rest(&project, &finished);
}

#[test]
fn ctrl_c_ends_containers_and_keeps_what_they_finished() {
    if !has_daemon() {
        return;
    }
    // One is asked, one is killed after its grace, one is killed at the second Ctrl-C.
    for (grace, deaf, twice) in [("1h", false, false), ("300ms", true, false), ("1h", true, true)] {
        let project = in_containers();
        let (mut going, before) = in_the_middle(&project, grace, deaf);
        going.signal(Signal::INT);
        if twice {
            going.until("stopping");
            going.signal(Signal::INT);
        }
        let (ran, finished) = everything_finished_is_kept(&project, going.end());
        let asked = said(&project, &before).iter().filter(|line| *line == "ASKED").count();
        assert_eq!(asked, if deaf { 0 } else { 2 }, "{ran}");
        assert!(seconds(&ran).1 >= if grace == "300ms" { 0.3 } else { 0.0 }, "{ran}");
        the_next_build_makes_the_rest(&project, &finished);
    }
}

#[test]
fn the_summary_for_people_says_how_long_stopping_took() {
    let project = pipeline();
    project.build("").success();
    project.write("data/A.txt", "1");
    let mut going = Going::start(&project, "build", &[("HOLD", "A/y")]);
    let holding = || said(&project, &[]).iter().any(|line| line == "HOLDING");
    assert!(going.while_it_goes_on_until(holding));
    going.signal(Signal::INT);
    let ran = going.end().code(130);
    let told = regex::Regex::new(r"(?m)^stopped \S+ m?s after it was asked to \(\S+ m?s in all\)$");
    assert!(told.unwrap().is_match(&ran.stderr), "{ran}");
    ran.says("stopping: what is made is kept; Ctrl-C again ends it at once");
}

#[test]
fn ctrl_c_while_a_huge_input_is_hashed_ends_soon_and_forgets_no_other_hash() {
    let project = pipeline();
    // A hole of a tebibyte: nothing on the disk, and hours of reading.
    File::create(project.path("data/B.txt")).unwrap().set_len(1 << 40).unwrap();
    let one_at_a_time = [("RAYON_NUM_THREADS", "1")];
    for arguments in ["build --format json", "publish --format json"] {
        let mut going = Going::start(&project, arguments, &one_at_a_time);
        let huge = project.path("data/B.txt");
        let id = going.child.id();
        let hashing = || {
            let open = fs::read_dir(format!("/proc/{id}/fd")).into_iter().flatten().flatten();
            open.into_iter().any(|fd| fs::read_link(fd.path()).is_ok_and(|link| link == huge))
        };
        assert!(going.while_it_goes_on_until(hashing));
        going.signal(Signal::INT);
        let ran = going.end().code(130).targets("");
        assert!(seconds(&ran).1 <= seconds(&ran).0, "{ran}");
        let known = witness::remembered(&project);
        assert!(known.contains("data/A.txt"), "what was hashed is forgotten: {known:?}");
        assert!(!known.contains("data/B.txt"), "half a file has a digest");
        assert_eq!(project.made(), [""; 0]);
        witness::check_nothing_left(&project);
    }
    project.write("data/B.txt", "0");
    project.build("").success().targets("built=10");
}

/// So many plots of one city.
const MANY: usize = 400;

/// The pipeline with many plots for the first city, all made and published.
fn many() -> Project {
    let values: Vec<String> = (0..MANY).map(|n| format!("\"o{n}\"")).collect();
    let text = PIPELINE
        .replace("values = [\"A\", \"B\"]", "values = [\"A\"]")
        .replace("\"x\", \"y\", \"z\"", &values.join(", "));
    let project = pipeline().program("model.sh", MODEL).jheemfile(&text);
    project.build("").success();
    project.made();
    project
}

/// Builds what was taken away, and stops it as soon as some of it is back.
///
/// It may be back as a whole before the signal is there; then it is taken away again.
fn stopped_halfway(project: &Project, folder: &str, lost: &str) -> (Ran, usize) {
    for _ in 0..50 {
        fs::remove_dir_all(project.path(lost)).unwrap();
        let one_at_a_time = [("RAYON_NUM_THREADS", "1")];
        let mut going = Going::start(project, "build --format json", &one_at_a_time);
        if going.while_it_goes_on_until(|| !project.files(folder).is_empty()) {
            going.signal(Signal::INT);
        }
        let ran = going.end();
        let back = project.files(folder).len();
        if ran.code == Some(130) && back < MANY {
            assert_eq!(project.made(), [""; 0], "something was made again\n{ran}");
            witness::check(project, "after Ctrl-C");
            return (ran, back);
        }
        assert!(matches!(ran.code, Some(0 | 130)), "{ran}");
        project.build("").success();
    }
    panic!("it is never stopped in time");
}

#[test]
fn ctrl_c_while_outputs_are_restored_ends_between_two_and_the_next_build_restores_the_rest() {
    let project = many();
    let (ran, back) = stopped_halfway(&project, "plots", "plots");
    let left = MANY - back;
    let ran = ran.targets(&format!("fresh=2 restored={back} skipped={left}"));
    assert!(ran.last()["stopped_seconds"].is_f64(), "{ran}");
    witness::check_nothing_left(&project);
    let ran = project.build("").success();
    ran.targets(&format!("fresh={} restored={left}", back + 2));
    assert_eq!(project.made(), [""; 0], "restored, and made all the same");
}

#[test]
fn ctrl_c_while_publishing_ends_between_objects_and_the_next_build_publishes_the_rest() {
    let project = many();
    let (ran, there) = stopped_halfway(&project, "site/plots", "site");
    let left = MANY - there;
    assert_eq!(ran.count("published.objects"), there as u64, "{ran}");
    assert_eq!(ran.count("published.rows"), 0, "rows stand before their objects\n{ran}");
    assert_eq!(ran.last()["ok"], false, "{ran}");
    assert!(ran.last()["stopped_seconds"].is_f64(), "{ran}");
    let ran = project.build("").success();
    assert_eq!(ran.count("published.objects"), left as u64, "{ran}");
    assert_eq!(ran.count("published.rows"), MANY as u64, "{ran}");
    project.jheem("verify").success();
    witness::check_nothing_left(&project);
}

#[test]
fn a_second_ctrl_c_ends_at_once_what_does_not_heed_the_first() {
    let project = pipeline();
    project.build("").success();
    for city in ["A", "B"] {
        // Objects of another size need other rows.
        project.write(&format!("data/{city}.txt"), "longer");
    }
    // Rows cannot be written for as long as somebody else holds the database.
    let holder = rusqlite::Connection::open(project.path("site/plots.db")).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut going = Going::start(&project, "build --format json", &[]);
    let objects_stand = || {
        let files = project.files("site/plots");
        files.iter().all(|file| project.read(file).contains("\"value\": \"longer\""))
    };
    assert!(going.while_it_goes_on_until(objects_stand));
    let begun = Instant::now();
    while going.child.try_wait().unwrap().is_none() {
        assert!(begun.elapsed() < PATIENCE, "it does not end\n{}", going.stdout);
        going.signal(Signal::INT);
        std::thread::sleep(Duration::from_millis(10));
    }
    let ran = going.end().code(130);
    assert_ne!(ran.last()["event"], "finished", "it waited for the database\n{ran}");
    drop(holder);
    witness::check(&project, "after the second Ctrl-C");
    let ran = project.build("").success().targets("fresh=10");
    assert_eq!((ran.count("published.objects"), ran.count("published.rows")), (0, 6), "{ran}");
    project.jheem("verify").success();
    witness::check_nothing_left(&project);
}
