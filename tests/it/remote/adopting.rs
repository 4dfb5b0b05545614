//! What another tool published is taken over by jheem: equal contents are not uploaded again.

use super::mending::key;
use super::*;

/// A bucket and a table that another tool filled, with just what this project would make.
fn filled(cloud: &Cloud) -> Project {
    let project = cloud.project();
    written(publish(&project, ""));
    cloud.ask("forget", json!({ "bucket": cloud.bucket, "marks": true }));
    for folder in ["cache", "plots"] {
        std::fs::remove_dir_all(project.path(folder)).unwrap();
    }
    project.made();
    project
}

fn adopt(project: &Project, arguments: &str) -> (u64, u64, u64) {
    let ran = project.jheem(&format!("adopt --format json {arguments}")).success();
    let of = |name: &str| ran.last()[name].as_u64().unwrap();
    (of("objects"), of("rows"), of("made"))
}

#[test]
fn what_another_tool_published_is_not_uploaded_again() {
    let Some(cloud) = cloud() else { return };
    let project = filled(&cloud);
    let (objects, rows) = (cloud.objects(), cloud.rows());
    publish(&project, "").code(1).says("something that jheem did not publish stands there");
    assert_eq!(adopt(&project, ""), (6, 6, 0));
    assert_eq!(adopt(&project, ""), (0, 0, 0), "what is in the manifest is known");
    assert_eq!(written(publish(&project, "")), (0, 0), "plots of the same content were built");
    assert_eq!((cloud.objects(), cloud.rows()), (objects.clone(), rows));
    assert_ne!(objects[key("A", "x")]["body"], project.read("plots/A/x.json"), "only volatile");
    project.jheem("verify --deep").success();
    // From now on it is like any other.
    project.write("data/B.txt", "7");
    assert_eq!(written(publish(&project, "")), (3, 3));
    assert_eq!(written(publish(&project, "")), (0, 0));
    project.jheem("verify --deep").success();
}

#[test]
fn what_differs_is_put_right_by_the_next_publish() {
    let Some(cloud) = cloud() else { return };
    let project = filled(&cloud);
    cloud.ask("put", json!({ "bucket": cloud.bucket, "key": key("A", "x"), "body": "no plot" }));
    cloud.remove_row("A", "y");
    cloud.remove_object("A", "z");
    assert_eq!(adopt(&project, ""), (5, 5, 0));
    // The broken plot and the missing one, with their rows; and the row that was not there.
    // Of two of them only the time is another.
    another_second();
    assert_eq!(written(publish(&project, "")), (2, 3));
    assert_eq!(cloud.objects()[key("A", "x")]["body"], project.read("plots/A/x.json"));
    project.jheem("verify --deep").success();
}

#[test]
fn what_is_said_to_be_made_from_these_inputs_is_not_built_again() {
    let Some(cloud) = cloud() else { return };
    let project = filled(&cloud);
    cloud.ask(
        "put",
        json!({ "bucket": cloud.bucket, "key": key("B", "y"), "body": "{\"city\": \"A\"}" }),
    );
    assert_eq!(adopt(&project, "--as-built"), (6, 6, 5));
    let objects = cloud.objects();
    assert_eq!(written(publish(&project, "")).0, 1);
    assert_eq!(project.made(), ["B/y"], "an audit refused what stood there, so it was made");
    assert_eq!(project.read("plots/A/x.json"), objects[key("A", "x")]["body"]);
    assert_eq!(written(publish(&project, "")), (0, 0));
    project.write("data/A.txt", "7");
    assert_eq!(written(publish(&project, "")), (3, 3), "other inputs make other plots");
}

#[test]
fn what_was_adopted_can_be_taken_for_made_afterwards() {
    let Some(cloud) = cloud() else { return };
    let project = filled(&cloud);
    assert_eq!(adopt(&project, ""), (6, 6, 0));
    // Somebody writes over one meanwhile.
    cloud.ask("put", json!({ "bucket": cloud.bucket, "key": key("B", "y"), "body": "{}" }));
    let ran = project.jheem("adopt --as-built --format json").code(1);
    let ran = ran.says("it was written over since it was adopted");
    assert_eq!((&ran.last()["objects"], &ran.last()["made"]), (&json!(0), &json!(5)), "{ran}");
    project.build("").success().targets("restored=5 built=1");
    assert_eq!(project.made(), ["B/y"]);
}

#[test]
fn what_carries_the_mark_of_a_jheem_is_adopted_only_when_that_is_asked_for() {
    let Some(cloud) = cloud() else { return };
    let project = cloud.project();
    written(publish(&project, ""));
    cloud.ask("forget", json!({ "bucket": cloud.bucket, "marks": false }));
    project.jheem("adopt").code(1).says("--marked").says("adopted 0 objects and 0 rows");
    assert_eq!(adopt(&project, "--marked"), (6, 6, 0));
    assert_eq!(written(publish(&project, "")), (0, 0));
    project.jheem("verify --deep").success();
}
