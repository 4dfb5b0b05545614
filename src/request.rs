//! What a run is asked for: its arguments and its batch file, for a whole batch or for one target alone.
//!
//! The same text is made for the run and for the fingerprint, which asks for a batch of one.
//! Paths are those that the run sees, so no folder of this machine is ever in them.

use crate::graph::{From, Graph, Read, Slot, Target, Text};

/// A product of values: for each position of the rule's space, the value indices that are named.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Product {
    pub values: Vec<Vec<usize>>,
}

impl Product {
    /// The product that holds one cell.
    pub fn of_cell(coordinates: &[usize]) -> Product {
        Product { values: coordinates.iter().map(|&v| vec![v]).collect() }
    }

    pub fn cells(&self) -> usize {
        self.values.iter().map(Vec::len).product()
    }
}

/// What one run is asked for.
#[derive(Clone, Debug)]
pub struct Ask<'a> {
    /// A target of the batch: what all share (`by`) is taken from it.
    pub first: Target,
    /// The groups of outputs that are asked for, as bits.
    pub groups: u32,
    pub products: &'a [Product],
    /// For each read that is a join, the paths that the run sees, absent members left out.
    pub joined: &'a [Vec<String>],
}

/// The path that the run of this rule sees for a cell of what is read.
pub fn read_inside(graph: &Graph, target: Target, read: &Read, cell: usize) -> String {
    let path = match read.from {
        From::Input(input) => graph.input_path(input, cell),
        From::Output { rule, output } => graph.output_path(Target { rule, cell }, output),
    };
    graph.runner_of(target.rule).inside(&path).unwrap_or(path)
}

/// The name of the batch file, as the run sees it.
pub fn batch_file(graph: &Graph, target: Target) -> Option<String> {
    let folder = graph.runner_of(target.rule).batch_dir.as_ref()?;
    Some(format!("{}/jobs.yaml", folder.trim_end_matches('/')))
}

/// The name of the file that lists a join, as the run sees it.
pub fn join_file(graph: &Graph, target: Target, read: usize) -> Option<String> {
    let folder = graph.runner_of(target.rule).batch_dir.as_ref()?;
    Some(format!("{}/join-{read}.txt", folder.trim_end_matches('/')))
}

/// The arguments of a run.
pub fn arguments(graph: &Graph, ask: &Ask<'_>) -> Vec<String> {
    let rule = graph.rule(ask.first.rule);
    let mut arguments = Vec::with_capacity(rule.command.len());
    for text in &rule.command {
        argument(graph, ask, text, &mut arguments);
    }
    for (index, group) in rule.groups.iter().enumerate() {
        if ask.groups & (1 << index) != 0 {
            for text in &group.arguments {
                argument(graph, ask, text, &mut arguments);
            }
        }
    }
    arguments
}

fn argument(graph: &Graph, ask: &Ask<'_>, text: &Text, into: &mut Vec<String>) {
    if let [Slot::Join(read)] = text.slots.as_slice() {
        into.extend(ask.joined[*read].iter().cloned());
        return;
    }
    let target = ask.first;
    let rule = graph.rule(target.rule);
    let mut argument = String::new();
    for slot in &text.slots {
        match slot {
            Slot::BatchFile => {
                argument.push_str(&batch_file(graph, target).unwrap_or_default());
            }
            Slot::JoinFile(read) => {
                argument.push_str(&join_file(graph, target, *read).unwrap_or_default());
            }
            Slot::List(position) => {
                let mut named: Vec<usize> =
                    ask.products.iter().flat_map(|p| p.values[*position].iter().copied()).collect();
                named.sort_unstable();
                named.dedup();
                let values = &graph.axes[rule.space.axes[*position]].values;
                let named: Vec<&str> = named.iter().map(|&v| values[v].as_str()).collect();
                argument.push_str(&named.join(","));
            }
            Slot::Read(at) => {
                let read = &rule.reads[*at];
                if let Some(&cell) = read.cells(&rule.space, target.cell).first() {
                    argument.push_str(&read_inside(graph, target, read, cell));
                }
            }
            Slot::Output(output) => {
                let path = graph.output_path(target, *output);
                let inside = graph.runner_of(target.rule).inside(&path).unwrap_or(path);
                argument.push_str(&inside);
            }
            _ => graph.render_slot(slot, &rule.space, target.cell, &mut argument),
        }
    }
    into.push(argument);
}

/// The text of the jobs file: YAML, a list of products, every value quoted since YAML reads `NO` as false.
pub fn jobs_file(graph: &Graph, ask: &Ask<'_>) -> Option<String> {
    let rule = graph.rule(ask.first.rule);
    let batch = rule.batch.as_ref().filter(|b| b.file)?;
    let mut text = String::with_capacity(256);
    text.push_str("jobs:\n");
    for product in ask.products {
        for (position, values) in product.values.iter().enumerate() {
            let axis = &graph.axes[rule.space.axes[position]];
            text.push_str(if position == 0 { "  - " } else { "    " });
            text.push_str(&batch.fields[position]);
            text.push_str(": ");
            let alone = batch.by.contains(&position) && values.len() == 1;
            if !alone {
                text.push('[');
            }
            for (index, &value) in values.iter().enumerate() {
                if index > 0 {
                    text.push_str(", ");
                }
                quote(&axis.values[value], &mut text);
            }
            text.push_str(if alone { "\n" } else { "]\n" });
        }
    }
    Some(text)
}

/// A text in double quotes, as YAML and JSON both read it.
fn quote(text: &str, into: &mut String) {
    if text.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\') {
        into.push('"');
        into.push_str(text);
        into.push('"');
    } else {
        into.push_str(&serde_json::Value::from(text).to_string());
    }
}
