//! Whole editions of a data set, each below a prefix of its own, and an index that names the latest.

use serde_json::{Value, json};

use super::rolling_back::history;
use super::{Cloud, another_second, behind_proxy, cloud, publish, written};
use crate::project::{Project, Ran};

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
    // A plot that is gone makes another edition.
    project.change(r#"values = ["x", "y", "z"]"#, r#"values = ["x", "y"]"#);
    assert_eq!(written(publish(&project, "--fewer")), (6, 0));
    let third = cloud.editions();
    assert_eq!(third.whole(&third.latest()).len(), 4);
    assert_eq!(written(publish(&project, "")), (0, 0));
}

#[test]
fn what_is_as_it_was_once_is_the_edition_that_it_was() {
    let Some(cloud) = cloud() else { return };
    let project = of_editions(&cloud, cloud.project());
    publish(&project, "").success();
    let first = cloud.editions().latest();
    project.write("data/A.txt", "1001");
    publish(&project, "").success();
    project.write("data/A.txt", "1\n");
    assert_eq!(written(publish(&project, "")), (1, 0), "nothing but the index");
    assert_eq!((cloud.editions().latest(), cloud.editions().count()), (first, 2));
}

#[test]
fn nothing_changed_takes_five_requests_at_most_however_many_editions_there_are() {
    let Some(cloud) = cloud() else { return };
    let (project, proxy) = behind_proxy(&cloud);
    let project = of_editions(&cloud, project);
    for round in 0..5 {
        project.write("data/A.txt", (100 + round).to_string());
        let dry = publish(&project, "--dry-run").success();
        let ran = publish(&project, "").success();
        let of = |ran: &Ran, event: &str| {
            let found = ran.events().into_iter().find(|found| found["event"] == event);
            found.map(|found| found["requests"].clone())
        };
        // What is not built yet is not foretold.
        if round == 0 {
            drop((dry, ran));
            continue;
        }
        project.write("data/B.txt", (100 + round).to_string());
        project.build("").success();
        let dry = publish(&project, "--dry-run").success();
        let ran = publish(&project, "").success();
        assert_eq!(of(&ran, "requests"), of(&dry, "expected"), "{dry}{ran}");
    }
    proxy.asked();
    assert_eq!(written(publish(&project, "")), (0, 0));
    let asked = proxy.asked();
    assert!(asked.len() <= 5, "{asked:?}");
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
        project.killed("publish", moment);
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
fn what_is_not_as_it_was_in_the_edition_before_is_taken_from_what_was_built() {
    let Some(cloud) = cloud() else { return };
    let project = of_editions(&cloud, cloud.project());
    publish(&project, "").success();
    let before = cloud.editions().latest();
    let key = |plot: &str| format!("rw/{before}/B/{plot}.json");
    cloud.ask("remove", json!({ "bucket": cloud.bucket, "key": key("x") }));
    cloud.ask("put", json!({ "bucket": cloud.bucket, "key": key("y"), "body": "theirs" }));
    project.write("data/A.txt", "1001");
    publish(&project, "").success();
    let found = cloud.editions();
    assert_ne!(found.latest(), before);
    assert_eq!(found.whole(&found.latest()).len(), 6);
    assert_eq!(found.value(&found.latest(), "B/y.json"), "2");
}

#[test]
fn what_somebody_else_put_into_an_edition_is_not_written_over_and_the_index_stays() {
    let Some(cloud) = cloud() else { return };
    let project = of_editions(&cloud, cloud.project());
    publish(&project, "").success();
    let first = cloud.editions().latest();
    project.write("data/A.txt", "1001");
    project.killed("publish", "read-back:1");
    let keys = cloud.ask("keys", json!({ "bucket": cloud.bucket }));
    let keys = keys.as_array().unwrap().iter().filter_map(Value::as_str);
    let new = |key: &&str| key.ends_with("/B/y.json") && !key.contains(&first);
    let theirs = keys.clone().find(new).unwrap();
    cloud.ask("put", json!({ "bucket": cloud.bucket, "key": theirs, "body": "theirs" }));
    publish(&project, "").code(1).says("something that jheem did not publish stands there");
    assert_eq!(cloud.editions().objects[theirs]["body"], "theirs");
    assert_eq!(cloud.editions().latest(), first);
    // An index of somebody else is found before anything is uploaded.
    let other = of_editions(&cloud, cloud.project());
    other.change("/rw\"", "/other\"");
    let index = json!({ "bucket": cloud.bucket, "key": "other/index.json", "body": "theirs" });
    cloud.ask("put", index);
    publish(&other, "").code(1).says("`index.json` cannot be written");
    let keys = cloud.ask("keys", json!({ "bucket": cloud.bucket }));
    let below = keys.as_array().unwrap().iter().filter_map(Value::as_str);
    assert_eq!(below.filter(|key| key.starts_with("other/")).count(), 1);
}

#[test]
fn a_copy_writes_over_nothing_that_somebody_else_put_there() {
    let Some(cloud) = cloud() else { return };
    let project = of_editions(&cloud, cloud.project());
    publish(&project, "").success();
    project.change("/rw\"", "/other\"");
    publish(&project, "").success();
    // The same edition at another place tells how the next one will be called.
    project.write("data/A.txt", "1001");
    publish(&project, "").success();
    let keys = cloud.ask("keys", json!({ "bucket": cloud.bucket }));
    let keys: Vec<&str> = keys.as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let first = cloud.editions().latest();
    let next = |key: &&&str| key.starts_with("other/") && key.ends_with("/B/x.json");
    let next = keys.iter().filter(next).find(|key| !key.contains(&first)).unwrap();
    let theirs = next.replace("other/", "rw/");
    cloud.ask("put", json!({ "bucket": cloud.bucket, "key": theirs, "body": "theirs" }));
    project.change("/other\"", "/rw\"");
    publish(&project, "").code(1).says("something that jheem did not publish stands there");
    assert_eq!(cloud.editions().objects[&theirs]["body"], "theirs");
    assert_eq!(cloud.editions().latest(), first);
}

#[test]
fn an_edition_that_nobody_can_make_whole_again_is_replaced_by_another() {
    let Some(cloud) = cloud() else { return };
    let project = of_editions(&cloud, cloud.project());
    publish(&project, "").success();
    let first = cloud.editions().latest();
    // The texts of an edition follow from it, wherever its bytes are.
    std::fs::remove_dir_all(project.path("cache")).unwrap();
    for key in ["manifest.json", "../index.json"] {
        let key = format!("rw/{first}/{key}").replace(&format!("{first}/../"), "");
        cloud.ask("remove", json!({ "bucket": cloud.bucket, "key": key }));
    }
    another_second();
    project.jheem("verify --repair").success();
    assert_eq!(cloud.editions().whole(&first).len(), 6);
    // A plot is lost, with the bytes that it had; and so is the index.
    for key in [format!("rw/{first}/A/x.json"), "rw/index.json".to_owned()] {
        cloud.ask("remove", json!({ "bucket": cloud.bucket, "key": key }));
    }
    std::fs::remove_dir_all(project.path("plots")).unwrap();
    let ran = project.jheem("verify --repair").code(1).says("`jheem publish`");
    assert!(cloud.editions().objects.get("rw/index.json").is_none(), "{ran}");
    project.jheem("verify").code(1);
    publish(&project, "").success();
    let found = cloud.editions();
    assert_ne!(found.latest(), first);
    assert_eq!(found.whole(&found.latest()).len(), 6);
    project.jheem("verify --deep").success();
}

#[test]
fn a_rollback_names_no_edition_that_is_not_whole() {
    let Some(cloud) = cloud() else { return };
    let project = of_editions(&cloud, cloud.project());
    publish(&project, "").success();
    let first = cloud.editions().latest();
    project.write("data/A.txt", "1001");
    publish(&project, "").success();
    let second = cloud.editions().latest();
    let id = history(&project).remove(1);
    cloud.ask("remove", json!({ "bucket": cloud.bucket, "key": format!("rw/{first}/B/x.json") }));
    project.jheem(&format!("rollback {id}")).code(3).says("index is left as it was");
    assert_eq!(cloud.editions().latest(), second);
    project.jheem("verify --repair").success();
    // All of an edition that was removed is put back before the index names it, whenever that is cut off.
    project.change("editions = \"index.json\"\n", "");
    publish(&project, "").success();
    project.jheem("prune --at-most 100%").success();
    assert!(cloud.editions().objects.get("rw/index.json").is_none());
    project.change(
        "of = \"plot.p\"\n[publish.data.o",
        "of = \"plot.p\"\neditions = \"index.json\"\n[publish.data.o",
    );
    for moment in ["published:3", "read-back:1"] {
        project.killed(&format!("rollback {id}"), moment);
        assert!(cloud.editions().objects.get("rw/index.json").is_none(), "{moment}");
    }
    project.jheem(&format!("rollback {id}")).success();
    assert_eq!(cloud.editions().latest(), first);
    assert_eq!(cloud.editions().whole(&first).len(), 6);
}

#[test]
fn a_prune_takes_an_index_away_before_its_edition() {
    let Some(cloud) = cloud() else { return };
    let project = of_editions(&cloud, cloud.project());
    publish(&project, "").success();
    project.change("\"index.json\"", "\"latest.json\"");
    // Until there is another index, readers have this one.
    project.jheem("prune --at-most 100%").success();
    assert_eq!(cloud.editions().whole(&cloud.editions().latest()).len(), 6);
    publish(&project, "").success();
    project.change("editions = \"latest.json\"\n", "");
    publish(&project, "").success();
    project.killed("prune --at-most 100%", "pruned:3");
    let found = cloud.editions().objects;
    assert!(found.get("rw/index.json").or(found.get("rw/latest.json")).is_none(), "{found}");
}

#[test]
fn an_edition_of_much_less_than_the_one_before_is_refused() {
    let Some(cloud) = cloud() else { return };
    let project = of_editions(&cloud, cloud.project());
    project.change("success = \"SUCCESS: \"", "success = \"SUCCESS: \"\nabsent = [\"no such\"]");
    publish(&project, "").success();
    let before = cloud.editions().latest();
    std::fs::remove_dir_all(project.path("cache")).unwrap();
    let model = project.read("model.sh");
    let absent = |outcome: &str| {
        let line =
            format!("if [ \"$outcome\" = {outcome} ]; then echo \"no such outcome\"; continue; fi");
        model.replacen("    printf ", &format!("    {line}\n    printf "), 1)
    };
    project.write("model.sh", absent("z"));
    let ran = publish(&project, "").code(1).says("4 of the 6 keys");
    assert_eq!(cloud.editions().latest(), before, "{ran}");
    publish(&project, "--fewer").success();
    assert_eq!(cloud.editions().whole(&cloud.editions().latest()).len(), 4);
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
    // The oldest of them is named again, and nothing else is put back with it.
    let oldest = history(&project).pop().unwrap();
    std::fs::remove_dir_all(project.path("cache")).unwrap();
    project.jheem(&format!("rollback {oldest}")).success().says("1 key put back and held");
    assert_ne!(cloud.editions().latest(), latest);
    assert_eq!(cloud.editions().whole(&cloud.editions().latest()).len(), 6);
    project.jheem("rollback --release").success();
    publish(&project, "").success();
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
    for called in [&url, "A/x.json"] {
        project.jheem(&format!("trace {called}")).success().says("plot.p[city=A, outcome=x]");
    }
}
