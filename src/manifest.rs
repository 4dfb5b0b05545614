//! What a Jheemfile says, as it was written: every value with its place.
//!
//! Knows nothing of files, cells or meaning: names are not looked up here.
//! `read` builds it from text; `graph` gives it meaning.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Source, Span};
use crate::template::Template;

/// A value and where it stands in the Jheemfile.
#[derive(Clone, Debug, PartialEq)]
pub struct At<T> {
    pub value: T,
    pub span: Span,
}

impl<T> std::ops::Deref for At<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// Patterns over the values of an axis: values, globs, `!pattern` and `@set`.
pub type Patterns = At<Vec<At<String>>>;

/// Patterns by axis, in the order of the axes' names; the place is that of the axis's name.
pub type ByAxis = Vec<(At<String>, Patterns)>;

/// A whole Jheemfile, with the profile asked for already laid over it.
#[derive(Clone, Debug)]
pub struct Manifest {
    pub source: Arc<Source>,
    pub project: Project,
    pub axes: BTreeMap<String, Axis>,
    pub presets: BTreeMap<String, Preset>,
    pub inputs: BTreeMap<String, Input>,
    pub runners: BTreeMap<String, Runner>,
    pub rules: BTreeMap<RuleName, Rule>,
    pub publishes: BTreeMap<String, Publish>,
    /// What could not be read, or not in whole; empty in a Jheemfile without mistakes.
    pub broken: Broken,
}

/// Names such as `runner.model`, of which something is missing here that the Jheemfile may hold,
/// so that nobody calls it unknown.
#[derive(Clone, Debug, Default)]
pub struct Broken(BTreeSet<String>);

impl Broken {
    /// Adds a name, or a whole table such as `runner`.
    pub fn add(&mut self, name: impl Into<String>) {
        self.0.insert(name.into());
    }

    pub fn has(&self, name: &str) -> bool {
        let table = || name.split_once('.').is_some_and(|(table, _)| self.0.contains(table));
        self.0.contains(name) || table()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether anything of a table such as `runner` is broken.
    pub fn has_any(&self, table: &str) -> bool {
        let of_table = |name: &String| name.split('.').next() == Some(table);
        self.0.iter().any(of_table)
    }
}

/// `[project]`
#[derive(Clone, Debug)]
pub struct Project {
    /// Owns what is published.
    pub name: At<String>,
    /// The goals of `jheem` alone; none means every rule and publish.
    pub default: Vec<At<String>>,
    /// What `jheem cache gc` keeps the cache within, in bytes.
    pub cache_size: Option<At<u64>>,
}

/// Where a list of values comes from.
#[derive(Clone, Debug)]
pub enum Values {
    Listed(Vec<At<String>>),
    /// `from = { file, at }` for JSON, TOML and YAML, `from = { file, column }` for CSV.
    File {
        file: At<String>,
        pick: Pick,
        span: Span,
    },
}

/// Which part of a file holds the values.
#[derive(Clone, Debug)]
pub enum Pick {
    /// A JSON pointer to a list of texts or numbers; a step `*` takes every item.
    Pointer(At<String>),
    /// The name of a CSV column; values in order of first appearance.
    Column(At<String>),
}

/// `[axis.NAME]`
#[derive(Clone, Debug)]
pub struct Axis {
    pub name: At<String>,
    pub values: Values,
    /// `[axis.NAME.set.SET]`: a named part of the values, `@SET` wherever values are listed.
    pub sets: BTreeMap<String, At<Values>>,
    /// `[axis.NAME.label.LABEL]`: pattern to text, `{NAME.LABEL}` in templates.
    pub labels: BTreeMap<String, Vec<Label>>,
    /// `joined_by`: values are parts joined by this text, whose order means nothing: `a+b` is `b+a`.
    pub joined_by: Option<At<String>>,
}

/// One line of a label table: an exact value wins, then the longest pattern.
#[derive(Clone, Debug)]
pub struct Label {
    pub pattern: At<String>,
    /// May use `{NAME}`, the value itself.
    pub text: At<Template>,
}

/// `[preset.NAME]`
#[derive(Clone, Debug)]
pub struct Preset {
    pub name: At<String>,
    /// Goals; none means the default ones.
    pub goals: Vec<At<String>>,
    /// Values, patterns and `@sets` by axis; an axis that is not named keeps all its values.
    pub axes: ByAxis,
    /// Options (see `When`) that are asked for.
    pub with: Vec<At<String>>,
}

/// `[input.NAME]`
#[derive(Clone, Debug)]
pub struct Input {
    pub name: At<String>,
    pub place: InputPlace,
    /// Where it is had if it is not there: a URL with the same holes. Used by `jheem update` and `build`.
    pub source: Option<At<Template>>,
}

#[derive(Clone, Debug)]
pub enum InputPlace {
    /// `path`: one file for every combination of the holes.
    File(At<Template>),
    /// `folder`, with `exclude`: all files below it, but for those whose path matches a glob.
    Folder { folder: At<Template>, exclude: Vec<At<String>> },
}

/// What a runner starts.
#[derive(Clone, Debug)]
pub enum Start {
    /// `image`: a name in the Docker sense.
    Image(At<String>),
    /// `program`: a name on the PATH, or a path from the project's folder if it has a slash.
    Program(At<String>),
    /// `built_by`: an output of a step, such as `step.model.binary`.
    Built { output: At<Reference>, known_by: KnownBy },
}

/// What stands for a built program in fingerprints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KnownBy {
    /// The digest of the executable.
    Content,
    /// The fingerprint of the step that builds it, so that machines agree.
    Sources,
}

/// `[runner.NAME]`
#[derive(Clone, Debug)]
pub struct Runner {
    pub name: At<String>,
    pub start: Start,
    pub platform: Option<At<String>>,
    /// Other names of the image, to be tried in this order where its own does not do.
    pub mirrors: Vec<At<String>>,
    pub image_has: ImageHas,
    pub entrypoint: Option<Vec<At<String>>>,
    /// Folder in the run's view, and the project folder that stands there (`{batch}`: the folder of the batch file).
    pub dirs: Vec<(At<String>, At<String>)>,
    /// Declared environment; in the fingerprint.
    pub env: BTreeMap<String, At<Template>>,
    /// Names of variables handed through from jheem's own environment; not in the fingerprint.
    pub pass_env: Vec<At<String>>,
    pub workdir: Option<At<String>>,
    pub user: Option<At<String>>,
    pub network: Option<At<String>>,
    pub read_only: bool,
    pub drop_capabilities: Vec<At<String>>,
    pub add_capabilities: Vec<At<String>>,
    /// Folder in the container, and the input (a folder) laid over it read-only.
    pub overlays: Vec<(At<String>, At<Reference>)>,
    pub memory: Option<At<u64>>,
    pub cpus: Option<At<f64>>,
    /// At most this many runs at once.
    pub max_runs: Option<At<u64>>,
    pub timeout: Timeout,
    pub exit: ExitPolicy,
    /// How often targets of a lost run (crash, time limit, memory) are tried again, in smaller batches.
    pub retries: u32,
    pub log: LogPolicy,
}

/// `image_has = { labels, env }`: what must be baked into the image.
#[derive(Clone, Debug, Default)]
pub struct ImageHas {
    pub labels: BTreeMap<String, At<Template>>,
    pub env: BTreeMap<String, At<Template>>,
}

/// `timeout = { total, quiet, grace }`
#[derive(Clone, Debug)]
pub struct Timeout {
    pub total: Option<Duration>,
    pub quiet: Option<Duration>,
    /// Between asking to stop and killing; 10 s unless given.
    pub grace: Duration,
}

/// `exit = { ok, partial }`: which codes mean that all or some of the outputs were made.
#[derive(Clone, Debug)]
pub struct ExitPolicy {
    pub ok: Vec<i64>,
    pub partial: Vec<i64>,
}

/// `[runner.NAME.log]`: regular expressions over the lines of a run.
#[derive(Clone, Debug, Default)]
pub struct LogPolicy {
    /// A line that begins a target; named groups are axes, by their own or their field name.
    pub target: Option<At<String>>,
    /// A line that ends it well.
    pub success: Option<At<String>>,
    /// A line that ends it badly.
    pub failure: Option<At<String>>,
    /// A line that says the target cannot exist.
    pub absent: Vec<At<String>>,
    /// What a learned absence depends on: these axes and the image, not the other axes and their inputs.
    pub absent_depends_on: Option<Vec<At<String>>>,
}

/// The two kinds of rule that make files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RuleKind {
    Step,
    Plot,
}

/// `step.NAME` or `plot.NAME`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleName {
    pub kind: RuleKind,
    pub name: String,
}

impl fmt::Display for RuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            RuleKind::Step => "step",
            RuleKind::Plot => "plot",
        };
        write!(f, "{kind}.{}", self.name)
    }
}

/// What a rule reads: `input.NAME`, or `step.NAME.OUTPUT`, `plot.NAME.OUTPUT`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reference {
    Input(String),
    Output { rule: RuleName, output: String },
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reference::Input(name) => write!(f, "input.{name}"),
            Reference::Output { rule, output } => write!(f, "{rule}.{output}"),
        }
    }
}

/// `[step.NAME]` or `[plot.NAME]`
#[derive(Clone, Debug)]
pub struct Rule {
    pub name: At<RuleName>,
    pub over: Vec<At<String>>,
    pub runner: At<String>,
    /// One file each: all axes of what is read are axes of the rule.
    pub inputs: BTreeMap<String, At<Reference>>,
    /// Many files each: joined over the axes that the rule itself does not have.
    pub joins: BTreeMap<String, At<Reference>>,
    pub command: Vec<At<Template>>,
    pub batch: Option<Batch>,
    pub outputs: BTreeMap<String, Output>,
    /// Globs of files in the output folders, by the paths that the run knows them by, that are neither wanted nor complained of.
    pub ignore: Vec<At<String>>,
    pub audits: Vec<Audit>,
    /// `[[plot.NAME.absent]]`: cells that cannot exist, by patterns over values.
    pub absents: Vec<At<ByAxis>>,
}

/// `batch = { by, file, fields, size }`
#[derive(Clone, Debug)]
pub struct Batch {
    pub by: Vec<At<String>>,
    /// The format of the batch file, if the container takes one.
    pub file: Option<At<BatchFile>>,
    /// Field names by axis, where the container calls an axis otherwise.
    pub fields: Vec<(At<String>, At<String>)>,
    /// At most this many targets a run.
    pub size: Option<At<u64>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchFile {
    /// YAML: a list `jobs` of maps, each a product: `by` axes as texts, the others as lists.
    JheemJobs,
}

/// `[plot.NAME.output.OUTPUT]`
#[derive(Clone, Debug)]
pub struct Output {
    pub name: At<String>,
    pub path: At<Template>,
    /// `as`: what its content is, such as `json`, `plotly`, `html`, `gzip`, `bytes`.
    pub kind: At<String>,
    pub volatile: Vec<At<String>>,
    pub when: Option<When>,
    /// May be missing after a run that was otherwise good.
    pub optional: bool,
    pub executable: bool,
    /// No two cells may have the same content.
    pub unique: bool,
}

/// `when = { option, arguments }`: an output that is made only on request.
#[derive(Clone, Debug)]
pub struct When {
    pub option: At<String>,
    /// Added to the command when the option is asked for.
    pub arguments: Vec<At<Template>>,
}

/// `[[plot.NAME.audit]]`: one table of checks over one output.
#[derive(Clone, Debug)]
pub struct Audit {
    pub output: At<String>,
    pub checks: Vec<At<Check>>,
    pub span: Span,
}

/// One check, its texts still with holes.
#[derive(Clone, Debug)]
pub enum Check {
    /// `equals`: pointer, and the value that must stand there.
    Equals { at: String, value: Scalar },
    /// `required`: pointer patterns that must match something.
    Required { at: String },
    /// `items = [{ at, min, max }]`
    Items { at: String, min: Option<u64>, max: Option<u64> },
    /// `finite`: pointer patterns below which all leaves are finite numbers.
    Finite { at: String },
    /// `range = [{ at, min, max }]`
    Range { at: String, min: Option<f64>, max: Option<f64> },
    /// `ordered = [{ lower, upper }]`: two lists compared item by item.
    Ordered { lower: String, upper: String },
    /// `contains = [{ at, values }]` or `[{ at, from, to, step }]`
    Contains { at: String, values: Vec<Scalar> },
    /// `ribbon`: traces that are one closed line each.
    Ribbon { at: String },
    /// `same_length`: pointer patterns to lists of one length.
    SameLength { at: Vec<String> },
    /// `size = { min, max }`, in bytes.
    Size { min: Option<u64>, max: Option<u64> },
}

/// A plain value of an audit or an item.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar {
    Text(Template),
    Number(String),
    Bool(bool),
}

/// `[publish.NAME]`
#[derive(Clone, Debug)]
pub struct Publish {
    pub name: At<String>,
    /// The rule whose outputs are published.
    pub of: At<RuleName>,
    /// Where the manifest of remote destinations is kept.
    pub manifest: Option<At<String>>,
    /// `publish.NAME`s that must stand before.
    pub after: Vec<At<String>>,
    /// Axes whose values are published whole or not at all.
    pub hold: Option<Vec<At<String>>>,
    /// The key of the index, if whole editions are published.
    pub editions: Option<At<String>>,
    /// The share of what is published that a publish must confirm, in percent.
    pub at_least: Option<At<u8>>,
    pub invalidate: Option<Invalidate>,
    /// By the name of the output.
    pub objects: BTreeMap<String, PublishObject>,
    /// By the name of the output whose object they register.
    pub rows: BTreeMap<String, PublishRow>,
}

/// `invalidate = { distribution, drop_prefix }`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalidate {
    /// The ID of a CloudFront distribution.
    pub distribution: String,
    /// What keys begin with and paths do not; may be empty.
    pub drop_prefix: String,
}

/// `[publish.NAME.object.OUTPUT]`
#[derive(Clone, Debug)]
pub struct PublishObject {
    pub output: At<String>,
    /// A destination URL: `file:FOLDER` or `s3://BUCKET/PREFIX`.
    pub to: At<String>,
    pub key: At<Template>,
    pub content_type: Option<At<String>>,
    pub content_encoding: Option<At<String>>,
    /// Whether its bytes are packed before they are put.
    pub gzip: bool,
    /// Whether it is never replaced.
    pub once: bool,
    pub cache_control: Option<At<String>>,
    pub metadata: BTreeMap<String, At<Template>>,
    /// Metadata that is written but never compared.
    pub uncompared: BTreeMap<String, At<Template>>,
}

/// `[publish.NAME.row.OUTPUT]`
#[derive(Clone, Debug)]
pub struct PublishRow {
    pub output: At<String>,
    /// A destination URL: `sqlite:FILE#TABLE` or `dynamodb://TABLE`.
    pub to: At<String>,
    /// Whether rows of a remote table are written one by one.
    pub one_by_one: bool,
    /// `hash = { NAME = "…" }`
    pub hash: (String, At<Attribute>),
    /// `range = { NAME = "…" }`
    pub range: Option<(String, At<Attribute>)>,
    pub item: BTreeMap<String, At<Attribute>>,
    /// Attributes that are written but never compared.
    pub uncompared: BTreeMap<String, At<Attribute>>,
}

/// A typed DynamoDB attribute with holes; a plain text is `S`.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    S(Template),
    N(Template),
    Bool(bool),
    Null,
    L(Vec<Attribute>),
    M(BTreeMap<String, Attribute>),
}
