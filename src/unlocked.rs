//! Which targets are made of inputs, or by images, that are not what the lock says; they are not published afar.
//!
//! Pure: the graph, the facts and the selection are given.

use std::collections::{BTreeMap, HashMap};

use crate::graph::{From, Graph, Start, Target};
use crate::plan::{Facts, InputFact};
use crate::selection::Selection;

/// Such targets among those that are selected, and an input of each by its path, or its image.
///
/// `replaced` are images in words, by runner.
pub fn unlocked(
    graph: &Graph,
    facts: &Facts,
    replaced: &BTreeMap<usize, String>,
    selection: &Selection,
) -> HashMap<Target, String> {
    let mut unlocked: HashMap<Target, String> = HashMap::new();
    let differs = |fact: &InputFact| matches!(fact, InputFact::Differs { .. });
    if replaced.is_empty() && !facts.inputs.values().any(differs) {
        return unlocked;
    }
    let path = |input: usize, cell: usize| {
        let fact = facts.inputs.get(&(input, cell))?;
        differs(fact).then(|| format!("`{}`", graph.input_path(input, cell)))
    };
    // Rules stand after what they read, so what is above is known already.
    for target in selection.targets() {
        let rule = graph.rule(target.rule);
        let overlaid = graph.runners[rule.runner].overlays.iter();
        let mut found = replaced.get(&rule.runner).cloned();
        found = found.or_else(|| overlaid.filter_map(|(_, input)| path(*input, 0)).next());
        if let Start::Built { rule, .. } = &graph.runners[rule.runner].start {
            let tool = Target { rule: *rule, cell: 0 };
            found = found.or_else(|| unlocked.get(&tool).cloned());
        }
        for read in &rule.reads {
            for cell in read.cells(&rule.space, target.cell) {
                found = found.or_else(|| match read.from {
                    From::Input(input) => path(input, cell),
                    From::Output { rule, .. } => unlocked.get(&Target { rule, cell }).cloned(),
                });
            }
        }
        if let Some(found) = found {
            unlocked.insert(target, found);
        }
    }
    unlocked
}
