//! Several jheems in one project at once, and a cache that is kept within a size.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::project::{CITIES, MODEL, Project, Ran};
use super::staleness::chain::chain;

/// The cities, whose model waits until the file `gate` is there.
struct Gated {
    project: Project,
    gate: PathBuf,
}

fn gated() -> Gated {
    let wait = "set -e\nfor i in $(seq 600); do [ -e \"$GATE\" ] && break; sleep 0.05; done\n";
    let project = Project::new()
        .program("model.sh", MODEL.replacen("set -e\n", wait, 1))
        .file("data/A.txt", "1\n")
        .file("data/B.txt", "2\n")
        .jheemfile(&CITIES.replace("\"COUNTER\"]", "\"COUNTER\", \"GATE\"]"));
    let beside = project.root().parent().unwrap().to_owned();
    let gate = beside.join("gate");
    let project = project
        .env("COUNTER", beside.join("made").to_str().unwrap())
        .env("GATE", gate.to_str().unwrap());
    Gated { project, gate }
}

/// A jheem that goes on beside the test; ended with it, by its id.
struct Going {
    child: Child,
    arguments: String,
}

impl Going {
    fn start(project: &Project, arguments: &str) -> Going {
        let mut command = project.command(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Going { child: command.spawn().unwrap(), arguments: arguments.to_owned() }
    }

    /// Reads lines of stdout until one says this.
    fn until_stdout_says(&mut self, text: &str) -> String {
        let stdout = self.child.stdout.as_mut().unwrap();
        let mut read = String::new();
        // One byte at a time: what comes after is left for the end.
        let mut byte = [0];
        while !read.lines().any(|l| l.contains(text)) || !read.ends_with('\n') {
            assert_ne!(stdout.read(&mut byte).unwrap(), 0, "it ended before `{text}`: {read}");
            read.push(char::from(byte[0]));
        }
        read
    }

    fn until_stderr_says(&mut self, text: &str) -> String {
        let mut lines = BufReader::new(self.child.stderr.as_mut().unwrap());
        let mut line = String::new();
        while !line.contains(text) {
            line.clear();
            assert_ne!(lines.read_line(&mut line).unwrap(), 0, "it ended before `{text}`");
        }
        line
    }

    fn end(mut self) -> Ran {
        let (mut stdout, mut stderr) = (String::new(), String::new());
        self.child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        let code = self.child.wait().unwrap().code();
        Ran { arguments: self.arguments.clone(), code, stdout, stderr }
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

/// Polls until it holds, for a minute at most.
#[track_caller]
fn poll(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(60), "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_second_build_waits_and_says_who_holds_the_project() {
    let Gated { project, gate } = gated();
    let mut first = Going::start(&project, "build --format json");
    first.until_stdout_says("run-started");
    let mut second = Going::start(&project, "build --format json");
    let said = second.until_stderr_says("waiting for");
    assert!(said.contains(&format!("process {}", first.child.id())), "{said}");
    std::fs::write(&gate, "").unwrap();
    first.end().success().targets("built=6");
    second.end().success().targets("fresh=6");
    assert_eq!(project.made().len(), 6);
}

#[test]
fn a_build_that_may_not_wait_ends_at_once_and_says_who_holds_the_project() {
    let Gated { project, gate } = gated();
    let mut first = Going::start(&project, "build --format json");
    first.until_stdout_says("run-started");
    let refused = project.jheem("build --no-wait").code(4);
    assert!(refused.stderr.contains(&format!("process {}", first.child.id())), "{refused}");
    let refused = project.jheem("build --no-wait --format json").code(4);
    assert_eq!(refused.last()["kind"], "locked");
    std::fs::write(&gate, "").unwrap();
    first.end().success();
    project.jheem("build --no-wait").success();
}

#[test]
fn a_killed_build_leaves_no_lock() {
    let Gated { project, gate } = gated();
    let mut first = Going::start(&project, "build --format json");
    first.until_stdout_says("run-started");
    first.child.kill().unwrap();
    first.child.wait().unwrap();
    std::fs::write(&gate, "").unwrap();
    project.build("--no-wait").success().targets("built=6");
}

#[test]
fn plan_why_list_and_log_work_while_a_build_runs() {
    let Gated { project, gate } = gated();
    // The first city is made, so that there is something to read.
    std::fs::write(&gate, "").unwrap();
    project.build("--where city=A").success().targets("built=3");
    std::fs::remove_file(&gate).unwrap();

    let mut build = Going::start(&project, "build --format json");
    build.until_stdout_says("run-started");
    project.plan("").success().targets("fresh=3 stale=3");
    let (verdict, _) = project.why("plots/A/x.json");
    assert_eq!(verdict, "fresh");
    let (verdict, said) = project.why("plots/B/x.json");
    assert_eq!(verdict, "stale");
    assert!(said.contains("never made"), "{said}");
    assert_eq!(project.jheem("list --paths").success().stdout.lines().count(), 6);
    project.jheem("log").success().says("plot.p");
    project.jheem("log last").success().says("SUCCESS: ");
    project.jheem("cache stat").success();
    project.jheem("list --count").success();
    assert!(build.child.try_wait().unwrap().is_none(), "the build ended too early");
    std::fs::write(&gate, "").unwrap();
    build.end().success().targets("fresh=3 built=3");
    project.plan("").success().targets("fresh=6");
}

#[test]
fn many_readers_beside_a_build_never_meet_a_locked_database() {
    let Gated { project, gate } = gated();
    std::fs::write(&gate, "").unwrap();
    for round in 0..5 {
        project.write("data/A.txt", format!("{round}\n"));
        let build = Going::start(&project, "build --format json");
        let readers: Vec<Going> =
            (0..4).map(|_| Going::start(&project, "plan --format json")).collect();
        for reader in readers {
            let planned = reader.end().success();
            let sum: u64 = planned.last()["targets"]
                .as_object()
                .unwrap()
                .values()
                .filter_map(serde_json::Value::as_u64)
                .sum();
            assert_eq!(sum, 6, "{planned}");
        }
        build.end().success();
    }
}

// The cache.

/// The bytes and number of all objects.
fn stat(project: &Project) -> (u64, u64, u64) {
    let said = project.jheem("cache stat --format json").success().last();
    let count = |name: &str| said[name].as_u64().unwrap_or_else(|| panic!("no {name} in {said}"));
    (count("bytes") + count("log_bytes"), count("objects"), count("current"))
}

#[test]
fn logs_of_runs_that_nothing_came_out_of_any_more_go_first() {
    let project = super::project::cities();
    for round in 0..3 {
        project.write("data/A.txt", format!("{round}\n"));
        project.build("").success();
    }
    let logs = project.files("cache/logs");
    let (bytes, objects, _) = stat(&project);
    let ran = project.jheem(&format!("cache gc --size {} --format json", bytes - 1)).success();
    assert_eq!((&ran.last()["logs"], &ran.last()["objects"]), (&1.into(), &0.into()), "{ran}");
    assert_eq!(project.files("cache/logs"), logs[1..], "the oldest goes");
    assert_eq!(stat(&project).1, objects);
    // What is in place still says how it came about.
    project.jheem("cache gc --size 1").success();
    let last = project.jheem("log --format json").success();
    for run in last.events() {
        project.jheem(&format!("log {}", run["run"].as_str().unwrap())).success().says("SUCCESS: ");
    }
    project.build("").success().targets("fresh=6");
}

#[test]
fn the_cache_is_kept_within_a_size_without_losing_what_is_current() {
    let project = super::project::cities();
    let text = |round: usize| format!("{}\n", "0123456789".repeat(100 + round));
    for round in 0..4 {
        project.write("data/A.txt", text(round));
        project.build("").success();
    }
    let (bytes, objects, current) = stat(&project);
    assert_eq!((objects, current), (3 * 4 + 3, 6));
    // Within the size, nothing goes.
    project.jheem(&format!("cache gc --size {bytes}")).success();
    assert_eq!(stat(&project), (bytes, objects, current));
    // The oldest go first.
    let limit = bytes - 3000;
    project.jheem(&format!("cache gc --size {limit}")).success();
    let (left, _, current) = stat(&project);
    assert!(left <= limit && left > limit / 2, "{left} of {limit}");
    assert_eq!(current, 6);
    project.made();
    project.write("data/A.txt", text(2));
    project.plan("").targets("fresh=3 restorable=3");
    project.write("data/A.txt", text(0));
    project.plan("").targets("fresh=3 stale=3");
    // What went is made again, and nothing in the records speaks of it any more.
    let (_, said) = project.why("plots/A/x.json");
    assert!(said.contains("data (data/A.txt)"), "{said}");
    // Whatever the limit, what is in place can be put back.
    project.write("data/A.txt", text(3));
    project.jheem("cache gc --size 1").success();
    assert_eq!(stat(&project).1, 6);
    std::fs::remove_dir_all(project.path("plots")).unwrap();
    project.build("").success().targets("restored=6");
    assert!(project.made().is_empty());
}

/// How many rows a table of the records has.
fn rows(project: &Project, table: &str) -> u64 {
    let records = rusqlite::Connection::open(project.path("cache/records.db")).unwrap();
    records.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}

#[test]
fn records_that_neither_a_target_nor_an_object_needs_go_as_well() {
    let project = chain();
    for round in 0..3 {
        project.write("data/A.txt", format!("{round}\n"));
        project.build("").success();
    }
    let before = ["target", "made", "line"].map(|table| rows(&project, table));
    assert_eq!((before[0], before[1]), (8, 8 + 2 * 5));
    // What the cache still holds can be put back, so its records stay.
    project.jheem("cache gc").success();
    assert_eq!((rows(&project, "target"), rows(&project, "made")), (8, 18));
    let lines = rows(&project, "line");
    assert!(lines < before[2], "lines of earlier requests stayed: {lines} of {}", before[2]);
    project.jheem("cache gc --size 0").success();
    assert_eq!((rows(&project, "target"), rows(&project, "made")), (8, 8));
    project.plan("").targets("fresh=8");
    project.write("data/A.txt", "3\n");
    assert!(project.why("trimmed/A.txt").1.contains("data (data/A.txt)"));
    project.build("").success().targets("fresh=3 built=5");
}

#[test]
fn what_a_rule_that_is_gone_made_can_go_and_that_it_was_made_is_not_forgotten() {
    let project = chain();
    project.build("").success();
    let whole = project.read("Jheemfile.toml");
    project.change("values = [\"x\", \"y\"]", "values = [\"x\"]");
    assert_eq!(stat(&project).2, 5, "what no target is now counts as current");
    project.jheem("cache gc --size 0").success();
    assert_eq!(stat(&project).1, 5);
    project.plan("").targets("fresh=5");
    // The value is back: what still stands is as it was made, and it may not vanish unseen.
    project.write("Jheemfile.toml", &whole);
    project.plan("plot.p").targets("fresh=6");
    project.write("data/A.txt", "5\n");
    let command = |arguments: &str| {
        let output = project.command(arguments).env("ABSENT", "A/y").output().unwrap();
        Ran::new(arguments, output)
    };
    let ran = command("build --format json -k plot.p").code(1).targets("fresh=3 built=2 failed=1");
    ran.says("it was made before, and now the container says that it cannot exist");
}

#[test]
fn what_an_audit_refused_is_the_first_to_go() {
    let project = super::project::cities();
    project.build("").success();
    project.change(
        "\"/outcome\" = \"{outcome}\" }",
        "\"/outcome\" = \"{outcome}\", \"/value\" = \"1\" }",
    );
    project.write("data/A.txt", "3\n");
    project.build("-k").code(1);
    let (bytes, objects, _) = stat(&project);
    // One refused plot must go; those of the first build, which are older, stay.
    project.jheem(&format!("cache gc --size {}", bytes - 1)).success();
    assert_eq!(stat(&project).1, objects - 1);
    project.write("data/A.txt", "1\n");
    project.plan("--where city=A").targets("fresh=3");
    std::fs::remove_dir_all(project.path("plots/A")).unwrap();
    project.plan("--where city=A").targets("restorable=3");
}

#[test]
fn the_size_of_the_jheemfile_is_the_default() {
    let project = super::project::cities();
    project.change("name = \"cities\"", "name = \"cities\"\ncache_size = \"1B\"");
    project.build("").success();
    project.write("data/A.txt", "5\n");
    project.build("").success();
    assert_eq!(stat(&project).1, 9);
    project.jheem("cache gc").success();
    assert_eq!(stat(&project).1, 6);
    project.jheem("cache gc --size nonsense").code(2).says("is not a size");
}

#[test]
fn a_collection_waits_for_a_build() {
    let Gated { project, gate } = gated();
    let mut build = Going::start(&project, "build --format json");
    build.until_stdout_says("run-started");
    let mut collection = Going::start(&project, "cache gc --size 1");
    collection.until_stderr_says("waiting for");
    std::fs::write(&gate, "").unwrap();
    build.end().success().targets("built=6");
    collection.end().success();
    assert_eq!(stat(&project).1, 6);
    poll("all is fresh", || project.plan("").count("targets.fresh") == 6);
}
