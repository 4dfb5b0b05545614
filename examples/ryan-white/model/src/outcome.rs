//! The outcomes: what each is, which facets it can have, and its numbers by panel.

use crate::model::{self, FIRST_YEAR, YEARS};
use crate::random::Key;
use crate::simset::{Quantity, Simset};
use crate::strata::{Dimension, Facet, Panels, STRATA};

/// The last year for which there are observations.
const LAST_OBSERVED: i32 = 2023;

/// What can be plotted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Incidence,
    DiagnosedPrevalence,
    Suppression,
    Testing,
    PrepUptake,
    Awareness,
    RwClients,
    AdapClients,
    NonAdapClients,
    OahsClients,
    AdapProportion,
    OahsSuppression,
    AdapSuppression,
    New,
}

impl Outcome {
    pub const ALL: [Outcome; 14] = [
        Outcome::Incidence,
        Outcome::DiagnosedPrevalence,
        Outcome::Suppression,
        Outcome::Testing,
        Outcome::PrepUptake,
        Outcome::Awareness,
        Outcome::RwClients,
        Outcome::AdapClients,
        Outcome::NonAdapClients,
        Outcome::OahsClients,
        Outcome::AdapProportion,
        Outcome::OahsSuppression,
        Outcome::AdapSuppression,
        Outcome::New,
    ];

    /// The name on the command line, the name in titles, and what a vertical axis says.
    fn names(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Outcome::Incidence => ("incidence", "HIV incidence", "New infections a year"),
            Outcome::DiagnosedPrevalence => (
                "diagnosed.prevalence",
                "Diagnosed HIV prevalence",
                "People living with diagnosed HIV",
            ),
            Outcome::Suppression => {
                ("suppression", "Viral suppression", "Share of the diagnosed who are suppressed")
            }
            Outcome::Testing => {
                ("testing", "HIV testing", "Share of people tested in the past year")
            }
            Outcome::PrepUptake => {
                ("prep.uptake", "PrEP uptake", "Share of those with an indication who use PrEP")
            }
            Outcome::Awareness => (
                "awareness",
                "Awareness of HIV status",
                "Share of people living with HIV who are diagnosed",
            ),
            Outcome::RwClients => ("rw.clients", "Ryan White clients", "Clients"),
            Outcome::AdapClients => ("adap.clients", "ADAP clients", "Clients"),
            Outcome::NonAdapClients => {
                ("non.adap.clients", "Ryan White clients outside ADAP", "Clients")
            }
            Outcome::OahsClients => ("oahs.clients", "Outpatient care (OAHS) clients", "Clients"),
            Outcome::AdapProportion => {
                ("adap.proportion", "ADAP share", "Share of Ryan White clients in ADAP")
            }
            Outcome::OahsSuppression => (
                "oahs.suppression",
                "Viral suppression, OAHS",
                "Share of OAHS clients who are suppressed",
            ),
            Outcome::AdapSuppression => (
                "adap.suppression",
                "Viral suppression, ADAP",
                "Share of ADAP clients who are suppressed",
            ),
            Outcome::New => ("new", "New HIV diagnoses", "New diagnoses a year"),
        }
    }

    pub fn id(self) -> &'static str {
        self.names().0
    }

    pub fn display_name(self) -> &'static str {
        self.names().1
    }

    pub fn axis_title(self) -> &'static str {
        self.names().2
    }

    /// Finds an outcome by its name on the command line.
    pub fn parse(id: &str) -> Option<Outcome> {
        Outcome::ALL.into_iter().find(|outcome| outcome.id() == id)
    }

    /// Whether it is a share, from 0 to 1, and no count of people.
    pub fn is_proportion(self) -> bool {
        matches!(
            self,
            Outcome::Suppression
                | Outcome::Testing
                | Outcome::PrepUptake
                | Outcome::Awareness
                | Outcome::AdapProportion
                | Outcome::OahsSuppression
                | Outcome::AdapSuppression
        )
    }

    /// The dimensions of a facet, or the error with which the ontology answers.
    ///
    /// Awareness is not kept by any dimension and PrEP uptake not by risk;
    /// the reports of Ryan White services, save suppression in ADAP, know risk only by itself.
    pub fn dimensions(self, facet: &Facet) -> Result<Vec<Dimension>, String> {
        let several = facet.names().len() > 1;
        let possible = |dimension: Dimension| match self {
            Outcome::Awareness => false,
            Outcome::PrepUptake => dimension != Dimension::Risk,
            Outcome::RwClients
            | Outcome::AdapClients
            | Outcome::NonAdapClients
            | Outcome::OahsClients
            | Outcome::OahsSuppression
            | Outcome::AdapProportion => !(several && dimension == Dimension::Risk),
            _ => true,
        };
        let dimensions = facet.dimensions(possible).map_err(|wrong| match wrong[..] {
            [one] => {
                format!("Error subsetting ontology: '{one}' does not reference a valid dimension")
            }
            _ => format!(
                "Error subsetting ontology: '{}' do not reference valid dimensions",
                wrong.join("', '")
            ),
        })?;
        match (1..dimensions.len()).find(|at| dimensions[..*at].contains(&dimensions[*at])) {
            Some(at) => Err(format!(
                "Error subsetting ontology: '{}' is given twice",
                dimensions[at].name()
            )),
            None => Ok(dimensions),
        }
    }

    /// The numbers of every draw, panel and year; the first draw is the reference.
    pub fn table(self, simset: &Simset, panels: &Panels) -> Table {
        let count = panels.values.len();
        let mut values = Vec::with_capacity(simset.draws.len() * count * YEARS);
        for draw in 0..simset.draws.len() {
            let mut sums = vec![(0.0, 0.0); count * YEARS];
            let cells = Cells::new(simset, draw);
            for stratum in 0..STRATA {
                let row = &mut sums[panels.of[stratum] * YEARS..][..YEARS];
                for (year, sum) in row.iter_mut().enumerate() {
                    let (part, whole) = cells.at(self, stratum, year);
                    *sum = (sum.0 + part, sum.1 + whole);
                }
            }
            let value = |(part, whole): (f64, f64)| match self.is_proportion() {
                // What is stored is rounded, so that a stratum can come out empty.
                true if whole > 0.0 => (part / whole).clamp(0.0, 1.0),
                true => 0.0,
                false => part,
            };
            values.extend(sums.into_iter().map(value));
        }
        Table { panels: count, values }
    }

    /// What surveillance would have seen: the reference, with noise that depends on the seed alone.
    ///
    /// There are observations by at most two dimensions.
    pub fn observations(
        self,
        simset: &Simset,
        panels: &Panels,
        table: &Table,
        panel: usize,
    ) -> Vec<(i32, f64)> {
        let labels = &panels.values[panel];
        if labels.len() > 2 {
            return Vec::new();
        }
        let mut sorted = labels.clone();
        sorted.sort_unstable();
        let key = Key::new(simset.seed)
            .with_text(&simset.city)
            .with_text(self.id())
            .with_text(&sorted.join("+"));
        (FIRST_YEAR..=LAST_OBSERVED)
            .zip(table.row(0, panel))
            .map(|(year, value)| {
                let noise = key.with(year as u64).normal();
                let seen = match self.is_proportion() {
                    true => value + 0.12 * noise * value * (1.0 - value),
                    false => (value * libm::exp(0.03 * noise) + 0.5 * noise * value.sqrt())
                        .max(0.0)
                        .round(),
                };
                (year, seen)
            })
            .collect()
    }
}

/// One number for each draw, panel and year.
#[derive(Debug)]
pub struct Table {
    panels: usize,
    values: Vec<f64>,
}

impl Table {
    /// The years of a draw and panel, from `model::FIRST_YEAR`.
    pub fn row(&self, draw: usize, panel: usize) -> &[f64] {
        &self.values[(draw * self.panels + panel) * YEARS..][..YEARS]
    }

    /// How many draws there are beside the reference.
    pub fn simulations(&self) -> usize {
        self.values.len() / (self.panels * YEARS) - 1
    }
}

/// A draw, ready to be asked about strata and years.
struct Cells<'a> {
    simset: &'a Simset,
    draw: usize,
    /// Use of ADAP and of all other services in each year, relative to the usual.
    use_of_adap: [f64; YEARS],
    use_of_others: [f64; YEARS],
}

impl Cells<'_> {
    fn new(simset: &Simset, draw: usize) -> Cells<'_> {
        let residual = simset.draws[draw].residual;
        let uses = |residual: f64| {
            std::array::from_fn(|year| {
                simset.scenario.services_in(FIRST_YEAR + year as i32, residual)
            })
        };
        // States pay for some of ADAP themselves, so more of it goes on.
        Cells {
            simset,
            draw,
            use_of_adap: uses((1.5 * residual).min(0.9)),
            use_of_others: uses(residual),
        }
    }

    /// Part and whole of an outcome in a stratum and year; a count is all part.
    fn at(&self, outcome: Outcome, stratum: usize, year: usize) -> (f64, f64) {
        let value = |quantity| self.simset.values(self.draw, quantity, stratum)[year];
        let diagnosed = || value(Quantity::Unsuppressed) + value(Quantity::Suppressed);
        let services = &self.simset.services[self.draw];
        let adap = || {
            diagnosed()
                * services.clients[stratum]
                * services.adap[stratum]
                * self.use_of_adap[year]
        };
        let non_adap = || {
            diagnosed()
                * services.clients[stratum]
                * (1.0 - services.adap[stratum])
                * self.use_of_others[year]
        };
        let oahs = || {
            diagnosed()
                * services.clients[stratum]
                * services.oahs[stratum]
                * self.use_of_others[year]
        };
        // Clients of a service are suppressed more often: it removes this share of failures.
        let suppressed = |helped: f64| match diagnosed() {
            0.0 => 0.0,
            diagnosed => 1.0 - (1.0 - helped) * value(Quantity::Unsuppressed) / diagnosed,
        };
        match outcome {
            Outcome::Incidence => (value(Quantity::Infections), 0.0),
            Outcome::New => (value(Quantity::Diagnoses), 0.0),
            Outcome::DiagnosedPrevalence => (diagnosed(), 0.0),
            Outcome::Suppression => (value(Quantity::Suppressed), diagnosed()),
            Outcome::Awareness => (diagnosed(), diagnosed() + value(Quantity::Undiagnosed)),
            Outcome::Testing => {
                let people = value(Quantity::Uninfected) + value(Quantity::Undiagnosed);
                let time = f64::from(FIRST_YEAR + year as i32) + 0.5;
                let rate = model::testing(&self.simset.draws[self.draw], stratum, time);
                (people * (1.0 - libm::exp(-rate)), people)
            }
            Outcome::PrepUptake => {
                (value(Quantity::OnPrep), model::indication(stratum) * value(Quantity::Uninfected))
            }
            Outcome::RwClients => (adap() + non_adap(), 0.0),
            Outcome::AdapClients => (adap(), 0.0),
            Outcome::NonAdapClients => (non_adap(), 0.0),
            Outcome::OahsClients => (oahs(), 0.0),
            Outcome::AdapProportion => (adap(), adap() + non_adap()),
            Outcome::OahsSuppression => (suppressed(0.30) * oahs(), oahs()),
            Outcome::AdapSuppression => (suppressed(0.45) * adap(), adap()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FACETS: [&str; 16] = [
        "none",
        "age",
        "race",
        "sex",
        "risk",
        "age+race",
        "age+sex",
        "age+risk",
        "race+sex",
        "race+risk",
        "sex+risk",
        "age+race+sex",
        "age+race+risk",
        "age+sex+risk",
        "race+sex+risk",
        "age+race+sex+risk",
    ];

    #[test]
    fn as_much_of_the_grid_is_impossible_as_in_the_real_model() {
        let pairs = Outcome::ALL
            .into_iter()
            .flat_map(|outcome| FACETS.map(|facet| (outcome, Facet::parse(facet))));
        let impossible =
            pairs.filter(|(outcome, facet)| outcome.dimensions(facet).is_err()).count();
        let (scenarios, statistics, cities) = (3, 3, 31);
        assert_eq!(impossible, 65);
        assert_eq!((impossible * scenarios * 2, 14 * 16 * scenarios * 2), (390, 1_344));
        assert_eq!(impossible * scenarios * statistics * cities, 18_135);
        assert_eq!(14 * 16 * scenarios * statistics * cities, 62_496);
    }

    #[test]
    fn impossible_facets_are_named_in_the_words_of_the_ontology() {
        let error =
            |outcome: Outcome, facet: &str| outcome.dimensions(&Facet::parse(facet)).unwrap_err();
        assert_eq!(
            error(Outcome::RwClients, "age+risk"),
            "Error subsetting ontology: 'risk' does not reference a valid dimension"
        );
        assert_eq!(
            error(Outcome::Awareness, "age+race"),
            "Error subsetting ontology: 'age', 'race' do not reference valid dimensions"
        );
        assert_eq!(
            error(Outcome::Incidence, "age+shoe"),
            "Error subsetting ontology: 'shoe' does not reference a valid dimension"
        );
        assert_eq!(
            error(Outcome::Incidence, "age+sex+age"),
            "Error subsetting ontology: 'age' is given twice"
        );
        assert!(Outcome::RwClients.dimensions(&Facet::parse("risk")).is_ok());
    }
}
