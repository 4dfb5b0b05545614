//! The whole pipeline with images: the example model in a `FROM scratch` image, batch by batch.
//!
//! Without a daemon each test says that it is skipped; with JHEEM_TEST_DOCKER=1 it fails instead.

mod afar;
mod crashes;
mod updates;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use jheem::content::{As, Document, Pointer};
use jheem::execute::container::Containers;
use jheem::execute::daemon::Options;

use super::project::{Project, Ran, rw_model, rw_model_static};

const CITIES: [&str; 4] = ["C.12580", "C.12940", "C.14460", "C.16740"];
const SCENARIOS: [&str; 3] = ["cessation", "brief_interruption", "prolonged_interruption"];

/// The pipeline of the example at its test size: 108 plots, and 36 more that ask for `awareness`.
/// `RUNNER` stands for what starts the model.
const PIPELINE: &str = r#"
[project]
name = "ryan-white"
[axis.city]
values = ["C.12580", "C.12940", "C.14460", "C.16740"]
[axis.scenario]
values = ["cessation", "brief_interruption", "prolonged_interruption"]
[axis.outcome]
values = ["incidence", "diagnosed.prevalence", "adap.proportion", "awareness"]
[axis.statistic]
values = ["mean.and.interval"]
[axis.facet]
values = ["none", "sex", "age"]
[axis.facet.label.part]
none = "unfaceted"
"*" = "facet_{facet}"
[preset.test]
axes = { outcome = ["!awareness"] }
[input.base]
path = "simulations/ryan-white/base/{city}_base.Rdata"
[input.prerun]
path = "simulations/ryan-white/prerun/{city}/{scenario}.Rdata"
[runner.model]
RUNNER
pass_env = ["RW_FAULT"]
exit = { partial = [1] }
[runner.model.log]
target = 'GENERATING: (?<city>[^/]+)/(?<scenario>[^/]+)/(?<outcome>\S+) \((?<statistic>[^,]+), (?<facet>[^)]+)\)'
success = "SUCCESS: "
failure = "ERROR: "
absent = ["does not reference a valid dimension", "do not reference valid dimensions"]
absent_depends_on = ["outcome", "facet"]
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
equals = { "/city/0" = "{city}", "/scenario/0" = "{scenario}", "/outcome/0" = "{outcome}", "/facet_choice/0" = "{facet}", "/has_baseline/0" = true }
"#;

const IMAGE_DIRS: &str = r#"dirs = { "/app/simulations" = "simulations", "/app/plots" = "plots", "/app/configs" = "{batch}" }"#;

/// The daemon; none means that the test is skipped.
pub fn daemon() -> Option<Containers> {
    match Containers::connect(&Options::from_environment()) {
        Ok(containers) => Some(containers),
        Err(error) if std::env::var("JHEEM_TEST_DOCKER").is_ok_and(|value| value == "1") => {
            panic!("JHEEM_TEST_DOCKER=1, and there is no daemon: {error}")
        }
        Err(_) => {
            println!("skipped: no Docker daemon");
            None
        }
    }
}

#[track_caller]
pub fn docker(arguments: &[&str]) -> String {
    let done = Command::new("docker").args(arguments).output().unwrap();
    assert!(done.status.success(), "docker {arguments:?}: {done:?}");
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

/// Builds the example's image, with the label that makes each build another image; returns its id.
fn build_image(tag: &str, label: &str) -> String {
    let context = tempfile::tempdir().unwrap();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/ryan-white");
    fs::copy(example.join("Dockerfile"), context.path().join("Dockerfile")).unwrap();
    fs::copy(rw_model_static(), context.path().join("rw-model")).unwrap();
    let label = format!("jheem.test={label}");
    docker(&["build", "-q", "--label", &label, "-t", tag, context.path().to_str().unwrap()])
}

/// An image of a name that no other test uses; its names are taken away at the end.
pub struct Tag(pub String);

impl Tag {
    pub fn new(name: &str) -> Tag {
        Tag(format!("jheem-test-{name}:{}", std::process::id()))
    }
}

impl Drop for Tag {
    fn drop(&mut self) {
        let _gone = Command::new("docker").args(["rmi", "-f", &self.0]).output();
    }
}

/// The example's image; built once, known by what it was built from.
fn image() -> &'static str {
    static TAG: OnceLock<String> = OnceLock::new();
    TAG.get_or_init(|| {
        let program = fs::read(rw_model_static()).unwrap();
        let tag = format!("jheem-test-rw:{}", &blake3::hash(&program).to_hex()[..16]);
        build_image(&tag, "shared");
        tag
    })
}

/// Simulations of four cities, made once: five draws each. By project path.
fn simulations() -> &'static BTreeMap<PathBuf, Vec<u8>> {
    static MADE: OnceLock<BTreeMap<PathBuf, Vec<u8>>> = OnceLock::new();
    MADE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        for city in CITIES {
            simulate(folder.path(), city, "base", 1);
            SCENARIOS.iter().for_each(|scenario| simulate(folder.path(), city, scenario, 1));
        }
        let mut files = BTreeMap::new();
        files_below(folder.path(), &mut files);
        let below = |path: PathBuf| path.strip_prefix(folder.path()).unwrap().to_owned();
        files.into_iter().map(|(path, bytes)| (below(path), bytes)).collect()
    })
}

fn simulate(root: &Path, city: &str, scenario: &str, seed: u32) {
    let parameters = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(format!("examples/ryan-white/parameters/{city}.yaml"));
    let output = root.join("simulations/ryan-white").join(match scenario {
        "base" => format!("base/{city}_base.Rdata"),
        _ => format!("prerun/{city}/{scenario}.Rdata"),
    });
    let done = Command::new(rw_model())
        .args(["simulate", "--city", city, "--scenario", scenario, "--draws", "5"])
        .args(["--seed", &seed.to_string(), "--parameters"])
        .args([&parameters, Path::new("--output"), &output])
        .output()
        .unwrap();
    assert!(done.status.success(), "{done:?}");
}

pub fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_all(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// The pipeline with its simulations; `runner` is the lines that say what starts the model.
fn pipeline(runner: &str) -> Project {
    let project = Project::new().jheemfile(&PIPELINE.replace("RUNNER", runner));
    for (path, bytes) in simulations() {
        project.write(path.to_str().unwrap(), bytes);
    }
    project
}

fn pipeline_of(image: &str) -> Project {
    pipeline(&format!("image = \"{image}\"\n{IMAGE_DIRS}"))
}

/// The content digest of every output, by path.
fn contents(project: &Project) -> BTreeMap<String, String> {
    let volatile: Vec<Pointer> = ["/generation_time", "/json_path", "/file_path"]
        .iter()
        .map(|pointer| Pointer::parse(pointer).unwrap())
        .collect();
    let listed = project.jheem("list --paths --preset test").success().stdout;
    listed
        .lines()
        .map(|path| {
            let bytes = fs::read(project.path(path)).unwrap();
            let metadata = path.ends_with("_metadata.json");
            let (kind, volatile) =
                if metadata { (As::JSON, volatile.as_slice()) } else { (As::PLOTLY, &[][..]) };
            let document = Document::parse(&bytes, kind).unwrap();
            (path.to_owned(), document.content_digest(volatile).to_string())
        })
        .collect()
}

/// Containers that are left of this project.
fn left(project: &Project) -> String {
    let root = project.root().canonicalize().unwrap();
    let all = docker(&["ps", "-aq", "--filter", "label=jheem.owner"]);
    let mine = all.lines().filter(|id| {
        let mounts = ["inspect", "-f", "{{range .Mounts}}{{.Source}} {{end}}", id];
        let told = Command::new("docker").args(mounts).output().unwrap();
        String::from_utf8(told.stdout).unwrap().contains(root.to_str().unwrap())
    });
    mine.collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn nothing_is_left(project: &Project) {
    assert_eq!(left(project), "", "containers are left");
    let scratch = project.path("cache/scratch");
    let files = fs::read_dir(scratch).map(Iterator::count).unwrap_or(0);
    assert_eq!(files, 0, "scratch is not clean");
}

#[test]
fn containers_and_processes_make_the_same_contents() {
    if daemon().is_none() {
        return;
    }
    let by_image = pipeline_of(image());
    by_image.build("--preset test").success().targets("built=108");
    nothing_is_left(&by_image);
    let again = by_image.build("--preset test").success().targets("fresh=108");
    assert_eq!(again.count("runs"), 0);

    let by_process = pipeline(&format!("program = {:?}", rw_model()));
    by_process.build("--preset test").success().targets("built=108");
    let (one, other) = (contents(&by_image), contents(&by_process));
    assert_eq!(one.len(), 216);
    assert_eq!(one, other);

    // Nine plots read this file, and they alone are made again.
    simulate(by_image.root(), "C.12940", "cessation", 2);
    by_image
        .jheem("plan --preset test")
        .success()
        .says("9 plots stale: city=C.12940, scenario=cessation, ")
        .says(": prerun changed");
    by_image.build("--preset test").success().targets("fresh=99 built=9");
    let changed = contents(&by_image);
    let differing: Vec<&String> = one
        .iter()
        .filter(|(path, digest)| changed[*path] != **digest)
        .map(|(path, _)| path)
        .collect();
    assert_eq!(differing.len(), 9, "{differing:?}");
    assert!(differing.iter().all(|path| path.starts_with("plots/C.12940/cessation/")));
}

#[test]
fn a_container_that_runs_out_of_memory_is_tried_again_with_less() {
    if daemon().is_none() {
        return;
    }
    let project = pipeline_of(image()).env("RW_FAULT", "out-of-memory-above:5");
    let one_city = "--preset test --where city=C.12580";
    let ran = project.build(one_city).success().targets("built=27");
    let killed = ran.events().iter().filter(|e| e["exit"] == "out of memory").count();
    assert!(killed >= 1, "no run ran out of memory\n{ran}");
    nothing_is_left(&project);
    project.build(one_city).success().targets("fresh=27");
}

#[test]
fn what_was_made_before_a_container_was_killed_is_kept() {
    if daemon().is_none() {
        return;
    }
    let project = pipeline_of(image());
    let (one, city) = (
        "--where city=C.12580 --where scenario=cessation --where outcome=incidence",
        "--preset test --where city=C.12580",
    );
    // The image is known, so that the faulty run is a batch and not a first plot.
    project.build(one).success().targets("built=3");
    let project = project.env("RW_FAULT", "die-after:4");
    project.change("[runner.model.log]", "retries = 0\n[runner.model.log]");
    let ran =
        project.build(&format!("{city} --jobs 1")).code(1).targets("fresh=3 built=4 failed=20");
    assert_eq!(ran.ended("built").len(), 4);
    let project = project.env("RW_FAULT", "");
    project.build(city).success().targets("fresh=7 built=20");
}

#[test]
fn a_scenario_that_the_container_forgets_fails_the_build_and_nothing_else() {
    if daemon().is_none() {
        return;
    }
    let project = pipeline_of(image()).env("RW_FAULT", "forget-scenario:cessation");
    let narrow = "--preset test --where city=C.12580 --where outcome=incidence";
    // The first plot of a new image would be one of the forgotten ones: another one goes first.
    project.build(&format!("{narrow} --where scenario=brief_interruption")).success();
    project.build(&format!("{narrow} --keep-going")).code(1).targets("fresh=3 built=3 failed=3");
    let project = project.env("RW_FAULT", "");
    project.build(narrow).success().targets("fresh=6 built=3");
}

#[test]
fn what_the_container_says_cannot_exist_is_asked_for_once() {
    if daemon().is_none() {
        return;
    }
    let project = pipeline_of(image());
    let outcome = "--where outcome=awareness --where scenario=cessation";
    // Awareness has no breakdown: of three facets one can be drawn, in each of four cities.
    project.build(outcome).success().targets("built=4 absent=8");
    let again = project.build(outcome).success().targets("fresh=4 absent=8");
    assert_eq!(again.count("runs"), 0);
    // What one scenario taught holds in the others, whose files nobody has looked at yet.
    project
        .plan("--where outcome=awareness --where scenario=brief_interruption")
        .success()
        .targets("stale=4 absent=8");
    project
        .jheem("why --where city=C.12940 --where outcome=awareness --where facet=sex --where scenario=cessation")
        .success()
        .says("does not reference a valid dimension");
}

#[test]
fn an_image_rebuilt_under_its_name_makes_plots_stale_and_why_says_so() {
    if daemon().is_none() {
        return;
    }
    let tag = Tag::new("rebuilt");
    let before = build_image(&tag.0, "first");
    let project = pipeline_of(&tag.0);
    let narrow = "--preset test --where city=C.12580 --where outcome=incidence";
    project.build(narrow).success().targets("built=9");
    let now = build_image(&tag.0, "second");
    assert_ne!(before, now);
    project.plan(narrow).success().targets("stale=9");
    project.jheem(&format!("plan {narrow}")).success().says("image changed");
    let why = project.jheem(&format!("why {narrow} --where facet=sex")).success();
    let short = |id: &str| id.trim_start_matches("sha256:")[..8].to_owned();
    why.says(&short(&before)).says(&short(&now));
    // The same program in another image draws the same: nothing below would move.
    let ran = project.build(narrow).success().targets("built=9");
    assert_eq!(ran.ended("same").len(), 9);
    docker(&["rmi", "-f", &before]);
}

#[test]
fn without_a_daemon_the_last_known_image_counts_and_is_named() {
    if daemon().is_none() {
        return;
    }
    let nowhere = tempfile::tempdir().unwrap();
    let nowhere = format!("unix://{}", nowhere.path().join("no.sock").display());
    let narrow = "--preset test --where city=C.12580 --where outcome=incidence";
    let plan = |project: &Project, arguments: &str| {
        let mut command = project.command(&format!("plan --format json {narrow} {arguments}"));
        Ran::new(arguments, command.env("DOCKER_HOST", &nowhere).output().unwrap())
    };
    let project = pipeline_of(image());
    plan(&project, "").success().targets("pending=9");
    let mut command = project.command(&format!("plan {narrow}"));
    let ran = Ran::new("plan", command.env("DOCKER_HOST", &nowhere).output().unwrap());
    ran.success().says("is not known: no container daemon answers");
    project.build(narrow).success();

    let known = plan(&project, "").success().targets("fresh=9");
    known.says("no daemon answers, so").says("as it last was");
    simulate(project.root(), "C.12580", "cessation", 3);
    plan(&project, "").success().targets("fresh=6 stale=3");
    // What cannot be run fails with what to do; what needs no run is well.
    let mut command = project.command(&format!("build {narrow}"));
    let ran = Ran::new("build", command.env("DOCKER_HOST", &nowhere).output().unwrap());
    ran.code(1).says("no container daemon answers").says("DOCKER_HOST");
    let mut command =
        project.command(&format!("build --format json {narrow} --where scenario=!cessation"));
    let ran = Ran::new("build", command.env("DOCKER_HOST", &nowhere).output().unwrap());
    ran.success().targets("fresh=6");
}

#[test]
fn plots_of_an_image_that_is_not_there_are_pending_with_that_reason() {
    if daemon().is_none() {
        return;
    }
    let project = pipeline_of("jheem-test-nobody-built-this:1");
    let narrow = "--preset test --where city=C.12580";
    project.plan(narrow).success().targets("pending=27");
    let reason = "the image `jheem-test-nobody-built-this:1` is not on this machine";
    project.jheem(&format!("plan {narrow}")).success().says(reason);
    project
        .jheem(&format!("why {narrow} --where facet=sex --where outcome=incidence"))
        .says(reason);
    project.build(narrow).code(1).says(reason).targets("skipped=27");
}

#[test]
fn the_lines_of_write_batches_work_by_hand() {
    if daemon().is_none() {
        return;
    }
    let project = pipeline_of(image());
    let narrow = "--preset test --where outcome=incidence --where facet=none";
    let ran = project.jheem(&format!("plan --write-batches by-hand {narrow}")).success();
    let scripts: Vec<&str> = ran.stdout.lines().filter(|line| line.ends_with(".sh")).collect();
    assert_eq!(scripts.len(), 4, "{ran}");
    let mut drawn = BTreeMap::new();
    for script in scripts {
        let text = project.read(script);
        assert!(text.contains("docker run --rm"), "{text}");
        let done = Command::new("sh").arg(script).current_dir(project.root()).output().unwrap();
        assert!(done.status.success(), "{done:?}");
        files_below(&project.path("by-hand/scratch"), &mut drawn);
    }
    project.build(narrow).success().targets("built=12");
    let mut matched = 0;
    for path in project.jheem(&format!("list --paths {narrow}")).stdout.lines() {
        if path.ends_with("_metadata.json") {
            continue;
        }
        let tail = path.trim_start_matches("plots/");
        let (_, bytes) = drawn.iter().find(|(p, _)| p.ends_with(tail)).expect(tail);
        assert_eq!(*bytes, fs::read(project.path(path)).unwrap(), "{path}");
        matched += 1;
    }
    assert_eq!(matched, 12);
}

fn files_below(folder: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            files_below(&entry.path(), found);
        } else {
            found.insert(entry.path(), fs::read(entry.path()).unwrap());
        }
    }
}

// Images with a shell, which write what they see.

/// A static busybox as an image; none if there is no such program here.
fn busybox() -> &'static str {
    static TAG: OnceLock<&str> = OnceLock::new();
    TAG.get_or_init(|| {
        let tag = "jheem-test-shell:busybox";
        let script = format!(
            "mkdir -p $0/bin $0/app/code && cp \"$(which busybox)\" $0/bin/busybox && \
             for tool in sh cat echo mkdir printf ls touch id head chmod sleep env; do ln -s busybox $0/bin/$tool; done; \
             echo built-in > $0/app/code/word.txt; \
             tar -C $0 -c . | docker import -c 'ENV PATH=/bin' - {tag}"
        );
        let folder = tempfile::tempdir().unwrap();
        let done = Command::new("sh")
            .args(["-ec", &script])
            .arg(folder.path().join("root"))
            .output()
            .unwrap();
        assert!(done.status.success(), "needs busybox-static and docker: {done:?}");
        tag
    })
}

/// A plot for each of two letters, by a shell script in a container that gets the letters as arguments.
fn letters(runner: &str, script: &str) -> Project {
    let command = format!("for c in $(echo $0 | head -c 100); do {script}; done");
    Project::new()
        .file("data/a.txt", "1\n")
        .file("data/b.txt", "2\n")
        .file("data/secret.txt", "not declared\n")
        .jheemfile(&format!(
            r#"
[project]
name = "letters"
[axis.letter]
values = ["a", "b"]
[input.data]
path = "data/{{letter}}.txt"
{runner}
dirs = {{ "/in" = "data", "/out" = "plots" }}
[runner.shell.log]
target = 'DRAWING (?<letter>\S+)'
success = "DONE"
[plot.p]
over = ["letter"]
runner = "shell"
inputs = {{ data = "input.data" }}
command = ["sh", "-c", '''{command}''', "{{letter}}"]
[plot.p.output.plot]
path = "plots/{{letter}}.txt"
"#
        ))
}

fn shell_runner() -> String {
    format!("[runner.shell]\nimage = \"{}\"", busybox())
}

#[test]
fn a_container_sees_its_inputs_alone_read_only_and_no_network() {
    if daemon().is_none() {
        return;
    }
    let script = "( ls /in; ls /sys/class/net; echo x >> /in/$c.txt || echo refused; \
                  cat /in/$c.txt ) > /out/$c.txt 2>/dev/null";
    let project = letters(&shell_runner(), script);
    project.build("").success().targets("built=2");
    assert_eq!(project.read("plots/a.txt"), "a.txt\nlo\nrefused\n1\n");
    assert_eq!(project.read("plots/b.txt"), "b.txt\nlo\nrefused\n2\n");
    assert_eq!(project.read("data/a.txt"), "1\n");
    nothing_is_left(&project);
}

#[test]
fn a_folder_of_code_is_laid_over_the_image_and_its_change_makes_plots_stale() {
    if daemon().is_none() {
        return;
    }
    let overlaid = shell_runner() + "\noverlays = { \"/app/code\" = \"input.code\" }";
    let script = "cat /app/code/word.txt > /out/$c.txt";
    let project = letters(&shell_runner(), script);
    project.build("").success().targets("built=2");
    assert_eq!(project.read("plots/a.txt"), "built-in\n");

    let project = letters(&overlaid, script).file("code/word.txt", "mine\n");
    project.change("[input.data]", "[input.code]\nfolder = \"code\"\n[input.data]");
    project.build("").success().targets("built=2");
    assert_eq!(project.read("plots/a.txt"), "mine\n");
    project.write("code/word.txt", "yours\n");
    project.plan("").success().targets("stale=2");
    project.jheem("plan").success().says("code changed");
    project.build("").success().targets("built=2");
    assert_eq!(project.read("plots/b.txt"), "yours\n");
    project.build("").success().targets("fresh=2");
}

/// Inputs in the very folders that outputs are written to, read by an image that runs as somebody.
fn crowded(letters: usize, command: &str) -> Project {
    let names: Vec<String> = (0..letters).map(|at| format!("\"l{at}\"")).collect();
    let mut project = Project::new();
    for at in 0..letters {
        project = project.file(&format!("work/deep/in/l{at}.txt"), format!("{at}\n"));
    }
    project.jheemfile(&format!(
        r#"
[project]
name = "crowded"
[axis.letter]
values = [{}]
[input.data]
path = "work/deep/in/{{letter}}.txt"
{}
user = "1234:1234"
dirs = {{ "/app" = "work" }}
[step.all]
runner = "shell"
joins = {{ data = "input.data" }}
command = ["sh", "-c", '''{command}''']
[step.all.output.all]
path = "work/deep/all.txt"
"#,
        names.join(", "),
        shell_runner(),
    ))
}

#[test]
fn an_image_of_another_user_writes_beside_its_inputs() {
    if daemon().is_none() {
        return;
    }
    let script = "cat /app/deep/in/*.txt > /app/deep/all.txt; id -u >> /app/deep/all.txt";
    let project = crowded(2, script);
    project.build("").success().targets("built=1");
    assert_eq!(project.read("work/deep/all.txt"), "0\n1\n1234\n");
    nothing_is_left(&project);
}

#[test]
fn many_inputs_of_one_folder_are_shown_together_below_a_folder_of_outputs() {
    if daemon().is_none() {
        return;
    }
    let script = "cat /app/deep/in/*.txt > /app/deep/all.txt; \
                  while read what at rest; do case $at in /app/*) echo $at;; esac; done \
                  < /proc/mounts >> /app/deep/all.txt; \
                  echo x >> /app/deep/in/l0.txt || echo refused >> /app/deep/all.txt";
    let project = crowded(70, script);
    project.build("").success().targets("built=1");
    let made = project.read("work/deep/all.txt");
    assert_eq!(made.lines().count(), 72, "{made}");
    assert!(made.ends_with("/app/deep/in\nrefused\n"), "{made}");
    nothing_is_left(&project);
}

/// A container's root may close what it writes to everybody else, from the first line on.
const CLOSED: &str = "umask 077; echo DRAWING $c; cat /in/$c.txt > /out/$c.txt; chmod 600 /out/$c.txt; \
                      mkdir -p /out/closed/deep; echo stray > /out/closed/deep/stray; echo DONE";

/// Runs jheem as a user who is neither root nor this one, but may use the daemon.
fn as_ordinary_user(project: &Project, arguments: &str) -> Option<Ran> {
    const USER: u32 = 12321;
    let socket = match std::env::var("DOCKER_HOST") {
        Ok(host) => host.trim_start_matches("unix://").to_owned(),
        Err(_) => "/var/run/docker.sock".to_owned(),
    };
    let socket = fs::metadata(&socket).unwrap();
    if !rustix::process::geteuid().is_root() || socket.mode() & 0o060 != 0o060 {
        println!("skipped: not root, or no group may use the daemon");
        return None;
    }
    // The toolchain's folders may be closed to others: the user runs a copy.
    let above = project.root().parent().unwrap();
    let copy = above.join("jheem");
    if !copy.exists() {
        fs::copy(env!("CARGO_BIN_EXE_jheem"), &copy).unwrap();
        for path in [above, &copy] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        own(project.root(), USER);
    }
    let mut command = Command::new("setpriv");
    command.args([format!("--reuid={USER}"), format!("--regid={USER}")]);
    command.arg(format!("--groups={}", socket.gid())).arg(&copy);
    command.args(arguments.split_whitespace());
    let given = project.command("");
    command.envs(given.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("HOME", above).current_dir(project.root());
    Some(Ran::new(arguments, command.output().unwrap()))
}

fn own(path: &Path, user: u32) {
    std::os::unix::fs::lchown(path, Some(user), Some(user)).unwrap();
    if fs::symlink_metadata(path).unwrap().is_dir() {
        for entry in fs::read_dir(path).unwrap().map(Result::unwrap) {
            own(&entry.path(), user);
        }
    }
}

/// Everything below a folder that does not belong to the user of the folder itself.
fn foreign(folder: &Path) -> Vec<PathBuf> {
    let user = fs::metadata(folder).unwrap().uid();
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(at) = folders.pop() {
        for entry in fs::read_dir(at).unwrap().map(Result::unwrap) {
            let metadata = fs::symlink_metadata(entry.path()).unwrap();
            if metadata.uid() != user {
                found.push(entry.path());
            }
            if metadata.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    found
}

#[test]
fn an_ordinary_user_owns_what_the_images_root_made() {
    if daemon().is_none() {
        return;
    }
    let project = pipeline_of(image());
    let narrow = "--preset test --where outcome=incidence --where facet=none";
    let Some(ran) = as_ordinary_user(&project, &format!("build --format json {narrow}")) else {
        return;
    };
    ran.success().targets("built=12");
    assert_eq!(foreign(project.root()), [] as [PathBuf; 0]);
    nothing_is_left(&project);
    as_ordinary_user(&project, &format!("build --format json {narrow}"))
        .unwrap()
        .success()
        .targets("fresh=12");
}

#[test]
fn an_ordinary_user_owns_what_the_images_root_closed_to_all_others() {
    if daemon().is_none() {
        return;
    }
    let project = letters(&shell_runner(), CLOSED);
    project.change("[plot.p.output", "ignore = [\"**/closed/**\"]\n[plot.p.output");
    let Some(ran) = as_ordinary_user(&project, "build --format json") else { return };
    ran.success().targets("built=2");
    assert_eq!(project.read("plots/a.txt"), "1\n");
    assert_eq!(foreign(project.root()), [] as [PathBuf; 0]);
    nothing_is_left(&project);

    // Also when the run is cut off after it had made them.
    project.change(CLOSED, &format!("{CLOSED}; sleep 600"));
    project.change("\ndirs", "\ntimeout = { total = \"3s\" }\ndirs");
    let ran = as_ordinary_user(&project, "build --format json").unwrap();
    ran.success().targets("built=2");
    nothing_is_left(&project);
}
