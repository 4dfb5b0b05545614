use super::*;

fn source(text: &str) -> Arc<Source> {
    Arc::new(Source { name: "Jheemfile.toml".into(), text: text.to_owned() })
}

fn accepted(text: &str, profile: Option<&str>) -> Manifest {
    read(&source(text), profile).unwrap_or_else(|errors| {
        let shown: Vec<String> = errors.iter().map(|error| error.render(false)).collect();
        panic!("{}", shown.join("\n\n"))
    })
}

#[test]
fn the_example_of_the_original_pipeline_is_read() {
    let text = include_str!("../../examples/original/Jheemfile.toml");
    let manifest = accepted(text, Some("local"));
    assert_eq!(manifest.publishes["plots"].objects["plot"].to.value, "file:site");
    let manifest = accepted(text, None);
    assert_eq!(&text[manifest.project.name.span.clone()], "\"ryan-white-msa\"");
}

/// The headers under which the keys of a table can stand alone.
fn headers(title: &str) -> String {
    let listed = ["plot.NAME.audit", "plot.NAME.audit.items", "plot.NAME.audit.range"];
    let listed = [&listed[..], &["plot.NAME.audit.ordered", "plot.NAME.audit.contains"]].concat();
    match title {
        "" => String::new(),
        "plot.NAME.audit" => "[[plot.NAME.audit]]\n".to_owned(),
        title if listed.contains(&title) => format!("[[plot.NAME.audit]]\n[[{title}]]\n"),
        "plot.NAME.audit.size" => "[[plot.NAME.audit]]\n[plot.NAME.audit.size]\n".to_owned(),
        title => format!("[{title}]\n"),
    }
}

#[test]
fn the_example_of_every_key_fits_the_key() {
    // Alone, an example lacks what other keys of its table would give.
    let lacks = |error: &Error| {
        [
            " has no `",
            " has no values that",
            " has none of ",
            " means nothing without ",
            " stands without ",
        ]
        .iter()
        .any(|words| error.message.contains(words))
            || error.message.starts_with("there is no `[")
    };
    for table in crate::grammar::sections() {
        for key in table.keys {
            let text = format!("{}{}\n", headers(table.title), key.example);
            let errors = read(&source(&text), None).err().unwrap_or_default();
            let wrong: Vec<String> = errors
                .iter()
                .filter(|error| !lacks(error))
                .map(|error| error.render(false))
                .collect();
            assert!(wrong.is_empty(), "`{}` of `{}`:\n{}", key.name, table.title, wrong.join("\n"));
            assert!(key.example.starts_with(key.name), "`{}` of `{}`", key.name, table.title);
            assert!(key.doc.ends_with('.'), "`{}` of `{}`", key.name, table.title);
        }
    }
}

#[test]
fn a_default_is_what_the_reader_takes() {
    let manifest = accepted(
        "[project]\nname = \"d\"\n[runner.m]\nimage = \"m:1\"\n[plot.p]\nrunner = \"m\"\n\
         command = []\noutput.o.path = \"o\"\n\
         [[plot.p.audit]]\noutput = \"o\"\nsize = { min = 1 }\n",
        None,
    );
    let default = |title: &str, name: &str| {
        let table = crate::grammar::sections().into_iter().find(|table| table.title == title);
        match table.unwrap().key(name).unwrap().need {
            crate::grammar::Need::Default(toml) => toml,
            _ => panic!("`{name}` has no default"),
        }
    };
    let runner = &manifest.runners["m"];
    assert_eq!(runner.retries.to_string(), default("runner.NAME", "retries"));
    assert_eq!(runner.read_only.to_string(), default("runner.NAME", "read_only"));
    assert_eq!(format!("{:?}", runner.exit.ok), default("runner.NAME.exit", "ok"));
    assert_eq!(format!("{:?}", runner.exit.partial), default("runner.NAME.exit", "partial"));
    assert_eq!(format!("\"{:?}\"", runner.timeout.grace), default("runner.NAME.timeout", "grace"));
    let rule = manifest.rules.values().next().unwrap();
    assert_eq!(
        format!("\"{}\"", rule.outputs["o"].kind.value),
        default("plot.NAME.output.OUTPUT", "as")
    );
    assert!(rule.over.is_empty() && default("step.NAME", "over") == "[]");
}

#[test]
fn an_audit_and_a_row_are_read_as_they_are_written() {
    use crate::manifest::{Attribute, Check, Scalar};
    let manifest = accepted(
        r##"[project]
name = "d"
[plot.p]
runner = "m"
command = []
output.o = { path = "o.json", as = "json" }
[[plot.p.audit]]
output = "o"
equals = { "/a" = "{city}", "/b" = 1.50, "/c" = true }
contains = [{ at = "/x", from = 1, to = 2, step = 0.5 }]
same_length = [["/x", "/y"]]
range = [{ at = "/y", max = 1e3 }]
[publish.p]
of = "plot.p"
[publish.p.row.o]
to = "sqlite:p.db"
hash = { city = "{city}" }
range = { n = { N = "{object.size}" } }
item = { l = { L = ["a", { N = "1" }] }, m = { M = { yes = { BOOL = true }, no = { NULL = true } } } }
"##,
        None,
    );
    let checks: Vec<Check> = manifest.rules.values().next().unwrap().audits[0]
        .checks
        .iter()
        .map(|check| check.value.clone())
        .collect();
    let number = |text: &str| Scalar::Number(text.to_owned());
    let shown = format!("{checks:?}");
    assert!(shown.contains(&format!("{:?}", number("1.50"))), "{shown}");
    let halves = ["1", "1.5", "2"].map(number);
    assert!(shown.contains(&format!("{halves:?}")), "{shown}");
    assert!(shown.contains("Range { at: \"/y\", min: None, max: Some(1000.0) }"), "{shown}");
    let row = &manifest.publishes["p"].rows["o"];
    assert!(
        matches!(&row.range, Some((name, value)) if name == "n" && matches!(value.value, Attribute::N(_)))
    );
    assert!(matches!(&row.item["l"].value, Attribute::L(items) if items.len() == 2));
    assert!(
        matches!(&row.item["m"].value, Attribute::M(members) if members["no"] == Attribute::Null)
    );
}

mod any_bytes {
    use proptest::prelude::*;
    use proptest::test_runner::{Config, RngSeed};

    use super::*;

    /// The Jheemfiles of the examples, and all keys with their examples.
    const SEEDS: [&str; 2] = [
        include_str!("../../examples/original/Jheemfile.toml"),
        include_str!("../../examples/production/ryan-white-state-croi.toml"),
    ];

    /// What users mistype, and what parsers stumble over.
    const SCRAPS: [&str; 24] = [
        "\"",
        "'",
        "\"\"\"",
        "[",
        "]",
        "[[",
        "{",
        "}",
        "=",
        ".",
        ",",
        "\n",
        "\r",
        "#",
        "\\",
        "é",
        "\0",
        "{city",
        "}}",
        "1e999",
        "07:32",
        "inf",
        "99999999999999999999",
        "[plot.rw]\n",
    ];

    fn mutated() -> impl Strategy<Value = String> {
        let edits = prop::collection::vec(
            (any::<prop::sample::Index>(), 0..40_usize, 0..SCRAPS.len()),
            1..6,
        );
        (0..SEEDS.len(), edits).prop_map(|(seed, edits)| {
            let mut text = SEEDS[seed].to_owned();
            for (place, cut, scrap) in edits {
                let mut start = place.index(text.len() + 1);
                while !text.is_char_boundary(start) {
                    start -= 1;
                }
                let mut end = (start + cut).min(text.len());
                while !text.is_char_boundary(end) {
                    end += 1;
                }
                text.replace_range(start..end, SCRAPS[scrap]);
            }
            text
        })
    }

    fn judge(text: &str) -> Result<(), TestCaseError> {
        let file = source(text);
        for profile in [None, Some("local")] {
            let Err(errors) = read(&file, profile) else { continue };
            prop_assert!(!errors.is_empty());
            let mut seen = std::collections::BTreeSet::new();
            let mut last = 0;
            for error in &errors {
                prop_assert_eq!(error.kind, crate::error::Kind::User, "{}", error);
                prop_assert_eq!(error.hints.len(), 1, "{}", error);
                let start = error.places.first().map_or(last, |place| place.span.start);
                prop_assert!(start >= last || error.places.is_empty(), "{}", error);
                prop_assert!(seen.insert((start, error.message.clone())), "twice: {}", error);
                last = start;
                prop_assert!(!error.render(false).is_empty());
            }
        }
        profile_names(&file);
        Ok(())
    }

    proptest! {
        #![proptest_config(Config {
            cases: 400,
            rng_seed: RngSeed::Fixed(20_260_701),
            failure_persistence: None,
            ..Config::default()
        })]

        #[test]
        fn a_jheemfile_with_any_slip_is_read_or_refused_with_hints(text in mutated()) {
            judge(&text)?;
        }

        #[test]
        fn any_text_is_read_or_refused_with_hints(text in "(?s).{0,200}") {
            judge(&text)?;
        }
    }
}
