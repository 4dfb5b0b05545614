//! What a plot shows, before it is drawn: panels, curves with their intervals, and observed points.

use crate::model::FIRST_YEAR;
use crate::outcome::{Outcome, Table};
use crate::simset::Simset;
use crate::strata::{Dimension, Panels};

/// How simulations are summarised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statistic {
    Mean,
    Median,
    Individual,
}

impl Statistic {
    pub const ALL: [Statistic; 3] = [Statistic::Mean, Statistic::Median, Statistic::Individual];

    pub fn id(self) -> &'static str {
        match self {
            Statistic::Mean => "mean.and.interval",
            Statistic::Median => "median.and.interval",
            Statistic::Individual => "individual.simulation",
        }
    }

    /// Finds a statistic by its name on the command line.
    pub fn parse(id: &str) -> Option<Statistic> {
        Statistic::ALL.into_iter().find(|statistic| statistic.id() == id)
    }
}

/// A plot, before it is drawn.
#[derive(Clone, Debug)]
pub struct Figure {
    pub outcome: Outcome,
    pub statistic: Statistic,
    pub dimensions: Vec<Dimension>,
    pub panels: Vec<Panel>,
}

/// One stratum of a figure.
#[derive(Clone, Debug)]
pub struct Panel {
    /// One value for each dimension of the figure.
    pub values: Vec<&'static str>,
    pub curves: Vec<Curve>,
    pub observed: Vec<(i32, f64)>,
}

/// A line: a summary of all simulations with its interval, or one simulation.
#[derive(Clone, Debug)]
pub struct Curve {
    /// `Baseline`, or the scenario's label.
    pub simset: &'static str,
    /// Which simulation it is, from 1; none if it is a summary.
    pub simulation: Option<usize>,
    pub years: Vec<i32>,
    pub values: Vec<f64>,
    /// The 2.5th and 97.5th percentile, if it is a summary.
    pub interval: Option<Interval>,
}

/// Bounds, year by year.
#[derive(Clone, Debug)]
pub struct Interval {
    pub lower: Vec<f64>,
    pub upper: Vec<f64>,
}

impl Figure {
    /// Summarises simsets, the baseline first. Observations come from the first.
    pub fn new(
        outcome: Outcome,
        statistic: Statistic,
        dimensions: Vec<Dimension>,
        simsets: &[&Simset],
    ) -> Figure {
        let cut = Panels::new(&dimensions);
        let tables: Vec<Table> = simsets.iter().map(|simset| outcome.table(simset, &cut)).collect();
        let panels = (0..cut.values.len())
            .map(|panel| Panel {
                values: cut.values[panel].clone(),
                curves: simsets
                    .iter()
                    .zip(&tables)
                    .flat_map(|(simset, table)| {
                        curves(simset.scenario.label(), table, panel, statistic)
                    })
                    .collect(),
                observed: match (simsets, &tables[..]) {
                    ([simset, ..], [table, ..]) => outcome.observations(simset, &cut, table, panel),
                    _ => Vec::new(),
                },
            })
            .collect();
        Figure { outcome, statistic, dimensions, panels }
    }
}

fn curves(simset: &'static str, table: &Table, panel: usize, statistic: Statistic) -> Vec<Curve> {
    let rows: Vec<&[f64]> = (1..=table.simulations()).map(|draw| table.row(draw, panel)).collect();
    let years: Vec<i32> = (FIRST_YEAR..).take(table.row(0, panel).len()).collect();
    if statistic == Statistic::Individual {
        let curve = |(index, row): (usize, &&[f64])| Curve {
            simset,
            simulation: Some(index + 1),
            years: years.clone(),
            values: row.to_vec(),
            interval: None,
        };
        return rows.iter().enumerate().map(curve).collect();
    }
    let mut curve = Curve { simset, simulation: None, years, values: Vec::new(), interval: None };
    let mut interval = Interval { lower: Vec::new(), upper: Vec::new() };
    for year in 0..curve.years.len() {
        let mut column: Vec<f64> = rows.iter().map(|row| row[year]).collect();
        let mean = column.iter().sum::<f64>() / column.len() as f64;
        column.sort_by(f64::total_cmp);
        let median = quantile(&column, 0.5);
        curve.values.push(if statistic == Statistic::Mean { mean } else { median });
        interval.lower.push(quantile(&column, 0.025));
        interval.upper.push(quantile(&column, 0.975));
    }
    curve.interval = Some(interval);
    vec![curve]
}

/// A quantile of sorted numbers, linear between them (R's type 7).
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let position = share * (sorted.len() - 1) as f64;
    let below = position.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (position - below as f64) * (sorted[above] - sorted[below])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::City;
    use crate::scenario::Scenario;
    use crate::strata::Facet;

    fn baltimore(scenario: Scenario) -> Simset {
        let city = City::parse(include_str!("../../parameters/C.12580.yaml")).unwrap();
        Simset::from_bytes(&Simset::simulate(&city, scenario, 20, 1, |_| {}).to_bytes()).unwrap()
    }

    #[test]
    fn quantiles_are_those_of_r() {
        let sorted = [1.0, 2.0, 4.0, 8.0];
        assert_eq!(
            [0.0, 0.5, 5.0 / 6.0, 1.0].map(|share| quantile(&sorted, share)),
            [1.0, 3.0, 6.0, 8.0]
        );
    }

    #[test]
    fn intervals_hold_the_mean_and_the_median_and_shares_lie_between_0_and_1() {
        let (base, cessation) = (baltimore(Scenario::Base), baltimore(Scenario::Cessation));
        for outcome in Outcome::ALL {
            for statistic in [Statistic::Mean, Statistic::Median] {
                let facet = if outcome == Outcome::Awareness { "none" } else { "race+sex" };
                let dimensions = outcome.dimensions(&Facet::parse(facet)).unwrap();
                for panel in
                    Figure::new(outcome, statistic, dimensions, &[&base, &cessation]).panels
                {
                    for curve in &panel.curves {
                        let interval = curve.interval.as_ref().unwrap();
                        for (value, (lower, upper)) in
                            curve.values.iter().zip(interval.lower.iter().zip(&interval.upper))
                        {
                            assert!(
                                lower <= value && value <= upper,
                                "{outcome:?} {lower} {value} {upper}"
                            );
                            assert!(*lower >= 0.0 && value.is_finite());
                            assert!(
                                !outcome.is_proportion() || *upper <= 1.0,
                                "{outcome:?} {upper}"
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn an_end_of_services_raises_incidence_and_lowers_suppression() {
        let (base, cessation) = (baltimore(Scenario::Base), baltimore(Scenario::Cessation));
        let in_2030 = |outcome: Outcome| {
            let figure = Figure::new(outcome, Statistic::Mean, Vec::new(), &[&base, &cessation]);
            let [base, ended] = &figure.panels[0].curves[..] else { panic!("two simsets") };
            assert_eq!(base.values[..15], ended.values[..15], "alike until 2024");
            (base.values[20], ended.values[20])
        };
        let (base, ended) = in_2030(Outcome::Incidence);
        assert!(ended > 1.2 * base, "{base} {ended}");
        let (base, ended) = in_2030(Outcome::Suppression);
        assert!(ended < 0.9 * base && base > 0.6, "{base} {ended}");
        let (base, ended) = in_2030(Outcome::RwClients);
        assert!(ended < 0.3 * base, "{base} {ended}");
    }

    #[test]
    fn counts_of_the_panels_sum_to_the_whole() {
        let base = baltimore(Scenario::Base);
        let total = |dimensions: Vec<Dimension>| -> f64 {
            let figure = Figure::new(Outcome::RwClients, Statistic::Mean, dimensions, &[&base]);
            figure.panels.iter().map(|panel| panel.curves[0].values[10]).sum()
        };
        assert!((total(vec![]) / total(vec![Dimension::Age, Dimension::Sex]) - 1.0).abs() < 1e-9);
    }
}
