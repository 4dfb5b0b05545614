//! The grammar as a JSON Schema, so that editors complete keys and show mistakes.
//!
//! It is as strict as a schema can be: unknown keys are refused, and keys that exclude each other.
//! What it cannot say (regular expressions that compile, names that are declared) `read` says.
//! Draft 7, which the editors' TOML plug-ins understand; a `$ref` there has no siblings, so
//! descriptions stand beside an `allOf`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::grammar::{Bond, Form, Key, Names, Need, ROOT, Shape, Table};

/// The schema of a whole Jheemfile.
pub fn json_schema() -> Value {
    let mut schema = Schema { definitions: BTreeMap::new() };
    let mut root = schema.table(&ROOT, true);
    schema.definitions.insert("attribute".into(), attribute());
    schema.definitions.insert("key-attribute".into(), key_attribute());
    root.insert("$schema".into(), json!("http://json-schema.org/draft-07/schema#"));
    root.insert("title".into(), json!("Jheemfile"));
    root.insert(
        "description".into(),
        json!("What jheem makes, from what, with what, and where it goes."),
    );
    root.insert("definitions".into(), json!(schema.definitions));
    Value::Object(root)
}

struct Schema {
    definitions: BTreeMap<String, Value>,
}

impl Schema {
    /// `whole` is false for what is laid over a table: nothing in it is required.
    fn table(&mut self, table: &'static Table, whole: bool) -> Map<String, Value> {
        let properties: Map<String, Value> =
            table.keys.iter().map(|key| (key.name.to_owned(), self.key(key, whole))).collect();
        let mut schema = Map::new();
        schema.insert("type".into(), json!("object"));
        schema.insert("description".into(), json!(table.doc));
        schema.insert("properties".into(), Value::Object(properties));
        schema.insert("additionalProperties".into(), json!(false));
        let required = table.keys.iter().filter(|key| key.need == Need::Required);
        let required: Vec<&str> = required.map(|key| key.name).collect();
        if whole && !required.is_empty() {
            schema.insert("required".into(), json!(required));
        }
        let bonds: Vec<Value> =
            table.bonds.iter().filter_map(|bond| self::bond(bond, whole)).collect();
        if !bonds.is_empty() {
            schema.insert("allOf".into(), json!(bonds));
        }
        schema
    }

    fn key(&mut self, key: &'static Key, whole: bool) -> Value {
        let mut schema = match self.shape(key.shape, whole) {
            Value::Object(schema) if schema.contains_key("$ref") => {
                Map::from_iter([("allOf".to_owned(), json!([schema]))])
            }
            Value::Object(schema) => schema,
            _ => Map::new(),
        };
        schema.insert("description".into(), json!(key.doc));
        if let Need::Default(toml) = key.need
            && let Some(default) = from_toml(toml)
        {
            schema.insert("default".into(), default);
        }
        Value::Object(schema)
    }

    fn shape(&mut self, shape: Shape, whole: bool) -> Value {
        match shape {
            Shape::Text(form) => text(form),
            Shape::Word(words) => json!({ "type": "string", "enum": words }),
            Shape::Bool => json!({ "type": "boolean" }),
            Shape::Whole { min, max: i64::MAX } => json!({ "type": "integer", "minimum": min }),
            Shape::Whole { min, max } => {
                json!({ "type": "integer", "minimum": min, "maximum": max })
            }
            Shape::Number => json!({ "type": "number" }),
            Shape::Positive => json!({ "type": "number", "exclusiveMinimum": 0 }),
            Shape::Scalar | Shape::FixedScalar => {
                json!({ "type": ["string", "number", "boolean"] })
            }
            Shape::Attribute => json!({ "$ref": "#/definitions/attribute" }),
            Shape::KeyAttribute => json!({ "$ref": "#/definitions/key-attribute" }),
            Shape::List(list) => {
                let mut schema = json!({ "type": "array", "items": self.shape(list.of, whole) });
                if list.fewest > 0 {
                    schema["minItems"] = json!(list.fewest);
                }
                if list.unique {
                    schema["uniqueItems"] = json!(true);
                }
                schema
            }
            Shape::Names(names) => self.names(names, whole),
            Shape::Table(table) => self.defined(table, whole),
            Shape::Overlay(table) => self.defined(table, false),
        }
    }

    fn names(&mut self, names: &'static Names, whole: bool) -> Value {
        let of = self.shape(names.of, whole);
        let mut schema = match names.key.pattern() {
            Some(pattern) => json!({
                "type": "object",
                "patternProperties": { pattern: of },
                "additionalProperties": false,
            }),
            None => json!({ "type": "object", "additionalProperties": of }),
        };
        if whole && names.fewest > 0 {
            schema["minProperties"] = json!(names.fewest);
        }
        if names.most < usize::MAX {
            schema["maxProperties"] = json!(names.most);
        }
        schema
    }

    /// A reference to a table's definition, which is made once.
    fn defined(&mut self, table: &'static Table, whole: bool) -> Value {
        let part = if whole { "" } else { "-part" };
        let name = format!("{}{part}", table.title);
        if !self.definitions.contains_key(&name) {
            self.definitions.insert(name.clone(), Value::Null);
            let schema = self.table(table, whole);
            self.definitions.insert(name.clone(), Value::Object(schema));
        }
        json!({ "$ref": format!("#/definitions/{name}") })
    }
}

fn text(form: Form) -> Value {
    match form.pattern() {
        Some(pattern) => json!({ "type": "string", "pattern": pattern }),
        None => json!({ "type": "string" }),
    }
}

fn required(keys: &[&str]) -> Value {
    json!({ "required": keys })
}

/// What a schema can say of a bond.
fn bond(bond: &Bond, whole: bool) -> Option<Value> {
    let each = |keys: &[&str]| keys.iter().map(|key| required(&[key])).collect::<Vec<Value>>();
    match bond {
        Bond::OneOf(keys) if whole => Some(json!({ "oneOf": each(keys) })),
        Bond::OneOf(keys) => {
            let pairs = keys.iter().enumerate().flat_map(|(index, first)| {
                keys[index + 1..].iter().map(|second| required(&[first, second]))
            });
            Some(json!({ "not": { "anyOf": pairs.collect::<Vec<Value>>() } }))
        }
        Bond::AtLeastOne(keys) if whole => Some(json!({ "anyOf": each(keys) })),
        Bond::Together(keys) if whole => {
            let one = |key: &&str| ((*key).to_owned(), json!(keys));
            Some(json!({ "dependencies": keys.iter().map(one).collect::<Map<_, _>>() }))
        }
        Bond::Needs { keys, with } if whole => {
            let one = |key: &&str| ((*key).to_owned(), json!([with]));
            Some(json!({ "dependencies": keys.iter().map(one).collect::<Map<_, _>>() }))
        }
        Bond::AtLeastOne(_)
        | Bond::Together(_)
        | Bond::Needs { .. }
        | Bond::Ascending(..)
        | Bond::Distinct(_) => None,
    }
}

/// A table with exactly one key.
fn only(key: &str, value: &Value) -> Value {
    json!({
        "type": "object",
        "properties": { key: value },
        "required": [key],
        "additionalProperties": false,
    })
}

fn attribute() -> Value {
    let again = json!({ "$ref": "#/definitions/attribute" });
    json!({
        "description": "A typed DynamoDB attribute; a plain text is of type `S`.",
        "oneOf": [
            { "type": "string" },
            only("S", &json!({ "type": "string" })),
            only("N", &text(Form::NumberTemplate)),
            only("BOOL", &json!({ "type": "boolean" })),
            only("NULL", &json!({ "enum": [true] })),
            only("L", &json!({ "type": "array", "items": again })),
            only("M", &json!({ "type": "object", "additionalProperties": again })),
        ],
    })
}

fn key_attribute() -> Value {
    json!({
        "description": "An attribute of a key: a text, or a number as `{ N = \"…\" }`.",
        "oneOf": [
            { "type": "string" },
            only("S", &json!({ "type": "string" })),
            only("N", &text(Form::NumberTemplate)),
        ],
    })
}

/// The JSON of a default that is written in TOML.
fn from_toml(value: &str) -> Option<Value> {
    let table: toml::Table = toml::from_str(&format!("value = {value}")).ok()?;
    serde_json::to_value(table.get("value")?).ok()
}
