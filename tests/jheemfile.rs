//! Jheemfiles as a user writes them: what is refused and how it is said, what is accepted, and
//! that the JSON Schema and the reference agree with the reader.

use std::collections::BTreeSet;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use jheem::error::{Error, Source};
use jheem::expand::{check, expand, open};
use jheem::grammar::{reference_table, sections};
use jheem::graph::{Graph, Target};
use jheem::manifest::{InputPlace, Start};
use jheem::read::{profile_names, read};
use jheem::schema::json_schema;
use jheem::selection::{Request, select};

/// Set to write the expected files anew, to be looked over in the diff.
const BLESS: &str = "JHEEM_BLESS";

fn folder(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn source(name: &str, text: &str) -> Arc<Source> {
    Arc::new(Source { name: name.to_owned(), text: text.to_owned() })
}

/// All errors of a Jheemfile as they are shown; empty if it is accepted.
fn shown(name: &str, text: &str, profile: Option<&str>) -> String {
    match read(&source(name, text), profile) {
        Ok(_) => String::new(),
        Err(errors) => told(&errors),
    }
}

fn told(errors: &[Error]) -> String {
    let all: Vec<String> = errors.iter().map(|error| error.render(false)).collect();
    all.join("\n\n") + "\n"
}

/// All mistakes of a Jheemfile: of its text, of what it means, and of the names of its cells.
///
/// The files that its axes take values from are in the folder `beside`.
fn mistakes(source: &Arc<Source>, beside: &str) -> Vec<Error> {
    let files = |path: &str| {
        let file = folder(beside).join(path);
        fs::read_to_string(file).map_err(|_| Error::user(format!("there is no `{path}`")))
    };
    match open(source, None, &files) {
        Ok((_, graph)) => check(&graph).err().unwrap_or_default(),
        Err(errors) => errors,
    }
}

/// Whether the schema refuses a Jheemfile, and why.
fn schema_refuses(validator: &jsonschema::Validator, text: &str) -> Option<String> {
    let table: toml::Table = toml::from_str(text).expect("the test's TOML is well formed");
    let json = serde_json::to_value(table).expect("a TOML table is a JSON object");
    let error = validator.iter_errors(&json).next()?;
    Some(error.to_string())
}

fn validator() -> jsonschema::Validator {
    jsonschema::validator_for(&json_schema()).expect("the schema is a schema")
}

#[track_caller]
fn same_as_file(path: &Path, text: &str) {
    if std::env::var_os(BLESS).is_some() {
        fs::write(path, text).unwrap();
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    assert_eq!(text, expected, "{} says otherwise; set {BLESS}=1 to write it", path.display());
}

#[test]
fn every_mistake_is_refused_with_its_place_and_a_hint() {
    let validator = validator();
    let mut seen = 0;
    for entry in fs::read_dir(folder("tests/broken")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|end| end != "toml") {
            continue;
        }
        seen += 1;
        let name = path.file_name().unwrap().to_str().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let mistakes = mistakes(&source(name, &text), "tests/broken");
        assert!(!mistakes.is_empty(), "{name} is accepted");
        same_as_file(&path.with_extension("txt"), &told(&mistakes));
        for error in mistakes {
            assert_eq!(error.hints.len(), 1, "{name}: {error}");
            assert!(!error.message.ends_with('.'), "{name}: {error}");
            assert!(!error.places.is_empty(), "{name}: {error}");
        }
        match text.lines().next() {
            Some("# The schema: refuses") => {
                assert!(schema_refuses(&validator, &text).is_some(), "the schema takes {name}");
            }
            Some("# The schema: passes") => {
                assert_eq!(schema_refuses(&validator, &text), None, "{name}")
            }
            // What is not TOML never comes to the schema.
            Some("# The schema: -") => {}
            other => panic!("{name} begins with {other:?}"),
        }
    }
    assert!(seen > 100, "{seen} broken Jheemfiles");
}

/// The mistakes of a Jheemfile with all kinds of tables, after one part of it was replaced.
fn slips(whole: &str, at: Range<usize>, by: &str) -> Vec<Error> {
    let mut text = whole.to_owned();
    text.replace_range(at, by);
    mistakes(&source("Jheemfile.toml", &text), "tests/whole")
}

/// The texts in quotes of a Jheemfile that are values, with their quotes.
fn quoted(text: &str) -> Vec<Range<usize>> {
    let quoted = regex::Regex::new(r#""[^"\n]*"|'[^'\n]*'"#).unwrap();
    let found = quoted.find_iter(text).map(|found| found.range());
    found.filter(|range| !text[range.end..].starts_with(" =")).collect()
}

const WHOLE: &str = include_str!("whole/Jheemfile.toml");

#[test]
fn a_misspelt_key_is_one_mistake_and_the_rest_is_read_as_it_was_meant() {
    assert_eq!(told(&slips(WHOLE, 0..0, "")), "\n");
    let keys: BTreeSet<&str> =
        sections().iter().flat_map(|table| table.keys).map(|key| key.name).collect();
    let texts: Vec<Range<usize>> = quoted(WHOLE);
    let mut seen = 0;
    for word in regex::Regex::new("[a-z_]{3,}").unwrap().find_iter(WHOLE) {
        let after = &WHOLE[word.end()..];
        let is_key = after.starts_with(" = ") || after.starts_with('.') || after.starts_with(']');
        let in_text = texts.iter().any(|text| text.contains(&word.start()));
        if !is_key || in_text || !keys.contains(word.as_str()) {
            continue;
        }
        seen += 1;
        let last = word.end() - 1..word.end();
        let errors = slips(WHOLE, last, "");
        assert!(
            matches!(errors.as_slice(), [one] if one.message.starts_with("unknown key")),
            "`{}` without its last letter:\n{}",
            word.as_str(),
            told(&errors)
        );
    }
    assert!(seen > 150, "{seen} keys");
}

#[test]
fn a_value_of_another_kind_is_one_mistake() {
    for text in quoted(WHOLE) {
        // A check takes numbers too.
        let line = WHOLE[..text.start].rfind('\n').map_or(0, |end| end + 1);
        if WHOLE[line..].starts_with("equals") {
            continue;
        }
        let errors = slips(WHOLE, text.clone(), "7");
        assert_eq!(errors.len(), 1, "7 in place of {}:\n{}", &WHOLE[text], told(&errors));
    }
}

#[test]
fn a_forgotten_quote_is_told_on_its_line_and_nowhere_else() {
    for text in quoted(WHOLE) {
        let inner = &WHOLE[text.start + 1..text.end - 1];
        let line = WHOLE[..text.start].matches('\n').count() + 1;
        for without in [inner.to_owned(), WHOLE[text.start..text.end - 1].to_owned()] {
            // A comment begins where the text no longer holds its `#`.
            if without == inner && inner.contains('#') {
                continue;
            }
            let errors = slips(WHOLE, text.clone(), &without);
            assert!(!errors.is_empty(), "{without} is accepted on line {line}");
            for error in &errors {
                let at = error.line_and_column().map(|(line, _)| line);
                assert_eq!(at, Some(line), "{without} on line {line}:\n{}", told(&errors));
            }
        }
    }
}

/// The Jheemfiles that come with jheem, and the profiles that they have.
const EXAMPLES: [(&str, &[Option<&str>]); 8] = [
    ("examples/calibration/Jheemfile.toml", &[None, Some("container")]),
    ("examples/r/Jheemfile.toml", &[None]),
    ("Jheemfile.toml", &[None]),
    ("examples/original/Jheemfile.toml", &[None, Some("local")]),
    ("examples/production/ryan-white-msa.toml", &[None]),
    ("examples/production/ryan-white-state-ajph.toml", &[None]),
    ("examples/production/ryan-white-state-croi.toml", &[None]),
    ("examples/production/cdc-testing.toml", &[None]),
];

#[test]
fn the_examples_are_accepted_by_the_reader_and_by_the_schema() {
    let validator = validator();
    for (path, profiles) in EXAMPLES {
        let text = fs::read_to_string(folder(path)).unwrap();
        assert_eq!(schema_refuses(&validator, &text), None, "{path}");
        for profile in profiles {
            assert_eq!(shown(path, &text, *profile), "", "{path}");
        }
    }
}

/// Blocks of a Markdown text that are fenced as `language`, with their first lines.
fn blocks<'t>(markdown: &'t str, language: &str) -> Vec<(usize, &'t str)> {
    let mut found = Vec::new();
    let mut from = 0;
    let fence = format!("\n```{language}\n");
    while let Some(at) = markdown[from..].find(&fence) {
        let start = from + at + fence.len();
        let end = start + markdown[start..].find("```\n").expect("a block ends");
        let line = markdown[..start].matches('\n').count() + 1;
        found.push((line, &markdown[start..end]));
        from = end;
    }
    found
}

#[test]
fn every_example_in_the_reference_is_read() {
    let validator = validator();
    let text = fs::read_to_string(folder("docs/jheemfile.md")).unwrap();
    let (whole, fragments) = (blocks(&text, "toml"), blocks(&text, "toml,fragment"));
    assert!(whole.len() >= 2 && fragments.len() > 15);
    let fragments = fragments
        .iter()
        .map(|(line, text)| (*line, format!("{text}[project]\nname = \"docs\"\n"), false));
    let blocks_of_whole =
        whole.iter().map(|(line, text)| (*line, (*text).to_owned(), line == &whole[0].0));
    for (line, toml, is_whole) in blocks_of_whole.chain(fragments) {
        let name = format!("docs/jheemfile.md, block at line {line}");
        assert_eq!(shown(&name, &toml, None), "");
        assert_eq!(schema_refuses(&validator, &toml), None, "{name}");
        if is_whole {
            let manifest = read(&source(&name, &toml), None).unwrap();
            let made = expand(&manifest, &|_| panic!("{name} reads a file"));
            let said = made.err().into_iter().flatten().map(|error| error.render(false));
            assert_eq!(said.collect::<Vec<_>>().join("\n"), "", "{name}");
        }
        for profile in profile_names(&source(&name, &toml)) {
            assert_eq!(shown(&name, &toml, Some(&profile)), "");
        }
    }
}

#[test]
fn the_tables_of_the_reference_are_those_of_the_grammar() {
    let path = folder("docs/jheemfile.md");
    let text = fs::read_to_string(&path).unwrap();
    let mut made = text.clone();
    for table in sections() {
        let title = table.title;
        let (begin, end) = (format!("<!-- keys: {title} -->\n").replace("  ", " "), "<!-- end -->");
        let start = made.find(&begin).unwrap_or_else(|| panic!("no `{begin}` in the reference"));
        let start = start + begin.len();
        let length = made[start..].find(end).expect("keys end");
        made.replace_range(start..start + length, &format!("\n{}\n", reference_table(table)));
        // Links go to headings by their letters.
        assert!(
            title.is_empty()
                || made.contains(&format!("\n### `[{title}]`\n"))
                || made.contains(&format!("\n### `[[{title}]]`\n")),
            "no heading for `{title}`"
        );
    }
    same_as_file(&path, &made);
}

#[test]
fn a_profile_is_laid_over_the_main_tables() {
    let text = r#"
[project]
name = "demo"
[input.base]
path = "in.Rdata"
source = "s3://bucket/in.Rdata"
[runner.model]
image = "model:1"
platform = "linux/amd64"
memory = "8GiB"
env = { A = "1", B = "2" }
[publish.plots]
of = "plot.rw"
[publish.plots.object.plot]
to = "s3://bucket/plots"
key = "{file}"
metadata = { city = "a" }
[publish.plots.row.plot]
to = "dynamodb://table"
hash = { city = "{city}" }

[profile.local.runner.model]
program = "bin/model"
env = { B = "3" }
[profile.local.publish.plots]
object.plot = { to = "file:site", metadata = { place = "here" } }
row.plot = { to = "sqlite:site/plots.db", hash = { place = "{city}" } }
[profile.other]
input.base.folder = "in"
"#;
    let read = |profile| read(&source("Jheemfile.toml", text), profile).unwrap();
    let (main, local) = (read(None), read(Some("local")));
    let runner = &local.runners["model"];
    assert!(matches!(&runner.start, Start::Program(program) if program.value == "bin/model"));
    // What belonged to the image went with it; what did not stayed.
    assert!(runner.platform.is_none() && runner.memory.is_some());
    let env: Vec<(&str, &str)> =
        runner.env.iter().map(|(name, value)| (name.as_str(), value.text.as_str())).collect();
    assert_eq!(env, [("A", "1"), ("B", "3")]);
    let object = &local.publishes["plots"].objects["plot"];
    assert_eq!((object.to.as_str(), object.key.text.as_str()), ("file:site", "{file}"));
    assert_eq!(object.metadata.keys().collect::<Vec<_>>(), ["city", "place"]);
    // A key is one attribute: the profile's takes the place of the main one.
    assert_eq!(local.publishes["plots"].rows["plot"].hash.0, "place");
    assert!(matches!(&main.runners["model"].start, Start::Image(_)));
    assert_eq!(main.publishes["plots"].objects["plot"].to.value, "s3://bucket/plots");
    let other = read(Some("other"));
    assert!(matches!(&other.inputs["base"].place, InputPlace::Folder { .. }));
    assert_eq!(profile_names(&main.source), ["local", "other"]);
}

#[test]
fn an_object_is_what_the_end_of_its_path_says_unless_it_is_declared() {
    let text = r#"
[project]
name = "demo"
[axis.city]
values = ["a.json", "b.json"]
[runner.model]
image = "model:1"
dirs = { "/plots" = "plots" }
[plot.rw]
over = ["city"]
runner = "model"
command = ["draw", "{city}"]
output.page.path = "plots/{city}/page.html"
output.plain.path = "plots/{city}.data"
output.packed.path = "plots/{city}/data.json.gz"
output.hole.path = "plots/hole_{city}"
output.written.path = "plots/{city}/written.json"
[publish.site]
of = "plot.rw"
[publish.site.object]
page = { to = "file:site", key = "{city}/page" }
plain = { to = "file:site", key = "{city}/plain" }
packed = { to = "file:site", key = "{city}/packed", content_encoding = "gzip" }
hole = { to = "file:site", key = "{city}/hole" }
written = { to = "file:site", key = "{city}/written", content_type = "application/geo+json" }
"#;
    let manifest = read(&source("Jheemfile.toml", text), None).unwrap();
    let graph = expand(&manifest, &|_| panic!("there are no files")).unwrap();
    let mut types: Vec<(&str, Option<&str>)> = graph.publishes[0]
        .objects
        .iter()
        .map(|object| {
            let name = graph.rules[0].outputs[object.output].name.as_str();
            (name, object.content_type.as_deref())
        })
        .collect();
    types.sort_unstable();
    assert_eq!(
        types,
        [
            ("hole", None),
            ("packed", Some("application/json")),
            ("page", Some("text/html; charset=utf-8")),
            ("plain", None),
            ("written", Some("application/geo+json")),
        ]
    );
}

#[test]
fn a_profile_that_is_not_there_is_named_with_those_that_are() {
    let text = "[project]\nname = \"demo\"\n[profile.local]\n[profile.staging]\n";
    assert_eq!(
        shown("Jheemfile.toml", text, Some("locl")),
        "error: there is no profile `locl`\nhint: did you mean `local`?\n"
    );
    assert_eq!(
        shown("Jheemfile.toml", text, Some("production")),
        "error: there is no profile `production`\nhint: use one of `local`, `staging`\n"
    );
}

#[test]
fn a_mistake_that_only_a_profile_makes_is_told_once_and_only_with_it() {
    let text = "[project]\nname = \"demo\"\n[runner.model]\nimage = \"model:1\"\n\
                [profile.local.runner.model]\nprogram = \"x\"\nplatform = \"linux/amd64\"\n";
    assert_eq!(shown("Jheemfile.toml", text, None), "");
    assert_eq!(
        shown("Jheemfile.toml", text, Some("local")),
        "error: `platform` means nothing without `image`\n --> Jheemfile.toml:7:1\n  |\n\
         7 | platform = \"linux/amd64\"\n  | ^^^^^^^^\n\
         hint: remove it, or add `image = \"ghcr.io/ncsizemore/jheem-ryan-white-msa:1.1.0\"`\n"
    );
}

#[test]
fn a_hundred_mistakes_are_enough() {
    let keys: String = (0..300).map(|index| format!("unknown_{index} = 1\n")).collect();
    let text = format!("[project]\nname = \"demo\"\n{keys}");
    let errors = read(&source("Jheemfile.toml", &text), None).unwrap_err();
    assert_eq!(errors.len(), 100);
    assert_eq!(errors[99].message, "there are 201 more mistakes in `Jheemfile.toml`");
}

/// The graph of an example, as jheem builds it.
fn graph(path: &str, profile: Option<&str>) -> Graph {
    let text = fs::read_to_string(folder(path)).unwrap();
    let manifest = read(&source(path, &text), profile).unwrap();
    let beside = |name: &str| Ok(fs::read_to_string(folder(path).with_file_name(name)).unwrap());
    expand(&manifest, &beside).unwrap_or_else(|errors| {
        let shown: Vec<String> = errors.iter().map(|error| error.render(false)).collect();
        panic!("{}", shown.join("\n\n"))
    })
}

/// How many cells a preset of an example selects.
fn selected(graph: &Graph, preset: &str) -> usize {
    let request = Request { presets: vec![preset.to_owned()], ..Request::default() };
    let selection = select(graph, &request).unwrap();
    selection.goals.iter().flatten().filter(|goal| **goal).count()
}

#[test]
fn the_original_pipeline_makes_the_plots_that_its_scripts_made() {
    let expected = |arguments: &[&str]| -> Vec<String> {
        let script = folder("tests/expected_paths.py");
        let output = Command::new("python3").arg(script).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    };
    for profile in [None, Some("local")] {
        let graph = graph("examples/original/Jheemfile.toml", profile);
        let counts = ["minimal", "test", "medium", "full"].map(|name| selected(&graph, name));
        assert_eq!(counts, [1, 108, 900, 62_496]);
        let id = graph.rule_named("plot.rw").unwrap();
        let rule = graph.rule(id);
        let output = rule.outputs.iter().position(|output| output.name == "plot").unwrap();
        let cells = 0..rule.space.cells();
        let (possible, absent): (Vec<usize>, Vec<usize>) =
            cells.partition(|cell| !rule.declared_absent(*cell));
        assert_eq!((possible.len(), absent.len()), (44_361, 18_135));
        let path = |cell: &usize| graph.output_path(Target { rule: id, cell: *cell }, output);
        let mut paths: Vec<String> = possible.iter().map(path).collect();
        paths.sort();
        assert!(paths == expected(&["--possible"]), "other plots are possible");
        paths.extend(absent.iter().map(path));
        paths.sort();
        assert!(paths == expected(&[]), "the full preset has other paths");
    }
}

#[test]
fn the_production_models_have_as_many_cells_as_they_should() {
    for (model, all, base, test) in [
        ("ryan-white-msa", 62_496, 41_664, 3 * 1_344),
        ("ryan-white-state-ajph", 22_176, 14_784, 3 * 1_344),
        ("ryan-white-state-croi", 53_760, 53_760, 3 * 1_792),
        ("cdc-testing", 13_824, 13_824, 3 * 768),
    ] {
        let graph = graph(&format!("examples/production/{model}.toml"), None);
        let counts = ["full", "base", "test"].map(|preset| selected(&graph, preset));
        assert_eq!(counts, [all, base, test], "{model}");
    }
}
