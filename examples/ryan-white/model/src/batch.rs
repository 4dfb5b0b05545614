//! A batch: loads simsets and writes a plot for each combination that is asked for.
//!
//! A combination that cannot be made is an error of its own and the batch goes on; the exit code says if any was.
//! A scenario without a file is reported and skipped, and is no such error: that is how the real container behaves.

use std::fs::{self, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use serde_json::json;

use crate::faults::Fault;
use crate::figure::{Figure, Statistic};
use crate::jobs::{Job, Request};
use crate::json::pretty;
use crate::log::{Log, stamp};
use crate::outcome::Outcome;
use crate::page::{self, LIBRARY};
use crate::plotly::{self, Subject};
use crate::rows;
use crate::simset::Simset;
use crate::strata::Facet;

/// Plots of the full grid of the real pipeline, for the estimate at the end of a run.
const FULL_GRID: f64 = 64_512.0;

/// What the environment says.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The folder below the simulations.
    pub model_id: String,
    /// What starting up and making a plot cost, beside the work itself.
    pub startup: Duration,
    pub plot: Duration,
    pub memory_mb: usize,
    /// A file that gets one line for each plot that is really made.
    pub counter: Option<PathBuf>,
    /// Whether plots keep the random ids of plotly.
    pub plotly_ids: bool,
    pub faults: Vec<Fault>,
}

impl Settings {
    /// Reads variables by name. The error is one about the environment.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Settings, String> {
        let seconds = |name: &str| match variable(name) {
            None => Ok(Duration::ZERO),
            Some(text) => {
                let seconds =
                    text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
                seconds
                    .ok_or_else(|| format!("`{name}` is `{text}`, and must be a number of seconds"))
            }
        };
        let memory = variable("RW_MEMORY_MB").unwrap_or_else(|| "0".to_owned());
        Ok(Settings {
            model_id: variable("MODEL_ID").unwrap_or_else(|| "ryan-white".to_owned()),
            startup: seconds("RW_STARTUP_SECONDS")?,
            plot: seconds("RW_PLOT_SECONDS")?,
            memory_mb: memory
                .parse()
                .map_err(|_| format!("`RW_MEMORY_MB` is `{memory}`, and must be a number"))?,
            counter: variable("RW_COUNTER").map(PathBuf::from),
            plotly_ids: variable("RW_PLOTLY_IDS").as_deref() == Some("1"),
            faults: Fault::parse(&variable("RW_FAULT").unwrap_or_default())?,
        })
    }

    /// Does what starting up costs: the memory is returned, to be held until the end.
    pub fn start_up(&self) -> Vec<u8> {
        std::thread::sleep(self.startup);
        let mut memory = vec![0; self.memory_mb << 20];
        memory.iter_mut().step_by(4096).for_each(|page| *page = 1);
        std::hint::black_box(memory)
    }
}

/// Runs a batch and returns its exit code.
pub fn run(mut request: Request, settings: &Settings, log: &mut Log) -> u8 {
    let start = Instant::now();
    log.info("Starting batch plot generation");
    log.info(&format!("Start time: {}", stamp(SystemTime::now())));
    log.info(&format!("Output mode: {}", if request.data { "data" } else { "plot" }));
    let mut jobs = match request.jobs() {
        Ok(jobs) => jobs,
        Err(error) => {
            log.error(&format!("ERROR: {error}"));
            return 1;
        }
    };
    settings.faults.iter().for_each(|fault| fault.replace(&mut request, &mut jobs));
    log.info(&format!("Loaded {} job(s)", jobs.len()));
    for flag in &request.ignored {
        log.warn(&format!("{flag} is ignored: this program does not publish"));
    }
    let total = jobs.iter().map(Job::plots).sum();
    log.info(&format!("Total plots to generate: {total}"));
    if request.dry_run {
        log.info("DRY RUN - showing what would be generated:");
        for (index, subject) in jobs.iter().flat_map(subjects).enumerate() {
            let Subject { city, scenario, outcome, statistic, facet, .. } = subject;
            log.info(&format!(
                "[{}/{total}] {city}/{scenario}: {outcome} ({statistic}, {facet})",
                index + 1
            ));
        }
        return 0;
    }
    settings.faults.iter().for_each(|fault| fault.end(0, total));
    log.info("Loading global configuration");
    let mut batch =
        Batch { request: &request, settings, total, tally: Tally::default(), first: String::new() };
    if let Err(error) = batch.work(&jobs, log) {
        log.error(&format!("ERROR: {error}"));
        return 1;
    }
    let Tally { processed, successful, errors, skipped } = batch.tally;
    let seconds = start.elapsed().as_secs_f64();
    log.info("Batch generation complete!");
    log.info(&format!("End time: {}", stamp(SystemTime::now())));
    log.info(&format!("Total duration: {seconds:.1} seconds ({:.2} minutes)", seconds / 60.0));
    log.info(&format!("Total plots processed: {processed}"));
    log.info(&format!("Successful: {successful}"));
    log.info(&format!("Errors: {errors}"));
    log.info(&format!("Skipped: {skipped}"));
    if successful > 0 {
        let each = seconds / successful as f64;
        log.info(&format!("Average time per successful plot: {each:.2} seconds"));
        log.info(&format!("Estimated time for 64K plots: {:.1} hours", FULL_GRID * each / 3600.0));
    }
    u8::from(errors > 0)
}

/// What became of the combinations so far.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    processed: usize,
    successful: usize,
    errors: usize,
    skipped: usize,
}

struct Batch<'a> {
    request: &'a Request,
    settings: &'a Settings,
    total: usize,
    tally: Tally,
    /// The text of the first plot, for the fault that repeats it.
    first: String,
}

/// What the plots of one scenario are made from.
struct Loaded<'a> {
    scenario: &'a Simset,
    baseline: Option<&'a Simset>,
}

impl Batch<'_> {
    /// Does all jobs. An error here ends the batch.
    fn work(&mut self, jobs: &[Job], log: &mut Log) -> Result<(), String> {
        // One city's baseline is kept: jobs of a city usually follow each other.
        let mut baselines: Option<(&str, Option<Simset>)> = None;
        for (index, job) in jobs.iter().enumerate() {
            log.info(&format!("Processing job {}/{}: City {}", index + 1, jobs.len(), job.city));
            log.info(&format!("Loading baseline simulation for {}", job.city));
            if baselines.as_ref().is_none_or(|(city, _)| *city != job.city) {
                let path = self.simulation(&job.city, "base");
                let baseline = if self.settings.faults.contains(&Fault::NoBaseline) {
                    None
                } else {
                    load(&path)?
                };
                baselines = Some((&job.city, baseline));
            }
            let baseline = baselines.as_ref().and_then(|(_, baseline)| baseline.as_ref());
            if baseline.is_none() {
                let path = self.simulation(&job.city, "base");
                log.warn(&format!("Baseline simulation not found: {}", path.display()));
            }
            for scenario in &job.scenarios {
                log.info(&format!("Loading scenario simulation: {}/{scenario}", job.city));
                let path = self.simulation(&job.city, scenario);
                let forgotten =
                    self.settings.faults.contains(&Fault::ForgetScenario(scenario.clone()));
                let Some(simset) = (if forgotten { None } else { load(&path)? }) else {
                    log.error(&format!("ERROR: Simulation file not found: {}", path.display()));
                    continue;
                };
                log.info("Successfully loaded scenario simulation");
                let loaded = Loaded { scenario: &simset, baseline };
                let one = Job { scenarios: vec![scenario.clone()], ..job.clone() };
                for subject in subjects(&one) {
                    self.plot(Subject { label: simset.label.clone(), ..subject }, &loaded, log);
                }
            }
        }
        Ok(())
    }

    fn simulation(&self, city: &str, scenario: &str) -> PathBuf {
        let root = self.request.simulations.clone().unwrap_or_else(|| "simulations".into());
        let root = root.join(&self.settings.model_id);
        match scenario {
            "base" => root.join("base").join(format!("{city}_base.Rdata")),
            _ => root.join("prerun").join(city).join(format!("{scenario}.Rdata")),
        }
    }

    fn output_dir(&self) -> &Path {
        self.request.output_dir.as_deref().unwrap_or(Path::new("plots"))
    }

    /// One combination, from its first line in the log to its last.
    fn plot(&mut self, subject: Subject, loaded: &Loaded, log: &mut Log) {
        self.tally.processed += 1;
        let Subject { city, scenario, outcome, statistic, facet, .. } = &subject;
        let stem = format!("{outcome}_{statistic}_{}", Facet::parse(facet).part());
        let path = self.output_dir().join(city).join(scenario).join(format!("{stem}.json"));
        let name = format!("{city}/{scenario}/{outcome} ({statistic}, {facet})");
        let position = format!("[{}/{}]", self.tally.processed, self.total);
        if self.request.skip_existing && path.exists() {
            self.tally.skipped += 1;
            return log.info(&format!("{position} SKIP: {name} - already exists"));
        }
        log.info(&format!("{position} GENERATING: {name}"));
        let made = self.make(&subject, loaded, &path);
        match made {
            Ok(()) => {
                self.tally.successful += 1;
                log.info(&format!("SUCCESS: Generated {stem}.json"));
                self.settings
                    .faults
                    .iter()
                    .for_each(|fault| fault.end(self.tally.successful, self.total));
            }
            Err(error) => {
                self.tally.errors += 1;
                log.error(&format!("ERROR: {error}"));
            }
        }
    }

    /// Makes the files of a plot.
    fn make(&mut self, subject: &Subject, loaded: &Loaded, path: &Path) -> Result<(), String> {
        let number = self.tally.successful + 1;
        let faults = &self.settings.faults;
        let outcome = Outcome::parse(&subject.outcome)
            .ok_or_else(|| format!("`{}` is no outcome of this model", subject.outcome))?;
        let statistic = Statistic::parse(&subject.statistic)
            .ok_or_else(|| format!("`{}` is no statistic", subject.statistic))?;
        let dimensions = outcome.dimensions(&Facet::parse(&subject.facet))?;
        std::thread::sleep(self.settings.plot);
        let alone = subject.scenario == "base" || loaded.baseline.is_none();
        let simsets: Vec<&Simset> = match loaded.baseline {
            Some(baseline) if !alone => vec![baseline, loaded.scenario],
            _ => vec![loaded.scenario],
        };
        let mut figure = Figure::new(outcome, statistic, dimensions, &simsets);
        let mut named = subject.clone();
        for fault in faults {
            fault.distort(&mut figure, number, self.total, chance());
            fault.rename(&mut named, number);
        }

        let now = stamp(SystemTime::now());
        let has_baseline = loaded.baseline.is_some();
        let document = match self.request.data {
            true => rows::document(&figure, &named, has_baseline, &now),
            false => plotly::document(&figure, &named),
        };
        let mut text = match self.settings.plotly_ids && !self.request.data {
            true => pretty(&plotly::with_random_ids(&document, chance())),
            false => pretty(&document),
        };
        if number == 1 {
            self.first = text.clone();
        }
        faults.iter().for_each(|fault| fault.spoil(&mut text, number, &self.first));

        let folder = path.parent().unwrap_or(Path::new("."));
        let at = |path: &Path| {
            let path = path.display().to_string();
            move |error: std::io::Error| format!("cannot write `{path}`: {error}")
        };
        fs::create_dir_all(folder).map_err(at(folder))?;
        let mut replaced = false;
        for fault in faults {
            replaced |= fault.trespass(path, number, self.output_dir()).map_err(at(path))?;
        }
        if !replaced {
            fs::write(path, text).map_err(at(path))?;
        }
        if !self.request.data {
            let html = path.with_extension("html");
            if self.request.include_html {
                write_page(&html, &page::page(&document, outcome.display_name(), chance()))
                    .map_err(at(&html))?;
            }
            let metadata = json!({
                "city": [named.city],
                "scenario": [named.scenario],
                "outcome": [named.outcome],
                "statistic_type": [named.statistic],
                "facet_choice": [named.facet],
                "file_path": [html.display().to_string()],
                "json_path": [path.display().to_string()],
                "has_baseline": [has_baseline],
                "generation_time": [now],
            });
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            let beside = path.with_file_name(format!("{stem}_metadata.json"));
            fs::write(&beside, pretty(&metadata)).map_err(at(&beside))?;
        }
        match &self.settings.counter {
            Some(counter) => count(counter, subject).map_err(at(counter)),
            None => Ok(()),
        }
    }
}

/// The combinations of a job, in the order in which they are made.
fn subjects(job: &Job) -> impl Iterator<Item = Subject> {
    job.scenarios.iter().flat_map(move |scenario| {
        job.outcomes.iter().flat_map(move |outcome| {
            job.statistics.iter().flat_map(move |statistic| {
                job.facets.iter().map(move |facet| Subject {
                    city: job.city.clone(),
                    scenario: scenario.clone(),
                    outcome: outcome.clone(),
                    statistic: statistic.clone(),
                    facet: facet.choice(),
                    label: String::new(),
                })
            })
        })
    })
}

/// Reads a simset; none if there is no such file.
fn load(path: &Path) -> Result<Option<Simset>, String> {
    match fs::read(path) {
        Ok(bytes) => match Simset::from_bytes(&bytes) {
            Ok(simset) => Ok(Some(simset)),
            Err(error) => Err(format!("Failed to load simulation: {}: {error}", path.display())),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("Failed to load simulation: {}: {error}", path.display())),
    }
}

fn write_page(path: &Path, text: &str) -> std::io::Result<()> {
    for (name, script) in LIBRARY {
        let script_path = path.with_file_name("lib").join(name);
        // Most pages find it written by the page before.
        if fs::read(&script_path).ok().as_deref() != Some(script.as_bytes()) {
            fs::create_dir_all(script_path.parent().unwrap_or(path))?;
            fs::write(script_path, script)?;
        }
    }
    fs::write(path, text)
}

/// Adds a line by one write, so that runs side by side do not mix theirs.
fn count(counter: &Path, subject: &Subject) -> std::io::Result<()> {
    let Subject { city, scenario, outcome, statistic, facet, .. } = subject;
    let mut file = OpenOptions::new().append(true).create(true).open(counter)?;
    file.write_all(format!("{city}/{scenario}/{outcome}/{statistic}/{facet}\n").as_bytes())
}

/// A number that differs from call to call and from run to run.
fn chance() -> u64 {
    RandomState::new().hash_one(0)
}
