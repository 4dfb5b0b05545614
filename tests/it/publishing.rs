//! Publishing, from the Jheemfile to a folder of objects and a table of rows, and back again.

mod destinations;
mod editions;
mod mending;
mod writing;

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::{Value, json};

use super::project::{Project, Ran, cities};

/// Two cities with three outcomes each, published to the folder `site` and to two tables.
fn published() -> Project {
    let project = cities();
    project.write("model.sh", MODEL);
    let text = project.read("Jheemfile.toml");
    project.write("Jheemfile.toml", format!("{text}{PUBLISH}"));
    project
}

/// Beside each plot, what it is of; `TITLE` changes that alone, `BROKEN` is a plot that fails.
const MODEL: &str = r#"#!/bin/sh
out=$2; city=$3
mkdir -p "$out/$city"
for outcome in $(echo "$4" | tr , ' '); do
    echo "GENERATING: $city/$outcome"
    if [ "$BROKEN" = "$city/$outcome" ]; then echo "ERROR: broken"; continue; fi
    printf '{"city": "%s", "outcome": "%s", "value": %s, "generation_time": "%s"}\n' \
        "$city" "$outcome" "$(cat data/$city.txt)" "$(date +%s.%N)" > "$out/$city/$outcome.json"
    printf '{"facet_choice": ["none"], "title": ["%s"], "generation_time": ["%s"]}\n' \
        "$TITLE$outcome" "$(date +%s.%N)" > "$out/$city/${outcome}_metadata.json"
    echo "$city/$outcome" >> "$COUNTER"
    echo "SUCCESS: $outcome.json"
done
"#;

const PUBLISH: &str = r#"
[plot.p.output.metadata]
path = "plots/{city}/{outcome}_metadata.json"
as = "json"
volatile = ["/generation_time"]

[preset.small]
axes = { city = ["A"] }

[publish.site]
of = "plot.p"
[publish.site.object.plot]
to = "file:site"
key = "github_actions_integration/{city}/{file}"
content_type = "application/json"
cache_control = "max-age=60"
metadata = { city = "{city}", source = "jheem", title = "{metadata:/title/0}" }
uncompared = { timestamp = "{now}" }
[publish.site.row.plot]
to = "sqlite:site/plots.db#plots"
hash = { city_scenario = "{city}#cessation" }
range = { outcome_stat_facet = "{outcome}#mean.and.interval#none" }
item = { outcome = "{outcome}", facet_choice = "{metadata:/facet_choice/0}", s3_key = "{object.key}", file_size = { N = "{object.size}" }, tags = { L = ["{city}", { BOOL = true }] } }
uncompared = { created_at = "{now}", config_type = "{preset}" }

[publish.old]
of = "plot.p"
[publish.old.row.plot]
to = "sqlite:site/plots.db#old_plots"
hash = { city = "{city}" }
range = { plot_id = "container_{city}_{outcome}" }
item = { scenario = "cessation", outcome = "{outcome}", statistic = "mean.and.interval", facet = "none", source = "container" }
"#;

impl Project {
    /// A build with the shell model's variables set otherwise.
    fn build_as(&self, name: &str, value: &str, arguments: &str) -> Ran {
        let arguments = format!("build --format json {arguments}");
        Ran::new(&arguments, self.command(&arguments).env(name, value).output().unwrap())
    }

    fn allow(self, variables: &str) -> Project {
        self.change("\"COUNTER\"]", &format!("\"COUNTER\", {variables}]"));
        self
    }
}

/// Inode, size and times of every file of the site, jheem's own among them.
fn look(project: &Project) -> BTreeMap<String, (u64, u64, i64, i64, i64)> {
    let files = project.files("site").into_iter().map(|path| {
        let is = std::fs::metadata(project.path(&path)).unwrap();
        (path, (is.ino(), is.len(), is.mtime(), is.mtime_nsec(), is.ctime_nsec()))
    });
    files.collect()
}

/// What differs between two looks: paths that came, went or changed.
fn touched(
    before: &BTreeMap<String, (u64, u64, i64, i64, i64)>,
    after: &BTreeMap<String, (u64, u64, i64, i64, i64)>,
) -> Vec<String> {
    let paths = before.keys().chain(after.keys().filter(|path| !before.contains_key(*path)));
    paths.filter(|path| before.get(*path) != after.get(*path)).cloned().collect()
}

/// The objects among paths, without jheem's own files and the database.
fn objects(paths: Vec<String>) -> Vec<String> {
    paths.into_iter().filter(|p| !p.contains("/.jheem/") && !p.contains("plots.db")).collect()
}

/// The rows of a table: its two keys and the item.
fn rows(project: &Project, table: &str, keys: [&str; 2]) -> BTreeMap<(String, String), Value> {
    let database = Connection::open(project.path("site/plots.db")).unwrap();
    let sql = format!("SELECT {}, {}, item FROM {table}", keys[0], keys[1]);
    let mut statement = database.prepare(&sql).unwrap();
    let rows = statement.query_map([], |row| {
        let item: String = row.get(2)?;
        Ok(((row.get(0)?, row.get(1)?), serde_json::from_str(&item).unwrap()))
    });
    rows.unwrap().map(Result::unwrap).collect()
}

const NEW_KEYS: [&str; 2] = ["city_scenario", "outcome_stat_facet"];

fn new_rows(project: &Project) -> BTreeMap<(String, String), Value> {
    rows(project, "plots", NEW_KEYS)
}

fn key(city: &str, outcome: &str) -> (String, String) {
    (format!("{city}#cessation"), format!("{outcome}#mean.and.interval#none"))
}

#[track_caller]
fn counts(ran: Ran, objects: u64, rows: u64) -> Ran {
    let found = (ran.count("published.objects"), ran.count("published.rows"));
    assert_eq!(found, (objects, rows), "other counts were published\n{ran}");
    ran
}

#[test]
fn plots_are_published_with_a_row_for_each_in_both_schemas() {
    let project = published();
    let ran = counts(project.build("").success().targets("built=6"), 6, 12);
    assert_eq!(
        objects(project.files("site")),
        ["A/x", "A/y", "A/z", "B/x", "B/y", "B/z"]
            .map(|plot| format!("site/github_actions_integration/{plot}.json"))
    );
    let object = "github_actions_integration/A/x.json";
    assert_eq!(project.read(&format!("site/{object}")), project.read("plots/A/x.json"));
    let size = project.read("plots/A/x.json").len();
    assert_eq!(ran.count("published.bytes"), 6 * size as u64);

    let new = new_rows(&project);
    assert_eq!(new.len(), 6);
    let mut item = new[&key("A", "x")].clone();
    let created = item.as_object_mut().unwrap().remove("created_at").unwrap();
    assert!(created["S"].as_str().unwrap().ends_with('Z'), "{created}");
    assert_eq!(
        item,
        json!({
            "outcome": { "S": "x" },
            "facet_choice": { "S": "none" },
            "s3_key": { "S": object },
            "file_size": { "N": size.to_string() },
            "tags": { "L": [{ "S": "A" }, { "BOOL": true }] },
            "config_type": { "S": "" },
        })
    );
    let old = rows(&project, "old_plots", ["city", "plot_id"]);
    assert_eq!(old.len(), 6);
    assert_eq!(old[&("B".into(), "container_B_z".into())]["source"], json!({ "S": "container" }));
    // People see attributes as columns.
    let database = Connection::open(project.path("site/plots.db")).unwrap();
    let plain: String = database
        .query_row("SELECT facet_choice FROM plots_plain LIMIT 1", [], |row| row.get(0))
        .unwrap();
    assert_eq!(plain, "none");
    project.jheem("verify").success();
}

#[test]
fn unchanged_plots_cause_no_write_at_all() {
    let project = published();
    project.build("").success();
    let before = look(&project);
    counts(project.build("").success().targets("fresh=6"), 0, 0);
    project.jheem("publish").success();
    project.jheem("verify").success();
    let plan = project.plan("").success();
    assert_eq!(plan.count("publish.unchanged"), 18);
    assert_eq!(plan.count("publish.create") + plan.count("publish.update"), 0);
    assert_eq!(touched(&before, &look(&project)), Vec::<String>::new());
}

#[test]
fn a_plot_made_again_with_the_same_content_is_not_published_again() {
    let project = published();
    project.build("").success();
    let before = look(&project);
    // Another command with the same result but for the time that it names.
    project.change("\"plot\", \"{dir:plots}\"", "\"draw\", \"{dir:plots}\"");
    let ran = counts(project.build("").success().targets("built=6"), 0, 0);
    assert_eq!(ran.ended("same").len(), 6);
    assert_eq!(touched(&before, &look(&project)), Vec::<String>::new());
}

#[test]
fn only_what_changed_is_written() {
    let project = published();
    project.build("").success();
    let (before, rows_before) = (look(&project), new_rows(&project));
    project.write("data/A.txt", "27\n");
    counts(project.build("").success().targets("fresh=3 built=3"), 3, 3);
    assert_eq!(
        objects(touched(&before, &look(&project))),
        ["x", "y", "z"].map(|o| format!("site/github_actions_integration/A/{o}.json"))
    );
    let rows_after = new_rows(&project);
    for outcome in ["x", "y", "z"] {
        assert_eq!(rows_before[&key("B", outcome)], rows_after[&key("B", outcome)]);
        let size = project.read(&format!("plots/A/{outcome}.json")).len().to_string();
        assert_eq!(rows_after[&key("A", outcome)]["file_size"]["N"], json!(size));
    }
    project.jheem("verify").success();
}

#[test]
fn changed_headers_upload_nothing_and_changed_items_write_rows_alone() {
    let project = published();
    project.build("").success();
    let before = look(&project);
    project.change("max-age=60", "max-age=3600");
    let ran = counts(project.build("").success().targets("fresh=6"), 6, 0);
    assert_eq!(ran.count("published.bytes"), 0, "headers of a folder stand in its manifest");
    assert_eq!(objects(touched(&before, &look(&project))), Vec::<String>::new());
    let before = look(&project);
    project.change("statistic = \"mean.and.interval\"", "statistic = \"mean\"");
    counts(project.build("").success(), 0, 6);
    let after = look(&project);
    assert_eq!(touched(&before, &after), ["site/plots.db"]);
    let old = rows(&project, "old_plots", ["city", "plot_id"]);
    assert_eq!(old[&("A".into(), "container_A_y".into())]["statistic"], json!({ "S": "mean" }));
    project.jheem("verify").success();
}

#[test]
fn a_value_read_from_another_output_is_followed_when_that_changes() {
    let project = published().allow("\"TITLE\"");
    project.build("").success();
    project.change("\"plot\", \"{dir:plots}\"", "\"draw\", \"{dir:plots}\"");
    // The plots have the same content, and their metadata another title: headers change, bytes do not.
    let ran = counts(project.build_as("TITLE", "new ", "").success().targets("built=6"), 6, 0);
    assert_eq!(ran.count("published.bytes"), 0);
    counts(project.build_as("TITLE", "new ", "").success(), 0, 0);
    project.change("{metadata:/title/0}", "{metadata:/nothing/0}");
    let ran = project.build("").code(1).says("has no single value at `/nothing/0`");
    counts(ran, 0, 0);
}

#[test]
fn what_is_uncompared_is_carried_over_until_the_content_changes() {
    let project = published();
    project.build("--preset small").success().targets("built=3");
    let first = new_rows(&project);
    assert_eq!(first[&key("A", "x")]["config_type"], json!({ "S": "small" }));
    counts(project.build("").success().targets("fresh=3 built=3"), 3, 6);
    let second = new_rows(&project);
    assert_eq!(second[&key("A", "x")], first[&key("A", "x")], "the preset is not compared");
    assert_eq!(second[&key("B", "x")]["config_type"], json!({ "S": "" }));
    // A changed item keeps what is uncompared too; a changed content does not.
    project.change("tags = { L = [\"{city}\"", "tags = { L = [\"city {city}\"");
    counts(project.build("").success(), 0, 6);
    assert_eq!(new_rows(&project)[&key("A", "x")]["config_type"], json!({ "S": "small" }));
    project.write("data/A.txt", "27\n");
    counts(project.build("").success(), 3, 3);
    assert_eq!(new_rows(&project)[&key("A", "x")]["config_type"], json!({ "S": "" }));
}

#[test]
fn a_narrowed_build_touches_nothing_outside_its_selection() {
    let project = published();
    project.build("").success();
    project.write("data/A.txt", "27\n");
    project.write("data/B.txt", "28\n");
    let before = look(&project);
    let narrowed = "--where city=A --where outcome=x,y";
    let ran = counts(project.build(narrowed).success().targets("built=2"), 2, 2);
    assert!(!ran.stdout.contains("no target publishes"), "{ran}");
    assert_eq!(
        objects(touched(&before, &look(&project))),
        ["x", "y"].map(|o| format!("site/github_actions_integration/A/{o}.json"))
    );
    let plan = project.plan(narrowed).success();
    assert_eq!((plan.count("publish.unchanged"), plan.count("publish.orphaned")), (6, 0));
    project.jheem("verify").success();
    counts(project.build("").success().targets("fresh=2 built=4"), 4, 4);
}

#[test]
fn what_no_target_publishes_any_more_is_told_and_left() {
    let project = published();
    project.build("").success();
    let before = look(&project);
    project.change("values = [\"x\", \"y\", \"z\"]", "values = [\"x\", \"y\"]");
    let ran = counts(project.build("").success().targets("fresh=4"), 0, 0);
    let ran = ran.says("no target publishes them now; nothing was removed");
    drop(ran);
    assert_eq!(project.plan("").success().count("publish.orphaned"), 6);
    assert_eq!(touched(&before, &look(&project)), Vec::<String>::new());
    project.jheem("verify").code(1).says("orphaned").says("github_actions_integration/A/z.json");
    // It is named once, though it was changed as well.
    project.write("site/github_actions_integration/A/z.json", "edited");
    let ran = project.jheem("verify").code(1).says("orphaned");
    let named = ran.stdout.lines().filter(|l| l.contains("github_actions_integration/A/z.json"));
    assert_eq!(named.count(), 1, "{ran}");
}

#[test]
fn a_failed_plot_holds_nothing_else_back() {
    let project = published().allow("\"BROKEN\"");
    project.change("success = ", "failure = \"ERROR: \"\nsuccess = ");
    project.build("").success();
    project.write("data/A.txt", "27\n");
    let ran = project.build_as("BROKEN", "A/y", "").code(1).targets("fresh=3 built=2 failed=1");
    counts(ran, 2, 2);
    // What is published of the failed plot stays as it was.
    let object = "site/github_actions_integration/A/y.json";
    assert!(project.read(object).contains("\"value\": 1"));
    let plan = project.plan("").success();
    assert_eq!((plan.count("publish.undecided"), plan.count("publish.orphaned")), (3, 0));
    counts(project.build("").success().targets("fresh=5 built=1"), 1, 1);
    assert!(project.read(object).contains("\"value\": 27"));
}

/// Waits for something, for a minute at most.
#[track_caller]
fn wait_until(what: &str, mut happened: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !happened() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}: that did not happen");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn no_row_is_written_before_its_object_and_a_killed_publish_is_resumed() {
    let project = published();
    project.build("--where city=B").success();
    let database = Connection::open(project.path("site/plots.db")).unwrap();
    // Somebody else writes to the database, so that the rows must wait.
    database.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut build = project.command("build --format json");
    let mut build = build.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let object = |outcome: &str| format!("site/github_actions_integration/A/{outcome}.json");
    wait_until("all objects are there before any row", || {
        ["x", "y", "z"].iter().all(|outcome| project.exists(&object(outcome)))
    });
    build.kill().unwrap();
    build.wait().unwrap();
    database.execute_batch("ROLLBACK").unwrap();
    drop(database);
    assert_eq!(
        new_rows(&project).len(),
        3,
        "a row was registered although the publish did not end"
    );
    let before = look(&project);
    project.made();
    // The next one goes on: no plot is made, no object uploaded again, the rows are written.
    let ran = project.build("").success().targets("fresh=6");
    assert_eq!(ran.count("published.bytes"), 0, "{ran}");
    assert_eq!(objects(touched(&before, &look(&project))), Vec::<String>::new());
    assert!(project.made().is_empty());
    assert_eq!(new_rows(&project).len(), 6);
    project.jheem("verify").success();
    counts(project.build("").success(), 0, 0);
}

#[test]
fn what_stands_there_and_is_nobodys_is_not_touched() {
    let project = published();
    let foreign = "site/github_actions_integration/A/y.json";
    project.write(foreign, "somebody else's");
    let ran =
        project.build("").code(1).targets("built=6").says(foreign.trim_start_matches("site/"));
    assert_eq!(project.read(foreign), "somebody else's");
    drop(ran);
    project.jheem("verify").code(1).says("foreign");
    std::fs::remove_file(project.path(foreign)).unwrap();
    project.build("").success().targets("fresh=6");
    project.jheem("verify").success();
}

#[test]
fn verify_finds_what_differs_at_a_destination() {
    let project = published();
    project.build("").success();
    let folder = "site/github_actions_integration";
    std::fs::remove_file(project.path(&format!("{folder}/A/x.json"))).unwrap();
    project.write(&format!("{folder}/A/y.json"), "edited");
    project.write(&format!("{folder}/A/new.json"), "{}");
    let database = Connection::open(project.path("site/plots.db")).unwrap();
    let changed = database
        .execute("UPDATE plots SET item = '{}' WHERE outcome_stat_facet LIKE 'z#%' AND city_scenario LIKE 'A#%'", [])
        .unwrap();
    let removed = database.execute("DELETE FROM old_plots WHERE plot_id = 'container_B_z'", []);
    assert_eq!((changed, removed.unwrap()), (1, 1));
    drop(database);
    let ran = project.jheem("verify --format json").code(1);
    let mut found: Vec<(String, String)> = ran
        .events()
        .iter()
        .filter(|e| e["event"] == "drift")
        .map(|e| (e["kind"].as_str().unwrap().into(), e["key"].as_str().unwrap().into()))
        .collect();
    found.sort();
    let expected = [
        ("changed", "city_scenario=A#cessation, outcome_stat_facet=z#mean.and.interval#none"),
        ("changed", "github_actions_integration/A/y.json"),
        ("foreign", "github_actions_integration/A/new.json"),
        ("missing", "city=B, plot_id=container_B_z"),
        ("missing", "github_actions_integration/A/x.json"),
    ];
    assert_eq!(found, expected.map(|(kind, key)| (kind.to_owned(), key.to_owned())), "{ran}");
    assert_eq!(ran.last(), json!({ "event": "verified", "differences": 5, "repaired": 0 }));
    // What is missing is put back by the next build; what was edited there is not guessed at.
    project.build("").success();
    assert_eq!(project.read(&format!("{folder}/A/x.json")), project.read("plots/A/x.json"));
}

#[test]
fn what_was_changed_at_a_destination_is_put_back_as_verify_says() {
    let project = published();
    project.build("").success();
    let folder = "site/github_actions_integration";
    project.write(&format!("{folder}/A/y.json"), "edited");
    let ran = project.jheem("verify").code(1).says("remove the object or row there");
    drop(ran.says("then `jheem verify --repair` puts back what was published"));
    std::fs::remove_file(project.path(&format!("{folder}/A/y.json"))).unwrap();
    project.jheem("verify --repair").success();
    assert_eq!(project.read(&format!("{folder}/A/y.json")), project.read("plots/A/y.json"));
    project.jheem("verify").success();
}

#[test]
fn verify_misses_a_destination_that_is_gone_whole() {
    let project = published();
    let unpublished = |of: &str| {
        let ran = project.jheem(&format!("verify --format json {of}")).code(1);
        let found = ran.events().into_iter().filter(|e| e["event"] == "drift");
        let mut found: Vec<String> =
            found.map(|e| format!("{} {}", e["kind"], e["destination"])).collect();
        found.sort();
        found
    };
    let site = r#""unpublished" "file:site""#;
    let rows = ["old_plots", "plots"]
        .map(|table| format!(r#""unpublished" "sqlite:site/plots.db#{table}""#));
    assert_eq!(unpublished(""), [site, &rows[0], &rows[1]], "nothing was published yet");
    project.build("").success();
    project.jheem("verify").success();
    std::fs::remove_file(project.path("site/plots.db")).unwrap();
    assert_eq!(unpublished(""), rows);
    std::fs::remove_dir_all(project.path("site")).unwrap();
    assert_eq!(unpublished(""), [site, &rows[0], &rows[1]]);
    assert_eq!(unpublished("publish.old"), [&*rows[0]]);
    counts(project.build("").success(), 6, 12);
    project.jheem("verify").success();
}

#[test]
fn publish_and_verify_take_rules_and_paths_as_goals() {
    let project = published();
    let ran = project.jheem("publish --format json plots/A/x.json").success();
    counts(ran, 1, 2);
    project.write("site/github_actions_integration/A/x.json", "edited");
    project.jheem("verify plot.p").code(1).says("changed");
    project.jheem("verify plots/A/x.json").code(1).says("changed");
    let text = project.read("Jheemfile.toml");
    project.write("Jheemfile.toml", &text[..text.find("[publish.site]").unwrap()]);
    for command in ["verify", "publish plot.p", "publish --dry-run"] {
        let ran = project.jheem(command).code(2).says("nothing publishes what was asked for");
        ran.says("hint: declare a `[publish.NAME]`");
    }
}

#[test]
fn remote_destinations_are_written_by_publish_alone_which_needs_an_account() {
    let project = published();
    project.change("to = \"file:site\"", "to = \"s3://jheem-test-tiny-bucket/prefix\"");
    let mut nobody = project.command("publish");
    nobody.env_clear().env("HOME", project.root()).env("AWS_REGION", "us-east-1");
    nobody.env("PATH", std::env::var_os("PATH").unwrap()).env("AWS_EC2_METADATA_DISABLED", "true");
    let ran = Ran::new("publish", nobody.output().unwrap());
    let ran = ran.code(3).says("there are no AWS credentials").says("hint: ");
    assert!(!project.exists("plots"), "nothing runs for what cannot be published\n{ran}");
    project.build("").success();
    assert!(!project.exists("site/.jheem"), "a build writes no remote destination");
}

#[test]
fn a_build_writes_no_remote_destination() {
    let project = published();
    let text = project.read("Jheemfile.toml");
    let rows = text.find("[publish.site.row.plot]").unwrap()..text.find("[publish.old]").unwrap();
    project.write("Jheemfile.toml", text.replace(&text[rows], ""));
    project.change("to = \"file:site\"", "to = \"s3://jheem-test-tiny-bucket/prefix\"");
    counts(project.build("").success().targets("built=6"), 0, 6);
}

#[test]
fn a_destination_that_is_a_folder_of_a_rule_is_refused_when_the_jheemfile_is_read() {
    let project = published();
    for (url, words) in [
        ("file:plots", "the destination `file:plots` is a folder of output `plot` of `plot.p`"),
        ("file:plots/A", "`plots/A/x.json`"),
        ("file:./plots/B/x.json", "`plots/B/x.json`"),
        ("file:data", "the destination `file:data` is a folder of input `data`"),
        ("file:cache/site", "in jheem's own folder"),
    ] {
        let text = project.read("Jheemfile.toml");
        project.change("to = \"file:site\"", &format!("to = \"{url}\""));
        project.jheem("list").code(2).says(words).says("such as `file:site`");
        project.write("Jheemfile.toml", text);
    }
    project.change("sqlite:site/plots.db#old_plots", "sqlite:data/A.txt#old_plots");
    project.jheem("list").code(2).says("is a folder of input `data`: `data/A.txt`");
    // Beside them is another matter.
    project.change("sqlite:data/A.txt#old_plots", "sqlite:plots/plots.db#old_plots");
    project.jheem("list").success();
}

#[test]
fn two_projects_share_a_destination_without_touching_each_other() {
    let project = published();
    project.build("").success();
    let other = published();
    std::fs::remove_dir_all(other.path("site")).ok();
    other.change("name = \"cities\"", "name = \"others\"");
    other.change("github_actions_integration/", "others/");
    other.change("\"file:site\"", &format!("\"file:{}\"", project.path("site").display()));
    for table in ["plots", "old_plots"] {
        let shared = project.path("site/plots.db");
        other.change(
            &format!("sqlite:site/plots.db#{table}"),
            &format!("sqlite:{}#{table}", shared.display()),
        );
    }
    // Their objects have other keys, but their rows the same: those are refused.
    let before = look(&project);
    let ran = other.build("").code(1);
    drop(ran);
    other.change("\"{city}#cessation\"", "\"other {city}#cessation\"");
    other.change("hash = { city = \"{city}\" }", "hash = { city = \"other {city}\" }");
    counts(other.build("").success().targets("fresh=6"), 6, 12);
    assert!(objects(touched(&before, &look(&project))).iter().all(|p| p.contains("/others/")));
    counts(project.build("").success().targets("fresh=6"), 0, 0);
    project.jheem("verify").success();
    other.jheem("verify").success();
}

#[test]
fn a_profile_sends_what_is_published_elsewhere() {
    let project = published();
    let text = project.read("Jheemfile.toml");
    let profile = "\n[profile.trial.publish.site.object.plot]\nto = \"file:trial\"\n[profile.trial.publish.site.row.plot]\nto = \"sqlite:trial/plots.db#plots\"\n";
    project.write("Jheemfile.toml", format!("{text}{profile}"));
    project.build("").success();
    let before = look(&project);
    let ran = counts(project.build("--profile trial").success().targets("fresh=6"), 6, 6);
    drop(ran);
    assert_eq!(objects(project.files("trial")).len(), 6);
    assert_eq!(touched(&before, &look(&project)), Vec::<String>::new());
}

#[test]
fn a_plot_that_is_published_does_not_become_absent_silently_though_its_record_is_lost() {
    let project = published().allow("\"BROKEN\"");
    project.change("success = ", "absent = [\"ERROR: broken\"]\nsuccess = ");
    project.build("").success();
    std::fs::remove_dir_all(project.path("cache")).unwrap();
    let ran = project.build_as("BROKEN", "A/y", "--keep-going").code(1);
    let ran = ran.targets("built=5 failed=1").says("`jheem accept` agrees to that");
    assert_eq!(ran.ended("failed"), ["plot.p[city=A, outcome=y]"]);
    project.jheem("accept --where city=A --where outcome=y").success();
    let ran = project.build("").success().targets("fresh=5 absent=1");
    ran.says("no target publishes them now; nothing was removed");
}
