//! A project in a folder of its own, and jheem run in it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// A folder with a Jheemfile; removed at the end, unless `JHEEM_TEST_KEEP` is set.
pub struct Project {
    folder: Option<tempfile::TempDir>,
    root: PathBuf,
    env: Vec<(String, String)>,
}

impl Project {
    pub fn new() -> Project {
        Project::below(&std::env::temp_dir())
    }

    /// A project of very many files: in memory where there is a file system for that.
    pub fn large() -> Project {
        let memory = Path::new("/dev/shm");
        if memory.is_dir() { Project::below(memory) } else { Project::new() }
    }

    fn below(folder: &Path) -> Project {
        let folder = tempfile::Builder::new().prefix("jheem-it-").tempdir_in(folder).unwrap();
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

    /// Runs jheem, which kills itself when it comes to a moment such as `published:3`.
    #[track_caller]
    pub fn killed(&self, arguments: &str, moment: &str) {
        let killed = self.command(arguments).env("JHEEM_KILL_AT", moment).output().unwrap();
        assert!(killed.status.code().is_none(), "{moment} was not come to: {killed:?}");
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

/// Waits until `{now}` is another second than when anything was written so far.
pub fn another_second() {
    let second = || std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let begun = second();
    while second() == begun {
        std::thread::yield_now();
    }
}

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

impl Project {
    /// Runs `jheem build --format json ARGUMENTS` with the example model doing something wrong.
    ///
    /// One run at a time, so that it is one run that makes all plots of a city.
    pub fn build_with_fault(&self, fault: &str, arguments: &str) -> Ran {
        let arguments = format!("build --format json --jobs 1 {arguments}");
        Ran::new(&arguments, self.command(&arguments).env("RW_FAULT", fault).output().unwrap())
    }

    /// The paths of all files below a folder of the project, sorted; links and pipes are files here.
    pub fn files(&self, folder: &str) -> Vec<String> {
        let mut files = Vec::new();
        let mut folders = vec![self.path(folder)];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).into_iter().flatten() {
                let entry = entry.unwrap();
                if entry.file_type().unwrap().is_dir() {
                    folders.push(entry.path());
                } else {
                    let path = entry.path().strip_prefix(&self.root).unwrap().to_owned();
                    files.push(path.to_string_lossy().into_owned());
                }
            }
        }
        files.sort();
        files
    }
}

/// What a folder holds: every path with its mode, and the digest of what a file says.
pub fn tree(root: &Path) -> BTreeMap<String, (u32, String)> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let says = if metadata.is_dir() {
                folders.push(path.clone());
                "a folder".to_owned()
            } else if metadata.is_file() {
                blake3::hash(&fs::read(&path).unwrap()).to_string()
            } else {
                format!("{:?}", metadata.file_type())
            };
            let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            found.insert(name, (metadata.permissions().mode(), says));
        }
    }
    found
}

/// The cities and scenarios for which `ryan_white` has simulations.
pub const CITIES_SIMULATED: [&str; 3] = ["C.12580", "C.12940", "C.14460"];
pub const SCENARIOS_SIMULATED: [&str; 2] = ["cessation", "brief_interruption"];

/// Simulations of 5 draws, as project path and bytes; made once for this build of the model.
fn simulations() -> &'static [(String, Vec<u8>)] {
    static MADE: std::sync::OnceLock<Vec<(String, Vec<u8>)>> = std::sync::OnceLock::new();
    let simulate = || {
        let parameters =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/ryan-white/parameters");
        let scratch = tempfile::tempdir().unwrap();
        let mut made = Vec::new();
        for city in CITIES_SIMULATED {
            for scenario in ["base"].iter().chain(&SCENARIOS_SIMULATED) {
                let path = match *scenario {
                    "base" => format!("simulations/ryan-white/base/{city}_base.Rdata"),
                    _ => format!("simulations/ryan-white/prerun/{city}/{scenario}.Rdata"),
                };
                let file = scratch.path().join("simset");
                let simulated = Command::new(rw_model())
                    .args(["simulate", "--draws", "5", "--city", city, "--scenario", scenario])
                    .arg("--parameters")
                    .arg(parameters.join(format!("{city}.yaml")))
                    .arg("--output")
                    .arg(&file)
                    .output()
                    .unwrap();
                let told = String::from_utf8_lossy(&simulated.stdout);
                assert!(simulated.status.success(), "the model does not simulate\n{told}");
                made.push((path, fs::read(&file).unwrap()));
            }
        }
        made
    };
    MADE.get_or_init(simulate)
}

/// A project over the example model and ready simulations: 3 cities x 2 scenarios x 3 outcomes x 2 facets.
///
/// The model counts what it makes where `made` looks.
pub fn ryan_white() -> Project {
    let project =
        Project::new().program("rw-model", fs::read(rw_model()).unwrap()).jheemfile(RYAN_WHITE);
    for (path, bytes) in simulations() {
        project.write(path, bytes);
    }
    let counter = project.root().parent().unwrap().join("made").to_string_lossy().into_owned();
    project.env("RW_COUNTER", &counter)
}

pub const RYAN_WHITE: &str = r#"
[project]
name = "ryan-white"
[axis.city]
values = ["C.12580", "C.12940", "C.14460"]
[axis.scenario]
values = ["cessation", "brief_interruption"]
[axis.outcome]
values = ["incidence", "testing", "adap.proportion"]
[axis.statistic]
values = ["mean.and.interval"]
[axis.facet]
values = ["none", "sex"]
[axis.facet.label.part]
none = "unfaceted"
"*" = "facet_{facet}"

[input.base]
path = "simulations/ryan-white/base/{city}_base.Rdata"
[input.prerun]
path = "simulations/ryan-white/prerun/{city}/{scenario}.Rdata"

[runner.model]
program = "./rw-model"
pass_env = ["RW_COUNTER", "RW_FAULT", "RW_STARTUP_SECONDS"]
exit = { partial = [1] }
retries = 0
[runner.model.log]
target = 'GENERATING: (?<city>[^/]+)/(?<scenario>[^/]+)/(?<outcome>\S+) \((?<statistic>[^,]+), (?<facet>[^)]+)\)'
success = "SUCCESS: "
failure = "ERROR: "
absent = ["does not reference a valid dimension", "do not reference valid dimensions"]

[plot.rw]
over = ["city", "scenario", "outcome", "statistic", "facet"]
runner = "model"
inputs = { base = "input.base", prerun = "input.prerun" }
command = ["batch", "--config", "{batch.file}", "--output-dir", "{dir:plots}"]
batch = { by = ["city"], file = "jheem-jobs" }
[plot.rw.output.plot]
path = "plots/{city}/{scenario}/{outcome}_{statistic}_{facet.part}.json"
as = "plotly"
[plot.rw.output.metadata]
path = "plots/{city}/{scenario}/{outcome}_{statistic}_{facet.part}_metadata.json"
as = "json"
volatile = ["/generation_time", "/json_path", "/file_path"]
[[plot.rw.audit]]
output = "metadata"
equals = { "/city/0" = "{city}", "/scenario/0" = "{scenario}", "/outcome/0" = "{outcome}", "/statistic_type/0" = "{statistic}", "/facet_choice/0" = "{facet}", "/has_baseline/0" = true }
[[plot.rw.audit]]
output = "plot"
items = [{ at = "/data", min = 6 }]
[[plot.rw.audit]]
output = "plot"
finite = ["/data/*/y"]
[[plot.rw.audit]]
output = "plot"
range = [{ at = "/data/*/y", min = 0 }]
[[plot.rw.audit]]
output = "plot"
ordered = [{ lower = "/data/[meta=lower]/y", upper = "/data/[meta=upper]/y" }]
[[plot.rw.audit]]
output = "plot"
contains = [{ at = "/data/[meta=mean]/x", from = 2010, to = 2035, step = 1 }]
"#;

/// The example model as a program of this machine, built once a process.
pub fn rw_model() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| build_rw_model(None)).clone()
}

/// The example model linked statically, as an image `FROM scratch` needs it.
pub fn rw_model_static() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let musl = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    BUILT.get_or_init(|| build_rw_model(Some(&musl))).clone()
}

/// The target that this machine's compiler makes programs for.
fn host() -> String {
    let printed = Command::new("rustc").arg("-vV").output().unwrap().stdout;
    let printed = String::from_utf8(printed).unwrap();
    let host = printed.lines().find_map(|line| line.strip_prefix("host: "));
    host.expect("rustc says its host").to_owned()
}

/// Builds it in `target/model`; for a target that is not installed, statically for this one.
fn build_rw_model(target: Option<&str>) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = root.join("target/model");
    let installed = |target: &str| {
        let asked = ["--print", "target-libdir", "--target", target];
        let printed = Command::new("rustc").args(asked).output().unwrap().stdout;
        Path::new(String::from_utf8(printed).unwrap().trim()).is_dir()
    };
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--release", "--locked", "--quiet", "--manifest-path"]);
    cargo.arg(root.join("examples/ryan-white/model/Cargo.toml")).arg("--target-dir");
    let built = match target {
        None => folder.join("release"),
        Some(target) if installed(target) => {
            cargo.args([folder.to_str().unwrap(), "--target", target]);
            folder.join(target).join("release")
        }
        Some(_) => {
            // A target that is named, though it is this machine's own, leaves macros as they are.
            let own = host();
            cargo.args([folder.join("static").to_str().unwrap(), "--target", &own]);
            cargo.env("RUSTFLAGS", "-C target-feature=+crt-static");
            folder.join("static").join(&own).join("release")
        }
    };
    if target.is_none() {
        cargo.arg(&folder);
    }
    let done = cargo.output().unwrap();
    assert!(done.status.success(), "the model does not build: {done:?}");
    built.join("rw-model")
}
