//! What is asked for: counts that sum to it, and joins that are never made from a part.

use std::fs;

use super::super::project::Ran;
use super::chain::chain;
use super::{built, total};

fn all(ran: &Ran) -> u64 {
    total(ran)
}

#[test]
fn the_counts_of_a_plan_are_disjoint_and_sum_to_what_is_asked_for() {
    let project = chain().env("FAIL", "A/y");
    let audit = "[[plot.p.audit]]";
    project
        .change(audit, &format!("[[plot.p.absent]]\ncity = [\"B\"]\noutcome = [\"x\"]\n{audit}"));
    project.build("-k").code(1);
    // Fresh, restorable, stale, pending, blocked and absent, all at once.
    fs::remove_file(project.path("plots/A/x.json")).unwrap();
    fs::remove_file(project.path("data/B.txt")).unwrap();
    project.plan("").targets("fresh=2 restorable=1 stale=1 blocked=3 absent=1");
    assert_eq!(
        project.reasons(""),
        [
            "1 plot blocked: city=B, outcome=y: `data/B.txt` is missing",
            "1 plot blocked: outcome=y: `data/B.txt` is missing",
            "1 plot restorable: city=A, outcome=x: output missing",
            "1 plot stale: city=A, outcome=y: failed before",
            "1 step blocked: city=B: `data/B.txt` is missing",
        ]
    );
    for (selection, targets) in [
        ("", 8),
        ("plot.p", 6),
        ("step.trim", 2),
        ("--where city=A", 3),
        ("--where outcome=x", 5),
        ("--preset small", 3),
        ("plots/A/x.json", 2),
        ("plots/A/*.json", 3),
        ("plot.sum", 8),
        ("plot.p --where city=A --where outcome=y", 2),
        ("plot.p --with html --where city=A", 3),
    ] {
        let planned = project.plan(selection).success();
        assert_eq!(all(&planned), targets, "{selection}\n{planned}");
    }
    // What nothing selected reads may be missing.
    project.build("--where city=A --where outcome=x").success().targets("fresh=1 restored=1");
}

#[test]
fn a_narrowed_build_never_makes_a_join_from_a_part() {
    let project = chain();
    project.build("--where city=A").success().targets("built=3");
    assert_eq!(project.made(), ["A/x", "A/y", "trim/A"]);
    assert!(!project.exists("sums"));
    project.build("--preset small").success().targets("fresh=3");
    // It is made when it is named, and then from all of its members.
    project.build("plot.sum --where city=A --where outcome=x").success().targets("fresh=2 built=3");
    assert_eq!(project.made(), ["B/x", "sum/x", "trim/B"]);
    assert!(project.read("sums/x.txt").contains("\"B\""));
    assert!(!project.exists("sums/y.txt"));
}

#[test]
fn a_join_that_a_preset_names_is_made_from_all_of_its_members() {
    let project = chain();
    project.change("[preset.small]", "[preset.small]\ngoals = [\"plot.sum\"]");
    project.build("--preset small").success().targets("built=8");
    assert!(project.read("sums/x.txt").contains("\"B\""));
}

#[test]
fn a_narrowed_build_leaves_the_rest_as_stale_as_it_was() {
    let project = built();
    project.write("data/A.txt", "5\n");
    project.write("data/B.txt", "6\n");
    project.build("--where city=A").success().targets("built=3");
    project.plan("").targets("fresh=3 stale=1 pending=4");
    project.build("").success().targets("fresh=3 built=5");
}

#[test]
fn a_missing_input_blocks_what_reads_it_by_name_and_the_rest_is_made() {
    let project = chain();
    fs::remove_file(project.path("data/B.txt")).unwrap();
    let ran = project.build("").code(1).says("`data/B.txt` is missing");
    ran.targets("built=3 skipped=5");
    let (verdict, said) = project.why("plots/B/x.json");
    assert_eq!(verdict, "blocked", "{said}");
    assert!(said.contains("data/B.txt"), "{said}");
}
