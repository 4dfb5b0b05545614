//! What makes a target stale, and what does not.

mod absence;
pub mod chain;
mod cutoff;
mod elsewhere;
mod grammar;
mod grid;
mod joins;
mod keys;
mod order;
mod outputs;
mod pinned;
mod rule_keys;
mod selection;
mod why;

use super::project::{Project, cities};
use chain::chain;

/// What follows from a change: the counts and reasons of the plan, what `why` says of a target, the
/// counts of the build, and what the model was made to make.
#[derive(Default)]
struct Follows<'a> {
    plan: &'a str,
    /// Sorted.
    reasons: &'a [&'a str],
    /// A target, its verdict, and a text that explains it.
    why: Option<(&'a str, &'a str, &'a str)>,
    build: &'a str,
    /// Sorted.
    made: &'a [&'a str],
}

/// Checks all of it, and that the next build finds everything fresh.
#[track_caller]
fn follows(project: &Project, expected: Follows<'_>) {
    project.plan("").success().targets(expected.plan);
    assert_eq!(project.reasons(""), expected.reasons, "other reasons");
    if let Some((target, verdict, text)) = expected.why {
        let (found, said) = project.why(target);
        assert_eq!(found, verdict, "{said}");
        assert!(said.contains(text), "`why` does not say `{text}`: {said}");
    }
    let built = project.build("").success();
    assert_eq!(project.made(), expected.made, "other plots were made\n{built}");
    built.targets(expected.build);
    let again = project.build("").success();
    assert_eq!(again.count("targets.fresh") + again.count("targets.absent"), total(&again));
    assert_eq!(again.count("runs"), 0);
}

/// All targets that the last event counts.
fn total(ran: &super::project::Ran) -> u64 {
    ran.last()["targets"].as_object().unwrap().values().filter_map(|v| v.as_u64()).sum()
}

/// Checks that nothing is stale, and that nothing runs.
#[track_caller]
fn nothing_follows(project: &Project) {
    follows(project, Follows { plan: "fresh=8", build: "fresh=8", ..Follows::default() });
}

/// The chain, built once.
#[track_caller]
fn built() -> Project {
    let project = chain();
    project.build("").success().targets("built=8");
    let all = ["A/x", "A/y", "B/x", "B/y", "sum/x", "sum/y", "trim/A", "trim/B"];
    assert_eq!(project.made(), all);
    project
}

const CITY_A: [&str; 5] = ["A/x", "A/y", "sum/x", "sum/y", "trim/A"];
const ALL: [&str; 8] = ["A/x", "A/y", "B/x", "B/y", "sum/x", "sum/y", "trim/A", "trim/B"];

#[test]
fn the_second_build_does_nothing_and_says_so() {
    let project = cities();
    project.build("").success().targets("built=6");
    assert_eq!(project.made(), ["A/x", "A/y", "A/z", "B/x", "B/y", "B/z"]);
    project.build("").success().targets("fresh=6");
    assert!(project.made().is_empty());
}

#[test]
fn one_changed_input_remakes_only_what_reads_it() {
    let project = cities();
    project.build("").success();
    project.made();
    project.write("data/A.txt", "5\n");
    project.jheem("plan").success().says("3 plots stale: city=A: data changed");
    project.build("").success().targets("fresh=3 built=3");
    assert_eq!(project.made(), ["A/x", "A/y", "A/z"]);
}

// Inputs.

#[test]
fn a_changed_input_remakes_its_readers_and_theirs() {
    let project = built();
    project.write("data/A.txt", "5\n");
    follows(
        &project,
        Follows {
            plan: "fresh=3 stale=1 pending=4",
            reasons: &[
                "1 step stale: city=A: data changed",
                "2 plots pending: city=A: waits for what it reads",
                "2 plots pending: plot.sum: waits for what it reads",
            ],
            why: Some(("trimmed/A.txt", "stale", "data (data/A.txt)")),
            build: "fresh=3 built=5",
            made: &CITY_A,
        },
    );
    assert!(project.read("sums/x.txt").contains("\"5-\""));
}

#[test]
fn a_change_that_a_step_swallows_goes_no_further() {
    let project = built();
    project.write("data/A.txt", "1\nanother second line\n");
    follows(
        &project,
        Follows {
            plan: "fresh=3 stale=1 pending=4",
            reasons: &[
                "1 step stale: city=A: data changed",
                "2 plots pending: city=A: waits for what it reads",
                "2 plots pending: plot.sum: waits for what it reads",
            ],
            why: Some(("plots/A/x.json", "pending", "step.trim[city=A]")),
            build: "fresh=7 built=1",
            made: &["trim/A"],
        },
    );
}

#[test]
fn a_touched_input_changes_nothing() {
    let project = built();
    let file = std::fs::File::options().write(true).open(project.path("data/A.txt")).unwrap();
    file.set_modified(std::time::SystemTime::now() + std::time::Duration::from_secs(3600)).unwrap();
    nothing_follows(&project);
    file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    nothing_follows(&project);
    project.write("data/A.txt", "1\nsecond line\n");
    nothing_follows(&project);
}

#[test]
fn an_input_put_back_restores_the_earlier_plots_and_runs_nothing() {
    let project = built();
    let before = project.read("plots/A/x.json");
    project.write("data/A.txt", "5\n");
    project.build("").success().targets("fresh=3 built=5");
    project.made();
    project.write("data/A.txt", "1\nsecond line\n");
    follows(
        &project,
        Follows {
            plan: "fresh=3 restorable=5",
            reasons: &[
                "1 step restorable: city=A: made before from the same request",
                "2 plots restorable: city=A: made before from the same request",
                "2 plots restorable: plot.sum: made before from the same request",
            ],
            why: Some(("plots/A/x.json", "restorable", "made before")),
            build: "fresh=3 restored=5",
            made: &[],
        },
    );
    assert_eq!(project.read("plots/A/x.json"), before);
}

#[test]
fn an_input_that_is_replaced_during_the_run_records_nothing() {
    let project = built();
    let before = project.read("trimmed/A.txt");
    project.write("data/A.txt", "5\n");
    let replace = project.path("data/A.txt").to_string_lossy().into_owned();
    let project = project.env("REPLACE", &replace);
    project
        .build("")
        .code(1)
        .says("`data/A.txt` changed while the run went on, so nothing was recorded")
        .targets("fresh=3 failed=1 skipped=4");
    project.made();
    assert_eq!(project.read("trimmed/A.txt"), before);
    // The record of the first build stands, so putting the input back costs nothing at all.
    project.write("data/A.txt", "1\nsecond line\n");
    nothing_follows(&project);
    project.write("data/A.txt", "6\n");
    let project = project.env("REPLACE", "");
    follows(
        &project,
        Follows {
            plan: "fresh=3 stale=1 pending=4",
            reasons: &[
                "1 step stale: city=A: data changed",
                "2 plots pending: city=A: waits for what it reads",
                "2 plots pending: plot.sum: waits for what it reads",
            ],
            why: None,
            build: "fresh=3 built=5",
            made: &CITY_A,
        },
    );
}

#[test]
fn a_program_that_is_replaced_during_the_run_records_nothing() {
    let project = chain();
    let model = project.path("model.sh").to_string_lossy().into_owned();
    let project = project.env("REPLACE", &model);
    project.build("").code(1).says("model.sh` changed while the run went on");
    project.made();
    project.plan("").targets("stale=2 pending=6");
    assert_eq!(
        project.reasons(""),
        [
            "2 plots pending: plot.sum: waits for what it reads",
            "2 steps stale: step.trim: never made",
            "4 plots pending: plot.p: waits for what it reads",
        ]
    );
    let (verdict, said) = project.why("trimmed/A.txt");
    assert_eq!(verdict, "stale", "{said}");
    assert!(said.contains("never made"), "{said}");
}

// What is asked of the model.

#[test]
fn a_changed_command_remakes_its_rule() {
    let project = built();
    project.change("\"{list:outcome}\", \"-\"]", "\"{list:outcome}\", \"!\"]");
    follows(
        &project,
        Follows {
            plan: "fresh=2 stale=4 pending=2",
            reasons: &[
                "2 plots pending: plot.sum: waits for what it reads",
                "4 plots stale: plot.p: command changed",
            ],
            why: Some(("plots/A/x.json", "stale", r#"{"before":"-","now":"!","what":"argument"}"#)),
            build: "fresh=2 built=6",
            made: &["A/x", "A/y", "B/x", "B/y", "sum/x", "sum/y"],
        },
    );
}

#[test]
fn a_comment_in_the_jheemfile_changes_nothing() {
    let project = built();
    project.change("[plot.sum]", "# All plots of an outcome.\n[plot.sum]\n");
    nothing_follows(&project);
}

#[test]
fn a_declared_variable_remakes_everything_of_its_runner() {
    let project = built();
    project.change("[runner.model.log]", "env = { LEVEL = \"0.9\" }\n[runner.model.log]");
    follows(
        &project,
        Follows {
            plan: "stale=2 pending=6",
            reasons: &[
                "2 plots pending: plot.sum: waits for what it reads",
                "2 steps stale: step.trim: env LEVEL is new",
                "4 plots pending: plot.p: waits for what it reads",
            ],
            why: Some(("trimmed/A.txt", "stale", "env LEVEL")),
            build: "built=8",
            made: &ALL,
        },
    );
}

#[test]
fn a_variable_that_is_handed_through_changes_nothing() {
    let project = built().env("NOTE", "another machine");
    nothing_follows(&project);
    project.change("\"REPLACE\", \"NOTE\"", "\"REPLACE\"");
    nothing_follows(&project);
}

#[test]
fn another_program_remakes_everything_that_it_makes() {
    let project = built();
    let model = project.read("model.sh");
    project.write("model.sh", format!("{model}# another version\n"));
    follows(
        &project,
        Follows {
            plan: "stale=2 pending=6",
            reasons: &[
                "2 plots pending: plot.sum: waits for what it reads",
                "2 steps stale: step.trim: runner changed",
                "4 plots pending: plot.p: waits for what it reads",
            ],
            why: Some(("trimmed/B.txt", "stale", "program blake3:")),
            build: "built=8",
            made: &ALL,
        },
    );
    // The plots of the earlier program differ in their times of generation, so they are put back.
    project.write("model.sh", model);
    project.build("").success().targets("fresh=4 restored=4");
}

// How it is judged.

#[test]
fn a_changed_audit_judges_what_is_stored_and_runs_nothing() {
    let project = built();
    project.change(
        "\"/outcome\" = \"{outcome}\" }",
        "\"/outcome\" = \"{outcome}\" }\nrequired = [\"/value\"]",
    );
    nothing_follows(&project);
}

#[test]
fn what_fails_a_new_audit_is_made_once_more_and_then_failed() {
    let project = built();
    let old = "\"/outcome\" = \"{outcome}\" }";
    let new = "\"/outcome\" = \"{outcome}\", \"/value\" = \"1-\" }";
    project.change(old, new);
    project.plan("").targets("fresh=4 stale=2 pending=2");
    let reasons = project.reasons("");
    assert_eq!(
        reasons,
        [
            "2 plots pending: plot.sum: waits for what it reads",
            "2 plots stale: city=B: does not pass the new audit",
        ]
    );
    let (_, said) = project.why("plots/B/x.json");
    assert!(said.contains("`/value` is `2-`, but `1-` was asked for"), "{said}");
    project.build("-k").code(1).targets("fresh=4 failed=2 skipped=2");
    assert_eq!(project.made(), ["B/x", "B/y"]);
    assert_eq!(project.reasons("")[1], "2 plots stale: city=B: refused by the audit before");
    // Loosened again, what is stored passes again.
    project.change(new, old);
    nothing_follows(&project);
}

#[test]
fn what_an_option_asks_for_is_refused_alone() {
    let project = built();
    let audit = "[[plot.p.audit]]\noutput = \"page\"\nsize = { min = 1000 }\n\n[plot.sum]\n";
    project.change("[plot.sum]\n", audit);
    project.write("data/A.txt", "5\n");
    let ran = project.build("-k --with html").code(1).targets("fresh=1 built=1 failed=4 skipped=2");
    ran.says("refused by the audit: plots/A/x.html: ");
    // The plot beside it passed its own audit: it is there, and it stays.
    assert!(project.read("plots/A/x.json").contains("\"value\": \"5-\""));
    assert!(!project.exists("plots/A/x.html"), "a refused page was put in place");
    project.plan("plot.p").targets("fresh=6");
    assert_eq!(
        project.reasons("plot.p --with html"),
        ["4 plots stale: plot.p: refused by the audit before (with html)"]
    );
    // When the audit of the page changes, the page is judged again, and nothing runs.
    project.made();
    project.change("size = { min = 1000 }", "size = { min = 2 }");
    project.build("plot.p --with html").success().targets("fresh=2 restored=4");
    assert_eq!(project.made(), Vec::<String>::new());
    assert_eq!(project.read("plots/A/x.html"), "<p>A x\n");
}

#[test]
fn what_an_audit_refused_is_taken_when_the_audit_is_loosened() {
    let project = chain();
    project.change(
        "\"/outcome\" = \"{outcome}\" }",
        "\"/outcome\" = \"{outcome}\", \"/value\" = \"1-\" }",
    );
    project.build("-k").code(1).targets("built=4 failed=2 skipped=2");
    project.build("-k").code(1);
    let made = project.made();
    assert!(made.contains(&"B/x".to_owned()) && made.contains(&"B/y".to_owned()), "{made:?}");
    assert!(!project.exists("plots/B/x.json"));
    project.change(
        "\"/outcome\" = \"{outcome}\", \"/value\" = \"1-\" }",
        "\"/outcome\" = \"{outcome}\" }",
    );
    follows(
        &project,
        Follows {
            plan: "fresh=4 restorable=2 stale=2",
            reasons: &[
                "2 plots restorable: city=B: made before from the same request",
                "2 plots stale: plot.sum: never made",
            ],
            why: None,
            build: "fresh=4 restored=2 built=2",
            made: &["sum/x", "sum/y"],
        },
    );
}

#[test]
fn changed_volatile_patterns_judge_again_and_rekey_the_readers() {
    let project = built();
    project.change("[\"/generation_time\"]", "[\"/generation_time\", \"/note\"]");
    nothing_follows(&project);
    // Now the note does not count: plots are made, but not what reads them.
    let model = project.read("model.sh");
    project.change("\"{list:outcome}\", \"-\"]", "\"{list:outcome}\", \"-\", \"\"]");
    let project = project.env("NOTE", "something else");
    follows(
        &project,
        Follows {
            plan: "fresh=2 stale=4 pending=2",
            reasons: &[
                "2 plots pending: plot.sum: waits for what it reads",
                "4 plots stale: plot.p: command changed",
            ],
            why: Some(("plots/A/x.json", "stale", r#""now":"","what":"argument""#)),
            build: "fresh=4 built=4",
            made: &["A/x", "A/y", "B/x", "B/y"],
        },
    );
    assert_eq!(project.read("model.sh"), model);
}

// What there is.

#[test]
fn a_new_value_of_an_axis_makes_its_cells_and_what_joins_them() {
    let project = built();
    project.write("data/C.txt", "3\n");
    project.change("values = [\"A\", \"B\"]", "values = [\"A\", \"B\", \"C\"]");
    follows(
        &project,
        Follows {
            plan: "fresh=6 stale=1 pending=4",
            reasons: &[
                "1 step stale: city=C: never made",
                "2 plots pending: city=C: waits for what it reads",
                "2 plots pending: plot.sum: waits for what it reads",
            ],
            why: Some(("trimmed/C.txt", "stale", "never made")),
            build: "fresh=6 built=5",
            made: &["C/x", "C/y", "sum/x", "sum/y", "trim/C"],
        },
    );
}

#[test]
fn a_value_that_is_gone_changes_only_what_joined_it() {
    let project = built();
    project.change("values = [\"A\", \"B\"]", "values = [\"A\"]");
    follows(
        &project,
        Follows {
            plan: "fresh=3 stale=2",
            reasons: &["2 plots stale: plot.sum: plots lost a member"],
            why: Some(("sums/x.txt", "stale", "plots (plots/B/x.json)")),
            build: "fresh=3 built=2",
            made: &["sum/x", "sum/y"],
        },
    );
    project.change("values = [\"A\"]", "values = [\"A\", \"B\"]");
    project.build("").success().targets("fresh=6 restored=2");
}

#[test]
fn what_failed_before_is_tried_again_and_says_how_it_failed() {
    let project = chain().env("FAIL", "B/y");
    project.build("-k").code(1).targets("built=6 failed=1 skipped=1");
    project.made();
    project.plan("").targets("fresh=6 stale=1 pending=1");
    assert_eq!(project.reasons("")[1], "1 plot stale: city=B, outcome=y: failed before");
    let (_, said) = project.why("plots/B/y.json");
    assert!(said.contains("failed before: the log says that it failed"), "{said}");
    let project = project.env("FAIL", "");
    project.build("").success().targets("fresh=6 built=2");
    assert_eq!(project.made(), ["B/y", "sum/y"]);
}

#[test]
fn an_option_makes_its_own_outputs_and_leaves_the_others_alone() {
    let project = built();
    let before = project.read("plots/A/x.json");
    project.plan("").targets("fresh=8");
    project.plan("--with html").targets("fresh=4 stale=4");
    assert_eq!(project.reasons("--with html"), ["4 plots stale: plot.p: never made (with html)"]);
    project.build("--with html").success().targets("fresh=4 built=4");
    project.made();
    assert_eq!(project.read("plots/A/x.html"), "<p>A x\n");
    assert_eq!(project.read("plots/A/x.json"), before);
    project.plan("--with html").targets("fresh=8");
    nothing_follows(&project);
    // Without the option, the pages are not kept up to date, and the plan with it says so.
    project.write("data/A.txt", "5\n");
    project.build("").success().targets("fresh=3 built=5");
    project.plan("").targets("fresh=8");
    assert_eq!(project.reasons("--with html"), ["2 plots stale: city=A: text changed (with html)"]);
    let (plot, page) = (project.read("plots/A/x.json"), project.read("plots/A/x.html"));
    project.build("--with html").success().targets("fresh=6 built=2");
    assert_eq!(project.read("plots/A/x.json"), plot);
    assert_eq!(project.read("plots/A/x.html"), page);
}
