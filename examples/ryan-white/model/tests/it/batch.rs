//! Making plots, in the way of the real container.

use std::fs;

use serde_json::{Value, json};

use crate::{Folder, said};

#[test]
fn a_run_says_what_the_container_says() {
    let folder = Folder::with_simulations(&["cessation"]);
    let run = folder.batch(
        "--scenarios cessation,brief_interruption --outcomes incidence,awareness --facets none,age+race --upload-s3",
        "",
    );
    assert_eq!(run.status.code(), Some(1));
    assert_eq!(
        said(&run),
        "\
Loading workspace data...
Workspace loaded
[TIME] INFO: Starting batch plot generation
[TIME] INFO: Start time: ...
[TIME] INFO: Output mode: plot
[TIME] INFO: Loaded 1 job(s)
[TIME] WARN: --upload-s3 is ignored: this program does not publish
[TIME] INFO: Total plots to generate: 8
[TIME] INFO: Loading global configuration
[TIME] INFO: Processing job 1/1: City C.12580
[TIME] INFO: Loading baseline simulation for C.12580
[TIME] INFO: Loading scenario simulation: C.12580/cessation
[TIME] INFO: Successfully loaded scenario simulation
[TIME] INFO: [1/8] GENERATING: C.12580/cessation/incidence (mean.and.interval, none)
[TIME] INFO: SUCCESS: Generated incidence_mean.and.interval_unfaceted.json
[TIME] INFO: [2/8] GENERATING: C.12580/cessation/incidence (mean.and.interval, age+race)
[TIME] INFO: SUCCESS: Generated incidence_mean.and.interval_facet_age+race.json
[TIME] INFO: [3/8] GENERATING: C.12580/cessation/awareness (mean.and.interval, none)
[TIME] INFO: SUCCESS: Generated awareness_mean.and.interval_unfaceted.json
[TIME] INFO: [4/8] GENERATING: C.12580/cessation/awareness (mean.and.interval, age+race)
[TIME] ERROR: ERROR: Error subsetting ontology: 'age', 'race' do not reference valid dimensions
[TIME] INFO: Loading scenario simulation: C.12580/brief_interruption
[TIME] ERROR: ERROR: Simulation file not found: simulations/ryan-white/prerun/C.12580/brief_interruption.Rdata
[TIME] INFO: Batch generation complete!
[TIME] INFO: End time: ...
[TIME] INFO: Total duration: ...
[TIME] INFO: Total plots processed: 4
[TIME] INFO: Successful: 3
[TIME] INFO: Errors: 1
[TIME] INFO: Skipped: 0
[TIME] INFO: Average time per successful plot: ...
[TIME] INFO: Estimated time for 64K plots: ...
"
    );
    assert_eq!(
        folder.files("plots"),
        [
            "plots/C.12580/cessation/awareness_mean.and.interval_unfaceted.json",
            "plots/C.12580/cessation/awareness_mean.and.interval_unfaceted_metadata.json",
            "plots/C.12580/cessation/incidence_mean.and.interval_facet_age+race.json",
            "plots/C.12580/cessation/incidence_mean.and.interval_facet_age+race_metadata.json",
            "plots/C.12580/cessation/incidence_mean.and.interval_unfaceted.json",
            "plots/C.12580/cessation/incidence_mean.and.interval_unfaceted_metadata.json",
        ]
    );
}

#[test]
fn a_plot_has_its_ribbons_lines_and_points_and_its_metadata() {
    let folder = Folder::with_simulations(&["cessation"]);
    let run = folder.batch("--scenario cessation --outcomes suppression --facets sex", "");
    assert_eq!(run.status.code(), Some(0));
    let stem = "plots/C.12580/cessation/suppression_mean.and.interval_facet_sex";
    let plot = folder.json(&format!("{stem}.json"));
    let traces: Vec<String> = plot["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|trace| {
            format!("{} {} {} {}", trace["text"], trace["name"], trace["meta"], trace["xaxis"])
                .replace('"', "")
        })
        .collect();
    let mut expected = Vec::new();
    for (sex, axis) in [("heterosexual_male", "x"), ("msm", "x2"), ("female", "x3")] {
        for simset in ["Baseline", "Cessation"] {
            expected.extend(
                ["lower", "upper", "mean"].map(|part| format!("{sex} {simset} {part} {axis}")),
            );
        }
        expected.push(format!("{sex} Observed observed {axis}"));
    }
    assert_eq!(traces, expected);
    for trace in plot["data"].as_array().unwrap() {
        let (x, y) = (trace["x"].as_array().unwrap(), trace["y"].as_array().unwrap());
        assert_eq!((x.len(), x[0].as_i64()), (y.len(), Some(2010)));
        assert!(y.iter().all(|value| (0.0..=1.0).contains(&value.as_f64().unwrap())));
    }
    let axes =
        plot["layout"].as_object().unwrap().keys().filter(|key| key.contains("axis")).count();
    assert_eq!((axes, &plot["layout"]["yaxis2"]["tickformat"]), (6, &json!(".0%")));
    let mut metadata = folder.json(&format!("{stem}_metadata.json"));
    assert!(metadata["generation_time"][0].is_string());
    metadata["generation_time"] = Value::Null;
    assert_eq!(
        metadata,
        json!({
            "city": ["C.12580"],
            "scenario": ["cessation"],
            "outcome": ["suppression"],
            "statistic_type": ["mean.and.interval"],
            "facet_choice": ["sex"],
            "file_path": [format!("{stem}.html")],
            "json_path": [format!("{stem}.json")],
            "has_baseline": [true],
            "generation_time": null,
        })
    );
}

#[test]
fn individual_simulations_are_one_line_each() {
    let folder = Folder::with_simulations(&["cessation"]);
    folder.batch(
        "--scenario cessation --outcomes new --facets none --statistics individual.simulation",
        "",
    );
    let plot = folder.json("plots/C.12580/cessation/new_individual.simulation_unfaceted.json");
    let lines = |name: &str| {
        let traces = plot["data"].as_array().unwrap().iter();
        traces.filter(|trace| trace["meta"] == "simulation" && trace["name"] == name).count()
    };
    assert_eq!((lines("Baseline"), lines("Cessation")), (4, 4));
}

#[test]
fn plots_do_not_change_from_run_to_run_but_pages_and_metadata_may() {
    let folder = Folder::with_simulations(&["cessation"]);
    let words =
        "--scenario cessation --outcomes incidence --facets none,sex --include-html --output-dir";
    folder.batch(&format!("{words} one"), "");
    folder.batch(&format!("{words} two"), "");
    let plot = "C.12580/cessation/incidence_mean.and.interval_facet_sex";
    assert_eq!(folder.read(&format!("one/{plot}.json")), folder.read(&format!("two/{plot}.json")));
    let (one, two) =
        (folder.read(&format!("one/{plot}.html")), folder.read(&format!("two/{plot}.html")));
    assert_ne!(one, two, "each page has a widget id of its own");
    let without_id = |page: &str| {
        let id = page
            .split("id=\"")
            .find(|part| part.starts_with("htmlwidget-"))
            .unwrap()
            .split('"')
            .next()
            .unwrap();
        assert_eq!(page.matches(id).count(), 3);
        page.replace(id, "ID")
    };
    assert_eq!(without_id(&one), without_id(&two));
    for script in ["htmlwidgets-1.6.4/htmlwidgets.js", "plotly-binding-4.10.4/plotly.js"] {
        assert!(one.contains(&format!("src=\"lib/{script}\"")));
        assert!(!folder.read(&format!("one/C.12580/cessation/lib/{script}")).is_empty());
    }
}

#[test]
fn plotly_ids_are_written_where_they_are_asked_for() {
    let folder = Folder::with_simulations(&["cessation"]);
    let mut plots = Vec::new();
    for _ in 0..2 {
        let words = "batch --city C.12580 --scenario cessation --outcomes incidence --facets none";
        folder.run(words, &[], &[("RW_PLOTLY_IDS", "1")]);
        plots.push(
            folder.json("plots/C.12580/cessation/incidence_mean.and.interval_unfaceted.json"),
        );
    }
    let id = plots[0]["cur_data"].as_str().unwrap();
    assert!(plots[0]["visdat"][id].is_array() && plots[0]["attrs"][id].is_object());
    assert_ne!(plots[0]["cur_data"], plots[1]["cur_data"]);
    assert_eq!(plots[0]["data"], plots[1]["data"]);
}

#[test]
fn data_mode_writes_rows() {
    let folder = Folder::with_simulations(&["cessation"]);
    let words = "--scenario cessation --outcomes incidence --facets sex+age,none,age+sex+race --output-mode data";
    assert_eq!(folder.batch(words, "").status.code(), Some(0));
    assert_eq!(folder.files("plots").len(), 3, "no metadata beside");
    let document =
        folder.json("plots/C.12580/cessation/incidence_mean.and.interval_facet_sex+age.json");
    let row = &document["sim"][0];
    assert_eq!(
        (&row["facet.by1"], &row["facet.by2"]),
        (&json!("heterosexual_male"), &json!("13-24 years"))
    );
    assert_eq!(
        (&row["year"], &row["simset"], &row["stratum"]),
        (&json!(2010), &json!("Baseline"), &json!(""))
    );
    assert!(row["value.lower"].as_f64() <= row["value"].as_f64());
    assert_eq!(document["sim"].as_array().unwrap().len(), 2 * 26 * 15);
    assert_eq!(document["obs"].as_array().unwrap().len(), 14 * 15);
    assert_eq!(document["metadata"]["facet"], "sex+age");
    assert_eq!(document["metadata"]["plot_title"], "Baltimore-Columbia-Towson, MD (C.12580)");
    let many =
        folder.json("plots/C.12580/cessation/incidence_mean.and.interval_facet_age+sex+race.json");
    assert_eq!(many["obs"], json!({}), "there is no surveillance by three dimensions");
}

#[test]
fn a_file_of_jobs_may_hold_an_irregular_set() {
    let folder = Folder::with_simulations(&["cessation", "brief_interruption"]);
    let jobs = "jobs:\n- city: C.12580\n  scenarios: [cessation]\n  outcomes: [new]\n  statistics: \
                [median.and.interval]\n  facets: [none]\n  expected_plots: 1\n- city: C.12580\n  scenarios: \
                [brief_interruption]\n  outcomes: [testing]\n  statistics: [mean.and.interval]\n  facets: [race]\n";
    fs::write(folder.path.join("jobs.yaml"), jobs).unwrap();
    let run =
        folder.run("batch --config jobs.yaml --output-dir out", &[], &[("RW_COUNTER", "count")]);
    assert_eq!(run.status.code(), Some(0));
    let plots: Vec<String> =
        folder.files("out").into_iter().filter(|file| !file.contains("metadata")).collect();
    assert_eq!(
        plots,
        [
            "out/C.12580/brief_interruption/testing_mean.and.interval_facet_race.json",
            "out/C.12580/cessation/new_median.and.interval_unfaceted.json",
        ]
    );
    assert_eq!(
        folder.read("count"),
        "C.12580/cessation/new/median.and.interval/none\nC.12580/brief_interruption/testing/mean.and.interval/race\n"
    );
}

#[test]
fn existing_plots_are_skipped_by_name_where_that_is_asked_for() {
    let folder = Folder::with_simulations(&["cessation"]);
    let words = "--scenario cessation --outcomes new --facets none,sex --skip-existing";
    fs::create_dir_all(folder.path.join("plots/C.12580/cessation")).unwrap();
    let existing = "plots/C.12580/cessation/new_mean.and.interval_unfaceted.json";
    fs::write(folder.path.join(existing), "old").unwrap();
    let run = folder.batch(words, "");
    assert_eq!(run.status.code(), Some(0));
    assert!(said(&run).contains(
        "[TIME] INFO: [1/2] SKIP: C.12580/cessation/new (mean.and.interval, none) - already exists\n"
    ));
    assert!(said(&run).contains("INFO: Skipped: 1\n"));
    assert_eq!(folder.read(existing), "old");
}

#[test]
fn a_dry_run_lists_the_grid_and_writes_nothing() {
    let folder = Folder::empty();
    let run = folder.batch("--scenario cessation --outcomes new --facets none,sex --dry-run", "");
    assert_eq!(run.status.code(), Some(0));
    assert!(said(&run).ends_with(
        "[TIME] INFO: DRY RUN - showing what would be generated:\n\
         [TIME] INFO: [1/2] C.12580/cessation: new (mean.and.interval, none)\n\
         [TIME] INFO: [2/2] C.12580/cessation: new (mean.and.interval, sex)\n"
    ));
    assert!(folder.files("plots").is_empty());
}

#[test]
fn a_missing_scenario_is_reported_and_the_run_still_succeeds() {
    let folder = Folder::with_simulations(&[]);
    let run = folder.batch("--scenario cessation --outcomes new --facets none", "");
    assert_eq!(run.status.code(), Some(0));
    assert!(said(&run).contains("[TIME] ERROR: ERROR: Simulation file not found: simulations/"));
    assert!(folder.files("plots").is_empty());
}

#[test]
fn a_missing_baseline_is_a_warning_and_the_metadata_say_so() {
    let folder = Folder::with_simulations(&["cessation"]);
    fs::remove_file(folder.path.join(folder.simulation("base"))).unwrap();
    let run = folder.batch("--scenario cessation --outcomes new --facets none", "");
    assert_eq!(run.status.code(), Some(0));
    assert!(said(&run).contains("[TIME] WARN: Baseline simulation not found: simulations/"));
    let metadata =
        folder.json("plots/C.12580/cessation/new_mean.and.interval_unfaceted_metadata.json");
    assert_eq!(metadata["has_baseline"], json!([false]));
}

#[test]
fn the_baseline_is_a_scenario_too() {
    let folder = Folder::with_simulations(&[]);
    assert_eq!(
        folder.batch("--scenario base --outcomes new --facets none", "").status.code(),
        Some(0)
    );
    let plot = folder.json("plots/C.12580/base/new_mean.and.interval_unfaceted.json");
    let names: Vec<&str> = plot["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|trace| trace["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["Baseline", "Baseline", "Baseline", "Observed"]);
}

#[test]
fn a_damaged_file_ends_the_run() {
    let folder = Folder::with_simulations(&["cessation"]);
    let path = folder.path.join(folder.simulation("cessation"));
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 10]).unwrap();
    let run = folder.batch("--scenario cessation --outcomes new --facets none", "");
    assert_eq!(run.status.code(), Some(1));
    let said = said(&run);
    assert!(said.contains("ERROR: ERROR: Failed to load simulation: simulations/"), "{said}");
    assert!(said.ends_with(": truncated or padded\n"), "{said}");
}

#[test]
fn the_model_id_names_the_folder_of_simulations() {
    let folder = Folder::with_simulations(&["cessation"]);
    fs::create_dir(folder.path.join("elsewhere")).unwrap();
    fs::rename(folder.path.join("simulations/ryan-white"), folder.path.join("elsewhere/other"))
        .unwrap();
    let words = "batch --city C.12580 --scenario cessation --outcomes new --facets none --simulations elsewhere";
    assert_eq!(folder.run(words, &[], &[("MODEL_ID", "other")]).status.code(), Some(0));
    assert_eq!(folder.files("plots").len(), 2);
}

#[test]
fn modes_and_their_exit_codes() {
    let folder = Folder::empty();
    let run = |words: &str| {
        let run = folder.run(words, &[], &[]);
        let first =
            String::from_utf8_lossy(&run.stdout).lines().next().unwrap_or_default().to_owned();
        (run.status.code().unwrap(), first)
    };
    let usage = "Usage: rw-model {simulate|batch|test-workspace|version} [args...]".to_owned();
    assert_eq!(run(""), (1, usage.clone()));
    assert_eq!(run("dance"), (1, usage));
    assert_eq!(run("version"), (0, "model: ryan-white".to_owned()));
    assert_eq!(run("test-workspace"), (0, "ok".to_owned()));
    assert_eq!(run("batch --config none.yaml").0, 1);
    assert_eq!(run("batch --tempo fast").0, 1);
    let unknown = folder.run(
        "batch --city C.12580 --scenario base --outcomes x",
        &[],
        &[("RW_FAULT", "explode")],
    );
    assert_eq!(unknown.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&unknown.stderr).starts_with("error: unknown fault `explode`\n")
    );
}
