//! What is written to a folder: packed, in order, held back.

use std::io::Read as _;

use flate2::read::GzDecoder;
use serde_json::Value;

use super::super::project::Project;
use super::{counts, published};

fn unpacked(project: &Project, path: &str) -> Value {
    let packed = std::fs::read(project.path(path)).unwrap();
    let mut plot = String::new();
    GzDecoder::new(&packed[..]).read_to_string(&mut plot).unwrap();
    serde_json::from_str(&plot).unwrap()
}

#[test]
fn objects_in_a_folder_can_be_packed_too() {
    let project = published();
    project.change("[publish.site.object.plot]", "[publish.site.object.plot]\ngzip = true");
    counts(project.build(""), 6, 12);
    assert_eq!(unpacked(&project, "site/github_actions_integration/A/x.json")["value"], 1);
    let packed = std::fs::read(project.path("site/github_actions_integration/A/x.json")).unwrap();
    counts(project.build(""), 0, 0);
    std::fs::remove_dir_all(project.path("cache")).unwrap();
    std::fs::remove_dir_all(project.path("plots")).unwrap();
    counts(project.build(""), 0, 0);
    assert_eq!(
        std::fs::read(project.path("site/github_actions_integration/A/x.json")).unwrap(),
        packed
    );
    project.jheem("verify").success();
    project.change("gzip = true\n", "");
    counts(project.build(""), 6, 6);
    assert_eq!(
        project.read("site/github_actions_integration/A/x.json"),
        project.read("plots/A/x.json")
    );
}

/// An index of all plots, which is published after them, although its name comes before theirs.
const INDEX: &str = r#"
[runner.index]
program = "./index.sh"
pass_env = ["PATH"]
[step.index]
runner = "index"
joins = { plots = "plot.p.plot" }
command = ["{output.list}", "{join.plots}"]
[step.index.output.list]
path = "index/list.txt"

[publish.index]
of = "step.index"
after = ["publish.site"]
[publish.index.object.list]
to = "file:site"
key = "index.txt"
"#;

fn indexed() -> Project {
    let project = published().allow("\"BROKEN\"").program(
        "index.sh",
        "#!/bin/sh\nout=$1; shift\nmkdir -p index\nprintf '%s\\n' \"$@\" > \"$out\"\n",
    );
    let text = project.read("Jheemfile.toml");
    project.write("Jheemfile.toml", format!("{text}{INDEX}"));
    project
}

/// Whether there is an index; if there is, all that it names stands.
fn index_is_true(project: &Project, when: &str) -> bool {
    if !project.exists("site/index.txt") {
        return false;
    }
    for line in project.read("site/index.txt").lines() {
        let key = line.split("plots/").last().unwrap();
        let stands = project.exists(&format!("site/github_actions_integration/{key}"));
        assert!(stands, "{when}: the index names {key}");
    }
    true
}

#[test]
fn an_index_never_names_what_is_not_there() {
    let project = indexed();
    project.build("plot.p step.index").success();
    for count in 1..=7 {
        // What was published is lost, all of it; then a publish is cut off.
        for left in ["site", "cache/records.db-wal"] {
            std::fs::remove_dir_all(project.path(left)).ok();
        }
        let when = format!("published:{count}");
        project.killed("build", &when);
        assert_eq!(index_is_true(&project, &when), count == 7, "{when}");
    }
    project.build("").success();
    assert!(index_is_true(&project, "in the end"));
    assert_eq!(project.read("site/index.txt").lines().count(), 6);
    project.jheem("verify").success();
}

#[test]
fn to_mend_an_index_mends_nothing_that_it_comes_after() {
    let project = indexed();
    project.change(
        "to = \"file:site\"\nkey = \"index.txt\"",
        "to = \"file:list\"\nkey = \"index.txt\"",
    );
    project.build("").success();
    project.change("values = [\"A\", \"B\"]", "values = [\"A\"]");
    let lost = "site/github_actions_integration/A/x.json";
    std::fs::remove_file(project.path(lost)).unwrap();
    project.jheem("verify publish.index").success();
    project.jheem("verify --repair publish.index").success();
    project.jheem("prune --at-most 100% publish.index").success().says("removed 0 objects");
    assert!(!project.exists(lost) && project.exists(&lost.replace("/A/", "/B/")));
    project.jheem("verify").code(1).says("missing").says("orphaned");
}

#[test]
fn to_publish_an_index_publishes_what_it_comes_after() {
    let project = indexed();
    counts(project.build("publish.index").success(), 7, 6);
    assert!(index_is_true(&project, "asked for alone"));
    // Narrowed, what joins over the cities is no goal; named, it is, and so is all that it needs.
    std::fs::remove_dir_all(project.path("site")).unwrap();
    counts(project.build("--where city=A").success(), 3, 6);
    assert!(!index_is_true(&project, "narrowed"));
    project.build("--where city=A publish.index").code(2).says("name it to make it from all");
    counts(project.build("--where city=A step.index publish.index").success(), 4, 3);
    assert!(index_is_true(&project, "named"));
}

#[test]
fn what_comes_after_what_is_incomplete_is_held_back() {
    let project = indexed();
    // An index that reads no plot is built also when one of them fails.
    project.change("joins = { plots = \"plot.p.plot\" }\n", "");
    project.change("\"{output.list}\", \"{join.plots}\"", "\"{output.list}\"");
    let ran = project.build_as("BROKEN", "A/x", "--keep-going").code(1);
    counts(
        ran.says(
            "`publish.index` is held back: `publish.site`, which it comes after, is incomplete",
        ),
        5,
        10,
    );
    assert!(!project.exists("site/index.txt"));
    counts(project.build("").success(), 2, 2);
    assert!(project.exists("site/index.txt"));
}

#[test]
fn a_city_of_which_something_fails_can_be_held_back_whole() {
    let project = indexed();
    project.change("[publish.site]", "[publish.site]\nhold = [\"city\"]");
    let ran = project.build_as("BROKEN", "A/x", "--keep-going").code(1);
    let ran = ran.says("`publish.site` holds back city=A (2 of 6 objects and rows not built)");
    // The other publish of rows holds nothing back.
    counts(ran, 3, 3 + 5);
    assert!(!project.exists("site/github_actions_integration/A"));
    assert!(project.exists("site/github_actions_integration/B/x.json"));
    // A plan goes by the build that comes first, which tries again.
    let ran = project.plan("").success();
    assert!(!ran.to_string().contains("holds back"), "{ran}");
    counts(project.build("").success(), 3 + 1, 3 + 1);
    assert!(index_is_true(&project, "mended"));
    // What stands stays as it is while a change of its city is not whole.
    project.write("data/A.txt", "77");
    project.write("data/B.txt", "88");
    let ran = project.build_as("BROKEN", "A/z", "--keep-going").code(1);
    counts(ran.says("holds back city=A"), 3, 3);
    assert!(project.read("site/github_actions_integration/A/x.json").contains("\"value\": 1"));
    assert!(project.read("site/github_actions_integration/B/x.json").contains("\"value\": 88"));
    // Everything or nothing.
    project.change("hold = [\"city\"]", "hold = []");
    project.write("data/B.txt", "999");
    let ran = project.build_as("BROKEN", "A/z", "--keep-going").code(1);
    counts(ran.says("`publish.site` holds back everything (2 of 12 objects"), 0, 0);
    counts(project.build("").success(), 6, 6);
}
