//! The full grid: 31 cities x 3 scenarios x 14 outcomes x 3 statistics x 16 facets.

use std::fs;

use super::super::project::Project;

/// Draws all plots of a jobs file, each a line: quick enough for 44,361 of them.
const DRAW: &str = r#"#!/usr/bin/awk -f
function list(text) { gsub(/^[^:]*: |[\[\]" ]/, "", text); return text }
function draw(   o, s, f, os, ss, fs, cs, c, no, ns, nf, nc, file) {
    no = split(outcomes, os, ","); ns = split(statistics, ss, ",")
    nf = split(facets, fs, ","); nc = split(scenarios, cs, ",")
    for (c = 1; c <= nc; c++) for (o = 1; o <= no; o++) for (s = 1; s <= ns; s++) for (f = 1; f <= nf; f++) {
        file = ENVIRON["OUT"] "/" city "/" cs[c] "/" os[o] "_" ss[s] "_" fs[f] ".txt"
        getline base < ("sims/base/" city)
        getline prerun < ("sims/prerun/" city "/" cs[c])
        close("sims/base/" city); close("sims/prerun/" city "/" cs[c])
        print city, cs[c], os[o], ss[s], fs[f], base, prerun > file
        close(file)
    }
}
/city: / { city = list($0) }
/scenarios: / { scenarios = list($0) }
/outcomes: / { outcomes = list($0) }
/statistics: / { statistics = list($0) }
/facets: / { facets = list($0); draw() }
"#;

/// The axes, presets and absences of the original pipeline, and one quick program over tiny files.
fn grid() -> (Project, Vec<String>, Vec<String>) {
    let original = include_str!("../../../examples/original/Jheemfile.toml");
    let head = &original[..original.find("[input.base]").expect("the example reads simulations")];
    let rest = &original[original.find("[[plot.rw.absent]]").expect("it declares absences")..];
    let absences = &rest[..rest.find("# --- Where").expect("and then what is published")];
    let text = format!(
        r#"{head}
[input.base]
path = "sims/base/{{city}}"
[input.prerun]
path = "sims/prerun/{{city}}/{{scenario}}"
[runner.draw]
program = "./draw"
dirs = {{ sims = "sims", plots = "plots", jobs = "{{batch}}" }}
env = {{ OUT = "plots" }}
pass_env = ["PATH"]
[plot.rw]
over = ["city", "scenario", "outcome", "statistic", "facet"]
runner = "draw"
inputs = {{ base = "input.base", prerun = "input.prerun" }}
command = ["{{batch.file}}"]
batch = {{ by = ["city"], file = "jheem-jobs" }}
output.plot.path = "plots/{{city}}/{{scenario}}/{{outcome}}_{{statistic}}_{{facet}}.txt"
{absences}"#
    );
    let table: toml::Table = toml::from_str(head).unwrap();
    let values = |axis: &str| -> Vec<String> {
        let values = table["axis"][axis]["values"].as_array().unwrap();
        values.iter().map(|v| v.as_str().unwrap().to_owned()).collect()
    };
    let (cities, scenarios) = (values("city"), values("scenario"));
    let project = Project::large().program("draw", DRAW).jheemfile(&text);
    for city in &cities {
        project.write(&format!("sims/base/{city}"), "base\n");
        for scenario in &scenarios {
            project.write(&format!("sims/prerun/{city}/{scenario}"), "first\n");
        }
    }
    (project, cities, scenarios)
}

#[test]
fn one_replaced_prerun_file_makes_its_477_plots_stale_and_not_one_more() {
    let (project, cities, scenarios) = grid();
    assert_eq!((cities.len(), scenarios.len()), (31, 3));
    let built = project.build("").success().targets("built=44361 absent=18135");
    assert!(built.count("runs") >= 31);
    project.plan("").success().targets("fresh=44361 absent=18135");

    project.write("sims/prerun/C.12580/cessation", "second\n");
    project.plan("").success().targets("fresh=43884 stale=477 absent=18135");
    assert_eq!(
        project.reasons(""),
        ["477 plots stale: city=C.12580, scenario=cessation: prerun changed"]
    );
    project
        .jheem("plan")
        .success()
        .says("477 plots stale: city=C.12580, scenario=cessation: prerun changed");

    // One run, at most four products, and no plot in them that is fresh.
    let folder = project.root().parent().unwrap().join("batches");
    fs::create_dir(&folder).unwrap();
    project.jheem(&format!("plan --write-batches {}", folder.display())).success();
    let jobs = jobs_files(&folder);
    assert_eq!(jobs.len(), 1, "{jobs:?}");
    let products = products(&jobs[0]);
    assert!(products.len() <= 4, "{}", jobs[0]);
    for product in &products {
        assert_eq!(product["city"], ["C.12580"]);
        assert_eq!(product["scenarios"], ["cessation"]);
    }
    let named: usize = products
        .iter()
        .map(|p| p["outcomes"].len() * p["statistics"].len() * p["facets"].len())
        .sum();
    assert_eq!(named, 477);

    let before = fs::read_to_string(project.path(SOME_PLOT)).unwrap();
    let built = project.build("").success();
    assert_eq!(built.ended("built").len(), 477);
    built.targets("fresh=43884 built=477 absent=18135");
    assert_ne!(fs::read_to_string(project.path(SOME_PLOT)).unwrap(), before);
    project.plan("").success().targets("fresh=44361 absent=18135");
}

const SOME_PLOT: &str = "plots/C.12580/cessation/incidence_mean.and.interval_none.txt";

/// The texts of all jobs files below a folder.
fn jobs_files(folder: &std::path::Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(jobs_files(&path));
        } else if path.ends_with("jobs.yaml") {
            found.push(fs::read_to_string(&path).unwrap());
        }
    }
    found
}

type Product = std::collections::BTreeMap<String, Vec<String>>;

/// The maps of a jobs file, by other code than that which wrote it.
fn products(text: &str) -> Vec<Product> {
    let mut products: Vec<Product> = Vec::new();
    for line in text.lines().skip(1) {
        if line.starts_with("  - ") {
            products.push(Product::new());
        }
        let (field, values) = line.trim_start_matches([' ', '-']).split_once(": ").unwrap();
        let values = values.trim_matches(['[', ']']).split(", ");
        let values = values.map(|v| v.trim_matches('"').to_owned()).collect();
        products.last_mut().unwrap().insert(field.to_owned(), values);
    }
    products
}
