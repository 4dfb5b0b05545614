//! Whole editions of a data set, each below a prefix of its own, and an index that names the latest.

use serde_json::{Value, json};

use super::rolling_back::history;
use super::{Cloud, another_second, behind_proxy, cloud, publish, written};
use crate::project::Project;

/// The editions of a bucket as readers find them.
struct Editions {
    objects: Value,
}

impl Cloud {
    fn editions(&self) -> Editions {
        Editions { objects: self.readable() }
    }
}

impl Editions {
    fn index(&self) -> Value {
        let body = self.objects["rw/index.json"]["body"].as_str().expect("there is an index");
        serde_json::from_str(body).unwrap()
    }

    fn latest(&self) -> String {
        self.index()["edition"].as_str().unwrap().to_owned()
    }

    /// The keys of an edition, all of which stand as its list says.
    fn whole(&self, edition: &str) -> Vec<String> {
        let list = self.objects[format!("rw/{edition}/manifest.json")]["body"].as_str();
        let list: Value = serde_json::from_str(list.expect("an edition has a list")).unwrap();
        let listed = list["objects"].as_object().unwrap();
        for (key, told) in listed {
            let object = &self.objects[format!("rw/{edition}/{key}")];
            assert_eq!(object["size"], told["size"], "{edition}: {key}");
            assert_eq!(object["type"], told["content_type"], "{edition}: {key}");
        }
        listed.keys().cloned().collect()
    }

    fn value(&self, edition: &str, key: &str) -> Value {
        let body = self.objects[format!("rw/{edition}/{key}")]["body"].as_str();
        let plot: Value = serde_json::from_str(body.expect("the plot is there")).unwrap();
        plot["value"].clone()
    }

    /// How many there are, whole or not.
    fn count(&self) -> usize {
        let keys = self.objects.as_object().unwrap().keys();
        let mut names: Vec<&str> = keys.filter_map(|key| key.split('/').nth(1)).collect();
        names.retain(|name| *name != "index.json");
        names.dedup();
        names.len()
    }
}

const PUBLISH: &str = r#"
[publish.data]
of = "plot.p"
editions = "index.json"
[publish.data.object.plot]
to = "s3://BUCKET/rw"
key = "{city}/{file}"
metadata = { city = "{city}" }
uncompared = { timestamp = "{now}" }
"#;

fn of_editions(cloud: &Cloud, project: Project) -> Project {
    let text = project.read("Jheemfile.toml");
    let (text, _) = text.split_once("[publish.site]").unwrap();
    let publish = PUBLISH.replace("BUCKET", &cloud.bucket);
    project.write("Jheemfile.toml", format!("{text}{publish}"));
    project
}

#[test]
fn an_edition_is_whole_and_stays_as_it_is_and_the_index_names_the_latest() {
    let Some(cloud) = cloud() else { return };
    let (project, proxy) = behind_proxy(&cloud);
    let project = of_editions(&cloud, project);
    // Six plots, their list, and the index.
    assert_eq!(written(publish(&project, "")), (8, 0));
    let first = cloud.editions();
    let edition = first.latest();
    let keys = ["A/x.json", "A/y.json", "A/z.json", "B/x.json", "B/y.json", "B/z.json"];
    assert_eq!(first.whole(&edition), keys);
    assert_eq!(first.index()["objects"], 6);
    let plot = &first.objects[format!("rw/{edition}/A/x.json")];
    assert_eq!(plot["body"], project.read("plots/A/x.json"));
    assert_eq!(plot["cache"], "public, max-age=31536000, immutable");
    assert_eq!(first.objects["rw/index.json"]["cache"], "no-cache");
    project.jheem("verify --deep").success();
    // Nothing changed; also where other bytes have the same content, and the machine is another.
    for another in [false, true] {
        if another {
            another_second();
            std::fs::remove_dir_all(project.path("cache")).unwrap();
            std::fs::remove_dir_all(project.path("plots")).unwrap();
        }
        proxy.asked();
        assert_eq!(written(publish(&project, "")), (0, 0));
        let asked = proxy.asked();
        let asked: Vec<_> = asked.iter().filter(|a| !a.starts_with("CONNECT")).collect();
        assert!(asked.len() <= 4, "{asked:?}");
        assert_eq!(cloud.editions().objects, first.objects);
    }
    // What did not change is copied in the bucket, with the bytes that stood there.
    project.write("data/A.txt", "1001");
    assert_eq!(written(publish(&project, "")), (8, 0));
    let second = cloud.editions();
    assert_ne!(second.latest(), edition);
    assert_eq!(second.whole(&second.latest()), keys);
    for key in keys {
        assert_eq!(second.value(&edition, key), first.value(&edition, key), "{key}");
        let (before, now) = (&first.objects[format!("rw/{edition}/{key}")], second.latest());
        let same = second.objects[format!("rw/{now}/{key}")] == *before;
        assert_eq!(same, key.starts_with('B'), "{key}");
    }
    project.jheem("verify --deep").success();
    // What it was once, it is again: nothing but the index is written.
    project.write("data/A.txt", "1\n");
    assert_eq!(written(publish(&project, "")), (1, 0));
    assert_eq!((cloud.editions().latest(), cloud.editions().count()), (edition, 2));
    // A plot that is gone makes another edition.
    project.change(r#"values = ["x", "y", "z"]"#, r#"values = ["x", "y"]"#);
    assert_eq!(written(publish(&project, "--fewer")), (6, 0));
    let third = cloud.editions();
    assert_eq!(third.whole(&third.latest()).len(), 4);
    assert_eq!(written(publish(&project, "")), (0, 0));
}

#[test]
fn packed_plots_are_copied_as_they_were_packed() {
    let Some(cloud) = cloud() else { return };
    let project = of_editions(&cloud, cloud.project());
    project.change("metadata =", "gzip = true\nmetadata =");
    assert_eq!(written(publish(&project, "")), (8, 0));
    let first = cloud.editions();
    std::fs::remove_dir_all(project.path("cache")).unwrap();
    std::fs::remove_dir_all(project.path("plots")).unwrap();
    project.write("data/A.txt", "1001");
    assert_eq!(written(publish(&project, "")), (8, 0));
    let second = cloud.editions();
    let (before, now) = (first.latest(), second.latest());
    assert_eq!(second.objects[format!("rw/{now}/A/x.json")]["encoding"], "gzip");
    assert_eq!(
        second.objects[format!("rw/{now}/B/x.json")],
        first.objects[format!("rw/{before}/B/x.json")]
    );
    assert_eq!(second.whole(&now).len(), 6);
    project.jheem("verify --deep").success();
}

#[test]
fn a_killed_publish_leaves_the_index_naming_a_whole_edition() {
    let Some(cloud) = cloud() else { return };
    let project = of_editions(&cloud, cloud.project());
    publish(&project, "").success();
    for (round, moment) in
        ["intended:1", "published:3", "read-back:1", "published:8", "chunk:1", "head:1"]
            .iter()
            .enumerate()
    {
        let value = 100 + round as u64;
        project.write("data/A.txt", value.to_string());
        let before = cloud.editions().latest();
        let killed = project.command("publish").env("JHEEM_KILL_AT", moment).output().unwrap();
        assert!(killed.status.code().is_none(), "{moment} was not come to: {killed:?}");
        let found = cloud.editions();
        assert_eq!(found.whole(&found.latest()).len(), 6, "{moment}");
        let named = ["intended:1", "published:3", "read-back:1"].contains(moment);
        assert_eq!(found.latest() == before, named, "{moment}");
        publish(&project, "").success();
        let found = cloud.editions();
        assert_eq!(found.whole(&found.latest()).len(), 6, "{moment}");
        let value = value.to_string();
        assert_eq!(found.value(&found.latest(), "A/x.json"), value, "{moment}");
        assert_eq!(written(publish(&project, "")), (0, 0), "{moment}");
        project.jheem("verify").success();
    }
}

#[test]
fn an_edition_is_published_whole_or_not_at_all() {
    let Some(cloud) = cloud() else { return };
    let project = of_editions(&cloud, cloud.project());
    publish(&project, "").success();
    let before = cloud.editions().objects;
    project.write("data/A.txt", "1001");
    let ran = publish(&project, "--where city=A").says("only 3 of the 6 targets were asked for");
    assert_eq!(written(ran), (0, 0));
    // One city cannot be built.
    project.write("data/B.txt", "fail");
    std::fs::remove_file(project.path("data/B.txt")).unwrap();
    publish(&project, "--keep-going").says("holds back everything");
    assert_eq!(cloud.editions().objects, before);
}

#[test]
fn what_is_missing_in_the_edition_before_is_said_and_the_index_stays() {
    let Some(cloud) = cloud() else { return };
    let project = of_editions(&cloud, cloud.project());
    publish(&project, "").success();
    let before = cloud.editions().latest();
    let key = format!("rw/{before}/B/x.json");
    cloud.ask("remove", json!({ "bucket": cloud.bucket, "key": key }));
    project.write("data/A.txt", "1001");
    let ran = publish(&project, "").code(1).says("cannot be copied").says("verify --repair");
    assert_eq!(cloud.editions().latest(), before, "{ran}");
    project.jheem("verify --repair").success();
    publish(&project, "").success();
    let found = cloud.editions();
    assert_ne!(found.latest(), before);
    assert_eq!(found.whole(&found.latest()).len(), 6);
    // The index is named only once all was read back.
    project.write("data/A.txt", "1002");
    let killed = project.command("publish").env("JHEEM_KILL_AT", "read-back:1").output().unwrap();
    assert!(killed.status.code().is_none(), "{killed:?}");
    let keys = cloud.ask("keys", json!({ "bucket": cloud.bucket }));
    let (latest, before) = (found.latest(), before.as_str());
    let new = keys.as_array().unwrap().iter().filter_map(Value::as_str).find(|key| {
        let known = key.contains(&latest) || key.contains(before) || key.contains(".jheem");
        key.ends_with("/B/y.json") && !known
    });
    cloud.ask("put", json!({ "bucket": cloud.bucket, "key": new.unwrap(), "body": "theirs" }));
    publish(&project, "").code(1);
    assert_eq!(cloud.editions().latest(), latest);
}

#[test]
fn a_rollback_names_an_earlier_edition_again_and_prune_keeps_those_that_it_could_name() {
    let Some(cloud) = cloud() else { return };
    let project = of_editions(&cloud, cloud.project());
    publish(&project, "").success();
    let first = cloud.editions().latest();
    for round in 0..3 {
        project.write("data/A.txt", (100 + round).to_string());
        publish(&project, "").success();
    }
    assert_eq!(cloud.editions().count(), 4);
    project.jheem("prune").success();
    assert_eq!(cloud.editions().count(), 4, "each could be named by a rollback");
    let id = history(&project).pop().unwrap();
    // The text of the index follows from the edition, also where no cache has it.
    std::fs::remove_dir_all(project.path("cache")).unwrap();
    project.jheem(&format!("rollback {id} --where city=A")).code(2).says("whole editions");
    project.jheem(&format!("rollback {id}")).success().says("1 key put back and held");
    assert_eq!(cloud.editions().latest(), first);
    project.write("data/A.txt", "200");
    publish(&project, "").success().says("is held as it was rolled back to");
    assert_eq!(cloud.editions().latest(), first);
    project.jheem("rollback --release").success();
    assert_eq!(written(publish(&project, "")), (1, 0));
    assert_ne!(cloud.editions().latest(), first);
    for round in 0..12 {
        project.write("data/A.txt", (300 + round).to_string());
        publish(&project, "").success();
    }
    let latest = cloud.editions().latest();
    project.jheem("prune").code(2).says("--at-most");
    project.jheem("prune --at-most 80%").success();
    let found = cloud.editions();
    // The latest, and those of the ten publishes before.
    assert_eq!((found.latest(), found.count()), (latest.clone(), 11));
    assert_eq!(found.whole(&latest).len(), 6);
    project.jheem("verify --deep").success();
}

#[test]
fn an_object_of_an_edition_is_traced_to_its_plot() {
    let Some(cloud) = cloud() else { return };
    let project = of_editions(&cloud, cloud.project());
    publish(&project, "").success();
    let edition = cloud.editions().latest();
    let url = format!("s3://{}/rw/{edition}/A/x.json", cloud.bucket);
    project.jheem(&format!("trace {url}")).success().says("plot.p[city=A, outcome=x]");
}
