//! What a publish would cost and did cost, and what is refused because it would confirm too little.

use serde_json::{Value, json};

use super::{INTERNAL, behind_proxy, cloud, publish, written};
use crate::project::Ran;
use crate::proxy::Fault;

/// The one event of this kind.
fn only<'a>(events: &'a [Value], event: &str) -> &'a Value {
    let mut found = events.iter().filter(|e| e["event"] == event);
    let only = found.next().unwrap_or_else(|| panic!("no `{event}` in {events:#?}"));
    assert_eq!(found.next(), None, "more than one `{event}`");
    only
}

fn counts(ran: &Ran, destination: &str) -> [u64; 5] {
    let events = ran.events();
    let mut all = events.iter().filter(|e| e["event"] == "destination");
    let at = all.find(|e| e["destination"].as_str().unwrap().starts_with(destination));
    let at = at.unwrap_or_else(|| panic!("no `{destination}` in {ran}"));
    ["create", "update", "unchanged", "undecided", "orphaned"]
        .map(|name| at[name].as_u64().unwrap())
}

#[test]
fn a_dry_run_says_what_each_destination_would_get_and_cost_and_the_run_says_what_it_did() {
    let Some(cloud) = cloud() else { return };
    let (project, proxy) = behind_proxy(&cloud);
    project.build("").success();
    proxy.asked();
    let dry = publish(&project, "--dry-run").success();
    assert_eq!(cloud.ask("keys", json!({ "bucket": cloud.bucket })), json!([]), "it wrote");
    assert_eq!(counts(&dry, "s3:"), [6, 0, 0, 0, 0]);
    assert_eq!(counts(&dry, "dynamodb:"), [6, 0, 0, 0, 0]);
    let expected = only(&dry.events(), "expected").clone();
    proxy.asked();
    let ran = publish(&project, "").success();
    let asked = proxy.asked();
    let made = only(&ran.events(), "requests").clone();
    assert_eq!(
        made,
        json!({ "event": "requests", "requests": expected["requests"], "usd": expected["usd"] })
    );
    let of = |method: &str| {
        let is = |asked: &&String| asked.starts_with(method) && asked.contains(&cloud.bucket);
        asked.iter().filter(is).count()
    };
    assert_eq!(made["requests"]["puts"], of("PUT"), "{asked:#?}");
    assert_eq!(made["requests"]["gets"], of("GET") + of("HEAD"), "{asked:#?}");
    assert_eq!(made["requests"]["row_writes"], 6);
    assert!(made["usd"].as_f64().unwrap() > 0.0);

    // One city is changed: three are to be written over, and the others left.
    project.write("data/A.txt", "7\n");
    let stale = publish(&project, "--dry-run").success();
    assert_eq!(counts(&stale, "s3:"), [0, 0, 3, 3, 0], "what is stale is not decided: {stale}");
    project.build("").success();
    let dry = publish(&project, "--dry-run").success();
    assert_eq!(counts(&dry, "s3:"), [0, 3, 3, 0, 0]);
    let ran = publish(&project, "").success();
    let (dry, ran) = (dry.events(), ran.events());
    assert_eq!(only(&dry, "expected")["requests"], only(&ran, "requests")["requests"]);
    // What is tried again is paid again.
    project.write("data/A.txt", "8\n");
    project.build("").success();
    let dry = publish(&project, "--dry-run").success();
    proxy.fail("A/50%25", 1, Fault::Answer(500, INTERNAL));
    let ran = publish(&project, "").success();
    let puts = |ran: &Ran, event| only(&ran.events(), event)["requests"]["puts"].as_u64().unwrap();
    assert_eq!(puts(&ran, "requests"), puts(&dry, "expected") + 1);
    // What nothing publishes any more is told, and stays.
    project.change("values = [\"x\", \"y\", \"z\"]", "values = [\"x\", \"y\"]");
    assert_eq!(counts(&publish(&project, "-n").success(), "s3:"), [0, 0, 4, 0, 2]);
}

#[test]
fn a_plan_asks_no_network_unless_it_is_told_to() {
    let Some(cloud) = cloud() else { return };
    let (project, proxy) = behind_proxy(&cloud);
    project.plan("").success();
    assert_eq!(proxy.asked(), Vec::<String>::new());
    let ran = project.plan("publish.site --remote").success();
    assert_eq!(counts(&ran, "s3:"), [0, 0, 0, 6, 0]);
    assert!(!proxy.asked().is_empty());
    let ran = project.jheem("publish --dry-run").success().says("nothing was run or written");
    ran.says(&format!(
        "publish.site to s3://{}/github_actions_integration: 6 undecided",
        cloud.bucket
    ));
    assert_eq!(cloud.ask("keys", json!({ "bucket": cloud.bucket })), json!([]));
}

#[test]
fn publishing_much_less_than_is_published_is_refused_unless_it_is_asked_for() {
    let Some(cloud) = cloud() else { return };
    let project = cloud.project();
    assert_eq!(written(publish(&project, "")), (6, 6));
    project.write("data/A.txt", "8\n");
    let gone = project.read("data/B.txt");
    std::fs::remove_file(project.path("data/B.txt")).unwrap();
    let before = cloud.objects();
    // Half of what is published would be left as it is, and nobody would see it.
    let ran = publish(&project, "--keep-going").code(1);
    let ran = ran.says("6 of the 12 keys that are published of this selection would be confirmed");
    let ran = ran.says("plot.p[city=B, outcome=x]: not made").says("publish --fewer");
    assert_eq!(cloud.objects(), before, "{ran}");
    // A city alone is all that was asked for.
    assert_eq!(written(publish(&project, "-w city=A")), (3, 3));
    project.write("data/A.txt", "9\n");
    let ran = publish(&project, "--keep-going --fewer").code(1);
    assert_eq!(ran.last()["published"]["objects"], 3, "{ran}");
    // A share of one's own; one that is met is no matter.
    project.change("[publish.site]\n", "[publish.site]\nat_least = \"50%\"\n");
    project.write("data/A.txt", "10\n");
    let ran = publish(&project, "--keep-going").code(1);
    assert_eq!(ran.last()["published"]["objects"], 3, "{ran}");
    project.change("\"50%\"", "\"0%\"");
    std::fs::remove_file(project.path("data/A.txt")).unwrap();
    let ran = publish(&project, "--keep-going").code(1);
    ran.says("0 of the 12 keys");
    project.write("data/A.txt", "10\n");
    project.write("data/B.txt", gone);
    publish(&project, "").success();
}
