//! What no target publishes any more is removed when that is asked for, and nothing else.

use super::mending::{key, told};
use super::*;

/// Published, and then without the city B.
fn smaller(cloud: &Cloud) -> Project {
    let project = cloud.project();
    written(publish(&project, ""));
    project.change(r#"values = ["A", "B"]"#, r#"values = ["A"]"#);
    project
}

#[test]
fn what_nothing_publishes_any_more_is_removed_from_a_bucket_and_a_table() {
    let Some(cloud) = cloud() else { return };
    let project = smaller(&cloud);
    let (objects, rows) = (cloud.objects(), cloud.rows());
    let ran = project.jheem("prune --dry-run --format json").success();
    let six =
        ["object B/x.json", "object B/y.json", "object B/z.json", "row B#x", "row B#y", "row B#z"];
    assert_eq!(told(&ran, "orphan"), six, "{ran}");
    let ran = project.jheem("prune").code(2).says("more than 10 %").says("--at-most 50%");
    assert_eq!((cloud.objects(), cloud.rows()), (objects.clone(), rows), "{ran}");
    let ran = project.jheem("prune --at-most 50% --format json").success();
    assert_eq!(told(&ran, "orphan"), six, "{ran}");
    let last = ran.last();
    assert_eq!((&last["objects"], &last["rows"]), (&json!(3), &json!(3)), "{ran}");
    let left = cloud.objects();
    assert_eq!(left.as_object().unwrap().len(), 3);
    for (key, object) in left.as_object().unwrap() {
        assert_eq!(*object, objects[key], "what is published stays as it is");
    }
    assert_eq!(cloud.rows().as_object().unwrap().len(), 3);
    project.jheem("verify --deep").success();
    assert_eq!(written(publish(&project, "")), (0, 0));
    // Of the manifest only what its heads name is left: the last one, and the one before it.
    let own = cloud.ask("keys", json!({ "bucket": cloud.bucket }));
    let chunks = own.as_array().unwrap().iter();
    let chunks = chunks.filter(|key| key.as_str().unwrap().contains("/chunks/")).count();
    assert_eq!(chunks, 4, "{own}");
    project.jheem("prune").success().says("removed 0 objects and 0 rows");
    // What comes back is published again.
    project.change(r#"values = ["A"]"#, r#"values = ["A", "B"]"#);
    assert_eq!(written(publish(&project, "")), (3, 3));
    project.jheem("verify --deep").success();
}

#[test]
fn what_another_tool_wrote_over_is_not_removed_and_no_row_is_left_without_its_object() {
    let Some(cloud) = cloud() else { return };
    let project = smaller(&cloud);
    cloud.ask("put", json!({ "bucket": cloud.bucket, "key": key("B", "x"), "body": "theirs" }));
    let mut theirs = cloud.rows()["B#cessation y#mean.and.interval#none"].clone();
    theirs["note"] = json!({ "S": "theirs" });
    cloud.ask("put_row", json!({ "table": cloud.table, "item": theirs }));
    cloud.ask("put", json!({ "bucket": cloud.bucket, "key": key("B", "new"), "body": "{}" }));
    cloud.remove_row("B", "z");
    let ran = project.jheem("prune --at-most 3 --format json").code(1);
    // The object of the row that stays is needed.
    assert_eq!(told(&ran, "kept"), ["B#y", "B/x.json", "B/y.json"], "{ran}");
    cloud.no_row_without_its_object("pruned");
    let objects = cloud.objects();
    assert_eq!(objects[key("B", "x")]["body"], "theirs");
    assert!(objects.get(key("B", "new")).is_some(), "what is in no manifest is not looked at");
    assert!(objects.get(key("B", "z")).is_none());
    assert_eq!(cloud.rows().as_object().unwrap().len(), 4);
    // What stays is still known.
    let ran = project.jheem("verify --format json").code(1);
    assert_eq!(
        told(&ran, "drift"),
        ["foreign B/new.json", "orphaned B#y", "orphaned B/x.json", "orphaned B/y.json"],
        "{ran}"
    );
}

#[test]
fn a_prune_that_is_killed_is_brought_to_its_end_by_the_next() {
    let Some(cloud) = cloud() else { return };
    let project = cloud.project();
    written(publish(&project, ""));
    let (objects, rows) = (cloud.readable(), cloud.rows());
    for moment in [
        "intended:1",
        "pruned:1",
        "pruned:3",
        "chunk:1",
        "head:1",
        "pruned:4",
        "pruned:6",
        "chunk:2",
        "head:2",
    ] {
        project.change(r#"values = ["A", "B"]"#, r#"values = ["A"]"#);
        project.killed("prune --at-most 50%", moment);
        cloud.no_row_without_its_object(moment);
        known(&cloud, &project, moment);
        project.jheem("prune --at-most 100%").success();
        assert_eq!(cloud.objects().as_object().unwrap().len(), 3, "{moment}");
        assert_eq!(cloud.rows().as_object().unwrap().len(), 3, "{moment}");
        project.jheem("verify").success();
        project.change(r#"values = ["A"]"#, r#"values = ["A", "B"]"#);
        assert_eq!(written(publish(&project, "")), (3, 3), "{moment}");
        assert_eq!(cloud.readable()[key("B", "x")]["body"], objects[key("B", "x")]["body"]);
        assert_eq!(cloud.rows().as_object().unwrap().len(), rows.as_object().unwrap().len());
    }
}

/// Nothing that stands is in nobody's manifest.
fn known(cloud: &Cloud, project: &Project, when: &str) {
    let ran = project.jheem("verify --format json");
    let foreign = told(&ran, "drift").into_iter().filter(|drift| drift.starts_with("foreign"));
    assert_eq!(foreign.collect::<Vec<_>>(), [""; 0], "{when}: {}", cloud.objects());
}

#[test]
fn what_a_killed_prune_removed_is_put_there_again_if_it_is_wanted_again() {
    let Some(cloud) = cloud() else { return };
    let project = smaller(&cloud);
    project.killed("prune --at-most 50%", "pruned:5");
    project.change(r#"values = ["A"]"#, r#"values = ["A", "B"]"#);
    publish(&project, "").success();
    cloud.no_row_without_its_object("published again");
    assert_eq!(cloud.objects().as_object().unwrap().len(), 6);
    assert_eq!(cloud.rows().as_object().unwrap().len(), 6);
    project.jheem("verify --deep").success();
}

#[test]
fn an_object_that_a_standing_row_speaks_of_stays_until_the_row_is_published() {
    let Some(cloud) = cloud() else { return };
    let project = cloud.project();
    written(publish(&project, ""));
    project.change("/50% a+b/{outcome}.json", "/50% a+b/new_{outcome}.json");
    let ran = project.jheem("prune --at-most 100%").success().says("jheem publish");
    assert_eq!(cloud.objects().as_object().unwrap().len(), 6, "{ran}");
    cloud.no_row_without_its_object("not published yet");
    assert_eq!(written(publish(&project, "")), (6, 6));
    project.jheem("prune --at-most 50%").success().says("removed 6 objects and 0 rows");
    cloud.no_row_without_its_object("pruned");
    assert_eq!(cloud.objects().as_object().unwrap().len(), 6);
    project.jheem("verify --deep").success();
}

#[test]
fn what_only_a_container_calls_impossible_stays_until_the_jheemfile_says_so() {
    let Some(cloud) = cloud() else { return };
    let project = cloud.project();
    project
        .change("success = \"SUCCESS: \"", "success = \"SUCCESS: \"\nabsent = [\"cannot exist\"]");
    publish(&project, "").success();
    let objects = cloud.objects();
    // An empty disk, and a container that is wrong.
    for lost in ["cache", "plots"] {
        std::fs::remove_dir_all(project.path(lost)).unwrap();
    }
    project.write("model.sh", WRONG);
    project.build("").success().says("absent");
    project.jheem("prune --at-most 100%").success().says("removed 0 objects and 0 rows");
    assert_eq!(cloud.objects(), objects);
    project.jheem("verify").success();
    project.change("values = [\"x\", \"y\", \"z\"]", "values = [\"y\", \"z\"]");
    project.jheem("prune --at-most 50%").success().says("removed 2 objects and 2 rows");
}

const WRONG: &str = r#"#!/bin/sh
out=$2; city=$3
mkdir -p "$out/$city"
for outcome in $(echo "$4" | tr , ' '); do
    echo "GENERATING: $city/$outcome"
    if [ $outcome = x ]; then echo "this cannot exist"; continue; fi
    printf '{"city": "%s", "outcome": "%s", "value": %s}\n' $city $outcome "$(cat data/$city.txt)" > "$out/$city/$outcome.json"
    echo "SUCCESS: $outcome.json"
done
"#;

#[test]
fn what_a_rollback_put_back_is_named_as_held_before_it_is_removed() {
    let Some(cloud) = cloud() else { return };
    let project = smaller(&cloud);
    project.jheem("prune --at-most 50%").success();
    let ran = project.jheem("rollback --list --format json").success();
    let past = ran.events().into_iter().rfind(|event| event["event"] == "past").unwrap();
    project.jheem(&format!("rollback {}", past["id"].as_str().unwrap())).success();
    let ran = project.jheem("prune --dry-run").success().says("3 keys are held");
    ran.says("would refuse").says("--at-most 50%");
}
