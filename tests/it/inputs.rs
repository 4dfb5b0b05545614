//! Inputs that come from afar: pinned by a lock, fetched for what runs, verified on arrival.
//!
//! Buckets are real servers'; the one that `scripts/test` starts answers plain HTTP as well.

use std::path::Path;

use serde_json::json;

use super::project::{Project, Ran, cities};
use super::proxy::{Fault, Proxy};
use super::remote::{Cloud, ENVIRONMENT, cloud};

mod release;

/// A bucket with the data of two cities, behind a proxy, and a project that has nothing of them.
struct Afar {
    cloud: Cloud,
    proxy: Proxy,
    project: Project,
}

fn afar() -> Option<Afar> {
    let cloud = cloud()?;
    let proxy = Proxy::before(&cloud.endpoint);
    let source = format!("s3://{}/base 1/{{city}}+%.txt", cloud.bucket);
    let project = without_data(&source, &proxy);
    let afar = Afar { cloud, proxy, project };
    afar.put("A", "1\n");
    afar.put("B", "2\n");
    Some(afar)
}

/// The project on a machine that has no data.
fn without_data(source: &str, proxy: &Proxy) -> Project {
    let project = ENVIRONMENT.iter().fold(cities(), |project, (n, v)| project.env(n, v));
    let project = project.env("AWS_ENDPOINT_URL", &proxy.address);
    for city in ["A", "B"] {
        std::fs::remove_file(project.path(&format!("data/{city}.txt"))).unwrap();
    }
    let path = "path = \"data/{city}.txt\"";
    project.change(path, &format!("{path}\nsource = \"{source}\""));
    project
}

impl Afar {
    fn key(city: &str) -> String {
        format!("base 1/{city}+%.txt")
    }

    fn put(&self, city: &str, text: &str) {
        let key = Afar::key(city);
        self.cloud.ask("put", json!({ "bucket": self.cloud.bucket, "key": key, "body": text }));
    }

    /// A mebibyte of data.
    fn put_large(&self, city: &str) {
        let (bucket, key) = (&self.cloud.bucket, Afar::key(city));
        let body = "0123456789abcdef";
        self.cloud
            .ask("put", json!({ "bucket": bucket, "key": key, "body": body, "times": 65536 }));
    }

    /// The inputs that were read since this was asked last, each as often as it was.
    fn fetched(&self) -> Vec<String> {
        fetched(&self.proxy)
    }
}

fn fetched(proxy: &Proxy) -> Vec<String> {
    let mut read: Vec<String> =
        proxy.asked().into_iter().filter(|asked| asked.starts_with("GET ")).collect();
    read.sort();
    let city = |asked: &String| {
        let path = asked.split('?').next().unwrap_or_default();
        let file = path.rsplit('/').next().unwrap_or_default();
        file.chars().take(1).collect::<String>()
    };
    read.iter().map(city).collect()
}

/// The model for several cities at once.
const SEVERAL: &str = r#"#!/bin/sh
set -e
for city in $(echo "$3" | tr , ' '); do
    mkdir -p "$2/$city"
    for outcome in $(echo "$4" | tr , ' '); do
        echo "GENERATING: $city/$outcome"
        printf '{"city": "%s", "outcome": "%s", "value": "%s"}' "$city" "$outcome" "$(cat data/$city.txt)" > "$2/$city/$outcome.json"
        echo "SUCCESS: $outcome.json"
    done
done
"#;

fn copy(from: &Path, to: &Path) {
    std::fs::copy(from, to).unwrap();
}

fn update(project: &Project, arguments: &str) -> Ran {
    project.jheem(&format!("update {arguments}"))
}

#[test]
fn only_what_runs_is_fetched_and_everything_is_judged_from_the_lock() {
    let Some(afar) = afar() else { return };
    let project = &afar.project;
    project.plan("").success().says("data/A.txt` is missing").says("jheem update");
    assert!(afar.proxy.asked().is_empty(), "`plan` asked the network");
    update(project, "").success().says("new s3://").says("`Jheem.lock` is written");
    let lock = project.read("Jheem.lock");
    assert_eq!(lock.lines().filter(|line| line.contains("sha256:")).count(), 2, "{lock}");
    afar.fetched();

    // A machine that has the lock and nothing else.
    let source = format!("s3://{}/base 1/{{city}}+%.txt", afar.cloud.bucket);
    let other = without_data(&source, &afar.proxy);
    copy(&project.path("Jheem.lock"), &other.path("Jheem.lock"));
    other.plan("").success().targets("stale=6");
    assert!(afar.proxy.asked().is_empty(), "`plan` asked the network");
    other.build("--where city=A").success().targets("built=3");
    assert_eq!(afar.fetched(), ["A"]);
    assert!(!other.exists("data/A.txt"), "the project's folders are the user's");
    other.build("").success().targets("built=3 fresh=3");
    assert_eq!(afar.fetched(), ["B"]);
    other.build("").success().targets("fresh=6");
    assert!(afar.proxy.asked().is_empty(), "a build of nothing asked the network");
    project.build("").success().targets("built=6");
    assert!(project.read("plots/A/x.json").contains("\"value\": \"1\""));
}

#[test]
fn a_replaced_input_is_told_and_makes_stale_what_reads_it_once_it_is_pinned() {
    let Some(afar) = afar() else { return };
    let project = &afar.project;
    update(project, "").success();
    project.build("").success().targets("built=6");
    project.jheem("plan --remote").success().says("2 sources asked: as the lock says");
    afar.put("B", "3\n");
    project.build("").success().targets("fresh=6");
    project.jheem("plan --remote").says("B+%.txt");
    update(project, "--dry-run").success().says("changed s3://").says("is not written");
    project.build("").success().targets("fresh=6");
    update(project, "").success().says("3 targets of `plot.p` would be made, 3 of them");
    project.build("--locked").success().targets("built=3 fresh=3");
    assert!(project.read("plots/B/x.json").contains("\"value\": \"3\""));
}

#[test]
fn the_same_bytes_put_there_anew_make_nothing_stale() {
    let Some(afar) = afar() else { return };
    let project = &afar.project;
    update(project, "").success();
    project.build("").success().targets("built=6");
    let before = project.read("Jheem.lock");
    let key = Afar::key("A");
    let body = json!({ "bucket": afar.cloud.bucket, "key": key, "body": "1\n" });
    afar.cloud.ask("put_in_parts", body);
    update(project, "").success().says("same s3://").says("nothing becomes stale");
    assert_ne!(project.read("Jheem.lock"), before, "the new ETag spares the next look");
    project.build("").success().targets("fresh=6");
    afar.fetched();
    update(project, "").success().says("2 sources as pinned");
    assert_eq!(afar.fetched(), [""; 0], "nothing is read again to learn that nothing moved");
}

#[test]
fn an_update_narrows_to_names_and_values() {
    let Some(afar) = afar() else { return };
    let project = &afar.project;
    update(project, "--where city=A").success();
    assert!(project.read("Jheem.lock").contains("A+%.txt"));
    assert!(!project.read("Jheem.lock").contains("B+%.txt"));
    update(project, "input.data").success().says("new s3://");
    assert!(project.read("Jheem.lock").contains("B+%.txt"));
    update(project, "input.dat").code(2).says("did you mean `input.data`?");
    project.change("values = [\"A\", \"B\"]", "values = [\"A\"]");
    update(project, "input.data").success();
    assert!(project.read("Jheem.lock").contains("B+%.txt"), "only a whole update drops lines");
    update(project, "").success().says("gone s3://");
    assert!(!project.read("Jheem.lock").contains("B+%.txt"));
}

#[test]
fn an_input_replaced_before_it_was_fetched_is_refused_and_the_others_are_made() {
    let Some(afar) = afar() else { return };
    let project = &afar.project;
    update(project, "").success();
    std::fs::remove_dir_all(project.path("cache")).unwrap();
    afar.put("A", "other\n");
    let ran = project.build("--keep-going").code(1);
    ran.says("it was replaced").says("jheem update").targets("built=3 failed=3");
    afar.put("A", "1\n");
    project.build("").success().targets("built=3 fresh=3");
}

#[test]
fn a_source_where_nothing_stands_is_named_and_the_others_are_pinned() {
    let Some(afar) = afar() else { return };
    let project = &afar.project;
    let gone = json!({ "bucket": afar.cloud.bucket, "key": Afar::key("B") });
    afar.cloud.ask("remove", gone.clone());
    update(project, "").code(2).says("nothing stands at `s3://").says("B+%.txt");
    assert!(project.read("Jheem.lock").contains("A+%.txt"));
    afar.put("B", "2\n");
    update(project, "").success();
    std::fs::remove_dir_all(project.path("cache")).unwrap();
    afar.cloud.ask("remove", gone);
    project.jheem("plan --remote").code(1).says("nothing stands at `s3://");
    project.build("--where city=B").code(1).says("nothing stands at `s3://");
}

#[test]
fn a_lock_that_is_out_of_date_stops_who_asked_for_it() {
    let Some(afar) = afar() else { return };
    let project = &afar.project;
    project.build("--locked").code(2).says("does not pin `data/A.txt`").says("jheem update");
    update(project, "").success();
    project.write("data/A.txt", "mine\n");
    project.build("--locked").code(2).says("other bytes than those of `data/A.txt`");
    project.build("--where city=B --locked").success();
    project.write("Jheem.lock", "version = 1\n<<<<<<< mine\n");
    project.build("").code(2).says("`Jheem.lock` cannot be read").says("line 2");
}

#[test]
fn a_file_of_ones_own_is_used_and_nothing_made_of_it_is_published_afar() {
    let Some(afar) = afar() else { return };
    let project = &afar.project;
    update(project, "").success();
    let text = project.read("Jheemfile.toml");
    let publish = format!(
        "\n[publish.site]\nof = \"plot.p\"\n[publish.site.object.plot]\nto = \"s3://{}/site\"\nkey = \"{{city}}/{{file}}\"\n",
        afar.cloud.bucket
    );
    project.write("Jheemfile.toml", format!("{text}{publish}"));
    project.write("data/A.txt", "mine\n");
    project.build("").success().says("not what the lock says").targets("built=6");
    assert!(project.read("plots/A/x.json").contains("\"value\": \"mine\""));
    let why = "`data/A.txt` is not what the lock says, and plots are made of it";
    let ran = project.jheem("publish").code(1).says(&format!("publish `site` is refused: {why}"));
    assert!(!ran.to_string().contains("--image"), "{ran}");
    let would = format!("`publish.site` would be refused: {why}");
    drop(project.jheem("publish --dry-run").code(1).says(&would));
    drop(project.jheem("plan --remote").says(&would));
    std::fs::remove_file(project.path("data/A.txt")).unwrap();
    project.jheem("publish --format json").success().targets("built=3 fresh=3");
    // What was fetched is traced to where it came from, and what lies here to its path.
    let mut command = project.command("trace");
    let ran = Ran::new("trace", command.arg("A/x.json").output().unwrap()).success();
    let source = format!("s3://{}/{}", afar.cloud.bucket, Afar::key("A"));
    drop(ran.says(&format!("data ({source})")));
    // Those that are what the lock says are as good as fetched.
    project.write("data/A.txt", "1\n");
    project.jheem("publish --format json").success().targets("fresh=6");
}

#[test]
fn a_source_that_comes_or_goes_makes_nothing_stale_if_the_bytes_are_the_same() {
    let Some(afar) = afar() else { return };
    let project = &afar.project;
    for (city, text) in [("A", "1\n"), ("B", "2\n")] {
        project.write(&format!("data/{city}.txt"), text);
    }
    project.build("").success().targets("built=6");
    update(project, "").success();
    project.build("").success().targets("fresh=6");
    std::fs::remove_file(project.path("Jheem.lock")).unwrap();
    project.build("").success().targets("fresh=6");
    assert_eq!(project.made().len(), 6);
}

#[test]
fn bytes_that_two_sources_share_are_fetched_once() {
    let Some(afar) = afar() else { return };
    let project = &afar.project;
    afar.put("B", "1\n");
    update(project, "").success();
    std::fs::remove_dir_all(project.path("cache")).unwrap();
    afar.fetched();
    project.build("--jobs 2").success().targets("built=6");
    assert_eq!(afar.fetched().len(), 1);
}

#[test]
fn what_was_cut_off_goes_on_where_it_stopped() {
    let Some(afar) = afar() else { return };
    let project = &afar.project;
    afar.put_large("A");
    update(project, "").success();
    std::fs::remove_dir_all(project.path("cache")).unwrap();
    afar.proxy.asked();
    afar.proxy.fail("GET ", 1, Fault::CutAnswer(700_000));
    project.build("--where city=A").success().targets("built=3");
    let ranges = afar.proxy.ranges();
    assert_eq!(ranges.len(), 1, "one request goes on: {ranges:?}");
    let from: usize = ranges[0].trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap();
    assert!(from > 600_000 && from < 700_000, "{ranges:?}");
}

#[test]
fn a_transfer_that_is_cut_off_again_and_again_fails_and_the_next_build_goes_on() {
    let Some(afar) = afar() else { return };
    let project = &afar.project;
    afar.put_large("A");
    update(project, "").success();
    std::fs::remove_dir_all(project.path("cache")).unwrap();
    // Of the first answer half comes, of the others nothing.
    afar.proxy.fail("GET ", 1, Fault::CutAnswer(500_000));
    afar.proxy.fail("GET ", 1000, Fault::Cut);
    let ran = project.build("--where city=A --keep-going").code(1);
    drop(ran.targets("failed=3"));
    afar.proxy.mend();
    afar.proxy.ranges();
    project.build("--where city=A").success().targets("built=3");
    assert_eq!(afar.proxy.ranges().len(), 1, "the half that came is not fetched again");
}

#[test]
fn inputs_that_nothing_needs_any_more_are_dropped_if_asked_for() {
    let Some(afar) = afar() else { return };
    let project = &afar.project;
    update(project, "").success();
    std::fs::remove_dir_all(project.path("cache")).unwrap();
    afar.fetched();
    project.build("--evict-inputs --jobs 1").success().targets("built=6");
    assert_eq!(afar.fetched(), ["A", "B"]);
    project.build("").success().targets("fresh=6");
    project.change("{list:outcome}\"", "{list:outcome}\", \"!\"");
    project.build("--where city=A").success().targets("built=3");
    assert_eq!(afar.fetched(), ["A"], "it was dropped, and is fetched again when it is needed");
}

#[test]
fn one_input_that_cannot_be_had_fails_what_reads_it_and_nothing_beside_it() {
    let Some(afar) = afar() else { return };
    let project = &afar.project;
    project.change("batch = { by = [\"city\"] }", "batch = {}");
    project.change("\"{city}\", \"{list:outcome}\"", "\"{list:city}\", \"{list:outcome}\"");
    project.write("model.sh", SEVERAL);
    update(project, "").success();
    std::fs::remove_dir_all(project.path("cache")).unwrap();
    let gone = json!({ "bucket": afar.cloud.bucket, "key": Afar::key("B") });
    afar.cloud.ask("remove", gone);
    let ran = project.build("--keep-going --jobs 1").code(1).says("nothing stands at `s3://");
    drop(ran.targets("built=3 failed=3"));
}

#[test]
fn a_fetched_input_that_was_damaged_is_fetched_again() {
    let Some(afar) = afar() else { return };
    let project = &afar.project;
    update(project, "").success();
    project.build("--where city=A").success().targets("built=3");
    let text = "1\n";
    let object = blake3::hash(text.as_bytes()).to_hex().to_string();
    let object = project.path(&format!("cache/objects/{}/{}", &object[..2], &object[2..]));
    std::fs::remove_file(&object).unwrap();
    std::fs::write(&object, "bad").unwrap();
    afar.fetched();
    project.change("{list:outcome}\"", "{list:outcome}\", \"!\"");
    project.build("--where city=A").success().targets("built=3");
    assert_eq!(afar.fetched(), ["A"]);
}

#[test]
fn a_check_fetches_what_it_needs() {
    let Some(afar) = afar() else { return };
    let project = &afar.project;
    update(project, "").success();
    project.build("--evict-inputs").success().targets("built=6");
    project.jheem("check --sample 1").success();
}

#[test]
fn a_source_that_goes_after_it_was_fetched_makes_nothing_stale() {
    let Some(afar) = afar() else { return };
    let project = &afar.project;
    update(project, "").success();
    project.build("").success().targets("built=6");
    for (city, text) in [("A", "1\n"), ("B", "2\n")] {
        project.write(&format!("data/{city}.txt"), text);
    }
    std::fs::remove_file(project.path("Jheem.lock")).unwrap();
    let text = project.read("Jheemfile.toml");
    let without: Vec<&str> = text.lines().filter(|line| !line.starts_with("source = ")).collect();
    project.write("Jheemfile.toml", without.join("\n"));
    project.build("").success().targets("fresh=6");
}

#[test]
fn an_old_version_that_the_bucket_keeps_is_what_is_fetched() {
    let Some(afar) = afar() else { return };
    let project = &afar.project;
    afar.cloud.ask("keep_versions", json!({ "bucket": afar.cloud.bucket }));
    afar.put("A", "1\n");
    afar.put("B", "2\n");
    update(project, "").success();
    assert!(project.read("Jheem.lock").contains("version = \""), "{}", project.read("Jheem.lock"));
    std::fs::remove_dir_all(project.path("cache")).unwrap();
    afar.put("A", "9\n");
    let gone = json!({ "bucket": afar.cloud.bucket, "key": Afar::key("B") });
    afar.cloud.ask("remove", gone);
    let told = project.jheem("plan --remote").success();
    drop(
        told.says("was replaced; the version that is pinned is kept").says("is gone; the version"),
    );
    project.build("").success().targets("built=6");
    assert!(project.read("plots/A/x.json").contains("\"value\": \"1\""));
}

#[test]
fn a_web_server_gives_inputs_too() {
    let Some(afar) = afar() else { return };
    let source =
        format!("{}/{}/base%201/{{city}}%2B%25.txt", afar.proxy.address, afar.cloud.bucket);
    let project = without_data(&source, &afar.proxy);
    update(&project, "").success().says("new http://127.0.0.1");
    project.build("").success().targets("built=6");
    update(&project, "").success().says("2 sources as pinned");
    afar.put("A", "9\n");
    update(&project, "").success().says("changed http://127.0.0.1");
    project.build("").success().targets("built=3 fresh=3");
    afar.proxy.fail("HEAD ", 1, Fault::Answer(503, ""));
    update(&project, "").success().says("2 sources as pinned");
    afar.proxy.fail("HEAD ", 100, Fault::Answer(403, ""));
    afar.proxy.fail("GET ", 100, Fault::Answer(403, ""));
    update(&project, "").code(3).says("access to `http://127.0.0.1").says("is denied");
}

#[test]
fn what_goes_wrong_with_a_bucket_is_told_with_what_to_do() {
    let Some(afar) = afar() else { return };
    let project = &afar.project;
    let bucket = &afar.cloud.bucket;
    project.change(bucket, "jheem-no-such-bucket");
    update(project, "").says("jheem-no-such-bucket");
    project.change("jheem-no-such-bucket", bucket);
    afar.proxy.fail("HEAD ", 100, Fault::Answer(403, ""));
    update(project, "").code(3).says("access to").says("s3:GetObject");
}
