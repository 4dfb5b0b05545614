//! How objects are written: packed, in parts, once, and under any key.

use serde_json::{Value, json};

use super::{Cloud, cloud, publish, written};
use crate::project::Project;

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
        let killed = project.command("publish").env("JHEEM_KILL_AT", moment).output().unwrap();
        assert!(killed.status.code().is_none(), "{moment} was not come to: {killed:?}");
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
    // All are made anew with other bytes; one of them with another content.
    std::fs::remove_dir_all(project.path("cache")).unwrap();
    std::fs::remove_dir_all(project.path("plots")).unwrap();
    project.change("[publish.site.row.plot]", "[publish.site.row.plot] # one of them is edited");
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
