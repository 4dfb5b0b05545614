//! Writes a figure as rows of data, for those who draw for themselves: `--output-mode data`.

use serde_json::{Map, Value, json};

use crate::figure::{Figure, Panel};
use crate::json::number;
use crate::plotly::Subject;

/// The whole document; a part without rows is an empty object, as R writes it.
pub fn document(figure: &Figure, subject: &Subject, has_baseline: bool, now: &str) -> Value {
    let sim: Vec<Value> = figure.panels.iter().flat_map(|panel| simulated(figure, panel)).collect();
    let obs: Vec<Value> = figure.panels.iter().flat_map(|panel| observed(figure, panel)).collect();
    let rows = |rows: Vec<Value>| if rows.is_empty() { json!({}) } else { Value::Array(rows) };
    let outcome = figure.outcome;
    let metadata = json!({
        "city": subject.city,
        "scenario": subject.scenario,
        "outcome": subject.outcome,
        "statistic": subject.statistic,
        "facet": subject.facet,
        "y_label": outcome.axis_title(),
        "plot_title": format!("{} ({})", subject.label, subject.city),
        "has_baseline": has_baseline,
        "generation_time": now,
        "outcome_metadata": {
            "display_name": outcome.display_name(),
            "units": if outcome.is_proportion() { "%" } else { "people" },
            "display_as_percent": outcome.is_proportion(),
        },
    });
    // Not by `json!`, which would copy all rows.
    Value::from_iter([("sim", rows(sim)), ("obs", rows(obs)), ("metadata", metadata)])
}

fn simulated(figure: &Figure, panel: &Panel) -> Vec<Value> {
    let mut rows = Vec::new();
    for curve in &panel.curves {
        for (at, year) in curve.years.iter().enumerate() {
            let mut row = Map::new();
            row.insert("year".to_owned(), json!(year));
            row.insert("value".to_owned(), number(curve.values[at]));
            row.insert("simset".to_owned(), json!(curve.simset));
            name_row(&mut row, figure, panel);
            if let Some(interval) = &curve.interval {
                row.insert("value.lower".to_owned(), number(interval.lower[at]));
                row.insert("value.upper".to_owned(), number(interval.upper[at]));
            }
            if let Some(simulation) = curve.simulation {
                row.insert("sim".to_owned(), json!(simulation));
            }
            rows.push(Value::Object(row));
        }
    }
    rows
}

fn observed(figure: &Figure, panel: &Panel) -> Vec<Value> {
    let row = |(year, value): &(i32, f64)| {
        let mut row = Map::new();
        row.insert("year".to_owned(), json!(year));
        row.insert("value".to_owned(), number(*value));
        row.insert("source".to_owned(), json!("Illustrative surveillance"));
        name_row(&mut row, figure, panel);
        row.insert("data_url".to_owned(), json!(""));
        Value::Object(row)
    };
    panel.observed.iter().map(row).collect()
}

fn name_row(row: &mut Map<String, Value>, figure: &Figure, panel: &Panel) {
    row.insert("outcome".to_owned(), json!(figure.outcome.id()));
    row.insert("outcome.display.name".to_owned(), json!(figure.outcome.display_name()));
    for (index, value) in panel.values.iter().enumerate() {
        row.insert(format!("facet.by{}", index + 1), json!(value));
    }
    row.insert("stratum".to_owned(), json!(""));
}
