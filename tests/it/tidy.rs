//! What must stay so in the source: floors, essays, and what is nowhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// All source files below a folder or beside it, without those that only hold tests.
fn files(at: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![at.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            let test = path.to_string_lossy().contains("tests");
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") && !test {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The code of a file without its tests and comments.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Module name to the number of its floor, as `lib.rs` groups them.
fn floors() -> BTreeMap<String, usize> {
    let text = fs::read_to_string(source().join("lib.rs")).unwrap();
    let mut floors = BTreeMap::new();
    for (floor, group) in text.split("\n\n").enumerate() {
        for line in group.lines() {
            if let Some(name) = line.strip_prefix("pub mod ") {
                floors.insert(name.trim_end_matches(';').to_owned(), floor);
            }
        }
    }
    floors
}

#[test]
fn the_floors_of_the_architecture_are_those_of_the_modules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    let mut drawn: Vec<Vec<String>> = Vec::new();
    for line in page.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        if cells[1].parse() == Ok(drawn.len() + 1) {
            let modules = cells[2].split(", ").map(|name| name.trim_matches('`').to_owned());
            drawn.push(modules.collect());
        }
    }
    let floors = floors();
    let numbers: BTreeSet<usize> = floors.values().copied().collect();
    let built: Vec<Vec<String>> = numbers
        .into_iter()
        .map(|number| {
            let on = floors.iter().filter(|(_, floor)| **floor == number);
            on.map(|(name, _)| name.clone()).collect()
        })
        .collect();
    assert_eq!(drawn, built, "ARCHITECTURE.md draws other floors than src/lib.rs");
}

#[test]
fn a_module_imports_only_from_floors_above_its_own() {
    let floors = floors();
    assert!(floors.len() > 30, "the floors of lib.rs were not understood: {floors:?}");
    let imports = regex::Regex::new(r"crate::(\w+)").unwrap();
    let mut wrong = Vec::new();
    for (module, floor) in &floors {
        let mut paths = files(&source().join(module));
        let file = source().join(format!("{module}.rs"));
        if file.is_file() {
            paths.push(file);
        }
        for path in paths {
            for found in imports.captures_iter(&code(&path)) {
                let other = &found[1];
                if other != module && floors.get(other).is_some_and(|o| o >= floor) {
                    wrong.push(format!("{} imports `{other}`", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "imports that run sideways or upward:\n{}", wrong.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for_and_stays_readable() {
    for path in files(&source()) {
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("//! "), "{} does not say what it is for", path.display());
        let lines = code(&path).lines().count();
        assert!(lines <= 800, "{} has {lines} lines: does it hold one subject?", path.display());
    }
}

#[test]
fn only_the_executors_know_tokio_and_only_the_report_prints() {
    for path in files(&source()) {
        let code = code(&path);
        let name = path.strip_prefix(source()).unwrap().to_string_lossy().into_owned();
        let holds = |words: &[&str]| words.iter().any(|word| code.contains(word));
        if !name.starts_with("execute/") && !name.starts_with("aws") {
            assert!(!holds(&["tokio", "bollard", "async fn"]), "{name} knows the async world");
        }
        if !name.starts_with("report") && !name.starts_with("progress") {
            assert!(!holds(&["println!", "eprintln!", "print!("]), "{name} prints");
        }
    }
}
