//! The whole way: simulations from a bucket, the model in its container, plots to a bucket, rows to a table.

use serde_json::json;

use super::super::project::Project;
use super::super::proxy::Proxy;
use super::super::remote::{Cloud, ENVIRONMENT, cloud};
use super::{Tag, build_image, daemon, docker, pipeline_of, simulate};

const PUBLISH: &str = r#"
[publish.plots]
of = "plot.rw"
[publish.plots.object.plot]
to = "s3://BUCKET/github_actions_integration"
key = "{city}/{scenario}/{file}"
metadata = { city = "{city}", source = "jheem" }
uncompared = { timestamp = "{now}" }
[publish.plots.row.plot]
to = "dynamodb://TABLE"
hash = { city_scenario = "{city}#{scenario}" }
range = { outcome_stat_facet = "{outcome}#{statistic}#{facet}" }
item = { outcome = "{metadata:/outcome/0}", s3_key = "{object.key}", file_size = { N = "{object.size}" } }
uncompared = { created_at = "{now}" }
"#;

/// Moves a simulation of the project into the bucket.
fn send(cloud: &Cloud, project: &Project, path: &str) {
    let file = project.path(path);
    let put = json!({ "bucket": cloud.bucket, "key": path, "path": file.to_str().unwrap() });
    cloud.ask("put_file", put);
    std::fs::remove_file(file).unwrap();
}

/// What was read of simulations, and what was written beside manifests and leases, since this was asked last.
fn told(proxy: &Proxy) -> (usize, usize, usize) {
    let asked = proxy.asked();
    let count = |wanted: &dyn Fn(&str) -> bool| asked.iter().filter(|a| wanted(a)).count();
    (
        count(&|a| a.starts_with("GET ") && a.contains("/simulations/")),
        count(&|a| a.starts_with("PUT ") && !a.contains(".jheem")),
        count(&|a| a.contains("BatchWriteItem") || a.contains("PutItem")),
    )
}

#[test]
fn one_input_replaced_in_the_bucket_remakes_its_plots_and_writes_those_alone() {
    let Some(cloud) = cloud() else { return };
    if daemon().is_none() {
        return;
    }
    let tag = Tag::new("afar");
    let image = build_image(&tag.0, "afar");
    let proxy = Proxy::before(&cloud.endpoint);
    let project = ENVIRONMENT.iter().fold(pipeline_of(&tag.0), |p, (n, v)| p.env(n, v));
    let project = project.env("AWS_ENDPOINT_URL", &proxy.address);
    let text = project.read("Jheemfile.toml");
    let from = format!("s3://{}/simulations/ryan-white", cloud.bucket);
    let text = text
        .replace(
            "[input.prerun]",
            &format!("source = \"{from}/base/{{city}}_base.Rdata\"\n[input.prerun]"),
        )
        .replace(
            "[runner.model]",
            &format!("source = \"{from}/prerun/{{city}}/{{scenario}}.Rdata\"\n[runner.model]"),
        );
    let publish = PUBLISH.replace("BUCKET", &cloud.bucket).replace("TABLE", &cloud.table);
    project.write("Jheemfile.toml", format!("{text}{publish}"));
    for file in project.files("simulations") {
        send(&cloud, &project, &file);
    }
    project.jheem("update").success();
    proxy.asked();
    let ran = project.jheem("publish --preset test --format json").success().targets("built=108");
    assert_eq!((ran.count("published.objects"), ran.count("published.rows")), (108, 108));
    let (read, objects, rows) = told(&proxy);
    assert_eq!((read, objects), (16, 108), "4 cities of 4 files each are read once");
    assert!((5..=27).contains(&rows), "rows go 25 at a time, partition by partition: {rows}");
    let before =
        (cloud.ask("objects", json!({ "bucket": cloud.bucket, "under": "github" })), cloud.rows());

    let replaced = "simulations/ryan-white/prerun/C.12580/cessation.Rdata";
    simulate(project.root(), "C.12580", "cessation", 7);
    send(&cloud, &project, replaced);
    project.jheem("plan --remote --preset test").says("cessation.Rdata");
    project.jheem("update").success().says("changed s3://").says("9 of them by this update");
    proxy.asked();
    let ran = project.jheem("build --preset test --format json").success();
    drop(ran.targets("built=9 fresh=99"));
    let (read, objects, rows) = told(&proxy);
    assert_eq!((read, objects, rows), (1, 0, 0), "the replaced file alone is fetched");
    let ran = project.jheem("publish --preset test --format json").success();
    assert_eq!((ran.count("published.objects"), ran.count("published.rows")), (9, 9));
    let (read, objects, _) = told(&proxy);
    assert_eq!((read, objects), (0, 9));
    let now =
        (cloud.ask("objects", json!({ "bucket": cloud.bucket, "under": "github" })), cloud.rows());
    let differing = |before: &serde_json::Value, now: &serde_json::Value| -> Vec<String> {
        let now = now.as_object().unwrap();
        now.iter()
            .filter(|(key, value)| before[key.as_str()] != **value)
            .map(|(key, _)| key.clone())
            .collect()
    };
    let objects = differing(&before.0, &now.0);
    assert_eq!(objects.len(), 9);
    assert!(objects.iter().all(|key| key.contains("/C.12580/cessation/")), "{objects:?}");
    let rows = differing(&before.1, &now.1);
    assert_eq!(rows.len(), 9);
    assert!(rows.iter().all(|key| key.starts_with("C.12580#cessation ")), "{rows:?}");
    docker(&["rmi", "-f", &image]);
}
