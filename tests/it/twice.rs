//! One request that is made twice, and inputs that could only be fetched.

use super::project::{Project, cities};

#[test]
fn one_request_with_two_contents_is_told_and_counted_and_the_first_is_kept() {
    // Two rules that ask for the very same thing, in two folders of the project.
    let rule = |name: &str| {
        format!(
            r#"
[runner.{name}]
program = "./dice.sh"
pass_env = ["PATH"]
dirs = {{ "out" = "{name}" }}
[plot.{name}]
runner = "{name}"
command = ["{{dir:{name}}}"]
output.plot = {{ path = "{name}/plot.txt", as = "bytes" }}
"#
        )
    };
    let text = format!("[project]\nname = \"dice\"\n{}{}", rule("first"), rule("second"));
    let project = Project::new()
        .program("dice.sh", "#!/bin/sh\nmkdir -p \"$1\"; date +%s%N > \"$1/plot.txt\"\n")
        .jheemfile(&text);
    let ran = project.build("--jobs 1").success().targets("built=2");
    assert_eq!(ran.count("nondeterministic"), 1, "{ran}");
    let ran = ran.says("the model is not deterministic; the first is kept");
    assert_eq!(project.read("first/plot.txt"), project.read("second/plot.txt"), "{ran}");
    let again = project.build("").success().targets("fresh=2");
    assert_eq!(again.count("nondeterministic"), 0, "{again}");
}

#[test]
fn an_input_that_is_pinned_nowhere_says_so_and_the_rest_is_made() {
    let project = cities();
    project.change(
        "path = \"data/{city}.txt\"",
        "path = \"data/{city}.txt\"\nsource = \"s3://jheem-data-production/data/{city}.txt\"",
    );
    std::fs::remove_file(project.path("data/B.txt")).unwrap();
    let words = "`data/B.txt` is missing, and the lock does not say what to fetch from `s3://jheem-data-production/data/B.txt`: run `jheem update`";
    project.jheem("plan").success().says(words);
    project.jheem("why --where city=B --where outcome=x").success().says(words);
    project.build("").code(1).targets("built=3 skipped=3").says(words);
    // With the file there, nobody asks where it could come from.
    project.write("data/B.txt", "2\n");
    project.build("").success().targets("built=3 fresh=3");
}
