//! A data file as a tree, JSON, TOML or YAML alike, with its numbers as they were written.
//!
//! A number becomes the name of something, so `1.10` is not `1.1`, and twenty digits stay twenty
//! digits. What readers disagree on, such as a key that stands twice, is refused.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize as _;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value as Shape;
use toml::de::{DeTable, DeValue};

use crate::content::json::{self, View};
use crate::content::{As, Document, Unreadable};
use crate::error::{Error, Result};
use crate::grammar::short;

/// A value of a data file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    /// As written.
    Number(String),
    Text(String),
    List(Vec<Value>),
    Table(BTreeMap<String, Value>),
}

impl Value {
    /// What stands there, with its article.
    pub(super) fn what(&self) -> String {
        match self {
            Value::Null => "`null`".to_owned(),
            Value::Bool(value) => format!("`{value}`"),
            Value::Number(number) => format!("the number {}", short(number)),
            Value::Text(text) => format!("the text `{}`", short(text)),
            Value::List(_) => "a list".to_owned(),
            Value::Table(_) => "a table".to_owned(),
        }
    }
}

/// Reads JSON, TOML or YAML by the end of the file's name.
pub(super) fn parse(text: &str, file_name: &str) -> Result<Value> {
    let unreadable = |form: &str, place: String, what: String| {
        Error::user(format!("`{file_name}` cannot be read as {form}{place}"))
            .because(what)
            .hint("mend the file there")
    };
    let text = text.trim_start_matches('\u{feff}');
    match file_name.rsplit('.').next() {
        Some("json") => from_json(text).map_err(|Unreadable { message, spot, .. }| {
            let place = spot.map_or(String::new(), |spot| {
                format!(" at line {}, column {}", spot.line, spot.column)
            });
            unreadable("JSON", place, message)
        }),
        Some("toml") => {
            let table = DeTable::parse(text).map_err(|error| {
                let line = error
                    .span()
                    .and_then(|span| Some(text.get(..span.start)?.matches('\n').count() + 1));
                let place = line.map_or(String::new(), |line| format!(" at line {line}"));
                unreadable("TOML", place, error.message().to_owned())
            })?;
            Ok(toml_table(table.get_ref()))
        }
        Some("yaml" | "yml") => from_yaml(text).map_err(|error| {
            let place =
                error.location().map_or(String::new(), |at| format!(" at line {}", at.line()));
            let whole = error.to_string();
            unreadable("YAML", place, whole.lines().next().unwrap_or_default().to_owned())
        }),
        _ => Err(Error::user(format!("`{file_name}` is not a file that values can be read from"))
            .hint("name a file that ends with `.json`, `.toml`, `.yaml`, `.yml` or `.csv`")),
    }
}

fn from_json(text: &str) -> Result<Value, Unreadable> {
    let document = Document::parse(text.as_bytes(), As::JSON)?;
    Ok(document.values().first().map_or(Value::Null, |json| json_value(json.root())))
}

fn json_value(value: json::Value<'_>) -> Value {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match value.view() {
        View::Null => Value::Null,
        View::Bool(value) => Value::Bool(value),
        View::Number(number) => Value::Number(text(number)),
        View::Text(bytes) => Value::Text(text(bytes)),
        View::List(items) => Value::List(items.map(json_value).collect()),
        View::Object(members) => Value::Table(
            members.map(|(name, member)| (text(name.bytes()), json_value(member))).collect(),
        ),
    }
}

fn toml_table(table: &DeTable<'_>) -> Value {
    let entry = |(key, value): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| {
        let key: &std::borrow::Cow<'_, str> = key.get_ref();
        (key.to_string(), toml_value(value.get_ref()))
    };
    Value::Table(table.iter().map(entry).collect())
}

/// TOML has dates, which become their text.
fn toml_value(value: &DeValue<'_>) -> Value {
    let unsigned = |text: &str| text.strip_prefix('+').unwrap_or(text).to_owned();
    match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        // A number in another base has no digits that a person would look for.
        DeValue::Integer(number) => Value::Number(
            i64::from_str_radix(number.as_str(), number.radix())
                .map_or_else(|_| unsigned(number.as_str()), |number| number.to_string()),
        ),
        DeValue::Float(number) => Value::Number(unsigned(number.as_str())),
        DeValue::Boolean(value) => Value::Bool(*value),
        DeValue::Datetime(time) => Value::Text(time.to_string()),
        DeValue::Array(items) => {
            Value::List(items.iter().map(|item| toml_value(item.get_ref())).collect())
        }
        DeValue::Table(table) => toml_table(table),
    }
}

/// Reads YAML twice: first for its shape, then for how its numbers are written, which a reader of
/// YAML tells only of what it takes for a text.
fn from_yaml(text: &str) -> Result<Value, serde_saphyr::Error> {
    let shape: Shape = serde_saphyr::from_str(text)?;
    serde_saphyr::with_deserializer_from_str(text, |yaml| Spelled(&shape).deserialize(yaml))
}

/// A value of known shape, to be read with its numbers as texts.
#[derive(Clone, Copy)]
struct Spelled<'s>(&'s Shape);

impl<'de> DeserializeSeed<'de> for Spelled<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, yaml: D) -> Result<Value, D::Error> {
        let known = match self.0 {
            Shape::Number(_) => return String::deserialize(yaml).map(Value::Number),
            Shape::Array(_) => return yaml.deserialize_seq(self),
            Shape::Object(_) => return yaml.deserialize_map(self),
            Shape::Null => Value::Null,
            Shape::Bool(value) => Value::Bool(*value),
            Shape::String(text) => Value::Text(text.clone()),
        };
        yaml.deserialize_ignored_any(IgnoredAny)?;
        Ok(known)
    }
}

impl<'de> Visitor<'de> for Spelled<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("what was there a moment ago")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        for shape in self.0.as_array().into_iter().flatten() {
            let item = items.next_element_seed(Spelled(shape))?;
            list.push(item.ok_or_else(|| de::Error::invalid_length(list.len(), &self))?);
        }
        // A list is left only at its end.
        match items.next_element::<IgnoredAny>()? {
            None => Ok(Value::List(list)),
            Some(_) => Err(de::Error::invalid_length(list.len() + 1, &self)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut table = BTreeMap::new();
        while let Some(key) = members.next_key::<String>()? {
            let shape = self.0.get(&key).unwrap_or(&Shape::Null);
            table.insert(key, members.next_value_seed(Spelled(shape))?);
        }
        Ok(Value::Table(table))
    }
}
