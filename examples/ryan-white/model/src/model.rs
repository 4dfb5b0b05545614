//! The model: who can infect whom, and how people move between compartments.
//!
//! Each of the 135 strata has five compartments: susceptible without and with PrEP, undiagnosed,
//! diagnosed and not suppressed, suppressed; and two counters: infections and diagnoses so far.
//! People enter at 13, grow older, begin and stop injecting drugs, are infected, tested, treated, and die.
//! The equations stand in the README of this example; they are integrated by the classical method of
//! Runge and Kutta in steps of a quarter of a year.
//!
//! Sums are taken in the order of the strata and functions come from `libm`: the bits are the same everywhere.

use crate::parameters::{ByRace, City, Draw};
use crate::scenario::Scenario;
use crate::strata::{Dimension, STRATA};

/// The first year of output.
pub const FIRST_YEAR: i32 = 2010;
/// How many years of output there are: 2010 to 2035.
pub const YEARS: usize = 26;
/// What is kept of each stratum and year, in this order.
pub const QUANTITIES: usize = 7;

/// The year at whose start the integration begins.
const START: i32 = 2000;
const STEPS_A_YEAR: usize = 4;

/// Positions of compartments and counters within a stratum.
const SUSCEPTIBLE: usize = 0;
const PREP: usize = 1;
const UNDIAGNOSED: usize = 2;
const DIAGNOSED: usize = 3;
const SUPPRESSED: usize = 4;
const INFECTIONS: usize = 5;
const DIAGNOSES: usize = 6;
const COMPARTMENTS: usize = 5;
const WIDTH: usize = 7;
/// Behind the strata: people who entered, and who died.
const ENTERED: usize = STRATA * WIDTH;
const DIED: usize = ENTERED + 1;
const STATE: usize = ENTERED + 2;

/// Infectiousness relative to that of the undiagnosed.
const DIAGNOSED_INFECTIOUS: f64 = 0.6;
const SUPPRESSED_INFECTIOUS: f64 = 0.03;
/// Share of partnerships kept within one's own race.
const ASSORTATIVE: f64 = 0.6;
/// Infections a year and contact through each route, before a city's own factors.
const MSM_RATE: f64 = 0.215;
const HETEROSEXUAL_RATE: f64 = 0.036;
const INJECTION_RATE: f64 = 0.17;
/// Partners by sex: row = heterosexual male, msm, female; column = partner.
const PARTNERS: [[f64; 3]; 3] = [[0.0, 0.0, 1.0], [0.0, 0.95, 0.05], [0.96, 0.04, 0.0]];
const ACTIVITY: [f64; 5] = [0.75, 1.25, 0.9, 0.6, 0.25];
const PREP_EFFICACY: f64 = 0.86;
/// How fast PrEP use, and suppression, follow their targets, a year.
const PREP_SPEED: f64 = 0.8;
const SUPPRESSION_SPEED: f64 = 2.0;
/// Diagnoses a year that come from symptoms, not tests.
const SYMPTOMS: f64 = 0.05;
const AGEING: [f64; 5] = [1.0 / 12.0, 0.1, 0.1, 0.1, 0.0];
const DEATH: [f64; 5] = [0.0009, 0.0013, 0.0020, 0.0041, 0.0230];
const DEATH_WITH_HIV: [f64; COMPARTMENTS] = [0.0, 0.0, 0.014, 0.016, 0.004];
const BEGIN_INJECTING: [f64; 5] = [0.0009, 0.0008, 0.0004, 0.0002, 0.0001];
const STOP_INJECTING: f64 = 0.14;
const RELAPSE: f64 = 0.05;

/// Relative rates and odds, by age, race, sex and risk.
struct Effect([f64; 5], [f64; 3], [f64; 3], [f64; 3]);

impl Effect {
    fn of(&self, stratum: usize) -> f64 {
        self.0[Dimension::Age.of(stratum)]
            * self.1[Dimension::Race.of(stratum)]
            * self.2[Dimension::Sex.of(stratum)]
            * self.3[Dimension::Risk.of(stratum)]
    }
}

const ALIKE: [f64; 3] = [1.0, 1.0, 1.0];
const PREVALENCE: Effect =
    Effect([0.15, 0.8, 1.7, 1.7, 0.6], ALIKE, [1.0, 30.0, 1.1], [14.0, 9.0, 1.0]);
const TESTING: Effect =
    Effect([1.0, 1.35, 1.05, 0.75, 0.4], [1.5, 1.15, 0.8], [0.75, 2.2, 1.05], [1.8, 1.3, 1.0]);
const SUPPRESSION: Effect =
    Effect([0.6, 0.78, 0.95, 1.2, 1.45], [0.82, 0.95, 1.3], [0.9, 1.12, 1.0], [0.6, 0.85, 1.05]);
const INDICATION: Effect =
    Effect([0.9, 1.2, 0.9, 0.6, 0.25], [1.3, 1.1, 0.9], [0.006, 0.28, 0.007], [12.0, 2.5, 1.0]);
const PREP_USE: Effect =
    Effect([0.7, 1.2, 1.15, 0.95, 0.7], [0.65, 0.85, 1.25], [0.3, 1.0, 0.35], [0.5, 0.8, 1.0]);
const CLIENTS: Effect =
    Effect([1.15, 1.1, 1.05, 1.0, 0.85], [1.3, 1.25, 0.75], [0.95, 0.95, 1.15], [1.15, 1.05, 1.0]);
const ADAP: Effect =
    Effect([0.85, 1.05, 1.1, 1.05, 0.9], [0.9, 1.25, 1.05], [1.05, 1.1, 0.8], [0.8, 0.95, 1.0]);
const OAHS: Effect =
    Effect([1.15, 1.1, 1.0, 0.95, 0.9], [1.1, 1.1, 0.9], [1.0, 1.0, 1.05], [1.0, 1.05, 1.0]);

/// What a draw says about services, by stratum: the part of the model that needs no integration.
#[derive(Debug)]
pub struct Services {
    /// Share of the diagnosed who are clients; shares of clients in ADAP, in OAHS.
    pub clients: [f64; STRATA],
    pub adap: [f64; STRATA],
    pub oahs: [f64; STRATA],
}

impl Services {
    pub fn new(draw: &Draw) -> Services {
        let share = |odds: f64, effect: &Effect| {
            std::array::from_fn(|stratum| {
                let odds = odds * effect.of(stratum);
                odds / (1.0 + odds)
            })
        };
        Services {
            clients: share(draw.clients, &CLIENTS),
            adap: share(draw.adap, &ADAP),
            oahs: share(draw.oahs, &OAHS),
        }
    }
}

/// Tests a person and year in a stratum.
pub fn testing(draw: &Draw, stratum: usize, time: f64) -> f64 {
    testing_level(draw, time) * TESTING.of(stratum)
}

/// Share of a stratum that has an indication for PrEP.
pub fn indication(stratum: usize) -> f64 {
    INDICATION.of(stratum).min(0.6)
}

/// Integrates one draw under a scenario.
///
/// Returns for each quantity, stratum and year (the last runs fastest) the year's mean of those not infected,
/// of those of them on PrEP, of the undiagnosed, the diagnosed and not suppressed, the suppressed;
/// and the year's infections and diagnoses.
pub fn integrate(city: &City, draw: &Draw, scenario: Scenario) -> Vec<f64> {
    let mut output = vec![0.0; QUANTITIES * STRATA * YEARS];
    let mut integration = Integration::new(city, draw, scenario);
    for year in START..FIRST_YEAR + YEARS as i32 {
        let before = integration.state.clone();
        let mut mean = vec![0.0; STATE];
        for step in 0..STEPS_A_YEAR {
            let half = 0.5 / STEPS_A_YEAR as f64;
            mean.iter_mut().zip(&integration.state).for_each(|(mean, now)| *mean += half * now);
            integration.step(f64::from(year) + step as f64 / STEPS_A_YEAR as f64);
            mean.iter_mut().zip(&integration.state).for_each(|(mean, now)| *mean += half * now);
        }
        let Ok(column) = usize::try_from(year - FIRST_YEAR) else { continue };
        for stratum in 0..STRATA {
            let (mean, at) = (&mean[stratum * WIDTH..][..WIDTH], stratum * WIDTH);
            let counted = |counter: usize| integration.state[at + counter] - before[at + counter];
            let quantities = [
                mean[SUSCEPTIBLE] + mean[PREP],
                mean[PREP],
                mean[UNDIAGNOSED],
                mean[DIAGNOSED],
                mean[SUPPRESSED],
                counted(INFECTIONS),
                counted(DIAGNOSES),
            ];
            for (quantity, value) in quantities.into_iter().enumerate() {
                output[(quantity * STRATA + stratum) * YEARS + column] = value;
            }
        }
    }
    output
}

/// A city under way: its rates and its present state.
struct Integration<'a> {
    draw: &'a Draw,
    scenario: Scenario,
    growth: f64,
    /// People a year who reach 13 in 2000, by stratum.
    entry: [f64; STRATA],
    /// Contact through sex and through injection, by stratum, before the decline.
    sexual: [f64; STRATA],
    injection: [f64; STRATA],
    /// Odds of suppression relative to the city's, and the share that a full loss takes away.
    suppression: [f64; STRATA],
    loss: [f64; STRATA],
    testing: [f64; STRATA],
    indication: [f64; STRATA],
    prep: [f64; STRATA],
    state: Vec<f64>,
}

impl<'a> Integration<'a> {
    fn new(city: &City, draw: &'a Draw, scenario: Scenario) -> Integration<'a> {
        let race = |shares: &ByRace, stratum: usize| {
            [shares.black, shares.hispanic, shares.other][Dimension::Race.of(stratum)]
        };
        let people: [f64; STRATA] = std::array::from_fn(|stratum| {
            let age = Dimension::Age.of(stratum);
            let sex = [0.460, 0.030, 0.51][Dimension::Sex.of(stratum)];
            let active = [0.004, 0.010, 0.009, 0.006, 0.002][age];
            let remission = [0.002, 0.012, 0.020, 0.022, 0.012][age];
            let risk = [active, remission, 1.0 - active - remission][Dimension::Risk.of(stratum)];
            city.population
                * [0.19, 0.18, 0.20, 0.17, 0.26][age]
                * race(&city.race, stratum)
                * sex
                * risk
        });
        // Those who enter are shared out as the youngest are, but inject no drugs yet.
        let youngest = |stratum: usize| stratum < Dimension::Age.stride();
        let entry = std::array::from_fn(|stratum| match Dimension::Risk.of(stratum) {
            2 if youngest(stratum) => {
                AGEING[0] * (people[stratum] + people[stratum - 1] + people[stratum - 2])
            }
            _ => 0.0,
        });
        let weight: [f64; STRATA] = std::array::from_fn(|stratum| {
            let relative = race(&city.relative_risk, stratum);
            PREVALENCE.of(stratum) * relative * relative * relative
        });
        let total: f64 = people.iter().zip(&weight).map(|(people, weight)| people * weight).sum();
        let scale = draw.prevalence * city.population / total;
        let services = Services::new(draw);
        let mut integration = Integration {
            draw,
            scenario,
            growth: city.growth,
            entry,
            sexual: std::array::from_fn(|stratum| {
                let rate = match Dimension::Sex.of(stratum) {
                    1 => MSM_RATE * draw.msm,
                    _ => HETEROSEXUAL_RATE * draw.heterosexual,
                };
                rate * ACTIVITY[Dimension::Age.of(stratum)] * race(&city.relative_risk, stratum)
            }),
            injection: std::array::from_fn(|stratum| match Dimension::Risk.of(stratum) {
                0 => INJECTION_RATE * draw.injection,
                _ => 0.0,
            }),
            suppression: std::array::from_fn(|stratum| SUPPRESSION.of(stratum)),
            loss: std::array::from_fn(|stratum| {
                let Services { clients, adap, oahs } = &services;
                let other =
                    oahs[stratum] * draw.loss_oahs + (1.0 - oahs[stratum]) * draw.loss_other;
                clients[stratum] * (adap[stratum] * draw.loss_adap + (1.0 - adap[stratum]) * other)
            }),
            testing: std::array::from_fn(|stratum| TESTING.of(stratum)),
            indication: std::array::from_fn(indication),
            prep: std::array::from_fn(|stratum| PREP_USE.of(stratum)),
            state: vec![0.0; STATE],
        };
        for stratum in 0..STRATA {
            let infected = people[stratum] * (scale * weight[stratum]).min(0.5);
            let state = &mut integration.state[stratum * WIDTH..][..COMPARTMENTS];
            state[SUSCEPTIBLE] = people[stratum] - infected;
            state[UNDIAGNOSED] = 0.24 * infected;
            state[DIAGNOSED] = 0.50 * infected;
            state[SUPPRESSED] = 0.26 * infected;
        }
        integration
    }

    /// Advances by a quarter of a year.
    fn step(&mut self, time: f64) {
        let step = 1.0 / STEPS_A_YEAR as f64;
        let ahead = |slope: &[f64], by: f64| -> Vec<f64> {
            self.state.iter().zip(slope).map(|(now, slope)| now + by * slope).collect()
        };
        let first = self.slope(time, &self.state);
        let second = self.slope(time + 0.5 * step, &ahead(&first, 0.5 * step));
        let third = self.slope(time + 0.5 * step, &ahead(&second, 0.5 * step));
        let fourth = self.slope(time + step, &ahead(&third, step));
        for index in 0..STATE {
            let mean = first[index] + 2.0 * second[index] + 2.0 * third[index] + fourth[index];
            self.state[index] += step / 6.0 * mean;
        }
    }

    /// The change of the state a year.
    fn slope(&self, time: f64, state: &[f64]) -> Vec<f64> {
        let draw = self.draw;
        let mut slope = vec![0.0; STATE];
        let force = Force::new(state);
        let decline = libm::exp(-draw.decline * (time - 2010.0));
        let births = libm::exp(self.growth * (time - f64::from(START)));
        let tests = testing_level(draw, time);
        let odds = libm::exp(suppression_level(draw, time));
        let prep = draw.prep / (1.0 + libm::exp(-(time - draw.prep_midpoint) / 1.3));
        let lost = self.scenario.loss(time);
        for stratum in 0..STRATA {
            let (age, race, sex, risk) = (
                Dimension::Age.of(stratum),
                Dimension::Race.of(stratum),
                Dimension::Sex.of(stratum),
                Dimension::Risk.of(stratum),
            );
            let at = stratum * WIDTH;
            let now: [f64; COMPARTMENTS] =
                std::array::from_fn(|compartment| state[at + compartment]);
            let rate = decline
                * (self.sexual[stratum] * force.sexual[sex][race]
                    + self.injection[stratum] * force.injection[race]);
            let infected = rate * now[SUSCEPTIBLE];
            let infected_on_prep = rate * (1.0 - PREP_EFFICACY) * now[PREP];
            let target = (prep * self.prep[stratum]).min(0.9) * self.indication[stratum];
            let started = PREP_SPEED * (target * (now[SUSCEPTIBLE] + now[PREP]) - now[PREP]);
            let diagnosed = (tests * self.testing[stratum] + SYMPTOMS) * now[UNDIAGNOSED];
            let usual = odds * self.suppression[stratum];
            let suppression = usual / (1.0 + usual) * (1.0 - self.loss[stratum] * lost);
            let treated = SUPPRESSION_SPEED
                * (suppression * (now[DIAGNOSED] + now[SUPPRESSED]) - now[SUPPRESSED]);
            slope[at + SUSCEPTIBLE] += self.entry[stratum] * births - infected - started;
            slope[at + PREP] += started - infected_on_prep;
            slope[at + UNDIAGNOSED] += infected + infected_on_prep - diagnosed;
            slope[at + DIAGNOSED] += diagnosed - treated;
            slope[at + SUPPRESSED] += treated;
            slope[at + INFECTIONS] += infected + infected_on_prep;
            slope[at + DIAGNOSES] += diagnosed;
            slope[ENTERED] += self.entry[stratum] * births;
            // Who moves to another stratum, by how many strata, at which rate.
            let (shift, moves) = match risk {
                0 => (1, STOP_INJECTING),
                1 => (-1, RELAPSE),
                _ => (-2, BEGIN_INJECTING[age]),
            };
            let other = (at as isize + shift * WIDTH as isize) as usize;
            for compartment in 0..COMPARTMENTS {
                let deaths = (DEATH[age] + DEATH_WITH_HIV[compartment]) * now[compartment];
                let ageing = AGEING[age] * now[compartment];
                let moving = moves * now[compartment];
                slope[at + compartment] -= deaths + ageing + moving;
                slope[other + compartment] += moving;
                slope[DIED] += deaths;
                if age < 4 {
                    slope[at + Dimension::Age.stride() * WIDTH + compartment] += ageing;
                }
            }
        }
        slope
    }
}

/// How infectious the partners are of a sex and race, and those who share equipment with a race.
struct Force {
    sexual: [[f64; 3]; 3],
    injection: [f64; 3],
}

impl Force {
    fn new(state: &[f64]) -> Force {
        // Infectious people and all people, weighted by activity: by sex and race; injecting, by race.
        let mut sexual = [[(0.0, 0.0); 3]; 3];
        let mut injecting = [(0.0, 0.0); 3];
        for stratum in 0..STRATA {
            let now = &state[stratum * WIDTH..][..COMPARTMENTS];
            let infectious = now[UNDIAGNOSED]
                + DIAGNOSED_INFECTIOUS * now[DIAGNOSED]
                + SUPPRESSED_INFECTIOUS * now[SUPPRESSED];
            let people =
                now[SUSCEPTIBLE] + now[PREP] + now[UNDIAGNOSED] + now[DIAGNOSED] + now[SUPPRESSED];
            let activity = ACTIVITY[Dimension::Age.of(stratum)];
            let race = Dimension::Race.of(stratum);
            let sum = &mut sexual[Dimension::Sex.of(stratum)][race];
            *sum = (sum.0 + activity * infectious, sum.1 + activity * people);
            if Dimension::Risk.of(stratum) == 0 {
                injecting[race] = (injecting[race].0 + infectious, injecting[race].1 + people);
            }
        }
        let share = |(infectious, people): (f64, f64)| infectious / people;
        let all = |sums: &[(f64, f64); 3]| {
            share((sums[0].0 + sums[1].0 + sums[2].0, sums[0].1 + sums[1].1 + sums[2].1))
        };
        let mixed = |sums: &[(f64, f64); 3], race: usize| {
            ASSORTATIVE * share(sums[race]) + (1.0 - ASSORTATIVE) * all(sums)
        };
        Force {
            sexual: std::array::from_fn(|sex| {
                std::array::from_fn(|race| {
                    (0..3)
                        .map(|partner| PARTNERS[sex][partner] * mixed(&sexual[partner], race))
                        .sum()
                })
            }),
            injection: std::array::from_fn(|race| mixed(&injecting, race)),
        }
    }
}

/// Tests a person and year in the city: they grow until 2020.
fn testing_level(draw: &Draw, time: f64) -> f64 {
    draw.testing * libm::exp(draw.testing_growth * (time.min(2020.0) - 2010.0))
}

/// Log odds of suppression in the city: a line through 2010 and 2025, flat after.
fn suppression_level(draw: &Draw, time: f64) -> f64 {
    let [early, late] = draw.suppression;
    early + (late - early) * (time.min(2025.0) - 2010.0) / 15.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Key;

    fn baltimore() -> City {
        City::parse(include_str!("../../parameters/C.12580.yaml")).unwrap()
    }

    fn people(state: &[f64]) -> f64 {
        state[..ENTERED].chunks(WIDTH).flat_map(|stratum| &stratum[..COMPARTMENTS]).sum()
    }

    #[test]
    fn people_are_conserved() {
        let city = baltimore();
        let draw = Draw::new(&city, Key::new(1), 3);
        for scenario in Scenario::ALL {
            let mut integration = Integration::new(&city, &draw, scenario);
            let before = people(&integration.state);
            assert!((before - city.population).abs() < 1e-3);
            for quarter in 0..36 * 4 {
                integration.step(2000.0 + f64::from(quarter) / 4.0);
            }
            let state = &integration.state;
            assert!(state[DIED] > 100_000.0 && state[ENTERED] > 100_000.0);
            let expected = before + state[ENTERED] - state[DIED];
            assert!((people(state) / expected - 1.0).abs() < 1e-9, "{} {expected}", people(state));
        }
    }

    #[test]
    fn no_compartment_falls_below_zero() {
        for text in [
            include_str!("../../parameters/C.12580.yaml"),
            include_str!("../../parameters/C.12940.yaml"),
        ] {
            let city = City::parse(text).unwrap();
            for index in 0..4 {
                let output =
                    integrate(&city, &Draw::new(&city, Key::new(1), index), Scenario::Cessation);
                assert!(output.iter().all(|value| *value >= 0.0));
            }
        }
    }

    #[test]
    fn scenarios_are_alike_until_services_stop() {
        let city = baltimore();
        let draw = Draw::new(&city, Key::new(1), 0);
        let (base, ended) =
            (integrate(&city, &draw, Scenario::Base), integrate(&city, &draw, Scenario::Cessation));
        for (base, ended) in base.chunks(YEARS).zip(ended.chunks(YEARS)) {
            assert_eq!(base[..15], ended[..15]);
        }
    }
}
