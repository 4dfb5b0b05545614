//! The examples and the docs: every Jheemfile, every command and every number that they show.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};

use jheem::content::{As, Document};
use jheem::error::Source;
use jheem::read::read;
use serde_json::Value;

use super::containers::{Tag, copy_all, daemon, docker};
use super::project::{Project, Ran, another_second, rw_model, rw_model_static};

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// `jheem ARGUMENTS` where the example is; for what only reads.
fn ask(arguments: &str) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jheem"));
    command.args(arguments.split_whitespace()).current_dir(repository(".")).env("NO_COLOR", "1");
    Ran::new(arguments, command.output().unwrap())
}

/// Rule, cells, and how many of them are declared absent.
type Count = (&'static str, u64, u64);

/// Every Jheemfile that comes with jheem; what is asked of it; and what is counted.
const COUNTS: &[(&str, &str, &[Count])] = &[
    (
        "Jheemfile.toml",
        "",
        &[("step.model", 1, 0), ("step.base", 4, 0), ("step.prerun", 12, 0), ("plot.rw", 108, 0)],
    ),
    ("examples/original/Jheemfile.toml", "--preset minimal", &[("plot.rw", 1, 0)]),
    ("examples/original/Jheemfile.toml", "--preset test", &[("plot.rw", 108, 0)]),
    ("examples/original/Jheemfile.toml", "--preset medium", &[("plot.rw", 900, 0)]),
    ("examples/original/Jheemfile.toml", "--preset full", &[("plot.rw", 62_496, 18_135)]),
    ("examples/original/Jheemfile.toml", "--profile local", &[("plot.rw", 62_496, 18_135)]),
    ("examples/production/ryan-white-msa.toml", "", &[("plot.data", 62_496, 0)]),
    ("examples/production/ryan-white-state-ajph.toml", "", &[("plot.data", 22_176, 0)]),
    ("examples/production/ryan-white-state-croi.toml", "", &[("plot.data", 53_760, 0)]),
    ("examples/production/cdc-testing.toml", "", &[("plot.data", 13_824, 0)]),
    (
        "examples/r/Jheemfile.toml",
        "",
        &[("step.baseline", 2, 0), ("step.prerun", 4, 0), ("plot.r", 96, 0)],
    ),
    (
        "examples/calibration/Jheemfile.toml",
        "",
        &[("plot.calibration", 384, 192), ("plot.projection", 384, 312)],
    ),
    (
        "examples/calibration/Jheemfile.toml",
        "--profile container",
        &[("plot.calibration", 384, 192), ("plot.projection", 384, 312)],
    ),
];

#[test]
fn every_example_is_read_and_counts_what_it_says() {
    let mut wrong = Vec::new();
    for (file, arguments, expected) in COUNTS {
        let ran = ask(&format!("--file {file} list --count --format json {arguments}")).success();
        let found: Vec<(String, u64, u64)> = ran
            .events()
            .iter()
            .map(|count| {
                let number = |name: &str| count[name].as_u64().unwrap();
                assert_eq!(number("cells"), number("absent") + number("to_make"));
                (count["rule"].as_str().unwrap().to_owned(), number("cells"), number("absent"))
            })
            .collect();
        let found: BTreeSet<_> = found.iter().map(|(r, c, a)| (r.as_str(), *c, *a)).collect();
        if found != expected.iter().copied().collect() {
            wrong.push(format!("{file} {arguments}: {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_example_is_left_out() {
    let mut found = BTreeSet::from([PathBuf::from("Jheemfile.toml")]);
    let mut folders = vec![repository("examples")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() && !path.ends_with("target") && !path.ends_with("cache") {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "toml")
                && fs::read_to_string(&path).unwrap().contains("\n[project]")
            {
                found.insert(path.strip_prefix(repository("")).unwrap().to_owned());
            }
        }
    }
    let counted: BTreeSet<PathBuf> = COUNTS.iter().map(|(file, ..)| file.into()).collect();
    assert_eq!(found, counted);
}

#[test]
fn the_paths_of_the_original_pipeline_are_those_of_its_own_scripts() {
    let script = repository("tests/expected_paths.py");
    let done = match Command::new("python3").arg(script).arg("--possible").output() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            println!("skipped: no python3");
            return;
        }
        done => done.unwrap(),
    };
    assert!(done.status.success(), "{done:?}");
    let expected = String::from_utf8(done.stdout).unwrap();
    let ran = ask("--file examples/original/Jheemfile.toml list --paths --preset full").success();
    let mut listed: Vec<&str> =
        ran.stdout.lines().filter(|path| !path.ends_with("_metadata.json")).collect();
    listed.sort_unstable();
    assert_eq!(listed.len(), 44_361);
    assert!(listed == expected.lines().collect::<Vec<_>>(), "other paths");
    assert_eq!(ran.stdout.lines().count(), 2 * 44_361);
}

// The pipeline of the root, which is the quick start.

/// A copy of what the root's Jheemfile reads.
fn root_copy(into: &Path) {
    fs::create_dir_all(into.join("examples/ryan-white/model")).unwrap();
    fs::copy(repository("Jheemfile.toml"), into.join("Jheemfile.toml")).unwrap();
    let example = "examples/ryan-white";
    copy_all(&repository(example).join("parameters"), &into.join(example).join("parameters"));
    for part in ["Cargo.toml", "Cargo.lock", "src"] {
        let (from, to) = (repository(example).join("model"), into.join(example).join("model"));
        if from.join(part).is_dir() {
            copy_all(&from.join(part), &to.join(part));
        } else {
            fs::copy(from.join(part), to.join(part)).unwrap();
        }
    }
}

/// The root's pipeline after the commands of the README; made once a process.
///
/// What is static is never dropped, so it lies in a folder of cargo's, not in a temporary one.
fn quick_start() -> &'static Path {
    static MADE: OnceLock<(PathBuf, fs::File)> = OnceLock::new();
    let (folder, _lock) = MADE.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("quick-start");
        let lock = fs::File::create(folder.with_extension("lock")).unwrap();
        lock.lock().unwrap();
        if folder.exists() {
            fs::remove_dir_all(&folder).unwrap();
        }
        root_copy(&folder);
        run_blocks(&repository("README.md"), &folder, runs);
        (folder, lock)
    });
    folder
}

fn json(arguments: &str, project: &Path) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jheem"));
    command.args(arguments.split_whitespace()).args(["--format", "json"]).current_dir(project);
    Ran::new(arguments, command.output().unwrap())
}

#[test]
fn the_quick_start_works_and_one_changed_parameter_remakes_one_city() {
    let folder = tempfile::tempdir().unwrap();
    let project = folder.path().join("project");
    copy_tree(quick_start(), &project);
    let published = || json("publish", &project).success();

    let again = json("", &project).success().targets("fresh=125");
    assert_eq!((again.count("runs"), again.count("published.objects")), (0, 0));
    assert_eq!(fs::read_dir(project.join("site/plots")).unwrap().count(), 4);

    // A row of which nothing but its time would change is left as it is.
    another_second();
    let parameters = project.join("examples/ryan-white/parameters/C.14460.yaml");
    let before = fs::read_to_string(&parameters).unwrap();
    let changed = before.replace("  adap: 0.", "  adap: 0.1");
    assert_ne!(before, changed);
    fs::write(&parameters, changed).unwrap();
    // A baseline, three scenarios, and the 27 plots that read them.
    let ran = json("", &project).success();
    let finished = &ran.last()["targets"];
    assert_eq!((&finished["built"], &finished["fresh"]), (&31.into(), &94.into()), "{ran}");
    let other = |target: &String| !target.contains("C.14460");
    assert_eq!(ran.ended("built").into_iter().filter(other).count(), 0);
    assert_eq!((ran.count("published.objects"), ran.count("published.rows")), (27, 27), "{ran}");

    // Back again: nothing runs, and what is published is as it was.
    fs::write(&parameters, before).unwrap();
    let back = json("", &project).success().targets("fresh=94 restored=31");
    assert_eq!((back.count("runs"), back.count("published.objects")), (0, 27));
    assert_eq!(published().count("published.objects"), 0);
}

// The docs.

/// A block of code in a document.
struct Block {
    /// The document and the line of the opening fence.
    place: String,
    language: String,
    /// Words after the language: `fragment`, `not-tested=REASON`.
    words: Vec<String>,
    text: String,
}

fn blocks(document: &Path) -> Vec<Block> {
    let text = fs::read_to_string(document).unwrap();
    let name = document.strip_prefix(repository("")).unwrap().display().to_string();
    let mut blocks: Vec<Block> = Vec::new();
    let mut open = false;
    for (index, line) in text.lines().enumerate() {
        if let Some(info) = line.trim_start().strip_prefix("```") {
            open = !open;
            if open {
                let mut words = info.split(',').map(|word| word.trim().to_owned());
                let language = words.next().unwrap_or_default();
                let place = format!("{name}:{}", index + 1);
                let (words, text) = (words.collect(), String::new());
                blocks.push(Block { place, language, words, text });
            }
        } else if open && let Some(block) = blocks.last_mut() {
            block.text.push_str(line);
            block.text.push('\n');
        }
    }
    assert!(!open, "{name}: a block of code has no end");
    blocks
}

fn documents() -> Vec<PathBuf> {
    let mut documents: Vec<PathBuf> = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md"]
        .iter()
        .map(|name| repository(name))
        .filter(|path| path.exists())
        .collect();
    let docs = fs::read_dir(repository("docs")).unwrap().map(|entry| entry.unwrap().path());
    documents.extend(docs.filter(|path| path.extension().is_some_and(|e| e == "md")));
    let examples = fs::read_dir(repository("examples")).unwrap();
    let examples = examples.map(|entry| entry.unwrap().path().join("README.md"));
    documents.extend(examples.filter(|path| path.exists()));
    documents.sort();
    documents
}

#[test]
fn every_block_of_code_in_the_docs_is_tested_or_says_why_not() {
    let mut wrong = Vec::new();
    for document in documents() {
        for block in blocks(&document) {
            let Block { place, language, words, text } = &block;
            let known = |word: &String| {
                word == "fragment" && language == "toml"
                    || [NEEDS_R, NEEDS_DATA].contains(&word.as_str()) && language == "console"
                    || word.strip_prefix("not-tested=").is_some_and(|reason| reason.len() > 8)
            };
            if let Some(word) = words.iter().find(|word| !known(word)) {
                wrong.push(format!("{place}: `{word}` means nothing"));
            }
            let parsed = match language.as_str() {
                _ if words.iter().any(|word| word.starts_with("not-tested=")) => Ok(()),
                // Drawings are no code, and console blocks are run by other tests.
                "text" | "console" => Ok(()),
                // Fragments are wrapped and read by the tests of that document.
                "toml" if words.contains(&"fragment".to_owned()) => {
                    document.ends_with("docs/jheemfile.md").then_some(()).ok_or_else(|| {
                        "a fragment, which is read in docs/jheemfile.md only".to_owned()
                    })
                }
                "toml" => {
                    let source = Source { name: place.clone(), text: text.clone() };
                    read(&Arc::new(source), None).map(drop).map_err(|errors| {
                        errors.iter().map(|error| error.render(false)).collect::<String>()
                    })
                }
                "json" => text
                    .lines()
                    .try_for_each(|line| serde_json::from_str::<Value>(line).map(drop))
                    .or_else(|_| serde_json::from_str::<Value>(text).map(drop))
                    .map_err(|error| error.to_string()),
                "yaml" => serde_saphyr::from_str::<Value>(text)
                    .map(drop)
                    .map_err(|error| error.to_string()),
                other => Err(format!("no test for `{other}`; mark it `not-tested=REASON`")),
            };
            if let Err(error) = parsed {
                wrong.push(format!("{place}: {error}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_command_in_the_docs_works_and_says_what_is_shown() {
    for document in documents() {
        if document == repository("README.md") {
            // It begins with nothing made; see `quick_start`.
            quick_start();
            continue;
        }
        if !blocks(&document).iter().any(runs) {
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        let project = folder.path().join("project");
        copy_tree(quick_start(), &project);
        // What an example says of itself is said in its own folder.
        let beside = document.parent().unwrap().strip_prefix(repository("examples"));
        let place = beside.map_or(project.clone(), |name| project.join("examples").join(name));
        run_blocks(&document, &place, runs);
    }
}

/// The marks of console blocks that need the image of R, and real results.
const NEEDS_R: &str = "needs=r";
const NEEDS_DATA: &str = "needs=data";

fn runs(block: &Block) -> bool {
    let apart = |word: &String| word.starts_with("needs=") || word.starts_with("not-tested=");
    block.language == "console" && !block.words.iter().any(apart)
}

fn needs(block: &Block, mark: &str) -> bool {
    block.language == "console" && block.words.iter().any(|word| word == mark)
}

/// Runs the chosen console blocks of a document one after the other.
///
/// `$ ` begins a command, which must end well unless `[exit code N]` stands below it.
/// Other lines are what it says, in this order; `…` stands for any text, alone in a line for any lines.
fn run_blocks(document: &Path, project: &Path, chosen: fn(&Block) -> bool) {
    let programs = tempfile::tempdir().unwrap();
    for program in [Path::new(env!("CARGO_BIN_EXE_jheem")), &rw_model()] {
        let name = programs.path().join(program.file_name().unwrap());
        std::os::unix::fs::symlink(program, name).unwrap();
    }
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", programs.path().display());
    for block in blocks(document).into_iter().filter(chosen) {
        let (place, text) = (&block.place, format!("\n{}", block.text));
        let (before, commands) = text.split_once("\n$ ").expect("a console block begins with `$ `");
        assert_eq!(before, "", "{place}: a console block begins with `$ `");
        for command in commands.split("\n$ ") {
            let (command, shown) = command.split_once('\n').unwrap_or((command, ""));
            let script = command.replace("cargo run --release", "jheem");
            let done = Command::new("sh")
                .args(["-c", &script])
                .current_dir(project)
                .env("PATH", &path)
                .env("NO_COLOR", "1")
                .output()
                .unwrap();
            let said = [done.stdout, done.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            let mut code = 0;
            let mut rest = said.lines();
            for line in shown.lines().filter(|line| !line.is_empty() && *line != "…") {
                if let Some(text) = line.strip_prefix("[exit code ") {
                    code = text.trim_end_matches(']').parse().expect("a number");
                    continue;
                }
                let found = rest.any(|other| shows(line.trim(), other.trim()));
                assert!(found, "{place}: `{command}` does not say `{line}`\n{said}");
            }
            assert_eq!(done.status.code(), Some(code), "{place}: `{command}`\n{said}");
        }
    }
}

/// Whether a line of a document shows a line that was said.
fn shows(shown: &str, said: &str) -> bool {
    match shown.split_once('…') {
        None => shown == said,
        Some((start, end)) => {
            said.len() >= start.len() + end.len() && said.starts_with(start) && said.ends_with(end)
        }
    }
}

/// A copy with links kept as files of their own; jheem's cache goes along.
fn copy_tree(from: &Path, to: &Path) {
    let done = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(done.success());
}

// The R container.

/// Whether the image of the R example is there; said aloud if not.
fn r_image() -> bool {
    let must = std::env::var("JHEEM_TEST_R").is_ok_and(|value| value == "1");
    let image = ["image", "inspect", "jheem-example-r"];
    let there = Command::new("docker").args(image).output().is_ok_and(|o| o.status.success());
    assert!(there || !must, "JHEEM_TEST_R=1, and there is no image `jheem-example-r`");
    if !there {
        println!("skipped: no R image");
    }
    there
}

/// The R example, with nothing made.
fn r_example() -> Project {
    let project = Project::new();
    fs::copy(repository("examples/r/Jheemfile.toml"), project.path("Jheemfile.toml")).unwrap();
    copy_all(&repository("examples/r/parameters"), &project.path("parameters"));
    project
}

#[test]
fn the_commands_of_the_r_example_work_and_say_what_is_shown() {
    if r_image() {
        let with_r = |block: &Block| needs(block, NEEDS_R);
        run_blocks(&repository("examples/r/README.md"), r_example().root(), with_r);
    }
}

#[test]
fn a_page_that_r_draws_again_is_the_same_page_though_its_ids_are_others() {
    if !r_image() {
        return;
    }
    let project = r_example();
    let narrow = "--where city=C.12580 --where scenario=cessation --where statistic=mean.and.interval --where outcome=incidence";
    // A baseline, a scenario and four facets.
    project.build(&format!("{narrow} --with html")).success().targets("built=6");
    let pages: Vec<String> =
        project.files("plots").into_iter().filter(|path| path.ends_with(".html")).collect();
    assert_eq!(pages.len(), 4, "{pages:?}");
    let content = |bytes: &[u8]| {
        let document = Document::parse(bytes, As::HTML).unwrap();
        document.content_digest(&[]).to_string()
    };
    let read = |path: &String| fs::read(project.path(path)).unwrap();
    let before: Vec<Vec<u8>> = pages.iter().map(read).collect();
    let asks = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).contains("id=\"htmlwidget-");
    assert!(before.iter().all(asks), "a page has no widget");
    // With pages or without them, there is nothing to do.
    for with in ["", "--with html"] {
        let ran = project.build(&format!("{narrow} {with}")).success().targets("fresh=6");
        assert_eq!(ran.count("runs"), 0);
    }

    project.change(
        r#"env = { MODEL_ID = "example" }"#,
        r#"env = { MODEL_ID = "example", AGAIN = "1" }"#,
    );
    let ran = project.build(&format!("{narrow} --with html")).success();
    assert_eq!(ran.ended("same").len(), 4, "{ran}");
    assert_eq!(ran.count("published.objects"), 0, "{ran}");
    drop(ran.targets("fresh=2 built=4"));
    for (page, before) in pages.iter().zip(&before) {
        let after = read(page);
        assert!(after != *before, "`{page}`: the ids are not random, so nothing was shown");
        assert_eq!(content(&after), content(before), "`{page}` has another content");
    }
}

#[test]
fn r_simulates_plots_and_publishes_in_its_container() {
    if !r_image() {
        return;
    }
    let project = r_example();
    let city = "--where city=C.12580";
    // A baseline and two scenarios; of 48 cells 12 ask for awareness by age or sex.
    let ran = project.build(city).success().targets("built=39 absent=12");
    assert_eq!((ran.count("published.objects"), ran.count("published.rows")), (36, 36));
    assert!(ran.count("runs") <= 7, "{ran}");
    let again = project.build(city).success().targets("fresh=39 absent=12");
    assert_eq!((again.count("runs"), again.count("published.objects")), (0, 0));

    // A comment: the same simulations come out, byte by byte, and no plot is drawn.
    let parameters = project.read("parameters/C.12580.yaml");
    project.write("parameters/C.12580.yaml", format!("# a comment\n{parameters}"));
    let ran = project.build(city).success().targets("built=3 fresh=36 absent=12");
    assert_eq!(ran.ended("same").len(), 3);

    // Another effect of one scenario: its plots alone are drawn.
    let changed = parameters.replacen("incidence: 0.52", "incidence: 0.6", 1);
    assert_ne!(parameters, changed);
    project.write("parameters/C.12580.yaml", &changed);
    let one = "--where scenario=cessation --where statistic=mean.and.interval";
    let ran = project.build(&format!("{city} {one}")).success();
    assert!(ran.ended("built").iter().all(|t| !t.contains("brief_interruption")), "{ran}");
    let drawn = ran.ended("built").iter().filter(|t| t.starts_with("plot.")).count();
    let (same, published) = (ran.ended("same"), ran.count("published.objects"));
    // Incidence in four breakdowns; what did not change was cut off, and is not published again.
    assert_eq!((drawn, published), (4, 4), "{same:?}\n{ran}");

    // plotly's random ids differ in every run, and are no change.
    project.change(
        r#"env = { MODEL_ID = "example" }"#,
        r#"env = { MODEL_ID = "example", AGAIN = "1" }"#,
    );
    let few =
        "--where scenario=cessation --where statistic=mean.and.interval --where outcome=incidence";
    let plot = "plots/C.12580/cessation/incidence_mean.and.interval_unfaceted.json";
    let before = project.read(plot);
    let ran = project.build(&format!("{city} {few}")).success();
    assert_eq!(ran.ended("same").len(), 4, "{ran}");
    assert_eq!(ran.count("published.objects"), 0);
    assert_ne!(before, project.read(plot), "the ids are not random, so nothing was shown");
}

// Real results of the real model.

/// The folder of the calibration's data: `JHEEM_TEST_DATA`, or a folder `data` beside the project.
fn real_data() -> Option<PathBuf> {
    let named = std::env::var_os("JHEEM_TEST_DATA").map(PathBuf::from);
    let beside = fs::read_dir(repository("..")).into_iter().flatten().flatten();
    let found = named
        .into_iter()
        .chain(beside.map(|entry| entry.path().join("data")))
        .find(|folder| folder.join("calibration-data.json").is_file());
    if found.is_none() {
        println!("skipped: no real data; set JHEEM_TEST_DATA to the folder that has it");
    }
    found
}

/// The calibration example with its data.
fn calibration(data: &Path) -> Project {
    let project = Project::new();
    let example = repository("examples/calibration");
    fs::copy(example.join("Jheemfile.toml"), project.path("Jheemfile.toml")).unwrap();
    for name in [
        "calibration-data.json",
        "hiv-age-projections-aggregated.json",
        "hiv-age-projections-by-race.json",
        "hiv-age-projections-by-sex.json",
    ] {
        project.write(&format!("data/{name}"), fs::read(data.join(name)).unwrap());
    }
    project
}

/// The program that draws them.
fn calibration_plots() -> Vec<u8> {
    fs::read(rw_model().with_file_name("calibration-plots")).unwrap()
}

#[test]
fn the_commands_of_the_calibration_example_work_and_say_what_is_shown() {
    let Some(folder) = real_data() else { return };
    let project = calibration(&folder).program("calibration-plots", calibration_plots());
    let with_data = |block: &Block| needs(block, NEEDS_DATA);
    run_blocks(&repository("examples/calibration/README.md"), project.root(), with_data);
}

/// Trace by trace: panel, curve, part; and its points.
type Traces = BTreeMap<(String, String, String), Vec<(String, String)>>;

fn traces(plot: &Value) -> Traces {
    let mut traces = Traces::new();
    for trace in plot["data"].as_array().unwrap() {
        let text = |name: &str| trace[name].as_str().unwrap().to_owned();
        let (x, y) = (trace["x"].as_array().unwrap(), trace["y"].as_array().unwrap());
        assert_eq!(x.len(), y.len());
        let points = x.iter().zip(y).map(|(x, y)| (x.to_string(), y.to_string())).collect();
        let known = traces.insert((text("text"), text("name"), text("meta")), points);
        assert_eq!(known, None, "two traces of one name");
    }
    traces
}

/// What a plot should show, straight from the source's rows.
fn expected(data: &BTreeMap<&str, Value>, path: &str) -> Traces {
    let parts: Vec<&str> = path.trim_end_matches(".json").split('/').collect();
    let [_, kind, location, name] = parts[..] else { panic!("{path}") };
    let [outcome, statistic, facet] = name.split('_').collect::<Vec<_>>()[..] else {
        panic!("{path}")
    };
    let middle = statistic.split('.').next().unwrap();
    let mut traces = Traces::new();
    let mut add = |panel: &Value, curve: &str, part: &str, year: &Value, value: &Value| {
        let panel = panel.as_str().unwrap_or_default().to_owned();
        let points = traces.entry((panel, curve.to_owned(), part.to_owned())).or_default();
        points.push((year.to_string(), value.to_string()));
    };
    if kind == "calibration" {
        let part = if facet == "none" { "by_total" } else { "by_age" };
        let rows = |from: &str| data["calibration"][outcome][from][part].as_array().unwrap();
        let here = |row: &&Value| row["location"] == location;
        for row in rows("simulation").iter().filter(here) {
            for (part, field) in [("lower", "lower"), ("upper", "upper"), ("middle", middle)] {
                add(&row["age"], "Simulated", part, &row["year"], &row[field]);
            }
        }
        for row in rows("observed").iter().filter(here) {
            add(&row["age"], "Observed", "observed", &row["year"], &row["value"]);
        }
        return traces;
    }
    let states = data[facet]["states"].as_array().unwrap();
    let state = states.iter().find(|state| state["state_code"] == location).unwrap();
    let groups = match facet {
        "age" => std::slice::from_ref(state),
        "race" => state["races"].as_array().unwrap(),
        _ => state["sex_categories"].as_array().unwrap(),
    };
    for group in groups {
        let label = if facet == "race" { "race_label" } else { "sex_label" };
        for year in group["data"].as_array().unwrap() {
            for (age, row) in year["age_cohorts"].as_object().unwrap() {
                for (part, field) in [("lower", "lower"), ("upper", "upper"), ("middle", middle)] {
                    add(&group[label], age, part, &year["year"], &row[field]);
                }
            }
        }
    }
    traces
}

#[test]
fn real_results_are_plotted_as_they_are_by_a_process_and_by_a_container() {
    let Some(folder) = real_data() else { return };
    let read = |name: &str| -> Value {
        serde_json::from_slice(&fs::read(folder.join(name)).unwrap()).unwrap()
    };
    let data = BTreeMap::from([
        ("calibration", read("calibration-data.json")),
        ("age", read("hiv-age-projections-aggregated.json")),
        ("race", read("hiv-age-projections-by-race.json")),
        ("sex", read("hiv-age-projections-by-sex.json")),
    ]);
    let project = calibration(&folder).program("calibration-plots", calibration_plots());
    project.build("").success().targets("built=264 absent=504");
    let listed = project.jheem("list --paths").success().stdout;
    assert_eq!(listed.lines().count(), 264);
    let mut numbers = 0;
    for path in listed.lines() {
        let plot: Value = serde_json::from_str(&project.read(path)).unwrap();
        let (found, expected) = (traces(&plot), expected(&data, path));
        numbers += found.values().map(Vec::len).sum::<usize>();
        assert!(found == expected, "{path} shows other numbers than its source has");
    }
    // 24 states: 31 years x 3 numbers, and 12 observed, x 6 strata x 2 outcomes x 2 statistics;
    // and 16 years x 3 numbers x 5 ages, in all, for 3 races and for 2 sexes.
    assert_eq!(numbers, 24 * ((31 * 3 + 12) * 6 * 4 + 16 * 3 * 5 * 6));
    project.build("").success().targets("fresh=264 absent=504");

    // One number of the source changes: the plots of that file are drawn, and one is another.
    let text = project.read("data/hiv-age-projections-by-sex.json");
    let mut changed: Value = serde_json::from_str(&text).unwrap();
    let cohort = &mut changed["states"][0]["sex_categories"][0]["data"][0]["age_cohorts"];
    let upper = &mut cohort["13-24 years"]["upper"];
    *upper = Value::from(upper.as_u64().unwrap() + 1);
    project.write("data/hiv-age-projections-by-sex.json", changed.to_string());
    let ran = project.build("").success().targets("built=24 fresh=240 absent=504");
    let path = "plot.projection[location=AL, outcome=prevalence, statistic=median.and.interval, facet=sex]";
    assert_eq!(ran.ended("built"), [path]);
    assert_eq!(ran.ended("same").len(), 23);
    project.write("data/hiv-age-projections-by-sex.json", text);
    project.build("").success().targets("restored=1 fresh=263 absent=504");

    if daemon().is_none() {
        return;
    }
    let context = tempfile::tempdir().unwrap();
    let tag = Tag::new("calibration");
    fs::copy(repository("examples/calibration/Dockerfile"), context.path().join("Dockerfile"))
        .unwrap();
    let program = rw_model_static().with_file_name("calibration-plots");
    fs::copy(program, context.path().join("calibration-plots")).unwrap();
    docker(&["build", "-q", "-t", &tag.0, context.path().to_str().unwrap()]);
    let contained = calibration(&folder);
    contained.change("jheem-example-calibration", &tag.0);
    contained.build("--profile container").success().targets("built=264 absent=504");
    for path in listed.lines() {
        assert!(contained.read(path) == project.read(path), "{path} differs in a container");
    }
}
