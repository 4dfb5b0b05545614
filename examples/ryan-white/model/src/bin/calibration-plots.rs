//! Plots published results of the JHEEM model: its calibration, and its projections by age, race and sex.
//!
//! `calibration-plots calibration|projection --data FILE --config JOBS --output-dir DIR`
//!
//! Reads nothing but these two files. Numbers are written as they stand in the data.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use rw_model::json::pretty;
use rw_model::log::Log;
use serde::Deserialize;
use serde_json::{Map, Value, json};

const AGES: [&str; 5] = ["13-24 years", "25-34 years", "35-44 years", "45-54 years", "55+ years"];
const COLORS: [&str; 5] =
    ["31, 119, 180", "255, 127, 14", "44, 160, 44", "214, 39, 40", "148, 103, 189"];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut out = io::stdout();
    let mut log = Log::new(&mut out);
    match run(&arguments, &mut log) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            log.error(&format!("ERROR: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Makes all plots that are asked for; returns how many could not be made.
fn run(arguments: &[String], log: &mut Log) -> Result<usize, String> {
    let request = Request::parse(arguments)?;
    let data: Value =
        serde_json::from_str(&read(&request.data)?).map_err(|error| told(&request.data, error))?;
    let config: Config = serde_saphyr::from_str(&read(&request.config)?)
        .map_err(|error| told(&request.config, error))?;
    let mut failed = 0;
    for subject in config.jobs.iter().flat_map(Job::subjects) {
        let Subject { location, outcome, statistic, facet } = &subject;
        log.info(&format!("GENERATING: {location}/{outcome} ({statistic}, {facet})"));
        let panels = match request.projection {
            true => projection(&data, &subject),
            false => calibration(&data, &subject),
        };
        let name = format!("{outcome}_{statistic}_{facet}.json");
        let folder = if request.projection { "projection" } else { "calibration" };
        let path = request.output_dir.join(folder).join(location).join(&name);
        match panels.and_then(|panels| write(&path, &pretty(&document(&panels, &subject)))) {
            Ok(()) => log.info(&format!("SUCCESS: Generated {name}")),
            Err(error) => {
                failed += 1;
                log.error(&format!("ERROR: {error}"));
            }
        }
    }
    Ok(failed)
}

fn told(path: &Path, error: impl std::fmt::Display) -> String {
    format!("cannot read `{}`: {error}", path.display())
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| told(path, error))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(path, text))
        .map_err(|error| format!("cannot write `{}`: {error}", path.display()))
}

// What is asked for.

struct Request {
    projection: bool,
    data: PathBuf,
    config: PathBuf,
    output_dir: PathBuf,
}

impl Request {
    fn parse(arguments: &[String]) -> Result<Request, String> {
        let (mode, rest) = arguments.split_first().ok_or("`calibration` or `projection`?")?;
        let flags: BTreeMap<&str, &String> =
            rest.chunks_exact(2).map(|pair| (pair[0].as_str(), &pair[1])).collect();
        let flag =
            |name: &str| flags.get(name).map(PathBuf::from).ok_or(format!("`{name}` is required"));
        let projection = match mode.as_str() {
            "calibration" => false,
            "projection" => true,
            _ => return Err(format!("`{mode}` is neither `calibration` nor `projection`")),
        };
        Ok(Request {
            projection,
            data: flag("--data")?,
            config: flag("--config")?,
            output_dir: flag("--output-dir")?,
        })
    }
}

#[derive(Deserialize)]
struct Config {
    jobs: Vec<Job>,
}

/// A product of values. What a run never mixes is one value, the rest are lists.
#[derive(Deserialize)]
struct Job {
    locations: Vec<String>,
    outcome: Option<String>,
    #[serde(default)]
    outcomes: Vec<String>,
    statistics: Vec<String>,
    facet: Option<String>,
    #[serde(default)]
    facets: Vec<String>,
}

struct Subject {
    location: String,
    outcome: String,
    statistic: String,
    facet: String,
}

impl Job {
    fn subjects(&self) -> impl Iterator<Item = Subject> {
        let mut subjects = Vec::new();
        for location in &self.locations {
            for outcome in self.outcome.iter().chain(&self.outcomes) {
                for statistic in &self.statistics {
                    for facet in self.facet.iter().chain(&self.facets) {
                        subjects.push(Subject {
                            location: location.clone(),
                            outcome: outcome.clone(),
                            statistic: statistic.clone(),
                            facet: facet.clone(),
                        });
                    }
                }
            }
        }
        subjects.into_iter()
    }
}

// What a plot shows.

#[derive(Default)]
struct Panel {
    title: String,
    curves: Vec<Curve>,
    observed: Vec<(Value, Value)>,
}

#[derive(Default)]
struct Curve {
    name: String,
    years: Vec<Value>,
    middle: Vec<Value>,
    lower: Vec<Value>,
    upper: Vec<Value>,
}

impl Curve {
    fn add(&mut self, year: &Value, row: &Value, middle: &str) -> Result<(), String> {
        let field = |name: &str| {
            row.get(name)
                .filter(|value| value.is_number())
                .cloned()
                .ok_or_else(|| format!("a row of {year} has no number `{name}`"))
        };
        self.years.push(year.clone());
        self.middle.push(field(middle)?);
        self.lower.push(field("lower")?);
        self.upper.push(field("upper")?);
        Ok(())
    }
}

/// `mean` or `median`.
fn middle(subject: &Subject) -> Result<&str, String> {
    let middle = subject.statistic.strip_suffix(".and.interval");
    middle
        .filter(|name| ["mean", "median"].contains(name))
        .ok_or_else(|| format!("`{}` is no statistic", subject.statistic))
}

fn list<'a>(value: &'a Value, at: &str) -> Result<&'a Vec<Value>, String> {
    value.pointer(at).and_then(Value::as_array).ok_or_else(|| format!("there is no list at `{at}`"))
}

/// A panel in all, or one for each age, each with the points observed.
fn calibration(data: &Value, subject: &Subject) -> Result<Vec<Panel>, String> {
    let (part, strata): (&str, &[&str]) = match subject.facet.as_str() {
        "none" => ("by_total", &[""]),
        "age" => ("by_age", &AGES),
        facet => return Err(format!("'{facet}' does not reference a valid dimension")),
    };
    let middle = middle(subject)?;
    let rows = |kind: &str| list(data, &format!("/{}/{kind}/{part}", subject.outcome));
    let (simulated, observed) = (rows("simulation")?, rows("observed")?);
    strata
        .iter()
        .map(|stratum| {
            let mine = |row: &&Value| {
                row["location"] == subject.location.as_str()
                    && (stratum.is_empty() || row["age"] == *stratum)
            };
            let mut panel = Panel { title: (*stratum).to_owned(), ..Panel::default() };
            let mut curve = Curve { name: "Simulated".to_owned(), ..Curve::default() };
            for row in simulated.iter().filter(mine) {
                curve.add(&row["year"], row, middle)?;
            }
            if curve.years.is_empty() {
                return Err(format!("there is nothing of `{}`", subject.location));
            }
            panel.curves.push(curve);
            let points = observed.iter().filter(mine);
            panel.observed =
                points.map(|row| (row["year"].clone(), row["value"].clone())).collect();
            Ok(panel)
        })
        .collect()
}

/// A curve for each age: in one panel, or in one for each race or sex.
fn projection(data: &Value, subject: &Subject) -> Result<Vec<Panel>, String> {
    let state = list(data, "/states")?
        .iter()
        .find(|state| state["state_code"] == subject.location.as_str());
    let state = state.ok_or_else(|| format!("there is nothing of `{}`", subject.location))?;
    let middle = middle(subject)?;
    let groups = match subject.facet.as_str() {
        "age" => std::slice::from_ref(state),
        "race" => list(state, "/races")?.as_slice(),
        "sex" => list(state, "/sex_categories")?.as_slice(),
        facet => return Err(format!("'{facet}' does not reference a valid dimension")),
    };
    groups
        .iter()
        .map(|group| {
            let title = group.get("race_label").or(group.get("sex_label"));
            let title = title.and_then(Value::as_str).unwrap_or_default().to_owned();
            let curves = AGES.iter().map(|age| {
                let mut curve = Curve { name: (*age).to_owned(), ..Curve::default() };
                for row in list(group, "/data")? {
                    curve.add(&row["year"], &row["age_cohorts"][age], middle)?;
                }
                Ok(curve)
            });
            Ok(Panel {
                title,
                curves: curves.collect::<Result<_, String>>()?,
                observed: Vec::new(),
            })
        })
        .collect()
}

// How it is drawn: each panel has axes of its own; `meta` says what a trace is of its curve.

fn document(panels: &[Panel], subject: &Subject) -> Value {
    let mut data = Vec::new();
    let mut annotations = Vec::new();
    for (index, panel) in panels.iter().enumerate() {
        let suffix = if index == 0 { String::new() } else { (index + 1).to_string() };
        let mut trace = |name: &str, part: &str, x: &[Value], y: &[Value], look: Value| {
            let mut trace = Map::new();
            trace.insert("type".to_owned(), json!("scatter"));
            trace.insert("x".to_owned(), json!(x));
            trace.insert("y".to_owned(), json!(y));
            trace.insert("name".to_owned(), json!(name));
            trace.insert("legendgroup".to_owned(), json!(name));
            let edge = ["lower", "upper"].contains(&part);
            trace.insert("showlegend".to_owned(), json!(index == 0 && !edge));
            trace.insert("meta".to_owned(), json!(part));
            trace.insert("text".to_owned(), json!(panel.title));
            trace.insert("xaxis".to_owned(), json!(format!("x{suffix}")));
            trace.insert("yaxis".to_owned(), json!(format!("y{suffix}")));
            trace.extend(look.as_object().cloned().unwrap_or_default());
            data.push(Value::Object(trace));
        };
        for (curve, color) in panel.curves.iter().zip(COLORS) {
            let edge = json!({ "mode": "lines", "line": { "width": 0 }, "hoverinfo": "skip" });
            trace(&curve.name, "lower", &curve.years, &curve.lower, edge);
            let fill = json!({
                "mode": "lines", "line": { "width": 0 }, "hoverinfo": "skip",
                "fill": "tonexty", "fillcolor": format!("rgba({color}, 0.2)"),
            });
            trace(&curve.name, "upper", &curve.years, &curve.upper, fill);
            let line = json!({ "mode": "lines", "line": { "color": format!("rgb({color})"), "width": 2 } });
            trace(&curve.name, "middle", &curve.years, &curve.middle, line);
        }
        if !panel.observed.is_empty() {
            let (years, values): (Vec<Value>, Vec<Value>) = panel.observed.iter().cloned().unzip();
            let points =
                json!({ "mode": "markers", "marker": { "color": "rgb(40, 40, 40)", "size": 5 } });
            trace("Observed", "observed", &years, &values, points);
        }
        annotations.push(json!({
            "text": panel.title, "showarrow": false, "x": 0.5, "y": 1.0, "xanchor": "center", "yanchor": "bottom",
            "xref": format!("x{suffix} domain"), "yref": format!("y{suffix} domain"),
        }));
    }
    let Subject { location, outcome, statistic, facet } = subject;
    let by = if facet == "none" { String::new() } else { format!(", by {facet}") };
    let columns = panels.len().min(3);
    json!({
        "data": data,
        "layout": {
            "title": { "text": format!("{location}: {outcome}{by}") },
            "grid": { "rows": panels.len().div_ceil(columns.max(1)), "columns": columns, "pattern": "independent" },
            "annotations": annotations,
            "meta": { "location": location, "outcome": outcome, "statistic": statistic, "facet": facet },
        },
    })
}
