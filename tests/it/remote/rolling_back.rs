//! An earlier publish is put back in place, and stays until somebody lets go of it.

use super::mending::{key, told};
use super::*;

/// The IDs of the publishes that are known, the latest first.
pub(super) fn history(project: &Project) -> Vec<String> {
    let ran = project.jheem("rollback --list --format json").success();
    let past = ran.events().into_iter().filter(|event| event["event"] == "past");
    past.map(|past| past["id"].as_str().unwrap().to_owned()).collect()
}

/// Published twice: first with 1 and 2, then with these.
fn twice(cloud: &Cloud) -> (Project, Value, Value) {
    let project = cloud.project();
    written(publish(&project, ""));
    let (objects, rows) = (cloud.readable(), cloud.rows());
    project.write("data/A.txt", "1001");
    project.write("data/B.txt", "1002");
    assert_eq!(written(publish(&project, "")), (6, 6));
    (project, objects, rows)
}

#[test]
fn an_earlier_publish_is_put_back_and_held_until_it_is_released() {
    let Some(cloud) = cloud() else { return };
    let (project, objects, rows) = twice(&cloud);
    let ids = history(&project);
    assert_eq!(ids.len(), 2, "{ids:?}");
    let ran = project.jheem(&format!("rollback {} --format json", ids[1])).success();
    assert_eq!(told(&ran, "rolled-back").len(), 12, "{ran}");
    assert_eq!((cloud.readable(), cloud.rows()), (objects.clone(), rows.clone()));
    project.jheem("verify --deep").success();
    // A rollback is a publish like any other, and can be rolled back itself.
    assert_eq!(history(&project).len(), 3);
    let ran = publish(&project, "").says("rolled back").says("jheem rollback --release");
    assert_eq!(written(ran), (0, 0));
    project.write("data/B.txt", "3");
    assert_eq!(written(publish(&project, "")), (0, 0), "also what is built later is held back");
    assert_eq!((cloud.readable(), cloud.rows()), (objects, rows));
    project.jheem("rollback --release --where city=B").success().says("6 keys released");
    assert_eq!(written(publish(&project, "")), (3, 3));
    project.jheem("rollback --release").success().says("6 keys released");
    assert_eq!(written(publish(&project, "")), (3, 3));
    assert_eq!(cloud.objects()[key("A", "x")]["body"], project.read("plots/A/x.json"));
    assert_eq!(written(publish(&project, "")), (0, 0));
    project.jheem("verify --deep").success();
}

#[test]
fn all_that_one_run_publishes_is_one_step_and_is_put_back_together() {
    let Some(cloud) = cloud() else { return };
    let project = cloud.project();
    let text = project.read("Jheemfile.toml");
    let to = |name: &str, more: &str| {
        format!(
            "\n[publish.{name}]\nof = \"plot.p\"\n{more}[publish.{name}.object.plot]\nto = \"s3://{}/{name}\"\nkey = \"{{city}}/{{file}}\"\n",
            cloud.bucket
        )
    };
    // One keeps its manifest with that of the first publish, the other for itself.
    let beside = format!("manifest = \"s3://{}/github_actions_integration\"\n", cloud.bucket);
    project.write("Jheemfile.toml", format!("{text}{}{}", to("beside", &beside), to("apart", "")));
    assert_eq!(written(publish(&project, "")), (18, 6));
    let before = (cloud.readable(), cloud.rows());
    assert_eq!(history(&project).len(), 1);
    project.write("data/A.txt", "1001");
    assert_eq!(written(publish(&project, "")), (9, 3));
    let ids = history(&project);
    assert_eq!(ids.len(), 2, "{ids:?}");
    project.jheem(&format!("rollback {}", ids[1])).success();
    assert_eq!((cloud.readable(), cloud.rows()), before);
    assert_eq!(history(&project).len(), 3);
}

#[test]
fn what_a_publish_did_not_change_is_put_back_to_what_it_was_then() {
    let Some(cloud) = cloud() else { return };
    let project = cloud.project();
    let text = project.read("Jheemfile.toml");
    let apart = format!(
        "\n[publish.apart]\nof = \"plot.p\"\n[publish.apart.object.plot]\nto = \"s3://{}/apart\"\nkey = \"{{city}}/{{file}}\"\n",
        cloud.bucket
    );
    project.write("Jheemfile.toml", format!("{text}{apart}"));
    publish(&project, "").success();
    // The second publishes one of them alone; the third, both, and badly.
    another_second();
    project.write("data/A.txt", "1001");
    publish(&project, "publish.site").success();
    let before = (cloud.readable(), cloud.rows());
    let ids = history(&project);
    another_second();
    project.write("data/A.txt", "6666");
    project.write("data/B.txt", "6667");
    publish(&project, "").success();
    let ran = project.jheem(&format!("rollback {}", ids[0])).success();
    let ran = ran.says("`jheem rollback --release`");
    assert_eq!((cloud.readable(), cloud.rows()), before, "{ran}");
}

#[test]
fn one_city_alone_can_be_rolled_back() {
    let Some(cloud) = cloud() else { return };
    let (project, objects, _) = twice(&cloud);
    let now = cloud.readable();
    let id = history(&project).remove(1);
    project.jheem(&format!("rollback {id} --where city=A")).success().says("6 keys put back");
    let after = cloud.readable();
    assert_eq!(after[key("A", "x")], objects[key("A", "x")]);
    assert_eq!(after[key("B", "x")], now[key("B", "x")]);
    project.jheem("verify --deep").success();
}

#[test]
fn what_was_removed_since_is_put_back_and_what_came_since_stays() {
    let Some(cloud) = cloud() else { return };
    let (project, objects, _) = twice(&cloud);
    project.change(r#"values = ["A", "B"]"#, r#"values = ["A", "C"]"#);
    project.write("data/C.txt", "7");
    written(publish(&project, ""));
    project.jheem("prune --at-most 50%").success();
    let first = history(&project).pop().unwrap();
    let ran = project.jheem(&format!("rollback {first}")).success().says("came since and stay");
    let after = cloud.readable();
    assert_eq!(after[key("B", "x")], objects[key("B", "x")], "{ran}");
    assert!(after.get(key("C", "x")).is_some());
    cloud.no_row_without_its_object("rolled back");
    assert_eq!(cloud.rows().as_object().unwrap().len(), 9);
}

#[test]
fn a_rollback_that_is_killed_is_brought_to_its_end_when_it_is_asked_for_again() {
    let Some(cloud) = cloud() else { return };
    let (project, objects, rows) = twice(&cloud);
    let mut id = history(&project).remove(1);
    for moment in [
        "intended:1",
        "published:2",
        "intended:2",
        "rows:1",
        "chunk:1",
        "head:1",
        "chunk:2",
        "head:2",
    ] {
        project.killed(&format!("rollback {id}"), moment);
        cloud.no_row_without_its_object(moment);
        project.jheem(&format!("rollback {id}")).success();
        assert_eq!((cloud.readable(), cloud.rows()), (objects.clone(), rows.clone()), "{moment}");
        project.jheem("verify").success();
        id = history(&project).remove(0);
        project.jheem("rollback --release").success().says("12 keys released");
        assert_eq!(written(publish(&project, "")), (6, 6), "{moment}");
    }
}

#[test]
fn a_publish_after_a_killed_rollback_leaves_no_row_without_its_object() {
    let Some(cloud) = cloud() else { return };
    let (project, objects, rows) = twice(&cloud);
    let id = history(&project).remove(1);
    for moment in ["published:2", "rows:1"] {
        project.killed(&format!("rollback {id}"), moment);
        publish(&project, "").success();
        cloud.no_row_without_its_object(moment);
        project.jheem("verify --deep").success();
    }
    project.jheem(&format!("rollback {id}")).success();
    assert_eq!((cloud.readable(), cloud.rows()), (objects, rows));
}

#[test]
fn what_cannot_be_put_back_is_said_before_anything_is_written() {
    let Some(cloud) = cloud() else { return };
    let (project, ..) = twice(&cloud);
    let (objects, rows) = (cloud.objects(), cloud.rows());
    let ids = history(&project);
    project.jheem("rollback yesterday").code(2).says("no publish is known as `yesterday`");
    std::fs::remove_dir_all(project.path("cache")).unwrap();
    project.build("").success();
    let ran = project.jheem(&format!("rollback {}", ids[1])).code(3);
    let ran = ran.says("neither in the cache nor kept").says("6 of the objects");
    assert_eq!((cloud.objects(), cloud.rows()), (objects, rows), "{ran}");
}

#[test]
fn what_the_cache_lost_is_read_from_versions_that_the_bucket_keeps() {
    for packed in ["", "gzip = true\n"] {
        let Some(cloud) = cloud() else { return };
        cloud.ask("keep_versions", json!({ "bucket": cloud.bucket }));
        let project = cloud.project();
        project.change("cache_control = ", &format!("{packed}cache_control = "));
        written(publish(&project, ""));
        let (objects, rows) = (cloud.readable(), cloud.rows());
        project.write("data/A.txt", "1001");
        project.write("data/B.txt", "1002");
        assert_eq!(written(publish(&project, "")), (6, 6));
        // What was removed altogether is one of the old versions, too.
        project.change(r#"values = ["A", "B"]"#, r#"values = ["A"]"#);
        publish(&project, "").success();
        project.jheem("prune --at-most 50%").success();
        let first = history(&project).pop().unwrap();
        std::fs::remove_dir_all(project.path("cache")).unwrap();
        let ran = project.jheem(&format!("rollback {first}")).success();
        ran.says("read 6 objects from old versions");
        assert_eq!((cloud.readable(), cloud.rows()), (objects, rows), "{packed}");
        project.jheem("verify --deep").code(1).says("orphaned");
    }
}

#[test]
fn with_a_row_that_is_rolled_back_its_object_is_held_and_the_other_way_round() {
    let Some(cloud) = cloud() else { return };
    for (old, new) in
        [("outcome = \"{outcome}\",", "outcome = \"{outcome}!\","), ("max-age=60", "max-age=61")]
    {
        let project = cloud.project();
        publish(&project, "").success();
        project.change(old, new);
        publish(&project, "").success();
        let id = history(&project).remove(1);
        project.jheem(&format!("rollback {id}")).success().says("12 keys put back and held");
        let (objects, rows) = (cloud.readable(), cloud.rows());
        project.write("data/A.txt", "1001");
        assert_eq!(written(publish(&project, "")), (0, 0), "{new}");
        assert_eq!((cloud.readable(), cloud.rows()), (objects, rows), "{new}");
        project.jheem("verify --deep").success();
        project.jheem("rollback --release").success().says("12 keys released");
        publish(&project, "").success();
        project.jheem("verify --deep").success();
        project.change(new, old);
        project.write("data/A.txt", "1");
        publish(&project, "").success();
    }
}

#[test]
fn what_stands_already_and_what_nobody_keeps_is_said() {
    let Some(cloud) = cloud() else { return };
    let project = cloud.project();
    project.jheem("rollback --list").success().says("no publish is known");
    publish(&project, "").success();
    let id = history(&project).remove(0);
    project.jheem(&format!("rollback {id}")).success().says("stands already");
}
