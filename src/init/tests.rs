use std::path::Path;

use proptest::prelude::*;

use super::*;

fn folder_with(paths: &[String]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for path in paths {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "{}").unwrap();
    }
    folder
}

/// What is proposed for these files, with the project's random name replaced.
fn proposed(paths: &[String]) -> String {
    let folder = folder_with(paths);
    let text = propose(folder.path()).unwrap();
    assert!(is_valid(&text), "{text}");
    text.lines()
        .map(|line| if line.starts_with("name = ") { "name = \"NAME\"" } else { line })
        .collect::<Vec<_>>()
        .join("\n")
}

/// The plots of the real pipeline, but for what cannot exist.
fn ryan_white(with_metadata: bool) -> Vec<String> {
    let mut paths = Vec::new();
    for city in ["C.12580", "C.12940", "C.14460"] {
        for scenario in ["cessation", "brief_interruption"] {
            paths.push(format!("simulations/ryan-white/prerun/{city}/{scenario}.Rdata"));
            for outcome in ["incidence", "testing", "awareness"] {
                for facet in ["unfaceted", "facet_age", "facet_age+sex"] {
                    if outcome == "awareness" && facet != "unfaceted" {
                        continue;
                    }
                    let stem =
                        format!("plots/{city}/{scenario}/{outcome}_mean.and.interval_{facet}");
                    paths.push(format!("{stem}.json"));
                    if with_metadata {
                        paths.push(format!("{stem}_metadata.json"));
                    }
                }
            }
        }
        paths.push(format!("simulations/ryan-white/base/{city}_base.Rdata"));
    }
    paths
}

#[test]
fn the_plots_of_the_real_pipeline_show_their_axes() {
    insta::assert_snapshot!(proposed(&ryan_white(true)), @r#"
    # Proposed by `jheem init` from the names of 42 plots.
    # They lie on a grid of 54 cells; 12 of them have none.
    # What is guessed says so; complete `[runner.model]` and `command`, then try `jheem plan`.

    [project]
    name = "NAME"

    # What plots differ in. Every combination of values is a cell: one plot.

    [axis.city]
    values = ["C.12580", "C.12940", "C.14460"]

    [axis.scenario]
    values = ["brief_interruption", "cessation"]

    [axis.outcome]
    values = ["awareness", "incidence", "testing"]

    [axis.facet]
    values = ["none", "age", "age+sex"]
    joined_by = "+"                          # the order of its parts means nothing
    [axis.facet.label.part]                  # {facet.part} in paths
    "none" = "unfaceted"
    "*" = "facet_{facet}"

    # A part of the grid by name: `jheem build --preset minimal`.
    [preset.minimal.axes]
    city = ["C.12580"]
    scenario = ["brief_interruption"]
    outcome = ["awareness"]
    facet = ["none"]

    # What is read: when such a file changes, the plots that read it are made anew.
    # Guessed from 6 files.
    [input.prerun]
    path = "simulations/ryan-white/prerun/{city}/{scenario}.Rdata"

    # Guessed from 3 files.
    [input.base]
    path = "simulations/ryan-white/base/{city}_base.Rdata"

    # Who draws: an image, or a program of this machine.
    [runner.model]
    image = "model:latest"                   # yours
    # Folder in the container = folder of the project; nothing else is seen.
    dirs = { "/app/plots" = "plots", "/app/simulations" = "simulations" }
    # For a script put `program = "Rscript"` and `pass_env = ["PATH"]` in the place of `image` and `dirs`, and
    # declare it: `[input.script]` with `path = "draw.R"`, `script = "input.script"` among the inputs of
    # the plot, and `"{input.script}"` in the place of `"plot"` in its command.
    timeout = { total = "6h", quiet = "10m" }

    # What is drawn, and how the runner is asked for it.
    [plot.main]
    over = ["city", "scenario", "outcome", "facet"]
    runner = "model"
    inputs = { prerun = "input.prerun", base = "input.base" }
    command = [
      "plot",
      "--prerun", "{input.prerun}",
      "--base", "{input.base}",
      "--city", "{city}",
      "--scenario", "{scenario}",
      "--outcome", "{outcome}",
      "--facet", "{facet}",
      "--output", "{output.plot}",
    ]
    # One run can make many plots: with `batch = { by = ["city"], file = "jheem-jobs" }` the runner is
    # handed a list of them as `{batch.file}`, and start-up is paid once.
    [plot.main.output.plot]
    path = "plots/{city}/{scenario}/{outcome}_mean.and.interval_{facet.part}.json"
    as = "json"
    # Guessed: beside 42 of the plots.
    [plot.main.output.metadata]
    path = "plots/{city}/{scenario}/{outcome}_mean.and.interval_{facet.part}_metadata.json"
    as = "json"
    # volatile = ["/generation_time"]      # what differs in every run and means nothing

    # These cells have no plots. If they cannot exist, take the `#` away; an undeclared gap fails.
    # [[plot.main.absent]]
    # outcome = ["awareness"]
    # facet = ["age", "age+sex"]

    # What is published, and where: here a folder, and a database of what is in it.
    # `s3://bucket/prefix` and `dynamodb://table` stand in the same places.
    [publish.site]
    of = "plot.main"
    [publish.site.object.plot]
    to = "file:site"
    key = "{path}"
    [publish.site.row.plot]
    to = "sqlite:site/plots.db#plots"
    hash = { city = "{city}" }
    range = { rest = "{scenario}#{outcome}#{facet}" }
    item = { key = "{object.key}", size = { N = "{object.size}" } }
    "#);
}

#[test]
fn a_folder_without_plots_gets_an_example() {
    let text = proposed(&["notes.txt".into(), "README.md".into()]);
    assert!(text.contains("The names of the 2 files here show no grid of plots"), "{text}");
    assert!(text.contains("[axis.city]"));
    let empty = proposed(&[]);
    assert!(empty.contains("There are no files here yet"), "{empty}");
}

#[test]
fn a_file_that_does_not_fit_is_named() {
    let mut paths = ryan_white(false);
    paths.push("plots/C.12580/cessation/index.json".into());
    let text = proposed(&paths);
    assert!(text.contains("# It leaves out `plots/C.12580/cessation/index.json`."), "{text}");
}

#[test]
fn a_word_in_front_of_values_names_their_axis() {
    let paths: Vec<String> = (0..3)
        .flat_map(|seed| ["x", "y"].map(|kind| format!("figures/dose-{kind}-seed-{seed}.svg")))
        .collect();
    let text = proposed(&paths);
    assert!(text.contains("[axis.seed]\nvalues = [\"0\", \"1\", \"2\"]"), "{text}");
    assert!(text.contains("path = \"figures/dose-{dose}-seed-{seed}.svg\""), "{text}");
}

#[test]
fn a_part_that_another_tells_becomes_its_label() {
    let mut paths = Vec::new();
    for (code, name) in [("C.12580", "Baltimore"), ("C.12940", "BatonRouge"), ("C.14460", "Boston")]
    {
        for year in 2020..2024 {
            paths.push(format!("out/{code}/{name}-{year}.png"));
        }
    }
    let text = proposed(&paths);
    assert!(text.contains("path = \"out/{city}/{city.text}-{year}.png\""), "{text}");
    assert!(text.contains("\"C.12580\" = \"Baltimore\""), "{text}");
}

#[test]
fn an_axis_may_be_called_what_an_attribute_is_called() {
    for name in ["key", "size", "rest"] {
        let paths: Vec<String> = (10..14)
            .flat_map(|value| [1, 2].map(|dose| format!("out/fig_{name}_{value}_dose_{dose}.png")))
            .collect();
        let text = proposed(&paths);
        assert!(text.contains(&format!("[axis.{name}]")), "{text}");
        assert!(text.contains(&format!("hash = {{ {name} = \"{{{name}}}\" }}")), "{text}");
    }
}

#[test]
fn companions_with_one_word_have_two_names() {
    let mut paths = Vec::new();
    for city in ["a", "b"] {
        for outcome in ["incidence", "testing"] {
            let stem = format!("plots/{city}/{outcome}");
            paths.push(format!("{stem}.png"));
            paths.extend(["_metadata", ".metadata"].map(|word| format!("{stem}{word}.json")));
        }
    }
    let text = proposed(&paths);
    for name in ["metadata", "metadata2"] {
        assert!(text.contains(&format!("[plot.main.output.{name}]")), "{text}");
    }
}

#[test]
fn a_value_that_stands_twice_is_one_axis() {
    let mut paths = Vec::new();
    for state in ["AL", "CA", "NY"] {
        for outcome in ["incidence", "testing"] {
            paths.push(format!("{state}/{outcome}_{state}.json"));
        }
    }
    let text = proposed(&paths);
    assert!(text.contains("path = \"{state}/{outcome}_{state}.json\""), "{text}");
}

#[test]
fn a_folder_that_is_not_there_is_an_error() {
    let error = propose(Path::new("/no/such/folder")).unwrap_err();
    assert_eq!(error.message, "cannot list `/no/such/folder`");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_names_give_a_jheemfile(
        folders in prop::collection::vec("[^/\\x00]{1,12}", 1..4),
        parts in prop::collection::vec("[^/\\x00]{0,8}", 1..5),
        separator in prop::sample::select(vec!["_", "-", ".", "__", ""]),
        ending in prop::sample::select(vec!["json", "png", "html", "json.gz"]),
    ) {
        let mut paths = Vec::new();
        for folder in &folders {
            for one in &parts {
                for two in &parts {
                    paths.push(format!("{folder}/{one}{separator}{two}.{ending}"));
                }
            }
        }
        for grid in grid::guesses(&paths) {
            prop_assert!(grid.files <= grid.cells);
            proposal("any", &grid, &paths, true);
        }
        let grids = grid::guesses(&paths).into_iter();
        let best = grids.filter_map(|grid| proposal("any", &grid, &paths, false)).next();
        prop_assert!(best.is_some() || is_valid(&text::example("any", paths.len())));
    }
}
