//! What a batch is asked to do: its flags, and the jobs in them or in a file.

use std::fs;
use std::path::PathBuf;

use serde::Deserialize;

use crate::strata::Facet;

/// A product of values: one plot for each combination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    pub city: String,
    pub scenarios: Vec<String>,
    pub outcomes: Vec<String>,
    pub statistics: Vec<String>,
    pub facets: Vec<Facet>,
}

impl Job {
    /// How many plots it asks for.
    pub fn plots(&self) -> usize {
        self.scenarios.len() * self.outcomes.len() * self.statistics.len() * self.facets.len()
    }
}

/// The flags of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    pub city: Option<String>,
    pub scenario: Option<String>,
    pub scenarios: Option<String>,
    pub outcomes: Option<String>,
    pub statistics: Option<String>,
    pub facets: Option<String>,
    pub config: Option<PathBuf>,
    pub output_dir: Option<PathBuf>,
    pub simulations: Option<PathBuf>,
    pub data: bool,
    pub skip_existing: bool,
    pub dry_run: bool,
    pub include_html: bool,
    /// Flags that are accepted and do nothing: this program publishes nothing by itself.
    pub ignored: Vec<String>,
}

impl Request {
    /// Reads the arguments after `batch`.
    pub fn parse(arguments: &[String]) -> Result<Request, String> {
        let mut request = Request::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let (flag, mut attached) = match argument.split_once('=') {
                Some((flag, value)) if flag.starts_with("--") => (flag, Some(value.to_owned())),
                _ => (argument.as_str(), None),
            };
            let mut value = || {
                attached
                    .take()
                    .or_else(|| rest.next().cloned())
                    .ok_or_else(|| format!("`{flag}` needs a value"))
            };
            match flag {
                "--city" => request.city = Some(value()?),
                "--scenario" => request.scenario = Some(value()?),
                "--scenarios" => request.scenarios = Some(value()?),
                "--outcomes" => request.outcomes = Some(value()?),
                "--statistics" => request.statistics = Some(value()?),
                "--facets" => request.facets = Some(value()?),
                "--config" => request.config = Some(value()?.into()),
                "--output-dir" => request.output_dir = Some(value()?.into()),
                "--simulations" => request.simulations = Some(value()?.into()),
                "--output-mode" => {
                    request.data = match value()?.as_str() {
                        "plot" => false,
                        "data" => true,
                        other => {
                            return Err(format!(
                                "`--output-mode` is `plot` or `data`, not `{other}`"
                            ));
                        }
                    };
                }
                "--skip-existing" => request.skip_existing = true,
                "--dry-run" => request.dry_run = true,
                "--include-html" => request.include_html = true,
                "--json-only" => {}
                "--upload-s3" | "--register-db" => request.ignored.push(flag.to_owned()),
                "--s3-bucket" | "--api-gateway-id" | "--api-base-url" => {
                    value()?;
                    request.ignored.push(flag.to_owned());
                }
                _ => return Err(format!("unrecognized argument `{argument}`")),
            }
            if attached.is_some() {
                return Err(format!("`{flag}` takes no value"));
            }
        }
        Ok(request)
    }

    /// The jobs: those of the file if there is one, else the one that the flags describe.
    pub fn jobs(&self) -> Result<Vec<Job>, String> {
        if let Some(path) = &self.config {
            let text = fs::read_to_string(path).map_err(|error| match error.kind() {
                std::io::ErrorKind::NotFound => {
                    format!("Config file not found: {}", path.display())
                }
                _ => format!("cannot read `{}`: {error}", path.display()),
            })?;
            return parse_config(&text)
                .map_err(|error| format!("cannot read `{}`: {error}", path.display()));
        }
        let city = self.city.clone().ok_or("Either --city or --config must be specified")?;
        let outcomes =
            self.outcomes.as_ref().ok_or("--outcomes must be specified when not using --config")?;
        let scenarios = match (&self.scenario, &self.scenarios) {
            (Some(scenario), _) => vec![scenario.clone()],
            (None, Some(scenarios)) => list(scenarios),
            (None, None) => {
                return Err("Either --scenario or --scenarios must be specified".to_owned());
            }
        };
        let statistics = list(self.statistics.as_deref().unwrap_or("mean.and.interval"));
        let facets = list(self.facets.as_deref().unwrap_or("sex"));
        let facets = facets.iter().map(|facet| Facet::parse(facet)).collect();
        Ok(vec![Job { city, scenarios, outcomes: list(outcomes), statistics, facets }])
    }
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

fn parse_config(text: &str) -> Result<Vec<Job>, String> {
    /// Other keys, such as `expected_plots`, are for other readers.
    #[derive(Deserialize)]
    struct Config {
        jobs: Vec<Entry>,
    }
    #[derive(Deserialize)]
    struct Entry {
        city: String,
        scenarios: Vec<String>,
        outcomes: Vec<String>,
        statistics: Vec<String>,
        facets: Vec<String>,
    }
    let config: Config = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
    let job = |entry: Entry| {
        let facets = entry.facets.iter().map(|facet| Facet::parse(facet)).collect();
        let Entry { city, scenarios, outcomes, statistics, .. } = entry;
        Job { city, scenarios, outcomes, statistics, facets }
    };
    Ok(config.jobs.into_iter().map(job).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(arguments: &str) -> Result<Request, String> {
        Request::parse(&arguments.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn flags_and_a_file_ask_for_the_same() {
        let flags = "--city C.1 --scenarios a,b --outcomes=x --statistics mean.and.interval --facets none,age+sex";
        let text = "strategy: by_city\njobs:\n- city: C.1\n  scenarios: [a, b]\n  outcomes: [x]\n  \
                    statistics:\n  - mean.and.interval\n  facets: [none, age+sex]\n  expected_plots: 4\n";
        let jobs = request(flags).unwrap().jobs().unwrap();
        assert_eq!(jobs, parse_config(text).unwrap());
        assert_eq!(jobs[0].plots(), 4);
    }

    #[test]
    fn defaults_are_those_of_the_container() {
        let job = &request("--city C.1 --scenario a --outcomes x").unwrap().jobs().unwrap()[0];
        assert_eq!(
            (job.statistics[0].as_str(), job.facets[0].choice()),
            ("mean.and.interval", "sex".to_owned())
        );
    }

    #[test]
    fn wrong_flags_are_refused() {
        let error =
            |arguments: &str| request(arguments).and_then(|request| request.jobs()).unwrap_err();
        assert_eq!(error("--outcomes x"), "Either --city or --config must be specified");
        assert_eq!(
            error("--city C.1 --outcomes x"),
            "Either --scenario or --scenarios must be specified"
        );
        assert_eq!(
            error("--city C.1 --scenario a"),
            "--outcomes must be specified when not using --config"
        );
        assert_eq!(error("--cities C.1"), "unrecognized argument `--cities`");
        assert_eq!(error("--city"), "`--city` needs a value");
        assert_eq!(error("--dry-run=1"), "`--dry-run` takes no value");
        assert_eq!(
            error("--output-mode picture"),
            "`--output-mode` is `plot` or `data`, not `picture`"
        );
        assert_eq!(error("--config missing.yaml"), "Config file not found: missing.yaml");
    }
}
