//! The command line: `rw-model MODE ...`.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rw_model::batch::{self, Settings};
use rw_model::faults::Fault;
use rw_model::jobs::Request;
use rw_model::log::Log;
use rw_model::parameters::City;
use rw_model::scenario::Scenario;
use rw_model::simset::Simset;
use signal_hook::consts::SIGTERM;

const USAGE: &str = "\
Usage: rw-model {simulate|batch|test-workspace|version} [args...]

Modes:
  simulate        make one simulation file:
                  --city C --parameters FILE --scenario S --output FILE [--draws N] [--seed S]
  batch           make plots of simulation files:
                  --city C --scenarios A,B --outcomes A,B [--statistics A,B] [--facets A,B+C], or --config FILE
                  [--simulations DIR] [--output-dir DIR] [--output-mode plot|data] [--skip-existing]
                  [--dry-run] [--include-html]
  test-workspace  say whether all is there
  version         say what this is
";

fn main() -> ExitCode {
    let arguments: Vec<String> =
        std::env::args_os().skip(1).map(|text| text.to_string_lossy().into_owned()).collect();
    let settings = match Settings::read(|name| std::env::var(name).ok()) {
        Ok(settings) => settings,
        Err(error) => return refuse(&error, "unset the variable, or give it another value"),
    };
    if let Err(error) = heed_sigterm(&settings) {
        return refuse(
            &format!("cannot set up signals: {error}"),
            "run it where signals are allowed",
        );
    }
    let mut out = io::stdout();
    let mut log = Log::new(&mut out);
    let Some((mode, rest)) = arguments.split_first() else {
        log.banner(USAGE.trim_end());
        return ExitCode::FAILURE;
    };
    match mode.as_str() {
        "batch" => {
            let request = match Request::parse(rest) {
                Ok(request) => request,
                Err(error) => return refuse(&error, "run `rw-model` alone to see the flags"),
            };
            log.banner("Loading workspace data...");
            let _memory = settings.start_up();
            log.banner("Workspace loaded");
            ExitCode::from(batch::run(request, &settings, &mut log))
        }
        "simulate" => match simulate(rest, &settings, &mut log) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => refuse(&error, "run `rw-model` alone to see the flags"),
        },
        "test-workspace" => {
            let _memory = settings.start_up();
            log.banner("ok");
            ExitCode::SUCCESS
        }
        "version" => {
            log.banner(&format!("model: {}", settings.model_id));
            log.banner(&format!("rw-model: {}", env!("CARGO_PKG_VERSION")));
            ExitCode::SUCCESS
        }
        _ => {
            log.banner(USAGE.trim_end());
            ExitCode::FAILURE
        }
    }
}

fn refuse(error: &str, hint: &str) -> ExitCode {
    eprintln!("error: {error}\nhint: {hint}");
    ExitCode::FAILURE
}

/// Dies at once when asked to end. The first process of a container is deaf to the signal unless it listens.
fn heed_sigterm(settings: &Settings) -> io::Result<()> {
    if settings.faults.contains(&Fault::IgnoreSigterm) {
        return signal_hook::flag::register(SIGTERM, Arc::new(AtomicBool::new(false))).map(drop);
    }
    signal_hook::flag::register_conditional_shutdown(
        SIGTERM,
        128 + SIGTERM,
        Arc::new(AtomicBool::new(true)),
    )
    .map(drop)
}

fn simulate(arguments: &[String], settings: &Settings, log: &mut Log) -> Result<(), String> {
    let mut flags = BTreeMap::from([("--draws", "80".to_owned()), ("--seed", "1".to_owned())]);
    let known = ["--city", "--parameters", "--scenario", "--output", "--draws", "--seed"];
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let (flag, attached) = argument
            .split_once('=')
            .map_or((argument.as_str(), None), |(flag, value)| (flag, Some(value.to_owned())));
        let known = known.into_iter().find(|known| *known == flag);
        let known = known.ok_or_else(|| format!("unrecognized argument `{argument}`"))?;
        let value = attached
            .or_else(|| rest.next().cloned())
            .ok_or_else(|| format!("`{flag}` needs a value"))?;
        flags.insert(known, value);
    }
    let flag = |name: &str| {
        flags.get(name).map(String::as_str).ok_or_else(|| format!("`{name}` must be specified"))
    };
    let number = |name: &str| {
        let text = flag(name)?;
        text.parse::<u64>().map_err(|_| format!("`{name}` is `{text}`, and must be a whole number"))
    };
    let (code, path, output) =
        (flag("--city")?, Path::new(flag("--parameters")?), Path::new(flag("--output")?));
    let scenario = flag("--scenario")?;
    let scenario =
        Scenario::parse(scenario).ok_or_else(|| format!("unknown scenario `{scenario}`"))?;
    let draws = number("--draws")? as usize;
    if !(1..=10_000).contains(&draws) {
        return Err(format!("`--draws` is {draws}, and must be between 1 and 10000"));
    }
    let seed = number("--seed")?;
    let text = fs::read_to_string(path)
        .map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
    let city =
        City::parse(&text).map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
    if city.city != code {
        return Err(format!(
            "`{}` is about `{}`, and `{code}` was asked for",
            path.display(),
            city.city
        ));
    }
    let _memory = settings.start_up();
    log.banner(&format!("--- Simulating {code} ({}): {}", city.label, scenario.id()));
    let simset = Simset::simulate(&city, scenario, draws, seed, |done| {
        if done > 0 && done % draws.div_ceil(4) == 0 || done == draws {
            log.banner(&format!("Simulation progress: {done} of {draws}"));
        }
    });
    let write = |error: io::Error| format!("cannot write `{}`: {error}", output.display());
    if let Some(folder) = output.parent() {
        fs::create_dir_all(folder).map_err(write)?;
    }
    fs::write(output, simset.to_bytes()).map_err(write)?;
    log.banner("SIMULATION COMPLETE");
    Ok(())
}
