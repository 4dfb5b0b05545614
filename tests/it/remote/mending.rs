//! What is published is looked through, and put back where it is missing: in a bucket and a table, a folder and a database.

use super::*;

/// The differences that were told, as `kind key` with short keys, in order.
pub(super) fn told(ran: &Ran, event: &str) -> Vec<String> {
    let told = ran.events().into_iter().filter(|e| e["event"] == event);
    let mut told: Vec<String> = told
        .map(|e| {
            let key = e["key"].as_str().unwrap();
            let key = key.replace("/50% a+b/", "/").replace("#mean.and.interval#none", "");
            let key =
                key.replace("city_scenario=", "").replace("#cessation, outcome_stat_facet=", "#");
            match e["kind"].as_str() {
                Some(kind) => format!("{kind} {key}"),
                None => key,
            }
        })
        .collect();
    told.sort();
    told
}

pub(super) fn key(city: &str, outcome: &str) -> String {
    format!("github_actions_integration/{city}/50% a+b/{outcome}.json")
}

fn row(city: &str, outcome: &str) -> Value {
    json!({ "city_scenario": { "S": format!("{city}#cessation") }, "outcome_stat_facet": { "S": format!("{outcome}#mean.and.interval#none") } })
}

impl Cloud {
    pub(super) fn remove_object(&self, city: &str, outcome: &str) {
        self.ask("remove", json!({ "bucket": self.bucket, "key": key(city, outcome) }));
    }

    pub(super) fn remove_row(&self, city: &str, outcome: &str) {
        self.ask("remove_row", json!({ "table": self.table, "key": row(city, outcome) }));
    }

    /// Objects less when they were written.
    pub(super) fn readable(&self) -> Value {
        let mut objects = self.objects();
        for object in objects.as_object_mut().unwrap().values_mut() {
            object.as_object_mut().unwrap().remove("written");
        }
        objects
    }
}

#[test]
fn what_somebody_removed_is_put_back_as_it_was_published() {
    let Some(cloud) = cloud() else { return };
    let project = cloud.project();
    written(publish(&project, ""));
    let (objects, rows) = (cloud.readable(), cloud.rows());
    cloud.remove_object("A", "x");
    cloud.remove_object("B", "y");
    cloud.remove_row("A", "x");
    cloud.remove_row("B", "z");
    // What is built now is another content, which a repair does not publish.
    project.write("data/A.txt", "9");
    project.build("").success();
    let ran = project.jheem("verify --repair --format json").success();
    assert_eq!(told(&ran, "repaired"), ["A#x", "A/x.json", "B#z", "B/y.json"], "{ran}");
    assert_eq!(ran.last()["repaired"], 4, "{ran}");
    assert_eq!(cloud.readable(), objects, "the same bytes and headers as before");
    assert_eq!(cloud.rows(), rows);
    project.jheem("verify").success();
    project.jheem("verify --deep").success();
    // The manifest knows the new versions: a publish goes on from them.
    assert_eq!(written(publish(&project, "")), (3, 3));
    assert_eq!(cloud.objects()[key("A", "x")]["body"], project.read("plots/A/x.json"));
}

#[test]
fn a_repair_reverts_nothing_that_another_tool_wrote() {
    let Some(cloud) = cloud() else { return };
    let project = cloud.project();
    written(publish(&project, ""));
    cloud.ask("put", json!({ "bucket": cloud.bucket, "key": key("A", "x"), "body": "theirs" }));
    cloud.ask("put", json!({ "bucket": cloud.bucket, "key": key("A", "new"), "body": "{}" }));
    cloud.ask("put_row", json!({ "table": cloud.table, "item": row("B", "y") }));
    cloud.remove_object("B", "z");
    let (mut objects, rows) = (cloud.readable(), cloud.rows());
    let ran = project.jheem("verify --repair --format json").code(1);
    assert_eq!(
        told(&ran, "drift"),
        ["changed A/x.json", "changed B#y", "foreign A/new.json", "missing B/z.json"],
        "{ran}"
    );
    assert_eq!(told(&ran, "repaired"), ["B/z.json"]);
    let mut after = cloud.readable();
    after.as_object_mut().unwrap().remove(&key("B", "z"));
    objects.as_object_mut().unwrap().remove(&key("B", "z"));
    assert_eq!((after, cloud.rows()), (objects, rows));
}

#[test]
fn bytes_that_nobody_has_any_more_are_made_again_before_they_are_put_back() {
    let Some(cloud) = cloud() else { return };
    let project = cloud.project();
    written(publish(&project, ""));
    cloud.remove_object("A", "x");
    cloud.remove_object("B", "x");
    cloud.remove_row("A", "x");
    std::fs::remove_dir_all(project.path("cache")).unwrap();
    std::fs::remove_dir_all(project.path("plots")).unwrap();
    let ran = project.jheem("verify --repair --format json").code(1);
    let ran = ran.says("no longer in the cache").says("jheem build plots/A/x.json");
    assert_eq!(told(&ran, "lost"), ["A#x", "A/x.json", "B/x.json"], "{ran}");
    cloud.no_row_without_its_object_but(&[key("B", "x")], "half put back");
    project.write("data/B.txt", "12345");
    project.build("").success();
    let ran = project.jheem("verify --repair --format json").code(1);
    assert_eq!(told(&ran, "repaired"), ["A#x", "A/x.json"], "{ran}");
    // Another content is for a publish to put.
    let ran = ran.says("jheem publish plots/B/x.json");
    assert_eq!(told(&ran, "lost"), ["B/x.json"], "{ran}");
    assert_eq!(cloud.objects()[key("A", "x")]["body"], project.read("plots/A/x.json"));
    let size = project.read("plots/A/x.json").len().to_string();
    assert_eq!(
        cloud.rows()["A#cessation x#mean.and.interval#none"]["file_size"],
        json!({ "N": size }),
        "a row speaks of the bytes that stand there"
    );
    publish(&project, "plots/B/x.json").success();
    publish(&project, "").success();
    project.jheem("verify --deep").success();
}

#[test]
fn a_repair_that_is_killed_is_brought_to_its_end_by_the_next() {
    let Some(cloud) = cloud() else { return };
    let project = cloud.project();
    written(publish(&project, ""));
    let (objects, rows) = (cloud.readable(), cloud.rows());
    for moment in ["intended:1", "published:1", "intended:2", "rows:1", "committed:1"] {
        for outcome in ["x", "y"] {
            cloud.remove_object("A", outcome);
            cloud.remove_row("A", outcome);
        }
        project.killed("verify --repair", moment);
        cloud.no_row_without_its_object(moment);
        project.jheem("verify --repair").success();
        assert_eq!((cloud.readable(), cloud.rows()), (objects.clone(), rows.clone()), "{moment}");
        project.jheem("verify").success();
    }
}

#[test]
fn a_deep_look_finds_what_a_listing_does_not_show() {
    let Some(cloud) = cloud() else { return };
    let project = cloud.project();
    written(publish(&project, ""));
    project.jheem("verify --deep").success();
    cloud.ask(
        "retype",
        json!({ "bucket": cloud.bucket, "key": key("B", "y"), "cache": "no-store" }),
    );
    let ran = project.jheem("verify --deep --format json").code(1);
    assert_eq!(told(&ran, "drift"), ["changed B/y.json"], "{ran}");
}
