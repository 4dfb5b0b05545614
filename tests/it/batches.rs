//! Batches: what shares a run, what is made of a run that succeeds in part, and how a new runner is tried.

use std::process::Command;

use super::project::{Project, Ran, cities, ryan_white};

/// The six plots of one city and scenario of the example.
const CITY: &str = "--where city=C.12580 --where scenario=cessation";

/// The label of a plot of that city and scenario.
fn label(outcome: &str, facet: &str) -> String {
    format!(
        "plot.rw[city=C.12580, scenario=cessation, outcome={outcome}, statistic=mean.and.interval, facet={facet}]"
    )
}

/// A project whose runner has shown itself by the first plot, and may be tried again so often.
fn with_retries(retries: u32) -> Project {
    let project = ryan_white();
    project.change("retries = 0", &format!("retries = {retries}"));
    project
        .build(&format!("{CITY} --where outcome=incidence --where facet=none"))
        .success()
        .targets("built=1");
    project.made();
    project
}

/// How many targets each run of a build was for, in the order in which they began.
fn runs(ran: &Ran) -> Vec<u64> {
    ran.events()
        .iter()
        .filter(|e| e["event"] == "run-started")
        .map(|e| e["targets"].as_u64().unwrap())
        .collect()
}

/// What the build says of one target: its message and the lines of the log that belong to it.
#[track_caller]
fn told(ran: &Ran, target: &str) -> (String, Vec<String>) {
    let events = ran.events();
    let event = events
        .iter()
        .find(|e| e["event"] == "target" && e["target"] == target)
        .unwrap_or_else(|| panic!("nothing is said of {target}\n{ran}"));
    let lines = event["lines"].as_array().cloned().unwrap_or_default();
    let lines = lines.iter().map(|line| line.as_str().unwrap().to_owned()).collect();
    (event["message"].as_str().unwrap_or_default().to_owned(), lines)
}

// A run that succeeds in part.

#[test]
fn a_plot_that_failed_is_told_with_the_lines_of_the_log_that_are_its_own() {
    let project = with_retries(0);
    // Impossible pairs are errors like any other, unless the runner declares how it speaks of them.
    let text = project.read("Jheemfile.toml");
    let absent = text.lines().find(|line| line.starts_with("absent = ")).unwrap();
    project.change(absent, "");
    project.change("\"incidence\", \"testing\", ", "\"incidence\", \"awareness\", ");
    let ran = project.build(&format!("{CITY} --jobs 1")).code(1);
    let ran = ran.targets("fresh=1 built=4 failed=1");
    let (message, lines) = told(&ran, &label("awareness", "sex"));
    assert_eq!(message, "the log says that it failed");
    assert!(lines[0].contains("GENERATING: C.12580/cessation/awareness (mean.and.interval, sex)"));
    assert!(lines.iter().any(|line| line.contains("does not reference a valid dimension")));
    assert!(!lines.iter().any(|line| line.contains("adap.proportion")), "{lines:?}");
}

#[test]
fn plots_that_cannot_exist_are_absent_whether_declared_or_learned() {
    let project = ryan_white();
    project.change("\"incidence\", \"testing\", ", "\"incidence\", \"awareness\", ");
    let ran = project.build("--where city=C.12580 --jobs 1").success();
    let ran = ran.targets("built=10 absent=2");
    let (message, _) = told(&ran, &label("awareness", "sex"));
    assert!(message.contains("'sex' does not reference a valid dimension"), "{message}");
    project.build("--where city=C.12580").success().targets("fresh=10 absent=2");
    // Declared, nobody asks for them.
    let project = ryan_white();
    project.change("\"incidence\", \"testing\", ", "\"incidence\", \"awareness\", ");
    let rule = "[[plot.rw.absent]]\noutcome = [\"awareness\"]\nfacet = [\"!none\"]\n\n[[plot.rw.audit]]\noutput = \"metadata\"";
    project.change("[[plot.rw.audit]]\noutput = \"metadata\"", rule);
    let ran = project.build("--where city=C.12580 --jobs 1").success().targets("built=10 absent=2");
    assert!(ran.ended("absent").is_empty(), "what is declared is no news\n{ran}");
    assert_eq!(project.made().len(), 10);
}

#[test]
fn plots_lost_by_a_crash_are_tried_again_in_smaller_batches_then_alone() {
    let project = with_retries(2);
    let ran = project.build_with_fault("die-after:2", CITY).success();
    let ran = ran.targets("fresh=1 built=5");
    // Five; of the three that are left two more; the last one alone.
    assert_eq!(runs(&ran), [5, 3, 1], "{ran}");
    assert_eq!(project.made().len(), 5, "no plot was made twice");
}

#[test]
fn plots_lost_too_often_have_failed_and_the_others_are_kept() {
    let project = with_retries(1);
    // One of five; then the others alone, each of which is made before the crash.
    let ran = project.build_with_fault("die-after:1", CITY).success().targets("fresh=1 built=5");
    assert_eq!(runs(&ran), [5, 1, 1, 1, 1], "{ran}");
    let project = with_retries(1);
    let ran = project.build_with_fault("die-after:0", &format!("{CITY} --keep-going")).code(1);
    let ran = ran.targets("fresh=1 failed=5").says("killed by signal 6");
    assert_eq!(runs(&ran), [5, 1, 1, 1, 1, 1], "{ran}");
}

/// The cities with five plots of A to make, by a runner that `CRASH` ends before it says anything of them.
///
/// `CRASH` is what its shell does; it does that only where more than `MANY` plots are asked for.
fn ended_before_it_began(log: bool, many: u32, crash: &str) -> Project {
    let project = cities();
    let model = project.read("model.sh");
    let start =
        "#!/bin/sh\n[ $(echo \"$4\" | tr , '\\n' | wc -l) -le ${MANY:-9} ] || eval \"$CRASH\"\n";
    project.write("model.sh", model.replace("#!/bin/sh\n", start));
    project.change("\"COUNTER\"]", "\"COUNTER\", \"MANY\", \"CRASH\"]\nretries = 2");
    project.change("[\"x\", \"y\", \"z\"]", "[\"u\", \"v\", \"w\", \"x\", \"y\", \"z\"]");
    if !log {
        let text = project.read("Jheemfile.toml");
        let lines = text.find("[runner.model.log]").unwrap()..text.find("[plot.p]").unwrap();
        project.write("Jheemfile.toml", [&text[..lines.start], &text[lines.end..]].concat());
    }
    project.build("--where city=A --where outcome=u").success().targets("built=1");
    project.made();
    project.env("MANY", &many.to_string()).env("CRASH", crash)
}

const CRASHES: [(&str, &str); 2] =
    [("kill -SEGV $$", "killed by signal 11"), ("exit 139", "the run ended with code 139")];

#[test]
fn plots_lost_by_a_crash_before_the_first_of_them_are_tried_again_in_smaller_batches_then_alone() {
    for log in [true, false] {
        for (crash, words) in CRASHES {
            let project = ended_before_it_began(log, 1, crash);
            let ran = project.build("--where city=A --jobs 1").success();
            let ran = ran.targets("fresh=1 built=5").says(words);
            let runs = runs(&ran);
            assert_eq!(runs[0], 5, "{ran}");
            let smaller: Vec<u64> = runs[1..].iter().copied().filter(|&run| run > 1).collect();
            assert!(!smaller.is_empty() && smaller.iter().all(|&run| run <= 3), "{runs:?}\n{ran}");
            assert_eq!(runs.iter().filter(|&&run| run == 1).count(), 5, "{runs:?}\n{ran}");
            assert_eq!(project.made(), ["A/v", "A/w", "A/x", "A/y", "A/z"]);
        }
    }
}

#[test]
fn a_crash_before_the_first_plot_is_tried_again_a_set_number_of_times() {
    for log in [true, false] {
        for (crash, words) in CRASHES {
            let project = ended_before_it_began(log, 0, crash);
            let ran = project.build("--where city=A --jobs 1 --keep-going").code(1);
            let ran = ran.targets("fresh=1 failed=5").says(words);
            let mut runs = runs(&ran);
            runs.sort_unstable();
            assert_eq!(runs, [1, 1, 1, 1, 1, 2, 3, 5], "{ran}");
        }
    }
}

#[test]
fn a_runner_that_refuses_what_it_is_asked_is_not_asked_again() {
    for log in [true, false] {
        let project = ended_before_it_began(log, 0, "exit 2");
        let ran = project.build("--where city=A --jobs 1 --keep-going").code(1);
        let ran = ran.targets("fresh=1 failed=5").says("the run ended with code 2");
        assert_eq!(runs(&ran), [5], "{ran}");
    }
}

#[test]
fn without_retries_a_crash_fails_what_it_lost() {
    let project = with_retries(0);
    let ran = project.build_with_fault("die-after:3", CITY).code(1);
    let ran = ran.targets("fresh=1 built=3 failed=2");
    assert_eq!(runs(&ran), [5]);
    assert_eq!(
        ran.ended("failed"),
        [label("adap.proportion", "none"), label("adap.proportion", "sex")]
    );
}

#[test]
fn a_run_without_progress_is_ended_and_what_it_made_is_kept() {
    let project = with_retries(0);
    project.change("retries = 0", "retries = 0\ntimeout = { quiet = \"1s\", grace = \"1s\" }");
    let ran = project.build_with_fault("hang-after:2", CITY).code(1);
    let ran = ran.targets("fresh=1 built=2 failed=3");
    assert!(ran.ended("built").contains(&label("incidence", "sex")));
    ran.says("without a sign of progress for too long");
}

#[test]
fn a_run_over_its_time_is_ended_and_the_rest_tried_again() {
    let project = with_retries(1);
    project.change("retries = 1", "retries = 1\ntimeout = { total = \"1s\", grace = \"1s\" }");
    let ran = project.build_with_fault("hang-after:4", CITY).success();
    let ran = ran.targets("fresh=1 built=5").says("over its time limit");
    assert_eq!(runs(&ran), [5, 1]);
}

#[test]
fn plots_lost_for_want_of_memory_are_tried_again_in_smaller_batches() {
    let project = with_retries(2);
    let ran = project.build_with_fault("out-of-memory-above:3", CITY).success();
    let ran = ran.targets("fresh=1 built=5").says("out of memory");
    assert_eq!(runs(&ran)[0], 5);
    assert!(runs(&ran)[1..].iter().all(|&targets| targets <= 3), "{ran}");
    // Where even a plot alone is too much, it ends.
    let project = with_retries(2);
    let ran = project.build_with_fault("out-of-memory-above:0", &format!("{CITY} --keep-going"));
    let ran = ran.code(1).targets("fresh=1 failed=5").says("out of memory");
    assert_eq!(*runs(&ran).last().unwrap(), 1, "alone at last\n{ran}");
    // What was made before memory ran out is kept.
    let project = with_retries(1);
    let ran = project.build_with_fault("out-of-memory:2", CITY).success();
    let ran = ran.targets("fresh=1 built=5");
    assert_eq!(runs(&ran)[0], 5);
    assert_eq!(project.made().len(), 5, "no plot was made twice\n{ran}");
}

#[test]
fn an_unexpected_gap_fails_although_the_run_ends_well() {
    let project = with_retries(0);
    let ran = project.build_with_fault("forget-scenario:cessation", "--where city=C.12580");
    let ran = ran.code(1).targets("fresh=1 built=6 failed=5");
    assert!(ran.ended("failed").iter().all(|l| l.contains("scenario=cessation")), "{ran}");
    let (message, lines) = told(&ran, &label("testing", "none"));
    assert!(message.contains("was not made: the run ended well"), "{message}");
    assert!(lines.iter().any(|line| line.contains("Simulation file not found")), "{lines:?}");
}

#[test]
fn a_run_that_makes_nothing_fails_everything_that_was_expected_of_it() {
    let project = with_retries(0);
    let ran = project.build_with_fault("forget-scenario:cessation", CITY).code(1);
    ran.targets("fresh=1 failed=5");
    project.build(CITY).success().targets("fresh=1 built=5");
}

/// Two rules that know nothing of each other; the first fails.
fn one_of_two_fails() -> Project {
    Project::new()
        .jheemfile(
            r#"
[project]
name = "two"
[runner.sh]
program = "./run.sh"
pass_env = ["PATH"]
[step.bad]
runner = "sh"
command = ["bad", "{output.file}"]
output.file = { path = "bad.txt" }
[step.good]
runner = "sh"
command = ["good", "{output.file}"]
output.file = { path = "good.txt" }
[step.reader]
runner = "sh"
inputs = { bad = "step.bad.file" }
command = ["good", "{output.file}"]
output.file = { path = "reader.txt" }
"#,
        )
        .program("run.sh", "#!/bin/sh\n[ $1 = good ] || exit 3\necho $1 > $2\n")
}

#[test]
fn after_the_first_failure_nothing_new_is_started() {
    let project = one_of_two_fails();
    let ran = project.build("--jobs 1").code(1);
    let ran = ran.targets("failed=1 skipped=2").says("the run ended with code 3");
    assert_eq!(runs(&ran), [1]);
}

#[test]
fn with_keep_going_everything_is_done_that_does_not_need_what_failed() {
    let project = one_of_two_fails();
    let ran = project.build("--jobs 1 --keep-going").code(1);
    ran.targets("failed=1 built=1 skipped=1").says("it needs step.bad, which was not made");
    assert!(project.exists("good.txt"));
    project.build("--keep-going").code(1).targets("fresh=1 failed=1 skipped=1");
}

// What shares a run.

#[test]
fn the_jobs_file_names_exactly_what_is_stale_and_no_fresh_plot() {
    let project = ryan_white();
    let some = [
        "--where scenario=cessation --where outcome=testing",
        "--where scenario=brief_interruption --where facet=sex",
    ];
    for narrowed in some {
        project.build(&format!("--where city=C.12940 {narrowed}")).success();
    }
    let before = project.made();
    assert_eq!(before.len(), 5);
    let ran = project.build("--where city=C.12940 --jobs 1").success().targets("fresh=5 built=7");
    assert_eq!(runs(&ran), [7], "one run for the city");
    let made = project.made();
    assert_eq!(made.len(), 7);
    assert!(made.iter().all(|plot| !before.contains(plot)), "a fresh plot was made again");
    let what = ran.events().iter().find(|e| e["event"] == "run-started").unwrap().clone();
    assert_eq!(what["surplus"], 0);
}

#[test]
fn values_of_the_axes_of_by_are_never_mixed() {
    let project = with_retries(0);
    let ran = project.build("--jobs 1").success().targets("fresh=1 built=35");
    let mut runs = runs(&ran);
    runs.sort_unstable();
    assert_eq!(runs, [11, 12, 12]);
}

#[test]
fn a_rule_may_bound_how_many_share_a_run() {
    let project = with_retries(0);
    project.change("file = \"jheem-jobs\" }", "file = \"jheem-jobs\", size = 2 }");
    let ran = project.build(&format!("{CITY} --jobs 1")).success().targets("fresh=1 built=5");
    assert_eq!(runs(&ran).iter().sum::<u64>(), 5);
    assert!(runs(&ran).iter().all(|&targets| targets <= 2), "{ran}");
}

/// The example with its batches told by arguments instead of a file.
fn told_by_arguments() -> Project {
    let project = ryan_white();
    project.change(
        "\"--config\", \"{batch.file}\"",
        "\"--city\", \"{city}\", \"--scenarios\", \"{list:scenario}\", \"--outcomes\", \"{list:outcome}\", \"--statistics\", \"{list:statistic}\", \"--facets\", \"{list:facet}\"",
    );
    project.change(", file = \"jheem-jobs\" }", " }");
    project
}

#[test]
fn arguments_may_name_a_surplus_which_is_counted_and_dropped() {
    // A start-up that is dear against a plot, so that one run with a surplus is better than two.
    let project = told_by_arguments().env("RW_STARTUP_SECONDS", "0.4");
    let testing = format!("{CITY} --where outcome=testing");
    project.build(&testing).success().targets("built=2");
    let plot = "plots/C.12580/cessation/testing_mean.and.interval_unfaceted.json";
    let before = std::fs::metadata(project.path(plot)).unwrap();
    project.made();
    // Stale are incidence and adap.proportion in cessation, and all of the other scenario.
    let ran = project.build("--where city=C.12580 --jobs 1").success();
    let ran = ran.targets("fresh=2 built=10");
    assert_eq!(runs(&ran), [10], "{ran}");
    let begun = ran.events().iter().find(|e| e["event"] == "run-started").unwrap().clone();
    assert_eq!(begun["surplus"], 2);
    assert_eq!(project.made().len(), 12, "the surplus was made");
    let after = std::fs::metadata(project.path(plot)).unwrap();
    use std::os::unix::fs::MetadataExt as _;
    assert_eq!((before.ino(), before.mtime_nsec()), (after.ino(), after.mtime_nsec()));
    project.build("--where city=C.12580").success().targets("fresh=12");
}

#[test]
fn batches_told_by_a_file_and_by_arguments_make_the_same() {
    let (file, arguments) = (ryan_white(), told_by_arguments());
    file.build("--where city=C.12580").success();
    arguments.build("--where city=C.12580").success();
    let files = file.files("plots");
    assert_eq!(files.len(), 24);
    for path in files.iter().filter(|path| !path.contains("metadata")) {
        assert_eq!(file.read(path), arguments.read(path), "{path}");
    }
}

// How many runs go on at once.

/// Six steps that record how many of them run at once, and wait until it was as many as expected.
fn counting(runner: &str, expected: u64) -> Project {
    let project = Project::new()
        .jheemfile(&format!(
            r#"
[project]
name = "counting"
[axis.n]
values = ["1", "2", "3", "4", "5", "6"]
[runner.count]
program = "./count.sh"
pass_env = ["PATH", "WATCH", "EXPECTED"]
{runner}
[step.s]
over = ["n"]
runner = "count"
command = ["{{n}}", "{{output.file}}"]
output.file = {{ path = "out/{{n}}.txt" }}
"#
        ))
        .program(
            "count.sh",
            // The first is the trial of the new runner, which is alone.
            r#"#!/bin/sh
mkdir -p "$WATCH/now"
: > "$WATCH/now/$1"
turn=0
while [ $turn -lt 8 ] || { [ $1 != 1 ] && [ ! -e "$WATCH/reached" ] && [ $turn -lt 400 ]; }; do
    now=$(ls "$WATCH/now" | wc -l)
    echo $now >> "$WATCH/counts"
    [ $now -lt $EXPECTED ] || : > "$WATCH/reached"
    sleep 0.02
    turn=$((turn + 1))
done
rm "$WATCH/now/$1"
echo "$1" > "$2"
"#,
        );
    let watch = project.root().parent().unwrap().join("watch").to_string_lossy().into_owned();
    project.env("WATCH", &watch).env("EXPECTED", &expected.to_string())
}

/// The largest number of runs that any of them saw.
fn most_at_once(project: &Project) -> u64 {
    let counts = project.root().parent().unwrap().join("watch/counts");
    let counts = std::fs::read_to_string(counts).unwrap();
    counts.lines().map(|line| line.trim().parse().unwrap()).max().unwrap()
}

#[test]
fn at_most_so_many_runs_go_on_at_once_as_jobs_allow() {
    let project = counting("", 3);
    project.build("--jobs 3").success().targets("built=6");
    assert_eq!(most_at_once(&project), 3);
    let project = counting("", 1);
    project.build("--jobs 1").success().targets("built=6");
    assert_eq!(most_at_once(&project), 1);
}

#[test]
fn at_most_so_many_runs_go_on_at_once_as_processors_allow() {
    // Six jobs may share six processors.
    let project = counting("cpus = 3.0", 2);
    project.build("--jobs 6").success().targets("built=6");
    assert_eq!(most_at_once(&project), 2);
}

#[test]
fn at_most_so_many_runs_go_on_at_once_as_memory_allows() {
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let Some(total) = memory.lines().next().and_then(|l| l.split_whitespace().nth(1)) else {
        println!("skipped: this machine does not say how much memory it has");
        return;
    };
    let each = total.parse::<u64>().unwrap() * 10 / 21;
    let project = counting(&format!("memory = \"{each}KiB\""), 2);
    project.build("--jobs 6").success().targets("built=6");
    assert_eq!(most_at_once(&project), 2);
    // What is larger than the machine runs alone rather than never.
    let project = counting("memory = \"900TiB\"", 1);
    project.build("--jobs 6").success().targets("built=6");
    assert_eq!(most_at_once(&project), 1);
}

#[test]
fn at_most_so_many_runs_go_on_at_once_as_the_runner_allows() {
    let project = counting("max_runs = 2", 2);
    project.build("--jobs 6").success().targets("built=6");
    assert_eq!(most_at_once(&project), 2);
}

// A runner that is new.

#[test]
fn a_new_runner_makes_one_plot_first_and_a_known_one_is_not_tried() {
    let project = ryan_white();
    let ran = project.build(&format!("{CITY} --jobs 1")).success().targets("built=6");
    assert_eq!(runs(&ran), [1, 5]);
    let ran = project.build("--where city=C.12940 --jobs 1").success();
    assert_eq!(runs(&ran), [12], "its runner is known");
}

#[test]
fn a_program_that_is_known_by_its_sources_is_tried_once_as_well() {
    let project = Project::new()
        .jheemfile(
            r#"
[project]
name = "sources"
[axis.n]
values = ["1", "2", "3"]
[axis.round]
values = ["a", "b"]
[input.source]
path = "source.sh"
[runner.sh]
program = "/bin/sh"
pass_env = ["PATH"]
[step.program]
runner = "sh"
inputs = { source = "input.source" }
command = ["-c", "cp {input.source} {output.file}; chmod +x {output.file}"]
output.file = { path = "build/program", executable = true }
[runner.program]
built_by = "step.program.file"
known_by = "sources"
pass_env = ["PATH"]
[plot.p]
over = ["round", "n"]
runner = "program"
command = ["{round}", "{list:n}"]
batch = { by = ["round"] }
output.file = { path = "plots/{round}/{n}.txt" }
"#,
        )
        .file(
            "source.sh",
            "#!/bin/sh\nmkdir -p plots/$1\nfor n in $(echo $2 | tr , ' '); do echo $n > plots/$1/$n.txt; done\n",
        );
    let ran = project.build("--where round=a --jobs 1").success().targets("built=4");
    assert_eq!(runs(&ran), [1, 1, 2], "the program, one plot, and the others");
    let ran = project.build("--jobs 1").success().targets("fresh=4 built=3");
    assert_eq!(runs(&ran), [3]);
}

#[test]
fn a_new_runner_that_fails_is_tried_on_other_inputs_and_then_stopped_for_that_rule_alone() {
    let project = cities();
    // Another rule with the same runner, whose plots come out well.
    let text = project.read("Jheemfile.toml");
    let plot = text.find("[plot.p]").unwrap();
    let other = text[plot..].replace("plot.p", "plot.q").replace("plots/", "others/");
    let other = other.replace("{dir:plots}", "{dir:others}");
    project.write("Jheemfile.toml", format!("{text}{}", other.replace("\"plot\", ", "\"good\", ")));
    project.write(
        "model.sh",
        "#!/bin/sh\n[ $1 = good ] || exit 1\nout=$2; city=$3\nmkdir -p $out/$city\nfor o in $(echo $4 | tr , ' '); do\nprintf '{\"city\": \"%s\", \"outcome\": \"%s\"}' $city $o > $out/$city/$o.json\ndone\n",
    );
    let ran = project.build("--keep-going --jobs 1").code(1);
    let ran = ran.targets("failed=2 skipped=4 built=6");
    assert_eq!(ran.ended("failed"), ["plot.p[city=A, outcome=x]", "plot.p[city=B, outcome=x]"]);
    ran.says("not tried, since the first plots of a new runner failed");
}

#[test]
fn a_new_runner_whose_first_plot_the_audit_refuses_is_stopped_at_once() {
    let project = ryan_white();
    let ran = project.build_with_fault("garbage:1", &format!("{CITY} --keep-going"));
    let ran = ran.code(1).targets("failed=1 skipped=5");
    assert_eq!(runs(&ran), [1]);
    ran.says("the first plots of a new runner").says("did not come out well");
}

#[test]
fn a_new_runner_is_tried_three_times_where_the_first_plots_cannot_exist() {
    let project = ryan_white();
    project.change("[\"none\", \"sex\"]", "[\"sex\", \"age\", \"race\", \"risk\"]");
    project.change("none = \"unfaceted\"\n", "");
    project.change(
        "[\"incidence\", \"testing\", \"adap.proportion\"]",
        "[\"awareness\", \"testing\"]",
    );
    let ran = project.build(&format!("{CITY} --jobs 1")).success();
    let ran = ran.targets("absent=4 built=4");
    assert_eq!(runs(&ran), [1, 1, 1, 5]);
}

// What cannot exist, learned from the run.

/// The example with an outcome that cannot be shown by sex, and nothing that is dear to try.
fn with_an_impossible_pair(runner: &str) -> Project {
    let project = ryan_white();
    project.change(
        "[\"incidence\", \"testing\", \"adap.proportion\"]",
        "[\"incidence\", \"awareness\"]",
    );
    project.change("[\"cessation\", \"brief_interruption\"]", "[\"cessation\"]");
    project.change("success = ", &format!("{runner}\nsuccess = "));
    project
}

#[test]
fn one_failure_teaches_all_cities_where_the_runner_says_what_it_depends_on() {
    let project = with_an_impossible_pair("absent_depends_on = [\"outcome\", \"facet\"]");
    project.build("--where city=C.12580 --jobs 1").success().targets("built=3 absent=1");
    project.jheem("plan").success().says("absent");
    project.made();
    let ran = project.build("--where city=C.12940 --jobs 1").success().targets("built=3 absent=1");
    assert_eq!(runs(&ran), [3], "awareness by sex was not asked for");
    assert!(ran.ended("absent").is_empty());
    let why = project.jheem("why --where city=C.14460 --where outcome=awareness --where facet=sex");
    why.success().says("'sex' does not reference a valid dimension");
}

#[test]
fn one_failure_teaches_the_batches_that_wait_as_well() {
    let project = with_an_impossible_pair("absent_depends_on = [\"outcome\", \"facet\"]");
    let ran = project.build("--jobs 1").success().targets("built=9 absent=3");
    let mut runs = runs(&ran);
    runs.sort_unstable();
    assert_eq!(runs, [1, 3, 3, 3], "{ran}");
    assert_eq!(ran.ended("absent").len(), 3);
}

#[test]
fn without_that_each_request_is_tried_for_itself() {
    let project = with_an_impossible_pair("");
    project.build("--where city=C.12580 --jobs 1").success().targets("built=3 absent=1");
    let ran = project.build("--where city=C.12940 --jobs 1").success().targets("built=3 absent=1");
    assert_eq!(runs(&ran), [4]);
    // The same request again is not.
    project.build("--where city=C.12940").success().targets("fresh=3 absent=1");
    // An input that changed is another request.
    let other =
        std::fs::read(project.path("simulations/ryan-white/base/C.12580_base.Rdata")).unwrap();
    project.write("simulations/ryan-white/prerun/C.12940/cessation.Rdata", other);
    let ran = project.build("--where city=C.12940 --jobs 1");
    assert_eq!(runs(&ran), [4], "{ran}");
}

#[test]
fn an_absence_holds_only_while_a_pattern_matches_the_line_that_taught_it() {
    let project = with_an_impossible_pair("");
    project.build("--where city=C.12580 --jobs 1").success().targets("built=3 absent=1");
    project.change("\"does not reference a valid dimension\", ", "");
    let ran = project.build("--where city=C.12580 --jobs 1").code(1);
    let ran = ran.targets("fresh=3 failed=1").says("the log says that it failed");
    assert_eq!(ran.ended("failed"), [label("awareness", "sex")]);
}

/// A model that can make outcome `x` for the cities that the file `possible` names.
fn possible_for(cities_: &str, depends_on: &str) -> Project {
    let project = cities().file("possible", cities_);
    project.change("values = [\"A\", \"B\"]", "values = [\"A\", \"B\", \"C\"]");
    project.change("values = [\"x\", \"y\", \"z\"]", "values = [\"x\", \"y\"]");
    project.change(
        "success = \"SUCCESS: \"",
        &format!("success = \"SUCCESS: \"\nabsent = [\"cannot exist\"]\n{depends_on}"),
    );
    project.change(
        "pass_env = [\"PATH\", \"COUNTER\"]",
        "pass_env = [\"PATH\", \"COUNTER\", \"POSSIBLE\"]",
    );
    project.write(
        "model.sh",
        r#"#!/bin/sh
out=$2; city=$3
mkdir -p "$out/$city"
for outcome in $(echo "$4" | tr , ' '); do
    echo "GENERATING: $city/$outcome"
    if [ $outcome = x ] && ! grep -q $city "$POSSIBLE"; then
        echo "this cannot exist"
        continue
    fi
    printf '{"city": "%s", "outcome": "%s"}\n' $city $outcome > "$out/$city/$outcome.json"
    echo "$city/$outcome" >> "$COUNTER"
    echo "SUCCESS: $outcome.json"
done
"#,
    );
    for city in ["A", "B", "C"] {
        project.write(&format!("data/{city}.txt"), city);
    }
    let possible = project.path("possible").to_string_lossy().into_owned();
    project.env("POSSIBLE", &possible)
}

const BY_OUTCOME: &str = "absent_depends_on = [\"outcome\"]";

#[test]
fn an_absence_is_not_taught_where_another_of_its_kind_was_made() {
    let project = possible_for("A", BY_OUTCOME);
    project.build("--where city=A").success().targets("built=2");
    project.build("--where city=B").success().targets("built=1 absent=1");
    let ran = project.build("--where city=C --jobs 1").success().targets("built=1 absent=1");
    assert_eq!(runs(&ran), [2], "the third was asked for all the same");
}

#[test]
fn a_later_success_unteaches_an_absence() {
    let project = possible_for("B", BY_OUTCOME);
    // Both are in one batch, so the second is asked for before the first could teach.
    project.change("batch = { by = [\"city\"] }", "batch = { by = [\"outcome\"] }");
    project.change("\"{city}\", \"{list:outcome}\"", "\"{list:city}\", \"{outcome}\"");
    project.write(
        "model.sh",
        project.read("model.sh").replace(
            "out=$2; city=$3\nmkdir -p \"$out/$city\"\n",
            "out=$2\nfor city in $(echo $3 | tr , ' '); do mkdir -p \"$out/$city\"\n",
        ) + "done\n",
    );
    let ran = project.build("--where city=A,B --where outcome=x").success();
    ran.targets("built=1 absent=1");
    project.build("--where city=A,B --where outcome=x").success().targets("fresh=1 absent=1");
    let ran =
        project.build("--where city=C --where outcome=x --jobs 1").success().targets("absent=1");
    assert_eq!(runs(&ran), [1], "what B made shows that it can exist");
}

#[test]
fn a_plot_that_once_was_made_does_not_vanish_silently() {
    for depends_on in ["", BY_OUTCOME] {
        let project = possible_for("AB", depends_on);
        project.build("--where city=A,B").success().targets("built=4");
        project.write("possible", "B");
        project.write("data/A.txt", "other\n");
        let ran = project.build("--where city=A").code(1);
        let ran = ran.targets("built=1 failed=1").says("`jheem accept` agrees to that");
        assert_eq!(ran.ended("failed"), ["plot.p[city=A, outcome=x]"]);
        project.build("--where city=A").code(1).targets("fresh=1 failed=1");
        project.jheem("accept --where city=A").success().says("plot.p[city=A, outcome=x]");
        project.build("--where city=A").success().targets("fresh=1 absent=1");
        // The file of an absent plot is no longer what the Jheemfile says; B is untouched.
        project.build("--where city=B").success().targets("fresh=2");
    }
}

#[test]
fn a_plot_that_once_was_made_may_be_declared_absent() {
    let project = possible_for("AB", "");
    project.build("--where city=A").success().targets("built=2");
    let text = project.read("Jheemfile.toml");
    project.write(
        "Jheemfile.toml",
        format!("{text}\n[[plot.p.absent]]\ncity = [\"A\"]\noutcome = [\"x\"]\n"),
    );
    project.write("data/A.txt", "other\n");
    project.build("--where city=A").success().targets("built=1 absent=1");
}

// A model that is not deterministic, and batches that influence their members.

#[test]
fn a_model_that_is_not_deterministic_is_told() {
    let project = with_retries(0);
    let testing = format!("{CITY} --where outcome=testing");
    project.build_with_fault("nondeterministic", &testing).success();
    // Gone from the project and from the cache, so that it must be made again.
    for path in project.files("plots").iter().chain(&project.files("cache/objects")) {
        std::fs::remove_file(project.path(path)).unwrap();
    }
    let ran = project.build_with_fault("nondeterministic", &testing).success();
    ran.says("the model is not deterministic");
    let same = project.build(&testing).success().targets("fresh=2");
    assert_eq!(same.count("nondeterministic"), 0, "{same}");
}

#[test]
fn a_good_model_passes_the_check_and_nothing_is_written() {
    let project = with_retries(0);
    project.build("").success();
    project.made();
    let (plots, objects) = (project.files("plots"), project.files("cache/objects"));
    let ran = project.jheem("check --sample 3 --format json").success();
    assert_eq!(ran.last()["targets"], 3);
    assert_eq!(ran.last()["differing"], 0);
    assert_eq!(project.made().len(), 3, "three were made, each alone");
    assert_eq!(project.files("plots"), plots);
    assert_eq!(project.files("cache/objects"), objects);
    assert_eq!(project.files("cache/scratch"), Vec::<String>::new());
    project.build("").success().targets("fresh=36");
    project.jheem("check --sample 2").success().says("2 targets made alone, and all as recorded");
}

#[test]
fn plots_that_depend_on_the_rest_of_their_batch_are_found_by_the_check() {
    let project = with_retries(0);
    project.build_with_fault("depend-on-siblings", CITY).success();
    let check = |arguments: &str| {
        let mut command = project.command(&format!("check --format json {arguments}"));
        Ran::new("check", command.env("RW_FAULT", "depend-on-siblings").output().unwrap())
    };
    let ran = check(&format!("{CITY} --where outcome=testing")).code(1);
    assert_eq!(ran.last()["differing"], 2, "{ran}");
    ran.says("testing_mean.and.interval_unfaceted.json` was recorded as blake3:");
    // The one that was made alone is the same alone.
    check(&format!("{CITY} --where outcome=incidence --where facet=none")).success();
    // What the check found is not what is recorded.
    project.build(CITY).success().targets("fresh=6");
}

#[test]
fn nothing_made_is_nothing_checked() {
    ryan_white().jheem("check").code(2).says("run `jheem build` first");
}

// Runs, looked at afterwards and done by hand.

#[test]
fn runs_are_listed_and_their_logs_are_kept() {
    let project = with_retries(0);
    project.build_with_fault("garbage:1", CITY).code(1);
    let ran = project.jheem("log --format json").success();
    let runs = ran.events();
    assert_eq!(runs.len(), 2, "{ran}");
    assert_eq!((&runs[0]["targets"], &runs[1]["targets"]), (&5.into(), &1.into()), "{ran}");
    let last = project.jheem("log last").success();
    let last = last.says("GENERATING: C.12580/cessation/testing (mean.and.interval, sex)");
    let name = runs[0]["run"].as_str().unwrap();
    assert_eq!(project.jheem(&format!("log {name}")).success().stdout, last.stdout);
    project.jheem("log nonsense").code(2).says("no run is called `nonsense`");
}

#[test]
fn the_lines_of_a_plan_work_when_they_are_run_by_hand() {
    let project = with_retries(0);
    let folder = project.root().parent().unwrap().join("by hand");
    let plan = || {
        let mut command = project.command(&format!("plan {CITY}"));
        let ran = command.arg("--write-batches").arg(&folder).output().unwrap();
        Ran::new("plan --write-batches", ran)
    };
    let ran = plan().success();
    // What may have been made there by hand is not overwritten.
    plan().code(2).says("holds the runs of another plan");
    let script = folder.join("run-1.sh");
    assert!(ran.stdout.contains(script.to_str().unwrap()), "{ran}");
    assert!(!project.exists("plots/C.12580/cessation/testing_mean.and.interval_unfaceted.json"));
    // What is handed through is that of the shell.
    let given = project.command("");
    let given = given.get_envs().filter_map(|(name, value)| Some((name, value?)));
    let mut by_hand = Command::new("sh");
    let by_hand = by_hand.arg(&script).current_dir("/").envs(given).output().unwrap();
    let told = String::from_utf8_lossy(&by_hand.stdout);
    assert!(by_hand.status.success(), "{told}");
    assert!(told.contains("Total plots to generate: 5"), "{told}");
    let plots = folder.join("scratch/run-1/root/plots/C.12580/cessation");
    assert_eq!(std::fs::read_dir(&plots).unwrap().count(), 10);
    // The same plots as jheem's own.
    project.build(CITY).success().targets("fresh=1 built=5");
    let name = "testing_mean.and.interval_facet_sex.json";
    assert_eq!(
        std::fs::read_to_string(plots.join(name)).unwrap(),
        project.read(&format!("plots/C.12580/cessation/{name}"))
    );
}

#[test]
fn a_runner_that_is_missing_is_named_once_with_what_to_do() {
    let project = cities();
    project.change("program = \"./model.sh\"", "program = \"./gone.sh\"");
    project.plan("").success().targets("pending=6");
    let ran = project.build("").code(1).targets("skipped=6");
    let problems: Vec<_> =
        ran.events().into_iter().filter(|event| event["event"] == "problem").collect();
    assert_eq!(problems.len(), 1, "{ran}");
    assert_eq!(
        problems[0]["message"],
        "runner `model` is missing, so 6 targets could not be made: the program `./gone.sh` is not in the project"
    );
    assert_eq!(problems[0]["lines"][0], "hint: build it, or name a program on the PATH");
    let ran = project.jheem("build").code(1).says("error: runner `model` is missing");
    let ran = ran.says("6 skipped so: the program `./gone.sh` is not in the project");
    ran.says("failed: 6 of 6 targets skipped, 1 problem");
    // What only reads what it was to make is missed for the same reason.
    let project = super::staleness::chain::chain();
    project.change("program = \"./model.sh\"", "program = \"./gone.sh\"");
    let ran = project.jheem("build").code(1).says("so 8 targets could not be made");
    ran.says("8 skipped so: the program `./gone.sh` is not in the project");
}
