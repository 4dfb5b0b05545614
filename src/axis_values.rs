//! The values of an axis from a data file: JSON, TOML, YAML or CSV.
//!
//! Pure over the file's text; knows nothing of axes. Only the values picked are looked at, so that
//! the rest of the file may say anything.

use std::collections::BTreeSet;

mod data;

use crate::content;
use crate::error::{Error, Result, nearest};
use crate::grammar::{Form, VALUE_HINT, short};
use crate::manifest::Pick;

use data::Value;

/// The values that `pick` names in a file, each once, in the order of their first appearance.
///
/// The end of `file_name` says what the file is. Numbers become their text, as
/// it was written.
///
/// # Errors
/// The file cannot be read as what it is, or there are no values at the place, or what is there is
/// no value: with the file, the line where there is one, and what was found.
pub fn values(text: &str, file_name: &str, pick: &Pick) -> Result<Vec<String>> {
    let found = match pick {
        Pick::Pointer(pointer) => pointed(text, file_name, pointer)?,
        Pick::Column(column) => column_values(text, file_name, column)?,
    };
    let mut seen = BTreeSet::new();
    let values: Vec<String> =
        found.into_iter().filter(|value| seen.insert(value.clone())).collect();
    if values.is_empty() {
        let place = match pick {
            Pick::Pointer(pointer) => format!("at `{}`", pointer.value),
            Pick::Column(column) => format!("in column `{}`", column.value),
        };
        return Err(Error::user(format!("`{file_name}` has no values {place}"))
            .hint("add values to the file, or name another place in it"));
    }
    Ok(values)
}

/// Whether a file can be read as what the end of its name says; if not, nobody's place in it is at fault.
pub fn is_readable(text: &str, file_name: &str) -> bool {
    match file_name.ends_with(".csv") {
        true => csv_reader(text).records().all(|record| record.is_ok()),
        false => data::parse(text, file_name).is_ok(),
    }
}

fn csv_reader(text: &str) -> csv::Reader<&[u8]> {
    csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes())
}

/// A text that is a value of an axis, or why it is none; `place` says where it stands.
fn value(text: &str, file_name: &str, place: &str) -> Result<String> {
    if Form::Value.check(text).is_ok() {
        return Ok(text.to_owned());
    }
    let what = match text {
        "" => "an empty text".to_owned(),
        text => format!("`{}`", short(text)),
    };
    Err(Error::user(format!(
        "`{file_name}` has {what} {place}, which cannot be a value of an axis"
    ))
    .hint(VALUE_HINT))
}

fn column_values(text: &str, file_name: &str, column: &str) -> Result<Vec<String>> {
    let mut reader = csv_reader(text);
    let unreadable = |error: csv::Error| {
        let line = error.position().map_or(String::new(), |at| format!(" at line {}", at.line()));
        let what = match error.kind() {
            csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                let fields = if *len == 1 { "field" } else { "fields" };
                format!("{len} {fields}, where the first line has {expected_len}")
            }
            _ => error.to_string(),
        };
        Error::user(format!("`{file_name}` cannot be read as CSV{line}: {what}"))
            .hint("mend the line, or put quotes round a field that holds a comma")
    };
    let header = reader.headers().map_err(unreadable)?.clone();
    let names: Vec<&str> = header.iter().map(|name| name.trim_start_matches('\u{feff}')).collect();
    let Some(index) = names.iter().position(|name| *name == column) else {
        let error = Error::user(format!("`{file_name}` has no column `{}`", short(column)));
        return Err(match nearest(column, names.iter().copied()) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => error.hint(format!("name one of its columns: {}", some_of(&names))),
        });
    };
    let mut values = Vec::new();
    for record in reader.records() {
        let record = record.map_err(unreadable)?;
        let line = record.position().map_or(0, csv::Position::line);
        values.push(value(
            record.get(index).unwrap_or_default(),
            file_name,
            &format!("at line {line}"),
        )?);
    }
    Ok(values)
}

/// The values at a pointer, whose steps may be `*`.
fn pointed(text: &str, file_name: &str, pointer: &str) -> Result<Vec<String>> {
    let root = data::parse(text, file_name)?;
    // Each place with the pointer that led to it, for messages.
    let mut places = vec![(String::new(), &root)];
    let steps: Vec<&str> = pointer.split('/').skip(1).collect();
    for raw in &steps {
        let mut next = Vec::new();
        for (path, place) in places {
            match (*raw, place) {
                ("*", Value::List(items)) => {
                    let items = items.iter().enumerate();
                    next.extend(items.map(|(index, item)| (format!("{path}/{index}"), item)));
                }
                ("*", Value::Table(members)) => {
                    let members = members.iter();
                    next.extend(
                        members.map(|(key, item)| (format!("{path}/{}", escaped(key)), item)),
                    );
                }
                ("*", other) => return Err(not_a_list(file_name, &path, other)),
                (raw, place) => {
                    next.push((format!("{path}/{raw}"), step(file_name, &path, raw, place)?))
                }
            }
        }
        places = next;
    }
    // A pointer that ends with `*` names the values; any other names their list.
    let mut values = Vec::new();
    for (path, place) in places {
        match place {
            Value::List(items) if steps.last() != Some(&"*") => {
                for (index, item) in items.iter().enumerate() {
                    values.push(plain(item, file_name, &format!("{path}/{index}"))?);
                }
            }
            other if steps.contains(&"*") => values.push(plain(other, file_name, &path)?),
            other => return Err(not_a_list(file_name, &path, other)),
        }
    }
    Ok(values)
}

/// One step of a pointer that is no pattern.
fn step<'v>(file_name: &str, path: &str, raw: &str, place: &'v Value) -> Result<&'v Value> {
    let name = raw.replace("~3", "[").replace("~2", "*").replace("~1", "/").replace("~0", "~");
    let shown = if path.is_empty() { "at the top" } else { "there" };
    match place {
        Value::Table(members) => members.get(&name).ok_or_else(|| {
            let error = Error::user(format!("`{file_name}` has nothing at `{path}/{raw}`"));
            let keys: Vec<&str> = members.keys().map(String::as_str).collect();
            match nearest(&name, keys.iter().copied()) {
                Some(near) => error.hint(format!("did you mean `{path}/{}`?", escaped(near))),
                None if keys.is_empty() => {
                    error.hint(format!("add it: the table {shown} is empty"))
                }
                None => error.hint(format!("use one of the keys {shown}: {}", some_of(&keys))),
            }
        }),
        Value::List(items) => {
            content::index(&name).and_then(|index| items.get(index)).ok_or_else(|| {
                let count = items.len();
                Error::user(format!("`{file_name}` has nothing at `{path}/{raw}`")).hint(format!(
                    "write `*` for every item of the list, or a number below {count}"
                ))
            })
        }
        other => Err(Error::user(format!(
            "`{file_name}` has {} {}, and nothing below it",
            other.what(),
            place_of(path)
        ))
        .hint("name the place of a list of texts or numbers")),
    }
}

fn not_a_list(file_name: &str, path: &str, found: &Value) -> Error {
    let error =
        Error::user(format!("`{file_name}` has {} {}, not a list", found.what(), place_of(path)));
    match found {
        Value::Table(members) => {
            let keys: Vec<&str> = members.keys().map(String::as_str).collect();
            error.hint(format!("go on to one of its keys: {}", some_of(&keys)))
        }
        _ => error.hint("name the place of a list of texts or numbers"),
    }
}

fn plain(found: &Value, file_name: &str, path: &str) -> Result<String> {
    match found {
        Value::Text(text) => value(text, file_name, &format!("at `{path}`")),
        Value::Number(number) => value(number, file_name, &format!("at `{path}`")),
        Value::Table(members) if !members.is_empty() => {
            let keys: Vec<&str> = members.keys().map(String::as_str).collect();
            Err(Error::user(format!(
                "`{file_name}` has a table at `{path}`, not a text or a number"
            ))
            .hint(format!(
                "take one of its keys from every item, with `/*/KEY`: {}",
                some_of(&keys)
            )))
        }
        other => Err(Error::user(format!(
            "`{file_name}` has {} at `{path}`, not a text or a number",
            other.what()
        ))
        .hint("make it a text, or name another place")),
    }
}

/// Where a pointer points, in words: the whole file has an empty one.
fn place_of(path: &str) -> String {
    if path.is_empty() { "at the top".to_owned() } else { format!("at `{path}`") }
}

fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// The first few names in backticks.
fn some_of(names: &[&str]) -> String {
    const FEW: usize = 8;
    let shown: Vec<String> =
        names.iter().take(FEW).map(|name| format!("`{}`", short(name))).collect();
    let more = if names.len() > FEW { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::At;

    const MODELS: &str = r#"{
  "msa": {
    "locations": { "full": ["C.12060", "C.12420"], "test": ["C.12580"] },
    "scenarios": [{ "id": "cessation", "label": "Cessation" }, { "id": "brief", "label": "Brief" }],
    "years": [2025, 2030.5],
    "nested": [["a"], ["b", "a"]],
    "odd": ["", null]
  }
}"#;

    fn at(pointer: &str) -> Pick {
        Pick::Pointer(At { value: pointer.into(), span: 0..0 })
    }

    fn column(name: &str) -> Pick {
        Pick::Column(At { value: name.into(), span: 0..0 })
    }

    #[test]
    fn values_are_had_from_lists_and_from_items_of_lists() {
        let had = |pointer| values(MODELS, "models.json", &at(pointer)).unwrap();
        assert_eq!(had("/msa/locations/full"), ["C.12060", "C.12420"]);
        assert_eq!(had("/msa/scenarios/*/id"), ["cessation", "brief"]);
        assert_eq!(had("/msa/scenarios/1/*"), ["brief", "Brief"]);
        let error = values(MODELS, "models.json", &at("/msa/locations/*")).unwrap_err();
        assert!(error.message.contains("a list at `/msa/locations/full`"), "{error}");
    }

    #[test]
    fn numbers_become_their_text_and_a_value_comes_once() {
        assert_eq!(values(MODELS, "m.json", &at("/msa/years")).unwrap(), ["2025", "2030.5"]);
        assert_eq!(values(MODELS, "m.json", &at("/msa/nested/*/*")).unwrap(), ["a", "b"]);
        assert_eq!(
            values(MODELS, "m.json", &at("/*/locations/*/0")).unwrap(),
            ["C.12060", "C.12580"]
        );
        assert_eq!(values("[1, 2]", "m.json", &at("")).unwrap(), ["1", "2"]);
    }

    #[test]
    fn a_number_keeps_its_spelling() {
        let written = ["1.10", "1.1", "1e3", "-0.50", "123456789012345678901"];
        let list = written.join(", ");
        let json = values(&format!("{{\"v\": [{list}]}}"), "m.json", &at("/v"));
        assert_eq!(json.unwrap(), written);
        assert_eq!(values(&format!("v = [{list}]"), "m.toml", &at("/v")).unwrap(), written);
        let yaml =
            format!("w: &w [{list}]\nv: *w\nx: [{{id: 2.50}}, {{id: \"2.50\"}}, {{id: 2.5}}]\n");
        assert_eq!(values(&yaml, "m.yaml", &at("/v")).unwrap(), written);
        assert_eq!(values(&yaml, "m.yaml", &at("/x/*/id")).unwrap(), ["2.50", "2.5"]);
        let toml = "v = [+1_000, 0x1F, 1_0.5_0]\n";
        assert_eq!(values(toml, "m.toml", &at("/v")).unwrap(), ["1000", "31", "10.50"]);
        let csv = format!("v\n{}\n", written.join("\n"));
        assert_eq!(values(&csv, "m.csv", &column("v")).unwrap(), written);
    }

    #[test]
    fn a_key_that_stands_twice_is_refused() {
        refused(
            "{\"v\": [1],\n \"v\": [2]}",
            "m.json",
            &at("/v"),
            "`m.json` cannot be read as JSON at line 2, column 2 (the key `v` stands twice)\nhint: mend the file there",
        );
        for (text, file) in [("v = [1]\nv = [2]\n", "m.toml"), ("v: [1]\nv: [2]\n", "m.yaml")] {
            let error = values(text, file, &at("/v")).unwrap_err();
            assert!(error.message.contains("cannot be read as"), "{error}");
        }
    }

    #[test]
    fn an_index_is_written_without_needless_signs_and_zeros() {
        assert_eq!(values(MODELS, "m.json", &at("/msa/nested/1")).unwrap(), ["b", "a"]);
        for index in ["+1", "01", "-1"] {
            let error = values(MODELS, "m.json", &at(&format!("/msa/nested/{index}"))).unwrap_err();
            assert!(error.message.contains("has nothing at"), "{error}");
        }
    }

    #[test]
    fn toml_yaml_and_csv_say_the_same_as_json() {
        let toml = "[msa]\nids = [\"a\", \"b\"]\n[[msa.s]]\nid = \"x\"\n[[msa.s]]\nid = 3\n";
        assert_eq!(values(toml, "m.toml", &at("/msa/ids")).unwrap(), ["a", "b"]);
        assert_eq!(values(toml, "m.toml", &at("/msa/s/*/id")).unwrap(), ["x", "3"]);
        let yaml = "msa:\n  ids: [a, b]\n  s:\n    - id: x\n    - id: 3\n";
        assert_eq!(values(yaml, "m.yaml", &at("/msa/ids")).unwrap(), ["a", "b"]);
        assert_eq!(values(yaml, "m.yml", &at("/msa/s/*/id")).unwrap(), ["x", "3"]);
        let csv = "\u{feff}id,name\na,\"x, y\"\nb,z\na,z\n";
        assert_eq!(values(csv, "m.csv", &column("id")).unwrap(), ["a", "b"]);
        assert_eq!(values(csv, "m.csv", &column("name")).unwrap(), ["x, y", "z"]);
    }

    #[track_caller]
    fn refused(text: &str, file_name: &str, pick: &Pick, expected: &str) {
        let error = values(text, file_name, pick).unwrap_err();
        let because: String = error.causes.iter().map(|cause| format!(" ({cause})")).collect();
        let hint = error.hints.join("; ");
        assert_eq!(format!("{}{because}\nhint: {hint}", error.message), expected);
    }

    #[test]
    fn what_is_found_at_a_wrong_place_is_said() {
        let refused =
            |pointer: &str, expected: &str| refused(MODELS, "models.json", &at(pointer), expected);
        refused(
            "/msa/location/full",
            "`models.json` has nothing at `/msa/location`\nhint: did you mean `/msa/locations`?",
        );
        refused(
            "/croi",
            "`models.json` has nothing at `/croi`\nhint: use one of the keys at the top: `msa`",
        );
        refused(
            "/msa/locations",
            "`models.json` has a table at `/msa/locations`, not a list\nhint: go on to one of its keys: `full`, `test`",
        );
        refused(
            "/msa/scenarios",
            "`models.json` has a table at `/msa/scenarios/0`, not a text or a number\nhint: take one of its keys from every item, with `/*/KEY`: `id`, `label`",
        );
        refused(
            "/msa/scenarios/*/id/*",
            "`models.json` has the text `cessation` at `/msa/scenarios/0/id`, not a list\nhint: name the place of a list of texts or numbers",
        );
        refused(
            "/msa/scenarios/7/id",
            "`models.json` has nothing at `/msa/scenarios/7`\nhint: write `*` for every item of the list, or a number below 2",
        );
        refused(
            "/msa/odd",
            "`models.json` has an empty text at `/msa/odd/0`, which cannot be a value of an axis\nhint: write a value that does not begin with `!` or `@` and has no `*`, `?` or control characters",
        );
    }

    #[test]
    fn a_file_that_cannot_be_read_says_where() {
        refused(
            "{\n  \"a\": [1,]\n}",
            "m.json",
            &at("/a"),
            "`m.json` cannot be read as JSON at line 2, column 11 (no JSON value begins here)\nhint: mend the file there",
        );
        refused(
            "a = 1\nb = \n",
            "m.toml",
            &at("/a"),
            "`m.toml` cannot be read as TOML at line 2 (string values must be quoted, expected literal string)\nhint: mend the file there",
        );
        let yaml = values("a: [1\nb: 2\n", "m.yaml", &at("/a")).unwrap_err();
        assert!(yaml.message.starts_with("`m.yaml` cannot be read as YAML at line "), "{yaml}");
        refused(
            "id,name\na,b\nc\n",
            "m.csv",
            &column("id"),
            "`m.csv` cannot be read as CSV at line 3: 1 field, where the first line has 2\nhint: mend the line, or put quotes round a field that holds a comma",
        );
        refused(
            "id,name\n",
            "m.csv",
            &column("idd"),
            "`m.csv` has no column `idd`\nhint: did you mean `id`?",
        );
        refused(
            "id,name\na,b\n,c\n",
            "m.csv",
            &column("id"),
            "`m.csv` has an empty text at line 3, which cannot be a value of an axis\nhint: write a value that does not begin with `!` or `@` and has no `*`, `?` or control characters",
        );
        refused(
            "id,name\n",
            "m.csv",
            &column("id"),
            "`m.csv` has no values in column `id`\nhint: add values to the file, or name another place in it",
        );
    }
}
