//! What is written to a folder: packed, in order, held back.

use std::io::Read as _;

use flate2::read::GzDecoder;
use serde_json::Value;

use super::super::project::Project;
use super::{counts, published};

fn unpacked(project: &Project, path: &str) -> Value {
    let packed = std::fs::read(project.path(path)).unwrap();
    let mut plot = String::new();
    GzDecoder::new(&packed[..]).read_to_string(&mut plot).unwrap();
    serde_json::from_str(&plot).unwrap()
}

#[test]
fn objects_in_a_folder_can_be_packed_too() {
    let project = published();
    project.change("[publish.site.object.plot]", "[publish.site.object.plot]\ngzip = true");
    counts(project.build(""), 6, 12);
    assert_eq!(unpacked(&project, "site/github_actions_integration/A/x.json")["value"], 1);
    let packed = std::fs::read(project.path("site/github_actions_integration/A/x.json")).unwrap();
    counts(project.build(""), 0, 0);
    std::fs::remove_dir_all(project.path("cache")).unwrap();
    std::fs::remove_dir_all(project.path("plots")).unwrap();
    counts(project.build(""), 0, 0);
    assert_eq!(
        std::fs::read(project.path("site/github_actions_integration/A/x.json")).unwrap(),
        packed
    );
    project.jheem("verify").success();
    project.change("gzip = true\n", "");
    counts(project.build(""), 6, 6);
    assert_eq!(
        project.read("site/github_actions_integration/A/x.json"),
        project.read("plots/A/x.json")
    );
}
