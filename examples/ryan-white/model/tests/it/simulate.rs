//! Making simulation files.

use std::fs;

use rw_model::random::checksum;

use crate::{Folder, parameters};

fn simulate(folder: &Folder, words: &str) -> std::process::Output {
    let parameters = parameters("C.12580");
    folder.run(&format!("simulate {words} --parameters"), &[parameters.to_str().unwrap()], &[])
}

#[test]
fn the_same_seed_gives_the_same_bytes_on_every_machine() {
    let folder = Folder::empty();
    let run = simulate(
        &folder,
        "--city C.12580 --scenario cessation --draws 5 --seed 42 --output a/b.Rdata",
    );
    assert_eq!(
        String::from_utf8_lossy(&run.stdout),
        "--- Simulating C.12580 (Baltimore-Columbia-Towson, MD): cessation\n\
         Simulation progress: 2 of 5\nSimulation progress: 4 of 5\nSimulation progress: 5 of 5\n\
         SIMULATION COMPLETE\n"
    );
    let bytes = fs::read(folder.path.join("a/b.Rdata")).unwrap();
    // It changes with the model, the parameters of the city or the format, and with nothing else.
    assert_eq!(format!("{:016x}", checksum(&bytes)), "d530bf2f77a13929");
    simulate(&folder, "--city C.12580 --scenario cessation --draws 5 --seed 42 --output again");
    assert_eq!(bytes, fs::read(folder.path.join("again")).unwrap());
    simulate(&folder, "--city C.12580 --scenario cessation --draws 5 --seed 43 --output other");
    assert_ne!(bytes, fs::read(folder.path.join("other")).unwrap());
}

#[test]
fn twenty_draws_of_the_largest_city_stay_small() {
    let folder = Folder::empty();
    let parameters = parameters("C.35620");
    let words = "simulate --city C.35620 --scenario cessation --draws 20 --output big --parameters";
    folder.run(words, &[parameters.to_str().unwrap()], &[]);
    assert!(fs::metadata(folder.path.join("big")).unwrap().len() < 400_000);
}

#[test]
fn all_31_cities_have_parameters_of_their_own() {
    let folder = parameters("C.12580").parent().unwrap().to_owned();
    let mut texts = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if stem.starts_with("C.") {
            let text = fs::read_to_string(&path).unwrap();
            let mut city = rw_model::parameters::City::parse(&text).unwrap();
            assert_eq!(city.city, stem);
            (city.city, city.label) = (String::new(), String::new());
            texts.push(format!("{city:?}"));
        }
    }
    texts.sort();
    texts.dedup();
    assert_eq!(texts.len(), 31);
}

#[test]
fn wrong_requests_are_refused_with_the_name_of_what_is_wrong() {
    let folder = Folder::empty();
    let error = |words: &str| {
        let run = simulate(&folder, words);
        assert_eq!(run.status.code(), Some(1));
        let text = String::from_utf8_lossy(&run.stderr).into_owned();
        text.lines().next().unwrap().replace(parameters("C.12580").to_str().unwrap(), "FILE")
    };
    assert_eq!(error("--scenario base --output x"), "error: `--city` must be specified");
    assert_eq!(
        error("--city C.1 --scenario base --output x"),
        "error: `FILE` is about `C.12580`, and `C.1` was asked for"
    );
    assert_eq!(error("--city C.12580 --scenario end --output x"), "error: unknown scenario `end`");
    assert_eq!(
        error("--city C.12580 --scenario base --output x --draws none"),
        "error: `--draws` is `none`, and must be a whole number"
    );
    assert_eq!(error("--town C.12580"), "error: unrecognized argument `--town`");
    fs::write(folder.path.join("file"), "").unwrap();
    assert_eq!(
        error("--city C.12580 --scenario base --draws 1 --output file/x"),
        "error: cannot write `file/x`: File exists (os error 17)"
    );
    let run = folder.run(
        "simulate --city C.1 --scenario base --output x --parameters none.yaml",
        &[],
        &[],
    );
    assert_eq!(
        String::from_utf8_lossy(&run.stderr).lines().next(),
        Some("error: cannot read `none.yaml`: No such file or directory (os error 2)")
    );
}
