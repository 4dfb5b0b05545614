//! Draws a figure as Plotly JSON: `data` and `layout`, and nothing that differs from run to run.
//!
//! Each panel is a pair of axes in a grid. A summary is three traces: `lower` (invisible), `upper` (filled down to
//! it) and the line; `meta` says which of these a trace is, `name` and `legendgroup` its simset, `text` its panel.

use serde_json::{Map, Value, json};

use crate::figure::{Curve, Figure, Panel, Statistic};
use crate::json::number;

/// More lines than this of one simset would hide each other: then every second, third, ... simulation is drawn.
const MOST_LINES: usize = 240;
/// Pixels: a whole plot of one panel, and a row of several.
const HEIGHT: usize = 450;
const ROW_HEIGHT: usize = 230;
/// With more columns the labels of panels would run into each other.
const MOST_COLUMNS: usize = 6;

/// What a plot is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    pub city: String,
    pub scenario: String,
    pub outcome: String,
    pub statistic: String,
    /// `none` or names joined by `+`.
    pub facet: String,
    /// The city's name.
    pub label: String,
}

/// The whole document.
pub fn document(figure: &Figure, subject: &Subject) -> Value {
    let mut data = Vec::new();
    let mut seen = Vec::new();
    for (index, panel) in figure.panels.iter().enumerate() {
        let suffix = if index == 0 { String::new() } else { (index + 1).to_string() };
        traces(figure, panel, &suffix, &mut seen, &mut data);
    }
    // Not by `json!`, which would copy all traces.
    Value::from_iter([("data", Value::Array(data)), ("layout", layout(figure, subject))])
}

/// What `plotly` keeps besides: the same attributes under an id that is new in every run.
pub fn with_random_ids(document: &Value, id: u64) -> Value {
    let id = format!("{:012x}", id & 0xffff_ffff_ffff);
    let mut whole = Map::new();
    whole.insert("visdat".to_owned(), json!({ &id: ["function () ", "plotlyVisDat"] }));
    whole.insert("cur_data".to_owned(), json!(id));
    whole.insert(
        "attrs".to_owned(),
        json!({ &id: { "x": {}, "y": {}, "type": "scatter", "mode": "lines" } }),
    );
    whole.extend(
        document
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.clone(), value.clone())),
    );
    Value::Object(whole)
}

fn traces(
    figure: &Figure,
    panel: &Panel,
    suffix: &str,
    seen: &mut Vec<String>,
    data: &mut Vec<Value>,
) {
    let text = panel.values.join(" / ");
    let mut trace = |name: &str, part: &str, years: &[i32], values: &[f64], look: Value| {
        // The legend has one entry for each simset, and that is its first visible line.
        let in_legend =
            !["lower", "upper"].contains(&part) && !seen.iter().any(|other| other == name);
        if in_legend {
            seen.push(name.to_owned());
        }
        let mut trace = Map::new();
        trace.insert("type".to_owned(), json!("scatter"));
        trace.insert("x".to_owned(), json!(years));
        trace.insert("y".to_owned(), values.iter().map(|value| number(*value)).collect());
        trace.insert("name".to_owned(), json!(name));
        trace.insert("legendgroup".to_owned(), json!(name));
        trace.insert("showlegend".to_owned(), json!(in_legend));
        trace.insert("meta".to_owned(), json!(part));
        trace.insert("text".to_owned(), json!(text));
        trace.extend(
            look.as_object()
                .into_iter()
                .flatten()
                .map(|(name, value)| (name.clone(), value.clone())),
        );
        trace.insert("xaxis".to_owned(), json!(format!("x{suffix}")));
        trace.insert("yaxis".to_owned(), json!(format!("y{suffix}")));
        data.push(Value::Object(trace));
    };
    let lines = figure.panels.len()
        * panel.curves.iter().filter_map(|curve| curve.simulation).max().unwrap_or(1);
    let every = lines.div_ceil(MOST_LINES);
    let drawn = |curve: &&Curve| {
        curve.simulation.is_none_or(|simulation| (simulation - 1).is_multiple_of(every))
    };
    for curve in panel.curves.iter().filter(drawn) {
        let color = color(curve.simset);
        if let Some(interval) = &curve.interval {
            let edge = json!({ "mode": "lines", "line": { "width": 0 }, "hoverinfo": "skip" });
            trace(curve.simset, "lower", &curve.years, &interval.lower, edge);
            let fill = json!({
                "mode": "lines",
                "line": { "width": 0 },
                "fill": "tonexty",
                "fillcolor": format!("rgba({color}, 0.2)"),
                "hoverinfo": "skip",
            });
            trace(curve.simset, "upper", &curve.years, &interval.upper, fill);
        }
        let (part, width) = match figure.statistic {
            Statistic::Mean => ("mean", 2.0),
            Statistic::Median => ("median", 2.0),
            Statistic::Individual => ("simulation", 0.8),
        };
        let line = json!({ "mode": "lines", "line": { "color": format!("rgb({color})"), "width": number(width) } });
        trace(curve.simset, part, &curve.years, &curve.values, line);
    }
    if !panel.observed.is_empty() {
        let (years, values): (Vec<i32>, Vec<f64>) = panel.observed.iter().copied().unzip();
        let points =
            json!({ "mode": "markers", "marker": { "color": "rgb(40, 40, 40)", "size": 5 } });
        trace("Observed", "observed", &years, &values, points);
    }
}

fn color(simset: &str) -> &'static str {
    match simset {
        "Baseline" => "31, 119, 180",
        "Cessation" => "214, 39, 40",
        "Brief Interruption" => "44, 160, 44",
        _ => "255, 127, 14",
    }
}

fn layout(figure: &Figure, subject: &Subject) -> Value {
    let count = figure.panels.len();
    let columns =
        (1..MOST_COLUMNS).find(|columns| columns * columns >= count).unwrap_or(MOST_COLUMNS);
    let rows = count.div_ceil(columns);
    let height = if count == 1 { HEIGHT } else { 140 + rows * ROW_HEIGHT };
    // Room between panels, as shares of the whole: for tick labels, and for titles in a plot of this height.
    let label_lines = if figure.dimensions.len() > 2 { figure.dimensions.len() } else { 1 };
    let (gap_x, gap_y) =
        (0.25 / columns as f64, (43.0 + 12.0 * label_lines as f64) / height as f64);
    let width = (1.0 - gap_x * (columns - 1) as f64) / columns as f64;
    let tall = (1.0 - gap_y * (rows - 1) as f64) / rows as f64;
    let mut layout = Map::new();
    layout.insert(
        "title".to_owned(),
        json!({ "text": title(figure, subject), "x": 0.02, "xanchor": "left" }),
    );
    let mut annotations = Vec::new();
    for (index, panel) in figure.panels.iter().enumerate() {
        let suffix = if index == 0 { String::new() } else { (index + 1).to_string() };
        let (row, column) = (index / columns, index % columns);
        let left = column as f64 * (width + gap_x);
        let top = 1.0 - row as f64 * (tall + gap_y);
        let last_of_column = index + columns >= count;
        let mut x = json!({
            "domain": [number(left), number((left + width).min(1.0))],
            "anchor": format!("y{suffix}"),
            "range": [2009.5, 2035.5],
            "tickformat": "d",
            "zeroline": false,
        });
        if last_of_column {
            x["title"] = json!({ "text": "Year" });
        }
        let mut y = json!({
            "domain": [number((top - tall).max(0.0)), number(top)],
            "anchor": format!("x{suffix}"),
            "rangemode": "tozero",
            "tickformat": if figure.outcome.is_proportion() { ".0%" } else { ",.3~r" },
            "zeroline": false,
        });
        // One title a row, and none where the rows are many: they would overlap.
        if column == 0 && (rows == 1 || row == rows / 2) {
            y["title"] = json!({ "text": figure.outcome.axis_title() });
        }
        layout.insert(format!("xaxis{suffix}"), x);
        layout.insert(format!("yaxis{suffix}"), y);
        if !panel.values.is_empty() {
            annotations.push(json!({
                "text": panel.values.join(if label_lines > 1 { "<br>" } else { " / " }),
                "x": number(left + width / 2.0),
                "y": number(top),
                "xref": "paper",
                "yref": "paper",
                "xanchor": "center",
                "yanchor": "bottom",
                "showarrow": false,
                "font": { "size": if columns > 4 { 10 } else { 12 } },
            }));
        }
    }
    layout.insert("annotations".to_owned(), Value::Array(annotations));
    layout.insert("hovermode".to_owned(), json!("closest"));
    layout.insert("showlegend".to_owned(), json!(true));
    layout.insert("height".to_owned(), json!(height));
    layout.insert(
        "margin".to_owned(),
        json!({ "t": if label_lines > 1 { 130 } else { 80 }, "r": 20, "b": 60, "l": 80 }),
    );
    layout.insert("plot_bgcolor".to_owned(), json!("rgb(247, 247, 247)"));
    layout.insert(
        "meta".to_owned(),
        json!({
            "city": subject.city,
            "scenario": subject.scenario,
            "outcome": subject.outcome,
            "statistic": subject.statistic,
            "facet": subject.facet,
        }),
    );
    Value::Object(layout)
}

fn title(figure: &Figure, subject: &Subject) -> String {
    let summary = match figure.statistic {
        Statistic::Mean => "mean and 95% interval",
        Statistic::Median => "median and 95% interval",
        Statistic::Individual => "simulations",
    };
    let label = subject.label.replace('&', "&amp;").replace('<', "&lt;");
    format!("{} in {label} ({}): {summary}", figure.outcome.display_name(), subject.city)
}
