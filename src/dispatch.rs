//! From the command line to an exit code: which command answers, and how errors end.

use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::{BuildArgs, Cli, Command};
use crate::commands;
use crate::error::Error;
use crate::report::Report;

/// Parses the command line and runs the command; the exit code says how it went.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut report = Report::new(&cli.global);
    let outcome = run(cli, &mut report);
    let code = match outcome {
        Ok(code) => code,
        Err(errors) => {
            let code = errors.first().map_or(101, |e| e.kind.exit_code());
            report.errors(&errors);
            code
        }
    };
    report.close();
    ExitCode::from(code)
}

fn run(cli: Cli, report: &mut Report) -> Result<u8, Vec<Error>> {
    let global = &cli.global;
    match cli.command.unwrap_or(Command::Build(BuildArgs::default())) {
        Command::Build(args) => commands::build(global, &args, report),
        Command::Publish(args) => commands::publish(global, &args, report),
        Command::Plan { select, write_batches, each } => {
            commands::plan(global, &select, write_batches.as_deref(), each, report)
        }
        Command::Why { select } => commands::why(global, &select, report),
        Command::List { select, count, paths } => {
            commands::list(global, &select, count, paths, report)
        }
        Command::Graph => commands::graph(global, report),
        Command::Verify { select } => commands::verify(global, &select, report),
        Command::Update => commands::update(global, report),
        Command::Accept { select } => commands::accept(global, &select, report),
        Command::Log { run } => commands::log(global, run.as_deref(), report),
        Command::Check { select, sample, seed } => {
            commands::check(global, &select, sample, seed, report)
        }
        Command::Cache { what } => commands::cache(global, &what, report),
        Command::Init { folder } => commands::init(&folder, report),
        Command::Schema => commands::schema(report),
        Command::Completions { shell } => commands::completions(shell, report),
        Command::Man => commands::man(report),
    }
}
