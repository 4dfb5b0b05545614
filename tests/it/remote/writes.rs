//! How objects are written: packed, in parts, once, and under any key.

use serde_json::{Value, json};

use super::{Cloud, DENIED, SLOW_DOWN, another_second, behind_proxy, cloud, publish, written};
use crate::project::Project;
use crate::proxy::Fault;

/// The plot of city A and outcome x, as it stands in the bucket.
const KEY: &str = "github_actions_integration/A/50% a+b/x.json";

fn row(cloud: &Cloud) -> Value {
    cloud.rows()["A#cessation x#mean.and.interval#none"].clone()
}

/// Every object is packed, says so, and is as long as its row says.
fn all_packed(cloud: &Cloud, project: &Project) {
    let (objects, rows) = (cloud.objects(), cloud.rows());
    for city in ["A", "B"] {
        for outcome in ["x", "y", "z"] {
            let object =
                &objects[format!("github_actions_integration/{city}/50% a+b/{outcome}.json")];
            assert_eq!(object["encoding"], "gzip");
            assert_eq!(object["type"], "application/json");
            let plot: Value = serde_json::from_str(object["body"].as_str().unwrap()).unwrap();
            let built = project.read(&format!("plots/{city}/{outcome}.json"));
            let built: Value = serde_json::from_str(&built).unwrap();
            assert_eq!(plot["value"], built["value"]);
            let row = &rows[format!("{city}#cessation {outcome}#mean.and.interval#none")];
            assert_eq!(row["file_size"]["N"], object["size"].to_string());
        }
    }
    project.jheem("verify").success();
}

#[test]
fn what_is_packed_on_the_way_is_packed_once_for_each_content() {
    let Some(cloud) = cloud() else { return };
    let project = cloud.project();
    assert_eq!(written(publish(&project, "")), (6, 6));
    let plain = cloud.objects()[KEY].clone();
    project.change("cache_control =", "gzip = true\ncache_control =");
    assert_eq!(written(publish(&project, "")), (6, 6), "all are written anew, and their sizes");
    all_packed(&cloud, &project);
    let packed = cloud.objects();
    assert_ne!(packed[KEY]["size"], plain["size"]);
    assert_eq!(written(publish(&project, "")), (0, 0));
    // Another machine makes the same plots with other bytes.
    std::fs::remove_dir_all(project.path("cache")).unwrap();
    std::fs::remove_dir_all(project.path("plots")).unwrap();
    assert_eq!(written(publish(&project, "")), (0, 0));
    assert_eq!(cloud.objects(), packed, "the same contents are not packed again");
    assert!(!project.exists("cache/packed"));
    // Headers alone: the packed bytes stay, and stay said to be packed.
    project.change("max-age=60", "max-age=61");
    assert_eq!(written(publish(&project, "")), (6, 0));
    assert_eq!(cloud.objects()[KEY]["cache"], "max-age=61");
    assert_eq!(cloud.objects()[KEY]["body"], packed[KEY]["body"]);
    all_packed(&cloud, &project);
    project.write("data/B.txt", "7777777");
    assert_eq!(written(publish(&project, "")), (3, 3));
    all_packed(&cloud, &project);
    project.change("gzip = true\n", "");
    assert_eq!(written(publish(&project, "")), (6, 6));
    assert_eq!(cloud.objects()[KEY]["encoding"], json!(null));
    assert_eq!(row(&cloud)["file_size"]["N"], cloud.objects()[KEY]["size"].to_string());
    project.jheem("verify").success();
}

#[test]
fn a_packed_publish_that_is_killed_is_brought_to_its_end_by_the_next() {
    let Some(cloud) = cloud() else { return };
    let project = cloud.project();
    project.change("cache_control =", "gzip = true\ncache_control =");
    for (round, moment) in ["published:2", "rows:1", "head:1", "head:2"].iter().enumerate() {
        project.write("data/A.txt", (100 + round).to_string());
        project.killed("publish", moment);
        publish(&project, "").success();
        assert_eq!(written(publish(&project, "")), (0, 0), "after {moment}");
        all_packed(&cloud, &project);
    }
}

#[test]
fn a_row_that_looks_the_same_is_written_when_its_object_is() {
    let Some(cloud) = cloud() else { return };
    let project = cloud.project();
    project.change(" value = \"{plot:/value}\",", "");
    assert_eq!(written(publish(&project, "")), (6, 6));
    let before = cloud.rows();
    another_second();
    // Another content of the same size: nothing of its row changes but the time.
    project.write("data/A.txt", "9\n");
    assert_eq!(written(publish(&project, "")), (3, 3));
    let after = cloud.rows();
    for (key, row) in after.as_object().unwrap() {
        let same = row["created_at"] == before[key]["created_at"];
        assert_eq!(same, key.starts_with("B#"), "{key}");
    }
    project.jheem("verify").success();
    assert_eq!(written(publish(&project, "")), (0, 0));
}

#[test]
fn a_row_keeps_its_time_when_only_another_object_of_its_folder_changed() {
    let Some(cloud) = cloud() else { return };
    let project = cloud.project();
    project.change(" value = \"{plot:/value}\",", "");
    assert_eq!(written(publish(&project, "")), (6, 6));
    let before = cloud.rows();
    another_second();
    // All are made anew with other bytes; one of them with another content.
    std::fs::remove_dir_all(project.path("cache")).unwrap();
    std::fs::remove_dir_all(project.path("plots")).unwrap();
    let model = project.read("model.sh");
    project.write("model.sh", model.replace("\"value\"", "\"of\": \"$outcome\", \"value\""));
    assert_eq!(written(publish(&project, "--where city=A --where outcome=x")).0, 1);
    let after = cloud.rows();
    for (key, row) in after.as_object().unwrap() {
        let same = row["created_at"] == before[key]["created_at"];
        assert_eq!(same, key != "A#cessation x#mean.and.interval#none", "{key}");
    }
    project.jheem("verify").success();
}

#[test]
fn keys_with_any_characters_are_those_that_a_reader_asks_for() {
    let Some(cloud) = cloud() else { return };
    let project = cloud.project();
    let text = project.read("Jheemfile.toml");
    let odd = "a+b %41 50% =x&y;z é São 北京 (1) [2] ~'!,@$ #h?q";
    let text = text
        .replace("50% a+b/{outcome}.json", &format!("{odd}/..{{city}}.json.d/{{outcome}}.tar.gz."));
    project.write("Jheemfile.toml", text);
    assert_eq!(written(publish(&project, "")), (6, 6));
    let key =
        |outcome: &str| format!("github_actions_integration/A/{odd}/..A.json.d/{outcome}.tar.gz.");
    let objects = cloud.objects();
    assert_eq!(objects.as_object().unwrap().len(), 6);
    assert_eq!(objects[key("x")]["body"], project.read("plots/A/x.json"), "{objects:#}");
    assert_eq!(row(&cloud)["s3_key"]["S"], key("x"));
    // Copied onto themselves, replaced, and found again.
    project.change("max-age=60", "max-age=61");
    assert_eq!(written(publish(&project, "")), (6, 0));
    assert_eq!(cloud.objects()[key("y")]["cache"], "max-age=61");
    project.write("data/A.txt", "5");
    assert_eq!(written(publish(&project, "")), (3, 3));
    assert_eq!(cloud.objects()[key("y")]["body"], project.read("plots/A/y.json"));
    assert_eq!(written(publish(&project, "")), (0, 0));
    project.jheem("verify").success();
}

/// A project whose plots are so large that they are sent in parts: 70 MiB each.
fn large(cloud: &Cloud) -> Project {
    let project = cloud.project();
    project.change("volatile = [\"/generation_time\"]\n", "");
    let text = project.read("Jheemfile.toml");
    let begin = text.find("[[plot.p.audit]]").unwrap();
    let end = text.find("[publish.site]").unwrap();
    let text = text.replace(&text[begin..end], "").replace(" value = \"{plot:/value}\",", "");
    let text = text.replace("as = \"json\"", "as = \"bytes\"");
    let text = text.replace("[\"x\", \"y\", \"z\"]", "[\"x\"]");
    project.write("Jheemfile.toml", text.replace("[\"A\", \"B\"]", "[\"A\"]"));
    project.write("model.sh", LARGE);
    project
}

const LARGE: &str = r#"#!/bin/sh
out=$2; city=$3
mkdir -p "$out/$city"
for outcome in $(echo "$4" | tr , ' '); do
    echo "GENERATING: $city/$outcome"
    { cat data/$city.txt; yes "$outcome" | head -c 73400320; } > "$out/$city/$outcome.json"
    echo "SUCCESS: $outcome.json"
done
"#;

fn standing_large(cloud: &Cloud, project: &Project) -> Value {
    let object = cloud.objects()[KEY].clone();
    let built = std::fs::metadata(project.path("plots/A/x.json")).unwrap().len();
    assert_eq!(object["size"], built);
    assert!(object["body"].as_str().unwrap() == project.read("plots/A/x.json"));
    assert_eq!(object["cache"], "max-age=60");
    assert_eq!(object["metadata"]["city"], "A");
    let none = cloud.ask("uploads", json!({ "bucket": cloud.bucket }));
    assert_eq!(none, json!([]), "nothing is left of what was sent in parts");
    json!(object["written"])
}

#[test]
fn large_objects_are_sent_in_parts_and_leave_no_parts_behind() {
    let Some(cloud) = cloud() else { return };
    let project = large(&cloud);
    assert_eq!(written(publish(&project, "")), (1, 1));
    let first = standing_large(&cloud, &project);
    assert_eq!(written(publish(&project, "")), (0, 0));
    project.jheem("verify").success();
    project.write("data/A.txt", "2\n");
    // Killed in the middle of its parts, and in another life in the end of it.
    for moment in ["part:2", "published:1"] {
        project.killed("publish", moment);
    }
    publish(&project, "").success();
    assert_ne!(standing_large(&cloud, &project), first);
    assert_eq!(written(publish(&project, "")), (0, 0));
    project.jheem("verify").success();
}

#[test]
fn a_large_object_that_cannot_be_sent_is_aborted() {
    let Some(cloud) = cloud() else { return };
    let (project, proxy) = behind_proxy(&cloud);
    let large = large(&cloud);
    for file in ["Jheemfile.toml", "model.sh"] {
        project.write(file, large.read(file));
    }
    proxy.fail("partNumber=3", 1, Fault::Answer(403, DENIED));
    publish(&project, "").code(1).says("is denied").says("`s3:PutObject`");
    assert_eq!(cloud.ask("uploads", json!({ "bucket": cloud.bucket })), json!([]));
    assert_eq!(cloud.objects(), json!({}));
    // A part is tried again; so is the end, whose answer was lost.
    proxy.fail("partNumber=1", 2, Fault::Answer(503, SLOW_DOWN));
    proxy.fail("POST /", 1, Fault::Cut);
    publish(&project, "").success();
    standing_large(&cloud, &project);
}

#[test]
fn what_somebody_else_put_under_a_large_object_is_not_touched() {
    let Some(cloud) = cloud() else { return };
    let project = large(&cloud);
    cloud.ask("put", json!({ "bucket": cloud.bucket, "key": KEY, "body": "theirs" }));
    publish(&project, "").code(1).says("something that jheem did not publish stands there");
    assert_eq!(cloud.objects()[KEY]["body"], "theirs");
    cloud.ask("remove", json!({ "bucket": cloud.bucket, "key": KEY }));
    publish(&project, "").success();
    standing_large(&cloud, &project);
    cloud.ask("put", json!({ "bucket": cloud.bucket, "key": KEY, "body": "theirs" }));
    project.write("data/A.txt", "2\n");
    publish(&project, "").code(1).says("was written over").says("hint: ");
    assert_eq!(cloud.objects()[KEY]["body"], "theirs");
}

#[test]
fn what_is_written_once_is_never_written_over() {
    let Some(cloud) = cloud() else { return };
    let project = cloud.project();
    project.change("cache_control =", "write = \"create\"\ncache_control =");
    assert_eq!(written(publish(&project, "")), (6, 6));
    assert_eq!(written(publish(&project, "")), (0, 0));
    let before = cloud.objects();
    project.write("data/B.txt", "7");
    let ran = publish(&project, "").code(1).says("is never written over, but its content changed");
    let ran = ran.says("hint: give another `key`");
    assert_eq!(cloud.objects(), before, "{ran}");
    project.change("max-age=60", "max-age=61");
    publish(&project, "--where city=A").code(1).says("its headers changed");
    assert_eq!(cloud.objects(), before);
    // Under another key everything is new.
    project.change("50% a+b/", "v2/50% a+b/");
    assert_eq!(written(publish(&project, "")), (6, 6));
    assert_eq!(cloud.objects().as_object().unwrap().len(), 12);
}

#[test]
fn metadata_in_any_language_reaches_its_reader() {
    let Some(cloud) = cloud() else { return };
    let project = cloud.project();
    project.change("metadata = { city", "metadata = { place = \"São Paulo, 北京 {city}\", city");
    assert_eq!(written(publish(&project, "")), (6, 6));
    let place = &cloud.objects()[KEY]["metadata"]["place"];
    assert_eq!(cloud.ask("decoded", json!({ "text": place })), "São Paulo, 北京 A");
    assert_eq!(written(publish(&project, "")), (0, 0));
    project.jheem("verify").success();
    project.change("São Paulo, 北京 {city}", &"long ".repeat(500));
    publish(&project, "").code(1).says("its metadata takes").says("a bucket takes 2048");
}

#[test]
fn a_row_that_is_too_large_is_refused_by_name_before_anything_is_written() {
    let Some(cloud) = cloud() else { return };
    let project = cloud.project();
    let text = "x".repeat(420_000);
    project.change("value = \"{plot:/value}\"", &format!("value = \"{text}\""));
    let ran = publish(&project, "").code(1);
    drop(
        ran.says("the row of `plot.p[city=A, outcome=x]` cannot be published")
            .says("409600 are the most"),
    );
    assert_eq!(cloud.objects(), serde_json::json!({}), "no object stands without its row");
}
