//! What is published on this machine is looked through and mended as what is far away.

use super::*;

fn told(ran: &Ran, event: &str) -> Vec<String> {
    let told = ran.events().into_iter().filter(|e| e["event"] == event);
    let mut told: Vec<String> = told.map(|e| e["key"].as_str().unwrap().to_owned()).collect();
    told.sort();
    told
}

fn object(city: &str, outcome: &str) -> String {
    format!("github_actions_integration/{city}/{outcome}.json")
}

fn file(city: &str, outcome: &str) -> String {
    format!("site/{}", object(city, outcome))
}

#[test]
fn what_somebody_removed_from_a_folder_and_a_database_is_put_back_without_a_build() {
    let project = published();
    project.build("").success();
    let (before, rows) = (project.read(&file("A", "x")), new_rows(&project));
    std::fs::remove_file(project.path(&file("A", "x"))).unwrap();
    let database = Connection::open(project.path("site/plots.db")).unwrap();
    database.execute("DELETE FROM plots WHERE city_scenario = 'B#cessation'", []).unwrap();
    drop(database);
    project.write(&file("A", "new"), "theirs");
    let ran = project.jheem("verify --repair --format json").code(1);
    assert_eq!(ran.last()["repaired"], 4, "{ran}");
    assert_eq!(ran.last()["differences"], 5, "what is foreign stays, and is told: {ran}");
    assert_eq!(told(&ran, "repaired")[3], object("A", "x"));
    assert_eq!(project.read(&file("A", "x")), before);
    assert_eq!(new_rows(&project), rows);
    std::fs::remove_file(project.path(&file("A", "new"))).unwrap();
    project.jheem("verify --deep").success();
    counts(project.build("").success(), 0, 0);
}

#[test]
fn what_was_edited_is_not_reverted_by_a_repair() {
    let project = published();
    project.build("").success();
    project.write(&file("A", "x"), "theirs");
    let ran = project.jheem("verify --repair").code(1).says("1 difference");
    assert_eq!(project.read(&file("A", "x")), "theirs", "{ran}");
}

#[test]
fn what_nothing_publishes_any_more_is_removed_from_a_folder_and_a_database() {
    let project = published();
    project.build("").success();
    project.change(r#"values = ["A", "B"]"#, r#"values = ["A"]"#);
    let before = look(&project);
    project.jheem("prune").code(2).says("more than 10 %");
    assert_eq!(touched(&before, &look(&project)), [""; 0]);
    project.write(&file("B", "z"), "theirs");
    let ran = project.jheem("prune --at-most 50% --format json").code(1);
    assert_eq!(told(&ran, "kept"), [object("B", "z")], "{ran}");
    let last = ran.last();
    assert_eq!((&last["objects"], &last["rows"]), (&json!(2), &json!(6)), "{ran}");
    assert_eq!(project.read(&file("B", "z")), "theirs");
    assert!(!project.exists(&file("B", "x")) && project.exists(&file("A", "x")));
    assert!(new_rows(&project).keys().all(|(city, _)| city == "A#cessation"));
    std::fs::remove_file(project.path(&file("B", "z"))).unwrap();
    project.jheem("prune").code(2).says("--at-most 25%");
    project.jheem("prune --at-most 1").success();
    assert!(!project.exists("site/github_actions_integration/B"), "no empty folder is left");
    project.jheem("verify").success();
    counts(project.build("").success(), 0, 0);
    project.change(r#"values = ["A"]"#, r#"values = ["A", "B"]"#);
    counts(project.build("").success(), 3, 6);
}

#[test]
fn a_prune_of_what_is_here_that_is_killed_is_brought_to_its_end_by_the_next() {
    for moment in ["pruned:1", "pruned:2", "pruned:3", "pruned:5", "chunk:1", "head:1"] {
        let project = published();
        project.build("").success();
        project.change(r#"values = ["A", "B"]"#, r#"values = ["A"]"#);
        project.killed("prune --at-most 50%", moment);
        let ran = project.jheem("verify");
        assert!(!format!("{ran}").contains("foreign"), "after {moment}: {ran}");
        project.jheem("prune --at-most 50%").success();
        project.jheem("verify").success();
        assert_eq!(new_rows(&project).len(), 3, "after {moment}");
    }
}

#[test]
fn what_another_tool_put_into_a_folder_is_taken_for_published() {
    let project = published();
    project.build("").success();
    let before = objects(project.files("site"));
    std::fs::remove_dir_all(project.path("site/.jheem")).unwrap();
    project.build("").code(1).says("something that jheem did not publish stands there");
    let ran = project.jheem("adopt --format json").success();
    let adopted: Vec<u64> = ran.events().iter().filter_map(|e| e["objects"].as_u64()).collect();
    assert_eq!(adopted, [0, 6], "{ran}");
    counts(project.build("").success(), 0, 0);
    assert_eq!(objects(project.files("site")), before);
    project.jheem("verify").success();
    // Longer, so that rows which say how long it is change in whatever second this is.
    project.write("data/A.txt", "70");
    counts(project.build("").success(), 3, 3);
}

#[test]
fn what_got_a_longer_key_is_removed_under_the_old_one() {
    let project = published();
    project.build("").success();
    project.change("key = \"github_actions", "key = \"v2/github_actions");
    project.build("").success();
    project.jheem("prune --at-most 50%").success().says("removed 6 objects and 0 rows");
    assert!(!project.exists("site/github_actions_integration"));
    project.jheem("verify").success();
}

#[test]
fn what_is_about_whole_destinations_is_not_narrowed_in_silence() {
    let project = published();
    project.build("").success();
    std::fs::remove_file(project.path(&file("A", "x"))).unwrap();
    for command in ["verify", "verify --repair", "prune", "prune --dry-run"] {
        project
            .jheem(&format!("{command} --where city=B"))
            .code(2)
            .says("`--where` cannot narrow it");
        project.jheem(&format!("{command} --preset small")).code(2).says("`--preset` cannot");
    }
    assert!(!project.exists(&file("A", "x")));
    project.jheem("verify").code(1).says("`jheem verify --repair` puts back");
}

#[test]
fn a_dry_run_tells_that_the_prune_would_refuse() {
    let project = published();
    project.build("").success();
    project.change(r#"values = ["A", "B"]"#, r#"values = ["A"]"#);
    project.jheem("prune --dry-run").success().says("would refuse").says("--at-most 50%");
    let ran = project.jheem("prune --dry-run --at-most 50%").success().says("9 keys");
    assert!(!format!("{ran}").contains("refuse"), "{ran}");
    project.jheem("verify").code(1).says("hint: `jheem prune`");
}
