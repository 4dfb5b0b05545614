//! A project in a folder of its own, and jheem run in it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder with a Jheemfile; removed at the end, unless `JHEEM_TEST_KEEP` is set.
pub struct Project {
    folder: Option<tempfile::TempDir>,
    root: PathBuf,
    env: Vec<(String, String)>,
}

impl Project {
    pub fn new() -> Project {
        let folder = tempfile::Builder::new().prefix("jheem-it-").tempdir().unwrap();
        let root = folder.path().join("project");
        fs::create_dir(&root).unwrap();
        Project { folder: Some(folder), root, env: Vec::new() }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// Writes a file, replacing what is there, even if it is read-only.
    pub fn file(self, path: &str, text: impl AsRef<[u8]>) -> Project {
        self.write(path, text);
        self
    }

    /// Writes an executable file.
    pub fn program(self, path: &str, text: impl AsRef<[u8]>) -> Project {
        self.write(path, text);
        fs::set_permissions(self.path(path), fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    pub fn jheemfile(self, text: &str) -> Project {
        self.file("Jheemfile.toml", text)
    }

    /// Sets a variable for every jheem run in this project.
    pub fn env(mut self, name: &str, value: &str) -> Project {
        self.env.push((name.into(), value.into()));
        self
    }

    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mode = fs::metadata(&path).map(|m| m.permissions().mode()).ok();
        if mode.is_some() {
            fs::remove_file(&path).unwrap();
        }
        fs::write(&path, text).unwrap();
        if let Some(mode) = mode {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode | 0o200)).unwrap();
        }
    }

    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_else(|e| panic!("cannot read {path}: {e}"))
    }

    pub fn exists(&self, path: &str) -> bool {
        self.path(path).exists()
    }

    /// Replaces a text in the Jheemfile; it must be there.
    pub fn change(&self, from: &str, to: &str) {
        let text = self.read("Jheemfile.toml");
        assert!(text.contains(from), "the Jheemfile does not say `{from}`");
        self.write("Jheemfile.toml", text.replace(from, to));
    }

    /// The command `jheem ARGUMENTS` in this project, not yet run.
    pub fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_jheem"));
        command.args(arguments.split_whitespace()).current_dir(&self.root).env("NO_COLOR", "1");
        command.envs(self.env.iter().map(|(n, v)| (n, v)));
        command
    }

    /// Runs `jheem ARGUMENTS`, split at blanks.
    pub fn jheem(&self, arguments: &str) -> Ran {
        let output = self.command(arguments).output().unwrap();
        Ran::new(arguments, output)
    }

    /// Runs `jheem build --format json ARGUMENTS`.
    pub fn build(&self, arguments: &str) -> Ran {
        self.jheem(&format!("build --format json {arguments}"))
    }

    /// Runs `jheem plan --format json ARGUMENTS`.
    pub fn plan(&self, arguments: &str) -> Ran {
        self.jheem(&format!("plan --format json {arguments}"))
    }

    /// Keeps the folder and says where it is; for a test that is being written.
    #[expect(dead_code, reason = "for whoever debugs a test")]
    pub fn eject(mut self) -> ! {
        let folder = self.folder.take().map(tempfile::TempDir::keep);
        panic!("the project is kept in {folder:?}");
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        if std::env::var_os("JHEEM_TEST_KEEP").is_some()
            && let Some(folder) = self.folder.take()
        {
            eprintln!("the project is kept in {}", folder.keep().display());
        }
    }
}

/// What a jheem printed and how it ended.
pub struct Ran {
    pub arguments: String,
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    pub fn new(arguments: &str, output: Output) -> Ran {
        Ran {
            arguments: arguments.to_owned(),
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Fails the test unless it ended with this code.
    #[track_caller]
    pub fn code(self, code: i32) -> Ran {
        assert_eq!(self.code, Some(code), "`jheem {}` ended otherwise\n{self}", self.arguments);
        self
    }

    #[track_caller]
    pub fn success(self) -> Ran {
        self.code(0)
    }

    /// The JSON objects on stdout, one a line.
    pub fn events(&self) -> Vec<serde_json::Value> {
        self.stdout
            .lines()
            .map(|line| {
                serde_json::from_str(line)
                    .unwrap_or_else(|e| panic!("not JSON: {e}: {line}\n{self}"))
            })
            .collect()
    }

    /// The last event, which counts.
    pub fn last(&self) -> serde_json::Value {
        self.events().pop().unwrap_or_else(|| panic!("nothing was printed\n{self}"))
    }

    /// A count of the last event: `targets.fresh`, `published.objects`, `runs`.
    #[track_caller]
    pub fn count(&self, name: &str) -> u64 {
        let last = self.last();
        let value = name.split('.').fold(&last, |value, part| &value[part]);
        value.as_u64().unwrap_or_else(|| panic!("no count `{name}` in {last}\n{self}"))
    }

    /// Fails the test unless the last event has these counts: `fresh=3 built=1`; all others are 0.
    #[track_caller]
    pub fn targets(self, counts: &str) -> Ran {
        let last = self.last();
        let mut expected: Vec<(String, u64)> = counts
            .split_whitespace()
            .map(|c| c.split_once('=').expect("write name=count"))
            .map(|(n, c)| (n.to_owned(), c.parse().expect("write name=count")))
            .collect();
        expected.sort();
        let mut found: Vec<(String, u64)> = last["targets"]
            .as_object()
            .unwrap_or_else(|| panic!("no counts in {last}\n{self}"))
            .iter()
            .map(|(n, c)| (n.clone(), c.as_u64().unwrap()))
            .filter(|(_, c)| *c != 0)
            .collect();
        found.sort();
        assert_eq!(found, expected, "`jheem {}`: other counts\n{self}", self.arguments);
        self
    }

    /// The names of targets that ended so: `built`, `same`, `failed`, `skipped`, `absent`; sorted.
    pub fn ended(&self, ending: &str) -> Vec<String> {
        let mut names: Vec<String> = self
            .events()
            .iter()
            .filter(|e| e["event"] == "target" && e["ending"] == ending)
            .map(|e| e["target"].as_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    }

    #[track_caller]
    pub fn says(self, text: &str) -> Ran {
        let said = self.stdout.contains(text) || self.stderr.contains(text);
        assert!(said, "`jheem {}` does not say `{text}`\n{self}", self.arguments);
        self
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "code {:?}\n--- stdout\n{}\n--- stderr\n{}\n---",
            self.code, self.stdout, self.stderr
        )
    }
}

/// A small model: a shell script that plots a line for each job, and counts what it makes.
///
/// `model.sh plot OUT CITY OUTCOMES [TEXT]` makes `OUT/CITY/OUTCOME.json` from `data/CITY.txt`.
pub const MODEL: &str = r#"#!/bin/sh
set -e
out=$2; city=$3; outcomes=$4; text=$5
mkdir -p "$out/$city"
for outcome in $(echo "$outcomes" | tr , ' '); do
    echo "GENERATING: $city/$outcome"
    printf '{"city": "%s", "outcome": "%s", "value": "%s%s", "generation_time": "%s"}\n' \
        "$city" "$outcome" "$(cat data/$city.txt)" "$text" "$(date +%s.%N)" > "$out/$city/$outcome.json"
    echo "$city/$outcome" >> "$COUNTER"
    echo "SUCCESS: $outcome.json"
done
"#;

/// A project of 2 cities x 3 outcomes over `MODEL`, batched by city.
pub fn cities() -> Project {
    let project = Project::new()
        .program("model.sh", MODEL)
        .file("data/A.txt", "1\n")
        .file("data/B.txt", "2\n")
        .jheemfile(CITIES);
    let counter = project.root().parent().unwrap().join("made").to_string_lossy().into_owned();
    project.env("COUNTER", &counter)
}

pub const CITIES: &str = r#"
[project]
name = "cities"
[axis.city]
values = ["A", "B"]
[axis.outcome]
values = ["x", "y", "z"]
[input.data]
path = "data/{city}.txt"
[runner.model]
program = "./model.sh"
pass_env = ["PATH", "COUNTER"]
[runner.model.log]
target = 'GENERATING: (?<city>[^/]+)/(?<outcome>\S+)'
success = "SUCCESS: "
[plot.p]
over = ["city", "outcome"]
runner = "model"
inputs = { data = "input.data" }
command = ["plot", "{dir:plots}", "{city}", "{list:outcome}"]
batch = { by = ["city"] }
[plot.p.output.plot]
path = "plots/{city}/{outcome}.json"
as = "json"
volatile = ["/generation_time"]
[[plot.p.audit]]
output = "plot"
equals = { "/city" = "{city}", "/outcome" = "{outcome}" }
"#;

impl Project {
    /// The plots that the model made since the last time this was asked, sorted.
    pub fn made(&self) -> Vec<String> {
        let counter = self.root().parent().unwrap().join("made");
        let mut made: Vec<String> =
            fs::read_to_string(&counter).unwrap_or_default().lines().map(str::to_owned).collect();
        made.sort();
        // The file is emptied by being removed; nothing runs now.
        let _gone = fs::remove_file(&counter);
        made
    }
}
