//! A city's parameters, as its file gives them, and the draws that are made around them.

use serde::Deserialize;

use crate::random::Key;

/// What a city's file says; `parameters/commented.yaml` explains each line.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct City {
    /// The code, `C.12580`.
    pub city: String,
    /// The name, as titles give it.
    pub label: String,
    /// People aged 13 and over at the start of 2000.
    pub population: f64,
    /// Yearly growth of the number of people who reach 13.
    pub growth: f64,
    /// Shares of the population, which sum to 1.
    pub race: ByRace,
    /// Share of the population living with HIV at the start of 2000.
    pub prevalence: f64,
    /// Risk of acquiring HIV relative to the city's mean.
    pub relative_risk: ByRace,
    pub transmission: Transmission,
    pub testing: Testing,
    pub suppression: Suppression,
    pub prep: Prep,
    pub services: Services,
    pub loss: Loss,
    /// Standard deviation, on the log or logit scale, of what is drawn.
    pub uncertainty: f64,
}

/// One number for each race.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct ByRace {
    pub black: f64,
    pub hispanic: f64,
    pub other: f64,
}

/// Rates a year, relative to those of `model`.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Transmission {
    pub msm: f64,
    pub heterosexual: f64,
    pub injection: f64,
    /// Yearly decline of all three.
    pub decline: f64,
}

/// Tests a person and year in 2010, and their yearly growth until 2020.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Testing {
    pub rate: f64,
    pub growth: f64,
}

/// Share of the diagnosed who are suppressed.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Suppression {
    pub in_2010: f64,
    pub in_2025: f64,
}

/// Share of those with an indication who use PrEP in the end, and the year at which half of it is reached.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Prep {
    pub plateau: f64,
    pub midpoint: f64,
}

/// Share of the diagnosed who are Ryan White clients; shares of these in ADAP and in outpatient care (OAHS);
/// and the share of use that would go on without federal funds.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Services {
    pub clients: f64,
    pub adap: f64,
    pub oahs: f64,
    pub residual: f64,
}

/// Share of the suppressed clients of each service who lose suppression when it stops.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Loss {
    pub adap: f64,
    pub oahs: f64,
    pub other: f64,
}

impl City {
    /// Reads a city's file. The error says what is wrong with the text, not where the file is.
    pub fn parse(text: &str) -> Result<City, String> {
        let city: City = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
        let shares = [
            ("prevalence", city.prevalence),
            ("race.black", city.race.black),
            ("race.hispanic", city.race.hispanic),
            ("race.other", city.race.other),
            ("suppression.in_2010", city.suppression.in_2010),
            ("suppression.in_2025", city.suppression.in_2025),
            ("prep.plateau", city.prep.plateau),
            ("services.clients", city.services.clients),
            ("services.adap", city.services.adap),
            ("services.oahs", city.services.oahs),
            ("services.residual", city.services.residual),
            ("loss.adap", city.loss.adap),
            ("loss.oahs", city.loss.oahs),
            ("loss.other", city.loss.other),
        ];
        if let Some((name, value)) =
            shares.into_iter().find(|(_, value)| !(*value > 0.0 && *value < 1.0))
        {
            return Err(format!("`{name}` is {value}, and must be between 0 and 1"));
        }
        let positive = [
            ("relative_risk.black", city.relative_risk.black),
            ("relative_risk.hispanic", city.relative_risk.hispanic),
            ("relative_risk.other", city.relative_risk.other),
            ("transmission.msm", city.transmission.msm),
            ("transmission.heterosexual", city.transmission.heterosexual),
            ("transmission.injection", city.transmission.injection),
            ("testing.rate", city.testing.rate),
        ];
        if let Some((name, value)) =
            positive.into_iter().find(|(_, value)| !(*value > 0.0 && *value <= 10.0))
        {
            return Err(format!("`{name}` is {value}, and must be above 0 and at most 10"));
        }
        let small = [
            ("growth", city.growth),
            ("transmission.decline", city.transmission.decline),
            ("testing.growth", city.testing.growth),
        ];
        if let Some((name, value)) =
            small.into_iter().find(|(_, value)| !(-0.2..=0.2).contains(value))
        {
            return Err(format!("`{name}` is {value}, and must be between -0.2 and 0.2"));
        }
        if !(1000.0..=1e8).contains(&city.population) {
            return Err(format!(
                "`population` is {}, and must be between 1000 and 100000000",
                city.population
            ));
        }
        if !(0.0..=0.5).contains(&city.uncertainty) {
            return Err(format!(
                "`uncertainty` is {}, and must be between 0 and 0.5",
                city.uncertainty
            ));
        }
        if !(2000.0..=2050.0).contains(&city.prep.midpoint) {
            return Err(format!(
                "`prep.midpoint` is {}, and must be a year between 2000 and 2050",
                city.prep.midpoint
            ));
        }
        let sum = city.race.black + city.race.hispanic + city.race.other;
        if (sum - 1.0).abs() > 1e-6 {
            return Err(format!("the shares under `race` sum to {sum}, and must sum to 1"));
        }
        Ok(city)
    }
}

/// The uncertain numbers of one simulation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Draw {
    pub msm: f64,
    pub heterosexual: f64,
    pub injection: f64,
    pub decline: f64,
    pub prevalence: f64,
    pub testing: f64,
    pub testing_growth: f64,
    /// On the logit scale, in 2010 and in 2025.
    pub suppression: [f64; 2],
    pub prep: f64,
    pub prep_midpoint: f64,
    /// Odds of being a client; odds of clients to be in ADAP, in OAHS.
    pub clients: f64,
    pub adap: f64,
    pub oahs: f64,
    pub residual: f64,
    pub loss_adap: f64,
    pub loss_oahs: f64,
    pub loss_other: f64,
}

impl Draw {
    /// How many numbers a draw holds.
    pub const NUMBERS: usize = 18;

    /// The `index`th draw for a city; draw 0 is the city's parameters as they stand.
    pub fn new(city: &City, key: Key, index: u64) -> Draw {
        let mut number = 0;
        let mut normal = |scale: f64| {
            number += 1;
            if index == 0 {
                0.0
            } else {
                scale * city.uncertainty * key.with(index).with(number).normal()
            }
        };
        let mut times = |value: f64, scale: f64| value * libm::exp(normal(scale));
        let msm = times(city.transmission.msm, 1.0);
        let heterosexual = times(city.transmission.heterosexual, 1.0);
        let injection = times(city.transmission.injection, 1.5);
        let decline = times(city.transmission.decline, 1.5);
        let prevalence = times(city.prevalence, 0.5);
        let testing = times(city.testing.rate, 0.7);
        let testing_growth = times(city.testing.growth, 1.0);
        let prep = logistic(logit(city.prep.plateau) + normal(2.0));
        let mut odds = |share: f64, scale: f64| libm::exp(logit(share) + normal(scale));
        let clients = odds(city.services.clients, 1.0);
        let adap = odds(city.services.adap, 1.0);
        let oahs = odds(city.services.oahs, 1.0);
        let residual = logistic(logit(city.services.residual) + normal(2.0));
        let loss_adap = logistic(logit(city.loss.adap) + normal(5.0));
        let loss_oahs = logistic(logit(city.loss.oahs) + normal(5.0));
        let loss_other = logistic(logit(city.loss.other) + normal(5.0));
        let level = normal(0.6);
        Draw {
            msm,
            heterosexual,
            injection,
            decline,
            prevalence,
            testing,
            testing_growth,
            suppression: [
                logit(city.suppression.in_2010) + level,
                logit(city.suppression.in_2025) + level + normal(0.6),
            ],
            prep,
            prep_midpoint: city.prep.midpoint + normal(6.0),
            clients,
            adap,
            oahs,
            residual,
            loss_adap,
            loss_oahs,
            loss_other,
        }
    }

    /// Its numbers, in the order in which `from_numbers` takes them.
    pub fn numbers(&self) -> [f64; Draw::NUMBERS] {
        let Draw {
            msm,
            heterosexual,
            injection,
            decline,
            prevalence,
            testing,
            testing_growth,
            suppression,
            ..
        } = *self;
        let Draw {
            prep,
            prep_midpoint,
            clients,
            adap,
            oahs,
            residual,
            loss_adap,
            loss_oahs,
            loss_other,
            ..
        } = *self;
        let [early, late] = suppression;
        [
            msm,
            heterosexual,
            injection,
            decline,
            prevalence,
            testing,
            testing_growth,
            early,
            late,
            prep,
            prep_midpoint,
            clients,
            adap,
            oahs,
            residual,
            loss_adap,
            loss_oahs,
            loss_other,
        ]
    }

    /// The draw that has these numbers.
    pub fn from_numbers(numbers: [f64; Draw::NUMBERS]) -> Draw {
        let [
            msm,
            heterosexual,
            injection,
            decline,
            prevalence,
            testing,
            testing_growth,
            early,
            late,
            prep,
            prep_midpoint,
            clients,
            adap,
            oahs,
            residual,
            loss_adap,
            loss_oahs,
            loss_other,
        ] = numbers;
        let suppression = [early, late];
        Draw {
            msm,
            heterosexual,
            injection,
            decline,
            prevalence,
            testing,
            testing_growth,
            suppression,
            prep,
            prep_midpoint,
            clients,
            adap,
            oahs,
            residual,
            loss_adap,
            loss_oahs,
            loss_other,
        }
    }
}

/// The log of the odds of a share.
pub fn logit(share: f64) -> f64 {
    libm::log(share / (1.0 - share))
}

/// The share whose log odds are given.
pub fn logistic(value: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn baltimore() -> City {
        City::parse(include_str!("../../parameters/C.12580.yaml")).unwrap()
    }

    #[test]
    fn draw_0_is_the_city_as_its_file_gives_it() {
        let draw = Draw::new(&baltimore(), Key::new(1), 0);
        assert_eq!(draw.msm, baltimore().transmission.msm);
        assert_eq!(draw.prep_midpoint, baltimore().prep.midpoint);
        assert!((logistic(draw.suppression[1]) - baltimore().suppression.in_2025).abs() < 1e-12);
    }

    #[test]
    fn a_draw_survives_being_taken_apart() {
        let draw = Draw::new(&baltimore(), Key::new(1), 5);
        assert_eq!(Draw::from_numbers(draw.numbers()), draw);
        assert_ne!(draw, Draw::new(&baltimore(), Key::new(1), 6));
    }

    #[test]
    fn a_wrong_file_is_refused_with_the_name_of_what_is_wrong() {
        let text = include_str!("../../parameters/C.12580.yaml");
        let wrong = |from: &str, to: &str| {
            assert!(text.contains(from), "{from}");
            City::parse(&text.replace(from, to)).unwrap_err()
        };
        assert_eq!(
            wrong("  plateau: 0.", "  plateau: 7."),
            "`prep.plateau` is 7.31, and must be between 0 and 1"
        );
        assert!(
            wrong("  black: 0.", "  black: 0.0").starts_with("the shares under `race` sum to 0.")
        );
        assert!(wrong("population:", "populace:").contains("populace"));
        assert!(wrong("population: ", "population: x").contains("population"));
    }

    #[test]
    fn the_commented_file_has_the_same_keys_as_the_others() {
        let commented = City::parse(include_str!("../../parameters/commented.yaml")).unwrap();
        assert_eq!(commented, baltimore());
    }
}
