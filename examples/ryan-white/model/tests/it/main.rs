//! Runs the program as a pipeline would, in a folder of its own, and looks at what it says and leaves.

mod batch;
mod faults;
mod simulate;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

/// The program under test.
const PROGRAM: &str = env!("CARGO_BIN_EXE_rw-model");

/// A folder with simulations in it, removed at the end.
struct Folder {
    path: PathBuf,
}

impl Folder {
    /// An empty folder.
    fn empty() -> Folder {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).unwrap();
        Folder { path }
    }

    /// A folder with the baseline and some scenarios of Baltimore, four draws each.
    fn with_simulations(scenarios: &[&str]) -> Folder {
        let folder = Folder::empty();
        for scenario in ["base"].iter().chain(scenarios) {
            let output = folder.simulation(scenario);
            let arguments =
                format!("simulate --city C.12580 --scenario {scenario} --draws 4 --parameters");
            let parameters = parameters("C.12580");
            let run =
                folder.run(&arguments, &[parameters.to_str().unwrap(), "--output", &output], &[]);
            assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        }
        folder
    }

    /// Where a simulation of Baltimore belongs.
    fn simulation(&self, scenario: &str) -> String {
        match scenario {
            "base" => "simulations/ryan-white/base/C.12580_base.Rdata".to_owned(),
            _ => format!("simulations/ryan-white/prerun/C.12580/{scenario}.Rdata"),
        }
    }

    /// Runs the program with words, then with arguments as they are.
    fn run(&self, words: &str, more: &[&str], environment: &[(&str, &str)]) -> Output {
        self.command(words, more, environment).output().unwrap()
    }

    fn command(&self, words: &str, more: &[&str], environment: &[(&str, &str)]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(words.split_whitespace()).args(more).current_dir(&self.path).env_clear();
        command.envs(environment.iter().copied());
        command
    }

    /// A batch of Baltimore with a fault.
    fn batch(&self, words: &str, fault: &str) -> Output {
        self.run(&format!("batch --city C.12580 {words}"), &[], &[("RW_FAULT", fault)])
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    fn json(&self, path: &str) -> Value {
        serde_json::from_str(&self.read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// All files below a folder, in order.
    fn files(&self, path: &str) -> Vec<String> {
        let mut files = Vec::new();
        let mut folders = vec![self.path.join(path)];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).into_iter().flatten() {
                let entry = entry.unwrap();
                match entry.file_type().unwrap().is_dir() {
                    true => folders.push(entry.path()),
                    false => files
                        .push(entry.path().strip_prefix(&self.path).unwrap().display().to_string()),
                }
            }
        }
        files.sort();
        files
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn parameters(city: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../parameters/{city}.yaml"))
}

/// What a run said, with times and durations masked.
fn said(run: &Output) -> String {
    let mut lines = String::new();
    for line in String::from_utf8_lossy(&run.stdout).lines() {
        let line = match line.strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
            Some((time, rest)) => {
                let digits = time.replace(|c: char| c.is_ascii_digit(), "0");
                assert_eq!(digits, "0000-00-00 00:00:00", "{line}");
                let masked = [
                    "Start time: ",
                    "End time: ",
                    "Total duration: ",
                    "Average time per successful plot: ",
                ];
                let masked = masked.into_iter().chain(["Estimated time for 64K plots: "]);
                let mask = masked
                    .into_iter()
                    .find_map(|what| rest.split_once(what).map(|(head, _)| (head, what)));
                match mask {
                    Some((head, what)) => format!("[TIME] {head}{what}..."),
                    None => format!("[TIME] {rest}"),
                }
            }
            None => line.to_owned(),
        };
        lines.push_str(&line);
        lines.push('\n');
    }
    lines
}
