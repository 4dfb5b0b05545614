//! The distribution before a bucket forgets what changed, exactly, and never before all is written.

use serde_json::{Value, json};

use super::{Cloud, DENIED, SLOW_DOWN, cloud, publish, written};
use crate::project::{Project, Ran};
use crate::proxy::{Fault, Proxy};

/// A project whose objects stand behind a distribution, of which this is the ID.
fn behind_distribution(cloud: &Cloud) -> (Project, String) {
    let project = cloud.project();
    let id = cloud.ask("distribution", json!({ "name": cloud.bucket }));
    let id = id.as_str().unwrap().to_owned();
    let drop = "drop_prefix = \"github_actions_integration\"";
    project.change(
        "[publish.site]\n",
        &format!("[publish.site]\ninvalidate = {{ distribution = \"{id}\", {drop} }}\n"),
    );
    (project, id)
}

/// The paths of every invalidation so far.
fn told(cloud: &Cloud, id: &str) -> Vec<Vec<String>> {
    let said: Value = cloud.ask("invalidations", json!({ "id": id }));
    let mut told: Vec<Vec<String>> = serde_json::from_value(said).unwrap();
    told.sort();
    told
}

fn paths(cities: &[&str], outcomes: &[&str]) -> Vec<String> {
    let path = |city, outcome| format!("/{city}/50%25%20a%2Bb/{outcome}.json");
    cities.iter().flat_map(|city| outcomes.iter().map(|o| path(*city, *o))).collect()
}

const ALL: [&str; 3] = ["x", "y", "z"];

#[test]
fn a_distribution_forgets_exactly_what_changed() {
    let Some(cloud) = cloud() else { return };
    let (project, id) = behind_distribution(&cloud);
    let first = publish(&project, "").says("forgets 6 paths");
    assert_eq!(written(first), (6, 6));
    let both = paths(&["A", "B"], &ALL);
    assert_eq!(told(&cloud, &id), std::slice::from_ref(&both));
    assert_eq!(written(publish(&project, "")), (0, 0));
    project.write("data/B.txt", "7");
    assert_eq!(written(publish(&project, "--where outcome=y")), (1, 1));
    assert_eq!(told(&cloud, &id), [both.clone(), paths(&["B"], &["y"])]);
    assert_eq!(written(publish(&project, "")), (2, 2));
    let rest = paths(&["B"], &["x", "z"]);
    assert_eq!(told(&cloud, &id), [both.clone(), rest.clone(), paths(&["B"], &["y"])]);
    // Readers are told headers too; what it costs is known before.
    project.change("max-age=60", "max-age=61");
    let requests = |ran: &Ran, event: &str| {
        let found = ran.events().into_iter().find(|found| found["event"] == event);
        found.map(|found| found["requests"].clone())
    };
    let dry = publish(&project, "--dry-run").success();
    let ran = publish(&project, "");
    assert_eq!(requests(&ran, "requests"), requests(&dry, "expected"));
    assert_eq!(requests(&ran, "requests").unwrap()["invalidations"], 6);
    assert_eq!(written(ran), (6, 0));
    assert_eq!(told(&cloud, &id), [both.clone(), both, rest, paths(&["B"], &["y"])]);
    // Rows alone are no business of a distribution.
    project.change("outcome = \"{outcome}\",", "outcome = \"{outcome}!\",");
    assert_eq!(written(publish(&project, "")), (0, 6));
    assert_eq!(told(&cloud, &id).len(), 4);
}

#[test]
fn a_doctor_looks_for_the_distribution() {
    let Some(cloud) = cloud() else { return };
    let (project, id) = behind_distribution(&cloud);
    project.jheem("doctor").success().says("is there; whether it may be told is untried");
    project.change(&id, "ENOSUCHDIST");
    let ran = project.jheem("doctor").code(1).says("it does not exist in this account");
    drop(ran.says("mend `distribution` of `invalidate`"));
    let ran = project.jheem("policy --also doctor").success();
    assert!(ran.stdout.contains("cloudfront:GetDistribution"), "{ran}");
}

#[test]
fn what_a_killed_publish_owed_is_told_by_the_next() {
    let Some(cloud) = cloud() else { return };
    let (project, id) = behind_distribution(&cloud);
    written(publish(&project, ""));
    let mut seen = told(&cloud, &id).len();
    for (round, moment) in
        ["intended:1", "published:2", "committed:1", "telling:1", "told:1"].iter().enumerate()
    {
        project.write("data/A.txt", (100 + round).to_string());
        project.killed("publish", moment);
        assert_eq!(told(&cloud, &id).len(), seen + usize::from(*moment == "told:1"), "{moment}");
        // The next has nothing to write, or less: it tells of all of it, and tells it once.
        publish(&project, "").success();
        seen += 1;
        let now = told(&cloud, &id);
        assert_eq!(now.len(), seen, "after {moment}");
        let of_a = now.iter().filter(|told| **told == paths(&["A"], &ALL)).count();
        assert_eq!(of_a, round + 1, "after {moment}: {now:?}");
        assert_eq!(written(publish(&project, "")), (0, 0));
        assert_eq!(told(&cloud, &id).len(), seen, "after {moment}");
        project.jheem("verify").success();
    }
}

#[test]
fn what_a_distribution_could_not_be_told_is_told_later() {
    let Some(cloud) = cloud() else { return };
    let (project, id) = behind_distribution(&cloud);
    let proxy = Proxy::before(&cloud.endpoint);
    let project = project.env("AWS_ENDPOINT_URL_CLOUDFRONT", &proxy.address);
    proxy.fail("/invalidation", 1, Fault::Answer(403, DENIED));
    let ran = publish(&project, "").code(1).says("access to the distribution").says("is denied");
    ran.says("`cloudfront:CreateInvalidation`");
    assert_eq!(cloud.objects().as_object().unwrap().len(), 6, "all is written by then");
    assert_eq!(told(&cloud, &id).len(), 0);
    // One city is published in between; both are told, at once.
    project.write("data/B.txt", "7");
    proxy.fail("/invalidation", 1, Fault::Answer(403, DENIED));
    publish(&project, "--where outcome=x").code(1);
    // What passes is waited for, and an answer that is lost is asked for again.
    proxy.fail("/invalidation", 2, Fault::Answer(503, SLOW_DOWN));
    proxy.fail("/invalidation", 1, Fault::CutAnswer(0));
    assert_eq!(written(publish(&project, "--where city=A")), (0, 0));
    assert_eq!(told(&cloud, &id), [paths(&["A", "B"], &ALL)]);
    written(publish(&project, ""));
    assert_eq!(told(&cloud, &id).len(), 2);
    project.jheem("verify").success();
}

#[test]
fn a_distribution_that_is_not_there_or_not_before_these_keys_is_said_so() {
    let Some(cloud) = cloud() else { return };
    let (project, id) = behind_distribution(&cloud);
    project.change("drop_prefix = \"github_actions_integration\"", "drop_prefix = \"/portal/\"");
    let ran = publish(&project, "").code(1).says("is not below `portal`, which `invalidate` drops");
    assert_eq!(cloud.objects(), json!({}), "{ran}");
    project.change("drop_prefix = \"/portal/\"", "drop_prefix = \"/github_actions_integration/\"");
    project.change(&format!("\"{id}\""), "\"ENONE\"");
    publish(&project, "").code(1).says("the distribution `ENONE` does not exist").says("hint: ");
    project.change("\"ENONE\"", &format!("\"{id}\""));
    // What was owed to one that nothing names any more is told to the one that is right.
    assert_eq!(written(publish(&project, "")), (0, 0));
    assert_eq!(told(&cloud, &id), [paths(&["A", "B"], &ALL)]);
    assert_eq!(written(publish(&project, "")), (0, 0));
    assert_eq!(told(&cloud, &id).len(), 1);
    // To a folder everything goes as ever.
    let text = project.read("Jheemfile.toml");
    let local = "[profile.local.publish.site]\nobject.plot.to = \"file:site\"\nrow.plot.to = \"sqlite:plots.db#plots\"\n";
    project.write("Jheemfile.toml", format!("{text}{local}"));
    project.build("--profile local").success();
    assert!(project.exists("site/A/50% a+b/x.json"));
}

#[test]
fn a_distribution_forgets_what_was_pruned() {
    let Some(cloud) = cloud() else { return };
    let (project, id) = behind_distribution(&cloud);
    written(publish(&project, ""));
    project.change(r#"values = ["A", "B"]"#, r#"values = ["A"]"#);
    // Killed when all is removed: what is owed is told by the next.
    project.killed("prune --at-most 50%", "pruned:6");
    assert_eq!(told(&cloud, &id).len(), 1);
    project.jheem("prune --at-most 100%").success().says("forgets 3 paths");
    assert_eq!(told(&cloud, &id), [paths(&["A", "B"], &ALL), paths(&["B"], &ALL)]);
    project.jheem("prune").success();
    assert_eq!(told(&cloud, &id).len(), 2);
    project.jheem("verify").success();
}
