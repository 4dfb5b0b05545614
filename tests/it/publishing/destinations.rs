//! Destinations that meet, that are out of reach, or that somebody changed: nothing false is published or said.

use std::collections::BTreeSet;

use rusqlite::Connection;
use serde_json::json;

use super::super::project::{Project, cities};
use super::{counts, published};

/// The plots of two cities, with these publishes.
fn with(publishes: &str) -> Project {
    let project = cities();
    let text = project.read("Jheemfile.toml");
    project.write("Jheemfile.toml", format!("{text}{publishes}"));
    project
}

#[test]
fn a_row_whose_object_is_out_of_reach_is_not_written_before_it() {
    for item in ["", ", s3_key = \"{object.key}\""] {
        let project = with(&format!(
            r#"
[publish.site]
of = "plot.p"
object.plot = {{ to = "s3://jheem-test-tiny-bucket/prefix", key = "{{city}}/{{file}}" }}
[publish.site.row.plot]
to = "sqlite:site/plots.db#plots"
hash = {{ city = "{{city}}" }}
range = {{ outcome = "{{outcome}}" }}
item = {{ source = "jheem"{item} }}
"#
        ));
        counts(project.build("").success().targets("built=6"), 0, 0);
        assert!(!project.exists("site"), "rows of objects that stand nowhere");
    }
}

#[test]
fn rows_of_two_kinds_of_key_do_not_share_a_table() {
    let project = with(
        r#"
[publish.site]
of = "plot.p"
[publish.site.row.plot]
to = "sqlite:site/plots.db#plots"
hash = { city = "{city}" }
range = { outcome = "{outcome}" }
[publish.other]
of = "plot.p"
[publish.other.row.plot]
to = "sqlite:./site/plots.db#plots"
hash = { plot_id = { N = "1" } }
range = { outcome = "other-{city}-{outcome}" }
"#,
    );
    project
        .jheem("build")
        .code(2)
        .says(
            "rows with the key `city (S), outcome (S)` and with the key `plot_id (N), outcome (S)`",
        )
        .says("name another table after `#`");
    assert!(!project.exists("plots"), "something was built for what cannot be published");
}

#[test]
fn destinations_that_lie_in_each_other_are_refused() {
    let project = with(
        r#"
[publish.outer]
of = "plot.p"
object.plot = { to = "file:site", key = "{city}/{file}" }
[publish.inner]
of = "plot.p"
object.plot = { to = "file:site/A", key = "new/{city}-{file}" }
"#,
    );
    project.jheem("list").code(2).says("`file:site` and `file:site/A` lie in each other");
    project.change("file:site/A", "file:sites");
    project.jheem("list").success();
}

#[test]
fn an_object_is_not_published_over_the_database_of_the_rows() {
    let project = with(
        r#"
[publish.site]
of = "plot.p"
[publish.site.object.plot]
to = "file:site"
key = "{city}.{outcome}"
[publish.site.row.plot]
to = "sqlite:site/A.x#plots"
hash = { city = "{city}" }
range = { outcome = "{outcome}" }
"#,
    );
    project.jheem("list").code(2).says("the database `site/A.x`").says("publish to one key");
    project.change("sqlite:site/A.x#plots", "sqlite:site/A.x/rows.db#plots");
    project.jheem("list").code(2).says("is the file `site/A.x`, which is a folder of");
    // Nor over what SQLite keeps beside it.
    project.change("sqlite:site/A.x/rows.db#plots", "sqlite:site/rows.db#plots");
    project.change("key = \"{city}.{outcome}\"", "key = \"rows.db-wal/{city}.{outcome}\"");
    project.jheem("list").code(2).says("the database `site/rows.db-wal`");
    project.change("key = \"rows.db-wal/{city}.{outcome}\"", "key = \"{city}.{outcome}\"");
    counts(project.build("").success(), 6, 6);
    project.jheem("verify").success();
}

#[test]
fn a_table_that_was_dropped_is_missing_and_made_again() {
    let project = published();
    project.build("").success();
    let drop_table = || {
        let database = Connection::open(project.path("site/plots.db")).unwrap();
        database.execute_batch("DROP TABLE plots").unwrap();
    };
    drop_table();
    let ran = project.jheem("verify --format json").code(1);
    assert_eq!(
        ran.last(),
        json!({ "event": "verified", "differences": 6, "repaired": 0 }),
        "{ran}"
    );
    // One city's rows are put back, and the others are still known to be missing.
    counts(project.build("--where city=A").success(), 0, 3);
    let ran = project.jheem("verify --format json").code(1);
    assert_eq!(
        ran.last(),
        json!({ "event": "verified", "differences": 3, "repaired": 0 }),
        "{ran}"
    );
    counts(project.build("").success().targets("fresh=6"), 0, 3);
    project.jheem("verify").success();
    // Dropped to be made with another key: nothing of the old one is left.
    drop_table();
    project
        .change("hash = { city_scenario = \"{city}#cessation\" }", "hash = { place = \"{city}\" }");
    counts(project.build("").success(), 0, 6);
    project.jheem("verify").success();
}

#[test]
fn publishes_that_share_a_folder_are_verified_together_and_once() {
    let project = with(
        r#"
[publish.objects]
of = "plot.p"
object.plot = { to = "file:site", key = "{city}/{file}" }
[publish.more]
of = "plot.p"
object.plot = { to = "file:site", key = "more/{city}/{file}" }
[publish.rows]
of = "plot.p"
row.plot = { to = "sqlite:site/plots.db", hash = { city = "{city}" }, range = { outcome = "{outcome}" } }
"#,
    );
    counts(project.build("").success(), 12, 6);
    project.jheem("verify").success();
    project.write("site/stray.json", "{}");
    let ran = project.jheem("verify --format json").code(1);
    assert_eq!(
        ran.last(),
        json!({ "event": "verified", "differences": 1, "repaired": 0 }),
        "{ran}"
    );
}

#[test]
fn a_plan_says_what_would_be_refused_and_counts_it() {
    let project = published();
    project.build("").success();
    project.change(
        "key = \"github_actions_integration/{city}/{file}\"",
        "key = \"new/{city}/{file}\"",
    );
    project.write("site/new/A/y.json", "somebody else's");
    let ran = project.plan("").success();
    let publish = &ran.last()["publish"];
    // The five other objects, and the five rows whose key of an object is another.
    assert_eq!((&publish["create"], &publish["refused"]), (&json!(5), &json!(1)), "{ran}");
    project
        .jheem("plan")
        .success()
        .says("`publish.site` would be refused")
        .says("new/A/y.json")
        .says("1 refused");
    // A dry run ends as the build would.
    project.jheem("build --dry-run").code(1).says("`publish.site` would be refused");
    project.build("").code(1);
    assert_eq!(project.read("site/new/A/y.json"), "somebody else's");
}

#[test]
fn a_value_that_one_plot_lacks_is_named_and_other_publishes_go_on() {
    let project = published();
    project.change(
        "facet_choice = \"{metadata:/facet_choice/0}\"",
        "facet_choice = \"{metadata:/facet/0}\"",
    );
    let ran = project.build("").code(1).targets("built=6");
    // The rows of `old` need no such value.
    counts(ran, 0, 6).says("`plots/A/x_metadata.json` has no single value at `/facet/0`");
    project.plan("").success();
    // Another value's name, and everything is published.
    project.change("/facet/0", "/facet_choice/0");
    counts(project.build("").success(), 6, 6);
}

#[test]
fn numbers_in_keys_are_known_again_however_they_are_written() {
    let project = with(
        r#"
[publish.rows]
of = "plot.p"
[publish.rows.row.plot]
to = "sqlite:site/plots.db"
hash = { fips = { N = "{city.fips}" } }
range = { outcome = "{outcome}" }
[axis.city.label.fips]
A = "01073"
B = "1.50"
"#,
    );
    let ran = counts(project.build("").success(), 0, 6);
    assert!(
        !ran.stdout.contains("published before"),
        "published keys are taken for orphans\n{ran}"
    );
    project.jheem("verify").success();
    let planned = project.plan("").success().last();
    assert_eq!(planned["publish"]["orphaned"], json!(0));
}

#[test]
fn a_folder_in_the_place_of_an_object_is_no_object() {
    let project = published();
    project.build("").success();
    let object = "site/github_actions_integration/A/x.json";
    std::fs::remove_file(project.path(object)).unwrap();
    std::fs::create_dir(project.path(object)).unwrap();
    project.jheem("verify").code(1).says("missing");
    project.build("").code(1).says("A/x.json");
    std::fs::remove_dir(project.path(object)).unwrap();
    counts(project.build("").success().targets("fresh=6"), 1, 0);
    project.jheem("verify").success();
}

#[cfg(unix)]
#[test]
fn a_pipe_in_the_place_of_an_object_is_not_waited_for() {
    let project = published();
    project.build("").success();
    let object = project.path("site/github_actions_integration/A/x.json");
    std::fs::remove_file(&object).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&object).status().unwrap();
    assert!(made.success());
    project.jheem("verify").code(1).says("missing");
}

#[test]
fn both_schemas_of_the_portal_have_all_of_their_attributes() {
    let project = published();
    let text = project.read("Jheemfile.toml");
    let publishes = text.find("\n[publish.site]").unwrap();
    project.write(
        "Jheemfile.toml",
        format!(
            "{}{}",
            &text[..publishes],
            r#"
[publish.now]
of = "plot.p"
object.plot = { to = "file:now", key = "github_actions_integration/{city}/cessation/{file}", content_type = "application/json" }
[publish.now.row.plot]
to = "sqlite:rows.db#now"
hash = { city_scenario = "{city}#cessation" }
range = { outcome_stat_facet = "{outcome}#mean.and.interval#none" }
item = { outcome = "{outcome}", statistic_type = "mean.and.interval", facet_choice = "{metadata:/facet_choice/0}", s3_key = "{object.key}", file_size = { N = "{object.size}" }, source = "github_actions_container" }
uncompared = { config_type = "{preset}", created_at = "{now}" }
[publish.seed]
of = "plot.p"
object.plot = { to = "file:seed", key = "{city}/{file}" }
[publish.seed.row.plot]
to = "sqlite:rows.db#seed"
hash = { city = "{city}" }
range = { plot_id = "container_{city}_{outcome}" }
item = { scenario = "cessation", outcome = "{outcome}", statistic = "mean.and.interval", facet = "none", s3_key = "{object.key}", file_size = { N = "{object.size}" }, source = "github_actions_container" }
uncompared = { config_type = "{preset}", created_at = "{now}" }
"#
        ),
    );
    counts(project.build("--preset small").success(), 6, 6);
    let database = Connection::open(project.path("rows.db")).unwrap();
    let item = |table: &str| -> serde_json::Value {
        let sql = format!("SELECT item FROM {table} WHERE item LIKE '%\"x\"%'");
        let item: String = database.query_row(&sql, [], |row| row.get(0)).unwrap();
        serde_json::from_str(&item).unwrap()
    };
    let names = |item: &serde_json::Value| -> BTreeSet<String> {
        item.as_object().unwrap().keys().cloned().collect()
    };
    let (now, seed) = (item("now"), item("seed"));
    let shared = ["config_type", "created_at", "file_size", "outcome", "s3_key", "source"];
    let expected = |own: &[&str]| -> BTreeSet<String> {
        shared.iter().chain(own).map(|name| (*name).to_owned()).collect()
    };
    assert_eq!(names(&now), expected(&["facet_choice", "statistic_type"]));
    assert_eq!(names(&seed), expected(&["facet", "scenario", "statistic"]));
    for (item, key) in
        [(&now, "github_actions_integration/A/cessation/x.json"), (&seed, "A/x.json")]
    {
        assert_eq!(item["s3_key"], json!({ "S": key }));
        assert_eq!(item["config_type"], json!({ "S": "small" }));
        let folder = if item == &now { "now" } else { "seed" };
        let size = std::fs::metadata(project.path(&format!("{folder}/{key}"))).unwrap().len();
        assert_eq!(item["file_size"], json!({ "N": size.to_string() }));
        assert!(item["created_at"]["S"].as_str().unwrap().ends_with('Z'), "{item}");
    }
}
