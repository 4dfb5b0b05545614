//! What cannot be known to be so is not recorded: half files, inputs that were others for a while, work of somebody else.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use super::project::{Project, Ran};

mod damage;

/// One step of a shell script, with what it waits for or how it ends in `MODE`.
fn one_step(script: &str) -> Project {
    Project::new().program("run.sh", script).file("in.txt", "A\n").jheemfile(
        r#"
[project]
name = "trust"
[input.data]
path = "in.txt"
[runner.r]
program = "./run.sh"
pass_env = ["PATH", "MODE"]
timeout = { total = "2s", grace = "1s" }
[step.a]
runner = "r"
inputs = { data = "input.data" }
command = ["{input.data}", "{output.out}"]
output.out = { path = "out/a.txt", as = "bytes" }
"#,
    )
}

fn build_as(project: &Project, mode: &str) -> Ran {
    let arguments = "build --format json";
    Ran::new(arguments, project.command(arguments).env("MODE", mode).output().unwrap())
}

/// A build that goes on until `until` is said in its log, and what is left to wait for.
fn build_until(project: &Project, until: &str) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut child = project
        .command("build --format json")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while lines.read_line(&mut line).unwrap() > 0 {
        if line.contains(until) {
            return (child, lines);
        }
        line.clear();
    }
    panic!("the build ended with {} without saying `{until}`", child.wait().unwrap());
}

#[test]
fn half_a_file_of_a_run_that_ended_badly_is_not_taken() {
    let project = one_step(
        r#"#!/bin/sh
echo first half > "$2"
case $MODE in
code) exit 1 ;;
killed) kill -9 $$ ;;
crash) kill -SEGV $$ ;;
slow) sleep 60 ;;
esac
echo second half >> "$2"
"#,
    );
    for mode in ["code", "killed", "crash", "slow"] {
        let ran = build_as(&project, mode).code(1).targets("failed=1");
        let ran = ran.says("nothing says that `out/a.txt` is finished");
        assert!(!project.exists("out/a.txt"), "{mode}: half a file stands in the project\n{ran}");
        project.plan("").success().targets("stale=1");
    }
    build_as(&project, "").success().targets("built=1");
    assert_eq!(project.read("out/a.txt"), "first half\nsecond half\n");
}

#[test]
fn a_draft_that_a_failed_run_left_is_no_plot_though_it_can_be_read() {
    let project = one_step(
        r#"#!/bin/sh
echo '{"title": "draft"}' > "$2"
case $MODE in
code) echo no such outcome; exit 1 ;;
killed) kill -9 $$ ;;
slow) sleep 60 ;;
esac
echo '{"title": "done"}' > "$2"
"#,
    );
    project.change("as = \"bytes\"", "as = \"json\"");
    for mode in ["code", "killed", "slow"] {
        let ran = build_as(&project, mode).code(1).targets("failed=1");
        let ran = ran.says("nothing says that `out/a.txt` is finished");
        assert!(!project.exists("out/a.txt"), "{mode}: a draft stands in the project\n{ran}");
        project.plan("").success().targets("stale=1");
    }
    build_as(&project, "code").code(1).says("no such outcome");
    build_as(&project, "").success().targets("built=1");
    assert_eq!(project.read("out/a.txt"), "{\"title\": \"done\"}\n");
}

#[test]
fn a_draft_that_a_stopped_run_left_is_no_plot_though_it_can_be_read() {
    let project = one_step(
        r#"#!/bin/sh
echo '{"title": "draft"}' > "$2"
case $MODE in ?*) touch "$MODE/drafted"; sleep 60 ;; esac
echo '{"title": "done"}' > "$2"
"#,
    );
    project.change("as = \"bytes\"", "as = \"json\"");
    project.change("total = \"2s\", ", "");
    let steps = project.root().parent().unwrap().join("steps");
    std::fs::create_dir(&steps).unwrap();
    let mut child = project
        .command("build")
        .env("MODE", &steps)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !steps.join("drafted").exists() {
        assert!(std::time::Instant::now() < deadline, "the run never wrote its draft");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let id = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "a stopped build says so");
    assert!(!project.exists("out/a.txt"), "a draft stands in the project");
    project.plan("").success().targets("stale=1");
    build_as(&project, "").success().targets("built=1");
    assert_eq!(project.read("out/a.txt"), "{\"title\": \"done\"}\n");
}

#[test]
fn what_the_log_says_is_finished_is_kept_of_a_failed_run() {
    let project = one_step(
        "#!/bin/sh\necho begin a\necho '{\"title\": \"done\"}' > \"$2\"\necho end a\nexit 1\n",
    );
    project.change("as = \"bytes\"", "as = \"json\"");
    project.change("[step.a]", "[runner.r.log]\ntarget = '^begin'\nsuccess = '^end'\n[step.a]");
    let ran = build_as(&project, "").success().targets("built=1");
    ran.says("ended badly (code 1), but its log says that all that it was to make was finished");
    assert_eq!(project.read("out/a.txt"), "{\"title\": \"done\"}\n");
}

#[test]
fn an_input_that_was_another_for_a_while_records_nothing() {
    // Reads its input between two steps that the test takes.
    let project = one_step(
        "#!/bin/sh\nuntil [ -e \"$MODE/read\" ]; do sleep 0.05; done\ncat \"$1\" > \"$2\"\ntouch \"$MODE/was-read\"\nuntil [ -e \"$MODE/end\" ]; do sleep 0.05; done\n",
    );
    project.change("timeout = { total = \"2s\", grace = \"1s\" }\n", "");
    let steps = project.root().parent().unwrap().join("steps");
    std::fs::create_dir(&steps).unwrap();
    let project = project.env("MODE", steps.to_str().unwrap());
    let (mut build, lines) = build_until(&project, "run-started");
    project.write("in.txt", "B\n");
    std::fs::write(steps.join("read"), "").unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !steps.join("was-read").exists() {
        assert!(std::time::Instant::now() < deadline, "the run never read its input");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    project.write("in.txt", "A\n");
    std::fs::write(steps.join("end"), "").unwrap();
    let rest: Vec<String> = lines.lines().map(Result::unwrap).collect();
    assert_eq!(build.wait().unwrap().code(), Some(1), "{rest:?}");
    let words = "`in.txt` changed while the run went on";
    assert!(rest.iter().any(|line| line.contains(words)), "{rest:?}");
    // Made again from what is there now.
    project.build("").success().targets("built=1");
    assert_eq!(project.read("out/a.txt"), "A\n");
}

#[test]
fn what_somebody_writes_in_the_place_of_an_output_during_the_build_is_kept() {
    let project = one_step(
        "#!/bin/sh\nuntil [ -e \"$MODE/end\" ]; do sleep 0.05; done\ncat \"$1\" > \"$2\"\n",
    );
    project.change("timeout = { total = \"2s\", grace = \"1s\" }\n", "");
    let steps = project.root().parent().unwrap().join("steps");
    std::fs::create_dir(&steps).unwrap();
    std::fs::write(steps.join("end"), "").unwrap();
    let project = project.env("MODE", steps.to_str().unwrap());
    project.build("").success();
    std::fs::remove_file(steps.join("end")).unwrap();
    project.write("in.txt", "B\n");
    let (mut build, lines) = build_until(&project, "run-started");
    std::fs::remove_file(project.path("out/a.txt")).unwrap();
    project.write("out/a.txt", "an hour of handwork\n");
    std::fs::write(steps.join("end"), "").unwrap();
    let rest: Vec<String> = lines.lines().map(Result::unwrap).collect();
    assert!(build.wait().unwrap().success(), "{rest:?}");
    assert_eq!(project.read("out/a.txt"), "B\n");
    let kept = project.files("cache/edited");
    assert_eq!(kept, ["cache/edited/out/a.txt.1"], "{rest:?}");
    assert_eq!(project.read(&kept[0]), "an hour of handwork\n");
}

#[test]
fn what_cannot_be_put_in_place_fails_alone() {
    let project = super::project::cities();
    // Somebody's file stands where the folder of a city must be.
    project.write("plots/A", "mine\n");
    let ran = project.build("--keep-going").code(1).targets("built=3 failed=3");
    let ran = ran.says("plots/A");
    assert_eq!(project.read("plots/A"), "mine\n", "{ran}");
    assert_eq!(project.files("cache/scratch"), Vec::<String>::new(), "{ran}");
    // It was made all the same, and only has to be put in place.
    std::fs::remove_file(project.path("plots/A")).unwrap();
    let ran = project.build("").success().targets("fresh=3 restored=3");
    assert_eq!(ran.count("runs"), 0);
}

#[test]
fn what_cannot_be_written_to_stdout_is_no_success() {
    let project = super::project::cities();
    for arguments in ["list --paths", "plan --format json", "schema", "graph"] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let output = project.command(arguments).stdout(full).output().unwrap();
        let ran = Ran::new(arguments, output).code(3);
        ran.says("what was asked for could not be written to stdout");
    }
}

#[test]
fn records_that_turn_out_damaged_anywhere_are_begun_anew() {
    let project = super::project::cities();
    project.build("").success();
    let database = project.path("cache/records.db");
    let (pages, size) = {
        let records = rusqlite::Connection::open(&database).unwrap();
        records.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        let mut tables =
            records.prepare("SELECT name, rootpage FROM sqlite_master WHERE rootpage > 1").unwrap();
        let pages: Vec<(String, u64)> = tables
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let size: u64 = records.query_row("PRAGMA page_size", [], |row| row.get(0)).unwrap();
        (pages, size)
    };
    let whole = std::fs::read(&database).unwrap();
    assert!(pages.len() > 8, "{pages:?}");
    for (table, page) in pages {
        let mut damaged = whole.clone();
        let from = ((page - 1) * size) as usize;
        damaged[from..from + size as usize].fill(0);
        std::fs::write(&database, damaged).unwrap();
        for companion in ["-wal", "-shm", "-damaged"] {
            let _gone = std::fs::remove_file(format!("{}{companion}", database.display()));
        }
        project.write("data/A.txt", format!("{table}\n"));
        // The first build may meet the damage half way; the next one begins anew and goes through.
        let first = project.build("");
        let ran = if first.code == Some(0) { first } else { project.build("") };
        assert_eq!(ran.code, Some(0), "with `{table}` damaged\n{ran}");
        project.build("").success().targets("fresh=6");
        assert!(project.read("plots/A/x.json").contains(&table), "with `{table}` damaged");
    }
}

#[test]
fn what_lies_beside_a_program_is_not_there_for_it() {
    let project = super::project::cities();
    project.write("beside.sh", "echo 7\n");
    project.change("program = \"./model.sh\"", "program = \"bin/model.sh\"");
    let model = project
        .read("model.sh")
        .replace("#!/bin/sh\n", "#!/bin/sh\n. \"$(dirname \"$0\")/beside.sh\"\n");
    let project = project.program("bin/model.sh", model).file("bin/beside.sh", "echo 7\n");
    // An undeclared file that counts for nothing cannot be read unseen.
    project.build("").code(1).says("beside.sh");
}
