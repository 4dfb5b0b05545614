//! Publishing to a bucket and a table, on real servers, read back with another client.
//!
//! `scripts/test` starts the servers; without `JHEEM_TEST_AWS` these tests are skipped, and say so.

mod adopting;
mod editions;
mod invalidations;
mod kills;
mod mending;
mod portal;
mod pruning;
mod rolling_back;
mod writes;

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use super::project::{Project, Ran, another_second, cities};
use super::proxy::{Fault, Proxy};

mod account;
mod costs;
mod trace;

/// A bucket and a table of one test's own.
pub(super) struct Cloud {
    pub(super) endpoint: String,
    /// The client of the tests, which takes longer to start than to ask.
    client: Mutex<(Child, BufReader<ChildStdout>)>,
    pub(super) bucket: String,
    pub(super) table: String,
}

/// The servers that `scripts/test` started; none where there are none.
pub(super) fn cloud() -> Option<Cloud> {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    let said = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let (Some(endpoint), Some(python)) = (said("JHEEM_TEST_AWS"), said("JHEEM_TEST_PYTHON")) else {
        println!("skipped: no AWS servers");
        return None;
    };
    let name = format!("jheem-{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::SeqCst));
    let mut client = Command::new(python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/aws.py"))
        .envs(ENVIRONMENT)
        .env("AWS_ENDPOINT_URL", &endpoint)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let answers = BufReader::new(client.stdout.take().unwrap());
    let client = Mutex::new((client, answers));
    let cloud = Cloud { endpoint, client, bucket: name.clone(), table: name };
    cloud.ask("make", json!({ "bucket": cloud.bucket, "table": cloud.table, "hash": "city_scenario", "range": "outcome_stat_facet" }));
    Some(cloud)
}

pub(super) const ENVIRONMENT: [(&str, &str); 4] = [
    ("AWS_ACCESS_KEY_ID", "test"),
    ("AWS_SECRET_ACCESS_KEY", "secret-of-the-tests"),
    ("AWS_REGION", "us-east-1"),
    ("AWS_DEFAULT_REGION", "us-east-1"),
];

impl Drop for Cloud {
    fn drop(&mut self) {
        let client = self.client.get_mut().unwrap_or_else(PoisonError::into_inner);
        // Without more to read it ends by itself.
        drop(client.0.stdin.take());
        let _ended = client.0.wait();
    }
}

impl Cloud {
    /// Asks with the client of the tests.
    pub(super) fn ask(&self, command: &str, arguments: Value) -> Value {
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        let (process, answers) = &mut *client;
        let asked = json!({ "command": command, "arguments": arguments });
        writeln!(process.stdin.as_ref().unwrap(), "{asked}").unwrap();
        let mut answer = String::new();
        answers.read_line(&mut answer).unwrap();
        let answer: Value =
            serde_json::from_str(&answer).unwrap_or_else(|e| panic!("{command}: {e}: {answer}"));
        assert!(answer["failed"].is_null(), "{command}: {}", answer["failed"]);
        answer["said"].clone()
    }

    fn objects(&self) -> Value {
        self.ask("objects", json!({ "bucket": self.bucket }))
    }

    /// Rows by both parts of their keys.
    pub(super) fn rows(&self) -> Value {
        let rows = self.ask("rows", json!({ "table": self.table }));
        let rows = rows.as_array().unwrap().iter().map(|row| {
            let part = |name: &str| row[name]["S"].as_str().unwrap().to_owned();
            (format!("{} {}", part("city_scenario"), part("outcome_stat_facet")), row.clone())
        });
        Value::Object(rows.collect())
    }

    /// Two cities with three outcomes each, published here.
    fn project(&self) -> Project {
        let project = ENVIRONMENT.iter().fold(cities(), |project, (n, v)| project.env(n, v));
        let project = project.env("AWS_ENDPOINT_URL", &self.endpoint);
        let text = project.read("Jheemfile.toml");
        let publish = PUBLISH.replace("BUCKET", &self.bucket).replace("TABLE", &self.table);
        project.write("Jheemfile.toml", format!("{text}{publish}"));
        project
    }

    /// Every row's object is there; the truth that a reader relies on.
    fn no_row_without_its_object(&self, when: &str) {
        self.no_row_without_its_object_but(&[], when);
    }

    /// The same, less objects that others removed.
    fn no_row_without_its_object_but(&self, removed: &[String], when: &str) {
        let (objects, rows) = (self.objects(), self.rows());
        for (key, row) in rows.as_object().unwrap() {
            let object = row["s3_key"]["S"].as_str().unwrap();
            let told = removed.iter().any(|key| key == object);
            let stands = objects.get(object).is_some();
            assert!(stands || told, "{when}: the row {key} names {object}");
        }
    }
}

const PUBLISH: &str = r#"
[publish.site]
of = "plot.p"
[publish.site.object.plot]
to = "s3://BUCKET/github_actions_integration"
key = "{city}/50% a+b/{outcome}.json"
cache_control = "max-age=60"
metadata = { city = "{city}" }
uncompared = { timestamp = "{now}" }
[publish.site.row.plot]
to = "dynamodb://TABLE"
hash = { city_scenario = "{city}#cessation" }
range = { outcome_stat_facet = "{outcome}#mean.and.interval#none" }
item = { outcome = "{outcome}", value = "{plot:/value}", s3_key = "{object.key}", file_size = { N = "{object.size}" }, tags = { L = ["{city}", { BOOL = true }, { NULL = true }, { M = { a = { N = "1.50" } } }] } }
uncompared = { created_at = "{now}" }
"#;

fn publish(project: &Project, arguments: &str) -> Ran {
    project.jheem(&format!("publish --format json {arguments}"))
}

fn written(ran: Ran) -> (u64, u64) {
    let ran = ran.success();
    let published = &ran.last()["published"];
    (published["objects"].as_u64().unwrap(), published["rows"].as_u64().unwrap())
}

#[test]
fn plots_go_to_a_bucket_and_a_table_and_the_second_time_nothing_does() {
    let Some(cloud) = cloud() else { return };
    let project = cloud.project();
    assert_eq!(written(publish(&project, "")), (6, 6));
    let objects = cloud.objects();
    assert_eq!(objects.as_object().unwrap().len(), 6);
    let key = "github_actions_integration/A/50% a+b/x.json";
    let object = &objects[key];
    assert_eq!(object["type"], "application/json");
    assert_eq!(object["cache"], "max-age=60");
    assert_eq!(object["metadata"]["city"], "A");
    assert_eq!(object["body"], project.read("plots/A/x.json"));
    let rows = cloud.rows();
    assert_eq!(rows.as_object().unwrap().len(), 6);
    let row = &rows["A#cessation x#mean.and.interval#none"];
    assert_eq!(row["s3_key"], json!({ "S": key }));
    assert_eq!(
        row["tags"]["L"],
        json!([{ "S": "A" }, { "BOOL": true }, { "NULL": true }, { "M": { "a": { "N": "1.5" } } }])
    );
    assert_eq!(written(publish(&project, "")), (0, 0));
    assert_eq!(cloud.objects(), objects, "nothing is written again, not even with the same bytes");
    assert_eq!(cloud.rows(), rows);
    project.jheem("verify").success();
}

#[test]
fn only_what_changed_is_written_also_from_a_machine_that_never_published() {
    let Some(cloud) = cloud() else { return };
    let project = cloud.project();
    assert_eq!(written(publish(&project, "")), (6, 6));
    let before = cloud.objects();
    // Another machine: the same project, nothing built, nothing recorded.
    std::fs::remove_dir_all(project.path("cache")).unwrap();
    std::fs::remove_dir_all(project.path("plots")).unwrap();
    project.write("data/B.txt", "7");
    assert_eq!(written(publish(&project, "")), (3, 3));
    let after = cloud.objects();
    for (key, object) in after.as_object().unwrap() {
        let same = *object == before[key];
        assert_eq!(same, key.contains("/A/"), "{key}");
    }
    let narrowed = publish(&project, "--where city=A");
    assert_eq!(written(narrowed), (0, 0));
}

#[test]
fn what_somebody_else_put_there_is_not_touched() {
    let Some(cloud) = cloud() else { return };
    let key = "github_actions_integration/A/50% a+b/x.json";
    cloud.ask("put", json!({ "bucket": cloud.bucket, "key": key, "body": "theirs" }));
    let project = cloud.project();
    let ran =
        publish(&project, "").code(1).says("something that jheem did not publish stands there");
    assert_eq!(cloud.objects()[key]["body"], "theirs", "{ran}");
    assert_eq!(cloud.rows(), json!({}), "rows come after all objects");
    cloud.ask("remove", json!({ "bucket": cloud.bucket, "key": key }));
    let row = json!({ "city_scenario": { "S": "A#cessation" }, "outcome_stat_facet": { "S": "x#mean.and.interval#none" } });
    cloud.ask("put_row", json!({ "table": cloud.table, "item": row }));
    publish(&project, "").code(1).says("A#cessation");
    assert_eq!(cloud.rows().as_object().unwrap().len(), 1);
    // One by one, the condition is the table's to check.
    project.change("hash = {", "write = \"put\"\nhash = {");
    publish(&project, "").code(1);
    cloud.ask("remove_row", json!({ "table": cloud.table, "key": row }));
    written(publish(&project, ""));
    assert_eq!(cloud.rows().as_object().unwrap().len(), 6);
    assert_eq!(written(publish(&project, "")), (0, 0));
}

#[test]
fn verify_compares_the_bucket_and_the_table_with_the_manifest() {
    let Some(cloud) = cloud() else { return };
    let project = cloud.project();
    project.jheem("verify --format json").code(1).says("unpublished");
    written(publish(&project, ""));
    project.jheem("verify").success();
    let key = |outcome: &str| format!("github_actions_integration/A/50% a+b/{outcome}.json");
    cloud.ask("remove", json!({ "bucket": cloud.bucket, "key": key("x") }));
    cloud.ask("put", json!({ "bucket": cloud.bucket, "key": key("y"), "body": "edited" }));
    cloud.ask("put", json!({ "bucket": cloud.bucket, "key": key("new"), "body": "{}" }));
    let row = |outcome: &str| json!({ "city_scenario": { "S": "B#cessation" }, "outcome_stat_facet": { "S": format!("{outcome}#mean.and.interval#none") } });
    cloud.ask("remove_row", json!({ "table": cloud.table, "key": row("x") }));
    cloud.ask("put_row", json!({ "table": cloud.table, "item": row("y") }));
    cloud.ask("put_row", json!({ "table": cloud.table, "item": row("new") }));
    let ran = project.jheem("verify --format json").code(1);
    let drift = ran.events().into_iter().filter(|event| event["event"] == "drift");
    let mut found: Vec<String> = drift
        .map(|drift| {
            let key = drift["key"]
                .as_str()
                .unwrap()
                .replace("/50% a+b/", "/")
                .replace("#mean.and.interval#none", "");
            format!("{} {key}", drift["kind"].as_str().unwrap())
        })
        .collect();
    found.sort();
    assert_eq!(
        found,
        [
            "changed A/y.json",
            "changed city_scenario=B#cessation, outcome_stat_facet=y",
            "foreign A/new.json",
            "foreign city_scenario=B#cessation, outcome_stat_facet=new",
            "missing A/x.json",
            "missing city_scenario=B#cessation, outcome_stat_facet=x",
        ],
        "{ran}"
    );
}

#[test]
fn what_is_wrong_with_an_account_or_a_destination_is_said_with_what_to_do() {
    let Some(cloud) = cloud() else { return };
    let project = cloud.project();
    let without = |names: &[&str]| {
        let mut command = project.command("publish");
        names.iter().for_each(|name| {
            command.env_remove(name);
        });
        command.env("AWS_EC2_METADATA_DISABLED", "true").env("HOME", project.root());
        Ran::new("publish", command.output().unwrap())
    };
    without(&["AWS_ACCESS_KEY_ID"]).code(3).says("there are no AWS credentials").says("hint: ");
    without(&["AWS_REGION", "AWS_DEFAULT_REGION"]).code(3).says("no AWS region").says("hint: ");
    let mut nowhere = project.command("publish");
    nowhere.env("AWS_ENDPOINT_URL", "http://127.0.0.1:9");
    let ran = Ran::new("publish", nowhere.output().unwrap());
    ran.code(3).says("cannot be reached").says("hint: ");
    assert!(!project.exists("plots"), "nothing runs for what cannot be published");
    project.change(&format!("dynamodb://{}", cloud.table), "dynamodb://jheem-no-such-table");
    let ran = publish(&project, "").code(1).says("`jheem-no-such-table` does not exist");
    let ran = ran.says("hint: ");
    assert!(!format!("{ran}").contains("secret-of-the-tests"), "{ran}");
    project.change(&format!("s3://{}/", cloud.bucket), "s3://jheem-no-such-bucket/");
    publish(&project, "").code(1).says("does not exist").says("hint: ");
}

#[test]
fn a_table_without_the_range_of_the_jheemfile_is_refused_before_anything_is_written() {
    let Some(cloud) = cloud() else { return };
    let project = cloud.project();
    let other = format!("{}-hash", cloud.table);
    cloud.ask("make", json!({ "table": other, "hash": "city_scenario" }));
    let (here, there) = (format!("dynamodb://{}", cloud.table), format!("dynamodb://{other}"));
    for write in ["", "write = \"put\"\nhash = {"] {
        if !write.is_empty() {
            project.change("hash = {", write);
        }
        project.change(&here, &there);
        let ran = publish(&project, "").code(1).says("another key than the Jheemfile says");
        assert_eq!(cloud.objects(), json!({}), "{ran}");
        project.change(&there, &here);
    }
    assert_eq!(written(publish(&project, "")), (6, 6));
}

#[test]
fn a_build_asks_no_network_for_what_only_publish_writes() {
    let Some(cloud) = cloud() else { return };
    let project = cloud.project().env("AWS_ENDPOINT_URL", "http://127.0.0.1:9");
    project.build("").success().targets("built=6");
    project.plan("").success();
    assert_eq!(cloud.objects(), json!({}));
}

/// The same project behind a proxy.
fn behind_proxy(cloud: &Cloud) -> (Project, Proxy) {
    let proxy = Proxy::before(&cloud.endpoint);
    let objects = std::env::var("AWS_ENDPOINT_URL_S3").ok().map(|s3| Proxy::before(&s3));
    let mut project = cloud.project().env("AWS_ENDPOINT_URL", &proxy.address);
    let proxy = match objects {
        Some(objects) => {
            project = project.env("AWS_ENDPOINT_URL_S3", &objects.address);
            objects
        }
        None => proxy,
    };
    (project, proxy)
}

#[test]
fn where_nothing_changed_a_publish_makes_three_requests_on_any_machine() {
    let Some(cloud) = cloud() else { return };
    if std::env::var_os("AWS_ENDPOINT_URL_S3").is_some() {
        return println!("skipped: requests are counted where one server has them all");
    }
    let (project, proxy) = behind_proxy(&cloud);
    assert_eq!(written(publish(&project, "")), (6, 6));
    let first = proxy.asked();
    let of = |text: &str| first.iter().filter(|asked| asked.contains(text)).count();
    assert_eq!(
        of("50%25%20a%2Bb"),
        6,
        "each object is put once, and nothing else asked of it: {first:?}"
    );
    assert_eq!(of("BatchWriteItem"), 1, "{first:?}");
    assert_eq!(
        of("Query"),
        4,
        "new rows have their partitions looked at, and again before they are written: {first:?}"
    );
    assert_eq!(written(publish(&project, "")), (0, 0));
    let warm = proxy.asked();
    assert_eq!(warm.len(), 3, "{warm:?}");
    std::fs::remove_dir_all(project.path("cache")).unwrap();
    std::fs::remove_dir_all(project.path("plots")).unwrap();
    assert_eq!(written(publish(&project, "")), (0, 0));
    let empty = proxy.asked();
    assert_eq!(empty.len(), 3, "{empty:?}");
    project.build("").success();
    project.plan("").success();
    assert_eq!(proxy.asked(), Vec::<String>::new(), "only publish and verify ask the network");
}

#[test]
fn a_service_that_never_answers_is_given_up_when_somebody_stops() {
    // It takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", silent.local_addr().unwrap());
    let project = ENVIRONMENT.iter().fold(cities(), |project, (n, v)| project.env(n, v));
    let text = project.read("Jheemfile.toml");
    let publish = PUBLISH.replace("BUCKET", "jheem-silent").replace("TABLE", "jheem-silent");
    project.write("Jheemfile.toml", format!("{text}{publish}"));
    for command in ["publish", "rollback --release", "verify --repair"] {
        let mut going = project.command(command);
        going.env("AWS_ENDPOINT_URL", &address).env("AWS_ENDPOINT_URL_S3", &address);
        going.stdout(Stdio::piped()).stderr(Stdio::piped());
        let going = going.spawn().unwrap();
        let _connection = silent.accept().unwrap();
        let asked = Command::new("kill").args(["-INT", &going.id().to_string()]).status().unwrap();
        assert!(asked.success());
        let ran = Ran::new(command, going.wait_with_output().unwrap());
        drop(ran.code(130));
    }
}

#[test]
fn a_bucket_that_falls_silent_in_the_middle_is_given_up_and_the_next_publish_goes_on() {
    let Some(cloud) = cloud() else { return };
    // The first object, the lease that frees the place, and the head of the manifest.
    for silent in ["x.json?", "lease.json", "head.json"] {
        let (project, proxy) = behind_proxy(&cloud);
        project.change("github_actions_integration", &format!("silent-{}", &silent[..1]));
        project.change(
            "range = { outcome_stat_facet = \"",
            &format!("range = {{ outcome_stat_facet = \"{}#", &silent[..1]),
        );
        proxy.fail(silent, 100, Fault::Silence);
        let mut going = project.command("publish");
        let going = going.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        proxy.wait_for(silent);
        let asked = Command::new("kill").args(["-INT", &going.id().to_string()]).status().unwrap();
        assert!(asked.success());
        let ran = Ran::new("publish", going.wait_with_output().unwrap());
        drop(ran.code(130));
        proxy.mend();
        publish(&project, "").success();
        assert_eq!(written(publish(&project, "")), (0, 0), "{silent}");
    }
}

const SLOW_DOWN: &str =
    "<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>";
const DENIED: &str = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>";
const EXPIRED: &str =
    "<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>";
const SKEWED: &str = "<Error><Code>RequestTimeTooSkewed</Code><Message>The difference is too large.</Message></Error>";
const OTHER_REGION: &str =
    "<Error><Code>PermanentRedirect</Code><Message>Use another endpoint.</Message></Error>";
const INTERNAL: &str =
    "<Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>";

#[test]
fn what_helps_itself_when_tried_again_is_tried_again() {
    let Some(cloud) = cloud() else { return };
    let (project, proxy) = behind_proxy(&cloud);
    proxy.fail("50%25", 3, Fault::Answer(503, SLOW_DOWN));
    proxy.fail("50%25", 2, Fault::Answer(500, INTERNAL));
    proxy.fail("50%25", 2, Fault::Cut);
    proxy.fail("head.json", 1, Fault::CutAnswer(20));
    assert_eq!(written(publish(&project, "")), (6, 6));
    project.jheem("verify").success();
}

#[test]
fn an_answer_that_was_lost_is_no_foreign_object() {
    let Some(cloud) = cloud() else { return };
    let (project, proxy) = behind_proxy(&cloud);
    // The object is written, and the answer never comes: trying again finds it there.
    proxy.fail("50%25", 1, Fault::CutAnswer(0));
    proxy.fail("lease.json?x-id=PutObject", 1, Fault::CutAnswer(0));
    proxy.fail("head.json?x-id=PutObject", 1, Fault::CutAnswer(0));
    assert_eq!(written(publish(&project, "")).1, 6);
    project.jheem("verify").success();
    assert_eq!(written(publish(&project, "")), (0, 0));
}

#[test]
fn what_a_service_refuses_for_good_is_said_once_with_what_to_do_and_loses_nothing() {
    let Some(cloud) = cloud() else { return };
    let (project, proxy) = behind_proxy(&cloud);
    project.build("").success();
    for (body, status, says, hint) in [
        (DENIED, 403, "is denied", "`s3:PutObject`"),
        (EXPIRED, 400, "credentials have expired", "aws sso login"),
        (SKEWED, 403, "clock is wrong", "set the clock"),
        (OTHER_REGION, 301, "is in another region", "AWS_REGION"),
    ] {
        proxy.fail("50%25", 6, Fault::Answer(status, body));
        let ran = publish(&project, "").code(1).says(says).says(hint);
        let problems = ran.events().into_iter().filter(|event| event["event"] == "problem").count();
        assert_eq!(problems, 1, "{ran}");
        cloud.no_row_without_its_object(says);
        // What is left of the fault is for nobody.
        while publish(&project, "").code != Some(0) {}
        for city in ["A", "B"] {
            let value: u64 = project.read(&format!("data/{city}.txt")).trim().parse().unwrap();
            project.write(&format!("data/{city}.txt"), (value + 10).to_string());
        }
        project.build("").success();
    }
}

#[test]
fn what_was_written_over_there_is_reported_and_not_reverted() {
    let Some(cloud) = cloud() else { return };
    let project = cloud.project();
    written(publish(&project, ""));
    let key = "github_actions_integration/A/50% a+b/x.json";
    cloud.ask("put", json!({ "bucket": cloud.bucket, "key": key, "body": "theirs" }));
    project.write("data/A.txt", "8");
    let ran = publish(&project, "").code(1).says("was written over").says("hint: ");
    assert_eq!(cloud.objects()[key]["body"], "theirs", "{ran}");
    cloud.no_row_without_its_object("written over");
    cloud.ask("remove", json!({ "bucket": cloud.bucket, "key": key }));
    publish(&project, "").success();
    assert_eq!(cloud.objects()[key]["body"], project.read("plots/A/x.json"));
    project.jheem("verify").success();
}

#[test]
fn two_destinations_that_keep_their_manifest_at_one_place_are_two() {
    let Some(cloud) = cloud() else { return };
    let project = cloud.project();
    let text = project.read("Jheemfile.toml");
    let second = text
        [text.find("[publish.site]").unwrap()..text.find("[publish.site.row").unwrap()]
        .replace("publish.site", "publish.mirror")
        .replace("github_actions_integration", "mirror")
        .replace("of = ", &format!("manifest = \"s3://{}/private\"\nof = ", cloud.bucket));
    let first = text.replace(
        "[publish.site]\n",
        &format!("[publish.site]\nmanifest = \"s3://{}/private\"\n", cloud.bucket),
    );
    project.write("Jheemfile.toml", format!("{first}{second}"));
    assert_eq!(written(publish(&project, "")), (12, 6));
    assert_eq!(cloud.objects().as_object().unwrap().len(), 12);
    let keys = cloud.ask("keys", json!({ "bucket": cloud.bucket }));
    let own = |key: &Value| key.as_str().unwrap().contains(".jheem/");
    let outside: Vec<&Value> = keys
        .as_array()
        .unwrap()
        .iter()
        .filter(|key| own(key) && !key.as_str().unwrap().starts_with("private/"))
        .collect();
    assert_eq!(outside, Vec::<&Value>::new(), "the manifest is kept out of what is public");
    project.jheem("verify").success();
    assert_eq!(written(publish(&project, "")), (0, 0));
    assert_eq!(written(publish(&project, "publish.mirror")), (0, 0));
}
