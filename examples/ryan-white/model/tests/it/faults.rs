//! Each fault does what it says: a test that switches one on can rely on it.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::{Folder, said};

/// Three plots: none, sex, race.
const THREE: &str = "--scenario cessation --outcomes incidence --facets none,sex,race";
const PLOTS: [&str; 3] = [
    "plots/C.12580/cessation/incidence_mean.and.interval_unfaceted.json",
    "plots/C.12580/cessation/incidence_mean.and.interval_facet_sex.json",
    "plots/C.12580/cessation/incidence_mean.and.interval_facet_race.json",
];

/// The plots without a fault and with one, where the run succeeds.
fn plots(fault: &str) -> [[Value; 3]; 2] {
    let folder = Folder::with_simulations(&["cessation"]);
    ["", fault].map(|fault| {
        assert_eq!(folder.batch(THREE, fault).status.code(), Some(0));
        PLOTS.map(|path| folder.json(path))
    })
}

/// Which plots a fault changes.
fn changed(fault: &str) -> Vec<usize> {
    let [right, wrong] = plots(fault);
    (0..3).filter(|at| right[*at] != wrong[*at]).collect()
}

#[test]
fn ignore_arguments_makes_the_plot_that_nobody_asked_for() {
    let folder = Folder::with_simulations(&["cessation"]);
    let run =
        folder.batch("--scenario cessation --outcomes incidence --facets none", "ignore-arguments");
    assert_eq!(run.status.code(), Some(0));
    let stem = "plots/C.12580/cessation/testing_mean.and.interval_facet_sex";
    let files = folder.files("plots").into_iter().filter(|file| !file.contains("/lib/"));
    assert_eq!(
        files.collect::<Vec<_>>(),
        [format!("{stem}.html"), format!("{stem}.json"), format!("{stem}_metadata.json")]
    );
}

#[test]
fn runs_die_after_so_many_plots() {
    let folder = Folder::with_simulations(&["cessation"]);
    for (fault, signal, plots) in
        [("die-after:2", 6, 2), ("out-of-memory:1", 9, 1), ("out-of-memory-above:2", 9, 0)]
    {
        let run = folder.batch(THREE, fault);
        assert_eq!((fault, run.status.signal()), (fault, Some(signal)));
        assert_eq!(said(&run).matches("SUCCESS").count(), plots, "{fault}");
    }
    assert_eq!(folder.batch(THREE, "out-of-memory-above:3").status.code(), Some(0));
}

#[test]
fn files_are_not_found() {
    let folder = Folder::with_simulations(&["cessation"]);
    let run = folder.batch(THREE, "forget-scenario:cessation");
    assert_eq!(run.status.code(), Some(0));
    assert!(said(&run).contains("ERROR: ERROR: Simulation file not found"));
    assert!(folder.files("plots").is_empty());
    assert_eq!(folder.batch(THREE, "no-baseline").status.code(), Some(0));
    for path in PLOTS {
        assert_eq!(
            folder.json(&path.replace(".json", "_metadata.json"))["has_baseline"],
            json!([false])
        );
    }
}

#[test]
fn the_text_of_one_plot_is_unreadable() {
    for fault in ["garbage:2", "truncate:2"] {
        let folder = Folder::with_simulations(&["cessation"]);
        assert_eq!(folder.batch(THREE, fault).status.code(), Some(0));
        let readable = PLOTS.map(|path| serde_json::from_str::<Value>(&folder.read(path)).is_ok());
        assert_eq!((fault, readable), (fault, [true, false, true]));
        assert!(!folder.read(PLOTS[1]).is_empty());
    }
}

#[test]
fn every_third_plot_names_another_value() {
    let fields = ["city", "scenario", "outcome", "statistic", "facet"];
    let names = ["city", "scenario", "outcome", "statistic_type", "facet_choice"];
    for (field, name) in fields.into_iter().zip(names) {
        let folder = Folder::with_simulations(&["cessation"]);
        let metadata = |fault: &str| {
            assert_eq!(folder.batch(THREE, fault).status.code(), Some(0));
            PLOTS.map(|path| folder.json(&path.replace(".json", "_metadata.json")))
        };
        let (right, wrong) = (metadata(""), metadata(&format!("mislabel:{field}")));
        for plot in 0..3 {
            for other in names {
                let same = right[plot][other] == wrong[plot][other];
                assert_eq!(same, plot != 2 || other != name, "{field}: plot {plot}, {other}");
            }
        }
        assert_ne!(folder.json(PLOTS[2])["layout"]["meta"][field], right[2][name][0]);
        assert_eq!(folder.json(PLOTS[1])["layout"]["meta"][field], right[1][name][0]);
    }
}

#[test]
fn what_one_plot_shows_is_wrong() {
    for kind in [
        "nan",
        "no-traces",
        "missing-years",
        "missing-stratum",
        "inverted-interval",
        "out-of-range",
    ] {
        assert_eq!((kind, changed(&format!("{kind}:2"))), (kind, vec![1]));
    }
    let wrong = |kind: &str| plots(&format!("{kind}:2"))[1][1].clone();
    assert!(wrong("nan").to_string().contains("\"NaN\""));
    assert_eq!(wrong("no-traces")["data"], json!([]));
    let short = wrong("missing-years");
    let traces = short["data"].as_array().unwrap();
    assert!(
        traces
            .iter()
            .all(|trace| trace["x"].as_array().unwrap().last().unwrap().as_i64() <= Some(2020))
    );
    let strata = wrong("missing-stratum");
    let strata: BTreeSet<&str> = strata["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|trace| trace["text"].as_str().unwrap())
        .collect();
    assert_eq!(strata, BTreeSet::from(["heterosexual_male", "msm"]));
    let inverted = wrong("inverted-interval");
    let first = |part: &str| {
        let mut traces = inverted["data"].as_array().unwrap().iter();
        traces.find(|trace| trace["meta"] == part).unwrap()["y"][0].as_f64().unwrap()
    };
    assert!(first("lower") > first("upper"));
    assert!(wrong("out-of-range").to_string().contains("-12345"));
}

#[test]
fn a_share_out_of_range_is_above_1() {
    let folder = Folder::with_simulations(&["cessation"]);
    folder.batch("--scenario cessation --outcomes suppression --facets none", "out-of-range:1");
    assert!(
        folder
            .read("plots/C.12580/cessation/suppression_mean.and.interval_unfaceted.json")
            .contains("1.75")
    );
}

#[test]
fn all_plots_have_the_content_of_the_first() {
    let [right, wrong] = plots("same-content");
    assert_eq!(wrong, [right[0].clone(), right[0].clone(), right[0].clone()]);
}

#[test]
fn values_depend_on_chance_or_on_siblings() {
    let folder = Folder::with_simulations(&["cessation"]);
    let alone = "--scenario cessation --outcomes incidence --facets none";
    let value = |words: &str, fault: &str| {
        assert_eq!(folder.batch(words, fault).status.code(), Some(0));
        folder.json(PLOTS[0])
    };
    assert_eq!(value(alone, ""), value(THREE, ""));
    assert_ne!(value(alone, "nondeterministic"), value(alone, "nondeterministic"));
    assert_ne!(value(alone, "depend-on-siblings"), value(THREE, "depend-on-siblings"));
    assert_eq!(value(alone, "depend-on-siblings"), value(alone, ""));
}

#[test]
fn things_appear_that_are_no_plots() {
    let folder = Folder::with_simulations(&["cessation"]);
    assert_eq!(folder.batch(THREE, "stray-file").status.code(), Some(0));
    assert_eq!(folder.read("plots/C.12580/cessation/stray.json"), "{}\n");

    let folder = Folder::with_simulations(&["cessation"]);
    assert_eq!(folder.batch(THREE, "symlink:2,device:3").status.code(), Some(0));
    let kind =
        |plot: usize| fs::symlink_metadata(folder.path.join(PLOTS[plot])).unwrap().file_type();
    assert!(kind(0).is_file() && kind(1).is_symlink() && kind(2).is_fifo());

    let folder = Folder::with_simulations(&["cessation"]);
    assert_eq!(folder.batch(THREE, "escape").status.code(), Some(0));
    assert!(
        fs::symlink_metadata(folder.path.join("plots/C.12580/cessation")).unwrap().is_symlink()
    );
    assert_eq!(folder.files("escaped").len(), 6);
}

#[test]
fn a_run_dies_when_asked_to_unless_it_ignores_that() {
    let folder = Folder::with_simulations(&["cessation"]);
    for (fault, code, made) in [("hang-after:1", 143, 1), ("ignore-sigterm", 0, 3)] {
        let words = format!("batch --city C.12580 {THREE}");
        // Plots take a while, so that the signal comes before the last.
        let mut command =
            folder.command(&words, &[], &[("RW_FAULT", fault), ("RW_PLOT_SECONDS", "0.3")]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        assert!(lines.any(|line| line.contains("SUCCESS")));
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert_eq!((fault, child.wait().unwrap().code()), (fault, Some(code)));
        assert_eq!(
            (fault, 1 + lines.filter(|line| line.contains("SUCCESS")).count()),
            (fault, made)
        );
    }
}
