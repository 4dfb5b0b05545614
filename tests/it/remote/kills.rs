//! A publish is killed at every moment in turn: readers see no row without its object, and the next one ends it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Cloud, behind_proxy, cloud, publish, written};
use crate::project::Project;
use crate::proxy::Proxy;

/// The moments at which it is killed, and the how-manieth of them.
const MOMENTS: [&str; 20] = [
    "intended:1",
    "published:1",
    "published:2",
    "published:3",
    "published:4",
    "published:5",
    "published:6",
    "intended:2",
    "rows:1",
    "chunk:1",
    "head:1",
    "committed:1",
    "chunk:2",
    "head:2",
    "intended:1",
    "published:6",
    "rows:1",
    "committed:1",
    "head:1",
    "head:2",
];

/// The keys of the objects that stand there as they were built last.
fn landed(project: &Project, objects: &Value) -> BTreeSet<String> {
    let mut landed = BTreeSet::new();
    for city in ["A", "B"] {
        for outcome in ["x", "y", "z"] {
            let key = format!("github_actions_integration/{city}/50% a+b/{outcome}.json");
            if objects[&key]["body"] == project.read(&format!("plots/{city}/{outcome}.json")) {
                landed.insert(key);
            }
        }
    }
    landed
}

/// The keys of the objects that were put since this was asked last.
fn put(cloud: &Cloud, proxy: &Proxy) -> BTreeSet<String> {
    let bucket = format!("PUT /{}/", cloud.bucket);
    let asked = proxy.asked();
    let puts = asked.iter().filter_map(|asked| asked.strip_prefix(&bucket));
    let paths = puts.filter_map(|path| path.split('?').next());
    let paths = paths.filter(|path| !path.contains(".jheem"));
    paths.map(|path| path.replace("50%25%20a%2Bb", "50% a+b")).collect()
}

#[test]
fn a_publish_that_is_killed_is_brought_to_its_end_by_the_next() {
    let Some(cloud) = cloud() else { return };
    let (project, proxy) = behind_proxy(&cloud);
    project.build("").success();
    let rounds = if std::env::var("JHEEM_TEST_LONG").as_deref() == Ok("1") { 10 } else { 1 };
    let moments = (0..rounds).flat_map(|_| MOMENTS);
    for (round, moment) in moments.enumerate() {
        for city in ["A", "B"] {
            project.write(&format!("data/{city}.txt"), (1000 + round).to_string());
        }
        project.build("").success();
        project.killed("publish --format json", moment);
        cloud.no_row_without_its_object(moment);
        let stood = landed(&project, &cloud.objects());
        proxy.asked();
        let done = publish(&project, "").success();
        let again: Vec<String> = put(&cloud, &proxy).intersection(&stood).cloned().collect();
        assert_eq!(again, [""; 0], "written twice after {moment}: {done}");
        assert_eq!(written(publish(&project, "")), (0, 0), "after {moment}: {done}");
        let (objects, rows) = (cloud.objects(), cloud.rows());
        assert_eq!(landed(&project, &objects).len(), 6, "after {moment}");
        for city in ["A", "B"] {
            for outcome in ["x", "y", "z"] {
                let plot = project.read(&format!("plots/{city}/{outcome}.json"));
                let row = &rows[format!("{city}#cessation {outcome}#mean.and.interval#none")];
                let (size, value) =
                    (json!({ "N": plot.len().to_string() }), (1000 + round).to_string());
                assert_eq!(row["file_size"], size, "after {moment}");
                assert_eq!(row["value"], json!({ "S": value }), "after {moment}");
            }
        }
    }
    project.jheem("verify --deep").success();
}
