//! JSON as the `jsonlite` package of R writes it: pretty, with at most four decimals, vectors on one line.

use std::fmt::Write;

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
    add(value, 0, &mut text);
    text.push('\n');
    text
}

fn add(value: &Value, depth: usize, text: &mut String) {
    let line = |depth: usize, text: &mut String| {
        text.push('\n');
        text.extend(std::iter::repeat_n("  ", depth));
    };
    match value {
        Value::Array(items) if items.iter().all(|item| !item.is_object() && !item.is_array()) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                text.push_str(if index == 0 { "" } else { ", " });
                add(item, depth, text);
            }
            text.push(']');
        }
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                text.push_str(if index == 0 { "" } else { "," });
                line(depth + 1, text);
                add(item, depth + 1, text);
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
                add(member, depth + 1, text);
            }
            line(depth, text);
            text.push('}');
        }
        Value::Number(number) if number.is_f64() => decimals(number.as_f64().unwrap_or(0.0), text),
        Value::Number(number) => text.push_str(&number.to_string()),
        scalar => text.push_str(&scalar.to_string()),
    }
}

/// Writes a number with at most four decimals and no zeros behind the last.
fn decimals(value: f64, text: &mut String) {
    let scaled = (value * 1e4).round();
    if scaled.abs() >= 1e15 {
        return text.push_str(&format!("{value:.0}"));
    }
    // Whole numbers are quicker to write than fractions, and plots hold many.
    let scaled = scaled as i64;
    let (whole, mut part, mut width) =
        (scaled.unsigned_abs() / 10_000, scaled.unsigned_abs() % 10_000, 4);
    let sign = if scaled < 0 { "-" } else { "" };
    // Writing to a text cannot fail.
    let _ = write!(text, "{sign}{whole}");
    if part > 0 {
        while part.is_multiple_of(10) {
            (part, width) = (part / 10, width - 1);
        }
        let _ = write!(text, ".{part:0width$}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn documents_look_as_jsonlite_writes_them() {
        let document = json!({
            "x": [2010, 0.5, -0.00001, 100.0, 0.123456, -12.05, 1e20, "a\"b"],
            "rows": [{ "year": 2010 }, {}],
            "none": [],
            "bad": [number(f64::NAN), number(f64::INFINITY)],
            "flag": true,
        });
        let expected = r#"{
  "x": [2010, 0.5, 0, 100, 0.1235, -12.05, 100000000000000000000, "a\"b"],
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
