//! The order of the rules: each stands after what it reads, and a cycle is shown as its path.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use petgraph::graph::{DiGraph, NodeIndex};

use super::Expansion;
use super::names::node_name;
use crate::error::Error;
use crate::manifest::{self, RuleName};

impl Expansion<'_> {
    /// Who reads whom, and the rules in order; those of a cycle stand where they are least in the way.
    pub(super) fn order(&mut self) -> (DiGraph<String, ()>, Vec<RuleName>) {
        let manifest = self.manifest;
        let mut order = DiGraph::new();
        let mut nodes: BTreeMap<String, NodeIndex> = BTreeMap::new();
        for input in manifest.inputs.keys() {
            let name = format!("input.{input}");
            nodes.insert(name.clone(), order.add_node(name));
        }
        let mut rules = HashMap::new();
        for name in manifest.rules.keys() {
            let node = order.add_node(name.to_string());
            nodes.insert(name.to_string(), node);
            rules.insert(node, name.clone());
        }
        for (name, rule) in &manifest.rules {
            let to = nodes[&name.to_string()];
            let mut from: Vec<String> = Vec::new();
            for reference in rule.inputs.values().chain(rule.joins.values()) {
                from.push(node_name(reference));
            }
            if let Some(runner) = manifest.runners.get(&rule.runner.value) {
                if let manifest::Start::Built { output, .. } = &runner.start {
                    from.push(node_name(output));
                }
                from.extend(runner.overlays.iter().map(|(_, r)| node_name(r)));
            }
            for from in from {
                if let Some(&from) = nodes.get(&from) {
                    order.update_edge(from, to, ());
                }
            }
        }
        for (name, publish) in &manifest.publishes {
            let node = order.add_node(format!("publish.{name}"));
            if let Some(&from) = nodes.get(&publish.of.value.to_string()) {
                order.update_edge(from, node, ());
            }
        }
        let cycles: Vec<Vec<NodeIndex>> = petgraph::algo::tarjan_scc(&order)
            .into_iter()
            .filter(|c| c.len() > 1 || order.contains_edge(c[0], c[0]))
            .collect();
        for cycle in &cycles {
            let path = cycle_path(&order, cycle);
            let first = &manifest.rules[&rules[&path[0]]];
            let names: Vec<&str> = path.iter().map(|&n| order[n].as_str()).collect();
            let message = format!("rules read each other in a circle: {}", names.join(" -> "));
            let error = Error::user(message).hint("let one of them read something else");
            self.error(&first.name.span, error);
        }
        let circling: BTreeSet<NodeIndex> = cycles.into_iter().flatten().collect();
        // Ties are broken by name, so that the order of the Jheemfile means nothing.
        let mut sorted = Vec::new();
        let mut placed: BTreeSet<NodeIndex> =
            nodes.values().copied().filter(|n| !rules.contains_key(n)).collect();
        while sorted.len() < rules.len() {
            let unplaced = || {
                let with_nodes = manifest.rules.keys().map(|name| (name, nodes[&name.to_string()]));
                with_nodes.filter(|(_, node)| !placed.contains(node))
            };
            let ready = |node: NodeIndex| {
                order
                    .neighbors_directed(node, petgraph::Direction::Incoming)
                    .all(|n| placed.contains(&n))
            };
            let next = unplaced().find(|(_, node)| ready(*node));
            // What a circle reads of itself is not there yet when it is compiled.
            let next = next.or_else(|| unplaced().find(|(_, node)| circling.contains(node)));
            let Some((name, node)) = next else { break };
            placed.insert(node);
            sorted.push(name.clone());
        }
        (order, sorted)
    }
}

/// The shortest way round a cycle from its first rule by name, which stands again at the end.
fn cycle_path(order: &DiGraph<String, ()>, cycle: &[NodeIndex]) -> Vec<NodeIndex> {
    let Some(&start) = cycle.iter().min_by_key(|&&n| &order[n]) else { return Vec::new() };
    let mut came_from: HashMap<NodeIndex, NodeIndex> = HashMap::new();
    let mut waiting = VecDeque::from([start]);
    while let Some(at) = waiting.pop_front() {
        let mut next: Vec<NodeIndex> = order.neighbors(at).filter(|n| cycle.contains(n)).collect();
        next.sort_by_key(|&n| &order[n]);
        for next in next {
            if came_from.contains_key(&next) {
                continue;
            }
            came_from.insert(next, at);
            waiting.push_back(next);
        }
    }
    let mut path = vec![start];
    let mut at = start;
    // Every rule of a cycle was come to from another one, also the first.
    while let Some(&before) = came_from.get(&at) {
        path.push(before);
        at = before;
        if at == start {
            break;
        }
    }
    path.reverse();
    path
}
