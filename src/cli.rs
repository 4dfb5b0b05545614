//! The command line: what can be asked for, and which command answers.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::policy::Also;
use crate::selection::Request;

/// A declarative, Make-like build tool for simulation plots.
///
/// Without a command, builds the default goals of the Jheemfile.
#[derive(Debug, Parser)]
#[command(name = "jheem", version, about, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 all is well, 1 something failed, 2 a mistake in the Jheemfile or on the command line,\n3 something is missing around jheem, 4 another jheem holds the project, 5 it needs a remote end that this version does not reach."
)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Clone, Debug, Args)]
pub struct Global {
    /// The Jheemfile, or its folder [default: Jheemfile.toml here or in a folder above]
    #[arg(short, long, global = true, value_name = "PATH")]
    pub file: Option<PathBuf>,
    /// Lay a profile of the Jheemfile over it
    #[arg(long, global = true, value_name = "NAME")]
    pub profile: Option<String>,
    /// What to print: text for people, or one JSON object a line on stdout
    #[arg(long, global = true, value_name = "FORMAT", default_value = "human")]
    pub format: Format,
    /// Print nothing but errors and what was asked for
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Colours: when the output is a terminal, always, or never
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: When,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Human,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum When {
    Auto,
    Always,
    Never,
}

/// What is selected.
#[derive(Clone, Debug, Default, Args)]
pub struct Select {
    /// Rules (`plot.rw`), publishes (`publish.site`), output paths, their folders, or globs of them
    #[arg(value_name = "GOAL")]
    pub goals: Vec<String>,
    /// Narrow to values of an axis: `city=C.12580`, `facet=age*`, `outcome=!new`, `city=@test`
    #[arg(short = 'w', long = "where", value_name = "AXIS=VALUE")]
    pub filters: Vec<String>,
    /// Narrow to a preset of the Jheemfile
    #[arg(short, long = "preset", value_name = "NAME")]
    pub presets: Vec<String>,
    /// Ask for the outputs of an option, such as `html`
    #[arg(long = "with", value_name = "OPTION")]
    pub with: Vec<String>,
}

impl Select {
    /// As typed in a folder of the project.
    pub fn request(&self, folder: &str) -> Request {
        Request {
            goals: self.goals.clone(),
            filters: self.filters.clone(),
            presets: self.presets.clone(),
            with: self.with.clone(),
            folder: folder.to_owned(),
        }
    }
}

#[derive(Clone, Debug, Default, Args)]
pub struct BuildArgs {
    #[command(flatten)]
    pub select: Select,
    /// At most so many runs at once [default: the number of processors]
    #[arg(short, long, value_name = "N", value_parser = one_or_more)]
    pub jobs: Option<usize>,
    /// After a failure, go on with everything that does not need what failed
    #[arg(short, long)]
    pub keep_going: bool,
    /// Say what would be done, and do nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Fail at once if another jheem holds the project
    #[arg(long)]
    pub no_wait: bool,
    /// Refuse to go on if the lock does not say what a remote input is
    #[arg(long)]
    pub locked: bool,
    /// Take another image for a runner, for this time; `publish` refuses what it makes until the lock has it
    #[arg(long = "image", value_name = "RUNNER=IMAGE")]
    pub images: Vec<String>,
    /// Drop fetched inputs from the cache as soon as nothing needs them any more
    #[arg(long)]
    pub evict_inputs: bool,
}

/// What `update` looks at.
#[derive(Clone, Debug, Default, Args)]
pub struct UpdateArgs {
    /// Only these: inputs (`input.base`) and runners (`runner.model`)
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// Only inputs with these values of an axis: `city=C.12580`
    #[arg(short = 'w', long = "where", value_name = "AXIS=VALUE")]
    pub filters: Vec<String>,
    /// Say what would change, and leave the lock as it is
    #[arg(short = 'n', long)]
    pub dry_run: bool,
}

#[derive(Clone, Debug, Default, Args)]
pub struct PublishArgs {
    #[command(flatten)]
    pub build: BuildArgs,
    /// Publish also where less would be confirmed than `at_least` of what is published
    #[arg(long)]
    pub fewer: bool,
}

fn one_or_more(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("it must be 1 or more".to_owned()),
        Ok(number) => Ok(number),
        Err(_) => Err("it must be a whole number".to_owned()),
    }
}

/// How much of something may go.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum AtMost {
    Percent(f64),
    Keys(usize),
}

impl AtMost {
    /// Whether it allows so many of so many.
    pub fn allows(self, going: usize, holds: usize) -> bool {
        match self {
            AtMost::Keys(most) => going <= most,
            AtMost::Percent(most) => going as f64 * 100.0 <= most * holds as f64,
        }
    }
}

impl std::str::FromStr for AtMost {
    type Err = String;

    fn from_str(text: &str) -> Result<AtMost, String> {
        let wrong = || "it must be a share such as `10%`, or a whole number of keys".to_owned();
        match text.strip_suffix('%') {
            None => text.parse().map(AtMost::Keys).map_err(|_| wrong()),
            Some(share) => match share.parse::<f64>() {
                Ok(share) if (0.0..=100.0).contains(&share) => Ok(AtMost::Percent(share)),
                _ => Err(wrong()),
            },
        }
    }
}

impl std::fmt::Display for AtMost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            AtMost::Percent(share) => write!(f, "{share} %"),
            AtMost::Keys(keys) => write!(f, "{}", crate::figures::numbered(*keys, "key")),
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Bring goals up to date: remake what is stale, and publish to destinations on this machine
    Build(BuildArgs),
    /// Say what would be done and why; run nothing
    Plan {
        #[command(flatten)]
        select: Select,
        /// Write the batch file and the exact command line of every run into a folder
        #[arg(long, value_name = "DIR")]
        write_batches: Option<PathBuf>,
        /// Name every target, not only how many there are for each reason
        #[arg(long)]
        each: bool,
        /// Ask the network too: what remote destinations would get, and whether remote inputs and images are still what the lock says
        #[arg(long)]
        remote: bool,
        /// Take another image for a runner, for this time
        #[arg(long = "image", value_name = "RUNNER=IMAGE")]
        images: Vec<String>,
    },
    /// Explain a target: the very comparison that decided
    Why {
        #[command(flatten)]
        select: Select,
    },
    /// List targets, or count them
    List {
        #[command(flatten)]
        select: Select,
        /// Only numbers: cells, absent, to make
        #[arg(long)]
        count: bool,
        /// Output paths instead of targets
        #[arg(long)]
        paths: bool,
    },
    /// Print the graph of rules for Graphviz
    Graph,
    /// Bring goals up to date as `build` does, and publish them, to remote destinations too
    Publish(PublishArgs),
    /// Compare destinations with what was published there
    Verify {
        #[command(flatten)]
        select: Select,
        /// Read every byte and header, also where a listing shows nothing amiss
        #[arg(long)]
        deep: bool,
        /// Put back what was published and is missing, from the cache
        #[arg(long)]
        repair: bool,
    },
    /// Put an earlier publish back in place, and hold it there; without an ID, list those that are known
    Rollback {
        /// The publish to put back, as `--list` names it
        #[arg(value_name = "ID", conflicts_with_all = ["list", "release"])]
        id: Option<String>,
        /// List earlier publishes: when, by whom, and how much they changed
        #[arg(long, conflicts_with = "release")]
        list: bool,
        /// Let go of what is held, so that the next publish writes it again
        #[arg(long)]
        release: bool,
        /// Only these values of an axis: `city=C.12580`
        #[arg(short = 'w', long = "where", value_name = "AXIS=VALUE")]
        filters: Vec<String>,
        /// Only this publish of the Jheemfile
        #[arg(long = "of", value_name = "PUBLISH")]
        publishes: Vec<String>,
    },
    /// Take what stands at destinations already, put there by another tool, for published
    Adopt {
        #[command(flatten)]
        select: Select,
        /// Also take it for made from the inputs as they are now, so that nothing of it is built again
        #[arg(long)]
        as_built: bool,
        /// Also adopt what carries the mark of a jheem, such as when the manifest was lost
        #[arg(long)]
        marked: bool,
    },
    /// Remove from destinations what no target publishes any more
    Prune {
        #[command(flatten)]
        select: Select,
        /// Say what would be removed, and remove nothing
        #[arg(short = 'n', long)]
        dry_run: bool,
        /// Refuse to remove more of a destination than this share, or this many keys
        #[arg(long, value_name = "SHARE", default_value = "10%")]
        at_most: AtMost,
    },
    /// Try everything that the project needs around it, before any work: the daemon, room, the clock, accounts
    Doctor,
    /// Print the least policy that the project's account needs, or compare one with it
    Policy {
        /// Say what this policy lacks instead
        #[arg(long, value_name = "FILE")]
        check: Option<PathBuf>,
        /// Print the lifecycle policy of ECR that keeps the images of the lock instead
        #[arg(long, conflicts_with_all = ["check", "also", "account", "region"])]
        lifecycle: bool,
        /// What this command needs besides
        #[arg(long, value_name = "COMMAND")]
        also: Vec<Also>,
        /// The account that tables are in [default: any]
        #[arg(long, value_name = "NUMBER")]
        account: Option<String>,
        /// The region that tables are in [default: any]
        #[arg(long, value_name = "REGION")]
        region: Option<String>,
    },
    /// Create the buckets and tables of destinations that are missing
    Provision {
        /// Say what would be created, and create nothing
        #[arg(short = 'n', long)]
        dry_run: bool,
    },
    /// Go from something published back to its plot, its run and its data
    Trace {
        /// A URL, a path, a key, or the key of a row (`city=A, outcome=x`)
        what: String,
    },
    /// Look anew at remote inputs and images, and pin them in the lock
    Update(UpdateArgs),
    /// Agree that targets which were once made are absent now
    Accept {
        #[command(flatten)]
        select: Select,
    },
    /// List runs, or print the log of one
    Log {
        /// A run, or the start of its name; the latest if it is `last`
        run: Option<String>,
    },
    /// Remake some plots alone and compare them with what is recorded
    Check {
        #[command(flatten)]
        select: Select,
        /// How many plots to remake
        #[arg(long, value_name = "N", default_value_t = 3, value_parser = one_or_more)]
        sample: usize,
        /// Which plots are taken depends on this number
        #[arg(long, value_name = "N", default_value_t = 1)]
        seed: u64,
    },
    /// Look after the local cache
    Cache {
        #[command(subcommand)]
        what: CacheCommand,
    },
    /// Write a commented Jheemfile; from the names of plots, if there are any
    Init {
        /// The folder to look at and to write into
        #[arg(default_value = ".")]
        folder: PathBuf,
    },
    /// Print the JSON Schema of Jheemfiles
    Schema,
    /// Print completions for a shell
    Completions { shell: Shell },
    /// Print the manual page
    Man,
}

#[derive(Debug, Subcommand)]
pub enum CacheCommand {
    /// How much there is
    Stat,
    /// Remove what is not needed, down to a size
    Gc {
        /// Such as `20GiB` [default: `cache_size` of the Jheemfile, else only what was refused]
        #[arg(long, value_name = "SIZE")]
        size: Option<String>,
    },
}

#[cfg(test)]
mod tests;
