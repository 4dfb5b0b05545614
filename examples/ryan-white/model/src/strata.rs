//! The four dimensions of the population, and how a facet cuts it into panels.
//!
//! A stratum is one age, race, sex and risk; its index runs with risk fastest and age slowest.

/// The number of strata: 5 ages x 3 races x 3 sexes x 3 risks.
pub const STRATA: usize = 135;

/// A dimension of the population.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dimension {
    Age,
    Race,
    Sex,
    Risk,
}

impl Dimension {
    pub const ALL: [Dimension; 4] =
        [Dimension::Age, Dimension::Race, Dimension::Sex, Dimension::Risk];

    /// The name that a facet uses.
    pub fn name(self) -> &'static str {
        match self {
            Dimension::Age => "age",
            Dimension::Race => "race",
            Dimension::Sex => "sex",
            Dimension::Risk => "risk",
        }
    }

    /// Its values, in order.
    pub fn values(self) -> &'static [&'static str] {
        match self {
            Dimension::Age => {
                &["13-24 years", "25-34 years", "35-44 years", "45-54 years", "55+ years"]
            }
            Dimension::Race => &["black", "hispanic", "other"],
            Dimension::Sex => &["heterosexual_male", "msm", "female"],
            Dimension::Risk => &["active_IDU", "IDU_in_remission", "never_IDU"],
        }
    }

    /// How far apart in index two strata are that differ by one value of this dimension.
    pub const fn stride(self) -> usize {
        match self {
            Dimension::Age => 27,
            Dimension::Race => 9,
            Dimension::Sex => 3,
            Dimension::Risk => 1,
        }
    }

    /// The position of a stratum's value.
    pub fn of(self, stratum: usize) -> usize {
        stratum / self.stride() % self.values().len()
    }
}

/// A facet as it was asked for: names joined by `+`, which need not be dimensions of this model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facet(Vec<String>);

impl Facet {
    /// Reads `none`, `age` or `age+sex`.
    pub fn parse(text: &str) -> Facet {
        match text {
            "none" | "None" => Facet(Vec::new()),
            names => Facet(names.split('+').map(|name| name.trim().to_owned()).collect()),
        }
    }

    /// The names that were asked for, in that order.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// `none`, or the names joined by `+`.
    pub fn choice(&self) -> String {
        if self.0.is_empty() { "none".to_owned() } else { self.0.join("+") }
    }

    /// The part of a file's name: `unfaceted` or `facet_age+sex`.
    pub fn part(&self) -> String {
        if self.0.is_empty() {
            "unfaceted".to_owned()
        } else {
            format!("facet_{}", self.0.join("+"))
        }
    }

    /// The dimensions, if `possible` holds for every name; else the names for which it does not.
    pub fn dimensions(
        &self,
        possible: impl Fn(Dimension) -> bool,
    ) -> Result<Vec<Dimension>, Vec<&str>> {
        let known =
            |name: &str| Dimension::ALL.into_iter().find(|d| d.name() == name && possible(*d));
        let wrong: Vec<&str> = self.names().filter(|name| known(name).is_none()).collect();
        if wrong.is_empty() { Ok(self.names().filter_map(known).collect()) } else { Err(wrong) }
    }
}

/// The panels of a facet: which strata each holds.
#[derive(Debug)]
pub struct Panels {
    /// For each panel its values, one for each dimension of the facet.
    pub values: Vec<Vec<&'static str>>,
    /// For each stratum the panel that it belongs to.
    pub of: [usize; STRATA],
}

impl Panels {
    /// Cuts the population by some dimensions; the first varies slowest.
    pub fn new(dimensions: &[Dimension]) -> Panels {
        let mut values = vec![Vec::new()];
        let mut of = [0; STRATA];
        for dimension in dimensions {
            values = values
                .iter()
                .flat_map(|prefix: &Vec<&'static str>| {
                    dimension
                        .values()
                        .iter()
                        .map(move |value| prefix.iter().copied().chain([*value]).collect())
                })
                .collect();
            for (stratum, panel) in of.iter_mut().enumerate() {
                *panel = *panel * dimension.values().len() + dimension.of(stratum);
            }
        }
        Panels { values, of }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_facet_puts_every_stratum_into_a_panel_with_its_values() {
        let facets = [
            vec![],
            vec![Dimension::Sex],
            vec![Dimension::Risk, Dimension::Age],
            Dimension::ALL.to_vec(),
        ];
        for dimensions in facets {
            let panels = Panels::new(&dimensions);
            for stratum in 0..STRATA {
                let expected: Vec<&str> =
                    dimensions.iter().map(|d| d.values()[d.of(stratum)]).collect();
                assert_eq!(panels.values[panels.of[stratum]], expected);
            }
        }
    }

    #[test]
    fn the_order_of_a_facet_is_the_order_of_its_panels() {
        assert_eq!(
            Panels::new(&[Dimension::Sex, Dimension::Race]).values[1],
            ["heterosexual_male", "hispanic"]
        );
        assert_eq!(Panels::new(&[Dimension::Race, Dimension::Sex]).values[1], ["black", "msm"]);
    }
}
