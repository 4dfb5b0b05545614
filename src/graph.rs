//! What a Jheemfile means: axes with their values, rules over cells, and what reads what.
//!
//! Nodes are rules; a cell is a number, and everything about it is arithmetic on that number.
//! So a grid of a million cells costs what its rules cost, and names and paths are rendered when
//! somebody needs them. Read-only once built; knows no file, no record and no verdict.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use globset::GlobMatcher;
use petgraph::graph::DiGraph;

use crate::audit;
use crate::content::{As, Form, Pointer};
use crate::digest::Digest;
use crate::error::{Source, Span};
use crate::manifest::{ExitPolicy, Invalidate, KnownBy, RuleName, Timeout};

/// An index into `Graph::rules`, which stand in topological order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId(pub usize);

/// One cell of one rule: what is judged, made and recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    pub rule: RuleId,
    pub cell: usize,
}

/// The whole graph of one Jheemfile.
#[derive(Debug)]
pub struct Graph {
    pub source: Arc<Source>,
    pub project: String,
    pub cache_size: Option<u64>,
    pub default: Vec<String>,
    pub axes: Vec<Axis>,
    pub inputs: Vec<Input>,
    pub runners: Vec<Runner>,
    /// In topological order: a rule stands after everything that it reads.
    pub rules: Vec<Rule>,
    pub publishes: Vec<Publish>,
    pub presets: BTreeMap<String, Preset>,
    /// Who reads whom, by name; for order, cycles, queries and drawing.
    pub order: DiGraph<String, ()>,
}

/// An axis and its values.
#[derive(Debug)]
pub struct Axis {
    pub name: String,
    pub values: Vec<String>,
    pub sets: BTreeMap<String, Vec<usize>>,
    /// Label name, and its text for each value.
    pub labels: Vec<(String, Vec<String>)>,
    pub joined_by: Option<String>,
}

/// A product of axes; cells are numbered with the last axis running fastest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Space {
    /// Indices into `Graph::axes`.
    pub axes: Vec<usize>,
    pub sizes: Vec<usize>,
}

impl Space {
    /// The number of cells.
    pub fn cells(&self) -> usize {
        self.sizes.iter().product()
    }

    /// The value index of the axis at `position`, in this cell.
    pub fn coordinate(&self, cell: usize, position: usize) -> usize {
        let stride: usize = self.sizes[position + 1..].iter().product();
        cell / stride % self.sizes[position]
    }

    /// All value indices of a cell.
    pub fn coordinates(&self, cell: usize) -> Vec<usize> {
        let mut rest = cell;
        let mut coordinates = vec![0; self.sizes.len()];
        for position in (0..self.sizes.len()).rev() {
            coordinates[position] = rest % self.sizes[position];
            rest /= self.sizes[position];
        }
        coordinates
    }

    /// The cell with these value indices.
    pub fn cell(&self, coordinates: &[usize]) -> usize {
        self.sizes.iter().zip(coordinates).fold(0, |cell, (size, at)| cell * size + at)
    }

    /// Where an axis stands in this space.
    pub fn position(&self, axis: usize) -> Option<usize> {
        self.axes.iter().position(|&a| a == axis)
    }
}

/// A piece of a compiled template. Which may stand where is checked when the graph is built.
#[derive(Clone, Debug, PartialEq)]
pub enum Slot {
    Text(String),
    /// The value of the axis at this position of the owner's space.
    Value(usize),
    /// A label of that value.
    Label {
        position: usize,
        label: usize,
    },
    /// In commands: the batch file, as the run sees it.
    BatchFile,
    /// In commands: the batch's values of this axis, joined with commas.
    List(usize),
    /// In commands: the path of an input, by its index in `Rule::reads`.
    Read(usize),
    /// In commands: one argument for each file of a join.
    Join(usize),
    /// In commands: a file that lists the files of a join, one a line.
    JoinFile(usize),
    /// In commands: the path of an output, by its index.
    Output(usize),
    /// In publishes: the last part of the output's path, and the whole of it.
    File,
    Path,
    /// In rows: what describes the object.
    ObjectKey,
    ObjectSize,
    ObjectUrl,
    /// In rows and metadata: the value at a pointer of another output of the target.
    Pointed {
        output: usize,
        pointer: Pointer,
    },
    /// In uncompared fields only.
    Now,
    Preset,
}

/// A compiled template.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Text {
    pub slots: Vec<Slot>,
}

/// A declared input: a file, or a folder, for every cell of its own space.
#[derive(Debug)]
pub struct Input {
    pub name: String,
    pub space: Space,
    pub path: Text,
    /// For a folder: the globs of what is left out.
    pub folder: Option<Vec<GlobMatcher>>,
    pub source: Option<Text>,
    pub span: Span,
}

/// What a runner starts.
#[derive(Clone, Debug, PartialEq)]
pub enum Start {
    Image(String),
    Program(String),
    Built { rule: RuleId, output: usize, known_by: KnownBy },
}

/// A runner, with everything but its identity, which is a fact.
#[derive(Debug)]
pub struct Runner {
    pub name: String,
    pub start: Start,
    pub platform: Option<String>,
    /// Other names of the image, tried in this order where its own does not do.
    pub mirrors: Vec<String>,
    /// The image that the Jheemfile names, where the command line put another in its place.
    pub in_place_of: Option<String>,
    pub image_has: ImageHas,
    pub entrypoint: Option<Vec<String>>,
    /// Folder in the run's view, and project folder (`.` is the project itself).
    pub dirs: Vec<(String, String)>,
    /// Where the batch file's folder stands in the run's view.
    pub batch_dir: Option<String>,
    pub env: BTreeMap<String, String>,
    pub pass_env: Vec<String>,
    pub workdir: Option<String>,
    pub user: Option<String>,
    pub network: Option<String>,
    pub read_only: bool,
    pub drop_capabilities: Vec<String>,
    pub add_capabilities: Vec<String>,
    /// Folder in the container, and the input laid over it.
    pub overlays: Vec<(String, usize)>,
    pub memory: Option<u64>,
    pub cpus: Option<f64>,
    pub max_runs: Option<u64>,
    pub timeout: Timeout,
    pub exit: ExitPolicy,
    pub retries: u32,
    pub log: Log,
    pub span: Span,
}

/// What must be baked into an image.
#[derive(Debug, Default)]
pub struct ImageHas {
    pub labels: BTreeMap<String, Baked>,
    pub env: BTreeMap<String, Baked>,
}

/// A value that must be baked in, and where that is written.
#[derive(Debug)]
pub struct Baked {
    pub value: String,
    pub span: Span,
}

impl ImageHas {
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.env.is_empty()
    }
}

/// The patterns of a runner's log; checked to compile when the Jheemfile is read.
#[derive(Clone, Debug, Default)]
pub struct Log {
    pub target: Option<String>,
    pub success: Option<String>,
    pub failure: Option<String>,
    pub absent: Vec<String>,
    /// Names of axes.
    pub absent_depends_on: Option<Vec<String>>,
}

impl Runner {
    /// The path that the run sees for a path of the project, through the innermost folder that holds it.
    pub fn inside(&self, project_path: &str) -> Option<String> {
        inside(&self.dirs, project_path)
    }

    /// The text that is `inside` of a text for every cell, if its first words tell the folder.
    pub fn inside_text(&self, path: &Text) -> Option<Text> {
        inside_text(&self.dirs, path)
    }

    /// The names of its image, to be tried in turn; none of a program.
    pub fn image_names(&self) -> Vec<&str> {
        match &self.start {
            Start::Image(name) => {
                std::iter::once(name).chain(&self.mirrors).map(String::as_str).collect()
            }
            _ => Vec::new(),
        }
    }

    pub fn is_image(&self) -> bool {
        matches!(self.start, Start::Image(_))
    }
}

/// Names in the run's view and project folders, and a path through the innermost that holds it.
fn inside(dirs: &[(String, String)], project_path: &str) -> Option<String> {
    let mut best: Option<(&str, &str, &str)> = None;
    for (inside, folder) in dirs {
        let rest = if folder == "." {
            Some(project_path)
        } else if project_path == folder {
            Some("")
        } else {
            project_path.strip_prefix(folder.as_str()).and_then(|r| r.strip_prefix('/'))
        };
        if let Some(rest) = rest
            && best.is_none_or(|(_, known, _)| known == "." || folder.len() > known.len())
        {
            best = Some((inside, folder, rest));
        }
    }
    let (inside, _, rest) = best?;
    Some(match (inside, rest) {
        (".", rest) => rest.to_owned(),
        (inside, "") => inside.to_owned(),
        (inside, rest) => format!("{}/{rest}", inside.trim_end_matches('/')),
    })
}

fn inside_text(dirs: &[(String, String)], path: &Text) -> Option<Text> {
    let (lead, rest) = match path.slots.as_slice() {
        [Slot::Text(whole)] => {
            return Some(Text { slots: vec![Slot::Text(inside(dirs, whole)?)] });
        }
        [Slot::Text(lead), rest @ ..] => (lead.as_str(), rest),
        rest => ("", rest),
    };
    // A folder's name that goes on where the first words end may hold some cells and not others.
    if dirs.iter().any(|(_, folder)| folder != "." && folder.starts_with(lead)) {
        return None;
    }
    // Any name below the first words shows what becomes of them.
    let seen = inside(dirs, &format!("{lead}x"))?;
    let seen = seen.strip_suffix('x')?.to_owned();
    let first = (!seen.is_empty()).then_some(Slot::Text(seen));
    Some(Text { slots: first.into_iter().chain(rest.iter().cloned()).collect() })
}

/// Where a rule reads from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    Input(usize),
    Output { rule: RuleId, output: usize },
}

/// One named thing that a rule reads.
#[derive(Clone, Debug)]
pub struct Read {
    pub name: String,
    pub from: From,
    /// For each axis of what is read: its position in the reader's space, or none where it is joined over.
    pub positions: Vec<Option<usize>>,
    pub space: Space,
}

impl Read {
    pub fn is_join(&self) -> bool {
        self.positions.iter().any(Option::is_none)
    }

    /// The cells of what is read that one cell of the reader reads.
    pub fn cells(&self, reader: &Space, cell: usize) -> Vec<usize> {
        let fixed: Vec<Option<usize>> =
            self.positions.iter().map(|p| p.map(|at| reader.coordinate(cell, at))).collect();
        let mut cells = vec![0];
        for (at, fixed) in fixed.iter().enumerate() {
            let size = self.space.sizes[at];
            cells = match fixed {
                Some(value) => cells.iter().map(|c| c * size + value).collect(),
                None => cells.iter().flat_map(|c| (0..size).map(move |v| c * size + v)).collect(),
            };
        }
        cells
    }
}

/// One file that a rule makes for each of its cells.
#[derive(Debug)]
pub struct Output {
    pub name: String,
    pub path: Text,
    /// The path as the run sees it; none where only the filled-in path tells which folder it is in.
    pub inside: Option<Text>,
    pub judging: Judging,
    pub kind: As,
    pub volatile: Vec<Pointer>,
    /// Index of the group that makes it.
    pub group: usize,
    pub optional: bool,
    pub executable: bool,
    pub unique: bool,
}

/// How an output is judged, apart from what its cell fills in.
#[derive(Clone, Debug)]
pub struct Judging {
    /// Over its kind, its volatile patterns and its audit, with the texts below left out.
    pub fixed: Digest,
    /// What its audit asks for in words of the cell.
    pub texts: Vec<Text>,
}

impl Judging {
    /// The judging of one output among the audits of its rule.
    pub fn of(kind: As, volatile: &[Pointer], output: usize, audits: &[Audit]) -> Judging {
        let mut rules = Vec::new();
        let mut texts: Vec<(&Pointer, &Text)> = Vec::new();
        for audit in audits.iter().filter(|audit| audit.output == output) {
            let check = match &audit.check {
                Check::Equals { at, text } => {
                    texts.push((at, text));
                    let value = audit::Scalar::Text(String::new());
                    audit::Check::Equals { at: at.clone(), value }
                }
                Check::Fixed(check) => check.clone(),
            };
            rules.push(audit::Rule { output: String::new(), check });
        }
        // The order in which they are written means nothing.
        texts.sort_by_key(|(at, _)| *at);
        Judging {
            fixed: audit::digest_of_rules(kind, volatile, &rules),
            texts: texts.into_iter().map(|(_, text)| text.clone()).collect(),
        }
    }
}

/// The outputs that are judged together: those without a condition (group 0), or those of one option.
#[derive(Debug, Default)]
pub struct Group {
    pub option: Option<String>,
    pub arguments: Vec<Text>,
    pub outputs: Vec<usize>,
    /// The outputs by the path that the run sees, where that order is the same for every cell.
    pub order: Option<Vec<usize>>,
}

/// A check over one output, its texts still with holes.
#[derive(Clone, Debug)]
pub enum Check {
    /// A rule whose value is a template.
    Equals { at: Pointer, text: Text },
    /// A rule that is the same for every cell.
    Fixed(audit::Check),
}

#[derive(Clone, Debug)]
pub struct Audit {
    pub output: usize,
    pub check: Check,
}

/// How targets are put together into runs.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Positions of the axes whose values are never mixed.
    pub by: Vec<usize>,
    /// Whether a jobs file names the set exactly; otherwise arguments do, and may name a surplus.
    pub file: bool,
    /// The container's name for each axis of the space.
    pub fields: Vec<String>,
    pub size: Option<usize>,
}

/// A rule that makes files, for every cell of its space.
#[derive(Debug)]
pub struct Rule {
    pub name: RuleName,
    pub space: Space,
    pub runner: usize,
    pub reads: Vec<Read>,
    pub command: Vec<Text>,
    pub batch: Option<Batch>,
    pub outputs: Vec<Output>,
    /// Group 0 holds the unconditional outputs.
    pub groups: Vec<Group>,
    pub ignore: Vec<GlobMatcher>,
    pub audits: Vec<Audit>,
    /// Cells that cannot exist: all positions of one entry match.
    pub absents: Vec<Vec<(usize, Vec<bool>)>>,
    /// Axes that are joined over somewhere below.
    pub joined: Vec<usize>,
    pub span: Span,
}

impl Rule {
    /// Whether the Jheemfile declares that this cell cannot exist.
    pub fn declared_absent(&self, cell: usize) -> bool {
        self.absents.iter().any(|entry| {
            entry.iter().all(|(position, mask)| mask[self.space.coordinate(cell, *position)])
        })
    }

    /// The output that stands for the target in messages: a plot rather than its companions.
    pub fn primary(&self) -> usize {
        let shows = |form: Form| {
            self.groups[0].outputs.iter().copied().find(|&o| self.outputs[o].kind.form == form)
        };
        shows(Form::Plotly)
            .or_else(|| shows(Form::Html))
            .or_else(|| self.groups[0].outputs.first().copied())
            .unwrap_or(0)
    }

    /// The group of an option.
    pub fn group_of(&self, option: &str) -> Option<usize> {
        self.groups.iter().position(|g| g.option.as_deref() == Some(option))
    }
}

/// What one publish writes.
#[derive(Debug)]
pub struct Publish {
    pub name: String,
    pub of: RuleId,
    /// Where the manifest of remote destinations is kept, if not with the objects.
    pub manifest: Option<String>,
    /// Indices into `Graph::publishes` of those that must stand before, all of them smaller than its own.
    pub after: Vec<usize>,
    /// Positions in the rule's space of the axes whose values are published whole or not at all.
    pub hold: Option<Vec<usize>>,
    /// If whole editions are published, the key of the object that names the latest.
    pub editions: Option<String>,
    /// The share of what is published that a publish must confirm, in percent.
    pub at_least: Option<u8>,
    /// Whom to tell of changed objects in buckets.
    pub invalidate: Option<Invalidate>,
    pub objects: Vec<PublishObject>,
    pub rows: Vec<PublishRow>,
    pub span: Span,
}

#[derive(Debug)]
pub struct PublishObject {
    pub output: usize,
    pub to: String,
    pub key: Text,
    pub content_type: Option<String>,
    pub content_encoding: Option<String>,
    /// Whether its bytes are packed before they are put.
    pub gzip: bool,
    /// Whether it is never replaced.
    pub once: bool,
    pub cache_control: Option<String>,
    pub metadata: BTreeMap<String, Text>,
    pub uncompared: BTreeMap<String, Text>,
    pub span: Span,
}

#[derive(Debug)]
pub struct PublishRow {
    pub output: usize,
    pub to: String,
    /// Whether rows of a remote table are written one by one.
    pub one_by_one: bool,
    /// Index into `Publish::objects` of the object of the same output.
    pub object: Option<usize>,
    pub hash: (String, Attribute),
    pub range: Option<(String, Attribute)>,
    pub item: BTreeMap<String, Attribute>,
    pub uncompared: BTreeMap<String, Attribute>,
    pub span: Span,
}

/// A typed attribute with holes.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    S(Text),
    N(Text),
    Bool(bool),
    Null,
    L(Vec<Attribute>),
    M(BTreeMap<String, Attribute>),
}

/// A named sub-grid.
#[derive(Clone, Debug)]
pub struct Preset {
    pub goals: Vec<String>,
    /// Axis index, and which of its values are in.
    pub axes: BTreeMap<usize, Vec<bool>>,
    pub with: Vec<String>,
}

impl Graph {
    pub fn rule(&self, id: RuleId) -> &Rule {
        &self.rules[id.0]
    }

    pub fn runner_of(&self, id: RuleId) -> &Runner {
        &self.runners[self.rules[id.0].runner]
    }

    pub fn rule_ids(&self) -> impl DoubleEndedIterator<Item = RuleId> + use<> {
        (0..self.rules.len()).map(RuleId)
    }

    pub fn rule_named(&self, name: &str) -> Option<RuleId> {
        self.rules.iter().position(|r| r.name.to_string() == name).map(RuleId)
    }

    pub fn axis_named(&self, name: &str) -> Option<usize> {
        self.axes.iter().position(|a| a.name == name)
    }

    /// The value of the axis at a position of a space, in a cell.
    pub fn value(&self, space: &Space, cell: usize, position: usize) -> &str {
        &self.axes[space.axes[position]].values[space.coordinate(cell, position)]
    }

    /// The values of a cell, in the order of its space.
    pub fn values(&self, space: &Space, cell: usize) -> Vec<&str> {
        let coordinates = space.coordinates(cell);
        space.axes.iter().zip(coordinates).map(|(&a, v)| self.axes[a].values[v].as_str()).collect()
    }

    /// Fills in a text that holds only values and labels, appending to `into`.
    pub fn render_into(&self, text: &Text, space: &Space, cell: usize, into: &mut String) {
        for slot in &text.slots {
            self.render_slot(slot, space, cell, into);
        }
    }

    /// Fills in one slot of such a text.
    pub fn render_slot(&self, slot: &Slot, space: &Space, cell: usize, into: &mut String) {
        match slot {
            Slot::Text(text) => into.push_str(text),
            Slot::Value(position) => into.push_str(self.value(space, cell, *position)),
            Slot::Label { position, label } => {
                let axis = &self.axes[space.axes[*position]];
                into.push_str(&axis.labels[*label].1[space.coordinate(cell, *position)]);
            }
            // The other slots are refused in such texts when the graph is built.
            _ => {}
        }
    }

    /// Fills in a text that holds only values and labels.
    pub fn render(&self, text: &Text, space: &Space, cell: usize) -> String {
        let mut rendered = String::with_capacity(64);
        self.render_into(text, space, cell, &mut rendered);
        rendered
    }

    /// The project path of an output of a target.
    pub fn output_path(&self, target: Target, output: usize) -> String {
        let rule = self.rule(target.rule);
        self.render(&rule.outputs[output].path, &rule.space, target.cell)
    }

    /// The project path of an input in a cell of its own space.
    pub fn input_path(&self, input: usize, cell: usize) -> String {
        let input = &self.inputs[input];
        self.render(&input.path, &input.space, cell)
    }

    /// Where an input comes from in a cell of its own space, if it comes from afar.
    pub fn input_source(&self, input: usize, cell: usize) -> Option<String> {
        let input = &self.inputs[input];
        input.source.as_ref().map(|source| self.render(source, &input.space, cell))
    }

    /// How messages name a target: `plot.rw[city=C.12580, scenario=cessation]`.
    pub fn label(&self, target: Target) -> String {
        let rule = self.rule(target.rule);
        let mut label = rule.name.to_string();
        let values = self.values(&rule.space, target.cell);
        for (index, (axis, value)) in rule.space.axes.iter().zip(values).enumerate() {
            let before = if index == 0 { "[" } else { ", " };
            write!(label, "{before}{}={value}", self.axes[*axis].name).expect("strings take all");
        }
        if !rule.space.axes.is_empty() {
            label.push(']');
        }
        label
    }

    /// The path of an output as the run sees it.
    pub fn output_inside(&self, target: Target, output: usize) -> String {
        let rule = self.rule(target.rule);
        match &rule.outputs[output].inside {
            Some(text) => self.render(text, &rule.space, target.cell),
            None => {
                let path = self.output_path(target, output);
                self.runners[rule.runner].inside(&path).unwrap_or(path)
            }
        }
    }

    /// The outputs of a group in the order of the paths that the run sees, which is the order of records.
    ///
    /// Names of outputs are no part of a fingerprint, so records cannot be in their order.
    pub fn order(&self, target: Target, group: usize) -> Cow<'_, [usize]> {
        let group = &self.rule(target.rule).groups[group];
        match &group.order {
            Some(order) => Cow::Borrowed(order),
            None => {
                let mut order = group.outputs.clone();
                order.sort_by_cached_key(|&output| self.output_inside(target, output));
                Cow::Owned(order)
            }
        }
    }

    /// The outputs of a group in their order, with the paths that the run sees.
    pub fn outputs_in_order(&self, target: Target, group: usize) -> Vec<(usize, String)> {
        let order = self.order(target, group);
        order.iter().map(|&output| (output, self.output_inside(target, output))).collect()
    }
}

/// The order of a group's outputs by the path that the run sees, if no cell can change it.
pub fn order_of(group: &[usize], outputs: &[Output]) -> Option<Vec<usize>> {
    let mut order = group.to_vec();
    let mut settled = true;
    order.sort_by(|&a, &b| {
        let (a, b) = (&outputs[a].inside, &outputs[b].inside);
        let found = a.as_ref().zip(b.as_ref()).and_then(|(a, b)| order_of_texts(a, b));
        settled &= found.is_some();
        found.unwrap_or(Ordering::Equal)
    });
    settled.then_some(order)
}

/// Which of two texts comes first in every cell; none if that depends on the cell.
fn order_of_texts(a: &Text, b: &Text) -> Option<Ordering> {
    let same = a.slots.iter().zip(&b.slots).take_while(|(a, b)| a == b).count();
    match (a.slots.get(same), b.slots.get(same)) {
        (None, None) => Some(Ordering::Equal),
        (Some(Slot::Text(a)), Some(Slot::Text(b))) => {
            let at = a.bytes().zip(b.bytes()).position(|(a, b)| a != b)?;
            Some(a.as_bytes()[at].cmp(&b.as_bytes()[at]))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space(sizes: &[usize]) -> Space {
        Space { axes: (0..sizes.len()).collect(), sizes: sizes.to_vec() }
    }

    #[test]
    fn a_cell_is_a_number_with_the_last_axis_running_fastest() {
        let space = space(&[31, 3, 14, 3, 16]);
        assert_eq!(space.cells(), 62_496);
        for cell in [0, 1, 15, 16, 62_495, 31_337] {
            let coordinates = space.coordinates(cell);
            assert_eq!(space.cell(&coordinates), cell);
            for (position, &at) in coordinates.iter().enumerate() {
                assert_eq!(space.coordinate(cell, position), at);
            }
        }
        assert_eq!(space.coordinates(17), [0, 0, 0, 1, 1]);
    }

    fn text(slots: &[Slot]) -> Text {
        Text { slots: slots.to_vec() }
    }

    fn words(words: &str) -> Slot {
        Slot::Text(words.into())
    }

    #[test]
    fn the_order_of_two_paths_is_settled_where_their_words_first_differ() {
        let value = || Slot::Value(0);
        let plot = text(&[words("plots/"), value(), words(".json")]);
        let metadata = text(&[words("plots/"), value(), words("_metadata.json")]);
        assert_eq!(order_of_texts(&plot, &metadata), Some(Ordering::Less));
        assert_eq!(order_of_texts(&metadata, &plot), Some(Ordering::Greater));
        let by_value = text(&[words("plots/"), Slot::Value(1), words(".json")]);
        assert_eq!(order_of_texts(&plot, &by_value), None);
        let longer = text(&[words("plots/x"), value()]);
        assert_eq!(order_of_texts(&plot, &longer), None);
    }

    #[test]
    fn a_text_is_seen_inside_as_its_every_cell_is() {
        let dirs = [("/app/plots", "plots"), ("/app/old", "plots/old"), ("/app", ".")];
        let dirs = dirs.map(|(inside, folder)| (inside.to_owned(), folder.to_owned()));
        let cases = [
            (vec![words("plots/new/"), Slot::Value(0)], Some("/app/plots/new/")),
            (vec![words("plots/old/"), Slot::Value(0)], Some("/app/old/")),
            // The value may be `old/x` or `older`.
            (vec![words("plots/"), Slot::Value(0)], None),
            (vec![words("pl"), Slot::Value(0)], None),
            (vec![Slot::Value(0), words("/x")], None),
            (vec![words("site/"), Slot::Value(0)], Some("/app/site/")),
        ];
        for (slots, expected) in cases {
            let inside = inside_text(&dirs, &text(&slots));
            let first = inside.map(|t| t.slots[0].clone());
            assert_eq!(first, expected.map(words), "{slots:?}");
        }
    }

    #[test]
    fn a_join_reads_every_cell_of_the_axes_that_the_reader_lacks() {
        let reader = space(&[2]);
        let read = Read {
            name: "all".into(),
            from: From::Input(0),
            positions: vec![Some(0), None],
            space: space(&[2, 3]),
        };
        assert!(read.is_join());
        assert_eq!(read.cells(&reader, 1), [3, 4, 5]);
    }
}
