//! From the command line to an exit code: which command answers, and how errors end.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::{ContextKind, ErrorKind};
use clap::{CommandFactory as _, Parser as _};

use crate::cli::{BuildArgs, Cli, Command, Select};
use crate::commands::{asking, building, doctor, housekeeping, mending, remote, trace, updating};
use crate::error::Error;
use crate::policy::Whose;
use crate::publish::Depth;
use crate::publishing::Adopting;
use crate::report::Report;

/// Parses the command line and runs the command; the exit code says how it went.
pub fn main() -> ExitCode {
    let cli = parse(std::env::args_os().collect());
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
    let code = match report.close() {
        Ok(()) => code,
        Err(error) => {
            report.complain(&error);
            if code == 0 { error.kind.exit_code() } else { code }
        }
    };
    ExitCode::from(code)
}

/// The command line; without a command it is that of `build`, whose goals and options may stand alone.
fn parse(arguments: Vec<OsString>) -> Cli {
    let error = match Cli::try_parse_from(&arguments) {
        Ok(cli) => return cli,
        Err(error) => error,
    };
    // What looks like a command with a slip is better told so.
    let slip = error.get(ContextKind::SuggestedSubcommand).is_some();
    if !slip
        && !is_of_a_command(&error)
        && matches!(error.kind(), ErrorKind::UnknownArgument | ErrorKind::InvalidSubcommand)
    {
        let mut whole = arguments;
        whole.insert(1, "build".into());
        match Cli::try_parse_from(whole) {
            Ok(cli) => return cli,
            // An option of `build` with a value that is none.
            Err(error) if error.kind() == ErrorKind::ValueValidation => error.exit(),
            Err(_) => {}
        }
    }
    error.exit()
}

/// Whether a command was understood and only what comes after it was not: its usage is then that of the command.
fn is_of_a_command(error: &clap::Error) -> bool {
    let Some(usage) = error.get(ContextKind::Usage) else { return false };
    let usage = usage.to_string();
    // `Usage: jheem COMMAND …`
    let word = usage.split_whitespace().nth(2);
    word.is_some_and(|word| Cli::command().find_subcommand(word).is_some())
}

fn run(cli: Cli, report: &mut Report) -> Result<u8, Vec<Error>> {
    let global = &cli.global;
    match cli.command.unwrap_or(Command::Build(BuildArgs::default())) {
        Command::Build(args) => building::build(global, &args, report),
        Command::Publish(args) => building::publish(global, &args, report),
        Command::Plan { select, write_batches, each, remote, images } => {
            let write_batches = write_batches.as_deref();
            let images = &images;
            let asked =
                asking::PlanAs { write_batches, each, remote, images, ..asking::PlanAs::default() };
            asking::plan(global, &select, &asked, report)
        }
        Command::Why { select } => asking::why(global, &select, report),
        Command::List { select, count, paths } => {
            asking::list(global, &select, count, paths, report)
        }
        Command::Graph => asking::graph(global, report),
        Command::Verify { select, deep, repair } => {
            let depth = if deep { Depth::Read } else { Depth::Listed };
            match repair {
                false => asking::verify(global, &select, depth, report),
                true => mending::repair(global, &select, depth, report),
            }
        }
        Command::Rollback { id, list: _, release, filters, publishes } => {
            let select = Select { goals: publishes, filters, ..Select::default() };
            match (id, release) {
                (Some(id), _) => mending::roll_back(global, &select, &id, report),
                (None, true) => mending::release(global, &select, report),
                (None, false) => mending::history(global, &select, report),
            }
        }
        Command::Adopt { select, as_built, marked } => {
            mending::adopt(global, &select, Adopting { as_built, marked }, report)
        }
        Command::Prune { select, dry_run, at_most } => {
            mending::prune(global, &select, dry_run, at_most, report)
        }
        Command::Doctor => doctor::doctor(global, report),
        Command::Policy { lifecycle: true, .. } => remote::lifecycle(global, report),
        Command::Policy { check, also, account, region, lifecycle: false } => {
            let whose = Whose { account, region };
            remote::policy(global, check.as_deref(), &also, &whose, report)
        }
        Command::Provision { dry_run } => remote::provision(global, dry_run, report),
        Command::Trace { what } => trace::trace(global, &what, report),
        Command::Update(args) => updating::update(global, &args, report),
        Command::Accept { select } => housekeeping::accept(global, &select, report),
        Command::Log { run } => housekeeping::log(global, run.as_deref(), report),
        Command::Check { select, sample, seed } => {
            housekeeping::check(global, &select, sample, seed, report)
        }
        Command::Cache { what } => housekeeping::cache(global, &what, report),
        Command::Init { folder } => housekeeping::init(&folder, report),
        Command::Schema => housekeeping::schema(report),
        Command::Completions { shell } => housekeeping::completions(shell, report),
        Command::Man => housekeeping::man(report),
    }
}
