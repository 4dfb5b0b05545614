//! Commands beside building: the manual page, completions, dry runs, and the first Jheemfile.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use clap::CommandFactory as _;

use super::project::{Project, Ran, cities, tree};

/// The names of all subcommands that people are told of.
fn subcommands() -> Vec<String> {
    let cli = jheem::cli::Cli::command();
    let told = cli.get_subcommands().filter(|command| !command.is_hide_set());
    told.map(|command| command.get_name().to_owned()).collect()
}

/// What a program makes of a text on its stdin; none if there is no such program.
fn piped(program: &str, arguments: &[&str], text: &str) -> Option<(bool, String)> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            println!("skipped: no {program}");
            return None;
        }
        child => child.unwrap(),
    };
    let mut stdin = child.stdin.take().unwrap();
    let text = text.to_owned();
    let writing =
        std::thread::spawn(move || std::io::Write::write_all(&mut stdin, text.as_bytes()));
    let done = child.wait_with_output().unwrap();
    writing.join().unwrap().unwrap();
    let said = [done.stdout, done.stderr].concat();
    Some((done.status.success(), String::from_utf8_lossy(&said).into_owned()))
}

#[test]
fn the_manual_page_is_found_renders_and_names_every_command() {
    let page =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/command-line.md"));
    assert!(page.unwrap().contains("jheem man"), "the page of commands does not name `jheem man`");
    assert!(subcommands().contains(&"man".to_owned()), "`jheem help` does not name `man`");
    let manual = Project::new().jheem("man").success();
    assert_eq!(manual.stderr, "");
    let rendered = piped("groff", &["-man", "-Tutf8", "-P-c", "-ww", "-z"], &manual.stdout);
    assert!(
        rendered.is_none_or(|(well, said)| well && said.is_empty()),
        "groff finds fault with the manual page"
    );
    let rendered = piped("groff", &["-man", "-Tascii", "-P-c", "-P-b", "-P-u"], &manual.stdout);
    // Where nothing renders it, its source is looked at.
    let text = rendered.map_or(manual.stdout.replace('\\', ""), |(_, text)| text);
    for name in subcommands() {
        assert!(text.contains(&format!("jheem-{name}(1)")), "no word on `{name}`:\n{text}");
    }
}

#[test]
fn completions_are_scripts_of_their_shells_that_name_every_command() {
    let project = Project::new();
    for (shell, check) in [("bash", "-n"), ("zsh", "-n"), ("fish", "--no-execute")] {
        let script = project.jheem(&format!("completions {shell}")).success().stdout;
        for name in subcommands() {
            assert!(script.contains(&name), "the completions for {shell} lack `{name}`");
        }
        if let Some((well, said)) = piped(shell, &[check], &script) {
            assert!(well, "{shell} cannot read its completions\n{said}");
        }
    }
    project.jheem("completions tcsh").code(2).says("possible values: bash");
}

/// The cities, with a folder and a database that they are published to.
fn published() -> Project {
    let project = cities();
    let text = project.read("Jheemfile.toml");
    let publish = r#"
[publish.site]
of = "plot.p"
[publish.site.object.plot]
to = "file:site"
key = "{city}/{file}"
[publish.site.row.plot]
to = "sqlite:site/plots.db#plots"
hash = { city = "{city}" }
range = { outcome = "{outcome}" }
item = { key = "{object.key}" }
"#;
    project.write("Jheemfile.toml", format!("{text}{publish}"));
    project
}

/// Fails the test if a dry run of `build` or `publish` changes anything, or does not say what would be done.
#[track_caller]
fn dry_runs_change_nothing(project: &Project, counts: &str) {
    let whole = || {
        let mut tree = tree(project.root().parent().unwrap());
        // A note of jheem's own, which spares it comparing all names of a Jheemfile once more; and
        // what SQLite lays beside the records when they are read.
        for own in ["checked", "records.db-shm", "records.db-wal"] {
            tree.remove(&format!("project/cache/{own}"));
        }
        tree
    };
    let before = whole();
    for command in ["build --dry-run", "build -n", "publish --dry-run", "publish -n"] {
        let ran = project.jheem(&format!("{command} --format json")).success();
        assert_eq!(ran.last()["event"], "planned", "{ran}");
        drop(ran.targets(counts));
        project.jheem(command).success();
        assert_eq!(whole(), before, "`jheem {command}` changed something");
    }
}

#[test]
fn a_dry_run_says_what_would_be_done_and_changes_no_file() {
    let project = published();
    // With nothing made, not even the folder of the cache.
    dry_runs_change_nothing(&project, "stale=6");
    project.build("").success().targets("built=6");
    dry_runs_change_nothing(&project, "fresh=6");
    // With something to make, to put back, and to publish.
    project.write("data/A.txt", "5\n");
    fs::remove_file(project.path("plots/B/x.json")).unwrap();
    fs::remove_file(project.path("site/B/y.json")).unwrap();
    dry_runs_change_nothing(&project, "fresh=2 restorable=1 stale=3");
    project.build("").success().targets("fresh=2 restored=1 built=3");
}

#[test]
fn a_folder_of_plots_gets_a_jheemfile_that_can_be_planned_and_is_not_overwritten() {
    let project = Project::new();
    for city in ["C.12580", "C.12940", "C.14460"] {
        for scenario in ["brief", "cessation"] {
            for outcome in ["incidence", "testing"] {
                for facet in ["none", "sex"] {
                    let path = format!("plots/{city}/{scenario}/{outcome}_{facet}.json");
                    project.write(&path, "{\"data\": [], \"layout\": {}}\n");
                }
            }
        }
    }
    let before = project.files("plots");
    project.jheem("init").success().says("Jheemfile.toml").says("then run `jheem plan`");
    let written = project.read("Jheemfile.toml");
    assert!(written.contains("values = [\"C.12580\", \"C.12940\", \"C.14460\"]"), "{written}");
    // Someone works on it; it is theirs now.
    let edited = format!("# mine\n{written}");
    project.write("Jheemfile.toml", &edited);
    let again = project.jheem("init").code(2);
    drop(again.says("Jheemfile.toml` exists already").says("edit it, or choose another folder"));
    assert_eq!(project.read("Jheemfile.toml"), edited);
    // The plan is of the very plots that are there.
    let planned = project.plan("").success();
    let targets = planned.last()["targets"].as_object().unwrap().clone();
    assert_eq!(targets.values().filter_map(|count| count.as_u64()).sum::<u64>(), 24, "{planned}");
    let listed = project.jheem("list --paths").success().stdout;
    let mut listed: Vec<String> = listed.lines().map(str::to_owned).collect();
    listed.sort();
    assert_eq!(listed, before, "the Jheemfile is of other plots than those of the folder");
}

#[test]
fn a_selection_of_nothing_is_a_mistake_that_says_what_to_leave_out() {
    let project = cities();
    let text = project.read("Jheemfile.toml");
    project.write("Jheemfile.toml", format!("{text}[preset.small]\naxes = {{ city = [\"A\"] }}\n"));
    let ran = project.jheem("build --preset small --where city=B").code(2);
    drop(
        ran.says("error: nothing is selected")
            .says("no value of `city` is in all that narrow it")
            .says("hint: leave out one of the presets and `--where city=…`"),
    );
    for command in ["plan", "list", "why", "accept", "check"] {
        let ran = project.jheem(&format!("{command} plots/A/x.json --where city=B")).code(2);
        drop(ran.says("the goals and `--where` have no target in common").says("hint: "));
    }
    project.jheem("plan --preset small --where city=A").success();
}

#[test]
fn no_runs_at_once_and_no_sample_are_refused() {
    let project = cities();
    for arguments in ["build -j 0", "-j 0", "build --jobs 0", "check --sample 0"] {
        project.jheem(arguments).code(2).says("it must be 1 or more");
    }
}

/// Runs jheem in a folder of a project.
fn in_folder(project: &Project, folder: &str, arguments: &str) -> Ran {
    let mut command = project.command(arguments);
    Ran::new(arguments, command.current_dir(project.path(folder)).output().unwrap())
}

#[test]
fn paths_of_goals_are_those_of_the_folder_that_jheem_is_started_in() {
    let project = cities();
    project.build("").success().targets("built=6");
    for goal in ["A/x.json", "./A/x.json", "../plots/A/x.json", "A/x*", "plot.p --where city=A"] {
        in_folder(&project, "plots", &format!("why {goal}")).success().says("city=A, outcome=x");
    }
    let absolute = project.path("plots/A/x.json").canonicalize().unwrap();
    in_folder(&project, "plots/B", &format!("list {}", absolute.display()))
        .success()
        .says("plot.p[city=A, outcome=x]");
    let ran = in_folder(&project, "plots", "list plots/A/x.json").code(2);
    drop(ran.says("hint: did you mean `A/x.json`?"));
    let ran = in_folder(&project, "plots/A", "list ../../../else").code(2);
    drop(ran.says("`../../../else` leads out of the project"));
}

#[test]
fn a_folder_is_a_goal_for_all_that_lies_below_it() {
    let project = cities();
    let all = project.jheem("list plots --paths").success().stdout;
    assert_eq!(all, project.jheem("list plot.p --paths").success().stdout);
    for goal in ["plots/A", "plots/A/", "./plots/A"] {
        let below = project.jheem(&format!("list --paths {goal}")).success().stdout;
        assert_eq!(below, project.jheem("list --paths plot.p --where city=A").success().stdout);
    }
    // Half a name is no folder.
    project.jheem("list plo").code(2);
}

#[test]
fn a_mistyped_path_of_a_goal_gets_the_nearest_one() {
    let project = cities();
    project.jheem("build plots/A/x.jsn").code(2).says("hint: did you mean `plots/A/x.json`?");
    project.jheem("build plot/B/y.json").code(2).says("hint: did you mean `plots/B/y.json`?");
    project.jheem("build elsewhere/q.json").code(2).says("hint: goals are `");
}

#[test]
fn the_cache_keeps_itself_out_of_git_and_leaves_the_rules_of_others_alone() {
    let project = cities();
    project.build("").success();
    assert!(project.read("cache/.gitignore").lines().any(|line| line == "*"));
    project.write("cache/.gitignore", "!README.md\n");
    project.build("").success();
    assert_eq!(project.read("cache/.gitignore"), "!README.md\n");
}

#[test]
fn a_program_that_cannot_be_started_is_told_with_what_to_do() {
    let project = cities();
    let script = project.path("model.sh");
    fs::write(&script, "no interpreter is named\n").unwrap();
    let ran = project.jheem("build").code(1);
    drop(ran.says("begin a script with a line such as `#!/usr/bin/env python3`"));
    fs::set_permissions(&script, std::fs::Permissions::from_mode(0o644)).unwrap();
    project.jheem("build").code(1).says("run `chmod +x model.sh`");
}

#[test]
fn a_program_that_is_not_found_is_told_with_how_to_name_it() {
    let project = cities();
    project.change("program = \"./model.sh\"", "program = \"model.sh\"");
    let ran = project.jheem("build").code(1).says("the program `model.sh` is not on the PATH");
    drop(ran.says("write `./model.sh` for the one beside the Jheemfile"));
    project.change("program = \"model.sh\"", "program = \"./modl.sh\"");
    project.jheem("build").code(1).says("did you mean `./model.sh`?");
}

#[test]
fn without_a_daemon_that_answers_the_plan_says_what_to_do() {
    let project = cities();
    project.change(
        "program = \"./model.sh\"",
        "image = \"model:1\"\ndirs = { \"/plots\" = \"plots\", \"/data\" = \"data\" }",
    );
    let project = project.env("DOCKER_HOST", "unix:///nowhere/docker.sock");
    for command in ["plan", "build"] {
        let ran = project.jheem(command);
        drop(
            ran.says("`/nowhere/docker.sock`: no such socket")
                .says("start that daemon, or unset `DOCKER_HOST`"),
        );
    }
}

#[test]
fn the_value_of_a_variable_that_is_handed_through_is_written_and_shown_nowhere() {
    const SECRET: &str = "hush-7f3a91";
    let project = cities().env("TOKEN", SECRET);
    project.change("pass_env = [", "env = { PLAIN = \"declared\" }\npass_env = [\"TOKEN\", ");
    let mut shown = vec![project.build("").success()];
    for command in ["log", "log last", "--format json log last", "why", "plan"] {
        shown.push(project.jheem(command).success());
    }
    project.write("data/A.txt", "3\n");
    shown.push(project.jheem("plan --write-batches by-hand").success());
    for ran in &shown {
        assert!(!ran.to_string().contains(SECRET), "{ran}");
    }
    for path in project.files("") {
        let bytes = std::fs::read(project.path(&path)).unwrap();
        let found = bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes());
        assert!(!found, "{path}");
    }
    let line = project.read("by-hand/run-1.sh");
    assert!(line.contains("TOKEN=\"$TOKEN\"") && line.contains("PLAIN=declared"), "{line}");
}

#[test]
fn an_option_of_another_command_is_unexpected_and_the_command_is_no_goal() {
    let project = cities();
    for (arguments, option) in [
        ("rollback 7 --dry-run", "--dry-run"),
        ("verify --dry-run", "--dry-run"),
        ("--format json doctor -n", "-n"),
        ("cache stat --jobs 2", "--jobs"),
        ("log last more", "more"),
    ] {
        let ran = project.jheem(arguments).code(2);
        let said = ran.says(&format!("unexpected argument '{option}'")).to_string();
        assert!(!said.contains("is no rule"), "{said}");
    }
    // Options of `build` may stand alone, also beside goals.
    project.jheem("-n").success().says("nothing was run");
    project.jheem("plot.p --dry-run").success().says("nothing was run");
}

#[test]
fn a_source_with_a_login_is_refused_and_the_password_is_not_said_again() {
    let project = cities();
    project.change(
        "path = \"data/{city}.txt\"",
        "path = \"data/{city}.txt\"\nsource = \"https://me:s3cret@example.org/{city}.txt\"",
    );
    let ran = project.jheem("plan").code(2).says("credentials come from the environment");
    let ran = ran.says("`https://…@example.org/{city}.txt` holds a login");
    println!("{ran}");
}
