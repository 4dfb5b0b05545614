//! From what is published back to what made it.

use serde_json::Value;

use super::{cloud, publish, written};
use crate::project::{Project, Ran};

fn traces(ran: &Ran) -> Vec<Value> {
    ran.events().into_iter().filter(|event| event["event"] == "trace").collect()
}

fn origins(ran: &Ran) -> Vec<Value> {
    ran.events().into_iter().filter(|event| event["event"] == "origin").collect()
}

fn trace(project: &Project, what: &str) -> Ran {
    let mut command = project.command("trace --format json");
    Ran::new(&format!("trace {what}"), command.arg(what).output().unwrap())
}

#[test]
fn what_is_published_is_followed_back_to_its_plot_its_run_and_its_data() {
    let Some(cloud) = cloud() else { return };
    let project = cloud.project();
    assert_eq!(written(publish(&project, "")), (6, 6));
    let bucket = &cloud.bucket;
    for what in [
        format!("s3://{bucket}/github_actions_integration/A/50% a+b/x.json"),
        format!("https://{bucket}.s3.us-east-1.amazonaws.com/github_actions_integration/A/50%25%20a%2Bb/x.json"),
        "A/50% a+b/x.json".to_owned(),
        "A#cessation, x#mean.and.interval#none".to_owned(),
        r##"{"city_scenario": {"S": "A#cessation"}, "outcome_stat_facet": {"S": "x#mean.and.interval#none"}}"##.to_owned(),
    ] {
        let ran = trace(&project, &what).success();
        let (found, from) = (traces(&ran), origins(&ran));
        assert_eq!(found.len(), 1, "{what}: {ran}");
        assert_eq!(found[0]["target"], "plot.p[city=A, outcome=x]", "{what}");
        assert_eq!(found[0]["state"], "as-built", "{what}: {ran}");
        assert_eq!(from.len(), 1, "{what}");
        assert_eq!(from[0]["exit"], "code 0");
        assert!(from[0]["runner"].as_str().unwrap().contains("blake3:"), "{ran}");
        assert_eq!(from[0]["reads"][0]["what"], "data (data/A.txt)");
        let log = from[0]["log"].as_str().unwrap();
        assert!(project.exists(log.trim_start_matches("./")), "{log}");
    }
    let key = "A/50% a+b/x.json";
    // Built anew and not published: what stands there is another.
    let before = origins(&trace(&project, key))[0]["reads"][0]["digest"].clone();
    project.write("data/A.txt", "7\n");
    project.build("").success();
    let ran = trace(&project, key).success();
    assert_eq!(traces(&ran)[0]["state"], "differs", "{ran}");
    assert_ne!(origins(&ran)[0]["reads"][0]["digest"], before);
    let mut human = project.command("trace");
    let ran = Ran::new("trace", human.arg(key).output().unwrap()).success();
    drop(ran.says("not what was last built here").says("reads      data (data/A.txt) blake3:"));
    // Where nothing was built, the manifest is all that is known.
    std::fs::remove_dir_all(project.path("cache")).unwrap();
    let ran = trace(&project, key).success();
    assert_eq!((traces(&ran)[0]["state"].as_str().unwrap(), origins(&ran).len()), ("not-built", 0));
    trace(&project, "no/such/key").code(2).says("publishes `no/such/key`").says("jheem verify");
}

#[test]
fn a_file_of_a_folder_is_followed_through_every_step_back_to_the_data() {
    let project = Project::new()
        .program("trim.sh", "#!/bin/sh\nmkdir -p \"$(dirname \"$2\")\" && cat \"$1\" > \"$2\"\n")
        .file("data/A.txt", "{\"value\": 1}\n")
        .jheemfile(
            r#"
[project]
name = "chain"
[axis.city]
values = ["A"]
[input.data]
path = "data/{city}.txt"
[runner.sh]
program = "./trim.sh"
pass_env = ["PATH"]
[step.trim]
over = ["city"]
runner = "sh"
inputs = { data = "input.data" }
command = ["{input.data}", "{output.small}"]
[step.trim.output.small]
path = "trimmed/{city}.txt"
[plot.p]
over = ["city"]
runner = "sh"
inputs = { small = "step.trim.small" }
command = ["{input.small}", "{output.plot}"]
[plot.p.output.plot]
path = "plots/{city}.json"
as = "json"
[publish.site]
of = "plot.p"
[publish.site.object.plot]
to = "file:site"
key = "{city}.json"
"#,
        );
    assert_eq!(traces(&trace(&project, "site/A.json").success())[0]["state"], "unpublished");
    project.build("").success().targets("built=2");
    for what in ["site/A.json", "A.json", project.path("site/A.json").to_str().unwrap()] {
        let ran = trace(&project, what).success();
        assert_eq!(traces(&ran)[0]["state"], "as-built", "{ran}");
        let from = origins(&ran);
        let targets: Vec<&Value> = from.iter().map(|origin| &origin["target"]).collect();
        assert_eq!(targets, ["plot.p[city=A]", "step.trim[city=A]"], "{ran}");
        assert_eq!(from[1]["reads"][0]["what"], "data (data/A.txt)", "{ran}");
    }
}
