//! Cuts the targets of a rule into runs: pure.
//!
//! Values of `by` axes are never mixed. Within them the cost decides: a run pays its start-up
//! once, so targets go together, unless free slots finish sooner with the start-up paid twice.
//! A jobs file names any set exactly, as few products; arguments can name only a product, so a
//! surplus is allowed where it costs less than another start-up.

use std::collections::BTreeMap;

use crate::graph::{Graph, RuleId};
use crate::records::Cost;
use crate::request::Product;

/// The targets of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    pub rule: RuleId,
    /// The groups of outputs that are asked for, as bits.
    pub groups: u32,
    /// In order.
    pub cells: Vec<usize>,
    pub products: Vec<Product>,
    /// How many plots the run makes that nobody asked for.
    pub surplus: usize,
}

/// What decides how large runs are.
#[derive(Clone, Copy, Debug)]
pub struct Sizing {
    /// How many runs can go on at once.
    pub slots: usize,
    pub cost: Cost,
    /// At most so many targets in a run, beside what the rule itself says.
    pub most: usize,
}

/// What a start-up is taken to cost before anything was learned: seconds, from the real container
/// (15 to 45 s of start-up, 2 to 4 s a plot).
pub const UNKNOWN_COST: Cost = Cost { startup: 20.0, each: 2.0, runs: 0 };

/// Cuts cells, each with the groups that it lacks, into runs.
pub fn cut(graph: &Graph, rule: RuleId, cells: &[(usize, u32)], sizing: &Sizing) -> Vec<Batch> {
    let space = &graph.rule(rule).space;
    let Some(batch) = &graph.rule(rule).batch else {
        return cells
            .iter()
            .map(|&(cell, groups)| Batch {
                rule,
                groups,
                cells: vec![cell],
                products: vec![Product::of_cell(&space.coordinates(cell))],
                surplus: 0,
            })
            .collect();
    };
    let mut together: BTreeMap<(Vec<usize>, u32), Vec<usize>> = BTreeMap::new();
    for &(cell, groups) in cells {
        let fixed = batch.by.iter().map(|&p| space.coordinate(cell, p)).collect();
        together.entry((fixed, groups)).or_default().push(cell);
    }
    let most = sizing.most.min(batch.size.unwrap_or(usize::MAX)).max(1);
    let share = sizing.slots.div_ceil(together.len().max(1)).max(1);
    let mut batches = Vec::new();
    for ((_, groups), mut cells) in together {
        cells.sort_unstable();
        let worth =
            (cells.len() as f64 * sizing.cost.each / sizing.cost.startup.max(0.001)) as usize;
        let parts = share.min(worth.max(1)).max(cells.len().div_ceil(most));
        for part in cells.chunks(cells.len().div_ceil(parts)) {
            let coordinates: Vec<Vec<usize>> = part.iter().map(|&c| space.coordinates(c)).collect();
            let products = products(&coordinates);
            if batch.file {
                batches.push(Batch { rule, groups, cells: part.to_vec(), products, surplus: 0 });
                continue;
            }
            for product in merged(products, &sizing.cost) {
                let inside: Vec<usize> = part
                    .iter()
                    .zip(&coordinates)
                    .filter(|(_, at)| holds(&product, at))
                    .map(|(&cell, _)| cell)
                    .collect();
                let surplus = product.cells() - inside.len();
                batches.push(Batch {
                    rule,
                    groups,
                    cells: inside,
                    products: vec![product],
                    surplus,
                });
            }
        }
    }
    batches
}

fn holds(product: &Product, coordinates: &[usize]) -> bool {
    product.values.iter().zip(coordinates).all(|(values, at)| values.contains(at))
}

/// A set of cells as few products that hold exactly it.
pub fn products(cells: &[Vec<usize>]) -> Vec<Product> {
    let Some(first) = cells.first() else { return Vec::new() };
    let mixed: Vec<usize> =
        (0..first.len()).filter(|&p| cells.iter().any(|c| c[p] != first[p])).collect();
    let mut best: Option<Vec<Product>> = None;
    for order in orders(&mixed, cells.len()) {
        let found: Vec<Product> = split(&cells.iter().collect::<Vec<_>>(), &order)
            .into_iter()
            .map(|partial| {
                let mut values: Vec<Vec<usize>> = first.iter().map(|&v| vec![v]).collect();
                for (position, taken) in partial {
                    values[position] = taken;
                }
                Product { values }
            })
            .collect();
        if best.as_ref().is_none_or(|b| found.len() < b.len()) {
            best = Some(found);
        }
    }
    let mut best = best.unwrap_or_default();
    best.sort();
    best
}

/// The orders of axes that are tried: all of them while they are few.
fn orders(axes: &[usize], cells: usize) -> Vec<Vec<usize>> {
    if axes.len() > 4 || cells > 20_000 {
        return vec![axes.to_vec(), axes.iter().rev().copied().collect()];
    }
    let mut orders = vec![Vec::new()];
    for _ in axes {
        orders = orders
            .into_iter()
            .flat_map(|order: Vec<usize>| {
                axes.iter()
                    .filter(|a| !order.contains(a))
                    .map(|&a| order.iter().copied().chain([a]).collect())
                    .collect::<Vec<Vec<usize>>>()
            })
            .collect();
    }
    orders
}

type Partial = Vec<(usize, Vec<usize>)>;

/// Splits along the first axis, and puts those values together that need the same of the rest.
fn split(cells: &[&Vec<usize>], order: &[usize]) -> Vec<Partial> {
    let Some((&axis, rest)) = order.split_first() else { return vec![Vec::new()] };
    let mut by_value: BTreeMap<usize, Vec<&Vec<usize>>> = BTreeMap::new();
    for cell in cells {
        by_value.entry(cell[axis]).or_default().push(cell);
    }
    let mut by_rest: BTreeMap<Vec<Partial>, Vec<usize>> = BTreeMap::new();
    for (value, cells) in by_value {
        by_rest.entry(split(&cells, rest)).or_default().push(value);
    }
    by_rest
        .into_iter()
        .flat_map(|(partials, values)| {
            partials.into_iter().map(move |mut partial| {
                partial.push((axis, values.clone()));
                partial
            })
        })
        .collect()
}

/// Merges products while the surplus that this makes costs less than the start-up that it saves.
fn merged(mut products: Vec<Product>, cost: &Cost) -> Vec<Product> {
    loop {
        let mut best: Option<(f64, usize, usize, Product)> = None;
        for a in 0..products.len() {
            for b in a + 1..products.len() {
                let both = hull(&products[a], &products[b]);
                // Other products that the hull swallows cost nothing more.
                let held: usize =
                    products.iter().filter(|p| within(p, &both)).map(Product::cells).sum();
                let saved = cost.startup - (both.cells() - held) as f64 * cost.each;
                if saved > 0.0 && best.as_ref().is_none_or(|(known, ..)| saved > *known) {
                    best = Some((saved, a, b, both));
                }
            }
        }
        let Some((_, _, _, both)) = best else { return products };
        products.retain(|p| !within(p, &both));
        products.push(both);
        products.sort();
    }
}

fn hull(a: &Product, b: &Product) -> Product {
    let values = a
        .values
        .iter()
        .zip(&b.values)
        .map(|(a, b)| {
            let mut both: Vec<usize> = a.iter().chain(b).copied().collect();
            both.sort_unstable();
            both.dedup();
            both
        })
        .collect();
    Product { values }
}

fn within(inner: &Product, outer: &Product) -> bool {
    inner.values.iter().zip(&outer.values).all(|(i, o)| i.iter().all(|v| o.contains(v)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn expand(products: &[Product]) -> Vec<Vec<usize>> {
        let mut cells = Vec::new();
        for product in products {
            let mut made = vec![Vec::new()];
            for values in &product.values {
                made = made
                    .iter()
                    .flat_map(|cell: &Vec<usize>| {
                        values.iter().map(|&v| [cell.as_slice(), &[v]].concat())
                    })
                    .collect();
            }
            cells.extend(made);
        }
        cells.sort();
        cells
    }

    #[test]
    fn one_scenario_of_the_full_grid_is_four_job_maps() {
        // 14 outcomes, 3 statistics, 16 facets, with the three absence rules of the original pipeline.
        let mut cells = Vec::new();
        for outcome in 0..14 {
            for statistic in 0..3 {
                for facet in 0..16 {
                    let risk = [4, 7, 9, 10, 12, 13, 14, 15].contains(&facet);
                    let absent = match outcome {
                        5 => facet != 0,
                        4 => risk,
                        6..=11 => risk && facet != 4,
                        _ => false,
                    };
                    if !absent {
                        cells.push(vec![3, 1, outcome, statistic, facet]);
                    }
                }
            }
        }
        assert_eq!(cells.len(), 477);
        let found = products(&cells);
        assert_eq!(found.len(), 4);
        assert_eq!(expand(&found), cells);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn products_name_exactly_the_cells_and_each_once(
            cells in prop::collection::btree_set((0usize..3, 0usize..4, 0usize..4), 1..40)
        ) {
            let cells: Vec<Vec<usize>> = cells.into_iter().map(|(a, b, c)| vec![a, b, c]).collect();
            prop_assert_eq!(expand(&products(&cells)), cells);
        }

        #[test]
        fn merging_never_loses_a_cell(
            cells in prop::collection::btree_set((0usize..3, 0usize..4, 0usize..4), 1..40),
            startup in 0.0f64..50.0,
        ) {
            let cells: Vec<Vec<usize>> = cells.into_iter().map(|(a, b, c)| vec![a, b, c]).collect();
            let cost = Cost { startup, each: 2.0, runs: 1 };
            let merged = merged(products(&cells), &cost);
            prop_assert!(cells.iter().all(|cell| merged.iter().any(|p| holds(p, cell))));
        }
    }
}
