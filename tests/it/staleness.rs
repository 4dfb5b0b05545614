//! What makes a target stale, and what does not.

use super::project::cities;

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
