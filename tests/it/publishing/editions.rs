//! Whole editions in a folder: the same as in a bucket, on this machine.

use super::*;

const EDITIONS: &str = r#"
[publish.data]
of = "plot.p"
editions = "index.json"
[publish.data.object.plot]
to = "file:data-set"
key = "{city}/{file}"
uncompared = { timestamp = "{now}" }
"#;

fn json(project: &Project, path: &str) -> Value {
    serde_json::from_str(&project.read(path)).unwrap()
}

/// The edition that the index names, after all of it was looked at.
fn latest(project: &Project) -> String {
    let edition = json(project, "data-set/index.json")["edition"].as_str().unwrap().to_owned();
    let list = json(project, &format!("data-set/{edition}/manifest.json"));
    for (key, told) in list["objects"].as_object().unwrap() {
        let found = project.read(&format!("data-set/{edition}/{key}"));
        assert_eq!(told["size"], found.len(), "{key}");
    }
    edition
}

#[test]
fn a_build_publishes_a_whole_edition_beside_those_before() {
    let project = cities();
    let text = project.read("Jheemfile.toml");
    project.write("Jheemfile.toml", format!("{text}{EDITIONS}"));
    project.build("").success();
    let first = latest(&project);
    let plot = project.read(&format!("data-set/{first}/B/x.json"));
    project.build("").success();
    assert_eq!(latest(&project), first);
    project.write("data/A.txt", "1001");
    let ran = project.build("--where city=A").success();
    ran.says("only 3 of the 6 targets were asked for");
    assert_eq!(latest(&project), first);
    project.build("").success();
    let second = latest(&project);
    assert_ne!(second, first);
    assert_eq!(project.read(&format!("data-set/{first}/B/x.json")), plot);
    assert_eq!(project.read(&format!("data-set/{second}/B/x.json")), plot);
    assert_eq!(json(&project, &format!("data-set/{second}/A/x.json"))["value"], "1001");
    project.jheem("verify --deep").success();
    // No manifest of before is kept here, so that no other edition can be gone back to.
    project.jheem("prune --at-most 60%").success();
    assert!(!project.exists(&format!("data-set/{first}/A/x.json")));
    assert_eq!(latest(&project), second);
    // What is missing there is put back, with the index as it was.
    std::fs::remove_file(project.path("data-set/index.json")).unwrap();
    std::fs::remove_file(project.path(&format!("data-set/{second}/A/x.json"))).unwrap();
    project.build("").success();
    assert_eq!(latest(&project), second);
}

#[test]
fn what_is_no_file_where_the_index_is_to_be_is_said_and_not_waited_for() {
    let project = cities();
    let text = project.read("Jheemfile.toml");
    project.write("Jheemfile.toml", format!("{text}{EDITIONS}"));
    std::fs::create_dir(project.path("data-set")).unwrap();
    let pipe = project.path("data-set/index.json");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    project.build("").code(1).says("something that jheem did not publish stands there");
    std::fs::remove_file(&pipe).unwrap();
    project.build("").success();
    latest(&project);
}

#[test]
fn an_output_that_was_not_asked_for_holds_an_edition_back() {
    let project = cities();
    let text = project.read("Jheemfile.toml");
    let page = "\n[plot.p.output.page]\npath = \"plots/{city}/{outcome}.html\"\nas = \"html\"\nwhen = { option = \"page\", arguments = [\"--page\"] }\n[publish.data.object.page]\nto = \"file:data-set\"\nkey = \"{city}/{file}\"\n";
    project.write("Jheemfile.toml", format!("{text}{EDITIONS}{page}"));
    project.build("").success().says("add `--with page`");
    assert!(!project.exists("data-set/index.json"));
}

#[test]
fn what_an_edition_cannot_be_is_said_at_its_line() {
    for (from, to, said) in [
        ("\"index.json\"", "\"{city}.json\"", "its key has no holes"),
        ("\"index.json\"", "\"/index.json\"", "cannot be the key of an index"),
        ("\"index.json\"", "\"latest/index.json\"", "it stands beside the editions"),
        ("\"index.json\"", "\"index.json\"\nhold = [\"city\"]", "whole or not at all"),
        (
            "[publish.data]",
            "[publish.more]\nof = \"plot.p\"\nobject.plot = { to = \"file:data-set\", key = \"{city}/{file}\" }\n[publish.data]",
            "need `file:data-set` alone",
        ),
        (
            "[publish.data.object.plot]",
            "[publish.data.row.plot]\nto = \"sqlite:site.db\"\nhash = { city = \"{city}{outcome}\" }\n[publish.data.object.plot]",
            "an edition has no rows",
        ),
    ] {
        let project = cities();
        let text = project.read("Jheemfile.toml");
        project.write("Jheemfile.toml", format!("{text}{}", EDITIONS.replacen(from, to, 1)));
        project.plan("").code(2).says(said).says("hints");
    }
}
