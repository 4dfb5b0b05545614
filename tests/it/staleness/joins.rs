//! What reads many: joins over axes, members that cannot exist, and members that failed.

use super::super::project::Project;
use super::chain::chain;
use super::{Follows, follows};

/// The chain with a page for each plot, one to one.
fn with_page() -> Project {
    let project = chain();
    let text = project.read("Jheemfile.toml");
    let page = r#"
[plot.page]
over = ["city", "outcome"]
runner = "model"
inputs = { plot = "plot.p.plot" }
command = ["sum", "{city}-{outcome}", "{output.page}", "{input.plot}"]
output.page.path = "pages/{city}/{outcome}.txt"
"#;
    project.write("Jheemfile.toml", text + page);
    project
}

#[test]
fn a_join_reads_every_member() {
    let project = chain();
    project.build("").success();
    let sum = project.read("sums/x.txt");
    assert!(sum.contains("\"city\": \"A\"") && sum.contains("\"city\": \"B\""), "{sum}");
}

#[test]
fn a_join_skips_declared_absent_members_and_what_is_one_to_one_below_them_is_absent() {
    let project = with_page();
    let audit = "[[plot.p.audit]]";
    project
        .change(audit, &format!("[[plot.p.absent]]\ncity = [\"B\"]\noutcome = [\"x\"]\n{audit}"));
    project.plan("").targets("stale=2 pending=8 absent=2");
    project.build("").success().targets("built=10 absent=2");
    assert!(!project.read("sums/x.txt").contains("\"B\""));
    assert!(project.read("sums/y.txt").contains("\"B\""));
    let (verdict, said) = project.why("pages/B/x.txt");
    assert_eq!(verdict, "absent");
    assert!(said.contains("what it reads is absent"), "{said}");
    project.build("").success().targets("fresh=10 absent=2");
}

#[test]
fn a_join_skips_members_that_the_model_says_cannot_exist() {
    let project = with_page().env("ABSENT", "B/x");
    project.build("").success().targets("built=10 absent=2");
    assert!(!project.read("sums/x.txt").contains("\"B\""));
    project.made();
    project.plan("").targets("fresh=10 absent=2");
    let (verdict, said) = project.why("plots/B/x.json");
    assert_eq!(verdict, "absent");
    assert!(said.contains("ERROR: cannot exist"), "{said}");
    project.build("").success().targets("fresh=10 absent=2");
    assert!(project.made().is_empty());
}

#[test]
fn a_join_whose_members_are_all_absent_is_made_from_none() {
    let project = chain();
    let audit = "[[plot.p.audit]]";
    project.change(audit, &format!("[[plot.p.absent]]\noutcome = [\"x\"]\n{audit}"));
    // With nothing to join, there is nothing to make.
    project.build("").success().targets("built=5 absent=3");
    assert!(!project.exists("sums/x.txt"));
    project.build("").success().targets("fresh=5 absent=3");
}

#[test]
fn a_failed_member_holds_its_joins_back_and_no_others() {
    let project = with_page().env("FAIL", "B/x");
    project.build("-k").code(1).targets("built=9 failed=1 skipped=2");
    assert!(!project.exists("sums/x.txt"));
    assert!(project.exists("sums/y.txt"));
    project.plan("").targets("fresh=9 stale=1 pending=2");
}

#[test]
fn a_failed_member_leaves_the_join_of_before_in_place() {
    let project = chain();
    project.build("").success();
    let before = project.read("sums/x.txt");
    project.write("data/B.txt", "7\n");
    let project = project.env("FAIL", "B/x");
    project.build("-k").code(1).targets("fresh=3 built=3 failed=1 skipped=1");
    assert_eq!(project.read("sums/x.txt"), before);
    project.made();
    let project = project.env("FAIL", "");
    follows(
        &project,
        Follows {
            plan: "fresh=6 stale=1 pending=1",
            reasons: &[
                "1 plot pending: outcome=x: waits for what it reads",
                "1 plot stale: city=B, outcome=x: failed before",
            ],
            why: None,
            build: "fresh=6 built=2",
            made: &["B/x", "sum/x"],
        },
    );
}
