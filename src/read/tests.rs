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
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;
    use proptest::sample::Index;
    use proptest::test_runner::{Config, RngSeed};

    use super::*;
    use crate::expand;

    /// Jheemfiles with few cells, so that many slips can be tried: all kinds of tables, and examples.
    const SMALL: [&str; 3] = [
        include_str!("../../tests/whole/Jheemfile.toml"),
        include_str!("../../Jheemfile.toml"),
        include_str!("../../examples/r/Jheemfile.toml"),
    ];

    /// The Jheemfiles of grids of many thousands.
    const LARGE: [&str; 2] = [
        include_str!("../../examples/original/Jheemfile.toml"),
        include_str!("../../examples/production/ryan-white-state-croi.toml"),
    ];

    /// The files that the Jheemfiles take values from.
    fn files() -> BTreeMap<&'static str, String> {
        let files = [
            ("models.json", include_str!("../../tests/whole/models.json")),
            ("facets.yaml", include_str!("../../tests/whole/facets.yaml")),
            ("years.csv", include_str!("../../tests/whole/years.csv")),
            ("draws.toml", include_str!("../../tests/whole/draws.toml")),
        ];
        files.map(|(name, text)| (name, text.to_owned())).into()
    }

    /// The first whole Jheemfile of the reference.
    fn reference() -> &'static str {
        let docs = include_str!("../../docs/jheemfile.md");
        let block = docs.split("\n```toml\n").nth(1).unwrap();
        block.split("\n```\n").next().unwrap()
    }

    /// What users mistype, and what parsers stumble over.
    const SCRAPS: [&str; 28] = [
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
        "/",
        " ",
        "- ",
        ": ",
    ];

    /// One slip: of letters, of words, or of lines.
    #[derive(Clone, Debug)]
    enum Slip {
        Scrap(Index, usize, usize),
        /// A word, or a text with its quotes, in place of another.
        Word(Index, Index),
        Dropped(Index),
        Moved(Index, Index),
    }

    fn slip() -> impl Strategy<Value = Slip> {
        prop_oneof![
            (any::<Index>(), 0..40_usize, 0..SCRAPS.len())
                .prop_map(|(at, cut, scrap)| Slip::Scrap(at, cut, scrap)),
            (any::<Index>(), any::<Index>()).prop_map(|(at, by)| Slip::Word(at, by)),
            (any::<Index>(), any::<Index>()).prop_map(|(at, by)| Slip::Word(at, by)),
            any::<Index>().prop_map(Slip::Dropped),
            (any::<Index>(), any::<Index>()).prop_map(|(at, to)| Slip::Moved(at, to)),
        ]
    }

    fn words(text: &str) -> Vec<std::ops::Range<usize>> {
        static WORD: std::sync::LazyLock<regex::Regex> =
            std::sync::LazyLock::new(|| regex::Regex::new(r#""[^"\n]*"|[\w.@+-]+"#).unwrap());
        WORD.find_iter(text).map(|word| word.range()).collect()
    }

    fn slipped(mut text: String, slips: Vec<Slip>) -> String {
        for slip in slips {
            let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
            match slip {
                Slip::Scrap(at, cut, scrap) => {
                    let mut start = at.index(text.len() + 1);
                    while !text.is_char_boundary(start) {
                        start -= 1;
                    }
                    let mut end = (start + cut).min(text.len());
                    while !text.is_char_boundary(end) {
                        end += 1;
                    }
                    text.replace_range(start..end, SCRAPS[scrap]);
                }
                Slip::Word(at, by) => {
                    let words = words(&text);
                    if !words.is_empty() {
                        let by = text[by.get(&words).clone()].to_owned();
                        text.replace_range(at.get(&words).clone(), &by);
                    }
                }
                Slip::Dropped(at) if !lines.is_empty() => {
                    lines.remove(at.index(lines.len()));
                    text = lines.concat();
                }
                Slip::Moved(at, to) if !lines.is_empty() => {
                    let line = lines.remove(at.index(lines.len()));
                    lines.insert(to.index(lines.len() + 1), line);
                    text = lines.concat();
                }
                Slip::Dropped(_) | Slip::Moved(..) => {}
            }
        }
        text
    }

    fn mutated(seeds: Vec<&'static str>) -> impl Strategy<Value = String> {
        let slips = prop::collection::vec(slip(), 1..6);
        (0..seeds.len(), slips)
            .prop_map(move |(seed, slips)| slipped(seeds[seed].to_owned(), slips))
    }

    /// A Jheemfile is understood or refused: with places inside it, in order, each once, with a hint.
    fn judge(text: &str, files: &BTreeMap<&str, String>) -> Result<(), TestCaseError> {
        let file = source(text);
        let files = |path: &str| {
            let text = files.get(path).cloned();
            text.ok_or_else(|| Error::user(format!("there is no `{path}`")))
        };
        for profile in [None, Some("local")] {
            let opened = expand::open(&file, profile, &files);
            let Err(errors) = opened.and_then(|(_, graph)| expand::check(&graph)) else { continue };
            prop_assert!(!errors.is_empty() && errors.len() <= MOST_ERRORS);
            let placed = errors.iter().any(|error| !error.places.is_empty());
            let no_profile =
                profile.is_some() && errors[0].message.starts_with("there is no profile");
            prop_assert!(placed || no_profile, "{}", errors[0]);
            let mut seen = BTreeSet::new();
            let mut last = 0;
            for error in &errors {
                prop_assert_eq!(error.kind, crate::error::Kind::User, "{}", error);
                prop_assert_eq!(error.hints.len(), 1, "{}", error);
                for place in &error.places {
                    let whole = place.span.start <= place.span.end && place.span.end <= text.len();
                    prop_assert!(whole, "{:?} of {}: {}", place.span, text.len(), error);
                }
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

    /// So many cases, and fifty times as many with `JHEEM_TEST_LONG=1`.
    fn cases(few: u32) -> Config {
        let long = std::env::var_os("JHEEM_TEST_LONG").is_some();
        Config {
            cases: if long { few * 50 } else { few },
            rng_seed: RngSeed::Fixed(20_260_701),
            failure_persistence: None,
            ..Config::default()
        }
    }

    #[test]
    fn what_slips_are_put_into_has_none_itself() {
        for text in SMALL.into_iter().chain([reference()]) {
            let files = files();
            let file = |path: &str| Ok(files[path].clone());
            let opened = expand::open(&source(text), None, &file);
            opened.and_then(|(_, graph)| expand::check(&graph)).unwrap();
        }
    }

    proptest! {
        #![proptest_config(cases(600))]

        #[test]
        fn a_jheemfile_with_any_slip_is_understood_or_refused_with_hints(
            text in mutated(SMALL.into_iter().chain([reference()]).collect())
        ) {
            judge(&text, &files())?;
        }

        #[test]
        fn any_text_is_understood_or_refused_with_hints(text in "(?s).{0,200}") {
            judge(&text, &files())?;
        }

        #[test]
        fn a_file_of_values_with_any_slip_is_understood_or_refused_with_hints(
            which in any::<Index>(), slips in prop::collection::vec(slip(), 1..4)
        ) {
            let mut files = files();
            let names: Vec<&str> = files.keys().copied().collect();
            let name = *which.get(&names);
            let text = slipped(files[name].clone(), slips);
            files.insert(name, text);
            judge(SMALL[0], &files)?;
        }
    }

    proptest! {
        #![proptest_config(cases(12))]

        #[test]
        fn a_jheemfile_of_a_large_grid_with_any_slip_is_understood_or_refused_with_hints(
            text in mutated(LARGE.to_vec())
        ) {
            let models = include_str!("../../examples/production/models.json").to_owned();
            judge(&text, &BTreeMap::from([("models.json", models)]))?;
        }
    }
}
