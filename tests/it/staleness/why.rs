//! What `why` says beyond one comparison: the root of what waits, and why what is there was made.

use super::chain::chain;

#[test]
fn why_follows_what_waits_to_its_root() {
    let project = chain();
    project.build("").success();
    project.write("data/A.txt", "5\n");
    let told = project.jheem("why --format json sums/x.txt").success().last();
    assert_eq!(told["verdict"], "pending", "{told}");
    let upstreams = told["waits_for"].as_array().unwrap();
    let told: Vec<[&str; 2]> = upstreams
        .iter()
        .map(|u| [u["target"].as_str().unwrap(), u["verdict"].as_str().unwrap()])
        .collect();
    let expected = [["plot.p[city=A, outcome=x]", "pending"], ["step.trim[city=A]", "stale"]];
    assert_eq!(told, expected);
    assert_eq!(upstreams[1]["differences"][0]["what"], "data (data/A.txt)", "{upstreams:?}");
    let ran = project.jheem("why sums/x.txt").success();
    ran.says(
        "step.trim[city=A] is stale: something that it depends on changed\n    data (data/A.txt)",
    );
}

#[test]
fn why_follows_what_waits_to_a_runner_that_is_missing() {
    let project = chain();
    project.change("program = \"./model.sh\"", "program = \"./gone.sh\"");
    let told = project.jheem("why --format json sums/x.txt").success().last();
    let root = told["waits_for"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(root["target"], "step.trim[city=A]", "{told}");
    let reason = root["reason"].as_str().unwrap();
    assert!(reason.contains("its runner is missing: the program `./gone.sh`"), "{reason}");
}

#[test]
fn why_says_of_what_is_fresh_which_run_made_it_and_why() {
    let project = chain();
    project.build("").success();
    let why = || project.jheem("why --format json plots/A/x.json").success().last();
    let first = why();
    assert_eq!((&first["verdict"], &first["cause"]), (&"fresh".into(), &"never made".into()));
    project.write("data/A.txt", "5\n");
    project.build("").success();
    let second = why();
    assert_eq!(second["verdict"], "fresh");
    assert_eq!(second["cause"], "text changed", "{second}");
    assert_ne!(second["last"]["run"], first["last"]["run"], "{second}");
    project.jheem("log").success().says(second["last"]["run"].as_str().unwrap());
    project.jheem("why plots/A/x.json").says("made because  text changed");
    // What came back from the cache was made by the run before, of which that is not known any more.
    project.write("data/A.txt", "1\nsecond line\n");
    project.build("").success();
    let third = why();
    assert_eq!(third["last"]["run"], first["last"]["run"], "{third}");
    assert_eq!(third["cause"], serde_json::Value::Null, "{third}");
}
