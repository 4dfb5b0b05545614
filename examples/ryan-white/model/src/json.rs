//! JSON as the `jsonlite` package of R writes it: pretty, with at most four decimals, vectors on one line.

use serde_json::Value;

/// A number; one that is not finite becomes the text that R would write.
pub fn number(value: f64) -> Value {
    match serde_json::Number::from_f64(value) {
        Some(number) => Value::Number(number),
        None if value.is_nan() => Value::from("NaN"),
        None => Value::from(if value > 0.0 { "Inf" } else { "-Inf" }),
    }
}

/// The text of a document, which ends in a newline.
pub fn pretty(value: &Value) -> String {
    let mut text = String::new();
    write(value, 0, &mut text);
    text.push('\n');
    text
}

fn write(value: &Value, depth: usize, text: &mut String) {
    let line = |depth: usize, text: &mut String| {
        text.push('\n');
        text.extend(std::iter::repeat_n("  ", depth));
    };
    match value {
        Value::Array(items) if items.iter().all(|item| !item.is_object() && !item.is_array()) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                text.push_str(if index == 0 { "" } else { ", " });
                write(item, depth, text);
            }
            text.push(']');
        }
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                text.push_str(if index == 0 { "" } else { "," });
                line(depth + 1, text);
                write(item, depth + 1, text);
            }
            line(depth, text);
            text.push(']');
        }
        Value::Object(members) if members.is_empty() => text.push_str("{}"),
        Value::Object(members) => {
            text.push('{');
            for (index, (name, member)) in members.iter().enumerate() {
                text.push_str(if index == 0 { "" } else { "," });
                line(depth + 1, text);
                text.push_str(&Value::from(name.as_str()).to_string());
                text.push_str(": ");
                write(member, depth + 1, text);
            }
            line(depth, text);
            text.push('}');
        }
        Value::Number(number) if number.is_f64() => {
            text.push_str(&decimals(number.as_f64().unwrap_or(0.0)))
        }
        scalar => text.push_str(&scalar.to_string()),
    }
}

fn decimals(value: f64) -> String {
    let text = format!("{value:.4}");
    match text.trim_end_matches('0').trim_end_matches('.') {
        "-0" => "0".to_owned(),
        trimmed => trimmed.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn documents_look_as_jsonlite_writes_them() {
        let document = json!({
            "x": [2010, 0.5, -0.00001, 100.0, 0.123456, "a\"b"],
            "rows": [{ "year": 2010 }, {}],
            "none": [],
            "bad": [number(f64::NAN), number(f64::INFINITY)],
            "flag": true,
        });
        let expected = r#"{
  "x": [2010, 0.5, 0, 100, 0.1235, "a\"b"],
  "rows": [
    {
      "year": 2010
    },
    {}
  ],
  "none": [],
  "bad": ["NaN", "Inf"],
  "flag": true
}
"#;
        assert_eq!(pretty(&document), expected);
    }
}
