//! The last line of `--format json`: what it counts, when it says that all is well, and which fields it has.

use serde_json::Value;

use super::project::Ran;
use super::staleness::chain::chain;

/// The names of the fields of an object, sorted.
fn fields(object: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = object.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

/// Fails the test unless the object has these fields, and no others.
#[track_caller]
fn has_fields(object: &Value, expected: &[&str]) {
    assert_eq!(fields(object), expected, "other fields in {object}");
}

fn sum(counts: &Value) -> u64 {
    counts.as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum()
}

/// Fails the test unless a build ended with this code, and its last line says of these many targets whether all is well.
#[track_caller]
fn finished(ran: Ran, code: i32, targets: u64) -> Ran {
    let ran = ran.code(code);
    let last = ran.last();
    assert_eq!(last["event"], "finished", "{ran}");
    has_fields(
        &last,
        &[
            "event",
            "nondeterministic",
            "ok",
            "published",
            "runs",
            "seconds",
            "stopped_seconds",
            "targets",
        ],
    );
    has_fields(&last["targets"], &["absent", "built", "failed", "fresh", "restored", "skipped"]);
    has_fields(&last["published"], &["bytes", "objects", "rows"]);
    assert_eq!(last["ok"], code == 0, "`ok` and the exit code disagree\n{ran}");
    assert_eq!(sum(&last["targets"]), targets, "not every target is counted once\n{ran}");
    ran
}

/// Fails the test unless a plan is about these many targets.
#[track_caller]
fn planned(ran: Ran, targets: u64) -> Ran {
    let ran = ran.success();
    let last = ran.last();
    assert_eq!(last["event"], "planned", "{ran}");
    has_fields(&last, &["event", "publish", "runs", "targets"]);
    has_fields(&last["targets"], &["absent", "blocked", "fresh", "pending", "restorable", "stale"]);
    has_fields(
        &last["publish"],
        &["create", "orphaned", "refused", "unchanged", "undecided", "update"],
    );
    assert_eq!(sum(&last["targets"]), targets, "not every target is counted once\n{ran}");
    ran
}

#[test]
fn the_counts_are_of_the_goals_and_of_everything_that_they_need() {
    let project = chain();
    // A step for each city, a plot for each city and outcome, a sum for each outcome.
    for (goals, targets) in [
        ("", 8),
        ("plot.sum", 8),
        ("plot.sum --where outcome=x", 5),
        ("plot.p --where city=A", 3),
        ("step.trim", 2),
    ] {
        drop(planned(project.plan(goals), targets));
    }
    drop(finished(project.build("step.trim"), 0, 2).targets("built=2"));
    drop(finished(project.build("plot.sum --where outcome=x"), 0, 5).targets("fresh=2 built=3"));
    drop(finished(project.build(""), 0, 8).targets("fresh=5 built=3"));
    std::fs::remove_file(project.path("plots/A/x.json")).unwrap();
    drop(planned(project.plan(""), 8).targets("fresh=7 restorable=1"));
    drop(finished(project.build(""), 0, 8).targets("fresh=7 restored=1"));
}

#[test]
fn all_is_not_well_where_anything_failed_or_was_skipped() {
    for arguments in ["", "--keep-going"] {
        let project = chain().env("FAIL", "A/x B/y");
        let ran = finished(project.build(&format!("--jobs 1 {arguments}")), 1, 8);
        assert!(ran.count("targets.failed") > 0 && ran.count("targets.skipped") > 0, "{ran}");
        // What failed is no goal here, so that nothing is amiss.
        drop(finished(project.build("step.trim"), 0, 2).targets("fresh=2"));
    }
    // Failed, and nothing that needs it was asked for.
    let project = chain().env("FAIL", "A/x");
    let ran = finished(project.build("plot.p --where city=A --keep-going"), 1, 3);
    drop(ran.targets("built=2 failed=1"));
}

#[test]
fn all_is_not_well_where_something_is_blocked() {
    let project = chain();
    std::fs::remove_file(project.path("data/B.txt")).unwrap();
    let ran = planned(project.plan(""), 8);
    assert!(ran.count("targets.blocked") > 0, "{ran}");
    let ran = finished(project.build("--keep-going"), 1, 8);
    drop(ran.targets("built=3 skipped=5"));
    // What does not need the missing file is well by itself.
    drop(finished(project.build("plot.p --where city=A"), 0, 3).targets("fresh=3"));
}

#[test]
fn all_is_well_where_something_cannot_exist() {
    let project = chain().env("ABSENT", "B/y");
    let ran = finished(project.build("plot.p"), 0, 6);
    drop(ran.targets("built=5 absent=1"));
    drop(planned(project.plan("plot.p"), 6).targets("fresh=5 absent=1"));
}
