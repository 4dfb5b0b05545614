//! What an account must allow and have: the least policy, trials before any work, and what is created on demand.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Cloud, DENIED, behind_proxy, cloud, publish, written};
use crate::project::{Project, Ran, cities};
use crate::proxy::Fault;

/// What holds and what does not, by its word and what it is about.
fn conditions(ran: &Ran) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for event in ran.events().iter().filter(|event| event["event"] == "condition") {
        let text = |name: &str| event[name].as_str().unwrap().to_owned();
        all.entry(text("holds")).or_default().push(format!("{}: {}", text("what"), text("said")));
    }
    all
}

fn keys(cloud: &Cloud) -> Value {
    cloud.ask("keys", json!({ "bucket": cloud.bucket }))
}

#[test]
fn a_doctor_tries_every_permission_and_changes_nothing() {
    let Some(cloud) = cloud() else { return };
    let project = cloud.project();
    let ran = project.jheem("doctor --format json").success();
    let all = conditions(&ran);
    assert_eq!(all.keys().collect::<Vec<_>>(), ["yes"], "{ran}");
    for says in [
        "program: is there",
        "bucket: is there, for manifests, objects",
        "objects: can be read and written",
        "manifest: can be read and written",
        "intents: can be removed",
        "table: has the key `city_scenario (S), outcome_stat_facet (S)`",
        "rows: can be queried",
        "rows: can be written many at a time",
    ] {
        assert!(all["yes"].iter().any(|said| said == says), "{says} in {all:#?}");
    }
    assert!(all["yes"].iter().any(|said| said.starts_with("clock: ")), "{all:#?}");
    assert!(!project.exists("plots"), "nothing was run");
    assert_eq!((keys(&cloud), cloud.rows()), (json!([]), json!({})), "nothing was written");
    let end = ran.last();
    assert_eq!((&end["event"], &end["failing"]), (&json!("examined"), &json!(0)));
    project.jheem("doctor").success().says("nothing stands in the way");
    // What was published is not touched either.
    assert_eq!(written(publish(&project, "")), (6, 6));
    let before = (cloud.objects(), cloud.rows(), keys(&cloud));
    project.jheem("doctor").success();
    assert_eq!((cloud.objects(), cloud.rows(), keys(&cloud)), before);
}

#[test]
fn a_doctor_names_what_does_not_hold_and_what_to_do() {
    let Some(cloud) = cloud() else { return };
    let (project, proxy) = behind_proxy(&cloud);
    let failing = |ran: &Ran| conditions(ran).remove("no").unwrap_or_default();
    for (request, what) in [
        ("doctor?x-id=PutObject", "objects: access to"),
        ("intents/doctor", "intents: access to"),
        ("/?list-type=2", "bucket: access to"),
    ] {
        proxy.fail(request, 1, Fault::Answer(403, DENIED));
        let ran = project.jheem("doctor --format json").code(1);
        let failing = failing(&ran);
        assert!(failing.len() == 1 && failing[0].starts_with(what), "{what}: {ran}");
        drop(ran.says("the policy of these credentials must allow"));
    }
    project.change("{ city_scenario = ", "{ cities = ");
    let ran = project.jheem("doctor --format json").code(1);
    assert!(failing(&ran)[0].contains("and the Jheemfile says `cities (S)"), "{ran}");
    project.change("{ cities = ", "{ city_scenario = ");
    project.change("./model.sh", "./no-such-model.sh");
    project.change("program = ", "memory = \"900TB\"\nprogram = ");
    project.change("[project]\n", "[project]\ncache_size = \"900TB\"\n");
    let ran = project.jheem("doctor").code(1);
    let ran = ran.says("no   ").says("runner `model` does not find it").says("hint: ");
    ran.says("a run may take").says("the cache may take").says("3 of ");
    // Without an account, what needs none is tried all the same.
    let mut command = project.command("doctor --format json");
    command.env_remove("AWS_ACCESS_KEY_ID").env("AWS_EC2_METADATA_DISABLED", "true");
    command.env("HOME", project.root());
    let ran = Ran::new("doctor", command.output().unwrap()).code(1);
    assert!(failing(&ran).iter().any(|said| said.starts_with("account: ")), "{ran}");
    assert!(failing(&ran).iter().any(|said| said.starts_with("memory: ")), "{ran}");
}

#[test]
fn a_project_with_no_account_has_a_doctor_too() {
    let project = cities();
    let ran = project.jheem("doctor --format json").success();
    assert_eq!(conditions(&ran)["yes"].len(), 2, "{ran}");
    let ran = project.jheem("policy").success().says("nothing of this project");
    assert!(ran.stdout.contains("\"Statement\": []"));
    project.jheem("provision").success().says("nothing to create");
}

#[test]
fn what_the_lock_pins_in_ecr_is_kept_by_a_lifecycle_policy_and_a_tag() {
    let project = cities();
    project.jheem("policy --lifecycle").success().says("no image of this project is in ECR");
    let ecr = "849611540600.dkr.ecr.us-east-1.amazonaws.com/jheem/model:latest";
    let mirror = "849611540600.dkr.ecr.eu-west-1.amazonaws.com/mirror/model:latest";
    project.change("program = \"./model.sh\"\npass_env = [\"PATH\", \"COUNTER\"]", &format!("image = \"{ecr}\"\nmirrors = [\"ghcr.io/me/model:1\", \"{mirror}\"]\ndirs = {{ \"/out\" = \"plots\", \"/data\" = \"data\" }}"));
    project.jheem("policy --lifecycle").success().says("is not in the lock yet: `jheem update`");
    let (manifest, config) = ("4".repeat(64), "5".repeat(64));
    let line = format!(
        "\"{ecr} linux/amd64\" = {{ manifest = \"sha256:{manifest}\", config = \"sha256:{config}\" }}"
    );
    project.write("Jheem.lock", format!("version = 1\n[image]\n{line}\n"));
    let ran = project.jheem("policy --lifecycle").success();
    let lifecycle: Value = serde_json::from_str(&ran.stdout).unwrap();
    let [pinned, untagged] = &lifecycle["rules"].as_array().unwrap()[..] else { panic!("{ran}") };
    assert_eq!(pinned["rulePriority"], 1);
    assert_eq!(pinned["selection"]["tagPrefixList"], json!(["jheem-lock-"]));
    assert_eq!(pinned["selection"]["countType"], "imageCountMoreThan");
    assert_eq!(untagged["selection"]["tagStatus"], "untagged");
    let tagging = "--image-tag jheem-lock-444444444444 --image-digest sha256:4444";
    for (region, repository) in [("us-east-1", "jheem/model"), ("eu-west-1", "mirror/model")] {
        let at =
            format!("--region {region} --registry-id 849611540600 --repository-name {repository}");
        let lines: Vec<&str> = ran.stderr.lines().filter(|line| line.contains(&at)).collect();
        let [tag, put] = lines[..] else { panic!("{region}: {ran}") };
        assert!(tag.contains(tagging) && put.contains("put-lifecycle-policy"), "{ran}");
    }
}

#[test]
fn an_input_that_is_to_be_fetched_is_looked_for_where_it_comes_from() {
    let Some(cloud) = cloud() else { return };
    let project = cloud.project();
    project.change(
        "path = \"data/{city}.txt\"",
        &format!(
            "path = \"data/{{city}}.txt\"\nsource = \"s3://{}/in/{{city}}.txt\"",
            cloud.bucket
        ),
    );
    let ran = project.jheem("doctor --format json").code(1);
    let lock = "lock: does not pin 2 of 2 remote inputs: such as";
    let failing = conditions(&ran).remove("no").unwrap();
    assert!(failing[0].starts_with(lock), "{ran}");
    assert_eq!(failing[1..], ["read: nothing is there"], "{ran}");
    project.change(&format!("s3://{}/in/", cloud.bucket), "s3://no-such-bucket-of-data/in/");
    let ran = project.jheem("doctor").code(1).says("ask whoever keeps the data");
    assert!(!ran.to_string().contains("jheem provision"), "{ran}");
    project.change("s3://no-such-bucket-of-data/in/", &format!("s3://{}/in/", cloud.bucket));
    for city in ["A", "B"] {
        let key = format!("in/{city}.txt");
        cloud.ask("put", json!({ "bucket": cloud.bucket, "key": key, "body": "1\n" }));
    }
    project.jheem("update").success();
    project.jheem("doctor").success().says("pins all 2 remote inputs");
    let ran = project.jheem("policy").success();
    assert!(ran.stdout.contains(&format!("arn:aws:s3:::{}/in/*.txt", cloud.bucket)), "{ran}");
}

#[test]
fn missing_buckets_and_tables_are_created_when_it_is_asked_for_and_then_published_to() {
    let Some(cloud) = cloud() else { return };
    let project = cloud.project();
    let (bucket, table) = (format!("{}-new", cloud.bucket), format!("{}-new", cloud.table));
    project.change(&format!("s3://{}/", cloud.bucket), &format!("s3://{bucket}/"));
    project.change(&format!("dynamodb://{}\"", cloud.table), &format!("dynamodb://{table}\""));
    let states = |ran: &Ran| -> Vec<String> {
        let made = ran.events().into_iter().filter(|event| event["event"] == "provisioned");
        made.map(|event| format!("{} {}", event["kind"], event["state"]).replace('"', "")).collect()
    };
    let ran = project.jheem("provision --dry-run --format json").success();
    assert_eq!(states(&ran), ["bucket to-create", "table to-create"], "{ran}");
    let ran = project.jheem("doctor").code(1);
    drop(ran.says("run `jheem provision`"));
    let ran = project.jheem("provision --format json").success();
    assert_eq!(states(&ran), ["bucket created", "table created"], "{ran}");
    let ran = project.jheem("provision --format json").success();
    assert_eq!(states(&ran), ["bucket there", "table there"], "{ran}");
    project.jheem("doctor").success();
    assert_eq!(written(publish(&project, "")), (6, 6));
    // What is there with another key is told, and left.
    project.change("{ city_scenario = ", "{ cities = ");
    let ran = project.jheem("provision").code(1);
    ran.says("has the key `city_scenario (S), outcome_stat_facet (S)`").says("hint: ");
}

#[test]
fn the_policy_is_the_least_and_another_is_compared_with_it() {
    let Some(cloud) = cloud() else { return };
    let project: Project = cloud.project();
    let printed = project.jheem("policy --account 123456789012 --region us-east-1").success();
    let policy: Value = serde_json::from_str(&printed.stdout).unwrap();
    let statements = policy["Statement"].as_array().unwrap();
    let of = |sid: &str| statements.iter().find(|s| s["Sid"] == sid).unwrap()["Resource"].clone();
    let bucket = format!("arn:aws:s3:::{}", cloud.bucket);
    assert_eq!(of("PublishObjects"), json!([format!("{bucket}/github_actions_integration/*")]));
    let own = format!("{bucket}/github_actions_integration/.jheem/cities");
    let cleared = ["intents", "owed"].map(|texts| format!("{own}/{texts}/*"));
    assert_eq!(of("ClearManifests"), json!(cleared));
    let table = format!("arn:aws:dynamodb:us-east-1:123456789012:table/{}", cloud.table);
    assert_eq!(of("WriteRowsTogether"), json!([table]));
    project.write("policy.json", &printed.stdout);
    project.jheem("policy --check policy.json").success().says("allows all that is needed");
    let ran = project.jheem("policy --check policy.json --also prune --format json").code(1);
    let missing: Vec<Value> = ran.events().iter().map(|event| event["action"].clone()).collect();
    assert_eq!(missing, ["s3:DeleteObject", "dynamodb:DeleteItem"], "{ran}");
    project.write("policy.json", "{}");
    project.jheem("policy --check policy.json").code(2).says("this is not a policy");
}
